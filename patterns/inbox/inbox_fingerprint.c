//  yam_inbox - what a message says, in 32 bytes. See yami_inbox.h and SPEC.md, section 1.

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "yami_base.h"
#include "yami_bytes.h"
#include "yami_inbox.h"
#include "yami_properties.h"

//  Whether a property is part of what a message says. Relays add theirs to dead letters, and a
//  trace differs each time the same thing is sent.
static bool
s_is_content(const yami_property_t *property)
{
    return !yami_slice_equal(property->name, "trace") &&
           !(property->name.size >= 4 && memcmp(property->name.data, "yam-", 4) == 0);
}

static void
s_hash_slice(crypto_generichash_state *state, yami_slice_t slice)
{
    uint8_t size[8];
    yami_put_u64(size, slice.size); //  so that "ab","c" is not "a","bc"
    (void) crypto_generichash_update(state, size, sizeof size);
    (void) crypto_generichash_update(state, slice.data, slice.size);
}

int
yami_inbox_fingerprint(const yami_record_t *record, uint8_t fingerprint[YAM_INBOX_FINGERPRINT])
{
    crypto_generichash_state state;
    (void) crypto_generichash_init(&state, NULL, 0, YAM_INBOX_FINGERPRINT);
    s_hash_slice(&state, record->body);
    yami_properties_t walk;
    yami_property_t property;
    int rc = yami_properties_start(&walk, record->properties);
    while (rc == 0 && (rc = yami_properties_next(&walk, &property)) == 1) {
        rc = 0;
        if (s_is_content(&property)) {
            uint8_t number[8];
            yami_put_u64(number, (uint64_t) property.number);
            bool is_text = property.type == 's' || property.type == 'x';
            s_hash_slice(&state, property.name);
            s_hash_slice(&state, yami_slice(&property.type, 1));
            s_hash_slice(&state, is_text ? property.text : yami_slice(number, sizeof number));
        }
    }
    (void) crypto_generichash_final(&state, fingerprint, YAM_INBOX_FINGERPRINT);
    return rc == -1 ? yami_fail(EINVAL, "the message's properties are malformed") : 0;
}

void
yami_inbox_fingerprint_content(const void *content, size_t size,
                               uint8_t fingerprint[YAM_INBOX_FINGERPRINT])
{
    (void) crypto_generichash(fingerprint, YAM_INBOX_FINGERPRINT, content, size, NULL, 0);
}
