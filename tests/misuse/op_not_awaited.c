/* SPDX-License-Identifier: MIT */
/* An op that is prepared and never awaited does nothing. */
// expect: gcc unused-result
// expect: clang unused-result
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	weir_chan_send(op, self->ints, &self->n);
	WEIR_RETURN(0);
}
WEIR_END
