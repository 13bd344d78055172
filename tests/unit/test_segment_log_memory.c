//  Memory that runs out while a log is opened: at each allocation in turn. Opening fails with
//  ENOMEM, or does without; what is on the disk is not harmed, and nothing is called damaged or
//  torn for it.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "log_model.h"
#include "sim_disk.h"
#include "yami_alloc_test.h"

#define ALLOCATION_LIMIT 5000 //  far more than an opening makes

static void
s_fill(log_model_t *model, unsigned rounds)
{
    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t channel = round % LOG_MODEL_CHANNELS;
        assert_int_equal(log_model_append(model, channel, 1 + round % 7, round % 50, round * 13),
                         0);
        if (round % 11 == 0) {
            assert_int_equal(log_model_commit(model), 1);
        }
        if (round % 50 == 49) {
            assert_int_equal(log_model_checkpoint(model), 0);
        }
    }
    assert_int_equal(log_model_commit(model), 1);
}

static void
s_open_sound(log_model_t *model)
{
    assert_true(log_model_open(model));
    assert_int_equal(model->damage_count, 0);
    log_model_read_all(model);
}

//  Opens with the allocation after success_count failing. Whether any did.
static bool
s_open_short(log_model_t *model, int64_t success_count)
{
    yami_alloc_fail_after(success_count);
    bool is_open = log_model_open(model);
    int error = errno;
    bool has_failed = yami_alloc_has_failed() != 0;
    yami_alloc_fail_after(-1);
    assert_int_equal(model->damage_count, 0);
    if (is_open) {
        log_model_read_all(model);
        assert_int_equal(model->store->ops->close(&model->store), 0);
    } else {
        assert_true(has_failed);
        assert_int_equal(error, ENOMEM);
        assert_null(model->store);
    }
    return has_failed;
}

//  Returns how many allocations an opening makes.
static int64_t
s_open_at_each_allocation(log_model_t *model)
{
    int64_t nth = 0;
    while (s_open_short(model, nth)) {
        s_open_sound(model);
        assert_int_equal(model->store->ops->close(&model->store), 0);
        nth++;
        assert_true(nth < ALLOCATION_LIMIT);
    }
    return nth;
}

static void
test_open_without_memory_harms_nothing(void **state)
{
    (void) state;
    log_model_t model;
    sim_disk_t *disk = sim_disk_new(7);
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    s_fill(&model, 200);
    assert_int_equal(model.store->ops->close(&model.store), 0);
    assert_true(s_open_at_each_allocation(&model) > 20);
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

//  As a crash leaves it each time: there is a tail to be read and sealed.
static void
test_recovery_without_memory_harms_nothing(void **state)
{
    (void) state;
    log_model_t model;
    sim_disk_t *disk = sim_disk_new(11);
    log_model_init(&model, disk);
    assert_true(log_model_open(&model));
    s_fill(&model, 130);
    bool has_failed = true;
    for (int64_t nth = 0; has_failed; nth++) {
        log_model_abandon(&model);
        sim_disk_revive(disk);
        has_failed = s_open_short(&model, nth);
        s_open_sound(&model);
        assert_true(nth < ALLOCATION_LIMIT);
    }
    log_model_clear(&model);
    sim_disk_destroy(&disk);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_without_memory_harms_nothing),
        cmocka_unit_test(test_recovery_without_memory_harms_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
