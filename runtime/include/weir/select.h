/* SPDX-License-Identifier: MIT */
/*
 * select.h - waiting for the first of several ops, Go's select.
 *
 *	weir_ready(weir_chan_recv(&self->arm[0].op, &self->in, &self->item));
 *	weir_ready(weir_sleep(&self->arm[1].op, WEIR_S));
 *	WEIR_AWAIT(i, weir_select(op, self->arm, 2));
 *
 * Any op can be an arm, but for another select: send, receive, sleep, weir_ctx_wait(), join,
 * semaphore, kernel ops; weir_yield() wins if none else is ready.  An arm that did not win had no
 * effect, and nothing of it is left when the await returns: what it would have sent is still yours.
 * The task's own ctx needs no arm, it is checked first.
 *
 * One exception, the kernel's: a kernel op that had already completed when another arm won cannot
 * be undone.  weir_select() then still returns the first, and the late one's arm[j].op.res holds
 * its result (>= 0) where a losing arm's is -ECANCELED; a late descriptor is closed and reads
 * -ECANCELED too.  Check it where a lost read would matter.  If it was not another arm but the ctx
 * that ended the select, such an op wins, and the next await tells of the ctx.
 */
#ifndef WEIR_SELECT_H
#define WEIR_SELECT_H

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_SELECT_MAX	64	/* arms of one select */

extern WEIR_API const struct weir_op_def weir_select_def_, weir_select_ordered_def_,
	weir_select_try_def_;

/* Says that an op is prepared here and awaited as an arm.  Its result is -ECANCELED until it has
 * another: also if the select was never begun, because the ctx was done.  Each arm, for each
 * select; but what waits for a channel, a semaphore or a ctx need only be prepared once, before the
 * first: a loop of selects says weir_ready(&self->arm[i].op), no more, to use it again. */
static inline void weir_ready(struct weir_op *op)
{
	op->res = -ECANCELED;
	op->flags = WEIR_OP_ARM_;
	op->class_ = 0;		/* of no use to an arm, as a budget: this is one store */
	op->state = WEIR_OP_IDLE_;
	op->budget = 0;
}

static inline struct weir_op *weir_select_op_(struct weir_op *op, const struct weir_op_def *def,
					      struct weir_arm *arms, unsigned n)
{
	weir_op_prepare_(op, def);
	op->u.choice.arms = arms;
	op->u.choice.n = n;
	return op;
}

/* Awaits the first of n arms.  Of several that are ready, each wins with the same probability (from
 * the loop's seeded random numbers, as in Go).  Results: the index of the arm, its own result in
 * arms[i].op.res; -EINVAL for more than WEIR_SELECT_MAX arms, and as an arm.  With n = 0 it waits
 * for its ctx. */
WEIR_MUST_USE static inline struct weir_op *weir_select(struct weir_op *op, struct weir_arm *arms,
							unsigned n)
{
	return weir_select_op_(op, &weir_select_def_, arms, n);
}

/* As weir_select(); of several that are ready the first wins. */
WEIR_MUST_USE static inline struct weir_op *
weir_select_ordered(struct weir_op *op, struct weir_arm *arms, unsigned n)
{
	return weir_select_op_(op, &weir_select_ordered_def_, arms, n);
}

/* As weir_select(), but does not wait: -EAGAIN if at this moment no arm was ready (Go's default).
 * Kernel ops are never ready at once. */
WEIR_MUST_USE static inline struct weir_op *
weir_select_try(struct weir_op *op, struct weir_arm *arms, unsigned n)
{
	return weir_select_op_(op, &weir_select_try_def_, arms, n);
}

#ifdef __cplusplus
}
#endif

#endif
