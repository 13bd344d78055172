//  Dead letters and redrives: one entry that stores in one channel and settles in another. See
//  relay_model.h.

#include <string.h>

#include "relay_model_parts.h"
#include "yami_properties.h"

static model_channel_t *
s_channel(model_t *self, uint32_t number)
{
    for (int index = 0; index < MODEL_CHANNELS; index++) {
        if (self->channel_numbers[index] == number) {
            return &self->channels[index];
        }
    }
    assert_true(false);
    return NULL;
}

model_group_t *
model_group(model_t *self, uint64_t number)
{
    for (int index = 0; index < MODEL_GROUPS; index++) {
        if (self->groups[index].number == number) {
            return &self->groups[index];
        }
    }
    assert_true(false);
    return NULL;
}

static void
s_check_text(yami_slice_t properties, const char *name, const char *text)
{
    yami_property_t property;
    assert_true(yami_properties_find(properties, name, &property) && property.type == 's');
    assert_int_equal(property.text.size, strlen(text));
    assert_memory_equal(property.text.data, text, property.text.size);
}

static void
s_check_number(yami_slice_t properties, const char *name, uint32_t number)
{
    yami_property_t property;
    assert_true(yami_properties_find(properties, name, &property) && property.type == 'i');
    assert_int_equal(property.number, number);
}

//  A dead letter says where it comes from and why; what was redriven says nothing of that.
static void
s_check_history(const model_t *self, const model_group_t *origin, const view_t *view,
                const yami_record_t *record)
{
    yami_property_t property;
    if (model_is_dead(self, origin->channel)) {
        assert_false(yami_properties_find(record->properties, "yam-origin", &property));
        assert_false(yami_properties_find(record->properties, "yam-reason", &property));
        assert_false(yami_properties_find(record->properties, "yam-failures", &property));
        return;
    }
    const char *reason = view->reason[0] != '\0' ? view->reason : "delivery limit";
    s_check_text(record->properties, "yam-origin", origin->channel->name);
    s_check_text(record->properties, "yam-group", origin->name);
    s_check_text(record->properties, "yam-reason", reason);
    s_check_number(record->properties, "yam-deliveries", view->deliveries);
    s_check_number(record->properties, "yam-failures", view->failures);
}

static void
s_move_one(model_t *self, size_t index, model_group_t *origin, uint64_t sequence,
           model_channel_t *target, const yami_record_t *record)
{
    const model_content_t *content = &origin->channel->contents[sequence - 1];
    const view_t *view = &model_message(origin, sequence)->now;
    bool is_redrive = model_is_dead(self, origin->channel);
    assert_int_equal(view->place, is_redrive ? PLACE_FREE : PLACE_DEAD);
    assert_int_equal(record->body.size, strlen(content->body));
    assert_memory_equal(record->body.data, content->body, record->body.size);
    yami_property_t subject;
    assert_int_equal(yami_properties_find(record->properties, "subject", &subject), content->is_eu);
    s_check_history(self, origin, view, record);
    *(is_redrive ? &self->redriven : &self->buried) += 1;
    model_add(self, target, content);
    model_fact_t *fact = model_settled(self, origin, sequence);
    fact->from = index;
    fact->to = index + 1;
}

//  The target is the origin's dead letters, or the other way round.
static bool
s_is_way(const model_t *self, const model_channel_t *origin, const model_channel_t *target)
{
    ptrdiff_t distance = target - origin;
    return distance == (model_is_dead(self, origin) ? -2 : 2);
}

void
model_move(model_t *self, size_t index)
{
    const yami_entry_t *entry = &self->fixture->entries[index].entry;
    yami_reader_t reader;
    yami_reader_init(&reader, entry->meta, entry->meta_size);
    (void) yami_reader_array(&reader);
    (void) yami_reader_uint(&reader);
    model_group_t *origin = model_group(self, yami_reader_uint(&reader));
    model_channel_t *target = s_channel(self, entry->channel);
    assert_true(s_is_way(self, origin->channel, target));
    assert_int_equal(entry->base, target->count + 1);
    yami_batch_t batch;
    yami_record_t record;
    size_t offset = 0;
    assert_int_equal(yami_batch_decode(&batch, entry->data->data, entry->data->size), 0);
    uint32_t count = yami_reader_array(&reader) / 2;
    uint64_t sequence = 0;
    for (uint32_t range = 0; range < count; range++) {
        sequence += yami_reader_uint(&reader);
        for (uint64_t left = yami_reader_uint(&reader); left > 0; left--, sequence++) {
            assert_int_equal(yami_batch_next(&batch, &offset, &record), 0);
            s_move_one(self, index, origin, sequence, target, &record);
        }
    }
    assert_false(reader.failed);
    assert_int_equal(target->count, entry->base + entry->count - 1); //  all of them, no others
    model_fact_t *fact = model_fact(self);
    fact->type = FACT_STORED;
    fact->from = index;
    fact->to = index + 1;
    fact->channel = target;
    fact->count = target->count;
    fact->producer = &self->nobody;
}
