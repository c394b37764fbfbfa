/* SPDX-License-Identifier: MIT */
/* A pipeline's stage whose frame takes other items than its channel has. */
// expect: gcc the frame's member and the items are of different types
// expect: clang the frame's member and the items are of different types
// expect: lint the frame's member and the items are of different types
#include "misuse.h"
#include "weir/pipeline.h"

static WEIR_CO(worker, self, op)
{
	WEIR_RETURN(self->n);
}
WEIR_END

int start(struct weir_pipeline *p, struct weir_stage *s, struct ints *ints);

int start(struct weir_pipeline *p, struct weir_stage *s, struct ints *ints)
{
	return weir_pipeline_each(p, s, ints, worker, big);
}
