/* SPDX-License-Identifier: MIT */
/*
 * scenarios.h - what daemons do with weir, from making a loop to freeing it, each as a function
 * that returns 0 if all went as it should, or the first error it met.
 *
 * They are written as a careful user writes: every result is looked at, every way out cleans up.
 * -EPROTO says that something came out wrong without an error.
 */
#ifndef FAULTS_SCENARIOS_H
#define FAULTS_SCENARIOS_H

#include "faults/wrapped_calls.h"
#include "faults/wrapped_ring.h"
#include "weir.h"

#define SCENARIOS(X)									\
	X(loop_life) X(tasks) X(channels) X(pipeline) X(pool) X(drain) X(sem)	\
	X(shared_sem) X(rates) X(real_time) X(ctx_fds) X(files) X(notes) X(pipes)	\
	X(restless_pipes) X(sockets) X(streams) X(work) X(ports) X(guest)

static unsigned loops_left;	/* what weir_loop_free() found, in this run */

static const struct weir_loop_conf on_virtual = {
	.ops = 64, .entries = 16, .virtual_clock = true
};
static const struct weir_loop_conf in_real_time = { .ops = 64, .entries = 16 };

static int first(int a, int b)
{
	return a < 0 ? a : b;
}

static int expect(bool right)
{
	return right ? 0 : -EPROTO;
}

static void free_loop(struct weir_loop *loop)
{
	int left = weir_loop_free(loop);

	loops_left += left > 0 ? (unsigned)left : 0;
}

/* The coroutine in a loop of its own. */
#define RUN(conf, name, ...) __extension__ ({						\
	struct weir_loop *new_loop_;							\
	int run_ = weir_loop_new(&new_loop_, (conf));					\
	if (run_ == 0) {								\
		run_ = weir_run(new_loop_, name, __VA_ARGS__);				\
		free_loop(new_loop_);							\
	}										\
	run_;										\
})

#include "faults/core_scenarios.h"
#include "faults/io_scenarios.h"
#include "faults/stream_scenarios.h"

#endif
