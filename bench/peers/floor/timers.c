/* SPDX-License-Identifier: MIT */
/*
 * timers.c - a hashed wheel of 1 ms by hand, sleeps in it, and the clock alone.
 *
 * A timer due in millisecond t hangs in the list t mod SLOTS; when the wheel turns past it, what
 * is not due yet stays there for another round.
 */
#include <errno.h>
#include <stdlib.h>

#include "floor.h"

#define SLOTS	4096	/* a power of two */

struct link {
	struct link *before, *after;
};

struct timer {
	struct link link;
	uint64_t due_ms;
	void (*fn)(struct timer *t);
};

static struct link wheel[SLOTS];
static uint64_t now_ms;		/* the slots before it have been turned past */

static void wheel_init(void)
{
	int i;

	for (i = 0; i < SLOTS; i++)
		wheel[i].before = wheel[i].after = &wheel[i];
	now_ms = now_ns() / NS_MS;
}

__attribute__((noinline)) static void timer_start(struct timer *t, uint64_t due_ms)
{
	struct link *slot = &wheel[due_ms & (SLOTS - 1)];

	t->due_ms = due_ms;
	t->link.after = slot;
	t->link.before = slot->before;
	slot->before->after = &t->link;
	slot->before = &t->link;
}

__attribute__((noinline)) static void timer_cancel(struct timer *t)
{
	t->link.before->after = t->link.after;
	t->link.after->before = t->link.before;
}

static void wheel_turn(uint64_t ms)
{
	for (; now_ms <= ms; now_ms++) {
		struct link *slot = &wheel[now_ms & (SLOTS - 1)], *l, *after;

		for (l = slot->after; l != slot; l = after) {
			struct timer *t = (struct timer *)l;

			after = l->after;
			if (t->due_ms > now_ms)
				continue;
			timer_cancel(t);
			t->fn(t);
		}
	}
}

static void never(struct timer *t)
{
	(void)t;
	check(false, "a timer that was cancelled is not heard of");
}

static long timers(long n, long live)
{
	struct timer *others = must_alloc((size_t)live + 1, sizeof *others), t = { .fn = never };
	long i;

	wheel_init();
	for (i = 0; i < live; i++) {
		others[i].fn = never;
		timer_start(&others[i], now_ms + 3600000 + (uint64_t)i * 7919 / 1000);
	}
	start_clock();
	for (i = 0; i < n; i++) {
		timer_start(&t, now_ms + 1000 + (uint64_t)i % 1000);
		timer_cancel(&t);
	}
	stop_clock();
	wheel_turn(now_ms + 2000);
	free(others);
	return n;
}

/* ---- sleeps ---- */

struct sleeper {
	struct timer t;
	uint64_t due_ns;
	double *late_ms;
};

static long awake;

static void wakes(struct timer *t)
{
	struct sleeper *s = (struct sleeper *)t;

	*s->late_ms = ((double)now_ns() - (double)s->due_ns) / NS_MS;
	awake++;
	free(s);
}

static long sleeps(long n, long arg)
{
	uint64_t cpu, wall;
	double *late_ms = must_alloc((size_t)n, sizeof *late_ms);
	struct timespec at;
	struct sleeper *s;
	long i;

	(void)arg;
	cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
	wall = now_ns();
	wheel_init();
	awake = 0;
	for (i = 0; i < n; i++) {
		s = must_alloc(1, sizeof *s);
		s->t.fn = wakes;
		s->late_ms = &late_ms[i];
		s->due_ns = now_ns() + sleep_ms(i) * NS_MS;
		timer_start(&s->t, (s->due_ns + NS_MS - 1) / NS_MS);
	}
	while (wheel_turn(now_ns() / NS_MS), awake < n) {
		at = (struct timespec){ (time_t)(now_ms / 1000), (long)(now_ms % 1000 * NS_MS) };
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
	}
	sleeps_figures(nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, now_ns() - wall, late_ms, n);
	free(late_ms);
	return NO_FIGURE;
}

/* ---- a limiter is the clock, or sleeping until a time ---- */

static long limiter_allow(long n, long arg)
{
	uint64_t last = 0, t;
	long i;

	(void)arg;
	for (i = 0; i < n; i++) {
		t = now_ns();
		check(t >= last, "the clock does not go back");
		last = t;
	}
	return n;
}

static long limiter_wait(long ms, long rate)
{
	const long due = rate * ms / 1000;
	const uint64_t gap = NS_S / (uint64_t)rate;
	double *gaps = must_alloc((size_t)due + 1, sizeof *gaps);
	uint64_t from = now_ns(), last = from, now, next = from;
	struct timespec at;
	long n = 0;

	for (;;) {
		next += gap;
		at = (struct timespec){ (time_t)(next / NS_S), (long)(next % NS_S) };
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
			;
		now = now_ns();
		if (now - from > (uint64_t)ms * NS_MS || n == due)
			break;
		gaps[n++] = (double)(now - last) / NS_US;
		last = now;
	}
	figure("rate-error", 100 * ((double)n / (double)due - 1), "%");
	if (n)		/* a short warm-up may see none */
		figure("gap-p99", percentile(gaps, (size_t)n, 0.99), "us");
	free(gaps);
	return NO_FIGURE;
}

const struct workload timers_workloads[] = {
	{ "limiter-allow", limiter_allow, .n = 3000000, .arg = 0 },
	{ "limiter-wait-1000", limiter_wait, .n = 1000, .arg = 1000 },
	{ "limiter-wait-10000", limiter_wait, .n = 1000, .arg = 10000 },
	{ "limiter-wait-100000", limiter_wait, .n = 1000, .arg = 100000 },
	{ "timer-0", timers, .n = 1000000, .arg = 0 },
	{ "timer-1000", timers, .n = 1000000, .arg = 1000 },
	{ "timer-100000", timers, .n = 1000000, .arg = 100000 },
	{ "sleeps", sleeps, .n = 1000000, .arg = 0, .cold = true },
	{ .name = NULL },
};
