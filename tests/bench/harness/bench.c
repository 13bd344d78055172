#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static struct {
    const char *workload;
    FILE *lines; //  the .jsonl
    bool had_void;
} s_bench;

static const char *
s_setting(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

void
bench_fail(const char *format, ...)
{
    int error = errno;
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", s_bench.workload ? s_bench.workload : "bench");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, " (%s)\n", strerror(error));
    va_end(arguments);
    exit(1);
}

//  ---- Settings

static void
s_make_directory(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        (void) mkdir(path, 0777); //  an error shows when a file is opened in it
        *slash = '/';
    }
    (void) mkdir(path, 0777);
}

char *
bench_path(const char *name)
{
    char directory[4096];
    const char *build = s_setting("YAM_BUILD");
    const char *given = s_setting("BENCH_DIR");
    snprintf(directory, sizeof directory, "%s%s",
             given   ? given
             : build ? build
                     : "build",
             given ? "" : "/bench/data");
    s_make_directory(directory);
    char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, name) == -1) {
        bench_fail("out of memory");
    }
    return path;
}

void
bench_start(const char *workload)
{
    const char *build = s_setting("YAM_BUILD");
    char path[4096];
    const char *given = s_setting("BENCH_WORKLOAD");
    workload = given ? given : workload;
    s_bench.workload = workload;
    snprintf(path, sizeof path, "%s/bench", build ? build : "build");
    s_make_directory(path);
    snprintf(path, sizeof path, "%s/bench/%s.jsonl", build ? build : "build", workload);
    s_bench.lines = fopen(path, "a");
    if (!s_bench.lines) {
        bench_fail("cannot write %s", path);
    }
    fprintf(stderr, "%-34s %8s %12s %9s %9s %9s %8s %8s %7s\n", workload, "bytes", "messages/s",
            "MB/s", "p50 us", "p99 us", "syncs", "us/msg", "MB");
}

bool
bench_wants(const char *setting, const char *name)
{
    const char *list = s_setting(setting);
    if (!list) {
        return true;
    }
    size_t length = strlen(name);
    for (const char *item = list; item; item = strchr(item, ',')) {
        item += *item == ',';
        if (strncmp(item, name, length) == 0 && (item[length] == ',' || item[length] == 0)) {
            return true;
        }
    }
    return false;
}

size_t
bench_sizes(size_t *sizes, size_t limit, const size_t *defaults)
{
    size_t count = 0;
    const char *list = s_setting("SIZES");
    if (!list) {
        for (; count < limit && defaults[count] > 0; count++) {
            sizes[count] = defaults[count];
        }
        return count;
    }
    char *end = NULL;
    for (const char *item = list; count < limit; item = end + 1) {
        size_t size = strtoul(item, &end, 10);
        if (end == item || size < BENCH_BODY_MIN || size > BENCH_BODY_MAX) {
            errno = EINVAL;
            bench_fail("SIZES: '%s' is not %d..%u bytes", item, BENCH_BODY_MIN, BENCH_BODY_MAX);
        }
        sizes[count++] = size;
        if (*end != ',') {
            break;
        }
    }
    return count;
}

bool
bench_is_quick(void)
{
    return s_setting("QUICK") != NULL;
}

uint64_t
bench_messages(uint64_t full)
{
    const char *given = s_setting("MSGS");
    if (given) {
        uint64_t count = strtoull(given, NULL, 10);
        return count > 0 ? count : 1;
    }
    return bench_is_quick() ? full / 5 : full;
}

int
bench_finish(void)
{
    fclose(s_bench.lines);
    return s_bench.had_void ? 1 : 0;
}

int
bench_main(const char *workload, const size_t *defaults, void (*measure)(size_t size))
{
    size_t sizes[16];
    bench_start(workload);
    size_t size_count = bench_sizes(sizes, 16, defaults);
    for (size_t index = 0; index < size_count; index++) {
        measure(sizes[index]);
    }
    return bench_finish();
}

//  ---- Clock

int64_t
bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

void
bench_wait_until_ns(int64_t when_ns)
{
    int64_t sleep_ns = when_ns - 100000;
    struct timespec when = {.tv_sec = sleep_ns / 1000000000, .tv_nsec = sleep_ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL) == EINTR) {
    }
    while (bench_now_ns() < when_ns) {
    }
}

void
bench_look_later(int64_t pause_us)
{
    struct timespec pause = {.tv_sec = pause_us / 1000000, .tv_nsec = pause_us % 1000000 * 1000};
    (void) clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
}

//  ---- Reports

void
bench_extra(bench_result_t *result, const char *format, ...)
{
    size_t used = strlen(result->extra);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(result->extra + used, sizeof result->extra - used, format, arguments);
    va_end(arguments);
}

void
bench_add_processes(bench_result_t *result, const bench_process_t *processes, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        const bench_process_t *process = &processes[index];
        result->cpu_us += process->cpu_us;
        result->rss_mb += process->rss_mb;
        bench_extra(result, ", \"%s_cpu_us_per_msg\": %.4f, \"%s_rss_mb\": %.1f", process->name,
                    process->cpu_us / (double) result->message_count, process->name,
                    process->rss_mb);
    }
}

//  A JSON number, or null when there was nothing to measure.
static const char *
s_quantile(const bench_result_t *result, unsigned permille, char text[32])
{
    if (!result->latency || result->latency->count == 0) {
        return "null";
    }
    snprintf(text, 32, "%.1f", (double) yami_histogram_quantile(result->latency, permille) / 1e3);
    return text;
}

static void
s_print_line(FILE *stream, const bench_result_t *result, double per_second, const char *p50,
             const char *p99, const char *p999)
{
    fprintf(stream,
            "{\"workload\": \"%s\", \"system\": \"%s\", \"size\": %zu, \"phase\": \"%s\", "
            "\"msgs\": %" PRIu64 ", \"msgs_per_s\": %.1f, \"mb_per_s\": %.3f, \"p50_us\": %s, "
            "\"p99_us\": %s, \"p999_us\": %s, \"syncs\": %" PRIu64 ", \"cpu_us_per_msg\": %.4f, "
            "\"rss_mb\": %.1f, \"seconds\": %.4f%s%s}\n",
            s_bench.workload, result->system, result->size, result->phase, result->message_count,
            per_second, per_second * (double) result->size / 1e6, p50, p99, p999,
            result->sync_count, result->cpu_us / (double) result->message_count, result->rss_mb,
            result->seconds, result->is_void ? ", \"void\": true" : "", result->extra);
    fflush(stream);
}

void
bench_report(const bench_result_t *result)
{
    char texts[3][32];
    char label[64];
    const char *p50 = s_quantile(result, 500, texts[0]);
    const char *p99 = s_quantile(result, 990, texts[1]);
    const char *p999 = s_quantile(result, 999, texts[2]);
    double per_second =
        (double) result->message_count / (result->seconds > 0 ? result->seconds : 1e-6);
    s_bench.had_void |= result->is_void;
    s_print_line(stdout, result, per_second, p50, p99, p999);
    s_print_line(s_bench.lines, result, per_second, p50, p99, p999);
    snprintf(label, sizeof label, "%s %s", result->system, result->phase);
    if (result->is_void) {
        fprintf(stderr, "%-34s %8zu void\n", label, result->size);
        return;
    }
    fprintf(stderr, "%-34s %8zu %12.0f %9.1f %9s %9s %8" PRIu64 " %8.3f %7.0f\n", label,
            result->size, per_second, per_second * (double) result->size / 1e6, p50, p99,
            result->sync_count, result->cpu_us / (double) result->message_count, result->rss_mb);
}
