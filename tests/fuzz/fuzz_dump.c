//  What `yam dump` shows of an entry that somebody wrote into a store: its meta part as text, and
//  a body, as a row. In a shorter text the same begins; a row is one line, of JSON that says what
//  went into it, or of a table without a control character.

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fuzz.h"
#include "rows.h"
#include "values.h"
#include "yami_base.h"

#define S_LIMIT 4096 //  as yam dump has it

typedef struct {
    char text[S_LIMIT]; //  what the meta part is shown as
    size_t size;
    yami_slice_t body; //  borrowed
    int64_t time_ms;
} s_row_t;

static void
s_show_shorter(yami_slice_t meta, const s_row_t *row, size_t limit)
{
    char *text = yami_alloc(limit); //  so that a sanitizer sees who writes past it
    size_t size = cli_values_show(meta.data, meta.size, text, limit);
    YAM_ASSERT(size == (row->size < limit ? row->size : limit - 1));
    YAM_ASSERT(memcmp(text, row->text, size) == 0 && text[size] == '\0');
    yami_free(text);
}

static void
s_add(cli_rows_t *rows, const s_row_t *row)
{
    cli_rows_begin(rows);
    cli_rows_number(rows, "time", row->time_ms);
    cli_rows_text(rows, "meta", row->text, row->size);
    cli_rows_text(rows, "body", (const char *) row->body.data, row->body.size);
}

//  Of bytes that are no UTF-8 only that they are there by another name.
static void
s_expect_cell(const json_t *object, const char *name, const char *text, size_t size)
{
    char other[32];
    const json_t *cell = json_object_get(object, name);
    (void) snprintf(other, sizeof other, "%s-base64", name);
    YAM_ASSERT(cell != NULL || json_is_string(json_object_get(object, other)));
    if (cell != NULL) {
        YAM_ASSERT(json_string_length(cell) == size);
        YAM_ASSERT(size == 0 || memcmp(json_string_value(cell), text, size) == 0);
    }
}

static void
s_print_json(cli_rows_t *rows, const s_row_t *row)
{
    char *printed = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&printed, &size);
    YAM_ASSERT(out);
    s_add(rows, row);
    YAM_ASSERT(cli_rows_print_json(rows, true, out) == 0);
    (void) fclose(out);
    YAM_ASSERT(memchr(printed, '\n', size) == printed + size - 1);
    json_t *object = json_loadb(printed, size, JSON_ALLOW_NUL, NULL);
    YAM_ASSERT(object);
    s_expect_cell(object, "meta", row->text, row->size);
    s_expect_cell(object, "body", (const char *) row->body.data, row->body.size);
    json_decref(object);
    free(printed);
}

static void
s_print_table(cli_rows_t *rows, const s_row_t *row)
{
    char *printed = NULL;
    size_t size = 0;
    size_t lines = 0;
    FILE *out = open_memstream(&printed, &size);
    YAM_ASSERT(out);
    s_add(rows, row);
    YAM_ASSERT(cli_rows_print_table(rows, out) == 0);
    (void) fclose(out);
    for (size_t index = 0; index < size; index++) {
        unsigned char byte = (unsigned char) printed[index];
        YAM_ASSERT(byte == '\n' || (byte >= ' ' && byte != 127));
        lines += byte == '\n' ? 1 : 0;
    }
    YAM_ASSERT(lines == 2); //  the heading's, and its own
    free(printed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    s_row_t row;
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    size_t cut = fuzz_u16(&input);
    row.time_ms = (int64_t) fuzz_u64(&input);
    row.body = fuzz_bytes(&input, fuzz_u8(&input));
    size_t meta_size = fuzz_left(&input);
    uint8_t *copy = fuzz_copy(data + input.position, meta_size);
    row.size = cli_values_show(copy, meta_size, row.text, sizeof row.text);
    YAM_ASSERT(row.size < sizeof row.text && row.text[row.size] == '\0');
    s_show_shorter(yami_slice(copy, meta_size), &row, 1 + cut % (row.size + 2));
    cli_rows_t *rows = cli_rows_new();
    s_print_json(rows, &row);
    s_print_table(rows, &row);
    cli_rows_destroy(&rows);
    yami_free(copy);
    return 0;
}
