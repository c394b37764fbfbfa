/* SPDX-License-Identifier: MIT */
/*
 * select.c - waiting for the first of several ops.
 *
 * First every arm that may end is tried, in random or in given order, each without effect unless it
 * ends; nothing else runs meanwhile, so it is as if all were looked at in one instant.  Then each
 * is parked.  None is tried while another is parked: so a select never meets itself on a channel.
 * The first arm that ends withdraws the others, before the task is ready; kernel ops let go a
 * little later, and the select waits for that.
 */
#include <string.h>

#include "core/loop.h"
#include "weir/chan.h"
#include "weir/select.h"

#define NO_WINNER	(-1)

static struct weir_op *arm_op(const struct weir_choice *c, size_t i)
{
	return &c->arms[i].op;
}

/* A select cannot be an arm: its arms would tell the outer one of their ends. */
__attribute__((noinline, cold))
static bool look_at_arms(struct weir_op *op)
{
	if (op->u.choice.n > WEIR_SELECT_MAX || op->flags & WEIR_OP_ARM_) {
		op->res = -EINVAL;
		return true;
	}
	weir_seen_arms_(op);
	return false;
}

static inline bool arms_wrong(struct weir_op *op)
{
	return (op->u.choice.n > WEIR_SELECT_MAX ||
		op->flags & (WEIR_OP_ARM_ | WEIR_OP_NOTED_)) && look_at_arms(op);
}

/* False: an attempt would not end the arm.  An attempt is a call through a pointer, which in random
 * order no processor foresees, and nearly all arms are of these kinds.  Of a channel that is
 * closed, or watched by the kit, the attempt knows best. */
static inline bool may_end(const struct weir_op *arm)
{
	const struct weir_ctx *ctx = arm->u.wait.obj;
	const struct weir_chan *ch = arm->u.wait.obj;

	switch (arm->def->glance) {
	case WEIR_GLANCE_CTX_:
		return ctx->err;
	case WEIR_GLANCE_SEND_:
		return ch && (ch->room || !ch->quick || !weir_list_empty_(&ch->receivers));
	case WEIR_GLANCE_RECV_:
		return ch && (ch->len || !ch->quick || ch->offers);
	default:
		return arm->def->attempt;
	}
}

static inline bool try_arm(struct weir_op *op, size_t i)
{
	struct weir_arm *a = &op->u.choice.arms[i];

	a->task = weir_container_of(op, struct weir_task, op);
	if (!a->op.def->attempt(&a->op)) {
		a->op.res = -ECANCELED;
		return false;
	}
	a->op.state = WEIR_OP_DONE_;
	op->res = (int)i;
	return true;
}

static bool ordered_attempt(struct weir_op *op)
{
	unsigned i;

	if (arms_wrong(op))
		return true;
	for (i = 0; i < op->u.choice.n; i++)
		if (may_end(arm_op(&op->u.choice, i)) && try_arm(op, i))
			return true;
	return false;
}

/* Takes a number below n out of bits and leaves the rest of them, as digits are taken off a
 * fraction by multiplying: log2(n) bits go with it. */
static size_t draw(uint64_t *bits, size_t n)
{
	size_t i = (*bits >> 32) * n >> 32;

	*bits *= n;
	return i;
}

#define DRAWS	8	/* for one set of bits: less than 48 of them are taken, of 64 */

/* Draws the n arms of the row in random order, one at a time, as many as it takes: the last takes
 * the place of the one drawn. */
static bool try_row(struct weir_op *op, unsigned char *row, size_t n)
{
	struct weir_loop *loop = weir_container_of(op, struct weir_task, op)->ctx->loop;
	uint64_t bits;

	for (bits = weir_random_(loop); n; n--) {
		unsigned char *drawn;

		if (n % DRAWS == 0)
			bits = weir_random_(loop);
		drawn = &row[draw(&bits, n)];
		if (try_arm(op, *drawn))
			return true;
		*drawn = row[n - 1];
	}
	return false;
}

/* One that may end is drawn first of all, with no look at the others: where many may, that is it.
 * The last arm is the ctx, as a rule, which cannot. */
static bool random_attempt(struct weir_op *op)
{
	const struct weir_choice *c = &op->u.choice;
	unsigned char row[WEIR_SELECT_MAX];
	size_t left = c->n, n = 0, i, drawn = 0;
	uint64_t bits;

	if (arms_wrong(op))
		return true;
	while (left && !may_end(arm_op(c, left - 1)))
		left--;
	if (!left)
		return false;
	if (left > 1) {
		bits = weir_random_(weir_container_of(op, struct weir_task, op)->ctx->loop);
		drawn = draw(&bits, left);
	}
	if (may_end(arm_op(c, drawn)) && try_arm(op, drawn))
		return true;
	for (i = 0; i < left; i++) {
		row[n] = (unsigned char)i;
		n += i != drawn && may_end(arm_op(c, i));
	}
	return n && try_row(op, row, n);
}

static bool try_attempt(struct weir_op *op)
{
	if (!random_attempt(op))
		op->res = -EAGAIN;
	return true;
}

/* ---- waiting ---- */

/* What an arm has won goes back, if it is of the kind that can. */
static bool give_back(struct weir_op *arm, int err)
{
	if (!arm->def->revoke || arm->res < 0)
		return false;
	arm->def->revoke(arm, err);
	return true;
}

static int outcome(const struct weir_choice *c)
{
	return c->winner == NO_WINNER ? c->err : c->winner;
}

/* From here on no arm wins, not even one that a withdrawal hands something to: two arms may wait in
 * one queue, the first in the way of the second. */
static void withdraw_all(struct weir_choice *c)
{
	bool busy = c->busy;
	unsigned i;

	c->over = c->busy = true;
	for (i = 0; i < c->n; i++) {
		struct weir_op *arm = arm_op(c, i);

		if (arm->state != WEIR_OP_WAITS_ || arm->flags & WEIR_OP_CANCELLED_)
			continue;
		if (weir_op_withdraw_(arm))
			arm->state = WEIR_OP_IDLE_;
		else
			c->left++;
	}
	c->busy = busy;
}

static void won(struct weir_choice *c, int i)
{
	c->winner = i;
	withdraw_all(c);
}

static void revoke(struct weir_op *op, int err)
{
	struct weir_op *arm = arm_op(&op->u.choice, (unsigned)op->res);

	if (give_back(arm, err))
		op->res = err;
}

static void end(struct weir_op *op)
{
	bool cancelled = op->flags & WEIR_OP_CANCELLED_;
	int err = op->u.choice.err;

	weir_op_done_(op, outcome(&op->u.choice));
	if (cancelled && op->res >= 0)
		revoke(op, err);
}

/* A withdrawn arm that the kernel has let go of may have moved data all the same.  If the select
 * was cancelled and has nothing else to tell of, that is what it tells, so that nothing is lost. */
static void let_go(struct weir_choice *c, int i)
{
	c->left--;
	if (c->winner == NO_WINNER && arm_op(c, (size_t)i)->res >= 0)
		c->winner = i;
}

static void arm_done(struct weir_op *op, struct weir_op *arm)
{
	struct weir_choice *c = &op->u.choice;
	int i = (int)((struct weir_arm *)(void *)arm - c->arms);

	if (arm->flags & WEIR_OP_CANCELLED_)
		let_go(c, i);
	else if (c->over)
		give_back(arm, -ECANCELED);
	else
		won(c, i);
	if (!c->left && !c->busy)
		end(op);
}

static bool park(struct weir_op *op)
{
	struct weir_task *t = weir_container_of(op, struct weir_task, op);
	struct weir_choice *c = &op->u.choice;
	unsigned i;

	c->left = 0;
	c->winner = NO_WINNER;
	c->err = -ECANCELED;
	c->over = false;
	c->busy = true;
	for (i = 0; i < c->n && !c->over; i++) {
		struct weir_op *arm = arm_op(c, i);

		c->arms[i].task = t;
		arm->state = WEIR_OP_WAITS_;
		if (!arm->def->park(arm))
			continue;
		arm->state = WEIR_OP_DONE_;
		won(c, (int)i);
	}
	c->busy = false;
	op->res = outcome(c);
	return c->over && !c->left;
}

static bool cancel(struct weir_op *op)
{
	struct weir_choice *c = &op->u.choice;

	c->err = weir_op_task(op)->ctx->err;
	if (!c->over)
		withdraw_all(c);
	return !c->left;
}

const struct weir_op_def weir_select_def_ = {
	.name = "select", .attempt = random_attempt, .park = park, .cancel = cancel,
	.revoke = revoke, .arm_done = arm_done,
};
const struct weir_op_def weir_select_ordered_def_ = {
	.name = "select", .attempt = ordered_attempt, .park = park, .cancel = cancel,
	.revoke = revoke, .arm_done = arm_done,
};
const struct weir_op_def weir_select_try_def_ = {
	.name = "select", .attempt = try_attempt, .park = park, .cancel = cancel,
	.revoke = revoke, .arm_done = arm_done,
};
