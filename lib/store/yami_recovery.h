/*  yami_recovery - reads a log back: after a clean close, a crash, or damage; for opening, or only
    to verify.

    Steps, each in a file of its own:
        yami_recovery_files   list the directory, read segment headers, tell segments from what a
        crash left half made
        yami_recovery_index   footers, or a scan where there is none; the torn tail is found and
        cut; is anything left?
        yami_recovery_missing segments that are not there any more
        yami_recovery_lost    whose sequences damage has hit
        yami_recovery         newest checkpoint, replay of what follows, report
        yami_recovery_scrub   (opening only) which entries before the checkpoint nobody has read
        yami_recovery_finish  (opening only) make the tail durable, seal it, tidy the directory
    Invariants:
    (1) Nothing in the directory changes before replay has accepted everything.
    (2) Each step can be cut off by a crash and run again with the same result.
    (3) No file is removed but: one a durable TRIM entry or checkpoint says was given back, one that
    never held an entry, or a spare that was not finished.
    (4) What is lost is named by all that a segment held, settled or not: the checkpoint's floors
    are raised when that is done.
*/
#ifndef YAMI_RECOVERY_H
#define YAMI_RECOVERY_H

#include "yami_checkpoint.h"
#include "yami_scrub.h"
#include "yami_segment_scan.h"
#include "yami_spares.h"

//  A file with a segment's name.
typedef enum {
    YAMI_FOUND_SOUND,    //  its header is valid
    YAMI_FOUND_HEADLESS, //  its header is not, but there are entries
    //  zeros or another generation in the header, no entries: made, never written
    YAMI_FOUND_BLANK,
    YAMI_FOUND_GARBAGE, //  nothing in it can be read
} yami_found_state_t;

typedef struct {
    uint64_t number;
    yami_found_state_t state;
    //  owned until the index has it, borrowed then; NULL when BLANK or GARBAGE
    yami_segment_t *segment;
    uint64_t file_bytes;
    uint64_t footer_offset; //  by the trailer; 0: none
    uint64_t footer_size;
    uint64_t trailer_lsn; //  last one by the trailer
    bool has_footer;      //  footer and trailer are as they should be
    bool is_cut;          //  shortened behind its trailer: all in it was durable before
    bool is_whole;        //  all in it was durable, so what is bad is damaged
    bool is_scanned;      //  its damage is known
    bool is_given_back;
    uint64_t tail_offset;    //  the first entry not known durable; 0: none
    uint64_t unnamed_ranges; //  of its damage, beyond the limit
    bool has_unnamed;        //  or what a range cost some channel
} yami_found_t;

typedef struct {
    //  Set by the caller:
    yami_disk_t *disk;      //  borrowed
    yami_spares_t *spares;  //  borrowed; NULL: verify, change nothing, visit everything
    yami_index_t *index;    //  borrowed; empty; holds the segments afterwards
    yami_replay_fn replay;  //  may be NULL
    yami_damage_fn damaged; //  may be NULL
    void *arg;
    bool refuse_damage;
    uint64_t scan_bytes; //  up to so many before the checkpoint are read, too
    size_t damage_limit; //  so many are named, the others are counted; 0: as many as may be
    //  Results:
    uint64_t next_lsn;
    uint64_t next_number;
    uint64_t previous;       //  number of the last segment; 0: none
    uint64_t store_id;       //  0: a new store
    uint64_t checkpoint_lsn; //  0: none
    uint64_t recovered_entries;
    uint64_t damaged_ranges;
    bool has_read_all; //  also what lies before the checkpoint
    //  Its own:
    yami_segment_reader_t reader;
    yami_found_t *found; //  owned; ascending numbers
    size_t found_count;
    size_t found_capacity;
    uint64_t *spare_numbers; //  owned
    size_t spare_count;
    size_t spare_capacity;
    uint64_t *filling_numbers; //  owned
    size_t filling_count;
    size_t filling_capacity;
    bool has_marker;  //  an entry was durable once
    bool has_entries; //  one can be read
    uint64_t *trims;  //  owned; segments named by TRIM entries
    size_t trim_count;
    size_t trim_capacity;
    yami_damage_t *damages; //  owned
    size_t damage_count;
    size_t damage_capacity;
    uint64_t unnamed_missing;     //  missing segments beyond the limit
    uint64_t unnamed_missing_lsn; //  the end of the last of them
    bool has_unnamed_missing;     //  or what those cost some channel
    yami_checkpoint_t checkpoint;
    size_t checkpoint_found; //  index in found of the segment with the checkpoint
    uint64_t checkpoint_offset;
    int list_error;
} yami_recovery_t;

//  Runs all steps. Returns 0, or -1 with errno (see yami_segment_log_open) and a sentence.
int
yami_recovery_run(yami_recovery_t *self);

//  Frees what it owns, and closes its files. The index stays.
void
yami_recovery_clear(yami_recovery_t *self);

//  For its own files:

int
yami_recovery_list(yami_recovery_t *self);
int
yami_recovery_load_index(yami_recovery_t *self);
int
yami_recovery_finish(yami_recovery_t *self);

//  Whether entries of a segment lie before the checkpoint and only its footer was looked at.
bool
yami_recovery_is_unread(const yami_recovery_t *self, const yami_found_t *found);

//  Bytes of entries in all such segments.
uint64_t
yami_recovery_unread_bytes(const yami_recovery_t *self);

//  Hands all such segments to the scrub. Returns 0, or -1 with errno ENOMEM.
int
yami_recovery_plan_scrub(const yami_recovery_t *self, yami_scrub_t *scrub);

//  Remembers a damaged range, to be reported; of those beyond the limit, how many in which file
//  (their bytes are not kept aside). A torn tail beyond it is left out: it is no damage. Returns 0,
//  or -1 with errno ENOMEM, or EMSGSIZE without a list of files.
int
yami_recovery_add_damage(yami_recovery_t *self, const yami_damage_t *damage);

//  The same, for another channel, of a range that was added. 0 also when that cannot be named.
int
yami_recovery_add_loss(yami_recovery_t *self, const yami_damage_t *damage);

//  The same for what a scan of a segment found bad.
int
yami_recovery_add_bad(yami_recovery_t *self, const yami_found_t *found,
                      const yami_scan_item_t *item, bool is_torn_tail);

//  The same for segments that should be there and are not, or of which nothing can be read.
int
yami_recovery_find_missing(yami_recovery_t *self);

//  Whether a TRIM entry says that the segment was given back.
bool
yami_recovery_is_trimmed(const yami_recovery_t *self, uint64_t number);

//  Adds to the damage of a segment that sequences first..last of channel were lost with it.
int
yami_recovery_name_lost(yami_recovery_t *self, uint64_t segment, uint32_t channel, uint64_t first,
                        uint64_t last);

//  The same for a gap before an entry that was replayed from a segment with a footer;
//  is_from_start: from its first entry on.
int
yami_recovery_name_entry(yami_recovery_t *self, const yami_found_t *found,
                         const yami_entry_t *entry, bool is_from_start);

//  The same for what its footer lists behind the last entry that was replayed.
int
yami_recovery_name_rest(yami_recovery_t *self, const yami_found_t *found, bool is_from_start);

//  The same for what channels miss between segments, or before their first: those that are missing
//  held it, or such as lost their footer with their end.
int
yami_recovery_name_missing(yami_recovery_t *self);

//  The file of that number, or NULL.
const yami_found_t *
yami_recovery_find(const yami_recovery_t *self, uint64_t number);

//  The last one that is a segment, or NULL.
yami_found_t *
yami_recovery_last(const yami_recovery_t *self);

#endif
