/*  yam_status - typed outcomes that travel on the wire.

    The numbers are fixed by patterns/relay/SPEC.md, section "Status codes"; errno never travels.
*/
#ifndef YAM_STATUS_H
#define YAM_STATUS_H

#include <stdbool.h>

#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    YAM_STATUS_OK = 0,
    YAM_STATUS_FULL = 1,           //  the channel is at its limit; try again later
    YAM_STATUS_TOO_BIG = 2,        //  the message is larger than the receiver's limit
    YAM_STATUS_DISK = 3,           //  too little free disk; try again later
    YAM_STATUS_NOT_ALLOWED = 4,    //  no right to do this
    YAM_STATUS_CONFLICT = 5,       //  same identity, other content
    YAM_STATUS_CLOSING = 6,        //  draining or shutting down; try again later
    YAM_STATUS_STORAGE_FAILED = 7, //  the store failed; the relay stops serving
    YAM_STATUS_GAP = 8,            //  sequences before this one are missing; send those first
    //  a newer epoch of this producer, or owner of this lease, exists
    YAM_STATUS_FENCED = 9,
    YAM_STATUS_MALFORMED = 10,  //  the bytes are not a valid frame
    YAM_STATUS_VERSION = 11,    //  protocol version not spoken here
    YAM_STATUS_UNKNOWN = 12,    //  command, channel, group or handle not known
    YAM_STATUS_NO_SESSION = 13, //  say HELLO first
    YAM_STATUS_LIMIT = 14,      //  a limit on peers, handles, channels, groups was reached
    YAM_STATUS_TIMEOUT = 15,    //  the lease or deadline ran out
    YAM_STATUS_INTERNAL = 16,   //  a fault of the answering side
} yam_status_t;

//  How durable a confirmed message is.
typedef enum {
    YAM_LEVEL_NONE = 0,       //  handed to the transport, nothing known
    YAM_LEVEL_RECEIVED = 1,   //  in the relay's memory
    YAM_LEVEL_WRITTEN = 2,    //  written to a file, not synced
    YAM_LEVEL_SYNCED = 3,     //  written and fdatasync'ed
    YAM_LEVEL_REPLICATED = 4, //  synced on a majority
} yam_level_t;

//  Lower-case name, such as "too-big"; "status-N" never: an unknown number gives "unknown-status".
//  Never NULL, static storage.
YAM_EXPORT const char *
yam_status_name(yam_status_t status);

//  Whether the same request may succeed later without being changed.
YAM_EXPORT bool
yam_status_is_temporary(yam_status_t status);

//  The errno that API calls report for a status: the one table between wire and errno.
YAM_EXPORT int
yam_status_errno(yam_status_t status);

//  "none", "received", "written", "synced", "replicated"; "unknown-level" otherwise. Static
//  storage.
YAM_EXPORT const char *
yam_level_name(yam_level_t level);

#ifdef __cplusplus
}
#endif
#endif
