//  Connections. See network.h.
//  One file: a connection is opened, fed, cut and lost by the same few functions on its two queues.

#include "network.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_frame.h"

#define CLIENT_LIMIT 64
#define QUEUE_LIMIT 100000
#define LINK_LIMIT 100000
#define CONNECT_MIN_US 100
#define CONNECT_MAX_US 1500
#define AGAIN_MIN_US 20000
#define AGAIN_MAX_US 300000
#define TRANSIT_MIN_US 20
#define TRANSIT_MAX_US 400
#define NOTICE_MAX_US 30000 //  until the relay's socket knows of a cut

typedef struct {
    yami_block_t *block; //  owned
    yami_block_t *data;  //  owned; NULL: one part
} s_item_t;

typedef struct {
    s_item_t *items; //  owned; used from head
    size_t head;
    size_t count;
    size_t capacity;
} s_queue_t;

struct network_link {
    network_t *network;
    network_client_t *client; //  NULL once it let go
    uint64_t number;
    s_queue_t queues[2];
    int64_t last_us[2]; //  arrival of the last frame on its way
    bool is_void[2];    //  half-open
    bool is_known;      //  the relay can send
};

struct network_client {
    network_t *network;
    uint64_t index;
    const network_client_ops_t *ops;
    void *arg;
    bool waits;
    bool is_open;
    uint64_t attempt; //  of connecting: what was scheduled for another is void
    network_link_t *link;
    s_queue_t waiting;
    uint64_t random;
    int64_t frozen_us;      //  until
    int64_t unreachable_us; //  until
    int64_t slow_us;        //  until
    int64_t slow_by_us;
    int64_t chaos_us; //  until
    unsigned chaos_permille;
};

struct network {
    world_t *world;
    const network_relay_ops_t *ops;
    void *arg;
    network_client_t *clients[CLIENT_LIMIT]; //  owned
    size_t client_count;
    network_link_t **links; //  owned; number - 1
    size_t link_count;
    size_t link_capacity;
    uint64_t random;
};

//  -- Queues

static void
s_put(s_queue_t *queue, yami_block_t *block, yami_block_t *data)
{
    if (queue->head > 0 && queue->head + queue->count == queue->capacity) {
        memmove(queue->items, queue->items + queue->head, queue->count * sizeof *queue->items);
        queue->head = 0;
    }
    int rc = yami_grow(&queue->items, &queue->capacity, queue->head + queue->count + 1,
                       sizeof *queue->items, QUEUE_LIMIT);
    YAM_ASSERT(rc == 0);
    queue->items[queue->head + queue->count++] =
        (s_item_t) {yami_block_ref(block), yami_block_ref(data)};
}

static bool
s_take(s_queue_t *queue, s_item_t *item)
{
    if (queue->count == 0) {
        return false;
    }
    *item = queue->items[queue->head++];
    queue->count--;
    return true;
}

static void
s_drop(s_item_t *item)
{
    yami_block_unref(&item->block);
    yami_block_unref(&item->data);
}

//  Keeps the first count.
static void
s_truncate(s_queue_t *queue, size_t count)
{
    while (queue->count > count) {
        s_drop(&queue->items[queue->head + --queue->count]);
    }
}

//  -- Frames on their way

static void
s_arrive(void *arg, uint64_t direction)
{
    network_link_t *link = arg;
    network_t *self = link->network;
    int64_t reads_us = direction == NETWORK_UP ? self->ops->reads_at(self->arg)
                       : link->client != NULL  ? link->client->frozen_us
                                               : 0;
    int64_t wait_us = reads_us - self->world->now_us;
    if (wait_us > 0) {
        world_after(self->world, wait_us, s_arrive, link, direction);
        return;
    }
    s_item_t item;
    if (!s_take(&link->queues[direction], &item)) {
        return; //  lost in a cut
    }
    if (direction == NETWORK_UP && self->ops->is_listening(self->arg)) {
        self->ops->arrive(self->arg, link->number, item.block);
    } else if (direction == NETWORK_DOWN && link->client != NULL) {
        link->client->ops->arrive(link->client->arg, item.block, item.data);
    }
    s_drop(&item);
}

static void
s_transmit(network_link_t *link, uint64_t direction, yami_block_t *block, yami_block_t *data)
{
    network_t *self = link->network;
    uint64_t *random = link->client != NULL ? &link->client->random : &self->random;
    int64_t transit_us = world_between(random, TRANSIT_MIN_US, TRANSIT_MAX_US);
    if (link->client != NULL && self->world->now_us < link->client->slow_us) {
        transit_us += world_between(random, 0, link->client->slow_by_us);
    }
    int64_t at_us = self->world->now_us + transit_us;
    at_us = at_us > link->last_us[direction] ? at_us : link->last_us[direction];
    link->last_us[direction] = at_us;
    s_put(&link->queues[direction], block, data);
    world_after(self->world, at_us - self->world->now_us, s_arrive, link, direction);
}

//  A copy with one bit flipped.
static yami_block_t *
s_damaged(network_client_t *client, const yami_block_t *block)
{
    uint8_t *bytes;
    yami_block_t *copy = yami_block_alloc(block->size, block->size, &bytes);
    YAM_ASSERT(copy != NULL);
    memcpy(bytes, block->data, block->size);
    bytes[world_draw(&client->random, block->size)] ^=
        (uint8_t) (1u << world_draw(&client->random, 8));
    return copy;
}

//  What the hostile proxy does to one frame.
static void
s_maltreat(network_link_t *link, uint64_t direction, yami_block_t *block, yami_block_t *data)
{
    network_client_t *client = link->client;
    s_queue_t *queue = &link->queues[direction];
    yami_block_t *bad = NULL;
    switch (world_draw(&client->random, 4)) {
    case 0:
        break; //  dropped
    case 1:
        s_transmit(link, direction, block, data);
        s_transmit(link, direction, block, data);
        break;
    case 2:
        s_transmit(link, direction, block, data);
        if (queue->count >= 2) {
            s_item_t *last = &queue->items[queue->head + queue->count - 1];
            s_item_t item = *last;
            *last = last[-1];
            last[-1] = item;
        }
        break;
    default: //  only batches have a checksum; other frames are dropped
        if (data != NULL) {
            bad = s_damaged(client, data);
            s_transmit(link, direction, block, bad);
        } else if (yami_frame_is_batch(block->data, block->size)) {
            bad = s_damaged(client, block);
            s_transmit(link, direction, bad, NULL);
        }
        yami_block_unref(&bad);
        break;
    }
}

static void
s_send(network_link_t *link, uint64_t direction, yami_block_t *block, yami_block_t *data)
{
    network_client_t *client = link->client;
    if (link->is_void[direction]) {
        return;
    }
    if (client != NULL && link->network->world->now_us < client->chaos_us &&
        world_chance(&client->random, client->chaos_permille)) {
        s_maltreat(link, direction, block, data);
        return;
    }
    s_transmit(link, direction, block, data);
}

//  -- Connections

static void
s_connect(void *arg, uint64_t attempt)
{
    network_client_t *client = arg;
    network_t *self = client->network;
    world_t *world = self->world;
    if (!client->is_open || client->link != NULL || attempt != client->attempt) {
        return;
    }
    if (!self->ops->is_listening(self->arg) || world->now_us < client->unreachable_us) {
        world_after(world, world_between(&client->random, AGAIN_MIN_US, AGAIN_MAX_US), s_connect,
                    client, attempt);
        return;
    }
    network_link_t *link = yami_alloc(sizeof *link);
    int rc = yami_grow(&self->links, &self->link_capacity, self->link_count + 1,
                       sizeof(network_link_t *), LINK_LIMIT);
    YAM_ASSERT(rc == 0);
    self->links[self->link_count++] = link;
    *link = (network_link_t) {
        .network = self, .client = client, .number = self->link_count, .is_known = true};
    client->link = link;
    world_trace(world, "client", client->index, "connected", link->number, 0, 0);
    s_item_t item;
    while (s_take(&client->waiting, &item)) {
        s_send(link, NETWORK_UP, item.block, NULL);
        s_drop(&item);
    }
    client->ops->connected(client->arg);
}

static void
s_start_connecting(network_client_t *client)
{
    world_after(client->network->world,
                world_between(&client->random, CONNECT_MIN_US, CONNECT_MAX_US), s_connect, client,
                ++client->attempt);
}

static void
s_notice(void *arg, uint64_t what)
{
    (void) what;
    network_link_t *link = arg;
    link->is_known = false;
}

//  The link ends; of what is on its way a part arrives. all: everything.
static void
s_break(network_link_t *link, bool all)
{
    network_client_t *client = link->client;
    network_t *self = link->network;
    uint64_t *random = client != NULL ? &client->random : &self->random;
    for (int direction = 0; direction < 2 && !all; direction++) {
        s_queue_t *queue = &link->queues[direction];
        bool is_whole = world_chance(random, 300);
        s_truncate(queue, is_whole ? queue->count : (size_t) world_draw(random, queue->count + 1));
    }
    link->is_void[NETWORK_UP] = link->is_void[NETWORK_DOWN] = true;
    world_after(self->world, world_between(random, 0, NOTICE_MAX_US), s_notice, link, 0);
    if (client != NULL) {
        client->link = NULL;
    }
}

static void
s_lose(network_link_t *link, bool all)
{
    network_client_t *client = link->client;
    s_break(link, all);
    if (client != NULL && client->is_open) {
        s_start_connecting(client);
    }
}

network_t *
network_new(world_t *world, const network_relay_ops_t *ops, void *arg)
{
    network_t *self = yami_alloc(sizeof *self);
    self->world = world;
    self->ops = ops;
    self->arg = arg;
    self->random = world_mix(world->seed, 0x6e6574);
    return self;
}

static void
s_free_queue(s_queue_t *queue)
{
    s_truncate(queue, 0);
    yami_free(queue->items);
}

void
network_destroy(network_t **self_p)
{
    network_t *self = *self_p;
    for (size_t index = 0; index < self->link_count; index++) {
        s_free_queue(&self->links[index]->queues[NETWORK_UP]);
        s_free_queue(&self->links[index]->queues[NETWORK_DOWN]);
        yami_free(self->links[index]);
    }
    for (size_t index = 0; index < self->client_count; index++) {
        s_free_queue(&self->clients[index]->waiting);
        yami_free(self->clients[index]);
    }
    yami_free(self->links);
    yami_free(self);
    *self_p = NULL;
}

network_client_t *
network_client(network_t *self, bool waits, const network_client_ops_t *ops, void *arg)
{
    YAM_ASSERT(self->client_count < CLIENT_LIMIT);
    network_client_t *client = yami_alloc(sizeof *client);
    *client = (network_client_t) {.network = self,
                                  .index = self->client_count,
                                  .ops = ops,
                                  .arg = arg,
                                  .waits = waits,
                                  .random = world_mix(self->world->seed, 100 + self->client_count)};
    self->clients[self->client_count++] = client;
    return client;
}

void
network_open(network_client_t *client)
{
    YAM_ASSERT(!client->is_open && client->link == NULL);
    client->is_open = true;
    s_start_connecting(client);
}

void
network_close(network_client_t *client, bool lingers)
{
    client->is_open = false;
    client->attempt++;
    s_truncate(&client->waiting, 0);
    if (client->link != NULL) {
        s_break(client->link, lingers);
    }
    for (size_t index = 0; index < client->network->link_count; index++) {
        network_link_t *link = client->network->links[index];
        link->client = link->client == client ? NULL : link->client; //  nobody reads what comes
    }
}

int
network_send(network_client_t *client, yami_block_t *block)
{
    if (client->link != NULL) {
        s_send(client->link, NETWORK_UP, block, NULL);
        return 0;
    }
    if (client->is_open && client->waits) {
        s_put(&client->waiting, block, NULL);
        return 0;
    }
    errno = EAGAIN;
    return -1;
}

int
network_answer(network_t *self, uint64_t number, yami_block_t *block, yami_block_t *data)
{
    YAM_ASSERT(number > 0 && number <= self->link_count);
    network_link_t *link = self->links[number - 1];
    if (!link->is_known) {
        errno = EHOSTUNREACH;
        return -1;
    }
    s_send(link, NETWORK_DOWN, block, data);
    return 0;
}

void
network_relay_gone(network_t *self, bool lingers)
{
    for (size_t index = 0; index < self->client_count; index++) {
        network_link_t *link = self->clients[index]->link;
        if (link != NULL) {
            s_lose(link, lingers);
        }
    }
    //  nobody reads the links of before
    for (size_t index = 0; index < self->link_count; index++) {
        self->links[index]->is_known = false;
        s_truncate(&self->links[index]->queues[NETWORK_UP], 0);
    }
}

//  -- Faults

void
network_cut(network_client_t *client)
{
    if (client->link != NULL) {
        s_lose(client->link, false);
    }
}

static void
s_end_half_open(void *arg, uint64_t what)
{
    (void) what;
    network_link_t *link = arg;
    if (link->client != NULL && link->client->link == link) {
        s_lose(link, false);
    }
}

void
network_half_open(network_client_t *client, int direction, int64_t until_us)
{
    network_link_t *link = client->link;
    if (link != NULL) {
        link->is_void[direction] = true;
        world_after(client->network->world, until_us - client->network->world->now_us,
                    s_end_half_open, link, 0);
    }
}

void
network_unreachable(network_client_t *client, int64_t until_us)
{
    client->unreachable_us = until_us;
    network_cut(client);
}

void
network_freeze(network_client_t *client, int64_t until_us)
{
    client->frozen_us = until_us;
}

void
network_slow(network_client_t *client, int64_t delay_us, int64_t until_us)
{
    client->slow_by_us = delay_us;
    client->slow_us = until_us;
}

//  Only a new connection heals what a proxy left out: the protocol relies on TCP for that.
static void
s_end_chaos(void *arg, uint64_t what)
{
    (void) what;
    network_client_t *client = arg;
    network_cut(client);
}

void
network_chaos(network_client_t *client, unsigned permille, int64_t until_us)
{
    client->chaos_permille = permille;
    client->chaos_us = until_us;
    world_after(client->network->world, until_us - client->network->world->now_us, s_end_chaos,
                client, 0);
}

bool
network_had_chaos(const network_client_t *client)
{
    return client->chaos_permille > 0;
}

void
network_calm(network_t *self)
{
    for (size_t index = 0; index < self->client_count; index++) {
        network_client_t *client = self->clients[index];
        client->frozen_us = client->unreachable_us = client->slow_us = client->chaos_us = 0;
    }
}
