/* SPDX-License-Identifier: MIT */
/*
 * sem_shared.c - permits that are the count of an eventfd, for more loops than one.
 *
 * An eventfd with EFD_SEMAPHORE gives one token to each read.  While a task of this loop waits, and
 * only then, one read is in the ring; the token that it brings goes to the first in line.  A read
 * that nobody waits for any more is cancelled; if it has a token all the same, that is written
 * back.  So no token is lost, whichever way it crosses a cancel: what became of a read is told by
 * its own completion alone.
 *
 * The read is memory of its own, since the kernel may have it for a little longer than the
 * semaphore lives: sem is NULL from then on, and the completion writes back, closes and frees.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <liburing.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/loop.h"
#include "kernel/alloc.h"
#include "sync/sem.h"

struct weir_sem_shared {
	struct weir_op op;
	uint64_t tokens;		/* what the read has brought */
	struct weir_sem *sem;
	struct weir_loop *loop;
	int fd;				/* a duplicate, ours */
	bool reading;			/* the kernel has the read */
};

/* What one holder did, the next one sees: the kernel hands the token over, and this tells the
 * compiler, and the tools that watch for races. */
static atomic_uint handed_over;

static void held(void)
{
	atomic_load_explicit(&handed_over, memory_order_acquire);
}

int weir_sem_release_fd(int fd, uint64_t n)
{
	ssize_t done;
	int saved = errno;	/* signal handlers call this */
	int rc = 0;

	if (!n)
		return 0;
	atomic_fetch_add_explicit(&handed_over, 1, memory_order_release);
	do {
		done = write(fd, &n, sizeof n);
	} while (done < 0 && errno == EINTR);
	if (done < 0)
		rc = errno == EAGAIN ? -EINVAL : -errno;	/* EAGAIN: more than fit */
	errno = saved;
	return rc;
}

static void put_back(const struct weir_sem_shared *h, uint64_t tokens)
{
	if (tokens)
		weir_sem_release_fd(h->fd, tokens);
}

/* ---- the read ---- */

static void read_complete(struct weir_op *op, int res);

static const struct weir_op_def read_def = {
	.name = "shared sem", .complete = read_complete, .opcode = IORING_OP_READ,
	.flags = WEIR_INTERNAL_,
};

static void want(struct weir_sem_shared *h)
{
	if (h->reading)
		return;
	h->op.def = &read_def;
	h->op.flags = 0;
	h->op.u.kernel.fd = h->fd;
	h->op.u.kernel.addr = (uintptr_t)&h->tokens;
	h->op.u.kernel.len = sizeof h->tokens;
	h->op.u.kernel.off = 0;
	h->op.u.kernel.flags = 0;
	h->tokens = 0;
	h->reading = true;
	h->loop->watches++;
	if (h->loop->be->ops->submit(h->loop->be, &h->op))
		read_complete(&h->op, h->op.res);
}

static void unwant(struct weir_sem_shared *h)
{
	if (!h->reading || h->op.flags & WEIR_OP_CANCELLED_)
		return;
	h->op.flags |= WEIR_OP_CANCELLED_;
	h->loop->be->ops->cancel(h->loop->be, &h->op);
	weir_loop_touch_(h->loop);
}

static void shared_free(struct weir_sem_shared *h)
{
	close(h->fd);
	weir_free_(h);
}

/* A read that fails though nobody has cancelled it fails for those who wait: another one would
 * fail too. */
static void read_complete(struct weir_op *op, int res)
{
	struct weir_sem_shared *h = weir_container_of(op, struct weir_sem_shared, op);
	bool failed = res != sizeof h->tokens && !(op->flags & WEIR_OP_CANCELLED_);
	uint64_t tokens = res == sizeof h->tokens ? h->tokens : 0;
	struct weir_sem *s = h->sem;

	h->reading = false;
	h->loop->watches--;
	if (tokens)
		held();
	for (; s && tokens && s->waiting; tokens--)
		weir_sem_end_first_(s, 0);
	put_back(h, tokens);
	while (s && failed && s->waiting)
		weir_sem_end_first_(s, res < 0 ? res : -EINVAL);
	if (!s)
		shared_free(h);
	else if (s->waiting)
		want(h);
}

/* ---- for sem.c ---- */

int weir_sem_shared_take_(struct weir_sem *s, uint64_t n)
{
	uint64_t tokens;
	ssize_t got;

	if (n != 1)
		return -ENOTSUP;
	if (s->waiting)
		return -EAGAIN;
	do {
		got = read(s->shared->fd, &tokens, sizeof tokens);
	} while (got < 0 && errno == EINTR);
	if (got != sizeof tokens)
		return got < 0 ? -errno : -EINVAL;
	held();
	put_back(s->shared, tokens - 1);
	return 0;
}

int weir_sem_shared_give_(struct weir_sem *s, uint64_t n)
{
	int rc = weir_sem_release_fd(s->shared->fd, n);

	if (rc == -EINVAL)
		s->refused++;
	return rc;
}

void weir_sem_shared_want_(struct weir_sem *s)
{
	want(s->shared);
}

void weir_sem_shared_left_(struct weir_sem *s)
{
	if (!s->waiting)
		unwant(s->shared);
}

/* ---- life ---- */

int weir_sem_shared_fd(uint64_t permits)
{
	int fd, rc;

	if (permits > WEIR_SEM_MAX)
		return -EINVAL;
	fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = weir_sem_release_fd(fd, permits);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int weir_sem_init_shared_(struct weir_sem *s, struct weir_loop *loop, int fd, const char *made)
{
	struct weir_sem_shared *h;
	int rc, flags = fcntl(fd, F_GETFL);

	if (flags < 0)
		return -errno;
	if (!(flags & O_NONBLOCK))	/* try_acquire would hang the loop */
		return -EINVAL;
	h = weir_alloc_(sizeof *h);
	if (!h)
		return -ENOMEM;
	*h = (struct weir_sem_shared){ .sem = s, .loop = loop };
	h->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (h->fd < 0) {
		rc = -errno;
		weir_free_(h);
		return rc;
	}
	rc = weir_sem_init_(s, loop, 0, made);
	s->slow |= WEIR_SEM_SHARED_;
	s->shared = h;
	return rc;
}

void weir_sem_shared_fini_(struct weir_sem *s)
{
	struct weir_sem_shared *h = s->shared;

	s->shared = NULL;
	s->slow = 0;
	if (h->reading) {
		h->sem = NULL;
		unwant(h);
	} else {
		shared_free(h);
	}
}
