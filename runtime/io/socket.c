/* SPDX-License-Identifier: MIT */
/* socket.c - see socket.h: which entry of the submission queue is which system call. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <liburing.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/kernel.h"
#include "weir/socket.h"

/* ---- making connections ---- */

static const struct weir_op_def socket_def = {
	.name = "socket", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.revoke = weir_kernel_revoke_, .complete = weir_kernel_complete_,
	.opcode = IORING_OP_SOCKET, .flags = WEIR_GIVES_FD_,
};

/* The domain is in flags, since the op is on no descriptor: see backend.h. */
struct weir_op *weir_socket(struct weir_op *op, int domain, int type, int protocol)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &socket_def, -1);

	a->off = (unsigned)(type | SOCK_CLOEXEC);
	a->len = (unsigned)protocol;
	a->flags = (unsigned)domain;
	return op;
}

static const struct weir_op_def bind_def = {
	.name = "bind", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = WEIR_KOP_BIND,
};

struct weir_op *weir_bind(struct weir_op *op, int fd, const struct sockaddr *addr, socklen_t len)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &bind_def, fd);

	a->addr = weir_addr_(addr);
	a->off = len;
	return op;
}

static const struct weir_op_def listen_def = {
	.name = "listen", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = WEIR_KOP_LISTEN,
};

struct weir_op *weir_listen(struct weir_op *op, int fd, int backlog)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &listen_def, fd);

	a->len = (unsigned)backlog;
	return op;
}

static const struct weir_op_def connect_def = {
	.name = "connect", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_CONNECT,
};

struct weir_op *weir_connect(struct weir_op *op, int fd, const struct sockaddr *addr,
			     socklen_t len)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &connect_def, fd);

	a->addr = weir_addr_(addr);
	a->off = len;
	return op;
}

static const struct weir_op_def accept_def = {
	.name = "accept", .park = weir_kernel_park_both_, .cancel = weir_kernel_cancel_,
	.revoke = weir_kernel_revoke_, .complete = weir_kernel_complete_,
	.opcode = IORING_OP_ACCEPT, .flags = WEIR_GIVES_FD_ | WEIR_FILLS_,
};

struct weir_op *weir_accept(struct weir_op *op, int fd, struct sockaddr *addr, socklen_t *len,
			    int flags)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &accept_def, fd);

	a->addr = weir_addr_(addr);
	a->off = weir_addr_(len);
	a->flags = (unsigned)(flags | SOCK_CLOEXEC);
	return op;
}

/* ---- using them ---- */

static const struct weir_op_def recv_def = {
	.name = "recv", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_RECV, .flags = WEIR_FILLS_,
};

struct weir_op *weir_recv(struct weir_op *op, int fd, void *buf, size_t len, int flags)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &recv_def, fd);

	a->addr = weir_addr_(buf);
	a->len = weir_len_(len);
	a->flags = (unsigned)flags;
	return op;
}

static const struct weir_op_def send_def = {
	.name = "send", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_SEND,
};

struct weir_op *weir_send(struct weir_op *op, int fd, const void *buf, size_t len, int flags)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &send_def, fd);

	a->addr = weir_addr_(buf);
	a->len = weir_len_(len);
	a->flags = (unsigned)(flags | MSG_NOSIGNAL);
	return op;
}

static const struct weir_op_def shutdown_def = {
	.name = "shutdown", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_SHUTDOWN,
};

struct weir_op *weir_shutdown(struct weir_op *op, int fd, int how)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &shutdown_def, fd);

	a->len = (unsigned)how;
	return op;
}

/* ---- addresses ---- */

#define PORT_MAX	65535ul

/* All of text, decimal. */
static int parse_port(const char *text, in_port_t *port)
{
	unsigned long n = 0;

	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		n = n * 10 + (unsigned)(*text - '0');
		if (n > PORT_MAX)
			return -EINVAL;
	}
	*port = htons((in_port_t)n);
	return 0;
}

int weir_sockaddr_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len)
{
	bool six = *text == '[';
	const char *end = strrchr(text, six ? ']' : ':');
	const char *colon = end && six ? end + 1 : end;
	char host[INET6_ADDRSTRLEN];
	struct sockaddr_in *in = (struct sockaddr_in *)addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)addr;
	size_t n;

	if (!end || *colon != ':')
		return -EINVAL;
	text += six;
	n = (size_t)(end - text);
	if (n >= sizeof host)
		return -EINVAL;
	memcpy(host, text, n);
	host[n] = '\0';
	memset(addr, 0, sizeof *addr);
	addr->ss_family = six ? AF_INET6 : AF_INET;
	*len = six ? sizeof *in6 : sizeof *in;
	if (inet_pton(addr->ss_family, host,
		      six ? (void *)&in6->sin6_addr : (void *)&in->sin_addr) != 1)
		return -EINVAL;
	return parse_port(colon + 1, six ? &in6->sin6_port : &in->sin_port);
}

int weir_listen_tcp(const char *text, int backlog)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int fd, on = 1, rc = weir_sockaddr_parse(text, &addr, &len);

	if (rc < 0)
		return rc;
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
	    bind(fd, (struct sockaddr *)&addr, len) < 0 || listen(fd, backlog) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

int weir_socket_port(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof addr;

	if (getsockname(fd, (struct sockaddr *)&addr, &len) < 0)
		return -errno;
	switch (addr.ss_family) {
	case AF_INET:
		return ntohs(((struct sockaddr_in *)&addr)->sin_port);
	case AF_INET6:
		return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
	default:
		return -EAFNOSUPPORT;
	}
}
