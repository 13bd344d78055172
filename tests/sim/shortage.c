//  Memory that runs out. See shortage.h.

#include "shortage.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>

#include "yami_alloc_test.h"
#include "yami_base.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

typedef struct s_grave {
    struct s_grave *next;
    max_align_t relics[];
} s_grave_t;

static s_grave_t *s_graves;
static jmp_buf s_death;
static bool s_is_short; //  a part runs

//  What YAM_NEED calls here, and what it calls elsewhere: names that ld --wrap gives.
_Noreturn void
__wrap_yami_starve(const char *file, int line, const char *condition);
_Noreturn void
__real_yami_starve(const char *file, int line, const char *condition);

_Noreturn void
__wrap_yami_starve(const char *file, int line, const char *condition)
{
    if (s_is_short && errno == ENOMEM && yami_alloc_has_failed()) {
        longjmp(s_death, 1);
    }
    __real_yami_starve(file, line, condition);
}

//  What the dead held when they died is on a stack that is gone: no leak of the living.
static void
s_begin(int64_t success_count)
{
#if defined(__SANITIZE_ADDRESS__)
    __lsan_disable();
#endif
    s_is_short = true;
    yami_alloc_fail_after(success_count);
}

static void
s_end(void)
{
    yami_alloc_fail_after(-1);
    s_is_short = false;
#if defined(__SANITIZE_ADDRESS__)
    __lsan_enable();
#endif
}

shortage_t
shortage_run(int64_t success_count, void (*part)(void *arg), void *arg)
{
    YAM_ASSERT(!s_is_short && success_count >= 0);
    s_begin(success_count);
    if (setjmp(s_death) != 0) {
        s_end();
        return SHORTAGE_DIED;
    }
    part(arg);
    shortage_t outcome = yami_alloc_has_failed() ? SHORTAGE_FAILED : SHORTAGE_NONE;
    s_end();
    return outcome;
}

void
shortage_bury(const void *relics, size_t size)
{
    s_grave_t *grave = yami_alloc(sizeof *grave + size);
    memcpy(grave->relics, relics, size);
    grave->next = s_graves;
    s_graves = grave;
}
