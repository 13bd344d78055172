#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "yam.h"
#include "yam_admin.h"
#include "yami_base.h"
#include "yami_segment_format.h"

#define PATIENCE_MS 30000
#define QUIET_MS 50 //  between looks at the depth when nothing comes

char damage_origin[400];
damage_segment_t damage_segments[SEGMENT_LIMIT];
size_t damage_segment_count;

//  -- The store -----------------------------------------------------------------------------------

static size_t
s_make_body(char *body, unsigned number)
{
    int used = snprintf(body, BODY_SIZE, "<message %06u>", number);
    memset(body + used, 'a' + (int) (number % 26), BODY_SIZE - (size_t) used);
    return BODY_SIZE - number % 100;
}

static void
s_open(relay_process_t *relay, const char *name)
{
    static const char *const options[] = {"--segment-size", "64k", "--reserve", "0",
                                          "--heartbeat",    "60s", NULL};
    relay_process_init(relay, name);
    memcpy(relay->options, options, sizeof options);
}

static void
s_publish(const relay_process_t *relay, unsigned at_once)
{
    char endpoint[300], body[BODY_SIZE];
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure&heartbeat=60s&name=writer",
                    relay->endpoint);
    yam_t *yam = yam_new();
    yam_push_t *push = yam_push_new(yam, "letters", endpoint);
    assert_non_null(push);
    for (unsigned number = 1; number <= COUNT; number++) {
        size_t size = s_make_body(body, number);
        assert_int_equal(yam_push_send(push, body, size), 0);
        if (number % at_once == 0) {
            assert_int_equal(yam_push_flush(push, PATIENCE_MS), 0);
        }
    }
    yam_push_destroy(&push);
    yam_destroy(&yam);
}

static char *
s_read_file(const char *folder, const char *name, long *size_p)
{
    char path[PATH_SIZE];
    (void) snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    (void) fseek(file, 0, SEEK_END);
    *size_p = ftell(file);
    rewind(file);
    char *bytes = malloc((size_t) *size_p + 1);
    assert_int_equal(fread(bytes, 1, (size_t) *size_p, file), *size_p);
    (void) fclose(file);
    return bytes;
}

static void
s_note_segment(const char *name)
{
    assert_true(damage_segment_count < SEGMENT_LIMIT);
    damage_segment_t *segment = &damage_segments[damage_segment_count++];
    (void) snprintf(segment->name, sizeof segment->name, "%.63s", name);
    char *bytes = s_read_file(damage_origin, name, &segment->size);
    for (long at = 0; at + 16 < segment->size; at++) {
        if (memcmp(bytes + at, "<message ", 9) == 0) {
            unsigned number = (unsigned) strtoul(bytes + at + 9, NULL, 10);
            segment->first = segment->first == 0 ? number : segment->first;
            segment->last = number;
            segment->offsets[number] = at;
        }
    }
    free(bytes);
}

int
damage_setup(void **state)
{
    relay_process_t relay;
    struct dirent **names;
    (void) state;
    s_open(&relay, "origin");
    if (!relay_process_start(&relay)) {
        return -1;
    }
    s_publish(&relay, AT_ONCE);
    if (relay_process_stop(&relay) != 0) {
        return -1;
    }
    (void) snprintf(damage_origin, sizeof damage_origin, "%s", relay.store);
    int count = scandir(damage_origin, &names, NULL, alphasort);
    for (int index = 0; index < count; index++) {
        uint64_t number;
        if (yami_name_parse(names[index]->d_name, &number) == YAMI_NAME_SEGMENT) {
            s_note_segment(names[index]->d_name);
        }
        free(names[index]);
    }
    free(names);
    return damage_segment_count >= 6 ? 0 : -1;
}

damage_segment_t *
damage_middle(void)
{
    damage_segment_t *segment = &damage_segments[damage_segment_count / 2];
    assert_true(segment->first > AT_ONCE && segment->last > segment->first);
    return segment;
}

//  -- Damage --------------------------------------------------------------------------------------

void
damage_path(const relay_process_t *relay, const damage_segment_t *segment, char *path)
{
    (void) snprintf(path, PATH_SIZE, "%.300s/%.63s", relay->store, segment->name);
}

void
damage_copy_store(relay_process_t *relay, const char *name)
{
    s_open(relay, name);
    const char *argv[] = {"/bin/cp", "-a", damage_origin, relay->store, NULL};
    assert_int_equal(child_run(argv, NULL, 0), 0);
}

void
damage_change(const relay_process_t *relay, const damage_segment_t *segment, long offset,
              size_t size, bool is_zeroed)
{
    char path[PATH_SIZE], byte;
    damage_path(relay, segment, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd != -1);
    for (size_t at = 0; at < size; at++) {
        assert_int_equal(pread(fd, &byte, 1, offset + (long) at), 1);
        byte = is_zeroed ? 0 : (char) (byte ^ 0x10);
        assert_int_equal(pwrite(fd, &byte, 1, offset + (long) at), 1);
    }
    (void) close(fd);
}

void
damage_end_in(const relay_process_t *relay, const damage_segment_t *segment, unsigned number)
{
    char path[PATH_SIZE];
    damage_path(relay, segment, path);
    assert_int_equal(truncate(path, segment->offsets[number] + 100), 0);
    while (++segment < damage_segments + damage_segment_count) {
        damage_path(relay, segment, path);
        assert_int_equal(unlink(path), 0);
    }
}

int
damage_verify(const relay_process_t *relay, const damage_segment_t *segment, bool *lost,
              bool *has_torn_tail_p)
{
    static char text[1 << 20];
    bool is_named = false;
    const char *argv[] = {
        "/bin/sh",    "-c", "exec \"$0\" verify --json \"$1\" 2> /dev/null", child_program("yam"),
        relay->store, NULL};
    uint64_t damaged = strtoull(segment->name, NULL, 16);
    int code = child_run(argv, text, sizeof text);
    json_t *found = json_loads(text, 0, NULL);
    const json_t *rows = json_object_get(found, "damages");
    if (!json_is_array(rows)) {
        fail_msg("verify printed no rows: %s", text);
    }
    for (size_t index = 0; index < json_array_size(rows); index++) {
        const json_t *row = json_array_get(rows, index);
        *has_torn_tail_p |= json_is_true(json_object_get(row, "torn-tail"));
        is_named |= (uint64_t) json_integer_value(json_object_get(row, "segment")) == damaged;
        json_int_t first = json_integer_value(json_object_get(row, "first"));
        json_int_t last = json_integer_value(json_object_get(row, "last"));
        for (json_int_t number = first > 0 ? first : 1; number <= last && number <= COUNT;
             number++) {
            lost[number] = true;
        }
    }
    json_decref(found);
    if (code != 0 && !is_named) {
        fail_msg("verify does not name segment %s: %s", segment->name, text);
    }
    return code;
}

void
damage_receive(const relay_process_t *relay, bool *received)
{
    char endpoint[300], body[BODY_SIZE];
    unsigned previous = 0;
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure&heartbeat=60s", relay->endpoint);
    yam_t *yam = yam_new();
    yam_pull_t *pull = yam_pull_new(yam, "letters", endpoint);
    yam_admin_t *admin = yam_admin_new(yam, relay->endpoint);
    yam_admin_request_t request = {.command = "stat", .channel = "letters"};
    assert_true(pull && admin);
    for (int64_t left = 1; left > 0;) {
        yam_message_t *message = yam_pull_recv(pull, QUIET_MS);
        if (message) {
            unsigned number =
                (unsigned) strtoul((const char *) yam_message_body(message) + 9, NULL, 10);
            assert_true(number > previous && number <= COUNT);
            assert_int_equal(yam_message_size(message), s_make_body(body, number));
            assert_memory_equal(yam_message_body(message), body, yam_message_size(message));
            assert_int_equal(yam_pull_ack(pull, &message), 0);
            received[number] = true;
            previous = number;
        } else {
            assert_int_equal(yam_admin_call(admin, &request), 0);
            left = yam_admin_number(admin, 0, "messages");
        }
    }
    yam_admin_destroy(&admin);
    yam_pull_destroy(&pull);
    yam_destroy(&yam);
}

void
damage_assert_serves_the_rest(relay_process_t *relay, const bool *lost, unsigned first,
                              unsigned last, bool must_report)
{
    bool received[COUNT + 1] = {false};
    assert_true(relay_process_start(relay));
    //  A log as small as this one was read before the relay said that it is ready.
    if (must_report && !relay_process_logged(relay, "store.damaged")) {
        relay_process_print_log(relay);
        fail_msg("yamd did not report the damage");
    }
    damage_receive(relay, received);
    for (unsigned number = 1; number <= COUNT; number++) {
        bool is_near = first <= number && number <= last;
        if (lost[number] && !is_near) {
            fail_msg("message %u is called lost; only %u to %u were damaged", number, first, last);
        }
        if (!received[number] && !lost[number]) {
            fail_msg("message %u is missing, and verify did not say so", number);
        }
        if (received[number] && lost[number]) {
            fail_msg("message %u came, and verify called it lost", number);
        }
    }
    s_publish(relay, COUNT);
    memset(received, 0, sizeof received);
    damage_receive(relay, received);
    for (unsigned number = 1; number <= COUNT; number++) {
        assert_true(received[number]);
    }
    assert_int_equal(relay_process_stop(relay), 0);
}
