/* SPDX-License-Identifier: MIT */
/* A break that belongs to no loop, which a coroutine made of a switch would take for its own. */
// expect: gcc break statement not within loop or switch
// expect: clang 'break' statement not in loop or switch statement
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_yield(op));
	if (rc < 0)
		break;
	WEIR_RETURN(self->n);
}
WEIR_END
