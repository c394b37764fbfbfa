/* SPDX-License-Identifier: MIT */
/*
 * sys.h - the system calls that the io_uring backend makes, each one that is not the same every
 * time.
 *
 * Two answer them: linux.c, which makes them, and sim.c, a kernel in memory.  All of the backend
 * that is above this line is the same code on both, so what a seed does to the simulation it does
 * to the real thing.  All calls are made by the loop's thread.  An eventfd is a real one on both,
 * since other threads and signal handlers write to it.
 */
#ifndef WEIR_KERNEL_SYS_H
#define WEIR_KERNEL_SYS_H

#include <liburing.h>

#include "weir/op.h"

struct uring;

struct weir_sys_ops {
	uint64_t (*now)(struct uring *u);
	uint64_t (*entropy)(struct uring *u);

	/* io_uring_queue_init_params(3), not inherited by fork, its kernel threads bounded. */
	int (*ring_init)(struct uring *u, struct io_uring *ring, unsigned entries,
			 struct io_uring_params *p);
	void (*ring_exit)(struct uring *u, struct io_uring *ring);
	/* io_uring_submit(3) of u->ring. */
	int (*submit)(struct uring *u);
	/* The same, and runs what has completed; block: sleeps until a completion is there, which a
	 * result >= 0 does not promise. */
	int (*enter)(struct uring *u, bool block);
	/* io_uring_register_eventfd(3). */
	int (*notify)(struct uring *u, int fd);

	/* io_uring_register_buf_ring(3), where multishot receives can use it; without a ring
	 * io_uring_unregister_buf_ring(3). */
	int (*buffers)(struct uring *u, struct io_uring_buf_ring *ring, unsigned count, int group);

	/* timerfd_create(2), CLOCK_MONOTONIC; timerfd_settime(2), absolute; FOREVER: off. */
	int (*timer_new)(struct uring *u);
	int (*timer_set)(struct uring *u, int fd, uint64_t due);

	/* For opcodes above WEIR_KOP_CLOSE.  True: op is a system call that does not block; it was
	 * made, the result is in op->res. */
	bool (*call)(struct uring *u, struct weir_op *op);
	/* close(2): 0 or -errno, the descriptor is gone either way. */
	int (*close)(struct uring *u, int fd);

	/* The backend goes, its ring is gone. */
	void (*free)(struct uring *u);

	/* Of a simulation only, else NULL; as in backend.h. */
	bool (*still)(struct uring *u);
	void (*advance)(struct uring *u, uint64_t ns);
	void (*later)(struct uring *u, struct weir_msg *msg);
};

/* Linux. */
extern const struct weir_sys_ops weir_linux_;

#endif
