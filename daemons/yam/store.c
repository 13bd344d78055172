//  yam verify and yam dump: look at a store without a relay. Nothing is written, no lock is taken.

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "rows.h"
#include "values.h"
#include "yam_admin.h"
#include "yami_base.h"
#include "yami_batch.h"
#include "yami_segment_log.h"

#define S_META_LIMIT 4096 //  bytes of text that dump shows of an entry's meta part
#define S_FLUSH_ROWS 256

typedef struct {
    cli_common_t common;
    bool is_json;
    bool has_bodies;
} s_values_t;

static s_values_t s_values;

static const yami_option_t s_verify_table[] = {
    CLI_HELP(s_values_t), CLI_FLAG(s_values_t, "json", is_json, "print JSON"), CLI_END};
static const yami_option_t s_dump_table[] = {
    CLI_HELP(s_values_t),
    CLI_FLAG(s_values_t, "json", is_json, "print each entry as a line of JSON"),
    CLI_FLAG(s_values_t, "bodies", has_bodies, "a line for each message, with its body"), CLI_END};

typedef struct {
    cli_rows_t *rows; //  owned
    size_t row_count; //  in rows, not yet printed
    uint64_t entries;
    uint64_t messages;
    uint64_t bytes;
    uint64_t losses; //  rows of damage: a range that hit several channels has one for each
    uint64_t torn_bytes;
    uint64_t ranges; //  of damage, as far as it came; the last one is at:
    uint64_t segment;
    uint64_t offset;
    bool is_cut; //  a stop was asked for before the end
} s_job_t;

//  -- Rows --------------------------------------------------------------------------------------

static void
s_number(s_job_t *job, const char *column, uint64_t number)
{
    cli_rows_number(job->rows, column, (int64_t) number);
}

static void
s_text(s_job_t *job, const char *column, const char *text)
{
    cli_rows_text(job->rows, column, text, strlen(text));
}

static int
s_print_page(s_job_t *job)
{
    job->row_count = 0;
    return s_values.is_json ? cli_rows_print_json(job->rows, true, stdout)
                            : cli_rows_print_table(job->rows, stdout);
}

//  The rows of a range follow each other.
static void
s_count_damage(s_job_t *job, const yami_damage_t *damage)
{
    bool is_same =
        job->ranges > 0 && job->segment == damage->segment && job->offset == damage->offset;
    if (damage->is_torn_tail) {
        job->torn_bytes += damage->size;
        return;
    }
    job->losses += damage->is_rest ? damage->more : 1;
    job->ranges += damage->is_rest ? damage->more : is_same ? 0 : 1;
    job->segment = damage->segment;
    job->offset = damage->offset;
}

static void
s_on_damage(void *arg, const yami_damage_t *damage)
{
    s_job_t *job = arg;
    s_count_damage(job, damage);
    cli_rows_begin(job->rows);
    s_text(job, "what", damage->what);
    cli_rows_bool(job->rows, "torn-tail", damage->is_torn_tail);
    s_number(job, "segment", damage->segment);
    s_number(job, "offset", damage->offset);
    s_number(job, "bytes", damage->size);
    s_number(job, "first-lsn", damage->first_lsn);
    s_number(job, "last-lsn", damage->last_lsn);
    s_number(job, "channel", damage->channel);
    s_number(job, "first", damage->first);
    s_number(job, "last", damage->last);
    if (damage->last_segment > 0) {
        s_number(job, "last-segment", damage->last_segment);
    }
    if (damage->is_rest) {
        s_number(job, "more", damage->more);
    }
}

//  -- Opening -----------------------------------------------------------------------------------

//  In plain words, before the disk is asked.
static int
s_check_directory(const char *path)
{
    struct stat status;
    if (stat(path, &status) == -1) {
        return cli_complain(EX_NOINPUT, "cannot read %s: %s", path, strerror(errno));
    }
    return S_ISDIR(status.st_mode) ? EX_OK
                                   : cli_complain(EX_NOINPUT, "%s is not a directory", path);
}

static bool
s_must_stop(s_job_t *job)
{
    job->is_cut = cli_is_stopped();
    return job->is_cut;
}

//  Returns the number of damaged ranges, or -1 after a complaint with *exit_code_p set. When it is
//  interrupted, those found so far.
static int64_t
s_walk(const char *path, yami_replay_fn visit, yami_damage_fn damaged, s_job_t *job,
       int *exit_code_p)
{
    *exit_code_p = s_check_directory(path);
    yami_disk_t *disk = *exit_code_p == EX_OK ? yami_disk_open(path, true) : NULL;
    int64_t count = disk ? yami_segment_log_verify(disk, visit, damaged, job) : -1;
    if (job->is_cut && count == -1) {
        count = (int64_t) job->ranges;
        *exit_code_p = count > 0 ? EX_DATAERR : EX_TEMPFAIL;
    } else if (count == -1 && *exit_code_p == EX_OK && !ferror(stdout)) {
        *exit_code_p = errno == ENOENT ? cli_complain(EX_NOINPUT, "%s: no store there", path)
                                       : cli_complain_errno();
    }
    if (disk) {
        int error = errno;
        disk->destroy(&disk);
        errno = error;
    }
    return count;
}

//  -- verify ------------------------------------------------------------------------------------

static int
s_count(void *arg, const yami_entry_t *entry)
{
    s_job_t *job = arg;
    job->entries++;
    job->messages += entry->count;
    job->bytes += entry->meta_size + (entry->data ? entry->data->size : 0);
    return s_must_stop(job) ? -1 : 0;
}

static int
s_print_found(const s_job_t *job, int64_t damaged_ranges)
{
    if (cli_rows_print_table(job->rows, stdout) == -1) {
        return -1;
    }
    (void) printf("%" PRIu64 " entries, %" PRIu64 " messages, %" PRIu64 " bytes, %" PRId64
                  " damaged ranges",
                  job->entries, job->messages, job->bytes, damaged_ranges);
    if (job->losses > (uint64_t) damaged_ranges) {
        (void) printf(" (%" PRIu64 " rows: one for each channel)", job->losses);
    }
    return printf(", torn tail of %" PRIu64 " bytes\n", job->torn_bytes) < 0 ? -1 : 0;
}

//  One object, with the rows in it.
static int
s_print_found_json(const s_job_t *job, int64_t damaged_ranges)
{
    (void) printf("{\"entries\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"bytes\":%" PRIu64
                  ",\"damaged-ranges\":%" PRId64 ",\"torn-bytes\":%" PRIu64 ",\"damages\":",
                  job->entries, job->messages, job->bytes, damaged_ranges, job->torn_bytes);
    (void) cli_rows_print_json(job->rows, false, stdout);
    return puts("}") == EOF || fflush(stdout) != 0 ? -1 : 0;
}

static int
s_verify(char **operands)
{
    int exit_code;
    s_job_t job = {.rows = cli_rows_new()};
    int64_t count = s_walk(operands[0], s_count, s_on_damage, &job, &exit_code);
    if (count >= 0) {
        int rc = s_values.is_json ? s_print_found_json(&job, count) : s_print_found(&job, count);
        exit_code = rc == -1 ? EX_IOERR : (count > 0 ? EX_DATAERR : exit_code);
    }
    if (job.is_cut) {
        (void) cli_complain(0, "interrupted: what came behind that was not read");
    }
    cli_rows_destroy(&job.rows);
    return exit_code;
}

//  -- dump --------------------------------------------------------------------------------------

static void
s_add_meta(s_job_t *job, const yami_entry_t *entry)
{
    char text[S_META_LIMIT];
    size_t size = cli_values_show(entry->meta, entry->meta_size, text, sizeof text);
    if (entry->meta_size > 0) {
        cli_rows_text(job->rows, "meta", text, size);
    }
}

static void
s_add_batch(s_job_t *job, const yami_batch_t *batch)
{
    char producer[2 * sizeof batch->producer.bytes + 1];
    for (size_t index = 0; index < sizeof batch->producer.bytes; index++) {
        (void) snprintf(producer + 2 * index, 3, "%02x", batch->producer.bytes[index]);
    }
    s_text(job, "producer", producer);
    s_number(job, "epoch", batch->epoch);
    s_number(job, "producer-first", batch->first_sequence);
}

static void
s_add_head(s_job_t *job, const yami_entry_t *entry)
{
    cli_rows_begin(job->rows);
    job->row_count++;
    s_number(job, "lsn", entry->lsn);
    s_text(job, "kind", yam_admin_entry_name(entry->kind));
    cli_rows_number(job->rows, "time", entry->time_ms);
    s_number(job, "channel", entry->channel);
}

static void
s_add_entry(s_job_t *job, const yami_entry_t *entry)
{
    yami_batch_t batch;
    s_add_head(job, entry);
    s_number(job, "first", entry->base);
    s_number(job, "last", entry->count > 0 ? entry->base + entry->count - 1 : 0);
    s_number(job, "bytes", entry->data ? entry->data->size : 0);
    if (entry->data && yami_batch_decode(&batch, entry->data->data, entry->data->size) == 0) {
        s_add_batch(job, &batch);
    }
    s_add_meta(job, entry);
}

//  A row for each message of an entry.
static void
s_add_messages(s_job_t *job, const yami_entry_t *entry)
{
    yami_batch_t batch;
    yami_record_t record;
    size_t offset = 0;
    if (!entry->data || yami_batch_decode(&batch, entry->data->data, entry->data->size) == -1) {
        return;
    }
    for (uint32_t index = 0; index < batch.count && yami_batch_next(&batch, &offset, &record) == 0;
         index++) {
        s_add_head(job, entry);
        s_number(job, "sequence", entry->base + index);
        s_number(job, "bytes", record.body.size);
        cli_rows_text(job->rows, "body", (const char *) record.body.data, record.body.size);
    }
}

static int
s_visit(void *arg, const yami_entry_t *entry)
{
    s_job_t *job = arg;
    if (s_values.has_bodies) {
        s_add_messages(job, entry);
    } else {
        s_add_entry(job, entry);
    }
    //  JSON flows; a table needs all rows of a page for its columns.
    bool is_page = job->row_count >= S_FLUSH_ROWS;
    int rc = is_page ? s_print_page(job) : 0;
    return s_must_stop(job) || rc == -1 ? -1 : 0;
}

static void
s_complain_damage(void *arg, const yami_damage_t *damage)
{
    s_count_damage(arg, damage);
    (void) cli_complain(0,
                        "%s: segment %016" PRIx64 ", offset %" PRIu64 ", %" PRIu64
                        " bytes, LSN %" PRIu64 " to %" PRIu64 ", channel %" PRIu32
                        ", sequences %" PRIu64 " to %" PRIu64,
                        damage->is_torn_tail ? "torn tail" : damage->what, damage->segment,
                        damage->offset, damage->size, damage->first_lsn, damage->last_lsn,
                        damage->channel, damage->first, damage->last);
}

static int
s_dump(char **operands)
{
    int exit_code;
    s_job_t job = {.rows = cli_rows_new()};
    int64_t count = s_walk(operands[0], s_visit, s_complain_damage, &job, &exit_code);
    int rc = s_print_page(&job);
    if (job.is_cut) {
        (void) cli_complain(0, "interrupted: what came behind that is not shown");
    } else if (rc == -1) {
        exit_code = EX_IOERR;
    } else if (count > 0) {
        exit_code = EX_DATAERR;
    }
    cli_rows_destroy(&job.rows);
    return exit_code;
}

const cli_command_t cli_verify = {
    "verify",
    "DIR",
    1,
    1,
    "check every checksum of a store, offline",
    "Exit code 0 when nothing is damaged, 65 when something is, 66 when no store is there, 75\n"
    "when it was stopped before it knew. A torn tail is what a crash left behind the last "
    "confirmed\n"
    "message, and no damage. The relay should not be running.\n",
    {s_verify_table, "h=help j=json"},
    &s_values,
    s_verify};
const cli_command_t cli_dump = {"dump",
                                "DIR",
                                1,
                                1,
                                "print what a store holds, offline",
                                "",
                                {s_dump_table, "h=help j=json b=bodies"},
                                &s_values,
                                s_dump};
