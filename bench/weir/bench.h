/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the workloads of weir share beside the kit: the loop.
 */
#ifndef BENCH_H
#define BENCH_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kit.h"
#include "weir.h"

/* Ended by one without a name. */
extern const struct workload tasks_workloads[], chan_workloads[], pool_workloads[],
	limits_workloads[], ctx_workloads[], timer_workloads[], memory_workloads[],
	post_workloads[], files_workloads[], loop_workloads[], sizes_workloads[];

WEIR_CHAN(longs, long);

/* Of the process's first thread, for all workloads. */
extern struct weir_loop *loop;

/* Waits for an item, or to be cancelled. */
struct waiter {
	struct weir_frame co;
	struct longs *ch;
	long item;
};
WEIR_CO_DECL(waiter);

int serve_alone(void);
int serve_embedded(void);	/* the loop is driven by an epoll loop */

#endif
