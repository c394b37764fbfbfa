/* SPDX-License-Identifier: MIT */
/*
 * main.cpp - the subject `fiber`: its workloads. It has no select, no timers to be cancelled and no
 * sockets of its own; and a million that sleep would need 10 GiB of stacks.
 */
#include "peer.hpp"

const char program[] = "fiber";

const workload *const families[] = {
	tasks_workloads, chan_workloads, sem_workloads, post_workloads, nullptr,
};

const server servers[] = { { nullptr, nullptr } };
