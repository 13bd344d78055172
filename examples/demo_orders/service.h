//  service - what the services of the order demo have in common: a database of their own with
//  an inbox and an outbox, and the transaction in which a message has its effect once.
#ifndef SERVICE_H
#define SERVICE_H

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yam.h>

typedef struct {
    sqlite3 *database;
    yam_t *yam;
    yam_inbox_t *inbox;
    yam_outbox_t *outbox;
    yam_dispatcher_t *dispatcher;
} service_t;

typedef struct {
    long long order;
    long long customer;
    long long cents;
    char state[16]; //  "open", "paid", "declined"
} order_t;

static inline void
service_fail(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

//  Runs one statement. The first column of its first row, 0 when there is no row.
static inline long long
service_sql(service_t *self, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = sqlite3_vmprintf(format, arguments);
    va_end(arguments);
    sqlite3_stmt *statement = NULL;
    long long number = 0;
    int code = sqlite3_prepare_v2(self->database, text, -1, &statement, NULL);
    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        number = sqlite3_column_int64(statement, 0);
        code = sqlite3_step(statement);
    }
    if (code != SQLITE_DONE) {
        service_fail(text, sqlite3_errmsg(self->database));
    }
    sqlite3_finalize(statement);
    sqlite3_free(text);
    return number;
}

//  Opens the database, with an inbox, an outbox and its dispatcher, and makes the service's tables.
static inline service_t
service_open(const char *path, const char *endpoint, const char *tables)
{
    service_t self = {.yam = yam_new()};
    if (sqlite3_open(path, &self.database) != SQLITE_OK) {
        service_fail(path, sqlite3_errmsg(self.database));
    }
    yam_outbox_busy_timeout(self.database, 10000);
    if (sqlite3_exec(self.database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL", NULL, NULL,
                     NULL) != SQLITE_OK ||
        sqlite3_exec(self.database, tables, NULL, NULL, NULL) != SQLITE_OK) {
        service_fail(path, sqlite3_errmsg(self.database));
    }
    self.inbox = yam_inbox_new(self.database, NULL);
    self.outbox = yam_outbox_new(self.database, NULL);
    self.dispatcher = yam_dispatcher_new(self.yam, path, endpoint, NULL);
    if (self.inbox == NULL || self.outbox == NULL || self.dispatcher == NULL) {
        service_fail(path, yam_error());
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

//  Tells what became of an order, with what happens to it in the transaction that is open.
static inline void
service_tell(service_t *self, const char *channel, bool is_topic, const order_t *order)
{
    char body[96];
    int size = snprintf(body, sizeof body, "%lld %lld %lld %s", order->order, order->customer,
                        order->cents, order->state);
    yam_message_t *message = yam_message_new(body, (size_t) size);
    int64_t row = is_topic ? yam_outbox_put_topic(self->outbox, channel, message)
                           : yam_outbox_put(self->outbox, channel, message);
    if (row == -1) {
        service_fail(channel, yam_error());
    }
    yam_message_destroy(&message);
}

//  Has the effect of a message, unless it had it already: claim, effect and what it tells others
//  are one transaction. The message may be acknowledged then.
static inline void
service_handle(service_t *self, const yam_message_t *message,
               void (*effect)(service_t *self, order_t *order))
{
    char body[96] = "";
    order_t order;
    size_t size = yam_message_size(message);
    memcpy(body, yam_message_body(message), size < sizeof body ? size : sizeof body - 1);
    if (sscanf(body, "%lld %lld %lld %15s", &order.order, &order.customer, &order.cents,
               order.state) != 4) {
        service_fail("not an order", body);
    }
    service_sql(self, "BEGIN IMMEDIATE");
    switch (yam_inbox_claim(self->inbox, message)) {
    case YAM_CLAIM_NEW:
        effect(self, &order);
        break;
    case YAM_CLAIM_DUPLICATE:
        break;
    default:
        service_fail("claim", yam_error());
    }
    service_sql(self, "COMMIT");
    yam_dispatcher_wake(self->dispatcher);
}

#endif
