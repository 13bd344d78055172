//  03_durable_queue - a thousand orders through a relay: confirmed means on disk, acked means done.
//
//      yamd --listen @tcp://127.0.0.1:9260 --store /tmp/orders &
//      03_durable_queue [ENDPOINT]
#include <stdio.h>
#include <yam.h>

static void
s_confirmed(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
            const char *text)
{
    if (status == YAM_STATUS_OK) {
        *(uint64_t *) arg += last - first + 1; //  these are safe at this level
    } else {
        fprintf(stderr, "%s: %s (%s)\n", yam_status_name(status), text, yam_level_name(level));
    }
}

int
main(int argc, char **argv)
{
    const char *endpoint = argc > 1 ? argv[1] : ">tcp://127.0.0.1:9260?grade=sure";
    uint64_t confirmed = 0;
    yam_t *yam = yam_new();
    yam_push_t *push = yam_push_new(yam, "orders.durable", endpoint);
    yam_pull_t *pull = yam_pull_new(yam, "orders.durable", endpoint);
    if (push == NULL || pull == NULL) {
        fprintf(stderr, "03_durable_queue: %s\n", yam_error());
        return 1;
    }
    yam_push_set_confirm(push, s_confirmed, &confirmed);
    for (int i = 0; i < 1000; i++) {
        char order[32];
        yam_push_send(push, order, (size_t) snprintf(order, sizeof order, "order %d", i));
    }
    uint64_t missing = yam_push_flush(push, 10000);
    int done = 0;
    yam_message_t *message;
    while (done < 1000 && (message = yam_pull_recv(pull, 5000)) != NULL) {
        done++; //  ... here the order would be handled ...
        yam_pull_ack(pull, &message);
    }
    uint64_t unsure = yam_pull_close(&pull, 5000);
    yam_push_destroy(&push);
    yam_destroy(&yam);
    printf("%llu confirmed, %d done\n", (unsigned long long) confirmed, done);
    return missing == 0 && unsure == 0 && confirmed == 1000 && done == 1000 ? 0 : 1;
}
