//  Whole transfers of calls that may move a part. See yami_disk.h.

#include "yami_disk.h"

#include <errno.h>
#include <string.h>

#include "yami_base.h"
#include "yami_planted.h"

#define FILL_STEP ((uint64_t) 4 << 20) //  synced at once

int
yami_disk_write(yami_disk_t *self, int file, struct iovec *vector, int count, uint64_t offset)
{
    while (count > 0) {
        int64_t written = self->pwritev(self, file, vector, count, offset);
        if (written == -1 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            errno = written == 0 ? EIO : errno;
            return -1;
        }
        if (YAMI_PLANTED(PART_TAKEN_FOR_WHOLE)) {
            return 0;
        }
        offset += (uint64_t) written;
        size_t left = (size_t) written;
        while (count > 0 && left >= vector->iov_len) {
            left -= vector->iov_len;
            vector++;
            count--;
        }
        if (count > 0) {
            vector->iov_base = (uint8_t *) vector->iov_base + left;
            vector->iov_len -= left;
        }
    }
    return 0;
}

int
yami_disk_fill(yami_disk_t *self, int file, const uint8_t *bytes, size_t count, uint64_t size)
{
    for (uint64_t offset = 0; offset < size; offset += count) {
        uint64_t left = size - offset;
        struct iovec vector = {.iov_base = (void *) bytes,
                               .iov_len = left < count ? (size_t) left : count};
        if (yami_disk_write(self, file, &vector, 1, offset) == -1) {
            return -1;
        }
        bool is_step_done = (offset + count) % FILL_STEP == 0;
        if (is_step_done && self->sync_data(self, file) == -1) {
            return -1;
        }
    }
    return self->sync_file(self, file);
}

int64_t
yami_disk_read(yami_disk_t *self, int file, void *buffer, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        int64_t count =
            self->pread(self, file, (uint8_t *) buffer + done, size - done, offset + done);
        if (count == -1 && errno == EINTR) {
            continue;
        }
        if (count == -1) {
            return yami_fail(errno, "store: reading failed (%s)", strerror(errno));
        }
        if (count == 0) {
            break;
        }
        done += (size_t) count;
    }
    return (int64_t) done;
}
