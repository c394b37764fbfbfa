/* SPDX-License-Identifier: MIT */
/*
 * harness.c - the runner of one test program, and the accounts that each test must leave even.
 *
 * Allocations are counted by the linker's --wrap, which reaches weir, the tests and libcheck, but
 * no shared library; so what weir allocates weir must free, and nothing that libc gave.
 */
#include "harness.h"

#include <dirent.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir/sim.h"

#define TEST_SECONDS	20	/* for one test; CK_TIMEOUT_MULTIPLIER stretches it */
#define FDS_MAX		1024
#define SKIPPED		77

static char report[1 << 16];
static bool check;			/* TEST_CHECK, and the test has a loop by test_loop() */
static size_t report_len;
static bool fds_before[FDS_MAX];
static long live_before;
static atomic_long live;	/* blocks allocated and not freed */
static atomic_uint fail_in;	/* allocations until one fails; 0 none will */
static atomic_bool failed;

/* ---- memory ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_aligned_alloc(size_t align, size_t size);
int __real_posix_memalign(void **p, size_t align, size_t size);
char *__real_strdup(const char *s);
void __real_free(void *p);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __wrap_posix_memalign(void **p, size_t align, size_t size);
char *__wrap_strdup(const char *s);
void __wrap_free(void *p);

static bool may_alloc(void)
{
	unsigned n = atomic_load(&fail_in);

	while (n && !atomic_compare_exchange_weak(&fail_in, &n, n - 1))
		;
	if (n == 1)
		atomic_store(&failed, true);
	return n != 1;
}

static void *count(void *p)
{
	if (p)
		atomic_fetch_add(&live, 1);
	return p;
}

void *__wrap_malloc(size_t size)
{
	return may_alloc() ? count(__real_malloc(size)) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return may_alloc() ? count(__real_calloc(n, size)) : NULL;
}

void *__wrap_realloc(void *p, size_t size)
{
	if (!may_alloc())
		return NULL;
	return p ? __real_realloc(p, size) : count(__real_malloc(size));
}

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return may_alloc() ? count(__real_aligned_alloc(align, size)) : NULL;
}

int __wrap_posix_memalign(void **p, size_t align, size_t size)
{
	int rc = may_alloc() ? __real_posix_memalign(p, align, size) : ENOMEM;

	if (rc == 0)
		count(*p);
	return rc;
}

char *__wrap_strdup(const char *s)
{
	return may_alloc() ? count(__real_strdup(s)) : NULL;
}

void __wrap_free(void *p)
{
	if (p)
		atomic_fetch_sub(&live, 1);
	__real_free(p);
}

bool test_fail_alloc(unsigned n)
{
	atomic_store(&fail_in, n);
	return atomic_exchange(&failed, false);
}

long test_blocks(void)
{
	return atomic_load(&live);
}

/* ---- descriptors ---- */

static unsigned list_fds(bool *open)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	unsigned n = 0;
	int fd;

	ck_assert_ptr_nonnull(dir);
	memset(open, 0, FDS_MAX);
	while ((e = readdir(dir))) {
		fd = atoi(e->d_name);
		if (*e->d_name == '.' || fd == dirfd(dir))
			continue;
		n++;
		if (fd < FDS_MAX)
			open[fd] = true;
	}
	closedir(dir);
	return n;
}

unsigned test_fds(void)
{
	bool open[FDS_MAX];

	return list_fds(open);
}

/* ---- coverage ---- */

/* gcov's, in a program that was built for it; it writes its counts in exit(3) only.  A child that
 * ends in abort(), or by _exit() (which `make coverage` wraps), has run code too. */
void __gcov_dump(void) __attribute__((weak));
_Noreturn void __real__exit(int status) __attribute__((weak));
_Noreturn void __wrap__exit(int status);

static void dump_counts(int sig)
{
	(void)sig;	/* abort() goes on behind it */
	__gcov_dump();
}

_Noreturn void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}

/* ---- a test ---- */

static void begin(void)
{
	list_fds(fds_before);
	live_before = atomic_load(&live);
}

static void end(void)
{
	char path[64], target[256];
	bool open[FDS_MAX];
	ssize_t len;
	int fd;

	ck_assert_msg(!check || !strstr(report, "partial deadlock"), "it said:\n%s", report);
	list_fds(open);
	for (fd = 0; fd < FDS_MAX; fd++) {
		if (!open[fd] || fds_before[fd])
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof target);
		ck_abort_msg("descriptor %d left open: %.*s", fd, len > 0 ? (int)len : 0, target);
	}
	ck_assert_msg(atomic_load(&live) <= live_before, "%ld blocks of memory not freed",
		      atomic_load(&live) - live_before);
}

static void keep_report(void *arg, const char *text)
{
	size_t room = sizeof report - report_len;
	int n = snprintf(report + report_len, room, "%s\n", text);

	(void)arg;
	if ((size_t)n < room)
		report_len += (size_t)n;
	else	/* the beginning is what a test looks at */
		report[report_len] = '\0';
}

const char *test_report(void)
{
	return report;
}

/* "seed" or "seed:trouble": every loop on a virtual clock has a simulated kernel. */
static bool simulate(struct weir_sim_conf *sim)
{
	const char *text = getenv("WEIR_SIM");
	char *end;

	if (!text)
		return false;
	sim->seed = strtoull(text, &end, 0);
	sim->trouble = *end == ':' ? (unsigned)strtoul(end + 1, NULL, 0) : WEIR_SIM_LATE;
	return true;
}

struct weir_loop *test_loop_conf(const struct weir_loop_conf *conf)
{
	struct weir_loop_conf c = *conf;
	struct weir_sim_conf sim = { 0 };
	struct weir_loop *loop;
	char why[512];
	int rc;

	c.report = keep_report;
	if (c.virtual_clock && simulate(&sim))
		c.sim = &sim;
	rc = weir_loop_new(&loop, &c);
	ck_assert_msg(rc == 0, "%s", weir_explain(rc, why, sizeof why));
	return loop;
}

struct weir_loop *test_loop_plain(void)
{
	return test_loop_conf(&(struct weir_loop_conf){ .seed = 1, .virtual_clock = true });
}

struct weir_loop *test_loop(void)
{
	check = getenv("TEST_CHECK");
	return test_loop_conf(&(struct weir_loop_conf){
		.seed = 1, .virtual_clock = true, .check = check });
}

void test_loop_free(struct weir_loop *loop)
{
	int left = weir_loop_free(loop);

	ck_assert_msg(left == 0, "%d left in the loop:\n%s", left, report);
}

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED	true
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED	true
#endif
#ifndef SANITIZED
#define SANITIZED	false
#endif

bool test_on_valgrind(void)
{
	const char *preload = getenv("LD_PRELOAD");

	return preload && strstr(preload, "vgpreload");
}

bool test_sees_freed(void)
{
	return SANITIZED || test_on_valgrind();
}

unsigned test_some(unsigned n)
{
	return test_sees_freed() || __gcov_dump ? n / 10 : n;
}

/* ---- the program ---- */

static void skip_without_uring(void)
{
	struct weir_loop *loop;
	char why[512];
	int rc = weir_loop_new(&loop, NULL);

	if (rc == 0) {
		weir_loop_free(loop);
		return;
	}
	printf("%s\n", weir_explain(rc, why, sizeof why));
	exit(SKIPPED);
}

/* Named in WEIR_SIM_NOT: of no use on a simulated kernel, see tests/seeds. */
static bool is_left_out(const char *name)
{
	const char *names = getenv("WEIR_SIM_NOT"), *at = names ? strstr(names, name) : NULL;

	return at && (at == names || at[-1] == ' ') && strchr(" ", at[strlen(name)]);
}

int test_main(const char *name, const TTest *const *tests, size_t n)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	TCase *one;
	size_t i;
	int bad, ran;

	skip_without_uring();
	if (__gcov_dump)
		signal(SIGABRT, dump_counts);
	for (i = 0; i < n; i++) {	/* a case each, so that CK_RUN_CASE=name runs one */
		if (is_left_out(tests[i]->name))
			continue;
		one = tcase_create(tests[i]->name);
		tcase_set_timeout(one, TEST_SECONDS);
		tcase_add_checked_fixture(one, begin, end);
		tcase_add_test(one, tests[i]);
		suite_add_tcase(suite, one);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	bad = srunner_ntests_failed(runner);
	ran = srunner_ntests_run(runner);
	srunner_free(runner);
	printf("%d passed, %d failed\n", ran - bad, bad);
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
