/* SPDX-License-Identifier: MIT */
/*
 * task.c - spawning, calling, waiting, yielding, ending.
 *
 * Tasks write a letter for each thing they do; a test compares the word.
 */
#include <stdio.h>
#include <stdlib.h>

#include "aborts.h"
#include "core/loop.h"
#include "harness.h"
#include "weir.h"

static char word[4096];
static size_t word_len;

static void say(char letter)
{
	ck_assert_uint_lt(word_len, sizeof word - 1);
	word[word_len++] = letter;
}

static uint64_t tasks(struct weir_loop *loop)
{
	struct weir_loop_stats s;

	weir_loop_stats(loop, &s);
	return s.tasks;
}

/* ---- coroutines that several tests use ---- */

struct letter { struct weir_frame co; char letter; int result; };

static WEIR_CO(letter, self, op)
{
	say(self->letter);
	WEIR_RETURN(self->result);
}
WEIR_END

struct sleeper { struct weir_frame co; uint64_t ns; int result, rc; char before, after; };

/* Returns result, or the error that ended the sleep. */
static WEIR_CO(sleeper, self, op)
{
	if (self->before)
		say(self->before);
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	if (self->after)
		say(self->after);
	WEIR_RETURN(self->rc < 0 ? self->rc : self->result);
}
WEIR_END

struct yielder { struct weir_frame co; char letter; int times, rc; };

static WEIR_CO(yielder, self, op)
{
	while (self->times--) {
		say(self->letter);
		WEIR_AWAIT(self->rc, weir_yield(op));
		ck_assert_int_eq(self->rc, 0);
	}
}
WEIR_END

/* ---- spawning ---- */

START_TEST(a_task_takes_its_first_step_in_the_loop_not_in_the_spawn)
{
	struct weir_loop *loop = test_loop();

	ck_assert_int_eq(weir_go(weir_loop_group(loop), letter, .letter = 'a'), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), letter, .letter = 'b'), 0);
	ck_assert_str_eq(word, "");
	ck_assert_uint_eq(tasks(loop), 2);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_uint_eq(strlen(word), 2);
	ck_assert_uint_eq(tasks(loop), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(weir_spawn_copies_the_frame_and_sets_its_head)
{
	static const struct weir_point here = { NULL, "test", "task.c", "weir_spawn()", 1 };
	struct weir_loop *loop = test_loop();
	struct letter frame;

	memset(&frame, 0xff, sizeof frame.co);
	frame.letter = 'x';
	frame.result = -EXDEV;
	ck_assert_int_eq(weir_spawn(weir_loop_group(loop), letter, &frame, sizeof frame, &here,
				    NULL), 0);
	frame.letter = 'y';
	ck_assert_int_eq(weir_loop_run(loop), -EXDEV);
	ck_assert_str_eq(word, "x");
	test_loop_free(loop);
}
END_TEST

START_TEST(weir_spawn_refuses_a_size_that_no_frame_has)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);
	struct letter frame = { .letter = 'x' };
	size_t head = sizeof frame.co;

	ck_assert_int_eq(weir_spawn(g, letter, &frame, head - 1, NULL, NULL), -EINVAL);
	ck_assert_int_eq(weir_spawn(g, letter, &frame, 0, NULL, NULL), -EINVAL);
	ck_assert_int_eq(weir_spawn(g, letter, &frame, SIZE_MAX, NULL, NULL), -EINVAL);
	ck_assert_int_eq(weir_spawn(g, letter, &frame, SIZE_MAX / 2 + 1, NULL, NULL), -EINVAL);
	ck_assert_uint_eq(g->active, 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_spawn_without_memory_fails_and_changes_nothing)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);
	struct weir_task *t = NULL;

	test_fail_alloc(1);
	ck_assert_int_eq(weir_go_join(&t, g, letter, .letter = 'a'), -ENOMEM);
	ck_assert(test_fail_alloc(0));
	ck_assert_ptr_null(t);
	ck_assert_uint_eq(g->active, 0);
	ck_assert_uint_eq(tasks(loop), 0);
	ck_assert_int_eq(weir_go(g, letter, .letter = 'b'), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_str_eq(word, "b");
	test_loop_free(loop);
}
END_TEST

START_TEST(a_group_that_is_done_takes_no_task_and_says_why)
{
	struct letter frame = { .letter = 'a' };
	struct weir_loop *loop = test_loop();
	struct weir_group g;

	weir_group_init(&g, weir_loop_ctx(loop), NULL);
	weir_group_cancel(&g, -EXDEV);
	ck_assert_int_eq(weir_go(&g, letter, .letter = 'a'), -ECANCELED);
	ck_assert_int_eq(weir_spawn(&g, letter, &frame, sizeof frame, NULL, NULL), -ECANCELED);
	weir_group_fini(&g);

	weir_group_init(&g, weir_loop_ctx(loop), NULL);
	weir_ctx_cancel_(&g.ctx, -ETIMEDOUT, 0, "test");
	ck_assert_int_eq(weir_go(&g, letter, .letter = 'a'), -ETIMEDOUT);
	weir_group_fini(&g);
	ck_assert_str_eq(word, "");
	test_loop_free(loop);
}
END_TEST

START_TEST(a_task_cancelled_before_its_first_step_still_takes_it)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);

	ck_assert_int_eq(weir_go(g, sleeper, .ns = WEIR_HOUR, .before = 'b', .after = 'a'), 0);
	weir_group_cancel(g, 0);
	ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
	ck_assert_str_eq(word, "ba");
	test_loop_free(loop);
}
END_TEST

START_TEST(a_hundred_thousand_tasks_come_and_go)
{
	struct weir_loop *loop = test_loop();
	struct weir_loop_stats s;
	int i;

	for (i = 0; i < 100000; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), sleeper, .ns = WEIR_MS), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	weir_loop_stats(loop, &s);
	ck_assert_uint_eq(s.spawned, 100000);
	ck_assert_uint_eq(s.resumes, 200000);
	ck_assert_uint_eq(s.tasks, 0);
	ck_assert_uint_eq(s.timers, 0);
	test_loop_free(loop);
}
END_TEST

/* ---- frames ---- */

#define FRAME_MAX	2500

struct sized { struct weir_frame co; unsigned size; int rc, round; unsigned char byte[]; };

static unsigned char mark(const struct sized *s, unsigned i)
{
	return (unsigned char)(s->size + s->round + i);
}

/* Its whole frame must be as it left it. */
static WEIR_CO(sized, self, op)
{
	unsigned i, wrong;

	for (self->round = 0; self->round < 3; self->round++) {
		for (i = 0; i < self->size; i++)
			self->byte[i] = mark(self, i);
		WEIR_AWAIT(self->rc, weir_yield(op));
		wrong = 0;
		for (i = 0; i < self->size; i++)
			wrong += self->byte[i] != mark(self, i);
		ck_assert_uint_eq(wrong, 0);
	}
}
WEIR_END

START_TEST(frames_of_every_size_keep_to_themselves)
{
	static union {
		struct sized frame;
		char room[FRAME_MAX];
	} u;
	struct weir_loop *loop = test_loop();
	size_t size;
	unsigned pass;

	for (pass = 0; pass < 2; pass++) {	/* the second on blocks used before */
		for (size = sizeof u.frame; size <= FRAME_MAX; size++) {
			u.frame.size = (unsigned)(size - sizeof u.frame);
			ck_assert_int_eq(weir_spawn(weir_loop_group(loop), sized, &u.frame, size,
						    NULL, NULL), 0);
		}
		ck_assert_int_eq(weir_loop_run(loop), 0);
	}
	test_loop_free(loop);
}
END_TEST

struct aligned { struct weir_frame co; long double x; int rc; };

static WEIR_CO(aligned, self, op)
{
	ck_assert_uint_eq((uintptr_t)&self->x % _Alignof(long double), 0);
	WEIR_AWAIT(self->rc, weir_yield(op));
	ck_assert(self->x == 1.5L);
}
WEIR_END

START_TEST(a_frame_is_aligned_for_every_scalar)
{
	struct weir_loop *loop = test_loop();

	int i;

	for (i = 0; i < 5; i++) {	/* of sizes whose blocks are and are not aligned alike */
		ck_assert_int_eq(weir_go(weir_loop_group(loop), letter, .letter = 'a'), 0);
		ck_assert_int_eq(weir_go(weir_loop_group(loop), aligned, .x = 1.5L), 0);
	}
	ck_assert_int_eq(weir_loop_run(loop), 0);
	test_loop_free(loop);
}
END_TEST

/* ---- calls ---- */

struct leaf { struct weir_frame co; int n, rc; };
struct middle { struct weir_frame co; int n, rc, sum; struct leaf leaf; };
struct outer { struct weir_frame co; int rc; union { struct middle middle; struct leaf leaf; } u; };

/* Odd numbers wait, even ones do not. */
static WEIR_CO(leaf, self, op)
{
	if (self->n & 1)
		WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_S));
	WEIR_RETURN(self->rc < 0 ? self->rc : self->n);
}
WEIR_END

static WEIR_CO(middle, self, op)
{
	int rc;

	for (; self->n > 0; self->n--) {
		WEIR_CALL(rc, self->leaf, leaf, .n = self->n);
		if (rc < 0)
			WEIR_RETURN(rc);
		self->sum += rc;
	}
	WEIR_RETURN(self->sum);
}
WEIR_END

static WEIR_CO(outer, self, op)
{
	WEIR_CALL(self->rc, self->u.middle, middle, .n = 5);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	ck_assert_int_eq(self->rc, 15);
	WEIR_CALL(self->rc, self->u.leaf, leaf, .n = 7);
	WEIR_RETURN(-self->rc);
}
WEIR_END

START_TEST(calls_nest_and_their_results_come_back)
{
	struct weir_loop *loop = test_loop();
	uint64_t began = weir_now(loop);

	ck_assert_int_eq(weir_run(loop, outer), -7);
	ck_assert_uint_eq(weir_now(loop) - began, 4 * WEIR_S);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_cancel_reaches_the_innermost_frame_and_comes_back_as_an_error)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);
	struct weir_ctx ctx;

	weir_ctx_init_timeout(&ctx, weir_loop_ctx(loop), 2 * WEIR_S);	/* only to move the clock */
	ck_assert_int_eq(weir_go(g, outer), 0);
	weir_loop_dispatch(loop);
	weir_group_cancel(g, 0);
	ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
	weir_ctx_fini(&ctx);
	test_loop_free(loop);
}
END_TEST

/* ---- cleanup ---- */

struct careful {
	struct weir_frame co;
	struct weir_ctx shield;
	uint64_t limit, needs;
	int rc, late;
};

static WEIR_CO(careful, self, op)
{
	WEIR_TRY(self->rc, out, weir_sleep(op, WEIR_HOUR));
	say('x');
out:
	WEIR_AWAIT(self->late, weir_sleep(op, WEIR_S));		/* cancelled as well, at once */
	ck_assert_int_eq(self->late, -ECANCELED);
	weir_shield(op, &self->shield, self->limit);
	WEIR_AWAIT(self->late, weir_sleep(op, self->needs));
	say(self->late == 0 ? 'c' : self->late == -ETIMEDOUT ? 't' : '?');
	weir_unshield(op, &self->shield);
	WEIR_AWAIT(self->late, weir_yield(op));
	ck_assert_int_eq(self->late, -ECANCELED);
	WEIR_RETURN(self->rc);
}
WEIR_END

static uint64_t run_careful(uint64_t limit, uint64_t needs)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);
	uint64_t began = weir_now(loop), took;

	ck_assert_int_eq(weir_go(g, careful, .limit = limit, .needs = needs), 0);
	ck_assert_int_eq(weir_loop_dispatch(loop), 1);
	weir_group_cancel(g, 0);
	ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
	took = weir_now(loop) - began;
	test_loop_free(loop);
	return took;
}

START_TEST(cleanup_under_a_shield_may_wait)
{
	ck_assert_uint_eq(run_careful(5 * WEIR_S, 3 * WEIR_S), 3 * WEIR_S);
	ck_assert_str_eq(word, "c");
}
END_TEST

START_TEST(cleanup_that_takes_longer_than_its_shield_is_cut_off)
{
	ck_assert_uint_eq(run_careful(2 * WEIR_S, WEIR_HOUR), 2 * WEIR_S);
	ck_assert_str_eq(word, "t");
}
END_TEST

/* ---- yield and budget ---- */

START_TEST(tasks_that_yield_take_turns)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);

	ck_assert_int_eq(weir_go(g, yielder, .letter = 'a', .times = 3), 0);
	ck_assert_int_eq(weir_go(g, yielder, .letter = 'b', .times = 3), 0);
	ck_assert_int_eq(weir_go(g, yielder, .letter = 'c', .times = 3), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_str_eq(word, "abcabcabc");
	test_loop_free(loop);
}
END_TEST

struct yield_arm { struct weir_frame co; struct weir_arm arm[2]; int i; };

static WEIR_CO(yield_arm, self, op)
{
	weir_ready(weir_sleep(&self->arm[0].op, WEIR_HOUR));
	weir_ready(weir_yield(&self->arm[1].op));
	WEIR_AWAIT(self->i, weir_select(op, self->arm, 2));
	ck_assert_int_eq(self->i, 1);
	ck_assert_int_eq(self->arm[1].op.res, 0);
	say('y');
	weir_ready(weir_sleep(&self->arm[0].op, 0));
	weir_ready(weir_yield(&self->arm[1].op));
	WEIR_AWAIT(self->i, weir_select(op, self->arm, 2));
	ck_assert_int_eq(self->i, 0);
	say('s');
}
WEIR_END

START_TEST(yield_as_an_arm_wins_if_no_other_is_ready)
{
	struct weir_loop *loop = test_loop();

	ck_assert_int_eq(weir_run(loop, yield_arm), 0);
	ck_assert_str_eq(word, "ys");
	test_loop_free(loop);
}
END_TEST

/* An op that never waits: it ends in its attempt, or while it parks. */
static bool at_once(struct weir_op *op)
{
	op->res = 0;
	return true;
}

static bool never(struct weir_op *op)
{
	(void)op;
	return false;
}

static const struct weir_op_def attempt_def = { .name = "at once", .attempt = at_once };
static const struct weir_op_def park_def = { .name = "at once", .park = at_once, .cancel = never };

static struct weir_op *quick(struct weir_op *op, const struct weir_op_def *def)
{
	weir_op_prepare_(op, def);
	return op;
}

static bool stop;

struct greedy { struct weir_frame co; const struct weir_op_def *def; int rc; unsigned long n; };

/* Never waits, and does not listen. */
static WEIR_CO(greedy, self, op)
{
	while (!stop) {
		WEIR_AWAIT(self->rc, quick(op, self->def));
		ck_assert_uint_lt(self->n++, 100000);
	}
}
WEIR_END

struct modest { struct weir_frame co; int rc, times; };

static WEIR_CO(modest, self, op)
{
	for (self->times = 0; self->times < 10; self->times++)
		WEIR_AWAIT(self->rc, weir_yield(op));
	stop = true;
}
WEIR_END

START_TEST(a_task_that_is_always_ready_starves_nobody)
{
	struct weir_loop *loop = test_loop();

	ck_assert_int_eq(weir_go(weir_loop_group(loop), greedy, .def = &attempt_def), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), modest), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_task_whose_ops_end_as_they_park_starves_nobody)
{
	struct weir_loop *loop = test_loop();

	ck_assert_int_eq(weir_go(weir_loop_group(loop), greedy, .def = &park_def), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), modest), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	test_loop_free(loop);
}
END_TEST

struct empty { struct weir_frame co; };

static WEIR_CO(empty, self, op)
{
	WEIR_RETURN(0);
}
WEIR_END

struct caller { struct weir_frame co; struct empty empty; int rc; unsigned long n; };

static WEIR_CO(caller, self, op)
{
	while (!stop) {
		WEIR_CALL(self->rc, self->empty, empty);
		ck_assert_uint_lt(self->n++, 100000);
	}
}
WEIR_END

START_TEST(a_task_that_only_calls_starves_nobody)
{
	struct weir_loop *loop = test_loop();

	ck_assert_int_eq(weir_go(weir_loop_group(loop), caller), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), modest), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_task_that_ignores_its_cancel_does_not_hang_the_loop)
{
	struct weir_loop *loop = test_loop();
	struct weir_group g;

	weir_group_init(&g, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_go(&g, greedy, .def = &attempt_def), 0);
	weir_group_cancel(&g, 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), modest), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	while (g.active)
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
	weir_group_fini(&g);
	test_loop_free(loop);
}
END_TEST

struct ticker { struct weir_frame co; int n, rc; };

static WEIR_CO(ticker, self, op)
{
	while (self->n--)
		WEIR_TRY(self->rc, out, weir_sleep(op, WEIR_US));
out:
	stop = true;
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(timers_go_on_beside_a_task_that_is_always_ready)
{
	struct weir_loop *loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1 });

	ck_assert_int_eq(weir_go(weir_loop_group(loop), ticker, .n = 10), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), modest), 0);
	while (!stop)
		ck_assert_int_gt(weir_loop_dispatch(loop), -1);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	test_loop_free(loop);
}
END_TEST

/* ---- misuse ---- */

struct wrong_op { struct weir_frame co; struct weir_arm arm; int rc; };

static WEIR_CO(wrong_op, self, op)
{
	WEIR_AWAIT(self->rc, weir_yield(&self->arm.op));
}
WEIR_END

static void await_a_foreign_op(void)
{
	weir_run(test_loop(), wrong_op);
}

START_TEST(an_await_of_an_op_that_is_not_the_tasks_own_aborts)
{
	ck_aborts(await_a_foreign_op, "weir: bug: await of an op that is not the task's own");
}
END_TEST

struct stays_in { struct weir_frame co; struct weir_ctx ctx; int rc; };

static WEIR_CO(stays_in, self, op)
{
	weir_ctx_init(&self->ctx, weir_op_ctx(op));
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(self->rc, weir_yield(op));
}
WEIR_END

static void end_inside_a_ctx(void)
{
	weir_run(test_loop(), stays_in);
}

START_TEST(a_task_that_ends_without_leaving_its_ctx_aborts_by_name)
{
	ck_aborts(end_inside_a_ctx, "a task ended without weir_ctx_leave() at stays_in");
}
END_TEST

WEIR_CHAN(ints, int);

static struct ints ch;

struct local_buffer { struct weir_frame co; int rc; };

static WEIR_CO(local_buffer, self, op)
{
	int item;

	WEIR_AWAIT(self->rc, weir_chan_recv(op, &ch, &item));
}
WEIR_END

static void receive_into_a_local(void)
{
	struct weir_loop *loop = test_loop();

	ck_assert_int_eq(weir_chan_init(&ch, loop, 0), 0);
	weir_run(loop, local_buffer);
}

START_TEST(a_buffer_on_the_stack_aborts)
{
	ck_aborts(receive_into_a_local, "buffer on the stack of a coroutine");
}
END_TEST

TESTS("task",
      a_task_takes_its_first_step_in_the_loop_not_in_the_spawn,
      weir_spawn_copies_the_frame_and_sets_its_head,
      weir_spawn_refuses_a_size_that_no_frame_has,
      a_spawn_without_memory_fails_and_changes_nothing,
      a_group_that_is_done_takes_no_task_and_says_why,
      a_task_cancelled_before_its_first_step_still_takes_it,
      a_hundred_thousand_tasks_come_and_go,
      frames_of_every_size_keep_to_themselves,
      a_frame_is_aligned_for_every_scalar,
      calls_nest_and_their_results_come_back,
      a_cancel_reaches_the_innermost_frame_and_comes_back_as_an_error,
      cleanup_under_a_shield_may_wait,
      cleanup_that_takes_longer_than_its_shield_is_cut_off,
      tasks_that_yield_take_turns,
      yield_as_an_arm_wins_if_no_other_is_ready,
      a_task_that_is_always_ready_starves_nobody,
      a_task_whose_ops_end_as_they_park_starves_nobody,
      a_task_that_only_calls_starves_nobody,
      a_task_that_ignores_its_cancel_does_not_hang_the_loop,
      timers_go_on_beside_a_task_that_is_always_ready,
      an_await_of_an_op_that_is_not_the_tasks_own_aborts,
      a_task_that_ends_without_leaving_its_ctx_aborts_by_name,
      a_buffer_on_the_stack_aborts)
