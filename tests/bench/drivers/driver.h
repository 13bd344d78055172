/*  driver - one messaging library behind a small table, so that all are measured by the same code.
*/
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../harness/bench.h"

typedef enum {
    BENCH_PUSH,
    BENCH_PULL,
    BENCH_PUB,
    BENCH_SUB
} bench_kind_t;

#define BENCH_DRIVER_HWM 1000 //  messages in a queue of libzmq and CZMQ: what they are fastest with
#define BENCH_DRIVER_WAIT_MS 10000 //  longest wait for a message

//  One key pair, which is both ends': what encrypting costs does not depend on whose keys they are.
typedef struct {
    char public_key[41]; //  Z85
    char secret_key[41];
    char *certificate; //  the file it is in, for libraries that read one
} bench_curve_t;

//  The keys to be used by what is opened from now on; NULL, at first: none. Before the last fork.
extern const bench_curve_t *bench_curve;

//  Makes them, once. Borrowed, for good.
const bench_curve_t *
bench_curve_keys(void);

typedef struct {
    const char *name;
    uint64_t ahead_limit; //  messages a publisher may be ahead of its subscriber without loss
    //  What both ends in one process share. Made after the last fork.
    void *(*context_new)(void);
    void (*context_destroy)(void *context);
    //  Opens an end at "@tcp://127.0.0.1:*" (binds) or ">tcp://127.0.0.1:5555" (connects); a bound
    //  one stores where to connect to in bound. Publishers never drop where the library can be told
    //  so. Fails with bench_fail.
    void *(*open)(void *context, bench_kind_t kind, const char *address, char *bound,
                  size_t bound_size);
    void (*close)(void *end);
    //  Sends body number index, waiting while the queue is full. 0, or -1.
    int (*send)(void *end, size_t size, uint64_t index, int64_t sent_ns);
    //  Waits until what was sent is handed to the transport. 0, or -1.
    int (*flush)(void *end);
    //  Receives at least one message and checks it. 0, or -1 when none came in time.
    int (*receive)(void *end, bench_check_t *check);
} bench_driver_t;

extern const bench_driver_t bench_zmq;     //  raw libzmq, one message per frame
extern const bench_driver_t bench_czmq;    //  zsock and zframe
extern const bench_driver_t bench_zmsg;    //  zsock and zmsg of one frame
extern const bench_driver_t bench_yam;     //  fast grade
extern const bench_driver_t bench_yam_raw; //  fast grade, framing=raw

#endif
