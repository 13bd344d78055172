//  Time, events, randomness, trace. See world.h.

#include "world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"

#define EVENT_LIMIT ((size_t) 1 << 20)
#define WALL_MS 1750000000000 //  some day in 2025

void
world_init(world_t *self, uint64_t seed, FILE *trace)
{
    *self = (world_t) {.seed = seed, .wall_ms = WALL_MS, .trace = trace, .hash = seed};
}

void
world_clear(world_t *self)
{
    yami_free(self->events);
    self->events = NULL;
    self->event_count = 0;
}

//  splitmix64 (Steele, Lea, Flood 2014).
static uint64_t
s_next(uint64_t *random_p)
{
    uint64_t mixed = *random_p += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

uint64_t
world_mix(uint64_t left, uint64_t right)
{
    uint64_t random = left * 0x2545f4914f6cdd1du + right;
    return s_next(&random);
}

uint64_t
world_draw(uint64_t *random_p, uint64_t limit)
{
    return limit > 0 ? s_next(random_p) % limit : 0;
}

int64_t
world_between(uint64_t *random_p, int64_t minimum, int64_t maximum)
{
    YAM_ASSERT(maximum >= minimum);
    return minimum + (int64_t) world_draw(random_p, (uint64_t) (maximum - minimum) + 1);
}

bool
world_chance(uint64_t *random_p, unsigned permille)
{
    return world_draw(random_p, 1000) < permille;
}

static bool
s_is_before(const world_event_t *left, const world_event_t *right)
{
    return left->at_us < right->at_us ||
           (left->at_us == right->at_us && left->order < right->order); //  (1)
}

static void
s_swap(world_event_t *left, world_event_t *right)
{
    world_event_t event = *left;
    *left = *right;
    *right = event;
}

void
world_after(world_t *self, int64_t delay_us, world_fn run, void *arg, uint64_t what)
{
    YAM_ASSERT(delay_us >= 0);
    int rc = yami_grow(&self->events, &self->event_capacity, self->event_count + 1,
                       sizeof *self->events, EVENT_LIMIT);
    YAM_ASSERT(rc == 0);
    size_t at = self->event_count++;
    self->events[at] = (world_event_t) {self->now_us + delay_us, ++self->order, run, arg, what};
    for (; at > 0 && s_is_before(&self->events[at], &self->events[(at - 1) / 2]);
         at = (at - 1) / 2) {
        s_swap(&self->events[at], &self->events[(at - 1) / 2]);
    }
}

static world_event_t
s_pop(world_t *self)
{
    world_event_t *events = self->events;
    world_event_t first = events[0];
    events[0] = events[--self->event_count];
    for (size_t at = 0;;) {
        size_t least = 2 * at + 1;
        if (least >= self->event_count) {
            return first;
        }
        if (least + 1 < self->event_count && s_is_before(&events[least + 1], &events[least])) {
            least++;
        }
        if (!s_is_before(&events[least], &events[at])) {
            return first;
        }
        s_swap(&events[at], &events[least]);
        at = least;
    }
}

bool
world_step(world_t *self)
{
    if (self->event_count == 0) {
        return false;
    }
    world_event_t event = s_pop(self);
    YAM_ASSERT(event.at_us >= self->now_us);
    self->now_us = event.at_us;
    self->run_count++;
    event.run(event.arg, event.what);
    return true;
}

int64_t
world_ms(const world_t *self)
{
    return self->now_us / 1000;
}

void
world_trace(world_t *self, const char *who, uint64_t number, const char *what, uint64_t a,
            uint64_t b, uint64_t c)
{
    uint64_t hash = self->hash ^ (uint64_t) self->now_us;
    for (const char *at = what; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t) *at) * 0x100000001b3u; //  FNV-1a
    }
    hash = (hash ^ number) * 0x100000001b3u;
    hash = (hash ^ a) * 0x100000001b3u;
    hash = (hash ^ b) * 0x100000001b3u;
    self->hash = (hash ^ c) * 0x100000001b3u;
    if (self->trace != NULL) {
        (void) fprintf(self->trace,
                       "%10.3f %s-%" PRIu64 " %s %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                       (double) self->now_us / 1000, who, number, what, a, b, c);
    }
}

void
world_fail(world_t *self, const char *kind, const char *format, ...)
{
    if (self->has_failed) {
        return; //  (2)
    }
    self->has_failed = true;
    (void) snprintf(self->kind, sizeof self->kind, "%s", kind);
    va_list arguments;
    va_start(arguments, format);
    (void) vsnprintf(self->text, sizeof self->text, format, arguments);
    va_end(arguments);
    world_trace(self, "oracle", 0, kind, 0, 0, 0);
    if (self->trace != NULL) {
        (void) fprintf(self->trace, "%s\n", self->text);
    }
}
