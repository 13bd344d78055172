//  yam_inbox - ids, fingerprints and counters, whatever the database. See the headers.

#include "yam_inbox.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_inbox.h"
#include "yami_message.h"
#include "yami_properties.h"

#define S_DAY_MS (24ll * 3600 * 1000)
#define S_PRUNE_RATIO 2 //  old claims forgotten for each new one: so a table shrinks, too

struct yam_inbox {
    const yami_inbox_db_t *db;
    void *database; //  owned; db's
    yami_inbox_options_t options;
    yam_inbox_stats_t stats;
};

static const yami_option_t s_table[] = {
    {"prefix", YAMI_OPTION_STRING, offsetof(yami_inbox_options_t, prefix), 1,
     sizeof((yami_inbox_options_t *) NULL)->prefix - 1, "yam_inbox", "", NULL,
     "what the names of tables (or keys) begin with"},
    {"shards", YAMI_OPTION_INT, offsetof(yami_inbox_options_t, shards), 1, YAMI_INBOX_SHARDS, "1",
     "tables", NULL, "tables the ids are spread over, fixed when they are made"},
    {"retention", YAMI_OPTION_INT, offsetof(yami_inbox_options_t, retention_ms), 1000,
     3650 * S_DAY_MS, "168h", "ms", NULL, "how long a claim is remembered"},
    {NULL, YAMI_OPTION_INT, 0, 0, 0, NULL, NULL, NULL, NULL},
};

int
yami_inbox_options_read(yami_inbox_options_t *options, const char *text)
{
    yami_options_init(s_table, options);
    return yami_options_read(s_table, options, text);
}

static char s_help[1024];
static pthread_once_t s_once = PTHREAD_ONCE_INIT;

static void
s_write_help(void)
{
    yami_options_help(s_table, s_help, sizeof s_help);
}

const char *
yam_inbox_options_help(void)
{
    (void) pthread_once(&s_once, s_write_help);
    return s_help;
}

yam_inbox_t *
yami_inbox_new(const yami_inbox_db_t *db, void *database, const yami_inbox_options_t *options)
{
    YAM_ASSERT(database != NULL && sodium_init() >= 0);
    yam_inbox_t *self = yami_alloc(sizeof *self);
    self->db = db;
    self->database = database;
    self->options = *options;
    return self;
}

void
yam_inbox_destroy(yam_inbox_t **self_p)
{
    yam_inbox_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    self->db->destroy(self->database);
    yami_free(self);
}

uint32_t
yam_inbox_shard(const char *id, uint32_t count)
{
    return count > 1 ? yami_key_hash(id, strlen(id)) % count : 0;
}

//  Forgets old claims of the shard a new one has just gone to. A failure is the claim's, too: the
//  database may have rolled everything back. 0, or -1.
static int
s_prune_some(yam_inbox_t *self, const yami_inbox_claim_t *claim)
{
    int64_t pruned = self->db->prune(self->database, claim->shard,
                                     claim->now_ms - self->options.retention_ms, S_PRUNE_RATIO);
    self->stats.pruned += pruned > 0 ? (uint64_t) pruned : 0;
    return pruned == -1 ? -1 : 0;
}

//  Fills what is left of claim, and asks the database.
static int
s_claim(yam_inbox_t *self, yami_inbox_claim_t *claim, const char *id, size_t size)
{
    if (size == 0 || size > YAMI_INBOX_ID || memchr(id, 0, size) != NULL) {
        self->stats.failed++;
        return yami_fail(EINVAL, "an id has 1 to %d bytes, this one %zu", YAMI_INBOX_ID, size);
    }
    memcpy(claim->id, id, size);
    claim->id[size] = 0;
    claim->shard = yam_inbox_shard(claim->id, (uint32_t) self->options.shards);
    claim->now_ms = yami_clock_wall_ms();
    int verdict = self->db->claim(self->database, claim);
    if (verdict == YAM_CLAIM_NEW && s_prune_some(self, claim) == -1) {
        verdict = -1;
    }
    switch (verdict) {
    case YAM_CLAIM_NEW:
        self->stats.claimed++;
        break;
    case YAM_CLAIM_DUPLICATE:
        self->stats.duplicates++;
        break;
    case YAM_CLAIM_CONFLICT:
        self->stats.conflicts++;
        break;
    default:
        self->stats.failed++;
    }
    return verdict;
}

int
yam_inbox_claim_id(yam_inbox_t *self, const char *id, const void *content, size_t size)
{
    yami_inbox_claim_t claim;
    (void) crypto_generichash(claim.fingerprint, sizeof claim.fingerprint, content, size, NULL, 0);
    return s_claim(self, &claim, id, strlen(id));
}

//  Whether a property is part of what a message says. Relays add theirs to dead letters, and a
//  trace differs each time the same thing is sent.
static bool
s_is_content(const yami_property_t *property)
{
    return !yami_slice_equal(property->name, "trace") &&
           !(property->name.size >= 4 && memcmp(property->name.data, "yam-", 4) == 0);
}

static void
s_hash_slice(crypto_generichash_state *state, yami_slice_t slice)
{
    uint8_t size[8];
    yami_put_u64(size, slice.size); //  so that "ab","c" is not "a","bc"
    (void) crypto_generichash_update(state, size, sizeof size);
    (void) crypto_generichash_update(state, slice.data, slice.size);
}

//  BLAKE2b of the body, then of name, type and value of each property, in their order. 0, or -1
//  with errno EPROTO.
static int
s_fingerprint(const yami_record_t *record, uint8_t fingerprint[YAMI_INBOX_FINGERPRINT])
{
    crypto_generichash_state state;
    (void) crypto_generichash_init(&state, NULL, 0, YAMI_INBOX_FINGERPRINT);
    s_hash_slice(&state, record->body);
    yami_properties_t walk;
    yami_property_t property;
    int rc = yami_properties_start(&walk, record->properties);
    while (rc == 0 && (rc = yami_properties_next(&walk, &property)) == 1) {
        rc = 0;
        if (s_is_content(&property)) {
            uint8_t number[8];
            yami_put_u64(number, (uint64_t) property.number);
            bool is_text = property.type == 's' || property.type == 'x';
            s_hash_slice(&state, property.name);
            s_hash_slice(&state, yami_slice(&property.type, 1));
            s_hash_slice(&state, is_text ? property.text : yami_slice(number, sizeof number));
        }
    }
    (void) crypto_generichash_final(&state, fingerprint, YAMI_INBOX_FINGERPRINT);
    return rc;
}

int
yam_inbox_claim(yam_inbox_t *self, const yam_message_t *message)
{
    yami_inbox_claim_t claim;
    yami_property_t id;
    if (!yami_properties_find(message->record.properties, "id", &id) || id.type != 's') {
        self->stats.failed++;
        return yami_fail(EINVAL, "the message has no property \"id\" (set one when you send it, or "
                                 "claim by an id of your own)");
    }
    if (s_fingerprint(&message->record, claim.fingerprint) == -1) {
        self->stats.failed++;
        return yami_fail(EINVAL, "the message's properties are malformed");
    }
    return s_claim(self, &claim, (const char *) id.text.data, id.text.size);
}

int64_t
yam_inbox_prune(yam_inbox_t *self, int64_t limit)
{
    int64_t time_ms = yami_clock_wall_ms() - self->options.retention_ms;
    int64_t pruned = 0;
    for (uint32_t shard = 0; shard < self->options.shards && pruned < limit; shard++) {
        int64_t count = self->db->prune(self->database, shard, time_ms, limit - pruned);
        if (count == -1) {
            return -1;
        }
        pruned += count;
        self->stats.pruned += (uint64_t) count;
    }
    return pruned;
}

void
yam_inbox_stats(const yam_inbox_t *self, yam_inbox_stats_t *stats)
{
    *stats = self->stats;
}
