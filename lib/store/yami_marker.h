/*  yami_marker - the file "store", which proves that a log with entries was here.

    A directory without one readable segment may be new, or have lost everything: the segments
    cannot say. Its name alone is the proof, so a torn one is as good as a whole one; its text is
    for people.
    Invariants:
    (1) It is made when an entry is durable, and the name of its segment, and before anybody is told
    so; once for each store.
    (2) Nobody removes it.
*/
#ifndef YAMI_MARKER_H
#define YAMI_MARKER_H

#include "yami_disk.h"

//  Makes it durable. Returns 0, or -1 with errno (ENOSPC, EMFILE, EIO ...); may be called again.
int
yami_marker_write(yami_disk_t *disk);

#endif
