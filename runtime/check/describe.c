/* SPDX-License-Identifier: MIT */
/*
 * describe.c - see describe.h.
 *
 * The kind of a wait is told by who parks it: the defs of channels and semaphores are in each
 * translation unit anew, what they point to is not.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "check/describe.h"

const char *weir_base_name_(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Where "file:line" ends: a colon and digits, and then a space or nothing more. */
static size_t where_ends(const char *made)
{
	const char *p;

	for (p = strchr(made, ':'); p; p = strchr(p + 1, ':')) {
		size_t n = strspn(p + 1, "0123456789");

		if (n && (p[1 + n] == ' ' || !p[1 + n]))
			return (size_t)(p + 1 + n - made);
	}
	return strlen(made);
}

int weir_made_(const char *made, const char **where, const char **name)
{
	size_t end = where_ends(made), at = end;

	while (at && made[at - 1] != '/')
		at--;
	*where = made + at;
	*name = made[end] ? made + end + 1 : "";
	return (int)(end - at);
}

enum weir_on weir_on_(const struct weir_op *op)
{
	const struct weir_op_def *def = op->def;

	if (def->park == weir_chan_send_park_)
		return op->u.wait.obj ? WEIR_ON_SEND_ : WEIR_ON_NOTHING_;
	if (def->park == weir_chan_recv_park_)
		return op->u.wait.obj ? WEIR_ON_RECV_ : WEIR_ON_NOTHING_;
	if (def->park == weir_sem_park_)
		return WEIR_ON_SEM_;
	if (def == &weir_group_wait_def_)
		return WEIR_ON_GROUP_;
	if (def == &weir_group_slot_def_)
		return WEIR_ON_SLOT_;
	if (def == &weir_join_def_)
		return WEIR_ON_JOIN_;
	if (def == &weir_ctx_wait_def_)
		return WEIR_ON_CTX_;
	if (def == &weir_limiter_wait_def_)
		return WEIR_ON_LIMITER_;
	if (def->arm_done)
		return WEIR_ON_CHOICE_;
	return def->opcode ? WEIR_ON_KERNEL_ : WEIR_ON_OTHER_;
}

/* ---- a text that grows ---- */

struct text {
	char *at;
	size_t left;
};

__attribute__((format(printf, 2, 3)))
static void add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->at, t->left, format, args);
	va_end(args);
	if (n < 0)
		return;
	if ((size_t)n >= t->left)
		n = t->left ? (int)t->left - 1 : 0;
	t->at += n;
	t->left -= (size_t)n;
}

static void add_object(struct text *t, const char *kind, const char *made)
{
	const char *where, *name;
	int n = weir_made_(made, &where, &name);

	add(t, "%s%s%s %s %.*s", kind, *name ? " " : "", name,
	    memchr(where, ':', (size_t)n) ? "made at" : "of", n, where);
}

void weir_name_object_(char *buf, size_t size, const char *kind, const char *made)
{
	struct text t = { buf, size };

	add_object(&t, kind, made);
}

static unsigned length(const struct weir_list *list)
{
	const struct weir_list *l;
	unsigned n = 0;

	for (l = list->next; l != list; l = l->next)
		n++;
	return n;
}

static void add_waiting(struct text *t, unsigned n, const char *who)
{
	if (n)
		add(t, ", %u %s%s", n, who, n == 1 ? " waits" : "s wait");
}

/* ---- objects ---- */

static void chan(struct text *t, const struct weir_chan *ch)
{
	add_object(t, "chan", ch->made);
	add(t, ": ");
	if (ch->cap)
		add(t, "%u of %u items", ch->len, ch->cap);
	else
		add(t, "a rendezvous");
	if (ch->reserved)
		add(t, ", %u reserved", ch->reserved);
	if (!ch->open)
		add(t, ", %s", ch->hungup ? "hung up" : "closed");
	add_waiting(t, length(&ch->senders), "sender");
	add_waiting(t, length(&ch->receivers), "receiver");
}

static void sem(struct text *t, const struct weir_sem *s, uint64_t n)
{
	add(t, "%llu of ", (unsigned long long)n);
	add_object(t, s->shared ? "shared sem" : "sem", s->made);
	if (!s->shared)
		add(t, ": %lld of %lld permits are free", (long long)s->free, (long long)s->size);
	add_waiting(t, s->waiting, "task");
}

static void group(struct text *t, const struct weir_group *g, bool slot)
{
	add_object(t, "the group", g->ctx.made);
	add(t, ": %u task%s left", g->active, g->active == 1 ? "" : "s");
	if (g->held)
		add(t, ", %u place%s held", g->held, g->held == 1 ? "" : "s");
	if (slot)
		add(t, ", limit %d", g->limit);
}

static void limiter(struct text *t, const struct weir_limiter *l, int64_t n)
{
	add(t, "%lld of ", (long long)n);
	add_object(t, "limiter", l->made);
	if (l->bucket.rate < WEIR_RATE_INF)
		add(t, ": %g a second, burst %lld", l->bucket.rate, (long long)l->bucket.burst);
	add_waiting(t, length(&l->waiters), "task");
}

static void joined(struct text *t, const struct weir_task *task)
{
	const struct weir_frame *root = (const struct weir_frame *)(const void *)(task + 1);
	const struct weir_point *made = root->up.made;

	if (made)
		add(t, "the task that %s spawned at %s:%d  %s", made->func,
		    weir_base_name_(made->file), made->line, made->text);
	else
		add(t, "a task");
}

void weir_object_(char *buf, size_t size, const struct weir_op *op)
{
	struct text t = { buf, size };
	const struct weir_chan *ch = op->u.wait.obj;
	const struct weir_sem *s = op->u.wait.obj;
	const struct weir_group *g = op->u.wait.obj;
	const struct weir_ctx *ctx = op->u.wait.obj;

	switch (weir_on_(op)) {
	case WEIR_ON_SEND_:
	case WEIR_ON_RECV_:
		add_object(&t, "chan", ch->made);
		break;
	case WEIR_ON_SEM_:
		add_object(&t, "sem", s->made);
		break;
	case WEIR_ON_GROUP_:
	case WEIR_ON_SLOT_:
		add_object(&t, "the group", g->ctx.made);
		break;
	case WEIR_ON_CTX_:
		add_object(&t, "the ctx", ctx->made);
		break;
	case WEIR_ON_JOIN_:
		joined(&t, op->u.wait.obj);
		break;
	default:
		add(&t, "%s", op->def->name);
	}
}

bool weir_describe_(char *buf, size_t size, const struct weir_op *op)
{
	struct text t = { buf, size };
	enum weir_on on = weir_on_(op);
	const struct weir_ctx *ctx;

	switch (on) {
	case WEIR_ON_SEND_:
	case WEIR_ON_RECV_:
		chan(&t, op->u.wait.obj);
		return true;
	case WEIR_ON_NOTHING_:
		add(&t, "a channel that is NULL, so never ready");
		return true;
	case WEIR_ON_SEM_:
		sem(&t, op->u.wait.obj, op->u.wait.n);
		return true;
	case WEIR_ON_GROUP_:
	case WEIR_ON_SLOT_:
		group(&t, op->u.wait.obj, on == WEIR_ON_SLOT_);
		return true;
	case WEIR_ON_JOIN_:
		joined(&t, op->u.wait.obj);
		return true;
	case WEIR_ON_CTX_:
		ctx = op->u.wait.obj;
		add_object(&t, "the ctx", ctx->made);
		return true;
	case WEIR_ON_LIMITER_:
		limiter(&t, op->u.place.limiter, op->u.place.n);
		return true;
	case WEIR_ON_KERNEL_:
		if (op->u.kernel.fd < 0)
			return false;
		add(&t, "descriptor %d", op->u.kernel.fd);
		return true;
	default:
		return false;
	}
}

/* ---- tasks ---- */

/* Not one that is in its first step, as far as the kit keeps who runs. */
bool weir_task_is_new_(const struct weir_task *t)
{
	const struct weir_frame *root = (const struct weir_frame *)(const void *)(t + 1);

	return !root->at && t->ctx->loop->running != t;
}

/* One that is neither waiting nor over is about to run, or is the one that asks. */
const char *weir_task_state_(const struct weir_task *t)
{
	switch (t->op.state) {
	case WEIR_OP_WAITS_:
		return t->op.flags & WEIR_OP_CANCELLED_ ? "gives up: " : "waits for: ";
	case WEIR_OP_DONE_:
		return "is ready after: ";
	default:
		return weir_task_is_new_(t) ? "is new" : "runs";
	}
}

const char *weir_task_op_name_(const struct weir_task *t)
{
	return t->op.state == WEIR_OP_IDLE_ ? "" : t->op.def->name;
}
