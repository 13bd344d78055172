/*  log_model - what a store must hold: every entry that was appended, by content, and how much of
    it is promised.

    The model drives a store through random work, and after a crash compares what is found with what
    was promised. Its own state is a hash over all entries, in order: one lost, altered or invented
    entry changes it. A broken promise fails the running cmocka test.
*/
#ifndef LOG_MODEL_H
#define LOG_MODEL_H

#include "sim_disk.h"
#include "yami_segment_log.h"

#define LOG_MODEL_CHANNELS 6

typedef struct {
    uint64_t lsn;
    uint16_t kind;
    uint32_t channel;
    uint64_t base;
    uint32_t count;
    uint64_t content; //  seed of meta and data
    size_t meta_size;
    size_t data_size;
    uint64_t hash; //  state after it
} log_model_entry_t;

typedef struct {
    sim_disk_t *disk; //  borrowed
    yami_log_options_t options;
    yami_store_t *store;        //  owned; NULL while closed
    log_model_entry_t *entries; //  owned
    size_t count;
    size_t capacity;
    size_t durable_count; //  of entries: promised
    uint64_t next[LOG_MODEL_CHANNELS];
    uint64_t floor[LOG_MODEL_CHANNELS];
    uint64_t content; //  the next one's
    //  While replaying:
    size_t replayed; //  entries accounted for
    uint64_t hash;
    size_t damage_count; //  torn tails not counted
    size_t torn_count;
    yami_damage_t damage; //  the last one
    bool expects_loss;    //  the test planted a bug: has_loss is set instead of failing
    bool has_loss;
} log_model_t;

//  Small segments, no thread.
void
log_model_init(log_model_t *self, sim_disk_t *disk);

//  Closes the store, whatever comes of it.
void
log_model_clear(log_model_t *self);

//  Opens the store and checks what it replays. false with errno when it cannot be opened.
bool
log_model_open(log_model_t *self);

//  The process ends without closing in order: with die_after, nothing more reaches the disk.
void
log_model_abandon(log_model_t *self);

//  Appends an entry with random content; count 0: of no channel. Returns as append does.
int
log_model_append(log_model_t *self, uint32_t channel, uint32_t count, size_t meta_size,
                 size_t data_size);

//  Appends a checkpoint.
int
log_model_checkpoint(log_model_t *self);

int
log_model_commit(log_model_t *self);

void
log_model_trim(log_model_t *self, uint32_t channel, uint64_t floor);

//  Reads the sequence and compares; every sequence that is promised and not trimmed must be there.
void
log_model_read(log_model_t *self, uint32_t channel, uint64_t sequence);

//  Reads every channel from its floor to its end, entry by entry.
void
log_model_read_all(log_model_t *self);

//  One step of random work. Returns 0, or -1 when the store has failed.
int
log_model_step(log_model_t *self);

//  Where the model's index-th entry lies in the first segment, in which all before it are: one
//  behind the other.
uint64_t
log_model_offset(const log_model_t *self, size_t index);

//  Compares an entry with the one of that LSN: kind, channel, range, meta, data.
void
log_model_compare(const log_model_t *self, const yami_entry_t *entry);

#endif
