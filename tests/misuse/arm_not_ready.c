/* SPDX-License-Identifier: MIT */
/* An arm of a select that is prepared and not passed to weir_ready(). */
// expect: gcc unused-result
// expect: clang unused-result
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int i;

	weir_chan_recv(&self->arm[0].op, self->ints, &self->n);
	weir_ready(weir_chan_recv(&self->arm[1].op, self->ints, &self->n));
	WEIR_AWAIT(i, weir_select(op, self->arm, 2));
	WEIR_RETURN(i);
}
WEIR_END
