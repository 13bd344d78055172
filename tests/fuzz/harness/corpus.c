//  main of a fuzz program without libFuzzer: runs every file of its corpus, or the files it is
//  given.
//
//  FUZZ [FILE]...   run from the top of the tree; fuzz_x has its corpus in tests/fuzz/corpus/x.

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fuzz.h"
#include "yami_base.h"

#define FOLDER "tests/fuzz/corpus/"
#define FILE_LIMIT ((size_t) 1 << 20)

static int
s_run(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        (void) fprintf(stderr, "cannot read %s: %s\n", path, strerror(errno));
        return -1;
    }
    uint8_t *bytes = yami_alloc(FILE_LIMIT);
    size_t size = fread(bytes, 1, FILE_LIMIT, file);
    (void) fclose(file);
    uint8_t *data = fuzz_copy(bytes, size); //  so that reading past the end is seen
    yami_free(bytes);
    (void) LLVMFuzzerTestOneInput(data, size);
    yami_free(data);
    return 0;
}

//  How many files were run; -1 when the corpus cannot be read.
static int
s_run_corpus(const char *name)
{
    char folder[256];
    (void) snprintf(folder, sizeof folder, FOLDER "%s", name);
    DIR *directory = opendir(folder);
    if (!directory) {
        (void) fprintf(stderr, "cannot read %s: %s\n", folder, strerror(errno));
        return -1;
    }
    int count = 0;
    struct dirent *item = NULL;
    while ((item = readdir(directory))) { // NOLINT(concurrency-mt-unsafe)
        char path[600];
        (void) snprintf(path, sizeof path, "%s/%s", folder, item->d_name);
        if (item->d_name[0] != '.') {
            (void) fprintf(stderr, "%s\n", path); //  what fails is the last one named
            count += s_run(path) == 0 ? 1 : 0;
        }
    }
    (void) closedir(directory);
    return count;
}

int
main(int argc, char **argv)
{
    const char *name = strrchr(argv[0], '/');
    name = name ? name + 1 : argv[0];
    int failed = 0;
    for (int index = 1; index < argc; index++) {
        failed += s_run(argv[index]) == 0 ? 0 : 1;
    }
    if (argc == 1) {
        int count = s_run_corpus(strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
        failed = count > 0 ? 0 : 1;
        printf("%sok 1 - %s: %d files\n", failed ? "not " : "", name, count);
    }
    return failed ? 1 : 0;
}
