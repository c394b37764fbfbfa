/* SPDX-License-Identifier: MIT */
/* Return with a value, instead of WEIR_RETURN. */
// expect: gcc incompatible types
// expect: clang returning 'int' from a function with incompatible result type
// expect: lint incompatible types
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	if (rc < 0)
		return rc;
	WEIR_RETURN(self->n);
}
WEIR_END
