/* SPDX-License-Identifier: MIT */
/*
 * waits.c - see waits.h.
 *
 * A task is alive if it runs or is ready, if what it waits for comes by itself or from outside
 * (time, the kernel, a thread, a ctx), or if a task that is alive can end its wait.  Who is not
 * alive when nothing more can be added is stuck.  A cancel is not counted: it would end any wait,
 * and that is what the report is for.  A deadline is.
 *
 * Who can end a wait is exact for groups and joins.  Who can serve a channel or has permits is what
 * conf.check has noted, which is only the past; so the search is made twice, and neither time does
 * it say more than it can know:
 * - For circles: the wait of a task counts as stuck only if someone is known who could end it and
 *   all who are known are stuck themselves.  Counted as known are also tasks with the same
 *   outermost coroutine, and any task that is alive and has in its frames the address of the
 *   object without having used it so far.
 * - For waits that nobody is left to end (`careful`): only if the object lies in the frame of a
 *   stuck task, all who ever used it were spawned below that task, someone could have ended the
 *   wait, and of all that were spawned there nobody is alive; and nobody alive has an address in
 *   that task's memory in its frames.
 * A permit may be released by whoever it was passed on to.  So a holder is believed to be the one
 * who will release only if the semaphore has been seen to be used that way, or if the holder waits
 * for something else and has spawned nobody who is alive.
 */
#include <stdlib.h>
#include <string.h>

#include "check/waits.h"
#include "core/memory.h"
#include "kernel/alloc.h"

/* ---- what there is ---- */

static void count_ctx(void *arg, struct weir_ctx *ctx)
{
	(void)ctx;
	++*(size_t *)arg;
}

static void add_ctx(void *arg, struct weir_ctx *ctx)
{
	struct weir_search *s = arg;
	struct weir_list *l;

	s->ctx[s->ctxs++] = ctx;
	for (l = ctx->tasks.next; l != &ctx->tasks; l = l->next) {
		const struct weir_task *t = weir_container_of(l, struct weir_task, in_ctx);
		struct weir_task_note *n = weir_note_of_(t);

		n->number = (unsigned)s->tasks + 1;
		n->body = weir_task_root_((struct weir_task *)(uintptr_t)t)->body;
		s->task[s->tasks] = s->block[s->tasks] = n;
		s->tasks++;
	}
}

static int compare(uintptr_t a, uintptr_t b)
{
	return a < b ? -1 : a > b;
}

static int compare_blocks(const void *a, const void *b)
{
	struct weir_task_note *const *one = a, *const *other = b;

	return compare((uintptr_t)(*one)->task, (uintptr_t)(*other)->task);
}

static int compare_objects(const void *a, const void *b)
{
	struct weir_seen *const *one = a, *const *other = b;

	return compare((uintptr_t)(*one)->obj, (uintptr_t)(*other)->obj);
}

static int compare_ctxs(const void *a, const void *b)
{
	struct weir_ctx *const *one = a, *const *other = b;

	return compare((uintptr_t)*one, (uintptr_t)*other);
}

static void *array(size_t n)
{
	return weir_zalloc_(n + 1, sizeof(void *));
}

static void widen(struct weir_search *s, const void *p, size_t size)
{
	uintptr_t low = (uintptr_t)p, high = low + size;

	s->low = low < s->low ? low : s->low;
	s->high = high > s->high ? high : s->high;
}

static void set_bounds(struct weir_search *s)
{
	size_t i;

	s->low = UINTPTR_MAX;
	for (i = 0; i < s->tasks; i++)
		widen(s, s->task[i]->task, s->task[i]->size);
	for (i = 0; i < s->objects; i++)
		widen(s, s->object[i]->obj, s->object[i]->size);
}

static int collect(struct weir_search *s)
{
	struct weir_notes *notes = s->loop->notes;
	size_t tasks = s->loop->stats.tasks, ctxs = 0, objects = 0;
	struct weir_list *l;

	weir_ctx_each_(s->loop, count_ctx, &ctxs);
	for (l = notes->objects.next; l != &notes->objects; l = l->next)
		objects++;
	s->task = array(tasks);
	s->block = array(tasks);
	s->body = array(tasks);
	s->ctx = array(ctxs);
	s->object = array(objects);
	if (!s->task || !s->block || !s->body || !s->ctx || !s->object)
		return -ENOMEM;
	weir_ctx_each_(s->loop, add_ctx, s);
	for (l = notes->objects.next; l != &notes->objects; l = l->next)
		s->object[s->objects++] = weir_container_of(l, struct weir_seen, link);
	qsort(s->block, s->tasks, sizeof *s->block, compare_blocks);
	qsort(s->object, s->objects, sizeof *s->object, compare_objects);
	qsort(s->ctx, s->ctxs, sizeof *s->ctx, compare_ctxs);
	set_bounds(s);
	return 0;
}

void weir_search_free_(struct weir_search *s)
{
	weir_free_(s->task);
	weir_free_(s->block);
	weir_free_(s->body);
	weir_free_(s->ctx);
	weir_free_(s->object);
}

/* ---- addresses ---- */

/* The object that address p is in. */
static struct weir_seen *object_at(const struct weir_search *s, uintptr_t p)
{
	size_t low = 0, high = s->objects;

	while (low < high) {
		size_t mid = (low + high) / 2;
		struct weir_seen *o = s->object[mid];

		if (p < (uintptr_t)o->obj)
			high = mid;
		else if (p >= (uintptr_t)o->obj + o->size)
			low = mid + 1;
		else
			return o;
	}
	return NULL;
}

/* The task in whose frames p is. */
static struct weir_task_note *frames_at(const struct weir_search *s, uintptr_t p)
{
	size_t low = 0, high = s->tasks;

	while (low < high) {
		size_t mid = (low + high) / 2;
		struct weir_task_note *n = s->block[mid];

		if (p < (uintptr_t)n->task)
			high = mid;
		else if (p >= (uintptr_t)n->task + n->size)
			low = mid + 1;
		else
			return p >= (uintptr_t)(n->task + 1) ? n : NULL;
	}
	return NULL;
}

/* p is in a ctx, whose links are the runtime's and not the program's. */
static bool in_ctx(const struct weir_search *s, uintptr_t p)
{
	size_t low = 0, high = s->ctxs;

	while (low < high) {
		size_t mid = (low + high) / 2;
		uintptr_t c = (uintptr_t)s->ctx[mid];

		if (p < c)
			high = mid;
		else if (p >= c + sizeof **s->ctx)
			low = mid + 1;
		else
			return true;
	}
	return false;
}

static bool has_used(const struct weir_task_note *n, const struct weir_seen *o)
{
	struct weir_list *l;

	for (l = n->uses.next; l != &n->uses; l = l->next)
		if (weir_container_of(l, struct weir_use, in_task)->seen == o)
			return true;
	return false;
}

/* A word at `where` in the frames of n, which is alive, reads p. */
static void mention(struct weir_search *s, struct weir_task_note *n, uintptr_t where, uintptr_t p)
{
	struct weir_seen *o = object_at(s, p);
	struct weir_task_note *other;

	if (o && (s->careful || !has_used(n, o)))
		o->mentioned = true;
	if (!s->careful)
		return;
	other = frames_at(s, p);
	if (other && other != n && !in_ctx(s, where))
		other->pointed = true;
}

__attribute__((no_sanitize("address")))
static void read_frames(struct weir_search *s, struct weir_task_note *n)
{
	const uintptr_t *word = (const void *)(n->task + 1);
	const char *end = (const char *)n->task + n->size;

	for (; (const char *)(word + 1) <= end; word++) {
		uintptr_t p = *word;

		weir_memory_filled_(&p, sizeof p);	/* may never have been set */
		if (p >= s->low && p < s->high)
			mention(s, n, (uintptr_t)word, p);
	}
}

/* ---- who lives ---- */

static bool body_lives(const struct weir_search *s, weir_body *body)
{
	size_t i;

	for (i = 0; i < s->bodies; i++)
		if (s->body[i] == body)
			return true;
	return false;
}

static void live(struct weir_search *s, struct weir_task_note *n)
{
	struct weir_task_note *p;

	n->alive = true;
	s->changed = true;
	if (!body_lives(s, n->body))
		s->body[s->bodies++] = n->body;
	for (p = n->parent; p && !p->alive_below; p = p->parent)
		p->alive_below = true;
	read_frames(s, n);
}

static bool lives(const struct weir_task_note *n)
{
	return n->task && n->alive;
}

/* ---- channels ---- */

static struct weir_use *use_at(struct weir_list *in_seen)
{
	return weir_container_of(in_seen, struct weir_use, in_seen);
}

static bool is_below(const struct weir_task_note *n, const struct weir_task_note *holder)
{
	while (n && n != holder)
		n = n->parent;
	return n == holder;
}

/* Someone whom no note names may know of o. */
static bool may_be_known(const struct weir_search *s, const struct weir_seen *o)
{
	const struct weir_task_note *holder = frames_at(s, (uintptr_t)o->obj);
	struct weir_list *l;

	if (s->hosted || o->many || !holder || holder->alive || holder->pointed ||
	    holder->alive_below)
		return true;
	for (l = o->uses.next; l != &o->uses; l = l->next)
		if (!is_below(use_at(l)->task, holder))
			return true;
	return false;
}

/* Who is alive and uses o in one of the ways `how`; or may. */
static bool user_lives(const struct weir_search *s, const struct weir_seen *o, unsigned how)
{
	struct weir_list *l;

	for (l = o->uses.next; l != &o->uses; l = l->next) {
		const struct weir_use *u = use_at(l);

		if (u->how & how && (lives(u->task) || body_lives(s, u->task->body)))
			return true;
	}
	return false;
}

static bool served(const struct weir_search *s, const struct weir_seen *o, unsigned how)
{
	if (o->mentioned || (o->by_host && s->hosted) || user_lives(s, o, how))
		return true;
	return s->careful && may_be_known(s, o);
}

static unsigned partners(enum weir_on on)
{
	return (on == WEIR_ON_SEND_ ? WEIR_USE_RECV_ : WEIR_USE_SEND_) | WEIR_USE_END_;
}

static struct weir_task_note *note_of_op(const struct weir_op *op)
{
	return weir_note_of_(weir_op_task((struct weir_op *)(uintptr_t)op));
}

/* Tasks that are known to have served those who wait: that live, unless careful. */
static void find_partners(const struct weir_search *s, const struct weir_seen *o, unsigned how,
			  struct weir_found *f)
{
	struct weir_list *l;

	f->partners = 0;
	for (l = o->uses.next; l != &o->uses && f->partners < 2; l = l->next) {
		const struct weir_use *u = use_at(l);

		if (!(u->how & how) || (!u->task->task && !s->careful))
			continue;
		if (!f->partners++)
			f->partner = u->task;
	}
}

static bool chan_ends(struct weir_search *s, const struct weir_op *op, enum weir_on on)
{
	const struct weir_chan *ch = op->u.wait.obj;
	struct weir_seen *o = ch->seen;
	struct weir_found *f;

	if (!o || ch->reserved)		/* whose slots those are is not noted */
		return true;
	f = &o->found[on == WEIR_ON_SEND_];
	if (f->round != s->round) {
		f->round = s->round;
		f->served = served(s, o, partners(on));
		find_partners(s, o, partners(on), f);
	}
	if (!f->partners || (f->partners == 1 && f->partner == note_of_op(op)))
		return true;	/* it is not known who would have to act */
	return f->served;
}

/* ---- semaphores ---- */

static bool waits_for(const struct weir_task *t, const struct weir_sem *sem)
{
	unsigned i;

	for (i = 0; i < weir_waits_(t); i++)
		if (weir_on_(weir_wait_(t, i)) == WEIR_ON_SEM_ &&
		    weir_wait_(t, i)->u.wait.obj == sem)
			return true;
	return false;
}

/* u holds permits, and may not be the one who gives them back, or will. */
static bool holder_ends(const struct weir_use *u, const struct weir_sem *sem)
{
	if (!u->task->task)
		return !u->seen->owned;
	if (u->task->alive)
		return true;
	return !u->seen->owned && (u->task->alive_below || waits_for(u->task->task, sem));
}

static bool holders_end(const struct weir_search *s, const struct weir_sem *sem)
{
	struct weir_list *l;
	uint64_t known = 0;
	bool any = false;

	for (l = sem->seen->uses.next; l != &sem->seen->uses; l = l->next) {
		const struct weir_use *u = use_at(l);

		if (u->holds && holder_ends(u, sem))
			return true;
		known += u->holds;
		any |= u->holds && u->task->task;
	}
	return (int64_t)known != sem->size - sem->free || (!s->careful && !any);
}

/* Whoever stands in line behind someone alive: when that one is served, or gives up, he may be. */
static void let_in(const struct weir_search *s, const struct weir_sem *sem)
{
	const struct weir_list *l;
	bool alive = false;

	for (l = sem->waiters.next; l != &sem->waiters; l = l->next) {
		struct weir_task_note *n =
			note_of_op(weir_container_of(l, struct weir_op, u.wait.link));

		if (alive)
			n->let_in = s->round;
		alive |= n->alive;
	}
}

static bool sem_served(const struct weir_search *s, const struct weir_sem *sem)
{
	const struct weir_seen *o = sem->seen;

	if (o->mentioned || (o->by_host && s->hosted))
		return true;
	if (o->roams && user_lives(s, o, WEIR_USE_SEM_))
		return true;
	return (s->careful && may_be_known(s, o)) || holders_end(s, sem);
}

static bool sem_ends(const struct weir_search *s, const struct weir_op *op)
{
	const struct weir_sem *sem = op->u.wait.obj;
	struct weir_found *f;

	if (!sem->seen || sem->shared)
		return true;
	f = sem->seen->found;
	if (f->round != s->round) {
		f->round = s->round;
		f->served = sem_served(s, sem);
		let_in(s, sem);
	}
	return f->served || note_of_op(op)->let_in == s->round;
}

/* ---- groups ---- */

/* Who waits for the group of a task that is not alive. */
static void hold_up(const struct weir_search *s)
{
	size_t i;

	for (i = 0; i < s->tasks; i++) {
		const struct weir_list *all = &s->task[i]->task->group->waiters, *l;

		for (l = all->next; l != all && !s->task[i]->alive; l = l->next)
			note_of_op(weir_container_of(l, struct weir_op, u.wait.link))->held_up =
				s->round;
	}
}

static bool group_ends(const struct weir_search *s, const struct weir_op *op)
{
	const struct weir_group *g = op->u.wait.obj;

	return g->held || !g->active || note_of_op(op)->held_up != s->round;
}

static bool slot_comes(const struct weir_search *s, const struct weir_group *g)
{
	size_t i;

	if (g->held || !g->active)
		return true;
	for (i = 0; i < s->tasks; i++)
		if (s->task[i]->task->group == g && s->task[i]->alive)
			return true;
	return false;
}

/* ---- waits ---- */

unsigned weir_waits_(const struct weir_task *t)
{
	if (t->op.state != WEIR_OP_WAITS_)
		return 0;
	return t->op.def->arm_done ? t->op.u.choice.n : 1;
}

const struct weir_op *weir_wait_(const struct weir_task *t, unsigned i)
{
	return t->op.def->arm_done ? &t->op.u.choice.arms[i].op : &t->op;
}

static bool ends(struct weir_search *s, const struct weir_op *op)
{
	enum weir_on on = weir_on_(op);

	switch (on) {
	case WEIR_ON_SEND_:
	case WEIR_ON_RECV_:
		return chan_ends(s, op, on);
	case WEIR_ON_SEM_:
		return sem_ends(s, op);
	case WEIR_ON_GROUP_:
		return group_ends(s, op);
	case WEIR_ON_SLOT_:
		return slot_comes(s, op->u.wait.obj);
	case WEIR_ON_JOIN_:
		return weir_note_of_(op->u.wait.obj)->alive;
	case WEIR_ON_NOTHING_:
		return false;
	default:
		return true;
	}
}

/* Who waits for nothing else than its ctx does so on purpose. */
static bool goes_on(struct weir_search *s, const struct weir_task *t)
{
	unsigned i, n = weir_waits_(t), never = 0;

	for (i = 0; i < n; i++) {
		const struct weir_op *op = weir_wait_(t, i);

		never += weir_on_(op) == WEIR_ON_NOTHING_;
		if (op->state == WEIR_OP_WAITS_ && ends(s, op))
			return true;
	}
	return never == n;
}

static bool will_be_cut_short(const struct weir_task *t)
{
	if (t->op.flags & WEIR_OP_CANCELLED_)
		return true;
	return t->ctx->deadline != WEIR_FOREVER && !(t->op.def->flags & WEIR_UNINTERRUPTED_);
}

static void reset(struct weir_search *s)
{
	size_t i;

	for (i = 0; i < s->tasks; i++) {
		struct weir_task_note *n = s->task[i], *p;

		n->alive = n->pointed = false;
		n->held_up = n->let_in = 0;
		for (p = n; p; p = p->parent)
			p->alive_below = false;
	}
	for (i = 0; i < s->objects; i++) {
		s->object[i]->mentioned = false;
		s->object[i]->found[0].round = s->object[i]->found[1].round = 0;
	}
	s->bodies = 0;
	s->round = 0;
}

static void find(struct weir_search *s, bool careful)
{
	size_t i;

	s->careful = careful;
	reset(s);
	do {
		s->changed = false;
		s->round++;
		hold_up(s);
		for (i = 0; i < s->tasks; i++) {
			struct weir_task_note *n = s->task[i];
			const struct weir_task *t = n->task;

			if (!n->alive && (t->op.state != WEIR_OP_WAITS_ || will_be_cut_short(t) ||
					  goes_on(s, t)))
				live(s, n);
		}
	} while (s->changed);
	for (i = 0; i < s->tasks; i++)
		s->task[i]->stuck |= !s->task[i]->alive;
}

int weir_search_(struct weir_search *s, struct weir_loop *loop)
{
	size_t i;
	int rc;

	*s = (struct weir_search){ .loop = loop };
	s->hosted = loop->hosted || loop->stats.ports;
	rc = collect(s);
	if (rc < 0)
		return rc;
	for (i = 0; i < s->tasks; i++)
		s->task[i]->stuck = false;
	find(s, false);
	find(s, true);
	return 0;
}

/* ---- who would have to act ---- */

/* Of what op waits for, NULL if that has none. */
static struct weir_list *uses_of(const struct weir_op *op)
{
	const struct weir_chan *ch = op->u.wait.obj;
	const struct weir_sem *sem = op->u.wait.obj;

	switch (weir_on_(op)) {
	case WEIR_ON_SEND_:
	case WEIR_ON_RECV_:
		return ch->seen ? &ch->seen->uses : NULL;
	case WEIR_ON_SEM_:
		return sem->seen ? &sem->seen->uses : NULL;
	default:
		return NULL;
	}
}

unsigned weir_enders_(const struct weir_search *s, const struct weir_op *op,
		      void (*fn)(void *arg, struct weir_task_note *by, const char *how), void *arg)
{
	enum weir_on on = weir_on_(op);
	struct weir_list *l, *uses = uses_of(op);
	unsigned n = 0;
	size_t i;

	for (l = uses ? uses->next : NULL; l != uses; l = l->next) {
		const struct weir_use *u = use_at(l);
		bool is = on == WEIR_ON_SEM_ ? u->holds > 0 :
			u->how & partners(on) && u->task != note_of_op(op);

		if (!u->task->task || !is)
			continue;
		n++;
		fn(arg, u->task, on == WEIR_ON_SEM_ ? "holds" :
		   on == WEIR_ON_SEND_ ? "receives from" : "sends to");
	}
	for (i = 0; i < s->tasks; i++) {
		const struct weir_task *t = s->task[i]->task;
		bool in = (on == WEIR_ON_GROUP_ || on == WEIR_ON_SLOT_) &&
			t->group == op->u.wait.obj;

		if (!in && !(on == WEIR_ON_JOIN_ && t == op->u.wait.obj))
			continue;
		n++;
		fn(arg, s->task[i], in ? "is in" : "is");
	}
	return n;
}

const struct weir_task_note *weir_gone_(const struct weir_op *op)
{
	enum weir_on on = weir_on_(op);
	struct weir_list *l, *uses = uses_of(op);

	for (l = uses ? uses->next : NULL; l != uses; l = l->next) {
		const struct weir_use *u = use_at(l);

		if (!u->task->task && (on == WEIR_ON_SEM_ ? u->holds > 0 : u->how & partners(on)))
			return u->task;
	}
	return NULL;
}
