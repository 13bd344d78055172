//  A store's directory of any content: verify, recovery, reading, going on, and all of it once
//  more. What was appended and committed to a recovered store is there after the next opening, too,
//  and so is what could be read before.
//
//  Input: a byte of S_ flags; files {what, size, bytes, kilobytes of zeros behind them}.

#include <errno.h>
#include <string.h>

#include "harness/fuzz.h"
#include "sim_disk.h"
#include "yami_base.h"
#include "yami_segment_format.h"
#include "yami_segment_log.h"

enum {
    S_SIGN = 1,      //  checksums are made to match
    S_SALT = 2,      //  entries and trailers belong to the segment they stand in
    S_UNCACHED = 4,  //  readers go to the disk
    S_KILLED = 8,    //  the second opening comes after a kill, not after a close
    S_NO_SPACE = 16, //  recovery finds no free space
    S_POWER = 32,    //  the second opening comes after a loss of power
};

#define S_SEGMENT_MAGIC 0x534d4159U
#define S_ENTRY_MAGIC 0x454d4159U
#define S_TRAILER_MAGIC 0x544d4159U
#define S_CHANNELS 6      //  that are read
#define S_OWN_CHANNEL 777 //  that is appended to
#define S_READ_LIMIT 300  //  entries of one channel

//  What came out of one opening.
typedef struct {
    uint64_t entry_count;
    uint64_t damage_count; //  torn tails not counted
    uint64_t own_hash;     //  of the entries appended here
} s_found_t;

//  -- The directory -------------------------------------------------------------------------------

static const char *
s_name(char *name, uint8_t what)
{
    switch (what / 16) {
    default:
        return yami_name_segment(name, what % 16);
    case 10:
        return yami_name_segment(name, UINT64_MAX - what % 16);
    case 11:
        return yami_name_spare(name, what % 16);
    case 12:
        return yami_name_filling(name, what % 16);
    case 13:
        return yami_name_lost(name, what % 16, 64);
    case 14:
        return "0000.seg";
    case 15:
        return what % 2 == 0 ? "lock" : YAMI_MARKER_NAME;
    }
}

static void
s_sign_entry(uint8_t *at, size_t left)
{
    uint64_t span = left < YAMI_ENTRY_HEADER_SIZE
                        ? UINT64_MAX
                        : yami_entry_span(yami_get_u32(at + 44), yami_get_u32(at + 48));
    if (span <= left) {
        yami_put_u32(at + 56, yami_crc32c(0, at + YAMI_ENTRY_HEADER_SIZE,
                                          (size_t) span - YAMI_ENTRY_HEADER_SIZE));
    }
    if (left >= YAMI_ENTRY_HEADER_SIZE) {
        yami_put_u32(at + 60, yami_crc32c(0, at, 60));
    }
}

static void
s_sign(uint8_t *bytes, size_t size, uint8_t flags)
{
    uint32_t salt = size >= YAMI_SEGMENT_HEADER_SIZE ? yami_get_u32(bytes + 56) : 0;
    for (size_t at = 0; at + YAMI_TRAILER_SIZE <= size; at += YAMI_ENTRY_ALIGNMENT) {
        uint32_t magic = yami_get_u32(bytes + at);
        bool is_inner = magic == S_ENTRY_MAGIC || magic == S_TRAILER_MAGIC;
        if (is_inner && (flags & S_SALT)) {
            yami_put_u32(bytes + at + 4, salt);
        }
        if (magic == S_SEGMENT_MAGIC && at + YAMI_SEGMENT_HEADER_SIZE <= size) {
            yami_put_u32(bytes + at + 60, yami_crc32c(0, bytes + at, 60));
        } else if (magic == S_ENTRY_MAGIC) {
            s_sign_entry(bytes + at, size - at);
        } else if (magic == S_TRAILER_MAGIC) {
            yami_put_u32(bytes + at + 28, yami_crc32c(0, bytes + at, 28));
        }
    }
}

static void
s_write_file(yami_disk_t *disk, const char *name, const uint8_t *bytes, size_t size, size_t zeros)
{
    int file = disk->open(disk, name, true, false);
    if (file == -1) {
        return; //  twice the same name
    }
    struct iovec vector = {(void *) bytes, size};
    YAM_ASSERT(size == 0 || yami_disk_write(disk, file, &vector, 1, 0) == 0);
    YAM_ASSERT(disk->truncate(disk, file, size + zeros) == 0);
    YAM_ASSERT(disk->sync_file(disk, file) == 0);
    YAM_ASSERT(disk->close(disk, file) == 0);
}

static void
s_write_files(sim_disk_t *world, fuzz_input_t *input, uint8_t flags)
{
    yami_disk_t *disk = sim_disk_attach(world);
    while (fuzz_left(input) > 0) {
        char name[YAMI_NAME_SIZE];
        uint8_t what = fuzz_u8(input);
        yami_slice_t slice = fuzz_bytes(input, fuzz_u16(input));
        size_t zeros = (size_t) fuzz_below(input, 80) << 10;
        uint8_t *bytes = fuzz_copy(slice.data, slice.size);
        if (flags & S_SIGN) {
            s_sign(bytes, slice.size, flags);
        }
        s_write_file(disk, s_name(name, what), bytes, slice.size, zeros);
        yami_free(bytes);
    }
    YAM_ASSERT(disk->sync_directory(disk) == 0);
    disk->destroy(&disk);
}

//  -- Opening -------------------------------------------------------------------------------------

static int
s_replay(void *arg, const yami_entry_t *entry)
{
    s_found_t *found = arg;
    YAM_ASSERT(entry->lsn > 0);
    YAM_ASSERT(entry->kind == YAMI_ENTRY_CHECKPOINT || entry->kind >= YAMI_ENTRY_OWNER);
    YAM_ASSERT(entry->meta_size == 0 || entry->meta);
    found->entry_count++;
    if (entry->channel == S_OWN_CHANNEL && entry->data) {
        found->own_hash =
            found->own_hash * 31 + yami_crc32c(0, entry->data->data, entry->data->size);
    }
    return 0;
}

static void
s_damaged(void *arg, const yami_damage_t *damage)
{
    s_found_t *found = arg;
    YAM_ASSERT(damage->what && damage->first <= damage->last);
    found->damage_count += damage->is_torn_tail ? 0 : 1;
}

static yami_store_t *
s_open(sim_disk_t *world, uint8_t flags, s_found_t *found)
{
    yami_log_options_t options;
    yami_log_options_init(&options);
    options.segment_bytes = 64 << 10;
    options.cache_bytes = flags & S_UNCACHED ? 0 : 1 << 20;
    options.spare_count = 1;
    options.is_threaded = false;
    *found = (s_found_t) {0};
    return yami_segment_log_open(sim_disk_attach(world), &options, s_replay, s_damaged, found);
}

//  Reads a channel from its start on; a hash over what is there.
static uint64_t
s_read(yami_store_t *store, uint32_t channel)
{
    uint64_t sequence = 1;
    uint64_t hash = 0;
    for (int count = 0; count < S_READ_LIMIT && sequence > 0; count++) {
        yami_entry_t entry = {0};
        yami_damage_t damage = {0};
        if (store->ops->read(store, channel, sequence, &entry, &damage) == 0) {
            YAM_ASSERT(entry.channel == channel && entry.count > 0);
            YAM_ASSERT(entry.base + entry.count - 1 >= sequence);
            hash = hash * 31 + entry.base;
            hash = hash * 31 + yami_crc32c(0, entry.meta, entry.meta_size);
            sequence = entry.base + entry.count;
            yami_store_release(&entry);
        } else if (errno == EBADMSG) {
            YAM_ASSERT(damage.last >= sequence && damage.what);
            sequence = damage.last + 1;
        } else {
            YAM_ASSERT(errno == ENOENT || errno == EIO || errno == ENOMEM);
            break;
        }
    }
    return hash;
}

//  Returns how many entries were appended, all of them durable; 0 when not all are.
static int
s_go_on(yami_store_t *store)
{
    uint64_t durable = 0;
    uint64_t last = 0;
    int count = 0;
    for (; count < 3; count++) {
        yami_block_t *block = yami_block_copy(&count, sizeof count, sizeof count);
        yami_entry_t entry = {.kind = YAMI_ENTRY_OWNER,
                              .channel = S_OWN_CHANNEL,
                              .base = 1 + (uint64_t) count,
                              .count = 1,
                              .meta = "meta",
                              .meta_size = 4,
                              .data = block};
        int rc = store->ops->append(store, &entry);
        YAM_ASSERT(rc == 0 || errno == ENOSPC || errno == EINVAL || errno == EIO);
        yami_block_unref(&block);
        if (rc == -1) {
            break;
        }
        last = entry.lsn;
    }
    if (store->ops->wants_checkpoint(store)) {
        yami_entry_t entry = {.kind = YAMI_ENTRY_CHECKPOINT, .meta = "state", .meta_size = 5};
        (void) store->ops->append(store, &entry);
    }
    yami_store_stats_t stats;
    int rc = store->ops->commit(store, &durable);
    store->ops->stats(store, &stats);
    YAM_ASSERT(rc != 0 || durable < last || last == 0);
    return rc == 1 && durable >= last ? count : 0;
}

static void
s_live(sim_disk_t *world, uint8_t flags)
{
    s_found_t found;
    uint64_t before[S_CHANNELS], after[S_CHANNELS];
    yami_store_t *store = s_open(world, flags, &found);
    if (!store) {
        return;
    }
    for (uint32_t channel = 0; channel < S_CHANNELS; channel++) {
        before[channel] = s_read(store, channel);
    }
    uint64_t own = s_read(store, S_OWN_CHANNEL);
    int count = s_go_on(store);
    YAM_ASSERT(count == 0 || s_read(store, S_OWN_CHANNEL) != own);
    own = s_read(store, S_OWN_CHANNEL);
    if (flags & (S_KILLED | S_POWER)) {
        sim_disk_die_after(world, 1);
    }
    (void) store->ops->close(&store);
    if (flags & S_POWER) {
        sim_disk_crash(world);
    } else {
        sim_disk_revive(world);
    }
    store = s_open(world, flags, &found);
    if (!store || count == 0) {
        YAM_ASSERT(store || count == 0 || (flags & S_NO_SPACE));
    } else {
        for (uint32_t channel = 0; channel < S_CHANNELS; channel++) {
            after[channel] = s_read(store, channel);
            YAM_ASSERT(after[channel] == before[channel]);
        }
        YAM_ASSERT(s_read(store, S_OWN_CHANNEL) == own);
    }
    if (store) {
        store->ops->trim(store, 1, UINT64_MAX / 2);
        (void) store->ops->close(&store);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    uint8_t flags = fuzz_u8(&input);
    sim_disk_t *world = sim_disk_new(1);
    s_write_files(world, &input, flags);
    s_found_t found = {0};
    yami_disk_t *disk = sim_disk_attach(world);
    (void) yami_segment_log_verify(disk, s_replay, s_damaged, &found);
    disk->destroy(&disk);
    if (flags & S_NO_SPACE) {
        sim_disk_set_free(world, 0);
    }
    s_live(world, flags);
    sim_disk_destroy(&world);
    return 0;
}
