//  A log that lost everything is told from one that never had anything: by the marker, whatever
//  else was done to the directory, and wherever a crash or a full disk cut off its making.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "log_model.h"
#include "yam_error.h"
#include "yami_segment_format.h"

#define SEGMENT_1 "0000000000000001.seg"
#define SEEDS 20

//  A log with one entry in its only segment: closed, or killed.
static sim_disk_t *
s_build(log_model_t *model, bool is_closed)
{
    sim_disk_t *disk = sim_disk_new(1);
    log_model_init(model, disk);
    assert_true(log_model_open(model));
    assert_int_equal(log_model_append(model, 1, 3, 20, 301), 0);
    assert_int_equal(log_model_commit(model), 1);
    if (!is_closed) {
        sim_disk_die_after(disk, 1);
    }
    log_model_abandon(model);
    sim_disk_revive(disk);
    return disk;
}

static int64_t
s_verify(sim_disk_t *disk)
{
    yami_disk_t *attached = sim_disk_attach(disk);
    int64_t count = yami_segment_log_verify(attached, NULL, NULL, NULL);
    int error = errno;
    attached->destroy(&attached);
    errno = error;
    return count;
}

//  Neither verified nor opened, and left as it is.
static void
s_assert_refused(log_model_t *model)
{
    sim_disk_t *disk = model->disk;
    size_t file_count = sim_disk_count(disk, "");
    for (int is_opened = 0; is_opened < 2; is_opened++) {
        if (is_opened) {
            assert_false(log_model_open(model));
        } else {
            assert_int_equal(s_verify(disk), -1);
        }
        assert_int_equal(errno, EBADMSG);
        assert_non_null(strstr(yam_error(), "segment files can be read"));
        assert_int_equal(sim_disk_count(disk, ""), file_count);
    }
}

static void
s_empty(sim_disk_t *disk)
{
    sim_disk_resize(disk, SEGMENT_1, 0);
}

static void
s_zero(sim_disk_t *disk)
{
    size_t size = 0;
    uint8_t *bytes = sim_disk_bytes(disk, SEGMENT_1, &size);
    memset(bytes, 0, size);
}

static void
s_zero_entries(sim_disk_t *disk)
{
    size_t size = 0;
    uint8_t *bytes = sim_disk_bytes(disk, SEGMENT_1, &size);
    memset(bytes + YAMI_SEGMENT_HEADER_SIZE, 0, size - YAMI_SEGMENT_HEADER_SIZE);
}

//  The footer, which lists it, is left.
static void
s_flip_entry(sim_disk_t *disk)
{
    size_t size = 0;
    sim_disk_bytes(disk, SEGMENT_1, &size)[YAMI_SEGMENT_HEADER_SIZE + 20] ^= 1;
}

static void
s_remove(sim_disk_t *disk)
{
    sim_disk_remove(disk, SEGMENT_1);
}

static void
s_remove_all_but_marker(sim_disk_t *disk)
{
    const char *name;
    size_t index = 0;
    while ((name = sim_disk_name(disk, index))) {
        if (strcmp(name, YAMI_MARKER_NAME) == 0) {
            index++;
        } else {
            sim_disk_remove(disk, name);
        }
    }
}

static void
s_cut_entry(sim_disk_t *disk)
{
    sim_disk_resize(disk, SEGMENT_1, YAMI_SEGMENT_HEADER_SIZE + 36);
}

static void
s_cut_behind_header(sim_disk_t *disk)
{
    sim_disk_resize(disk, SEGMENT_1, YAMI_SEGMENT_HEADER_SIZE);
}

static void
s_cut_header(sim_disk_t *disk)
{
    sim_disk_resize(disk, SEGMENT_1, YAMI_SEGMENT_HEADER_SIZE - 1);
}

static void
test_store_that_lost_everything_is_refused_and_not_taken_for_new(void **state)
{
    void (*const losses[])(sim_disk_t *) = {s_empty,        s_zero,
                                            s_zero_entries, s_flip_entry,
                                            s_remove,       s_remove_all_but_marker,
                                            s_cut_entry,    s_cut_behind_header,
                                            s_cut_header};
    (void) state;
    for (size_t loss = 0; loss < sizeof losses / sizeof losses[0]; loss++) {
        for (int is_closed = 0; is_closed < 2; is_closed++) {
            log_model_t model;
            sim_disk_t *disk = s_build(&model, is_closed == 1);
            losses[loss](disk);
            s_assert_refused(&model);
            log_model_clear(&model);
            sim_disk_destroy(&disk);
        }
    }
}

//  Segments are ours and sound; the marker came with a later version.
static void
test_store_without_a_marker_gets_one_when_it_is_opened(void **state)
{
    (void) state;
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        log_model_t model;
        sim_disk_t *disk = s_build(&model, is_closed == 1);
        sim_disk_remove(disk, YAMI_MARKER_NAME);
        assert_int_equal(s_verify(disk), 0);
        assert_null(sim_disk_bytes(disk, YAMI_MARKER_NAME, &(size_t) {0}));
        assert_true(log_model_open(&model));
        log_model_read_all(&model);
        log_model_abandon(&model);
        sim_disk_crash(disk); //  it is durable
        s_remove(disk);
        s_assert_refused(&model);
        log_model_clear(&model);
        sim_disk_destroy(&disk);
    }
}

static void
test_store_that_was_never_written_has_no_marker_and_opens_as_new(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    log_model_init(&model, disk);
    for (int opening = 0; opening < 3; opening++) {
        assert_true(log_model_open(&model));
        assert_int_equal(log_model_commit(&model), 0);
        log_model_abandon(&model);
        assert_null(sim_disk_bytes(disk, YAMI_MARKER_NAME, &(size_t) {0}));
    }
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

static void
test_directory_without_files_of_a_store_is_none(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    assert_int_equal(s_verify(disk), -1);
    assert_int_equal(errno, ENOENT);
    sim_disk_destroy(&disk);
}

//  Power goes at each operation from before the first entry on, while it is made durable.
static void
test_crash_at_any_step_of_making_a_store_leaves_one_that_opens(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        bool has_died = true;
        for (uint64_t step = 1; has_died; step++) {
            sim_disk_t *disk = sim_disk_new(seed);
            log_model_t model;
            log_model_init(&model, disk);
            sim_disk_die_after(disk, step);
            if (log_model_open(&model)) {
                (void) log_model_append(&model, 1, 3, 20, 301);
                (void) log_model_commit(&model);
            }
            has_died = sim_disk_is_dead(disk);
            assert_true(has_died || model.durable_count == 1);
            sim_disk_die_after(disk, 1); //  nor is it closed in order
            log_model_abandon(&model);
            sim_disk_crash(disk);
            assert_true(log_model_open(&model)); //  compares with what was promised
            assert_int_equal(model.damage_count, 0);
            log_model_clear(&model);
            sim_disk_destroy(&disk);
        }
    }
}

//  What cannot be marked is not called durable; it is tried again without another append.
static void
test_first_entry_is_durable_only_when_the_marker_is(void **state)
{
    const int errors[] = {ENOSPC, EMFILE};
    (void) state;
    for (size_t kind = 0; kind < 2; kind++) {
        bool has_failed = true;
        for (uint64_t step = 1; has_failed; step++) {
            sim_disk_t *disk = sim_disk_new(step);
            log_model_t model;
            log_model_init(&model, disk);
            assert_true(log_model_open(&model));
            assert_int_equal(log_model_append(&model, 1, 3, 20, 301), 0);
            sim_disk_fail_after(disk, step, errors[kind]);
            for (int attempt = 0; attempt < 3; attempt++) {
                assert_true(log_model_commit(&model) >= 0);
                assert_true(model.durable_count == 0 ||
                            sim_disk_bytes(disk, YAMI_MARKER_NAME, &(size_t) {0}));
            }
            has_failed = sim_disk_has_failed(disk);
            assert_int_equal(model.durable_count, 1);
            log_model_clear(&model);
            sim_disk_destroy(&disk);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_store_that_lost_everything_is_refused_and_not_taken_for_new),
        cmocka_unit_test(test_store_without_a_marker_gets_one_when_it_is_opened),
        cmocka_unit_test(test_store_that_was_never_written_has_no_marker_and_opens_as_new),
        cmocka_unit_test(test_directory_without_files_of_a_store_is_none),
        cmocka_unit_test(test_crash_at_any_step_of_making_a_store_leaves_one_that_opens),
        cmocka_unit_test(test_first_entry_is_durable_only_when_the_marker_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
