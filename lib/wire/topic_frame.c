//  yami_topic_frame - frames of fast topics. See the header.

#include "yami_topic_frame.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_bytes.h"

static int
s_malformed(void)
{
    errno = EPROTO;
    return -1;
}

//  Takes the subject off the front of *left. 0, or -1 with errno EPROTO.
static int
s_take_subject(yami_topic_frame_t *self, yami_slice_t *left)
{
    size_t limit = left->size < YAMI_LIMIT_SUBJECT + 1 ? left->size : YAMI_LIMIT_SUBJECT + 1;
    const uint8_t *end = limit > 0 ? memchr(left->data, 0, limit) : NULL;
    if (!end) {
        return s_malformed();
    }
    self->subject = yami_slice(left->data, (size_t) (end - left->data));
    *left = yami_slice(end + 1, left->size - self->subject.size - 1);
    return 0;
}

static yami_mark_t
s_mark(const uint8_t *at)
{
    return (yami_mark_t) {yami_get_u64(at + 1), yami_get_u64(at + 9)};
}

//  Whether sizes descend from the subject's, and nothing was counted that was not sent.
static bool
s_marks_are_sound(const yami_topic_frame_t *self)
{
    size_t limit = self->subject.size + 1;
    bool is_sound = self->marks.size % YAMI_MARK_SIZE == 0;
    for (size_t at = 0; is_sound && at < self->marks.size; at += YAMI_MARK_SIZE) {
        size_t prefix_size = self->marks.data[at];
        yami_mark_t mark = s_mark(self->marks.data + at);
        is_sound = prefix_size >= 1 && prefix_size <= limit &&
                   mark.since < self->batch.first_sequence &&
                   mark.before < self->batch.first_sequence - mark.since;
        limit = prefix_size - 1;
    }
    return is_sound;
}

int
yami_topic_frame_decode(yami_topic_frame_t *self, const void *data, size_t size)
{
    yami_slice_t left = yami_slice(data, size);
    if (s_take_subject(self, &left) == -1) {
        return -1;
    }
    size_t batch_size = yami_batch_size(left.data, left.size);
    if (batch_size > left.size) {
        return s_malformed();
    }
    self->marks = yami_slice(left.data + batch_size, left.size - batch_size);
    if (yami_batch_decode(&self->batch, left.data, batch_size) == -1) {
        return -1;
    }
    return s_marks_are_sound(self) ? 0 : s_malformed();
}

bool
yami_topic_frame_mark(const yami_topic_frame_t *self, size_t prefix_size, yami_mark_t *mark)
{
    for (size_t at = 0; at < self->marks.size; at += YAMI_MARK_SIZE) {
        const uint8_t *bytes = self->marks.data + at;
        if (bytes[0] == prefix_size) {
            *mark = s_mark(bytes);
            return true;
        }
    }
    return false;
}

void
yami_mark_write(uint8_t *at, size_t prefix_size, const yami_mark_t *mark)
{
    YAM_ASSERT(prefix_size >= 1 && prefix_size <= YAMI_LIMIT_SUBJECT + 1);
    at[0] = (uint8_t) prefix_size;
    yami_put_u64(at + 1, mark->since);
    yami_put_u64(at + 9, mark->before);
}
