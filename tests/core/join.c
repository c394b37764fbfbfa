/* SPDX-License-Identifier: MIT */
/*
 * join.c - waiting for the end of a task, and for its result.
 *
 * Tasks write a letter for each thing they do; a test compares the word.
 */
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

struct joiner {
	struct weir_frame co;
	struct weir_task *task;
	uint64_t first;		/* to sleep before */
	int rc;
	char letter;
};

static WEIR_CO(joiner, self, op)
{
	if (self->first)
		WEIR_AWAIT(self->rc, weir_sleep(op, self->first));
	WEIR_AWAIT(self->rc, weir_join(op, self->task));
	say(self->letter);
	WEIR_RETURN(self->rc);
}
WEIR_END

static int join_after(uint64_t first)
{
	struct weir_loop *loop = test_loop();
	const struct weir_group_conf conf = { .keep_going = true };
	struct weir_group inner;
	struct weir_task *t;
	int rc;

	weir_group_init(&inner, weir_loop_ctx(loop), &conf);
	ck_assert_int_eq(weir_go_join(&t, &inner, sleeper, .ns = WEIR_S, .result = -EXDEV,
				      .after = 's'), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), joiner, .task = t, .first = first,
				 .letter = 'j'), 0);
	rc = weir_loop_run(loop);
	ck_assert_str_eq(word, "sj");
	weir_group_fini(&inner);
	test_loop_free(loop);
	return rc;
}

START_TEST(join_waits_for_the_result)
{
	ck_assert_int_eq(join_after(0), -EXDEV);
}
END_TEST

START_TEST(join_of_an_ended_task_gives_its_result_at_once)
{
	ck_assert_int_eq(join_after(2 * WEIR_S), -EXDEV);
}
END_TEST

struct two_joins { struct weir_frame co; struct weir_task *task; struct weir_ctx ctx; int rc; };

static WEIR_CO(two_joins, self, op)
{
	weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), WEIR_S);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(self->rc, weir_join(op, self->task));
	ck_assert_int_eq(self->rc, -ETIMEDOUT);
	WEIR_AWAIT(self->rc, weir_join(op, self->task));
	ck_assert_int_eq(self->rc, -ETIMEDOUT);
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
	WEIR_AWAIT(self->rc, weir_join(op, self->task));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_join_cut_short_leaves_the_task_joinable)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);
	struct weir_task *t;

	ck_assert_int_eq(weir_go_join(&t, g, sleeper, .ns = WEIR_HOUR, .result = 42), 0);
	ck_assert_int_eq(weir_go(g, two_joins, .task = t), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_second_joiner_is_refused)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);
	struct weir_task *t;

	ck_assert_int_eq(weir_go_join(&t, g, sleeper, .ns = WEIR_HOUR, .result = 42), 0);
	ck_assert_int_eq(weir_go(g, joiner, .task = t, .letter = '1'), 0);
	ck_assert_int_eq(weir_go(g, joiner, .task = t, .letter = '2', .first = WEIR_MS), 0);
	ck_assert_int_eq(weir_loop_run(loop), -EBUSY);
	ck_assert_str_eq(word, "21");
	test_loop_free(loop);
}
END_TEST

struct join_arms {
	struct weir_frame co;
	struct weir_task *task[2];
	struct weir_arm arm[2];
	int i;
};

static WEIR_CO(join_arms, self, op)
{
	weir_ready(weir_join(&self->arm[0].op, self->task[0]));
	weir_ready(weir_join(&self->arm[1].op, self->task[1]));
	WEIR_AWAIT(self->i, weir_select_ordered(op, self->arm, 2));
	say((char)('0' + self->i));
	WEIR_RETURN(self->arm[self->i].op.res);
}
WEIR_END

START_TEST(of_two_joins_in_a_select_the_first_to_end_wins_and_the_other_stays_joinable)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);
	struct weir_task *slow, *fast;

	ck_assert_int_eq(weir_go_join(&slow, g, sleeper, .ns = WEIR_HOUR, .result = 1), 0);
	ck_assert_int_eq(weir_go_join(&fast, g, sleeper, .ns = WEIR_MS, .result = 2), 0);
	ck_assert_int_eq(weir_go(g, join_arms, .task = { slow, fast }), 0);
	ck_assert_int_eq(weir_go(g, joiner, .task = slow, .first = WEIR_S, .letter = 'j'), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_str_eq(word, "1j");
	test_loop_free(loop);
}
END_TEST

START_TEST(one_task_joined_twice_in_a_select_is_busy)
{
	struct weir_loop *loop = test_loop();
	struct weir_group *g = weir_loop_group(loop);
	struct weir_task *t;

	ck_assert_int_eq(weir_go_join(&t, g, sleeper, .ns = WEIR_MS, .result = 2), 0);
	ck_assert_int_eq(weir_go(g, join_arms, .task = { t, t }), 0);
	ck_assert_int_eq(weir_loop_run(loop), -EBUSY);
	ck_assert_str_eq(word, "1");
	test_loop_free(loop);
}
END_TEST

START_TEST(what_is_not_joined_goes_with_its_group)
{
	struct weir_loop *loop = test_loop();
	struct weir_task *t;
	int i;

	for (i = 0; i < 100; i++)
		ck_assert_int_eq(weir_go_join(&t, weir_loop_group(loop), sleeper, .ns = 1), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert(weir_list_empty_(&weir_loop_group(loop)->ended));
	test_loop_free(loop);
}
END_TEST

TESTS("join",
      join_waits_for_the_result,
      join_of_an_ended_task_gives_its_result_at_once,
      a_join_cut_short_leaves_the_task_joinable,
      a_second_joiner_is_refused,
      of_two_joins_in_a_select_the_first_to_end_wins_and_the_other_stays_joinable,
      one_task_joined_twice_in_a_select_is_busy,
      what_is_not_joined_goes_with_its_group)
