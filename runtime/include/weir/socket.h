/* SPDX-License-Identifier: MIT */
/*
 * socket.h - sockets, awaited.
 *
 * What file.h says of results, ctx, buffers and descriptors holds here too; sockets are closed by
 * weir_close().  At most one send and one receive of a stream socket may be under way at
 * a time: the kernel promises no order among several.
 */
#ifndef WEIR_SOCKET_H
#define WEIR_SOCKET_H

#include <sys/socket.h>

#include "weir/base.h"
#include "weir/co.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* socket(2).  Result: the descriptor. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_socket(struct weir_op *op, int domain, int type,
						   int protocol);

WEIR_API WEIR_MUST_USE struct weir_op *weir_bind(struct weir_op *op, int fd,
						 const struct sockaddr *addr, socklen_t len);
WEIR_API WEIR_MUST_USE struct weir_op *weir_listen(struct weir_op *op, int fd, int backlog);
/* connect(2).  It waits for the connection; where a listener's backlog is full, for a place in it,
 * too, but a socket of AF_UNIX with SOCK_NONBLOCK gets -EAGAIN. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_connect(struct weir_op *op, int fd,
						    const struct sockaddr *addr, socklen_t len);

/* accept4(2); addr and len both NULL, or both in the frame.  Result: the descriptor.  A cancelled
 * accept takes no connection out of the backlog, or closes it. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_accept(struct weir_op *op, int fd,
						   struct sockaddr *addr, socklen_t *len,
						   int flags);

/* recv(2), send(2); a send raises no SIGPIPE, ever.  Results: bytes, 0 from recv: the peer has
 * shut down; with MSG_DONTWAIT -EAGAIN. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_recv(struct weir_op *op, int fd, void *buf, size_t len,
						 int flags);
WEIR_API WEIR_MUST_USE struct weir_op *weir_send(struct weir_op *op, int fd, const void *buf,
						 size_t len, int flags);

/* shutdown(2): SHUT_RD, SHUT_WR, SHUT_RDWR.  A recv under way ends with 0. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_shutdown(struct weir_op *op, int fd, int how);

/* ---- not awaited: they do not block ---- */

/* A numeric "127.0.0.1:80" or "[::1]:80".  Results: 0; -EINVAL. */
WEIR_API int weir_sockaddr_parse(const char *text, struct sockaddr_storage *addr, socklen_t *len);

/* A TCP socket that listens there, with SO_REUSEADDR, its port the kernel's choice if 0.
 * Results: the descriptor; -EINVAL; as socket(2), bind(2), listen(2). */
WEIR_API int weir_listen_tcp(const char *addr, int backlog);

/* The port that a socket of IPv4 or IPv6 is bound to.  Results: the port; -EAFNOSUPPORT; as
 * getsockname(2). */
WEIR_API int weir_socket_port(int fd);

#ifndef __cplusplus

/* Sends all of len bytes, by WEIR_CALL(); see weir_write_all in file.h.  (To receive all of len
 * bytes is weir_read_full.) */
struct weir_send_all {
	struct weir_frame co;
	int fd;
	const void *buf;
	size_t len;
	int flags;
	size_t done;
};
WEIR_API WEIR_CO_DECL(weir_send_all);

#endif

#ifdef __cplusplus
}
#endif

#endif
