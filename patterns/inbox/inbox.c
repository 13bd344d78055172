//  yam_inbox - ids, order and counters, whatever the database. See the headers.

#include "yam_inbox.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_batch.h"
#include "yami_inbox.h"
#include "yami_option.h"
#include "yami_properties.h"
#include "yami_sqlite.h"

#define S_DAY_MS (24ll * 3600 * 1000)
#define S_PRUNE_RATIO 2        //  old claims forgotten for each new one: so a table shrinks, too
#define S_PRUNE_PAUSE_MS 60000 //  after nothing was left to forget; at most 1/64 of the retention

struct yam_inbox {
    const yam_inbox_db_t *db;
    void *database; //  owned; db's
    yam_inbox_settings_t settings;

    yam_inbox_entry_t *entries; //  owned; of the call that is running, as the caller gave them
    size_t entry_capacity;
    yam_inbox_entry_t **order; //  owned; the same by shard and id
    size_t order_capacity;
    yam_inbox_entry_t **once; //  owned; those of order that are asked for now: each id once
    size_t once_capacity;

    int64_t pruned_ms[YAM_INBOX_SHARDS]; //  when nothing was left to forget, 0: not known
    yam_inbox_stats_t stats;
};

static const yami_option_t s_table[] = {
    {"prefix", YAMI_OPTION_STRING, offsetof(yam_inbox_settings_t, prefix), 1, YAM_INBOX_PREFIX,
     "yam_inbox", "", NULL, "what the names of tables (or keys) begin with"},
    {"shards", YAMI_OPTION_INT, offsetof(yam_inbox_settings_t, shard_count), 1, YAM_INBOX_SHARDS,
     "1", "tables", NULL, "tables the ids are spread over, fixed when they are made"},
    {"retention", YAMI_OPTION_INT, offsetof(yam_inbox_settings_t, retention_ms), 1000,
     3650 * S_DAY_MS, "168h", "ms", NULL, "how long a claim is remembered"},
    {"hold", YAMI_OPTION_INT, offsetof(yam_inbox_settings_t, hold_ms), 100, S_DAY_MS, "30s", "ms",
     NULL, "Redis: how long a claim is kept for its consumer until yam_inbox_done"},
    {NULL, YAMI_OPTION_INT, 0, 0, 0, NULL, NULL, NULL, NULL},
};

const char *
yam_inbox_options_help(void)
{
    static char text[1024];
    return yami_options_help_once(s_table, text, sizeof text);
}

//  ---- Life

yam_inbox_t *
yam_inbox_new_over(const yam_inbox_db_t *db, void *connection, const char *options)
{
    yam_inbox_settings_t settings;
    if (connection == NULL) {
        (void) yami_fail(EINVAL, "an inbox needs an open database");
        return NULL;
    }
    YAM_ASSERT(sodium_init() >= 0);
    yami_options_init(s_table, &settings);
    if (yami_options_read(s_table, &settings, options) == -1 ||
        yami_sqlite_prefix_check(settings.prefix) == -1) {
        return NULL;
    }
    void *database = db->open(connection, &settings);
    if (database == NULL) {
        return NULL;
    }
    yam_inbox_t *self = yami_alloc(sizeof *self);
    self->db = db;
    self->database = database;
    self->settings = settings;
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
    self->db->close(self->database);
    yami_free(self->entries);
    yami_free(self->order);
    yami_free(self->once);
    yami_free(self);
}

uint32_t
yam_inbox_shard(const char *id, uint32_t count)
{
    return count > 1 ? yami_key_hash(id, strlen(id)) % count : 0;
}

//  ---- Entries

static int
s_name(yam_inbox_t *self, yam_inbox_entry_t *entry, const char *id, size_t size)
{
    if (size == 0 || size > YAM_INBOX_ID || memchr(id, 0, size) != NULL) {
        return yami_fail(EINVAL, "an id has 1 to %d bytes, this one %zu", YAM_INBOX_ID, size);
    }
    uint32_t shard_count = (uint32_t) self->settings.shard_count;
    entry->id = id;
    entry->id_size = size;
    entry->shard = shard_count > 1 ? yami_key_hash(id, size) % shard_count : 0;
    return 0;
}

//  Fills entry from what the application names.
static int
s_read_id(yam_inbox_t *self, yam_inbox_entry_t *entry, const char *id, const void *content,
          size_t size)
{
    yami_inbox_fingerprint_content(content, size, entry->fingerprint);
    return s_name(self, entry, id, strlen(id));
}

//  Fills entry from a message, whose bytes it borrows.
static int
s_read_message(yam_inbox_t *self, yam_inbox_entry_t *entry, const yam_message_t *message)
{
    yami_property_t id;
    if (!yami_properties_find(message->record.properties, "id", &id) || id.type != 's') {
        return yami_fail(EINVAL, "the message has no property \"id\" (set one when you send it, or "
                                 "claim by an id of your own)");
    }
    if (yami_inbox_fingerprint(&message->record, entry->fingerprint) == -1) {
        return -1;
    }
    return s_name(self, entry, (const char *) id.text.data, id.text.size);
}

//  Room for count entries. 0, or -1 with errno and a sentence.
static int
s_reserve(yam_inbox_t *self, size_t count)
{
    if (count == 0 || count > YAM_INBOX_BATCH) {
        return yami_fail(EINVAL, "claim 1 to %d messages at once, not %zu", YAM_INBOX_BATCH, count);
    }
    if (yami_grow(&self->entries, &self->entry_capacity, count, sizeof *self->entries,
                  YAM_INBOX_BATCH) == -1 ||
        yami_grow(&self->order, &self->order_capacity, count, sizeof(void *), YAM_INBOX_BATCH) ==
            -1 ||
        yami_grow(&self->once, &self->once_capacity, count, sizeof(void *), YAM_INBOX_BATCH) ==
            -1) {
        return yami_fail(ENOMEM, "no memory for %zu claims", count);
    }
    return 0;
}

//  ---- Claiming

//  By shard, then by id: below 0, 0 or above 0.
static int
s_compare_ids(const yam_inbox_entry_t *left, const yam_inbox_entry_t *right)
{
    if (left->shard != right->shard) {
        return left->shard < right->shard ? -1 : 1;
    }
    size_t size = left->id_size < right->id_size ? left->id_size : right->id_size;
    int order = memcmp(left->id, right->id, size);
    if (order != 0 || left->id_size == right->id_size) {
        return order;
    }
    return left->id_size < right->id_size ? -1 : 1;
}

//  For qsort. What bears one id stays in the caller's order.
static int
s_compare(const void *left_p, const void *right_p)
{
    const yam_inbox_entry_t *left = *(yam_inbox_entry_t *const *) left_p;
    const yam_inbox_entry_t *right = *(yam_inbox_entry_t *const *) right_p;
    int order = s_compare_ids(left, right);
    return order != 0 ? order : (left > right) - (left < right);
}

//  Forgets old claims of a shard that new ones have just gone to. A failure is the claims', too:
//  the database may have rolled everything back. 0, or -1.
static int
s_prune_some(yam_inbox_t *self, uint32_t shard, size_t new_count, int64_t now_ms)
{
    int64_t retention_ms = self->settings.retention_ms;
    int64_t pause_ms = retention_ms / 64 < S_PRUNE_PAUSE_MS ? retention_ms / 64 : S_PRUNE_PAUSE_MS;
    int64_t since_ms = now_ms - self->pruned_ms[shard];
    if (self->db->prune == NULL || new_count == 0 || (since_ms >= 0 && since_ms < pause_ms)) {
        return 0;
    }
    int64_t limit = (int64_t) new_count * S_PRUNE_RATIO;
    int64_t pruned = self->db->prune(self->database, shard, now_ms - retention_ms, limit);
    if (pruned == -1) {
        return -1;
    }
    self->stats.pruned += (uint64_t) pruned;
    self->pruned_ms[shard] = pruned < limit ? now_ms : 0;
    return 0;
}

static void
s_count(yam_inbox_t *self, const yam_inbox_entry_t *entry)
{
    self->stats.claimed += entry->verdict == YAM_CLAIM_NEW;
    self->stats.duplicates += entry->verdict == YAM_CLAIM_DUPLICATE;
    self->stats.conflicts += entry->verdict == YAM_CLAIM_CONFLICT;
}

//  Claims count entries of one shard, and counts. 0, or -1.
static int
s_claim_shard(yam_inbox_t *self, yam_inbox_entry_t *const *entries, size_t count, int64_t now_ms)
{
    if (self->db->claim(self->database, entries, count, now_ms) == -1) {
        return -1;
    }
    size_t new_count = 0;
    for (size_t index = 0; index < count; index++) {
        new_count += entries[index]->verdict == YAM_CLAIM_NEW;
        s_count(self, entries[index]);
    }
    return s_prune_some(self, entries[0]->shard, new_count, now_ms);
}

//  Claims the first count of once, shard by shard. 0, or -1.
static int
s_claim_once(yam_inbox_t *self, size_t count, int64_t now_ms)
{
    for (size_t first = 0, end; first < count; first = end) {
        end = first + 1;
        while (end < count && self->once[end]->shard == self->once[first]->shard) {
            end++;
        }
        if (s_claim_shard(self, self->once + first, end - first, now_ms) == -1) {
            return -1;
        }
    }
    return 0;
}

//  Puts one entry of each id among the first count of order into once. How many.
static size_t
s_choose(yam_inbox_t *self, size_t count)
{
    size_t once_count = 0;
    for (size_t index = 0; index < count; index++) {
        yam_inbox_entry_t *entry = self->order[index];
        if (once_count == 0 || s_compare_ids(entry, self->once[once_count - 1]) != 0) {
            self->once[once_count++] = entry;
        }
    }
    return once_count;
}

//  Judges what has the id of the entry before it, which is claimed now, and leaves in order what
//  the database must be asked for again: after a conflict nobody here knows what it has. How many.
static size_t
s_judge_rest(yam_inbox_t *self, size_t count)
{
    size_t left = 0;
    const yam_inbox_entry_t *first = NULL;
    for (size_t index = 0; index < count; index++) {
        yam_inbox_entry_t *entry = self->order[index];
        if (first == NULL || s_compare_ids(entry, first) != 0) {
            first = entry;
        } else if (first->verdict == YAM_CLAIM_CONFLICT) {
            self->order[left++] = entry;
        } else {
            bool is_same =
                memcmp(entry->fingerprint, first->fingerprint, YAM_INBOX_FINGERPRINT) == 0;
            entry->verdict = is_same ? YAM_CLAIM_DUPLICATE : YAM_CLAIM_CONFLICT;
            s_count(self, entry);
        }
    }
    return left;
}

//  Claims the first count entries. 0, or -1.
static int
s_claim_all(yam_inbox_t *self, size_t count)
{
    int64_t now_ms = yami_clock_wall_ms();
    for (size_t index = 0; index < count; index++) {
        self->order[index] = &self->entries[index];
    }
    if (count > 1) {
        qsort(self->order, count, sizeof(void *), s_compare);
    }
    while (count > 0) {
        if (s_claim_once(self, s_choose(self, count), now_ms) == -1) {
            return -1;
        }
        count = s_judge_rest(self, count);
    }
    return 0;
}

//  Claims the one entry that was read with rc. A yam_claim_t, or -1.
static int
s_claim_one(yam_inbox_t *self, int rc)
{
    if (rc == -1 || s_claim_all(self, 1) == -1) {
        self->stats.failed++;
        return -1;
    }
    return (int) self->entries[0].verdict;
}

int
yam_inbox_claim_id(yam_inbox_t *self, const char *id, const void *content, size_t size)
{
    int rc = s_reserve(self, 1);
    return s_claim_one(self, rc == -1 ? -1 : s_read_id(self, self->entries, id, content, size));
}

int
yam_inbox_claim(yam_inbox_t *self, const yam_message_t *message)
{
    int rc = s_reserve(self, 1);
    return s_claim_one(self, rc == -1 ? -1 : s_read_message(self, self->entries, message));
}

//  Fills entries from messages. 0, or -1 with a sentence that says which of them is wrong.
static int
s_read_messages(yam_inbox_t *self, yam_message_t *const *messages, size_t count)
{
    if (s_reserve(self, count) == -1) {
        return -1;
    }
    for (size_t index = 0; index < count; index++) {
        if (s_read_message(self, &self->entries[index], messages[index]) == -1) {
            return yami_fail(errno, "messages[%zu]: %s", index, yam_error());
        }
    }
    return 0;
}

int
yam_inbox_claim_many(yam_inbox_t *self, yam_message_t *const *messages, size_t count,
                     yam_claim_t *verdicts)
{
    if (s_read_messages(self, messages, count) == -1 || s_claim_all(self, count) == -1) {
        self->stats.failed++;
        return -1;
    }
    for (size_t index = 0; index < count; index++) {
        verdicts[index] = self->entries[index].verdict;
    }
    return 0;
}

//  ---- Settling

//  The first count entries, which were read with rc. 0, or -1.
static int
s_settle(yam_inbox_t *self, int rc, size_t count, bool is_done)
{
    for (size_t index = 0; rc == 0 && index < count; index++) {
        self->order[index] = &self->entries[index];
    }
    return rc == -1 ? -1 : self->db->settle(self->database, self->order, count, is_done);
}

static int
s_settle_messages(yam_inbox_t *self, yam_message_t *const *messages, size_t count, bool is_done)
{
    if (self->db->settle == NULL) {
        return 0;
    }
    return s_settle(self, s_read_messages(self, messages, count), count, is_done);
}

static int
s_settle_id(yam_inbox_t *self, const char *id, const void *content, size_t size, bool is_done)
{
    if (self->db->settle == NULL) {
        return 0;
    }
    int rc = s_reserve(self, 1);
    return s_settle(self, rc == -1 ? -1 : s_read_id(self, self->entries, id, content, size), 1,
                    is_done);
}

int
yam_inbox_done(yam_inbox_t *self, yam_message_t *const *messages, size_t count)
{
    return s_settle_messages(self, messages, count, true);
}

int
yam_inbox_release(yam_inbox_t *self, yam_message_t *const *messages, size_t count)
{
    return s_settle_messages(self, messages, count, false);
}

int
yam_inbox_done_id(yam_inbox_t *self, const char *id, const void *content, size_t size)
{
    return s_settle_id(self, id, content, size, true);
}

int
yam_inbox_release_id(yam_inbox_t *self, const char *id, const void *content, size_t size)
{
    return s_settle_id(self, id, content, size, false);
}

//  ---- Forgetting, and telling

int64_t
yam_inbox_prune(yam_inbox_t *self, int64_t limit)
{
    int64_t time_ms = yami_clock_wall_ms() - self->settings.retention_ms;
    int64_t pruned = 0;
    uint32_t shard_count = self->db->prune ? (uint32_t) self->settings.shard_count : 0;
    for (uint32_t shard = 0; shard < shard_count && pruned < limit; shard++) {
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
