//  Properties as a peer sends them: the walk ends, finds what it has seen, and a message gives each
//  of them; what a user sets is encoded so that it can be read. An inbox claims what has an id and
//  is well-formed, and nothing else; what says the same has the same fingerprint.

#include <errno.h>
#include <string.h>

#include "harness/fuzz.h"
#include "yam_error.h"
#include "yami_base.h"
#include "yami_inbox.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_properties.h"

#define S_SHARDS 4

static yam_inbox_entry_t s_claimed; //  the latest
static yam_inbox_t *s_inbox;        //  made once

//  -- As received ---------------------------------------------------------------------------------

//  Whether it is well-formed.
static bool
s_walk(yami_slice_t encoded)
{
    yami_properties_t walk;
    yami_property_t property, found;
    uint32_t count = 0;
    int rc;
    if (yami_properties_start(&walk, encoded) == -1) {
        return false;
    }
    while ((rc = yami_properties_next(&walk, &property)) == 1) {
        YAM_ASSERT(property.type && strchr("sxib", property.type));
        count++;
        char name[64];
        if (property.name.size > 0 && property.name.size < sizeof name &&
            !memchr(property.name.data, 0, property.name.size)) {
            memcpy(name, property.name.data, property.name.size);
            name[property.name.size] = '\0';
            (void) yami_properties_find(encoded, name, &found);
        }
    }
    YAM_ASSERT(count <= YAMI_LIMIT_PROPERTY_COUNT);
    return rc == 0;
}

static void
s_receive(yami_slice_t encoded)
{
    uint8_t empty = 0;
    yami_block_t *block = yami_block_copy(&empty, 1, 1);
    yami_record_t record = {.priority = 4, .properties = encoded};
    yam_message_t *message = yami_message_received(NULL, yami_block_ref(block), &record);
    for (size_t index = 0; index < YAMI_LIMIT_PROPERTY_COUNT + 2; index++) {
        const char *name = yam_message_property_name(message, index);
        if (!name) {
            break;
        }
        char *copy = yami_strdup(name);
        (void) yam_message_get(message, copy);
        yami_free(copy);
    }
    YAM_ASSERT(yam_message_subject(message));
    YAM_ASSERT(yam_message_set(message, "tag", "x") == -1); //  it is received
    yam_message_destroy(&message);
    yami_block_unref(&block);
}

//  -- By an inbox ---------------------------------------------------------------------------------

static void *
s_open(void *connection, const yam_inbox_settings_t *settings)
{
    YAM_ASSERT(settings->shard_count == S_SHARDS);
    return connection;
}

static int
s_claim(void *self, yam_inbox_entry_t *const *entries, size_t count, int64_t now_ms)
{
    (void) self, (void) now_ms;
    YAM_ASSERT(count == 1 && entries[0]->shard < S_SHARDS);
    entries[0]->verdict = YAM_CLAIM_NEW;
    s_claimed = *entries[0];
    return 0;
}

static void
s_close(void *self)
{
    (void) self;
}

//  Of the same with one property more, which changes what is said, or does not.
static void
s_expect_more(const yami_record_t *record, const uint8_t *fingerprint, const char *name,
              bool is_other)
{
    yami_property_t found;
    yami_writer_t writer;
    yami_writer_init(&writer, YAMI_LIMIT_PROPERTIES);
    yami_record_t more = *record;
    more.properties = yami_properties_add(&writer, record->properties, name, "1");
    if (more.properties.size > 0 && !yami_properties_find(record->properties, name, &found)) {
        uint8_t again[YAM_INBOX_FINGERPRINT];
        YAM_ASSERT(yami_inbox_fingerprint(&more, again) == 0);
        YAM_ASSERT((memcmp(fingerprint, again, sizeof again) != 0) == is_other);
    }
    yami_writer_clear(&writer);
}

static void
s_inbox_takes(yami_slice_t encoded, bool is_sound)
{
    static const yam_inbox_db_t db = {.open = s_open, .claim = s_claim, .close = s_close};
    yam_message_t message = {.record = {.priority = YAMI_PRIORITY_DEFAULT, .properties = encoded}};
    uint8_t fingerprint[YAM_INBOX_FINGERPRINT];
    yami_property_t id;
    if (s_inbox == NULL) {
        s_inbox = yam_inbox_new_over(&db, &s_inbox, "shards=4");
        YAM_ASSERT(s_inbox);
    }
    YAM_ASSERT((yami_inbox_fingerprint(&message.record, fingerprint) == 0) == is_sound);
    bool has_id = is_sound && yami_properties_find(encoded, "id", &id) && id.type == 's' &&
                  id.text.size >= 1 && id.text.size <= YAM_INBOX_ID &&
                  !memchr(id.text.data, 0, id.text.size);
    int claim = yam_inbox_claim(s_inbox, &message);
    YAM_ASSERT(has_id ? claim == YAM_CLAIM_NEW : claim == -1 && errno == EINVAL && *yam_error());
    if (has_id) {
        YAM_ASSERT(s_claimed.id_size == id.text.size);
        YAM_ASSERT(memcmp(s_claimed.id, id.text.data, id.text.size) == 0);
        YAM_ASSERT(memcmp(s_claimed.fingerprint, fingerprint, sizeof fingerprint) == 0);
    }
    if (is_sound) {
        s_expect_more(&message.record, fingerprint, "trace", false);
        s_expect_more(&message.record, fingerprint, "yam-group", false);
        s_expect_more(&message.record, fingerprint, "more", true);
    }
}

//  -- As set --------------------------------------------------------------------------------------

static void
s_set(fuzz_input_t *input)
{
    yam_message_t *message = yam_message_new("", 0);
    YAM_ASSERT(message);
    while (fuzz_left(input) > 0) {
        char *name = fuzz_text(input, fuzz_below(input, 12));
        char *value = fuzz_text(input, fuzz_u8(input));
        if (yam_message_set(message, name, value) == 0) {
            const char *got = yam_message_get(message, name);
            YAM_ASSERT(got && strcmp(got, value) == 0);
        }
        yami_free(name);
        yami_free(value);
    }
    yami_property_t property;
    yami_properties_t walk;
    YAM_ASSERT(yami_properties_start(&walk, message->record.properties) == 0);
    for (size_t index = 0; yam_message_property_name(message, index); index++) {
        YAM_ASSERT(yami_properties_next(&walk, &property) == 1);
    }
    YAM_ASSERT(yami_properties_next(&walk, &property) == 0);
    yam_message_destroy(&message);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    if (fuzz_u8(&input) & 1) {
        s_set(&input);
        return 0;
    }
    uint8_t *bytes = fuzz_copy(data + input.position, fuzz_left(&input));
    yami_slice_t encoded = yami_slice(bytes, fuzz_left(&input));
    s_inbox_takes(encoded, s_walk(encoded));
    s_receive(encoded);
    yami_free(bytes);
    return 0;
}
