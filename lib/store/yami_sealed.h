/*  yami_sealed - reads all entries of one sealed segment by itself, and says what is damaged.

    What recovery does with a segment it replays, but without the log around it: no file is changed,
    nothing is kept of what is sound. Its files are its own, and so is all memory it uses.
*/
#ifndef YAMI_SEALED_H
#define YAMI_SEALED_H

#include "yami_disk.h"
#include "yami_segment.h"
#include "yami_store.h"

//  What has to be known of it.
typedef struct {
    yami_segment_header_t header;
    uint64_t file_bytes;
    uint64_t end;      //  offset of the footer
    uint64_t last_lsn; //  of the entry before it
    uint64_t limit;    //  damage from this offset on is known already
} yami_sealed_t;

//  Called after each entry or bad range of so many bytes; false: stop.
typedef bool (*yami_pace_fn)(void *arg, uint64_t bytes);

//  Returns 0, or -1 with errno (EIO, ENOMEM, EMFILE ...) when it could not be read to its end. In
//  both cases *damages_p has what was found, *count_p ranges in the order of the segment, lost
//  sequences named as recovery names them; the caller frees it with yami_free.
int
yami_sealed_check(yami_disk_t *disk, const yami_sealed_t *sealed, yami_pace_fn pace, void *arg,
                  yami_damage_t **damages_p, size_t *count_p);

#endif
