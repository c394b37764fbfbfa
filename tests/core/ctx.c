/* SPDX-License-Identifier: MIT */
/*
 * ctx.c - the tree of contexts: cancel, causes, deadlines, values.
 *
 * The causes are those of Go's own table, TestCause; what it asks of Go's contexts holds here.
 */
#include <pthread.h>
#include <stdlib.h>

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

struct canceller { struct weir_frame co; struct weir_ctx *ctx; uint64_t ns; int rc; };

static WEIR_CO(canceller, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	weir_ctx_cancel(self->ctx, CHILD);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(of_a_timeout_and_a_cancel_in_one_turn_the_first_wins)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), canceller, .ctx = &a, .ns = WEIR_S),
			 0);
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
      a_chain_of_100000_is_cancelled_without_recursion)
