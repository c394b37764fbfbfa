/* SPDX-License-Identifier: MIT */
/*
 * post.cpp - between two threads, each with a scheduler of its own: channels wake fibers of other
 * threads, too.
 */
#include "peer.hpp"

using channel = fibers::buffered_channel<long>;

struct court {
	channel there{ 2 }, back{ 2 };
	long n;
};

static void *answers(void *arg)
{
	court &c = *static_cast<court *>(arg);
	long i, ball;

	for (i = 0; i <= c.n; i++) {
		c.there.pop(ball);
		c.back.push(ball + 1);
	}
	return nullptr;
}

/* The first is not counted: it waits for the other thread to begin. */
static void *asks(void *arg)
{
	court &c = *static_cast<court *>(arg);
	long i, ball = 0;

	for (i = 0; i <= c.n; i++) {
		if (i == 1)
			start_clock();
		c.there.push(ball + 1);
		c.back.pop(ball);
	}
	stop_clock();
	check(ball == 2 * (c.n + 1), "each has seen all messages");
	return nullptr;
}

static long trips(long n, long)
{
	court c;

	c.n = n;
	two_placements(answers, asks, &c, n);
	return NO_FIGURE;
}

struct flow {
	channel ch{ 4096 };
	long n;
};

static void *writes(void *arg)
{
	flow &f = *static_cast<flow *>(arg);
	long i;

	for (i = 0; i < f.n; i++)
		f.ch.push(i);
	f.ch.close();
	return nullptr;
}

static void *reads(void *arg)
{
	flow &f = *static_cast<flow *>(arg);
	long item, sum = 0;

	while (f.ch.pop(item) == fibers::channel_op_status::success)
		sum += item;
	check(sum == f.n * (f.n - 1) / 2, "the sum is right");
	return nullptr;
}

static long one_way(long n, long)
{
	flow f;

	f.n = n;
	start_clock();
	two_threads(writes, reads, &f);
	stop_clock();
	figure(nullptr, n * 1e3 / clock_ns(), "M/s");
	return NO_FIGURE;
}

const workload post_workloads[] = {
	{ "post-trip", trips, 20000, 0, false, false },
	{ "post-flow", one_way, 5000000, 0, false, false },
	{ nullptr, nullptr, 0, 0, false, false },
};
