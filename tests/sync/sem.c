/* SPDX-License-Identifier: MIT */
/* sem.c - semaphores of one loop: weights, order, cancellation, resizing, closing. */
#include "aborts.h"
#include "harness.h"
#include "weir.h"

#define PENDING	12345

static struct weir_loop *loop;
static struct weir_sem sem;
static unsigned finished;	/* tasks so far */

/* A task that asks once, and what it gets.  The group is its own, to cancel it. */
struct ask {
	struct weir_group group;
	uint64_t n, timeout;
	int rc;
	uint64_t when;
	unsigned nth;		/* of those that have ended */
};

struct asker { struct weir_frame co; struct ask *ask; struct weir_ctx ctx; };

static WEIR_CO(asker, self, op)
{
	struct ask *a;
	int rc;

	weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), self->ask->timeout);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(rc, weir_sem_acquire(op, &sem, self->ask->n));
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
	a = self->ask;
	a->rc = rc;
	a->when = weir_now(loop);
	a->nth = ++finished;
}
WEIR_END

static void settle(void)
{
	struct weir_loop_stats before, after;

	do {
		weir_loop_stats(loop, &before);
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
		weir_loop_stats(loop, &after);
	} while (after.resumes > before.resumes);
}

static void ck_free(int64_t n)
{
	ck_assert_int_eq(weir_sem_available(&sem), n);
}

static void begin(uint64_t permits)
{
	loop = test_loop();
	ck_assert_int_eq(weir_sem_init(&sem, loop, permits), 0);
	ck_assert_uint_eq(weir_sem_size(&sem), permits);
	ck_free((int64_t)permits);
}

static void end(void)
{
	ck_assert_uint_eq(weir_sem_waiting(&sem), 0);
	weir_sem_fini(&sem);
	test_loop_free(loop);
}

static void start(struct ask *a, uint64_t n, uint64_t timeout)
{
	a->n = n;
	a->timeout = timeout;
	a->rc = PENDING;
	weir_group_init(&a->group, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_go(&a->group, asker, .ask = a), 0);
}

static void go(struct ask *a, uint64_t n)
{
	start(a, n, WEIR_FOREVER);
	settle();
}

static void ck_waits(const struct ask *a)
{
	ck_assert_int_eq(a->rc, PENDING);
}

static void ck_ended(struct ask *a, int rc)
{
	settle();
	ck_assert_int_eq(a->rc, rc);
	weir_group_fini(&a->group);
}

static void cancel(struct ask *a)
{
	weir_group_cancel(&a->group, 0);
	ck_ended(a, -ECANCELED);
}

static void ck_try(uint64_t n, int rc)
{
	ck_assert_int_eq(weir_sem_try_acquire(&sem, n), rc);
}

static void release(uint64_t n)
{
	ck_assert_int_eq(weir_sem_release(&sem, n), 0);
}

/* ---- permits ---- */

START_TEST(permits_are_taken_and_given_back)
{
	struct ask a, b;

	begin(2);
	go(&a, 1);
	ck_ended(&a, 0);
	ck_try(1, 0);
	ck_try(1, -EAGAIN);
	release(2);
	ck_try(1, 0);
	go(&b, 1);
	ck_ended(&b, 0);
	ck_try(1, -EAGAIN);
	ck_free(0);
	end();
}
END_TEST

START_TEST(an_acquire_under_a_deadline_gives_up_then_and_not_before)
{
	struct ask a, b;
	uint64_t t;

	begin(2);
	ck_try(2, 0);
	t = weir_now(loop);
	start(&a, 1, 10 * WEIR_MS);
	start(&b, 1, 20 * WEIR_MS);
	settle();
	ck_waits(&a);
	ck_assert_int_eq(weir_advance(loop, 10 * WEIR_MS), 0);
	ck_ended(&a, -ETIMEDOUT);
	ck_assert_uint_eq(a.when, t + 10 * WEIR_MS);
	release(1);
	ck_ended(&b, 0);
	ck_free(0);
	end();
}
END_TEST

START_TEST(more_than_there_are_is_e2big_at_once)
{
	struct ask a, b;

	begin(3);
	ck_try(3, 0);
	go(&a, 1);
	go(&b, 4);
	ck_ended(&b, -E2BIG);
	ck_try(4, -E2BIG);
	ck_try(UINT64_MAX, -E2BIG);
	release(3);
	ck_ended(&a, 0);
	ck_free(2);
	end();
}
END_TEST

START_TEST(a_release_of_more_than_is_held_changes_nothing)
{
	begin(3);
	ck_assert_int_eq(weir_sem_release(&sem, 1), -EINVAL);
	ck_try(2, 0);
	ck_assert_int_eq(weir_sem_release(&sem, 3), -EINVAL);
	ck_assert_int_eq(weir_sem_release(&sem, UINT64_MAX), -EINVAL);
	ck_free(1);
	ck_assert_uint_eq(weir_sem_refused(&sem), 3);
	release(2);
	ck_free(3);
	end();
}
END_TEST

START_TEST(so_is_one_while_a_task_waits)
{
	struct ask a;

	begin(3);
	ck_try(2, 0);
	go(&a, 2);
	ck_assert_int_eq(weir_sem_release(&sem, 3), -EINVAL);
	ck_free(1);
	settle();
	ck_waits(&a);
	release(1);
	ck_ended(&a, 0);
	ck_free(0);
	end();
}
END_TEST

START_TEST(permits_have_an_upper_bound)
{
	struct weir_sem s;

	begin(WEIR_SEM_MAX);
	ck_assert_int_eq(weir_sem_init(&s, loop, WEIR_SEM_MAX + 1), -EINVAL);
	ck_assert_int_eq(weir_sem_init(&s, loop, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(weir_sem_resize(&sem, WEIR_SEM_MAX + 1), -EINVAL);
	ck_try(WEIR_SEM_MAX, 0);
	ck_assert_int_eq(weir_sem_resize(&sem, 0), 0);
	ck_free(-(int64_t)WEIR_SEM_MAX);
	release(WEIR_SEM_MAX);
	ck_free(0);
	end();
}
END_TEST

/* ---- order ---- */

START_TEST(permits_go_in_the_order_in_which_they_were_asked_for)
{
	struct ask a[5];
	unsigned i;

	begin(1);
	ck_try(1, 0);
	for (i = 0; i < 5; i++)
		go(&a[i], 1);
	ck_assert_uint_eq(weir_sem_waiting(&sem), 5);
	for (i = 0; i < 5; i++) {
		release(1);
		ck_ended(&a[i], 0);
		ck_assert_uint_eq(a[i].nth, i + 1);
	}
	end();
}
END_TEST

START_TEST(while_one_waits_nobody_else_gets_a_free_permit)
{
	struct ask big, small;

	begin(3);
	ck_try(2, 0);
	go(&big, 2);
	ck_try(1, -EAGAIN);
	go(&small, 1);
	ck_waits(&small);
	ck_free(1);
	release(1);
	ck_ended(&big, 0);
	ck_waits(&small);
	release(1);
	ck_ended(&small, 0);
	end();
}
END_TEST

START_TEST(one_release_serves_all_who_fit)
{
	struct ask a[3];
	int i;

	begin(6);
	ck_try(6, 0);
	for (i = 0; i < 3; i++)
		go(&a[i], i + 1);
	release(5);
	ck_ended(&a[0], 0);
	ck_ended(&a[1], 0);
	settle();
	ck_waits(&a[2]);
	ck_free(2);
	release(1);
	ck_ended(&a[2], 0);
	ck_free(0);
	end();
}
END_TEST

START_TEST(no_permits_are_had_at_once_unless_someone_waits)
{
	struct ask a, none;

	begin(1);
	ck_try(1, 0);
	ck_try(0, 0);
	go(&none, 0);
	ck_ended(&none, 0);
	go(&a, 1);
	ck_try(0, -EAGAIN);
	go(&none, 0);
	ck_waits(&none);
	release(1);
	ck_ended(&a, 0);
	ck_ended(&none, 0);
	end();
}
END_TEST

#define HOLDERS	8u

struct holder { struct weir_frame co; const bool *stop; unsigned *rounds; };

static WEIR_CO(holder, self, op)
{
	int rc;

	while (!*self->stop) {
		WEIR_TRY(rc, out, weir_sem_acquire(op, &sem, 1));
		WEIR_AWAIT(rc, weir_yield(op));
		release(1);
		++*self->rounds;
	}
	rc = 0;
out:
	WEIR_RETURN(rc);
}
WEIR_END

struct all { struct weir_frame co; bool *stop; unsigned *rounds, before, after; };

static WEIR_CO(all, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	self->before = *self->rounds;
	WEIR_AWAIT(rc, weir_sem_acquire(op, &sem, HOLDERS));
	*self->stop = true;
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_le(*self->rounds - self->before, HOLDERS);
	release(HOLDERS);
}
WEIR_END

START_TEST(a_request_for_all_is_not_starved_by_requests_for_one)
{
	bool stop = false;
	unsigned i, rounds = 0;

	begin(HOLDERS);
	for (i = 0; i < HOLDERS; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), holder, .stop = &stop,
					 .rounds = &rounds), 0);
	ck_assert_int_eq(weir_run(loop, all, .stop = &stop, .rounds = &rounds), 0);
	ck_free(HOLDERS);
	end();
}
END_TEST

struct client { struct weir_frame co; int i; };

static WEIR_CO(client, self, op)
{
	int rc;

	for (self->i = 0; self->i < 100; self->i++) {
		WEIR_AWAIT(rc, weir_sem_acquire(op, &sem, 1));
		ck_assert_int_eq(rc, 0);
		WEIR_AWAIT(rc, weir_yield(op));
		release(1);
		WEIR_AWAIT(rc, weir_sem_acquire(op, &sem, 4));
		ck_assert_int_eq(rc, -E2BIG);
	}
}
WEIR_END

START_TEST(requests_that_are_refused_disturb_nobody)
{
	int i;

	begin(3);
	for (i = 0; i < 6; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), client, .i = 0), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_free(3);
	end();
}
END_TEST

/* ---- cancellation ---- */

START_TEST(who_leaves_the_head_of_the_line_lets_the_next_go)
{
	struct ask big, small;

	begin(10);
	ck_try(1, 0);
	go(&big, 10);
	go(&small, 1);
	ck_waits(&small);
	weir_group_cancel(&big.group, 0);
	ck_free(8);
	ck_assert_uint_eq(weir_sem_waiting(&sem), 0);
	ck_ended(&big, -ECANCELED);
	ck_ended(&small, 0);
	ck_assert_uint_eq(big.when, small.when);
	end();
}
END_TEST

START_TEST(who_leaves_the_line_elsewhere_changes_nothing)
{
	struct ask a, b, c;

	begin(2);
	ck_try(1, 0);
	go(&a, 2);
	go(&b, 1);
	go(&c, 1);
	cancel(&b);
	ck_waits(&a);
	ck_waits(&c);
	ck_free(1);
	release(1);
	ck_ended(&a, 0);
	cancel(&c);
	ck_free(0);
	end();
}
END_TEST

START_TEST(a_cancel_before_the_release_leaves_the_permits_free)
{
	struct ask a;

	begin(2);
	ck_try(1, 0);
	go(&a, 2);
	weir_group_cancel(&a.group, 0);
	release(1);
	ck_ended(&a, -ECANCELED);
	ck_try(2, 0);
	end();
}
END_TEST

START_TEST(permits_granted_to_a_task_that_is_cancelled_first_go_on)
{
	struct ask a, b;

	begin(2);
	ck_try(2, 0);
	go(&a, 2);
	go(&b, 1);
	release(2);
	ck_free(0);
	weir_group_cancel(&a.group, 0);
	ck_free(1);
	ck_ended(&a, -ECANCELED);
	ck_ended(&b, 0);
	ck_free(1);
	end();
}
END_TEST

START_TEST(permits_that_someone_released_meanwhile_do_not_go_back_twice)
{
	struct ask a;

	begin(3);
	ck_try(3, 0);
	go(&a, 2);
	release(2);
	release(1);
	ck_free(1);	/* two are the task's, which has not run... */
	release(1);	/* ...and no others are held */
	ck_free(2);
	weir_group_cancel(&a.group, 0);
	ck_ended(&a, -ECANCELED);
	ck_free(3);
	end();
}
END_TEST

START_TEST(under_a_ctx_that_is_done_not_even_a_free_permit_is_had)
{
	struct ask a;

	begin(2);
	start(&a, 1, WEIR_FOREVER);
	weir_group_cancel(&a.group, 0);
	ck_ended(&a, -ECANCELED);
	ck_free(2);
	end();
}
END_TEST

struct hurried { struct weir_frame co; unsigned n; int last; struct hurried **at; };

static WEIR_CO(hurried, self, op)
{
	int rc;

	*self->at = self;
	do {
		WEIR_AWAIT(rc, weir_sem_acquire(op, &sem, 1));
		self->n++;
		if (rc == 0)
			release(1);
	} while (rc == 0);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_uint_eq(self->n, WEIR_TASK_BUDGET);
}
WEIR_END

struct canceller { struct weir_frame co; struct weir_group *group; };

static WEIR_CO(canceller, self, op)
{
	ck_free(1);
	weir_group_cancel(self->group, 0);
	ck_free(2);
}
WEIR_END

START_TEST(so_do_those_of_a_task_that_had_used_up_its_budget)
{
	struct hurried *at;
	struct weir_group g;

	begin(2);
	weir_group_init(&g, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_go(&g, hurried, .at = &at), 0);
	ck_assert_int_eq(weir_run(loop, canceller, .group = &g), 0);
	settle();
	weir_group_fini(&g);
	ck_free(2);
	end();
}
END_TEST

#define MANY	100000u

struct one_of_many { struct weir_frame co; uint64_t n; };

static WEIR_CO(one_of_many, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sem_acquire(op, &sem, self->n));
	if (rc != -ECANCELED)	/* an assertion each would be a system call each */
		ck_abort_msg("%d", rc);
}
WEIR_END

START_TEST(a_hundred_thousand_who_wait_are_cancelled_at_once)
{
	struct weir_group g;
	unsigned i;

	begin(10);
	ck_try(1, 0);
	weir_group_init(&g, weir_loop_ctx(loop), NULL);
	for (i = 0; i < MANY && weir_go(&g, one_of_many, .n = i % 2 ? 1 : 10) == 0; i++)
		;
	ck_assert_uint_eq(i, MANY);
	for (i = 0; weir_sem_waiting(&sem) < MANY && i < MANY; i++)
		weir_loop_dispatch(loop);
	ck_assert_uint_eq(weir_sem_waiting(&sem), MANY);
	weir_group_cancel(&g, 0);
	ck_assert_uint_eq(weir_sem_waiting(&sem), 0);
	ck_free(9);
	while (g.active)
		weir_loop_dispatch(loop);
	weir_group_fini(&g);
	end();
}
END_TEST

/* ---- resizing and closing ---- */

START_TEST(more_permits_serve_who_waits)
{
	struct ask a, b;

	begin(1);
	ck_try(1, 0);
	go(&a, 1);
	go(&b, 1);
	ck_assert_int_eq(weir_sem_resize(&sem, 2), 0);
	ck_ended(&a, 0);
	ck_waits(&b);
	ck_assert_int_eq(weir_sem_resize(&sem, 3), 0);
	ck_ended(&b, 0);
	ck_free(0);
	end();
}
END_TEST

START_TEST(fewer_permits_than_are_held_are_owed_until_released)
{
	struct ask a;

	begin(5);
	ck_try(5, 0);
	ck_assert_int_eq(weir_sem_resize(&sem, 2), 0);
	ck_free(-3);
	ck_try(0, 0);
	ck_try(1, -EAGAIN);
	ck_try(3, -E2BIG);
	go(&a, 1);
	release(3);
	ck_free(0);
	settle();
	ck_waits(&a);
	ck_assert_int_eq(weir_sem_release(&sem, 3), -EINVAL);
	release(1);
	ck_ended(&a, 0);
	release(2);
	ck_free(2);
	ck_try(2, 0);
	end();
}
END_TEST

START_TEST(who_waits_for_more_than_are_left_is_refused_and_the_next_goes)
{
	struct ask a, b, c;

	begin(5);
	ck_try(3, 0);
	go(&a, 5);
	go(&b, 4);
	go(&c, 1);
	ck_assert_int_eq(weir_sem_resize(&sem, 4), 0);
	ck_ended(&a, -E2BIG);
	ck_waits(&b);
	ck_waits(&c);
	ck_assert_int_eq(weir_sem_resize(&sem, 3), 0);
	ck_ended(&b, -E2BIG);
	ck_waits(&c);
	release(1);
	ck_ended(&c, 0);
	end();
}
END_TEST

START_TEST(close_ends_who_waits_and_all_who_come)
{
	struct ask a, b, c;

	begin(2);
	ck_try(1, 0);
	go(&a, 2);
	go(&b, 1);
	weir_sem_close(&sem);
	weir_sem_close(&sem);
	ck_ended(&a, -EPIPE);
	ck_ended(&b, -EPIPE);
	go(&c, 1);
	ck_ended(&c, -EPIPE);
	ck_try(1, -EPIPE);
	ck_try(0, -EPIPE);
	ck_free(1);
	release(1);
	ck_free(2);
	ck_assert_int_eq(weir_sem_release(&sem, 1), -EINVAL);
	ck_assert_int_eq(weir_sem_resize(&sem, 3), 0);
	ck_free(3);
	end();
}
END_TEST

/* ---- all of it at random ---- */

#define USERS	16u

struct chaos {
	int64_t held;		/* by tasks that know it */
	int left;		/* rounds */
	struct weir_ctx *ctxs[USERS];	/* of those who wait */
};

struct user {
	struct weir_frame co;
	struct chaos *all;
	unsigned me, turns;
	uint64_t n;
	struct weir_ctx ctx;
	int rc;
};

static unsigned below(unsigned n)
{
	return (unsigned)(weir_random(loop) >> 33) % n;
}

/* Sometimes another's ctx is cancelled, sometimes the size changes. */
static void disturb(const struct chaos *all)
{
	struct weir_ctx *victim = all->ctxs[below(USERS)];

	if (victim && !below(3))
		weir_ctx_cancel(victim, 0);
	if (!below(50))
		ck_assert_int_eq(weir_sem_resize(&sem, 4 + below(8)), 0);
	ck_assert_int_le(all->held, (int64_t)weir_sem_size(&sem) - weir_sem_available(&sem));
}

static WEIR_CO(user, self, op)
{
	int rc;

	while (self->all->left-- > 0) {
		weir_ctx_init(&self->ctx, weir_op_ctx(op));
		weir_ctx_enter(op, &self->ctx);
		self->all->ctxs[self->me] = &self->ctx;
		self->n = below(6);
		WEIR_AWAIT(self->rc, weir_sem_acquire(op, &sem, self->n));
		self->all->ctxs[self->me] = NULL;
		weir_ctx_leave(op, &self->ctx);
		weir_ctx_fini(&self->ctx);
		ck_assert(self->rc == 0 || self->rc == -ECANCELED || self->rc == -E2BIG);
		if (self->rc == 0)
			self->all->held += (int64_t)self->n;
		disturb(self->all);
		for (self->turns = below(3); self->turns; self->turns--) {
			WEIR_AWAIT(rc, weir_yield(op));
			ck_assert_int_eq(rc, 0);
		}
		if (self->rc < 0)
			continue;
		self->all->held -= (int64_t)self->n;
		release(self->n);
	}
}
WEIR_END

START_TEST(whatever_happens_permits_add_up)
{
	struct chaos all = { .left = 20000 };
	unsigned i;

	begin(5);
	for (i = 0; i < USERS; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), user, .all = &all, .me = i), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(all.held, 0);
	ck_free((int64_t)weir_sem_size(&sem));
	end();
}
END_TEST

static void fini_under_a_waiter(void)
{
	static struct ask a;

	begin(0);
	go(&a, 0);
	ck_assert_int_eq(a.rc, 0);
	weir_sem_resize(&sem, 1);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 1), 0);
	go(&a, 1);
	weir_sem_fini(&sem);
}

START_TEST(a_semaphore_may_not_go_while_tasks_wait_for_it)
{
	ck_aborts(fini_under_a_waiter, "weir_sem_fini() of a semaphore that tasks wait for at ");
}
END_TEST

TESTS("sem", permits_are_taken_and_given_back,
      an_acquire_under_a_deadline_gives_up_then_and_not_before,
      more_than_there_are_is_e2big_at_once, a_release_of_more_than_is_held_changes_nothing,
      so_is_one_while_a_task_waits, permits_have_an_upper_bound,
      permits_go_in_the_order_in_which_they_were_asked_for,
      while_one_waits_nobody_else_gets_a_free_permit, one_release_serves_all_who_fit,
      no_permits_are_had_at_once_unless_someone_waits,
      a_request_for_all_is_not_starved_by_requests_for_one,
      requests_that_are_refused_disturb_nobody,
      who_leaves_the_head_of_the_line_lets_the_next_go,
      who_leaves_the_line_elsewhere_changes_nothing,
      a_cancel_before_the_release_leaves_the_permits_free,
      permits_granted_to_a_task_that_is_cancelled_first_go_on,
      permits_that_someone_released_meanwhile_do_not_go_back_twice,
      under_a_ctx_that_is_done_not_even_a_free_permit_is_had,
      so_do_those_of_a_task_that_had_used_up_its_budget,
      a_hundred_thousand_who_wait_are_cancelled_at_once, more_permits_serve_who_waits,
      fewer_permits_than_are_held_are_owed_until_released,
      who_waits_for_more_than_are_left_is_refused_and_the_next_goes,
      close_ends_who_waits_and_all_who_come,
      a_semaphore_may_not_go_while_tasks_wait_for_it, whatever_happens_permits_add_up)
