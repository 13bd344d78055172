//  Certificates: a file of any content gives a server its key pair, or there is a sentence; and of
//  a directory with that file, the doorman lets in the key that is in it and no other.
//
//  Input: a byte, whose key is asked for: 0..127 the file's, else one that the 32 bytes behind it
//  say; the file.

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "harness/fuzz.h"
#include "yam_error.h"
#include "yami_base.h"
#include "yami_credentials.h"

#define S_KEY_SIZE 32
#define S_DOMAIN "yam-fuzz"
#define S_OTHER 128

static char s_folder[256];
static char s_path[sizeof s_folder + 8];
static yam_t *s_yam;
static yami_doorman_t *s_doorman;
static void *s_socket; //  REQ, to the doorman

static void
s_remove(void)
{
    (void) unlink(s_path);
    (void) rmdir(s_folder);
}

static void
s_start(void)
{
    const char *parent = getenv("TMPDIR");
    (void) snprintf(s_folder, sizeof s_folder, "%s/yam-fuzz-XXXXXX", parent ? parent : "/tmp");
    YAM_ASSERT(mkdtemp(s_folder));
    (void) snprintf(s_path, sizeof s_path, "%s/client", s_folder);
    (void) atexit(s_remove);
    s_yam = yam_new();
    s_doorman = yami_context_doorman(s_yam);
    s_socket = zmq_socket(yam_zmq_context(s_yam), ZMQ_REQ);
    YAM_ASSERT(s_doorman && s_socket && zmq_connect(s_socket, "inproc://zeromq.zap.01") == 0);
}

static void
s_write(const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(s_path, "we");
    YAM_ASSERT(file && fwrite(bytes, 1, size, file) == size);
    YAM_ASSERT(fclose(file) == 0);
}

//  As a server or client loads its own.
static void
s_load(void)
{
    static const uint8_t zeros[S_KEY_SIZE];
    zcert_t *certificate = yami_certificate_load(s_path);
    if (certificate == NULL) {
        YAM_ASSERT(errno == EINVAL && *yam_error());
        return;
    }
    void *socket = zmq_socket(yam_zmq_context(s_yam), ZMQ_DEALER);
    YAM_ASSERT(socket && memcmp(zcert_secret_key(certificate), zeros, S_KEY_SIZE) != 0);
    YAM_ASSERT(yami_certificate_apply_server(certificate, socket) == 0);
    YAM_ASSERT(yami_certificate_apply_client(certificate, socket, zcert_public_txt(certificate)) ==
               0);
    (void) zmq_close(socket);
    zcert_destroy(&certificate);
}

//  Whether there is a key in the file.
static bool
s_read_key(uint8_t key[S_KEY_SIZE])
{
    zcert_t *certificate = zcert_load(s_path);
    bool is_there = certificate && zmq_z85_decode(key, zcert_public_txt(certificate));
    zcert_destroy(&certificate);
    return is_there;
}

//  As libzmq asks when somebody connects.
static bool
s_is_let_in(const uint8_t key[S_KEY_SIZE])
{
    static const char *const parts[] = {"1.0", "1", S_DOMAIN, "127.0.0.1", "", "CURVE"};
    char code[4] = "";
    int has_more = 1;
    size_t size = sizeof has_more;
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++) {
        YAM_ASSERT(zmq_send(s_socket, parts[index], strlen(parts[index]), ZMQ_SNDMORE) >= 0);
    }
    YAM_ASSERT(zmq_send(s_socket, key, S_KEY_SIZE, 0) == S_KEY_SIZE);
    for (int count = 0; has_more != 0; count++) {
        char part[8] = "";
        while (zmq_recv(s_socket, part, sizeof part - 1, 0) == -1) {
            YAM_ASSERT(errno == EINTR); //  libFuzzer's alarm
        }
        if (count == 2) {
            (void) snprintf(code, sizeof code, "%.3s", part);
        }
        YAM_ASSERT(zmq_getsockopt(s_socket, ZMQ_RCVMORE, &has_more, &size) == 0);
    }
    YAM_ASSERT(strcmp(code, "200") == 0 || strcmp(code, "400") == 0);
    return *code == '2';
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Atomic uint64_t denied = 0;
    uint8_t own[S_KEY_SIZE] = {0}, asked[S_KEY_SIZE] = {0};
    fuzz_input_t input;
    fuzz_input_init(&input, data, size);
    if (s_yam == NULL) {
        s_start();
    }
    bool is_other = fuzz_u8(&input) >= S_OTHER;
    for (size_t index = 0; is_other && index < S_KEY_SIZE; index++) {
        asked[index] = fuzz_u8(&input);
    }
    s_write(data + input.position, fuzz_left(&input));
    s_load();
    bool is_there = s_read_key(own);
    if (!is_other) {
        memcpy(asked, own, S_KEY_SIZE);
    }
    YAM_ASSERT(yami_doorman_guard(s_doorman, S_DOMAIN, s_folder, &denied) == 0);
    bool is_let_in = s_is_let_in(asked);
    YAM_ASSERT(is_let_in == (is_there && memcmp(own, asked, S_KEY_SIZE) == 0));
    YAM_ASSERT(denied == (is_let_in ? 0 : 1));
    yami_doorman_leave(s_doorman, S_DOMAIN);
    return 0;
}
