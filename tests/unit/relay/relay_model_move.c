//  Dead letters and redrives: one entry that stores in one channel and settles in another. See
//  relay_model.h.

#include <string.h>

#include "relay_model_parts.h"
#include "yami_base.h"
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

//  A dead letter says where it comes from and why; what was redriven or delayed says nothing of
//  that.
static void
s_check_history(const model_t *self, const model_group_t *origin, const view_t *view,
                const yami_record_t *record)
{
    yami_property_t property;
    if (model_is_dead(self, origin->channel) || model_is_delayed(self, origin->channel)) {
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
    model_content_t content = origin->channel->contents[sequence - 1];
    const view_t *view = &model_message(origin, sequence)->now;
    bool is_redrive = model_is_dead(self, origin->channel);
    bool is_fired = model_is_delayed(self, origin->channel);
    assert_int_equal(view->place, is_redrive || is_fired ? PLACE_FREE : PLACE_DEAD);
    content.due_ms = is_fired ? content.due_ms : 0; //  a dead letter is not due any more
    model_check_record(&content, record);
    s_check_history(self, origin, view, record);
    *(is_fired ? &self->fired : is_redrive ? &self->request.done : &self->buried) += 1;
    model_add(self, target, &content);
    model_fact_t *fact = model_settled(self, origin, sequence);
    fact->from = index;
    fact->to = index + 1;
}

//  The target is the origin's dead letters, or the other way round; or what the origin delays.
static bool
s_is_way(const model_t *self, const model_channel_t *origin, const model_channel_t *target)
{
    ptrdiff_t distance = target - origin;
    bool is_delayed = model_is_delayed(self, origin);
    return distance == (is_delayed ? -4 : model_is_dead(self, origin) ? -2 : 2);
}

//  What the entry settles; the caller's to free.
static uint64_t *
s_read_ranges(yami_reader_t *reader, size_t limit, size_t *count_p)
{
    uint64_t *sequences = yami_try_alloc((limit + 1) * sizeof *sequences, MODEL_MEMORY);
    uint64_t sequence = 0;
    assert_non_null(sequences);
    *count_p = 0;
    for (uint32_t range = yami_reader_array(reader) / 2; range > 0; range--) {
        sequence += yami_reader_uint(reader);
        for (uint64_t left = yami_reader_uint(reader); left > 0; left--) {
            assert_true(*count_p < limit);
            sequences[(*count_p)++] = sequence++;
        }
    }
    assert_false(reader->failed);
    return sequences;
}

//  The order in which they are stored is that of their times, if they have been delayed.
static uint64_t *
s_order(const model_t *self, const model_group_t *origin, const uint64_t *sequences, size_t count)
{
    size_t due_count = count;
    uint64_t *order = NULL;
    if (model_is_delayed(self, origin->channel)) {
        order = model_due(self, origin, &due_count);
    } else {
        order = yami_try_alloc((count + 1) * sizeof *order, MODEL_MEMORY);
        assert_non_null(order);
        memcpy(order, sequences, count * sizeof *order);
    }
    assert_int_equal(due_count, count);
    return order;
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
    size_t count;
    uint64_t *sequences = s_read_ranges(&reader, entry->count, &count);
    uint64_t *order = s_order(self, origin, sequences, count);
    yami_batch_t batch;
    yami_record_t record;
    size_t offset = 0;
    assert_int_equal(yami_batch_decode(&batch, entry->data->data, entry->data->size), 0);
    assert_int_equal(entry->count, count);
    for (size_t at = 0; at < count; at++) {
        assert_int_not_equal(model_message(origin, sequences[at])->now.place, PLACE_SETTLED);
    }
    for (size_t at = 0; at < count; at++) {
        assert_int_equal(yami_batch_next(&batch, &offset, &record), 0);
        s_move_one(self, index, origin, order[at], target, &record);
    }
    for (size_t at = 0; at < count; at++) { //  these, and no others
        assert_int_equal(model_message(origin, sequences[at])->now.place, PLACE_SETTLED);
    }
    yami_free(sequences);
    yami_free(order);
    model_fact_t *fact = model_fact(self);
    fact->type = FACT_STORED;
    fact->from = index;
    fact->to = index + 1;
    fact->channel = target;
    fact->count = target->count;
    fact->producer = &self->nobody;
}
