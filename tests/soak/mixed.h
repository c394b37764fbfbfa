/* SPDX-License-Identifier: MIT */
/*
 * mixed.h - everything at once: channels, a pool with blocking jobs, a pipeline, a semaphore, a
 * server and its clients, files, and somebody who cancels one of them at a random step; on
 * simulated kernels, over as many seeds as WEIR_SEEDS says.  A body for weir_check_run().
 *
 * While it runs, at every step of the kernel, the structures that can be seen from outside must
 * make sense; at the end the books must balance.
 */
#ifndef SOAK_MIXED_H
#define SOAK_MIXED_H

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/loop.h"
#include "harness.h"
#include "kernel/sim.h"
#include "weir.h"

#define PRODUCERS	3
#define CONSUMERS	2
#define ITEMS		12	/* of each producer */
#define JOBS		20
#define LINES		15	/* through the pipeline */
#define CLIENTS		4
#define PERMITS		3
#define BYTES		90	/* of each client */
#define TRIES		100	/* of a client to connect */
#define PORT		4242
#define OPS		64	/* in flight at most: some will have to wait */

WEIR_CHAN(numbers, int);
WEIR_POOL(works, int);

/* Who takes what: the books.  Of one seed. */
static struct {
	uint64_t sent, got, dropped;		/* numbers */
	uint64_t held;				/* permits */
	uint64_t jobs_dropped, jobs_run;
	uint64_t lines_made, lines_seen, lines_dropped;
	uint64_t sessions, clients, echoed;
	uint64_t steps;
	bool peace;		/* nothing was cancelled, and the kernel is sound */
} books;

struct city {
	struct weir_frame co;
	struct weir_loop *loop;
	struct weir_group trade, server, clients, police;
	struct numbers numbers, lines, lines_out;
	struct weir_sem permits;
	struct works pool;
	struct weir_pipeline pipeline;
	struct weir_stage read, map, print;
	struct weir_pool_receipt receipt;
	int i, rc, worst;
};

static struct city *city_of;	/* for the inspector */
static bool aloud;

static uint64_t below(struct weir_op *op, uint64_t n)
{
	return weir_random(weir_op_loop(op)) % n;
}

static bool is_ctx_error(int rc)
{
	return rc == -ECANCELED || rc == -ETIMEDOUT;
}

/* ---- what must hold at every step ---- */

/* Too often for ck_assert(), which writes to a pipe each time. */
#define MUST(cond)	do { if (!(cond)) ck_abort_msg("%s", #cond); } while (0)

static void inspect_chan(const struct weir_chan *ch)
{
	bool senders = !weir_list_empty_(&ch->senders);
	bool receivers = !weir_list_empty_(&ch->receivers);

	MUST(ch->len <= ch->cap);
	MUST(!senders || !receivers);
	MUST(!receivers || !ch->len);
}

static void inspect_op(void *arg, struct weir_op *op)
{
	++*(uint64_t *)arg;
	MUST(op->state == WEIR_OP_WAITS_);
	MUST(weir_op_ctx(op)->loop == weir_op_loop(op));
}

static void count_tasks(void *arg, struct weir_ctx *ctx)
{
	const struct weir_list *l;

	for (l = ctx->tasks.next; l != &ctx->tasks; l = l->next)
		++*(uint64_t *)arg;
}

static void inspect(void *arg, const char *text)
{
	const struct city *c = city_of;
	struct weir_loop *loop = arg;
	uint64_t tasks = 0, ops = 0;
	struct weir_loop_stats s;

	if (aloud)
		fprintf(stderr, "%s\n", text);
	books.steps++;
	if (!c)
		return;
	inspect_chan(weir_chan_any(&c->numbers));
	inspect_chan(weir_chan_any(&c->lines));
	inspect_chan(&c->pool.pool.queue);
	MUST(c->permits.free >= 0 && c->permits.free <= c->permits.size);
	MUST(!c->permits.waiting == weir_list_empty_(&c->permits.waiters));
	weir_ctx_each_(loop, count_tasks, &tasks);
	MUST(tasks == loop->stats.tasks);
	loop->be->ops->each(loop->be, inspect_op, &ops);
	weir_loop_stats(loop, &s);
	MUST(s.in_flight <= OPS && ops >= s.in_flight && ops <= tasks);
	MUST(!s.unknown && !s.cq_overflows);
}

/* ---- channels ---- */

static void drop_number(void *arg, void *item)
{
	(void)item;
	++*(uint64_t *)arg;
}

struct producer {
	struct weir_frame co;
	struct numbers *to;
	int i, rc;
};

static WEIR_CO(producer, self, op)
{
	for (self->i = 0; self->i < ITEMS; self->i++) {
		WEIR_AWAIT(self->rc, weir_chan_send(op, self->to, &self->i));
		if (self->rc < 0)
			WEIR_RETURN(self->rc);
		books.sent++;
		if (below(op, 4) == 0)
			WEIR_AWAIT(self->rc, weir_sleep(op, below(op, WEIR_MS)));
	}
	WEIR_RETURN(0);
}
WEIR_END

/* Half of them by a select with a timeout. */
struct consumer {
	struct weir_frame co;
	struct numbers *from;
	struct weir_arm arm[2];
	int item, rc;
	bool selects;
};

static WEIR_CO(consumer, self, op)
{
	while (books.got < PRODUCERS * ITEMS) {
		if (self->selects) {
			weir_ready(weir_chan_recv(&self->arm[0].op, self->from, &self->item));
			weir_ready(weir_sleep(&self->arm[1].op, 2 * WEIR_MS));
			WEIR_AWAIT(self->rc, weir_select(op, self->arm, 2));
			if (self->rc == 1)
				continue;
			if (self->rc == 0)
				self->rc = self->arm[0].op.res;
		} else {
			WEIR_AWAIT(self->rc, weir_chan_recv(op, self->from, &self->item));
		}
		if (self->rc <= 0)
			WEIR_RETURN(self->rc);
		books.got++;
	}
	weir_chan_close(self->from);	/* the other consumers end too */
	WEIR_RETURN(0);
}
WEIR_END

/* ---- a pool, whose jobs need a permit, a thread, time, or a file ---- */

static int compute(void *arg)
{
	int *n = arg;

	*n = weir_work_cancelled() ? -ECANCELED : *n * 2;
	return *n;
}

struct work {
	struct weir_frame co;
	struct weir_sem *permits;
	int job, n, rc, fd;
	char path[16], text[8];
};

static WEIR_CO(work, self, op)
{
	books.jobs_run++;
	WEIR_AWAIT(self->rc, weir_sem_acquire(op, self->permits, 1));
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	books.held++;
	switch (self->job % 3) {
	case 0:
		self->n = self->job;
		WEIR_AWAIT(self->rc, weir_work(op, NULL, compute, &self->n));
		break;
	case 1:
		WEIR_AWAIT(self->rc, weir_sleep(op, below(op, 5 * WEIR_MS)));
		break;
	default:
		snprintf(self->path, sizeof self->path, "/job%d", self->job);
		WEIR_AWAIT(self->fd, weir_open(op, self->path, O_CREAT | O_WRONLY | O_APPEND,
					       0600));
		self->rc = self->fd;
		if (self->fd < 0)
			break;
		strcpy(self->text, "done\n");
		WEIR_AWAIT(self->rc, weir_write(op, self->fd, self->text, 5, -1));
		WEIR_AWAIT(self->fd, weir_close(op, self->fd));
	}
	books.held--;
	weir_sem_release(self->permits, 1);
	WEIR_RETURN(is_ctx_error(self->rc) ? self->rc : 0);
}
WEIR_END

/* ---- a pipeline ---- */

struct reading {
	struct weir_frame co;
	struct numbers *to;
	int i, rc;
};

static WEIR_CO(reading, self, op)
{
	for (self->i = 0; self->i < LINES; self->i++) {
		WEIR_AWAIT(self->rc, weir_chan_send(op, self->to, &self->i));
		if (self->rc < 0)
			WEIR_RETURN(self->rc);
		books.lines_made++;
	}
	WEIR_RETURN(0);
}
WEIR_END

struct mapping {
	struct weir_frame co;
	int in, out, rc;
};

static WEIR_CO(mapping, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, below(op, WEIR_MS)));
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	self->out = self->in;
	WEIR_RETURN(1);
}
WEIR_END

struct printing {
	struct weir_frame co;
	int line;
};

static WEIR_CO(printing, self, op)
{
	(void)op;
	MUST((uint64_t)self->line == books.lines_seen);	/* the map is ordered */
	books.lines_seen++;
	WEIR_RETURN(0);
}
WEIR_END

/* ---- a server and its clients ---- */

static struct sockaddr_in address(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(PORT),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

struct session {
	struct weir_frame co;
	struct weir_send_all send;
	int fd, n;
	char buf[16];
};

static WEIR_CO(session, self, op)
{
	books.sessions++;
	for (;;) {
		WEIR_AWAIT(self->n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
		if (self->n <= 0)
			break;
		WEIR_CALL(self->n, self->send, weir_send_all, .fd = self->fd, .buf = self->buf,
			  .len = (size_t)self->n);
		if (self->n < 0)
			break;
	}
	WEIR_AWAIT(self->n, weir_close(op, self->fd));
	books.sessions--;
	WEIR_RETURN(0);
}
WEIR_END

struct server {
	struct weir_frame co;
	struct weir_group sessions;
	struct sockaddr_in addr;
	int fd, one, rc;
};

static WEIR_CO(server, self, op)
{
	weir_group_init(&self->sessions, weir_op_ctx(op), NULL);
	self->addr = address();
	WEIR_AWAIT(self->fd, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	if (self->fd < 0)
		goto out;
	WEIR_AWAIT(self->rc, weir_bind(op, self->fd, (struct sockaddr *)&self->addr,
				       sizeof self->addr));
	if (self->rc == 0)
		WEIR_AWAIT(self->rc, weir_listen(op, self->fd, 4));
	while (self->rc >= 0) {
		WEIR_AWAIT(self->rc, weir_accept(op, self->fd, NULL, NULL, 0));
		if (self->rc < 0)
			break;
		self->one = self->rc;
		self->rc = weir_go(&self->sessions, session, .fd = self->one);
		if (self->rc < 0)
			WEIR_AWAIT(self->one, weir_close(op, self->one));
	}
	WEIR_AWAIT(self->fd, weir_close(op, self->fd));
out:
	weir_group_cancel(&self->sessions, 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->sessions));
	WEIR_RETURN(0);
}
WEIR_END

/* A task of its own: who only writes while the other only writes waits for ever.  So does who reads
 * what nobody will write. */
struct talker {
	struct weir_frame co;
	struct weir_send_all send;
	const char *text;
	int fd, rc;
};

static WEIR_CO(talker, self, op)
{
	WEIR_CALL(self->rc, self->send, weir_send_all, .fd = self->fd, .buf = self->text,
		  .len = BYTES);
	if (self->rc < 0)
		WEIR_AWAIT(self->rc, weir_shutdown(op, self->fd, SHUT_RDWR));
	WEIR_RETURN(0);
}
WEIR_END

struct client {
	struct weir_frame co;
	struct weir_group talk;
	struct weir_read_full rd;
	struct sockaddr_in addr;
	char out[BYTES], in[BYTES];
	unsigned tries;
	int fd, rc;
};

static WEIR_CO(client, self, op)
{
	memset(self->out, 'a' + (int)below(op, 26), sizeof self->out);
	weir_group_init(&self->talk, weir_op_ctx(op), NULL);
	self->addr = address();
	books.clients++;
	WEIR_AWAIT(self->fd, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	if (self->fd < 0)
		goto out;
	for (self->rc = -ECONNREFUSED; self->rc == -ECONNREFUSED && self->tries < TRIES;
	     self->tries++) {		/* who is quicker than the server comes again */
		WEIR_AWAIT(self->rc, weir_sleep(op, self->tries * WEIR_MS));
		if (self->rc == 0)
			WEIR_AWAIT(self->rc, weir_connect(op, self->fd,
							  (struct sockaddr *)&self->addr,
							  sizeof self->addr));
	}
	if (self->rc == 0)
		self->rc = weir_go(&self->talk, talker, .fd = self->fd, .text = self->out);
	if (self->rc == 0)
		WEIR_CALL(self->rc, self->rd, weir_read_full, .fd = self->fd, .buf = self->in,
			  .len = sizeof self->in);
	if (self->rc == BYTES) {
		ck_assert_mem_eq(self->in, self->out, BYTES);
		books.echoed++;
	}
	weir_group_cancel(&self->talk, 0);
out:
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->talk));
	if (self->fd >= 0)
		WEIR_AWAIT(self->fd, weir_close(op, self->fd));
	books.clients--;
	WEIR_RETURN(0);
}
WEIR_END

/* ---- who cancels ---- */

struct officer {
	struct weir_frame co;
	struct city *city;
	uint64_t steps;
	int rc;
};

static void raid(struct city *c, uint64_t what)
{
	switch (what) {
	case 0:
		weir_group_cancel(&c->trade, 0);
		break;
	case 1:
		weir_pool_abort(&c->pool, -EOWNERDEAD);
		break;
	case 2:
		weir_pipeline_cancel(&c->pipeline, 0);
		break;
	case 3:
		weir_group_cancel(&c->clients, 0);
		break;
	case 4:
		weir_group_cancel(&c->server, 0);
		break;
	case 5:
		weir_chan_hangup(&c->numbers);
		break;
	case 6:
		weir_ctx_cancel(weir_loop_ctx(c->loop), -EINTR);
		break;
	default:
		return;
	}
	books.peace = false;
}

static WEIR_CO(officer, self, op)
{
	for (self->steps = below(op, 60); self->steps; self->steps--) {
		WEIR_AWAIT(self->rc, weir_yield(op));
		if (self->rc < 0)
			WEIR_RETURN(0);
	}
	WEIR_AWAIT(self->rc, weir_sleep(op, below(op, 3) * WEIR_MS));
	raid(self->city, below(op, 12));
	WEIR_RETURN(0);
}
WEIR_END

/* ---- the city ---- */

static int build(struct city *c)
{
	int rc = weir_chan_init(&c->numbers, c->loop, weir_random(c->loop) % 4);

	rc = rc ? rc : weir_chan_init(&c->lines, c->loop, weir_random(c->loop) % 3);
	rc = rc ? rc : weir_chan_init(&c->lines_out, c->loop, weir_random(c->loop) % 3);
	rc = rc ? rc : weir_sem_init(&c->permits, c->loop, PERMITS);
	weir_chan_on_drop(&c->numbers, drop_number, &books.dropped);
	weir_chan_on_drop(&c->lines, drop_number, &books.lines_dropped);
	weir_chan_on_drop(&c->lines_out, drop_number, &books.lines_dropped);
	return rc;
}

static int open_pool(struct city *c, struct weir_ctx *ctx)
{
	const struct weir_pool_conf conf = {
		.workers = 4, .queue = (unsigned)(weir_random(c->loop) % 3), .drop = drop_number,
		.arg = &books.jobs_dropped,
	};

	return weir_pool_init(&c->pool, ctx, &conf, work, job, .permits = &c->permits);
}

static void settle(struct city *c)
{
	int i;

	for (i = 0; i < PRODUCERS; i++)
		weir_go(&c->trade, producer, .to = &c->numbers);
	for (i = 0; i < CONSUMERS; i++)
		weir_go(&c->trade, consumer, .from = &c->numbers, .selects = i % 2);
	weir_go(&c->server, server, .fd = -1);
	for (i = 0; i < CLIENTS; i++)
		weir_go(&c->clients, client, .fd = -1);
	c->read = (struct weir_stage){ .name = "read", .out = weir_chan_any(&c->lines) };
	c->map = (struct weir_stage){ .name = "map", .workers = 3, .ordered = true };
	c->print = (struct weir_stage){ .name = "print" };
	weir_pipeline_go(&c->pipeline, &c->read, reading, .to = &c->lines);
	weir_pipeline_map(&c->pipeline, &c->map, &c->lines, &c->lines_out, mapping, in, out);
	weir_pipeline_each(&c->pipeline, &c->print, &c->lines_out, printing, line);
	weir_go(&c->police, officer, .city = c);
}

static void balance(const struct city *c)
{
	const struct weir_pool_receipt *r = &c->receipt;

	ck_assert_uint_eq(books.sent, books.got + books.dropped);
	ck_assert_uint_eq(books.held, 0);
	ck_assert_int_eq(c->permits.free, PERMITS);
	ck_assert_uint_eq(r->submitted, r->finished + r->failed + r->aborted + r->dropped);
	ck_assert_uint_eq(r->submitted, books.jobs_run + books.jobs_dropped);
	ck_assert_uint_ge(books.lines_made, books.lines_seen);
	ck_assert_uint_eq(books.sessions, 0);
	ck_assert_uint_eq(books.clients, 0);
	if (!books.peace)
		return;
	ck_assert_uint_eq(books.got, PRODUCERS * ITEMS);
	ck_assert_uint_eq(books.lines_seen, LINES);
	ck_assert_uint_eq(r->finished, JOBS);
	ck_assert_uint_eq(books.echoed, CLIENTS);
}

static WEIR_CO(city, self, op)
{
	self->rc = build(self);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	weir_group_init(&self->trade, weir_op_ctx(op), NULL);
	weir_group_init(&self->server, weir_op_ctx(op), NULL);
	weir_group_init(&self->clients, weir_op_ctx(op), NULL);
	weir_group_init(&self->police, weir_op_ctx(op), NULL);
	weir_pipeline_init(&self->pipeline, weir_op_ctx(op));
	self->rc = open_pool(self, weir_op_ctx(op));
	ck_assert_int_eq(self->rc, 0);
	settle(self);
	city_of = self;
	for (self->i = 0; self->i < JOBS; self->i++) {
		WEIR_AWAIT(self->rc, weir_pool_submit(op, &self->pool, &self->i));
		if (self->rc < 0)
			break;
	}
	weir_pool_close(&self->pool);
	WEIR_AWAIT(self->rc, weir_pool_wait(op, &self->pool));
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->trade));
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->clients));
	weir_group_cancel(&self->server, 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->server));
	WEIR_AWAIT(self->rc, weir_pipeline_wait(op, &self->pipeline));
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->police));
	city_of = NULL;
	weir_pool_fini(&self->pool, &self->receipt);
	weir_pipeline_fini(&self->pipeline);
	weir_chan_hangup(&self->numbers);
	weir_chan_fini(&self->numbers);
	weir_chan_fini(&self->lines);
	weir_chan_fini(&self->lines_out);
	balance(self);
	weir_sem_fini(&self->permits);
	WEIR_RETURN(0);
}
WEIR_END

static int mixed(struct weir_loop *loop, void *arg)
{
	struct sim *sim = weir_sim_of_(loop->be);
	int rc;

	(void)arg;
	memset(&books, 0, sizeof books);
	books.peace = !(sim->conf.trouble & (WEIR_SIM_ERRORS | WEIR_SIM_JUMPS));
	city_of = NULL;
	aloud = sim->conf.trace;
	sim->conf.trace = inspect;
	sim->conf.trace_arg = loop;
	rc = weir_run(loop, city, .loop = loop);
	return is_ctx_error(rc) ? 0 : rc;
}

#endif
