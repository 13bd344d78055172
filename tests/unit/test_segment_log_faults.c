//  Any one operation of the disk fails: with EIO the store says so once and for ever, with ENOSPC
//  it goes on. A header that goes bad under an open log costs its own entry.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <string.h>

#include "log_model.h"
#include "yam_error.h"
#include "yami_segment_format.h"

#define ROUNDS 60

//  Fixed work over several segments, with trims and checkpoints. -1 at the first failure.
static int
s_work(log_model_t *model)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (log_model_append(model, 1 + round % 3, 2, 10, 3000) == -1 ||
            log_model_append(model, 0, 0, 30, 0) == -1 || log_model_commit(model) == -1) {
            return -1;
        }
        if (round % 5 == 4) {
            log_model_trim(model, 1, model->next[1] - 2);
            log_model_trim(model, 2, model->next[2] - 2);
            log_model_trim(model, 3, model->next[3] - 2);
        }
        if (model->store->ops->wants_checkpoint(model->store) &&
            log_model_checkpoint(model) == -1) {
            return -1;
        }
    }
    return 0;
}

//  How many operations the work takes when nothing fails.
static uint64_t
s_count_operations(void)
{
    sim_disk_t *disk = sim_disk_new(3);
    log_model_t model;
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    assert_int_equal(s_work(&model), 0);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    uint64_t count = sim_disk_operations(disk);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
    return count;
}

//  A failed store stays failed, and what it had promised is there when it is opened again.
static void
s_check_failed(log_model_t *model)
{
    if (!model->store) {
        return;
    }
    assert_int_equal(log_model_append(model, 1, 1, 0, 10), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(log_model_commit(model), -1);
    assert_int_equal(errno, EIO);
    assert_false(model->store->ops->has_room(model->store));
}

static void
test_nth_operation_fails_with_eio_for_every_n(void **state)
{
    (void) state;
    uint64_t count = s_count_operations();
    for (uint64_t nth = 1; nth <= count; nth++) {
        sim_disk_t *disk = sim_disk_new(nth);
        log_model_t model;
        log_model_init(&model, disk);
        sim_disk_fail_after(disk, nth, EIO);
        if (log_model_open(&model)) {
            if (s_work(&model) == -1) {
                s_check_failed(&model);
            }
            if (model.store) {
                int rc = model.store->ops->close(&model.store);
                assert_true(rc == 0 || sim_disk_has_failed(disk));
            }
        } else {
            assert_int_equal(errno, EIO);
        }
        if (nth % 2 == 0) {
            sim_disk_crash(disk);
        } else {
            sim_disk_revive(disk);
        }
        assert_true(log_model_open(&model));
        assert_int_equal(model.damage_count, 0);
        log_model_read_all(&model);
        log_model_clear(&model);
        sim_disk_destroy(&disk);
    }
}

static void
test_nth_operation_finds_no_space_for_every_n(void **state)
{
    (void) state;
    uint64_t count = s_count_operations();
    for (uint64_t nth = 1; nth <= count; nth++) {
        sim_disk_t *disk = sim_disk_new(nth);
        log_model_t model;
        log_model_init(&model, disk);
        sim_disk_fail_after(disk, nth, ENOSPC);
        if (log_model_open(&model)) {
            assert_int_equal(s_work(&model), 0); //  never lost, never aborted
            for (int again = 0; again < 3; again++) {
                assert_true(log_model_commit(&model) >= 0);
            }
            assert_int_equal(model.durable_count, model.count);
            log_model_read_all(&model);
        } else {
            assert_int_equal(errno, ENOSPC);
        }
        log_model_abandon(&model);
        sim_disk_crash(disk);
        assert_true(log_model_open(&model));
        assert_int_equal(model.damage_count, 0);
        log_model_read_all(&model);
        log_model_clear(&model);
        sim_disk_destroy(&disk);
    }
}

//  Segments are given back by entries that are written with the end of their segment, and the disk
//  has no room for these: the files must stay until the entries are durable.
static void
test_segment_is_not_given_back_while_there_is_no_space_to_say_so(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        sim_disk_t *disk = sim_disk_new(seed);
        log_model_t model;
        log_model_init(&model, disk);
        assert_true(log_model_open(&model));
        for (uint32_t round = 0; round < ROUNDS; round++) {
            assert_int_equal(log_model_append(&model, 1, 1, 10, 4000), 0);
            assert_int_equal(log_model_commit(&model), 1);
        }
        assert_int_equal(log_model_checkpoint(&model), 0);
        assert_int_equal(log_model_commit(&model), 1);
        log_model_trim(&model, 1, model.next[1]);
        for (uint32_t round = 0; round < 20; round++) { //  more than a segment
            assert_int_equal(log_model_append(&model, 1, 1, 10, 4000), 0);
        }
        sim_disk_fail_after(disk, 1, ENOSPC);
        assert_true(log_model_commit(&model) >= 0);
        assert_true(sim_disk_has_failed(disk));
        size_t size;
        assert_non_null(sim_disk_bytes(disk, "0000000000000001.seg", &size));
        sim_disk_die_after(disk, 1);
        log_model_abandon(&model);
        sim_disk_crash(disk);
        assert_true(log_model_open(&model));
        assert_int_equal(model.damage_count, 0);
        log_model_read_all(&model);
        log_model_clear(&model);
        sim_disk_destroy(&disk);
    }
}

//  Every open is one that may find no descriptor; other operations never do.
static void
test_nth_open_finds_no_descriptor_for_every_n(void **state)
{
    (void) state;
    static const int errors[] = {EMFILE, ENFILE};
    uint64_t count = s_count_operations();
    for (uint64_t nth = 1; nth <= count; nth++) {
        sim_disk_t *disk = sim_disk_new(nth);
        log_model_t model;
        log_model_init(&model, disk);
        assert_true(log_model_open(&model));
        sim_disk_fail_after(disk, nth, errors[nth % 2]);
        assert_int_equal(s_work(&model), 0); //  the store goes on
        for (int again = 0; again < 3; again++) {
            assert_true(log_model_commit(&model) >= 0);
        }
        assert_int_equal(model.durable_count, model.count);
        log_model_read_all(&model);
        log_model_abandon(&model);
        sim_disk_crash(disk);
        assert_true(log_model_open(&model));
        assert_int_equal(model.damage_count, 0);
        log_model_read_all(&model);
        log_model_clear(&model);
        sim_disk_destroy(&disk);
    }
}

static void
test_without_descriptors_there_is_no_room_until_there_are_some(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(5);
    log_model_t model;
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    assert_true(model.store->ops->has_room(model.store));
    sim_disk_deny_opens(disk, EMFILE);
    assert_int_equal(log_model_append(&model, 1, 1, 10, 100), 0);
    assert_int_equal(log_model_commit(&model), 0);
    assert_int_equal(model.durable_count, 0);
    assert_false(model.store->ops->has_room(model.store));
    sim_disk_deny_opens(disk, 0);
    assert_int_equal(log_model_commit(&model), 1);
    assert_int_equal(model.durable_count, 1);
    assert_true(model.store->ops->has_room(model.store));
    log_model_read_all(&model);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

static void
test_failed_sync_is_final_and_named(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(5);
    log_model_t model;
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    assert_int_equal(log_model_append(&model, 1, 1, 10, 100), 0);
    assert_int_equal(log_model_commit(&model), 1);
    assert_int_equal(log_model_append(&model, 1, 1, 10, 100), 0);
    sim_disk_fail_after(disk, 2, EIO); //  write, sync
    assert_int_equal(log_model_commit(&model), -1);
    assert_int_equal(errno, EIO);
    assert_non_null(strstr(yam_error(), "until it is opened again"));
    assert_int_equal(model.durable_count, 1);
    s_check_failed(&model);
    log_model_read(&model, 1, 1); //  what was promised can still be read
    assert_int_equal(model.store->ops->close(&model.store), -1);
    assert_int_equal(errno, EIO);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  The kernel forgets that the pages of a failed sync were dirty: a restart that trusts them would
//  lose them later.
static void
test_what_a_failed_sync_left_in_memory_is_written_again(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(5);
    log_model_t model;
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    assert_int_equal(log_model_append(&model, 1, 1, 10, 100), 0);
    assert_int_equal(log_model_commit(&model), 1);
    assert_int_equal(log_model_append(&model, 1, 1, 10, 5000), 0);
    sim_disk_fail_after(disk, 2, EIO);
    assert_int_equal(log_model_commit(&model), -1);
    log_model_abandon(&model);
    sim_disk_revive(disk); //  only the process ended
    assert_true(log_model_open(&model));
    assert_int_equal(model.durable_count, 2);
    log_model_abandon(&model);
    sim_disk_crash(disk);
    assert_true(log_model_open(&model));
    assert_int_equal(model.durable_count, 2);
    log_model_read_all(&model);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  Only a read that looked says that nothing is there; without a descriptor, or the file, nobody
//  knows.
static void
test_a_file_that_cannot_be_opened_is_not_an_empty_channel(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(5);
    log_model_t model;
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    assert_int_equal(log_model_append(&model, 1, 1, 10, 100), 0);
    assert_int_equal(log_model_commit(&model), 1);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    assert_true(log_model_open(&model));
    yami_entry_t entry;
    yami_damage_t damage;
    sim_disk_fail_after(disk, 1, EMFILE);
    assert_int_equal(model.store->ops->read(model.store, 1, 1, &entry, &damage), -1);
    assert_int_equal(errno, EMFILE);
    log_model_read(&model, 1, 1);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    assert_true(log_model_open(&model));
    sim_disk_remove(disk, "0000000000000001.seg");
    assert_int_equal(model.store->ops->read(model.store, 1, 1, &entry, &damage), -1);
    assert_int_equal(errno, EIO);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  Reads a channel of a live log in which one entry's header is bad. Returns how many sequences are
//  lost; the rest is whole.
static uint64_t
s_count_lost(const log_model_t *model, uint32_t channel)
{
    yami_store_t *store = model->store;
    uint64_t lost = 0;
    for (uint64_t sequence = 1; sequence < model->next[channel];) {
        yami_entry_t entry;
        yami_damage_t damage = {0};
        if (store->ops->read(store, channel, sequence, &entry, &damage) == 0) {
            assert_int_equal(entry.base, sequence);
            log_model_compare(model, &entry);
            sequence += entry.count;
            yami_store_release(&entry);
        } else {
            assert_int_equal(errno, EBADMSG);
            assert_string_equal(damage.what, "entry header");
            assert_int_equal(damage.first, sequence);
            assert_true(damage.last >= damage.first);
            lost += damage.last - damage.first + 1;
            sequence = damage.last + 1;
        }
    }
    return lost;
}

//  In a segment that is full, and in the one that is written.
static void
test_header_that_goes_bad_while_the_log_is_open_loses_its_entry_only(void **state)
{
    (void) state;
    for (int rounds = 4; rounds <= 20; rounds += 16) {
        for (size_t index = 0; index <= 12; index++) {
            sim_disk_t *disk = sim_disk_new(index);
            log_model_t model;
            log_model_init(&model, disk);
            model.options.cache_bytes = 0;
            assert_true(log_model_open(&model));
            for (int round = 0; round < rounds; round++) {
                assert_int_equal(log_model_append(&model, 1, 3, 20, 6000), 0);
                assert_int_equal(log_model_append(&model, 2, 1, 0, 64), 0);
                assert_int_equal(log_model_append(&model, 0, 0, 33, 0), 0);
                assert_int_equal(log_model_commit(&model), 1);
            }
            assert_int_equal(log_model_append(&model, 1, 3, 20, 6000), 0); //  nothing is behind it
            assert_int_equal(log_model_commit(&model), 1);
            yami_store_stats_t stats;
            model.store->ops->stats(model.store, &stats);
            assert_int_equal(stats.segments > 1, rounds > 4);
            size_t size = 0;
            sim_disk_bytes(disk, "0000000000000001.seg",
                           &size)[log_model_offset(&model, index) + 9] ^= 1;
            uint32_t hit = model.entries[index].channel;
            assert_int_equal(s_count_lost(&model, 1), hit == 1 ? 3 : 0);
            assert_int_equal(s_count_lost(&model, 2), hit == 2 ? 1 : 0);
            assert_int_equal(s_count_lost(&model, 1), hit == 1 ? 3 : 0); //  as before
            log_model_clear(&model);
            sim_disk_destroy(&disk);
        }
    }
}

int
main(void)
{
    (void) mallopt(M_TRIM_THRESHOLD, 64 << 20); //  thousands of stores: keep their pages
    (void) mallopt(M_MMAP_THRESHOLD, 64 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nth_operation_fails_with_eio_for_every_n),
        cmocka_unit_test(test_nth_operation_finds_no_space_for_every_n),
        cmocka_unit_test(test_segment_is_not_given_back_while_there_is_no_space_to_say_so),
        cmocka_unit_test(test_nth_open_finds_no_descriptor_for_every_n),
        cmocka_unit_test(test_without_descriptors_there_is_no_room_until_there_are_some),
        cmocka_unit_test(test_failed_sync_is_final_and_named),
        cmocka_unit_test(test_what_a_failed_sync_left_in_memory_is_written_again),
        cmocka_unit_test(test_a_file_that_cannot_be_opened_is_not_an_empty_channel),
        cmocka_unit_test(test_header_that_goes_bad_while_the_log_is_open_loses_its_entry_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
