/*  yami_sure_sender - the inside of the sure sender, shared by its two halves: sure_sender.c (what
    applications call) and sure_sender_io.c (the engine's task around the producer core).

    Application threads append records to the open batch; a full one is closed. The engine takes
    closed batches, and the open one when few are on their way, so that frames are large under load
    and a lone message leaves at once.

        send -> open -> closed ... -> core's window -> socket
                 '--- engine takes ---^    '-- outcome: confirm runs, then room and flush are told

    Invariants (yami_sure_sender_check):
    (1) Messages leave in the order of accepted: number n is the producer's sequence n. The first is
    1, or what the identity says.
    (2) accepted - settled messages and held_bytes are within the window, or it is one message
    alone.
    (3) When something is open or closed, the engine was woken since, or waits for the core to want
    a batch.
*/
#ifndef YAMI_SURE_SENDER_H
#define YAMI_SURE_SENDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "yami_engine.h"
#include "yami_limits.h"
#include "yami_log.h"
#include "yami_monitor.h"
#include "yami_producer_core.h"
#include "yami_sender.h"
#include "yami_sure_link.h"
#include "yami_writer.h"

//  A full batch that waits for its header.
typedef struct yami_sure_closed {
    yami_builder_t builder; //  owned
    STAILQ_ENTRY(yami_sure_closed) link;
} yami_sure_closed_t;

typedef struct {
    yami_sender_t base;
    yam_t *yam;            //  borrowed
    yami_engine_t *engine; //  borrowed
    uint64_t window;       //  most messages without an outcome
    uint64_t window_bytes; //  most bytes of their frames
    int64_t send_timeout_ms;
    char endpoint[YAMI_LIMIT_ADDRESS + 1];
    uint64_t before_first;      //  number before that of the first message
    void (*changed)(void *arg); //  the identity's, or NULL
    void *changed_arg;

    yami_monitor_t monitor; //  guards from here to the next mark
    yami_builder_t open;
    uint8_t open_due; //  flag of all records in it: a relay keeps what is due later elsewhere
    STAILQ_HEAD(yami_sure_closed_list, yami_sure_closed) closed; //  owned; oldest first
    yami_writer_t properties;                                    //  scratch for a subject
    uint64_t accepted;                                           //  messages, by number
    uint64_t settled;        //  messages that have an outcome: room
    uint64_t held_bytes;     //  of frames without one
    uint64_t reported;       //  messages whose outcome confirm has heard of
    uint64_t never_sent;     //  of these, refused before they were sent, with all that come after
    uint64_t refused_untold; //  the other refused ones, of which no flush has told
    yam_status_t refusal;    //  of the latest of these
    char refusal_text[YAMI_LIMIT_TEXT + 1];
    int error;             //  errno for good, 0: none
    bool has_reported_all; //  after error: no more outcomes will follow
    yami_sure_state_t state;
    char final_text[YAMI_LIMIT_TEXT + 1]; //  the relay's words for error
    bool is_connected;
    bool storage_failed;
    bool is_closing;
    bool has_ended;    //  the link says nothing any more
    bool is_reporting; //  confirm is running
    yam_confirm_fn confirm;
    void *confirm_arg;
    yam_sender_stats_t stats;

    //  The engine thread's.
    yami_task_t task;
    yami_producer_core_t core;
    yami_sure_link_t link;
    yami_builder_t taken; //  empty between two batches
    yami_log_site_t log_site;
} yami_sure_sender_t;

//  The engine's task; arg is the sender.
int64_t
yami_sure_sender_step(void *arg, int64_t now_ms);

#endif
