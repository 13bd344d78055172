//  Places: what a name and an endpoint string mean. See yami_place.h.

#include "yami_place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_frame.h"
#include "yami_properties.h"

#define INPROC_SIZE 64

//  The addresses as the relay wants them: "@tcp://*:9260,@ipc://x". They fit by the limits of the
//  parser.
static void
s_join(const yami_endpoint_t *endpoint, char *list, size_t size)
{
    size_t used = 0;
    for (size_t index = 0; index < endpoint->address_count; index++) {
        used += (size_t) snprintf(list + used, size - used, "%s@%s", index > 0 ? "," : "",
                                  endpoint->addresses[index].address);
        YAM_ASSERT(used < size);
    }
}

//  The options are no part of it, and some of them a program may have added.
static int
s_refuse(const char *text, const yami_address_t *address, const char *reason)
{
    size_t size = strcspn(text, "?");
    return yami_fail(EINVAL, "endpoint \"%.*s%s\": %s at column %zu",
                     (int) (size < 100 ? size : 100), text, size > 100 ? "..." : "", reason,
                     address->column);
}

//  What the sure grade needs of its addresses.
static int
s_check_addresses(const yami_endpoint_t *endpoint, const char *text)
{
    const yami_address_t *addresses = endpoint->addresses;
    bool is_embedded = endpoint->options.relay[0] != '\0';
    for (size_t index = 0; index < endpoint->address_count; index++) {
        if (is_embedded && !addresses[index].is_bind) {
            return s_refuse(text, &addresses[index], "relay= binds, so '>' is not possible");
        }
        if (!is_embedded && addresses[index].is_bind) {
            return s_refuse(text, &addresses[index],
                            "grade=sure connects to a relay (use '>', or relay= for one in here)");
        }
    }
    return is_embedded || endpoint->address_count == 1
               ? 0
               : s_refuse(text, &addresses[1], "grade=sure takes one address, that of a relay");
}

//  What would be ignored may be what somebody relies on.
static int
s_check_queue(const yami_endpoint_options_t *options)
{
    const char *given = options->group[0] != 0     ? "group="
                        : options->subject[0] != 0 ? "subject="
                        : options->start[0] != 0   ? "start="
                                                   : NULL;
    return given == NULL ? 0
                         : yami_fail(EINVAL,
                                     "%s is for topics: a queue has one group, which begins with "
                                     "its first message, and no filter",
                                     given);
}

static int
s_parse(yami_endpoint_t *endpoint, const yami_place_kind_t *kind, const char *channel,
        const char *text)
{
    const char *what = kind->kind == YAMI_KIND_QUEUE ? "queue" : "topic";
    if (!channel) {
        return yami_fail(EINVAL, "a %s needs a name", what);
    }
    if (yami_name_check(yami_slice_text(channel), what) == -1 ||
        yami_endpoint_parse(endpoint, text, kind->bind_by_default) == -1) {
        return -1;
    }
    if (kind->kind == YAMI_KIND_QUEUE && s_check_queue(&endpoint->options) == -1) {
        return -1;
    }
    return endpoint->options.grade == YAMI_GRADE_FAST ? 0 : s_check_addresses(endpoint, text);
}

//  Embeds the relay when one is asked for; the endpoint is then its address within this process.
static int
s_embed(yami_place_t *self, yami_endpoint_t *endpoint)
{
    const char *directory = endpoint->options.relay;
    if (!*directory) {
        return 0;
    }
    char list[YAMI_LIMIT_ADDRESSES * (YAMI_LIMIT_ADDRESS + 2)];
    char inproc[INPROC_SIZE];
    s_join(endpoint, list, sizeof list);
    if (self->embedding->embed(self->yam, list, directory, inproc, sizeof inproc) == -1) {
        return -1;
    }
    memcpy(self->relay, directory, strlen(directory) + 1);
    const char *bound = self->embedding->endpoints(self->yam, directory);
    (void) snprintf(self->bound, sizeof self->bound, "%.*s", (int) strcspn(bound, ","), bound);
    endpoint->address_count = 1;
    endpoint->addresses[0].is_bind = false;
    (void) snprintf(endpoint->addresses[0].address, sizeof endpoint->addresses[0].address, "%s",
                    inproc);
    return 0;
}

int
yami_place_open(yami_place_t *self, const yami_place_kind_t *kind, yam_t *yam, const char *channel,
                const char *text, yami_endpoint_t *endpoint)
{
    *self = (yami_place_t) {.yam = yam, .embedding = kind->embedding};
    memset(endpoint, 0, sizeof *endpoint);
    if (!yam) {
        return yami_fail(EINVAL, "a yam_t is needed (yam_new)");
    }
    if (!yami_context_is_ours(yam) || s_parse(endpoint, kind, channel, text) == -1) {
        return -1;
    }
    return s_embed(self, endpoint);
}

static int
s_left_ms(int64_t until_ms)
{
    if (until_ms == INT64_MAX) {
        return -1;
    }
    int64_t left_ms = until_ms - yami_clock_mono_ms();
    return left_ms > 0 ? (int) left_ms : 0;
}

void
yami_place_leave(yami_place_t *self, int64_t until_ms)
{
    if (self->relay[0] && yami_context_is_ours(self->yam)) {
        int error = errno;
        self->embedding->unembed(self->yam, self->relay, s_left_ms(until_ms));
        self->relay[0] = '\0';
        errno = error;
    }
}
