/*  yami_planted - bugs put in on purpose, to show that the tests would find them.

    Not a switch: in every build that is meant for use YAMI_PLANTED(NAME) is the constant false, so
    the compiler leaves out what hangs on it. `make planted` makes one bug at a time true, in a
    folder of its own (make PLANTED=NAME), and succeeds only when for each of them a test fails.
    Invariants:
    (1) Each name stands in at least one `if` or `?:` of the library, and in
    tests/system/planted/bugs.
    (2) A bug is one decision gone wrong, such as a hasty change would make it; the rest is
    untouched.
*/
#ifndef YAMI_PLANTED_H
#define YAMI_PLANTED_H

//  Macros and no enum, which would be told in a library's debug information.
#define YAMI_BUG_NONE 0
//  the log calls durable what was written and not synced
#define YAMI_BUG_CONFIRM_BEFORE_SYNC 1
//  CONFIRM covers what is appended and not durable
#define YAMI_BUG_CONFIRM_BEFORE_DURABLE 2
//  ATTACHED does
#define YAMI_BUG_ATTACHED_BEFORE_DURABLE 3
//  consumers get what is not durable
#define YAMI_BUG_DELIVERED_BEFORE_DURABLE 4
//  an ack settles one message more than it names
#define YAMI_BUG_ACK_OFF_BY_ONE 5
//  ACKED is told, yet a restart does not know of the ack
#define YAMI_BUG_ACK_NOT_WRITTEN 6
//  whoever had a message settles it, whose lease it is now
#define YAMI_BUG_LEASE_NOT_FENCED 7
//  who is gone keeps its leases until their time is over
#define YAMI_BUG_LEASES_KEPT 8
//  a restart forgets how often a message failed
#define YAMI_BUG_FAILURES_NOT_REPLAYED 9
//  storing a dead letter and settling its origin are two writes
#define YAMI_BUG_DEAD_LETTER_NOT_ATOMIC 10
//  a restart forgets what producers had sent
#define YAMI_BUG_DEDUPE_NOT_REPLAYED 11
//  a restart forgets the epochs given out
#define YAMI_BUG_EPOCH_NOT_REPLAYED 12
//  of a batch that is known in part, the wrong rest is stored
#define YAMI_BUG_WRONG_RECORD_STORED 13
//  a producer's window that grows mixes up what is in it
#define YAMI_BUG_WRONG_RECORD_RESENT 14
//  a producer attaches anew as if all were confirmed
#define YAMI_BUG_UNCONFIRMED_FORGOTTEN 15
//  a producer's credit for duplicates does not come back
#define YAMI_BUG_CREDIT_LEAK 16
//  a sync that failed is tried again, and believed
#define YAMI_BUG_FAILED_SYNC_RETRIED 17
//  a new segment's name is not synced
#define YAMI_BUG_DIRECTORY_NOT_SYNCED 18
//  a segment goes before a checkpoint has what is in it
#define YAMI_BUG_SEGMENT_RECYCLED_EARLY 19
//  damage within the log is taken for its torn end
#define YAMI_BUG_DAMAGE_READ_AS_END 20
//  a late reply is taken for the answer to another call
#define YAMI_BUG_LATE_REPLY_TAKEN 21
//  a server begins what nobody waits for any more
#define YAMI_BUG_RPC_DEADLINE_IGNORED 22
//  a dispatcher marks rows delivered once they are sent
#define YAMI_BUG_MARK_BEFORE_CONFIRM 23
//  an outbox takes messages outside of a transaction
#define YAMI_BUG_PUT_OUTSIDE 24
//  what is sent again has another epoch
#define YAMI_BUG_NEW_IDENTITY 25
//  delayed messages are delivered at once
#define YAMI_BUG_FIRED_EARLY 26
//  a checkpoint forgets what is delayed
#define YAMI_BUG_DELAYS_NOT_IN_CHECKPOINT 27
//  a cancel is told, yet a restart does not know of it
#define YAMI_BUG_CANCEL_NOT_WRITTEN 28
//  a check is judged while confirms that came before it wait
#define YAMI_BUG_JUDGED_BEFORE_CONFIRMS 29
//  checks and confirms are acknowledged before they are stored
#define YAMI_BUG_UNSTORED_ACKED 30
//  an answer to an earlier call moves a case on
#define YAMI_BUG_STALE_ANSWER_TAKEN 31
//  delayed messages that are due together go in the order in which they were sent
#define YAMI_BUG_FIRED_OUT_OF_ORDER 32
//  a dispatcher that lost a lane to another goes on with it
#define YAMI_BUG_LANE_NOT_FENCED 33
//  an inbox claims messages outside of a transaction
#define YAMI_BUG_CLAIM_OUTSIDE 34
//  a server that closes acknowledges what it has not answered
#define YAMI_BUG_REQUEST_ACKED_AT_CLOSE 35
//  a new store is marked as one that had entries when its first segment is made
#define YAMI_BUG_MARKED_TOO_EARLY 36
//  messages that there is no memory to read are taken for lost
#define YAMI_BUG_UNREAD_TAKEN_FOR_LOST 37
//  a write that moved a part is taken for a whole one
#define YAMI_BUG_PART_TAKEN_FOR_WHOLE 38
//  what was refused as damaged is stored when another copy comes
#define YAMI_BUG_REFUSED_AND_STORED 39

//  The build says which one, with -DYAMI_PLANTED_BUG=YAMI_BUG_NAME.
#ifndef YAMI_PLANTED_BUG
#define YAMI_PLANTED_BUG YAMI_BUG_NONE
#endif

#define YAMI_PLANTED(name) (YAMI_PLANTED_BUG == YAMI_BUG_##name)

#endif
