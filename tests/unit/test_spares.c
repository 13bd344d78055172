//  The stock of spare segments, where its last place may be taken while a file is on its way out.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "sim_disk.h"
#include "yami_base.h"
#include "yami_segment_format.h"
#include "yami_segment_log.h"
#include "yami_spares.h"

#define SEGMENT_BYTES 4096
#define STOCK 8 //  the list of ready files is full with so many, and must grow for one more
#define OLD_SEGMENT 1
#define NEW_SEGMENT 2

//  The table of a disk has no room for a context: there is one at a time.
static yami_spares_t *s_spares;
static int (*s_rename)(yami_disk_t *self, const char *from, const char *to);

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

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(
        test_spare_that_could_not_be_renamed_goes_back_though_its_place_was_taken)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
