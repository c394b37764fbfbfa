/* SPDX-License-Identifier: MIT */
/*
 * ctx.h - contexts: who may stop what, by when, and why.
 *
 * A ctx is alive, then done, for ever.  Contexts form a tree: when one is done, all below it are,
 * before weir_ctx_cancel() returns.  A task is under one ctx, and whatever it awaits ends with the
 * ctx's error as soon as that is done; so does every later await, until the task returns or is
 * under another ctx.  Cancelling runs no task: it makes tasks ready.
 *
 * Behaviour is that of Go's package context, but for what is said at each call.  A ctx is memory
 * of the caller's (a member of a frame, say): _fini it before that goes.  All calls are
 * loop-thread only except where they say otherwise.
 */
#ifndef WEIR_CTX_H
#define WEIR_CTX_H

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;

struct weir_ctx {
	int err;			/* 0 alive, -ECANCELED, -ETIMEDOUT; read it freely */
	int cause;			/* the first cause given; what err says if none was */
	struct weir_loop *loop;
	struct weir_ctx *parent;	/* NULL only in a loop's root */
	struct weir_ctx *outer;		/* while entered: what the task was under before */
	struct weir_list sibling;	/* in parent->children */
	struct weir_list children, tasks, waiters, afters;
	struct weir_list watches;	/* descriptors that cancel it */
	struct weir_timer timer;	/* runs if the deadline is its own */
	uint64_t deadline;		/* the tree's, WEIR_FOREVER if none */
	const void *key;
	void *value;
	const char *made, *by;		/* "file:line" of creation, of the first cancel */
	int late;			/* the cause if the deadline ends it */
	bool timed;			/* timer is running */
	bool detached;			/* the parent's end and deadline do not reach it */
};

/* A new ctx under parent.  It is done at once, with the parent's error and cause, if parent is. */
#define weir_ctx_init(ctx, parent)	\
	weir_ctx_init_((ctx), (parent), WEIR_FOREVER, 0, WEIR_HERE_)

/* As weir_ctx_init(), and done with -ETIMEDOUT at time `deadline` of the loop's clock; at once if
 * that is not in the future.  A parent's earlier deadline holds. */
#define weir_ctx_init_deadline(ctx, parent, deadline)	\
	weir_ctx_init_((ctx), (parent), (deadline), 0, WEIR_HERE_)

/* As weir_ctx_init_deadline(), ns from now. */
#define weir_ctx_init_timeout(ctx, parent, ns)	\
	weir_ctx_init_timeout_((ctx), (parent), (ns), 0, WEIR_HERE_)

/* As weir_ctx_init_timeout(), with a cause, a negative int, for when that time is what ends it. */
#define weir_ctx_init_timeout_cause(ctx, parent, ns, cause)	\
	weir_ctx_init_timeout_((ctx), (parent), (ns), (cause), WEIR_HERE_)

/* A ctx that neither the end nor the deadline of parent reaches; it has the parent's values, so
 * parent must outlive it (Go's WithoutCancel, with a deadline of its own, or WEIR_FOREVER). */
#define weir_ctx_init_detached(ctx, parent, deadline)	\
	weir_ctx_init_detached_((ctx), (parent), (deadline), WEIR_HERE_)

/* Leaves the tree.  No task may be under the ctx, no child of it may be left.  Callbacks that have
 * not begun do not run, also if the ctx is done; the descriptor from weir_ctx_fd() is closed, in
 * the loop's next turn if the kernel still polls it.  Twice is harmless; err and cause stay. */
WEIR_API void weir_ctx_fini(struct weir_ctx *ctx);

/* Ends ctx and all below it with -ECANCELED and the cause, a negative int (0: none).  The first
 * cause stays.  Legal from a task that is itself cancelled by it. */
#define weir_ctx_cancel(ctx, cause)	\
	weir_ctx_cancel_((ctx), -ECANCELED, (cause), WEIR_HERE_)

/* 0 while alive, then -ECANCELED or -ETIMEDOUT. */
static inline int weir_ctx_err(const struct weir_ctx *ctx)
{
	return ctx->err;
}

/* Why: the cause of the first cancel on the path that ended it; err if none was given; 0 alive. */
static inline int weir_ctx_cause(const struct weir_ctx *ctx)
{
	return ctx->cause;
}

/* When ctx will be done at the latest; WEIR_FOREVER if no deadline is set. */
static inline uint64_t weir_ctx_deadline(const struct weir_ctx *ctx)
{
	return ctx->deadline;
}

/* One value per ctx, found by the address of its key from there and from everything below. */
static inline void weir_ctx_set(struct weir_ctx *ctx, const void *key, void *value)
{
	ctx->key = key;
	ctx->value = value;
}

/* The value for key of the nearest ctx that has one, else NULL. */
WEIR_API void *weir_ctx_get(const struct weir_ctx *ctx, const void *key);

extern WEIR_API const struct weir_op_def weir_ctx_wait_def_;

/* Awaits the end of a ctx, not necessarily the task's own.  Result: 0 (read weir_ctx_err() of
 * it). */
WEIR_MUST_USE static inline struct weir_op *weir_ctx_wait(struct weir_op *op, struct weir_ctx *ctx)
{
	weir_op_prepare_(op, &weir_ctx_wait_def_);
	op->u.wait.obj = ctx;
	return op;
}

/* ---- a part of a task under a ctx of its own ---- */

/* The task of op is under ctx from here on, until weir_ctx_leave().  ctx is entered by one task at
 * a time; spawn into a group to share one. */
WEIR_API void weir_ctx_enter(struct weir_op *op, struct weir_ctx *ctx);

/* The task is under what it was under before ctx.  Leave in the reverse order of entering. */
WEIR_API void weir_ctx_leave(struct weir_op *op, struct weir_ctx *ctx);

/* weir_shield(op, ctx, ns) initialises ctx, detached, with a timeout of ns, and enters it: awaits
 * work again although the task is cancelled, for cleanup that has to wait.
 * weir_unshield() leaves and finis it.  The time limit is what keeps a shutdown from hanging. */
#define weir_shield(op, ctx, ns)	\
	weir_shield_((op), (ctx), (ns), WEIR_HERE_)
WEIR_API void weir_unshield(struct weir_op *op, struct weir_ctx *ctx);

/* ---- callbacks ---- */

struct weir_after {
	struct weir_list link;		/* in ctx->afters, until it has begun */
	struct weir_list queued;	/* in the loop's, once ctx is done */
	struct weir_loop *loop;
	void (*fn)(struct weir_after *a);
	enum weir_after_state { WEIR_AFTER_ARMED_ = 1, WEIR_AFTER_QUEUED_, WEIR_AFTER_OVER_ } state;
};

/* fn(a) runs once, in the loop, after ctx is done and after the call that ended it has returned
 * (Go's AfterFunc); never if weir_ctx_fini() comes first.  a is the caller's memory, which the
 * runtime needs until fn is called, it is stopped, or ctx goes. */
WEIR_API void weir_ctx_after(struct weir_ctx *ctx, struct weir_after *a,
			     void (*fn)(struct weir_after *a));

/* True: fn will not run, by this call.  False: it has run, or was stopped before.  (Go's stop also
 * says false when f is started but has not finished; in one thread that is the same as has run.) */
WEIR_API bool weir_ctx_after_stop(struct weir_after *a);

/* ---- descriptors ----
 * Each that is watched, a ctx's own or an adopted one, takes one of the loop's conf.ops until the
 * ctx is done or gone; like any op, it waits for its turn if they are all taken. */

/* An eventfd, made by the first call and the same from then on, owned by ctx.  It becomes readable
 * when ctx is done and stays so: poll it from any thread, loop or process (never read it).  Writing
 * to it (weir_ctx_cancel_fd()) from anywhere cancels ctx.  While it exists the loop waits for such
 * a write rather than report a deadlock.  Results: the fd; -EMFILE, -ENFILE, -ENOMEM; -ECHILD in a
 * child, after fork(2), which may use an fd made before. */
WEIR_API int weir_ctx_fd(struct weir_ctx *ctx);

/* Cancels the ctx that fd came from, cause -ECANCELED.  Any thread, any process that holds the
 * descriptor, a signal handler.  Results: 0; -errno of write(2). */
WEIR_API int weir_ctx_cancel_fd(int fd);

/* ctx is cancelled with cause when fd becomes readable or hangs up: a pidfd, a signalfd, a pressure
 * fd, a ctx fd of another loop.  fd stays the caller's and is not read; keep it open until ctx is
 * done or gone.  If it can be watched no longer, because weir_close() has closed it, say, ctx is
 * cancelled with that error as the cause.  Results: 0; -ENOMEM; -EBADF; -ECHILD as above. */
WEIR_API int weir_ctx_adopt(struct weir_ctx *ctx, int fd, int cause);

/* ---- what the macros call ---- */
WEIR_API void weir_ctx_init_(struct weir_ctx *ctx, struct weir_ctx *parent, uint64_t deadline,
			     int late, const char *made);
WEIR_API void weir_ctx_init_timeout_(struct weir_ctx *ctx, struct weir_ctx *parent, uint64_t ns,
				     int late, const char *made);
WEIR_API void weir_ctx_init_detached_(struct weir_ctx *ctx, struct weir_ctx *parent,
				      uint64_t deadline, const char *made);
WEIR_API void weir_ctx_cancel_(struct weir_ctx *ctx, int err, int cause, const char *by);
WEIR_API void weir_shield_(struct weir_op *op, struct weir_ctx *ctx, uint64_t ns, const char *made);

#ifdef __cplusplus
}
#endif

#endif
