//  Options of a relay, "name=value" by lines, and a command line made of the same: a value that is
//  taken is in its range and read back as the same; one that is refused changes nothing. Each value
//  is read as a list of delays and as a time as well: what is taken is read back as the same.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format.h"
#include "harness/fuzz.h"
#include "yam_error.h"
#include "yami_arguments.h"
#include "yami_base.h"
#include "yami_delays.h"
#include "yami_limits.h"
#include "yami_relay_options.h"

#define S_ARGUMENT_LIMIT 16
#define S_FOUR_DIGITS_MS 253402300800000ll //  the year 10000, which is printed and not read

static void
s_set(yami_relay_options_t *options, const char *name, const char *value)
{
    yami_relay_options_t before = *options;
    if (yami_options_set(yami_relay_option_table, options, name, value) == -1) {
        YAM_ASSERT(errno == EINVAL && *yam_error());
        YAM_ASSERT(memcmp((const char *) &before, (const char *) options, sizeof before) == 0);
        return;
    }
    const yami_option_t *entry = yami_options_find(yami_relay_option_table, name, strlen(name));
    char text[2048], again[2048];
    (void) yami_options_get(entry, options, text, sizeof text);
    YAM_ASSERT(yami_options_set(yami_relay_option_table, options, name, text) == 0);
    YAM_ASSERT(strcmp(yami_options_get(entry, options, again, sizeof again), text) == 0);
    if (entry->type == YAMI_OPTION_INT) {
        int64_t number;
        memcpy(&number, (const char *) options + entry->offset, sizeof number);
        YAM_ASSERT(number >= entry->minimum && number <= entry->maximum);
    }
}

//  As backoff= of a relay.
static void
s_delays(const char *text)
{
    int64_t delays_ms[YAMI_LIMIT_DELAYS], again_ms[YAMI_LIMIT_DELAYS];
    char printed[YAMI_LIMIT_DELAYS * 12];
    size_t size = 0;
    int count = yami_delays_parse(text, delays_ms);
    YAM_ASSERT(count != -1 || (errno == EINVAL && *yam_error()));
    for (int index = 0; index < count; index++) {
        YAM_ASSERT(delays_ms[index] >= 0 && delays_ms[index] <= YAMI_LIMIT_RETRY_MS);
        size += (size_t) snprintf(printed + size, sizeof printed - size, "%s%" PRId64,
                                  index > 0 ? ":" : "", delays_ms[index]);
    }
    if (count != -1) {
        YAM_ASSERT(count >= 1 && yami_delays_parse(printed, again_ms) == count);
        YAM_ASSERT(memcmp(delays_ms, again_ms, (size_t) count * sizeof *delays_ms) == 0);
    }
}

//  As `yam send --due`.
static void
s_time(const char *text)
{
    char printed[32];
    int64_t time_ms = cli_parse_time(text);
    if (time_ms == -1) {
        YAM_ASSERT(errno == EINVAL && *yam_error());
        return;
    }
    YAM_ASSERT(time_ms > 0 && time_ms <= YAMI_LIMIT_TIME_MS);
    (void) cli_format_time(time_ms, printed, sizeof printed);
    YAM_ASSERT(time_ms >= S_FOUR_DIGITS_MS || cli_parse_time(printed) == time_ms);
}

static void
s_lines(char *text)
{
    yami_relay_options_t options;
    memset(&options, 0, sizeof options); //  padding, too: it is compared
    yami_options_init(yami_relay_option_table, &options);
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *value = strchr(line, '=');
        if (value) {
            *value++ = '\0';
        }
        s_set(&options, line, value);
        s_delays(value ? value : line);
        s_time(value ? value : line);
    }
}

static void
s_arguments(char *text)
{
    static const yami_arguments_t arguments = {.table = yami_relay_option_table,
                                               .letters = "l=lease i=insecure"};
    yami_relay_options_t options;
    yami_options_init(yami_relay_option_table, &options);
    bool given[YAMI_ARGUMENTS_LIMIT] = {false};
    char program[] = "fuzz";
    char *argv[S_ARGUMENT_LIMIT + 2] = {program};
    int argc = 1;
    char *rest = NULL;
    for (char *word = strtok_r(text, "\n", &rest); word && argc <= S_ARGUMENT_LIMIT;
         word = strtok_r(NULL, "\n", &rest)) {
        argv[argc++] = word;
    }
    int first = yami_arguments_parse(&arguments, &options, given, argc, argv);
    YAM_ASSERT(first == -1 ? *yam_error() != 0 : first >= 1 && first <= argc);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    bool is_line = fuzz_u8(&input) & 1;
    char *text = fuzz_text(&input, fuzz_left(&input));
    if (is_line) {
        s_arguments(text);
    } else {
        s_lines(text);
    }
    yami_free(text);
    return 0;
}
