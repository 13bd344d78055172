/*  yami_relay_state - what a relay core knows. Shared by the files of the core, by nobody else.

    Who owns what: core owns peers, channels, groups, producers, jobs; a peer owns its handles; a
    handle its leases. Everything else is borrowed. Sequences are a channel's unless a producer's is
    said.
*/
#ifndef YAMI_RELAY_STATE_H
#define YAMI_RELAY_STATE_H

#include <sys/queue.h>

#include "yami_delays.h"
#include "yami_heap.h"
#include "yami_histogram.h"
#include "yami_limits.h"
#include "yami_ranges.h"
#include "yami_rate.h"
#include "yami_relay_core.h"
#include "yami_relay_delays.h"
#include "yami_relay_map.h"
#include "yami_relay_pieces.h"

#define YAMI_RELAY_MARKS 16            //  points in a channel's past
#define YAMI_RELAY_SETTLE_RANGES 4096u //  settled ranges gathered before they are journaled
#define YAMI_RELAY_CACHE                                                                           \
    (64u << 20) //  bytes of entries kept for groups whose members have little credit
#define YAMI_RELAY_REQUEST_COST 256u    //  what a request costs beside its rows, in rows
#define YAMI_RELAY_TURN_BYTES (8 << 20) //  read and delivered between two turns
#define YAMI_RELAY_DELIVERY_COST 4096 //  what a delivery or a read costs beside its bytes, in bytes
#define YAMI_RELAY_SKIP_COST 64       //  what a message costs that a filter leaves out
#define YAMI_RELAY_PIECE_BYTES 173u   //  the most that a piece takes in a checkpoint
#define YAMI_RELAY_RECOVERED                                                                       \
    0x40000000u //  bit of the numbers of groups made up for channels whose definition was lost
#define YAMI_RELAY_EPHEMERAL                                                                       \
    0x80000000u //  bit of the numbers of groups that are not in the journal

//  A third kind of channels, beside queue and topic, which nobody can attach to.
enum {
    YAMI_KIND_DELAYED = 3
};

typedef struct yami_relay_peer yami_relay_peer_t;
typedef struct yami_relay_handle yami_relay_handle_t;
typedef struct yami_relay_channel yami_relay_channel_t;
typedef struct yami_relay_group yami_relay_group_t;
typedef struct yami_relay_producer yami_relay_producer_t;
typedef struct yami_relay_lease yami_relay_lease_t;
typedef struct yami_relay_job yami_relay_job_t;

//  A name, owned.
typedef struct {
    char text[YAMI_LIMIT_SUBJECT + 1];
    size_t size;
} yami_relay_name_t;

typedef TAILQ_HEAD(yami_relay_handles, yami_relay_handle) yami_relay_handles_t;
typedef TAILQ_HEAD(yami_relay_groups, yami_relay_group) yami_relay_groups_t;
typedef TAILQ_HEAD(yami_relay_channels, yami_relay_channel) yami_relay_channels_t;
typedef TAILQ_HEAD(yami_relay_leases, yami_relay_lease) yami_relay_leases_t;
typedef TAILQ_HEAD(yami_relay_jobs, yami_relay_job) yami_relay_jobs_t;
typedef TAILQ_HEAD(yami_relay_producers, yami_relay_producer) yami_relay_producers_t;

//  What administration was asked for in one second.
typedef struct {
    int64_t since_ms;
    uint64_t cost;
} yami_relay_requests_t;

//  What a peer may do; all of it as long as nobody says otherwise.
enum {
    YAMI_RIGHT_PUBLISH = 1,
    YAMI_RIGHT_CONSUME = 2,
    YAMI_RIGHT_ADMIN = 4
};

struct yami_relay_peer {
    uint64_t id;
    yami_relay_name_t name;
    uint64_t session; //  0: no HELLO yet
    uint64_t began;   //  number of its session, ascending as they begin
    uint64_t max_frame;
    int64_t heartbeat_ms; //  announced by the peer
    unsigned rights;
    int64_t received_ms; //  last sign of life
    int64_t sent_ms;
    int64_t wake_ms;
    int64_t error_window_ms;
    unsigned error_count;  //  in that second
    uint64_t stale_ranges; //  settled in that second, and not held
    yami_relay_requests_t requests;
    bool is_pressed; //  takes too little of what is sent to it
    yami_relay_map_t by_number;
    yami_relay_handles_t handles; //  owned
};

struct yami_relay_handle {
    uint64_t id;     //  never used again
    uint32_t number; //  the client's
    int role;
    yami_relay_peer_t *peer;
    yami_relay_channel_t *channel;
    TAILQ_ENTRY(yami_relay_handle) of_peer;
    TAILQ_ENTRY(yami_relay_handle) of_owner; //  producer or group
    TAILQ_ENTRY(yami_relay_handle) of_dirty;
    bool is_dirty;
    uint64_t granted_messages; //  totals since attach
    uint64_t granted_bytes;

    yami_relay_producer_t *producer; //  role producer
    uint32_t epoch;
    uint64_t received_messages; //  totals since attach
    uint64_t received_bytes;
    uint64_t resolved_messages; //  durable, duplicate or refused
    uint64_t resolved_bytes;
    uint64_t last;      //  highest producer sequence taken on this handle
    uint64_t confirmed; //  producer sequence, as last told
    bool must_confirm;  //  a duplicate came: tell again
    bool is_leaving;    //  ends when what it sent is confirmed
    bool takes_nothing; //  new: what came damaged was refused, and it has not attached anew

    yami_relay_group_t *group; //  role consumer
    int64_t lease_ms;
    int64_t wake_ms;
    uint64_t sent_messages; //  totals since attach
    uint64_t sent_bytes;
    uint64_t in_flight;         //  messages
    uint64_t in_flight_bytes;   //  of frames with an open lease
    yami_relay_leases_t leases; //  owned; ascending deadlines
    TAILQ_ENTRY(yami_relay_handle) of_credited;
    bool is_credited;     //  in the group's list of members that want more
    uint64_t serial;      //  of the last settle frame
    uint64_t told_serial; //  for which ACKED was sent or is waiting
};

//  A DELIVER that is not settled yet.
struct yami_relay_lease {
    uint64_t token;
    yami_relay_group_t *group;
    yami_relay_handle_t *handle;
    uint64_t first;
    uint64_t last;
    uint64_t open;  //  sequences still LEASED by it
    uint64_t bytes; //  of its frame
    int64_t deadline_ms;
    TAILQ_ENTRY(yami_relay_lease) of_handle;
};

typedef struct {
    uint64_t sequence;
    uint64_t bytes; //  appended to the channel before it
    int64_t time_ms;
} yami_relay_mark_t;

typedef struct {
    uint64_t published;
    uint64_t delivered;
    uint64_t acked;
    uint64_t nacked;
    uint64_t redelivered;
    uint64_t dead_lettered;
    uint64_t lost;
    uint64_t dropped;
    uint64_t duplicates;
    uint64_t refused;
    uint64_t stale;
    uint64_t filtered;
    uint64_t fired; //  their time came
    uint64_t cancelled;
    uint64_t syncs; //  of a channel: commits that made new messages of it durable
} yami_relay_counts_t;

//  What only a channel of kind DELAYED has. Its group has no pieces and no cursor: a sequence is
//  unsettled as long as it waits here.
typedef struct {
    yami_relay_channel_t *target; //  where they go; borrowed
    yami_relay_delays_t waiting;
    int64_t retry_ms;     //  monotonic: not before, for want of room there
    uint64_t late_sum_ms; //  of those fired
    uint64_t late_max_ms;
    bool is_listed; //  in the core's list
    TAILQ_ENTRY(yami_relay_channel) of_core;
} yami_relay_dues_t;

struct yami_relay_channel {
    uint32_t number;
    int kind;
    bool is_dead;                  //  holds dead letters
    yami_relay_channel_t *delayed; //  holds its delayed messages; NULL: there were none yet
    yami_relay_dues_t *dues;       //  owned; NULL but for kind DELAYED
    yami_relay_name_t name;
    yami_relay_channel_t *same_hash;
    uint64_t first;             //  everything below was trimmed
    uint64_t next;              //  to be appended
    uint64_t durable;           //  everything below is durable
    uint64_t sync_ticket;       //  the last that the commit counted last made durable
    yami_relay_groups_t groups; //  owned
    unsigned group_count;
    unsigned durable_groups;
    unsigned producers; //  attached
    //  Bytes are exact when appended; when messages settle the average leaves. depth is what bytes
    //  stands for.
    uint64_t bytes;
    uint64_t depth;
    uint64_t total_bytes; //  ever appended
    yami_relay_mark_t marks[YAMI_RELAY_MARKS];
    unsigned mark_count;
    int64_t mark_gap_ms;
    uint64_t mark_gap_bytes;
    yami_relay_counts_t counts;
    yami_rate_t in_rate; //  messages published
    TAILQ_ENTRY(yami_relay_channel) of_dirty;
    bool is_dirty;
};

//  An entry kept at hand, so that small credits do not fetch it again and again.
typedef struct {
    yami_block_t *block; //  owned reference; NULL: nothing
    yami_batch_t batch;
    uint64_t base;
    int64_t time_ms;
    uint32_t index; //  a record and where it begins
    size_t offset;
} yami_relay_cache_t;

struct yami_relay_group {
    uint32_t number;
    yami_relay_channel_t *channel;
    yami_relay_name_t name;
    yami_relay_name_t filter; //  size 0: everything
    bool is_durable;
    uint64_t ticket;      //  of its definition
    uint64_t next;        //  never delivered from here on
    yami_pieces_t pieces; //  unsettled below next
    yami_heap_t retries;  //  (due, first sequence) of WAITING pieces
    int64_t wake_ms;
    yami_ranges_t settled; //  since the last SETTLE entry
    yami_relay_handles_t members;
    yami_relay_handles_t credited;
    unsigned member_count;
    yami_relay_cache_t cache;
    bool is_fetching;
    bool is_moving; //  a FETCH for the dead letters is under way
    yami_relay_counts_t counts;
    yami_rate_t out_rate; //  messages delivered
    TAILQ_ENTRY(yami_relay_group) of_channel;
    TAILQ_ENTRY(yami_relay_group) of_dirty;
    TAILQ_ENTRY(yami_relay_group) of_cached;
    TAILQ_ENTRY(yami_relay_group) of_settled;
    TAILQ_ENTRY(yami_relay_group) of_movers;
    bool is_dirty;    //  may have something to deliver
    bool is_mover;    //  in the list of those who wait until another's move has ended
    bool has_settled; //  in the list of those with something for the journal
};

struct yami_relay_producer {
    yami_id_t id;
    yami_relay_channel_t *channel;
    yami_relay_producer_t *same_hash;
    uint64_t hash;
    uint32_t epoch;       //  last given
    uint64_t ticket;      //  of its entry
    uint64_t stored_last; //  appended in epoch; 0: nothing yet
    uint64_t last;        //  the same, or beyond it what was given up, or is settled by its word
    uint64_t durable;     //  of those stored; no client's word raises it
    int64_t seen_ms;      //  wall clock
    unsigned waiting;     //  tickets that point here
    yami_relay_handles_t handles;
    TAILQ_ENTRY(yami_relay_producer) of_age;
};

typedef enum {
    YAMI_WAIT_DATA,     //  channel, last; producer, epoch, sequence; handle, messages, bytes
    YAMI_WAIT_MOVE,     //  channel, last; job
    YAMI_WAIT_ATTACHED, //  handle: its ATTACHED
    YAMI_WAIT_ACKED,    //  handle, sequence: the serial
    YAMI_WAIT_JOB,      //  job
} yami_relay_wait_type_t;

//  What happens when a ticket is durable.
typedef struct {
    uint64_t ticket;
    yami_relay_wait_type_t type;
    yami_relay_channel_t *channel;
    uint64_t last;
    yami_relay_producer_t *producer;
    uint32_t epoch;
    uint32_t messages;
    uint64_t sequence;
    uint64_t bytes;
    uint64_t handle; //  id: it may be gone by then
    uint64_t job;    //  id: the same
} yami_relay_wait_t;

typedef struct {
    yami_relay_wait_t *items; //  owned; ascending tickets from head on
    size_t head;
    size_t count; //  from head
    size_t capacity;
} yami_relay_waits_t;

//  A message that is to go, because its time has come.
typedef struct {
    int64_t due_ms;
    uint64_t sequence;
    size_t offset; //  of its record among those read; SIZE_MAX: not read
} yami_relay_pick_t;

//  The earliest of one channel, at most so many at a time: read in the order in which they stand in
//  the log, moved in the order of their times.
typedef struct {
    yami_relay_channel_t *channel; //  NULL: nothing is under way
    yami_relay_pick_t *picks;      //  owned
    size_t count;
    size_t capacity;
    size_t next;           //  to be read
    yami_writer_t records; //  as they stand in a batch
    bool is_fetching;
} yami_relay_round_t;

typedef enum {
    YAMI_JOB_PEEK,
    YAMI_JOB_REDRIVE,
    YAMI_JOB_CANCEL,
    YAMI_JOB_WAIT
} yami_relay_job_type_t;

//  An administration request that takes more than one step.
struct yami_relay_job {
    uint64_t id;
    yami_relay_job_type_t type;
    uint64_t peer;
    uint64_t serial;
    yami_relay_channel_t *channel;
    uint32_t group;               //  PEEK: number of the group it is about, 0: none
    yami_relay_channel_t *target; //  REDRIVE: or NULL: where each came from
    uint64_t sequence;            //  the next to look at; CANCEL: the last looked at, descending
    uint64_t until;               //  not from here on: what comes back would be moved for ever
    yami_relay_name_t message_id; //  CANCEL
    uint64_t left;                //  messages still wanted
    uint64_t done;
    unsigned waiting; //  tickets
    bool is_fetching;
    bool is_dry;
    bool is_finished; //  nothing left to look at
    bool is_unread;   //  something could not be read now: not all was done
    yami_writer_t rows;
    uint32_t row_count;
    TAILQ_ENTRY(yami_relay_job) of_core;
};

struct yami_relay_core {
    const yami_relay_options_t *options; //  borrowed
    int level;
    yami_relay_name_t name;
    uint64_t seed;

    int64_t mono_ms; //  of this step
    int64_t wall_ms;
    int64_t start_ms;
    int64_t unread_ms; //  monotonic: when it was last said that reading fails; 0: never
    int64_t slow_ms;   //  monotonic: when what need not be done every turn was done
    bool has_room;
    bool has_said_room; //  what the log says last
    int64_t room_ms;    //  monotonic: when it was last said that there is none; 0: never
    bool has_started;   //  the first step was made: due times are monotonic
    bool is_draining;
    bool has_failed;
    yami_relay_effects_t *effects;   //  of this step
    const yami_store_stats_t *store; //  of this step; borrowed, or NULL

    yami_relay_map_t peers;
    yami_relay_map_t handles; //  by id
    yami_relay_map_t leases;  //  by token
    yami_relay_map_t channel_names;
    yami_relay_map_t channel_numbers;
    yami_relay_map_t groups;
    yami_relay_map_t producer_keys;
    yami_relay_producers_t producers; //  owned; longest unseen first
    size_t producer_count;
    uint32_t channel_number; //  last given
    uint32_t group_number;
    uint32_t ephemeral_number;
    uint64_t handle_id;
    uint64_t session_count; //  begun
    uint64_t token_count;
    uint64_t job_id;
    uint64_t random;
    yami_relay_jobs_t jobs;
    unsigned job_count;

    uint64_t ticket;  //  last given
    uint64_t durable; //  highest durable
    yami_relay_waits_t waits;
    uint64_t waiting_bytes;                //  of data in waits
    yami_heap_t wakes;                     //  (when, kind and id) of peers, handles, groups
    yami_relay_handles_t dirty_handles[3]; //  by role
    yami_relay_groups_t dirty_groups;
    yami_relay_groups_t settled_groups;
    yami_relay_channels_t dirty_channels;
    yami_relay_groups_t cached_groups; //  longest unused first
    size_t cached_bytes;
    size_t piece_count; //  of all groups
    size_t piece_limit; //  YAMI_LIMIT_PIECES, but in tests
    size_t run_limit;   //  YAMI_LIMIT_RUNS, the same
    unsigned topic_count;
    int64_t budget; //  bytes that may still be read and delivered before the next turn
    yami_relay_requests_t requests;     //  of all peers
    uint64_t askers;                    //  peers that asked in that second
    uint64_t askers_before;             //  and in the one before
    yami_relay_channels_t due_channels; //  whose messages wait for their time
    uint64_t delayed_count;             //  of all of them
    int64_t due_ms;       //  wall clock: nothing is due before; perhaps nothing is then, either
    int64_t due_retry_ms; //  monotonic: what found no room is tried again
    yami_relay_round_t round;
    yami_histogram_t lateness;  //  ms, of all that were fired
    bool lacks_room;            //  moves wait for it, or for the disk
    bool is_moving;             //  a FETCH for a MOVE is under way
    yami_relay_groups_t movers; //  wait for its end, in turn; one of them is touched then
    bool owes_acked;            //  some found all waits taken

    yami_damage_t *losts; //  owned; found before the first step
    size_t lost_count;
    size_t lost_capacity;
    uint64_t unnamed_losts;      //  ranges too many to be noted
    bool has_unnamed_losts;      //  or what they cost channels
    uint64_t damaged_ranges;     //  found before the first step
    yami_scrub_progress_t scrub; //  as last told
    char backoff_text[256];      //  what delays_ms was parsed from
    int64_t delays_ms[YAMI_LIMIT_DELAYS];
    int delay_count;

    yami_relay_gauges_t gauges; //  as told last
    uint64_t errors;
    uint64_t refusals; //  of ATTACH and ADMIN, whatever the status
    uint64_t silenced; //  sessions that ended since nothing was heard of them
    uint64_t dropped;  //  by limits, also of groups that are gone
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t messages_in;
    uint64_t messages_out;
};

#endif
