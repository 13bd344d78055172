//  12_rpc - a service and its caller: the two strings decide whether the call goes directly, or
//  through a relay, where it waits until the service is there.
//
//      12_rpc "@tcp://127.0.0.1:7000" ">tcp://127.0.0.1:7000"
//      12_rpc "@tcp://127.0.0.1:9260?relay=memory" ">tcp://127.0.0.1:9260?grade=sure"
#include <stdio.h>
#include <string.h>
#include <yam.h>

//  The service: answers now; it may as well keep the request, and answer later from any thread.
static void
s_stock(void *arg, yam_rpc_request_t *request)
{
    yam_message_t *message = yam_rpc_request_message(request);
    (void) arg;
    if (yam_message_size(message) != 4 || memcmp(yam_message_body(message), "nuts", 4) != 0) {
        yam_rpc_reply(&request, YAM_STATUS_UNKNOWN, "no such thing", NULL);
        return;
    }
    yam_message_t *body = yam_message_new("42", 2);
    yam_rpc_reply(&request, YAM_STATUS_OK, NULL, &body);
}

static void
s_told(void *arg, yam_status_t status, const char *text, yam_message_t **reply_p)
{
    (void) arg, (void) reply_p;
    printf("bolts: %s (%s)\n", yam_status_name(status), text);
}

int
main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: 12_rpc SERVER-ENDPOINT CALLER-ENDPOINT\n");
        return 64;
    }
    yam_t *yam = yam_new();
    yam_rpc_server_t *server = yam_rpc_serve(yam, "stock", argv[1], s_stock, NULL);
    yam_rpc_t *rpc = server != NULL ? yam_rpc_new(yam, "stock", argv[2]) : NULL;
    if (rpc == NULL) {
        fprintf(stderr, "12_rpc: %s\n", yam_error());
        return 1;
    }
    yam_message_t *request = yam_message_new("nuts", 4);
    yam_message_t *reply = yam_rpc_ask(rpc, &request, 5000, NULL); //  waits
    if (reply != NULL) {
        printf("nuts: %.*s\n", (int) yam_message_size(reply),
               (const char *) yam_message_body(reply));
    }
    yam_message_destroy(&reply);
    request = yam_message_new("bolts", 5);
    yam_rpc_call(rpc, &request, 5000, s_told, NULL); //  does not wait
    yam_rpc_destroy(&rpc);                           //  does, for what was called
    yam_rpc_server_destroy(&server);
    yam_destroy(&yam);
    return 0;
}
