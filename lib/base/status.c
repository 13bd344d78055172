//  The one table between status codes, their names and errno.

#include <errno.h>
#include <stddef.h>

#include "yam_status.h"

typedef struct {
    const char *name;
    int error;         //  errno for API calls
    bool is_temporary; //  the same request may succeed later
} s_status_t;

static const s_status_t s_statuses[] = {
    [YAM_STATUS_OK] = {"ok", 0, false},
    [YAM_STATUS_FULL] = {"full", EAGAIN, true},
    [YAM_STATUS_TOO_BIG] = {"too-big", EMSGSIZE, false},
    [YAM_STATUS_DISK] = {"disk", ENOSPC, true},
    [YAM_STATUS_NOT_ALLOWED] = {"not-allowed", EACCES, false},
    [YAM_STATUS_CONFLICT] = {"conflict", EEXIST, false},
    [YAM_STATUS_CLOSING] = {"closing", ESHUTDOWN, true},
    [YAM_STATUS_STORAGE_FAILED] = {"storage-failed", EIO, false},
    [YAM_STATUS_GAP] = {"gap", EILSEQ, false},
    [YAM_STATUS_FENCED] = {"fenced", ESTALE, false},
    [YAM_STATUS_MALFORMED] = {"malformed", EPROTO, false},
    [YAM_STATUS_VERSION] = {"version", EPROTONOSUPPORT, false},
    [YAM_STATUS_UNKNOWN] = {"unknown", ENOENT, false},
    [YAM_STATUS_NO_SESSION] = {"no-session", ENOTCONN, false},
    [YAM_STATUS_LIMIT] = {"limit", EUSERS, true},
    [YAM_STATUS_TIMEOUT] = {"timeout", ETIMEDOUT, false},
    [YAM_STATUS_INTERNAL] = {"internal", ENOTRECOVERABLE, false},
};

static const char *const s_levels[] = {
    [YAM_LEVEL_NONE] = "none",
    [YAM_LEVEL_RECEIVED] = "received",
    [YAM_LEVEL_WRITTEN] = "written",
    [YAM_LEVEL_SYNCED] = "synced",
    [YAM_LEVEL_REPLICATED] = "replicated",
};

//  A peer chose the number: one we do not know reads as a fault that stays.
static const s_status_t *
s_find(yam_status_t status)
{
    static const s_status_t unknown = {"unknown-status", EPROTO, false};
    size_t index = (size_t) status;
    return index < sizeof s_statuses / sizeof s_statuses[0] ? &s_statuses[index] : &unknown;
}

const char *
yam_status_name(yam_status_t status)
{
    return s_find(status)->name;
}

bool
yam_status_is_temporary(yam_status_t status)
{
    return s_find(status)->is_temporary;
}

int
yam_status_errno(yam_status_t status)
{
    return s_find(status)->error;
}

const char *
yam_level_name(yam_level_t level)
{
    size_t index = (size_t) level;
    return index < sizeof s_levels / sizeof s_levels[0] ? s_levels[index] : "unknown-level";
}
