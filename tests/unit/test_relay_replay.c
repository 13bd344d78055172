//  Relay core: a journal and a checkpoint that no relay writes are refused, in a sentence. All of
//  these were found by fuzzing (tests/fuzz/fuzz_snapshot.c, fuzz_journal.c): each used to be taken,
//  and to break or hang the relay later.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_relay_parts.h"

typedef struct {
    uint64_t channel; //  its number
    uint64_t first;   //  of the channel
    bool has_group;   //  the queue's own
    bool is_numbered; //  the last number given is not below the channel's
    int64_t due_ms;   //  of a message that failed
    const char *what;
} s_checkpoint_t;

static void
s_write_group(yami_writer_t *writer, const s_checkpoint_t *checkpoint)
{
    yami_writer_t pieces;
    yami_writer_init(&pieces, 4096);
    yami_writer_uint(&pieces, 4);
    yami_writer_uint(&pieces, 1);
    yami_writer_uint(&pieces, 1 << 1 | 1);
    yami_writer_uint(&pieces, 1);
    yami_writer_int(&pieces, checkpoint->due_ms);
    yami_writer_int(&pieces, 0);
    yami_writer_bool(&pieces, false);
    yami_writer_str(&pieces, "");
    yami_writer_array(writer, 6);
    yami_writer_uint(writer, 1);
    yami_writer_uint(writer, checkpoint->channel);
    yami_writer_str(writer, "");
    yami_writer_str(writer, "");
    yami_writer_bin(writer, pieces.data, pieces.size);
    yami_writer_uint(writer, 8);
    yami_writer_clear(&pieces);
}

//  As relay_snapshot.c says: one queue with messages up to 7, of which 4 failed.
static int
s_read(const s_checkpoint_t *checkpoint)
{
    static const yami_relay_options_t options;
    yami_writer_t writer;
    yami_writer_init(&writer, 4096);
    yami_writer_array(&writer, 6);
    yami_writer_uint(&writer, 1);
    yami_writer_uint(&writer, checkpoint->is_numbered ? checkpoint->channel : 0);
    yami_writer_uint(&writer, 1);
    yami_writer_array(&writer, 1);
    yami_writer_array(&writer, 9);
    yami_writer_uint(&writer, checkpoint->channel);
    yami_writer_str(&writer, "orders");
    yami_writer_uint(&writer, YAMI_KIND_QUEUE);
    yami_writer_uint(&writer, checkpoint->first);
    yami_writer_uint(&writer, 8);
    for (int count = 0; count < 3; count++) {
        yami_writer_uint(&writer, 0);
    }
    yami_writer_array(&writer, 0);
    yami_writer_array(&writer, checkpoint->has_group ? 1 : 0);
    if (checkpoint->has_group) {
        s_write_group(&writer, checkpoint);
    }
    yami_writer_array(&writer, 0);
    yami_entry_t entry = {
        .kind = YAMI_ENTRY_CHECKPOINT, .meta = writer.data, .meta_size = writer.size};
    yami_relay_core_t *core = yami_relay_core_new(&options, YAM_LEVEL_SYNCED, "test", 1);
    int rc = yami_relay_core_replay(core, &entry);
    int error = errno;
    if (rc == 0) {
        yami_relay_core_check(core);
    }
    yami_relay_core_destroy(&core);
    yami_writer_clear(&writer);
    errno = error;
    return rc;
}

static void
test_checkpoint_that_no_relay_writes_is_refused(void **state)
{
    static const s_checkpoint_t sound = {1, 1, true, true, 1700000000000, "sound"};
    static const s_checkpoint_t others[] = {
        {1, 1, false, true, 0, "a queue without its group"},
        {1, 5, true, true, 0, "a message that was trimmed"},
        {1, 1, true, false, 0, "a channel above the last number given"},
        {UINT32_MAX / 8, 1, true, true, 0, "a number that takes for ever to count to"},
        {1, 1, true, true, INT64_MIN, "a time that no clock says"},
        {1, 1, true, true, INT64_MAX, "a time that no clock says"},
    };
    (void) state;
    assert_int_equal(s_read(&sound), 0);
    for (size_t index = 0; index < sizeof others / sizeof others[0]; index++) {
        if (s_read(&others[index]) == 0) {
            fail_msg("taken: %s", others[index].what);
        }
        assert_int_equal(errno, EPROTO);
        assert_true(*yam_error() != 0);
    }
}

//  -- The journal ---------------------------------------------------------------------------------

static int
s_replay(yami_relay_core_t *core, uint16_t kind, uint32_t channel, yami_writer_t *writer)
{
    yami_entry_t entry = {
        .kind = kind, .channel = channel, .meta = writer->data, .meta_size = writer->size};
    int rc = yami_relay_core_replay(core, &entry);
    yami_writer_clear(writer);
    return rc;
}

static int
s_queue(yami_relay_core_t *core, uint32_t channel, const char *name, uint64_t group)
{
    yami_writer_t writer;
    yami_writer_init(&writer, 4096);
    yami_writer_array(&writer, 3);
    yami_writer_str(&writer, name);
    yami_writer_uint(&writer, YAMI_KIND_QUEUE);
    yami_writer_uint(&writer, group);
    return s_replay(core, YAMI_KIND_CHANNEL, channel, &writer);
}

static void
test_journal_that_leaves_a_queue_without_its_group_is_refused(void **state)
{
    static const yami_relay_options_t options;
    (void) state;
    yami_relay_core_t *core = yami_relay_core_new(&options, YAM_LEVEL_SYNCED, "test", 1);
    assert_int_equal(s_queue(core, 1, "orders", 1), 0);
    assert_int_equal(s_queue(core, 1, "orders", 1), 0); //  the same once more
    assert_int_equal(s_queue(core, 2, "others", 1), -1);
    assert_int_equal(errno, EPROTO);
    yami_writer_t writer;
    yami_writer_init(&writer, 64);
    yami_writer_array(&writer, 1);
    yami_writer_uint(&writer, 1);
    assert_int_equal(s_replay(core, YAMI_KIND_REMOVE, 1, &writer), -1);
    assert_int_equal(errno, EPROTO);
    yami_relay_core_check(core);
    yami_relay_core_destroy(&core);
}

static void
test_journal_with_a_channel_number_beyond_the_limit_is_refused(void **state)
{
    static const yami_relay_options_t options;
    (void) state;
    yami_relay_core_t *core = yami_relay_core_new(&options, YAM_LEVEL_SYNCED, "test", 1);
    assert_int_equal(s_queue(core, YAMI_LIMIT_CHANNELS, "last", 1), 0);
    assert_int_equal(s_queue(core, YAMI_LIMIT_CHANNELS + 1, "orders", 2), -1);
    assert_int_equal(errno, EPROTO);
    yami_relay_core_destroy(&core);
}

static void
test_journal_that_delays_for_a_channel_of_a_higher_number_is_refused(void **state)
{
    static const yami_relay_options_t options;
    (void) state;
    for (uint64_t target = 1; target <= 3; target++) { //  a checkpoint would name it too late
        yami_relay_core_t *core = yami_relay_core_new(&options, YAM_LEVEL_SYNCED, "test", 1);
        yami_writer_t writer;
        yami_writer_init(&writer, 256);
        yami_writer_array(&writer, 4);
        yami_writer_str(&writer, "orders.delayed");
        yami_writer_uint(&writer, YAMI_KIND_DELAYED);
        yami_writer_uint(&writer, 1);
        yami_writer_uint(&writer, target);
        assert_int_equal(s_replay(core, YAMI_KIND_CHANNEL, 2, &writer), target == 1 ? 0 : -1);
        assert_true(target == 1 || errno == EPROTO);
        yami_relay_core_destroy(&core);
    }
}

static void
test_failure_at_a_time_no_clock_says_is_refused(void **state)
{
    static const yami_relay_options_t options;
    static const int64_t times_ms[] = {INT64_MIN, INT64_MAX, YAMI_LIMIT_TIME_MS + 1};
    (void) state;
    yami_relay_core_t *core = yami_relay_core_new(&options, YAM_LEVEL_SYNCED, "test", 1);
    assert_int_equal(s_queue(core, 1, "orders", 1), 0);
    for (size_t index = 0; index < sizeof times_ms / sizeof times_ms[0]; index++) {
        yami_writer_t writer;
        yami_writer_init(&writer, 256);
        yami_writer_array(&writer, 8);
        yami_writer_uint(&writer, 1);
        yami_writer_uint(&writer, 1);
        yami_writer_uint(&writer, 1);
        yami_writer_int(&writer, times_ms[index]);
        yami_writer_int(&writer, 0);
        yami_writer_bool(&writer, false);
        yami_writer_str(&writer, "");
        yami_writer_array(&writer, 2);
        yami_writer_uint(&writer, 1);
        yami_writer_uint(&writer, 1);
        assert_int_equal(s_replay(core, YAMI_KIND_FAILURE, 1, &writer), -1);
        assert_int_equal(errno, EPROTO);
    }
    yami_relay_core_destroy(&core);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint_that_no_relay_writes_is_refused),
        cmocka_unit_test(test_journal_that_leaves_a_queue_without_its_group_is_refused),
        cmocka_unit_test(test_journal_with_a_channel_number_beyond_the_limit_is_refused),
        cmocka_unit_test(test_journal_that_delays_for_a_channel_of_a_higher_number_is_refused),
        cmocka_unit_test(test_failure_at_a_time_no_clock_says_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
