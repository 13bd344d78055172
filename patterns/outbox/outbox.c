//  yam_outbox - rows, whatever the database. See yam_outbox.h.

#include "yam_outbox.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "yami_base.h"
#include "yami_frame.h"
#include "yami_limits.h"
#include "yami_message.h"
#include "yami_option.h"
#include "yami_outbox_parts.h"
#include "yami_outbox_sqlite.h"
#include "yami_planted.h"
#include "yami_properties.h"

#define S_RECORD_BYTES 4096 //  of the buffer that nearly all records fit

typedef struct {
    char prefix[YAM_OUTBOX_PREFIX + 1];
} s_options_t;

struct yam_outbox {
    const yam_outbox_db_t *db;
    void *database; //  owned; db's
    uint8_t producer[YAM_OUTBOX_PRODUCER];
    yami_builder_t builder; //  scratch for a record
};

static const yami_option_t s_table[] = {
    {"prefix", YAMI_OPTION_STRING, offsetof(s_options_t, prefix), 1, YAM_OUTBOX_PREFIX,
     "yam_outbox", "", NULL, "what the names of tables begin with"},
    {NULL, YAMI_OPTION_INT, 0, 0, 0, NULL, NULL, NULL, NULL},
};

const char *
yam_outbox_options_help(void)
{
    static char text[256];
    return yami_options_help_once(s_table, text, sizeof text);
}

void
yami_outbox_identity(char identity[YAMI_OUTBOX_IDENTITY],
                     const uint8_t producer[YAM_OUTBOX_PRODUCER], int64_t id)
{
    static const char digits[] = "0123456789abcdef";
    char *at = identity;
    for (size_t index = 0; index < YAM_OUTBOX_PRODUCER; index++) {
        *at++ = digits[producer[index] >> 4];
        *at++ = digits[producer[index] & 15];
    }
    (void) snprintf(at, YAMI_OUTBOX_IDENTITY - 2 * YAM_OUTBOX_PRODUCER, "-%lld", (long long) id);
}

int
yami_outbox_record(yami_record_t *record, const void *bytes, size_t size, int64_t id)
{
    yami_batch_t batch = {.count = 1, .payload = yami_slice(bytes, size)};
    size_t offset = 0;
    if (yami_batch_next(&batch, &offset, record) == -1 || offset != size) {
        return yami_fail(EBADMSG, "row %lld of the outbox has no sound record (see SPEC.md)",
                         (long long) id);
    }
    return 0;
}

//  -- Life ----------------------------------------------------------------------------------------

yam_outbox_t *
yam_outbox_new_over(const yam_outbox_db_t *db, void *connection, const char *text)
{
    s_options_t options;
    yami_options_init(s_table, &options);
    if (connection == NULL) {
        (void) yami_fail(EINVAL, "an outbox needs an open database");
        return NULL;
    }
    if (yami_options_read(s_table, &options, text) == -1 ||
        yami_sqlite_prefix_check(options.prefix) == -1) {
        return NULL;
    }
    void *database = db->open(connection, options.prefix);
    if (database == NULL) {
        return NULL;
    }
    yam_outbox_t *self = yami_alloc(sizeof *self);
    self->db = db;
    self->database = database;
    yami_builder_init(&self->builder, S_RECORD_BYTES);
    if (db->producer(database, self->producer) == -1) {
        int error = errno;
        yam_outbox_destroy(&self);
        errno = error;
    }
    return self;
}

yam_outbox_t *
yam_outbox_new(struct sqlite3 *database, const char *options)
{
    return yam_outbox_new_over(&yami_outbox_sqlite, database, options);
}

void
yam_outbox_destroy(yam_outbox_t **self_p)
{
    yam_outbox_t *self = *self_p;
    if (self == NULL) {
        return;
    }
    *self_p = NULL;
    self->db->close(self->database);
    yami_builder_clear(&self->builder);
    yami_free(self);
}

//  -- Writing -------------------------------------------------------------------------------------

//  Encodes the record into the scratch builder. 0, or -1.
static int
s_encode(yam_outbox_t *self, const yami_record_t *record)
{
    self->builder.count = 0; //  its memory stays: one allocation for all messages
    self->builder.size = YAMI_BATCH_HEADER_SIZE;
    if (yami_builder_append(&self->builder, record) == 0) {
        return 0;
    }
    return errno == ENOMEM ? yami_fail(ENOMEM, "out of memory for a message") : -1;
}

//  0 when a channel of that name can have such messages, or -1.
static int
s_check_channel(int kind, const char *channel, const yami_record_t *record)
{
    yami_slice_t name = yami_slice_text(channel);
    if (yami_name_check(name, kind == YAMI_KIND_QUEUE ? "queue" : "topic") == -1) {
        return -1;
    }
    return record->flags & YAMI_RECORD_DUE ? yami_delayed_name_check(name) : 0;
}

static int64_t
s_put(yam_outbox_t *self, int kind, const char *channel, const yam_message_t *message)
{
    if (channel == NULL || message == NULL || message->block != NULL) {
        return yami_fail(EINVAL, "an outbox takes a message made by yam_message_new, and the name "
                                 "of a channel");
    }
    if (s_check_channel(kind, channel, &message->record) == -1) {
        return -1;
    }
    if (!self->db->is_inside(self->database) && !YAMI_PLANTED(PUT_OUTSIDE)) {
        return yami_fail(EPERM, "a message needs the transaction of its business row (BEGIN "
                                "first)");
    }
    if (s_encode(self, &message->record) == -1) {
        return -1;
    }
    return self->db->put(self->database, kind, channel, yami_clock_wall_ms(),
                         self->builder.bytes + YAMI_BATCH_HEADER_SIZE,
                         self->builder.size - YAMI_BATCH_HEADER_SIZE);
}

int64_t
yam_outbox_put(yam_outbox_t *self, const char *queue, const yam_message_t *message)
{
    return s_put(self, YAMI_KIND_QUEUE, queue, message);
}

int64_t
yam_outbox_put_topic(yam_outbox_t *self, const char *topic, const yam_message_t *message)
{
    return s_put(self, YAMI_KIND_TOPIC, topic, message);
}

//  -- People --------------------------------------------------------------------------------------

typedef struct {
    const yam_outbox_t *outbox;
    yam_outbox_row_fn show;
    void *arg;
} s_view_t;

static int
s_show(void *arg, const yam_outbox_entry_t *entry)
{
    const s_view_t *view = arg;
    yam_message_t message = {.deliveries = 1};
    char identity[YAMI_OUTBOX_IDENTITY];
    if (yami_outbox_record(&message.record, entry->record, entry->record_size, entry->id) == -1) {
        return -1;
    }
    yami_outbox_identity(identity, view->outbox->producer, entry->id);
    yam_outbox_row_t row = {
        .id = entry->id,
        .state = entry->state,
        .kind = entry->kind,
        .channel = entry->channel,
        .time_ms = entry->time_ms,
        .identity = identity,
        .epoch = entry->epoch,
        .sequence = entry->sequence,
        .status = entry->status,
        .reason = entry->reason,
        .tries_ms = entry->tries_ms,
        .try_count = entry->try_count,
        .size = message.record.body.size,
        .message = &message,
    };
    int rc = view->show(view->arg, &row);
    yami_free(message.scratch); //  of getters
    return rc;
}

int64_t
yam_outbox_rows(yam_outbox_t *self, int state, const char *channel, int64_t after, int64_t limit,
                yam_outbox_row_fn show, void *arg)
{
    s_view_t view = {self, show, arg};
    return self->db->rows(self->database, state, channel, after, limit, s_show, &view);
}

//  Begins a transaction when none is open. 1 when it did, 0 when not, -1.
static int
s_begin(const yam_outbox_t *self)
{
    if (self->db->is_inside(self->database)) {
        return 0;
    }
    return self->db->begin(self->database) == -1 ? -1 : 1;
}

//  Ends it again, after something that gave result. result, or -1.
static int64_t
s_end(const yam_outbox_t *self, int begun, int64_t result)
{
    if (begun == 1 && result == -1) {
        self->db->rollback(self->database);
    }
    return begun == 1 && result != -1 && self->db->commit(self->database) == -1 ? -1 : result;
}

int
yam_outbox_retry(yam_outbox_t *self, int64_t id)
{
    int begun = s_begin(self);
    return begun == -1 ? -1 : (int) s_end(self, begun, self->db->retry(self->database, id));
}

int
yam_outbox_cancel(yam_outbox_t *self, int64_t id)
{
    int begun = s_begin(self);
    int64_t now_ms = yami_clock_wall_ms();
    return begun == -1 ? -1
                       : (int) s_end(self, begun, self->db->cancel(self->database, id, now_ms));
}

int64_t
yam_outbox_prune(yam_outbox_t *self, int64_t age_ms, int64_t limit)
{
    int begun = s_begin(self);
    int64_t before_ms = yami_clock_wall_ms() - age_ms;
    return begun == -1 ? -1 : s_end(self, begun, self->db->prune(self->database, before_ms, limit));
}

int
yam_outbox_begin_trial(yam_outbox_t *self)
{
    return self->db->is_inside(self->database)
               ? yami_fail(EPERM, "a trial is a transaction of its own, but one is open (end it "
                                  "first)")
               : self->db->begin(self->database);
}

void
yam_outbox_end_trial(yam_outbox_t *self)
{
    self->db->rollback(self->database);
}
