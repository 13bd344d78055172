//  The commit thread over a store that a test plays.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "yami_relay_commit.h"

#define PATIENCE_MS 10000 //  only a failure takes so long

typedef struct {
    yami_store_t store; //  first, by contract
    atomic_int calls;
    atomic_int full_calls; //  so many find no space
} played_t;

static int
s_commit(yami_store_t *store, uint64_t *durable_lsn_p)
{
    played_t *self = (played_t *) store;
    bool is_full = atomic_fetch_add(&self->calls, 1) < atomic_load(&self->full_calls);
    *durable_lsn_p = is_full ? 3 : 7;
    return is_full ? 0 : 1;
}

static const yami_store_ops_t s_ops = {.commit = s_commit};

//  Waits until that is durable. Whether it became so.
static bool
s_wait(const yami_relay_commit_t *commit, int wake_fd, uint64_t lsn)
{
    struct pollfd item = {.fd = wake_fd, .events = POLLIN};
    while (yami_relay_commit_durable(commit) < lsn) {
        uint64_t ignored;
        if (poll(&item, 1, PATIENCE_MS) != 1 || read(wake_fd, &ignored, sizeof ignored) == -1) {
            return false;
        }
    }
    return true;
}

static void
test_what_found_no_space_is_tried_again_without_another_append(void **state)
{
    (void) state;
    played_t played = {.store = {.ops = &s_ops}, .full_calls = 2};
    int wake_fd = eventfd(0, EFD_CLOEXEC);
    assert_int_not_equal(wake_fd, -1);
    yami_relay_commit_t *commit = yami_relay_commit_new(&played.store, wake_fd);
    assert_non_null(commit);
    yami_relay_commit_kick(commit, 7);
    assert_true(s_wait(commit, wake_fd, 7));
    assert_int_equal(atomic_load(&played.calls), 3);
    yami_relay_commit_destroy(&commit);
    assert_int_equal(atomic_load(&played.calls), 3);
    close(wake_fd);
}

static void
test_closing_does_not_wait_for_space(void **state)
{
    (void) state;
    played_t played = {.store = {.ops = &s_ops}, .full_calls = 1000000};
    int wake_fd = eventfd(0, EFD_CLOEXEC);
    yami_relay_commit_t *commit = yami_relay_commit_new(&played.store, wake_fd);
    assert_non_null(commit);
    yami_relay_commit_kick(commit, 7);
    assert_true(s_wait(commit, wake_fd, 3));
    yami_relay_commit_destroy(&commit);
    assert_true(atomic_load(&played.calls) < 1000000);
    close(wake_fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_found_no_space_is_tried_again_without_another_append),
        cmocka_unit_test(test_closing_does_not_wait_for_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
