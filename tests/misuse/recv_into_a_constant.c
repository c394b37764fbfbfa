/* SPDX-License-Identifier: MIT */
/* A receive into something that is const. */
// expect: gcc the channel has items of another type
// expect: clang the channel has items of another type
// expect: lint the channel has items of another type
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_recv(op, self->ints, self->fixed));
	WEIR_RETURN(rc);
}
WEIR_END
