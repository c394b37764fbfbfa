/* SPDX-License-Identifier: MIT */
/*
 * floor.h - the files of the subject `floor`: what each workload costs in plain C, by hand, without
 * a runtime. There is no cancellation, no error in between, no bound but the workload's: that is
 * what makes it a floor.
 */
#ifndef FLOOR_H
#define FLOOR_H

#include "../../kit.h"

extern const struct workload machines_workloads[], timers_workloads[], files_workloads[],
	post_workloads[], loop_workloads[];

int serve_uring(void);

#endif
