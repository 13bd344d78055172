//  yam_status: the one table between the wire, names and errno.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "yam_status.h"

static void
test_every_status_has_its_own_name_and_errno(void **state)
{
    (void) state;
    for (int left = 0; left <= YAM_STATUS_INTERNAL; left++) {
        assert_string_not_equal(yam_status_name(left), "unknown-status");
        assert_int_equal(yam_status_errno(left) == 0, left == YAM_STATUS_OK);
        for (int right = 0; right < left; right++) {
            assert_string_not_equal(yam_status_name(left), yam_status_name(right));
            assert_int_not_equal(yam_status_errno(left), yam_status_errno(right));
        }
    }
}

static void
test_names_are_lower_case_words(void **state)
{
    (void) state;
    for (int status = 0; status <= YAM_STATUS_INTERNAL; status++) {
        const char *name = yam_status_name(status);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz-"), strlen(name));
    }
    assert_string_equal(yam_status_name(YAM_STATUS_TOO_BIG), "too-big");
}

static void
test_a_number_a_peer_made_up_is_an_unknown_permanent_fault(void **state)
{
    (void) state;
    static const int numbers[] = {-1, YAM_STATUS_INTERNAL + 1, 1000000, INT32_MAX, INT32_MIN};
    for (size_t index = 0; index < sizeof numbers / sizeof numbers[0]; index++) {
        yam_status_t status = (yam_status_t) numbers[index];
        assert_string_equal(yam_status_name(status), "unknown-status");
        assert_int_not_equal(yam_status_errno(status), 0);
        assert_false(yam_status_is_temporary(status));
        assert_string_equal(yam_level_name((yam_level_t) numbers[index]), "unknown-level");
    }
}

static void
test_only_states_that_pass_by_themselves_are_temporary(void **state)
{
    (void) state;
    for (int status = 0; status <= YAM_STATUS_INTERNAL; status++) {
        bool expected = status == YAM_STATUS_FULL || status == YAM_STATUS_DISK ||
                        status == YAM_STATUS_CLOSING || status == YAM_STATUS_LIMIT;
        assert_int_equal(yam_status_is_temporary(status), expected);
    }
}

static void
test_every_level_has_its_name(void **state)
{
    (void) state;
    assert_string_equal(yam_level_name(YAM_LEVEL_NONE), "none");
    assert_string_equal(yam_level_name(YAM_LEVEL_RECEIVED), "received");
    assert_string_equal(yam_level_name(YAM_LEVEL_WRITTEN), "written");
    assert_string_equal(yam_level_name(YAM_LEVEL_SYNCED), "synced");
    assert_string_equal(yam_level_name(YAM_LEVEL_REPLICATED), "replicated");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_status_has_its_own_name_and_errno),
        cmocka_unit_test(test_names_are_lower_case_words),
        cmocka_unit_test(test_a_number_a_peer_made_up_is_an_unknown_permanent_fault),
        cmocka_unit_test(test_only_states_that_pass_by_themselves_are_temporary),
        cmocka_unit_test(test_every_level_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
