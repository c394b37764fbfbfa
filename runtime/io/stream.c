/* SPDX-License-Identifier: MIT */
/*
 * stream.c - see weir/stream.h: receiving, lending, sending, closing.
 *
 * A stream that has neither ended nor begun to close is in one of four states.  Armed: the kernel
 * has rx, which is a multishot receive, or where there is none a poll and then a receive.  Full:
 * it holds as many buffers as it may, and is armed anew when half of them are back.  Starved: there
 * was no buffer, and it is in the pool's list; the next buffer that comes back, of any stream, arms
 * them all, for one of them that is silent must not stand in the way of one that is not.  Paused:
 * the kernel has ended rx again and again, though there are buffers; it is tried again later.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <liburing.h>
#include <poll.h>
#include <sys/socket.h>

#include "core/memory.h"
#include "io/buffers.h"
#include "io/kernel.h"

#define VAIN_MAX	32u	/* receives in a row that bring nothing, until there is a pause, */
#define PAUSE		WEIR_MS	/* ... of which each further one is followed */

static struct weir_stream *stream_of(const struct weir_op *op)
{
	return (struct weir_stream *)(uintptr_t)op->u.kernel.off;
}

static struct weir_backend *backend(const struct weir_stream *s)
{
	return s->buffers->loop->be;
}

/* ---- receiving: the kernel's side ---- */

static void many(struct weir_op *op, int res);
static void readable(struct weir_op *op, int res);
static void once(struct weir_op *op, int res);

static const struct weir_op_def many_def = {
	.name = "stream", .complete = many, .opcode = IORING_OP_RECV,
	.flags = WEIR_OBJECTS_ | WEIR_MULTISHOT_,
};
static const struct weir_op_def readable_def = {
	.name = "stream poll", .complete = readable, .opcode = IORING_OP_POLL_ADD,
	.flags = WEIR_OBJECTS_,
};
static const struct weir_op_def once_def = {
	.name = "stream", .complete = once, .opcode = IORING_OP_RECV, .flags = WEIR_OBJECTS_,
};

static void start(struct weir_stream *s, const struct weir_op_def *def,
		  struct weir_kernel_args args)
{
	struct weir_loop *loop = s->buffers->loop;

	s->armed = true;
	loop->receives++;
	s->rx.def = def;
	s->rx.u.kernel = args;
	s->rx.u.kernel.fd = s->fd;
	if (loop->be->ops->submit(loop->be, &s->rx))
		def->complete(&s->rx, s->rx.res);
	weir_loop_touch_(loop);
}

static void disarm(struct weir_stream *s)
{
	s->armed = false;
	s->buffers->loop->receives--;
}

static void starve(struct weir_stream *s)
{
	if (weir_list_empty_(&s->starved))
		weir_list_append_(&s->buffers->starved, &s->starved);
}

static void unstarve(struct weir_stream *s)
{
	weir_list_remove_(&s->starved);
	weir_list_init_(&s->starved);
}

static bool is_out(struct weir_buffers *b)
{
	return b->used == b->offered && !weir_buffers_more_(b);
}

static void arm(struct weir_stream *s);

static void pause_is_over(struct weir_timer *t)
{
	struct weir_stream *s = weir_container_of(t, struct weir_stream, pause);

	s->paused = false;
	s->vain--;
	arm(s);
}

static void pause_begin(struct weir_stream *s)
{
	struct weir_loop *loop = s->buffers->loop;

	s->paused = true;
	weir_timer_start_(loop, &s->pause, weir_time_add(loop->now, PAUSE), pause_is_over);
}

static void pause_end(struct weir_stream *s)
{
	if (s->paused)
		weir_timer_stop_(s->buffers->loop, &s->pause);
	s->paused = false;
}

static void arm(struct weir_stream *s)
{
	struct weir_buffers *b = s->buffers;

	if (s->armed || s->paused || s->ended || s->closing || s->held >= s->bound)
		return;
	if (is_out(b))
		starve(s);
	else if (s->vain >= VAIN_MAX)
		pause_begin(s);
	else if (b->group >= 0)
		start(s, &many_def, (struct weir_kernel_args){ .addr = (unsigned)b->group });
	else
		start(s, &readable_def,
		      (struct weir_kernel_args){ .flags = weir_poll_events_(POLLIN) });
}

static void give_back(struct weir_buffers *b, uint32_t index)
{
	struct weir_list hungry;

	weir_buffer_back_(b, index);
	if (weir_list_empty_(&b->starved))
		return;
	weir_list_init_(&hungry);
	weir_list_splice_(&hungry, &b->starved);
	while (!weir_list_empty_(&hungry)) {
		struct weir_stream *s = weir_container_of(hungry.next, struct weir_stream, starved);

		unstarve(s);
		arm(s);
	}
}

/* ---- receiving: the task's side ---- */

static int lend(struct weir_stream *s, uint32_t index, struct weir_lease *lease)
{
	struct weir_buf_ *buf = &s->buffers->bufs[index];

	buf->state = WEIR_BUF_LENT_;
	s->lent++;
	*lease = (struct weir_lease){ weir_buffer_at_(s->buffers, index), buf->len, s, index };
	return (int)buf->len;
}

/* Who waits for data waits no more; NULL: nobody does. */
static struct weir_op *dismiss(struct weir_stream *s)
{
	struct weir_op *op = s->receiver;

	if (op)
		backend(s)->ops->hold(backend(s), -1);
	s->receiver = NULL;
	return op;
}

static struct weir_lease *lease_of(const struct weir_op *op)
{
	return (struct weir_lease *)(uintptr_t)op->u.kernel.addr;
}

static bool recv_attempt(struct weir_op *op)
{
	struct weir_stream *s = stream_of(op);
	uint32_t index = s->first;

	if (index != NO_BUFFER) {
		s->first = s->buffers->bufs[index].next;
		op->res = lend(s, index, lease_of(op));
		return true;
	}
	op->res = s->closing ? -ECANCELED : s->ended ? s->end : -EBUSY;
	return s->closing || s->ended || s->receiver;
}

static bool recv_park(struct weir_op *op)
{
	struct weir_stream *s = stream_of(op);

	weir_check_buffer_(op, lease_of(op));
	s->receiver = op;
	backend(s)->ops->hold(backend(s), 1);
	return false;
}

static bool recv_cancel(struct weir_op *op)
{
	dismiss(stream_of(op));
	return true;
}

/* What was won stays with the task; its opcode only says that the wait is for the kernel. */
static const struct weir_op_def recv_def = {
	.name = "stream recv", .attempt = recv_attempt, .park = recv_park, .cancel = recv_cancel,
	.opcode = IORING_OP_RECV,
};

struct weir_op *weir_stream_recv(struct weir_op *op, struct weir_stream *s,
				 struct weir_lease *lease)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &recv_def, s->fd);

	a->addr = weir_addr_(lease);
	a->off = weir_addr_(s);
	return op;
}

void weir_lease_put(struct weir_lease *lease)
{
	struct weir_stream *s = lease->stream;
	struct weir_buffers *b;

	WEIR_CHECK_(s, "weir_lease_put() of what is not lent", NULL);
	b = s->buffers;
	WEIR_CHECK_(b->bufs[lease->index].state == WEIR_BUF_LENT_,
		    "weir_lease_put() of what is not lent any more", s->made);
	lease->stream = NULL;
	lease->data = NULL;
	s->lent--;
	s->held--;
	give_back(b, lease->index);
	if (s->held <= s->bound / 2)
		arm(s);
}

/* ---- what came ---- */

static void bring(struct weir_stream *s, uint32_t index, int len)
{
	struct weir_buffers *b = s->buffers;
	struct weir_op *op;

	if (s->closing) {
		give_back(b, index);
		return;
	}
	weir_memory_filled_(weir_buffer_at_(b, index), (size_t)len);
	b->bufs[index].len = (uint32_t)len;
	b->bufs[index].next = NO_BUFFER;
	s->held++;
	s->vain = 0;
	b->filled++;
	op = dismiss(s);
	if (op) {
		weir_op_done_(op, lend(s, index, lease_of(op)));
		return;
	}
	if (s->first == NO_BUFFER)
		s->first = index;
	else
		b->bufs[s->last].next = index;
	s->last = index;
}

static void end(struct weir_stream *s, int res)
{
	struct weir_op *op = dismiss(s);

	s->ended = true;
	s->end = res;
	if (op)
		weir_op_done_(op, res);
}

/* rx has brought nothing.  A want of buffers is no news, nor is it that rx was called off because
 * the stream is full. */
static void stopped(struct weir_stream *s, int res)
{
	/* To lose a buffer to another stream is no reason to wait. */
	s->vain = s->filled == s->buffers->filled ? s->vain + 1 : 1;
	s->filled = s->buffers->filled;
	if (res == -ENOBUFS)
		weir_buffers_short_(s->buffers);
	else if (res != -ECANCELED && res != -EAGAIN && !s->ended)
		end(s, res);
}

static void closed(struct weir_stream *s, struct weir_op *op, int res);

/* After whatever rx has brought. */
static void settle(struct weir_stream *s)
{
	struct weir_op *closer = s->closer;

	if (closer && !s->armed)
		closed(s, closer, closer->res);
	else if (!s->armed)
		arm(s);
	else if (s->held >= s->bound)
		backend(s)->ops->cancel(backend(s), &s->rx);
}

static void many(struct weir_op *op, int res)
{
	struct weir_stream *s = weir_container_of(op, struct weir_stream, rx);
	uint64_t flags = op->u.kernel.off;
	uint32_t index = (uint32_t)flags >> IORING_CQE_BUFFER_SHIFT;

	if (!(flags & IORING_CQE_F_MORE))
		disarm(s);
	if (flags & IORING_CQE_F_BUFFER)
		weir_buffer_filled_(s->buffers, index);
	if (res > 0)
		bring(s, index, res);
	else
		stopped(s, res);
	if (res <= 0 && flags & IORING_CQE_F_BUFFER)
		give_back(s->buffers, index);
	settle(s);
}

static void readable(struct weir_op *op, int res)
{
	struct weir_stream *s = weir_container_of(op, struct weir_stream, rx);
	struct weir_buffers *b = s->buffers;
	struct weir_kernel_args args = { .len = (uint32_t)b->size, .flags = MSG_DONTWAIT };

	disarm(s);
	if (res < 0)
		stopped(s, res);
	if (res < 0 || s->ended || s->closing || is_out(b)) {
		settle(s);
		return;
	}
	s->filling = weir_buffer_get_(b);
	args.addr = weir_addr_(weir_buffer_at_(b, s->filling));
	start(s, &once_def, args);
}

static void once(struct weir_op *op, int res)
{
	struct weir_stream *s = weir_container_of(op, struct weir_stream, rx);

	disarm(s);
	if (res > 0) {
		bring(s, s->filling, res);
	} else {
		stopped(s, res);
		give_back(s->buffers, s->filling);
	}
	settle(s);
}

/* ---- sending ---- */

static bool send_attempt(struct weir_op *op)
{
	const struct weir_stream *s = stream_of(op);

	if (op->u.kernel.len > INT_MAX)
		op->res = -EINVAL;
	else if (s->closing || s->cut)
		op->res = s->closing ? -ECANCELED : -EPIPE;
	else
		op->res = 0;
	return op->res < 0 || !op->u.kernel.len;
}

/* op->res: the bytes that have gone. */
static bool send_start(struct weir_stream *s, struct weir_op *op)
{
	op->res = 0;
	s->sender = op;
	return weir_kernel_park_(op);
}

static void send_next(struct weir_stream *s)
{
	s->sender = NULL;
	while (!s->sender && !weir_list_empty_(&s->senders)) {
		struct weir_op *op = weir_container_of(s->senders.next, struct weir_op,
						       u.kernel.link);

		weir_list_remove_(&op->u.kernel.link);
		if (s->cut) {
			weir_op_done_(op, -EPIPE);
		} else if (send_start(s, op)) {
			s->sender = NULL;
			weir_op_done_(op, op->res);
		}
	}
}

static bool send_park(struct weir_op *op)
{
	struct weir_stream *s = stream_of(op);

	if (s->sender) {
		weir_check_buffer_(op, (void *)(uintptr_t)op->u.kernel.addr);
		weir_list_append_(&s->senders, &op->u.kernel.link);
		return false;
	}
	if (!send_start(s, op))
		return false;
	s->sender = NULL;
	return true;
}

static bool send_cancel(struct weir_op *op)
{
	if (stream_of(op)->sender == op)
		return weir_kernel_cancel_(op);
	weir_list_remove_(&op->u.kernel.link);
	return true;
}

/* Whether the rest is sent now: the result of what was is then not that of op. */
static bool send_rest(struct weir_op *op, int res)
{
	struct weir_kernel_args *a = &op->u.kernel;
	struct weir_backend *be = weir_op_loop(op)->be;
	int total = op->res + res;

	a->addr += (unsigned)res;
	a->len -= (unsigned)res;
	op->res = total;
	if (!a->len || op->flags & WEIR_OP_CANCELLED_)
		return false;
	if (!be->ops->submit(be, op))
		return true;
	op->res = total;	/* its descriptor is being closed */
	return false;
}

static void sent(struct weir_op *op, int res)
{
	struct weir_stream *s = stream_of(op);
	int err = weir_op_ctx(op)->err;

	if (res > 0 && send_rest(op, res))
		return;
	if (!op->u.kernel.len)
		res = op->res;
	else if (res >= 0)
		res = res ? -ECANCELED : -EIO;
	if (res == -ECANCELED && op->flags & WEIR_OP_CANCELLED_ && err)
		res = err;
	s->cut |= res < 0 && op->res > 0;
	send_next(s);
	weir_op_done_(op, res);
}

static const struct weir_op_def send_def = {
	.name = "stream send", .attempt = send_attempt, .park = send_park, .cancel = send_cancel,
	.complete = sent, .opcode = IORING_OP_SEND,
};

struct weir_op *weir_stream_send(struct weir_op *op, struct weir_stream *s, const void *buf,
				 size_t len)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &send_def, s->fd);

	a->addr = weir_addr_(buf);
	a->len = len > INT_MAX ? UINT32_MAX : (uint32_t)len;
	a->off = weir_addr_(s);
	a->flags = MSG_NOSIGNAL;
	return op;
}

/* ---- its life ---- */

static void streams_stop(struct weir_loop *loop)
{
	struct weir_list *l;

	for (l = loop->streams.next; l != &loop->streams; l = l->next) {
		struct weir_stream *s = weir_container_of(l, struct weir_stream, link);

		unstarve(s);
		pause_end(s);
		if (!s->ended)
			end(s, -ECANCELED);
		if (s->armed)
			loop->be->ops->cancel(loop->be, &s->rx);
	}
}

void weir_stream_init_(struct weir_stream *s, struct weir_buffers *b, int fd, size_t bound,
		       const char *made)
{
	size_t most = bound / b->size;

	*s = (struct weir_stream){
		.buffers = b, .made = made, .fd = fd, .first = NO_BUFFER, .last = NO_BUFFER,
		.bound = !bound || most > UINT32_MAX ? UINT32_MAX : most ? (uint32_t)most : 1,
	};
	weir_list_init_(&s->senders);
	weir_list_init_(&s->starved);
	weir_list_append_(&b->loop->streams, &s->link);
	b->loop->streams_stop = streams_stop;
	b->streams++;
	arm(s);
}

static void let_go(struct weir_stream *s)
{
	while (s->first != NO_BUFFER) {
		uint32_t index = s->first;

		s->first = s->buffers->bufs[index].next;
		give_back(s->buffers, index);
	}
	weir_list_remove_(&s->link);
	s->buffers->streams--;
}

/* The kernel has closed the descriptor, but a receive that it never had may still be to end. */
static void closed(struct weir_stream *s, struct weir_op *op, int res)
{
	s->closer = op;
	op->res = res;
	if (s->armed)
		return;
	let_go(s);
	weir_op_done_(op, res);
}

static void close_complete(struct weir_op *op, int res)
{
	closed(stream_of(op), op, res);
}

static void close_begin(struct weir_stream *s)
{
	struct weir_op *op = dismiss(s);

	WEIR_CHECK_(!s->lent, "a stream is closed while a buffer of it is lent", s->made);
	s->closing = true;
	unstarve(s);
	pause_end(s);
	if (op)
		weir_op_done_(op, -ECANCELED);
	while (!weir_list_empty_(&s->senders)) {
		op = weir_container_of(s->senders.next, struct weir_op, u.kernel.link);
		weir_list_remove_(&op->u.kernel.link);
		weir_op_done_(op, -ECANCELED);
	}
}

static bool close_park(struct weir_op *op)
{
	struct weir_stream *s = stream_of(op);

	if (s->closing) {
		op->res = -EBUSY;
		return true;
	}
	close_begin(s);
	weir_fd_closed_(weir_op_loop(op), s->fd);
	if (!weir_kernel_park_(op))
		return false;
	if (s->armed) {
		s->closer = op;
		return false;
	}
	let_go(s);
	return true;
}

static const struct weir_op_def close_def = {
	.name = "stream close", .park = close_park, .cancel = weir_kernel_cancel_,
	.complete = close_complete, .opcode = WEIR_KOP_CLOSE, .flags = WEIR_UNINTERRUPTED_,
};

struct weir_op *weir_stream_close(struct weir_op *op, struct weir_stream *s)
{
	weir_kernel_args_(op, &close_def, s->fd)->off = weir_addr_(s);
	return op;
}
