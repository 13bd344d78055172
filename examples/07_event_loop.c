//  07_event_loop - a receiver in a foreign event loop: wait on its descriptor, then receive until
//  it has no more.
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <yam.h>

int
main(void)
{
    yam_t *yam = yam_new();
    yam_pull_t *pull = yam_pull_new(yam, "ticks", "@tcp://127.0.0.1:*");
    yam_push_t *push = yam_push_new(yam, "ticks", yam_pull_endpoint(pull));
    if (pull == NULL || push == NULL) {
        fprintf(stderr, "07_event_loop: %s\n", yam_error());
        return 1;
    }
    struct pollfd waited = {.fd = yam_pull_fd(pull), .events = POLLIN};
    int received = 0;
    for (int sent = 0; sent < 5; sent++) {
        yam_push_send(push, "tick", 4);
        while (received <= sent) {
            yam_message_t *message = yam_pull_recv(pull, 0);
            if (message != NULL) {
                printf("tick %d\n", ++received);
                yam_pull_ack(pull, &message);
                //  other descriptors go here, too
            } else if (errno != EAGAIN || poll(&waited, 1, 5000) != 1) {
                fprintf(stderr, "07_event_loop: %s\n", yam_error());
                return 1;
            }
        }
    }
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
    yam_destroy(&yam);
    return 0;
}
