//  send ENDPOINT FILE COUNT JOURNAL - sends the stanzas of FILE, over and over, as COUNT
//  numbered orders; notes the hash of each, and which were confirmed. Prints "confirmed N" now and
//  then, for whoever kills the relay.
#include "journal.h"
#include "stanza.h"

#include <yam.h>

static void
s_confirmed(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
            const char *text)
{
    demo_journal_t *journal = arg;
    if (status != YAM_STATUS_OK || level != YAM_LEVEL_SYNCED) {
        fprintf(stderr, "send: %s: %s\n", yam_status_name(status), text);
        return;
    }
    for (uint64_t number = first; number <= last; number++) {
        journal->orders[number].count++;
    }
    uint64_t before = atomic_fetch_add(&journal->distinct, last - first + 1);
    unsigned long long confirmed = before + last - first + 1;
    if (before / 25000 != confirmed / 25000) {
        printf("confirmed %llu\n", confirmed);
        fflush(stdout);
    }
}

int
main(int argc, char **argv)
{
    FILE *file = argc == 5 ? fopen(argv[2], "r") : NULL;
    if (file == NULL) {
        perror(argc == 5 ? argv[2] : "usage: send ENDPOINT FILE COUNT JOURNAL");
        return 64;
    }
    unsigned long count = strtoul(argv[3], NULL, 10);
    demo_journal_t *journal = demo_journal_open(argv[4], count);
    yam_t *yam = yam_new();
    yam_push_t *push = yam_push_new(yam, "orders", argv[1]);
    if (push == NULL) {
        fprintf(stderr, "send: %s\n", yam_error());
        return 1;
    }
    yam_push_set_confirm(push, s_confirmed, journal);
    static char body[1 << 20];
    for (unsigned long number = 1; number <= count; number++) {
        size_t size = demo_order_write(body, sizeof body, number, file);
        journal->orders[number].hash = demo_hash(body, size);
        if (yam_push_send(push, body, size) == -1) {
            fprintf(stderr, "send: order %lu: %s\n", number, yam_error());
            return 1;
        }
    }
    uint64_t missing = yam_push_close(&push, 60000);
    yam_destroy(&yam);
    fclose(file);
    return missing == 0 ? 0 : 1;
}
