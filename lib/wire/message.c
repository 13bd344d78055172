//  yam_message - one message, to send or received. See the headers.

#include "yam_message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_message_slab.h"
#include "yami_properties.h"

#define NUMBER_SIZE 24 //  an int64 in decimal, with sign and NUL

//  Own fields of a message; malloc and not yami_alloc, since every message received comes by here
//  and all fields are set anyway.
static yam_message_t *
s_init(yam_message_t *self)
{
    self->slab = NULL;
    self->block = NULL;
    self->sequence = 0;
    self->token = 0;
    self->time_ms = 0;
    self->deliveries = 1;
    self->failures = 0;
    self->scratch = NULL;
    self->built = NULL;
    self->subject = NULL;
    return self;
}

static yam_message_t *
s_new(size_t body_size)
{
    yam_message_t *self = malloc(sizeof *self + body_size);
    return self != NULL ? s_init(self) : NULL;
}

yam_message_t *
yam_message_new(const void *body, size_t size)
{
    if (size > YAMI_LIMIT_BODY) {
        (void) yami_fail(EMSGSIZE, "a body of %zu bytes is more than the limit of %u", size,
                         YAMI_LIMIT_BODY);
        return NULL;
    }
    yam_message_t *self = s_new(size);
    if (self == NULL) {
        (void) yami_fail(ENOMEM, "out of memory for a message of %zu bytes", size);
        return NULL;
    }
    uint8_t *bytes = (uint8_t *) (self + 1);
    if (size > 0) {
        memcpy(bytes, body, size);
    }
    self->record =
        (yami_record_t) {.priority = YAMI_PRIORITY_DEFAULT, .body = {bytes, size}}; //  (2)
    return self;
}

yam_message_t *
yami_message_received(yami_message_pool_t *pool, yami_block_t *block, const yami_record_t *record)
{
    bool has_spare = pool != NULL && pool->count > 0;
    yam_message_t *self = has_spare ? s_init(pool->items[--pool->count]) : s_new(0);
    YAM_ASSERT(self != NULL && block != NULL); //  (1)
    self->block = block;
    self->record = *record;
    return self;
}

//  Lets go of what a message in no slab holds, but not of itself.
static void
s_empty(yam_message_t *self)
{
    yami_block_unref(&self->block);
    if (self->scratch != NULL || self->built != NULL || self->subject != NULL) {
        yami_free(self->scratch);
        yami_free(self->built);
        yami_free(self->subject);
    }
}

void
yam_message_destroy(yam_message_t **self_p)
{
    yam_message_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    if (self->slab != NULL) {
        yami_free(self->scratch);
        yami_message_slab_drop(self->slab, 1);
        return;
    }
    s_empty(self);
    free(self);
}

void
yami_message_pool_put(yami_message_pool_t *pool, yam_message_t **self_p)
{
    YAM_ASSERT((*self_p)->slab == NULL);
    if (pool->count == YAMI_MESSAGE_POOL_LIMIT) {
        yam_message_destroy(self_p);
        return;
    }
    s_empty(*self_p);
    pool->items[pool->count++] = *self_p;
    *self_p = NULL;
}

void
yami_message_pool_clear(yami_message_pool_t *pool)
{
    while (pool->count > 0) {
        free(pool->items[--pool->count]);
    }
}

const void *
yam_message_body(const yam_message_t *self)
{
    return self->record.body.data != NULL ? (const void *) self->record.body.data : "";
}

size_t
yam_message_size(const yam_message_t *self)
{
    return self->record.body.size;
}

//  0, or -1 with errno EINVAL.
static int
s_check_built(const yam_message_t *self)
{
    if (self->block != NULL) {
        return yami_fail(EINVAL, "a received message cannot be changed; send a new one");
    }
    return 0;
}

//  What yam_message_set refuses. 0, or -1 with errno EINVAL.
static int
s_check(const yam_message_t *self, const char *name, const char *value)
{
    if (s_check_built(self) == -1) {
        return -1;
    }
    if (name == NULL || name[0] == 0 || value == NULL) {
        return yami_fail(EINVAL, "a property needs a name and a value");
    }
    if (strncmp(name, "yam-", 4) == 0) {
        return yami_fail(EINVAL, "property %.100s: names that begin with yam- are the relay's",
                         name);
    }
    if (strcmp(name, "subject") == 0) {
        return yami_subject_check(value, false);
    }
    return 0;
}

//  Writes all pairs of properties except the one of that name, and tells how many. Pairs of a
//  message under construction are all text.
static uint32_t
s_write_others(yami_slice_t properties, const char *name, yami_writer_t *writer)
{
    yami_properties_t walk;
    yami_property_t property;
    uint32_t count = 0;
    int rc = yami_properties_start(&walk, properties);
    YAM_ASSERT(rc == 0); //  we wrote them
    while (yami_properties_next(&walk, &property) == 1) {
        if (yami_slice_equal(property.name, name)) {
            continue;
        }
        count++;
        if (writer != NULL) {
            yami_writer_str_slice(writer, property.name.data, property.name.size);
            yami_writer_str_slice(writer, property.text.data, property.text.size);
        }
    }
    return count;
}

int
yam_message_set(yam_message_t *self, const char *name, const char *value)
{
    return s_check(self, name, value) == -1 ? -1 : yami_message_put(self, name, value);
}

int
yami_message_put(yam_message_t *self, const char *name, const char *value)
{
    uint32_t count = s_write_others(self->record.properties, name, NULL) + 1;
    if (count > YAMI_LIMIT_PROPERTY_COUNT) {
        return yami_fail(EMSGSIZE, "a message has at most %u properties",
                         YAMI_LIMIT_PROPERTY_COUNT);
    }
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_PROPERTIES);
    yami_writer_map(&writer, count);
    s_write_others(self->record.properties, name, &writer);
    yami_writer_str(&writer, name);
    yami_writer_str(&writer, value);
    if (writer.failed != 0) {
        int error = writer.failed;
        yami_writer_clear(&writer);
        return yami_fail(error, "property %.100s: %s", name,
                         error == ENOMEM ? "out of memory" : "more than 64 KiB of properties");
    }
    yami_free(self->built);
    self->built = writer.data;
    self->record.properties = yami_slice(writer.data, writer.size); //  (2)
    if (strcmp(name, "key") == 0) {
        self->record.key_hash = yami_key_hash(value, strlen(value));
    }
    return 0;
}

//  A NUL-terminated copy that lives until the next getter; NULL with errno ENOMEM.
static const char *
s_keep(yam_message_t *self, const void *text, size_t size)
{
    char *copy = yami_try_alloc(size + 1, SIZE_MAX);
    if (copy == NULL) {
        return NULL;
    }
    if (size > 0) {
        memcpy(copy, text, size);
    }
    copy[size] = 0;
    yami_free(self->scratch);
    self->scratch = copy;
    return copy;
}

const char *
yam_message_get(yam_message_t *self, const char *name)
{
    yami_property_t property;
    if (!yami_properties_find(self->record.properties, name, &property)) {
        return NULL;
    }
    if (property.type == 'i') {
        char number[NUMBER_SIZE];
        int size = snprintf(number, sizeof number, "%" PRId64, property.number);
        return s_keep(self, number, (size_t) size);
    }
    if (property.type == 'b') {
        return property.number ? "true" : "false";
    }
    return s_keep(self, property.text.data, property.text.size);
}

const char *
yam_message_property_name(yam_message_t *self, size_t index)
{
    yami_properties_t walk;
    yami_property_t property;
    if (yami_properties_start(&walk, self->record.properties) == -1) {
        return NULL;
    }
    for (size_t visited = 0; yami_properties_next(&walk, &property) == 1; visited++) {
        if (visited == index) {
            return s_keep(self, property.name.data, property.name.size);
        }
    }
    return NULL;
}

const char *
yam_message_subject(yam_message_t *self)
{
    if (self->subject != NULL) {
        return self->subject;
    }
    const char *subject = yam_message_get(self, "subject");
    return subject != NULL ? subject : "";
}

uint64_t
yam_message_sequence(const yam_message_t *self)
{
    return self->sequence;
}

uint32_t
yam_message_deliveries(const yam_message_t *self)
{
    return self->deliveries;
}

uint32_t
yam_message_failures(const yam_message_t *self)
{
    return self->failures;
}

int64_t
yam_message_time_ms(const yam_message_t *self)
{
    return self->time_ms;
}

int
yam_message_set_due(yam_message_t *self, int64_t due_ms)
{
    if (s_check_built(self) == -1) {
        return -1;
    }
    if (due_ms < 0 || due_ms > YAMI_LIMIT_TIME_MS) {
        return yami_fail(EINVAL,
                         "a due time of %" PRId64 " is not 0..%lld (milliseconds since 1970)",
                         due_ms, YAMI_LIMIT_TIME_MS);
    }
    unsigned others = self->record.flags & ~(unsigned) YAMI_RECORD_DUE;
    self->record.flags = (uint8_t) (others | (due_ms > 0 ? YAMI_RECORD_DUE : 0u));
    self->record.due_ms = due_ms;
    return 0;
}

int64_t
yam_message_due_ms(const yam_message_t *self)
{
    return self->record.due_ms;
}
