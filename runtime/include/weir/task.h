/* SPDX-License-Identifier: MIT */
/*
 * task.h - what runs: a coroutine with all it calls, its op, its ctx and its group.
 *
 * A task is one allocation: struct weir_task, and behind it the outermost frame.  It is spawned
 * into a group (group.h) and is gone when it returns.  It waits for one thing at a time, its op;
 * it is under one ctx at a time, which every await watches.  All calls here are loop-thread only.
 */
#ifndef WEIR_TASK_H
#define WEIR_TASK_H

#include "weir/base.h"
#include "weir/op.h"
#include "weir/co.h"
#include "weir/ctx.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_group;
struct weir_loop;

/* After so many awaits that did not have to wait, and calls, a task lets the others run. */
#define WEIR_TASK_BUDGET	128

/* The tasks that are ready, in order, and where the next goes.  Every loop begins with one. */
struct weir_run_queue_ {
	struct weir_task *first, **end;
};

struct weir_task {
	struct weir_op op;
	struct weir_frame *leaf;	/* innermost frame: where it goes on */
	struct weir_ctx *ctx;
	struct weir_list in_ctx;	/* in ctx->tasks; ended and not joined: in group->ended */
	struct weir_group *group;
	struct weir_op *joiner;		/* who waits for its end */
};

static inline struct weir_op *weir_task_op(struct weir_task *t)
{
	return &t->op;
}

/* The task that an op belongs to. */
static inline struct weir_task *weir_op_task(struct weir_op *op)
{
	if (op->flags & WEIR_OP_ARM_)
		return ((struct weir_arm *)(void *)op)->task;
	return weir_container_of(op, struct weir_task, op);
}

/* The ctx that the task of op is under now. */
static inline struct weir_ctx *weir_op_ctx(struct weir_op *op)
{
	return weir_op_task(op)->ctx;
}

static inline struct weir_loop *weir_op_loop(struct weir_op *op)
{
	return weir_op_ctx(op)->loop;
}

static inline struct weir_frame *weir_task_root_(struct weir_task *t)
{
	return (struct weir_frame *)(void *)(t + 1);
}

extern WEIR_API const struct weir_op_def weir_join_def_;

WEIR_API bool weir_yield_park_(struct weir_op *op);

static const struct weir_op_def weir_yield_def_ __attribute__((unused)) = {
	"yield", NULL, weir_yield_park_, NULL, NULL, NULL, NULL, 0, 0, 0 /* never left waiting */
};

/* t, which runs, is ready again behind all that are. */
static inline void weir_go_last_(struct weir_task *t)
{
	struct weir_run_queue_ *ready = (struct weir_run_queue_ *)(void *)t->ctx->loop;

	t->op.res = 0;
	t->op.state = WEIR_OP_DONE_;
	t->op.u.next_ready = NULL;
	*ready->end = t;
	ready->end = &t->op.u.next_ready;
}

/* Awaits: lets every other ready task run, then goes on.  Result 0, or the ctx's error. */
WEIR_MUST_USE static inline struct weir_op *weir_yield(struct weir_op *op)
{
	weir_op_prepare_(op, &weir_yield_def_);
	return op;
}

/* Awaits the end of a task spawned with weir_go_join(), and frees it.  The result is what it
 * returned.  If the waiting task's own ctx is done first: that error, and task stays joinable.
 * -EBUSY: someone else waits for it already. */
WEIR_MUST_USE static inline struct weir_op *weir_join(struct weir_op *op, struct weir_task *task)
{
	weir_op_prepare_(op, &weir_join_def_);
	op->u.wait.obj = task;
	return op;
}

/* Spawns without macros, for C++ and for bodies known only at run time: copies size bytes of frame,
 * which begins with a struct weir_frame that needs no setting.  task, if not NULL, receives a
 * joinable task.  Results: those of weir_go(), and -EINVAL for a size that no frame has. */
WEIR_API int weir_spawn(struct weir_group *g, weir_body *body, const void *frame, size_t size,
			const struct weir_point *made, struct weir_task **task);

/*
 * weir_go(group, name, .field = value, ...) spawns the coroutine name with a frame of those
 * fields, in group; it takes its first step in the loop's turn, never inside this call.
 * weir_go_join(&task, group, name, ...) also gives a handle, which weir_join() frees; what is not
 * joined is freed when the group ends.
 *
 * Results: 0; the group's ctx error (-ECANCELED, -ETIMEDOUT) once that is done, so nothing starts
 * after a failure; -EAGAIN at the group's limit; -ENOMEM.
 */
#define weir_go(group, name, ...)							\
	weir_go_(NULL, group, name, __VA_ARGS__)
#define weir_go_join(task, group, name, ...)						\
	weir_go_(task, group, name, __VA_ARGS__)

#define weir_go_(joinable, group, name, ...) __extension__ ({				\
	static const struct weir_point made_ = {					\
		NULL, __func__, __FILE__, "weir_go(" #name ")", __LINE__		\
	};										\
	struct weir_task *new_;								\
	int go_rc_ = weir_task_new_(&new_, (group), sizeof(struct name), (joinable));	\
	if (!go_rc_) {									\
		*(struct name *)(void *)weir_task_root_(new_) = (struct name){		\
			.co = { name, NULL, { .made = &made_ } }, __VA_ARGS__ };	\
		weir_task_start_(new_);							\
	}										\
	go_rc_;										\
})

/* The two halves of weir_go(). */
WEIR_API WEIR_MUST_USE int weir_task_new_(struct weir_task **t, struct weir_group *g,
					  size_t frame_size, struct weir_task **joinable);
WEIR_API void weir_task_start_(struct weir_task *t);

/* The op has ended, but the task has had its share: into the run queue. */
WEIR_API bool weir_pause_(struct weir_task *t);
/* An await of an op that is not the task's own: aborts. */
WEIR_API __attribute__((noreturn, cold)) void weir_not_its_own_(const struct weir_op *op);

/* Starts the task's op.  True: it has ended, the result is in op->res.  Where the def is in
 * sight of the compiler all of this is inline. */
static inline bool weir_await_(struct weir_task *t, struct weir_op *op)
{
	const struct weir_op_def *def = op->def;

	if (op != &t->op)	/* known not to be where it says `op` */
		weir_not_its_own_(op);
	if (__builtin_expect(t->ctx->err != 0, 0) && !(def->flags & WEIR_UNINTERRUPTED_)) {
		op->res = t->ctx->err;
	} else if (__builtin_constant_p(def == &weir_yield_def_) && def == &weir_yield_def_) {
		weir_go_last_(t);	/* a yield that is seen to be one needs no call */
		return false;
	} else if (!def->attempt || !def->attempt(op)) {
		op->state = WEIR_OP_WAITS_;
		if (__builtin_expect(!def->park(op), 1))
			return false;
		op->state = WEIR_OP_IDLE_;
	}
	return --op->budget ? true : weir_pause_(t);
}

static inline void weir_enter_(struct weir_task *t, struct weir_frame *co,
			       struct weir_frame *callee, weir_body *body)
{
	callee->body = body;
	callee->up.caller = co;
	t->leaf = callee;
}

static inline struct weir_step weir_call_(struct weir_task *t, struct weir_frame *co,
					  struct weir_frame *callee, weir_body *body)
{
	struct weir_step step = { WEIR_CALLS_ };

	weir_enter_(t, co, callee, body);
	if (t->op.budget == 1)		/* others run before its first step */
		return step;
	t->op.budget--;
	step = body(t, callee);
	if (step.what == WEIR_ENDS_)
		t->leaf = co;
	return step;
}

#ifdef __cplusplus
}
#endif

#endif
