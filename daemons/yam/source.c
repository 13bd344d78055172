#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "yami_base.h"
#include "yami_limits.h"

#define S_FIRST_BYTES 65536

int
cli_source_open(cli_source_t *self, const char *path, int separator, bool is_whole, int64_t count)
{
    bool is_stdin = !*path || strcmp(path, "-") == 0;
    *self = (cli_source_t) {.separator = separator, .is_whole = is_whole};
    self->left = is_whole ? 1 : (count < 0 ? INT64_MAX : count);
    self->file = is_stdin ? stdin : fopen(path, "re");
    if (!self->file) {
        return yami_fail(errno, "cannot read %s: %s", path, strerror(errno));
    }
    struct stat status;
    if (fstat(fileno(self->file), &status) == 0 && S_ISDIR(status.st_mode)) {
        return yami_fail(EISDIR, "cannot read %s: %s", is_stdin ? "stdin" : path, strerror(EISDIR));
    }
    return 0;
}

int
cli_source_make(cli_source_t *self, int64_t count, int64_t size_bytes)
{
    *self = (cli_source_t) {.left = count, .size = (size_t) size_bytes};
    self->capacity = (size_t) size_bytes + 1;
    self->body = yami_try_alloc(self->capacity, YAMI_LIMIT_BODY + 1);
    if (!self->body) {
        return yami_fail(errno, "cannot make messages of %" PRId64 " bytes", size_bytes);
    }
    memset(self->body, '.', self->capacity);
    return 0;
}

static int
s_grow(cli_source_t *self, size_t needed)
{
    size_t least = needed < S_FIRST_BYTES ? S_FIRST_BYTES : needed;
    if (yami_grow(&self->body, &self->capacity, least, 1, YAMI_LIMIT_BODY) == 0) {
        return 0;
    }
    return yami_fail(EMSGSIZE, "message %" PRIu64 " is longer than %u MiB", self->number + 1,
                     YAMI_LIMIT_BODY >> 20);
}

//  Up to the separator, which is left out.
static int
s_read_piece(cli_source_t *self)
{
    int byte = 0;
    self->size = 0;
    while ((byte = getc_unlocked(self->file)) != EOF &&
           (self->is_whole || byte != self->separator)) {
        if (self->size + 1 > self->capacity && s_grow(self, self->size + 1) == -1) {
            return -1;
        }
        self->body[self->size++] = (char) byte;
    }
    if (byte == EOF && ferror(self->file) && !cli_is_stopped()) {
        return yami_fail(errno, "cannot read message %" PRIu64 ": %s", self->number + 1,
                         strerror(errno));
    }
    bool is_cut = byte == EOF && cli_is_stopped();
    bool is_end = byte == EOF && self->size == 0 && !self->is_whole;
    return is_cut || is_end ? 0 : 1;
}

int
cli_source_next(cli_source_t *self)
{
    int rc = 1;
    if (self->left == 0 || cli_is_stopped()) {
        return 0;
    }
    if (self->file) {
        rc = s_read_piece(self);
    } else {
        char number[24];
        int length = snprintf(number, sizeof number, "%" PRIu64 " ", self->number + 1);
        memcpy(self->body, number, (size_t) length < self->size ? (size_t) length : self->size);
    }
    if (rc == 1) {
        if (!self->body && s_grow(self, 1) == -1) {
            return -1;
        }
        self->left--;
        self->number++;
    }
    return rc;
}

void
cli_source_close(cli_source_t *self)
{
    if (self->file && self->file != stdin) {
        (void) fclose(self->file);
    }
    yami_free(self->body);
    *self = (cli_source_t) {0};
}
