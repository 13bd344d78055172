/*  yam_confirm - what senders and receivers of all patterns report: confirms and counters.
*/
#ifndef YAM_CONFIRM_H
#define YAM_CONFIRM_H

#include <stdint.h>

#include "yam_status.h"

#ifdef __cplusplus
extern "C" {
#endif

//  The outcome of messages first..last (numbers of this object, the first message sent is 1):
//  YAM_STATUS_OK with the level that was reached, or why they were refused for good; text is "" or
//  a reason. What a relay that will have none of this producer's messages (a channel of another
//  kind, no right, a newer producer) never was sent is refused, too; what was on its way then may
//  be stored, and has no outcome. Called from the engine thread, in order, without a lock held: it
//  must neither block nor destroy. It may send; what would have to wait for room fails with EAGAIN
//  at once there.
typedef void (*yam_confirm_fn)(void *arg, uint64_t first, uint64_t last, yam_status_t status,
                               yam_level_t level, const char *text);

//  Counters since new. Every drop of ours is counted. What ZeroMQ drops for a slow subscriber of a
//  fast topic the subscriber counts, as gaps, with the next frame that comes: what is lost last,
//  with nothing behind it, shows in the publisher's overflows only. These count the first of a row
//  of frames that found a queue full, and are all there is in raw framing, where messages have no
//  numbers. Not counted as gaps: prefixes beyond the 1024 latest of a publisher, or that found no
//  memory there; publishers beyond the 64 latest of a subscriber; prefixes over multicast, or
//  behind a proxy that subscribes to others.
typedef struct {
    uint64_t sent;         //  messages accepted by send
    uint64_t confirmed;    //  sure: confirmed at the relay's level; fast: handed to the transport
    uint64_t refused;      //  sure: refused for good
    uint64_t dropped;      //  fast: lost for certain (transport refused at close)
    uint64_t overflows;    //  fast topics: frames that found queues of subscribers newly full
    uint64_t resent;       //  sure: sent again after a reconnect or a temporary refusal
    uint64_t frames;       //  batch frames sent
    uint64_t reconnects;   //  sessions begun after the first
    uint64_t level;        //  yam_level_t of the latest confirm
    uint64_t epoch;        //  sure: this producer's epoch, 0 before the first session
    uint64_t is_connected; //  1 while a session (sure) or a peer (fast, unknown: 1) is there
} yam_sender_stats_t;

typedef struct {
    uint64_t received;    //  messages given by recv
    uint64_t acked;       //  messages settled by ack
    uint64_t nacked;      //  by nack
    uint64_t rejected;    //  by reject
    uint64_t released;    //  by release
    uint64_t stale;       //  settled too late, or in an earlier session
    uint64_t redelivered; //  received messages whose deliveries were > 1
    uint64_t dropped;     //  frames that were malformed, or not understood
    uint64_t frames;      //  data frames received
    uint64_t gaps;        //  fast topics: messages of a sender that never came
    uint64_t reconnects;  //  sessions begun after the first
    uint64_t is_connected;
} yam_receiver_stats_t;

#ifdef __cplusplus
}
#endif
#endif
