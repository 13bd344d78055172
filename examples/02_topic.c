//  02_topic - publish and subscribe by subject prefix, peer to peer. No slow joiner: the publisher
//  waits for its subscribers before it speaks.
#include <stdio.h>
#include <yam.h>

int
main(void)
{
    yam_t *yam = yam_new();
    yam_pub_t *pub = yam_pub_new(yam, "weather", "@tcp://127.0.0.1:*");
    char europe[256];
    char all[256];
    snprintf(europe, sizeof europe, "%s?subject=eu.", yam_pub_endpoint(pub));
    snprintf(all, sizeof all, "%s", yam_pub_endpoint(pub));
    yam_sub_t *sub_europe = yam_sub_new(yam, "weather", europe);
    yam_sub_t *sub_all = yam_sub_new(yam, "weather", all);
    if (sub_europe == NULL || sub_all == NULL || yam_pub_wait(pub, 2, 5000) == -1) {
        fprintf(stderr, "02_topic: %s\n", yam_error());
        return 1;
    }
    const char *subjects[] = {"eu.berlin", "us.boston", "eu.paris"};
    for (int i = 0; i < 3; i++) {
        yam_message_t *message = yam_message_new("sunny", 5);
        yam_message_set(message, "subject", subjects[i]);
        yam_pub_send_message(pub, &message);
    }
    int count_europe = 0;
    int count_all = 0;
    yam_message_t *message;
    while (count_all < 3 && (message = yam_sub_recv(sub_all, 5000)) != NULL) {
        printf("all: %s\n", yam_message_subject(message));
        count_all++;
        yam_message_destroy(&message);
    }
    while (count_europe < 2 && (message = yam_sub_recv(sub_europe, 5000)) != NULL) {
        printf("europe: %s\n", yam_message_subject(message));
        count_europe++;
        yam_message_destroy(&message);
    }
    yam_sub_destroy(&sub_all);
    yam_sub_destroy(&sub_europe);
    yam_pub_destroy(&pub);
    yam_destroy(&yam);
    return count_all == 3 && count_europe == 2 ? 0 : 1;
}
