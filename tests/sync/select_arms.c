/* SPDX-License-Identifier: MIT */
/*
 * select_arms.c - what else can be an arm: timers, contexts, joins, groups, semaphores, the kernel;
 * and what becomes of the gains of an arm that wins in vain.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "core/loop.h"
#include "sync/select_kit.h"

/* ---- other arms ---- */

START_TEST(a_timer_wins_at_its_time)
{
	struct weir_loop_stats stats;
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), AFTER(WEIR_HOUR), AFTER(WEIR_S));
	uint64_t t;

	begin();
	make(&a, 0);
	t = weir_now(loop);
	go(&c);
	ck_assert_int_eq(weir_advance(loop, WEIR_S - 1), 0);
	settle();
	ck_assert_int_eq(c.rc, PENDING);
	ck_assert_int_eq(weir_advance(loop, 1), 0);
	settle();
	ck_won(&c, 2, 0);
	ck_assert_uint_eq(weir_now(loop), t + WEIR_S);
	ck_waiting(&a, 0, 0);
	weir_loop_stats(loop, &stats);
	ck_assert_uint_eq(stats.timers, 0);
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_timer_that_loses_runs_no_more)
{
	struct weir_loop_stats stats;
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), AFTER(WEIR_HOUR));

	begin();
	make(&a, 0);
	go(&c);
	ck_put(&a, 1, 1);
	settle();
	ck_won(&c, 0, 1);
	weir_loop_stats(loop, &stats);
	ck_assert_uint_eq(stats.timers, 0);
	unmake(&a);
	end();
}
END_TEST

START_TEST(another_ctx_wins_when_it_is_done)
{
	struct weir_ctx ctx;
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), DONE(&ctx));

	begin();
	make(&a, 0);
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	go(&c);
	ck_assert_int_eq(c.rc, PENDING);
	weir_ctx_cancel(&ctx, -EIO);
	settle();
	ck_won(&c, 1, 0);
	go(&c);
	ck_won(&c, 1, 0);
	ck_waiting(&a, 0, 0);
	weir_ctx_fini(&ctx);
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_ctx_that_loses_has_no_waiter_left)
{
	struct weir_ctx ctx;
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), DONE(&ctx));

	begin();
	make(&a, 0);
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	go(&c);
	ck_put(&a, 1, 1);
	ck_assert(weir_list_empty_(&ctx.waiters));
	settle();
	ck_won(&c, 0, 1);
	weir_ctx_fini(&ctx);
	unmake(&a);
	end();
}
END_TEST

struct returns { struct weir_frame co; struct ints *until; int item; };

static WEIR_CO(returns, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_recv(op, self->until, &self->item));
	WEIR_RETURN(rc == 1 ? self->item : rc);
}
WEIR_END

START_TEST(a_join_wins_with_what_the_task_returned)
{
	struct ints a, until;
	struct weir_task *task;
	struct choice c = PICK(FAIR, FROM(&a), JOINED(NULL));

	begin();
	make(&a, 0);
	make(&until, 0);
	ck_assert_int_eq(weir_go_join(&task, &group, returns, .until = &until), 0);
	c.pick[1].on = task;
	go(&c);
	ck_put(&until, 42, 1);
	settle();
	ck_won(&c, 1, 42);
	unmake(&a);
	unmake(&until);
	end();
}
END_TEST

START_TEST(a_join_that_loses_leaves_the_task_joinable)
{
	struct ints a, until;
	struct weir_task *task;
	struct choice c = PICK(FAIR, FROM(&a), JOINED(NULL));
	struct choice d = PICK(FAIR, JOINED(NULL));

	begin();
	make(&a, 0);
	make(&until, 0);
	ck_assert_int_eq(weir_go_join(&task, &group, returns, .until = &until), 0);
	c.pick[1].on = d.pick[0].on = task;
	go(&c);
	ck_put(&a, 1, 1);
	settle();
	ck_won(&c, 0, 1);
	ck_put(&until, 43, 1);
	settle();
	go(&d);
	ck_won(&d, 0, 43);
	unmake(&a);
	unmake(&until);
	end();
}
END_TEST

START_TEST(the_end_of_a_group_wins_with_its_result)
{
	struct ints a, until;
	struct weir_group g;
	struct choice c = PICK(FAIR, FROM(&a), OVER(&g));

	begin();
	make(&a, 0);
	make(&until, 0);
	weir_group_init(&g, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_go(&g, returns, .until = &until), 0);
	go(&c);
	ck_put(&a, 1, 1);
	settle();
	ck_won(&c, 0, 1);
	go(&c);
	ck_put(&until, -EIO, 1);
	settle();
	ck_won(&c, 1, -EIO);
	unmake(&a);
	unmake(&until);
	end();
}
END_TEST

START_TEST(a_yield_wins_if_nothing_else_is_ready)
{
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), TURN);

	begin();
	make(&a, 1);
	go(&c);
	ck_won(&c, 1, 0);
	ck_put(&a, 1, 1);
	go(&c);
	ck_won(&c, 0, 1);
	unmake(&a);
	end();
}
END_TEST

/* ---- semaphores and slots: what is won can be given back ---- */

START_TEST(a_semaphore_wins_with_its_permits)
{
	struct weir_sem sem;
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), PERMITS(&sem, 2));

	begin();
	make(&a, 0);
	ck_assert_int_eq(weir_sem_init(&sem, loop, 2), 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 1), 0);
	go(&c);
	ck_assert_int_eq(c.rc, PENDING);
	ck_assert_int_eq(weir_sem_release(&sem, 1), 0);
	settle();
	ck_won(&c, 1, 0);
	ck_assert_int_eq(weir_sem_available(&sem), 0);
	go(&c);
	ck_put(&a, 1, 1);
	settle();
	ck_won(&c, 0, 1);
	ck_assert_uint_eq(weir_sem_waiting(&sem), 0);
	weir_sem_fini(&sem);
	unmake(&a);
	end();
}
END_TEST

START_TEST(permits_won_by_a_task_that_is_cancelled_first_go_back)
{
	struct weir_sem sem;
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), PERMITS(&sem, 2));

	begin();
	make(&a, 0);
	ck_assert_int_eq(weir_sem_init(&sem, loop, 2), 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 2), 0);
	go(&c);
	ck_assert_int_eq(weir_sem_release(&sem, 2), 0);
	ck_assert_int_eq(weir_sem_available(&sem), 0);
	cancel();
	ck_cancelled(&c);
	ck_assert_int_eq(weir_sem_available(&sem), 2);
	weir_sem_fini(&sem);
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_slot_won_by_a_task_that_is_cancelled_first_goes_back)
{
	struct ints a, b;
	struct choice c = PICK(FAIR, FROM(&a), SLOT(&b));

	begin();
	make(&a, 0);
	make(&b, 1);
	ck_put(&b, 1, 1);
	go(&c);
	ck_get(&b, 1, 1);
	ck_assert_uint_eq(b.chan.reserved, 1);
	cancel();
	ck_cancelled(&c);
	ck_put(&b, 1, 1);
	unmake(&a);
	unmake(&b);
	end();
}
END_TEST

START_TEST(an_item_won_by_a_task_that_is_cancelled_first_is_kept)
{
	struct ints a, b;
	struct choice c = PICK(FAIR, FROM(&a), FROM(&b));

	begin();
	make(&a, 0);
	make(&b, 0);
	go(&c);
	ck_put(&b, 5, 1);
	cancel();
	ck_assert_int_eq(c.rc, 1);
	ck_assert_int_eq(c.pick[1].item, 5);
	ck_assert_int_eq(c.next, -ECANCELED);
	unmake(&a);
	unmake(&b);
	end();
}
END_TEST

/* One of its arms is in the way of another, and leaves the line because the select is over. */
START_TEST(an_arm_that_is_served_while_the_losers_leave_gives_back)
{
	struct weir_sem sem;
	struct ints a;
	struct choice c = PICK(FAIR, PERMITS(&sem, 3), PERMITS(&sem, 1), FROM(&a));

	begin();
	make(&a, 0);
	ck_assert_int_eq(weir_sem_init(&sem, loop, 4), 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 4), 0);
	go(&c);
	ck_assert_int_eq(weir_sem_release(&sem, 1), 0);
	ck_assert_uint_eq(weir_sem_waiting(&sem), 2);
	ck_put(&a, 1, 1);
	settle();
	ck_assert_int_eq(c.rc, 2);
	ck_assert_int_eq(weir_sem_available(&sem), 1);
	ck_assert_uint_eq(weir_sem_waiting(&sem), 0);
	weir_sem_fini(&sem);
	unmake(&a);
	end();
}
END_TEST

START_TEST(so_does_one_that_is_served_while_a_cancel_takes_them_out)
{
	struct weir_sem sem;
	struct choice c = PICK(FAIR, PERMITS(&sem, 3), PERMITS(&sem, 1));

	begin();
	ck_assert_int_eq(weir_sem_init(&sem, loop, 4), 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 4), 0);
	go(&c);
	ck_assert_int_eq(weir_sem_release(&sem, 1), 0);
	cancel();
	ck_cancelled(&c);
	ck_assert_int_eq(weir_sem_available(&sem), 1);
	weir_sem_fini(&sem);
	end();
}
END_TEST

START_TEST(who_is_served_because_an_arm_has_left_keeps_what_it_got)
{
	struct weir_sem sem;
	struct ints a;
	struct choice c = PICK(FAIR, PERMITS(&sem, 2), FROM(&a));
	struct choice d = PICK(FAIR, PERMITS(&sem, 1), FROM(&a));

	begin();
	make(&a, 0);
	ck_assert_int_eq(weir_sem_init(&sem, loop, 2), 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 1), 0);
	go(&c);
	go(&d);
	ck_put(&a, 1, 1);
	ck_put(&a, 2, -EAGAIN);
	settle();
	ck_won(&c, 1, 1);
	ck_won(&d, 0, 0);
	ck_assert_int_eq(weir_sem_available(&sem), 0);
	weir_sem_fini(&sem);
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_semaphore_that_closes_wins_with_epipe)
{
	struct weir_sem sem;
	struct choice c = PICK(FAIR, PERMITS(&sem, 3), PERMITS(&sem, 1));

	begin();
	ck_assert_int_eq(weir_sem_init(&sem, loop, 4), 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 4), 0);
	go(&c);
	ck_assert_int_eq(weir_sem_release(&sem, 1), 0);
	weir_sem_close(&sem);
	settle();
	ck_won(&c, 0, -EPIPE);
	ck_assert_int_eq(weir_sem_available(&sem), 1);
	weir_sem_fini(&sem);
	end();
}
END_TEST

START_TEST(a_shared_semaphore_wins_with_its_token)
{
	struct weir_sem sem;
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), PERMITS(&sem, 1));
	int fd = weir_sem_shared_fd(0);

	begin();
	make(&a, 0);
	ck_assert_int_eq(weir_sem_init_shared(&sem, loop, fd), 0);
	go(&c);
	ck_assert_int_eq(weir_sem_release_fd(fd, 1), 0);
	settle();
	ck_won(&c, 1, 0);
	go(&c);
	ck_put(&a, 1, 1);
	settle();
	ck_won(&c, 0, 1);
	ck_assert_int_eq(weir_sem_release_fd(fd, 1), 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 1), 0);
	weir_sem_fini(&sem);
	close(fd);
	unmake(&a);
	end();
}
END_TEST

/* ---- the kernel's ---- */

static int pipe_fds[2];

static void make_pipe(void)
{
	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static void fill_pipe(void)
{
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
}

/* What is in it, if anything. */
static void ck_pipe(ssize_t n)
{
	char byte;

	ck_assert_int_eq(read(pipe_fds[0], &byte, 1), n);
}

static void close_pipe(void)
{
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

START_TEST(a_read_wins_when_there_is_something_to_read)
{
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), BYTE_OF(0), AFTER(WEIR_S));

	begin();
	make(&a, 0);
	make_pipe();
	c.pick[1].item = pipe_fds[0];
	go(&c);
	ck_assert_int_eq(c.rc, PENDING);
	fill_pipe();
	settle();
	ck_won(&c, 1, 1);
	ck_assert_int_eq(c.pick[1].byte, 'x');
	ck_waiting(&a, 0, 0);
	close_pipe();
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_read_that_loses_has_read_nothing)
{
	struct weir_loop_stats stats;
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), BYTE_OF(0));

	begin();
	make(&a, 0);
	make_pipe();
	c.pick[1].item = pipe_fds[0];
	go(&c);
	ck_put(&a, 1, 1);
	ck_assert_int_eq(c.rc, PENDING);	/* the kernel still has the buffer */
	settle();
	settle();
	ck_won(&c, 0, 1);
	weir_loop_stats(loop, &stats);
	ck_assert_uint_eq(stats.in_flight, 0);
	fill_pipe();
	settle();
	ck_pipe(1);
	close_pipe();
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_read_that_had_happened_when_another_won_says_so)
{
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), BYTE_OF(0));
	int rc;

	begin();
	make(&a, 0);
	make_pipe();
	fill_pipe();
	c.pick[1].item = pipe_fds[0];
	start(&c);
	start_put(&a, 5, &rc);	/* in the turn in which the read is submitted */
	settle();
	settle();
	ck_assert_int_eq(c.rc, 0);
	ck_assert_int_eq(c.pick[0].res, 1);
	ck_assert_int_eq(c.pick[1].res, 1);
	ck_assert_int_eq(c.pick[1].byte, 'x');
	ck_pipe(-1);
	close_pipe();
	unmake(&a);
	end();
}
END_TEST

struct canceller { struct weir_frame co; };

static WEIR_CO(canceller, self, op)
{
	weir_group_cancel(&group, 0);
}
WEIR_END

START_TEST(a_read_that_had_happened_when_the_ctx_was_cancelled_wins)
{
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), BYTE_OF(0));

	begin();
	make(&a, 0);
	make_pipe();
	fill_pipe();
	c.pick[1].item = pipe_fds[0];
	start(&c);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), canceller), 0);	/* in the same turn */
	settle();
	settle();
	ck_assert_int_eq(c.rc, 1);
	ck_assert_int_eq(c.pick[1].res, 1);
	ck_assert_int_eq(c.next, -ECANCELED);
	ck_pipe(-1);
	close_pipe();
	unmake(&a);
	end();
}
END_TEST

START_TEST(permits_won_by_a_select_that_is_cancelled_before_its_read_is_over_go_back)
{
	struct weir_sem sem;
	struct choice c = PICK(FAIR, PERMITS(&sem, 1), BYTE_OF(0));

	begin();
	ck_assert_int_eq(weir_sem_init(&sem, loop, 1), 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 1), 0);
	make_pipe();
	c.pick[1].item = pipe_fds[0];
	go(&c);
	ck_assert_int_eq(weir_sem_release(&sem, 1), 0);
	ck_assert_int_eq(weir_sem_available(&sem), 0);
	weir_group_cancel(&group, 0);	/* the kernel has not let go of the buffer yet */
	settle();
	settle();
	ck_cancelled(&c);
	ck_assert_int_eq(weir_sem_available(&sem), 1);
	weir_sem_fini(&sem);
	close_pipe();
	end();
}
END_TEST

START_TEST(a_read_of_nothing_is_cancelled_with_the_others)
{
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), BYTE_OF(0), AFTER(WEIR_S));

	begin();
	make(&a, 0);
	make_pipe();
	c.pick[1].item = pipe_fds[0];
	go(&c);
	cancel();
	settle();
	ck_cancelled(&c);
	fill_pipe();
	ck_pipe(1);
	close_pipe();
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_descriptor_that_comes_too_late_is_closed)
{
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), DESCRIPTOR);
	unsigned fds;
	int rc;

	begin();
	make(&a, 0);
	fds = test_fds();
	start(&c);
	start_put(&a, 5, &rc);
	settle();
	settle();
	ck_won(&c, 0, 1);
	ck_assert_uint_eq(test_fds(), fds);
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_descriptor_won_by_a_task_that_is_cancelled_first_is_closed)
{
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), DESCRIPTOR);
	unsigned fds;

	begin();
	make(&a, 0);
	fds = test_fds();
	start(&c);
	weir_loop_dispatch(loop);
	while (test_fds() == fds)
		loop->be->ops->turn(loop->be, true);	/* completions, but no tasks */
	ck_assert_int_eq(c.rc, PENDING);
	cancel();
	ck_cancelled(&c);
	ck_assert_uint_eq(test_fds(), fds);
	unmake(&a);
	end();
}
END_TEST

TESTS("select_arms", a_timer_wins_at_its_time, a_timer_that_loses_runs_no_more,
      another_ctx_wins_when_it_is_done, a_ctx_that_loses_has_no_waiter_left,
      a_join_wins_with_what_the_task_returned, a_join_that_loses_leaves_the_task_joinable,
      the_end_of_a_group_wins_with_its_result, a_yield_wins_if_nothing_else_is_ready,
      a_semaphore_wins_with_its_permits, permits_won_by_a_task_that_is_cancelled_first_go_back,
      a_slot_won_by_a_task_that_is_cancelled_first_goes_back,
      an_item_won_by_a_task_that_is_cancelled_first_is_kept,
      an_arm_that_is_served_while_the_losers_leave_gives_back,
      so_does_one_that_is_served_while_a_cancel_takes_them_out,
      who_is_served_because_an_arm_has_left_keeps_what_it_got,
      a_semaphore_that_closes_wins_with_epipe, a_shared_semaphore_wins_with_its_token,
      a_read_wins_when_there_is_something_to_read, a_read_that_loses_has_read_nothing,
      a_read_that_had_happened_when_another_won_says_so,
      a_read_that_had_happened_when_the_ctx_was_cancelled_wins,
      permits_won_by_a_select_that_is_cancelled_before_its_read_is_over_go_back,
      a_read_of_nothing_is_cancelled_with_the_others, a_descriptor_that_comes_too_late_is_closed,
      a_descriptor_won_by_a_task_that_is_cancelled_first_is_closed)
