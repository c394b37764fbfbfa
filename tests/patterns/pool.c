/* SPDX-License-Identifier: MIT */
/*
 * pool.c - the worker pool: drains, aborts, fails, and in each case a receipt that adds up.
 *
 * A job is a number and what to do with it; the boss submits a list of them and then ends the pool
 * in the way that the test is about.
 */
#include <limits.h>
#include <liburing.h>
#include <string.h>
#include <unistd.h>

#include "core/loop.h"
#include "harness.h"
#include "weir.h"

enum what { WORK, FAIL, SLEEP, READ_PIPE, STUBBORN, FAIL_IF_CANCELLED };

struct order {
	enum what what;
	int n;
};

WEIR_POOL(workshop, struct order);
WEIR_CHAN(numbers, int);

static struct {
	int begun, ended, cancelled, dropped, late, most_at_once, at_once;
	int pipe[2];
} seen;

static void note_drop(void *arg, void *item)
{
	const struct order *o = item;

	ck_assert_ptr_eq(arg, &seen);
	ck_assert_int_ge(o->n, 0);
	seen.dropped++;
}

static void note_late(void *arg, const void *item)
{
	const struct order *o = item;

	ck_assert_ptr_eq(arg, &seen);
	ck_assert_int_eq(o->what, STUBBORN);
	seen.late++;
}

static const struct weir_op_def read_def = {
	.name = "read", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_READ,
};

static struct weir_op *read_pipe(struct weir_op *op, void *buf)
{
	weir_op_prepare_(op, &read_def);
	op->u.kernel.fd = seen.pipe[0];
	op->u.kernel.addr = (uintptr_t)buf;
	op->u.kernel.len = 1;
	op->u.kernel.off = 0;
	op->u.kernel.flags = 0;
	return op;
}

struct job {
	struct weir_frame co;
	struct order order;
	int doubled;
	int rc;
	struct weir_ctx shield;
};

static WEIR_CO(job, self, op)
{
	seen.begun++;
	seen.at_once++;
	if (seen.at_once > seen.most_at_once)
		seen.most_at_once = seen.at_once;
	self->doubled = 2 * self->order.n;
	WEIR_AWAIT(self->rc, weir_yield(op));
	switch (self->order.what) {
	case WORK:
		break;
	case FAIL:
		seen.at_once--;
		WEIR_RETURN(-EIO);
	case SLEEP:
		WEIR_AWAIT(self->rc, weir_sleep(op, 10 * WEIR_S));
		break;
	case READ_PIPE:
		WEIR_AWAIT(self->rc, read_pipe(op, &self->doubled));
		break;
	case FAIL_IF_CANCELLED:
		WEIR_AWAIT(self->rc, weir_sleep(op, 10 * WEIR_S));
		if (self->rc < 0)
			self->rc = -EIO;
		break;
	case STUBBORN:	/* does not hear the cancel until its shield is over */
		weir_shield(op, &self->shield, WEIR_HOUR);
		WEIR_AWAIT(self->rc, weir_sleep(op, 20 * WEIR_S));
		weir_unshield(op, &self->shield);
		self->rc = weir_ctx_err(weir_op_ctx(op));
		break;
	}
	seen.at_once--;
	seen.ended++;
	if (self->rc < 0)
		seen.cancelled++;
	WEIR_RETURN(self->rc < 0 ? self->rc : 1);
}
WEIR_END

enum ending { CLOSE, DRAIN, ABORT, JUST_WAIT };

struct boss {
	struct weir_frame co;
	struct workshop pool;
	struct weir_pool_conf conf;
	const struct order *orders;
	int n, i, sent, refused;
	enum ending ending;
	uint64_t drain_ns, settle;
	struct numbers *results;
	struct weir_pool_receipt *receipt;
	struct weir_pool_drain drain;
	int *result;
};

static WEIR_CO(boss, self, op)
{
	int rc;

	self->conf.drop = note_drop;
	self->conf.late = note_late;
	self->conf.arg = &seen;
	if (self->results)
		rc = weir_pool_init_results(&self->pool, weir_op_ctx(op), &self->conf, job, order,
					    doubled, self->results);
	else
		rc = weir_pool_init(&self->pool, weir_op_ctx(op), &self->conf, job, order);
	if (rc < 0)
		WEIR_RETURN(rc);
	for (; self->i < self->n; self->i++) {
		WEIR_AWAIT(rc, weir_pool_submit(op, &self->pool, &self->orders[self->i]));
		if (rc == 1)
			self->sent++;
		else
			self->refused++;
	}
	if (self->settle)
		WEIR_AWAIT(rc, weir_sleep(op, self->settle));
	if (self->ending == CLOSE) {
		ck_assert_int_eq(weir_pool_close(&self->pool), 0);
		ck_assert_int_eq(weir_pool_try_submit(&self->pool, &self->orders[0]), -EPIPE);
		WEIR_AWAIT(rc, weir_pool_submit(op, &self->pool, &self->orders[0]));
		ck_assert(rc == -EPIPE || rc == -ECANCELED);
	}
	if (self->ending == ABORT)
		weir_pool_abort(&self->pool, -EDOM);
	if (self->ending == DRAIN)
		WEIR_CALL(*self->result, self->drain, weir_pool_drain,
			  .pool = weir_pool_any(&self->pool), .ns = self->drain_ns);
	else
		WEIR_AWAIT(*self->result, weir_pool_wait(op, &self->pool));
	weir_pool_fini(&self->pool, self->receipt);
	ck_assert_uint_eq(self->receipt->submitted, (unsigned)self->sent);
	WEIR_RETURN(0);
}
WEIR_END

static void ck_adds_up(const struct weir_pool_receipt *r)
{
	ck_assert_uint_eq(r->submitted, r->finished + r->failed + r->aborted + r->dropped);
	ck_assert_uint_eq(r->dropped, (unsigned)seen.dropped);
	ck_assert_uint_eq(r->late, (unsigned)seen.late);
	ck_assert_uint_eq(r->finished + r->failed + r->aborted, (unsigned)seen.begun);
}

#define RUN(loop, res, rcpt, ...)	\
	weir_run(loop, boss, .result = (res), .receipt = (rcpt), __VA_ARGS__)

START_TEST(close_finishes_queued_and_running_jobs)
{
	struct weir_loop *loop = test_loop();
	struct order orders[100];
	struct weir_pool_receipt r;
	int i, result = 1;

	for (i = 0; i < 100; i++)
		orders[i] = (struct order){ SLEEP, i };
	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 100, .ending = CLOSE,
			     .conf = { .workers = 8, .queue = 100 }), 0);
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(r.finished, 100);
	ck_assert_int_eq(seen.ended, 100);
	ck_assert_int_eq(seen.most_at_once, 8);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_failed_job_cancels_the_others_and_is_the_result)
{
	struct weir_loop *loop = test_loop();
	struct order orders[20];
	struct weir_pool_receipt r;
	uint64_t began = weir_now(loop);
	int i, result = 1;

	for (i = 0; i < 20; i++)
		orders[i] = (struct order){ i == 3 ? FAIL : SLEEP, i };
	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 20, .ending = JUST_WAIT,
			     .conf = { .workers = 8, .queue = 20 }), 0);
	ck_assert_int_eq(result, -EIO);
	ck_assert_uint_eq(weir_now(loop), began);	/* at once: nobody slept on */
	ck_assert_int_eq(seen.cancelled, 7);
	ck_assert_uint_eq(r.failed, 1);
	ck_assert_uint_eq(r.aborted, 7);
	ck_assert_uint_eq(r.dropped, 12);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_failure_while_draining_turns_the_drain_into_an_abort)
{
	struct weir_loop *loop = test_loop();
	struct order orders[10];
	struct weir_pool_receipt r;
	int i, result = 1;

	for (i = 0; i < 10; i++)
		orders[i] = (struct order){ i == 5 ? FAIL : SLEEP, i };
	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 10, .ending = DRAIN,
			     .drain_ns = WEIR_HOUR, .conf = { .workers = 2, .queue = 10 }), 0);
	ck_assert_int_eq(result, -EIO);
	ck_assert_uint_gt(r.dropped, 0);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

START_TEST(abort_ends_kernel_ops_in_flight)
{
	struct weir_loop *loop = test_loop();
	struct order orders[4] = {
		{ READ_PIPE, 0 }, { READ_PIPE, 1 }, { READ_PIPE, 2 }, { READ_PIPE, 3 },
	};
	struct weir_pool_receipt r;
	struct weir_loop_stats stats;
	int result = 1;

	ck_assert_int_eq(pipe(seen.pipe), 0);
	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 4, .ending = DRAIN,
			     .drain_ns = 0, .settle = 0, .conf = { .workers = 4, .queue = 4 }), 0);
	ck_assert_int_eq(result, -ETIMEDOUT);
	ck_assert_uint_eq(r.aborted + r.dropped, 4);
	weir_loop_stats(loop, &stats);
	ck_assert_uint_eq(stats.in_flight, 0);
	close(seen.pipe[0]);
	close(seen.pipe[1]);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_drain_past_its_deadline_aborts_and_names_who_was_late)
{
	struct weir_loop *loop = test_loop();
	struct order orders[6];
	struct weir_pool_receipt r;
	uint64_t began = weir_now(loop);
	int i, result = 1;

	for (i = 0; i < 6; i++)
		orders[i] = (struct order){ STUBBORN, i };
	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 6, .ending = DRAIN,
			     .drain_ns = 5 * WEIR_S, .conf = { .workers = 2, .queue = 6 }), 0);
	ck_assert_int_eq(result, -ETIMEDOUT);
	ck_assert_int_eq(seen.late, 2);
	ck_assert_uint_eq(r.aborted, 2);
	ck_assert_uint_eq(r.dropped, 4);
	/* it waits for those who are late */
	ck_assert_uint_eq(weir_now(loop) - began, 20 * WEIR_S);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_drain_in_time_returns_zero)
{
	struct weir_loop *loop = test_loop();
	struct order orders[4] = { { SLEEP, 0 }, { SLEEP, 1 }, { SLEEP, 2 }, { SLEEP, 3 } };
	struct weir_pool_receipt r;
	int result = 1;

	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 4, .ending = DRAIN,
			     .drain_ns = 20 * WEIR_S + 1, .conf = { .workers = 2, .queue = 4 }), 0);
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(r.finished, 4);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_job_that_fails_as_it_is_cancelled_counts_as_failed)
{
	struct order orders[2] = { { FAIL_IF_CANCELLED, 0 }, { SLEEP, 1 } };
	struct weir_loop *loop = test_loop();
	struct weir_pool_receipt r;
	int result = 1;

	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 2, .ending = ABORT,
			     .settle = WEIR_S, .conf = { .workers = 2, .queue = 2 }), 0);
	ck_assert_int_eq(result, -EIO);
	ck_assert_uint_eq(r.failed, 1);
	ck_assert_uint_eq(r.aborted, 1);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

START_TEST(abort_gives_the_cause_and_drops_what_never_ran)
{
	struct weir_loop *loop = test_loop();
	struct order orders[10];
	struct weir_pool_receipt r;
	int i, result = 1;

	for (i = 0; i < 10; i++)
		orders[i] = (struct order){ SLEEP, i };
	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 10, .ending = ABORT,
			     .settle = WEIR_S, .conf = { .workers = 3, .queue = 10 }), 0);
	ck_assert_int_eq(result, -ECANCELED);
	ck_assert_uint_eq(r.aborted, 3);
	ck_assert_uint_eq(r.dropped, 7);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

START_TEST(submit_waits_for_room_and_learns_of_the_failure)
{
	struct weir_loop *loop = test_loop();
	struct order orders[50];
	struct weir_pool_receipt r;
	int i, result = 1;

	for (i = 0; i < 50; i++)
		orders[i] = (struct order){ i == 10 ? FAIL : WORK, i };
	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 50, .ending = JUST_WAIT,
			     .conf = { .workers = 2, .queue = 0 }), 0);
	ck_assert_int_eq(result, -EIO);
	ck_assert_uint_lt(r.submitted, 50);
	ck_assert_int_eq(seen.most_at_once, 2);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

struct reader {
	struct weir_frame co;
	struct numbers *ch;
	int v, n;
	long *sum;
};

static WEIR_CO(reader, self, op)
{
	int rc;

	for (; self->n > 0; self->n--) {
		WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->v));
		if (rc <= 0)
			WEIR_RETURN(-EPROTO);
		*self->sum += self->v;
	}
	WEIR_RETURN(0);
}
WEIR_END

START_TEST(results_go_to_a_channel_with_backpressure)
{
	struct weir_loop *loop = test_loop();
	struct order orders[100];
	struct weir_pool_receipt r;
	struct numbers results;
	long sum = 0;
	int i, result = 1;

	for (i = 0; i < 100; i++)
		orders[i] = (struct order){ WORK, i };
	ck_assert_int_eq(weir_chan_init(&results, loop, 1), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), reader, .ch = &results, .n = 100,
				 .sum = &sum), 0);
	ck_assert_int_eq(RUN(loop, &result, &r, .orders = orders, .n = 100, .ending = CLOSE,
			     .results = &results, .conf = { .workers = 4, .queue = 2 }), 0);
	ck_assert_int_eq(result, 0);
	ck_assert_int_eq(sum, 99 * 100);
	ck_adds_up(&r);
	weir_chan_fini(&results);
	test_loop_free(loop);
}
END_TEST

/* Cancels its group a little later. */
struct killer {
	struct weir_frame co;
	uint64_t ns;
	struct weir_group *victim;
};

static WEIR_CO(killer, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep(op, self->ns));
	weir_group_cancel(self->victim, -EXDEV);
	WEIR_RETURN(rc);
}
WEIR_END

struct parent {
	struct weir_frame co;
	struct weir_group inner;
	const struct order *orders;
	struct weir_pool_receipt *receipt;
	int *result;
};

static WEIR_CO(parent, self, op)
{
	int rc;

	weir_group_init(&self->inner, weir_op_ctx(op), NULL);
	rc = weir_go(&self->inner, boss, .orders = self->orders, .n = 8, .ending = JUST_WAIT,
		     .result = self->result, .receipt = self->receipt,
		     .conf = { .workers = 2, .queue = 8 });
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(weir_go(weir_loop_group(weir_op_loop(op)), killer, .ns = WEIR_S,
				 .victim = &self->inner), 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->inner));
	WEIR_RETURN(rc);
}
WEIR_END

START_TEST(cancelling_the_parent_ctx_aborts_work_in_flight)
{
	struct weir_loop *loop = test_loop();
	struct order orders[8];
	struct weir_pool_receipt r;
	int i, result = 1;

	for (i = 0; i < 8; i++)
		orders[i] = (struct order){ SLEEP, i };
	ck_assert_int_eq(weir_run(loop, parent, .orders = orders, .receipt = &r,
				  .result = &result), 0);
	ck_assert_int_eq(result, -ECANCELED);
	ck_assert_uint_eq(r.aborted, 2);
	ck_assert_uint_eq(r.dropped, 6);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

/* It is the worker's already, for the queue's hook it is too late. */
START_TEST(a_job_that_a_worker_has_just_been_given_is_dropped_by_an_abort)
{
	struct weir_pool_conf conf = {
		.workers = 1, .queue = 1, .drop = note_drop, .arg = &seen,
	};
	struct order order = { WORK, 1 };
	struct weir_loop *loop = test_loop();
	struct weir_pool_receipt r;
	struct workshop pool;

	ck_assert_int_eq(weir_pool_init(&pool, weir_loop_ctx(loop), &conf, job, order), 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_pool_try_submit(&pool, &order), 1);
	weir_pool_abort(&pool, 0);
	while (pool.pool.group.active)
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
	weir_pool_fini(&pool, &r);
	weir_group_fini(&pool.pool.group);
	ck_assert_uint_eq(r.submitted, 1);
	ck_assert_uint_eq(r.dropped, 1);
	ck_assert_int_eq(seen.begun, 0);
	ck_adds_up(&r);
	test_loop_free(loop);
}
END_TEST

/* Its workers wait already when it submits as much as goes in, in one step. */
struct crowd {
	struct weir_frame co;
	struct workshop pool;
	struct weir_pool_conf conf;
	struct weir_arm arm;
	struct order order;
	bool selects;
	int most, *accepted;
	uint64_t settle;
};

static WEIR_CO(crowd, self, op)
{
	int rc;

	self->conf.arg = &seen;
	rc = weir_pool_init(&self->pool, weir_op_ctx(op), &self->conf, job, order);
	if (rc < 0)
		WEIR_RETURN(rc);
	WEIR_AWAIT(rc, weir_yield(op));
	self->order.what = SLEEP;
	do {
		if (self->selects) {
			weir_ready(weir_pool_submit(&self->arm.op, &self->pool, &self->order));
			WEIR_AWAIT(rc, weir_select_try(op, &self->arm, 1));
			rc = rc == 0 ? self->arm.op.res : rc;
		} else {
			rc = weir_pool_try_submit(&self->pool, &self->order);
		}
		*self->accepted += rc == 1;
	} while (rc == 1 && *self->accepted < self->most);
	ck_assert_int_eq(rc, *self->accepted < self->most ? -EAGAIN : 1);
	WEIR_AWAIT(rc, weir_sleep(op, self->settle));
	ck_assert_int_eq(weir_pool_close(&self->pool), 0);
	WEIR_AWAIT(rc, weir_pool_wait(op, &self->pool));
	weir_pool_fini(&self->pool, NULL);
	WEIR_RETURN(rc);
}
WEIR_END

static void ck_crowd(bool selects, unsigned queue)
{
	struct weir_loop *loop = test_loop();
	uint64_t began = weir_now(loop);
	int accepted = 0;

	memset(&seen, 0, sizeof seen);
	ck_assert_int_eq(weir_run(loop, crowd, .accepted = &accepted, .selects = selects,
				  .most = INT_MAX, .conf = { .workers = 4, .queue = queue }), 0);
	ck_assert_int_eq(accepted, 4 + (int)queue);
	ck_assert_int_eq(seen.most_at_once, 4);
	ck_assert_int_eq(seen.ended, accepted);
	ck_assert_uint_eq(weir_now(loop) - began, (1 + (queue + 3) / 4) * 10 * WEIR_S);
	test_loop_free(loop);
}

START_TEST(idle_workers_and_the_queue_take_what_is_submitted_in_one_step)
{
	static const unsigned queues[] = { 0, 1, 3, 9 };
	unsigned i;

	for (i = 0; i < sizeof queues / sizeof *queues; i++) {
		ck_crowd(false, queues[i]);
		ck_crowd(true, queues[i]);
	}
}
END_TEST

START_TEST(jobs_that_wait_do_not_keep_those_queued_behind_them_from_idle_workers)
{
	uint64_t settle;

	for (settle = 0; settle <= WEIR_S; settle += WEIR_S) {
		struct weir_loop *loop = test_loop();
		uint64_t began = weir_now(loop);
		int accepted = 0;

		memset(&seen, 0, sizeof seen);
		ck_assert_int_eq(weir_run(loop, crowd, .accepted = &accepted, .most = 4,
					  .settle = settle,
					  .conf = { .workers = 4, .queue = 4 }), 0);
		ck_assert_int_eq(seen.most_at_once, 4);
		ck_assert_uint_eq(weir_now(loop) - began, 10 * WEIR_S);
		test_loop_free(loop);
	}
}
END_TEST

START_TEST(a_pool_starts_all_its_workers_or_none)
{
	struct weir_loop *loop = test_loop_plain();
	struct workshop pool;
	struct weir_pool_conf conf = { .workers = 200, .queue = 4 };
	struct weir_loop_stats stats;
	unsigned n;
	int rc = -ENOMEM;

	ck_assert_int_eq(weir_pool_init(&pool, weir_loop_ctx(loop), &(struct weir_pool_conf){ 0 },
					job, order), -EINVAL);
	for (n = 1; rc == -ENOMEM; n++) {
		test_fail_alloc(n);
		rc = weir_pool_init(&pool, weir_loop_ctx(loop), &conf, job, order);
		ck_assert(test_fail_alloc(0) == (rc == -ENOMEM));
		weir_loop_stats(loop, &stats);
		ck_assert_uint_eq(stats.tasks, rc ? 0 : 200);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 3);
	ck_assert_int_eq(weir_pool_close(&pool), 0);
	while (pool.pool.group.active)
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
	weir_pool_fini(&pool, NULL);
	weir_group_fini(&pool.pool.group);
	test_loop_free(loop);
}
END_TEST

TESTS("pool", close_finishes_queued_and_running_jobs,
      a_failed_job_cancels_the_others_and_is_the_result,
      a_failure_while_draining_turns_the_drain_into_an_abort, abort_ends_kernel_ops_in_flight,
      a_drain_past_its_deadline_aborts_and_names_who_was_late, a_drain_in_time_returns_zero,
      abort_gives_the_cause_and_drops_what_never_ran,
      a_job_that_fails_as_it_is_cancelled_counts_as_failed,
      submit_waits_for_room_and_learns_of_the_failure, results_go_to_a_channel_with_backpressure,
      cancelling_the_parent_ctx_aborts_work_in_flight,
      a_job_that_a_worker_has_just_been_given_is_dropped_by_an_abort,
      idle_workers_and_the_queue_take_what_is_submitted_in_one_step,
      jobs_that_wait_do_not_keep_those_queued_behind_them_from_idle_workers,
      a_pool_starts_all_its_workers_or_none)
