//  receive ENDPOINT COUNT JOURNAL - takes orders until all COUNT have been seen by anybody;
//  notes hash and times received; rejects the bad ones: they end in the dead letters.
#include "journal.h"
#include "stanza.h"

#include <yam.h>

#define QUIET_MS 500      //  all seen, and nothing came again for so long
#define PATIENCE_MS 30000 //  not all seen, and nothing comes: something was lost

static void
s_note(demo_journal_t *journal, unsigned long number, uint64_t hash)
{
    demo_order_t *order = &journal->orders[number];
    uint64_t none = 0;
    if (!atomic_compare_exchange_strong(&order->hash, &none, hash) && none != hash) {
        order->wrong++;
    }
    if (order->count++ == 0) {
        journal->distinct++;
    }
}

int
main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: receive ENDPOINT COUNT JOURNAL\n");
        return 64;
    }
    unsigned long count = strtoul(argv[2], NULL, 10);
    demo_journal_t *journal = demo_journal_open(argv[3], count);
    yam_t *yam = yam_new();
    yam_pull_t *pull = yam_pull_new(yam, "orders", argv[1]);
    for (int quiet_ms = 0; pull != NULL && quiet_ms < PATIENCE_MS;) {
        yam_message_t *message = yam_pull_recv(pull, QUIET_MS);
        if (message == NULL) {
            quiet_ms = journal->distinct >= count ? PATIENCE_MS : quiet_ms + QUIET_MS;
            continue;
        }
        quiet_ms = 0;
        char head[32] = "";
        size_t size = yam_message_size(message);
        memcpy(head, yam_message_body(message), size < sizeof head ? size : sizeof head - 1);
        unsigned long number = strncmp(head, "Order: ", 7) == 0 ? strtoul(head + 7, NULL, 10) : 0;
        s_note(journal, number <= count ? number : 0, demo_hash(yam_message_body(message), size));
        if (number % DEMO_REJECT_EVERY == 0) {
            yam_pull_reject(pull, &message, "a known bad order");
        } else {
            yam_pull_ack(pull, &message);
        }
    }
    bool was_open = pull != NULL;
    if (was_open) {
        yam_pull_close(&pull, 10000); //  it counts acks that died with a relay: those came again
    }
    yam_destroy(&yam);
    return was_open ? 0 : 1;
}
