/* SPDX-License-Identifier: MIT */
/*
 * core.c - what the pieces cost that live inside one process: a line per workload, through the
 * public API.
 *
 *	build/bench/core [PATTERN] [RUNS]
 *
 * Each workload is run RUNS times (5) after one run to warm up; the line shows the median and, for
 * the spread, the least and the most, in nanoseconds an operation.  "floor" is the least that a
 * switch between three coroutines costs on the same machine, by hand and without a runtime: what
 * else the machine does at the time slows it as it does the others.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "weir.h"

#define RUNS_MAX	101

WEIR_CHAN(longs, long);
WEIR_POOL(crew, long);

static struct weir_loop *loop;

static void must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-rc));
	exit(1);
}

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * WEIR_S + (uint64_t)ts.tv_nsec;
}

/* A workload is measured from its call to its return, or from start() to stop() within. */
static uint64_t started, stopped;

static void start(void)
{
	started = nanoseconds(CLOCK_MONOTONIC);
	stopped = 0;
}

static void stop(void)
{
	if (!stopped)
		stopped = nanoseconds(CLOCK_MONOTONIC);
}

/* ---- the floor ---- */

struct bare {
	void (*step)(struct bare *b);
	struct bare *next;
	long n;
};

__attribute__((noinline)) static void bare_step(struct bare *b)
{
	b->n--;
}

/* Three state machines, each called through its pointer and put behind the others. */
static long floor_switch(void)
{
	const long n = 3000000;
	struct bare b[3] = {
		{ bare_step, &b[1], n / 3 }, { bare_step, &b[2], n / 3 },
		{ bare_step, NULL, n / 3 },
	};
	struct bare *first = &b[0], *last = &b[2];

	while (first) {
		struct bare *now = first;

		first = now->next;
		now->step(now);
		if (!now->n)
			continue;
		now->next = NULL;
		if (first)
			last->next = now;
		else
			first = now;
		last = now;
	}
	return n;
}

/* ---- tasks ---- */

struct yielder {
	struct weir_frame co;
	long n;
};

static WEIR_CO(yielder, self, op)
{
	int rc;

	while (self->n-- > 0) {
		WEIR_AWAIT(rc, weir_yield(op));
		if (rc < 0)
			WEIR_RETURN(rc);
	}
	WEIR_RETURN(0);
}
WEIR_END

/* Three tasks that yield to each other: a resume from the run queue. */
static long yield(void)
{
	const long n = 1000000;
	int i;

	for (i = 0; i < 3; i++)
		must(weir_go(weir_loop_group(loop), yielder, .n = n), "spawn");
	must(weir_loop_run(loop), "yield");
	return 3 * n;
}

struct nothing {
	struct weir_frame co;
};

static WEIR_CO(nothing, self, op)
{
	WEIR_RETURN(0);
}
WEIR_END

struct spawner {
	struct weir_frame co;
	struct weir_group group;
	long batches, batch;
};

static WEIR_CO(spawner, self, op)
{
	long i;
	int rc;

	while (self->batches-- > 0) {
		weir_group_init(&self->group, weir_op_ctx(op), NULL);
		for (i = 0; i < self->batch; i++)
			must(weir_go(&self->group, nothing), "spawn");
		WEIR_AWAIT(rc, weir_group_wait(op, &self->group));
		must(rc, "join");
	}
	WEIR_RETURN(0);
}
WEIR_END

static long spawn_1000(void)
{
	must(weir_run(loop, spawner, .batches = 1000, .batch = 1000), "spawn");
	return 1000 * 1000;
}

static long spawn_100000(void)
{
	must(weir_run(loop, spawner, .batches = 10, .batch = 100000), "spawn");
	return 10 * 100000;
}

/* ---- channels ---- */

struct sender {
	struct weir_frame co;
	struct longs *ch;
	long n, i;
};

static WEIR_CO(sender, self, op)
{
	int rc;

	for (; self->i < self->n; self->i++) {
		WEIR_AWAIT(rc, weir_chan_send(op, self->ch, &self->i));
		if (rc < 0)
			WEIR_RETURN(rc);
	}
	WEIR_RETURN(weir_chan_close(self->ch));
}
WEIR_END

struct relay {
	struct weir_frame co;
	struct longs *in, *out;
	long item;
};

static WEIR_CO(relay, self, op)
{
	int rc;

	for (;;) {
		WEIR_AWAIT(rc, weir_chan_recv(op, self->in, &self->item));
		if (rc <= 0)
			break;
		WEIR_AWAIT(rc, weir_chan_send(op, self->out, &self->item));
		if (rc < 0)
			break;
	}
	WEIR_RETURN(rc < 0 ? rc : weir_chan_close(self->out));
}
WEIR_END

struct receiver {
	struct weir_frame co;
	struct longs *ch;
	long item, sum;
};

static WEIR_CO(receiver, self, op)
{
	int rc;

	for (;;) {
		WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->item));
		if (rc <= 0)
			WEIR_RETURN(rc);
		self->sum += self->item;
	}
}
WEIR_END

static long channel(unsigned cap)
{
	const long n = 2000000;
	struct longs ch;

	must(weir_chan_init(&ch, loop, cap), "channel");
	must(weir_go(weir_loop_group(loop), receiver, .ch = &ch), "spawn");
	must(weir_run(loop, sender, .ch = &ch, .n = n), "channel");
	weir_chan_fini(&ch);
	return n;
}

static long chan_rendezvous(void)
{
	return channel(0);
}

static long chan_1024(void)
{
	return channel(1024);
}

/* Generator, one stage, sink, each a task of its own. */
static long three_stages(unsigned cap)
{
	const long n = 1000000;
	struct longs a, b;

	must(weir_chan_init(&a, loop, cap), "channel");
	must(weir_chan_init(&b, loop, cap), "channel");
	must(weir_go(weir_loop_group(loop), receiver, .ch = &b), "spawn");
	must(weir_go(weir_loop_group(loop), relay, .in = &a, .out = &b), "spawn");
	must(weir_run(loop, sender, .ch = &a, .n = n), "pipeline");
	weir_chan_fini(&a);
	weir_chan_fini(&b);
	return n;
}

static long pipeline_64(void)
{
	return three_stages(64);
}

static long pipeline_0(void)
{
	return three_stages(0);
}

/* ---- select ---- */

struct chooser {
	struct weir_frame co;
	struct longs *ch[4];
	struct weir_ctx *done;
	struct weir_arm arm[5];
	long item, n;
};

static WEIR_CO(chooser, self, op)
{
	int i;

	while (self->n > 0) {
		for (i = 0; i < 4; i++)
			weir_ready(weir_chan_recv(&self->arm[i].op, self->ch[i], &self->item));
		weir_ready(weir_ctx_wait(&self->arm[4].op, self->done));
		WEIR_AWAIT(i, weir_select(op, self->arm, 5));
		if (i < 0 || self->arm[i].op.res <= 0)
			break;
		self->n--;
	}
	weir_ctx_cancel(self->done, 0);
	WEIR_RETURN(0);
}
WEIR_END

struct feeder {
	struct weir_frame co;
	struct longs *ch;
	struct weir_ctx *done;
	struct weir_arm arm[2];
	long item;
};

static WEIR_CO(feeder, self, op)
{
	int i;

	do {
		weir_ready(weir_chan_send(&self->arm[0].op, self->ch, &self->item));
		weir_ready(weir_ctx_wait(&self->arm[1].op, self->done));
		WEIR_AWAIT(i, weir_select(op, self->arm, 2));
	} while (i == 0);
	WEIR_RETURN(0);
}
WEIR_END

/* One receives from four channels or stops, four send or stop: an item takes two selects and is
 * counted as one. */
static long choose(unsigned cap)
{
	const long n = 500000;
	struct longs ch[4];
	struct weir_ctx done;
	int i;

	weir_ctx_init(&done, weir_loop_ctx(loop));
	for (i = 0; i < 4; i++) {
		must(weir_chan_init(&ch[i], loop, cap), "channel");
		must(weir_go(weir_loop_group(loop), feeder, .ch = &ch[i], .done = &done), "spawn");
	}
	must(weir_run(loop, chooser, .ch = { &ch[0], &ch[1], &ch[2], &ch[3] }, .done = &done,
		      .n = n), "select");
	for (i = 0; i < 4; i++)
		weir_chan_fini(&ch[i]);
	weir_ctx_fini(&done);
	return n;
}

static long select_0(void)
{
	return choose(0);
}

static long select_16(void)
{
	return choose(16);
}

/* ---- pool ---- */

struct job {
	struct weir_frame co;
	long item;
	long *sum;
};

static WEIR_CO(job, self, op)
{
	*self->sum += self->item;
	WEIR_RETURN(0);
}
WEIR_END

struct foreman {
	struct weir_frame co;
	struct crew pool;
	long n, sum;
};

static WEIR_CO(foreman, self, op)
{
	int rc;

	must(weir_pool_init(&self->pool, weir_op_ctx(op),
			    (&(struct weir_pool_conf){ .workers = 64, .queue = 64 }),
			    job, item, .sum = &self->sum), "pool");
	while (self->n-- > 0) {
		WEIR_AWAIT(rc, weir_pool_submit(op, &self->pool, &self->n));
		must(rc, "submit");
	}
	must(weir_pool_close(&self->pool), "close");
	WEIR_AWAIT(rc, weir_pool_wait(op, &self->pool));
	weir_pool_fini(&self->pool, NULL);
	WEIR_RETURN(rc);
}
WEIR_END

static long pool_64(void)
{
	must(weir_run(loop, foreman, .n = 1000000), "pool");
	return 1000000;
}

/* ---- contexts and timers ---- */

static long ctx_child(void)
{
	const long n = 2000000;
	struct weir_ctx c;
	long i;

	for (i = 0; i < n; i++) {
		weir_ctx_init(&c, weir_loop_ctx(loop));
		weir_ctx_cancel(&c, 0);
		weir_ctx_fini(&c);
	}
	return n;
}

struct waiter {
	struct weir_frame co;
	struct longs *ch;
	long item;
};

static WEIR_CO(waiter, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->item));
	WEIR_RETURN(rc == -ECANCELED ? 0 : rc);
}
WEIR_END

struct canceller {
	struct weir_frame co;
	struct weir_group group;
	struct longs ch;
	long n;
};

static WEIR_CO(canceller, self, op)
{
	long i;
	int rc;

	must(weir_chan_init(&self->ch, weir_op_loop(op), 0), "channel");
	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	for (i = 0; i < self->n; i++)
		must(weir_go(&self->group, waiter, .ch = &self->ch), "spawn");
	WEIR_AWAIT(rc, weir_yield(op));	/* they run before this task does again: they wait */
	start();
	weir_group_cancel(&self->group, 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->group));
	stop();
	weir_chan_fini(&self->ch);
	WEIR_RETURN(rc);
}
WEIR_END

static long cancel_100000(void)
{
	must(weir_run(loop, canceller, .n = 100000), "cancel");
	return 100000;
}

struct sleeper {
	struct weir_frame co;
	uint64_t ns;
};

static WEIR_CO(sleeper, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep(op, self->ns));
	WEIR_RETURN(rc == -ECANCELED ? 0 : rc);
}
WEIR_END

struct timing {
	struct weir_frame co;
	struct weir_group group;
	struct weir_ctx ctx;
	long live, n;
};

/* A ctx with a timeout that is cancelled before its time: a timer started and stopped, among
 * others. */
static WEIR_CO(timing, self, op)
{
	long i;
	int rc;

	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	for (i = 0; i < self->live; i++)
		must(weir_go(&self->group, sleeper,
			     .ns = WEIR_HOUR + (uint64_t)(i * 7919) * WEIR_US), "spawn");
	WEIR_AWAIT(rc, weir_yield(op));
	start();
	for (i = 0; i < self->n; i++) {
		weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op),
				      WEIR_S + (uint64_t)(i % 1000) * WEIR_MS);
		weir_ctx_cancel(&self->ctx, 0);
		weir_ctx_fini(&self->ctx);
	}
	stop();
	weir_group_cancel(&self->group, 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->group));
	WEIR_RETURN(rc);
}
WEIR_END

static long timers(long live)
{
	must(weir_run(loop, timing, .live = live, .n = 1000000), "timers");
	return 1000000;
}

static long timers_0(void)
{
	return timers(0);
}

static long timers_1000(void)
{
	return timers(1000);
}

static long timers_100000(void)
{
	return timers(100000);
}

/* ---- semaphore ---- */

struct holder {
	struct weir_frame co;
	struct weir_sem *sem;
	long rounds;
	bool yields;
};

static WEIR_CO(holder, self, op)
{
	int rc;

	while (self->rounds-- > 0) {
		WEIR_AWAIT(rc, weir_sem_acquire(op, self->sem, 1));
		must(rc, "acquire");
		if (self->yields)
			WEIR_AWAIT(rc, weir_yield(op));
		must(weir_sem_release(self->sem, 1), "release");
	}
	WEIR_RETURN(0);
}
WEIR_END

/* A thousand tasks on ten permits, each yields while it holds one; an op is acquire, yield and
 * release. */
static long sem_contended(void)
{
	struct weir_sem sem;
	long i;

	must(weir_sem_init(&sem, loop, 10), "semaphore");
	for (i = 0; i < 1000; i++)
		must(weir_go(weir_loop_group(loop), holder, .sem = &sem, .rounds = 1000,
			     .yields = true), "spawn");
	must(weir_loop_run(loop), "semaphore");
	weir_sem_fini(&sem);
	return 1000 * 1000;
}

static long sem_free(void)
{
	struct weir_sem sem;

	must(weir_sem_init(&sem, loop, 10), "semaphore");
	must(weir_run(loop, holder, .sem = &sem, .rounds = 3000000), "semaphore");
	weir_sem_fini(&sem);
	return 3000000;
}

/* ---- limiter ---- */

static long limiter_allow(void)
{
	const long n = 3000000;
	struct weir_limiter l;
	long i, allowed = 0;

	must(weir_limiter_init(&l, loop, 1e6, 1000), "limiter");
	for (i = 0; i < n; i++)
		allowed += weir_limiter_allow(&l, 1) == 1;
	weir_limiter_fini(&l);
	return allowed >= 1000 ? n : 0;
}

/* ---- memory, and a million sleeps: lines of their own ---- */

static long resident_kib(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%*d %ld", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return pages * sysconf(_SC_PAGESIZE) / 1024;
}

struct crowd {
	struct weir_frame co;
	struct weir_group group;
	struct longs ch;
	long n, before;
};

static WEIR_CO(crowd, self, op)
{
	long i;
	int rc;

	must(weir_chan_init(&self->ch, weir_op_loop(op), 0), "channel");
	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	self->before = resident_kib();
	for (i = 0; i < self->n; i++)
		must(weir_go(&self->group, waiter, .ch = &self->ch), "spawn");
	WEIR_AWAIT(rc, weir_yield(op));
	printf("%-24s %10.1f bytes (task %zu, frame with an item %zu)\n", "blocked task",
	       (double)(resident_kib() - self->before) * 1024 / (double)self->n,
	       sizeof(struct weir_task), sizeof(struct waiter));
	weir_group_cancel(&self->group, 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->group));
	weir_chan_fini(&self->ch);
	WEIR_RETURN(rc);
}
WEIR_END

static void million_sleeps(void)
{
	uint64_t cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID), wall = nanoseconds(CLOCK_MONOTONIC);
	struct rusage usage;
	long i;

	for (i = 0; i < 1000000; i++)
		must(weir_go(weir_loop_group(loop), sleeper,
			     .ns = (1 + (uint64_t)i * 7919 % 1000) * WEIR_MS), "spawn");
	must(weir_loop_run(loop), "sleeps");
	getrusage(RUSAGE_SELF, &usage);
	printf("%-24s %10.3f s CPU, %.3f s wall, %ld MiB at most\n", "1,000,000 sleeps",
	       (double)(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e9,
	       (double)(nanoseconds(CLOCK_MONOTONIC) - wall) / 1e9, usage.ru_maxrss / 1024);
}

static void sizes(void)
{
#define SIZE(type)	printf("%-24s %10zu bytes\n", "sizeof " #type, sizeof(struct type))
	SIZE(weir_frame);
	SIZE(weir_op);
	SIZE(weir_task);
	SIZE(weir_ctx);
	SIZE(weir_group);
	SIZE(weir_chan);
	SIZE(weir_sem);
	SIZE(weir_limiter);
#undef SIZE
}

/* ---- the runner ---- */

static const struct {
	const char *name;
	long (*fn)(void);	/* returns how many ops it did */
} workloads[] = {
	{ "floor", floor_switch },
	{ "yield", yield },
	{ "spawn+join, 1000", spawn_1000 },
	{ "spawn+join, 100000", spawn_100000 },
	{ "chan rendezvous", chan_rendezvous },
	{ "chan 1024", chan_1024 },
	{ "select of 5, cap 0", select_0 },
	{ "select of 5, cap 16", select_16 },
	{ "pipeline of 3, cap 64", pipeline_64 },
	{ "pipeline of 3, cap 0", pipeline_0 },
	{ "pool of 64", pool_64 },
	{ "sem, 1000 on 10", sem_contended },
	{ "sem, free", sem_free },
	{ "limiter allow", limiter_allow },
	{ "ctx child+cancel", ctx_child },
	{ "cancel of 100,000", cancel_100000 },
	{ "timeout+cancel, 0 live", timers_0 },
	{ "timeout+cancel, 1000", timers_1000 },
	{ "timeout+cancel, 100000", timers_100000 },
};

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double once(long (*fn)(void))
{
	long n;

	start();
	n = fn();
	stop();
	return (double)(stopped - started) / (double)n;
}

static void measure(const char *name, long (*fn)(void), int runs)
{
	double ns[RUNS_MAX];
	int i;

	once(fn);
	for (i = 0; i < runs; i++)
		ns[i] = once(fn);
	qsort(ns, (size_t)runs, sizeof *ns, by_value);
	printf("%-24s %10.2f ns/op  least %8.2f  most %8.2f\n", name, ns[runs / 2], ns[0],
	       ns[runs - 1]);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *pattern = argc > 1 ? argv[1] : "";
	int runs = argc > 2 ? atoi(argv[2]) : 5;
	char why[512];
	size_t i;
	int rc = weir_loop_new(&loop, NULL);

	if (rc < 0) {
		fprintf(stderr, "bench: no loop: %s\n", weir_explain(rc, why, sizeof why));
		return 1;
	}
	if (runs < 1 || runs > RUNS_MAX) {
		fprintf(stderr, "usage: core [PATTERN] [RUNS]: 1 to %d runs\n", RUNS_MAX);
		return 2;
	}
	for (i = 0; i < sizeof workloads / sizeof *workloads; i++)
		if (strstr(workloads[i].name, pattern))
			measure(workloads[i].name, workloads[i].fn, runs);
	if (strstr("blocked task", pattern))
		must(weir_run(loop, crowd, .n = 1000000), "crowd");
	if (strstr("1,000,000 sleeps", pattern))
		million_sleeps();
	if (strstr("sizes", pattern))
		sizes();
	return weir_loop_free(loop);
}
