/*  yami_limits - every limit on what peers, files, options and endpoint strings can make a process
    take or hold, in one table.

    What a frame or an entry may hold, and what peers can make a relay, a service, a publisher or a
    subscriber keep in memory, is bounded by one of these, or by an option whose maximum is one of
    these. patterns/relay/SPEC.md section 12 and SECURITY.md are checked against this file. Not
    here: how a relay divides its own time, replies and caches (yami_relay_state.h), what an
    application asks of itself, ranges of options that are numbers (their tables), and what rows of
    a database may hold (yam_outbox_db.h, yam_inbox_db.h, yam_callback_db.h: adapters need it).
*/
#ifndef YAMI_LIMITS_H
#define YAMI_LIMITS_H

#include <stdint.h>

#define YAMI_LIMIT_BODY (16u << 20)    //  bytes of one message's body
#define YAMI_LIMIT_PROPERTIES 65535u   //  bytes of one message's properties
#define YAMI_LIMIT_PROPERTY_COUNT 64u  //  properties of one message
#define YAMI_LIMIT_FRAME (20u << 20)   //  bytes of one data frame (a batch); ZMQ_MAXMSGSIZE
#define YAMI_LIMIT_BATCH_COUNT 65536u  //  records of one batch
#define YAMI_LIMIT_RUNS 1024u          //  runs, with and without due time, stored of it at once
#define YAMI_LIMIT_CONTROL (64u << 10) //  bytes of one control frame a peer sends
#define YAMI_LIMIT_REPLY (4u << 20)    //  bytes of one administration reply
#define YAMI_LIMIT_RANGES 2048u      //  settled ranges of one control frame (27 bytes each at most)
#define YAMI_LIMIT_NAME 200u         //  bytes of a channel, group or producer name
#define YAMI_LIMIT_DELAYED_NAME 192u //  the same of one with delayed messages: ".delayed" follows
#define YAMI_LIMIT_ID 200u           //  bytes of an id by which a delayed message can be cancelled
#define YAMI_LIMIT_SUBJECT 250u      //  bytes of a subject or subject filter
#define YAMI_LIMIT_SUBJECT_WORDS 16u //  words of a subject
#define YAMI_LIMIT_TEXT 1024u        //  bytes of a reason or error text
#define YAMI_LIMIT_REASON 120u       //  bytes of it that a relay keeps with a message
#define YAMI_LIMIT_PRIORITY 9u       //  greatest priority
#define YAMI_LIMIT_DEPTH 8u //  levels of arrays and maps in what a decoder does not know, and skips
#define YAMI_LIMIT_HEARTBEAT_MS 3600000u              //  longest interval between signs of life
#define YAMI_LIMIT_LEASE_MS (24ll * 3600 * 1000)      //  longest lease; who asks for more gets this
#define YAMI_LIMIT_RETRY_MS (30ll * 24 * 3600 * 1000) //  longest wait of a retry; the same
#define YAMI_LIMIT_CONNECTIONS 8192u  //  connections of one relay, with or without HELLO
#define YAMI_LIMIT_GREETING_MS 10000u //  until HELLO on a new connection
#define YAMI_LIMIT_HANDSHAKE_MS 10000 //  of ZeroMQ's own handshake, on any socket
#define YAMI_LIMIT_STUCK_MS 60000  //  that a peer takes nothing of what TCP has for it; ROUTER only
#define YAMI_LIMIT_BACKLOG 1024    //  connections the kernel holds until a relay accepts them
#define YAMI_LIMIT_AHEAD 256       //  frames taken from one connection ahead of a relay's loop
#define YAMI_LIMIT_ROUTING_ID 255u //  bytes of a link's address, which a peer may choose
#define YAMI_LIMIT_GOODBYES 16u    //  sessions that end on one connection; then it is ended, too
#define YAMI_LIMIT_UNTAKEN_BYTES (40u << 20)  //  received on one connection since its last message
#define YAMI_LIMIT_UNTAKEN_TOTAL (512u << 20) //  the same on all connections
#define YAMI_LIMIT_PARTS 16u //  parts too many of one message; then its connection is ended
#define YAMI_LIMIT_UNSENT_BYTES (16u << 20) //  queued for one link; more, and it gets no deliveries
#define YAMI_LIMIT_UNSENT_TOTAL (256u << 20) //  queued for all; more, and a link keeps a share only
#define YAMI_LIMIT_UNSENT_SHARE (256u << 10) //  that share, in bytes
#define YAMI_LIMIT_UNSENT_MOST (64u << 20)   //  queued for one link: it is ended
#define YAMI_LIMIT_UNSENT_FRAMES 16384u      //  the same, frames
#define YAMI_LIMIT_ERRORS 16u                //  errors that one link is told in a second
#define YAMI_LIMIT_LOG_LINES 10u       //  of what peers can trigger, lines of one event in a second
#define YAMI_LIMIT_STALE_RANGES 65536u //  ranges it settles in a second and holds nothing of
#define YAMI_LIMIT_ADMIN_ROWS 65536u   //  rows that administration may look at in a second
#define YAMI_LIMIT_ADMIN_REQUESTS 64u  //  requests of administration under way
#define YAMI_LIMIT_HANDLES 1024u       //  attached channels of one link
#define YAMI_LIMIT_PEERS 4096u         //  links of one relay
#define YAMI_LIMIT_CHANNELS 16384u     //  channels of one relay, dead letters included
#define YAMI_LIMIT_GROUPS 16384u       //  groups of one relay
#define YAMI_LIMIT_PRODUCERS 65536u    //  producers whose last sequence a relay remembers
#define YAMI_LIMIT_IN_FLIGHT 1048576u  //  leased messages of one group
#define YAMI_LIMIT_PIECES 524288u      //  runs of leased or waiting messages, of all groups
#define YAMI_LIMIT_WAITING 1048576u    //  things of one relay that wait for the disk
#define YAMI_LIMIT_WAITING_BYTES (512u << 20) //  the same, bytes of batches
#define YAMI_LIMIT_DELAYED 4194304u           //  messages of one relay that wait for their time
#define YAMI_LIMIT_WINDOW_MESSAGES 65536u     //  unconfirmed messages of one producer
#define YAMI_LIMIT_WINDOW_BYTES (64u << 20)   //  unconfirmed bytes of one producer
#define YAMI_LIMIT_SEQUENCE ((uint64_t) INT64_MAX) //  greatest sequence, LSN, number of a segment
#define YAMI_LIMIT_TIME_MS ((1ll << 53) - 1)       //  greatest time or duration, exact in a double

//  Of patterns without a relay (patterns/topic/SPEC.md, patterns/rpc/SPEC.md).
#define YAMI_LIMIT_PREFIXES 1024u   //  prefixes whose messages a fast publisher counts
#define YAMI_LIMIT_GAPS 64u         //  publishers whose numbers a fast subscriber remembers
#define YAMI_LIMIT_CORRELATION 100u //  bytes of a call's correlation id

//  What a relay can make a consumer hold beyond the credit it was given: leases that ran out and
//  came again.
#define YAMI_LIMIT_EXCESS_LEASES 65536u
#define YAMI_LIMIT_EXCESS_BYTES (40u << 20)

//  Of the callback service (patterns/callback/SPEC.md).
#define YAMI_LIMIT_CHECK_MS (30ll * 24 * 3600 * 1000) //  longest delay of a check
#define YAMI_LIMIT_ROUND 1000000                      //  greatest number of a round
#define YAMI_LIMIT_CALLS 1024                         //  calls at a time
#define YAMI_LIMIT_SERVICES 64                        //  services that are called at a time

//  Parts of a store's entry. Checkpoints have the largest meta: one that does not fit is none, and
//  without them no space is given back, so this is above what all limits of an owner add up to.
#define YAMI_LIMIT_ENTRY_META (224u << 20) //  bytes of its meta part
#define YAMI_LIMIT_ENTRY_DATA (24u << 20)  //  bytes of its data part
#define YAMI_LIMIT_OWN_META (256u << 20)   //  the same of a store's own: a prefix comes on top
#define YAMI_LIMIT_JOURNAL_META (2u << 20) //  the same of a relay's, checkpoints apart

//  Of a store's directory.
#define YAMI_LIMIT_SEGMENT_BYTES (1u << 30) //  bytes of a segment, as an option asks for them
#define YAMI_LIMIT_SEGMENTS (1u << 24)      //  segments that are there, or to be given back
#define YAMI_LIMIT_SPARES (1u << 16)        //  files ready to become segments
#define YAMI_LIMIT_BAD_RANGES (1u << 24)    //  of one segment, noted while it is read
#define YAMI_LIMIT_DAMAGES (1u << 16)       //  ranges that are reported at a start
#define YAMI_LIMIT_TOLD_RANGES (1u << 20)   //  ranges found since, and not reported yet

//  Of what a user says: endpoint strings, options, config files, command lines.
#define YAMI_LIMIT_ADDRESSES 16u       //  addresses of one endpoint string
#define YAMI_LIMIT_ADDRESS 255u        //  bytes of one of them
#define YAMI_LIMIT_OPTION_NAME 32u     //  bytes of the name of an option in it
#define YAMI_LIMIT_OPTION_VALUE 1023u  //  bytes of its value
#define YAMI_LIMIT_OPTION_LIST 4095u   //  bytes of "name=value&name=value"
#define YAMI_LIMIT_DELAYS 16           //  delays of a list of them
#define YAMI_LIMIT_CONFIG_LINE 4095u   //  bytes of a line of a config file
#define YAMI_LIMIT_CLASS_OPTIONS 8191u //  bytes of all that a daemon hands on of its options
#define YAMI_LIMIT_FORMAT_NAME 253u    //  bytes of a property's name in --format
#define YAMI_LIMIT_OPERANDS 1000       //  ids of one command

#endif
