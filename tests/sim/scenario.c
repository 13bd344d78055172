//  The scenarios. See scenario.h.

#include "scenario.h"

#include <stddef.h>

#include "yami_frame.h"

#define QUEUE YAMI_KIND_QUEUE
#define TOPIC YAMI_KIND_TOPIC

#define ALL_FAULTS                                                                                 \
    {                                                                                              \
        [FAULT_RELAY_KILL] = 6, [FAULT_RELAY_POWER] = 6, [FAULT_RELAY_STEP] = 12,                  \
        [FAULT_RELAY_DISK] = 12, [FAULT_RELAY_PROMISE] = 8, [FAULT_DISK_SLOW] = 6,                 \
        [FAULT_RECOVERY] = 4, [FAULT_RELAY_STOP] = 4, [FAULT_RELAY_FREEZE] = 4,                    \
        [FAULT_DISK_ERROR] = 4, [FAULT_DISK_FULL] = 3, [FAULT_NO_FILES] = 3, [FAULT_CLOCK] = 3,    \
        [FAULT_CUT] = 8, [FAULT_HALF_OPEN] = 6, [FAULT_UNREACHABLE] = 3, [FAULT_SLOW] = 4,         \
        [FAULT_CHAOS] = 4, [FAULT_CLIENT_CRASH] = 12, [FAULT_CLIENT_FREEZE] = 6,                   \
        [FAULT_CLIENT_LEAVE] = 5, [FAULT_NO_MEMORY] = 6, [FAULT_DISK_PARTS] = 4                    \
    }
#define RELAY_FAULTS                                                                               \
    {                                                                                              \
        [FAULT_RELAY_KILL] = 3, [FAULT_RELAY_POWER] = 6, [FAULT_RELAY_STEP] = 20,                  \
        [FAULT_RELAY_DISK] = 20, [FAULT_RELAY_PROMISE] = 20, [FAULT_DISK_SLOW] = 10,               \
        [FAULT_RECOVERY] = 5, [FAULT_CUT] = 2, [FAULT_CLIENT_CRASH] = 4, [FAULT_NO_MEMORY] = 6,    \
        [FAULT_DISK_PARTS] = 10                                                                    \
    }
#define SEGMENT_FAULTS                                                                             \
    {                                                                                              \
        [FAULT_RELAY_SEGMENT] = 60, [FAULT_RELAY_DISK] = 10, [FAULT_RELAY_STEP] = 5,               \
        [FAULT_RELAY_PROMISE] = 10, [FAULT_RECOVERY] = 10, [FAULT_NO_MEMORY] = 5                   \
    }
#define CLIENT_FAULTS                                                                              \
    {                                                                                              \
        [FAULT_RELAY_STEP] = 5, [FAULT_RELAY_FREEZE] = 2, [FAULT_CUT] = 10,                        \
        [FAULT_HALF_OPEN] = 10, [FAULT_SLOW] = 5, [FAULT_CLIENT_CRASH] = 20,                       \
        [FAULT_CLIENT_FREEZE] = 20, [FAULT_CLIENT_LEAVE] = 10, [FAULT_NO_MEMORY] = 5               \
    }

//  A consumer that takes and acks all dead letters of a channel.
#define UNDERTAKER(channel)                                                                        \
    {                                                                                              \
        channel, "", 20, 8, 2000, 0, 0, 0, 0, 0, true                                              \
    }

const scenario_t scenario_table[] = {
    {
        .name = "queue",
        .what = "one queue, a named and an anonymous producer, three consumers, any fault",
        .channels = {{"q", QUEUE}},
        .producers = {{0, "billing", 60, 5, 12000, 400}, {0, NULL, 60, 5, 12000, 400}},
        .consumers = {{0, "", 20, 6, 8000, 60, 20, 30, 40, 30, false},
                      {0, "", 8, 2, 15000, 100, 10, 50, 50, 30, false},
                      UNDERTAKER(0)},
        .poison = 20,
        .faults = 8,
        .faults_ms = 1500,
        .lease_ms = 400,
        .window = 100,
        .weights = ALL_FAULTS,
    },
    {
        .name = "topic",
        .what = "a topic with two durable groups, any fault",
        .channels = {{"t", TOPIC}},
        .producers = {{0, "news", 60, 6, 12000, 300}, {0, NULL, 30, 3, 20000, 300}},
        .consumers = {{0, "audit", 30, 8, 4000, 30, 10, 20, 20, 10, false},
                      {0, "mail", 10, 3, 9000, 60, 20, 20, 40, 20, false},
                      {0, "mail", 10, 3, 9000, 60, 20, 20, 40, 20, false},
                      UNDERTAKER(0)},
        .poison = 15,
        .faults = 8,
        .faults_ms = 1500,
        .lease_ms = 400,
        .window = 60,
        .weights = ALL_FAULTS,
    },
    {
        .name = "relay-crashes",
        .what = "the relay dies again and again, at any step and operation, and while it recovers",
        .channels = {{"q", QUEUE}, {"t", TOPIC}},
        .producers = {{0, "a", 80, 8, 8000, 3000}, {1, "b", 60, 6, 8000, 3000}},
        .consumers = {{0, "", 25, 8, 3000, 40, 5, 20, 20, 5, false},
                      {1, "g", 25, 8, 3000, 40, 5, 20, 20, 5, false},
                      UNDERTAKER(1),
                      UNDERTAKER(0)},
        .poison = 60,
        .faults = 14,
        .faults_ms = 2500,
        .lease_ms = 500,
        .window = 50,
        .weights = RELAY_FAULTS,
    },
    {
        .name = "clients-crash",
        .what = "producers and consumers die, freeze, lose their links",
        .channels = {{"q", QUEUE}},
        .producers = {{0, "a", 80, 6, 6000, 200}, {0, NULL, 40, 4, 8000, 200}},
        .consumers = {{0, "", 12, 5, 8000, 40, 10, 40, 60, 50, false},
                      {0, "", 12, 5, 8000, 40, 10, 40, 60, 50, false},
                      {0, "", 4, 1, 20000, 40, 10, 40, 60, 50, false},
                      UNDERTAKER(0)},
        .poison = 10,
        .faults = 16,
        .faults_ms = 2000,
        .lease_ms = 250,
        .window = 80,
        .weights = CLIENT_FAULTS,
    },
    {
        .name = "rivals",
        .what = "two producers of one name fence each other, over crashes of the relay",
        .channels = {{"q", QUEUE}},
        .producers = {{0, "same", 60, 6, 8000, 200}, {0, "same", 60, 6, 8000, 200}},
        .consumers = {{0, "", 40, 12, 2000, 10, 0, 0, 0, 0, false}, UNDERTAKER(0)},
        .faults = 12,
        .faults_ms = 2000,
        .lease_ms = 400,
        .window = 80,
        .weights = RELAY_FAULTS,
    },
    {
        .name = "segments",
        .big = 400,
        .what = "large messages: segments are begun, sealed, recycled; checkpoints; crashes",
        .channels = {{"q", QUEUE}},
        .producers = {{0, "a", 120, 8, 6000, 30000}},
        .consumers = {{0, "", 30, 10, 1500, 20, 5, 10, 10, 5, false}, UNDERTAKER(0)},
        .faults = 10,
        .faults_ms = 2500,
        .lease_ms = 400,
        .window = 40,
        .weights = RELAY_FAULTS,
    },
    {
        .name = "disk",
        .what = "the disk fails, moves parts, fills up, has no descriptors; a full channel refuses",
        .channels = {{"q", QUEUE}},
        .producers = {{0, "a", 100, 8, 6000, 12000}, {0, NULL, 40, 4, 8000, 2000}},
        .consumers = {{0, "", 20, 8, 6000, 20, 5, 10, 10, 5, false}, UNDERTAKER(0)},
        .faults = 10,
        .faults_ms = 2000,
        .lease_ms = 400,
        .window = 60,
        .limit = 40,
        .weights = {[FAULT_DISK_ERROR] = 10,
                    [FAULT_DISK_PARTS] = 15,
                    [FAULT_DISK_FULL] = 20,
                    [FAULT_NO_FILES] = 15,
                    [FAULT_NO_MEMORY] = 10,
                    [FAULT_RELAY_DISK] = 6,
                    [FAULT_RELAY_POWER] = 4,
                    [FAULT_RELAY_STOP] = 6},
    },
    {
        .name = "promises",
        .what = "a slow disk, links that break, and power that goes right after a promise",
        .channels = {{"q", QUEUE}},
        .producers = {{0, "a", 80, 6, 6000, 300}, {0, NULL, 80, 4, 8000, 300}},
        .consumers = {{0, "", 20, 6, 5000, 30, 10, 30, 30, 10, false},
                      {0, "", 20, 6, 5000, 30, 10, 30, 30, 10, false},
                      UNDERTAKER(0)},
        .faults = 20,
        .faults_ms = 2000,
        .lease_ms = 300,
        .window = 60,
        .weights = {[FAULT_DISK_SLOW] = 30,
                    [FAULT_RELAY_PROMISE] = 40,
                    [FAULT_CUT] = 60,
                    [FAULT_CLIENT_CRASH] = 5},
    },
    {
        .name = "dead-letters",
        .what = "many messages nobody can handle, sent back from the dead letters; crashes",
        .channels = {{"q", QUEUE}, {"t", TOPIC}},
        .producers = {{0, "a", 60, 6, 6000, 500}, {1, "b", 40, 4, 8000, 500}},
        .consumers = {{0, "", 20, 6, 3000, 200, 100, 30, 10, 10, false},
                      {1, "g", 20, 6, 3000, 200, 100, 30, 10, 10, false},
                      {1, "h", 20, 6, 3000, 100, 50, 30, 10, 10, false},
                      {0, "", 20, 8, 9000, 50, 0, 50, 0, 0, true},
                      {1, "", 20, 8, 9000, 50, 0, 50, 0, 0, true}},
        .poison = 150,
        .faults = 16,
        .faults_ms = 2000,
        .lease_ms = 300,
        .window = 60,
        .weights = {[FAULT_REDRIVE] = 30,
                    [FAULT_NO_MEMORY] = 15,
                    [FAULT_RELAY_DISK] = 30,
                    [FAULT_RELAY_STEP] = 20,
                    [FAULT_RELAY_PROMISE] = 20,
                    [FAULT_CUT] = 5,
                    [FAULT_CLIENT_CRASH] = 5},
    },
    {
        .name = "delayed",
        .what =
            "delayed and other messages in the same batches, cancels, clocks that jump, crashes",
        .channels = {{"q", QUEUE}, {"t", TOPIC}},
        .producers = {{0, "a", 90, 8, 6000, 3000, 500, 900},
                      {0, NULL, 40, 4, 8000, 200, 900, 300},
                      {1, "b", 50, 5, 8000, 300, 400, 1500}},
        .consumers = {{0, "", 25, 8, 3000, 30, 5, 20, 20, 5, false},
                      {1, "g", 25, 8, 3000, 30, 5, 20, 20, 5, false},
                      UNDERTAKER(0),
                      UNDERTAKER(1)},
        .faults = 20,
        .faults_ms = 2500,
        .lease_ms = 400,
        .window = 60,
        .limit = 60,
        .weights = {[FAULT_CANCEL] = 60,
                    [FAULT_NO_MEMORY] = 15,
                    [FAULT_CLOCK] = 8,
                    [FAULT_RELAY_DISK] = 20,
                    [FAULT_RELAY_STEP] = 20,
                    [FAULT_RELAY_PROMISE] = 20,
                    [FAULT_RECOVERY] = 5,
                    [FAULT_DISK_FULL] = 4,
                    [FAULT_DISK_SLOW] = 10,
                    [FAULT_CUT] = 5,
                    [FAULT_CLIENT_CRASH] = 5},
    },
    {
        .name = "new-store",
        .what =
            "a store is new, and its relay dies before anything in it is durable, or right after",
        .channels = {{"q", QUEUE}},
        .producers = {{0, "a", 20, 4, 1000, 300}},
        .consumers = {{0, "", 20, 6, 1000, 0, 0, 0, 0, 0, false}, UNDERTAKER(0)},
        .faults = 5,
        .faults_ms = 3,
        .lease_ms = 400,
        .window = 20,
        .weights = SEGMENT_FAULTS,
    },
    {
        .name = "drained",
        .big = 1000,
        .what =
            "a queue is empty again and again: segments are recycled as early as can be; crashes",
        .channels = {{"q", QUEUE}},
        .producers = {{0, "a", 160, 2, 6000, 4000}},
        .consumers = {{0, "", 20, 10, 500, 0, 0, 0, 0, 0, false}, UNDERTAKER(0)},
        .faults = 10,
        .faults_ms = 1500,
        .lease_ms = 400,
        .window = 40,
        .weights = SEGMENT_FAULTS,
    },
    {
        .name = "proxy",
        .what = "a hostile proxy drops, repeats, swaps and damages frames",
        .channels = {{"q", QUEUE}},
        .producers = {{0, "a", 100, 6, 6000, 300}, {0, NULL, 60, 4, 8000, 300}},
        .consumers = {{0, "", 20, 6, 5000, 30, 10, 30, 30, 10, false},
                      {0, "", 20, 6, 5000, 30, 10, 30, 30, 10, false},
                      UNDERTAKER(0)},
        .faults = 10,
        .faults_ms = 2000,
        .lease_ms = 300,
        .window = 60,
        .weights =
            {[FAULT_CHAOS] = 30, [FAULT_CUT] = 5, [FAULT_RELAY_STEP] = 4, [FAULT_CLIENT_CRASH] = 4},
    },
};

const unsigned scenario_count = sizeof scenario_table / sizeof scenario_table[0];

const char *
scenario_fault_name(fault_type_t type)
{
    static const char *const names[] = {
        [FAULT_RELAY_KILL] = "relay-kill",
        [FAULT_RELAY_POWER] = "relay-power",
        [FAULT_RELAY_STEP] = "relay-step",
        [FAULT_RELAY_DISK] = "relay-disk",
        [FAULT_RELAY_SEGMENT] = "relay-segment",
        [FAULT_RELAY_PROMISE] = "relay-promise",
        [FAULT_DISK_SLOW] = "disk-slow",
        [FAULT_RECOVERY] = "recovery",
        [FAULT_RELAY_STOP] = "relay-stop",
        [FAULT_RELAY_FREEZE] = "relay-freeze",
        [FAULT_DISK_ERROR] = "disk-error",
        [FAULT_DISK_PARTS] = "disk-parts",
        [FAULT_DISK_FULL] = "disk-full",
        [FAULT_NO_FILES] = "no-files",
        [FAULT_NO_MEMORY] = "no-memory",
        [FAULT_CLOCK] = "clock",
        [FAULT_CUT] = "cut",
        [FAULT_HALF_OPEN] = "half-open",
        [FAULT_UNREACHABLE] = "unreachable",
        [FAULT_SLOW] = "slow",
        [FAULT_CHAOS] = "chaos",
        [FAULT_CLIENT_CRASH] = "client-crash",
        [FAULT_CLIENT_FREEZE] = "client-freeze",
        [FAULT_CLIENT_LEAVE] = "client-leave",
        [FAULT_REDRIVE] = "redrive",
        [FAULT_CANCEL] = "cancel",
    };
    return names[type];
}
