/*  A daemon's signals, as a descriptor: nothing runs in a handler.
*/
#ifndef DAEMON_SIGNALS_H
#define DAEMON_SIGNALS_H

//  Blocks SIGTERM, SIGINT and SIGHUP, ignores SIGPIPE, and returns a descriptor that tells of them;
//  -1 with errno. Call it before any thread exists: threads inherit what is blocked.
int
daemon_signals_open(void);

//  Waits up to timeout_ms for a signal. Its number, 0 when none came.
int
daemon_signals_wait(int fd, int timeout_ms);

#endif
