//  wrapper_fixture - see the header.

#include "wrapper_fixture.h"

#include <stdio.h>

#include "yam_error.h"

yam_t *wrapper_yam;
static bool s_has_ended; //  the test, without a failure

int
wrapper_setup(void **state)
{
    (void) state;
    s_has_ended = false;
    wrapper_yam = yam_new();
    return wrapper_yam ? 0 : -1;
}

int
wrapper_teardown(void **state)
{
    (void) state;
    if (s_has_ended) {
        yam_destroy(&wrapper_yam);
    }
    return 0;
}

void
wrapper_run(void **state)
{
    CMUnitTestFunction test = *(CMUnitTestFunction *) *state;
    test(state);
    s_has_ended = true;
}

//  object, which is there.
static void *
s_checked(void *object)
{
    if (!object) {
        fail_msg("%s", yam_error());
    }
    return object;
}

yam_push_t *
wrapper_push(const char *endpoint)
{
    return s_checked(yam_push_new(wrapper_yam, "orders", endpoint));
}

yam_pull_t *
wrapper_pull(const char *endpoint)
{
    return s_checked(yam_pull_new(wrapper_yam, "orders", endpoint));
}

yam_pub_t *
wrapper_pub(const char *endpoint)
{
    return s_checked(yam_pub_new(wrapper_yam, "prices", endpoint));
}

yam_sub_t *
wrapper_sub(const char *endpoint)
{
    return s_checked(yam_sub_new(wrapper_yam, "prices", endpoint));
}

const char *
wrapper_peer(const char *endpoint, const char *options)
{
    static char text[600];
    int length = snprintf(text, sizeof text, ">%s%s", endpoint, options);
    assert_in_range(length, 1, sizeof text - 1);
    return text;
}
