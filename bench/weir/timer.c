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

static double *late;	/* ms, of each */
static long ended;

struct sleeper {
	struct weir_frame co;
	uint64_t ns, due;
};

static WEIR_CO(sleeper, self, op)
{
	uint64_t by;
	int rc;

	self->due = now_ns() + self->ns;
	WEIR_AWAIT(rc, weir_sleep(op, self->ns));
	by = now_ns();
	late[ended++] = by > self->due ? (double)(by - self->due) / NS_MS : 0;
	WEIR_RETURN(rc);
}
WEIR_END

static long sleeps(long n, long arg)
{
	uint64_t cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns();
	long i;

	(void)arg;
	late = must_alloc((size_t)n, sizeof *late);
	for (i = 0; i < n; i++)
		must(weir_go(weir_loop_group(loop), sleeper, .ns = sleep_ms(i) * NS_MS), "spawn");
	must(weir_loop_run(loop), "sleeps");
	check(ended == n, "all have slept");
	sleeps_figures(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, now_ns() - wall, late, n);
	free(late);
	return NO_FIGURE;
}

const struct workload timer_workloads[] = {
	{ "timer-0", timers, .n = 1000000, .arg = 0 },
	{ "timer-1000", timers, .n = 1000000, .arg = 1000 },
	{ "timer-100000", timers, .n = 1000000, .arg = 100000 },
	{ "sleeps", sleeps, .n = 1000000, .arg = 0, .cold = true },
	{ .name = NULL },
};
