/* SPDX-License-Identifier: MIT */
/*
 * op.h - everything that a task can wait for is an op.
 *
 * An op is a record that a plain function prepares (weir_chan_recv(), weir_sleep(), weir_read())
 * and an await starts.  A task has one op of its own, handed to its coroutines by WEIR_CO; a
 * select has one more for each of its arms.  Between start and end an op belongs to the runtime:
 * its memory, and every buffer it names, stay where they are until the await has returned.
 *
 * Each kind of op is described by one struct weir_op_def, the whole contract between the thing
 * waited for and the task: cancellation, deadlines, select and the reports are written once, on
 * top of it.
 */
#ifndef WEIR_OP_H
#define WEIR_OP_H

#include "weir/base.h"
#include "weir/port.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_inbox;
struct weir_interval;
struct weir_limiter;
struct weir_op;
struct weir_task;
struct weir_workers;

struct weir_op_def {
	const char *name;

	/* Ends the op now if it can without waiting, the result in op->res; else has no
	 * effect.  NULL: an op of this kind always waits. */
	bool (*attempt)(struct weir_op *op);

	/* Begins to wait; sooner or later someone calls weir_op_done_().  True: it ended
	 * after all, the result in op->res.  Called only when attempt() has just failed. */
	bool (*park)(struct weir_op *op);

	/* Stops waiting.  True: the op is withdrawn and has had no effect.  False: it ends by
	 * itself, soon, through weir_op_done_(). */
	bool (*cancel)(struct weir_op *op);

	/* The op has ended well, its ctx was cancelled, and its task has not run since: give
	 * back what was won and set op->res to err.  NULL: the result stands. */
	void (*revoke)(struct weir_op *op, int err);

	/* Only for kernel ops: the completion, from the backend.  Only for select: an arm has
	 * ended.  Both end in weir_op_done_() when the op as a whole is over. */
	void (*complete)(struct weir_op *op, int res);
	void (*arm_done)(struct weir_op *op, struct weir_op *arm);

	uint8_t opcode;		/* kernel ops: IORING_OP_*, or one of kernel/backend.h */
	uint8_t flags;
	uint8_t glance;		/* what a select looks at to spare an attempt */
};

enum {	/* weir_op_def.glance */
	WEIR_GLANCE_NONE_, WEIR_GLANCE_CTX_, WEIR_GLANCE_SEND_, WEIR_GLANCE_RECV_
};

enum {	/* weir_op_def.flags */
	WEIR_GIVES_FD_ = 1,	/* a result >= 0 is a descriptor, closed if nobody takes it */
	WEIR_FILLS_ = 2,	/* the kernel writes into the op's buffer */
	WEIR_INTERNAL_ = 4,	/* the runtime's own: no task waits, not counted as in flight */
	WEIR_UNINTERRUPTED_ = 8,	/* not ended by the task's ctx, starts though it is done */
	WEIR_OBJECTS_ = 16,	/* an object's own: no task waits with it, it does not count as
				 * in flight */
	WEIR_MULTISHOT_ = 32,	/* completes many times, each time with a buffer of a group's */
};

enum {	/* weir_op.state */
	WEIR_OP_IDLE_,		/* being prepared, or not in use */
	WEIR_OP_WAITS_,
	WEIR_OP_DONE_,		/* over, its task not resumed yet */
};

enum {	/* weir_op.flags */
	WEIR_OP_ARM_ = 1,	/* member of a struct weir_arm */
	WEIR_OP_CANCELLED_ = 2,	/* asked to stop, has not ended yet */
	WEIR_OP_TRACKED_ = 4,	/* its task is joinable; see task.h */
	WEIR_OP_NOTED_ = 8,	/* a task's own, and the kit notes what it does; see core/seen.h */
};

/* A point in time on which something happens; one per loop may be earliest.  Private users
 * call weir_timer_start_(). */
struct weir_timer {
	struct weir_list link;
	uint64_t due;
	void (*fire)(struct weir_timer *t);
};

/* What an op that waits in a queue in user space keeps. */
struct weir_wait {
	struct weir_list link;
	void *obj;		/* the channel, semaphore, group... */
	uint64_t n;		/* how many */
	void *arg;		/* the item */
	uint64_t since;		/* when it began to wait; after a receive: the item's number */
};

/* What an op that waits for the kernel keeps: one submission queue entry. */
struct weir_kernel_args {
	struct weir_list link;	/* parked until there is room, or its cancel is */
	uint64_t addr, off;
	int fd;
	uint32_t len, flags;
	uint32_t slot;		/* where the backend knows it */
};

/* What a select keeps in its task's op. */
struct weir_choice {
	uint32_t n, left;	/* arms; losers that have not let go yet */
	struct weir_arm *arms;	/* not first: next_ready may lie there, and revoke() needs it */
	int winner;
	int err;		/* cancelled: the result */
	bool over;		/* decided: no arm can win any more */
	bool busy;		/* arms are being started, or withdrawn */
};

/* What an op that waits at a limiter keeps: its place in the queue. */
struct weir_place {
	struct weir_list link;
	struct weir_limiter *limiter;
	int64_t n;
	double behind;		/* tokens of reservations made between it and the next one */
	uint64_t arrival;
};

/* What an op that waits for an interval keeps. */
struct weir_tick {
	struct weir_timer timer;
	struct weir_interval *interval;
};

/* What a job on a pool of threads keeps, under the lock of its workers; see io/work.c. */
struct weir_job_args {
	union {
		struct weir_list queued;
		struct weir_msg back;	/* over: on its way to the loop */
	} link;
	int (*fn)(void *arg);		/* NULL once a thread has begun it */
	union {
		void *arg;
		struct {
			int stop;	/* told to stop; written and read atomically */
			int res;	/* what fn returned */
		} run;			/* once begun */
	} u;
	struct weir_workers *workers;
	struct weir_inbox *inbox;
};

struct weir_op {
	const struct weir_op_def *def;
	int res;
	uint8_t flags;
	uint8_t class_;		/* a task's own op: the size of its block */
	uint8_t state;		/* set together at each resume ... */
	uint8_t budget;		/* ... a task's own op: awaits left before others must run */
	union {
		struct weir_wait wait;
		struct weir_kernel_args kernel;
		struct weir_timer timer;
		struct weir_place place;
		struct weir_tick tick;
		struct weir_choice choice;
		struct weir_job_args job;
		struct weir_task *next_ready;	/* while its task is in the run queue: a def's
						 * revoke() must do without the first word */
	} u;
};

/* One arm of a select: prepare .op as if to await it. */
struct weir_arm {
	struct weir_op op;
	struct weir_task *task;
};

/* The op has ended with res: its task becomes ready.  Loop thread only.  For those who write
 * a def; the op must be waiting. */
WEIR_API void weir_op_done_(struct weir_op *op, int res);

static inline void weir_op_prepare_(struct weir_op *op, const struct weir_op_def *def)
{
	op->def = def;
}

#ifdef __cplusplus
}
static_assert(sizeof(struct weir_op) == 64, "an op is one cache line");
#else
_Static_assert(sizeof(struct weir_op) == 64, "an op is one cache line");
#endif

#endif
