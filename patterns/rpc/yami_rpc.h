/*  yami_rpc - the inside of yam_rpc: what applications call (rpc.c), and the engine's tasks around
    the core (rpc_io.c), one for each server.

    Invariants:
    (1) Sockets are the engine thread's alone; the core is guarded by the monitor.
    (2) No callback runs with the lock held, and none in two threads at once unless the application
    dispatches in several.
    (3) event_fd, once asked for, is readable exactly while outcomes wait for yam_rpc_dispatch.
*/
#ifndef YAMI_RPC_H
#define YAMI_RPC_H

#include <stdbool.h>
#include <stdint.h>

#include "yam_push.h"
#include "yam_rpc.h"
#include "yam_sub.h"
#include "yami_context.h"
#include "yami_limits.h"
#include "yami_monitor.h"
#include "yami_rpc_core.h"

#define YAMI_RPC_REPLIES ".replies" //  a relay's topic of replies is named like the service, and so

//  One server, or the relay.
typedef struct {
    yam_rpc_t *rpc; //  borrowed
    size_t index;   //  of the server in the core
    yami_task_t task;
    void *socket;    //  owned; DEALER, NULL for none
    uint64_t number; //  of that socket, as the core counts them
    uint64_t sent;   //  frames
} yami_rpc_peer_t;

struct yam_rpc {
    yam_t *yam;            //  borrowed
    yami_engine_t *engine; //  borrowed
    yami_endpoint_t endpoint;
    char service[YAMI_LIMIT_NAME + 1];
    char subject[YAMI_LIMIT_NAME + 1]; //  sure: of replies to this caller
    yami_id_t id;                      //  random

    yami_monitor_t monitor; //  guards from here to the next mark
    yami_rpc_core_t core;
    int event_fd;     //  owned; -1 until asked for
    bool is_readable; //  event_fd is

    yami_rpc_peer_t *peers; //  owned; one for each of the core's servers
    size_t peer_count;      //  with the engine
    yam_push_t *push;       //  sure; owned
    yam_sub_t *sub;         //  sure; owned
    uint64_t sessions;      //  sure: of sub, begun so far
    int64_t look_ms;        //  sure: when to look for another one
};

//  Opens what the endpoint says, and hands the tasks to the engine. 0, or -1 with errno and a
//  sentence; yami_rpc_close_io is to be called either way.
int
yami_rpc_open_io(yam_rpc_t *self, const char *endpoint);

//  Takes the tasks back, closes all sockets.
void
yami_rpc_close_io(yam_rpc_t *self);

//  Makes the tasks run that have something to send.
void
yami_rpc_wake(yam_rpc_t *self);

//  Under the lock: makes (3) true again, tells who waits for futures.
void
yami_rpc_signal(yam_rpc_t *self);

//  Tells all callbacks whose outcomes are there; how many.
size_t
yami_rpc_tell(yam_rpc_t *self);

#endif
