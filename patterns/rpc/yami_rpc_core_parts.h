/*  yami_rpc_core_parts - what the files of the caller's core share, and nobody else.
*/
#ifndef YAMI_RPC_CORE_PARTS_H
#define YAMI_RPC_CORE_PARTS_H

#include "yami_rpc_core.h"

//  Takes the call out of the list of its state, and off its server.
void
yami_rpc_core_leave(yami_rpc_core_t *self, yami_rpc_call_t *call);

//  A call that is in no list: to the alive server that has least to do, another one than the one
//  tried last if there is one; or it waits.
void
yami_rpc_core_place(yami_rpc_core_t *self, yami_rpc_call_t *call);

//  The outcome. block, if not NULL, is what record is part of; record NULL: no answer.
void
yami_rpc_core_finish(yami_rpc_core_t *self, yami_rpc_call_t *call, yam_status_t status,
                     yami_slice_t text, const yami_record_t *record, yami_block_t *block);

//  A call that is in no list is tried again when the pause is over; at once without memory for it.
void
yami_rpc_core_pause(yami_rpc_core_t *self, yami_rpc_call_t *call, int64_t due_ms);

//  Whether a server other than the one tried last is alive.
bool
yami_rpc_core_has_other(const yami_rpc_core_t *self, const yami_rpc_call_t *call);

//  Looks after one server.
int64_t
yami_rpc_core_watch(yami_rpc_core_t *self, int64_t now_ms, size_t index);

#endif
