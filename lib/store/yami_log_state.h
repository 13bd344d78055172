/*  yami_log - the state of an open segment log, shared by its two halves; nobody else includes
    this.

    log_append.c places entries and gives segments back, segment_log.c opens, reads and
    closes. All of it is the owner thread's; what the other threads need lies in commit and spares.
    Invariants (yami_log_check):
    (1) active is the last segment of the index, and the only one that is not sealed.
    (2) next_lsn follows the last entry of the log.
*/
#ifndef YAMI_LOG_STATE_H
#define YAMI_LOG_STATE_H

#include "yami_cache.h"
#include "yami_commit.h"
#include "yami_scrub.h"
#include "yami_segment_log.h"
#include "yami_segment_reader.h"

typedef struct {
    yami_store_t store; //  first, by contract
    yami_disk_t *disk;  //  owned
    yami_log_options_t options;
    uint64_t store_id;
    yami_spares_t *spares; //  owned
    yami_commit_t *commit; //  owned
    yami_scrub_t *scrub;   //  owned
    yami_index_t index;
    yami_segment_reader_t reader;
    yami_cache_t cache;
    yami_segment_t *active; //  borrowed from the index; NULL: the next entry begins one
    uint64_t next_lsn;
    uint64_t next_number;
    uint64_t previous;
    bool has_promised_room;  //  has_room said so: data is not refused until it is asked again
    uint64_t window_lsn;     //  what was durable when the reader's window was filled
    uint64_t checkpoint_lsn; //  the last one appended
    uint64_t checkpoint_size;
    uint64_t durable_checkpoint_lsn;
    uint64_t bytes_since_checkpoint; //  appended behind it
    bool has_checkpoint;             //  since open
    uint64_t swept_checkpoint_lsn;   //  for what segments were last looked at
    size_t swept_count;
    yami_store_stats_t stats;
} yami_log_t;

//  The table's append, has_room, trim, give_back and wants_checkpoint.
int
yami_log_append(yami_store_t *store, yami_entry_t *entry);
bool
yami_log_has_room(const yami_store_t *store);
void
yami_log_trim(yami_store_t *store, uint32_t channel, uint64_t floor);
uint64_t
yami_log_give_back(yami_store_t *store);
bool
yami_log_wants_checkpoint(const yami_store_t *store);

//  Queues the footer of the active segment; none is active then. is_last: the log is closed with
//  it. 0, or -1 with errno ENOMEM.
int
yami_log_seal(yami_log_t *self, bool is_last);

//  Aborts when an invariant is broken.
void
yami_log_check(const yami_log_t *self);

#endif
