/* SPDX-License-Identifier: MIT */
/* A receive into a variable of a type that the channel does not carry. */
// expect: gcc the channel has items of another type
// expect: clang the channel has items of another type
// expect: lint the channel has items of another type
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_recv(op, self->ints, &self->big));
	WEIR_RETURN(rc);
}
WEIR_END
