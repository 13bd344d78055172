/*  yami_callback_store - the inside of a store: a database, and one step of a case on it.
*/
#ifndef YAMI_CALLBACK_STORE_H
#define YAMI_CALLBACK_STORE_H

#include "yam_callback_store.h"
#include "yami_callback_core.h"

struct yam_callback_store {
    const yam_callback_db_t *db;
    void *database; //  owned; db's
    bool is_trial;  //  between begin_trial and end_trial
};

//  Within a transaction: reads the rows of an id, steps the core, writes what it says. 0, or -1
//  with errno and a sentence: the caller rolls back. view may be looked at afterwards.
int
yami_callback_store_step(yam_callback_store_t *self, const yami_callback_rules_t *rules,
                         int64_t now_ms, const char *id, const yami_callback_event_t *event,
                         yami_callback_view_t *view, yami_callback_effects_t *effects);

#endif
