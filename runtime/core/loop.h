/* SPDX-License-Identifier: MIT */
/*
 * loop.h - what a loop is made of, for the rooms inside weir.
 *
 * Everything here is the loop's thread's, but for what inbox.h says of the inbox.
 */
#ifndef WEIR_CORE_LOOP_H
#define WEIR_CORE_LOOP_H

#include <pthread.h>

#include "core/bug.h"
#include "core/inbox.h"
#include "core/seen.h"
#include "core/slab.h"
#include "core/timers.h"
#include "kernel/backend.h"
#include "weir/ctx.h"
#include "weir/group.h"
#include "weir/loop.h"
#include "weir/op.h"
#include "weir/task.h"

struct weir_workers;
struct weir_fd_notes;

typedef void weir_resume(struct weir_task *t);

struct weir_loop {
	struct weir_run_queue_ ready;	/* first, see task.h */
	uint64_t now;
	struct weir_backend *be;
	bool shuffle;			/* ready tasks run in any order */
	bool told_full;			/* that ops wait for room, once */
	bool in_turn, embedded, nudged;
	bool hosted;			/* run by weir_loop_dispatch(): others run in between */
	weir_resume *resume;		/* the kit's; NULL: weir_task_resume_() */
	char *stack;			/* of the turn: what lies below it is a coroutine's local */
	unsigned watches;		/* kernel ops that may wake the loop from outside */
	unsigned jobs;			/* on the blocking pool */
	uint64_t random[2];

	struct weir_ctx ctx;		/* the root of the tree */
	struct weir_group group;
	struct weir_list detached;	/* ctxs below no other */
	struct weir_list afters;	/* callbacks to run */
	struct weir_list ports;		/* open ones */
	struct weir_wheel wheel;
	struct weir_slab slab;
	struct weir_inbox *inbox;
	uint64_t heard, gap;		/* when it last had something; since the time before */
	bool listening;			/* awake, for what other threads send; see loop.c */
	unsigned vain, deaf;		/* what has not helped; sleeps before it does so again */
	struct weir_workers *workers;	/* made at first use by io/work.c, which says */
	void (*workers_free)(struct weir_workers *w);	/* ... how it goes */
	struct weir_list streams, buffers;	/* open ones; of io/stream.c, which says */
	void (*streams_stop)(struct weir_loop *loop);	/* ... how the kernel lets go of them */
	void (*buffers_free)(struct weir_loop *loop);	/* ... how their memory goes */
	unsigned receives;		/* kernel ops of streams */
	struct weir_fd_notes *fd_notes;	/* conf.check: where each descriptor was opened */
	struct weir_notes *notes;	/* conf.check: the objects, and who uses them */
	struct weir_task *running;	/* if the kit asked for it, as the next */
	const struct weir_point *from;	/* where the running task was before this step */
	bool asked;			/* by a signal, for a dump; read and written atomically */
	unsigned faults;		/* of the program, that were reported: see weir_fault_() */

	pthread_t thread;
	pid_t pid;
	struct weir_loop_conf conf;
	struct weir_loop_stats stats;
};

/* What follows a step that was not the last thing to do: it called, or ended. */
void weir_task_go_on_(struct weir_task *t, struct weir_step step);
/* t's ctx has ended with err: whatever it awaits ends too, or will. */
void weir_task_interrupt_(struct weir_task *t, int err);
void weir_task_free_(struct weir_task *t);
/* Takes back a task that was made and not started. */
void weir_task_drop_(struct weir_task *t);
/* t, of group g, has returned res; g may be gone after this. */
void weir_group_ended_(struct weir_group *g, int res);

/* The op that a task or a select arm waits with stops waiting.  True: it is over. */
bool weir_op_withdraw_(struct weir_op *op);

/* Takes a kernel op to the backend.  Results as weir_op_def.park. */
bool weir_kernel_park_(struct weir_op *op);
bool weir_kernel_cancel_(struct weir_op *op);
void weir_kernel_complete_(struct weir_op *op, int res);
void weir_kernel_revoke_(struct weir_op *op, int err);	/* for ops that give a descriptor */

/* The time.  Outside a turn nobody keeps loop->now up to date. */
static inline uint64_t weir_clock_(struct weir_loop *loop)
{
	if (!loop->in_turn)
		loop->now = loop->be->ops->now(loop->be);
	return loop->now;
}

static inline uint64_t weir_rotl_(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

/* weir_random() for those who draw with every select: xoroshiro128+ (Blackman and Vigna, 2018). */
static inline uint64_t weir_random_(struct weir_loop *loop)
{
	uint64_t a = loop->random[0], b = loop->random[1];

	loop->random[0] = weir_rotl_(a, 24) ^ b ^ a ^ (b ^ a) << 16;
	loop->random[1] = weir_rotl_(b ^ a, 37);
	return a + b;
}

/* Aborts on a thread that is not the loop's. */
void weir_loop_check_thread_(const struct weir_loop *loop);

/* Something was made ready; if that was outside a turn, the host's poll must hear of it. */
void weir_loop_touch_slow_(struct weir_loop *loop);
static inline void weir_loop_touch_(struct weir_loop *loop)
{
#ifdef WEIR_DEBUG
	weir_loop_check_thread_(loop);
#endif
	if (!loop->in_turn)
		weir_loop_touch_slow_(loop);
}

/* t runs in this turn or a later one, behind those already ready. */
static inline void weir_ready_(struct weir_task *t)
{
	struct weir_loop *loop = t->ctx->loop;

	t->op.u.next_ready = NULL;
	*loop->ready.end = t;
	loop->ready.end = &t->op.u.next_ready;
	weir_loop_touch_(loop);
}

/* Runs t until it waits or ends.  Most steps end by waiting: that path keeps no registers for the
 * others. */
static inline void weir_task_resume_(struct weir_task *t)
{
	struct weir_frame *f = t->leaf;
	struct weir_step step;

	t->op.state = WEIR_OP_IDLE_;
	t->op.budget = WEIR_TASK_BUDGET;
	step = f->body(t, f);
	if (__builtin_expect(step.what != WEIR_WAITS_, 0))
		weir_task_go_on_(t, step);
}

/* weir_op_done_() for the rooms inside. */
static inline void weir_op_end_(struct weir_op *op, int res)
{
	if (__builtin_expect(op->state != WEIR_OP_WAITS_ ||
			     op->flags & (WEIR_OP_ARM_ | WEIR_OP_CANCELLED_), 0)) {
		weir_op_done_(op, res);
		return;
	}
	op->res = res;
	op->state = WEIR_OP_DONE_;
	weir_ready_(weir_container_of(op, struct weir_task, op));
}

__attribute__((noreturn, cold)) void weir_buffer_bug_(struct weir_op *op);

/* Aborts if p, which op names, points into the C stack of a running coroutine: it would be gone at
 * the suspend. */
static inline void weir_check_buffer_(struct weir_op *op, const void *p)
{
	const struct weir_loop *loop = weir_op_loop(op);

	if (__builtin_expect((const char *)p >= (char *)__builtin_frame_address(0) &&
			     (const char *)p <= loop->stack && loop->in_turn, 0))
		weir_buffer_bug_(op);
}

/* Where t was last seen to wait or call, or else was spawned; NULL if weir_spawn() did not say. */
const struct weir_point *weir_task_last_point_(const struct weir_task *t);

/* A line for conf.report. */
void weir_report_(struct weir_loop *loop, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The first line of what the program has done wrong, though it may have had no error for it:
 * misuse, a race, a partial deadlock.  Is counted also if nobody hears of it. */
void weir_fault_(struct weir_loop *loop, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void weir_ctx_init_root_(struct weir_ctx *ctx, struct weir_loop *loop);
/* ctx is done and will go: its children, done too, become its parent's, its callbacks will run. */
void weir_ctx_pass_on_(struct weir_ctx *ctx);

/* The ctx after c in the tree below top, whole subtrees left out unless descend; NULL: none. */
struct weir_ctx *weir_ctx_next_(struct weir_ctx *top, struct weir_ctx *c, bool descend);

/* Calls fn for each ctx of the loop that is not done or not gone. */
void weir_ctx_each_(struct weir_loop *loop, void (*fn)(void *arg, struct weir_ctx *ctx), void *arg);

/* Calls fn with where each open port was made. */
void weir_ports_each_(struct weir_loop *loop, void (*fn)(void *arg, const char *made), void *arg);

/* The hooks of check/. */
int weir_kit_begin_(struct weir_loop *loop);	/* as conf says; sets loop->resume */
void weir_kit_end_(struct weir_loop *loop);
void weir_kit_asked_(struct weir_loop *loop);	/* a signal has set loop->asked */
/* Nothing can run before `due` by itself: a moment to look for deadlocks.  Returns when to sleep
 * until, which is not after due. */
uint64_t weir_kit_idle_(struct weir_loop *loop, uint64_t due);
void weir_report_deadlock_(struct weir_loop *loop);
int weir_report_leaks_(struct weir_loop *loop);
int weir_fd_notes_init_(struct weir_loop *loop);
void weir_fd_notes_fini_(struct weir_loop *loop);
/* at_once: before its task was seen to wait; where is then the await before. */
void weir_fd_opened_(struct weir_loop *loop, int fd, const struct weir_point *where, bool at_once);
void weir_fd_closed_(struct weir_loop *loop, int fd);
unsigned weir_fd_notes_report_(struct weir_loop *loop);

#endif
