//  CURVE: the right keys come in, others do not, and nobody stumbles over a certificate half set
//  up.

#include <czmq.h>
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "yam_error.h"
#include "yam_pull.h"
#include "yam_push.h"
#include "yam_rpc.h"
#include "yam_rpc_server.h"
#include "yami_base.h"
#include "yami_credentials.h"
#include "yami_fork.h"
#include "yami_log.h"
#include "yami_monitor.h"
#include "yami_socket.h"

#define PATIENCE_MS 60000 //  how long a failure takes to show

//  Certificates in a folder of their own: server, friend and stranger; friend's public one in
//  clients/.
typedef struct {
    char folder[64];
    char server[128];
    char friend[128];
    char stranger[128];
    char clients[128];
    char server_key[41];
} s_keys_t;

static void
s_make(const char *path, char *public_key)
{
    zcert_t *certificate = zcert_new();
    assert_int_equal(zcert_save(certificate, path), 0);
    if (public_key) {
        (void) snprintf(public_key, 41, "%s", zcert_public_txt(certificate));
    }
    zcert_destroy(&certificate);
}

static int
s_setup(void **state)
{
    s_keys_t *keys = yami_alloc(sizeof *keys);
    (void) snprintf(keys->folder, sizeof keys->folder, P_tmpdir "/yam-test-curve-XXXXXX");
    assert_non_null(mkdtemp(keys->folder));
    (void) snprintf(keys->server, sizeof keys->server, "%s/server", keys->folder);
    (void) snprintf(keys->friend, sizeof keys->friend, "%s/friend", keys->folder);
    (void) snprintf(keys->stranger, sizeof keys->stranger, "%s/stranger", keys->folder);
    (void) snprintf(keys->clients, sizeof keys->clients, "%s/clients", keys->folder);
    s_make(keys->server, keys->server_key);
    s_make(keys->friend, NULL);
    s_make(keys->stranger, NULL);
    assert_int_equal(mkdir(keys->clients, 0700), 0);
    zcert_t *certificate = zcert_load(keys->friend);
    char path[200];
    (void) snprintf(path, sizeof path, "%s/friend", keys->clients);
    assert_int_equal(zcert_save_public(certificate, path), 0);
    zcert_destroy(&certificate);
    yami_log_set_level(YAMI_LOG_ERROR);
    *state = keys;
    return 0;
}

static int
s_teardown(void **state)
{
    s_keys_t *keys = *state;
    static const char *const names[] = {"server", "friend", "stranger", "clients/friend"};
    char path[200];
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        (void) snprintf(path, sizeof path, "%s/%s", keys->folder, names[index]);
        (void) remove(path);
        (void) snprintf(path, sizeof path, "%s/%s_secret", keys->folder, names[index]);
        (void) remove(path);
    }
    (void) remove(keys->clients);
    (void) remove(keys->folder);
    yami_free(keys);
    return 0;
}

static yam_t *
s_yam_with(const char *certificate)
{
    yam_t *yam = yam_new();
    if (yam_set_certificate(yam, certificate) == -1) {
        fail_msg("%s", yam_error());
    }
    return yam;
}

static void
test_a_message_travels_encrypted(void **state)
{
    s_keys_t *keys = *state;
    yam_t *server = s_yam_with(keys->server);
    yam_t *client = s_yam_with(keys->friend);
    yam_pull_t *pull = yam_pull_new(server, "q", "@tcp://127.0.0.1:*");
    assert_non_null(pull);
    char endpoint[400];
    (void) snprintf(endpoint, sizeof endpoint, ">%s?server-key=%s", yam_pull_endpoint(pull),
                    keys->server_key);
    yam_push_t *push = yam_push_new(client, "q", endpoint);
    assert_non_null(push);
    assert_int_equal(yam_push_send(push, "x", 1), 0);
    yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
    assert_non_null(message);
    yam_message_destroy(&message);
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
    yam_destroy(&client);
    yam_destroy(&server);
}

static void
s_answer(void *arg, yam_rpc_request_t *request)
{
    (void) arg;
    (void) yam_rpc_reply(&request, YAM_STATUS_OK, NULL, NULL);
}

static void
test_a_call_travels_encrypted_and_a_plain_one_is_not_heard(void **state)
{
    s_keys_t *keys = *state;
    yam_t *yam = s_yam_with(keys->server);
    yam_t *client = s_yam_with(keys->friend);
    yam_t *plain = yam_new();
    yam_rpc_server_t *server = yam_rpc_serve(yam, "orders", "@tcp://127.0.0.1:*", s_answer, NULL);
    char endpoint[400];
    (void) snprintf(endpoint, sizeof endpoint, ">%s?server-key=%s", yam_rpc_server_endpoint(server),
                    keys->server_key);
    yam_rpc_t *caller = yam_rpc_new(client, "orders", endpoint);
    endpoint[strcspn(endpoint, "?")] = '\0';
    yam_rpc_t *stranger = yam_rpc_new(plain, "orders", endpoint);
    assert_non_null(caller);
    yam_message_t *request = yam_message_new("", 0);
    uint64_t unheard = yam_rpc_call(stranger, &request, -1, NULL, NULL);
    for (int round = 0; round < 200; round++) { //  so often it would have been its turn
        request = yam_message_new("", 0);
        yam_message_t *answer = yam_rpc_ask(caller, &request, PATIENCE_MS, NULL);
        assert_non_null(answer);
        yam_message_destroy(&answer);
    }
    assert_null(yam_rpc_wait(stranger, unheard, 0, NULL));
    assert_int_equal(errno, EAGAIN);
    yam_rpc_server_stats_t stats;
    yam_rpc_server_stats(server, &stats);
    yam_rpc_stats_t asked;
    yam_rpc_stats(caller, &asked);
    assert_in_range(stats.requests, 200, 200 + asked.retries);
    assert_int_equal(yam_rpc_close(&stranger, 0), 1);
    yam_rpc_destroy(&caller);
    yam_rpc_server_destroy(&server);
    yam_destroy(&plain);
    yam_destroy(&client);
    yam_destroy(&yam);
}

static void
test_certificates_half_set_up_are_refused(void **state)
{
    s_keys_t *keys = *state;
    yam_t *yam = yam_new();
    assert_int_equal(yam_set_certificate(yam, "/nowhere/at/all"), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(yam_set_certificate(yam, NULL), -1);
    assert_int_equal(errno, EINVAL);
    char path[200];
    (void) snprintf(path, sizeof path, "%s/friend", keys->clients);
    assert_int_equal(yam_set_certificate(yam, path), -1); //  public only
    assert_int_equal(errno, EINVAL);
    char endpoint[400];
    (void) snprintf(endpoint, sizeof endpoint, ">tcp://127.0.0.1:1?server-key=%s",
                    keys->server_key);
    assert_null(yam_push_new(yam, "q", endpoint)); //  no certificate of its own
    assert_int_equal(errno, EINVAL);
    assert_int_equal(yam_set_certificate(yam, keys->server), 0);
    assert_null(yam_push_new(yam, "q", ">tcp://127.0.0.1:1")); //  no server-key
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(yam_error(), "server-key"));
    (void) snprintf(endpoint, sizeof endpoint, "@tcp://127.0.0.1:*?server-key=%s",
                    keys->server_key);
    assert_null(yam_push_new(yam, "q", endpoint)); //  who binds needs none
    assert_int_equal(errno, EINVAL);
    yam_pull_t *pull = yam_pull_new(yam, "q", "@inproc://no-curve-within-a-process");
    yam_push_t *push = yam_push_new(yam, "q", ">inproc://no-curve-within-a-process");
    assert_non_null(push);
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
    yam_destroy(&yam);
}

//  -- Lists of clients --------------------------------------------------------------------------

//  A served PULL with a list of clients, as a relay has it.
typedef struct {
    yam_t *yam;
    yami_credentials_t *credentials;
    void *pull;
    char endpoint[YAMI_LIMIT_ADDRESS + 1];
} s_server_t;

static void
s_serve(s_server_t *self, const s_keys_t *keys, const char *clients)
{
    yami_endpoint_t endpoint;
    assert_int_equal(yami_endpoint_parse(&endpoint, "@tcp://127.0.0.1:*", true), 0);
    self->yam = yam_new();
    self->credentials = yami_credentials_new(self->yam, keys->server, clients);
    if (!self->credentials) {
        fail_msg("%s", yam_error());
    }
    self->pull = yami_context_socket(self->yam, ZMQ_PULL, &endpoint.options);
    yami_credentials_serve(self->credentials, self->pull);
    int timeout_ms = PATIENCE_MS;
    (void) zmq_setsockopt(self->pull, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    assert_int_equal(
        yami_context_attach(self->pull, &endpoint, self->endpoint, sizeof self->endpoint), 0);
}

static void
s_stop(s_server_t *self)
{
    yami_socket_close(self->pull);
    yami_credentials_destroy(&self->credentials);
    yami_credentials_destroy(&self->credentials);
    yam_destroy(&self->yam);
}

//  A client with that certificate that has something to say. Who was refused before it said it has
//  nobody to say it to: libzmq does not try again.
static yam_push_t *
s_knock(const s_server_t *server, const s_keys_t *keys, yam_t *yam)
{
    char endpoint[400];
    (void) snprintf(endpoint, sizeof endpoint,
                    ">%s?framing=raw&linger=0&send-timeout=0&server-key=%s", server->endpoint,
                    keys->server_key);
    yam_push_t *push = yam_push_new(yam, "q", endpoint);
    assert_non_null(push);
    assert_true(yam_push_send(push, "hello", 5) == 0 || errno == EAGAIN);
    return push;
}

static void
test_a_listed_client_comes_in_and_a_stranger_does_not(void **state)
{
    s_keys_t *keys = *state;
    s_server_t server;
    s_serve(&server, keys, keys->clients);
    yam_t *stranger = s_yam_with(keys->stranger);
    yam_push_t *refused = s_knock(&server, keys, stranger);
    zmq_pollitem_t item = {.socket = server.pull, .events = ZMQ_POLLIN};
    for (int round = 0; yami_credentials_denied(server.credentials) == 0; round++) {
        assert_int_equal(zmq_poll(&item, 1, 10), 0);
        assert_true(round < PATIENCE_MS / 10);
    }
    yam_t *friend = s_yam_with(keys->friend);
    yam_push_t *allowed = s_knock(&server, keys, friend);
    char body[16];
    assert_int_equal(zmq_recv(server.pull, body, sizeof body, 0), 5);
    assert_int_equal(zmq_poll(&item, 1, 0), 0); //  the stranger's never came
    yam_push_destroy(&allowed);
    yam_push_destroy(&refused);
    yam_destroy(&friend);
    yam_destroy(&stranger);
    s_stop(&server);
}

static void
test_without_a_list_every_key_comes_in(void **state)
{
    s_keys_t *keys = *state;
    s_server_t server;
    s_serve(&server, keys, "");
    yam_t *stranger = s_yam_with(keys->stranger);
    yam_push_t *push = s_knock(&server, keys, stranger);
    char body[16];
    assert_int_equal(zmq_recv(server.pull, body, sizeof body, 0), 5);
    yam_push_destroy(&push);
    yam_destroy(&stranger);
    s_stop(&server);
}

static void
test_a_list_must_be_a_directory_and_signals_are_left_alone(void **state)
{
    s_keys_t *keys = *state;
    struct sigaction before;
    struct sigaction after;
    (void) sigaction(SIGINT, NULL, &before);
    yam_t *yam = yam_new();
    assert_null(yami_credentials_new(yam, keys->server, keys->server));
    assert_int_equal(errno, ENOENT);
    assert_null(yami_credentials_new(yam, "/nowhere", keys->clients));
    assert_int_equal(errno, ENOENT);
    yami_credentials_t *credentials = yami_credentials_new(yam, keys->server, keys->clients);
    assert_non_null(credentials);
    yami_credentials_destroy(&credentials);
    yam_destroy(&yam);
    (void) sigaction(SIGINT, NULL, &after);
    assert_true(after.sa_handler == before.sa_handler);
}

//  The application's own questions, malformed ones too, get an answer.
static void
test_the_doorman_answers_everything(void **state)
{
    s_keys_t *keys = *state;
    s_server_t server;
    s_serve(&server, keys, keys->clients);
    void *socket = zmq_socket(yam_zmq_context(server.yam), ZMQ_REQ);
    int timeout_ms = PATIENCE_MS;
    (void) zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    (void) zmq_setsockopt(socket, ZMQ_LINGER, &(int) {0}, sizeof(int));
    assert_int_equal(zmq_connect(socket, "inproc://zeromq.zap.01"), 0);
    for (int parts = 1; parts < 12; parts++) {
        for (int part = 1; part <= parts; part++) {
            (void) zmq_send(socket, "yam-x", 5, part < parts ? ZMQ_SNDMORE : 0);
        }
        char answer[6][64];
        for (int part = 0; part < 6; part++) {
            int size = zmq_recv(socket, answer[part], sizeof answer[part], 0);
            assert_true(size >= 0);
        }
        assert_memory_equal(answer[2], parts == 7 ? "400" : "500", 3);
    }
    (void) zmq_close(socket);
    s_stop(&server);
}

//  A doorman that is made while the engine opens the socket of a push.
typedef struct {
    yam_t *yam;
    yami_monitor_t monitor;
    bool is_made; //  under the lock
    pthread_t pushing;
    yam_push_t *push;
} s_meeting_t;

static s_meeting_t s_meeting;
static atomic_bool s_is_meeting;
static atomic_bool s_is_pushing;
static sem_t s_opens; //  the push's socket
static bool s_has_opened;

static void *
s_open_push(void *arg)
{
    s_meeting_t *self = arg;
    self->push = yam_push_new(self->yam, "q", ">inproc://nobody?grade=sure&linger=0");
    return NULL;
}

//  In the place of libzmq's.
void *
zmq_socket(void *context, int type)
{
    void *(*open)(void *, int);
    *(void **) &open = dlsym(RTLD_NEXT, "zmq_socket");
    void *socket = open(context, type);
    if (type == ZMQ_DEALER && atomic_exchange(&s_is_pushing, false)) {
        (void) sem_post(&s_opens);
    }
    return socket;
}

//  In the place of libzmq's: the doorman binds, and only then is handed to the engine.
int
zmq_bind(void *socket, const char *endpoint)
{
    int (*bind)(void *, const char *);
    *(void **) &bind = dlsym(RTLD_NEXT, "zmq_bind");
    int rc = bind(socket, endpoint);
    if (atomic_exchange(&s_is_meeting, false)) {
        struct timespec until;
        (void) clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += PATIENCE_MS / 1000;
        s_is_pushing = true;
        (void) pthread_create(&s_meeting.pushing, NULL, s_open_push, &s_meeting);
        s_has_opened = sem_timedwait(&s_opens, &until) == 0;
    }
    return rc;
}

static void *
s_make_doorman(void *arg)
{
    s_meeting_t *self = arg;
    yami_doorman_t *doorman = yami_context_doorman(self->yam);
    yami_monitor_lock(&self->monitor);
    self->is_made = doorman != NULL;
    yami_monitor_tell(&self->monitor);
    yami_monitor_unlock(&self->monitor);
    return NULL;
}

static void
test_doorman_that_is_made_while_the_engine_opens_a_socket_does_not_wait_for_itself(void **state)
{
    (void) state;
    s_meeting_t *self = &s_meeting;
    pthread_t thread;
    self->yam = yam_new();
    yami_monitor_init(&self->monitor);
    (void) sem_init(&s_opens, 0, 0);
    s_is_meeting = true;
    assert_int_equal(pthread_create(&thread, NULL, s_make_doorman, self), 0);
    int64_t until_ms = yami_monitor_deadline(PATIENCE_MS);
    yami_monitor_lock(&self->monitor);
    while (!self->is_made && yami_monitor_wait(&self->monitor, until_ms)) {
    }
    bool is_made = self->is_made;
    yami_monitor_unlock(&self->monitor);
    assert_true(is_made);
    assert_true(s_has_opened);
    (void) pthread_join(thread, NULL);
    (void) pthread_join(self->pushing, NULL);
    yam_push_destroy(&self->push);
    yam_destroy(&self->yam);
    (void) sem_destroy(&s_opens);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_message_travels_encrypted, s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(test_a_call_travels_encrypted_and_a_plain_one_is_not_heard,
                                        s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(test_certificates_half_set_up_are_refused, s_setup,
                                        s_teardown),
        cmocka_unit_test_setup_teardown(test_a_listed_client_comes_in_and_a_stranger_does_not,
                                        s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(test_without_a_list_every_key_comes_in, s_setup,
                                        s_teardown),
        cmocka_unit_test_setup_teardown(test_a_list_must_be_a_directory_and_signals_are_left_alone,
                                        s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(test_the_doorman_answers_everything, s_setup, s_teardown),
        cmocka_unit_test(
            test_doorman_that_is_made_while_the_engine_opens_a_socket_does_not_wait_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
