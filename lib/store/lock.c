//  The lock of a store's directory. See yami_lock.h.

#include "yami_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "yami_base.h"

#define PID_TEXT_SIZE 24

static pthread_once_t s_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t s_mutex = PTHREAD_MUTEX_INITIALIZER; //  guards the list
static LIST_HEAD(yami_locks, yami_lock) s_held = LIST_HEAD_INITIALIZER(s_held);

//  -- Around a fork

static void
s_before(void)
{
    (void) pthread_mutex_lock(&s_mutex);
}

static void
s_in_parent(void)
{
    (void) pthread_mutex_unlock(&s_mutex);
}

//  Closing the copy of a descriptor leaves the lock to whoever has the other one.
static void
s_in_child(void)
{
    while (!LIST_EMPTY(&s_held)) {
        yami_lock_t *lock = LIST_FIRST(&s_held);
        LIST_REMOVE(lock, of_process);
        (void) close(lock->fd);
        lock->fd = -1;
    }
    (void) pthread_mutex_unlock(&s_mutex);
}

static void
s_watch_forks(void)
{
    int rc = pthread_atfork(s_before, s_in_parent, s_in_child);
    YAM_ASSERT(rc == 0);
}

//  -- Taking and giving back

//  Says who holds it.
static int
s_refuse_second(int fd, const char *path)
{
    char text[PID_TEXT_SIZE] = "";
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    long pid = strtol(text, NULL, 10);
    if (pid <= 0) {
        return yami_fail(EWOULDBLOCK,
                         "cannot open store %s: locked by another process (stop it, "
                         "or give another directory)",
                         path);
    }
    return yami_fail(EWOULDBLOCK,
                     "cannot open store %s: locked by process %ld (stop it, or give "
                     "another directory)",
                     path, pid);
}

static int
s_take(int fd, const char *path)
{
    if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
        return errno == EWOULDBLOCK
                   ? s_refuse_second(fd, path)
                   : yami_fail(errno, "cannot lock store %s: %s", path, strerror(errno));
    }
    char text[PID_TEXT_SIZE];
    int size = snprintf(text, sizeof text, "%ld\n", (long) getpid());
    errno = ENOSPC; //  unless a call says otherwise: a short write says nothing
    if (ftruncate(fd, 0) == -1 || pwrite(fd, text, (size_t) size, 0) != size) {
        return yami_fail(errno, "cannot write into %s/lock: %s", path, strerror(errno));
    }
    return 0;
}

int
yami_lock_take(yami_lock_t *self, int directory, const char *path)
{
    (void) pthread_once(&s_once, s_watch_forks);
    (void) pthread_mutex_lock(&s_mutex); //  no fork between opening and listing
    self->fd = openat(directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = self->fd == -1
                 ? yami_fail(errno, "cannot open store %s: %s (it must be writable by this user)",
                             path, strerror(errno))
                 : s_take(self->fd, path);
    if (rc == 0) {
        LIST_INSERT_HEAD(&s_held, self, of_process);
    } else if (self->fd != -1) {
        int error = errno;
        (void) close(self->fd);
        self->fd = -1;
        errno = error;
    }
    (void) pthread_mutex_unlock(&s_mutex);
    return rc;
}

void
yami_lock_release(yami_lock_t *self)
{
    (void) pthread_mutex_lock(&s_mutex);
    if (self->fd != -1) {
        LIST_REMOVE(self, of_process);
        (void) close(self->fd);
    }
    self->fd = -1;
    (void) pthread_mutex_unlock(&s_mutex);
}
