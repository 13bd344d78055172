/*  yami_frame - the control messages of a link: 16 bytes of header, then one msgpack map.

    Header, little-endian: 0 u32 magic "YAML"  4 u8 version (1)  5 u8 type  6 u16 zero
                           8 u32 handle (0: the link itself)  12 u32 size of the map = all that
                           follows
    Map: short str keys (table in frame.c and SPEC.md). Unknown keys are skipped, known keys of the
    wrong type or out of range are EPROTO, missing required keys are EPROTO. One table drives
    encoder, decoder and the documentation's test.
*/
#ifndef YAMI_FRAME_H
#define YAMI_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_status.h"
#include "yami_batch.h"
#include "yami_block.h"
#include "yami_reader.h"

#define YAMI_FRAME_MAGIC 0x4C4D4159u //  "YAML"
#define YAMI_FRAME_VERSION 1
#define YAMI_FRAME_HEADER_SIZE 16

typedef enum {
    YAMI_FRAME_HELLO = 1,   //  client: session, name, max-frame, heartbeat-ms
    YAMI_FRAME_WELCOME = 2, //  relay: session, name, level, max-frame, heartbeat-ms
    YAMI_FRAME_ATTACH =
        3, //  client, handle: role, kind, channel, and producer: producer, epoch, first;
           //  consumer: group, durable, start, sequence, filter, lease-ms
    YAMI_FRAME_ATTACHED = 4, //  relay, handle: level, epoch, sequence; producer: messages, bytes
    YAMI_FRAME_DETACH = 5,   //  client, handle
    YAMI_FRAME_DETACHED = 6, //  relay, handle: [status, text]; unasked when the relay ends it
    YAMI_FRAME_CONFIRM = 7,  //  relay, handle: epoch, sequence (all up to it), level
    YAMI_FRAME_REFUSE = 8,   //  relay, handle: epoch, first, last, status, [text]
    YAMI_FRAME_CREDIT = 9,   //  either, handle: messages, bytes: totals since attach, absolute
    YAMI_FRAME_DELIVER =
        10,               //  relay, handle: token, base, first, last, deliveries, failures, time; a
                          //  batch follows as the second part of the same message
    YAMI_FRAME_ACK = 11,  //  client, handle: serial, ranges
    YAMI_FRAME_NACK = 12, //  client, handle: serial, ranges, [delay-ms], [text]
    YAMI_FRAME_EXTEND = 13,    //  client, handle: serial, ranges
    YAMI_FRAME_REJECT = 14,    //  client, handle: serial, ranges, [text]
    YAMI_FRAME_RELEASE = 15,   //  client, handle: serial, ranges
    YAMI_FRAME_ACKED = 16,     //  relay, handle: serial (all settle frames up to it are durable)
    YAMI_FRAME_HEARTBEAT = 17, //  either
    YAMI_FRAME_ADMIN =
        18, //  client: serial, command, [channel], [group], [target], [id], [sequence], [messages]
    YAMI_FRAME_REPLY = 19,   //  relay: serial, status, [text], [rows]
    YAMI_FRAME_ERROR = 20,   //  either: status, [text]
    YAMI_FRAME_GOODBYE = 21, //  either: ends the session
} yami_frame_type_t;

enum {
    YAMI_ROLE_PRODUCER = 1,
    YAMI_ROLE_CONSUMER = 2
};
enum {
    YAMI_KIND_QUEUE = 1,
    YAMI_KIND_TOPIC = 2
};
enum {
    YAMI_START_FIRST = 0,
    YAMI_START_NEW = 1,
    YAMI_START_SEQUENCE = 2
};

//  One settled range: sequences first..last of the lease named token.
typedef struct {
    uint64_t token;
    uint64_t first;
    uint64_t last;
} yami_settle_t;

//  Bits of yami_frame_t.present.
enum {
    YAMI_F_SESSION = 1u << 0,
    YAMI_F_NAME = 1u << 1,
    YAMI_F_MAX_FRAME = 1u << 2,
    YAMI_F_HEARTBEAT_MS = 1u << 3,
    YAMI_F_LEVEL = 1u << 4,
    YAMI_F_ROLE = 1u << 5,
    YAMI_F_KIND = 1u << 6,
    YAMI_F_CHANNEL = 1u << 7,
    YAMI_F_PRODUCER = 1u << 8,
    YAMI_F_EPOCH = 1u << 9,
    YAMI_F_FIRST = 1u << 10,
    YAMI_F_LAST = 1u << 11,
    YAMI_F_GROUP = 1u << 12,
    YAMI_F_DURABLE = 1u << 13,
    YAMI_F_START = 1u << 14,
    YAMI_F_SEQUENCE = 1u << 15,
    YAMI_F_FILTER = 1u << 16,
    YAMI_F_LEASE_MS = 1u << 17,
    YAMI_F_MESSAGES = 1u << 18,
    YAMI_F_BYTES = 1u << 19,
    YAMI_F_STATUS = 1u << 20,
    YAMI_F_TEXT = 1u << 21,
    YAMI_F_TOKEN = 1u << 22,
    YAMI_F_BASE = 1u << 23,
    YAMI_F_DELIVERIES = 1u << 24,
    YAMI_F_FAILURES = 1u << 25,
    YAMI_F_TIME = 1u << 26,
    YAMI_F_SERIAL = 1u << 27,
    YAMI_F_RANGES = 1u << 28,
    YAMI_F_DELAY_MS = 1u << 29,
    YAMI_F_COMMAND = 1u << 30,
};
#define YAMI_F_TARGET (1ull << 31)
#define YAMI_F_ROWS (1ull << 32)
#define YAMI_F_ID (1ull << 33)

typedef struct {
    uint8_t type; //  yami_frame_type_t
    uint32_t handle;
    uint64_t
        //  YAMI_F_ bits of the fields below that are set; set by decode and by users of encode
        present;
    uint64_t session;      //  random, chosen by the client for each HELLO
    yami_slice_t name;     //  of the peer, for logs and statistics
    uint64_t max_frame;    //  bytes
    uint64_t heartbeat_ms; //  the sender sends something at least this often
    uint64_t level;        //  yam_level_t
    uint64_t role;
    uint64_t kind;
    yami_slice_t channel;
    yami_id_t producer; //  bin of exactly 16 bytes
    uint64_t epoch;     //  u32
    uint64_t first;     //  sequences, inclusive
    uint64_t last;
    yami_slice_t group;
    bool durable;
    uint64_t start;
    uint64_t sequence;
    yami_slice_t filter;
    uint64_t lease_ms;
    uint64_t messages;
    uint64_t bytes;
    uint64_t status; //  yam_status_t
    yami_slice_t text;
    uint64_t token;
    uint64_t base; //  channel sequence of record 0 of the batch
    uint64_t deliveries;
    uint64_t failures;
    uint64_t time; //  wall clock ms, when it was appended
    uint64_t serial;
    const yami_settle_t *ranges; //  encode: borrowed array of range_count items
    uint32_t range_count;
    yami_slice_t encoded_ranges; //  decode: read with yami_frame_range
    uint64_t delay_ms;
    yami_slice_t command;
    yami_slice_t target;
    yami_slice_t id;   //  a message's property of that name
    yami_slice_t rows; //  bin: a msgpack array of maps
} yami_frame_t;

//  Whether these bytes claim to be a control frame / a batch (by magic).
bool
yami_frame_is_control(const void *data, size_t size);
bool
yami_frame_is_batch(const void *data, size_t size);

//  Decodes a control frame; slices are borrowed from data. 0, or -1 with errno EPROTO (malformed),
//  EPROTONOSUPPORT (another version; type and handle are set), EOPNOTSUPP (well-formed, unknown
//  type; type and handle are set) or EMSGSIZE (larger than YAMI_LIMIT_CONTROL, rows excepted).
int
yami_frame_decode(yami_frame_t *self, const void *data, size_t size);

//  Encodes the fields in present. A block owned by the caller, or NULL with errno ENOMEM or
//  EMSGSIZE. A required field that is missing is this process's fault (asserted).
yami_block_t *
yami_frame_encode(const yami_frame_t *self);

//  Settled range number index of a decoded frame, in order; a cursor in *offset_p, 0 at first.
//  Whether there was one. Ranges are checked by decode: first <= last, no more than
//  YAMI_LIMIT_RANGES.
bool
yami_frame_range(const yami_frame_t *self, size_t *offset_p, yami_settle_t *range);

//  "HELLO", ...; "UNKNOWN" otherwise. Static storage.
const char *
yami_frame_type_name(uint8_t type);

#endif
