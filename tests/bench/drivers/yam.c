/*  Yam's fast grade, batched and raw: the calls of an ordinary program. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "yam.h"

typedef struct {
    bench_kind_t kind;
    yam_push_t *push; //  one of these
    yam_pull_t *pull;
    yam_pub_t *pub;
    yam_sub_t *sub;
    uint8_t body[BENCH_BODY_MAX];
} end_t;

static void *
s_context_new(void)
{
    yam_t *yam = yam_new();
    if (bench_curve && yam_set_certificate(yam, bench_curve->certificate) == -1) {
        bench_fail("cannot use %s: %s", bench_curve->certificate, yam_error());
    }
    return yam;
}

static void
s_context_destroy(void *context)
{
    yam_t *yam = context;
    yam_destroy(&yam);
}

//  Opens the object of the kind; what it says its endpoint is.
static const char *
s_open_object(end_t *self, yam_t *yam, const char *endpoint)
{
    switch (self->kind) {
    case BENCH_PUSH:
        self->push = yam_push_new(yam, "bench", endpoint);
        return self->push ? yam_push_endpoint(self->push) : NULL;
    case BENCH_PULL:
        self->pull = yam_pull_new(yam, "bench", endpoint);
        return self->pull ? yam_pull_endpoint(self->pull) : NULL;
    case BENCH_PUB:
        self->pub = yam_pub_new(yam, "bench", endpoint);
        return self->pub ? yam_pub_endpoint(self->pub) : NULL;
    default:
        self->sub = yam_sub_new(yam, "bench", endpoint);
        return self->sub ? yam_sub_endpoint(self->sub) : NULL;
    }
}

static void *
s_open_with(void *context, bench_kind_t kind, const char *address, char *bound, size_t bound_size,
            const char *options)
{
    char endpoint[512];
    end_t *self = calloc(1, sizeof *self);
    bool is_client = bench_curve && *address == '>';
    snprintf(endpoint, sizeof endpoint, "%s?%s%s%s", address, options,
             is_client ? "&server-key=" : "", is_client ? bench_curve->public_key : "");
    self->kind = kind;
    const char *opened = s_open_object(self, context, endpoint);
    if (!opened) {
        bench_fail("cannot open %s: %s", endpoint, yam_error());
    }
    if (bound) {
        opened += strspn(opened, "@>");
        snprintf(bound, bound_size, "%.*s", (int) strcspn(opened, "?"), opened);
    }
    return self;
}

static void *
s_open(void *context, bench_kind_t kind, const char *address, char *bound, size_t bound_size)
{
    return s_open_with(context, kind, address, bound, bound_size, "framing=batch");
}

//  A PUB socket hears of reads in steps of half its limit, and not at once: with libzmq's own limit
//  of 1,000 it drops although the subscriber is near.
static void *
s_open_raw(void *context, bench_kind_t kind, const char *address, char *bound, size_t bound_size)
{
    bool is_topic = kind == BENCH_PUB || kind == BENCH_SUB;
    return s_open_with(context, kind, address, bound, bound_size,
                       is_topic ? "framing=raw&hwm=4096" : "framing=raw");
}

static void
s_close(void *end)
{
    end_t *self = end;
    yam_push_destroy(&self->push);
    yam_pull_destroy(&self->pull);
    yam_pub_destroy(&self->pub);
    yam_sub_destroy(&self->sub);
    free(self);
}

static int
s_send(void *end, size_t size, uint64_t index, int64_t sent_ns)
{
    end_t *self = end;
    bench_body_write(self->body, size, index, sent_ns);
    return self->push ? yam_push_send(self->push, self->body, size)
                      : yam_pub_send(self->pub, self->body, size);
}

static int
s_flush(void *end)
{
    end_t *self = end;
    uint64_t left_count = self->push ? yam_push_flush(self->push, BENCH_DRIVER_WAIT_MS)
                                     : yam_pub_flush(self->pub, BENCH_DRIVER_WAIT_MS);
    return left_count == 0 ? 0 : -1;
}

static int
s_receive(void *end, bench_check_t *check)
{
    end_t *self = end;
    yam_message_t *message = self->pull ? yam_pull_recv(self->pull, BENCH_DRIVER_WAIT_MS)
                                        : yam_sub_recv(self->sub, BENCH_DRIVER_WAIT_MS);
    if (!message) {
        return -1;
    }
    bench_check_body(check, yam_message_body(message), yam_message_size(message));
    return self->pull ? yam_pull_ack(self->pull, &message) : yam_sub_ack(self->sub, &message);
}

const bench_driver_t bench_yam = {.name = "yam",
                                  .ahead_limit = 16384,
                                  .context_new = s_context_new,
                                  .context_destroy = s_context_destroy,
                                  .open = s_open,
                                  .close = s_close,
                                  .send = s_send,
                                  .flush = s_flush,
                                  .receive = s_receive};

const bench_driver_t bench_yam_raw = {
    .name = "yam-raw",
    .ahead_limit = BENCH_DRIVER_HWM / 4, //  and some more that libzmq has not heard of yet
    .context_new = s_context_new,
    .context_destroy = s_context_destroy,
    .open = s_open_raw,
    .close = s_close,
    .send = s_send,
    .flush = s_flush,
    .receive = s_receive};
