/* SPDX-License-Identifier: MIT */
/*
 * main.c - the subject `floor`: its workloads.
 */
#include "floor.h"

const char program[] = "floor";

const struct workload *const families[] = {
	machines_workloads, timers_workloads, files_workloads, post_workloads, loop_workloads, NULL,
};

const struct server servers[] = { { "echo", serve_uring }, { .name = NULL } };
