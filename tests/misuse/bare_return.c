/* SPDX-License-Identifier: MIT */
/* Return without a value, instead of WEIR_RETURN. */
// expect: gcc return-type
// expect: clang should return a value
// expect: lint return-type
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	if (rc < 0)
		return;
	WEIR_RETURN(self->n);
}
WEIR_END
