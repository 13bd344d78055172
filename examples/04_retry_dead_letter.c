//  04_retry_dead_letter - a message that fails is tried again; one that can never succeed goes to
//  the dead letters, an ordinary queue with the reason on each message.
#include <stdio.h>
#include <string.h>
#include <yam.h>

int
main(int argc, char **argv)
{
    const char *endpoint = argc > 1 ? argv[1] : ">tcp://127.0.0.1:9260?grade=sure";
    yam_t *yam = yam_new();
    yam_push_t *push = yam_push_new(yam, "orders.retry", endpoint);
    yam_pull_t *pull = yam_pull_new(yam, "orders.retry", endpoint);
    yam_pull_t *dead = yam_pull_new(yam, "orders.retry.dead", endpoint);
    if (push == NULL || pull == NULL || dead == NULL) {
        fprintf(stderr, "04_retry_dead_letter: %s\n", yam_error());
        return 1;
    }
    yam_push_send(push, "flaky", 5);
    yam_push_send(push, "broken", 6);
    for (int settled = 0; settled < 2;) {
        yam_message_t *message = yam_pull_recv(pull, 10000);
        if (message == NULL) {
            fprintf(stderr, "04_retry_dead_letter: %s\n", yam_error());
            return 1;
        }
        printf("%.*s, delivery %u\n", (int) yam_message_size(message),
               (const char *) yam_message_body(message), yam_message_deliveries(message));
        if (memcmp(yam_message_body(message), "broken", 6) == 0) {
            yam_pull_reject(pull, &message, "unknown customer");
            settled++;
        } else if (yam_message_deliveries(message) < 3) {
            yam_pull_nack(pull, &message, 50,
                          "database busy"); //  again in 50 ms; -1: by the backoff list
        } else {
            yam_pull_ack(pull, &message);
            settled++;
        }
    }
    yam_message_t *message = yam_pull_recv(dead, 10000);
    const char *reason = message == NULL ? NULL : yam_message_get(message, "yam-reason");
    printf("dead letter: %s\n", reason == NULL ? "none" : reason);
    int rc = reason != NULL && strcmp(reason, "unknown customer") == 0 ? 0 : 1;
    if (message != NULL) {
        yam_pull_ack(dead, &message);
    }
    yam_pull_destroy(&dead);
    yam_pull_destroy(&pull);
    yam_push_destroy(&push);
    yam_destroy(&yam);
    return rc;
}
