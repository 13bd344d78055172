/*  What all systems with an inbox share. */
#include "bench.h"
#include "inbox_driver.h"
#include "yam_error.h"

size_t
bench_inbox_claim(yam_inbox_t *inbox, yam_message_t *const *messages, size_t count)
{
    static yam_claim_t verdicts[YAM_INBOX_BATCH];
    size_t new_count = 0;
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
