//  05_durable_topic - two durable groups on one topic: each gets every message, also those
//  published while it was away; one of them wants German orders only.
#include <stdio.h>
#include <yam.h>

static int
s_read(yam_t *yam, const char *endpoint, int expected)
{
    yam_sub_t *sub = yam_sub_new(yam, "orders.topic", endpoint);
    if (sub == NULL) {
        fprintf(stderr, "05_durable_topic: %s\n", yam_error());
        return 1;
    }
    int count = 0;
    yam_message_t *message;
    while (count < expected && (message = yam_sub_recv(sub, 10000)) != NULL) {
        printf("%s -> %.*s\n", yam_message_subject(message), (int) yam_message_size(message),
               (const char *) yam_message_body(message));
        count++;
        yam_sub_ack(sub, &message);
    }
    yam_sub_destroy(&sub);
    return count == expected ? 0 : 1;
}

int
main(int argc, char **argv)
{
    const char *relay = argc > 1 ? argv[1] : ">tcp://127.0.0.1:9260?grade=sure";
    char billing[300];
    char germany[300];
    snprintf(billing, sizeof billing, "%s&group=billing&start=first", relay);
    snprintf(germany, sizeof germany, "%s&group=germany&start=first&subject=*.de", relay);
    yam_t *yam = yam_new();
    int rc = s_read(yam, billing, 0) | s_read(yam, germany, 0); //  the groups exist from now on

    yam_pub_t *pub = yam_pub_new(yam, "orders.topic", relay);
    const char *subjects[] = {"order.de", "order.fr", "order.de"};
    for (int i = 0; i < 3; i++) {
        char body[16];
        yam_message_t *message =
            yam_message_new(body, (size_t) snprintf(body, sizeof body, "order %d", i));
        yam_message_set(message, "subject", subjects[i]);
        yam_pub_send_message(pub, &message);
    }
    rc |= yam_pub_flush(pub, 10000) == 0 ? 0 : 1;
    rc |= s_read(yam, billing, 3) | s_read(yam, germany, 2);
    yam_pub_destroy(&pub);
    yam_destroy(&yam);
    return rc;
}
