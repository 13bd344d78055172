//  Memory: one place that can fail on purpose (yami_alloc_test.h) and one that never fails.

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yami_alloc_test.h"
#include "yami_base.h"

#define FIRST_CAPACITY 8

static _Thread_local int64_t s_success_count = -1; //  -1: never fail on purpose
static _Thread_local size_t s_large_limit;
static _Thread_local int s_has_failed;
static _Thread_local bool s_is_paused;

void
yami_alloc_fail_after(int64_t success_count)
{
    YAM_ASSERT(success_count >= -1);
    s_success_count = success_count;
    s_has_failed = 0;
}

void
yami_alloc_pause(bool is_paused)
{
    s_is_paused = is_paused;
}

int
yami_alloc_has_failed(void)
{
    return s_has_failed;
}

void
yami_alloc_fail_above(size_t limit)
{
    s_large_limit = limit;
    s_has_failed = 0;
}

static bool
s_fails_on_purpose(size_t size)
{
    if (s_is_paused) {
        return false;
    }
    if (s_large_limit > 0 && size > s_large_limit) {
        s_has_failed = 1;
        return true;
    }
    if (s_success_count == -1) {
        return false;
    }
    if (s_success_count > 0) {
        s_success_count--;
        return false;
    }
    s_has_failed = 1;
    return true;
}

_Noreturn void
yami_starve(const char *file, int line, const char *condition)
{
    if (errno != ENOMEM) {
        yami_panic(file, line, condition);
    }
    (void) fprintf(stderr, "yam: out of memory (%s:%d), aborting: restart to recover\n", file,
                   line);
    abort();
}

void *
yami_alloc(size_t size)
{
    void *memory = calloc(1, size > 0 ? size : 1);
    YAM_NEED(memory);
    return memory;
}

void *
yami_try_alloc(size_t size, size_t limit)
{
    YAM_ASSERT(size > 0);
    if (size > limit) {
        (void) yami_fail(EMSGSIZE, "%zu bytes are more than the limit of %zu", size, limit);
        return NULL;
    }
    void *memory = s_fails_on_purpose(size) ? NULL : malloc(size);
    if (!memory) {
        (void) yami_fail(ENOMEM, "out of memory: %zu bytes wanted", size);
    }
    return memory;
}

int
yami_grow(void *array_p, size_t *capacity_p, size_t needed, size_t element_size, size_t limit)
{
    YAM_ASSERT(element_size > 0);
    if (needed <= *capacity_p) {
        return 0;
    }
    size_t most = PTRDIFF_MAX / element_size;
    most = limit < most ? limit : most;
    if (needed > most) {
        return yami_fail(EMSGSIZE, "%zu elements are more than the limit of %zu", needed, most);
    }
    size_t capacity = *capacity_p > most / 2 ? most : *capacity_p * 2;
    if (capacity < FIRST_CAPACITY) {
        capacity = FIRST_CAPACITY < most ? FIRST_CAPACITY : most;
    }
    if (capacity < needed) {
        capacity = needed;
    }
    void *array;
    memcpy(&array, array_p, sizeof array); //  array_p is a T **: no void ** may alias it
    array = s_fails_on_purpose(capacity * element_size) ? NULL
                                                        : realloc(array, capacity * element_size);
    if (!array) {
        return yami_fail(ENOMEM, "out of memory: %zu bytes wanted", capacity * element_size);
    }
    memcpy(array_p, &array, sizeof array);
    *capacity_p = capacity;
    return 0;
}

void
yami_free(void *memory)
{
    free(memory);
}

char *
yami_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(yami_alloc(size), text, size);
}
