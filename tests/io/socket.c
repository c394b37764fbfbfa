/* SPDX-License-Identifier: MIT */
/* socket.c - sockets: what the calls do, how they end early, addresses. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "aborts.h"
#include "io_kit.h"

static int listener, pair[2];
static struct sockaddr_storage there;
static socklen_t there_len;

static void begin_listening(void)
{
	char text[32];

	begin();
	listener = weir_listen_tcp("127.0.0.1:0", 16);
	ck_assert_int_ge(listener, 0);
	snprintf(text, sizeof text, "127.0.0.1:%d", weir_socket_port(listener));
	ck_assert_int_eq(weir_sockaddr_parse(text, &there, &there_len), 0);
}

static void end_listening(void)
{
	close(listener);
	end();
}

static void begin_pair(void)
{
	begin();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
}

static void end_pair(void)
{
	close(pair[0]);
	close(pair[1]);
	end();
}

/* ---- connections ---- */

struct client { struct weir_frame co; int fd, n; char buf[8]; };

static WEIR_CO(client, self, op)
{
	WEIR_AWAIT(self->fd, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	ck_assert_int_ge(self->fd, 0);
	ck_assert_int_eq(fcntl(self->fd, F_GETFD), FD_CLOEXEC);
	WEIR_AWAIT(self->n, weir_connect(op, self->fd, (struct sockaddr *)&there, there_len));
	ck_assert_int_eq(self->n, 0);
	WEIR_AWAIT(self->n, weir_send(op, self->fd, "ping", 4, 0));
	ck_assert_int_eq(self->n, 4);
	WEIR_AWAIT(self->n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
	ck_assert_int_eq(self->n, 4);
	ck_assert_mem_eq(self->buf, "pong", 4);
	WEIR_AWAIT(self->n, weir_shutdown(op, self->fd, SHUT_WR));
	ck_assert_int_eq(self->n, 0);
	WEIR_AWAIT(self->n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
	ck_assert_int_eq(self->n, 0);
	WEIR_AWAIT(self->n, weir_close(op, self->fd));
	WEIR_RETURN(self->n);
}
WEIR_END

struct server {
	struct weir_frame co;
	int fd, n;
	struct sockaddr_in peer;
	socklen_t peer_len;
	char buf[8];
};

static WEIR_CO(server, self, op)
{
	self->peer_len = sizeof self->peer;
	WEIR_AWAIT(self->fd, weir_accept(op, listener, (struct sockaddr *)&self->peer,
					 &self->peer_len, SOCK_NONBLOCK));
	ck_assert_int_ge(self->fd, 0);
	ck_assert_int_eq(fcntl(self->fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_ne(fcntl(self->fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_uint_eq(self->peer_len, sizeof self->peer);
	ck_assert_int_eq(self->peer.sin_family, AF_INET);
	ck_assert_uint_eq(ntohl(self->peer.sin_addr.s_addr), INADDR_LOOPBACK);
	WEIR_AWAIT(self->n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
	ck_assert_int_eq(self->n, 4);
	ck_assert_mem_eq(self->buf, "ping", 4);
	WEIR_AWAIT(self->n, weir_send(op, self->fd, "pong", 4, 0));
	ck_assert_int_eq(self->n, 4);
	WEIR_AWAIT(self->n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
	ck_assert_int_eq(self->n, 0);
	WEIR_AWAIT(self->n, weir_close(op, self->fd));
	WEIR_RETURN(self->n);
}
WEIR_END

START_TEST(a_client_and_a_server_talk_over_tcp)
{
	begin_listening();
	go(server);
	go(client);
	ck_assert_int_eq(finish(), 0);
	end_listening();
}
END_TEST

struct by_hand { struct weir_frame co; int fd, n; struct sockaddr_in addr; };

static WEIR_CO(by_hand, self, op)
{
	self->addr.sin_family = AF_INET;
	self->addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	WEIR_AWAIT(self->fd, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	ck_assert_int_ge(self->fd, 0);
	WEIR_AWAIT(self->n, weir_bind(op, self->fd, (struct sockaddr *)&self->addr,
				      sizeof self->addr));
	ck_assert_int_eq(self->n, 0);
	WEIR_AWAIT(self->n, weir_listen(op, self->fd, 4));
	ck_assert_int_eq(self->n, 0);
	ck_assert_int_gt(weir_socket_port(self->fd), 0);
	WEIR_AWAIT(self->n, weir_close(op, self->fd));
	WEIR_RETURN(self->n);
}
WEIR_END

START_TEST(a_socket_is_bound_and_listens)
{
	begin();
	go(by_hand);
	ck_assert_int_eq(finish(), 0);
	end();
}
END_TEST

struct errors { struct weir_frame co; int fd, n; struct sockaddr_in addr; char buf[8]; };

static WEIR_CO(errors, self, op)
{
	WEIR_AWAIT(self->fd, weir_socket(op, 12345, SOCK_STREAM, 0));
	ck_assert_int_eq(self->fd, -EAFNOSUPPORT);
	WEIR_AWAIT(self->n, weir_bind(op, listener, (struct sockaddr *)&self->addr, 1));
	ck_assert_int_eq(self->n, -EINVAL);
	WEIR_AWAIT(self->n, weir_listen(op, pipe_fds[0], 1));
	ck_assert_int_eq(self->n, -ENOTSOCK);
	WEIR_AWAIT(self->n, weir_recv(op, pipe_fds[0], self->buf, sizeof self->buf, 0));
	ck_assert_int_eq(self->n, -ENOTSOCK);
	WEIR_AWAIT(self->n, weir_recv(op, listener, self->buf, sizeof self->buf, 0));
	ck_assert_int_eq(self->n, -ENOTCONN);
	WEIR_AWAIT(self->n, weir_accept(op, -1, NULL, NULL, 0));
	ck_assert_int_eq(self->n, -EBADF);
	WEIR_AWAIT(self->n, weir_shutdown(op, listener, 99));
	ck_assert_int_eq(self->n, -EINVAL);
	close(listener);	/* so that nobody listens there */
	WEIR_AWAIT(self->fd, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	WEIR_AWAIT(self->n, weir_connect(op, self->fd, (struct sockaddr *)&there, there_len));
	ck_assert_int_eq(self->n, -ECONNREFUSED);
	WEIR_AWAIT(self->n, weir_close(op, self->fd));
	WEIR_RETURN(self->n);
}
WEIR_END

START_TEST(errors_of_sockets_are_those_of_the_call)
{
	begin_listening();
	go(errors);
	ck_assert_int_eq(finish(), 0);
	end();
}
END_TEST

struct sender { struct weir_frame co; int fd, flags, *rc; const char *text; };

static WEIR_CO(sender, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, weir_send(op, self->fd, self->text, strlen(self->text),
					self->flags));
	WEIR_RETURN(*self->rc);
}
WEIR_END

START_TEST(a_send_to_nobody_is_an_error_and_no_signal)
{
	int rc;

	begin_pair();
	close(pair[1]);
	pair[1] = -1;
	go(sender, .fd = pair[0], .text = "x", .rc = &rc);
	ck_assert_int_eq(finish(), -EPIPE);
	end_pair();
}
END_TEST

/* ---- waiting, and not ---- */

struct receiver { struct weir_frame co; int fd, flags, *rc; char buf[8]; };

static WEIR_CO(receiver, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, weir_recv(op, self->fd, self->buf, sizeof self->buf, self->flags));
	WEIR_RETURN(*self->rc);
}
WEIR_END

START_TEST(a_recv_waits_for_bytes_on_a_blocking_socket_and_on_another)
{
	int rc;

	begin_pair();
	ck_assert_int_eq(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	go(receiver, .fd = pair[0], .rc = &rc);
	turn();
	ck_assert_int_eq(rc, PENDING);
	ck_assert_int_eq(send(pair[1], "abc", 3, 0), 3);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 3);
	go(receiver, .fd = pair[1], .rc = &rc);
	turn();
	ck_assert_int_eq(rc, PENDING);
	ck_assert_int_eq(send(pair[0], "ab", 2, 0), 2);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 2);
	end_pair();
}
END_TEST

START_TEST(a_recv_that_is_not_to_wait_says_eagain)
{
	int rc;

	begin_pair();
	go(receiver, .fd = pair[0], .flags = MSG_DONTWAIT, .rc = &rc);
	ck_assert_int_eq(finish(), -EAGAIN);
	end_pair();
}
END_TEST

START_TEST(a_recv_that_is_cancelled_leaves_what_comes_then)
{
	char buf[8];
	int rc;

	begin_pair();
	go(receiver, .fd = pair[0], .rc = &rc);
	turn();
	weir_group_cancel(&group, 0);
	ck_assert_int_eq(send(pair[1], "abc", 3, 0), 3);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(recv(pair[0], buf, sizeof buf, 0), 3);
	end_pair();
}
END_TEST

START_TEST(a_shutdown_ends_a_recv)
{
	int rc;

	begin_pair();
	go(receiver, .fd = pair[0], .rc = &rc);
	turn();
	ck_assert_int_eq(shutdown(pair[0], SHUT_RDWR), 0);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 0);
	end_pair();
}
END_TEST

/* The number of a descriptor must not lead an old recv to a new peer. */
START_TEST(a_close_with_a_recv_in_flight_lets_the_peer_see_the_end)
{
	int rc, closed, again[2];
	char buf[8];

	begin_pair();
	go(receiver, .fd = pair[0], .rc = &rc);
	turn();
	go(closer, .fd = pair[0], .rc = &closed);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(recv(pair[1], buf, sizeof buf, MSG_DONTWAIT), 0);
	close(pair[1]);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, again), 0);
	ck_assert_int_eq(again[0], pair[0]);
	ck_assert_int_eq(send(again[1], "abc", 3, 0), 3);
	turn();
	ck_assert_int_eq(recv(again[0], buf, sizeof buf, MSG_DONTWAIT), 3);
	pair[0] = again[0];
	pair[1] = again[1];
	end_pair();
}
END_TEST

struct acceptor { struct weir_frame co; int *rc; };

static WEIR_CO(acceptor, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, weir_accept(op, listener, NULL, NULL, 0));
	WEIR_RETURN(*self->rc);
}
WEIR_END

static int connected(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&there, there_len), 0);
	return fd;
}

START_TEST(an_accept_that_is_cancelled_leaves_the_connection_in_the_backlog)
{
	int rc, fd, got;

	begin_listening();
	go(acceptor, .rc = &rc);
	turn();
	weir_group_cancel(&group, 0);
	fd = connected();
	ck_assert_int_eq(finish(), -ECANCELED);
	got = accept(listener, NULL, NULL);
	ck_assert_int_ge(got, 0);
	close(got);
	close(fd);
	end_listening();
}
END_TEST

/* The peer sees the end of the connection that nobody took. */
static void ck_accept_is_undone(int fd, unsigned fds)
{
	char byte;

	ck_assert_uint_eq(test_fds(), fds);
	ck_assert_int_eq(recv(fd, &byte, 1, 0), 0);
	close(fd);
	end_listening();
}

START_TEST(an_accept_that_had_ended_when_it_was_cancelled_closes_the_connection)
{
	unsigned fds;
	int rc, fd;

	begin_listening();
	turn();
	fd = connected();
	fds = test_fds();
	go(acceptor, .rc = &rc);
	go(canceller);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_accept_is_undone(fd, fds);
}
END_TEST

START_TEST(an_accept_whose_task_is_cancelled_before_it_runs_closes_the_connection)
{
	unsigned fds;
	int rc, fd;

	begin_listening();
	turn();
	fd = connected();
	fds = test_fds();
	go(acceptor, .rc = &rc);
	turn();
	ck_assert_int_eq(rc, PENDING);
	ck_assert_uint_eq(test_fds(), fds + 1);
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_accept_is_undone(fd, fds);
}
END_TEST

START_TEST(without_a_descriptor_left_accept_says_so_and_loses_no_connection)
{
	struct rlimit old, none;
	int rc, fd;

	if (test_on_valgrind())
		return;
	begin_listening();
	turn();
	fd = connected();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	go(acceptor, .rc = &rc);
	ck_assert_int_eq(finish(), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	go(acceptor, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_ge(rc, 0);
	go(closer, .fd = rc, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	close(fd);
	end_listening();
}
END_TEST

struct connector { struct weir_frame co; int fd, *rc; };

static WEIR_CO(connector, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, weir_connect(op, self->fd, (struct sockaddr *)&there, there_len));
	WEIR_RETURN(*self->rc);
}
WEIR_END

/* A Unix socket's connect waits as long as the backlog is full. */
START_TEST(a_connect_that_waits_ends_with_its_ctx)
{
	struct sockaddr *a = (struct sockaddr *)&there;
	int first, second, rc;

	begin();
	memset(&there, 0, sizeof there);
	there.ss_family = AF_UNIX;
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, a, sizeof there.ss_family), 0);	/* a name of its own */
	there_len = sizeof there;
	ck_assert_int_eq(getsockname(listener, a, &there_len), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	second = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(first, a, there_len), 0);
	go(connector, .fd = second, .rc = &rc);
	turn();
	turn();
	ck_assert_int_eq(rc, PENDING);
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	close(first);
	close(second);
	end_listening();
}
END_TEST

/* ---- much ---- */

struct pour { struct weir_frame co; struct weir_send_all s; const char *bytes; size_t size; };

static WEIR_CO(pour, self, op)
{
	int n;

	WEIR_CALL(n, self->s, weir_send_all, .fd = pair[0], .buf = self->bytes,
		  .len = self->size);
	ck_assert_int_eq(n, (int)self->size);
	WEIR_AWAIT(n, weir_shutdown(op, pair[0], SHUT_WR));
	WEIR_RETURN(n);
}
WEIR_END

struct drink { struct weir_frame co; struct weir_read_full r; char *bytes; size_t size; };

static WEIR_CO(drink, self, op)
{
	int n;

	WEIR_CALL(n, self->r, weir_read_full, .fd = pair[1], .buf = self->bytes,
		  .len = self->size + 1);
	ck_assert_int_eq(n, (int)self->size);
}
WEIR_END

START_TEST(much_is_sent_and_received_in_as_many_parts_as_it_takes)
{
	static char out[1 << 22], in[(1 << 22) + 1];
	unsigned i;

	begin_pair();
	for (i = 0; i < sizeof out; i++)
		out[i] = (char)(i * 2654435761u >> 24);
	go(pour, .bytes = out, .size = sizeof out);
	go(drink, .bytes = in, .size = sizeof out);
	ck_assert_int_eq(finish(), 0);
	ck_assert_mem_eq(in, out, sizeof out);
	end_pair();
}
END_TEST

/* ---- the stack ---- */

struct on_stack { struct weir_frame co; int which; };

static WEIR_CO(on_stack, self, op)
{
	struct sockaddr_storage here = { .ss_family = AF_INET };
	socklen_t len = sizeof here;
	int n = 0;

	switch (self->which) {
	case 0:
		WEIR_AWAIT(n, weir_recv(op, 0, &here, sizeof here, 0));
		break;
	case 1:
		WEIR_AWAIT(n, weir_send(op, 0, &here, sizeof here, 0));
		break;
	case 2:
		WEIR_AWAIT(n, weir_connect(op, 0, (struct sockaddr *)&here, len));
		break;
	case 3:
		WEIR_AWAIT(n, weir_bind(op, 0, (struct sockaddr *)&here, len));
		break;
	case 4:
		WEIR_AWAIT(n, weir_accept(op, 0, NULL, &len, 0));
		break;
	case 5:
		WEIR_AWAIT(n, weir_accept(op, 0, (struct sockaddr *)&here, NULL, 0));
		break;
	}
	WEIR_RETURN(n);
}
WEIR_END

static int which;

static void use_stack(void)
{
	begin();
	weir_run(loop, on_stack, .which = which);
}

START_TEST(a_buffer_or_address_on_the_coroutines_stack_aborts)
{
	for (which = 0; which <= 5; which++)
		ck_aborts(use_stack, "buffer on the stack of a coroutine");
}
END_TEST

/* ---- addresses ---- */

static int parsed(const char *text)
{
	struct sockaddr_storage addr;
	socklen_t len;

	return weir_sockaddr_parse(text, &addr, &len);
}

START_TEST(numeric_addresses_are_parsed)
{
	struct sockaddr_storage addr;
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr;
	socklen_t len;

	ck_assert_int_eq(weir_sockaddr_parse("127.0.0.1:80", &addr, &len), 0);
	ck_assert_uint_eq(len, sizeof *in);
	ck_assert_int_eq(in->sin_family, AF_INET);
	ck_assert_uint_eq(ntohl(in->sin_addr.s_addr), INADDR_LOOPBACK);
	ck_assert_uint_eq(ntohs(in->sin_port), 80);
	ck_assert_int_eq(weir_sockaddr_parse("[::1]:65535", &addr, &len), 0);
	ck_assert_uint_eq(len, sizeof *in6);
	ck_assert_int_eq(in6->sin6_family, AF_INET6);
	ck_assert(IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr));
	ck_assert_uint_eq(ntohs(in6->sin6_port), 65535);
	ck_assert_int_eq(parsed("0.0.0.0:0"), 0);
}
END_TEST

START_TEST(what_is_no_numeric_address_is_refused)
{
	static const char *const wrong[] = {
		"", ":", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:8a",
		"127.0.0.1:-1", "127.0.0.1: 1", "127.0.0.1:99999999999999999999", "127.0.0:1",
		"localhost:80", "::1:80", "[::1]", "[::1", "[::1]80", "[::1]:", "[127.0.0.1]:80",
		"[]:80", "]:80", "[::1]:80]", "1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1.1:80",
	};
	unsigned i;

	for (i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert_msg(parsed(wrong[i]) == -EINVAL, "%s", wrong[i]);
}
END_TEST

START_TEST(without_a_descriptor_left_there_is_no_listener)
{
	struct rlimit old, none;

	if (test_on_valgrind())
		return;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ 0, old.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(weir_listen_tcp("127.0.0.1:0", 4), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
}
END_TEST

START_TEST(a_listener_is_made_where_one_can_be)
{
	int fd = weir_listen_tcp("127.0.0.1:0", 4), unbound, six;
	char text[32];

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	snprintf(text, sizeof text, "127.0.0.1:%d", weir_socket_port(fd));
	ck_assert_int_eq(weir_listen_tcp(text, 4), -EADDRINUSE);
	ck_assert_int_eq(weir_listen_tcp("nowhere", 4), -EINVAL);
	ck_assert_int_eq(weir_listen_tcp("192.0.2.1:0", 4), -EADDRNOTAVAIL);
	close(fd);
	unbound = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(weir_socket_port(unbound), -EAFNOSUPPORT);
	close(unbound);
	ck_assert_int_eq(weir_socket_port(-1), -EBADF);
	six = weir_listen_tcp("[::1]:0", 4);
	if (six < 0)
		return;		/* a machine without IPv6 */
	ck_assert_int_gt(weir_socket_port(six), 0);
	close(six);
}
END_TEST

TESTS("socket", a_client_and_a_server_talk_over_tcp, a_socket_is_bound_and_listens,
      errors_of_sockets_are_those_of_the_call, a_send_to_nobody_is_an_error_and_no_signal,
      a_recv_waits_for_bytes_on_a_blocking_socket_and_on_another,
      a_recv_that_is_not_to_wait_says_eagain, a_recv_that_is_cancelled_leaves_what_comes_then,
      a_shutdown_ends_a_recv, a_close_with_a_recv_in_flight_lets_the_peer_see_the_end,
      an_accept_that_is_cancelled_leaves_the_connection_in_the_backlog,
      an_accept_that_had_ended_when_it_was_cancelled_closes_the_connection,
      an_accept_whose_task_is_cancelled_before_it_runs_closes_the_connection,
      without_a_descriptor_left_accept_says_so_and_loses_no_connection,
      a_connect_that_waits_ends_with_its_ctx,
      much_is_sent_and_received_in_as_many_parts_as_it_takes,
      a_buffer_or_address_on_the_coroutines_stack_aborts, numeric_addresses_are_parsed,
      what_is_no_numeric_address_is_refused,
      without_a_descriptor_left_there_is_no_listener, a_listener_is_made_where_one_can_be)
