/* SPDX-License-Identifier: MIT */
/*
 * waits.h - who can end which wait, and so who can never go on; for the kit alone.
 *
 * A search numbers the tasks of a loop as weir_dump() does and finds those that are stuck.
 */
#ifndef WEIR_CHECK_WAITS_H
#define WEIR_CHECK_WAITS_H

#include "check/describe.h"
#include "check/notes.h"

struct weir_search {
	struct weir_loop *loop;
	struct weir_task_note **task;		/* in the order of a dump */
	struct weir_task_note **block;		/* the same, by address */
	struct weir_seen **object;		/* by address */
	struct weir_ctx **ctx;			/* by address */
	weir_body **body;			/* of tasks that are alive */
	size_t tasks, objects, ctxs, bodies;
	uintptr_t low, high;	/* all tasks and objects lie between these */
	bool hosted;		/* the program around the loop, or another thread, may act */
	bool careful;		/* see waits.c */
	bool changed;
	unsigned round;
};

/* Results: 0; -ENOMEM.  weir_search_free_() in either case. */
int weir_search_(struct weir_search *s, struct weir_loop *loop);
void weir_search_free_(struct weir_search *s);

/* The arms of what t waits for, or the one op. */
unsigned weir_waits_(const struct weir_task *t);
const struct weir_op *weir_wait_(const struct weir_task *t, unsigned i);

/* Calls fn for each living task but `task` itself that is known to be able to end the wait, with
 * what it would have to do; of a semaphore also for itself.  Returns how many there are. */
unsigned weir_enders_(const struct weir_search *s, const struct weir_op *wait,
		      void (*fn)(void *arg, struct weir_task_note *by, const char *how), void *arg);

/* A task that was one of these and has ended; NULL: none is remembered. */
const struct weir_task_note *weir_gone_(const struct weir_op *wait);

#endif
