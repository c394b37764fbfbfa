/* SPDX-License-Identifier: MIT */
/* Two awaits on one line work, but cannot be told apart in a report. */
// expect: lint duplicate case value
#include "misuse.h"

static WEIR_CO(worker, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_yield(op)); WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc);
}
WEIR_END
