//  yami_callback_wire - messages whose properties say all. See the header and SPEC.md.

#include "yami_callback_wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_properties.h"

static const char *const s_outcomes[] = {
    [YAM_CONFIRM_DONE] = "done", [YAM_CONFIRM_FAILED] = "failed"};
static const char *const s_answers[] = {
    [YAM_CALLBACK_RESEND] = "resent", [YAM_CALLBACK_GONE] = "gone", [YAM_CALLBACK_LATER] = "later"};

//  -- Text --------------------------------------------------------------------------------------

//  Bytes of the character of UTF-8 (RFC 3629) at text, 0 when there is none, or a control
//  character.
static size_t
s_character(const uint8_t *text, size_t size)
{
    static const uint32_t least[] = {0, 0x20, 0x80, 0x800, 0x10000};
    size_t length = text[0] < 0x80                      ? 1
                    : text[0] >= 0xc2 && text[0] < 0xe0 ? 2
                    : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
                    : text[0] >= 0xf0 && text[0] < 0xf5 ? 4
                                                        : 0;
    if (length == 0 || length > size) {
        return 0;
    }
    uint32_t code = length == 1 ? text[0] : text[0] & (0xffu >> (length + 1));
    for (size_t index = 1; index < length; index++) {
        if ((text[index] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (text[index] & 0x3fu);
    }
    bool is_surrogate = code >= 0xd800 && code < 0xe000;
    return code < least[length] || code > 0x10ffff || code == 0x7f || is_surrogate ? 0 : length;
}

//  Whether all of it is text.
static bool
s_is_text(yami_slice_t slice)
{
    size_t at = 0;
    while (at < slice.size) {
        size_t length = s_character(slice.data + at, slice.size - at);
        if (length == 0) {
            return false;
        }
        at += length;
    }
    return true;
}

//  Copies text for people: what is none becomes '?', what does not fit is cut.
static void
s_copy_lossy(yami_slice_t slice, char *text, size_t size)
{
    size_t used = 0;
    for (size_t at = 0; at < slice.size;) {
        size_t length = s_character(slice.data + at, slice.size - at);
        size_t count = length > 0 ? length : 1;
        if (used + count >= size) {
            break;
        }
        memcpy(text + used, length > 0 ? (const char *) slice.data + at : "?", count);
        used += count;
        at += count;
    }
    text[used] = 0;
}

static int
s_check_id(yami_slice_t id)
{
    if (id.size == 0 || id.size > YAM_CALLBACK_ID || !s_is_text(id)) {
        return yami_fail(
            EINVAL, "an id has 1 to %d bytes of UTF-8 without control characters, this one %zu",
            YAM_CALLBACK_ID, id.size);
    }
    return 0;
}

int
yami_callback_id_check(const char *id)
{
    return id == NULL ? yami_fail(EINVAL, "there is no id") : s_check_id(yami_slice_text(id));
}

//  -- Reading -----------------------------------------------------------------------------------

//  The property of that name as text; empty when there is none, or it is none.
static yami_slice_t
s_find(const yam_message_t *message, const char *name)
{
    yami_property_t property;
    bool is_there = yami_properties_find(message->record.properties, name, &property);
    return is_there && property.type == 's' ? property.text : yami_slice("", 0);
}

//  A number of decimal digits up to limit. 0 with *number 0 when there is none, -1 with errno
//  EPROTO for anything else.
static int
s_number(const yam_message_t *message, const char *name, int64_t limit, int64_t *number)
{
    yami_slice_t digits = s_find(message, name);
    *number = 0;
    for (size_t index = 0; index < digits.size; index++) {
        uint8_t digit = digits.data[index];
        *number = *number * 10 + (digit - '0');
        if (digit < '0' || digit > '9' || *number > limit) {
            return yami_fail(EPROTO, "property %s is not a number up to %" PRId64, name, limit);
        }
    }
    return 0;
}

static int
s_round(const yam_message_t *message, const char *name, uint32_t *round)
{
    int64_t number;
    if (s_number(message, name, YAMI_LIMIT_ROUND, &number) == -1) {
        return -1;
    }
    *round = (uint32_t) number;
    return 0;
}

//  Property name as an id into text. 0, or -1 with errno EPROTO.
static int
s_id(const yam_message_t *message, const char *name, char *text)
{
    yami_slice_t id = s_find(message, name);
    if (s_check_id(id) == -1) {
        errno = EPROTO;
        return -1;
    }
    memcpy(text, id.data, id.size);
    text[id.size] = 0;
    return 0;
}

static int
s_name(const yam_message_t *message, const char *name, char *text)
{
    yami_slice_t found = s_find(message, name);
    if (yami_name_check(found, name) == -1) {
        errno = EPROTO;
        return -1;
    }
    memcpy(text, found.data, found.size);
    text[found.size] = 0;
    return 0;
}

//  The number of the word that property name is, of words[1..count - 1]; 0 for another.
static int
s_word(const yam_message_t *message, const char *name, const char *const *words, size_t count)
{
    yami_slice_t found = s_find(message, name);
    for (size_t index = 1; index < count; index++) {
        if (yami_slice_equal(found, words[index])) {
            return (int) index;
        }
    }
    return 0;
}

int
yami_callback_identify(const yam_message_t *message, char *id, uint32_t *round)
{
    if (s_id(message, "id", id) == -1) {
        return yami_fail(EINVAL,
                         "the message's property \"id\" must be 1 to %d bytes of UTF-8 (set "
                         "one when you send it)",
                         YAM_CALLBACK_ID);
    }
    if (s_round(message, "yam-round", round) == -1) {
        *round = 0; //  somebody else's property
    }
    return 0;
}

int
yami_callback_check_parse(const yam_message_t *message, yam_case_t *row)
{
    memset(row, 0, sizeof *row);
    return s_id(message, "id", row->id) == -1 || s_name(message, "queue", row->queue) == -1 ||
                   s_name(message, "service", row->service) == -1 ||
                   s_number(message, "delay-ms", YAMI_LIMIT_CHECK_MS, &row->delay_ms) == -1
               ? -1
               : 0;
}

int
yami_callback_confirm_parse(const yam_message_t *message, yam_case_confirm_t *confirm)
{
    memset(confirm, 0, sizeof *confirm);
    if (s_id(message, "id", confirm->id) == -1 ||
        s_round(message, "round", &confirm->round) == -1) {
        return -1;
    }
    s_copy_lossy(s_find(message, "reason"), confirm->reason, sizeof confirm->reason);
    confirm->outcome = s_word(message, "outcome", s_outcomes, 3);
    return confirm->outcome != 0 ? 0 : yami_fail(EPROTO, "the outcome is neither done nor failed");
}

int
yami_callback_call_parse(const yam_message_t *message, yam_case_t *row)
{
    memset(row, 0, sizeof *row);
    return s_id(message, "case", row->id) == -1 || s_name(message, "queue", row->queue) == -1 ||
                   s_round(message, "round", &row->round) == -1
               ? -1
               : 0;
}

int
yami_callback_answer_parse(const yam_message_t *message, int *answer, char *note, size_t size)
{
    *answer = s_word(message, "answer", s_answers, 4);
    s_copy_lossy(s_find(message, "note"), note, size);
    return *answer != 0 ? 0 : yami_fail(EPROTO, "the answer is none of resent, gone and later");
}

//  -- Writing -----------------------------------------------------------------------------------

typedef struct {
    const char *name; //  NULL: the end
    const char *text;
} s_pair_t;

//  A message of pairs; those with an empty text are left out.
static yam_message_t *
s_build(const s_pair_t *pairs)
{
    yam_message_t *message = yam_message_new("", 0);
    for (const s_pair_t *pair = pairs; message != NULL && pair->name != NULL; pair++) {
        if (*pair->text != 0 && yam_message_set(message, pair->name, pair->text) == -1) {
            int error = errno;
            yam_message_destroy(&message);
            errno = error;
        }
    }
    return message;
}

typedef struct {
    char text[24];
} s_decimal_t;

static s_decimal_t
s_decimal(int64_t number)
{
    s_decimal_t decimal;
    (void) snprintf(decimal.text, sizeof decimal.text, "%" PRId64, number);
    return decimal;
}

yam_message_t *
yami_callback_check_build(const yam_case_t *row)
{
    s_decimal_t delay_ms = s_decimal(row->delay_ms);
    return s_build((const s_pair_t[]) {{"id", row->id},
                                       {"queue", row->queue},
                                       {"service", row->service},
                                       {"delay-ms", delay_ms.text},
                                       {NULL, NULL}});
}

yam_message_t *
yami_callback_confirm_build(const yam_case_confirm_t *confirm)
{
    YAM_ASSERT(confirm->outcome == YAM_CONFIRM_DONE || confirm->outcome == YAM_CONFIRM_FAILED);
    s_decimal_t round = s_decimal(confirm->round);
    return s_build((const s_pair_t[]) {{"id", confirm->id},
                                       {"round", round.text},
                                       {"outcome", s_outcomes[confirm->outcome]},
                                       {"reason", confirm->reason},
                                       {NULL, NULL}});
}

yam_message_t *
yami_callback_call_build(const yam_case_t *row)
{
    s_decimal_t round = s_decimal((int64_t) row->round + 1);
    return s_build((const s_pair_t[]) {
        {"case", row->id}, {"round", round.text}, {"queue", row->queue}, {NULL, NULL}});
}

yam_message_t *
yami_callback_answer_build(yam_callback_answer_t answer, const char *note)
{
    YAM_ASSERT(answer >= YAM_CALLBACK_RESEND && answer <= YAM_CALLBACK_LATER);
    return s_build(
        (const s_pair_t[]) {{"answer", s_answers[answer]}, {"note", note}, {NULL, NULL}});
}
