/* SPDX-License-Identifier: MIT */
/*
 * report.c - what a loop can tell of itself: all tasks with their await stacks, deadlocks, leaks.
 *
 * Only reads.  Every task is under a ctx and every ctx is in a tree of the loop's, so nothing is
 * kept for these reports while the loop runs.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/loop.h"

#define LINE_MAX_	512

/* Where a report goes: to a descriptor or to conf.report. */
struct sink {
	struct weir_loop *loop;
	int fd;		/* -1: conf.report */
	unsigned n;	/* things counted so far */
};

__attribute__((format(printf, 2, 3)))
static void say(struct sink *s, const char *format, ...)
{
	char line[LINE_MAX_];
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

static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* One that is neither waiting nor over is about to run, or is the one that asks. */
static const char *state(const struct weir_task *t)
{
	switch (t->op.state) {
	case WEIR_OP_WAITS_:
		return t->op.flags & WEIR_OP_CANCELLED_ ? "gives up: " : "waits for: ";
	case WEIR_OP_DONE_:
		return "is ready after: ";
	default:
		return t->leaf->at ? "runs" : "is new";
	}
}

static const char *what(const struct weir_task *t)
{
	return t->op.state == WEIR_OP_IDLE_ ? "" : t->op.def->name;
}

static void arms(struct sink *s, struct weir_task *t)
{
	const struct weir_choice *c = &t->op.u.choice;
	unsigned i;

	if (t->op.state != WEIR_OP_WAITS_ || !t->op.def->arm_done)
		return;
	for (i = 0; i < c->n; i++)
		say(s, "     arm %u: %s", i,
		    c->arms[i].op.def ? c->arms[i].op.def->name : "unused");
}

static void stack(struct sink *s, struct weir_task *t)
{
	struct weir_frame *root = weir_task_root_(t), *f;
	unsigned depth = 0;

	for (f = t->leaf; ; f = f->up.caller) {
		if (f->at)
			say(s, "  #%u %s %s:%d  %s", depth, f->at->func, base(f->at->file),
			    f->at->line, f->at->text);
		else
			say(s, "  #%u (has not begun)", depth);
		depth++;
		if (f == root)
			break;
	}
	if (root->up.made)
		say(s, "  by %s %s:%d  %s", root->up.made->func, base(root->up.made->file),
		    root->up.made->line, root->up.made->text);
}

static void tasks_of(void *arg, struct weir_ctx *ctx)
{
	struct sink *s = arg;
	struct weir_list *l;

	for (l = ctx->tasks.next; l != &ctx->tasks; l = l->next) {
		struct weir_task *t = weir_container_of(l, struct weir_task, in_ctx);

		say(s, "task %u in the group of %s %s%s", ++s->n, base(t->group->ctx.made),
		    state(t), what(t));
		stack(s, t);
		arms(s, t);
	}
}

void weir_dump(const struct weir_loop *loop, int fd)
{
	struct weir_loop *l = (struct weir_loop *)(uintptr_t)loop;	/* read only, see above */
	struct sink s = { l, fd, 0 };

	weir_ctx_each_(l, tasks_of, &s);
}

void weir_report_deadlock_(struct weir_loop *loop)
{
	struct sink s = { loop, -1, 0 };

	if (!loop->conf.report)
		return;
	say(&s, "weir: all tasks are asleep: deadlock");
	weir_ctx_each_(loop, tasks_of, &s);
}

/* ---- leaks ---- */

static void leaked_ctx(void *arg, struct weir_ctx *ctx)
{
	struct sink *s = arg;

	if (ctx == &ctx->loop->ctx || ctx == &ctx->loop->group.ctx)
		return;
	s->n++;
	say(s, "weir: leak: a %s made at %s",
	    ctx->timed ? "ctx with a running timer" : "ctx or group", ctx->made);
}

static void leaked_op(void *arg, struct weir_op *op)
{
	struct sink *s = arg;
	const struct weir_task *t = weir_op_task(op);

	s->n++;
	say(s, "weir: leak: a kernel op, %s, in flight, of the task in %s", op->def->name,
	    t->leaf->at ? t->leaf->at->func : "a new frame");
}

int weir_report_leaks_(struct weir_loop *loop)
{
	struct sink s = { loop, -1, 0 };

	if (loop->stats.tasks) {
		say(&s, "weir: leak: %llu tasks when their loop is freed",
		    (unsigned long long)loop->stats.tasks);
		weir_ctx_each_(loop, tasks_of, &s);
	}
	weir_ctx_each_(loop, leaked_ctx, &s);
	loop->be->ops->each(loop->be, leaked_op, &s);
	s.n += (unsigned)loop->stats.ports;
	if (loop->stats.ports)
		say(&s, "weir: leak: %llu open ports", (unsigned long long)loop->stats.ports);
	if (loop->fd_notes)
		s.n += weir_fd_notes_report_(loop);
	return (int)s.n;
}
