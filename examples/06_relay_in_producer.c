//  06_relay_in_producer - store and forward: the relay lives in the sending program, with its own
//  directory. Messages are safe on this machine before any consumer exists, and leave when one
//  connects.
//
//      06_relay_in_producer DIRECTORY
#include <stdio.h>
#include <yam.h>

int
main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: 06_relay_in_producer DIRECTORY\n");
        return 64;
    }
    yam_t *yam = yam_new();
    yam_relay_t *relay = yam_relay_new(yam, "@inproc://store,@tcp://127.0.0.1:*", argv[1], NULL);
    yam_push_t *push = yam_push_new(yam, "orders", ">inproc://store?grade=sure");
    if (relay == NULL || push == NULL) {
        fprintf(stderr, "06_relay_in_producer: %s\n", yam_error());
        return 1;
    }
    for (int i = 0; i < 10; i++) {
        yam_push_send(push, &i, sizeof i);
    }
    uint64_t missing = yam_push_flush(push, 10000);
    printf("stored, %llu missing; listening on %s\n", (unsigned long long) missing,
           yam_relay_endpoints(relay));

    //  Later, in another program, a consumer connects to the tcp endpoint. Here it is the same
    //  program.
    yam_pull_t *pull = yam_pull_new(yam, "orders", ">inproc://store?grade=sure");
    int done = 0;
    yam_message_t *message;
    while (done < 10 && (message = yam_pull_recv(pull, 5000)) != NULL) {
        done++;
        yam_pull_ack(pull, &message);
    }
    printf("%d done\n", done);
    yam_pull_destroy(&pull);
    yam_push_destroy(&push);
    yam_relay_destroy(&relay);
    yam_destroy(&yam);
    return missing == 0 && done == 10 ? 0 : 1;
}
