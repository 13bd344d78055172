//  01_queue - one program, any transport, any guarantee: only the two strings change.
//
//      01_queue ">inproc://q" "@inproc://q"
//      01_queue ">tcp://127.0.0.1:5555" "@tcp://127.0.0.1:5555"
//
//  Through yamd, and with the relay in the producer:
//
//      01_queue ">tcp://127.0.0.1:9260?grade=sure" ">tcp://127.0.0.1:9260?grade=sure"
//      01_queue "@tcp://127.0.0.1:5555?relay=DIR" ">tcp://127.0.0.1:5555?grade=sure"
#include <stdio.h>
#include <yam.h>

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: 01_queue PUSH-ENDPOINT PULL-ENDPOINT\n");
        return 64;
    }
    yam_t *yam = yam_new();
    yam_push_t *push = yam_push_new(yam, "orders", argv[1]);
    yam_pull_t *pull = yam_pull_new(yam, "orders", argv[2]);
    if (push == NULL || pull == NULL || yam_push_send(push, "hello", 5) == -1) {
        fprintf(stderr, "01_queue: %s\n", yam_error());
        return 1;
    }
    yam_message_t *message = yam_pull_recv(pull, 10000);
    if (message == NULL) {
        fprintf(stderr, "01_queue: nothing came: %s\n", yam_error());
        return 1;
    }
    printf("%.*s\n", (int) yam_message_size(message), (const char *) yam_message_body(message));
    yam_pull_ack(pull, &message);
    yam_pull_destroy(&pull);
    yam_push_destroy(&push);
    yam_destroy(&yam);
    return 0;
}
