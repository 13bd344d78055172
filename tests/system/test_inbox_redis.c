//  yam_inbox over a real Redis server: what is promised there, and what is not.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness/server.h"
#include "inbox/claims.h"
#include "yam_error.h"
#include "yam_inbox_redis.h"

static server_t s_server;
static redisContext *s_connection;
static yam_inbox_t *s_inbox;

static redisContext *
s_connect(const char *path)
{
    redisContext *connection = redisConnectUnix(path);
    assert_non_null(connection);
    if (connection->err) {
        fail_msg("%s", connection->errstr);
    }
    return connection;
}

//  Runs a command; the integer it gave, 0 for any other reply but an error.
static long long
s_run(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    redisReply *reply = redisvCommand(s_connection, format, arguments);
    va_end(arguments);
    assert_non_null(reply);
    if (reply->type == REDIS_REPLY_ERROR) {
        fail_msg("%s: %s", format, reply->str);
    }
    long long value = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return value;
}

static int
s_setup(void **state)
{
    (void) state;
    s_connection = s_connect(s_server.uri);
    (void) s_run("FLUSHALL");
    s_inbox = NULL;
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_inbox_destroy(&s_inbox);
    redisFree(s_connection);
    return 0;
}

static void
s_new(const char *options)
{
    s_inbox = opened(yam_inbox_redis_new(s_connection, options));
}

static void
s_new_fails(redisContext *connection, const char *options, int error, const char *words)
{
    yam_inbox_t *inbox = yam_inbox_redis_new(connection, options);
    int seen = errno;
    if (inbox != NULL || seen != error || strstr(yam_error(), words) == NULL) {
        fail_msg("%s: %s", strerror(seen), yam_error());
    }
}

static int
s_done(const char *id, const char *content)
{
    return yam_inbox_done_id(s_inbox, id, content, strlen(content));
}

static int
s_release(const char *id, const char *content)
{
    return yam_inbox_release_id(s_inbox, id, content, strlen(content));
}

static void
s_restart(const char *const *options)
{
    yam_inbox_destroy(&s_inbox);
    redisFree(s_connection);
    assert_true(server_start(&s_server, options));
    s_connection = s_connect(s_server.uri);
}

//  ---- What is claimed

static void
test_a_claim_is_held_until_done_and_a_duplicate_after_that(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    claim_fails(s_inbox, "a", EAGAIN, "another consumer holds");
    assert_int_equal(s_done("a", "x"), 0);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_DUPLICATE);
    assert_int_equal(claim(s_inbox, "a", "y"), YAM_CLAIM_CONFLICT);
    assert_int_equal(s_done("a", "x"), 0); //  saying it twice harms nobody
}

static void
test_a_claim_that_is_released_never_was(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    assert_int_equal(s_release("a", "x"), 0);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    assert_int_equal(s_done("a", "x"), 0);
    assert_int_equal(s_release("a", "x"), 0); //  too late: done is done
    assert_int_equal(s_release("never", "x"), 0);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_DUPLICATE);
}

static void
test_of_two_consumers_only_one_claims_and_only_it_releases(void **state)
{
    (void) state;
    s_new(NULL);
    redisContext *other = s_connect(s_server.uri);
    yam_inbox_t *second = opened(yam_inbox_redis_new(other, NULL));
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    claim_fails(second, "a", EAGAIN, "30000 ms");
    assert_int_equal(yam_inbox_release_id(second, "a", "x", 1), 0);
    claim_fails(second, "a", EAGAIN, "30000 ms");
    assert_int_equal(s_done("a", "x"), 0);
    assert_int_equal(claim(second, "a", "x"), YAM_CLAIM_DUPLICATE);
    yam_inbox_destroy(&second);
    redisFree(other);
}

static void
test_a_claim_that_ran_out_is_new_again_and_done_says_so(void **state)
{
    (void) state;
    s_new("hold=1h");
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    assert_int_equal(s_run("PEXPIRE yam_inbox:a 0"), 1); //  an hour later
    redisContext *other = s_connect(s_server.uri);
    yam_inbox_t *second = opened(yam_inbox_redis_new(other, NULL));
    assert_int_equal(claim(second, "a", "x"), YAM_CLAIM_NEW);
    assert_int_equal(s_done("a", "x"), -1);
    assert_int_equal(errno, ETIMEDOUT);
    assert_non_null(strstr(yam_error(), "hold"));
    yam_inbox_destroy(&second);
    redisFree(other);
}

static void
test_claims_go_by_themselves_held_ones_by_hold_and_done_ones_by_retention(void **state)
{
    (void) state;
    s_new("hold=10s&retention=1h&prefix=seen");
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    assert_in_range(s_run("PTTL seen:a"), 1, 10000);
    assert_int_equal(s_done("a", "x"), 0);
    assert_in_range(s_run("PTTL seen:a"), 3500000, 3600000);
    assert_int_equal(yam_inbox_prune(s_inbox, 100), 0);
}

static void
test_a_batch_gives_each_message_the_verdict_it_would_have_had_alone(void **state)
{
    (void) state;
    s_new(NULL);
    yam_message_t *old = yam_message_new("x", 1);
    assert_int_equal(yam_message_set(old, "id", "old"), 0);
    assert_int_equal(yam_inbox_claim(s_inbox, old), YAM_CLAIM_NEW);
    assert_int_equal(yam_inbox_done(s_inbox, &old, 1), 0);
    yam_message_destroy(&old);
    claim_batch(s_inbox);
}

static void
test_a_batch_that_fails_gives_back_what_it_had_claimed_and_no_more(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "b", "x"), YAM_CLAIM_NEW); //  in work
    yam_message_t *messages[3];
    yam_claim_t verdicts[3];
    for (size_t index = 0; index < 3; index++) {
        char id[2] = {(char) ('a' + index), 0};
        messages[index] = yam_message_new("x", 1);
        assert_int_equal(yam_message_set(messages[index], "id", id), 0);
    }
    assert_int_equal(yam_inbox_claim_many(s_inbox, messages, 3, verdicts), -1);
    assert_int_equal(errno, EAGAIN);
    assert_non_null(strstr(yam_error(), "another consumer"));
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    assert_int_equal(claim(s_inbox, "c", "x"), YAM_CLAIM_NEW);
    claim_fails(s_inbox, "b", EAGAIN, "another consumer");
    assert_int_equal(yam_inbox_release(s_inbox, messages, 3), 0);
    assert_int_equal(yam_inbox_claim_many(s_inbox, messages, 3, verdicts), 0);
    assert_int_equal(s_run("PEXPIRE yam_inbox:b 0"), 1);
    assert_int_equal(yam_inbox_done(s_inbox, messages, 3), -1); //  all are, and one ran out
    assert_int_equal(errno, ETIMEDOUT);
    assert_int_equal(yam_inbox_claim_many(s_inbox, messages, 3, verdicts), 0);
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal(verdicts[index], YAM_CLAIM_DUPLICATE);
        yam_message_destroy(&messages[index]);
    }
}

//  ---- Servers in trouble

static void
test_a_server_killed_between_claim_and_done_leaves_the_message_to_come_again(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    server_kill(&s_server);
    assert_int_equal(s_done("a", "x"), -1);
    assert_int_equal(errno, ENOTCONN);
    assert_non_null(strstr(yam_error(), "connect again"));
    claim_fails(s_inbox, "b", ENOTCONN, "connect again");
    assert_int_equal(s_release("a", "x"), -1);
    s_restart(NULL);
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
}

static void
test_a_server_that_keeps_nothing_forgets_what_was_done(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    assert_int_equal(s_done("a", "x"), 0);
    server_kill(&s_server);
    s_restart(NULL);
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
}

static void
test_a_server_that_syncs_always_remembers_what_was_done(void **state)
{
    (void) state;
    static const char *const always[] = {"appendonly=yes", "appendfsync=always", NULL};
    server_kill(&s_server);
    s_restart(always);
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    assert_int_equal(s_done("a", "x"), 0);
    assert_int_equal(claim(s_inbox, "b", "x"), YAM_CLAIM_NEW);
    server_kill(&s_server);
    s_restart(always);
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_DUPLICATE);
    claim_fails(s_inbox, "b", EAGAIN, "another consumer");
    server_kill(&s_server);
    s_restart(NULL);
}

static void
test_a_server_without_memory_claims_nothing(void **state)
{
    (void) state;
    s_new(NULL);
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
    (void) s_run("CONFIG SET maxmemory 1");
    claim_fails(s_inbox, "b", ENOSPC, "maxmemory");
    s_new_fails(s_connection, NULL, ENOSPC, "maxmemory");
    (void) s_run("CONFIG SET maxmemory 0");
    assert_int_equal(claim(s_inbox, "b", "x"), YAM_CLAIM_NEW);
}

static void
test_a_server_that_evicts_keys_is_refused(void **state)
{
    (void) state;
    (void) s_run("CONFIG SET maxmemory 100mb");
    (void) s_run("CONFIG SET maxmemory-policy volatile-ttl");
    s_new_fails(s_connection, NULL, EPROTONOSUPPORT, "noeviction");
    (void) s_run("CONFIG SET maxmemory-policy noeviction");
    s_new(NULL);
    (void) s_run("CONFIG SET maxmemory 0");
}

static void
test_a_key_that_holds_something_else_is_told(void **state)
{
    (void) state;
    s_new(NULL);
    (void) s_run("LPUSH yam_inbox:list 1");
    claim_fails(s_inbox, "list", EBADMSG, "prefix");
    (void) s_run("SET yam_inbox:text hello");
    claim_fails(s_inbox, "text", EBADMSG, "prefix");
    assert_int_equal(claim(s_inbox, "a", "x"), YAM_CLAIM_NEW);
}

static void
test_a_replica_is_refused(void **state)
{
    (void) state;
    (void) s_run("REPLICAOF 127.0.0.1 1");
    s_new_fails(s_connection, NULL, EROFS, "primary");
    (void) s_run("REPLICAOF NO ONE");
}

static void
test_missing_rights_are_told(void **state)
{
    (void) state;
    (void) s_run("ACL SETUSER guest on nopass ~yam_inbox:* +get");
    redisContext *guest = s_connect(s_server.uri);
    freeReplyObject(redisCommand(guest, "AUTH guest x"));
    s_new_fails(guest, NULL, EACCES, "SET");
    (void) s_run("ACL SETUSER guest +set"); //  not INFO: its policy is then not known
    yam_inbox_t *inbox = opened(yam_inbox_redis_new(guest, NULL));
    assert_int_equal(claim(inbox, "a", "x"), YAM_CLAIM_NEW);
    yam_inbox_destroy(&inbox);
    redisFree(guest);
}

//  A server of the days when SET knew NX and GET, but not both at once: says so to whoever
//  connects.
static void *
s_old_server(void *arg)
{
    static const char answer[] = "-ERR syntax error\r\n";
    char question[512];
    int peer = accept(*(int *) arg, NULL, NULL);
    if (read(peer, question, sizeof question) > 0) {
        (void) !write(peer, answer, sizeof answer - 1);
    }
    (void) !read(peer, question, sizeof question); //  until the client goes
    (void) close(peer);
    return NULL;
}

static void
test_a_server_too_old_is_refused_in_words(void **state)
{
    (void) state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void) snprintf(address.sun_path, sizeof address.sun_path, "%s/old", child_folder());
    int door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(door, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(listen(door, 1), 0);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, s_old_server, &door), 0);
    redisContext *connection = s_connect(address.sun_path);
    s_new_fails(connection, NULL, EPROTONOSUPPORT, "7.0");
    redisFree(connection);
    (void) pthread_join(thread, NULL);
    (void) close(door);
}

static void
test_wrong_options_and_connections_are_refused(void **state)
{
    (void) state;
    s_new_fails(s_connection, "shards=2", EINVAL, "shards=1");
    s_new_fails(s_connection, "hold=1ms", EINVAL, "hold");
    s_new_fails(NULL, NULL, EINVAL, "open database");
    redisContext *connection = redisConnectUnixNonBlock(s_server.uri);
    s_new_fails(connection, NULL, EINVAL, "blocking");
    redisFree(connection);
}

//  ---- Consumers that die at any point

#define MESSAGES 200
#define DEATHS 7 //  one message in so many sees its consumer die, at one of three points in turn

static int s_effects[MESSAGES];

//  One delivery to a consumer that may die: before the effect (1), after it (2), after done (3).
//  Whether the message was acked.
static bool
s_deliver(yam_inbox_t *inbox, int number, int death)
{
    char id[16];
    (void) snprintf(id, sizeof id, "m-%d", number);
    int verdict = claim(inbox, id, "x");
    assert_int_not_equal(verdict, YAM_CLAIM_CONFLICT);
    if (verdict == YAM_CLAIM_NEW && death != 1) {
        s_effects[number]++;
        if (death != 2) {
            assert_int_equal(yam_inbox_done_id(inbox, id, "x", 1), 0);
        }
    }
    return verdict != -1 && death == 0;
}

static void
test_consumers_that_die_lose_no_effect_and_repeat_one_only_between_commit_and_done(void **state)
{
    (void) state;
    memset(s_effects, 0, sizeof s_effects);
    s_new("hold=1h");
    for (int number = 0; number < MESSAGES; number++) {
        int death = number % DEATHS == 0 ? number / DEATHS % 3 + 1 : 0;
        bool is_acked = s_deliver(s_inbox, number, death);
        if (!is_acked) {
            //  It comes again to another consumer: too early, and when the claim has run out.
            yam_inbox_destroy(&s_inbox);
            s_new("hold=1h");
            is_acked = s_deliver(s_inbox, number, 0);
            assert_int_equal(is_acked, death == 3);
        }
        if (!is_acked) {
            assert_int_equal(s_run("PEXPIRE yam_inbox:m-%d 0", number), 1);
            is_acked = s_deliver(s_inbox, number, 0);
        }
        assert_true(is_acked);
        assert_int_equal(s_effects[number], death == 2 ? 2 : 1);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_claim_is_held_until_done_and_a_duplicate_after_that),
        CASE(test_a_claim_that_is_released_never_was),
        CASE(test_of_two_consumers_only_one_claims_and_only_it_releases),
        CASE(test_a_claim_that_ran_out_is_new_again_and_done_says_so),
        CASE(test_claims_go_by_themselves_held_ones_by_hold_and_done_ones_by_retention),
        CASE(test_a_batch_gives_each_message_the_verdict_it_would_have_had_alone),
        CASE(test_a_batch_that_fails_gives_back_what_it_had_claimed_and_no_more),
        CASE(test_a_server_killed_between_claim_and_done_leaves_the_message_to_come_again),
        CASE(test_a_server_that_keeps_nothing_forgets_what_was_done),
        CASE(test_a_server_that_syncs_always_remembers_what_was_done),
        CASE(test_a_server_without_memory_claims_nothing),
        CASE(test_a_server_that_evicts_keys_is_refused),
        CASE(test_a_key_that_holds_something_else_is_told),
        CASE(test_a_replica_is_refused),
        CASE(test_missing_rights_are_told),
        CASE(test_a_server_too_old_is_refused_in_words),
        CASE(test_wrong_options_and_connections_are_refused),
        CASE(test_consumers_that_die_lose_no_effect_and_repeat_one_only_between_commit_and_done),
    };
    server_init(&s_server, "redis");
    if (!server_start(&s_server, NULL)) {
        return SERVER_SKIPPED;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    server_stop(&s_server);
    return failed;
}
