/* SPDX-License-Identifier: MIT */
/*
 * order.c - see order.h and core/seen.h.
 *
 * Vector clocks, by steps: a task that has accessed a region has a clock, which ticks as each of
 * its steps begins.  What came before something is a tick of each clock.  Because a step is whole,
 * all that it does comes before whatever it sets off, also what it does afterwards: so it gives to
 * objects and to tasks as it ends, and takes at once.  Whom it made ready is seen by the run queue,
 * which had them not before; so no path of the runtime has to tell.
 *
 * Too much order is harmless: a race is missed.  Too little would be a false alarm.  So who is not
 * a task has all behind him, and so have those whom he wakes; but the kernel and the clock, which
 * know of nothing.
 */
#include <string.h>

#include "check/describe.h"
#include "check/notes.h"
#include "kernel/alloc.h"

#define ROOM	16u	/* a past grows by so many */

enum { SENT = 1, RECEIVED = 2 };	/* of an object's two pasts; all but channels have one */

/* ---- pasts ---- */

/* Of each group that no task has left; stays empty. */
static struct weir_past none;

void weir_past_fini_(struct weir_past *p)
{
	weir_free_(p->at);
	*p = (struct weir_past){ 0 };
}

static bool grow(struct weir_past *p, unsigned n)
{
	uint32_t *at;

	if (n <= p->n)
		return true;
	n = (n + ROOM - 1) / ROOM * ROOM;
	at = weir_zalloc_(n, sizeof *at);
	if (!at)
		return false;
	if (p->n)
		memcpy(at, p->at, p->n * sizeof *at);
	weir_free_(p->at);
	p->at = at;
	p->n = n;
	return true;
}

/* What is not known any more may have been the order of two accesses. */
static void lose(struct weir_notes *notes)
{
	notes->blind = true;
	notes->order.on = false;
}

static void join(struct weir_notes *notes, struct weir_past *to, const struct weir_past *from)
{
	unsigned i;

	if (!grow(to, from->n)) {
		lose(notes);
		return;
	}
	for (i = 0; i < from->n; i++)
		if (to->at[i] < from->at[i])
			to->at[i] = from->at[i];
}

static void set(struct weir_notes *notes, struct weir_past *p, unsigned clock, uint32_t tick)
{
	if (grow(p, clock + 1))
		p->at[clock] = tick;
	else
		lose(notes);
}

/* Of whoever acts now. */
static struct weir_past *own(struct weir_order *o)
{
	if (!o->in_step)
		return &o->all;
	return o->doer ? &o->doer->past : &o->left;
}

static void follow(struct weir_notes *notes, const struct weir_past *past)
{
	join(notes, own(&notes->order), past);
}

/* ---- clocks ---- */

static void tick(struct weir_notes *notes, struct weir_task_note *n)
{
	unsigned clock = n->clock - 1;
	uint32_t now = weir_past_at_(&notes->order.all, clock) + 1;

	set(notes, &n->past, clock, now);
	set(notes, &notes->order.all, clock, now);
}

/* A clock that had another task before goes on: what that did counts as the new one's. */
int weir_order_clock_(struct weir_notes *notes, struct weir_task_note *n)
{
	struct weir_order *o = &notes->order;

	if (n->clock)
		return (int)n->clock - 1;
	if (o->clocks < WEIR_CLOCKS) {
		n->clock = ++o->clocks;
	} else if (o->n_idle) {
		n->clock = o->idle[o->first_idle] + 1u;
		o->first_idle = (o->first_idle + 1) % WEIR_CLOCKS;
		o->n_idle--;
	} else {
		return -1;
	}
	tick(notes, n);
	return o->on ? (int)n->clock - 1 : -1;
}

static void give_clock_back(struct weir_order *o, struct weir_task_note *n)
{
	if (!n->clock)
		return;
	o->idle[(o->first_idle + o->n_idle++) % WEIR_CLOCKS] = (uint16_t)(n->clock - 1);
	n->clock = 0;
}

/* ---- steps ---- */

/* Whether what op waited for is something that only tasks, or the program around them, bring. */
static bool is_brought(const struct weir_op *op)
{
	switch (weir_on_(op)) {
	case WEIR_ON_OTHER_:
	case WEIR_ON_NOTHING_:
	case WEIR_ON_LIMITER_:
	case WEIR_ON_KERNEL_:
		return false;
	case WEIR_ON_CHOICE_:
		return op->res >= 0 && is_brought(&op->u.choice.arms[op->res].op);
	default:
		return op->res != -ETIMEDOUT;
	}
}

static bool is_new(struct weir_task *t)
{
	return t->leaf == weir_task_root_(t) && !t->leaf->at;
}

static void take_stock(struct weir_notes *notes, struct weir_task *t, struct weir_task_note *n)
{
	if (n->clock)
		tick(notes, n);
	weir_order_catch_up_(notes);
	if (is_new(t)) {
		if (t->group->limit >= 0)
			weir_past_known_(t->group);
	} else if (!n->woken && is_brought(&t->op)) {
		follow(notes, &notes->order.all);
	}
}

void weir_order_begin_(struct weir_task *t)
{
	struct weir_loop *loop = t->ctx->loop;
	struct weir_order *o = &loop->notes->order;
	struct weir_task_note *n = weir_note_of_(t);

	o->in_step = true;
	o->doer = n;
	o->end = loop->ready.end;
	if (!n)
		return;
	if (o->on)
		take_stock(loop->notes, t, n);
	n->woken = false;
}

static void set_off(struct weir_loop *loop)
{
	struct weir_order *o = &loop->notes->order;
	struct weir_task *t;

	for (t = *o->end; t; t = t->op.u.next_ready) {
		struct weir_task_note *n = weir_note_of_(t);

		if (!n)
			continue;
		n->woken = true;
		if (o->on && n != o->doer)
			join(loop->notes, &n->past, own(o));
	}
}

static void give(struct weir_notes *notes)
{
	struct weir_order *o = &notes->order;

	while (!weir_list_empty_(&o->passed)) {
		struct weir_seen *s = weir_container_of(o->passed.next, struct weir_seen, passed);

		if (s->gives & SENT)
			join(notes, &s->past[0], own(o));
		if (s->gives & RECEIVED)
			join(notes, &s->past[1], own(o));
		s->gives = 0;
		weir_list_remove_(&s->passed);
	}
	if (o->cancels)
		join(notes, &o->cancelled, own(o));
	o->cancels = false;
}

void weir_order_end_(struct weir_loop *loop)
{
	struct weir_order *o = &loop->notes->order;

	if (o->on)
		weir_order_catch_up_(loop->notes);
	set_off(loop);
	give(loop->notes);
	weir_past_fini_(&o->left);
	o->doer = NULL;
	o->in_step = false;
}

/* ---- tasks ---- */

/* Who spawns in a step gives to the task as it ends, as to all that are ready then. */
void weir_order_task_made_(struct weir_notes *notes, struct weir_task_note *n)
{
	if (notes->order.on && !notes->order.in_step)
		join(notes, &n->past, &notes->order.all);
}

/* It has ended in this step, or whoever runs knows that it has. */
void weir_order_task_gone_(struct weir_notes *notes, struct weir_task_note *n)
{
	struct weir_order *o = &notes->order;

	give_clock_back(o, n);
	if (o->in_step && o->doer == n) {
		o->left = n->past;
		o->doer = NULL;
		n->past = (struct weir_past){ 0 };
		return;
	}
	if (o->on && o->in_step)
		follow(notes, &n->past);
	weir_past_fini_(&n->past);
}

/* ---- objects ---- */

static void pass(struct weir_seen *s, unsigned to)
{
	struct weir_order *o = &s->notes->order;

	if (!o->in_step) {
		if (to & SENT)
			join(s->notes, &s->past[0], &o->all);
		if (to & RECEIVED)
			join(s->notes, &s->past[1], &o->all);
		return;
	}
	if (!s->gives)
		weir_list_append_(&o->passed, &s->passed);
	s->gives |= to;
}

void weir_order_used_(struct weir_seen *s, unsigned how)
{
	if (!s->notes->order.on)
		return;
	if (how & (WEIR_USE_RECV_ | WEIR_USE_END_)) {
		follow(s->notes, &s->past[0]);
		pass(s, RECEIVED);
	}
	if (how & (WEIR_USE_SEND_ | WEIR_USE_END_)) {
		follow(s->notes, &s->past[1]);
		pass(s, SENT);
	}
}

/* Permits that are taken back from n, which has not run with them, come from nobody. */
void weir_order_holds_(struct weir_seen *s, struct weir_task_note *n, bool more)
{
	struct weir_notes *notes = s->notes;

	if (!notes->order.on)
		return;
	if (!more && (!n || n == notes->order.doer))
		pass(s, SENT);
	else if (more)
		join(notes, n ? &n->past : own(&notes->order), &s->past[0]);
}

void weir_seen_gives_(struct weir_seen *s)
{
	if (s->notes->order.on)
		pass(s, s->kind == WEIR_KIND_CHAN_ ? SENT | RECEIVED : SENT);
}

void weir_seen_takes_(struct weir_seen *s)
{
	if (s->notes->order.on)
		follow(s->notes, &s->past[0]);
}

void weir_seen_takes_all_(struct weir_seen *s)
{
	if (s->notes->order.on)
		follow(s->notes, &s->notes->order.all);
}

/* ---- groups ---- */

void weir_past_new_(struct weir_group *g)
{
	g->past = &none;
}

void weir_past_ended_(struct weir_group *g)
{
	struct weir_notes *notes = g->ctx.loop->notes;

	if (!notes->order.on)
		return;
	if (g->past == &none) {
		struct weir_past *p = weir_zalloc_(1, sizeof *p);

		if (!p) {
			lose(notes);
			return;
		}
		g->past = p;
	}
	join(notes, g->past, own(&notes->order));
}

/* Who waits for a group a second time comes when it has no past of its own any more. */
void weir_past_known_(struct weir_group *g)
{
	struct weir_notes *notes = g->ctx.loop->notes;

	if (notes->order.on)
		follow(notes, g->past ? g->past : &notes->order.over);
}

/* Whoever has a group left when its loop is freed may finish it afterwards; the loop has let go of
 * the tops of such trees. */
static bool loop_lives(const struct weir_group *g)
{
	const struct weir_ctx *top = &g->ctx;

	while (top->parent)
		top = top->parent;
	return top == &g->ctx.loop->ctx;
}

void weir_past_forget_(struct weir_group *g)
{
	struct weir_past *p = g->past;
	struct weir_notes *notes;

	g->past = NULL;
	if (p == &none)
		return;
	if (loop_lives(g)) {
		notes = g->ctx.loop->notes;
		if (notes->order.on)
			join(notes, &notes->order.over, p);
	}
	weir_past_fini_(p);
	weir_free_(p);
}

/* ---- ctxs ---- */

void weir_past_cancel_(struct weir_loop *loop, int err)
{
	struct weir_order *o = &loop->notes->order;

	if (!o->on)
		return;
	if (o->in_step)
		o->cancels = true;
	else if (err != -ETIMEDOUT)
		join(loop->notes, &o->cancelled, &o->all);
}

void weir_past_cancelled_(struct weir_loop *loop)
{
	if (loop->notes->order.on)
		follow(loop->notes, &loop->notes->order.cancelled);
}

void weir_order_catch_up_(struct weir_notes *notes)
{
	const struct weir_task_note *n = notes->order.doer;

	if (n && n->task->ctx->err)
		follow(notes, &notes->order.cancelled);
}

/* ---- life ---- */

void weir_order_init_(struct weir_order *o)
{
	weir_list_init_(&o->passed);
}

void weir_order_fini_(struct weir_order *o)
{
	o->on = false;
	weir_past_fini_(&o->all);
	weir_past_fini_(&o->cancelled);
	weir_past_fini_(&o->over);
	weir_free_(o->told);
	o->told = NULL;
}
