/*  sim_disk - a disk in memory that forgets what was not synced, and fails when told to.

    It outlives the stores opened on it, as a disk outlives a process. From one seed, so a run can
    be repeated. On a crash, for each file: every 512-byte sector written since its last sync is
    kept or lost on its own; a changed size likewise; and of the names it had since the last sync of
    the directory, one is drawn. A sync that fails loses what it should have written, and says
    nothing of it afterwards (as ext4 does).
*/
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "yami_disk.h"

typedef struct sim_disk sim_disk_t;

//  An empty disk. Never NULL.
sim_disk_t *
sim_disk_new(uint64_t seed);

//  The same files, all of them durable; no faults planned.
sim_disk_t *
sim_disk_clone(const sim_disk_t *self, uint64_t seed);

void
sim_disk_destroy(sim_disk_t **self_p);

//  What a process gets when it opens the disk; the store owns it.
yami_disk_t *
sim_disk_attach(sim_disk_t *self);

//  Power is lost: what was not synced is kept or not. Nothing must be attached. Ends all planned
//  faults.
void
sim_disk_crash(sim_disk_t *self);

//  The process was killed: nothing is lost. Ends all planned faults.
void
sim_disk_revive(sim_disk_t *self);

//  The process is gone without a word: what it had attached is closed.
void
sim_disk_abandon(sim_disk_t *self);

//  From the count-th operation from now on (1: the next) all fail with EIO, as if the process were
//  dead.
void
sim_disk_die_after(sim_disk_t *self, uint64_t count);

//  Whether that has happened.
bool
sim_disk_is_dead(const sim_disk_t *self);

//  The count-th operation from now on fails, once, with error; with ENOSPC only one that takes
//  space, with EMFILE and ENFILE only one that opens a file.
void
sim_disk_fail_after(sim_disk_t *self, uint64_t count, int error);

//  From now on no file can be opened, for that reason; 0: they can again.
void
sim_disk_deny_opens(sim_disk_t *self, int error);

//  A disk that says synced and is not: what a harness must find out.
void
sim_disk_ignore_syncs(sim_disk_t *self, bool ignores);

//  From now on a call that reads or writes may move a part of what it is asked to, or say EINTR and
//  move nothing; false: each moves all.
void
sim_disk_move_parts(sim_disk_t *self, bool moves_parts);

//  Whether a planned failure has happened.
bool
sim_disk_has_failed(const sim_disk_t *self);

//  Operations so far.
uint64_t
sim_disk_operations(const sim_disk_t *self);

//  Space for further files; negative: no limit.
void
sim_disk_set_free(sim_disk_t *self, int64_t free_bytes);

//  The bytes of a file, to be changed at will; NULL when there is no such name.
uint8_t *
sim_disk_bytes(sim_disk_t *self, const char *name, size_t *size_p);

//  Cuts or lengthens a file.
void
sim_disk_resize(sim_disk_t *self, const char *name, size_t size);

void
sim_disk_remove(sim_disk_t *self, const char *name);

//  The index-th name in order of creation; NULL at the end.
const char *
sim_disk_name(const sim_disk_t *self, size_t index);

//  Files whose name contains part.
size_t
sim_disk_count(const sim_disk_t *self, const char *part);

//  A random number below limit, from the disk's seed.
uint64_t
sim_disk_draw(sim_disk_t *self, uint64_t limit);

#endif
