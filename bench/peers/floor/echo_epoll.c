/* SPDX-License-Identifier: MIT */
/*
 * echo_epoll.c - the subject `floor-epoll`: echo by epoll, the way of before io_uring. One buffer
 * for all connections: what has been read is written at once. What the socket has no room for is
 * kept by the connection, which reads nothing until that is written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../kit.h"

#define EVENTS	1024

struct connection {
	int fd;
	size_t from, len;	/* of rest */
	char *rest;
};

static int poller;
static char buffer[64 << 10];

static void watch(struct connection *c, int how, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = c };

	check(!epoll_ctl(poller, how, c->fd, &e), "epoll watches a socket");
}

static void end(struct connection *c)
{
	close(c->fd);
	free(c->rest);
	free(c);
}

static void keep(struct connection *c, const char *from, size_t len)
{
	c->rest = malloc(len);
	check(c->rest, "there is memory");
	memcpy(c->rest, from, len);
	c->from = 0;
	c->len = len;
	watch(c, EPOLL_CTL_MOD, EPOLLOUT);
}

static void readable(struct connection *c)
{
	ssize_t n = read(c->fd, buffer, sizeof buffer), sent;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		end(c);
		return;
	}
	sent = send(c->fd, buffer, (size_t)n, MSG_NOSIGNAL);
	if (sent < 0 && errno != EAGAIN)
		end(c);
	else if (sent < n)
		keep(c, buffer + (sent < 0 ? 0 : sent), (size_t)(n - (sent < 0 ? 0 : sent)));
}

static void writable(struct connection *c)
{
	ssize_t n = send(c->fd, c->rest + c->from, c->len, MSG_NOSIGNAL);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		end(c);
		return;
	}
	c->from += (size_t)n;
	c->len -= (size_t)n;
	if (c->len)
		return;
	free(c->rest);
	c->rest = NULL;
	watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void accept_all(int listener)
{
	struct connection *c;
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		c = must_alloc(1, sizeof *c);
		c->fd = fd;
		watch(c, EPOLL_CTL_ADD, EPOLLIN);
	}
}

static int serve_epoll(void)
{
	static struct epoll_event events[EVENTS];
	struct connection listener = { .fd = listen_and_tell() };
	int i, n;

	poller = epoll_create1(EPOLL_CLOEXEC);
	check(poller >= 0, "there is an epoll");
	check(!fcntl(listener.fd, F_SETFL, O_NONBLOCK), "a socket is non-blocking");
	watch(&listener, EPOLL_CTL_ADD, EPOLLIN);
	while ((n = epoll_wait(poller, events, EVENTS, -1)) >= 0 || errno == EINTR) {
		for (i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (c == &listener)
				accept_all(listener.fd);
			else if (c->rest)
				writable(c);
			else
				readable(c);
		}
	}
	return 0;
}

const char program[] = "floor-epoll";
const struct workload *const families[] = { NULL };
const struct server servers[] = { { "echo", serve_epoll }, { .name = NULL } };
