/* SPDX-License-Identifier: MIT */
/* adder.c - see adder.h. */
#include "adder.h"

WEIR_CO(adder, self, op)
{
	for (;;) {
		WEIR_TRY(self->rc, out, weir_chan_recv(op, self->in, &self->item));
		if (self->rc == 0)
			break;
		*self->sum += self->item;
	}
out:
	WEIR_RETURN(self->rc);
}
WEIR_END
