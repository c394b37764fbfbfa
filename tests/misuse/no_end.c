/* SPDX-License-Identifier: MIT */
/* A coroutine whose author forgot WEIR_END. */
// expect: gcc error:
// expect: clang error:
// expect: lint error:
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc);
}

int next_function(void)
{
	return 0;
}
