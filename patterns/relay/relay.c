#include "yam_relay.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <zmq.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_context.h"
#include "yami_credentials.h"
#include "yami_delays.h"
#include "yami_disk.h"
#include "yami_limits.h"
#include "yami_memory_store.h"
#include "yami_relay_damage.h"
#include "yami_relay_door.h"
#include "yami_relay_shell.h"
#include "yami_segment_log.h"

//  Over inproc a queue is the consumer's own, however small the batches its credit allows.
#define S_INPROC_HWM 131072

struct yam_relay {
    yam_t *yam; //  borrowed
    yami_relay_options_t options;
    uint64_t replayed; //  entries that recovery read
    yami_endpoint_t endpoint;
    char endpoints[YAMI_LIMIT_ADDRESSES * (YAMI_LIMIT_ADDRESS + 1)];
    yami_relay_core_t *core;         //  owned until the shell has it
    yami_relay_shell_t *shell;       //  owned
    yami_credentials_t *credentials; //  owned; NULL without CURVE
};

//  "name=value&name=value"
static int
s_options(yami_relay_options_t *options, const char *text)
{
    yami_options_init(yami_relay_option_table, options);
    if (yami_options_read(yami_relay_option_table, options, text) == -1) {
        return -1;
    }
    if (options->clients[0] != '\0' && options->certificate[0] == '\0') {
        return yami_fail(EINVAL,
                         "relay: clients= needs certificate=: without CURVE all may connect");
    }
    int64_t delays_ms[YAMI_LIMIT_DELAYS];
    return yami_delays_parse(options->backoff, delays_ms) == -1 ? -1 : 0;
}

static bool
s_is_local(const char *address)
{
    static const char *const prefixes[] = {"inproc://",    "ipc://",           "tcp://127.",
                                           "tcp://[::1]:", "tcp://localhost:", "tcp://lo:",
                                           "ws://127.",    "ws://localhost:",  "ws://[::1]:"};
    for (size_t index = 0; index < sizeof prefixes / sizeof prefixes[0]; index++) {
        if (strncmp(address, prefixes[index], strlen(prefixes[index])) == 0) {
            return true;
        }
    }
    return false;
}

static bool
s_is_served(const char *address)
{
    static const char *const prefixes[] = {"inproc://", "ipc://", "tcp://", "ws://", "tipc://"};
    for (size_t index = 0; index < sizeof prefixes / sizeof prefixes[0]; index++) {
        if (strncmp(address, prefixes[index], strlen(prefixes[index])) == 0) {
            return true;
        }
    }
    return false;
}

static int
s_check_endpoints(yam_relay_t *self, const char *endpoints)
{
    if (strchr(endpoints, '?') != NULL) {
        return yami_fail(EINVAL, "relay: \"%s\" takes no options: they are those of who connects",
                         endpoints);
    }
    if (yami_endpoint_parse(&self->endpoint, endpoints, true) == -1) {
        return -1;
    }
    for (size_t index = 0; index < self->endpoint.address_count; index++) {
        const yami_address_t *address = &self->endpoint.addresses[index];
        if (!address->is_bind) {
            return yami_fail(EINVAL,
                             "relay: \"%s\" connects at column %zu (a relay binds: use '@')",
                             endpoints, address->column);
        }
        if (!s_is_served(address->address)) {
            return yami_fail(EINVAL, "relay: cannot serve %s (use tcp, ipc, ws or tipc)",
                             address->address);
        }
        if (!s_is_local(address->address) && !self->options.insecure &&
            self->options.certificate[0] == '\0') {
            return yami_fail(
                EACCES,
                "relay: will not listen on %s without CURVE (give certificate=FILE made by "
                "`yam keygen`, or insecure, or use 127.0.0.1)",
                address->address);
        }
    }
    return 0;
}

static int
s_replay(void *arg, const yami_entry_t *entry)
{
    yam_relay_t *self = arg;
    self->replayed++;
    return yami_relay_core_replay(self->core, entry);
}

static void
s_damaged(void *arg, const yami_damage_t *damage)
{
    yam_relay_t *self = arg;
    if (damage->is_torn_tail) {
        yami_log(YAMI_LOG_WARN, "store.torn-tail", "segment=%llu offset=%llu bytes=%llu",
                 (unsigned long long) damage->segment, (unsigned long long) damage->offset,
                 (unsigned long long) damage->size);
        return;
    }
    char text[YAMI_DAMAGE_TEXT_SIZE];
    yami_relay_damage_text(damage, text);
    yami_log(YAMI_LOG_ERROR, "store.damaged", "%s", text);
    yami_relay_core_lost(self->core, damage);
}

static yami_store_t *
s_open_store(yam_relay_t *self, const char *directory)
{
    if (directory == NULL) {
        return yami_memory_store_new((uint64_t) self->options.memory_bytes);
    }
    yami_disk_t *disk = yami_disk_open(directory, false);
    if (disk == NULL) {
        return NULL;
    }
    yami_log_options_t log;
    yami_log_options_init(&log);
    log.segment_bytes = (uint64_t) self->options.segment_bytes;
    log.cache_bytes = (uint64_t) self->options.cache_bytes;
    log.reserve_bytes = (uint64_t) self->options.reserve_bytes;
    log.scrub_rate = (uint64_t) self->options.scrub_rate;
    return yami_segment_log_open(disk, &log, s_replay, s_damaged, self);
}

//  The core needs the store's level and the store replays into the core: which level is known from
//  the kind of store.
static yami_store_t *
s_recover(yam_relay_t *self, const char *directory)
{
    uint64_t seed;
    yami_random(&seed, sizeof seed);
    int level = directory == NULL ? YAM_LEVEL_RECEIVED : YAM_LEVEL_SYNCED;
    self->core = yami_relay_core_new(&self->options, level, "yam", seed);
    yami_store_t *store = s_open_store(self, directory);
    YAM_ASSERT(store == NULL || store->level == level);
    if (store != NULL && directory != NULL) {
        yami_log(YAMI_LOG_INFO, "store.recovered", "directory=%s entries=%llu", directory,
                 (unsigned long long) self->replayed);
    }
    return store;
}

static void
s_set(void *router, int option, int value)
{
    int rc = zmq_setsockopt(router, option, &value, sizeof value);
    YAM_ASSERT(rc == 0);
}

//  Binds one address after the other: a limit set in between holds for the next one.
static int
s_bind_all(yam_relay_t *self, void *router)
{
    char *at = self->endpoints;
    for (size_t index = 0; index < self->endpoint.address_count; index++) {
        yami_endpoint_t one = {.address_count = 1, .options = self->endpoint.options};
        one.addresses[0] = self->endpoint.addresses[index];
        bool is_inproc = strncmp(one.addresses[0].address, "inproc://", 9) == 0;
        s_set(router, ZMQ_SNDHWM, is_inproc ? S_INPROC_HWM : (int) YAMI_LIMIT_UNSENT_FRAMES);
        char bound[YAMI_LIMIT_ADDRESS + 1];
        if (yami_context_attach(router, &one, bound, sizeof bound) == -1) {
            return -1;
        }
        at += sprintf(at, "%s%s", index == 0 ? "" : ",", bound);
    }
    return 0;
}

static yami_relay_door_t *
s_bind(yam_relay_t *self)
{
    if (self->options.certificate[0] != '\0') {
        self->credentials =
            yami_credentials_new(self->yam, self->options.certificate, self->options.clients);
        if (self->credentials == NULL) {
            errno = errno == ENOENT || errno == ENOTDIR ? EINVAL : errno; //  an option is wrong
            return NULL;
        }
    }
    void *router = yami_context_socket(self->yam, ZMQ_ROUTER, &self->endpoint.options);
    if (router == NULL) {
        return NULL;
    }
    s_set(router, ZMQ_ROUTER_MANDATORY, 1);
    s_set(router, ZMQ_RCVHWM, YAMI_LIMIT_AHEAD);
    s_set(router, ZMQ_BACKLOG, YAMI_LIMIT_BACKLOG);
    if (self->credentials != NULL) {
        yami_credentials_serve(self->credentials, router);
    }
    yami_relay_door_t *door = yami_relay_door_new(yam_zmq_context(self->yam), router);
    if (door != NULL && s_bind_all(self, router) == -1) {
        int error = errno;
        yami_relay_door_destroy(&door, 0);
        errno = error;
    }
    return door;
}

//  Binds last: nobody is answered before the store is recovered.
static int
s_open(yam_relay_t *self, const char *endpoints, const char *directory, const char *options)
{
    if (!yami_context_is_ours(self->yam) || s_options(&self->options, options) == -1 ||
        s_check_endpoints(self, endpoints) == -1) {
        return -1;
    }
    yami_store_t *store = s_recover(self, directory);
    if (store == NULL) {
        return -1;
    }
    yami_relay_door_t *door = s_bind(self);
    if (door == NULL) {
        int error = errno;
        store->ops->close(&store);
        errno = error;
        return -1;
    }
    yami_relay_core_t *core = self->core;
    self->core = NULL;
    self->shell = yami_relay_shell_new(door, core, store, &self->options);
    return self->shell == NULL ? -1 : 0;
}

static void
s_free(yam_relay_t **self_p)
{
    yam_relay_t *self = *self_p;
    yami_relay_core_destroy(&self->core);
    yami_credentials_destroy(&self->credentials);
    yami_free(self);
    *self_p = NULL;
}

int
yam_relay_check(const char *endpoints, const char *options)
{
    yam_relay_t self = {.core = NULL};
    return s_options(&self.options, options) == -1 || s_check_endpoints(&self, endpoints) == -1 ? -1
                                                                                                : 0;
}

yam_relay_t *
yam_relay_new(yam_t *yam, const char *endpoints, const char *directory, const char *options)
{
    if (yam == NULL || endpoints == NULL) {
        yami_fail(EINVAL, "relay: needs a yam_t and an endpoint");
        return NULL;
    }
    yam_relay_t *self = yami_alloc(sizeof *self);
    self->yam = yam;
    if (s_open(self, endpoints, directory, options) == -1) {
        int error = errno;
        s_free(&self);
        errno = error;
    }
    return self;
}

void
yam_relay_destroy(yam_relay_t **self_p)
{
    if (self_p != NULL && *self_p != NULL) {
        yam_relay_close(self_p, (int) (*self_p)->options.linger_ms);
    }
}

int
yam_relay_close(yam_relay_t **self_p, int timeout_ms)
{
    YAM_ASSERT(self_p != NULL && *self_p != NULL);
    yam_relay_t *self = *self_p;
    if (!yami_context_is_ours(self->yam)) {
        *self_p = NULL; //  a forked child owns neither threads nor store
        return -1;
    }
    int rc = yami_relay_shell_close(&self->shell, timeout_ms);
    int error = errno;
    s_free(self_p);
    errno = error;
    return rc;
}

const char *
yam_relay_endpoints(const yam_relay_t *self)
{
    return self->endpoints;
}

int
yam_relay_set(yam_relay_t *self, const char *name, const char *value)
{
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    static const char *const changeable[] = {
        "lease",       "delivery-limit", "backoff",       "channel-bytes",    "channel-messages",
        "topic-bytes", "topic-age",      "producer-idle", "delayed-messages", "reserve"};
    for (size_t index = 0; index < sizeof changeable / sizeof changeable[0]; index++) {
        if (strcmp(name, changeable[index]) == 0) {
            int64_t delays_ms[YAMI_LIMIT_DELAYS];
            if (strcmp(name, "backoff") == 0 && yami_delays_parse(value, delays_ms) == -1) {
                return -1;
            }
            return yami_relay_shell_set(self->shell, name, value);
        }
    }
    return yami_fail(EINVAL, "relay: option \"%s\" cannot change while the relay runs (restart it)",
                     name);
}

bool
yam_relay_has_failed(const yam_relay_t *self)
{
    return yami_relay_shell_has_failed(self->shell);
}

int64_t
yam_relay_last_turn_ms(const yam_relay_t *self)
{
    return yami_relay_shell_last_turn_ms(self->shell);
}
