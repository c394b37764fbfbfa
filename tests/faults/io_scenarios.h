/* SPDX-License-Identifier: MIT */
/* io_scenarios.h - files, pipes, sockets, threads and hosts; see scenarios.h. */
#ifndef IO_SCENARIOS_H
#define IO_SCENARIOS_H

#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/stat.h>

/* ---- files ---- */

/* A directory of its own for each run: where a ring has broken the kernel may still make one. */
static unsigned files_run;

static const char *path(const char *name)
{
	static char dir[4][64];
	static unsigned next;
	char *p = dir[next++ % 4];

	snprintf(p, sizeof dir[0], "/tmp/weir-faults-%d-%u%s", (int)getpid(), files_run, name);
	return p;
}

struct filer {
	struct weir_frame co;
	union {
		struct weir_write_all w;
		struct weir_read_full r;
	} call;
	struct statx st;
	char text[32], back[32], dir[64], a[64], b[64];
	int fd, rc;
};

static WEIR_CO(filer, self, op)
{
	int rc;

	strcpy(self->dir, path(""));
	strcpy(self->a, path("/a"));
	strcpy(self->b, path("/b"));
	strcpy(self->text, "what is written can be read");
	WEIR_TRY(rc, out, weir_mkdir(op, self->dir, 0700));
	WEIR_TRY(self->fd, not_open, weir_open(op, self->a, O_RDWR | O_CREAT, 0600));
	WEIR_CALL(self->rc, self->call.w, weir_write_all, .fd = self->fd, .buf = self->text,
		  .len = sizeof self->text);
	if (self->rc < 0)
		goto close_fd;
	WEIR_TRY(self->rc, close_fd, weir_fsync(op, self->fd));
	WEIR_TRY(self->rc, close_fd, weir_fdatasync(op, self->fd));
	WEIR_TRY(self->rc, close_fd, weir_statx(op, self->fd, "", AT_EMPTY_PATH, STATX_SIZE,
						&self->st));
	self->rc = expect(self->st.stx_size == sizeof self->text);
	if (self->rc < 0)
		goto close_fd;
	WEIR_TRY(self->rc, close_fd, weir_rename(op, self->a, self->b));
	WEIR_CALL(self->rc, self->call.r, weir_read_full, .fd = self->fd, .buf = self->back,
		  .len = sizeof self->back, .at = true);
	if (self->rc < 0)
		goto close_fd;
	self->rc = expect(self->rc == sizeof self->back && !strcmp(self->back, self->text));
	if (self->rc < 0)
		goto close_fd;
	WEIR_TRY(self->rc, close_fd, weir_unlink(op, self->b));
close_fd:
	WEIR_AWAIT(rc, weir_close(op, self->fd));
	self->rc = first(self->rc, rc);
	goto rmdir;
not_open:
	self->rc = self->fd;
rmdir:
	unlink(self->a);	/* what may be left on an error's way out */
	unlink(self->b);
	WEIR_AWAIT(rc, weir_unlinkat(op, AT_FDCWD, self->dir, AT_REMOVEDIR));
	rmdir(self->dir);
	rc = first(self->rc, rc);
out:
	WEIR_RETURN(rc);
}
WEIR_END

static int files(void)
{
	int rc;

	files_run++;
	rc = RUN(&on_virtual, filer);
	unlink(path("/a"));	/* the ring may have broken */
	unlink(path("/b"));
	rmdir(path(""));
	return rc;
}

/* ---- conf.check: notes of who opened, holds and waits for what ---- */

struct opener { struct weir_frame co; int fds[2], rc; };

static WEIR_CO(opener, self, op)
{
	int rc;

	WEIR_TRY(rc, out, weir_pipe(op, self->fds, 0));
	WEIR_AWAIT(self->rc, weir_close(op, self->fds[0]));
	WEIR_AWAIT(rc, weir_close(op, self->fds[1]));
	rc = first(self->rc, rc);
out:
	WEIR_RETURN(rc);
}
WEIR_END

static int notes(void)
{
	static const struct weir_loop_conf noting = { .virtual_clock = true, .check = true };
	int rc = RUN(&noting, opener);

	rc = first(rc, RUN(&noting, meeting));
	rc = first(rc, RUN(&noting, sems));
	rc = first(rc, RUN(&noting, plumber));
	fault_pardon(ENOMEM);	/* without memory there is no note */
	return rc;
}

/* ---- pipes: more readers than the ring has room for, twice; and reads that lose ---- */

#define READERS	20

WEIR_CHAN(bytes, char);

struct sip { struct weir_frame co; int fd, *sum; char c; };

static WEIR_CO(sip, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_read(op, self->fd, &self->c, 1, -1));
	if (rc > 0)
		*self->sum += self->c;
	WEIR_RETURN(rc == 0 ? -EPROTO : rc);
}
WEIR_END

struct plumbing {
	struct weir_frame co;
	struct weir_group g;
	struct weir_write_all w;
	struct weir_arm arm[2];
	struct bytes ch;
	char ones[READERS], c, d;
	int fds[2], i, rc, sum;
	unsigned interruptions;
};

/* They would fill the ring, so what they wait for is written before. */
static int start_readers(struct plumbing *self)
{
	int rc = 0;

	interrupted = self->interruptions;
	for (self->i = 0; self->i < READERS && rc == 0; self->i++)
		rc = weir_go(&self->g, sip, .fd = self->fds[0], .sum = &self->sum);
	return rc;
}

static WEIR_CO(plumbing, self, op)
{
	int rc;

	memset(self->ones, 1, READERS);
	self->rc = weir_chan_init(&self->ch, weir_op_loop(op), 1);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	WEIR_TRY(self->rc, fini_chan, weir_pipe(op, self->fds, O_NONBLOCK));

	WEIR_CALL(self->rc, self->w, weir_write_all, .fd = self->fds[1], .buf = self->ones,
		  .len = READERS);
	if (self->rc < 0)
		goto close_both;
	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	self->rc = start_readers(self);
	if (self->rc < 0)
		weir_group_cancel(&self->g, self->rc);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	self->rc = first(first(self->rc, rc), expect(self->sum == READERS));
	if (self->rc < 0)
		goto close_both;

	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	self->rc = start_readers(self);
	WEIR_AWAIT(rc, weir_yield(op));
	WEIR_AWAIT(rc, weir_yield(op));
	weir_group_cancel(&self->g, 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	fault_pardon(ECANCELED);	/* that is what they are to say */
	self->rc = first(self->rc, rc == -ECANCELED ? 0 : rc < 0 ? rc : -EPROTO);
	if (self->rc < 0)
		goto close_both;

	weir_ready(weir_read(&self->arm[0].op, self->fds[0], &self->d, 1, -1));
	weir_ready(weir_chan_recv(&self->arm[1].op, &self->ch, &self->c));
	self->c = 7;
	weir_chan_try_send(&self->ch, &self->c);
	WEIR_TRY(self->rc, close_both, weir_select(op, self->arm, 2));
	self->rc = self->arm[self->rc].op.res;
close_both:
	WEIR_AWAIT(rc, weir_close(op, self->fds[0]));
	self->rc = first(self->rc, rc);
	WEIR_AWAIT(rc, weir_close(op, self->fds[1]));
	self->rc = first(self->rc, rc);
fini_chan:
	weir_chan_fini(&self->ch);
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

static const struct weir_loop_conf narrow = { .ops = 16, .entries = 8, .virtual_clock = true };

static int pipes(void)
{
	return RUN(&narrow, plumbing);
}

/* The reads are to be tried again, all at once, which is more than find an entry. */
static int restless_pipes(void)
{
	int rc = RUN(&narrow, plumbing, .interruptions = 2 * READERS);

	interrupted = 0;
	return rc;
}

/* ---- sockets ---- */

struct session { struct weir_frame co; struct weir_send_all out; char buf[16]; int fd, rc; };

static WEIR_CO(session, self, op)
{
	int rc;

	do {
		WEIR_AWAIT(self->rc, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
		if (self->rc > 0)
			WEIR_CALL(self->rc, self->out, weir_send_all, .fd = self->fd,
				  .buf = self->buf, .len = (size_t)self->rc);
	} while (self->rc > 0);
	WEIR_AWAIT(rc, weir_close(op, self->fd));
	WEIR_RETURN(first(self->rc, rc));
}
WEIR_END

struct server {
	struct weir_frame co;
	struct weir_group *g;
	struct sockaddr_storage peer;
	socklen_t len;
	int fd, i, n;
};

static WEIR_CO(server, self, op)
{
	int rc, fd;

	for (self->i = 0; self->i < self->n; self->i++) {
		self->len = sizeof self->peer;
		WEIR_TRY(fd, out, weir_accept(op, self->fd, (struct sockaddr *)&self->peer,
					      &self->len, 0));
		rc = weir_go(self->g, session, .fd = fd);
		if (rc == 0)
			continue;
		WEIR_AWAIT(fd, weir_close(op, fd));
		WEIR_RETURN(first(weir_ctx_err(weir_op_ctx(op)), -ENOMEM));
	}
	WEIR_RETURN(0);
out:
	WEIR_RETURN(fd);
}
WEIR_END

struct client {
	struct weir_frame co;
	union {
		struct weir_send_all out;
		struct weir_read_full in;
	} call;
	struct sockaddr_storage addr;
	socklen_t len;
	char text[32], back[33];
	int fd, rc;
};

static WEIR_CO(client, self, op)
{
	int rc;

	memset(self->text, 'w', sizeof self->text);
	WEIR_TRY(self->fd, out, weir_socket(op, self->addr.ss_family, SOCK_STREAM, 0));
	WEIR_TRY(self->rc, close_fd, weir_connect(op, self->fd, (struct sockaddr *)&self->addr,
						  self->len));
	WEIR_CALL(self->rc, self->call.out, weir_send_all, .fd = self->fd, .buf = self->text,
		  .len = sizeof self->text);
	if (self->rc < 0)
		goto close_fd;
	WEIR_TRY(self->rc, close_fd, weir_shutdown(op, self->fd, SHUT_WR));
	WEIR_CALL(self->rc, self->call.in, weir_read_full, .fd = self->fd, .buf = self->back,
		  .len = sizeof self->back);
	if (self->rc >= 0)	/* all came back, and then the end */
		self->rc = expect(self->rc == sizeof self->text &&
				  memcmp(self->back, self->text, sizeof self->text) == 0);
close_fd:
	WEIR_AWAIT(rc, weir_close(op, self->fd));
	WEIR_RETURN(first(self->rc, rc));
out:
	WEIR_RETURN(self->fd);
}
WEIR_END

struct echo {
	struct weir_frame co;
	struct weir_group g;
	struct sockaddr_storage addr;
	socklen_t len;
	int made, quick, i, rc;
};

/* Two listeners, one made by hand. */
static WEIR_CO(echo, self, op)
{
	int rc;

	self->rc = weir_sockaddr_parse("127.0.0.1:0", &self->addr, &self->len);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	self->rc = self->quick = weir_listen_tcp("127.0.0.1:0", 8);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	WEIR_TRY(self->rc, close_quick, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	self->made = self->rc;
	WEIR_TRY(self->rc, close_made, weir_bind(op, self->made, (struct sockaddr *)&self->addr,
						 self->len));
	WEIR_TRY(self->rc, close_made, weir_listen(op, self->made, 8));
	self->rc = weir_socket_port(self->made);
	if (self->rc < 0)
		goto close_made;
	((struct sockaddr_in *)&self->addr)->sin_port = htons((uint16_t)self->rc);

	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	self->rc = weir_go(&self->g, server, .g = &self->g, .fd = self->made, .n = 2);
	for (self->i = 0; self->i < 2 && self->rc == 0; self->i++)
		self->rc = weir_go(&self->g, client, .addr = self->addr, .len = self->len);
	if (self->rc < 0)
		weir_group_cancel(&self->g, self->rc);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	self->rc = first(self->rc, rc);
close_made:
	WEIR_AWAIT(rc, weir_close(op, self->made));
	self->rc = first(self->rc, rc);
close_quick:
	WEIR_AWAIT(rc, weir_close(op, self->quick));
	WEIR_RETURN(first(self->rc, rc));
}
WEIR_END

static int sockets(void)
{
	return RUN(&on_virtual, echo);
}

/* ---- blocking work ---- */

static int triple(void *arg)
{
	int *n = arg;

	*n *= 3;
	return *n;
}

static int until_cancelled(void *arg)
{
	(void)arg;
	while (!weir_work_cancelled())
		sched_yield();
	return -ECANCELED;
}

struct job { struct weir_frame co; struct weir_workers *w; int n, *sum; };

static WEIR_CO(job, self, op)
{
	int rc;

	WEIR_TRY(rc, out, weir_work(op, self->w, triple, &self->n));
	*self->sum += rc;
	rc = 0;
out:
	WEIR_RETURN(rc);
}
WEIR_END

struct endless { struct weir_frame co; };

static WEIR_CO(endless, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_work(op, NULL, until_cancelled, NULL));
	WEIR_RETURN(rc);
}
WEIR_END

struct foreman {
	struct weir_frame co;
	struct weir_workers *w;
	struct weir_group g;
	int i, sum, rc;
};

static WEIR_CO(foreman, self, op)
{
	int rc;

	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	for (self->i = self->rc = 0; self->i < 6 && self->rc == 0; self->i++)
		self->rc = weir_go(&self->g, job, .w = self->i % 2 ? self->w : NULL, .n = self->i,
				   .sum = &self->sum);
	if (self->rc < 0)
		weir_group_cancel(&self->g, self->rc);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	self->rc = first(first(self->rc, rc), expect(self->sum == 3 * 15));
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	for (self->i = 0; self->i < 6 && self->rc == 0; self->i++)
		self->rc = weir_go(&self->g, endless);
	WEIR_AWAIT(rc, weir_yield(op));
	weir_group_cancel(&self->g, 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	WEIR_RETURN(first(self->rc, rc == -ECANCELED ? 0 : first(rc, -EPROTO)));
}
WEIR_END

static int work(void)
{
	static const struct weir_workers_conf two = { .threads = 2 };
	struct weir_workers *w;
	int rc = weir_workers_new(&w, &two);

	if (rc < 0)
		return rc;
	rc = RUN(&on_virtual, foreman, .w = w);
	weir_workers_free(w);
	return rc;
}

/* ---- ports ---- */

#define LETTERS	5

struct letter {
	struct weir_msg msg;
	struct ints *to;
	int n;
};

static struct letter letters[LETTERS];

static void deliver(struct weir_msg *msg)
{
	struct letter *l = weir_container_of(msg, struct letter, msg);

	weir_chan_try_send(l->to, &l->n);
}

static void *postman(void *arg)
{
	struct weir_port *port = arg;
	int i;

	for (i = 0; i < LETTERS; i++)
		if (weir_post(port, &letters[i].msg) < 0)
			break;
	weir_port_unref(port);
	return NULL;
}

static pthread_t postman_thread;
static bool postman_runs;

struct reader {
	struct weir_frame co;
	struct weir_port *port;
	struct ints ch;
	int i, n, sum, rc;
};

static WEIR_CO(reader, self, op)
{
	self->rc = weir_chan_init(&self->ch, weir_op_loop(op), LETTERS);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	self->rc = weir_port_new(&self->port, weir_op_loop(op));
	if (self->rc < 0)
		goto fini_chan;
	for (self->i = 0; self->i < LETTERS; self->i++)
		letters[self->i] = (struct letter){ { NULL, deliver }, &self->ch, self->i };
	weir_port_ref(self->port);
	self->rc = -__real_pthread_create(&postman_thread, NULL, postman, self->port);
	postman_runs = self->rc == 0;
	if (!postman_runs)
		weir_port_unref(self->port);
	for (self->i = 0; self->i < LETTERS && self->rc >= 0; self->i++) {
		WEIR_AWAIT(self->rc, weir_chan_recv(op, &self->ch, &self->n));
		self->sum += self->n;
	}
	weir_port_close(self->port);
	weir_port_unref(self->port);
fini_chan:
	weir_chan_fini(&self->ch);
	WEIR_RETURN(self->rc < 0 ? self->rc : expect(self->sum == 0 + 1 + 2 + 3 + 4));
}
WEIR_END

static int ports(void)
{
	int rc;

	postman_runs = false;
	rc = RUN(&on_virtual, reader);
	if (postman_runs)
		pthread_join(postman_thread, NULL);
	return rc;
}

/* ---- inside another loop ---- */

struct visitor {
	struct weir_frame co;
	struct ints ch;
	struct weir_group g;
	int fds[2], n, rc;
	char c;
};

static WEIR_CO(visitor, self, op)
{
	int rc;

	self->rc = weir_chan_init(&self->ch, weir_op_loop(op), 0);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	WEIR_TRY(self->rc, fini_chan, weir_pipe(op, self->fds, O_NONBLOCK));
	WEIR_TRY(self->rc, close_both, weir_sleep(op, 200 * WEIR_US));
	self->rc = weir_go(&self->g, producer, .ch = &self->ch, .n = 1);
	if (self->rc < 0)
		goto close_both;
	WEIR_TRY(self->rc, close_both, weir_chan_recv(op, &self->ch, &self->n));
	WEIR_TRY(self->rc, close_both, weir_write(op, self->fds[1], "x", 1, -1));
	WEIR_TRY(self->rc, close_both, weir_read(op, self->fds[0], &self->c, 1, -1));
	self->rc = expect(self->rc == 1 && self->c == 'x');
close_both:
	WEIR_AWAIT(rc, weir_close(op, self->fds[0]));
	self->rc = first(self->rc, rc);
	WEIR_AWAIT(rc, weir_close(op, self->fds[1]));
	self->rc = first(self->rc, rc);
fini_chan:
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	self->rc = first(self->rc, rc);
	weir_chan_fini(&self->ch);
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

static int host(struct weir_loop *loop, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int rc;

	do {
		rc = poll(&p, 1, 1000 * SECONDS);
		if (rc < 0 && errno == EINTR)
			continue;
		if (rc <= 0)
			return -EPROTO;		/* a wake-up is lost */
		rc = weir_loop_dispatch(loop);
	} while (rc > 0);
	return rc;
}

static int guest(void)
{
	struct weir_loop *loop;
	int fd, rc = weir_loop_new(&loop, &in_real_time);

	if (rc < 0)
		return rc;
	rc = fd = weir_loop_fd(loop);
	if (rc >= 0)
		rc = weir_go(weir_loop_group(loop), visitor);
	if (rc == 0)
		rc = host(loop, fd);
	free_loop(loop);
	return rc;
}

#endif
