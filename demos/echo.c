/* SPDX-License-Identifier: MIT */
/*
 * echo.c - a TCP server that sends back what it receives, each connection a task of its own.
 *
 * A group holds the connections: at most MOST at a time, then the next has to wait in the backlog.
 * A connection that fails is its own business, so its task returns 0; what a task returns below 0
 * would end the group.  Ctrl-C cancels the loop's ctx, through a descriptor, which a signal handler
 * may write to: the accept and every receive end with -ECANCELED, each connection closes its
 * socket, and the server returns when the last has.
 *
 * What accept says of one connection, or of a shortage, is not the end of the server: a shortage
 * passes as connections close, and as the next one is still in the backlog, it takes a pause.
 *
 * usage: echo [ADDRESS:PORT]		(127.0.0.1:7777; try it with nc)
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weir.h"

#define MOST	1000
#define PAUSE	(100 * WEIR_MS)	/* of the accept, when there are no descriptors or no memory */

static int stop_fd;

static void on_signal(int sig)
{
	(void)sig;
	weir_ctx_cancel_fd(stop_fd);
}

struct connection {
	struct weir_frame co;
	int fd, n;
	char buf[4096];
	struct weir_send_all send;
};

static WEIR_CO(connection, self, op)
{
	do {
		WEIR_AWAIT(self->n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
		if (self->n > 0)
			WEIR_CALL(self->n, self->send, weir_send_all, .fd = self->fd,
				  .buf = self->buf, .len = (size_t)self->n);
	} while (self->n > 0);
	WEIR_AWAIT(self->n, weir_close(op, self->fd));	/* also when cancelled */
	WEIR_RETURN(0);
}
WEIR_END

static bool is_shortage(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOBUFS || rc == -ENOMEM;
}

struct server {
	struct weir_frame co;
	int listener, fd;
	struct weir_group connections;
};

static WEIR_CO(server, self, op)
{
	int rc;

	weir_group_init(&self->connections, weir_op_ctx(op), NULL);
	self->fd = weir_group_limit(&self->connections, MOST);
	while (self->fd >= 0) {
		WEIR_AWAIT(self->fd, weir_accept(op, self->listener, NULL, NULL, 0));
		if (self->fd == -ECONNABORTED || is_shortage(self->fd)) {
			WEIR_AWAIT(self->fd, weir_sleep(op, is_shortage(self->fd) ? PAUSE : 0));
			continue;
		}
		if (self->fd < 0)
			break;
		WEIR_GO(rc, &self->connections, connection, .fd = self->fd);
		if (rc < 0)
			WEIR_AWAIT(rc, weir_close(op, self->fd));
	}
	WEIR_AWAIT(rc, weir_group_wait(op, &self->connections));
	WEIR_RETURN(self->fd == -ECANCELED ? 0 : self->fd);
}
WEIR_END

int main(int argc, char **argv)
{
	struct weir_loop *loop = NULL;
	char why[512];
	int listener, rc;

	if (fcntl(STDOUT_FILENO, F_GETFD) < 0) {	/* or the listener would be stdout */
		perror("echo: standard output");
		return 1;
	}
	listener = weir_listen_tcp(argc > 1 ? argv[1] : "127.0.0.1:7777", 128);
	rc = listener < 0 ? listener : weir_loop_new(&loop, NULL);
	if (rc >= 0)
		rc = stop_fd = weir_ctx_fd(weir_loop_ctx(loop));
	if (rc >= 0) {
		signal(SIGINT, on_signal);
		printf("port %d\n", weir_socket_port(listener));
		rc = fflush(stdout) == 0 ? 0 : -errno;
	}
	if (rc >= 0)
		rc = weir_run(loop, server, .listener = listener);
	if (rc < 0)
		fprintf(stderr, "echo: %s\n", loop || listener < 0 ? strerror(-rc) :
			weir_explain(rc, why, sizeof why));
	weir_loop_free(loop);
	return rc < 0;
}
