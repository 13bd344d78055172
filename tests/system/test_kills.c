//  Promises (1) to (4) and (6): kill -9 of relay, producers and consumers, hundreds of times at
//  random, loses nothing that was confirmed and changes no byte of it. YAM_SEED=N plays the same
//  choices again, YAM_KILLS=N kills so often.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kills/clients.h"
#include "kills/run.h"

#define PATIENCE_MS 30000
#define PLANT_PATIENCE_MS 2500 //  more than a lease
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KILLS 40
#define EMBEDDED_KILLS 6
#define IS_SANITIZED true
#else
#define KILLS 240
#define EMBEDDED_KILLS 16 //  each start of such a relay fills a segment of the usual size
#define IS_SANITIZED false
#endif

static uint64_t
s_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static kill_plan_t
s_plan(const char *name)
{
    return (kill_plan_t) {.name = name,
                          .seed = s_number("YAM_SEED", (uint64_t) time(NULL)),
                          .kills = (unsigned) s_number("YAM_KILLS", KILLS),
                          .producers = 3,
                          .groups = 1,
                          .members = 3,
                          .victims = KILL_ALL,
                          .progress = 150,
                          .patience_ms = PATIENCE_MS};
}

static void
s_assert_good(const kill_plan_t *plan)
{
    kill_verdict_t verdict;
    kill_run(plan, &verdict);
    kill_verdict_print(plan, &verdict);
    assert_int_equal(verdict.broken, 0);
    assert_int_equal(verdict.missing, 0);
    assert_int_equal(verdict.alien, 0);
    assert_int_equal(verdict.wrong_body, 0);
    assert_int_equal(verdict.twice, 0);
    assert_int_equal(verdict.refused, 0);
    assert_int_equal(verdict.misplaced, 0);
    assert_int_equal(verdict.disordered, 0);
    assert_int_equal(verdict.left, 0);
    assert_true(verdict.confirmed > plan->kills);
    assert_true(verdict.received >= verdict.confirmed);
}

static void
test_kills_of_anybody_lose_nothing_confirmed(void **state)
{
    (void) state;
    kill_plan_t plan = s_plan("anybody");
    s_assert_good(&plan);
}

static void
test_kills_of_the_relay_keep_the_order(void **state)
{
    (void) state;
    kill_plan_t plan = s_plan("order");
    plan.kills = plan.kills / 8 + 1;
    plan.producers = 1;
    plan.members = 1;
    plan.victims = KILL_THE_RELAY;
    s_assert_good(&plan);
}

static void
test_kills_leave_every_group_of_a_topic_everything(void **state)
{
    (void) state;
    kill_plan_t plan = s_plan("topic");
    plan.kills = plan.kills / 5 + 1;
    plan.producers = 2;
    plan.groups = 2;
    plan.members = 2;
    plan.is_topic = true;
    s_assert_good(&plan);
}

//  Store and forward: who sends has the relay.
static void
test_kills_of_a_producer_with_its_relay_lose_nothing(void **state)
{
    (void) state;
    kill_plan_t plan = s_plan("outbound");
    plan.kills = EMBEDDED_KILLS;
    plan.producers = 1;
    plan.members = 2;
    plan.victims = KILL_PRODUCERS | KILL_CONSUMERS;
    plan.home = KILL_IN_PRODUCER;
    s_assert_good(&plan);
}

//  A durable inbox: who receives has it.
static void
test_kills_of_a_consumer_with_its_relay_lose_nothing(void **state)
{
    (void) state;
    kill_plan_t plan = s_plan("inbound");
    plan.kills = EMBEDDED_KILLS;
    plan.producers = 2;
    plan.members = 1;
    plan.victims = KILL_PRODUCERS | KILL_CONSUMERS;
    plan.home = KILL_IN_CONSUMER;
    s_assert_good(&plan);
}

//  -- A run that cannot fail proves nothing: planted faults must be found -------------------------

static kill_verdict_t
s_run_planted(kill_plant_t plant, const char *name)
{
    kill_verdict_t verdict;
    kill_plan_t plan = s_plan(name);
    plan.kills = 12;
    plan.progress = 30;
    plan.plant = plant;
    if (plant == KILL_PLANT_EARLY_CONFIRM) {
        plan.victims = KILL_PRODUCERS; //  what others lose is sent again
    }
    plan.patience_ms = PLANT_PATIENCE_MS;
    (void) fprintf(stderr, "# a planted fault; what follows must be found:\n");
    kill_run(&plan, &verdict);
    kill_verdict_print(&plan, &verdict);
    return verdict;
}

static void
test_oracle_finds_what_is_confirmed_too_early(void **state)
{
    (void) state;
    assert_true(s_run_planted(KILL_PLANT_EARLY_CONFIRM, "plant-early-confirm").missing > 0);
}

static void
test_oracle_finds_a_lost_store(void **state)
{
    (void) state;
    assert_true(s_run_planted(KILL_PLANT_LOST_STORE, "plant-lost-store").missing > 0);
}

static void
test_oracle_finds_what_is_gone_and_done_by_nobody(void **state)
{
    (void) state;
    assert_true(s_run_planted(KILL_PLANT_ACK_UNNOTED, "plant-ack-unnoted").missing > 0);
}

static void
test_oracle_finds_a_wrong_number(void **state)
{
    (void) state;
    kill_verdict_t verdict = s_run_planted(KILL_PLANT_WRONG_NUMBER, "plant-wrong-number");
    assert_true(verdict.alien > 0);
}

static void
test_oracle_finds_a_flipped_bit(void **state)
{
    (void) state;
    assert_true(s_run_planted(KILL_PLANT_BIT_FLIP, "plant-bit-flip").wrong_body > 0);
}

static void
test_oracle_finds_what_is_stored_twice(void **state)
{
    (void) state;
    assert_true(s_run_planted(KILL_PLANT_SENT_TWICE, "plant-sent-twice").twice > 0);
}

static void
test_oracle_finds_a_wrong_order(void **state)
{
    (void) state;
    assert_true(s_run_planted(KILL_PLANT_SWAPPED, "plant-swapped").misplaced > 0);
}

//  -- The journal --------------------------------------------------------------------------------

#define FIRST 1000 //  numbers of producer 1

static int s_fd;

static void
s_receive(kill_journal_t *journal, uint64_t number)
{
    static uint8_t body[KILL_BODY_LIMIT];
    size_t size = kill_body(body, 1, number);
    kill_journal_receive(journal, 0, body, size, number);
    kill_journal_done(journal, 0, body, size);
}

static kill_journal_t *
s_open_journal(void)
{
    s_fd = -1;
    kill_journal_t *journal = kill_journal_open(&s_fd);
    journal->producer_count = journal->group_count = journal->member_count = 1;
    return journal;
}

static kill_verdict_t
s_judge_journal(kill_journal_t *journal)
{
    kill_verdict_t verdict = {0};
    kill_journal_judge(journal, &verdict);
    kill_journal_close(journal, s_fd);
    return verdict;
}

static void
test_oracle_finds_what_came_before_its_predecessor(void **state)
{
    (void) state;
    kill_journal_t *journal = s_open_journal();
    journal->asked[1] = FIRST + 2;
    s_receive(journal, FIRST);
    s_receive(journal, FIRST + 2);
    s_receive(journal, FIRST + 1);
    s_receive(journal, FIRST + 2);
    assert_int_equal(s_judge_journal(journal).disordered, 1);
}

static void
s_die(int signal_number)
{
    (void) signal_number;
    (void) kill(getpid(), SIGKILL);
}

//  A process that is killed where it first writes to the page of a message's tick.
static int
s_receive_and_die(kill_journal_t *journal, uint64_t number, uint8_t *page, size_t page_size)
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        (void) signal(SIGSEGV, s_die);
        (void) mprotect(page, page_size, PROT_READ);
        s_receive(journal, number);
        _exit(0);
    }
    return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

//  Such a kill, right where a message lies on two pages, was once taken for a wrong order.
static void
test_kill_within_the_note_of_a_reception_is_no_disorder(void **state)
{
    (void) state;
    kill_journal_t *journal = s_open_journal();
    size_t page_size = (size_t) sysconf(_SC_PAGESIZE);
    uint64_t number = FIRST;
    while ((uintptr_t) &journal->messages[1][number].tick % page_size != 0) {
        number++;
    }
    journal->asked[1] = number + 1;
    s_receive(journal, number - 1);
    uint8_t *page = (uint8_t *) &journal->messages[1][number].tick;
    assert_int_equal(s_receive_and_die(journal, number, page, page_size), SIGKILL);
    s_receive(journal, number);
    s_receive(journal, number + 1);
    kill_verdict_t verdict = s_judge_journal(journal);
    assert_int_equal(verdict.received, 3);
    assert_int_equal(verdict.disordered, 0);
}

int
main(int argc, char **argv)
{
    if (argc == 6 && strcmp(argv[1], "client") == 0) {
        return kill_client_main(argv);
    }
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    (void) signal(SIGPIPE, SIG_IGN);
    //  The oracle itself need not be shown twice.
    const struct CMUnitTest oracle[] = {
        cmocka_unit_test(test_oracle_finds_what_is_confirmed_too_early),
        cmocka_unit_test(test_oracle_finds_a_lost_store),
        cmocka_unit_test(test_oracle_finds_what_is_gone_and_done_by_nobody),
        cmocka_unit_test(test_oracle_finds_a_wrong_number),
        cmocka_unit_test(test_oracle_finds_a_flipped_bit),
        cmocka_unit_test(test_oracle_finds_what_is_stored_twice),
        cmocka_unit_test(test_oracle_finds_a_wrong_order),
        cmocka_unit_test(test_oracle_finds_what_came_before_its_predecessor),
        cmocka_unit_test(test_kill_within_the_note_of_a_reception_is_no_disorder),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kills_of_the_relay_keep_the_order),
        cmocka_unit_test(test_kills_leave_every_group_of_a_topic_everything),
        cmocka_unit_test(test_kills_of_a_producer_with_its_relay_lose_nothing),
        cmocka_unit_test(test_kills_of_a_consumer_with_its_relay_lose_nothing),
        cmocka_unit_test(test_kills_of_anybody_lose_nothing_confirmed),
    };
    int rc = IS_SANITIZED ? 0 : cmocka_run_group_tests(oracle, NULL, NULL);
    return rc + cmocka_run_group_tests(tests, NULL, NULL);
}
