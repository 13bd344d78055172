/*  yami_segment_format - bytes <-> values of segment files: headers, trailers, checkpoint prefixes,
    names.

    Pure: no I/O, no clock, no memory of its own. Decoders are total: any bytes give a valid value
    or -1 with errno EPROTO. All numbers are little-endian. The layout is the one of
    yami_segment_log.h.
*/
#ifndef YAMI_SEGMENT_FORMAT_H
#define YAMI_SEGMENT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_limits.h"

#define YAMI_SEGMENT_HEADER_SIZE 64U
#define YAMI_ENTRY_HEADER_SIZE 64U
#define YAMI_TRAILER_SIZE 32U
#define YAMI_ENTRY_ALIGNMENT 8U
#define YAMI_NAME_SIZE 48
#define YAMI_MARKER_NAME "store"

//  The store's own kinds, besides YAMI_ENTRY_CHECKPOINT (1). Kinds below YAMI_ENTRY_OWNER are never
//  the owner's.
enum {
    YAMI_ENTRY_FOOTER = 2,
    YAMI_ENTRY_TRIM = 3,
    YAMI_ENTRY_OWNER = 16
};

typedef struct {
    uint32_t version;
    uint64_t number; //  not 0
    uint32_t salt;
    uint64_t store_id; //  not 0
    int64_t created_ms;
    uint64_t first_lsn;
    uint64_t previous;   //  number of the segment before; 0 for the first
    uint64_t file_bytes; //  planned size of the file
} yami_segment_header_t;

typedef struct {
    uint32_t salt;
    uint16_t kind;
    uint16_t flags;
    uint32_t channel;
    uint64_t lsn; //  not 0, but of a footer: the last one before it; it has none of its own
    uint64_t base;
    int64_t time_ms;
    uint32_t count;
    uint32_t meta_size;
    uint32_t data_size;
    uint32_t behind;   //  lsn - behind was known durable when this was written
    uint32_t body_crc; //  of meta, data and the zeros up to the alignment
} yami_entry_header_t;

typedef struct {
    uint32_t salt;
    uint64_t footer_offset;
    uint64_t last_lsn;
    uint32_t footer_size; //  whole entry
} yami_trailer_t;

//  What a name in the directory stands for.
typedef enum {
    YAMI_NAME_OTHER,
    YAMI_NAME_SEGMENT,
    YAMI_NAME_SPARE,
    YAMI_NAME_FILLING, //  a spare being filled: worth nothing after a crash
    YAMI_NAME_MARKER,  //  yami_marker.h; it has no number
} yami_name_kind_t;

void
yami_segment_header_encode(uint8_t *bytes, const yami_segment_header_t *header);

//  Decodes YAMI_SEGMENT_HEADER_SIZE bytes. A valid header of another version is decoded, too: look
//  at version.
int
yami_segment_header_decode(const uint8_t *bytes, yami_segment_header_t *header);

//  Encodes a header whose checksums and behind are added by yami_entry_header_finish.
void
yami_entry_header_encode(uint8_t *bytes, const yami_entry_header_t *header);
void
yami_entry_header_finish(uint8_t *bytes, uint32_t behind, uint32_t body_crc);

//  Checks magic, checksum and limits; not the salt.
int
yami_entry_header_decode(const uint8_t *bytes, yami_entry_header_t *header);

//  Whether the bytes were an entry's with this salt: they start like one, whatever the rest, which
//  is the sign of a torn write; or the header is sound but for its magic and salt.
bool
yami_entry_header_begins(const uint8_t *bytes, size_t size, uint32_t salt);

//  Bytes an entry takes in the file, alignment included.
uint64_t
yami_entry_span(uint64_t meta_size, uint64_t data_size);

void
yami_trailer_encode(uint8_t *bytes, const yami_trailer_t *trailer);
int
yami_trailer_decode(const uint8_t *bytes, yami_trailer_t *trailer);

//  Write name of a segment, spare, spare being filled, or a range kept aside, into
//  name[YAMI_NAME_SIZE]. Return name.
const char *
yami_name_segment(char *name, uint64_t number);
const char *
yami_name_spare(char *name, uint64_t number);
const char *
yami_name_filling(char *name, uint64_t number);
const char *
yami_name_lost(char *name, uint64_t number, uint64_t offset);

//  What name stands for; *number_p is its number, from 1 to YAMI_LIMIT_SEQUENCE, if it has one.
yami_name_kind_t
yami_name_parse(const char *name, uint64_t *number_p);

//  Little-endian numbers at any address.
void
yami_put_u32(uint8_t *bytes, uint32_t value);
void
yami_put_u64(uint8_t *bytes, uint64_t value);
uint32_t
yami_get_u32(const uint8_t *bytes);
uint64_t
yami_get_u64(const uint8_t *bytes);

#endif
