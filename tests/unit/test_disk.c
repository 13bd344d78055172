//  The real directory: files, the lock, and what it says when it cannot.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_disk.h"
#include "yami_segment_log.h"

#define NOBODY 65534

static int
s_make_directory(void **state)
{
    char path[] = "/tmp/yam-test-disk-XXXXXX";
    assert_non_null(mkdtemp(path));
    *state = yami_strdup(path);
    return 0;
}

static int
s_remove_directory(void **state)
{
    char command[128];
    (void) snprintf(command, sizeof command, "rm -rf '%s'", (char *) *state);
    assert_int_equal(system(command), 0);
    yami_free(*state);
    return 0;
}

static void
s_count(void *arg, const char *name)
{
    *(int *) arg += strcmp(name, "one") == 0 || strcmp(name, "two") == 0;
}

static void
test_file_is_written_read_renamed_and_removed(void **state)
{
    yami_disk_t *disk = yami_disk_open(*state, false);
    assert_non_null(disk);
    int file = disk->open(disk, "one", true, false);
    assert_true(file >= 0);
    assert_int_equal(disk->open(disk, "one", true, false), -1);
    assert_int_equal(errno, EEXIST);
    char hello[] = "hello ";
    char world[] = "world";
    struct iovec vector[2] = {{.iov_base = hello, .iov_len = 6}, {.iov_base = world, .iov_len = 5}};
    assert_int_equal(yami_disk_write(disk, file, vector, 2, 4), 0);
    assert_int_equal(disk->sync_data(disk, file), 0);
    assert_int_equal(disk->size(disk, file), 15);
    char bytes[32];
    assert_int_equal(yami_disk_read(disk, file, bytes, sizeof bytes, 4), 11); //  up to the end
    assert_memory_equal(bytes, "hello world", 11);
    assert_int_equal(disk->truncate(disk, file, 9), 0);
    assert_int_equal(disk->sync_file(disk, file), 0);
    assert_int_equal(disk->size(disk, file), 9);
    assert_int_equal(disk->close(disk, file), 0);
    assert_int_equal(disk->rename(disk, "one", "two"), 0);
    assert_int_equal(disk->sync_directory(disk), 0);
    int count = 0;
    assert_int_equal(disk->list(disk, s_count, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(disk->remove(disk, "two"), 0);
    assert_int_equal(disk->open(disk, "two", false, true), -1);
    assert_int_equal(errno, ENOENT);
    assert_true(disk->free_bytes(disk) > 0);
    disk->destroy(&disk);
}

static void
test_missing_directory_is_made_for_its_owner_only(void **state)
{
    char path[128];
    (void) snprintf(path, sizeof path, "%s/new", (char *) *state);
    assert_null(yami_disk_open(path, true));
    assert_int_equal(errno, ENOENT);
    yami_disk_t *disk = yami_disk_open(path, false);
    assert_non_null(disk);
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    disk->destroy(&disk);
}

static void
test_second_owner_is_refused_naming_the_first(void **state)
{
    yami_disk_t *first = yami_disk_open(*state, false);
    assert_non_null(first);
    assert_null(yami_disk_open(*state, false));
    assert_int_equal(errno, EWOULDBLOCK);
    char expected[256];
    (void) snprintf(expected, sizeof expected,
                    "cannot open store %s: locked by process %ld (stop it, or give another "
                    "directory)",
                    (char *) *state, (long) getpid());
    assert_string_equal(yam_error(), expected);
    yami_disk_t *reader = yami_disk_open(*state, true); //  reading needs no lock
    assert_non_null(reader);
    reader->destroy(&reader);
    first->destroy(&first);
    yami_disk_t *next = yami_disk_open(*state, false); //  the lock went with its owner
    assert_non_null(next);
    next->destroy(&next);
}

static void
test_child_that_lives_on_does_not_keep_the_lock(void **state)
{
    int there[2];
    int told[2];
    char byte = 0;
    yami_disk_t *disk = yami_disk_open(*state, false);
    assert_non_null(disk);
    assert_int_equal(pipe(there), 0);
    assert_int_equal(pipe(told), 0);
    pid_t child = fork();
    if (child == 0) {
        (void) close(told[1]);
        bool is_well = write(there[1], &byte, 1) == 1 && read(told[0], &byte, 1) == 0;
        disk->destroy(&disk); //  it may, and changes nothing
        _exit(is_well ? 0 : 1);
    }
    assert_int_not_equal(child, -1);
    assert_int_equal(read(there[0], &byte, 1), 1);
    assert_null(yami_disk_open(*state, false)); //  its owner has it, as before
    assert_int_equal(errno, EWOULDBLOCK);
    disk->destroy(&disk);
    disk = yami_disk_open(*state, false); //  as after the end of a process whose child lives on
    assert_non_null(disk);
    int status;
    (void) close(told[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_null(yami_disk_open(*state, false));
    disk->destroy(&disk);
    (void) close(told[0]);
    (void) close(there[0]);
    (void) close(there[1]);
}

static void
test_directory_that_cannot_be_written_is_named(void **state)
{
    assert_int_equal(chmod(*state, 0555), 0);
    bool is_root = geteuid() == 0;
    if (is_root) {
        assert_int_equal(seteuid(NOBODY), 0);
    }
    yami_disk_t *disk = yami_disk_open(*state, false);
    int error = errno;
    if (is_root) {
        assert_int_equal(seteuid(0), 0);
    }
    assert_int_equal(chmod(*state, 0700), 0);
    assert_null(disk);
    assert_int_equal(error, EACCES);
    assert_non_null(strstr(yam_error(), *state));
    assert_non_null(strstr(yam_error(), "Permission denied"));
}

static void
test_path_that_is_no_directory_is_named(void **state)
{
    char path[128];
    (void) snprintf(path, sizeof path, "%s/file", (char *) *state);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_null(yami_disk_open(path, false));
    assert_int_equal(errno, ENOTDIR);
    assert_non_null(strstr(yam_error(), path));
}

//  A log on the real disk is closed, verified by a reader, and opened again.
static int
s_count_entry(void *arg, const yami_entry_t *entry)
{
    (void) entry;
    (*(int *) arg)++;
    return 0;
}

static void
test_log_on_a_real_directory_survives_reopening(void **state)
{
    yami_log_options_t options;
    yami_log_options_init(&options);
    options.segment_bytes = 64 << 10;
    for (int round = 0; round < 3; round++) {
        int count = 0;
        yami_store_t *store = yami_segment_log_open(yami_disk_open(*state, false), &options,
                                                    s_count_entry, NULL, &count);
        assert_non_null(store);
        assert_int_equal(count, round * 50);
        yami_block_t *data = yami_block_copy("some data", 9, 9);
        for (uint64_t sequence = 1; sequence <= 50; sequence++) {
            yami_entry_t entry = {.kind = 18,
                                  .channel = 1,
                                  .base = (uint64_t) round * 50 + sequence,
                                  .count = 1,
                                  .data = data};
            assert_int_equal(store->ops->append(store, &entry), 0);
        }
        yami_block_unref(&data);
        assert_int_equal(store->ops->close(&store), 0);
    }
    int count = 0;
    yami_disk_t *disk = yami_disk_open(*state, true);
    assert_int_equal(yami_segment_log_verify(disk, s_count_entry, NULL, &count), 0);
    assert_int_equal(count, 150);
    disk->destroy(&disk);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file_is_written_read_renamed_and_removed,
                                        s_make_directory, s_remove_directory),
        cmocka_unit_test_setup_teardown(test_missing_directory_is_made_for_its_owner_only,
                                        s_make_directory, s_remove_directory),
        cmocka_unit_test_setup_teardown(test_second_owner_is_refused_naming_the_first,
                                        s_make_directory, s_remove_directory),
        cmocka_unit_test_setup_teardown(test_child_that_lives_on_does_not_keep_the_lock,
                                        s_make_directory, s_remove_directory),
        cmocka_unit_test_setup_teardown(test_directory_that_cannot_be_written_is_named,
                                        s_make_directory, s_remove_directory),
        cmocka_unit_test_setup_teardown(test_path_that_is_no_directory_is_named, s_make_directory,
                                        s_remove_directory),
        cmocka_unit_test_setup_teardown(test_log_on_a_real_directory_survives_reopening,
                                        s_make_directory, s_remove_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
