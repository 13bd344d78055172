/*  yami_thread - threads of our own.
*/
#ifndef YAMI_THREAD_H
#define YAMI_THREAD_H

#include <pthread.h>

//  Starts one that takes no signal: those are for the application's own threads. 0, or an error
//  number of pthread_create.
int
yami_thread_start(pthread_t *thread, void *(*run)(void *), void *arg);

#endif
