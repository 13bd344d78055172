//  Writes the first inputs of the fuzz programs into DIRECTORY/x for fuzz_x: frames and batches of
//  tests/support/wire_samples, what a relay's core wrote into its journal and its checkpoint, the
//  files of a real store, lives of a second check, and texts from the documentation.
//
//  write_seeds DIRECTORY

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "harness/world.h"
#include "sim_disk.h"
#include "wire_samples.h"
#include "yami_base.h"
#include "yami_callback_wire.h"
#include "yami_message.h"
#include "yami_relay_parts.h"
#include "yami_segment_log.h"
#include "yami_topic_frame.h"

#define S_LIFE_SIZE 700 //  bytes

static const char *s_directory;

static FILE *
s_create(const char *target, const char *name)
{
    char path[600];
    (void) snprintf(path, sizeof path, "%s/%s", s_directory, target);
    (void) mkdir(path, 0755);
    (void) snprintf(path, sizeof path, "%s/%s/%s", s_directory, target, name);
    FILE *file = fopen(path, "we");
    YAM_ASSERT(file);
    return file;
}

static void
s_put(FILE *file, uint64_t number, int size)
{
    for (; size > 0; size--, number >>= 8) {
        (void) fputc((int) (number & 255), file);
    }
}

static void
s_put_bytes(FILE *file, const void *bytes, size_t size)
{
    YAM_ASSERT(size == 0 || fwrite(bytes, 1, size, file) == size);
}

//  first: a byte before it, none when negative.
static void
s_save(const char *target, const char *name, int first, const void *bytes, size_t size)
{
    FILE *file = s_create(target, name);
    if (first >= 0) {
        s_put(file, (uint64_t) first, 1);
    }
    s_put_bytes(file, bytes, size);
    (void) fclose(file);
}

//  A fast topic's frame of the batch, with two marks.
static void
s_save_topic(const char *name, const yami_block_t *batch)
{
    static const char subject[] = "eu.de"; //  and its zero byte
    uint8_t marks[2 * YAMI_MARK_SIZE];
    yami_mark_write(marks, sizeof subject, &(yami_mark_t) {0, 0});
    yami_mark_write(marks + YAMI_MARK_SIZE, 3, &(yami_mark_t) {0, 1});
    FILE *file = s_create("topic", name);
    s_put(file, 2 << 1 | 1, 1);
    s_put_bytes(file, subject, sizeof subject);
    s_put_bytes(file, batch->data, batch->size);
    s_put_bytes(file, marks, sizeof marks);
    (void) fclose(file);
}

static void
s_wire(void)
{
    for (size_t index = 0; index < WIRE_FRAME_SAMPLE_COUNT; index++) {
        const wire_frame_sample_t *sample = &wire_frame_samples[index];
        yami_block_t *block = yami_frame_encode(&sample->frame);
        s_save("frame", sample->name, 1, block->data, block->size);
        if (sample->frame.rows.size > 0) {
            s_save("rows", sample->name, -1, sample->frame.rows.data, sample->frame.rows.size);
        }
        yami_block_unref(&block);
    }
    for (size_t index = 0; index < WIRE_BATCH_SAMPLE_COUNT; index++) {
        const wire_batch_sample_t *sample = &wire_batch_samples[index];
        yami_block_t *block = wire_batch_sample_encode(sample);
        s_save("batch", sample->name, 1, block->data, block->size);
        s_save_topic(sample->name, block);
        yami_slice_t properties = sample->records[0].properties;
        s_save("properties", sample->name, 0, properties.data, properties.size);
        yami_block_unref(&block);
    }
}

static void
s_texts(void)
{
    static const struct {
        const char *target;
        int first;
        const char *text;
    } texts[] = {
        {"endpoint", 0, "@tcp://127.0.0.1:9260,>ipc:///run/x?grade=sure&window=1000&relay=memory"},
        {"endpoint", 1,
         "inproc://a?framing=raw&hwm=10&linger=5s&server-key=rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/"
         "@{H8]yf7"},
        {"endpoint", 0, "tcp://eth0:0;host:65536,ws://[::1]:0/path,tcp://host:*?grade=sure"},
        {"endpoint", 0, "@ws://*:80,@tipc://{1,2,3},>epgm://eth0;239.1.1.1:5"},
        {"option", 0, "lease=30s\ndelivery-limit=5\nbackoff=1s:5s\nsegment-size=64M\ninsecure"},
        {"option", 1, "--lease=30s\n-i\n--\nx\n--delivery-limit\n7"},
        {"config", -1, "# yamd\nlisten = \"tcp://127.0.0.1:*\"\nlease = 30s\nmemory = true\n"},
        {"subject", 5, "eu.deeu.*"},
        {"subject", 7, "a.b.c.da.*.>"},
        {"properties", 1, "\x03\x05keyvalue"},
        {"segment_format", 3, "0000000000000001.seg"},
        {"dump", 40,
         "\x0f"
         "timetime\4body\x82\xa1k\xc4\2xy\xa1n\x93\xc0\xd0\x80\xcb"
         "12345678"},
    };
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        char name[32];
        (void) snprintf(name, sizeof name, "text-%zu", index);
        s_save(texts[index].target, name, texts[index].first, texts[index].text,
               strlen(texts[index].text));
    }
}

static void
s_put_entry(FILE *file, const yami_entry_t *entry)
{
    s_put(file, (uint64_t) entry->kind - 15, 1);
    s_put(file, entry->channel, 1);
    s_put(file, 0xfb, 1);
    s_put(file, entry->base, 2);
    s_put(file, entry->count, 1);
    s_put(file, entry->meta_size, 2);
    s_put_bytes(file, entry->meta, entry->meta_size);
    if (entry->count > 0) {
        s_put(file, entry->data->size, 2);
        s_put_bytes(file, entry->data->data, entry->data->size);
    }
}

//  A store with these entries, closed, as the files of its directory.
static void
s_store(const world_t *world, const char *name, uint64_t seed)
{
    sim_disk_t *disk = sim_disk_new(seed);
    yami_log_options_t options;
    yami_log_options_init(&options);
    options.segment_bytes = 64 << 10;
    options.is_threaded = false;
    options.spare_count = 1;
    yami_store_t *store = yami_segment_log_open(sim_disk_attach(disk), &options, NULL, NULL, NULL);
    YAM_ASSERT(store);
    uint64_t durable;
    for (size_t index = 0; index < world->entry_count; index++) {
        yami_entry_t entry = world->entries[index].entry;
        YAM_ASSERT(store->ops->append(store, &entry) == 0);
        YAM_ASSERT(store->ops->commit(store, &durable) == 1);
    }
    if (seed % 2 == 0) {
        sim_disk_die_after(disk, 1);
    }
    (void) store->ops->close(&store);
    sim_disk_revive(disk);
    FILE *file = s_create("segments", name);
    s_put(file, 3, 1);
    for (size_t index = 0; sim_disk_name(disk, index); index++) {
        size_t size;
        const char *from = sim_disk_name(disk, index);
        const uint8_t *bytes = sim_disk_bytes(disk, from, &size);
        size_t used = size < 60000 ? size : 60000;
        while (used > 0 && bytes[used - 1] == 0 && size >= 60000) {
            used--;
        }
        if (strstr(from, ".seg") && strncmp(from, "spare", 5) != 0) {
            s_put(file, strtoull(from, NULL, 16), 1);
            s_put(file, used, 2);
            s_put_bytes(file, bytes, used);
            s_put(file, (size - used) >> 10, 1);
        }
    }
    (void) fclose(file);
    sim_disk_destroy(&disk);
}

//  What all entries say beside their messages, as if it were one's; and a body.
static void
s_dump(const world_t *world, const char *name)
{
    FILE *file = s_create("dump", name);
    s_put(file, 100, 2); //  where the shorter text ends
    s_put(file, 1500000000000, 8);
    s_put(file, strlen(name), 1);
    s_put_bytes(file, name, strlen(name));
    for (size_t index = 0; index < world->entry_count; index++) {
        const yami_entry_t *entry = &world->entries[index].entry;
        s_put_bytes(file, entry->meta, entry->meta_size);
    }
    (void) fclose(file);
}

static world_t *
s_live(uint64_t seed, uint8_t bytes[S_LIFE_SIZE])
{
    uint64_t random = seed;
    for (size_t index = 0; index < S_LIFE_SIZE; index++) {
        bytes[index] = (uint8_t) wire_random(&random);
    }
    world_t *world = world_new();
    fuzz_input_t input;
    fuzz_input_init(&input, bytes, S_LIFE_SIZE);
    world_run(world, &input);
    return world;
}

//  Whether delayed messages wait when that life is over.
static bool
s_delays(uint64_t seed)
{
    uint8_t bytes[S_LIFE_SIZE];
    world_t *world = s_live(seed, bytes);
    bool has_delayed = world->core->delayed_count > 0;
    world_free(&world);
    return has_delayed;
}

//  A life at random, and what it left behind.
static void
s_life(uint64_t seed)
{
    uint8_t bytes[S_LIFE_SIZE];
    char name[32];
    world_t *world = s_live(seed, bytes);
    (void) snprintf(name, sizeof name, "life-%llu", (unsigned long long) seed);
    s_save("relay", name, -1, bytes, sizeof bytes);
    FILE *file = s_create("journal", name);
    for (size_t index = 0; index < world->entry_count; index++) {
        s_put_entry(file, &world->entries[index].entry);
    }
    s_put(file, 255, 1);
    s_put_bytes(file, bytes, 100);
    (void) fclose(file);
    s_store(world, name, seed);
    s_dump(world, name);
    world_checkpoint(world);
    const yami_entry_t *checkpoint = &world->entries[world->entry_count - 1].entry;
    file = s_create("snapshot", name);
    s_put(file, checkpoint->meta_size, 2);
    s_put_bytes(file, checkpoint->meta, checkpoint->meta_size);
    s_put_bytes(file, bytes, 100);
    (void) fclose(file);
    world_free(&world);
    s_save("producer", name, -1, bytes, sizeof bytes);
    s_save("consumer", name, -1, bytes, sizeof bytes);
    s_save("live", name, -1, bytes, 300);
    s_save("outbox", name, -1, bytes, 300);
}

//  To a live relay: a producer delays a message for a little and one for longer, the latter is
//  cancelled. Each line is a byte of fuzz_live's and what the grammar takes.
static void
s_delays_live(void)
{
    static const uint8_t bytes[] = {
        129, 1, 0,       0,  0,   128,       //  attaches with a new epoch, and hears it
        129, 4, 0,       56, 'x', 1,         //  due in 50 ms
        129, 4, 0,       56, 'y', 3,         //  due in 40 s
        129, 9, 32,      0,  7,   0,   0, 0, //  cancels it
        129, 9, 32 + 64, 0,  7,   0,   0, 0  //  by the other channel's name
    };
    s_save("live", "delays", -1, bytes, sizeof bytes);
}

//  A step of fuzz_callback that brings a message, which is freed.
static void
s_put_message(FILE *file, uint64_t what, yam_message_t *message)
{
    s_put(file, what, 1);
    s_put(file, message->record.properties.size, 1);
    s_put_bytes(file, message->record.properties.data, message->record.properties.size);
    yam_message_destroy(&message);
}

//  The life of a case to each of its ends: what is answered to its calls, and confirmed then.
static void
s_callbacks(void)
{
    static const yam_callback_answer_t answers[] = {YAM_CALLBACK_RESEND, YAM_CALLBACK_GONE,
                                                    YAM_CALLBACK_LATER};
    const yam_case_t row = {.id = "7", .queue = "orders", .service = "shop", .delay_ms = 1000};
    for (uint64_t end = 0; end < 6; end++) {
        yam_case_confirm_t confirm = {.id = "7",
                                      .round = 1,
                                      .outcome = end % 2 ? YAM_CONFIRM_DONE : YAM_CONFIRM_FAILED,
                                      .reason = "no stock \xe2\x82\xac"};
        char name[32];
        (void) snprintf(name, sizeof name, "case-%llu", (unsigned long long) end);
        FILE *file = s_create("callback", name);
        s_put_message(file, 0, yami_callback_check_build(&row));
        for (int turn = 0; turn < 4; turn++) {
            s_put(file, 7, 1); //  it is looked at, and answered
            s_put_message(file, 2, yami_callback_answer_build(answers[end / 2], "row 7"));
            s_put(file, 1023, 2);
            s_put(file, 0, 1);
            s_put(file, 0x0304, 2); //  an hour
        }
        s_put_message(file, 1, yami_callback_confirm_build(&confirm));
        s_put_message(file, 3, yami_callback_call_build(&row));
        s_put(file, 5 + end % 2, 1); //  people
        (void) fclose(file);
    }
}

//  To an outbox: both lanes are sent and confirmed, the second with an hour between; then a record
//  becomes text, and rows are looked at. Each line is a byte of fuzz_outbox's and what it takes.
static void
s_outbox(void)
{
    static const uint8_t bytes[] = {1,                  //  what is delivered stays
                                    5, 0, 1,            //  the first lane is attached, and
                                    6, 6,               //  sends
                                    5, 0, 2, 2, 6,      //  all three are confirmed
                                    5, 1, 0, 0, 6,   6, //  the second one
                                    3, 4, 4, 6,         //  an hour later
                                    5, 1, 2, 0, 6,      //  one is confirmed, one refused
                                    5, 1, 3, 0, 0,   6, //  for good
                                    1, 0, 4, 0, 224, 1, 'x',
                                    2,                  //  the second row has another record
                                    4, 0, 3, 4, 5,   0, //  people look at all, and put the one back
                                    6, 6};
    s_save("outbox", "life", -1, bytes, sizeof bytes);
}

int
main(int argc, char **argv)
{
    if (argc != 2) {
        (void) fprintf(stderr, "Usage: write_seeds DIRECTORY\n");
        return 2;
    }
    s_directory = argv[1];
    s_wire();
    s_texts();
    for (uint64_t seed = 1; seed <= 12; seed++) {
        s_life(seed);
    }
    s_delays_live();
    s_callbacks();
    s_outbox();
    unsigned delaying = 0;
    for (uint64_t seed = 13; delaying < 4; seed++) {
        if (s_delays(seed)) {
            s_life(seed);
            delaying++;
        }
    }
    return 0;
}
