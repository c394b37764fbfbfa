/* SPDX-License-Identifier: MIT */
/*
 * city.h - everything at once: channels, a pool with blocking jobs, a pipeline, a semaphore, a
 * server and its clients, files, and somebody who cancels one of them at a random step.
 *
 * Everyone here keeps books, at the step in which he does or learns of something: what inspect.h
 * holds the runtime to.  At the end the books must balance.
 */
#ifndef SOAK_CITY_H
#define SOAK_CITY_H

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
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
#define OPS		16	/* at most in flight: some have to wait for room */

WEIR_CHAN(numbers, int);
WEIR_POOL(works, int);

/* Who runs what, each the name of a coroutine. */
#define ROLES(X)									\
	X(producer) X(consumer) X(work) X(reading) X(mapping) X(printing) X(session) X(server)	\
	X(talker) X(client) X(officer) X(city)
#define ROLE(name)	AS_##name,
enum role { ROLES(ROLE) N_ROLES };

/* What went into a channel, and what became of it. */
struct ledger {
	uint64_t sent, got, dropped;
};

/* Of one seed. */
static struct {
	struct ledger numbers, jobs, lines;
	struct ledger lines_out;		/* sent: what the map has made */
	uint64_t living[N_ROLES];		/* who has begun and not ended */
	uint64_t permits;			/* held */
	uint64_t jobs_over, echoed;
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
	int i, rc;
};

static struct city *city_of;	/* while it stands, for the inspector */

/* Too often for ck_assert(), which writes to a pipe each time; and where the seeds run nobody reads
 * what that would say in the end. */
#define MUST(cond)	do { if (!(cond)) broken(#cond, __FILE__, __LINE__); } while (0)

static _Noreturn void broken(const char *law, const char *file, int line)
{
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, law);
	ck_abort_msg("%s", law);
}

static void begins(enum role r)
{
	books.living[r]++;
}

static void ends(enum role r)
{
	books.living[r]--;
}

static uint64_t below(struct weir_op *op, uint64_t n)
{
	return weir_random(weir_op_loop(op)) % n;
}

static bool is_ctx_error(int rc)
{
	return rc == -ECANCELED || rc == -ETIMEDOUT;
}

/* ---- channels ---- */

static void drop(void *arg, void *item)
{
	struct ledger *of = arg;

	(void)item;
	of->dropped++;
}

struct producer {
	struct weir_frame co;
	struct numbers *to;
	int i, rc;
};

static WEIR_CO(producer, self, op)
{
	begins(AS_producer);
	for (self->i = 0; self->i < ITEMS; self->i++) {
		WEIR_TRY(self->rc, out, weir_chan_send(op, self->to, &self->i));
		books.numbers.sent++;
		if (below(op, 4) == 0)
			WEIR_AWAIT(self->rc, weir_sleep(op, below(op, WEIR_MS)));
	}
	self->rc = 0;
out:
	ends(AS_producer);
	WEIR_RETURN(self->rc);
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
	begins(AS_consumer);
	while (books.numbers.got < PRODUCERS * ITEMS) {
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
			goto out;
		books.numbers.got++;
	}
	weir_chan_close(self->from);	/* the other consumers end too */
	self->rc = 0;
out:
	ends(AS_consumer);
	WEIR_RETURN(self->rc);
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
	begins(AS_work);
	books.jobs.got++;
	WEIR_TRY(self->rc, out, weir_sem_acquire(op, self->permits, 1));
	books.permits++;
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
	books.permits--;
	weir_sem_release(self->permits, 1);
out:
	books.jobs_over++;
	ends(AS_work);
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
	begins(AS_reading);
	for (self->i = 0; self->i < LINES; self->i++) {
		WEIR_TRY(self->rc, out, weir_chan_send(op, self->to, &self->i));
		books.lines.sent++;
	}
	self->rc = 0;
out:
	ends(AS_reading);
	WEIR_RETURN(self->rc);
}
WEIR_END

struct mapping {
	struct weir_frame co;
	int in, out, rc;
};

static WEIR_CO(mapping, self, op)
{
	begins(AS_mapping);
	books.lines.got++;
	WEIR_TRY(self->rc, out, weir_sleep(op, below(op, WEIR_MS)));
	self->out = self->in;
	books.lines_out.sent++;
	self->rc = 1;
out:
	ends(AS_mapping);
	WEIR_RETURN(self->rc);
}
WEIR_END

struct printing {
	struct weir_frame co;
	int line;
};

static WEIR_CO(printing, self, op)
{
	(void)op;
	MUST((uint64_t)self->line == books.lines_out.got);	/* the map is ordered */
	books.lines_out.got++;
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
	begins(AS_session);
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
	ends(AS_session);
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
	begins(AS_server);
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
	MUST(!books.living[AS_session]);
	ends(AS_server);
	WEIR_RETURN(0);
}
WEIR_END

/* A task of its own: who only writes while the other only writes waits for ever.  So does who reads
 * what nobody will write. */
struct talker {
	struct weir_frame co;
	struct weir_send_all send;
	const char *text;
	bool *talks;
	int fd, rc;
};

static WEIR_CO(talker, self, op)
{
	begins(AS_talker);
	*self->talks = true;
	WEIR_CALL(self->rc, self->send, weir_send_all, .fd = self->fd, .buf = self->text,
		  .len = BYTES);
	if (self->rc < 0)
		WEIR_AWAIT(self->rc, weir_shutdown(op, self->fd, SHUT_RDWR));
	*self->talks = false;
	ends(AS_talker);
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
	bool talks;
	int fd, rc;
};

static WEIR_CO(client, self, op)
{
	begins(AS_client);
	memset(self->out, 'a' + (int)below(op, 26), sizeof self->out);
	weir_group_init(&self->talk, weir_op_ctx(op), NULL);
	self->addr = address();
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
		self->rc = weir_go(&self->talk, talker, .fd = self->fd, .text = self->out,
				   .talks = &self->talks);
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
	MUST(!self->talks);
	if (self->fd >= 0)
		WEIR_AWAIT(self->fd, weir_close(op, self->fd));
	ends(AS_client);
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
	begins(AS_officer);
	for (self->steps = below(op, 60); self->steps; self->steps--)
		WEIR_TRY(self->rc, out, weir_yield(op));
	WEIR_AWAIT(self->rc, weir_sleep(op, below(op, 3) * WEIR_MS));
	raid(self->city, below(op, 12));
out:
	ends(AS_officer);
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
	weir_chan_on_drop(&c->numbers, drop, &books.numbers);
	weir_chan_on_drop(&c->lines, drop, &books.lines);
	weir_chan_on_drop(&c->lines_out, drop, &books.lines_out);
	return rc;
}

static int open_pool(struct city *c, struct weir_ctx *ctx)
{
	const struct weir_pool_conf conf = {
		.workers = 4, .queue = (unsigned)(weir_random(c->loop) % 3), .drop = drop,
		.arg = &books.jobs,
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

static bool is_settled(const struct ledger *l)
{
	return l->sent == l->got + l->dropped;
}

static void balance(const struct city *c)
{
	const struct weir_pool_receipt *r = &c->receipt;
	int i;

	ck_assert(is_settled(&books.numbers));
	ck_assert(is_settled(&books.jobs));
	ck_assert(is_settled(&books.lines));
	ck_assert(is_settled(&books.lines_out));
	ck_assert_uint_eq(books.permits, 0);
	ck_assert_int_eq(c->permits.free, PERMITS);
	ck_assert_uint_eq(r->submitted, books.jobs.sent);
	ck_assert_uint_eq(r->dropped, books.jobs.dropped);
	ck_assert_uint_eq(r->finished + r->failed + r->aborted, books.jobs_over);
	for (i = 0; i < N_ROLES; i++)
		ck_assert_uint_eq(books.living[i], i == AS_city);
	if (!books.peace)
		return;
	ck_assert_uint_eq(books.numbers.got, PRODUCERS * ITEMS);
	ck_assert_uint_eq(books.lines_out.got, LINES);
	ck_assert_uint_eq(r->finished, JOBS);
	ck_assert_uint_eq(books.echoed, CLIENTS);
}

static WEIR_CO(city, self, op)
{
	begins(AS_city);
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
		books.jobs.sent++;
	}
	weir_pool_close(&self->pool);
	WEIR_AWAIT(self->rc, weir_pool_wait(op, &self->pool));
	MUST(!books.living[AS_work]);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->trade));
	MUST(!books.living[AS_producer] && !books.living[AS_consumer]);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->clients));
	MUST(!books.living[AS_client] && !books.living[AS_talker]);
	weir_group_cancel(&self->server, 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->server));
	MUST(!books.living[AS_server]);
	WEIR_AWAIT(self->rc, weir_pipeline_wait(op, &self->pipeline));
	MUST(!books.living[AS_reading] && !books.living[AS_mapping]);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->police));
	MUST(!books.living[AS_officer]);
	city_of = NULL;
	weir_pool_fini(&self->pool, &self->receipt);
	weir_pipeline_fini(&self->pipeline);
	weir_chan_hangup(&self->numbers);
	weir_chan_fini(&self->numbers);
	weir_chan_fini(&self->lines);
	weir_chan_fini(&self->lines_out);
	balance(self);
	weir_sem_fini(&self->permits);
	ends(AS_city);
	WEIR_RETURN(0);
}
WEIR_END

#endif
