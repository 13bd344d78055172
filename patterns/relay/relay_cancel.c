//  cancel: delayed messages of an id wait no more. What has the hash of that id is read, since only
//  the message itself says whether it is meant; the latest first.

#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"
#include "yami_relay_due.h"
#include "yami_relay_jobs.h"
#include "yami_relay_parts.h"

void
yami_relay_cancel(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_channel_t *channel =
        yami_relay_channel_find(core, frame->channel.data, frame->channel.size);
    bool has_id = (frame->present & YAMI_F_ID) != 0;
    if (channel == NULL || !has_id) {
        yami_relay_reply(core, peer->id, frame->serial,
                         has_id ? YAM_STATUS_UNKNOWN : YAM_STATUS_MALFORMED,
                         has_id ? "no such channel" : "cancel needs an id", NULL, 0);
        return;
    }
    yami_relay_job_t *job = yami_relay_job_new(core, peer, frame, YAMI_JOB_CANCEL);
    if (job != NULL) {
        job->channel = channel->dues != NULL ? channel : channel->delayed;
        job->is_finished = job->channel == NULL; //  there never was a delayed message
        job->message_id = yami_relay_name(frame->id.data, frame->id.size);
        job->is_dry = (frame->present & YAMI_F_START) != 0 && frame->start == 1;
        job->sequence = UINT64_MAX;
    }
}

static uint32_t
s_hash(const yami_relay_job_t *job)
{
    return yami_relay_id_hash(yami_slice(job->message_id.text, job->message_id.size));
}

//  The next to look at; NULL when there is none.
static const yami_relay_delay_t *
s_next(const yami_relay_job_t *job)
{
    return yami_relay_delays_by_id(&job->channel->dues->waiting, s_hash(job), job->sequence);
}

void
yami_relay_cancel_go_on(yami_relay_core_t *core, yami_relay_job_t *job)
{
    const yami_relay_delay_t *delay = s_next(job);
    if (delay == NULL) {
        job->is_finished = true;
    } else if (delay->sequence >= job->channel->durable) {
        yami_relay_job_wait(core, job); //  it can be read then
    } else {
        job->is_fetching = true;
        yami_relay_fetch(core, job->channel, delay->sequence, YAMI_FETCH_JOB, job->id);
    }
}

static bool
s_is_meant(const yami_relay_job_t *job, const yami_record_t *record)
{
    yami_slice_t id = yami_relay_record_id(record);
    return id.size == job->message_id.size && memcmp(id.data, job->message_id.text, id.size) == 0;
}

//  Whether it fires or is cancelled, is decided here, and by what stands first
//  in the journal.
static void
s_cancel(yami_relay_core_t *core, yami_relay_job_t *job, uint64_t sequence)
{
    yami_relay_group_t *group = TAILQ_FIRST(&job->channel->groups);
    job->done++;
    if (!job->is_dry) {
        (void) yami_relay_group_settle(core, group, sequence, sequence);
        if (!YAMI_PLANTED(CANCEL_NOT_WRITTEN)) {
            yami_relay_group_journal(core, group, sequence, sequence);
        }
        job->channel->counts.cancelled++;
    }
}

void
yami_relay_cancel_entry(yami_relay_core_t *core, yami_relay_job_t *job,
                        const yami_relay_event_t *event, const yami_batch_t *batch)
{
    const yami_entry_t *entry = event->entry;
    uint32_t hash = s_hash(job);
    uint64_t lowest = event->fetch.sequence; //  of that hash: only from such a one no search starts
    size_t offset = 0;
    yami_record_t record;
    for (uint64_t sequence = entry->base; sequence < entry->base + entry->count; sequence++) {
        int rc = yami_batch_next(batch, &offset, &record);
        YAM_ASSERT(rc == 0);
        const yami_relay_delay_t *delay =
            sequence < job->sequence
                ? yami_relay_delays_find(&job->channel->dues->waiting, sequence)
                : NULL;
        if (delay == NULL || delay->id_hash != hash) {
            continue;
        }
        lowest = sequence < lowest ? sequence : lowest;
        if (s_is_meant(job, &record)) {
            s_cancel(core, job, sequence);
        }
    }
    job->sequence = lowest;
    yami_relay_group_flush(core, TAILQ_FIRST(&job->channel->groups));
    yami_relay_job_wait(core, job); //  the answer waits for it
}
