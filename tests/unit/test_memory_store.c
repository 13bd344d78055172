//  The store in memory: the same table, nothing on a disk.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "yam_status.h"
#include "yami_alloc_test.h"
#include "yami_memory_store.h"

static int
s_append(yami_store_t *store, uint32_t channel, uint64_t base, uint32_t count, size_t data_size)
{
    uint8_t *bytes = NULL;
    yami_block_t *data = data_size > 0 ? yami_block_alloc(data_size, data_size, &bytes) : NULL;
    if (data) {
        memset(bytes, (int) base, data_size);
    }
    yami_entry_t entry = {.kind = 18,
                          .channel = channel,
                          .base = base,
                          .count = count,
                          .meta = "meta",
                          .meta_size = 4,
                          .data = data};
    int rc = store->ops->append(store, &entry);
    yami_block_unref(&data);
    return rc;
}

static void
s_expect(yami_store_t *store, uint32_t channel, uint64_t sequence, uint64_t base)
{
    yami_entry_t entry;
    yami_damage_t damage;
    int rc = store->ops->read(store, channel, sequence, &entry, &damage);
    if (base == 0) {
        assert_int_equal(rc, -1);
        assert_int_equal(errno, ENOENT);
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(entry.base, base);
    assert_memory_equal(entry.meta, "meta", 4);
    yami_store_release(&entry);
    yami_store_release(&entry);
}

static void
test_entries_are_read_after_commit_until_trimmed(void **state)
{
    (void) state;
    yami_store_t *store = yami_memory_store_new(1 << 20);
    assert_int_equal(store->level, YAM_LEVEL_RECEIVED);
    for (uint64_t base = 1; base <= 100; base += 5) {
        assert_int_equal(s_append(store, 1, base, 5, 100), 0);
        assert_int_equal(s_append(store, 2, base, 5, 0), 0);
    }
    s_expect(store, 1, 1, 0);
    uint64_t durable_lsn = 0;
    assert_int_equal(store->ops->commit(store, &durable_lsn), 1);
    assert_int_equal(durable_lsn, 40);
    assert_int_equal(store->ops->commit(store, &durable_lsn), 0);
    s_expect(store, 1, 1, 1);
    s_expect(store, 1, 58, 56);
    s_expect(store, 2, 100, 96);
    s_expect(store, 2, 101, 0);
    s_expect(store, 3, 1, 0);
    store->ops->trim(store, 1, 58);
    s_expect(store, 1, 1, 56); //  the next one that is there
    store->ops->trim(store, 1, 101);
    s_expect(store, 1, 1, 0);
    assert_int_equal(s_append(store, 1, 100, 5, 10), -1);
    assert_int_equal(errno, EINVAL);
    yami_entry_t large = {.kind = 18, .channel = 1, .base = 101, .count = 1, .meta = ""};
    large.meta_size = YAMI_LIMIT_ENTRY_META + 1;
    assert_int_equal(store->ops->append(store, &large), -1);
    assert_int_equal(errno, EMSGSIZE);
    assert_int_equal(s_append(store, 1, 101, 5, 10), 0);
    assert_false(store->ops->wants_checkpoint(store));
    assert_int_equal(store->ops->close(&store), 0);
    assert_null(store);
}

static void
test_limit_refuses_data_until_trimmed(void **state)
{
    (void) state;
    yami_store_t *store = yami_memory_store_new(100000);
    uint64_t base = 1;
    while (s_append(store, 1, base, 1, 1000) == 0) {
        base++;
        assert_true(base < 1000);
    }
    assert_int_equal(errno, ENOSPC);
    assert_true(base > 80);
    assert_int_equal(s_append(store, 1, 0, 0, 0), 0); //  no data: taken
    store->ops->trim(store, 1, base / 2);
    assert_true(store->ops->has_room(store));
    assert_int_equal(s_append(store, 1, base, 1, 1000), 0);
    assert_int_equal(store->ops->close(&store), 0);
}

static void
test_nth_allocation_fails_and_nothing_is_half_done(void **state)
{
    (void) state;
    for (int64_t nth = 0; nth < 60; nth++) {
        yami_store_t *store = yami_memory_store_new(1 << 20);
        yami_alloc_fail_after(nth);
        uint64_t done = 0;
        while (done < 20) {
            yami_entry_t entry = {.kind = 18,
                                  .channel = (uint32_t) done,
                                  .base = 1,
                                  .count = 1,
                                  .meta = "meta",
                                  .meta_size = 4};
            if (store->ops->append(store, &entry) == -1) {
                assert_int_equal(errno, ENOMEM);
                break;
            }
            done++;
            assert_int_equal(entry.lsn, done);
        }
        yami_alloc_fail_after(-1);
        uint64_t durable_lsn = 0;
        (void) store->ops->commit(store, &durable_lsn);
        assert_int_equal(durable_lsn, done);
        for (uint32_t channel = 0; channel < 20; channel++) {
            s_expect(store, channel, 1, channel < done ? 1 : 0);
        }
        assert_int_equal(store->ops->close(&store), 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_are_read_after_commit_until_trimmed),
        cmocka_unit_test(test_limit_refuses_data_until_trimmed),
        cmocka_unit_test(test_nth_allocation_fails_and_nothing_is_half_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
