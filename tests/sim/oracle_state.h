/*  oracle_state - what the oracle remembers, shared by its parts; nobody else includes this.

    oracle.c knows messages and what clients say, oracle_relay.c what the relay may do with them,
    oracle_credit.c what producers may send.
*/
#ifndef ORACLE_STATE_H
#define ORACLE_STATE_H

#include "oracle.h"

#define ORACLE_NAME 48
#define ORACLE_CHANNELS 16u
#define ORACLE_GROUPS 32u
#define ORACLE_NONE UINT32_MAX

typedef struct {
    unsigned channel;
    uint64_t stream;
    uint32_t epoch;
    uint64_t sequence; //  the producer's
    size_t size;
    oracle_fate_t fate;
    bool is_promised;      //  the relay said that it has it
    int64_t promised_ms;   //  and had seen no later wall clock by then
    int64_t due_ms;        //  0: it has no time
    bool may_be_cancelled; //  somebody asked for that
    bool is_cancelled;     //  and was told so
    uint64_t first_at;     //  its first sequence in the channel; 0: not seen
    unsigned redriven;     //  times it came into its channel again
    unsigned open_letters; //  counted by oracle_undone
} oracle_message_t;

typedef enum {
    ORACLE_FREE, //  also: never delivered
    ORACLE_LEASED,
    ORACLE_ACKED,
    ORACLE_DEAD //  rejected, or failed too often
} oracle_where_t;

//  One sequence in one group.
typedef struct {
    oracle_where_t where;
    bool is_unsure; //  after a crash: it may as well be free
    bool is_told;   //  that it is settled was said to be durable
    bool is_moved;  //  its dead letter was seen, or what became of that
    uint64_t token; //  LEASED
    uint64_t link;
    int64_t deadline_ms;
    int64_t not_before_ms;
    uint32_t deliveries_low, deliveries_high;
    uint32_t failures_low, failures_high;
    uint32_t durable_failures;
    bool was_rejected;
} oracle_place_t;

typedef struct {
    unsigned channel;
    char name[ORACLE_NAME];
    oracle_place_t *places; //  owned; by sequence - 1
    size_t capacity;
    uint64_t start;      //  first sequence that is for it, as its first ATTACHED said; 0: none yet
    uint64_t last_first; //  highest sequence that was delivered for the first time
} oracle_group_t;

typedef struct {
    char name[ORACLE_NAME];
    int kind;
    bool is_dead;
    unsigned origin; //  of dead letters: the channel they come from
    uint64_t *ids;   //  owned; by sequence - 1; 0: not seen
    size_t capacity;
    uint64_t highest;
} oracle_channel_t;

typedef struct {
    uint64_t serial;
    uint64_t sequence;
    uint8_t type;
    uint32_t failures; //  NACK: as many then
} oracle_settled_t;

//  What a producer may send since it was attached, in messages or in bytes.
typedef struct {
    uint64_t window; //  so much at first; 0: it is not attached
    uint64_t granted;
    uint64_t heard;
} oracle_credit_t;

//  A link of the relay.
typedef struct {
    unsigned group;  //  that it is a member of; or ORACLE_NONE
    unsigned former; //  the one before
    int64_t lease_ms;
    int64_t heartbeat_ms;
    int64_t heard_ms;
    bool has_settled;         //  the frame being taken settles something
    uint64_t stale;           //  of what it names, not held by that link
    uint64_t fenced;          //  ERROR{fenced} sent to it meanwhile
    int64_t error_ms;         //  when it was told the last error
    unsigned errors;          //  less than a second apart: more than some are not told
    uint64_t stream;          //  of a producer
    oracle_credit_t messages; //  of a producer
    oracle_credit_t bytes;
    oracle_settled_t *settled; //  owned; not said to be durable yet
    size_t settled_count;
    size_t settled_capacity;
} oracle_link_t;

typedef struct {
    uint64_t stream;
    uint32_t epoch;
    uint64_t incarnation;
} oracle_epoch_t;

struct oracle {
    world_t *world;
    oracle_rules_t rules;
    oracle_message_t *messages; //  owned; by id - 1
    size_t message_count;
    size_t message_capacity;
    oracle_channel_t channels[ORACLE_CHANNELS];
    unsigned channel_count;
    oracle_group_t groups[ORACLE_GROUPS];
    unsigned group_count;
    oracle_link_t *links; //  owned; by number - 1
    size_t link_count;
    size_t link_capacity;
    oracle_epoch_t *epochs; //  owned
    size_t epoch_count;
    size_t epoch_capacity;
    int64_t next_deadline_ms; //  no lease ends before
    int64_t latest_ms;        //  the latest wall clock that the relay has seen
    uint64_t redrives;
    oracle_counts_t counts;
};

//  The message whose body this is; NULL when it is nobody's, or altered.
oracle_message_t *
oracle_find(oracle_t *self, yami_slice_t body, uint64_t *id_p);
oracle_place_t *
oracle_place(oracle_group_t *group, uint64_t sequence);
//  The sequence stands for that message from now on; checks that it did before.
void
oracle_see(oracle_t *self, unsigned channel, uint64_t sequence, uint64_t id);

//  The relay takes a frame or a batch of that link, or sends it a frame.
void
oracle_credit_takes(oracle_link_t *link, const yami_frame_t *frame);
void
oracle_credit_hears(oracle_link_t *link, const yami_batch_t *batch);
void
oracle_credit_sends(oracle_link_t *link, const yami_frame_t *frame);
//  The link is forgotten.
void
oracle_credit_ends(oracle_link_t *link);
//  All that was sent has its answer: a link whose credit for it has not come back, with a sentence,
//  or 0.
uint64_t
oracle_credit_undone(const oracle_t *self, char *text, size_t size);

#endif
