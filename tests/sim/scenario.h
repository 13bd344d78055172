/*  scenario - what a run is made of: channels, clients and how they behave, which faults come.

    A new scenario is one more entry of the table in scenario.c, a dozen lines; --list shows them. A
    seed picks one (or --scenario does), then draws everything else.
*/
#ifndef SCENARIO_H
#define SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#define SCENARIO_CHANNELS 4
#define SCENARIO_CLIENTS 8

//  What may go wrong; each weight is its share of all faults.
typedef enum {
    FAULT_RELAY_KILL,    //  the process dies now; what it wrote stays
    FAULT_RELAY_POWER,   //  and what it had not synced is lost, torn, or kept
    FAULT_RELAY_STEP,    //  one of both, so many steps from now
    FAULT_RELAY_DISK,    //  one of both, in the middle of that operation of its disk
    FAULT_RELAY_SEGMENT, //  the same where it begins a segment, or amid the step that does
    FAULT_RELAY_PROMISE, //  power goes right after a promise, which is heard
    FAULT_RECOVERY,      //  power goes, and again while it recovers
    FAULT_RELAY_STOP,    //  SIGTERM
    FAULT_RELAY_FREEZE,  //  SIGSTOP, SIGCONT
    FAULT_DISK_ERROR,    //  one operation fails with EIO
    FAULT_DISK_SLOW,     //  writing and syncing take long
    FAULT_DISK_PARTS,    //  reading and writing move a part, for a while
    FAULT_DISK_FULL,     //  for a while
    FAULT_NO_FILES,      //  EMFILE for a while
    FAULT_NO_MEMORY,     //  allocations of one step of the relay fail
    FAULT_CLOCK,         //  the wall clock jumps up to an hour
    FAULT_CUT,           //  a client's connection breaks
    FAULT_HALF_OPEN,     //  one direction of it goes nowhere
    FAULT_UNREACHABLE,   //  for a while
    FAULT_SLOW,          //  the network is
    FAULT_CHAOS,         //  a proxy drops, repeats, swaps and damages frames
    FAULT_CLIENT_CRASH,  //  it comes back as another incarnation
    FAULT_CLIENT_FREEZE, //  past its lease, perhaps
    FAULT_CLIENT_LEAVE,  //  in order, and it comes back
    FAULT_REDRIVE,       //  not a fault: somebody sends dead letters back
    FAULT_CANCEL,        //  nor this: somebody cancels a delayed message
    FAULT_TYPES,
} fault_type_t;

typedef struct {
    const char *name;
    int kind; //  YAMI_KIND_
} scenario_channel_t;

typedef struct {
    unsigned channel;
    const char *name;    //  NULL: anonymous; two of one name are rivals
    unsigned messages;   //  at most, of all incarnations
    unsigned burst;      //  messages at a time, 1..burst
    int64_t interval_us; //  between bursts, up to twice that
    unsigned body_bytes; //  at most
    unsigned delayed;    //  messages in a thousand that have a due time
    int64_t delay_ms;    //  up to so far ahead
} scenario_producer_t;

//  What an application does with a message, in shares of a thousand; the rest is acked.
typedef struct {
    unsigned channel;
    const char *group; //  "" of queues
    unsigned credit;   //  messages
    unsigned hold;     //  messages it works on at a time
    int64_t work_us;   //  on one message, up to twice that
    unsigned nack, reject, release, extend, forget;
    bool of_dead; //  of the dead letters of the channel
} scenario_consumer_t;

typedef struct {
    const char *name;
    const char *what;
    scenario_channel_t channels[SCENARIO_CHANNELS];
    scenario_producer_t producers[SCENARIO_CLIENTS];
    scenario_consumer_t consumers[SCENARIO_CLIENTS];
    unsigned big;      //  messages in a thousand that may have all their bytes [100]
    unsigned poison;   //  messages in a thousand that no consumer can handle
    unsigned faults;   //  at most
    int64_t faults_ms; //  the time in which they come
    int64_t lease_ms;  //  [400]
    unsigned window;   //  messages of a producer's window [200]
    unsigned limit;    //  messages of a channel, 0: none
    unsigned weights[FAULT_TYPES];
} scenario_t;

extern const scenario_t scenario_table[];
extern const unsigned scenario_count;

const char *
scenario_fault_name(fault_type_t type);

#endif
