/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the workloads of weir share: the loop, the stopwatch, the figures.
 *
 * A workload is a function that does n operations and returns how many it did.  It is called twice:
 * with a tenth of n to warm up, when nothing is measured, and with n.  Then main() prints the wall
 * time of one operation; or the workload prints figures of its own and returns NO_FIGURE.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "weir.h"

#define NO_FIGURE	0

struct workload {
	const char *name;
	long (*fn)(long n, long arg);
	long n;
	long arg;
	bool cold;		/* measured in a process that has done nothing yet */
};

/* Ended by one without a name. */
extern const struct workload tasks_workloads[], chan_workloads[], pool_workloads[],
	limits_workloads[], ctx_workloads[], timer_workloads[], memory_workloads[],
	post_workloads[], files_workloads[], loop_workloads[];

WEIR_CHAN(longs, long);

/* Of the process's first thread, for all workloads. */
extern struct weir_loop *loop;

/* Ends the program unless rc is good. */
void must(int rc, const char *what);

/* Ends the program unless it holds: the work was not done. */
void check(bool it_holds, const char *what);

uint64_t nanoseconds(clockid_t clock);

/* What is measured lies between the call of fn and its return, or between these two. */
void start_clock(void);
void stop_clock(void);

/* Prints a figure of the workload that runs, "NAME WORD" or, without a word, "NAME"; nothing while
 * it warms up. */
void figure(const char *word, double value, const char *unit);

/* Not from the warm-up. */
bool measured(void);

/* The value below which p of 1 of all lie.  Sorts them. */
double percentile(double *values, size_t n, double p);

/* Of this process, in bytes: now, and at the most so far. */
long resident(void);
long resident_peak(void);

/* Waits for an item, or to be cancelled. */
struct waiter {
	struct weir_frame co;
	struct longs *ch;
	long item;
};
WEIR_CO_DECL(waiter);

/* Serves until SIGTERM; embedded: driven by an epoll loop. */
int echo(bool embedded);

#endif
