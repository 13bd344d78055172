//  One table: what every daemon has, what this one has, then its class's, which describes them
//  itself.

#include "options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "config.h"
#include "yami_base.h"

#define AT(member) offsetof(daemon_options_t, common.member)
#define FLAG(name, member, help)                                                                   \
    {                                                                                              \
        name, YAMI_OPTION_BOOL, AT(member), 0, 0, "false", "", NULL, help                          \
    }
#define S_FIRST_IN_FILE 5 //  options before this index are of the command line only

static const yami_option_t s_common[] = {
    FLAG("help", help, "print this and exit"),
    FLAG("version", version, "print the version and exit"),
    FLAG("check-config", check_config, "check options and file, bind and open nothing, and exit"),
    FLAG("dump-config", dump_config, "print all options as a file, and exit"),
    {"config", YAMI_OPTION_STRING, AT(config), 0, sizeof((daemon_common_t *) NULL)->config - 1, "",
     "", "FILE", "read options from FILE, too; reread on SIGHUP"},
    {"log-level", YAMI_OPTION_CHOICE, AT(log_level), 0, 0, "info", "", "error|warn|info|debug",
     "what goes to the log on stderr"},
};
_Static_assert(sizeof s_common / sizeof *s_common == S_FIRST_IN_FILE + 1, "log-level is in files");

//  s_common, then the daemon's, then the class's; filled once.
static yami_option_t s_table[YAMI_ARGUMENTS_LIMIT + 1];
static size_t s_count;       //  entries
static size_t s_class_index; //  of the class's first
static const daemon_kind_t *s_kind;

static void
s_add(const yami_option_t *option, size_t offset)
{
    YAM_ASSERT(s_count < YAMI_ARGUMENTS_LIMIT);
    s_table[s_count] = *option;
    s_table[s_count++].offset += offset;
}

static size_t
s_value_size(const yam_option_t *option)
{
    return option->type == YAM_OPTION_TEXT ? (size_t) option->maximum + 1 : sizeof(int64_t);
}

static size_t
s_align(size_t size)
{
    return (size + 7) & ~(size_t) 7;
}

static void
s_add_class(size_t used)
{
    yam_option_t option;
    for (size_t index = 0; s_kind->describe(index, &option); index++) {
        YAM_ASSERT(used + s_value_size(&option) <= DAEMON_VALUES);
        s_add(
            &(yami_option_t) {
                .name = option.name,
                .type = (yami_option_type_t) option.type,
                .minimum = option.minimum,
                .maximum = option.maximum,
                .initial = option.initial,
                .unit = option.unit,
                .choices = option.type == YAM_OPTION_CHOICE ? option.choices : NULL,
                .help = option.help,
            },
            offsetof(daemon_options_t, values) + used);
        used = s_align(used + s_value_size(&option));
    }
}

static void
s_fill_table(void)
{
    s_count = 0;
    memset(s_table, 0, sizeof s_table);
    for (size_t index = 0; index < S_FIRST_IN_FILE; index++) {
        s_add(&s_common[index], 0);
    }
    for (const yami_option_t *option = s_kind->own; option->name != NULL; option++) {
        s_add(option, offsetof(daemon_options_t, values));
    }
    s_add(&s_common[S_FIRST_IN_FILE], 0);
    s_class_index = s_count;
    s_add_class(s_align(s_kind->own_size));
}

static size_t
s_index_of(const yami_option_t *entry)
{
    return (size_t) (entry - s_table);
}

static yami_arguments_t
s_arguments(void)
{
    return (yami_arguments_t) {s_table, s_kind->letters};
}

int
daemon_options_parse(daemon_options_t *self, const daemon_kind_t *kind, int argc, char **argv)
{
    s_kind = kind;
    s_fill_table();
    memset(self, 0, sizeof *self);
    yami_options_init(s_table, self);
    const yami_arguments_t arguments = s_arguments();
    int first = yami_arguments_parse(&arguments, self, self->by_line, argc, argv);
    if (first == -1) {
        return -1;
    }
    if (first < argc) {
        return yami_fail(EINVAL, "'%s' is no option (see --help)", argv[first]);
    }
    return 0;
}

const void *
daemon_options_own(const daemon_options_t *self)
{
    return self->values;
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
    return yami_fail(EINVAL, "unknown option '%.64s' (see %s --dump-config)", key, s_kind->name);
}

//  One line of the file.
static int
s_set_from_file(void *arg, const char *key, const char *value)
{
    daemon_options_t *self = arg;
    daemon_options_t scratch;
    const yami_option_t *entry = yami_options_find(s_table, key, strlen(key));
    if (!entry || s_index_of(entry) < S_FIRST_IN_FILE) {
        return s_refuse_key(key);
    }
    if (self->by_file[s_index_of(entry)]) {
        return yami_fail(EINVAL, "option '%s' is given twice", key);
    }
    self->by_file[s_index_of(entry)] = true;
    bool is_settled = self->by_line[s_index_of(entry)]; //  (1)
    return yami_options_set(s_table, is_settled ? &scratch : self, key, value);
}

int
daemon_options_load(daemon_options_t *self)
{
    if (!self->common.config[0]) {
        return 0;
    }
    daemon_options_t loaded;
    memset(&loaded, 0, sizeof loaded);
    yami_options_init(s_table, &loaded);
    for (size_t index = 0; s_table[index].name; index++) {
        if (self->by_line[index]) {
            char text[2048];
            (void) yami_options_get(&s_table[index], self, text, sizeof text);
            (void) yami_options_set(s_table, &loaded, s_table[index].name, text);
            loaded.by_line[index] = true;
        }
    }
    if (daemon_config_read(self->common.config, s_set_from_file, &loaded) == -1) {
        return -1;
    }
    *self = loaded; //  (2)
    return 0;
}

int
daemon_options_class(const daemon_options_t *self, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t index = s_class_index; s_table[index].name; index++) {
        char value[1100];
        if (!self->by_line[index] && !self->by_file[index]) {
            continue;
        }
        (void) yami_options_get(&s_table[index], self, value, sizeof value);
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
daemon_options_number(const daemon_options_t *self, const char *name, int64_t otherwise)
{
    int64_t number = otherwise;
    const yami_option_t *entry = yami_options_find(s_table, name, strlen(name));
    if (entry != NULL && entry->type == YAMI_OPTION_INT) {
        memcpy(&number, (const char *) self + entry->offset, sizeof number);
    }
    return number;
}

void
daemon_options_compare(const daemon_options_t *self, const daemon_options_t *newer,
                       void (*changed)(void *arg, const char *name, const char *value,
                                       bool is_class),
                       void *arg)
{
    for (size_t index = S_FIRST_IN_FILE; s_table[index].name; index++) {
        char before[2048], after[2048];
        (void) yami_options_get(&s_table[index], self, before, sizeof before);
        (void) yami_options_get(&s_table[index], newer, after, sizeof after);
        if (strcmp(before, after) != 0) {
            changed(arg, s_table[index].name, after, index >= s_class_index);
        }
    }
}

void
daemon_options_help(FILE *out)
{
    const yami_arguments_t arguments = s_arguments();
    (void) fputs(s_kind->usage, out);
    yami_arguments_help(&arguments, out);
    (void) fprintf(out,
                   "\nTimes take ms, s, m, h; sizes k, M, G. All but the first five may stand in "
                   "FILE as 'name = value'.\n%s\nExit codes and more: %s(8).\n",
                   s_kind->signals, s_kind->name);
}

void
daemon_options_dump(const daemon_options_t *self, FILE *out)
{
    for (size_t index = S_FIRST_IN_FILE; s_table[index].name; index++) {
        const yami_option_t *entry = &s_table[index];
        char value[2048];
        (void) yami_options_get(entry, self, value, sizeof value);
        (void) fprintf(out, "#   %s%s%s%s\n", entry->help, entry->unit && *entry->unit ? " [" : "",
                       entry->unit, entry->unit && *entry->unit ? "]" : "");
        bool is_text = entry->type == YAMI_OPTION_STRING;
        (void) fprintf(out, "%s = %s%s%s\n", entry->name, is_text ? "\"" : "", value,
                       is_text ? "\"" : "");
    }
}
