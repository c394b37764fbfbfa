/* SPDX-License-Identifier: MIT */
/*
 * report.c - what a loop can tell of itself in words: all tasks with their await stacks, leaks.
 *
 * Only reads.  Every task is under a ctx and every ctx is in a tree of the loop's, so nothing is
 * kept for these reports while the loop runs.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check/describe.h"
#include "check/notes.h"
#include "check/tell.h"
#include "weir/stream.h"

void weir_say_(struct weir_sink *s, const char *format, ...)
{
	char line[WEIR_LINE_];
	va_list args;
	size_t len;

	va_start(args, format);
	vsnprintf(line, sizeof line - 1, format, args);
	va_end(args);
	if (s->fd < 0) {
		weir_report_(s->loop, "%s", line);
		return;
	}
	len = strlen(line);
	line[len] = '\n';
	if (write(s->fd, line, len + 1) < 0)	/* nobody to tell */
		return;
}

/* ---- tasks ---- */

static void object(struct weir_sink *s, const struct weir_task *t)
{
	char what[WEIR_LINE_];

	if (t->op.state == WEIR_OP_WAITS_ && weir_describe_(what, sizeof what, &t->op))
		weir_say_(s, "     %s", what);
}

static void arms(struct weir_sink *s, const struct weir_task *t)
{
	const struct weir_choice *c = &t->op.u.choice;
	char what[WEIR_LINE_];
	unsigned i;

	if (t->op.state != WEIR_OP_WAITS_ || !t->op.def->arm_done)
		return;
	for (i = 0; i < c->n; i++) {
		const struct weir_op *arm = &c->arms[i].op;

		if (arm->state == WEIR_OP_WAITS_ && weir_describe_(what, sizeof what, arm))
			weir_say_(s, "     arm %u: %s, %s", i, arm->def->name, what);
		else
			weir_say_(s, "     arm %u: %s", i, arm->def ? arm->def->name : "unused");
	}
}

static void stack(struct weir_sink *s, struct weir_task *t)
{
	struct weir_frame *root = weir_task_root_(t), *f;
	unsigned depth = 0;

	for (f = t->leaf; ; f = f->up.caller) {
		if (f->at)
			weir_say_(s, "  #%u %s %s:%d  %s", depth, f->at->func,
				  weir_base_name_(f->at->file), f->at->line, f->at->text);
		else
			weir_say_(s, "  #%u (has not begun)", depth);
		depth++;
		if (f == root)
			break;
	}
	if (root->up.made)
		weir_say_(s, "  by %s %s:%d  %s", root->up.made->func,
			  weir_base_name_(root->up.made->file), root->up.made->line,
			  root->up.made->text);
}

void weir_tell_task_(struct weir_sink *s, struct weir_task *t, unsigned number,
		     void (*more)(struct weir_sink *s, struct weir_task *t))
{
	weir_say_(s, "task %u in the group of %s %s%s", number, weir_base_name_(t->group->ctx.made),
		  weir_task_state_(t), weir_task_op_name_(t));
	object(s, t);
	arms(s, t);
	if (more)
		more(s, t);
	stack(s, t);
}

static void tasks_of(void *arg, struct weir_ctx *ctx)
{
	struct weir_sink *s = arg;
	struct weir_list *l;

	for (l = ctx->tasks.next; l != &ctx->tasks; l = l->next)
		weir_tell_task_(s, weir_container_of(l, struct weir_task, in_ctx), ++s->n, NULL);
}

void weir_tell_tasks_(struct weir_sink *s)
{
	weir_ctx_each_(s->loop, tasks_of, s);
}

void weir_dump(const struct weir_loop *loop, int fd)
{
	struct weir_sink s = { (struct weir_loop *)(uintptr_t)loop, fd, 0 };	/* only reads */

	weir_tell_tasks_(&s);
}

/* ---- leaks ---- */

static void leaked_ctx(void *arg, struct weir_ctx *ctx)
{
	struct weir_sink *s = arg;

	if (ctx == &ctx->loop->ctx || ctx == &ctx->loop->group.ctx)
		return;
	s->n++;
	weir_say_(s, "weir: leak: a %s made at %s",
		  ctx->timed ? "ctx with a running timer" : "ctx or group", ctx->made);
}

static void leaked_op(void *arg, struct weir_op *op)
{
	struct weir_sink *s = arg;
	const struct weir_point *p = weir_op_task(op)->leaf->at;

	s->n++;
	if (p)
		weir_say_(s, "weir: leak: a kernel op in flight, %s, of %s %s:%d  %s",
			  op->def->name, p->func, p->file, p->line, p->text);
	else
		weir_say_(s, "weir: leak: a kernel op in flight, %s, of a new frame",
			  op->def->name);
}

static void leaked_port(void *arg, const char *made)
{
	struct weir_sink *s = arg;

	s->n++;
	weir_say_(s, "weir: leak: an open port made at %s", made);
}

static void leaked_streams(struct weir_sink *s, const struct weir_loop *loop)
{
	const struct weir_list *l;

	for (l = loop->streams.next; l != &loop->streams; l = l->next, s->n++) {
		const struct weir_stream *st = weir_container_of(l, struct weir_stream, link);

		weir_say_(s, "weir: leak: an open stream made at %s, %u of its buffers lent",
			  st->made, (unsigned)st->lent);
	}
	for (l = loop->buffers.next; l != &loop->buffers; l = l->next, s->n++)
		weir_say_(s, "weir: leak: a pool of buffers made at %s",
			  weir_container_of(l, struct weir_buffers, link)->made);
}

int weir_report_leaks_(struct weir_loop *loop)
{
	struct weir_sink s = { loop, -1, 0 };

	if (loop->stats.tasks) {
		weir_say_(&s, "weir: leak: %llu tasks when their loop is freed",
			  (unsigned long long)loop->stats.tasks);
		weir_tell_tasks_(&s);
	}
	weir_ctx_each_(loop, leaked_ctx, &s);
	loop->be->ops->each(loop->be, leaked_op, &s);
	weir_ports_each_(loop, leaked_port, &s);
	leaked_streams(&s, loop);
	if (loop->fd_notes)
		s.n += weir_fd_notes_report_(loop);
	s.n += weir_notes_leaks_(loop);
	return (int)s.n;
}
