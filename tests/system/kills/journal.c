#include "journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC UINT32_C(0x4D41594B)
#define HEAD_SIZE 16
#define EXAMPLE_LIMIT 5 //  printed of each kind

uint64_t
kill_random(uint64_t *state_p)
{
    uint64_t value = *state_p += UINT64_C(0x9E3779B97F4A7C15);
    value = (value ^ value >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    value = (value ^ value >> 27) * UINT64_C(0x94D049BB133111EB);
    return value ^ value >> 31;
}

kill_journal_t *
kill_journal_open(int *fd_p)
{
    if (*fd_p == -1) {
        *fd_p = memfd_create("kill-journal", 0);
        if (*fd_p == -1 || ftruncate(*fd_p, (off_t) sizeof(kill_journal_t)) == -1) {
            perror("kill journal");
            abort();
        }
    }
    void *map = mmap(NULL, sizeof(kill_journal_t), PROT_READ | PROT_WRITE, MAP_SHARED, *fd_p, 0);
    if (map == MAP_FAILED) {
        perror("kill journal");
        abort();
    }
    return map;
}

void
kill_journal_close(kill_journal_t *self, int fd)
{
    (void) munmap(self, sizeof *self);
    (void) close(fd);
}

//  Most are small, some fill a batch, few are larger than one.
static size_t
s_body_size(uint64_t random)
{
    static const size_t limits[] = {1000, 1000, 1000, 1000, 1000, 1000, 8000, 30000};
    size_t limit = limits[random & 7];
    random >>= 3;
    if (random % 200 == 0) {
        limit = KILL_BODY_LIMIT - HEAD_SIZE;
    }
    return HEAD_SIZE + (random >> 8) % limit;
}

size_t
kill_body(uint8_t *body, uint32_t producer, uint64_t number)
{
    uint32_t magic = MAGIC;
    uint64_t state = (uint64_t) producer << 40 ^ number;
    size_t size = s_body_size(kill_random(&state));
    memcpy(body, &magic, sizeof magic);
    memcpy(body + 4, &producer, sizeof producer);
    memcpy(body + 8, &number, sizeof number);
    for (size_t at = HEAD_SIZE; at < size; at += 8) {
        uint64_t word = kill_random(&state);
        memcpy(body + at, &word, size - at < 8 ? size - at : 8);
    }
    return size;
}

void
kill_journal_confirm(kill_journal_t *self, unsigned producer, uint64_t first, uint64_t last,
                     bool is_refused)
{
    for (uint64_t number = first; number <= last && number <= KILL_NUMBER_LIMIT; number++) {
        self->messages[producer][number].state = is_refused ? KILL_REFUSED : KILL_CONFIRMED;
    }
}

//  Which message a body says it is; NULL when it was never asked.
static kill_message_t *
s_find(kill_journal_t *self, const void *body, size_t size, uint32_t *producer_p,
       uint64_t *number_p)
{
    uint32_t magic = 0;
    *producer_p = 0;
    *number_p = 0;
    if (size >= HEAD_SIZE) {
        memcpy(&magic, body, sizeof magic);
        memcpy(producer_p, (const uint8_t *) body + 4, sizeof *producer_p);
        memcpy(number_p, (const uint8_t *) body + 8, sizeof *number_p);
    }
    bool is_asked = magic == MAGIC && *producer_p > 0 && *producer_p <= self->producer_count &&
                    *number_p > 0 && *number_p <= self->asked[*producer_p];
    return is_asked ? &self->messages[*producer_p][*number_p] : NULL;
}

void
kill_journal_receive(kill_journal_t *self, unsigned group, const void *body, size_t size,
                     uint64_t sequence)
{
    static _Thread_local uint8_t expected[KILL_BODY_LIMIT];
    uint32_t producer;
    uint64_t number, none = 0;
    kill_message_t *message = s_find(self, body, size, &producer, &number);
    if (message == NULL) {
        self->alien++;
        return;
    }
    if (size != kill_body(expected, producer, number) || memcmp(body, expected, size) != 0) {
        self->wrong_body++;
        return;
    }
    if (!atomic_compare_exchange_strong(&message->sequence, &none, sequence) && none != sequence &&
        self->twice++ < EXAMPLE_LIMIT) {
        (void) fprintf(stderr,
                       "# %u/%" PRIu64 " has the channel's sequences %" PRIu64 " and %" PRIu64 "\n",
                       producer, number, none, sequence);
    }
    //  Before it counts as received: a kill in between must not leave a reception without its tick.
    uint64_t tick = ++self->ticks, no_tick = 0;
    if (group == 0) {
        (void) atomic_compare_exchange_strong(&message->tick, &no_tick, tick);
    }
    message->received[group]++;
}

void
kill_journal_done(kill_journal_t *self, unsigned group, const void *body, size_t size)
{
    uint32_t producer;
    uint64_t number;
    kill_message_t *message = s_find(self, body, size, &producer, &number);
    if (message != NULL) {
        message->done[group]++;
    }
}

//  What came was durable, confirmed or not.
static bool
s_is_missing(const kill_journal_t *self, const kill_message_t *message)
{
    bool is_stored = message->state == KILL_CONFIRMED;
    bool is_done = true;
    for (unsigned group = 0; group < self->group_count; group++) {
        is_stored |= message->received[group] > 0;
        is_done &= message->done[group] > 0;
    }
    return is_stored && !is_done;
}

bool
kill_journal_is_complete(const kill_journal_t *self)
{
    for (unsigned producer = 1; producer <= self->producer_count; producer++) {
        for (uint64_t number = 1; number <= self->asked[producer]; number++) {
            if (s_is_missing(self, &self->messages[producer][number])) {
                return false;
            }
        }
    }
    return true;
}

static void
s_count(uint64_t *counter, bool is_wrong, const char *what, unsigned producer, uint64_t number)
{
    if (is_wrong && ++*counter <= EXAMPLE_LIMIT) {
        (void) fprintf(stderr, "# %u/%" PRIu64 " %s\n", producer, number, what);
    }
}

static void
s_judge_producer(const kill_journal_t *self, unsigned producer, kill_verdict_t *verdict)
{
    uint64_t sequence = 0, tick = 0;
    for (uint64_t number = 1; number <= self->asked[producer]; number++) {
        const kill_message_t *message = &self->messages[producer][number];
        bool is_received = message->received[0] + message->received[1] > 0;
        verdict->confirmed += message->state == KILL_CONFIRMED;
        verdict->refused += message->state == KILL_REFUSED;
        verdict->received += is_received;
        for (unsigned group = 0; group < self->group_count; group++) {
            verdict->duplicates += message->received[group] > 1 ? message->received[group] - 1 : 0;
        }
        s_count(&verdict->missing, s_is_missing(self, message), "was stored and is missing",
                producer, number);
        s_count(&verdict->refused_received, is_received && message->state == KILL_REFUSED,
                "was refused and came", producer, number);
        s_count(&verdict->misplaced, is_received && message->sequence <= sequence,
                "is stored before its predecessor", producer, number);
        s_count(&verdict->disordered,
                self->group_count == 1 && self->member_count == 1 && is_received &&
                    message->tick <= tick,
                "came before its predecessor", producer, number);
        sequence = message->sequence > sequence ? message->sequence : sequence;
        tick = message->tick > tick ? message->tick : tick;
    }
}

void
kill_journal_judge(const kill_journal_t *self, kill_verdict_t *verdict)
{
    for (unsigned producer = 1; producer <= self->producer_count; producer++) {
        verdict->asked += self->asked[producer];
        s_judge_producer(self, producer, verdict);
    }
    verdict->unknown = verdict->asked - verdict->confirmed - verdict->refused;
    verdict->alien = self->alien;
    verdict->wrong_body = self->wrong_body;
    verdict->twice = self->twice;
}
