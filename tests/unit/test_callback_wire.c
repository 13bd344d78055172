//  Messages of the second check: what is written is read, and what is none is refused.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yam_error.h"
#include "yami_callback_wire.h"
#include "yami_message.h"

static yam_message_t *
s_message(const char *const *pairs)
{
    yam_message_t *message = yam_message_new("", 0);
    for (; *pairs != NULL; pairs += 2) {
        assert_int_equal(yami_message_put(message, pairs[0], pairs[1]), 0);
    }
    return message;
}

#define S_MESSAGE(...) s_message((const char *const[]) {__VA_ARGS__, NULL})

static void
test_checks_and_calls_are_read_as_they_were_written(void **state)
{
    (void) state;
    yam_case_t read;
    const yam_case_t row = {
        .id = "Größe/7", .queue = "orders", .service = "shop", .delay_ms = 300000, .round = 2};
    yam_message_t *message = yami_callback_check_build(&row);
    assert_int_equal(yami_callback_check_parse(message, &read), 0);
    assert_string_equal(read.id, row.id);
    assert_string_equal(read.queue, "orders");
    assert_string_equal(read.service, "shop");
    assert_int_equal(read.delay_ms, 300000);
    yam_message_destroy(&message);
    message = yami_callback_call_build(&row);
    assert_int_equal(yami_callback_call_parse(message, &read), 0);
    assert_string_equal(read.id, row.id);
    assert_int_equal(read.round, 3);
    assert_string_equal(read.queue, "orders");
    yam_message_destroy(&message);
}

static void
test_confirms_and_answers_are_read_as_they_were_written(void **state)
{
    (void) state;
    yam_case_confirm_t read;
    const yam_case_confirm_t confirm = {
        .id = "a", .outcome = YAM_CONFIRM_FAILED, .round = 1, .reason = "no stock"};
    yam_message_t *message = yami_callback_confirm_build(&confirm);
    assert_int_equal(yami_callback_confirm_parse(message, &read), 0);
    assert_string_equal(read.id, "a");
    assert_int_equal(read.outcome, YAM_CONFIRM_FAILED);
    assert_int_equal(read.round, 1);
    assert_string_equal(read.reason, "no stock");
    yam_message_destroy(&message);
    for (int answer = YAM_CALLBACK_RESEND; answer <= YAM_CALLBACK_LATER; answer++) {
        char note[8];
        int found;
        message = yami_callback_answer_build((yam_callback_answer_t) answer, "a long note");
        assert_int_equal(yami_callback_answer_parse(message, &found, note, sizeof note), 0);
        assert_int_equal(found, answer);
        assert_string_equal(note, "a long ");
        yam_message_destroy(&message);
    }
}

static void
test_ids_that_are_no_text_are_refused(void **state)
{
    (void) state;
    char longest[202];
    memset(longest, 'x', sizeof longest);
    longest[200] = 0;
    assert_int_equal(yami_callback_id_check(longest), 0);
    longest[200] = 'x';
    longest[201] = 0;
    static const char *const bad[] = {"",
                                      "a\nb",
                                      "\x7f",
                                      "\x80",
                                      "\xc0\x80",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xc3",
                                      "a\xff",
                                      "\xf4\x90\x80\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xe2\x82"};
    for (size_t index = 0; index < sizeof bad / sizeof *bad; index++) {
        errno = 0;
        assert_int_equal(yami_callback_id_check(bad[index]), -1);
        assert_int_equal(errno, EINVAL);
    }
    assert_int_equal(yami_callback_id_check(longest), -1);
    assert_int_equal(yami_callback_id_check(NULL), -1);
    assert_int_equal(yami_callback_id_check("\xf0\x9f\x90\x8e \xe2\x82\xac"), 0);
}

static void
s_assert_no_check(yam_message_t *message)
{
    yam_case_t row;
    errno = 0;
    assert_int_equal(yami_callback_check_parse(message, &row), -1);
    assert_int_equal(errno, EPROTO);
    assert_true(*yam_error() != 0);
    yam_message_destroy(&message);
}

static void
test_checks_that_say_too_little_or_nonsense_are_refused(void **state)
{
    (void) state;
    s_assert_no_check(S_MESSAGE("x", "y"));
    s_assert_no_check(S_MESSAGE("id", "a", "queue", "orders"));
    s_assert_no_check(S_MESSAGE("id", "a", "service", "shop"));
    s_assert_no_check(S_MESSAGE("id", "\xff", "queue", "orders", "service", "shop"));
    s_assert_no_check(S_MESSAGE("id", "a", "queue", "or ders", "service", "shop"));
    s_assert_no_check(S_MESSAGE("id", "a", "queue", "orders", "service", "shop", "delay-ms", "-1"));
    s_assert_no_check(S_MESSAGE("id", "a", "queue", "orders", "service", "shop", "delay-ms", "1x"));
    s_assert_no_check(S_MESSAGE("id", "a", "queue", "orders", "service", "shop", "delay-ms",
                                "99999999999999999999999"));
}

static void
test_confirms_that_say_nothing_are_refused_and_odd_reasons_mended(void **state)
{
    (void) state;
    yam_case_confirm_t confirm;
    yam_message_t *message = S_MESSAGE("id", "a", "outcome", "perhaps");
    assert_int_equal(yami_callback_confirm_parse(message, &confirm), -1);
    assert_int_equal(errno, EPROTO);
    yam_message_destroy(&message);
    message =
        S_MESSAGE("id", "a", "outcome", "failed", "reason", "out\nof \xff stock \xe2\x82\xac");
    assert_int_equal(yami_callback_confirm_parse(message, &confirm), 0);
    assert_string_equal(confirm.reason, "out?of ? stock \xe2\x82\xac");
    yam_message_destroy(&message);
}

static uint32_t
s_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (*seed >> 33);
}

static void
test_bytes_at_random_are_read_or_refused(void **state)
{
    (void) state;
    uint8_t bytes[64];
    uint64_t seed = 1;
    for (int round = 0; round < 200000; round++) {
        size_t size = s_random(&seed) % sizeof bytes;
        for (size_t index = 0; index < size; index++) {
            bytes[index] = (uint8_t) (s_random(&seed) % 4 == 0 ? 0xa2 : s_random(&seed));
        }
        bytes[0] = 0x82;
        struct yam_message message = {.record = {.properties = {bytes, size}}};
        yam_case_t row;
        yam_case_confirm_t confirm;
        char note[16];
        int answer;
        (void) yami_callback_check_parse(&message, &row);
        (void) yami_callback_confirm_parse(&message, &confirm);
        (void) yami_callback_call_parse(&message, &row);
        (void) yami_callback_answer_parse(&message, &answer, note, sizeof note);
    }
}

static void
test_round_of_a_message_is_read_and_anything_else_is_round_zero(void **state)
{
    (void) state;
    char id[YAM_CALLBACK_ID + 1];
    uint32_t round;
    yam_message_t *message = S_MESSAGE("id", "a", "yam-round", "2");
    assert_int_equal(yami_callback_identify(message, id, &round), 0);
    assert_string_equal(id, "a");
    assert_int_equal(round, 2);
    yam_message_destroy(&message);
    message = S_MESSAGE("id", "a", "yam-round", "two");
    assert_int_equal(yami_callback_identify(message, id, &round), 0);
    assert_int_equal(round, 0);
    yam_message_destroy(&message);
    message = S_MESSAGE("no", "id");
    assert_int_equal(yami_callback_identify(message, id, &round), -1);
    assert_int_equal(errno, EINVAL);
    yam_message_destroy(&message);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checks_and_calls_are_read_as_they_were_written),
        cmocka_unit_test(test_confirms_and_answers_are_read_as_they_were_written),
        cmocka_unit_test(test_ids_that_are_no_text_are_refused),
        cmocka_unit_test(test_checks_that_say_too_little_or_nonsense_are_refused),
        cmocka_unit_test(test_confirms_that_say_nothing_are_refused_and_odd_reasons_mended),
        cmocka_unit_test(test_bytes_at_random_are_read_or_refused),
        cmocka_unit_test(test_round_of_a_message_is_read_and_anything_else_is_round_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
