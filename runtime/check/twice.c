/* SPDX-License-Identifier: MIT */
/*
 * twice.c - an op that is started while it still waits: an arm that another select has.
 *
 * Whoever prepares such an arm has overwritten what the other select waits with, so there is no
 * going on: both are named, and the program ends.  An op that is no arm needs no search: a task
 * awaits its own alone, see weir_await_().
 */
#include <stdio.h>

#include "check/tell.h"
#include "core/memory.h"

struct search {
	const struct weir_arm *arm;
	struct weir_task *task;		/* who waits with it; NULL: nobody was found */
};

static bool waits_with(const struct weir_task *t, const struct weir_arm *arm)
{
	const struct weir_choice *c = &t->op.u.choice;

	return t->op.state == WEIR_OP_WAITS_ && t->op.def->arm_done && arm >= c->arms &&
	       arm < c->arms + c->n;
}

static void look_in(void *arg, struct weir_ctx *ctx)
{
	struct search *s = arg;
	struct weir_list *l;

	for (l = ctx->tasks.next; l != &ctx->tasks && !s->task; l = l->next) {
		struct weir_task *t = weir_container_of(l, struct weir_task, in_ctx);

		if (t == s->arm->task && waits_with(t, s->arm))
			s->task = t;
	}
}

static _Noreturn void started_twice(struct weir_loop *loop, const struct search *s)
{
	const struct weir_point *by = loop->from, *p = weir_task_last_point_(s->task);
	char text[WEIR_LINE_];

	snprintf(text, sizeof text, "an arm started twice, by %s %s:%d after  %s; "
		 "it is arm %td of what waits in %s %s:%d  %s", by ? by->func : "a new task",
		 by ? by->file : "", by ? by->line : 0, by ? by->text : "",
		 s->arm - s->task->op.u.choice.arms, p ? p->func : "", p ? p->file : "",
		 p ? p->line : 0, p ? p->text : "");
	weir_fault_(loop, "weir: misuse: %s", text);
	weir_bug_(text, NULL);
}

/* An arm was last with some task, which may be gone: it is looked for, and only compared. */
void weir_seen_arms_(struct weir_op *op)
{
	const struct weir_choice *c = &op->u.choice;
	struct weir_task *t = weir_op_task(op);
	unsigned i;

	for (i = 0; i < c->n; i++) {
		struct search s = { .arm = &c->arms[i] };

		weir_memory_filled_(&c->arms[i].task, sizeof s.arm->task);	/* it will be */
		if (!s.arm->task || s.arm->task == t)
			continue;
		weir_ctx_each_(t->ctx->loop, look_in, &s);
		if (s.task)
			started_twice(t->ctx->loop, &s);
	}
}
