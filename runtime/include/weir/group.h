/* SPDX-License-Identifier: MIT */
/*
 * group.h - groups: tasks that live and end together; Go's errgroup and a nursery in one.
 *
 * Every task is in a group, and a group is over when all its tasks are.  The first task that
 * returns an error is the group's result, and cancels the others with that error as the cause.
 * Nothing can be spawned into a group after that.  Whoever makes a group awaits weir_group_wait()
 * before its memory goes: so no task outlives the frame it was started from.
 *
 * Loop-thread only.  Differences from errgroup, on purpose: spawning after a failure is refused;
 * the -ECANCELED of a task that was cancelled never hides another task's real error.
 */
#ifndef WEIR_GROUP_H
#define WEIR_GROUP_H

#include "weir/base.h"
#include "weir/ctx.h"
#include "weir/op.h"
#include "weir/task.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_NO_LIMIT	(-1)

struct weir_group_conf {
	bool keep_going;	/* an error does not cancel the others (a zero errgroup.Group) */
	int *errors;		/* if set: all errors in the order in which tasks ended... */
	unsigned max_errors;	/* ...as many as fit */
};

struct weir_past;

struct weir_group {
	struct weir_ctx ctx;		/* what its tasks are under */
	struct weir_group_conf conf;
	int err;			/* the first real error */
	int victim;			/* the first error that only told of ctx's end */
	unsigned failures;		/* tasks that returned an error, more perhaps than fit */
	unsigned active;		/* tasks that have not ended */
	unsigned held;			/* places promised by weir_group_slot() */
	int limit;
	struct weir_list ended;		/* joinable tasks not joined */
	struct weir_list waiters;	/* ops of weir_group_wait() */
	struct weir_list slots;		/* ops of weir_group_slot() */
	struct weir_after refuse;	/* ends those when the group's ctx is done */
	struct weir_past *past;		/* conf.check: the kit's, of tasks that have ended */
};

/* An empty group under parent: in a coroutine, weir_op_ctx(op).  conf may be NULL. */
#define weir_group_init(g, parent, conf)	\
	weir_group_init_((g), (parent), (conf), WEIR_HERE_)

/* Ends a group that has no tasks, as weir_group_wait() does, which needs no fini after it. */
WEIR_API void weir_group_fini(struct weir_group *g);

/* At most n tasks at a time; 0 none, negative any number (the start value).
 * Results: 0; -EBUSY while tasks are active. */
WEIR_API int weir_group_limit(struct weir_group *g, int n);

/* weir_group_cancel(g, cause): cancels all tasks, as weir_ctx_cancel(). */
#define weir_group_cancel(g, cause)	weir_ctx_cancel(&(g)->ctx, (cause))

extern WEIR_API const struct weir_op_def weir_group_wait_def_, weir_group_slot_def_;

/* Awaits the end of all tasks, those they spawn meanwhile included, and ends the group.  Not
 * cut short by the waiting task's ctx: the tasks are under it too and end.  Several may wait.
 * Results: the first error of a task; the ctx's own if tasks did no more than obey it; 0.  In each
 * case the group's ctx is done then, and what was derived from it too (that becomes its parent's);
 * callbacks on it run.  Waiting again for the same group gives the same result. */
WEIR_MUST_USE static inline struct weir_op *weir_group_wait(struct weir_op *op,
							    struct weir_group *g)
{
	weir_op_prepare_(op, &weir_group_wait_def_);
	op->u.wait.obj = g;
	return op;
}

/* Awaits until the group is below its limit, first come first served, and holds a place there,
 * which counts as a task until weir_group_unhold().  Results: 0; the error of the group's ctx. */
WEIR_MUST_USE static inline struct weir_op *weir_group_slot(struct weir_op *op,
							    struct weir_group *g)
{
	weir_op_prepare_(op, &weir_group_slot_def_);
	op->u.wait.obj = g;
	return op;
}

/* Gives a place back that weir_group_slot() gave. */
WEIR_API void weir_group_unhold(struct weir_group *g);

/* rc = weir_go() that waits at the group's limit instead of returning -EAGAIN. */
#define WEIR_GO(rc, g, name, ...) do {							\
	WEIR_AWAIT_(rc, "WEIR_GO(" #g ", " #name ")",					\
		    weir_group_slot(weir_task_op(task_), (g)));				\
	if ((rc) == 0) {								\
		struct weir_group *const go_g_ = (g);					\
		go_g_->held--;	/* the place is the new task's, not the next waiter's */	\
		(rc) = weir_go(go_g_, name, __VA_ARGS__);				\
		if ((rc) < 0) {								\
			go_g_->held++;							\
			weir_group_unhold(go_g_);					\
		}									\
	}										\
} while (0)

WEIR_API void weir_group_init_(struct weir_group *g, struct weir_ctx *parent,
			       const struct weir_group_conf *conf, const char *made);

#ifdef __cplusplus
}
#endif

#endif
