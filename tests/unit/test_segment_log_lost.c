//  What recovery says is lost, when that is much, or lies beside what was given back.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "log_model.h"
#include "yami_base.h"
#include "yami_recovery.h"
#include "yami_segment_format.h"

#define SEGMENT_1 "0000000000000001.seg"
#define SEGMENT_2 "0000000000000002.seg"
#define SEGMENT_3 "0000000000000003.seg"
#define SEGMENT_4 "0000000000000004.seg"
#define SEGMENT_5 "0000000000000005.seg"
#define MESSAGES 400u //  of one channel, at most
#define ROWS 256u

//  What looking at a log delivered and reported.
typedef struct {
    bool is_there[3][MESSAGES];
    bool is_named[3][MESSAGES];
    uint64_t lsns[MESSAGES];
    size_t count;
    yami_damage_t rows[ROWS];
    size_t row_count;
    uint64_t ranges; //  that are named, and
    uint64_t more;
} s_seen_t;

static int
s_visit(void *arg, const yami_entry_t *entry)
{
    s_seen_t *seen = arg;
    assert_true(seen->count < MESSAGES && entry->base + entry->count < MESSAGES);
    seen->lsns[seen->count++] = entry->lsn;
    for (uint64_t sequence = entry->base; sequence < entry->base + entry->count; sequence++) {
        seen->is_there[entry->channel][sequence] = true;
    }
    return 0;
}

static void
s_damaged(void *arg, const yami_damage_t *damage)
{
    s_seen_t *seen = arg;
    assert_true(seen->row_count < ROWS && !damage->is_torn_tail);
    bool is_new = !damage->is_rest;
    for (size_t index = 0; index < seen->row_count; index++) {
        const yami_damage_t *row = &seen->rows[index];
        is_new = is_new && (row->segment != damage->segment || row->offset != damage->offset ||
                            row->what != damage->what);
    }
    seen->rows[seen->row_count++] = *damage;
    seen->ranges += is_new ? 1 : 0;
    seen->more += damage->more;
    for (uint64_t sequence = damage->first; damage->first > 0 && sequence <= damage->last;
         sequence++) {
        assert_true(damage->channel < 3 && sequence < MESSAGES);
        seen->is_named[damage->channel][sequence] = true;
    }
}

//  As verify does, with another limit. Returns what recovery does.
static int
s_run(sim_disk_t *disk, size_t limit, bool refuses, s_seen_t *seen, uint64_t *ranges)
{
    *seen = (s_seen_t) {0};
    yami_disk_t *attached = sim_disk_attach(disk);
    yami_index_t index = {0};
    yami_recovery_t recovery = {.disk = attached,
                                .index = &index,
                                .replay = s_visit,
                                .damaged = s_damaged,
                                .arg = seen,
                                .refuse_damage = refuses,
                                .damage_limit = limit};
    int rc = yami_recovery_run(&recovery);
    int error = errno;
    *ranges = recovery.damaged_ranges;
    yami_recovery_clear(&recovery);
    yami_index_clear(&index);
    attached->destroy(&attached);
    errno = error;
    return rc;
}

//  The number of damaged ranges.
static uint64_t
s_look(sim_disk_t *disk, size_t limit, s_seen_t *seen)
{
    uint64_t ranges = 0;
    assert_int_equal(s_run(disk, limit, false, seen, &ranges), 0);
    return ranges;
}

//  Some segments with messages of two channels.
static void
s_build(log_model_t *model, sim_disk_t *disk, bool has_checkpoints)
{
    log_model_init(model, disk);
    assert_true(log_model_open(model));
    for (int round = 0; round < 60; round++) {
        assert_int_equal(log_model_append(model, 1 + (uint32_t) round % 2, 2, 20, 6000), 0);
        assert_int_equal(log_model_commit(model), 1);
        if (has_checkpoints && model->store->ops->wants_checkpoint(model->store)) {
            assert_int_equal(log_model_checkpoint(model), 0);
        }
    }
    assert_int_equal(model->store->ops->close(&model->store), 0);
}

static void
s_flip(sim_disk_t *disk, const char *name, size_t offset)
{
    size_t size = 0;
    uint8_t *bytes = sim_disk_bytes(disk, name, &size);
    assert_true(bytes && offset < size);
    bytes[offset] ^= 1;
}

//  Every range is named, or counted with those that are too many; so the sum is right, and a log
//  that can be read is read.
static void
test_damage_that_is_too_much_to_name_is_counted_and_keeps_no_store_shut(void **state)
{
    (void) state;
    for (int has_checkpoints = 0; has_checkpoints < 2; has_checkpoints++) {
        sim_disk_t *disk = sim_disk_new(1);
        log_model_t model;
        s_build(&model, disk, has_checkpoints == 1);
        size_t span = yami_entry_span(20, 6000);
        for (size_t entry = 1; entry < 8; entry += 3) {
            s_flip(disk, SEGMENT_1, YAMI_SEGMENT_HEADER_SIZE + entry * span + 20);
            s_flip(disk, SEGMENT_2, YAMI_SEGMENT_HEADER_SIZE + entry * span + 300);
        }
        sim_disk_remove(disk, SEGMENT_4);
        sim_disk_remove(disk, SEGMENT_5); //  listed one by one, where there is a checkpoint
        s_seen_t all;
        uint64_t ranges = s_look(disk, 0, &all);
        assert_int_equal(ranges, 3 + 3 + 1);
        assert_int_equal(all.ranges, ranges);
        assert_int_equal(all.more, 0);
        assert_int_equal(all.row_count, ranges + 1); //  the missing segments': two channels
        for (size_t limit = 1; limit <= all.row_count; limit++) {
            s_seen_t seen;
            assert_int_equal(s_look(disk, limit, &seen), ranges);
            assert_int_equal(seen.ranges + seen.more, ranges);
            assert_true(limit == all.row_count || seen.rows[seen.row_count - 1].is_rest);
            assert_int_equal(seen.count, all.count);
        }
        log_model_clear(&model);
        sim_disk_destroy(&disk);
    }
}

//  The end that a crash left was counted when it had no place among what is named.
static void
test_torn_tail_beyond_the_limit_is_no_damage(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    size_t size = 0;
    for (int more = 3; more > 0; more -= sim_disk_bytes(disk, SEGMENT_2, &size) ? 1 : 0) {
        assert_int_equal(log_model_append(&model, 1, 2, 20, 6000), 0);
        assert_int_equal(log_model_commit(&model), 1);
    }
    sim_disk_t *copy = sim_disk_clone(disk, 1); //  not closed: the last one has no footer
    assert_non_null(sim_disk_bytes(copy, SEGMENT_1, &size));
    s_flip(copy, SEGMENT_1, size - 5); //  its trailer
    const uint8_t *bytes = sim_disk_bytes(copy, SEGMENT_2, &size);
    while (bytes[size - 1] == 0) {
        size--;
    }
    s_flip(copy, SEGMENT_2, size - 1);
    s_seen_t seen;
    assert_int_equal(s_look(copy, 1, &seen), 1);
    assert_int_equal(seen.count, model.count - 1);
    assert_int_equal(seen.row_count, 1);
    assert_false(seen.rows[0].is_rest);
    log_model_clear(&model);
    sim_disk_destroy(&copy);
    sim_disk_destroy(&disk);
}

//  As the background reading has it, which looks at one segment. The loss to a further channel
//  ended its look, though the range was told.
static void
test_loss_that_cannot_be_named_ends_no_look_at_a_segment(void **state)
{
    (void) state;
    yami_recovery_t work = {.damage_limit = 1};
    yami_damage_t damage = {.segment = 1, .offset = 64, .size = 8, .what = "entry checksum"};
    assert_int_equal(yami_recovery_add_damage(&work, &damage), 0);
    assert_int_equal(yami_recovery_add_loss(&work, &damage), 0);
    damage.offset += 64;
    assert_int_equal(yami_recovery_add_damage(&work, &damage), -1);
    assert_int_equal(errno, EMSGSIZE);
    yami_recovery_clear(&work);
}

static void
test_missing_segments_that_follow_each_other_are_one_exact_range(void **state)
{
    (void) state;
    for (int has_checkpoints = 0; has_checkpoints < 2; has_checkpoints++) {
        sim_disk_t *disk = sim_disk_new(1);
        log_model_t model;
        s_build(&model, disk, has_checkpoints == 1);
        sim_disk_remove(disk, SEGMENT_2);
        sim_disk_remove(disk, SEGMENT_3);
        s_seen_t seen;
        assert_int_equal(s_look(disk, 0, &seen), 1);
        assert_int_equal(seen.row_count, 2); //  one range, two channels
        size_t before = 0;
        while (seen.lsns[before] + 1 == seen.lsns[before + 1]) {
            before++;
        }
        for (size_t index = 0; index < seen.row_count; index++) {
            const yami_damage_t *row = &seen.rows[index];
            assert_string_equal(row->what, "missing segments");
            assert_int_equal(row->segment, 2);
            assert_int_equal(row->last_segment, 3);
            assert_int_equal(row->first_lsn, seen.lsns[before] + 1);
            assert_int_equal(row->last_lsn, seen.lsns[before + 1] - 1);
        }
        for (uint32_t channel = 1; channel < 3; channel++) {
            for (uint64_t sequence = 1; sequence < model.next[channel]; sequence++) {
                assert_int_equal(seen.is_named[channel][sequence],
                                 !seen.is_there[channel][sequence]);
            }
        }
        log_model_clear(&model);
        sim_disk_destroy(&disk);
    }
}

static void
s_append(yami_store_t *store, uint32_t channel, uint64_t base, uint32_t count)
{
    uint64_t durable = 0;
    uint8_t *bytes = NULL;
    yami_entry_t entry = {.kind = YAMI_ENTRY_OWNER,
                          .channel = channel,
                          .base = base,
                          .count = count,
                          .data = yami_block_alloc(6000, 6000, &bytes)};
    memset(bytes, 1, 6000);
    assert_int_equal(store->ops->append(store, &entry), 0);
    yami_block_unref(&entry.data);
    assert_int_equal(store->ops->commit(store, &durable), 1);
}

static void
s_append_checkpoint(yami_store_t *store)
{
    uint64_t durable = 0;
    yami_entry_t entry = {.kind = YAMI_ENTRY_CHECKPOINT};
    assert_int_equal(store->ops->append(store, &entry), 0);
    assert_int_equal(store->ops->commit(store, &durable), 1);
}

static void
s_put_back(sim_disk_t *disk, const char *name, const uint8_t *bytes, size_t size)
{
    yami_disk_t *attached = sim_disk_attach(disk);
    int file = attached->open(attached, name, true, false);
    assert_true(file >= 0);
    struct iovec part = {.iov_base = (void *) (uintptr_t) bytes, .iov_len = size};
    assert_int_equal(attached->pwritev(attached, file, &part, 1, 0), size);
    assert_int_equal(attached->close(attached, file), 0);
    attached->destroy(&attached);
}

//  The file of a segment that was given back is still there, and damaged; the next one, whose
//  messages from floor to base are owed, is missing.
static uint64_t
s_build_given_back(log_model_t *model, sim_disk_t *disk, uint64_t *floor_p)
{
    log_model_init(model, disk);
    assert_true(log_model_open(model));
    s_append(model->store, 2, 1, 1); //  never settled: it keeps the first segment
    uint64_t base = 1, floor = 0;
    size_t size = 0;
    for (; !sim_disk_bytes(disk, SEGMENT_4, &size); base += 5) {
        floor = sim_disk_bytes(disk, SEGMENT_3, &size) ? floor : base + 5;
        s_append(model->store, 1, base, 5);
    }
    const uint8_t *bytes = sim_disk_bytes(disk, SEGMENT_2, &size);
    uint8_t *kept = malloc(size);
    assert_non_null(kept);
    memcpy(kept, bytes, size);
    size_t kept_size = size;
    for (int round = 0; round < 2; round++) {
        model->store->ops->trim(model->store, 1, floor);
        s_append_checkpoint(model->store);
    }
    assert_int_equal(model->store->ops->close(&model->store), 0);
    assert_null(sim_disk_bytes(disk, SEGMENT_2, &size));
    s_put_back(disk, SEGMENT_2, kept, kept_size);
    s_flip(disk, SEGMENT_2, 20); //  its header
    sim_disk_remove(disk, SEGMENT_3);
    free(kept);
    *floor_p = floor;
    return base;
}

//  They were named with the first, which counts no more: so nobody heard of them.
static void
test_loss_beside_a_segment_that_was_given_back_is_named(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    uint64_t floor = 0;
    uint64_t base = s_build_given_back(&model, disk, &floor);
    s_seen_t seen;
    assert_int_equal(s_look(disk, 0, &seen), 1);
    for (size_t index = 0; index < seen.row_count; index++) {
        assert_int_equal(seen.rows[index].segment, 3);
    }
    for (uint64_t sequence = 1; sequence < base; sequence++) {
        assert_true(sequence < floor ? !seen.is_named[1][sequence]
                                     : seen.is_named[1][sequence] != seen.is_there[1][sequence]);
    }
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  The one row is of a file that counts no more, so that there was nothing to refuse.
static void
test_damage_that_cannot_be_named_is_refused_as_any_other(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    uint64_t floor = 0;
    (void) s_build_given_back(&model, disk, &floor);
    s_seen_t seen;
    uint64_t ranges = 0;
    assert_int_equal(s_run(disk, 1, false, &seen, &ranges), 0);
    assert_int_equal(ranges, 1);
    assert_true(seen.row_count == 1 && seen.rows[0].is_rest);
    assert_int_equal(s_run(disk, 1, true, &seen, &ranges), -1);
    assert_int_equal(errno, EBADMSG);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  Of a log that was drained again and again: what was given back is gone, and so are the TRIM
//  entries and the only checkpoint, which lay in the missing segment. Segments given back long ago
//  were reported missing with it, and every message of a channel up to there named as lost.
static void
test_segments_given_back_before_one_that_is_missing_are_not_called_lost(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    uint64_t base = 1;
    size_t size = 0;
    for (; !sim_disk_bytes(disk, SEGMENT_4, &size); base += 5) {
        s_append(model.store, 1, base, 5);
    }
    for (int round = 0; round < 2; round++) {
        model.store->ops->trim(model.store, 1, base);
        s_append_checkpoint(model.store);
    }
    assert_null(sim_disk_bytes(disk, SEGMENT_3, &size));
    for (; !sim_disk_bytes(disk, SEGMENT_5, &size); base += 5) {
        s_append(model.store, 1, base, 5);
    }
    s_append(model.store, 1, base, 5);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    sim_disk_remove(disk, SEGMENT_4);
    s_seen_t seen;
    assert_int_equal(s_look(disk, 0, &seen), 1);
    assert_true(seen.count > 0);
    assert_int_equal(seen.row_count, 1);
    assert_int_equal(seen.rows[0].segment, 4);
    assert_int_equal(seen.rows[0].last_segment, 0);
    assert_int_equal(seen.rows[0].last, 0);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_damage_that_is_too_much_to_name_is_counted_and_keeps_no_store_shut),
        cmocka_unit_test(test_torn_tail_beyond_the_limit_is_no_damage),
        cmocka_unit_test(test_loss_that_cannot_be_named_ends_no_look_at_a_segment),
        cmocka_unit_test(test_missing_segments_that_follow_each_other_are_one_exact_range),
        cmocka_unit_test(test_loss_beside_a_segment_that_was_given_back_is_named),
        cmocka_unit_test(test_damage_that_cannot_be_named_is_refused_as_any_other),
        cmocka_unit_test(test_segments_given_back_before_one_that_is_missing_are_not_called_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
