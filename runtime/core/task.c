/* SPDX-License-Identifier: MIT */
/*
 * task.c - spawning, waiting, resuming, ending.
 *
 * A task is in exactly one of these states: ready (in the run queue, op.state DONE or IDLE),
 * running (op.state IDLE), waiting (op.state WAITS, some queue has its op or one of its arms),
 * ended and joinable (leaf NULL, in group->ended).  Its op belongs to what it waits for while it
 * waits, so the run queue may use the op's memory for its link.
 */
#include <stdio.h>
#include <string.h>

#include "core/loop.h"

_Static_assert(sizeof(struct weir_task) % WEIR_FRAME_ALIGN == 0 &&
	       WEIR_SLAB_ALIGN_ % WEIR_FRAME_ALIGN == 0, "the frame behind it is aligned");

/* ---- spawning ---- */

int weir_task_new_(struct weir_task **task, struct weir_group *g, size_t frame_size,
		   struct weir_task **joinable)
{
	struct weir_loop *loop = g->ctx.loop;
	struct weir_task *t;
	unsigned char class;

	if (g->ctx.err)
		return g->ctx.err;
	if (g->limit >= 0 && g->active + g->held >= (unsigned)g->limit)
		return -EAGAIN;
	t = weir_slab_alloc_(&loop->slab, sizeof *t + frame_size, &class);
	if (!t)
		return -ENOMEM;
	t->op.def = NULL;
	t->op.res = 0;
	t->op.state = WEIR_OP_IDLE_;
	t->op.flags = joinable ? WEIR_OP_TRACKED_ : 0;
	t->op.class_ = class;
	t->leaf = weir_task_root_(t);
	t->group = g;
	t->joiner = NULL;
	t->ctx = &g->ctx;
	weir_list_append_(&g->ctx.tasks, &t->in_ctx);
	g->active++;
	loop->stats.tasks++;
	loop->stats.spawned++;
	if (joinable)
		*joinable = t;
	*task = t;
	return 0;
}

void weir_task_start_(struct weir_task *t)
{
	weir_ready_(t);
}

void weir_task_drop_(struct weir_task *t)
{
	weir_list_remove_(&t->in_ctx);
	t->group->active--;
	t->ctx->loop->stats.tasks--;
	t->ctx->loop->stats.spawned--;
	weir_task_free_(t);
}

int weir_spawn(struct weir_group *g, weir_body *body, const void *frame, size_t size,
	       const struct weir_point *made, struct weir_task **joinable)
{
	struct weir_task *t;
	struct weir_frame *root;
	int rc;

	if (size < sizeof *root || size > SIZE_MAX / 2)
		return -EINVAL;
	rc = weir_task_new_(&t, g, size, joinable);
	if (rc)
		return rc;
	root = weir_task_root_(t);
	memcpy(root, frame, size);
	root->body = body;
	root->at = NULL;
	root->up.made = made;
	weir_task_start_(t);
	return 0;
}

/* ---- running ---- */

void weir_task_free_(struct weir_task *t)
{
	weir_slab_free_(&t->ctx->loop->slab, t, t->op.class_);
}

static void task_end(struct weir_task *t)
{
	struct weir_group *g = t->group;
	struct weir_op *joiner = t->joiner;
	int res = t->op.res;

	WEIR_CHECK_(t->ctx == &g->ctx, "a task ended without weir_ctx_leave()",
		    weir_task_root_(t)->at ? weir_task_root_(t)->at->func : NULL);
	weir_list_remove_(&t->in_ctx);
	g->ctx.loop->stats.tasks--;
	t->leaf = NULL;
	if (t->op.flags & WEIR_OP_TRACKED_ && !joiner) {
		weir_list_append_(&g->ended, &t->in_ctx);
	} else {
		weir_task_free_(t);
		if (joiner)
			weir_op_done_(joiner, res);
	}
	weir_group_ended_(g, res);
}

void weir_task_go_on_(struct weir_task *t, struct weir_step step)
{
	while (step.what != WEIR_WAITS_) {
		struct weir_frame *f = t->leaf;

		if (step.what == WEIR_CALLS_) {		/* weir_enter_() moved the leaf down */
			if (!--t->op.budget) {
				weir_ready_(t);	/* calls without end starve nobody either */
				return;
			}
		} else if (f == weir_task_root_(t)) {
			task_end(t);
			return;
		} else {
			f = t->leaf = f->up.caller;
		}
		step = f->body(t, f);
	}
}

/* ---- waiting ---- */

void weir_not_its_own_(const struct weir_op *op)
{
	weir_bug_("await of an op that is not the task's own", op->def->name);
}

bool weir_pause_(struct weir_task *t)
{
	t->op.state = WEIR_OP_DONE_;
	weir_ready_(t);
	return false;
}

void weir_op_done_(struct weir_op *op, int res)
{
	WEIR_CHECK_(op->state == WEIR_OP_WAITS_, "an op ended that nobody waits for",
		    op->def->name);
	op->res = res;
	op->state = WEIR_OP_DONE_;
	if (op->flags & WEIR_OP_ARM_) {
		struct weir_op *choice = &weir_op_task(op)->op;

		choice->def->arm_done(choice, op);
	} else {
		op->flags &= (uint8_t)~WEIR_OP_CANCELLED_;
		weir_ready_(weir_op_task(op));
	}
}

bool weir_op_withdraw_(struct weir_op *op)
{
	if (op->flags & WEIR_OP_CANCELLED_)
		return false;
	op->flags |= WEIR_OP_CANCELLED_;
	return op->def->cancel(op);
}

void weir_task_interrupt_(struct weir_task *t, int err)
{
	struct weir_op *op = &t->op;

	if (op->state == WEIR_OP_WAITS_) {
		if (!(op->def->flags & WEIR_UNINTERRUPTED_) && weir_op_withdraw_(op))
			weir_op_done_(op, err);
	} else if (op->state == WEIR_OP_DONE_ && op->def->revoke && op->res >= 0) {
		op->def->revoke(op, err);
	}
}

const struct weir_point *weir_task_last_point_(const struct weir_task *t)
{
	const struct weir_frame *root = (const struct weir_frame *)(const void *)(t + 1);
	const struct weir_frame *f = t->leaf;

	while (!f->at && f != root)
		f = f->up.caller;
	return f->at ? f->at : root->up.made;
}

void weir_buffer_bug_(struct weir_op *op)
{
	const struct weir_point *p = weir_task_last_point_(weir_op_task(op));
	char where[256] = "";

	if (p)
		snprintf(where, sizeof where, "the %s after %s %s:%d  %s", op->def->name, p->func,
			 p->file, p->line, p->text);
	weir_bug_("buffer on the stack of a coroutine", p ? where : op->def->name);
}

/* ---- yield ---- */

/* As an arm of a select it wins if no other is ready. */
bool weir_yield_park_(struct weir_op *op)
{
	op->res = 0;
	if (op->flags & WEIR_OP_ARM_)
		return true;
	weir_go_last_(weir_op_task(op));
	return false;
}

/* ---- join ---- */

static bool join_attempt(struct weir_op *op)
{
	struct weir_task *t = op->u.wait.obj;

	if (t->joiner) {
		op->res = -EBUSY;
		return true;
	}
	if (t->leaf)
		return false;
	op->res = t->op.res;
	weir_list_remove_(&t->in_ctx);
	weir_task_free_(t);
	return true;
}

static bool join_park(struct weir_op *op)
{
	struct weir_task *t = op->u.wait.obj;

	if (t->joiner) {	/* another arm of the same select */
		op->res = -EBUSY;
		return true;
	}
	t->joiner = op;
	return false;
}

static bool join_cancel(struct weir_op *op)
{
	struct weir_task *t = op->u.wait.obj;

	t->joiner = NULL;
	return true;
}

const struct weir_op_def weir_join_def_ = {
	.name = "join", .attempt = join_attempt, .park = join_park, .cancel = join_cancel,
};
