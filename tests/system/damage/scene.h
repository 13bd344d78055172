/*  scene - a sound store in small segments, known message by message, and what is done to copies of
    it.
*/
#ifndef DAMAGE_SCENE_H
#define DAMAGE_SCENE_H

#include "../harness/relay_process.h"

#define COUNT 400      //  messages, numbered from 1; their numbers are also the channel's sequences
#define AT_ONCE 8      //  messages between two flushes: no batch is longer
#define BODY_SIZE 1500 //  none is larger
#define SEGMENT_LIMIT 64
#define PATH_SIZE 700

typedef struct {
    char name[64];
    long size;
    unsigned first, last;    //  numbers of the messages in it; 0: none
    long offsets[COUNT + 1]; //  where their bodies begin
} damage_segment_t;

extern char damage_origin[400]; //  the sound store
extern damage_segment_t damage_segments[SEGMENT_LIMIT];
extern size_t damage_segment_count;

//  Makes the sound store and reads from its files what lies where.
int
damage_setup(void **state);

//  A segment in the middle that has messages.
damage_segment_t *
damage_middle(void);

//  A copy of the store, for a relay that is not started yet.
void
damage_copy_store(relay_process_t *relay, const char *name);

//  The file of a segment in that copy; path has PATH_SIZE.
void
damage_path(const relay_process_t *relay, const damage_segment_t *segment, char *path);

//  Zeroes size bytes, or flips a bit in each.
void
damage_change(const relay_process_t *relay, const damage_segment_t *segment, long offset,
              size_t size, bool is_zeroed);

//  The log ends amid that message of the segment.
void
damage_end_in(const relay_process_t *relay, const damage_segment_t *segment, unsigned number);

//  What `yam verify` says: its exit code; and in lost[] which messages are in the ranges it names.
//  When it finds damage it must name this segment.
int
damage_verify(const relay_process_t *relay, const damage_segment_t *segment, bool *lost,
              bool *has_torn_tail_p);

//  Takes all that a running relay has, in order, and checks each; received[] says which came.
void
damage_receive(const relay_process_t *relay, bool *received);

//  The relay starts, says what is damaged, delivers all but exactly those in lost, all of them of
//  first..last, and works on as if nothing had been.
void
damage_assert_serves_the_rest(relay_process_t *relay, const bool *lost, unsigned first,
                              unsigned last, bool must_report);

#endif
