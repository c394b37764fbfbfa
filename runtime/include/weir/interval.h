/* SPDX-License-Identifier: MIT */
/*
 * interval.h - ticks at a fixed period, Go's time.Ticker, and what becomes of missed ones.
 *
 *	weir_interval_init(&self->every, loop, WEIR_S, WEIR_SKIP);
 *	while (n >= 0)
 *		WEIR_AWAIT(n, weir_interval_tick(op, &self->every));
 *
 * The first tick is due at once, the others by the schedule that begins there: start + period,
 * start + 2 periods...  A tick is late if its task was, or the loop, or the machine stood still.
 * What is left of the schedule then is the policy's:
 *
 *	policy		after ticks at 0 and a stall from there to 210, period 50
 *	WEIR_SKIP	210 (n = 4), 250, 300...	the missed ones are counted, not made up for
 *	WEIR_BURST	210, 210, 210, 210, 250...	each is made up for, one by one
 *	WEIR_DELAY	210 (n = 4), 260, 310...	the schedule begins anew
 *
 * An interval is the caller's memory, holds nothing, needs no fini; loop's thread only.
 */
#ifndef WEIR_INTERVAL_H
#define WEIR_INTERVAL_H

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;

enum weir_missed {
	WEIR_SKIP,
	WEIR_BURST,
	WEIR_DELAY,
};

struct weir_interval {
	struct weir_loop *loop;
	uint64_t period;
	uint64_t next;		/* when the next tick is due */
	enum weir_missed missed;
};

/* The schedule begins now.  Results: 0; -EINVAL a period of 0. */
WEIR_API int weir_interval_init(struct weir_interval *iv, struct weir_loop *loop, uint64_t period,
				enum weir_missed missed);

/* Awaits the next tick.  Result: how many periods it stands for, 1 unless some were missed.
 * Several tasks may share an interval; each tick goes to one of them. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_interval_tick(struct weir_op *op,
							  struct weir_interval *iv);

#ifdef __cplusplus
}
#endif

#endif
