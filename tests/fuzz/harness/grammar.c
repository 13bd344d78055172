#include "grammar.h"

#include <string.h>

#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_limits.h"
#include "yami_writer.h"

#define S_MUTATION_LIMIT 4

//  Even ones are queues, mostly.
static const char *const s_channels[] = {"orders", "prices", "orders.dead", "news", "a"};
static const char *const s_groups[] = {"", "archive", "b"};
static const char *const s_filters[] = {"", "eu.*", "eu.>", "us"};
static const char *const s_subjects[] = {"eu.de", "us", "eu.fr.x"};
static const char *const s_commands[] = {"channels", "stat",    "relay",  "peek",
                                         "purge",    "redrive", "remove", "cancel"};

#define S_ID "id" //  of all delayed messages

#define S_PICK(input, texts)                                                                       \
    yami_slice_text((texts)[fuzz_below(input, sizeof(texts) / sizeof(texts)[0])])

void
grammar_init(grammar_t *self)
{
    memset(self, 0, sizeof *self);
    for (unsigned index = 0; index < GRAMMAR_PRODUCERS; index++) {
        self->epochs[index] = 1;
        self->nexts[index] = 1;
    }
}

//  -- Control frames ------------------------------------------------------------------------------

static yami_frame_t
s_hello(grammar_t *self, fuzz_input_t *input)
{
    return (yami_frame_t) {.type = YAMI_FRAME_HELLO,
                           .present = YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME |
                                      YAMI_F_HEARTBEAT_MS,
                           .session = ++self->session,
                           .name = yami_slice_text("fuzz"),
                           .max_frame = fuzz_below(input, 4) ? YAMI_LIMIT_FRAME : 65536,
                           .heartbeat_ms = 1000 + 100 * fuzz_below(input, 256)};
}

static yami_frame_t
s_attach(fuzz_input_t *input, uint32_t handle)
{
    unsigned channel = fuzz_below(input, sizeof s_channels / sizeof s_channels[0]);
    uint64_t kind = channel % 2 == 0 ? YAMI_KIND_QUEUE : YAMI_KIND_TOPIC;
    bool is_other = fuzz_below(input, 16) == 15;
    return (yami_frame_t) {.type = YAMI_FRAME_ATTACH,
                           .handle = handle,
                           .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL,
                           .kind = is_other ? 3 - kind : kind,
                           .channel = yami_slice_text(s_channels[channel])};
}

static yami_frame_t
s_producer(grammar_t *self, fuzz_input_t *input, unsigned slot, uint32_t handle)
{
    yami_frame_t frame = s_attach(input, handle);
    uint8_t producer = (uint8_t) fuzz_below(input, GRAMMAR_PRODUCERS);
    self->producers[slot][handle] = producer;
    frame.present |= YAMI_F_PRODUCER | YAMI_F_EPOCH | YAMI_F_FIRST;
    frame.role = YAMI_ROLE_PRODUCER;
    frame.producer.bytes[0] = producer;
    uint8_t how = fuzz_u8(input);
    frame.epoch = how < 128   ? self->epochs[producer]
                  : how < 192 ? 0
                              : fuzz_number(input) & UINT32_MAX;
    frame.first = how % 8 < 6 ? self->nexts[producer] : fuzz_number(input) % YAMI_LIMIT_SEQUENCE;
    frame.first += frame.first == 0 ? 1 : 0;
    return frame;
}

static yami_frame_t
s_consumer(grammar_t *self, fuzz_input_t *input, unsigned slot, uint32_t handle)
{
    yami_frame_t frame = s_attach(input, handle);
    frame.role = YAMI_ROLE_CONSUMER;
    self->serials[slot][handle] = 0;
    self->credits[slot][handle] = 0;
    uint8_t how = fuzz_u8(input);
    frame.present |= YAMI_F_GROUP | YAMI_F_DURABLE | YAMI_F_START | YAMI_F_FILTER | YAMI_F_LEASE_MS;
    frame.group = frame.kind == YAMI_KIND_QUEUE ? yami_slice("", 0) : S_PICK(input, s_groups);
    frame.durable = frame.group.size > 0 && (how & 1);
    frame.filter = frame.kind == YAMI_KIND_QUEUE ? yami_slice("", 0) : S_PICK(input, s_filters);
    frame.start = how / 2 % 3;
    frame.lease_ms = how & 64 ? 1000 : 0;
    if (frame.start == YAMI_START_SEQUENCE) {
        frame.present |= YAMI_F_SEQUENCE;
        frame.sequence = fuzz_number(input) % YAMI_LIMIT_SEQUENCE;
    }
    return frame;
}

static yami_frame_t
s_settle(grammar_t *self, fuzz_input_t *input, unsigned slot, uint32_t handle, yami_settle_t *range)
{
    grammar_lease_t lease = self->leases[fuzz_below(input, GRAMMAR_LEASES)];
    bool is_own = lease.slot == slot && lease.range.token > 0;
    uint8_t how = fuzz_u8(input);
    handle = is_own ? lease.handle : handle;
    *range = is_own ? lease.range : (yami_settle_t) {1 + fuzz_number(input) / 2, 1, 1 + how};
    uint64_t length = range->last - range->first + 1;
    if (how & 1) {
        range->first += fuzz_below(input, 4) % length;
    }
    if (how & 2) {
        range->last = range->first + fuzz_below(input, 4) % (range->last - range->first + 1);
    }
    yami_frame_t frame = {.type = (uint8_t) (YAMI_FRAME_ACK + how / 4 % 5),
                          .handle = handle,
                          .present = YAMI_F_SERIAL | YAMI_F_RANGES,
                          .serial = how > 240 ? fuzz_number(input) : ++self->serials[slot][handle],
                          .ranges = range,
                          .range_count = 1};
    frame.serial += frame.serial == 0 ? 1 : 0;
    if (frame.type == YAMI_FRAME_NACK && (how & 128)) {
        frame.present |= YAMI_F_DELAY_MS | YAMI_F_TEXT;
        frame.delay_ms = (uint64_t) fuzz_below(input, 4) * 700;
        frame.text = yami_slice_text("no");
    }
    return frame;
}

static yami_frame_t
s_credit(grammar_t *self, fuzz_input_t *input, unsigned slot, uint32_t handle)
{
    self->credits[slot][handle] += fuzz_below(input, 32);
    return (yami_frame_t) {.type = YAMI_FRAME_CREDIT,
                           .handle = handle,
                           .present = YAMI_F_MESSAGES | YAMI_F_BYTES,
                           .messages = self->credits[slot][handle],
                           .bytes = fuzz_below(input, 4) == 3 ? 200 : YAMI_LIMIT_WINDOW_BYTES};
}

static yami_frame_t
s_admin(fuzz_input_t *input)
{
    uint8_t how = fuzz_u8(input);
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present = YAMI_F_SERIAL | YAMI_F_COMMAND,
                          .serial = 1 + fuzz_below(input, 255),
                          .command = S_PICK(input, s_commands)};
    frame.present |= how & 1 ? 0 : YAMI_F_CHANNEL;
    frame.channel = S_PICK(input, s_channels);
    frame.channel = how & 64 ? yami_slice_text("orders.delayed") : frame.channel;
    frame.present |= how & 2 ? YAMI_F_GROUP : 0;
    frame.group = S_PICK(input, s_groups);
    frame.present |= how & 4 ? YAMI_F_TARGET : 0;
    frame.target = S_PICK(input, s_channels);
    frame.present |= how & 32 ? YAMI_F_ID : 0;
    frame.id = yami_slice_text(S_ID);
    frame.present |= how & 8 ? YAMI_F_START : 0;
    frame.start = how / 128;
    frame.present |= how & 16 ? YAMI_F_SEQUENCE | YAMI_F_MESSAGES : 0;
    frame.sequence = how & 16 ? fuzz_number(input) % YAMI_LIMIT_SEQUENCE : 0;
    frame.messages = how & 16 ? fuzz_number(input) : 0;
    return frame;
}

//  A client's frame that is none of the above, or one that only a relay sends.
static yami_frame_t
s_other(fuzz_input_t *input, uint32_t handle)
{
    switch (fuzz_below(input, 6)) {
    case 0:
        return (yami_frame_t) {.type = YAMI_FRAME_GOODBYE};
    case 1:
        return (yami_frame_t) {.type = YAMI_FRAME_ERROR,
                               .present = YAMI_F_STATUS,
                               .status = 1 + fuzz_below(input, 16)};
    case 2:
        return (yami_frame_t) {
            .type = YAMI_FRAME_ACKED, .handle = handle, .present = YAMI_F_SERIAL, .serial = 1};
    case 3:
        return (yami_frame_t) {.type = YAMI_FRAME_HEARTBEAT};
    default:
        return (yami_frame_t) {.type = YAMI_FRAME_DETACH, .handle = handle};
    }
}

//  -- Batches -------------------------------------------------------------------------------------

//  Of the past, of soon, of later; may be cancelled.
static void
s_delay(const grammar_t *self, fuzz_input_t *input, yami_record_t *record,
        yami_writer_t *properties)
{
    static const int64_t delays_ms[] = {-1, 50, 1000, 40000};
    record->flags = YAMI_RECORD_DUE;
    record->due_ms =
        self->wall_ms + delays_ms[fuzz_below(input, sizeof delays_ms / sizeof delays_ms[0])];
    if (properties->size == 0) {
        yami_writer_map(properties, 1);
        yami_writer_str(properties, "id");
        yami_writer_str(properties, S_ID);
    }
}

static void
s_record(const grammar_t *self, yami_builder_t *builder, fuzz_input_t *input)
{
    uint8_t how = fuzz_u8(input);
    yami_writer_t properties;
    yami_writer_init(&properties, 256);
    if (how & 1) {
        yami_writer_map(&properties, 1);
        yami_writer_str(&properties, "subject");
        yami_slice_t subject = S_PICK(input, s_subjects);
        yami_writer_str_slice(&properties, subject.data, subject.size);
    } else if (how & 2) {
        yami_slice_t junk = fuzz_bytes(input, how / 16);
        yami_writer_bytes(&properties, junk.data, junk.size);
    }
    yami_record_t record = {.priority = how / 8 % 10,
                            .key_hash = how & 4 ? fuzz_u8(input) : 0,
                            .body = fuzz_bytes(input, how / 32)};
    if (record.priority >= 7) {
        s_delay(self, input, &record, &properties);
    }
    record.properties = yami_slice(properties.data, properties.size);
    (void) yami_builder_append(builder, &record);
    yami_writer_clear(&properties);
}

static yami_block_t *
s_batch(grammar_t *self, fuzz_input_t *input, unsigned slot, uint32_t handle)
{
    uint8_t how = fuzz_u8(input);
    uint8_t producer = self->producers[slot][handle];
    uint32_t count = 1 + how / 64;
    yami_builder_t builder;
    yami_builder_init(&builder, 4096);
    for (uint32_t index = 0; index < count; index++) {
        s_record(self, &builder, input);
    }
    yami_batch_t head = {.handle = handle,
                         .flags = how & 1 ? YAMI_BATCH_NO_CRC : 0,
                         .epoch = self->epochs[producer],
                         .producer = {.bytes = {producer}},
                         .first_sequence = self->nexts[producer]};
    if (how / 2 % 8 == 7) { //  a gap, or once more
        head.first_sequence = 1 + fuzz_number(input) % (YAMI_LIMIT_SEQUENCE - count);
    } else {
        self->nexts[producer] += count;
    }
    yami_block_t *block = yami_builder_finish(&builder, &head);
    YAM_ASSERT(block);
    yami_builder_clear(&builder);
    return block;
}

//  -- Changes -------------------------------------------------------------------------------------

//  Checksums and size fit again, so that what was changed is looked at.
static void
s_sign(uint8_t *bytes, size_t size)
{
    if (yami_frame_is_batch(bytes, size) && size > YAMI_BATCH_HEADER_SIZE) {
        yami_put_u32(bytes + 8, (uint32_t) (size - YAMI_BATCH_HEADER_SIZE));
        fuzz_sign_batch(bytes, size);
    } else if (yami_frame_is_control(bytes, size) && size >= YAMI_FRAME_HEADER_SIZE) {
        yami_put_u32(bytes + 12, (uint32_t) (size - YAMI_FRAME_HEADER_SIZE));
    }
}

static yami_block_t *
s_change(yami_block_t *block, fuzz_input_t *input)
{
    uint8_t how = fuzz_u8(input);
    size_t size = block->size;
    uint8_t *bytes = fuzz_copy(block->data, size);
    if (how & 1) {
        size = 1 + fuzz_u16(input) % size;
    }
    for (unsigned count = how / 4 % S_MUTATION_LIMIT; count > 0; count--) {
        size_t at = fuzz_u16(input) % size;
        bytes[at] = fuzz_u8(input);
    }
    if (how & 2) {
        s_sign(bytes, size);
    }
    yami_block_unref(&block);
    block = yami_block_copy(bytes, size, YAMI_LIMIT_FRAME);
    YAM_ASSERT(block);
    yami_free(bytes);
    return block;
}

static yami_block_t *
s_raw(fuzz_input_t *input)
{
    yami_slice_t bytes = fuzz_bytes(input, 1 + fuzz_below(input, 256));
    yami_block_t *block = bytes.size > 0 ? yami_block_copy(bytes.data, bytes.size, bytes.size)
                                         : yami_block_copy("", 1, 1);
    YAM_ASSERT(block);
    return block;
}

yami_block_t *
grammar_next(grammar_t *self, fuzz_input_t *input, unsigned slot)
{
    uint8_t what = fuzz_u8(input);
    uint32_t handle = 1 + what / 16 % (GRAMMAR_HANDLES - 1);
    yami_settle_t range;
    yami_frame_t frame;
    yami_block_t *block = NULL;
    switch (what % 12) {
    case 0:
        frame = s_hello(self, input);
        break;
    case 1:
        frame = s_producer(self, input, slot, handle);
        break;
    case 2:
    case 3:
        frame = s_consumer(self, input, slot, handle);
        break;
    case 4:
    case 5:
        block = s_batch(self, input, slot, handle);
        break;
    case 6:
        frame = s_credit(self, input, slot, handle);
        break;
    case 7:
    case 8:
        frame = s_settle(self, input, slot, handle, &range);
        break;
    case 9:
        frame = s_admin(input);
        break;
    case 10:
        frame = s_other(input, handle);
        break;
    default:
        return s_raw(input);
    }
    block = block ? block : fuzz_encode(&frame);
    return what >= 224 ? s_change(block, input) : block;
}

void
grammar_observe(grammar_t *self, unsigned slot, const yami_frame_t *frame)
{
    if (frame->handle == 0 || frame->handle >= GRAMMAR_HANDLES) {
        return;
    }
    if (frame->type == YAMI_FRAME_DELIVER) {
        self->leases[self->lease_count++ % GRAMMAR_LEASES] =
            (grammar_lease_t) {slot, frame->handle, {frame->token, frame->first, frame->last}};
    } else if (frame->type == YAMI_FRAME_ATTACHED && (frame->present & YAMI_F_EPOCH)) {
        uint8_t producer = self->producers[slot][frame->handle];
        self->epochs[producer] = (uint32_t) frame->epoch;
        self->nexts[producer] = frame->sequence + 1;
    }
}
