//  peek: what waits in a channel, as it is; nothing changes by it.

#include "yami_base.h"
#include "yami_relay_due.h"
#include "yami_relay_jobs.h"
#include "yami_relay_parts.h"

#define S_DEFAULT 10u          //  messages, for who does not say
#define S_BODY 4096u           //  bytes of a body that are shown
#define S_ROWS_SIZE (3u << 20) //  it ends here: the reply has room for one more row

//  Of a topic without a group, all that it keeps.
void
yami_relay_peek(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_channel_t *channel =
        yami_relay_channel_find(core, frame->channel.data, frame->channel.size);
    bool has_name = (frame->present & YAMI_F_GROUP) != 0 && frame->group.size > 0;
    const yami_relay_group_t *group = channel == NULL ? NULL
                                      : has_name      ? yami_relay_group_find(channel, frame->group)
                                      : channel->kind != YAMI_KIND_TOPIC
                                          ? TAILQ_FIRST(&channel->groups)
                                          : NULL;
    if (channel == NULL || (has_name && group == NULL)) {
        yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_UNKNOWN,
                         channel == NULL ? "no such channel" : "no such group", NULL, 0);
        return;
    }
    yami_relay_job_t *job = yami_relay_job_new(core, peer, frame, YAMI_JOB_PEEK);
    if (job != NULL) {
        job->channel = channel;
        job->group = group != NULL ? group->number : 0;
        job->sequence = group != NULL ? yami_relay_group_floor(group) : channel->first;
        if (frame->sequence > job->sequence) {
            job->sequence = frame->sequence;
        }
        job->left = frame->messages > 0 ? frame->messages : S_DEFAULT;
        job->until = channel->durable;
    }
}

//  The group a peek is about. NULL: none, or it was removed since.
static const yami_relay_group_t *
s_group(const yami_relay_core_t *core, const yami_relay_job_t *job)
{
    return job->group != 0 ? yami_relay_map_get(&core->groups, job->group) : NULL;
}

//  The next sequence, from sequence on, that the group has not settled.
static uint64_t
s_next_unsettled(const yami_relay_group_t *group, uint64_t sequence)
{
    if (sequence >= group->next) {
        return sequence;
    }
    const yami_piece_t *piece = yami_pieces_find(&group->pieces, sequence);
    if (piece == NULL) {
        return group->next;
    }
    return piece->first > sequence ? piece->first : sequence;
}

static uint64_t
s_next_seen(const yami_relay_core_t *core, const yami_relay_job_t *job)
{
    const yami_relay_group_t *group = s_group(core, job);
    if (job->channel->dues != NULL) { //  its index stands in the place of the group's pieces
        const yami_relay_delay_t *delay =
            yami_relay_delays_from(&job->channel->dues->waiting, job->sequence);
        return delay != NULL ? delay->sequence : job->until;
    }
    return group != NULL ? s_next_unsettled(group, job->sequence) : job->sequence;
}

static bool
s_is_full(const yami_relay_job_t *job)
{
    return job->rows.size >= S_ROWS_SIZE;
}

uint64_t
yami_relay_peek_next(const yami_relay_core_t *core, const yami_relay_job_t *job)
{
    return s_is_full(job) ? job->until : s_next_seen(core, job);
}

static void
s_row(yami_relay_job_t *job, const yami_record_t *record, uint64_t sequence, int64_t time_ms)
{
    yami_writer_t *rows = &job->rows;
    size_t shown = record->body.size < S_BODY ? record->body.size : S_BODY;
    yami_writer_map(rows, record->due_ms > 0 ? 7 : 6);
    yami_writer_str(rows, "sequence");
    yami_writer_uint(rows, sequence);
    yami_writer_str(rows, "time");
    yami_writer_int(rows, time_ms);
    if (record->due_ms > 0) {
        yami_writer_str(rows, "due-time");
        yami_writer_int(rows, record->due_ms);
    }
    yami_writer_str(rows, "priority");
    yami_writer_uint(rows, record->priority);
    yami_writer_str(rows, "size");
    yami_writer_uint(rows, record->body.size);
    yami_writer_str(rows, "properties");
    yami_writer_bin(rows, record->properties.data, record->properties.size);
    yami_writer_str(rows, "body");
    yami_writer_bin(rows, record->body.data, shown);
    job->row_count++;
}

//  What was settled, came when it was due, was cancelled, or is not wanted by the filter, does not
//  wait.
static bool
s_waits(const yami_relay_core_t *core, const yami_relay_job_t *job, const yami_record_t *record)
{
    const yami_relay_group_t *group = s_group(core, job);
    bool is_seen = job->channel->dues != NULL //  does not look for the next one that waits
                       ? yami_relay_delays_find(&job->channel->dues->waiting, job->sequence) != NULL
                       : s_next_seen(core, job) == job->sequence;
    return is_seen && (group == NULL || yami_relay_group_wants(group, record));
}

//  Ends in the middle of an entry when the turn's budget is used up, and the next turn's part
//  begins there; but not before it has done as much as it takes to read the entry once more.
void
yami_relay_peek_entry(yami_relay_core_t *core, yami_relay_job_t *job, const yami_entry_t *entry,
                      const yami_batch_t *batch)
{
    size_t offset = 0;
    uint64_t hidden = 0; //  what it cost to look at what is not shown
    yami_record_t record;
    for (uint64_t sequence = entry->base; sequence < entry->base + entry->count; sequence++) {
        int rc = yami_batch_next(batch, &offset, &record);
        YAM_ASSERT(rc == 0);
        if (sequence < job->sequence) {
            continue;
        }
        if (job->left == 0 || s_is_full(job) || sequence >= job->until ||
            (core->budget <= 0 && hidden >= batch->payload.size)) {
            return;
        }
        job->sequence = sequence;
        if (s_waits(core, job, &record)) {
            s_row(job, &record, sequence, entry->time_ms);
            job->left--;
        } else {
            core->budget -= YAMI_RELAY_SKIP_COST;
            hidden += YAMI_RELAY_SKIP_COST;
        }
        job->sequence = sequence + 1;
    }
}
