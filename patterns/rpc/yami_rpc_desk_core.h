/*  yami_rpc_desk_core - the server's side of calls: which requests are here, which is next, which
    answer is to leave.

    Pure: time is handed in, on the clock that deadlines are on: the server's own directly, the
    wall's through a relay. Not thread-safe; one owner at a time. How answers leave is its owner's:
    directly they are sent, through a relay published, and the request then acknowledged.

        take -> QUEUED --next--> RUNNING --answer--> LEAVING --leaving, left--> LEFT --free-->
                  '--- nobody waits any more, or closing ---^

    Invariants (yami_rpc_desk_check):
    (1) A request is in the list of its state, and in the table until it is freed.
    (2) Two requests in the table have not both the same peer and the same correlation id.
    (3) Requests are within their limit; none is taken that the limit on bytes, those of answers
    among them, has no room for, unless it is alone.
*/
#ifndef YAMI_RPC_DESK_CORE_H
#define YAMI_RPC_DESK_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "yam_rpc_server.h"
#include "yami_connections.h"
#include "yami_limits.h"
#include "yami_rpc_frame.h"

#define YAMI_RPC_DESK_BUCKETS 1024u

typedef enum {
    YAMI_RPC_REQUEST_QUEUED,
    YAMI_RPC_REQUEST_RUNNING,
    YAMI_RPC_REQUEST_LEAVING,
    YAMI_RPC_REQUEST_LEFT,
} yami_rpc_request_state_t;

struct yam_rpc_request {
    yam_rpc_server_t *server; //  borrowed; it outlives its requests
    yam_message_t *message;   //  owned; what was asked
    yam_message_t *delivery;  //  owned; a later delivery of the same, which is the one to settle
    yami_block_t *peer;       //  owned; routing id; NULL through a relay
    yami_connection_id_t connection; //  by which it came
    char correlation[YAMI_LIMIT_CORRELATION + 1];
    char reply_to[YAMI_LIMIT_SUBJECT + 1];
    int64_t deadline_ms; //  INT64_MAX: none
    size_t size;         //  bytes charged
    yami_rpc_request_state_t state;
    bool is_cancelled;
    bool is_unwanted;    //  LEAVING: without an answer, nobody waits for it
    bool is_released;    //  LEAVING: through a relay, it goes back there
    yam_status_t status; //  LEAVING: the answer
    char *text;          //  owned; NULL: ""
    yam_message_t *body; //  owned, or NULL
    int64_t
        patience_ms; //  LEAVING: until then its caller may read slowly; 0: it has not been seen to
    uint64_t number; //  LEFT: of the publication
    LIST_ENTRY(yam_rpc_request) bucket;
    TAILQ_ENTRY(yam_rpc_request) link;
};

TAILQ_HEAD(yami_rpc_requests, yam_rpc_request);
LIST_HEAD(yami_rpc_request_bucket, yam_rpc_request);

typedef struct {
    uint64_t limit; //  most requests
    uint64_t bytes; //  most bytes of them, or one alone
    bool is_closing;
    struct yami_rpc_request_bucket *buckets; //  owned
    struct yami_rpc_requests queued;
    struct yami_rpc_requests running;
    struct yami_rpc_requests leaving;
    struct yami_rpc_requests left;
    uint64_t count;
    uint64_t held_bytes;
    yam_rpc_server_stats_t stats;
} yami_rpc_desk_t;

typedef enum {
    YAMI_RPC_TAKEN,    //  it is queued
    YAMI_RPC_REFUSED,  //  *status_p says why
    YAMI_RPC_REPEATED, //  the same is here: *twin_p
    YAMI_RPC_EXPIRED,  //  nobody waits any more
} yami_rpc_verdict_t;

void
yami_rpc_desk_init(yami_rpc_desk_t *self, uint64_t limit, uint64_t bytes);

//  All requests must have been freed.
void
yami_rpc_desk_clear(yami_rpc_desk_t *self);

//  A request has come; if TAKEN, *request_p is the desk's and cleared. Its fields up to size are
//  set.
yami_rpc_verdict_t
yami_rpc_desk_take(yami_rpc_desk_t *self, int64_t now_ms, yam_rpc_request_t **request_p,
                   yam_status_t *status_p, yam_rpc_request_t **twin_p);

//  The caller of that peer (NULL: through a relay) has given up. A request not begun is LEAVING
//  then, unwanted.
void
yami_rpc_desk_cancel(yami_rpc_desk_t *self, const yami_block_t *peer, yami_slice_t correlation);

//  The request to be handled next, RUNNING now; NULL when there is none. Those nobody waits for are
//  LEAVING then, unwanted.
yam_rpc_request_t *
yami_rpc_desk_next(yami_rpc_desk_t *self, int64_t now_ms);

//  How long its caller still waits: as yam_rpc_request_left_ms.
int64_t
yami_rpc_desk_left_ms(const yam_rpc_request_t *request, int64_t now_ms);

//  A RUNNING request has its answer: takes *body_p (NULL in it: none) over. Whether anybody waits
//  for it.
bool
yami_rpc_desk_answer(yami_rpc_desk_t *self, int64_t now_ms, yam_rpc_request_t *request,
                     yam_status_t status, const char *text, yam_message_t **body_p);

//  Nothing more is taken; what was not begun is LEAVING, refused as CLOSING and released.
void
yami_rpc_desk_close(yami_rpc_desk_t *self);

//  The request whose answer is to leave next, NULL when there is none.
yam_rpc_request_t *
yami_rpc_desk_leaving(const yami_rpc_desk_t *self);

//  That one's answer left, as that publication: it waits to be freed.
void
yami_rpc_desk_left(yami_rpc_desk_t *self, yam_rpc_request_t *request, uint64_t number);

//  Out of the desk, whatever its state; and freed.
void
yami_rpc_desk_free(yami_rpc_desk_t *self, yam_rpc_request_t **request_p);

//  Frees one that no desk has. Safe on NULL.
void
yami_rpc_request_free(yam_rpc_request_t **request_p);

void
yami_rpc_desk_check(const yami_rpc_desk_t *self);

#endif
