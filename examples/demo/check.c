//  check SENT RECEIVED COUNT KILLS DEAD SECONDS - compares both journals, order by order and
//  by content, and prints the last line of the demo. Exit status 0 only if nothing was lost, and
//  just those orders were rejected that receive rejects.
#include "journal.h"
#include "stanza.h"

#include <stdbool.h>

int
main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: check SENT RECEIVED COUNT KILLS DEAD SECONDS\n");
        return 64;
    }
    unsigned long count = strtoul(argv[3], NULL, 10);
    demo_journal_t *sent = demo_journal_open(argv[1], count);
    demo_journal_t *received = demo_journal_open(argv[2], count);
    unsigned long confirmed = 0;
    unsigned long arrived = 0;
    unsigned long lost = 0;
    unsigned long duplicates = 0;
    unsigned long wrong = received->orders[0].count; //  bodies without a valid number
    for (unsigned long number = 1; number <= count; number++) {
        demo_order_t *out = &sent->orders[number];
        demo_order_t *in = &received->orders[number];
        confirmed += out->count > 0;
        arrived += in->count > 0;
        lost += out->count > 0 && in->count == 0;
        duplicates += in->count > 1 ? in->count - 1 : 0;
        wrong += in->count > 0 && (in->hash != out->hash || in->wrong > 0);
    }
    if (wrong > 0) {
        printf("demo: %lu orders came with another body than was sent\n", wrong);
    }
    bool is_dead_right = strtoul(argv[5], NULL, 10) == count / DEMO_REJECT_EVERY;
    if (!is_dead_right) {
        printf("demo: %lu dead letters would be right\n", count / DEMO_REJECT_EVERY);
    }
    printf("demo: %lu sent, %lu confirmed, relay killed %s times, %lu received, %lu lost, %lu "
           "duplicates, "
           "%s dead letters, %.0f msg/s\n",
           count, confirmed, argv[4], arrived, lost, duplicates, argv[5],
           (double) arrived / strtod(argv[6], NULL));
    bool is_whole = confirmed == count && arrived == count && lost == 0 && wrong == 0;
    return is_whole && is_dead_right ? 0 : 1;
}
