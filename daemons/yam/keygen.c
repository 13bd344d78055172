//  yam keygen: a CURVE certificate, as CZMQ keeps them.

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

typedef struct {
    cli_common_t common;
    bool is_forced;
} s_values_t;

static s_values_t s_values;

static const yami_option_t s_table[] = {
    CLI_HELP(s_values_t), CLI_FLAG(s_values_t, "force", is_forced, "replace existing files"),
    CLI_END};

static int
s_keygen(char **operands)
{
    const char *path = operands[0];
    char secret[1024];
    int length = snprintf(secret, sizeof secret, "%s_secret", path);
    if (length < 0 || (size_t) length >= sizeof secret || !*path) {
        return cli_complain(EX_USAGE, "the name of the file is empty or too long");
    }
    if (!s_values.is_forced && (zsys_file_exists(path) || zsys_file_exists(secret))) {
        return cli_complain(EX_CANTCREAT,
                            "%s exists (give another name, or --force to replace the key)", path);
    }
    zcert_t *certificate = zcert_new();
    int rc = certificate ? zcert_save(certificate, path) : -1;
    if (rc == -1) {
        zcert_destroy(&certificate);
        return cli_complain(EX_CANTCREAT, "cannot write %s: %s", path, strerror(errno));
    }
    (void) printf("%s\n", zcert_public_txt(certificate));
    zcert_destroy(&certificate);
    return EX_OK;
}

const cli_command_t cli_keygen = {
    "keygen",
    "FILE",
    1,
    1,
    "make a key pair for CURVE",
    "Writes FILE (public: give it to the other side) and FILE_secret, and prints the public key "
    "for\n"
    "'server-key=' in endpoints. Use: yamd --certificate FILE; yam --certificate FILE.\n",
    {s_table, "h=help"},
    &s_values,
    s_keygen};
