/* SPDX-License-Identifier: MIT */
/*
 * tasks.cpp - fibers that yield, that start and end, that wait.
 */
#include <mutex>
#include <vector>

#include "peer.hpp"

static long yields(long n, long tasks)
{
	std::vector<fibers::fiber> all;
	long i;

	for (i = 0; i < tasks; i++)
		all.push_back(go([n] {
			long k;

			for (k = 0; k < n; k++)
				boost::this_fiber::yield();
		}));
	for (auto &f : all)
		f.join();
	return tasks * n;
}

/* Detached and counted, as a fiber that is to be joined keeps its stack until then; dispatched, so
 * that it runs at once: the next one gets a stack that is warm. */
static long spawns(long batches, long batch)
{
	fibers::mutex lock;
	fibers::condition_variable all_ended;
	long b, i, left;

	for (b = 0; b < batches; b++) {
		std::unique_lock<fibers::mutex> hold(lock, std::defer_lock);

		left = batch;
		for (i = 0; i < batch; i++)
			fibers::fiber(fibers::launch::dispatch, std::allocator_arg, stacks(), [&] {
				if (--left == 0)
					all_ended.notify_one();
			}).detach();
		hold.lock();
		while (left)
			all_ended.wait(hold);
	}
	return batches * batch;
}

/* A tenth of the tasks: with a million it would take more memory than many a machine has. */
static long memory(long tasks, long)
{
	fibers::unbuffered_channel<long> ch;
	std::vector<fibers::fiber> all;
	long before, i, ended = 0;

	all.reserve(tasks);
	before = resident();
	for (i = 0; i < tasks; i++)
		all.push_back(go([&ch, &ended] {
			long item;

			ended += ch.pop(item) == fibers::channel_op_status::closed;
		}));
	boost::this_fiber::yield();
	figure(nullptr, double(resident() - before) / tasks, "bytes");
	ch.close();
	for (auto &f : all)
		f.join();
	check(ended == tasks, "all have waited until the channel closed");
	return NO_FIGURE;
}

const workload tasks_workloads[] = {
	{ "yield", yields, 1000000, 3, false, false },
	{ "spawn-1000", spawns, 1000, 1000, false, false },
	{ "spawn-100000", spawns, 10, 100000, false, false },
	{ "memory", memory, 100000, 0, true, false },
	{ nullptr, nullptr, 0, 0, false, false },
};
