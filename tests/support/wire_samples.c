//  wire_samples - see the header.

#include "wire_samples.h"

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "yami_frame_table.h"

#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *) (text), sizeof(text) - 1                                                 \
    }
#define PRODUCER                                                                                   \
    {                                                                                              \
        {                                                                                          \
            0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d,    \
                0x1e, 0x1f                                                                         \
        }                                                                                          \
    }

static const yami_settle_t s_ranges[] = {{70000, 1, 3}, {70001, 300, 300}};
static const yami_settle_t s_range[] = {{70000, 1, 3}};

#define GREETING (YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS)
#define SETTLE(number) .handle = 2, .serial = (number), .ranges = s_range, .range_count = 1

const wire_frame_sample_t wire_frame_samples[WIRE_FRAME_SAMPLE_COUNT] = {
    {"hello",
     "a client says who it is",
     {.type = YAMI_FRAME_HELLO,
      .present = GREETING,
      .session = 0x0102030405060708,
      .name = TEXT("billing"),
      .max_frame = 20971520,
      .heartbeat_ms = 1000}},
    {"welcome",
     "the relay answers it",
     {.type = YAMI_FRAME_WELCOME,
      .present = GREETING | YAMI_F_LEVEL,
      .session = 0x0102030405060708,
      .name = TEXT("relay-1"),
      .max_frame = 20971520,
      .heartbeat_ms = 1000,
      .level = YAM_LEVEL_SYNCED}},
    {"attach-producer",
     "a named producer asks for its next epoch",
     {.type = YAMI_FRAME_ATTACH,
      .handle = 1,
      .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL | YAMI_F_PRODUCER | YAMI_F_EPOCH |
                 YAMI_F_FIRST,
      .role = YAMI_ROLE_PRODUCER,
      .kind = YAMI_KIND_QUEUE,
      .channel = TEXT("orders"),
      .producer = PRODUCER,
      .epoch = 0,
      .first = 1}},
    {"attach-consumer",
     "a consumer joins a durable, filtered group of a topic",
     {.type = YAMI_FRAME_ATTACH,
      .handle = 2,
      .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL | YAMI_F_GROUP | YAMI_F_DURABLE |
                 YAMI_F_START | YAMI_F_SEQUENCE | YAMI_F_FILTER | YAMI_F_LEASE_MS,
      .role = YAMI_ROLE_CONSUMER,
      .kind = YAMI_KIND_TOPIC,
      .channel = TEXT("prices"),
      .group = TEXT("archive"),
      .durable = true,
      .start = YAMI_START_SEQUENCE,
      .sequence = 1000,
      .filter = TEXT("eu.*.spot.>"),
      .lease_ms = 30000}},
    {"attached",
     "the relay grants a producer its first credit",
     {.type = YAMI_FRAME_ATTACHED,
      .handle = 1,
      .present = YAMI_F_LEVEL | YAMI_F_EPOCH | YAMI_F_SEQUENCE | YAMI_F_MESSAGES | YAMI_F_BYTES,
      .level = YAM_LEVEL_SYNCED,
      .epoch = 3,
      .sequence = 0,
      .messages = 65536,
      .bytes = 8388608}},
    {"detach", "a client leaves a channel", {.type = YAMI_FRAME_DETACH, .handle = 2}},
    {"detached",
     "the relay ends an attachment by itself",
     {.type = YAMI_FRAME_DETACHED,
      .handle = 2,
      .present = YAMI_F_STATUS | YAMI_F_TEXT,
      .status = YAM_STATUS_CONFLICT,
      .text = TEXT("orders is a queue")}},
    {"confirm",
     "all messages up to 3 are synced",
     {.type = YAMI_FRAME_CONFIRM,
      .handle = 1,
      .present = YAMI_F_EPOCH | YAMI_F_SEQUENCE | YAMI_F_LEVEL,
      .epoch = 3,
      .sequence = 3,
      .level = YAM_LEVEL_SYNCED}},
    {"refuse",
     "messages 6 to 9 did not fit",
     {.type = YAMI_FRAME_REFUSE,
      .handle = 1,
      .present = YAMI_F_EPOCH | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_STATUS | YAMI_F_TEXT,
      .epoch = 3,
      .first = 6,
      .last = 9,
      .status = YAM_STATUS_FULL,
      .text = TEXT("orders holds 1000000 messages")}},
    {"credit",
     "totals since the attachment",
     {.type = YAMI_FRAME_CREDIT,
      .handle = 2,
      .present = YAMI_F_MESSAGES | YAMI_F_BYTES,
      .messages = 1000,
      .bytes = 1048576}},
    {"deliver",
     "the first part of a delivery; a batch is the second",
     {.type = YAMI_FRAME_DELIVER,
      .handle = 2,
      .present = YAMI_F_TOKEN | YAMI_F_BASE | YAMI_F_FIRST | YAMI_F_LAST | YAMI_F_DELIVERIES |
                 YAMI_F_FAILURES | YAMI_F_TIME,
      .token = 70000,
      .base = 1,
      .first = 1,
      .last = 3,
      .deliveries = 1,
      .failures = 0,
      .time = 1767225600000}},
    {"ack",
     "messages 1 to 3 of one lease and 300 of another are done",
     {.type = YAMI_FRAME_ACK,
      .handle = 2,
      .present = YAMI_F_SERIAL | YAMI_F_RANGES,
      .serial = 1,
      .ranges = s_ranges,
      .range_count = 2}},
    {"nack",
     "messages 1 to 3 failed, again in five seconds",
     {.type = YAMI_FRAME_NACK,
      .present = YAMI_F_SERIAL | YAMI_F_RANGES | YAMI_F_DELAY_MS | YAMI_F_TEXT,
      .delay_ms = 5000,
      .text = TEXT("database is away"),
      SETTLE(2)}},
    {"extend",
     "the lease of messages 1 to 3 starts anew",
     {.type = YAMI_FRAME_EXTEND, .present = YAMI_F_SERIAL | YAMI_F_RANGES, SETTLE(3)}},
    {"reject",
     "messages 1 to 3 can never be handled",
     {.type = YAMI_FRAME_REJECT,
      .present = YAMI_F_SERIAL | YAMI_F_RANGES | YAMI_F_TEXT,
      .text = TEXT("no such customer"),
      SETTLE(4)}},
    {"release",
     "messages 1 to 3 go back, nobody is to blame",
     {.type = YAMI_FRAME_RELEASE, .present = YAMI_F_SERIAL | YAMI_F_RANGES, SETTLE(5)}},
    {"acked",
     "all settle frames up to number 5 are durable",
     {.type = YAMI_FRAME_ACKED, .handle = 2, .present = YAMI_F_SERIAL, .serial = 5}},
    {"heartbeat", "a sign of life", {.type = YAMI_FRAME_HEARTBEAT}},
    {"admin",
     "a dry run of a redrive",
     {.type = YAMI_FRAME_ADMIN,
      .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_START | YAMI_F_TARGET,
      .serial = 1,
      .command = TEXT("redrive"),
      .channel = TEXT("orders.dead"),
      .target = TEXT("orders"),
      .start = 1}},
    {"cancel",
     "a delayed message is not wanted any more",
     {.type = YAMI_FRAME_ADMIN,
      .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_ID,
      .serial = 2,
      .command = TEXT("cancel"),
      .channel = TEXT("orders"),
      .id = TEXT("invoice-7")}},
    {"reply",
     "its answer: one row, {\"channel\": \"orders.dead\", \"messages\": 17}",
     {.type = YAMI_FRAME_REPLY,
      .present = YAMI_F_SERIAL | YAMI_F_STATUS | YAMI_F_TEXT | YAMI_F_ROWS,
      .serial = 1,
      .status = YAM_STATUS_OK,
      .text = TEXT("17 messages would move"),
      .rows = TEXT("\x91\x82\xa7"
                   "channel\xab"
                   "orders.dead\xa8"
                   "messages\x11")}},
    {"error",
     "the relay does not know the sender",
     {.type = YAMI_FRAME_ERROR,
      .present = YAMI_F_STATUS | YAMI_F_TEXT,
      .status = YAM_STATUS_NO_SESSION,
      .text = TEXT("say HELLO first")}},
    {"goodbye", "the session ends", {.type = YAMI_FRAME_GOODBYE}},
};

#define HEAD .handle = 1, .epoch = 3, .producer = PRODUCER

const wire_batch_sample_t wire_batch_samples[WIRE_BATCH_SAMPLE_COUNT] = {
    {.name = "batch-plain",
     .what = "three messages without properties, the last one empty",
     .head = {HEAD, .first_sequence = 1},
     .records = {{.priority = 4, .body = TEXT("first")},
                 {.priority = 9, .body = TEXT("second, urgent")},
                 {.priority = 4}},
     .record_count = 3},
    {.name = "batch-properties",
     .what = "{\"key\": \"customer-7\", \"tag\": \"new\", \"attempt\": -1, \"paid\": true}",
     .head = {HEAD, .first_sequence = 4},
     .records = {{.priority = 4,
                  .key_hash = 0x0eeabbf9,
                  .properties = TEXT("\x84\xa3key\xaa"
                                     "customer-7\xa3tag\xa3new\xa7"
                                     "attempt\xff\xa4paid\xc3"),
                  .body = TEXT("{\"order\": 1}")}},
     .record_count = 1},
    {.name = "batch-due-expiry",
     .what = "one message with both times, one with each of them",
     .head = {HEAD, .first_sequence = 5},
     .records = {{.flags = YAMI_RECORD_DUE | YAMI_RECORD_EXPIRY,
                  .priority = 4,
                  .due_ms = 1767225600000,
                  .expiry_ms = 1767312000000,
                  .body = TEXT("later")},
                 {.flags = YAMI_RECORD_DUE,
                  .priority = 4,
                  .due_ms = 1767225600000,
                  .body = TEXT("tomorrow")},
                 {.flags = YAMI_RECORD_EXPIRY,
                  .priority = 0,
                  .expiry_ms = 1767312000000,
                  .body = TEXT("soon")}},
     .record_count = 3},
    {.name = "batch-no-crc",
     .what = "a client that does not compute the payload's checksum",
     .head = {HEAD, .flags = YAMI_BATCH_NO_CRC, .first_sequence = 8},
     .records = {{.priority = 4, .body = TEXT("hello")}},
     .record_count = 1},
};

yami_block_t *
wire_batch_sample_encode(const wire_batch_sample_t *sample)
{
    yami_builder_t builder;
    yami_builder_init(&builder, 4096);
    for (uint32_t index = 0; index < sample->record_count; index++) {
        assert_int_equal(yami_builder_append(&builder, &sample->records[index]), 0);
    }
    yami_block_t *block = yami_builder_finish(&builder, &sample->head);
    yami_builder_clear(&builder);
    assert_non_null(block);
    return block;
}

static void
s_assert_slice(yami_slice_t decoded, yami_slice_t expected)
{
    assert_int_equal(decoded.size, expected.size);
    if (expected.size > 0) {
        assert_memory_equal(decoded.data, expected.data, expected.size);
    }
}

static void
s_assert_ranges(const yami_frame_t *decoded, const yami_frame_t *expected)
{
    size_t offset = 0;
    yami_settle_t range;
    assert_int_equal(decoded->range_count, expected->range_count);
    for (uint32_t index = 0; index < expected->range_count; index++) {
        assert_true(yami_frame_range(decoded, &offset, &range));
        assert_memory_equal(&range, &expected->ranges[index], sizeof range);
    }
    assert_false(yami_frame_range(decoded, &offset, &range));
}

static void
s_assert_field(const yami_frame_t *decoded, const yami_frame_t *expected,
               const yami_frame_field_t *field)
{
    const uint8_t *left = (const uint8_t *) decoded + field->offset;
    const uint8_t *right = (const uint8_t *) expected + field->offset;
    switch (field->type) {
    case YAMI_FIELD_UINT:
        assert_memory_equal(left, right, sizeof(uint64_t));
        break;
    case YAMI_FIELD_BOOL:
        assert_memory_equal(left, right, sizeof(bool));
        break;
    case YAMI_FIELD_ID:
        assert_memory_equal(left, right, sizeof(yami_id_t));
        break;
    case YAMI_FIELD_STR:
    case YAMI_FIELD_BIN:
        s_assert_slice(*(const yami_slice_t *) (const void *) left,
                       *(const yami_slice_t *) (const void *) right);
        break;
    case YAMI_FIELD_RANGES:
        s_assert_ranges(decoded, expected);
        break;
    }
}

void
wire_assert_frame(const yami_frame_t *decoded, const yami_frame_t *expected)
{
    assert_int_equal(decoded->type, expected->type);
    assert_int_equal(decoded->handle, expected->handle);
    assert_int_equal(decoded->present, expected->present);
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        s_assert_field(decoded, expected, &yami_frame_fields[index]);
    }
}

void
wire_assert_batch(const yami_block_t *block, const wire_batch_sample_t *sample)
{
    yami_batch_t batch;
    assert_int_equal(yami_batch_decode(&batch, block->data, block->size), 0);
    assert_int_equal(yami_batch_check_records(&batch, NULL), 0);
    assert_int_equal(batch.flags, sample->head.flags);
    assert_int_equal(batch.count, sample->record_count);
    assert_int_equal(batch.handle, sample->head.handle);
    assert_int_equal(batch.epoch, sample->head.epoch);
    assert_int_equal(batch.first_sequence, sample->head.first_sequence);
    assert_memory_equal(&batch.producer, &sample->head.producer, sizeof batch.producer);
    size_t offset = 0;
    for (uint32_t index = 0; index < batch.count; index++) {
        yami_record_t record;
        const yami_record_t *expected = &sample->records[index];
        assert_int_equal(yami_batch_next(&batch, &offset, &record), 0);
        assert_int_equal(record.flags, expected->flags);
        assert_int_equal(record.priority, expected->priority);
        assert_int_equal(record.key_hash, expected->key_hash);
        assert_int_equal(record.due_ms, expected->due_ms);
        assert_int_equal(record.expiry_ms, expected->expiry_ms);
        s_assert_slice(record.properties, expected->properties);
        s_assert_slice(record.body, expected->body);
    }
}

uint64_t
wire_random(uint64_t *state_p)
{
    uint64_t mixed = *state_p += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}
