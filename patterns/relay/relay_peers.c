#include <string.h>

#include "yami_base.h"
#include "yami_relay_parts.h"

#define S_SILENCE_FACTOR 3    //  silent for so many of its own heartbeats: gone
#define S_HEARTBEAT_MIN_MS 50 //  nobody makes us look more often

static int64_t
s_gone_ms(const yami_relay_peer_t *peer)
{
    int64_t patience =
        peer->session == 0 ? YAMI_LIMIT_GREETING_MS : S_SILENCE_FACTOR * peer->heartbeat_ms;
    return peer->received_ms + patience;
}

static void
s_arm(yami_relay_core_t *core, yami_relay_peer_t *peer)
{
    int64_t when = s_gone_ms(peer);
    if (peer->session != 0 && peer->sent_ms + core->options->heartbeat_ms < when) {
        when = peer->sent_ms + core->options->heartbeat_ms;
    }
    yami_relay_wake(core, YAMI_WAKE_PEER, peer->id, &peer->wake_ms, when);
}

static yami_relay_peer_t *
s_new(yami_relay_core_t *core, uint64_t id)
{
    yami_relay_peer_t *peer = yami_alloc(sizeof *peer);
    peer->id = id;
    peer->received_ms = core->mono_ms;
    peer->sent_ms = core->mono_ms;
    peer->wake_ms = INT64_MAX;
    peer->error_window_ms = core->mono_ms;
    peer->rights = YAMI_RIGHT_PUBLISH | YAMI_RIGHT_CONSUME | YAMI_RIGHT_ADMIN;
    yami_relay_map_init(&peer->by_number, core->seed);
    TAILQ_INIT(&peer->handles);
    yami_relay_map_put(&core->peers, id, peer);
    s_arm(core, peer);
    return peer;
}

static void
s_close(yami_relay_core_t *core, uint64_t id)
{
    yami_relay_effect(core, YAMI_EFFECT_CLOSE)->peer = id;
}

yami_relay_peer_t *
yami_relay_peer_get(yami_relay_core_t *core, uint64_t id)
{
    YAM_ASSERT(id > 0);
    yami_relay_peer_t *peer = yami_relay_map_get(&core->peers, id);
    if (peer != NULL) {
        if (peer->session != 0) { //  what comes before HELLO is no sign of life
            peer->received_ms = core->mono_ms;
        }
        return peer;
    }
    if (core->peers.count < YAMI_LIMIT_PEERS && !core->has_failed) {
        return s_new(core, id);
    }
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_ERROR, 0);
    frame.present = YAMI_F_STATUS;
    frame.status = core->has_failed ? YAM_STATUS_STORAGE_FAILED : YAM_STATUS_LIMIT;
    (void) yami_relay_send_to(core, id, &frame);
    s_close(core, id);
    return NULL;
}

static void
s_end_session(yami_relay_core_t *core, yami_relay_peer_t *peer)
{
    while (!TAILQ_EMPTY(&peer->handles)) {
        yami_relay_handle_end(core, TAILQ_FIRST(&peer->handles), -1, NULL);
    }
    peer->session = 0;
}

void
yami_relay_peer_hello(yami_relay_core_t *core, yami_relay_peer_t *peer, const yami_frame_t *frame)
{
    if (frame->session != peer->session) { //  else said again, perhaps long ago
        peer->began = ++core->session_count;
    }
    s_end_session(core, peer);
    peer->session = frame->session;
    peer->received_ms = core->mono_ms;
    peer->name = yami_relay_name(frame->name.data, frame->name.size);
    peer->max_frame = frame->max_frame;
    peer->heartbeat_ms = (int64_t) frame->heartbeat_ms;
    if (peer->heartbeat_ms < S_HEARTBEAT_MIN_MS) {
        peer->heartbeat_ms = S_HEARTBEAT_MIN_MS;
    }
    yami_frame_t welcome = yami_relay_frame(YAMI_FRAME_WELCOME, 0);
    welcome.present =
        YAMI_F_SESSION | YAMI_F_NAME | YAMI_F_LEVEL | YAMI_F_MAX_FRAME | YAMI_F_HEARTBEAT_MS;
    welcome.session = frame->session;
    welcome.name = yami_slice(core->name.text, core->name.size);
    welcome.level = (uint64_t) core->level;
    welcome.max_frame = YAMI_LIMIT_FRAME;
    welcome.heartbeat_ms = (uint64_t) core->options->heartbeat_ms;
    (void) yami_relay_send(core, peer, &welcome);
    s_arm(core, peer);
}

static void
s_free(yami_relay_peer_t *peer)
{
    YAM_ASSERT(TAILQ_EMPTY(&peer->handles));
    yami_relay_map_clear(&peer->by_number);
    yami_free(peer);
}

void
yami_relay_peer_end(yami_relay_core_t *core, yami_relay_peer_t *peer, bool is_closing)
{
    s_end_session(core, peer);
    if (is_closing) {
        s_close(core, peer->id);
    }
    void *removed = yami_relay_map_remove(&core->peers, peer->id);
    YAM_ASSERT(removed == peer);
    s_free(peer);
}

//  Whether one more error may be told in this second.
static bool
s_may_err(yami_relay_core_t *core, yami_relay_peer_t *peer)
{
    core->errors++;
    if (core->mono_ms - peer->error_window_ms >= 1000) {
        peer->error_window_ms = core->mono_ms;
        peer->error_count = 0;
        peer->stale_ranges = 0;
    }
    return ++peer->error_count <= YAMI_LIMIT_ERRORS;
}

static void
s_send_error(yami_relay_core_t *core, yami_relay_peer_t *peer, uint32_t handle, yam_status_t status,
             const char *text)
{
    yami_frame_t frame = yami_relay_frame(YAMI_FRAME_ERROR, handle);
    frame.present = YAMI_F_STATUS | YAMI_F_TEXT;
    frame.status = (uint64_t) status;
    frame.text = yami_slice_text(text);
    (void) yami_relay_send(core, peer, &frame);
}

void
yami_relay_peer_error(yami_relay_core_t *core, yami_relay_peer_t *peer, uint32_t handle,
                      yam_status_t status, const char *text)
{
    if (s_may_err(core, peer)) {
        s_send_error(core, peer, handle, status, text);
    }
}

static void
s_close_faulty(yami_relay_core_t *core, yami_relay_peer_t *peer, yam_status_t status)
{
    yami_relay_say(core, YAMI_LOG_WARN, "relay.peer-closed",
                   "peer=%.*s why=too-many-errors status=%s", (int) peer->name.size,
                   peer->name.text, yam_status_name(status));
    yami_relay_peer_end(core, peer, true);
}

bool
yami_relay_peer_fault(yami_relay_core_t *core, yami_relay_peer_t *peer, uint32_t handle,
                      yam_status_t status, const char *text)
{
    if (s_may_err(core, peer)) {
        s_send_error(core, peer, handle, status, text);
        return true;
    }
    s_close_faulty(core, peer, status);
    return false;
}

void
yami_relay_peer_stale(yami_relay_core_t *core, yami_relay_peer_t *peer, uint32_t handle,
                      yam_status_t status, const char *text, uint64_t range_count)
{
    yami_relay_peer_error(core, peer, handle, status, text);
    peer->stale_ranges += range_count;
    if (peer->stale_ranges > YAMI_LIMIT_STALE_RANGES) {
        s_close_faulty(core, peer, status);
    }
}

void
yami_relay_peer_press(yami_relay_core_t *core, yami_relay_peer_t *peer, bool is_pressed)
{
    yami_relay_handle_t *handle = NULL;
    peer->is_pressed = is_pressed;
    TAILQ_FOREACH(handle, &peer->handles, of_peer)
    {
        if (handle->role == YAMI_ROLE_CONSUMER && is_pressed) {
            yami_relay_handle_stand_back(handle);
        } else if (handle->role == YAMI_ROLE_CONSUMER) {
            yami_relay_handle_line_up(core, handle);
        }
    }
}

void
yami_relay_peer_due(yami_relay_core_t *core, uint64_t id)
{
    yami_relay_peer_t *peer = yami_relay_map_get(&core->peers, id);
    YAM_ASSERT(peer != NULL);
    if (core->mono_ms >= s_gone_ms(peer)) {
        core->silenced += peer->session != 0 ? 1 : 0;
        yami_relay_say(core, YAMI_LOG_INFO, "relay.peer-gone", "peer=%.*s why=silent",
                       (int) peer->name.size, peer->name.text);
        yami_relay_peer_end(core, peer, true);
        return;
    }
    if (peer->session != 0 && core->mono_ms - peer->sent_ms >= core->options->heartbeat_ms) {
        yami_frame_t frame = yami_relay_frame(YAMI_FRAME_HEARTBEAT, 0);
        (void) yami_relay_send(core, peer, &frame);
    }
    s_arm(core, peer);
}

void
yami_relay_peers_close(yami_relay_core_t *core)
{
    yami_relay_peer_t *peer;
    for (size_t index = 0; (peer = yami_relay_map_next(&core->peers, &index)) != NULL; index = 0) {
        while (!TAILQ_EMPTY(&peer->handles)) {
            yami_relay_handle_end(core, TAILQ_FIRST(&peer->handles), YAM_STATUS_CLOSING,
                                  "the relay is going away");
        }
        if (peer->session != 0) {
            yami_frame_t goodbye = yami_relay_frame(YAMI_FRAME_GOODBYE, 0);
            (void) yami_relay_send(core, peer, &goodbye);
        }
        yami_relay_peer_end(core, peer, true);
    }
}

void
yami_relay_peers_clear(yami_relay_core_t *core)
{
    yami_relay_peer_t *peer;
    for (size_t index = 0; (peer = yami_relay_map_next(&core->peers, &index)) != NULL;) {
        s_end_session(core, peer);
        s_free(peer);
    }
    yami_relay_map_clear(&core->peers);
}
