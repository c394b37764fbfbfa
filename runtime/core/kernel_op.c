/* SPDX-License-Identifier: MIT */
/*
 * kernel_op.c - ops that the kernel carries out, between task and backend.
 *
 * Such an op ends when the backend says so and not before: until then the kernel may write to its
 * buffer.  A cancel only asks.  What comes back after that decides: bytes that were moved are
 * reported, a descriptor that nobody waits for any more is closed.
 */
#define _GNU_SOURCE
#include <liburing.h>
#include <sys/stat.h>

#include "core/kernel_op.h"
#include "core/memory.h"

/* ---- its memory ---- */

#ifndef weir_memory_watched_
bool weir_memory_watched_;

__attribute__((constructor)) static void look_for_tools(void)
{
	weir_memory_watched_ = RUNNING_ON_VALGRIND;
}
#endif

static void *pointer(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

struct weir_buffer_ weir_kernel_buffer_(const struct weir_op *op)
{
	const struct weir_kernel_args *a = &op->u.kernel;

	switch (op->def->opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
	case IORING_OP_RECV:
	case IORING_OP_SEND:
		return (struct weir_buffer_){ pointer(a->addr), a->len };
	case IORING_OP_STATX:
		return (struct weir_buffer_){ pointer(a->off), sizeof(struct statx) };
	default:
		return (struct weir_buffer_){ NULL, 0 };
	}
}

static char sockets;	/* all of them, for memory.h */

static void given(const struct weir_op *op)
{
	struct weir_buffer_ b = weir_kernel_buffer_(op);

	weir_memory_check_(b.p, b.n, op->def->flags & WEIR_FILLS_);
	switch (op->def->opcode) {
	case IORING_OP_WRITE:
		weir_memory_tells_(op->u.kernel.fd, NULL);
		break;
	case IORING_OP_SEND:
	case IORING_OP_CONNECT:
	case IORING_OP_SHUTDOWN:
		weir_memory_tells_(op->u.kernel.fd, &sockets);
		break;
	}
}

static void heard(const struct weir_op *op)
{
	switch (op->def->opcode) {
	case IORING_OP_READ:
		weir_memory_heard_(op->u.kernel.fd, NULL);
		break;
	case IORING_OP_RECV:
	case IORING_OP_ACCEPT:
		weir_memory_heard_(op->u.kernel.fd, &sockets);
		break;
	}
}

static void given_back(const struct weir_op *op, int res)
{
	const struct weir_kernel_args *a = &op->u.kernel;
	struct weir_buffer_ b = weir_kernel_buffer_(op);

	weir_memory_check_(b.p, b.n, op->def->flags & WEIR_FILLS_);
	if (res >= 0)
		heard(op);
	if (res < 0 || !(op->def->flags & WEIR_FILLS_))
		return;
	switch (op->def->opcode) {
	case IORING_OP_STATX:
		weir_memory_filled_(b.p, b.n);
		break;
	case IORING_OP_ACCEPT:
		if (!a->addr)
			break;
		weir_memory_filled_(pointer(a->off), sizeof(socklen_t));
		weir_memory_filled_(pointer(a->addr), *(socklen_t *)pointer(a->off));
		break;
	default:
		weir_memory_filled_(b.p, (size_t)res);
	}
}

/* ---- its life ---- */

bool weir_kernel_park_(struct weir_op *op)
{
	struct weir_loop *loop = weir_op_loop(op);

	weir_check_buffer_(op, pointer(op->u.kernel.addr));
	if (weir_memory_watched_)
		given(op);
	return loop->be->ops->submit(loop->be, op);
}

bool weir_kernel_park_both_(struct weir_op *op)
{
	weir_check_buffer_(op, pointer(op->u.kernel.off));
	return weir_kernel_park_(op);
}

bool weir_kernel_cancel_(struct weir_op *op)
{
	struct weir_loop *loop = weir_op_loop(op);

	loop->be->ops->cancel(loop->be, op);
	return false;
}

void weir_kernel_drop_(struct weir_op *op, int fd)
{
	struct weir_loop *loop = weir_op_loop(op);

	loop->be->ops->drop(loop->be, fd);
}

void weir_kernel_complete_(struct weir_op *op, int res)
{
	struct weir_task *t = weir_op_task(op);
	bool cancelled = op->flags & WEIR_OP_CANCELLED_;

	if (weir_memory_watched_)
		given_back(op, res);
	if (res >= 0 && op->def->flags & WEIR_GIVES_FD_) {
		if (cancelled) {
			weir_kernel_drop_(op, res);
			res = -ECANCELED;
		} else {
			weir_fd_opened_(t->ctx->loop, res, t->leaf->at, false);
		}
	}
	if (res == -ECANCELED && cancelled && t->ctx->err)
		res = t->ctx->err;
	weir_op_done_(op, res);
}

void weir_kernel_revoke_(struct weir_op *op, int err)
{
	weir_fd_closed_(weir_op_loop(op), op->res);
	weir_kernel_drop_(op, op->res);
	op->res = err;
}

void weir_kernel_gave_(struct weir_op *op, int fd)
{
	struct weir_task *t = weir_op_task(op);

	weir_fd_opened_(t->ctx->loop, fd, weir_task_last_point_(t), true);
}
