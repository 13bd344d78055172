//  Relay core: what one peer can make it do is bounded, and others get their turn.
//  One file: each case is a flood and a neighbour, by the same few helpers.

#include "relay/relay_fixture.h"

#include <string.h>
#include <time.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_relay_parts.h"

#define QUEUE YAMI_KIND_QUEUE
#define TOPIC YAMI_KIND_TOPIC
#define PLENTY ((uint64_t) 1 << 40)
#define BATCH_COUNT 16384u //  records of a batch: some 300 KiB
#define BATCHES 60u        //  some 18 MiB

//  Peer 1 produces to "q" as producer 9, and has published BATCHES batches; 2 and 3 consume.
static int
s_setup(void **state)
{
    fixture_t *f = fixture_new();
    fixture_hello(f, 1);
    fixture_hello(f, 2);
    fixture_hello(f, 3);
    fixture_producer(f, 1, 1, QUEUE, "q", 9, 0, 1);
    fixture_settle_down(f);
    for (uint64_t index = 0; index < BATCHES; index++) {
        fixture_publish(f, 1, fixture_batch(1, 9, 1, 1 + index * BATCH_COUNT, BATCH_COUNT, NULL));
        fixture_settle_down(f);
    }
    fixture_forget(f);
    *state = f;
    return 0;
}

//  Takes all deliveries to peer; returns their bytes.
static size_t
s_take(fixture_t *f, uint64_t peer)
{
    size_t bytes = 0;
    while (fixture_take(f, peer, YAMI_FRAME_DELIVER)) {
        bytes += f->taken_data->size;
    }
    return bytes;
}

static bool
s_is_due(const fixture_t *f)
{
    return yami_relay_core_deadline(f->core) <= f->mono_ms;
}

static void
test_one_turn_delivers_a_bounded_amount_and_the_next_is_due_at_once(void **state)
{
    fixture_t *f = *state;
    fixture_consumer(f, 2, 5, QUEUE, "q", "", "", 0, 1000000);
    fixture_settle_down(f);
    fixture_credit(f, 2, 5, PLENTY, PLENTY);
    size_t all = 0;
    unsigned turns = 0;
    do {
        fixture_turn(f);
        size_t bytes = s_take(f, 2);
        assert_true(bytes <= YAMI_RELAY_TURN_BYTES + YAMI_LIMIT_FRAME / 20);
        all += bytes;
        turns++;
    } while (s_is_due(f) && turns < 100);
    assert_true(turns >= 3 && turns < 10);
    assert_true(all > (size_t) BATCHES * BATCH_COUNT * 12);
    yami_relay_handle_t *handle = yami_relay_map_get(&f->core->handles, 2);
    assert_int_equal(handle->in_flight, BATCHES * BATCH_COUNT); //  nothing is left behind
}

static void
test_groups_that_have_much_to_do_take_turns(void **state)
{
    fixture_t *f = *state;
    for (uint32_t peer = 2; peer <= 3; peer++) {
        fixture_producer(f, 1, peer, TOPIC, peer == 2 ? "t2" : "t3", 9, 0, 1);
        fixture_consumer(f, peer, 5, TOPIC, peer == 2 ? "t2" : "t3", "g", "", 0, 1000000);
        fixture_settle_down(f);
        for (uint64_t index = 0; index < BATCHES; index++) {
            fixture_publish(f, 1,
                            fixture_batch(peer, 9, 1, 1 + index * BATCH_COUNT, BATCH_COUNT, NULL));
            fixture_settle_down(f);
        }
    }
    fixture_credit(f, 2, 5, PLENTY, PLENTY);
    fixture_credit(f, 3, 5, PLENTY, PLENTY);
    fixture_turn(f);
    fixture_turn(f);
    assert_true(s_take(f, 2) > 0);
    assert_true(s_take(f, 3) > 0); //  though the other one has still as much to do
    assert_true(s_is_due(f));
}

static void
s_press(fixture_t *f, uint64_t peer, bool is_pressed)
{
    yami_relay_event_t event = {.type = YAMI_EVENT_PRESSED, .peer = peer, .is_pressed = is_pressed};
    fixture_step(f, &event);
}

static void
test_peer_that_takes_nothing_gets_nothing_and_others_do(void **state)
{
    fixture_t *f = *state;
    for (uint32_t peer = 2; peer <= 3; peer++) {
        fixture_consumer(f, peer, 5, QUEUE, "q", "", "", 0, 1000000);
        fixture_credit(f, peer, 5, PLENTY, PLENTY);
    }
    s_press(f, 2, true);
    s_press(f, 77, true); //  gone meanwhile
    fixture_settle_down(f);
    assert_true(s_take(f, 3) > 0);
    //  Another handle of the same peer, and its credit, change nothing.
    fixture_consumer(f, 2, 6, QUEUE, "q", "", "", 0, 1000000);
    fixture_credit(f, 2, 6, PLENTY, PLENTY);
    fixture_gone(f, 3);
    fixture_settle_down(f);
    assert_int_equal(s_take(f, 2), 0);
    s_press(f, 2, false);
    fixture_settle_down(f);
    assert_true(s_take(f, 2) > (size_t) BATCHES * BATCH_COUNT * 12);
}

//  A link can break while the relay sends, which is behind the turn's look at groups.
static void
test_messages_of_a_broken_link_do_not_wait_for_the_next_second(void **state)
{
    fixture_t *f = *state;
    for (uint32_t peer = 2; peer <= 3; peer++) {
        fixture_consumer(f, peer, 5, QUEUE, "q", "", "", 0, 1000000);
    }
    fixture_credit(f, 2, 5, 1, PLENTY);
    fixture_settle_down(f);
    assert_true(s_take(f, 2) > 0);
    fixture_credit(f, 3, 5, 1, PLENTY);
    fixture_settle_down(f);
    assert_false(s_is_due(f));
    fixture_gone(f, 2);
    assert_true(s_is_due(f));
    fixture_settle_down(f);
    assert_false(s_is_due(f)); //  and it does not spin
}

static void
test_requests_without_end_are_refused_until_the_next_second(void **state)
{
    fixture_t *f = *state;
    unsigned refused = 0;
    for (int count = 0; count < 1000; count++) {
        fixture_admin(f, 2, "stat", "q", false);
        refused += f->frame.status == YAM_STATUS_LIMIT ? 1 : 0;
    }
    assert_in_range(refused, 1000 - 128, 999);
    assert_int_equal(f->core->refusals, refused);
    fixture_admin(f, 3, "stat", "q", false); //  somebody else may still ask
    assert_int_equal(f->frame.status, YAM_STATUS_OK);
    fixture_advance(f, 1000);
    fixture_admin(f, 2, "stat", "q", false);
    assert_int_equal(f->frame.status, YAM_STATUS_OK);
}

//  Two that asked without end used up what all may ask for, second after second.
static void
test_others_may_ask_beside_links_that_ask_without_end(void **state)
{
    fixture_t *f = *state;
    const uint64_t first = 10;
    for (uint64_t peer = first; peer < first + 100; peer++) {
        fixture_hello(f, peer);
    }
    for (int second = 0; second < 2; second++) { //  in the first one nobody knows how many they are
        fixture_advance(f, 1000);
        for (uint64_t peer = first; peer < first + 100; peer++) {
            unsigned count = 0;
            do {
                fixture_admin(f, peer, "stat", "q", false);
            } while (f->frame.status == YAM_STATUS_OK && ++count < 1000);
            assert_int_equal(f->frame.status, YAM_STATUS_LIMIT);
        }
    }
    fixture_admin(f, 3, "stat", "q", false);
    assert_int_equal(f->frame.status, YAM_STATUS_OK);
}

static void
s_ask_to_peek(fixture_t *f, uint64_t peer)
{
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present =
                              YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_MESSAGES,
                          .serial = 1,
                          .command = yami_slice_text("peek"),
                          .channel = yami_slice_text("q"),
                          .messages = PLENTY};
    fixture_send(f, peer, &frame);
}

//  One link had as many under way as there may be, and nobody else could look at anything.
static void
test_link_with_many_requests_under_way_leaves_room_to_others(void **state)
{
    fixture_t *f = *state;
    unsigned refused = 0;
    for (int count = 0; count < 100; count++) {
        s_ask_to_peek(f, 2);
        refused += fixture_take(f, 2, YAMI_FRAME_REPLY) ? 1 : 0;
    }
    assert_int_equal(refused, 100 - YAMI_LIMIT_ADMIN_REQUESTS / 2);
    assert_int_equal(f->core->refusals, refused);
    s_ask_to_peek(f, 3);
    assert_false(fixture_take(f, 3, YAMI_FRAME_REPLY)); //  not refused
    fixture_settle_down(f);
    fixture_expect(f, 3, YAMI_FRAME_REPLY);
    assert_int_equal(f->frame.status, YAM_STATUS_OK);
}

//  All of them were answered in one turn, which took as long as copying a hundred MiB.
static void
test_answers_to_many_peeks_are_made_in_many_turns(void **state)
{
    fixture_t *f = *state;
    unsigned answers = 0;
    for (unsigned count = 0; count < YAMI_LIMIT_ADMIN_REQUESTS / 2; count++) {
        s_ask_to_peek(f, 2);
    }
    assert_false(fixture_take(f, 2, YAMI_FRAME_REPLY));
    for (unsigned turns = 0; turns < 1000 && answers < YAMI_LIMIT_ADMIN_REQUESTS / 2; turns++) {
        assert_true(s_is_due(f));
        fixture_turn(f);
        size_t bytes = 0;
        while (fixture_take(f, 2, YAMI_FRAME_REPLY)) {
            bytes += f->taken->size;
            answers++;
        }
        assert_true(bytes <= YAMI_RELAY_TURN_BYTES + YAMI_LIMIT_REPLY);
    }
    assert_int_equal(answers, YAMI_LIMIT_ADMIN_REQUESTS / 2);
}

static void
s_ask_to_peek_group(fixture_t *f, uint64_t peer, const char *channel, const char *group)
{
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_GROUP,
                          .serial = 1,
                          .command = yami_slice_text("peek"),
                          .channel = yami_slice_text(channel),
                          .group = yami_slice_text(group)};
    fixture_send(f, peer, &frame);
}

//  How far all peeks have come, and are to come.
static uint64_t
s_peeked(const fixture_t *f, uint64_t end)
{
    uint64_t sum = (YAMI_LIMIT_ADMIN_REQUESTS / 2 - f->core->job_count) * end;
    const yami_relay_job_t *job = NULL;
    TAILQ_FOREACH(job, &f->core->jobs, of_core)
    {
        sum += job->sequence;
    }
    return sum;
}

//  Of what a filter leaves out only the bytes counted: a few turns went through all of it, and
//  each of them through an entry for every request.
static void
test_peeks_that_find_nothing_look_at_a_bounded_amount_in_a_turn(void **state)
{
    fixture_t *f = *state;
    const unsigned requests = YAMI_LIMIT_ADMIN_REQUESTS / 2;
    const uint64_t end = 1 + 3 * BATCH_COUNT;
    //  Each request may go on for as much as its entry has bytes: some 20 of a record.
    const uint64_t most = YAMI_RELAY_TURN_BYTES / YAMI_RELAY_SKIP_COST +
                          (uint64_t) requests * BATCH_COUNT * 20 / YAMI_RELAY_SKIP_COST;
    fixture_producer(f, 1, 2, TOPIC, "t", 8, 0, 1);
    fixture_consumer(f, 3, 5, TOPIC, "t", "group", "nothing.like.it", 0, 1000000);
    fixture_settle_down(f);
    for (uint64_t index = 0; index < 3; index++) {
        fixture_publish(f, 1, fixture_batch(2, 8, 1, 1 + index * BATCH_COUNT, BATCH_COUNT, NULL));
        fixture_settle_down(f);
    }
    fixture_forget(f);
    for (unsigned count = 0; count < requests; count++) {
        s_ask_to_peek_group(f, 2, "t", "group");
    }
    assert_int_equal(f->core->job_count, requests);
    unsigned turns = 0;
    for (; turns < 1000 && f->core->job_count > 0; turns++) {
        uint64_t before = s_peeked(f, end);
        assert_true(s_is_due(f));
        fixture_turn(f);
        assert_true(s_peeked(f, end) - before <= most);
    }
    assert_true(turns < 1000); //  each comes to its end
    for (unsigned count = 0; count < requests; count++) {
        fixture_expect(f, 2, YAMI_FRAME_REPLY);
        assert_int_equal(f->frame.status, YAM_STATUS_OK);
    }
}

//  What the relay says of itself.
static int64_t
s_refusals(fixture_t *f)
{
    fixture_admin(f, 3, "stat", NULL, false);
    return fixture_number(f, "refusals");
}

//  A peer could try a hundred thousand names, and nothing showed it.
static void
test_refused_attaches_and_requests_are_counted(void **state)
{
    fixture_t *f = *state;
    assert_int_equal(s_refusals(f), 0);
    fixture_consumer(f, 2, 5, TOPIC, "q", "", "", 0, 1000000); //  of the other kind
    fixture_consumer(f, 2, 5, QUEUE, "a name", "", "", 0, 1000000);
    fixture_consumer(f, 2, 5, QUEUE, "q", "group", "", 0, 1000000);
    fixture_producer(f, 2, 5, QUEUE, "q.dead", 8, 0, 1);
    fixture_producer(f, 1, 2, QUEUE, "q", 9, 2, 1);
    fixture_producer(f, 2, 5, QUEUE, "q", 9, 1, 1); //  fenced
    assert_int_equal(s_refusals(f), 5);
    fixture_consumer(f, 2, 5, QUEUE, "q", "", "", 0, 1000000);
    assert_int_equal(s_refusals(f), 5);
    fixture_consumer(f, 2, 5, QUEUE, "q", "", "", 0, 1000000); //  in use
    fixture_admin(f, 2, "nonsense", NULL, false);
    fixture_admin(f, 2, "purge", "nowhere", false);
    assert_int_equal(s_refusals(f), 8);
}

//  A full settle frame of which nothing is held.
static void
s_settle_stale(fixture_t *f, uint32_t handle)
{
    yami_settle_t ranges[YAMI_LIMIT_RANGES];
    for (uint64_t index = 0; index < YAMI_LIMIT_RANGES; index++) {
        ranges[index] = (yami_settle_t) {.token = 77 + index, .first = 1, .last = 9};
    }
    yami_frame_t frame = {.type = YAMI_FRAME_ACK,
                          .handle = handle,
                          .present = YAMI_F_SERIAL | YAMI_F_RANGES,
                          .serial = 1,
                          .ranges = ranges,
                          .range_count = YAMI_LIMIT_RANGES};
    fixture_send(f, 2, &frame);
}

static void
test_acks_without_end_of_what_is_not_held_end_the_link(void **state)
{
    fixture_t *f = *state;
    const unsigned most = YAMI_LIMIT_STALE_RANGES / YAMI_LIMIT_RANGES;
    for (uint32_t handle = 5; handle <= 6; handle++) { //  attached, and not
        fixture_consumer(f, 2, 5, QUEUE, "q", "", "", 0, 1000000);
        for (unsigned second = 0; second < 3; second++) {
            for (unsigned count = 0; count < most; count++) {
                s_settle_stale(f, handle);
            }
            assert_int_equal(f->closed, 0);
            fixture_advance(f, 1000);
        }
        for (unsigned count = 0; count <= most && f->closed == 0; count++) {
            s_settle_stale(f, handle);
        }
        assert_int_equal(f->closed, 2);
        assert_string_equal(f->logged, "relay.peer-closed");
        f->closed = 0;
        fixture_hello(f, 2);
    }
}

static void
test_numbers_of_ephemeral_groups_that_come_again_hit_nobody(void **state)
{
    fixture_t *f = *state;
    f->core->ephemeral_number = UINT32_MAX - 1; //  some billions later
    for (uint32_t handle = 1; handle < 5; handle++) {
        fixture_consumer(f, 2, handle, TOPIC, "t", "", "", 1, 1000000);
    }
    f->core->ephemeral_number = UINT32_MAX - 1; //  and again, with these still there
    for (uint32_t handle = 1; handle < 5; handle++) {
        fixture_consumer(f, 3, handle, TOPIC, "t", "", "", 1, 1000000);
    }
    fixture_settle_down(f);
    for (uint32_t handle = 1; handle < 5; handle++) {
        fixture_expect(f, 3, YAMI_FRAME_ATTACHED);
    }
}

static void
test_store_without_room_is_said_once_and_again_when_it_has_room(void **state)
{
    fixture_t *f = *state;
    unsigned before = f->log_count;
    for (int round = 0; round < 20; round++) {
        f->has_room = round % 2 == 1;
        fixture_turn(f);
    }
    assert_int_equal(f->log_count, before + 2);
    assert_string_equal(f->logged, "relay.room-again");
    fixture_advance(f, 20000);
    f->has_room = false;
    fixture_turn(f);
    assert_string_equal(f->logged, "relay.no-room");
    assert_int_equal(f->log_level, YAMI_LOG_ERROR);
}

//  Peers 2 to 5 are consumers of the groups "2" to "5" of topic "t", with a lease of 2048 messages
//  each; there may be PIECES of them in all.
#define PIECES 1000u
#define FIRST_GROUP 2u
#define LAST_GROUP 5u

static int
s_setup_pieces(void **state)
{
    fixture_t *f = fixture_new();
    f->core->piece_limit = PIECES;
    fixture_hello(f, 1);
    fixture_producer(f, 1, 1, TOPIC, "t", 9, 0, 1);
    for (uint32_t peer = FIRST_GROUP; peer <= LAST_GROUP; peer++) {
        char group[2] = {(char) ('0' + peer), 0};
        fixture_hello(f, peer);
        fixture_consumer(f, peer, 1, TOPIC, "t", group, "", 0, 30000);
        fixture_credit(f, peer, 1, PLENTY, PLENTY);
    }
    fixture_settle_down(f);
    fixture_publish(f, 1, fixture_batch(1, 9, 1, 1, YAMI_LIMIT_RANGES, NULL));
    fixture_settle_down(f);
    *state = f;
    return 0;
}

//  Settles every other message of what peer was given last, or every third one, each by itself.
static void
s_settle_some(fixture_t *f, uint64_t peer, int type, uint64_t step)
{
    yami_settle_t ranges[YAMI_LIMIT_RANGES];
    yami_frame_t frame = {.type = (uint8_t) type,
                          .handle = 1,
                          .present = YAMI_F_SERIAL | YAMI_F_RANGES,
                          .serial = 1,
                          .ranges = ranges};
    for (uint64_t at = f->frame.first + 1; at <= f->frame.last; at += step) {
        ranges[frame.range_count++] = (yami_settle_t) {f->frame.token, at, at};
    }
    fixture_send(f, peer, &frame);
}

static void
s_ack_all_of(fixture_t *f, uint64_t peer)
{
    fixture_settle(f, peer, 1, YAMI_FRAME_ACK, 3, f->frame.token, f->frame.first, f->frame.last);
    fixture_settle_down(f);
}

//  A full frame of the same range.
static void
s_settle_again(fixture_t *f, int type, uint64_t token, uint64_t first, uint64_t last)
{
    yami_settle_t ranges[YAMI_LIMIT_RANGES];
    for (uint64_t index = 0; index < YAMI_LIMIT_RANGES; index++) {
        ranges[index] = (yami_settle_t) {token, first, last};
    }
    yami_frame_t frame = {.type = (uint8_t) type,
                          .handle = 1,
                          .present = YAMI_F_SERIAL | YAMI_F_RANGES,
                          .serial = 2,
                          .ranges = ranges,
                          .range_count = YAMI_LIMIT_RANGES};
    fixture_send(f, 2, &frame);
}

//  Each of its ranges was walked through, piece by piece, and nothing counted it: a frame of 30 KB
//  took half a second.
static void
test_extending_a_lease_in_pieces_without_end_holds_nobody_up(void **state)
{
    fixture_t *f = *state;
    f->core->piece_limit = YAMI_LIMIT_PIECES;
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    fixture_settle(f, 2, 1, YAMI_FRAME_ACK, 1, f->frame.token, f->frame.first, f->frame.last);
    fixture_publish(f, 1, fixture_batch(1, 9, 1, YAMI_LIMIT_RANGES + 1, 2 * BATCH_COUNT, NULL));
    fixture_settle_down(f);
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    uint64_t token = f->frame.token;
    uint64_t first = f->frame.first;
    uint64_t last = f->frame.last;
    assert_int_equal(last - first + 1, 2 * BATCH_COUNT);
    for (uint64_t at = first; at < last; at += (uint64_t) 2 * YAMI_LIMIT_RANGES) {
        f->frame.first = at;
        f->frame.last = at + (uint64_t) 2 * YAMI_LIMIT_RANGES - 1;
        f->frame.token = token;
        s_settle_some(f, 2, YAMI_FRAME_ACK, 2);
    }
    assert_true(f->core->piece_count > BATCH_COUNT);
    clock_t start = clock();
    for (unsigned count = 0; count < 4; count++) {
        s_settle_again(f, YAMI_FRAME_EXTEND, token, first, last);
        s_settle_again(f, YAMI_FRAME_EXTEND, token, first, last - 2);
    }
    assert_true(clock() - start < CLOCKS_PER_SEC / 4); //  it was fifty times as much
    assert_int_equal(f->closed, 0);
}

//  Neither used up nor counted, such a range could come for ever.
static void
test_nacks_without_end_for_which_there_are_no_pieces_end_the_link(void **state)
{
    fixture_t *f = *state;
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    s_settle_some(f, 2, YAMI_FRAME_NACK, 2);
    size_t pieces = f->core->piece_count;
    const unsigned most = YAMI_LIMIT_STALE_RANGES / YAMI_LIMIT_RANGES;
    for (unsigned count = 0; count < most - 1; count++) {
        s_settle_again(f, count % 2 == 0 ? YAMI_FRAME_NACK : YAMI_FRAME_RELEASE, f->frame.token,
                       f->frame.last - 2, f->frame.last - 1);
    }
    assert_int_equal(f->closed, 0);
    assert_int_equal(f->core->piece_count, pieces);
    for (unsigned count = 0; count < 2; count++) {
        s_settle_again(f, YAMI_FRAME_NACK, f->frame.token, f->frame.last - 2, f->frame.last - 1);
    }
    assert_int_equal(f->closed, 2);
}

//  Those among its own were walked through each time, and the range counted as one, or as none.
static void
test_acks_without_end_of_ranges_full_of_what_is_not_held_end_the_link(void **state)
{
    fixture_t *f = *state;
    f->core->piece_limit = YAMI_LIMIT_PIECES;
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    s_settle_some(f, 2, YAMI_FRAME_NACK, 2);
    fixture_settle(f, 2, 1, YAMI_FRAME_ACK, 2, f->frame.token, f->frame.first, f->frame.last - 2);
    assert_int_equal(f->closed, 0);
    s_settle_again(f, YAMI_FRAME_ACK, f->frame.token, f->frame.first, f->frame.last - 2);
    assert_int_equal(f->closed, 2);
    fixture_expect(f, 3, YAMI_FRAME_DELIVER);
    s_ack_all_of(f, 3);
    fixture_expect_none(f, 3, YAMI_FRAME_ERROR);
}

//  Acks whatever comes to anybody, as a whole, until there is nothing left.
static void
s_settle_all(fixture_t *f)
{
    const yami_relay_channel_t *channel = yami_relay_map_get(&f->core->channel_numbers, 1);
    for (int rounds = 0; rounds < 1000 && channel->first < channel->next; rounds++) {
        fixture_advance(f, 30000);
        fixture_settle_down(f);
        for (uint64_t peer = FIRST_GROUP; peer <= LAST_GROUP; peer++) {
            while (fixture_take(f, peer, YAMI_FRAME_DELIVER)) {
                fixture_settle(f, peer, 1, YAMI_FRAME_ACK, 2, f->frame.token, f->frame.first,
                               f->frame.last);
                fixture_settle_down(f);
            }
        }
    }
    assert_int_equal(channel->first, channel->next); //  trimmed: no group misses anything
    assert_int_equal(f->core->piece_count, 0);
}

//  Each such frame cut every run of messages into thousands of pieces, and nothing counted them.
static void
test_nacks_of_every_other_message_make_no_more_pieces_than_there_may_be(void **state)
{
    fixture_t *f = *state;
    for (uint64_t peer = FIRST_GROUP; peer <= LAST_GROUP; peer++) {
        fixture_expect(f, peer, YAMI_FRAME_DELIVER);
        s_settle_some(f, peer, peer % 2 == 0 ? YAMI_FRAME_NACK : YAMI_FRAME_RELEASE, 2);
        assert_in_range(f->core->piece_count, PIECES / 2, PIECES);
    }
    fixture_settle_down(f);
    assert_in_range(f->core->piece_count, PIECES / 2, PIECES);
    fixture_checkpoint(f);
    s_settle_all(f);
}

static void
test_acks_in_any_order_work_when_nacks_have_taken_their_pieces(void **state)
{
    fixture_t *f = *state;
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    s_settle_some(f, 2, YAMI_FRAME_NACK, 2);
    fixture_expect(f, 2, YAMI_FRAME_ERROR);
    assert_int_equal(f->frame.status, YAM_STATUS_FENCED);
    for (uint64_t peer = FIRST_GROUP + 1; peer <= LAST_GROUP; peer++) {
        fixture_expect(f, peer, YAMI_FRAME_DELIVER);
        fixture_settle(f, peer, 1, YAMI_FRAME_ACK, 1, f->frame.token, 100, 199);
        fixture_settle(f, peer, 1, YAMI_FRAME_ACK, 2, f->frame.token, 1, 50);
        fixture_expect_none(f, peer, YAMI_FRAME_ERROR);
        const yami_relay_handle_t *handle = yami_relay_map_get(&f->core->handles, peer);
        assert_int_equal(handle->in_flight, YAMI_LIMIT_RANGES - 150);
    }
    s_settle_all(f);
}

//  There is an end to these, too: what is too much stays with its consumer, and comes again.
static void
test_acks_of_every_other_message_make_no_more_pieces_than_there_may_be(void **state)
{
    fixture_t *f = *state;
    for (uint64_t peer = FIRST_GROUP; peer <= LAST_GROUP; peer++) {
        fixture_expect(f, peer, YAMI_FRAME_DELIVER);
        s_settle_some(f, peer, YAMI_FRAME_ACK, 2);
        assert_in_range(f->core->piece_count, PIECES / 2, PIECES);
    }
    fixture_checkpoint(f);
    s_settle_all(f);
}

//  Nobody told the others that there was room again.
static void
test_deliveries_that_wait_for_pieces_go_on_when_those_of_other_groups_end(void **state)
{
    fixture_t *f = *state;
    f->core->piece_limit = f->core->piece_count;
    fixture_publish(f, 1, fixture_batch(1, 9, 1, YAMI_LIMIT_RANGES + 1, 10, NULL));
    fixture_settle_down(f);
    fixture_expect(f, 3, YAMI_FRAME_DELIVER);
    fixture_expect(f, 2, YAMI_FRAME_DELIVER);
    s_ack_all_of(f, 2);
    fixture_expect(f, 2, YAMI_FRAME_DELIVER); //  the other ten
    assert_int_equal(f->core->piece_count, f->core->piece_limit);
    fixture_expect_none(f, 3, YAMI_FRAME_DELIVER);
    //  Of what 3 gives back one part is cut off all the same: nothing else of 3 can end a piece.
    fixture_gone(f, 3);
    fixture_hello(f, 3);
    fixture_consumer(f, 3, 1, TOPIC, "t", "3", "", 0, 30000);
    fixture_credit(f, 3, 1, 1, PLENTY);
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    fixture_expect(f, 3, YAMI_FRAME_DELIVER);
    assert_int_equal(f->core->piece_count, f->core->piece_limit + 1);
    fixture_credit(f, 3, 1, 2, PLENTY);
    fixture_advance(f, 1000);
    fixture_settle_down(f);
    fixture_expect_none(f, 3, YAMI_FRAME_DELIVER);
    f->core->piece_limit = 2 * f->core->piece_count; //  as if another group had ended that many
    fixture_advance(f, YAMI_RELAY_AGAIN_MS);
    fixture_settle_down(f);
    fixture_expect(f, 3, YAMI_FRAME_DELIVER);
    assert_int_equal(f->frame.first, f->frame.last);
    fixture_expect(f, 4, YAMI_FRAME_DELIVER);
    fixture_expect(f, 4, YAMI_FRAME_DELIVER);
    assert_int_equal(f->frame.first, YAMI_LIMIT_RANGES + 1);
    fixture_credit(f, 3, 1, PLENTY, PLENTY);
    s_settle_all(f);
}

int
main(void)
{
#define PIECES_TEST(name) cmocka_unit_test_setup_teardown(name, s_setup_pieces, fixture_teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_one_turn_delivers_a_bounded_amount_and_the_next_is_due_at_once, s_setup,
            fixture_teardown),
        cmocka_unit_test_setup_teardown(test_groups_that_have_much_to_do_take_turns, s_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_peer_that_takes_nothing_gets_nothing_and_others_do,
                                        s_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_numbers_of_ephemeral_groups_that_come_again_hit_nobody,
                                        s_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_store_without_room_is_said_once_and_again_when_it_has_room, s_setup,
            fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_messages_of_a_broken_link_do_not_wait_for_the_next_second, s_setup,
            fixture_teardown),
        cmocka_unit_test_setup_teardown(test_requests_without_end_are_refused_until_the_next_second,
                                        s_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_refused_attaches_and_requests_are_counted, s_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(test_others_may_ask_beside_links_that_ask_without_end,
                                        s_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_link_with_many_requests_under_way_leaves_room_to_others, s_setup,
            fixture_teardown),
        cmocka_unit_test_setup_teardown(test_answers_to_many_peeks_are_made_in_many_turns, s_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(
            test_peeks_that_find_nothing_look_at_a_bounded_amount_in_a_turn, s_setup,
            fixture_teardown),
        cmocka_unit_test_setup_teardown(test_acks_without_end_of_what_is_not_held_end_the_link,
                                        s_setup, fixture_teardown),
        PIECES_TEST(test_nacks_of_every_other_message_make_no_more_pieces_than_there_may_be),
        PIECES_TEST(test_extending_a_lease_in_pieces_without_end_holds_nobody_up),
        PIECES_TEST(test_nacks_without_end_for_which_there_are_no_pieces_end_the_link),
        PIECES_TEST(test_acks_without_end_of_ranges_full_of_what_is_not_held_end_the_link),
        PIECES_TEST(test_acks_in_any_order_work_when_nacks_have_taken_their_pieces),
        PIECES_TEST(test_deliveries_that_wait_for_pieces_go_on_when_those_of_other_groups_end),
        PIECES_TEST(test_acks_of_every_other_message_make_no_more_pieces_than_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
