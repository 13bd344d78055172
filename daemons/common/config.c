//  zconfig keeps no line numbers and complains on stdout. So it is handed one line at a time, after
//  a look at what it would complain about.

#include "config.h"

#include <ctype.h>
#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yami_base.h"

#define S_LINE_LIMIT 4096

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

//  Without the trailing newline; a carriage return before it counts as blank.
static void
s_trim(char *line)
{
    size_t length = strcspn(line, "\n");
    while (length > 0 && (line[length - 1] == '\r' || line[length - 1] == ' ')) {
        length--;
    }
    line[length] = '\0';
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

//  A NUL or a line that never ends is no text file.
static int
s_check_line(const char *line, FILE *file)
{
    bool is_whole = strchr(line, '\n') || feof(file);
    return is_whole ? 0 : yami_fail(EINVAL, "the line is longer than %d bytes", S_LINE_LIMIT - 2);
}

int
daemon_config_read(const char *path, daemon_config_fn set, void *arg)
{
    char line[S_LINE_LIMIT];
    FILE *file = fopen(path, "re");
    if (!file) {
        return yami_fail(errno, "cannot read %s: %s (see --config)", path, strerror(errno));
    }
    int rc = 0;
    for (int number = 1; rc == 0 && fgets(line, sizeof line, file); number++) {
        rc = s_check_line(line, file);
        s_trim(line);
        if (rc == 0) {
            rc = s_take_line(line, set, arg);
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
