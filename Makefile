# SPDX-License-Identifier: MIT
#
# weir - an event-loop runtime for C daemons. `make help` lists what can be made.
# Yours to set: CC CFLAGS CPPFLAGS LDFLAGS PREFIX DESTDIR BUILD, V=1 to see the commands,
# DEBUG=1, SAN=address,undefined or SAN=thread, WERROR=1.

VERSION   := 0.1.0
SOVERSION := 0

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
PKG_CONFIG ?= pkg-config
BUILD      ?= build
JOBS       ?= $(shell nproc)
CFLAGS     ?= $(if $(DEBUG),-O0 -g3,$(if $(findstring address,$(SAN)),-O1,-O2) -g)

# On all cores, unless -j says otherwise.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(JOBS)
endif

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

# Several goals are made in the order in which they stand, each by a make of its own: `make deps
# demo` has the libraries before it looks for them, and -j is harmless.
ifneq ($(word 2,$(MAKECMDGOALS)),)
.NOTPARALLEL:
.PHONY: $(MAKECMDGOALS)
$(MAKECMDGOALS):
	@+$(MAKE) --no-print-directory $@
else

# ---- flags ----

comma := ,
B     := $(BUILD)$(if $(DEBUG),/debug)$(if $(SAN),/$(subst $(comma),-,$(SAN)))
CLANG := $(findstring clang,$(shell $(CC) --version))

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wundef -Wwrite-strings $(if $(WERROR),-Werror)

# What a coroutine must not get away with, see tests/misuse. GCC sees it only where it optimises,
# and sees ghosts between a sanitizer's checks (and TSan's is no fence to the kernel); Clang's eye
# is part of lint.
CO_ERRORS := -Werror=return-type -Werror=unused-result -Werror=vla \
	$(if $(CLANG),,$(if $(SAN),-Wno-maybe-uninitialized -Wno-tsan,-Werror=maybe-uninitialized))

HARDEN := -fstack-protector-strong
ifeq ($(SAN)$(findstring -O0,$(CFLAGS)),)
HARDEN += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
endif
SANITIZE := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)

# One set of objects serves both libraries; inside libweir.so nothing is interposed.
ALL_CFLAGS := -std=gnu17 $(WARN) $(CO_ERRORS) $(HARDEN) $(SANITIZE) \
	$(if $(DEBUG),-DWEIR_DEBUG) -fPIC -fvisibility=hidden -fno-semantic-interposition -pthread $(CFLAGS)
ALL_CPPFLAGS := -Iruntime/include $(CPPFLAGS)
ALL_LDFLAGS  := -Wl,-z,relro,-z,now -pthread $(SANITIZE) $(LDFLAGS)

# Asked for when they are used: `make deps` runs without pkg-config.
libs       = $(shell $(PKG_CONFIG) --libs $(1) 2>/dev/null || echo $(2))
URING_LIBS = $(call libs,liburing,-luring)
CHECK_LIBS = $(call libs,check,-lcheck)
treesum_LIBS = $(call libs,libcrypto,-lcrypto)

# The harness counts allocations and fails the one it is asked to.
WRAP_ALLOC := $(foreach f,malloc calloc realloc aligned_alloc posix_memalign strdup free,\
	-Wl,--wrap=$f)

Q   := $(if $(V),,@)
say  = $(if $(V),,@printf '  %-5s %s\n' $(1) $(2))

# ---- files ----

ROOMS  := kernel core sync patterns io check
LIB    := $(foreach r,$(ROOMS),$(wildcard runtime/$r/*.c))
DEMOS  := $(wildcard demos/*.c)
PARTS  := $(wildcard demos/*/*.c)	# of the demo that the directory is named after
LOAD   := $(wildcard bench/load.c)
BENCH_WEIR := $(wildcard bench/kit.c bench/weir/*.c)	# one program, a subject of the bench
TESTS  := $(filter-out tests/misuse/% tests/cpp/%,$(wildcard tests/*/*.c))
EXPLORER := $(wildcard tests/explore/kit/*.c)
FUZZ_KIT := $(wildcard tests/fuzz/kit/*.c)
SOURCES := $(LIB) $(DEMOS) $(PARTS) $(LOAD) $(BENCH_WEIR) $(TESTS) $(EXPLORER) $(FUZZ_KIT) tests/harness.c
HEADERS := $(wildcard runtime/*/*.h runtime/include/weir/*.h demos/*/*.h bench/*.h bench/weir/*.h tests/*.h tests/*/*.h tests/*/kit/*.h)
SCRIPTS := $(wildcard tests/*/run)
LIBWEIR := $B/libweir.a
object  = $(1:%.c=$B/obj/%.o)

.PHONY: all tests deps check-deps demo check soak seeds models coverage flakes fuzz fuzz-one \
	check-all check-6.1 lint bench bench-deps bench-check vectors install clean help FORCE
all: $(LIBWEIR) $B/libweir.so $(DEMOS:%.c=$B/%)	## the libraries and the demos, in build/
tests: $(TESTS:%.c=$B/%)			## the test programs, without running them

# Private, or else the first of them that is made would lend its flags to $B/flags.
$(call object,$(LIB)): private ALL_CPPFLAGS += -Iruntime
$(call object,$(TESTS) $(EXPLORER) $(FUZZ_KIT) tests/harness.c): private ALL_CPPFLAGS += -Iruntime -Itests

$(call object,$(SOURCES)): $B/obj/%.o: %.c $B/flags
	$(call say,CC,$<)
	$Q mkdir -p $(@D) && $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# Rewritten when the command that compiles has changed, so that everything is compiled anew.
$B/flags: FORCE
	@mkdir -p $B && printf '%s\n' '$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(ALL_LDFLAGS)' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@

$(LIBWEIR): $(call object,$(LIB))
	$(call say,AR,$@)
	$Q rm -f $@ && $(AR) rcs $@ $^

$B/libweir.so: $(call object,$(LIB))
	$(call say,LINK,$@)
	$Q $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -shared $(if $(SAN),,-Wl,-z,defs) \
		-Wl,-soname,libweir.so.$(SOVERSION) -o $@.$(VERSION) $^ $(URING_LIBS)
	$Q ln -sf libweir.so.$(VERSION) $@.$(SOVERSION) && ln -sf libweir.so.$(SOVERSION) $@

.SECONDEXPANSION:
$(DEMOS:%.c=$B/%) $(LOAD:%.c=$B/%): $B/%: $B/obj/%.o \
		$$(call object,$$(wildcard $$*/*.c)) $(LIBWEIR)
	$(call say,LINK,$@)
	$Q mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(URING_LIBS) $($(notdir $@)_LIBS)

$B/bench/weir: $(call object,$(BENCH_WEIR)) $(LIBWEIR)
	$(call say,LINK,$@)
	$Q mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -o $@ $^ $(URING_LIBS)

$(patsubst %.c,$B/%,$(filter tests/faults/%,$(TESTS))): WRAP_ALLOC += -Wl,@tests/faults/wraps
$(TESTS:%.c=$B/%): $B/%: $B/obj/%.o $B/obj/tests/harness.o $(LIBWEIR)
	$(call say,LINK,$@)
	$Q mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(WRAP_ALLOC) $(TEST_LDFLAGS) -o $@ \
		$(filter-out %.a,$^) $(filter %.a,$^) $(CHECK_LIBS) $(URING_LIBS)

# The explorer stands between its programs and pthread and the kernel; and the files of the runtime that
# threads meet in are compiled once more, so that it sees their atomics.
EXPLORED = $(patsubst %,$B/explored/runtime/%.o,core/inbox core/loop io/work sync/sem_shared \
	kernel/uring kernel/uring_ops)
$(patsubst %.c,$B/%,$(filter tests/explore/%,$(TESTS))): $(call object,$(EXPLORER)) $(EXPLORED)
$(patsubst %.c,$B/%,$(filter tests/explore/%,$(TESTS))): WRAP_ALLOC += -Wl,@tests/explore/kit/wraps
$(call object,$(EXPLORER)): private ALL_CFLAGS += -fno-sanitize=thread
$(EXPLORED): private ALL_CPPFLAGS += -Iruntime -include tests/explore/kit/points.h
$(EXPLORED): $B/explored/%.o: %.c $B/flags
	$(call say,CC,'$< (explored)')
	$Q mkdir -p $(@D) && $(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# A fuzz target's main() replays its corpus; or it is libFuzzer's, in a build of Clang's for that.
$(patsubst %.c,$B/%,$(filter tests/fuzz/%,$(TESTS))): $(call object,$(FUZZ_KIT))
$B/fuzz/%: $B/obj/tests/fuzz/%.o $(filter-out %/replay.o,$(call object,$(FUZZ_KIT))) $(LIBWEIR)
	$(call say,LINK,$@)
	$Q mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(URING_LIBS)

-include $(patsubst %.o,%.d,$(call object,$(SOURCES)) $(EXPLORED))

# ---- what a person asks for ----

deps:		## installs the libraries that are missing
	@.ci/deps build

check-deps:	## installs the tools that check-all needs
	@.ci/deps check

DEMO_DIR ?= /usr/include
demo: all	## runs the demos on real input and checks what treesum says
	@for d in worker_pool pipeline rate_limit; do echo "== $$d"; $B/demos/$$d || exit; done
	@echo "== embed_epoll, twice"; cat Makefile | $B/demos/embed_epoll 40e3 | \
		$B/demos/embed_epoll 2>/dev/null | cmp - Makefile && echo "what came out is what went in"
	@echo "== treesum $(DEMO_DIR)"; $B/demos/treesum $(DEMO_DIR) >$B/treesum.sha256
	@sha256sum -c --quiet $B/treesum.sha256
	@echo "$$(wc -l <$B/treesum.sha256) files, and sha256sum agrees with every line"

# CHECK=pattern selects programs; WRAP=command runs each of them under it, with ten times the time.
SLOW := $(if $(WRAP)$(SAN),0)
check: all tests	## runs every test
	@BUILD='$B' WRAP='$(WRAP)' CK_TIMEOUT_MULTIPLIER=1$(SLOW) tests/run -j $(JOBS) -t 60$(SLOW) \
		$(if $(CHECK),-k '$(CHECK)') $(TESTS:%.c=$B/%) $(SCRIPTS)

# A child that ends by _exit() writes its counts, too: see tests/harness.c; and test_some() is a tenth.
COVERAGE = CC=gcc BUILD=$(BUILD)/coverage CFLAGS='-O0 -g --coverage -fprofile-update=atomic' \
	TEST_LDFLAGS='-Wl,--wrap=_exit -u __gcov_dump' SLOW=0 SCRIPTS=
coverage:	## which lines and branches of runtime/ the tests run: at least 95 and 85 %
	@mkdir -p $(BUILD)/coverage && find $(BUILD)/coverage -name '*.gcda' -delete
	@+$(MAKE) --no-print-directory check $(COVERAGE)
	@tests/coverage $(BUILD)/coverage 95 85

SEEDS ?= 20000
soak: all tests	## everything at once, over SEEDS simulated kernels that are sound and as many that fail
	@WEIR_SEEDS=$(SEEDS) BUILD='$B' CK_TIMEOUT_MULTIPLIER=1000 \
		tests/run -j $(JOBS) -t 100000 $(filter $B/tests/soak/%,$(TESTS:%.c=$B/%))

KERNELS ?= 3
seeds: all tests	## the tests of the rooms above the kernel, on KERNELS simulated ones
	@BUILD='$B' CK_TIMEOUT_MULTIPLIER=5 tests/seeds $(KERNELS) $(TESTS:%.c=$B/%)

flakes: all tests	## the test programs RUNS times on one core, two at a time, then RUNS times on busy ones
	@BUILD='$B' tests/flakes $(or $(RUNS),100) $(if $(CHECK),-k '$(CHECK)') $(TESTS:%.c=$B/%)

FUZZ    ?= $(patsubst tests/fuzz/%.c,%,$(filter tests/fuzz/%,$(TESTS)))
SECONDS ?= 60
fuzz:		## lets libFuzzer look for inputs of FUZZ=target that fail, SECONDS long
	@+for target in $(FUZZ); do \
		$(MAKE) --no-print-directory CC=clang SAN=fuzzer-no-link,address,undefined fuzz-one FUZZ=$$target || exit; \
	done
fuzz-one: $B/fuzz/$(FUZZ)
	@tests/fuzz/kit/fuzz '$B' $(FUZZ) $(SECONDS)

# TSan 12 does not know where a kernel of today may put things.
FIXED_ADDRESSES := $(shell setarch -R true 2>/dev/null && echo setarch -R)
VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
	--show-leak-kinds=definite
again = @+case ',$(DONE),' in *',$(1),'*) exit 0 ;; esac; printf '\n== %s\n' '$(1)'; began=$$(date +%s); \
	$(MAKE) --no-print-directory $(2) || echo '$(1)' >>$(BUILD)/failed; \
	echo "$(1): $$(($$(date +%s) - began)) s"

# These take each compiler that is here: they are no part of the first pass, see .ci/run.
COMPILED := tests/misuse/run tests/headers/run tests/cpp/run
GCC := CC=gcc WERROR=1
# As fast as ever, with the checks of DEBUG, and conf.check for every loop that a test makes.
CHECKED := DEBUG=1 TEST_CHECK=1 CFLAGS='-O2 -g'
check-all:	## and with every compiler, sanitizer and lint; DONE=gcc,lint leaves those out
	@mkdir -p $(BUILD) && rm -f $(BUILD)/failed
	$(call again,gcc,check $(GCC) SCRIPTS='$(filter-out $(COMPILED),$(SCRIPTS))')
	$(call again,clang,check CC=clang BUILD=$(BUILD)/clang WERROR=1 $(CHECKED) SCRIPTS='$(COMPILED)')
	$(call again,address,check CC=gcc SAN=address$(comma)undefined SCRIPTS=)
	$(call again,soak,soak CC=gcc SAN=address$(comma)undefined SEEDS=10000)
	$(call again,seeds,seeds $(GCC) KERNELS=1)
	$(call again,thread,check CC=gcc SAN=thread WRAP='$(FIXED_ADDRESSES)' SCRIPTS=tests/explore/run)
	$(call again,valgrind,check $(GCC) WRAP='$(VALGRIND)' SCRIPTS= TESTS='$(filter-out tests/demos/%,$(TESTS))')
	$(call again,instructions,bench-check $(GCC))
	$(call again,models,models NO_SKIP=1)
	$(call again,coverage,coverage)
	$(call again,lint,lint)
	@[ ! -e $(BUILD)/failed ] || { echo "failed with: $$(paste -s -d, $(BUILD)/failed)"; exit 1; }

check-6.1: all tests	## the same tests on Debian 12's kernel, in an emulated machine
	@BUILD='$B' tests/vm/boot $(if $(CHECK),-k '$(CHECK)') $(TESTS:%.c=$B/%)

# With NO_SKIP=1 a machine without spin is a failure.
models:		## what no order of steps may do, by SPIN, if there is one
	@BUILD='$B' CC='$(CC)' tests/models/check || { [ $$? -eq 77 ] && [ -z '$(NO_SKIP)' ]; }

# The coroutine lint compiles to ISO jumps, whose crossings GCC can see.
COROUTINES = $(shell grep -l WEIR_END $(SOURCES))
LINT_FLAGS = -std=gnu17 $(WARN) -Iruntime/include -Iruntime -Itests
lint:		## format, clang-tidy and what the compilers know of coroutines
	$(call say,LINT,style)
	$Q printf '%s\n' $(SOURCES) $(HEADERS) | xargs -P $(JOBS) -n 8 tests/style
	$(call say,LINT,coroutines)
	$Q printf '%s\n' $(filter-out tests/%,$(SOURCES)) | xargs -P $(JOBS) -n 8 \
		clang -fsyntax-only $(LINT_FLAGS) -Werror -Wconditional-uninitialized
	$Q printf '%s\n' $(COROUTINES) | xargs -P $(JOBS) -n 8 \
		gcc -fsyntax-only $(LINT_FLAGS) -Werror -DWEIR_CO_LINT -Wjump-misses-init -Wno-switch
	$(call say,LINT,clang-tidy)
	$Q mkdir -p $B && printf '%s\n' $(filter-out tests/%,$(SOURCES)) | xargs -P $(JOBS) -n 1 \
		sh -c 'clang-tidy --quiet "$$@" -- $(LINT_FLAGS)' tidy 2>$B/tidy.log || \
		{ grep -v ' generated' $B/tidy.log; exit 1; }
	$(call say,LINT,scripts)
	$Q shellcheck -e SC2016 .ci/run .ci/deps tests/run tests/style bench/run bench/report bench/check bench/treesum $(wildcard bench/peers/*/build) \
		tests/coverage tests/flakes tests/seeds $(SCRIPTS) \
		$(wildcard tests/models/check tests/vm/* tests/vectors/generate tests/fuzz/kit/fuzz)

bench: $B/bench/weir $(LOAD:%.c=$B/%) $B/libweir.so	## weir beside its peers: BENCH=pattern RUNS=n QUICK=1
	@BUILD='$B' RUNS='$(or $(RUNS),$(if $(QUICK),2,5))' QUICK='$(QUICK)' FLAGS='$(strip $(CFLAGS) $(HARDEN))' \
		bench/run '$(BENCH)'

bench-deps:	## installs the peers
	@.ci/deps bench

bench-check: $B/bench/weir	## the core workloads take no more instructions than they did
	@BUILD='$B' CC='$(CC)' bench/check

vectors:	## makes further random vectors for the limiter, with Go
	$Q tests/vectors/generate

install: $(LIBWEIR) $B/libweir.so	## to $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/weir
	install -m 644 $(wildcard runtime/include/*.h) $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(wildcard runtime/include/weir/*.h) $(DESTDIR)$(INCLUDEDIR)/weir
	install -m 644 $(LIBWEIR) $(DESTDIR)$(LIBDIR)
	install -m 755 $B/libweir.so.$(VERSION) $(DESTDIR)$(LIBDIR)
	cp -P $B/libweir.so $B/libweir.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)
	sed -e 's|@PREFIX@|$(PREFIX)|; s|@LIBDIR@|$(LIBDIR)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|' \
		-e 's|@VERSION@|$(VERSION)|' runtime/weir.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/weir.pc

clean:		## removes build/
	rm -rf $(BUILD)

help:		## this list
	@sed -n 's/^\([a-z0-9.-]*\):.*##/\1	/p' $(MAKEFILE_LIST) | expand -t 16
endif
