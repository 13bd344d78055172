//  The golden bytes in tests/vectors are what encoders write and decoders read.
//  YAM_WRITE_VECTORS=1 writes the files instead: look at the difference before you commit it, since
//  every change in them is a change of the protocol.

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "wire_samples.h"
#include "yami_base.h"

#define FOLDER "tests/vectors/"
#define FILE_LIMIT 4096 //  bytes of one golden frame

//  Writes size bytes as hex and a comment; returns how many.
static size_t
s_write(FILE *file, const uint8_t *bytes, size_t size, const char *comment)
{
    for (size_t index = 0; index < size; index++) {
        fprintf(file, "%02x%s", bytes[index],
                index + 1 == size  ? ""
                : index % 16 == 15 ? "\n"
                                   : " ");
    }
    fprintf(file, "%s# %s\n", size > 0 ? "  " : "", comment);
    return size;
}

static void
s_write_frame(FILE *file, const yami_block_t *block)
{
    const uint8_t *at = block->data;
    at += s_write(file, at, 4, "magic \"YAML\"");
    at += s_write(file, at, 1, "version");
    at += s_write(file, at, 1, yami_frame_type_name(*at));
    at += s_write(file, at, 2, "zero");
    at += s_write(file, at, 4, "handle");
    at += s_write(file, at, 4, "size of the map");
    yami_reader_t reader;
    yami_reader_init(&reader, at, block->size - YAMI_FRAME_HEADER_SIZE);
    uint32_t count = yami_reader_map(&reader);
    s_write(file, at, reader.position, "map");
    while (count-- > 0) {
        size_t start = reader.position;
        char comment[64];
        yami_slice_t key = yami_reader_str(&reader);
        snprintf(comment, sizeof comment, "%.*s", (int) key.size, (const char *) key.data);
        yami_reader_skip(&reader);
        s_write(file, at + start, reader.position - start, comment);
    }
}

static void
s_write_batch(FILE *file, const yami_block_t *block)
{
    static const struct {
        size_t size;
        const char *comment;
    } parts[] = {{4, "magic \"YAMB\""},
                 {1, "version"},
                 {1, "flags"},
                 {2, "zero"},
                 {4, "size of the payload"},
                 {4, "count"},
                 {4, "handle"},
                 {4, "epoch"},
                 {16, "producer"},
                 {8, "first sequence"},
                 {4, "CRC32C of the payload"},
                 {4, "CRC32C of the 52 bytes so far"}};
    const uint8_t *at = block->data;
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++) {
        at += s_write(file, at, parts[index].size, parts[index].comment);
    }
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    size_t offset = 0;
    yami_record_t record;
    while (offset < batch.payload.size) {
        assert_int_equal(yami_batch_next(&batch, &offset, &record), 0);
        at += s_write(file, at, 4, "record: size of the body");
        at += s_write(file, at, 2, "size of the properties");
        at += s_write(file, at, 1, "flags");
        at += s_write(file, at, 1, "priority");
        at += s_write(file, at, 4, "key hash");
        at += record.flags & YAMI_RECORD_DUE ? s_write(file, at, 8, "due") : 0;
        at += record.flags & YAMI_RECORD_EXPIRY ? s_write(file, at, 8, "expiry") : 0;
        if (record.properties.size > 0) {
            at += s_write(file, at, record.properties.size, "properties");
        }
        if (record.body.size > 0) {
            at += s_write(file, at, record.body.size, "body");
        }
    }
}

static FILE *
s_open(const char *name, const char *mode)
{
    char path[128];
    snprintf(path, sizeof path, FOLDER "%s.hex", name);
    FILE *file = fopen(path, mode);
    if (file == NULL) {
        fail_msg("cannot open %s (run from the top of the tree)", path);
    }
    return file;
}

//  Reads a golden file: two digits a byte, '#' begins a comment.
static size_t
s_read(const char *name, uint8_t *bytes)
{
    FILE *file = s_open(name, "r");
    char line[256];
    size_t size = 0;
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "#")] = 0;
        char *at = line;
        char *end;
        unsigned long value;
        while (value = strtoul(at, &end, 16), end != at) {
            assert_true(end - at <= 3 && value <= UINT8_MAX && size < FILE_LIMIT);
            bytes[size++] = (uint8_t) value;
            at = end;
        }
    }
    fclose(file);
    return size;
}

static void
s_compare_or_write(const char *name, const char *what, const yami_block_t *block,
                   void (*write)(FILE *, const yami_block_t *))
{
    if (getenv("YAM_WRITE_VECTORS") != NULL) {
        FILE *file = s_open(name, "w");
        fprintf(file, "# %s: %s\n", name, what);
        write(file, block);
        fclose(file);
    }
    uint8_t golden[FILE_LIMIT];
    size_t size = s_read(name, golden);
    if (size != block->size || memcmp(golden, block->data, size) != 0) {
        fail_msg("%s: encoded bytes are not those of " FOLDER "%s.hex", name, name);
    }
}

static void
test_each_frame_sample_encodes_to_its_golden_bytes(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        const wire_frame_sample_t *sample = &wire_frame_samples[index];
        yami_block_t *block = yami_frame_encode(&sample->frame);
        assert_non_null(block);
        s_compare_or_write(sample->name, sample->what, block, s_write_frame);
        yami_block_unref(&block);
    }
}

static void
test_each_golden_frame_decodes_to_its_sample(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        uint8_t golden[FILE_LIMIT];
        yami_frame_t frame;
        size_t size = s_read(wire_frame_samples[index].name, golden);
        assert_int_equal(yami_frame_decode(&frame, golden, size), 0);
        wire_assert_frame(&frame, &wire_frame_samples[index].frame);
    }
}

static void
test_each_frame_type_has_a_golden_file(void **state)
{
    (void) state;
    for (unsigned type = YAMI_FRAME_HELLO; type <= YAMI_FRAME_GOODBYE; type++) {
        bool is_there = false;
        for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
            is_there = is_there || wire_frame_samples[index].frame.type == type;
        }
        assert_true(is_there);
    }
}

static void
test_each_batch_sample_encodes_to_its_golden_bytes(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_BATCH_SAMPLE_COUNT; index++) {
        const wire_batch_sample_t *sample = &wire_batch_samples[index];
        yami_block_t *block = wire_batch_sample_encode(sample);
        s_compare_or_write(sample->name, sample->what, block, s_write_batch);
        yami_block_unref(&block);
    }
}

static void
test_each_golden_batch_decodes_to_its_sample(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_BATCH_SAMPLE_COUNT; index++) {
        uint8_t golden[FILE_LIMIT];
        size_t size = s_read(wire_batch_samples[index].name, golden);
        yami_block_t *block = yami_block_copy(golden, size, sizeof golden);
        wire_assert_batch(block, &wire_batch_samples[index]);
        yami_block_unref(&block);
    }
}

static void
test_a_key_of_the_samples_has_the_hash_they_carry(void **state)
{
    (void) state;
    assert_int_equal(yami_key_hash("customer-7", 10), wire_batch_samples[1].records[0].key_hash);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_frame_sample_encodes_to_its_golden_bytes),
        cmocka_unit_test(test_each_golden_frame_decodes_to_its_sample),
        cmocka_unit_test(test_each_frame_type_has_a_golden_file),
        cmocka_unit_test(test_each_batch_sample_encodes_to_its_golden_bytes),
        cmocka_unit_test(test_each_golden_batch_decodes_to_its_sample),
        cmocka_unit_test(test_a_key_of_the_samples_has_the_hash_they_carry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
