/* SPDX-License-Identifier: MIT */
/*
 * io.c - pipes, sockets, files and jobs, called off at any moment: what went in comes out.
 *
 * The language: three bytes of fuzz_loop(), then instructions, each a byte, with arguments:
 *
 *	0 pipe			two ends
 *	1 pair			two ends that are sockets
 *	2 read   e n		a task reads up to n bytes from end e
 *	3 write  e n		...writes up to n
 *	4 full   e n		...reads until it has n
 *	5 all    e n		...writes n, all of them
 *	6 race   e n ns		...reads up to n, or sleeps, whichever is over first
 *	7 shut   e how		...shuts down a socket
 *	8 close  e		...closes
 *	9 pwrite at n		...writes to a file
 *	10 pread at n		...reads from it
 *	11 job   n		...has a job done, of n steps
 *	12 dial			...connects to the listener and closes
 *	13 answer		...accepts, and closes
 *	14 cancel t		the t-th task's ctx
 *	15 yield		the driver lets others run
 *	16 sleep ns		...until this time
 *
 * The model of a stream is how many bytes were put in and taken out: the k-th is always the same
 * byte, so their order is seen.  The model of the file is an array.  Without ERRORS in the loop's
 * trouble no call may fail but for a reason that the model knows.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "kit/fuzz.h"
#include "weir/sim.h"

#define TASKS		48
#define ENDS		16
#define STREAMS		16
#define BYTES		200	/* in one call, at most */
#define FILE_BYTES	(256 + BYTES)
#define PORT		7000

enum { NONE = -1 };

static struct stream {
	uint64_t in, out;	/* bytes, as far as the tasks know */
	uint64_t offered;	/* by a write that is under way */
	uint64_t eof;		/* when the reader was told of the end; UINT64_MAX not yet */
	bool no_writer, no_reader;	/* from when on it may be so */
	bool reset;		/* bytes may be lost: it was closed with some unread */
	bool writing, reading;
} streams[STREAMS];
static int n_streams;

static struct end {
	int fd, in, out;	/* where it reads from and writes to, or NONE */
	bool is_socket;
	enum { OPEN, CLOSING, CLOSED } state;
} ends[ENDS];
static unsigned n_ends;

static struct {
	int fd;
	unsigned char data[FILE_BYTES];
	size_t len;
	bool busy;
} file;

static struct weir_loop *loop;
static struct weir_ctx ctxs[TASKS];
static unsigned n_tasks;
static bool errors;		/* may happen at any time */
static int listener;

/* ---- the model ---- */

static unsigned char nth(int s, uint64_t k)
{
	return (unsigned char)(k * 7 + (k >> 8) + (uint64_t)s * 31);
}

static struct stream *add_stream(void)
{
	streams[n_streams] = (struct stream){ .eof = UINT64_MAX };
	return &streams[n_streams++];
}

static void add_end(int fd, int in, int out, bool is_socket)
{
	fuzz_say("end %u: descriptor %d", n_ends, fd);
	ends[n_ends++] = (struct end){ .fd = fd, .in = in, .out = out, .is_socket = is_socket };
}

static void took(int s, const unsigned char *bytes, int n)
{
	struct stream *st = &streams[s];
	int i;

	for (i = 0; i < n; i++)
		must_eq(bytes[i], nth(s, st->out + (unsigned)i));
	st->out += (unsigned)n;
	must_le(st->out, st->in + st->offered);
	must(st->out <= st->eof);
}

static void told_of_end(int s)
{
	struct stream *st = &streams[s];

	must(st->no_writer || st->no_reader);
	if (st->eof == UINT64_MAX)
		st->eof = st->out;
	must_eq(st->eof, st->out);
}

/* A call of task t on end e has failed with rc. */
static void failed(unsigned t, const struct end *e, int rc)
{
	if (errors)
		return;
	switch (rc) {
	case -ECANCELED:
		must(ctxs[t].err || e->state != OPEN);
		break;
	case -EBADF:
		must(e->state != OPEN);
		break;
	case -EPIPE:
		must(e->out != NONE && (streams[e->out].no_reader || streams[e->out].no_writer));
		break;
	case -ECONNRESET:
		must(e->is_socket && streams[e->in].no_writer);
		break;
	default:
		must_eq(rc, 0);
	}
}

static void no_more(const struct end *e, bool reading, bool writing)
{
	if (reading && e->in != NONE)
		streams[e->in].no_reader = streams[e->in].reset = true;
	if (writing && e->out != NONE)
		streams[e->out].no_writer = true;
	if (reading && e->is_socket)	/* unread bytes make a reset, which the other way feels */
		streams[e->out].reset = true;
}

/* ---- tasks on ends ---- */

enum what { READ, WRITE, FULL, ALL, RACE, SHUT, CLOSE };

struct user {
	struct weir_frame co;
	unsigned t, n, x;
	enum what what;
	struct end *e;
	uint64_t ns;
	int rc;
	struct weir_arm arm[2];
	union {
		struct weir_read_full rd;
		struct weir_write_all wr;
	} u;
	unsigned char buf[BYTES];
};

static struct weir_op *some_read(struct weir_op *op, struct user *s)
{
	if (s->e->is_socket && s->x % 2)
		return weir_recv(op, s->e->fd, s->buf, s->n, 0);
	return weir_read(op, s->e->fd, s->buf, s->n, -1);
}

static struct weir_op *some_write(struct weir_op *op, struct user *s)
{
	if (s->e->is_socket && s->x % 2)
		return weir_send(op, s->e->fd, s->buf, s->n, 0);
	return weir_write(op, s->e->fd, s->buf, s->n, -1);
}

/* A stream has one reader and one writer at a time. */
static bool begin(struct user *s)
{
	struct stream *in = s->e->in == NONE ? NULL : &streams[s->e->in];
	struct stream *out = s->e->out == NONE ? NULL : &streams[s->e->out];
	unsigned i;

	if (s->e->state == CLOSED)
		return false;
	switch (s->what) {
	case READ:
	case FULL:
	case RACE:
		if (!in || in->reading)
			return false;
		in->reading = true;
		break;
	case WRITE:
	case ALL:
		if (!out || out->writing)
			return false;
		out->writing = true;
		out->offered = s->n;
		for (i = 0; i < s->n; i++)
			s->buf[i] = nth(s->e->out, out->in + i);
		break;
	case SHUT:
		if (!s->e->is_socket)
			return false;
		no_more(s->e, s->x % 3 != SHUT_WR, s->x % 3 != SHUT_RD);
		break;
	default:
		if (s->e->state != OPEN)
			return false;
		no_more(s->e, true, true);
		s->e->state = CLOSING;
	}
	return true;
}

/* A read moved n bytes; rc is its result. */
static void end_read(struct user *s, int n, int rc)
{
	struct stream *in = &streams[s->e->in];

	in->reading = false;
	took(s->e->in, s->buf, n);
	if (rc < 0)
		failed(s->t, s->e, rc);
	else if (n < (int)s->n && (n == 0 || s->what == FULL))
		told_of_end(s->e->in);
}

/* The read may have lost, to the sleep or a cancel, and moved bytes for all that. */
static void end_race(struct user *s)
{
	int res = s->arm[0].op.res;

	if (s->rc == 0 || res >= 0)
		end_read(s, res > 0 ? res : 0, res);
	else
		streams[s->e->in].reading = false;
	if (s->rc < 0)
		must_eq(s->rc, ctxs[s->t].err);
	else
		must_eq(s->arm[1].op.res, s->rc == 1 ? 0 : -ECANCELED);
	must(s->rc != 1 || res >= 0 || res == -ECANCELED);
}

static void end_write(struct user *s, size_t n, int rc)
{
	struct stream *out = &streams[s->e->out];

	out->writing = false;
	out->offered = 0;
	out->in += n;
	must_le(n, s->n);
	if (rc < 0)
		failed(s->t, s->e, rc);
	else
		must(rc == (int)n && (s->what == WRITE || n == s->n));
}

static WEIR_CO(user, self, op)
{
	if (!begin(self))
		WEIR_RETURN(0);
	weir_ctx_enter(op, &ctxs[self->t]);
	switch (self->what) {
	case READ:
		WEIR_AWAIT(self->rc, some_read(op, self));
		end_read(self, self->rc > 0 ? self->rc : 0, self->rc);
		break;
	case WRITE:
		WEIR_AWAIT(self->rc, some_write(op, self));
		end_write(self, self->rc > 0 ? (size_t)self->rc : 0, self->rc);
		break;
	case FULL:
		WEIR_CALL(self->rc, self->u.rd, weir_read_full, .fd = self->e->fd,
			  .buf = self->buf, .len = self->n);
		end_read(self, (int)self->u.rd.done, self->rc);
		break;
	case ALL:
		WEIR_CALL(self->rc, self->u.wr, weir_write_all, .fd = self->e->fd,
			  .buf = self->buf, .len = self->n);
		end_write(self, self->u.wr.done, self->rc);
		break;
	case RACE:
		weir_ready(some_read(&self->arm[0].op, self));
		weir_ready(weir_sleep(&self->arm[1].op, self->ns));
		WEIR_AWAIT(self->rc, weir_select(op, self->arm, 2));
		end_race(self);
		break;
	case SHUT:
		WEIR_AWAIT(self->rc, weir_shutdown(op, self->e->fd, (int)self->x % 3));
		must(self->rc == 0 || errors || ctxs[self->t].err || self->e->state != OPEN ||
		     self->rc == -ENOTCONN);
		break;
	default:
		WEIR_AWAIT(self->rc, weir_close(op, self->e->fd));
		must(self->rc == 0 || (errors && self->rc != -EBADF));
		self->e->state = CLOSED;
	}
	fuzz_say("task %u: %d", self->t, self->rc);
	weir_ctx_leave(op, &ctxs[self->t]);
}
WEIR_END

/* ---- other tasks ---- */

struct filer {
	struct weir_frame co;
	unsigned t, at, n;
	bool writes;
	int rc;
	unsigned char buf[BYTES];
};

static void file_written(const struct filer *s)
{
	size_t n = s->rc > 0 ? (size_t)s->rc : 0;

	must_le(n, s->n);
	memcpy(file.data + s->at, s->buf, n);
	if (n && s->at + n > file.len)
		file.len = s->at + n;
}

static void file_read(const struct filer *s)
{
	size_t left = s->at < file.len ? file.len - s->at : 0;

	if (s->rc < 0)
		return;
	must_le(s->rc, s->n);
	must_le(s->rc, left);
	must(s->rc || !left || !s->n);
	must(memcmp(s->buf, file.data + s->at, (size_t)s->rc) == 0);
}

static WEIR_CO(filer, self, op)
{
	if (file.busy)
		WEIR_RETURN(0);
	file.busy = true;
	weir_ctx_enter(op, &ctxs[self->t]);
	if (self->writes) {
		memset(self->buf, (int)(self->t + 1), self->n);
		WEIR_AWAIT(self->rc, weir_write(op, file.fd, self->buf, self->n,
						(int64_t)self->at));
		file_written(self);
	} else {
		WEIR_AWAIT(self->rc, weir_read(op, file.fd, self->buf, self->n,
					       (int64_t)self->at));
		file_read(self);
	}
	must(self->rc >= 0 || errors || self->rc == ctxs[self->t].err);
	file.busy = false;
	weir_ctx_leave(op, &ctxs[self->t]);
}
WEIR_END

struct worker { struct weir_frame co; unsigned t, begun; int rc; };

static int job(void *arg)
{
	struct worker *w = arg;

	w->begun++;
	return weir_work_cancelled() ? 2 : 1;
}

static WEIR_CO(worker, self, op)
{
	weir_ctx_enter(op, &ctxs[self->t]);
	WEIR_AWAIT(self->rc, weir_work(op, NULL, job, self));
	must_eq(self->begun, self->rc > 0);
	must(self->rc > 0 || self->rc == ctxs[self->t].err);
	must(self->rc != 2 || ctxs[self->t].err);
	weir_ctx_leave(op, &ctxs[self->t]);
}
WEIR_END

struct peer {
	struct weir_frame co;
	unsigned t;
	bool answers;
	int fd, rc;
	struct sockaddr_in addr;
	socklen_t len;
};

static struct sockaddr_in here(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	a.sin_port = htons(PORT);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static WEIR_CO(peer, self, op)
{
	weir_ctx_enter(op, &ctxs[self->t]);
	self->addr = here();
	self->len = sizeof self->addr;
	if (self->answers) {
		WEIR_AWAIT(self->fd, weir_accept(op, listener, (struct sockaddr *)&self->addr,
						 &self->len, SOCK_CLOEXEC));
		self->rc = 0;
	} else {
		WEIR_AWAIT(self->fd, weir_socket(op, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		if (self->fd >= 0)
			WEIR_AWAIT(self->rc, weir_connect(op, self->fd,
							  (struct sockaddr *)&self->addr,
							  sizeof self->addr));
	}
	must(self->fd >= 0 || errors || self->fd == ctxs[self->t].err);
	must(self->fd < 0 || self->rc == 0 || errors || self->rc == ctxs[self->t].err);
	fuzz_say("task %u: descriptor %d, %d", self->t, self->fd, self->rc);
	if (self->fd >= 0)
		WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	weir_ctx_leave(op, &ctxs[self->t]);
}
WEIR_END

/* ---- the driver ---- */

struct driver {
	struct weir_frame co;
	struct weir_group group;
	uint64_t ns;
	unsigned i, tries;
	struct sockaddr_in addr;
	int fd[2], rc;
	unsigned char buf[BYTES];
};

static unsigned new_task(void)
{
	weir_ctx_init(&ctxs[n_tasks], weir_loop_ctx(loop));
	return n_tasks++;
}

static void start_user(struct weir_group *g, enum what what)
{
	unsigned e = fuzz_below(ENDS), x = fuzz_byte();
	unsigned n = what < SHUT ? 1 + fuzz_below(BYTES) : 0;
	uint64_t ns = what == RACE ? fuzz_ns() : 0;

	if (!n_ends || n_tasks == TASKS)
		return;
	e %= n_ends;
	fuzz_say("task %u: %u of end %u, n %u, x %u", n_tasks, what, e, n, x);
	must_eq(weir_go(g, user, .t = new_task(), .what = what, .e = &ends[e], .n = n, .x = x,
			.ns = ns), 0);
}

static void start_other(struct weir_group *g, unsigned what)
{
	unsigned at = what < 11 ? fuzz_byte() : 0;
	unsigned n = what < 11 ? fuzz_below(BYTES + 1) : 0;

	if (n_tasks == TASKS)
		return;
	fuzz_say("task %u: instruction %u, at %u, n %u", n_tasks, what, at, n);
	if (what < 11)
		must_eq(weir_go(g, filer, .t = new_task(), .writes = what == 9, .at = at,
				.n = n), 0);
	else if (what == 11)
		must_eq(weir_go(g, worker, .t = new_task()), 0);
	else
		must_eq(weir_go(g, peer, .t = new_task(), .answers = what == 13), 0);
}

static void add_pipe(const int fd[2])
{
	int s = n_streams;

	add_stream();
	add_end(fd[0], s, NONE, false);
	add_end(fd[1], NONE, s, false);
}

static void add_pair(void)
{
	int s = n_streams, fd[2], rc = weir_sim_socketpair(loop, fd);

	must_eq(rc, 0);
	add_stream();
	add_stream();
	add_end(fd[0], s, s + 1, true);
	add_end(fd[1], s + 1, s, true);
}

static bool room(void)
{
	return n_ends + 2 <= ENDS && n_streams + 2 <= STREAMS;
}

/* Bytes that must still be there. */
static bool unread(unsigned e)
{
	const struct stream *in = ends[e].in == NONE ? NULL : &streams[ends[e].in];

	return ends[e].state == OPEN && in && !in->reset && in->out < in->in;
}

static WEIR_CO(driver, self, op)
{
	unsigned what;

	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	for (file.fd = -1; file.fd < 0;)
		WEIR_AWAIT(file.fd, weir_open(op, "/file", O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	for (listener = -1; listener < 0;)
		WEIR_AWAIT(listener, weir_socket(op, AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	self->addr = here();
	WEIR_AWAIT(self->rc, weir_bind(op, listener, (struct sockaddr *)&self->addr,
				       sizeof self->addr));
	must_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_listen(op, listener, 4));
	must_eq(self->rc, 0);

	while (fuzz_left()) {
		switch (what = fuzz_below(17)) {
		case 0:
			if (!room())
				break;
			WEIR_AWAIT(self->rc, weir_pipe(op, self->fd, O_CLOEXEC));
			must(self->rc == 0 || errors);
			if (self->rc == 0)
				add_pipe(self->fd);
			break;
		case 1:
			if (room())
				add_pair();
			break;
		case 14:
			what = fuzz_below(n_tasks);
			fuzz_say("cancel %u", what);
			if (what < n_tasks)
				weir_ctx_cancel(&ctxs[what], 0);
			break;
		case 15:
			WEIR_AWAIT(self->rc, weir_yield(op));
			break;
		case 16:
			self->ns = fuzz_ns();
			fuzz_say("sleep %llu ns", (unsigned long long)self->ns);
			WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
			break;
		default:
			if (what < 9)
				start_user(&self->group, (enum what)(what - 2));
			else
				start_other(&self->group, what);
		}
	}
	fuzz_dump(loop);
	for (self->i = 0; self->i < n_tasks; self->i++)
		weir_ctx_cancel(&ctxs[self->i], 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->group));
	must_eq(self->rc, 0);

	for (self->i = 0; self->i < n_ends; self->i++) {
		for (self->tries = 0; unread(self->i) && self->tries < 1000; self->tries++) {
			WEIR_AWAIT(self->rc, weir_read(op, ends[self->i].fd, self->buf,
						       sizeof self->buf, -1));
			must(self->rc > 0 || errors);
			if (self->rc > 0)
				took(ends[self->i].in, self->buf, self->rc);
		}
		must(errors || !unread(self->i));
	}
	for (self->i = 0; self->i < n_ends; self->i++)
		if (ends[self->i].state == OPEN)
			WEIR_AWAIT(self->rc, weir_close(op, ends[self->i].fd));
	WEIR_AWAIT(self->rc, weir_close(op, file.fd));
	WEIR_AWAIT(self->rc, weir_close(op, listener));
}
WEIR_END

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned char content[FILE_BYTES];
	unsigned i;

	fuzz_input(data, size);
	errors = size && *data & WEIR_SIM_ERRORS;
	loop = fuzz_loop();
	n_streams = 0;
	n_ends = n_tasks = 0;
	memset(&file, 0, sizeof file);
	must_eq(weir_run(loop, driver), 0);
	for (i = 0; i < (unsigned)n_streams; i++)
		must(streams[i].eof == UINT64_MAX || streams[i].reset ||
		     streams[i].eof == streams[i].in);
	must_eq(weir_sim_content(loop, "/file", content, sizeof content), file.len);
	must(memcmp(content, file.data, file.len) == 0);
	for (i = n_tasks; i--;)
		weir_ctx_fini(&ctxs[i]);
	fuzz_loop_free(loop);
	return 0;
}
