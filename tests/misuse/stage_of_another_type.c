/* SPDX-License-Identifier: MIT */
/* A pipeline's stage whose frame takes other items than its channel has. */
// expect: gcc the member of the frame and the items differ in type
// expect: clang the member of the frame and the items differ in type
// expect: lint the member of the frame and the items differ in type
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
