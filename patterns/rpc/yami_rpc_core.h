/*  yami_rpc_core - the caller's side of calls: deadlines, tries, which server is alive, which reply
    is whose.

    Pure: time is handed in, frames go in and come out. Not thread-safe; one owner at a time. A
    server is a place that calls can be sent to: directly one of several that are asked for signs of
    life, or the queue of a relay, which is always there.

        add -> WAITING (no server) -> QUEUED (for one) --sent--> SENT --reply--> DONE -> taken
                  ^                      ^                        |
                  +--- none is alive ----+------- PAUSED <--------+   it died, or refuses for now
                                                                      and tries are left
        deadline, cancel: from everywhere but DONE

    Invariants (yami_rpc_core_check):
    (1) A call is in the list of its state, and counted by its server, when QUEUED or SENT.
    (2) A call that is DONE stays so: its outcome is the first one there was.
    (3) A call is QUEUED only for a server that is alive; WAITING only when none is.
    (4) Every call that is not DONE and has a deadline is in the timers for that time.
    (5) calls = replied + timeouts + failed + cancelled + those not DONE.
*/
#ifndef YAMI_RPC_CORE_H
#define YAMI_RPC_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "yam_rpc.h"
#include "yami_endpoint.h"
#include "yami_heap.h"
#include "yami_rpc_frame.h"

#define YAMI_RPC_BUCKETS 4096u   //  of the table of calls
#define YAMI_RPC_ANSWERED 65536u //  latest calls of which is known whether they were answered
#define YAMI_RPC_WITHDRAWALS 64u //  cancelled calls that wait to be told to one server
#define YAMI_RPC_PATIENCE 3      //  heartbeats missed before a server is given up
#define YAMI_RPC_PAUSE_MS 20     //  before a refused call is tried again; doubles, up to
#define YAMI_RPC_PAUSE_LIMIT_MS 1000
#define YAMI_RPC_FREE_TRIES 16u //  of a call that a server sent back unseen

typedef enum {
    YAMI_RPC_WAITING,
    YAMI_RPC_QUEUED,
    YAMI_RPC_SENT,
    YAMI_RPC_PAUSED,
    YAMI_RPC_DONE,
} yami_rpc_state_t;

typedef struct yami_rpc_call {
    uint64_t number;
    yam_message_t *request; //  owned; NULL when DONE
    yam_rpc_reply_fn reply; //  NULL: a future
    void *arg;
    size_t size;         //  bytes charged
    int64_t deadline_ms; //  INT64_MAX: none
    yami_rpc_state_t state;
    size_t server;         //  QUEUED, SENT: where; else the one tried last
    uint32_t attempt;      //  times sent
    uint32_t retries;      //  times it may still be sent again
    uint32_t free_tries;   //  the same, by servers that had not looked at it
    int64_t due_ms;        //  PAUSED: until then
    yam_status_t status;   //  DONE
    char *text;            //  DONE; owned, NULL: ""
    yam_message_t *answer; //  DONE; owned, or NULL
    LIST_ENTRY(yami_rpc_call) bucket;
    TAILQ_ENTRY(yami_rpc_call) link; //  of the list of its state; futures that are DONE: of none
} yami_rpc_call_t;

TAILQ_HEAD(yami_rpc_list, yami_rpc_call);
LIST_HEAD(yami_rpc_bucket, yami_rpc_call);

typedef struct {
    bool is_alive;
    bool is_blocked;       //  its socket has no room
    uint32_t epoch;        //  of the server that was heard last; 0: none yet
    uint64_t socket;       //  number of the socket wanted: another one after it was given up
    uint64_t ping;         //  number of the latest PING
    int64_t asked_ms;      //  when that was sent, or became due
    int64_t unheard_ms;    //  since when a PING is due that nothing was heard after; 0: none is
    bool must_ask;         //  a PING is due now
    int64_t offset_ms;     //  its clock minus ours, at most one round trip too much
    int64_t round_trip_ms; //  by which that was learned; -1: not yet
    struct yami_rpc_list queued;
    struct yami_rpc_list sent;
    size_t load;                                              //  calls in both
    yami_rpc_correlation_t withdrawals[YAMI_RPC_WITHDRAWALS]; //  caller is not used
    size_t withdrawal_count;
} yami_rpc_server_t;

typedef struct {
    size_t servers;       //  1..YAMI_LIMIT_ADDRESSES
    bool is_relayed;      //  one server, which is a relay's queue
    uint64_t calls;       //  most without an outcome taken
    uint64_t bytes;       //  most bytes of their requests, or one alone; and of their answers
    uint32_t retries;     //  of each call
    int64_t heartbeat_ms; //  > 0
} yami_rpc_config_t;

typedef struct {
    yami_rpc_config_t config;
    char caller[YAMI_RPC_CALLER_SIZE]; //  random
    yami_rpc_server_t servers[YAMI_LIMIT_ADDRESSES];
    struct yami_rpc_bucket *buckets; //  owned
    struct yami_rpc_list waiting;
    struct yami_rpc_list paused;
    struct yami_rpc_list done; //  with callbacks, oldest first
    yami_heap_t timers;        //  (when, number of the call)
    uint64_t latest;           //  number of the latest call
    uint64_t count;            //  calls in the table
    uint64_t unfinished;       //  of them, not DONE
    uint64_t bytes;            //  of requests
    uint64_t answer_bytes;     //  of answers that are not taken yet
    uint64_t *answered; //  owned; one bit for each of the latest calls: a reply was its outcome
    yam_rpc_stats_t stats;
} yami_rpc_core_t;

//  What is to be sent to a server.
typedef struct {
    yami_rpc_frame_t frame; //  slices are borrowed from here and from the call, until the next call
    char correlation[YAMI_RPC_CORRELATION_SIZE];
    char id[YAMI_RPC_CORRELATION_SIZE];
    yami_rpc_call_t *call; //  CALL: which
} yami_rpc_sending_t;

//  random: 16 bytes that no other caller has.
void
yami_rpc_core_init(yami_rpc_core_t *self, const yami_rpc_config_t *config, const yami_id_t *random);

//  Frees what it holds.
void
yami_rpc_core_clear(yami_rpc_core_t *self);

//  A new call, which takes *request_p over and clears it. Its number; 0 with errno EAGAIN, ENOMEM.
uint64_t
yami_rpc_core_add(yami_rpc_core_t *self, int64_t now_ms, yam_message_t **request_p,
                  int64_t deadline_ms, yam_rpc_reply_fn reply, void *arg);

//  The call of that number, NULL when there is none.
yami_rpc_call_t *
yami_rpc_core_find(const yami_rpc_core_t *self, uint64_t number);

//  Gives a call up, or a future that is DONE. 0, or -1 with errno ENOENT.
int
yami_rpc_core_cancel(yami_rpc_core_t *self, uint64_t number);

//  A frame came from server number index. block (borrowed) has its bytes; an answer keeps a
//  reference.
void
yami_rpc_core_frame(yami_rpc_core_t *self, int64_t now_ms, size_t index,
                    const yami_rpc_frame_t *frame, yami_block_t *block);

//  Something came from it that was no frame.
void
yami_rpc_core_garbage(yami_rpc_core_t *self);

//  What was sent to that server may be lost: it is tried again, or fails. A relay's queue is there
//  again at once.
void
yami_rpc_core_lost(yami_rpc_core_t *self, int64_t now_ms, size_t index);

//  What time alone brings to calls, and to that server, of which all is received that has come.
//  Returns when it is to be called again (INT64_MAX: never).
int64_t
yami_rpc_core_turn(yami_rpc_core_t *self, int64_t now_ms, size_t index);

//  What is to be sent to that server next; the same again until sent or blocked is called. False:
//  nothing.
bool
yami_rpc_core_next(yami_rpc_core_t *self, size_t index, yami_rpc_sending_t *sending);

//  It was sent; or could never be, then status says why.
void
yami_rpc_core_sent(yami_rpc_core_t *self, int64_t now_ms, size_t index,
                   const yami_rpc_sending_t *sending, yam_status_t status);

//  The server's socket has no room, or has some again.
void
yami_rpc_core_block(yami_rpc_core_t *self, size_t index, bool is_blocked);

//  Every call that has no outcome gets that one.
void
yami_rpc_core_end(yami_rpc_core_t *self, yam_status_t status, const char *text);

//  Takes out the oldest call with an outcome and a callback, NULL when there is none; and a future
//  that is DONE. The caller owns it: free it.
yami_rpc_call_t *
yami_rpc_core_take(yami_rpc_core_t *self);
void
yami_rpc_core_take_future(yami_rpc_core_t *self, yami_rpc_call_t *call);
void
yami_rpc_call_free(yami_rpc_call_t **call_p);

void
yami_rpc_core_check(const yami_rpc_core_t *self);

#endif
