/* SPDX-License-Identifier: MIT */
/*
 * embed_epoll.c - a weir pipeline inside a program that has an event loop of its own.
 *
 * The host is plain epoll: it reads stdin and has a timer.  What it reads it hands to a pipeline,
 * which puts it through ROT13 on threads and prints it, at so many bytes a second.  Coroutines,
 * threads, timers and kernel operations: all of that hangs on one descriptor in the host's set.
 *
 *   weir_loop_fd()		first of all, once.  The host polls it for input, level-triggered,
 *				and never reads it.
 *   weir_loop_dispatch()	when it is readable, and when the host itself has used weir: sent,
 *				spawned, closed, cancelled.  It is one turn of weir's loop, never
 *				blocks, and returns how many tasks are left or how they failed.
 *
 * Outside of a task the host uses what need not wait: weir_chan_try_send() and the like.  -EAGAIN
 * means that the pipeline cannot keep up.  Then the host lets stdin be until there is room, which
 * slows down whoever writes to it.  See, on stderr, that the host ticks on time all the while, and
 * that no more is ever between in and out than the channels have room for.
 *
 * usage: COMMAND | embed_epoll [BYTES_A_SECOND], from 1 to 1e9
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "weir.h"

struct block {
	int len;
	char bytes[508];
};

WEIR_CHAN(blocks, struct block);

/* ---- weir's side ---- */

static int rot13(void *block)
{
	struct block *b = block;
	int i;

	for (i = 0; i < b->len; i++)
		if (isalpha((unsigned char)b->bytes[i]))
			b->bytes[i] += (b->bytes[i] & 31) <= 13 ? 13 : -13;
	return 1;
}

struct turn {
	struct weir_frame co;
	struct block block;
};

static WEIR_CO(turn, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_work(op, NULL, rot13, &self->block));
	WEIR_RETURN(rc);
}
WEIR_END

struct print {
	struct weir_frame co;
	struct block block;
	struct weir_limiter *limiter;
	long *printed;
	struct weir_write_all write;
};

static WEIR_CO(print, self, op)
{
	int n;

	WEIR_TRY(n, out, weir_limiter_wait(op, self->limiter, self->block.len));
	WEIR_CALL(n, self->write, weir_write_all, .fd = STDOUT_FILENO, .buf = self->block.bytes,
		  .len = (size_t)self->block.len, .offset = -1);
	*self->printed += self->block.len;
out:
	WEIR_RETURN(n);
}
WEIR_END

struct filter {
	struct weir_frame co;
	struct blocks *in, out;
	double rate;
	long *printed;
	struct weir_limiter limiter;
	struct weir_pipeline p;
	struct weir_stage turn, print;
};

static WEIR_CO(filter, self, op)
{
	int rc;

	rc = weir_limiter_init(&self->limiter, weir_op_loop(op), self->rate, sizeof(struct block));
	if (rc < 0)
		WEIR_RETURN(rc);
	rc = weir_chan_init(&self->out, weir_op_loop(op), 4);
	if (rc < 0)
		WEIR_RETURN(rc);
	weir_pipeline_init(&self->p, weir_op_ctx(op));
	/* A stage that cannot be added ends the pipeline, and weir_pipeline_wait() says why. */
	self->turn = (struct weir_stage){ .name = "turn", .workers = 4, .ordered = true };
	weir_pipeline_map(&self->p, &self->turn, self->in, &self->out, turn, block, block);
	self->print = (struct weir_stage){ .name = "print" };
	weir_pipeline_each(&self->p, &self->print, &self->out, print, block,
			   .limiter = &self->limiter, .printed = self->printed);
	WEIR_AWAIT(rc, weir_pipeline_wait(op, &self->p));
	weir_pipeline_fini(&self->p);
	weir_chan_fini(&self->out);
	weir_limiter_fini(&self->limiter);
	WEIR_RETURN(rc);
}
WEIR_END

/* ---- the host's side ---- */

struct host {
	int epoll, timer, weir;
	struct blocks to_weir;
	struct block block;	/* read and not sent yet, if it has a length */
	long ticks, read, printed, most;	/* most: at a time between read and printed */
};

/* stdin is heard of once, and then not before the host asks anew. */
static int watch(struct host *h, int op, int fd)
{
	uint32_t events = fd == STDIN_FILENO ? EPOLLIN | EPOLLONESHOT : EPOLLIN;

	return epoll_ctl(h->epoll, op, fd, &(struct epoll_event){ events, { .fd = fd } });
}

static void on_tick(struct host *h)
{
	uint64_t n = 0;

	if (read(h->timer, &n, sizeof n) == sizeof n)
		h->ticks += (long)n;
	fprintf(stderr, "tick %ld: %ld bytes in, %ld out\n", h->ticks, h->read, h->printed);
}

static void on_input(struct host *h)
{
	ssize_t n = read(STDIN_FILENO, h->block.bytes, sizeof h->block.bytes);

	if (n <= 0)
		weir_chan_close(&h->to_weir);
	h->block.len = n > 0 ? (int)n : 0;
	h->read += h->block.len;
	h->most = h->read - h->printed > h->most ? h->read - h->printed : h->most;
}

/* True: the pipeline took the block, and stdin may send the next. */
static bool feed(struct host *h)
{
	if (!h->block.len || weir_chan_try_send(&h->to_weir, &h->block) != 1)
		return false;
	h->block.len = 0;
	return watch(h, EPOLL_CTL_MOD, STDIN_FILENO) == 0;
}

static int serve(struct host *h, struct weir_loop *loop)
{
	struct epoll_event ev[4];
	int i, n, tasks;

	do {
		n = epoll_wait(h->epoll, ev, 4, -1);	/* EINTR: a turn does no harm */
		for (i = 0; i < n; i++) {
			if (ev[i].data.fd == h->timer)
				on_tick(h);
			if (ev[i].data.fd == STDIN_FILENO)
				on_input(h);
		}
		do
			tasks = weir_loop_dispatch(loop);
		while (tasks > 0 && feed(h));
	} while (tasks > 0);
	return tasks;
}

/* NaN is not in the range either. */
static bool is_rate(const char *arg)
{
	char *end;
	double rate = strtod(arg, &end);

	return end != arg && !*end && rate >= 1 && rate <= 1e9;
}

int main(int argc, char **argv)
{
	static const struct timespec tick = { 0, 50 * WEIR_MS };
	const char *rate = argc > 1 ? argv[1] : "400e3";
	struct weir_loop *loop;
	struct host h = { 0 };
	char why[512];
	int fd, left, rc;

	if (!is_rate(rate) || argc > 2) {
		fprintf(stderr, "usage: COMMAND | embed_epoll [BYTES_A_SECOND], from 1 to 1e9\n");
		return 2;
	}
	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {	/* or ours would be in its place */
		if (fcntl(fd, F_GETFD) >= 0)
			continue;
		fprintf(stderr, "embed_epoll: descriptor %d: %s\n", fd, strerror(errno));
		return 1;
	}
	h.epoll = epoll_create1(EPOLL_CLOEXEC);
	h.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	rc = weir_loop_new(&loop, NULL);
	if (rc == 0)
		rc = h.weir = weir_loop_fd(loop);
	if (rc >= 0)
		rc = weir_chan_init(&h.to_weir, loop, 4);
	if (rc >= 0)
		rc = weir_go(weir_loop_group(loop), filter, .in = &h.to_weir,
			     .rate = strtod(rate, NULL), .printed = &h.printed);
	if (rc < 0) {
		fprintf(stderr, "embed_epoll: %s\n", weir_explain(rc, why, sizeof why));
		return 1;
	}
	if (watch(&h, EPOLL_CTL_ADD, STDIN_FILENO) < 0 || watch(&h, EPOLL_CTL_ADD, h.timer) < 0 ||
	    watch(&h, EPOLL_CTL_ADD, h.weir) < 0) {
		perror("embed_epoll: epoll (stdin must be a pipe)");
		return 1;
	}
	timerfd_settime(h.timer, 0, &(struct itimerspec){ tick, tick }, NULL);
	signal(SIGPIPE, SIG_IGN);	/* the write returns -EPIPE, that is enough */

	rc = serve(&h, loop);
	weir_chan_fini(&h.to_weir);
	left = weir_loop_free(loop);
	fprintf(stderr, "%ld bytes read, %ld printed, %ld in between at most; %ld ticks\n"
		"%d tasks, timers or operations are left; result: %s\n", h.read, h.printed, h.most,
		h.ticks, left, strerror(-rc));
	return rc < 0 || left || h.read != h.printed;
}
