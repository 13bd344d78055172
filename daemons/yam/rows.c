//  The model is a jansson array of objects, which keep the order of their keys.

#include "rows.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <libsmartcols/libsmartcols.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

#include "format.h"
#include "yami_base.h"

#define S_CELL_LIMIT 60 //  bytes of a text cell in a table

struct cli_rows {
    json_t *array; //  owned
    json_t *row;   //  borrowed from array; the one that takes cells, or NULL
};

cli_rows_t *
cli_rows_new(void)
{
    cli_rows_t *self = yami_alloc(sizeof *self);
    self->array = json_array();
    YAM_ASSERT(self->array);
    return self;
}

void
cli_rows_destroy(cli_rows_t **self_p)
{
    if (*self_p) {
        json_decref((*self_p)->array);
        yami_free(*self_p);
        *self_p = NULL;
    }
}

void
cli_rows_begin(cli_rows_t *self)
{
    self->row = json_object();
    int rc = json_array_append_new(self->array, self->row);
    YAM_ASSERT(rc == 0);
}

static void
s_set(json_t *object, const char *column, json_t *value)
{
    int rc = json_object_set_new(object, column, value);
    YAM_ASSERT(rc == 0);
}

static void
s_set_base64(json_t *object, const char *column, const char *bytes, size_t size)
{
    char name[256];
    size_t length = sodium_base64_ENCODED_LEN(size, sodium_base64_VARIANT_ORIGINAL);
    char *text = yami_try_alloc(length, SIZE_MAX);
    YAM_ASSERT(text);
    (void) snprintf(name, sizeof name, "%s-base64", column);
    (void) sodium_bin2base64(text, length, (const unsigned char *) bytes, size,
                             sodium_base64_VARIANT_ORIGINAL);
    s_set(object, name, json_string(text));
    yami_free(text);
}

static void
s_set_text(json_t *object, const char *name, const char *text, size_t size)
{
    json_t *value = json_stringn(text, size);
    if (value) {
        s_set(object, name, value);
    } else {
        s_set_base64(object, name, text, size);
    }
}

void
cli_rows_text(cli_rows_t *self, const char *column, const char *text, size_t size)
{
    s_set_text(self->row, column, text ? text : "", size);
}

void
cli_rows_inner(cli_rows_t *self, const char *column, const char *name, const char *text,
               size_t size)
{
    json_t *inner = json_object_get(self->row, column);
    if (!inner) {
        inner = json_object();
        s_set(self->row, column, inner);
    }
    s_set_text(inner, name, text ? text : "", size);
}

void
cli_rows_number(cli_rows_t *self, const char *column, int64_t number)
{
    s_set(self->row, column, json_integer(number));
}

void
cli_rows_bool(cli_rows_t *self, const char *column, bool value)
{
    s_set(self->row, column, json_boolean(value));
}

//  The named cells of a row, as a new object.
static json_t *
s_choose(const json_t *row, const char *columns)
{
    json_t *chosen = json_object();
    YAM_ASSERT(chosen);
    for (size_t length; *columns; columns += length + (columns[length] == ' ')) {
        char name[64];
        length = strcspn(columns, " ");
        (void) snprintf(name, sizeof name, "%.*s", (int) length, columns);
        json_t *value = json_object_get(row, name);
        if (value) {
            s_set(chosen, name, json_incref(value));
        }
    }
    return chosen;
}

void
cli_rows_choose(cli_rows_t *self, const char *columns)
{
    for (size_t index = 0; index < json_array_size(self->array); index++) {
        json_t *chosen = s_choose(json_array_get(self->array, index), columns);
        int rc = json_array_set_new(self->array, index, chosen);
        YAM_ASSERT(rc == 0);
    }
    self->row = NULL;
}

//  -- JSON --------------------------------------------------------------------------------------

int
cli_rows_print_json(cli_rows_t *self, bool is_lines, FILE *out)
{
    size_t count = json_array_size(self->array);
    (void) fputs(is_lines ? "" : "[", out);
    for (size_t index = 0; index < count; index++) {
        bool is_last = index + 1 == count;
        (void) fputs(!is_lines && index == 0 ? "\n" : "", out);
        (void) json_dumpf(json_array_get(self->array, index), out, JSON_COMPACT);
        (void) fputs(is_lines || is_last ? "\n" : ",\n", out);
    }
    (void) fputs(is_lines ? "" : "]\n", out);
    (void) json_array_clear(self->array);
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

//  -- Tables ------------------------------------------------------------------------------------

static bool
s_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text);
    size_t size = strlen(end);
    return length >= size && strcmp(text + length - size, end) == 0;
}

static void
s_show_size(int64_t bytes, char *buffer, size_t size)
{
    static const char units[] = "BKMGTP";
    double shown = (double) bytes;
    size_t unit = 0;
    for (; shown >= 1024 && units[unit + 1]; unit++) {
        shown /= 1024;
    }
    (void) snprintf(buffer, size, unit == 0 ? "%.0f%c" : "%.1f%c", shown, units[unit]);
}

static void
s_show_duration(int64_t ms, char *buffer, size_t size)
{
    if (ms < 1000) {
        (void) snprintf(buffer, size, "%" PRId64 "ms", ms);
    } else if (ms < 120000) {
        (void) snprintf(buffer, size, "%.1fs", (double) ms / 1000);
    } else if (ms < 7200000) {
        (void) snprintf(buffer, size, "%" PRId64 "m", ms / 60000);
    } else {
        (void) snprintf(buffer, size, "%" PRId64 "h%02" PRId64 "m", ms / 3600000, ms / 60000 % 60);
    }
}

static void
s_show_number(const char *column, int64_t number, char *buffer, size_t size)
{
    if (s_ends_with(column, "-ms") && number >= 0) {
        s_show_duration(number, buffer, size);
    } else if (s_ends_with(column, "time")) {
        (void) cli_format_time(number, buffer, size);
    } else if (s_ends_with(column, "bytes") && number >= 0) {
        s_show_size(number, buffer, size);
    } else {
        (void) snprintf(buffer, size, "%" PRId64, number);
    }
}

//  A cell stays on one line: control characters become dots, and what is too long ends in "...".
static void
s_show_text(const char *text, char *buffer, size_t size)
{
    size_t length = strlen(text);
    size_t shown = length < S_CELL_LIMIT ? length : S_CELL_LIMIT;
    while (shown < length && shown > 0 && ((unsigned char) text[shown] & 0xC0) == 0x80) {
        shown--; //  not within a character
    }
    (void) snprintf(buffer, size, "%.*s%s", (int) shown, text, shown < length ? "..." : "");
    for (char *at = buffer; *at; at++) {
        if ((unsigned char) *at < ' ' || *at == 127) {
            *at = '.';
        }
    }
}

static void
s_show_inner(json_t *object, char *buffer, size_t size)
{
    char text[1024] = "";
    size_t used = 0;
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        int length = snprintf(text + used, sizeof text - used, "%s%s=%s", used > 0 ? ", " : "", key,
                              json_string_value(value));
        used += length > 0 && (size_t) length < sizeof text - used ? (size_t) length : 0;
    }
    s_show_text(text, buffer, size);
}

static void
s_show(const char *column, json_t *value, char *buffer, size_t size)
{
    buffer[0] = '\0';
    if (json_is_integer(value)) {
        s_show_number(column, json_integer_value(value), buffer, size);
    } else if (json_is_boolean(value)) {
        (void) snprintf(buffer, size, "%s", json_is_true(value) ? "yes" : "no");
    } else if (json_is_string(value)) {
        s_show_text(json_string_value(value), buffer, size);
    } else if (json_is_object(value)) {
        s_show_inner(value, buffer, size);
    }
}

//  "oldest-ms" is headed "oldest", since its cells say which unit, and "in-per-s" "in/s".
static void
s_show_heading(const char *column, char *buffer, size_t size)
{
    size_t length = strlen(column);
    if (s_ends_with(column, "-ms")) {
        (void) snprintf(buffer, size, "%.*s", (int) length - 3, column);
    } else if (s_ends_with(column, "-per-s")) {
        (void) snprintf(buffer, size, "%.*s/s", (int) length - 6, column);
    } else {
        (void) snprintf(buffer, size, "%s", column);
    }
}

//  One for each key of any row, in the order of their coming, as an object of that key's first
//  value. Numbers stand at the right.
static json_t *
s_add_columns(struct libscols_table *table, json_t *array)
{
    size_t index;
    json_t *row;
    json_t *columns = json_object();
    json_array_foreach(array, index, row)
    {
        int rc = json_object_update_missing(columns, row);
        YAM_ASSERT(rc == 0);
    }
    const char *key;
    json_t *value;
    json_object_foreach(columns, key, value)
    {
        char heading[S_CELL_LIMIT + 8];
        s_show_heading(key, heading, sizeof heading);
        bool is_added =
            scols_table_new_column(table, heading, 0, json_is_integer(value) ? SCOLS_FL_RIGHT : 0);
        YAM_ASSERT(is_added);
    }
    return columns;
}

static void
s_add_line(struct libscols_table *table, json_t *columns, json_t *row)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    YAM_ASSERT(line);
    size_t index = 0;
    const char *key;
    json_t *value;
    json_object_foreach(columns, key, value)
    {
        char cell[S_CELL_LIMIT + 8];
        s_show(key, json_object_get(row, key), cell, sizeof cell);
        (void) scols_line_set_data(line, index++, cell);
    }
}

int
cli_rows_print_table(cli_rows_t *self, FILE *out)
{
    size_t index;
    json_t *row;
    struct libscols_table *table = scols_new_table();
    YAM_ASSERT(table);
    (void) scols_table_set_stream(table, out);
    (void) scols_table_enable_minout(table, 1); //  no blanks at the end of a line
    json_t *columns = s_add_columns(table, self->array);
    json_array_foreach(self->array, index, row)
    {
        s_add_line(table, columns, row);
    }
    if (json_array_size(self->array) > 0) {
        (void) scols_print_table(table);
    }
    json_decref(columns);
    scols_unref_table(table);
    (void) json_array_clear(self->array);
    return fflush(out) == 0 && !ferror(out) ? 0 : -1;
}

int
cli_rows_print_list(cli_rows_t *self, FILE *out)
{
    size_t index;
    json_t *row;
    cli_rows_t *list = cli_rows_new();
    json_array_foreach(self->array, index, row)
    {
        const char *key;
        json_t *value;
        json_object_foreach(row, key, value)
        {
            char cell[S_CELL_LIMIT + 8];
            s_show(key, value, cell, sizeof cell);
            cli_rows_begin(list);
            cli_rows_text(list, "what", key, strlen(key));
            cli_rows_text(list, "value", cell, strlen(cell));
        }
    }
    int rc = cli_rows_print_table(list, out);
    cli_rows_destroy(&list);
    (void) json_array_clear(self->array);
    return rc;
}
