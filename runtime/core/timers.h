/* SPDX-License-Identifier: MIT */
/*
 * timers.h - all timers of a loop: start and stop in constant time, a million of them.
 *
 * A radix wheel.  Times are exact nanoseconds, cut into digits of 6 bits.  A timer sits at the
 * level of the highest digit in which its time differs from `base`, in that digit's slot; base is a
 * time that is not past the earliest timer.  When base moves into a slot of level n, the slot's
 * timers are dealt out to the levels below.  Where a timer sits depends on its time and base alone,
 * so timers of equal time share a slot always, in the order in which they were started: they fire
 * in exactly the order (time, start).
 */
#ifndef WEIR_CORE_TIMERS_H
#define WEIR_CORE_TIMERS_H

#include "weir/op.h"

#define WEIR_WHEEL_BITS_	6
#define WEIR_WHEEL_SLOTS_	(1 << WEIR_WHEEL_BITS_)
#define WEIR_WHEEL_LEVELS_	11	/* of 6 bits: 64 */

struct weir_wheel_slot {
	struct weir_list timers;
	uint64_t earliest;	/* no timer here is before it; exact unless one was stopped */
};

struct weir_wheel {
	uint64_t base;
	uint64_t count;
	uint64_t filled[WEIR_WHEEL_LEVELS_];	/* bit n: slot n may hold timers */
	struct weir_wheel_slot slot[WEIR_WHEEL_LEVELS_][WEIR_WHEEL_SLOTS_];
};

struct weir_loop;

void weir_wheel_init_(struct weir_wheel *w, uint64_t now);

/* No timer is due before this; WEIR_FOREVER if there are none. */
uint64_t weir_wheel_next_(struct weir_wheel *w);

/* The first timer with due <= now, taken out; NULL if there is none. */
struct weir_timer *weir_wheel_expire_(struct weir_wheel *w, uint64_t now);

/* fire(t) is called once, by the loop, at or after due.  A due of WEIR_FOREVER never comes, but the
 * timer still has to be stopped. */
void weir_timer_start_(struct weir_loop *loop, struct weir_timer *t, uint64_t due,
		       void (*fire)(struct weir_timer *t));

/* Only for a timer that was started and has not fired. */
void weir_timer_stop_(struct weir_loop *loop, struct weir_timer *t);

#endif
