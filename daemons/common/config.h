/*  A daemon's file: lines "name = value", '#' begins a comment; CZMQ's zconfig format without
    sections.
*/
#ifndef DAEMON_CONFIG_H
#define DAEMON_CONFIG_H

//  Takes one option; 0, or -1 with errno and a sentence.
typedef int (*daemon_config_fn)(void *arg, const char *name, const char *value);

//  Calls set for each line of the file at path. 0, or -1 with errno (EINVAL: a line is not as it
//  should be, or set refused it) and a sentence that begins with file and line.
int
daemon_config_read(const char *path, daemon_config_fn set, void *arg);

#endif
