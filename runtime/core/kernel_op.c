/* SPDX-License-Identifier: MIT */
/*
 * kernel_op.c - ops that the kernel carries out, between task and backend.
 *
 * Such an op ends when the backend says so and not before: until then the kernel may write to its
 * buffer.  A cancel only asks.  What comes back after that decides: bytes that were moved are
 * reported, a descriptor that nobody waits for any more is closed.
 */
#include <unistd.h>

#include "core/loop.h"

/* Results that only the kernel's own restart logic should ever see. */
#define ERESTART_FIRST	(-512)

bool weir_kernel_park_(struct weir_op *op)
{
	struct weir_loop *loop = weir_op_loop(op);

	return loop->be->ops->submit(loop->be, op);
}

bool weir_kernel_cancel_(struct weir_op *op)
{
	struct weir_loop *loop = weir_op_loop(op);

	loop->be->ops->cancel(loop->be, op);
	return false;
}

void weir_kernel_complete_(struct weir_op *op, int res)
{
	struct weir_task *t = weir_op_task(op);

	if (res <= ERESTART_FIRST || (res == -EINTR && op->flags & WEIR_OP_CANCELLED_))
		res = -ECANCELED;
	if (res >= 0 && op->def->flags & WEIR_GIVES_FD_) {
		if (op->flags & WEIR_OP_CANCELLED_) {
			close(res);
			res = -ECANCELED;
		} else {
			weir_fd_opened_(t->ctx->loop, res, t->leaf->at);
		}
	}
	if (res == -ECANCELED && op->flags & WEIR_OP_CANCELLED_ && t->ctx->err)
		res = t->ctx->err;
	weir_op_done_(op, res);
}

void weir_kernel_revoke_(struct weir_op *op, int err)
{
	weir_fd_closed_(weir_op_loop(op), op->res);
	close(op->res);
	op->res = err;
}
