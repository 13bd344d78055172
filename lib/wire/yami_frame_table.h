/*  yami_frame_table - the two tables that say what control frames are made of.

    Encoder, decoder and the test of patterns/relay/SPEC.md all read these and nothing else.
*/
#ifndef YAMI_FRAME_TABLE_H
#define YAMI_FRAME_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "yami_frame.h"

typedef enum {
    YAMI_FIELD_UINT,   //  uint64_t; minimum..maximum
    YAMI_FIELD_BOOL,   //  bool
    YAMI_FIELD_STR,    //  yami_slice_t, msgpack str of minimum..maximum bytes
    YAMI_FIELD_BIN,    //  yami_slice_t, msgpack bin of minimum..maximum bytes
    YAMI_FIELD_ID,     //  yami_id_t, msgpack bin of 16 bytes
    YAMI_FIELD_RANGES, //  flat array of token, first, last; minimum..maximum triples
} yami_field_type_t;

typedef struct {
    const char *key; //  as on the wire
    yami_field_type_t type;
    size_t offset; //  in yami_frame_t
    uint64_t bit;  //  in yami_frame_t.present
    uint64_t minimum;
    uint64_t maximum;
} yami_frame_field_t;

#define YAMI_FRAME_FIELD_COUNT 34
extern const yami_frame_field_t yami_frame_fields[YAMI_FRAME_FIELD_COUNT];

typedef enum {
    YAMI_HANDLE_NONE,     //  about the link: handle is 0
    YAMI_HANDLE_REQUIRED, //  about one attached channel: handle is not 0
    YAMI_HANDLE_ANY,
} yami_handle_rule_t;

typedef struct {
    const char *name; //  NULL: no such type
    yami_handle_rule_t handle;
    uint64_t required; //  YAMI_F_ bits
    uint64_t optional;
} yami_frame_rule_t;

#define YAMI_FRAME_TYPE_COUNT 22
//  By type number; number 0 is none.
extern const yami_frame_rule_t yami_frame_rules[YAMI_FRAME_TYPE_COUNT];

//  Fields that become required by another field's value: in frames of that type, when the uint
//  field with that bit is present and equals value.
typedef struct {
    uint8_t type;
    uint64_t bit;
    uint64_t value;
    uint64_t required;
} yami_frame_condition_t;

#define YAMI_FRAME_CONDITION_COUNT 2
extern const yami_frame_condition_t yami_frame_conditions[YAMI_FRAME_CONDITION_COUNT];

#endif
