//  yam_outbox and yam_dispatcher over a real PostgreSQL server: what every outbox must do, what
//  only a database of several writers can do to it, and what happens when the server is killed.

#include "outbox_cases.h"

#include <errno.h>
#include <string.h>

#include "harness/database.h"
#include "yam_error.h"
#include "yam_outbox_postgres.h"
#include "yam_postgres.h"
#include "yami_outbox_postgres.h"

#define OWNER 7
#define LANE 1

static yam_outbox_t *s_outbox;

static yam_outbox_t *
s_open(PGconn *connection)
{
    yam_outbox_t *outbox = yam_outbox_postgres_new(connection, NULL);
    if (outbox == NULL) {
        fail_msg("%s", yam_error());
    }
    return outbox;
}

static int
s_setup(void **state)
{
    (void) state;
    database_setup();
    s_outbox = s_open(database);
    outbox_subject = (outbox_subject_t) {&yami_outbox_postgres, database,       s_outbox, "BEGIN",
                                         database_run,          database_number};
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    yam_outbox_destroy(&s_outbox);
    PQfinish(database);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, s_setup, s_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        OUTBOX_CASES(CASE),
    };
    return DATABASE_MAIN(tests);
}
