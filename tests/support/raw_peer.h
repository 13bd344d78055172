/*  raw_peer - the far end of a ZeroMQ socket on tcp, made of bytes, which keeps none of its rules.

    ZMTP 3.0 without a mechanism. Everything waits for an event, at most a minute, and fails the
    test then.
*/
#ifndef RAW_PEER_H
#define RAW_PEER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    const char *type;  //  that it says it is: "ROUTER"
    int listener;      //  -1: it connects
    int fd;            //  -1: no connection
    char address[256]; //  "tcp://127.0.0.1:port"
} raw_peer_t;

//  Listens; whoever is to meet it connects to address.
void
raw_peer_listen(raw_peer_t *self, const char *type);

//  Will connect to an address of that form.
void
raw_peer_aim(raw_peer_t *self, const char *type, const char *address);

void
raw_peer_clear(raw_peer_t *self);

//  Takes the next connection, or makes one, and greets.
void
raw_peer_meet(raw_peer_t *self);

void
raw_peer_say(raw_peer_t *self, const void *bytes, size_t size);

//  Reads until what came has text in it that many times. False when the far end hangs up instead.
bool
raw_peer_hear(raw_peer_t *self, const char *text, size_t count);

//  Ends the connection at once: what is on its way to us is refused with a reset.
void
raw_peer_reset(raw_peer_t *self);

#endif
