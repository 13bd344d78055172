//  yami_frame_table - what control frames are made of. See the header.

#include "yami_frame_table.h"

#include "yami_limits.h"

#define FIELD(key, type, member, bit, minimum, maximum)                                            \
    {                                                                                              \
        key, YAMI_FIELD_##type, offsetof(yami_frame_t, member), bit, minimum, maximum              \
    }
#define SEQUENCE YAMI_LIMIT_SEQUENCE

//  In the order the encoder writes them.
const yami_frame_field_t yami_frame_fields[YAMI_FRAME_FIELD_COUNT] = {
    FIELD("session", UINT, session, YAMI_F_SESSION, 1, UINT64_MAX),
    FIELD("name", STR, name, YAMI_F_NAME, 0, YAMI_LIMIT_NAME),
    FIELD("max-frame", UINT, max_frame, YAMI_F_MAX_FRAME, YAMI_LIMIT_CONTROL, UINT32_MAX),
    FIELD("heartbeat-ms", UINT, heartbeat_ms, YAMI_F_HEARTBEAT_MS, 1, YAMI_LIMIT_HEARTBEAT_MS),
    FIELD("level", UINT, level, YAMI_F_LEVEL, YAM_LEVEL_NONE, YAM_LEVEL_REPLICATED),
    FIELD("role", UINT, role, YAMI_F_ROLE, YAMI_ROLE_PRODUCER, YAMI_ROLE_CONSUMER),
    FIELD("kind", UINT, kind, YAMI_F_KIND, YAMI_KIND_QUEUE, YAMI_KIND_TOPIC),
    FIELD("channel", STR, channel, YAMI_F_CHANNEL, 1, YAMI_LIMIT_NAME),
    FIELD("producer", ID, producer, YAMI_F_PRODUCER, 16, 16),
    FIELD("epoch", UINT, epoch, YAMI_F_EPOCH, 0, UINT32_MAX),
    FIELD("first", UINT, first, YAMI_F_FIRST, 1, SEQUENCE),
    FIELD("last", UINT, last, YAMI_F_LAST, 1, SEQUENCE),
    FIELD("group", STR, group, YAMI_F_GROUP, 0, YAMI_LIMIT_NAME),
    FIELD("durable", BOOL, durable, YAMI_F_DURABLE, 0, 1),
    FIELD("start", UINT, start, YAMI_F_START, YAMI_START_FIRST, YAMI_START_SEQUENCE),
    FIELD("sequence", UINT, sequence, YAMI_F_SEQUENCE, 0, SEQUENCE),
    FIELD("filter", STR, filter, YAMI_F_FILTER, 0, YAMI_LIMIT_SUBJECT),
    FIELD("lease-ms", UINT, lease_ms, YAMI_F_LEASE_MS, 0, YAMI_LIMIT_TIME_MS),
    FIELD("messages", UINT, messages, YAMI_F_MESSAGES, 0, SEQUENCE),
    FIELD("bytes", UINT, bytes, YAMI_F_BYTES, 0, SEQUENCE),
    FIELD("status", UINT, status, YAMI_F_STATUS, 0, UINT8_MAX),
    FIELD("text", STR, text, YAMI_F_TEXT, 0, YAMI_LIMIT_TEXT),
    FIELD("token", UINT, token, YAMI_F_TOKEN, 1, UINT64_MAX),
    FIELD("base", UINT, base, YAMI_F_BASE, 1, SEQUENCE),
    FIELD("deliveries", UINT, deliveries, YAMI_F_DELIVERIES, 0, UINT32_MAX),
    FIELD("failures", UINT, failures, YAMI_F_FAILURES, 0, UINT32_MAX),
    FIELD("time", UINT, time, YAMI_F_TIME, 0, YAMI_LIMIT_TIME_MS),
    FIELD("serial", UINT, serial, YAMI_F_SERIAL, 1, SEQUENCE),
    FIELD("ranges", RANGES, ranges, YAMI_F_RANGES, 1, YAMI_LIMIT_RANGES),
    FIELD("delay-ms", UINT, delay_ms, YAMI_F_DELAY_MS, 0, YAMI_LIMIT_TIME_MS),
    FIELD("command", STR, command, YAMI_F_COMMAND, 1, 32),
    FIELD("target", STR, target, YAMI_F_TARGET, 1, YAMI_LIMIT_NAME),
    FIELD("id", STR, id, YAMI_F_ID, 1, YAMI_LIMIT_ID),
    FIELD("rows", BIN, rows, YAMI_F_ROWS, 0, YAMI_LIMIT_REPLY),
};

#define GREETING (YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS)
#define SETTLE (YAMI_F_SERIAL | YAMI_F_RANGES)
#define CREDIT (YAMI_F_MESSAGES | YAMI_F_BYTES)

const yami_frame_rule_t yami_frame_rules[YAMI_FRAME_TYPE_COUNT] = {
    [YAMI_FRAME_HELLO] = {"HELLO", YAMI_HANDLE_NONE, GREETING, 0},
    [YAMI_FRAME_WELCOME] = {"WELCOME", YAMI_HANDLE_NONE, GREETING | YAMI_F_LEVEL, 0},
    [YAMI_FRAME_ATTACH] = {"ATTACH", YAMI_HANDLE_REQUIRED,
                           YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL,
                           YAMI_F_PRODUCER | YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_GROUP |
                               YAMI_F_DURABLE | YAMI_F_START | YAMI_F_SEQUENCE | YAMI_F_FILTER |
                               YAMI_F_LEASE_MS},
    [YAMI_FRAME_ATTACHED] = {"ATTACHED", YAMI_HANDLE_REQUIRED, YAMI_F_LEVEL | YAMI_F_SEQUENCE,
                             YAMI_F_EPOCH | CREDIT},
    [YAMI_FRAME_DETACH] = {"DETACH", YAMI_HANDLE_REQUIRED, 0, 0},
    [YAMI_FRAME_DETACHED] = {"DETACHED", YAMI_HANDLE_REQUIRED, 0, YAMI_F_STATUS | YAMI_F_TEXT},
    [YAMI_FRAME_CONFIRM] = {"CONFIRM", YAMI_HANDLE_REQUIRED,
                            YAMI_F_EPOCH | YAMI_F_SEQUENCE | YAMI_F_LEVEL, 0},
    [YAMI_FRAME_REFUSE] = {"REFUSE", YAMI_HANDLE_REQUIRED,
                           YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_STATUS, YAMI_F_TEXT},
    [YAMI_FRAME_CREDIT] = {"CREDIT", YAMI_HANDLE_REQUIRED, CREDIT, 0},
    [YAMI_FRAME_DELIVER] = {"DELIVER", YAMI_HANDLE_REQUIRED,
                            YAMI_F_TOKEN | YAMI_F_BASE | YAMI_F_FIRST | YAMI_F_LAST |
                                YAMI_F_DELIVERIES | YAMI_F_FAILURES | YAMI_F_TIME,
                            0},
    [YAMI_FRAME_ACK] = {"ACK", YAMI_HANDLE_REQUIRED, SETTLE, 0},
    [YAMI_FRAME_NACK] = {"NACK", YAMI_HANDLE_REQUIRED, SETTLE, YAMI_F_DELAY_MS | YAMI_F_TEXT},
    [YAMI_FRAME_EXTEND] = {"EXTEND", YAMI_HANDLE_REQUIRED, SETTLE, 0},
    [YAMI_FRAME_REJECT] = {"REJECT", YAMI_HANDLE_REQUIRED, SETTLE, YAMI_F_TEXT},
    [YAMI_FRAME_RELEASE] = {"RELEASE", YAMI_HANDLE_REQUIRED, SETTLE, 0},
    [YAMI_FRAME_ACKED] = {"ACKED", YAMI_HANDLE_REQUIRED, YAMI_F_SERIAL, 0},
    [YAMI_FRAME_HEARTBEAT] = {"HEARTBEAT", YAMI_HANDLE_NONE, 0, 0},
    [YAMI_FRAME_ADMIN] = {"ADMIN", YAMI_HANDLE_NONE, YAMI_F_SERIAL | YAMI_F_COMMAND,
                          YAMI_F_CHANNEL | YAMI_F_GROUP | YAMI_F_TARGET | YAMI_F_START |
                              YAMI_F_SEQUENCE | YAMI_F_MESSAGES | YAMI_F_ID},
    [YAMI_FRAME_REPLY] = {"REPLY", YAMI_HANDLE_NONE, YAMI_F_SERIAL | YAMI_F_STATUS,
                          YAMI_F_TEXT | YAMI_F_ROWS},
    [YAMI_FRAME_ERROR] = {"ERROR", YAMI_HANDLE_ANY, YAMI_F_STATUS, YAMI_F_TEXT},
    [YAMI_FRAME_GOODBYE] = {"GOODBYE", YAMI_HANDLE_NONE, 0, 0},
};

const yami_frame_condition_t yami_frame_conditions[YAMI_FRAME_CONDITION_COUNT] = {
    {YAMI_FRAME_ATTACH, YAMI_F_ROLE, YAMI_ROLE_PRODUCER,
     YAMI_F_PRODUCER | YAMI_F_EPOCH | YAMI_F_FIRST},
    {YAMI_FRAME_ATTACH, YAMI_F_START, YAMI_START_SEQUENCE, YAMI_F_SEQUENCE},
};
