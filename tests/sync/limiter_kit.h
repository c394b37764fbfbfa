/* SPDX-License-Identifier: MIT */
/*
 * limiter_kit.h - a limiter in a loop on the virtual clock, and tasks that wait for it.
 *
 * Time is d = 100 ms times a number, so that at 10 a second a token comes each d.
 */
#ifndef LIMITER_KIT_H
#define LIMITER_KIT_H

#include "harness.h"
#include "weir.h"

#define D	(100 * WEIR_MS)

static struct weir_loop *loop;
static struct weir_limiter lim;
static uint64_t start;
static unsigned finished;	/* tasks so far */

static inline void begin(double rate, int64_t burst)
{
	loop = test_loop();
	start = weir_now(loop);
	finished = 0;
	ck_assert_int_eq(weir_limiter_init(&lim, loop, rate, burst), 0);
}

static inline void end(void)
{
	weir_limiter_fini(&lim);
	test_loop_free(loop);
}

static inline void ck_tokens(double tokens)
{
	ck_assert_double_eq_tol(weir_limiter_tokens(&lim), tokens, 1e-9);
}

/* Lets everything that can happen at this time happen. */
static inline void settle(void)
{
	struct weir_loop_stats before, after;

	do {
		weir_loop_stats(loop, &before);
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
		weir_loop_stats(loop, &after);
	} while (after.resumes > before.resumes);
}

static inline void pass(double d)
{
	ck_assert_int_eq(weir_advance(loop, (uint64_t)(d * (double)D)), 0);
	settle();
}

/* What a task waits for, and what becomes of it. */
struct ask {
	int64_t n;
	uint64_t timeout;	/* in d; 0 none */
	struct weir_ctx *under;	/* NULL: the loop's */
	struct weir_ctx ctx;	/* its own, to cancel it */
	bool ended;
	int rc;
	uint64_t when;		/* by the loop's clock */
	unsigned nth;		/* of those that ended */
};

struct waiter { struct weir_frame co; struct ask *ask; };

static WEIR_CO(waiter, self, op)
{
	struct ask *a;
	int rc;

	a = self->ask;
	weir_ctx_init_timeout(&a->ctx, a->under ? a->under : weir_op_ctx(op),
			      a->timeout ? a->timeout * D : WEIR_FOREVER);
	weir_ctx_enter(op, &a->ctx);
	WEIR_AWAIT(rc, weir_limiter_wait(op, &lim, self->ask->n));
	a = self->ask;
	a->ended = true;
	a->rc = rc;
	a->when = weir_now(loop);
	a->nth = ++finished;
	weir_ctx_leave(op, &a->ctx);
	weir_ctx_fini(&a->ctx);
}
WEIR_END

/* It comes to the line before whoever is spawned next, though ready tasks may run in any order. */
static inline void go(struct ask *a)
{
	ck_assert_int_eq(weir_go(weir_loop_group(loop), waiter, .ask = a), 0);
	ck_assert_int_ge(weir_loop_dispatch(loop), 0);
}

/* All tasks end by themselves. */
static inline void run(void)
{
	ck_assert_int_eq(weir_loop_run(loop), 0);
}

/* when: in d since the start. */
static inline void ck_ended(const struct ask *a, int rc, double when)
{
	ck_assert(a->ended);
	ck_assert_int_eq(a->rc, rc);
	ck_assert_double_eq_tol((double)(a->when - start) / (double)D, when, 1e-6);
}

#endif
