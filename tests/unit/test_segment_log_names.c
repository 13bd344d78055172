//  What power leaves of names: a file that was being made a segment, and is found under the name it
//  had before, or under one that it was given later. Nothing in it was promised.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "log_model.h"
#include "yami_alloc_test.h"

#define SEGMENT_2 "0000000000000002.seg"
#define SEGMENT_3 "0000000000000003.seg"
#define SEGMENT_5 "0000000000000005.seg"
#define SEGMENT_BYTES 65536
#define HALF 25000 //  bytes of data: two entries of that size are in a segment

typedef struct {
    sim_disk_t *disk;
    log_model_t model;
} s_fixture_t;

static void
s_open_new(s_fixture_t *f)
{
    log_model_init(&f->model, f->disk);
    f->model.options.spare_count = 0;
    assert_true(log_model_open(&f->model));
}

static int
s_setup(void **state)
{
    s_fixture_t *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->disk = sim_disk_new(1);
    s_open_new(f);
    *state = f;
    return 0;
}

static int
s_teardown(void **state)
{
    s_fixture_t *f = *state;
    log_model_clear(&f->model);
    sim_disk_destroy(&f->disk);
    free(f);
    return 0;
}

//  In one commit.
static void
s_append(s_fixture_t *f, int count)
{
    while (count-- > 0) {
        assert_int_equal(log_model_append(&f->model, 1, 1, 20, HALF), 0);
    }
    assert_int_equal(log_model_commit(&f->model), 1);
}

//  The process ends without another write, and the last entries had not been promised.
static void
s_end(s_fixture_t *f, size_t unpromised)
{
    f->model.durable_count -= unpromised;
    sim_disk_die_after(f->disk, 1);
    yami_disk_t *disk = sim_disk_attach(f->disk);
    assert_int_equal(disk->sync_directory(disk), -1); //  a write may get through as it dies
    disk->destroy(&disk);
    log_model_abandon(&f->model);
    sim_disk_revive(f->disk);
}

static void
s_rename(s_fixture_t *f, const char *from, const char *to)
{
    yami_disk_t *disk = sim_disk_attach(f->disk);
    assert_int_equal(disk->rename(disk, from, to), 0);
    disk->destroy(&disk);
}

//  Sound, all that was promised is there, and the log goes on.
static void
s_check_sound(s_fixture_t *f, size_t count)
{
    yami_disk_t *disk = sim_disk_attach(f->disk);
    assert_int_equal(yami_segment_log_verify(disk, NULL, NULL, NULL), 0);
    disk->destroy(&disk);
    for (int opening = 0; opening < 2; opening++) {
        assert_true(log_model_open(&f->model));
        assert_int_equal(f->model.damage_count, 0);
        assert_int_equal(f->model.count, count);
        s_append(f, 3);
        count += 3;
        log_model_read_all(&f->model);
        s_end(f, 0);
    }
}

//  Power took the name of segment 2, and the file was taken for segment 3 then.
static void
test_file_with_the_header_of_an_earlier_try_is_no_damage(void **state)
{
    s_fixture_t *f = *state;
    s_append(f, 2);
    s_append(f, 1);
    s_end(f, 1);
    s_rename(f, SEGMENT_2, SEGMENT_3);
    s_check_sound(f, 2);
}

//  Both names that it had since are lost.
static void
test_recycled_file_under_its_old_name_is_not_replayed(void **state)
{
    s_fixture_t *f = *state;
    s_append(f, 7);
    assert_int_equal(log_model_checkpoint(&f->model), 0);
    assert_int_equal(log_model_commit(&f->model), 1);
    log_model_trim(&f->model, 1, 7);
    assert_int_equal(log_model_commit(&f->model), 1);
    assert_null(sim_disk_bytes(f->disk, SEGMENT_2, &(size_t) {0})); //  given back, as 1 and 3
    size_t count = f->model.count;
    assert_int_equal(log_model_append(&f->model, 1, 1, 20, 2 * HALF), 0);
    assert_int_equal(log_model_checkpoint(&f->model), 0);
    assert_int_equal(log_model_commit(&f->model), 1);
    s_end(f, 2);
    s_rename(f, SEGMENT_5, SEGMENT_2); //  4 tells where 3 would end
    s_check_sound(f, count);
}

//  The same sequence numbers were given to other entries since.
static void
test_earlier_try_to_begin_a_segment_of_that_number_is_not_replayed(void **state)
{
    s_fixture_t *f = *state;
    size_t size = 0;
    s_append(f, 2);
    s_append(f, 1);
    s_end(f, 1);
    memset(sim_disk_bytes(f->disk, SEGMENT_2, &size), 0, SEGMENT_BYTES); //  made, and not written
    assert_true(log_model_open(&f->model));
    s_append(f, 1);
    s_end(f, 1);
    uint8_t *tried = malloc(SEGMENT_BYTES);
    assert_non_null(tried);
    memcpy(tried, sim_disk_bytes(f->disk, SEGMENT_3, &size), SEGMENT_BYTES);
    assert_int_equal(size, SEGMENT_BYTES);
    sim_disk_remove(f->disk, SEGMENT_3); //  its name
    assert_true(log_model_open(&f->model));
    s_append(f, 2);
    s_append(f, 1);
    s_end(f, 1);
    memcpy(sim_disk_bytes(f->disk, SEGMENT_3, &size), tried, SEGMENT_BYTES);
    free(tried);
    s_check_sound(f, 4);
}

//  Begins a log, and runs out of memory in its first append after some allocations. Whether it did.
static bool
s_begin_without_memory(s_fixture_t *f, int64_t allocations)
{
    yami_alloc_fail_after(allocations);
    int rc = log_model_append(&f->model, 0, 0, 20, 0);
    yami_alloc_fail_after(-1);
    (void) yami_alloc_has_failed();
    log_model_clear(&f->model);
    return rc == -1;
}

//  A relay that ends between its first segment and its first entry leaves one with a footer only.
static void
test_segment_without_entries_is_followed_by_one_that_is_sound(void **state)
{
    (void) state;
    bool is_short = true;
    for (int64_t allocations = 0; is_short; allocations++) {
        void *fixture;
        assert_int_equal(s_setup(&fixture), 0);
        s_fixture_t *f = fixture;
        is_short = s_begin_without_memory(f, allocations);
        if (is_short) {
            s_open_new(f);
            s_append(f, 1);
            s_end(f, 0);
            s_check_sound(f, 1);
        }
        assert_int_equal(s_teardown(&fixture), 0);
    }
}

static void
test_durable_segment_under_a_wrong_name_is_damage_and_its_entries_are_kept(void **state)
{
    s_fixture_t *f = *state;
    s_append(f, 2);
    s_append(f, 1);
    s_append(f, 1);
    s_end(f, 0);
    s_rename(f, SEGMENT_2, SEGMENT_3);
    assert_true(log_model_open(&f->model));
    assert_int_equal(f->model.damage_count, 1);
    assert_string_equal(f->model.damage.what, "segment header");
    assert_int_equal(f->model.replayed, 4);
    log_model_read_all(&f->model);
}

typedef struct {
    const log_model_t *model;
    size_t count; //  entries replayed
    size_t headers;
    size_t others;
} s_seen_t;

static int
s_visit(void *arg, const yami_entry_t *entry)
{
    s_seen_t *seen = arg;
    log_model_compare(seen->model, entry);
    seen->count++;
    return 0;
}

static void
s_note(void *arg, const yami_damage_t *damage)
{
    s_seen_t *seen = arg;
    assert_int_equal(damage->segment, 2);
    if (strcmp(damage->what, "segment header") == 0) {
        seen->headers++;
    } else {
        seen->others++;
    }
}

//  One in the middle, from another store, or without anything in it.
static void
test_file_that_is_not_ours_is_damage_and_nothing_in_it_is_replayed(void **state)
{
    s_fixture_t *f = *state;
    sim_disk_t *other = sim_disk_new(2);
    s_fixture_t stranger = {.disk = other};
    s_open_new(&stranger);
    s_append(f, 2);
    s_append(&stranger, 2);
    for (int count = 0; count < 3; count++) {
        s_append(f, 1);
        s_append(&stranger, 1);
    }
    assert_int_equal(f->model.store->ops->close(&f->model.store), 0);
    assert_int_equal(stranger.model.store->ops->close(&stranger.model.store), 0);
    for (int is_zero = 0; is_zero < 2; is_zero++) {
        sim_disk_t *copy = sim_disk_clone(f->disk, 1);
        size_t size = 0;
        size_t strange_size = 0;
        uint8_t *bytes = sim_disk_bytes(copy, SEGMENT_2, &size);
        const uint8_t *strange = sim_disk_bytes(other, SEGMENT_2, &strange_size);
        assert_int_equal(size, strange_size);
        if (is_zero) {
            memset(bytes, 0, size);
        } else {
            memcpy(bytes, strange, size);
        }
        s_seen_t seen = {.model = &f->model};
        yami_store_t *store =
            yami_segment_log_open(sim_disk_attach(copy), &f->model.options, s_visit, s_note, &seen);
        assert_non_null(store);
        assert_int_equal(seen.count, 3); //  two lie in each segment
        assert_int_equal(seen.headers, 1);
        assert_int_equal(seen.others, 0);
        assert_int_equal(store->ops->close(&store), 0);
        sim_disk_destroy(&copy);
    }
    log_model_clear(&stranger.model);
    sim_disk_destroy(&other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file_with_the_header_of_an_earlier_try_is_no_damage),
        TEST(test_recycled_file_under_its_old_name_is_not_replayed),
        TEST(test_earlier_try_to_begin_a_segment_of_that_number_is_not_replayed),
        cmocka_unit_test(test_segment_without_entries_is_followed_by_one_that_is_sound),
        TEST(test_durable_segment_under_a_wrong_name_is_damage_and_its_entries_are_kept),
        TEST(test_file_that_is_not_ours_is_damage_and_nothing_in_it_is_replayed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
