/*  yami_properties - the optional properties of one message: a msgpack map of str to str, bin, int
    or bool.

    Well-known names: "key", "tag", "subject", "correlation-id", "content-type", "trace",
    "reply-to". Names that begin with "yam-" are set by relays (dead letters: yam-origin, yam-group,
    yam-reason, yam-deliveries, yam-failures, yam-first-time, yam-last-time) and by yam_callback
    (yam-round); everything else is the user's. Pure; decoding never allocates.
*/
#ifndef YAMI_PROPERTIES_H
#define YAMI_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yami_reader.h"
#include "yami_writer.h"

//  A walk over the pairs of an encoded map.
typedef struct {
    yami_reader_t reader;
    uint32_t left; //  pairs not visited yet
} yami_properties_t;

typedef struct {
    yami_slice_t name;
    char type;         //  's', 'x', 'i' or 'b'
    yami_slice_t text; //  's' and 'x'
    int64_t number;    //  'i' and 'b'
} yami_property_t;

//  0, or -1 with errno EPROTO (not a map, too many pairs). An empty slice is a map without pairs.
int
yami_properties_start(yami_properties_t *self, yami_slice_t encoded);

//  1 with the next pair, 0 at the end, -1 with errno EPROTO (a value of another type, trailing
//  bytes).
int
yami_properties_next(yami_properties_t *self, yami_property_t *property);

//  Writes a pair as it was read.
void
yami_properties_write(yami_writer_t *writer, const yami_property_t *property);

//  Finds the last pair of that name. Whether it is there; false also when the map is malformed.
bool
yami_properties_find(yami_slice_t encoded, const char *name, yami_property_t *property);

//  Writes encoded with a pair of text more, which it must not have yet; writer is emptied first,
//  and keeps its memory. The map written, in writer's memory; or an empty slice with errno EPROTO,
//  or the writer's.
yami_slice_t
yami_properties_add(yami_writer_t *writer, yami_slice_t encoded, const char *name,
                    const char *value);

//  Whether a subject ("eu.de.orders") matches a filter: words split by '.', '*' one word, '>' one
//  or more at the end (the NATS rules). An empty filter matches everything, also no subject at all.
bool
yami_subject_matches(yami_slice_t subject, yami_slice_t filter);

//  0, or -1 with errno EINVAL and a sentence: too long, too many words, empty word, wildcard
//  (unless is_filter; there a wildcard is a whole word), control character. An empty filter is
//  sound.
int
yami_subject_check(const char *subject, bool is_filter);
int
yami_subject_check_slice(yami_slice_t subject, bool is_filter);

//  0, or -1 with errno EINVAL and a sentence. A name of a channel, group or producer:
//  1..YAMI_LIMIT_NAME bytes of letters, digits, '.', '-', '_', ':' , '/'; not starting with '.'.
int
yami_name_check(yami_slice_t name, const char *what);

//  0, or -1 with errno ENAMETOOLONG and a sentence. Of a channel that gets delayed messages: a
//  relay keeps these in one whose name has an end of its own.
int
yami_delayed_name_check(yami_slice_t name);

#endif
