/* SPDX-License-Identifier: MIT */
/*
 * co.h - stackless coroutines.
 *
 * A coroutine is a function that may suspend.  Its frame is a struct of the same name whose
 * first member is `struct weir_frame co`.  Whatever must survive an await is a member of that
 * struct: a C local lives only until the next await.
 *
 *	struct echo { struct weir_frame co; int fd; char buf[4096]; };
 *
 *	static WEIR_CO(echo, self, op)
 *	{
 *		int n;
 *
 *		do {
 *			WEIR_AWAIT(n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
 *			if (n > 0)
 *				WEIR_AWAIT(n, weir_send(op, self->fd, self->buf, n, 0));
 *		} while (n > 0);
 *		WEIR_RETURN(n);
 *	}
 *	WEIR_END
 *
 * `self` is the frame; `op` is the op of the task that runs it, which is what a task waits
 * with.  Both are set anew at each resume.  Upper case marks what may leave the function.
 *
 * Cancellation is an error result of the await one is in, never an unwind: cleanup is C's own
 * `goto out`, and may await (under weir_shield(), see ctx.h).
 *
 * Needs GCC or Clang (labels as values).  What the compilers make of mistakes: tests/misuse/.
 */
#ifndef WEIR_CO_H
#define WEIR_CO_H

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_step { unsigned char what; };	/* made only by the macros below */
enum { WEIR_WAITS_, WEIR_CALLS_, WEIR_ENDS_ };

struct weir_frame;
typedef struct weir_step weir_body(struct weir_task *task, struct weir_frame *co);

/* One per await, static: where to go on, and what to tell a person who asks. */
struct weir_point {
	const void *label;
	const char *func, *file, *text;
	int line;
};

struct weir_frame {
	weir_body *body;
	const struct weir_point *at;	/* where it is suspended; NULL before its first step */
	union {
		struct weir_frame *caller;
		const struct weir_point *made;	/* a task's outermost frame: where it was spawned */
	} up;
};

#define WEIR_FRAME_ALIGN	16	/* what needs more goes into memory of its own */

#define WEIR_CO_DECL(name)	\
	struct weir_step name(struct weir_task *, struct weir_frame *)

#ifdef __cplusplus
}	/* coroutine bodies are C; C++ may declare, spawn and cancel them */
#else

#if defined __clang__
#pragma clang diagnostic ignored "-Wgnu-label-as-value"	/* GCC is quiet in a system header */
#endif

#ifdef WEIR_CO_LINT	/* compile only: ISO jumps, which -Wjump-misses-init understands */
#define WEIR_DISPATCH_(co)	switch ((co)->at ? (co)->at->line : 0) case 0:
#define WEIR_NEVER_
#define WEIR_LABEL_
#define WEIR_ADDR_		NULL
#define WEIR_GO_ON_		case __LINE__:;
#else
#define WEIR_DISPATCH_(co)	if ((co)->at) goto *(co)->at->label; else
#define WEIR_NEVER_		(void)&&never_; never_: __builtin_unreachable();
#define WEIR_LABEL_		__label__ here_;
#define WEIR_ADDR_		&&here_
#define WEIR_GO_ON_		here_:;
#endif

#define WEIR_CO(name, self, op)								\
__attribute__((warn_unused_result))							\
struct weir_step name(struct weir_task *task_, struct weir_frame *co_)			\
{											\
	_Static_assert(offsetof(struct name, co) == 0,					\
		       "`struct weir_frame co` comes first in struct " #name);		\
	_Static_assert(_Alignof(struct name) <= WEIR_FRAME_ALIGN,			\
		       "struct " #name " is aligned more than a task's memory");	\
	struct name *const self = (struct name *)(void *)co_;				\
	struct weir_op *const op = weir_task_op(task_);					\
	(void)self;									\
	(void)op;									\
	WEIR_DISPATCH_(co_)

#define WEIR_END									\
	weir_task_op(task_)->res = 0;							\
	return (struct weir_step){ WEIR_ENDS_ };					\
	WEIR_NEVER_	/* Clang wants a label even where nothing awaits */		\
}

/* Ends the coroutine; a negative value is an error, as everywhere. */
#define WEIR_RETURN(v) do {								\
	weir_task_op(task_)->res = (v);							\
	return (struct weir_step){ WEIR_ENDS_ };					\
} while (0)

/* The descriptor is static, so no compiler may inline or clone this function: the label's
 * address stays one.  No local of the macro's own is in scope at the label. */
#define WEIR_SUSPEND_(how, what_text) do {						\
	WEIR_LABEL_									\
	static const struct weir_point p_ = {						\
		WEIR_ADDR_, __func__, __FILE__, what_text, __LINE__			\
	};										\
	co_->at = &p_;									\
	return (struct weir_step){ how };						\
	WEIR_GO_ON_									\
} while (0)

/* lv = the result of an op of this task: >= 0, or -errno; -ECANCELED or -ETIMEDOUT once the
 * task's ctx is done.  The op is prepared in the argument: WEIR_AWAIT(rc, weir_sleep(op, ns)). */
#define WEIR_AWAIT(lv, ...)	WEIR_AWAIT_(lv, #__VA_ARGS__, __VA_ARGS__)
#define WEIR_AWAIT_(lv, what_text, ...) do {						\
	if (!weir_await_(task_, (__VA_ARGS__)))						\
		WEIR_SUSPEND_(WEIR_WAITS_, what_text);					\
	(lv) = weir_task_op(task_)->res;						\
} while (0)

/* As WEIR_AWAIT; a negative result goes to label, lv keeps it. */
#define WEIR_TRY(lv, label, ...) do {							\
	WEIR_AWAIT_(lv, #__VA_ARGS__, __VA_ARGS__);					\
	if ((lv) < 0)									\
		goto label;								\
} while (0)

/* lv = what the coroutine name returned.  child is a struct name inside *self (children that
 * never run at the same time may share a union); it is zeroed and its fields set by name:
 * WEIR_CALL(n, self->rd, read_exact, .fd = self->fd, .len = 4). */
#define WEIR_CALL(lv, child, name, ...) do {						\
	(child) = (struct name){ __VA_ARGS__ };						\
	weir_enter_(task_, co_, &(child).co, name);					\
	WEIR_SUSPEND_(WEIR_CALLS_, #name "()");						\
	(lv) = weir_task_op(task_)->res;						\
} while (0)

/* For a crew's worker: its job takes its first step here, not in the loop, and if it ends by that
 * the worker need not suspend.  The calls of users are not nested in C, or their depth would be the
 * stack's. */
#define WEIR_CALL_HERE_(callee, body, what_text) do {					\
	WEIR_LABEL_									\
	static const struct weir_point p_ = {						\
		WEIR_ADDR_, __func__, __FILE__, what_text, __LINE__			\
	};										\
	co_->at = &p_;									\
	{										\
		struct weir_step step_ = weir_call_(task_, co_, callee, body);		\
		if (step_.what != WEIR_ENDS_)						\
			return step_;							\
	}										\
	WEIR_GO_ON_									\
} while (0)

#endif	/* !__cplusplus */

#include "weir/task.h"

#endif
