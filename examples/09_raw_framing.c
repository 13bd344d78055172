//  09_raw_framing - either end may be any ZeroMQ program in any language: here plain libzmq, both
//  ways.
#include <stdio.h>
#include <string.h>
#include <yam.h>
#include <zmq.h>

int
main(void)
{
    yam_t *yam = yam_new();
    yam_pull_t *pull = yam_pull_new(yam, "raw", "@tcp://127.0.0.1:*?framing=raw");
    if (pull == NULL) {
        fprintf(stderr, "09_raw_framing: %s\n", yam_error());
        return 1;
    }
    const char *address = yam_pull_endpoint(pull);
    void *zmq_push = zmq_socket(yam_zmq_context(yam), ZMQ_PUSH);
    zmq_connect(zmq_push, address + strcspn(address, "t")); //  without the '@'
    zmq_send(zmq_push, "from libzmq", 11, 0);
    yam_message_t *message = yam_pull_recv(pull, 5000);
    int rc = message != NULL && memcmp(yam_message_body(message), "from libzmq", 11) == 0 ? 0 : 1;
    yam_pull_ack(pull, &message);

    void *zmq_pull = zmq_socket(yam_zmq_context(yam), ZMQ_PULL);
    zmq_bind(zmq_pull, "tcp://127.0.0.1:*");
    char bound[128] = "";
    size_t size = sizeof bound;
    zmq_getsockopt(zmq_pull, ZMQ_LAST_ENDPOINT, bound, &size);
    char endpoint[160];
    snprintf(endpoint, sizeof endpoint, ">%s?framing=raw", bound);
    yam_push_t *push = yam_push_new(yam, "raw", endpoint);
    yam_push_send(push, "from yam", 8);
    char buffer[32];
    int received = zmq_recv(zmq_pull, buffer, sizeof buffer, 0);
    rc |= received == 8 && memcmp(buffer, "from yam", 8) == 0 ? 0 : 1;
    printf("%s\n", rc == 0 ? "both ways" : "failed");
    yam_push_destroy(&push);
    yam_pull_destroy(&pull);
    int linger = 0;
    zmq_setsockopt(zmq_push, ZMQ_LINGER, &linger, sizeof linger);
    zmq_close(zmq_push);
    zmq_close(zmq_pull);
    yam_destroy(&yam);
    return rc;
}
