/* SPDX-License-Identifier: MIT */
/*
 * group.c - groups: results, failures, limits, ends.
 *
 * The tables are those of Go's errgroup tests.
 */
#include "aborts.h"
#include "core/loop.h"
#include "harness.h"
#include "weir.h"

#define E1	(-1001)
#define E2	(-1002)

static struct weir_loop *loop;
static struct weir_group group, *own;	/* the test's; the loop's own */
static int active, most, ran;

static void begin(void)
{
	loop = test_loop();
	own = weir_loop_group(loop);
	active = most = ran = 0;
}

static void begin_group(const struct weir_group_conf *conf)
{
	begin();
	weir_group_init(&group, weir_loop_ctx(loop), conf);
}

/* ---- coroutines ---- */

struct work { struct weir_frame co; uint64_t ns; int result, rc, *seen; };

/* Sleeps, then returns result; an error of the sleep is noted in *seen and is the result. */
static WEIR_CO(work, self, op)
{
	active++;
	ran++;
	most = active > most ? active : most;
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	active--;
	if (self->rc < 0 && self->seen)
		*self->seen = self->rc;
	WEIR_RETURN(self->rc < 0 ? self->rc : self->result);
}
WEIR_END

struct deaf { struct weir_frame co; uint64_t ns; int result, rc; };

/* Returns its result whatever happened. */
static WEIR_CO(deaf, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	WEIR_RETURN(self->result);
}
WEIR_END

struct awaits { struct weir_frame co; struct weir_group *group; int rc, *result; };

static WEIR_CO(awaits, self, op)
{
	WEIR_AWAIT(self->rc, weir_group_wait(op, self->group));
	*self->result = self->rc;
}
WEIR_END

/* Runs until the group is over; its result. */
static int wait_for(struct weir_group *g)
{
	int result = 1;

	ck_assert_int_eq(weir_run(loop, awaits, .group = g, .result = &result), 0);
	return result;
}

/* ---- results ---- */

START_TEST(the_first_error_is_the_result_and_the_cause)
{
	static const struct row {
		int results[2], n, result;
	} rows[] = {
		{ { 0 }, 0, 0 },
		{ { 0 }, 1, 0 },
		{ { E1 }, 1, E1 },
		{ { E1, 0 }, 2, E1 },
		{ { E1, E2 }, 2, E1 },	/* in one turn: the one that returned first */
		{ { 0, E1 }, 2, E1 },
		{ { 7, 0 }, 2, 0 },
	};
	size_t i;
	int k;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		begin_group(NULL);
		for (k = 0; k < rows[i].n; k++)
			ck_assert_int_eq(weir_go(&group, work, .result = rows[i].results[k]), 0);
		ck_assert_int_eq(wait_for(&group), rows[i].result);
		ck_assert_int_eq(weir_ctx_err(&group.ctx), -ECANCELED);
		ck_assert_int_eq(weir_ctx_cause(&group.ctx),
				 rows[i].result ? rows[i].result : -ECANCELED);
		test_loop_free(loop);
	}
}
END_TEST

START_TEST(an_error_cancels_the_others_at_once)
{
	int seen[8] = { 0 }, i;
	uint64_t began;

	begin_group(NULL);
	began = weir_now(loop);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(weir_go(&group, work, .ns = i == 3 ? WEIR_MS : 10 * WEIR_S,
					 .result = i == 3 ? E1 : 0, .seen = &seen[i]), 0);
	ck_assert_int_eq(wait_for(&group), E1);
	ck_assert_uint_eq(weir_now(loop) - began, WEIR_MS);
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(seen[i], i == 3 ? 0 : -ECANCELED);
	ck_assert_int_eq(active, 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_group_that_has_failed_starts_nothing)
{
	begin_group(NULL);
	ck_assert_int_eq(weir_go(&group, work, .result = E1), 0);
	ck_assert_int_eq(weir_go(&group, deaf, .ns = WEIR_S), 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_go(&group, work), -ECANCELED);
	ck_assert_int_eq(wait_for(&group), E1);
	ck_assert_int_eq(weir_go(&group, work), -ECANCELED);	/* nor one that is over */
	ck_assert_int_eq(ran, 1);
	test_loop_free(loop);
}
END_TEST

START_TEST(what_the_cancelled_return_never_hides_the_error)
{
	begin_group(NULL);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_HOUR), 0);	/* will say -ECANCELED */
	ck_assert_int_eq(weir_go(&group, deaf, .ns = WEIR_HOUR, .result = E2), 0);
	weir_loop_dispatch(loop);
	weir_group_cancel(&group, E1);
	ck_assert_int_eq(wait_for(&group), E2);
	ck_assert_int_eq(weir_ctx_cause(&group.ctx), E1);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_group_cancelled_from_above_ends_with_the_ctxs_error)
{
	begin_group(NULL);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_HOUR), 0);
	weir_loop_dispatch(loop);
	weir_group_cancel(&group, 0);
	ck_assert_int_eq(wait_for(&group), -ECANCELED);

	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_HOUR), 0);
	weir_loop_dispatch(loop);
	weir_ctx_cancel_(&group.ctx, -ETIMEDOUT, 0, "test");
	ck_assert_int_eq(wait_for(&group), -ETIMEDOUT);

	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_go(&group, deaf, .ns = WEIR_HOUR), 0);
	weir_group_cancel(&group, 0);
	ck_assert_int_eq(wait_for(&group), 0);	/* its task did not mind */
	test_loop_free(loop);
}
END_TEST

START_TEST(a_group_that_keeps_going_returns_the_first_error_in_the_end)
{
	begin_group(&(struct weir_group_conf){ .keep_going = true });
	ck_assert_int_eq(weir_go(&group, work, .result = E1), 0);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_S, .result = E2), 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_ctx_err(&group.ctx), 0);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_HOUR), 0);
	ck_assert_int_eq(wait_for(&group), E1);
	ck_assert_int_eq(ran, 3);
	ck_assert_int_eq(weir_ctx_cause(&group.ctx), -ECANCELED);
	test_loop_free(loop);
}
END_TEST

START_TEST(all_errors_are_kept_in_order_as_many_as_fit)
{
	int errors[3] = { 1, 1, 1 }, i;

	begin_group(&(struct weir_group_conf){
		.keep_going = true, .errors = errors, .max_errors = 2 });
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(weir_go(&group, work, .ns = (uint64_t)(4 - i) * WEIR_S,
					 .result = i == 2 ? 0 : -1000 - i), 0);
	ck_assert_int_eq(wait_for(&group), -1003);
	ck_assert_uint_eq(group.failures, 3);
	ck_assert_int_eq(errors[0], -1003);
	ck_assert_int_eq(errors[1], -1001);
	ck_assert_int_eq(errors[2], 1);
	test_loop_free(loop);
}
END_TEST

/* ---- ends ---- */

struct parent { struct weir_frame co; struct weir_group *group; int depth, rc; };

/* Spawns into its own group while that is being waited for. */
static WEIR_CO(parent, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep(op, WEIR_S));
	if (rc == 0 && self->depth)
		rc = weir_go(self->group, parent, .group = self->group, .depth = self->depth - 1);
	ran++;
	WEIR_RETURN(rc);
}
WEIR_END

START_TEST(tasks_spawned_while_one_waits_are_waited_for)
{
	begin_group(NULL);
	ck_assert_int_eq(weir_go(&group, parent, .group = &group, .depth = 9), 0);
	ck_assert_int_eq(wait_for(&group), 0);
	ck_assert_int_eq(ran, 10);
	test_loop_free(loop);
}
END_TEST

struct nest { struct weir_frame co; struct weir_group group; int depth, rc, i; };

/* A group of three in each of its tasks, the leaves sleep; one of them fails. */
static WEIR_CO(nest, self, op)
{
	if (!self->depth) {
		ran++;
		WEIR_AWAIT(self->rc, weir_sleep(op, (uint64_t)ran * WEIR_S));
		WEIR_RETURN(self->rc < 0 ? self->rc : E1);
	}
	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	for (self->i = 0; self->i < 3; self->i++)
		ck_assert_int_eq(weir_go(&self->group, nest, .depth = self->depth - 1), 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->group));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(an_error_climbs_through_nested_groups_and_ends_all_of_them)
{
	uint64_t began;

	begin();
	began = weir_now(loop);
	ck_assert_int_eq(weir_run(loop, nest, .depth = 4), E1);
	ck_assert_int_eq(ran, 81);
	ck_assert_uint_eq(weir_now(loop) - began, WEIR_S);
	test_loop_free(loop);
}
END_TEST

START_TEST(several_may_wait_and_wait_again)
{
	int one = 1, two = 1;

	begin_group(NULL);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_S, .result = E1), 0);
	ck_assert_int_eq(weir_go(own, awaits, .group = &group, .result = &one), 0);
	ck_assert_int_eq(weir_go(own, awaits, .group = &group, .result = &two), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(one, E1);
	ck_assert_int_eq(two, E1);
	ck_assert_int_eq(wait_for(&group), E1);
	weir_group_fini(&group);
	test_loop_free(loop);
}
END_TEST

START_TEST(waiting_is_not_cut_short_by_the_waiters_ctx)
{
	int result = 1;

	begin_group(NULL);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_HOUR), 0);
	ck_assert_int_eq(weir_go(own, awaits, .group = &group, .result = &result), 0);
	weir_loop_dispatch(loop);
	weir_group_cancel(own, 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(result, 0);
	test_loop_free(loop);
}
END_TEST

struct selects { struct weir_frame co; struct weir_arm arm[2]; int rc; };

static WEIR_CO(selects, self, op)
{
	weir_ready(weir_group_wait(&self->arm[0].op, &group));
	weir_ready(weir_sleep(&self->arm[1].op, WEIR_S));
	WEIR_AWAIT(self->rc, weir_select(op, self->arm, 2));
	ck_assert_int_eq(self->rc, 1);
	ck_assert_uint_eq(group.active, 1);
	weir_ready(weir_group_wait(&self->arm[0].op, &group));
	weir_ready(weir_sleep(&self->arm[1].op, WEIR_HOUR));
	WEIR_AWAIT(self->rc, weir_select(op, self->arm, 2));
	ck_assert_int_eq(self->rc, 0);
	WEIR_RETURN(self->arm[0].op.res);
}
WEIR_END

START_TEST(waiting_can_be_an_arm)
{
	begin_group(NULL);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_MIN, .result = E1), 0);
	ck_assert_int_eq(weir_run(loop, selects), E1);
	test_loop_free(loop);
}
END_TEST

static void count(struct weir_after *a)
{
	(void)a;
	ran++;
}

START_TEST(what_was_derived_from_a_group_is_done_when_it_is_and_outlives_it)
{
	static char key;
	static int value;
	struct weir_ctx child, grandchild;
	struct weir_after after;

	begin_group(NULL);
	weir_ctx_set(weir_loop_ctx(loop), &key, &value);
	weir_ctx_init(&child, &group.ctx);
	weir_ctx_init(&grandchild, &child);
	weir_ctx_after(&group.ctx, &after, count);
	ck_assert_int_eq(wait_for(&group), 0);
	memset(&group, 0xff, sizeof group);
	ck_assert_int_eq(weir_ctx_err(&grandchild), -ECANCELED);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran, 1);
	ck_assert(!weir_ctx_after_stop(&after));
	ck_assert_ptr_eq(weir_ctx_get(&grandchild, &key), &value);
	weir_ctx_fini(&grandchild);
	weir_ctx_fini(&child);
	test_loop_free(loop);
}
END_TEST

static void fini_with_tasks(void)
{
	begin_group(NULL);
	weir_go(&group, work);
	weir_group_fini(&group);
}

START_TEST(no_group_goes_before_its_tasks)
{
	ck_aborts(fini_with_tasks,
		  "weir_group_fini() of a group that has tasks at tests/core/group.c:");
}
END_TEST

/* ---- limits ---- */

START_TEST(a_spawn_at_the_limit_is_refused)
{
	int i;

	begin_group(NULL);
	ck_assert_int_eq(weir_group_limit(&group, 42), 0);
	for (i = 0; i < 42; i++)
		ck_assert_int_eq(weir_go(&group, work), 0);
	ck_assert_int_eq(weir_go(&group, work), -EAGAIN);
	ck_assert_int_eq(weir_group_limit(&group, 43), -EBUSY);
	while (group.active)
		weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_go(&group, work), 0);
	while (group.active)
		weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_group_limit(&group, 1), 0);
	ck_assert_int_eq(weir_go(&group, work), 0);
	ck_assert_int_eq(weir_go(&group, work), -EAGAIN);
	ck_assert_int_eq(wait_for(&group), 0);

	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_group_limit(&group, 0), 0);
	for (i = 0; i < 1024; i++)
		ck_assert_int_eq(weir_go(&group, work), -EAGAIN);
	ck_assert_int_eq(wait_for(&group), 0);

	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_group_limit(&group, WEIR_NO_LIMIT), 0);
	for (i = 0; i < 1024; i++)
		ck_assert_int_eq(weir_go(&group, work), 0);
	ck_assert_int_eq(wait_for(&group), 0);
	test_loop_free(loop);
}
END_TEST

struct spawns { struct weir_frame co; int n, rc, *error; };

/* Spawns n tasks of a second each, waiting for room. */
static WEIR_CO(spawns, self, op)
{
	while (self->n--) {
		WEIR_GO(self->rc, &group, work, .ns = WEIR_S);
		if (self->rc < 0)
			break;
	}
	if (self->error)
		*self->error = self->rc;
}
WEIR_END

START_TEST(a_spawn_that_waits_keeps_to_the_limit_and_all_run)
{
	begin_group(NULL);
	ck_assert_int_eq(weir_group_limit(&group, 10), 0);
	ck_assert_int_eq(weir_run(loop, spawns, .n = 1025), 0);
	ck_assert_int_eq(wait_for(&group), 0);
	ck_assert_int_eq(most, 10);
	ck_assert_int_eq(ran, 1025);
	test_loop_free(loop);
}
END_TEST

START_TEST(of_many_who_wait_for_room_each_gets_its_own)
{
	int errors[5], i;

	begin_group(NULL);
	ck_assert_int_eq(weir_group_limit(&group, 1), 0);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(weir_go(own, spawns, .n = 7,
					 .error = &errors[i]), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	for (i = 0; i < 5; i++)
		ck_assert_int_eq(errors[i], 0);
	ck_assert_int_eq(wait_for(&group), 0);
	ck_assert_int_eq(most, 1);
	ck_assert_int_eq(ran, 35);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_try_does_not_overtake_those_who_wait_for_room)
{
	int error = 1;

	begin_group(NULL);
	ck_assert_int_eq(weir_group_limit(&group, 1), 0);
	ck_assert_int_eq(weir_go(own, spawns, .n = 2, .error = &error), 0);
	weir_loop_dispatch(loop);
	weir_advance(loop, WEIR_S);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_go(&group, work), -EAGAIN);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(wait_for(&group), 0);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(ran, 2);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_failure_refuses_those_who_wait_for_room)
{
	int errors[3] = { 1, 1, 1 }, i;

	begin_group(NULL);
	ck_assert_int_eq(weir_group_limit(&group, 1), 0);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_S, .result = E1), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(weir_go(own, spawns, .n = 1,
					 .error = &errors[i]), 0);
	ck_assert_int_eq(wait_for(&group), E1);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(errors[i], -ECANCELED);
	ck_assert_int_eq(ran, 1);
	test_loop_free(loop);
}
END_TEST

struct ends_it { struct weir_frame co; int rc; };

/* The group's memory goes as soon as it is over. */
static WEIR_CO(ends_it, self, op)
{
	weir_group_cancel(&group, E1);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &group));
	memset(&group, 0xff, sizeof group);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(who_waits_for_room_is_let_go_before_the_group_is)
{
	int error = 1;

	begin_group(NULL);
	ck_assert_int_eq(weir_group_limit(&group, 0), 0);
	ck_assert_int_eq(weir_go(own, spawns, .n = 1, .error = &error), 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_go(own, ends_it), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(error, -ECANCELED);

	error = 1;
	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_group_limit(&group, 0), 0);
	ck_assert_int_eq(weir_go(own, spawns, .n = 1, .error = &error), 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(wait_for(&group), 0);	/* as in Go, does not count those */
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(error, -ECANCELED);
	test_loop_free(loop);
}
END_TEST

START_TEST(raising_the_limit_lets_those_in_who_wait_for_room)
{
	int error = 1;

	begin_group(NULL);
	ck_assert_int_eq(weir_group_limit(&group, 0), 0);
	ck_assert_int_eq(weir_go(own, spawns, .n = 3, .error = &error), 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran, 0);
	ck_assert_int_eq(weir_group_limit(&group, 2), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(wait_for(&group), 0);
	ck_assert_int_eq(ran, 3);
	ck_assert_int_eq(most, 2);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_cancelled_wait_for_room_gives_way_to_the_next)
{
	struct weir_group first;
	int errors[2] = { 1, 1 };

	begin_group(NULL);
	weir_group_init(&first, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_group_limit(&group, 1), 0);
	ck_assert_int_eq(weir_go(&group, work, .ns = WEIR_S), 0);
	ck_assert_int_eq(weir_go(&first, spawns, .n = 1, .error = &errors[0]), 0);
	ck_assert_int_eq(weir_go(own, spawns, .n = 1, .error = &errors[1]), 0);
	weir_loop_dispatch(loop);
	weir_group_cancel(&first, 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(wait_for(&first), 0);
	ck_assert_int_eq(wait_for(&group), 0);
	ck_assert_int_eq(errors[0], -ECANCELED);
	ck_assert_int_eq(errors[1], 0);
	ck_assert_int_eq(ran, 2);
	test_loop_free(loop);
}
END_TEST

struct big { struct weir_frame co; char much[2000]; };

static WEIR_CO(big, self, op)
{
	ran++;
}
WEIR_END

struct spawns_big { struct weir_frame co; int rc; };

static WEIR_CO(spawns_big, self, op)
{
	test_fail_alloc(1);
	WEIR_GO(self->rc, &group, big);
	ck_assert(test_fail_alloc(0));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_spawn_without_memory_gives_its_place_back)
{
	int error = 1;

	begin_group(NULL);
	ck_assert_int_eq(weir_group_limit(&group, 1), 0);
	ck_assert_int_eq(weir_run(loop, spawns_big), -ENOMEM);
	ck_assert_uint_eq(group.held, 0);
	ck_assert_int_eq(weir_run(loop, spawns, .n = 2, .error = &error), 0);
	ck_assert_int_eq(error, 0);
	ck_assert_int_eq(wait_for(&group), 0);
	ck_assert_int_eq(ran, 2);
	test_loop_free(loop);
}
END_TEST

struct holds { struct weir_frame co; int rc; };

static WEIR_CO(holds, self, op)
{
	WEIR_AWAIT(self->rc, weir_group_slot(op, &group));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_S));
	weir_group_unhold(&group);
}
WEIR_END

START_TEST(a_place_that_is_held_counts_as_a_task)
{
	uint64_t began;

	begin_group(NULL);
	began = weir_now(loop);
	ck_assert_int_eq(weir_group_limit(&group, 1), 0);
	ck_assert_int_eq(weir_go(own, holds), 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_go(&group, work), -EAGAIN);
	ck_assert_int_eq(weir_group_limit(&group, 2), -EBUSY);
	ck_assert_int_eq(wait_for(&group), 0);
	ck_assert_uint_eq(weir_now(loop) - began, WEIR_S);
	test_loop_free(loop);
}
END_TEST

static void fini_with_a_place_held(void)
{
	begin_group(NULL);
	weir_go(own, holds);
	weir_loop_dispatch(loop);
	weir_group_fini(&group);
}

START_TEST(no_group_goes_while_a_place_is_held)
{
	ck_aborts(fini_with_a_place_held,
		  "weir_group_fini() of a group that has tasks at tests/core/group.c:");
}
END_TEST

TESTS("group",
      the_first_error_is_the_result_and_the_cause,
      an_error_cancels_the_others_at_once,
      a_group_that_has_failed_starts_nothing,
      what_the_cancelled_return_never_hides_the_error,
      a_group_cancelled_from_above_ends_with_the_ctxs_error,
      a_group_that_keeps_going_returns_the_first_error_in_the_end,
      all_errors_are_kept_in_order_as_many_as_fit,
      tasks_spawned_while_one_waits_are_waited_for,
      an_error_climbs_through_nested_groups_and_ends_all_of_them,
      several_may_wait_and_wait_again,
      waiting_is_not_cut_short_by_the_waiters_ctx,
      waiting_can_be_an_arm,
      what_was_derived_from_a_group_is_done_when_it_is_and_outlives_it,
      no_group_goes_before_its_tasks,
      a_spawn_at_the_limit_is_refused,
      a_spawn_that_waits_keeps_to_the_limit_and_all_run,
      of_many_who_wait_for_room_each_gets_its_own,
      a_try_does_not_overtake_those_who_wait_for_room,
      a_failure_refuses_those_who_wait_for_room,
      who_waits_for_room_is_let_go_before_the_group_is,
      raising_the_limit_lets_those_in_who_wait_for_room,
      a_cancelled_wait_for_room_gives_way_to_the_next,
      a_spawn_without_memory_gives_its_place_back,
      a_place_that_is_held_counts_as_a_task,
      no_group_goes_while_a_place_is_held)
