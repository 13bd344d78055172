//  patterns/relay/SPEC.md says what the tables of the code say: fields, frame types, status codes,
//  levels, limits, and the golden bytes of its example.

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
// clang-format on

#include "yam_status.h"
#include "yami_frame_table.h"
#include "yami_limits.h"

#define SPEC "patterns/relay/SPEC.md"
#define LINE_SIZE 512

static char *s_spec; //  owned; the whole document

static char *
s_load(const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        fail_msg("cannot open %s (run from the top of the tree)", path);
        return NULL;
    }
    char *text = calloc(1, 1u << 20);
    size_t size = fread(text, 1, (1u << 20) - 1, file);
    assert_true(size > 0);
    fclose(file);
    return text;
}

//  Whether a line of the document begins so.
static void
s_expect_line(const char *start)
{
    char wanted[LINE_SIZE + 2];
    snprintf(wanted, sizeof wanted, "\n%s", start);
    if (strstr(s_spec, wanted) == NULL) {
        fail_msg(SPEC " has no line that begins with: %s", start);
    }
}

static void
test_each_field_is_documented_with_type_and_range(void **state)
{
    (void) state;
    static const char *const types[] = {"uint", "bool", "str", "bin", "id", "ranges"};
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        const yami_frame_field_t *field = &yami_frame_fields[index];
        char line[LINE_SIZE];
        snprintf(line, sizeof line, "| `%s` | %s | %" PRIu64 " | %" PRIu64 " | ", field->key,
                 types[field->type], field->minimum, field->maximum);
        s_expect_line(line);
    }
}

//  Fields of a set as the document lists them: in the table's order.
static void
s_list(uint64_t set, char *text, size_t size)
{
    size_t used = 0;
    for (size_t index = 0; index < YAMI_FRAME_FIELD_COUNT; index++) {
        if (set & yami_frame_fields[index].bit) {
            used += (size_t) snprintf(text + used, size - used, "%s`%s`", used > 0 ? " " : "",
                                      yami_frame_fields[index].key);
        }
    }
    if (used == 0) {
        snprintf(text, size, "–");
    }
}

static void
test_each_frame_type_is_documented_with_its_fields(void **state)
{
    (void) state;
    static const char *const handles[] = {"0", "not 0", "any"};
    static const char *const senders[] = {"client", "relay", "both"};
    for (size_t type = 1; type < YAMI_FRAME_TYPE_COUNT; type++) {
        const yami_frame_rule_t *rule = &yami_frame_rules[type];
        char required[LINE_SIZE / 4];
        char optional[LINE_SIZE / 4];
        s_list(rule->required, required, sizeof required);
        s_list(rule->optional, optional, sizeof optional);
        bool is_there = false;
        for (size_t sender = 0; sender < 3; sender++) {
            char line[LINE_SIZE];
            snprintf(line, sizeof line, "\n| %zu | %s | %s | %s | %s | %s |\n", type, rule->name,
                     senders[sender], handles[rule->handle], required, optional);
            is_there = is_there || strstr(s_spec, line) != NULL;
        }
        if (!is_there) {
            fail_msg(SPEC ": the line of %s is not: handle %s, %s, %s", rule->name,
                     handles[rule->handle], required, optional);
        }
    }
    char line[LINE_SIZE];
    snprintf(line, sizeof line, "| %d | ", YAMI_FRAME_TYPE_COUNT);
    assert_null(strstr(strstr(s_spec, "### 5.2"), line)); //  nor one type more than there is
}

static void
test_each_status_is_documented_with_what_to_do(void **state)
{
    (void) state;
    for (unsigned number = YAM_STATUS_OK; number <= YAM_STATUS_INTERNAL; number++) {
        yam_status_t status = (yam_status_t) number;
        char line[LINE_SIZE];
        snprintf(line, sizeof line, "| %u | `%s` | %s | ", number, yam_status_name(status),
                 status == YAM_STATUS_GAP          ? "resend"
                 : yam_status_is_temporary(status) ? "later"
                                                   : "no");
        s_expect_line(line);
    }
    assert_string_equal(yam_status_name((yam_status_t) (YAM_STATUS_INTERNAL + 1)),
                        "unknown-status");
}

static void
test_each_level_is_documented(void **state)
{
    (void) state;
    for (unsigned level = YAM_LEVEL_NONE; level <= YAM_LEVEL_REPLICATED; level++) {
        char line[LINE_SIZE];
        snprintf(line, sizeof line, "| %u | `%s` | ", level, yam_level_name((yam_level_t) level));
        s_expect_line(line);
    }
}

#define LIMIT(name)                                                                                \
    {                                                                                              \
#name, YAMI_LIMIT_##name, true                                                             \
    }
#define OTHER_LIMIT(name)                                                                          \
    {                                                                                              \
#name, YAMI_LIMIT_##name, false                                                            \
    }

static const struct {
    const char *name;
    uint64_t value;
    bool is_protocol; //  of the relay: its SPEC has it
} s_limits[] = {
    // clang-format off
    LIMIT(BODY), LIMIT(PROPERTIES), LIMIT(PROPERTY_COUNT), LIMIT(FRAME), LIMIT(BATCH_COUNT), LIMIT(RUNS),
    LIMIT(CONTROL), LIMIT(REPLY), LIMIT(RANGES), LIMIT(NAME), LIMIT(DELAYED_NAME), LIMIT(ID),
    LIMIT(SUBJECT), LIMIT(SUBJECT_WORDS), LIMIT(TEXT), LIMIT(REASON), LIMIT(PRIORITY), LIMIT(DEPTH),
    LIMIT(HEARTBEAT_MS), LIMIT(LEASE_MS), LIMIT(RETRY_MS), LIMIT(CONNECTIONS), LIMIT(GREETING_MS),
    LIMIT(GOODBYES), LIMIT(PARTS), LIMIT(UNTAKEN_BYTES), LIMIT(UNTAKEN_TOTAL), LIMIT(UNSENT_BYTES),
    LIMIT(UNSENT_TOTAL), LIMIT(UNSENT_SHARE), LIMIT(UNSENT_MOST), LIMIT(UNSENT_FRAMES),
    LIMIT(ERRORS), LIMIT(STALE_RANGES), LIMIT(ADMIN_ROWS), LIMIT(ADMIN_REQUESTS), LIMIT(HANDLES),
    LIMIT(PEERS), LIMIT(CHANNELS), LIMIT(GROUPS), LIMIT(PRODUCERS), LIMIT(IN_FLIGHT), LIMIT(PIECES),
    LIMIT(WAITING), LIMIT(WAITING_BYTES), LIMIT(DELAYED), LIMIT(WINDOW_MESSAGES),
    LIMIT(WINDOW_BYTES), LIMIT(SEQUENCE), LIMIT(TIME_MS), OTHER_LIMIT(PREFIXES), OTHER_LIMIT(GAPS),
    OTHER_LIMIT(CORRELATION), OTHER_LIMIT(ENTRY_META), OTHER_LIMIT(ENTRY_DATA),
    OTHER_LIMIT(OWN_META), OTHER_LIMIT(HANDSHAKE_MS), OTHER_LIMIT(STUCK_MS), OTHER_LIMIT(BACKLOG),
    OTHER_LIMIT(AHEAD), OTHER_LIMIT(ROUTING_ID), OTHER_LIMIT(LOG_LINES), OTHER_LIMIT(EXCESS_LEASES),
    OTHER_LIMIT(EXCESS_BYTES), OTHER_LIMIT(CHECK_MS), OTHER_LIMIT(ROUND), OTHER_LIMIT(CALLS),
    OTHER_LIMIT(SERVICES), OTHER_LIMIT(JOURNAL_META), OTHER_LIMIT(SEGMENT_BYTES),
    OTHER_LIMIT(SEGMENTS), OTHER_LIMIT(SPARES), OTHER_LIMIT(BAD_RANGES), OTHER_LIMIT(DAMAGES),
    OTHER_LIMIT(TOLD_RANGES), OTHER_LIMIT(ADDRESSES), OTHER_LIMIT(ADDRESS),
    OTHER_LIMIT(OPTION_NAME), OTHER_LIMIT(OPTION_VALUE), OTHER_LIMIT(OPTION_LIST),
    OTHER_LIMIT(DELAYS), OTHER_LIMIT(CONFIG_LINE), OTHER_LIMIT(CLASS_OPTIONS),
    OTHER_LIMIT(FORMAT_NAME), OTHER_LIMIT(OPERANDS),
    // clang-format on
};

//  As documents write it: lower case, with hyphens.
static void
s_limit_name(size_t index, char *name, size_t size)
{
    const char *from = s_limits[index].name;
    assert_true(strlen(from) < size);
    for (; *from != 0; from++) {
        *name++ = *from == '_' ? '-' : (char) tolower(*from);
    }
    *name = 0;
}

static void
test_each_limit_is_documented_with_its_value(void **state)
{
    (void) state;
    for (size_t index = 0; index < sizeof s_limits / sizeof s_limits[0]; index++) {
        char name[LINE_SIZE / 4];
        char line[LINE_SIZE];
        s_limit_name(index, name, sizeof name);
        snprintf(line, sizeof line, "| %s | %" PRIu64 " | ", name, s_limits[index].value);
        if (s_limits[index].is_protocol) {
            s_expect_line(line);
        }
    }
}

//  SECURITY.md, too: what it promises is what the code keeps.
static void
test_each_limit_is_in_the_security_page(void **state)
{
    (void) state;
    char *page = s_load("SECURITY.md");
    for (size_t index = 0; index < sizeof s_limits / sizeof s_limits[0]; index++) {
        char name[LINE_SIZE / 4];
        char line[LINE_SIZE];
        s_limit_name(index, name, sizeof name);
        snprintf(line, sizeof line, "\n| %s | %" PRIu64 " | ", name, s_limits[index].value);
        if (strstr(page, line) == NULL) {
            fail_msg("SECURITY.md has no line that begins with: %s", line + 1);
        }
    }
    free(page);
}

//  A limit added to the header must come into the table above, and so into the document.
static void
test_no_limit_of_the_header_is_left_out(void **state)
{
    (void) state;
    char *header = s_load("lib/base/yami_limits.h");
    size_t count = 0;
    for (char *at = header; (at = strstr(at, "#define YAMI_LIMIT_")) != NULL; at++) {
        count++;
    }
    assert_int_equal(count, sizeof s_limits / sizeof s_limits[0]);
    free(header);
}

//  Only the hexadecimal digits of a text, comments left out where asked.
static char *
s_digits(const char *text, bool has_comments)
{
    char *digits = calloc(1, strlen(text) + 1);
    size_t used = 0;
    bool is_comment = false;
    for (; *text != 0; text++) {
        is_comment = *text == '\n' ? false : is_comment || (has_comments && *text == '#');
        if (!is_comment && !isspace((unsigned char) *text)) {
            digits[used++] = *text;
        }
    }
    return digits;
}

static void
test_the_example_is_made_of_golden_bytes(void **state)
{
    (void) state;
    static const char *const names[] = {"hello",       "welcome", "attach-producer", "attached",
                                        "batch-plain", "confirm", "deliver",         "ack"};
    char *spec = s_digits(s_spec, false);
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char path[LINE_SIZE];
        snprintf(path, sizeof path, "tests/vectors/%s.hex", names[index]);
        char *file = s_load(path);
        char *digits = s_digits(file, true);
        assert_true(strlen(digits) >= 2 * YAMI_FRAME_HEADER_SIZE);
        if (strstr(spec, digits) == NULL) {
            fail_msg("the bytes of %s are not in the example of " SPEC, path);
        }
        free(digits);
        free(file);
    }
    free(spec);
}

static int
s_setup(void **state)
{
    (void) state;
    s_spec = s_load(SPEC);
    return 0;
}

static int
s_teardown(void **state)
{
    (void) state;
    free(s_spec);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_field_is_documented_with_type_and_range),
        cmocka_unit_test(test_each_frame_type_is_documented_with_its_fields),
        cmocka_unit_test(test_each_status_is_documented_with_what_to_do),
        cmocka_unit_test(test_each_level_is_documented),
        cmocka_unit_test(test_each_limit_is_documented_with_its_value),
        cmocka_unit_test(test_each_limit_is_in_the_security_page),
        cmocka_unit_test(test_no_limit_of_the_header_is_left_out),
        cmocka_unit_test(test_the_example_is_made_of_golden_bytes),
    };
    return cmocka_run_group_tests(tests, s_setup, s_teardown);
}
