/*  yam.h - the one include for applications. ZeroMQ's sockets with a memory.

        yam_t          one per program: context and engine             yam_context.h
        endpoints      where messages go, and what is guaranteed       yam_endpoint.h
        yam_push/pull  queues: each message to one consumer            yam_push.h  yam_pull.h
        yam_pub/sub    topics: each message to every subscription      yam_pub.h   yam_sub.h
        yam_relay      a store between them                            yam_relay.h
        yam_outbox     a message in the transaction of its row         yam_outbox.h
                       and a thread that sends what is there           yam_dispatcher.h
        yam_inbox      a message is handled once                       yam_inbox.h
                       and a thread that forgets what is old           yam_pruner.h
        yam_rpc        asks a service, by callback or future           yam_rpc.h  yam_rpc_server.h
        yam_callback   was done what was sent? A second check          yam_callback.h
                       and who looks                                   yam_callback_service.h
        yam_admin      looks after the channels of a relay             yam_admin.h
        yam_message    a message with properties                       yam_message.h
        yam_error()    what went wrong, in words                       yam_error.h
*/
#ifndef YAM_H
#define YAM_H

#include "yam_admin.h"
#include "yam_callback.h"
#include "yam_callback_service.h"
#include "yam_confirm.h"
#include "yam_context.h"
#include "yam_dispatcher.h"
#include "yam_endpoint.h"
#include "yam_error.h"
#include "yam_inbox.h"
#include "yam_message.h"
#include "yam_outbox.h"
#include "yam_pruner.h"
#include "yam_pub.h"
#include "yam_pull.h"
#include "yam_push.h"
#include "yam_relay.h"
#include "yam_rpc.h"
#include "yam_rpc_server.h"
#include "yam_status.h"
#include "yam_sub.h"

#endif
