/* SPDX-License-Identifier: MIT */
/*
 * limiter.h - rate limiters: token buckets, Go's x/time/rate.
 *
 * A bucket starts full, with `burst` tokens, and gains `rate` tokens a second up to burst.  Three
 * ways to take n of them: weir_limiter_allow() now or not at all, weir_limiter_reserve() for a
 * later time that it tells, weir_limiter_wait() when they are there.
 *
 *	struct weir_limiter lim;
 *	rc = weir_limiter_init(&lim, loop, weir_every(100 * WEIR_MS), 5);
 *	WEIR_TRY(rc, out, weir_limiter_wait(op, &lim, 1));
 *
 * Tokens are computed from the loop's clock, to the nanosecond, not counted tick by tick: a process
 * that was stopped for an hour finds what the hour gave, at most burst, and so do those who waited
 * through it.  No timer is exact: what one that is late, by no more than WEIR_LIMITER_LATE, would
 * have cost those who wait, or who wait again within that time, they still get.  A limiter has one
 * timer on the loop's timerfd, for the first who waits; where nobody waits it has none.
 *
 * The arithmetic is Go's, digit for digit.  Differences from Go, on purpose:
 * - A negative n is -EINVAL; Go adds tokens.
 * - A reservation is cancelled once, then never again, and gives back no more than it took; Go
 *   gives tokens back each time, and too many if others were cancelled out of order.
 * - A reservation that would never be due (rate 0, no tokens left) is -ERANGE, and takes none.
 * - Who waits holds a place, not a time.  A new rate holds for those who already wait: 0 halts
 *   them, an infinite one lets all go.  When one is cancelled, those behind it move up.  (Go keeps
 *   to the times it computed on arrival: 1,000 who are cancelled leave it in debt for them.)
 * - After a stop of the process one burst of those who wait goes at once, the others at the rate.
 *   (Go lets all go whose times have passed.)
 * - Those who wait go strictly in the order in which they came.
 * - A clock that goes back is taken to stand still.
 *
 * A limiter is the caller's memory, used by the loop's thread only.
 */
#ifndef WEIR_LIMITER_H
#define WEIR_LIMITER_H

#include <float.h>

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;
struct weir_seen;

#define WEIR_RATE_INF		DBL_MAX		/* no limit; burst is ignored */
#define WEIR_LIMITER_LATE	WEIR_MS		/* a timer may be so late and no token is lost */
#define WEIR_LIMITER_MAX	(1ll << 53)	/* burst at most: as far as a double can count */

/* The arithmetic alone; see sync/bucket.h.  What was taken for a later time is gone already, so
 * tokens may be negative. */
struct weir_bucket {
	double rate;		/* tokens a second */
	double tokens;		/* at time `last` */
	int64_t burst;
	uint64_t last;
	uint64_t last_event;	/* when the latest reservation is due; WEIR_FOREVER if none is */
};

struct weir_limiter {
	struct weir_bucket bucket;	/* the waiters' tokens are taken already */
	struct weir_loop *loop;
	struct weir_list waiters;	/* ops, first come first served */
	struct weir_timer timer;	/* the first one's turn */
	bool timed;			/* it runs: there are waiters, and none is being served */
	double owed;			/* tokens taken by the waiters and those behind them */
	double late;			/* tokens that its timer was too late for, and when */
	uint64_t late_at;
	uint64_t arrivals;		/* waits and reservations so far */
	const char *made;		/* "file:line name" */
	struct weir_seen *seen;		/* conf.check: the kit's notes */
};

/* n tokens for a time to come.  Plain data: may be copied, or forgotten. */
struct weir_reservation {
	struct weir_limiter *limiter;
	int64_t n;		/* 0: refused, or cancelled */
	uint64_t due;		/* act at this time, not before; WEIR_FOREVER if refused */
	double rate;		/* at which they were promised */
	uint64_t arrival;
};

/* The rate of one token each ns: Go's Every(). 0 is WEIR_RATE_INF. */
static inline double weir_every(uint64_t ns)
{
	return ns ? 1 / ((double)(ns / WEIR_S) + (double)(ns % WEIR_S) / 1e9) : WEIR_RATE_INF;
}

/* A full bucket.  Rate 0 gives burst tokens once and no more.
 * Results: 0; -EINVAL rate is negative or no number, burst negative or above WEIR_LIMITER_MAX. */
#define weir_limiter_init(l, loop, rate, burst)	\
	weir_limiter_init_((l), (loop), (rate), (burst), WEIR_HERE_ " " #l)

/* No task may wait. */
WEIR_API void weir_limiter_fini(struct weir_limiter *l);

/* Takes n tokens if they are there.  Results: 1; 0 they are not, none is taken; -EINVAL n < 0. */
WEIR_API WEIR_MUST_USE int weir_limiter_allow(struct weir_limiter *l, int64_t n);

/* Takes n tokens, of those to come if need be: the caller acts at r->due, whatever happens to the
 * rate, or cancels.  Results: 0; -E2BIG n > burst; -ERANGE would never be due; -EINVAL n < 0. */
WEIR_API WEIR_MUST_USE int weir_limiter_reserve(struct weir_limiter *l, int64_t n,
						struct weir_reservation *r);

/* Nanoseconds until r is due, 0 from then on; WEIR_FOREVER if it was refused. */
WEIR_API uint64_t weir_reservation_delay(const struct weir_reservation *r);

/* The caller will not act: gives back what has not been promised to later reservations.
 * No effect if r is past due, refused or cancelled already. */
WEIR_API void weir_reservation_cancel(struct weir_reservation *r);

/* Awaits n tokens and takes them, behind all who wait.  Results: 0; and at once, with none taken:
 * -E2BIG n > burst; -EINVAL n < 0; -ETIMEDOUT its turn would come after the ctx's deadline (not if
 * it comes at the deadline).  If the ctx is cancelled meanwhile its tokens are given back. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_limiter_wait(struct weir_op *op, struct weir_limiter *l,
							 int64_t n);

/* From now on.  Reservations keep their time.  Results: 0; -EINVAL as weir_limiter_init(). */
WEIR_API int weir_limiter_set_rate(struct weir_limiter *l, double rate);
WEIR_API int weir_limiter_set_burst(struct weir_limiter *l, int64_t burst);

/* Tokens there now; negative if more are promised. */
WEIR_API double weir_limiter_tokens(const struct weir_limiter *l);

extern WEIR_API const struct weir_op_def weir_limiter_wait_def_;

WEIR_API int weir_limiter_init_(struct weir_limiter *l, struct weir_loop *loop, double rate,
				int64_t burst, const char *made);

#ifdef __cplusplus
}
#endif

#endif
