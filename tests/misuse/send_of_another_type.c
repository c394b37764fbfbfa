/* SPDX-License-Identifier: MIT */
/* A send of an item that the channel does not carry. */
// expect: gcc the channel has items of another type
// expect: clang the channel has items of another type
// expect: lint the channel has items of another type
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_send(op, self->ints, &self->text));
	WEIR_RETURN(rc);
}
WEIR_END
