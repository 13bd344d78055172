//  What the background reading after open finds, in a log whose older segments open did not read.
//  The oracle is verify: a scrub tells the same ranges, to the byte and the sequence.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log_model.h"
#include "yami_base.h"
#include "yami_log_state.h"

#define SEGMENT_1 "0000000000000001.seg"
#define DAMAGE_LIMIT 256

typedef struct {
    yami_damage_t items[DAMAGE_LIMIT];
    size_t count;
} s_damages_t;

static void
s_note(void *arg, const yami_damage_t *damage)
{
    s_damages_t *self = arg;
    assert_true(self->count < DAMAGE_LIMIT);
    self->items[self->count++] = *damage;
}

//  A closed log of several segments, of two channels, with checkpoints: open skips most of it.
static sim_disk_t *
s_build(log_model_t *model)
{
    sim_disk_t *disk = sim_disk_new(1);
    log_model_init(model, disk);
    assert_true(log_model_open(model));
    for (int round = 0; round < 40; round++) {
        assert_int_equal(log_model_append(model, 1 + (uint32_t) round % 2, 2, 20, 6000), 0);
        assert_int_equal(log_model_append(model, 0, 0, 40, 0), 0);
        assert_int_equal(log_model_commit(model), 1);
        if (model->store->ops->wants_checkpoint(model->store)) {
            assert_int_equal(log_model_checkpoint(model), 0);
        }
    }
    assert_int_equal(model->store->ops->close(&model->store), 0);
    model->options.scan_bytes = 0;
    return disk;
}

static void
s_end(log_model_t *model, sim_disk_t *disk)
{
    log_model_clear(model);
    sim_disk_destroy(&disk);
}

static yami_store_t *
s_open(sim_disk_t *disk, const yami_log_options_t *options, s_damages_t *at_start)
{
    yami_store_t *store =
        yami_segment_log_open(sim_disk_attach(disk), options, NULL, s_note, at_start);
    assert_non_null(store);
    return store;
}

//  All that is told until it is done.
static yami_scrub_progress_t
s_scrub(yami_store_t *store, s_damages_t *told)
{
    yami_scrub_progress_t progress = {0};
    yami_damage_t damage;
    while (!progress.is_done) {
        if (store->ops->scrub(store, &progress, &damage)) {
            s_note(told, &damage);
        }
    }
    return progress;
}

static void
s_verify(sim_disk_t *disk, s_damages_t *damages)
{
    yami_disk_t *attached = sim_disk_attach(disk);
    assert_true(yami_segment_log_verify(attached, NULL, s_note, damages) >= 0);
    attached->destroy(&attached);
}

static void
s_assert_same(const s_damages_t *expected, const s_damages_t *found)
{
    assert_int_equal(found->count, expected->count);
    for (size_t index = 0; index < found->count; index++) {
        const yami_damage_t *left = &expected->items[index];
        const yami_damage_t *right = &found->items[index];
        assert_int_equal(right->segment, left->segment);
        assert_int_equal(right->offset, left->offset);
        assert_int_equal(right->size, left->size);
        assert_int_equal(right->first_lsn, left->first_lsn);
        assert_int_equal(right->last_lsn, left->last_lsn);
        assert_int_equal(right->channel, left->channel);
        assert_int_equal(right->first, left->first);
        assert_int_equal(right->last, left->last);
        assert_string_equal(right->what, left->what);
    }
}

static void
test_sound_log_is_read_to_its_end_and_nothing_told(void **state)
{
    (void) state;
    log_model_t model;
    sim_disk_t *disk = s_build(&model);
    s_damages_t at_start = {0};
    s_damages_t told = {0};
    yami_store_t *store = s_open(disk, &model.options, &at_start);
    yami_scrub_progress_t progress = s_scrub(store, &told);
    assert_int_equal(at_start.count + told.count, 0);
    assert_true(progress.read_bytes > 2 * model.options.segment_bytes);
    assert_int_equal(progress.left_bytes, 0);
    assert_int_equal(progress.damaged_ranges + progress.unread_segments, 0);
    assert_int_equal(store->ops->close(&store), 0);
    s_end(&model, disk);
}

//  A byte here and there of a segment: payloads, headers, alignment. Each costs an open, which
//  sanitizers make dear.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FLIP_STEP 3989
#else
#define FLIP_STEP 331
#endif

static void
test_flipped_bit_that_open_did_not_read_is_told_as_verify_tells_it(void **state)
{
    (void) state;
    log_model_t model;
    sim_disk_t *disk = s_build(&model);
    yami_trailer_t trailer;
    size_t size = 0;
    const uint8_t *bytes = sim_disk_bytes(disk, SEGMENT_1, &size);
    assert_int_equal(yami_trailer_decode(bytes + size - YAMI_TRAILER_SIZE, &trailer), 0);
    for (size_t offset = YAMI_SEGMENT_HEADER_SIZE; offset < trailer.footer_offset;
         offset += FLIP_STEP) {
        sim_disk_t *copy = sim_disk_clone(disk, 1);
        sim_disk_bytes(copy, SEGMENT_1, &size)[offset] ^= (uint8_t) (1U << offset % 8);
        s_damages_t expected = {0};
        s_verify(copy, &expected);
        assert_true(expected.count > 0);
        s_damages_t at_start = {0};
        s_damages_t told = {0};
        yami_store_t *store = s_open(copy, &model.options, &at_start);
        assert_int_equal(at_start.count, 0);
        assert_int_equal(s_scrub(store, &told).damaged_ranges, 1);
        s_assert_same(&expected, &told);
        yami_store_stats_t stats;
        store->ops->stats(store, &stats);
        assert_int_equal(stats.damaged_ranges, 1);
        assert_int_equal(store->ops->close(&store), 0);
        sim_disk_destroy(&copy);
    }
    s_end(&model, disk);
}

//  Opening has read it, so it costs nothing; what else is damaged is told, without a channel.
static void
test_footer_that_goes_bad_while_the_log_is_open_hides_no_damage(void **state)
{
    (void) state;
    log_model_t model;
    sim_disk_t *disk = s_build(&model);
    for (unsigned ranges = 0; ranges < 2; ranges++) {
        s_damages_t at_start = {0};
        s_damages_t told = {0};
        sim_disk_t *copy = sim_disk_clone(disk, 1);
        yami_store_t *store = s_open(copy, &model.options, &at_start);
        yami_trailer_t trailer;
        size_t size = 0;
        uint8_t *bytes = sim_disk_bytes(copy, SEGMENT_1, &size);
        assert_int_equal(yami_trailer_decode(bytes + size - YAMI_TRAILER_SIZE, &trailer), 0);
        bytes[trailer.footer_offset + 20] ^= 1;
        bytes[YAMI_SEGMENT_HEADER_SIZE + 1000] ^= ranges;
        assert_int_equal(s_scrub(store, &told).damaged_ranges, ranges);
        assert_int_equal(at_start.count, 0);
        assert_int_equal(told.count, ranges);
        assert_int_equal(store->ops->close(&store), 0);
        sim_disk_destroy(&copy);
    }
    s_end(&model, disk);
}

//  A page that hit several entries, and so several channels.
static void
test_zeroed_page_is_told_once_for_each_channel(void **state)
{
    (void) state;
    log_model_t model;
    sim_disk_t *disk = s_build(&model);
    size_t size = 0;
    memset(sim_disk_bytes(disk, SEGMENT_1, &size) + 8192, 0, 8192);
    s_damages_t expected = {0};
    s_verify(disk, &expected);
    assert_true(expected.count > 1);
    s_damages_t at_start = {0};
    s_damages_t told = {0};
    yami_store_t *store = s_open(disk, &model.options, &at_start);
    (void) s_scrub(store, &told);
    s_assert_same(&expected, &told);
    assert_int_equal(store->ops->close(&store), 0);
    s_end(&model, disk);
}

//  Up to scan_bytes open reads it all, and says what verify says before it returns.
static void
test_small_log_is_read_before_open_returns(void **state)
{
    (void) state;
    log_model_t model;
    sim_disk_t *disk = s_build(&model);
    yami_log_options_t defaults;
    yami_log_options_init(&defaults);
    model.options.scan_bytes = defaults.scan_bytes; //  the threshold that a relay has
    size_t size = 0;
    sim_disk_bytes(disk, SEGMENT_1, &size)[9000] ^= 1;
    s_damages_t expected = {0};
    s_verify(disk, &expected);
    s_damages_t at_start = {0};
    s_damages_t told = {0};
    yami_store_t *store = s_open(disk, &model.options, &at_start);
    s_assert_same(&expected, &at_start);
    assert_int_equal(s_scrub(store, &told).read_bytes, 0);
    assert_int_equal(told.count, 0);
    assert_int_equal(store->ops->close(&store), 0);
    s_end(&model, disk);
}

//  Trims all of both channels until segment 1 is given back.
static void
s_recycle(yami_store_t *store, const log_model_t *model)
{
    const yami_log_t *log = (const yami_log_t *) store;
    yami_entry_t checkpoint = {.kind = YAMI_ENTRY_CHECKPOINT, .meta = "state", .meta_size = 5};
    uint64_t durable_lsn = 0;
    assert_int_equal(store->ops->append(store, &checkpoint), 0);
    assert_int_equal(store->ops->commit(store, &durable_lsn), 1);
    for (uint32_t channel = 1; channel <= 2; channel++) {
        store->ops->trim(store, channel, model->next[channel]);
    }
    assert_null(yami_index_find(&log->index, 1));
    assert_int_equal(store->ops->commit(store, &durable_lsn), 1);
}

static void
test_segment_recycled_meanwhile_is_not_told(void **state)
{
    (void) state;
    for (int is_found_before = 0; is_found_before < 2; is_found_before++) {
        log_model_t model;
        sim_disk_t *disk = s_build(&model);
        size_t size = 0;
        uint8_t *bytes = sim_disk_bytes(disk, SEGMENT_1, &size);
        bytes[9000] ^= 1; //  two entries, two ranges
        bytes[40000] ^= 1;
        s_damages_t at_start = {0};
        s_damages_t told = {0};
        yami_store_t *store = s_open(disk, &model.options, &at_start);
        yami_scrub_progress_t progress;
        yami_damage_t damage;
        if (is_found_before) {
            assert_true(store->ops->scrub(store, &progress, &damage)); //  the second one waits
            assert_int_equal(damage.segment, 1);
        }
        s_recycle(store, &model);
        progress = s_scrub(store, &told);
        assert_int_equal(told.count, 0);
        assert_int_equal(progress.left_bytes, 0);
        assert_int_equal(progress.unread_segments, 0);
        assert_int_equal(store->ops->close(&store), 0);
        s_end(&model, disk);
    }
}

static void
test_rate_0_reads_nothing(void **state)
{
    (void) state;
    log_model_t model;
    sim_disk_t *disk = s_build(&model);
    size_t size = 0;
    sim_disk_bytes(disk, SEGMENT_1, &size)[9000] ^= 1;
    model.options.scrub_rate = 0;
    s_damages_t at_start = {0};
    s_damages_t told = {0};
    yami_store_t *store = s_open(disk, &model.options, &at_start);
    yami_scrub_progress_t progress = s_scrub(store, &told);
    assert_int_equal(told.count, 0);
    assert_int_equal(progress.read_bytes + progress.left_bytes, 0);
    assert_int_equal(store->ops->close(&store), 0);
    s_end(&model, disk);
}

//  -- With the thread, on a real directory --------------------------------------------------------

static void
s_fill(yami_store_t *store, uint64_t *next, unsigned count)
{
    uint64_t durable_lsn = 0;
    for (unsigned index = 0; index < count; index++, ++*next) {
        uint8_t *bytes = NULL;
        yami_block_t *data = yami_block_alloc(5000, 5000, &bytes);
        memset(bytes, (int) *next, 5000);
        yami_entry_t entry = {.kind = 18, .channel = 9, .base = *next, .count = 1, .data = data};
        assert_int_equal(store->ops->append(store, &entry), 0);
        yami_block_unref(&data);
        if (store->ops->wants_checkpoint(store)) {
            yami_entry_t checkpoint = {
                .kind = YAMI_ENTRY_CHECKPOINT, .meta = "state", .meta_size = 5};
            assert_int_equal(store->ops->append(store, &checkpoint), 0);
        }
        assert_int_equal(store->ops->commit(store, &durable_lsn), 1);
    }
}

static yami_store_t *
s_open_real(const char *path, const yami_log_options_t *options)
{
    yami_disk_t *disk = yami_disk_open(path, false);
    assert_non_null(disk);
    yami_store_t *store = yami_segment_log_open(disk, options, NULL, NULL, NULL);
    assert_non_null(store);
    return store;
}

static void
s_directory(char *path, size_t size)
{
    const char *parent = getenv("TMPDIR");
    (void) snprintf(path, size, "%s/scrub-XXXXXX", parent ? parent : "/tmp");
    assert_non_null(mkdtemp(path));
}

static void
s_remove_directory(const char *path)
{
    char command[300];
    (void) snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

//  One byte per second would take a week; the next open shows that the lock is free again.
static void
test_close_during_the_scrub_does_not_wait_for_it(void **state)
{
    (void) state;
    char path[256];
    s_directory(path, sizeof path);
    yami_log_options_t options;
    yami_log_options_init(&options);
    options.segment_bytes = 128 << 10;
    options.scan_bytes = 0;
    options.scrub_rate = 1;
    uint64_t next = 1;
    yami_store_t *store = s_open_real(path, &options);
    s_fill(store, &next, 300);
    assert_int_equal(store->ops->close(&store), 0);
    store = s_open_real(path, &options);
    yami_scrub_progress_t progress = {0};
    yami_damage_t damage;
    while (progress.read_bytes == 0) { //  it has begun
        assert_false(store->ops->scrub(store, &progress, &damage));
    }
    assert_int_equal(store->ops->close(&store), 0);
    assert_false(progress.is_done);
    assert_true(progress.left_bytes > 500000);
    s_remove_directory(path);
}

//  Appending and giving back go on while it reads; what it tells is in segments that are there.
static void
test_scrub_beside_an_owner_that_gives_segments_back(void **state)
{
    (void) state;
    char path[256];
    s_directory(path, sizeof path);
    yami_log_options_t options;
    yami_log_options_init(&options);
    options.segment_bytes = 64 << 10;
    options.scan_bytes = 0;
    uint64_t next = 1;
    yami_store_t *store = s_open_real(path, &options);
    s_fill(store, &next, 200);
    assert_int_equal(store->ops->close(&store), 0);
    for (int round = 0; round < 5; round++) {
        store = s_open_real(path, &options);
        yami_scrub_progress_t progress = {0};
        yami_damage_t damage;
        for (uint64_t end = next + 100; next < end || !progress.is_done;) {
            assert_false(store->ops->scrub(store, &progress, &damage));
            if (next < end) {
                store->ops->trim(store, 9, next - 100);
                s_fill(store, &next, 1);
            }
        }
        assert_int_equal(progress.unread_segments, 0);
        assert_int_equal(store->ops->close(&store), 0);
    }
    s_remove_directory(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_log_is_read_to_its_end_and_nothing_told),
        cmocka_unit_test(test_flipped_bit_that_open_did_not_read_is_told_as_verify_tells_it),
        cmocka_unit_test(test_footer_that_goes_bad_while_the_log_is_open_hides_no_damage),
        cmocka_unit_test(test_zeroed_page_is_told_once_for_each_channel),
        cmocka_unit_test(test_small_log_is_read_before_open_returns),
        cmocka_unit_test(test_segment_recycled_meanwhile_is_not_told),
        cmocka_unit_test(test_rate_0_reads_nothing),
        cmocka_unit_test(test_close_during_the_scrub_does_not_wait_for_it),
        cmocka_unit_test(test_scrub_beside_an_owner_that_gives_segments_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
