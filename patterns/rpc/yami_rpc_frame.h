/*  yami_rpc_frame - what callers and servers say to each other: one record of a batch, whose
    properties say what it is.

    Directly, a frame is a batch of one record; through a relay it is a message of a queue or topic.
    Pure; decoding is total: any bytes give a valid frame or EPROTO. Wire: SPEC.md.
*/
#ifndef YAMI_RPC_FRAME_H
#define YAMI_RPC_FRAME_H

#include <stdint.h>

#include "yam_message.h"
#include "yam_status.h"
#include "yami_batch.h"
#include "yami_block.h"

#define YAMI_RPC_CORRELATION_SIZE 72 //  of one of ours, with its NUL
#define YAMI_RPC_CALLER_SIZE 33      //  of a caller's id in hexadecimal digits, with its NUL
#define YAMI_RPC_HWM                                                                               \
    1000 //  frames in a socket's queue, unless "hwm" says otherwise: they are small
#define YAMI_RPC_OWN_PROPERTIES 8u //  most properties that are not the application's
#define YAMI_RPC_OWN_BYTES 4096u   //  most bytes of those

typedef enum {
    YAMI_RPC_CALL = 1,   //  to the server: do this
    YAMI_RPC_REPLY = 2,  //  to the caller: done, or why not
    YAMI_RPC_CANCEL = 3, //  to the server: nobody waits any more
    YAMI_RPC_PING = 4,   //  to the server: are you there
    YAMI_RPC_PONG = 5,   //  to the caller: I am, and this is my clock
} yami_rpc_kind_t;

typedef struct {
    yami_rpc_kind_t kind;
    uint32_t epoch;           //  of the server: in PONG its own, in CALL that of its latest PONG
    yami_slice_t correlation; //  whose this is; of PING, what PONG repeats
    yami_slice_t service;     //  CALL
    yami_slice_t id;          //  CALL: the same when it is tried again; empty: none
    yami_slice_t reply_to;    //  CALL through a relay: subject of the reply; empty directly
    int64_t deadline_ms;      //  CALL: on the server's clock, directly; 0: none
    int64_t clock_ms;         //  PONG: the server's clock
    yam_status_t status;      //  REPLY
    yami_slice_t text;        //  REPLY
    yami_record_t record;     //  CALL, REPLY: body, and the application's properties
} yami_rpc_frame_t;

//  Whose call a correlation id of ours means.
typedef struct {
    char caller[YAMI_RPC_CALLER_SIZE];
    uint64_t number;  //  of the call, > 0
    uint32_t attempt; //  of the call, > 0
} yami_rpc_correlation_t;

//  Reads the record of a frame; slices are borrowed from it. 0, or -1 with errno EPROTO.
int
yami_rpc_read(yami_rpc_frame_t *self, const yami_record_t *record);

//  Reads a frame that came directly; slices are borrowed from data. 0, or -1 with errno EPROTO or
//  EBADMSG.
int
yami_rpc_decode(yami_rpc_frame_t *self, const void *data, size_t size);

//  The frame as one goes directly; sender names who sends it, number (> 0) is its own count. The
//  caller owns the result. NULL with errno EMSGSIZE, ENOMEM.
yami_block_t *
yami_rpc_encode(const yami_rpc_frame_t *self, const yami_id_t *sender, uint64_t number);

//  The frame as a message for a queue or topic; subject "" for none. The caller owns the result.
//  NULL with errno EMSGSIZE, ENOMEM.
yam_message_t *
yami_rpc_wrap(const yami_rpc_frame_t *self, const char *subject);

//  Whether a message leaves room for what a frame adds. 0, or -1 with errno EMSGSIZE, EPROTO (its
//  properties are malformed) and a sentence.
int
yami_rpc_check_message(const yam_message_t *message);

//  The value of a text property, or an empty slice.
yami_slice_t
yami_rpc_text(yami_slice_t properties, const char *name);

//  "CALLER.NUMBER.ATTEMPT" into text; and back: whether slice is one.
void
yami_rpc_correlation_write(const yami_rpc_correlation_t *self,
                           char text[YAMI_RPC_CORRELATION_SIZE]);
bool
yami_rpc_correlation_read(yami_rpc_correlation_t *self, yami_slice_t slice);

#endif
