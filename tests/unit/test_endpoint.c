//  Endpoint strings: what they mean, and that every mistake is shown where it is.

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_endpoint.h"

static void
test_signs_say_bind_or_connect_and_default_otherwise(void **state)
{
    (void) state;
    yami_endpoint_t endpoint;
    assert_int_equal(yami_endpoint_parse(&endpoint, "@tcp://*:1,>ipc:///x,inproc://y", true), 0);
    assert_int_equal(endpoint.address_count, 3);
    assert_string_equal(endpoint.addresses[0].address, "tcp://*:1");
    assert_true(endpoint.addresses[0].is_bind && endpoint.addresses[0].has_sign);
    assert_string_equal(endpoint.addresses[1].address, "ipc:///x");
    assert_false(endpoint.addresses[1].is_bind);
    assert_string_equal(endpoint.addresses[2].address, "inproc://y");
    assert_true(endpoint.addresses[2].is_bind);
    assert_false(endpoint.addresses[2].has_sign);
    assert_int_equal(endpoint.addresses[2].column, 22);
    assert_int_equal(yami_endpoint_parse(&endpoint, "inproc://y", false), 0);
    assert_false(endpoint.addresses[0].is_bind);
}

static void
test_defaults_are_those_of_the_table(void **state)
{
    (void) state;
    yami_endpoint_t endpoint;
    assert_int_equal(yami_endpoint_parse(&endpoint, "tcp://x:1?", false), 0);
    assert_int_equal(endpoint.options.grade, YAMI_GRADE_FAST);
    assert_int_equal(endpoint.options.framing, YAMI_FRAMING_BATCH);
    assert_int_equal(endpoint.options.window, 65536);
    assert_int_equal(endpoint.options.window_bytes, 8 << 20);
    assert_int_equal(endpoint.options.batch_bytes, 0);
    assert_int_equal(endpoint.options.send_timeout_ms, -1);
    assert_int_equal(endpoint.options.linger_ms, 5000);
    assert_int_equal(endpoint.options.heartbeat_ms, 1000);
    assert_string_equal(endpoint.options.subject, "");
}

static void
test_options_are_taken_for_the_whole_list(void **state)
{
    (void) state;
    yami_endpoint_t endpoint;
    assert_int_equal(yami_endpoint_parse(&endpoint,
                                         ">tcp://x:1?grade=sure&name=n-1&group=g&start=17&lease=2m&"
                                         "subject=eu.de.&window=1k&hwm=7",
                                         false),
                     0);
    assert_int_equal(endpoint.options.grade, YAMI_GRADE_SURE);
    assert_string_equal(endpoint.options.name, "n-1");
    assert_string_equal(endpoint.options.group, "g");
    assert_string_equal(endpoint.options.start, "17");
    assert_int_equal(endpoint.options.lease_ms, 120000);
    assert_string_equal(endpoint.options.subject, "eu.de.");
    assert_int_equal(endpoint.options.window, 1024);
    assert_int_equal(endpoint.options.hwm, 7);
}

static void
test_relay_implies_sure(void **state)
{
    (void) state;
    yami_endpoint_t endpoint;
    assert_int_equal(yami_endpoint_parse(&endpoint, "@tcp://*:1?relay=/var/lib/x", false), 0);
    assert_int_equal(endpoint.options.grade, YAMI_GRADE_SURE);
    assert_string_equal(endpoint.options.relay, "/var/lib/x");
}

static void
test_a_server_key_may_hold_the_characters_that_separate(void **state)
{
    (void) state;
    const char *key = "?&rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf"; //  41: not a key
    char text[128];
    yami_endpoint_t endpoint;
    (void) snprintf(text, sizeof text, "tcp://x:1?server-key=%.40s&window=5", key);
    assert_int_equal(yami_endpoint_parse(&endpoint, text, false), 0);
    assert_int_equal(strncmp(endpoint.options.server_key, key, 40), 0);
    assert_int_equal(strlen(endpoint.options.server_key), 40);
    assert_int_equal(endpoint.options.window, 5);
    (void) snprintf(text, sizeof text, "tcp://x:1?server-key=%s", key);
    assert_int_equal(yami_endpoint_parse(&endpoint, text, false), -1);
}

static void
test_mistakes_name_their_column(void **state)
{
    (void) state;
    static const struct {
        const char *text;
        const char *part;
    } wrong[] = {
        {"", "missing at column 1"},
        {">", "missing at column 2"},
        {">tpc://x", "unknown transport \"tpc\" (use tcp, ipc, inproc, ws, tipc, norm, pgm or "
                     "epgm) at column 2"},
        {"tcp:/x", "no \"://\" in the address at column 1"},
        {"tcp://", "nothing after \"://\" at column 7"},
        {"tcp://a:1,", "missing at column 11"},
        {"tcp://a:1,,tcp://b:1", "missing at column 11"},
        {"tcp://a :1", "a space or control character at column 8"},
        {"tcp://a:1?grad=sure", "unknown option 'grad'"},
        {"tcp://a:1?grade=best", "must be one of fast|sure at column 11"},
        {"tcp://a:1?window=0", "at column 11"},
        {"tcp://a:1?window", "needs a value"},
        {"tcp://a:1?&", "the name of an option is missing or too long at column 11"},
        {"tcp://a:1?relay=/x&grade=fast", "relay= is the sure grade"},
        {"tcp://a:1?grade=sure&framing=raw", "framing=raw is for the fast grade only"},
        {"tcp://a:1?name=.x", "at column 11"},
        {"tcp://a:1?window=5&start=0",
         "start=0 is neither first nor new nor a sequence at column 20"},
        {"tcp://a:1?window=5&group=x y", "group: byte 1 of the name is 0x20; allowed are letters, "
                                         "digits and . - _ : / at column 20"},
        {"tcp://a:1?window=5&subject=a\nb", "control character in subject= at column 20"},
        {"tcp://a:1?window=5&framing=raw&grade=sure", "fast grade only at column 20"},
        {"tcp://a:1?relay=memory&grade=fast", "asked for at column 24"},
    };
    yami_endpoint_t endpoint;
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        errno = 0;
        assert_int_equal(yami_endpoint_parse(&endpoint, wrong[index].text, false), -1);
        assert_int_equal(errno, EINVAL);
        if (!strstr(yam_error(), wrong[index].part)) {
            fail_msg("\"%s\" is not in: %s", wrong[index].part, yam_error());
        }
    }
    assert_int_equal(yami_endpoint_parse(&endpoint, NULL, false), -1);
}

//  libzmq binds to what is left of a port in 16 bits.
static void
test_port_that_is_none_is_refused_with_its_column(void **state)
{
    (void) state;
    static const char *const right[] = {
        "tcp://a:1",
        "tcp://[::1]:65535",
        "@tcp://*:*",
        "@tcp://lo:0",
        "tcp://eth0:0;a:7",
        "tcp://x:1;[::1]:7",
        "ws://a:80/path:99999/x",
        "@ws://*:*",
        "ipc:///run/x:9999",
        "inproc://x:y",
        "tcp://a:00080",
    };
    static const struct {
        const char *text;
        const char *part;
    } wrong[] = {
        {"tcp://127.0.0.1:99999", "the port is no number from 1 to 65535 at column 17"},
        {"@tcp://127.0.0.1:65536", "at column 18"},
        {"tcp://127.0.0.1:-5", "at column 17"},
        {"tcp://127.0.0.1:4294967297", "at column 17"},
        {"tcp://127.0.0.1:", "at column 17"},
        {"tcp://127.0.0.1:1x", "at column 17"},
        {"@tcp://*:**", "at column 10"},
        {"tcp://127.0.0.1", "the port is missing (\":9260\") at column 16"},
        {"tcp://[::1]", "the port is missing (\":9260\") at column 12"},
        {"ws://a/b:80", "the port is missing (\":9260\") at column 7"},
        {"ws://a:99999/b", "at column 8"},
        {"tcp://a:1,tcp://b:99999", "at column 19"},
        {"tcp://a:99999;b:1", "at column 9"},
        {"tcp://a:1;b:99999", "at column 13"},
        {"tcp://a:0", "to connect to is missing (any will do only to bind) at column 9"},
        {">tcp://a:*", "to connect to is missing (any will do only to bind) at column 10"},
        {"tcp://a:*?grade=sure", "any will do only to bind"},
    };
    yami_endpoint_t endpoint;
    for (size_t index = 0; index < sizeof right / sizeof right[0]; index++) {
        assert_int_equal(yami_endpoint_parse(&endpoint, right[index], false), 0);
    }
    for (size_t index = 0; index < sizeof wrong / sizeof wrong[0]; index++) {
        assert_int_equal(yami_endpoint_parse(&endpoint, wrong[index].text, false), -1);
        assert_int_equal(errno, EINVAL);
        if (!strstr(yam_error(), wrong[index].part)) {
            fail_msg("\"%s\" is not in: %s", wrong[index].part, yam_error());
        }
    }
}

static void
test_in_the_sure_grade_the_relay_decides_who_binds(void **state)
{
    (void) state;
    yami_endpoint_t endpoint;
    assert_int_equal(yami_endpoint_parse(&endpoint, "tcp://a:1?grade=sure", true), 0);
    assert_false(endpoint.addresses[0].is_bind);
    assert_int_equal(yami_endpoint_parse(&endpoint, "tcp://*:*?relay=memory", false), 0);
    assert_true(endpoint.addresses[0].is_bind);
    assert_int_equal(yami_endpoint_parse(&endpoint, "@tcp://*:*?grade=sure", false), 0);
    assert_true(endpoint.addresses[0].is_bind);
}

static void
test_limits_hold_and_any_bytes_are_refused_or_parsed(void **state)
{
    (void) state;
    char text[8192];
    size_t used = 0;
    yami_endpoint_t endpoint;
    for (int count = 0; count < 17; count++) {
        used += (size_t) snprintf(text + used, sizeof text - used, "%stcp://x:1", count ? "," : "");
    }
    assert_int_equal(yami_endpoint_parse(&endpoint, text, false), -1);
    memset(text, 'a', sizeof text);
    memcpy(text, "ipc://", 6);
    text[255] = '\0';
    assert_int_equal(yami_endpoint_parse(&endpoint, text, false), 0);
    text[255] = 'a';
    text[256] = '\0';
    assert_int_equal(yami_endpoint_parse(&endpoint, text, false), -1);
    memset(text, 'a', sizeof text);
    memcpy(text, "tcp://x:1?relay=", 16);
    text[16 + 1024] = '\0';
    assert_int_equal(yami_endpoint_parse(&endpoint, text, false), -1);
    assert_non_null(strstr(yam_error(), "longer than 1023 bytes at column 17"));
    static const char alphabet[] = "@>tcpi:/,?&=an1-rlsugdew";
    for (int round = 0; round < 20000; round++) {
        uint8_t random[40];
        yami_random(random, sizeof random);
        size_t size = random[0] % sizeof random;
        for (size_t index = 0; index < size; index++) {
            text[index] = alphabet[random[index] % (sizeof alphabet - 1)];
        }
        text[size] = '\0';
        (void) yami_endpoint_parse(&endpoint, text, false);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signs_say_bind_or_connect_and_default_otherwise),
        cmocka_unit_test(test_defaults_are_those_of_the_table),
        cmocka_unit_test(test_options_are_taken_for_the_whole_list),
        cmocka_unit_test(test_relay_implies_sure),
        cmocka_unit_test(test_a_server_key_may_hold_the_characters_that_separate),
        cmocka_unit_test(test_mistakes_name_their_column),
        cmocka_unit_test(test_port_that_is_none_is_refused_with_its_column),
        cmocka_unit_test(test_in_the_sure_grade_the_relay_decides_who_binds),
        cmocka_unit_test(test_limits_hold_and_any_bytes_are_refused_or_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
