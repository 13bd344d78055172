//  The producer's side of the second check at a relay that refuses what it sends.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "scripted_relay.h"
#include "yam_callback.h"
#include "yam_error.h"

#define WAIT_MS 60000

typedef struct {
    yam_callback_t *producer;
    int rc;
    int error;
    char text[256];
} s_expecting_t;

static void *
s_expect(void *arg)
{
    s_expecting_t *self = arg;
    self->rc = yam_callback_expect(self->producer, "7", WAIT_MS);
    self->error = errno;
    (void) snprintf(self->text, sizeof self->text, "%s", yam_error());
    return NULL;
}

//  Welcomes the producer's two links, whichever speaks, and refuses the first batch.
static void
s_refuse_first_batch(scripted_relay_t *relay)
{
    while (scripted_relay_recv(relay) == 'c') {
        scripted_relay_answer(relay, 1, 0);
    }
    yami_frame_t refuse = {.type = YAMI_FRAME_REFUSE,
                           .handle = 1,
                           .present = YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_STATUS,
                           .epoch = 1,
                           .first = 1,
                           .last = 1,
                           .status = YAM_STATUS_CONFLICT};
    scripted_relay_send(relay, &refuse, NULL);
}

static void
test_check_that_the_relay_refuses_for_good_is_not_expected(void **state)
{
    (void) state;
    char endpoint[300];
    scripted_relay_t relay;
    pthread_t thread;
    scripted_relay_init(&relay);
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure&linger=0", relay.address);
    yam_t *yam = yam_new();
    s_expecting_t expecting = {yam_callback_new(yam, "orders", "shop", endpoint, NULL), 0, 0, ""};
    assert_non_null(expecting.producer);
    assert_int_equal(pthread_create(&thread, NULL, s_expect, &expecting), 0);
    s_refuse_first_batch(&relay);
    (void) pthread_join(thread, NULL);
    assert_int_equal(expecting.rc, -1);
    assert_int_equal(expecting.error, EEXIST);
    assert_non_null(strstr(expecting.text, "conflict"));
    yam_callback_destroy(&expecting.producer);
    yam_destroy(&yam);
    scripted_relay_clear(&relay);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check_that_the_relay_refuses_for_good_is_not_expected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
