//  Frames of calls: what memory they take. That they are read and written right: fuzz_rpc.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "yami_block.h"
#include "yami_rpc_frame.h"

#define MEMORY_BYTES (8u << 20) //  for what is small

//  Bytes that the process has mapped.
static uint64_t
s_mapped_bytes(void)
{
    char pages[100];
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_non_null(fgets(pages, sizeof pages, file));
    (void) fclose(file);
    return strtoull(pages, NULL, 10) * (uint64_t) sysconf(_SC_PAGESIZE);
}

static void
test_small_frame_takes_little_memory(void **state)
{
    (void) state;
    yami_id_t id = {{9}};
    yami_rpc_frame_t frame = {.kind = YAMI_RPC_PING,
                              .correlation = yami_slice_text("1"),
                              .record = {.priority = YAMI_PRIORITY_DEFAULT}};
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
    struct rlimit tight = {.rlim_cur = s_mapped_bytes() + MEMORY_BYTES, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    yami_block_t *block = yami_rpc_encode(&frame, &id, 1);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    assert_non_null(block);
    yami_block_unref(&block);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_frame_takes_little_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
