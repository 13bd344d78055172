//  Records that are kept until their time has come. See yami_relay_ahead.h.

#include "yami_relay_ahead.h"

#include <string.h>

#include "yami_base.h"

#define S_RECORD_BYTES 128u //  of each beside its bytes: this struct, and its place in the map
#define S_HORIZON_MS 60000  //  at most
#define S_GROW_SHARE 8      //  raised this often in the time that it looks ahead
#define S_GROW_MS 100       //  but not more often
#define S_ROOM_SHARE 2      //  and only while that part of all room is free
#define S_HORIZON_LEAST_MS 1

struct yami_relay_kept {
    uint64_t sequence;
    int64_t due_ms;
    yami_relay_shelf_t *shelf; //  borrowed
    LIST_ENTRY(yami_relay_kept) of_shelf;
    TAILQ_ENTRY(yami_relay_kept) of_all;
    size_t size;
    uint8_t bytes[];
};

void
yami_relay_ahead_init(yami_relay_ahead_t *self, uint64_t limit_bytes)
{
    *self = (yami_relay_ahead_t) {.limit_bytes = limit_bytes, .horizon_ms = S_HORIZON_MS};
    TAILQ_INIT(&self->list);
}

bool
yami_relay_ahead_wants(const yami_relay_ahead_t *self, int64_t now_ms, int64_t due_ms)
{
    return due_ms <= now_ms || due_ms - now_ms <= self->horizon_ms;
}

static void
s_forget(yami_relay_ahead_t *self, yami_relay_kept_t *kept)
{
    void *removed = yami_relay_map_remove(&kept->shelf->by_sequence, kept->sequence);
    YAM_ASSERT(removed == kept && self->bytes >= kept->size + S_RECORD_BYTES);
    self->bytes -= kept->size + S_RECORD_BYTES;
    TAILQ_REMOVE(&self->list, kept, of_all);
    LIST_REMOVE(kept, of_shelf);
    yami_free(kept);
}

//  Looks half as far, and forgets what is beyond.
static void
s_look_nearer(yami_relay_ahead_t *self, int64_t now_ms)
{
    self->horizon_ms /= 2;
    yami_relay_kept_t *kept = TAILQ_FIRST(&self->list);
    while (kept != NULL) {
        yami_relay_kept_t *next = TAILQ_NEXT(kept, of_all);
        if (!yami_relay_ahead_wants(self, now_ms, kept->due_ms)) {
            s_forget(self, kept);
        }
        kept = next;
    }
}

//  Slowly: what is found to be too far was read in vain.
static void
s_look_further(yami_relay_ahead_t *self, int64_t mono_ms)
{
    int64_t gap_ms = self->horizon_ms / S_GROW_SHARE;
    gap_ms = gap_ms > S_GROW_MS ? gap_ms : S_GROW_MS;
    if (self->horizon_ms < S_HORIZON_MS && mono_ms - self->grown_ms >= gap_ms &&
        self->bytes < self->limit_bytes / S_ROOM_SHARE) {
        self->horizon_ms += self->horizon_ms / S_GROW_SHARE + 1;
        self->grown_ms = mono_ms;
    }
}

//  Whether there is room for one that is due then.
static bool
s_make_room(yami_relay_ahead_t *self, int64_t mono_ms, int64_t now_ms, int64_t due_ms,
            uint64_t size)
{
    s_look_further(self, mono_ms);
    while (yami_relay_ahead_wants(self, now_ms, due_ms)) {
        if (self->bytes + size <= self->limit_bytes) {
            return true;
        }
        if (self->horizon_ms <= S_HORIZON_LEAST_MS) {
            return false;
        }
        s_look_nearer(self, now_ms);
        self->grown_ms = mono_ms;
    }
    return false;
}

void
yami_relay_ahead_keep(yami_relay_ahead_t *self, yami_relay_shelf_t *shelf, int64_t mono_ms,
                      int64_t now_ms, uint64_t sequence, int64_t due_ms, yami_slice_t record)
{
    if (yami_relay_map_get(&shelf->by_sequence, sequence) != NULL ||
        !s_make_room(self, mono_ms, now_ms, due_ms, record.size + S_RECORD_BYTES)) { //  (1)
        return;
    }
    yami_relay_kept_t *kept = yami_try_alloc(sizeof *kept + record.size, SIZE_MAX);
    if (kept == NULL) {
        return; //  it is read again
    }
    kept->sequence = sequence;
    kept->due_ms = due_ms;
    kept->shelf = shelf;
    kept->size = record.size;
    memcpy(kept->bytes, record.data, record.size);
    self->bytes += kept->size + S_RECORD_BYTES;
    TAILQ_INSERT_TAIL(&self->list, kept, of_all); //  (2)
    LIST_INSERT_HEAD(&shelf->list, kept, of_shelf);
    yami_relay_map_put(&shelf->by_sequence, sequence, kept);
}

yami_slice_t
yami_relay_ahead_find(const yami_relay_shelf_t *shelf, uint64_t sequence)
{
    const yami_relay_kept_t *kept = yami_relay_map_get(&shelf->by_sequence, sequence);
    return kept != NULL ? yami_slice(kept->bytes, kept->size) : yami_slice("", 0);
}

void
yami_relay_ahead_drop(yami_relay_ahead_t *self, yami_relay_shelf_t *shelf, uint64_t first,
                      uint64_t last)
{
    if (last - first < shelf->by_sequence.count) {
        for (uint64_t sequence = first; sequence <= last; sequence++) {
            yami_relay_kept_t *kept = yami_relay_map_get(&shelf->by_sequence, sequence);
            if (kept != NULL) {
                s_forget(self, kept);
            }
        }
        return;
    }
    yami_relay_kept_t *kept = LIST_FIRST(&shelf->list);
    while (kept != NULL) {
        yami_relay_kept_t *next = LIST_NEXT(kept, of_shelf);
        if (kept->sequence >= first && kept->sequence <= last) {
            s_forget(self, kept);
        }
        kept = next;
    }
}

void
yami_relay_ahead_clear(yami_relay_ahead_t *self, yami_relay_shelf_t *shelf)
{
    yami_relay_ahead_drop(self, shelf, 0, UINT64_MAX);
    yami_relay_map_clear(&shelf->by_sequence);
}

void
yami_relay_ahead_check(const yami_relay_ahead_t *self)
{
    uint64_t bytes = 0;
    const yami_relay_kept_t *kept = NULL;
    TAILQ_FOREACH(kept, &self->list, of_all)
    {
        YAM_ASSERT(yami_relay_map_get(&kept->shelf->by_sequence, kept->sequence) == kept); //  (2)
        bytes += kept->size + S_RECORD_BYTES;
    }
    YAM_ASSERT(bytes == self->bytes && bytes <= self->limit_bytes); //  (1)
}
