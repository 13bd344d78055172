/*  yami_outbox_parts - the inside of yam_outbox and yam_dispatcher: what both need, whatever the
    database.
*/
#ifndef YAMI_OUTBOX_PARTS_H
#define YAMI_OUTBOX_PARTS_H

#include "yam_outbox_db.h"
#include "yami_batch.h"

#define YAMI_OUTBOX_IDENTITY 56 //  32 digits, '-', up to 19 digits, NUL

//  What a row is known by wherever it goes: the producer's id in hexadecimal, '-', its own.
void
yami_outbox_identity(char identity[YAMI_OUTBOX_IDENTITY],
                     const uint8_t producer[YAM_OUTBOX_PRODUCER], int64_t id);

//  Reads the record of a row; it borrows bytes. 0, or -1 with errno EBADMSG and a sentence.
int
yami_outbox_record(yami_record_t *record, const void *bytes, size_t size, int64_t id);

#endif
