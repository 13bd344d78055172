/*  The daemon that is measured, over a directory of its own. */
#include "bench.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPARE_COUNT 2 //  the daemon's default

void
bench_clear_directory(const char *path)
{
    char name[8192];
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory)) != NULL) {
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_type == DT_REG) {
            unlink(name);
        }
    }
    if (directory) {
        closedir(directory);
    }
}

static size_t
s_count_spares(const char *path)
{
    size_t count = 0;
    DIR *directory = opendir(path);
    struct dirent *entry;
    while (directory && (entry = readdir(directory)) != NULL) {
        count += strncmp(entry->d_name, "spare-", 6) == 0;
    }
    if (directory) {
        closedir(directory);
    }
    return count;
}

int
bench_start_relay(bench_process_t *process, const char *directory, char *endpoint, size_t size)
{
    char program[4096];
    char line[200];
    const char *programs = getenv("YAM_BIN");
    snprintf(program, sizeof program, "%s/yamd", programs && *programs ? programs : "build/bin");
    const char *argv[] = {program, "--listen", "tcp://127.0.0.1:*", "--store", directory, NULL};
    if (bench_exec(process, "relay", argv, "ready ", line, sizeof line) == -1) {
        return -1;
    }
    char *address = line + strspn(line, "@>");
    snprintf(endpoint, size, ">%.*s?grade=sure", (int) strcspn(address, ", ?"), address);
    for (int turn = 0; turn < 500 && s_count_spares(directory) < SPARE_COUNT; turn++) {
        bench_look_later(20000);
    }
    return 0;
}

double
bench_rss_mb(const bench_process_t *process)
{
    char path[64];
    char line[200] = "";
    snprintf(path, sizeof path, "/proc/%d/statm", (int) process->pid);
    FILE *file = fopen(path, "r");
    if (file && !fgets(line, sizeof line, file)) {
        line[0] = '\0';
    }
    if (file) {
        fclose(file);
    }
    const char *resident = strchr(line, ' '); //  behind the size of all
    unsigned long pages = resident ? strtoul(resident, NULL, 10) : 0;
    return (double) pages * (double) sysconf(_SC_PAGESIZE) / 1e6;
}
