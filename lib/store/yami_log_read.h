/*  yami_log_read - finds a sequence of a channel in the segments and loads its entry.

    Sequential reading goes on where it was; anything else starts at an index point, so at most 256
    KiB of the channel's neighbourhood are walked over, header by header.
*/
#ifndef YAMI_LOG_READ_H
#define YAMI_LOG_READ_H

#include "yami_segment_reader.h"

//  As read of yami_store.h, from the files only; entries up to durable_lsn are there.
int
yami_log_read(yami_index_t *index, yami_segment_reader_t *reader, uint64_t durable_lsn,
              uint32_t channel_id, uint64_t sequence, yami_entry_t *entry, yami_damage_t *damage);

#endif
