/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - end of input, failure and hang-up, wherever they strike, and who is to blame.
 *
 * The pipeline under test: a generator of numbers, a stage that squares them, a sink that keeps
 * them.  Each of the three can be told to fail or to stop at a number.
 */
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

#define N	1000

WEIR_CHAN(numbers, int);
WEIR_CHAN(squares, long);

struct plan {
	int n;				/* numbers to generate */
	int gen_fails, map_fails, sink_fails, sink_stops;	/* at this number; 0: never */
	int map_says;			/* ... with this, -EDOM if 0 */
	unsigned workers, cap;
	bool ordered;
	uint64_t gen_ns, map_ns, sink_ns;	/* time that each spends on an item */
	bool uneven;			/* ... the stage more on some */
};

static struct {
	long sum;
	int received, generated;
	long last;
	bool in_order;
	int dropped;
	int squared, lost;	/* results made, and dropped */
	char table[2048];
	char bottleneck[32];
} seen;

struct generate {
	struct weir_frame co;
	const struct plan *plan;
	struct numbers *out;
	int i;
};

static WEIR_CO(generate, self, op)
{
	int rc;

	for (; self->i < self->plan->n; self->i++) {
		if (self->i && self->i == self->plan->gen_fails)
			WEIR_RETURN(-ENOENT);
		WEIR_AWAIT(rc, weir_sleep(op, self->plan->gen_ns));
		if (rc < 0)
			WEIR_RETURN(rc);
		WEIR_AWAIT(rc, weir_chan_send(op, self->out, &self->i));
		if (rc < 0)
			WEIR_RETURN(rc);
		seen.generated++;
	}
	WEIR_RETURN(0);
}
WEIR_END

struct square {
	struct weir_frame co;
	const struct plan *plan;
	int n;
	long result;
};

static WEIR_CO(square, self, op)
{
	int rc;

	if (self->n && self->n == self->plan->map_fails)
		WEIR_RETURN(self->plan->map_says ? self->plan->map_says : -EDOM);
	WEIR_AWAIT(rc, weir_sleep(op, self->plan->uneven ? (uint64_t)(self->n * 7 % 5) * WEIR_MS
							 : self->plan->map_ns));
	if (rc < 0)
		WEIR_RETURN(rc);
	self->result = (long)self->n * self->n;
	seen.squared += self->n % 10 != 9;
	WEIR_RETURN(self->n % 10 != 9);	/* every tenth is left out */
}
WEIR_END

struct keep {
	struct weir_frame co;
	const struct plan *plan;
	struct squares *in;
	long v;
};

static WEIR_CO(keep, self, op)
{
	int rc;

	for (;;) {
		WEIR_AWAIT(rc, weir_chan_recv(op, self->in, &self->v));
		if (rc <= 0)
			WEIR_RETURN(rc);
		if (self->v < seen.last)
			seen.in_order = false;
		seen.last = self->v;
		seen.sum += self->v;
		if (seen.received && seen.received == self->plan->sink_fails)
			WEIR_RETURN(-ENOSPC);
		if (++seen.received == self->plan->sink_stops)
			WEIR_RETURN(0);
		WEIR_AWAIT(rc, weir_sleep(op, self->plan->sink_ns));
	}
}
WEIR_END

struct whole {
	struct weir_frame co;
	const struct plan *plan;
	struct weir_pipeline p;
	struct weir_stage gen, map, sink;
	struct numbers numbers;
	struct squares squares;
	int rc, *result;
};

static void note_drop(void *arg, void *item)
{
	(void)arg;
	(void)item;
	seen.dropped++;
}

static void note_lost(void *arg, void *item)
{
	(void)arg;
	(void)item;
	seen.lost++;
}

static void keep_table(const struct weir_pipeline *p)
{
	const struct weir_stage *worst = weir_pipeline_bottleneck(p);
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(weir_pipeline_print(p, fds[1]), 0);
	close(fds[1]);
	ck_assert_int_gt(read(fds[0], seen.table, sizeof seen.table - 1), 0);
	close(fds[0]);
	strcpy(seen.bottleneck, worst ? worst->name : "none");
}

static WEIR_CO(whole, self, op)
{
	seen.in_order = true;
	weir_pipeline_init(&self->p, weir_op_ctx(op));
	ck_assert_int_eq(weir_chan_init(&self->numbers, weir_op_loop(op), self->plan->cap), 0);
	ck_assert_int_eq(weir_chan_init(&self->squares, weir_op_loop(op), self->plan->cap), 0);
	weir_chan_on_drop(&self->numbers, note_drop, NULL);
	weir_chan_on_drop(&self->squares, note_lost, NULL);
	self->gen = (struct weir_stage){ .name = "generate", .out = weir_chan_any(&self->numbers) };
	self->map = (struct weir_stage){ .name = "square", .workers = self->plan->workers,
		.ordered = self->plan->ordered };
	self->sink = (struct weir_stage){ .name = "keep", .in = weir_chan_any(&self->squares) };
	ck_assert_int_eq(weir_pipeline_go(&self->p, &self->gen, generate, .plan = self->plan,
					  .out = &self->numbers), 0);
	ck_assert_int_eq(weir_pipeline_map(&self->p, &self->map, &self->numbers, &self->squares,
					   square, n, result, .plan = self->plan), 0);
	ck_assert_int_eq(weir_pipeline_go(&self->p, &self->sink, keep, .plan = self->plan,
					  .in = &self->squares), 0);
	WEIR_AWAIT(*self->result, weir_pipeline_wait(op, &self->p));
	keep_table(&self->p);
	weir_pipeline_fini(&self->p);
	weir_chan_fini(&self->numbers);
	weir_chan_fini(&self->squares);
	WEIR_RETURN(0);
}
WEIR_END

#define PLAN(...)	(&(struct plan){ .n = N, __VA_ARGS__ })

static int run(struct weir_loop *loop, const struct plan *plan)
{
	int result = 1;

	memset(&seen, 0, sizeof seen);
	ck_assert_int_eq(weir_run(loop, whole, .plan = plan, .result = &result), 0);
	return result;
}

static long sum_of_squares(int n)
{
	long sum = 0;
	int i;

	for (i = 0; i < n; i++)
		sum += i % 10 != 9 ? (long)i * i : 0;
	return sum;
}

START_TEST(end_of_input_drains_every_edge)
{
	struct weir_loop *loop = test_loop();
	unsigned cap, workers;

	for (cap = 0; cap <= 64; cap = cap ? cap * 8 : 1)
		for (workers = 1; workers <= 9; workers += 4) {
			ck_assert_int_eq(run(loop, PLAN(.cap = cap, .workers = workers)), 0);
			ck_assert_int_eq(seen.received, N / 10 * 9);
			ck_assert_int_eq(seen.sum, sum_of_squares(N));
			ck_assert_int_eq(seen.dropped, 0);
		}
	test_loop_free(loop);
}
END_TEST

START_TEST(an_ordered_stage_keeps_the_order_of_its_input)
{
	struct weir_loop *loop = test_loop();
	unsigned workers;

	for (workers = 1; workers <= 8; workers++) {
		ck_assert_int_eq(run(loop, PLAN(.cap = workers % 3, .workers = workers,
						.ordered = true, .uneven = true)), 0);
		ck_assert_int_eq(seen.sum, sum_of_squares(N));
		ck_assert(seen.in_order);
	}
	ck_assert_int_eq(run(loop, PLAN(.workers = 8, .uneven = true)), 0);
	ck_assert_int_eq(seen.sum, sum_of_squares(N));
	ck_assert(!seen.in_order);	/* so the uneven times did try it */
	test_loop_free(loop);
}
END_TEST

START_TEST(workers_work_at_the_same_time)
{
	struct weir_loop *loop = test_loop();
	uint64_t began = weir_now(loop), one;

	ck_assert_int_eq(run(loop, PLAN(.map_ns = WEIR_MS, .cap = 4)), 0);
	one = weir_now(loop) - began;
	began = weir_now(loop);
	ck_assert_int_eq(run(loop, PLAN(.map_ns = WEIR_MS, .cap = 4, .workers = 10,
					.ordered = true)), 0);
	ck_assert_uint_eq(one, N * WEIR_MS);
	ck_assert_uint_le(weir_now(loop) - began, N / 10 * WEIR_MS + WEIR_MS);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_failure_anywhere_ends_all_and_is_the_result)
{
	struct weir_loop *loop = test_loop();
	unsigned cap;

	for (cap = 0; cap <= 16; cap += 4) {
		ck_assert_int_eq(run(loop, PLAN(.cap = cap, .workers = 3, .gen_fails = 500)),
				 -ENOENT);
		ck_assert_int_eq(run(loop, PLAN(.cap = cap, .workers = 3, .map_fails = 500)),
				 -EDOM);
		ck_assert_int_lt(seen.received, 500);
		ck_assert_int_eq(run(loop, PLAN(.cap = cap, .workers = 3, .sink_fails = 5)),
				 -ENOSPC);
		/* upstream was let go */
		ck_assert_int_lt(seen.generated, 6 + 2 * (int)cap + 10);
		ck_assert_int_eq(run(loop, PLAN(.cap = cap, .workers = 3, .ordered = true,
						.uneven = true, .map_fails = 500)), -EDOM);
	}
	test_loop_free(loop);
}
END_TEST

START_TEST(a_sink_that_has_enough_stops_the_generator)
{
	struct weir_loop *loop = test_loop();
	unsigned cap;

	for (cap = 0; cap <= 16; cap += 4) {
		ck_assert_int_eq(run(loop, PLAN(.cap = cap, .workers = 3, .sink_stops = 10)), 0);
		ck_assert_int_eq(seen.received, 10);
		ck_assert_int_lt(seen.generated, 12 + 2 * (int)cap + 10);
		ck_assert_int_eq(run(loop, PLAN(.cap = cap, .workers = 3, .sink_stops = 10,
						.ordered = true, .uneven = true)), 0);
		ck_assert_int_eq(seen.received, 10);
	}
	test_loop_free(loop);
}
END_TEST

START_TEST(a_result_that_cannot_be_sent_on_is_dropped_by_its_edge)
{
	struct weir_loop *loop = test_loop();
	unsigned cap;
	int ordered;

	for (cap = 0; cap <= 16; cap += 4)
		for (ordered = 0; ordered < 2; ordered++) {
			/* In order: some are done and wait for their turn when it ends. */
			ck_assert_int_eq(run(loop, PLAN(.cap = cap, .workers = 8, .uneven = true,
							.ordered = ordered, .map_fails = 500)),
					 -EDOM);
			ck_assert_int_eq(seen.squared, seen.received + seen.lost);
			ck_assert_int_eq(run(loop, PLAN(.cap = cap, .workers = 8, .uneven = true,
							.ordered = ordered, .sink_stops = 50,
							.sink_ns = 9 * WEIR_MS)), 0);
			ck_assert_int_eq(seen.squared, 50 + seen.lost);
			ck_assert_int_gt(seen.lost, 0);
		}
	test_loop_free(loop);
}
END_TEST

/* Its own I/O's -EPIPE, while the sink has stopped: taken for word to stop it would leave those
 * behind it in order waiting for ever. */
START_TEST(a_job_that_says_epipe_is_a_failure_and_no_word_to_stop)
{
	struct weir_loop *loop = test_loop();
	int fails;

	for (fails = 1; fails < 30; fails++) {
		int result = run(loop, PLAN(.cap = 2, .workers = 4, .ordered = true,
					    .uneven = true, .map_fails = fails,
					    .map_says = -EPIPE, .sink_stops = 5));

		ck_assert(result == -EPIPE || result == 0);
		ck_assert(fails > 5 || result == -EPIPE);
	}
	test_loop_free(loop);
}
END_TEST

START_TEST(the_slowest_stage_is_named)
{
	struct weir_loop *loop = test_loop();

	ck_assert_int_eq(run(loop, PLAN(.cap = 4, .gen_ns = 100, .map_ns = 1000, .sink_ns = 200)),
			 0);
	ck_assert_str_eq(seen.bottleneck, "square");
	ck_assert_ptr_nonnull(strstr(seen.table, "bottleneck: square"));
	ck_assert_ptr_nonnull(strstr(seen.table, "generate"));
	ck_assert_int_eq(run(loop, PLAN(.cap = 4, .gen_ns = 1000, .map_ns = 100, .sink_ns = 200)),
			 0);
	ck_assert_str_eq(seen.bottleneck, "generate");
	ck_assert_int_eq(run(loop, PLAN(.cap = 4, .gen_ns = 100, .map_ns = 200, .sink_ns = 1000)),
			 0);
	ck_assert_str_eq(seen.bottleneck, "keep");
	/* Most of the workers wait for their turn, not for the sink. */
	ck_assert_int_eq(run(loop, PLAN(.cap = 4, .gen_ns = 100, .map_ns = 200, .sink_ns = 1000,
					.workers = 16, .ordered = true)), 0);
	ck_assert_str_eq(seen.bottleneck, "keep");
	test_loop_free(loop);
}
END_TEST

/* ---- fan-in and fan-out ---- */

struct fan {
	struct weir_frame co;
	struct weir_pipeline p;
	struct weir_stage gen[3], sink[2];
	struct numbers ch;
	long *sum;
	int i;
};

struct count {
	struct weir_frame co;
	int n;
	long *sum;
};

static WEIR_CO(count, self, op)
{
	*self->sum += self->n;
	WEIR_RETURN(0);
}
WEIR_END

static WEIR_CO(fan, self, op)
{
	static const struct plan short_plan = { .n = 10 };
	static const struct plan long_plan = { .n = 100, .gen_ns = 10 };
	int i, rc;

	weir_pipeline_init(&self->p, weir_op_ctx(op));
	ck_assert_int_eq(weir_chan_init(&self->ch, weir_op_loop(op), 2), 0);
	for (i = 0; i < 3; i++) {
		self->gen[i] = (struct weir_stage){ .name = "in", .out = weir_chan_any(&self->ch) };
		rc = weir_pipeline_go(&self->p, &self->gen[i], generate, .out = &self->ch,
				      .plan = i == 1 ? &long_plan : &short_plan);
		ck_assert_int_eq(rc, 0);
	}
	for (i = 0; i < 2; i++) {
		self->sink[i] = (struct weir_stage){ .name = "out", .workers = 2 };
		rc = weir_pipeline_each(&self->p, &self->sink[i], &self->ch, count, n,
					.sum = self->sum);
		ck_assert_int_eq(rc, 0);
	}
	WEIR_AWAIT(rc, weir_pipeline_wait(op, &self->p));
	weir_pipeline_fini(&self->p);
	weir_chan_fini(&self->ch);
	WEIR_RETURN(rc);
}
WEIR_END

START_TEST(fan_in_closes_after_the_last_producer)
{
	struct weir_loop *loop = test_loop();
	long sum = 0;

	ck_assert_int_eq(weir_run(loop, fan, .sum = &sum), 0);
	ck_assert_int_eq(sum, 45 + 4950 + 45);
	test_loop_free(loop);
}
END_TEST

/* ---- a stage with two outputs ---- */

struct route {
	struct weir_frame co;
	struct numbers *in, *even, *odd;
	int n;
};

static WEIR_CO(route, self, op)
{
	int rc;

	for (;;) {
		WEIR_TRY(rc, out, weir_chan_recv(op, self->in, &self->n));
		if (rc == 0)
			WEIR_RETURN(0);
		WEIR_TRY(rc, out, weir_chan_send(op, self->n % 2 ? self->odd : self->even,
						 &self->n));
	}
out:
	WEIR_RETURN(rc);
}
WEIR_END

struct routed {
	struct weir_frame co;
	struct weir_pipeline p;
	struct weir_stage gen, route, even, odd;
	struct numbers all, evens, odds;
	long *even_sum, *odd_sum;
	bool stops;	/* at the first odd number */
};

struct first {
	struct weir_frame co;
	struct numbers *in;
	int n;
	long *sum;
};

static WEIR_CO(first, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_recv(op, self->in, &self->n));
	*self->sum += self->n;
	WEIR_RETURN(rc < 0 ? rc : 0);
}
WEIR_END

static WEIR_CO(routed, self, op)
{
	static const struct plan plan = { .n = 100 };
	struct weir_loop *loop;
	int rc;

	loop = weir_op_loop(op);
	ck_assert_int_eq(weir_chan_init(&self->all, loop, 0), 0);
	ck_assert_int_eq(weir_chan_init(&self->evens, loop, 0), 0);
	ck_assert_int_eq(weir_chan_init(&self->odds, loop, 3), 0);
	weir_pipeline_init(&self->p, weir_op_ctx(op));
	self->gen = (struct weir_stage){ .out = weir_chan_any(&self->all) };
	weir_pipeline_go(&self->p, &self->gen, generate, .plan = &plan, .out = &self->all);
	self->route = (struct weir_stage){ .workers = 2, .in = weir_chan_any(&self->all),
		.out = weir_chan_any(&self->evens), .more_out = { weir_chan_any(&self->odds) } };
	weir_pipeline_go(&self->p, &self->route, route, .in = &self->all, .even = &self->evens,
			 .odd = &self->odds);
	self->even = (struct weir_stage){ .name = "even" };
	weir_pipeline_each(&self->p, &self->even, &self->evens, count, n, .sum = self->even_sum);
	self->odd = (struct weir_stage){ .name = "odd" };
	if (self->stops) {
		self->odd.in = weir_chan_any(&self->odds);
		weir_pipeline_go(&self->p, &self->odd, first, .in = &self->odds,
				 .sum = self->odd_sum);
	} else {
		weir_pipeline_each(&self->p, &self->odd, &self->odds, count, n,
				   .sum = self->odd_sum);
	}
	WEIR_AWAIT(rc, weir_pipeline_wait(op, &self->p));
	weir_pipeline_fini(&self->p);
	weir_chan_fini(&self->all);
	weir_chan_fini(&self->evens);
	weir_chan_fini(&self->odds);
	WEIR_RETURN(rc);
}
WEIR_END

START_TEST(a_stage_may_route_to_several_edges)
{
	struct weir_loop *loop = test_loop();
	long even = 0, odd = 0;

	ck_assert_int_eq(weir_run(loop, routed, .even_sum = &even, .odd_sum = &odd), 0);
	ck_assert_int_eq(even, 2450);
	ck_assert_int_eq(odd, 2500);
	test_loop_free(loop);
}
END_TEST

/* The router ends with both of its outputs, though only one has hung up. */
START_TEST(a_stage_that_is_not_wanted_at_one_of_its_edges_ends_without_an_error)
{
	struct weir_loop *loop = test_loop();
	long even = 0, odd = 0;

	ck_assert_int_eq(weir_run(loop, routed, .even_sum = &even, .odd_sum = &odd, .stops = true),
			 0);
	ck_assert_int_eq(odd, 1);
	ck_assert_int_lt(even, 20);
	test_loop_free(loop);
}
END_TEST

/* ---- a channel with a past ---- */

struct successor {
	struct weir_frame co;
	struct weir_pipeline p;
	struct weir_stage stage;
	struct numbers *in;
	struct squares *out;
};

static WEIR_CO(successor, self, op)
{
	static const struct plan plan = { .uneven = true };
	int rc;

	weir_pipeline_init(&self->p, weir_op_ctx(op));
	self->stage = (struct weir_stage){ .ordered = true, .workers = 3 };
	rc = weir_pipeline_map(&self->p, &self->stage, self->in, self->out, square, n, result,
			       .plan = &plan);
	ck_assert_int_eq(rc, 0);
	WEIR_AWAIT(rc, weir_pipeline_wait(op, &self->p));
	weir_pipeline_fini(&self->p);
	WEIR_RETURN(rc);
}
WEIR_END

/* Order goes by the numbers of items, which begin with the channel, not with the stage. */
START_TEST(an_ordered_stage_may_begin_where_others_have_received_before)
{
	struct weir_loop *loop = test_loop();
	struct numbers in;
	struct squares out;
	long squared;
	int i, n;

	ck_assert_int_eq(weir_chan_init(&in, loop, 8), 0);
	ck_assert_int_eq(weir_chan_init(&out, loop, 8), 0);
	for (i = 0; i < 5; i++) {
		ck_assert_int_eq(weir_chan_try_send(&in, &i), 1);
		ck_assert_int_eq(weir_chan_try_recv(&in, &n), 1);
	}
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(weir_chan_try_send(&in, &i), 1);
	weir_chan_close(&in);
	ck_assert_int_eq(weir_run(loop, successor, .in = &in, .out = &out), 0);
	for (i = 0; i < 8; i++) {
		ck_assert_int_eq(weir_chan_try_recv(&out, &squared), 1);
		ck_assert_int_eq(squared, (long)i * i);
	}
	weir_chan_fini(&in);
	weir_chan_fini(&out);
	test_loop_free(loop);
}
END_TEST

/* ---- what is refused ---- */

/* Ends a pipeline without a task; what weir_pipeline_wait() would have returned. */
static int end(struct weir_loop *loop, struct weir_pipeline *p)
{
	int result;

	while (p->group.active)
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
	result = p->group.err;
	weir_group_fini(&p->group);
	weir_pipeline_fini(p);
	return result;
}

START_TEST(a_stage_that_makes_no_sense_is_refused)
{
	struct weir_loop *loop = test_loop();
	struct weir_pipeline p;
	struct weir_stage s, t;
	struct numbers numbers;
	struct squares squares;

	ck_assert_int_eq(weir_chan_init(&numbers, loop, 1), 0);
	ck_assert_int_eq(weir_chan_init(&squares, loop, 1), 0);

	weir_pipeline_init(&p, weir_loop_ctx(loop));
	s = (struct weir_stage){ .name = "no input" };
	ck_assert_int_eq(weir_pipeline_each(&p, &s, (struct numbers *)NULL, count, n), -EINVAL);
	ck_assert_int_eq(end(loop, &p), -EINVAL);

	weir_pipeline_init(&p, weir_loop_ctx(loop));
	s = (struct weir_stage){ .name = "a crowd", .workers = WEIR_WORKERS_MAX + 1 };
	ck_assert_int_eq(weir_pipeline_each(&p, &s, &numbers, count, n), -EINVAL);
	ck_assert_int_eq(end(loop, &p), -EINVAL);

	weir_pipeline_init(&p, weir_loop_ctx(loop));
	s = (struct weir_stage){ .name = "an ordered generator", .ordered = true,
		.out = weir_chan_any(&numbers) };
	ck_assert_int_eq(weir_pipeline_go(&p, &s, generate), -EINVAL);
	ck_assert_int_eq(end(loop, &p), -EINVAL);

	weir_pipeline_init(&p, weir_loop_ctx(loop));
	s = (struct weir_stage){ .name = "in order", .ordered = true, .workers = 3 };
	ck_assert_int_eq(weir_pipeline_map(&p, &s, &numbers, &squares, square, n, result), 0);
	t = (struct weir_stage){ .name = "takes some away" };
	ck_assert_int_eq(weir_pipeline_each(&p, &t, &numbers, count, n), -EINVAL);
	ck_assert_int_eq(end(loop, &p), -EINVAL);

	weir_chan_fini(&numbers);
	weir_chan_fini(&squares);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_stage_for_which_there_is_no_memory_is_not_begun)
{
	struct weir_loop *loop = test_loop_plain();
	struct weir_pipeline p;
	struct weir_stage s;
	struct numbers numbers;
	unsigned n;
	int rc = -ENOMEM;

	ck_assert_int_eq(weir_chan_init(&numbers, loop, 1), 0);
	for (n = 1; rc == -ENOMEM; n++) {
		weir_pipeline_init(&p, weir_loop_ctx(loop));
		s = (struct weir_stage){ .workers = 3, .ordered = true };
		test_fail_alloc(n);
		rc = weir_pipeline_each(&p, &s, &numbers, count, n);
		ck_assert(test_fail_alloc(0) == (rc == -ENOMEM));
		ck_assert_uint_eq(p.group.active, rc ? 0 : 3);
		weir_pipeline_cancel(&p, 0);
		ck_assert_int_eq(end(loop, &p), rc);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 3);
	weir_chan_fini(&numbers);
	test_loop_free(loop);
}
END_TEST

struct unfit {
	struct weir_frame co;
	struct weir_pipeline p;
	struct weir_stage gen, bad, sink;
	struct numbers numbers;
	long *sum;
	int *result;
};

static WEIR_CO(unfit, self, op)
{
	static const struct plan plan = { .n = 10 };

	ck_assert_int_eq(weir_chan_init(&self->numbers, weir_op_loop(op), 4), 0);
	weir_pipeline_init(&self->p, weir_op_ctx(op));
	self->gen = (struct weir_stage){ .out = weir_chan_any(&self->numbers) };
	weir_pipeline_go(&self->p, &self->gen, generate, .plan = &plan, .out = &self->numbers);
	self->bad = (struct weir_stage){ .workers = WEIR_WORKERS_MAX + 1 };
	weir_pipeline_each(&self->p, &self->bad, &self->numbers, count, n, .sum = self->sum);
	self->sink = (struct weir_stage){ .name = "sink" };
	weir_pipeline_each(&self->p, &self->sink, &self->numbers, count, n, .sum = self->sum);
	WEIR_AWAIT(*self->result, weir_pipeline_wait(op, &self->p));
	weir_pipeline_fini(&self->p);
	weir_chan_fini(&self->numbers);
	WEIR_RETURN(0);
}
WEIR_END

START_TEST(a_stage_that_cannot_be_added_is_the_result_of_the_wait)
{
	struct weir_loop *loop = test_loop();
	long sum = 0;
	int result = 1;

	ck_assert_int_eq(weir_run(loop, unfit, .sum = &sum, .result = &result), 0);
	ck_assert_int_eq(result, -EINVAL);
	ck_assert_int_eq(sum, 0);
	test_loop_free(loop);
}
END_TEST

TESTS("pipeline", end_of_input_drains_every_edge, an_ordered_stage_keeps_the_order_of_its_input,
      workers_work_at_the_same_time, a_failure_anywhere_ends_all_and_is_the_result,
      a_sink_that_has_enough_stops_the_generator,
      a_result_that_cannot_be_sent_on_is_dropped_by_its_edge, the_slowest_stage_is_named,
      fan_in_closes_after_the_last_producer, a_stage_may_route_to_several_edges,
      a_stage_that_is_not_wanted_at_one_of_its_edges_ends_without_an_error,
      a_job_that_says_epipe_is_a_failure_and_no_word_to_stop,
      an_ordered_stage_may_begin_where_others_have_received_before,
      a_stage_that_makes_no_sense_is_refused, a_stage_for_which_there_is_no_memory_is_not_begun,
      a_stage_that_cannot_be_added_is_the_result_of_the_wait)
