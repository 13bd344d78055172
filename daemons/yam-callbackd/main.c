//  yam-callbackd - a callback service as a daemon. What daemons have in common is in
//  daemons/common; all else is yam_callback_service.

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "daemon.h"
#include "yam_callback_postgres.h"
#include "yam_callback_service.h"
#include "yam_postgres.h"
#include "yami_base.h"
#include "yami_endpoint.h"

typedef struct {
    char relay[1024];
    char db[1024];
    char certificate[1024];
} s_own_t;

#define S_TEXT(name, member, initial, argument, help)                                              \
    {                                                                                              \
        name, YAMI_OPTION_STRING, offsetof(s_own_t, member), 0,                                    \
            sizeof((s_own_t *) NULL)->member - 1, initial, "", argument, help                      \
    }

static const yami_option_t s_table[] = {
    S_TEXT("relay", relay, "tcp://127.0.0.1:9260", "ENDPOINT", "where the relay is"),
    S_TEXT("db", db, "", "FILE|URI",
           "database of confirms and cases: a file of SQLite, created when missing, or "
           "postgresql://.."),
    S_TEXT("certificate", certificate, "", "FILE", "own certificate, for CURVE"),
    {NULL, YAMI_OPTION_BOOL, 0, 0, 0, NULL, NULL, NULL, NULL},
};

#define S_ENDPOINT_SIZE 1100

static char s_relay[1024]; //  as it was given

//  Without options of its own it is in the sure grade, which is the only one here.
static const char *
s_endpoint(const s_own_t *values, char *text)
{
    const char *options = strchr(values->relay, '?') != NULL ? "" : "?grade=sure";
    (void) snprintf(text, S_ENDPOINT_SIZE, "%s%s", values->relay, options);
    return text;
}

static int
s_check(const void *own)
{
    const s_own_t *values = own;
    char text[S_ENDPOINT_SIZE];
    yami_endpoint_t endpoint;
    if (values->db[0] == 0) {
        return yami_fail(EINVAL, "no database (give --db FILE or URI)");
    }
    if (yami_endpoint_parse(&endpoint, s_endpoint(values, text), false) == -1) {
        return -1;
    }
    if (endpoint.options.grade != YAMI_GRADE_SURE || endpoint.options.relay[0] != 0) {
        return yami_fail(EINVAL,
                         "the relay is elsewhere, and its grade sure: give --relay an endpoint "
                         "without options, or with grade=sure");
    }
    return 0;
}

//  One without a file, at a relay that nobody serves.
static int
s_try_out(yam_t *yam, const void *own, const char *options)
{
    (void) own; //  checked
    yam_callback_store_t *store = yam_callback_store_sqlite(":memory:", true);
    yam_callback_service_t *service =
        store == NULL
            ? NULL
            : yam_callback_service_new(yam, ">inproc://yam-callbackd?grade=sure", &store, options);
    int rc = service != NULL ? 0 : -1;
    int error = errno;
    yam_callback_service_destroy(&service);
    yam_callback_store_destroy(&store);
    errno = error;
    return rc;
}

static void *
s_open(yam_t *yam, const void *own, const char *options)
{
    const s_own_t *values = own;
    char endpoint[S_ENDPOINT_SIZE];
    if (values->certificate[0] != 0 && yam_set_certificate(yam, values->certificate) == -1) {
        errno = errno == ENOENT || errno == ENOTDIR ? EINVAL : errno; //  an option is wrong
        return NULL;
    }
    yam_callback_store_t *store = yam_postgres_is_uri(values->db)
                                      ? yam_callback_store_postgres(values->db, true)
                                      : yam_callback_store_sqlite(values->db, true);
    if (store == NULL) {
        return NULL;
    }
    yam_callback_service_t *service =
        yam_callback_service_new(yam, s_endpoint(values, endpoint), &store, options);
    int error = errno;
    yam_callback_store_destroy(&store);
    errno = error;
    (void) snprintf(s_relay, sizeof s_relay, "%.*s", (int) strcspn(values->relay, "?"),
                    values->relay);
    return service;
}

static const char *
s_where(void *object)
{
    (void) object;
    return s_relay;
}

static int64_t
s_last_turn_ms(void *object)
{
    return yam_callback_service_last_turn_ms(object);
}

static int
s_close(void *object, int timeout_ms)
{
    yam_callback_service_t *service = object;
    (void) timeout_ms;
    yam_callback_service_destroy(&service);
    return 0;
}

static const daemon_class_t s_class = {
    .kind = {.name = "yam-callbackd",
             .usage =
                 "Usage: yam-callbackd --db FILE|URI [--relay ENDPOINT] [--config FILE] "
                 "[OPTION...]\nThe delayed second check: has what is not confirmed resent.\n\n",
             .signals = "SIGTERM stops, a second one stops at once; SIGHUP rereads FILE.",
             .letters = "h=help V=version c=config r=relay d=db",
             .own = s_table,
             .own_size = sizeof(s_own_t),
             .describe = yam_callback_service_option},
    .check = s_check,
    .try_out = s_try_out,
    .open = s_open,
    .where = s_where,
    .failure = NULL, //  whatever fails is tried again, and told in the log
    .last_turn_ms = s_last_turn_ms,
    .set = NULL,
    .close = s_close,
};

int
main(int argc, char **argv)
{
    return daemon_run(&s_class, argc, argv);
}
