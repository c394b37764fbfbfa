/* SPDX-License-Identifier: MIT */
/*
 * json.c - weir_dump_json(): every task as JSON, for programs that watch programs.
 *
 * Written through a buffer of the caller's stack, since a loop that is short of memory must be able
 * to tell of itself.  Once a write has failed the rest is dropped.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check/describe.h"
#include "weir/check.h"

#define TEXT	512	/* bytes of what a task waits for; more is cut */

struct out {
	int fd, err;
	size_t len;
	unsigned tasks;
	char buf[4096];
};

static void flush(struct out *o)
{
	size_t done = 0;

	while (done < o->len && !o->err) {
		ssize_t n = write(o->fd, o->buf + done, o->len - done);

		if (n >= 0)
			done += (size_t)n;
		else if (errno != EINTR)
			o->err = -errno;
	}
	o->len = 0;
}

static void put(struct out *o, const char *s, size_t n)
{
	while (n--) {
		if (o->len == sizeof o->buf)
			flush(o);
		o->buf[o->len++] = *s++;
	}
}

static void raw(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

/* What is not ASCII stays as it is: source and names are UTF-8, or it is not weir's to mend. */
static void quoted(struct out *o, const char *s)
{
	char code[8];

	raw(o, "\"");
	for (; *s; s++) {
		if (*s == '"' || *s == '\\') {
			put(o, "\\", 1);
			put(o, s, 1);
		} else if ((unsigned char)*s < ' ' || *s == 127) {
			snprintf(code, sizeof code, "\\u%04x", (unsigned char)*s);
			raw(o, code);
		} else {
			put(o, s, 1);
		}
	}
	raw(o, "\"");
}

static void field(struct out *o, const char *name, const char *value)
{
	quoted(o, name);
	raw(o, ":");
	quoted(o, value);
}

static void point(struct out *o, const struct weir_point *p)
{
	char line[32];

	raw(o, "{");
	field(o, "func", p->func);
	raw(o, ",");
	field(o, "file", p->file);
	snprintf(line, sizeof line, ",\"line\":%d,", p->line);
	raw(o, line);
	field(o, "text", p->text);
	raw(o, "}");
}

/* A frame that has not begun has no place. */
static void stack(struct out *o, struct weir_task *t)
{
	struct weir_frame *root = weir_task_root_(t), *f;
	bool more = false;

	raw(o, ",\"stack\":[");
	for (f = t->leaf; ; f = f->up.caller) {
		if (f->at) {
			raw(o, more ? ",\n   " : "\n   ");
			point(o, f->at);
			more = true;
		}
		if (f == root)
			break;
	}
	raw(o, "]");
	if (!root->up.made)
		return;
	raw(o, ",\n  \"spawned\":");
	point(o, root->up.made);
}

static void waits(struct out *o, const struct weir_op *op)
{
	char what[TEXT];

	field(o, "for", op->def ? op->def->name : "");
	if (op->state != WEIR_OP_WAITS_ || !weir_describe_(what, sizeof what, op))
		return;
	raw(o, ",");
	field(o, "on", what);
}

static void arms(struct out *o, const struct weir_task *t)
{
	const struct weir_choice *c = &t->op.u.choice;
	unsigned i;

	if (t->op.state != WEIR_OP_WAITS_ || !t->op.def->arm_done)
		return;
	raw(o, ",\"arms\":[");
	for (i = 0; i < c->n; i++) {
		raw(o, i ? ",\n   {" : "\n   {");
		waits(o, &c->arms[i].op);
		raw(o, "}");
	}
	raw(o, "]");
}

static const char *state(const struct weir_task *t)
{
	switch (t->op.state) {
	case WEIR_OP_WAITS_:
		return t->op.flags & WEIR_OP_CANCELLED_ ? "gives up" : "waits";
	case WEIR_OP_DONE_:
		return "ready";
	default:
		return weir_task_is_new_(t) ? "new" : "runs";
	}
}

static void task(struct out *o, struct weir_task *t)
{
	char number[32];

	snprintf(number, sizeof number, "%s\n {\"task\":%u,", o->tasks ? "," : "", o->tasks + 1);
	o->tasks++;
	raw(o, number);
	field(o, "group", t->group->ctx.made);
	raw(o, ",");
	field(o, "state", state(t));
	if (t->op.state != WEIR_OP_IDLE_) {
		raw(o, ",");
		waits(o, &t->op);
	}
	arms(o, t);
	stack(o, t);
	raw(o, "}");
}

static void tasks_of(void *arg, struct weir_ctx *ctx)
{
	struct weir_list *l;

	for (l = ctx->tasks.next; l != &ctx->tasks; l = l->next)
		task(arg, weir_container_of(l, struct weir_task, in_ctx));
}

int weir_dump_json(const struct weir_loop *loop, int fd)
{
	struct weir_loop *l = (struct weir_loop *)(uintptr_t)loop;	/* only read */
	struct out o = { .fd = fd };
	char now[48];

	snprintf(now, sizeof now, "{\"now\":%llu,\"tasks\":[", (unsigned long long)weir_now(loop));
	raw(&o, now);
	weir_ctx_each_(l, tasks_of, &o);
	raw(&o, "]}\n");
	flush(&o);
	return o.err;
}
