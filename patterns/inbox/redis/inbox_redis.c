//  yam_inbox_redis - claims as keys of a Redis server. See the header and SPEC.md, section 5.
//
//  PREFIX:ID holds "held TOKEN FINGERPRINT" or "done TOKEN FINGERPRINT", in hexadecimal. TOKEN is
//  the inbox that claimed it. Keys go by themselves.

#include "yam_inbox_redis.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "yam_error.h"
#include "yam_inbox_db.h"

#define S_SENTENCE 512
#define S_TOKEN 16 //  bytes
#define S_STATE 4  //  "held" or "done"
#define S_TOKEN_AT (S_STATE + 1)
#define S_FINGERPRINT_AT (S_TOKEN_AT + 2 * S_TOKEN + 1)
#define S_VALUE (S_FINGERPRINT_AT + 2 * YAM_INBOX_FINGERPRINT)

typedef struct {
    redisContext *connection; //  borrowed: the application's
    yam_inbox_settings_t settings;
    char token[2 * S_TOKEN + 1];
} s_inbox_t;

typedef struct {
    char text[YAM_INBOX_PREFIX + 1 + YAM_INBOX_ID];
    size_t size;
} s_key_t;

//  ---- Errors

typedef struct {
    const char *reply; //  what an error reply begins with
    int error;
    const char *advice;
} s_failure_t;

static const s_failure_t s_failures[] = {
    {"OOM", ENOSPC, " (raise maxmemory, or shorten the retention)"},
    {"READONLY", EROFS, " (connect to the primary)"},
    {"MISCONF", EIO, " (look at the server's log)"},
    {"LOADING", EAGAIN, " (try again)"},
    {"BUSY", EAGAIN, " (try again)"},
    {"TRYAGAIN", EAGAIN, " (try again)"},
    {"CLUSTERDOWN", EAGAIN, " (try again)"},
    {"MASTERDOWN", EAGAIN, " (try again)"},
    {"NOAUTH", EACCES, " (AUTH first)"},
    {"NOPERM", EACCES, " (it takes SET, GET and EVAL)"},
    {"WRONGTYPE", EBADMSG, " (something else uses the prefix?)"},
    {"ERR syntax error", EPROTONOSUPPORT, " (SET with NX and GET takes Redis 7.0 or later)"},
};

static int
s_error(int error, const char *format, ...)
{
    char sentence[S_SENTENCE];
    va_list arguments;
    va_start(arguments, format);
    (void) vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    return yam_error_set(error, sentence);
}

//  Sets errno and a sentence from a reply that is an error (NULL: none came). Returns -1.
static int
s_fail(s_inbox_t *self, const redisReply *reply, const char *what)
{
    if (reply == NULL) {
        const char *why = self->connection->errstr;
        return s_error(ENOTCONN, "%s: %s (connect again; whether it was done is not known)", what,
                       why[0] ? why : "the connection is lost");
    }
    const s_failure_t other = {"", EIO, ""};
    const s_failure_t *failure = &other;
    for (size_t index = 0; index < sizeof s_failures / sizeof *s_failures; index++) {
        if (strncmp(reply->str, s_failures[index].reply, strlen(s_failures[index].reply)) == 0) {
            failure = &s_failures[index];
        }
    }
    return s_error(failure->error, "%s: %s%s", what, reply->str, failure->advice);
}

static void
s_free(redisReply *reply)
{
    int error = errno;
    freeReplyObject(reply);
    errno = error;
}

//  The reply, when it is one and no error. NULL with errno and a sentence.
static redisReply *
s_checked(s_inbox_t *self, redisReply *reply, const char *what)
{
    if (reply == NULL || reply->type == REDIS_REPLY_ERROR) {
        (void) s_fail(self, reply, what);
        s_free(reply);
        return NULL;
    }
    return reply;
}

//  ---- The connection: hiredis writes to a server that is gone, which must not end the process

typedef struct {
    sigset_t before;
    bool was_pending;
} s_quiet_t;

static sigset_t
s_sigpipe(void)
{
    sigset_t set;
    (void) sigemptyset(&set);
    (void) sigaddset(&set, SIGPIPE);
    return set;
}

//  Keeps SIGPIPE from this thread, until s_quiet_end.
static s_quiet_t
s_quiet_start(void)
{
    s_quiet_t quiet;
    sigset_t set = s_sigpipe();
    sigset_t pending;
    (void) sigpending(&pending);
    quiet.was_pending = sigismember(&pending, SIGPIPE) == 1;
    (void) pthread_sigmask(SIG_BLOCK, &set, &quiet.before);
    return quiet;
}

//  Leaves errno as it is.
static void
s_quiet_end(const s_quiet_t *quiet)
{
    static const struct timespec now = {0, 0};
    int error = errno;
    sigset_t set = s_sigpipe();
    if (!quiet->was_pending) {
        (void) sigtimedwait(&set, NULL, &now);
    }
    (void) pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
    errno = error;
}

//  ---- Keys and values

static s_key_t
s_key(const s_inbox_t *self, const char *id, size_t size)
{
    s_key_t key;
    size_t prefix_size = strlen(self->settings.prefix);
    memcpy(key.text, self->settings.prefix, prefix_size);
    key.text[prefix_size] = ':';
    memcpy(key.text + prefix_size + 1, id, size);
    key.size = prefix_size + 1 + size;
    return key;
}

//  Writes size bytes as 2 * size digits and a NUL.
static void
s_write_hex(char *text, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t index = 0; index < size; index++) {
        text[2 * index] = digits[bytes[index] >> 4];
        text[2 * index + 1] = digits[bytes[index] & 15];
    }
    text[2 * size] = 0;
}

static void
s_write_value(const s_inbox_t *self, const char *state, const uint8_t *fingerprint,
              char value[S_VALUE + 1])
{
    (void) snprintf(value, S_VALUE + 1, "%s %s ", state, self->token);
    s_write_hex(value + S_FINGERPRINT_AT, fingerprint, YAM_INBOX_FINGERPRINT);
}

static bool
s_is_value(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING && reply->len == S_VALUE &&
           (memcmp(reply->str, "held ", S_TOKEN_AT) == 0 ||
            memcmp(reply->str, "done ", S_TOKEN_AT) == 0);
}

//  ---- A command for each entry: all leave before the first answer is waited for

typedef struct {
    const char *what; //  what a sentence begins with
    //  Puts the command for an entry into the connection's buffer. REDIS_OK, or not.
    int (*ask)(s_inbox_t *self, const yam_inbox_entry_t *entry);
    //  What a reply that is no error means. 0, or -1 with errno and a sentence.
    int (*judge)(s_inbox_t *self, yam_inbox_entry_t *entry, const redisReply *reply);
} s_command_t;

//  The next reply, and what it means. 0, or -1 with errno and a sentence.
static int
s_answer(s_inbox_t *self, const s_command_t *command, yam_inbox_entry_t *entry)
{
    void *answer = NULL;
    (void) redisGetReply(self->connection, &answer);
    redisReply *reply = s_checked(self, answer, command->what);
    if (reply == NULL) {
        return -1;
    }
    int rc = command->judge(self, entry, reply);
    s_free(reply);
    return rc;
}

//  Takes every answer, whatever the others are. 0, or -1 as the first that failed.
static int
s_exchange(s_inbox_t *self, const s_command_t *command, yam_inbox_entry_t *const *entries,
           size_t count)
{
    char sentence[S_SENTENCE];
    int error = 0;
    for (size_t index = 0; index < count; index++) {
        if (command->ask(self, entries[index]) != REDIS_OK) {
            return s_fail(self, NULL, command->what);
        }
    }
    for (size_t index = 0; index < count; index++) {
        if (s_answer(self, command, entries[index]) == -1 && error == 0) {
            error = errno;
            (void) snprintf(sentence, sizeof sentence, "%s", yam_error());
        }
    }
    return error == 0 ? 0 : yam_error_set(error, sentence);
}

//  ---- Releasing

static int
s_ask_release(s_inbox_t *self, const yam_inbox_entry_t *entry)
{
    static const char script[] =
        "if string.sub(redis.call('GET', KEYS[1]) or '', 1, #ARGV[1]) == ARGV[1] then "
        "return redis.call('DEL', KEYS[1]) end return 0";
    s_key_t key = s_key(self, entry->id, entry->id_size);
    char value[S_VALUE + 1];
    s_write_value(self, "held", entry->fingerprint, value);
    const char *words[] = {"EVAL", script, "1", key.text, value};
    const size_t sizes[] = {4, sizeof script - 1, 1, key.size, S_FINGERPRINT_AT};
    return redisAppendCommandArgv(self->connection, 5, words, sizes);
}

//  Whether it was still held does not matter.
static int
s_judge_release(s_inbox_t *self, yam_inbox_entry_t *entry, const redisReply *reply)
{
    (void) self;
    (void) entry;
    (void) reply;
    return 0;
}

static const s_command_t s_release = {"cannot release a claim", s_ask_release, s_judge_release};

//  ---- Claiming

static int
s_ask_claim(s_inbox_t *self, const yam_inbox_entry_t *entry)
{
    s_key_t key = s_key(self, entry->id, entry->id_size);
    char value[S_VALUE + 1];
    char hold[24];
    s_write_value(self, "held", entry->fingerprint, value);
    int hold_size = snprintf(hold, sizeof hold, "%lld", (long long) self->settings.hold_ms);
    const char *words[] = {"SET", key.text, value, "NX", "GET", "PX", hold};
    const size_t sizes[] = {3, key.size, S_VALUE, 2, 3, 2, (size_t) hold_size};
    return redisAppendCommandArgv(self->connection, 7, words, sizes);
}

static int
s_judge_claim(s_inbox_t *self, yam_inbox_entry_t *entry, const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_NIL) {
        entry->verdict = YAM_CLAIM_NEW;
        return 0;
    }
    if (!s_is_value(reply)) {
        return s_error(EBADMSG,
                       "cannot claim a message: its key holds no claim (something else uses the "
                       "prefix %s?)",
                       self->settings.prefix);
    }
    if (reply->str[0] == 'h') {
        return s_error(EAGAIN,
                       "another consumer holds the claim (try again; it runs out in at most %lld "
                       "ms)",
                       (long long) self->settings.hold_ms);
    }
    char value[S_VALUE + 1];
    s_write_value(self, "done", entry->fingerprint, value);
    bool is_same = memcmp(reply->str + S_FINGERPRINT_AT, value + S_FINGERPRINT_AT,
                          S_VALUE - S_FINGERPRINT_AT) == 0;
    entry->verdict = is_same ? YAM_CLAIM_DUPLICATE : YAM_CLAIM_CONFLICT;
    return 0;
}

static const s_command_t s_take = {"cannot claim a message", s_ask_claim, s_judge_claim};

//  What a batch that failed has claimed is given back, as far as that is possible. Keeps errno and
//  the sentence.
static void
s_give_back(s_inbox_t *self, yam_inbox_entry_t *const *entries, size_t count)
{
    char sentence[S_SENTENCE];
    int error = errno;
    (void) snprintf(sentence, sizeof sentence, "%s", yam_error());
    for (size_t index = 0; index < count && self->connection->err == 0; index++) {
        if (entries[index]->verdict == YAM_CLAIM_NEW) {
            (void) s_exchange(self, &s_release, &entries[index], 1);
        }
    }
    (void) yam_error_set(error, sentence);
}

static int
s_claim(void *arg, yam_inbox_entry_t *const *entries, size_t count, int64_t now_ms)
{
    (void) now_ms; //  the server's clock counts
    s_quiet_t quiet = s_quiet_start();
    for (size_t index = 0; index < count; index++) {
        entries[index]->verdict = YAM_CLAIM_CONFLICT; //  not NEW so far: see s_give_back
    }
    int rc = s_exchange(arg, &s_take, entries, count);
    if (rc == -1) {
        s_give_back(arg, entries, count);
    }
    s_quiet_end(&quiet);
    return rc;
}

//  ---- Done

//  Done, whoever holds it by now: the effect is durable.
static int
s_ask_done(s_inbox_t *self, const yam_inbox_entry_t *entry)
{
    s_key_t key = s_key(self, entry->id, entry->id_size);
    char value[S_VALUE + 1];
    char retention[24];
    s_write_value(self, "done", entry->fingerprint, value);
    int retention_size =
        snprintf(retention, sizeof retention, "%lld", (long long) self->settings.retention_ms);
    const char *words[] = {"SET", key.text, value, "GET", "PX", retention};
    const size_t sizes[] = {3, key.size, S_VALUE, 3, 2, (size_t) retention_size};
    return redisAppendCommandArgv(self->connection, 6, words, sizes);
}

static int
s_judge_done(s_inbox_t *self, yam_inbox_entry_t *entry, const redisReply *reply)
{
    char value[S_VALUE + 1];
    s_write_value(self, "done", entry->fingerprint, value);
    bool was_ours = s_is_value(reply) &&
                    memcmp(reply->str + S_TOKEN_AT, value + S_TOKEN_AT, S_VALUE - S_TOKEN_AT) == 0;
    return was_ours ? 0
                    : s_error(ETIMEDOUT,
                              "the claim had run out after %lld ms, or was lost: another consumer "
                              "may have done the same (raise the option hold)",
                              (long long) self->settings.hold_ms);
}

static const s_command_t s_finish = {"cannot note that a message is done", s_ask_done,
                                     s_judge_done};

static int
s_settle(void *arg, yam_inbox_entry_t *const *entries, size_t count, bool is_done)
{
    s_quiet_t quiet = s_quiet_start();
    int rc = s_exchange(arg, is_done ? &s_finish : &s_release, entries, count);
    s_quiet_end(&quiet);
    return rc;
}

//  ---- Life

static void
s_close(void *arg)
{
    free(arg);
}

//  Whether the server can do what a claim takes, tried on a key that no id leads to. 0, or -1.
static int
s_try(s_inbox_t *self)
{
    s_key_t key = s_key(self, "", 0);
    redisReply *reply =
        redisCommand(self->connection, "SET %b try NX GET PX 1", key.text, key.size);
    reply = s_checked(self, reply, "cannot claim in this Redis");
    s_free(reply);
    return reply ? 0 : -1;
}

//  A server that evicts keys forgets claims. One that does not tell its policy is believed. 0, or
//  -1.
static int
s_check_policy(s_inbox_t *self)
{
    redisReply *reply = redisCommand(self->connection, "INFO memory");
    if (reply == NULL) {
        return s_fail(self, NULL, "cannot ask Redis for its policy");
    }
    bool is_told = reply->type == REDIS_REPLY_STRING;
    bool may_evict = is_told && strstr(reply->str, "\nmaxmemory:0\r") == NULL &&
                     strstr(reply->str, "\nmaxmemory_policy:noeviction") == NULL;
    s_free(reply);
    return may_evict ? s_error(EPROTONOSUPPORT, "this Redis evicts keys when its memory is full, "
                                                "claims among them (set maxmemory-policy "
                                                "noeviction)")
                     : 0;
}

static int
s_check_settings(const redisContext *connection, const yam_inbox_settings_t *settings)
{
    if (settings->shard_count != 1) {
        return s_error(EINVAL, "an inbox in Redis has shards=1: a cluster spreads keys by itself");
    }
    return connection->flags & REDIS_BLOCK
               ? 0
               : s_error(EINVAL, "an inbox needs a blocking connection (redisConnect)");
}

static void *
s_open(void *connection, const yam_inbox_settings_t *settings)
{
    uint8_t token[S_TOKEN];
    if (s_check_settings(connection, settings) == -1) {
        return NULL;
    }
    s_inbox_t *self = calloc(1, sizeof *self);
    if (self == NULL || getrandom(token, sizeof token, 0) != sizeof token) {
        free(self);
        (void) s_error(ENOMEM, "no memory for an inbox");
        return NULL;
    }
    self->connection = connection;
    self->settings = *settings;
    s_write_hex(self->token, token, sizeof token);
    s_quiet_t quiet = s_quiet_start();
    int rc = s_try(self) == -1 ? -1 : s_check_policy(self);
    s_quiet_end(&quiet);
    if (rc == -1) {
        free(self);
        return NULL;
    }
    return self;
}

static const yam_inbox_db_t s_db = {
    .open = s_open, .claim = s_claim, .settle = s_settle, .close = s_close};

yam_inbox_t *
yam_inbox_redis_new(struct redisContext *connection, const char *options)
{
    return yam_inbox_new_over(&s_db, connection, options);
}
