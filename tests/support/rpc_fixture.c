//  rpc_fixture - see the header.

#include "rpc_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_monitor.h"
#include "yami_rpc.h"
#include "yami_rpc_server.h"

#define HELD_LIMIT 4096
#define OPEN_LIMIT 8u

yam_t *rpc_yam;

static yami_monitor_t s_monitor; //  guards the rest
static yam_rpc_request_t *s_held[HELD_LIMIT];
static size_t s_held_count;
static rpc_outcomes_t s_outcomes;

//  What is open, by the thread of the test; NULL: free.
static yam_rpc_t *s_callers[OPEN_LIMIT];
static yam_rpc_server_t *s_servers[OPEN_LIMIT];

int
rpc_setup(void **state)
{
    (void) state;
    yami_monitor_init(&s_monitor);
    s_held_count = 0;
    memset(&s_outcomes, 0, sizeof s_outcomes);
    rpc_yam = yam_new();
    return rpc_yam ? 0 : -1;
}

int
rpc_teardown(void **state)
{
    (void) state;
    rpc_close_all();
    yam_destroy(&rpc_yam);
    yami_monitor_destroy(&s_monitor);
    return 0;
}

//  object, which is there.
static void *
s_checked(void *object)
{
    if (!object) {
        fail_msg("%s", yam_error());
    }
    return object;
}

yam_message_t *
rpc_message(const char *text)
{
    return s_checked(yam_message_new(text, strlen(text)));
}

//  -- What is open

yam_rpc_server_t *
rpc_keep_server(yam_rpc_server_t *server)
{
    size_t index = 0;
    (void) s_checked(server);
    while (s_servers[index] != NULL) {
        YAM_ASSERT(++index < OPEN_LIMIT);
    }
    return s_servers[index] = server;
}

yam_rpc_t *
rpc_keep(yam_rpc_t *rpc)
{
    size_t index = 0;
    (void) s_checked(rpc);
    while (s_callers[index] != NULL) {
        YAM_ASSERT(++index < OPEN_LIMIT);
    }
    return s_callers[index] = rpc;
}

uint64_t
rpc_close_server(yam_rpc_server_t **server_p, int timeout_ms)
{
    for (size_t index = 0; index < OPEN_LIMIT; index++) {
        s_servers[index] = s_servers[index] == *server_p ? NULL : s_servers[index];
    }
    return yam_rpc_server_close(server_p, timeout_ms);
}

uint64_t
rpc_close(yam_rpc_t **rpc_p, int timeout_ms)
{
    for (size_t index = 0; index < OPEN_LIMIT; index++) {
        s_callers[index] = s_callers[index] == *rpc_p ? NULL : s_callers[index];
    }
    return yam_rpc_close(rpc_p, timeout_ms);
}

void
rpc_close_all(void)
{
    for (size_t index = 0; index < OPEN_LIMIT; index++) {
        (void) yam_rpc_close(&s_callers[index], 0);
        (void) yam_rpc_server_close(&s_servers[index], 0);
    }
    (void) rpc_release();
}

//  -- The service

//  The text behind the first word; NULL when that is another one.
static const char *
s_argument(const char *text, const char *word)
{
    size_t size = strlen(word);
    if (strncmp(text, word, size) != 0) {
        return NULL;
    }
    return text + size + (text[size] == ' ' ? 1 : 0);
}

static void
s_answer(yam_rpc_request_t *request, const char *text)
{
    yam_message_t *body = rpc_message(text);
    (void) yam_rpc_reply(&request, YAM_STATUS_OK, NULL, &body);
}

static void
s_hold(yam_rpc_request_t *request)
{
    yami_monitor_lock(&s_monitor);
    YAM_ASSERT(s_held_count < HELD_LIMIT);
    s_held[s_held_count++] = request;
    yami_monitor_tell(&s_monitor);
    yami_monitor_unlock(&s_monitor);
}

static void
s_handle(void *arg, yam_rpc_request_t *request)
{
    char text[2048];
    yam_message_t *message = yam_rpc_request_message(request);
    const char *argument;
    (void) arg;
    (void) snprintf(text, sizeof text, "%.*s", (int) yam_message_size(message),
                    (const char *) yam_message_body(message));
    if ((argument = s_argument(text, "echo")) != NULL) {
        s_answer(request, argument);
    } else if ((argument = s_argument(text, "fail")) != NULL) {
        (void) yam_rpc_reply(&request, YAM_STATUS_CONFLICT, argument, NULL);
    } else if (s_argument(text, "busy") != NULL) {
        (void) yam_rpc_reply(&request, YAM_STATUS_FULL, "busy", NULL);
    } else if (s_argument(text, "id") != NULL) {
        (void) snprintf(text, sizeof text, "%s", yam_message_get(message, "id"));
        s_answer(request, text);
    } else {
        s_hold(request);
    }
}

yam_rpc_server_t *
rpc_serve(const char *endpoint)
{
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    yam_rpc_server_t *server;
    do { //  who was bound there before may still be about to leave
        server = yam_rpc_serve(rpc_yam, "orders", endpoint, s_handle, NULL);
    } while (server == NULL && errno == EADDRINUSE && yami_clock_mono_ms() < until_ms);
    return rpc_keep_server(server);
}

void
rpc_wait_held(size_t count)
{
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    yami_monitor_lock(&s_monitor);
    while (s_held_count < count && yami_monitor_wait(&s_monitor, until_ms)) {
    }
    bool is_there = s_held_count >= count;
    yami_monitor_unlock(&s_monitor);
    assert_true(is_there);
}

yam_rpc_request_t *
rpc_take_held(void)
{
    yam_rpc_request_t *request = NULL;
    yami_monitor_lock(&s_monitor);
    if (s_held_count > 0) {
        request = s_held[0];
        s_held_count--;
        for (size_t index = 0; index < s_held_count; index++) {
            s_held[index] = s_held[index + 1];
        }
    }
    yami_monitor_unlock(&s_monitor);
    return request;
}

size_t
rpc_release(void)
{
    yam_rpc_request_t *request;
    size_t count = 0;
    for (; (request = rpc_take_held()) != NULL; count++) {
        s_answer(request, "released");
    }
    return count;
}

//  -- Its callers

yam_rpc_t *
rpc_caller_of(const char *endpoint)
{
    return rpc_keep(yam_rpc_new(rpc_yam, "orders", endpoint));
}

yam_rpc_t *
rpc_caller(const char *endpoint, const char *options)
{
    char text[600];
    const char *patience = strstr(options, "heartbeat=") != NULL ? ""
                           : options[0] == '\0'                  ? "?heartbeat=60s"
                                                                 : "&heartbeat=60s";
    int length = snprintf(text, sizeof text, ">%s%s%s", endpoint, options, patience);
    assert_in_range(length, 1, sizeof text - 1);
    return rpc_caller_of(text);
}

void
rpc_assert_answer(yam_rpc_t *rpc, const char *text, const char *expected)
{
    yam_message_t *request = rpc_message(text);
    yam_message_t *answer = s_checked(yam_rpc_ask(rpc, &request, PATIENCE_MS, NULL));
    assert_null(request);
    assert_int_equal(yam_message_size(answer), strlen(expected));
    assert_memory_equal(yam_message_body(answer), expected, strlen(expected));
    yam_message_destroy(&answer);
}

static void
s_hear(void *arg, yam_status_t status, const char *text, yam_message_t **reply_p)
{
    (void) arg;
    yami_monitor_lock(&s_monitor);
    s_outcomes.told++;
    s_outcomes.by_status[status < 32 ? status : 31]++;
    (void) snprintf(s_outcomes.text, sizeof s_outcomes.text, "%s", text);
    s_outcomes.body[0] = '\0';
    if (*reply_p != NULL) {
        (void) snprintf(s_outcomes.body, sizeof s_outcomes.body, "%.*s",
                        (int) yam_message_size(*reply_p),
                        (const char *) yam_message_body(*reply_p));
    }
    yami_monitor_tell(&s_monitor);
    yami_monitor_unlock(&s_monitor);
}

uint64_t
rpc_call(yam_rpc_t *rpc, const char *text, int timeout_ms)
{
    yam_message_t *request = rpc_message(text);
    uint64_t call = yam_rpc_call(rpc, &request, timeout_ms, s_hear, NULL);
    if (call == 0) {
        fail_msg("%s", yam_error());
    }
    return call;
}

rpc_outcomes_t
rpc_heard(uint64_t count)
{
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    yami_monitor_lock(&s_monitor);
    while (s_outcomes.told < count && yami_monitor_wait(&s_monitor, until_ms)) {
    }
    rpc_outcomes_t outcomes = s_outcomes;
    yami_monitor_unlock(&s_monitor);
    assert_int_equal(outcomes.told, count);
    return outcomes;
}

bool
rpc_wait_held_or_heard(uint64_t count)
{
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    yami_monitor_lock(&s_monitor);
    while (s_held_count == 0 && s_outcomes.told < count &&
           yami_monitor_wait(&s_monitor, until_ms)) {
    }
    bool is_held = s_held_count > 0;
    yami_monitor_unlock(&s_monitor);
    return is_held;
}

rpc_outcomes_t
rpc_heard_releasing(uint64_t count)
{
    while (rpc_wait_held_or_heard(count)) {
        (void) rpc_release();
    }
    return rpc_heard(count);
}

//  -- Counters: whoever changes one tells the monitor that guards it

void
rpc_wait_count(yam_rpc_t *rpc, size_t offset, uint64_t count)
{
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    const uint64_t *counter = (const uint64_t *) ((const char *) &rpc->core.stats + offset);
    yami_monitor_lock(&rpc->monitor);
    while (*counter < count && yami_monitor_wait(&rpc->monitor, until_ms)) {
    }
    bool is_there = *counter >= count;
    yami_monitor_unlock(&rpc->monitor);
    assert_true(is_there);
}

//  Under the lock.
static uint64_t
s_alive(const yam_rpc_t *rpc)
{
    uint64_t alive = 0;
    for (size_t index = 0; index < rpc->core.config.servers; index++) {
        alive += rpc->core.servers[index].is_alive ? 1 : 0;
    }
    return alive;
}

void
rpc_wait_alive(yam_rpc_t *rpc, uint64_t count)
{
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    yami_monitor_lock(&rpc->monitor);
    while (s_alive(rpc) != count && yami_monitor_wait(&rpc->monitor, until_ms)) {
    }
    uint64_t alive = s_alive(rpc);
    yami_monitor_unlock(&rpc->monitor);
    assert_int_equal(alive, count);
}

void
rpc_wait_server_count(yam_rpc_server_t *server, size_t offset, uint64_t count)
{
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    const uint64_t *counter = (const uint64_t *) ((const char *) &server->desk.stats + offset);
    yami_monitor_lock(&server->monitor);
    while (*counter < count && yami_monitor_wait(&server->monitor, until_ms)) {
    }
    bool is_there = *counter >= count;
    yami_monitor_unlock(&server->monitor);
    assert_true(is_there);
}
