/*  yami_dispatcher - the inside of yam_dispatcher, shared by its two halves: dispatcher.c (life and
    thread) and dispatcher_push.c (the sure push of one lane).

    The thread owns driver and pushes; the engine tells what pushes hear, under the monitor.
    Invariants:
    (1) What a push's callbacks tell waits in the push until the thread takes it: the engine never
    waits for the database.
    (2) Confirms are taken before the session that came after them.
*/
#ifndef YAMI_DISPATCHER_H
#define YAMI_DISPATCHER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "yam_dispatcher.h"
#include "yami_log.h"
#include "yami_monitor.h"
#include "yami_outbox_driver.h"
#include "yami_outlet.h"
#include "yami_writer.h"

#define YAMI_DISPATCHER_ENDPOINT 2048 //  bytes, options included

//  The sure push of a lane.
typedef struct {
    yam_dispatcher_t *dispatcher; //  borrowed
    yami_outlet_t *outlet;        //  owned
    uint64_t confirmed;           //  under the dispatcher's monitor: sequence, 0: none
    yami_sure_state_t told;       //  what the core knows of its state
} yami_dispatcher_push_t;

typedef struct {
    yami_outbox_core_options_t core;
    char prefix[YAM_OUTBOX_PREFIX + 1];
    int64_t poll_ms;
} yami_dispatcher_options_t;

struct yam_dispatcher {
    yam_t *yam;         //  borrowed
    void *connection;   //  owned; the database's
    yami_place_t place; //  a share of the relay in here, if there is one
    yami_dispatcher_options_t options;
    char endpoint[YAMI_DISPATCHER_ENDPOINT];
    uint8_t producer[YAM_OUTBOX_PRODUCER];
    pthread_t thread;

    yami_monitor_t monitor; //  guards from here to the next mark
    bool is_stopping;
    bool is_woken;
    bool has_news;     //  a push has heard something
    uint64_t asked;    //  looks that flush has asked for
    uint64_t answered; //  of those, how many began after that and found nothing to do
    yam_dispatcher_stats_t stats;

    //  The thread's.
    yami_outbox_driver_t driver;
    int64_t rest_until_ms;    //  the database is left to others
    yami_writer_t properties; //  scratch
    yami_log_site_t log_site;
};

//  What a push of that kind opens.
const yami_place_kind_t *
yami_dispatcher_place(int kind);

//  Opens the lane's push, to begin with that sequence; the core hears of it.
void
yami_dispatcher_open(yam_dispatcher_t *self, yami_outbox_lane_t *lane, uint64_t first,
                     int64_t now_ms);

void
yami_dispatcher_close(yam_dispatcher_t *self, yami_outbox_lane_t *lane);

//  Reads the rows and hands them to the lane's push. 0, or -1 with errno and a sentence: the
//  database could not be read.
int
yami_dispatcher_send(yam_dispatcher_t *self, const yami_outbox_output_t *output, int64_t now_ms);

//  Tells the core what the lane's push has heard.
void
yami_dispatcher_hear(yam_dispatcher_t *self, yami_outbox_lane_t *lane, int64_t now_ms);

#endif
