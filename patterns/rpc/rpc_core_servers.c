//  Servers: who is alive, what goes to them, what comes from them. See yami_rpc_core.h.

#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_planted.h"
#include "yami_rpc_core_parts.h"

//  -- Alive or not

static void
s_fail_lost(yami_rpc_core_t *self, yami_rpc_call_t *call)
{
    self->stats.failed++;
    yami_rpc_core_finish(
        self, call, YAM_STATUS_TIMEOUT,
        yami_slice_text("the server went away with the call, which it may have carried out"), NULL,
        NULL);
}

//  A call that is in no list goes to a server once more, if it still may.
static void
s_retry(yami_rpc_core_t *self, yami_rpc_call_t *call)
{
    if (call->retries == 0) {
        s_fail_lost(self, call);
        return;
    }
    call->retries -= self->config.is_relayed ? 0 : 1; //  there it is the reply that is lost
    self->stats.retries++;
    yami_rpc_core_place(self, call);
}

void
yami_rpc_core_lost(yami_rpc_core_t *self, int64_t now_ms, size_t index)
{
    yami_rpc_server_t *server = &self->servers[index];
    yami_rpc_call_t *call;
    (void) now_ms;
    if (self->config.is_relayed && self->config.retries == 0) {
        return; //  the relay still has them
    }
    server->is_alive = self->config.is_relayed;
    server->is_blocked = false;
    server->round_trip_ms = -1;
    server->withdrawal_count = 0;
    while (!server->is_alive && (call = TAILQ_FIRST(&server->queued)) != NULL) {
        yami_rpc_core_leave(self, call);
        yami_rpc_core_place(self, call); //  it was not sent: no try is used
    }
    while ((call = TAILQ_FIRST(&server->sent)) != NULL) {
        yami_rpc_core_leave(self, call);
        s_retry(self, call);
    }
}

int64_t
yami_rpc_core_watch(yami_rpc_core_t *self, int64_t now_ms, size_t index)
{
    yami_rpc_server_t *server = &self->servers[index];
    int64_t heartbeat_ms = self->config.heartbeat_ms;
    if (self->config.is_relayed) {
        return INT64_MAX;
    }
    if (server->unheard_ms != 0 &&
        now_ms - server->unheard_ms >= YAMI_RPC_PATIENCE * heartbeat_ms) {
        yami_rpc_core_lost(self, now_ms, index);
        server->socket++; //  what waits in the old one's queue must not reach anybody later
        server->unheard_ms = 0;
        server->must_ask = true;
    }
    if (server->asked_ms == 0 || now_ms - server->asked_ms >= heartbeat_ms) {
        server->must_ask = true;
        server->asked_ms = now_ms;
    }
    if (server->must_ask && server->unheard_ms == 0) {
        server->unheard_ms = now_ms;
    }
    return server->asked_ms + heartbeat_ms;
}

//  The server that answers is not the one that was asked: what that had is lost.
static void
s_note_epoch(yami_rpc_core_t *self, int64_t now_ms, size_t index, uint32_t epoch)
{
    yami_rpc_server_t *server = &self->servers[index];
    if (server->is_alive && epoch != server->epoch && !self->config.is_relayed) {
        yami_rpc_core_lost(self, now_ms, index);
        server->must_ask = true;
    }
}

//  Whatever the way there and back took: its clock showed that at the earliest when it was asked.
static void
s_learn_clock(yami_rpc_server_t *server, int64_t now_ms, int64_t clock_ms)
{
    int64_t round_trip_ms = now_ms - server->asked_ms;
    bool is_better = server->round_trip_ms == -1 || round_trip_ms <= server->round_trip_ms;
    if (is_better) {
        server->offset_ms = clock_ms - server->asked_ms;
    }
    //  What was learned ages, since clocks drift.
    server->round_trip_ms = is_better ? round_trip_ms : server->round_trip_ms + 1;
}

static void
s_pong(yami_rpc_core_t *self, int64_t now_ms, size_t index, const yami_rpc_frame_t *frame)
{
    yami_rpc_server_t *server = &self->servers[index];
    char expected[YAMI_RPC_CORRELATION_SIZE];
    (void) snprintf(expected, sizeof expected, "%llu", (unsigned long long) server->ping);
    if (!yami_slice_equal(frame->correlation, expected) || self->config.is_relayed) {
        return; //  of an earlier PING: a sign of life, but no news of its clock
    }
    s_learn_clock(server, now_ms, frame->clock_ms);
    server->epoch = frame->epoch;
    server->is_alive = true;
    server->must_ask = false;
    yami_rpc_call_t *call;
    while ((call = TAILQ_FIRST(&self->waiting)) != NULL) { //  (3)
        yami_rpc_core_leave(self, call);
        yami_rpc_core_place(self, call);
    }
}

//  -- Replies

//  The call that a reply is for; NULL when there is none, counted.
static yami_rpc_call_t *
s_find_call(yami_rpc_core_t *self, size_t index, const yami_rpc_frame_t *frame,
            yami_rpc_correlation_t *correlation)
{
    bool is_ours = yami_rpc_correlation_read(correlation, frame->correlation) &&
                   strcmp(correlation->caller, self->caller) == 0 &&
                   correlation->number <= self->latest;
    yami_rpc_call_t *call = is_ours ? yami_rpc_core_find(self, correlation->number) : NULL;
    if (YAMI_PLANTED(LATE_REPLY_TAKEN) && is_ours && call == NULL) {
        call = TAILQ_FIRST(&self->servers[index].sent);
    }
    if (!is_ours || (call != NULL && (correlation->attempt > call->attempt ||
                                      (correlation->attempt == call->attempt &&
                                       call->server != index && call->state == YAMI_RPC_SENT)))) {
        self->stats.unknown++;
        return NULL;
    }
    if (call != NULL && call->state != YAMI_RPC_DONE) {
        return call;
    }
    uint64_t number = correlation->number;
    bool was_answered = self->latest - number < YAMI_RPC_ANSWERED &&
                        (self->answered[number % YAMI_RPC_ANSWERED / 64] >> number % 64 & 1) != 0;
    self->stats.duplicates += was_answered ? 1 : 0;
    self->stats.late += was_answered ? 0 : 1;
    return NULL;
}

//  Whether the call, of which this is no outcome, is tried again. It is in no list then.
static bool
s_try_again(yami_rpc_core_t *self, int64_t now_ms, yami_rpc_call_t *call, yam_status_t status)
{
    yami_rpc_server_t *server = &self->servers[call->server];
    if (self->config.is_relayed) {
        return false;
    }
    if (status == YAM_STATUS_NO_SESSION && call->free_tries > 0) {
        call->free_tries--;
        yami_rpc_core_leave(self, call);
        yami_rpc_core_pause(self, call, now_ms + YAMI_RPC_PAUSE_MS);
        server->must_ask = true; //  it has restarted, and knows nothing of us
        return true;
    }
    if (!yam_status_is_temporary(status) || call->retries == 0) {
        return false;
    }
    uint32_t doublings = call->attempt < 16 ? call->attempt - 1 : 15;
    int64_t pause_ms = (int64_t) YAMI_RPC_PAUSE_MS << doublings;
    call->retries--;
    self->stats.retries++;
    yami_rpc_core_leave(self, call);
    if (yami_rpc_core_has_other(self, call) && call->attempt < self->config.servers) {
        yami_rpc_core_place(self, call);
    } else {
        yami_rpc_core_pause(
            self, call,
            now_ms + (pause_ms < YAMI_RPC_PAUSE_LIMIT_MS ? pause_ms : YAMI_RPC_PAUSE_LIMIT_MS));
    }
    return true;
}

static void
s_reply(yami_rpc_core_t *self, int64_t now_ms, size_t index, const yami_rpc_frame_t *frame,
        yami_block_t *block)
{
    yami_rpc_correlation_t correlation;
    yami_rpc_call_t *call = s_find_call(self, index, frame, &correlation);
    if (call == NULL) {
        return;
    }
    bool is_refusal =
        frame->status == YAM_STATUS_NO_SESSION || yam_status_is_temporary(frame->status);
    bool is_of_this_try = correlation.attempt == call->attempt && call->state == YAMI_RPC_SENT;
    if (is_refusal && !is_of_this_try) {
        self->stats.late++;
        return;
    }
    if (is_refusal && s_try_again(self, now_ms, call, frame->status)) {
        return;
    }
    self->stats.replied++;
    self->answered[call->number % YAMI_RPC_ANSWERED / 64] |= UINT64_C(1) << call->number % 64;
    yami_rpc_core_leave(self, call);
    yami_rpc_core_finish(self, call, frame->status, frame->text, &frame->record, block);
}

void
yami_rpc_core_frame(yami_rpc_core_t *self, int64_t now_ms, size_t index,
                    const yami_rpc_frame_t *frame, yami_block_t *block)
{
    YAM_ASSERT(index < self->config.servers);
    if (frame->kind != YAMI_RPC_PONG && frame->kind != YAMI_RPC_REPLY) {
        self->stats.malformed++;
        return;
    }
    self->servers[index].unheard_ms = 0;
    if (frame->kind == YAMI_RPC_REPLY) {
        s_reply(self, now_ms, index, frame, block); //  it may say what was not begun, before:
    }
    s_note_epoch(self, now_ms, index, frame->epoch);
    if (frame->kind == YAMI_RPC_PONG) {
        s_pong(self, now_ms, index, frame);
    }
}

void
yami_rpc_core_garbage(yami_rpc_core_t *self)
{
    self->stats.malformed++;
}

//  -- Sending

void
yami_rpc_core_block(yami_rpc_core_t *self, size_t index, bool is_blocked)
{
    self->servers[index].is_blocked = is_blocked;
}

static void
s_correlate(const yami_rpc_core_t *self, yami_rpc_sending_t *sending, uint64_t number,
            uint32_t attempt)
{
    yami_rpc_correlation_t correlation = {.number = number, .attempt = attempt};
    memcpy(correlation.caller, self->caller, sizeof correlation.caller);
    yami_rpc_correlation_write(&correlation, sending->correlation);
}

//  The deadline on the server's clock, never 0.
static int64_t
s_deadline(const yami_rpc_core_t *self, const yami_rpc_server_t *server, int64_t deadline_ms)
{
    int64_t most_ms = self->config.is_relayed ? INT64_MAX : YAMI_LIMIT_TIME_MS;
    if (deadline_ms == INT64_MAX || deadline_ms > most_ms - server->offset_ms) {
        return 0; //  none, or none within the time there is
    }
    deadline_ms += server->offset_ms;
    return deadline_ms > 0 ? deadline_ms : 1;
}

static void
s_next_call(yami_rpc_core_t *self, const yami_rpc_server_t *server, yami_rpc_call_t *call,
            yami_rpc_sending_t *sending)
{
    sending->call = call;
    sending->frame.kind = YAMI_RPC_CALL;
    sending->frame.record = call->request->record;
    sending->frame.deadline_ms = s_deadline(self, server, call->deadline_ms);
    s_correlate(self, sending, call->number, call->attempt + 1);
    yami_slice_t id = yami_rpc_text(call->request->record.properties, "id");
    if (id.size == 0) {
        (void) snprintf(sending->id, sizeof sending->id, "%s.%llu", self->caller,
                        (unsigned long long) call->number);
        id = yami_slice_text(sending->id);
    }
    sending->frame.id = id;
}

bool
yami_rpc_core_next(yami_rpc_core_t *self, size_t index, yami_rpc_sending_t *sending)
{
    yami_rpc_server_t *server = &self->servers[index];
    yami_rpc_call_t *call = TAILQ_FIRST(&server->queued);
    if (server->is_blocked) {
        return false;
    }
    memset(sending, 0, sizeof *sending);
    sending->frame.epoch = server->epoch;
    if (server->must_ask) {
        sending->frame.kind = YAMI_RPC_PING;
        (void) snprintf(sending->correlation, sizeof sending->correlation, "%llu",
                        (unsigned long long) server->ping + 1);
    } else if (server->withdrawal_count > 0) {
        const yami_rpc_correlation_t *first = &server->withdrawals[0];
        sending->frame.kind = YAMI_RPC_CANCEL;
        s_correlate(self, sending, first->number, first->attempt);
    } else if (call != NULL) {
        s_next_call(self, server, call, sending);
    } else {
        return false;
    }
    sending->frame.correlation = yami_slice_text(sending->correlation);
    return true;
}

void
yami_rpc_core_sent(yami_rpc_core_t *self, int64_t now_ms, size_t index,
                   const yami_rpc_sending_t *sending, yam_status_t status)
{
    yami_rpc_server_t *server = &self->servers[index];
    yami_rpc_call_t *call = sending->call;
    switch (sending->frame.kind) {
    case YAMI_RPC_PING:
        server->must_ask = false;
        server->ping++;
        server->asked_ms = now_ms;
        return;
    case YAMI_RPC_CANCEL:
        server->withdrawal_count--;
        memmove(server->withdrawals, server->withdrawals + 1,
                server->withdrawal_count * sizeof *server->withdrawals);
        return;
    default:
        break;
    }
    yami_rpc_core_leave(self, call);
    if (status != YAM_STATUS_OK) {
        self->stats.failed++;
        yami_rpc_core_finish(self, call, status, yami_slice_text("the call could not be sent"),
                             NULL, NULL);
        return;
    }
    call->attempt++;
    call->state = YAMI_RPC_SENT;
    TAILQ_INSERT_TAIL(&server->sent, call, link);
    server->load++;
}
