//  yamd's file, from the descriptor it is opened by to the options a relay gets.

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/fuzz.h"
#include "options.h"
#include "yam_error.h"
#include "yami_base.h"

static void
s_changed(void *arg, const char *name, const char *value, bool is_relays)
{
    (void) is_relays;
    YAM_ASSERT(*name && value);
    ++*(unsigned *) arg;
}

static void
s_load(yamd_options_t *options)
{
    yamd_options_t before = *options;
    if (yamd_options_load(options) == -1) {
        YAM_ASSERT(*yam_error());
        unsigned changes = 0;
        yamd_options_compare(&before, options, s_changed, &changes);
        YAM_ASSERT(changes == 0); //  (2)
        return;
    }
    char text[16384];
    unsigned count = 0;
    (void) yamd_options_relay(options, text, sizeof text);
    yamd_options_compare(options, &before, s_changed, &count);
    FILE *sink = fopen("/dev/null", "we");
    YAM_ASSERT(sink);
    yamd_options_dump(options, sink);
    (void) fclose(sink);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static yamd_options_t options;
    char path[64], program[] = "yamd", option[] = "--config";
    int file = memfd_create("config", MFD_CLOEXEC);
    YAM_ASSERT(file >= 0);
    YAM_ASSERT(write(file, data, size) == (ssize_t) size);
    (void) snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    char *argv[] = {program, option, path, NULL};
    memset(&options, 0, sizeof options);
    YAM_ASSERT(yamd_options_parse(&options, 3, argv) == 0);
    s_load(&options);
    (void) close(file);
    return 0;
}
