/* SPDX-License-Identifier: MIT */
/*
 * cancel.c - a ctx's descriptor that another thread writes to, in every order with what ends the
 * wait otherwise and with the end of the ctx and its loop.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "explore_kit.h"

static struct weir_sem sem;
static struct weir_port *port;
static int task_rc;
static unsigned ended, cancelled;	/* in how many schedules */

/* The canceller's own: the ctx's goes with the ctx. */
static int duplicate(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	expect(copy >= 0);
	return copy;
}

static void *cancel(void *arg)
{
	expect(weir_ctx_cancel_fd(*(int *)arg) == 0);
	close(*(int *)arg);
	return NULL;
}

/* ---- against the natural end ---- */

struct acquires { struct weir_frame co; struct weir_ctx *ctx; int rc; };

static WEIR_CO(acquires, self, op)
{
	weir_ctx_enter(op, self->ctx);
	WEIR_AWAIT(self->rc, weir_sem_acquire(op, &sem, 1));
	weir_ctx_leave(op, self->ctx);
	weir_ctx_fini(self->ctx);
	task_rc = self->rc;
}
WEIR_END

static void release(struct weir_msg *msg)
{
	(void)msg;
	expect(weir_sem_release(&sem, 1) == 0);
}

static void *post_release(void *arg)
{
	expect(weir_post(port, arg) == 0);
	return NULL;
}

static void cancel_or_end(void)
{
	struct weir_msg msg = { .fn = release };
	pthread_t canceller, poster;
	struct weir_ctx ctx;
	int fd;

	loop_begin();
	expect(weir_sem_init(&sem, loop, 1) == 0);
	expect(weir_sem_try_acquire(&sem, 1) == 0);
	expect(weir_port_new(&port, loop) == 0);
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	fd = duplicate(weir_ctx_fd(&ctx));
	thread_begin(&canceller, cancel, &fd);
	thread_begin(&poster, post_release, &msg);
	expect(weir_run(loop, acquires, .ctx = &ctx) == 0);
	thread_end(poster);
	weir_port_close(port);
	weir_port_unref(port);
	expect(weir_loop_dispatch(loop) == 0);	/* the message, if the cancel was faster */
	expect(task_rc == 0 || task_rc == -ECANCELED);
	expect(weir_sem_available(&sem) == (task_rc < 0));
	*(task_rc < 0 ? &cancelled : &ended) += 1;
	weir_sem_fini(&sem);
	loop_end();
	thread_end(canceller);
}

START_TEST(a_cancel_from_a_thread_or_what_the_task_waits_for_but_not_both)
{
	if (explore(cancel_or_end, &(struct explore){ .interrupts = 2 }))
		ck_assert(ended && cancelled);
}
END_TEST

/* ---- with nothing else that would end it ---- */

struct sleeps { struct weir_frame co; struct weir_ctx *ctx; int rc; };

static WEIR_CO(sleeps, self, op)
{
	weir_ctx_enter(op, self->ctx);
	WEIR_AWAIT(self->rc, weir_sleep_until(op, WEIR_FOREVER));
	weir_ctx_leave(op, self->ctx);
	expect(self->rc == -ECANCELED);
}
WEIR_END

static void cancel_by_two(void)
{
	pthread_t first, second;
	struct weir_ctx ctx;
	int fd[2];

	loop_begin();
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	fd[0] = duplicate(weir_ctx_fd(&ctx));
	fd[1] = duplicate(fd[0]);
	thread_begin(&first, cancel, &fd[0]);
	thread_begin(&second, cancel, &fd[1]);
	expect(weir_run(loop, sleeps, .ctx = &ctx) == 0);
	weir_ctx_fini(&ctx);
	loop_end();
	thread_end(first);
	thread_end(second);
}

START_TEST(a_cancel_from_any_of_two_threads_wakes_the_loop)
{
	explore(cancel_by_two, &(struct explore){ .interrupts = 3 });
}
END_TEST

/* ---- against the end of the ctx ---- */

static void cancel_or_fini(void)
{
	pthread_t canceller;
	struct weir_ctx ctx;
	int fd;

	loop_begin();
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	fd = duplicate(weir_ctx_fd(&ctx));
	thread_begin(&canceller, cancel, &fd);
	expect(weir_loop_dispatch(loop) == 0);
	weir_ctx_fini(&ctx);
	expect(weir_loop_dispatch(loop) == 0);
	loop_end();
	thread_end(canceller);
}

START_TEST(a_cancel_from_a_thread_may_meet_the_end_of_the_ctx)
{
	explore(cancel_or_fini, &(struct explore){ .interrupts = 4 });
}
END_TEST

TESTS("explore cancel", a_cancel_from_a_thread_or_what_the_task_waits_for_but_not_both,
      a_cancel_from_any_of_two_threads_wakes_the_loop,
      a_cancel_from_a_thread_may_meet_the_end_of_the_ctx)
