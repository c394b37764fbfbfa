/* SPDX-License-Identifier: MIT */
/* An await in a plain function that a coroutine calls: only a coroutine can suspend. */
// expect: gcc undeclared
// expect: clang undeclared
// expect: lint undeclared
#include "misuse.h"

static int pause_twice(struct weir_op *op)
{
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_AWAIT(rc, weir_yield(op));
	return rc;
}

static WEIR_CO(worker, self, op)
{
	WEIR_RETURN(pause_twice(op));
}
WEIR_END
