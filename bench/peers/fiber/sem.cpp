/* SPDX-License-Identifier: MIT */
/*
 * sem.cpp - a semaphore of a mutex and a condition, as Boost.Fiber has none of its own.
 */
#include <mutex>
#include <vector>

#include "peer.hpp"

class semaphore {
	fibers::mutex lock;
	fibers::condition_variable has_some;
	long permits;

public:
	explicit semaphore(long n) : permits(n)
	{
	}

	void take()
	{
		std::unique_lock<fibers::mutex> hold(lock);

		while (!permits)
			has_some.wait(hold);
		permits--;
	}

	void give()
	{
		{
			std::lock_guard<fibers::mutex> hold(lock);

			permits++;
		}
		has_some.notify_one();
	}

	long count() const
	{
		return permits;
	}
};

static long contended(long rounds, long tasks)
{
	semaphore sem(10);
	std::vector<fibers::fiber> all;
	long i;

	for (i = 0; i < tasks; i++)
		all.push_back(go([&sem, rounds] {
			long k;

			for (k = 0; k < rounds; k++) {
				sem.take();
				boost::this_fiber::yield();
				sem.give();
			}
		}));
	for (auto &f : all)
		f.join();
	check(sem.count() == 10, "all permits are back");
	return rounds * tasks;
}

static long uncontended(long rounds, long permits)
{
	semaphore sem(permits);

	go([&sem, rounds] {
		long k;

		for (k = 0; k < rounds; k++) {
			sem.take();
			sem.give();
		}
	}).join();
	check(sem.count() == permits, "all permits are back");
	return rounds;
}

const workload sem_workloads[] = {
	{ "sem-contended", contended, 1000, 1000, false, false },
	{ "sem-free", uncontended, 3000000, 10, false, false },
	{ nullptr, nullptr, 0, 0, false, false },
};
