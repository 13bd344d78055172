#include <pthread.h>

#include "yam_endpoint.h"
#include "yami_endpoint.h"

static char s_text[4096];
static pthread_once_t s_once = PTHREAD_ONCE_INIT;

static void
s_write(void)
{
    yami_options_help(yami_endpoint_option_table, s_text, sizeof s_text);
}

const char *
yam_endpoint_options_help(void)
{
    (void) pthread_once(&s_once, s_write);
    return s_text;
}
