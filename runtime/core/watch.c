/* SPDX-License-Identifier: MIT */
/*
 * watch.c - a ctx as a file descriptor, in both directions.
 *
 * A watch is one poll in the ring.  It is memory of its own, since the kernel may have the poll for
 * a little longer than the ctx lives: ctx is NULL from then on, and the completion frees it.  The
 * eventfd of a ctx is written once, when the ctx ends, and never read, so that every poller in any
 * loop, thread or process sees it, early or late.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/kernel_op.h"
#include "core/loop.h"
#include "core/memory.h"
#include "core/watch.h"
#include "kernel/alloc.h"

struct watch {
	struct weir_op op;
	struct weir_list link;		/* in ctx->watches */
	struct weir_ctx *ctx;
	struct weir_loop *loop;
	int fd, cause;
	bool own;			/* the ctx's eventfd */
	bool polled;			/* the kernel has the poll */
};

static void watch_free(struct watch *w)
{
	if (w->own)
		close(w->fd);
	weir_free_(w);
}

static void watch_complete(struct weir_op *op, int res)
{
	struct watch *w = weir_container_of(op, struct watch, op);

	w->polled = false;
	w->loop->watches--;
	if (res > 0)
		weir_memory_heard_(w->fd, NULL);
	if (!w->ctx) {
		watch_free(w);
		return;
	}
	if (res > 0)
		weir_ctx_cancel_(w->ctx, -ECANCELED, w->cause, "its descriptor");
	else	/* no effect if it was called off because ctx is done */
		weir_ctx_cancel_(w->ctx, -ECANCELED, res, "its descriptor, which failed");
}

static const struct weir_op_def watch_def = {
	.name = "ctx fd", .complete = watch_complete, .opcode = IORING_OP_POLL_ADD,
	.flags = WEIR_INTERNAL_,
};

static int watch_new(struct weir_ctx *ctx, int fd, int cause, bool own)
{
	struct watch *w;

	if (ctx->loop->inbox->forks != weir_forks_())
		return -ECHILD;
	weir_loop_check_thread_(ctx->loop);
	w = weir_alloc_(sizeof *w);
	if (!w)
		return -ENOMEM;
	*w = (struct watch){ .ctx = ctx, .loop = ctx->loop, .fd = fd, .cause = cause, .own = own };
	weir_list_append_(&ctx->watches, &w->link);
	if (ctx->err)
		return 0;
	w->op.def = &watch_def;
	w->op.u.kernel.fd = fd;
	w->op.u.kernel.flags = weir_poll_events_(POLLIN);
	w->polled = true;
	w->loop->watches++;
	if (w->loop->be->ops->submit(w->loop->be, &w->op))
		watch_complete(&w->op, w->op.res);
	weir_loop_touch_(w->loop);
	return 0;
}

static struct watch *watch_at(struct weir_list *link)
{
	return weir_container_of(link, struct watch, link);
}

int weir_ctx_fd(struct weir_ctx *ctx)
{
	struct weir_list *l;
	int fd, rc;

	for (l = ctx->watches.next; l != &ctx->watches; l = l->next)
		if (watch_at(l)->own)
			return watch_at(l)->fd;
	fd = eventfd(ctx->err != 0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	rc = watch_new(ctx, fd, 0, true);
	if (rc < 0) {
		close(fd);
		return rc;
	}
	return fd;
}

int weir_ctx_cancel_fd(int fd)
{
	const uint64_t one = 1;
	ssize_t n;
	int saved = errno;	/* signal handlers call this */
	int rc = 0;

	do {
		n = write(fd, &one, sizeof one);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN)	/* EAGAIN: written 2^64 times already, so readable */
		rc = -errno;
	errno = saved;
	return rc;
}

int weir_ctx_adopt(struct weir_ctx *ctx, int fd, int cause)
{
	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	return watch_new(ctx, fd, cause, false);
}

/* The eventfd's own poll ends by itself, now that it is readable. */
static void watch_done(struct watch *w)
{
	if (w->own)
		weir_ctx_cancel_fd(w->fd);
	else if (w->polled)
		w->loop->be->ops->cancel(w->loop->be, &w->op);
}

void weir_watches_done_(struct weir_ctx *ctx)
{
	struct weir_list *l;

	for (l = ctx->watches.next; l != &ctx->watches; l = l->next)
		watch_done(watch_at(l));
}

void weir_watches_fini_(struct weir_ctx *ctx)
{
	while (!weir_list_empty_(&ctx->watches)) {
		struct watch *w = watch_at(ctx->watches.next);

		weir_list_remove_(&w->link);
		w->ctx = NULL;
		if (!w->polled) {
			watch_free(w);
			continue;
		}
		if (!ctx->err || w->own)
			w->loop->be->ops->cancel(w->loop->be, &w->op);
	}
}
