//  yami_properties - the optional properties of one message. See the header.

#include "yami_properties.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"

int
yami_properties_start(yami_properties_t *self, yami_slice_t encoded)
{
    yami_reader_init(&self->reader, encoded.data, encoded.size);
    self->left = 0;
    if (encoded.size == 0) {
        return 0;
    }
    self->left = yami_reader_map(&self->reader);
    if (self->left > YAMI_LIMIT_PROPERTY_COUNT) {
        yami_reader_fail(&self->reader);
    }
    if (self->reader.failed) {
        self->left = 0;
        errno = EPROTO;
        return -1;
    }
    return 0;
}

//  Reads the value of a pair.
static void
s_value(yami_reader_t *reader, yami_property_t *property)
{
    property->type = yami_reader_peek(reader);
    property->text = yami_slice(NULL, 0);
    property->number = 0;
    switch (property->type) {
    case 's':
    case 'x':
        property->text = yami_reader_text(reader);
        break;
    case 'i':
        property->number = yami_reader_int(reader);
        break;
    case 'b':
        property->number = yami_reader_bool(reader);
        break;
    default:
        yami_reader_fail(reader);
    }
}

int
yami_properties_next(yami_properties_t *self, yami_property_t *property)
{
    if (self->left == 0) {
        return yami_reader_finish(&self->reader);
    }
    property->name = yami_reader_str(&self->reader);
    s_value(&self->reader, property);
    if (self->reader.failed) {
        self->left = 0; //  the walk is over, and each further call says EPROTO
        errno = EPROTO;
        return -1;
    }
    self->left--;
    return 1;
}

void
yami_properties_write(yami_writer_t *writer, const yami_property_t *property)
{
    yami_writer_str_slice(writer, property->name.data, property->name.size);
    switch (property->type) {
    case 's':
        yami_writer_str_slice(writer, property->text.data, property->text.size);
        break;
    case 'x':
        yami_writer_bin(writer, property->text.data, property->text.size);
        break;
    case 'b':
        yami_writer_bool(writer, property->number != 0);
        break;
    default:
        yami_writer_int(writer, property->number);
        break;
    }
}

bool
yami_properties_find(yami_slice_t encoded, const char *name, yami_property_t *property)
{
    yami_properties_t walk;
    yami_property_t current = {.type = 0};
    bool is_found = false;
    if (yami_properties_start(&walk, encoded) == -1) {
        return false;
    }
    int rc;
    while ((rc = yami_properties_next(&walk, &current)) == 1) {
        if (yami_slice_equal(current.name, name)) {
            *property = current;
            is_found = true;
        }
    }
    return rc == 0 && is_found;
}

int
yami_name_check(yami_slice_t name, const char *what)
{
    if (name.size == 0 || name.size > YAMI_LIMIT_NAME) {
        return yami_fail(EINVAL, "%s: a name has 1 to %u bytes, this one %zu", what,
                         YAMI_LIMIT_NAME, name.size);
    }
    if (name.data[0] == '.') {
        return yami_fail(EINVAL, "%s: a name does not start with '.'", what);
    }
    for (size_t index = 0; index < name.size; index++) {
        uint8_t byte = name.data[index];
        bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
        bool is_digit = byte >= '0' && byte <= '9';
        if (!is_letter && !is_digit && (byte == 0 || strchr(".-_:/", byte) == NULL)) {
            return yami_fail(EINVAL,
                             "%s: byte %zu of the name is 0x%02x; allowed are letters, digits "
                             "and . - _ : /",
                             what, index, byte);
        }
    }
    return 0;
}

int
yami_delayed_name_check(yami_slice_t name)
{
    return name.size <= YAMI_LIMIT_DELAYED_NAME
               ? 0
               : yami_fail(ENAMETOOLONG,
                           "a channel's name of %zu bytes is too long for delayed messages, which "
                           "wait in NAME.delayed (%u is the most)",
                           name.size, YAMI_LIMIT_DELAYED_NAME);
}

yami_slice_t
yami_properties_add(yami_writer_t *writer, yami_slice_t encoded, const char *name,
                    const char *value)
{
    yami_reader_t reader;
    yami_reader_init(&reader, encoded.data, encoded.size);
    uint32_t count = encoded.size > 0 ? yami_reader_map(&reader) : 0;
    writer->size = 0; //  its memory stays: one allocation for all messages
    writer->failed = 0;
    yami_writer_map(writer, count + 1);
    yami_writer_bytes(writer, encoded.data + reader.position, encoded.size - reader.position);
    yami_writer_str(writer, name);
    yami_writer_str(writer, value);
    if (reader.failed || writer->failed != 0) {
        errno = reader.failed ? EPROTO : writer->failed;
        return yami_slice(NULL, 0);
    }
    return yami_slice(writer->data, writer->size);
}
