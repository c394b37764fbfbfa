/* SPDX-License-Identifier: MIT */
/*
 * backend.h - the one door to all that is not deterministic: kernel ops and their completion, the
 * clock, entropy, the wake-up from other threads.
 *
 * The core above knows only this interface.  A backend knows of the core only struct weir_op: it
 * reads op->u.kernel and op->def->opcode, and ends each op it accepted by exactly one call of
 * op->def->complete(op, res), from turn() alone, never from submit() or cancel().  Until that call
 * the op and its buffers are the kernel's.  (Of a multishot op each completion is a call; the last
 * is the one without IORING_CQE_F_MORE.)  All calls are made by the loop's thread, but for
 * wake().
 */
#ifndef WEIR_KERNEL_BACKEND_H
#define WEIR_KERNEL_BACKEND_H

#include "weir/base.h"
#include "weir/op.h"

struct io_uring_buf_ring;
struct weir_backend;

struct weir_backend_stats {
	uint64_t submitted, completed, enters, wakeups, timer_sets, cq_overflows, unknown;
	/* In the kernel, without WEIR_INTERNAL_ and WEIR_OBJECTS_; closes that wait; and holds. */
	uint64_t in_flight;
	uint64_t parked;	/* accepted, waiting for room; not among those in flight */
};

struct weir_backend_ops {
	uint64_t (*now)(struct weir_backend *be);
	uint64_t (*entropy)(struct weir_backend *be);

	/* Takes op.  True: it has ended already, the result is in op->res and complete() will not
	 * be called; with -EBADF if a close of its descriptor is under way. */
	bool (*submit)(struct weir_backend *be, struct weir_op *op);
	/* Asks the kernel to let go of op, which ends as always, if not with -ECANCELED then with
	 * what had happened already.  Never fails; asking again, or to cancel a close, does
	 * nothing. */
	void (*cancel)(struct weir_backend *be, struct weir_op *op);

	/* n tasks more wait for what an object's op brings, or -n fewer: these count as in
	 * flight. */
	void (*hold)(struct weir_backend *be, int n);

	/* The kernel may take buffers for multishot ops from ring, whose memory is zeros, begins at
	 * a page and has room for count of them, a power of 2.  Results: their group, >= 0;
	 * -EAGAIN: two buffers count as an op in flight, and there are not so many; -errno of the
	 * kernel's, which may be too old for it (before Linux 6.0) or forbid it. */
	int (*buffers)(struct weir_backend *be, struct io_uring_buf_ring *ring, unsigned count);
	/* No op of that group is under way. */
	void (*buffers_gone)(struct weir_backend *be, int group, unsigned count);

	/* Closes fd, which an op has given and nobody will take. */
	void (*drop)(struct weir_backend *be, int fd);

	/* The next turn that blocks ends at time due at the latest; WEIR_FOREVER: no such time. */
	void (*arm)(struct weir_backend *be, uint64_t due);
	/* Once ns of real time are over, turn() does not block and returns -ETIME.  Of two limits
	 * the earlier holds. */
	void (*limit)(struct weir_backend *be, uint64_t ns);
	/* Submits, takes in completions; if block and there is none, sleeps until one comes, until
	 * due or wake().  Results: 0; -ETIME past the limit; -errno if the kernel's side is broken
	 * for good. */
	int (*turn)(struct weir_backend *be, bool block);
	/* True if turn() would do something without blocking; a few loads, no system call. */
	bool (*busy)(struct weir_backend *be);
	/* True: no op of a task is in flight that could end while tasks, timers and other threads
	 * do nothing. */
	bool (*still)(struct weir_backend *be);
	/* Ends the present or the next turn that blocks, and makes fd() readable.  Any thread. */
	void (*wake)(struct weir_backend *be);

	/* For a host's poll set: readable if turn() has something to do.  quiet() takes in its
	 * signal and silences it; listen() lets it speak again, at once if more. */
	int (*fd)(struct weir_backend *be);
	void (*quiet)(struct weir_backend *be);
	void (*listen)(struct weir_backend *be, bool more);

	/* A virtual clock only, else NULL.  It is moved by this, and by a turn that blocks: to due,
	 * when nothing real is waited for. */
	void (*advance)(struct weir_backend *be, uint64_t ns);
	/* A simulated kernel only, else NULL: msg->fn runs in a turn of its choosing, in place of
	 * another thread.  The last of them as the backend is freed. */
	void (*later)(struct weir_backend *be, struct weir_msg *msg);

	void (*stats)(struct weir_backend *be, struct weir_backend_stats *stats);
	/* Calls fn for each op of a task's that has not ended: for reports. */
	void (*each)(struct weir_backend *be, void (*fn)(void *arg, struct weir_op *op), void *arg);
	/* No op may be left but internal ones.  Ops that are left all the same (in_flight > 0) are
	 * abandoned: what they point to must never be freed. */
	void (*free)(struct weir_backend *be);
};

struct weir_backend {
	const struct weir_backend_ops *ops;
};

/* A backend reads op->u.kernel as the submission queue entry of op->def->opcode, fields by the same
 * names; but IORING_OP_SOCKET has fd = -1 and its domain in flags, so that fd is a descriptor in
 * every op, or negative.  IORING_OP_SEND has no use for off, which is the caller's.  In
 * WEIR_KOP_CLOSE off is the caller's and len the backend's.  An op that is WEIR_MULTISHOT_ has its
 * group in addr; off is 0, and at each completion its IORING_CQE_F_*. */

/* What an op that polls has in flags: a 32-bit field that big-endian machines fill half by half. */
static inline uint32_t weir_poll_events_(uint32_t events)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return events << 16;
#else
	return events;
#endif
}

/* Opcodes of calls that never block, which a backend makes at once, and of close, which waits
 * until the kernel has let go of every op on the descriptor, and then may wait for the next turn.
 * Above any IORING_OP_*. */
enum {
	WEIR_KOP_CLOSE = 200,
	WEIR_KOP_BIND,		/* addr, off = length */
	WEIR_KOP_LISTEN,	/* len = backlog */
	WEIR_KOP_PIPE,		/* addr = int[2], flags */
};

struct weir_sys_ops;

/* ops: in flight at most, internal ones included; entries: of the submission queue; sys: who
 * answers the system calls, and its state, which goes with the backend if this succeeds; bell: an
 * eventfd, the caller's and open for longer, which wakes the loop when it is written to.
 * Results: 0; -EPERM, -ENOSYS, -ENOMEM, -EMFILE, -ENFILE. */
int weir_uring_new_(struct weir_backend **be, const struct weir_sys_ops *sys, void *world,
		    unsigned ops, unsigned entries, int bell);

/* The backend inner, which it takes over, with a clock that only advance() moves.  Results: 0;
 * -ENOMEM (inner stays the caller's). */
int weir_virtual_new_(struct weir_backend **be, struct weir_backend *inner);

#endif
