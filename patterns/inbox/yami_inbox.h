/*  yami_inbox - the inside of yam_inbox: what a message says, in 32 bytes.

    inbox.c checks ids, sorts and counts; what a database must do for it is yam_inbox_db.h.
*/
#ifndef YAMI_INBOX_H
#define YAMI_INBOX_H

#include <stdint.h>

#include "yam_inbox_db.h"
#include "yami_message.h"

//  BLAKE2b of the body, then of name, type and value of each property, in their order, but for
//  "trace" and those of relays. 0, or -1 with errno EINVAL and a sentence: malformed properties.
int
yami_inbox_fingerprint(const yami_record_t *record, uint8_t fingerprint[YAM_INBOX_FINGERPRINT]);

//  The same of content that the application names: size bytes, and nothing else.
void
yami_inbox_fingerprint_content(const void *content, size_t size,
                               uint8_t fingerprint[YAM_INBOX_FINGERPRINT]);

#endif
