/* SPDX-License-Identifier: MIT */
/*
 * work.h - threads for what blocks and for what computes: jobs, awaited.
 *
 * A job is a plain function that one of a bounded number of threads runs while its task waits and
 * the loop runs others.  Threads are started when there is a job and none is free, and kept.
 * They receive no signals.  A job may not use the loop or anything of it but by a port (port.h).
 *
 * Jobs begin in the order in which they were handed in.  A job not begun is withdrawn when its
 * task's ctx is done, without effect.  One that runs is told, and can ask weir_work_cancelled();
 * its await returns when it has returned and not before, for it uses the task's memory.
 */
#ifndef WEIR_WORK_H
#define WEIR_WORK_H

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_workers;

struct weir_workers_conf {	/* zero is the default */
	unsigned threads;	/* at most; 4 */
	unsigned queue;		/* jobs waiting, when weir_work_try() refuses more; 1024 */
	const char *name;	/* of the threads, of which Linux shows 15 bytes; "weir-work" */
};

struct weir_workers_stats {
	unsigned threads;	/* started */
	unsigned busy;		/* of those, running a job */
	unsigned queued;	/* jobs not begun */
};

/* Workers for jobs of any loops.  conf may be NULL.  Any thread.  Results: 0; -ENOMEM; -EINVAL for
 * more than WEIR_THREADS_MAX. */
#define WEIR_THREADS_MAX	1024
WEIR_API int weir_workers_new(struct weir_workers **w, const struct weir_workers_conf *conf);

/* Waits for the jobs that run and ends the threads.  No job may be queued.  Any thread but its own.
 * NULL is ignored. */
WEIR_API void weir_workers_free(struct weir_workers *w);

WEIR_API void weir_workers_stats(struct weir_workers *w, struct weir_workers_stats *stats);

/* Awaits fn(arg), run by one of w's threads; w NULL: by the loop's own, of which there are
 * conf.threads.  A job beyond the number of threads waits its turn: its memory is its task's, so
 * only tasks bound how many there are.  arg must not be on the coroutine's stack.
 * Results: what fn returned; the ctx's error if fn never ran; -EAGAIN not one thread could be
 * started; -ENOMEM the loop's own workers could not be made. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_work(struct weir_op *op, struct weir_workers *w,
						 int (*fn)(void *arg), void *arg);

/* As weir_work(), but -EAGAIN at once if conf.queue jobs wait already: to shed load. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_work_try(struct weir_op *op, struct weir_workers *w,
						     int (*fn)(void *arg), void *arg);

/* True: the task no longer wants what this job makes.  Called by a job, however often; elsewhere
 * false. */
WEIR_API bool weir_work_cancelled(void);

#ifdef __cplusplus
}
#endif

#endif
