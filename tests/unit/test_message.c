//  yam_message: built by a user, or received.

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "wire_samples.h"
#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"

static void
test_a_new_message_holds_a_copy_of_its_body(void **state)
{
    (void) state;
    char body[] = "body";
    yam_message_t *message = yam_message_new(body, 4);
    body[0] = 'B';
    assert_int_equal(yam_message_size(message), 4);
    assert_memory_equal(yam_message_body(message), "body", 4);
    assert_int_equal(yam_message_sequence(message), 0);
    assert_int_equal(yam_message_time_ms(message), 0);
    assert_int_equal(yam_message_deliveries(message), 1);
    assert_int_equal(yam_message_failures(message), 0);
    assert_int_equal(message->record.priority, YAMI_PRIORITY_DEFAULT);
    assert_string_equal(yam_message_subject(message), "");
    yam_message_destroy(&message);
    assert_null(message);
    yam_message_destroy(&message);
}

static void
test_an_empty_body_is_not_null(void **state)
{
    (void) state;
    yam_message_t *message = yam_message_new(NULL, 0);
    assert_int_equal(yam_message_size(message), 0);
    assert_non_null(yam_message_body(message));
    yam_message_destroy(&message);
}

static void
test_a_body_larger_than_the_limit_is_refused(void **state)
{
    (void) state;
    char *body = calloc(1, YAMI_LIMIT_BODY + 1);
    assert_null(yam_message_new(body, YAMI_LIMIT_BODY + 1));
    assert_int_equal(errno, EMSGSIZE);
    yam_message_t *message = yam_message_new(body, YAMI_LIMIT_BODY);
    assert_non_null(message);
    yam_message_destroy(&message);
    free(body);
}

static void
test_properties_are_set_replaced_and_listed(void **state)
{
    (void) state;
    yam_message_t *message = yam_message_new("x", 1);
    assert_null(yam_message_get(message, "tag"));
    assert_null(yam_message_property_name(message, 0));
    assert_int_equal(yam_message_set(message, "tag", "old"), 0);
    assert_int_equal(yam_message_set(message, "key", "customer-7"), 0);
    assert_int_equal(yam_message_set(message, "subject", "eu.de"), 0);
    assert_int_equal(yam_message_set(message, "tag", "new"), 0);
    assert_string_equal(yam_message_get(message, "tag"), "new");
    assert_string_equal(yam_message_get(message, "key"), "customer-7");
    assert_string_equal(yam_message_subject(message), "eu.de");
    assert_string_equal(yam_message_property_name(message, 0), "key");
    assert_string_equal(yam_message_property_name(message, 2), "tag");
    assert_null(yam_message_property_name(message, 3));
    assert_int_equal(message->record.key_hash, yami_key_hash("customer-7", 10));
    yam_message_destroy(&message);
}

static void
test_unsound_properties_are_refused_and_change_nothing(void **state)
{
    (void) state;
    static const char *const refused[][2] = {
        {"", "v"}, {"yam-reason", "v"}, {"subject", "a..b"}, {"subject", "a.*"}, {"subject", ""}};
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_message_set(message, "tag", "kept"), 0);
    for (size_t index = 0; index < sizeof refused / sizeof refused[0]; index++) {
        assert_int_equal(yam_message_set(message, refused[index][0], refused[index][1]), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(yam_message_set(message, NULL, "v"), -1);
    assert_int_equal(yam_message_set(message, "tag", NULL), -1);
    assert_int_equal(yam_message_set(message, "yam", "the user's own"), 0);
    assert_string_equal(yam_message_get(message, "tag"), "kept");
    assert_null(yam_message_property_name(message, 2));
    yam_message_destroy(&message);
}

static void
test_one_property_more_than_the_limit_is_refused(void **state)
{
    (void) state;
    yam_message_t *message = yam_message_new("x", 1);
    char name[16];
    for (unsigned index = 0; index < YAMI_LIMIT_PROPERTY_COUNT; index++) {
        snprintf(name, sizeof name, "p%u", index);
        assert_int_equal(yam_message_set(message, name, "v"), 0);
    }
    assert_int_equal(yam_message_set(message, "more", "v"), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(yam_message_set(message, "p0", "again"), 0);
    assert_string_equal(yam_message_get(message, "p0"), "again");
    yam_message_destroy(&message);
}

static void
test_more_bytes_of_properties_than_the_limit_are_refused(void **state)
{
    (void) state;
    char *value = malloc(YAMI_LIMIT_PROPERTIES + 1);
    memset(value, 'v', YAMI_LIMIT_PROPERTIES);
    size_t overhead = 1 + 2 + 3; //  map, name "n", str 16
    value[YAMI_LIMIT_PROPERTIES - overhead] = 0;
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_message_set(message, "n", value), 0);
    assert_int_equal(message->record.properties.size, YAMI_LIMIT_PROPERTIES);
    assert_int_equal(yam_message_set(message, "m", ""), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_string_equal(yam_message_get(message, "n"), value);
    yam_message_destroy(&message);
    free(value);
}

static void
test_a_failing_allocation_is_told_and_changes_nothing(void **state)
{
    (void) state;
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_message_set(message, "tag", "kept"), 0);
    yami_alloc_fail_after(0);
    assert_int_equal(yam_message_set(message, "tag", "lost"), -1);
    assert_int_equal(errno, ENOMEM);
    assert_null(yam_message_get(message, "tag"));
    assert_string_equal(yam_message_subject(message), "");
    yami_alloc_fail_after(-1);
    assert_string_equal(yam_message_get(message, "tag"), "kept");
    yam_message_destroy(&message);
}

static void
test_a_received_message_keeps_its_frame(void **state)
{
    (void) state;
    yami_batch_t batch;
    yami_record_t record;
    size_t offset = 0;
    yami_block_t *block = wire_batch_sample_encode(&wire_batch_samples[1]);
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    assert_int_equal(yami_batch_next(&batch, &offset, &record), 0);
    yam_message_t *message = yami_message_received(NULL, block, &record);
    assert_memory_equal(yam_message_body(message), "{\"order\": 1}", 12);
    assert_string_equal(yam_message_get(message, "key"), "customer-7");
    assert_string_equal(yam_message_get(message, "attempt"), "-1");
    assert_string_equal(yam_message_get(message, "paid"), "true");
    assert_int_equal(yam_message_deliveries(message), 1);
    yam_message_destroy(&message);
}

static void
test_a_message_done_with_gives_its_memory_to_the_next(void **state)
{
    (void) state;
    yami_message_pool_t pool = {0};
    yami_block_t *block = yami_block_copy("x", 1, 1);
    yami_record_t record = {.properties = yami_slice("\x81\xa1k\xa1v", 5),
                            .body = yami_slice(block->data, 1)};
    yam_message_t *messages[YAMI_MESSAGE_POOL_LIMIT + 1];
    yami_block_ref_many(block, YAMI_MESSAGE_POOL_LIMIT + 1);
    for (size_t index = 0; index <= YAMI_MESSAGE_POOL_LIMIT; index++) {
        messages[index] = yami_message_received(&pool, block, &record);
        assert_string_equal(yam_message_get(messages[index], "k"), "v");
        messages[index]->sequence = index;
    }
    for (size_t index = YAMI_MESSAGE_POOL_LIMIT + 1; index > 0; index--) {
        yami_message_pool_put(&pool, &messages[index - 1]); //  the last one finds no room
        assert_null(messages[index - 1]);
    }
    assert_int_equal(pool.count, YAMI_MESSAGE_POOL_LIMIT);
    assert_int_equal(block->reference_count, 1);
    yam_message_t *next = yami_message_received(&pool, block, &record);
    assert_int_equal(pool.count, YAMI_MESSAGE_POOL_LIMIT - 1);
    assert_int_equal(yam_message_sequence(next), 0);
    assert_null(next->scratch);
    yam_message_destroy(&next);
    yami_message_pool_clear(&pool);
    assert_int_equal(pool.count, 0);
}

static void
test_a_received_message_cannot_be_changed(void **state)
{
    (void) state;
    yami_block_t *block = yami_block_copy("x", 1, 1);
    yami_record_t record = {.body = yami_slice(block->data, 1)};
    yam_message_t *message = yami_message_received(NULL, block, &record);
    assert_int_equal(yam_message_set(message, "tag", "v"), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(yam_message_set_due(message, 1), -1);
    assert_int_equal(errno, EINVAL);
    yam_message_destroy(&message);
}

static void
test_a_due_time_is_set_read_and_taken_back(void **state)
{
    (void) state;
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_message_due_ms(message), 0);
    assert_int_equal(yam_message_set_due(message, YAMI_LIMIT_TIME_MS), 0);
    assert_int_equal(yam_message_due_ms(message), YAMI_LIMIT_TIME_MS);
    assert_int_equal(message->record.flags, YAMI_RECORD_DUE);
    assert_int_equal(yam_message_set_due(message, 0), 0);
    assert_int_equal(yam_message_due_ms(message), 0);
    assert_int_equal(message->record.flags, 0);
    yam_message_destroy(&message);
}

static void
test_a_due_time_out_of_range_is_refused_and_changes_nothing(void **state)
{
    (void) state;
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_message_set_due(message, 5), 0);
    assert_int_equal(yam_message_set_due(message, -1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(yam_message_set_due(message, YAMI_LIMIT_TIME_MS + 1), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(yam_message_due_ms(message), 5);
    yam_message_destroy(&message);
}

static void
test_malformed_properties_of_a_peer_read_as_none(void **state)
{
    (void) state;
    yami_block_t *block = yami_block_copy("\x82\xa1k\x01", 4, 4);
    yami_record_t record = {.properties = yami_slice(block->data, 4)};
    yam_message_t *message = yami_message_received(NULL, block, &record);
    assert_null(yam_message_get(message, "k"));
    assert_string_equal(yam_message_subject(message), "");
    assert_null(yam_message_property_name(message, 1));
    yam_message_destroy(&message);
}

static void
test_a_subject_of_the_transport_comes_first(void **state)
{
    (void) state;
    yam_message_t *message = yam_message_new("x", 1);
    assert_int_equal(yam_message_set(message, "subject", "property"), 0);
    message->subject = yami_strdup("transport");
    assert_string_equal(yam_message_subject(message), "transport");
    yam_message_destroy(&message);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_new_message_holds_a_copy_of_its_body),
        cmocka_unit_test(test_an_empty_body_is_not_null),
        cmocka_unit_test(test_a_body_larger_than_the_limit_is_refused),
        cmocka_unit_test(test_properties_are_set_replaced_and_listed),
        cmocka_unit_test(test_unsound_properties_are_refused_and_change_nothing),
        cmocka_unit_test(test_one_property_more_than_the_limit_is_refused),
        cmocka_unit_test(test_more_bytes_of_properties_than_the_limit_are_refused),
        cmocka_unit_test(test_a_failing_allocation_is_told_and_changes_nothing),
        cmocka_unit_test(test_a_received_message_keeps_its_frame),
        cmocka_unit_test(test_a_message_done_with_gives_its_memory_to_the_next),
        cmocka_unit_test(test_a_received_message_cannot_be_changed),
        cmocka_unit_test(test_a_due_time_is_set_read_and_taken_back),
        cmocka_unit_test(test_a_due_time_out_of_range_is_refused_and_changes_nothing),
        cmocka_unit_test(test_malformed_properties_of_a_peer_read_as_none),
        cmocka_unit_test(test_a_subject_of_the_transport_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
