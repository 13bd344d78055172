//  service - what the services of the order demo have in common: a database of their own with
//  an inbox and an outbox, and a relay that all of them talk through.
#ifndef SERVICE_H
#define SERVICE_H

#include "database.h"

typedef struct {
    sqlite3 *database;
    yam_t *yam;
    yam_inbox_t *inbox;
    yam_outbox_t *outbox;
    yam_dispatcher_t *dispatcher;
} service_t;

static inline service_t
service_open(const char *path, const char *endpoint, const char *tables)
{
    service_t self = {.yam = yam_new(), .database = database_open(path, tables)};
    self.inbox = yam_inbox_new(self.database, NULL);
    self.outbox = yam_outbox_new(self.database, NULL);
    self.dispatcher = yam_dispatcher_new(self.yam, path, endpoint, NULL);
    if (self.inbox == NULL || self.outbox == NULL || self.dispatcher == NULL) {
        fail(path, yam_error());
    }
    return self;
}

static inline void
service_close(service_t *self)
{
    yam_dispatcher_destroy(&self->dispatcher);
    yam_outbox_destroy(&self->outbox);
    yam_inbox_destroy(&self->inbox);
    sqlite3_close(self->database);
    yam_destroy(&self->yam);
}

//  What is told on a topic, from now on and also while the service is away.
static inline yam_sub_t *
service_subscribe(service_t *self, const char *topic, const char *endpoint, const char *group)
{
    char with_group[512];
    (void) snprintf(with_group, sizeof with_group, "%s&group=%s", endpoint, group);
    yam_sub_t *sub = yam_sub_new(self->yam, topic, with_group);
    if (sub == NULL) {
        fail(group, yam_error());
    }
    return sub;
}

#endif
