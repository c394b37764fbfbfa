/* SPDX-License-Identifier: MIT */
/* A local of a loop's body, set at its declaration and read after an await. */
// expect: clang conditional-uninitialized
// expect: lint jump-misses-init
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	while (self->n > 0) {
		int half = self->n / 2;

		WEIR_AWAIT(rc, weir_yield(op));
		self->n = half + rc;
	}
	WEIR_RETURN(0);
}
WEIR_END
