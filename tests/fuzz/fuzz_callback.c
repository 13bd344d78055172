//  Checks, confirms, calls and answers as peers send them: any message gives a valid value or
//  EPROTO, and what is valid is the same when it is written and read again. One case lives by what
//  was read, whatever its id, beside time, answers that come late, and people.

#include <errno.h>
#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_callback_core.h"
#include "yami_callback_wire.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_properties.h"

static const yami_callback_rules_t s_rules = {
    .round_limit = 2, .try_limit = 3, .lease_ms = 400, .backoff_ms = {10, 100}, .backoff_count = 2};

typedef struct {
    fuzz_input_t input;
    yami_callback_view_t view;
    int64_t now_ms;
    uint32_t called; //  the latest call that was made
} s_life_t;

//  -- Reading -------------------------------------------------------------------------------------

//  The next message, with properties of that many bytes, of which the caller owns the copy.
static uint8_t *
s_message(fuzz_input_t *input, yam_message_t *message)
{
    yami_slice_t properties = fuzz_bytes(input, fuzz_u8(input));
    uint8_t *bytes = fuzz_copy(properties.data, properties.size);
    *message = (yam_message_t) {.record = {.priority = YAMI_PRIORITY_DEFAULT,
                                           .properties = yami_slice(bytes, properties.size)}};
    return bytes;
}

static void
s_check_name(const char *name)
{
    YAM_ASSERT(yami_name_check(yami_slice_text(name), "name") == 0);
}

static bool
s_read_check(const yam_message_t *message, yam_case_t *check)
{
    yam_case_t again;
    if (yami_callback_check_parse(message, check) == -1) {
        YAM_ASSERT(errno == EPROTO);
        return false;
    }
    YAM_ASSERT(yami_callback_id_check(check->id) == 0);
    YAM_ASSERT(check->delay_ms >= 0 && check->delay_ms <= YAMI_LIMIT_CHECK_MS);
    s_check_name(check->queue);
    s_check_name(check->service);
    yam_message_t *built = yami_callback_check_build(check);
    YAM_ASSERT(built && yami_callback_check_parse(built, &again) == 0);
    YAM_ASSERT(strcmp(check->id, again.id) == 0 && strcmp(check->queue, again.queue) == 0 &&
               strcmp(check->service, again.service) == 0 && check->delay_ms == again.delay_ms);
    yam_message_destroy(&built);
    return true;
}

static bool
s_read_confirm(const yam_message_t *message, yam_case_confirm_t *confirm)
{
    yam_case_confirm_t again;
    if (yami_callback_confirm_parse(message, confirm) == -1) {
        YAM_ASSERT(errno == EPROTO);
        return false;
    }
    YAM_ASSERT(yami_callback_id_check(confirm->id) == 0);
    YAM_ASSERT(confirm->round <= YAMI_LIMIT_ROUND);
    yam_message_t *built = yami_callback_confirm_build(confirm);
    YAM_ASSERT(built && yami_callback_confirm_parse(built, &again) == 0);
    YAM_ASSERT(strcmp(confirm->reason, again.reason) == 0); //  text, cut between characters
    YAM_ASSERT(strcmp(confirm->id, again.id) == 0 && confirm->outcome == again.outcome &&
               confirm->round == again.round);
    yam_message_destroy(&built);
    return true;
}

//  As a producer reads it.
static void
s_read_call(const yam_message_t *message)
{
    yam_case_t call;
    yam_case_t again;
    if (yami_callback_call_parse(message, &call) == -1) {
        YAM_ASSERT(errno == EPROTO);
        return;
    }
    YAM_ASSERT(yami_callback_id_check(call.id) == 0 && call.round <= YAMI_LIMIT_ROUND);
    s_check_name(call.queue);
    if (call.round > 0) { //  a service asks for the round behind its own
        call.round--;
        yam_message_t *built = yami_callback_call_build(&call);
        YAM_ASSERT(built && yami_callback_call_parse(built, &again) == 0);
        YAM_ASSERT(strcmp(call.id, again.id) == 0 && strcmp(call.queue, again.queue) == 0 &&
                   call.round + 1 == again.round);
        yam_message_destroy(&built);
    }
}

//  The answer, 0 for none.
static int
s_read_answer(const yam_message_t *message, char *note, size_t size)
{
    char again[YAM_CALLBACK_TEXT + 1];
    int answer;
    int answer_again;
    if (yami_callback_answer_parse(message, &answer, note, size) == -1) {
        YAM_ASSERT(errno == EPROTO && answer == 0 && strlen(note) < size);
        return 0;
    }
    yam_message_t *built = yami_callback_answer_build((yam_callback_answer_t) answer, note);
    YAM_ASSERT(built && yami_callback_answer_parse(built, &answer_again, again, size) == 0);
    YAM_ASSERT(answer == answer_again && strcmp(note, again) == 0);
    yam_message_destroy(&built);
    return answer;
}

//  What a consumer confirms: any message of the application's.
static void
s_identify(const yam_message_t *message)
{
    char id[YAM_CALLBACK_ID + 1];
    uint32_t round;
    if (yami_callback_identify(message, id, &round) == 0) {
        YAM_ASSERT(yami_callback_id_check(id) == 0 && round <= YAMI_LIMIT_ROUND);
    } else {
        YAM_ASSERT(errno == EINVAL);
    }
}

//  -- One case ------------------------------------------------------------------------------------

static void
s_step(s_life_t *life, const yami_callback_event_t *event)
{
    yami_callback_effects_t effects;
    bool was_done = life->view.confirm.outcome == YAM_CONFIRM_DONE;
    int rc = yami_callback_step(&s_rules, life->now_ms, event, &life->view, &effects);
    yami_callback_check(&s_rules, &life->view);
    YAM_ASSERT(rc == 0 || event->type == YAMI_CALLBACK_RETRY || event->type == YAMI_CALLBACK_CLOSE);
    YAM_ASSERT(!was_done || (life->view.confirm.outcome == YAM_CONFIRM_DONE && !effects.calls));
    if (effects.drops_case) {
        life->view.row = (yam_case_t) {.state = YAM_CASE_NONE};
    }
    if (effects.calls) {
        yam_message_t *call = yami_callback_call_build(&life->view.row);
        YAM_ASSERT(call);
        s_read_call(call);
        yam_message_destroy(&call);
        life->called = life->view.row.call;
    }
}

static void
s_take(s_life_t *life, const yam_message_t *message, unsigned what)
{
    char note[YAM_CALLBACK_TEXT + 1];
    yam_case_t check;
    yam_case_confirm_t confirm;
    switch (what) {
    case 0:
        if (s_read_check(message, &check)) {
            s_step(life, &(yami_callback_event_t) {.type = YAMI_CALLBACK_CHECK, .check = &check});
        }
        break;
    case 1:
        if (s_read_confirm(message, &confirm)) {
            confirm.time_ms = life->now_ms;
            s_step(life,
                   &(yami_callback_event_t) {.type = YAMI_CALLBACK_CONFIRM, .confirm = &confirm});
        }
        break;
    case 2: { //  to the latest call, or to one before
        size_t size = 1 + fuzz_u16(&life->input) % YAM_CALLBACK_TEXT;
        int answer = s_read_answer(message, note, size);
        uint32_t call = life->called - (fuzz_below(&life->input, 4) == 3 ? 1 : 0);
        s_step(life,
               &(yami_callback_event_t) {
                   .type = YAMI_CALLBACK_ANSWER, .call = call, .answer = answer, .text = note});
        break;
    }
    default:
        s_read_call(message);
        s_identify(message);
    }
}

static void
s_move(s_life_t *life, unsigned what)
{
    static const int64_t steps_ms[] = {1, 50, 500, 3600000, -3600000, YAMI_LIMIT_CHECK_MS};
    switch (what) {
    case 4:
        life->now_ms += steps_ms[fuzz_below(&life->input, 6)];
        life->now_ms = life->now_ms > 0 ? life->now_ms : 1;
        break;
    case 5:
        if (life->view.row.state != YAM_CASE_NONE) { //  there is something to try again
            s_step(life, &(yami_callback_event_t) {.type = YAMI_CALLBACK_RETRY});
        }
        break;
    case 6:
        s_step(life, &(yami_callback_event_t) {.type = YAMI_CALLBACK_CLOSE, .text = "people"});
        break;
    default:
        s_step(life,
               &(yami_callback_event_t) {.type = YAMI_CALLBACK_LOOK, .call = life->view.row.call});
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    s_life_t life = {.now_ms = 1700000000000};
    fuzz_input_init(&life.input, data, size);
    while (fuzz_left(&life.input) > 0) {
        unsigned what = fuzz_below(&life.input, 8);
        if (what < 4) {
            yam_message_t message;
            uint8_t *bytes = s_message(&life.input, &message);
            s_take(&life, &message, what);
            yami_free(bytes);
        } else {
            s_move(&life, what);
        }
    }
    return 0;
}
