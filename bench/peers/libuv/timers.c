/* SPDX-License-Identifier: MIT */
/*
 * timers.c - libuv's timers: started and stopped among others; and a million that go off.
 */
#include <stdlib.h>

#include "uv_peer.h"

static void never(uv_timer_t *t)
{
	(void)t;
	check(false, "a timer that was stopped is not heard of");
}

static long timers(long n, long live)
{
	uv_timer_t *others = must_alloc((size_t)live + 1, sizeof *others), *t = &others[live];
	uv_loop_t loop;
	long i;

	uv_must(uv_loop_init(&loop), "loop");
	for (i = 0; i < live; i++) {
		uv_timer_init(&loop, &others[i]);
		uv_timer_start(&others[i], never, 3600000 + (uint64_t)i * 7919 / 1000, 0);
	}
	uv_timer_init(&loop, t);
	start_clock();
	for (i = 0; i < n; i++) {
		uv_timer_start(t, never, 1000 + (uint64_t)i % 1000, 0);
		uv_timer_stop(t);
	}
	stop_clock();
	for (i = 0; i <= live; i++)
		uv_close((uv_handle_t *)&others[i], NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_must(uv_loop_close(&loop), "close");
	free(others);
	return n;
}

/* ---- sleeps ---- */

struct sleeper {
	uv_timer_t timer;
	uint64_t due_ns;
	double *late_ms;
};

static void ended(uv_handle_t *h)
{
	free(h);
}

static void wakes(uv_timer_t *t)
{
	struct sleeper *s = (struct sleeper *)t;

	*s->late_ms = ((double)now_ns() - (double)s->due_ns) / NS_MS;
	uv_close((uv_handle_t *)t, ended);
}

static long sleeps(long n, long arg)
{
	uint64_t cpu, wall;
	double *late_ms = must_alloc((size_t)n, sizeof *late_ms);
	struct sleeper *s;
	uv_loop_t loop;
	long i;

	(void)arg;
	cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
	wall = now_ns();
	uv_must(uv_loop_init(&loop), "loop");
	for (i = 0; i < n; i++) {
		s = must_alloc(1, sizeof *s);
		s->late_ms = &late_ms[i];
		s->due_ns = now_ns() + sleep_ms(i) * NS_MS;
		uv_update_time(&loop);	/* else they would sleep for less than they are to */
		uv_timer_init(&loop, &s->timer);
		uv_timer_start(&s->timer, wakes, sleep_ms(i), 0);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_must(uv_loop_close(&loop), "close");
	sleeps_figures(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, now_ns() - wall, late_ms, n);
	free(late_ms);
	return NO_FIGURE;
}

const struct workload timers_workloads[] = {
	{ "timer-0", timers, .n = 1000000, .arg = 0 },
	{ "timer-1000", timers, .n = 1000000, .arg = 1000 },
	{ "timer-100000", timers, .n = 1000000, .arg = 100000 },
	{ "sleeps", sleeps, .n = 1000000, .cold = true },
	{ .name = NULL },
};
