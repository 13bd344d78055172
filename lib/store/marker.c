//  Written once in a store's life.

#include "yami_marker.h"

#include <errno.h>

#include "yami_segment_format.h"

static int
s_open(yami_disk_t *disk)
{
    int file = disk->open(disk, YAMI_MARKER_NAME, true, false);
    bool is_left = file == -1 && errno == EEXIST; //  by one that failed
    return is_left ? disk->open(disk, YAMI_MARKER_NAME, false, false) : file;
}

int
yami_marker_write(yami_disk_t *disk)
{
    char text[] =
        "A log of Yam, which has had entries. Without this file a directory whose segments\n"
        "are gone or empty would be taken for a new one.\n";
    int file = s_open(disk);
    if (file == -1) {
        return -1;
    }
    struct iovec vector = {.iov_base = text, .iov_len = sizeof text - 1};
    int rc = yami_disk_write(disk, file, &vector, 1, 0);
    rc = rc == 0 ? disk->sync_file(disk, file) : rc;
    int error = errno;
    (void) disk->close(disk, file);
    errno = error;
    return rc == 0 ? disk->sync_directory(disk) : -1;
}
