/* SPDX-License-Identifier: MIT */
/* An array whose size is known only at run time, in scope of an await. */
// expect: gcc -Werror=vla
// expect: lint -Werror=vla
// expect: clang variable length array
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;
	char buf[self->n];

	WEIR_AWAIT(rc, weir_yield(op));
	buf[0] = (char)rc;
	WEIR_RETURN(buf[0]);
}
WEIR_END
