//  Endpoint strings. Everything in them comes from users, so every refusal names the column.

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "yam_error.h"
#include "yami_base.h"
#include "yami_endpoint.h"
#include "yami_limits.h"
#include "yami_properties.h"

#define SHOWN_LIMIT 100 //  bytes of the string that an error shows
#define KEY_SIZE 40     //  a CURVE key in Z85
#define DAY_MS (24ll * 60 * 60 * 1000)

#define OPTION(field) offsetof(yami_endpoint_options_t, field)
#define INT YAMI_OPTION_INT
#define STRING YAMI_OPTION_STRING
#define CHOICE YAMI_OPTION_CHOICE

//  name, type, offset, minimum, maximum, initial, unit, choices, help
const yami_option_t yami_endpoint_option_table[] = {
    {"grade", CHOICE, OPTION(grade), 0, 0, "fast", "", "fast|sure",
     "fast: peer to peer, at most once; sure: at least once, through a relay"},
    {"framing", CHOICE, OPTION(framing), 0, 0, "batch", "", "batch|raw",
     "raw: one message per frame, for any ZeroMQ program at the other end (fast)"},
    {"relay", STRING, OPTION(relay), 0, 1023, NULL, "", NULL,
     "directory of a relay in this process, or \"memory\" (implies sure)"},
    {"name", STRING, OPTION(name), 0, YAMI_LIMIT_NAME, NULL, "", NULL,
     "durable name of this producer; a newer one takes over, and sends new messages (sure)"},
    {"group", STRING, OPTION(group), 0, YAMI_LIMIT_NAME, NULL, "", NULL,
     "durable subscription, shared by its members (sure)"},
    {"start", STRING, OPTION(start), 0, 31, NULL, "", NULL,
     "where a new subscription begins: first, new or a sequence (sure)"},
    {"subject", STRING, OPTION(subject), 0, YAMI_LIMIT_SUBJECT, NULL, "", NULL,
     "subjects wanted: a prefix (fast) or a filter (sure)"},
    {"server-key", STRING, OPTION(server_key), KEY_SIZE, KEY_SIZE, NULL, "", NULL,
     "public CURVE key of the far end, 40 characters of Z85"},
    {"window", INT, OPTION(window), 1, YAMI_LIMIT_WINDOW_MESSAGES, "65536", "messages", NULL,
     "most unconfirmed messages of a sender (sure)"},
    {"window-bytes", INT, OPTION(window_bytes), 1, YAMI_LIMIT_WINDOW_BYTES, "8M", "bytes", NULL,
     "most unconfirmed bytes of a sender (sure)"},
    {"batch-bytes", INT, OPTION(batch_bytes), 0, YAMI_LIMIT_FRAME, "0", "bytes", NULL,
     "most bytes of a frame of several messages; 0: what suits (256k, fast queues 512k)"},
    {"credit", INT, OPTION(credit), 1, YAMI_LIMIT_WINDOW_MESSAGES, "65536", "messages", NULL,
     "most unsettled messages of a receiver (sure)"},
    {"credit-bytes", INT, OPTION(credit_bytes), 1, YAMI_LIMIT_WINDOW_BYTES, "8M", "bytes", NULL,
     "most unsettled bytes of a receiver (sure)"},
    {"limit", INT, OPTION(limit), 0, INT64_MAX, "0", "messages", NULL,
     "most messages a receiver is sent in all, 0: no limit (sure)"},
    {"lease", INT, OPTION(lease_ms), 0, DAY_MS, "0", "ms", NULL,
     "time to settle a message, 0: the relay's (sure)"},
    {"hwm", INT, OPTION(hwm), 0, 100000, "0", "frames", NULL,
     "frames waiting in a socket, per peer; 0: what suits (64, raw 1000, fast queues 4)"},
    {"immediate", YAMI_OPTION_BOOL, OPTION(is_immediate), 0, 0, "false", "", NULL,
     "give messages to connected peers only: none waits in a socket for who may come (fast "
     "queues)"},
    {"send-timeout", INT, OPTION(send_timeout_ms), -1, DAY_MS, "-1", "ms", NULL,
     "how long a send may wait for room, -1: for ever"},
    {"linger", INT, OPTION(linger_ms), -1, DAY_MS, "5s", "ms", NULL,
     "how long destroy waits for what is still on its way"},
    {"connect-timeout", INT, OPTION(connect_timeout_ms), -1, DAY_MS, "5s", "ms", NULL,
     "how long a new subscription waits for the relay (sure)"},
    {"heartbeat", INT, OPTION(heartbeat_ms), 10, 60 * 1000, "1s", "ms", NULL,
     "a silent relay or service is asked this often, and given up after three times that"},
    {"retries", INT, OPTION(retries), 0, 100, "2", "", NULL,
     "how often a call is tried again after its server died or refused it for now"},
    {"workers", INT, OPTION(workers), 1, 256, "1", "threads", NULL,
     "how many threads call a service's handler"},
    {NULL, INT, 0, 0, 0, NULL, NULL, NULL, NULL},
};

static const char *const s_transports[] = {"tcp",  "ipc", "inproc", "ws", "tipc",
                                           "norm", "pgm", "epgm",   NULL};

//  What is being parsed.
typedef struct {
    yami_endpoint_t *endpoint; //  borrowed
    const char *text;          //  borrowed, the whole string
    bool bind_by_default;
    const char *grade_at;   //  borrowed; where grade= was given, NULL: nowhere
    const char *framing_at; //  borrowed; where framing= was given, NULL: nowhere
} s_parser_t;

//  -1 with errno EINVAL and a sentence that shows the string and the column of at.
static int
s_refuse(const s_parser_t *parser, const char *at, const char *reason)
{
    size_t length = strlen(parser->text);
    return yami_fail(EINVAL, "endpoint \"%.*s%s\": %s at column %zu", SHOWN_LIMIT, parser->text,
                     length > SHOWN_LIMIT ? "..." : "", reason, (size_t) (at - parser->text) + 1);
}

static int
s_check_transport(const s_parser_t *parser, const char *at, size_t size)
{
    for (const char *const *known = s_transports; *known; known++) {
        if (strlen(*known) == size && memcmp(*known, at, size) == 0) {
            return 0;
        }
    }
    char reason[128];
    (void) snprintf(
        reason, sizeof reason,
        "unknown transport \"%.*s\" (use tcp, ipc, inproc, ws, tipc, norm, pgm or epgm)",
        (int) (size < 20 ? size : 20), at);
    return s_refuse(parser, at, reason);
}

//  size bytes at at, without the sign.
static int
s_check_address(const s_parser_t *parser, const char *at, size_t size)
{
    if (size == 0) {
        return s_refuse(parser, at, "an address is missing");
    }
    if (size > YAMI_LIMIT_ADDRESS) {
        return s_refuse(parser, at, "an address is longer than 255 bytes");
    }
    for (size_t index = 0; index < size; index++) {
        if (!isgraph((unsigned char) at[index])) {
            return s_refuse(parser, at + index, "a space or control character");
        }
    }
    const char *separator = memmem(at, size, "://", 3);
    if (!separator) {
        return s_refuse(parser, at, "no \"://\" in the address");
    }
    if (s_check_transport(parser, at, (size_t) (separator - at)) == -1) {
        return -1;
    }
    return separator + 3 == at + size ? s_refuse(parser, separator + 3, "nothing after \"://\"")
                                      : 0;
}

//  One address with its sign, of size bytes.
static int
s_parse_address(s_parser_t *parser, const char *at, size_t size)
{
    yami_endpoint_t *endpoint = parser->endpoint;
    if (endpoint->address_count == YAMI_LIMIT_ADDRESSES) {
        return s_refuse(parser, at, "more than 16 addresses");
    }
    bool has_sign = size > 0 && (*at == '@' || *at == '>');
    yami_address_t *address = &endpoint->addresses[endpoint->address_count];
    address->is_bind = has_sign ? *at == '@' : parser->bind_by_default;
    address->has_sign = has_sign;
    at += has_sign ? 1 : 0;
    size -= has_sign ? 1 : 0;
    if (s_check_address(parser, at, size) == -1) {
        return -1;
    }
    memcpy(address->address, at, size);
    address->address[size] = '\0';
    address->column = (size_t) (at - parser->text) + 1;
    endpoint->address_count++;
    return 0;
}

static int
s_parse_list(s_parser_t *parser, size_t size)
{
    const char *at = parser->text;
    const char *end = parser->text + size;
    for (;;) {
        const char *comma = memchr(at, ',', (size_t) (end - at));
        const char *stop = comma ? comma : end;
        if (s_parse_address(parser, at, (size_t) (stop - at)) == -1) {
            return -1;
        }
        if (!comma) {
            return 0;
        }
        at = comma + 1;
    }
}

static bool
s_start_is_sound(const char *start)
{
    return *start == '\0' || strcmp(start, "first") == 0 || strcmp(start, "new") == 0 ||
           (*start != '0' && strspn(start, "0123456789") == strlen(start) && strlen(start) <= 18);
}

static bool
s_is_printable(const char *text)
{
    for (; *text; text++) {
        if ((unsigned char) *text < 0x20 || *text == 0x7f) {
            return false;
        }
    }
    return true;
}

//  What a text must be besides not too long.
static int
s_check_text(const char *name, const char *value)
{
    if (strcmp(name, "name") == 0 || strcmp(name, "group") == 0) {
        return *value ? yami_name_check(yami_slice_text(value), name) : 0;
    }
    if (strcmp(name, "start") == 0 && !s_start_is_sound(value)) {
        return yami_fail(EINVAL, "start=%s is neither first nor new nor a sequence", value);
    }
    if (strcmp(name, "subject") == 0 && !s_is_printable(value)) {
        return yami_fail(EINVAL, "a control character in subject=");
    }
    return 0;
}

int
yami_endpoint_set(yami_endpoint_options_t *options, const char *name, const char *value)
{
    yami_endpoint_options_t before = *options;
    if (yami_options_set(yami_endpoint_option_table, options, name, value) == -1) {
        return -1;
    }
    if (value && s_check_text(name, value) == -1) {
        *options = before;
        return -1;
    }
    return 0;
}

//  Where the value at at ends. Z85 has '&' and '?' among its characters: a key is told by its
//  length.
static size_t
s_value_size(const char *name, const char *at)
{
    if (strcmp(name, "server-key") == 0 && strlen(at) >= KEY_SIZE &&
        (at[KEY_SIZE] == '&' || at[KEY_SIZE] == '\0')) {
        return KEY_SIZE;
    }
    return strcspn(at, "&");
}

//  One "name=value" at *at_p, which moves behind it.
static int
s_parse_option(s_parser_t *parser, const char **at_p)
{
    const char *at = *at_p;
    char name[YAMI_LIMIT_OPTION_NAME + 1];
    char value[YAMI_LIMIT_OPTION_VALUE + 1];
    size_t name_size = strcspn(at, "=&");
    if (name_size == 0 || name_size > YAMI_LIMIT_OPTION_NAME) {
        return s_refuse(parser, at, "the name of an option is missing or too long");
    }
    memcpy(name, at, name_size);
    name[name_size] = '\0';
    bool has_value = at[name_size] == '=';
    const char *value_at = at + name_size + (has_value ? 1 : 0);
    size_t value_size = has_value ? s_value_size(name, value_at) : 0;
    if (value_size > YAMI_LIMIT_OPTION_VALUE) {
        return s_refuse(parser, value_at, "the value of an option is longer than 1023 bytes");
    }
    memcpy(value, value_at, value_size);
    value[value_size] = '\0';
    if (yami_endpoint_set(&parser->endpoint->options, name, has_value ? value : NULL) == -1) {
        char reason[400];
        (void) snprintf(reason, sizeof reason, "%.399s", yam_error());
        return s_refuse(parser, at, reason);
    }
    parser->grade_at = strcmp(name, "grade") == 0 ? at : parser->grade_at;
    parser->framing_at = strcmp(name, "framing") == 0 ? at : parser->framing_at;
    *at_p = value_at + value_size;
    return 0;
}

static int
s_parse_options(s_parser_t *parser, const char *at)
{
    for (;;) {
        if (s_parse_option(parser, &at) == -1) {
            return -1;
        }
        if (*at == '\0') {
            return 0;
        }
        at++; //  the '&'
    }
}

//  What one option says about another.
static int
s_check_options(s_parser_t *parser)
{
    yami_endpoint_options_t *options = &parser->endpoint->options;
    if (options->relay[0] && parser->grade_at && options->grade == YAMI_GRADE_FAST) {
        return s_refuse(parser, parser->grade_at,
                        "relay= is the sure grade, but grade=fast was asked for");
    }
    options->grade = options->relay[0] ? YAMI_GRADE_SURE : options->grade;
    if (options->grade == YAMI_GRADE_SURE && options->framing == YAMI_FRAMING_RAW) {
        return s_refuse(parser, parser->framing_at, "framing=raw is for the fast grade only");
    }
    return 0;
}

//  In the sure grade who is on the relay's side binds, who is not connects, whatever the class does
//  among its peers.
static void
s_choose_signs(yami_endpoint_t *endpoint)
{
    for (size_t index = 0; index < endpoint->address_count; index++) {
        yami_address_t *address = &endpoint->addresses[index];
        if (!address->has_sign && endpoint->options.grade == YAMI_GRADE_SURE) {
            address->is_bind = endpoint->options.relay[0] != '\0';
        }
    }
}

//  The port behind the last ':' of size bytes. libzmq takes any number, and uses its last 16 bits.
static int
s_check_port(const s_parser_t *parser, const char *at, size_t size, bool is_bind)
{
    const char *colon = memrchr(at, ':', size);
    const char *bracket = memrchr(at, ']', size); //  "[::1]"
    if (!colon || (bracket && bracket > colon)) {
        return s_refuse(parser, at + size, "the port is missing (\":9260\")");
    }
    const char *port = colon + 1;
    const char *end = at + size;
    uint32_t number = 0;
    if (port + 1 == end && *port == '*') {
        port++;
    }
    for (; port < end && isdigit((unsigned char) *port) && number <= UINT16_MAX; port++) {
        number = number * 10 + (uint32_t) (*port - '0');
    }
    if (port == colon + 1 || port < end || number > UINT16_MAX) {
        return s_refuse(parser, colon + 1, "the port is no number from 1 to 65535");
    }
    return number > 0 || is_bind
               ? 0
               : s_refuse(parser, colon + 1,
                          "a port to connect to is missing (any will do only to bind)");
}

//  A tcp address that connects may begin with where it connects from, and ';'; one of ws may end
//  with a path.
static int
s_check_ports(const s_parser_t *parser, const yami_address_t *address)
{
    bool is_ws = strncmp(address->address, "ws://", 5) == 0;
    if (!is_ws && strncmp(address->address, "tcp://", 6) != 0) {
        return 0;
    }
    const char *at = parser->text + address->column - 1;
    const char *end = at + strlen(address->address);
    at = strstr(at, "://") + 3;
    const char *path = is_ws ? memchr(at, '/', (size_t) (end - at)) : NULL;
    end = path ? path : end;
    const char *target = is_ws ? NULL : memchr(at, ';', (size_t) (end - at));
    if (target && s_check_port(parser, at, (size_t) (target - at), true) == -1) {
        return -1;
    }
    at = target ? target + 1 : at;
    return s_check_port(parser, at, (size_t) (end - at), address->is_bind);
}

int
yami_endpoint_parse(yami_endpoint_t *self, const char *text, bool bind_by_default)
{
    if (!text) {
        return yami_fail(EINVAL, "endpoint: NULL was given (use for example \">tcp://host:9260\")");
    }
    s_parser_t parser = {.endpoint = self, .text = text, .bind_by_default = bind_by_default};
    memset(self, 0, sizeof *self);
    yami_options_init(yami_endpoint_option_table, &self->options);
    size_t size = strcspn(text, "?");
    if (s_parse_list(&parser, size) == -1) {
        return -1;
    }
    const char *options = text[size] == '?' ? text + size + 1 : text + size;
    if (*options != '\0' && s_parse_options(&parser, options) == -1) {
        return -1;
    }
    if (s_check_options(&parser) == -1) {
        return -1;
    }
    s_choose_signs(self);
    for (size_t index = 0; index < self->address_count; index++) {
        if (s_check_ports(&parser, &self->addresses[index]) == -1) {
            return -1;
        }
    }
    return 0;
}
