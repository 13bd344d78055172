//  Layout of segment files. One function per direction and structure; offsets are written out so
//  that the format can be read off this file.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"
#include "yami_segment_format.h"
#include "yami_segment_log.h"

#define MAGIC_SEGMENT 0x534d4159U //  "YAMS"
#define MAGIC_ENTRY 0x454d4159U   //  "YAME"
#define MAGIC_TRAILER 0x544d4159U //  "YAMT"

#define ENTRY_START_SIZE 8 //  magic and salt
#define ENTRY_BEHIND_AT 52
#define ENTRY_BODY_CRC_AT 56
#define ENTRY_CRC_AT 60
#define SEGMENT_CRC_AT 60
#define TRAILER_CRC_AT 28

static void
s_put_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t) value;
    bytes[1] = (uint8_t) (value >> 8);
}

static uint16_t
s_get_u16(const uint8_t *bytes)
{
    return (uint16_t) (bytes[0] | bytes[1] << 8);
}

void
yami_put_u32(uint8_t *bytes, uint32_t value)
{
    for (int index = 0; index < 4; index++) {
        bytes[index] = (uint8_t) (value >> (8 * index));
    }
}

void
yami_put_u64(uint8_t *bytes, uint64_t value)
{
    yami_put_u32(bytes, (uint32_t) value);
    yami_put_u32(bytes + 4, (uint32_t) (value >> 32));
}

uint32_t
yami_get_u32(const uint8_t *bytes)
{
    return (uint32_t) bytes[0] | (uint32_t) bytes[1] << 8 | (uint32_t) bytes[2] << 16 |
           (uint32_t) bytes[3] << 24;
}

uint64_t
yami_get_u64(const uint8_t *bytes)
{
    return (uint64_t) yami_get_u32(bytes) | (uint64_t) yami_get_u32(bytes + 4) << 32;
}

static int
s_malformed(void)
{
    errno = EPROTO;
    return -1;
}

//  Segments and LSNs are counted from 1: 0 is none of them, as in previous.
static bool
s_is_number(uint64_t number)
{
    return number > 0 && number <= YAMI_LIMIT_SEQUENCE;
}

void
yami_segment_header_encode(uint8_t *bytes, const yami_segment_header_t *header)
{
    yami_put_u32(bytes, MAGIC_SEGMENT);
    yami_put_u32(bytes + 4, header->version);
    yami_put_u64(bytes + 8, header->number);
    yami_put_u64(bytes + 16, header->store_id);
    yami_put_u64(bytes + 24, (uint64_t) header->created_ms);
    yami_put_u64(bytes + 32, header->first_lsn);
    yami_put_u64(bytes + 40, header->previous);
    yami_put_u64(bytes + 48, header->file_bytes);
    yami_put_u32(bytes + 56, header->salt);
    yami_put_u32(bytes + SEGMENT_CRC_AT, yami_crc32c(0, bytes, SEGMENT_CRC_AT));
}

int
yami_segment_header_decode(const uint8_t *bytes, yami_segment_header_t *header)
{
    if (yami_get_u32(bytes) != MAGIC_SEGMENT ||
        yami_get_u32(bytes + SEGMENT_CRC_AT) != yami_crc32c(0, bytes, SEGMENT_CRC_AT)) {
        return s_malformed();
    }
    header->version = yami_get_u32(bytes + 4);
    header->number = yami_get_u64(bytes + 8);
    header->store_id = yami_get_u64(bytes + 16);
    header->created_ms = (int64_t) yami_get_u64(bytes + 24);
    header->first_lsn = yami_get_u64(bytes + 32);
    header->previous = yami_get_u64(bytes + 40);
    header->file_bytes = yami_get_u64(bytes + 48);
    header->salt = yami_get_u32(bytes + 56);
    bool is_other = header->version != YAMI_FORMAT_VERSION;
    bool is_possible =
        header->store_id != 0 && s_is_number(header->number) && s_is_number(header->first_lsn);
    return is_other || is_possible ? 0 : s_malformed();
}

void
yami_entry_header_encode(uint8_t *bytes, const yami_entry_header_t *header)
{
    yami_put_u32(bytes, MAGIC_ENTRY);
    yami_put_u32(bytes + 4, header->salt);
    s_put_u16(bytes + 8, header->kind);
    s_put_u16(bytes + 10, header->flags);
    yami_put_u32(bytes + 12, header->channel);
    yami_put_u64(bytes + 16, header->lsn);
    yami_put_u64(bytes + 24, header->base);
    yami_put_u64(bytes + 32, (uint64_t) header->time_ms);
    yami_put_u32(bytes + 40, header->count);
    yami_put_u32(bytes + 44, header->meta_size);
    yami_put_u32(bytes + 48, header->data_size);
}

void
yami_entry_header_finish(uint8_t *bytes, uint32_t behind, uint32_t body_crc)
{
    yami_put_u32(bytes + ENTRY_BEHIND_AT, behind);
    yami_put_u32(bytes + ENTRY_BODY_CRC_AT, body_crc);
    yami_put_u32(bytes + ENTRY_CRC_AT, yami_crc32c(0, bytes, ENTRY_CRC_AT));
}

//  The checksum was right, so this only keeps a forged or foreign entry from asking for too much.
static bool
s_is_within_limits(const yami_entry_header_t *header)
{
    bool is_own = header->kind < YAMI_ENTRY_OWNER;
    return header->kind != 0 && header->flags == 0 && (!is_own || header->count == 0) &&
           header->meta_size <= (is_own ? YAMI_LIMIT_OWN_META : YAMI_LIMIT_ENTRY_META) &&
           header->data_size <= YAMI_LIMIT_ENTRY_DATA && header->behind <= header->lsn &&
           (s_is_number(header->lsn) || (header->lsn == 0 && header->kind == YAMI_ENTRY_FOOTER)) &&
           header->base <= YAMI_LIMIT_SEQUENCE - header->count;
}

int
yami_entry_header_decode(const uint8_t *bytes, yami_entry_header_t *header)
{
    if (yami_get_u32(bytes) != MAGIC_ENTRY ||
        yami_get_u32(bytes + ENTRY_CRC_AT) != yami_crc32c(0, bytes, ENTRY_CRC_AT)) {
        return s_malformed();
    }
    header->salt = yami_get_u32(bytes + 4);
    header->kind = s_get_u16(bytes + 8);
    header->flags = s_get_u16(bytes + 10);
    header->channel = yami_get_u32(bytes + 12);
    header->lsn = yami_get_u64(bytes + 16);
    header->base = yami_get_u64(bytes + 24);
    header->time_ms = (int64_t) yami_get_u64(bytes + 32);
    header->count = yami_get_u32(bytes + 40);
    header->meta_size = yami_get_u32(bytes + 44);
    header->data_size = yami_get_u32(bytes + 48);
    header->behind = yami_get_u32(bytes + ENTRY_BEHIND_AT);
    header->body_crc = yami_get_u32(bytes + ENTRY_BODY_CRC_AT);
    return s_is_within_limits(header) ? 0 : s_malformed();
}

bool
yami_entry_header_begins(const uint8_t *bytes, size_t size, uint32_t salt)
{
    uint8_t start[ENTRY_START_SIZE];
    yami_put_u32(start, MAGIC_ENTRY);
    yami_put_u32(start + 4, salt);
    if (size >= ENTRY_START_SIZE && memcmp(bytes, start, ENTRY_START_SIZE) == 0) {
        return true;
    }
    return size >= YAMI_ENTRY_HEADER_SIZE &&
           yami_get_u32(bytes + ENTRY_CRC_AT) ==
               yami_crc32c(yami_crc32c(0, start, ENTRY_START_SIZE), bytes + ENTRY_START_SIZE,
                           ENTRY_CRC_AT - ENTRY_START_SIZE);
}

uint64_t
yami_entry_span(uint64_t meta_size, uint64_t data_size)
{
    YAM_ASSERT(meta_size <= UINT32_MAX && data_size <= UINT32_MAX);
    uint64_t size = YAMI_ENTRY_HEADER_SIZE + meta_size + data_size;
    return (size + YAMI_ENTRY_ALIGNMENT - 1) & ~(uint64_t) (YAMI_ENTRY_ALIGNMENT - 1);
}

void
yami_trailer_encode(uint8_t *bytes, const yami_trailer_t *trailer)
{
    yami_put_u32(bytes, MAGIC_TRAILER);
    yami_put_u32(bytes + 4, trailer->salt);
    yami_put_u64(bytes + 8, trailer->footer_offset);
    yami_put_u64(bytes + 16, trailer->last_lsn);
    yami_put_u32(bytes + 24, trailer->footer_size);
    yami_put_u32(bytes + TRAILER_CRC_AT, yami_crc32c(0, bytes, TRAILER_CRC_AT));
}

int
yami_trailer_decode(const uint8_t *bytes, yami_trailer_t *trailer)
{
    if (yami_get_u32(bytes) != MAGIC_TRAILER ||
        yami_get_u32(bytes + TRAILER_CRC_AT) != yami_crc32c(0, bytes, TRAILER_CRC_AT)) {
        return s_malformed();
    }
    trailer->salt = yami_get_u32(bytes + 4);
    trailer->footer_offset = yami_get_u64(bytes + 8);
    trailer->last_lsn = yami_get_u64(bytes + 16);
    trailer->footer_size = yami_get_u32(bytes + 24);
    return trailer->last_lsn <= YAMI_LIMIT_SEQUENCE ? 0 : s_malformed();
}

const char *
yami_name_segment(char *name, uint64_t number)
{
    (void) snprintf(name, YAMI_NAME_SIZE, "%016" PRIx64 ".seg", number);
    return name;
}

const char *
yami_name_spare(char *name, uint64_t number)
{
    (void) snprintf(name, YAMI_NAME_SIZE, "spare-%016" PRIx64 ".seg", number);
    return name;
}

const char *
yami_name_filling(char *name, uint64_t number)
{
    (void) snprintf(name, YAMI_NAME_SIZE, "filling-%016" PRIx64 ".tmp", number);
    return name;
}

const char *
yami_name_lost(char *name, uint64_t number, uint64_t offset)
{
    (void) snprintf(name, YAMI_NAME_SIZE, "lost-%016" PRIx64 "-%" PRIx64, number, offset);
    return name;
}

yami_name_kind_t
yami_name_parse(const char *name, uint64_t *number_p)
{
    static const struct {
        const char *(*make)(char *name, uint64_t number);
        const char *prefix;
        yami_name_kind_t kind;
    } forms[] = {{yami_name_segment, "", YAMI_NAME_SEGMENT},
                 {yami_name_spare, "spare-", YAMI_NAME_SPARE},
                 {yami_name_filling, "filling-", YAMI_NAME_FILLING}};
    if (strcmp(name, YAMI_MARKER_NAME) == 0) {
        return YAMI_NAME_MARKER;
    }
    for (size_t index = 0; index < sizeof forms / sizeof forms[0]; index++) {
        size_t skip = strlen(forms[index].prefix);
        char expected[YAMI_NAME_SIZE];
        if (strncmp(name, forms[index].prefix, skip) != 0) {
            continue;
        }
        *number_p = strtoull(name + skip, NULL, 16);
        //  Written back it must be the very same: no signs, blanks or capitals.
        if (s_is_number(*number_p) && strcmp(forms[index].make(expected, *number_p), name) == 0) {
            return forms[index].kind;
        }
    }
    return YAMI_NAME_OTHER;
}
