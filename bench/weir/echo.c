/* SPDX-License-Identifier: MIT */
/*
 * echo.c - the TCP echo server of the bench.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "bench.h"

#define BUFFER	(16 << 10)

static const int on = 1;
static int stop_fd;

static void on_signal(int sig)
{
	(void)sig;
	weir_ctx_cancel_fd(stop_fd);
}

struct connection {
	struct weir_frame co;
	int fd, n;
	struct weir_send_all send;
	char buf[BUFFER];
};

static WEIR_CO(connection, self, op)
{
	do {
		WEIR_AWAIT(self->n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
		if (self->n > 0)
			WEIR_CALL(self->n, self->send, weir_send_all, .fd = self->fd,
				  .buf = self->buf, .len = (size_t)self->n);
	} while (self->n > 0);
	WEIR_AWAIT(self->n, weir_close(op, self->fd));
	WEIR_RETURN(0);
}
WEIR_END

struct server {
	struct weir_frame co;
	int listener, fd;
	struct weir_group connections;
};

static WEIR_CO(server, self, op)
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

int echo(bool embedded)
{
	int listener = weir_listen_tcp("127.0.0.1:0", 4096);

	must(listener, "listen");
	must(weir_loop_new(&loop, &(struct weir_loop_conf){ .ops = 4096 }), "loop");
	if (embedded)
		must(weir_loop_fd(loop), "descriptor for the host");
	stop_fd = weir_ctx_fd(weir_loop_ctx(loop));
	must(stop_fd, "descriptor to stop by");
	signal(SIGTERM, on_signal);
	printf("%d\n", weir_socket_port(listener));
	fflush(stdout);
	must(weir_go(weir_loop_group(loop), server, .listener = listener), "spawn");
	must(embedded ? host() : weir_loop_run(loop), "echo");
	check(weir_loop_free(loop) == 0, "nothing is left in the loop");
	return 0;
}
