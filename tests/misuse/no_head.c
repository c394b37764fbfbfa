/* SPDX-License-Identifier: MIT */
/* A body whose author forgot WEIR_CO. */
// expect: gcc undeclared
// expect: clang undeclared
// expect: lint undeclared
#include "misuse.h"

static struct weir_step worker(struct weir_task *task, struct weir_frame *co)
{
	struct weir_op *op = weir_task_op(task);
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc);
}
