/*  What all daemons have in common: options, readiness, signals, the watchdog and exit codes,
    around an object of a class that does the work.

        starting --ready--> serving --SIGTERM--> draining --done or SIGTERM--> gone
                              | SIGHUP: reread the file      the object failed: gone, EX_IOERR
*/
#ifndef DAEMON_H
#define DAEMON_H

#include "options.h"
#include "yam_context.h"

//  An object is there from open on until close. own are the daemon's own values.
typedef struct {
    daemon_kind_t kind;
    //  Whether the values suit each other. 0, or -1 with errno EINVAL and a sentence.
    int (*check)(const void *own);
    //  Tries own and options (of the class) out without touching anything. 0, or -1 as open.
    int (*try_out)(yam_t *yam, const void *own, const char *options);
    //  Opens the object. NULL with errno and a sentence.
    void *(*open)(yam_t *yam, const void *own, const char *options);
    //  What is said behind "ready". Borrowed.
    const char *(*where)(void *object);
    //  What went wrong for good; NULL while nothing has. Borrowed. NULL for a class that goes on
    //  whatever goes wrong.
    const char *(*failure)(void *object);
    //  When the object's loop turned last, monotonic.
    int64_t (*last_turn_ms)(void *object);
    //  Changes an option of the class. 0, or -1 with errno EINVAL and a sentence. NULL for a class
    //  whose options need a restart.
    int (*set)(void *object, const char *name, const char *value);
    //  Drains for up to timeout_ms and frees the object. 0, or -1 with errno.
    int (*close)(void *object, int timeout_ms);
} daemon_class_t;

//  The whole program. Returns its exit code.
int
daemon_run(const daemon_class_t *kind, int argc, char **argv);

#endif
