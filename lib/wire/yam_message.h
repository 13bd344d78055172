/*  yam_message - one message: a body, optional properties, and where it came from.

    The user builds one to send it with properties, or receives one. A received message borrows the
    bytes of the frame it came in, without copying; it stays valid until it is destroyed or settled,
    also after the receiving object is gone. Not thread-safe: one owner at a time, which may be any
    thread.
*/
#ifndef YAM_MESSAGE_H
#define YAM_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct yam_message yam_message_t;

//  A message to send, with a copy of size bytes of body. NULL with errno EMSGSIZE (more than 16
//  MiB) or ENOMEM. The caller owns the result.
YAM_EXPORT yam_message_t *
yam_message_new(const void *body, size_t size);

//  Frees *self_p and clears it. Safe on NULL. In the sure grade this settles nothing: an unsettled
//  message is delivered again when its lease has run out.
YAM_EXPORT void
yam_message_destroy(yam_message_t **self_p);

//  The body. Never NULL; not NUL-terminated. Borrowed.
YAM_EXPORT const void *
yam_message_body(const yam_message_t *self);

//  Bytes of the body, 0..16 MiB.
YAM_EXPORT size_t
yam_message_size(const yam_message_t *self);

//  Sets a property of a message that is to be sent; an earlier value of that name is replaced.
//  Well-known names: "key" (messages of one key keep their order), "tag", "subject",
//  "correlation-id", "content-type", "trace", "reply-to", "id" (by which a delayed message can be
//  cancelled, 1..200 bytes). Returns 0, or -1 with errno EINVAL (empty name, a name that begins
//  with "yam-", a malformed subject, a received message), EMSGSIZE (64 KiB of properties, 64 of
//  them) or ENOMEM; nothing changed then.
YAM_EXPORT int
yam_message_set(yam_message_t *self, const char *name, const char *value);

//  A property's value as text (integers in decimal), NULL when there is none. Borrowed until the
//  next call with this message.
YAM_EXPORT const char *
yam_message_get(yam_message_t *self, const char *name);

//  Name of the property number index (0..), NULL past the end. Borrowed until the next call.
YAM_EXPORT const char *
yam_message_property_name(yam_message_t *self, size_t index);

//  The subject, "" when there is none: the topic frame of a fast SUB, else the property "subject".
//  Borrowed.
YAM_EXPORT const char *
yam_message_subject(yam_message_t *self);

//  The channel's sequence of a message received in the sure grade, > 0; in the fast grade the
//  sender's own; 0 for raw frames and messages not received.
YAM_EXPORT uint64_t
yam_message_sequence(const yam_message_t *self);

//  How often this message was handed to a consumer, this time included (>= 1), and how often it
//  failed (nack or lease timeout); 1 and 0 in the fast grade.
YAM_EXPORT uint32_t
yam_message_deliveries(const yam_message_t *self);
YAM_EXPORT uint32_t
yam_message_failures(const yam_message_t *self);

//  When the relay took it, milliseconds since 1970; 0 in the fast grade. For a delayed message:
//  when its time had come.
YAM_EXPORT int64_t
yam_message_time_ms(const yam_message_t *self);

//  Asks that nobody gets a message that is to be sent before due_ms, milliseconds since 1970 by the
//  relay's wall clock: until then the relay keeps it in CHANNEL.delayed, where it can be cancelled
//  by its property "id" (see yam_admin.h). A time that is past delays nothing; 0 takes an earlier
//  wish back. Only the sure grade can, and names of up to 192 bytes: sending such a message
//  otherwise fails with ENOTSUP or ENAMETOOLONG.
//  Returns 0, or -1 with errno EINVAL (not 0..2^53-1, a received message); nothing changed then.
YAM_EXPORT int
yam_message_set_due(yam_message_t *self, int64_t due_ms);

//  What was asked for so, also of a received message; 0 when nothing was.
YAM_EXPORT int64_t
yam_message_due_ms(const yam_message_t *self);

#ifdef __cplusplus
}
#endif
#endif
