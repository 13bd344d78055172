//  Input at a live yamd that is well-formed and makes no sense: names, handles, leases, batches
//  that lie, and mutations of everything at random. YAM_SEED=N mutates the same way again.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "garbage/fixture.h"
#include "wire_samples.h"
#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_limits.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define MUTATIONS 3000
#else
#define MUTATIONS 20000
#endif

//  -- Attaching, settling, administration ---------------------------------------------------------

static yami_frame_t
s_attach(uint32_t handle, const char *channel, uint64_t kind)
{
    return (yami_frame_t) {.type = YAMI_FRAME_ATTACH,
                           .handle = handle,
                           .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL,
                           .role = YAMI_ROLE_CONSUMER,
                           .kind = kind,
                           .channel = {(const uint8_t *) channel, strlen(channel)}};
}

static void
test_malformed_names_are_not_attached(void **state)
{
    static const char *const names[] = {".hidden", "with space",    "new\nline",
                                        "star*",   "gr\xc3\xbcsse", "../../etc"};
    raw_link_t link;
    (void) state;
    garbage_open(&link);
    for (uint32_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        yami_frame_t frame = s_attach(index + 1, names[index], YAMI_KIND_QUEUE);
        yami_frame_t answer;
        raw_link_send_frame(&link, &frame);
        assert_true(raw_link_expect(&link, 0, &answer, GARBAGE_PATIENCE_MS));
        if (answer.type != YAMI_FRAME_ERROR && answer.type != YAMI_FRAME_DETACHED) {
            fail_msg("'%s' was answered with %s", names[index], yami_frame_type_name(answer.type));
        }
        assert_int_not_equal(answer.status, YAM_STATUS_OK);
    }
    raw_link_close(&link);
    garbage_serve();
}

static void
test_conflicting_attachments_are_told(void **state)
{
    raw_link_t link;
    yami_frame_t answer;
    (void) state;
    garbage_open(&link);
    yami_frame_t as_topic = s_attach(1, "well-behaved", YAMI_KIND_TOPIC);
    raw_link_send_frame(&link, &as_topic);
    garbage_expect(&link, "a queue as a topic", YAMI_FRAME_DETACHED, YAM_STATUS_CONFLICT);
    yami_frame_t first = s_attach(2, "garbage.once", YAMI_KIND_QUEUE);
    raw_link_send_frame(&link, &first);
    assert_true(raw_link_expect(&link, YAMI_FRAME_ATTACHED, &answer, GARBAGE_PATIENCE_MS));
    raw_link_send_frame(&link, &first);
    garbage_expect(&link, "a handle twice", YAMI_FRAME_DETACHED, YAM_STATUS_CONFLICT);
    raw_link_close(&link);
    garbage_serve();
}

static void
test_too_many_handles_meet_their_limit(void **state)
{
    raw_link_t link;
    yami_frame_t answer = {.type = 0};
    (void) state;
    garbage_open(&link);
    for (uint32_t handle = 1; handle <= YAMI_LIMIT_HANDLES; handle++) {
        yami_frame_t frame = s_attach(handle, "garbage.many", YAMI_KIND_QUEUE);
        raw_link_send_frame(&link, &frame);
        assert_true(raw_link_expect(&link, 0, &answer, GARBAGE_PATIENCE_MS));
        assert_int_equal(answer.type, YAMI_FRAME_ATTACHED);
    }
    yami_frame_t frame = s_attach(YAMI_LIMIT_HANDLES + 1, "garbage.many", YAMI_KIND_QUEUE);
    raw_link_send_frame(&link, &frame);
    garbage_expect(&link, "one handle too many", YAMI_FRAME_DETACHED, YAM_STATUS_LIMIT);
    raw_link_close(&link);
    garbage_serve();
}

static void
test_leases_nobody_gave_settle_nothing(void **state)
{
    static const uint8_t types[] = {YAMI_FRAME_ACK, YAMI_FRAME_NACK, YAMI_FRAME_EXTEND,
                                    YAMI_FRAME_REJECT, YAMI_FRAME_RELEASE};
    static const yami_settle_t range = {
        .token = UINT64_MAX, .first = 1, .last = YAMI_LIMIT_SEQUENCE};
    raw_link_t link;
    yami_frame_t answer;
    (void) state;
    garbage_open(&link);
    yami_frame_t attach = s_attach(1, "garbage.leases", YAMI_KIND_QUEUE);
    raw_link_send_frame(&link, &attach);
    assert_true(raw_link_expect(&link, YAMI_FRAME_ATTACHED, &answer, GARBAGE_PATIENCE_MS));
    for (size_t index = 0; index < sizeof types; index++) {
        yami_frame_t settle = {.type = types[index],
                               .handle = 1,
                               .present = YAMI_F_SERIAL | YAMI_F_RANGES,
                               .serial = index + 1,
                               .ranges = &range,
                               .range_count = 1};
        raw_link_send_frame(&link, &settle);
        assert_true(raw_link_expect(&link, YAMI_FRAME_ERROR, &answer, GARBAGE_PATIENCE_MS));
        assert_int_equal(answer.status, YAM_STATUS_FENCED);
        assert_int_equal(answer.handle, 1);
    }
    raw_link_close(&link);
    garbage_serve();
}

static void
test_unknown_administration_is_told(void **state)
{
    static const struct {
        const char *command, *channel;
    } requests[] = {{"explode", NULL},
                    {"peek", "garbage.none"},
                    {"purge", "garbage.none"},
                    {"stat", "garbage.none"}};
    raw_link_t link;
    (void) state;
    garbage_open(&link);
    for (size_t index = 0; index < sizeof requests / sizeof requests[0]; index++) {
        yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                              .present = YAMI_F_SERIAL | YAMI_F_COMMAND,
                              .serial = index + 1,
                              .command = yami_slice_text(requests[index].command)};
        if (requests[index].channel) {
            frame.present |= YAMI_F_CHANNEL;
            frame.channel = yami_slice_text(requests[index].channel);
        }
        raw_link_send_frame(&link, &frame);
        garbage_expect(&link, requests[index].command, YAMI_FRAME_REPLY, YAM_STATUS_UNKNOWN);
    }
    raw_link_close(&link);
    garbage_serve();
}

//  -- Batches -------------------------------------------------------------------------------------

static const yami_id_t s_producer = {"garbage-producer"};

//  Offsets within a batch of one record with the body "body", and what is written there.
static const struct {
    const char *what;
    size_t offset;
    size_t size;
    uint64_t value;
    bool is_signed_again; //  with checksums that match
} s_lies[] = {
    {"another batch version", 4, 1, 2, true},
    {"unknown flags", 5, 1, 0x80, true},
    {"zero that is not", 6, 2, 1, true},
    {"a payload of 4 GiB", 8, 4, UINT32_MAX, true},
    {"a payload too short", 8, 4, 1, true},
    {"no records", 12, 4, 0, true},
    {"more records than there are", 12, 4, 2, true},
    {"more records than there may be", 12, 4, 65537, true},
    {"all records there can be", 12, 4, UINT32_MAX, true},
    {"sequence 0", 40, 8, 0, true},
    {"a sequence beyond the last", 40, 8, UINT64_MAX, true},
    {"the last sequence", 40, 8, (uint64_t) INT64_MAX, true},
    {"a flipped bit in the header", 24, 1, 0, false},
    {"a wrong checksum of the header", 52, 4, 1, false},
    {"a flipped bit in the body", 56 + 12, 1, 'B', false},
    {"a wrong checksum of the payload", 48, 4, 1, true},
    {"a body of 4 GiB", 56, 4, UINT32_MAX, true},
    {"a body longer than the batch", 56, 4, 5, true},
    {"a body shorter than the batch", 56, 4, 3, true},
    {"properties that are not there", 60, 2, 1, true},
    {"properties of 64 KiB", 60, 2, UINT16_MAX, true},
    {"unknown record flags", 62, 1, 0x80, true},
    {"a due time that is not there", 62, 1, YAMI_RECORD_DUE, true},
    {"priority 10", 63, 1, 10, true},
};

static void
s_lie(uint8_t *bytes, size_t size, size_t index)
{
    for (size_t at = 0; at < s_lies[index].size; at++) {
        bytes[s_lies[index].offset + at] = (uint8_t) (s_lies[index].value >> 8 * at);
    }
    if (s_lies[index].is_signed_again) {
        if (s_lies[index].offset != 48) {
            yami_put_u32(bytes + 48, yami_crc32c(0, bytes + 56, size - 56));
        }
        yami_put_u32(bytes + 52, yami_crc32c(0, bytes, 52));
    }
}

static void
test_malformed_batches_are_refused_and_sound_ones_go_on(void **state)
{
    (void) state;
    for (size_t index = 0; index < sizeof s_lies / sizeof s_lies[0]; index++) {
        uint8_t bytes[256];
        yami_frame_t attached, answer;
        raw_link_t link;
        garbage_open(&link);
        assert_true(raw_link_produce(&link, 1, "garbage.batches", &s_producer, &attached));
        uint32_t epoch = (uint32_t) attached.epoch;
        assert_int_equal(raw_link_publish(&link, 1, &s_producer, epoch, 1, "sound", 5),
                         YAM_STATUS_OK);
        yami_block_t *block = raw_link_batch(1, &s_producer, epoch, 2, "body", 4);
        memcpy(bytes, block->data, block->size);
        s_lie(bytes, block->size, index);
        raw_link_send(&link, bytes, block->size);
        yami_block_unref(&block);
        if (!raw_link_expect(&link, 0, &answer, GARBAGE_PATIENCE_MS)) {
            fail_msg("%s: no answer", s_lies[index].what);
        }
        bool is_gap = answer.status == YAM_STATUS_GAP && s_lies[index].offset == 40;
        if ((answer.type != YAMI_FRAME_ERROR && answer.type != YAMI_FRAME_REFUSE) ||
            (answer.status != YAM_STATUS_MALFORMED && !is_gap)) {
            fail_msg("%s: %s with status %s", s_lies[index].what, yami_frame_type_name(answer.type),
                     yam_status_name((yam_status_t) answer.status));
        }
        //  What was refused for good is given up, and the next is expected; but what was damaged on
        //  its way may come again, once its producer has attached anew.
        bool is_damaged = s_lies[index].offset == 48 || s_lies[index].offset == 56 + 12;
        assert_true(!is_damaged || answer.type == YAMI_FRAME_REFUSE);
        bool is_refused = answer.type == YAMI_FRAME_REFUSE && !is_gap;
        if (is_damaged) {
            assert_int_equal(raw_link_publish(&link, 1, &s_producer, epoch, 2, "sound", 5),
                             YAM_STATUS_GAP);
            assert_true(raw_link_produce(&link, 2, "garbage.batches", &s_producer, &attached));
            epoch = (uint32_t) attached.epoch;
        }
        uint32_t handle = is_damaged ? 2 : 1;
        uint64_t next = is_damaged ? 1 : is_refused ? 3 : 2; //  of the new epoch: the first
        yam_status_t status = raw_link_publish(&link, handle, &s_producer, epoch, next, "sound", 5);
        if (status != YAM_STATUS_OK) {
            fail_msg("after %s (%s): %s", s_lies[index].what, yami_frame_type_name(answer.type),
                     yam_status_name(status));
        }
        raw_link_close(&link);
    }
    garbage_serve();
}

static void
test_batches_of_others_are_refused(void **state)
{
    static const yami_id_t other = {"another-producer"};
    yami_frame_t attached, answer;
    raw_link_t link;
    (void) state;
    garbage_open(&link);
    assert_true(raw_link_produce(&link, 1, "garbage.others", &s_producer, &attached));
    uint32_t epoch = (uint32_t) attached.epoch;
    assert_int_equal(raw_link_publish(&link, 1, &s_producer, epoch, 2, "gap", 3), YAM_STATUS_GAP);
    assert_int_equal(raw_link_publish(&link, 1, &s_producer, epoch + 1, 1, "epoch", 5),
                     YAM_STATUS_FENCED);
    assert_int_equal(raw_link_publish(&link, 1, &other, epoch, 1, "other", 5), YAM_STATUS_CONFLICT);
    assert_int_equal(raw_link_publish(&link, 1, &s_producer, epoch, 1, "sound", 5), YAM_STATUS_OK);
    yami_block_t *block = raw_link_batch(77, &s_producer, epoch, 2, "handle", 6);
    raw_link_send(&link, block->data, block->size);
    assert_true(raw_link_expect(&link, YAMI_FRAME_ERROR, &answer, GARBAGE_PATIENCE_MS));
    assert_int_equal(answer.status, YAM_STATUS_UNKNOWN);
    assert_int_equal(answer.handle, 77);
    for (size_t size = 4; size < block->size; size += 7) {
        raw_link_send(&link, block->data, size);
        assert_true(raw_link_expect(&link, YAMI_FRAME_ERROR, &answer, GARBAGE_PATIENCE_MS));
        assert_int_equal(answer.status, YAM_STATUS_MALFORMED);
    }
    yami_block_unref(&block);
    raw_link_close(&link);
    garbage_serve();
}

//  -- At random -----------------------------------------------------------------------------------

//  A sample frame or batch with some bytes changed, cut or added.
static void
s_send_mutation(raw_link_t *link, uint64_t *random)
{
    static uint8_t bytes[4096];
    uint64_t choice = wire_random(random) % (WIRE_FRAME_SAMPLE_COUNT + WIRE_BATCH_SAMPLE_COUNT);
    yami_block_t *block =
        choice < WIRE_FRAME_SAMPLE_COUNT
            ? yami_frame_encode(&wire_frame_samples[choice].frame)
            : wire_batch_sample_encode(&wire_batch_samples[choice - WIRE_FRAME_SAMPLE_COUNT]);
    size_t size = block->size;
    assert_true(size + 16 <= sizeof bytes);
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, block->data, size);
    for (uint64_t count = wire_random(random) % 4; count > 0; count--) {
        bytes[wire_random(random) % size] = (uint8_t) wire_random(random);
    }
    if (wire_random(random) % 4 == 0) {
        size = wire_random(random) % (size + 16);
    }
    if (wire_random(random) % 2 == 0 && size >= YAMI_FRAME_HEADER_SIZE) {
        yami_put_u32(bytes + 12, (uint32_t) (size - YAMI_FRAME_HEADER_SIZE));
    }
    raw_link_send(link, bytes, size);
    yami_block_unref(&block);
}

static void
test_random_mutations_harm_nobody(void **state)
{
    const char *text = getenv("YAM_SEED");
    uint64_t random = text ? strtoull(text, NULL, 10) : (uint64_t) time(NULL);
    raw_link_t link;
    (void) state;
    (void) fprintf(stderr, "# seed %llu\n", (unsigned long long) random);
    garbage_open(&link);
    for (unsigned count = 0; count < MUTATIONS; count++) {
        s_send_mutation(&link, &random);
        if (count % 40 == 39) {
            raw_link_close(&link); //  libzmq drops what is still queued: mostly nothing
            garbage_open(&link);
        }
        if (count % 1000 == 0) {
            garbage_serve();
        }
    }
    raw_link_close(&link);
    garbage_serve();
    garbage_assert_memory();
}

int
main(void)
{
    (void) signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_malformed_names_are_not_attached),
        cmocka_unit_test(test_conflicting_attachments_are_told),
        cmocka_unit_test(test_too_many_handles_meet_their_limit),
        cmocka_unit_test(test_leases_nobody_gave_settle_nothing),
        cmocka_unit_test(test_unknown_administration_is_told),
        cmocka_unit_test(test_malformed_batches_are_refused_and_sound_ones_go_on),
        cmocka_unit_test(test_batches_of_others_are_refused),
        cmocka_unit_test(test_random_mutations_harm_nobody),
    };
    return cmocka_run_group_tests(tests, garbage_setup, garbage_teardown);
}
