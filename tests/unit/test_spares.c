//  The stock of spare segments: its last place may be taken while a file is on its way out, and its
//  reserve changed while its thread sleeps.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "sim_disk.h"
#include "yami_base.h"
#include "yami_monitor.h"
#include "yami_segment_format.h"
#include "yami_segment_log.h"
#include "yami_spares.h"

#define SEGMENT_BYTES 4096
#define STOCK 8 //  the list of ready files is full with so many, and must grow for one more
#define OLD_SEGMENT 1
#define NEW_SEGMENT 2
#define FREE_BYTES (4 << 20)
#define PATIENCE_MS 10000

//  The table of a disk has no room for a context: there is one at a time.
static yami_spares_t *s_spares;
static int (*s_rename)(yami_disk_t *self, const char *from, const char *to);
static yami_monitor_t s_monitor; //  guards how often the free disk was looked at
static unsigned s_look_count;
static int64_t s_free_bytes; //  guarded by it, too

//  There is no space to rename a spare into a segment; meanwhile an old segment was given back.
static int
s_rename_too_late(yami_disk_t *self, const char *from, const char *to)
{
    self->rename = s_rename;
    assert_int_equal(yami_spares_give(s_spares, OLD_SEGMENT), 0);
    (void) from;
    (void) to;
    errno = ENOSPC;
    return -1;
}

static void
s_make_segment(yami_disk_t *disk, uint64_t number)
{
    char name[YAMI_NAME_SIZE];
    int file = disk->open(disk, yami_name_segment(name, number), true, false);
    assert_true(file >= 0);
    assert_int_equal(disk->truncate(disk, file, SEGMENT_BYTES), 0);
    assert_int_equal(disk->close(disk, file), 0);
}

static void
test_spare_that_could_not_be_renamed_goes_back_though_its_place_was_taken(void **state)
{
    (void) state;
    sim_disk_t *memory = sim_disk_new(1);
    yami_disk_t *disk = sim_disk_attach(memory);
    yami_log_options_t options;
    yami_log_options_init(&options);
    options.segment_bytes = SEGMENT_BYTES;
    options.spare_count = STOCK;
    options.is_threaded = false;
    s_spares = yami_spares_new(disk, &options);
    assert_int_equal(yami_spares_fill(s_spares), 0);
    assert_int_equal(yami_spares_count(s_spares), STOCK);
    s_make_segment(disk, OLD_SEGMENT);

    assert_int_equal(yami_spares_promise(s_spares, SEGMENT_BYTES, true), 0);
    s_rename = disk->rename;
    disk->rename = s_rename_too_late;
    assert_int_equal(yami_spares_take(s_spares, NEW_SEGMENT, SEGMENT_BYTES), 1);
    assert_int_equal(yami_spares_count(s_spares), STOCK + 1);

    //  All of them are files that can be taken.
    assert_int_equal(yami_spares_take(s_spares, NEW_SEGMENT, SEGMENT_BYTES), 0);
    for (uint64_t number = NEW_SEGMENT + 1; number <= NEW_SEGMENT + STOCK; number++) {
        assert_int_equal(yami_spares_promise(s_spares, SEGMENT_BYTES, false), 0);
        assert_int_equal(yami_spares_take(s_spares, number, SEGMENT_BYTES), 0);
    }
    assert_int_equal(yami_spares_count(s_spares), 0);
    yami_spares_destroy(&s_spares);
    disk->destroy(&disk);
    sim_disk_destroy(&memory);
}

static int64_t
s_look(yami_disk_t *self)
{
    (void) self;
    yami_monitor_lock(&s_monitor);
    s_look_count++;
    int64_t free_bytes = s_free_bytes;
    yami_monitor_tell(&s_monitor);
    yami_monitor_unlock(&s_monitor);
    return free_bytes;
}

static void
s_wait_for_looks(unsigned count)
{
    int64_t deadline_ms = yami_monitor_deadline(PATIENCE_MS);
    yami_monitor_lock(&s_monitor);
    for (unsigned enough = s_look_count + count; s_look_count < enough;) {
        assert_true(yami_monitor_wait(&s_monitor, deadline_ms));
    }
    yami_monitor_unlock(&s_monitor);
}

static void
s_set_free(int64_t free_bytes)
{
    yami_monitor_lock(&s_monitor);
    s_free_bytes = free_bytes;
    yami_monitor_unlock(&s_monitor);
}

//  With a thread that has filled what it should, and sleeps.
static yami_disk_t *
s_start(sim_disk_t *memory)
{
    yami_disk_t *disk = sim_disk_attach(memory);
    disk->free_bytes = s_look;
    yami_monitor_init(&s_monitor);
    s_free_bytes = FREE_BYTES;
    yami_log_options_t options;
    yami_log_options_init(&options);
    options.segment_bytes = SEGMENT_BYTES;
    options.reserve_bytes = FREE_BYTES / 2;
    options.spare_count = 1;
    options.is_threaded = true;
    s_spares = yami_spares_new(disk, &options);
    assert_int_equal(yami_spares_start(s_spares), 0);
    int64_t deadline_ms = yami_monitor_deadline(PATIENCE_MS);
    while (yami_spares_count(s_spares) == 0) {
        assert_true(yami_clock_mono_ms() < deadline_ms);
    }
    assert_false(yami_spares_is_low(s_spares));
    return disk;
}

static void
s_stop(yami_disk_t **disk_p, sim_disk_t **memory_p)
{
    yami_spares_destroy(&s_spares);
    (*disk_p)->destroy(disk_p);
    sim_disk_destroy(memory_p);
    yami_monitor_destroy(&s_monitor);
}

//  Its thread had nothing to do before, and nobody else would see that there is space again.
static void
test_disk_is_watched_when_the_reserve_is_raised_above_it(void **state)
{
    (void) state;
    sim_disk_t *memory = sim_disk_new(1);
    yami_disk_t *disk = s_start(memory);
    yami_spares_set_reserve(s_spares, 2 * FREE_BYTES);
    assert_true(yami_spares_is_low(s_spares));
    s_wait_for_looks(2);
    yami_spares_set_reserve(s_spares, FREE_BYTES / 2);
    assert_false(yami_spares_is_low(s_spares));
    s_stop(&disk, &memory);
}

//  A commit sees that somebody else has taken the disk; the next one may never come.
static void
test_disk_is_watched_while_data_is_refused(void **state)
{
    (void) state;
    const int64_t reserve = FREE_BYTES / 2;
    const int64_t refused[] = {reserve - 1, reserve + SEGMENT_BYTES}; //  too little for a segment
    for (size_t index = 0; index < sizeof refused / sizeof refused[0]; index++) {
        sim_disk_t *memory = sim_disk_new(1);
        yami_disk_t *disk = s_start(memory);
        s_set_free(refused[index]);
        yami_spares_look(s_spares, FREE_BYTES);
        assert_true(yami_spares_is_low(s_spares) ||
                    !yami_spares_has_segment(s_spares, SEGMENT_BYTES));
        s_wait_for_looks(2);
        s_set_free(FREE_BYTES);
        int64_t deadline_ms = yami_monitor_deadline(PATIENCE_MS);
        while (yami_spares_is_low(s_spares) || !yami_spares_has_segment(s_spares, SEGMENT_BYTES)) {
            assert_true(yami_clock_mono_ms() < deadline_ms);
        }
        s_stop(&disk, &memory);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_spare_that_could_not_be_renamed_goes_back_though_its_place_was_taken),
        cmocka_unit_test(test_disk_is_watched_when_the_reserve_is_raised_above_it),
        cmocka_unit_test(test_disk_is_watched_while_data_is_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
