#include "case_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

const yami_callback_rules_t case_rules = {.round_limit = 3,
                                          .try_limit = 4,
                                          .lease_ms = CASE_LEASE_MS,
                                          .backoff_ms = {10, 100},
                                          .backoff_count = 2};

yami_callback_view_t case_view;
yami_callback_effects_t case_effects;
int64_t case_now_ms;

int
case_setup(void **state)
{
    (void) state;
    memset(&case_view, 0, sizeof case_view);
    memset(&case_effects, 0, sizeof case_effects);
    case_now_ms = 1700000000000;
    return 0;
}

int
case_step(const yami_callback_event_t *event)
{
    int rc = yami_callback_step(&case_rules, case_now_ms, event, &case_view, &case_effects);
    if (rc == 0) {
        yami_callback_check(&case_rules, &case_view);
    }
    return rc;
}

void
case_check(void)
{
    yam_case_t check = {.id = "a", .queue = "orders", .service = "shop", .delay_ms = CASE_DELAY_MS};
    assert_int_equal(
        case_step(&(yami_callback_event_t) {.type = YAMI_CALLBACK_CHECK, .check = &check}), 0);
}

void
case_confirm(int outcome, uint32_t round)
{
    yam_case_confirm_t confirm = {.id = "a",
                                  .outcome = outcome,
                                  .round = round,
                                  .time_ms = case_now_ms,
                                  .reason = "no stock"};
    assert_int_equal(
        case_step(&(yami_callback_event_t) {.type = YAMI_CALLBACK_CONFIRM, .confirm = &confirm}),
        0);
}

void
case_look(void)
{
    assert_int_equal(case_step(&(yami_callback_event_t) {.type = YAMI_CALLBACK_LOOK,
                                                         .call = case_view.row.call}),
                     0);
}

void
case_answer(uint32_t call, int answer)
{
    assert_int_equal(
        case_step(&(yami_callback_event_t) {
            .type = YAMI_CALLBACK_ANSWER, .call = call, .answer = answer, .text = "because"}),
        0);
}

int
case_people(yami_callback_event_type_t type)
{
    return case_step(&(yami_callback_event_t) {.type = type, .text = "looked at it"});
}
