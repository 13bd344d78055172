//  A daemon's file, from the descriptor it is opened by to the options its relay gets.

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/fuzz.h"
#include "options.h"
#include "yam_error.h"
#include "yam_relay_option.h"
#include "yami_base.h"

static void
s_changed(void *arg, const char *name, const char *value, bool is_class)
{
    (void) is_class;
    YAM_ASSERT(*name && value);
    ++*(unsigned *) arg;
}

static void
s_load(daemon_options_t *options)
{
    daemon_options_t before = *options;
    if (daemon_options_load(options) == -1) {
        YAM_ASSERT(*yam_error());
        unsigned changes = 0;
        daemon_options_compare(&before, options, s_changed, &changes);
        YAM_ASSERT(changes == 0); //  (2)
        return;
    }
    char text[16384];
    unsigned count = 0;
    (void) daemon_options_class(options, text, sizeof text);
    daemon_options_compare(options, &before, s_changed, &count);
    FILE *sink = fopen("/dev/null", "we");
    YAM_ASSERT(sink);
    daemon_options_dump(options, sink);
    (void) fclose(sink);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const yami_option_t none = {NULL, YAMI_OPTION_BOOL, 0, 0, 0, NULL, NULL, NULL, NULL};
    static const daemon_kind_t kind = {
        .name = "yamd", .letters = "c=config", .own = &none, .describe = yam_relay_option};
    static daemon_options_t options;
    char path[64], program[] = "yamd", option[] = "--config";
    int file = memfd_create("config", MFD_CLOEXEC);
    YAM_ASSERT(file >= 0);
    YAM_ASSERT(write(file, data, size) == (ssize_t) size);
    (void) snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    char *argv[] = {program, option, path, NULL};
    memset(&options, 0, sizeof options);
    YAM_ASSERT(daemon_options_parse(&options, &kind, 3, argv) == 0);
    s_load(&options);
    (void) close(file);
    return 0;
}
