/* SPDX-License-Identifier: MIT */
/* stream_scenarios.h - streams on few buffers; see scenarios.h. */
#ifndef STREAM_SCENARIOS_H
#define STREAM_SCENARIOS_H

#define STREAM_BYTES	100u	/* through buffers that hold 32 */

struct stream_end {
	struct weir_frame co;
	struct weir_buffers *buffers;
	struct weir_stream s;
	struct weir_lease lease;
	int fd, rc;
	unsigned came;
	bool echoes;
	char text[STREAM_BYTES];
};

/* One end sends and waits for all of it to come back; the other sends back what comes.  Both read
 * to the end, so that no recv is left whose error nobody sees. */
static WEIR_CO(stream_end, self, op)
{
	int rc;

	weir_stream_init(&self->s, self->buffers, self->fd, 32);
	if (!self->echoes) {
		WEIR_TRY(self->rc, close, weir_stream_send(op, &self->s, self->text, STREAM_BYTES));
		WEIR_TRY(self->rc, close, weir_shutdown(op, self->fd, SHUT_WR));
	}
	do {
		WEIR_TRY(self->rc, close, weir_stream_recv(op, &self->s, &self->lease));
		if (self->rc == 0)
			break;
		self->came += self->lease.len;
		if (self->echoes)
			WEIR_AWAIT(self->rc, weir_stream_send(op, &self->s, self->lease.data,
							      self->lease.len));
		weir_lease_put(&self->lease);
	} while (self->rc > 0);
	if (self->rc == 0 && self->came < STREAM_BYTES)
		self->rc = -EPIPE;
close:
	WEIR_AWAIT(rc, weir_stream_close(op, &self->s));
	WEIR_RETURN(first(self->rc, rc));
}
WEIR_END

struct both_ends { struct weir_frame co; struct weir_buffers b; struct weir_group g; int rc; };

static WEIR_CO(both_ends, self, op)
{
	int fds[2], rc;

	rc = weir_buffers_init(&self->b, weir_op_loop(op), 2, 16);
	if (rc < 0)
		WEIR_RETURN(rc);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		weir_buffers_fini(&self->b);
		WEIR_RETURN(-errno);
	}
	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	self->rc = weir_go(&self->g, stream_end, .buffers = &self->b, .fd = fds[0]);
	if (self->rc < 0)
		close(fds[0]);
	rc = weir_go(&self->g, stream_end, .buffers = &self->b, .fd = fds[1], .echoes = true);
	if (rc < 0)
		close(fds[1]);
	self->rc = first(self->rc, rc);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	weir_buffers_fini(&self->b);
	WEIR_RETURN(first(self->rc, rc));
}
WEIR_END

static int streams(void)
{
	return RUN(&on_virtual, both_ends);
}

#endif
