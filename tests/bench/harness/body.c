/*  Bodies that prove themselves, and the receiver's check of them. */
#include "bench.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define WINDOW_BYTES                                                                               \
    4096 //  where in the pool a body may start: small, so that it stays in the cache

static uint8_t s_pool[WINDOW_BYTES + BENCH_BODY_MAX];
static pthread_once_t s_pool_once = PTHREAD_ONCE_INIT;

typedef struct {
    uint64_t index;
    uint64_t checksum;
    int64_t sent_ns;
} head_t;

//  The finisher of splitmix64 (Steele, Lea, Flood 2014): every input bit reaches every output bit.
static uint64_t
s_mix(uint64_t value)
{
    value += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

static void
s_fill_pool(void)
{
    for (size_t at = 0; at + 8 <= sizeof s_pool; at += 8) {
        uint64_t value = s_mix(at);
        memcpy(s_pool + at, &value, 8);
    }
}

static const uint8_t *
s_content(uint64_t index)
{
    pthread_once(&s_pool_once, s_fill_pool);
    return s_pool + (index * 56) % WINDOW_BYTES;
}

static uint64_t
s_checksum(uint64_t index, size_t size, int64_t sent_ns)
{
    uint64_t time = (uint64_t) sent_ns;
    return s_mix(index ^ ((uint64_t) size << 40) ^ (time << 20 | time >> 44));
}

void
bench_body_write(void *body, size_t size, uint64_t index, int64_t sent_ns)
{
    head_t head = {index, s_checksum(index, size, sent_ns), sent_ns};
    memcpy(body, &head, sizeof head);
    memcpy((uint8_t *) body + sizeof head, s_content(index), size - sizeof head);
}

int64_t
bench_body_time(uint64_t index)
{
    return index % BENCH_SAMPLE_EVERY == 0 ? bench_now_ns() : 0;
}

bool
bench_body_is_valid(const void *body, size_t size, uint64_t index)
{
    head_t head;
    if (size < sizeof head) {
        return false;
    }
    memcpy(&head, body, sizeof head);
    return head.index == index && head.checksum == s_checksum(index, size, head.sent_ns) &&
           memcmp((const uint8_t *) body + sizeof head, s_content(index), size - sizeof head) == 0;
}

void
bench_check_init(bench_check_t *self, size_t size, uint64_t first_index)
{
    memset(self, 0, sizeof *self);
    self->size = size;
    self->expected_index = first_index;
}

static void
s_sample(bench_check_t *self, const void *body)
{
    head_t head;
    memcpy(&head, body, sizeof head);
    if (head.sent_ns > 0) {
        int64_t latency_ns = bench_now_ns() - head.sent_ns;
        yami_histogram_add(&self->latency, latency_ns > 0 ? (uint64_t) latency_ns : 0);
    }
}

static bool
s_is_warmup(const void *body, size_t size)
{
    head_t head;
    if (size < sizeof head) {
        return false;
    }
    memcpy(&head, body, sizeof head);
    return head.index == BENCH_WARMUP;
}

void
bench_check_body(bench_check_t *self, const void *body, size_t size)
{
    if (s_is_warmup(body, size)) {
        self->warmup_count++;
        return;
    }
    if (size != self->size || !bench_body_is_valid(body, size, self->expected_index)) {
        if (self->bad_count++ == 0) {
            self->first_bad_index = self->expected_index;
        }
    } else {
        s_sample(self, body);
    }
    self->expected_index++;
}

bool
bench_is_void(const bench_check_t *check, uint64_t count)
{
    if (check->expected_index == count && check->bad_count == 0) {
        return false;
    }
    fprintf(stderr, "void: %" PRIu64 " of %" PRIu64 " messages came", check->expected_index, count);
    if (check->bad_count > 0) {
        fprintf(stderr, ", %" PRIu64 " of them wrong, the first instead of number %" PRIu64,
                check->bad_count, check->first_bad_index);
    }
    fprintf(stderr, "\n");
    return true;
}
