/*  yami_callback_wire - what producers, consumers and callback services tell each other: messages
    whose properties say all, and whose bodies are empty. See SPEC.md, section "Messages".

    Reading is total: any message gives a valid value, or EPROTO and a sentence.
*/
#ifndef YAMI_CALLBACK_WIRE_H
#define YAMI_CALLBACK_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "yam_callback.h"
#include "yam_callback_db.h"

//  0, or -1 with errno EINVAL and a sentence: an id is 1 to 200 bytes of UTF-8 without control
//  characters.
int
yami_callback_id_check(const char *id);

//  The id and round (0 when it says none) of a message that is sent or confirmed. 0, or -1 with
//  errno EINVAL and a sentence. id has YAM_CALLBACK_ID + 1 bytes.
int
yami_callback_identify(const yam_message_t *message, char *id, uint32_t *round);

//  Each builds a message, which the caller owns; NULL with errno ENOMEM. Of row, id, queue, service
//  and delay_ms are said; a call also says round + 1, the round it asks for.
yam_message_t *
yami_callback_check_build(const yam_case_t *row);
yam_message_t *
yami_callback_confirm_build(const yam_case_confirm_t *confirm);
yam_message_t *
yami_callback_call_build(const yam_case_t *row);
yam_message_t *
yami_callback_answer_build(yam_callback_answer_t answer, const char *note);

//  And back: 0, or -1 with errno EPROTO and a sentence. What is not said is 0 or "". Of a call,
//  row->round is the round it asks for. answer is 0 for a word that is none of them.
int
yami_callback_check_parse(const yam_message_t *message, yam_case_t *row);
int
yami_callback_confirm_parse(const yam_message_t *message, yam_case_confirm_t *confirm);
int
yami_callback_call_parse(const yam_message_t *message, yam_case_t *row);
int
yami_callback_answer_parse(const yam_message_t *message, int *answer, char *note, size_t size);

#endif
