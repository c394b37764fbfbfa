/* SPDX-License-Identifier: MIT */
/*
 * seen.h - what rooms tell the kit with conf.check: which objects there are, and who uses them.
 *
 * An object at which tasks can wait has a pointer to its notes, NULL without conf.check, and only
 * calls here if that is set: so a program that does not ask for it pays a branch where it is not
 * in a hurry, and nothing elsewhere.  Notes outlive their loop for as long as an object does.
 */
#ifndef WEIR_CORE_SEEN_H
#define WEIR_CORE_SEEN_H

#include "weir/base.h"

struct weir_group;
struct weir_loop;
struct weir_notes;
struct weir_op;
struct weir_seen;
struct weir_task;

enum weir_kind {
	WEIR_KIND_CHAN_, WEIR_KIND_SEM_, WEIR_KIND_LIMITER_, WEIR_KIND_PIPELINE_,
	WEIR_KIND_SHARED_,
};

enum {	/* how an object was used */
	WEIR_USE_SEND_ = 1,
	WEIR_USE_RECV_ = 2,
	WEIR_USE_END_ = 4,	/* closed, hung up: the other side too is served by that */
	WEIR_USE_SEM_ = 8,
};

/* An object of size bytes was made.  NULL: without conf.check, or no memory for notes. */
struct weir_seen *weir_seen_made_(struct weir_loop *loop, enum weir_kind kind, const void *obj,
				  size_t size, const char *made);
/* It is finished.  NULL is ignored. */
void weir_seen_gone_(struct weir_seen *seen);

/* t uses it; NULL: whoever runs now, a task or the program around the loop. */
void weir_seen_used_(struct weir_seen *seen, struct weir_task *t, unsigned how);
/* t has n permits more of it, or -n fewer; NULL as above. */
void weir_seen_holds_(struct weir_seen *seen, struct weir_task *t, int64_t n);

/* Whoever runs has used it in a way that Go panics on; what: "send on a closed channel". */
void weir_seen_misused_(struct weir_seen *seen, const char *what);

/* A select begins, with conf.check: none of its arms may be another's that waits. */
void weir_seen_arms_(struct weir_op *select);

/* For races, see check/order.c: what has come before what, apart from what the calls above tell of
 * channels and permits.  Whoever runs gives to those that take from the object later, or takes;
 * takes_all: from all that anyone did before. */
void weir_seen_gives_(struct weir_seen *seen);
void weir_seen_takes_(struct weir_seen *seen);
void weir_seen_takes_all_(struct weir_seen *seen);

/* The same of groups and ctxs, only with conf.check.  g is new; a task of it has ended; whoever
 * runs knows of those that have; g is over. */
void weir_past_new_(struct weir_group *g);
void weir_past_ended_(struct weir_group *g);
void weir_past_known_(struct weir_group *g);
void weir_past_forget_(struct weir_group *g);
/* A ctx is done with err; whoever runs knows that one is. */
void weir_past_cancel_(struct weir_loop *loop, int err);
void weir_past_cancelled_(struct weir_loop *loop);

/* A task's memory, with room for a note of it; slab.c calls them with conf.check. */
void *weir_notes_block_(struct weir_notes *notes, size_t size);
void weir_notes_unblock_(struct weir_notes *notes, void *block);

#endif
