//  See relay_world.h.

#include "relay_world.h"

#include <stdio.h>
#include <string.h>

#include "yami_batch.h"

uint64_t
world_random(world_t *w, uint64_t limit)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % limit;
}

//  -- producers ---------------------------------------------------------------------------------

static void
s_attach(world_t *w, size_t index, bool is_new_epoch)
{
    const model_producer_t *producer = &w->model.producers[index];
    uint32_t handle = (uint32_t) (++w->attached * MODEL_PRODUCERS + index + 1);
    uint32_t epoch = is_new_epoch ? 0 : producer->epoch;
    uint64_t first = is_new_epoch ? 1 : producer->confirmed + 1;
    int kind = index < 3 ? YAMI_KIND_QUEUE : YAMI_KIND_TOPIC;
    model_attach(&w->model, index, handle, is_new_epoch);
    fixture_producer(w->f, MODEL_PUBLISHER, handle, kind, producer->channel->name, producer->id,
                     epoch, first);
    model_observe(&w->model);
}

void
world_connect_producers(world_t *w)
{
    fixture_hello(w->f, MODEL_PUBLISHER);
    for (size_t index = 0; index < MODEL_PRODUCERS; index++) {
        w->model.producers[index].confirmed = 0;
        s_attach(w, index, w->model.producers[index].epoch == 0);
    }
    fixture_durable(w->f);
    model_observe(&w->model);
}

void
world_attach_again(world_t *w)
{
    s_attach(w, (size_t) world_random(w, MODEL_PRODUCERS), world_random(w, 2) == 0);
}

static void
s_write_properties(yami_writer_t *properties, const model_content_t *content)
{
    uint32_t count = (content->id != NULL ? 1u : 0u) + (content->is_eu ? 1u : 0u);
    if (count > 0) {
        yami_writer_map(properties, count);
    }
    if (content->id != NULL) {
        yami_writer_str(properties, "id");
        yami_writer_str(properties, content->id);
    }
    if (content->is_eu) {
        yami_writer_str(properties, "subject");
        yami_writer_str(properties, "eu.x");
    }
}

static yami_block_t *
s_batch(const model_producer_t *producer, uint8_t id, uint32_t epoch, uint64_t first,
        uint32_t count, const model_content_t *contents)
{
    yami_builder_t builder;
    yami_builder_init(&builder, 1 << 13);
    for (uint32_t index = 0; index < count; index++) {
        const model_content_t *content = &contents[index];
        yami_writer_t properties;
        yami_writer_init(&properties, 100);
        s_write_properties(&properties, content);
        yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT,
                                .flags = content->due_ms > 0 ? YAMI_RECORD_DUE : 0,
                                .due_ms = content->due_ms,
                                .properties = yami_slice(properties.data, properties.size),
                                .body = yami_slice_text(content->body)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
        yami_writer_clear(&properties);
    }
    yami_batch_t head = {.handle = producer->handle,
                         .epoch = epoch,
                         .producer = {.bytes = {id}},
                         .first_sequence = first};
    yami_block_t *block = yami_builder_finish(&builder, &head);
    assert_non_null(block);
    yami_builder_clear(&builder);
    return block;
}

const char *
world_id(world_t *w)
{
    static const char *const ids[] = {"a", "b", "c", "d", "e"};
    return ids[world_random(w, sizeof ids / sizeof ids[0])];
}

//  Of the past, of now, of soon or of later.
static int64_t
s_due_ms(world_t *w)
{
    static const int64_t most_ms[] = {1, 50, 1000, 10000};
    int64_t due_ms = w->f->wall_ms - 20 + (int64_t) world_random(w, 20);
    return due_ms + (int64_t) world_random(w, (uint64_t) most_ms[world_random(w, 4)]);
}

//  What is sent again has another content than the first time: it must not be seen.
static void
s_fill(world_t *w, const model_producer_t *producer, uint64_t first, uint32_t count,
       model_content_t *contents)
{
    for (uint32_t index = 0; index < count; index++) {
        uint64_t sequence = first + index;
        bool is_known = sequence <= producer->last;
        (void) snprintf(contents[index].body, MODEL_BODY, "%s%u.%u.%llu", is_known ? "again" : "",
                        producer->id, producer->epoch, (unsigned long long) sequence);
        contents[index].is_eu = world_random(w, 2) == 0;
        contents[index].due_ms = world_random(w, 3) == 0 ? s_due_ms(w) : 0;
        contents[index].id = world_random(w, 3) == 0 ? world_id(w) : NULL;
    }
}

void
world_publish(world_t *w)
{
    size_t index = (size_t) world_random(w, MODEL_PRODUCERS);
    const model_producer_t *producer = &w->model.producers[index];
    const model_group_t *group = &w->model.groups[index < 3 ? 0 : 1];
    const model_group_t *delayed = &w->model.groups[index < 3 ? MODEL_HANDLES : MODEL_HANDLES + 1];
    uint32_t count = 1 + (uint32_t) world_random(w, 12);
    uint64_t last = producer->last;
    if (producer->granted < producer->sent + count || group->count - group->floor > w->backlog ||
        delayed->count - delayed->floor > w->backlog) {
        return;
    }
    uint64_t back = world_random(w, 3) == 0 ? world_random(w, last < 14 ? last + 1 : 15) : 0;
    uint64_t first = last + 1 - back + (world_random(w, 25) == 0 ? 9 : 0);
    uint8_t id = (uint8_t) (producer->id + (world_random(w, 60) == 0 ? 1 : 0));
    uint32_t epoch = producer->epoch + (world_random(w, 60) == 0 ? 1 : 0);
    model_content_t contents[12];
    s_fill(w, producer, first, count, contents);
    yami_block_t *block = s_batch(producer, id, epoch, first, count, contents);
    model_publish(&w->model, index, id, epoch, first, count, contents);
    fixture_publish(w->f, MODEL_PUBLISHER, block);
}

//  -- members -----------------------------------------------------------------------------------

void
world_attach_member(world_t *w, uint64_t peer, uint32_t handle)
{
    const model_group_t *group = &w->model.groups[handle - 1];
    int kind = group->channel->name[0] == 't' && strlen(group->channel->name) == 1
                   ? YAMI_KIND_TOPIC
                   : YAMI_KIND_QUEUE;
    fixture_consumer(w->f, peer, handle, kind, group->channel->name, group->name,
                     handle == 4 ? "eu.>" : "", 0, MODEL_LEASE_MS);
}

void
world_join(world_t *w)
{
    size_t member = (size_t) world_random(w, WORLD_MEMBERS);
    uint64_t peer = w->members[member];
    if (peer == 0) {
        peer = 2 + w->peer++ % (WORLD_LAST_PEER - 2);
        for (size_t other = 0; other < WORLD_MEMBERS; other++) {
            if (w->members[other] == peer) {
                return;
            }
        }
    }
    w->members[member] = peer;
    model_leave(&w->model, peer, 0);
    fixture_hello(w->f, peer);
    model_observe(&w->model);
    for (uint32_t handle = 1; handle <= MODEL_HANDLES; handle++) {
        w->has_handle[member][handle] =
            handle <= 4 ? world_random(w, 5) > 0 : world_random(w, 4) == 0;
        if (w->has_handle[member][handle]) {
            world_attach_member(w, peer, handle);
        }
    }
}

void
world_leave(world_t *w)
{
    size_t member = (size_t) world_random(w, WORLD_MEMBERS);
    uint64_t peer = w->members[member];
    uint32_t handle = 1 + (uint32_t) world_random(w, MODEL_HANDLES);
    if (peer == 0) {
        return;
    }
    if (world_random(w, 2) == 0) {
        model_leave(&w->model, peer, 0);
        fixture_gone(w->f, peer);
        w->members[member] = 0;
    } else if (w->has_handle[member][handle]) {
        yami_frame_t frame = {.type = YAMI_FRAME_DETACH, .handle = handle};
        model_leave(&w->model, peer, handle);
        fixture_send(w->f, peer, &frame);
        w->has_handle[member][handle] = false;
    }
}

void
world_credit(world_t *w)
{
    size_t member = (size_t) world_random(w, WORLD_MEMBERS);
    uint32_t handle = 1 + (uint32_t) world_random(w, MODEL_HANDLES);
    uint64_t peer = w->members[member];
    if (peer != 0 && w->has_handle[member][handle]) {
        uint64_t messages = w->model.granted[peer][handle] + 1 + world_random(w, 30);
        model_credit(&w->model, peer, handle, messages);
        fixture_credit(w->f, peer, handle, messages, 1 << 30);
    }
}

void
world_send_settle(world_t *w, const model_settle_t *settle)
{
    yami_frame_t frame = {.type = (uint8_t) settle->type,
                          .handle = settle->handle,
                          .present = YAMI_F_SERIAL | YAMI_F_RANGES |
                                     (settle->delay_ms >= 0 ? YAMI_F_DELAY_MS : 0) |
                                     (settle->reason != NULL ? YAMI_F_TEXT : 0),
                          .serial = settle->serial,
                          .ranges = &settle->range,
                          .range_count = 1,
                          .delay_ms = (uint64_t) settle->delay_ms,
                          .text = yami_slice_text(settle->reason != NULL ? settle->reason : "")};
    model_settle(&w->model, settle);
    fixture_send(w->f, settle->peer, &frame);
}

//  The first leased message at or after a random one; 0 when there is none.
static uint64_t
s_some_leased(world_t *w, const model_group_t *group)
{
    uint64_t left = group->count - group->floor;
    uint64_t start = left > 0 ? world_random(w, left) : 0;
    for (uint64_t index = 0; index < left; index++) {
        uint64_t at = group->floor + (start + index) % left;
        if (group->messages[at].now.place == PLACE_LEASED) {
            return at + 1;
        }
    }
    return 0;
}

void
world_settle(world_t *w)
{
    static const int types[] = {
        YAMI_FRAME_ACK,  YAMI_FRAME_ACK,  YAMI_FRAME_ACK,     YAMI_FRAME_ACK,    YAMI_FRAME_ACK,
        YAMI_FRAME_NACK, YAMI_FRAME_NACK, YAMI_FRAME_RELEASE, YAMI_FRAME_EXTEND, YAMI_FRAME_REJECT};
    uint32_t handle = 1 + (uint32_t) world_random(w, MODEL_HANDLES);
    const model_group_t *group = &w->model.groups[handle - 1];
    uint64_t sequence = s_some_leased(w, group);
    if (sequence == 0) {
        return;
    }
    const model_message_t *message = &group->messages[sequence - 1];
    uint64_t most = world_random(w, 30) == 0 ? group->count : message->lease_last;
    uint64_t last = sequence + world_random(w, most - sequence + 1);
    model_settle_t settle = {.peer = message->peer,
                             .handle = handle,
                             .type = types[world_random(w, sizeof types / sizeof types[0])],
                             .serial = ++w->serial,
                             .range = {message->now.token, sequence, last},
                             .delay_ms = -1};
    if (world_random(w, 25) == 0) {
        settle.range.token++; //  nobody's
    }
    if (settle.type == YAMI_FRAME_NACK && world_random(w, 2) == 0) {
        settle.delay_ms = (int64_t) world_random(w, 500);
    }
    if (settle.type == YAMI_FRAME_REJECT ||
        (settle.type == YAMI_FRAME_NACK && world_random(w, 2))) {
        settle.reason = "did not work";
    }
    world_send_settle(w, &settle);
}

void
world_settle_stale(world_t *w)
{
    uint32_t handle = 1 + (uint32_t) world_random(w, MODEL_HANDLES);
    const model_group_t *group = &w->model.groups[handle - 1];
    size_t member = (size_t) world_random(w, WORLD_MEMBERS);
    uint64_t sequence = s_some_leased(w, group);
    if (w->members[member] == 0 || !w->has_handle[member][handle] || sequence == 0) {
        return;
    }
    const model_message_t *message = &group->messages[sequence - 1];
    model_settle_t settle = {.peer = w->members[member],
                             .handle = handle,
                             .type = YAMI_FRAME_ACK,
                             .serial = ++w->serial,
                             .range = {message->last_token, sequence, sequence},
                             .delay_ms = -1};
    if (settle.range.token != 0) {
        world_send_settle(w, &settle);
    }
}
