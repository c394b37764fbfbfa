/* SPDX-License-Identifier: MIT */
/* A loop that counts in a local, with an await in its body. */
// expect: gcc maybe-uninitialized
// expect: clang conditional-uninitialized
// expect: lint jump-misses-init
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	for (int i = 0; i < self->n; i++)
		WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(0);
}
WEIR_END
