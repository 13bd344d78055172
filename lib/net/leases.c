//  leases - deliveries by arrival and by token. See yami_leases.h.

#include "yami_leases.h"

#include <errno.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"

int
yami_delivery_decode(yami_delivery_t *self, const yami_frame_t *frame, yami_block_t *block)
{
    *self = (yami_delivery_t) {
        .block = block,
        .token = frame->token,
        .base = frame->base,
        .first = frame->first,
        .last = frame->last,
        .deliveries = (uint32_t) frame->deliveries,
        .failures = (uint32_t) frame->failures,
        .time_ms = (int64_t) frame->time,
    };
    if (yami_batch_decode(&self->batch, block->data, block->size) == -1) {
        return -1;
    }
    if (frame->first < frame->base || frame->last - frame->base >= self->batch.count) {
        errno = EPROTO;
        return -1;
    }
    return 0;
}

void
yami_leases_init(yami_leases_t *self)
{
    *self = (yami_leases_t) {0};
    TAILQ_INIT(&self->list);
}

//  Tokens may be counted or random: mix, so that either spreads (Knuth's multiplicative hashing).
static yami_lease_t **
s_bucket(yami_leases_t *self, uint64_t token)
{
    return &self->buckets[(token * 0x9e3779b97f4a7c15u) >> 52];
}

_Static_assert(YAMI_LEASES_BUCKETS == 1u << (64 - 52), "s_bucket uses that many bits");

yami_lease_t *
yami_leases_find(yami_leases_t *self, uint64_t token)
{
    if (self->latest != NULL && self->latest->delivery.token == token) {
        return self->latest;
    }
    yami_lease_t *lease = *s_bucket(self, token);
    while (lease != NULL && lease->delivery.token != token) {
        lease = lease->same_bucket;
    }
    self->latest = lease;
    return lease;
}

//  Moves past records before the first leased one. Whether they are well-formed.
static bool
s_skip(yami_lease_t *lease)
{
    yami_record_t record;
    for (uint64_t sequence = lease->delivery.base; sequence < lease->delivery.first; sequence++) {
        if (yami_batch_next(&lease->delivery.batch, &lease->offset, &record) == -1) {
            return false;
        }
    }
    return true;
}

yami_lease_t *
yami_leases_add(yami_leases_t *self, const yami_delivery_t *delivery)
{
    yami_lease_t *lease = yami_alloc(sizeof *lease);
    uint64_t count = delivery->last - delivery->first + 1;
    lease->delivery = *delivery;
    yami_block_ref_many(delivery->block, (uint32_t) count); //  (2)
    lease->next = delivery->first;
    lease->open = count;
    lease->messages_left = count;
    lease->bytes_left = delivery->block->size;
    lease->share = delivery->block->size / count;
    if (!s_skip(lease)) {
        lease->offset = delivery->batch.payload.size; //  found malformed when it is handed out
    }
    yami_lease_t **bucket = s_bucket(self, delivery->token);
    lease->same_bucket = *bucket;
    *bucket = lease;
    TAILQ_INSERT_TAIL(&self->list, lease, link);
    if (self->current == NULL) {
        self->current = lease; //  (1)
    }
    self->count++;
    self->ready += count;
    self->open += count;
    self->bytes += delivery->block->size;
    return lease;
}

//  Nothing more of this lease is to be handed out: lets go of its bytes.
static void
s_finish(yami_leases_t *self, yami_lease_t *lease)
{
    if (lease->delivery.block == NULL) {
        return;
    }
    uint64_t left = lease->delivery.last + 1 - lease->next;
    self->ready -= left;
    self->bytes -= lease->delivery.block->size;
    yami_block_unref_many(&lease->delivery.block, (uint32_t) left); //  (2)
    lease->next = lease->delivery.last + 1;
    if (self->current == lease) {
        self->current = TAILQ_NEXT(lease, link); //  (1): all behind it are untouched
    }
}

yam_message_t *
yami_leases_hand_out(yami_leases_t *self, yami_lease_t **lease_p)
{
    *lease_p = NULL;
    yami_lease_t *lease = self->current;
    if (lease == NULL) {
        return NULL;
    }
    yami_delivery_t *delivery = &lease->delivery;
    yami_record_t record;
    if (yami_batch_next(&delivery->batch, &lease->offset, &record) == -1) {
        s_finish(self, lease);
        *lease_p = lease;
        return NULL;
    }
    yam_message_t *message = yami_message_received(&self->spare, delivery->block, &record); //  (2)
    message->sequence = lease->next;
    message->token = delivery->token;
    message->time_ms = delivery->time_ms;
    message->deliveries = delivery->deliveries;
    message->failures = delivery->failures;
    lease->next++;
    self->ready--;
    if (lease->next > delivery->last) {
        s_finish(self, lease);
    }
    return message;
}

void
yami_leases_remove(yami_leases_t *self, yami_lease_t *lease)
{
    s_finish(self, lease);
    yami_lease_t **place = s_bucket(self, lease->delivery.token);
    while (*place != lease) {
        YAM_ASSERT(*place != NULL);
        place = &(*place)->same_bucket;
    }
    *place = lease->same_bucket;
    TAILQ_REMOVE(&self->list, lease, link);
    if (self->latest == lease) {
        self->latest = NULL;
    }
    self->count--;
    self->open -= lease->open;
    yami_free(lease);
}

void
yami_leases_clear(yami_leases_t *self)
{
    while (!TAILQ_EMPTY(&self->list)) {
        yami_leases_remove(self, TAILQ_FIRST(&self->list));
    }
    yami_message_pool_clear(&self->spare);
}

void
yami_leases_check(const yami_leases_t *self)
{
    uint64_t ready = 0;
    uint64_t open = 0;
    uint64_t bytes = 0;
    size_t count = 0;
    bool is_past = false;
    const yami_lease_t *lease = TAILQ_FIRST(&self->list);
    for (; lease != NULL; lease = TAILQ_NEXT(lease, link)) {
        is_past = is_past || lease == self->current;
        YAM_ASSERT((lease->delivery.block != NULL) == is_past); //  (1) (2)
        ready += lease->delivery.last + 1 - lease->next;
        open += lease->open;
        bytes += lease->delivery.block != NULL ? lease->delivery.block->size : 0;
        count++;
    }
    YAM_ASSERT(ready == self->ready && open == self->open); //  (3)
    YAM_ASSERT(bytes == self->bytes && count == self->count);
}
