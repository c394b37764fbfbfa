/* SPDX-License-Identifier: MIT */
/*
 * echo_uring.c - the floor of echo: one ring. A multishot accept makes registered files, multishot
 * receives take buffers that all share, and a buffer is sent where it lies and goes back when it is
 * sent.
 *
 * One send of a connection is in flight; what comes meanwhile waits in its queue, in order.  Few
 * buffers stay warm in the cache, so it begins with few: when a receive ends as there are none, as
 * many again take part, and when all do, it waits until one has come back.
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../kit.h"
#include "floor.h"

#define ENTRIES		4096	/* of the ring, and of its buffers; powers of two */
#define PIECE		(16 << 10)
#define SPACED		(PIECE + 64)	/* or all would meet in the same lines of the cache */
#define CONNECTIONS	16384

enum what { ACCEPT, RECV, SEND, CLOSE };

struct connection {
	int first, last;	/* buffers that wait to be sent, the first of them is; or -1 */
	bool starved, over;
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static unsigned char *pieces;
static int offered;		/* buffers that take part */
static int freed;		/* buffers that this turn gives back */
static struct connection connections[CONNECTIONS];
static int starving[CONNECTIONS], n_starving;

static struct {
	int next;
	unsigned from, len;	/* still to be sent */
} piece[ENTRIES];

static struct io_uring_sqe *get_sqe(enum what what, int i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (!sqe) {
		must(io_uring_submit(&ring), "submit");
		sqe = io_uring_get_sqe(&ring);
		check(sqe, "the ring has room");
	}
	sqe->user_data = (uint64_t)what << 32 | (unsigned)i;
	return sqe;
}

/* prep_*() leaves user_data as it is. */
static void accept_more(int fd)
{
	struct io_uring_sqe *sqe = get_sqe(ACCEPT, fd);

	io_uring_prep_multishot_accept_direct(sqe, fd, NULL, NULL, 0);
}

static void receive(int i)
{
	struct io_uring_sqe *sqe = get_sqe(RECV, i);

	io_uring_prep_recv_multishot(sqe, i, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
	sqe->buf_group = 0;
}

static void send_first(int i)
{
	int b = connections[i].first;
	struct io_uring_sqe *sqe = get_sqe(SEND, i);

	io_uring_prep_send(sqe, i, pieces + (size_t)b * SPACED + piece[b].from, piece[b].len,
			   MSG_NOSIGNAL | MSG_WAITALL);
	sqe->flags |= IOSQE_FIXED_FILE;
}

static void close_if_over(int i)
{
	if (connections[i].over && connections[i].first < 0)
		io_uring_prep_close_direct(get_sqe(CLOSE, i), (unsigned)i);
}

static void give_back(int b)
{
	io_uring_buf_ring_add(buffers, pieces + (size_t)b * SPACED, PIECE, (unsigned short)b,
			      ENTRIES - 1, freed++);
}

static void accepted(int i, unsigned flags, int fd)
{
	if (i >= 0) {
		connections[i] = (struct connection){ .first = -1, .last = -1 };
		receive(i);
	}
	if (!(flags & IORING_CQE_F_MORE))
		accept_more(fd);
}

static void received(int i, int n, unsigned flags)
{
	struct connection *c = &connections[i];
	int b;

	if (n > 0) {
		b = (int)(flags >> IORING_CQE_BUFFER_SHIFT);
		piece[b].next = -1;
		piece[b].from = 0;
		piece[b].len = (unsigned)n;
		if (c->first >= 0) {
			piece[c->last].next = b;
			c->last = b;
		} else {
			c->first = c->last = b;
			send_first(i);
		}
	}
	if (flags & IORING_CQE_F_MORE)
		return;
	if (n == -ENOBUFS) {
		starving[n_starving++] = i;
	} else if (n > 0) {
		receive(i);
	} else {
		c->over = true;
		close_if_over(i);
	}
}

static void sent(int i, int n)
{
	struct connection *c = &connections[i];
	int b = c->first;

	if (n > 0 && (unsigned)n < piece[b].len) {
		piece[b].from += (unsigned)n;
		piece[b].len -= (unsigned)n;
		send_first(i);
		return;
	}
	c->first = piece[b].next;
	give_back(b);
	if (n > 0 && c->first >= 0) {
		send_first(i);
		return;
	}
	for (; c->first >= 0; c->first = piece[b].next) {
		b = c->first;	/* nobody is there to take it */
		give_back(b);
	}
	close_if_over(i);
}

static void handle(const struct io_uring_cqe *cqe)
{
	int i = (int)(unsigned)cqe->user_data;

	switch ((enum what)(cqe->user_data >> 32)) {
	case ACCEPT:
		accepted(cqe->res, cqe->flags, i);
		break;
	case RECV:
		received(i, cqe->res, cqe->flags);
		break;
	case SEND:
		sent(i, cqe->res);
		break;
	case CLOSE:
		break;
	}
}

static void offer(int n)
{
	while (n-- > 0 && offered < ENTRIES)
		give_back(offered++);
}

static void turn(void)
{
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	int rc;

	rc = io_uring_submit_and_wait(&ring, 1);
	if (rc != -EINTR)
		must(rc, "io_uring_enter");
	io_uring_for_each_cqe(&ring, head, cqe) {
		handle(cqe);
		n++;
	}
	io_uring_cq_advance(&ring, n);
	if (n_starving)
		offer(offered);
	if (!freed)
		return;
	io_uring_buf_ring_advance(buffers, freed);
	freed = 0;
	while (n_starving)
		receive(starving[--n_starving]);
}

int serve_uring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = 4 * ENTRIES,
	};
	struct io_uring_buf_reg reg = { .ring_entries = ENTRIES };

	must(io_uring_queue_init_params(ENTRIES, &ring, &params), "io_uring");
	io_uring_register_ring_fd(&ring);
	must(io_uring_register_files_sparse(&ring, CONNECTIONS), "registered files");
	buffers = aligned_alloc(4096, ENTRIES * sizeof(struct io_uring_buf));
	pieces = aligned_alloc(4096, (size_t)ENTRIES * SPACED);
	check(buffers && pieces, "there is memory");
	reg.ring_addr = (uintptr_t)buffers;
	must(io_uring_register_buf_ring(&ring, &reg, 0), "provided buffers");
	io_uring_buf_ring_init(buffers);
	offer(64);
	accept_more(listen_and_tell());
	for (;;)
		turn();
}
