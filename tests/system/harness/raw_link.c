#include "raw_link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "child.h"
#include "yami_base.h"
#include "yami_limits.h"

#define BYTES_LIMIT (24U << 20)

void
raw_link_open(raw_link_t *self, const char *endpoint)
{
    static uint64_t sessions;
    int linger_ms = 0;
    *self = (raw_link_t) {.context = zmq_ctx_new(), .session = ++sessions};
    self->socket = zmq_socket(self->context, ZMQ_DEALER);
    self->bytes = malloc(BYTES_LIMIT);
    (void) zmq_setsockopt(self->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    if (zmq_connect(self->socket, endpoint) == -1) {
        (void) fprintf(stderr, "# cannot connect to %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
        abort();
    }
}

void
raw_link_close(raw_link_t *self)
{
    (void) zmq_close(self->socket);
    (void) zmq_ctx_term(self->context);
    free(self->bytes);
    *self = (raw_link_t) {.socket = NULL};
}

void
raw_link_send(raw_link_t *self, const void *bytes, size_t size)
{
    (void) zmq_send(self->socket, bytes, size, 0);
}

void
raw_link_send_part(raw_link_t *self, const void *bytes, size_t size)
{
    (void) zmq_send(self->socket, bytes, size, ZMQ_SNDMORE);
}

void
raw_link_send_frame(raw_link_t *self, const yami_frame_t *frame)
{
    yami_block_t *block = yami_frame_encode(frame);
    YAM_ASSERT(block);
    raw_link_send(self, block->data, block->size);
    yami_block_unref(&block);
}

//  The next part; false when none comes before deadline_ms.
static bool
s_receive(raw_link_t *self, int64_t deadline_ms)
{
    int64_t left_ms = deadline_ms - child_now_ms();
    zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
    if (zmq_poll(&item, 1, left_ms > 0 ? left_ms : 0) != 1) {
        return false;
    }
    int size = zmq_recv(self->socket, self->bytes, BYTES_LIMIT, 0);
    self->size = size > 0 ? (size_t) size : 0;
    return size >= 0;
}

bool
raw_link_expect(raw_link_t *self, uint8_t type, yami_frame_t *frame, int timeout_ms)
{
    int64_t deadline_ms = child_now_ms() + timeout_ms;
    while (s_receive(self, deadline_ms)) {
        bool is_frame = yami_frame_is_control(self->bytes, self->size) &&
                        yami_frame_decode(frame, self->bytes, self->size) == 0;
        if (is_frame && (type == 0 ? frame->type != YAMI_FRAME_HEARTBEAT : frame->type == type)) {
            return true;
        }
    }
    return false;
}

bool
raw_link_hello(raw_link_t *self)
{
    yami_frame_t hello = {.type = YAMI_FRAME_HELLO,
                          .present =
                              YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
                          .session = ++self->session << 20,
                          .max_frame = YAMI_LIMIT_FRAME,
                          .heartbeat_ms = 60000};
    yami_frame_t welcome;
    raw_link_send_frame(self, &hello);
    do {
        if (!raw_link_expect(self, YAMI_FRAME_WELCOME, &welcome, RAW_LINK_PATIENCE_MS)) {
            return false;
        }
    } while (welcome.session != hello.session);
    return true;
}

bool
raw_link_produce(raw_link_t *self, uint32_t handle, const char *queue, const yami_id_t *producer,
                 yami_frame_t *attached)
{
    yami_frame_t answer;
    yami_frame_t attach = {.type = YAMI_FRAME_ATTACH,
                           .handle = handle,
                           .present = YAMI_F_ROLE | YAMI_F_KIND | YAMI_F_CHANNEL | YAMI_F_PRODUCER |
                                      YAMI_F_EPOCH | YAMI_F_FIRST,
                           .role = YAMI_ROLE_PRODUCER,
                           .kind = YAMI_KIND_QUEUE,
                           .channel = {(const uint8_t *) queue, strlen(queue)},
                           .producer = *producer,
                           .first = 1};
    raw_link_send_frame(self, &attach);
    return raw_link_expect(self, YAMI_FRAME_ATTACHED, attached ? attached : &answer,
                           RAW_LINK_PATIENCE_MS);
}

yami_block_t *
raw_link_batch(uint32_t handle, const yami_id_t *producer, uint32_t epoch, uint64_t sequence,
               const void *body, size_t size)
{
    yami_builder_t builder;
    yami_batch_t head = {
        .handle = handle, .epoch = epoch, .producer = *producer, .first_sequence = sequence};
    yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT, .body = {body, size}};
    yami_builder_init(&builder, size + 4096);
    int rc = yami_builder_append(&builder, &record);
    yami_block_t *block = rc == 0 ? yami_builder_finish(&builder, &head) : NULL;
    YAM_ASSERT(block);
    yami_builder_clear(&builder);
    return block;
}

yam_status_t
raw_link_publish(raw_link_t *self, uint32_t handle, const yami_id_t *producer, uint32_t epoch,
                 uint64_t sequence, const void *body, size_t size)
{
    yami_frame_t frame;
    yami_block_t *block = raw_link_batch(handle, producer, epoch, sequence, body, size);
    raw_link_send(self, block->data, block->size);
    yami_block_unref(&block);
    while (raw_link_expect(self, 0, &frame, RAW_LINK_PATIENCE_MS)) {
        if (frame.type == YAMI_FRAME_CONFIRM && frame.handle == handle &&
            frame.sequence >= sequence) {
            return frame.level == YAM_LEVEL_SYNCED ? YAM_STATUS_OK : YAM_STATUS_INTERNAL;
        }
        if (frame.type == YAMI_FRAME_REFUSE && frame.handle == handle) {
            return (yam_status_t) frame.status;
        }
    }
    return YAM_STATUS_TIMEOUT;
}
