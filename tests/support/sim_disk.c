//  Each file twice: as the process sees it, and as the platter has it; and for each sector whether
//  they may differ.
//  One file: every call and every crash works on both images, which nobody else may see.

#include "sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "yami_base.h"

#define SECTOR 512U
#define FEW_BYTES 64
#define NAME_SIZE 64
#define NAME_HISTORY 8
#define HANDLE_LIMIT 256

enum {
    CLEAN,
    DIRTY,
    LYING
}; //  LYING: a sync failed, the kernel thinks it is clean

typedef struct {
    //  since the last sync of the directory; "" is no name; the last is the current
    char names[NAME_HISTORY][NAME_SIZE];
    size_t name_count;
    uint8_t *seen;
    size_t seen_size;
    uint8_t *durable;
    size_t durable_size;
    uint8_t *sectors; //  CLEAN, DIRTY, LYING
    size_t capacity;  //  bytes of seen and durable; sectors has one per SECTOR
} s_file_t;

struct sim_disk {
    s_file_t **files; //  owned
    size_t file_count;
    s_file_t *handles[HANDLE_LIMIT];
    uint64_t random;
    uint64_t operations;
    uint64_t die_at;
    uint64_t fail_at;
    int fail_error;
    int open_error; //  of every open; 0: they work
    bool has_failed;
    bool ignores_syncs;
    bool moves_parts;
    int64_t free_bytes; //  negative: no limit
};

typedef struct {
    yami_disk_t disk; //  first
    sim_disk_t *world;
} s_attached_t;

uint64_t
sim_disk_draw(sim_disk_t *self, uint64_t limit)
{
    self->random ^= self->random << 13; //  xorshift64, Marsaglia 2003
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return limit > 0 ? (self->random >> 11) % limit : 0;
}

sim_disk_t *
sim_disk_new(uint64_t seed)
{
    sim_disk_t *self = yami_alloc(sizeof *self);
    self->random = seed * 0x9e3779b97f4a7c15ULL + 0x1234567;
    self->free_bytes = -1;
    (void) sim_disk_draw(self, 1);
    return self;
}

static void
s_file_destroy(s_file_t *file)
{
    yami_free(file->seen);
    yami_free(file->durable);
    yami_free(file->sectors);
    yami_free(file);
}

void
sim_disk_destroy(sim_disk_t **self_p)
{
    sim_disk_t *self = *self_p;
    if (self) {
        for (size_t index = 0; index < self->file_count; index++) {
            s_file_destroy(self->files[index]);
        }
        yami_free(self->files);
        yami_free(self);
        *self_p = NULL;
    }
}

static const char *
s_name(const s_file_t *file)
{
    return file->names[file->name_count - 1];
}

static void
s_add_name(s_file_t *file, const char *name)
{
    if (file->name_count == NAME_HISTORY) { //  forget one in the middle
        memmove(file->names[1], file->names[2], sizeof file->names[0] * (NAME_HISTORY - 2));
        file->name_count--;
    }
    YAM_ASSERT(strlen(name) < NAME_SIZE);
    memset(file->names[file->name_count], 0, NAME_SIZE);
    memcpy(file->names[file->name_count++], name, strlen(name));
}

static s_file_t *
s_find(const sim_disk_t *self, const char *name)
{
    for (size_t index = 0; index < self->file_count; index++) {
        if (strcmp(s_name(self->files[index]), name) == 0) {
            return self->files[index];
        }
    }
    return NULL;
}

static s_file_t *
s_create(sim_disk_t *self, const char *name)
{
    s_file_t *file = yami_alloc(sizeof *file);
    s_add_name(file, "");
    s_add_name(file, name);
    self->files = realloc(self->files, (self->file_count + 1) * sizeof(s_file_t *));
    YAM_ASSERT(self->files);
    self->files[self->file_count++] = file;
    return file;
}

static void
s_reserve(s_file_t *file, size_t size)
{
    size_t capacity = (size + 65535) / 65536 * 65536;
    if (capacity <= file->capacity) {
        return;
    }
    file->seen = realloc(file->seen, capacity);
    file->durable = realloc(file->durable, capacity);
    file->sectors = realloc(file->sectors, capacity / SECTOR);
    YAM_ASSERT(file->seen && file->durable && file->sectors);
    memset(file->seen + file->capacity, 0, capacity - file->capacity);
    memset(file->durable + file->capacity, 0, capacity - file->capacity);
    memset(file->sectors + file->capacity / SECTOR, CLEAN, (capacity - file->capacity) / SECTOR);
    file->capacity = capacity;
}

static void
s_mark(s_file_t *file, size_t from, size_t to)
{
    for (size_t sector = from / SECTOR; sector < (to + SECTOR - 1) / SECTOR; sector++) {
        file->sectors[sector] = DIRTY;
    }
}

static void
s_resize(s_file_t *file, size_t size)
{
    s_reserve(file, size);
    if (size < file->seen_size) {
        memset(file->seen + size, 0, file->seen_size - size);
        s_mark(file, size, file->seen_size);
    }
    file->seen_size = size;
}

static void
s_sync(s_file_t *file)
{
    for (size_t sector = 0; sector * SECTOR < file->capacity; sector++) {
        if (file->sectors[sector] == DIRTY) {
            memcpy(file->durable + sector * SECTOR, file->seen + sector * SECTOR, SECTOR);
            file->sectors[sector] = CLEAN;
        }
    }
    file->durable_size = file->seen_size;
}

static void
s_lie(s_file_t *file)
{
    for (size_t sector = 0; sector * SECTOR < file->capacity; sector++) {
        file->sectors[sector] = file->sectors[sector] == DIRTY ? LYING : file->sectors[sector];
    }
}

//  What the platter has after the power went.
static void
s_settle(sim_disk_t *self, s_file_t *file)
{
    uint64_t mood = sim_disk_draw(self, 4); //  0: all lost, 1: all kept, else sector by sector
    if (mood == 1 || (mood > 1 && sim_disk_draw(self, 2) == 0)) {
        file->durable_size = file->seen_size;
    }
    for (size_t sector = 0; sector * SECTOR < file->capacity; sector++) {
        bool is_kept = mood == 1 || (mood > 1 && sim_disk_draw(self, 2) == 0);
        if (file->sectors[sector] == DIRTY && is_kept) {
            memcpy(file->durable + sector * SECTOR, file->seen + sector * SECTOR, SECTOR);
        }
        file->sectors[sector] = CLEAN;
    }
    if (file->capacity > 0) {
        memset(file->durable + file->durable_size, 0, file->capacity - file->durable_size);
        memcpy(file->seen, file->durable, file->capacity);
    }
    file->seen_size = file->durable_size;
    char name[NAME_SIZE];
    memcpy(name, file->names[sim_disk_draw(self, file->name_count)], NAME_SIZE);
    file->name_count = 0;
    s_add_name(file, name);
}

//  Files without a name are gone; of two with the same name, the older is.
static void
s_sweep(sim_disk_t *self)
{
    size_t kept = 0;
    for (size_t index = 0; index < self->file_count; index++) {
        s_file_t *file = self->files[index];
        bool is_gone = s_name(file)[0] == '\0';
        for (size_t later = index + 1; later < self->file_count; later++) {
            is_gone = is_gone || strcmp(s_name(file), s_name(self->files[later])) == 0;
        }
        if (is_gone) {
            s_file_destroy(file);
        } else {
            self->files[kept++] = file;
        }
    }
    self->file_count = kept;
}

void
sim_disk_revive(sim_disk_t *self)
{
    self->die_at = 0;
    self->fail_at = 0;
    self->has_failed = false;
}

void
sim_disk_abandon(sim_disk_t *self)
{
    memset(self->handles, 0, sizeof self->handles);
}

void
sim_disk_crash(sim_disk_t *self)
{
    for (int handle = 0; handle < HANDLE_LIMIT; handle++) {
        YAM_ASSERT(!self->handles[handle]); //  who closed the store closed its files
    }
    for (size_t index = 0; index < self->file_count; index++) {
        s_settle(self, self->files[index]);
    }
    s_sweep(self);
    sim_disk_revive(self);
}

sim_disk_t *
sim_disk_clone(const sim_disk_t *self, uint64_t seed)
{
    sim_disk_t *copy = sim_disk_new(seed);
    copy->free_bytes = self->free_bytes;
    for (size_t index = 0; index < self->file_count; index++) {
        const s_file_t *from = self->files[index];
        if (s_name(from)[0] != '\0') {
            s_file_t *to = s_create(copy, s_name(from));
            s_reserve(to, from->capacity);
            to->seen_size = from->seen_size;
            to->durable_size = from->seen_size;
            if (from->capacity > 0) {
                memcpy(to->seen, from->seen, from->capacity);
                memcpy(to->durable, from->seen, from->capacity);
            }
            to->name_count = 0;
            s_add_name(to, s_name(from));
        }
    }
    return copy;
}

void
sim_disk_die_after(sim_disk_t *self, uint64_t count)
{
    self->die_at = self->operations + count;
}

bool
sim_disk_is_dead(const sim_disk_t *self)
{
    return self->die_at > 0 && self->operations >= self->die_at;
}

void
sim_disk_fail_after(sim_disk_t *self, uint64_t count, int error)
{
    self->fail_at = self->operations + count;
    self->fail_error = error;
    self->has_failed = false;
}

void
sim_disk_deny_opens(sim_disk_t *self, int error)
{
    self->open_error = error;
}

void
sim_disk_ignore_syncs(sim_disk_t *self, bool ignores)
{
    self->ignores_syncs = ignores;
}

void
sim_disk_move_parts(sim_disk_t *self, bool moves_parts)
{
    self->moves_parts = moves_parts;
}

bool
sim_disk_has_failed(const sim_disk_t *self)
{
    return self->has_failed;
}

uint64_t
sim_disk_operations(const sim_disk_t *self)
{
    return self->operations;
}

void
sim_disk_set_free(sim_disk_t *self, int64_t free_bytes)
{
    self->free_bytes = free_bytes;
}

uint8_t *
sim_disk_bytes(sim_disk_t *self, const char *name, size_t *size_p)
{
    s_file_t *file = s_find(self, name);
    if (file) {
        *size_p = file->seen_size;
    }
    return file ? file->seen : NULL;
}

void
sim_disk_resize(sim_disk_t *self, const char *name, size_t size)
{
    s_file_t *file = s_find(self, name);
    YAM_ASSERT(file);
    s_resize(file, size);
    s_sync(file);
}

void
sim_disk_remove(sim_disk_t *self, const char *name)
{
    s_file_t *file = s_find(self, name);
    YAM_ASSERT(file);
    file->name_count = 0;
    s_add_name(file, "");
    s_sweep(self);
}

const char *
sim_disk_name(const sim_disk_t *self, size_t index)
{
    for (size_t at = 0; at < self->file_count; at++) {
        if (s_name(self->files[at])[0] != '\0' && index-- == 0) {
            return s_name(self->files[at]);
        }
    }
    return NULL;
}

size_t
sim_disk_count(const sim_disk_t *self, const char *part)
{
    size_t count = 0;
    for (size_t index = 0; index < self->file_count; index++) {
        const char *name = s_name(self->files[index]);
        count += name[0] != '\0' && strstr(name, part) ? 1 : 0;
    }
    return count;
}

//  ---- The table

static sim_disk_t *
s_world(yami_disk_t *disk)
{
    return ((s_attached_t *) disk)->world;
}

//  Counts an operation; -1 with errno when it fails by plan.
static int
s_step_kind(sim_disk_t *self, bool takes_space, bool opens)
{
    self->operations++;
    if (self->die_at > 0 && self->operations >= self->die_at) {
        errno = EIO;
        return -1;
    }
    bool is_due = self->fail_at > 0 && self->operations >= self->fail_at && !self->has_failed;
    bool lacks_handle = self->fail_error == EMFILE || self->fail_error == ENFILE;
    bool may_fail = lacks_handle ? opens : self->fail_error != ENOSPC || takes_space;
    if (is_due && may_fail) {
        self->has_failed = true;
        errno = self->fail_error;
        return -1;
    }
    return 0;
}

static int
s_step(sim_disk_t *self, bool takes_space)
{
    return s_step_kind(self, takes_space, false);
}

static s_file_t *
s_handle(const sim_disk_t *self, int file)
{
    YAM_ASSERT(file >= 0 && file < HANDLE_LIMIT && self->handles[file]);
    return self->handles[file];
}

static int
s_open(yami_disk_t *disk, const char *name, bool create, bool read_only)
{
    (void) read_only;
    sim_disk_t *self = s_world(disk);
    if (s_step_kind(self, create, true) == -1) {
        return -1;
    }
    if (self->open_error != 0) {
        errno = self->open_error;
        return -1;
    }
    s_file_t *file = s_find(self, name);
    if (!file == !create) {
        errno = create ? EEXIST : ENOENT;
        return -1;
    }
    for (int handle = 0; handle < HANDLE_LIMIT; handle++) {
        if (!self->handles[handle]) {
            self->handles[handle] = file ? file : s_create(self, name);
            return handle;
        }
    }
    errno = EMFILE;
    return -1;
}

static int
s_close(yami_disk_t *disk, int file)
{
    sim_disk_t *self = s_world(disk);
    (void) s_handle(self, file);
    self->handles[file] = NULL;
    return 0;
}

//  Space that a write beyond the end takes.
static int
s_take_space(sim_disk_t *self, const s_file_t *file, size_t end)
{
    if (end <= file->seen_size || self->free_bytes < 0) {
        return 0;
    }
    int64_t more = (int64_t) (end - file->seen_size);
    if (more > self->free_bytes) {
        errno = ENOSPC;
        return -1;
    }
    self->free_bytes -= more;
    return 0;
}

//  How much of size bytes a call moves: all, or when calls are short any part, often a few bytes;
//  -1 with EINTR: none.
static int64_t
s_part(sim_disk_t *self, size_t size)
{
    if (!self->moves_parts || size == 0) {
        return (int64_t) size;
    }
    uint64_t mood = sim_disk_draw(self, 8);
    if (mood == 0) {
        errno = EINTR;
        return -1;
    }
    uint64_t most = mood < 4 && size > FEW_BYTES ? FEW_BYTES : size;
    return (int64_t) (1 + sim_disk_draw(self, most));
}

static void
s_store(s_file_t *file, const struct iovec *vector, size_t size, uint64_t offset)
{
    uint64_t end = offset + size;
    if (end > file->seen_size) {
        s_resize(file, end);
    }
    s_mark(file, offset, end);
    for (; offset < end; vector++) {
        size_t part = vector->iov_len < end - offset ? vector->iov_len : end - offset;
        memcpy(file->seen + offset, vector->iov_base, part);
        offset += part;
    }
}

static int64_t
s_pwritev(yami_disk_t *disk, int handle, const struct iovec *vector, int count, uint64_t offset)
{
    sim_disk_t *self = s_world(disk);
    s_file_t *file = s_handle(self, handle);
    size_t size = 0;
    for (int index = 0; index < count; index++) {
        size += vector[index].iov_len;
    }
    int rc = s_step(self, true);
    bool is_dying = rc == -1 && self->operations == self->die_at;
    int64_t part = rc == 0 ? s_part(self, size) : (int64_t) size;
    if (part == -1 || (rc == 0 && s_take_space(self, file, offset + (size_t) part) == -1)) {
        return -1;
    }
    if (rc == 0 || is_dying) { //  the last write of a dying process may get through
        s_store(file, vector, (size_t) part, offset);
    }
    errno = is_dying ? EIO : errno;
    return rc == -1 ? -1 : part;
}

static int64_t
s_pread(yami_disk_t *disk, int handle, void *buffer, size_t size, uint64_t offset)
{
    sim_disk_t *self = s_world(disk);
    const s_file_t *file = s_handle(self, handle);
    if (s_step(self, false) == -1) {
        return -1;
    }
    size_t left = offset < file->seen_size ? file->seen_size - offset : 0;
    int64_t part = s_part(self, size < left ? size : left);
    if (part > 0) {
        memcpy(buffer, file->seen + offset, (size_t) part);
    }
    return part;
}

static int
s_sync_any(yami_disk_t *disk, int handle)
{
    sim_disk_t *self = s_world(disk);
    s_file_t *file = s_handle(self, handle);
    if (s_step(self, false) == -1) {
        if (self->die_at == 0 || self->operations < self->die_at) {
            s_lie(file);
        }
        return -1;
    }
    if (!self->ignores_syncs) {
        s_sync(file);
    }
    return 0;
}

static int
s_truncate(yami_disk_t *disk, int handle, uint64_t size)
{
    sim_disk_t *self = s_world(disk);
    s_file_t *file = s_handle(self, handle);
    if (s_step(self, true) == -1) {
        return -1;
    }
    s_resize(file, size);
    return 0;
}

static int64_t
s_size(yami_disk_t *disk, int handle)
{
    sim_disk_t *self = s_world(disk);
    return s_step(self, false) == -1 ? -1 : (int64_t) s_handle(self, handle)->seen_size;
}

static int
s_rename(yami_disk_t *disk, const char *from, const char *to)
{
    sim_disk_t *self = s_world(disk);
    if (s_step(self, true) == -1) {
        return -1;
    }
    s_file_t *file = s_find(self, from);
    s_file_t *target = s_find(self, to);
    if (!file) {
        errno = ENOENT;
        return -1;
    }
    if (target) {
        s_add_name(target, "");
    }
    s_add_name(file, to);
    return 0;
}

static int
s_remove(yami_disk_t *disk, const char *name)
{
    sim_disk_t *self = s_world(disk);
    if (s_step(self, false) == -1) {
        return -1;
    }
    s_file_t *file = s_find(self, name);
    if (!file) {
        errno = ENOENT;
        return -1;
    }
    s_add_name(file, "");
    if (self->free_bytes >= 0) {
        self->free_bytes += (int64_t) file->seen_size;
    }
    return 0;
}

static int
s_sync_directory(yami_disk_t *disk)
{
    sim_disk_t *self = s_world(disk);
    if (s_step(self, false) == -1) {
        return -1;
    }
    for (size_t index = 0; index < self->file_count; index++) {
        s_file_t *file = self->files[index];
        char name[NAME_SIZE];
        memcpy(name, s_name(file), NAME_SIZE);
        file->name_count = 0;
        s_add_name(file, name);
    }
    return 0;
}

static int
s_list(yami_disk_t *disk, void (*visit)(void *arg, const char *name), void *arg)
{
    sim_disk_t *self = s_world(disk);
    if (s_step(self, false) == -1) {
        return -1;
    }
    for (size_t index = 0; index < self->file_count; index++) {
        if (s_name(self->files[index])[0] != '\0') {
            visit(arg, s_name(self->files[index]));
        }
    }
    return 0;
}

static int64_t
s_free_bytes(yami_disk_t *disk)
{
    const sim_disk_t *self = s_world(disk);
    return self->free_bytes < 0 ? INT64_MAX : self->free_bytes;
}

static void
s_detach(yami_disk_t **disk_p)
{
    yami_free(*disk_p);
    *disk_p = NULL;
}

yami_disk_t *
sim_disk_attach(sim_disk_t *self)
{
    s_attached_t *attached = yami_alloc(sizeof *attached);
    attached->disk = (yami_disk_t) {.open = s_open,
                                    .close = s_close,
                                    .pwritev = s_pwritev,
                                    .pread = s_pread,
                                    .sync_data = s_sync_any,
                                    .sync_file = s_sync_any,
                                    .truncate = s_truncate,
                                    .size = s_size,
                                    .rename = s_rename,
                                    .remove = s_remove,
                                    .sync_directory = s_sync_directory,
                                    .list = s_list,
                                    .free_bytes = s_free_bytes,
                                    .destroy = s_detach};
    attached->world = self;
    return &attached->disk;
}
