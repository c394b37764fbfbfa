/* SPDX-License-Identifier: MIT */
/*
 * races.c - see weir/shared.h: the accesses to a region, and those that nothing orders.
 *
 * A region remembers the accesses that may still be one half of a race, each task's last of either
 * kind.  What an access has behind it goes when that one can take its place: a read only for a
 * read, a write for both; whoever is in no order with the older one is in none with the newer.
 */
#include <string.h>

#include "check/describe.h"
#include "check/notes.h"
#include "kernel/alloc.h"
#include "weir/shared.h"

#define ROOM	8u	/* first room for accesses, and for races told of; it doubles */

struct access {
	unsigned clock;
	uint32_t tick;
	const struct weir_access_ *at;
};

struct weir_history {
	unsigned n, room;
	struct access *access;
};

struct weir_race_ {
	const struct weir_access_ *at[2];
};

/* ---- memory ---- */

static void *doubled(void *old, unsigned n, unsigned *room, size_t size)
{
	unsigned more = *room ? 2 * *room : ROOM;
	void *p = weir_zalloc_(more, size);

	if (!p)
		return NULL;
	if (n)
		memcpy(p, old, n * size);
	weir_free_(old);
	*room = more;
	return p;
}

static bool add(struct weir_history *h, const struct access *a)
{
	struct access *p = h->access;

	if (h->n == h->room)
		p = doubled(h->access, h->n, &h->room, sizeof *p);
	if (!p)
		return false;
	h->access = p;
	h->access[h->n++] = *a;
	return true;
}

void weir_history_free_(struct weir_history *h)
{
	if (!h)
		return;
	weir_free_(h->access);
	weir_free_(h);
}

/* ---- races ---- */

static const char *kind(const struct weir_access_ *at)
{
	return at->writes ? "write" : "read";
}

static bool is_told(const struct weir_order *o, const struct weir_access_ *a,
		    const struct weir_access_ *b)
{
	unsigned i;

	for (i = 0; i < o->races; i++) {
		const struct weir_access_ *const *at = o->told[i].at;

		if ((at[0] == a && at[1] == b) || (at[0] == b && at[1] == a))
			return true;
	}
	return false;
}

static void tell(struct weir_seen *s, const struct weir_access_ *a, const struct weir_access_ *b)
{
	struct weir_order *o = &s->notes->order;
	struct weir_race_ *p = o->told;
	const char *where, *name;

	if (is_told(o, a, b))
		return;
	if (o->races == o->room)
		p = doubled(o->told, o->races, &o->room, sizeof *p);
	if (!p)
		return;		/* it is told of when there is memory */
	o->told = p;
	o->told[o->races++] = (struct weir_race_){ { a, b } };
	weir_made_(s->made, &where, &name);
	weir_fault_(s->notes->loop, "weir: race: %s of %s in %s %s:%d and %s in %s %s:%d, with "
		    "nothing between them that orders them", kind(a), name, a->func,
		    weir_base_name_(a->file), a->line, kind(b), b->func, weir_base_name_(b->file),
		    b->line);
}

/* The accesses that a races with are told of; those that it stands for from now on go. */
static void compare(struct weir_seen *s, const struct weir_past *past, const struct access *a)
{
	struct weir_history *h = s->history;
	unsigned i, kept = 0;

	for (i = 0; i < h->n; i++) {
		const struct access b = h->access[i];
		bool before = b.tick <= weir_past_at_(past, b.clock);

		if (!before && (a->at->writes || b.at->writes))
			tell(s, b.at, a->at);
		if (!before || (b.at->writes && !a->at->writes))
			h->access[kept++] = b;
	}
	h->n = kept;
}

void weir_shared_note_(struct weir_seen *s, const struct weir_access_ *at)
{
	struct weir_notes *notes = s->notes;
	struct weir_task_note *n = notes->order.doer;
	struct access a = { .at = at };
	int clock;

	if (!notes->order.on || !n)
		return;
	weir_order_catch_up_(notes);
	clock = weir_order_clock_(notes, n);
	if (clock < 0)
		return;
	a.clock = (unsigned)clock;
	a.tick = weir_past_at_(&n->past, a.clock);
	compare(s, &n->past, &a);
	if (add(s->history, &a))
		return;
	notes->blind = true;	/* of this one alone: no order is lost */
}

/* ---- for the program ---- */

void weir_shared_init_(struct weir_shared *s, struct weir_loop *loop, const char *made)
{
	struct weir_history *h;

	s->seen = NULL;
	if (!loop->notes)
		return;
	h = weir_zalloc_(1, sizeof *h);
	if (h)
		s->seen = weir_seen_made_(loop, WEIR_KIND_SHARED_, s, sizeof *s, made);
	if (!s->seen) {
		loop->notes->blind = true;
		weir_free_(h);
		return;
	}
	s->seen->history = h;
	loop->notes->order.on = !loop->notes->blind;
}

void weir_shared_fini(struct weir_shared *s)
{
	weir_seen_gone_(s->seen);
	s->seen = NULL;
}

void weir_shared_pass_(struct weir_seen *s, bool gives)
{
	if (gives)
		weir_seen_gives_(s);
	else
		weir_seen_takes_(s);
}

int weir_races(const struct weir_loop *loop)
{
	if (!loop->notes)
		return -ENOTSUP;
	return loop->notes->blind ? -ENOMEM : (int)loop->notes->order.races;
}
