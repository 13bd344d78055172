//  raw_peer - see the header.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "raw_peer.h"

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PATIENCE_S 60
#define GREETING_SIZE 64
#define TYPE_SIZE_LIMIT 8 //  of the name of a socket's type

//  fd, which now waits for a while only.
static int
s_patient(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_S};
    assert_int_not_equal(fd, -1);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience), 0);
    return fd;
}

static int
s_socket(void)
{
    return s_patient(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

void
raw_peer_listen(raw_peer_t *self, const char *type)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *self = (raw_peer_t) {.type = type, .listener = s_socket(), .fd = -1};
    assert_int_equal(bind(self->listener, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(listen(self->listener, SOMAXCONN), 0);
    assert_int_equal(getsockname(self->listener, (struct sockaddr *) &address, &size), 0);
    (void) snprintf(self->address, sizeof self->address, "tcp://127.0.0.1:%d",
                    ntohs(address.sin_port));
}

void
raw_peer_aim(raw_peer_t *self, const char *type, const char *address)
{
    *self = (raw_peer_t) {.type = type, .listener = -1, .fd = -1};
    (void) snprintf(self->address, sizeof self->address, "%s", address);
}

static void
s_hang_up(raw_peer_t *self)
{
    if (self->fd != -1) {
        (void) close(self->fd);
    }
    self->fd = -1;
}

void
raw_peer_clear(raw_peer_t *self)
{
    s_hang_up(self);
    if (self->listener != -1) {
        (void) close(self->listener);
    }
    self->listener = -1;
}

static void
s_connect(raw_peer_t *self)
{
    const char *colon = strrchr(self->address, ':');
    assert_non_null(colon);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t) strtoul(colon + 1, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    self->fd = s_socket();
    assert_int_equal(connect(self->fd, (struct sockaddr *) &address, sizeof address), 0);
}

//  The greeting of ZMTP 3.0, and READY, which says what kind of socket this is.
static void
s_greet(raw_peer_t *self)
{
    static const char head[] = "\5READY\13Socket-Type";
    static const char greeting[GREETING_SIZE] = "\377\0\0\0\0\0\0\0\0\177\3\0NULL";
    char ready[64] = {4};
    size_t type_size = strlen(self->type);
    assert_true(type_size <= TYPE_SIZE_LIMIT);
    size_t size = 2;
    memcpy(ready + size, head, sizeof head - 1);
    size += sizeof head - 1;
    ready[size + 3] = (char) type_size; //  four bytes, the greatest first
    size += 4;
    memcpy(ready + size, self->type, type_size);
    size += type_size;
    ready[1] = (char) (size - 2);
    raw_peer_say(self, greeting, sizeof greeting);
    raw_peer_say(self, ready, size);
}

void
raw_peer_meet(raw_peer_t *self)
{
    do {
        s_hang_up(self);
        if (self->listener == -1) {
            s_connect(self);
        } else {
            self->fd = s_patient(accept(self->listener, NULL, NULL));
        }
        s_greet(self);
    } while (!raw_peer_hear(self, "READY", 1)); //  it thought better of it
}

void
raw_peer_say(raw_peer_t *self, const void *bytes, size_t size)
{
    const char *rest = bytes;
    while (size > 0) {
        ssize_t count = send(self->fd, rest, size, MSG_NOSIGNAL);
        if (count == -1 && errno != EAGAIN) {
            return; //  whoever hears no answer learns that it is gone
        }
        assert_true(count > 0);
        rest += count;
        size -= (size_t) count;
    }
}

bool
raw_peer_hear(raw_peer_t *self, const char *text, size_t count)
{
    char window[64] = {0}; //  the latest bytes
    size_t length = strlen(text);
    assert_true(length < sizeof window);
    while (count > 0) {
        memmove(window, window + 1, length - 1);
        ssize_t size = recv(self->fd, window + length - 1, 1, 0);
        if (size == 0 || (size == -1 && errno == ECONNRESET)) {
            return false;
        }
        assert_int_equal(size, 1);
        count -= memcmp(window, text, length) == 0 ? 1 : 0;
    }
    return true;
}

void
raw_peer_reset(raw_peer_t *self)
{
    struct linger at_once = {.l_onoff = 1};
    assert_int_equal(setsockopt(self->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
    s_hang_up(self);
}
