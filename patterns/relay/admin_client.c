//  The asking side of ADMIN. The socket is this object's own, not the engine's: whoever calls has
//  the time to wait.

#include "yam_admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

#include "yami_admin_rows.h"
#include "yami_base.h"
#include "yami_context.h"
#include "yami_frame.h"
#include "yami_frame_socket.h"
#include "yami_limits.h"
#include "yami_relay_core.h"
#include "yami_socket.h"
#include "yami_store.h"

#define S_HEARTBEAT_MS 10000 //  announced: this side is silent between calls
#define S_IDLE_MS 1000       //  a session silent for longer begins anew with the next call
#define S_PATIENCE_MS 1000   //  until a silent relay is asked again; twice as long each time
#define S_LINGER_MS 100      //  for the last frame of a session
#define S_ATTEMPTS 3         //  sessions a call may need, should the relay restart meanwhile

struct yam_admin {
    yam_t *yam; //  borrowed
    yami_endpoint_t endpoint;
    char *name;       //  owned; the endpoint as given, for people
    void *socket;     //  owned; a new one for each session
    uint64_t serial;  //  of the last request
    int64_t heard_ms; //  when the relay last said something; 0: no session
    char text[YAMI_LIMIT_TEXT + 1];
    yami_admin_rows_t rows;
};

//  -- Frames ------------------------------------------------------------------------------------

static int64_t
s_deadline(const yam_admin_t *self)
{
    int64_t timeout_ms = self->endpoint.options.connect_timeout_ms;
    return timeout_ms < 0 ? INT64_MAX : yami_clock_mono_ms() + timeout_ms;
}

//  In so many ms, or at the deadline if that is sooner.
static int64_t
s_until(int64_t patience_ms, int64_t deadline_ms)
{
    int64_t until_ms = yami_clock_mono_ms() + patience_ms;
    return until_ms < deadline_ms ? until_ms : deadline_ms;
}

static int
s_fail_timeout(const yam_admin_t *self)
{
    return yami_fail(ETIMEDOUT, "no relay answers at %s within %" PRId64 " ms (is yamd running?)",
                     self->name, self->endpoint.options.connect_timeout_ms);
}

static int
s_send(yam_admin_t *self, const yami_frame_t *frame)
{
    yami_block_t *block = yami_frame_encode(frame);
    if (!block) {
        return yami_fail(errno, "cannot ask the relay: a field of the request is too long");
    }
    int rc = yami_socket_send(self->socket, block, false);
    yami_block_unref(&block);
    return rc == -1 && errno == EAGAIN ? s_fail_timeout(self) : rc;
}

//  Takes the parts that follow from the socket. Nothing this side understands has more than one.
static void
s_drop_parts(void *socket, bool has_more)
{
    while (has_more) {
        yami_block_t *block = yami_socket_recv(socket, &has_more);
        has_more = has_more && block;
        yami_block_unref(&block);
    }
}

//  Waits until deadline for one frame, which borrows from *block_p (owned by the caller). 0, or -1
//  with errno.
static int
s_recv(yam_admin_t *self, int64_t deadline_ms, yami_frame_t *frame, yami_block_t **block_p)
{
    bool has_more = false;
    while (!(*block_p = yami_socket_recv(self->socket, &has_more))) {
        zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
        int64_t left_ms = deadline_ms - yami_clock_mono_ms();
        if (errno != EAGAIN && errno != EINTR) {
            return yami_fail(errno, "cannot receive from %s: %s", self->name, zmq_strerror(errno));
        }
        if (left_ms <= 0) {
            return s_fail_timeout(self);
        }
        (void) zmq_poll(&item, 1, (long) left_ms);
    }
    s_drop_parts(self->socket, has_more);
    if (yami_frame_decode(frame, (*block_p)->data, (*block_p)->size) == -1) {
        int error = errno;
        yami_block_unref(block_p);
        return yami_fail(error, "what answers at %s does not speak this version of the protocol",
                         self->name);
    }
    self->heard_ms = yami_clock_mono_ms();
    return 0;
}

//  The same within a session, with more patience after each silence. What went with a connection is
//  lost without a word; but a relay that does not know the session says so when it hears from us.
static int
s_recv_asking(yam_admin_t *self, int64_t deadline_ms, int64_t *patience_ms_p, yami_frame_t *frame,
              yami_block_t **block_p)
{
    static const yami_frame_t heartbeat = {.type = YAMI_FRAME_HEARTBEAT};
    while (s_recv(self, s_until(*patience_ms_p, deadline_ms), frame, block_p) == -1) {
        if (errno != ETIMEDOUT || yami_clock_mono_ms() >= deadline_ms) {
            return -1;
        }
        (void) s_send(self, &heartbeat); //  without room for it others are on their way
        *patience_ms_p *= 2;
    }
    return 0;
}

//  Turns a refusal of the relay into errno and a sentence.
static int
s_fail_status(const char *what, const yami_frame_t *frame)
{
    yam_status_t status = (yam_status_t) frame->status;
    return yami_fail(yam_status_errno(status), "the relay refuses %s: %s%s%.*s", what,
                     yam_status_name(status), frame->text.size > 0 ? ": " : "",
                     (int) frame->text.size, (const char *) frame->text.data);
}

//  -- Sessions ----------------------------------------------------------------------------------

//  Says GOODBYE, so that the relay need not wait for a silent peer.
static void
s_disconnect(yam_admin_t *self)
{
    int linger_ms = S_LINGER_MS;
    yami_frame_t goodbye = {.type = YAMI_FRAME_GOODBYE};
    if (!self->socket) {
        return;
    }
    if (self->heard_ms > 0 && s_send(self, &goodbye) == 0) {
        (void) zmq_setsockopt(self->socket, ZMQ_LINGER, &linger_ms, sizeof linger_ms);
    }
    yami_socket_close(self->socket);
    self->socket = NULL;
    self->heard_ms = 0;
}

//  A new socket for every session: what an old one still had to say goes with it.
static int
s_connect(yam_admin_t *self)
{
    s_disconnect(self);
    self->socket = yami_context_socket(self->yam, ZMQ_DEALER, &self->endpoint.options);
    return self->socket ? yami_context_attach(self->socket, &self->endpoint, NULL, 0) : -1;
}

static int
s_await_welcome(yam_admin_t *self, uint64_t session, int64_t deadline_ms)
{
    for (;;) {
        yami_frame_t frame = {0};
        yami_block_t *block = NULL;
        if (s_recv(self, deadline_ms, &frame, &block) == -1) {
            return -1;
        }
        bool is_welcome = frame.type == YAMI_FRAME_WELCOME && frame.session == session;
        int rc = frame.type == YAMI_FRAME_ERROR ? s_fail_status("a session", &frame) : 0;
        yami_block_unref(&block);
        if (rc == -1 || is_welcome) {
            return rc;
        }
    }
}

static int
s_greet(yam_admin_t *self, int64_t deadline_ms)
{
    yami_frame_t hello = {
        .type = YAMI_FRAME_HELLO,
        .present = YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS,
        .name = yami_slice_text("yam-admin"),
        .max_frame = YAMI_LIMIT_REPLY,
        .heartbeat_ms = S_HEARTBEAT_MS,
    };
    yami_random(&hello.session, sizeof hello.session);
    hello.session |= 1; //  never 0
    if (s_connect(self) == -1 || s_send(self, &hello) == -1) {
        return -1;
    }
    return s_await_welcome(self, hello.session, deadline_ms);
}

//  A greeting, too, is lost with its connection: it is said anew, with more time for a busy relay.
static int
s_begin(yam_admin_t *self, int64_t deadline_ms)
{
    for (int64_t patience_ms = S_PATIENCE_MS;; patience_ms *= 2) {
        int64_t until_ms = s_until(patience_ms, deadline_ms);
        int rc = s_greet(self, until_ms);
        bool is_silent = rc == -1 && errno == ETIMEDOUT && yami_clock_mono_ms() >= until_ms;
        if (!is_silent || until_ms == deadline_ms) {
            return rc;
        }
    }
}

yam_admin_t *
yam_admin_new(yam_t *yam, const char *endpoint)
{
    if (!yami_context_is_ours(yam)) {
        return NULL;
    }
    yam_admin_t *self = yami_alloc(sizeof *self);
    self->yam = yam;
    self->name = yami_strdup(endpoint);
    self->name[strcspn(self->name, "?")] = '\0';
    if (yami_endpoint_parse(&self->endpoint, endpoint, false) == -1) {
        goto fail;
    }
    if (s_begin(self, s_deadline(self)) == -1) {
        goto fail;
    }
    return self;

fail:;
    int error = errno;
    yam_admin_destroy(&self);
    errno = error;
    return NULL;
}

void
yam_admin_destroy(yam_admin_t **self_p)
{
    yam_admin_t *self = *self_p;
    if (!self) {
        return;
    }
    if (yami_context_is_ours(self->yam)) { //  a forked child has no business with the socket
        s_disconnect(self);
    }
    yami_admin_rows_clear(&self->rows);
    yami_free(self->name);
    yami_free(self);
    *self_p = NULL;
}

//  -- Calls -------------------------------------------------------------------------------------

static void
s_put_text(yami_frame_t *frame, yami_slice_t *field, uint64_t bit, const char *text)
{
    if (text && *text) {
        *field = yami_slice_text(text);
        frame->present |= bit;
    }
}

static void
s_put_number(yami_frame_t *frame, uint64_t *field, uint64_t bit, uint64_t number)
{
    if (number > 0) {
        *field = number;
        frame->present |= bit;
    }
}

static int
s_ask(yam_admin_t *self, const yam_admin_request_t *request)
{
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present = YAMI_F_SERIAL | YAMI_F_COMMAND,
                          .serial = ++self->serial,
                          .command = yami_slice_text(request->command)};
    s_put_text(&frame, &frame.channel, YAMI_F_CHANNEL, request->channel);
    s_put_text(&frame, &frame.group, YAMI_F_GROUP, request->group);
    s_put_text(&frame, &frame.target, YAMI_F_TARGET, request->target);
    s_put_text(&frame, &frame.id, YAMI_F_ID, request->id);
    s_put_number(&frame, &frame.sequence, YAMI_F_SEQUENCE, request->sequence);
    s_put_number(&frame, &frame.messages, YAMI_F_MESSAGES, request->messages);
    s_put_number(&frame, &frame.start, YAMI_F_START, request->is_dry_run);
    return s_send(self, &frame);
}

static int
s_take_reply(yam_admin_t *self, const yami_frame_t *reply, const char *what)
{
    if (reply->status != YAM_STATUS_OK) {
        return s_fail_status(what, reply);
    }
    if (reply->text.size > 0) {
        memcpy(self->text, reply->text.data,
               reply->text.size); //  at most YAMI_LIMIT_TEXT: checked by decode
    }
    self->text[reply->text.size] = '\0';
    if (yami_admin_rows_read(&self->rows, reply->rows) == -1) {
        int error = errno;
        yami_admin_rows_clear(&self->rows);
        return yami_fail(error, "the relay's reply to %s is malformed", what);
    }
    return 0;
}

//  Whether the relay has ended the session since the last call: nothing was asked of it yet.
static bool
s_has_left(yam_admin_t *self)
{
    bool has_left = false;
    bool has_more;
    yami_block_t *block;
    while (self->socket && (block = yami_socket_recv(self->socket, &has_more))) {
        yami_frame_t frame;
        s_drop_parts(self->socket, has_more);
        has_left = has_left || (yami_frame_decode(&frame, block->data, block->size) == 0 &&
                                frame.type == YAMI_FRAME_GOODBYE);
        yami_block_unref(&block);
    }
    return has_left;
}

//  Invariant (2): after GOODBYE nobody knows what a relay did of it, but these can be asked again.
static bool
s_changes_nothing(const yam_admin_request_t *request)
{
    static const char *const questions[] = {"stat", "channels", "relay", "peek"};
    bool is_question = request->is_dry_run;
    for (size_t index = 0; index < sizeof questions / sizeof questions[0]; index++) {
        is_question = is_question || strcmp(request->command, questions[index]) == 0;
    }
    return is_question;
}

static int
s_fail_left(const yam_admin_t *self, const char *what)
{
    return yami_fail(ENOTCONN, "the relay at %s went away and did not say whether it did %s",
                     self->name, what);
}

//  How waiting for a reply ended.
typedef enum {
    S_ANSWERED,
    S_NOT_DONE, //  the relay does not know this session
    S_NOT_KNOWN //  it said GOODBYE instead, or it is another one than was asked
} s_end_t;

//  is_asked_again: what it does not know may be our HEARTBEAT, and not the request.
static s_end_t
s_end(const yami_frame_t *frame, bool is_asked_again)
{
    bool has_no_session = frame->type == YAMI_FRAME_ERROR && frame->status == YAM_STATUS_NO_SESSION;
    if (frame->type == YAMI_FRAME_GOODBYE || (has_no_session && is_asked_again)) {
        return S_NOT_KNOWN;
    }
    return has_no_session ? S_NOT_DONE : S_ANSWERED;
}

//  0, or -1 with errno.
static int
s_await_reply(yam_admin_t *self, int64_t deadline_ms, const char *what, s_end_t *end_p)
{
    int64_t patience_ms = S_PATIENCE_MS;
    for (;;) {
        yami_frame_t frame = {0};
        yami_block_t *block = NULL;
        if (s_recv_asking(self, deadline_ms, &patience_ms, &frame, &block) == -1) {
            return -1;
        }
        bool is_reply = frame.type == YAMI_FRAME_REPLY && frame.serial == self->serial;
        bool is_error = frame.type == YAMI_FRAME_ERROR;
        *end_p = s_end(&frame, patience_ms > S_PATIENCE_MS);
        int rc = 0;
        if (is_reply) {
            rc = s_take_reply(self, &frame, what);
        } else if (*end_p == S_NOT_KNOWN) {
            rc = s_fail_left(self, what);
        } else if (is_error) {
            rc = s_fail_status(what, &frame);
        }
        yami_block_unref(&block);
        if (is_reply || is_error || *end_p != S_ANSWERED) {
            return rc;
        }
    }
}

int
yam_admin_call(yam_admin_t *self, const yam_admin_request_t *request)
{
    int64_t deadline_ms = s_deadline(self);
    bool is_over = yami_clock_mono_ms() - self->heard_ms > S_IDLE_MS;
    int rc = -1;
    char what[YAMI_LIMIT_NAME + 40]; //  for people
    (void) snprintf(what, sizeof what, "%s %s", request->command,
                    request->channel ? request->channel : "");
    yami_admin_rows_clear(&self->rows);
    self->text[0] = '\0';
    if (!yami_context_is_ours(self->yam)) {
        return -1;
    }
    for (int attempt = 0; attempt < S_ATTEMPTS; attempt++) {
        s_end_t end = S_ANSWERED;
        if ((is_over || s_has_left(self)) && s_begin(self, deadline_ms) == -1) {
            return -1;
        }
        if (s_ask(self, request) == -1) {
            return -1;
        }
        rc = s_await_reply(self, deadline_ms, what, &end);
        is_over = end == S_NOT_DONE || (end == S_NOT_KNOWN && s_changes_nothing(request));
        if (!is_over) {
            break;
        }
    }
    return rc;
}

//  -- Accessors ---------------------------------------------------------------------------------

const char *
yam_admin_text(const yam_admin_t *self)
{
    return self->text;
}

size_t
yam_admin_row_count(const yam_admin_t *self)
{
    return self->rows.row_count;
}

size_t
yam_admin_field_count(const yam_admin_t *self, size_t row)
{
    return yami_admin_rows_first(&self->rows, row + 1) - yami_admin_rows_first(&self->rows, row);
}

const char *
yam_admin_field_name(const yam_admin_t *self, size_t row, size_t index)
{
    bool is_there = index < yam_admin_field_count(self, row);
    return is_there ? self->rows.fields[yami_admin_rows_first(&self->rows, row) + index].name
                    : NULL;
}

char
yam_admin_type(const yam_admin_t *self, size_t row, const char *name)
{
    const yami_admin_field_t *field = yami_admin_rows_find(&self->rows, row, name);
    return field ? field->type : 0;
}

int64_t
yam_admin_number(const yam_admin_t *self, size_t row, const char *name)
{
    const yami_admin_field_t *field = yami_admin_rows_find(&self->rows, row, name);
    return field ? field->number : 0;
}

const char *
yam_admin_string(const yam_admin_t *self, size_t row, const char *name, size_t *size_p)
{
    const yami_admin_field_t *field = yami_admin_rows_find(&self->rows, row, name);
    bool is_text = field && field->bytes;
    if (size_p) {
        *size_p = is_text ? field->size : 0;
    }
    return is_text ? field->bytes : "";
}

const char *
yam_admin_entry_name(uint16_t kind)
{
    static const char *const names[] = {
        [YAMI_ENTRY_CHECKPOINT] = "checkpoint",
        [YAMI_KIND_CHANNEL] = "channel",
        [YAMI_KIND_GROUP] = "group",
        [YAMI_KIND_DATA] = "data",
        [YAMI_KIND_SETTLE] = "settle",
        [YAMI_KIND_FAILURE] = "failure",
        [YAMI_KIND_MOVE] = "move",
        [YAMI_KIND_REMOVE] = "remove",
        [YAMI_KIND_EPOCH] = "epoch",
        [YAMI_KIND_DELAY] = "delay",
    };
    bool is_known = kind < sizeof names / sizeof names[0] && names[kind];
    return is_known ? names[kind] : "unknown";
}
