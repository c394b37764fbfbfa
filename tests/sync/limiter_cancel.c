/* SPDX-License-Identifier: MIT */
/*
 * limiter_cancel.c - limiters whose waits and reservations are given up: nothing is lost, nobody
 * gets more than the rate gives.
 */
#include "sync/limiter_kit.h"

/* ---- cancelling ---- */

START_TEST(a_cancelled_wait_gives_its_tokens_to_those_behind)
{
	struct ask first = { .n = 3 }, a = { .n = 3 }, b = { .n = 1 };

	begin(10, 3);
	go(&first);
	go(&a);
	go(&b);
	settle();
	ck_tokens(-4);
	weir_ctx_cancel(&a.ctx, 0);
	settle();
	ck_ended(&a, -ECANCELED, 0);
	ck_tokens(-1);
	run();
	ck_ended(&b, 0, 1);
	ck_tokens(0);
	end();
}
END_TEST

START_TEST(a_cancel_in_the_middle_moves_up_those_behind_only)
{
	struct ask first = { .n = 3 }, a = { .n = 2 }, b = { .n = 3 }, c = { .n = 1 };

	begin(10, 3);
	go(&first);
	go(&a);
	go(&b);
	go(&c);
	settle();
	pass(1);
	weir_ctx_cancel(&b.ctx, 0);
	run();
	ck_ended(&a, 0, 2);
	ck_ended(&b, -ECANCELED, 1);
	ck_ended(&c, 0, 3);
	end();
}
END_TEST

START_TEST(a_thousand_cancelled_waiters_leave_no_debt)
{
	static struct ask a[1000];
	struct weir_ctx crowd;
	unsigned i;

	begin(10, 1);
	weir_ctx_init(&crowd, weir_loop_ctx(loop));
	for (i = 0; i < 1000; i++) {
		a[i] = (struct ask){ .n = 1, .under = &crowd };
		go(&a[i]);
	}
	settle();
	pass(0.5);
	ck_tokens(-998.5);
	weir_ctx_cancel(&crowd, 0);
	run();
	ck_ended(&a[0], 0, 0);
	for (i = 1; i < 1000; i++)
		ck_ended(&a[i], -ECANCELED, 0.5);
	ck_tokens(0.5);
	weir_ctx_fini(&crowd);
	end();
}
END_TEST

START_TEST(a_smaller_request_served_by_a_cancel_and_cancelled_with_it_takes_nothing)
{
	struct weir_ctx crowd;
	struct ask a[] = { { .n = 3, .under = &crowd }, { .n = 1, .under = &crowd } };

	begin(10, 3);
	weir_ctx_init(&crowd, weir_loop_ctx(loop));
	ck_assert_int_eq(weir_limiter_allow(&lim, 1), 1);
	go(&a[0]);
	go(&a[1]);
	settle();
	weir_ctx_cancel(&crowd, 0);
	run();
	ck_ended(&a[0], -ECANCELED, 0);
	ck_ended(&a[1], -ECANCELED, 0);
	ck_tokens(2);
	weir_ctx_fini(&crowd);
	end();
}
END_TEST

START_TEST(a_wait_cancelled_before_its_task_ran_gives_back_what_it_won)
{
	struct ask first = { .n = 3 }, a = { .n = 2 };

	begin(10, 3);
	go(&first);
	go(&a);
	settle();
	ck_assert_int_eq(weir_limiter_set_rate(&lim, WEIR_RATE_INF), 0);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 10), 0);
	ck_tokens(-2);
	weir_ctx_cancel(&a.ctx, 0);
	ck_tokens(0);
	run();
	ck_ended(&a, -ECANCELED, 0);
	end();
}
END_TEST

/* Wakes at a time, before those who then have their turn, and cancels. */
struct spoiler { struct weir_frame co; struct weir_ctx *victim; uint64_t when; };

static WEIR_CO(spoiler, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep_until(op, self->when));
	ck_assert_int_eq(rc, 0);
	weir_ctx_cancel(self->victim, 0);
}
WEIR_END

static void go_spoil(struct weir_ctx *victim, double when)
{
	uint64_t t = start + (uint64_t)(when * (double)D);

	ck_assert_int_eq(weir_go(weir_loop_group(loop), spoiler, .victim = victim, .when = t), 0);
}

START_TEST(what_a_wait_won_and_gives_back_goes_to_those_behind)
{
	struct ask first = { .n = 3 }, a = { .n = 2 }, b = { .n = 1 };

	begin(10, 3);
	go_spoil(&a.ctx, 2);
	go(&first);
	go(&a);
	go(&b);
	run();
	ck_ended(&a, -ECANCELED, 2);
	ck_ended(&b, 0, 2);
	ck_tokens(1);
	end();
}
END_TEST

START_TEST(what_a_wait_won_under_an_infinite_rate_is_not_given_back)
{
	struct ask first = { .n = 3 }, a = { .n = 2 };

	begin(10, 3);
	go(&first);
	go(&a);
	settle();
	ck_assert_int_eq(weir_limiter_set_rate(&lim, WEIR_RATE_INF), 0);
	weir_ctx_cancel(&a.ctx, 0);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 10), 0);
	ck_tokens(-2);
	run();
	ck_ended(&a, -ECANCELED, 0);
	end();
}
END_TEST

START_TEST(a_cancel_takes_back_what_the_time_gave_unnoticed)
{
	struct ask first = { .n = 3 }, a = { .n = 1 }, b = { .n = 1 };

	begin(10, 3);
	go(&first);
	go(&a);
	go(&b);
	settle();
	ck_assert_int_eq(weir_advance(loop, D), 0);
	weir_ctx_cancel(&a.ctx, 0);
	run();
	ck_ended(&a, -ECANCELED, 1);
	ck_ended(&b, 0, 1);
	ck_tokens(0);
	end();
}
END_TEST

START_TEST(a_deadline_ends_a_wait_that_a_new_rate_has_put_off)
{
	struct ask first = { .n = 3 }, a = { .n = 1, .timeout = 2 };

	begin(10, 3);
	go(&first);
	go(&a);
	settle();
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 1), 0);
	run();
	ck_ended(&a, -ETIMEDOUT, 2);
	ck_tokens(0.2);
	end();
}
END_TEST

START_TEST(a_deadline_in_the_instant_in_which_another_is_served_ends_its_own_only)
{
	struct ask first = { .n = 3 }, a = { .n = 1 }, b = { .n = 3, .timeout = 5 };

	begin(10, 3);
	go(&first);
	go(&a);
	go(&b);
	settle();
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 2), 0);
	run();
	ck_ended(&a, 0, 5);
	ck_ended(&b, -ETIMEDOUT, 5);
	ck_tokens(0);
	end();
}
END_TEST

START_TEST(a_reservation_gives_back_no_more_than_it_took)
{
	struct weir_reservation a, b, c;

	begin(10, 3);
	ck_assert_int_eq(weir_limiter_allow(&lim, 3), 1);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 3, &a), 0);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 1, &b), 0);
	pass(1);
	weir_reservation_cancel(&a);
	ck_tokens(-1);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 1, &c), 0);
	ck_tokens(-2);
	weir_reservation_cancel(&b);
	ck_tokens(-1);
	end();
}
END_TEST

START_TEST(what_waits_behind_a_cancelled_reservation_moves_up)
{
	struct weir_reservation r;
	struct ask a = { .n = 1 };

	begin(10, 3);
	ck_assert_int_eq(weir_limiter_allow(&lim, 3), 1);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 3, &r), 0);
	go(&a);
	settle();
	pass(1);
	weir_reservation_cancel(&r);
	settle();
	ck_ended(&a, 0, 1);
	ck_tokens(0);
	end();
}
END_TEST

START_TEST(a_cancelled_reservation_does_not_serve_those_in_front)
{
	struct weir_reservation r;
	struct ask first = { .n = 3 }, a = { .n = 2 }, b = { .n = 3 }, c = { .n = 1 };

	begin(10, 3);
	go(&first);
	go(&a);
	settle();
	ck_assert_int_eq(weir_limiter_reserve(&lim, 2, &r), 0);
	ck_assert_uint_eq(r.due, start + 4 * D);
	go(&b);
	go(&c);
	settle();
	ck_tokens(-8);
	weir_reservation_cancel(&r);
	ck_tokens(-6);
	run();
	ck_ended(&a, 0, 2);
	ck_ended(&b, 0, 5);
	ck_ended(&c, 0, 6);
	ck_tokens(0);
	end();
}
END_TEST

START_TEST(a_reservation_keeps_its_time_when_those_in_front_leave)
{
	struct weir_reservation r;
	struct ask first = { .n = 3 }, a[] = { { .n = 2 }, { .n = 1 } }, b = { .n = 1 };

	begin(10, 3);
	go(&first);
	go(&a[0]);
	go(&a[1]);
	settle();
	ck_assert_int_eq(weir_limiter_reserve(&lim, 1, &r), 0);
	ck_assert_uint_eq(r.due, start + 4 * D);
	go(&b);
	settle();
	weir_ctx_cancel(&a[0].ctx, 0);
	weir_ctx_cancel(&a[1].ctx, 0);
	ck_tokens(-2);
	run();
	ck_ended(&b, 0, 2);
	ck_assert_uint_eq(r.due, start + 4 * D);
	end();
}
END_TEST

/* ---- as an arm of a select ---- */

struct chooser { struct weir_frame co; struct weir_arm arm[2]; int64_t n; uint64_t until; };
static int chosen;

static WEIR_CO(chooser, self, op)
{
	weir_ready(weir_limiter_wait(&self->arm[0].op, &lim, self->n));
	weir_ready(weir_sleep_until(&self->arm[1].op, self->until));
	WEIR_AWAIT(chosen, weir_select_ordered(op, self->arm, 2));
	if (chosen == 0)
		ck_assert_int_eq(self->arm[0].op.res, 0);
}
WEIR_END

struct twice { struct weir_frame co; struct weir_arm arm[2]; int rc; };

static WEIR_CO(twice, self, op)
{
	weir_ready(weir_limiter_wait(&self->arm[0].op, &lim, 2));
	weir_ready(weir_limiter_wait(&self->arm[1].op, &lim, 1));
	WEIR_AWAIT(chosen, weir_select_ordered(op, self->arm, 2));
	WEIR_AWAIT(self->rc, weir_limiter_wait(op, &lim, 1));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_select_that_waits_twice_for_one_limiter_takes_what_came_first)
{
	struct weir_loop_stats s;
	struct ask a = { .n = 3 }, b = { .n = 1 };

	begin(10, 3);
	go(&a);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), twice), 0);
	go(&b);
	settle();
	run();
	ck_assert_int_eq(chosen, 0);
	ck_ended(&b, 0, 3);
	weir_loop_stats(loop, &s);
	ck_assert_uint_eq(s.timers, 0);
	end();
}
END_TEST

START_TEST(a_select_waits_for_a_limiter_or_leaves_no_trace_in_it)
{
	begin(10, 3);
	ck_assert_int_eq(weir_run(loop, chooser, .n = 2, .until = start + D), 0);
	ck_assert_int_eq(chosen, 0);
	ck_tokens(1);
	ck_assert_int_eq(weir_run(loop, chooser, .n = 3, .until = start + 3 * D), 0);
	ck_assert_int_eq(chosen, 0);
	ck_assert_uint_eq(weir_now(loop), start + 2 * D);
	ck_assert_int_eq(weir_run(loop, chooser, .n = 3, .until = start + 4 * D), 0);
	ck_assert_int_eq(chosen, 1);
	ck_assert_uint_eq(weir_now(loop), start + 4 * D);
	ck_tokens(2);
	end();
}
END_TEST

START_TEST(a_select_whose_deadline_is_its_turn_takes_nothing)
{
	struct weir_ctx ctx;
	struct weir_group g;

	begin(10, 3);
	ck_assert_int_eq(weir_limiter_allow(&lim, 3), 1);
	weir_ctx_init_timeout(&ctx, weir_loop_ctx(loop), 3 * D);
	weir_group_init(&g, &ctx, NULL);
	ck_assert_int_eq(weir_go(&g, chooser, .n = 2, .until = start + 9 * D), 0);
	settle();
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 20.0 / 3), 0);
	pass(3);
	ck_assert_int_eq(chosen, -ETIMEDOUT);
	ck_tokens(2);
	weir_group_fini(&g);
	weir_ctx_fini(&ctx);
	end();
}
END_TEST

START_TEST(a_select_cancelled_before_its_task_ran_gives_back_what_it_won)
{
	struct weir_group g;

	begin(10, 3);
	ck_assert_int_eq(weir_limiter_allow(&lim, 3), 1);
	weir_group_init(&g, weir_loop_ctx(loop), NULL);
	go_spoil(&g.ctx, 2);
	settle();
	ck_assert_int_eq(weir_go(&g, chooser, .n = 2, .until = start + 9 * D), 0);
	settle();
	pass(2);
	ck_assert_int_eq(chosen, -ECANCELED);
	ck_tokens(2);
	weir_group_fini(&g);
	end();
}
END_TEST

/* ---- everything at once ---- */

/*
 * The limiter as one would explain it: a bucket, and a queue in front of it.  The first of the
 * queue takes its tokens as soon as they are there; a reservation does when it is first, whether
 * they are there or not.  limiter.c does nothing of this in this way.
 */
enum { ASKS = 600, BURST = 20 };
static const double rates[] = { 0, 500, 1000, 2000 };

struct entry { int64_t n; unsigned ask; };	/* ASKS: a reservation */

static struct {
	double rate, tokens;
	struct entry queue[2 * ASKS];
	unsigned len;
	int rc[ASKS];		/* 1: waits */
} model;

static void model_remove(unsigned i)
{
	for (model.len--; i < model.len; i++)
		model.queue[i] = model.queue[i + 1];
}

static double model_owed(void)
{
	double n = 0;
	unsigned i;

	for (i = 0; i < model.len; i++)
		n += (double)model.queue[i].n;
	return n;
}

static void model_serve(void)
{
	const struct entry *e = model.queue;

	for (; model.len && (e->ask == ASKS || (double)e->n <= model.tokens); model_remove(0)) {
		model.tokens -= (double)e->n;
		if (e->ask < ASKS)
			model.rc[e->ask] = 0;
	}
	model.tokens = model.tokens < BURST ? model.tokens : BURST;
}

static void model_add(unsigned ask, int64_t n)
{
	model.queue[model.len++] = (struct entry){ n, ask };
	model_serve();
}

static void model_cancel(unsigned ask)
{
	unsigned i;

	for (i = 0; i < model.len; i++) {
		if (model.queue[i].ask != ask)
			continue;
		model_remove(i);
		model.rc[ask] = -ECANCELED;
		model_serve();
	}
}

/* The latest reservation: all of it comes back. */
static void model_unreserve(int64_t n)
{
	unsigned i = model.len;

	while (i && model.queue[i - 1].ask < ASKS)
		i--;
	if (i)
		model_remove(i - 1);
	else
		model.tokens += (double)n;
	model_serve();
}

static uint64_t random_below(uint64_t n)
{
	return (weir_random(loop) >> 11) % n;
}

static struct ask asks[ASKS];
static struct weir_reservation latest;

static void random_reserve(void)
{
	int64_t n = (int64_t)random_below(BURST + 1);
	double missing = model_owed() + (double)n - model.tokens;
	int rc = weir_limiter_reserve(&lim, n, &latest);

	if (missing > 0 && model.rate <= 0) {
		ck_assert_int_eq(rc, -ERANGE);
		return;
	}
	ck_assert_int_eq(rc, 0);
	missing = missing > 0 ? missing / model.rate * 1e9 : 0;
	ck_assert_double_eq_tol((double)weir_reservation_delay(&latest), missing, 10);
	model_add(ASKS, n);
}

static void random_unreserve(void)
{
	int64_t n = latest.n;

	if (!n || latest.due < weir_now(loop))
		return;
	weir_reservation_cancel(&latest);
	model_unreserve(n);
}

static void random_rate(void)
{
	model.rate = rates[random_below(sizeof rates / sizeof *rates)];
	ck_assert_int_eq(weir_limiter_set_rate(&lim, model.rate), 0);
}

static void random_cancel(unsigned made)
{
	unsigned i = made ? (unsigned)random_below(made) : 0;

	if (!made || asks[i].ended)
		return;
	weir_ctx_cancel(&asks[i].ctx, 0);
	model_cancel(i);
}

/* In steps so small that no timer is late, see WEIR_LIMITER_LATE: nothing spills. */
static void random_pass(unsigned made)
{
	uint64_t most = made / 50 % 2 ? 20 : 90;	/* by turns busy and idle */
	uint64_t ns = random_below(most * WEIR_MS), step;

	for (; ns; ns -= step) {
		step = ns < WEIR_MS / 2 ? ns : WEIR_MS / 2;
		ck_assert_int_eq(weir_advance(loop, step), 0);
		model.tokens += (double)step / 1e9 * model.rate;
		model_serve();
		settle();
	}
}

static void ck_as_the_model_says(unsigned made)
{
	unsigned i;

	for (i = 0; i < made; i++) {
		int rc = asks[i].ended ? asks[i].rc : 1;

		if (rc != model.rc[i])
			ck_abort_msg("wait %u of %u: %d, not %d", i, made, rc, model.rc[i]);
	}
	ck_assert_double_eq_tol(weir_limiter_tokens(&lim), model.tokens - model_owed(), 1e-6);
}

START_TEST(any_mix_of_waits_reservations_cancels_and_rates_is_as_the_model_says)
{
	unsigned made = 0;

	begin(1000, BURST);
	model.rate = 1000;
	model.tokens = BURST;
	while (made < ASKS) {
		uint64_t what = random_below(100);

		if (what < 40) {
			asks[made] = (struct ask){ .n = (int64_t)random_below(BURST + 1) };
			model.rc[made] = 1;
			go(&asks[made]);
			model_add(made, asks[made].n);
			made++;
		} else if (what < 50) {
			random_reserve();
		} else if (what < 55) {
			random_unreserve();
		} else if (what < 60) {
			random_rate();
		} else if (what < 75) {
			random_cancel(made);
		} else {
			random_pass(made);
		}
		settle();
		ck_as_the_model_says(made);
	}
	weir_ctx_cancel(weir_loop_ctx(loop), 0);
	settle();
	ck_assert_uint_eq(finished, ASKS);
	ck_assert_double_eq(lim.owed, 0);
	end();
}
END_TEST

TESTS("limiter_cancel",
      a_cancelled_wait_gives_its_tokens_to_those_behind,
      a_cancel_in_the_middle_moves_up_those_behind_only,
      a_thousand_cancelled_waiters_leave_no_debt,
      a_smaller_request_served_by_a_cancel_and_cancelled_with_it_takes_nothing,
      a_wait_cancelled_before_its_task_ran_gives_back_what_it_won,
      what_a_wait_won_and_gives_back_goes_to_those_behind,
      what_a_wait_won_under_an_infinite_rate_is_not_given_back,
      a_cancel_takes_back_what_the_time_gave_unnoticed,
      a_deadline_ends_a_wait_that_a_new_rate_has_put_off,
      a_deadline_in_the_instant_in_which_another_is_served_ends_its_own_only,
      a_reservation_gives_back_no_more_than_it_took,
      what_waits_behind_a_cancelled_reservation_moves_up,
      a_cancelled_reservation_does_not_serve_those_in_front,
      a_reservation_keeps_its_time_when_those_in_front_leave,
      a_select_that_waits_twice_for_one_limiter_takes_what_came_first,
      a_select_waits_for_a_limiter_or_leaves_no_trace_in_it,
      a_select_whose_deadline_is_its_turn_takes_nothing,
      a_select_cancelled_before_its_task_ran_gives_back_what_it_won,
      any_mix_of_waits_reservations_cancels_and_rates_is_as_the_model_says)
