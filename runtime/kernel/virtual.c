/* SPDX-License-Identifier: MIT */
/*
 * virtual.c - a backend whose clock stands still until it is moved.
 *
 * Kernel ops are real, they go to the backend inside; time is a number.  A turn that would sleep
 * while no kernel op is in flight moves it to the next timer instead, so a test of hours ends in
 * microseconds, and every run sees the same times.
 */
#include "kernel/alloc.h"
#include "kernel/backend.h"

struct virtual {
	struct weir_backend be;
	struct weir_backend *inner;
	uint64_t now, due;
};

/* Not 0: a time of 0 is easily mistaken for "none". */
#define START	WEIR_S

static struct virtual *virtual_of(struct weir_backend *be)
{
	return weir_container_of(be, struct virtual, be);
}

static uint64_t virtual_now(struct weir_backend *be)
{
	return virtual_of(be)->now;
}

static void virtual_advance(struct weir_backend *be, uint64_t ns)
{
	struct virtual *v = virtual_of(be);

	v->now = weir_time_add(v->now, ns);
}

static void virtual_drop(struct weir_backend *be, int fd)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->drop(inner, fd);
}

static void virtual_hold(struct weir_backend *be, int n)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->hold(inner, n);
}

static int virtual_buffers(struct weir_backend *be, struct io_uring_buf_ring *ring, unsigned count)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	return inner->ops->buffers(inner, ring, count);
}

static void virtual_buffers_gone(struct weir_backend *be, int group, unsigned count)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->buffers_gone(inner, group, count);
}

/* Not for the backend inside: real time must not end a turn. */
static void virtual_arm(struct weir_backend *be, uint64_t due)
{
	virtual_of(be)->due = due;
}

static void virtual_limit(struct weir_backend *be, uint64_t ns)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->limit(inner, ns);
}

static uint64_t virtual_entropy(struct weir_backend *be)
{
	(void)be;
	return 1;	/* a run that names no seed is the same run each time */
}

static bool virtual_submit(struct weir_backend *be, struct weir_op *op)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	return inner->ops->submit(inner, op);
}

static void virtual_cancel(struct weir_backend *be, struct weir_op *op)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->cancel(inner, op);
}

/* What sleeps for a kernel op sleeps until it comes. */
static int virtual_turn(struct weir_backend *be, bool block)
{
	struct virtual *v = virtual_of(be);
	struct weir_backend *inner = v->inner;
	bool jump = block && v->due != WEIR_FOREVER && inner->ops->still(inner);

	if (jump && v->due > v->now)
		v->now = v->due;
	return inner->ops->turn(inner, block && !jump);
}

static bool virtual_busy(struct weir_backend *be)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	return inner->ops->busy(inner);
}

static bool virtual_still(struct weir_backend *be)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	return inner->ops->still(inner);
}

static void virtual_wake(struct weir_backend *be)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->wake(inner);
}

static int virtual_fd(struct weir_backend *be)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	return inner->ops->fd(inner);
}

static void virtual_quiet(struct weir_backend *be)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->quiet(inner);
}

static void virtual_listen(struct weir_backend *be, bool more)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->listen(inner, more);
}

static void virtual_stats(struct weir_backend *be, struct weir_backend_stats *stats)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->stats(inner, stats);
}

static void virtual_each(struct weir_backend *be, void (*fn)(void *arg, struct weir_op *op),
			 void *arg)
{
	struct weir_backend *inner = virtual_of(be)->inner;

	inner->ops->each(inner, fn, arg);
}

static void virtual_free(struct weir_backend *be)
{
	struct virtual *v = virtual_of(be);

	v->inner->ops->free(v->inner);
	weir_free_(v);
}

static const struct weir_backend_ops virtual_ops = {
	.now = virtual_now,
	.entropy = virtual_entropy,
	.submit = virtual_submit,
	.cancel = virtual_cancel,
	.drop = virtual_drop,
	.hold = virtual_hold,
	.buffers = virtual_buffers,
	.buffers_gone = virtual_buffers_gone,
	.arm = virtual_arm,
	.limit = virtual_limit,
	.turn = virtual_turn,
	.busy = virtual_busy,
	.still = virtual_still,
	.wake = virtual_wake,
	.fd = virtual_fd,
	.quiet = virtual_quiet,
	.listen = virtual_listen,
	.advance = virtual_advance,
	.stats = virtual_stats,
	.each = virtual_each,
	.free = virtual_free,
};

int weir_virtual_new_(struct weir_backend **be, struct weir_backend *inner)
{
	struct virtual *v = weir_zalloc_(1, sizeof *v);

	if (!v)
		return -ENOMEM;
	v->be.ops = &virtual_ops;
	v->inner = inner;
	v->now = START;
	v->due = WEIR_FOREVER;
	*be = &v->be;
	return 0;
}
