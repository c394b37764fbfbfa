/* SPDX-License-Identifier: MIT */
/*
 * results.c - what the kernel answers and what of it reaches a task.
 *
 * Ops of the tests' own do what the public ones do not: a read that is told not to wait, and a
 * no-op whose result the test chooses.
 */
#define _GNU_SOURCE
#include <sys/eventfd.h>
#include <sys/uio.h>

#include "core/loop.h"
#include "kernel/uring.h"
#include "ring_kit.h"

/* ---- try again ---- */

/* An eventfd, of which each read takes a token; a pipe knows RWF_NOWAIT only since Linux 6.4. */
static int tokens_fd;

static const struct weir_op_def impatient_def = {
	.name = "impatient read", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_READ, .flags = WEIR_FILLS_,
};

struct impatient { struct weir_frame co; int *rc; char buf[8]; };

/* A read that the kernel answers with -EAGAIN where others wait. */
static struct weir_op *impatient_read(struct weir_op *op, struct impatient *self)
{
	weir_op_prepare_(op, &impatient_def);
	op->u.kernel = (struct weir_kernel_args){ .fd = tokens_fd, .flags = RWF_NOWAIT };
	op->u.kernel.addr = (uintptr_t)self->buf;
	op->u.kernel.len = sizeof self->buf;
	op->u.kernel.off = (uint64_t)-1;
	return op;
}

static WEIR_CO(impatient, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, impatient_read(op, self));
	WEIR_RETURN(*self->rc);
}
WEIR_END

static void open_tokens(void)
{
	tokens_fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(tokens_fd, 0);
}

static void begin_tokens(void)
{
	begin();
	open_tokens();
}

static void end_tokens(void)
{
	close(tokens_fd);
	end();
}

/* By now it has been told to try again, and the kernel polls for it. */
static void begin_impatient(int *rc)
{
	begin_tokens();
	go(impatient, .rc = rc);
	turn();
	turn();
	ck_assert_int_eq(*rc, PENDING);
}

START_TEST(an_op_that_is_to_try_again_waits_and_does)
{
	int rc;

	begin_impatient(&rc);
	ck_assert_int_eq(eventfd_write(tokens_fd, 1), 0);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 8);
	end_tokens();
}
END_TEST

START_TEST(an_op_that_is_to_try_again_can_be_cancelled)
{
	int rc;

	begin_impatient(&rc);
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	end_tokens();
}
END_TEST

START_TEST(an_op_that_is_cancelled_as_it_is_told_to_try_again_ends)
{
	int rc;

	begin_tokens();
	go(impatient, .rc = &rc);
	go(canceller);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	end_tokens();
}
END_TEST

struct write_and_cancel { struct weir_frame co; };

static WEIR_CO(write_and_cancel, self, op)
{
	ck_assert_int_eq(eventfd_write(tokens_fd, 1), 0);
	weir_group_cancel(&group, 0);
}
WEIR_END

/* What the poll saw is not what was read. */
START_TEST(an_op_that_is_cancelled_as_its_poll_ends_has_read_nothing)
{
	eventfd_t token;
	int rc;

	begin_impatient(&rc);
	go(write_and_cancel);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_int_eq(eventfd_read(tokens_fd, &token), 0);
	end_tokens();
}
END_TEST

START_TEST(a_close_ends_an_op_that_is_to_try_again)
{
	int rc, closed;

	begin_impatient(&rc);
	go(closer, .fd = tokens_fd, .rc = &closed);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_int_eq(closed, 0);
	end();
}
END_TEST

START_TEST(many_ops_that_are_to_try_again_do_with_little_room)
{
	int rc[100], i;

	begin_small();
	open_tokens();
	for (i = 0; i < 100; i++)
		go(impatient, .rc = &rc[i]);
	for (i = 0; i < 10; i++)
		turn();
	ck_assert_uint_eq(stats().in_flight, 12);
	while (group.active) {
		ck_assert_int_eq(eventfd_write(tokens_fd, 1), 0);
		turn();
	}
	ck_assert_int_eq(finish(), 0);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(rc[i], 8);
	close(tokens_fd);
	end_ring();
}
END_TEST

/* ---- chosen by the test ---- */

#define INJECT_RESULT	1u	/* IORING_NOP_INJECT_RESULT, of Linux 6.10 */

static const struct weir_op_def nop_def = {
	.name = "nop", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_NOP,
};

/* Ends with res, says the kernel. */
static struct weir_op *nop(struct weir_op *op, int res)
{
	weir_op_prepare_(op, &nop_def);
	op->u.kernel = (struct weir_kernel_args){ .fd = -1, .flags = INJECT_RESULT };
	op->u.kernel.len = (uint32_t)res;
	return op;
}

struct injected { struct weir_frame co; int res, *rc; };

static WEIR_CO(injected, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, nop(op, self->res));
}
WEIR_END

static int inject(int res)
{
	int rc;

	go(injected, .res = res, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	return rc;
}

static bool can_inject(void)
{
	return inject(7) == 7;
}

START_TEST(results_reach_the_task_as_they_are)
{
	static const int res[] = { 0, 1, 0x7fffffff, -ECANCELED, -EAGAIN, -ENOBUFS, -ENOENT, -517 };
	unsigned i;

	begin();
	for (i = 0; can_inject() && i < sizeof res / sizeof *res; i++)
		ck_assert_int_eq(inject(res[i]), res[i]);
	end();
}
END_TEST

/* The test says so again and again; a cancel ends it. */
START_TEST(what_tells_of_an_interruption_is_tried_again_and_can_be_cancelled)
{
	static const int res[] = { -EINTR, -512, -513, -514, -516 };
	unsigned i, n;
	int rc;

	begin();
	for (i = 0; can_inject() && i < sizeof res / sizeof *res; i++) {
		go(injected, .res = res[i], .rc = &rc);
		for (n = 0; n < 5; n++)
			turn();
		ck_assert_int_eq(rc, PENDING);
		ck_assert_int_eq(cancel(), 0);
		ck_assert_int_eq(rc, -ECANCELED);
	}
	end();
}
END_TEST

/* Each wants an entry anew, and there are more of them than entries. */
START_TEST(interrupted_ops_without_a_submission_entry_wait_for_one)
{
	int rc[40], i;

	begin_small();
	if (can_inject()) {
		for (i = 0; i < 40; i++)
			go(injected, .res = -EINTR, .rc = &rc[i]);
		for (i = 0; i < 20; i++)
			turn();
		ck_assert_int_eq(cancel(), 0);
		for (i = 0; i < 40; i++)
			ck_assert_int_eq(rc[i], -ECANCELED);
	}
	end_ring();
}
END_TEST

TESTS("results", an_op_that_is_to_try_again_waits_and_does,
      an_op_that_is_to_try_again_can_be_cancelled,
      an_op_that_is_cancelled_as_it_is_told_to_try_again_ends,
      an_op_that_is_cancelled_as_its_poll_ends_has_read_nothing,
      a_close_ends_an_op_that_is_to_try_again, many_ops_that_are_to_try_again_do_with_little_room,
      results_reach_the_task_as_they_are,
      what_tells_of_an_interruption_is_tried_again_and_can_be_cancelled,
      interrupted_ops_without_a_submission_entry_wait_for_one)
