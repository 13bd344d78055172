/*  yami_relay_options - what can be set on a relay; one table drives parsing, help and the daemon's
    file.
*/
#ifndef YAMI_RELAY_OPTIONS_H
#define YAMI_RELAY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "yami_option.h"

typedef struct {
    //  Semantics: may change while the relay runs.
    int64_t lease_ms;         //  lease of a consumer that asks for none [30 s]
    int64_t delivery_limit;   //  failures after which a message is a dead letter [5]
    char backoff[256];        //  "1s:5s:30s:2m:10m", last repeats
    int64_t channel_messages; //  most unsettled messages of a channel, 0 = no limit
    int64_t channel_bytes;    //  most unsettled bytes of a channel, 0 = no limit
    int64_t delayed_messages; //  most messages that wait for their time, of all channels [1 Mi]
    int64_t topic_bytes;      //  most bytes a topic keeps, 0 = no limit [1 GiB]
    int64_t topic_age_ms;     //  how long a topic keeps messages, 0 = no limit [24 h]
    //  a producer unseen for so long may be forgotten when the table is full [7 days]
    int64_t producer_idle_ms;
    int64_t heartbeat_ms; //  announced to peers [1 s]
    //  Fixed at start.
    int64_t segment_bytes;
    int64_t cache_bytes;
    int64_t reserve_bytes;   //  free disk below which publishers are refused [1 GiB]
    int64_t scrub_rate;      //  bytes per second of the check after the start, 0 = none [32 MiB]
    int64_t memory_bytes;    //  store in memory: most bytes
    int64_t window_messages; //  credit of a producer
    int64_t window_bytes;
    int64_t linger_ms;
    bool insecure;          //  bind beyond loopback without CURVE
    char certificate[1024]; //  secret certificate file of this relay: turns CURVE on
    char clients[1024];     //  directory of certificates of clients that may connect; "" = any key
} yami_relay_options_t;

extern const yami_option_t yami_relay_option_table[];

#endif
