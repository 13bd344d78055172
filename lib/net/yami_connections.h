/*  yami_connections - the connections a bound socket has accepted: counted, limited, ended.

    ZeroMQ accepts whoever comes, keeps a connection as long as the far end likes, and has no call
    that ends one. It does report each one with its descriptor (zmq_socket_monitor), and says of a
    message by which it came (ZMQ_SRCFD): shutting that descriptor down is for ZeroMQ as if the peer
    had gone, and it frees all it held for it.
    Not thread-safe: one owner. Transports without descriptors (inproc) have no connections; who is
    there shares our process anyway.
    Invariants:
    (1) At most that many connections, and none whose descriptor is among the last ones the process
    may have, outlive the next step: the oldest that has not greeted is ended first, whoever comes
    last when all have.
    (2) None that has not greeted outlives greeting_ms.
    (3) What came in and was not taken by the owner, such as a message of parts without end, which
    no limit of ZeroMQ counts, is at most untaken_bytes for a connection and untaken_total for all;
    it is looked at every YAMI_CONNECTIONS_LOOK_MS, on tcp only.
    (4) A descriptor is shut down only while it is the very socket that was reported: its cookie
    (SO_COOKIE) is compared.
*/
#ifndef YAMI_CONNECTIONS_H
#define YAMI_CONNECTIONS_H

#include <stddef.h>
#include <stdint.h>

#include "yami_outbox.h"

typedef struct yami_connections yami_connections_t;

//  Names a connection for ever: descriptors are used again, stamps are not.
typedef struct {
    int fd;         //  -1: none
    uint64_t stamp; //  > 0
} yami_connection_id_t;

#define YAMI_CONNECTIONS_LOOK_MS 250

typedef struct {
    size_t connections;
    int64_t greeting_ms;
    uint64_t untaken_bytes; //  more than the largest frame
    uint64_t untaken_total;
} yami_connections_limits_t;

//  Those of every port that strangers may come to.
extern const yami_connections_limits_t yami_connections_limits;

typedef struct {
    uint64_t open;     //  now
    uint64_t silent;   //  of them, have not greeted
    uint64_t accepted; //  ever
    uint64_t ended;    //  by us, ever
    uint64_t failed;   //  handshakes of ZeroMQ or CURVE that did not come to their end, ever
} yami_connections_counts_t;

//  Watches socket, which is not bound yet. outboxes is borrowed. NULL with errno EMFILE and a
//  sentence.
yami_connections_t *
yami_connections_new(void *context, void *socket, yami_outboxes_t *outboxes,
                     const yami_connections_limits_t *limits);

//  Before the watched socket is closed. Clears *self_p; safe on NULL.
void
yami_connections_destroy(yami_connections_t **self_p);

//  The ZeroMQ socket that is readable when step has something to do.
void *
yami_connections_socket(const yami_connections_t *self);

//  Takes in what was reported; ends those that are too many (1), silent for too long (2), or send
//  what nobody can take (3).
void
yami_connections_step(yami_connections_t *self, int64_t now_ms);

//  Monotonic ms at which the next step is due, INT64_MAX when none is.
int64_t
yami_connections_deadline(const yami_connections_t *self);

//  The connection by which a message just received came: fd is its ZMQ_SRCFD, order the number that
//  ZeroMQ gave the peer (ascending, modulo 2^32). fd -1 when there is none, or it is gone: messages
//  of a connection may come after its end, when its descriptor is another one's already; that one
//  has a greater number than all seen before it was accepted, and than who claimed it before.
yami_connection_id_t
yami_connections_find(yami_connections_t *self, int fd, uint32_t order, int64_t now_ms);

//  The same for peers that chose their own routing id, which may lie.
yami_connection_id_t
yami_connections_find_named(yami_connections_t *self, int fd, int64_t now_ms);

//  It has said who it is, and may stay; or has ended its session, and must say so again in time.
//  Nothing happens when it is gone.
void
yami_connections_greeted(yami_connections_t *self, yami_connection_id_t id);
void
yami_connections_left(yami_connections_t *self, yami_connection_id_t id, int64_t now_ms);

//  A message that came by it was taken.
void
yami_connections_taken(yami_connections_t *self, yami_connection_id_t id);

//  What it has not taken yet; borrowed until the next step. NULL when it is gone.
yami_outbox_t *
yami_connections_outbox(const yami_connections_t *self, yami_connection_id_t id);

//  Ends it: what is queued for it is dropped.
void
yami_connections_end(yami_connections_t *self, yami_connection_id_t id, int64_t now_ms);

void
yami_connections_count(const yami_connections_t *self, yami_connections_counts_t *counts);

#endif
