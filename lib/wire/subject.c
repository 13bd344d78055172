//  yami_subject - subjects and their filters, by the rules of NATS
//  (https://docs.nats.io/nats-concepts/subjects). See yami_properties.h.

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_limits.h"
#include "yami_properties.h"

//  Takes the next word off *rest_p into *word_p. Whether there was one; "" has none, "a." has two.
static bool
s_word(yami_slice_t *rest_p, bool *has_more_p, yami_slice_t *word_p)
{
    if (!*has_more_p) {
        return false;
    }
    const uint8_t *dot = rest_p->size == 0 ? NULL : memchr(rest_p->data, '.', rest_p->size);
    size_t size = dot == NULL ? rest_p->size : (size_t) (dot - rest_p->data);
    *word_p = yami_slice(rest_p->data, size);
    *has_more_p = dot != NULL;
    if (dot != NULL) {
        *rest_p = yami_slice(dot + 1, rest_p->size - size - 1);
    }
    return true;
}

static bool
s_same(yami_slice_t left, yami_slice_t right)
{
    return left.size == right.size &&
           (left.size == 0 || memcmp(left.data, right.data, left.size) == 0);
}

bool
yami_subject_matches(yami_slice_t subject, yami_slice_t filter)
{
    if (filter.size == 0) {
        return true;
    }
    bool has_subject = subject.size > 0;
    bool has_filter = true;
    yami_slice_t wanted;
    yami_slice_t word;
    while (s_word(&filter, &has_filter, &wanted)) {
        if (!s_word(&subject, &has_subject, &word)) {
            return false;
        }
        if (!has_filter && yami_slice_equal(wanted, ">")) {
            return true;
        }
        if (!yami_slice_equal(wanted, "*") && !s_same(wanted, word)) {
            return false;
        }
    }
    return !has_subject;
}

//  One word, the last one or not. NULL when it is sound, else what is wrong.
static const char *
s_word_fault(yami_slice_t word, bool is_last, bool is_filter)
{
    if (word.size == 0) {
        return "it has an empty word";
    }
    for (size_t index = 0; index < word.size; index++) {
        uint8_t byte = word.data[index];
        if (byte < 0x20 || byte == 0x7f) {
            return "it has a control character";
        }
        if (byte != '*' && byte != '>') {
            continue;
        }
        if (!is_filter) {
            return "it has a wildcard, which only filters may";
        }
        if (word.size > 1) {
            return "a wildcard stands for whole words";
        }
        if (byte == '>' && !is_last) {
            return "'>' stands at the end only";
        }
    }
    return NULL;
}

int
yami_subject_check_slice(yami_slice_t subject, bool is_filter)
{
    const char *what = is_filter ? "subject filter" : "subject";
    if (subject.size > YAMI_LIMIT_SUBJECT) {
        return yami_fail(EINVAL, "%s: it has %zu bytes, the limit is %u", what, subject.size,
                         YAMI_LIMIT_SUBJECT);
    }
    if (is_filter && subject.size == 0) {
        return 0;
    }
    bool has_more = true;
    yami_slice_t word;
    uint32_t word_count = 0;
    while (s_word(&subject, &has_more, &word)) {
        const char *fault = s_word_fault(word, !has_more, is_filter);
        if (fault == NULL && ++word_count > YAMI_LIMIT_SUBJECT_WORDS) {
            fault = "it has too many words";
        }
        if (fault != NULL) {
            return yami_fail(EINVAL, "%s: %s", what, fault);
        }
    }
    return 0;
}

int
yami_subject_check(const char *subject, bool is_filter)
{
    return yami_subject_check_slice(yami_slice_text(subject), is_filter);
}
