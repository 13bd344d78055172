/*  A process that produces, or one that consumes. */
#include <stdio.h>

#include "bench.h"
#include "yam_error.h"

int
bench_with_push(const char *queue, const char *endpoint, bench_push_fn produce, void *arg)
{
    yam_t *yam = yam_new();
    yam_push_t *push = yam_push_new(yam, queue, endpoint);
    int rc = push ? produce(arg, push) : -1;
    if (rc == -1) {
        fprintf(stderr, "producer: %s\n", yam_error());
    }
    yam_push_destroy(&push);
    yam_destroy(&yam);
    return rc == 0 ? 0 : 1;
}

int
bench_with_pull(const char *queue, const char *endpoint, bench_pull_fn consume, void *arg)
{
    yam_t *yam = yam_new();
    yam_pull_t *pull = yam_pull_new(yam, queue, endpoint);
    int rc = pull ? consume(arg, pull) : -1;
    if (rc == -1) {
        fprintf(stderr, "consumer: %s\n", yam_error());
    }
    yam_pull_destroy(&pull);
    yam_destroy(&yam);
    return rc == 0 ? 0 : 1;
}
