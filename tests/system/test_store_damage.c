//  F6: a store damaged while nobody looked: `yam verify` names the range and says so with its exit
//  code, yamd reports it and delivers everything else, as it was and in order. Which messages lie
//  in which file is read from the files themselves beforehand.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "damage/scene.h"
#include "yami_segment_format.h"

//  -- Cases ---------------------------------------------------------------------------------------

static void
test_sound_store_verifies_and_is_delivered(void **state)
{
    relay_process_t relay;
    bool lost[COUNT + 1] = {false}, has_torn_tail = false;
    (void) state;
    damage_copy_store(&relay, "sound");
    assert_int_equal(damage_verify(&relay, damage_middle(), lost, &has_torn_tail), EX_OK);
    damage_assert_serves_the_rest(&relay, lost, 0, 0, false);
    assert_false(relay_process_logged(&relay, "damage"));
}

static void
test_flipped_bit_in_a_message_loses_its_batch_only(void **state)
{
    relay_process_t relay;
    bool lost[COUNT + 1] = {false}, has_torn_tail = false;
    damage_segment_t *segment = damage_middle();
    unsigned number = (segment->first + segment->last) / 2;
    (void) state;
    damage_copy_store(&relay, "flipped");
    damage_change(&relay, segment, segment->offsets[number] + 700, 1, false);
    assert_int_equal(damage_verify(&relay, segment, lost, &has_torn_tail), EX_DATAERR);
    assert_true(lost[number]);
    damage_assert_serves_the_rest(&relay, lost, number - AT_ONCE + 1, number + AT_ONCE - 1, true);
}

static void
test_flipped_bits_at_random_lose_just_what_verify_says(void **state)
{
    const char *given = getenv("YAM_SEED");
    uint64_t random = given ? strtoull(given, NULL, 10) : 20260101;
    (void) state;
    for (unsigned round = 0; round < 10; round++) {
        relay_process_t relay;
        char name[32];
        bool lost[COUNT + 1] = {false}, has_torn_tail = false;
        damage_segment_t *segment = &damage_segments[1 + random % (damage_segment_count - 2)];
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        (void) snprintf(name, sizeof name, "random-%u", round);
        damage_copy_store(&relay, name);
        damage_change(&relay, segment, (long) (random >> 20) % segment->size, 1, false);
        //  A byte behind the footer means nothing and changes nothing.
        int code = damage_verify(&relay, segment, lost, &has_torn_tail);
        assert_true(code == EX_DATAERR || code == EX_OK);
        damage_assert_serves_the_rest(&relay, lost, segment->first, segment->last,
                                      code == EX_DATAERR);
    }
}

static void
test_flipped_bit_in_a_segment_header_loses_nothing_else(void **state)
{
    relay_process_t relay;
    bool lost[COUNT + 1] = {false}, has_torn_tail = false;
    damage_segment_t *segment = damage_middle();
    (void) state;
    damage_copy_store(&relay, "header");
    damage_change(&relay, segment, 20, 1, false);
    assert_int_equal(damage_verify(&relay, segment, lost, &has_torn_tail), EX_DATAERR);
    damage_assert_serves_the_rest(&relay, lost, segment->first, segment->last, true);
}

static void
test_zeroed_page_loses_what_was_on_it(void **state)
{
    relay_process_t relay;
    bool lost[COUNT + 1] = {false}, has_torn_tail = false;
    damage_segment_t *segment = damage_middle();
    unsigned number = segment->first + 10;
    (void) state;
    damage_copy_store(&relay, "zeroed");
    damage_change(&relay, segment, (segment->offsets[number] + 4095) / 4096 * 4096, 4096, true);
    assert_int_equal(damage_verify(&relay, segment, lost, &has_torn_tail), EX_DATAERR);
    damage_assert_serves_the_rest(&relay, lost, number > AT_ONCE ? number - AT_ONCE : 1,
                                  number + 2 * AT_ONCE, true);
}

//  Amid a message, behind the last one, within the trailer. Of the last ones nothing is left, no
//  header and no footer: what is behind tells which are missing.
static void
test_truncated_segment_in_the_middle_is_reported(void **state)
{
    damage_segment_t *segment = damage_middle();
    unsigned number = (segment->first + segment->last) / 2;
    long cuts[] = {segment->offsets[number] + 100, segment->offsets[segment->last] + BODY_SIZE,
                   segment->size - 10};
    (void) state;
    for (size_t cut = 0; cut < sizeof cuts / sizeof *cuts; cut++) {
        relay_process_t relay;
        char path[PATH_SIZE], name[32];
        bool lost[COUNT + 1] = {false}, has_torn_tail = false;
        (void) snprintf(name, sizeof name, "truncated-%zu", cut);
        damage_copy_store(&relay, name);
        damage_path(&relay, segment, path);
        assert_int_equal(truncate(path, cuts[cut]), 0);
        assert_int_equal(damage_verify(&relay, segment, lost, &has_torn_tail), EX_DATAERR);
        assert_int_equal(lost[number] && lost[segment->last], cut == 0);
        unsigned first = cut == 0 ? number - AT_ONCE + 1 : segment->last + 1;
        damage_assert_serves_the_rest(&relay, lost, first, segment->last, true);
    }
}

static void
test_missing_segment_in_the_middle_is_reported(void **state)
{
    relay_process_t relay;
    char path[PATH_SIZE];
    bool lost[COUNT + 1] = {false}, has_torn_tail = false;
    damage_segment_t *segment = damage_middle();
    (void) state;
    damage_copy_store(&relay, "missing");
    damage_path(&relay, segment, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(damage_verify(&relay, segment, lost, &has_torn_tail), EX_DATAERR);
    damage_assert_serves_the_rest(&relay, lost, segment->first, segment->last, true);
}

//  The log ends amid that message: nothing tells of those behind it that they were ever there.
static void
s_end_in(const relay_process_t *relay, const damage_segment_t *segment, unsigned number, bool *lost)
{
    assert_int_equal(number % AT_ONCE, 1); //  the first of its batch: those before are whole
    damage_end_in(relay, segment, number);
    for (; number <= COUNT; number++) {
        lost[number] = true;
    }
}

//  The end of the log may always be a write that a crash interrupted: no damage, and nothing before
//  it is lost. So verify names bytes that are no entries, and no message.
static void
test_cut_at_the_end_loses_only_what_is_behind_it(void **state)
{
    relay_process_t relay;
    bool lost[COUNT + 1] = {false}, named[COUNT + 1] = {false}, has_torn_tail = false;
    damage_segment_t *segment = damage_middle();
    unsigned number = segment->last - (segment->last - 1) % AT_ONCE;
    (void) state;
    assert_true(number > segment->first);
    damage_copy_store(&relay, "cut");
    s_end_in(&relay, segment, number, lost);
    assert_int_equal(damage_verify(&relay, segment, named, &has_torn_tail), EX_OK);
    assert_true(has_torn_tail);
    for (unsigned other = 1; other <= COUNT; other++) {
        assert_false(named[other]);
    }
    damage_assert_serves_the_rest(&relay, lost, number, COUNT, false);
}

//  Nor does a torn end make damage before it part of itself: what follows shows that it was
//  durable.
static void
test_flipped_bit_before_a_torn_end_loses_its_batch_only(void **state)
{
    relay_process_t relay;
    bool lost[COUNT + 1] = {false}, behind[COUNT + 1] = {false}, has_torn_tail = false;
    damage_segment_t *segment = damage_middle();
    unsigned number = segment->first + 1;
    unsigned end = segment->last - (segment->last - 1) % AT_ONCE;
    (void) state;
    assert_true(end > number + 2 * AT_ONCE);
    damage_copy_store(&relay, "flipped-torn");
    s_end_in(&relay, segment, end, behind);
    damage_change(&relay, segment, segment->offsets[number] + 700, 1, false);
    assert_int_equal(damage_verify(&relay, segment, lost, &has_torn_tail), EX_DATAERR);
    assert_true(has_torn_tail && lost[number] && !lost[number + AT_ONCE]);
    for (unsigned other = 1; other <= COUNT; other++) {
        assert_false(lost[other] && behind[other]);
        lost[other] = lost[other] || behind[other];
    }
    damage_assert_serves_the_rest(&relay, lost, 1, COUNT, true);
}

//  -- Not ours to open ----------------------------------------------------------------------------

static void
s_assert_refused(const char *const *argv, int expected, const char *word)
{
    char text[4000];
    int code = child_run(argv, text, sizeof text);
    if (code != expected || !strstr(text, word) || strstr(text, "ready ")) {
        fail_msg("%s: code %d: %s", argv[0], code, text);
    }
}

static void
test_store_of_another_version_is_refused_in_plain_words(void **state)
{
    relay_process_t relay;
    char path[PATH_SIZE];
    (void) state;
    damage_copy_store(&relay, "version");
    for (size_t index = 0; index < damage_segment_count; index++) {
        uint8_t bytes[YAMI_SEGMENT_HEADER_SIZE];
        yami_segment_header_t header;
        damage_path(&relay, &damage_segments[index], path);
        int fd = open(path, O_RDWR | O_CLOEXEC);
        assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
        assert_int_equal(yami_segment_header_decode(bytes, &header), 0);
        header.version += 1;
        yami_segment_header_encode(bytes, &header);
        assert_int_equal(pwrite(fd, bytes, sizeof bytes, 0), sizeof bytes);
        (void) close(fd);
    }
    const char *yamd[] = {child_program("yamd"), "--listen", "tcp://127.0.0.1:*", "--store",
                          relay.store,           NULL};
    s_assert_refused(yamd, EX_DATAERR, "version");
    const char *verify[] = {child_program("yam"), "verify", relay.store, NULL};
    s_assert_refused(verify, EX_DATAERR, "version");
    //  Looking has changed nothing: a relay of that version would find all of it.
    const char *argv[] = {
        "/bin/sh",
        "-c",
        "cd \"$1\" && for f in *.seg; do cmp -s -i 64 $f \"$0\"/$f || exit 1; done",
        damage_origin,
        relay.store,
        NULL};
    assert_int_equal(child_run(argv, NULL, 0), 0);
}

//  Nothing is left of any segment: no new store, and no confirmed message that silently never was.
static void
test_store_without_anything_readable_is_refused(void **state)
{
    static const char *const losses[] = {"rm *.seg", "rm [0-9]*.seg", "truncate -s 0 [0-9]*.seg",
                                         "truncate -s 64 [0-9]*.seg", "truncate -s 100 [0-9]*.seg"};
    (void) state;
    for (size_t loss = 0; loss < sizeof losses / sizeof losses[0]; loss++) {
        relay_process_t relay;
        char name[32], script[100];
        (void) snprintf(name, sizeof name, "nothing-%zu", loss);
        damage_copy_store(&relay, name);
        (void) snprintf(script, sizeof script, "cd \"$0\" && %s", losses[loss]);
        const char *argv[] = {"/bin/sh", "-c", script, relay.store, NULL};
        assert_int_equal(child_run(argv, NULL, 0), 0);
        for (int attempt = 0; attempt < 2; attempt++) { //  looking has changed nothing
            const char *verify[] = {child_program("yam"), "verify", relay.store, NULL};
            s_assert_refused(verify, EX_DATAERR, "segment files can be read");
            const char *yamd[] = {child_program("yamd"), "--listen", "tcp://127.0.0.1:*", "--store",
                                  relay.store,           NULL};
            s_assert_refused(yamd, EX_DATAERR, "segment files can be read");
        }
    }
}

static void
test_second_relay_on_a_directory_is_told_who_has_it(void **state)
{
    relay_process_t relay;
    char holder[32];
    bool received[COUNT + 1] = {false};
    (void) state;
    damage_copy_store(&relay, "second");
    assert_true(relay_process_start(&relay));
    (void) snprintf(holder, sizeof holder, "%d", (int) relay.child.pid);
    const char *yamd[] = {child_program("yamd"), "--listen", "tcp://127.0.0.1:*", "--store",
                          relay.store,           NULL};
    s_assert_refused(yamd, EX_UNAVAILABLE, holder);
    damage_receive(&relay, received); //  the first goes on
    for (unsigned number = 1; number <= COUNT; number++) {
        assert_true(received[number]);
    }
    assert_int_equal(relay_process_stop(&relay), 0);
}

int
main(int argc, char **argv)
{
    if (argc > 1) {
        cmocka_set_test_filter(argv[1]);
    }
    (void) signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sound_store_verifies_and_is_delivered),
        cmocka_unit_test(test_flipped_bit_in_a_message_loses_its_batch_only),
        cmocka_unit_test(test_flipped_bits_at_random_lose_just_what_verify_says),
        cmocka_unit_test(test_flipped_bit_in_a_segment_header_loses_nothing_else),
        cmocka_unit_test(test_zeroed_page_loses_what_was_on_it),
        cmocka_unit_test(test_truncated_segment_in_the_middle_is_reported),
        cmocka_unit_test(test_missing_segment_in_the_middle_is_reported),
        cmocka_unit_test(test_cut_at_the_end_loses_only_what_is_behind_it),
        cmocka_unit_test(test_flipped_bit_before_a_torn_end_loses_its_batch_only),
        cmocka_unit_test(test_store_of_another_version_is_refused_in_plain_words),
        cmocka_unit_test(test_store_without_anything_readable_is_refused),
        cmocka_unit_test(test_second_relay_on_a_directory_is_told_who_has_it),
    };
    return cmocka_run_group_tests(tests, damage_setup, NULL);
}
