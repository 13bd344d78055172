/*  yami_batch_head - the header writer shared by builder and slice. Only for lib/wire. */
#ifndef YAMI_BATCH_HEAD_H
#define YAMI_BATCH_HEAD_H

#include "yami_batch.h"

//  Writes the header of the batch that begins at at and whose payload_size bytes of payload are
//  already in place behind it; checksums included.
void
yami_batch_write_head(uint8_t *at, const yami_batch_t *head, uint32_t count, size_t payload_size);

#endif
