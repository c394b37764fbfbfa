/* SPDX-License-Identifier: MIT */
/*
 * main.c - the subject `libuv`: its workloads, and the start and stop of a loop.
 */
#include "uv_peer.h"

static long loops(long n, long arg)
{
	uv_loop_t loop;
	long i;

	(void)arg;
	start_clock();
	for (i = 0; i < n; i++) {
		uv_must(uv_loop_init(&loop), "loop");
		uv_must(uv_loop_close(&loop), "close");
	}
	stop_clock();
	figure(NULL, clock_ns() / NS_US / (double)n, "us");
	return NO_FIGURE;
}

static const struct workload loop_workloads[] = {
	{ "loop", loops, .n = 1000 },
	{ .name = NULL },
};

const char program[] = "libuv";

const struct workload *const families[] = {
	timers_workloads, files_workloads, post_workloads, loop_workloads, NULL,
};

const struct server servers[] = { { "echo", serve_uv }, { .name = NULL } };
