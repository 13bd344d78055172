//  What the relay core stands on: the map, the pieces, the tickets, the options.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_delays.h"
#include "yami_relay_map.h"
#include "yami_relay_options.h"
#include "yami_relay_pieces.h"
#include "yami_relay_tickets.h"

#define UNIVERSE 400

static uint64_t
s_random(uint64_t *state, uint64_t limit)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % limit;
}

static void
test_map_agrees_with_an_array(void **state)
{
    (void) state;
    static uint8_t values[UNIVERSE];
    bool has[UNIVERSE] = {false};
    yami_relay_map_t map;
    yami_relay_map_init(&map, 3);
    uint64_t random = 1;
    for (int step = 0; step < 100000; step++) {
        size_t key = 1 + (size_t) s_random(&random, UNIVERSE - 1);
        if (s_random(&random, 2) == 0) {
            yami_relay_map_put(&map, key, &values[key]);
            has[key] = true;
        } else {
            assert_ptr_equal(yami_relay_map_remove(&map, key), has[key] ? &values[key] : NULL);
            has[key] = false;
        }
        key = 1 + (size_t) s_random(&random, UNIVERSE - 1);
        assert_ptr_equal(yami_relay_map_get(&map, key), has[key] ? &values[key] : NULL);
    }
    size_t count = 0;
    for (size_t index = 0; yami_relay_map_next(&map, &index) != NULL;) {
        count++;
    }
    assert_int_equal(count, map.count);
    yami_relay_map_clear(&map);
    assert_null(yami_relay_map_get(&map, 1));
}

//  States by sequence, -1 for not there.
static void
s_compare(const yami_pieces_t *pieces, const int8_t *states)
{
    yami_pieces_check(pieces);
    const yami_piece_t *piece = yami_pieces_find(pieces, 0);
    for (uint64_t sequence = 1; sequence < UNIVERSE; sequence++) {
        while (piece != NULL && piece->last < sequence) {
            piece = yami_pieces_next(piece);
        }
        bool is_in = piece != NULL && piece->first <= sequence;
        assert_int_equal(is_in ? (int) piece->state : -1, states[sequence]);
    }
}

//  One random change, made to both.
static void
s_change(yami_pieces_t *pieces, int8_t *states, uint64_t *random)
{
    uint64_t first = 1 + s_random(random, UNIVERSE - 1);
    uint64_t last = first + s_random(random, 9);
    last = last < UNIVERSE ? last : UNIVERSE - 1;
    yami_piece_t *piece = yami_pieces_find(pieces, first);
    if (piece == NULL || piece->first > last) {
        int8_t new_state = s_random(random, 2) ? YAMI_PIECE_READY : YAMI_PIECE_WAITING;
        piece = yami_pieces_add(pieces, first, last, (yami_piece_state_t) new_state);
        memset(states + first, new_state, last - first + 1);
        if (new_state == YAMI_PIECE_READY) {
            (void) yami_pieces_merge(pieces, piece);
        }
        return;
    }
    first = piece->first > first ? piece->first : first;
    last = piece->last < last ? piece->last : last;
    if (s_random(random, 2) == 0) {
        yami_pieces_cut(pieces, piece, first, last);
        memset(states + first, -1, last - first + 1);
        return;
    }
    static const int8_t kinds[] = {YAMI_PIECE_READY, YAMI_PIECE_WAITING, YAMI_PIECE_MOVING};
    int8_t kind = kinds[s_random(random, 3)];
    piece = yami_pieces_isolate(pieces, piece, first, last);
    yami_pieces_set_state(pieces, piece, (yami_piece_state_t) kind);
    memset(states + first, kind, last - first + 1);
    (void) yami_pieces_merge(pieces, piece);
}

static void
test_pieces_agree_with_an_array(void **state)
{
    (void) state;
    int8_t states[UNIVERSE];
    memset(states, -1, sizeof states);
    yami_pieces_t pieces;
    size_t all = 0;
    yami_pieces_init(&pieces, &all);
    uint64_t random = 5;
    for (int step = 0; step < 30000; step++) {
        s_change(&pieces, states, &random);
        if (step % 10 == 0) {
            s_compare(&pieces, states);
        }
        for (int kind = 0; kind < YAMI_PIECE_STATES; kind++) {
            const yami_piece_t *lowest = yami_pieces_lowest(&pieces, (yami_piece_state_t) kind);
            const int8_t *first = memchr(states + 1, kind, UNIVERSE - 1);
            assert_true((lowest != NULL) == (first != NULL));
            assert_true(lowest == NULL || states + lowest->first == first);
        }
    }
    assert_int_equal(all, pieces.count);
    yami_pieces_clear(&pieces);
    assert_null(pieces.root);
    assert_int_equal(all, 0);
}

static void
test_a_million_pieces_stay_quick(void **state)
{
    (void) state;
    yami_pieces_t pieces;
    size_t all = 0;
    yami_pieces_init(&pieces, &all);
    uint64_t count = 1000000;
    for (uint64_t sequence = 1; sequence <= count; sequence++) {
        (void) yami_pieces_add(&pieces, sequence * 2, sequence * 2, YAMI_PIECE_WAITING);
    }
    yami_pieces_set_state(&pieces, yami_pieces_find(&pieces, count), YAMI_PIECE_READY);
    assert_int_equal(yami_pieces_lowest(&pieces, YAMI_PIECE_READY)->first, count);
    uint64_t random = 1;
    for (uint64_t sequence = 1; sequence <= count; sequence++) {
        yami_piece_t *piece = yami_pieces_find(&pieces, s_random(&random, 2 * count));
        if (piece != NULL) {
            yami_pieces_remove(&pieces, piece);
        }
    }
    assert_true(pieces.count < count);
    yami_pieces_clear(&pieces);
}

static void
test_tickets_keep_their_order_when_they_begin_anew_in_their_array(void **state)
{
    (void) state;
    yami_relay_tickets_t tickets;
    yami_relay_tickets_init(&tickets);
    for (uint64_t ticket = 1; ticket <= 1000; ticket++) {
        assert_true(yami_relay_tickets_push(&tickets, ticket, 10 * ticket));
        if (ticket > 3) {
            assert_int_equal(yami_relay_tickets_pop(&tickets, 10 * ticket - 25), ticket - 3);
        }
    }
    assert_true(tickets.capacity < 100);
    assert_int_equal(yami_relay_tickets_pop(&tickets, UINT64_MAX), 1000);
    yami_relay_tickets_clear(&tickets);
}

static void
test_backoff_takes_units_and_refuses_nonsense(void **state)
{
    (void) state;
    int64_t delays[YAMI_LIMIT_DELAYS];
    assert_int_equal(yami_delays_parse("1s:500ms:2m:1h:7", delays), 5);
    assert_int_equal(delays[0], 1000);
    assert_int_equal(delays[1], 500);
    assert_int_equal(delays[2], 120000);
    assert_int_equal(delays[3], 3600000);
    assert_int_equal(delays[4], 7);
    static const char *const bad[] = {"",
                                      ":",
                                      "1s:",
                                      "1x",
                                      "-1s",
                                      "1s;2s",
                                      "99999999999999h",
                                      "721h",
                                      "1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17"};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        errno = 0;
        assert_int_equal(yami_delays_parse(bad[index], delays), -1);
        assert_int_equal(errno, EINVAL);
        assert_non_null(strstr(yam_error(), "backoff"));
    }
}

static void
test_options_have_sound_defaults(void **state)
{
    (void) state;
    yami_relay_options_t options;
    int64_t delays[YAMI_LIMIT_DELAYS];
    yami_options_init(yami_relay_option_table, &options);
    assert_int_equal(options.lease_ms, 30000);
    assert_int_equal(options.delivery_limit, 5);
    assert_int_equal(options.topic_bytes, 1 << 30);
    assert_int_equal(options.topic_age_ms, 24 * 3600 * 1000);
    assert_int_equal(yami_delays_parse(options.backoff, delays), 5);
    assert_int_equal(delays[4], 600000);
    assert_int_equal(yami_options_set(yami_relay_option_table, &options, "lease", "1ms"), -1);
    assert_int_equal(yami_options_set(yami_relay_option_table, &options, "lease", "5m"), 0);
    assert_int_equal(options.lease_ms, 300000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map_agrees_with_an_array),
        cmocka_unit_test(test_pieces_agree_with_an_array),
        cmocka_unit_test(test_a_million_pieces_stay_quick),
        cmocka_unit_test(test_tickets_keep_their_order_when_they_begin_anew_in_their_array),
        cmocka_unit_test(test_backoff_takes_units_and_refuses_nonsense),
        cmocka_unit_test(test_options_have_sound_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
