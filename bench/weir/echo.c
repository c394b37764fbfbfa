/* SPDX-License-Identifier: MIT */
/*
 * echo.c - the TCP echo server of the bench: each connection is a task that sends what it is lent,
 * from where the kernel has put it.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench.h"

#define BUFFER	(16 << 10)
#define BUFFERS	4096
#define BOUND	(64 << 10)	/* bytes of buffers that a connection may hold */
#define OPS	8192

static const int on = 1;
static int stop_fd;
static struct weir_buffers buffers;

static void on_signal(int sig)
{
	(void)sig;
	weir_ctx_cancel_fd(stop_fd);
}

struct connection {
	struct weir_frame co;
	int fd, n;
	struct weir_stream stream;
	struct weir_lease lease;
};

static WEIR_CO(connection, self, op)
{
	weir_stream_init(&self->stream, &buffers, self->fd, BOUND);
	for (;;) {
		WEIR_AWAIT(self->n, weir_stream_recv(op, &self->stream, &self->lease));
		if (self->n <= 0)
			break;
		WEIR_AWAIT(self->n, weir_stream_send(op, &self->stream, self->lease.data,
						     self->lease.len));
		weir_lease_put(&self->lease);
		if (self->n < 0)
			break;
	}
	WEIR_AWAIT(self->n, weir_stream_close(op, &self->stream));
	WEIR_RETURN(0);
}
WEIR_END

struct acceptor {
	struct weir_frame co;
	int listener, fd;
	struct weir_group connections;
};

static WEIR_CO(acceptor, self, op)
{
	int rc;

	weir_group_init(&self->connections, weir_op_ctx(op), NULL);
	for (;;) {
		WEIR_AWAIT(self->fd, weir_accept(op, self->listener, NULL, NULL, 0));
		if (self->fd < 0)
			break;
		check(setsockopt(self->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0,
		      "TCP_NODELAY is set");
		must(weir_go(&self->connections, connection, .fd = self->fd), "spawn");
	}
	WEIR_AWAIT(rc, weir_group_wait(op, &self->connections));
	must(rc, "connections");
	WEIR_RETURN(self->fd == -ECANCELED ? 0 : self->fd);
}
WEIR_END

static int host(void)
{
	struct epoll_event e = { .events = EPOLLIN };
	int set = epoll_create1(EPOLL_CLOEXEC), rc;

	must(set, "epoll");
	must(epoll_ctl(set, EPOLL_CTL_ADD, weir_loop_fd(loop), &e), "epoll");
	do {
		epoll_wait(set, &e, 1, -1);
		rc = weir_loop_dispatch(loop);
	} while (rc > 0);
	close(set);
	return rc;
}

static int serve(bool embedded)
{
	int listener = weir_listen_tcp("127.0.0.1:0", 4096);

	must(listener, "listen");
	must(weir_loop_new(&loop, &(struct weir_loop_conf){ .ops = OPS }), "loop");
	if (embedded)
		must(weir_loop_fd(loop), "descriptor for the host");
	must(weir_buffers_init(&buffers, loop, BUFFERS, BUFFER), "buffers");
	stop_fd = weir_ctx_fd(weir_loop_ctx(loop));
	must(stop_fd, "descriptor to stop by");
	signal(SIGTERM, on_signal);
	printf("%d\n", weir_socket_port(listener));
	fflush(stdout);
	must(weir_go(weir_loop_group(loop), acceptor, .listener = listener), "spawn");
	must(embedded ? host() : weir_loop_run(loop), "echo");
	weir_buffers_fini(&buffers);
	check(weir_loop_free(loop) == 0, "nothing is left in the loop");
	return 0;
}

int serve_alone(void)
{
	return serve(false);
}

int serve_embedded(void)
{
	return serve(true);
}
