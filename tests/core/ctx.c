/* SPDX-License-Identifier: MIT */
/*
 * ctx.c - the tree of contexts: cancel, causes, deadlines, values, scopes, callbacks.
 *
 * The causes are those of Go's own table, TestCause; what it asks of Go's contexts holds here.
 */
#include <pthread.h>
#include <stdlib.h>

#include "aborts.h"
#include "harness.h"
#include "kit.h"
#include "weir.h"

#define PARENT		(-1001)		/* causes */
#define CHILD		(-1002)
#define TOO_SLOW	(-1003)
#define FINISHED	(-1004)
#define FAR		(1000000 * WEIR_S)

static struct weir_loop *loop;
static struct weir_ctx *root;
static struct weir_ctx a, b;	/* b below a */

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

static void ck_ctx(const struct weir_ctx *ctx, int err, int cause)
{
	ck_assert_int_eq(weir_ctx_err(ctx), err);
	ck_assert_int_eq(weir_ctx_cause(ctx), cause);
}

/* ---- causes ---- */

static struct weir_ctx *background(void)
{
	return root;
}

static struct weir_ctx *cancelled_by(int cause)
{
	weir_ctx_init(&a, root);
	weir_ctx_cancel(&a, cause);
	return &a;
}

static struct weir_ctx *cancelled(void)
{
	return cancelled_by(0);
}

static struct weir_ctx *cancelled_with_cause(void)
{
	return cancelled_by(PARENT);
}

static struct weir_ctx *nested(int first_of_a, int first, int second)
{
	weir_ctx_init(&a, root);
	weir_ctx_init(&b, &a);
	weir_ctx_cancel(first_of_a ? &a : &b, first);
	weir_ctx_cancel(first_of_a ? &b : &a, second);
	return &b;
}

static struct weir_ctx *parent_before_child(void)
{
	return nested(1, PARENT, CHILD);
}

static struct weir_ctx *parent_after_child(void)
{
	return nested(0, CHILD, PARENT);
}

static struct weir_ctx *parent_before_none(void)
{
	return nested(1, PARENT, 0);
}

static struct weir_ctx *parent_after_none(void)
{
	return nested(0, 0, PARENT);
}

static struct weir_ctx *child_after_none(void)
{
	return nested(1, 0, CHILD);
}

static struct weir_ctx *child_before_none(void)
{
	return nested(0, CHILD, 0);
}

static struct weir_ctx *below_one_done(void)
{
	cancelled_by(PARENT);
	weir_ctx_init(&b, &a);
	weir_ctx_cancel(&b, CHILD);
	return &b;
}

static struct weir_ctx *timed_out(void)
{
	weir_ctx_init_timeout(&a, root, 0);
	return &a;
}

static struct weir_ctx *timeout_cancelled(void)
{
	weir_ctx_init_timeout(&a, root, FAR);
	weir_ctx_cancel(&a, 0);
	return &a;
}

static struct weir_ctx *timed_out_with_cause(void)
{
	weir_ctx_init_timeout_cause(&a, root, 0, TOO_SLOW);
	return &a;
}

static struct weir_ctx *timed_out_with_cause_later(void)
{
	weir_ctx_init_timeout_cause(&a, root, WEIR_S, TOO_SLOW);
	weir_advance(loop, WEIR_S);
	weir_loop_dispatch(loop);
	return &a;
}

static struct weir_ctx *timeout_with_cause_cancelled(void)
{
	weir_ctx_init_timeout_cause(&a, root, FAR, TOO_SLOW);
	weir_ctx_cancel(&a, 0);
	return &a;
}

static struct weir_ctx *stacked(uint64_t ns)
{
	weir_ctx_init(&a, root);
	weir_ctx_init_timeout_cause(&b, &a, ns, TOO_SLOW);
	weir_ctx_cancel(&a, FINISHED);
	return &b;
}

static struct weir_ctx *stacked_timed_out(void)
{
	return stacked(0);
}

static struct weir_ctx *stacked_cancelled(void)
{
	return stacked(FAR);
}

static struct weir_ctx *timeout_behind_the_parents(void)
{
	weir_ctx_init_timeout(&a, root, WEIR_S);
	weir_ctx_init_timeout_cause(&b, &a, 2 * WEIR_S, TOO_SLOW);
	weir_advance(loop, 3 * WEIR_S);
	weir_loop_dispatch(loop);
	return &b;
}

static struct weir_ctx *detached(void)
{
	weir_ctx_init(&a, root);
	weir_ctx_init_detached(&b, &a, WEIR_FOREVER);
	return &b;
}

static struct weir_ctx *detached_from_one_cancelled_later(void)
{
	detached();
	weir_ctx_cancel(&a, PARENT);
	return &b;
}

static struct weir_ctx *detached_from_one_cancelled(void)
{
	cancelled_by(PARENT);
	weir_ctx_init_detached(&b, &a, WEIR_FOREVER);
	return &b;
}

static struct weir_ctx *detached_from_one_timed_out(void)
{
	timed_out();
	weir_ctx_init_detached(&b, &a, WEIR_FOREVER);
	return &b;
}

START_TEST(err_and_cause_are_those_of_go)
{
	static const struct row {
		struct weir_ctx *(*make)(void);
		int err, cause;
	} rows[] = {
		{ background, 0, 0 },
		{ cancelled, -ECANCELED, -ECANCELED },
		{ cancelled_with_cause, -ECANCELED, PARENT },
		{ parent_before_child, -ECANCELED, PARENT },
		{ parent_after_child, -ECANCELED, CHILD },
		{ parent_before_none, -ECANCELED, PARENT },
		{ parent_after_none, -ECANCELED, -ECANCELED },
		{ child_after_none, -ECANCELED, -ECANCELED },
		{ child_before_none, -ECANCELED, CHILD },
		{ below_one_done, -ECANCELED, PARENT },
		{ timed_out, -ETIMEDOUT, -ETIMEDOUT },
		{ timeout_cancelled, -ECANCELED, -ECANCELED },
		{ timed_out_with_cause, -ETIMEDOUT, TOO_SLOW },
		{ timed_out_with_cause_later, -ETIMEDOUT, TOO_SLOW },
		{ timeout_with_cause_cancelled, -ECANCELED, -ECANCELED },
		{ stacked_timed_out, -ETIMEDOUT, TOO_SLOW },
		{ stacked_cancelled, -ECANCELED, FINISHED },
		{ timeout_behind_the_parents, -ETIMEDOUT, -ETIMEDOUT },
		{ detached, 0, 0 },
		{ detached_from_one_cancelled_later, 0, 0 },
		{ detached_from_one_cancelled, 0, 0 },
		{ detached_from_one_timed_out, 0, 0 },
	};
	size_t i;

	for (i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct weir_ctx *ctx;

		begin();
		a.parent = b.parent = NULL;
		ctx = rows[i].make();
		ck_assert_msg(ctx->err == rows[i].err && ctx->cause == rows[i].cause,
			      "row %zu: %d, %d", i, ctx->err, ctx->cause);
		if (b.parent)
			weir_ctx_fini(&b);
		if (a.parent)
			weir_ctx_fini(&a);
		test_loop_free(loop);
	}
}
END_TEST

START_TEST(the_first_cause_stays_and_cancelling_again_is_nothing)
{
	begin();
	cancelled_by(PARENT);
	weir_ctx_cancel(&a, CHILD);
	weir_ctx_cancel(&a, 0);
	ck_ctx(&a, -ECANCELED, PARENT);
	weir_ctx_fini(&a);
	weir_ctx_fini(&a);	/* nor is this */
	ck_ctx(&a, -ECANCELED, PARENT);
	test_loop_free(loop);
}
END_TEST

/* ---- deadlines ---- */

START_TEST(a_deadline_ends_the_ctx_at_its_time_and_not_before)
{
	begin();
	weir_ctx_init_deadline(&a, root, weir_now(loop) + WEIR_S);
	ck_assert_uint_eq(weir_ctx_deadline(&a), weir_now(loop) + WEIR_S);
	weir_advance(loop, WEIR_S - 1);
	weir_loop_dispatch(loop);
	ck_ctx(&a, 0, 0);
	weir_advance(loop, 1);
	weir_loop_dispatch(loop);
	ck_ctx(&a, -ETIMEDOUT, -ETIMEDOUT);
	weir_ctx_cancel(&a, CHILD);
	ck_ctx(&a, -ETIMEDOUT, -ETIMEDOUT);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_deadline_that_is_not_in_the_future_has_passed)
{
	begin();
	weir_ctx_init_deadline(&a, root, weir_now(loop));
	ck_ctx(&a, -ETIMEDOUT, -ETIMEDOUT);
	weir_ctx_fini(&a);
	weir_ctx_init_deadline(&a, root, 0);
	ck_ctx(&a, -ETIMEDOUT, -ETIMEDOUT);
	weir_ctx_fini(&a);
	weir_ctx_init_detached(&a, root, weir_now(loop));
	ck_ctx(&a, -ETIMEDOUT, -ETIMEDOUT);
	weir_ctx_fini(&a);
	ck_assert_uint_eq(timers(), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_deadline_later_than_the_parents_is_the_parents_and_needs_no_timer)
{
	uint64_t t;

	begin();
	t = weir_now(loop) + WEIR_S;
	weir_ctx_init_deadline(&a, root, t);
	weir_ctx_init_deadline(&b, &a, t + 1);
	ck_assert_uint_eq(weir_ctx_deadline(&b), t);
	ck_assert_uint_eq(timers(), 1);
	weir_ctx_fini(&b);
	weir_ctx_init_deadline(&b, &a, t - 1);
	ck_assert_uint_eq(weir_ctx_deadline(&b), t - 1);
	ck_assert_uint_eq(timers(), 2);
	weir_ctx_fini(&b);
	weir_ctx_init(&b, &a);
	ck_assert_uint_eq(weir_ctx_deadline(&b), t);
	weir_ctx_fini(&b);
	weir_ctx_fini(&a);
	ck_assert_uint_eq(weir_ctx_deadline(root), WEIR_FOREVER);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_deadline_under_a_parent_that_is_done_is_told_but_never_comes)
{
	begin();
	cancelled();
	weir_ctx_init_deadline(&b, &a, weir_now(loop) + WEIR_S);
	ck_ctx(&b, -ECANCELED, -ECANCELED);
	ck_assert_uint_eq(weir_ctx_deadline(&b), weir_now(loop) + WEIR_S);
	ck_assert_uint_eq(timers(), 0);
	weir_ctx_fini(&b);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

START_TEST(cancel_and_fini_take_the_timer_along)
{
	begin();
	weir_ctx_init_timeout(&a, root, WEIR_S);
	weir_ctx_init_timeout(&b, root, WEIR_S);
	ck_assert_uint_eq(timers(), 2);
	weir_ctx_cancel(&a, 0);
	ck_assert_uint_eq(timers(), 1);
	weir_ctx_fini(&b);
	ck_assert_uint_eq(timers(), 0);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_timeout_that_ends_after_the_end_of_time_never_comes)
{
	begin();
	weir_ctx_init_timeout(&a, root, WEIR_FOREVER - 1);
	ck_assert_uint_eq(weir_ctx_deadline(&a), WEIR_FOREVER);
	ck_assert_uint_eq(timers(), 0);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_timeout_set_by_the_host_counts_from_now_not_from_the_last_turn)
{
	uint64_t t;

	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1 });
	weir_loop_dispatch(loop);
	t = kit_now() + WEIR_MS;
	while (kit_now() < t)
		;
	ck_assert_uint_ge(weir_now(loop), t);
	weir_ctx_init_timeout(&a, weir_loop_ctx(loop), WEIR_HOUR);
	ck_assert_uint_ge(weir_ctx_deadline(&a), t + WEIR_HOUR);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

struct sleeper { struct weir_frame co; struct weir_ctx *ctx; uint64_t ns; int rc, cancels; };

static WEIR_CO(sleeper, self, op)
{
	if (self->ctx && !self->cancels)
		weir_ctx_enter(op, self->ctx);
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	if (self->cancels)
		weir_ctx_cancel(self->ctx, CHILD);
	else if (self->ctx)
		weir_ctx_leave(op, self->ctx);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(of_a_timeout_and_a_cancel_in_one_turn_the_first_wins)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), sleeper, .ctx = &a, .ns = WEIR_S,
				 .cancels = 1), 0);
	weir_ctx_init_timeout(&a, root, WEIR_S);
	ck_assert_int_eq(weir_loop_run(loop), 0);	/* due times come before tasks */
	ck_ctx(&a, -ETIMEDOUT, -ETIMEDOUT);
	weir_ctx_fini(&a);

	weir_ctx_init_timeout(&a, root, WEIR_S);
	weir_advance(loop, WEIR_S);
	weir_ctx_cancel(&a, CHILD);
	weir_loop_dispatch(loop);
	ck_ctx(&a, -ECANCELED, CHILD);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

/* ---- values ---- */

START_TEST(a_value_is_that_of_the_nearest_ctx_that_has_the_key)
{
	static char color, size, other;
	static int red, blue, small;
	struct weir_ctx c;

	begin();
	weir_ctx_init(&a, root);
	weir_ctx_set(&a, &color, &red);
	weir_ctx_init_detached(&b, &a, WEIR_FOREVER);
	weir_ctx_set(&b, &size, &small);
	weir_ctx_init(&c, &b);
	ck_assert_ptr_eq(weir_ctx_get(&c, &color), &red);
	ck_assert_ptr_eq(weir_ctx_get(&c, &size), &small);
	ck_assert_ptr_null(weir_ctx_get(&c, &other));
	ck_assert_ptr_null(weir_ctx_get(&a, &size));
	weir_ctx_set(&c, &color, &blue);
	ck_assert_ptr_eq(weir_ctx_get(&c, &color), &blue);
	ck_assert_ptr_eq(weir_ctx_get(&b, &color), &red);
	weir_ctx_cancel(root, 0);
	ck_assert_ptr_eq(weir_ctx_get(&b, &color), &red);
	weir_ctx_fini(&c);
	weir_ctx_fini(&b);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

/* ---- trees ---- */

#define NODES	60
#define LEVELS	30

struct node {
	struct weir_ctx ctx;
	int parent;		/* -1: the root */
	int level;
	char value;
	bool detached, done;
};

static struct node nodes[NODES];

static unsigned below(unsigned n)
{
	return (unsigned)(weir_random(loop) % n);
}

/* Of the latest ones, so that the tree becomes deep. */
static int some_parent(int i)
{
	int p = i - 1 - (int)below(i < 3 ? (unsigned)i + 1 : 3);

	return p >= 0 && nodes[p].level >= LEVELS ? -1 : p;
}

static void plant(int i)
{
	struct node *n = &nodes[i];
	struct weir_ctx *parent;

	n->parent = some_parent(i);
	n->level = n->parent < 0 ? 1 : nodes[n->parent].level + 1;
	parent = n->parent < 0 ? root : &nodes[n->parent].ctx;
	n->detached = below(8) == 0;
	n->done = false;
	if (n->detached)
		weir_ctx_init_detached(&n->ctx, parent, WEIR_FOREVER);
	else if (below(2))
		weir_ctx_init_timeout(&n->ctx, parent, FAR + below(1000));
	else
		weir_ctx_init(&n->ctx, parent);
	weir_ctx_set(&n->ctx, n, &n->value);
}

/* What the whole tree should be once node i is cancelled. */
static void expect(int i)
{
	int k;

	nodes[i].done = true;
	for (k = i + 1; k < NODES; k++)
		if (nodes[k].parent >= 0 && nodes[nodes[k].parent].done && !nodes[k].detached)
			nodes[k].done = true;
}

/* How many nodes are not as they should be.  (An assertion for each would take longer than all.) */
static int wrong_nodes(void)
{
	int i, p, wrong = 0;

	for (i = 0; i < NODES; i++) {
		wrong += (weir_ctx_err(&nodes[i].ctx) != 0) != nodes[i].done;
		for (p = i; p >= 0; p = nodes[p].parent)
			wrong += weir_ctx_get(&nodes[i].ctx, &nodes[p]) != &nodes[p].value;
	}
	return wrong;
}

START_TEST(a_cancel_ends_exactly_what_is_below)
{
	int round, i, k;

	begin();
	for (round = 0; round < 200; round++) {
		for (i = 0; i < NODES; i++)
			plant(i);
		for (k = 0; k < 3; k++) {
			i = (int)below(NODES);
			weir_ctx_cancel(&nodes[i].ctx, -1000 - i);
			expect(i);
			ck_assert_int_eq(wrong_nodes(), 0);
		}
		for (i = NODES - 1; i >= 0; i--)
			weir_ctx_fini(&nodes[i].ctx);
		ck_assert_ptr_eq(root->children.next, root->children.prev);	/* the group */
		ck_assert(weir_list_empty_(&loop->detached));
		ck_assert_uint_eq(timers(), 0);
	}
	test_loop_free(loop);
}
END_TEST

START_TEST(a_ctx_in_the_middle_left_alone_passes_the_cancel_on)
{
	struct weir_ctx c;

	begin();
	weir_ctx_init(&a, root);
	weir_ctx_init(&b, &a);
	weir_ctx_init(&c, &b);
	weir_ctx_cancel(&a, PARENT);
	ck_ctx(&c, -ECANCELED, PARENT);
	weir_ctx_fini(&c);
	weir_ctx_fini(&b);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

#define DEEP	100000

/* On a stack that no recursion so deep would fit into. */
static void *cancel_a_deep_chain(void *arg)
{
	struct weir_ctx *chain = calloc(DEEP, sizeof *chain);
	int i;

	(void)arg;
	ck_assert_ptr_nonnull(chain);
	begin();
	for (i = 0; i < DEEP; i++)
		weir_ctx_init(&chain[i], i ? &chain[i - 1] : root);
	weir_ctx_cancel(&chain[0], PARENT);
	ck_ctx(&chain[DEEP - 1], -ECANCELED, PARENT);
	ck_assert_ptr_null(weir_ctx_get(&chain[DEEP - 1], chain));
	for (i = DEEP; i--;)
		weir_ctx_fini(&chain[i]);
	test_loop_free(loop);
	free(chain);
	return NULL;
}

START_TEST(a_chain_of_100000_is_cancelled_without_recursion)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 512 * 1024);
	ck_assert_int_eq(pthread_create(&thread, &attr, cancel_a_deep_chain, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attr);
}
END_TEST

/* ---- tasks ---- */

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

/* CPU time from the cancel of n tasks until the last has ended, the best of three. */
static uint64_t time_to_cancel(int n)
{
	uint64_t best = WEIR_FOREVER, t;
	int i, round;

	for (round = 0; round < 3; round++) {
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

/* ---- callbacks ---- */

static struct weir_after after[4];
static int ran[4];

static void count(struct weir_after *f)
{
	ran[f - after]++;
}

START_TEST(a_callback_runs_once_after_the_cancel_has_returned)
{
	begin();
	weir_ctx_init(&a, root);
	weir_ctx_after(&a, &after[0], count);
	weir_ctx_after(&a, &after[1], count);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0], 0);
	weir_ctx_cancel(&a, 0);
	ck_assert_int_eq(ran[0], 0);
	weir_loop_dispatch(loop);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0], 1);
	ck_assert_int_eq(ran[1], 1);
	ck_assert(!weir_ctx_after_stop(&after[0]));
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_callback_that_is_stopped_does_not_run)
{
	begin();
	weir_ctx_init(&a, root);
	weir_ctx_after(&a, &after[0], count);
	weir_ctx_after(&a, &after[1], count);
	ck_assert(weir_ctx_after_stop(&after[0]));
	ck_assert(!weir_ctx_after_stop(&after[0]));
	weir_ctx_cancel(&a, 0);
	ck_assert(weir_ctx_after_stop(&after[1]));	/* due, but not begun */
	ck_assert(!weir_ctx_after_stop(&after[1]));
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0] + ran[1], 0);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_callback_on_a_ctx_that_is_done_runs_in_the_next_turn)
{
	begin();
	cancelled();
	weir_ctx_after(&a, &after[0], count);
	ck_assert_int_eq(ran[0], 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0], 1);
	weir_ctx_fini(&a);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_ctx_that_goes_takes_its_callbacks_along_even_if_they_are_due)
{
	begin();
	weir_ctx_init(&a, root);
	weir_ctx_after(&a, &after[0], count);
	weir_ctx_fini(&a);
	ck_assert(!weir_ctx_after_stop(&after[0]));

	weir_ctx_init(&a, root);
	weir_ctx_after(&a, &after[0], count);
	weir_ctx_cancel(&a, 0);
	weir_ctx_after(&a, &after[1], count);
	weir_ctx_fini(&a);
	memset(&a, 0xff, sizeof a);
	memset(after, 0xff, sizeof after);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0] + ran[1], 0);
	test_loop_free(loop);
}
END_TEST

static void fini_and_count(struct weir_after *f)
{
	weir_ctx_fini(&a);
	memset(&a, 0xff, sizeof a);
	count(f);
}

START_TEST(a_callback_may_end_the_ctx_and_so_stop_the_next)
{
	begin();
	weir_ctx_init(&a, root);
	weir_ctx_after(&a, &after[0], fini_and_count);
	weir_ctx_after(&a, &after[1], count);
	weir_ctx_cancel(&a, 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0], 1);
	ck_assert_int_eq(ran[1], 0);
	test_loop_free(loop);
}
END_TEST

static void again(struct weir_after *f)
{
	count(f);
	weir_ctx_after(&a, f, again);
}

START_TEST(a_callback_that_asks_for_itself_again_runs_once_a_turn)
{
	int i;

	begin();
	cancelled();
	weir_ctx_after(&a, &after[0], again);
	for (i = 1; i <= 5; i++) {
		weir_loop_dispatch(loop);
		ck_assert_int_eq(ran[0], i);
	}
	weir_ctx_fini(&a);
	test_loop_free(loop);
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
	ck_aborts(fini_with_a_child, "weir_ctx_fini() with a child left at tests/core/ctx.c:");
	ck_aborts(fini_with_a_task, "weir_ctx_fini() with tasks under it at tests/core/ctx.c:");
	ck_aborts(fini_with_a_waiter, "weir_ctx_fini() of a ctx waited for at tests/core/ctx.c:");
}
END_TEST

TESTS("ctx",
      err_and_cause_are_those_of_go,
      the_first_cause_stays_and_cancelling_again_is_nothing,
      a_deadline_ends_the_ctx_at_its_time_and_not_before,
      a_deadline_that_is_not_in_the_future_has_passed,
      a_deadline_later_than_the_parents_is_the_parents_and_needs_no_timer,
      a_deadline_under_a_parent_that_is_done_is_told_but_never_comes,
      cancel_and_fini_take_the_timer_along,
      a_timeout_that_ends_after_the_end_of_time_never_comes,
      a_timeout_set_by_the_host_counts_from_now_not_from_the_last_turn,
      of_a_timeout_and_a_cancel_in_one_turn_the_first_wins,
      a_value_is_that_of_the_nearest_ctx_that_has_the_key,
      a_cancel_ends_exactly_what_is_below,
      a_ctx_in_the_middle_left_alone_passes_the_cancel_on,
      a_chain_of_100000_is_cancelled_without_recursion,
      every_await_under_a_ctx_that_is_done_fails_until_it_is_left,
      scopes_nest,
      a_task_may_cancel_what_it_is_under,
      waiting_for_another_ctx_ends_with_it_in_order_and_without_an_error,
      to_cancel_100000_tasks_takes_about_100_times_as_long_as_1000,
      a_callback_runs_once_after_the_cancel_has_returned,
      a_callback_that_is_stopped_does_not_run,
      a_callback_on_a_ctx_that_is_done_runs_in_the_next_turn,
      a_ctx_that_goes_takes_its_callbacks_along_even_if_they_are_due,
      a_callback_may_end_the_ctx_and_so_stop_the_next,
      a_callback_that_asks_for_itself_again_runs_once_a_turn,
      a_ctx_entered_by_two_tasks_at_a_time_aborts,
      leaving_in_the_wrong_order_aborts,
      fini_of_a_ctx_that_is_in_use_aborts_and_says_where_it_was_made)
