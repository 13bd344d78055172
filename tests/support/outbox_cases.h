/*  outbox_cases - what every outbox must do, whatever the database under it: tests, and what they
    need of one.

    A program says in outbox_subject which database that is, and runs OUTBOX_CASES on it, each in a
    database without rows. What cannot be done fails the test with the sentence.
*/
#ifndef OUTBOX_CASES_H
#define OUTBOX_CASES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "yam_outbox_db.h"

typedef struct {
    const yam_outbox_db_t *db;
    void *connection;     //  borrowed
    yam_outbox_t *outbox; //  borrowed; over connection
    const char *begin;    //  of a transaction that will write
    void (*run)(const char *text);
    int64_t (*number)(const char *query);
} outbox_subject_t;

extern outbox_subject_t outbox_subject;

//  Puts a message with that body, and a key unless it is NULL, inside the open transaction. The
//  row's id, -1 with errno.
int64_t
outbox_put(const char *queue, const char *body, const char *key);

//  Puts count messages "FIRST", "FIRST+1" ... in one transaction.
void
outbox_put_numbers(const char *queue, int first, int count);

void
test_put_outside_of_a_transaction_is_refused(void **state);
void
test_put_that_is_rolled_back_never_was(void **state);
void
test_an_id_is_never_used_again(void **state);
void
test_bad_channels_and_messages_are_refused(void **state);
void
test_delayed_message_for_a_name_too_long_for_it_is_refused_at_once(void **state);
void
test_one_channel_too_many_is_refused_and_the_others_go_on(void **state);
void
test_sequences_have_no_gaps_whatever_lies_between(void **state);
void
test_rows_that_fail_leave_the_others_their_sequences(void **state);
void
test_whoever_lost_the_lane_changes_nothing(void **state);
void
test_new_epoch_numbers_all_that_has_no_outcome_anew(void **state);
void
test_failed_row_that_is_put_back_has_a_sequence_of_its_own(void **state);
void
test_only_what_cannot_be_at_the_relay_is_cancelled(void **state);
void
test_trial_has_the_outcomes_of_what_it_tries_and_leaves_nothing(void **state);
void
test_prune_deletes_what_is_over_and_old_and_nothing_else(void **state);
void
test_rows_are_shown_by_state_with_all_that_is_known_of_them(void **state);

#define OUTBOX_CASES(CASE)                                                                         \
    CASE(test_put_outside_of_a_transaction_is_refused),                                            \
        CASE(test_put_that_is_rolled_back_never_was), CASE(test_an_id_is_never_used_again),        \
        CASE(test_bad_channels_and_messages_are_refused),                                          \
        CASE(test_delayed_message_for_a_name_too_long_for_it_is_refused_at_once),                  \
        CASE(test_one_channel_too_many_is_refused_and_the_others_go_on),                           \
        CASE(test_sequences_have_no_gaps_whatever_lies_between),                                   \
        CASE(test_rows_that_fail_leave_the_others_their_sequences),                                \
        CASE(test_whoever_lost_the_lane_changes_nothing),                                          \
        CASE(test_new_epoch_numbers_all_that_has_no_outcome_anew),                                 \
        CASE(test_failed_row_that_is_put_back_has_a_sequence_of_its_own),                          \
        CASE(test_only_what_cannot_be_at_the_relay_is_cancelled),                                  \
        CASE(test_trial_has_the_outcomes_of_what_it_tries_and_leaves_nothing),                     \
        CASE(test_prune_deletes_what_is_over_and_old_and_nothing_else),                            \
        CASE(test_rows_are_shown_by_state_with_all_that_is_known_of_them)

#endif
