//  F5: a disk that fills up: senders are refused with the reason and keep their messages, consumers
//  drain, sending goes on by itself, nothing confirmed is lost. Also a disk that may only be read.
//  Needs root, for file systems of its own in a mount namespace that goes with the test; skipped
//  otherwise.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "harness/raw_link.h"
#include "harness/relay_process.h"
#include "yam.h"
#include "yam_admin.h"

#define PATIENCE_MS 30000
#define QUIET_MS 100 //  between looks at the depth when nothing comes
#define SKIPPED 77
#define BODY_SIZE 60000
#define FEW 20

typedef struct {
    relay_process_t relay;
    yam_t *yam;
    yam_push_t *push; //  its messages wait while the disk is full
    yam_pull_t *pull;
    yam_pull_t *pull_few;
    raw_link_t link; //  hears every refusal
    uint32_t epoch;
} s_scene_t;

static const yami_id_t s_producer = {"disk-full"};
static uint8_t s_body[BODY_SIZE];

//  -- File systems --------------------------------------------------------------------------------

//  Why this test may not mount at all, or NULL.
static const char *
s_wants_to_mount(void)
{
    if (geteuid() != 0) {
        return "needs root, to mount file systems of its own";
    }
    bool may_mount =
        unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return may_mount ? NULL : "needs a mount namespace of its own";
}

static void
s_mount_tmpfs(const char *path, const char *size)
{
    char options[32];
    (void) snprintf(options, sizeof options, "size=%s", size);
    assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, options), 0);
}

//  An ext4 in a file, as on real disks. False where that cannot be.
static bool
s_mount_ext4(const char *path, const char *size)
{
    char command[1200], text[2000];
    (void) snprintf(command, sizeof command,
                    "mkdir -p %s && truncate -s %s %s.image && mkfs.ext4 -q -F -m 0 %s.image && "
                    "mount -o loop %s.image %s",
                    path, size, path, path, path, path);
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    int code = child_run(argv, text, sizeof text);
    if (code != 0) {
        text[strcspn(text, "\n")] = '\0';
        print_message("# needs an ext4 in a file: %s\n", text);
    }
    return code == 0;
}

static void
s_write_ballast(const char *path, size_t size)
{
    char *zeros = calloc(1, 1 << 20);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (size_t done = 0; done < size; done += 1 << 20) {
        if (write(fd, zeros, 1 << 20) <= 0) {
            break; //  full, as it should be
        }
    }
    (void) close(fd);
    free(zeros);
}

//  -- Publishing and consuming --------------------------------------------------------------------

static void
s_make_body(uint64_t number)
{
    memset(s_body, (int) (number * 31 & 0xFF), sizeof s_body);
    memcpy(s_body, &number, sizeof number);
}

//  Publishes until the relay refuses; returns the last number that was confirmed, and why in
//  *status_p.
static uint64_t
s_publish_until_refused(raw_link_t *link, uint32_t epoch, uint64_t from, uint64_t limit,
                        yam_status_t *status_p)
{
    uint64_t number = from;
    for (*status_p = YAM_STATUS_OK; number <= limit; number++) {
        s_make_body(number);
        *status_p = raw_link_publish(link, 1, &s_producer, epoch, number, s_body, sizeof s_body);
        if (*status_p != YAM_STATUS_OK) {
            break;
        }
    }
    return number - 1;
}

//  Takes all that is in the queue, until the relay has nothing left: messages first..last as they
//  were, at least once (again, when a session ended before their acks were durable). How many were
//  not there.
static uint64_t
s_take_all(s_scene_t *self, uint64_t first, uint64_t last)
{
    bool *received = calloc(last + 1, sizeof *received);
    yam_admin_t *admin = yam_admin_new(self->yam, self->relay.endpoint);
    yam_admin_request_t request = {.command = "stat", .channel = "many"};
    assert_true(received && admin);
    for (int64_t left = 1; left > 0;) {
        yam_message_t *message = yam_pull_recv(self->pull, QUIET_MS);
        if (!message) {
            (void) yam_pull_flush(self->pull, PATIENCE_MS);
            assert_int_equal(yam_admin_call(admin, &request), 0);
            left = yam_admin_number(admin, 0, "messages");
            continue;
        }
        uint64_t number = 0;
        memcpy(&number, yam_message_body(message), sizeof number);
        assert_true(number >= first && number <= last);
        s_make_body(number);
        assert_int_equal(yam_message_size(message), sizeof s_body);
        assert_memory_equal(yam_message_body(message), s_body, sizeof s_body);
        received[number] = true;
        (void) yam_pull_ack(self->pull, &message);
    }
    uint64_t missing = 0;
    for (uint64_t number = first; number <= last; number++) {
        missing += !received[number];
    }
    yam_admin_destroy(&admin);
    free(received);
    return missing;
}

static void
s_drain(s_scene_t *self, uint64_t first, uint64_t last)
{
    assert_int_equal(s_take_all(self, first, last), 0);
}

//  Messages of the waiting sender, which come when there is room again.
static void
s_drain_few(yam_pull_t *pull)
{
    for (uint64_t number = 0; number < FEW; number++) {
        yam_message_t *message = yam_pull_recv(pull, PATIENCE_MS);
        assert_non_null(message);
        assert_int_equal(yam_message_size(message), sizeof number);
        assert_memory_equal(yam_message_body(message), &number, sizeof number);
        assert_int_equal(yam_pull_ack(pull, &message), 0);
    }
    assert_int_equal(yam_pull_flush(pull, PATIENCE_MS), 0);
}

static void
s_open(s_scene_t *self, const char *mounted, const char *reserve)
{
    const char *options[] = {"--segment-size", "1M",    "--reserve", reserve,
                             "--linger",       "200ms", NULL};
    char endpoint[200];
    yami_frame_t attached;
    relay_process_init(&self->relay, "full");
    (void) snprintf(self->relay.store, sizeof self->relay.store, "%s/store", mounted);
    memcpy(self->relay.options, options, sizeof options);
    assert_true(relay_process_start(&self->relay));
    (void) snprintf(endpoint, sizeof endpoint, ">%s?grade=sure", self->relay.endpoint);
    self->yam = yam_new();
    self->push = yam_push_new(self->yam, "few", endpoint);
    self->pull_few = yam_pull_new(self->yam, "few", endpoint);
    self->pull = yam_pull_new(self->yam, "many", endpoint);
    assert_true(self->push && self->pull && self->pull_few);
    raw_link_open(&self->link, self->relay.endpoint);
    assert_true(raw_link_hello(&self->link));
    assert_true(raw_link_produce(&self->link, 1, "many", &s_producer, &attached));
    self->epoch = (uint32_t) attached.epoch;
}

static void
s_close(s_scene_t *self)
{
    raw_link_close(&self->link);
    yam_pull_destroy(&self->pull);
    yam_pull_destroy(&self->pull_few);
    yam_push_destroy(&self->push);
    yam_destroy(&self->yam);
    assert_int_equal(relay_process_stop(&self->relay), 0);
    char text[2000];
    const char *argv[] = {child_program("yam"), "verify", self->relay.store, NULL};
    int code = child_run(argv, text, sizeof text);
    if (code != 0) {
        fail_msg("verify: %s", text);
    }
}

//  Messages that go nowhere now, and stay their sender's.
static void
s_send_few(s_scene_t *self)
{
    for (uint64_t number = 0; number < FEW; number++) {
        assert_int_equal(yam_push_send(self->push, &number, sizeof number), 0);
    }
}

//  -- Cases ---------------------------------------------------------------------------------------

static void
s_fill_to_the_brim(const char *mounted)
{
    s_scene_t scene;
    yam_status_t status = YAM_STATUS_OK;
    s_open(&scene, mounted, "0");
    uint64_t last = s_publish_until_refused(&scene.link, scene.epoch, 1, 2000, &status);
    assert_int_equal(status, YAM_STATUS_DISK);
    assert_true(last > 100);
    s_send_few(&scene);
    assert_int_equal(
        raw_link_publish(&scene.link, 1, &s_producer, scene.epoch, last + 1, s_body, sizeof s_body),
        YAM_STATUS_DISK);
    yam_push_stats_t stats;
    yam_push_stats(scene.push, &stats);
    assert_int_equal(stats.confirmed, 0);
    assert_int_equal(stats.refused, 0);
    s_drain(&scene, 1, last);
    assert_int_equal(yam_push_flush(scene.push, PATIENCE_MS), 0); //  by itself
    s_drain_few(scene.pull_few);
    uint64_t again =
        s_publish_until_refused(&scene.link, scene.epoch, last + 1, last + 20, &status);
    assert_int_equal(status, YAM_STATUS_OK);
    s_drain(&scene, last + 1, again);
    s_close(&scene);
}

static void
test_full_tmpfs_refuses_drains_and_goes_on(void **state)
{
    char path[300];
    (void) state;
    (void) snprintf(path, sizeof path, "%s/tmpfs", child_folder());
    s_mount_tmpfs(path, "24M");
    s_fill_to_the_brim(path);
    (void) umount2(path, MNT_DETACH);
}

static void
test_full_ext4_refuses_drains_and_goes_on(void **state)
{
    char path[300];
    (void) state;
    (void) snprintf(path, sizeof path, "%s/ext4", child_folder());
    if (!s_mount_ext4(path, "32M")) {
        skip();
    }
    s_fill_to_the_brim(path);
    (void) umount2(path, MNT_DETACH);
}

//  Full while it is dead: it starts all the same, and what it had confirmed is there.
static void
test_restart_on_a_full_disk_serves_consumers(void **state)
{
    char path[300];
    s_scene_t scene;
    yam_status_t status = YAM_STATUS_OK;
    (void) state;
    (void) snprintf(path, sizeof path, "%s/restart", child_folder());
    s_mount_tmpfs(path, "24M");
    s_open(&scene, path, "0");
    uint64_t last = s_publish_until_refused(&scene.link, scene.epoch, 1, 2000, &status);
    assert_int_equal(status, YAM_STATUS_DISK);
    assert_int_equal(child_kill(&scene.relay.child), 128 + SIGKILL);
    assert_true(relay_process_start(&scene.relay));
    s_drain(&scene, 1, last);
    s_send_few(&scene);
    assert_int_equal(yam_push_flush(scene.push, PATIENCE_MS), 0);
    s_drain_few(scene.pull_few);
    s_close(&scene);
    (void) umount2(path, MNT_DETACH);
}

//  Somebody else fills the disk to below the reserve, and frees it again.
static void
test_reserve_is_kept_free_and_given_back(void **state)
{
    char path[300], ballast[320];
    s_scene_t scene;
    yam_status_t status = YAM_STATUS_OK;
    (void) state;
    (void) snprintf(path, sizeof path, "%s/reserve", child_folder());
    (void) snprintf(ballast, sizeof ballast, "%s/ballast", path);
    s_mount_tmpfs(path, "64M");
    s_open(&scene, path, "16M");
    uint64_t last = s_publish_until_refused(&scene.link, scene.epoch, 1, 50, &status);
    assert_int_equal(status, YAM_STATUS_OK);
    s_write_ballast(ballast, 64U << 20);
    last = s_publish_until_refused(&scene.link, scene.epoch, last + 1, 2000, &status);
    assert_int_equal(status, YAM_STATUS_DISK);
    s_send_few(&scene);
    s_drain(&scene, 1, last);
    (void) unlink(ballast);
    assert_int_equal(yam_push_flush(scene.push, PATIENCE_MS), 0);
    s_drain_few(scene.pull_few);
    s_close(&scene);
    (void) umount2(path, MNT_DETACH);
}

//  -- Read-only -----------------------------------------------------------------------------------

static void
s_assert_refuses_to_start(const char *store, const char *word)
{
    char text[3000];
    const char *argv[] = {
        child_program("yamd"), "--listen", "tcp://127.0.0.1:*", "--store", store, NULL};
    int code = child_run(argv, text, sizeof text);
    if (code != EX_CANTCREAT && code != EX_NOPERM) {
        fail_msg("exit code %d: %s", code, text);
    }
    if (strstr(text, "ready ") || !strstr(text, store) || !strstr(text, word)) {
        fail_msg("not a clear error: %s", text);
    }
}

static void
test_read_only_directory_is_a_clear_error(void **state)
{
    char path[300], store[320];
    s_scene_t scene;
    yam_status_t status = YAM_STATUS_OK;
    (void) state;
    (void) snprintf(path, sizeof path, "%s/read-only", child_folder());
    (void) snprintf(store, sizeof store, "%s/store", path);
    s_mount_tmpfs(path, "24M");
    s_open(&scene, path, "0");
    uint64_t last = s_publish_until_refused(&scene.link, scene.epoch, 1, 20, &status);
    assert_int_equal(relay_process_stop(&scene.relay), 0);
    assert_int_equal(mount(NULL, path, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    s_assert_refuses_to_start(store, "ead-only");
    (void) snprintf(store, sizeof store, "%s/none", path);
    s_assert_refuses_to_start(store, "ead-only");
    //  What it could not open it has not harmed.
    assert_int_equal(mount(NULL, path, NULL, MS_REMOUNT, NULL), 0);
    assert_true(relay_process_start(&scene.relay));
    s_drain(&scene, 1, last);
    s_close(&scene);
    (void) umount2(path, MNT_DETACH);
}

//  One that somebody else took is as good as lost.
static void
test_check_sees_a_message_that_is_lost(void **state)
{
    s_scene_t scene;
    yam_status_t status = YAM_STATUS_OK;
    (void) state;
    s_open(&scene, child_folder(), "0");
    assert_int_equal(s_publish_until_refused(&scene.link, scene.epoch, 1, 3, &status), 3);
    yam_message_t *message = yam_pull_recv(scene.pull, PATIENCE_MS);
    assert_non_null(message);
    assert_int_equal(yam_pull_ack(scene.pull, &message), 0);
    assert_int_equal(yam_pull_flush(scene.pull, PATIENCE_MS), 0);
    assert_int_equal(s_take_all(&scene, 1, 3), 1);
    s_close(&scene);
}

int
main(int argc, char **argv)
{
    (void) signal(SIGPIPE, SIG_IGN);
    if (argc == 2) {
        cmocka_set_test_filter(argv[1]);
    }
    const char *why_not = s_wants_to_mount();
    if (why_not) {
        print_message("# %s\n", why_not);
        return SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_tmpfs_refuses_drains_and_goes_on),
        cmocka_unit_test(test_full_ext4_refuses_drains_and_goes_on),
        cmocka_unit_test(test_restart_on_a_full_disk_serves_consumers),
        cmocka_unit_test(test_reserve_is_kept_free_and_given_back),
        cmocka_unit_test(test_read_only_directory_is_a_clear_error),
        cmocka_unit_test(test_check_sees_a_message_that_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
