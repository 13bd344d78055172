/*  How a received message is printed.

    %b body  %k key  %s subject  %n sequence  %d deliveries  %f failures  %t time taken by the relay
    %{NAME} property %0 NUL byte  %% percent sign; \n newline  \t tab  \r return  \\ backslash. All
    else stands for itself.
*/
#ifndef YAM_CLI_FORMAT_H
#define YAM_CLI_FORMAT_H

#include <stdint.h>
#include <stdio.h>

#include "yam_message.h"

//  0, or -1 with errno EINVAL and a sentence that names the column.
int
cli_format_check(const char *format);

//  Prints message; format has been checked. Errors are those of out.
void
cli_format_print(const char *format, yam_message_t *message, FILE *out);

//  "2026-01-31T12:00:00.123Z" into buffer (at least 32 bytes), "" for time 0. Returns buffer.
const char *
cli_format_time(int64_t time_ms, char *buffer, size_t size);

//  The reverse, and milliseconds since 1970: 1..2^53-1, or -1 with errno EINVAL and a sentence.
int64_t
cli_parse_time(const char *text);

#endif
