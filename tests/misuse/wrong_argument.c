/* SPDX-License-Identifier: MIT */
/* A spawn with an argument that the coroutine does not have. */
// expect: gcc has no member named
// expect: clang does not refer to any field
// expect: lint has no member named
#include "misuse.h"

static WEIR_CO(child, self, op)
{
	WEIR_RETURN(self->n);
}
WEIR_END

int spawn(struct weir_group *group);

int spawn(struct weir_group *group)
{
	return weir_go(group, child, .count = 1);
}
