//  yam_callback - the consumer's side: a confirm for a message. See the header.

#include "yam_callback.h"

#include <errno.h>
#include <stdio.h>

#include "yami_base.h"
#include "yami_callback_wire.h"
#include "yami_failpoint.h"

static int
s_send(yam_push_t *confirms, const yam_message_t *message, int outcome, const char *reason)
{
    if (confirms == NULL || message == NULL) {
        return yami_fail(EINVAL, "a confirm needs a pusher and the message it is about");
    }
    yam_case_confirm_t confirm = {.outcome = outcome};
    if (yami_callback_identify(message, confirm.id, &confirm.round) == -1) {
        return -1;
    }
    (void) snprintf(confirm.reason, sizeof confirm.reason, "%s", reason != NULL ? reason : "");
    yam_message_t *built = yami_callback_confirm_build(&confirm);
    if (built == NULL) {
        return -1;
    }
    YAMI_FAILPOINT("confirm");
    int rc = yam_push_send_message(confirms, &built);
    YAMI_FAILPOINT("confirmed");
    int error = errno;
    yam_message_destroy(&built);
    errno = error;
    return rc;
}

int
yam_callback_confirm(yam_push_t *confirms, const yam_message_t *message)
{
    return s_send(confirms, message, YAM_CONFIRM_DONE, NULL);
}

int
yam_callback_confirm_failed(yam_push_t *confirms, const yam_message_t *message, const char *reason)
{
    return s_send(confirms, message, YAM_CONFIRM_FAILED, reason);
}
