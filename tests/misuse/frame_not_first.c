/* SPDX-License-Identifier: MIT */
/* A frame whose struct weir_frame is not its first member. */
// expect: gcc static assertion failed
// expect: clang static_assert failed
// expect: lint static assertion failed
#include "misuse.h"

struct late {
	int n;
	struct weir_frame co;
};

static WEIR_CO(late, self, op)
{
	WEIR_RETURN(self->n);
}
WEIR_END
