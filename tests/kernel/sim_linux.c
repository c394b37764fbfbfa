/* SPDX-License-Identifier: MIT */
/* sim_linux.c - sockets of Linux's in a loop whose kernel is simulated: what weir/sim.h says. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

#define SEEDS	100
#define TEXT	"what Linux carries, a simulated kernel's streams take in and give back"

static struct weir_loop *loop;
static struct weir_buffers pool;

static void begin(uint64_t seed)
{
	loop = test_loop_conf(&(struct weir_loop_conf){
		.check = true,
		.sim = &(struct weir_sim_conf){ .seed = seed, .trouble = WEIR_SIM_SOUND } });
}

/* ---- a server and its client ---- */

/* Gives one client back what it sends, until it has no more to say. */
struct echo {
	struct weir_frame co;
	struct weir_stream stream;
	struct weir_lease lease;
	int listener, rc;
};

static WEIR_CO(echo, self, op)
{
	WEIR_AWAIT(self->rc, weir_accept(op, self->listener, NULL, NULL, 0));
	ck_assert_int_ge(self->rc, 0);
	weir_stream_init(&self->stream, &pool, self->rc, 0);
	for (;;) {
		WEIR_AWAIT(self->rc, weir_stream_recv(op, &self->stream, &self->lease));
		if (self->rc <= 0)
			break;
		WEIR_AWAIT(self->rc, weir_stream_send(op, &self->stream, self->lease.data,
						      self->lease.len));
		weir_lease_put(&self->lease);
	}
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_stream_close(op, &self->stream));
	WEIR_RETURN(self->rc);
}
WEIR_END

/* fd is a socket, whoever's. */
struct client {
	struct weir_frame co;
	struct weir_send_all send;
	struct weir_read_full rd;
	struct sockaddr_in at;
	char buf[sizeof TEXT];
	int fd, rc;
};

static WEIR_CO(client, self, op)
{
	WEIR_AWAIT(self->rc, weir_connect(op, self->fd, (struct sockaddr *)&self->at,
					  sizeof self->at));
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	WEIR_CALL(self->rc, self->send, weir_send_all, .fd = self->fd, .buf = TEXT,
		  .len = sizeof TEXT);
	ck_assert_int_eq(self->rc, sizeof TEXT);
	WEIR_CALL(self->rc, self->rd, weir_read_full, .fd = self->fd, .buf = self->buf,
		  .len = sizeof TEXT);
	ck_assert_int_eq(self->rc, sizeof TEXT);
	ck_assert_str_eq(self->buf, TEXT);
	WEIR_AWAIT(self->rc, weir_shutdown(op, self->fd, SHUT_WR));
	WEIR_RETURN(self->rc);
}
WEIR_END

static struct sockaddr_in address_of(int listener)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((in_port_t)weir_socket_port(listener)),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* The server's listening socket, and the client's that calls it; the result is the first error. */
struct both { struct weir_frame co; struct weir_group group; int fds[2], rc; };

static WEIR_CO(both, self, op)
{
	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	ck_assert_int_eq(weir_go(&self->group, echo, .listener = self->fds[0]), 0);
	ck_assert_int_eq(weir_go(&self->group, client, .fd = self->fds[1],
				 .at = address_of(self->fds[0])), 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->group));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_server_and_a_client_of_linux_meet_by_streams)
{
	int fds[2];
	uint64_t seed;

	for (seed = 0; seed < test_some(SEEDS); seed++) {
		begin(seed);
		ck_assert_int_eq(weir_buffers_init(&pool, loop, 4, 16), 0);
		fds[0] = weir_listen_tcp("127.0.0.1:0", 4);
		fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(weir_run(loop, both, .fds = { fds[0], fds[1] }), 0);
		close(fds[0]);
		close(fds[1]);
		weir_buffers_fini(&pool);
		test_loop_free(loop);
	}
}
END_TEST

/* ---- what is not as with the simulated kernel's own ---- */

struct caller { struct weir_frame co; struct client client; int listener, rc; };

static WEIR_CO(caller, self, op)
{
	WEIR_AWAIT(self->rc, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	ck_assert_int_ge(self->rc, 0);
	ck_assert_int_lt(weir_socket_port(self->rc), 0);
	self->client.fd = self->rc;
	WEIR_CALL(self->rc, self->client, client, .fd = self->client.fd,
		  .at = address_of(self->listener));
	ck_assert_int_eq(self->rc, -ECONNREFUSED);
	WEIR_AWAIT(self->rc, weir_close(op, self->client.fd));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_listener_of_linux_is_not_there_for_a_simulated_client)
{
	int fd = weir_listen_tcp("127.0.0.1:0", 4);

	begin(1);
	ck_assert_int_eq(weir_run(loop, caller, .listener = fd), 0);
	test_loop_free(loop);
	close(fd);
}
END_TEST

struct receiver { struct weir_frame co; int fd, rc; char buf[6]; };

static WEIR_CO(receiver, self, op)
{
	WEIR_AWAIT(self->rc, weir_recv(op, self->fd, self->buf, sizeof self->buf, MSG_WAITALL));
	ck_assert_int_eq(self->rc, 3);
	WEIR_RETURN(0);
}
WEIR_END

START_TEST(a_recv_of_all_from_linux_comes_short_with_what_is_there)
{
	int fds[2];

	begin(1);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(send(fds[1], "abc", 3, MSG_NOSIGNAL), 3);
	ck_assert_int_eq(weir_run(loop, receiver, .fd = fds[0]), 0);
	close(fds[0]);
	close(fds[1]);
	test_loop_free(loop);
}
END_TEST

TESTS("sim_linux", a_server_and_a_client_of_linux_meet_by_streams,
      a_listener_of_linux_is_not_there_for_a_simulated_client,
      a_recv_of_all_from_linux_comes_short_with_what_is_there)
