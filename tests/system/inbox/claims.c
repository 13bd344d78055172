#include "claims.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "yam_error.h"
#include "yam_message.h"

#define BATCH 8

int
claim(yam_inbox_t *inbox, const char *id, const char *content)
{
    return yam_inbox_claim_id(inbox, id, content, strlen(content));
}

void
claim_fails(yam_inbox_t *inbox, const char *id, int error, const char *words)
{
    int verdict = claim(inbox, id, "x");
    int seen = errno;
    if (verdict != -1 || seen != error || strstr(yam_error(), words) == NULL) {
        fail_msg("%d, %s: %s", verdict, strerror(seen), yam_error());
    }
}

void
claim_batch(yam_inbox_t *inbox)
{
    static const struct {
        const char *id;
        const char *body;
        yam_claim_t expected;
    } batch[BATCH] = {
        {"b", "1", YAM_CLAIM_NEW},         {"old", "x", YAM_CLAIM_DUPLICATE},
        {"a", "1", YAM_CLAIM_NEW},         {"b", "1", YAM_CLAIM_DUPLICATE},
        {"b", "2", YAM_CLAIM_CONFLICT},    {"old", "y", YAM_CLAIM_CONFLICT},
        {"old", "x", YAM_CLAIM_DUPLICATE}, {"ol", "1", YAM_CLAIM_NEW},
    };
    yam_message_t *messages[BATCH];
    yam_claim_t verdicts[BATCH];
    for (size_t index = 0; index < BATCH; index++) {
        messages[index] = yam_message_new(batch[index].body, strlen(batch[index].body));
        assert_int_equal(yam_message_set(messages[index], "id", batch[index].id), 0);
    }
    if (yam_inbox_claim_many(inbox, messages, BATCH, verdicts) == -1) {
        fail_msg("%s", yam_error());
    }
    for (size_t index = 0; index < BATCH; index++) {
        assert_int_equal(verdicts[index], batch[index].expected);
        yam_message_destroy(&messages[index]);
    }
}

yam_inbox_t *
opened(yam_inbox_t *inbox)
{
    if (inbox == NULL) {
        fail_msg("%s", yam_error());
    }
    return inbox;
}
