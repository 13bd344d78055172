//  One table: this program's options, then the relay's, which describes them itself.

#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "config.h"
#include "yam_relay_option.h"
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
#define S_FIRST_IN_FILE 5 //  options before this index are of the command line only

static const yami_option_t s_own[] = {
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
};
#define S_OWN_COUNT (sizeof s_own / sizeof s_own[0])

//  s_own, then the relay's; filled once.
static yami_option_t s_table[YAMI_ARGUMENTS_LIMIT + 1];

static const yami_arguments_t s_arguments = {s_table, "h=help V=version c=config l=listen s=store"};

static size_t
s_value_size(const yam_option_t *option)
{
    return option->type == YAM_OPTION_TEXT ? (size_t) option->maximum + 1 : sizeof(int64_t);
}

//  What stands for a value in the help.
static const char *
s_argument(const yam_option_t *option)
{
    return option->type == YAM_OPTION_CHOICE ? option->choices : NULL;
}

static void
s_fill_table(void)
{
    size_t used = 0;
    yam_option_t option;
    memcpy(s_table, s_own, sizeof s_own);
    for (size_t index = 0; yam_relay_option(index, &option); index++) {
        YAM_ASSERT(S_OWN_COUNT + index < YAMI_ARGUMENTS_LIMIT);
        YAM_ASSERT(used + s_value_size(&option) <= YAMD_RELAY_VALUES);
        s_table[S_OWN_COUNT + index] = (yami_option_t) {
            .name = option.name,
            .type = (yami_option_type_t) option.type,
            .offset = AT(relay) + used,
            .minimum = option.minimum,
            .maximum = option.maximum,
            .initial = option.initial,
            .unit = option.unit,
            .choices = s_argument(&option),
            .help = option.help,
        };
        used += (s_value_size(&option) + 7) & ~(size_t) 7; //  aligned for the next one
    }
}

static size_t
s_index_of(const yami_option_t *entry)
{
    return (size_t) (entry - s_table);
}

int
yamd_options_parse(yamd_options_t *self, int argc, char **argv)
{
    memset(self, 0, sizeof *self);
    s_fill_table();
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
    for (size_t index = S_OWN_COUNT; s_table[index].name; index++) {
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

int64_t
yamd_options_number(const yamd_options_t *self, const char *name)
{
    int64_t number = 0;
    const yami_option_t *entry = yami_options_find(s_table, name, strlen(name));
    YAM_ASSERT(entry && entry->type == YAMI_OPTION_INT);
    memcpy(&number, (const char *) &self->values + entry->offset, sizeof number);
    return number;
}

void
yamd_options_compare(const yamd_options_t *self, const yamd_options_t *newer,
                     void (*changed)(void *arg, const char *name, const char *value,
                                     bool is_relays),
                     void *arg)
{
    for (size_t index = S_FIRST_IN_FILE; s_table[index].name; index++) {
        char before[2048], after[2048];
        (void) yami_options_get(&s_table[index], &self->values, before, sizeof before);
        (void) yami_options_get(&s_table[index], &newer->values, after, sizeof after);
        if (strcmp(before, after) != 0) {
            changed(arg, s_table[index].name, after, index >= S_OWN_COUNT);
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
