/* SPDX-License-Identifier: MIT */
/*
 * chan.cpp - channels: from one fiber to another, through three of them, to 64.
 *
 * A buffered channel of Boost.Fiber has one place less than it is told, which must be a power of 2.
 */
#include <vector>

#include "peer.hpp"

using unbuffered = fibers::unbuffered_channel<long>;
using buffered = fibers::buffered_channel<long>;

template <typename Chan>
static void generate(Chan &out, long n)
{
	for (; n > 0; n--)
		out.push(n);
	out.close();
}

template <typename Chan>
static void hand_on(Chan &in, Chan &out)
{
	long item;

	while (in.pop(item) == fibers::channel_op_status::success)
		out.push(item);
	out.close();
}

template <typename Chan>
static void add_up(Chan &in, long &sum)
{
	long item;

	while (in.pop(item) == fibers::channel_op_status::success)
		sum += item;
}

template <typename Chan>
static long channel(Chan &ch, long n)
{
	long sum = 0;
	auto receiver = go([&] { add_up(ch, sum); });
	auto sender = go([&] { generate(ch, n); });

	sender.join();
	receiver.join();
	check(sum == n * (n + 1) / 2, "the sum is right");
	return n;
}

static long chan_0(long n, long)
{
	unbuffered ch;

	return channel(ch, n);
}

static long chan_room(long n, long room)
{
	buffered ch(room);

	return channel(ch, n);
}

template <typename Chan>
static long pipeline(Chan &a, Chan &b, long n)
{
	long sum = 0;
	auto sink = go([&] { add_up(b, sum); });
	auto stage = go([&] { hand_on(a, b); });
	auto generator = go([&] { generate(a, n); });

	generator.join();
	stage.join();
	sink.join();
	check(sum == n * (n + 1) / 2, "the sum is right");
	return n;
}

static long pipeline_0(long n, long)
{
	unbuffered a, b;

	return pipeline(a, b, n);
}

static long pipeline_room(long n, long room)
{
	buffered a(room), b(room);

	return pipeline(a, b, n);
}

static long pool_sum;

__attribute__((noinline)) static void work(long item)
{
	pool_sum += item;
}

static long pool(long n, long workers)
{
	buffered queue(64);
	std::vector<fibers::fiber> all;
	long i;

	pool_sum = 0;
	for (i = 0; i < workers; i++)
		all.push_back(go([&queue] {
			long item;

			while (queue.pop(item) == fibers::channel_op_status::success)
				work(item);
		}));
	all.push_back(go([&queue, n] { generate(queue, n); }));
	for (auto &f : all)
		f.join();
	check(pool_sum == n * (n + 1) / 2, "the sum is right");
	return n;
}

const workload chan_workloads[] = {
	{ "chan-0", chan_0, 2000000, 0, false, false },
	{ "chan-1024", chan_room, 2000000, 1024, false, false },
	{ "pipeline-0", pipeline_0, 1000000, 0, false, false },
	{ "pipeline-64", pipeline_room, 1000000, 64, false, false },
	{ "pool-64", pool, 1000000, 64, false, false },
	{ nullptr, nullptr, 0, 0, false, false },
};
