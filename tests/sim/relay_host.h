/*  relay_host - a relay's process: the real core, driver, links and log over the simulated disk.

    What the shell's two threads do, as events: frames are taken one by one, turns follow bursts and
    deadlines, a commit runs between two turns and is told some time later. The process crashes,
    freezes, stops in order and comes back; a relay whose store failed is started anew, as by a
    supervisor. core, log and oracle are checked after every step.
*/
#ifndef RELAY_HOST_H
#define RELAY_HOST_H

#include "network.h"
#include "oracle.h"
#include "sim_disk.h"
#include "yami_relay_core.h"
#include "yami_relay_driver.h"
#include "yami_segment_log.h"

//  The relay numbers links itself; one that it has forgotten and hears of again gets another
//  number.
typedef struct {
    uint64_t link; //  the network's number
    bool is_forgotten;
} relay_host_peer_t;

typedef struct {
    world_t *world;
    network_t *network; //  borrowed
    oracle_t *oracle;   //  borrowed
    sim_disk_t *disk;   //  owned
    yami_relay_options_t options;
    yami_log_options_t log_options;
    uint64_t random;

    //  This life's:
    uint64_t life;
    bool is_up;
    bool is_stopping; //  in order
    int64_t stop_us;  //  at the latest
    yami_relay_core_t *core;
    yami_store_t *store;
    relay_host_peer_t *peers; //  owned; by number - 1
    size_t peer_count;
    size_t peer_capacity;
    yami_relay_driver_t driver;
    int64_t turn_us; //  of the next turn; INT64_MAX: none scheduled
    bool is_filling; //  there was no space, and it is looked for again
    bool is_committing;
    int committing_error;    //  as it will tell
    uint64_t committing_lsn; //  the same
    int commit_error;        //  as it has told
    int open_error;          //  errno of a log that could not be opened
    uint64_t newest_segment; //  its number
    uint64_t committed_lsn;

    //  Faults that wait for their moment:
    int64_t frozen_us;             //  until
    uint64_t crash_after_promises; //  0: no
    bool crash_is_heard;           //  what it said last arrives
    int64_t slow_disk_us;          //  until
    int64_t slow_disk_by_us;       //  at most, for writing and for syncing
    uint64_t crash_in_steps;       //  0: no
    bool crash_is_power;           //  else the process is killed, and what it wrote is kept
    uint64_t segment_dies_at;      //  operation of the disk after the next is begun; 0: no
    bool segment_dies_amid;        //  the step that begins it, rather
    uint64_t recovery_dies_at;     //  operation of the disk in the next recovery; 0: no
    int64_t alloc_fails_at;        //  allocation of the next step that has so many; -1: no
    bool is_calm;                  //  no more faults
    unsigned crash_count;
    unsigned shortage_count; //  steps in which an allocation failed
    unsigned starved_count;  //  of these, ones that ended the process; they are crashes, too
} relay_host_t;

//  The disk and options are set; the relay is started by relay_host_start. The network is made by
//  the caller with these, and arg the host.
extern const network_relay_ops_t relay_host_network_ops;

void
relay_host_init(relay_host_t *self, world_t *world, oracle_t *oracle);
void
relay_host_clear(relay_host_t *self);

void
relay_host_start(relay_host_t *self);
//  The process dies now; is_power: with the machine. It is started again after a while.
void
relay_host_crash(relay_host_t *self, bool is_power);
//  SIGTERM, then it is started again.
void
relay_host_stop(relay_host_t *self);
//  Time passed it by until then.
void
relay_host_freeze(relay_host_t *self, int64_t until_us);
//  No more faults: what was planned does not happen.
void
relay_host_calm(relay_host_t *self);

#endif
