//  yami_frame - control frames to bytes and back. See the header; the tables are in frame_table.c.

#include "yami_frame.h"

#include <errno.h>
#include <string.h>

#include "yam_status.h"
#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_frame_table.h"
#include "yami_limits.h"
#include "yami_writer.h"

#define S_KEY_MOST 12u //  bytes of the longest key of a field

static bool
s_has_magic(const void *data, size_t size, uint32_t magic)
{
    return size >= 4 && yami_get_u32(data) == magic;
}

bool
yami_frame_is_control(const void *data, size_t size)
{
    return s_has_magic(data, size, YAMI_FRAME_MAGIC);
}

bool
yami_frame_is_batch(const void *data, size_t size)
{
    return s_has_magic(data, size, YAMI_BATCH_MAGIC);
}

static const yami_frame_rule_t *
s_rule(uint8_t type)
{
    if (type >= YAMI_FRAME_TYPE_COUNT || yami_frame_rules[type].name == NULL) {
        return NULL;
    }
    return &yami_frame_rules[type];
}

const char *
yami_frame_type_name(uint8_t type)
{
    const yami_frame_rule_t *rule = s_rule(type);
    return rule == NULL ? "UNKNOWN" : rule->name;
}

//  The value of a field that travels as an unsigned integer.
static uint64_t
s_uint(const yami_frame_t *self, const yami_frame_field_t *field)
{
    uint64_t value;
    memcpy(&value, (const uint8_t *) self + field->offset, sizeof value);
    return value;
}

static uint64_t
s_uint_by_bit(const yami_frame_t *self, uint64_t bit)
{
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        if (yami_frame_fields[index].bit == bit) {
            return s_uint(self, &yami_frame_fields[index]);
        }
    }
    YAM_ASSERT(!"a field of the table");
    return 0;
}

//  All fields that this frame must have, by its type and by what it says.
static uint64_t
s_required(const yami_frame_t *self, const yami_frame_rule_t *rule)
{
    uint64_t required = rule->required;
    for (size_t index = 0; index < YAMI_FRAME_CONDITION_COUNT; index++) {
        const yami_frame_condition_t *condition = &yami_frame_conditions[index];
        if (condition->type == self->type && (self->present & condition->bit) &&
            s_uint_by_bit(self, condition->bit) == condition->value) {
            required |= condition->required;
        }
    }
    return required;
}

//  Whether fields, and handle, are as the tables want them, and agree with each other.
static bool
s_is_complete(const yami_frame_t *self, const yami_frame_rule_t *rule)
{
    uint64_t required = s_required(self, rule);
    if ((self->present & required) != required ||
        (self->present & ~(rule->required | rule->optional)) != 0) {
        return false;
    }
    if (rule->handle != YAMI_HANDLE_ANY &&
        (self->handle != 0) != (rule->handle == YAMI_HANDLE_REQUIRED)) {
        return false;
    }
    bool is_refusal = self->type == YAMI_FRAME_REFUSE || self->type == YAMI_FRAME_ERROR;
    if (is_refusal && self->status == YAM_STATUS_OK) {
        return false;
    }
    bool has_both = (self->present & YAMI_F_FIRST) && (self->present & YAMI_F_LAST);
    bool has_base = (self->present & YAMI_F_BASE) != 0;
    return (!has_both || self->first <= self->last) && (!has_base || self->base <= self->first);
}

//  One triple; false, with the reader failed, when there is none or it is out of range.
static bool
s_read_range(yami_reader_t *reader, yami_settle_t *range)
{
    range->token = yami_reader_uint(reader);
    range->first = yami_reader_uint(reader);
    range->last = yami_reader_uint(reader);
    if (range->token == 0 || range->first == 0 || range->first > range->last ||
        range->last > YAMI_LIMIT_SEQUENCE) {
        yami_reader_fail(reader);
    }
    return !reader->failed;
}

static void
s_read_ranges(yami_frame_t *self, const yami_frame_field_t *field, yami_reader_t *reader)
{
    uint32_t item_count = yami_reader_array(reader);
    uint32_t count = item_count / 3;
    if (item_count % 3 != 0 || count < field->minimum || count > field->maximum) {
        yami_reader_fail(reader);
        return;
    }
    size_t start = reader->position;
    yami_settle_t range;
    for (uint32_t index = 0; index < count && s_read_range(reader, &range); index++) {
    }
    if (!reader->failed) {
        self->encoded_ranges = yami_slice(reader->data + start, reader->position - start);
        self->range_count = count;
    }
}

bool
yami_frame_range(const yami_frame_t *self, size_t *offset_p, yami_settle_t *range)
{
    YAM_ASSERT(*offset_p <= self->encoded_ranges.size);
    if (*offset_p == self->encoded_ranges.size) {
        return false;
    }
    yami_reader_t reader;
    yami_reader_init(&reader, self->encoded_ranges.data, self->encoded_ranges.size);
    reader.position = *offset_p;
    bool is_sound = s_read_range(&reader, range);
    YAM_ASSERT(is_sound); //  decode has read the same bytes
    *offset_p = reader.position;
    return true;
}

//  Reads the value of a known field into the struct, or fails the reader.
static void
s_read_field(yami_frame_t *self, const yami_frame_field_t *field, yami_reader_t *reader)
{
    uint8_t *at = (uint8_t *) self + field->offset;
    uint64_t measure = 0; //  what minimum and maximum speak of
    yami_slice_t slice;
    switch (field->type) {
    case YAMI_FIELD_UINT:
        measure = yami_reader_uint(reader);
        memcpy(at, &measure, sizeof measure);
        break;
    case YAMI_FIELD_BOOL:
        measure = yami_reader_bool(reader);
        *(bool *) at = measure != 0;
        break;
    case YAMI_FIELD_STR:
    case YAMI_FIELD_BIN:
        slice = field->type == YAMI_FIELD_STR ? yami_reader_str(reader) : yami_reader_bin(reader);
        measure = slice.size;
        memcpy(at, &slice, sizeof slice);
        break;
    case YAMI_FIELD_ID:
        slice = yami_reader_bin(reader);
        measure = slice.size;
        if (measure == sizeof(yami_id_t)) {
            memcpy(at, slice.data, sizeof(yami_id_t));
        }
        break;
    case YAMI_FIELD_RANGES:
        s_read_ranges(self, field, reader);
        measure = self->range_count;
        break;
    }
    if (measure < field->minimum || measure > field->maximum) {
        yami_reader_fail(reader);
    }
}

//  The field of that key among those of wanted bits, NULL when it is none of them. Looks first
//  behind the last hit, since encoders write in the table's order.
static const yami_frame_field_t *
s_find_field(yami_slice_t key, uint64_t wanted, size_t *hint_p)
{
    for (size_t step = 0; step < YAMI_FRAME_FIELD_COUNT; step++) {
        size_t index = (*hint_p + step) % YAMI_FRAME_FIELD_COUNT;
        const yami_frame_field_t *field = &yami_frame_fields[index];
        if ((wanted & field->bit) && yami_slice_equal(key, field->key)) {
            *hint_p = index + 1;
            return field;
        }
    }
    return NULL;
}

//  The bits of the wanted fields by the size of their keys.
static void
s_sort(uint64_t wanted, uint64_t bits[S_KEY_MOST + 1])
{
    memset(bits, 0, (S_KEY_MOST + 1) * sizeof bits[0]);
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        const yami_frame_field_t *field = &yami_frame_fields[index];
        size_t size = strlen(field->key);
        YAM_ASSERT(size <= S_KEY_MOST);
        bits[size] |= wanted & field->bit;
    }
}

//  Reads the map. Fields of other types are skipped like unknown ones: a later version may give
//  them a meaning here. There can be some 30,000 of them: to look each up among all would take
//  milliseconds.
static void
s_read_map(yami_frame_t *self, uint64_t wanted, yami_reader_t *reader)
{
    size_t hint = 0;
    uint32_t pair_count = yami_reader_map(reader);
    bool is_wide = pair_count > YAMI_FRAME_FIELD_COUNT;
    uint64_t bits[S_KEY_MOST + 1];
    if (is_wide) {
        s_sort(wanted, bits);
    }
    for (uint32_t index = 0; index < pair_count && !reader->failed; index++) {
        yami_slice_t key = yami_reader_str(reader);
        uint64_t possible = !is_wide ? wanted : key.size <= S_KEY_MOST ? bits[key.size] : 0;
        const yami_frame_field_t *field = possible != 0 ? s_find_field(key, possible, &hint) : NULL;
        if (field == NULL) {
            yami_reader_skip(reader);
            continue;
        }
        if (self->present & field->bit) {
            yami_reader_fail(reader);
            return;
        }
        self->present |= field->bit;
        s_read_field(self, field, reader);
    }
}

static int
s_error(int error)
{
    errno = error;
    return -1;
}

int
yami_frame_decode(yami_frame_t *self, const void *data, size_t size)
{
    const uint8_t *at = data;
    memset(self, 0, sizeof *self);
    if (size < YAMI_FRAME_HEADER_SIZE || !yami_frame_is_control(data, size)) {
        return s_error(EPROTO);
    }
    self->type = at[5];
    self->handle = yami_get_u32(at + 8);
    if (at[4] != YAMI_FRAME_VERSION) {
        return s_error(EPROTONOSUPPORT);
    }
    if (size > (self->type == YAMI_FRAME_REPLY ? YAMI_LIMIT_REPLY : YAMI_LIMIT_CONTROL)) {
        return s_error(EMSGSIZE);
    }
    if (yami_get_u16(at + 6) != 0 || yami_get_u32(at + 12) != size - YAMI_FRAME_HEADER_SIZE) {
        return s_error(EPROTO);
    }
    const yami_frame_rule_t *rule = s_rule(self->type);
    yami_reader_t reader;
    yami_reader_init(&reader, at + YAMI_FRAME_HEADER_SIZE, size - YAMI_FRAME_HEADER_SIZE);
    s_read_map(self, rule == NULL ? 0 : rule->required | rule->optional, &reader);
    if (yami_reader_finish(&reader) == -1) {
        return -1;
    }
    if (rule == NULL) {
        return s_error(EOPNOTSUPP);
    }
    return s_is_complete(self, rule) ? 0 : s_error(EPROTO);
}

static void
s_write_ranges(const yami_frame_t *self, yami_writer_t *writer)
{
    yami_writer_array(writer, 3 * self->range_count);
    for (uint32_t index = 0; index < self->range_count; index++) {
        const yami_settle_t *range = &self->ranges[index];
        YAM_ASSERT(range->token > 0 && range->first > 0 && range->first <= range->last);
        yami_writer_uint(writer, range->token);
        yami_writer_uint(writer, range->first);
        yami_writer_uint(writer, range->last);
    }
}

//  Number, bytes or triples of a field to encode: what minimum and maximum speak of.
static uint64_t
s_measure(const yami_frame_t *self, const yami_frame_field_t *field)
{
    yami_slice_t slice;
    switch (field->type) {
    case YAMI_FIELD_UINT:
        return s_uint(self, field);
    case YAMI_FIELD_STR:
    case YAMI_FIELD_BIN:
        memcpy(&slice, (const uint8_t *) self + field->offset, sizeof slice);
        return slice.size;
    case YAMI_FIELD_RANGES:
        return self->range_count;
    default:
        return field->minimum;
    }
}

static void
s_write_field(const yami_frame_t *self, const yami_frame_field_t *field, yami_writer_t *writer)
{
    const uint8_t *at = (const uint8_t *) self + field->offset;
    yami_slice_t slice = {NULL, 0};
    if (field->type == YAMI_FIELD_STR || field->type == YAMI_FIELD_BIN) {
        memcpy(&slice, at, sizeof slice);
    }
    yami_writer_str(writer, field->key);
    switch (field->type) {
    case YAMI_FIELD_UINT:
        yami_writer_uint(writer, s_uint(self, field));
        break;
    case YAMI_FIELD_BOOL:
        yami_writer_bool(writer, *(const bool *) at);
        break;
    case YAMI_FIELD_STR:
        yami_writer_str_slice(writer, slice.data, slice.size);
        break;
    case YAMI_FIELD_BIN:
        yami_writer_bin(writer, slice.data, slice.size);
        break;
    case YAMI_FIELD_ID:
        yami_writer_bin(writer, at, sizeof(yami_id_t));
        break;
    case YAMI_FIELD_RANGES:
        s_write_ranges(self, writer);
        break;
    }
}

//  Writes the map. 0, or -1 with errno EMSGSIZE or EINVAL: a field out of its range.
static int
s_write_map(const yami_frame_t *self, yami_writer_t *writer)
{
    yami_writer_map(writer, (uint32_t) __builtin_popcountll(self->present));
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        const yami_frame_field_t *field = &yami_frame_fields[index];
        if ((self->present & field->bit) == 0) {
            continue;
        }
        uint64_t measure = s_measure(self, field);
        if (measure < field->minimum || measure > field->maximum) {
            return yami_fail(field->type == YAMI_FIELD_UINT ? EINVAL : EMSGSIZE,
                             "%s: %s is %llu, allowed is %llu to %llu",
                             yami_frame_type_name(self->type), field->key,
                             (unsigned long long) measure, (unsigned long long) field->minimum,
                             (unsigned long long) field->maximum);
        }
        s_write_field(self, field, writer);
    }
    return 0;
}

yami_block_t *
yami_frame_encode(const yami_frame_t *self)
{
    const yami_frame_rule_t *rule = s_rule(self->type);
    YAM_ASSERT(rule != NULL && s_is_complete(self, rule));
    yami_writer_t writer;
    yami_writer_init(&writer,
                     self->type == YAMI_FRAME_REPLY ? YAMI_LIMIT_REPLY : YAMI_LIMIT_CONTROL);
    yami_writer_u32(&writer, YAMI_FRAME_MAGIC);
    yami_writer_u8(&writer, YAMI_FRAME_VERSION);
    yami_writer_u8(&writer, self->type);
    yami_writer_u16(&writer, 0);
    yami_writer_u32(&writer, self->handle);
    yami_writer_u32(&writer, 0); //  size of the map, known in the end
    if (s_write_map(self, &writer) == -1) {
        yami_writer_clear(&writer);
        return NULL;
    }
    if (writer.failed == 0) {
        yami_put_u32(writer.data + 12, (uint32_t) (writer.size - YAMI_FRAME_HEADER_SIZE));
    }
    return yami_writer_finish(&writer);
}
