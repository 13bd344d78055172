//  Subjects, filters and names: what the matcher says is what a slow one says that follows the
//  rules word by word.

#include <string.h>

#include "harness/fuzz.h"
#include "yami_base.h"
#include "yami_limits.h"
#include "yami_properties.h"

//  Takes the first word off.
static yami_slice_t
s_word(yami_slice_t *rest, bool *has_more)
{
    const uint8_t *dot = rest->size > 0 ? memchr(rest->data, '.', rest->size) : NULL;
    yami_slice_t word = yami_slice(rest->data, dot ? (size_t) (dot - rest->data) : rest->size);
    *has_more = dot != NULL;
    *rest = dot ? yami_slice(dot + 1, rest->size - word.size - 1) : yami_slice(rest->data, 0);
    return word;
}

//  Both are well-formed.
static bool
s_matches(yami_slice_t subject, yami_slice_t filter)
{
    bool has_subject = subject.size > 0;
    bool has_filter = filter.size > 0;
    if (!has_filter) {
        return true;
    }
    while (has_subject && has_filter) {
        yami_slice_t wanted = s_word(&filter, &has_filter);
        if (yami_slice_equal(wanted, ">")) {
            return true;
        }
        yami_slice_t word = s_word(&subject, &has_subject);
        bool is_same = word.size == wanted.size && memcmp(word.data, wanted.data, word.size) == 0;
        if (!is_same && !yami_slice_equal(wanted, "*")) {
            return false;
        }
    }
    return !has_subject && !has_filter;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    uint8_t split = fuzz_u8(&input);
    yami_slice_t parts[2];
    uint8_t *copies[2];
    for (int index = 0; index < 2; index++) {
        parts[index] = fuzz_bytes(&input, index == 0 ? split : fuzz_left(&input));
        copies[index] = fuzz_copy(parts[index].data, parts[index].size);
        parts[index].data = copies[index];
    }
    bool is_subject = parts[0].size > 0 && yami_subject_check_slice(parts[0], false) == 0;
    bool is_filter = yami_subject_check_slice(parts[1], true) == 0;
    bool matches = yami_subject_matches(parts[0], parts[1]);
    if (is_subject && is_filter) {
        YAM_ASSERT(matches == s_matches(parts[0], parts[1]));
    }
    YAM_ASSERT(!is_subject || parts[0].size <= YAMI_LIMIT_SUBJECT);
    YAM_ASSERT(!is_subject || yami_subject_check_slice(parts[0], true) == 0);
    if (yami_name_check(parts[1], "name") == 0) {
        YAM_ASSERT(parts[1].size > 0 && parts[1].size <= YAMI_LIMIT_NAME);
    }
    yami_free(copies[0]);
    yami_free(copies[1]);
    return 0;
}
