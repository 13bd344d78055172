#   Yam: brokerless messaging with a memory.
#
#   make            library and programs, into build/       make demo       see it work (demo-orders: more of it)
#   make check      everything CI runs, one last line       make bench      measure (WORKLOAD= SIZES= QUICK=1),
#                                                           bench-plots draws it
#   make install    PREFIX [/usr/local], DESTDIR            make uninstall  the reverse
#   make layers headers metrics lint fmt                    the parts of check one looks at alone
#   make examples   examples/*.c against a staged install   make sim        SEEDS=N SEED=K
#   make fuzz       TARGET=x SECONDS=N, see tests/fuzz     make faults     ROW=kills|power|syncs COUNT=N SEED=K
#   make coverage planted threads valgrind                  make soak       MINUTES=N SEED=K
#
#   SAN=address,undefined or SAN=thread builds into a folder of its own, without shared libraries. CC, CFLAGS and
#   LDFLAGS are honoured; V=1 shows whole commands. Missing Debian packages are installed first; DEPS=no leaves that out.

VERSION   = 0.1.0
SOVERSION = 0
PREFIX   ?= /usr/local
CFLAGS   ?= -O2 -g
SAN      ?=
BUILD    ?= build$(if $(SAN),/san-$(subst $(COMMA),-,$(SAN)))
COMMA     = ,
JOBS     ?= $(shell nproc)
SUBMAKE   = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))
#   As many tests at a time as there are cores, but those that measure what others leave them.
ALONE     = test_hostile.py test_floods.py
RUN       = tests/tools/run_tests --jobs $(JOBS) --alone '$(ALONE)'
SHOW      = $(if $(V),,@echo "  $(1)";)

#   PLANTED=NAME: that bug; FAILPOINTS=yes: places where a test ends the process (lib/base/yami_failpoint.h); or both.
#   Each in a folder of its own; what does not have it is shared with the usual build.
PLANTED  ?=
FAILPOINTS ?=
SHARED   := $(BUILD)
OBJ       = $(SHARED)/obj
VARIANT   = $(PLANTED:%=planted-%)$(if $(FAILPOINTS),$(PLANTED:%=-)failpoints)
VARIANT_MARK = $(if $(PLANTED),-e 'YAMI_PLANTED($(PLANTED))') $(if $(FAILPOINTS),-e YAMI_FAILPOINT)
VARIANT_FLAG = $(PLANTED:%=-DYAMI_PLANTED_BUG=YAMI_BUG_%) $(if $(FAILPOINTS),-DYAMI_FAILPOINTS)
ifneq ($(VARIANT),)
override BUILD := $(SHARED)/$(VARIANT)
endif

#   -- What the build needs. Asked lazily, and once: `deps` may just have installed it. ---------------

PACKAGES  = build-essential pkg-config libzmq3-dev libczmq-dev libmsgpack-dev libsodium-dev \
            libcmocka-dev libisal-dev libsqlite3-dev libjansson-dev libsmartcols-dev \
            libsystemd-dev scdoc libpq-dev libhiredis-dev
CHECK_PACKAGES = clang clang-tidy clang-format cppcheck libclang-rt-14-dev liblmdb-dev strace \
            iproute2 iptables e2fsprogs mount python3 python3-zmq python3-msgpack \
            postgresql redis-server $(if $(and $(shell command -v node),$(shell command -v npm)),,nodejs npm)

once      = $(eval $(1) := $(2))$($(1))
MSGPACK   = $(call once,MSGPACK,$(shell pkg-config --exists msgpack-c && echo msgpack-c || echo msgpack))
PKG_LIB   = libzmq libczmq $(MSGPACK) libsodium libisal sqlite3
PKG_BIN   = jansson smartcols libsystemd
PKG_postgres = libpq
PKG_redis = hiredis
PKG_CFLAGS = $(call once,PKG_CFLAGS,$(shell pkg-config --cflags $(PKG_LIB) $(PKG_BIN)))
LIB_LIBS  = $(call once,LIB_LIBS,$(shell pkg-config --libs $(PKG_LIB)) -lm)
BIN_LIBS  = $(call once,BIN_LIBS,$(shell pkg-config --libs $(PKG_BIN)))
EXTRA_LIBS = $(foreach name,$(EXTRAS),$(call extra_libs,$(name)))
EXTRA_CFLAGS = $(foreach name,$(EXTRAS),$(call extra_cflags,$(name)))
extra_libs = $(call once,LIBS_$(1),$(shell pkg-config --libs $(PKG_$(1))))
extra_cflags = $(call once,CFLAGS_$(1),$(shell pkg-config --cflags $(PKG_$(1))))
TEST_LIBS = $(call once,TEST_LIBS,$(shell pkg-config --libs cmocka))

#   -Wno-comment: "tcp://*:9260" looks like a comment; in public headers it is an error all the same.
WARNINGS  = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wwrite-strings -Wundef -Wvla -Wformat=2 -Wno-comment $(if $(WERROR),-Werror)
SAN_FLAGS = $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer) \
            $(if $(FUZZING),-fsanitize=fuzzer-no-link)
C_FLAGS   = -std=c11 -D_GNU_SOURCE -DYAM_VERSION='"$(VERSION)"' -fPIC -fvisibility=hidden -pthread \
            $(WARNINGS) $(CFLAGS) $(SAN_FLAGS) $(PKG_CFLAGS)
L_FLAGS   = -pthread $(LDFLAGS) $(SAN_FLAGS) -Wl,--as-needed

#   -- What there is: a new file or folder is found, not listed. -------------------------------------

#   EXTRAS are libraries of their own, libyam-NAME, of all folders of that name below a folder of lib or patterns.
LIB_SRC   = $(wildcard lib/*/*.c patterns/*/*.c)
EXTRAS    = postgres redis
EXTRA_SRC = $(foreach name,$(EXTRAS),$(call extra_src,$(name)))
extra_src = $(wildcard lib/*/$(1)/*.c patterns/*/$(1)/*.c)
BIN_SRC   = $(wildcard daemons/*/*.c)
TEST_SRC  = $(foreach kind,unit system interop fuzz bench,$(wildcard tests/$(kind)/*.c))
HELP_SRC  = $(wildcard tests/support/*.c tests/*/*/*.c)
SIM_SRC   = $(wildcard tests/sim/*.c)
PRELOAD_SRC = $(wildcard tests/preload/*.c)
EXAMPLES  = $(wildcard examples/*.c examples/*/*.c)
PUBLIC    = $(wildcard lib/yam.h lib/*/yam_*.h patterns/*/yam_*.h $(foreach name,$(EXTRAS),lib/*/$(name)/yam_*.h \
            patterns/*/$(name)/yam_*.h))
ALL_SRC   = $(LIB_SRC) $(EXTRA_SRC) $(BIN_SRC) $(TEST_SRC) $(HELP_SRC) $(SIM_SRC) $(PRELOAD_SRC) $(wildcard tests/tools/*.c)
ALL_TEXT  = $(ALL_SRC) $(EXAMPLES) $(wildcard lib/*.h $(addsuffix *.h,$(sort $(dir $(ALL_SRC) $(PUBLIC) $(EXAMPLES)))))
SCRIPTS   = $(filter-out %.c %.h,$(wildcard tests/system/test_* tests/interop/test_*))

objects   = $(foreach source,$(1),$(if $(filter $(source),$(BUG_SRC)),$(BUILD),$(SHARED))/obj/$(source:.c=.o))
BUG_SRC   = $(if $(VARIANT),$(call once,BUG_SRC,$(shell grep -l $(VARIANT_MARK) $(LIB_SRC))))
helpers   = $(call objects,$(filter tests/support/% tests/$(1)/%,$(HELP_SRC)) $(helpers_$(1)))
helpers_fuzz = daemons/common/config.c daemons/common/options.c $(addprefix daemons/yam/,format.c rows.c values.c)
LIBRARIES = yam $(EXTRAS:%=yam-%)
LIB_A     = $(SHARED)/libyam.a
EXTRA_A   = $(EXTRAS:%=$(SHARED)/libyam-%.a)
#   A variant has no archive of its own: its few objects stand before the usual one, which is not asked for what they have.
LINKED_A  = $(if $(VARIANT),$(call objects,$(BUG_SRC))) $(LIB_A)
LIB_SO    = $(if $(SAN),,$(BUILD)/libyam.so.$(SOVERSION))
EXTRA_SO  = $(if $(SAN),,$(EXTRAS:%=$(BUILD)/libyam-%.so.$(SOVERSION)))
BINS      = $(patsubst daemons/%/,$(BUILD)/bin/%,$(filter-out daemons/common/,$(sort $(dir $(BIN_SRC)))))
DAEMON_SRC = $(if $(filter %d,$(1)),$(wildcard daemons/common/*.c)) $(wildcard daemons/$(1)/*.c)
MANS      = $(patsubst %.scd,$(BUILD)/man/%,$(wildcard daemons/*/*.scd))
UNITS     = $(wildcard daemons/*/*.service)
CONFS     = $(wildcard daemons/*/*.conf)
TESTS     = $(patsubst tests/%.c,$(BUILD)/%,$(TEST_SRC))
SIM       = $(if $(SIM_SRC),$(BUILD)/sim/sim)
PRELOADS  = $(if $(SAN),,$(PRELOAD_SRC:tests/%.c=$(BUILD)/%.so))
EXAMPLE_BINS = $(patsubst %.c,$(BUILD)/%,$(EXAMPLES))
runnable  = $(foreach test,$(TESTS),$(if $(filter test_% fuzz_%,$(notdir $(test))),$(test))) $(SCRIPTS)

#   -- For people ------------------------------------------------------------------------------------

.PHONY: all build tests examples check demo demo-orders bench sim fuzz faults merge layers headers metrics lint tidy cppcheck format fmt \
        install uninstall clean deps FORCE
.SECONDARY:
.DELETE_ON_ERROR:

all: deps
	+@$(SUBMAKE) build

check lint fuzz faults soak: PACKAGES += $(CHECK_PACKAGES)
bench: PACKAGES += liblmdb-dev python3 postgresql redis-server
bench-plots: PACKAGES += python3 gnuplot-nox
valgrind: PACKAGES += valgrind python3

deps:
	@$(if $(filter no,$(DEPS)),:,tests/tools/install_packages $(PACKAGES))

CHECK = $(SUBMAKE) DEPS=no WERROR=1
check: deps
	+@$(RUN) --build $(BUILD) 'build=$(CHECK) build tests' 'layers=$(CHECK) layers' \
	    'headers=$(CHECK) headers' 'metrics=$(CHECK) metrics' 'lint=$(CHECK) lint' \
	    'examples=$(CHECK) examples' $(runnable) \
	    $(if $(SAN),,$(call check_again,address-undefined) $(check_threads))
check_again = --build build/san-$(1) \
    'build $(1)=$(CHECK) build tests SAN=$(subst -,$(COMMA),$(1))' \
    $(patsubst $(BUILD)/%,build/san-$(1)/%,$(runnable))

demo: deps
	+@$(SUBMAKE) build examples
	@YAM_BIN=$(abspath $(BUILD)/bin) YAM_BUILD=$(abspath $(BUILD)) examples/demo/run.sh

#   Three services with databases of their own, killed at random for KILLING=30 seconds.
demo-orders: deps
	+@$(SUBMAKE) build examples
	@YAM_BIN=$(abspath $(BUILD)/bin) YAM_BUILD=$(abspath $(BUILD)) KILLING='$(KILLING)' SEED='$(SEED)' examples/demo_orders/run.sh

bench: deps
	+@$(SUBMAKE) build $(filter $(BUILD)/bench/%,$(TESTS)) $(if $(SAN),,$(BUILD)/bench/count_syncs.so) >&2
	@YAM_BIN=$(abspath $(BUILD)/bin) YAM_BUILD=$(abspath $(BUILD)) \
	    WORKLOAD='$(WORKLOAD)' SIZES='$(SIZES)' QUICK='$(QUICK)' tests/bench/run

.PHONY: bench-plots
bench-plots: deps
	@YAM_BUILD=$(abspath $(BUILD)) WORKLOAD='$(WORKLOAD)' tests/bench/plots

sim: deps
	+@$(SUBMAKE) $(SIM)
	@$(SIM) $(if $(SEEDS),--seeds $(SEEDS)) $(if $(SEED),--seed $(SEED))

#   More of the faults that check only samples: calls that kill [1000], cuts of power [200], syncs that fail [40].
FAULTS_kills = YAM_COUNT=$(or $(COUNT),1000) tests/system/test_kill_points.py
FAULTS_power = YAM_COUNT=$(or $(COUNT),200) tests/system/test_power_loss.py
FAULTS_syncs = YAM_COUNT=$(or $(COUNT),40) tests/system/test_sync_errors.py
faults: deps
	+@$(SUBMAKE) $(filter %/yam %/yamd,$(BINS))
	@$(foreach row,$(or $(ROW),kills power syncs), \
	    YAM_BIN=$(abspath $(BUILD)/bin) YAM_SEED='$(SEED)' $(FAULTS_$(row)) &&) true

#   Random faults for so long [60]: nothing is lost, and memory and descriptors stay flat.
.PHONY: soak
soak: deps
	+@$(SUBMAKE) $(filter %/yam %/yamd,$(BINS))
	@YAM_BIN=$(abspath $(BUILD)/bin) YAM_MINUTES=$(or $(MINUTES),60) YAM_SEED='$(SEED)' tests/system/test_soak.py

#   libFuzzer on one of tests/fuzz/fuzz_TARGET.c: what it finds new goes to $(FUZZ)/found/TARGET, what
#   crashes to $(FUZZ)/crash-*, and `merge` takes into the corpus what of both reaches more of the code.
FUZZ        = $(BUILD)/libfuzzer
FUZZ_MAKE   = $(SUBMAKE) BUILD=$(FUZZ) CC=clang CFLAGS='-O1 -g' SAN=address,undefined FUZZING=yes
FUZZ_CORPUS = tests/fuzz/corpus/$(TARGET)
FUZZ_FOUND  = $(FUZZ)/found/$(TARGET)
SECONDS    ?= 60
fuzz: deps
	+@$(FUZZ_MAKE) $(FUZZ)/fuzz/fuzz_$(TARGET)
	@mkdir -p $(FUZZ_FOUND) $(FUZZ_CORPUS)
	LSAN_OPTIONS=print_suppressions=0:suppressions=tests/tools/lsan.supp \
	    $(FUZZ)/fuzz/fuzz_$(TARGET) -max_total_time=$(SECONDS) -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
	    -artifact_prefix=$(FUZZ)/ $(FUZZ_FLAGS) $(FUZZ_FOUND) $(FUZZ_CORPUS)

merge:
	@rm -rf $(FUZZ)/merged && mkdir -p $(FUZZ)/merged
	$(FUZZ)/fuzz/fuzz_$(TARGET) -merge=1 -use_counters=0 -use_cmp=0 $(FUZZ)/merged $(FUZZ_CORPUS) $(FUZZ_FOUND)
	rm -rf $(FUZZ_CORPUS) && cp -r $(FUZZ)/merged $(FUZZ_CORPUS)

#   ThreadSanitizer: with WHOLE=yes over the whole suite, which takes half an hour; else, as in check, over the units and those
#   system tests in which clients and a relay are threads of one process, or daemons meet faults. Left out of that: thousands of
#   crashes in one thread (three units); scenes like those here that take minutes (kills, delays, replay, store_damage, outbox,
#   callback and PostgreSQL faults); what is read and written by one thread (command lines, formats, put); what measures or
#   limits time, memory, threads or system calls (hostile, floods, clock_jumps, limits, memory, short_transfers); and whole
#   demos, installing.
THREADED = $(filter-out %/test_segment_log_crash %/test_segment_log_damage %/test_relay_random,$(filter $(BUILD)/unit/%,$(runnable))) \
           $(addprefix $(BUILD)/system/test_,transports relay_close rpc_kills callback_kills callback_answers callback_postgres \
           inbox_postgres inbox_redis outbox_postgres disk_full garbage garbage_sense cli_call) $(BUILD)/fuzz/fuzz_live
THREADED_HERE = $(patsubst $(BUILD)/%,$(BUILD)/san-thread/%,$(THREADED))
THREADED_DAEMONS = $(patsubst %,tests/system/test_%.py,soak cli_queue cli_topic cli_outbox callbackd consumers yamd_signals \
                   yamd_disk network servers sync_errors kill_points)
check_threads = --build $(BUILD)/san-thread \
    'build thread=$(CHECK) BUILD=$(BUILD)/san-thread SAN=thread build $(THREADED_HERE)' $(THREADED_HERE) $(THREADED_DAEMONS)
threads: deps
	+@$(RUN) $(if $(WHOLE),$(call check_again,thread),$(check_threads))

#   Memcheck over what reads and writes the bytes of others, of disks and of databases, and over the real programs: it sees what the
#   sanitizers do not, that bytes nobody wrote decide something, or leave by a system call. Left out: units that fork, that limit time
#   or count what is allocated, or take minutes. Nothing is suppressed.
MEMCHECK = valgrind --quiet --error-exitcode=1 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
MEMCHECKED = $(addprefix $(BUILD)/unit/test_,admin_rows base batch block frame frame_socket message properties raw_framing reader topic_frame \
             vectors writer disk memory_store scrub segment_format segment_log segment_log_faults segment_log_marker segment_log_names \
             spares link_core producer_core producer_random consumer_core consumer_limit consumer_random fast_queue fast_topic curve \
             relay_commit relay_consume relay_delayed relay_delays relay_due relay_end relay_groups relay_produce \
             relay_random relay_replay relay_restart relay_scrub relay_tables dispatcher inbox outbox outbox_core outbox_damage \
             outbox_random rpc_core rpc_desk rpc_frame rpc_random callback_core callback_random callback_store callback_wire) \
             $(addprefix $(BUILD)/fuzz/fuzz_,batch callback config consumer dump endpoint frame journal option outbox prefixes producer \
             properties relay rows rpc segment_format segments snapshot subject topic)
.PHONY: valgrind
valgrind: deps
	+@$(SUBMAKE) $(MEMCHECKED) $(SIM) $(filter %/yam %/yamd,$(BINS))
	@STEPS=2000 MEMCHECK='$(MEMCHECK)' $(RUN) --build $(BUILD) tests/system/memcheck.py --under '$(MEMCHECK)' $(MEMCHECKED) \
	    'simulator=$(MEMCHECK) $(SIM) --seeds 30 --jobs 1'

#   Lines that units and corpus run, by file; fails below 90 percent. What is missing is explained in tests/COVERAGE.md.
COVERED = $(filter $(BUILD)/coverage/unit/% $(BUILD)/coverage/fuzz/fuzz_%,$(TESTS:$(BUILD)/%=$(BUILD)/coverage/%))
coverage: deps
	+@$(SUBMAKE) BUILD=$(BUILD)/coverage CFLAGS='-O0 -g --coverage' LDFLAGS=--coverage $(COVERED)
	@find $(BUILD)/coverage -name '*.gcda' -delete
	@$(RUN) --build $(BUILD)/coverage $(COVERED)
	@tests/tools/coverage $(BUILD)/coverage

#   Whether the tests find the bugs of lib/base/yami_planted.h; BUGS=... for some of them.
.PHONY: planted
planted: deps
	+@$(SUBMAKE) build tests
	@tests/tools/planted --all $(BUILD) $(BUGS)

build: $(LIB_A) $(LIB_SO) $(EXTRA_A) $(EXTRA_SO) $(BINS) $(MANS)
tests: $(TESTS) $(SIM) $(PRELOADS)
examples: $(EXAMPLE_BINS)

clean:
	rm -rf build

#   -- Compiling: a layer sees itself and what is below; of a pattern, others see only yam_*.h ---------

LIB_INCLUDE     = -Ilib/base -Ilib/wire -Ilib/store -Ilib/sql -Ilib/net
$(OBJ)/lib/%:      INCLUDE = -Ilib/base
$(OBJ)/lib/net/%:  INCLUDE = $(LIB_INCLUDE)
$(OBJ)/patterns/%: INCLUDE = $(LIB_INCLUDE) -I$(SHARED)/include
#   Of libyam, an extra sees what every application sees; of itself, what its patterns share.
$(addprefix $(OBJ)/,$(addsuffix %,$(sort $(dir $(EXTRA_SRC))))): INCLUDE = -I$(SHARED)/include \
                    -Ilib/sql/$(notdir $(@D)) $(call extra_cflags,$(notdir $(@D)))
$(OBJ)/daemons/%:  INCLUDE = -Idaemons/common $(LIB_INCLUDE) -I$(SHARED)/include $(EXTRA_CFLAGS)
$(OBJ)/tests/%:    INCLUDE = $(LIB_INCLUDE) -I$(SHARED)/include $(addprefix -I,$(wildcard patterns/*/ daemons/*/ tests/support tests/bench/*/) \
                    $(sort $(dir $(EXTRA_SRC)))) $(EXTRA_CFLAGS)
$(OBJ)/examples/%: INCLUDE = -I$(SHARED)/include

#   The .d file says what both the object and its lint stamp depend on.
$(OBJ)/%.o: %.c $(SHARED)/flags | $(SHARED)/include/.linked
	@mkdir -p $(@D)
	$(call SHOW,cc   $<)$(CC) $(C_FLAGS) $(INCLUDE) -MMD -MP -MT '$@ $(@:.o=.tidy)' -c -o $@ $<

$(SHARED)/flags: $(if $(VARIANT),,FORCE)
	@mkdir -p $(@D)
	@echo "$(CC) $(C_FLAGS)" | cmp -s - $@ || echo "$(CC) $(C_FLAGS)" > $@

ifneq ($(VARIANT),)
$(BUILD)/obj/%.o: INCLUDE = $(LIB_INCLUDE) -I$(SHARED)/include
$(BUILD)/obj/%.o: %.c | $(SHARED)/include/.linked
	@mkdir -p $(@D)
	$(call SHOW,bug  $<)$(CC) $(C_FLAGS) $(VARIANT_FLAG) $(INCLUDE) -MMD -MP -c -o $@ $<
endif

#   All public headers in one folder, as they will be installed.
$(SHARED)/include/.linked: $(PUBLIC)
	@mkdir -p $(@D)
	@ln -sf $(abspath $(PUBLIC)) $(@D) && touch $@

-include $(patsubst %.o,%.d,$(call objects,$(ALL_SRC)))

#   -- Linking ---------------------------------------------------------------------------------------

.SECONDEXPANSION:
$(LIB_A): $(LIB_SRC:%.c=$(OBJ)/%.o)
$(LIB_SO): $(call objects,$(LIB_SRC))
$(LIB_SO): NEEDS = $(LIB_LIBS)
$(EXTRA_A): $(SHARED)/libyam-%.a: $$(call objects,$$(call extra_src,$$*))
$(EXTRA_SO): $(BUILD)/libyam-%.so.$(SOVERSION): $$(call objects,$$(call extra_src,$$*)) $(LIB_SO)
$(EXTRA_SO): NEEDS = $(LIB_SO) $(call extra_libs,$(patsubst libyam-%.so.$(SOVERSION),%,$(@F)))

$(LIB_A) $(EXTRA_A):
	@mkdir -p $(@D)
	$(call SHOW,ar   $@)rm -f $@ && ar rcs $@ $^

$(LIB_SO) $(EXTRA_SO): lib/yam.map
	$(call SHOW,link $@)$(CC) -shared -Wl,-soname,$(@F) -Wl,--version-script=lib/yam.map -Wl,-z,defs \
	    $(L_FLAGS) -o $@ $(filter %.o,$^) $(NEEDS)
	@ln -sf $(@F) $(basename $@)

$(BINS): $(BUILD)/bin/%: $$(call objects,$$(call DAEMON_SRC,$$*)) $(EXTRA_A) $(LINKED_A)
	@mkdir -p $(@D)
	$(call SHOW,link $@)$(CC) $(L_FLAGS) -o $@ $^ $(LIB_LIBS) $(EXTRA_LIBS) $(BIN_LIBS)

$(TESTS): $(BUILD)/%: $(OBJ)/tests/%.o $$(call helpers,$$(firstword $$(subst /, ,$$*))) $(EXTRA_A) $(LINKED_A)
	@mkdir -p $(@D)
	$(call SHOW,link $@)$(CC) $(L_FLAGS) -o $@ $(filter-out $(NO_MAIN),$^) $(LIB_LIBS) $(EXTRA_LIBS) $(BIN_LIBS) \
	    $(TEST_LIBS) $(if $(findstring /bench/,$@),-llmdb) $(if $(FUZZING),-fsanitize=fuzzer)
#   Fuzz programs have their main in corpus.c, or in libFuzzer.
NO_MAIN = $(if $(FUZZING),%/corpus.o,$(if $(filter fuzz_%,$(@F)),,%/corpus.o))

#   Preloaded into daemons: that are measured, whose clock is wrong, or whose system calls move a part.
$(BUILD)/bench/count_syncs.so: $(OBJ)/tests/bench/harness/syncs.o
$(PRELOADS): $(BUILD)/preload/%.so: $(OBJ)/tests/preload/%.o
$(BUILD)/bench/count_syncs.so $(PRELOADS):
	@mkdir -p $(@D)
	$(call SHOW,link $@)$(CC) -shared $(L_FLAGS) -o $@ $<

$(BUILD)/sim/sim: $(call objects,$(SIM_SRC)) $(call helpers,sim) $(LINKED_A)
	@mkdir -p $(@D)
	$(call SHOW,link $@)$(CC) $(L_FLAGS) -Wl,--wrap=yami_starve -o $@ $^ $(LIB_LIBS) $(TEST_LIBS)

$(BUILD)/man/%: %.scd
	@mkdir -p $(@D)
	$(call SHOW,man  $@)scdoc < $< > $@

#   Examples see only what a user sees: the installed headers, library and yam.pc.
STAGE   = $(abspath $(BUILD)/stage)
STAGED  = PKG_CONFIG_SYSROOT_DIR=$(STAGE) PKG_CONFIG_PATH=$(STAGE)/usr/lib/pkgconfig \
          PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 pkg-config
$(BUILD)/stage/.done: $(LIB_A) $(LIB_SO) $(EXTRA_A) $(EXTRA_SO) $(BINS) $(MANS) $(PUBLIC) yam.pc.in
	@rm -rf $(STAGE)
	@$(MAKE) --no-print-directory install DESTDIR=$(STAGE) PREFIX=/usr > /dev/null
	@touch $@

$(EXAMPLE_BINS): $(BUILD)/examples/%: examples/%.c $(wildcard examples/*/*.h) $(BUILD)/stage/.done
	@mkdir -p $(@D)
	$(call SHOW,link $@)$(CC) -std=c11 -D_GNU_SOURCE $(WARNINGS) $(CFLAGS) $(SAN_FLAGS) -o $@ $< \
	    $$($(STAGED) $(if $(SAN),--static) --cflags --libs yam) \
	    -Wl,-rpath,'$$ORIGIN/$(if $(findstring /,$*),../)../stage/usr/lib' -Wl,--as-needed -lzmq -lsodium -lsqlite3

#   -- Installing ------------------------------------------------------------------------------------

TO      = $(DESTDIR)$(PREFIX)
install: build
	install -d $(TO)/include/yam $(TO)/lib/pkgconfig $(TO)/bin
	install -m 644 $(PUBLIC) $(TO)/include/yam
	install -m 644 $(LIB_A) $(EXTRA_A) $(TO)/lib
	$(if $(LIB_SO),install -m 755 $(LIB_SO) $(EXTRA_SO) $(TO)/lib)
	$(if $(LIB_SO),$(foreach name,$(LIBRARIES),ln -sf lib$(name).so.$(SOVERSION) $(TO)/lib/lib$(name).so$(NEWLINE)))
	$(call write_pc,yam,Brokerless messaging with a memory$(COMMA) on ZeroMQ,,$(LIB_LIBS))
	$(foreach name,$(EXTRAS),$(call \
	    write_pc,yam-$(name),Yam with $(PKG_$(name)),yam,$(call extra_libs,$(name)))$(NEWLINE))
	$(if $(BINS),install -m 755 $(BINS) $(TO)/bin)
	$(foreach man,$(MANS),install -D -m 644 $(man) $(TO)/$(call man_path,$(man))$(NEWLINE))
	$(foreach unit,$(UNITS),install -D -m 644 $(unit) $(TO)/lib/systemd/system/$(notdir $(unit))$(NEWLINE) \
	    sed -i 's|^ExecStart=|&$(PREFIX)/bin/|' $(TO)/lib/systemd/system/$(notdir $(unit))$(NEWLINE))
	$(foreach conf,$(CONFS),install -D -m 644 $(conf) $(TO)/share/doc/yam/$(notdir $(conf))$(NEWLINE))

uninstall:
	rm -rf $(TO)/include/yam
	rm -f $(foreach name,$(LIBRARIES),$(foreach end,a so so.$(SOVERSION),$(TO)/lib/lib$(name).$(end)) \
	    $(TO)/lib/pkgconfig/$(name).pc) $(addprefix $(TO)/bin/,$(notdir $(BINS))) $(addprefix $(TO)/,$(foreach man,$(MANS),$(call man_path,$(man)))) \
	    $(addprefix $(TO)/lib/systemd/system/,$(notdir $(UNITS)))
	rm -rf $(TO)/share/doc/yam

#   NAME, description, what pkg-config must ask for, too, what a static link needs.
write_pc = sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' -e 's|@NAME@|$(1)|' -e 's|@DESCRIPTION@|$(2)|' \
    -e 's|@REQUIRES@|$(3)|' -e 's|@LIBS@|$(4)|' yam.pc.in > $(TO)/lib/pkgconfig/$(1).pc
man_path = share/man/man$(patsubst .%,%,$(suffix $(1)))/$(notdir $(1))
define NEWLINE


endef

#   -- Looking at the sources ------------------------------------------------------------------------

layers:
	@tests/tools/layers

headers: $(BUILD)/include/.linked
	@CC='$(CC)' CXX='$(CXX)' tests/tools/headers $(BUILD)/include $(notdir $(PUBLIC))

metrics:
	@tests/tools/metrics

#   -k: one look shows all findings. clang-tidy is slow, so a stamp says which sources have passed.
lint: deps
	+@$(SUBMAKE) -k tidy cppcheck format

cppcheck:
	@mkdir -p $(BUILD)/cppcheck
	@cppcheck --quiet --std=c11 --language=c --enable=warning,performance,portability --library=tests/tools/cppcheck.cfg \
	    --inline-suppr --suppressions-list=tests/tools/cppcheck.txt --error-exitcode=1 \
	    -j $(JOBS) --cppcheck-build-dir=$(BUILD)/cppcheck -D_GNU_SOURCE $(LIB_INCLUDE) $(ALL_SRC) $(EXAMPLES)

format:
	@tests/tools/wrap_comments --check $(ALL_TEXT)
	@clang-format --dry-run -Werror $(ALL_TEXT)

#   One source at a time: of several its analyzer remembers things that are not so (a va_list of one file in the next).
tidy: $(patsubst %.o,%.tidy,$(call objects,$(ALL_SRC) $(EXAMPLES)))
$(OBJ)/%.tidy: %.c .clang-tidy | $(BUILD)/include/.linked
	@mkdir -p $(@D)
	@echo clang-tidy $<
	@said=$$(clang-tidy --quiet --warnings-as-errors='*' $< -- -std=c11 -D_GNU_SOURCE $(PKG_CFLAGS) $(INCLUDE) 2>&1); code=$$?; \
	    case $$code$$said in 0*warning:* | 0*error:* | [!0]*) echo "$$said"; echo "exit code $$code"; exit 1;; esac
	@touch $@

fmt:
	@tests/tools/wrap_comments $(ALL_TEXT)
	clang-format -i $(ALL_TEXT)
