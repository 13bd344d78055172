//  Random histories of a case against an oracle that only knows what came and when.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "callback/case_fixture.h"
#include "yam_callback.h"

//  What an onlooker knows: nothing of states, only of what came and what was done.
typedef struct {
    bool is_checked; //  a check came
    bool is_done;    //  a confirm that says so
    bool is_ended;   //  gone, or closed by people
    bool is_asked;   //  a call is under way
    uint32_t call;   //  the latest
    uint32_t resent; //  answers to a latest call, that said so
    uint32_t tries;  //  calls since then
    int64_t called_ms;
    int64_t not_before_ms; //  nothing is called before
} s_oracle_t;

static s_oracle_t s_oracle;
static uint64_t s_seed;

static uint32_t
s_random(uint32_t below)
{
    s_seed = s_seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t) (s_seed >> 33) % below;
}

static void
s_see_call(void)
{
    assert_true(s_oracle.is_checked);
    assert_false(s_oracle.is_done);
    assert_false(s_oracle.is_ended);
    assert_true(case_now_ms >= s_oracle.not_before_ms);
    s_oracle.call++;
    s_oracle.tries++;
    assert_int_equal(case_view.row.call, s_oracle.call);
    assert_true(s_oracle.tries <= case_rules.try_limit);
    s_oracle.is_asked = true;
    s_oracle.not_before_ms = case_now_ms + CASE_LEASE_MS;
}

static void
s_do_answer(void)
{
    static const int answers[] = {0, YAM_CALLBACK_RESEND, YAM_CALLBACK_RESEND, YAM_CALLBACK_GONE,
                                  YAM_CALLBACK_LATER};
    if (s_oracle.call == 0) {
        return;
    }
    //  A call has one answer: the latest, or that of one made before it.
    uint32_t call = s_oracle.is_asked && s_random(3) > 0 ? s_oracle.call : s_oracle.call - 1;
    int answer = answers[s_random(5)];
    bool counts = call == s_oracle.call && !s_oracle.is_done && !s_oracle.is_ended &&
                  case_view.row.state == YAM_CASE_CALLING;
    case_answer(call, answer);
    if (!counts) {
        assert_true(case_effects.is_stale);
        return;
    }
    s_oracle.is_asked = false;
    s_oracle.is_ended = answer == YAM_CALLBACK_GONE;
    s_oracle.not_before_ms = case_now_ms;
    if (answer == YAM_CALLBACK_RESEND) {
        s_oracle.resent++;
        s_oracle.tries = 0;
        s_oracle.not_before_ms = case_now_ms + CASE_DELAY_MS;
    }
}

static void
s_do_people(void)
{
    bool is_close = s_random(4) == 0;
    if (!s_oracle.is_checked || case_view.row.state == YAM_CASE_NONE) {
        return; //  the store refuses what is not there
    }
    int rc = case_people(is_close ? YAMI_CALLBACK_CLOSE : YAMI_CALLBACK_RETRY);
    if (rc == 0) {
        s_oracle.is_ended = is_close;
        s_oracle.is_asked = false;
        s_oracle.call += is_close ? 0 : 1;
        s_oracle.tries = 0;
        s_oracle.not_before_ms = case_now_ms;
    } else {
        assert_true(s_oracle.is_done || (is_close && s_oracle.is_ended));
    }
}

static void
s_do_confirm(void)
{
    bool is_done = s_random(8) == 0;
    case_confirm(is_done ? YAM_CONFIRM_DONE : YAM_CONFIRM_FAILED, s_random(s_oracle.resent + 1));
    s_oracle.is_done = s_oracle.is_done || is_done;
}

//  Nothing is forgotten, nothing alarms without reason, rounds are what was resent.
static void
s_compare(void)
{
    int now = case_view.row.state;
    bool is_known = now != YAM_CASE_NONE;
    assert_int_equal(case_view.row.round, is_known ? s_oracle.resent : 0);
    if (s_oracle.is_checked && !s_oracle.is_done && !s_oracle.is_ended) {
        assert_true(now == YAM_CASE_WAITING || now == YAM_CASE_CALLING || now == YAM_CASE_OPEN);
    }
    if (s_oracle.is_done) {
        assert_int_equal(case_view.confirm.outcome, YAM_CONFIRM_DONE);
        assert_true(now == YAM_CASE_NONE || now == YAM_CASE_DONE || s_oracle.is_ended);
    }
    if (now == YAM_CASE_OPEN) {
        assert_true(s_oracle.resent >= case_rules.round_limit ||
                    s_oracle.tries == case_rules.try_limit);
    }
}

static void
s_do_one(void)
{
    switch (s_random(10)) {
    case 0:
        case_check();
        s_oracle.is_checked = s_oracle.is_checked || !s_oracle.is_done;
        break;
    case 1:
        s_do_confirm();
        break;
    case 2:
    case 3:
        s_do_answer();
        break;
    case 4:
        case_now_ms += s_random(2 * CASE_DELAY_MS);
        break;
    case 5:
        s_do_people();
        break;
    default:
        case_look();
        if (case_effects.calls) {
            if (case_view.row.try_count == 1) {
                s_oracle.tries = 0;
            }
            s_see_call();
        }
        break;
    }
}

static void
test_random_histories_forget_nothing_and_alarm_nobody(void **state)
{
    (void) state;
    const char *steps = getenv("STEPS");
    const char *from = getenv("SEED");
    uint64_t histories = steps != NULL ? strtoull(steps, NULL, 10) / 60 : 20000;
    uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
    for (uint64_t seed = first; seed < first + histories; seed++) {
        case_setup(NULL);
        memset(&s_oracle, 0, sizeof s_oracle);
        s_seed = seed * 2654435761u;
        (void) printf(seed == first ? "# SEED=%llu and on\n" : "", (unsigned long long) seed);
        for (int step = 0; step < 60; step++) {
            s_do_one();
            s_compare();
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories_forget_nothing_and_alarm_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
