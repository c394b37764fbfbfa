/* SPDX-License-Identifier: MIT */
/*
 * pool.c - a pool of workers: each job that it took is run once or dropped once, and told of.
 *
 * The language: three bytes of fuzz_loop(); workers, queue and capacity of the results' channel;
 * then instructions, each a byte, with arguments:
 *
 *	0 submit ns e	a task submits a job that sleeps and returns e
 *	1 try    ns e	the driver does, without waiting
 *	2 close
 *	3 abort
 *	4 above		the ctx above the pool is cancelled
 *	5 cancel t	the ctx of the t-th task that submits
 *	6 take		the driver takes a result without waiting
 *	7 yield		the driver lets others run
 *	8 sleep  ns	...until this time
 *
 *	9 drain  ns	...closes the pool, and ends it after this time; the rest is ignored
 *
 * Without a drain the driver waits for the end of all jobs.  e is an index of ends[].
 */
#include <string.h>

#include "kit/fuzz.h"

#define JOBS	64
#define WORKERS	4

static const int ends[] = { 0, 1, 2, -EIO, -ECANCELED, -ENOENT };
#define ENDS	(sizeof ends / sizeof *ends)

enum fate { OFFERED, TAKEN, KEPT };

static struct job_model {
	uint64_t ns;
	int end, rc;
	enum fate fate;
	bool begun, over, dropped, got, lost;	/* got, lost: its result */
} jobs[JOBS];
static unsigned n_jobs, running, workers;
static int first_error;		/* that a job returned of its own */
static bool closed, aborted;

WEIR_POOL(jobs_pool, unsigned);
WEIR_CHAN(results, unsigned);

static struct weir_loop *loop;
static struct jobs_pool pool;
static struct results results;
static struct weir_ctx above, ctxs[JOBS];

/* ---- a job ---- */

struct job { struct weir_frame co; unsigned id, result; int rc; };

static void begin(unsigned id)
{
	struct job_model *j = &jobs[id];

	must(j->fate != KEPT && !j->begun && !j->dropped);
	j->begun = true;
	must_le(++running, workers);
}

static int end(unsigned id, int rc, const struct weir_ctx *ctx)
{
	struct job_model *j = &jobs[id];

	must(rc == 0 || rc == ctx->err);
	j->over = true;
	j->rc = rc ? rc : j->end;
	running--;
	if (j->rc < 0 && !(ctx->err && ctx->err == j->rc) && !first_error)
		first_error = j->rc;
	fuzz_say("job %u ends: %d", id, j->rc);
	return j->rc;
}

static WEIR_CO(job, self, op)
{
	begin(self->id);
	WEIR_AWAIT(self->rc, weir_sleep(op, jobs[self->id].ns));
	self->result = self->id;
	WEIR_RETURN(end(self->id, self->rc, weir_op_ctx(op)));
}
WEIR_END

static void dropped(void *arg, void *item)
{
	struct job_model *j = &jobs[*(unsigned *)item];

	(void)arg;
	must(j->fate != KEPT && !j->begun && !j->dropped);
	j->dropped = true;
}

static void result_lost(void *arg, void *item)
{
	struct job_model *j = &jobs[*(unsigned *)item];

	(void)arg;
	must(j->over && j->rc > 0 && !j->got && !j->lost);
	j->lost = true;
}

static void result_got(unsigned id)
{
	struct job_model *j = &jobs[id];

	must(j->over && j->rc > 0 && !j->got && !j->lost);
	j->got = true;
}

/* ---- around the pool ---- */

static bool refuses(void)
{
	return closed || pool.pool.group.ctx.err;
}

static void submitted(unsigned id, int rc, int otherwise)
{
	struct job_model *j = &jobs[id];

	fuzz_say("job %u submitted: %d", id, rc);
	must(rc == 1 || (rc == -EPIPE && refuses()) || rc == otherwise);
	j->fate = rc == 1 ? TAKEN : KEPT;
	must(rc == 1 || (!j->begun && !j->dropped));
}

struct client { struct weir_frame co; unsigned id; int rc; };

static WEIR_CO(client, self, op)
{
	weir_ctx_enter(op, &ctxs[self->id]);
	WEIR_AWAIT(self->rc, weir_pool_submit(op, &pool, &self->id));
	submitted(self->id, self->rc, ctxs[self->id].err);
	weir_ctx_leave(op, &ctxs[self->id]);
}
WEIR_END

struct taker { struct weir_frame co; unsigned id; int rc; };

static WEIR_CO(taker, self, op)
{
	for (;;) {
		WEIR_AWAIT(self->rc, weir_chan_recv(op, &results, &self->id));
		if (self->rc != 1)
			break;
		result_got(self->id);
	}
	WEIR_RETURN(self->rc);
}
WEIR_END

struct driver {
	struct weir_frame co;
	struct weir_pool_drain drain;
	struct weir_group clients, takers;
	uint64_t ns;
	int rc;
};

static void offer(struct weir_group *g, bool wait)
{
	struct job_model j = { .ns = fuzz_ns(), .end = ends[fuzz_below(ENDS)] };
	unsigned id = n_jobs;

	if (n_jobs == JOBS)
		return;
	fuzz_say("job %u: %llu ns, then %d", id, (unsigned long long)j.ns, j.end);
	jobs[n_jobs] = j;
	weir_ctx_init(&ctxs[n_jobs++], weir_loop_ctx(loop));
	if (wait)
		must_eq(weir_go(g, client, .id = id), 0);
	else
		submitted(id, weir_pool_try_submit(&pool, &id), -EAGAIN);
}

static void step(struct weir_group *g, unsigned what)
{
	unsigned id = 0;

	switch (what) {
	case 0:
	case 1:
		offer(g, what == 0);
		break;
	case 2:
		fuzz_say("close");
		must_eq(weir_pool_close(&pool), closed || pool.pool.queue.hungup ? -EPIPE : 0);
		closed = true;
		break;
	case 3:
		fuzz_say("abort");
		weir_pool_abort(&pool, 0);
		aborted = true;
		break;
	case 4:
		fuzz_say("abort from above");
		weir_ctx_cancel(&above, 0);
		aborted = true;
		break;
	case 5:
		id = fuzz_below(n_jobs);
		fuzz_say("cancel %u", id);
		if (id < n_jobs)
			weir_ctx_cancel(&ctxs[id], 0);
		break;
	default:
		if (weir_chan_try_recv(&results, &id) == 1)
			result_got(id);
	}
}

static WEIR_CO(driver, self, op)
{
	unsigned what;

	weir_group_init(&self->clients, weir_op_ctx(op), NULL);
	weir_group_init(&self->takers, weir_op_ctx(op), NULL);
	self->ns = WEIR_FOREVER;
	while (fuzz_left()) {
		switch (what = fuzz_below(10)) {
		case 7:
			WEIR_AWAIT(self->rc, weir_yield(op));
			break;
		case 8:
			self->ns = fuzz_ns();
			fuzz_say("sleep %llu ns", (unsigned long long)self->ns);
			WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
			break;
		case 9:
			self->ns = fuzz_ns();
			goto last;
		default:
			step(&self->clients, what);
		}
	}
	self->ns = WEIR_FOREVER;
last:
	fuzz_say("drain, %llu ns", (unsigned long long)self->ns);
	fuzz_dump(loop);
	must_eq(weir_go(&self->takers, taker), 0);
	closed = true;
	WEIR_CALL(self->rc, self->drain, weir_pool_drain, .pool = weir_pool_any(&pool),
		  .ns = self->ns);
	fuzz_say("drained: %d", self->rc);
	if (first_error)
		must(self->rc == first_error || self->rc == -ETIMEDOUT);
	else if (self->rc == -ETIMEDOUT)
		must(self->ns < WEIR_FOREVER);
	else
		must(self->rc == 0 || (self->rc == -ECANCELED && aborted));
	must_eq(weir_chan_close(&results), 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->takers));
	must_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->clients));
	WEIR_RETURN(self->rc);
}
WEIR_END

/* ---- the whole ---- */

static void check(const struct weir_pool_receipt *r)
{
	struct weir_pool_receipt sum = { 0 };
	unsigned i;

	must_eq(running, 0);
	for (i = 0; i < n_jobs; i++) {
		const struct job_model *j = &jobs[i];

		must(j->fate != OFFERED);
		must_eq(j->begun + j->dropped, j->fate == TAKEN);
		must_eq(j->over, j->begun);
		must_eq(j->got + j->lost, j->over && j->rc > 0);
		sum.submitted += j->fate == TAKEN;
		sum.finished += j->over && j->rc >= 0;
		sum.failed += j->over && j->rc < 0;	/* or aborted */
		sum.dropped += j->dropped;
	}
	must_eq(r->submitted, sum.submitted);
	must_eq(r->finished, sum.finished);
	must_eq(r->failed + r->aborted, sum.failed);
	must_eq(r->dropped, sum.dropped);
	must(first_error ? r->failed : !r->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct weir_pool_receipt receipt;
	struct weir_pool_conf conf;
	unsigned i;

	fuzz_input(data, size);
	loop = fuzz_loop();
	n_jobs = running = 0;
	first_error = 0;
	closed = aborted = false;

	workers = 1 + fuzz_below(WORKERS);
	conf = (struct weir_pool_conf){ .workers = workers, .drop = dropped };
	conf.queue = fuzz_below(5);
	must_eq(weir_chan_init(&results, loop, fuzz_below(4)), 0);
	weir_chan_on_drop(&results, result_lost, NULL);
	weir_ctx_init(&above, weir_loop_ctx(loop));
	must_eq(weir_pool_init_results(&pool, &above, &conf, job, id, result, &results), 0);

	must_eq(weir_run(loop, driver), 0);
	weir_pool_fini(&pool, &receipt);
	weir_chan_fini(&results);
	check(&receipt);
	weir_ctx_fini(&above);
	for (i = n_jobs; i--;)
		weir_ctx_fini(&ctxs[i]);
	fuzz_loop_free(loop);
	return 0;
}
