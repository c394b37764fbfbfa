/* SPDX-License-Identifier: MIT */
/*
 * pool.h - a worker pool: so many jobs at a time, so many waiting, no more.
 *
 *	struct fetch { struct weir_frame co; struct url url; ... };	// one coroutine per item
 *	static WEIR_CO(fetch, self, op) { ... self->url ... }
 *	WEIR_END
 *
 *	WEIR_POOL(fetchers, struct url);		// struct fetchers takes struct url
 *
 *	rc = weir_pool_init(&self->pool, weir_op_ctx(op), (&(struct weir_pool_conf){
 *		.workers = 8, .queue = 64 }), fetch, url);
 *	WEIR_AWAIT(n, weir_pool_submit(op, &self->pool, &url));
 *	weir_pool_close(&self->pool);
 *	WEIR_AWAIT(rc, weir_pool_wait(op, &self->pool));
 *	weir_pool_fini(&self->pool, &receipt);
 *
 * Ends in one of three ways, all of them reported by weir_pool_wait():
 *   close   queued and running jobs are finished, then the workers go: 0.
 *   error   the first job that returns less than 0 cancels the others, in the midst of what they
 *           await, kernel ops included; that error is the result.
 *   cancel  the parent ctx, or weir_pool_abort(): the same, with the ctx's error.
 * In the last two, jobs that had not begun are not run but given to the drop hook.  A job that
 * fails without harm to the others returns 0 and says so in its result.
 *
 * Each job begins with a fresh copy of the frame given to weir_pool_init(), which costs what its
 * size does: a job with a large buffer points to it.
 */
#ifndef WEIR_POOL_H
#define WEIR_POOL_H

#include "weir/base.h"
#include "weir/chan.h"
#include "weir/crew.h"
#include "weir/group.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_pool_conf {
	unsigned workers;	/* jobs at a time: 1 to WEIR_WORKERS_MAX */
	unsigned queue;		/* jobs waiting; 0: a submit waits for a free worker */
	void (*drop)(void *arg, void *item);	/* a job that is never run; may not wait */
	void (*late)(void *arg, const void *item);	/* a job that a drain found still running */
	void *arg;
};

/* What became of the jobs.  submitted = finished + failed + aborted + dropped. */
struct weir_pool_receipt {
	uint64_t submitted;
	uint64_t finished;	/* returned 0 or more */
	uint64_t failed;	/* returned an error of their own */
	uint64_t aborted;	/* returned the error of their ctx, which was done */
	uint64_t dropped;	/* never run */
	uint64_t late;		/* of those run: still running at a drain's deadline */
};

struct weir_pool {
	struct weir_group group;
	struct weir_chan queue;
	struct weir_crew crew;
	struct weir_pool_conf conf;
	struct weir_after on_end;	/* empties the queue when the group is cancelled */
	uint64_t late;
};

/* Declares struct name, a pool whose jobs are of `type`. */
#define WEIR_POOL(name, type)	struct name { struct weir_pool pool; type *item_; }
#define weir_pool_any(p)	((struct weir_pool *)(void *)(p))

/* Makes a pool under ctx and starts its workers.  Each job runs the coroutine `name`, the item in
 * its frame's `member`; other fields as given: weir_pool_init(p, ctx, conf, fetch, url, .db = db).
 * Results: 0; -ENOMEM; -EINVAL workers or sizes out of range; ctx's error.  On failure nothing is
 * left to fini. */
#define weir_pool_init(p, ctx, conf, name, member, ...)					\
	weir_pool_init_(weir_pool_any(p), (ctx), (conf), &(const struct weir_job){	\
		.body = name, .pattern = &(const struct name){ __VA_ARGS__ },		\
		.size = sizeof(struct name), .in = offsetof(struct name, member),	\
		.in_size = WEIR_SAME_(((struct name *)0)->member, *(p)->item_) },	\
		NULL, WEIR_HERE_ " " #p)

/* As weir_pool_init(), and each job that returns more than 0 has its frame's member `out` sent to
 * the channel results (backpressure reaches the job), or to its drop hook if the pool ends first.
 * The channel stays the caller's; it is not closed. */
#define weir_pool_init_results(p, ctx, conf, name, member, out_member, results, ...)	\
	weir_pool_init_(weir_pool_any(p), (ctx), (conf), &(const struct weir_job){	\
		.body = name, .pattern = &(const struct name){ __VA_ARGS__ },		\
		.size = sizeof(struct name), .in = offsetof(struct name, member),	\
		.in_size = WEIR_SAME_(((struct name *)0)->member, *(p)->item_),		\
		.out = offsetof(struct name, out_member),				\
		.out_size = WEIR_SAME_(((struct name *)0)->out_member, *(results)->item_) }, \
		weir_chan_any(results), WEIR_HERE_ " " #p)

/* Awaits room in the queue.  Results: 1; -EPIPE closed or ended, the item is still yours. */
#define weir_pool_submit(op, p, item)	\
	weir_chan_send_((op), &weir_pool_any(p)->queue, WEIR_ITEM_(p, item))
/* Without waiting: 1; -EAGAIN the queue is full; -EPIPE. */
#define weir_pool_try_submit(p, item)	\
	weir_chan_try_send_(&weir_pool_any(p)->queue, WEIR_ITEM_(p, item))

/* No more jobs: those that are queued and running are finished, then the pool ends.  Results: 0;
 * -EPIPE. */
#define weir_pool_close(p)		weir_chan_close_(&weir_pool_any(p)->queue)

/* Cancels all jobs with the cause (0: none); nothing further is run. */
#define weir_pool_abort(p, cause)	weir_group_cancel(&weir_pool_any(p)->group, (cause))

/* Awaits the end of all workers, as weir_group_wait().  Results: see the top. */
#define weir_pool_wait(op, p)		weir_group_wait((op), &weir_pool_any(p)->group)

/* The coroutine weir_pool_drain closes the pool and waits for its end for at most ns; then it
 * aborts what is left, telling conf.late of each job that was still running, and waits for that.
 *	WEIR_CALL(rc, self->drain, weir_pool_drain,
 *		  .pool = weir_pool_any(&self->pool), .ns = 5 * WEIR_S);
 * Results: 0 drained; -ETIMEDOUT aborted; or the error that ended the pool. */
struct weir_pool_drain {
	struct weir_frame co;
	struct weir_pool *pool;
	uint64_t ns;
	struct weir_arm arm[2];
	int rc;
};
WEIR_API WEIR_CO_DECL(weir_pool_drain);

/* Frees the queue.  Only after weir_pool_wait() or a drain has returned.  receipt may be NULL. */
#define weir_pool_fini(p, receipt)	weir_pool_fini_(weir_pool_any(p), (receipt))

/* sizeof a, which must be of the type of b. */
#ifdef __cplusplus
#define WEIR_SAME_(a, b)	sizeof(a)
#else
#define WEIR_SAME_(a, b)	(sizeof(a) + 0 * sizeof(struct {				\
	_Static_assert(__builtin_types_compatible_p(__typeof__(a), __typeof__(b)),	\
		       "the member of the frame and the items differ in type"); char c_; }))
#endif

WEIR_API int weir_pool_init_(struct weir_pool *p, struct weir_ctx *ctx,
			     const struct weir_pool_conf *conf, const struct weir_job *job,
			     struct weir_chan *results, const char *made);
WEIR_API void weir_pool_fini_(struct weir_pool *p, struct weir_pool_receipt *receipt);

#ifdef __cplusplus
}
#endif

#endif
