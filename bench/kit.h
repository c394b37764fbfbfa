/* SPDX-License-Identifier: MIT */
/*
 * kit.h - what the programs in C and C++ share: main(), the stopwatch, the figures, two threads on
 * chosen cores.  No runtime is in it.
 *
 * A workload is a function that does n operations and returns how many it did.  It is called twice:
 * with a tenth of n to warm up, when nothing is measured, and with n.  Then the wall time of one
 * operation is printed; or the workload prints figures of its own and returns NO_FIGURE.
 */
#ifndef KIT_H
#define KIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NO_FIGURE	0

#define NS_US	1000ul
#define NS_MS	1000000ul
#define NS_S	1000000000ul

struct workload {
	const char *name;
	long (*fn)(long n, long arg);
	long n;
	long arg;
	bool cold;	/* measured in a process that has done nothing yet */
	bool fixed;	/* n does not follow BENCH_SCALE */
};

/* Serves until SIGTERM; returns the program's status. */
struct server {
	const char *name;
	int (*serve)(void);
};

/* The program's: its name, its workloads (ended by one without a name) in families (ended by NULL),
 * and its servers (ended by one without a name). */
extern const char program[];
extern const struct workload *const families[];
extern const struct server servers[];

/* The program's too, if it has them: what is done before a workload, and after it, unmeasured. */
__attribute__((weak)) void set_up(void);
__attribute__((weak)) void tear_down(void);

/* Ends the program unless it holds, with what and, if there is one, errno. */
void check(bool it_holds, const char *what);

/* Ends the program if rc < 0, which is an -errno; returns it.  Inline, or what is measured would be
 * the kit's calls, too. */
__attribute__((noreturn, cold)) void must_fail(int rc, const char *what);
static inline int must(int rc, const char *what)
{
	if (rc < 0)
		must_fail(rc, what);
	return rc;
}

uint64_t nanoseconds(clockid_t clock);

/* The monotonic clock. */
uint64_t now_ns(void);

/* What is measured lies between the call of fn and its return, or between these two. */
void start_clock(void);
void stop_clock(void);
double clock_ns(void);

/* Prints a figure of the workload that runs, "NAME WORD" or, without a word, "NAME"; nothing while
 * it warms up. */
void figure(const char *word, double value, const char *unit);

/* The value below which p of 1 of all lie.  Sorts them. */
double percentile(double *values, size_t n, double p);

/* n of them, or the end of the program. */
void *must_alloc(size_t n, size_t size);

/* Of this process, in bytes: now, and at the most so far. */
long resident(void);
long resident_peak(void);

/* A listening socket at a port of its own choice, which it has printed; with TCP_NODELAY, which the
 * accepted inherit. */
int listen_and_tell(void);

/* The file of that name in $BENCH_FILES, or "", the directory. */
const char *bench_file(const char *name);

/* For `files`: what is added up, 64-bit words, of the len bytes at p; and what the sum of n files
 * of 4 KiB is, as every byte of them is 1. */
static inline uint64_t sum_words(const void *p, size_t len)
{
	const uint64_t *word = (const uint64_t *)p;
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < len / 8; i++)
		sum += word[i];
	return sum;
}

static inline uint64_t sum_of_files(long n)
{
	return (uint64_t)n * 512 * 0x0101010101010101ull;
}

/* For `sleeps`: the milliseconds of the ith task, and the four figures of them all. */
unsigned sleep_ms(long i);
void sleeps_figures(uint64_t cpu, uint64_t wall, double *late_ms, long n);

/* Runs two threads, each on a core of its own if there are two, until both have ended. */
void two_threads(void *(*a)(void *arg), void *(*b)(void *arg), void *arg);

/* For `post-trip`: the same with each thread on a core of its own, and with both on one.  One of
 * them starts and stops the clock around n round trips. */
void two_placements(void *(*a)(void *arg), void *(*b)(void *arg), void *arg, long n);

#ifdef __cplusplus
}
#endif

#endif
