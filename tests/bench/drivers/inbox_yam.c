/*  What all systems share, and all with an inbox. */
#include "bench.h"
#include "inbox_driver.h"
#include "yam_error.h"

size_t
bench_inbox_transact(const bench_inbox_t *system, void *self, yam_message_t *const *messages,
                     char (*ids)[BENCH_ID_SIZE + 1], size_t count)
{
    if (system->begin != NULL) {
        system->run(self, system->begin);
    }
    size_t new_count = system->claim(self, messages, ids, count);
    if (system->begin != NULL) {
        system->run(self, "COMMIT");
    }
    return new_count;
}

size_t
bench_inbox_claim(void *self, yam_message_t *const *messages, char (*ids)[BENCH_ID_SIZE + 1],
                  size_t count)
{
    static yam_claim_t verdicts[YAM_INBOX_BATCH];
    yam_inbox_t *inbox = *(yam_inbox_t **) self;
    size_t new_count = 0;
    (void) ids;
    if (yam_inbox_claim_many(inbox, messages, count, verdicts) == -1) {
        bench_fail("%s", yam_error());
    }
    for (size_t index = 0; index < count; index++) {
        new_count += verdicts[index] == YAM_CLAIM_NEW;
    }
    return new_count;
}

yam_inbox_t *
bench_inbox_opened(yam_inbox_t *inbox)
{
    if (inbox == NULL) {
        bench_fail("%s", yam_error());
    }
    return inbox;
}
