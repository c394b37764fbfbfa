/* SPDX-License-Identifier: MIT */
/*
 * work.c - see work.h.
 *
 * A job is its task's op.  It is in the queue (fn is set), or a thread has it (fn is NULL) until it
 * goes back to its loop through the inbox; the lock guards the passage from one to the other.  A
 * thread that ends a job takes the next one itself: whoever hands in a job calls a thread only if
 * one waits that nobody has called yet, so busy workers cost no system call.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "core/inbox.h"
#include "core/loop.h"
#include "kernel/alloc.h"
#include "weir/work.h"

#define THREADS_DEFAULT	4u
#define QUEUE_DEFAULT	1024u
#define ENOUGH		2u	/* jobs queued for each thread: see has_enough() */
#define NAME_DEFAULT	"weir-work"

struct weir_workers {
	pthread_mutex_t lock;
	pthread_cond_t bell;
	struct weir_list queue;		/* jobs not begun, the first first */
	unsigned queued, bound;
	unsigned busy;			/* jobs begun */
	unsigned started, max;		/* threads */
	unsigned idle;			/* threads at the bell that nobody has called */
	unsigned calls;			/* that no thread has answered yet */
	struct weir_list stand_ins;	/* in place of threads, under a simulated kernel */
	bool closing;
	char name[16];			/* as much as Linux keeps */
	pthread_t thread[];
};

struct job {	/* what a thread takes out of an op as it begins it */
	struct weir_op *op;
	int (*fn)(void *arg);
	void *arg;
};

/* ---- a thread ---- */

static _Thread_local const int *told_to_stop;	/* of the job that this thread runs */

bool weir_work_cancelled(void)
{
	return told_to_stop && __atomic_load_n(told_to_stop, __ATOMIC_RELAXED);
}

/* Under the lock; but has_enough() reads it without. */
static void count_queued(struct weir_workers *w, int n)
{
	__atomic_store_n(&w->queued, w->queued + (unsigned)n, __ATOMIC_RELAXED);
}

static void wait_for_call(struct weir_workers *w)
{
	w->idle++;
	while (!w->calls && !w->closing)
		pthread_cond_wait(&w->bell, &w->lock);
	if (w->calls)
		w->calls--;
}

/* Under the lock.  False: it is time to end. */
static bool begin(struct weir_workers *w, struct job *job)
{
	struct weir_job_args *a;

	while (weir_list_empty_(&w->queue)) {
		if (w->closing)
			return false;
		wait_for_call(w);
	}
	job->op = weir_container_of(w->queue.next, struct weir_op, u.job.link.queued);
	a = &job->op->u.job;
	job->fn = a->fn;
	job->arg = a->u.arg;
	weir_list_remove_(&a->link.queued);
	count_queued(w, -1);
	w->busy++;
	a->fn = NULL;
	a->u.run.stop = 0;
	return true;
}

static void over(struct weir_msg *msg);

/* As long as they have, the loop may hear of results a little later. */
static bool has_enough(struct weir_workers *w)
{
	return __atomic_load_n(&w->queued, __ATOMIC_RELAXED) >= ENOUGH * w->max;
}

/* Once it is in the inbox the op is the loop's, and may be gone. */
static void run(struct weir_workers *w, const struct job *job)
{
	struct weir_job_args *a = &job->op->u.job;

	told_to_stop = &a->u.run.stop;
	a->u.run.res = job->fn(job->arg);
	told_to_stop = NULL;
	a->link.back.fn = over;
	weir_inbox_put_(a->inbox, &a->link.back, has_enough(w));
}

static void *thread_main(void *arg)
{
	struct weir_workers *w = arg;
	struct job job;

	pthread_setname_np(pthread_self(), w->name);
	pthread_mutex_lock(&w->lock);
	while (begin(w, &job)) {
		pthread_mutex_unlock(&w->lock);
		run(w, &job);
		pthread_mutex_lock(&w->lock);
		w->busy--;
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- a thread that is none ---- */

/* A simulated kernel has no threads.  What stands in for one takes a step when the kernel says:
 * begins a job, or runs it from end to end, so that a cancel may come between. */
struct stand_in {
	struct weir_msg msg;
	struct weir_list link;		/* in workers->stand_ins */
	struct weir_backend *be;
	struct weir_workers *workers;	/* NULL: they are gone */
	struct job job;			/* begun, if it has an op */
};

/* Under the lock, which it lets go of meanwhile. */
static void run_begun(struct stand_in *t)
{
	struct weir_workers *w = t->workers;
	struct job job = t->job;

	t->job.op = NULL;
	pthread_mutex_unlock(&w->lock);
	run(w, &job);
	pthread_mutex_lock(&w->lock);
	w->busy--;
}

/* Under the lock.  False: there was nothing for it to do any more. */
static bool act(struct stand_in *t)
{
	struct weir_workers *w = t->workers;

	if (t->job.op)
		run_begun(t);
	else if (!weir_list_empty_(&w->queue))
		begin(w, &t->job);
	if (t->job.op || !weir_list_empty_(&w->queue))
		return true;
	weir_list_remove_(&t->link);
	return false;
}

static void stand_in_acts(struct weir_msg *msg)
{
	struct stand_in *t = weir_container_of(msg, struct stand_in, msg);
	struct weir_workers *w = t->workers;
	bool more = false;

	if (w) {
		pthread_mutex_lock(&w->lock);
		more = act(t);
		pthread_mutex_unlock(&w->lock);
	}
	if (more)
		t->be->ops->later(t->be, msg);
	else
		weir_free_(t);
}

static bool start_stand_in(struct weir_workers *w, struct weir_backend *be)
{
	struct stand_in *t = weir_zalloc_(1, sizeof *t);

	if (!t)
		return false;
	t->msg.fn = stand_in_acts;
	t->be = be;
	t->workers = w;
	weir_list_append_(&w->stand_ins, &t->link);
	be->ops->later(be, &t->msg);
	return true;
}

static int call_stand_in(struct weir_workers *w, struct weir_backend *be)
{
	struct weir_list *l;
	unsigned n = 0;

	for (l = w->stand_ins.next; l != &w->stand_ins; l = l->next)
		n++;
	return n >= w->max || start_stand_in(w, be) || n ? 0 : -EAGAIN;
}

/* Under the lock.  Their steps are still to come; what they have begun is waited for, as for
 * threads. */
static void let_go_of_stand_ins(struct weir_workers *w)
{
	while (!weir_list_empty_(&w->stand_ins)) {
		struct stand_in *t = weir_container_of(w->stand_ins.next, struct stand_in, link);

		if (t->job.op)
			run_begun(t);
		weir_list_remove_(&t->link);
		t->workers = NULL;
	}
}

/* ---- the loop's side ---- */

/* Under the lock.  The new thread inherits the mask: no signal of the program's is for it. */
static int start_thread(struct weir_workers *w)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&w->thread[w->started], NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		w->started++;
	return -rc;
}

/* Under the lock.  Fewer threads than there may be are enough, none is not. */
static int call_thread(struct weir_workers *w)
{
	if (w->idle) {
		w->idle--;
		w->calls++;
		pthread_cond_signal(&w->bell);
	} else if (w->started < w->max && start_thread(w) < 0 && !w->started) {
		return -EAGAIN;
	}
	return 0;
}

static int hand_in(struct weir_workers *w, struct weir_op *op, bool shed)
{
	struct weir_backend *be = weir_op_loop(op)->be;
	unsigned room = w->max + w->bound;
	int rc;

	pthread_mutex_lock(&w->lock);
	if (shed && w->queued + w->busy >= room)
		rc = -EAGAIN;
	else
		rc = be->ops->later ? call_stand_in(w, be) : call_thread(w);
	if (rc == 0) {
		weir_list_append_(&w->queue, &op->u.job.link.queued);
		count_queued(w, 1);
	}
	pthread_mutex_unlock(&w->lock);
	return rc;
}

static int loop_workers(struct weir_loop *loop, struct weir_workers **w)
{
	const struct weir_workers_conf conf = { .threads = loop->conf.threads };
	int rc = 0;

	if (!loop->workers) {
		rc = weir_workers_new(&loop->workers, &conf);
		loop->workers_free = weir_workers_free;
	}
	*w = loop->workers;
	return rc;
}

static bool park(struct weir_op *op, bool shed)
{
	struct weir_loop *loop = weir_op_loop(op);
	struct weir_job_args *a = &op->u.job;
	int rc = a->workers ? 0 : loop_workers(loop, &a->workers);

	weir_check_buffer_(op, a->u.arg);
	a->inbox = loop->inbox;
	if (rc == 0)
		rc = hand_in(a->workers, op, shed);
	if (rc < 0) {
		op->res = rc;
		return true;
	}
	loop->jobs++;
	return false;
}

static bool work_park(struct weir_op *op)
{
	return park(op, false);
}

static bool try_park(struct weir_op *op)
{
	return park(op, true);
}

static bool cancel(struct weir_op *op)
{
	struct weir_job_args *a = &op->u.job;
	struct weir_workers *w = a->workers;
	bool queued;

	pthread_mutex_lock(&w->lock);
	queued = a->fn;
	if (queued) {
		weir_list_remove_(&a->link.queued);
		count_queued(w, -1);
	} else {
		__atomic_store_n(&a->u.run.stop, 1, __ATOMIC_RELAXED);
	}
	pthread_mutex_unlock(&w->lock);
	if (queued)
		weir_op_loop(op)->jobs--;
	return queued;
}

/* In the loop's thread.  A job that obeyed says so as any other wait of a cancelled task does. */
static void over(struct weir_msg *msg)
{
	struct weir_op *op = weir_container_of(msg, struct weir_op, u.job.link.back);
	int res = op->u.job.u.run.res, err = weir_op_ctx(op)->err;

	weir_op_loop(op)->jobs--;
	if (res == -ECANCELED && op->flags & WEIR_OP_CANCELLED_ && err)
		res = err;
	weir_op_done_(op, res);
}

static const struct weir_op_def work_def = {
	.name = "work", .park = work_park, .cancel = cancel,
};
static const struct weir_op_def try_def = {
	.name = "work", .park = try_park, .cancel = cancel,
};

static struct weir_op *prepare(struct weir_op *op, const struct weir_op_def *def,
			       struct weir_workers *w, int (*fn)(void *arg), void *arg)
{
	weir_op_prepare_(op, def);
	op->u.job.workers = w;
	op->u.job.fn = fn;
	op->u.job.u.arg = arg;
	return op;
}

struct weir_op *weir_work(struct weir_op *op, struct weir_workers *w, int (*fn)(void *arg),
			  void *arg)
{
	return prepare(op, &work_def, w, fn, arg);
}

struct weir_op *weir_work_try(struct weir_op *op, struct weir_workers *w, int (*fn)(void *arg),
			      void *arg)
{
	return prepare(op, &try_def, w, fn, arg);
}

/* ---- life ---- */

int weir_workers_new(struct weir_workers **out, const struct weir_workers_conf *conf)
{
	unsigned max = conf && conf->threads ? conf->threads : THREADS_DEFAULT;
	struct weir_workers *w;

	if (max > WEIR_THREADS_MAX)
		return -EINVAL;
	w = weir_zalloc_(1, sizeof *w + max * sizeof *w->thread);
	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);	/* of the default kind, as the next: no failure */
	pthread_cond_init(&w->bell, NULL);
	weir_list_init_(&w->queue);
	weir_list_init_(&w->stand_ins);
	w->max = max;
	w->bound = conf && conf->queue ? conf->queue : QUEUE_DEFAULT;
	snprintf(w->name, sizeof w->name, "%s", conf && conf->name ? conf->name : NAME_DEFAULT);
	*out = w;
	return 0;
}

void weir_workers_free(struct weir_workers *w)
{
	unsigned i;

	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	WEIR_CHECK_(!w->queued, "weir_workers_free() with jobs queued", w->name);
	let_go_of_stand_ins(w);
	w->closing = true;
	pthread_cond_broadcast(&w->bell);
	pthread_mutex_unlock(&w->lock);
	for (i = 0; i < w->started; i++)
		pthread_join(w->thread[i], NULL);
	pthread_cond_destroy(&w->bell);
	pthread_mutex_destroy(&w->lock);
	weir_free_(w);
}

void weir_workers_stats(struct weir_workers *w, struct weir_workers_stats *stats)
{
	pthread_mutex_lock(&w->lock);
	*stats = (struct weir_workers_stats){ w->started, w->busy, w->queued };
	pthread_mutex_unlock(&w->lock);
}
