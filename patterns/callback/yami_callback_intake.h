/*  yami_callback_intake - the queues a callback service takes from, and what it asks the relay
    about them.

    Open only while the database works: what is not taken waits at the relay without blame, where a
    lease would run out. Not thread-safe: the service's thread.
*/
#ifndef YAMI_CALLBACK_INTAKE_H
#define YAMI_CALLBACK_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "yam_admin.h"
#include "yam_pull.h"
#include "yami_callback_options.h"

#define YAMI_CALLBACK_BATCH 512 //  most messages of one transaction

typedef enum {
    YAMI_CALLBACK_CONFIRMS = 0,
    YAMI_CALLBACK_CHECKS = 1,
    YAMI_CALLBACK_QUEUES = 2,
} yami_callback_queue_t;

typedef struct {
    yam_t *yam;           //  borrowed
    const char *endpoint; //  borrowed
    const yami_callback_options_t *options;
    yam_pull_t *pulls[YAMI_CALLBACK_QUEUES];      //  owned; NULL while closed
    yam_admin_t *admin;                           //  owned; NULL until asked
    yam_message_t *messages[YAMI_CALLBACK_BATCH]; //  owned; the batch in hand
    bool is_malformed[YAMI_CALLBACK_BATCH];       //  of those
    size_t count;
    yami_callback_queue_t queue; //  where the batch is from
} yami_callback_intake_t;

//  Opens what is closed. 0, or -1 with errno and a sentence.
int
yami_callback_intake_open(yami_callback_intake_t *self);

//  Gives the batch back, without blame, and closes. Safe when closed.
void
yami_callback_intake_close(yami_callback_intake_t *self);

//  A descriptor that is readable when the queue may have something; -1 while closed.
int
yami_callback_intake_fd(yami_callback_intake_t *self, yami_callback_queue_t queue);

//  Whether there is a session with the relay in each queue; false while closed.
bool
yami_callback_intake_is_connected(yami_callback_intake_t *self);

//  Takes a batch of what is there into messages. 0, or -1 with errno and a sentence: the queue
//  cannot be used.
int
yami_callback_intake_take(yami_callback_intake_t *self, yami_callback_queue_t queue);

//  Settles the batch: acknowledged, those that are malformed to the dead letters; or all given
//  back.
void
yami_callback_intake_settle(yami_callback_intake_t *self, bool is_stored);

//  Asks the relay for the confirms' queue: its last sequence, and the first one that is not
//  acknowledged. Waits for the relay, at most the endpoint's "connect-timeout". 0, or -1 with errno
//  and a sentence.
int
yami_callback_intake_ask(yami_callback_intake_t *self, uint64_t *last, uint64_t *floor);

#endif
