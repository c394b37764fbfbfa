/* SPDX-License-Identifier: MIT */
/*
 * stream.h - a connected stream socket that receives by itself, into buffers that are lent.
 *
 * Many streams share one pool of buffers.  The kernel puts what comes into buffers of the pool, by
 * one standing operation a stream, and a task takes a buffer as it is, as a lease, and puts it back
 * when it is done with it: no copy is made, no memory is bound to a connection that is silent, and
 * a receive costs no system call.
 *
 *	struct echo { struct weir_frame co; struct weir_stream s; struct weir_lease lease; int n; };
 *
 *	static WEIR_CO(echo, self, op)
 *	{
 *		do {
 *			WEIR_AWAIT(self->n, weir_stream_recv(op, &self->s, &self->lease));
 *			if (self->n <= 0)
 *				break;
 *			WEIR_AWAIT(self->n, weir_stream_send(op, &self->s, self->lease.data,
 *							     self->lease.len));
 *			weir_lease_put(&self->lease);
 *		} while (self->n >= 0);
 *		WEIR_AWAIT(self->n, weir_stream_close(op, &self->s));
 *	}
 *	WEIR_END
 *
 * A stream whose buffers, taken or not, reach its bound receives no more until half of them are
 * back: TCP holds the peer up.  A stream that finds the pool empty goes on as soon as a buffer
 * comes back, of whichever stream: the pool bounds the memory of all of them together, and if it
 * is too small that makes them slow, but none fails.  (Should the kernel find no buffer where there
 * are some, again and again, it is asked once a millisecond.)  A task that holds a lease while it
 * waits for one more from the same pool can wait for ever; that is for the program to balance.
 *
 * Everything here is for the loop's thread.
 */
#ifndef WEIR_STREAM_H
#define WEIR_STREAM_H

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;
struct weir_stream;
struct weir_buf_;

#define WEIR_BUFFERS_MAX	32768u		/* in a pool */
#define WEIR_BUFFER_MIN		16u		/* bytes of one */
#define WEIR_BUFFER_MAX		(1u << 24)

/* A pool of buffers, of a loop's. */
struct weir_buffers {
	struct weir_loop *loop;
	struct weir_list link;		/* in loop->buffers */
	struct weir_list starved;	/* streams that wait for a buffer */
	void *memory;			/* of all that follows */
	struct io_uring_buf_ring *ring;
	struct weir_buf_ *bufs;
	char *data;
	size_t size;
	uint32_t count, used;		/* buffers; those that are held or lent */
	uint32_t offered;		/* those that take part yet */
	uint32_t filled;		/* how often one was: so that it changes */
	uint32_t streams;		/* open */
	uint32_t free;			/* without multishot: the first of those unused */
	int group;			/* negative: no multishot, the reason */
	const char *made;
};

/* A buffer that is lent to a task: len bytes at data, the task's to read and write. */
struct weir_lease {
	char *data;
	size_t len;
	struct weir_stream *stream;	/* NULL: none is lent */
	uint32_t index;
};

struct weir_stream {
	struct weir_op rx;		/* the receive that is the kernel's */
	struct weir_buffers *buffers;
	struct weir_op *receiver;	/* who waits for data */
	struct weir_op *sender;		/* whose send is in flight */
	struct weir_op *closer;		/* whose close waits for rx */
	struct weir_list senders;	/* those behind it */
	struct weir_list link;		/* in loop->streams */
	struct weir_list starved;	/* in buffers->starved, or alone */
	const char *made;
	int fd;
	int end;			/* why nothing more will come; 0: the peer has shut down */
	uint32_t first, last;		/* buffers that came and were not taken */
	uint32_t held, lent;		/* buffers that are this stream's; and those of them lent */
	uint32_t bound;			/* of held */
	uint32_t vain;			/* receives in a row that brought nothing, and no end, */
	uint32_t filled;		/* while no stream of the pool got anything */
	struct weir_timer pause;	/* after too many */
	uint32_t filling;		/* without multishot: the buffer that the kernel has */
	bool armed;			/* the kernel has rx */
	bool paused;			/* pause is started */
	bool ended, closing;
	bool cut;			/* a send stopped half way: none may follow */
};

/* A pool of count buffers of size bytes each, both powers of 2.  Two buffers count as one of
 * conf.ops.  If the loop is to be part of another, weir_loop_fd() comes first.  Where the kernel
 * has no multishot receive (before 6.0) or forbids it, two operations stand in for it: streams work
 * all the same, slower, and weir_buffers_multishot() is false.
 * Results: 0; -EINVAL out of range; -EAGAIN conf.ops is too small; -ENOMEM. */
#define weir_buffers_init(b, loop, count, size)	\
	weir_buffers_init_((b), (loop), (count), (size), WEIR_HERE_)

/* No stream may use it any more, which aborts. */
WEIR_API void weir_buffers_fini(struct weir_buffers *b);

static inline bool weir_buffers_multishot(const struct weir_buffers *b)
{
	return b->group >= 0;
}

/* Buffers that are not the kernel's now: lent, or received and not yet taken. */
static inline unsigned weir_buffers_used(const struct weir_buffers *b)
{
	return b->used;
}

/* Makes fd, a connected stream socket, a stream, which receives from now on.  bound: bytes of
 * buffers that it may hold, whole ones are counted and one it may always have.  Past it the kernel
 * is told to stop, and what it had put into buffers by then is kept too: a peer that sends all at
 * once may get as many as the pool has free, but no more after that.  0: no bound but the pool's.
 * Nobody else may receive from fd or close it until weir_stream_close(). */
#define weir_stream_init(s, buffers, fd, bound)	\
	weir_stream_init_((s), (buffers), (fd), (bound), WEIR_HERE_)

/* Awaits the next bytes.  Results: how many, lease is then lent; 0: the peer has shut down, or
 * -errno: nothing more will come, once all that had come has been taken; -EBUSY: another task
 * waits.  lease lies in the frame.  Cancelled, it takes none. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_stream_recv(struct weir_op *op, struct weir_stream *s,
							struct weir_lease *lease);

/* Gives the buffer back.  Of what is not lent: aborts. */
WEIR_API void weir_lease_put(struct weir_lease *lease);

/* Awaits that all of len bytes are sent, after what other tasks send.  Results: len; -EINVAL more
 * than INT_MAX; -errno of send(2), or of the ctx: then any part of them may have been sent, and if
 * it was not all, every later send gets -EPIPE. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_stream_send(struct weir_op *op, struct weir_stream *s,
							const void *buf, size_t len);

/* Awaits the end: what is under way ends with -ECANCELED, what has not been taken is dropped, the
 * descriptor is closed, and s is the program's again.  Begins even if the ctx is done, and is not
 * ended by it.  No lease may be lent, which aborts.  Results: as close(2); -EBUSY: another task
 * closes it. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_stream_close(struct weir_op *op, struct weir_stream *s);

WEIR_API int weir_buffers_init_(struct weir_buffers *b, struct weir_loop *loop, unsigned count,
				size_t size, const char *made);
WEIR_API void weir_stream_init_(struct weir_stream *s, struct weir_buffers *b, int fd, size_t bound,
				const char *made);

#ifdef __cplusplus
}
#endif

#endif
