/* SPDX-License-Identifier: MIT */
/*
 * tasks.c - what it costs to go on, and to start and end: yield, spawn and join.
 */
#include "bench.h"

struct yielder {
	struct weir_frame co;
	long n;
};

static WEIR_CO(yielder, self, op)
{
	int rc;

	while (self->n-- > 0) {
		WEIR_AWAIT(rc, weir_yield(op));
		if (rc < 0)
			WEIR_RETURN(rc);
	}
	WEIR_RETURN(0);
}
WEIR_END

static long yields(long n, long tasks)
{
	long i;

	for (i = 0; i < tasks; i++)
		must(weir_go(weir_loop_group(loop), yielder, .n = n), "spawn");
	must(weir_loop_run(loop), "yield");
	return tasks * n;
}

struct nothing {
	struct weir_frame co;
};

static WEIR_CO(nothing, self, op)
{
	WEIR_RETURN(0);
}
WEIR_END

struct spawner {
	struct weir_frame co;
	struct weir_group group;
	long batches, batch;
};

static WEIR_CO(spawner, self, op)
{
	long i;
	int rc;

	while (self->batches-- > 0) {
		weir_group_init(&self->group, weir_op_ctx(op), NULL);
		for (i = 0; i < self->batch; i++)
			must(weir_go(&self->group, nothing), "spawn");
		WEIR_AWAIT(rc, weir_group_wait(op, &self->group));
		must(rc, "join");
	}
	WEIR_RETURN(0);
}
WEIR_END

static long spawns(long n, long batch)
{
	must(weir_run(loop, spawner, .batches = n, .batch = batch), "spawn");
	return n * batch;
}

const struct workload tasks_workloads[] = {
	{ "yield", yields, .n = 1000000, .arg = 3 },
	{ "spawn-1000", spawns, .n = 1000, .arg = 1000 },
	{ "spawn-100000", spawns, .n = 10, .arg = 100000 },
	{ .name = NULL },
};
