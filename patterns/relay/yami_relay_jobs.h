/*  yami_relay_jobs - what people ask of a relay: its statistics, and jobs that take several turns.

    For the files of the relay core: relay_admin.c, relay_stat.c, relay_jobs.c and relay_peek.c.
*/
#ifndef YAMI_RELAY_JOBS_H
#define YAMI_RELAY_JOBS_H

#include "yami_relay_state.h"

void
yami_relay_admin(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);

//  What one peer may have of what administration may have in all: as much as each of those who
//  asked in this second or the one before, and one more, who may come.
uint64_t
yami_relay_admin_share(const yami_relay_core_t *core, uint64_t total);

//  rows (may be NULL) holds row_count maps; cleared. Any status but OK counts as a refusal.
void
yami_relay_reply(yami_relay_core_t *core, uint64_t peer, uint64_t serial, yam_status_t status,
                 const char *text, yami_writer_t *rows, uint32_t row_count);

//  The commands.
void
yami_relay_stat(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);
void
yami_relay_stat_relay(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);
void
yami_relay_stat_channels(yami_relay_core_t *core, yami_relay_peer_t *peer,
                         const yami_frame_t *frame);
void
yami_relay_peek(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);
void
yami_relay_redrive(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame);

//  Where a peek looks next; its end when it has found enough.
uint64_t
yami_relay_peek_next(const yami_relay_core_t *core, const yami_relay_job_t *job);
//  Shows what of an entry waits.
void
yami_relay_peek_entry(yami_relay_core_t *core, yami_relay_job_t *job, const yami_entry_t *entry,
                      const yami_batch_t *batch);

//  A job of that request; NULL when there are too many (the peer was told).
yami_relay_job_t *
yami_relay_job_new(yami_relay_core_t *core, const yami_relay_peer_t *peer,
                   const yami_frame_t *frame, yami_relay_job_type_t type);
//  Its answer waits for all that was appended so far.
void
yami_relay_job_wait(yami_relay_core_t *core, yami_relay_job_t *job);
void
yami_relay_jobs_pump(yami_relay_core_t *core);
//  Whether the next turn could do something for them.
bool
yami_relay_jobs_are_due(const yami_relay_core_t *core);
void
yami_relay_job_entry(yami_relay_core_t *core, const yami_relay_event_t *event);
void
yami_relay_job_moved(yami_relay_core_t *core, uint64_t id);
void
yami_relay_jobs_clear(yami_relay_core_t *core);

#endif
