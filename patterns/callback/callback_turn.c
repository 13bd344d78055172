//  yami_callback_turn - one turn of a callback service's loop. See the header.

#include "yami_callback_turn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_callback_rows.h"
#include "yami_callback_wire.h"
#include "yami_failpoint.h"
#include "yami_limits.h"
#include "yami_log.h"
#include "yami_planted.h"

#define S_LOOK_MS 500        //  between looks at what is due, when nothing comes
#define S_ASK_MS 20          //  between questions to the relay
#define S_PAUSE_MS 100       //  after a failure; doubled up to
#define S_PAUSE_MOST_MS 5000 //  this
#define S_CALLS 64           //  most calls made again at a time
#define S_PRUNE_MS 10000     //  between times when old rows are forgotten
#define S_PRUNE_ROWS 1000    //  of each table at a time
#define S_SILENT_MS 5000     //  without a session, until and between the lines that say so

//  -- Transactions ------------------------------------------------------------------------------

//  After a failure nothing is held: what is not acknowledged waits at the relay, without blame.
static void
s_pause(yami_callback_turn_t *self, const char *event)
{
    static yami_log_site_t site;
    self->pause_ms = self->pause_ms == 0 ? S_PAUSE_MS : self->pause_ms * 2;
    self->pause_ms = self->pause_ms < S_PAUSE_MOST_MS ? self->pause_ms : S_PAUSE_MOST_MS;
    self->retry_ms = yami_clock_mono_ms() + self->pause_ms;
    yami_log_limited(&site, YAMI_LOG_WARN, event, "retry-ms=%lld error=\"%s\"",
                     (long long) self->pause_ms, yam_error());
    yami_callback_intake_close(&self->intake);
    self->noted_count = 0;
}

static int
s_begin(yami_callback_turn_t *self)
{
    return self->store->db->begin(self->store->database);
}

//  Commits what went well (rc 0), else rolls back and pauses. 0, or -1.
static int
s_end(yami_callback_turn_t *self, int rc)
{
    YAMI_FAILPOINT("commit");
    if (rc == 0 && self->store->db->commit(self->store->database) == 0) {
        YAMI_FAILPOINT("committed");
        self->pause_ms = 0;
        return 0;
    }
    self->store->db->rollback(self->store->database);
    self->stats.store_failures++;
    s_pause(self, "callback.store-failed");
    return -1;
}

static int
s_step(yami_callback_turn_t *self, const char *id, const yami_callback_event_t *event,
       yami_callback_view_t *view, yami_callback_effects_t *effects)
{
    int rc = yami_callback_store_step(self->store, &self->rules, yami_clock_wall_ms(), id, event,
                                      view, effects);
    if (rc == 0 && effects->writes_case) {
        self->stats.opened += view->row.state == YAM_CASE_OPEN ? 1 : 0;
        self->stats.done += view->row.state == YAM_CASE_DONE ? 1 : 0;
    }
    return rc;
}

//  -- Messages ----------------------------------------------------------------------------------

static int
s_store_check(yami_callback_turn_t *self, const yam_message_t *message, bool *is_malformed)
{
    yam_case_t check;
    yami_callback_view_t view;
    yami_callback_effects_t effects;
    *is_malformed = yami_callback_check_parse(message, &check) == -1;
    if (*is_malformed) {
        return 0;
    }
    check.delay_ms = check.delay_ms > 0 ? check.delay_ms : self->options.delay_ms;
    const yami_callback_event_t event = {.type = YAMI_CALLBACK_CHECK, .check = &check};
    return s_step(self, check.id, &event, &view, &effects);
}

static int
s_store_confirm(yami_callback_turn_t *self, const yam_message_t *message, bool *is_malformed)
{
    yam_case_confirm_t confirm;
    yami_callback_view_t view;
    yami_callback_effects_t effects;
    *is_malformed = yami_callback_confirm_parse(message, &confirm) == -1;
    if (*is_malformed) {
        return 0;
    }
    confirm.time_ms = yami_clock_wall_ms();
    const yami_callback_event_t event = {.type = YAMI_CALLBACK_CONFIRM, .confirm = &confirm};
    return s_step(self, confirm.id, &event, &view, &effects);
}

static int
s_store_batch(yami_callback_turn_t *self, yami_callback_queue_t queue)
{
    yami_callback_intake_t *intake = &self->intake;
    int rc = s_begin(self);
    for (size_t index = 0; rc == 0 && index < intake->count; index++) {
        bool *is_malformed = &intake->is_malformed[index];
        rc = queue == YAMI_CALLBACK_CHECKS
                 ? s_store_check(self, intake->messages[index], is_malformed)
                 : s_store_confirm(self, intake->messages[index], is_malformed);
    }
    return rc;
}

static void
s_count_batch(yami_callback_turn_t *self, yami_callback_queue_t queue)
{
    static yami_log_site_t site;
    uint64_t malformed = 0;
    for (size_t index = 0; index < self->intake.count; index++) {
        malformed += self->intake.is_malformed[index] ? 1 : 0;
    }
    uint64_t stored = self->intake.count - malformed;
    self->stats.malformed += malformed;
    self->stats.checks += queue == YAMI_CALLBACK_CHECKS ? stored : 0;
    self->stats.confirms += queue == YAMI_CALLBACK_CONFIRMS ? stored : 0;
    if (malformed > 0) {
        yami_log_limited(&site, YAMI_LOG_WARN, "callback.malformed", "count=%llu",
                         (unsigned long long) malformed);
    }
}

//  Takes batches until the queue has no more at hand. (1)
static void
s_take(yami_callback_turn_t *self, yami_callback_queue_t queue)
{
    yami_callback_intake_t *intake = &self->intake;
    size_t count;
    do {
        if (self->retry_ms != 0) {
            return;
        }
        if (yami_callback_intake_take(intake, queue) == -1) {
            s_pause(self, "callback.queue-failed");
            return;
        }
        count = intake->count;
        if (count == 0) {
            return;
        }
        YAMI_FAILPOINT("take");
        int rc = s_store_batch(self, queue);
        if (YAMI_PLANTED(UNSTORED_ACKED)) {
            yami_callback_intake_settle(intake, true);
        }
        if (s_end(self, rc) == 0) {
            s_count_batch(self, queue);
            yami_callback_intake_settle(intake, true);
            YAMI_FAILPOINT("acked");
        }
    } while (count == YAMI_CALLBACK_BATCH);
}

//  -- Answers -----------------------------------------------------------------------------------

static void
s_count_answer(yami_callback_turn_t *self, int answer)
{
    self->stats.resent += answer == YAM_CALLBACK_RESEND ? 1 : 0;
    self->stats.gone += answer == YAM_CALLBACK_GONE ? 1 : 0;
    self->stats.unanswered += answer != YAM_CALLBACK_RESEND && answer != YAM_CALLBACK_GONE ? 1 : 0;
}

static int
s_store_answer(yami_callback_turn_t *self, const yami_callback_answered_t *answered)
{
    yami_callback_view_t view;
    yami_callback_effects_t effects;
    const yami_callback_event_t event = {.type = YAMI_CALLBACK_ANSWER,
                                         .call = answered->call,
                                         .answer = answered->answer,
                                         .text = answered->text};
    int rc = s_step(self, answered->id, &event, &view, &effects);
    self->stats.stale += rc == 0 && effects.is_stale ? 1 : 0;
    return rc;
}

static void
s_take_answers(yami_callback_turn_t *self)
{
    const yami_callback_answered_t *answers[YAMI_LIMIT_CALLS];
    size_t count = yami_callback_calls_answers(self->calls, answers, YAMI_LIMIT_CALLS);
    if (count == 0 || self->retry_ms != 0) {
        return;
    }
    YAMI_FAILPOINT("answered");
    int rc = s_begin(self);
    for (size_t index = 0; rc == 0 && index < count; index++) {
        rc = s_store_answer(self, answers[index]);
    }
    if (s_end(self, rc) == 0) {
        YAMI_FAILPOINT("moved");
        for (size_t index = 0; index < count; index++) {
            s_count_answer(self, answers[index]->answer);
        }
        yami_callback_calls_drop(self->calls, count);
        self->look_ms = 0; //  more may be called
    }
}

//  -- Looking -----------------------------------------------------------------------------------

typedef struct {
    yam_case_t row; //  the walk's
    yami_callback_noted_t *noted;
    size_t count;
} s_due_t;

static int
s_note_due(void *arg)
{
    s_due_t *due = arg;
    yami_callback_noted_t *noted = &due->noted[due->count++];
    memcpy(noted->id, due->row.id, sizeof noted->id);
    noted->call = due->row.call;
    return 0;
}

//  Notes cases in state that are due, at most limit. Returns how many; -1 after a failure.
static int
s_find_due(yami_callback_turn_t *self, int state, size_t limit, yami_callback_noted_t *noted)
{
    s_due_t due = {.noted = noted};
    int64_t now_ms = yami_clock_wall_ms();
    if (yami_callback_rows_walk_due(self->store, state, now_ms, now_ms + YAMI_CALLBACK_SKEW_MS,
                                    (int64_t) limit, &due.row, s_note_due, &due) == -1) {
        self->stats.store_failures++;
        s_pause(self, "callback.store-failed");
        return -1;
    }
    return (int) due.count;
}

static void
s_log_call(const yam_case_t *row)
{
    static yami_log_site_t site;
    yami_log_limited(&site, YAMI_LOG_INFO, "callback.call", "id=\"%s\" service=%s round=%u try=%u",
                     row->id, row->service, row->round + 1, row->try_count);
}

//  Steps cases in one transaction, as long as what they may need is free, and then calls. (2)
static void
s_look(yami_callback_turn_t *self, const yami_callback_noted_t *noted, size_t count)
{
    yam_case_t *called[YAMI_LIMIT_CALLS];
    size_t free_count = yami_callback_calls_free(self->calls);
    size_t called_count = 0;
    int rc = s_begin(self);
    for (size_t index = 0; rc == 0 && index < count && called_count < free_count; index++) {
        const yami_callback_event_t event = {.type = YAMI_CALLBACK_LOOK, .call = noted[index].call};
        yami_callback_view_t view;
        yami_callback_effects_t effects;
        rc = s_step(self, noted[index].id, &event, &view, &effects);
        if (rc == 0 && effects.calls) {
            called[called_count] = yami_alloc(sizeof view.row);
            *called[called_count++] = view.row;
        }
    }
    bool is_stored = s_end(self, rc) == 0;
    for (size_t index = 0; index < called_count; index++) {
        if (is_stored) {
            s_log_call(called[index]);
            YAMI_FAILPOINT("call");
            yami_callback_calls_begin(self->calls, called[index]);
            YAMI_FAILPOINT("called");
            self->stats.calls++;
        }
        yami_free(called[index]);
    }
}

//  Calls that are due: put off, or given up by whoever made them.
static void
s_look_at_calls(yami_callback_turn_t *self)
{
    yami_callback_noted_t noted[S_CALLS];
    size_t free_count = yami_callback_calls_free(self->calls);
    size_t limit = free_count < S_CALLS ? free_count : S_CALLS;
    int count = limit == 0 ? 0 : s_find_due(self, YAM_CASE_CALLING, limit, noted);
    if (count > 0) {
        s_look(self, noted, (size_t) count);
    }
}

//  Checks that are due are noted, and the horizon is asked for. (3)
static void
s_note_checks(yami_callback_turn_t *self)
{
    if (self->noted_count > 0 || yami_callback_calls_free(self->calls) == 0) {
        return;
    }
    int count = s_find_due(self, YAM_CASE_WAITING, YAMI_CALLBACK_NOTED, self->noted);
    if (count > 0) {
        self->noted_count = (size_t) count;
        self->ask_ms = 0;
        yami_callback_horizon_ask(&self->horizon);
    }
}

//  Judges the noted checks once the horizon says so. (3)
static void
s_judge(yami_callback_turn_t *self, int64_t now_ms)
{
    uint64_t last, floor;
    if (self->noted_count == 0 || now_ms < self->ask_ms) {
        return;
    }
    self->ask_ms = now_ms + S_ASK_MS;
    self->stats.asked++;
    if (yami_callback_intake_ask(&self->intake, &last, &floor) == -1) {
        s_pause(self, "callback.relay-silent");
        return;
    }
    if (yami_callback_horizon_hear(&self->horizon, last, floor)) {
        size_t count = self->noted_count;
        YAMI_FAILPOINT("judge");
        self->noted_count = 0;
        self->look_ms = 0; //  there may be more
        s_look(self, self->noted, count);
    }
}

static void
s_prune(yami_callback_turn_t *self, int64_t now_ms)
{
    if (now_ms < self->prune_ms || self->retry_ms != 0) {
        return;
    }
    int64_t count = s_begin(self);
    if (count == 0) {
        count = yami_callback_rows_prune(
            self->store, yami_clock_wall_ms() - self->options.retention_ms, S_PRUNE_ROWS);
    }
    if (s_end(self, count == -1 ? -1 : 0) == 0) {
        self->stats.pruned += (uint64_t) count;
        self->prune_ms = now_ms + (count >= S_PRUNE_ROWS ? 0 : S_PRUNE_MS);
    }
}

//  -- Turns -------------------------------------------------------------------------------------

//  Whether the database takes part again. That it begins and ends a transaction does not say that
//  it has room: so the next pause is longer all the same, until something is stored.
static bool
s_is_back(yami_callback_turn_t *self)
{
    int64_t pause_ms = self->pause_ms;
    if (s_end(self, s_begin(self)) == -1) {
        return false;
    }
    self->pause_ms = pause_ms;
    return true;
}

//  Whether the queues are open; after a failure only when its pause is over.
static bool
s_is_open(yami_callback_turn_t *self, int64_t now_ms)
{
    if (self->retry_ms != 0 && now_ms < self->retry_ms) {
        return false;
    }
    //  The database first: who cannot store must not take.
    self->retry_ms = 0;
    if (self->pause_ms != 0 && !s_is_back(self)) {
        return false;
    }
    if (yami_callback_intake_open(&self->intake) == -1) {
        s_pause(self, "callback.queue-failed");
        return false;
    }
    return true;
}

//  Whether there is a relay. Without one nothing comes, and nothing would be said.
static bool
s_watch_relay(yami_callback_turn_t *self, int64_t now_ms)
{
    bool is_connected = yami_callback_intake_is_connected(&self->intake);
    if (is_connected) {
        self->heard_ms = now_ms;
    } else if (now_ms - self->heard_ms >= S_SILENT_MS) {
        self->heard_ms = now_ms;
        yami_log(YAMI_LOG_WARN, "callback.no-relay",
                 "relay=\"%.*s\" error=\"no session (is it there, and does it let us in?)\"",
                 (int) strcspn(self->intake.endpoint, "?"), self->intake.endpoint);
    }
    return is_connected;
}

void
yami_callback_turn(yami_callback_turn_t *self)
{
    int64_t now_ms = yami_clock_mono_ms();
    if (!s_is_open(self, now_ms)) {
        self->heard_ms = now_ms; //  nobody listens
        return;
    }
    bool is_connected = s_watch_relay(self, now_ms);
    uint64_t checks = self->stats.checks;
    s_take(self, YAMI_CALLBACK_CONFIRMS);
    s_take(self, YAMI_CALLBACK_CHECKS);
    s_take_answers(self);
    if (self->retry_ms == 0 && (now_ms >= self->look_ms || self->stats.checks != checks)) {
        self->look_ms = now_ms + S_LOOK_MS;
        if (is_connected) { //  a call that nobody can be asked is none, and costs no try
            s_look_at_calls(self);
        }
        if (self->retry_ms == 0) {
            s_note_checks(self);
        }
    }
    if (self->retry_ms == 0) {
        s_judge(self, now_ms);
    }
    s_prune(self, now_ms);
}

int
yami_callback_turn_wait_ms(const yami_callback_turn_t *self)
{
    int64_t next_ms = self->look_ms;
    if (self->retry_ms != 0) {
        next_ms = self->retry_ms;
    } else if (self->noted_count > 0 && self->ask_ms < next_ms) {
        next_ms = self->ask_ms;
    }
    int64_t left_ms = next_ms - yami_clock_mono_ms();
    return left_ms < 0 ? 0 : left_ms > S_LOOK_MS ? S_LOOK_MS : (int) left_ms;
}

void
yami_callback_turn_clear(yami_callback_turn_t *self)
{
    yami_callback_intake_close(&self->intake);
    yami_callback_calls_destroy(&self->calls);
}
