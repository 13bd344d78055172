/*  yam_admin - asks a relay about itself, and tells it what to do: statistics, peek, purge,
    redrive.

    Synchronous: each call waits for the relay's answer. Not thread-safe; one owner. What commands
    there are, and the fields of their rows, says SPEC.md, section "Administration".
    Invariants:
    (1) After a failed call there are no rows.
    (2) A command was carried out at most once for each call, also when the relay went away and came
    back meanwhile.
*/
#ifndef YAM_ADMIN_H
#define YAM_ADMIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_context.h"
#include "yam_status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_admin yam_admin_t;

//  What is asked. Zero and NULL leave a field out.
typedef struct {
    const char *command; //  "stat", "peek", "purge", "redrive", "cancel" ...
    const char *channel;
    const char *group;
    const char *target; //  a channel to move to
    const char *id;     //  property "id" of delayed messages
    uint64_t sequence;  //  where to begin
    uint64_t messages;  //  at most so many
    bool is_dry_run;    //  say what would happen, and do nothing
} yam_admin_request_t;

//  Connects to the relay at endpoint ("tcp://host:9260?connect-timeout=2s&server-key=..."; options
//  as in yam_push.h) and waits for its welcome for "connect-timeout" [5 s], which is also the
//  deadline of every call. NULL with errno EINVAL, ETIMEDOUT (no relay answers there), EPROTO (what
//  answers is no relay), EPROTONOSUPPORT (another protocol version), EACCES, EMFILE, ECHILD, and a
//  sentence. The caller owns the result.
YAM_EXPORT yam_admin_t *
yam_admin_new(yam_t *yam, const char *endpoint);

//  Frees *self_p and clears it. Safe on NULL.
YAM_EXPORT void
yam_admin_destroy(yam_admin_t **self_p);

//  Sends a request and waits for the reply, whose rows stay until the next call. 0; or -1 with
//  errno ETIMEDOUT, ENOTCONN (the relay went away and did not say whether it did it), EPROTO
//  (malformed reply), EMSGSIZE (a field too long), ECHILD, or yam_status_errno of the relay's
//  refusal (EOPNOTSUPP or ENOENT for a command or channel it does not know, EACCES ...), and a
//  sentence.
YAM_EXPORT int
yam_admin_call(yam_admin_t *self, const yam_admin_request_t *request);

//  What the relay said besides the rows, "" when nothing. Borrowed until the next call.
YAM_EXPORT const char *
yam_admin_text(const yam_admin_t *self);

//  Rows of the last reply.
YAM_EXPORT size_t
yam_admin_row_count(const yam_admin_t *self);

//  Fields of row number row (0..); 0 past the end.
YAM_EXPORT size_t
yam_admin_field_count(const yam_admin_t *self, size_t row);

//  Name of a row's field number index (0..), NULL past the end. Borrowed until the next call.
YAM_EXPORT const char *
yam_admin_field_name(const yam_admin_t *self, size_t row, size_t index);

//  Type of a row's field: 'i' integer, 'b' bool, 's' text, 'x' bytes, 0 when there is none of that
//  name.
YAM_EXPORT char
yam_admin_type(const yam_admin_t *self, size_t row, const char *name);

//  An integer or bool (0, 1) field; 0 when there is none of that name and type.
YAM_EXPORT int64_t
yam_admin_number(const yam_admin_t *self, size_t row, const char *name);

//  A text or bytes field, NUL-terminated beyond its *size_p bytes (size_p may be NULL); "" when
//  there is none of that name and type. Borrowed until the next call.
YAM_EXPORT const char *
yam_admin_string(const yam_admin_t *self, size_t row, const char *name, size_t *size_p);

//  For offline tools: what an entry of a relay's log is, by its kind ("data", "settle", "move"
//  ...); "unknown" otherwise. Static storage.
YAM_EXPORT const char *
yam_admin_entry_name(uint16_t kind);

#ifdef __cplusplus
}
#endif
#endif
