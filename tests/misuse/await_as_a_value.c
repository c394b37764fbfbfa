/* SPDX-License-Identifier: MIT */
/* An await is a statement; its result goes to the variable that it names. */
// expect: gcc error: expected expression before
// expect: clang error: expected expression
// expect: lint error: expected expression before
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	rc = WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc);
}
WEIR_END
