/*  ceiling - the most that two hops over ZeroMQ and one synced file can carry on this machine: the
    yardstick of durable-1x1.

    Three processes as in the product: producer -> relay -> consumer, over tcp on loopback. Producer
    and relay compute the CRC32C of each batch; the relay's commit thread writes what has gathered
    with one pwritev into zero-filled space and syncs it with one fdatasync; only then the relay
    forwards, and confirms to the producer. The consumer checks every record. Nothing else: no
    dedupe, leases, acks of messages, recovery. Two windows bound it: the producer has at most
    WINDOW frames unconfirmed, the relay holds at most HELD.
*/
#include "harness/bench.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zmq.h>

#include "yami_base.h"

#define WINDOW 32      //  frames not confirmed to the producer
#define HELD 64        //  frames the relay holds until the consumer has them
#define HEADER_SIZE 56 //  bytes before the records, as much as the product's
#define RECORD_SIZE 12 //  bytes before each body, as much as the product's
#define FILE_SIZE (64 << 20)
#define ACK_EVERY 8 //  frames

typedef struct {
    const char *system;
    size_t batch_size; //  bytes of a frame
    bool is_synced;
} variant_t;

static const struct {
    size_t size;
    variant_t variants[4];
} s_plan[] = {
    {128,
     {{"ceiling-64K", 65536, true},
      {"ceiling-256K", 262144, true},
      {"unsynced-64K", 65536, false},
      {"unsynced-256K", 262144, false}}},
    {1024, {{"ceiling-128K", 131072, true}, {"unsynced-128K", 131072, false}}},
    {0, {{"ceiling-256K", 262144, true}, {"unsynced-256K", 262144, false}}}, //  all others
};

typedef struct {
    variant_t variant;
    size_t size; //  of a body
    uint64_t message_count;
    const char *file;
    sem_t is_bound;        //  posted twice
    sem_t is_joined;       //  the consumer is connected
    char endpoints[2][64]; //  for the producer, for the consumer
    int64_t start_ns;
    int64_t end_ns;
    uint64_t sync_count;
    bench_check_t check;
} run_t;

//  Frames of this size would otherwise be mapped and unmapped one by one.
static void
s_keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
}

static void *
s_socket(void *context, const char *connect_to)
{
    int high_water_mark = 2 * HELD; //  libzmq learns of what was read in steps of half of it
    int timeout_ms = 20000;
    void *socket = zmq_socket(context, ZMQ_DEALER);
    YAM_ASSERT(socket);
    zmq_setsockopt(socket, ZMQ_SNDHWM, &high_water_mark, sizeof high_water_mark);
    zmq_setsockopt(socket, ZMQ_RCVHWM, &high_water_mark, sizeof high_water_mark);
    zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout_ms, sizeof timeout_ms);
    if (connect_to && zmq_connect(socket, connect_to) == -1) {
        bench_fail("cannot connect to %s", connect_to);
    }
    return socket;
}

//  Cumulative counts of frames go back as 8 bytes.
static void
s_send_count(void *socket, uint64_t count)
{
    if (zmq_send(socket, &count, sizeof count, 0) == -1) {
        bench_fail("cannot send");
    }
}

//  Takes in the newest count there is; waits for one when flags is 0. False when there was none.
static bool
s_receive_count(void *socket, uint64_t *count, int flags)
{
    bool was_received = false;
    while (zmq_recv(socket, count, sizeof *count, flags) == (int) sizeof *count) {
        was_received = true;
        flags = ZMQ_DONTWAIT;
    }
    return was_received;
}

//  ---- Producer

//  Builds one frame of as many bodies as fit, from *index_p on.
static void
s_build(const run_t *run, zmq_msg_t *frame, uint64_t *index_p)
{
    size_t step = RECORD_SIZE + run->size;
    uint64_t count = (run->variant.batch_size - HEADER_SIZE) / step;
    uint64_t left = run->message_count - *index_p;
    count = count < left ? count : left;
    size_t payload = (size_t) count * step;
    YAM_ASSERT(zmq_msg_init_size(frame, HEADER_SIZE + payload) == 0);
    uint8_t *bytes = zmq_msg_data(frame);
    uint8_t *at = bytes + HEADER_SIZE;
    for (uint64_t record = 0; record < count; record++, at += step) {
        uint32_t head[3] = {(uint32_t) run->size, 0, 0};
        memcpy(at, head, RECORD_SIZE);
        bench_body_write(at + RECORD_SIZE, run->size, *index_p, bench_body_time(*index_p));
        (*index_p)++;
    }
    uint64_t header[HEADER_SIZE / 8] = {count, yami_crc32c(0, bytes + HEADER_SIZE, payload)};
    memcpy(bytes, header, HEADER_SIZE);
}

static int
s_producer(void *arg)
{
    run_t *run = arg;
    uint64_t index = 0;
    uint64_t sent_count = 0;
    uint64_t confirmed_count = 0;
    s_keep_memory();
    if (bench_sem_wait(&run->is_joined) == -1) {
        return 1;
    }
    void *context = zmq_ctx_new();
    void *socket = s_socket(context, run->endpoints[0]);
    s_send_count(socket, 0); //  until it is answered, connecting is not measured
    s_receive_count(socket, &confirmed_count, 0);
    run->start_ns = bench_now_ns();
    while (index < run->message_count) {
        zmq_msg_t frame;
        s_build(run, &frame, &index);
        if (zmq_msg_send(&frame, socket, 0) == -1) {
            bench_fail("cannot send");
        }
        sent_count++;
        s_receive_count(socket, &confirmed_count, ZMQ_DONTWAIT);
        while (sent_count - confirmed_count >= WINDOW) {
            YAM_ASSERT(s_receive_count(socket, &confirmed_count, 0));
        }
    }
    while (confirmed_count < sent_count) {
        YAM_ASSERT(s_receive_count(socket, &confirmed_count, 0));
    }
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}

//  ---- Relay: frames received <= handed over to the commit thread <= durable <= forwarded <= acked

typedef struct {
    run_t *run;
    zmq_msg_t frames[HELD]; //  number n lives in n % HELD from received to forwarded
    struct iovec vectors[HELD];
    uint64_t received_count;
    uint64_t forwarded_count;
    uint64_t acked_count; //  by the consumer
    pthread_mutex_t mutex;
    pthread_cond_t has_work;
    uint64_t ready_count; //  under mutex: what the commit thread may write
    bool is_closing;      //  under mutex
    atomic_uint_fast64_t durable_count;
    int wakeup; //  eventfd: durable_count has grown
    int file;
    off_t offset; //  in file, of the next write
} relay_t;

//  Writes frames first..last-1 in one go, from the beginning again at the end of the file.
static void
s_commit_frames(relay_t *self, uint64_t first, uint64_t last)
{
    struct iovec vector[HELD];
    size_t size = 0;
    for (uint64_t number = first; number < last; number++) {
        vector[number - first] = self->vectors[number % HELD];
        size += vector[number - first].iov_len;
    }
    if ((size_t) self->offset + size > FILE_SIZE) {
        self->offset = 0;
    }
    if (pwritev(self->file, vector, (int) (last - first), self->offset) != (ssize_t) size) {
        bench_fail("cannot write %zu bytes", size);
    }
    if (self->run->variant.is_synced && fdatasync(self->file) == -1) {
        bench_fail("cannot sync");
    }
    self->run->sync_count += self->run->variant.is_synced;
    self->offset += (off_t) size;
}

static void *
s_commit_thread(void *arg)
{
    relay_t *self = arg;
    uint64_t durable_count = 0;
    for (;;) {
        pthread_mutex_lock(&self->mutex);
        while (self->ready_count == durable_count && !self->is_closing) {
            pthread_cond_wait(&self->has_work, &self->mutex);
        }
        uint64_t ready_count = self->ready_count;
        pthread_mutex_unlock(&self->mutex);
        if (ready_count == durable_count) {
            return NULL;
        }
        s_commit_frames(self, durable_count, ready_count);
        durable_count = ready_count;
        atomic_store_explicit(&self->durable_count, durable_count, memory_order_release);
        eventfd_write(self->wakeup, 1);
    }
}

//  Takes a frame in; checks that it is what was sent.
static void
s_accept(relay_t *self)
{
    size_t slot = self->received_count % HELD;
    uint8_t *bytes = zmq_msg_data(&self->frames[slot]);
    size_t size = zmq_msg_size(&self->frames[slot]);
    uint64_t header[2];
    memcpy(header, bytes, sizeof header);
    if (yami_crc32c(0, bytes + HEADER_SIZE, size - HEADER_SIZE) != header[1]) {
        bench_fail("a frame came damaged");
    }
    self->vectors[slot] = (struct iovec) {bytes, size};
    self->received_count++;
}

static bool
s_take_frames(relay_t *self, void *producer)
{
    uint64_t before_count = self->received_count;
    while (self->received_count - self->acked_count < HELD) {
        zmq_msg_t *frame = &self->frames[self->received_count % HELD];
        zmq_msg_init(frame);
        int size = zmq_msg_recv(frame, producer, ZMQ_DONTWAIT);
        if (size == -1) {
            break;
        }
        if (size == (int) sizeof(uint64_t)) {
            s_send_count(producer, 0); //  the producer's first frame
            continue;
        }
        s_accept(self);
    }
    if (self->received_count == before_count) {
        return false;
    }
    pthread_mutex_lock(&self->mutex);
    self->ready_count = self->received_count;
    pthread_cond_signal(&self->has_work);
    pthread_mutex_unlock(&self->mutex);
    return true;
}

static bool
s_forward(relay_t *self, void *producer, void *consumer)
{
    uint64_t durable_count = atomic_load_explicit(&self->durable_count, memory_order_acquire);
    if (self->forwarded_count == durable_count) {
        return false;
    }
    while (self->forwarded_count < durable_count) {
        if (zmq_msg_send(&self->frames[self->forwarded_count % HELD], consumer, ZMQ_DONTWAIT) ==
            -1) {
            bench_fail("cannot forward");
        }
        self->forwarded_count++;
    }
    s_send_count(producer, durable_count);
    return true;
}

static void
s_serve(relay_t *self, void *producer, void *consumer, uint64_t frame_count)
{
    zmq_pollitem_t items[3] = {{.socket = producer, .events = ZMQ_POLLIN},
                               {.socket = consumer, .events = ZMQ_POLLIN},
                               {.fd = self->wakeup, .events = ZMQ_POLLIN}};
    while (self->acked_count < frame_count) {
        bool has_moved = s_take_frames(self, producer);
        has_moved |= s_receive_count(consumer, &self->acked_count, ZMQ_DONTWAIT);
        has_moved |= s_forward(self, producer, consumer);
        if (has_moved) {
            continue;
        }
        bool is_full = self->received_count - self->acked_count >= HELD;
        items[0].events = is_full ? 0 : ZMQ_POLLIN;
        zmq_poll(items, 3, 20000);
        eventfd_t ignored;
        if (items[2].revents) {
            eventfd_read(self->wakeup, &ignored);
        }
    }
}

static void *
s_bind(void *context, char *endpoint, size_t size)
{
    void *socket = s_socket(context, NULL);
    if (zmq_bind(socket, "tcp://127.0.0.1:*") == -1 ||
        zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == -1) {
        bench_fail("cannot bind");
    }
    return socket;
}

static int
s_relay(void *arg)
{
    run_t *run = arg;
    static relay_t self;
    pthread_t thread;
    uint64_t ignored;
    s_keep_memory();
    self = (relay_t) {.run = run, .wakeup = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    pthread_mutex_init(&self.mutex, NULL);
    pthread_cond_init(&self.has_work, NULL);
    self.file = open(run->file, O_RDWR | O_CLOEXEC);
    void *context = zmq_ctx_new();
    void *producer = s_bind(context, run->endpoints[0], sizeof run->endpoints[0]);
    void *consumer = s_bind(context, run->endpoints[1], sizeof run->endpoints[1]);
    sem_post(&run->is_bound);
    YAM_ASSERT(s_receive_count(consumer, &ignored, 0));
    sem_post(&run->is_joined);
    pthread_create(&thread, NULL, s_commit_thread, &self);
    size_t per_frame = (run->variant.batch_size - HEADER_SIZE) / (RECORD_SIZE + run->size);
    s_serve(&self, producer, consumer, (run->message_count + per_frame - 1) / per_frame);
    pthread_mutex_lock(&self.mutex);
    self.is_closing = true;
    pthread_cond_signal(&self.has_work);
    pthread_mutex_unlock(&self.mutex);
    pthread_join(thread, NULL);
    zmq_close(producer);
    zmq_close(consumer);
    zmq_ctx_term(context);
    return 0;
}

//  ---- Consumer

static void
s_check_frame(bench_check_t *check, const zmq_msg_t *frame)
{
    const uint8_t *at = (const uint8_t *) zmq_msg_data((zmq_msg_t *) frame);
    const uint8_t *end = at + zmq_msg_size(frame);
    at += HEADER_SIZE;
    while (at < end) {
        uint32_t size;
        memcpy(&size, at, sizeof size);
        bench_check_body(check, at + RECORD_SIZE, size);
        at += RECORD_SIZE + size;
    }
}

static int
s_consumer(void *arg)
{
    run_t *run = arg;
    uint64_t received_count = 0;
    s_keep_memory();
    if (bench_sem_wait(&run->is_bound) == -1) {
        return 1;
    }
    void *context = zmq_ctx_new();
    void *socket = s_socket(context, run->endpoints[1]);
    s_send_count(socket, 0);
    bench_check_init(&run->check, run->size, 0);
    while (run->check.expected_index < run->message_count) {
        zmq_msg_t frame;
        zmq_msg_init(&frame);
        if (zmq_msg_recv(&frame, socket, 0) == -1) {
            break;
        }
        s_check_frame(&run->check, &frame);
        zmq_msg_close(&frame);
        if (++received_count % ACK_EVERY == 0) {
            s_send_count(socket, received_count);
        }
    }
    run->end_ns = bench_now_ns();
    s_send_count(socket, received_count);
    zmq_close(socket);
    zmq_ctx_term(context);
    return 0;
}

//  ---- The bench

static void
s_measure(const variant_t *variant, size_t size, const char *file)
{
    run_t *run = bench_shared(sizeof *run);
    bench_process_t processes[3];
    uint64_t full = size <= 256 ? 5000000 : size <= 2048 ? 1000000 : 1000000000 / size;
    run->variant = *variant;
    run->size = size;
    run->message_count = bench_messages(full);
    run->file = file;
    sem_init(&run->is_bound, 1, 0);
    sem_init(&run->is_joined, 1, 0);
    bench_fork(&processes[0], "relay", s_relay, run);
    bench_fork(&processes[1], "consumer", s_consumer, run);
    bench_fork(&processes[2], "producer", s_producer, run);
    bool has_failed = bench_wait(processes, 3, 120) == -1;
    bench_result_t result = {.system = variant->system,
                             .phase = "through",
                             .size = size,
                             .message_count = run->message_count,
                             .seconds = (double) (run->end_ns - run->start_ns) / 1e9,
                             .latency = &run->check.latency,
                             .sync_count = run->sync_count};
    result.is_void = bench_is_void(&run->check, run->message_count) || has_failed;
    bench_add_processes(&result, processes, 3);
    bench_extra(&result, ", \"batch_bytes\": %zu", variant->batch_size);
    bench_report(&result);
}

//  A file of zeros, synced: what recycled segments are to the log.
static void
s_fill(const char *path)
{
    static char zeros[1 << 20];
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    for (int done = 0; file != -1 && done < FILE_SIZE; done += (int) sizeof zeros) {
        if (write(file, zeros, sizeof zeros) != sizeof zeros) {
            bench_fail("cannot fill %s", path);
        }
    }
    if (file == -1 || fsync(file) == -1) {
        bench_fail("cannot write %s", path);
    }
    close(file);
}

int
main(void)
{
    static const size_t defaults[] = {128, 1024, 10240, 0};
    size_t sizes[16];
    bench_start("ceiling");
    size_t size_count = bench_sizes(sizes, 16, defaults);
    char *file = bench_path("ceiling.bytes");
    s_fill(file);
    for (size_t index = 0; index < size_count; index++) {
        size_t row = sizes[index] == s_plan[0].size ? 0 : sizes[index] == s_plan[1].size ? 1 : 2;
        for (size_t column = 0; column < 4 && s_plan[row].variants[column].system; column++) {
            if (bench_wants("SYSTEMS", s_plan[row].variants[column].system)) {
                s_measure(&s_plan[row].variants[column], sizes[index], file);
            }
        }
    }
    unlink(file);
    free(file);
    return bench_finish();
}
