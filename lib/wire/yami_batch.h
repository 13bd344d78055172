/*  yami_batch - many messages in one frame: the same bytes on the wire, on disk and in memory.

    Batch, little-endian, 56 bytes of header, then count records, nothing after them:
        0 u32 magic "YAMB"      4 u8 version (1)   5 u8 flags   6 u16 zero
        8 u32 payload size      12 u32 count       16 u32 handle of the channel on this link
        20 u32 epoch            24 byte[16] producer id
        40 u64 first sequence (the producer's; record i has first + i)
        48 u32 CRC32C of the payload, 0 when flag YAMI_BATCH_NO_CRC
        52 u32 CRC32C of bytes 0..51
    Record, 12 bytes, then what its flags say:
        0 u32 body size   4 u16 properties size   6 u8 flags   7 u8 priority 0..9 [4]   8 u32 key
        hash [i64 due, wall clock ms, when YAMI_RECORD_DUE] [i64 expiry, wall clock ms, when
        YAMI_RECORD_EXPIRY] properties (a msgpack map), body
    Decoders are total: any bytes give a valid batch or EPROTO (EBADMSG: a checksum does not match).
    A received frame is never written to: over inproc it is the sender's own memory.
*/
#ifndef YAMI_BATCH_H
#define YAMI_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_block.h"
#include "yami_limits.h"
#include "yami_reader.h"

#define YAMI_BATCH_MAGIC 0x424D4159u //  "YAMB" read as little-endian u32
#define YAMI_BATCH_VERSION 1
#define YAMI_BATCH_HEADER_SIZE 56
#define YAMI_BATCH_NO_CRC 0x01 //  flag: payload CRC left out
#define YAMI_RECORD_HEADER_SIZE 12
#define YAMI_RECORD_DUE 0x01
#define YAMI_RECORD_EXPIRY 0x02
#define YAMI_PRIORITY_DEFAULT 4

typedef struct {
    uint8_t bytes[16];
} yami_id_t;

typedef struct {
    uint8_t flags;
    uint32_t count;  //  records, 1..YAMI_LIMIT_BATCH_COUNT
    uint32_t handle; //  link-local channel
    uint32_t epoch;  //  the producer's
    yami_id_t producer;
    uint64_t first_sequence; //  the producer's, > 0
    yami_slice_t payload;    //  the records, borrowed
} yami_batch_t;

//  Whether count messages from first on have numbers: 1..YAMI_LIMIT_SEQUENCE - 1.
static inline bool
yami_batch_is_run(uint64_t first, uint64_t count)
{
    return first > 0 && count > 0 && count < YAMI_LIMIT_SEQUENCE &&
           first <= YAMI_LIMIT_SEQUENCE - count;
}

typedef struct {
    uint8_t flags;
    uint8_t priority;
    uint32_t key_hash;
    int64_t due_ms;          //  1..YAMI_LIMIT_TIME_MS; 0 when not flagged
    int64_t expiry_ms;       //  the same
    yami_slice_t properties; //  msgpack map, empty when none
    yami_slice_t body;
} yami_record_t;

//  Decodes and checks header and payload checksum, not the records. 0, or -1 with errno EPROTO or
//  EBADMSG.
int
yami_batch_decode(yami_batch_t *self, const void *data, size_t size);

//  The same without looking at the payload's checksum: says whose a batch is that was damaged on
//  its way.
int
yami_batch_decode_head(yami_batch_t *self, const void *data, size_t size);

//  Bytes of the batch that data begins with, as its header says, which may be more than size; size
//  itself when that is less than a header.
size_t
yami_batch_size(const void *data, size_t size);

//  Walks every record once: 0 when all count records are well-formed and fill the payload exactly
//  (each property map not looked into), else -1 with errno EPROTO. *flags_p (may be NULL) is set to
//  the flags that any of them has. A relay calls this before it stores a batch.
int
yami_batch_check_records(const yami_batch_t *self, uint8_t *flags_p);

//  Reads the record at *offset_p of the payload (0 for the first) and moves the offset to the next.
//  0, or -1 with errno EPROTO. Hot path of every consumer.
int
yami_batch_next(const yami_batch_t *self, size_t *offset_p, yami_record_t *record);

//  A batch under construction. Not thread-safe.
typedef struct {
    uint8_t *bytes;  //  owned; header space first; NULL until the first record
    size_t size;     //  bytes used, header included, also when there is no record yet
    size_t capacity; //  bytes that may be used of what is allocated; 0 while bytes is NULL
    size_t limit;    //  most bytes of the whole frame
    uint32_t count;  //  records
} yami_builder_t;

//  limit: most bytes of the finished frame, header included; a single record may always take up to
//  YAMI_LIMIT_FRAME.
void
yami_builder_init(yami_builder_t *self, size_t limit);

//  Frees what it holds; empty then, and may be used again. Safe twice.
void
yami_builder_clear(yami_builder_t *self);

//  Appends one record; record->properties and body are copied. Returns 0; or -1 with errno EAGAIN
//  (the batch is full: finish it first), EMSGSIZE (too big for any batch), EINVAL (flags, priority
//  or a flagged time out of range) or ENOMEM; nothing changed then.
int
yami_builder_append(yami_builder_t *self, const yami_record_t *record);

//  Writes header (fields of head except count and payload) and checksums, gives the frame as a
//  block owned by the caller and leaves the builder empty. The block is the builder's buffer
//  itself, or a copy when less than a quarter of it is used. NULL with errno ENOMEM, then nothing
//  changed. count must be > 0, and so must head->first_sequence.
yami_block_t *
yami_builder_finish(yami_builder_t *self, const yami_batch_t *head);

//  A new frame holding records index..index+count-1 of batch, copied, with fresh checksums and the
//  sequences they had; flag YAMI_BATCH_NO_CRC goes. Costs a walk over the records up to the last
//  wanted. NULL with errno EPROTO, EINVAL (no such records) or ENOMEM.
yami_block_t *
yami_batch_slice(const yami_batch_t *self, uint32_t index, uint32_t count);

//  32-bit hash of a message key (CRC32C of it, never 0 for a non-empty key).
uint32_t
yami_key_hash(const void *key, size_t size);

#endif
