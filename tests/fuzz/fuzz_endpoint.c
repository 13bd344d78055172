//  Endpoint strings: any text gives addresses and options in their ranges, or a sentence; and so
//  does what a sure receiver makes of the options.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/fuzz.h"
#include "yam_error.h"
#include "yami_base.h"
#include "yami_endpoint.h"
#include "yami_limits.h"
#include "yami_sure_receiver.h"

static void
s_check(const yami_endpoint_t *endpoint, size_t length)
{
    YAM_ASSERT(endpoint->address_count >= 1 && endpoint->address_count <= YAMI_LIMIT_ADDRESSES);
    for (size_t index = 0; index < endpoint->address_count; index++) {
        const yami_address_t *address = &endpoint->addresses[index];
        YAM_ASSERT(strstr(address->address, "://"));
        YAM_ASSERT(memchr(address->address, 0, sizeof address->address));
        YAM_ASSERT(address->column >= 1 && address->column <= length);
    }
    for (const yami_option_t *entry = yami_endpoint_option_table; entry->name; entry++) {
        char text[2048];
        yami_endpoint_options_t again = endpoint->options;
        (void) yami_options_get(entry, &endpoint->options, text, sizeof text);
        //  An empty text is "not given"; it cannot be said.
        YAM_ASSERT(!*text ||
                   yami_options_set(yami_endpoint_option_table, &again, entry->name, text) == 0);
    }
}

static void
s_configure(const yami_endpoint_options_t *options, int kind)
{
    char sequence[32];
    yami_consumer_config_t config;
    if (yami_sure_receiver_configure(&config, kind, "orders", options) == -1) {
        YAM_ASSERT(errno == EINVAL && *yam_error());
        return;
    }
    YAM_ASSERT(strcmp(config.group, options->group) == 0);
    YAM_ASSERT(strcmp(config.filter, options->subject) == 0);
    (void) snprintf(sequence, sizeof sequence, "%" PRIu64, config.sequence);
    switch (config.start) {
    case YAMI_START_SEQUENCE:
        YAM_ASSERT(config.sequence > 0 && config.sequence <= YAMI_LIMIT_SEQUENCE);
        YAM_ASSERT(strcmp(options->start, sequence) == 0);
        break;
    case YAMI_START_NEW:
        YAM_ASSERT(!*options->start || strcmp(options->start, "new") == 0);
        YAM_ASSERT(*options->start || (kind == YAMI_KIND_TOPIC && !*config.group));
        break;
    default:
        YAM_ASSERT(config.start == YAMI_START_FIRST);
        YAM_ASSERT(!*options->start || strcmp(options->start, "first") == 0);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    bool binds = fuzz_u8(&input) & 1;
    char *text = fuzz_text(&input, fuzz_left(&input));
    yami_endpoint_t endpoint;
    errno = 0;
    if (yami_endpoint_parse(&endpoint, text, binds) == 0) {
        s_check(&endpoint, strlen(text));
        s_configure(&endpoint.options, YAMI_KIND_QUEUE);
        s_configure(&endpoint.options, YAMI_KIND_TOPIC);
    } else {
        YAM_ASSERT(errno == EINVAL && *yam_error());
    }
    yami_free(text);
    return 0;
}
