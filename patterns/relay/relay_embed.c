//  relay_embed - relays shared by directory. See yam_relay_embed.h.

#include "yam_relay_embed.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "yam_relay.h"
#include "yami_base.h"
#include "yami_endpoint.h"
#include "yami_monitor.h"

//  One relay that endpoint strings of this yam_t share.
typedef struct s_embedded {
    struct s_embedded *next;
    yam_t *yam;      //  borrowed
    char *directory; //  owned
    char *endpoints; //  owned; as asked for
    char inproc[64];
    unsigned share_count; //  0: it is being closed
    yam_relay_t *relay;   //  owned
} s_embedded_t;

static pthread_once_t s_once = PTHREAD_ONCE_INIT;
static yami_monitor_t s_monitor; //  guards the two below; tells that one is closed
static s_embedded_t *s_first;
static unsigned s_number; //  makes inproc names unique

//  In a forked child, which has one thread yet: the relays are the parent's, and its threads may
//  have held the lock. A yam_t of the child can lie where one of the parent's lay.
static void
s_forget(void)
{
    yami_monitor_init(&s_monitor);
    s_first = NULL;
}

static void
s_watch(void)
{
    yami_monitor_init(&s_monitor);
    int rc = pthread_atfork(NULL, NULL, s_forget);
    YAM_ASSERT(rc == 0);
}

static s_embedded_t **
s_find(const yam_t *yam, const char *directory)
{
    s_embedded_t **at = &s_first;
    while (*at != NULL && ((*at)->yam != yam || strcmp((*at)->directory, directory) != 0)) {
        at = &(*at)->next;
    }
    return at;
}

static void
s_free(s_embedded_t *self)
{
    yami_free(self->directory);
    yami_free(self->endpoints);
    yami_free(self);
}

static bool
s_is_memory(const char *directory)
{
    return strcmp(directory, "memory") == 0;
}

static s_embedded_t *
s_new(yam_t *yam, const char *endpoints, const char *directory)
{
    s_embedded_t *self = yami_alloc(sizeof *self);
    self->yam = yam;
    self->directory = yami_strdup(directory);
    self->endpoints = yami_strdup(endpoints);
    snprintf(self->inproc, sizeof self->inproc, "inproc://yam-relay-%u", ++s_number);

    char list[YAMI_LIMIT_ADDRESSES * (YAMI_LIMIT_ADDRESS + 2)];
    snprintf(list, sizeof list, "%s,@%s", endpoints, self->inproc);
    self->relay = yam_relay_new(yam, list, s_is_memory(directory) ? NULL : directory, NULL);
    if (self->relay == NULL) {
        int error = errno;
        s_free(self);
        errno = error;
        return NULL;
    }
    return self;
}

//  Under the lock: waits while a relay in that directory, whosever it is, is being closed.
static void
s_wait_for_directory(const yam_t *yam, const char *directory)
{
    const s_embedded_t *each = s_first;
    while (each != NULL) {
        bool is_there = strcmp(each->directory, directory) == 0 &&
                        (each->yam == yam || !s_is_memory(directory));
        if (is_there && each->share_count == 0) {
            (void) yami_monitor_wait(&s_monitor, INT64_MAX);
            each = s_first; //  the list may be another one
        } else {
            each = each->next;
        }
    }
}

//  Under the lock.
static s_embedded_t *
s_share(yam_t *yam, const char *endpoints, const char *directory)
{
    s_wait_for_directory(yam, directory);
    s_embedded_t **at = s_find(yam, directory);
    if (*at == NULL) {
        *at = s_new(yam, endpoints, directory);
    } else if (strcmp((*at)->endpoints, endpoints) != 0) {
        yami_fail(EINVAL,
                  "relay in %s already listens on \"%s\", not on \"%s\" (use the same endpoints)",
                  directory, (*at)->endpoints, endpoints);
        return NULL;
    }
    return *at;
}

int
yam_relay_embed(yam_t *yam, const char *endpoints, const char *directory, char *inproc, size_t size)
{
    YAM_ASSERT(yam != NULL && endpoints != NULL && directory != NULL && inproc != NULL);
    pthread_once(&s_once, s_watch);
    yami_monitor_lock(&s_monitor);
    s_embedded_t *self = s_share(yam, endpoints, directory);
    int error = errno;
    if (self != NULL) {
        YAM_ASSERT(size >= sizeof self->inproc);
        memcpy(inproc, self->inproc, sizeof self->inproc);
        self->share_count++;
    }
    yami_monitor_unlock(&s_monitor);
    errno = error;
    return self == NULL ? -1 : 0;
}

const char *
yam_relay_embedded_endpoints(yam_t *yam, const char *directory)
{
    yami_monitor_lock(&s_monitor);
    const s_embedded_t *self = *s_find(yam, directory);
    YAM_ASSERT(self != NULL && self->share_count > 0);
    const char *endpoints = yam_relay_endpoints(self->relay);
    yami_monitor_unlock(&s_monitor);
    return endpoints;
}

void
yam_relay_unembed(yam_t *yam, const char *directory, int timeout_ms)
{
    yami_monitor_lock(&s_monitor);
    s_embedded_t *self = *s_find(yam, directory);
    YAM_ASSERT(self != NULL && self->share_count > 0);
    if (--self->share_count == 0) {
        yami_monitor_unlock(&s_monitor); //  others have no part in what this one waits for
        yam_relay_close(&self->relay, timeout_ms);
        yami_monitor_lock(&s_monitor);
        *s_find(yam, directory) = self->next;
        s_free(self);
        yami_monitor_tell(&s_monitor);
    }
    yami_monitor_unlock(&s_monitor);
}
