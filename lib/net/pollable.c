//  A descriptor over two.

#include "yami_pollable.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "yami_base.h"

void
yami_pollable_init(yami_pollable_t *self)
{
    *self = (yami_pollable_t) {.fd = -1, .signal_fd = -1};
}

void
yami_pollable_close(yami_pollable_t *self)
{
    int error = errno;
    if (self->fd != -1) {
        (void) close(self->fd);
    }
    if (self->signal_fd != -1) {
        (void) close(self->signal_fd);
    }
    yami_pollable_init(self);
    errno = error;
}

static int
s_watch(yami_pollable_t *self, int fd)
{
    struct epoll_event event = {.events = EPOLLIN};
    return epoll_ctl(self->fd, EPOLL_CTL_ADD, fd, &event);
}

int
yami_pollable_fd(yami_pollable_t *self, int socket_fd)
{
    if (self->fd != -1) {
        return self->fd;
    }
    self->fd = epoll_create1(EPOLL_CLOEXEC);
    self->signal_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->fd == -1 || self->signal_fd == -1 || s_watch(self, self->signal_fd) == -1 ||
        s_watch(self, socket_fd) == -1) {
        (void) yami_fail(errno, "cannot open a descriptor to poll: %s", strerror(errno));
        yami_pollable_close(self);
        return -1;
    }
    yami_pollable_set(self, true);
    return self->fd;
}

void
yami_pollable_set(yami_pollable_t *self, bool is_signalled)
{
    if (self->signal_fd == -1 || self->is_signalled == is_signalled) {
        return;
    }
    uint64_t value = 1;
    ssize_t rc = is_signalled ? write(self->signal_fd, &value, sizeof value)
                              : read(self->signal_fd, &value, sizeof value);
    (void) rc; //  cannot fail: nobody else writes or reads
    self->is_signalled = is_signalled;
}
