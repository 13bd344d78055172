//  Producers and consumers; over a queue or a topic by one switch, since both classes have the same
//  shape.

#include "clients.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"
#include "yam.h"

#define LOOK_MS 100 //  between looks at the phase when nothing comes
#define CLOSE_MS 60000
#define HELD_LIMIT 8
#define CHANNEL "kills"

//  Of 100 messages, those from here on are ...; those before, acked.
enum {
    S_NACKS = 84,
    S_RELEASES = 91,
    S_HOLDS = 95,
    S_FORGETS = 99
};

typedef struct {
    kill_journal_t *journal;
    unsigned index;
    int progress; //  descriptor: a byte for whatever happened
    uint64_t random;
    uint64_t base; //  number asked last by an earlier life of this producer
    unsigned group;
    uint64_t handled; //  messages, by this consumer
    yam_t *yam;
    yam_push_t *push; //  one of the four
    yam_pub_t *pub;
    yam_pull_t *pull;
    yam_sub_t *sub;
    yam_message_t *held[HELD_LIMIT]; //  to be settled later
} s_client_t;

static int
s_fail(const s_client_t *self, const char *what)
{
    (void) fprintf(stderr, "# client %u: %s: %s (%s)\n", self->index, what, yam_error(),
                   strerror(errno));
    return 1;
}

//  A full pipe means that nobody looks at progress just now.
static void
s_progress(const s_client_t *self)
{
    (void) !write(self->progress, "p", 1);
}

//  Connects to the relay, or binds with the relay in this process.
static int
s_endpoint(const s_client_t *self, kill_home_t home, char *endpoint, size_t size)
{
    const kill_journal_t *journal = self->journal;
    return journal->home == home
               ? snprintf(endpoint, size, "@%s?relay=%s", journal->endpoint, journal->store)
               : snprintf(endpoint, size, ">%s?grade=sure", journal->endpoint);
}

//  -- Producer ------------------------------------------------------------------------------------

static void
s_confirmed(void *arg, uint64_t first, uint64_t last, yam_status_t status, yam_level_t level,
            const char *text)
{
    s_client_t *self = arg;
    bool is_refused = status != YAM_STATUS_OK || level != YAM_LEVEL_SYNCED;
    if (is_refused) {
        (void) fprintf(stderr, "# producer %u: %s: %s\n", self->index, yam_status_name(status),
                       text);
    }
    kill_journal_confirm(self->journal, self->index, self->base + first, self->base + last,
                         is_refused);
    s_progress(self);
}

static int
s_send(s_client_t *self, uint64_t number)
{
    static uint8_t body[KILL_BODY_LIMIT];
    size_t size = kill_body(body, self->index, number);
    return self->pub ? yam_pub_send(self->pub, body, size) : yam_push_send(self->push, body, size);
}

//  Asks for the next message; the planted faults ask wrongly now and then.
static int
s_ask(s_client_t *self)
{
    kill_journal_t *journal = self->journal;
    uint64_t number = journal->asked[self->index] + 1;
    bool is_planted = number % 50 == 0;
    journal->messages[self->index][number].state = KILL_ASKED;
    journal->asked[self->index] = number;
    if (journal->plant == KILL_PLANT_EARLY_CONFIRM) {
        kill_journal_confirm(journal, self->index, number, number, false);
    }
    if (journal->plant == KILL_PLANT_SENT_TWICE && is_planted && s_send(self, number) == -1) {
        return -1;
    }
    if (journal->plant == KILL_PLANT_SWAPPED && is_planted) {
        journal->messages[self->index][number + 1].state = KILL_ASKED;
        journal->asked[self->index] = number + 1;
        return s_send(self, number + 1) == -1 ? -1 : s_send(self, number);
    }
    return s_send(self, number);
}

static int
s_open_sender(s_client_t *self)
{
    char endpoint[800];
    kill_journal_t *journal = self->journal;
    int used = s_endpoint(self, KILL_IN_PRODUCER, endpoint, sizeof endpoint);
    (void) snprintf(endpoint + used, sizeof endpoint - (size_t) used,
                    "&name=producer-%u&window=1024", self->index);
    if (journal->is_topic) {
        self->pub = yam_pub_new(self->yam, CHANNEL, endpoint);
    } else {
        self->push = yam_push_new(self->yam, CHANNEL, endpoint);
    }
    if (!self->pub && !self->push) {
        return s_fail(self, "cannot open");
    }
    if (self->pub) {
        yam_pub_set_confirm(self->pub, s_confirmed, self);
    } else {
        yam_push_set_confirm(self->push, s_confirmed, self);
    }
    return 0;
}

static int
s_produce(s_client_t *self)
{
    kill_journal_t *journal = self->journal;
    self->base = journal->asked[self->index];
    if (s_open_sender(self) != 0) {
        return 1;
    }
    while (journal->phase == KILL_RUN && journal->asked[self->index] + 1 < KILL_NUMBER_LIMIT) {
        if (s_ask(self) == -1) {
            return s_fail(self, "cannot send");
        }
    }
    uint64_t missing =
        self->pub ? yam_pub_flush(self->pub, CLOSE_MS) : yam_push_flush(self->push, CLOSE_MS);
    (void) printf("flushed\n");
    (void) fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) { //  until consumers need the relay no more
    }
    missing +=
        self->pub ? yam_pub_close(&self->pub, CLOSE_MS) : yam_push_close(&self->push, CLOSE_MS);
    return missing == 0 ? 0 : s_fail(self, "not all was confirmed");
}

//  -- Consumer ------------------------------------------------------------------------------------

static yam_message_t *
s_receive(s_client_t *self)
{
    return self->sub ? yam_sub_recv(self->sub, LOOK_MS) : yam_pull_recv(self->pull, LOOK_MS);
}

static void
s_ack_unnoted(s_client_t *self, yam_message_t **message_p)
{
    (void) (self->sub ? yam_sub_ack(self->sub, message_p) : yam_pull_ack(self->pull, message_p));
}

static void
s_ack(s_client_t *self, yam_message_t **message_p)
{
    kill_journal_done(self->journal, self->group, yam_message_body(*message_p),
                      yam_message_size(*message_p));
    s_ack_unnoted(self, message_p);
}

//  Mostly for a moment; some for so long that checkpoints and kills come in between.
static void
s_nack(s_client_t *self, yam_message_t **message_p)
{
    bool is_long = kill_random(&self->random) % 4 == 0;
    int delay_ms = (int) (kill_random(&self->random) % (is_long ? 800 : 21));
    (void) (self->sub ? yam_sub_nack(self->sub, message_p, delay_ms, "a test")
                      : yam_pull_nack(self->pull, message_p, delay_ms, "a test"));
}

static void
s_release(s_client_t *self, yam_message_t **message_p)
{
    (void) (self->sub ? yam_sub_release(self->sub, message_p)
                      : yam_pull_release(self->pull, message_p));
}

static void
s_ack_held(s_client_t *self)
{
    for (unsigned index = 0; index < HELD_LIMIT; index++) {
        if (self->held[index]) {
            s_ack(self, &self->held[index]);
        }
    }
}

//  0..99: what becomes of a message. While draining all are acked; and with the usual limit of
//  failures none fails on purpose.
static unsigned
s_choose(s_client_t *self)
{
    unsigned chance = kill_random(&self->random) % 100;
    bool is_failure = (chance >= S_NACKS && chance < S_RELEASES) || chance >= S_FORGETS;
    bool may_fail = self->journal->home == KILL_IN_YAMD;
    return self->journal->phase >= KILL_DRAIN || (is_failure && !may_fail) ? 0 : chance;
}

//  Mostly an ack. Some fail, some go back, some are settled later and out of order, few are
//  forgotten until their lease ends.
static void
s_settle(s_client_t *self, yam_message_t **message_p)
{
    unsigned chance = s_choose(self);
    if (chance < S_NACKS) {
        s_ack(self, message_p);
    } else if (chance < S_RELEASES) {
        s_nack(self, message_p);
    } else if (chance < S_HOLDS) {
        s_release(self, message_p);
    } else if (chance < S_FORGETS) {
        yam_message_t **place = &self->held[kill_random(&self->random) % HELD_LIMIT];
        if (*place) {
            s_ack(self, place);
        }
        *place = *message_p;
        *message_p = NULL;
    } else {
        yam_message_destroy(message_p);
    }
}

//  Notes first: what is acked was handled.
static void
s_handle(s_client_t *self, yam_message_t *message)
{
    static uint8_t copy[KILL_BODY_LIMIT];
    kill_journal_t *journal = self->journal;
    size_t size = yam_message_size(message);
    bool is_planted = ++self->handled % 50 == 25;
    const void *body = yam_message_body(message);
    if (is_planted && journal->plant != KILL_PLANT_NONE) {
        memcpy(copy, body, size);
        copy[size - 1] ^= journal->plant == KILL_PLANT_BIT_FLIP ? 1 : 0;
        copy[13] ^= journal->plant == KILL_PLANT_WRONG_NUMBER ? 1 : 0;
        body = copy;
    }
    kill_journal_receive(journal, self->group, body, size, yam_message_sequence(message));
    if (is_planted && journal->plant == KILL_PLANT_ACK_UNNOTED) {
        s_ack_unnoted(self, &message);
    } else {
        s_settle(self, &message);
    }
}

static int
s_consume(s_client_t *self)
{
    char endpoint[800];
    kill_journal_t *journal = self->journal;
    self->group = self->index % journal->group_count;
    int used = s_endpoint(self, KILL_IN_CONSUMER, endpoint, sizeof endpoint);
    used += snprintf(endpoint + used, sizeof endpoint - (size_t) used,
                     "&lease=1s&credit=256&connect-timeout=30s");
    if (journal->is_topic) {
        (void) snprintf(endpoint + used, sizeof endpoint - (size_t) used,
                        "&start=first&group=group-%u", self->group);
        self->sub = yam_sub_new(self->yam, CHANNEL, endpoint);
    } else {
        self->pull = yam_pull_new(self->yam, CHANNEL, endpoint);
    }
    if (!self->sub && !self->pull) {
        return s_fail(self, "cannot open");
    }
    s_progress(self);
    for (unsigned count = 0; journal->phase < KILL_END;) {
        yam_message_t *message = s_receive(self);
        if (!message && errno != EAGAIN) {
            return s_fail(self, "cannot receive");
        }
        if (!message) {
            s_ack_held(self);
            continue;
        }
        s_handle(self, message);
        if (++count % 8 == 0 || journal->phase >= KILL_DRAIN) {
            s_progress(self);
        }
    }
    s_ack_held(self);
    //  What was settled in sessions that a kill ended is told once, as lost; from now on nobody is
    //  killed.
    (void) (self->sub ? yam_sub_flush(self->sub, CLOSE_MS) : yam_pull_flush(self->pull, CLOSE_MS));
    uint64_t missing =
        self->sub ? yam_sub_close(&self->sub, CLOSE_MS) : yam_pull_close(&self->pull, CLOSE_MS);
    return missing == 0 ? 0 : s_fail(self, "not all acks are durable");
}

int
kill_client_main(char **argv)
{
    int journal_fd = (int) strtol(argv[4], NULL, 10);
    s_client_t self = {.index = (unsigned) strtoul(argv[3], NULL, 10)};
    self.progress = (int) strtol(argv[5], NULL, 10);
    self.journal = kill_journal_open(&journal_fd);
    self.random = self.journal->seed ^ (uint64_t) ++self.journal->starts << 32;
    self.yam = yam_new();
    if (!self.yam) {
        return s_fail(&self, "cannot start");
    }
    int rc = strcmp(argv[2], "producer") == 0 ? s_produce(&self) : s_consume(&self);
    if (rc == 0) {
        yam_destroy(&self.yam);
        kill_journal_close(self.journal, journal_fd);
    }
    return rc;
}
