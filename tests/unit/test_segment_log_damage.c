//  What the log says and keeps when its files were changed behind its back: every bit, every cut,
//  pages, whole segments.
//  One file: all cases damage one of two logs, and count what is left by one rule.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "log_model.h"
#include "yam_error.h"
#include "yami_base.h"
#include "yami_segment_format.h"

#define SEGMENT_1 "0000000000000001.seg"
#define SEGMENT_2 "0000000000000002.seg"
#define SEGMENT_3 "0000000000000003.seg"
#define DAMAGE_LIMIT 64
#define ENTRIES_OF_COMMIT 3 //  in the small log

//  What opening or verifying delivered and reported.
typedef struct {
    const log_model_t *model; //  compared with; may be NULL
    uint64_t lsns[4096];
    size_t count;
    yami_damage_t damages[DAMAGE_LIMIT];
    size_t damage_count;
    size_t torn_count;
} s_seen_t;

static int
s_visit(void *arg, const yami_entry_t *entry)
{
    s_seen_t *seen = arg;
    assert_true(seen->count < 4096);
    assert_true(seen->count == 0 || seen->lsns[seen->count - 1] < entry->lsn);
    seen->lsns[seen->count++] = entry->lsn;
    if (seen->model && entry->kind != YAMI_ENTRY_CHECKPOINT) {
        log_model_compare(seen->model, entry);
    }
    return 0;
}

static void
s_damaged(void *arg, const yami_damage_t *damage)
{
    s_seen_t *seen = arg;
    assert_non_null(damage->what);
    seen->torn_count += damage->is_torn_tail ? 1 : 0;
    assert_true(seen->damage_count < DAMAGE_LIMIT);
    seen->damages[seen->damage_count++] = *damage;
}

static yami_store_t *
s_open(sim_disk_t *disk, const yami_log_options_t *options, s_seen_t *seen)
{
    return yami_segment_log_open(sim_disk_attach(disk), options, s_visit, s_damaged, seen);
}

static int64_t
s_verify(sim_disk_t *disk, s_seen_t *seen)
{
    yami_disk_t *attached = sim_disk_attach(disk);
    int64_t count = yami_segment_log_verify(attached, s_visit, s_damaged, seen);
    attached->destroy(&attached);
    return count;
}

//  A log of a few KiB in one segment: two channels, entries with and without data.
static void
s_build_small(log_model_t *model, sim_disk_t *disk)
{
    log_model_init(model, disk);
    model->options.spare_count = 1;
    assert_true(log_model_open(model));
    for (int round = 0; round < 4; round++) {
        assert_int_equal(log_model_append(model, 1, 3, 20, 301), 0);
        assert_int_equal(log_model_append(model, 2, 1, 0, 64), 0);
        assert_int_equal(log_model_append(model, 0, 0, 33, 0), 0);
        assert_int_equal(log_model_commit(model), 1);
    }
}

//  Exactly the entry that covers the byte, if any, may be missing; some damage must cover the byte.
static void
s_check_flip(const log_model_t *model, const s_seen_t *seen, uint64_t offset)
{
    size_t at = 0;
    for (size_t index = 0; index < model->count; index++) {
        bool is_hit =
            offset >= log_model_offset(model, index) && offset < log_model_offset(model, index + 1);
        bool is_there = at < seen->count && seen->lsns[at] == model->entries[index].lsn;
        assert_true(is_hit != is_there);
        at += is_there ? 1 : 0;
    }
    assert_int_equal(at, seen->count);
    assert_int_equal(seen->damage_count, 1);
    assert_int_equal(seen->torn_count, 0);
    assert_true(seen->damages[0].offset <= offset &&
                offset < seen->damages[0].offset + seen->damages[0].size);
    assert_int_equal(seen->damages[0].segment, 1);
}

static void
test_one_bit_flipped_anywhere_is_found_and_only_its_entry_lost(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_small(&model, disk);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    size_t size = 0;
    assert_non_null(sim_disk_bytes(disk, SEGMENT_1, &size));
    assert_true(size > 2000 && size < 8000); //  cut behind its trailer
    for (size_t offset = 0; offset < size; offset++) {
        sim_disk_t *copy = sim_disk_clone(disk, offset);
        sim_disk_bytes(copy, SEGMENT_1, &size)[offset] ^= (uint8_t) (1U << offset % 8);
        s_seen_t seen = {.model = &model};
        assert_int_equal(s_verify(copy, &seen), 1);
        s_check_flip(&model, &seen, offset);
        seen = (s_seen_t) {.model = &model};
        yami_store_t *store = s_open(copy, &model.options, &seen);
        assert_non_null(store);
        s_check_flip(&model, &seen, offset);
        assert_int_equal(sim_disk_count(copy, "lost-"), 1);
        yami_store_stats_t stats;
        store->ops->stats(store, &stats);
        assert_int_equal(stats.damaged_ranges, 1);
        assert_int_equal(store->ops->close(&store), 0);
        sim_disk_destroy(&copy);
    }
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  Of a log that a crash left, what nothing later proves durable is a torn tail: told with its
//  range as damage is, and the log ends before it.
static void
s_check_flip_of_open(const log_model_t *model, const s_seen_t *seen, uint64_t offset)
{
    if (offset < log_model_offset(model, model->count - ENTRIES_OF_COMMIT)) {
        s_check_flip(model, seen, offset);
        return;
    }
    assert_int_equal(seen->damage_count, 1);
    assert_int_equal(seen->torn_count, 1);
    assert_true(seen->damages[0].offset <= offset &&
                offset < seen->damages[0].offset + seen->damages[0].size);
    assert_true(seen->count >= model->count - ENTRIES_OF_COMMIT && seen->count < model->count);
    assert_int_equal(seen->damages[0].offset, log_model_offset(model, seen->count));
    assert_true(offset < log_model_offset(model, seen->count + 1));
}

static void
test_one_bit_flipped_anywhere_in_a_log_that_a_crash_left_is_told(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_small(&model, disk);
    uint64_t end = log_model_offset(&model, model.count);
    for (uint64_t offset = 0; offset < end; offset++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            sim_disk_t *copy = sim_disk_clone(disk, offset); //  not closed: no footer
            size_t size = 0;
            sim_disk_bytes(copy, SEGMENT_1, &size)[offset] ^= (uint8_t) (1U << bit);
            s_seen_t seen = {.model = &model};
            assert_int_equal(
                s_verify(copy, &seen),
                offset < log_model_offset(&model, model.count - ENTRIES_OF_COMMIT) ? 1 : 0);
            s_check_flip_of_open(&model, &seen, offset);
            seen = (s_seen_t) {.model = &model};
            yami_store_t *store = s_open(copy, &model.options, &seen);
            assert_non_null(store);
            s_check_flip_of_open(&model, &seen, offset);
            assert_int_equal(store->ops->close(&store), 0);
            sim_disk_destroy(&copy);
        }
    }
    assert_int_equal(model.store->ops->close(&model.store), 0);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

static void
test_refuse_damage_refuses_to_open(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_small(&model, disk);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    size_t size = 0;
    sim_disk_bytes(disk, SEGMENT_1, &size)[200] ^= 1;
    s_seen_t seen = {0};
    model.options.refuse_damage = true;
    assert_null(s_open(disk, &model.options, &seen));
    assert_int_equal(errno, EBADMSG);
    assert_non_null(strstr(yam_error(), "damaged"));
    assert_int_equal(sim_disk_count(disk, "lost-"), 0); //  nothing was touched
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  Entries that are as they were: a cut that takes only zeros of the alignment harms nothing.
static size_t
s_count_whole(const log_model_t *model, sim_disk_t *copy, sim_disk_t *image)
{
    size_t size = 0;
    size_t image_size = 0;
    const uint8_t *bytes = sim_disk_bytes(copy, SEGMENT_1, &size);
    const uint8_t *image_bytes = sim_disk_bytes(image, SEGMENT_1, &image_size);
    size_t whole = 0;
    while (whole < model->count && log_model_offset(model, whole + 1) <= size &&
           memcmp(bytes, image_bytes, log_model_offset(model, whole + 1)) == 0) {
        whole++;
    }
    return whole;
}

//  A crash leaves the last write torn: whatever its length, the log ends before the first entry
//  that is not whole.
static void
test_cut_at_every_offset_of_the_tail_ends_the_log_there(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_small(&model, disk);
    uint64_t end = log_model_offset(&model, model.count);
    sim_disk_t *image = sim_disk_clone(disk, 1); //  not closed: no footer
    for (uint64_t cut = log_model_offset(&model, 3); cut <= end; cut++) {
        for (int zeroed = 0; zeroed < 2; zeroed++) {
            sim_disk_t *copy = sim_disk_clone(image, cut);
            sim_disk_resize(copy, SEGMENT_1, cut);
            if (zeroed) {
                sim_disk_resize(copy, SEGMENT_1, model.options.segment_bytes);
            }
            size_t whole = s_count_whole(&model, copy, image);
            s_seen_t seen = {.model = &model};
            assert_int_equal(s_verify(copy, &seen), 0);
            assert_int_equal(seen.count, whole);
            seen = (s_seen_t) {.model = &model};
            yami_store_t *store = s_open(copy, &model.options, &seen);
            assert_non_null(store);
            assert_int_equal(seen.count, whole);
            assert_int_equal(seen.damage_count, seen.torn_count);
            assert_int_equal(store->ops->close(&store), 0);
            seen = (s_seen_t) {.model = &model}; //  the cut is not found a second time
            assert_int_equal(s_verify(copy, &seen), 0);
            assert_int_equal(seen.count, whole);
            assert_int_equal(seen.damage_count, 0);
            sim_disk_destroy(&copy);
        }
    }
    sim_disk_destroy(&image);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  Several segments; checkpoints only when asked for.
static void
s_build_large(log_model_t *model, sim_disk_t *disk, bool has_checkpoints)
{
    log_model_init(model, disk);
    assert_true(log_model_open(model));
    for (int round = 0; round < 40; round++) {
        assert_int_equal(log_model_append(model, 1 + (uint32_t) round % 2, 2, 20, 6000), 0);
        assert_int_equal(log_model_append(model, 0, 0, 40, 0), 0);
        assert_int_equal(log_model_commit(model), 1);
        if (has_checkpoints && model->store->ops->wants_checkpoint(model->store)) {
            assert_int_equal(log_model_checkpoint(model), 0);
        }
    }
    assert_int_equal(log_model_commit(model) >= 0, 1);
}

static void
test_zeroed_page_in_the_middle_loses_only_what_it_held(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_large(&model, disk, false);
    sim_disk_t *copy = sim_disk_clone(disk, 1);
    size_t size = 0;
    memset(sim_disk_bytes(copy, SEGMENT_2, &size) + 8192, 0, 4096);
    s_seen_t seen = {.model = &model};
    assert_int_equal(s_verify(copy, &seen) > 0, 1);
    assert_true(seen.count + 5 > model.count && seen.count < model.count);
    seen = (s_seen_t) {.model = &model};
    yami_store_t *store = s_open(copy, &model.options, &seen);
    assert_non_null(store);
    assert_true(seen.count + 5 > model.count && seen.count < model.count);
    uint64_t lost = 0;
    for (size_t index = 0; index < seen.damage_count; index++) {
        assert_int_equal(seen.damages[index].segment, 2);
        assert_false(seen.damages[index].is_torn_tail);
        lost += seen.damages[index].last_lsn - seen.damages[index].first_lsn + 1;
    }
    assert_int_equal(seen.count + lost, model.count);
    assert_int_equal(store->ops->close(&store), 0);
    log_model_clear(&model);
    sim_disk_destroy(&copy);
    sim_disk_destroy(&disk);
}

//  Reading finds out what opening did not look at: what lies before the checkpoint.
static void
test_damage_before_the_checkpoint_is_found_by_read_and_named(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_large(&model, disk, true);
    sim_disk_t *copy = sim_disk_clone(disk, 1);
    size_t size = 0;
    memset(sim_disk_bytes(copy, SEGMENT_1, &size) + 8192, 0, 4096);
    model.options.scan_bytes = 0;
    s_seen_t seen = {0};
    yami_store_t *store = s_open(copy, &model.options, &seen);
    assert_non_null(store);
    assert_int_equal(seen.damage_count, 0);
    size_t lost = 0;
    for (uint64_t sequence = 1; sequence < model.next[2];) {
        yami_entry_t entry;
        yami_damage_t damage = {0};
        if (store->ops->read(store, 2, sequence, &entry, &damage) == 0) {
            assert_int_equal(entry.base, sequence);
            log_model_compare(&model, &entry);
            sequence += entry.count;
            yami_store_release(&entry);
        } else {
            assert_int_equal(errno, EBADMSG);
            assert_int_equal(damage.segment, 1);
            assert_int_equal(damage.channel, 2);
            assert_int_equal(damage.first, sequence);
            assert_true(damage.last >= damage.first);
            lost += damage.last - damage.first + 1;
            sequence = damage.last + 1;
        }
    }
    assert_true(lost > 0 && lost <= 4);
    assert_int_equal(store->ops->close(&store), 0);
    log_model_clear(&model);
    sim_disk_destroy(&copy);
    sim_disk_destroy(&disk);
}

static void
test_missing_middle_segment_is_reported_and_the_others_kept(void **state)
{
    (void) state;
    for (int has_checkpoints = 0; has_checkpoints < 2; has_checkpoints++) {
        sim_disk_t *disk = sim_disk_new(1);
        log_model_t model;
        s_build_large(&model, disk, has_checkpoints == 1);
        sim_disk_t *copy = sim_disk_clone(disk, 1);
        sim_disk_remove(copy, SEGMENT_2);
        s_seen_t seen = {.model = &model};
        yami_store_t *store = s_open(copy, &model.options, &seen);
        assert_non_null(store);
        assert_int_equal(seen.damage_count, 2); //  one range, two channels
        for (size_t index = 0; index < 2; index++) {
            assert_int_equal(seen.damages[index].segment, 2);
            assert_string_equal(seen.damages[index].what, "missing segment");
            assert_true(seen.damages[index].last > seen.damages[index].first);
        }
        assert_int_equal(seen.damages[0].channel + seen.damages[1].channel, 1 + 2);
        yami_store_stats_t stats;
        store->ops->stats(store, &stats);
        assert_int_equal(stats.damaged_ranges, 1);
        uint64_t lost = seen.damages[0].last_lsn - seen.damages[0].first_lsn + 1;
        assert_true(lost > 5);
        if (!has_checkpoints) {
            assert_int_equal(seen.count + lost, model.count);
        }
        assert_int_equal(store->ops->close(&store), 0);
        log_model_clear(&model);
        sim_disk_destroy(&copy);
        sim_disk_destroy(&disk);
    }
}

//  What the ranges name is what is missing: each sequence, and no other.
static void
s_check_named(const log_model_t *model, const s_seen_t *seen, uint64_t segment)
{
    bool is_named[3][400] = {{false}};
    for (size_t index = 0; index < seen->damage_count; index++) {
        const yami_damage_t *damage = &seen->damages[index];
        assert_int_equal(damage->segment, segment);
        assert_false(damage->is_torn_tail);
        for (uint64_t sequence = damage->first; sequence <= damage->last && damage->last > 0;
             sequence++) {
            assert_true(damage->channel < 3 && sequence < 400);
            is_named[damage->channel][sequence] = true;
        }
    }
    size_t at = 0;
    for (size_t index = 0; index < model->count; index++) {
        const log_model_entry_t *entry = &model->entries[index];
        bool is_there = at < seen->count && seen->lsns[at] == entry->lsn;
        for (uint64_t sequence = entry->base; sequence < entry->base + entry->count; sequence++) {
            assert_int_equal(is_named[entry->channel][sequence], !is_there);
        }
        at += is_there ? 1 : 0;
    }
    assert_int_equal(at, seen->count);
}

//  Nothing of a segment is left behind some offset, its footer neither: what it held there was
//  named by LSNs only, unless its header told.
static void
test_segment_that_lost_its_end_names_each_message_of_it(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_large(&model, disk, false);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    size_t size = 0;
    assert_non_null(sim_disk_bytes(disk, SEGMENT_2, &size));
    for (size_t cut = 0; cut < 2 * size; cut += 331) {
        sim_disk_t *copy = sim_disk_clone(disk, 1);
        if (cut < size) {
            sim_disk_resize(copy, SEGMENT_2, cut);
        } else {
            memset(sim_disk_bytes(copy, SEGMENT_2, &size) + cut - size, 0, 2 * size - cut);
        }
        for (int is_open = 0; is_open < 2; is_open++) {
            s_seen_t seen = {.model = &model};
            yami_store_t *store = is_open ? s_open(copy, &model.options, &seen) : NULL;
            assert_true(is_open ? store != NULL : s_verify(copy, &seen) > 0);
            s_check_named(&model, &seen, 2);
            if (store) {
                assert_int_equal(store->ops->close(&store), 0);
            }
        }
        sim_disk_destroy(&copy);
    }
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

static void
test_missing_first_segment_is_reported(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_large(&model, disk, false);
    sim_disk_t *copy = sim_disk_clone(disk, 1);
    sim_disk_remove(copy, SEGMENT_1);
    s_seen_t seen = {.model = &model};
    assert_int_equal(s_verify(copy, &seen), 1);
    assert_int_equal(seen.damages[0].segment, 1);
    assert_int_equal(seen.damages[0].first_lsn, 1);
    assert_int_equal(seen.damages[0].last_lsn, seen.lsns[0] - 1);
    s_check_named(&model, &seen, 1);
    log_model_clear(&model);
    sim_disk_destroy(&copy);
    sim_disk_destroy(&disk);
}

//  Damaged ends and beginnings of sealed segments fall back to a scan.
static void
test_damaged_footer_trailer_or_header_costs_no_entry(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_large(&model, disk, false);
    size_t size = 0;
    for (int part = 0; part < 3; part++) {
        sim_disk_t *copy = sim_disk_clone(disk, 1);
        uint8_t *bytes = sim_disk_bytes(copy, SEGMENT_2, &size);
        yami_trailer_t trailer;
        assert_int_equal(yami_trailer_decode(bytes + size - YAMI_TRAILER_SIZE, &trailer), 0);
        size_t offsets[] = {20, trailer.footer_offset + 70, size - 5};
        const char *const names[] = {"segment header", "footer", "trailer"};
        bytes[offsets[part]] ^= 0x40;
        for (int is_open = 0; is_open < 2; is_open++) {
            s_seen_t seen = {.model = &model};
            yami_store_t *store = is_open ? s_open(copy, &model.options, &seen) : NULL;
            if (!is_open) {
                assert_int_equal(s_verify(copy, &seen), 1);
            }
            assert_int_equal(seen.count, model.count);
            assert_int_equal(seen.damage_count, 1);
            assert_string_equal(seen.damages[0].what, names[part]);
            assert_int_equal(seen.damages[0].segment, 2);
            if (store) {
                assert_int_equal(store->ops->close(&store), 0);
            }
        }
        sim_disk_destroy(&copy);
    }
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

static void
test_damaged_checkpoint_falls_back_to_the_one_before(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_large(&model, disk, true);
    uint64_t newest = 0;
    size_t newest_index = 0;
    size_t before_index = 0;
    for (size_t index = 0; index < model.count; index++) {
        if (model.entries[index].kind == YAMI_ENTRY_CHECKPOINT) {
            before_index = newest_index;
            newest_index = index;
            newest = model.entries[index].lsn;
        }
    }
    assert_true(before_index > 0);
    sim_disk_t *copy = sim_disk_clone(disk, 1);
    const char *name = NULL;
    for (size_t index = 0; (name = sim_disk_name(copy, index)); index++) {
        size_t size = 0;
        uint8_t *bytes = sim_disk_bytes(copy, name, &size);
        for (size_t offset = 0; offset + 64 <= size; offset += 8) {
            yami_entry_header_t header;
            if (yami_entry_header_decode(bytes + offset, &header) == 0 && header.lsn == newest &&
                header.kind == YAMI_ENTRY_CHECKPOINT) {
                bytes[offset + 70] ^= 1;
            }
        }
    }
    s_seen_t seen = {.model = &model};
    yami_store_t *store = s_open(copy, &model.options, &seen);
    assert_non_null(store);
    assert_int_equal(seen.damage_count, 1);
    assert_int_equal(seen.damages[0].first_lsn, newest);
    assert_int_equal(seen.lsns[0], model.entries[before_index].lsn);
    assert_int_equal(seen.count, model.count - before_index - 1);
    assert_int_equal(store->ops->close(&store), 0);
    log_model_clear(&model);
    sim_disk_destroy(&copy);
    sim_disk_destroy(&disk);
}

//  Channel and sequences of an entry whose header is gone are told from what comes next.
static void
test_lost_sequences_are_named_when_the_header_is_gone(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_small(&model, disk);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    size_t size = 0;
    sim_disk_bytes(disk, SEGMENT_1, &size)[log_model_offset(&model, 3) + 20] ^=
        1; //  second of channel 1
    s_seen_t seen = {.model = &model};
    assert_int_equal(s_verify(disk, &seen), 1);
    assert_int_equal(seen.damages[0].channel, 1);
    assert_int_equal(seen.damages[0].first, 4);
    assert_int_equal(seen.damages[0].last, 6);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  Appends count messages of channel from base on, of data as large as that.
static void
s_append(yami_store_t *store, uint32_t channel, uint64_t base, uint32_t count, size_t data_size)
{
    uint8_t *bytes = NULL;
    yami_entry_t entry = {.kind = YAMI_ENTRY_OWNER,
                          .channel = channel,
                          .base = base,
                          .count = count,
                          .data = yami_block_alloc(data_size, data_size, &bytes)};
    memset(bytes, (int) base, data_size);
    assert_int_equal(store->ops->append(store, &entry), 0);
    yami_block_unref(&entry.data);
}

//  Opens with options, or only verifies (NULL): one range is damaged, and cost these messages.
static yami_store_t *
s_find_one_damage(sim_disk_t *disk, const yami_log_options_t *options, uint32_t channel,
                  uint64_t first, uint64_t last)
{
    s_seen_t seen = {0};
    yami_store_t *store = options ? s_open(disk, options, &seen) : NULL;
    assert_true(options ? store != NULL : s_verify(disk, &seen) == 1);
    assert_int_equal(seen.damage_count, 1);
    assert_int_equal(seen.damages[0].channel, channel);
    assert_int_equal(seen.damages[0].first, first);
    assert_int_equal(seen.damages[0].last, last);
    return store;
}

//  Once a checkpoint said how far channels are settled, their messages in a damaged segment were
//  taken for lost with it.
static void
test_damage_beside_settled_channels_names_only_what_is_lost(void **state)
{
    (void) state;
    for (size_t offset = 20; offset < 300; offset += 200) { //  in the header, and behind it
        sim_disk_t *disk = sim_disk_new(1);
        log_model_t model;
        log_model_init(&model, disk);
        assert_true(log_model_open(&model));
        for (uint64_t base = 1; base < 20; base += 5) {
            s_append(model.store, 1, base, 5, 300);
        }
        s_append(model.store, 2, 1, 5, 300);
        s_append(model.store, 3, 1, 1, 300); //  never settled: it keeps the segment
        assert_int_equal(model.store->ops->close(&model.store), 0);
        size_t size = 0;
        uint64_t second = YAMI_SEGMENT_HEADER_SIZE + yami_entry_span(0, 300);
        sim_disk_bytes(disk, SEGMENT_1, &size)[second + offset] ^= 1;
        yami_store_t *store = s_find_one_damage(disk, &model.options, 1, 6, 10);
        s_append(store, 1, 21, 5, 300);
        store->ops->trim(store, 1, 21);
        store->ops->trim(store, 2, 6);
        yami_entry_t checkpoint = {.kind = YAMI_ENTRY_CHECKPOINT};
        assert_int_equal(store->ops->append(store, &checkpoint), 0);
        assert_int_equal(store->ops->close(&store), 0);
        for (int opening = 0; opening < 2; opening++) {
            (void) s_find_one_damage(disk, NULL, 1, 6, 10);
            store = s_find_one_damage(disk, &model.options, 1, 6, 10);
            assert_int_equal(store->ops->close(&store), 0);
        }
        log_model_clear(&model);
        sim_disk_destroy(&disk);
    }
}

//  A segment that lost its end, and its footer, stands before one that was given back: what that
//  held was settled, and is not lost.
static void
test_what_was_given_back_is_not_named_with_the_damage_before_it(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    s_append(model.store, 3, 1, 1, 300); //  never settled: it keeps the segment
    uint64_t durable = 0, base = 1, floor = 0;
    size_t size = 0;
    for (; !sim_disk_bytes(disk, "0000000000000004.seg", &size); base += 5) {
        floor = sim_disk_bytes(disk, SEGMENT_3, &size) ? floor : base + 5; //  not yet begun
        s_append(model.store, 1, base, 5, 6000);
        assert_int_equal(model.store->ops->commit(model.store, &durable), 1);
    }
    model.store->ops->trim(model.store, 1, floor);
    yami_entry_t checkpoint = {.kind = YAMI_ENTRY_CHECKPOINT};
    assert_int_equal(model.store->ops->append(model.store, &checkpoint), 0);
    assert_int_equal(model.store->ops->commit(model.store, &durable), 1);
    model.store->ops->trim(model.store, 1, floor);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    assert_null(sim_disk_bytes(disk, SEGMENT_2, &size));
    sim_disk_bytes(disk, SEGMENT_1, &size);
    sim_disk_resize(disk, SEGMENT_1, size / 2);
    s_seen_t seen = {0};
    assert_true(s_verify(disk, &seen) > 0);
    for (size_t index = 0; index < seen.damage_count; index++) {
        assert_int_equal(seen.damages[index].segment, 1);
        uint64_t last = seen.damages[index].last; //  of the entry whose header is left
        assert_true(last == 0 || last == seen.damages[index].first + 4);
    }
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

static void
test_nothing_readable_is_an_error_not_an_empty_store(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_small(&model, disk);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    size_t size = 0;
    uint8_t *bytes = sim_disk_bytes(disk, SEGMENT_1, &size);
    memset(bytes, 0xa5, size);
    s_seen_t seen = {0};
    assert_null(s_open(disk, &model.options, &seen));
    assert_int_equal(errno, EBADMSG);
    assert_non_null(strstr(yam_error(), "none of its 1 segment files can be read"));
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

static void
test_another_format_version_is_refused_in_plain_words(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    s_build_small(&model, disk);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    size_t size = 0;
    uint8_t *bytes = sim_disk_bytes(disk, SEGMENT_1, &size);
    yami_segment_header_t header;
    assert_int_equal(yami_segment_header_decode(bytes, &header), 0);
    header.version = 7;
    yami_segment_header_encode(bytes, &header);
    s_seen_t seen = {0};
    assert_null(s_open(disk, &model.options, &seen));
    assert_int_equal(errno, EPROTONOSUPPORT);
    assert_non_null(strstr(yam_error(), "version 7"));
    assert_int_equal(s_verify(disk, &seen), -1);
    assert_int_equal(errno, EPROTONOSUPPORT);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  Its footer alone is left of the only segment: opening it wrote another, which was not known for
//  one of ours any more, and the version in the broken header was believed.
static void
test_store_whose_only_segment_lost_all_but_its_footer_opens_again_and_again(void **state)
{
    (void) state;
    sim_disk_t *disk = sim_disk_new(1);
    log_model_t model;
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    assert_int_equal(log_model_append(&model, 1, 3, 20, 301), 0);
    assert_int_equal(log_model_commit(&model), 1);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    sim_disk_remove(disk, YAMI_MARKER_NAME); //  of a version without: with it, it is refused
    size_t size = 0;
    uint8_t *bytes = sim_disk_bytes(disk, SEGMENT_1, &size);
    bytes[5] ^= 1;                             //  the version
    bytes[YAMI_SEGMENT_HEADER_SIZE + 20] ^= 1; //  the only entry
    for (int opening = 0; opening < 3; opening++) {
        s_seen_t seen = {0};
        yami_store_t *store = s_open(disk, &model.options, &seen);
        assert_non_null(store);
        assert_int_equal(seen.count, opening);
        assert_true(opening > 0 || seen.damage_count > 0);
        yami_entry_t entry = {.kind = YAMI_ENTRY_OWNER, .meta = "m", .meta_size = 1};
        uint64_t durable = 0;
        assert_int_equal(store->ops->append(store, &entry), 0);
        assert_int_equal(store->ops->commit(store, &durable), 1);
        assert_int_equal(store->ops->close(&store), 0);
    }
    assert_int_equal(sim_disk_count(disk, "lost-"), 2); //  the range, and the file
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

int
main(void)
{
    (void) mallopt(M_TRIM_THRESHOLD, 64 << 20); //  thousands of stores: keep their pages
    (void) mallopt(M_MMAP_THRESHOLD, 64 << 20);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_bit_flipped_anywhere_is_found_and_only_its_entry_lost),
        cmocka_unit_test(test_one_bit_flipped_anywhere_in_a_log_that_a_crash_left_is_told),
        cmocka_unit_test(test_refuse_damage_refuses_to_open),
        cmocka_unit_test(test_cut_at_every_offset_of_the_tail_ends_the_log_there),
        cmocka_unit_test(test_zeroed_page_in_the_middle_loses_only_what_it_held),
        cmocka_unit_test(test_damage_before_the_checkpoint_is_found_by_read_and_named),
        cmocka_unit_test(test_missing_middle_segment_is_reported_and_the_others_kept),
        cmocka_unit_test(test_segment_that_lost_its_end_names_each_message_of_it),
        cmocka_unit_test(test_missing_first_segment_is_reported),
        cmocka_unit_test(test_damaged_footer_trailer_or_header_costs_no_entry),
        cmocka_unit_test(test_damaged_checkpoint_falls_back_to_the_one_before),
        cmocka_unit_test(test_lost_sequences_are_named_when_the_header_is_gone),
        cmocka_unit_test(test_damage_beside_settled_channels_names_only_what_is_lost),
        cmocka_unit_test(test_what_was_given_back_is_not_named_with_the_damage_before_it),
        cmocka_unit_test(test_nothing_readable_is_an_error_not_an_empty_store),
        cmocka_unit_test(test_another_format_version_is_refused_in_plain_words),
        cmocka_unit_test(
            test_store_whose_only_segment_lost_all_but_its_footer_opens_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
