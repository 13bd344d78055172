//  Relay core: many groups of a topic have dead letters to move at the same time.

#include "relay/relay_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"
#include "yami_properties.h"
#include "yami_relay_parts.h"

#define TOPIC YAMI_KIND_TOPIC
#define PLENTY (1u << 30)
#define GROUPS 200u
#define MESSAGES 4u
#define BATCH 2u          //  messages of one batch
#define SMALL 20u         //  bytes of a body
#define LARGE (64u << 10) //  so that one turn moves those of some groups only
#define STEP_EFFECTS 4u   //  of one read: its MOVE, the next one's FETCH, and little else
#define REMOVED 40u
#define RESTARTED 24u //  groups that go on after each of as many restarts as there are moves
#define DURABLE 2u    //  the peer of durable groups g0, g1, ...
#define EPHEMERAL 3u  //  and the one of groups that go away with it

//  Dead letters, by group and message.
typedef struct {
    unsigned counts[GROUPS][MESSAGES];
    unsigned total;
    unsigned ephemeral; //  of groups without names
} letters_t;

//  What s_watch saw of one step's effects.
static struct {
    size_t effects;
    unsigned fetches;
    uint64_t gone_at; //  the read before which peer EPHEMERAL goes away; 0: it stays
    uint64_t reads;
} s_seen;

static int
s_setup(void **state)
{
    fixture_t *f = fixture_new();
    f->options.delivery_limit = 1;
    for (uint64_t peer = 1; peer <= EPHEMERAL; peer++) {
        fixture_hello(f, peer);
    }
    fixture_producer(f, 1, 1, TOPIC, "t", 9, 0, 1);
    memset(&s_seen, 0, sizeof s_seen);
    *state = f;
    return 0;
}

//  Handles from 1 on, each of a group of its own: those of peer DURABLE have names.
static void
s_attach(fixture_t *f, uint64_t peer, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        char name[16] = "";
        if (peer == DURABLE) {
            (void) snprintf(name, sizeof name, "g%u", index);
        }
        fixture_consumer(f, peer, index + 1, TOPIC, "t", name, "", YAMI_START_NEW, 3600000);
        fixture_credit(f, peer, index + 1, 1000, PLENTY);
    }
    fixture_settle_down(f);
}

static void
s_publish(fixture_t *f, uint64_t first, size_t body_size)
{
    uint8_t *body = yami_try_alloc(body_size, LARGE);
    assert_non_null(body);
    yami_builder_t builder;
    yami_builder_init(&builder, 1 << 20);
    for (uint64_t sequence = first; sequence < first + BATCH; sequence++) {
        memset(body, (int) sequence, body_size);
        yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT,
                                .body = yami_slice(body, body_size)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
    }
    yami_batch_t head = {.handle = 1, .epoch = 1, .producer = {.bytes = {9}}};
    head.first_sequence = first;
    yami_block_t *block = yami_builder_finish(&builder, &head);
    assert_non_null(block);
    fixture_publish(f, 1, block);
    yami_builder_clear(&builder);
    yami_free(body);
}

//  Every message reaches every group and fails there, at its limit; nothing is moved yet.
static void
s_fail_everything(fixture_t *f, size_t body_size)
{
    for (uint64_t first = 1; first <= MESSAGES; first += BATCH) {
        s_publish(f, first, body_size);
        fixture_settle_down(f);
    }
    for (uint64_t peer = DURABLE; peer <= EPHEMERAL; peer++) {
        while (fixture_take(f, peer, YAMI_FRAME_DELIVER)) {
            fixture_settle(f, peer, f->frame.handle, YAMI_FRAME_NACK, 1, f->frame.token,
                           f->frame.first, f->frame.last);
        }
    }
    fixture_forget(f);
}

static unsigned
s_group_of(const yami_record_t *record)
{
    yami_property_t property;
    assert_true(yami_properties_find(record->properties, "yam-group", &property));
    if (property.text.size == 0) {
        return GROUPS;
    }
    char name[16];
    (void) snprintf(name, sizeof name, "%.*s", (int) property.text.size,
                    (const char *) property.text.data);
    assert_true(name[0] == 'g');
    unsigned group = (unsigned) strtoul(name + 1, NULL, 10);
    assert_true(group < GROUPS);
    return group;
}

//  Those of one batch. The group they come from, which is the same for all.
static unsigned
s_count_batch(letters_t *letters, const yami_batch_t *batch)
{
    size_t offset = 0;
    unsigned group = GROUPS;
    for (uint32_t index = 0; index < batch->count; index++) {
        yami_record_t record = {0};
        assert_int_equal(yami_batch_next(batch, &offset, &record), 0);
        unsigned sequence = ((const uint8_t *) record.body.data)[0];
        assert_in_range(sequence, 1, MESSAGES);
        assert_true(index == 0 || s_group_of(&record) == group);
        group = s_group_of(&record);
        letters->total++;
        letters->ephemeral += group == GROUPS ? 1 : 0;
        if (group < GROUPS) {
            letters->counts[group][sequence - 1]++;
        }
    }
    return group;
}

//  What the journal's entries, from the first one on, have moved.
static letters_t
s_moved(const fixture_t *f)
{
    letters_t letters = {0};
    for (size_t index = 0; index < f->entry_count; index++) {
        const yami_entry_t *entry = &f->entries[index].entry;
        yami_batch_t batch;
        if (entry->kind == YAMI_KIND_MOVE) {
            assert_int_equal(yami_batch_decode(&batch, entry->data->data, entry->data->size), 0);
            (void) s_count_batch(&letters, &batch);
        }
    }
    return letters;
}

static void
s_expect_each_once(const letters_t *letters, unsigned first_group, unsigned last_group)
{
    for (unsigned group = first_group; group <= last_group; group++) {
        for (unsigned message = 0; message < MESSAGES; message++) {
            assert_int_equal(letters->counts[group][message], 1);
        }
    }
}

//  Work that one read leads to: it does not grow with the number of those who wait.
static void
s_watch(fixture_t *f, const yami_relay_fetch_t *fetch)
{
    if (fetch->purpose != YAMI_FETCH_DEAD) {
        return;
    }
    unsigned fetches = 0;
    for (size_t index = 0; index < f->effects.count; index++) {
        const yami_relay_effect_t *effect = &f->effects.items[index];
        fetches += effect->type == YAMI_EFFECT_FETCH && effect->fetch.purpose == YAMI_FETCH_DEAD;
    }
    bool is_first = fetches == 1;                                 //  of this step
    assert_int_equal(fetches, is_first ? 1 : s_seen.fetches + 1); //  one is under way at a time
    assert_true(is_first || f->effects.count - s_seen.effects <= STEP_EFFECTS);
    size_t touched = 0;
    const yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &f->core->dirty_groups, of_dirty)
    {
        touched++;
    }
    assert_true(touched <= 2); //  that one, and the next in the line
    s_seen.fetches = fetches;
    s_seen.effects = f->effects.count;
    s_seen.reads++;
    if (s_seen.reads == s_seen.gone_at) {
        yami_relay_event_t event = {.type = YAMI_EVENT_GONE,
                                    .peer = EPHEMERAL,
                                    .mono_ms = f->mono_ms,
                                    .wall_ms = f->wall_ms,
                                    .has_room = true};
        yami_relay_core_step(f->core, &event, &f->effects);
        yami_relay_core_check(f->core);
    }
}

static void
test_dead_letters_of_many_groups_are_moved_in_turn_and_each_once(void **state)
{
    fixture_t *f = *state;
    s_attach(f, DURABLE, GROUPS);
    s_fail_everything(f, SMALL);
    f->before_fetch = s_watch;
    fixture_settle_down(f);
    f->before_fetch = NULL;
    assert_int_equal(s_seen.reads, GROUPS * MESSAGES / BATCH);
    fixture_consumer(f, 1, 7, YAMI_KIND_QUEUE, "t.dead", "", "", 0, 3600000);
    fixture_credit(f, 1, 7, PLENTY, PLENTY);
    fixture_settle_down(f);
    letters_t letters = {0};
    unsigned last = 0;
    while (fixture_take(f, 1, YAMI_FRAME_DELIVER)) {
        unsigned group = s_count_batch(&letters, &f->batch);
        assert_true(letters.total == BATCH || group == (last + 1) % GROUPS);
        last = group;
    }
    s_expect_each_once(&letters, 0, GROUPS - 1);
    assert_int_equal(letters.total, GROUPS * MESSAGES);
}

//  Groups in the line, each in the table still.
static unsigned
s_line(const fixture_t *f)
{
    unsigned count = 0;
    const yami_relay_group_t *group = NULL;
    TAILQ_FOREACH(group, &f->core->movers, of_movers)
    {
        assert_ptr_equal(yami_relay_map_get(&f->core->groups, group->number), group);
        assert_true(group->is_mover);
        count++;
    }
    return count;
}

static void
s_remove(fixture_t *f, const yami_relay_group_t *group)
{
    char name[16];
    YAM_ASSERT(group != NULL);
    (void) snprintf(name, sizeof name, "%.*s", (int) group->name.size, group->name.text);
    yami_frame_t remove = {.type = YAMI_FRAME_ADMIN,
                           .present =
                               YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_GROUP,
                           .serial = 9,
                           .command = yami_slice_text("remove"),
                           .channel = yami_slice_text("t"),
                           .group = yami_slice_text(name)};
    size_t count = f->core->groups.count;
    fixture_send(f, 1, &remove);
    assert_int_equal(f->core->groups.count, count - 1);
}

//  A turn moved as much as it may; others wait.
static void
test_group_that_is_removed_while_it_waits_to_move_leaves_the_line(void **state)
{
    fixture_t *f = *state;
    s_attach(f, DURABLE, GROUPS);
    s_fail_everything(f, LARGE);
    fixture_turn(f);
    letters_t before = s_moved(f);
    assert_in_range(before.total, 1, YAMI_RELAY_TURN_BYTES / (2 * LARGE) + BATCH); //  read, written
    assert_true(s_line(f) > GROUPS / 2);
    for (unsigned round = 0; round < REMOVED / 4; round++) {
        s_remove(f, TAILQ_FIRST(&f->core->movers));
        s_remove(f, TAILQ_LAST(&f->core->movers, yami_relay_groups));
        s_remove(f, TAILQ_NEXT(TAILQ_FIRST(&f->core->movers), of_movers));
        assert_false(TAILQ_EMPTY(&f->core->dirty_groups));
        s_remove(f, TAILQ_FIRST(&f->core->dirty_groups)); //  whose turn it is
    }
    f->before_fetch = s_watch;
    fixture_settle_down(f);
    assert_int_equal(s_line(f), 0);
    assert_int_equal(f->core->groups.count, GROUPS - REMOVED + 1); //  and the one of "t.dead"
    letters_t after = s_moved(f);
    for (unsigned group = 0; group < GROUPS; group++) {
        char name[16];
        (void) snprintf(name, sizeof name, "g%u", group);
        const yami_relay_channel_t *channel = yami_relay_channel_find(f->core, "t", 1);
        if (yami_relay_group_find(channel, yami_slice_text(name)) != NULL) {
            s_expect_each_once(&after, group, group);
        } else {
            assert_memory_equal(after.counts[group], before.counts[group],
                                sizeof after.counts[group]);
        }
    }
}

//  Those of a peer that goes away amid a read: in the line, and the one that is read for.
static void
s_go_away(fixture_t *f, uint64_t gone_at)
{
    s_seen.gone_at = gone_at;
    s_attach(f, EPHEMERAL, 20);
    s_attach(f, DURABLE, 20);
    s_fail_everything(f, SMALL);
    f->before_fetch = s_watch;
    fixture_settle_down(f);
    assert_true(s_seen.reads >= gone_at);
    assert_int_equal(s_line(f), 0);
    assert_false(f->core->is_moving);
    letters_t letters = s_moved(f);
    s_expect_each_once(&letters, 0, 19);
    assert_int_equal(letters.total - letters.ephemeral, 20 * MESSAGES);
    assert_in_range(letters.ephemeral, 0, 20 * MESSAGES - 1);
}

static void
test_groups_that_go_away_amid_a_move_leave_the_line(void **state)
{
    s_go_away(*state, 1);
}

static void
test_groups_that_go_away_while_another_moves_leave_the_line(void **state)
{
    s_go_away(*state, 30); //  of one that is durable
}

//  Whatever the journal ends with, each message is either moved or to be moved, never both.
static void
s_expect_each_in_one_place(const fixture_t *f)
{
    letters_t letters = s_moved(f);
    for (unsigned group = 0; group < RESTARTED; group++) {
        char name[16];
        view_t views[MESSAGES];
        (void) snprintf(name, sizeof name, "g%u", group);
        relay_view_group(f, "t", name, 1, MESSAGES, views);
        for (unsigned message = 0; message < MESSAGES; message++) {
            unsigned moved = letters.counts[group][message];
            assert_int_equal(moved + (views[message].place == PLACE_DEAD ? 1 : 0), 1);
            assert_int_equal(moved, views[message].place == PLACE_SETTLED ? 1 : 0);
        }
    }
}

static void
test_restart_amid_moves_of_many_groups_loses_and_doubles_no_dead_letter(void **state)
{
    fixture_t *f = *state;
    s_attach(f, DURABLE, RESTARTED);
    s_fail_everything(f, SMALL);
    fixture_settle_down(f);
    size_t first = 0;
    while (f->entries[first].entry.kind != YAMI_KIND_MOVE) {
        first++;
    }
    assert_true(f->entry_count - first >= RESTARTED * MESSAGES / BATCH);
    f->is_unchecked = true; //  after each restart, once
    for (size_t count = f->entry_count; count >= first; count--) {
        fixture_restart_at(f, count);
        yami_relay_core_check(f->core);
        s_expect_each_in_one_place(f);
        fixture_settle_down(f);
        yami_relay_core_check(f->core);
        letters_t letters = s_moved(f);
        s_expect_each_once(&letters, 0, RESTARTED - 1);
        assert_int_equal(relay_view_count(f, "t.dead"), RESTARTED * MESSAGES);
    }
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, s_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_dead_letters_of_many_groups_are_moved_in_turn_and_each_once),
        TEST(test_group_that_is_removed_while_it_waits_to_move_leaves_the_line),
        TEST(test_groups_that_go_away_amid_a_move_leave_the_line),
        TEST(test_groups_that_go_away_while_another_moves_leave_the_line),
        TEST(test_restart_amid_moves_of_many_groups_loses_and_doubles_no_dead_letter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
