/* SPDX-License-Identifier: MIT */
/*
 * wrapped_ring.h - the ring: entering it fails, and so do the operations that go through it.
 *
 * An operation fails without effect, so that any error may be tried: where the kernel has said
 * "again", nothing is lost.  On its way it is turned into one that does nothing, and when it comes
 * out it is given the error.
 */
#ifndef WRAPPED_RING_H
#define WRAPPED_RING_H

#include "faults/inject.h"
#include "faults/wrapped_calls.h"
#include "kernel/uring.h"

/* ---- operations ---- */

#define CHANGED_MAX	512

/* Operations on their way, and how they are to end. */
static struct {
	uint64_t user_data;
	int res;
} changed[CHANGED_MAX];
static unsigned n_changed;

struct kind_of_op {
	const char *name;
	int errors[8];
};

/* A stream's, which goes on where there was no buffer, or nobody had called it off. */
static const struct kind_of_op of_a_stream = {
	"a stream's recv", { ECONNRESET, ENOMEM, EINTR, EAGAIN, 512 }
};

static inline const struct kind_of_op *kind_of(unsigned opcode)
{
	static const struct kind_of_op kinds[] = {
		[IORING_OP_READ] = { "read", { EIO, ENOMEM, EINTR, EAGAIN, 512, ECANCELED } },
		[IORING_OP_WRITE] = { "write", { ENOSPC, EIO, EINTR, EAGAIN, ECANCELED } },
		[IORING_OP_RECV] = { "recv", { ECONNRESET, ENOBUFS, ENOMEM, EINTR, EAGAIN, 512,
					       ECANCELED } },
		[IORING_OP_SEND] = { "send", { EPIPE, ECONNRESET, ENOBUFS, EINTR, EAGAIN,
					       ECANCELED } },
		[IORING_OP_ACCEPT] = { "accept", { EMFILE, ECONNABORTED, ENOBUFS, EINTR, EAGAIN,
						   512, ECANCELED } },
		[IORING_OP_CONNECT] = { "connect", { ECONNREFUSED, ETIMEDOUT, EADDRNOTAVAIL,
						     EINTR, ECANCELED } },
		[IORING_OP_SOCKET] = { "socket", { EMFILE, ENFILE, ENOBUFS, EAFNOSUPPORT } },
		[IORING_OP_OPENAT] = { "open", { EMFILE, EACCES, ENOMEM, EINTR, ECANCELED } },
		[IORING_OP_STATX] = { "statx", { EACCES, ENOMEM, EIO, ECANCELED } },
		[IORING_OP_FSYNC] = { "fsync", { EIO, ENOSPC, EINTR, ECANCELED } },
		[IORING_OP_MKDIRAT] = { "mkdir", { ENOSPC, EACCES, ECANCELED } },
		[IORING_OP_RENAMEAT] = { "rename", { ENOSPC, EXDEV, ECANCELED } },
		[IORING_OP_UNLINKAT] = { "unlink", { EIO, EACCES, ECANCELED } },
		[IORING_OP_SHUTDOWN] = { "shutdown", { ENOTCONN, ECANCELED } },
		[IORING_OP_POLL_ADD] = { "poll", { ENOMEM, EINTR, ECANCELED } },
	};

	if (opcode >= sizeof kinds / sizeof *kinds || !kinds[opcode].name)
		return NULL;
	return &kinds[opcode];
}

static inline bool is_own(const struct uring *u, const struct io_uring_sqe *sqe)
{
	uint64_t data = sqe->user_data;
	const struct weir_op *op = u->slots[(uint32_t)data].op;

	return op == &u->timer_op || op == &u->wake_op;
}

static void change(struct io_uring_sqe *sqe, int res)
{
	uint64_t data = sqe->user_data;

	ck_assert_uint_lt(n_changed, CHANGED_MAX);
	changed[n_changed].user_data = data;
	changed[n_changed++].res = res;
	io_uring_prep_nop(sqe);
	sqe->user_data = data;
}

/* The loop's reads of timerfd and eventfd fail once each, for they are begun again for ever. */
static int own_place(void)
{
	bool on = fault.on;
	int err;

	if (fault.kind != OPERATION)	/* other threads look at fault.on: they may be at a place */
		return 0;
	fault.on = false;
	err = fault_place(OPERATION, "a read of the loop's own",
			  ERRORS(EIO, ENOMEM, EINTR, EAGAIN, ECANCELED), UNNOTICED);
	fault.on = on;
	return err;
}

static void may_shorten(const struct uring *u, struct io_uring_sqe *sqe)
{
	const struct weir_op *op = u->slots[(uint32_t)sqe->user_data].op;

	if (op->def->flags & WEIR_INTERNAL_ || sqe->len <= 1)
		return;
	switch (sqe->opcode) {
	case IORING_OP_READ:
	case IORING_OP_WRITE:
	case IORING_OP_RECV:
	case IORING_OP_SEND:
		if (fault_place(SHORT_COUNT, kind_of(sqe->opcode)->name, ERRORS(1), UNNOTICED))
			sqe->len = 1;
	}
}

static unsigned interrupted;	/* so many operations are, whatever else fails */

static void may_fail(const struct uring *u, struct io_uring_sqe *sqe)
{
	const struct kind_of_op *kind = kind_of(sqe->opcode);
	int err;

	if (!kind)
		return;
	if (u->slots[(uint32_t)sqe->user_data].op->def->flags & WEIR_OBJECTS_)
		kind = &of_a_stream;
	if (interrupted && !is_own(u, sqe)) {
		interrupted--;
		change(sqe, -EINTR);
		return;
	}
	may_shorten(u, sqe);
	err = is_own(u, sqe) ? own_place() : fault_place(OPERATION, kind->name, kind->errors, 0);
	if (err)
		change(sqe, -err);
}

static void change_new(struct io_uring *ring)
{
	struct uring *u = weir_container_of(ring, struct uring, ring);
	unsigned i;

	if (!fault.armed)
		return;
	for (i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++)
		may_fail(u, &ring->sq.sqes[i & *ring->sq.kring_mask]);
}

static void give_result(struct io_uring_cqe *cqe)
{
	unsigned i;

	for (i = 0; i < n_changed; i++) {
		if (changed[i].user_data != cqe->user_data)
			continue;
		cqe->res = changed[i].res;
		changed[i] = changed[--n_changed];
		return;
	}
}

unsigned __real_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					unsigned n);
unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					unsigned n);
unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					unsigned n)
{
	unsigned i;

	n = __real_io_uring_peek_batch_cqe(ring, cqes, n);
	for (i = 0; i < n && n_changed; i++)
		give_result(cqes[i]);
	return n;
}

/* ---- submissions ---- */

#define WRAP_SUBMIT(name, params, args)							\
	int __real_##name params;							\
	int __wrap_##name params;							\
	int __wrap_##name params							\
	{										\
		int err = fault_place(SUBMISSION, #name,				\
				      ERRORS(EINTR, EAGAIN, EBUSY, ENOMEM, EBADF, EPERM),	\
				      UNNOTICED | BREAKS);					\
											\
		if (err)								\
			return -err;							\
		change_new(ring);							\
		return __real_##name args;						\
	}

WRAP_SUBMIT(io_uring_submit, (RING), (ring))
WRAP_SUBMIT(io_uring_submit_and_wait, (RING, unsigned n), (ring, n))
WRAP_SUBMIT(io_uring_submit_and_get_events, (RING), (ring))

#endif
