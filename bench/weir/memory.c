/* SPDX-License-Identifier: MIT */
/*
 * memory.c - what a blocked task takes.
 */
#include "bench.h"

struct crowd {
	struct weir_frame co;
	struct weir_group group;
	struct longs ch;
	long n;
	long before;
};

static WEIR_CO(crowd, self, op)
{
	long i;
	int rc;

	must(weir_chan_init(&self->ch, weir_op_loop(op), 0), "channel");
	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	self->before = resident();
	for (i = 0; i < self->n; i++)
		must(weir_go(&self->group, waiter, .ch = &self->ch), "spawn");
	WEIR_AWAIT(rc, weir_yield(op));
	figure(NULL, (double)(resident() - self->before) / (double)self->n, "bytes");
	weir_group_cancel(&self->group, 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->group));
	weir_chan_fini(&self->ch);
	WEIR_RETURN(rc);
}
WEIR_END

static long memory(long tasks, long arg)
{
	(void)arg;
	must(weir_run(loop, crowd, .n = tasks), "crowd");
	return NO_FIGURE;
}

const struct workload memory_workloads[] = {
	{ "memory", memory, .n = 1000000, .arg = 0, .cold = true },
	{ .name = NULL },
};
