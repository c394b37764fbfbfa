/* SPDX-License-Identifier: MIT */
/*
 * sim_node.c - the simulated kernel's descriptors, and what an operation does to the thing behind
 * one: timers here, files and names in sim_file.c, pipes and sockets in sim_stream.c; what is not
 * ours is asked of Linux, without waiting but for a connect.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "kernel/alloc.h"
#include "kernel/backend.h"
#include "kernel/direct.h"
#include "kernel/sim_node.h"

#define DESCS_FIRST 64
#define DESCS_MAX (1 << 16)

static void *pointer(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

/* ---- descriptors ---- */

struct sim_desc *weir_sim_desc_(const struct sim *s, int fd)
{
	return fd >= 0 && (size_t)fd < s->n_desc ? s->desc[fd] : NULL;
}

static bool table_holds(struct sim *s, int fd)
{
	size_t n = s->n_desc ? s->n_desc : DESCS_FIRST;
	struct sim_desc **desc;

	if ((size_t)fd < s->n_desc)
		return true;
	while (n <= (size_t)fd)
		n *= 2;
	desc = n > DESCS_MAX ? NULL : weir_zalloc_(n, sizeof *desc);
	if (!desc)
		return false;
	if (s->desc)
		memcpy(desc, s->desc, s->n_desc * sizeof *desc);
	weir_free_(s->desc);
	s->desc = desc;
	s->n_desc = n;
	return true;
}

static void desc_unref(struct sim_desc *d)
{
	if (--d->refs)
		return;
	weir_sim_stream_close_(d);
	weir_sim_node_unref_(d->node);
	weir_free_(d);
}

static void forget(struct sim *s, int fd)
{
	desc_unref(s->desc[fd]);
	s->desc[fd] = NULL;
	s->stats.open--;
}

/* The number is a real one, so that no other descriptor of the process has it. */
int weir_sim_open_(struct sim *s, struct sim_node *node, int flags)
{
	int fd = fcntl(s->base, F_DUPFD_CLOEXEC, 0);
	struct sim_desc *d;

	if (fd < 0)
		return -errno;
	d = table_holds(s, fd) ? weir_zalloc_(1, sizeof *d) : NULL;
	if (!d) {
		close(fd);
		return -ENOMEM;
	}
	if (s->desc[fd]) /* the program has closed the number by itself */
		forget(s, fd);
	*d = (struct sim_desc){ .node = node, .refs = 1, .flags = flags };
	node->refs++;
	s->desc[fd] = d;
	s->stats.open++;
	return fd;
}

int weir_sim_no_fd_(const struct sim *s)
{
	int fd = fcntl(s->base, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

int weir_sim_close_(struct sim *s, int fd)
{
	if (weir_sim_desc_(s, fd))
		forget(s, fd);
	return weir_direct_close_(fd);
}

/* ---- nodes ---- */

struct sim_node *weir_sim_node_new_(struct sim *s, int kind)
{
	struct sim_node *n = weir_zalloc_(1, sizeof *n);

	if (!n)
		return NULL;
	n->kind = kind;
	n->refs = 1;
	weir_list_append_(&s->nodes, &n->link);
	return n;
}

static void node_free(struct sim_node *n)
{
	weir_list_remove_(&n->link);
	switch (n->kind) {
	case SIM_FILE:
	case SIM_DIR:
		weir_sim_file_fini_(n);
		break;
	case SIM_PIPE:
	case SIM_SOCKET:
		weir_sim_stream_fini_(n);
		break;
	case SIM_TIMER:
		break;
	}
	weir_free_(n);
}

/* The directory in which it was is let go of, too. */
void weir_sim_node_unref_(struct sim_node *n)
{
	struct sim_node *parent;

	while (n && !--n->refs) {
		parent = sim_is_file(n) ? n->u.file.parent : NULL;
		node_free(n);
		n = parent;
	}
}

/* Without descriptors there are only files, which have names, and nobody asks for those now. */
void weir_sim_nodes_free_(struct sim *s)
{
	size_t fd;

	for (fd = 0; fd < s->n_desc; fd++)
		if (s->desc[fd])
			weir_sim_close_(s, (int)fd);
	while (!weir_list_empty_(&s->nodes))
		node_free(weir_container_of(s->nodes.next, struct sim_node, link));
	weir_free_(s->desc);
}

/* ---- timers ---- */

static int timer_read(const struct sim *s, struct sim_node *n, const struct io_uring_sqe *sqe)
{
	uint64_t count = 1;

	if (sqe->len < sizeof count)
		return -EINVAL;
	if (n->u.timer.period) {
		count += (s->now - n->u.timer.due) / n->u.timer.period;
		n->u.timer.due += count * n->u.timer.period;
	} else {
		n->u.timer.due = WEIR_FOREVER;
	}
	memcpy(pointer(sqe->addr), &count, sizeof count);
	return sizeof count;
}

int weir_sim_timer_new_(struct sim *s)
{
	struct sim_node *n = weir_sim_node_new_(s, SIM_TIMER);
	int fd;

	if (!n)
		return -ENOMEM;
	n->u.timer.due = WEIR_FOREVER;
	fd = weir_sim_open_(s, n, O_RDONLY);
	weir_sim_node_unref_(n);
	return fd;
}

int weir_sim_timer_set_(struct sim *s, int fd, uint64_t due, uint64_t period)
{
	struct sim_desc *d = weir_sim_desc_(s, fd);

	if (!d || d->node->kind != SIM_TIMER)
		return -EBADF;
	d->node->u.timer.due = due;
	d->node->u.timer.period = period;
	return 0;
}

uint64_t weir_sim_expiry_(const struct sim_req *r)
{
	const struct sim_desc *d = r->desc;

	if (!d || d->node->kind != SIM_TIMER || !(weir_sim_events_(r) & POLLIN))
		return WEIR_FOREVER;
	return d->node->u.timer.due;
}

/* ---- descriptors of Linux's ---- */

static bool has_path(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_OPENAT:
	case IORING_OP_STATX:
	case IORING_OP_UNLINKAT:
	case IORING_OP_RENAMEAT:
	case IORING_OP_MKDIRAT:
	case IORING_OP_SOCKET:
		return true;
	default:
		return false;
	}
}

void weir_sim_hold_(struct sim *s, struct sim_req *r)
{
	r->desc = has_path(&r->sqe) ? NULL : weir_sim_desc_(s, r->sqe.fd);
	r->foreign = r->sqe.fd >= 0 && !has_path(&r->sqe) && !r->desc;
	if (r->desc)
		r->desc->refs++;
}

void weir_sim_let_go_(struct sim_req *r)
{
	if (r->desc)
		desc_unref(r->desc);
	r->desc = NULL;
}

static uint32_t poll_events(const struct io_uring_sqe *sqe)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	return sqe->poll32_events << 16 | sqe->poll32_events >> 16;
#else
	return sqe->poll32_events;
#endif
}

short weir_sim_events_(const struct sim_req *r)
{
	switch (r->sqe.opcode) {
	case IORING_OP_POLL_ADD:
		return (short)poll_events(&r->sqe);
	case IORING_OP_READ:
	case IORING_OP_RECV:
	case IORING_OP_ACCEPT:
		return POLLIN;
	case IORING_OP_WRITE:
	case IORING_OP_SEND:
		return POLLOUT;
	default:
		return 0;
	}
}

bool weir_sim_impatient_(const struct io_uring_sqe *sqe)
{
	return (sqe->opcode == IORING_OP_RECV || sqe->opcode == IORING_OP_SEND) &&
		sqe->msg_flags & MSG_DONTWAIT;
}

bool weir_sim_wants_all_(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_RECV && sqe->msg_flags & MSG_WAITALL &&
		!(sqe->msg_flags & (MSG_PEEK | MSG_DONTWAIT));
}

static bool foreign_can(const struct sim_req *r)
{
	struct pollfd p = { .fd = r->sqe.fd, .events = weir_sim_events_(r) };

	return !p.events || weir_sim_impatient_(&r->sqe) || poll(&p, 1, 0) != 0;
}

static int foreign_poll(const struct sim_req *r)
{
	struct pollfd p = { .fd = r->sqe.fd, .events = weir_sim_events_(r) };
	int n = poll(&p, 1, 0);

	return n < 0 ? -errno : p.revents & POLLNVAL ? -EBADF
						     : p.revents;
}

bool weir_sim_goes_on_(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_POLL_ADD && sqe->len & IORING_POLL_ADD_MULTI;
}

int weir_sim_poll_on_(struct sim *s, struct sim_req *r)
{
	eventfd_t count;
	int res = r->desc ? -EINVAL : foreign_poll(r);

	if (res <= 0 || eventfd_read(r->sqe.fd, &count) < 0 || sim_chance(s, s->again))
		return res;
	r->flags |= IORING_CQE_F_MORE;
	return res;
}

/* io_uring waits for a connect, whether or not the socket is one that does not block. */
static int foreign_connect(const struct io_uring_sqe *q)
{
	struct pollfd p = { .fd = q->fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int err;

	if (connect(q->fd, pointer(q->addr), (socklen_t)q->off) == 0)
		return 0;
	if (errno != EINPROGRESS)
		return -errno;
	while (poll(&p, 1, -1) < 0)
		if (errno != EINTR)
			return -errno;
	return getsockopt(q->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? -errno : -err;
}

/* Another thread may have been quicker: then it is not to wait, and -EAGAIN is the result, which
 * the backend knows how to take. */
static int foreign_do(const struct sim_req *r)
{
	const struct io_uring_sqe *q = &r->sqe;
	struct iovec v = { pointer(q->addr), q->len };
	ssize_t n;

	switch (q->opcode) {
	case IORING_OP_POLL_ADD:
		return foreign_poll(r);
	case IORING_OP_READ:
		n = preadv2(q->fd, &v, 1, (off_t)q->off, RWF_NOWAIT);
		if (n < 0 && errno == ESPIPE)
			n = preadv2(q->fd, &v, 1, -1, RWF_NOWAIT);
		if (n < 0 && errno == EOPNOTSUPP)
			n = readv(q->fd, &v, 1);
		break;
	case IORING_OP_WRITE:
		n = pwritev2(q->fd, &v, 1, (off_t)q->off, RWF_NOWAIT);
		if (n < 0 && errno == ESPIPE)
			n = pwritev2(q->fd, &v, 1, -1, RWF_NOWAIT);
		if (n < 0 && errno == EOPNOTSUPP)
			n = writev(q->fd, &v, 1);
		break;
	case IORING_OP_RECV:
		n = recv(q->fd, v.iov_base, v.iov_len, (int)q->msg_flags | MSG_DONTWAIT);
		break;
	case IORING_OP_SEND:
		n = send(q->fd, v.iov_base, v.iov_len, (int)q->msg_flags | MSG_DONTWAIT);
		break;
	case IORING_OP_ACCEPT:
		n = accept4(q->fd, pointer(q->addr), pointer(q->addr2), (int)q->accept_flags);
		break;
	case IORING_OP_CONNECT:
		return foreign_connect(q);
	case IORING_OP_SHUTDOWN:
		n = shutdown(q->fd, (int)q->len);
		break;
	case IORING_OP_FSYNC:
		n = fsync(q->fd);
		break;
	default:
		return -EINVAL;
	}
	return n < 0 ? -errno : (int)n;
}

int weir_sim_foreign_statx_(int fd, struct statx *st)
{
	return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, st) < 0 ? -errno : 0;
}

/* ---- operations ---- */

static bool is_stream(const struct sim_desc *d)
{
	return d->node->kind == SIM_PIPE || d->node->kind == SIM_SOCKET;
}

static unsigned ready(const struct sim *s, const struct sim_desc *d)
{
	if (is_stream(d))
		return weir_sim_stream_ready_(d);
	if (d->node->kind == SIM_TIMER)
		return d->node->u.timer.due <= s->now ? POLLIN : 0;
	return POLLIN | POLLOUT;
}

/* POLLERR and POLLHUP are told unasked. */
static unsigned polled(const struct sim *s, const struct sim_desc *d,
		       const struct io_uring_sqe *sqe)
{
	return ready(s, d) & (poll_events(sqe) | POLLERR | POLLHUP);
}

bool weir_sim_polls_ready_(const struct sim *s, const struct sim_req *r)
{
	struct pollfd p = { .fd = r->sqe.fd, .events = weir_sim_events_(r) };

	if (!r->desc)
		return poll(&p, 1, 0) != 0;
	return ready(s, r->desc) & ((unsigned)weir_sim_events_(r) | POLLERR | POLLHUP);
}

bool weir_sim_on_file_(const struct sim_req *r)
{
	return r->sqe.opcode != IORING_OP_SOCKET &&
		(has_path(&r->sqe) || (r->desc && sim_is_file(r->desc->node)));
}

bool weir_sim_can_(struct sim *s, const struct sim_req *r)
{
	const struct io_uring_sqe *q = &r->sqe;
	const struct sim_desc *d = r->desc;

	if (has_path(q))
		return true;
	if (!d)
		return q->fd < 0 || foreign_can(r);
	if (q->opcode == IORING_OP_POLL_ADD)
		return polled(s, d, q) != 0;
	if (is_stream(d))
		return weir_sim_impatient_(q) || weir_sim_stream_can_(s, d, q);
	if (d->node->kind == SIM_TIMER && q->opcode == IORING_OP_READ)
		return d->node->u.timer.due <= s->now;
	return true;
}

bool weir_sim_has_some_(const struct sim_req *r)
{
	return r->desc && weir_sim_stream_has_some_(r->desc, &r->sqe);
}

static int do_timer(const struct sim *s, const struct sim_desc *d, const struct io_uring_sqe *q)
{
	switch (q->opcode) {
	case IORING_OP_READ:
		return timer_read(s, d->node, q);
	case IORING_OP_WRITE:
	case IORING_OP_FSYNC:
		return -EINVAL;
	default:
		return -ENOTSOCK;
	}
}

int weir_sim_do_(struct sim *s, const struct sim_req *r)
{
	const struct io_uring_sqe *q = &r->sqe;
	struct sim_desc *d = r->desc;

	if (q->opcode == IORING_OP_SOCKET)
		return weir_sim_socket_(s, q->fd, (int)q->off);
	if (has_path(q))
		return weir_sim_name_(s, q);
	if (q->fd < 0)
		return -EBADF;
	if (!d)
		return foreign_do(r);
	if (q->opcode == IORING_OP_POLL_ADD)
		return (int)polled(s, d, q);
	if (is_stream(d))
		return weir_sim_stream_do_(s, d, q);
	return sim_is_file(d->node) ? weir_sim_file_do_(d, q) : do_timer(s, d, q);
}

bool weir_sim_call_(struct sim *s, struct weir_op *op)
{
	const struct weir_kernel_args *a = &op->u.kernel;
	const struct sim_desc *d = weir_sim_desc_(s, a->fd);

	switch (op->def->opcode) {
	case WEIR_KOP_PIPE:
		op->res = weir_sim_pipe_(s, pointer(a->addr));
		return true;
	case WEIR_KOP_BIND:
	case WEIR_KOP_LISTEN:
		if (!d)
			return weir_direct_(op);
		if (d->node->kind != SIM_SOCKET)
			op->res = -ENOTSOCK;
		else if (op->def->opcode == WEIR_KOP_BIND)
			op->res = weir_sim_bind_(s, d->node, pointer(a->addr), (socklen_t)a->off);
		else
			op->res = weir_sim_listen_(s, d->node, (int)a->len);
		return true;
	default:
		return false;
	}
}
