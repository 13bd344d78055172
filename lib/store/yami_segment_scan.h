/*  yami_segment_scan - walks over a segment entry by entry, checking every checksum, stepping over
    what is bad.

    It reports; what a bad range means (torn tail or damage) is for its caller to say.
*/
#ifndef YAMI_SEGMENT_SCAN_H
#define YAMI_SEGMENT_SCAN_H

#include "yami_segment_reader.h"

typedef enum {
    YAMI_SCAN_END,    //  nothing more
    YAMI_SCAN_ENTRY,  //  entry is loaded, to be released by the caller
    YAMI_SCAN_FOOTER, //  likewise: its meta is the footer; the end follows
    YAMI_SCAN_BAD,    //  size bytes from offset on are no valid entry
} yami_scan_type_t;

typedef struct {
    yami_scan_type_t type;
    uint64_t offset;
    uint64_t size;      //  bytes in the file; 0: a gap in the numbering only
    uint64_t durable;   //  ENTRY, FOOTER: LSN known durable when it was written
    yami_entry_t entry; //  BAD: channel, base and count when the header is sound
    uint64_t first_lsn; //  BAD: lost, inclusive; 0 when not known
    uint64_t last_lsn;
    uint64_t at_lsn;  //  BAD: the LSN that was expected here; 0 when not known
    const char *what; //  BAD: static storage
} yami_scan_item_t;

typedef struct {
    yami_segment_reader_t *reader; //  borrowed
    yami_segment_t *segment;       //  borrowed
    uint64_t offset;               //  where to go on
    uint64_t end;                  //  where to stop
    bool is_end_known;             //  entries are known to reach up to end
    uint64_t next_lsn;             //  0: not known
    uint64_t last_lsn;             //  of the last entry before end, when known; else 0
    uint64_t lsn_limit;            //  entries from this LSN on are stale
} yami_segment_scan_t;

//  Starts at the segment's first entry, up to the end of its file.
void
yami_segment_scan_init(yami_segment_scan_t *self, yami_segment_reader_t *reader,
                       yami_segment_t *segment);

//  The next item; after END, offset is where entries ended. Returns 0, or -1 with errno (EIO,
//  ENOMEM).
int
yami_segment_scan_next(yami_segment_scan_t *self, yami_scan_item_t *item);

#endif
