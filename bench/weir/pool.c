/* SPDX-License-Identifier: MIT */
/*
 * pool.c - a pool of workers that have next to nothing to do.
 */
#include "bench.h"

WEIR_POOL(crew, long);

struct job {
	struct weir_frame co;
	long item;
	long *sum;
};

static WEIR_CO(job, self, op)
{
	*self->sum += self->item;
	WEIR_RETURN(0);
}
WEIR_END

struct foreman {
	struct weir_frame co;
	struct crew pool;
	long n, workers, *sum;
};

static WEIR_CO(foreman, self, op)
{
	int rc;

	must(weir_pool_init(&self->pool, weir_op_ctx(op),
			    (&(struct weir_pool_conf){ .workers = (unsigned)self->workers,
						       .queue = 64 }),
			    job, item, .sum = self->sum), "pool");
	while (self->n-- > 0) {
		WEIR_AWAIT(rc, weir_pool_submit(op, &self->pool, &self->n));
		must(rc, "submit");
	}
	must(weir_pool_close(&self->pool), "close");
	WEIR_AWAIT(rc, weir_pool_wait(op, &self->pool));
	weir_pool_fini(&self->pool, NULL);
	WEIR_RETURN(rc);
}
WEIR_END

static long pool(long n, long workers)
{
	long sum = 0;

	must(weir_run(loop, foreman, .n = n, .workers = workers, .sum = &sum), "pool");
	check(sum == n * (n - 1) / 2, "every item was worked on");
	return n;
}

const struct workload pool_workloads[] = {
	{ "pool-64", pool, .n = 1000000, .arg = 64 },
	{ .name = NULL },
};
