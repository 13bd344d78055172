//  Slabs of received messages, and their handing out to many threads without a lock.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_handout.h"
#include "yami_monitor.h"

#define THREADS 4
#define MESSAGES 200000u

static const char s_bytes[] = "frame";

static void
s_count_release(void *hint)
{
    ++*(unsigned *) hint;
}

//  A slab of count messages, numbered from first, in a frame whose release is counted.
static yami_message_slab_t *
s_slab(uint32_t count, uint64_t first, const char *subject, unsigned *released)
{
    yami_block_t *block = yami_block_new(s_bytes, sizeof s_bytes, s_count_release, released);
    yami_message_slab_t *slab = yami_message_slab_new(block, subject, count);
    assert_non_null(slab);
    yami_block_unref(&block);
    yami_record_t record = {.body = {(const uint8_t *) s_bytes, 5}};
    for (uint32_t index = 0; index < count; index++) {
        yami_message_slab_add(slab, &record, first + index);
    }
    return slab;
}

static void
test_a_frame_lives_until_the_last_of_its_messages_is_destroyed(void **state)
{
    (void) state;
    unsigned released = 0;
    yami_handout_t handout = {.put = 0};
    yami_handout_put(&handout, s_slab(3, 7, "orders.eu", &released));
    yam_message_t *messages[3];
    for (int index = 0; index < 3; index++) {
        messages[index] = yami_handout_take(&handout);
        assert_non_null(messages[index]);
        assert_int_equal(yam_message_sequence(messages[index]), 7 + index);
        assert_int_equal(yam_message_deliveries(messages[index]), 1);
    }
    assert_null(yami_handout_take(&handout));
    yam_message_destroy(&messages[1]);
    yam_message_destroy(&messages[0]);
    assert_int_equal(released, 0);
    assert_memory_equal(yam_message_body(messages[2]), "frame", 5);
    assert_string_equal(yam_message_subject(messages[2]), "orders.eu");
    assert_null(yam_message_get(messages[2], "colour"));
    assert_int_equal(yam_message_set(messages[2], "colour", "red"), -1); //  it was received
    yam_message_destroy(&messages[2]);
    assert_null(messages[2]);
    assert_int_equal(released, 1);
    yami_handout_clear(&handout);
}

static void
test_what_was_not_taken_goes_with_the_handout(void **state)
{
    (void) state;
    unsigned released = 0;
    yami_handout_t handout = {.put = 0};
    yami_handout_put(&handout, s_slab(5, 1, "", &released));
    yam_message_t *kept = yami_handout_take(&handout);
    assert_int_equal(yami_handout_taken(&handout), 1);
    yami_handout_clear(&handout);
    assert_null(yami_handout_take(&handout));
    assert_int_equal(released, 0);
    assert_string_equal(yam_message_subject(kept), "");
    yam_message_destroy(&kept); //  outlives the receiver it came from
    assert_int_equal(released, 1);
    yami_handout_clear(&handout);
}

static void
test_a_slab_to_which_nothing_was_added_is_freed_with_its_frame(void **state)
{
    (void) state;
    unsigned released = 0;
    yami_block_t *block = yami_block_new(s_bytes, sizeof s_bytes, s_count_release, &released);
    yami_message_slab_t *slab = yami_message_slab_new(block, "subject", 1);
    yami_block_unref(&block);
    yami_message_slab_free(slab);
    assert_int_equal(released, 1);
}

static void
test_a_slab_that_finds_no_memory_takes_no_reference(void **state)
{
    (void) state;
    unsigned released = 0;
    yami_block_t *block = yami_block_new(s_bytes, sizeof s_bytes, s_count_release, &released);
    for (int allocations = 0; allocations < 2; allocations++) { //  the slab, its subject
        yami_alloc_fail_after(allocations);
        yami_message_slab_t *slab = yami_message_slab_new(block, "subject", 3);
        yami_alloc_fail_after(-1);
        assert_null(slab);
        assert_int_equal(errno, ENOMEM);
    }
    yami_block_unref(&block);
    assert_int_equal(released, 1);
}

//  Who was halted after it looked must not take from the next slab as if it were the one it saw.
static void
test_a_thread_that_looked_before_a_change_of_slabs_takes_nothing_by_it(void **state)
{
    (void) state;
    unsigned released = 0;
    yami_handout_t handout = {.put = 0};
    yami_handout_put(&handout, s_slab(1, 1, "", &released));
    uint64_t seen = atomic_load(&handout.left);
    yam_message_t *message = yami_handout_take(&handout);
    yam_message_destroy(&message);
    yami_handout_put(&handout, s_slab(1, 2, "", &released)); //  as many left as then
    assert_false(atomic_compare_exchange_strong(&handout.left, &seen, seen - 1));
    message = yami_handout_take(&handout);
    assert_int_equal(yam_message_sequence(message), 2);
    yam_message_destroy(&message);
    assert_int_equal(released, 2);
}

typedef struct {
    yami_handout_t handout;
    yami_monitor_t monitor;
    uint64_t next;                //  under the lock
    atomic_uchar taken[MESSAGES]; //  how often
} s_shared_t;

static s_shared_t s_shared;

static void
s_ignore(void *hint)
{
    (void) hint;
}

//  Under the lock, with none left: the next slab, of 1 to the most messages. Whether there was one.
static bool
s_refill(s_shared_t *shared)
{
    uint64_t left = MESSAGES - shared->next;
    if (left == 0) {
        return false;
    }
    uint32_t count = (uint32_t) (shared->next * 7919 % YAMI_MESSAGE_SLAB_LIMIT) + 1;
    count = count < left ? count : (uint32_t) left;
    yami_block_t *block = yami_block_new(s_bytes, sizeof s_bytes, s_ignore, NULL);
    yami_message_slab_t *slab = yami_message_slab_new(block, "", count);
    yami_block_unref(&block);
    yami_record_t record = {.body = {(const uint8_t *) s_bytes, 5}};
    for (uint32_t index = 0; index < count; index++) {
        yami_message_slab_add(slab, &record, shared->next++);
    }
    yami_handout_put(&shared->handout, slab);
    return true;
}

static yam_message_t *
s_take_or_refill(s_shared_t *shared)
{
    yam_message_t *message = yami_handout_take(&shared->handout);
    if (message != NULL) {
        return message;
    }
    yami_monitor_lock(&shared->monitor);
    do {
        message = yami_handout_take(&shared->handout);
    } while (message == NULL && s_refill(shared));
    yami_monitor_unlock(&shared->monitor);
    return message;
}

static void *
s_taker(void *arg)
{
    s_shared_t *shared = arg;
    yam_message_t *message;
    while ((message = s_take_or_refill(shared)) != NULL) {
        atomic_fetch_add(&shared->taken[yam_message_sequence(message)], 1);
        yam_message_destroy(&message);
    }
    return NULL;
}

static void
test_of_many_threads_exactly_one_takes_each_message(void **state)
{
    (void) state;
    pthread_t threads[THREADS];
    yami_monitor_init(&s_shared.monitor);
    for (int index = 0; index < THREADS; index++) {
        assert_int_equal(pthread_create(&threads[index], NULL, s_taker, &s_shared), 0);
    }
    for (int index = 0; index < THREADS; index++) {
        assert_int_equal(pthread_join(threads[index], NULL), 0);
    }
    for (uint32_t index = 0; index < MESSAGES; index++) {
        assert_int_equal(atomic_load(&s_shared.taken[index]), 1);
    }
    assert_int_equal(yami_handout_taken(&s_shared.handout), MESSAGES);
    yami_handout_clear(&s_shared.handout);
    yami_monitor_destroy(&s_shared.monitor);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_frame_lives_until_the_last_of_its_messages_is_destroyed),
        cmocka_unit_test(test_what_was_not_taken_goes_with_the_handout),
        cmocka_unit_test(test_a_slab_to_which_nothing_was_added_is_freed_with_its_frame),
        cmocka_unit_test(test_a_slab_that_finds_no_memory_takes_no_reference),
        cmocka_unit_test(test_a_thread_that_looked_before_a_change_of_slabs_takes_nothing_by_it),
        cmocka_unit_test(test_of_many_threads_exactly_one_takes_each_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
