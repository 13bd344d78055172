//  The asking side of administration, with a relay that need not be sane: it greets, says this and
//  that, denies the session or leaves, and answers in the end.
//
//  What is taken for the answer is the answer to this question, its rows are those that were sent,
//  and what changes something is asked once more only when the relay did not know the session.

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "harness/fuzz.h"
#include "harness/relay_frames.h"
#include "yam_admin.h"
#include "yam_error.h"
#include "yami_admin_rows.h"
#include "yami_base.h"
#include "yami_limits.h"

#define S_ENDPOINT "inproc://fuzz-admin"
#define S_CALLS 3    //  of one input, at most
#define S_ATTEMPTS 3 //  sessions of one call, as yam_admin has it

static const yam_admin_request_t s_requests[] = {
    {.command = "stat"},
    {.command = "peek", .channel = "orders", .sequence = 1, .messages = 2},
    {.command = "purge", .channel = "orders", .is_dry_run = true},
    {.command = "purge", .channel = "orders"},
    {.command = "redrive", .channel = "orders.dead", .target = "orders", .messages = 2},
};
#define S_QUESTIONS 3 //  of them; the others change something

static yam_t *s_yam;
static void *s_socket; //  ROUTER; the relay's thread's
static void *s_end;    //  DEALER, by which it is told that an input is over

static pthread_mutex_t s_lock = PTHREAD_MUTEX_INITIALIZER; //  guards what follows
static fuzz_input_t s_input;
static bool s_is_over; //  the input: what is still said counts no more
static bool s_is_question;
static unsigned s_asked; //  in this call
static bool s_denied;    //  the session, since it was asked
static char s_text[32];  //  of the latest answer
static yami_slice_t s_rows;

//  -- The relay, under the lock -------------------------------------------------------------------

static void
s_say(zmq_msg_t *peer, const void *data, size_t size)
{
    bool is_odd = fuzz_below(&s_input, 16) == 15; //  one part too much
    (void) zmq_send(s_socket, zmq_msg_data(peer), zmq_msg_size(peer), ZMQ_SNDMORE);
    (void) zmq_send(s_socket, data, size, is_odd ? ZMQ_SNDMORE : 0);
    if (is_odd) {
        (void) zmq_send(s_socket, "more", 4, 0);
    }
}

static void
s_say_frame(zmq_msg_t *peer, const yami_frame_t *frame)
{
    yami_block_t *block = fuzz_encode(frame);
    s_say(peer, block->data, block->size);
    yami_block_unref(&block);
}

//  An answer to something else, or anything that a relay says.
static void
s_chatter(zmq_msg_t *peer, const relay_frames_t *say)
{
    yami_frame_t frame = {0};
    int error = 0;
    unsigned what = fuzz_below(&s_input, 8);
    if (what == 0) {
        frame = (yami_frame_t) {.type = YAMI_FRAME_REPLY,
                                .present = YAMI_F_SERIAL | YAMI_F_STATUS | YAMI_F_TEXT,
                                .serial = say->serial + 1 + fuzz_u8(&s_input),
                                .text = yami_slice_text("another's")};
    } else if (what == 1) {
        frame = (yami_frame_t) {
            .type = YAMI_FRAME_ERROR, .present = YAMI_F_STATUS, .status = YAM_STATUS_NO_SESSION};
    }
    if (what < 2) {
        s_say_frame(peer, &frame);
    } else {
        yami_block_t *block = relay_frames_next(say, &s_input, &frame, &error);
        s_say(peer, block->data, block->size);
        yami_block_unref(&block);
    }
    s_denied = s_denied || (error == 0 && frame.type == YAMI_FRAME_ERROR &&
                            frame.status == YAM_STATUS_NO_SESSION);
}

static void
s_greet(zmq_msg_t *peer, uint64_t session)
{
    relay_frames_t say = {.session = session + 1, .epoch = 1};
    for (unsigned count = fuzz_below(&s_input, 16) / 6; count > 0; count--) {
        s_chatter(peer, &say);
    }
    yami_frame_t welcome = {.type = YAMI_FRAME_WELCOME,
                            .present = YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME |
                                       YAMI_F_HEARTBEAT_MS | YAMI_F_LEVEL,
                            .session = session,
                            .max_frame = YAMI_LIMIT_FRAME,
                            .heartbeat_ms = 1000,
                            .level = YAM_LEVEL_SYNCED};
    s_say_frame(peer, &welcome);
}

static void
s_answer(zmq_msg_t *peer, uint64_t serial)
{
    static unsigned s_number;
    relay_frames_t say = {.session = 1, .epoch = 1, .serial = serial};
    YAM_ASSERT(++s_asked <= S_ATTEMPTS);
    YAM_ASSERT(s_asked == 1 || s_denied || s_is_question);
    s_denied = false;
    for (unsigned count = fuzz_below(&s_input, 4); count > 0; count--) {
        s_chatter(peer, &say);
    }
    (void) snprintf(s_text, sizeof s_text, "answer %u", ++s_number);
    s_rows = fuzz_bytes(&s_input, fuzz_u8(&s_input));
    yami_frame_t reply = {.type = YAMI_FRAME_REPLY,
                          .present = YAMI_F_SERIAL | YAMI_F_STATUS | YAMI_F_TEXT | YAMI_F_ROWS,
                          .serial = serial,
                          .status = fuzz_below(&s_input, 4) == 3 ? YAM_STATUS_UNKNOWN : 0,
                          .text = yami_slice_text(s_text),
                          .rows = s_rows};
    s_say_frame(peer, &reply);
}

//  A frame of who asks.
static void
s_hear(zmq_msg_t *peer, zmq_msg_t *message)
{
    yami_frame_t frame = {0};
    YAM_ASSERT(yami_frame_decode(&frame, zmq_msg_data(message), zmq_msg_size(message)) == 0);
    (void) pthread_mutex_lock(&s_lock);
    if (!s_is_over && frame.type == YAMI_FRAME_HELLO) {
        s_greet(peer, frame.session);
    } else if (!s_is_over && frame.type == YAMI_FRAME_ADMIN) {
        s_answer(peer, frame.serial);
    }
    (void) pthread_mutex_unlock(&s_lock);
}

//  One message, of two parts. Whether there was one; of an end, an empty one, *end has who tells
//  it.
static bool
s_serve(zmq_msg_t *end, int flags)
{
    zmq_msg_t peer, message;
    (void) zmq_msg_init(&peer);
    (void) zmq_msg_init(&message);
    bool is_there = zmq_msg_recv(&peer, s_socket, flags) >= 0;
    if (is_there) {
        YAM_ASSERT(zmq_msg_recv(&message, s_socket, 0) >= 0 && !zmq_msg_more(&message));
    }
    if (is_there && zmq_msg_size(&message) > 0) {
        s_hear(&peer, &message);
    } else if (is_there) {
        (void) zmq_msg_move(end, &peer);
    }
    (void) zmq_msg_close(&message);
    (void) zmq_msg_close(&peer);
    return is_there;
}

//  An end is answered when all that was said before it is heard.
static void *
s_live(void *arg)
{
    zmq_msg_t end;
    (void) arg;
    (void) zmq_msg_init(&end);
    for (;;) {
        (void) s_serve(&end, 0);
        while (zmq_msg_size(&end) > 0 && s_serve(&end, ZMQ_DONTWAIT)) {
        }
        if (zmq_msg_size(&end) > 0) {
            (void) zmq_msg_send(&end, s_socket, ZMQ_SNDMORE);
            (void) zmq_send(s_socket, "", 0, 0);
        }
    }
    return NULL;
}

static void
s_start(void)
{
    pthread_t thread;
    s_yam = yam_new();
    YAM_ASSERT(s_yam);
    s_socket = zmq_socket(yam_zmq_context(s_yam), ZMQ_ROUTER);
    s_end = zmq_socket(yam_zmq_context(s_yam), ZMQ_DEALER);
    YAM_ASSERT(s_socket && zmq_bind(s_socket, S_ENDPOINT) == 0);
    YAM_ASSERT(s_end && zmq_connect(s_end, S_ENDPOINT) == 0);
    YAM_ASSERT(pthread_create(&thread, NULL, s_live, NULL) == 0);
}

//  -- Who asks ------------------------------------------------------------------------------------

static void
s_check_rows(const yam_admin_t *admin)
{
    yami_admin_rows_t rows = {0};
    size_t fields = 0;
    YAM_ASSERT(yami_admin_rows_read(&rows, s_rows) == 0);
    YAM_ASSERT(yam_admin_row_count(admin) == rows.row_count);
    for (size_t row = 0; row < rows.row_count; row++) {
        for (size_t index = 0; index < yam_admin_field_count(admin, row); index++) {
            const char *name = yam_admin_field_name(admin, row, index);
            const yami_admin_field_t *field = yami_admin_rows_find(&rows, row, name);
            size_t size = 0;
            YAM_ASSERT(yam_admin_type(admin, row, name) == field->type);
            YAM_ASSERT(yam_admin_number(admin, row, name) == field->number);
            YAM_ASSERT(yam_admin_string(admin, row, name, &size) && size == field->size);
            fields++;
        }
    }
    YAM_ASSERT(fields == rows.field_count);
    yami_admin_rows_clear(&rows);
}

static void
s_call(yam_admin_t *admin)
{
    (void) pthread_mutex_lock(&s_lock);
    unsigned which = fuzz_below(&s_input, sizeof s_requests / sizeof s_requests[0]);
    s_is_question = which < S_QUESTIONS;
    s_asked = 0;
    (void) pthread_mutex_unlock(&s_lock);
    int rc = yam_admin_call(admin, &s_requests[which]);
    (void) pthread_mutex_lock(&s_lock);
    if (rc == 0) {
        YAM_ASSERT(strcmp(yam_admin_text(admin), s_text) == 0);
        s_check_rows(admin);
    } else {
        YAM_ASSERT(errno != 0 && *yam_error());
        YAM_ASSERT(yam_admin_row_count(admin) == 0); //  (1)
    }
    (void) pthread_mutex_unlock(&s_lock);
}

static void
s_finish(void)
{
    char nothing;
    (void) pthread_mutex_lock(&s_lock);
    s_is_over = true;
    (void) pthread_mutex_unlock(&s_lock);
    YAM_ASSERT(zmq_send(s_end, "", 0, 0) == 0);
    while (zmq_recv(s_end, &nothing, sizeof nothing, 0) == -1) {
        YAM_ASSERT(errno == EINTR); //  libFuzzer's alarm
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (s_yam == NULL) {
        s_start();
    }
    (void) pthread_mutex_lock(&s_lock);
    fuzz_input_init(&s_input, data, size);
    s_is_over = false;
    unsigned calls = 1 + fuzz_below(&s_input, S_CALLS);
    (void) pthread_mutex_unlock(&s_lock);
    yam_admin_t *admin = yam_admin_new(s_yam, ">" S_ENDPOINT);
    YAM_ASSERT(admin || *yam_error());
    for (; admin && calls > 0; calls--) {
        s_call(admin);
    }
    yam_admin_destroy(&admin);
    s_finish();
    return 0;
}
