#include "values.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_reader.h"

typedef struct {
    yami_reader_t reader;
    unsigned depth; //  of what is being shown
    char *text;     //  borrowed
    size_t size;    //  of text, without the NUL
    size_t used;    //  up to size
} s_show_t;

static bool
s_is_over(const s_show_t *self)
{
    return self->reader.failed || self->used == self->size;
}

//  What does not fit is left out, and so is what was read behind the end.
static void
s_put(s_show_t *self, const void *bytes, size_t size)
{
    size_t left = self->size - self->used;
    if (!self->reader.failed && size > 0) {
        memcpy(self->text + self->used, bytes, size < left ? size : left);
        self->used += size < left ? size : left;
    }
}

static void
s_put_text(s_show_t *self, const char *text)
{
    s_put(self, text, strlen(text));
}

static void
s_put_slice(s_show_t *self, yami_slice_t slice)
{
    s_put(self, slice.data, slice.size);
}

static void
s_put_integer(s_show_t *self)
{
    char digits[32];
    yami_reader_t before = self->reader;
    uint64_t number = yami_reader_uint(&self->reader);
    if (self->reader.failed) { //  perhaps it is negative
        self->reader = before;
        (void) snprintf(digits, sizeof digits, "%" PRId64, yami_reader_int(&self->reader));
    } else {
        (void) snprintf(digits, sizeof digits, "%" PRIu64, number);
    }
    s_put_text(self, digits);
}

static void
s_put_bytes(s_show_t *self, yami_slice_t slice)
{
    s_put_text(self, "x'");
    for (size_t index = 0; index < slice.size && !s_is_over(self); index++) {
        char digits[3];
        (void) snprintf(digits, sizeof digits, "%02x", slice.data[index]);
        s_put_text(self, digits);
    }
    s_put_text(self, "'");
}

static void
s_put_value(s_show_t *self);

static void
s_put_items(s_show_t *self, bool is_map)
{
    uint32_t count = is_map ? yami_reader_map(&self->reader) : yami_reader_array(&self->reader);
    if (++self->depth > YAMI_LIMIT_DEPTH) {
        yami_reader_fail(&self->reader);
    }
    s_put_text(self, is_map ? "{" : "[");
    for (uint32_t index = 0; index < count && !s_is_over(self); index++) {
        s_put_text(self, index > 0 ? ", " : "");
        if (is_map) {
            s_put_value(self);
            s_put_text(self, ": ");
        }
        s_put_value(self);
    }
    s_put_text(self, is_map ? "}" : "]");
    self->depth--;
}

static void
s_put_value(s_show_t *self)
{
    char type = yami_reader_peek(&self->reader);
    switch (type) {
    case 'i':
        s_put_integer(self);
        break;
    case 'b':
        s_put_text(self, yami_reader_bool(&self->reader) ? "true" : "false");
        break;
    case 's':
        s_put_slice(self, yami_reader_str(&self->reader));
        break;
    case 'x':
        s_put_bytes(self, yami_reader_bin(&self->reader));
        break;
    case 'm':
    case 'a':
        s_put_items(self, type == 'm');
        break;
    default:
        yami_reader_skip(&self->reader);
        s_put_text(self, type == 'n' ? "nil" : "?");
    }
}

size_t
cli_values_show(const void *bytes, size_t size, char *text, size_t limit)
{
    YAM_ASSERT(limit > 0);
    s_show_t self = {.text = text, .size = limit - 1};
    yami_reader_init(&self.reader, bytes, size);
    while (yami_reader_left(&self.reader) > 0 && !s_is_over(&self)) {
        s_put_value(&self);
    }
    text[self.used] = '\0';
    return self.used;
}
