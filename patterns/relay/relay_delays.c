//  A sorted array, a heap and hash chains of places in it. See yami_relay_delays.h.

#include "yami_relay_delays.h"

#include <string.h>

#include "yami_base.h"

#define S_LIMIT ((size_t) UINT32_MAX - 1) //  places have 32 bits
#define S_CHUNK 4096u                     //  items
#define S_CHAINS 64u
#define S_ENDED_LIMIT 1024u //  so many may stand around, however few wait

static yami_relay_delay_t *
s_item(const yami_relay_delays_t *self, size_t place)
{
    return &self->chunks[place / S_CHUNK][place % S_CHUNK];
}

static void
s_free_chunks(yami_relay_delays_t *self, size_t kept)
{
    while (self->chunk_count > kept) {
        yami_free(self->chunks[--self->chunk_count]);
    }
}

void
yami_relay_delays_clear(yami_relay_delays_t *self)
{
    s_free_chunks(self, 0);
    yami_free(self->chunks);
    yami_free(self->heap);
    yami_free(self->chains);
    memset(self, 0, sizeof *self);
}

//  -- The heap: children of i are 2i + 1 and 2i + 2

//  Places ascend with sequences, so they decide between equal times.
static bool
s_is_before(const yami_relay_delays_t *self, uint32_t left, uint32_t right)
{
    int64_t left_ms = s_item(self, left)->due_ms;
    int64_t right_ms = s_item(self, right)->due_ms;
    return left_ms != right_ms ? left_ms < right_ms : left < right;
}

static void
s_rise(yami_relay_delays_t *self, size_t hole, uint32_t place)
{
    while (hole > 0 && s_is_before(self, place, self->heap[(hole - 1) / 2])) {
        self->heap[hole] = self->heap[(hole - 1) / 2];
        hole = (hole - 1) / 2;
    }
    self->heap[hole] = place;
}

static void
s_sink(yami_relay_delays_t *self, size_t hole, uint32_t place)
{
    for (;;) {
        size_t child = 2 * hole + 1;
        if (child + 1 < self->heap_count &&
            s_is_before(self, self->heap[child + 1], self->heap[child])) {
            child++;
        }
        if (child >= self->heap_count || !s_is_before(self, self->heap[child], place)) {
            break;
        }
        self->heap[hole] = self->heap[child];
        hole = child;
    }
    self->heap[hole] = place;
}

static void
s_remove_root(yami_relay_delays_t *self)
{
    uint32_t last = self->heap[--self->heap_count];
    if (self->heap_count > 0) {
        s_sink(self, 0, last);
    }
}

//  (2) from what the items say.
static void
s_build_heap(yami_relay_delays_t *self)
{
    self->heap_count = 0;
    for (size_t place = self->first; place < self->count; place++) {
        if (s_item(self, place)->is_waiting && !s_item(self, place)->is_picked) {
            self->heap[self->heap_count++] = (uint32_t) place;
        }
    }
    for (size_t hole = self->heap_count / 2; hole-- > 0;) {
        s_sink(self, hole, self->heap[hole]);
    }
}

//  -- The chains

static void
s_link(yami_relay_delays_t *self, size_t place)
{
    yami_relay_delay_t *item = s_item(self, place);
    uint32_t *chain = &self->chains[item->id_hash & (self->chain_count - 1)];
    item->next = *chain;
    *chain = (uint32_t) place + 1;
}

//  (3) from what the items say.
static void
s_build_chains(yami_relay_delays_t *self)
{
    memset(self->chains, 0, self->chain_count * sizeof *self->chains);
    for (size_t place = self->first; place < self->count; place++) {
        if (s_item(self, place)->id_hash != 0) { //  ended or not: a search may go on from it
            s_link(self, place);
        }
    }
}

//  About as many chains as items. False when there is no memory for them.
static bool
s_reserve_chains(yami_relay_delays_t *self, size_t count)
{
    size_t wanted = self->chain_count > 0 ? self->chain_count : S_CHAINS;
    while (wanted < count) {
        wanted *= 2;
    }
    if (wanted == self->chain_count) {
        return true;
    }
    uint32_t *chains = yami_try_alloc(wanted * sizeof *chains, SIZE_MAX);
    if (chains == NULL) {
        return false;
    }
    yami_free(self->chains);
    self->chains = chains;
    self->chain_count = wanted;
    s_build_chains(self);
    return true;
}

//  -- Items

//  Chunks for so many items. False when there is no memory for them.
static bool
s_reserve_chunks(yami_relay_delays_t *self, size_t count)
{
    size_t wanted = (count + S_CHUNK - 1) / S_CHUNK;
    if (count > S_LIMIT ||
        yami_grow(&self->chunks, &self->chunk_capacity, wanted, sizeof(void *), S_LIMIT) == -1) {
        return false;
    }
    while (self->chunk_count < wanted) {
        yami_relay_delay_t *chunk = yami_try_alloc(S_CHUNK * sizeof *chunk, SIZE_MAX);
        if (chunk == NULL) {
            return false;
        }
        self->chunks[self->chunk_count++] = chunk;
    }
    return true;
}

bool
yami_relay_delays_reserve(yami_relay_delays_t *self, size_t more)
{
    return s_reserve_chunks(self, self->count + more) &&
           yami_grow(&self->heap, &self->heap_capacity, self->count + more, sizeof *self->heap,
                     S_LIMIT) == 0 &&
           s_reserve_chains(self, self->waiting + more);
}

void
yami_relay_delays_add(yami_relay_delays_t *self, const yami_relay_delay_t *delay)
{
    YAM_ASSERT(self->count < self->chunk_count * S_CHUNK);
    YAM_ASSERT(self->heap_count < self->heap_capacity);
    YAM_ASSERT(delay->due_ms > 0);
    //  (1)
    YAM_ASSERT(self->count == 0 || delay->sequence > s_item(self, self->count - 1)->sequence);
    size_t place = self->count++;
    *s_item(self, place) = *delay;
    s_item(self, place)->is_waiting = true;
    s_item(self, place)->is_picked = false;
    if (delay->id_hash != 0) {
        s_link(self, place);
    }
    s_rise(self, self->heap_count++, (uint32_t) place);
    self->waiting++;
}

const yami_relay_delay_t *
yami_relay_delays_earliest(yami_relay_delays_t *self)
{
    while (self->heap_count > 0 && !s_item(self, self->heap[0])->is_waiting) {
        s_remove_root(self);
    }
    return self->heap_count > 0 ? s_item(self, self->heap[0]) : NULL;
}

void
yami_relay_delays_pick(yami_relay_delays_t *self)
{
    YAM_ASSERT(self->heap_count > 0 && s_item(self, self->heap[0])->is_waiting);
    s_item(self, self->heap[0])->is_picked = true;
    s_remove_root(self);
}

//  The place of the first item with at least that sequence.
static size_t
s_place(const yami_relay_delays_t *self, uint64_t sequence)
{
    size_t low = self->first;
    size_t high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s_item(self, middle)->sequence < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void
yami_relay_delays_put_back(yami_relay_delays_t *self, uint64_t sequence)
{
    size_t place = s_place(self, sequence);
    if (place < self->count && s_item(self, place)->sequence == sequence &&
        s_item(self, place)->is_picked && s_item(self, place)->is_waiting) {
        s_item(self, place)->is_picked = false;
        s_rise(self, self->heap_count++, (uint32_t) place);
    }
}

const yami_relay_delay_t *
yami_relay_delays_from(const yami_relay_delays_t *self, uint64_t sequence)
{
    for (size_t place = s_place(self, sequence); place < self->count; place++) {
        if (s_item(self, place)->is_waiting) {
            return s_item(self, place);
        }
    }
    return NULL;
}

const yami_relay_delay_t *
yami_relay_delays_find(const yami_relay_delays_t *self, uint64_t sequence)
{
    size_t place = s_place(self, sequence);
    bool is_there = place < self->count && s_item(self, place)->sequence == sequence;
    return is_there && s_item(self, place)->is_waiting ? s_item(self, place) : NULL;
}

const yami_relay_delay_t *
yami_relay_delays_by_id(const yami_relay_delays_t *self, uint32_t id_hash, uint64_t below)
{
    if (self->waiting == 0 || id_hash == 0) {
        return NULL;
    }
    uint32_t next = self->chains[id_hash & (self->chain_count - 1)];
    size_t place = s_place(self, below);
    if (place < self->count && s_item(self, place)->sequence == below &&
        s_item(self, place)->id_hash == id_hash) {
        next = s_item(self, place)->next;
    }
    for (; next != 0; next = s_item(self, next - 1)->next) {
        const yami_relay_delay_t *item = s_item(self, next - 1);
        if (item->id_hash == id_hash && item->sequence < below && item->is_waiting) {
            return item;
        }
    }
    return NULL;
}

//  Only those that wait remain, at new places.
static void
s_compact(yami_relay_delays_t *self)
{
    size_t count = 0;
    for (size_t place = self->first; place < self->count; place++) {
        if (s_item(self, place)->is_waiting) {
            *s_item(self, count++) = *s_item(self, place);
        }
    }
    YAM_ASSERT(count == self->waiting);
    self->first = 0;
    self->count = count;
    s_free_chunks(self, (count + S_CHUNK - 1) / S_CHUNK);
    s_build_heap(self);
    s_build_chains(self);
}

uint64_t
yami_relay_delays_end(yami_relay_delays_t *self, uint64_t first, uint64_t last)
{
    uint64_t ended = 0;
    for (size_t place = s_place(self, first);
         place < self->count && s_item(self, place)->sequence <= last; place++) {
        ended += s_item(self, place)->is_waiting ? 1 : 0;
        s_item(self, place)->is_waiting = false;
    }
    self->waiting -= ended;
    if (self->waiting == 0) {
        yami_relay_delays_clear(self);
        return ended;
    }
    while (!s_item(self, self->first)->is_waiting) {
        self->first++;
    }
    if (self->count - self->waiting > self->waiting + S_ENDED_LIMIT) {
        s_compact(self);
    }
    return ended;
}

//  Whether it is there, behind higher ones only.
static bool
s_is_in_chain(const yami_relay_delays_t *self, size_t place)
{
    uint32_t hash = s_item(self, place)->id_hash;
    uint32_t next = self->chains[hash & (self->chain_count - 1)];
    while (next > place + 1) {
        next = s_item(self, next - 1)->next;
    }
    return next == place + 1;
}

void
yami_relay_delays_check(const yami_relay_delays_t *self)
{
    size_t waiting = 0;
    size_t picked = 0;
    for (size_t place = 0; place < self->count; place++) {
        const yami_relay_delay_t *item = s_item(self, place);
        YAM_ASSERT(place == 0 || item->sequence > s_item(self, place - 1)->sequence); //  (1)
        YAM_ASSERT(place >= self->first || !item->is_waiting);
        waiting += item->is_waiting ? 1 : 0;
        picked += item->is_waiting && item->is_picked ? 1 : 0;
        YAM_ASSERT(place < self->first || item->id_hash == 0 || s_is_in_chain(self, place)); //  (3)
    }
    YAM_ASSERT(waiting == self->waiting);
    size_t in_line = 0;
    for (size_t index = 0; index < self->heap_count; index++) { //  (2)
        in_line += s_item(self, self->heap[index])->is_waiting ? 1 : 0;
        YAM_ASSERT(index == 0 ||
                   !s_is_before(self, self->heap[index], self->heap[(index - 1) / 2]));
    }
    YAM_ASSERT(in_line == waiting - picked);
}
