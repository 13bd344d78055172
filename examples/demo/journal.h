//  journal - what the demo's programs note about each order, in a file mapped by all of them.
#ifndef JOURNAL_H
#define JOURNAL_H

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    _Atomic uint64_t hash;  //  of the body as sent / as first received
    _Atomic uint32_t count; //  times confirmed / received
    _Atomic uint32_t wrong; //  times received with another body
} demo_order_t;

typedef struct {
    _Atomic uint64_t distinct; //  orders with count > 0
    demo_order_t orders[];     //  by number, from 1
} demo_journal_t;

static inline demo_journal_t *
demo_journal_open(const char *path, unsigned long count)
{
    size_t size = sizeof(demo_journal_t) + (count + 1) * sizeof(demo_order_t);
    int file = open(path, O_RDWR | O_CREAT, 0600);
    void *map = MAP_FAILED;
    if (file != -1 && ftruncate(file, (off_t) size) == 0) {
        map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    }
    if (map == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    close(file);
    return map;
}

#endif
