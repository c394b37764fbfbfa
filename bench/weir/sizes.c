/* SPDX-License-Identifier: MIT */
/*
 * sizes.c - what the structs of the public headers take, in the headers' order, and a task that
 * waits.  tests/bench holds the list to the headers.
 */
#include "bench.h"

#define SIZE(type)	figure(#type, sizeof(struct type), "bytes")

static long sizes(long n, long arg)
{
	(void)n;
	(void)arg;
	SIZE(weir_alloc);
	SIZE(weir_list);
	SIZE(weir_chan_stats);
	SIZE(weir_chan);
	SIZE(weir_step);
	SIZE(weir_point);
	SIZE(weir_frame);
	SIZE(weir_job);
	SIZE(weir_crew);
	SIZE(weir_ctx);
	SIZE(weir_after);
	SIZE(weir_read_full);
	SIZE(weir_write_all);
	SIZE(weir_group_conf);
	SIZE(weir_group);
	SIZE(weir_interval);
	SIZE(weir_bucket);
	SIZE(weir_limiter);
	SIZE(weir_reservation);
	SIZE(weir_loop_conf);
	SIZE(weir_loop_stats);
	SIZE(weir_op_def);
	SIZE(weir_timer);
	SIZE(weir_wait);
	SIZE(weir_kernel_args);
	SIZE(weir_choice);
	SIZE(weir_place);
	SIZE(weir_tick);
	SIZE(weir_job_args);
	SIZE(weir_op);
	SIZE(weir_arm);
	SIZE(weir_pipeline);
	SIZE(weir_stage);
	SIZE(weir_pool_conf);
	SIZE(weir_pool_receipt);
	SIZE(weir_pool);
	SIZE(weir_pool_drain);
	SIZE(weir_msg);
	SIZE(weir_check_conf);
	SIZE(weir_sem);
	SIZE(weir_shared);
	SIZE(weir_sim_conf);
	SIZE(weir_sim_stats);
	SIZE(weir_send_all);
	SIZE(weir_buffers);
	SIZE(weir_lease);
	SIZE(weir_stream);
	SIZE(weir_task);
	SIZE(weir_workers_conf);
	SIZE(weir_workers_stats);
	figure("blocked-task", sizeof(struct weir_task) + sizeof(struct waiter), "bytes");
	return NO_FIGURE;
}

const struct workload sizes_workloads[] = {
	{ "sizes", sizes, .n = 1, .arg = 0, .cold = true },
	{ .name = NULL },
};
