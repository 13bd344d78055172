/*  child - a program that a test starts, listens to, kills and waits for. Not thread-safe.

    Timeouts are only how a failure shows; a test waits for lines, for ends, for descriptors.
*/
#ifndef CHILD_H
#define CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CHILD_PATIENCE_MS 60000

typedef struct {
    pid_t pid;  //  0: none
    int input;  //  write end of its stdin
    int output; //  read end of its stdout
} child_t;

//  Starts argv (NULL-terminated). stderr is appended to the file log_path (NULL: ours). Fails the
//  test when that is impossible. The child dies with us.
void
child_start(child_t *self, const char *const *argv, const char *log_path);

//  Its next line of output without the newline; false at the end, or when none comes for
//  timeout_ms.
bool
child_read_line(child_t *self, char *line, size_t size, int timeout_ms);

//  All further output until it ends, NUL-terminated; what exceeds size is dropped.
void
child_read_all(child_t *self, char *text, size_t size);

//  Whether it has ended by itself; then *code_p is its exit code, or 128 + the number of a signal.
bool
child_has_ended(child_t *self, int *code_p);

//  SIGKILL, and waits until it is gone. 128 + SIGKILL, or what it ended with before.
int
child_kill(child_t *self);

//  Closes its stdin, waits for its end: exit code, or 128 + the number of a signal; -1 after
//  timeout_ms, when it was killed.
int
child_wait(child_t *self, int timeout_ms);

//  Runs argv to its end; what it writes to stdout and stderr goes to text (may be NULL). Exit code
//  as child_wait.
int
child_run(const char *const *argv, char *text, size_t size);

//  Monotonic.
int64_t
child_now_ms(void);

//  Until what other processes have done is looked at again: they tell nobody.
void
child_look_later(void);

//  The path of a program of this build: from YAM_BIN, else beside the test. Static storage, one per
//  name of up to 8.
const char *
child_program(const char *name);

//  A folder of the test's own, TMPDIR or a new one. Static storage.
const char *
child_folder(void);

//  A free TCP port below the ephemeral ones: a client that looks for a dead relay there cannot
//  connect to itself. No other test is given it until this process ends.
int
child_free_port(void);

#endif
