//  One run. See simulation.h.

#include "simulation.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "admin.h"
#include "consumer.h"
#include "producer.h"
#include "relay_host.h"
#include "yami_base.h"

#define CALM_MS (48ll * 3600 * 1000) //  more than all jumps of the wall clock together
#define DRAIN_MS 240000              //  calm lasts no longer
#define CHECK_US 100000              //  between two looks whether all is done
#define SETTLED_COUNT 12             //  looks in a row
#define EVENT_LIMIT 5000000
#define JUMP_MS 3600000
#define SEGMENT_BYTES 65536
#define CACHE_BYTES 65536
#define WINDOW_BYTES 200000

typedef struct {
    const simulation_plan_t *plan;
    simulation_result_t *result;
    const scenario_t *scenario;
    world_t world;
    oracle_t *oracle;
    relay_host_t relay;
    network_t *network;
    producer_t producers[SCENARIO_CLIENTS];
    unsigned producer_count;
    consumer_t consumers[SCENARIO_CLIENTS];
    unsigned consumer_count;
    admin_t admin;
} s_simulation_t;

//  -- libsodium's randomness, so that salts and ids come from the seed, too

static uint64_t s_sodium;

static void
s_sodium_bytes(void *const bytes, const size_t size)
{
    uint8_t *at = bytes;
    for (size_t index = 0; index < size; index++) {
        at[index] = (uint8_t) world_draw(&s_sodium, 256);
    }
}

static const char *
s_sodium_name(void)
{
    return "simulated";
}

static uint32_t
s_sodium_number(void)
{
    return (uint32_t) world_draw(&s_sodium, UINT32_MAX);
}

static randombytes_implementation s_sodium_randomness = {
    .implementation_name = s_sodium_name, .random = s_sodium_number, .buf = s_sodium_bytes};

//  -- Faults

static void
s_draw_faults(s_simulation_t *self)
{
    const scenario_t *scenario = self->scenario;
    uint64_t random = world_mix(self->plan->seed, 0x6661756c74);
    uint64_t total = 0;
    for (unsigned type = 0; type < FAULT_TYPES; type++) {
        total += scenario->weights[type];
    }
    YAM_ASSERT(scenario->faults <= SIMULATION_FAULTS);
    unsigned count = total > 0 ? (unsigned) world_draw(&random, scenario->faults + 1) : 0;
    self->result->fault_count = count;
    for (unsigned index = 0; index < count; index++) {
        simulation_fault_t *fault = &self->result->faults[index];
        fault->at_us = world_between(&random, 0, scenario->faults_ms * 1000);
        fault->random = world_draw(&random, UINT64_MAX);
        uint64_t drawn = world_draw(&random, total);
        unsigned type = 0;
        while (drawn >= scenario->weights[type]) {
            drawn -= scenario->weights[type++];
        }
        fault->type = (fault_type_t) type;
    }
}

//  Now, or until then.
static int64_t
s_until(s_simulation_t *self, uint64_t *random_p, int64_t most_ms)
{
    int64_t until_us = self->world.now_us + world_between(random_p, 1, most_ms * 1000);
    int64_t end_us = self->scenario->faults_ms * 1000;
    return until_us < end_us ? until_us : end_us;
}

static network_client_t *
s_any_client(s_simulation_t *self, uint64_t *random_p)
{
    uint64_t drawn = world_draw(random_p, self->producer_count + self->consumer_count);
    return drawn < self->producer_count ? self->producers[drawn].client
                                        : self->consumers[drawn - self->producer_count].client;
}

static void
s_client_fault(s_simulation_t *self, fault_type_t type, uint64_t *random_p)
{
    uint64_t drawn = world_draw(random_p, self->producer_count + self->consumer_count);
    producer_t *producer = drawn < self->producer_count ? &self->producers[drawn] : NULL;
    consumer_t *consumer = producer == NULL ? &self->consumers[drawn - self->producer_count] : NULL;
    int64_t until_us = s_until(self, random_p, 2 * self->scenario->lease_ms);
    switch (type) {
    case FAULT_CLIENT_CRASH:
        producer != NULL ? producer_crash(producer) : consumer_crash(consumer);
        break;
    case FAULT_CLIENT_FREEZE:
        producer != NULL ? producer_freeze(producer, until_us)
                         : consumer_freeze(consumer, until_us);
        break;
    default:
        producer != NULL ? producer_leave(producer) : consumer_leave(consumer);
        break;
    }
}

static void
s_network_fault(s_simulation_t *self, fault_type_t type, uint64_t *random_p)
{
    network_client_t *client = s_any_client(self, random_p);
    switch (type) {
    case FAULT_CUT:
        network_cut(client);
        break;
    case FAULT_HALF_OPEN:
        network_half_open(client, (int) world_draw(random_p, 2), s_until(self, random_p, 1500));
        break;
    case FAULT_UNREACHABLE:
        network_unreachable(client, s_until(self, random_p, 1000));
        break;
    case FAULT_SLOW:
        network_slow(client, world_between(random_p, 1000, 300000), s_until(self, random_p, 1500));
        break;
    default:
        network_chaos(client, (unsigned) world_between(random_p, 5, 200),
                      s_until(self, random_p, 1500));
        break;
    }
}

static void
s_end_disk_fault(void *arg, uint64_t what)
{
    (void) what;
    s_simulation_t *self = arg;
    sim_disk_set_free(self->relay.disk, -1);
    sim_disk_deny_opens(self->relay.disk, 0);
    sim_disk_move_parts(self->relay.disk, false);
}

static void
s_disk_fault(s_simulation_t *self, fault_type_t type, uint64_t *random_p)
{
    sim_disk_t *disk = self->relay.disk;
    switch (type) {
    case FAULT_DISK_ERROR:
        sim_disk_fail_after(disk, 1 + world_draw(random_p, 40), EIO);
        self->relay.crash_after_promises = world_draw(random_p, 2) * world_draw(random_p, 20);
        return;
    case FAULT_DISK_SLOW:
        self->relay.slow_disk_us = s_until(self, random_p, 1000);
        self->relay.slow_disk_by_us = world_between(random_p, 5000, 200000);
        return;
    case FAULT_DISK_PARTS:
        sim_disk_move_parts(disk, true);
        break;
    case FAULT_DISK_FULL:
        sim_disk_set_free(disk, world_between(random_p, 0, 3 * SEGMENT_BYTES));
        break;
    default:
        sim_disk_deny_opens(disk, EMFILE);
        break;
    }
    world_after(&self->world, s_until(self, random_p, 1000) - self->world.now_us, s_end_disk_fault,
                self, 0);
}

static void
s_relay_fault(s_simulation_t *self, fault_type_t type, uint64_t *random_p)
{
    relay_host_t *relay = &self->relay;
    relay->crash_is_power = world_draw(random_p, 3) > 0;
    switch (type) {
    case FAULT_RELAY_KILL:
        relay_host_crash(relay, false);
        break;
    case FAULT_RELAY_POWER:
        relay_host_crash(relay, true);
        break;
    case FAULT_RELAY_STEP:
        relay->crash_in_steps = 1 + world_draw(random_p, 30);
        break;
    case FAULT_RELAY_DISK:
        sim_disk_die_after(relay->disk, 1 + world_draw(random_p, 20));
        break;
    case FAULT_RELAY_SEGMENT:
        relay->segment_dies_at = 1 + world_draw(random_p, 12);
        relay->segment_dies_amid = world_draw(random_p, 5) == 0;
        break;
    case FAULT_RELAY_PROMISE:
        relay->crash_after_promises = 1 + world_draw(random_p, 12);
        break;
    case FAULT_RECOVERY:
        relay->recovery_dies_at = 1 + world_draw(random_p, 60);
        relay_host_crash(relay, relay->crash_is_power);
        break;
    case FAULT_RELAY_STOP:
        relay_host_stop(relay);
        break;
    case FAULT_RELAY_FREEZE:
        relay_host_freeze(relay, s_until(self, random_p, 1500));
        break;
    case FAULT_NO_MEMORY:
        relay->alloc_fails_at = world_between(random_p, 0, 30);
        break;
    default: //  FAULT_CLOCK
        self->world.wall_ms += world_between(random_p, -JUMP_MS, JUMP_MS);
        break;
    }
}

static void
s_fault(void *arg, uint64_t number)
{
    s_simulation_t *self = arg;
    const simulation_fault_t *fault = &self->result->faults[number];
    uint64_t random = fault->random;
    world_trace(&self->world, "fault", number, scenario_fault_name(fault->type), 0, 0, 0);
    if (fault->type <= FAULT_RELAY_FREEZE || fault->type == FAULT_NO_MEMORY ||
        fault->type == FAULT_CLOCK) {
        s_relay_fault(self, fault->type, &random);
    } else if (fault->type <= FAULT_NO_FILES) {
        s_disk_fault(self, fault->type, &random);
    } else if (fault->type <= FAULT_CHAOS) {
        s_network_fault(self, fault->type, &random);
    } else if (fault->type <= FAULT_CLIENT_LEAVE) {
        s_client_fault(self, fault->type, &random);
    } else if (fault->type == FAULT_CANCEL) {
        uint64_t id = oracle_draw_delayed(self->oracle, &random);
        if (id != 0) {
            admin_cancel(&self->admin, oracle_channel_of(self->oracle, id), id);
        }
    } else {
        unsigned count = 0;
        while (count < SCENARIO_CHANNELS && self->scenario->channels[count].name != NULL) {
            count++;
        }
        admin_redrive(&self->admin, self->scenario->channels[world_draw(&random, count)].name);
    }
}

//  -- Making and unmaking

static void
s_make_relay(s_simulation_t *self)
{
    const scenario_t *scenario = self->scenario;
    uint64_t random = world_mix(self->plan->seed, 0x72756c6573);
    oracle_rules_t rules = {.lease_ms = scenario->lease_ms,
                            .delivery_limit = world_between(&random, 2, 4),
                            .backoff_ms = {20, 80, 250},
                            .backoff_count = 3};
    self->oracle = oracle_new(&self->world, &rules);
    for (unsigned index = 0; index < SCENARIO_CHANNELS && scenario->channels[index].name != NULL;
         index++) {
        (void) oracle_channel(self->oracle, scenario->channels[index].name,
                              scenario->channels[index].kind);
    }
    relay_host_init(&self->relay, &self->world, self->oracle);
    sim_disk_ignore_syncs(self->relay.disk, self->plan->has_lying_disk);
    yami_relay_options_t *options = &self->relay.options;
    options->lease_ms = rules.lease_ms;
    options->delivery_limit = rules.delivery_limit;
    (void) snprintf(options->backoff, sizeof options->backoff, "20ms:80ms:250ms");
    options->heartbeat_ms = 200;
    options->topic_age_ms = 0;
    options->channel_messages = scenario->limit;
    options->window_messages = scenario->window;
    options->window_bytes = WINDOW_BYTES;
    self->relay.log_options.segment_bytes = SEGMENT_BYTES;
    self->relay.log_options.cache_bytes = world_chance(&random, 500) ? 0 : CACHE_BYTES;
    self->relay.log_options.spare_count = (uint32_t) world_draw(&random, 3);
    self->network = network_new(&self->world, &relay_host_network_ops, &self->relay);
    self->relay.network = self->network;
}

static void
s_make(s_simulation_t *self)
{
    const scenario_t *scenario = self->scenario;
    world_init(&self->world, self->plan->seed, self->plan->trace);
    s_sodium = self->plan->seed;
    s_make_relay(self);
    for (unsigned index = 0; index < SCENARIO_CLIENTS && scenario->producers[index].messages > 0;
         index++) {
        producer_init(&self->producers[index], &self->world, self->oracle, self->network, scenario,
                      index);
        self->producer_count++;
    }
    for (unsigned index = 0; index < SCENARIO_CLIENTS && scenario->consumers[index].credit > 0;
         index++) {
        consumer_init(&self->consumers[index], &self->world, self->oracle, self->network, scenario,
                      index);
        self->consumer_count++;
    }
    admin_init(&self->admin, &self->world, self->oracle, self->network);
    s_draw_faults(self);
    for (unsigned index = 0; index < self->result->fault_count; index++) {
        if (!self->plan->is_left_out[index]) {
            world_after(&self->world, self->result->faults[index].at_us, s_fault, self, index);
        }
    }
}

static void
s_clear(s_simulation_t *self)
{
    for (unsigned index = 0; index < self->producer_count; index++) {
        producer_clear(&self->producers[index]);
    }
    for (unsigned index = 0; index < self->consumer_count; index++) {
        consumer_clear(&self->consumers[index]);
    }
    relay_host_clear(&self->relay);
    network_destroy(&self->network);
    oracle_destroy(&self->oracle);
    world_clear(&self->world);
}

//  -- Running

static void
s_start(s_simulation_t *self)
{
    relay_host_start(&self->relay);
    for (unsigned index = 0; index < self->producer_count; index++) {
        producer_start(&self->producers[index]);
    }
    for (unsigned index = 0; index < self->consumer_count; index++) {
        consumer_start(&self->consumers[index]);
    }
}

//  Runs until then, or a failure.
static void
s_run_until(s_simulation_t *self, int64_t until_us)
{
    world_t *world = &self->world;
    while (!world->has_failed && world->event_count > 0 && world->events[0].at_us <= until_us) {
        (void) world_step(world);
        if (world->run_count > EVENT_LIMIT) {
            world_fail(world, "endless", "%llu events", (unsigned long long) world->run_count);
        }
    }
    if (!world->has_failed) {
        world->now_us = until_us;
    }
}

static void
s_calm(s_simulation_t *self)
{
    world_trace(&self->world, "sim", 0, "calm", 0, 0, 0);
    self->world.wall_ms += CALM_MS; //  whatever was asked for, its time has come
    network_calm(self->network);
    relay_host_calm(&self->relay);
    for (unsigned index = 0; index < self->producer_count; index++) {
        producer_calm(&self->producers[index]);
    }
    for (unsigned index = 0; index < self->consumer_count; index++) {
        consumer_calm(&self->consumers[index]);
    }
}

//  Everything must come to its end, and stay there.
static void
s_drain(s_simulation_t *self)
{
    char text[300] = "";
    int64_t end_us = self->world.now_us + (int64_t) DRAIN_MS * 1000;
    unsigned settled = 0;
    while (settled < SETTLED_COUNT && !self->world.has_failed && self->world.now_us < end_us) {
        s_run_until(self, self->world.now_us + CHECK_US);
        settled = oracle_undone(self->oracle, text, sizeof text) == 0 ? settled + 1 : 0;
    }
    if (settled < SETTLED_COUNT) {
        bool is_missing = strstr(text, "nowhere") != NULL || strstr(text, "free") != NULL;
        world_fail(&self->world, is_missing ? "missing" : "stuck", "in the end, %s", text);
    }
}

void
simulation_run(const simulation_plan_t *plan, simulation_result_t *result)
{
    static bool has_randomness;
    if (!has_randomness) {
        has_randomness = randombytes_set_implementation(&s_sodium_randomness) == 0;
    }
    *result = (simulation_result_t) {0};
    result->scenario = plan->scenario >= 0
                           ? (unsigned) plan->scenario
                           : (unsigned) (world_mix(plan->seed, 0x7363656e65) % scenario_count);
    s_simulation_t *self = yami_alloc(sizeof *self);
    self->plan = plan;
    self->result = result;
    self->scenario = &scenario_table[result->scenario];
    s_make(self);
    s_start(self);
    s_run_until(self, self->scenario->faults_ms * 1000);
    s_calm(self);
    s_drain(self);
    result->has_failed = self->world.has_failed;
    memcpy(result->kind, self->world.kind, sizeof result->kind);
    memcpy(result->text, self->world.text, sizeof result->text);
    result->hash = self->world.hash;
    result->events = self->world.run_count;
    result->end_us = self->world.now_us;
    result->counts = oracle_counts(self->oracle);
    result->crashes = self->relay.crash_count;
    result->shortages = self->relay.shortage_count;
    result->starved = self->relay.starved_count;
    s_clear(self);
    yami_free(self);
}
