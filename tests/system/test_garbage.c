//  F12: bad input at a live yamd: junk on the port, frames cut, oversized, of other versions, with
//  impossible lengths. Each is answered with its status or ends its own link; all the while a
//  well-behaved client is served, and memory stays bounded.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "garbage/fixture.h"
#include "wire_samples.h"
#include "yami_bytes.h"
#include "yami_limits.h"

#define ERRORS_PER_LINK 12 //  a relay tells some errors a second, then it ends the link

//  -- On the port ---------------------------------------------------------------------------------

static int
s_connect(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port =
        htons((uint16_t) strtoul(strrchr(garbage_relay.endpoint, ':') + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof address), 0);
    return fd;
}

static void
s_say(int fd, const void *bytes, size_t size)
{
    (void) send(fd, bytes, size, MSG_NOSIGNAL); //  may be reset already: that is an answer, too
}

//  ZMTP 3.0: greeting with mechanism NULL, and the READY of a DEALER.
static void
s_greet(int fd)
{
    uint8_t greeting[64] = {0xFF, [9] = 0x7F, 3, 0, 'N', 'U', 'L', 'L'};
    static const uint8_t ready[] = "\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06"
                                   "DEALER";
    s_say(fd, greeting, sizeof greeting);
    s_say(fd, ready, sizeof ready - 1);
}

static void
test_junk_on_the_port_harms_nobody(void **state)
{
    static uint8_t junk[65536];
    uint64_t random = 1;
    (void) state;
    for (int round = 0; round < 20; round++) {
        for (size_t at = 0; at < sizeof junk; at++) {
            junk[at] = (uint8_t) wire_random(&random);
        }
        int fd = s_connect();
        s_say(fd, junk, sizeof junk >> (round % 16));
        garbage_serve();
        (void) close(fd);
    }
    static const char request[] = "GET / HTTP/1.1\r\nHost: relay\r\n\r\n";
    int fd = s_connect();
    s_say(fd, request, sizeof request - 1);
    garbage_serve();
    (void) close(fd);
    garbage_assert_memory();
}

static void
test_junk_behind_a_greeting_harms_nobody(void **state)
{
    //  A frame of 2^63-1 bytes, one with all lengths set, a command that is none, flags that mean
    //  nothing.
    static const struct {
        const char *bytes;
        size_t size;
    } junk[] = {{"\x02\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
                {"\x02\xff\xff\xff\xff\xff\xff\xff\xff", 9},
                {"\x06\xff\xff\xff\xff\xff\xff\xff\xff", 9},
                {"\x04\x05\xff\x00\x00\x00\x00", 7},
                {"\xff\xff\xff\xff\xff\xff\xff\xff", 8}};
    (void) state;
    for (size_t index = 0; index < sizeof junk / sizeof junk[0]; index++) {
        int fd = s_connect();
        s_greet(fd);
        s_say(fd, junk[index].bytes, junk[index].size);
        garbage_serve();
        (void) close(fd);
    }
    garbage_assert_memory();
}

static void
test_links_that_say_nothing_harm_nobody(void **state)
{
    int fds[200];
    (void) state;
    for (size_t index = 0; index < 200; index++) {
        fds[index] = s_connect();
        if (index % 2 == 0) {
            s_say(fds[index], "\xff\x00\x00", 3);
        }
    }
    garbage_serve();
    for (size_t index = 0; index < 200; index++) {
        (void) close(fds[index]);
    }
    garbage_serve();
}

//  -- Frames --------------------------------------------------------------------------------------

//  Header and map of a control frame into bytes; returns their size.
static size_t
s_control(uint8_t *bytes, uint8_t version, uint8_t type, uint32_t handle, const void *map,
          size_t map_size)
{
    memset(bytes, 0, YAMI_FRAME_HEADER_SIZE);
    yami_put_u32(bytes, YAMI_FRAME_MAGIC);
    bytes[4] = version;
    bytes[5] = type;
    yami_put_u32(bytes + 8, handle);
    yami_put_u32(bytes + 12, (uint32_t) map_size);
    if (map_size > 0) {
        memcpy(bytes + YAMI_FRAME_HEADER_SIZE, map, map_size);
    }
    return YAMI_FRAME_HEADER_SIZE + map_size;
}

typedef struct {
    const char *what;
    uint8_t version, type;
    uint32_t handle;
    const char *map;
    size_t map_size;
    yam_status_t status;
} s_case_t;

#define MAP(text) text, sizeof(text) - 1
#define COMMAND                                                                                    \
    "\xa7"                                                                                         \
    "command"                                                                                      \
    "\xa4"                                                                                         \
    "stat"
#define SERIAL                                                                                     \
    "\xa6"                                                                                         \
    "serial"

static const s_case_t s_cases[] = {
    {"another version", 2, YAMI_FRAME_HEARTBEAT, 0, MAP("\x80"), YAM_STATUS_VERSION},
    {"version 0", 0, YAMI_FRAME_HEARTBEAT, 0, MAP("\x80"), YAM_STATUS_VERSION},
    {"an unknown command", 1, 200, 0, MAP("\x80"), YAM_STATUS_UNKNOWN},
    {"command 0", 1, 0, 0, MAP("\x80"), YAM_STATUS_UNKNOWN},
    {"no map", 1, YAMI_FRAME_HEARTBEAT, 0, MAP(""), YAM_STATUS_MALFORMED},
    {"an array instead of the map", 1, YAMI_FRAME_HEARTBEAT, 0, MAP("\x90"), YAM_STATUS_MALFORMED},
    {"a byte that msgpack never uses", 1, YAMI_FRAME_HEARTBEAT, 0, MAP("\xc1"),
     YAM_STATUS_MALFORMED},
    {"bytes behind the map", 1, YAMI_FRAME_HEARTBEAT, 0, MAP("\x80\x80"), YAM_STATUS_MALFORMED},
    {"a map of 4294967295 pairs", 1, YAMI_FRAME_ADMIN, 0, MAP("\xdf\xff\xff\xff\xff"),
     YAM_STATUS_MALFORMED},
    {"a text of 4 GiB", 1, YAMI_FRAME_ADMIN, 0,
     MAP("\x82" SERIAL "\x01\xa7"
         "command"
         "\xdb\xff\xff\xff\xff"),
     YAM_STATUS_MALFORMED},
    {"a bin of 4 GiB under an unknown key", 1, YAMI_FRAME_HEARTBEAT, 0,
     MAP("\x81\xa1x\xc6\xff\xff\xff\xff"), YAM_STATUS_MALFORMED},
    {"an array of 4294967295", 1, YAMI_FRAME_ACK, 7,
     MAP("\x82" SERIAL "\x01\xa6ranges\xdd\xff\xff\xff\xff"), YAM_STATUS_MALFORMED},
    {"an extension of 4 GiB", 1, YAMI_FRAME_HEARTBEAT, 0, MAP("\x81\xa1x\xc9\xff\xff\xff\xff\x01"),
     YAM_STATUS_MALFORMED},
    {"nine levels", 1, YAMI_FRAME_HEARTBEAT, 0,
     MAP("\x81\xa1x\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01"), YAM_STATUS_MALFORMED},
    {"a key twice", 1, YAMI_FRAME_ADMIN, 0, MAP("\x83" SERIAL "\x01" SERIAL "\x02" COMMAND),
     YAM_STATUS_MALFORMED},
    {"a text for a number", 1, YAMI_FRAME_ADMIN, 0,
     MAP("\x82" SERIAL "\xa1"
         "1" COMMAND),
     YAM_STATUS_MALFORMED},
    {"a negative number", 1, YAMI_FRAME_ADMIN, 0, MAP("\x82" SERIAL "\xff" COMMAND),
     YAM_STATUS_MALFORMED},
    {"a number out of range", 1, YAMI_FRAME_ADMIN, 0, MAP("\x82" SERIAL "\x00" COMMAND),
     YAM_STATUS_MALFORMED},
    {"a required field missing", 1, YAMI_FRAME_ADMIN, 0, MAP("\x81" COMMAND), YAM_STATUS_MALFORMED},
    {"no handle where one must be", 1, YAMI_FRAME_DETACH, 0, MAP("\x80"), YAM_STATUS_MALFORMED},
    {"a handle where none may be", 1, YAMI_FRAME_HEARTBEAT, 9, MAP("\x80"), YAM_STATUS_MALFORMED},
    {"an empty name", 1, YAMI_FRAME_ATTACH, 9,
     MAP("\x83\xa4role\x02\xa4kind\x01\xa7"
         "channel"
         "\xa0"),
     YAM_STATUS_MALFORMED},
    {"a range that ends before it begins", 1, YAMI_FRAME_ACK, 7,
     MAP("\x82" SERIAL "\x01\xa6ranges\x93\x01\x05\x04"), YAM_STATUS_MALFORMED},
    {"two thirds of a range", 1, YAMI_FRAME_ACK, 7, MAP("\x82" SERIAL "\x01\xa6ranges\x92\x01\x05"),
     YAM_STATUS_MALFORMED},
    {"a handle nobody attached", 1, YAMI_FRAME_ACK, 7,
     MAP("\x82" SERIAL "\x01\xa6ranges\x93\x01\x05\x05"), YAM_STATUS_UNKNOWN},
};

static void
test_malformed_frames_are_answered_with_their_status(void **state)
{
    uint8_t bytes[512];
    (void) state;
    for (size_t index = 0; index < sizeof s_cases / sizeof s_cases[0]; index++) {
        const s_case_t *the = &s_cases[index];
        raw_link_t link;
        garbage_open(&link);
        size_t size =
            s_control(bytes, the->version, the->type, the->handle, the->map, the->map_size);
        raw_link_send(&link, bytes, size);
        garbage_expect(&link, the->what, YAMI_FRAME_ERROR, the->status);
        garbage_serve();
        raw_link_close(&link);
    }
    garbage_assert_memory();
}

static void
test_headers_that_lie_are_malformed(void **state)
{
    static const struct {
        size_t offset;
        uint8_t value;
    } lies[] = {{0, 'X'}, {6, 1}, {7, 1}, {12, 0}, {12, 2}, {15, 0xFF}};
    uint8_t bytes[64];
    raw_link_t link;
    (void) state;
    garbage_open(&link);
    for (size_t index = 0; index < sizeof lies / sizeof lies[0]; index++) {
        size_t size = s_control(bytes, 1, YAMI_FRAME_HEARTBEAT, 0, "\x80", 1);
        bytes[lies[index].offset] = lies[index].value;
        raw_link_send(&link, bytes, size);
        garbage_expect(&link, "a lie", YAMI_FRAME_ERROR, YAM_STATUS_MALFORMED);
    }
    for (size_t size = 0; size < YAMI_FRAME_HEADER_SIZE; size += 5) {
        raw_link_send(&link, bytes, size);
        garbage_expect(&link, "a piece of a header", YAMI_FRAME_ERROR, YAM_STATUS_MALFORMED);
    }
    raw_link_close(&link);
    garbage_serve();
}

static void
test_unknown_fields_are_skipped(void **state)
{
    //  A map, a list, a float, nil and an extension under keys of another time; and an answer all
    //  the same.
    static const char map[] = "\x87\xa1"
                              "a"
                              "\x82\x01\x02\x03\x93\xc0\xc2\xc3\xa1"
                              "b"
                              "\xcb\x40\x09\x21\xfb\x54\x44\x2d\x18"
                              "\xa1"
                              "c"
                              "\xc0\xa1"
                              "d"
                              "\xd4\x05\x06\xa5"
                              "token"
                              "\xa1?" SERIAL "\x2a" COMMAND;
    uint8_t bytes[256];
    yami_frame_t reply;
    raw_link_t link;
    (void) state;
    garbage_open(&link);
    raw_link_send(&link, bytes, s_control(bytes, 1, YAMI_FRAME_ADMIN, 0, map, sizeof map - 1));
    assert_true(raw_link_expect(&link, 0, &reply, GARBAGE_PATIENCE_MS));
    assert_int_equal(reply.type, YAMI_FRAME_REPLY);
    assert_int_equal(reply.serial, 42);
    assert_int_equal(reply.status, YAM_STATUS_OK);
    raw_link_close(&link);
}

static bool
s_is_from_client(uint8_t type)
{
    return type == YAMI_FRAME_ATTACH || type == YAMI_FRAME_DETACH || type == YAMI_FRAME_CREDIT ||
           (type >= YAMI_FRAME_ACK && type <= YAMI_FRAME_RELEASE) || type == YAMI_FRAME_HEARTBEAT ||
           type == YAMI_FRAME_ADMIN;
}

static void
test_frames_before_hello_are_told_to_greet(void **state)
{
    (void) state;
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        const wire_frame_sample_t *sample = &wire_frame_samples[index];
        if (s_is_from_client(sample->frame.type)) {
            raw_link_t link;
            raw_link_open(&link, garbage_relay.endpoint);
            raw_link_send_frame(&link, &sample->frame);
            garbage_expect(&link, sample->name, YAMI_FRAME_ERROR, YAM_STATUS_NO_SESSION);
            raw_link_close(&link);
        }
    }
    garbage_serve();
}

static void
test_messages_of_several_parts_are_malformed(void **state)
{
    static const int part_counts[] = {2, 3, YAMI_LIMIT_PARTS}; //  more end the link
    uint8_t bytes[64];
    raw_link_t link;
    (void) state;
    garbage_open(&link);
    size_t size = s_control(bytes, 1, YAMI_FRAME_HEARTBEAT, 0, "\x80", 1);
    for (size_t index = 0; index < 3; index++) {
        for (int part = 1; part < part_counts[index]; part++) {
            raw_link_send_part(&link, bytes, size);
        }
        raw_link_send(&link, bytes, size);
        garbage_expect(&link, "several parts", YAMI_FRAME_ERROR, YAM_STATUS_MALFORMED);
    }
    raw_link_send_part(&link, "", 0); //  as a REQ socket would
    raw_link_send(&link, bytes, size);
    garbage_expect(&link, "an empty delimiter", YAMI_FRAME_ERROR, YAM_STATUS_MALFORMED);
    raw_link_close(&link);
    garbage_serve();
}

//  Every truncation of every frame: as it is, and with a header that says so.
static void
test_truncated_frames_are_malformed(void **state)
{
    raw_link_t link;
    unsigned errors = 0;
    (void) state;
    garbage_open(&link);
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        uint8_t bytes[1024];
        yami_block_t *block = yami_frame_encode(&wire_frame_samples[index].frame);
        assert_true(block->size <= sizeof bytes);
        for (size_t size = YAMI_FRAME_HEADER_SIZE; size < block->size; size++) {
            memcpy(bytes, block->data, size);
            if (errors % 2 == 0) {
                yami_put_u32(bytes + 12, (uint32_t) size - YAMI_FRAME_HEADER_SIZE);
            }
            raw_link_send(&link, bytes, size);
            garbage_expect(&link, wire_frame_samples[index].name, YAMI_FRAME_ERROR,
                           YAM_STATUS_MALFORMED);
            if (++errors % ERRORS_PER_LINK == 0) {
                raw_link_close(&link);
                garbage_open(&link);
            }
        }
        yami_block_unref(&block);
    }
    raw_link_close(&link);
    garbage_serve();
    garbage_assert_memory();
}

static void
test_oversized_frames_are_refused(void **state)
{
    size_t limit = YAMI_LIMIT_FRAME + 1;
    uint8_t *bytes = calloc(1, limit);
    yami_frame_t frame;
    raw_link_t link;
    (void) state;
    garbage_open(&link);
    size_t map_size = YAMI_LIMIT_CONTROL + 1;
    (void) s_control(bytes, 1, YAMI_FRAME_HEARTBEAT, 0, "\x81\xa1x\xc6\x00\x01", 6);
    yami_put_u32(bytes + 12, (uint32_t) map_size);
    raw_link_send(&link, bytes, YAMI_FRAME_HEADER_SIZE + map_size);
    assert_true(raw_link_expect(&link, YAMI_FRAME_ERROR, &frame, GARBAGE_PATIENCE_MS));
    assert_true(frame.status == YAM_STATUS_TOO_BIG || frame.status == YAM_STATUS_MALFORMED);
    //  Larger than any frame: the transport ends the link, before anything is allocated for it.
    memset(bytes, 'x', limit);
    for (int round = 0; round < 5; round++) {
        raw_link_send(&link, bytes, limit);
        garbage_serve();
        raw_link_close(&link);
        garbage_open(&link);
    }
    raw_link_close(&link);
    free(bytes);
    garbage_assert_memory();
}

//  The last one, since nobody takes that message.
static void
test_check_sees_a_relay_that_serves_nobody(void **state)
{
    (void) state;
    siginfo_t stopped;
    assert_int_equal(kill(garbage_relay.child.pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t) garbage_relay.child.pid, &stopped, WSTOPPED), 0);
    bool is_confirmed = garbage_is_confirmed(100);
    assert_int_equal(kill(garbage_relay.child.pid, SIGCONT), 0);
    assert_false(is_confirmed);
    assert_true(garbage_is_confirmed(GARBAGE_PATIENCE_MS));
}

int
main(void)
{
    (void) signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_junk_on_the_port_harms_nobody),
        cmocka_unit_test(test_junk_behind_a_greeting_harms_nobody),
        cmocka_unit_test(test_links_that_say_nothing_harm_nobody),
        cmocka_unit_test(test_malformed_frames_are_answered_with_their_status),
        cmocka_unit_test(test_headers_that_lie_are_malformed),
        cmocka_unit_test(test_unknown_fields_are_skipped),
        cmocka_unit_test(test_frames_before_hello_are_told_to_greet),
        cmocka_unit_test(test_messages_of_several_parts_are_malformed),
        cmocka_unit_test(test_truncated_frames_are_malformed),
        cmocka_unit_test(test_oversized_frames_are_refused),
        cmocka_unit_test(test_check_sees_a_relay_that_serves_nobody),
    };
    return cmocka_run_group_tests(tests, garbage_setup, garbage_teardown);
}
