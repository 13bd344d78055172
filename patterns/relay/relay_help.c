#include <pthread.h>

#include "yam_relay.h"
#include "yami_relay_options.h"

static char s_text[8192];
static pthread_once_t s_once = PTHREAD_ONCE_INIT;

static void
s_write(void)
{
    yami_options_help(yami_relay_option_table, s_text, sizeof s_text);
}

const char *
yam_relay_options_help(void)
{
    pthread_once(&s_once, s_write);
    return s_text;
}
