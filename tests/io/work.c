/* SPDX-License-Identifier: MIT */
/*
 * work.c - jobs on threads: where they run, how many at a time, how they are called off.
 *
 * A job that is to be seen running waits at a gate, a semaphore that the test opens.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "aborts.h"
#include "core/loop.h"
#include "io_kit.h"

static struct weir_workers *workers;
static sem_t entered, gate;	/* posted by a job that waits; by the test, to let it go */

static void begin_work(unsigned threads, unsigned queue)
{
	const struct weir_workers_conf conf = { .threads = threads, .queue = queue };

	begin();
	ck_assert_int_eq(weir_workers_new(&workers, &conf), 0);
	ck_assert_int_eq(sem_init(&entered, 0, 0), 0);
	ck_assert_int_eq(sem_init(&gate, 0, 0), 0);
}

static void end_work(void)
{
	struct weir_workers_stats s;

	weir_workers_stats(workers, &s);
	ck_assert_uint_eq(s.queued, 0);
	weir_workers_free(workers);
	end();
}

static struct weir_workers_stats stats(void)
{
	struct weir_workers_stats s;

	weir_workers_stats(workers, &s);
	return s;
}

/* ---- jobs ---- */

static int at_gate(void *arg)
{
	int *res = arg;

	sem_post(&entered);
	sem_wait(&gate);
	return *res;
}

/* Returns when it is told to stop, arg. */
static int obedient(void *arg)
{
	int *res = arg;

	sem_post(&entered);
	while (!weir_work_cancelled())
		sched_yield();
	return *res;
}

static int count(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
	return 0;
}

struct worked {
	struct weir_frame co;
	struct weir_workers *w;
	int (*fn)(void *arg);
	void *arg;
	bool shed;
	int *rc;
};

static WEIR_CO(worked, self, op)
{
	*self->rc = PENDING;
	if (self->shed)
		WEIR_AWAIT(*self->rc, weir_work_try(op, self->w, self->fn, self->arg));
	else
		WEIR_AWAIT(*self->rc, weir_work(op, self->w, self->fn, self->arg));
	WEIR_RETURN(*self->rc);
}
WEIR_END

/* ---- where they run ---- */

struct place { pthread_t thread; char name[16]; sigset_t mask; bool cancelled; };

static int look_around(void *arg)
{
	struct place *p = arg;

	p->thread = pthread_self();
	pthread_getname_np(p->thread, p->name, sizeof p->name);
	pthread_sigmask(SIG_SETMASK, NULL, &p->mask);
	p->cancelled = weir_work_cancelled();
	return 42;
}

static void ck_place(const struct place *p, const char *name)
{
	ck_assert(!pthread_equal(p->thread, pthread_self()));
	ck_assert_str_eq(p->name, name);
	ck_assert_int_eq(sigismember(&p->mask, SIGINT), 1);
	ck_assert_int_eq(sigismember(&p->mask, SIGALRM), 1);
	ck_assert(!p->cancelled);
}

START_TEST(a_job_runs_on_a_thread_that_no_signal_reaches_and_its_result_comes_back)
{
	struct place p;
	int rc;

	begin_work(1, 0);
	go(worked, .w = workers, .fn = look_around, .arg = &p, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 42);
	ck_place(&p, "weir-work");
	ck_assert(!weir_work_cancelled());
	end_work();
}
END_TEST

START_TEST(a_name_for_threads_is_cut_to_what_linux_keeps)
{
	struct weir_workers_conf conf = { .name = "a-rather-long-name" };
	struct place p;
	int rc;

	begin();
	ck_assert_int_eq(weir_workers_new(&workers, &conf), 0);
	go(worked, .w = workers, .fn = look_around, .arg = &p, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	ck_place(&p, "a-rather-long-n");
	end_work();
}
END_TEST

START_TEST(a_loop_has_workers_of_its_own)
{
	struct weir_loop_conf conf = { .threads = 3, .virtual_clock = true, .check = true };
	struct weir_workers_stats s;
	atomic_uint n = 0;
	int rc[9], i;

	begin();
	weir_group_fini(&group);
	test_loop_free(loop);
	loop = test_loop_conf(&conf);
	regroup();
	ck_assert_ptr_null(loop->workers);
	for (i = 0; i < 9; i++)
		go(worked, .fn = count, .arg = &n, .rc = &rc[i]);
	ck_assert_int_eq(finish(), 0);
	ck_assert_uint_eq(n, 9);
	weir_workers_stats(loop->workers, &s);
	ck_assert_uint_le(s.threads, 3);
	end();
}
END_TEST

/* ---- how many at a time ---- */

START_TEST(threads_are_started_when_needed_and_no_more_than_allowed)
{
	int zero = 0, rc[10], i;

	begin_work(3, 0);
	ck_assert_uint_eq(stats().threads, 0);
	go(worked, .w = workers, .fn = at_gate, .arg = &zero, .rc = &rc[0]);
	turn();
	sem_wait(&entered);
	ck_assert_uint_eq(stats().threads, 1);
	for (i = 1; i < 10; i++)
		go(worked, .w = workers, .fn = at_gate, .arg = &zero, .rc = &rc[i]);
	turn();
	sem_wait(&entered);
	sem_wait(&entered);
	ck_assert_uint_eq(stats().threads, 3);
	ck_assert_uint_eq(stats().busy, 3);
	ck_assert_uint_eq(stats().queued, 7);
	for (i = 0; i < 10; i++)
		sem_post(&gate);
	ck_assert_int_eq(finish(), 0);
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(rc[i], 0);
	end_work();
}
END_TEST

START_TEST(a_thread_that_is_free_is_used_again)
{
	atomic_uint n = 0;
	unsigned i;
	int rc;

	begin_work(8, 0);
	for (i = 0; i < 100; i++) {
		go(worked, .w = workers, .fn = count, .arg = &n, .rc = &rc);
		ck_assert_int_eq(finish(), 0);
		while (stats().busy)	/* it has its next wait before it */
			sched_yield();
	}
	ck_assert_uint_eq(n, 100);
	ck_assert_uint_le(stats().threads, 2);
	end_work();
}
END_TEST

static char order[8];
static unsigned order_len;

static int note(void *arg)
{
	order[order_len++] = *(const char *)arg;
	return 0;
}

START_TEST(jobs_begin_in_the_order_in_which_they_were_handed_in)
{
	char letters[] = "abcdef";
	int rc[6], i;

	begin_work(1, 0);
	for (i = 0; i < 6; i++)
		go(worked, .w = workers, .fn = note, .arg = &letters[i], .rc = &rc[i]);
	ck_assert_int_eq(finish(), 0);
	ck_assert_str_eq(order, "abcdef");
	end_work();
}
END_TEST

START_TEST(weir_work_try_sheds_what_is_beyond_the_queue)
{
	int zero = 0, rc[5], i;
	struct place p;

	begin_work(2, 2);
	for (i = 0; i < 5; i++)
		go(worked, .w = workers, .fn = at_gate, .arg = &zero, .shed = true, .rc = &rc[i]);
	turn();
	ck_assert_int_eq(rc[4], -EAGAIN);	/* two run, two wait */
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(rc[i], PENDING);
		sem_post(&gate);
	}
	ck_assert_int_eq(finish(), -EAGAIN);
	go(worked, .w = workers, .fn = look_around, .arg = &p, .shed = true, .rc = &rc[0]);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc[0], 42);
	end_work();
}
END_TEST

/* ---- calling off ---- */

START_TEST(a_job_that_waits_its_turn_is_withdrawn_at_once)
{
	int zero = 0, rc[2];
	atomic_uint n = 0;

	begin_work(1, 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), worked, .w = workers, .fn = at_gate,
				 .arg = &zero, .rc = &rc[0]), 0);
	turn();
	sem_wait(&entered);
	go(worked, .w = workers, .fn = count, .arg = &n, .rc = &rc[1]);
	turn();
	ck_assert_uint_eq(stats().queued, 1);
	weir_group_cancel(&group, 0);
	ck_assert_uint_eq(stats().queued, 0);
	turn();
	ck_assert_int_eq(rc[1], -ECANCELED);
	ck_assert_int_eq(rc[0], PENDING);
	sem_post(&gate);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(rc[0], 0);
	ck_assert_uint_eq(n, 0);
	end_work();
}
END_TEST

START_TEST(a_job_that_runs_is_told_and_waited_for)
{
	int seven = 7, rc;

	begin_work(1, 0);
	go(worked, .w = workers, .fn = obedient, .arg = &seven, .rc = &rc);
	turn();
	sem_wait(&entered);
	turn();
	ck_assert_int_eq(rc, PENDING);
	ck_assert_int_eq(cancel(), 0);
	ck_assert_int_eq(rc, 7);
	end_work();
}
END_TEST

START_TEST(a_job_that_is_deaf_is_waited_for_all_the_same)
{
	int zero = 0, rc;

	begin_work(1, 0);
	go(worked, .w = workers, .fn = at_gate, .arg = &zero, .rc = &rc);
	turn();
	sem_wait(&entered);
	weir_group_cancel(&group, 0);
	turn();
	turn();
	ck_assert_int_eq(rc, PENDING);
	sem_post(&gate);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 0);
	end_work();
}
END_TEST

struct hurried { struct weir_frame co; struct weir_ctx ctx; int rc, *res; };

static WEIR_CO(hurried, self, op)
{
	weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), WEIR_HOUR);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(self->rc, weir_work(op, workers, obedient, self->res));
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_job_that_obeys_a_deadline_ends_with_etimedout)
{
	int res = -ECANCELED;

	begin_work(1, 0);
	go(hurried, .res = &res);
	turn();
	sem_wait(&entered);
	ck_assert_int_eq(weir_advance(loop, WEIR_HOUR), 0);
	ck_assert_int_eq(finish(), -ETIMEDOUT);
	end_work();
}
END_TEST

struct chooser { struct weir_frame co; struct weir_arm arm[2]; struct weir_ctx *bell; int *res; };

static WEIR_CO(chooser, self, op)
{
	int rc;

	weir_ready(weir_work(&self->arm[0].op, workers, obedient, self->res));
	weir_ready(weir_ctx_wait(&self->arm[1].op, self->bell));
	WEIR_AWAIT(rc, weir_select(op, self->arm, 2));
	ck_assert_int_eq(rc, 1);
	*self->res = self->arm[0].op.res;
}
WEIR_END

START_TEST(a_job_that_loses_a_select_is_withdrawn_or_told_and_waited_for)
{
	int runs = 5, waits = 6;
	struct weir_ctx first, second;

	begin_work(1, 0);
	weir_ctx_init(&first, weir_loop_ctx(loop));
	weir_ctx_init(&second, weir_loop_ctx(loop));
	go(chooser, .bell = &first, .res = &runs);
	go(chooser, .bell = &second, .res = &waits);
	turn();
	sem_wait(&entered);
	weir_ctx_cancel(&second, 0);	/* while the only thread has the other job */
	weir_ctx_cancel(&first, 0);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(runs, 5);
	ck_assert_int_eq(waits, -ECANCELED);
	weir_ctx_fini(&first);
	weir_ctx_fini(&second);
	end_work();
}
END_TEST

/* ---- the loop meanwhile ---- */

struct sleeper { struct weir_frame co; };

static WEIR_CO(sleeper, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep(op, WEIR_HOUR));
	WEIR_RETURN(rc);
}
WEIR_END

static int slow(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < 1000; i++)
		sched_yield();
	return 0;
}

struct timed { struct weir_frame co; uint64_t start; };

static WEIR_CO(timed, self, op)
{
	int rc;

	self->start = weir_now(loop);
	WEIR_AWAIT(rc, weir_work(op, workers, slow, NULL));
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(weir_now(loop), self->start);
}
WEIR_END

START_TEST(while_a_job_runs_a_virtual_clock_stands)
{
	begin_work(1, 0);
	go(sleeper);
	go(timed);
	ck_assert_int_eq(finish(), 0);
	end_work();
}
END_TEST

/* ---- several loops ---- */

struct user { struct weir_frame co; atomic_uint *n; unsigned jobs; };

static WEIR_CO(user, self, op)
{
	int rc;

	rc = 0;
	while (self->jobs-- && rc == 0)
		WEIR_AWAIT(rc, weir_work(op, workers, count, self->n));
	WEIR_RETURN(rc);
}
WEIR_END

enum { LOOPS = 3, TASKS = 20, JOBS = 50 };

static void *other_loop(void *arg)
{
	struct weir_loop *own;
	int i, rc = weir_loop_new(&own, NULL);

	for (i = 0; rc == 0 && i < TASKS; i++)
		rc = weir_go(weir_loop_group(own), user, .n = arg, .jobs = JOBS);
	if (rc == 0)
		rc = weir_loop_run(own);
	return rc == 0 && weir_loop_free(own) == 0 ? arg : NULL;
}

START_TEST(several_loops_share_workers)
{
	pthread_t thread[LOOPS];
	atomic_uint n = 0;
	void *res;
	int i;

	begin_work(2, 0);
	for (i = 0; i < LOOPS; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, other_loop, &n), 0);
	for (i = 0; i < LOOPS; i++) {
		ck_assert_int_eq(pthread_join(thread[i], &res), 0);
		ck_assert_ptr_nonnull(res);
	}
	ck_assert_uint_eq(n, LOOPS * TASKS * JOBS);
	end_work();
}
END_TEST

struct crowd { struct weir_frame co; struct weir_group g; atomic_uint *n; };

/* The results of some jobs are there; then one runs on and on, and others wait behind it, so that
 * nothing brings the loop to look.  The gate is opened only when it has. */
static WEIR_CO(crowd, self, op)
{
	static int zero, ran[16], deaf, behind[3];
	struct weir_group *others;
	int i, rc;

	others = weir_loop_group(weir_op_loop(op));
	weir_group_init(&self->g, weir_op_ctx(op), NULL);
	for (i = 0; i < 16; i++)
		weir_go(&self->g, worked, .w = workers, .fn = count, .arg = self->n,
			.rc = &ran[i]);
	weir_go(others, worked, .w = workers, .fn = at_gate, .arg = &zero, .rc = &deaf);
	for (i = 0; i < 3; i++)
		weir_go(others, worked, .w = workers, .fn = count, .arg = self->n,
			.rc = &behind[i]);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->g));
	ck_assert_int_eq(deaf, PENDING);
	sem_post(&gate);
	WEIR_RETURN(rc);
}
WEIR_END

START_TEST(no_result_waits_for_a_job_that_runs_on_and_on)
{
	struct weir_loop *real;		/* under a virtual clock it does not doze */
	atomic_uint n = 0;
	unsigned i;

	begin_work(1, 0);
	ck_assert_int_eq(weir_loop_new(&real, NULL), 0);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(weir_run(real, crowd, .n = &n), 0);
	ck_assert_uint_eq(n, 1900);
	ck_assert_int_eq(weir_loop_free(real), 0);
	end_work();
}
END_TEST

/* A job either ran, and its await says so, or did not, and its await says that. */
struct gambler { struct weir_frame co; struct weir_ctx ctx; unsigned rounds; atomic_uint n; };

static WEIR_CO(gambler, self, op)
{
	int rc;

	while (self->rounds--) {
		atomic_store(&self->n, 0);
		weir_ctx_init(&self->ctx, weir_op_ctx(op));
		weir_ctx_enter(op, &self->ctx);
		WEIR_AWAIT(rc, weir_work(op, workers, count, &self->n));
		weir_ctx_leave(op, &self->ctx);
		weir_ctx_fini(&self->ctx);
		ck_assert_uint_eq(atomic_load(&self->n), rc == 0);
		ck_assert(rc == 0 || rc == -ECANCELED);
	}
}
WEIR_END

static void cancel_some(void *arg, struct weir_ctx *ctx)
{
	(void)arg;
	if (ctx->outer && weir_random(loop) % 4 == 0)
		weir_ctx_cancel(ctx, 0);
}

START_TEST(a_job_that_is_called_off_has_run_or_has_not)
{
	int i;

	begin_work(2, 0);
	for (i = 0; i < 50; i++)
		go(gambler, .rounds = 200);
	while (group.active) {
		turn();
		weir_ctx_each_(loop, cancel_some, NULL);
	}
	ck_assert_int_eq(finish(), 0);
	end_work();
}
END_TEST

/* ---- errors ---- */

START_TEST(without_memory_there_are_no_workers)
{
	atomic_uint n = 0;
	int rc;

	begin_work(1, 0);
	test_fail_alloc(1);
	ck_assert_int_eq(weir_workers_new(&(struct weir_workers *){ NULL }, NULL), -ENOMEM);
	ck_assert(test_fail_alloc(0));
	go(worked, .fn = count, .arg = &n, .rc = &rc);
	test_fail_alloc(1);
	turn();
	ck_assert(test_fail_alloc(0));
	ck_assert_int_eq(rc, -ENOMEM);
	ck_assert_int_eq(finish(), -ENOMEM);
	go(worked, .fn = count, .arg = &n, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	end_work();
}
END_TEST

START_TEST(there_are_no_more_threads_than_can_be_counted)
{
	struct weir_workers_conf conf = { .threads = WEIR_THREADS_MAX + 1 };

	ck_assert_int_eq(weir_workers_new(&workers, &conf), -EINVAL);
	weir_workers_free(NULL);
}
END_TEST

/* In a child: it gives up being root, whom the limit does not bind. */
static int without_threads(void)
{
	const struct rlimit none = { 0, 0 };
	atomic_uint n = 0;
	int rc = PENDING;

	begin_work(2, 0);
	if (setrlimit(RLIMIT_NPROC, &none) < 0 || (geteuid() == 0 && setuid(65534) < 0))
		return 1;
	go(worked, .w = workers, .fn = count, .arg = &n, .rc = &rc);
	turn();
	return rc == -EAGAIN && n == 0 && stats().queued == 0 ? 0 : 2;
}

START_TEST(where_no_thread_can_be_started_the_await_says_so)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(without_threads());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

static void free_with_a_job_queued(void)
{
	int zero = 0, rc[2];

	begin_work(1, 0);
	go(worked, .w = workers, .fn = at_gate, .arg = &zero, .rc = &rc[0]);
	go(worked, .w = workers, .fn = at_gate, .arg = &zero, .rc = &rc[1]);
	turn();
	sem_wait(&entered);
	weir_workers_free(workers);
}

struct on_stack { struct weir_frame co; };

static WEIR_CO(on_stack, self, op)
{
	int here, rc;

	here = 0;
	WEIR_AWAIT(rc, weir_work(op, workers, obedient, &here));
	WEIR_RETURN(rc);
}
WEIR_END

static void use_stack(void)
{
	begin_work(1, 0);
	weir_run(loop, on_stack);
}

START_TEST(misuse_aborts)
{
	ck_aborts(free_with_a_job_queued, "weir_workers_free() with jobs queued");
	ck_aborts(use_stack, "buffer on the stack of a coroutine");
}
END_TEST

START_TEST(a_loop_that_is_freed_calls_jobs_off)
{
	int zero = 0, rc[2];

	begin_work(1, 0);
	go(worked, .w = workers, .fn = obedient, .arg = &zero, .rc = &rc[0]);
	go(worked, .w = workers, .fn = obedient, .arg = &zero, .rc = &rc[1]);
	turn();
	sem_wait(&entered);
	ck_assert_int_gt(weir_loop_free(loop), 0);
	ck_assert_int_eq(rc[0], 0);
	ck_assert_int_eq(rc[1], -ECANCELED);
	weir_workers_free(workers);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

TESTS("work", a_job_runs_on_a_thread_that_no_signal_reaches_and_its_result_comes_back,
      a_name_for_threads_is_cut_to_what_linux_keeps, a_loop_has_workers_of_its_own,
      threads_are_started_when_needed_and_no_more_than_allowed,
      a_thread_that_is_free_is_used_again,
      jobs_begin_in_the_order_in_which_they_were_handed_in,
      weir_work_try_sheds_what_is_beyond_the_queue,
      a_job_that_waits_its_turn_is_withdrawn_at_once, a_job_that_runs_is_told_and_waited_for,
      a_job_that_is_deaf_is_waited_for_all_the_same,
      a_job_that_obeys_a_deadline_ends_with_etimedout,
      a_job_that_loses_a_select_is_withdrawn_or_told_and_waited_for,
      while_a_job_runs_a_virtual_clock_stands, several_loops_share_workers,
      no_result_waits_for_a_job_that_runs_on_and_on,
      a_job_that_is_called_off_has_run_or_has_not, without_memory_there_are_no_workers,
      there_are_no_more_threads_than_can_be_counted,
      where_no_thread_can_be_started_the_await_says_so, misuse_aborts,
      a_loop_that_is_freed_calls_jobs_off)
