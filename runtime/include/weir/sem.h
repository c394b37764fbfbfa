/* SPDX-License-Identifier: MIT */
/*
 * sem.h - semaphores: so many permits, and a line of those who want some.
 *
 *	struct weir_sem files;
 *	rc = weir_sem_init(&files, loop, 64);
 *	...
 *	WEIR_TRY(rc, out, weir_sem_acquire(op, &files, 1));
 *	... at most 64 tasks are here at a time ...
 *	rc = weir_sem_release(&files, 1);
 *
 * Permits go strictly in the order in which they were asked for.  While anyone waits nobody else
 * gets one, not even one that is free: so a request for many is not starved by requests for few.
 * A permit belongs to no task; any may release what another has acquired.
 *
 * A semaphore is of one loop; or it is shared between any number of loops, threads and processes,
 * each of which has a struct weir_sem of its own, all on one eventfd whose count is the permits:
 *
 *	fd = weir_sem_shared_fd(64);		// inherited, or sent over a socket
 *	rc = weir_sem_init_shared(&files, loop, fd);
 *
 * What is different then:
 * - Permits are acquired one at a time: n must be 1, or it is -ENOTSUP.  (Two loops that have each
 *   collected a part of what they want would wait for each other for ever.)
 * - Tasks of one loop are served in order; which loop is next, the kernel decides.
 * - The number of permits is fixed by what was released and not acquired: weir_sem_resize() is
 *   -ENOTSUP, and a release of more than was held cannot be told from others.
 * - weir_sem_close() is for this loop alone.
 * - A process that dies keeps the permits that it held.  Whoever learns of it can put them back
 *   with weir_sem_release_fd().
 *
 * In either form it is the caller's memory, used by the loop's thread only.  Go's
 * x/sync/semaphore, but for: acquire of more than there are is -E2BIG at once, where Go waits for
 * the ctx; release of more than is held is -EINVAL and changes nothing, where Go panics.
 */
#ifndef WEIR_SEM_H
#define WEIR_SEM_H

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;
struct weir_seen;
struct weir_sem_shared;

#define WEIR_SEM_MAX	(1ull << 62)	/* permits at most */

enum {	/* weir_sem.slow: what the inline paths leave to sem.c */
	WEIR_SEM_WAITED_ = 1,	/* someone waits */
	WEIR_SEM_OWED_ = 2,	/* free is negative */
	WEIR_SEM_CLOSED_ = 4,
	WEIR_SEM_SHARED_ = 8,
	WEIR_SEM_SEEN_ = 16,	/* conf.check */
};

struct weir_sem {
	int64_t size;			/* permits in all; those held are size - free */
	int64_t free;			/* negative: more are held than there are, after a resize */
	unsigned slow;
	unsigned waiting;
	struct weir_list waiters;	/* ops */
	struct weir_loop *loop;
	struct weir_sem_shared *shared;	/* NULL: of one loop; else size and free are 0 */
	uint64_t refused;
	const char *made;		/* "file:line name" */
	struct weir_seen *seen;		/* conf.check: the kit's notes */
};

/* A semaphore of loop with so many permits, all free.  Results: 0; -EINVAL above WEIR_SEM_MAX. */
#define weir_sem_init(s, loop, permits)	\
	weir_sem_init_((s), (loop), (permits), WEIR_HERE_ " " #s)

/* A new descriptor that holds so many permits, the caller's.  It is close-on-exec; it may be
 * inherited by fork(2) or sent to another process.  Any thread.
 * Results: the fd; -EINVAL above WEIR_SEM_MAX; -EMFILE, -ENFILE, -ENOMEM. */
WEIR_API int weir_sem_shared_fd(uint64_t permits);

/* Takes part, for loop, in the semaphore that fd is.  fd stays the caller's, who may close it: a
 * duplicate is kept.  Results: 0; -EINVAL fd can block, so it is none of weir_sem_shared_fd();
 * -EBADF, -EMFILE, -ENOMEM. */
#define weir_sem_init_shared(s, loop, fd)	\
	weir_sem_init_shared_((s), (loop), (fd), WEIR_HERE_ " " #s)

/* No task may wait. */
WEIR_API void weir_sem_fini(struct weir_sem *s);

/* Without waiting, from a task or from the loop's host.  Results as weir_sem_acquire(), and -EAGAIN
 * there are not so many free, or someone waits. */
static inline int weir_sem_try_acquire(struct weir_sem *s, uint64_t n);

/* Awaits n permits, 0 or more; 0 of them waits only behind others.  They are the caller's until
 * released.  If the ctx is done before the task has run on, none are taken.
 * Results: 0; -E2BIG n is more than there are; -EPIPE closed. */
WEIR_MUST_USE static inline struct weir_op *weir_sem_acquire(struct weir_op *op, struct weir_sem *s,
							     uint64_t n);

/* Gives n permits back, also after close.  Never waits.
 * Results: 0; -EINVAL more than are held, none is given back. */
static inline int weir_sem_release(struct weir_sem *s, uint64_t n);

/* weir_sem_release() without a loop, of a shared semaphore: from any thread, process or signal
 * handler that holds the fd.  Results: 0; -EINVAL no such number fits; -errno of write(2). */
WEIR_API int weir_sem_release_fd(int fd, uint64_t n);

/* So many permits in all from now on.  If more than that are held, none is free until enough have
 * been released.  Who waits for more than there are now gets -E2BIG.
 * Results: 0; -EINVAL above WEIR_SEM_MAX; -ENOTSUP shared. */
WEIR_API int weir_sem_resize(struct weir_sem *s, uint64_t permits);

/* Who waits gets -EPIPE, and so does every later acquire.  Closing twice is allowed. */
WEIR_API void weir_sem_close(struct weir_sem *s);

/* Permits to be had; negative if more are held than there are; 0 if shared. */
static inline int64_t weir_sem_available(const struct weir_sem *s)
{
	return s->free;
}

/* Permits in all; 0 if shared. */
static inline uint64_t weir_sem_size(const struct weir_sem *s)
{
	return (uint64_t)s->size;
}

/* Tasks that wait, of this loop. */
static inline unsigned weir_sem_waiting(const struct weir_sem *s)
{
	return s->waiting;
}

/* How many releases there were of more than was held. */
static inline uint64_t weir_sem_refused(const struct weir_sem *s)
{
	return s->refused;
}

/* ---- what the macros call, and what is inline ---- */

WEIR_API int weir_sem_init_(struct weir_sem *s, struct weir_loop *loop, uint64_t permits,
			    const char *made);
WEIR_API int weir_sem_init_shared_(struct weir_sem *s, struct weir_loop *loop, int fd,
				   const char *made);
WEIR_API int weir_sem_take_(struct weir_sem *s, uint64_t n);
WEIR_API int weir_sem_give_(struct weir_sem *s, uint64_t n);
WEIR_API bool weir_sem_park_(struct weir_op *op);
WEIR_API bool weir_sem_cancel_(struct weir_op *op);
WEIR_API void weir_sem_revoke_(struct weir_op *op, int err);

static inline int weir_sem_try_acquire(struct weir_sem *s, uint64_t n)
{
	if (s->slow || n > (uint64_t)s->free)
		return weir_sem_take_(s, n);
	s->free -= (int64_t)n;
	return 0;
}

static inline int weir_sem_release(struct weir_sem *s, uint64_t n)
{
	if (s->slow || n > (uint64_t)(s->size - s->free))
		return weir_sem_give_(s, n);
	s->free += (int64_t)n;
	return 0;
}

static inline bool weir_sem_attempt_(struct weir_op *op)
{
	struct weir_sem *s = (struct weir_sem *)op->u.wait.obj;
	uint64_t n = op->u.wait.n;

	if (!s->slow && n <= (uint64_t)s->free) {
		s->free -= (int64_t)n;
		op->res = 0;
		return true;
	}
	if (s->slow == WEIR_SEM_WAITED_ && n <= (uint64_t)s->size)
		return false;
	op->res = weir_sem_take_(s, n);
	return op->res != -EAGAIN;
}

/* In sight of every caller, so that an await that need not wait is inline all through. */
static const struct weir_op_def weir_sem_def_ __attribute__((unused)) = {
	"sem acquire", weir_sem_attempt_, weir_sem_park_, weir_sem_cancel_, weir_sem_revoke_,
	NULL, NULL, 0, 0, WEIR_GLANCE_NONE_
};

WEIR_MUST_USE static inline struct weir_op *weir_sem_acquire(struct weir_op *op, struct weir_sem *s,
							     uint64_t n)
{
	weir_op_prepare_(op, &weir_sem_def_);
	op->u.wait.obj = s;
	op->u.wait.n = n;
	return op;
}

#ifdef __cplusplus
}
#endif

#endif
