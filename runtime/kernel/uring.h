/* SPDX-License-Identifier: MIT */
/*
 * uring.h - what the two halves of the io_uring backend share: uring.c, the ring, its clock and its
 * turn; and uring_ops.c, the way of an op through the ring.
 */
#ifndef WEIR_KERNEL_URING_H
#define WEIR_KERNEL_URING_H

#include <liburing.h>

#include "kernel/backend.h"
#include "kernel/sys.h"

/* What op->u.kernel.slot says of an op that has no slot. */
#define NO_SLOT		UINT32_MAX		/* parked, or not the backend's */
#define DROPPED		(UINT32_MAX - 1)	/* cancelled while it was parked */

struct slot {
	struct weir_op *op;	/* NULL: free */
	uint32_t generation;
	uint32_t next, prev;	/* in its bucket; next alone if free */
	bool polling;		/* the op met -EAGAIN: a poll stands in for it */
	bool cancelled;		/* the op is to end; asked once, by whomever */
	uint16_t missed;	/* how many cancels have not found it */
};

/* The ops on descriptors that are equal modulo the number of buckets. */
struct bucket {
	uint32_t first;		/* in flight: a chain of slots */
	uint32_t parked;	/* how many wait for room */
	uint32_t closing;	/* how many closes wait for the ops in flight */
};

struct uring {
	struct weir_backend be;
	const struct weir_sys_ops *sys;
	void *world;			/* of a simulation */
	struct io_uring ring;
	struct slot *slots;
	unsigned n_slots, entries;
	unsigned bound, used;		/* slots that ops of tasks and objects may have, and have */
	uint64_t groups;		/* of buffers: those in use */
	uint32_t free_slot;
	struct bucket *buckets;
	unsigned bucket_mask;
	struct weir_list parked;	/* ops waiting for a slot or an entry */
	struct weir_list cancels;	/* ops in flight whose cancel found no entry */
	struct weir_list dropped;	/* parked ops that were cancelled */
	struct weir_list closers;	/* close ops waiting for the ops on their descriptor */

	struct weir_op timer_op, wake_op;
	uint64_t timer_count;		/* what the first reads */
	int timer_fd, wake_fd, notify_fd;
	uint64_t due, armed;		/* what the timerfd should be set to, and is */
	uint64_t limit;			/* no turn blocks past this */
	bool closing;			/* its own ops are not to start anew */
	bool hosted;			/* the ring is one for a host's loop */
	unsigned vain;			/* enters that a flag called for, for nothing */
	bool lone;			/* the last enter submitted nothing */

	struct weir_backend_stats stats;
};

static inline struct uring *uring_of(struct weir_backend *be)
{
	return weir_container_of(be, struct uring, be);
}

/* Room for n ops in flight.  Results: 0; -ENOMEM. */
int weir_uring_ops_init_(struct uring *u, unsigned n);
void weir_uring_ops_fini_(struct uring *u);

bool weir_uring_submit_(struct weir_backend *be, struct weir_op *op);
void weir_uring_cancel_(struct weir_backend *be, struct weir_op *op);
void weir_uring_each_(struct weir_backend *be, void (*fn)(void *arg, struct weir_op *op),
		      void *arg);

/* What waited for room goes to the kernel, as far as there is room. */
void weir_uring_flush_(struct uring *u);
/* Ends the ops whose completions are there.  Result: how many. */
unsigned weir_uring_reap_(struct uring *u);
/* True: flush or reap would get further, without the kernel doing anything more. */
bool weir_uring_stirs_(const struct uring *u);

#endif
