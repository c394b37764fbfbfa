/* SPDX-License-Identifier: MIT */
/*
 * main.c - the subject `weir`: its workloads, for which there is a loop.
 */
#include "bench.h"

struct weir_loop *loop;

const char program[] = "weir";

const struct workload *const families[] = {
	tasks_workloads, chan_workloads, pool_workloads, limits_workloads, ctx_workloads,
	timer_workloads, memory_workloads, post_workloads, files_workloads, loop_workloads,
	sizes_workloads, NULL,
};

const struct server servers[] = {
	{ "echo", serve_alone }, { "embed", serve_embedded }, { .name = NULL },
};

void set_up(void)
{
	char why[512];
	int rc = weir_loop_new(&loop, NULL);

	if (rc == 0)
		return;
	fprintf(stderr, "weir: no loop: %s\n", weir_explain(rc, why, sizeof why));
	exit(1);
}

void tear_down(void)
{
	check(weir_loop_free(loop) == 0, "nothing is left in the loop");
}
