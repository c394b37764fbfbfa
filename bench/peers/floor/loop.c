/* SPDX-License-Identifier: MIT */
/*
 * loop.c - a bare ring is made and ended, with the 256 entries that a small loop has.
 */
#include <liburing.h>

#include "floor.h"

static long loops(long n, long entries)
{
	struct io_uring ring;
	long i;

	start_clock();
	for (i = 0; i < n; i++) {
		must(io_uring_queue_init((unsigned)entries, &ring,
					 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN),
		     "io_uring");
		io_uring_queue_exit(&ring);
	}
	stop_clock();
	figure(NULL, clock_ns() / NS_US / (double)n, "us");
	return NO_FIGURE;
}

const struct workload loop_workloads[] = {
	{ "loop", loops, .n = 1000, .arg = 256 },
	{ .name = NULL },
};
