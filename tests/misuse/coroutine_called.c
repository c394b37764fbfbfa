/* SPDX-License-Identifier: MIT */
/* A coroutine that is called like a function takes one step and is forgotten. */
// expect: gcc unused-result
// expect: clang unused-result
#include "misuse.h"

static WEIR_CO(child, self, op)
{
	WEIR_RETURN(self->n);
}
WEIR_END

static WEIR_CO(worker, self, op)
{
	int rc;

	child(weir_op_task(op), &self->child.co);
	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc);
}
WEIR_END
