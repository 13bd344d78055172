//  Frames of calls and replies. See yami_rpc_frame.h.

#include "yami_rpc_frame.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_properties.h"

#define NUMBER_DIGITS 20 //  of an uint64

static const char *const s_kinds[] = {"", "call", "reply", "cancel", "ping", "pong"};
#define KIND_COUNT (sizeof s_kinds / sizeof s_kinds[0])

//  -- Reading

//  Where the value of a text property goes, NULL when it is none of ours.
static yami_slice_t *
s_text_field(yami_rpc_frame_t *self, yami_slice_t name)
{
    return yami_slice_equal(name, "correlation-id") ? &self->correlation
           : yami_slice_equal(name, "yam-service")  ? &self->service
           : yami_slice_equal(name, "id")           ? &self->id
           : yami_slice_equal(name, "reply-to")     ? &self->reply_to
           : yami_slice_equal(name, "yam-text")     ? &self->text
                                                    : NULL;
}

static yami_rpc_kind_t
s_kind(yami_slice_t word)
{
    for (size_t kind = 1; kind < KIND_COUNT; kind++) {
        if (yami_slice_equal(word, s_kinds[kind])) {
            return (yami_rpc_kind_t) kind;
        }
    }
    return 0;
}

//  Whether the pair is sound: one of ours has its type and range, others may be what they are.
static bool
s_take(yami_rpc_frame_t *self, const yami_property_t *property)
{
    bool is_text = property->type == 's';
    bool is_time =
        property->type == 'i' && property->number > 0 && property->number <= YAMI_LIMIT_TIME_MS;
    yami_slice_t *text = s_text_field(self, property->name);
    if (text != NULL) {
        *text = property->text;
        return is_text;
    }
    if (yami_slice_equal(property->name, "yam-rpc")) {
        self->kind = s_kind(property->text);
        return is_text && self->kind != 0;
    }
    if (yami_slice_equal(property->name, "yam-deadline")) {
        self->deadline_ms = property->number;
        return is_time;
    }
    if (yami_slice_equal(property->name, "yam-clock")) {
        self->clock_ms = property->number;
        return is_time;
    }
    if (yami_slice_equal(property->name, "yam-status")) {
        self->status = (yam_status_t) property->number;
        return property->type == 'i' && property->number >= 0 && property->number <= UINT16_MAX;
    }
    return true;
}

static bool
s_is_text(yami_slice_t slice, size_t limit)
{
    return slice.size <= limit && (slice.size == 0 || memchr(slice.data, 0, slice.size) == NULL);
}

//  What a frame of its kind must have.
static bool
s_is_whole(const yami_rpc_frame_t *self)
{
    if (self->correlation.size == 0 || !s_is_text(self->correlation, YAMI_LIMIT_CORRELATION) ||
        !s_is_text(self->id, YAMI_LIMIT_NAME) || !s_is_text(self->text, YAMI_LIMIT_TEXT) ||
        !s_is_text(self->reply_to, YAMI_LIMIT_SUBJECT)) {
        return false;
    }
    switch (self->kind) {
    case YAMI_RPC_CALL:
        return self->service.size > 0 && self->service.size <= YAMI_LIMIT_NAME;
    case YAMI_RPC_PONG:
        return self->clock_ms > 0;
    default:
        return true;
    }
}

int
yami_rpc_read(yami_rpc_frame_t *self, const yami_record_t *record)
{
    yami_properties_t walk;
    yami_property_t property;
    *self = (yami_rpc_frame_t) {.record = *record};
    bool is_sound = yami_properties_start(&walk, record->properties) == 0;
    int rc = 0;
    while (is_sound && (rc = yami_properties_next(&walk, &property)) == 1) {
        is_sound = s_take(self, &property);
    }
    if (!is_sound || rc == -1 || self->kind == 0 || !s_is_whole(self)) {
        errno = EPROTO;
        return -1;
    }
    return 0;
}

int
yami_rpc_decode(yami_rpc_frame_t *self, const void *data, size_t size)
{
    yami_batch_t batch;
    yami_record_t record;
    size_t offset = 0;
    if (yami_batch_decode(&batch, data, size) == -1) {
        return -1;
    }
    if (batch.count != 1 || yami_batch_check_records(&batch, NULL) == -1 ||
        yami_batch_next(&batch, &offset, &record) == -1 || yami_rpc_read(self, &record) == -1) {
        errno = EPROTO;
        return -1;
    }
    self->epoch = batch.epoch;
    return 0;
}

yami_slice_t
yami_rpc_text(yami_slice_t properties, const char *name)
{
    yami_property_t property;
    bool is_text = yami_properties_find(properties, name, &property) && property.type == 's';
    return is_text ? property.text : yami_slice(NULL, 0);
}

//  -- Writing

//  Whether a property of the application's message does not travel: its name is ours.
static bool
s_is_ours(const yami_rpc_frame_t *self, yami_slice_t name)
{
    return (name.size >= 4 && memcmp(name.data, "yam-", 4) == 0) ||
           yami_slice_equal(name, "correlation-id") || yami_slice_equal(name, "reply-to") ||
           yami_slice_equal(name, "subject") || (self->id.size > 0 && yami_slice_equal(name, "id"));
}

//  Writes the application's pairs (writer NULL: none), and tells how many there are.
static uint32_t
s_write_theirs(const yami_rpc_frame_t *self, yami_writer_t *writer)
{
    yami_properties_t walk;
    yami_property_t property;
    uint32_t count = 0;
    if (yami_properties_start(&walk, self->record.properties) == -1) {
        return 0;
    }
    while (yami_properties_next(&walk, &property) == 1) {
        if (!s_is_ours(self, property.name)) {
            count++;
            if (writer != NULL) {
                yami_properties_write(writer, &property);
            }
        }
    }
    return count;
}

static uint32_t
s_write_slice(yami_writer_t *writer, const char *name, yami_slice_t value)
{
    if (value.size == 0) {
        return 0;
    }
    if (writer != NULL) {
        yami_writer_str(writer, name);
        yami_writer_str_slice(writer, value.data, value.size);
    }
    return 1;
}

static uint32_t
s_write_number(yami_writer_t *writer, const char *name, int64_t value, bool is_there)
{
    if (is_there && writer != NULL) {
        yami_writer_str(writer, name);
        yami_writer_int(writer, value);
    }
    return is_there ? 1 : 0;
}

//  The same for our own.
static uint32_t
s_write_ours(const yami_rpc_frame_t *self, const char *subject, yami_writer_t *writer)
{
    uint32_t count = s_write_slice(writer, "yam-rpc", yami_slice_text(s_kinds[self->kind]));
    count += s_write_slice(writer, "correlation-id", self->correlation);
    count += s_write_slice(writer, "yam-service", self->service);
    count += s_write_slice(writer, "id", self->id);
    count += s_write_slice(writer, "reply-to", self->reply_to);
    count += s_write_slice(writer, "yam-text", self->text);
    count += s_write_slice(writer, "subject", yami_slice_text(subject));
    count += s_write_number(writer, "yam-deadline", self->deadline_ms, self->deadline_ms > 0);
    count += s_write_number(writer, "yam-clock", self->clock_ms, self->clock_ms > 0);
    count += s_write_number(writer, "yam-status", self->status, self->kind == YAMI_RPC_REPLY);
    return count;
}

//  The properties of the frame's record. 0, or -1 with errno; the writer is clear then.
static int
s_write(const yami_rpc_frame_t *self, const char *subject, yami_writer_t *writer)
{
    uint32_t count = s_write_theirs(self, NULL) + s_write_ours(self, subject, NULL);
    yami_writer_init(writer, YAMI_LIMIT_PROPERTIES);
    yami_writer_map(writer, count);
    (void) s_write_ours(self, subject, writer);
    (void) s_write_theirs(self, writer);
    int error = count > YAMI_LIMIT_PROPERTY_COUNT ? EMSGSIZE : writer->failed;
    if (error == 0) {
        return 0;
    }
    yami_writer_clear(writer);
    return yami_fail(error, "%s",
                     error == ENOMEM ? "out of memory for the properties of a call"
                                     : "a message of a call has too many properties");
}

yami_block_t *
yami_rpc_encode(const yami_rpc_frame_t *self, const yami_id_t *sender, uint64_t number)
{
    yami_writer_t writer;
    yami_builder_t builder;
    if (s_write(self, "", &writer) == -1) {
        return NULL;
    }
    yami_record_t record = self->record;
    record.properties = yami_slice(writer.data, writer.size);
    yami_batch_t head = {.epoch = self->epoch, .producer = *sender, .first_sequence = number};
    yami_builder_init(&builder, 0); //  one record: it gets exactly what it needs
    yami_block_t *block = NULL;
    if (yami_builder_append(&builder, &record) == 0) {
        block = yami_builder_finish(&builder, &head);
    }
    int error = errno;
    yami_builder_clear(&builder);
    yami_writer_clear(&writer);
    errno = error;
    return block;
}

yam_message_t *
yami_rpc_wrap(const yami_rpc_frame_t *self, const char *subject)
{
    yami_writer_t writer;
    if (s_write(self, subject, &writer) == -1) {
        return NULL;
    }
    yam_message_t *message = yam_message_new(self->record.body.data, self->record.body.size);
    if (message == NULL) {
        yami_writer_clear(&writer);
        return NULL;
    }
    yami_slice_t body = message->record.body;
    message->record = self->record;
    message->record.body = body;
    message->built = writer.data; //  the writer's memory is the message's now
    message->record.properties = yami_slice(writer.data, writer.size);
    return message;
}

int
yami_rpc_check_message(const yam_message_t *message)
{
    yami_properties_t walk;
    yami_property_t property;
    uint32_t count = 0;
    int rc = yami_properties_start(&walk, message->record.properties) == 0 ? 1 : -1;
    while (rc == 1 && (rc = yami_properties_next(&walk, &property)) == 1) {
        count++;
    }
    if (rc == -1) {
        return yami_fail(EPROTO, "the properties of the message are malformed");
    }
    if (count > YAMI_LIMIT_PROPERTY_COUNT - YAMI_RPC_OWN_PROPERTIES ||
        message->record.properties.size > YAMI_LIMIT_PROPERTIES - YAMI_RPC_OWN_BYTES) {
        return yami_fail(EMSGSIZE,
                         "a message of a call has at most %u properties and %u bytes of them",
                         YAMI_LIMIT_PROPERTY_COUNT - YAMI_RPC_OWN_PROPERTIES,
                         YAMI_LIMIT_PROPERTIES - YAMI_RPC_OWN_BYTES);
    }
    return 0;
}

//  -- Correlation ids

void
yami_rpc_correlation_write(const yami_rpc_correlation_t *self, char text[YAMI_RPC_CORRELATION_SIZE])
{
    int length = snprintf(text, YAMI_RPC_CORRELATION_SIZE, "%s.%" PRIu64 ".%" PRIu32, self->caller,
                          self->number, self->attempt);
    YAM_ASSERT(length > 0 && length < YAMI_RPC_CORRELATION_SIZE);
}

//  The decimal number up to stop (0: the end) at *offset_p, which moves behind it; 0 when it is
//  none.
static uint64_t
s_read_number(yami_slice_t slice, size_t *offset_p, char stop)
{
    uint64_t number = 0;
    size_t start = *offset_p;
    for (; *offset_p < slice.size && slice.data[*offset_p] != (uint8_t) stop; (*offset_p)++) {
        uint8_t digit = (uint8_t) (slice.data[*offset_p] - '0');
        if (digit > 9 || number > (UINT64_MAX - digit) / 10 || slice.data[start] == '0') {
            return 0;
        }
        number = number * 10 + digit;
    }
    *offset_p += 1;
    return number;
}

bool
yami_rpc_correlation_read(yami_rpc_correlation_t *self, yami_slice_t slice)
{
    size_t offset = YAMI_RPC_CALLER_SIZE;
    if (slice.size < offset || slice.size > offset + 1 + (size_t) 2 * NUMBER_DIGITS ||
        slice.data[offset - 1] != '.') {
        return false;
    }
    memcpy(self->caller, slice.data, YAMI_RPC_CALLER_SIZE - 1);
    self->caller[YAMI_RPC_CALLER_SIZE - 1] = '\0';
    self->number = s_read_number(slice, &offset, '.');
    uint64_t attempt = offset < slice.size ? s_read_number(slice, &offset, '\0') : 0;
    self->attempt = (uint32_t) attempt;
    return self->number > 0 && attempt > 0 && attempt <= UINT32_MAX;
}
