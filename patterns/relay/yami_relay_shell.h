/*  yami_relay_shell - the relay's thread and its commit thread around the pure core.

    The owner (yam_relay) makes one, asks for commands, stops it. Only the shell's own thread
    touches core, socket and store; only the commit thread calls the store's commit.
    What it does with what the core decides is the driver's (yami_relay_driver.h), which promises
    the order of effects and that nothing is told durable before it is.
*/
#ifndef YAMI_RELAY_SHELL_H
#define YAMI_RELAY_SHELL_H

#include <stdbool.h>
#include <stdint.h>

#include "yam_context.h"
#include "yami_relay_core.h"
#include "yami_relay_door.h"
#include "yami_relay_options.h"
#include "yami_store.h"

typedef struct yami_relay_shell yami_relay_shell_t;

//  Starts both threads. Takes door (bound), core and store in any case; options is borrowed and
//  changed only through yami_relay_shell_set. NULL with errno ENOMEM or EMFILE and a sentence.
yami_relay_shell_t *
yami_relay_shell_new(yami_relay_door_t *door, yami_relay_core_t *core, yami_store_t *store,
                     yami_relay_options_t *options);

//  Drains for at most timeout_ms (-1: until done), stops both threads, seals the store and frees.
//  0, or -1 with errno EIO when something could not be made durable.
int
yami_relay_shell_close(yami_relay_shell_t **self_p, int timeout_ms);

//  Sets an option between two turns of the loop; outcomes as yami_options_set. Any thread.
int
yami_relay_shell_set(yami_relay_shell_t *self, const char *name, const char *value);

bool
yami_relay_shell_has_failed(const yami_relay_shell_t *self);

int64_t
yami_relay_shell_last_turn_ms(const yami_relay_shell_t *self);

#endif
