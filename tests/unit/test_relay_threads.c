//  A relay as a value that several threads use at once: each is told its own outcome, and none waits
//  for what is another's.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "yam_relay.h"

#define SETTERS 4
#define SETTINGS 200

typedef struct {
    yam_relay_t *relay;
    const char *value;
    int expected; //  errno
    int wrong_count;
} s_setter_t;

static void *
s_set_often(void *arg)
{
    s_setter_t *setter = arg;
    for (int count = 0; count < SETTINGS; count++) {
        errno = 0;
        int rc = yam_relay_set(setter->relay, "lease", setter->value);
        setter->wrong_count += rc == (setter->expected == 0 ? 0 : -1) ? 0 : 1;
        setter->wrong_count += errno == setter->expected ? 0 : 1;
    }
    return NULL;
}

static void
test_threads_that_set_at_once_are_each_told_their_own_outcome(void **state)
{
    (void) state;
    yam_t *yam = yam_new();
    yam_relay_t *relay = yam_relay_new(yam, "tcp://127.0.0.1:*", NULL, NULL);
    assert_non_null(relay);
    s_setter_t setters[SETTERS];
    pthread_t threads[SETTERS];
    for (int index = 0; index < SETTERS; index++) {
        bool is_right = index % 2 == 0;
        setters[index] = (s_setter_t) {relay, is_right ? "20s" : "soon", is_right ? 0 : EINVAL, 0};
        assert_int_equal(pthread_create(&threads[index], NULL, s_set_often, &setters[index]), 0);
    }
    for (int index = 0; index < SETTERS; index++) {
        (void) pthread_join(threads[index], NULL);
        assert_int_equal(setters[index].wrong_count, 0);
    }
    yam_relay_destroy(&relay);
    yam_destroy(&yam);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_that_set_at_once_are_each_told_their_own_outcome),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
