//  Certificates on sockets, and the doorman that answers libzmq's ZAP questions.
//
//  The doorman is a task of the engine. It reads a directory only when that has changed, so a
//  question costs a few system calls; no question can be asked more often than peers connect.

#include "yami_credentials.h"

#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "yami_base.h"
#include "yami_log.h"
#include "yami_socket.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define KEY_SIZE 32      //  bytes of a CURVE key
#define KEY_TEXT_SIZE 41 //  in Z85, with its NUL
#define DOMAIN_PREFIX "yam-"
#define DOMAIN_SIZE 32
#define DOMAIN_LIMIT 256
#define QUESTIONS_PER_STEP 64

enum {
    VERSION,
    REQUEST_ID,
    DOMAIN,
    ADDRESS,
    IDENTITY,
    MECHANISM,
    CREDENTIALS,
    PART_COUNT
};

typedef struct {
    char name[DOMAIN_SIZE];
    zcertstore_t *clients;      //  owned
    _Atomic uint64_t *denied_p; //  borrowed
} s_domain_t;

struct yami_doorman {
    yami_engine_t *engine; //  borrowed
    yami_task_t task;
    pthread_mutex_t lock; //  guards the domains
    s_domain_t *domains;  //  owned
    size_t domain_count;
    size_t domain_capacity;
};

struct yami_credentials {
    yam_t *yam;               //  borrowed
    zcert_t *certificate;     //  owned
    char domain[DOMAIN_SIZE]; //  "" when every key may come in
    _Atomic uint64_t denied;
};

//  -- Certificates ------------------------------------------------------------------------------

zcert_t *
yami_certificate_load(const char *path)
{
    if (!path || access(path, R_OK) == -1) {
        int error = path ? errno : EINVAL;
        (void) yami_fail(error, "cannot read certificate %s: %s", path ? path : "NULL",
                         strerror(error));
        return NULL;
    }
    static const uint8_t no_key[KEY_SIZE];
    zcert_t *certificate = zcert_load(path);
    if (certificate && memcmp(zcert_secret_key(certificate), no_key, KEY_SIZE) != 0) {
        return certificate;
    }
    (void) yami_fail(EINVAL, "%s is no certificate with a secret key (make one with `yam keygen`)",
                     path);
    zcert_destroy(&certificate);
    return NULL;
}

static int
s_set_key(void *socket, int option, const void *key)
{
    if (zmq_setsockopt(socket, option, key, KEY_SIZE) == -1) {
        return yami_fail(EINVAL, "CURVE is not possible: %s", zmq_strerror(errno));
    }
    return 0;
}

int
yami_certificate_apply_server(zcert_t *certificate, void *socket)
{
    int is_server = 1;
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &is_server, sizeof is_server) == -1) {
        return yami_fail(EINVAL, "CURVE is not possible: %s", zmq_strerror(errno));
    }
    return s_set_key(socket, ZMQ_CURVE_SECRETKEY, zcert_secret_key(certificate));
}

int
yami_certificate_apply_client(zcert_t *certificate, void *socket, const char *server_key)
{
    uint8_t key[KEY_SIZE];
    if (strlen(server_key) != KEY_TEXT_SIZE - 1 || !zmq_z85_decode(key, server_key)) {
        return yami_fail(EINVAL, "server-key= is no public key: 40 characters of Z85 are expected");
    }
    if (s_set_key(socket, ZMQ_CURVE_SERVERKEY, key) == -1 ||
        s_set_key(socket, ZMQ_CURVE_PUBLICKEY, zcert_public_key(certificate)) == -1) {
        return -1;
    }
    return s_set_key(socket, ZMQ_CURVE_SECRETKEY, zcert_secret_key(certificate));
}

//  -- Credentials -------------------------------------------------------------------------------

static int
s_guard(yami_credentials_t *self, const char *clients)
{
    static _Atomic uint64_t s_number;
    yami_doorman_t *doorman = yami_context_doorman(self->yam);
    if (!doorman) {
        return -1;
    }
    char domain[DOMAIN_SIZE];
    (void) snprintf(domain, sizeof domain, DOMAIN_PREFIX "%llu", (unsigned long long) ++s_number);
    if (yami_doorman_guard(doorman, domain, clients, &self->denied) == -1) {
        return -1;
    }
    memcpy(self->domain, domain, sizeof domain);
    return 0;
}

yami_credentials_t *
yami_credentials_new(yam_t *yam, const char *certificate, const char *clients)
{
    yami_credentials_t *self = yami_alloc(sizeof *self);
    self->yam = yam;
    self->certificate = yami_certificate_load(certificate);
    if (!self->certificate || (clients && *clients && s_guard(self, clients) == -1)) {
        int error = errno;
        yami_credentials_destroy(&self);
        errno = error;
    }
    return self;
}

void
yami_credentials_serve(yami_credentials_t *self, void *socket)
{
    int rc = yami_certificate_apply_server(self->certificate, socket);
    YAM_ASSERT(rc == 0); //  libzmq has CURVE: the certificate could not have been made without
    if (self->domain[0]) {
        rc = zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, self->domain, strlen(self->domain));
        YAM_ASSERT(rc == 0);
    }
}

uint64_t
yami_credentials_denied(const yami_credentials_t *self)
{
    return atomic_load(&self->denied);
}

void
yami_credentials_destroy(yami_credentials_t **self_p)
{
    yami_credentials_t *self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    if (self->domain[0]) {
        yami_doorman_leave(yami_context_doorman(self->yam), self->domain);
    }
    zcert_destroy(&self->certificate);
    yami_free(self);
}

//  -- The doorman -------------------------------------------------------------------------------

//  Under the lock. NULL when no such domain is guarded.
static s_domain_t *
s_find(yami_doorman_t *self, const char *name, size_t size)
{
    for (size_t index = 0; index < self->domain_count; index++) {
        s_domain_t *domain = &self->domains[index];
        if (strlen(domain->name) == size && memcmp(domain->name, name, size) == 0) {
            return domain;
        }
    }
    return NULL;
}

//  Names of this form are ours: one that is not there any more must not let everybody in.
static bool
s_is_ours(zmq_msg_t *domain)
{
    return zmq_msg_size(domain) >= 4 && memcmp(zmq_msg_data(domain), DOMAIN_PREFIX, 4) == 0;
}

static bool
s_is_curve(zmq_msg_t *parts)
{
    return zmq_msg_size(&parts[MECHANISM]) == 5 &&
           memcmp(zmq_msg_data(&parts[MECHANISM]), "CURVE", 5) == 0 &&
           zmq_msg_size(&parts[CREDENTIALS]) == KEY_SIZE;
}

static bool
s_is_allowed(yami_doorman_t *self, zmq_msg_t *parts)
{
    static yami_log_site_t s_site;
    (void) pthread_mutex_lock(&self->lock);
    s_domain_t *domain = s_find(self, zmq_msg_data(&parts[DOMAIN]), zmq_msg_size(&parts[DOMAIN]));
    bool is_allowed = !domain && !s_is_ours(&parts[DOMAIN]);
    char key[KEY_TEXT_SIZE] = "";
    if (domain && s_is_curve(parts)) {
        (void) zmq_z85_encode(key, zmq_msg_data(&parts[CREDENTIALS]), KEY_SIZE);
        is_allowed = zcertstore_lookup(domain->clients, key) != NULL;
    }
    if (domain && !is_allowed) {
        atomic_fetch_add(domain->denied_p, 1);
    }
    (void) pthread_mutex_unlock(&self->lock);
    if (!is_allowed) {
        yami_log_limited(&s_site, YAMI_LOG_WARN, "curve.denied", "address=%.*s key=%s",
                         (int) zmq_msg_size(&parts[ADDRESS]),
                         (const char *) zmq_msg_data(&parts[ADDRESS]), key);
    }
    return is_allowed;
}

static void
s_answer(void *socket, zmq_msg_t *request_id, const char *code, const char *text)
{
    (void) zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
    (void) zmq_send(socket, zmq_msg_data(request_id), zmq_msg_size(request_id), ZMQ_SNDMORE);
    (void) zmq_send(socket, code, 3, ZMQ_SNDMORE);
    (void) zmq_send(socket, text, strlen(text), ZMQ_SNDMORE);
    (void) zmq_send(socket, "", 0, ZMQ_SNDMORE);
    (void) zmq_send(socket, "", 0, 0);
}

//  Receives one question into parts; returns how many parts it had, 0 when there is none.
static size_t
s_receive(void *socket, zmq_msg_t *parts)
{
    size_t count = 0;
    bool has_more = true;
    while (has_more) {
        zmq_msg_t extra;
        zmq_msg_t *part = count < PART_COUNT ? &parts[count] : &extra;
        (void) zmq_msg_init(&extra);
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) == -1) {
            return 0; //  the parts of a message come together or not at all
        }
        has_more = zmq_msg_more(part) != 0;
        (void) zmq_msg_close(&extra);
        count++;
    }
    return count;
}

//  Whether there was a question.
static bool
s_serve(yami_doorman_t *self)
{
    zmq_msg_t parts[PART_COUNT];
    for (int index = 0; index < PART_COUNT; index++) {
        (void) zmq_msg_init(&parts[index]);
    }
    size_t count = s_receive(self->task.socket, parts);
    if (count == PART_COUNT) {
        bool is_allowed = s_is_allowed(self, parts);
        s_answer(self->task.socket, &parts[REQUEST_ID], is_allowed ? "200" : "400",
                 is_allowed ? "OK" : "Not allowed");
    } else if (count > 0) {
        s_answer(self->task.socket, &parts[REQUEST_ID], "500", "Malformed");
    }
    for (int index = 0; index < PART_COUNT; index++) {
        (void) zmq_msg_close(&parts[index]);
    }
    return count > 0;
}

static int64_t
s_step(void *arg, int64_t now_ms)
{
    (void) now_ms;
    for (int count = 0; count < QUESTIONS_PER_STEP && s_serve(arg); count++) {
    }
    return INT64_MAX;
}

yami_doorman_t *
yami_doorman_new(yam_t *yam)
{
    if (yami_socket_check_descriptors() == -1) {
        return NULL;
    }
    yami_doorman_t *self = yami_alloc(sizeof *self);
    self->engine = yami_context_engine(yam);
    (void) pthread_mutex_init(&self->lock, NULL);
    void *socket = zmq_socket(yam_zmq_context(yam), ZMQ_REP);
    if (!socket || zmq_bind(socket, ZAP_ENDPOINT) == -1) {
        (void) yami_fail(errno, "cannot answer on " ZAP_ENDPOINT ": %s", zmq_strerror(errno));
        yami_socket_close(socket);
        yami_free(self);
        return NULL;
    }
    self->task = (yami_task_t) {.step = s_step, .arg = self, .socket = socket};
    (void) yami_engine_add(self->engine, &self->task);
    return self;
}

void
yami_doorman_destroy(yami_doorman_t **self_p)
{
    yami_doorman_t *self = *self_p;
    if (!self) {
        return;
    }
    *self_p = NULL;
    yami_engine_remove(self->engine, &self->task);
    yami_socket_close(self->task.socket);
    for (size_t index = 0; index < self->domain_count; index++) {
        zcertstore_destroy(&self->domains[index].clients);
    }
    yami_free(self->domains);
    yami_free(self);
}

int
yami_doorman_guard(yami_doorman_t *self, const char *domain, const char *directory,
                   _Atomic uint64_t *denied_p)
{
    struct stat status;
    if (stat(directory, &status) == -1 || !S_ISDIR(status.st_mode)) {
        return yami_fail(ENOENT, "clients=%s is no directory (put the public certificates there)",
                         directory);
    }
    (void) pthread_mutex_lock(&self->lock);
    int rc = yami_grow(&self->domains, &self->domain_capacity, self->domain_count + 1,
                       sizeof *self->domains, DOMAIN_LIMIT);
    if (rc == 0) {
        s_domain_t *added = &self->domains[self->domain_count++];
        (void) snprintf(added->name, sizeof added->name, "%s", domain);
        added->clients = zcertstore_new(directory);
        added->denied_p = denied_p;
    }
    (void) pthread_mutex_unlock(&self->lock);
    return rc;
}

void
yami_doorman_leave(yami_doorman_t *self, const char *domain)
{
    (void) pthread_mutex_lock(&self->lock);
    s_domain_t *found = s_find(self, domain, strlen(domain));
    YAM_ASSERT(found);
    zcertstore_destroy(&found->clients);
    *found = self->domains[--self->domain_count];
    (void) pthread_mutex_unlock(&self->lock);
}
