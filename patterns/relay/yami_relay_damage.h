/*  yami_relay_damage - the words for a damaged range of the store, whoever has found it.
*/
#ifndef YAMI_RELAY_DAMAGE_H
#define YAMI_RELAY_DAMAGE_H

#include "yami_store.h"

#define YAMI_DAMAGE_TEXT_SIZE 320

//  What follows the event "store.damaged" in the log: segment (last-segment, too, of a range of
//  them that is missing), bytes, LSNs, channel and sequences, 0 where they are not known.
void
yami_relay_damage_text(const yami_damage_t *damage, char text[YAMI_DAMAGE_TEXT_SIZE]);

#endif
