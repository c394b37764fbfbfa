/* SPDX-License-Identifier: MIT */
/* A local that is set at its declaration in the scope of an await, though dead by then: harmless,
 * but refused all the same, so that nobody has to prove it at every change. */
// expect: lint jump-misses-init
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int twice = 2 * self->n;
	int rc;

	self->n = twice;
	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc);
}
WEIR_END
