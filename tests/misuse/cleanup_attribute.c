/* SPDX-License-Identifier: MIT */
/* A local with a cleanup function, in scope of an await: it would run at every wait. */
// expect: gcc maybe-uninitialized
// expect: clang cannot jump from this indirect goto statement
// expect: lint jump-misses-init
#include "misuse.h"

static void put(int *n)
{
	*n = 0;
}

static WEIR_CO(worker, self, op)
{
	__attribute__((cleanup(put))) int n = self->n;
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc + n);
}
WEIR_END
