/* SPDX-License-Identifier: MIT */
/* A local that is set before an await and read after it. */
// expect: gcc maybe-uninitialized
// expect: clang conditional-uninitialized
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc, n;

	n = self->n;
	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc + n);
}
WEIR_END
