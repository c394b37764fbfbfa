/* SPDX-License-Identifier: MIT */
/*
 * misused.c - what conf.check says of misuse: of what returns an error and does no harm, of an arm
 * that two selects have, and of a frame that the kernel has when it goes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aborts.h"
#include "harness.h"
#include "weir.h"

WEIR_CHAN(ints, int);

static struct weir_loop *loop;
static struct weir_sem sem;
static struct ints ch;

static void begin(bool check)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .virtual_clock = true, .check = check });
	ck_assert_int_eq(weir_chan_init(&ch, loop, 1), 0);
	ck_assert_int_eq(weir_sem_init(&sem, loop, 1), 0);
}

static void end(void)
{
	weir_chan_fini(&ch);
	weir_sem_fini(&sem);
	test_loop_free(loop);
}

static void ck_said(const char *text)
{
	ck_assert_msg(strstr(test_report(), text), "no \"%s\" in:\n%s", text, test_report());
}

struct errs { struct weir_frame co; int item, rc; };

static WEIR_CO(errs, self, op)
{
	WEIR_AWAIT(self->rc, weir_yield(op));
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	WEIR_AWAIT(self->rc, weir_chan_send(op, &ch, &self->item));
	ck_assert_int_eq(self->rc, -EPIPE);
	ck_assert_int_eq(weir_chan_close(&ch), -EPIPE);
	ck_assert_int_eq(weir_sem_release(&sem, 2), -EINVAL);
}
WEIR_END

START_TEST(it_is_named_with_the_object_and_the_await_before)
{
	begin(true);
	ck_assert_int_eq(weir_run(loop, errs), 0);
	ck_said("weir: misuse: send on a closed channel, made at tests/check/misused.c:");
	ck_said(" &ch; by errs tests/check/misused.c:");
	ck_said(" after  weir_yield(op)\n");
	ck_said("weir: misuse: close of a closed channel, made at tests/check/misused.c:");
	ck_said("weir: misuse: release of more permits than are held, made at ");
	ck_assert_uint_eq(weir_chan_stats(&ch)->refused, 2);
	ck_assert_uint_eq(weir_sem_refused(&sem), 1);
	end();
}
END_TEST

START_TEST(of_the_program_around_the_loop_it_is_named_too)
{
	begin(true);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	ck_assert_int_eq(weir_chan_try_send(&ch, &(int){ 1 }), -EPIPE);
	ck_said("weir: misuse: send on a closed channel, made at tests/check/misused.c:");
	end();
}
END_TEST

START_TEST(a_send_after_a_hangup_is_none)
{
	begin(true);
	ck_assert_int_eq(weir_chan_hangup(&ch), 0);
	ck_assert_int_eq(weir_chan_try_send(&ch, &(int){ 1 }), -EPIPE);
	ck_assert_str_eq(test_report(), "");
	end();
}
END_TEST

START_TEST(without_check_it_is_counted_and_not_told)
{
	begin(false);
	ck_assert_int_eq(weir_run(loop, errs), 0);
	ck_assert_str_eq(test_report(), "");
	ck_assert_uint_eq(weir_chan_stats(&ch)->refused, 2);
	end();
}
END_TEST

/* ---- an op started twice ---- */

struct shares { struct weir_frame co; struct weir_arm *arm; unsigned n; int item, rc; };

static WEIR_CO(shares, self, op)
{
	WEIR_AWAIT(self->rc, weir_yield(op));
	weir_ready(weir_chan_recv(&self->arm->op, &ch, &self->item));
	WEIR_AWAIT(self->rc, weir_select(op, self->arm, self->n));
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

static void print_report(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

/* Two wait with arms of which the second has the last, as all that it has. */
static void share_an_arm(void)
{
	const struct weir_loop_conf conf = {
		.virtual_clock = true, .check = true, .report = print_report,
	};
	struct weir_arm arm[2];

	memset(arm, 0, sizeof arm);
	if (weir_loop_new(&loop, &conf) < 0 || weir_chan_init(&ch, loop, 1) < 0)
		_exit(0);
	weir_ready(weir_sleep(&arm[1].op, WEIR_S));
	if (weir_go(weir_loop_group(loop), shares, .arm = arm, .n = 2) == 0)
		weir_run(loop, shares, .arm = &arm[1], .n = 1);
}

START_TEST(an_arm_that_two_selects_have_aborts_with_both_places)
{
	ck_aborts(share_an_arm, "weir: misuse: an arm started twice, by shares ");
	ck_aborts(share_an_arm, "  weir_yield(op); it is arm 1 of what waits in shares ");
	ck_aborts(share_an_arm, "  weir_select(op, self->arm, self->n)\n");
	ck_aborts(share_an_arm, "weir: bug: an arm started twice, by shares ");
}
END_TEST

struct in_turn { struct weir_frame co; struct weir_arm *arm; int item, rc; };

static WEIR_CO(in_turn, self, op)
{
	weir_ready(weir_chan_recv(&self->arm[0].op, &ch, &self->item));
	weir_ready(weir_sleep(&self->arm[1].op, WEIR_S));
	WEIR_AWAIT(self->rc, weir_select(op, self->arm, 2));
	ck_assert_int_eq(self->rc, 1);
}
WEIR_END

START_TEST(arms_that_selects_have_one_after_the_other_are_none)
{
	struct weir_arm *arm = malloc(2 * sizeof *arm);

	ck_assert_ptr_nonnull(arm);
	memset(arm, 0xa5, 2 * sizeof *arm);	/* as memory comes */
	begin(true);
	ck_assert_int_eq(weir_run(loop, in_turn, .arm = arm), 0);
	ck_assert_int_eq(weir_run(loop, in_turn, .arm = arm), 0);
	ck_assert_str_eq(test_report(), "");
	end();
	free(arm);
}
END_TEST

/* ---- a frame that goes too early ---- */

struct lends { struct weir_frame co; char **lent; char buf[8]; int n; };

static WEIR_CO(lends, self, op)
{
	int rc;

	*self->lent = self->buf;
	while (self->n++ < 3)
		WEIR_TRY(rc, out, weir_yield(op));
	rc = 0;
out:
	WEIR_RETURN(rc);
}
WEIR_END

struct borrows { struct weir_frame co; char **lent; int fd, rc; };

static WEIR_CO(borrows, self, op)
{
	WEIR_AWAIT(self->rc, weir_yield(op));
	WEIR_AWAIT(self->rc, weir_read(op, self->fd, *self->lent, 8, -1));
	WEIR_RETURN(0);
}
WEIR_END

static void lend_and_end(void)
{
	const struct weir_loop_conf conf = {
		.virtual_clock = true, .check = true, .report = print_report,
	};
	char *lent = NULL;
	int fds[2];

	if (weir_loop_new(&loop, &conf) < 0 || pipe(fds) < 0)
		_exit(0);
	if (weir_go(weir_loop_group(loop), lends, .lent = &lent) == 0)
		weir_run(loop, borrows, .lent = &lent, .fd = fds[0]);
}

START_TEST(a_task_that_ends_while_the_kernel_has_its_frame_aborts_with_both_places)
{
	ck_aborts(lend_and_end, "weir: misuse: a frame freed while the kernel has it: of the task "
		  "spawned at tests/check/misused.c:");
	ck_aborts(lend_and_end, "its memory is a buffer of borrows tests/check/misused.c:");
	ck_aborts(lend_and_end, "weir_read(op, self->fd, *self->lent, 8, -1)\n");
}
END_TEST

TESTS("misused",
      a_task_that_ends_while_the_kernel_has_its_frame_aborts_with_both_places,
      it_is_named_with_the_object_and_the_await_before,
      of_the_program_around_the_loop_it_is_named_too,
      a_send_after_a_hangup_is_none,
      without_check_it_is_counted_and_not_told,
      an_arm_that_two_selects_have_aborts_with_both_places,
      arms_that_selects_have_one_after_the_other_are_none)
