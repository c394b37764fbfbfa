/* SPDX-License-Identifier: MIT */
/*
 * order.h - what has come before what, by more than luck; for the kit alone.  See order.c.
 */
#ifndef WEIR_CHECK_ORDER_H
#define WEIR_CHECK_ORDER_H

#include "core/loop.h"

#define WEIR_CLOCKS	1024	/* tasks that have one, at most */

struct weir_notes;
struct weir_task_note;

/* Of each clock the last tick that is known to have come before. */
struct weir_past {
	unsigned n;
	uint32_t *at;
};

struct weir_order {
	bool on;			/* a region has been declared */
	bool in_step;
	struct weir_task_note *doer;	/* in a step: who runs; NULL: it has ended */
	struct weir_past left;		/* ... what came before its end */
	struct weir_task **end;		/* of the run queue, before the step */
	struct weir_list passed;	/* objects to which the step gives */
	bool cancels;			/* the step ended a ctx */

	struct weir_past all;		/* every tick so far */
	struct weir_past cancelled;	/* what came before the end of a ctx, of whichever */
	struct weir_past over;		/* ... the end of groups that are over */
	unsigned clocks;		/* handed out so far */
	uint16_t idle[WEIR_CLOCKS];	/* of tasks that have ended, the longest ago first */
	unsigned first_idle, n_idle;

	unsigned races;
	struct weir_race_ *told;
	unsigned room;
};

void weir_order_init_(struct weir_order *o);
void weir_order_fini_(struct weir_order *o);

/* Around each step of a task. */
void weir_order_begin_(struct weir_task *t);
void weir_order_end_(struct weir_loop *loop);

void weir_order_task_made_(struct weir_notes *notes, struct weir_task_note *n);
void weir_order_task_gone_(struct weir_notes *notes, struct weir_task_note *n);

/* s is used as seen.h says, by whoever runs; permits of it go to n, or come back. */
void weir_order_used_(struct weir_seen *s, unsigned how);
void weir_order_holds_(struct weir_seen *s, struct weir_task_note *n, bool more);

/* Whoever runs has it all behind him that ended the ctx he is under, if that is done. */
void weir_order_catch_up_(struct weir_notes *notes);
/* n's clock, given to it if it has none; -1: there is none left, or no memory. */
int weir_order_clock_(struct weir_notes *notes, struct weir_task_note *n);

void weir_past_fini_(struct weir_past *p);

static inline uint32_t weir_past_at_(const struct weir_past *p, unsigned clock)
{
	return clock < p->n ? p->at[clock] : 0;
}

#endif
