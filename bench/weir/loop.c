/* SPDX-License-Identifier: MIT */
/*
 * loop.c - a loop is made and freed: ring, timer, and all.
 */
#include "bench.h"

static long loops(long n, long arg)
{
	uint64_t began = nanoseconds(CLOCK_MONOTONIC);
	struct weir_loop *l;
	long i;

	(void)arg;
	for (i = 0; i < n; i++) {
		must(weir_loop_new(&l, NULL), "loop");
		check(weir_loop_free(l) == 0, "nothing is left in it");
	}
	figure(NULL, (double)(nanoseconds(CLOCK_MONOTONIC) - began) / (double)n / 1e3, "us");
	return NO_FIGURE;
}

const struct workload loop_workloads[] = {
	{ "loop", loops, .n = 1000, .arg = 0 },
	{ .name = NULL },
};
