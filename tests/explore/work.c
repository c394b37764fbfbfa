/* SPDX-License-Identifier: MIT */
/*
 * work.c - jobs on threads, in every order: called off while queued, running or over; results
 * that come while the loop sleeps or dozes; threads that end.
 */
#include <time.h>

#include "explore_kit.h"

#define JOBS_MAX	7
#define ANSWER		42

struct job {
	struct weir_group group;
	int (*fn)(void *arg);
	unsigned ran;
	int rc;
};

static struct job jobs[JOBS_MAX];
static unsigned finished, called_off;	/* job 1, in how many schedules */
static struct weir_workers *workers;

static int answer(void *arg)
{
	struct job *j = arg;

	expect(explore_self() != 0);
	j->ran++;
	return ANSWER;
}

/* Until it is told to stop. */
static int obey(void *arg)
{
	struct job *j = arg;

	j->ran++;
	while (!weir_work_cancelled())
		explore_yield();
	return -ECANCELED;
}

struct works { struct weir_frame co; struct job *job; };

static WEIR_CO(works, self, op)
{
	WEIR_AWAIT(self->job->rc, weir_work(op, workers, self->job->fn, self->job));
}
WEIR_END

static void begin_job(struct job *j, int (*fn)(void *arg))
{
	j->fn = fn;
	j->ran = 0;
	j->rc = 1;
	weir_group_init(&j->group, weir_loop_ctx(loop), NULL);
	expect(weir_go(&j->group, works, .job = j) == 0);
}

struct ends { struct weir_frame co; bool later; unsigned i; int rc; };

/* Calls job 1 off, at once or at some time, and waits for both. */
static WEIR_CO(ends, self, op)
{
	if (self->later && explore_choose(2, "it is called off later"))
		WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_MS));
	weir_group_cancel(&jobs[1].group, 0);
	for (self->i = 0; self->i < 2; self->i++) {
		WEIR_AWAIT(self->rc, weir_group_wait(op, &jobs[self->i].group));
		weir_group_fini(&jobs[self->i].group);
	}
}
WEIR_END

static void two_jobs(unsigned threads, int (*second)(void *arg), bool later)
{
	const struct weir_workers_conf conf = { .threads = threads };

	loop_begin();
	expect(weir_workers_new(&workers, &conf) == 0);
	begin_job(&jobs[0], answer);
	begin_job(&jobs[1], second);
	expect(weir_run(loop, ends, .later = later) == 0);
	expect(jobs[0].ran == 1 && jobs[0].rc == ANSWER);
	expect(jobs[1].ran <= 1);
	expect(jobs[1].rc == (jobs[1].ran && second == answer ? ANSWER : -ECANCELED));
	*(jobs[1].rc < 0 ? &called_off : &finished) += 1;
	weir_workers_free(workers);
	loop_end();
}

static void on_one_thread(void)
{
	two_jobs(1, answer, true);
}

static void on_two_threads(void)
{
	two_jobs(2, answer, false);
}

static void obeying(void)
{
	two_jobs(2, obey, false);
}

START_TEST(a_job_that_is_called_off_runs_once_or_never)
{
	if (explore(on_one_thread, &(struct explore){ .interrupts = 2, .clock = true }))
		ck_assert(finished && called_off);
}
END_TEST

START_TEST(a_job_that_is_called_off_runs_once_or_never_with_two_threads)
{
	if (explore(on_two_threads, &(struct explore){ .interrupts = 2, .spurious = true }))
		ck_assert(finished && called_off);
}
END_TEST

START_TEST(a_job_that_runs_hears_that_it_is_called_off)
{
	explore(obeying, &(struct explore){ .interrupts = 2 });
}
END_TEST

/* ---- many results ---- */

static bool seen;		/* the result of job SEEN */
static uint64_t last;		/* when the last job ended */

enum { SEEN = 3, WAITS = 4 };

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * WEIR_S + (uint64_t)ts.tv_nsec;
}

static int answer_when(void *arg)
{
	struct job *j = arg;

	if (j == &jobs[WAITS])
		explore_gate(&seen);
	last = now();
	return answer(arg);
}

struct works_on { struct weir_frame co; struct job *job; };

static WEIR_CO(works_on, self, op)
{
	WEIR_AWAIT(self->job->rc, weir_work(op, workers, self->job->fn, self->job));
	if (self->job == &jobs[SEEN])
		seen = true;
}
WEIR_END

/* One thread, and jobs enough for it that the loop dozes, and its thread does not wake it.  Job
 * WAITS is not over until what SEEN brought has been seen, so the loop must wake by itself.  The
 * last one has no other behind it, and wakes the loop at once. */
static void many_jobs(void)
{
	const struct weir_workers_conf conf = { .threads = 1 };
	unsigned i;

	loop_begin();
	expect(weir_workers_new(&workers, &conf) == 0);
	seen = false;
	for (i = 0; i < JOBS_MAX; i++) {
		jobs[i] = (struct job){ .fn = answer_when };
		expect(weir_go(weir_loop_group(loop), works_on, .job = &jobs[i]) == 0);
	}
	expect(weir_loop_run(loop) == 0);
	expect(now() - last < 100 * WEIR_US);	/* for which it dozes */
	for (i = 0; i < JOBS_MAX; i++)
		expect(jobs[i].ran == 1 && jobs[i].rc == ANSWER);
	weir_workers_free(workers);
	loop_end();
}

START_TEST(a_loop_that_dozes_sees_each_result_soon_and_the_last_at_once)
{
	explore(many_jobs, &(struct explore){ .interrupts = 2 });
}
END_TEST

/* ---- the end of the threads ---- */

static void own_workers(void)
{
	loop_begin();
	workers = NULL;
	begin_job(&jobs[0], answer);
	begin_job(&jobs[1], answer);
	expect(weir_run(loop, ends, .later = true) == 0);
	loop_end();
}

START_TEST(a_loop_ends_with_threads_that_have_just_brought_a_result)
{
	explore(own_workers, &(struct explore){ .interrupts = 3 });
}
END_TEST

/* ---- more loops than one ---- */

static void *run_job(void *arg)
{
	struct weir_loop *l = loop_new();
	struct job *j = arg;

	*j = (struct job){ .fn = answer };
	expect(weir_run(l, works, .job = j) == 0);
	expect(j->ran == 1 && j->rc == ANSWER);
	expect(weir_loop_free(l) == 0);
	return NULL;
}

static void two_loops(void)
{
	const struct weir_workers_conf conf = { .threads = 1 };
	pthread_t other;

	expect(weir_workers_new(&workers, &conf) == 0);
	thread_begin(&other, run_job, &jobs[1]);
	run_job(&jobs[0]);
	thread_end(other);
	weir_workers_free(workers);
}

START_TEST(two_loops_share_a_thread)
{
	explore(two_loops, &(struct explore){ .interrupts = 2 });
}
END_TEST

TESTS("explore work", a_job_that_is_called_off_runs_once_or_never,
      a_job_that_is_called_off_runs_once_or_never_with_two_threads,
      a_job_that_runs_hears_that_it_is_called_off,
      a_loop_that_dozes_sees_each_result_soon_and_the_last_at_once,
      a_loop_ends_with_threads_that_have_just_brought_a_result, two_loops_share_a_thread)
