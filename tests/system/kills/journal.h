/*  journal - what clients asked for, what was confirmed to them, and what came: the oracle of the
    kill tests.

    Lies in memory that all processes share and no kill takes away. Clients write before they act
    (asked) and after they know (confirmed, received), so that a kill in between leaves "unknown". A
    body says who sent it, and all of its bytes follow from that. Thread-safe.
*/
#ifndef KILL_JOURNAL_H
#define KILL_JOURNAL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KILL_PRODUCER_LIMIT 3
#define KILL_GROUP_LIMIT 2
#define KILL_NUMBER_LIMIT 1000000u   //  messages of one producer
#define KILL_BODY_LIMIT (600u << 10) //  bytes of the largest body, more than a batch
#define KILL_TEXT_LIMIT 300

enum {
    KILL_NOT_ASKED,
    KILL_ASKED,
    KILL_CONFIRMED,
    KILL_REFUSED
};
typedef enum {
    KILL_RUN,
    KILL_FLUSH,
    KILL_DRAIN,
    KILL_END
} kill_phase_t;

//  Faults of the test itself, each of which some part of the oracle must notice.
typedef enum {
    KILL_PLANT_NONE,
    KILL_PLANT_EARLY_CONFIRM, //  noted as confirmed when sent
    KILL_PLANT_LOST_STORE,    //  the relay's directory is emptied before the last start
    KILL_PLANT_WRONG_NUMBER,  //  noted under a number that was not asked
    KILL_PLANT_BIT_FLIP,      //  a received bit is another one
    KILL_PLANT_SENT_TWICE,    //  under two identities
    KILL_PLANT_SWAPPED,       //  two neighbours leave in the wrong order
    KILL_PLANT_ACK_UNNOTED,   //  gone, although it was received only, and done by nobody
} kill_plant_t;

//  Where the relay lives.
typedef enum {
    KILL_IN_YAMD,
    KILL_IN_PRODUCER,
    KILL_IN_CONSUMER
} kill_home_t;

typedef struct {
    _Atomic uint32_t state;
    _Atomic uint32_t received[KILL_GROUP_LIMIT];
    _Atomic uint32_t done[KILL_GROUP_LIMIT]; //  settled by an ack, or just about to be
    _Atomic uint64_t sequence;               //  the channel's, of the first reception
    _Atomic uint64_t tick;                   //  when group 0 received it first, in receptions
} kill_message_t;

typedef struct {
    //  set before the first client starts
    char endpoint[KILL_TEXT_LIMIT];
    char store[KILL_TEXT_LIMIT]; //  of a relay within a client
    kill_home_t home;
    bool is_topic;
    unsigned producer_count, group_count, member_count; //  members of each group
    uint64_t seed;
    kill_plant_t plant;
    //  changed by the test
    _Atomic uint32_t phase;  //  kill_phase_t
    _Atomic uint32_t starts; //  of clients, to make each another one
    //  changed by clients
    _Atomic uint64_t asked[KILL_PRODUCER_LIMIT + 1]; //  last number asked
    _Atomic uint64_t ticks;
    _Atomic uint64_t alien;      //  receptions of what was never asked
    _Atomic uint64_t wrong_body; //  of a body that is not the one sent
    _Atomic uint64_t twice;      //  under a second sequence of the channel: it was stored twice
    kill_message_t messages[KILL_PRODUCER_LIMIT + 1][KILL_NUMBER_LIMIT + 1]; //  both from 1
} kill_journal_t;

typedef struct {
    //  counted, right in any case
    uint64_t asked, confirmed, refused, unknown, received, duplicates;
    uint64_t missing; //  confirmed or received, and some group never got to ack it
    uint64_t alien, wrong_body, twice;
    uint64_t refused_received; //  refused for good, and received
    uint64_t misplaced;        //  the channel's sequences are not in the producer's order
    //  first receptions are not in the producer's order (one consumer only)
    uint64_t disordered;
    //  processes that ended by themselves, flushes and drains that did not end
    uint64_t broken;
    uint64_t left; //  messages the relay has at the end
} kill_verdict_t;

//  A new journal in fd (>= 0, inherited by children), or that of a parent when *fd_p is not -1.
kill_journal_t *
kill_journal_open(int *fd_p);
void
kill_journal_close(kill_journal_t *self, int fd);

//  Writes the body of a message, KILL_BODY_LIMIT bytes of room, and returns its size.
size_t
kill_body(uint8_t *body, uint32_t producer, uint64_t number);

void
kill_journal_confirm(kill_journal_t *self, unsigned producer, uint64_t first, uint64_t last,
                     bool is_refused);

//  Notes a reception in a group.
void
kill_journal_receive(kill_journal_t *self, unsigned group, const void *body, size_t size,
                     uint64_t sequence);

//  Notes that a message is done, right before it is acked: whatever else becomes of a reception,
//  the message has to come again.
void
kill_journal_done(kill_journal_t *self, unsigned group, const void *body, size_t size);

//  Whether all that was confirmed, or came to anybody, is done in every group.
bool
kill_journal_is_complete(const kill_journal_t *self);

//  Judges all but broken and left. Prints the first few of what is wrong.
void
kill_journal_judge(const kill_journal_t *self, kill_verdict_t *verdict);

//  A reproducible stream of numbers (splitmix64); *state_p is the seed.
uint64_t
kill_random(uint64_t *state_p);

#endif
