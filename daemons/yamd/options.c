//  One table. Values of the relay are checked here by the table and again by the relay, whose defaults hold for what
//  nobody gave.

#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "config.h"
#include "yami_base.h"
#include "yami_log.h"

#define AT(member) offsetof(yamd_values_t, member)
#define SIZE(member) (sizeof(((yamd_values_t *) 0)->member) - 1)
#define FLAG(name, member, help)                                                                   \
    {                                                                                              \
        name, YAMI_OPTION_BOOL, AT(member), 0, 0, "false", "", NULL, help                          \
    }
#define TEXT(name, member, least, initial, argument, help)                                         \
    {                                                                                              \
        name, YAMI_OPTION_STRING, AT(member), least, SIZE(member), initial, "", argument, help     \
    }
#define NUMBER(name, member, least, most, initial, unit, help)                                     \
    {                                                                                              \
        name, YAMI_OPTION_INT, AT(member), least, most, initial, unit, NULL, help                  \
    }

#define S_WEEK_MS (7ll * 24 * 3600 * 1000)
#define S_FIRST_IN_FILE 5 //  options before this index are of the command line only
#define S_FIRST_OF_RELAY 9

static const yami_option_t s_table[] = {
    FLAG("help", help, "print this and exit"),
    FLAG("version", version, "print the version and exit"),
    FLAG("check-config", check_config, "check options and file, bind and open nothing, and exit"),
    FLAG("dump-config", dump_config, "print all options as a file, and exit"),
    TEXT("config", config, 0, "", "FILE", "read options from FILE, too; reread on SIGHUP"),
    TEXT("listen", listen, 1, "tcp://127.0.0.1:9260", "ENDPOINT[,..]", "where to listen"),
    TEXT("store", store, 0, "", "DIR", "directory of the store, created when missing"),
    FLAG("memory", memory, "keep messages in memory only: nothing survives a stop"),
    {"log-level", YAMI_OPTION_CHOICE, AT(log_level), 0, 0, "info", "", "error|warn|info|debug",
     "what goes to the log on stderr"},
    FLAG("insecure", insecure, "listen beyond loopback without CURVE"),
    TEXT("certificate", certificate, 0, "", "FILE", "certificate of this relay: turns CURVE on"),
    TEXT("clients", clients, 0, "", "DIR", "certificates of clients that may connect; none: all"),
    NUMBER("lease", lease_ms, 10, 24ll * 3600 * 1000, "30s", "ms",
           "how long a consumer has for a message when it does not say"),
    NUMBER("delivery-limit", delivery_limit, 1, 1000, "5", "failures",
           "failures after which a message is a dead letter"),
    TEXT("backoff", backoff, 1, "1s:5s:30s:2m:10m", "LIST",
         "waits before a failed message comes again; the last repeats"),
    NUMBER("channel-messages", channel_messages, 0, INT64_MAX, "0", "messages",
           "most unsettled messages of a channel, 0: no limit"),
    NUMBER("channel-bytes", channel_bytes, 0, INT64_MAX, "0", "bytes",
           "most unsettled bytes of a channel, 0: no limit"),
    NUMBER("producer-idle", producer_idle_ms, 1000, 52 * S_WEEK_MS, "168h", "ms",
           "a producer unseen for so long may be forgotten when the table is full"),
    NUMBER("heartbeat", heartbeat_ms, 10, 3600000, "1s", "ms", "signs of life sent to peers"),
    NUMBER("linger", linger_ms, 0, 3600000, "5s", "ms",
           "how long a stop waits for messages that are being worked on"),
    NUMBER("segment-bytes", segment_bytes, 64 << 10, 1 << 30, "64M", "bytes",
           "size of a file of the store"),
    NUMBER("cache-bytes", cache_bytes, 0, INT64_MAX, "32M", "bytes",
           "recent messages kept in memory for consumers"),
    NUMBER("reserve-bytes", reserve_bytes, 0, INT64_MAX, "1G", "bytes",
           "free disk below which producers are refused"),
    NUMBER("memory-bytes", memory_bytes, 1 << 20, INT64_MAX, "1G", "bytes",
           "most bytes of a store in memory"),
    NUMBER("window-messages", window_messages, 1, 65536, "65536", "messages",
           "unconfirmed messages a producer may have"),
    NUMBER("window-bytes", window_bytes, 64 << 10, 64 << 20, "8M", "bytes",
           "unconfirmed bytes a producer may have"),
    {NULL, YAMI_OPTION_BOOL, 0, 0, 0, NULL, NULL, NULL, NULL},
};

//  May change while the relay runs, as yam_relay_set allows.
static const char *const s_changeable[] = {
    "lease",         "delivery-limit", "backoff",  "channel-messages",
    "channel-bytes", "producer-idle",  "heartbeat"};

static const yami_arguments_t s_arguments = {s_table, "h=help V=version c=config l=listen s=store"};

static size_t
s_index_of(const yami_option_t *entry)
{
    return (size_t) (entry - s_table);
}

int
yamd_options_parse(yamd_options_t *self, int argc, char **argv)
{
    memset(self, 0, sizeof *self);
    yami_options_init(s_table, &self->values);
    int first = yami_arguments_parse(&s_arguments, &self->values, self->by_line, argc, argv);
    if (first == -1) {
        return -1;
    }
    if (first < argc) {
        return yami_fail(EINVAL, "'%s' is no option (see --help)", argv[first]);
    }
    return 0;
}

//  Adds "(did you mean 'x'?)" to the sentence about a key nobody knows.
static const char *
s_next_key(const void *arg, size_t index)
{
    (void) arg;
    return s_table[S_FIRST_IN_FILE + index].name;
}

static int
s_refuse_key(const char *key)
{
    const char *nearest = yami_nearest(key, s_next_key, NULL);
    if (nearest) {
        return yami_fail(EINVAL, "unknown option '%.64s' (did you mean '%s'?)", key, nearest);
    }
    return yami_fail(EINVAL, "unknown option '%.64s' (see yamd --dump-config)", key);
}

//  One line of the file.
static int
s_set_from_file(void *arg, const char *key, const char *value)
{
    yamd_options_t *self = arg;
    yamd_values_t scratch;
    const yami_option_t *entry = yami_options_find(s_table, key, strlen(key));
    if (!entry || s_index_of(entry) < S_FIRST_IN_FILE) {
        return s_refuse_key(key);
    }
    if (self->by_file[s_index_of(entry)]) {
        return yami_fail(EINVAL, "option '%s' is given twice", key);
    }
    self->by_file[s_index_of(entry)] = true;
    bool is_settled = self->by_line[s_index_of(entry)]; //  (1)
    return yami_options_set(s_table, is_settled ? &scratch : &self->values, key, value);
}

int
yamd_options_load(yamd_options_t *self)
{
    if (!self->values.config[0]) {
        return 0;
    }
    yamd_options_t loaded;
    memset(&loaded, 0, sizeof loaded);
    yami_options_init(s_table, &loaded.values);
    for (size_t index = 0; s_table[index].name; index++) {
        if (self->by_line[index]) {
            char text[2048];
            (void) yami_options_get(&s_table[index], &self->values, text, sizeof text);
            (void) yami_options_set(s_table, &loaded.values, s_table[index].name, text);
            loaded.by_line[index] = true;
        }
    }
    if (yamd_config_read(self->values.config, s_set_from_file, &loaded) == -1) {
        return -1;
    }
    *self = loaded; //  (2)
    return 0;
}

int
yamd_options_relay(const yamd_options_t *self, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t index = S_FIRST_OF_RELAY; s_table[index].name; index++) {
        char value[1100];
        if (!self->by_line[index] && !self->by_file[index]) {
            continue;
        }
        (void) yami_options_get(&s_table[index], &self->values, value, sizeof value);
        if (strchr(value, '&')) {
            return yami_fail(EINVAL, "option '%s' must not contain '&'", s_table[index].name);
        }
        int length = snprintf(text + used, size - used, "%s%s=%s", used > 0 ? "&" : "",
                              s_table[index].name, value);
        if (length < 0 || (size_t) length >= size - used) {
            return yami_fail(EMSGSIZE, "the options are longer than %zu bytes together", size);
        }
        used += (size_t) length;
    }
    return 0;
}

static bool
s_may_change(const char *name)
{
    for (size_t index = 0; index < sizeof s_changeable / sizeof s_changeable[0]; index++) {
        if (strcmp(s_changeable[index], name) == 0) {
            return true;
        }
    }
    return strcmp(name, "log-level") == 0;
}

void
yamd_options_compare(const yamd_options_t *self, const yamd_options_t *newer,
                     void (*changed)(void *arg, const char *name, const char *value,
                                     bool may_change),
                     void *arg)
{
    for (size_t index = S_FIRST_IN_FILE; s_table[index].name; index++) {
        char before[2048], after[2048];
        (void) yami_options_get(&s_table[index], &self->values, before, sizeof before);
        (void) yami_options_get(&s_table[index], &newer->values, after, sizeof after);
        if (strcmp(before, after) != 0) {
            changed(arg, s_table[index].name, after, s_may_change(s_table[index].name));
        }
    }
}

void
yamd_options_help(FILE *out)
{
    (void) fputs("Usage: yamd --store DIR [--listen ENDPOINT[,..]] [--config FILE] [OPTION...]\n"
                 "The relay that remembers: keeps messages between senders and receivers.\n\n",
                 out);
    yami_arguments_help(&s_arguments, out);
    (void) fputs(
        "\nTimes take ms, s, m, h; sizes k, M, G. All but the first five may stand in FILE as "
        "'name = "
        "value'.\nSIGTERM drains and stops, a second one stops at once; SIGHUP rereads FILE.\n"
        "Exit codes and more: yamd(8).\n",
        out);
}

void
yamd_options_dump(const yamd_options_t *self, FILE *out)
{
    for (size_t index = S_FIRST_IN_FILE; s_table[index].name; index++) {
        const yami_option_t *entry = &s_table[index];
        char value[2048];
        (void) yami_options_get(entry, &self->values, value, sizeof value);
        (void) fprintf(out, "#   %s%s%s%s\n", entry->help, entry->unit && *entry->unit ? " [" : "",
                       entry->unit, entry->unit && *entry->unit ? "]" : "");
        bool is_text = entry->type == YAMI_OPTION_STRING;
        (void) fprintf(out, "%s = %s%s%s\n", entry->name, is_text ? "\"" : "", value,
                       is_text ? "\"" : "");
    }
}
