//  Never sleeps: what it waits for are signs of life that clients write into a pipe, ends of
//  processes, and the relay's line.

#include "run.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../harness/relay_process.h"
#include "yam.h"
#include "yam_admin.h"

#define CONSUMER_LIMIT 8
#define CHANNEL "kills"
#define LOOK_MS 100

typedef struct {
    const kill_plan_t *plan;
    kill_verdict_t *verdict;
    uint64_t random;
    kill_journal_t *journal;
    int journal_fd;
    int progress[2];
    relay_process_t relay;
    child_t producers[KILL_PRODUCER_LIMIT];
    child_t consumers[CONSUMER_LIMIT];
    unsigned consumer_count;
} s_run_t;

static unsigned
s_below(s_run_t *self, unsigned limit)
{
    return (unsigned) (kill_random(&self->random) % limit);
}

static void
s_break(s_run_t *self, const char *what, unsigned index, int code)
{
    self->verdict->broken++;
    (void) fprintf(stderr, "# %s %u: broken (code %d)\n", what, index, code);
}

//  -- Starting and killing ------------------------------------------------------------------------

static void
s_start_client(s_run_t *self, child_t *child, const char *role, unsigned index)
{
    char path[512] = "", number[16], journal[16], progress[16];
    if (readlink("/proc/self/exe", path, sizeof path - 1) == -1) {
        perror("/proc/self/exe");
        abort();
    }
    (void) snprintf(number, sizeof number, "%u", index);
    (void) snprintf(journal, sizeof journal, "%d", self->journal_fd);
    (void) snprintf(progress, sizeof progress, "%d", self->progress[1]);
    const char *argv[] = {path, "client", role, number, journal, progress, NULL};
    child_start(child, argv, NULL);
}

static void
s_start_producer(s_run_t *self, unsigned index)
{
    s_start_client(self, &self->producers[index], "producer", index + 1);
}

static void
s_start_consumer(s_run_t *self, unsigned index)
{
    s_start_client(self, &self->consumers[index], "consumer", index);
}

static void
s_kill(s_run_t *self, child_t *child, const char *what, unsigned index)
{
    if (child->pid != 0) {
        int code = child_kill(child);
        if (code != 128 + SIGKILL) {
            s_break(self, what, index, code);
        }
    }
}

//  Waits until it has ended as it should.
static void
s_end(s_run_t *self, child_t *child, const char *what, unsigned index)
{
    int code = child_wait(child, CHILD_PATIENCE_MS);
    if (code != 0) {
        s_break(self, what, index, code);
    }
}

//  Waits for count signs of life, at most timeout_ms for each; returns how many came.
static unsigned
s_wait_progress(s_run_t *self, unsigned count, int timeout_ms)
{
    char bytes[64];
    unsigned seen = 0;
    while (seen < count) {
        struct pollfd waited = {.fd = self->progress[0], .events = POLLIN};
        unsigned wanted = count - seen < sizeof bytes ? count - seen : sizeof bytes;
        if (poll(&waited, 1, timeout_ms) != 1) {
            break;
        }
        ssize_t size = read(self->progress[0], bytes, wanted);
        seen += size > 0 ? (unsigned) size : 0;
    }
    return seen;
}

//  Forgets the signs of life that lie in the pipe: the next kill waits for new ones.
static void
s_drop_progress(s_run_t *self)
{
    while (s_wait_progress(self, 64, 0) == 64) {
    }
}

//  Half of all restarts are given the time to recover; the others are killed while they do, some
//  milliseconds after the start: here time is what is being chosen at random, not what is waited
//  for.
static void
s_restart_relay(s_run_t *self, unsigned *kills_p)
{
    s_kill(self, &self->relay.child, "relay", 0);
    relay_process_launch(&self->relay);
    while (s_below(self, 4) == 0 && *kills_p < self->plan->kills) {
        struct pollfd waited = {.fd = self->relay.child.output, .events = POLLIN};
        (void) poll(&waited, 1, (int) s_below(self, 25));
        s_kill(self, &self->relay.child, "starting relay", 0);
        relay_process_launch(&self->relay);
        ++*kills_p;
    }
    if (!relay_process_wait_ready(&self->relay)) {
        s_break(self, "restarted relay", 0, 0);
    }
}

//  Kills one, and starts it again at once.
static void
s_strike(s_run_t *self, unsigned *kills_p)
{
    unsigned index, victim;
    do {
        victim = 1U << s_below(self, 3);
    } while (!(victim & self->plan->victims));
    if (victim == KILL_THE_RELAY) {
        s_restart_relay(self, kills_p);
    } else if (victim == KILL_PRODUCERS) {
        index = s_below(self, self->plan->producers);
        s_kill(self, &self->producers[index], "producer", index);
        s_start_producer(self, index);
    } else {
        index = s_below(self, self->consumer_count);
        s_kill(self, &self->consumers[index], "consumer", index);
        s_start_consumer(self, index);
    }
    ++*kills_p;
}

//  -- The phases ----------------------------------------------------------------------------------

static void
s_open(s_run_t *self)
{
    //  Clients give up a relay that is silent for three heartbeats. If it was slow and not dead, it
    //  holds what their sessions had, and what follows comes before that.
    static const char *const options[] = {
        "--segment-size=1M", "--reserve=0",       "--delivery-limit=1000", "--backoff=5ms:20ms",
        "--lease=1s",        "--heartbeat=300ms", "--log-level=warn",      NULL};
    const kill_plan_t *plan = self->plan;
    memset(self->verdict, 0, sizeof *self->verdict);
    self->random = plan->seed;
    self->journal_fd = -1;
    self->journal = kill_journal_open(&self->journal_fd);
    if (pipe(self->progress) == -1 || fcntl(self->progress[0], F_SETFD, FD_CLOEXEC) == -1 ||
        fcntl(self->progress[1], F_SETFL, O_NONBLOCK) == -1) {
        perror("pipe");
        abort();
    }
    relay_process_init(&self->relay, plan->name);
    memcpy(self->relay.options, options, sizeof options);
    //  Without consumers a limit would keep producers from being confirmed.
    self->relay.options[sizeof options / sizeof options[0] - 1] =
        plan->plant == KILL_PLANT_LOST_STORE ? NULL : "--channel-messages=4000";
    self->consumer_count = plan->groups * plan->members;
    kill_journal_t *journal = self->journal;
    (void) snprintf(journal->endpoint, sizeof journal->endpoint, "%s", self->relay.endpoint);
    (void) snprintf(journal->store, sizeof journal->store, "%s", self->relay.store);
    journal->home = plan->home;
    journal->is_topic = plan->is_topic;
    journal->producer_count = plan->producers;
    journal->group_count = plan->groups;
    journal->member_count = plan->members;
    journal->seed = plan->seed;
    journal->plant = plan->plant;
}

//  Consumers first: a group gets what is published after it was made.
static void
s_start(s_run_t *self)
{
    if (self->plan->home == KILL_IN_YAMD && !relay_process_start(&self->relay)) {
        s_break(self, "first relay", 0, 0);
    }
    for (unsigned index = 0; index < self->consumer_count; index++) {
        s_start_consumer(self, index);
    }
    unsigned seen = s_wait_progress(self, self->consumer_count, CHILD_PATIENCE_MS);
    if (seen < self->consumer_count) {
        s_break(self, "consumers that attached:", seen, 0);
    }
    for (unsigned index = 0; index < self->plan->producers; index++) {
        s_start_producer(self, index);
    }
}

static void
s_kill_many(s_run_t *self)
{
    unsigned kills = 0;
    while (kills < self->plan->kills && self->verdict->broken == 0) {
        s_drop_progress(self);
        bool is_soon = s_below(self, 4) == 0;
        unsigned wanted = 1 + s_below(self, is_soon ? 3 : self->plan->progress);
        unsigned seen = s_wait_progress(self, wanted, CHILD_PATIENCE_MS);
        if (seen < wanted) {
            s_break(self, "nothing happens; kills so far", kills, 0);
        }
        s_strike(self, &kills);
    }
}

static void
s_lose_store(s_run_t *self)
{
    s_kill(self, &self->relay.child, "relay", 0);
    const char *argv[] = {"/bin/rm", "-rf", self->relay.store, NULL};
    (void) child_run(argv, NULL, 0);
    if (!relay_process_start(&self->relay)) {
        s_break(self, "relay without its store", 0, 0);
    }
}

//  Producers stop, and end when all they sent is confirmed. With a store to lose, nobody takes
//  meanwhile.
static void
s_flush(s_run_t *self)
{
    bool is_planted = self->plan->plant == KILL_PLANT_LOST_STORE;
    for (unsigned index = 0; is_planted && index < self->consumer_count; index++) {
        s_kill(self, &self->consumers[index], "consumer", index);
    }
    if (is_planted) {
        s_wait_progress(self, 20, self->plan->patience_ms); //  of producers alone
    }
    self->journal->phase = KILL_FLUSH;
    for (unsigned index = 0; index < self->plan->producers; index++) {
        char line[16];
        if (!child_read_line(&self->producers[index], line, sizeof line, CHILD_PATIENCE_MS)) {
            s_break(self, "flushing producer", index, -1);
        } else if (self->plan->home != KILL_IN_PRODUCER) {
            s_end(self, &self->producers[index], "producer", index);
        }
    }
    if (is_planted) {
        s_lose_store(self);
    }
    for (unsigned index = 0; is_planted && index < self->consumer_count; index++) {
        s_start_consumer(self, index);
    }
}

//  Messages that some group has not settled, or that are dead letters.
static uint64_t
s_ask_left(yam_admin_t *admin)
{
    uint64_t left = 0;
    yam_admin_request_t request = {.command = "channels"};
    if (!admin || yam_admin_call(admin, &request) == -1) {
        (void) fprintf(stderr, "# administration: %s\n", yam_error());
        return UINT64_MAX;
    }
    for (size_t row = 0; row < yam_admin_row_count(admin); row++) {
        left += (uint64_t) yam_admin_number(admin, row, "messages");
    }
    return left;
}

//  Until everything confirmed was received and the relay has nothing left; or for so long nothing
//  happens. After a planted fault nothing more comes once nothing is left.
static void
s_drain(s_run_t *self)
{
    self->journal->phase = KILL_DRAIN;
    bool is_planted = self->plan->plant != KILL_PLANT_NONE;
    yam_t *yam = yam_new();
    yam_admin_t *admin = yam_admin_new(yam, self->relay.endpoint);
    int64_t deadline_ms = child_now_ms() + self->plan->patience_ms;
    uint64_t left = UINT64_MAX, ticks = 0;
    while (child_now_ms() < deadline_ms) {
        (void) s_wait_progress(self, 64, LOOK_MS);
        left = s_ask_left(admin);
        if (left == 0 && (is_planted || kill_journal_is_complete(self->journal))) {
            break;
        }
        if (self->journal->ticks != ticks) {
            ticks = self->journal->ticks;
            deadline_ms = child_now_ms() + self->plan->patience_ms;
        }
    }
    self->verdict->left = left;
    yam_admin_destroy(&admin);
    yam_destroy(&yam);
    self->journal->phase = KILL_END;
    for (unsigned index = 0; index < self->consumer_count; index++) {
        s_end(self, &self->consumers[index], "consumer", index);
    }
    if (self->plan->home == KILL_IN_PRODUCER) {
        s_end(self, &self->producers[0], "producer", 0);
    }
}

//  After so many kills the store is as sound as on the first day.
static void
s_verify(s_run_t *self)
{
    char text[4000];
    int code = self->plan->home == KILL_IN_YAMD ? relay_process_stop(&self->relay) : 0;
    if (code != 0) {
        s_break(self, "stopped relay", 0, code);
    }
    const char *argv[] = {child_program("yam"), "verify", self->relay.store, NULL};
    code = child_run(argv, text, sizeof text);
    if (code != 0) {
        s_break(self, text, 0, code);
    }
    if (relay_process_logged(&self->relay, "damage")) {
        s_break(self, "a relay reports damage", 0, 0);
    }
}

static void
s_close(s_run_t *self)
{
    for (unsigned index = 0; index < self->plan->producers; index++) {
        s_kill(self, &self->producers[index], "late producer", index);
    }
    for (unsigned index = 0; index < self->consumer_count; index++) {
        s_kill(self, &self->consumers[index], "late consumer", index);
    }
    s_kill(self, &self->relay.child, "late relay", 0);
    (void) close(self->progress[0]);
    (void) close(self->progress[1]);
    kill_journal_close(self->journal, self->journal_fd);
}

void
kill_run(const kill_plan_t *plan, kill_verdict_t *verdict)
{
    s_run_t self = {.plan = plan, .verdict = verdict};
    s_open(&self);
    s_start(&self);
    s_kill_many(&self);
    if (verdict->broken == 0) {
        s_flush(&self);
    }
    if (verdict->broken == 0) {
        s_drain(&self);
        s_verify(&self);
    }
    kill_journal_judge(self.journal, verdict);
    if (verdict->broken > 0 || verdict->missing > 0) {
        relay_process_print_log(&self.relay);
    }
    s_close(&self);
}

void
kill_verdict_print(const kill_plan_t *plan, const kill_verdict_t *verdict)
{
    (void) fprintf(stderr,
                   "# %s: seed %" PRIu64 ", %u kills: %" PRIu64 " asked, %" PRIu64
                   " confirmed, %" PRIu64 " refused, %" PRIu64 " unknown, %" PRIu64
                   " received, %" PRIu64 " duplicates; WRONG: %" PRIu64 " missing, %" PRIu64
                   " never asked, %" PRIu64 " other bodies, %" PRIu64 " stored twice, %" PRIu64
                   " refused and received, %" PRIu64 " stored out of order, %" PRIu64
                   " received out of order, %" PRIu64 " broken, %" PRIu64 " left\n",
                   plan->name, plan->seed, plan->kills, verdict->asked, verdict->confirmed,
                   verdict->refused, verdict->unknown, verdict->received, verdict->duplicates,
                   verdict->missing, verdict->alien, verdict->wrong_body, verdict->twice,
                   verdict->refused_received, verdict->misplaced, verdict->disordered,
                   verdict->broken, verdict->left);
}
