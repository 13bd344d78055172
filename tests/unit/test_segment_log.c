//  The log in normal use: what is appended is read back, across segments, reopenings, trims and a
//  disk that fills up.
//  One file: every case fills, closes and opens the same log by the same few steps.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log_model.h"
#include "yam_error.h"
#include "yam_status.h"
#include "yami_alloc_test.h"
#include "yami_base.h"

static void
s_start(log_model_t *model, sim_disk_t **disk_p)
{
    *disk_p = sim_disk_new(7);
    log_model_init(model, *disk_p);
    assert_true(log_model_open(model));
}

static void
s_stop(log_model_t *model, sim_disk_t **disk_p)
{
    log_model_clear(model);
    sim_disk_destroy(disk_p);
}

static void
s_reopen(log_model_t *model)
{
    assert_int_equal(model->store->ops->close(&model->store), 0);
    assert_null(model->store);
    assert_true(log_model_open(model));
    assert_int_equal(model->damage_count + model->torn_count, 0);
}

static yami_store_stats_t
s_stats(const log_model_t *model)
{
    yami_store_stats_t stats;
    model->store->ops->stats(model->store, &stats);
    return stats;
}

static void
test_new_store_is_empty_and_wants_a_checkpoint(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    assert_int_equal(model.store->level, YAM_LEVEL_SYNCED);
    assert_true(model.store->ops->wants_checkpoint(model.store));
    assert_true(model.store->ops->has_room(model.store));
    log_model_read(&model, 1, 1);
    assert_int_equal(log_model_commit(&model), 0);
    assert_int_equal(log_model_checkpoint(&model), 0);
    assert_false(model.store->ops->wants_checkpoint(model.store));
    s_reopen(&model);
    assert_int_equal(s_stats(&model).recovered_entries, 1);
    s_stop(&model, &disk);
}

static void
test_entry_cannot_be_read_before_its_commit(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    model.options.cache_bytes = 0;
    for (int with_cache = 0; with_cache < 2; with_cache++) {
        model.options.cache_bytes = with_cache ? 1 << 20 : 0;
        s_reopen(&model);
        assert_int_equal(log_model_append(&model, 1, 5, 10, 100), 0);
        yami_entry_t entry;
        yami_damage_t damage;
        uint64_t sequence = model.next[1] - 1;
        assert_int_equal(model.store->ops->read(model.store, 1, sequence, &entry, &damage), -1);
        assert_int_equal(errno, ENOENT);
        assert_int_equal(log_model_commit(&model), 1);
        log_model_read(&model, 1, sequence);
    }
    s_stop(&model, &disk);
}

static void
test_entries_of_many_channels_and_segments_are_read_back(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    for (uint32_t round = 0; round < 300; round++) {
        uint32_t channel = round % LOG_MODEL_CHANNELS;
        assert_int_equal(log_model_append(&model, channel, 1 + round % 7, round % 50, round * 13),
                         0);
        if (round % 11 == 0) {
            assert_int_equal(log_model_commit(&model), 1);
        }
    }
    assert_int_equal(log_model_commit(&model), 1);
    assert_true(s_stats(&model).segments > 5);
    log_model_read_all(&model);
    s_reopen(&model);
    log_model_read_all(&model);
    for (uint32_t jump = 0; jump < 500; jump++) { //  redelivery: anywhere, back and forth
        uint32_t channel = (uint32_t) sim_disk_draw(disk, LOG_MODEL_CHANNELS);
        log_model_read(&model, channel, 1 + sim_disk_draw(disk, model.next[channel]));
    }
    s_stop(&model, &disk);
}

//  Few entries among many of another channel: found at once the second time.
static void
test_rare_channel_is_read_among_many_entries_of_others(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    for (uint32_t round = 0; round < 1500; round++) {
        assert_int_equal(log_model_append(&model, 1, 1, 5, 60), 0);
        if (round % 100 == 99) {
            assert_int_equal(log_model_append(&model, 2 + round / 100 % 3, 2, 5, 60), 0);
            assert_int_equal(log_model_commit(&model), 1);
        }
    }
    s_reopen(&model); //  nothing is in the cache
    log_model_read_all(&model);
    uint64_t before = sim_disk_operations(disk);
    for (uint32_t channel = 2; channel < 5; channel++) {
        log_model_read(&model, channel, 1);
    }
    assert_true(sim_disk_operations(disk) - before <= 3 * 3);
    log_model_read_all(&model);
    s_stop(&model, &disk);
}

static void
test_entry_larger_than_a_segment_gets_a_segment_of_its_own(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    assert_int_equal(log_model_append(&model, 1, 1, 10, 100), 0);
    assert_int_equal(log_model_append(&model, 1, 1, 300000, 2000000), 0);
    assert_int_equal(log_model_append(&model, 1, 1, 10, 100), 0);
    assert_int_equal(log_model_commit(&model), 1);
    assert_int_equal(s_stats(&model).segments, 3);
    log_model_read_all(&model);
    s_reopen(&model);
    log_model_read_all(&model);
    s_stop(&model, &disk);
}

static void
test_what_cannot_be_appended_changes_nothing(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    assert_int_equal(log_model_append(&model, 1, 4, 0, 10), 0);
    yami_store_t *store = model.store;
    yami_entry_t entry = {.kind = 18, .channel = 1, .base = 4, .count = 2}; //  4 is there
    assert_int_equal(store->ops->append(store, &entry), -1);
    assert_int_equal(errno, EINVAL);
    entry = (yami_entry_t) {.kind = 3, .channel = 1}; //  the store's own kind
    assert_int_equal(store->ops->append(store, &entry), -1);
    assert_int_equal(errno, EINVAL);
    entry = (yami_entry_t) {.kind = 18, .channel = 1, .base = UINT64_MAX, .count = 2};
    assert_int_equal(store->ops->append(store, &entry), -1);
    assert_int_equal(errno, EINVAL);
    entry = (yami_entry_t) {.kind = 18, .meta = "", .meta_size = YAMI_LIMIT_ENTRY_META + 1};
    assert_int_equal(store->ops->append(store, &entry), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(s_stats(&model).entries, 1);
    assert_int_equal(log_model_append(&model, 1, 1, 0, 10), 0);
    assert_int_equal(log_model_commit(&model), 1);
    log_model_read_all(&model);
    s_stop(&model, &disk);
}

static void
test_segments_of_an_impossible_size_are_refused(void **state)
{
    (void) state;
    static const uint64_t sizes[] = {0, 1, UINT64_MAX};
    for (size_t index = 0; index < sizeof sizes / sizeof sizes[0]; index++) {
        sim_disk_t *disk = sim_disk_new(7);
        log_model_t model;
        log_model_init(&model, disk);
        model.options.segment_bytes = sizes[index];
        errno = 0;
        assert_false(log_model_open(&model));
        assert_int_equal(errno, EINVAL);
        assert_non_null(strstr(yam_error(), "are possible"));
        s_stop(&model, &disk);
    }
}

static void
test_more_segments_than_files_may_be_open_are_read(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    while (s_stats(&model).segments <= 70) {
        assert_int_equal(log_model_append(&model, 1, 1, 0, 30000), 0);
        assert_int_equal(log_model_commit(&model), 1);
    }
    s_reopen(&model);
    for (int round = 0; round < 2; round++) {
        log_model_read_all(&model);
    }
    s_stop(&model, &disk);
}

//  A queue that is kept short: forty segments' worth goes through, four files do.
static void
test_trimmed_segments_are_used_again(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    size_t most = 0;
    for (int round = 0; round < 40 * 16; round++) {
        assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), 0);
        assert_int_equal(log_model_commit(&model), 1);
        log_model_trim(&model, 1, model.next[1]);
        if (model.store->ops->wants_checkpoint(model.store)) {
            assert_int_equal(log_model_checkpoint(&model), 0);
        }
        size_t count = sim_disk_count(disk, ".seg");
        most = count > most ? count : most;
    }
    assert_true(most <= 6);
    yami_store_stats_t stats = s_stats(&model);
    assert_true(stats.segments <= 2);
    assert_true(stats.disk_bytes <= 6 * model.options.segment_bytes);
    s_reopen(&model);
    assert_true(s_stats(&model).recovered_entries < 40);
    s_stop(&model, &disk);
}

//  One slow channel holds its segments, not those between them.
static void
test_any_unneeded_segment_is_given_back_not_only_the_oldest(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    assert_int_equal(log_model_append(&model, 2, 1, 20, 100), 0);
    for (int round = 0; round < 100; round++) {
        assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), 0);
        assert_int_equal(log_model_commit(&model), 1);
        if (model.store->ops->wants_checkpoint(model.store)) {
            assert_int_equal(log_model_checkpoint(&model), 0);
        }
    }
    assert_int_equal(log_model_commit(&model) >= 0, 1);
    assert_true(s_stats(&model).segments > 5);
    log_model_trim(&model, 1, model.next[1]);
    assert_int_equal(s_stats(&model).segments, 2);
    assert_int_equal(log_model_commit(&model), 1);
    log_model_read_all(&model);
    s_reopen(&model);
    log_model_read_all(&model);
    s_stop(&model, &disk);
}

static void
test_space_is_kept_until_a_checkpoint_stands_for_it(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    for (int round = 0; round < 100; round++) {
        assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), 0);
        assert_int_equal(log_model_commit(&model), 1);
    }
    uint64_t before = s_stats(&model).segments;
    log_model_trim(&model, 1, model.next[1]);
    assert_int_equal(s_stats(&model).segments, before);
    assert_true(model.store->ops->wants_checkpoint(model.store));
    assert_int_equal(log_model_checkpoint(&model), 0);
    log_model_trim(&model, 1, model.next[1]);
    assert_int_equal(s_stats(&model).segments, before); //  not durable yet
    assert_int_equal(log_model_commit(&model), 1);
    log_model_trim(&model, 1, model.next[1]);
    assert_int_equal(s_stats(&model).segments, 1);
    s_stop(&model, &disk);
}

//  Some segments.
static void
s_append_some(log_model_t *model)
{
    for (int round = 0; round < 100; round++) {
        assert_int_equal(log_model_append(model, 1, 1, 20, 4000), 0);
        assert_int_equal(log_model_commit(model), 1);
    }
}

//  Nobody else appends: the owner hears of the store's own entries, commits them, and that is all.
static void
s_check_given_back(log_model_t *model)
{
    yami_store_t *store = model->store;
    yami_store_stats_t before = s_stats(model);
    size_t files = sim_disk_count(model->disk, ".seg");
    uint64_t lsn = store->ops->give_back(store);
    assert_true(lsn > before.durable_lsn);
    assert_int_equal(log_model_commit(model), 1);
    yami_store_stats_t after = s_stats(model);
    assert_int_equal(after.durable_lsn, lsn);
    assert_int_equal(after.segments, 1);
    assert_true(sim_disk_count(model->disk, ".seg") < files);
    for (int turn = 0; turn < 10; turn++) {
        assert_int_equal(store->ops->give_back(store), lsn);
        assert_int_equal(log_model_commit(model), 0);
    }
    assert_int_equal(s_stats(model).syncs, after.syncs);
}

static void
test_trimmed_segments_are_work_for_a_commit_though_nobody_appends(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    s_append_some(&model);
    assert_int_equal(log_model_checkpoint(&model), 0);
    assert_int_equal(log_model_commit(&model), 1);
    assert_int_equal(model.store->ops->give_back(model.store), s_stats(&model).durable_lsn);
    log_model_trim(&model, 1, model.next[1]);
    s_check_given_back(&model);
    s_stop(&model, &disk);
}

static void
test_checkpoint_that_becomes_durable_gives_back_what_waited_for_it(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    s_append_some(&model);
    log_model_trim(&model, 1, model.next[1]); //  too early
    assert_int_equal(model.store->ops->give_back(model.store), s_stats(&model).durable_lsn);
    assert_int_equal(log_model_checkpoint(&model), 0);
    assert_int_equal(log_model_commit(&model), 1);
    s_check_given_back(&model);
    s_stop(&model, &disk);
}

static void
test_closing_twice_over_leaves_no_more_files(void **state)
{
    (void) state;
    sim_disk_t *disk;
    log_model_t model;
    s_start(&model, &disk);
    assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), 0);
    assert_int_equal(log_model_commit(&model), 1);
    s_reopen(&model);
    size_t count = sim_disk_count(disk, "");
    for (int round = 0; round < 5; round++) {
        s_reopen(&model);
    }
    assert_int_equal(sim_disk_count(disk, ""), count);
    log_model_read_all(&model);
    s_stop(&model, &disk);
}

static void
test_low_disk_refuses_data_and_takes_the_rest(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(7);
    log_model_t model;
    log_model_init(&model, disk);
    model.options.reserve_bytes = 1 << 20;
    sim_disk_set_free(disk, 4 << 20);
    assert_true(log_model_open(&model));
    assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), 0);
    assert_int_equal(log_model_commit(&model), 1);
    sim_disk_set_free(disk, (1 << 20) - 1);
    assert_int_equal(log_model_commit(&model), 0); //  looks at the disk
    assert_false(model.store->ops->has_room(model.store));
    assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(log_model_append(&model, 0, 0, 20, 0), 0);
    assert_int_equal(log_model_checkpoint(&model), 0);
    assert_int_equal(log_model_commit(&model), 1);
    sim_disk_set_free(disk, 4 << 20);
    assert_int_equal(log_model_commit(&model), 0);
    assert_true(model.store->ops->has_room(model.store));
    assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), 0);
    assert_int_equal(log_model_commit(&model), 1);
    log_model_read_all(&model);
    s_stop(&model, &disk);
}

static void
test_reserve_that_is_changed_holds_from_then_on(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(7);
    log_model_t model;
    log_model_init(&model, disk);
    sim_disk_set_free(disk, 4 << 20);
    assert_true(log_model_open(&model));
    assert_true(model.store->ops->has_room(model.store));
    model.store->ops->set_reserve(model.store, 8 << 20);
    assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), 0); //  has_room had promised it
    assert_false(model.store->ops->has_room(model.store));
    assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), -1);
    assert_int_equal(errno, ENOSPC);
    assert_non_null(strstr(yam_error(), "reserve of 8388608 bytes"));
    model.store->ops->set_reserve(model.store, 1 << 20);
    assert_true(model.store->ops->has_room(model.store));
    assert_int_equal(log_model_append(&model, 1, 1, 20, 4000), 0);
    assert_int_equal(log_model_commit(&model), 1);
    log_model_read_all(&model);
    s_stop(&model, &disk);
}

//  Publishers are refused when no segment can be had, consumers drain into what was held back, and
//  it goes on by itself.
static void
test_full_disk_refuses_data_until_trimming_makes_room(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(7);
    log_model_t model;
    log_model_init(&model, disk);
    sim_disk_set_free(disk, 8 * 65536 + 5000);
    assert_true(log_model_open(&model));
    int rc = 0;
    for (int round = 0; rc == 0; round++) {
        assert_true(round < 1000);
        rc =
            model.store->ops->has_room(model.store) ? log_model_append(&model, 1, 1, 20, 2000) : -1;
        assert_true(log_model_commit(&model) >= 0);
        if (model.store->ops->wants_checkpoint(model.store)) {
            assert_int_equal(log_model_checkpoint(&model), 0);
        }
    }
    assert_int_equal(model.durable_count, model.count); //  nothing is stuck
    for (int round = 0; round < 400; round++) { //  acks still go in, through the spare held back
        assert_int_equal(log_model_append(&model, 0, 0, 60, 0), 0);
        assert_int_equal(log_model_commit(&model), 1);
    }
    log_model_read_all(&model);
    log_model_trim(&model, 1, model.next[1] - 1);
    for (int round = 0; round < 3; round++) {
        if (model.store->ops->wants_checkpoint(model.store)) {
            assert_int_equal(log_model_checkpoint(&model), 0);
        }
        assert_true(log_model_commit(&model) >= 0);
        log_model_trim(&model, 1, model.next[1] - 1);
    }
    assert_true(model.store->ops->has_room(model.store));
    for (int round = 0; round < 50; round++) {
        assert_int_equal(log_model_append(&model, 1, 1, 20, 2000), 0);
        assert_int_equal(log_model_commit(&model), 1);
    }
    s_reopen(&model);
    log_model_read_all(&model);
    s_stop(&model, &disk);
}

//  Work until an allocation fails; whatever was refused left no trace.
static void
test_nth_allocation_fails_and_nothing_is_half_done(void **state)
{
    (void) state;
    for (int64_t nth = 0; nth < 150; nth++) {
        sim_disk_t *disk;
        log_model_t model;
        s_start(&model, &disk);
        yami_block_t *data = yami_block_copy("data", 4, 4);
        yami_alloc_fail_after(nth);
        size_t done = 0;
        for (; done < 40; done++) {
            yami_entry_t entry = {.kind = 18,
                                  .channel = (uint32_t) (done % 20),
                                  .base = 1 + done,
                                  .count = 1,
                                  .meta = "meta",
                                  .meta_size = 4,
                                  .data = data};
            if (model.store->ops->append(model.store, &entry) == -1) {
                assert_int_equal(errno, ENOMEM);
                break;
            }
        }
        yami_alloc_fail_after(-1);
        uint64_t durable_lsn = 0;
        assert_true(model.store->ops->commit(model.store, &durable_lsn) >= 0);
        assert_int_equal(durable_lsn, done);
        for (size_t index = 0; index < 40; index++) {
            yami_entry_t entry;
            yami_damage_t damage;
            int rc = model.store->ops->read(model.store, (uint32_t) (index % 20), 1 + index, &entry,
                                            &damage);
            assert_int_equal(rc, index < done ? 0 : -1);
            if (rc == 0) {
                assert_int_equal(entry.base, 1 + index);
                yami_store_release(&entry);
            }
        }
        yami_block_unref(&data);
        s_stop(&model, &disk);
    }
}

//  ---- With threads, on a real directory

typedef struct {
    yami_store_t *store;
    atomic_bool is_done;
} s_committer_t;

static void *
s_run_commits(void *arg)
{
    s_committer_t *self = arg;
    uint64_t durable_lsn = 0;
    while (!atomic_load(&self->is_done)) {
        int rc = self->store->ops->commit(self->store, &durable_lsn);
        YAM_ASSERT(rc >= 0);
    }
    return NULL;
}

static void
s_remove_directory(const char *path)
{
    char command[128];
    (void) snprintf(command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
}

static void
test_owner_and_committer_on_two_threads(void **state)
{
    (void) state;
    char path[] = "/tmp/yam-test-log-XXXXXX";
    assert_non_null(mkdtemp(path));
    yami_log_options_t options;
    yami_log_options_init(&options);
    options.segment_bytes = 256 << 10;
    options.cache_bytes = 64 << 10;
    yami_disk_t *disk = yami_disk_open(path, false);
    assert_non_null(disk);
    s_committer_t committer = {.store = yami_segment_log_open(disk, &options, NULL, NULL, NULL)};
    assert_non_null(committer.store);
    yami_store_t *store = committer.store;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, s_run_commits, &committer), 0);
    uint64_t read_next = 1;
    uint64_t next = 1;
    while (read_next <= 600) {
        if (next <= 600) {
            uint8_t *bytes = NULL;
            yami_block_t *data = yami_block_alloc(5000, 5000, &bytes);
            memset(bytes, (int) next, 5000);
            yami_entry_t entry = {.kind = 18, .channel = 9, .base = next, .count = 1, .data = data};
            assert_int_equal(store->ops->append(store, &entry), 0);
            yami_block_unref(&data);
            next++;
        }
        yami_entry_t entry;
        yami_damage_t damage;
        if (store->ops->read(store, 9, read_next, &entry, &damage) == 0) {
            assert_int_equal(entry.base, read_next);
            assert_int_equal(entry.data->data[4999], (uint8_t) read_next);
            yami_store_release(&entry);
            store->ops->trim(store, 9, read_next);
            read_next++;
        } else {
            assert_int_equal(errno, ENOENT);
        }
        if (store->ops->wants_checkpoint(store)) {
            yami_entry_t checkpoint = {
                .kind = YAMI_ENTRY_CHECKPOINT, .meta = "state", .meta_size = 5};
            assert_int_equal(store->ops->append(store, &checkpoint), 0);
        }
    }
    atomic_store(&committer.is_done, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(store->ops->close(&store), 0);
    s_remove_directory(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_store_is_empty_and_wants_a_checkpoint),
        cmocka_unit_test(test_entry_cannot_be_read_before_its_commit),
        cmocka_unit_test(test_entries_of_many_channels_and_segments_are_read_back),
        cmocka_unit_test(test_rare_channel_is_read_among_many_entries_of_others),
        cmocka_unit_test(test_entry_larger_than_a_segment_gets_a_segment_of_its_own),
        cmocka_unit_test(test_what_cannot_be_appended_changes_nothing),
        cmocka_unit_test(test_segments_of_an_impossible_size_are_refused),
        cmocka_unit_test(test_more_segments_than_files_may_be_open_are_read),
        cmocka_unit_test(test_trimmed_segments_are_used_again),
        cmocka_unit_test(test_any_unneeded_segment_is_given_back_not_only_the_oldest),
        cmocka_unit_test(test_space_is_kept_until_a_checkpoint_stands_for_it),
        cmocka_unit_test(test_trimmed_segments_are_work_for_a_commit_though_nobody_appends),
        cmocka_unit_test(test_checkpoint_that_becomes_durable_gives_back_what_waited_for_it),
        cmocka_unit_test(test_closing_twice_over_leaves_no_more_files),
        cmocka_unit_test(test_low_disk_refuses_data_and_takes_the_rest),
        cmocka_unit_test(test_reserve_that_is_changed_holds_from_then_on),
        cmocka_unit_test(test_full_disk_refuses_data_until_trimming_makes_room),
        cmocka_unit_test(test_nth_allocation_fails_and_nothing_is_half_done),
        cmocka_unit_test(test_owner_and_committer_on_two_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
