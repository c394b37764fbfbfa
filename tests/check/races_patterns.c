/* SPDX-License-Identifier: MIT */
/*
 * races_patterns.c - what pools and pipelines order, and what they do not, with any schedule.
 */
#include "harness.h"
#include "weir.h"

#define SEEDS	40
#define JOBS	6

WEIR_CHAN(ints, int);
WEIR_POOL(numbers, int);

static struct weir_shared region;
static struct weir_sem lock;

struct access { struct weir_frame co; bool locked; int n, rc; };

/* An update of the region across an await. */
static WEIR_CO(access, self, op)
{
	if (self->locked)
		WEIR_TRY(self->rc, out, weir_sem_acquire(op, &lock, 1));
	weir_shared_read(&region);
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_MS * (uint64_t)self->n));
	weir_shared_write(&region);
	if (self->locked)
		weir_sem_release(&lock, 1);
out:
	WEIR_RETURN(self->rc < 0 ? self->rc : 1);
}
WEIR_END

/* ---- a pool ---- */

struct boss {
	struct weir_frame co;
	struct numbers pool;
	struct weir_pool_conf conf;
	unsigned workers;
	bool locked;
	int n, rc;
};

/* Its own accesses, before the jobs and after them, need no lock. */
static WEIR_CO(boss, self, op)
{
	WEIR_TRY(self->rc, out, weir_yield(op));
	self->conf = (struct weir_pool_conf){ .workers = self->workers, .queue = 2 };
	self->rc = weir_pool_init(&self->pool, weir_op_ctx(op), &self->conf, access, n,
				  .locked = self->locked);
	if (self->rc)
		goto out;
	weir_shared_write(&region);
	for (self->n = 0; self->n < JOBS; self->n++)
		WEIR_AWAIT(self->rc, weir_pool_submit(op, &self->pool, &self->n));
	weir_pool_close(&self->pool);
	WEIR_AWAIT(self->rc, weir_pool_wait(op, &self->pool));
	weir_pool_fini(&self->pool, NULL);
	weir_shared_write(&region);
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

/* ---- a pool that several submit to ---- */

static struct weir_shared own[JOBS];

struct reading { struct weir_frame co; int n; };

static WEIR_CO(reading, self, op)
{
	int rc;

	weir_shared_read(&own[self->n]);
	WEIR_AWAIT(rc, weir_yield(op));		/* its worker receives nothing more in this step */
	WEIR_RETURN(rc < 0 ? rc : 1);
}
WEIR_END

struct writer { struct weir_frame co; struct numbers *pool; int n; };

static WEIR_CO(writer, self, op)
{
	int rc;

	weir_shared_write(&own[self->n]);
	WEIR_AWAIT(rc, weir_pool_submit(op, self->pool, &self->n));
	WEIR_RETURN(rc < 0 ? rc : 0);
}
WEIR_END

struct office {
	struct weir_frame co;
	struct numbers pool;
	struct weir_pool_conf conf;
	struct weir_group writers;
	int n, rc;
};

/* The workers wait already: one of them is woken, and hands on what others have submitted since. */
static WEIR_CO(office, self, op)
{
	self->conf = (struct weir_pool_conf){ .workers = 3, .queue = JOBS };
	self->rc = weir_pool_init(&self->pool, weir_op_ctx(op), &self->conf, reading, n);
	if (self->rc)
		WEIR_RETURN(self->rc);
	weir_group_init(&self->writers, weir_op_ctx(op), NULL);
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_MS));
	for (self->n = 0; self->n < JOBS && self->rc == 0; self->n++)
		self->rc = weir_go(&self->writers, writer, .pool = &self->pool, .n = self->n);
	if (self->rc == 0)
		WEIR_AWAIT(self->rc, weir_group_wait(op, &self->writers));
	weir_group_fini(&self->writers);
	weir_pool_close(&self->pool);
	WEIR_AWAIT(self->n, weir_pool_wait(op, &self->pool));
	weir_pool_fini(&self->pool, NULL);
	WEIR_RETURN(self->rc < 0 ? self->rc : self->n);
}
WEIR_END

static int office_body(struct weir_loop *loop, void *arg)
{
	int i, rc, races;

	(void)arg;
	for (i = 0; i < JOBS; i++)
		weir_shared_init(&own[i], loop);
	rc = weir_run(loop, office);
	races = weir_races(loop);
	for (i = 0; i < JOBS; i++)
		weir_shared_fini(&own[i]);
	return rc ? rc : races ? -EEXIST : 0;
}

/* ---- a pipeline ---- */

struct source {
	struct weir_frame co;
	struct ints *to;
	bool locked;
	int n, rc;
	struct access access;
};

/* What it does after its last item comes before the end of the channel, whoever ends last. */
static WEIR_CO(source, self, op)
{
	for (self->n = 0; self->n < JOBS; self->n++)
		WEIR_TRY(self->rc, out, weir_chan_send(op, self->to, &self->n));
	WEIR_CALL(self->rc, self->access, access, .locked = self->locked);
out:
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

struct sink { struct weir_frame co; struct ints *from; int n, rc; };

static WEIR_CO(sink, self, op)
{
	do
		WEIR_TRY(self->rc, out, weir_chan_recv(op, self->from, &self->n));
	while (self->rc);
	weir_shared_write(&region);
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

struct lines {
	struct weir_frame co;
	struct weir_pipeline pipeline;
	struct weir_stage sources, copies, sinks;
	struct ints a, b;
	unsigned workers;
	bool locked;
	int rc;
};

struct copy { struct weir_frame co; int n, rc; };

static WEIR_CO(copy, self, op)
{
	WEIR_AWAIT(self->rc, weir_yield(op));
	WEIR_RETURN(1);
}
WEIR_END

static WEIR_CO(lines, self, op)
{
	self->rc = weir_chan_init(&self->a, weir_op_loop(op), 1);
	self->rc = self->rc ? self->rc : weir_chan_init(&self->b, weir_op_loop(op), 0);
	if (self->rc)
		goto out;
	weir_pipeline_init(&self->pipeline, weir_op_ctx(op));
	self->sources = (struct weir_stage){
		.name = "sources", .out = weir_chan_any(&self->a), .workers = self->workers,
	};
	weir_pipeline_go(&self->pipeline, &self->sources, source, .to = &self->a,
			 .locked = self->locked);
	self->copies = (struct weir_stage){ .name = "copies", .workers = 3, .ordered = true };
	weir_pipeline_map(&self->pipeline, &self->copies, &self->a, &self->b, copy, n, n);
	self->sinks = (struct weir_stage){ .name = "sinks", .in = weir_chan_any(&self->b) };
	weir_pipeline_go(&self->pipeline, &self->sinks, sink, .from = &self->b);
	WEIR_AWAIT(self->rc, weir_pipeline_wait(op, &self->pipeline));
	weir_pipeline_fini(&self->pipeline);
	weir_shared_write(&region);
	weir_chan_fini(&self->a);
	weir_chan_fini(&self->b);
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

/* ---- the tests ---- */

struct program { bool pipeline, locked; unsigned workers; int races; };

static int body(struct weir_loop *loop, void *arg)
{
	const struct program *p = arg;
	int rc, races;

	rc = weir_sem_init(&lock, loop, 1);
	if (rc)
		return rc;
	weir_shared_init(&region, loop);
	if (p->pipeline)
		rc = weir_run(loop, lines, .workers = p->workers, .locked = p->locked);
	else
		rc = weir_run(loop, boss, .workers = p->workers, .locked = p->locked);
	races = weir_races(loop);
	weir_shared_fini(&region);
	weir_sem_fini(&lock);
	if (rc)
		return rc;
	return races == p->races ? 0 : races > p->races ? -EEXIST : -ENOENT;
}

/* The races that are expected are counted by the body. */
static void unheard(void *arg, const char *text)
{
	(void)arg;
	(void)text;
}

#define ck_assert_races(n, ...)								\
	ck_assert_int_eq(weir_check_run(body, .seeds = test_some(SEEDS), .loop.check = true,	\
		.loop.report = (n) ? unheard : NULL,					\
		.arg = &(struct program){ __VA_ARGS__, .races = (n) }), 0)

START_TEST(a_job_comes_after_its_submit_and_before_the_end_of_its_pool)
{
	ck_assert_races(0, .workers = 3, .locked = true);
	ck_assert_races(0, .workers = 1, .locked = false);
}
END_TEST

START_TEST(jobs_are_in_no_order_with_each_other)
{
	ck_assert_races(2, .workers = 3, .locked = false);
}
END_TEST

START_TEST(a_job_that_one_worker_hands_on_to_another_comes_after_its_submit)
{
	ck_assert_int_eq(weir_check_run(office_body, .seeds = test_some(SEEDS),
					.loop.check = true), 0);
}
END_TEST

START_TEST(all_workers_of_a_stage_come_before_the_end_that_the_next_one_hears_of)
{
	ck_assert_races(0, .pipeline = true, .workers = 3, .locked = true);
	ck_assert_races(0, .pipeline = true, .workers = 1, .locked = false);
}
END_TEST

START_TEST(workers_of_a_stage_are_in_no_order_with_each_other)
{
	ck_assert_races(2, .pipeline = true, .workers = 3, .locked = false);
}
END_TEST

TESTS("races_patterns",
      a_job_comes_after_its_submit_and_before_the_end_of_its_pool,
      jobs_are_in_no_order_with_each_other,
      a_job_that_one_worker_hands_on_to_another_comes_after_its_submit,
      all_workers_of_a_stage_come_before_the_end_that_the_next_one_hears_of,
      workers_of_a_stage_are_in_no_order_with_each_other)
