/* SPDX-License-Identifier: MIT */
/*
 * timer.c - timers that are stopped before their time, and a million that are not.
 */
#include "bench.h"

struct bystander {
	struct weir_frame co;
	uint64_t ns;
};

static WEIR_CO(bystander, self, op)
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
		must(weir_go(&self->group, bystander,
			     .ns = WEIR_HOUR + (uint64_t)(i * 7919) * WEIR_US), "spawn");
	WEIR_AWAIT(rc, weir_yield(op));
	start_clock();
	for (i = 0; i < self->n; i++) {
		weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op),
				      WEIR_S + (uint64_t)(i % 1000) * WEIR_MS);
		weir_ctx_cancel(&self->ctx, 0);
		weir_ctx_fini(&self->ctx);
	}
	stop_clock();
	weir_group_cancel(&self->group, 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->group));
	WEIR_RETURN(rc);
}
WEIR_END

static long timers(long n, long live)
{
	must(weir_run(loop, timing, .live = live, .n = n), "timers");
	return n;
}

/* ---- sleeps ---- */

#define LATE_STEP	10000	/* ns */
#define LATE_STEPS	100000	/* a second, and more in the last one */

static unsigned late[LATE_STEPS];

struct sleeper {
	struct weir_frame co;
	uint64_t ns, due;
};

static WEIR_CO(sleeper, self, op)
{
	uint64_t by;
	int rc;

	self->due = nanoseconds(CLOCK_MONOTONIC) + self->ns;
	WEIR_AWAIT(rc, weir_sleep(op, self->ns));
	by = nanoseconds(CLOCK_MONOTONIC);
	by = by > self->due ? (by - self->due) / LATE_STEP : 0;
	late[by < LATE_STEPS ? by : LATE_STEPS - 1]++;
	WEIR_RETURN(rc);
}
WEIR_END

static double late_p99(long n)
{
	unsigned i;
	long so_far = 0;

	for (i = 0; i < LATE_STEPS && so_far < n - n / 100; i++)
		so_far += late[i];
	return (double)i * LATE_STEP / 1e6;
}

static long sleeps(long n, long arg)
{
	uint64_t cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID), wall = nanoseconds(CLOCK_MONOTONIC);
	long i;

	(void)arg;
	for (i = 0; i < n; i++)
		must(weir_go(weir_loop_group(loop), sleeper,
			     .ns = (1 + (uint64_t)i * 7919 % 1000) * WEIR_MS), "spawn");
	must(weir_loop_run(loop), "sleeps");
	figure("cpu", (double)(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e9, "s");
	figure("wall", (double)(nanoseconds(CLOCK_MONOTONIC) - wall) / 1e9, "s");
	figure("late-p99", late_p99(n), "ms");
	figure("memory", (double)resident_peak() / (1 << 20), "MiB");
	return NO_FIGURE;
}

const struct workload timer_workloads[] = {
	{ "timer-0", timers, .n = 1000000, .arg = 0 },
	{ "timer-1000", timers, .n = 1000000, .arg = 1000 },
	{ "timer-100000", timers, .n = 1000000, .arg = 100000 },
	{ "sleeps", sleeps, .n = 1000000, .arg = 0, .cold = true },
	{ .name = NULL },
};
