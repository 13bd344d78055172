/*  yami_relay_parts - what the files of the relay core offer each other. Not for anybody else.
*/
#ifndef YAMI_RELAY_PARTS_H
#define YAMI_RELAY_PARTS_H

#define YAMI_RELAY_AGAIN_MS 100 //  after something failed for lack of memory, or of pieces

#include "yami_relay_state.h"

//  -- relay_effects.c: saying what shall happen ---------------------------------------------------

yami_relay_effect_t *
yami_relay_effect(yami_relay_core_t *core, yami_relay_effect_type_t type);

//  False when there was no memory for it.
bool
yami_relay_send(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);

//  Sends an encoded frame with data behind it; both are given away.
void
yami_relay_deliver(yami_relay_core_t *core, yami_relay_peer_t *peer, yami_block_t *block,
                   yami_block_t *data);

//  The same for whoever may have no session, or be gone.
bool
yami_relay_send_to(yami_relay_core_t *core, uint64_t peer, const yami_frame_t *frame);

//  Appends an entry whose meta is what was written, returns its ticket. data (may be NULL) is given
//  away.
uint64_t
yami_relay_append(yami_relay_core_t *core, const yami_entry_t *entry, yami_writer_t *meta,
                  yami_block_t *data);

void
yami_relay_fetch(yami_relay_core_t *core, const yami_relay_channel_t *channel, uint64_t sequence,
                 uint32_t purpose, uint64_t argument);

void
yami_relay_say(yami_relay_core_t *core, yami_log_level_t level, const char *event,
               const char *format, ...) __attribute__((format(printf, 4, 5)));

enum {
    YAMI_FETCH_DELIVER = 1,
    YAMI_FETCH_DEAD = 2,
    YAMI_FETCH_JOB = 3,
    YAMI_FETCH_DUE = 4
};

//  -- relay_timers.c: waits for tickets, wakes by time --------------------------------------------

void
yami_relay_wait(yami_relay_core_t *core, const yami_relay_wait_t *wait);

//  Whether as much waits for the disk as may: it is slower than what comes, or stands still.
bool
yami_relay_disk_lags(const yami_relay_core_t *core);

//  Everything that waited for tickets up to the event's.
void
yami_relay_durable(yami_relay_core_t *core, uint64_t ticket);

enum {
    YAMI_WAKE_PEER = 1,
    YAMI_WAKE_HANDLE = 2,
    YAMI_WAKE_GROUP = 3
};

//  Makes sure that *wake_ms_p (the owner's field) is not later than when.
void
yami_relay_wake(yami_relay_core_t *core, int kind, uint64_t id, int64_t *wake_ms_p, int64_t when);

void
yami_relay_run_timers(yami_relay_core_t *core);

//  -- relay_peers.c: sessions ---------------------------------------------------------------------

//  The peer of an event, made when it is new; NULL when there are too many (it was told).
yami_relay_peer_t *
yami_relay_peer_get(yami_relay_core_t *core, uint64_t id);

void
yami_relay_peer_hello(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);

//  Forgets the peer; what it leased goes back. Ends the link when is_closing.
void
yami_relay_peer_end(yami_relay_core_t *core, yami_relay_peer_t *peer, bool is_closing);

//  ERROR, at most so many per second.
void
yami_relay_peer_error(yami_relay_core_t *core, yami_relay_peer_t *peer, uint32_t handle,
                      yam_status_t status, const char *text);

//  The same for so many ranges of a settle frame that the peer does not hold: far too many end the
//  link.
void
yami_relay_peer_stale(yami_relay_core_t *core, yami_relay_peer_t *peer, uint32_t handle,
                      yam_status_t status, const char *text, uint64_t range_count);

//  The same for bytes that are no frame, or frames out of place: too many end the link. Whether the
//  peer is still there.
bool
yami_relay_peer_fault(yami_relay_core_t *core, yami_relay_peer_t *peer, uint32_t handle,
                      yam_status_t status, const char *text);

//  Its consumers stand back, or line up again.
void
yami_relay_peer_press(yami_relay_core_t *core, yami_relay_peer_t *peer, bool is_pressed);

void
yami_relay_peer_due(yami_relay_core_t *core, uint64_t id);

void
yami_relay_peers_clear(yami_relay_core_t *core);

//  The relay goes away: all handles get DETACHED{closing}, all sessions GOODBYE.
void
yami_relay_peers_close(yami_relay_core_t *core);

//  -- relay_attach.c, relay_handles.c -------------------------------------------------------------

yami_relay_handle_t *
yami_relay_handle_get(const yami_relay_peer_t *peer, uint32_t number);

//  DETACHED for a handle that is not, or not any more. text may be NULL.
void
yami_relay_detached(yami_relay_core_t *core, yami_relay_peer_t *peer, uint32_t handle,
                    yam_status_t status, const char *text);

void
yami_relay_attach(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);

//  Tells the client why (unless status is -1) and ends the handle.
void
yami_relay_handle_end(yami_relay_core_t *core, yami_relay_handle_t *handle, int status,
                      const char *text);

//  As the client asked.
void
yami_relay_handle_detach(yami_relay_core_t *core, yami_relay_handle_t *handle);

void
yami_relay_handle_attached(yami_relay_core_t *core, yami_relay_handle_t *handle);

void
yami_relay_handle_touch(yami_relay_core_t *core, yami_relay_handle_t *handle);

void
yami_relay_handle_credit(yami_relay_core_t *core, yami_relay_handle_t *handle,
                         const yami_frame_t *frame);

//  Whether a consumer may get more now; puts it in its group's line if so.
bool
yami_relay_handle_wants(const yami_relay_handle_t *handle);
void
yami_relay_handle_line_up(yami_relay_core_t *core, yami_relay_handle_t *handle);
void
yami_relay_handle_stand_back(yami_relay_handle_t *handle);

//  CONFIRM and CREDIT of all touched producers, or ACKED of all touched consumers: those only after
//  the groups' flush.
void
yami_relay_handles_flush(yami_relay_core_t *core, int role);

//  Touches those whose ACKED found all waits taken, when there is room for them again.
void
yami_relay_handles_late(yami_relay_core_t *core);

//  -- relay_producers.c: who sent what ------------------------------------------------------------

//  NULL when the table is full.
yami_relay_producer_t *
yami_relay_producer_get(yami_relay_core_t *core, yami_relay_channel_t *channel,
                        const yami_id_t *id);

//  The epoch of its next incarnation; 0 when there are no more. In a full table, which stays full
//  over restarts, even the first one is 2: whoever was forgotten before it was idle for long (and
//  this one may have been) had 1.
uint32_t
yami_relay_producer_next_epoch(const yami_relay_core_t *core,
                               const yami_relay_producer_t *producer);

//  Remembers that a batch up to last was appended; last 0: that the epoch was given.
void
yami_relay_producer_stored(yami_relay_core_t *core, yami_relay_producer_t *producer, uint32_t epoch,
                           uint64_t last, int64_t wall_ms);

void
yami_relay_producers_clear(yami_relay_core_t *core);

//  -- relay_batch.c -------------------------------------------------------------------------------

void
yami_relay_batch(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_relay_event_t *event);

//  -- relay_channels.c ----------------------------------------------------------------------------

yami_relay_channel_t *
yami_relay_channel_find(const yami_relay_core_t *core, const void *name, size_t size);

//  For replay and for yami_relay_channel_new. One of kind DELAYED needs yami_relay_delay_link.
yami_relay_channel_t *
yami_relay_channel_add(yami_relay_core_t *core, uint32_t number, const void *name, size_t size,
                       int kind);

//  Defines it in the journal; a queue gets its group, and so does a channel of kind DELAYED, whose
//  messages go to target (else NULL). NULL at the limit.
yami_relay_channel_t *
yami_relay_channel_new(yami_relay_core_t *core, const void *name, size_t size, int kind,
                       yami_relay_channel_t *target);

//  Counts an append of messages first..last and notes its place in time.
void
yami_relay_channel_appended(yami_relay_channel_t *channel, uint64_t first, uint64_t last,
                            uint64_t bytes, int64_t time_ms);

//  Unsettled messages in the slowest group; brings bytes up to date.
uint64_t
yami_relay_channel_depth(yami_relay_channel_t *channel);

void
yami_relay_channel_touch(yami_relay_core_t *core, yami_relay_channel_t *channel);

//  TRIM and retention of all touched channels.
void
yami_relay_channels_flush(yami_relay_core_t *core);

//  Gives up sequences that do not exist any more, in all groups.
void
yami_relay_channel_lose(yami_relay_core_t *core, yami_relay_channel_t *channel, uint64_t first,
                        uint64_t last, const char *what);

//  Says that a range of the store is damaged, and gives up the sequences it held, where known.
void
yami_relay_damaged(yami_relay_core_t *core, const yami_damage_t *damage);

//  News of the store's background reading; damage may be NULL. Its end is said aloud.
void
yami_relay_scrubbed(yami_relay_core_t *core, const yami_scrub_progress_t *progress,
                    const yami_damage_t *damage);

//  Approximate wall clock of the append of sequence, 0 when not known.
int64_t
yami_relay_channel_time(const yami_relay_channel_t *channel, uint64_t sequence);

void
yami_relay_channels_clear(yami_relay_core_t *core);

//  -- relay_groups.c: where each sequence is ------------------------------------------------------

yami_relay_group_t *
yami_relay_group_find(const yami_relay_channel_t *channel, yami_slice_t name);

yami_relay_group_t *
yami_relay_group_add(yami_relay_core_t *core, yami_relay_channel_t *channel, uint32_t number,
                     yami_slice_t name, yami_slice_t filter, uint64_t next);

void
yami_relay_group_remove(yami_relay_core_t *core, yami_relay_group_t *group);

//  Everything below it is settled.
uint64_t
yami_relay_group_floor(const yami_relay_group_t *group);

uint64_t
yami_relay_group_depth(const yami_relay_group_t *group);

//  Settles first..last wherever they are; leases on them become stale. Returns how many were not
//  settled before. Also what replaying a SETTLE does.
uint64_t
yami_relay_group_settle(yami_relay_core_t *core, yami_relay_group_t *group, uint64_t first,
                        uint64_t last);

//  Notes settled sequences for the journal.
void
yami_relay_group_journal(yami_relay_core_t *core, yami_relay_group_t *group, uint64_t first,
                         uint64_t last);

//  Writes what was noted as a SETTLE entry.
void
yami_relay_group_flush(yami_relay_core_t *core, yami_relay_group_t *group);

void
yami_relay_groups_flush(yami_relay_core_t *core);

void
yami_relay_group_touch(yami_relay_core_t *core, yami_relay_group_t *group);

//  Makes a piece wait until due (monotonic).
void
yami_relay_group_delay(yami_relay_core_t *core, yami_relay_group_t *group, yami_piece_t *piece,
                       int64_t due_ms);

void
yami_relay_group_due(yami_relay_core_t *core, uint32_t number);

//  -- relay_leases.c ------------------------------------------------------------------------------

//  For the next lease.
uint64_t
yami_relay_lease_token(yami_relay_core_t *core);

//  Leases piece to handle, by that token; ownership of the sequences moves.
yami_relay_lease_t *
yami_relay_lease_new(yami_relay_core_t *core, yami_relay_handle_t *handle, yami_piece_t *piece,
                     uint64_t token);

//  count sequences are not leased any more; frees the lease with the last of them.
void
yami_relay_lease_close(yami_relay_core_t *core, yami_relay_lease_t *lease, uint64_t count);

//  (9) Whether there may be so many pieces more. An eighth of all is for acks, and for what comes
//  again, as these bring pieces to an end.
bool
yami_relay_pieces_fit(const yami_relay_core_t *core, size_t more, bool is_ending);

//  No blame: back to its place.
void
yami_relay_lease_release(yami_relay_core_t *core, yami_relay_lease_t *lease, uint64_t first,
                         uint64_t last);

void
yami_relay_lease_extend(yami_relay_core_t *core, yami_relay_lease_t *lease);

//  Expires leases of a handle.
void
yami_relay_handle_due(yami_relay_core_t *core, uint64_t id);

//  -- relay_failures.c: blame ---------------------------------------------------------------------

//  How and why leased sequences failed.
typedef struct {
    int64_t delay_ms;     //  -1: by the backoff list
    bool is_rejected;     //  straight to the dead letters
    yami_block_t *reason; //  borrowed, or NULL
} yami_relay_blame_t;

//  Blames the open sequences of a lease in first..last.
void
yami_relay_lease_fail(yami_relay_core_t *core, yami_relay_lease_t *lease, uint64_t first,
                      uint64_t last, const yami_relay_blame_t *blame);

//  Backoff after so many failures, with jitter.
int64_t
yami_relay_backoff(yami_relay_core_t *core, uint32_t failures);

//  -- relay_deliver.c, relay_entry.c --------------------------------------------------------------

//  Whether the group's filter wants a message with that record's subject.
bool
yami_relay_group_wants(const yami_relay_group_t *group, const yami_record_t *record);

//  Delivers to members as far as credit and what is at hand allow; fetches what is not. False when
//  the group ended by it.
bool
yami_relay_group_pump(yami_relay_core_t *core, yami_relay_group_t *group);

void
yami_relay_groups_pump(yami_relay_core_t *core);

void
yami_relay_entry(yami_relay_core_t *core, const yami_relay_event_t *event);

//  The batch in a data entry. 0, or -1 with errno EPROTO.
int
yami_relay_batch_view(yami_batch_t *batch, const yami_entry_t *entry);

void
yami_relay_cache_drop(yami_relay_core_t *core, yami_relay_group_t *group);

//  -- relay_settle.c ------------------------------------------------------------------------------

void
yami_relay_settle(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);

//  -- relay_dead.c: into the dead letters ---------------------------------------------------------

void
yami_relay_dead_pump(yami_relay_core_t *core, yami_relay_group_t *group);

void
yami_relay_dead_entry(yami_relay_core_t *core, yami_relay_group_t *group, const yami_entry_t *entry,
                      const yami_batch_t *batch);

//  "orders" -> "orders.dead"; NULL when there is none (is_making: and none can be made).
yami_relay_channel_t *
yami_relay_dead_channel(yami_relay_core_t *core, const yami_relay_channel_t *channel,
                        bool is_making);

//  Whether a name is that of a channel of dead letters.
bool
yami_relay_is_dead_name(const void *name, size_t size);

//  User's properties without those that begin with "yam-", then the dead letter's (when piece is
//  not NULL).
void
yami_relay_dead_properties(yami_writer_t *writer, yami_slice_t properties,
                           const yami_relay_group_t *group, const yami_piece_t *piece,
                           int64_t wall_ms);

//  -- relay_journal.c, relay_snapshot.c -----------------------------------------------------------

uint64_t
yami_relay_write_channel(yami_relay_core_t *core, const yami_relay_channel_t *channel,
                         const yami_relay_group_t *group);
uint64_t
yami_relay_write_group(yami_relay_core_t *core, const yami_relay_group_t *group);
uint64_t
yami_relay_write_remove(yami_relay_core_t *core, const yami_relay_group_t *group);
uint64_t
yami_relay_write_epoch(yami_relay_core_t *core, const yami_relay_producer_t *producer);
uint64_t
yami_relay_write_data(yami_relay_core_t *core, const yami_relay_channel_t *channel, uint64_t base,
                      const yami_batch_t *batch, yami_block_t *block);
uint64_t
yami_relay_write_delay(yami_relay_core_t *core, const yami_relay_channel_t *channel, uint64_t base,
                       const yami_batch_t *batch, yami_block_t *block);
uint64_t
yami_relay_write_settle(yami_relay_core_t *core, const yami_relay_group_t *group,
                        const yami_ranges_t *ranges);
uint64_t
yami_relay_write_failure(yami_relay_core_t *core, const yami_relay_group_t *group,
                         const yami_piece_t *like, const yami_ranges_t *ranges);
uint64_t
yami_relay_write_move(yami_relay_core_t *core, const yami_relay_channel_t *target, uint64_t base,
                      uint32_t count, const yami_relay_group_t *origin, const yami_ranges_t *ranges,
                      yami_block_t *block);

//  A FAILURE: what is still unsettled of first..last gets these counters, if they are not older
//  than what it has.
void
yami_relay_replay_failure(yami_relay_core_t *core, yami_relay_group_t *group, uint64_t first,
                          uint64_t last, const yami_piece_t *like);

//  As a wall clock could have said, so that differences do not overflow.
bool
yami_relay_is_time(int64_t ms);

//  is_canonical leaves out what restarts may change: counts of deliveries without failures,
//  estimates.
void
yami_relay_snapshot_write(const yami_relay_core_t *core, yami_writer_t *writer, bool is_canonical);

int
yami_relay_snapshot_read(yami_relay_core_t *core, const yami_entry_t *entry);

//  -- relay_core.c --------------------------------------------------------------------------------

yami_relay_name_t
yami_relay_name(const void *text, size_t size);

//  A frame with just type, handle and status / text.
yami_frame_t
yami_relay_frame(yami_frame_type_t type, uint32_t handle);

#endif
