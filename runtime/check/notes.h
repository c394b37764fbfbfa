/* SPDX-License-Identifier: MIT */
/*
 * notes.h - what conf.check remembers of tasks and objects; for the kit alone.
 *
 * A use joins one task and one object.  A task that has ended stays as long as objects remember
 * that it used them: for a report (a channel's senders have all gone), and because whoever spawned
 * one user may spawn another.
 */
#ifndef WEIR_CHECK_NOTES_H
#define WEIR_CHECK_NOTES_H

#include "check/order.h"
#include "core/loop.h"

struct weir_notes {
	struct weir_loop *loop;		/* NULL: gone, there were objects left */
	struct weir_list objects;	/* the oldest first */
	bool blind;			/* a note could not be made: nothing is sure any more */

	uint64_t looked, look_at;	/* see weir_kit_idle_() */
	struct weir_order order;
};

struct weir_seen {
	struct weir_list link;		/* in notes->objects */
	struct weir_notes *notes;
	enum weir_kind kind;
	const void *obj;
	size_t size;
	const char *made;
	struct weir_list uses;		/* the latest first */
	unsigned gone;			/* of those, by tasks that have ended */
	bool many;			/* more of them than are remembered */
	bool by_host;			/* used by the program around the loop, or a callback */
	bool owned;			/* permits were given back by a task that held them */
	bool roams;			/* ... by one that did not */
	const char *misused;		/* how, the last time that was told */

	struct weir_past past[2];	/* what came before whatever was given to it; see order.c */
	unsigned gives;			/* to which of those the running step adds */
	struct weir_list passed;	/* if any, in order.passed */
	struct weir_history *history;	/* of a shared region */

	/* during a search for deadlocks: what was found of either side, in which round */
	bool mentioned;
	struct weir_found {
		unsigned round;
		bool served;
		unsigned partners;		/* tasks that serve it, at least; 2 is many */
		struct weir_task_note *partner;	/* the first of them */
	} found[2];
};

struct weir_use {
	struct weir_list in_seen, in_task;
	struct weir_seen *seen;
	struct weir_task_note *task;
	unsigned how;
	uint64_t holds;			/* permits */
};

struct weir_task_note {
	struct weir_task *task;		/* NULL: it has ended, and is remembered */
	size_t size;			/* of its memory, struct weir_task and frames */
	struct weir_task_note *parent;	/* who spawned it, or if that has ended, who that one; NULL:
					 * the program around the loop */
	struct weir_list children, sibling;
	struct weir_list uses;		/* the latest first */
	weir_body *body;		/* once it has begun, as the next */
	const struct weir_point *made;
	struct weir_past past;		/* what came before its next step; see order.c */
	unsigned clock;			/* its own, plus 1; 0: none */
	bool woken;			/* made ready by a task */

	/* during a search for deadlocks */
	unsigned number;
	bool alive, alive_below;	/* it, someone spawned below it */
	bool pointed;			/* an address in its frames is with someone alive */
	bool stuck;
	unsigned held_up, let_in;	/* in which round that was found, see waits.c */
	unsigned way;			/* that was followed to here, see deadlock.c */
	uint64_t deeds, told;		/* uses so far; as of when it was told of as stuck */
};

/* The note of a living task. */
struct weir_task_note *weir_note_of_(const struct weir_task *t);

int weir_notes_new_(struct weir_loop *loop);
void weir_notes_free_(struct weir_loop *loop);
unsigned weir_notes_leaks_(struct weir_loop *loop);

/* The memory of t, which has ended and is about to go, must not be the kernel's. */
void weir_note_freed_(struct weir_loop *loop, struct weir_task *t, size_t size);

/* NULL is ignored. */
void weir_history_free_(struct weir_history *h);

const char *weir_kind_name_(enum weir_kind kind);

#endif
