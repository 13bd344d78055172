/*  yami_sure_receiver - the inside of the sure receiver, shared by its two halves: sure_receiver.c
    (what applications call) and sure_receiver_io.c (the engine's task around the consumer core).

    One lock guards the core: application threads take messages out of it and settle them, the
    engine's thread feeds it and sends what it says. Frames are received and decoded without the
    lock, and one signal stands for a whole frame.
    Invariants:
    (1) The socket is the engine thread's alone.
    (2) event_fd, once asked for, is readable exactly while messages wait, or recv has something to
    say for good.
    (3) spent is NULL, or the frame settled from last; spent_count references to it are held. They
    go when a message of another frame is settled, or the last one there is.
*/
#ifndef YAMI_SURE_RECEIVER_H
#define YAMI_SURE_RECEIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "yami_consumer_core.h"
#include "yami_engine.h"
#include "yami_log.h"
#include "yami_monitor.h"
#include "yami_receiver.h"
#include "yami_sure_link.h"

typedef struct {
    yami_receiver_t base;
    yam_t *yam;            //  borrowed
    yami_engine_t *engine; //  borrowed
    char endpoint[YAMI_LIMIT_ADDRESS + 1];

    yami_monitor_t monitor; //  guards from here to the next mark
    yami_consumer_core_t core;
    int event_fd;         //  owned; -1 until asked for
    yami_block_t *spent;  //  (3)
    uint32_t spent_count; //  (3) references of settled messages, dropped in one go
    bool is_readable;     //  event_fd is
    uint64_t lost_told;   //  of the core's lost messages, those that flush has spoken of
    yam_receiver_stats_t stats;

    //  The engine thread's.
    yami_task_t task;
    yami_sure_link_t link;
    bool was_attached; //  after the last step
    yami_consumer_state_t told_state;
    uint64_t told_resolved; //  settled messages whose fate is known; it never falls
    yami_log_site_t log_site;
} yami_sure_receiver_t;

//  What the core is to do for these options. 0, or -1 with errno EINVAL and a sentence.
int
yami_sure_receiver_configure(yami_consumer_config_t *config, int kind, const char *channel,
                             const yami_endpoint_options_t *options);

//  Under the lock: makes (2) true again.
void
yami_sure_receiver_signal(yami_sure_receiver_t *self);

//  The engine's task; arg is the receiver.
int64_t
yami_sure_receiver_step(void *arg, int64_t now_ms);

#endif
