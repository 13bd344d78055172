/*  yami_endpoint - endpoint strings parsed; what they may say is yam_endpoint.h's.
*/
#ifndef YAMI_ENDPOINT_H
#define YAMI_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_limits.h"
#include "yami_option.h"

enum {
    YAMI_GRADE_FAST = 0,
    YAMI_GRADE_SURE = 1
};
enum {
    YAMI_FRAMING_BATCH = 0,
    YAMI_FRAMING_RAW = 1
};

typedef struct {
    bool is_bind;
    bool has_sign;                        //  '@' or '>' was given, not the class's default
    char address[YAMI_LIMIT_ADDRESS + 1]; //  "tcp://host:1"
    size_t column;                        //  1-based, of its first character in the string
} yami_address_t;

typedef struct {
    int64_t grade;   //  fast|sure [fast; sure when relay is given]
    int64_t framing; //  batch|raw [batch]
    char relay[YAMI_LIMIT_OPTION_VALUE +
               1];                   //  directory of a relay embedded here, or "memory"; "" = none
    char name[YAMI_LIMIT_NAME + 1];  //  durable name of this producer
    char group[YAMI_LIMIT_NAME + 1]; //  durable subscription
    char start[32];                  //  first|new|SEQUENCE
    char subject[YAMI_LIMIT_SUBJECT + 1]; //  prefix (fast) or filter (sure)
    char server_key[41];                  //  Z85 public key of the far end: CURVE on
    int64_t window;                       //  unconfirmed messages [65536]
    int64_t window_bytes;                 //  unconfirmed bytes [8 MiB]
    int64_t batch_bytes;                  //  most bytes of a batch frame; 0: what suits the sender
    int64_t credit;                       //  unsettled messages asked for [65536]
    int64_t credit_bytes;                 //  [8 MiB]
    int64_t limit;                        //  messages received in all [0 = no limit]
    int64_t lease_ms;                     //  0 = the relay's
    int64_t hwm;                //  frames in a socket's queue [0: 64; raw 1000; fast queues 4]
    bool is_immediate;          //  nothing waits in a socket for a peer that may come (PUSH)
    int64_t send_timeout_ms;    //  -1 = for ever
    int64_t linger_ms;          //  [5 s]
    int64_t connect_timeout_ms; //  [5 s]
    int64_t heartbeat_ms;       //  [1 s]
    int64_t retries;            //  of a call [2]
    int64_t workers;            //  threads of a service [1]
} yami_endpoint_options_t;

typedef struct {
    yami_address_t addresses[YAMI_LIMIT_ADDRESSES];
    size_t address_count; //  >= 1
    yami_endpoint_options_t options;
} yami_endpoint_t;

extern const yami_option_t yami_endpoint_option_table[];

//  Sets one option (value NULL: it has none), and checks it. 0, or -1 with errno EINVAL and a
//  sentence; nothing has changed then.
int
yami_endpoint_set(yami_endpoint_options_t *options, const char *name, const char *value);

//  Parses text; bind_by_default decides for addresses without a sign, unless the grade is sure:
//  then relay= binds, and who has none connects. 0, or -1 with errno EINVAL
//  and a sentence such as `endpoint ">tpc://x": unknown transport "tpc" at column 2 (use tcp, ipc,
//  inproc, ws, tipc, norm, pgm or epgm)`.
int
yami_endpoint_parse(yami_endpoint_t *self, const char *text, bool bind_by_default);

#endif
