/* SPDX-License-Identifier: MIT */
/* A frame that must lie on a cache line, which a task's memory does not. */
// expect: gcc static assertion failed
// expect: clang static_assert failed
// expect: lint static assertion failed
#include "misuse.h"

struct line {
	struct weir_frame co;
	_Alignas(64) int n;
};

static WEIR_CO(line, self, op)
{
	WEIR_RETURN(self->n);
}
WEIR_END
