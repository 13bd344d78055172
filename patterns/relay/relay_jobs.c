//  Requests of administration that take several turns, and one of them: redrive.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_properties.h"
#include "yami_relay_due.h"
#include "yami_relay_jobs.h"
#include "yami_relay_move.h"
#include "yami_relay_parts.h"

#define S_STEP_MESSAGES 1000u //  redriven between two turns: others get theirs

//  Each peer may always have one, as long as there is room for it.
static bool
s_has_room(const yami_relay_core_t *core, const yami_relay_peer_t *peer)
{
    uint64_t own = 0;
    const yami_relay_job_t *job = NULL;
    TAILQ_FOREACH(job, &core->jobs, of_core)
    {
        own += job->peer == peer->id ? 1 : 0;
    }
    return core->job_count < YAMI_LIMIT_ADMIN_REQUESTS &&
           (own == 0 || own < yami_relay_admin_share(core, YAMI_LIMIT_ADMIN_REQUESTS));
}

yami_relay_job_t *
yami_relay_job_new(yami_relay_core_t *core, const yami_relay_peer_t *peer,
                   const yami_frame_t *frame, yami_relay_job_type_t type)
{
    if (!s_has_room(core, peer)) {
        yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_LIMIT,
                         "too many requests under way", NULL, 0);
        return NULL;
    }
    yami_relay_job_t *job = yami_alloc(sizeof *job);
    job->id = ++core->job_id;
    job->type = type;
    job->peer = peer->id;
    job->serial = frame->serial;
    yami_writer_init(&job->rows, YAMI_LIMIT_REPLY);
    TAILQ_INSERT_TAIL(&core->jobs, job, of_core);
    core->job_count++;
    return job;
}

static yami_relay_job_t *
s_find(const yami_relay_core_t *core, uint64_t id)
{
    yami_relay_job_t *job = NULL;
    TAILQ_FOREACH(job, &core->jobs, of_core)
    {
        if (job->id == id) {
            break;
        }
    }
    return job;
}

static void
s_free(yami_relay_core_t *core, yami_relay_job_t *job)
{
    TAILQ_REMOVE(&core->jobs, job, of_core);
    core->job_count--;
    yami_writer_clear(&job->rows);
    yami_free(job);
}

void
yami_relay_jobs_clear(yami_relay_core_t *core)
{
    while (!TAILQ_EMPTY(&core->jobs)) {
        s_free(core, TAILQ_FIRST(&core->jobs));
    }
}

static void
s_finish(yami_relay_core_t *core, yami_relay_job_t *job)
{
    if (job->type == YAMI_JOB_REDRIVE || job->type == YAMI_JOB_CANCEL) {
        yami_writer_map(&job->rows, 1);
        yami_writer_str(&job->rows, "messages");
        yami_writer_uint(&job->rows, job->done);
        job->row_count = 1;
    }
    core->budget -= (int64_t) job->rows.size;
    bool is_whole_topic =
        job->type == YAMI_JOB_PEEK && job->group == 0 && job->channel->kind == YAMI_KIND_TOPIC;
    yami_relay_reply(core, job->peer, job->serial,
                     job->is_unread ? YAM_STATUS_INTERNAL : YAM_STATUS_OK,
                     job->is_unread   ? "the store could not be read just now: ask again"
                     : is_whole_topic ? "what the topic keeps; a group shows what waits for it"
                                      : "",
                     &job->rows, job->row_count);
    s_free(core, job);
}

void
yami_relay_job_wait(yami_relay_core_t *core, yami_relay_job_t *job)
{
    if (core->ticket > core->durable) {
        job->waiting++;
        yami_relay_wait_t wait = {.ticket = core->ticket, .type = YAMI_WAIT_JOB, .job = job->id};
        yami_relay_wait(core, &wait);
    }
}

void
yami_relay_job_moved(yami_relay_core_t *core, uint64_t id)
{
    yami_relay_job_t *job = s_find(core, id);
    if (job != NULL) {
        YAM_ASSERT(job->waiting > 0);
        job->waiting--;
    }
}

//  Dead letters that are neither with a consumer nor settled.
static uint64_t
s_free_count(const yami_relay_group_t *group)
{
    const uint64_t *totals = group->pieces.totals;
    return group->channel->durable - group->next + totals[YAMI_PIECE_READY] +
           totals[YAMI_PIECE_WAITING];
}

void
yami_relay_redrive(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    yami_relay_channel_t *channel =
        yami_relay_channel_find(core, frame->channel.data, frame->channel.size);
    bool has_target = (frame->present & YAMI_F_TARGET) != 0;
    yami_relay_channel_t *target =
        has_target ? yami_relay_channel_find(core, frame->target.data, frame->target.size) : NULL;
    if (channel == NULL ||
        (has_target && (target == NULL || target->is_dead || target->dues != NULL))) {
        yami_relay_reply(core, peer->id, frame->serial, YAM_STATUS_UNKNOWN,
                         channel == NULL ? "no such channel" : "no such target", NULL, 0);
        return;
    }
    yami_relay_channel_t *dead =
        channel->is_dead ? channel : yami_relay_dead_channel(core, channel, false);
    yami_relay_job_t *job = yami_relay_job_new(core, peer, frame, YAMI_JOB_REDRIVE);
    if (job == NULL) {
        return;
    }
    uint64_t most = frame->messages > 0 ? frame->messages : UINT64_MAX;
    const yami_relay_group_t *group = dead != NULL ? TAILQ_FIRST(&dead->groups) : NULL;
    if (group == NULL || (frame->present & YAMI_F_START && frame->start == 1)) {
        uint64_t count = group != NULL ? s_free_count(group) : 0;
        job->done = count < most ? count : most;
        job->is_finished = true;
        return;
    }
    job->channel = dead;
    job->target = target;
    job->sequence = yami_relay_group_floor(group);
    job->until = dead->durable;
    job->left = most;
}

//  The next sequence of the job's channel, from its own on, that may be moved; until when there is
//  none.
static uint64_t
s_next_free(const yami_relay_job_t *job)
{
    const yami_relay_group_t *group = TAILQ_FIRST(&job->channel->groups);
    uint64_t sequence = job->sequence;
    const yami_piece_t *piece;
    while (sequence < group->next && (piece = yami_pieces_find(&group->pieces, sequence)) != NULL) {
        sequence = piece->first > sequence ? piece->first : sequence;
        if (piece->state == YAMI_PIECE_READY || piece->state == YAMI_PIECE_WAITING) {
            return sequence < job->until ? sequence : job->until;
        }
        sequence = piece->last + 1;
    }
    sequence = sequence < group->next ? group->next : sequence;
    return sequence < job->until ? sequence : job->until;
}

//  Looks at the next entry, or sees that there is none.
static void
s_go_on(yami_relay_core_t *core, yami_relay_job_t *job)
{
    if (job->type == YAMI_JOB_CANCEL) {
        yami_relay_cancel_go_on(core, job);
        return;
    }
    if (job->type == YAMI_JOB_REDRIVE) {
        job->sequence = s_next_free(job);
    }
    if (job->type == YAMI_JOB_PEEK) {
        job->sequence = yami_relay_peek_next(core, job);
    }
    if (job->left == 0 || job->sequence >= job->until) {
        job->is_finished = true;
        return;
    }
    if (job->type == YAMI_JOB_REDRIVE) {
        if (!yami_relay_may_move(core)) {
            core->lacks_room = true;
            return;
        }
        if (core->is_moving) {
            return; //  due in the next turn
        }
        core->is_moving = true;
    }
    job->is_fetching = true;
    yami_relay_fetch(core, job->channel, job->sequence, YAMI_FETCH_JOB, job->id);
}

//  Whether there is something to look at, now.
static bool
s_can_go_on(const yami_relay_job_t *job)
{
    bool waits = job->type == YAMI_JOB_CANCEL && job->waiting > 0;
    return !job->is_finished && !job->is_fetching && !waits;
}

static void
s_pump(yami_relay_core_t *core, yami_relay_job_t *job)
{
    if (s_can_go_on(job)) {
        s_go_on(core, job);
    }
    if (job->is_finished && job->waiting == 0) {
        s_finish(core, job);
    }
}

//  Whoever waited longest goes first, next turn.
static void
s_stand_back(yami_relay_core_t *core, yami_relay_job_t *job)
{
    TAILQ_REMOVE(&core->jobs, job, of_core);
    TAILQ_INSERT_TAIL(&core->jobs, job, of_core);
}

void
yami_relay_jobs_pump(yami_relay_core_t *core)
{
    const int64_t least = YAMI_RELAY_TURN_BYTES / 2; //  left to those who deliver
    for (size_t count = core->job_count; count > 0 && core->budget > least; count--) {
        yami_relay_job_t *job = TAILQ_FIRST(&core->jobs);
        s_stand_back(core, job);
        s_pump(core, job);
    }
}

bool
yami_relay_jobs_are_due(const yami_relay_core_t *core)
{
    const yami_relay_job_t *job = NULL;
    TAILQ_FOREACH(job, &core->jobs, of_core)
    {
        bool lacks_room = job->type == YAMI_JOB_REDRIVE && !yami_relay_may_move(core);
        if (job->is_finished ? job->waiting == 0 : s_can_go_on(job) && !lacks_room) {
            return true;
        }
    }
    return false;
}

//  Where a dead letter goes back to; NULL when nobody knows.
static yami_relay_channel_t *
s_target(const yami_relay_core_t *core, const yami_relay_job_t *job, const yami_record_t *record)
{
    yami_property_t origin;
    if (job->target != NULL) {
        return job->target;
    }
    if (!yami_properties_find(record->properties, "yam-origin", &origin) || origin.type != 's') {
        return NULL;
    }
    yami_relay_channel_t *channel =
        yami_relay_channel_find(core, origin.text.data, origin.text.size);
    bool is_way = channel != NULL && !channel->is_dead && channel->dues == NULL;
    return is_way ? channel : NULL;
}

//  One dead letter goes back without what we had written on it. False when out of memory.
static bool
s_redrive_record(yami_relay_core_t *core, yami_relay_job_t *job, yami_relay_move_t *move,
                 const yami_record_t *record)
{
    yami_relay_channel_t *target = s_target(core, job, record);
    if (target == NULL) {
        return true; //  stays
    }
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_PROPERTIES);
    yami_relay_dead_properties(&writer, record->properties, NULL, NULL, 0);
    yami_record_t copy = *record;
    copy.properties = yami_slice(writer.data, writer.size);
    bool is_added = writer.failed == 0 && yami_relay_move_add(move, target, job->sequence, &copy);
    yami_writer_clear(&writer);
    job->left -= is_added ? 1 : 0;
    return is_added;
}

static void
s_redrive_entry(yami_relay_core_t *core, yami_relay_job_t *job, const yami_entry_t *entry,
                const yami_batch_t *batch)
{
    yami_relay_move_t move;
    yami_relay_move_start(&move, core, TAILQ_FIRST(&job->channel->groups), job);
    uint64_t end =
        entry->base + entry->count < job->until ? entry->base + entry->count : job->until;
    uint64_t at = entry->base;
    size_t offset = 0;
    yami_record_t record = {0};
    for (unsigned count = 0; count < S_STEP_MESSAGES && job->left > 0; count++) {
        job->sequence = s_next_free(job);
        if (job->sequence >= end) {
            break;
        }
        for (; at <= job->sequence; at++) {
            int rc = yami_batch_next(batch, &offset, &record);
            YAM_ASSERT(rc == 0);
        }
        if (!s_redrive_record(core, job, &move, &record)) {
            break;
        }
        job->sequence++;
    }
    yami_relay_move_finish(&move);
}

void
yami_relay_job_entry(yami_relay_core_t *core, const yami_relay_event_t *event)
{
    yami_relay_job_t *job = s_find(core, event->fetch.argument);
    if (job == NULL) {
        return;
    }
    job->is_fetching = false;
    if (job->type == YAMI_JOB_REDRIVE) {
        s_stand_back(core, job); //  one move at a time: the next turn's is another job's
        yami_relay_move_ended(core);
    }
    yami_batch_t batch;
    bool is_sound = event->result == 0 && event->entry->data != NULL &&
                    yami_relay_batch_view(&batch, event->entry) == 0;
    if (event->result != 0 && event->result != ENOENT && event->result != EBADMSG) {
        job->is_finished = true;
        job->is_unread = job->type == YAMI_JOB_CANCEL; //  others say how far they came
    } else if (!is_sound && job->type == YAMI_JOB_CANCEL) {
        job->sequence = event->fetch.sequence;
    } else if (!is_sound) {
        //  What is lost was said to be; go on behind it.
        uint64_t behind = event->damage != NULL && event->damage->last >= job->sequence
                              ? event->damage->last + 1
                              : job->sequence + 1;
        job->sequence = behind;
    } else if (job->type == YAMI_JOB_PEEK) {
        yami_relay_peek_entry(core, job, event->entry, &batch);
    } else if (job->type == YAMI_JOB_CANCEL) {
        yami_relay_cancel_entry(core, job, event, &batch);
    } else if (yami_relay_may_move(core)) {
        s_redrive_entry(core, job, event->entry, &batch);
    }
    if (job->type == YAMI_JOB_PEEK && core->budget > 0) {
        s_pump(core, job); //  else in the next turn: others get theirs
    }
}
