/* SPDX-License-Identifier: MIT */
/*
 * shared.h - races between tasks, found by what orders them and not by what happened; a part of
 * check.h.
 *
 * Tasks of a loop never run at the same time, but which of two runs first is often luck.  What is
 * to happen in an order that does not depend on luck is declared as a region, and each access to it
 * is noted where it is made:
 *
 *	weir_shared_read(&self->bank->balance_region);
 *	balance = self->bank->balance;
 *	WEIR_TRY(rc, out, weir_send(op, fd, &balance, sizeof balance, 0));
 *	weir_shared_write(&self->bank->balance_region);
 *	self->bank->balance = balance - 1;
 *
 * With conf.check two accesses by two tasks, one of them a write, are reported if nothing orders
 * them, once for each pair of places and also if they came in the right order:
 *
 *	weir: race: write of &bank->balance_region in withdraw bank.c:30 and write in deposit
 *	bank.c:41, with nothing between them that orders them
 *
 * Order comes from: spawning; the end of a task, to who joins it or waits for its group, or gets a
 * place in a group with a limit; an item, to who receives it, and room for one, to who sends it; a
 * close; a permit, from who releases it to who acquires it; the end of a ctx, to the tasks under it
 * and who waits for it; and from whatever made a waiting task ready.  Not from: time (sleeps,
 * deadlines, intervals, limiters), weir_yield(), or the kernel: where one task writes to a pipe
 * and another reads from it, or a flag in memory is looked at, say so by weir_shared_give() and
 * weir_shared_take().
 *
 * Every report is of two accesses that nothing of the above orders; so it is for the program to
 * declare only what needs an order.  A step, from one await to the next, is whole: a counter that
 * tasks only add to needs none.  It is not told of everything: a channel, semaphore or group orders
 * all who gave to it before all who take from it later, though they took another's item; the
 * program around the loop, callbacks and messages come after all that was done before them; and of
 * tasks that have ended, only the last 1024 that accessed regions are remembered.  Over many seeds
 * (seeds.h) less is missed.
 */
#ifndef WEIR_SHARED_H
#define WEIR_SHARED_H

#include "weir/base.h"
#include "weir/loop.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_seen;

struct weir_shared {
	struct weir_seen *seen;		/* NULL without conf.check: then each call is a branch */
};

struct weir_access_ {
	const char *func, *file;
	int line;
	bool writes;
};

/* A region of loop: one struct, or all that one rule is about.  Never fails: without memory for
 * notes nothing is told. */
#define weir_shared_init(s, loop)	\
	weir_shared_init_((s), (loop), WEIR_HERE_ " " #s)

/* Not finished when the loop is freed, it is a leak, as other objects are. */
WEIR_API void weir_shared_fini(struct weir_shared *s);

/* The task that runs reads, or writes, the region in this step.  Outside of tasks: no effect. */
#define weir_shared_read(s)	weir_shared_access_((s), false)
#define weir_shared_write(s)	weir_shared_access_((s), true)

/* What the task that runs has done so far, and does in this step, comes before what those do who
 * take from the region later. */
static inline void weir_shared_give(struct weir_shared *s);
static inline void weir_shared_take(struct weir_shared *s);

/* How many races were reported.  -ENOTSUP without conf.check; -ENOMEM too little memory for notes,
 * now or before. */
WEIR_API int weir_races(const struct weir_loop *loop);

/* ---- what the macros call, and what is inline ---- */

WEIR_API void weir_shared_init_(struct weir_shared *s, struct weir_loop *loop, const char *made);
WEIR_API void weir_shared_note_(struct weir_seen *seen, const struct weir_access_ *at);
WEIR_API void weir_shared_pass_(struct weir_seen *seen, bool gives);

#define weir_shared_access_(s, how) do {						\
	static const struct weir_access_ at_ = { __func__, __FILE__, __LINE__, how };	\
	struct weir_seen *const seen_ = (s)->seen;					\
	if (__builtin_expect(seen_ != NULL, 0))						\
		weir_shared_note_(seen_, &at_);						\
} while (0)

static inline void weir_shared_give(struct weir_shared *s)
{
	if (s->seen)
		weir_shared_pass_(s->seen, true);
}

static inline void weir_shared_take(struct weir_shared *s)
{
	if (s->seen)
		weir_shared_pass_(s->seen, false);
}

#ifdef __cplusplus
}
#endif

#endif
