#include "signals.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

int
daemon_signals_open(void)
{
    sigset_t signals;
    (void) sigemptyset(&signals);
    (void) sigaddset(&signals, SIGTERM);
    (void) sigaddset(&signals, SIGINT);
    (void) sigaddset(&signals, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) == -1 || signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
        return -1;
    }
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

int
daemon_signals_wait(int fd, int timeout_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    struct signalfd_siginfo info;
    if (poll(&item, 1, timeout_ms) <= 0 || read(fd, &info, sizeof info) != sizeof info) {
        return 0;
    }
    return (int) info.ssi_signo;
}
