/* SPDX-License-Identifier: MIT */
/* ring_kit.h - a loop with a ring of a chosen size, and a file that is always ready: zero_fd. */
#ifndef RING_KIT_H
#define RING_KIT_H

#include "io/io_kit.h"

static int zero_fd;

static inline void begin_ring(unsigned ops, unsigned entries)
{
	begin();
	weir_group_fini(&group);
	test_loop_free(loop);
	loop = test_loop_conf(&(struct weir_loop_conf){
		.ops = ops, .entries = entries, .seed = 1, .virtual_clock = true });
	regroup();
	zero_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(zero_fd, 0);
}

/* As small as they are made. */
static inline void begin_small(void)
{
	begin_ring(16, 8);
}

static inline void end_ring(void)
{
	close(zero_fd);
	end();
}

static inline struct weir_loop_stats stats(void)
{
	struct weir_loop_stats s;

	weir_loop_stats(loop, &s);
	return s;
}

#endif
