/* SPDX-License-Identifier: MIT */
/*
 * ctx.c - the tree of contexts.
 *
 * A ctx that is done has only done ones below it, at every moment that a caller can see.  Ending a
 * tree walks it without recursion and runs no task and no callback: tasks become ready, callbacks
 * are queued.
 */
#include "core/loop.h"
#include "core/watch.h"

static void deadline_fire(struct weir_timer *t)
{
	struct weir_ctx *ctx = weir_container_of(t, struct weir_ctx, timer);

	ctx->timed = false;
	weir_ctx_cancel_(ctx, -ETIMEDOUT, ctx->late, "its deadline");
}

static void init(struct weir_ctx *ctx, struct weir_loop *loop, struct weir_ctx *parent,
		 const char *made)
{
	ctx->err = 0;
	ctx->cause = 0;
	ctx->loop = loop;
	ctx->parent = parent;
	ctx->outer = NULL;
	weir_list_init_(&ctx->children);
	weir_list_init_(&ctx->tasks);
	weir_list_init_(&ctx->waiters);
	weir_list_init_(&ctx->afters);
	weir_list_init_(&ctx->watches);
	ctx->deadline = WEIR_FOREVER;
	ctx->late = 0;
	ctx->key = NULL;
	ctx->value = NULL;
	ctx->made = made;
	ctx->by = NULL;
	ctx->detached = false;
	ctx->timed = false;
}

void weir_ctx_init_root_(struct weir_ctx *ctx, struct weir_loop *loop)
{
	init(ctx, loop, NULL, "its loop");
}

static void set_deadline(struct weir_ctx *ctx, uint64_t deadline, int late)
{
	ctx->deadline = deadline;
	if (deadline == WEIR_FOREVER || ctx->err)
		return;
	ctx->late = late;
	if (deadline <= weir_clock_(ctx->loop)) {
		weir_ctx_cancel_(ctx, -ETIMEDOUT, late, "its deadline");
		return;
	}
	weir_timer_start_(ctx->loop, &ctx->timer, deadline, deadline_fire);
	ctx->timed = true;
}

void weir_ctx_init_(struct weir_ctx *ctx, struct weir_ctx *parent, uint64_t deadline, int late,
		    const char *made)
{
	init(ctx, parent->loop, parent, made);
	weir_list_append_(&parent->children, &ctx->sibling);
	ctx->deadline = parent->deadline;
	if (parent->err) {
		ctx->err = parent->err;
		ctx->cause = parent->cause;
		ctx->by = parent->by;
	}
	if (deadline < parent->deadline)	/* a later one needs no timer of its own */
		set_deadline(ctx, deadline, late);
}

void weir_ctx_init_detached_(struct weir_ctx *ctx, struct weir_ctx *parent, uint64_t deadline,
			     const char *made)
{
	init(ctx, parent->loop, parent, made);
	ctx->detached = true;
	weir_list_append_(&ctx->loop->detached, &ctx->sibling);
	set_deadline(ctx, deadline, 0);
}

static uint64_t from_now(const struct weir_ctx *ctx, uint64_t ns)
{
	return weir_time_add(weir_clock_(ctx->loop), ns);
}

void weir_ctx_init_timeout_(struct weir_ctx *ctx, struct weir_ctx *parent, uint64_t ns, int late,
			    const char *made)
{
	weir_ctx_init_(ctx, parent, from_now(parent, ns), late, made);
}

static void untime(struct weir_ctx *ctx)
{
	if (!ctx->timed)
		return;
	weir_timer_stop_(ctx->loop, &ctx->timer);
	ctx->timed = false;
}

void weir_ctx_fini(struct weir_ctx *ctx)
{
	WEIR_CHECK_(weir_list_empty_(&ctx->tasks), "weir_ctx_fini() with tasks under it",
		    ctx->made);
	WEIR_CHECK_(weir_list_empty_(&ctx->children), "weir_ctx_fini() with a child left",
		    ctx->made);
	WEIR_CHECK_(weir_list_empty_(&ctx->waiters), "weir_ctx_fini() of a ctx waited for",
		    ctx->made);
	untime(ctx);
	while (!weir_list_empty_(&ctx->afters))
		weir_ctx_after_stop(weir_container_of(ctx->afters.next, struct weir_after, link));
	weir_watches_fini_(ctx);
	if (ctx->parent)
		weir_list_remove_(&ctx->sibling);
	weir_list_init_(&ctx->sibling);	/* once more is harmless */
}

void weir_ctx_pass_on_(struct weir_ctx *ctx)
{
	struct weir_list *l;

	for (l = ctx->children.next; l != &ctx->children; l = l->next)
		weir_container_of(l, struct weir_ctx, sibling)->parent = ctx->parent;
	weir_list_splice_(&ctx->sibling, &ctx->children);
	while (!weir_list_empty_(&ctx->afters)) {	/* all are queued */
		l = ctx->afters.next;
		weir_list_remove_(l);
		weir_list_init_(l);
	}
}

/* ---- ending ---- */

static void end_waiters(struct weir_ctx *ctx)
{
	while (!weir_list_empty_(&ctx->waiters)) {
		struct weir_list *l = ctx->waiters.next;

		weir_list_remove_(l);
		weir_op_done_(weir_container_of(l, struct weir_op, u.wait.link), 0);
	}
}

static void queue_after(struct weir_ctx *ctx, struct weir_after *a)
{
	a->state = WEIR_AFTER_QUEUED_;
	weir_list_append_(&ctx->loop->afters, &a->queued);
}

static void queue_afters(struct weir_ctx *ctx)
{
	struct weir_list *l;

	for (l = ctx->afters.next; l != &ctx->afters; l = l->next)
		queue_after(ctx, weir_container_of(l, struct weir_after, link));
}

static void end_one(struct weir_ctx *ctx, int err, int cause, const char *by)
{
	struct weir_list *l;

	ctx->err = err;
	ctx->cause = cause;
	ctx->by = by;
	untime(ctx);
	for (l = ctx->tasks.next; l != &ctx->tasks; l = l->next)
		weir_task_interrupt_(weir_container_of(l, struct weir_task, in_ctx), err);
	end_waiters(ctx);
	queue_afters(ctx);
	weir_watches_done_(ctx);
}

/* The next ctx after c below top, leaving out what is under c unless descend. */
struct weir_ctx *weir_ctx_next_(struct weir_ctx *top, struct weir_ctx *c, bool descend)
{
	if (descend && !weir_list_empty_(&c->children))
		return weir_container_of(c->children.next, struct weir_ctx, sibling);
	for (; c != top; c = c->parent)
		if (c->sibling.next != &c->parent->children)
			return weir_container_of(c->sibling.next, struct weir_ctx, sibling);
	return NULL;
}

void weir_ctx_cancel_(struct weir_ctx *ctx, int err, int cause, const char *by)
{
	struct weir_ctx *c;
	bool alive;

	if (ctx->err)
		return;
	cause = cause ? cause : err;
	for (c = ctx; c; c = weir_ctx_next_(ctx, c, alive)) {
		alive = !c->err;
		if (alive)
			end_one(c, err, cause, by);
	}
	if (ctx->loop->notes)
		weir_past_cancel_(ctx->loop, err);
	weir_loop_touch_(ctx->loop);
}

static void each_below(struct weir_ctx *top, void (*fn)(void *arg, struct weir_ctx *ctx), void *arg)
{
	struct weir_ctx *c;

	for (c = top; c; c = weir_ctx_next_(top, c, true))
		fn(arg, c);
}

void weir_ctx_each_(struct weir_loop *loop, void (*fn)(void *arg, struct weir_ctx *ctx), void *arg)
{
	struct weir_list *l;

	each_below(&loop->ctx, fn, arg);
	for (l = loop->detached.next; l != &loop->detached; l = l->next)
		each_below(weir_container_of(l, struct weir_ctx, sibling), fn, arg);
}

/* ---- values ---- */

void *weir_ctx_get(const struct weir_ctx *ctx, const void *key)
{
	for (; ctx; ctx = ctx->parent)
		if (ctx->key == key)
			return ctx->value;
	return NULL;
}

/* ---- waiting ---- */

static bool wait_attempt(struct weir_op *op)
{
	const struct weir_ctx *ctx = op->u.wait.obj;

	op->res = 0;
	if (ctx->err && ctx->loop->notes)
		weir_past_cancelled_(ctx->loop);
	return ctx->err != 0;
}

static bool wait_park(struct weir_op *op)
{
	struct weir_ctx *ctx = op->u.wait.obj;

	weir_list_append_(&ctx->waiters, &op->u.wait.link);
	return false;
}

static bool wait_cancel(struct weir_op *op)
{
	weir_list_remove_(&op->u.wait.link);
	return true;
}

const struct weir_op_def weir_ctx_wait_def_ = {
	.name = "ctx wait", .attempt = wait_attempt, .park = wait_park, .cancel = wait_cancel,
	.glance = WEIR_GLANCE_CTX_,
};

/* ---- scopes ---- */

void weir_ctx_enter(struct weir_op *op, struct weir_ctx *ctx)
{
	struct weir_task *t = weir_op_task(op);

	WEIR_CHECK_(!ctx->outer, "weir_ctx_enter() of a ctx that is entered already", ctx->made);
	ctx->outer = t->ctx;
	t->ctx = ctx;
	weir_list_remove_(&t->in_ctx);
	weir_list_append_(&ctx->tasks, &t->in_ctx);
}

void weir_ctx_leave(struct weir_op *op, struct weir_ctx *ctx)
{
	struct weir_task *t = weir_op_task(op);

	WEIR_CHECK_(t->ctx == ctx, "weir_ctx_leave() of a ctx the task is not under", ctx->made);
	if (ctx->err && ctx->loop->notes)
		weir_past_cancelled_(ctx->loop);
	t->ctx = ctx->outer;
	ctx->outer = NULL;
	weir_list_remove_(&t->in_ctx);
	weir_list_append_(&t->ctx->tasks, &t->in_ctx);
}

void weir_shield_(struct weir_op *op, struct weir_ctx *ctx, uint64_t ns, const char *made)
{
	struct weir_ctx *outer = weir_op_ctx(op);

	weir_ctx_init_detached_(ctx, outer, from_now(outer, ns), made);
	weir_ctx_enter(op, ctx);
}

void weir_unshield(struct weir_op *op, struct weir_ctx *ctx)
{
	weir_ctx_leave(op, ctx);
	weir_ctx_fini(ctx);
}

/* ---- callbacks ---- */

void weir_ctx_after(struct weir_ctx *ctx, struct weir_after *a, void (*fn)(struct weir_after *a))
{
	a->fn = fn;
	a->loop = ctx->loop;
	a->state = WEIR_AFTER_ARMED_;
	weir_list_append_(&ctx->afters, &a->link);
	if (!ctx->err)
		return;
	queue_after(ctx, a);
	weir_loop_touch_(ctx->loop);
}

bool weir_ctx_after_stop(struct weir_after *a)
{
	if (a->state != WEIR_AFTER_ARMED_ && a->state != WEIR_AFTER_QUEUED_)
		return false;
	if (a->state == WEIR_AFTER_QUEUED_)
		weir_list_remove_(&a->queued);
	weir_list_remove_(&a->link);
	a->state = WEIR_AFTER_OVER_;
	return true;
}
