/* SPDX-License-Identifier: MIT */
/* A send of the item itself instead of its address. */
// expect: gcc error: invalid type argument of unary
// expect: clang error: indirection requires pointer operand
// expect: lint error: invalid type argument of unary
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_send(op, self->ints, self->n));
	WEIR_RETURN(rc);
}
WEIR_END
