/* SPDX-License-Identifier: MIT */
/*
 * example.c - how the author of a daemon tests it, to be copied: weir/check.h.
 *
 * The daemon answers each line in capitals and hangs up on who is silent for ten seconds.  Its
 * serve() is given a listening socket and knows nothing of tests.  The test runs it and a few
 * clients, one of them silent, on a hundred simulated kernels: short reads, sends in pieces,
 * operations late and in any order, and ten seconds that pass at once.
 */
#include <ctype.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

/* ---- the daemon ---- */

#define PATIENCE	(10 * WEIR_S)

struct session {
	struct weir_frame co;
	struct weir_ctx patience;
	struct weir_send_all send;
	char buf[64];
	int fd, n, i;
};

static WEIR_CO(session, self, op)
{
	do {
		weir_ctx_init_timeout(&self->patience, weir_op_ctx(op), PATIENCE);
		weir_ctx_enter(op, &self->patience);
		WEIR_AWAIT(self->n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
		weir_ctx_leave(op, &self->patience);
		weir_ctx_fini(&self->patience);
		if (self->n <= 0)
			break;
		for (self->i = 0; self->i < self->n; self->i++)
			self->buf[self->i] = (char)toupper((unsigned char)self->buf[self->i]);
		WEIR_CALL(self->n, self->send, weir_send_all, .fd = self->fd, .buf = self->buf,
			  .len = (size_t)self->n);
	} while (self->n > 0);
	WEIR_AWAIT(self->n, weir_close(op, self->fd));
	WEIR_RETURN(0);		/* what befalls one client is no matter for the others */
}
WEIR_END

struct serve {
	struct weir_frame co;
	struct weir_group sessions;
	int listener, fd, rc;
};

static WEIR_CO(serve, self, op)
{
	weir_group_init(&self->sessions, weir_op_ctx(op), NULL);
	for (;;) {
		WEIR_AWAIT(self->fd, weir_accept(op, self->listener, NULL, NULL, 0));
		if (self->fd < 0)
			break;
		WEIR_GO(self->rc, &self->sessions, session, .fd = self->fd);
		if (self->rc < 0)
			WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	}
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->sessions));
	WEIR_RETURN(self->fd);
}
WEIR_END

/* ---- its test ---- */

struct client {
	struct weir_frame co;
	struct weir_send_all send;
	struct weir_read_full rd;
	struct sockaddr_in addr;
	const char *says, *hears;	/* NULL: it is silent, and hears the daemon hang up */
	char buf[64];
	int fd, rc;
};

static WEIR_CO(client, self, op)
{
	WEIR_AWAIT(self->fd, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	WEIR_AWAIT(self->rc, weir_connect(op, self->fd, (struct sockaddr *)&self->addr,
					  sizeof self->addr));
	ck_assert_int_eq(self->rc, 0);
	if (self->says) {
		WEIR_CALL(self->rc, self->send, weir_send_all, .fd = self->fd,
			  .buf = self->says, .len = strlen(self->says));
		WEIR_CALL(self->rc, self->rd, weir_read_full, .fd = self->fd, .buf = self->buf,
			  .len = strlen(self->hears));
		ck_assert_int_eq(self->rc, (int)strlen(self->hears));
		ck_assert_mem_eq(self->buf, self->hears, (size_t)self->rc);
	} else {
		WEIR_AWAIT(self->rc, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
		ck_assert_int_eq(self->rc, 0);
	}
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	WEIR_RETURN(0);
}
WEIR_END

struct town {
	struct weir_frame co;
	struct weir_group daemon, clients;
	struct sockaddr_in addr;
	int listener, rc;
};

static WEIR_CO(town, self, op)
{
	self->addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(7),
					   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	WEIR_AWAIT(self->listener, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	WEIR_AWAIT(self->rc, weir_bind(op, self->listener, (struct sockaddr *)&self->addr,
				       sizeof self->addr));
	WEIR_AWAIT(self->rc, weir_listen(op, self->listener, 8));
	weir_group_init(&self->daemon, weir_op_ctx(op), NULL);
	weir_group_init(&self->clients, weir_op_ctx(op), NULL);
	weir_go(&self->daemon, serve, .listener = self->listener);
	weir_go(&self->clients, client, .addr = self->addr, .says = "weir", .hears = "WEIR");
	weir_go(&self->clients, client, .addr = self->addr, .says = "a\nb", .hears = "A\nB");
	weir_go(&self->clients, client, .addr = self->addr);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->clients));
	weir_group_cancel(&self->daemon, 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->daemon));
	WEIR_AWAIT(self->listener, weir_close(op, self->listener));
	WEIR_RETURN(self->rc == -ECANCELED ? 0 : self->rc);
}
WEIR_END

static int daemon_and_clients(struct weir_loop *loop, void *arg)
{
	(void)arg;
	return weir_run(loop, town, .rc = 0);
}

START_TEST(the_daemon_answers_and_hangs_up_on_the_silent)
{
	ck_assert_int_eq(weir_check_run(daemon_and_clients), 0);
}
END_TEST

TESTS("example", the_daemon_answers_and_hangs_up_on_the_silent)
