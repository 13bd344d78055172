//  stanza - what the demo sends: numbered stanzas of a file, told apart by a hash.
#ifndef STANZA_H
#define STANZA_H

#include <sodium.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define DEMO_REJECT_EVERY 142857 //  orders with such numbers are bad, and rejected

//  Order number with the next stanza of file, which ends at an empty line; the first follows the
//  last.
static inline size_t
demo_order_write(char *body, size_t limit, unsigned long number, FILE *file)
{
    size_t size = (size_t) snprintf(body, limit, "Order: %lu\n", number);
    while (size < limit && fgets(body + size, (int) (limit - size), file) != NULL &&
           body[size] != '\n') {
        size += strlen(body + size);
    }
    if (feof(file)) {
        rewind(file);
    }
    return size;
}

static inline uint64_t
demo_hash(const void *body, size_t size)
{
    static const unsigned char key[crypto_shorthash_KEYBYTES];
    uint64_t hash;
    crypto_shorthash((unsigned char *) &hash, body, size, key);
    return hash;
}

#endif
