/* SPDX-License-Identifier: MIT */
/* A local that is set at its declaration and read after an await: it is gone by then. */
// expect: gcc maybe-uninitialized
// expect: clang conditional-uninitialized
// expect: lint jump-misses-init
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int n = self->n;
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc + n);
}
WEIR_END
