//  What ZeroMQ has accepted. See yami_connections.h.

#include "yami_connections.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zmq.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_log.h"
#include "yami_socket.h"

#define FAILURES                                                                                   \
    (ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |                  \
     ZMQ_EVENT_HANDSHAKE_FAILED_AUTH)
#define EVENTS (ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | FAILURES)
#define EVENT_HWM 65536 //  reports waiting for us; more, and ZeroMQ's thread waits for us, too
#define SPARE_SHARE 4   //  of all descriptors, so many are not for connections: one of four,
#define SPARE_MOST 1024 //  but not more than that
#define SLOT_SIZE sizeof(void *) //  of the table
#define TABLE_LIMIT ((size_t) 1 << 24)

const yami_connections_limits_t yami_connections_limits = {
    .connections = YAMI_LIMIT_CONNECTIONS,
    .greeting_ms = YAMI_LIMIT_GREETING_MS,
    .untaken_bytes = YAMI_LIMIT_UNTAKEN_BYTES,
    .untaken_total = YAMI_LIMIT_UNTAKEN_TOTAL};

typedef struct s_connection s_connection_t;
struct s_connection {
    yami_connection_id_t id;
    uint64_t cookie;  //  0: not known, so never shut down
    int64_t since_ms; //  silent from then on
    bool has_greeted;
    bool is_ending; //  shut down; ZeroMQ has not told yet that it is gone
    bool has_taken; //  since it was looked at last, something that came by it was taken
    unsigned left_count;
    uint32_t order; //  of the peer that claimed it; or the greatest seen before it was accepted
    bool has_order;
    bool is_claimed;
    uint64_t received;     //  bytes, when something was taken last
    uint64_t untaken;      //  bytes since then
    yami_outbox_t *outbox; //  a reference
    TAILQ_ENTRY(s_connection) of_silent;
};

struct yami_connections {
    void *monitor; //  owned socket
    void *watched; //  borrowed
    yami_outboxes_t *outboxes;
    yami_connections_limits_t limits;
    int fd_limit; //  descriptors from here on are not for connections
    int64_t look_ms;

    s_connection_t **table; //  owned; by descriptor
    size_t capacity;
    TAILQ_HEAD(s_silent_list, s_connection) silent; //  longest silent first
    uint64_t stamp;                                 //  last given
    uint32_t order;                                 //  the greatest seen
    bool has_order;
    size_t ending_count;
    yami_connections_counts_t counts;
    yami_log_site_t site;
};

//  -- One connection

static s_connection_t *
s_at(const yami_connections_t *self, int fd)
{
    return fd >= 0 && (size_t) fd < self->capacity ? self->table[fd] : NULL;
}

//  NULL when it is gone.
static s_connection_t *
s_get(const yami_connections_t *self, yami_connection_id_t id)
{
    s_connection_t *connection = s_at(self, id.fd);
    return connection && connection->id.stamp == id.stamp ? connection : NULL;
}

static uint64_t
s_cookie(int fd)
{
    uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0 ? cookie : 0;
}

static bool
s_is_silent(const s_connection_t *connection)
{
    return !connection->has_greeted && !connection->is_ending;
}

static void
s_hush(yami_connections_t *self, s_connection_t *connection, int64_t now_ms)
{
    connection->has_greeted = false;
    connection->since_ms = now_ms;
    TAILQ_INSERT_TAIL(&self->silent, connection, of_silent);
    self->counts.silent++;
}

static void
s_unhush(yami_connections_t *self, s_connection_t *connection)
{
    TAILQ_REMOVE(&self->silent, connection, of_silent);
    self->counts.silent--;
}

static void
s_forget(yami_connections_t *self, int fd)
{
    s_connection_t *connection = s_at(self, fd);
    if (!connection) {
        return;
    }
    if (s_is_silent(connection)) {
        s_unhush(self, connection);
    }
    self->counts.open--;
    self->ending_count -= connection->is_ending ? 1 : 0;
    self->table[fd] = NULL;
    yami_outbox_unref(&connection->outbox);
    yami_free(connection);
}

static void
s_end(yami_connections_t *self, s_connection_t *connection, const char *why)
{
    if (connection->is_ending) {
        return;
    }
    if (s_is_silent(connection)) {
        s_unhush(self, connection);
    }
    connection->is_ending = true;
    self->ending_count++;
    self->counts.ended++;
    if (connection->cookie != 0 && s_cookie(connection->id.fd) == connection->cookie) { //  (4)
        (void) shutdown(connection->id.fd, SHUT_RDWR);
    }
    yami_log_limited(&self->site, YAMI_LOG_WARN, "net.connection-ended",
                     "why=%s open=%llu ended=%llu", why, (unsigned long long) self->counts.open,
                     (unsigned long long) self->counts.ended);
}

//  -- What is reported

static void
s_accepted(yami_connections_t *self, int fd, int64_t now_ms)
{
    s_forget(self, fd); //  its end was not reported
    size_t old = self->capacity;
    self->counts.accepted++;
    if (fd < 0 ||
        yami_grow(&self->table, &self->capacity, (size_t) fd + 1, SLOT_SIZE, TABLE_LIMIT) == -1) {
        return;
    }
    memset(self->table + old, 0, (self->capacity - old) * SLOT_SIZE);
    s_connection_t *connection = yami_alloc(sizeof *connection);
    connection->id = (yami_connection_id_t) {fd, ++self->stamp};
    connection->cookie = s_cookie(fd);
    connection->order = self->order;
    connection->has_order = self->has_order;
    connection->outbox = yami_outbox_new(self->outboxes);
    self->table[fd] = connection;
    self->counts.open++;
    s_hush(self, connection, now_ms);
    if (self->counts.open - self->ending_count > self->limits.connections ||
        fd >= self->fd_limit) { //  (1)
        s_end(self, TAILQ_FIRST(&self->silent), "too-many");
    }
}

//  Takes one report: number of the event and its value, then the address. False when there is none.
static bool
s_report(yami_connections_t *self, int64_t now_ms)
{
    uint8_t head[6];
    char address[8];
    int size = zmq_recv(self->monitor, head, sizeof head, ZMQ_DONTWAIT);
    if (size == -1) {
        return false;
    }
    (void) zmq_recv(self->monitor, address, sizeof address, 0);
    uint16_t event;
    int32_t value;
    memcpy(&event, head, sizeof event); //  in this machine's byte order
    memcpy(&value, head + 2, sizeof value);
    if (size == (int) sizeof head && event == ZMQ_EVENT_ACCEPTED) {
        s_accepted(self, value, now_ms);
    } else if (size == (int) sizeof head && event == ZMQ_EVENT_DISCONNECTED) {
        s_forget(self, value);
    } else if (size == (int) sizeof head && (event & FAILURES) != 0) {
        self->counts.failed++;
    }
    return true;
}

static void
s_take_reports(yami_connections_t *self, int64_t now_ms)
{
    while (s_report(self, now_ms)) {
    }
}

//  -- What came in and is not taken

//  Bytes the kernel has received; 0 where it does not say.
static uint64_t
s_received(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == -1 ||
        size < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received) {
        return 0;
    }
    return info.tcpi_bytes_received;
}

static uint64_t
s_look_at(yami_connections_t *self, s_connection_t *connection)
{
    uint64_t received = s_received(connection->id.fd);
    if (connection->has_taken || received < connection->received) {
        connection->has_taken = false;
        connection->received = received;
    }
    connection->untaken = received - connection->received;
    if (connection->untaken > self->limits.untaken_bytes) {
        s_end(self, connection, "endless-message");
    }
    return connection->is_ending ? 0 : connection->untaken;
}

//  (3) For one that is far ahead of all others, all of them need not be looked at again.
static void
s_look(yami_connections_t *self)
{
    uint64_t total = 0;
    s_connection_t *most = NULL;
    for (size_t fd = 0; fd < self->capacity; fd++) {
        s_connection_t *connection = self->table[fd];
        if (connection && !connection->is_ending) {
            total += s_look_at(self, connection);
            most = !connection->is_ending && (!most || connection->untaken > most->untaken)
                       ? connection
                       : most;
        }
    }
    if (most && total > self->limits.untaken_total) {
        s_end(self, most, "too-much-untaken");
        self->look_ms = 0;
    }
}

void
yami_connections_step(yami_connections_t *self, int64_t now_ms)
{
    s_take_reports(self, now_ms);
    s_connection_t *connection;
    while ((connection = TAILQ_FIRST(&self->silent)) &&
           now_ms - connection->since_ms >= self->limits.greeting_ms) {
        s_end(self, connection, "silent"); //  (2)
    }
    if (self->counts.open > self->ending_count && now_ms >= self->look_ms) {
        self->look_ms = now_ms + YAMI_CONNECTIONS_LOOK_MS;
        s_look(self);
    }
}

int64_t
yami_connections_deadline(const yami_connections_t *self)
{
    if (self->counts.open == self->ending_count) {
        return INT64_MAX;
    }
    const s_connection_t *connection = TAILQ_FIRST(&self->silent);
    int64_t silent_ms = connection ? connection->since_ms + self->limits.greeting_ms : INT64_MAX;
    return silent_ms < self->look_ms ? silent_ms : self->look_ms;
}

void *
yami_connections_socket(const yami_connections_t *self)
{
    return self->monitor;
}

//  -- What the owner knows

yami_connection_id_t
yami_connections_find_named(yami_connections_t *self, int fd, int64_t now_ms)
{
    s_take_reports(self, now_ms); //  of a message that is here, the connection was reported before
    const s_connection_t *connection = s_at(self, fd);
    return connection ? connection->id : (yami_connection_id_t) {.fd = -1};
}

//  Whoever was taken for it before was another one, and is not any more.
static void
s_claim(yami_connections_t *self, s_connection_t *connection, uint32_t order, int64_t now_ms)
{
    connection->order = order;
    connection->has_order = true;
    connection->is_claimed = true;
    connection->id.stamp = ++self->stamp;
    connection->left_count = 0;
    if (connection->has_greeted && !connection->is_ending) {
        s_hush(self, connection, now_ms);
    }
}

yami_connection_id_t
yami_connections_find(yami_connections_t *self, int fd, uint32_t order, int64_t now_ms)
{
    s_take_reports(self, now_ms);
    s_connection_t *connection = s_at(self, fd);
    int32_t newer = connection ? (int32_t) (order - connection->order) : 0;
    if (connection && (!connection->has_order || newer > 0)) {
        s_claim(self, connection, order, now_ms);
    }
    if (!self->has_order || (int32_t) (order - self->order) > 0) {
        self->has_order = true;
        self->order = order;
    }
    bool is_its = connection && connection->is_claimed && connection->order == order;
    return is_its ? connection->id : (yami_connection_id_t) {.fd = -1};
}

void
yami_connections_greeted(yami_connections_t *self, yami_connection_id_t id)
{
    s_connection_t *connection = s_get(self, id);
    if (connection && s_is_silent(connection)) {
        s_unhush(self, connection);
        connection->has_greeted = true;
    }
}

void
yami_connections_left(yami_connections_t *self, yami_connection_id_t id, int64_t now_ms)
{
    s_connection_t *connection = s_get(self, id);
    if (!connection || connection->is_ending) {
        return;
    }
    if (connection->has_greeted) {
        s_hush(self, connection, now_ms);
    }
    if (++connection->left_count >= YAMI_LIMIT_GOODBYES) {
        s_end(self, connection, "left-too-often");
    }
}

void
yami_connections_taken(yami_connections_t *self, yami_connection_id_t id)
{
    s_connection_t *connection = s_get(self, id);
    if (connection) {
        connection->has_taken = true;
    }
}

yami_outbox_t *
yami_connections_outbox(const yami_connections_t *self, yami_connection_id_t id)
{
    const s_connection_t *connection = s_get(self, id);
    return connection ? connection->outbox : NULL;
}

void
yami_connections_end(yami_connections_t *self, yami_connection_id_t id, int64_t now_ms)
{
    s_take_reports(self, now_ms); //  (4) as fresh as can be
    s_connection_t *connection = s_get(self, id);
    if (connection) {
        s_end(self, connection, "told");
    }
}

void
yami_connections_count(const yami_connections_t *self, yami_connections_counts_t *counts)
{
    *counts = self->counts;
}

//  -- Its life

static int
s_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur > TABLE_LIMIT) {
        return (int) TABLE_LIMIT;
    }
    int all = (int) limit.rlim_cur;
    int spare = all / SPARE_SHARE < SPARE_MOST ? all / SPARE_SHARE : SPARE_MOST;
    return all - spare;
}

//  How many connections fit below that descriptor, beside what is open now.
static size_t
s_room(int fd_limit)
{
    int lowest = eventfd(0, EFD_CLOEXEC);
    if (lowest == -1) {
        return 1;
    }
    (void) close(lowest);
    return lowest < fd_limit ? (size_t) (fd_limit - lowest) : 1;
}

static int
s_watch(yami_connections_t *self, void *context)
{
    static _Atomic unsigned s_number;
    char address[64];
    (void) snprintf(address, sizeof address, "inproc://yam-connections-%u", ++s_number);
    if (yami_socket_check_descriptors() == -1) {
        return -1;
    }
    if (zmq_socket_monitor(self->watched, address, EVENTS) == -1) {
        return yami_fail(errno, "cannot watch a socket: %s", zmq_strerror(errno));
    }
    self->monitor = zmq_socket(context, ZMQ_PAIR);
    int hwm = EVENT_HWM;
    int linger = 0;
    if (!self->monitor || zmq_setsockopt(self->monitor, ZMQ_RCVHWM, &hwm, sizeof hwm) == -1 ||
        zmq_setsockopt(self->monitor, ZMQ_LINGER, &linger, sizeof linger) == -1 ||
        zmq_connect(self->monitor, address) == -1) {
        return yami_fail(errno, "cannot watch a socket: %s", zmq_strerror(errno));
    }
    return 0;
}

yami_connections_t *
yami_connections_new(void *context, void *socket, yami_outboxes_t *outboxes,
                     const yami_connections_limits_t *limits)
{
    YAM_ASSERT(limits->connections > 0 && limits->greeting_ms > 0 && limits->untaken_bytes > 0);
    yami_connections_t *self = yami_alloc(sizeof *self);
    self->watched = socket;
    self->outboxes = outboxes;
    self->limits = *limits;
    self->fd_limit = s_fd_limit();
    size_t room = s_room(self->fd_limit);
    self->limits.connections = room < limits->connections ? room : limits->connections;
    TAILQ_INIT(&self->silent);
    if (s_watch(self, context) == -1) {
        int error = errno;
        yami_connections_destroy(&self);
        errno = error;
    }
    return self;
}

void
yami_connections_destroy(yami_connections_t **self_p)
{
    yami_connections_t *self = *self_p;
    *self_p = NULL;
    if (!self) {
        return;
    }
    (void) zmq_socket_monitor(self->watched, NULL, 0);
    yami_socket_close(self->monitor);
    for (size_t fd = 0; fd < self->capacity; fd++) {
        s_forget(self, (int) fd);
    }
    yami_free(self->table);
    yami_free(self);
}
