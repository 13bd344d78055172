//  zconfig keeps no line numbers and complains on stdout. So it is handed one line at a time, after
//  a look at what it would complain about.

#include "config.h"

#include <ctype.h>
#include <czmq.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_limits.h"

//  Whether what follows a name or a quoted value is nothing but a comment.
static bool
s_is_end(const char *text)
{
    text += strspn(text, " \t");
    return !*text || *text == '#';
}

//  "" when zconfig will read the line, otherwise what is wrong with it.
static const char *
s_complaint(const char *line)
{
    size_t indent = strspn(line, " \t");
    if (s_is_end(line)) {
        return "";
    }
    if (indent > 0) {
        return "the line is indented, but options stand at its start (there are no sections)";
    }
    while (isalnum((unsigned char) *line) || (*line && strchr("-_./", *line))) {
        line++;
    }
    line += strspn(line, " \t");
    if (*line != '=') {
        return "expected 'name = value'";
    }
    line++;
    line += strspn(line, " \t");
    if (*line == '"' || *line == '\'') {
        const char *end = strchr(line + 1, *line);
        return !end ? "the closing quote is missing"
                    : (s_is_end(end + 1) ? "" : "there is text behind the closing quote");
    }
    return "";
}

static int
s_take_line(const char *line, daemon_config_fn set, void *arg)
{
    const char *complaint = s_complaint(line);
    if (*complaint) {
        return yami_fail(EINVAL, "%s", complaint);
    }
    if (s_is_end(line)) {
        return 0;
    }
    zconfig_t *root = zconfig_str_load(line);
    zconfig_t *item = root ? zconfig_child(root) : NULL;
    int rc = item ? set(arg, zconfig_name(item), zconfig_value(item) ? zconfig_value(item) : "")
                  : yami_fail(EINVAL, "expected 'name = value'");
    int error = errno;
    zconfig_destroy(&root);
    errno = error;
    return rc;
}

//  One line without its end. 1, 0 at the end of the file, or -1 with errno EINVAL and a sentence.
static int
s_read_line(FILE *file, char *line)
{
    size_t size = 0;
    int byte;
    while ((byte = getc_unlocked(file)) != EOF && byte != '\n') {
        bool is_text = byte >= 0x20 ? byte != 0x7f : byte == '\t' || byte == '\r';
        if (!is_text) {
            return yami_fail(EINVAL, "byte %zu is 0x%02x, and no text", size + 1, (unsigned) byte);
        }
        if (size == YAMI_LIMIT_CONFIG_LINE) {
            return yami_fail(EINVAL, "the line is longer than %u bytes", YAMI_LIMIT_CONFIG_LINE);
        }
        line[size++] = (char) byte;
    }
    while (size > 0 && (line[size - 1] == '\r' || line[size - 1] == ' ')) {
        size--; //  a carriage return counts as blank
    }
    line[size] = '\0';
    return byte == EOF && size == 0 ? 0 : 1;
}

int
daemon_config_read(const char *path, daemon_config_fn set, void *arg)
{
    char line[YAMI_LIMIT_CONFIG_LINE + 1] = "";
    FILE *file = fopen(path, "re");
    if (!file) {
        return yami_fail(errno, "cannot read %s: %s (see --config)", path, strerror(errno));
    }
    int rc = 1;
    for (int number = 1; rc == 1; number++) {
        rc = s_read_line(file, line);
        if (rc == 1 && s_take_line(line, set, arg) == -1) {
            rc = -1;
        }
        if (rc == -1) {
            char sentence[512];
            (void) snprintf(sentence, sizeof sentence, "%s", yam_error());
            rc = yami_fail(errno, "%s:%d: %s", path, number, sentence);
        }
    }
    if (rc == 0 && ferror(file)) {
        rc = yami_fail(errno, "cannot read %s: %s", path, strerror(errno));
    }
    int error = errno;
    (void) fclose(file);
    errno = error;
    return rc;
}
