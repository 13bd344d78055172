/*  shortage - a part of a process runs while memory is short.

    Allocations that may fail (yami_alloc_test.h) do so from one of them on. Where the process
    cannot go on (YAM_NEED) it dies there, in the middle of whatever it does, and not the simulator
    with it: the Makefile links yami_starve to this file. Its memory stays as it was, and nobody's:
    whoever ran the part gives it to shortage_bury, and never looks at it again. Any other broken
    promise ends the simulator, as ever.
*/
#ifndef SHORTAGE_H
#define SHORTAGE_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
    SHORTAGE_NONE,   //  the part had memory enough
    SHORTAGE_FAILED, //  an allocation failed, and it went on
    SHORTAGE_DIED,   //  it could not
} shortage_t;

//  Runs part(arg) once; success_count (>= 0) allocations succeed before the one that fails. What is
//  the simulator's own in it stands between yami_alloc_pause(true) and (false).
shortage_t
shortage_run(int64_t success_count, void (*part)(void *arg), void *arg);

//  Keeps a copy of what a dead process had, size bytes with pointers to it, where a leak checker
//  finds it.
void
shortage_bury(const void *relics, size_t size);

#endif
