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

enum {
    YAMI_BUG_NONE,
    YAMI_BUG_CONFIRM_BEFORE_SYNC,      //  the log calls durable what was written and not synced
    YAMI_BUG_CONFIRM_BEFORE_DURABLE,   //  CONFIRM covers what is appended and not durable
    YAMI_BUG_ATTACHED_BEFORE_DURABLE,  //  ATTACHED does
    YAMI_BUG_DELIVERED_BEFORE_DURABLE, //  consumers get what is not durable
    YAMI_BUG_ACK_OFF_BY_ONE,           //  an ack settles one message more than it names
    YAMI_BUG_ACK_NOT_WRITTEN,          //  ACKED is told, yet a restart does not know of the ack
    YAMI_BUG_LEASE_NOT_FENCED,         //  whoever had a message settles it, whose lease it is now
    YAMI_BUG_LEASES_KEPT,              //  who is gone keeps its leases until their time is over
    YAMI_BUG_FAILURES_NOT_REPLAYED,    //  a restart forgets how often a message failed
    //  storing a dead letter and settling its origin are two writes
    YAMI_BUG_DEAD_LETTER_NOT_ATOMIC,
    YAMI_BUG_DEDUPE_NOT_REPLAYED,    //  a restart forgets what producers had sent
    YAMI_BUG_EPOCH_NOT_REPLAYED,     //  a restart forgets the epochs given out
    YAMI_BUG_WRONG_RECORD_STORED,    //  of a batch that is known in part, the wrong rest is stored
    YAMI_BUG_WRONG_RECORD_RESENT,    //  a producer's window that grows mixes up what is in it
    YAMI_BUG_UNCONFIRMED_FORGOTTEN,  //  a producer attaches anew as if all were confirmed
    YAMI_BUG_CREDIT_LEAK,            //  a producer's credit for duplicates does not come back
    YAMI_BUG_FAILED_SYNC_RETRIED,    //  a sync that failed is tried again, and believed
    YAMI_BUG_DIRECTORY_NOT_SYNCED,   //  a new segment's name is not synced
    YAMI_BUG_SEGMENT_RECYCLED_EARLY, //  a segment goes before a checkpoint has what is in it
    YAMI_BUG_DAMAGE_READ_AS_END,     //  damage within the log is taken for its torn end
};

//  The build says which one, with -DYAMI_PLANTED_BUG=YAMI_BUG_NAME.
#ifndef YAMI_PLANTED_BUG
#define YAMI_PLANTED_BUG YAMI_BUG_NONE
#endif

#define YAMI_PLANTED(name) (YAMI_PLANTED_BUG == YAMI_BUG_##name)

#endif
