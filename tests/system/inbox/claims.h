/*  claims - what the tests of all inboxes share: ids and contents as text, and a batch that has
    every verdict.
*/
#ifndef CLAIMS_H
#define CLAIMS_H

#include <stddef.h>

#include "yam_inbox.h"

//  yam_inbox_claim_id with a text as content.
int
claim(yam_inbox_t *inbox, const char *id, const char *content);

//  The same; errno and yam_error() must be error, and have words in it.
void
claim_fails(yam_inbox_t *inbox, const char *id, int error, const char *words);

//  Claims a batch of eight in which "old", claimed before with content "x", stands three times, and
//  checks the verdict of each.
void
claim_batch(yam_inbox_t *inbox);

//  Fails the test with yam_error() unless inbox is one. Returns it.
yam_inbox_t *
opened(yam_inbox_t *inbox);

#endif
