/* SPDX-License-Identifier: MIT */
/*
 * ctx_task.c - tasks under contexts: scopes, shields, waiting for another's end, mass cancels.
 */
#include <stdlib.h>

#include "aborts.h"
#include "harness.h"
#include "kit.h"

#define CHILD		(-1002)		/* a cause */
#define FAR		(1000000 * WEIR_S)

static struct weir_loop *loop;
static struct weir_ctx *root, a, b;

static void begin(void)
{
	loop = test_loop();
	root = weir_loop_ctx(loop);
}

static uint64_t timers(void)
{
	struct weir_loop_stats s;

	weir_loop_stats(loop, &s);
	return s.timers;
}

struct sleeper { struct weir_frame co; struct weir_ctx *ctx; uint64_t ns; int rc; };

static WEIR_CO(sleeper, self, op)
{
	if (self->ctx)
		weir_ctx_enter(op, self->ctx);
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	if (self->ctx)
		weir_ctx_leave(op, self->ctx);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(every_await_under_a_ctx_that_is_done_fails_until_it_is_left)
{
	begin();
	weir_ctx_init_timeout(&a, root, WEIR_S);
	ck_assert_int_eq(weir_run(loop, sleeper, .ctx = &a, .ns = WEIR_HOUR), -ETIMEDOUT);
	ck_assert_int_eq(weir_run(loop, sleeper, .ctx = &a, .ns = WEIR_HOUR), -ETIMEDOUT);
	ck_assert_int_eq(weir_run(loop, sleeper, .ns = WEIR_HOUR), 0);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

struct nests { struct weir_frame co; struct weir_ctx outer, inner, shield; int rc; };

static WEIR_CO(nests, self, op)
{
	weir_ctx_init_timeout(&self->outer, weir_op_ctx(op), 2 * WEIR_S);
	weir_ctx_enter(op, &self->outer);
	weir_ctx_init_timeout(&self->inner, weir_op_ctx(op), WEIR_S);
	weir_ctx_enter(op, &self->inner);
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_HOUR));
	ck_assert_int_eq(self->rc, -ETIMEDOUT);
	weir_ctx_leave(op, &self->inner);
	weir_ctx_fini(&self->inner);
	ck_assert_uint_eq(weir_now(loop), 2 * WEIR_S);	/* the clock began at 1 s */
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_HOUR));
	ck_assert_int_eq(self->rc, -ETIMEDOUT);
	ck_assert_uint_eq(weir_now(loop), 3 * WEIR_S);
	weir_shield(op, &self->shield, WEIR_HOUR);
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_S));
	ck_assert_int_eq(self->rc, 0);
	weir_unshield(op, &self->shield);
	weir_ctx_leave(op, &self->outer);
	weir_ctx_fini(&self->outer);
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_S));
	ck_assert_int_eq(self->rc, 0);
}
WEIR_END

START_TEST(scopes_nest)
{
	begin();
	ck_assert_int_eq(weir_run(loop, nests), 0);
	test_loop_free(loop);
}
END_TEST

struct cancels_itself { struct weir_frame co; struct weir_ctx ctx; int rc; };

static WEIR_CO(cancels_itself, self, op)
{
	weir_ctx_init(&self->ctx, weir_op_ctx(op));
	weir_ctx_enter(op, &self->ctx);
	weir_ctx_cancel(weir_op_ctx(op), CHILD);
	WEIR_AWAIT(self->rc, weir_yield(op));
	ck_assert_int_eq(self->rc, -ECANCELED);
	weir_ctx_leave(op, &self->ctx);
	WEIR_AWAIT(self->rc, weir_yield(op));
	ck_assert_int_eq(self->rc, 0);
	self->rc = weir_ctx_cause(&self->ctx);
	weir_ctx_fini(&self->ctx);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_task_may_cancel_what_it_is_under)
{
	begin();
	ck_assert_int_eq(weir_run(loop, cancels_itself), CHILD);
	test_loop_free(loop);
}
END_TEST

struct waiter { struct weir_frame co; struct weir_ctx *ctx; int rc, *order, mine; };

static int order[8], ended;

static WEIR_CO(waiter, self, op)
{
	WEIR_AWAIT(self->rc, weir_ctx_wait(op, self->ctx));
	order[ended++] = self->mine;
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(waiting_for_another_ctx_ends_with_it_in_order_and_without_an_error)
{
	struct weir_group *g;

	begin();
	g = weir_loop_group(loop);
	weir_ctx_init_timeout(&a, root, WEIR_S);
	ck_assert_int_eq(weir_go(g, waiter, .ctx = &a, .mine = 1), 0);
	ck_assert_int_eq(weir_go(g, waiter, .ctx = &a, .mine = 2), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(ended, 2);
	ck_assert_int_eq(order[0], 1);
	ck_assert_int_eq(order[1], 2);
	ck_assert_int_eq(weir_run(loop, waiter, .ctx = &a), 0);	/* at once */
	weir_ctx_fini(&a);

	weir_ctx_init(&a, root);
	ck_assert_int_eq(weir_go(g, waiter, .ctx = &a), 0);
	weir_loop_dispatch(loop);
	weir_group_cancel(g, 0);
	ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

/* CPU time from the cancel of n tasks until the last has ended, the better of two. */
static uint64_t time_to_cancel(int n)
{
	uint64_t best = WEIR_FOREVER, t;
	int i, round;

	for (round = 0; round < 2; round++) {
		begin();
		for (i = 0; i < n; i++)
			ck_assert_int_eq(weir_go(weir_loop_group(loop), sleeper, .ns = FAR), 0);
		while (timers() < (uint64_t)n)
			weir_loop_dispatch(loop);
		t = kit_clock(CLOCK_THREAD_CPUTIME_ID);
		weir_ctx_cancel(root, 0);
		ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
		t = kit_clock(CLOCK_THREAD_CPUTIME_ID) - t;
		best = t < best ? t : best;
		test_loop_free(loop);
	}
	return best;
}

START_TEST(to_cancel_100000_tasks_takes_about_100_times_as_long_as_1000)
{
	uint64_t few = time_to_cancel(1000), many = time_to_cancel(100000);

	ck_assert_uint_lt(many, few * 100 * 20);	/* were it quadratic: 10,000 times */
}
END_TEST

/* ---- misuse ---- */

struct enters { struct weir_frame co; struct weir_ctx *ctx; int rc; };

static WEIR_CO(enters, self, op)
{
	weir_ctx_enter(op, self->ctx);
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_S));
	weir_ctx_leave(op, self->ctx);
}
WEIR_END

static void enter_one_ctx_by_two_tasks(void)
{
	begin();
	weir_ctx_init(&a, root);
	weir_go(weir_loop_group(loop), enters, .ctx = &a);
	weir_run(loop, enters, .ctx = &a);
}

START_TEST(a_ctx_entered_by_two_tasks_at_a_time_aborts)
{
	ck_aborts(enter_one_ctx_by_two_tasks, "weir_ctx_enter() of a ctx that is entered already");
}
END_TEST

struct crosses { struct weir_frame co; int rc; };

static WEIR_CO(crosses, self, op)
{
	weir_ctx_enter(op, &a);
	weir_ctx_enter(op, &b);
	weir_ctx_leave(op, &a);
	WEIR_AWAIT(self->rc, weir_yield(op));
}
WEIR_END

static void leave_in_the_wrong_order(void)
{
	begin();
	weir_ctx_init(&a, root);
	weir_ctx_init(&b, root);
	weir_run(loop, crosses);
}

START_TEST(leaving_in_the_wrong_order_aborts)
{
	ck_aborts(leave_in_the_wrong_order, "weir_ctx_leave() of a ctx the task is not under");
}
END_TEST

static void fini_with_a_child(void)
{
	begin();
	weir_ctx_init(&a, root);
	weir_ctx_init(&b, &a);
	weir_ctx_fini(&a);
}

static void fini_with_a_task(void)
{
	begin();
	weir_ctx_init(&a, root);
	weir_go(weir_loop_group(loop), enters, .ctx = &a);
	weir_loop_dispatch(loop);
	weir_ctx_fini(&a);
}

static void fini_with_a_waiter(void)
{
	begin();
	weir_ctx_init(&a, root);
	weir_go(weir_loop_group(loop), waiter, .ctx = &a);
	weir_loop_dispatch(loop);
	weir_ctx_fini(&a);
}

START_TEST(fini_of_a_ctx_that_is_in_use_aborts_and_says_where_it_was_made)
{
	ck_aborts(fini_with_a_child, "weir_ctx_fini() with a child left at " __FILE__ ":");
	ck_aborts(fini_with_a_task, "weir_ctx_fini() with tasks under it at " __FILE__ ":");
	ck_aborts(fini_with_a_waiter, "weir_ctx_fini() of a ctx waited for at " __FILE__ ":");
}
END_TEST

TESTS("ctx_task",
      every_await_under_a_ctx_that_is_done_fails_until_it_is_left,
      scopes_nest,
      a_task_may_cancel_what_it_is_under,
      waiting_for_another_ctx_ends_with_it_in_order_and_without_an_error,
      to_cancel_100000_tasks_takes_about_100_times_as_long_as_1000,
      a_ctx_entered_by_two_tasks_at_a_time_aborts,
      leaving_in_the_wrong_order_aborts,
      fini_of_a_ctx_that_is_in_use_aborts_and_says_where_it_was_made)
