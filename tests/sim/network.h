/*  network - connections between clients' DEALER sockets and one ROUTER, as libzmq makes them.

    A client's socket connects by itself, again and again; each connection is a new link for the
    relay. Frames of a connection arrive in order and unchanged, as over TCP, unless chaos was asked
    for (a hostile proxy). A cut loses the end of what was on its way, in each direction on its own;
    what the relay had received of the old connection may be read after the new one has begun.
    Neither end is told of a cut but by what its socket does: the client's connects anew, and
    sending to it fails at the relay when that has noticed.
*/
#ifndef NETWORK_H
#define NETWORK_H

#include "world.h"
#include "yami_block.h"

typedef struct network network_t;
typedef struct network_client network_client_t;
typedef struct network_link network_link_t;

enum {
    NETWORK_UP,  //  to the relay
    NETWORK_DOWN //  to the client
};

typedef struct {
    //  What comes to the relay, from which link; block is borrowed.
    void (*arrive)(void *arg, uint64_t link, yami_block_t *block);
    //  When the relay reads next, microseconds; at most now: it does now.
    int64_t (*reads_at)(const void *arg);
    bool (*is_listening)(const void *arg);
} network_relay_ops_t;

typedef struct {
    void (*arrive)(void *arg, yami_block_t *block, yami_block_t *data);
    //  A connection was made: the socket takes frames.
    void (*connected)(void *arg);
} network_client_ops_t;

network_t *
network_new(world_t *world, const network_relay_ops_t *ops, void *arg);
void
network_destroy(network_t **self_p);

//  A client without a socket. waits: frames sent while there is no connection wait for the next
//  one, else sending fails. The network owns it.
network_client_t *
network_client(network_t *self, bool waits, const network_client_ops_t *ops, void *arg);

void
network_open(network_client_t *client);
//  lingers: what was sent still arrives.
void
network_close(network_client_t *client, bool lingers);
//  0, or -1 with errno EAGAIN.
int
network_send(network_client_t *client, yami_block_t *block);

//  The relay's side: 0, or -1 with errno EHOSTUNREACH.
int
network_answer(network_t *self, uint64_t number, yami_block_t *block, yami_block_t *data);
//  The relay's process is gone, and all its links; lingers: what it sent still arrives.
void
network_relay_gone(network_t *self, bool lingers);

//  -- Faults of one client's network; each until the time given, microseconds

void
network_cut(network_client_t *client);
//  What is sent in that direction vanishes without a sign; then the connection breaks.
void
network_half_open(network_client_t *client, int direction, int64_t until_us);
void
network_unreachable(network_client_t *client, int64_t until_us);
//  The client's process stands still: what arrives waits.
void
network_freeze(network_client_t *client, int64_t until_us);
void
network_slow(network_client_t *client, int64_t delay_us, int64_t until_us);
//  Drops, repeats, swaps and damages frames, each permille times in a thousand.
void
network_chaos(network_client_t *client, unsigned permille, int64_t until_us);
//  Whether it ever was in the hands of that proxy, against which the protocol does not defend.
bool
network_had_chaos(const network_client_t *client);
//  All faults are over.
void
network_calm(network_t *self);

#endif
