//  The second check: a consumer that loses a message, and a producer that is asked to send it
//  again.

#include <stdio.h>
#include <string.h>
#include <yam.h>

//  The producer's service: reads its business row again, and resends.
static yam_callback_answer_t
resend(void *arg, const yam_callback_case_ref_t *ref, yam_message_t **message_p, char *note,
       size_t size)
{
    (void) snprintf(note, size, "row %s is %s", ref->id, (const char *) arg);
    *message_p = yam_message_new(arg, strlen(arg));
    return YAM_CALLBACK_RESEND;
}

int
main(void)
{
    yam_t *yam = yam_new();
    yam_relay_t *relay = yam_relay_new(yam, "inproc://relay", NULL, NULL);
    const char *endpoint = ">inproc://relay?grade=sure";

    //  Anywhere, usually as yam-callbackd: keeps confirms, and calls when there is none.
    yam_callback_store_t *store = yam_callback_store_sqlite(":memory:", true);
    yam_callback_service_t *service = yam_callback_service_new(yam, endpoint, &store, NULL);

    //  The producer: its row is stored, and nothing else.
    static char row[] = "paid";
    yam_callback_t *producer = yam_callback_new(yam, "orders", "shop", endpoint, "delay=100ms");
    yam_callback_serve(producer, resend, row);
    yam_message_t *message = yam_message_new(row, strlen(row));
    yam_message_set(message, "id", "order-7");
    yam_callback_send(producer, &message);

    //  The consumer acknowledges the first one, and does nothing: it dies before it has done it,
    //  say.
    yam_pull_t *orders = yam_pull_new(yam, "orders", endpoint);
    yam_push_t *confirms = yam_push_new(yam, YAM_CALLBACK_CONFIRMS, endpoint);
    message = yam_pull_recv(orders, 10000);
    printf("lost: %s\n", yam_message_get(message, "id"));
    yam_pull_ack(orders, &message);

    //  It comes again, with the id it had: done, confirmed.
    message = yam_pull_recv(orders, 10000);
    printf("done: %s", yam_message_get(message, "id"));
    printf(", round %s\n", yam_message_get(message, "yam-round"));
    yam_callback_confirm(confirms, message);
    yam_pull_ack(orders, &message);

    yam_push_destroy(&confirms);
    yam_pull_destroy(&orders);
    yam_callback_destroy(&producer);
    yam_callback_service_destroy(&service);
    yam_relay_destroy(&relay);
    yam_destroy(&yam);
    return 0;
}
