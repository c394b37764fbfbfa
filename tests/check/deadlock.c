/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - when all tasks are asleep and nothing can wake them, and when it only looks so.
 */
#include <string.h>
#include <unistd.h>

#include "core/loop.h"
#include "harness.h"
#include "weir.h"

WEIR_CHAN(ints, int);

static struct weir_loop *loop;
static struct ints ping, pong;

static void begin(void)
{
	loop = test_loop();
}

static void ck_said(const char *text)
{
	ck_assert_msg(strstr(test_report(), text), "no \"%s\" in:\n%s", text, test_report());
}

/* The loop is deadlocked; undone, it goes as clean as any. */
static void ck_deadlock(void)
{
	ck_assert_int_eq(weir_loop_run(loop), -EDEADLK);
	ck_said("weir: all tasks are asleep: deadlock\n");
	weir_group_cancel(weir_loop_group(loop), 0);
	ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
}

struct answers { struct weir_frame co; struct ints *in, *out; int item, rc; };

/* Each of two waits for the other to speak first. */
static WEIR_CO(answers, self, op)
{
	WEIR_TRY(self->rc, out, weir_chan_recv(op, self->in, &self->item));
	WEIR_TRY(self->rc, out, weir_chan_send(op, self->out, &self->item));
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(two_who_wait_for_each_other_are_reported_with_what_they_wait_for)
{
	begin();
	ck_assert_int_eq(weir_chan_init(&ping, loop, 0), 0);
	ck_assert_int_eq(weir_chan_init(&pong, loop, 0), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), answers, .in = &ping, .out = &pong), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), answers, .in = &pong, .out = &ping), 0);
	ck_deadlock();
	ck_said("task 1 in the group of its loop waits for: chan recv\n     chan &ping made at ");
	ck_said("task 2 in the group of its loop waits for: chan recv\n     chan &pong made at ");
	ck_said(": a rendezvous, 1 receiver waits\n  #0 answers deadlock.c:");
	ck_said("  weir_chan_recv(op, self->in, &self->item)\n  by ");
	ck_said("  weir_go(answers)\n");
	weir_chan_fini(&ping);
	weir_chan_fini(&pong);
	test_loop_free(loop);
}
END_TEST

START_TEST(the_report_is_a_line_a_call)
{
	const char *p;

	begin();
	ck_assert_int_eq(weir_chan_init(&ping, loop, 0), 0);
	ck_assert_int_eq(weir_run(loop, answers, .in = &ping), -EDEADLK);
	for (p = test_report(); *p; p++)
		ck_assert(p[0] != '\n' || p[1] != '\n');
	ck_deadlock();
	weir_chan_fini(&ping);
	test_loop_free(loop);
}
END_TEST

START_TEST(without_anyone_to_tell_a_deadlock_is_still_returned)
{
	struct weir_loop *quiet;

	ck_assert_int_eq(weir_loop_new(&quiet, &(struct weir_loop_conf){ .seed = 1 }), 0);
	ck_assert_int_eq(weir_run(quiet, answers), -EDEADLK);	/* from NULL, never ready */
	weir_group_cancel(weir_loop_group(quiet), 0);
	ck_assert_int_eq(weir_loop_run(quiet), -ECANCELED);
	ck_assert_int_eq(weir_loop_free(quiet), 0);
}
END_TEST

struct selects { struct weir_frame co; struct weir_arm arm[2]; unsigned n; int item, rc; };

static WEIR_CO(selects, self, op)
{
	weir_ready(weir_chan_recv(&self->arm[0].op, &ping, &self->item));
	weir_ready(weir_chan_send(&self->arm[1].op, &ping, &self->item));
	WEIR_AWAIT(self->rc, weir_select(op, self->arm, self->n));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_select_that_only_meets_itself_or_has_no_arms_is_a_deadlock)
{
	begin();
	ck_assert_int_eq(weir_chan_init(&ping, loop, 0), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), selects, .n = 2), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), selects, .n = 0), 0);
	ck_deadlock();
	ck_said("     arm 0: chan recv, chan &ping made at deadlock.c:");
	ck_said(": a rendezvous, 1 sender waits, 1 receiver waits\n     arm 1: chan send, chan ");
	weir_chan_fini(&ping);
	test_loop_free(loop);
}
END_TEST

struct waits { struct weir_frame co; struct weir_group group; int rc; };

/* A task of the group that it waits for. */
static WEIR_CO(waits, self, op)
{
	WEIR_AWAIT(self->rc, weir_group_wait(op, weir_loop_group(loop)));
}
WEIR_END

START_TEST(a_task_that_waits_for_its_own_group_is_a_deadlock_that_no_cancel_ends)
{
	begin();
	ck_assert_int_eq(weir_run(loop, waits), -EDEADLK);
	ck_said("waits for: group wait\n     the group of its loop: 1 task left\n");
	weir_group_cancel(weir_loop_group(loop), 0);
	ck_assert_int_eq(weir_loop_run(loop), -EDEADLK);
	_exit(0);	/* its memory is abandoned, see loop.c */
}
END_TEST

struct naps { struct weir_frame co; struct ints *ch; int item, rc; };

static WEIR_CO(naps, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_HOUR));
	WEIR_AWAIT(self->rc, weir_chan_send(op, self->ch, &self->item));
	WEIR_RETURN(self->rc == 1 ? 0 : self->rc);
}
WEIR_END

START_TEST(while_someone_sleeps_for_a_time_there_is_no_deadlock)
{
	begin();
	ck_assert_int_eq(weir_chan_init(&ping, loop, 0), 0);
	ck_assert_int_eq(weir_chan_init(&pong, loop, 1), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), naps, .ch = &ping), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), answers, .in = &ping, .out = &pong), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	weir_chan_fini(&ping);
	weir_chan_fini(&pong);
	test_loop_free(loop);
}
END_TEST

START_TEST(free_unwinds_a_deadlock)
{
	begin();
	ck_assert_int_eq(weir_run(loop, selects, .n = 0), -EDEADLK);
	ck_assert_int_eq(weir_loop_free(loop), 1);
}
END_TEST

TESTS("deadlock",
      two_who_wait_for_each_other_are_reported_with_what_they_wait_for,
      the_report_is_a_line_a_call,
      without_anyone_to_tell_a_deadlock_is_still_returned,
      a_select_that_only_meets_itself_or_has_no_arms_is_a_deadlock,
      a_task_that_waits_for_its_own_group_is_a_deadlock_that_no_cancel_ends,
      while_someone_sleeps_for_a_time_there_is_no_deadlock,
      free_unwinds_a_deadlock)
