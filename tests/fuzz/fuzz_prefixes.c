//  What a publisher of a fast topic counts for its subscribers' prefixes, whatever they subscribe
//  to: marks are those of a list that is searched from end to end, and a frame with them is taken.
//
//  Input: steps {what, ...}: a frame of a peer {size, bytes}, a row of subscriptions {u16 first,
//  u16 count}, one to each prefix of some bytes {size, bytes}, a frame of messages {size, subject,
//  count}.

#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_prefixes.h"
#include "yami_topic_frame.h"

#define S_SIZE_LIMIT ((size_t) YAMI_LIMIT_SUBJECT + 1)
#define S_ROW_LIMIT (YAMI_LIMIT_PREFIXES + 64)
#define S_ROWS 3 //  of one input: each takes long

typedef struct {
    uint8_t bytes[S_SIZE_LIMIT];
    size_t size;
    uint64_t key; //  the first bytes as a number, for the sake of speed
    yami_mark_t mark;
    uint64_t used_at;
} s_known_t;

//  The model: in no order.
typedef struct {
    s_known_t known[YAMI_LIMIT_PREFIXES];
    size_t count;
} s_model_t;

static s_model_t s_model;

//  -- The model -----------------------------------------------------------------------------------

static uint64_t
s_key(const uint8_t *bytes, size_t size)
{
    uint64_t key = 0;
    for (size_t at = 0; at < sizeof key; at++) {
        key = key << 8 | (at < size ? bytes[at] : 0u);
    }
    return key;
}

static int
s_order(const s_known_t *one, const s_known_t *other)
{
    if (one->key != other->key) {
        return one->key < other->key ? -1 : 1;
    }
    size_t common = one->size < other->size ? one->size : other->size;
    int order = memcmp(one->bytes, other->bytes, common);
    return order != 0 ? order : (one->size > other->size) - (one->size < other->size);
}

static bool
s_goes_before(const s_known_t *one, const s_known_t *other)
{
    return one->used_at < other->used_at ||
           (one->used_at == other->used_at && s_order(one, other) < 0);
}

static s_known_t *
s_place(void)
{
    if (s_model.count < YAMI_LIMIT_PREFIXES) {
        return &s_model.known[s_model.count++];
    }
    s_known_t *oldest = &s_model.known[0];
    for (size_t index = 1; index < s_model.count; index++) {
        s_known_t *known = &s_model.known[index];
        oldest = s_goes_before(known, oldest) ? known : oldest;
    }
    return oldest;
}

static s_known_t *
s_find(const uint8_t *bytes, size_t size)
{
    uint64_t key = s_key(bytes, size);
    for (size_t index = 0; index < s_model.count; index++) {
        s_known_t *known = &s_model.known[index];
        if (known->key == key && known->size == size && memcmp(known->bytes, bytes, size) == 0) {
            return known;
        }
    }
    return NULL;
}

//  Sets by_size[N] to the entry that is the first N bytes, NULL when there is none.
static void
s_matches(const uint8_t *bytes, size_t size, s_known_t *by_size[S_SIZE_LIMIT + 1])
{
    memset(by_size, 0, (S_SIZE_LIMIT + 1) * sizeof(void *));
    for (size_t index = 0; index < s_model.count; index++) {
        s_known_t *known = &s_model.known[index];
        if (known->size <= size && known->bytes[0] == bytes[0] &&
            memcmp(known->bytes, bytes, known->size) == 0) {
            by_size[known->size] = known;
        }
    }
}

//  -- Steps ---------------------------------------------------------------------------------------

static void
s_subscribe(yami_prefixes_t *prefixes, const uint8_t *bytes, size_t size, uint64_t framed)
{
    yami_prefixes_subscribe(prefixes, bytes, size, framed);
    if (size > 0 && size <= S_SIZE_LIMIT) {
        s_known_t *known = s_find(bytes, size);
        if (!known) {
            known = s_place();
            *known = (s_known_t) {.size = size, .key = s_key(bytes, size), .mark = {framed, 0}};
            memcpy(known->bytes, bytes, size);
        }
        known->used_at = framed;
    }
    YAM_ASSERT(prefixes->count == s_model.count);
}

//  1 subscribes to the bytes behind it; 0 cancels, which changes nothing, and others are not for
//  us.
static void
s_peer(yami_prefixes_t *prefixes, fuzz_input_t *input, uint64_t framed)
{
    yami_slice_t frame = fuzz_bytes(input, fuzz_u8(input));
    if (frame.size > 0 && frame.data[0] == 1) {
        uint8_t *bytes = fuzz_copy(frame.data + 1, frame.size - 1);
        s_subscribe(prefixes, bytes, frame.size - 1, framed);
        yami_free(bytes);
    }
}

static void
s_row(yami_prefixes_t *prefixes, fuzz_input_t *input, uint64_t framed)
{
    unsigned first = fuzz_u16(input);
    unsigned count = fuzz_u16(input) % S_ROW_LIMIT;
    for (unsigned number = first; number < first + count; number++) {
        uint8_t bytes[2] = {(uint8_t) (number >> 8), (uint8_t) number};
        s_subscribe(prefixes, bytes, sizeof bytes, framed);
    }
}

static void
s_ladder(yami_prefixes_t *prefixes, fuzz_input_t *input, uint64_t framed)
{
    yami_slice_t all = fuzz_bytes(input, fuzz_u8(input));
    for (size_t size = all.size; size > 0; size--) {
        s_subscribe(prefixes, all.data, size, framed);
    }
}

//  A frame of the subject and these marks, whose batch begins behind what was framed, is taken, and
//  says the marks that are due.
static void
s_check_frame(const uint8_t *subject, size_t size, const uint8_t *marks, size_t marks_size,
              uint64_t framed, s_known_t *const by_size[S_SIZE_LIMIT + 1])
{
    yami_builder_t builder;
    yami_builder_init(&builder, YAMI_BATCH_HEADER_SIZE + YAMI_RECORD_HEADER_SIZE);
    YAM_ASSERT(yami_builder_append(&builder, &(yami_record_t) {.flags = 0}) == 0);
    yami_block_t *batch =
        yami_builder_finish(&builder, &(yami_batch_t) {.first_sequence = framed + 1});
    size_t frame_size = size + batch->size + marks_size;
    uint8_t *bytes = yami_alloc(frame_size);
    memcpy(bytes, subject, size);
    memcpy(bytes + size, batch->data, batch->size);
    memcpy(bytes + size + batch->size, marks, marks_size);
    yami_topic_frame_t frame;
    YAM_ASSERT(yami_topic_frame_decode(&frame, bytes, frame_size) == 0);
    for (size_t length = 1; length <= S_SIZE_LIMIT; length++) {
        yami_mark_t mark;
        bool is_there = yami_topic_frame_mark(&frame, length, &mark);
        YAM_ASSERT(is_there == (by_size[length] != NULL));
        YAM_ASSERT(!is_there || (mark.since == by_size[length]->mark.since &&
                                 mark.before == by_size[length]->mark.before));
    }
    yami_free(bytes);
    yami_block_unref(&batch);
    yami_builder_clear(&builder);
}

static void
s_send(yami_prefixes_t *prefixes, fuzz_input_t *input, uint64_t *framed_p)
{
    yami_slice_t slice = fuzz_bytes(input, fuzz_below(input, S_SIZE_LIMIT));
    const uint8_t *zero = slice.size > 0 ? memchr(slice.data, 0, slice.size) : NULL;
    size_t size = (zero ? (size_t) (zero - slice.data) : slice.size) + 1;
    uint8_t *subject = yami_alloc(size);
    if (size > 1) {
        memcpy(subject, slice.data, size - 1);
    }
    subject[size - 1] = 0;
    uint32_t count = 1 + (uint32_t) (fuzz_number(input) % YAMI_LIMIT_BATCH_COUNT);
    s_known_t *by_size[S_SIZE_LIMIT + 1];
    s_matches(subject, size, by_size);
    uint8_t marks[YAMI_MARKS_SIZE_LIMIT];
    yami_prefix_t *longest = yami_prefixes_find(prefixes, subject, size);
    size_t marks_size = yami_prefix_marks(longest, marks);
    s_check_frame(subject, size, marks, marks_size, *framed_p, by_size);
    *framed_p += count;
    yami_prefix_add(longest, count, *framed_p);
    for (size_t length = 1; length <= size; length++) {
        if (by_size[length]) {
            by_size[length]->mark.before += count;
            by_size[length]->used_at = *framed_p;
        }
    }
    yami_free(subject);
}

//  Each entry of the model is found, as the longest prefix of itself.
static void
s_check_all(yami_prefixes_t *prefixes)
{
    for (size_t index = 0; index < s_model.count; index++) {
        const s_known_t *known = &s_model.known[index];
        uint8_t marks[YAMI_MARKS_SIZE_LIMIT];
        uint8_t expected[YAMI_MARK_SIZE];
        yami_mark_write(expected, known->size, &known->mark);
        yami_prefix_t *found = yami_prefixes_find(prefixes, known->bytes, known->size);
        YAM_ASSERT(yami_prefix_marks(found, marks) >= sizeof expected);
        YAM_ASSERT(memcmp(marks, expected, sizeof expected) == 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    yami_prefixes_t prefixes = {0};
    uint64_t framed = 0;
    int row_count = 0;
    s_model.count = 0;
    while (fuzz_left(&input) > 0) {
        uint8_t what = fuzz_below(&input, 4);
        if (what == 1) {
            s_send(&prefixes, &input, &framed);
        } else if (what == 2 && row_count++ < S_ROWS) {
            s_row(&prefixes, &input, framed);
        } else if (what == 3 && row_count++ < S_ROWS) {
            s_ladder(&prefixes, &input, framed);
        } else {
            s_peer(&prefixes, &input, framed);
        }
    }
    s_check_all(&prefixes);
    yami_prefixes_clear(&prefixes);
    return 0;
}
