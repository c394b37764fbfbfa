/* SPDX-License-Identifier: MIT */
/*
 * peer.hpp - the files of the subject `fiber`: Boost.Fiber on one thread, with its round-robin
 * scheduler and stacks from a pool. They are small, as these fibers call next to nothing; but a
 * spinlock's first use makes a std::random_device on the stack, which takes 5 KiB.
 */
#ifndef PEER_HPP
#define PEER_HPP

#include <boost/fiber/all.hpp>
#include <memory>

#include "../../kit.h"

namespace fibers = boost::fibers;

extern const workload tasks_workloads[], chan_workloads[], sem_workloads[], post_workloads[];

constexpr std::size_t stack_bytes = 16 << 10;

/* One pool for all of a thread: its copies share it. */
inline fibers::pooled_fixedsize_stack &stacks()
{
	static thread_local fibers::pooled_fixedsize_stack pool(stack_bytes, 64);

	return pool;
}

/* Starts a fiber that is put behind the others. */
template <typename Fn, typename... Args>
fibers::fiber go(Fn &&fn, Args &&...args)
{
	return fibers::fiber(fibers::launch::post, std::allocator_arg, stacks(),
			     std::forward<Fn>(fn), std::forward<Args>(args)...);
}

#endif
