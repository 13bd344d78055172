#include <stddef.h>

#include "yami_limits.h"
#include "yami_relay_options.h"

#define S_DAY_MS (24ll * 3600 * 1000)
#define S_GIB (1ll << 30)

#define S_INT(name, member, minimum, maximum, initial, unit, help)                                 \
    {                                                                                              \
        name, YAMI_OPTION_INT, offsetof(yami_relay_options_t, member), minimum, maximum, initial,  \
            unit, NULL, help                                                                       \
    }
#define S_STRING(name, member, initial, help)                                                      \
    {                                                                                              \
        name, YAMI_OPTION_STRING, offsetof(yami_relay_options_t, member), 0,                       \
            sizeof((yami_relay_options_t *) NULL)->member - 1, initial, "", NULL, help             \
    }

const yami_option_t yami_relay_option_table[] = {
    S_INT("lease", lease_ms, 10, S_DAY_MS, "30s", "ms", "lease of a consumer that asks for none"),
    S_INT("delivery-limit", delivery_limit, 1, 1000000, "5", "failures",
          "failures after which a message becomes a dead letter"),
    S_STRING("backoff", backoff, "1s:5s:30s:2m:10m",
             "delay after each failure, the last one repeats (20 % jitter)"),
    S_INT("channel-messages", channel_messages, 0, INT64_MAX, "0", "messages",
          "most unsettled messages of a channel, 0 = no limit"),
    S_INT("channel-bytes", channel_bytes, 0, INT64_MAX, "0", "bytes",
          "most unsettled bytes of a channel, 0 = no limit"),
    S_INT("delayed-messages", delayed_messages, 0, YAMI_LIMIT_DELAYED, "1048576", "messages",
          "most messages that wait for their time, 0 = none are taken"),
    S_INT("topic-bytes", topic_bytes, 0, INT64_MAX, "1G", "bytes",
          "most bytes a topic keeps, 0 = no limit"),
    S_INT("topic-age", topic_age_ms, 0, 3650 * S_DAY_MS, "24h", "ms",
          "how long a topic keeps messages, 0 = no limit"),
    S_INT("producer-idle", producer_idle_ms, 1000, 3650 * S_DAY_MS, "168h", "ms",
          "a producer unseen for so long may be forgotten when the table is full"),
    S_INT("heartbeat", heartbeat_ms, 50, 3600 * 1000, "1s", "ms", "announced to peers"),
    S_INT("segment-size", segment_bytes, 64 << 10, YAMI_LIMIT_SEGMENT_BYTES, "64M", "bytes",
          "size of a file of the log"),
    S_INT("cache-size", cache_bytes, 0, 64 * S_GIB, "32M", "bytes",
          "recent messages kept in memory"),
    S_INT("reserve", reserve_bytes, 0, INT64_MAX, "1G", "bytes",
          "free disk below which publishers are refused"),
    S_INT("scrub-rate", scrub_rate, 0, INT64_MAX, "32M", "bytes/s",
          "a log of more than 8 MiB is checked in the background after the start, 0 = not"),
    S_INT("memory-size", memory_bytes, 1 << 20, INT64_MAX, "256M", "bytes",
          "most bytes of a store in memory"),
    S_INT("window-messages", window_messages, 1, YAMI_LIMIT_WINDOW_MESSAGES, "65536", "messages",
          "unconfirmed messages a producer may have"),
    S_INT("window-bytes", window_bytes, 4096, YAMI_LIMIT_WINDOW_BYTES, "8M", "bytes",
          "unconfirmed bytes a producer may have"),
    S_INT("linger", linger_ms, 0, S_DAY_MS, "5s", "ms", "how long a closing relay drains"),
    {"insecure", YAMI_OPTION_BOOL, offsetof(yami_relay_options_t, insecure), 0, 1, "false", "",
     NULL, "bind beyond loopback without CURVE"},
    S_STRING("certificate", certificate, "",
             "secret certificate file of this relay: turns CURVE on"),
    S_STRING("clients", clients, "",
             "directory of certificates of clients that may connect, empty = any key"),
    {NULL, YAMI_OPTION_INT, 0, 0, 0, NULL, NULL, NULL, NULL},
};
