//  yam_callback_store - one step of a case on a database, and what people do. See the headers.

#include "yami_callback_store.h"

#include <errno.h>

#include "yami_base.h"
#include "yami_callback_rows.h"

yam_callback_store_t *
yam_callback_store_new(const yam_callback_db_t *db, void *database)
{
    YAM_ASSERT(db != NULL && database != NULL);
    yam_callback_store_t *self = yami_alloc(sizeof *self);
    self->db = db;
    self->database = database;
    return self;
}

void
yam_callback_store_destroy(yam_callback_store_t **self_p)
{
    yam_callback_store_t *self = *self_p;
    if (self != NULL) {
        *self_p = NULL;
        self->db->destroy(self->database);
        yami_free(self);
    }
}

static int
s_write(yam_callback_store_t *self, const yami_callback_view_t *view,
        const yami_callback_effects_t *effects, const char *id)
{
    if (effects->writes_confirm && yami_callback_rows_write_confirm(self, &view->confirm) == -1) {
        return -1;
    }
    if (effects->writes_case && yami_callback_rows_write_case(self, &view->row) == -1) {
        return -1;
    }
    if (effects->drops_case && yami_callback_rows_drop_case(self, id) == -1) {
        return -1;
    }
    for (size_t index = 0; index < effects->note_count; index++) {
        if (yami_callback_rows_write_note(self, id, &effects->notes[index]) == -1) {
            return -1;
        }
    }
    return 0;
}

int
yami_callback_store_step(yam_callback_store_t *self, const yami_callback_rules_t *rules,
                         int64_t now_ms, const char *id, const yami_callback_event_t *event,
                         yami_callback_view_t *view, yami_callback_effects_t *effects)
{
    if (yami_callback_rows_read(self, id, &view->row, &view->confirm) == -1 ||
        yami_callback_step(rules, now_ms, event, view, effects) == -1) {
        return -1;
    }
    return s_write(self, view, effects, id);
}

//  -- People ------------------------------------------------------------------------------------

int
yam_callback_store_history(yam_callback_store_t *self, const char *id, yam_case_note_t *note,
                           yam_case_fn visit, void *arg)
{
    return yami_callback_rows_history(self, id, note, visit, arg);
}

static int
s_refuse_unknown(const char *id)
{
    return yami_fail(ENOENT, "there is no case %s (see yam callback list)", id);
}

int
yam_callback_store_read(yam_callback_store_t *self, const char *id, yam_case_t *row,
                        yam_case_confirm_t *confirm)
{
    if (self->db->begin(self->database) == -1) {
        return -1;
    }
    int rc = yami_callback_rows_read(self, id, row, confirm);
    self->db->rollback(self->database);
    return rc == 0 && row->state == YAM_CASE_NONE ? s_refuse_unknown(id) : rc;
}

int
yam_callback_store_walk(yam_callback_store_t *self, int state, const char *from, int64_t limit,
                        yam_case_t *row, yam_case_fn visit, void *arg)
{
    yam_case_confirm_t confirm;
    if (from != NULL && yam_callback_store_read(self, from, row, &confirm) == -1) {
        return -1;
    }
    return yami_callback_rows_walk(self, state, from, limit, row, visit, arg);
}

//  One step in a transaction of its own, or the trial's, of a case that is there.
static int
s_step(yam_callback_store_t *self, const char *id, const yami_callback_event_t *event)
{
    static const yami_callback_rules_t rules = {.round_limit = 1, .try_limit = 1}; //  not asked for
    yami_callback_view_t view;
    yami_callback_effects_t effects = {0};
    if (!self->is_trial && self->db->begin(self->database) == -1) {
        return -1;
    }
    int rc = yami_callback_rows_read(self, id, &view.row, &view.confirm);
    if (rc == 0 && view.row.state == YAM_CASE_NONE) {
        rc = s_refuse_unknown(id);
    }
    if (rc == 0) {
        rc = yami_callback_step(&rules, yami_clock_wall_ms(), event, &view, &effects);
    }
    if (rc == 0 && s_write(self, &view, &effects, id) == 0 &&
        (self->is_trial || self->db->commit(self->database) == 0)) {
        return 0;
    }
    if (!self->is_trial) {
        self->db->rollback(self->database);
    }
    return -1;
}

int
yam_callback_store_retry(yam_callback_store_t *self, const char *id)
{
    return s_step(self, id, &(yami_callback_event_t) {.type = YAMI_CALLBACK_RETRY, .text = ""});
}

int
yam_callback_store_close_case(yam_callback_store_t *self, const char *id, const char *note)
{
    return s_step(
        self, id,
        &(yami_callback_event_t) {.type = YAMI_CALLBACK_CLOSE, .text = note != NULL ? note : ""});
}

int
yam_callback_store_begin_trial(yam_callback_store_t *self)
{
    YAM_ASSERT(!self->is_trial);
    self->is_trial = self->db->begin(self->database) == 0;
    return self->is_trial ? 0 : -1;
}

void
yam_callback_store_end_trial(yam_callback_store_t *self)
{
    YAM_ASSERT(self->is_trial);
    self->is_trial = false;
    self->db->rollback(self->database);
}

const char *
yam_case_state_name(int state)
{
    static const char *const names[] = {"none", "waiting", "calling", "open",
                                        "done", "gone",    "closed"};
    return state >= 0 && state <= YAM_CASE_CLOSED ? names[state] : "unknown";
}
