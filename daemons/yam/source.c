#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "yami_base.h"
#include "yami_limits.h"

#define S_FIRST_BYTES 65536
#define S_INPUT_BYTES 65536

int
cli_source_open(cli_source_t *self, const char *path, int separator, bool is_whole, int64_t count)
{
    bool is_stdin = !*path || strcmp(path, "-") == 0;
    *self = (cli_source_t) {.separator = separator, .is_whole = is_whole};
    self->left = is_whole ? 1 : (count < 0 ? INT64_MAX : count);
    self->fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (self->fd == -1) {
        return yami_fail(errno, "cannot read %s: %s", path, strerror(errno));
    }
    struct stat status;
    if (fstat(self->fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        return yami_fail(EISDIR, "cannot read %s: %s", is_stdin ? "stdin" : path, strerror(EISDIR));
    }
    self->input = yami_alloc(S_INPUT_BYTES);
    return 0;
}

int
cli_source_make(cli_source_t *self, int64_t count, int64_t size_bytes)
{
    *self = (cli_source_t) {.is_made = true, .left = count, .size = (size_t) size_bytes};
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

//  Waits for more, or for a stop: a signal that comes before the read ends it, too. 1, 0 at the end
//  or when stopped, -1.
static int
s_fill(cli_source_t *self)
{
    ssize_t size = self->has_ended ? 0 : -1;
    while (size == -1) {
        cli_wait(self->fd, -1);
        size = cli_is_stopped() ? 0 : read(self->fd, self->input, S_INPUT_BYTES);
        if (size == -1 && errno != EINTR && errno != EAGAIN) {
            return -1;
        }
    }
    self->has_ended = size == 0;
    self->input_size = size > 0 ? (size_t) size : 0;
    self->input_at = 0;
    return size > 0 ? 1 : 0;
}

static int
s_byte(cli_source_t *self, int *rc_p)
{
    if (self->input_at == self->input_size && (*rc_p = s_fill(self)) != 1) {
        return EOF;
    }
    return (unsigned char) self->input[self->input_at++];
}

//  Up to the separator, which is left out.
static int
s_read_piece(cli_source_t *self)
{
    int byte = 0;
    int rc = 1;
    self->size = 0;
    while ((byte = s_byte(self, &rc)) != EOF && (self->is_whole || byte != self->separator)) {
        if (self->size + 1 > self->capacity && s_grow(self, self->size + 1) == -1) {
            return -1;
        }
        self->body[self->size++] = (char) byte;
    }
    if (rc == -1) {
        return yami_fail(errno, "cannot read message %" PRIu64 ": %s", self->number + 1,
                         strerror(errno));
    }
    self->is_cut = byte == EOF && cli_is_stopped(); //  or what writes to it was stopped, too
    bool is_end = byte == EOF && self->size == 0 && !self->is_whole;
    return self->is_cut || is_end ? 0 : 1;
}

int
cli_source_next(cli_source_t *self)
{
    int rc = 1;
    self->is_cut = self->left > 0 && cli_is_stopped();
    if (self->left == 0 || self->is_cut) {
        return 0;
    }
    if (!self->is_made) {
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
    if (self->fd > STDIN_FILENO) {
        (void) close(self->fd);
    }
    yami_free(self->input);
    yami_free(self->body);
    *self = (cli_source_t) {0};
}
