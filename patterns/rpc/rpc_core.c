//  Calls, their deadlines and outcomes. What servers do to them is in rpc_core_servers.c.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_rpc_core_parts.h"

#define TIMER_SLACK 1024u //  stale timers that are worth no sweep

void
yami_rpc_core_init(yami_rpc_core_t *self, const yami_rpc_config_t *config, const yami_id_t *random)
{
    YAM_ASSERT(config->servers > 0 && config->servers <= YAMI_LIMIT_ADDRESSES);
    YAM_ASSERT(config->heartbeat_ms > 0 && config->calls > 0);
    memset(self, 0, sizeof *self);
    self->config = *config;
    static const char digits[] = "0123456789abcdef";
    for (size_t index = 0; index < sizeof random->bytes; index++) {
        self->caller[2 * index] = digits[random->bytes[index] >> 4];
        self->caller[2 * index + 1] = digits[random->bytes[index] & 15];
    }
    self->buckets = yami_alloc(YAMI_RPC_BUCKETS * sizeof *self->buckets);
    self->answered = yami_alloc(YAMI_RPC_ANSWERED / 8);
    yami_heap_init(&self->timers, 4 * config->calls + 4 * TIMER_SLACK);
    TAILQ_INIT(&self->waiting);
    TAILQ_INIT(&self->paused);
    TAILQ_INIT(&self->done);
    for (size_t index = 0; index < config->servers; index++) {
        yami_rpc_server_t *server = &self->servers[index];
        TAILQ_INIT(&server->queued);
        TAILQ_INIT(&server->sent);
        server->is_alive = config->is_relayed;
        server->must_ask = !config->is_relayed;
        server->socket = 1;
        server->round_trip_ms = -1;
    }
}

void
yami_rpc_call_free(yami_rpc_call_t **call_p)
{
    yami_rpc_call_t *call = *call_p;
    if (call == NULL) {
        return;
    }
    *call_p = NULL;
    yam_message_destroy(&call->request);
    yam_message_destroy(&call->answer);
    yami_free(call->text);
    yami_free(call);
}

void
yami_rpc_core_clear(yami_rpc_core_t *self)
{
    for (size_t index = 0; index < YAMI_RPC_BUCKETS; index++) {
        yami_rpc_call_t *call;
        while ((call = LIST_FIRST(&self->buckets[index])) != NULL) {
            LIST_REMOVE(call, bucket);
            yami_rpc_call_free(&call);
        }
    }
    yami_heap_clear(&self->timers);
    yami_free(self->buckets);
    yami_free(self->answered);
    memset(self, 0, sizeof *self);
}

yami_rpc_call_t *
yami_rpc_core_find(const yami_rpc_core_t *self, uint64_t number)
{
    yami_rpc_call_t *call = NULL;
    LIST_FOREACH(call, &self->buckets[number % YAMI_RPC_BUCKETS], bucket)
    {
        if (call->number == number) {
            return call;
        }
    }
    return NULL;
}

//  -- Timers

static bool
s_is_current(const yami_rpc_core_t *self, const yami_heap_item_t *item)
{
    const yami_rpc_call_t *call = yami_rpc_core_find(self, item->id);
    return call != NULL && call->state != YAMI_RPC_DONE &&
           (item->when == call->deadline_ms ||
            (call->state == YAMI_RPC_PAUSED && item->when == call->due_ms));
}

//  Drops stale timers once most of them are: calls usually end long before their deadline.
static void
s_sweep_timers(yami_rpc_core_t *self)
{
    if (self->timers.count < 3 * self->count + TIMER_SLACK) {
        return;
    }
    yami_heap_t kept;
    yami_heap_init(&kept, self->timers.limit);
    for (size_t index = 0; index < self->timers.count; index++) {
        const yami_heap_item_t *item = &self->timers.items[index];
        if (s_is_current(self, item) && yami_heap_push(&kept, item->when, item->id) == -1) {
            yami_heap_clear(&kept); //  no memory: another time
            return;
        }
    }
    yami_heap_clear(&self->timers);
    self->timers = kept;
}

static int
s_push_timer(yami_rpc_core_t *self, int64_t when_ms, uint64_t number)
{
    s_sweep_timers(self);
    return yami_heap_push(&self->timers, when_ms, number);
}

void
yami_rpc_core_pause(yami_rpc_core_t *self, yami_rpc_call_t *call, int64_t due_ms)
{
    if (s_push_timer(self, due_ms, call->number) == -1) {
        yami_rpc_core_place(self, call);
        return;
    }
    call->state = YAMI_RPC_PAUSED;
    call->due_ms = due_ms;
    TAILQ_INSERT_TAIL(&self->paused, call, link);
}

static void
s_time_out(yami_rpc_core_t *self, yami_rpc_call_t *call)
{
    const char *text = call->state == YAMI_RPC_WAITING ? "no server was there in time"
                       : call->attempt == 0            ? "no server took it in time"
                                                       : "no answer came in time";
    self->stats.timeouts++;
    yami_rpc_core_leave(self, call);
    yami_rpc_core_finish(self, call, YAM_STATUS_TIMEOUT, yami_slice_text(text), NULL, NULL);
}

int64_t
yami_rpc_core_turn(yami_rpc_core_t *self, int64_t now_ms, size_t index)
{
    yami_heap_item_t item;
    while (yami_heap_pop_due(&self->timers, now_ms, &item)) {
        yami_rpc_call_t *call = yami_rpc_core_find(self, item.id);
        if (call == NULL || call->state == YAMI_RPC_DONE) {
            continue;
        }
        if (call->deadline_ms <= now_ms) {
            s_time_out(self, call);
        } else if (call->state == YAMI_RPC_PAUSED && call->due_ms <= now_ms) {
            yami_rpc_core_leave(self, call);
            yami_rpc_core_place(self, call);
        }
    }
    int64_t due_ms = yami_rpc_core_watch(self, now_ms, index);
    const yami_heap_item_t *first = yami_heap_peek(&self->timers);
    return first != NULL && first->when < due_ms ? first->when : due_ms;
}

//  -- From state to state

void
yami_rpc_core_leave(yami_rpc_core_t *self, yami_rpc_call_t *call)
{
    yami_rpc_server_t *server = &self->servers[call->server];
    switch (call->state) {
    case YAMI_RPC_WAITING:
        TAILQ_REMOVE(&self->waiting, call, link);
        break;
    case YAMI_RPC_PAUSED:
        TAILQ_REMOVE(&self->paused, call, link);
        break;
    case YAMI_RPC_QUEUED:
        TAILQ_REMOVE(&server->queued, call, link);
        server->load--;
        break;
    case YAMI_RPC_SENT:
        TAILQ_REMOVE(&server->sent, call, link);
        server->load--;
        break;
    default:
        YAM_ASSERT(false); //  (2)
    }
}

static yami_rpc_server_t *
s_choose(yami_rpc_core_t *self, const yami_rpc_call_t *call, bool may_repeat)
{
    yami_rpc_server_t *best = NULL;
    for (size_t index = 0; index < self->config.servers; index++) {
        yami_rpc_server_t *server = &self->servers[index];
        bool is_repeated = call->attempt > 0 && index == call->server;
        if (server->is_alive && (may_repeat || !is_repeated) &&
            (best == NULL || server->load < best->load)) {
            best = server;
        }
    }
    return best;
}

bool
yami_rpc_core_has_other(const yami_rpc_core_t *self, const yami_rpc_call_t *call)
{
    return s_choose((yami_rpc_core_t *) self, call, false) != NULL;
}

void
yami_rpc_core_place(yami_rpc_core_t *self, yami_rpc_call_t *call)
{
    yami_rpc_server_t *server = s_choose(self, call, false);
    server = server != NULL ? server : s_choose(self, call, true);
    if (server == NULL) {
        call->state = YAMI_RPC_WAITING; //  (3)
        TAILQ_INSERT_TAIL(&self->waiting, call, link);
        return;
    }
    call->server = (size_t) (server - self->servers);
    call->state = YAMI_RPC_QUEUED;
    TAILQ_INSERT_TAIL(&server->queued, call, link);
    server->load++;
}

//  The answer, unless that would be more than may wait to be taken.
static void
s_keep_answer(yami_rpc_core_t *self, yami_rpc_call_t *call, const yami_record_t *record,
              yami_block_t *block)
{
    uint64_t size = block->size;
    if (self->answer_bytes > 0 && self->answer_bytes + size > self->config.bytes) {
        call->status = YAM_STATUS_TOO_BIG;
        call->text = yami_strdup("more bytes of answers wait to be taken than window-bytes allows");
        return;
    }
    call->answer = yami_message_received(NULL, yami_block_ref(block), record);
    call->size = size;
    self->answer_bytes += size;
}

void
yami_rpc_core_finish(yami_rpc_core_t *self, yami_rpc_call_t *call, yam_status_t status,
                     yami_slice_t text, const yami_record_t *record, yami_block_t *block)
{
    YAM_ASSERT(call->state != YAMI_RPC_DONE); //  (2)
    call->state = YAMI_RPC_DONE;
    call->status = status;
    self->unfinished--;
    self->bytes -= call->size;
    call->size = 0;
    yam_message_destroy(&call->request);
    if (record != NULL) {
        s_keep_answer(self, call, record, block);
    }
    if (call->text == NULL && text.size > 0) {
        call->text = yami_alloc(YAMI_LIMIT_TEXT + 1);
        memcpy(call->text, text.data, text.size < YAMI_LIMIT_TEXT ? text.size : YAMI_LIMIT_TEXT);
    }
    if (call->reply != NULL) {
        TAILQ_INSERT_TAIL(&self->done, call, link);
    }
}

//  -- Calls

//  0, or -1 with errno EAGAIN.
static int
s_check_room(const yami_rpc_core_t *self, size_t size)
{
    if (self->count < self->config.calls &&
        (self->bytes == 0 || self->bytes + size <= self->config.bytes)) {
        return 0;
    }
    return yami_fail(EAGAIN,
                     "%llu calls of %llu bytes have no outcome yet (wait, or raise window= and "
                     "window-bytes=)",
                     (unsigned long long) self->count, (unsigned long long) self->bytes);
}

uint64_t
yami_rpc_core_add(yami_rpc_core_t *self, int64_t now_ms, yam_message_t **request_p,
                  int64_t deadline_ms, yam_rpc_reply_fn reply, void *arg)
{
    yam_message_t *request = *request_p;
    size_t size = request->record.body.size + request->record.properties.size + sizeof *request +
                  sizeof(yami_rpc_call_t);
    YAM_ASSERT(deadline_ms > now_ms);
    if (s_check_room(self, size) == -1) {
        return 0;
    }
    uint64_t number = self->latest + 1;
    if (deadline_ms != INT64_MAX && s_push_timer(self, deadline_ms, number) == -1) { //  (4)
        (void) yami_fail(ENOMEM, "out of memory for the deadline of a call");
        return 0;
    }
    yami_rpc_call_t *call = yami_alloc(sizeof *call);
    *call = (yami_rpc_call_t) {.number = number,
                               .request = request,
                               .reply = reply,
                               .arg = arg,
                               .size = size,
                               .deadline_ms = deadline_ms,
                               .retries = self->config.retries,
                               .free_tries = YAMI_RPC_FREE_TRIES};
    *request_p = NULL;
    self->latest = number;
    self->answered[number % YAMI_RPC_ANSWERED / 64] &= ~(UINT64_C(1) << number % 64);
    self->count++;
    self->unfinished++;
    self->bytes += size;
    self->stats.calls++;
    LIST_INSERT_HEAD(&self->buckets[number % YAMI_RPC_BUCKETS], call, bucket);
    yami_rpc_core_place(self, call);
    return number;
}

//  Out of the table.
static void
s_remove(yami_rpc_core_t *self, yami_rpc_call_t *call)
{
    LIST_REMOVE(call, bucket);
    self->count--;
    if (call->state == YAMI_RPC_DONE) {
        self->answer_bytes -= call->size;
    } else {
        self->unfinished--;
        self->bytes -= call->size;
    }
}

//  Has its server told, unless too many wait for that already: then it is only forgotten.
static void
s_withdraw(yami_rpc_core_t *self, const yami_rpc_call_t *call)
{
    yami_rpc_server_t *server = &self->servers[call->server];
    if (call->state == YAMI_RPC_SENT && !self->config.is_relayed &&
        server->withdrawal_count < YAMI_RPC_WITHDRAWALS) {
        server->withdrawals[server->withdrawal_count++] =
            (yami_rpc_correlation_t) {.number = call->number, .attempt = call->attempt};
    }
}

int
yami_rpc_core_cancel(yami_rpc_core_t *self, uint64_t number)
{
    yami_rpc_call_t *call = yami_rpc_core_find(self, number);
    if (call == NULL) {
        return yami_fail(ENOENT, "there is no such call, or its outcome was told already");
    }
    if (call->state != YAMI_RPC_DONE) {
        self->stats.cancelled++;
        s_withdraw(self, call);
        yami_rpc_core_leave(self, call);
    } else if (call->reply != NULL) {
        TAILQ_REMOVE(&self->done, call, link); //  an outcome that nobody will hear of
    }
    s_remove(self, call);
    yami_rpc_call_free(&call);
    return 0;
}

void
yami_rpc_core_end(yami_rpc_core_t *self, yam_status_t status, const char *text)
{
    for (size_t index = 0; index < YAMI_RPC_BUCKETS; index++) {
        yami_rpc_call_t *call = NULL;
        LIST_FOREACH(call, &self->buckets[index], bucket)
        {
            if (call->state != YAMI_RPC_DONE) {
                self->stats.failed++;
                yami_rpc_core_leave(self, call);
                yami_rpc_core_finish(self, call, status, yami_slice_text(text), NULL, NULL);
            }
        }
    }
}

yami_rpc_call_t *
yami_rpc_core_take(yami_rpc_core_t *self)
{
    yami_rpc_call_t *call = TAILQ_FIRST(&self->done);
    if (call != NULL) {
        TAILQ_REMOVE(&self->done, call, link);
        s_remove(self, call);
    }
    return call;
}

void
yami_rpc_core_take_future(yami_rpc_core_t *self, yami_rpc_call_t *call)
{
    YAM_ASSERT(call->state == YAMI_RPC_DONE && call->reply == NULL);
    s_remove(self, call);
}

//  -- What must always hold

static size_t
s_check_list(const struct yami_rpc_list *list, yami_rpc_state_t state, size_t server)
{
    size_t count = 0;
    const yami_rpc_call_t *call;
    TAILQ_FOREACH(call, list, link)
    {
        YAM_ASSERT(call->state == state);
        YAM_ASSERT(server == SIZE_MAX || call->server == server);
        YAM_ASSERT((call->request == NULL) == (state == YAMI_RPC_DONE));
        count++;
    }
    return count;
}

static size_t
s_check_servers(const yami_rpc_core_t *self)
{
    size_t count = 0;
    bool is_any_alive = false;
    for (size_t index = 0; index < self->config.servers; index++) {
        const yami_rpc_server_t *server = &self->servers[index];
        size_t queued = s_check_list(&server->queued, YAMI_RPC_QUEUED, index);
        size_t sent = s_check_list(&server->sent, YAMI_RPC_SENT, index);
        YAM_ASSERT(server->load == queued + sent);         //  (1)
        YAM_ASSERT(server->is_alive || server->load == 0); //  (3)
        YAM_ASSERT(server->withdrawal_count <= YAMI_RPC_WITHDRAWALS);
        is_any_alive = is_any_alive || server->is_alive;
        count += queued + sent;
    }
    YAM_ASSERT(!is_any_alive || TAILQ_EMPTY(&self->waiting)); //  (3)
    return count;
}

void
yami_rpc_core_check(const yami_rpc_core_t *self)
{
    size_t unfinished = s_check_servers(self);
    unfinished += s_check_list(&self->waiting, YAMI_RPC_WAITING, SIZE_MAX);
    unfinished += s_check_list(&self->paused, YAMI_RPC_PAUSED, SIZE_MAX);
    YAM_ASSERT(unfinished == self->unfinished); //  (1)
    YAM_ASSERT(s_check_list(&self->done, YAMI_RPC_DONE, SIZE_MAX) <= self->count - unfinished);
    const yam_rpc_stats_t *stats = &self->stats;
    YAM_ASSERT(stats->calls == stats->replied + stats->timeouts + stats->failed + stats->cancelled +
                                   unfinished); //  (5)
    size_t timers = 0;
    size_t wanted = 0;
    uint64_t bytes = 0;
    for (size_t index = 0; index < self->timers.count; index++) {
        const yami_rpc_call_t *call = yami_rpc_core_find(self, self->timers.items[index].id);
        timers += call != NULL && call->state != YAMI_RPC_DONE &&
                  self->timers.items[index].when == call->deadline_ms;
    }
    for (size_t index = 0; index < YAMI_RPC_BUCKETS; index++) {
        const yami_rpc_call_t *call = NULL;
        LIST_FOREACH(call, &self->buckets[index], bucket)
        {
            wanted += call->state != YAMI_RPC_DONE && call->deadline_ms != INT64_MAX;
            bytes += call->size;
        }
    }
    YAM_ASSERT(timers >= wanted); //  (4)
    YAM_ASSERT(bytes == self->bytes + self->answer_bytes);
    yami_heap_check(&self->timers);
}
