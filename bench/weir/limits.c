/* SPDX-License-Identifier: MIT */
/*
 * limits.c - semaphores, contended and free; limiters, asked and awaited.
 */
#include "bench.h"

struct holder {
	struct weir_frame co;
	struct weir_sem *sem;
	long rounds;
	bool yields;
};

#define PERMITS		10

static long held, at_most;	/* by tasks that have yielded */

static WEIR_CO(holder, self, op)
{
	int rc;

	while (self->rounds-- > 0) {
		WEIR_AWAIT(rc, weir_sem_acquire(op, self->sem, 1));
		must(rc, "acquire");
		if (self->yields) {
			if (++held > at_most)
				at_most = held;
			WEIR_AWAIT(rc, weir_yield(op));
			held--;
		}
		must(weir_sem_release(self->sem, 1), "release");
	}
	WEIR_RETURN(0);
}
WEIR_END

/* Who holds one yields, so that the others find none; a round is acquire, yield, release. */
static long contended(long n, long tasks)
{
	struct weir_sem sem;
	long i;

	must(weir_sem_init(&sem, loop, PERMITS), "semaphore");
	for (i = 0; i < tasks; i++)
		must(weir_go(weir_loop_group(loop), holder, .sem = &sem, .rounds = n,
			     .yields = true), "spawn");
	must(weir_loop_run(loop), "semaphore");
	check(at_most == PERMITS, "as many hold a permit as there are, and no more");
	check(weir_sem_try_acquire(&sem, PERMITS) == 0, "all permits are back");
	must(weir_sem_release(&sem, PERMITS), "release");
	weir_sem_fini(&sem);
	return n * tasks;
}

static long uncontended(long n, long permits)
{
	struct weir_sem sem;

	must(weir_sem_init(&sem, loop, permits), "semaphore");
	must(weir_run(loop, holder, .sem = &sem, .rounds = n), "semaphore");
	weir_sem_fini(&sem);
	return n;
}

/* ---- limiters ---- */

#define A_TURN		64	/* questions between two looks at the clock */

struct asker {
	struct weir_frame co;
	struct weir_limiter *limiter;
	long left, *allowed;
};

/* In a task, as a server asks that has so many requests in a turn: by the loop's clock. */
static WEIR_CO(asker, self, op)
{
	long i;
	int rc;

	while (self->left > 0) {
		for (i = 0; i < A_TURN; i++)
			*self->allowed += weir_limiter_allow(self->limiter, 1) == 1;
		self->left -= A_TURN;
		WEIR_AWAIT(rc, weir_yield(op));
		must(rc, "yield");
	}
	WEIR_RETURN(0);
}
WEIR_END

static long allow(long n, long burst)
{
	struct weir_limiter limiter;
	uint64_t began = now_ns();
	long allowed = 0, due;

	must(weir_limiter_init(&limiter, loop, 1e6, burst), "limiter");
	must(weir_run(loop, asker, .left = n, .allowed = &allowed, .limiter = &limiter), "limiter");
	due = burst + (long)((now_ns() - began) / NS_US);
	check(allowed <= due + 1, "no more go than are due");
	check(allowed >= (n < burst ? n : burst), "a full bucket lets so many go");
	check(allowed > burst || n < 100 * burst, "and the clock fills it again");
	weir_limiter_fini(&limiter);
	return n;
}

struct paced {
	struct weir_frame co;
	struct weir_limiter limiter;
	uint64_t end, before, now;
	double *gaps;
	long rate, most, n, *got;
};

static WEIR_CO(paced, self, op)
{
	int rc;

	must(weir_limiter_init(&self->limiter, weir_op_loop(op), (double)self->rate, 1), "limiter");
	WEIR_AWAIT(rc, weir_limiter_wait(op, &self->limiter, 1));
	must(rc, "wait");
	self->before = nanoseconds(CLOCK_MONOTONIC);
	self->end += self->before;
	while (self->before < self->end && self->n < self->most) {
		WEIR_AWAIT(rc, weir_limiter_wait(op, &self->limiter, 1));
		must(rc, "wait");
		self->now = nanoseconds(CLOCK_MONOTONIC);
		self->gaps[self->n++] = (double)(self->now - self->before) / 1e3;
		self->before = self->now;
	}
	weir_limiter_fini(&self->limiter);
	*self->got = self->n;
	WEIR_RETURN(0);
}
WEIR_END

/* n: ms. */
static long paced_for(long n, long rate)
{
	long most = n * rate / 500 + 16, got = 0;
	double *gaps = malloc((size_t)most * sizeof *gaps), seconds;
	uint64_t began;

	check(gaps, "there is memory");
	began = nanoseconds(CLOCK_MONOTONIC);
	must(weir_run(loop, paced, .gaps = gaps, .most = most, .rate = rate, .got = &got,
		      .end = (uint64_t)n * WEIR_MS), "limiter");
	seconds = (double)(nanoseconds(CLOCK_MONOTONIC) - began) / 1e9;
	figure("rate-error", ((double)got / seconds / (double)rate - 1) * 100, "%");
	if (got)	/* a short warm-up may see none */
		figure("gap-p99", percentile(gaps, (size_t)got, 0.99), "us");
	free(gaps);
	return NO_FIGURE;
}

const struct workload limits_workloads[] = {
	{ "sem-contended", contended, .n = 1000, .arg = 1000 },
	{ "sem-free", uncontended, .n = 3000000, .arg = 10 },
	{ "limiter-allow", allow, .n = 3000000, .arg = 1000 },
	{ "limiter-wait-1000", paced_for, .n = 1000, .arg = 1000 },
	{ "limiter-wait-10000", paced_for, .n = 1000, .arg = 10000 },
	{ "limiter-wait-100000", paced_for, .n = 1000, .arg = 100000 },
	{ .name = NULL },
};
