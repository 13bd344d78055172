//  yami_callback_intake - the queues a callback service takes from. See the header.

#include "yami_callback_intake.h"

#include <errno.h>

#include "yami_base.h"

#define S_CLOSE_MS 1000 //  for what is given back to leave

int
yami_callback_intake_open(yami_callback_intake_t *self)
{
    const char *const names[] = {self->options->confirms, self->options->checks};
    for (int queue = 0; queue < YAMI_CALLBACK_QUEUES; queue++) {
        if (self->pulls[queue] == NULL) {
            self->pulls[queue] = yam_pull_new(self->yam, names[queue], self->endpoint);
        }
        if (self->pulls[queue] == NULL) {
            return -1;
        }
    }
    return 0;
}

int
yami_callback_intake_fd(yami_callback_intake_t *self, yami_callback_queue_t queue)
{
    return self->pulls[queue] != NULL ? yam_pull_fd(self->pulls[queue]) : -1;
}

bool
yami_callback_intake_is_connected(yami_callback_intake_t *self)
{
    bool is_connected = true;
    for (int queue = 0; queue < YAMI_CALLBACK_QUEUES; queue++) {
        yam_pull_stats_t stats = {0};
        if (self->pulls[queue] != NULL) {
            yam_pull_stats(self->pulls[queue], &stats);
        }
        is_connected = is_connected && stats.is_connected;
    }
    return is_connected;
}

int
yami_callback_intake_take(yami_callback_intake_t *self, yami_callback_queue_t queue)
{
    YAM_ASSERT(self->count == 0);
    self->queue = queue;
    while (self->count < YAMI_CALLBACK_BATCH) {
        yam_message_t *message = yam_pull_recv(self->pulls[queue], 0);
        if (message == NULL) {
            return errno == EAGAIN || self->count > 0 ? 0 : -1;
        }
        self->is_malformed[self->count] = false;
        self->messages[self->count++] = message;
    }
    return 0;
}

void
yami_callback_intake_settle(yami_callback_intake_t *self, bool is_stored)
{
    yam_pull_t *pull = self->pulls[self->queue];
    for (size_t index = 0; index < self->count; index++) {
        yam_message_t **message_p = &self->messages[index];
        if (!is_stored) {
            (void) yam_pull_release(pull, message_p);
        } else if (self->is_malformed[index]) {
            (void) yam_pull_reject(pull, message_p, "malformed: see patterns/callback/SPEC.md");
        } else {
            (void) yam_pull_ack(pull, message_p); //  stale: it comes again, and changes nothing
        }
    }
    self->count = 0;
}

void
yami_callback_intake_close(yami_callback_intake_t *self)
{
    yami_callback_intake_settle(self, false);
    for (int queue = 0; queue < YAMI_CALLBACK_QUEUES; queue++) {
        (void) yam_pull_close(&self->pulls[queue], S_CLOSE_MS);
    }
    yam_admin_destroy(&self->admin);
}

//  Of the queue's groups, of which a queue usually has one, the lowest floor.
static void
s_read_rows(const yam_admin_t *admin, uint64_t *last, uint64_t *floor)
{
    *last = (uint64_t) yam_admin_number(admin, 0, "last");
    *floor = (uint64_t) yam_admin_number(admin, 0, "floor");
    for (size_t row = 1; row < yam_admin_row_count(admin); row++) {
        uint64_t other = (uint64_t) yam_admin_number(admin, row, "floor");
        *floor = other < *floor ? other : *floor;
    }
}

int
yami_callback_intake_ask(yami_callback_intake_t *self, uint64_t *last, uint64_t *floor)
{
    const yam_admin_request_t request = {.command = "stat", .channel = self->options->confirms};
    if (self->admin == NULL) {
        self->admin = yam_admin_new(self->yam, self->endpoint);
    }
    if (self->admin == NULL || yam_admin_call(self->admin, &request) == -1) {
        int error = errno;
        yam_admin_destroy(&self->admin);
        errno = error;
        return -1;
    }
    if (yam_admin_type(self->admin, 0, "floor") != 'i') {
        return yami_fail(EPROTO, "the relay does not tell where the queue of confirms is (is it of "
                                 "an older version?)");
    }
    s_read_rows(self->admin, last, floor);
    return 0;
}
