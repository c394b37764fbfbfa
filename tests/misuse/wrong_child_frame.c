/* SPDX-License-Identifier: MIT */
/* A call with the frame of another coroutine. */
// expect: gcc incompatible types
// expect: clang incompatible type
// expect: lint incompatible types
#include "misuse.h"

static WEIR_CO(child, self, op)
{
	WEIR_RETURN(self->n);
}
WEIR_END

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_CALL(rc, self->other, child, .n = 1);
	WEIR_RETURN(rc);
}
WEIR_END
