//  The relay's socket. See yami_relay_door.h.

#include "yami_relay_door.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "yami_base.h"
#include "yami_frame_socket.h"
#include "yami_limits.h"
#include "yami_log.h"
#include "yami_relay_links.h"

#define S_DELIVERY_CHARGE 4096u //  of a delivery, beside its bytes: so small ones are bounded, too
#define S_COUNTED_SIZE 1024u    //  smaller control frames are copied, and bounded by the HWM
#define S_OWN_ID_SIZE 5         //  of a routing id that ZeroMQ made: 0, and a number
#define S_LINK_LIMIT (YAMI_LIMIT_PEERS + 1) //  the core tells the one too many

struct yami_relay_door {
    void *router;                    //  owned
    yami_outboxes_t *outboxes;       //  owned
    yami_connections_t *connections; //  owned
    yami_relay_links_t *links;       //  owned
    int wake_fd;                     //  owned; eventfd

    uint64_t *crowded; //  owned; links that are pressed, or have to be
    size_t crowded_count;
    uint64_t pressed;
    uint64_t unnumbered;
    yami_log_site_t site;
};

static int
s_start(yami_relay_door_t *self, void *context)
{
    self->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (self->wake_fd == -1) {
        return yami_fail(errno,
                         "relay: no descriptor for its event (raise the limit on open files)");
    }
    self->outboxes = yami_outboxes_new(self->wake_fd);
    if (self->outboxes == NULL) {
        return -1;
    }
    self->connections =
        yami_connections_new(context, self->router, self->outboxes, &yami_connections_limits);
    return self->connections == NULL ? -1 : 0;
}

yami_relay_door_t *
yami_relay_door_new(void *context, void *router)
{
    YAM_ASSERT(router != NULL);
    yami_relay_door_t *self = yami_alloc(sizeof *self);
    self->router = router;
    self->links = yami_relay_links_new(S_LINK_LIMIT);
    self->crowded = yami_alloc(S_LINK_LIMIT * sizeof *self->crowded);
    if (s_start(self, context) == -1) {
        int error = errno;
        yami_relay_door_destroy(&self, 0);
        errno = error;
    }
    return self;
}

void
yami_relay_door_destroy(yami_relay_door_t **self_p, int linger_ms)
{
    YAM_ASSERT(self_p != NULL);
    yami_relay_door_t *self = *self_p;
    *self_p = NULL;
    if (self == NULL) {
        return;
    }
    yami_connections_destroy(&self->connections);
    (void) zmq_setsockopt(self->router, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    (void) zmq_close(self->router);
    yami_outboxes_destroy(&self->outboxes);
    yami_relay_links_destroy(&self->links);
    if (self->wake_fd != -1) {
        (void) close(self->wake_fd);
    }
    yami_free(self->crowded);
    yami_free(self);
}

int
yami_relay_door_wake_fd(const yami_relay_door_t *self)
{
    return self->wake_fd;
}

void
yami_relay_door_poll_items(const yami_relay_door_t *self,
                           zmq_pollitem_t items[YAMI_RELAY_DOOR_ITEMS])
{
    items[0] = (zmq_pollitem_t) {self->router, 0, ZMQ_POLLIN, 0};
    items[1] = (zmq_pollitem_t) {yami_connections_socket(self->connections), 0, ZMQ_POLLIN, 0};
    items[2] = (zmq_pollitem_t) {NULL, self->wake_fd, ZMQ_POLLIN, 0};
}

//  -- In

//  Only ids that ZeroMQ makes, which begin with 0, name one connection for ever.
static bool
s_may_have_moved(const yami_relay_link_t *link)
{
    return !link->is_placed || link->routing_id->data[0] != 0;
}

//  ZeroMQ numbers its peers, in network byte order.
static uint32_t
s_order(const yami_block_t *id)
{
    return (uint32_t) id->data[1] << 24 | (uint32_t) id->data[2] << 16 |
           (uint32_t) id->data[3] << 8 | id->data[4];
}

//  The part after the routing id, and which connection it came by.
static yami_block_t *
s_receive_part(yami_relay_door_t *self, yami_relay_link_t *link, bool *more_p, int64_t now_ms)
{
    if (link == NULL || !s_may_have_moved(link)) {
        return yami_socket_recv(self->router, more_p);
    }
    int fd = -1;
    yami_block_t *block = yami_socket_recv_from(self->router, more_p, &fd);
    const yami_block_t *id = link->routing_id;
    yami_connection_id_t now =
        id->data[0] == 0 && id->size == S_OWN_ID_SIZE
            ? yami_connections_find(self->connections, fd, s_order(id), now_ms)
            : yami_connections_find_named(self->connections, fd, now_ms);
    if (now.stamp != link->connection.stamp) {
        link->connection = now;
        link->has_greeted = false;
    }
    link->is_placed = true;
    return block;
}

bool
yami_relay_door_receive(yami_relay_door_t *self, yami_relay_arrival_t *arrival, int64_t now_ms)
{
    bool has_more = false;
    yami_block_t *routing_id = yami_socket_recv(self->router, &has_more);
    *arrival = (yami_relay_arrival_t) {0};
    if (routing_id == NULL) {
        return false;
    }
    yami_relay_link_t *link = yami_relay_links_find(self->links, routing_id);
    yami_block_unref(&routing_id);
    arrival->peer = link != NULL ? link->number : 0;
    self->unnumbered += link == NULL ? 1 : 0;
    if (has_more) {
        arrival->block = s_receive_part(self, link, &has_more, now_ms);
    }
    if (has_more) { //  a message of ours has one part after the routing id
        yami_block_unref(&arrival->block);
        if (yami_socket_skip(self->router) >= YAMI_LIMIT_PARTS && link != NULL) {
            yami_connections_end(self->connections, link->connection, now_ms);
        }
    }
    if (link != NULL) {
        yami_connections_taken(self->connections, link->connection);
    } else {
        yami_block_unref(&arrival->block);
        yami_log_limited(&self->site, YAMI_LOG_WARN, "relay.too-many-links", "dropped=%llu",
                         (unsigned long long) self->unnumbered);
    }
    return true;
}

bool
yami_relay_door_is_silent(const yami_relay_door_t *self, uint64_t peer)
{
    const yami_relay_link_t *link = yami_relay_links_get(self->links, peer);
    return link != NULL && !link->has_greeted;
}

void
yami_relay_door_greeted(yami_relay_door_t *self, uint64_t peer)
{
    yami_relay_link_t *link = yami_relay_links_get(self->links, peer);
    if (link != NULL) {
        link->has_greeted = true;
        yami_connections_greeted(self->connections, link->connection);
    }
}

void
yami_relay_door_close_link(yami_relay_door_t *self, uint64_t peer, int64_t now_ms)
{
    const yami_relay_link_t *link = yami_relay_links_get(self->links, peer);
    if (link != NULL) {
        self->pressed -= link->is_pressed ? 1 : 0;
        yami_connections_left(self->connections, link->connection, now_ms);
        yami_relay_links_remove(self->links, peer);
    }
}

//  -- Out

static int
s_send(yami_relay_door_t *self, const yami_relay_link_t *link, yami_outbox_t *outbox,
       yami_block_t *block, yami_block_t *data)
{
    void *router = self->router;
    if (yami_socket_send(router, link->routing_id, true) == -1) {
        return -1;
    }
    if (data != NULL) {
        return yami_socket_send(router, block, true) == -1 ? -1
               : outbox == NULL                            ? yami_socket_send(router, data, false)
                                : yami_socket_send_counted(router, data, false, outbox,
                                                           data->size + S_DELIVERY_CHARGE);
    }
    return outbox == NULL || block->size < S_COUNTED_SIZE
               ? yami_socket_send(router, block, false)
               : yami_socket_send_counted(router, block, false, outbox, block->size);
}

//  (2) What may wait for a link now.
static uint64_t
s_allowance(const yami_relay_door_t *self)
{
    return yami_outboxes_bytes(self->outboxes) < YAMI_LIMIT_UNSENT_TOTAL ? YAMI_LIMIT_UNSENT_BYTES
                                                                         : YAMI_LIMIT_UNSENT_SHARE;
}

int
yami_relay_door_send(yami_relay_door_t *self, uint64_t peer, yami_block_t *block,
                     yami_block_t *data, int64_t now_ms)
{
    yami_relay_link_t *link = yami_relay_links_get(self->links, peer);
    if (link == NULL) {
        return 0;
    }
    yami_outbox_t *outbox = yami_connections_outbox(self->connections, link->connection);
    uint64_t waiting = outbox != NULL ? yami_outbox_bytes(outbox) : 0;
    if (waiting >= YAMI_LIMIT_UNSENT_MOST || s_send(self, link, outbox, block, data) == -1) {
        yami_connections_end(self->connections, link->connection, now_ms); //  (1)
        return -1;
    }
    if (!link->is_crowded && waiting >= s_allowance(self) && self->crowded_count < S_LINK_LIMIT) {
        link->is_crowded = true;
        self->crowded[self->crowded_count++] = peer;
    }
    return 0;
}

//  Whether the link has still to be looked after.
static bool
s_press(yami_relay_door_t *self, yami_relay_link_t *link,
        void (*tell)(void *arg, uint64_t peer, bool is_pressed), void *arg)
{
    yami_outbox_t *outbox = yami_connections_outbox(self->connections, link->connection);
    bool is_pressed = outbox != NULL && yami_outbox_wait(outbox, s_allowance(self) / 2);
    if (is_pressed != link->is_pressed) {
        link->is_pressed = is_pressed;
        self->pressed = is_pressed ? self->pressed + 1 : self->pressed - 1;
        tell(arg, link->number, is_pressed);
    }
    return is_pressed;
}

void
yami_relay_door_step(yami_relay_door_t *self, int64_t now_ms,
                     void (*tell)(void *arg, uint64_t peer, bool is_pressed), void *arg)
{
    yami_connections_step(self->connections, now_ms);
    size_t kept = 0;
    for (size_t index = 0; index < self->crowded_count; index++) {
        uint64_t peer = self->crowded[index];
        yami_relay_link_t *link = yami_relay_links_get(self->links, peer);
        if (link != NULL && s_press(self, link, tell, arg)) {
            self->crowded[kept++] = peer;
        } else if (link != NULL) {
            link->is_crowded = false;
        }
    }
    self->crowded_count = kept;
}

int64_t
yami_relay_door_deadline(const yami_relay_door_t *self)
{
    return yami_connections_deadline(self->connections);
}

void
yami_relay_door_count(const yami_relay_door_t *self, yami_relay_gauges_t *gauges)
{
    yami_connections_counts_t counts;
    yami_connections_count(self->connections, &counts);
    *gauges = (yami_relay_gauges_t) {.connections = counts.open,
                                     .connections_silent = counts.silent,
                                     .connections_accepted = counts.accepted,
                                     .connections_ended = counts.ended,
                                     .handshakes_failed = counts.failed,
                                     .unsent_bytes = yami_outboxes_bytes(self->outboxes),
                                     .pressed = self->pressed,
                                     .unnumbered = self->unnumbered};
}
