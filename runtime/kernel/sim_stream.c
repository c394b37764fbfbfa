/* SPDX-License-Identifier: MIT */
/*
 * sim_stream.c - the simulated kernel's pipes and stream sockets.
 *
 * A pipe is one stream of bytes, a connection two: each socket has the one that it reads.  Whoever
 * closes marks the streams it read and wrote; the other end finds out when it next does something.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "kernel/alloc.h"
#include "kernel/sim_node.h"

#define ROOM 65536u  /* bytes that a pipe holds, and some sockets; others four times that */
#define NARROW 64u   /* at most, if it is to be small */
#define FIRST 256u   /* bytes of memory, before more are needed */
#define PORTS 49152u /* the first of those given to who asks for none */
#define PORTS_END 65536u
#define SOMAX 4096u

static void *pointer(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

/* ---- streams ---- */

static void stream_init(struct sim *s, struct sim_stream *st, size_t room)
{
	bool narrow = s->conf.trouble & WEIR_SIM_NARROW && sim_below(s, 2);

	st->room = narrow ? 1 + sim_below(s, NARROW) : room;
}

/* Memory for n bytes more, if there is room for them. */
static bool stream_grow(struct sim_stream *st, size_t n)
{
	size_t size = st->size ? st->size : FIRST, i;
	char *data;

	if (st->len + n <= st->size)
		return true;
	while (size < st->len + n)
		size *= 2;
	data = weir_alloc_(size);
	if (!data)
		return false;
	for (i = 0; st->size && i < st->len; i++)
		data[i] = st->data[(st->at + i) % st->size];
	weir_free_(st->data);
	st->data = data;
	st->size = size;
	st->at = 0;
	return true;
}

static size_t stream_get(struct sim_stream *st, char *to, size_t n, bool peek)
{
	size_t i;

	n = n < st->len ? n : st->len;
	if (!st->size)
		return 0;
	for (i = 0; i < n; i++)
		to[i] = st->data[(st->at + i) % st->size];
	if (!peek && n) {
		st->at = (st->at + n) % st->size;
		st->len -= n;
	}
	return n;
}

/* Results: bytes, as many as there is room for; -ENOMEM. */
static int stream_put(struct sim_stream *st, const char *from, size_t n)
{
	size_t i;

	n = n < st->room - st->len ? n : st->room - st->len;
	if (!stream_grow(st, n))
		return -ENOMEM;
	for (i = 0; i < n; i++)
		st->data[(st->at + st->len + i) % st->size] = from[i];
	st->len += n;
	return (int)n;
}

static bool can_get(const struct sim_stream *st)
{
	return st->len || st->no_writer || st->hushed;
}

/* Linux takes bytes out as they come, so there is room for all n; here they wait together. */
static bool can_get_all(struct sim_stream *st, size_t n)
{
	st->room = st->room < n ? n : st->room;
	return st->len >= n || st->no_writer || st->hushed;
}

static bool can_put(const struct sim_stream *st)
{
	return st->len < st->room || st->no_reader;
}

/* Where d writes to; NULL: nowhere. */
static struct sim_stream *out(const struct sim_desc *d)
{
	if (d->node->kind == SIM_PIPE)
		return &d->node->u.pipe;
	return d->node->u.socket.peer ? &d->node->u.socket.peer->u.socket.in : NULL;
}

static struct sim_stream *in(const struct sim_desc *d)
{
	return d->node->kind == SIM_PIPE ? &d->node->u.pipe : &d->node->u.socket.in;
}

static bool is_tcp(const struct sim_node *n)
{
	return n->kind == SIM_SOCKET && n->u.socket.domain != AF_UNIX;
}

/* d, which is a connection or a pipe, will never send anything more. */
static bool shut(const struct sim_desc *d)
{
	const struct sim_stream *o = out(d);

	return !o || o->no_writer;
}

/* ---- what is ready ---- */

unsigned weir_sim_stream_ready_(const struct sim_desc *d)
{
	const struct sim_socket *k = &d->node->u.socket;
	unsigned events = 0;

	if (d->node->kind == SIM_PIPE) {
		const struct sim_stream *st = &d->node->u.pipe;

		if ((d->flags & O_ACCMODE) == O_WRONLY)
			return can_put(st) ? POLLOUT | (st->no_reader ? POLLERR : 0) : 0;
		return (st->len ? POLLIN : 0) | (st->no_writer ? POLLHUP : 0);
	}
	if (k->listens)
		return k->queued ? POLLIN : 0;
	if (!k->connected)
		return POLLOUT | POLLHUP;
	if (can_get(&k->in))
		events |= POLLIN;
	if (shut(d) || can_put(out(d)))
		events |= POLLOUT;
	if (!k->peer)
		events |= POLLHUP;
	return events;
}

/* ---- connections ---- */

static bool is_any(const struct sockaddr_storage *a)
{
	static const struct in6_addr any;

	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_addr.s_addr == 0;
	return !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr, &any, sizeof any);
}

static uint16_t port(const struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)a)->sin_port;
	return ((const struct sockaddr_in6 *)a)->sin6_port;
}

static bool same(const struct sim_socket *k, const struct sockaddr_storage *a, socklen_t len)
{
	if (!k->len || k->addr.ss_family != a->ss_family)
		return false;
	if (a->ss_family == AF_UNIX)
		return k->len == len && !memcmp(&k->addr, a, len);
	if (port(&k->addr) != port(a))
		return false;
	if (is_any(&k->addr) || is_any(a))
		return true;
	if (a->ss_family == AF_INET)
		return ((const struct sockaddr_in *)&k->addr)->sin_addr.s_addr ==
			((const struct sockaddr_in *)a)->sin_addr.s_addr;
	return !memcmp(&((const struct sockaddr_in6 *)&k->addr)->sin6_addr,
		       &((const struct sockaddr_in6 *)a)->sin6_addr, sizeof(struct in6_addr));
}

static struct sim_node *bound_to(const struct sim *s, const struct sockaddr_storage *a,
				 socklen_t len)
{
	struct weir_list *l;

	for (l = s->nodes.next; l != &s->nodes; l = l->next) {
		struct sim_node *n = weir_container_of(l, struct sim_node, link);

		if (n->kind == SIM_SOCKET && same(&n->u.socket, a, len))
			return n;
	}
	return NULL;
}

static int address(const struct sim_node *n, const struct sockaddr *addr, socklen_t len,
		   struct sockaddr_storage *to)
{
	if (len > sizeof *to || len < sizeof addr->sa_family)
		return -EINVAL;
	memset(to, 0, sizeof *to);
	memcpy(to, addr, len);
	if (to->ss_family != n->u.socket.domain)
		return -EAFNOSUPPORT;
	if ((to->ss_family == AF_INET && len < sizeof(struct sockaddr_in)) ||
	    (to->ss_family == AF_INET6 && len < sizeof(struct sockaddr_in6)))
		return -EINVAL;
	return 0;
}

static struct sim_node *socket_new(struct sim *s, int domain)
{
	struct sim_node *n = weir_sim_node_new_(s, SIM_SOCKET);

	if (!n)
		return NULL;
	n->u.socket.domain = domain;
	weir_list_init_(&n->u.socket.queue);
	weir_list_init_(&n->u.socket.in_queue);
	stream_init(s, &n->u.socket.in, sim_below(s, 2) ? ROOM : 4 * ROOM);
	return n;
}

static void join(struct sim_node *a, struct sim_node *b)
{
	a->u.socket.peer = b;
	b->u.socket.peer = a;
	a->u.socket.connected = b->u.socket.connected = true;
}

int weir_sim_socket_(struct sim *s, int domain, int type)
{
	struct sim_node *n;
	int flags = O_RDWR | (type & SOCK_NONBLOCK ? O_NONBLOCK : 0), fd;

	if (domain != AF_INET && domain != AF_INET6 && domain != AF_UNIX)
		return -EAFNOSUPPORT;
	type &= ~(SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (type != SOCK_STREAM)
		return type < 0 || type > SOCK_PACKET ? -EINVAL : -ESOCKTNOSUPPORT;
	n = socket_new(s, domain);
	if (!n)
		return -ENOMEM;
	fd = weir_sim_open_(s, n, flags);
	weir_sim_node_unref_(n);
	return fd;
}

static socklen_t tcp_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* Gives a one of its own, if it has none.  False: there is none left. */
static bool choose_port(struct sim *s, struct sockaddr_storage *a)
{
	uint16_t *p = &((struct sockaddr_in6 *)a)->sin6_port;
	unsigned i;

	if (a->ss_family == AF_INET)
		p = &((struct sockaddr_in *)a)->sin_port;
	if (a->ss_family == AF_UNIX || *p)
		return true;
	for (i = PORTS; i < PORTS_END; i++) {
		s->port = s->port < PORTS ? PORTS : s->port;
		*p = htons(s->port++);
		if (!bound_to(s, a, tcp_len(a)))
			return true;
	}
	return false;
}

int weir_sim_bind_(struct sim *s, struct sim_node *n, const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_storage a;
	int rc = address(n, addr, len, &a);

	if (rc < 0)
		return rc;
	if (n->u.socket.len)
		return -EINVAL;
	if (!choose_port(s, &a) || bound_to(s, &a, len))
		return -EADDRINUSE;
	n->u.socket.addr = a;
	n->u.socket.len = len;
	return 0;
}

/* To a port of its own, and no address. */
static int bind_any(struct sim *s, struct sim_node *n)
{
	struct sockaddr_storage a = { .ss_family = (sa_family_t)n->u.socket.domain };

	return is_tcp(n) ? weir_sim_bind_(s, n, (struct sockaddr *)&a, tcp_len(&a)) : -EINVAL;
}

int weir_sim_listen_(struct sim *s, struct sim_node *n, int backlog)
{
	bool narrow = s->conf.trouble & WEIR_SIM_NARROW && sim_below(s, 2) && is_tcp(n);
	unsigned most = narrow ? 0 : SOMAX;
	int rc = 0;

	if (n->u.socket.connected)
		return -EINVAL;
	if (!n->u.socket.len)
		rc = bind_any(s, n);
	if (rc < 0)
		return rc;
	n->u.socket.listens = true;
	n->u.socket.backlog = (unsigned)backlog; /* a negative one is the most */
	if (n->u.socket.backlog > most)
		n->u.socket.backlog = most;
	return 0;
}

static struct sim_node *listener(const struct sim *s, const struct sim_node *n,
				 const struct io_uring_sqe *q)
{
	struct sockaddr_storage a;
	struct sim_node *to;

	if (address(n, pointer(q->addr), (socklen_t)q->off, &a) < 0)
		return NULL;
	to = bound_to(s, &a, (socklen_t)q->off);
	return to && to->u.socket.listens ? to : NULL;
}

/* A backlog holds one more than it was asked to. */
static bool is_full(const struct sim_node *listener)
{
	return listener->u.socket.queued > listener->u.socket.backlog;
}

/* A backlog that is full makes it wait; but not a socket of AF_UNIX that is told not to block, of
 * which Linux has no way to say when it could. */
static bool can_connect(const struct sim *s, const struct sim_desc *d,
			const struct io_uring_sqe *q)
{
	const struct sim_node *n = d->node, *to = listener(s, n, q);

	return n->u.socket.connected || n->u.socket.listens || !to || !is_full(to) ||
		(!is_tcp(n) && d->flags & O_NONBLOCK);
}

static void be_local(struct sockaddr_storage *a)
{
	if (a->ss_family == AF_INET)
		((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)a)->sin6_addr = in6addr_loopback;
}

/* Who connects by TCP has an address and a port, if he bound none.  Results: 0; -EADDRNOTAVAIL. */
static int name_client(struct sim *s, struct sim_node *n)
{
	struct sim_socket *k = &n->u.socket;
	struct sockaddr_storage a = k->addr;

	if (!is_tcp(n))
		return 0;
	a.ss_family = (sa_family_t)k->domain;
	if (is_any(&a))
		be_local(&a);
	if (!choose_port(s, &a))
		return -EADDRNOTAVAIL;
	k->addr = a;
	k->len = tcp_len(&a);
	return 0;
}

static int do_connect(struct sim *s, struct sim_node *n, const struct io_uring_sqe *q)
{
	struct sim_node *to = listener(s, n, q), *other;
	struct sockaddr_storage a;
	int rc = address(n, pointer(q->addr), (socklen_t)q->off, &a);

	if (rc < 0)
		return rc;
	if (n->u.socket.listens)
		return is_tcp(n) ? -EISCONN : -EINVAL;
	if (n->u.socket.connected)
		return -EISCONN;
	if (!to)
		return -ECONNREFUSED;
	if (is_full(to))
		return -EAGAIN;
	other = socket_new(s, n->u.socket.domain);
	if (!other)
		return -ENOMEM;
	rc = name_client(s, n);
	if (rc < 0) {
		weir_sim_node_unref_(other);
		return rc;
	}
	other->u.socket.addr = n->u.socket.addr; /* what accept tells of us */
	other->u.socket.addr.ss_family = (sa_family_t)n->u.socket.domain;
	other->u.socket.told = n->u.socket.len ? n->u.socket.len : sizeof a.ss_family;
	join(n, other);
	weir_list_append_(&to->u.socket.queue, &other->u.socket.in_queue);
	to->u.socket.queued++;
	return 0;
}

static int do_accept(struct sim *s, struct sim_node *n, const struct io_uring_sqe *q)
{
	struct sim_node *other;
	socklen_t *len = pointer(q->addr2), size;
	int fd;

	if (!n->u.socket.listens)
		return -EINVAL;
	other = weir_container_of(n->u.socket.queue.next, struct sim_node, u.socket.in_queue);
	fd = weir_sim_open_(s, other, O_RDWR);
	if (fd < 0)
		return fd;
	weir_list_remove_(&other->u.socket.in_queue);
	weir_list_init_(&other->u.socket.in_queue);
	n->u.socket.queued--;
	if (q->addr && len) {
		size = *len < other->u.socket.told ? *len : other->u.socket.told;
		memcpy(pointer(q->addr), &other->u.socket.addr, size);
		*len = other->u.socket.told;
	}
	weir_sim_node_unref_(other); /* the queue's */
	return fd;
}

int weir_sim_pair_(struct sim *s, int fds[2])
{
	struct sim_node *a = socket_new(s, AF_UNIX), *b = a ? socket_new(s, AF_UNIX) : NULL;
	int rc = b ? 0 : -ENOMEM;

	if (rc == 0) {
		join(a, b);
		rc = fds[0] = weir_sim_open_(s, a, O_RDWR);
	}
	if (rc >= 0) {
		rc = fds[1] = weir_sim_open_(s, b, O_RDWR);
		if (rc < 0)
			weir_sim_close_(s, fds[0]);
	}
	if (a)
		weir_sim_node_unref_(a);
	if (b)
		weir_sim_node_unref_(b);
	return rc < 0 ? rc : 0;
}

static int open_pipe(struct sim *s, struct sim_node *n, int fds[2])
{
	stream_init(s, &n->u.pipe, ROOM);
	fds[0] = weir_sim_open_(s, n, O_RDONLY);
	if (fds[0] < 0)
		return fds[0];
	fds[1] = weir_sim_open_(s, n, O_WRONLY);
	if (fds[1] < 0)
		weir_sim_close_(s, fds[0]);
	return fds[1] < 0 ? fds[1] : 0;
}

int weir_sim_pipe_(struct sim *s, int fds[2])
{
	struct sim_node *n = weir_sim_node_new_(s, SIM_PIPE);
	int rc = n ? open_pipe(s, n, fds) : -ENOMEM;

	if (n)
		weir_sim_node_unref_(n);
	return rc;
}

/* ---- partings ---- */

/* The other end reads what is there, then the end; or learns that its bytes went unread. */
static void part(struct sim_node *n)
{
	struct sim_node *peer = n->u.socket.peer;

	if (!peer)
		return;
	peer->u.socket.in.no_writer = true;
	peer->u.socket.in.reset |= n->u.socket.in.len != 0;
	peer->u.socket.peer = NULL;
	n->u.socket.peer = NULL;
}

static void drop_queue(struct sim_node *n)
{
	while (!weir_list_empty_(&n->u.socket.queue)) {
		struct sim_node *other = weir_container_of(n->u.socket.queue.next, struct sim_node,
							   u.socket.in_queue);

		weir_list_remove_(&other->u.socket.in_queue);
		weir_list_init_(&other->u.socket.in_queue);
		if (other->u.socket.peer)
			other->u.socket.peer->u.socket.in.reset = true;
		part(other);
		weir_sim_node_unref_(other);
	}
	n->u.socket.queued = 0;
}

/* ---- operations ---- */

/* That will be refused: it does not wait. */
static bool wrong_way(const struct sim_desc *d, const struct io_uring_sqe *q, int end)
{
	if (d->node->kind == SIM_SOCKET)
		return !d->node->u.socket.connected;
	return (d->flags & O_ACCMODE) == end || q->opcode == IORING_OP_RECV ||
		q->opcode == IORING_OP_SEND;
}

bool weir_sim_stream_can_(struct sim *s, const struct sim_desc *d, const struct io_uring_sqe *q)
{
	const struct sim_node *n = d->node;
	bool socket = n->kind == SIM_SOCKET;

	switch (q->opcode) {
	case IORING_OP_READ:
	case IORING_OP_RECV:
		if (!q->len || wrong_way(d, q, O_WRONLY))
			return true;
		return weir_sim_wants_all_(q) ? can_get_all(in(d), q->len) : can_get(in(d));
	case IORING_OP_WRITE:
	case IORING_OP_SEND:
		return !q->len || wrong_way(d, q, O_RDONLY) || shut(d) || can_put(out(d));
	case IORING_OP_ACCEPT:
		return !socket || !n->u.socket.listens || n->u.socket.queued;
	case IORING_OP_CONNECT:
		return !socket || can_connect(s, d, q);
	default:
		return true;
	}
}

static int get(const struct sim_desc *d, const struct io_uring_sqe *q)
{
	bool peek = q->opcode == IORING_OP_RECV && q->msg_flags & MSG_PEEK;
	struct sim_stream *st = in(d);

	if (d->node->kind == SIM_SOCKET && !d->node->u.socket.connected && !is_tcp(d->node))
		return -EINVAL;
	if (d->node->kind == SIM_SOCKET && !d->node->u.socket.connected)
		return st->hushed ? 0 : -ENOTCONN;
	if (d->node->kind == SIM_PIPE && (d->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	if (st->len)
		return (int)stream_get(st, pointer(q->addr), q->len, peek);
	if (st->reset) {
		st->reset = false;
		d->node->u.socket.refused = true;
		return -ECONNRESET;
	}
	return st->no_writer || st->hushed || !q->len ? 0 : -EAGAIN;
}

/* A peer of TCP's that is gone says so in answer to what is sent: that is lost, with all that is
 * sent before the answer comes. */
static int put_in_vain(struct sim *s, struct sim_socket *k, const struct io_uring_sqe *q)
{
	if (k->in.reset) {
		k->in.reset = false;
		k->refused = true;
		return -ECONNRESET;
	}
	if (k->refused)
		return -EPIPE;
	k->refused = sim_below(s, 2);
	return (int)q->len;
}

static int put(struct sim *s, const struct sim_desc *d, const struct io_uring_sqe *q)
{
	struct sim_socket *k = d->node->kind == SIM_SOCKET ? &d->node->u.socket : NULL;
	int n;

	if (!k && (d->flags & O_ACCMODE) == O_RDONLY)
		return -EBADF;
	if (k && !k->connected)
		return is_tcp(d->node) ? -EPIPE : -ENOTCONN;
	if (k && is_tcp(d->node) && !k->peer && !k->shut)
		return put_in_vain(s, k, q);
	if (shut(d) || out(d)->no_reader)
		return -EPIPE;
	n = stream_put(out(d), pointer(q->addr), q->len);
	return n || !q->len ? n : -EAGAIN;
}

static int do_shutdown(struct sim_node *n, unsigned how)
{
	struct sim_socket *k = &n->u.socket;

	if (how > SHUT_RDWR)
		return -EINVAL;
	if (!k->connected && !k->listens) {
		k->in.hushed |= how != SHUT_WR;	/* of TCP's, though it says that it cannot */
		return is_tcp(n) ? -ENOTCONN : 0;
	}
	if (is_tcp(n) && (k->refused || (k->shut && k->in.no_writer)))
		return -ENOTCONN;
	if (k->listens && how != SHUT_WR) {
		k->listens = false;
		drop_queue(n);
	}
	if (how != SHUT_WR) {
		k->in.hushed = true;
		k->in.no_writer |= !is_tcp(n);
	}
	if (how != SHUT_RD) {
		k->shut = true;
		if (k->peer)
			k->peer->u.socket.in.no_writer = true;
	}
	return 0;
}

int weir_sim_stream_do_(struct sim *s, const struct sim_desc *d, const struct io_uring_sqe *q)
{
	bool socket = d->node->kind == SIM_SOCKET;

	switch (q->opcode) {
	case IORING_OP_READ:
		return get(d, q);
	case IORING_OP_WRITE:
		return put(s, d, q);
	case IORING_OP_FSYNC:
		return -EINVAL;
	default:
		if (!socket)
			return -ENOTSOCK;
	}
	switch (q->opcode) {
	case IORING_OP_RECV:
		return get(d, q);
	case IORING_OP_SEND:
		return put(s, d, q);
	case IORING_OP_ACCEPT:
		return do_accept(s, d->node, q);
	case IORING_OP_CONNECT:
		return do_connect(s, d->node, q);
	case IORING_OP_SHUTDOWN:
		return do_shutdown(d->node, q->len);
	default:
		return -EINVAL;
	}
}

bool weir_sim_stream_has_some_(const struct sim_desc *d, const struct io_uring_sqe *q)
{
	return d->node->kind == SIM_SOCKET && weir_sim_wants_all_(q) && in(d)->len;
}

/* ---- ends ---- */

void weir_sim_stream_close_(struct sim_desc *d)
{
	switch (d->node->kind) {
	case SIM_PIPE:
		if ((d->flags & O_ACCMODE) == O_WRONLY)
			d->node->u.pipe.no_writer = true;
		else
			d->node->u.pipe.no_reader = true;
		break;
	case SIM_SOCKET:
		part(d->node);
		drop_queue(d->node);
		break;
	default:
		break;
	}
}

void weir_sim_stream_fini_(struct sim_node *n)
{
	if (n->kind == SIM_PIPE) {
		weir_free_(n->u.pipe.data);
		return;
	}
	part(n);
	drop_queue(n);
	weir_free_(n->u.socket.in.data);
}
