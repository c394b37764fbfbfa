/* SPDX-License-Identifier: MIT */
/*
 * rate.c - limiters and intervals: never more than time has given, never kept waiting.
 *
 * The language: three bytes of fuzz_loop(), the burst and the rate of the limiter (an index of
 * rates[]), the period of the interval in ms and its policy; then instructions, each a byte, with
 * arguments:
 *
 *	0 wait    n ns		a task waits for n tokens, if ns is not 0 within this time
 *	1 select  n n ns	a task awaits the first of two waits and a sleep
 *	2 allow   n
 *	3 reserve n
 *	4 undo    r		cancels the r-th reservation
 *	5 rate    i		another rate
 *	6 burst   n
 *	7 ticks   n		a task waits for n ticks of the interval
 *	8 cancel  t		the t-th task's ctx
 *	9 yield			the driver lets others run
 *	10 sleep  ns		...until this time
 *	11 jump   ns		time passes at once, and no timer knows of it
 *
 * The model of the limiter is what any token bucket must obey: what was given never exceeds the
 * burst and what the rate has brought since.  Whoever waits does so in order, and because there are
 * too few tokens.
 */
#include <string.h>

#include "kit/fuzz.h"
#include "weir/sim.h"

#define TASKS		48
#define RESERVATIONS	32
#define MOST		6	/* tokens at a time */
#define EPSILON		1e-3

static const double rates[] = { 1, 1000, 0, 0.1, 3.3, 1e6, 250 };
#define RATES	(sizeof rates / sizeof *rates)

static struct {
	double rate, made;	/* tokens that came to be: the burst, and the rate's up to `at` */
	double given;		/* to those whose time has come */
	uint64_t at;
	bool slower;		/* the rate was lowered while reservations were out */
} model;

static struct {
	uint64_t period, start, ticks;
	enum weir_missed missed;
} schedule;

static struct weir_reservation reservations[RESERVATIONS];
static unsigned n_reservations;

static unsigned waits_for[TASKS];	/* of a single wait, as long as its task has not run */
static bool jumped;			/* timers may be late: tokens spill */

static struct weir_loop *loop;
static struct weir_limiter limiter;
static struct weir_interval interval;
static struct weir_ctx ctxs[TASKS];
static unsigned n_tasks;

/* ---- the model ---- */

static void go_to(uint64_t now)
{
	model.made += model.rate * ((double)(now - model.at) / 1e9);
	model.at = now;
}

static uint64_t now(void)
{
	return weir_now(loop);
}

/* Reservations count from the time on at which they may be used. */
static void check_sum(void)
{
	double given = model.given;
	unsigned i;

	go_to(now());
	for (i = 0; i < n_reservations; i++)
		if (reservations[i].due <= now())
			given += (double)reservations[i].n;
	must(model.slower || given <= model.made * (1 + 1e-9) + EPSILON);
}

static void given(int64_t n)
{
	model.given += (double)n;
	check_sum();
}

/* After the timers that are due: the first in line is short of tokens. */
static void check_waiters(void)
{
	const struct weir_list *first = limiter.waiters.next;

	if (first == &limiter.waiters) {
		must(limiter.owed == 0);
		must(!limiter.timed);
		return;
	}
	must(limiter.timed);
	must(limiter.timer.due > now());
}

static bool rates_differ(double rate)
{
	return rate < model.rate && n_reservations;
}

/* ---- tasks ---- */

struct waiter {
	struct weir_frame co;
	struct weir_arm arm[3];
	struct weir_ctx timeout;
	unsigned id, n[2];
	uint64_t ns, began;
	bool select;
	int rc;
};

static WEIR_CO(waiter, self, op)
{
	int i;

	self->began = now();
	weir_ctx_init_timeout(&self->timeout, &ctxs[self->id],
			      self->ns && !self->select ? self->ns : WEIR_FOREVER);
	weir_ctx_enter(op, &self->timeout);
	if (!self->select) {
		waits_for[self->id] = self->n[0];
		WEIR_AWAIT(self->rc, weir_limiter_wait(op, &limiter, self->n[0]));
		waits_for[self->id] = 0;
		i = 0;
	} else {
		weir_ready(weir_limiter_wait(&self->arm[0].op, &limiter, self->n[0]));
		weir_ready(weir_limiter_wait(&self->arm[1].op, &limiter, self->n[1]));
		weir_ready(weir_sleep(&self->arm[2].op, self->ns));
		WEIR_AWAIT(self->rc, weir_select(op, self->arm, 3));
		i = self->rc;
		for (self->rc = 0; self->rc < 3; self->rc++)
			must(self->rc == i || self->arm[self->rc].op.res == -ECANCELED);
		self->rc = i < 0 ? i : self->arm[i].op.res;
	}
	if (self->rc == 0 && i < 2)
		given(self->n[i]);
	else if (self->rc == -ETIMEDOUT)
		must(self->ns && !self->select);
	else if (self->rc == -ECANCELED)
		must(ctxs[self->id].err);
	else if (i < 2)
		must_eq(self->rc, -E2BIG);
	weir_ctx_leave(op, &self->timeout);
	weir_ctx_fini(&self->timeout);
}
WEIR_END

struct ticker { struct weir_frame co; unsigned id, n; int rc; };

static WEIR_CO(ticker, self, op)
{
	uint64_t due;

	weir_ctx_enter(op, &ctxs[self->id]);
	while (self->n--) {
		WEIR_AWAIT(self->rc, weir_interval_tick(op, &interval));
		if (self->rc < 0) {
			must_eq(self->rc, ctxs[self->id].err);
			break;
		}
		must_le(1, self->rc);
		schedule.ticks += (unsigned)self->rc;
		due = 1 + (now() - schedule.start) / schedule.period;
		must_le(schedule.ticks, due);
		must(schedule.missed != WEIR_BURST || self->rc == 1);
	}
	weir_ctx_leave(op, &ctxs[self->id]);
}
WEIR_END

/* ---- the driver ---- */

struct driver {
	struct weir_frame co;
	struct weir_group group;
	uint64_t ns;
	int rc;
};

static unsigned new_task(void)
{
	weir_ctx_init(&ctxs[n_tasks], weir_loop_ctx(loop));
	return n_tasks++;
}

static void start_waiter(struct weir_group *g, bool select)
{
	unsigned n0 = fuzz_below(MOST), n1 = select ? fuzz_below(MOST) : 0;
	uint64_t ns = fuzz_ns();

	if (n_tasks == TASKS)
		return;
	fuzz_say("task %u: waits for %u or %u, %llu ns", n_tasks, n0, n1, (unsigned long long)ns);
	must_eq(weir_go(g, waiter, .id = new_task(), .select = select, .n = { n0, n1 },
			.ns = ns), 0);
}

static void start_ticker(struct weir_group *g)
{
	unsigned n = 1 + fuzz_below(MOST);

	if (n_tasks == TASKS)
		return;
	fuzz_say("task %u: %u ticks", n_tasks, n);
	must_eq(weir_go(g, ticker, .id = new_task(), .n = n), 0);
}

static void reserve(void)
{
	struct weir_reservation *r = &reservations[n_reservations];
	unsigned n = fuzz_below(MOST);
	int rc;

	if (n_reservations == RESERVATIONS)
		return;
	rc = weir_limiter_reserve(&limiter, n, r);
	fuzz_say("reserve %u = %d", n, rc);
	if (rc == 0) {
		must_eq(r->n, n);
		n_reservations++;
	} else {
		must(rc == -ERANGE || (rc == -E2BIG && n > limiter.bucket.burst));
		must(r->due == WEIR_FOREVER && r->n == 0);
		must(rc == -E2BIG || limiter.bucket.rate == 0);
	}
}

/* Twice is as good as once. */
static void undo(unsigned i)
{
	bool waited = !weir_list_empty_(&limiter.waiters);
	double before, once;

	if (i >= n_reservations)
		return;
	fuzz_say("undo %u", i);
	before = weir_limiter_tokens(&limiter);
	weir_reservation_cancel(&reservations[i]);
	once = weir_limiter_tokens(&limiter);
	must(waited || once >= before - EPSILON);
	weir_reservation_cancel(&reservations[i]);
	must(weir_limiter_tokens(&limiter) == once);
}

/* Who is cancelled gives its tokens back, also if it has them and does not know. */
static void cancel(unsigned t)
{
	double before = weir_limiter_tokens(&limiter), full = (double)limiter.bucket.burst;

	fuzz_say("cancel %u", t);
	before += ctxs[t].err ? 0 : waits_for[t];
	weir_ctx_cancel(&ctxs[t], 0);
	must(jumped || weir_limiter_tokens(&limiter) >= (before < full ? before : full) - EPSILON);
}

static void allow(void)
{
	unsigned n = fuzz_below(MOST);
	double before = weir_limiter_tokens(&limiter);
	int rc = weir_limiter_allow(&limiter, n);

	fuzz_say("allow %u = %d", n, rc);
	must_eq(rc, n <= before && n <= limiter.bucket.burst);
	if (rc)
		given(n);
}

static void set(unsigned what)
{
	double rate;

	if (what == 6) {
		what = fuzz_below(MOST);
		fuzz_say("burst %u", what);
		must_eq(weir_limiter_set_burst(&limiter, what), 0);
		return;
	}
	rate = rates[fuzz_below(RATES)];
	fuzz_say("rate %g", rate);
	go_to(now());
	model.slower |= rates_differ(rate);
	model.rate = rate;
	must_eq(weir_limiter_set_rate(&limiter, rate), 0);
}

static WEIR_CO(driver, self, op)
{
	unsigned i;

	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	while (fuzz_left()) {
		switch (i = fuzz_below(12)) {
		case 0:
		case 1:
			start_waiter(&self->group, i);
			break;
		case 2:
			allow();
			break;
		case 3:
			reserve();
			break;
		case 4:
			undo(fuzz_below(n_reservations));
			break;
		case 5:
		case 6:
			set(i);
			break;
		case 7:
			start_ticker(&self->group);
			break;
		case 8:
			i = fuzz_below(n_tasks);
			if (i < n_tasks)
				cancel(i);
			break;
		case 9:
			WEIR_AWAIT(self->rc, weir_yield(op));
			break;
		case 10:
			self->ns = fuzz_ns();
			fuzz_say("sleep %llu ns", (unsigned long long)self->ns);
			WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
			if (self->ns)	/* the timers have been seen to */
				check_waiters();
			break;
		default:
			self->ns = fuzz_ns();
			fuzz_say("jump %llu ns", (unsigned long long)self->ns);
			must_eq(weir_advance(loop, self->ns), 0);
			jumped = true;
			break;
		}
		check_sum();
	}
	fuzz_dump(loop);
	for (i = 0; i < n_tasks; i++)
		weir_ctx_cancel(&ctxs[i], 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->group));
	check_sum();
	WEIR_RETURN(self->rc);
}
WEIR_END

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned i, burst;

	fuzz_input(data, size);
	loop = fuzz_loop();
	memset(&model, 0, sizeof model);
	memset(waits_for, 0, sizeof waits_for);
	jumped = size && *data & WEIR_SIM_JUMPS;
	n_tasks = n_reservations = 0;

	burst = fuzz_below(MOST);
	model.rate = rates[fuzz_below(RATES)];
	model.made = burst;
	model.at = now();
	must_eq(weir_limiter_init(&limiter, loop, model.rate, burst), 0);

	schedule.period = (1 + fuzz_byte()) * WEIR_MS;
	schedule.missed = (enum weir_missed)fuzz_below(3);
	schedule.start = now();
	schedule.ticks = 0;
	must_eq(weir_interval_init(&interval, loop, schedule.period, schedule.missed), 0);

	must_eq(weir_run(loop, driver), 0);
	check_waiters();
	if (schedule.missed != WEIR_DELAY)	/* every tick that was due went to someone */
		must_eq(interval.next, schedule.start + schedule.ticks * schedule.period);
	weir_limiter_fini(&limiter);
	for (i = n_tasks; i--;)
		weir_ctx_fini(&ctxs[i]);
	fuzz_loop_free(loop);
	return 0;
}
