/*  yami_rpc_server - the inside of yam_rpc_server: what applications call and the workers
    (rpc_server.c), and how requests come and answers leave, directly (rpc_server_direct.c) or
    through a relay (rpc_server_relayed.c).

    Invariants:
    (1) Sockets are the engine thread's alone; the desk is guarded by the monitor.
    (2) The memory stays until the server is closed and no request is with the application.
    (3) After is_closed no answer is taken.
*/
#ifndef YAMI_RPC_SERVER_H
#define YAMI_RPC_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "yam_pub.h"
#include "yam_pull.h"
#include "yami_connections.h"
#include "yami_context.h"
#include "yami_limits.h"
#include "yami_monitor.h"
#include "yami_rpc_desk_core.h"

#define YAMI_RPC_REPLIES ".replies" //  a relay's topic of replies is named like the service, and so
#define YAMI_RPC_FRAMES_AT_ONCE 256 //  received before others have their turn
#define YAMI_RPC_FAREWELL_MS 1000   //  what was sent last may take so long to leave

//  How requests come and answers leave. Called with no lock held.
typedef struct {
    int (*open)(yam_rpc_server_t *self, const char *endpoint);
    void (*close)(yam_rpc_server_t *self); //  whatever open did
    int64_t (*clock_ms)(void);             //  on which deadlines are
} yami_rpc_way_t;

extern const yami_rpc_way_t yami_rpc_way_direct;
extern const yami_rpc_way_t yami_rpc_way_relayed;

struct yam_rpc_server {
    yam_t *yam;            //  borrowed
    yami_engine_t *engine; //  borrowed
    yami_endpoint_t endpoint;
    const yami_rpc_way_t *way;
    char service[YAMI_LIMIT_NAME + 1];
    char bound[YAMI_LIMIT_ADDRESS + 1];
    yam_rpc_handler_fn handler;
    void *arg;
    yami_id_t id;   //  random
    uint32_t epoch; //  random, > 0: of this server

    yami_monitor_t monitor; //  guards from here to the next mark
    yami_rpc_desk_t desk;
    bool is_stopping;  //  the workers are to end
    bool is_closed;    //  (3)
    bool is_abandoned; //  (2): who frees the last request frees it all
    bool is_in_engine;

    pthread_t *workers; //  owned
    size_t worker_count;

    //  The engine thread's.
    yami_task_t task;
    uint64_t sent; //  frames or publications
    //  Directly.
    void *socket;                    //  owned; ROUTER
    yami_task_t door;                //  serves connections
    yami_outboxes_t *outboxes;       //  owned
    yami_connections_t *connections; //  owned
    int wake_fd;                     //  owned; of outboxes, -1
    //  Through a relay.
    yam_pull_t *pull;     //  owned
    yam_pub_t *pub;       //  owned
    int64_t extend_ms;    //  when leases are extended next
    int64_t give_back_ms; //  when it gives back next what comes while it closes
};

//  Hands the task, whose step is given, to the engine. 0, or -1 with errno ECHILD.
int
yami_rpc_server_add_task(yam_rpc_server_t *self, int64_t (*step)(void *arg, int64_t now_ms));

//  Under the lock: makes the engine look for answers that are to leave.
void
yami_rpc_server_wake(yam_rpc_server_t *self);

//  Under the lock: a new request with what frame says of it. The caller owns the result.
yam_rpc_request_t *
yami_rpc_server_request(yam_rpc_server_t *self, const yami_rpc_frame_t *frame);

//  The answer of a request that is LEAVING, as a frame that borrows from it.
void
yami_rpc_server_answer(const yam_rpc_request_t *request, yami_rpc_frame_t *frame);

//  Frees a request that has left, and tells who waits for that.
void
yami_rpc_server_free(yam_rpc_server_t *self, yam_rpc_request_t **request_p);

#endif
