//  The index of delayed messages, against a plain array that knows the same.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "yami_alloc_test.h"
#include "yami_base.h"
#include "yami_relay_delays.h"

#define MOST 5000u

typedef struct {
    yami_relay_delay_t items[MOST];
    bool waits[MOST];
    bool is_picked[MOST];
    size_t count;
} s_model_t;

static uint64_t
s_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void
s_add(yami_relay_delays_t *delays, uint64_t sequence, int64_t due_ms, uint32_t id_hash)
{
    yami_relay_delay_t delay = {
        .sequence = sequence, .due_ms = due_ms, .id_hash = id_hash, .size = 100};
    assert_true(yami_relay_delays_reserve(delays, 1));
    yami_relay_delays_add(delays, &delay);
    yami_relay_delays_check(delays);
}

static void
test_the_earliest_comes_first_and_of_two_the_one_sent_first(void **state)
{
    (void) state;
    static const int64_t times[] = {30, 10, 20, 10, 40};
    static const uint64_t order[] = {2, 4, 3, 1, 5};
    yami_relay_delays_t delays = {0};
    assert_null(yami_relay_delays_earliest(&delays));
    for (uint64_t index = 0; index < 5; index++) {
        s_add(&delays, index + 1, times[index], 0);
    }
    for (size_t index = 0; index < 5; index++) {
        const yami_relay_delay_t *earliest = yami_relay_delays_earliest(&delays);
        assert_int_equal(earliest->sequence, order[index]);
        assert_int_equal(yami_relay_delays_end(&delays, order[index], order[index]), 1);
        yami_relay_delays_check(&delays);
    }
    assert_null(yami_relay_delays_earliest(&delays));
    assert_null(delays.chunks); //  empty takes nothing
}

static void
test_one_that_ended_hides_no_earlier_one_that_comes_later(void **state)
{
    (void) state;
    yami_relay_delays_t delays = {0};
    s_add(&delays, 1, 100, 0);
    s_add(&delays, 2, 200, 0);
    assert_int_equal(yami_relay_delays_end(&delays, 2, 2), 1);
    s_add(&delays, 3, 300, 0);
    s_add(&delays, 4, 50, 0); //  below the one that ended
    assert_int_equal(yami_relay_delays_earliest(&delays)->sequence, 4);
    yami_relay_delays_clear(&delays);
    yami_relay_delays_clear(&delays);
}

static void
test_what_is_picked_waits_out_of_line_until_it_is_put_back(void **state)
{
    (void) state;
    yami_relay_delays_t delays = {0};
    s_add(&delays, 1, 10, 0);
    s_add(&delays, 2, 20, 0);
    assert_int_equal(yami_relay_delays_earliest(&delays)->sequence, 1);
    yami_relay_delays_pick(&delays);
    yami_relay_delays_check(&delays);
    assert_int_equal(yami_relay_delays_earliest(&delays)->sequence, 2);
    assert_non_null(yami_relay_delays_find(&delays, 1));
    yami_relay_delays_put_back(&delays, 1);
    yami_relay_delays_put_back(&delays, 1); //  is in line
    yami_relay_delays_put_back(&delays, 7); //  nobody
    yami_relay_delays_check(&delays);
    assert_int_equal(yami_relay_delays_earliest(&delays)->sequence, 1);
    yami_relay_delays_clear(&delays);
}

static void
test_those_of_an_id_are_found_from_the_last_to_the_first(void **state)
{
    (void) state;
    yami_relay_delays_t delays = {0};
    for (uint64_t sequence = 1; sequence <= 3000; sequence++) {
        yami_relay_delay_t delay = {
            .sequence = sequence, .due_ms = 1, .id_hash = (uint32_t) (sequence % 3)};
        assert_true(yami_relay_delays_reserve(&delays, 1));
        yami_relay_delays_add(&delays, &delay);
    }
    uint64_t below = UINT64_MAX;
    uint64_t expected = 2999; //  3k + 2
    const yami_relay_delay_t *delay;
    while ((delay = yami_relay_delays_by_id(&delays, 2, below)) != NULL) {
        assert_int_equal(delay->sequence, expected);
        below = delay->sequence;
        expected -= 3;
        (void) yami_relay_delays_end(&delays, below, below);
    }
    assert_int_equal(below, 2);
    assert_int_equal(delays.waiting, 2000);
    assert_null(yami_relay_delays_by_id(&delays, 0, UINT64_MAX)); //  no id is no id
    yami_relay_delays_clear(&delays);
}

//  From one that had ended, the search went on in the chains of before, and missed those behind.
static void
test_those_of_an_id_are_found_from_one_that_ended_before_the_index_grew(void **state)
{
    (void) state;
    yami_relay_delays_t delays = {0};
    s_add(&delays, 1, 10, 1);
    s_add(&delays, 2, 10, 65); //  in the same chain, while there are 64
    s_add(&delays, 3, 10, 1);
    assert_int_equal(yami_relay_delays_end(&delays, 3, 3), 1);
    assert_true(yami_relay_delays_reserve(&delays, 1000));
    const yami_relay_delay_t *found = yami_relay_delays_by_id(&delays, 1, 3);
    assert_non_null(found);
    assert_int_equal(found->sequence, 1);
    yami_relay_delays_check(&delays);
    yami_relay_delays_clear(&delays);
}

static void
test_those_that_wait_are_kept_in_order_when_most_have_ended(void **state)
{
    (void) state;
    yami_relay_delays_t delays = {0};
    for (uint64_t sequence = 1; sequence <= 6000; sequence++) {
        yami_relay_delay_t delay = {.sequence = sequence,
                                    .due_ms = 10000 - (int64_t) sequence,
                                    .id_hash = (uint32_t) (sequence % 3)};
        assert_true(yami_relay_delays_reserve(&delays, 1));
        yami_relay_delays_add(&delays, &delay);
    }
    assert_int_equal(yami_relay_delays_end(&delays, 3, 5997), 5995);
    yami_relay_delays_check(&delays);
    assert_int_equal(delays.waiting, 5);
    assert_int_equal(delays.count, 5); //  of them alone
    assert_int_equal(yami_relay_delays_from(&delays, 3)->sequence, 5998);
    assert_int_equal(yami_relay_delays_by_id(&delays, 2, 5999)->sequence, 2);
    s_add(&delays, 6001, 10000, 1);
    static const uint64_t order[] = {6000, 5999, 5998, 2, 1, 6001};
    for (size_t index = 0; index < sizeof order / sizeof order[0]; index++) {
        assert_int_equal(yami_relay_delays_earliest(&delays)->sequence, order[index]);
        assert_int_equal(yami_relay_delays_end(&delays, order[index], order[index]), 1);
        yami_relay_delays_check(&delays);
    }
    yami_relay_delays_clear(&delays);
}

static void
test_without_memory_nothing_changes(void **state)
{
    (void) state;
    yami_relay_delays_t delays = {0};
    s_add(&delays, 1, 10, 5);
    for (int index = 0; index < 4; index++) {
        yami_alloc_fail_after(index > 0 ? 1 : 0); //  chunks, heap, chains: what grew stays so
        assert_false(yami_relay_delays_reserve(&delays, 10000));
        yami_alloc_fail_after(-1);
        yami_relay_delays_check(&delays);
    }
    assert_true(yami_relay_delays_reserve(&delays, 10000));
    assert_int_equal(yami_relay_delays_by_id(&delays, 5, UINT64_MAX)->sequence, 1);
    yami_relay_delays_clear(&delays);
}

//  -- At random

static void
s_random_add(yami_relay_delays_t *delays, s_model_t *model, uint64_t random)
{
    uint64_t gap = random % 7 == 0 ? 1 + random % 50 : 1;
    yami_relay_delay_t delay = {
        .sequence = gap + (model->count > 0 ? model->items[model->count - 1].sequence : 0),
        .due_ms = 1 + (int64_t) (random >> 20) % 1000,
        .id_hash = (uint32_t) (random >> 40) % 20};
    if (model->count < MOST && yami_relay_delays_reserve(delays, 1)) {
        yami_relay_delays_add(delays, &delay);
        model->waits[model->count] = true;
        model->items[model->count++] = delay;
    }
}

static void
s_random_end(yami_relay_delays_t *delays, s_model_t *model, uint64_t random)
{
    uint64_t first = random % (model->count * 2 + 1);
    uint64_t last = first + (random >> 32) % 9;
    uint64_t expected = 0;
    for (size_t index = 0; index < model->count; index++) {
        if (model->items[index].sequence >= first && model->items[index].sequence <= last) {
            expected += model->waits[index] ? 1 : 0;
            model->waits[index] = false;
        }
    }
    assert_int_equal(yami_relay_delays_end(delays, first, last), expected);
}

//  The model's earliest; MOST when there is none.
static size_t
s_earliest(const s_model_t *model)
{
    size_t found = MOST;
    for (size_t index = 0; index < model->count; index++) {
        if (model->waits[index] && !model->is_picked[index] &&
            (found == MOST || model->items[index].due_ms < model->items[found].due_ms)) {
            found = index;
        }
    }
    return found;
}

static void
s_random_pick(yami_relay_delays_t *delays, s_model_t *model, uint64_t random)
{
    size_t place = s_earliest(model);
    const yami_relay_delay_t *earliest = yami_relay_delays_earliest(delays);
    assert_int_equal(earliest != NULL, place < MOST);
    if (earliest != NULL) {
        assert_int_equal(earliest->sequence, model->items[place].sequence);
        model->is_picked[place] = true;
        yami_relay_delays_pick(delays);
    }
    size_t back = random % (model->count + 1);
    if (back < model->count && model->is_picked[back]) {
        model->is_picked[back] = false;
        yami_relay_delays_put_back(delays, model->items[back].sequence);
    }
}

//  From a place on: the next that waits; and for its id the one before it.
static void
s_random_look(const yami_relay_delays_t *delays, const s_model_t *model, uint64_t random)
{
    size_t place = random % (model->count + 1);
    uint64_t sequence = place < model->count ? model->items[place].sequence : 1u << 30;
    uint32_t hash = 1 + (uint32_t) (random >> 40) % 20;
    size_t before = place;
    while (before > 0 && (!model->waits[before - 1] || model->items[before - 1].id_hash != hash)) {
        before--;
    }
    const yami_relay_delay_t *found = yami_relay_delays_by_id(delays, hash, sequence);
    assert_int_equal(found != NULL ? found->sequence : 0,
                     before > 0 ? model->items[before - 1].sequence : 0);
    while (place < model->count && !model->waits[place]) {
        place++;
    }
    found = yami_relay_delays_from(delays, sequence);
    assert_int_equal(found != NULL ? found->sequence : 0,
                     place < model->count ? model->items[place].sequence : 0);
}

static void
test_random_operations_agree_with_an_array(void **state)
{
    (void) state;
    uint64_t random = 88172645463325252u;
    for (int run = 0; run < 4; run++) {
        yami_relay_delays_t delays = {0};
        s_model_t *model = calloc(1, sizeof *model);
        for (unsigned step = 0; step < 9000; step++) {
            uint64_t how = s_random(&random) % 16;
            uint64_t number = s_random(&random);
            //  Runs differ in whether more come or more go.
            if (how < 5 + (unsigned) run * 2) {
                s_random_add(&delays, model, number);
            } else if (how < 13) {
                s_random_end(&delays, model, number);
            } else if (how < 14) {
                s_random_pick(&delays, model, number);
            } else {
                s_random_look(&delays, model, number);
            }
            if (step % 100 == 0) {
                yami_relay_delays_check(&delays);
            }
        }
        yami_relay_delays_clear(&delays);
        free(model);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_earliest_comes_first_and_of_two_the_one_sent_first),
        cmocka_unit_test(test_one_that_ended_hides_no_earlier_one_that_comes_later),
        cmocka_unit_test(test_what_is_picked_waits_out_of_line_until_it_is_put_back),
        cmocka_unit_test(test_those_of_an_id_are_found_from_the_last_to_the_first),
        cmocka_unit_test(test_those_of_an_id_are_found_from_one_that_ended_before_the_index_grew),
        cmocka_unit_test(test_those_that_wait_are_kept_in_order_when_most_have_ended),
        cmocka_unit_test(test_without_memory_nothing_changes),
        cmocka_unit_test(test_random_operations_agree_with_an_array),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
