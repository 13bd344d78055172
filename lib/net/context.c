//  yam_t: a ZeroMQ context, an engine, a certificate.

#include "yam_context.h"

#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "yami_base.h"
#include "yami_context.h"
#include "yami_credentials.h"
#include "yami_fork.h"
#include "yami_socket.h"

#ifndef YAM_VERSION
#define YAM_VERSION "0.0.0" //  the build says which one; a linter does not
#endif
#define ZMQ_THREADS 2 //  one for I/O, and the reaper
#define SOCKET_LIMIT 16384
#define ALLOCATOR_LESSON ((size_t) 31 << 20) //  glibc takes no more than 32 MiB for an example

struct yam {
    uint64_t fork_stamp;   //  of the process that made it
    void *zmq;             //  owned context
    yami_engine_t *engine; //  owned
    pthread_mutex_t lock;  //  guards the certificate; taken in the engine's steps, too
    zcert_t *certificate;  //  owned; NULL: no CURVE
    //  Guards the doorman, which is handed to the engine under it: so never taken in a step.
    pthread_mutex_t doorman_lock;
    yami_doorman_t *doorman; //  owned; NULL until somebody lists the clients allowed
};

static void *
s_pass(void *arg)
{
    pthread_mutex_t *gate = arg;
    (void) pthread_mutex_lock(gate);
    (void) pthread_mutex_unlock(gate);
    return NULL;
}

//  libzmq ends the process when it cannot start its threads: whether there is room for as many is
//  tried before.
static int
s_check_threads(pthread_mutex_t *gate)
{
    pthread_t threads[ZMQ_THREADS];
    size_t count = 0;
    int rc = 0;
    (void) pthread_mutex_lock(gate);
    while (count < ZMQ_THREADS && rc == 0) {
        rc = pthread_create(&threads[count], NULL, s_pass, gate);
        count += rc == 0 ? 1 : 0;
    }
    (void) pthread_mutex_unlock(gate);
    for (size_t index = 0; index < count; index++) {
        (void) pthread_join(threads[index], NULL);
    }
    return rc == 0 ? 0
                   : yami_fail(ENOMEM,
                               "cannot start ZeroMQ's threads: %s (raise the limit of "
                               "threads)",
                               strerror(rc));
}

static int
s_open(yam_t *self)
{
    self->engine = yami_engine_new();
    if (!self->engine || s_check_threads(&self->lock) == -1) {
        return -1;
    }
    self->zmq = zmq_ctx_new();
    if (!self->zmq) {
        return yami_fail(errno, "cannot make a ZeroMQ context: %s", zmq_strerror(errno));
    }
    (void) zmq_ctx_set(self->zmq, ZMQ_MAX_SOCKETS, SOCKET_LIMIT);
    //  Its threads start with the first socket: have them started here, where descriptors are known
    //  to be left.
    void *socket = zmq_socket(self->zmq, ZMQ_PAIR);
    if (!socket) {
        return yami_fail(errno, "cannot start ZeroMQ: %s", zmq_strerror(errno));
    }
    (void) zmq_close(socket);
    return 0;
}

//  Frames of some 100 KiB come and go, in ZeroMQ's threads. glibc gives such memory back to the
//  kernel at once, and every page of it then costs a fault when it is next wanted, more than all
//  else we do with it. It learns by the largest piece freed so far, and keeps twice as much of free
//  memory: show it one that is as large as the windows on their way.
static void
s_teach_allocator(void)
{
    void *volatile piece = malloc(ALLOCATOR_LESSON);
    free(piece);
}

yam_t *
yam_new(void)
{
    yami_fork_watch();
    s_teach_allocator();
    if (yami_socket_check_descriptors() == -1) {
        return NULL;
    }
    yam_t *self = yami_alloc(sizeof *self);
    self->fork_stamp = yami_fork_stamp();
    (void) pthread_mutex_init(&self->lock, NULL);
    (void) pthread_mutex_init(&self->doorman_lock, NULL);
    if (s_open(self) == -1) {
        int error = errno;
        yam_destroy(&self);
        errno = error;
    }
    return self;
}

void
yam_destroy(yam_t **self_p)
{
    yam_t *self = self_p ? *self_p : NULL;
    if (!self) {
        return;
    }
    *self_p = NULL;
    bool is_ours = self->fork_stamp == yami_fork_stamp();
    if (is_ours) {
        yami_doorman_destroy(&self->doorman);
    }
    yami_engine_destroy(&self->engine);
    if (is_ours && self->zmq) {
        //  Waits for what sockets still linger with; a signal must not cut that short.
        while (zmq_ctx_term(self->zmq) == -1 && errno == EINTR) {
        }
    }
    zcert_destroy(&self->certificate);
    yami_free(self);
}

void *
yam_zmq_context(yam_t *self)
{
    return self->zmq;
}

const char *
yam_version(void)
{
    return YAM_VERSION;
}

yami_engine_t *
yami_context_engine(yam_t *self)
{
    return self->engine;
}

bool
yami_context_is_ours(const yam_t *self)
{
    if (__builtin_expect(self->fork_stamp == yami_fork_stamp(), true)) {
        return true;
    }
    (void) yami_fail(ECHILD, "a yam_t does not survive a fork: make a new one in the child");
    return false;
}

int
yam_set_certificate(yam_t *self, const char *path)
{
    if (!yami_context_is_ours(self)) {
        return -1;
    }
    zcert_t *certificate = yami_certificate_load(path);
    if (!certificate) {
        return -1;
    }
    (void) pthread_mutex_lock(&self->lock);
    zcert_destroy(&self->certificate);
    self->certificate = certificate;
    (void) pthread_mutex_unlock(&self->lock);
    return 0;
}

yami_doorman_t *
yami_context_doorman(yam_t *self)
{
    (void) pthread_mutex_lock(&self->doorman_lock);
    if (!self->doorman) {
        self->doorman = yami_doorman_new(self);
    }
    yami_doorman_t *doorman = self->doorman;
    (void) pthread_mutex_unlock(&self->doorman_lock);
    return doorman;
}

//  Client when the far end's key is given, server otherwise; nothing without a certificate.
static int
s_protect(yam_t *self, void *socket, const char *server_key)
{
    (void) pthread_mutex_lock(&self->lock);
    int rc = 0;
    if (self->certificate && server_key[0]) {
        rc = yami_certificate_apply_client(self->certificate, socket, server_key);
    } else if (self->certificate) {
        rc = yami_certificate_apply_server(self->certificate, socket);
    } else if (server_key[0]) {
        rc =
            yami_fail(EINVAL, "server-key= needs a certificate of one's own (yam_set_certificate)");
    }
    (void) pthread_mutex_unlock(&self->lock);
    return rc;
}

void *
yami_context_socket(yam_t *self, int type, const yami_endpoint_options_t *options)
{
    if (!yami_context_is_ours(self)) {
        return NULL;
    }
    void *socket = yami_socket_open(self->zmq, type, options);
    if (socket && s_protect(self, socket, options->server_key) == -1) {
        yami_socket_close(socket);
        socket = NULL;
    }
    return socket;
}
