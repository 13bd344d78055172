//  See delay_fixture.h.

#include "delay_fixture.h"

#include <stdio.h>

#include "yami_relay_parts.h"

#define PLENTY (1u << 30)

int64_t delay_start_ms;

int
delay_setup(void **state)
{
    fixture_t *f = fixture_new();
    delay_start_ms = f->wall_ms;
    fixture_hello(f, PRODUCER);
    fixture_hello(f, CONSUMER);
    fixture_producer(f, PRODUCER, 1, QUEUE, "q", 9, 0, 1);
    fixture_consumer(f, CONSUMER, 1, QUEUE, "q", "", "", 0, 30000);
    fixture_credit(f, CONSUMER, 1, 100000, PLENTY);
    fixture_settle_down(f);
    fixture_forget(f);
    *state = f;
    return 0;
}

yami_block_t *
delay_batch(uint64_t first, const delay_message_t *messages, uint32_t count)
{
    yami_builder_t builder;
    yami_builder_init(&builder, 4 << 20);
    for (uint32_t index = 0; index < count; index++) {
        char body[24];
        int size = snprintf(body, sizeof body, "%llu", (unsigned long long) first + index);
        yami_writer_t properties;
        yami_writer_init(&properties, 1000);
        if (messages[index].id != NULL) {
            yami_writer_map(&properties, 1);
            yami_writer_str(&properties, "id");
            yami_writer_str(&properties, messages[index].id);
        }
        bool is_later = messages[index].delay_ms != AT_ONCE;
        yami_record_t record = {.priority = YAMI_PRIORITY_DEFAULT,
                                .flags = is_later ? YAMI_RECORD_DUE : 0,
                                .due_ms = is_later ? delay_start_ms + messages[index].delay_ms : 0,
                                .properties = yami_slice(properties.data, properties.size),
                                .body = yami_slice(body, (size_t) size)};
        assert_int_equal(yami_builder_append(&builder, &record), 0);
        yami_writer_clear(&properties);
    }
    yami_batch_t head = {
        .handle = 1, .epoch = 1, .producer = {.bytes = {9}}, .first_sequence = first};
    yami_block_t *block = yami_builder_finish(&builder, &head);
    assert_non_null(block);
    yami_builder_clear(&builder);
    return block;
}

void
delay_publish(fixture_t *f, uint64_t first, const delay_message_t *messages, uint32_t count)
{
    fixture_publish(f, PRODUCER, delay_batch(first, messages, count));
    fixture_settle_down(f);
}

void
delay_publish_one(fixture_t *f, uint64_t first, int64_t delay_ms, const char *id)
{
    delay_message_t message = {delay_ms, id};
    delay_publish(f, first, &message, 1);
}

const char *
delay_delivered(fixture_t *f)
{
    static char text[4096];
    size_t size = 0;
    text[0] = '\0';
    while (fixture_take(f, CONSUMER, YAMI_FRAME_DELIVER)) {
        for (uint64_t sequence = f->frame.first; sequence <= f->frame.last; sequence++) {
            size += (size_t) snprintf(text + size, sizeof text - size, "%s%s", size > 0 ? " " : "",
                                      fixture_body(f, sequence));
        }
    }
    return text;
}

void
delay_set_wall(fixture_t *f, int64_t ms)
{
    f->wall_ms = delay_start_ms + ms;
    fixture_settle_down(f);
}

void
delay_attach_again(fixture_t *f, uint64_t first)
{
    fixture_hello(f, PRODUCER);
    fixture_hello(f, CONSUMER);
    fixture_producer(f, PRODUCER, 1, QUEUE, "q", 9, 1, first);
    fixture_consumer(f, CONSUMER, 1, QUEUE, "q", "", "", 0, 30000);
    fixture_credit(f, CONSUMER, 1, 100000, PLENTY);
    fixture_settle_down(f);
}

int64_t
delay_stat(fixture_t *f, const char *channel, const char *key)
{
    fixture_admin(f, PRODUCER, "stat", channel, false);
    return fixture_number(f, key);
}

int64_t
delay_cancel(fixture_t *f, const char *channel, const char *id, bool is_dry)
{
    yami_frame_t frame = {.type = YAMI_FRAME_ADMIN,
                          .present = YAMI_F_SERIAL | YAMI_F_COMMAND | YAMI_F_CHANNEL | YAMI_F_ID |
                                     (is_dry ? YAMI_F_START : 0),
                          .serial = 7,
                          .start = 1,
                          .command = yami_slice_text("cancel"),
                          .channel = yami_slice_text(channel),
                          .id = yami_slice_text(id)};
    fixture_send(f, PRODUCER, &frame);
    fixture_settle_down(f);
    fixture_expect(f, PRODUCER, YAMI_FRAME_REPLY);
    return f->frame.status == YAM_STATUS_OK ? fixture_number(f, "messages")
                                            : -1 - (int64_t) f->frame.status;
}

uint64_t
delay_waiting(const fixture_t *f)
{
    return f->core->delayed_count;
}
