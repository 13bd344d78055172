//  yami_frame_socket: what has come in over a socket is whole, whatever memory there is.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <zmq.h>

#include "yami_alloc_test.h"
#include "yami_frame_socket.h"

#define LARGE 5000 //  bytes: not copied

typedef struct {
    void *context;
    void *out;
    void *in;
} s_pair_t;

static int
s_setup(void **state)
{
    static s_pair_t pair;
    pair.context = zmq_ctx_new();
    pair.out = zmq_socket(pair.context, ZMQ_PAIR);
    pair.in = zmq_socket(pair.context, ZMQ_PAIR);
    *state = &pair;
    return zmq_bind(pair.in, "inproc://pair") == -1 || zmq_connect(pair.out, "inproc://pair") == -1
               ? -1
               : 0;
}

static int
s_teardown(void **state)
{
    s_pair_t *pair = *state;
    (void) zmq_close(pair->out);
    (void) zmq_close(pair->in);
    return zmq_ctx_term(pair->context);
}

static void
s_send(const s_pair_t *pair, const void *data, size_t size, bool more)
{
    assert_int_equal(yami_socket_send_copy(pair->out, data, size, more), 0);
}

static void
s_expect(const s_pair_t *pair, const void *data, size_t size, bool more)
{
    bool has_more = !more;
    yami_block_t *block = yami_socket_recv(pair->in, &has_more);
    assert_non_null(block);
    assert_int_equal(block->size, size);
    assert_memory_equal(block->data, data, size);
    assert_int_equal(has_more, more);
    yami_block_unref(&block);
}

static void
test_parts_come_one_after_the_other_and_then_none(void **state)
{
    uint8_t large[LARGE];
    memset(large, 7, sizeof large);
    s_send(*state, "id", 2, true);
    s_send(*state, large, sizeof large, false);
    s_expect(*state, "id", 2, true);
    s_expect(*state, large, sizeof large, false);
    bool has_more;
    s_pair_t *pair = *state;
    assert_null(yami_socket_recv(pair->in, &has_more));
    assert_int_equal(errno, EAGAIN);
}

//  A settle frame that vanished so was said to be durable by the ACKED of the one after it.
static void
test_part_without_memory_for_its_copy_is_not_lost(void **state)
{
    s_send(*state, "id", 2, true);
    s_send(*state, "ack", 3, false);
    s_send(*state, "id", 2, true);
    s_send(*state, "next", 4, false);
    yami_alloc_fail_after(0);
    s_expect(*state, "id", 2, true);
    assert_true(yami_alloc_has_failed());
    s_expect(*state, "ack", 3, false);
    yami_alloc_fail_after(-1);
    s_expect(*state, "id", 2, true);
    s_expect(*state, "next", 4, false);
}

//  And the message after them is the next.
static void
test_parts_that_are_too_many_are_skipped_and_counted(void **state)
{
    s_pair_t *pair = *state;
    s_send(pair, "first", 5, true);
    for (int part = 0; part < 20; part++) {
        s_send(pair, "", 0, part < 19);
    }
    s_send(pair, "next", 4, false);
    s_expect(pair, "first", 5, true);
    assert_int_equal(yami_socket_skip(pair->in), 20);
    s_expect(pair, "next", 4, false);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parts_come_one_after_the_other_and_then_none, s_setup,
                                        s_teardown),
        cmocka_unit_test_setup_teardown(test_parts_that_are_too_many_are_skipped_and_counted,
                                        s_setup, s_teardown),
        cmocka_unit_test_setup_teardown(test_part_without_memory_for_its_copy_is_not_lost, s_setup,
                                        s_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
