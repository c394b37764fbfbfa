/* SPDX-License-Identifier: MIT */
/*
 * notes.c - see notes.h and core/seen.h.
 *
 * A note that cannot be made for want of memory makes the notes blind: the program goes on as if
 * nothing had happened, and no partial deadlock is told of any more.  What an object remembers of
 * ended tasks is bounded: of those with the same parent, body and place of spawning, one.
 */
#include "check/notes.h"
#include "kernel/alloc.h"

#define GONE_MAX	64	/* ended users that an object remembers */

struct block {		/* before each task's memory */
	struct weir_task_note *note;
	_Alignas(WEIR_FRAME_ALIGN) char task[];
};

static struct weir_use *use_at(struct weir_list *in_task)
{
	return weir_container_of(in_task, struct weir_use, in_task);
}

const char *weir_kind_name_(enum weir_kind kind)
{
	static const char *const names[] = {
		[WEIR_KIND_CHAN_] = "chan", [WEIR_KIND_SEM_] = "sem",
		[WEIR_KIND_LIMITER_] = "limiter", [WEIR_KIND_PIPELINE_] = "pipeline",
		[WEIR_KIND_SHARED_] = "shared region",
	};

	return names[kind];
}

/* ---- tasks ---- */

struct weir_task_note *weir_note_of_(const struct weir_task *t)
{
	const char *block = (const char *)t - offsetof(struct block, task);

	return ((const struct block *)(const void *)block)->note;
}

static void note_task(struct weir_notes *notes, struct block *b, size_t size)
{
	struct weir_task *running = notes->loop->running;
	struct weir_task_note *n = weir_zalloc_(1, sizeof *n);

	b->note = n;
	if (!n) {
		notes->blind = true;
		return;
	}
	n->task = (struct weir_task *)(void *)b->task;
	n->size = size;
	weir_list_init_(&n->children);
	weir_list_init_(&n->sibling);
	weir_list_init_(&n->uses);
	n->parent = running ? weir_note_of_(running) : NULL;
	if (n->parent)
		weir_list_append_(&n->parent->children, &n->sibling);
	weir_order_task_made_(notes, n);
}

void *weir_notes_block_(struct weir_notes *notes, size_t size)
{
	struct block *b;
	size_t all;

	if (__builtin_add_overflow(sizeof *b, size, &all))
		return NULL;
	b = weir_alloc_(all);
	if (!b)
		return NULL;
	note_task(notes, b, size);
	return b->task;
}

/* Its children are from now on those of its parent. */
static void pass_on_children(struct weir_task_note *n)
{
	while (!weir_list_empty_(&n->children)) {
		struct weir_list *l = n->children.next;

		weir_list_remove_(l);
		weir_list_init_(l);
		weir_container_of(l, struct weir_task_note, sibling)->parent = n->parent;
		if (n->parent)
			weir_list_append_(&n->parent->children, l);
	}
}

static void note_free(struct weir_task_note *n)
{
	weir_list_remove_(&n->sibling);
	weir_free_(n);
}

static void use_free(struct weir_use *u)
{
	weir_list_remove_(&u->in_seen);
	weir_list_remove_(&u->in_task);
	weir_free_(u);
}

/* The use by an ended task like that of u, if the object remembers one. */
static struct weir_use *same_gone(const struct weir_use *u)
{
	const struct weir_task_note *n = u->task;
	struct weir_list *l;

	for (l = u->seen->uses.next; l != &u->seen->uses; l = l->next) {
		struct weir_use *o = weir_container_of(l, struct weir_use, in_seen);

		if (!o->task->task && o->task->parent == n->parent && o->task->body == n->body &&
		    o->task->made == n->made && o != u)
			return o;
	}
	return NULL;
}

/* Of a task that has just ended: kept, or added to one that is. */
static void use_ends(struct weir_use *u)
{
	struct weir_use *same = same_gone(u);

	if (same) {
		same->how |= u->how;
		same->holds += u->holds;
		use_free(u);
	} else if (u->seen->gone == GONE_MAX) {
		u->seen->many = true;
		use_free(u);
	} else {
		u->seen->gone++;
	}
}

void weir_notes_unblock_(struct weir_notes *notes, void *task)
{
	struct weir_task_note *n = weir_note_of_(task);
	struct weir_list *l, *next;

	if (notes->loop->running == task)
		notes->loop->running = NULL;
	if (n)
		weir_note_freed_(notes->loop, task, n->size);
	if (n && notes->loop->slab.rubbish)
		weir_slab_spoil_(task, n->size);
	weir_free_((char *)task - offsetof(struct block, task));
	if (!n)
		return;
	n->task = NULL;
	weir_order_task_gone_(notes, n);
	pass_on_children(n);
	for (l = n->uses.next; l != &n->uses; l = next) {
		next = l->next;
		use_ends(use_at(l));
	}
	if (weir_list_empty_(&n->uses))
		note_free(n);
}

/* ---- objects ---- */

struct weir_seen *weir_seen_made_(struct weir_loop *loop, enum weir_kind kind, const void *obj,
				  size_t size, const char *made)
{
	struct weir_seen *s;

	if (!loop->notes)
		return NULL;
	s = weir_zalloc_(1, sizeof *s);
	if (!s) {
		loop->notes->blind = true;
		return NULL;
	}
	s->notes = loop->notes;
	s->kind = kind;
	s->obj = obj;
	s->size = size;
	s->made = made;
	weir_list_init_(&s->uses);
	weir_list_append_(&s->notes->objects, &s->link);
	return s;
}

static void forget_uses(struct weir_seen *s)
{
	while (!weir_list_empty_(&s->uses)) {
		struct weir_use *u = weir_container_of(s->uses.next, struct weir_use, in_seen);
		struct weir_task_note *n = u->task;

		use_free(u);
		if (!n->task && weir_list_empty_(&n->uses))
			note_free(n);
	}
}

void weir_seen_gone_(struct weir_seen *s)
{
	struct weir_notes *notes;

	if (!s)
		return;
	notes = s->notes;
	forget_uses(s);
	if (s->gives)
		weir_list_remove_(&s->passed);
	weir_past_fini_(&s->past[0]);
	weir_past_fini_(&s->past[1]);
	weir_history_free_(s->history);
	weir_list_remove_(&s->link);
	weir_free_(s);
	if (!notes->loop && weir_list_empty_(&notes->objects))
		weir_free_(notes);
}

/* ---- uses ---- */

/* A task's use of an object, which is then the latest of both; NULL: no memory. */
static struct weir_use *use_of(struct weir_seen *s, struct weir_task_note *n)
{
	struct weir_list *l = n->uses.next;
	struct weir_use *u = NULL;

	while (l != &n->uses && use_at(l)->seen != s)
		l = l->next;
	if (l != &n->uses) {
		u = use_at(l);
		weir_list_remove_(&u->in_task);
		weir_list_remove_(&u->in_seen);
	} else {
		u = weir_zalloc_(1, sizeof *u);
		if (!u) {
			s->notes->blind = true;
			return NULL;
		}
		u->seen = s;
		u->task = n;
	}
	weir_list_append_(n->uses.next, &u->in_task);
	weir_list_append_(s->uses.next, &u->in_seen);
	return u;
}

/* The note of t or of whoever runs; NULL: none does, or there is none. */
static struct weir_task_note *actor(struct weir_seen *s, struct weir_task *t)
{
	struct weir_loop *loop = s->notes->loop;
	struct weir_task_note *n;

	if (!t && loop)
		t = loop->running;
	if (!t) {
		s->by_host = true;
		return NULL;
	}
	n = weir_note_of_(t);
	if (n) {
		n->body = weir_task_root_(t)->body;
		n->made = weir_task_root_(t)->up.made;
		n->deeds++;
	}
	return n;
}

void weir_seen_used_(struct weir_seen *s, struct weir_task *t, unsigned how)
{
	struct weir_task_note *n = actor(s, t);
	struct weir_use *u = n ? use_of(s, n) : NULL;

	if (u)
		u->how |= how;
	weir_order_used_(s, how);
}

/* Permits that t gives back and did not hold were another's; whose, nobody knows. */
static void give(struct weir_seen *s, struct weir_use *u, uint64_t n)
{
	struct weir_list *l;

	if (u && u->holds >= n) {
		u->holds -= n;
		s->owned = true;
		return;
	}
	s->roams = true;
	if (u) {
		n -= u->holds;
		u->holds = 0;
	}
	for (l = s->uses.prev; n && l != &s->uses; l = l->prev) {
		struct weir_use *o = weir_container_of(l, struct weir_use, in_seen);
		uint64_t part = o->holds < n ? o->holds : n;

		o->holds -= part;
		n -= part;
	}
}

void weir_seen_holds_(struct weir_seen *s, struct weir_task *t, int64_t n)
{
	struct weir_task_note *note = actor(s, t);
	struct weir_use *u = note ? use_of(s, note) : NULL;

	weir_order_holds_(s, note, n >= 0);
	if (u)
		u->how |= WEIR_USE_SEM_;
	if (n < 0)
		give(s, u, (uint64_t)-n);
	else if (u)
		u->holds += (uint64_t)n;
}

void weir_seen_misused_(struct weir_seen *s, const char *what)
{
	struct weir_loop *loop = s->notes->loop;
	const struct weir_point *p = loop && loop->running ? loop->from : NULL;

	if (s->misused == what)		/* as often as it happens would bury all else */
		return;
	s->misused = what;
	if (p)
		weir_fault_(loop, "weir: misuse: %s, made at %s; by %s %s:%d after  %s", what,
			    s->made, p->func, p->file, p->line, p->text);
	else if (loop)
		weir_fault_(loop, "weir: misuse: %s, made at %s", what, s->made);
}

/* ---- life ---- */

int weir_notes_new_(struct weir_loop *loop)
{
	struct weir_notes *notes = weir_zalloc_(1, sizeof *notes);

	if (!notes)
		return -ENOMEM;
	notes->loop = loop;
	weir_list_init_(&notes->objects);
	weir_order_init_(&notes->order);
	loop->notes = notes;
	loop->slab.notes = notes;
	loop->slab.apart = true;
	return 0;
}

/* Objects that are left keep the notes, until the last of them is finished. */
void weir_notes_free_(struct weir_loop *loop)
{
	struct weir_notes *notes = loop->notes;
	struct weir_list *l;

	for (l = notes->objects.next; l != &notes->objects; l = l->next)
		forget_uses(weir_container_of(l, struct weir_seen, link));
	if (loop->group.past)	/* tasks of it were abandoned */
		weir_past_forget_(&loop->group);
	weir_order_fini_(&notes->order);
	notes->loop = NULL;
	if (weir_list_empty_(&notes->objects))
		weir_free_(notes);
}

unsigned weir_notes_leaks_(struct weir_loop *loop)
{
	struct weir_list *l;
	unsigned n = 0;

	if (!loop->notes)
		return 0;
	for (l = loop->notes->objects.next; l != &loop->notes->objects; l = l->next) {
		const struct weir_seen *s = weir_container_of(l, struct weir_seen, link);

		n++;
		weir_report_(loop, "weir: leak: a %s that is not finished, made at %s",
			     weir_kind_name_(s->kind), s->made);
	}
	return n;
}
