#include "yami_relay_links.h"

#include <czmq.h>

#include "yami_base.h"
#include "yami_limits.h"

struct yami_relay_links {
    zhashx_t *by_id;           //  owned; routing id block -> link
    zhashx_t *by_number;       //  owned; number -> link (owner of the links)
    yami_relay_link_t *latest; //  borrowed; the link asked for last, NULL when it is gone
    size_t limit;
    uint64_t last_number;
};

static size_t
s_hash_id(const void *key)
{
    const yami_block_t *block = key;
    return yami_crc32c(0, block->data, block->size);
}

static int
s_compare_id(const void *left, const void *right)
{
    const yami_block_t *a = left;
    const yami_block_t *b = right;
    if (a->size != b->size) {
        return a->size < b->size ? -1 : 1;
    }
    return memcmp(a->data, b->data, a->size);
}

static size_t
s_hash_number(const void *key)
{
    return (size_t) (*(const uint64_t *) key * 0x9E3779B97F4A7C15u >> 32);
}

static int
s_compare_number(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *) left;
    uint64_t b = *(const uint64_t *) right;
    return a < b ? -1 : a > b;
}

static void
s_link_destroy(void **item)
{
    yami_relay_link_t *link = *item;
    yami_block_unref(&link->routing_id);
    yami_free(link);
    *item = NULL;
}

yami_relay_links_t *
yami_relay_links_new(size_t limit)
{
    YAM_ASSERT(limit > 0);
    yami_relay_links_t *self = yami_alloc(sizeof *self);
    self->limit = limit;
    self->by_id = zhashx_new();
    zhashx_set_key_hasher(self->by_id, s_hash_id);
    zhashx_set_key_comparator(self->by_id, s_compare_id);
    zhashx_set_key_duplicator(self->by_id, NULL);
    zhashx_set_key_destructor(self->by_id, NULL);
    self->by_number = zhashx_new();
    zhashx_set_key_hasher(self->by_number, s_hash_number);
    zhashx_set_key_comparator(self->by_number, s_compare_number);
    zhashx_set_key_duplicator(self->by_number, NULL);
    zhashx_set_key_destructor(self->by_number, NULL);
    zhashx_set_destructor(self->by_number, s_link_destroy);
    return self;
}

void
yami_relay_links_destroy(yami_relay_links_t **self_p)
{
    YAM_ASSERT(self_p != NULL);
    yami_relay_links_t *self = *self_p;
    if (self != NULL) {
        zhashx_destroy(&self->by_id);
        zhashx_destroy(&self->by_number);
        yami_free(self);
        *self_p = NULL;
    }
}

yami_relay_link_t *
yami_relay_links_find(yami_relay_links_t *self, const yami_block_t *routing_id)
{
    if (self->latest != NULL && s_compare_id(self->latest->routing_id, routing_id) == 0) {
        return self->latest; //  most frames come in runs from one link
    }
    yami_relay_link_t *link = zhashx_lookup(self->by_id, routing_id);
    if (link == NULL) {
        if (zhashx_size(self->by_number) >= self->limit || routing_id->size == 0 ||
            routing_id->size > YAMI_LIMIT_ROUTING_ID) {
            return NULL;
        }
        yami_block_t *copy =
            yami_block_copy(routing_id->data, routing_id->size, YAMI_LIMIT_ROUTING_ID);
        if (copy == NULL) {
            return NULL;
        }
        link = yami_alloc(sizeof *link);
        link->number = ++self->last_number;
        link->routing_id = copy;
        zhashx_insert(self->by_id, copy, link);
        zhashx_insert(self->by_number, &link->number, link);
    }
    self->latest = link;
    return link;
}

yami_relay_link_t *
yami_relay_links_get(const yami_relay_links_t *self, uint64_t number)
{
    return zhashx_lookup(self->by_number, &number);
}

void
yami_relay_links_remove(yami_relay_links_t *self, uint64_t number)
{
    yami_relay_link_t *link = zhashx_lookup(self->by_number, &number);
    if (link == NULL) {
        return;
    }
    if (self->latest == link) {
        self->latest = NULL;
    }
    zhashx_delete(self->by_id, link->routing_id);
    zhashx_delete(self->by_number, &number); //  frees the link
}
