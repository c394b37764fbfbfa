/* SPDX-License-Identifier: MIT */
/* limiter.c - limiters under a loop: taking, reserving, waiting, changing rates. */
#include <math.h>

#include "aborts.h"
#include "sync/limiter_kit.h"

/* ---- without waiting ---- */

START_TEST(allow_gives_burst_at_once_and_rate_after)
{
	begin(10, 3);
	ck_assert_int_eq(weir_limiter_allow(&lim, 4), 0);
	ck_assert_int_eq(weir_limiter_allow(&lim, 2), 1);
	ck_assert_int_eq(weir_limiter_allow(&lim, 2), 0);
	ck_assert_int_eq(weir_limiter_allow(&lim, 1), 1);
	ck_assert_int_eq(weir_limiter_allow(&lim, 1), 0);
	pass(1);
	ck_assert_int_eq(weir_limiter_allow(&lim, 1), 1);
	ck_assert_int_eq(weir_limiter_allow(&lim, 1), 0);
	ck_assert_int_eq(weir_limiter_allow(&lim, -1), -EINVAL);
	end();
}
END_TEST

START_TEST(after_a_long_stop_there_is_one_burst_and_no_more)
{
	int n;

	begin(10, 3);
	ck_assert_int_eq(weir_limiter_allow(&lim, 3), 1);
	ck_assert_int_eq(weir_advance(loop, 1000 * WEIR_HOUR), 0);
	ck_tokens(3);
	for (n = 0; weir_limiter_allow(&lim, 1); n++)
		;
	ck_assert_int_eq(n, 3);
	pass(1.5);
	ck_tokens(1.5);
	end();
}
END_TEST

START_TEST(a_limiter_that_makes_no_sense_is_einval)
{
	struct weir_limiter l;

	begin(10, 3);
	ck_assert_int_eq(weir_limiter_init(&l, loop, -1, 1), -EINVAL);
	ck_assert_int_eq(weir_limiter_init(&l, loop, (double)NAN, 1), -EINVAL);
	ck_assert_int_eq(weir_limiter_init(&l, loop, 1, -1), -EINVAL);
	ck_assert_int_eq(weir_limiter_init(&l, loop, 1, WEIR_LIMITER_MAX + 1), -EINVAL);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, (double)NAN), -EINVAL);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, -0.1), -EINVAL);
	ck_assert_int_eq(weir_limiter_set_burst(&lim, -1), -EINVAL);
	ck_tokens(3);
	ck_assert_int_eq(weir_limiter_init(&l, loop, (double)INFINITY, 0), 0);
	ck_assert_int_eq(weir_limiter_allow(&l, 1000), 1);
	weir_limiter_fini(&l);
	end();
}
END_TEST

START_TEST(a_reservation_tells_its_delay_and_is_cancelled_once)
{
	struct weir_reservation r;

	begin(10, 2);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 2, &r), 0);
	ck_assert_uint_eq(weir_reservation_delay(&r), 0);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 2, &r), 0);
	ck_assert_uint_eq(weir_reservation_delay(&r), 2 * D);
	ck_assert_uint_eq(r.due, start + 2 * D);
	pass(0.5);
	ck_assert_uint_eq(weir_reservation_delay(&r), 3 * D / 2);
	weir_reservation_cancel(&r);
	weir_reservation_cancel(&r);
	ck_tokens(0.5);
	pass(5);
	ck_assert_uint_eq(weir_reservation_delay(&r), 0);
	end();
}
END_TEST

START_TEST(a_reservation_that_cannot_be_is_refused_and_takes_nothing)
{
	struct weir_reservation r;

	begin(0, 2);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 3, &r), -E2BIG);
	ck_assert_uint_eq(weir_reservation_delay(&r), WEIR_FOREVER);
	ck_assert_int_eq(weir_limiter_reserve(&lim, -1, &r), -EINVAL);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 1, &r), 0);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 2, &r), -ERANGE);
	ck_assert_uint_eq(weir_reservation_delay(&r), WEIR_FOREVER);
	weir_reservation_cancel(&r);
	ck_tokens(1);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 1e-12), 0);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 2, &r), -ERANGE);
	ck_tokens(1);
	end();
}
END_TEST

/* ---- waiting ---- */

START_TEST(a_wait_lasts_until_its_tokens_are_there)
{
	struct ask a = { .n = 2 }, b = { .n = 3 };

	begin(10, 3);
	go(&a);
	go(&b);
	run();
	ck_ended(&a, 0, 0);
	ck_ended(&b, 0, 2);
	ck_tokens(0);
	end();
}
END_TEST

START_TEST(waiters_go_in_the_order_in_which_they_came)
{
	struct ask a[] = { { .n = 5 }, { .n = 5 }, { .n = 1 }, { .n = 0 }, { .n = 2 } };
	static const double when[] = { 0, 5, 6, 6, 8 };
	unsigned i;

	begin(10, 5);
	for (i = 0; i < 5; i++)
		go(&a[i]);
	run();
	for (i = 0; i < 5; i++) {
		ck_ended(&a[i], 0, when[i]);
		ck_assert_uint_eq(a[i].nth, i + 1);
	}
	end();
}
END_TEST

START_TEST(a_wait_above_the_burst_fails_at_once)
{
	struct ask a = { .n = 4 }, b = { .n = -1 };

	begin(10, 3);
	go(&a);
	go(&b);
	run();
	ck_ended(&a, -E2BIG, 0);
	ck_ended(&b, -EINVAL, 0);
	ck_tokens(3);
	end();
}
END_TEST

struct done_already { struct weir_frame co; struct weir_ctx ctx; };

static WEIR_CO(done_already, self, op)
{
	int rc;

	weir_ctx_init(&self->ctx, weir_op_ctx(op));
	weir_ctx_enter(op, &self->ctx);
	weir_ctx_cancel(&self->ctx, 0);
	WEIR_AWAIT(rc, weir_limiter_wait(op, &lim, 4));
	ck_assert_int_eq(rc, -E2BIG);
	WEIR_AWAIT(rc, weir_limiter_wait(op, &lim, 1));
	ck_assert_int_eq(rc, -ECANCELED);
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
}
WEIR_END

START_TEST(a_ctx_that_is_done_fails_a_wait_unless_that_is_above_the_burst)
{
	begin(10, 3);
	ck_assert_int_eq(weir_run(loop, done_already), 0);
	ck_tokens(3);
	end();
}
END_TEST

START_TEST(a_wait_that_would_miss_its_deadline_fails_at_once_and_takes_nothing)
{
	struct ask a = { .n = 3, .timeout = 1 };

	begin(10, 3);
	ck_assert_int_eq(weir_limiter_allow(&lim, 1), 1);
	ck_tokens(2);
	ck_assert_int_eq(weir_limiter_allow(&lim, 1), 1);
	go(&a);
	settle();
	ck_ended(&a, -ETIMEDOUT, 0);
	ck_tokens(1);
	end();
}
END_TEST

START_TEST(a_wait_may_last_exactly_until_its_deadline)
{
	struct ask first = { .n = 3 }, a = { .n = 2, .timeout = 2 }, b = { .n = 1, .timeout = 3 };

	begin(10, 3);
	go(&first);
	go(&a);
	go(&b);
	run();
	ck_ended(&a, 0, 2);
	ck_ended(&b, 0, 3);
	end();
}
END_TEST

START_TEST(a_deadline_that_passes_in_the_turn_of_a_late_tick_spoils_no_wait)
{
	struct ask first = { .n = 3 }, a = { .n = 2, .timeout = 3 };

	begin(10, 3);
	go(&first);
	go(&a);
	settle();
	pass(10);
	ck_ended(&a, 0, 10);
	end();
}
END_TEST

START_TEST(an_infinite_rate_never_makes_wait)
{
	struct ask a = { .n = 3 };

	begin(WEIR_RATE_INF, 0);
	go(&a);
	run();
	ck_ended(&a, 0, 0);
	end();
}
END_TEST

START_TEST(after_a_long_stop_waiters_get_one_burst_and_no_more)
{
	struct ask a[40];
	unsigned i;

	begin(10, 2);
	for (i = 0; i < 40; i++) {
		a[i] = (struct ask){ .n = 1 };
		go(&a[i]);
	}
	settle();
	ck_assert_uint_eq(finished, 2);
	pass(30.5);
	ck_assert_uint_eq(finished, 4);
	pass(1);
	ck_assert_uint_eq(finished, 5);
	run();
	ck_ended(&a[39], 0, 66.49);
	end();
}
END_TEST

struct paced { struct weir_frame co; unsigned *grants; int rc; };

static WEIR_CO(paced, self, op)
{
	for (;;) {
		WEIR_TRY(self->rc, out, weir_limiter_wait(op, &lim, 1));
		++*self->grants;
	}
out:
	WEIR_RETURN(0);
}
WEIR_END

/* How many grants one task gets in n steps of so many ns: each timer is late by up to a step. */
static unsigned grants_in(double rate, unsigned n, uint64_t ns)
{
	unsigned grants = 0;

	begin(rate, 1);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), paced, .grants = &grants), 0);
	for (settle(); n; n--) {
		ck_assert_int_eq(weir_advance(loop, ns), 0);
		settle();
	}
	weir_ctx_cancel(weir_loop_ctx(loop), -ECANCELED);
	run();
	end();
	return grants;
}

/* Each 150 us of steps give 1.5 tokens, one of which the bucket has no room for. */
START_TEST(who_waits_again_and_again_loses_nothing_by_late_timers)
{
	ck_assert_uint_eq(grants_in(10000, 100, 150 * WEIR_US), 1 + 150);
	ck_assert_uint_eq(grants_in(10000, 100, WEIR_LIMITER_LATE), 1 + 1000);
}
END_TEST

/* The first, the one that was waited for, a bucket full, and no more. */
START_TEST(what_comes_in_during_a_stop_is_lost_but_for_what_a_late_timer_may_cost)
{
	ck_assert_uint_eq(grants_in(10, 1, WEIR_HOUR), 1 + 1 + 1);
	ck_assert_uint_eq(grants_in(10000, 1, WEIR_HOUR), 1 + 1 + 1 + 10);
}
END_TEST

/* The bucket is full by then. */
START_TEST(what_a_late_timer_has_cost_is_made_up_for_soon_or_never)
{
	struct ask a[2] = { { .n = 1 }, { .n = 1 } };
	unsigned i;

	begin(10000, 1);
	for (i = 0; i < 2; i++)
		go(&a[i]);
	settle();
	ck_assert_int_eq(weir_advance(loop, WEIR_LIMITER_LATE), 0);
	settle();
	ck_assert(a[1].ended);
	ck_assert_int_eq(weir_advance(loop, 2 * WEIR_LIMITER_LATE), 0);
	for (i = 0; i < 2; i++) {
		a[i] = (struct ask){ .n = 1 };
		go(&a[i]);
	}
	settle();
	ck_assert(a[0].ended);
	ck_assert(!a[1].ended);
	run();
	end();
}
END_TEST

START_TEST(a_new_rate_or_burst_forgets_what_a_late_timer_has_cost)
{
	struct ask a[3] = { { .n = 1 }, { .n = 1 }, { .n = 1 } };

	begin(10000, 1);
	go(&a[0]);
	go(&a[1]);
	settle();
	ck_assert_int_eq(weir_advance(loop, WEIR_LIMITER_LATE), 0);
	settle();
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 10), 0);
	a[0].ended = a[1].ended = false;
	go(&a[0]);
	go(&a[1]);
	settle();
	ck_assert(a[0].ended);
	ck_assert(!a[1].ended);
	run();
	end();
	begin(10000, 1);
	a[0].ended = a[1].ended = false;
	go(&a[0]);
	go(&a[1]);
	settle();
	ck_assert_int_eq(weir_advance(loop, WEIR_LIMITER_LATE), 0);
	settle();
	ck_assert_int_eq(weir_limiter_set_burst(&lim, 1), 0);
	a[0].ended = a[1].ended = false;
	go(&a[0]);
	go(&a[1]);
	settle();
	ck_assert(!a[1].ended);
	run();
	end();
}
END_TEST

START_TEST(allow_and_reserve_stand_behind_waiters)
{
	struct weir_reservation r;
	struct ask first = { .n = 2 }, a = { .n = 2 }, b = { .n = 1 };

	begin(10, 2);
	go(&first);
	go(&a);
	settle();
	ck_assert_int_eq(weir_limiter_allow(&lim, 0), 0);
	ck_assert_int_eq(weir_limiter_reserve(&lim, 2, &r), 0);
	ck_assert_uint_eq(r.due, start + 4 * D);
	go(&b);
	run();
	ck_ended(&a, 0, 2);
	ck_ended(&b, 0, 5);
	end();
}
END_TEST

START_TEST(a_limiter_has_a_timer_only_while_someone_waits)
{
	struct weir_loop_stats stats;
	struct ask a[5] = { { .n = 1 }, { .n = 1 }, { .n = 1 }, { .n = 1 }, { .n = 1 } };
	unsigned i;

	begin(10, 1);
	for (i = 0; i < 5; i++)
		go(&a[i]);
	settle();
	weir_loop_stats(loop, &stats);
	ck_assert_uint_eq(stats.timers, 1);
	run();
	weir_loop_stats(loop, &stats);
	ck_assert_uint_eq(stats.timers, 0);
	end();
}
END_TEST

/* A task that is busy for a long time, then waits. */
struct late { struct weir_frame co; struct ask *ask; };

static WEIR_CO(late, self, op)
{
	ck_assert_int_eq(weir_advance(loop, 10 * D), 0);
	WEIR_AWAIT(self->ask->rc, weir_limiter_wait(op, &lim, self->ask->n));
	self->ask->ended = true;
	self->ask->when = weir_now(loop);
	self->ask->nth = ++finished;
}
WEIR_END

START_TEST(nobody_overtakes_those_whose_turn_has_come_unnoticed)
{
	struct ask first = { .n = 3 }, a = { .n = 2 }, b = { .n = 1 };

	begin(10, 3);
	go(&first);
	go(&a);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), late, .ask = &b), 0);
	run();
	ck_ended(&a, 0, 10);
	ck_ended(&b, 0, 10);
	ck_assert_uint_eq(a.nth, 2);
	ck_assert_uint_eq(b.nth, 3);
	end();
}
END_TEST

/* Whoever else comes meanwhile: rounding must not add up. */
START_TEST(a_wait_ends_in_the_nanosecond_in_which_a_reservation_would_be_due)
{
	static const double odd[] = { 0.7692307692307693, 1 / 3.0, 3, 7, 13, 9973, 1e6 / 7 };
	unsigned i, j;

	for (i = 0; i < sizeof odd / sizeof *odd; i++) {
		struct ask a = { .n = 1000003 }, b[50] = { { .n = 0 } };
		struct weir_reservation r;
		uint64_t wait;

		begin(odd[i], 1000003);
		ck_assert_int_eq(weir_limiter_allow(&lim, 1000003), 1);
		ck_assert_int_eq(weir_limiter_reserve(&lim, 1000003, &r), 0);
		weir_reservation_cancel(&r);
		wait = weir_reservation_delay(&r);
		go(&a);
		settle();
		for (j = 0; j < 50; j++) {
			ck_assert_int_eq(weir_advance(loop, wait / 51), 0);
			go(&b[j]);
			settle();
		}
		run();
		ck_assert_uint_eq(a.when, r.due);
		end();
	}
}
END_TEST

/* ---- changes ---- */

START_TEST(a_new_rate_holds_for_those_who_wait)
{
	struct ask first = { .n = 3 }, a = { .n = 3 }, b = { .n = 1 };

	begin(10, 3);
	go(&first);
	go(&a);
	go(&b);
	settle();
	pass(1);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 20), 0);
	run();
	ck_ended(&a, 0, 2);
	ck_ended(&b, 0, 2.5);
	end();
}
END_TEST

START_TEST(rate_0_halts_those_who_wait_and_a_rate_lets_them_go_on)
{
	struct ask first = { .n = 3 }, a = { .n = 2 };

	begin(10, 3);
	go(&first);
	go(&a);
	settle();
	pass(1);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 0), 0);
	pass(1000);
	ck_assert_uint_eq(finished, 1);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 10), 0);
	run();
	ck_ended(&a, 0, 1002);
	end();
}
END_TEST

START_TEST(a_wait_at_rate_0_gets_its_token_one_period_after_there_is_a_rate)
{
	struct ask a = { .n = 1 }, b = { .n = 1, .timeout = 1000 };

	begin(0, 1);
	ck_assert_int_eq(weir_limiter_allow(&lim, 1), 1);
	go(&a);
	settle();
	pass(10);
	go(&b);
	settle();
	ck_ended(&b, -ETIMEDOUT, 10);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, 10), 0);
	run();
	ck_ended(&a, 0, 11);
	end();
}
END_TEST

START_TEST(a_wait_at_rate_0_ends_with_its_ctx)
{
	struct ask a = { .n = 1 };

	begin(0, 1);
	ck_assert_int_eq(weir_limiter_allow(&lim, 1), 1);
	go(&a);
	settle();
	pass(10);
	weir_ctx_cancel(&a.ctx, 0);
	run();
	ck_ended(&a, -ECANCELED, 10);
	ck_tokens(0);
	end();
}
END_TEST

START_TEST(a_wait_at_rate_0_that_nobody_can_end_is_a_deadlock)
{
	struct ask a = { .n = 1 };

	begin(0, 0);
	ck_assert_int_eq(weir_limiter_set_burst(&lim, 1), 0);
	go(&a);
	ck_assert_int_eq(weir_loop_run(loop), -EDEADLK);
	weir_ctx_cancel(weir_loop_ctx(loop), 0);
	settle();
	ck_ended(&a, -ECANCELED, 0);
	end();
}
END_TEST

START_TEST(an_infinite_rate_lets_all_go_who_wait)
{
	struct ask a[] = { { .n = 3 }, { .n = 3 }, { .n = 2 } };
	unsigned i;

	begin(10, 3);
	for (i = 0; i < 3; i++)
		go(&a[i]);
	settle();
	pass(1);
	ck_assert_int_eq(weir_limiter_set_rate(&lim, WEIR_RATE_INF), 0);
	settle();
	ck_assert_uint_eq(finished, 3);
	ck_ended(&a[2], 0, 1);
	end();
}
END_TEST

START_TEST(who_waits_for_more_than_a_new_burst_still_gets_it)
{
	struct ask first = { .n = 3 }, a = { .n = 3 }, b = { .n = 1 };

	begin(10, 3);
	go(&first);
	go(&a);
	settle();
	ck_assert_int_eq(weir_limiter_set_burst(&lim, 1), 0);
	go(&b);
	run();
	ck_ended(&a, 0, 3);
	ck_ended(&b, 0, 4);
	pass(100);
	ck_tokens(1);
	end();
}
END_TEST

static void fini_under_a_waiter(void)
{
	static struct ask a = { .n = 1 };

	begin(0, 0);
	lim.bucket.burst = 1;
	go(&a);
	settle();
	weir_limiter_fini(&lim);
}

START_TEST(a_limiter_may_not_go_while_tasks_wait_for_it)
{
	ck_aborts(fini_under_a_waiter, "weir_limiter_fini() while a task waits");
}
END_TEST

TESTS("limiter",
      allow_gives_burst_at_once_and_rate_after,
      after_a_long_stop_there_is_one_burst_and_no_more,
      a_limiter_that_makes_no_sense_is_einval,
      a_reservation_tells_its_delay_and_is_cancelled_once,
      a_reservation_that_cannot_be_is_refused_and_takes_nothing,
      a_wait_lasts_until_its_tokens_are_there,
      waiters_go_in_the_order_in_which_they_came,
      a_wait_above_the_burst_fails_at_once,
      a_ctx_that_is_done_fails_a_wait_unless_that_is_above_the_burst,
      a_wait_that_would_miss_its_deadline_fails_at_once_and_takes_nothing,
      a_wait_may_last_exactly_until_its_deadline,
      a_deadline_that_passes_in_the_turn_of_a_late_tick_spoils_no_wait,
      an_infinite_rate_never_makes_wait,
      after_a_long_stop_waiters_get_one_burst_and_no_more,
      who_waits_again_and_again_loses_nothing_by_late_timers,
      what_comes_in_during_a_stop_is_lost_but_for_what_a_late_timer_may_cost,
      what_a_late_timer_has_cost_is_made_up_for_soon_or_never,
      a_new_rate_or_burst_forgets_what_a_late_timer_has_cost,
      allow_and_reserve_stand_behind_waiters,
      a_limiter_has_a_timer_only_while_someone_waits,
      nobody_overtakes_those_whose_turn_has_come_unnoticed,
      a_wait_ends_in_the_nanosecond_in_which_a_reservation_would_be_due,
      a_new_rate_holds_for_those_who_wait,
      rate_0_halts_those_who_wait_and_a_rate_lets_them_go_on,
      a_wait_at_rate_0_gets_its_token_one_period_after_there_is_a_rate,
      a_wait_at_rate_0_ends_with_its_ctx,
      a_wait_at_rate_0_that_nobody_can_end_is_a_deadlock,
      an_infinite_rate_lets_all_go_who_wait,
      who_waits_for_more_than_a_new_burst_still_gets_it,
      a_limiter_may_not_go_while_tasks_wait_for_it)
