/* SPDX-License-Identifier: MIT */
/*
 * seeds.c - weir_check_run(): a test body over many seeds.
 *
 * The seeds run one after the other in a child process, which says in shared memory where it is and
 * what the loop reported; so whatever ends it, the parent knows the seed and says how to run it
 * again.  LeakSanitizer stops the world and takes its time, so it looks once for a number of seeds,
 * and only if there is a leak are those run again one by one.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/loop.h"
#include "weir/seeds.h"
#include "weir/sim.h"

#define FIRST_DEFAULT	1u
#define SEEDS_DEFAULT	100u
#define SECONDS_DEFAULT	20u
#define SECONDS_MAX	86400u
#define TWICE_DEFAULT	10u
#define REPORT_BYTES	16384u	/* of one seed; more is cut off */
#define COMMAND_BYTES	16384u
#define LEAK_CHECKS	32u	/* LeakSanitizer's, of which each takes 10 ms; a few more at most */

struct run {	/* in memory that parent and child share */
	struct weir_check_conf conf;
	weir_check_body *body;
	const char *name;
	volatile uint64_t at;		/* the seed */
	volatile bool said;		/* what was wrong */
	volatile bool finished;		/* all seeds */
	bool trace;
	unsigned batch;			/* after so many seeds, a look for leaked memory */
	unsigned suspects;		/* seeds from conf.first on, of which one has leaked some */
	size_t len;
	char report[REPORT_BYTES];
};

/* ---- what is said ---- */

static void hear(void *arg, const char *text)
{
	struct run *r = arg;
	int n = snprintf(r->report + r->len, sizeof r->report - r->len, "%s\n", text);

	r->len += (size_t)n;
	if (r->len >= sizeof r->report)
		r->len = sizeof r->report - 1;
}

static void trace(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

/* A word of a command, as the shell will read it. */
static void say_word(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
				    "_-+./:=@%";

	if (*word && !word[strspn(word, plain)]) {
		fputs(word, stderr);
		return;
	}
	putc('\'', stderr);
	for (; *word; word++)
		if (*word == '\'')
			fputs("'\\''", stderr);
		else
			putc(*word, stderr);
	putc('\'', stderr);
}

/* The program's own command line, to be run where it was.  What is too long for us is cut. */
static void say_command(const struct run *r)
{
	char words[COMMAND_BYTES + 1];
	const char *word = words;
	int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, words, COMMAND_BYTES);

	if (fd >= 0)
		close(fd);
	words[n > 0 ? n : 0] = '\0';
	fputs("weir: check: to run it again: WEIR_SEED=", stderr);
	say_word(r->name);
	fprintf(stderr, ":%llu", (unsigned long long)r->at);
	for (; word < words + n; word += strlen(word) + 1) {
		putc(' ', stderr);
		say_word(word);
	}
	fputs(n == COMMAND_BYTES ? " ...\n" : "\n", stderr);
}

__attribute__((format(printf, 2, 3)))
static int fail(struct run *r, const char *format, ...)
{
	va_list args;

	r->said = true;
	fprintf(stderr, "weir: check: %s: seed %llu: ", r->name, (unsigned long long)r->at);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n%s", r->report);
	return 1;
}

/* ---- one seed ---- */

/* A body that hears of faults by its own reporter may expect them. */
static bool is_own(const struct run *r)
{
	return r->conf.loop.report != NULL;
}

static int end(struct run *r, struct weir_loop *loop, int rc, uint64_t *hash)
{
	struct weir_sim_stats stats = { 0 };
	bool simulated = weir_sim_stats(loop, &stats) == 0;
	unsigned faults = is_own(r) ? 0 : loop->faults;
	int left;

	*hash = simulated ? weir_sim_hash(loop) : 0;
	left = weir_loop_free(loop);
	if (rc)
		return fail(r, "returned %d (%s)", rc, rc < 0 ? strerror(-rc) : "not 0");
	if (left || stats.open)
		return fail(r, "%d leaked, %llu descriptors are open", left,
			    (unsigned long long)stats.open);
	if (faults)
		return fail(r, faults == 1 ? "a fault was reported" : "%u faults were reported",
			    faults);
	if (stats.touched)
		return fail(r, "%llu buffers were changed while the kernel had them",
			    (unsigned long long)stats.touched);
	return 0;
}

static int run_once(struct run *r, uint64_t seed, uint64_t *hash)
{
	struct weir_sim_conf sim = {
		.seed = seed, .trouble = r->conf.trouble, .trace = r->trace ? trace : NULL,
	};
	struct weir_loop_conf conf = r->conf.loop;
	struct weir_loop *loop;
	char why[512];
	int rc;

	r->len = 0;
	*r->report = '\0';
	conf.seed = seed;
	conf.check = conf.check || seed % 2;	/* a program in production goes other ways */
	if (!is_own(r)) {
		conf.report = hear;
		conf.report_arg = r;
	}
	conf.virtual_clock = true;
	conf.sim = r->conf.real ? NULL : &sim;
	rc = weir_loop_new(&loop, &conf);
	if (rc < 0)
		return fail(r, "no loop: %s", weir_explain(rc, why, sizeof why));
	rc = r->body(loop, r->conf.arg);
	return end(r, loop, rc, hash);
}

static int run_seed(struct run *r, uint64_t seed, bool twice)
{
	uint64_t hash = 0, again = 0;
	int rc;

	r->at = seed;
	rc = run_once(r, seed, &hash);
	if (rc || !twice)
		return rc;
	rc = run_once(r, seed, &again);
	return rc == 0 && hash != again ? fail(r, "a second run of it is another run") : rc;
}

int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static bool leaked(void)
{
	return __lsan_do_recoverable_leak_check && __lsan_do_recoverable_leak_check();
}

/* Memory was leaked by one of n seeds, the last of which has just been run. */
static int suspect(struct run *r, unsigned n)
{
	if (n == 1)
		return fail(r, "memory has leaked");
	r->conf.first = r->at - (n - 1);
	r->suspects = n;
	r->said = true;
	return 1;
}

static int run_all(struct run *r)
{
	bool mine = !leaked();	/* what is found later is */
	unsigned i, n = 0;
	int rc = 0;

	for (i = 0; i < r->conf.seeds && rc == 0; i++) {
		rc = run_seed(r, r->conf.first + i, i % r->conf.twice == 0 && !r->trace);
		if (rc || (++n < r->batch && i + 1 < r->conf.seeds))
			continue;
		if (mine && leaked())
			rc = suspect(r, n);
		n = 0;
	}
	return rc;
}

/* ---- the child ---- */

/* What else exit() would do; handlers that the program has set up are the parent's to run. */
void __gcov_dump(void) __attribute__((weak));

static _Noreturn void child(struct run *r)
{
	int rc = run_all(r);

	r->finished = true;
	fflush(NULL);
	if (__gcov_dump)
		__gcov_dump();
	_exit(rc);
}

#define TICK	10	/* ms between two looks where there is no pidfd: valgrind knows none */

static bool has_ended(pid_t pid)
{
	siginfo_t info = { .si_pid = 0 };

	return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		info.si_pid == pid;
}

/* Waits for the child to end, for as long as seeds go by.  Not for the end of a file that it has
 * open: what it forks, and leaves, has that too.  False: they do not go by. */
static bool goes_on(const struct run *r, pid_t pid, int pidfd)
{
	unsigned most = r->conf.seconds * 1000, tick = pidfd < 0 ? TICK : most, waited = 0;
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	uint64_t seed = r->at;
	int n;

	while (waited < most) {
		n = poll(&p, 1, (int)tick);
		if (n > 0 || (pidfd < 0 && has_ended(pid)))
			return true;
		waited = r->at == seed ? waited + (n == 0 ? tick : 0) : 0;
		seed = r->at;
	}
	return false;
}

/* What waitpid(2) says, or UNKNOWN: the program ignores SIGCHLD, or was quicker. */
#define UNKNOWN (-1)
static int status_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return UNKNOWN;
	return status;
}

static int judge(struct run *r, int status)
{
	if (r->said || ((status == 0 || status == UNKNOWN) && r->finished))
		return r->said;
	if (status == UNKNOWN)
		return fail(r, "the process has ended");
	if (WIFEXITED(status))
		return fail(r, "the process has ended, with %d", WEXITSTATUS(status));
	return fail(r, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
}

/* pidfd: -1 if there is none, or nothing is left of the child. */
static int parent(struct run *r, pid_t pid, int pidfd)
{
	bool hangs = !goes_on(r, pid, pidfd);
	int status, rc;

	if (hangs)
		kill(pid, SIGKILL);
	status = status_of(pid);
	if (hangs)
		rc = fail(r, "nothing moved for %u seconds", r->conf.seconds);
	else
		rc = judge(r, status);
	if (rc && !r->suspects)
		say_command(r);
	return rc;
}

/* The child has the descriptors that this process has, and no more: a seed that is run again finds
 * the same ones free. */
static int run_in_child(struct run *r)
{
	int pidfd, rc;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(r);
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0 && errno != ESRCH && errno != ENOSYS) {
		rc = -errno;
		kill(pid, SIGKILL);
		status_of(pid);
		return rc;
	}
	rc = parent(r, pid, pidfd);
	if (pidfd >= 0)
		close(pidfd);
	return rc;
}

/* Another child runs them again, with a look for leaks after each. */
static int run_suspects(struct run *r)
{
	int rc;

	fprintf(stderr, "weir: check: %s: memory has leaked in seeds %llu to %llu; which one?\n",
		r->name, (unsigned long long)r->conf.first, (unsigned long long)r->at);
	r->conf.seeds = r->suspects;
	r->suspects = 0;
	r->batch = 1;
	r->said = r->finished = false;
	rc = run_in_child(r);
	if (rc == 0) {
		rc = fail(r, "memory has leaked, but in none of the last %u seeds alone",
			  r->conf.seeds);
		say_command(r);
	}
	return rc;
}

/* ---- what is asked for ---- */

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	char *end;
	uint64_t n;

	if (!text)
		return otherwise;
	n = strtoull(text, &end, 0);
	return *text && !*end ? n : otherwise;
}

/* WEIR_SEED=name:seed, or the seed alone for every body. */
static bool one_seed(const char *name, uint64_t *seed)
{
	const char *text = getenv("WEIR_SEED"), *colon = text ? strrchr(text, ':') : NULL;

	if (!text)
		return false;
	if (colon && (strncmp(text, name, (size_t)(colon - text)) != 0 || name[colon - text]))
		return false;
	*seed = strtoull(colon ? colon + 1 : text, NULL, 0);
	return true;
}

static void defaults(struct weir_check_conf *c)
{
	uint64_t seeds;

	c->first = number("WEIR_FIRST", c->first ? c->first : FIRST_DEFAULT);
	c->seeds = c->seeds ? c->seeds : SEEDS_DEFAULT;
	seeds = number("WEIR_SEEDS", c->seeds);
	if (seeds && seeds <= UINT32_MAX)
		c->seeds = (unsigned)seeds;
	c->seconds = c->seconds ? c->seconds : SECONDS_DEFAULT;
	if (c->seconds > SECONDS_MAX)
		c->seconds = SECONDS_MAX;
	c->twice = c->twice ? c->twice : TWICE_DEFAULT;
	c->trouble = c->trouble ? c->trouble & ~WEIR_CHECK_CALM : WEIR_SIM_SOUND;
}

/* Whether the body is to run in this process: for a debugger, or libcheck's own such mode, which
 * leaves a failed assertion by a jump. */
static bool in_process(void)
{
	const char *fork_ = getenv("CK_FORK");

	return fork_ && !strcmp(fork_, "no");
}

int weir_check_run_(weir_check_body *body, const char *name, const struct weir_check_conf *conf)
{
	struct run *r = mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t seed;
	int rc;

	if (r == MAP_FAILED)
		return -errno;
	r->conf = *conf;
	defaults(&r->conf);
	r->body = body;
	r->name = name;
	r->trace = number("WEIR_TRACE", 0);
	r->batch = 1 + r->conf.seeds / LEAK_CHECKS;
	if (one_seed(r->name, &seed)) {
		r->conf.first = seed;
		r->conf.seeds = r->batch = 1;
		rc = run_all(r);
	} else if (in_process()) {
		r->batch = 1;
		rc = run_all(r);
		if (rc)
			say_command(r);
	} else {
		rc = run_in_child(r);
		if (r->suspects)
			rc = run_suspects(r);
	}
	munmap(r, sizeof *r);
	return rc;
}
