/*  yami_alloc_test - makes an allocation fail on purpose, so that tests reach the paths nobody
    sees.

    Only tests include this. It counts what may fail (yami_try_alloc, yami_grow and what stands on
    them), never yami_alloc, which does not return NULL. Per thread.
*/
#ifndef YAMI_ALLOC_TEST_H
#define YAMI_ALLOC_TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Lets success_count (>= 0) more allocations of this thread succeed; the one after fails with
//  ENOMEM, and so do all later ones. -1 ends it.
void
yami_alloc_fail_after(int64_t success_count);

//  Lets allocations of this thread of more than limit bytes fail with ENOMEM: memory has no room
//  for large ones. 0 ends it.
void
yami_alloc_fail_above(size_t limit);

//  While a test's own code runs in the middle of what it tests, nothing fails and nothing is
//  counted.
void
yami_alloc_pause(bool is_paused);

//  Whether an allocation of this thread has failed on purpose since the last of these calls.
int
yami_alloc_has_failed(void);

#endif
