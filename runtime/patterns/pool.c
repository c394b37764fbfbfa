/* SPDX-License-Identifier: MIT */
/*
 * pool.c - see pool.h.  A crew on a queue, in a group of its own.
 *
 * What the receipt says was submitted is what the queue took in; each such item is buffered, or
 * with a worker, or dropped, so the numbers add up at any moment at which no job runs.
 */
#include "core/loop.h"
#include "weir/co.h"
#include "weir/pool.h"
#include "weir/select.h"
#include "weir/time.h"

/* The group is cancelled: submitters who wait for room get -EPIPE, jobs not begun the drop hook. */
static void empty_queue(struct weir_after *a)
{
	struct weir_pool *p = weir_container_of(a, struct weir_pool, on_end);

	weir_chan_hangup_(&p->queue);
}

int weir_pool_init_(struct weir_pool *p, struct weir_ctx *ctx, const struct weir_pool_conf *conf,
		    const struct weir_job *job, struct weir_chan *results, const char *made)
{
	int rc;

	rc = weir_chan_init_(&p->queue, ctx->loop, job->in_size, conf->queue, made);
	if (rc < 0)
		return rc;
	weir_chan_on_drop_(&p->queue, conf->drop, conf->arg);
	p->queue.crew = conf->queue > 0;
	weir_group_init_(&p->group, ctx, NULL, made);
	p->conf = *conf;
	p->late = 0;
	p->crew = (struct weir_crew){ .in = &p->queue, .out = results };
	rc = weir_crew_start_(&p->crew, &p->group, job, conf->workers, WEIR_CREW_EACH_);
	if (rc < 0)
		goto fini;
	weir_ctx_after(&p->group.ctx, &p->on_end, empty_queue);
	return 0;

fini:
	weir_group_fini(&p->group);
	weir_chan_fini_(&p->queue);
	return rc;
}

void weir_pool_fini_(struct weir_pool *p, struct weir_pool_receipt *receipt)
{
	WEIR_CHECK_(!p->crew.workers, "weir_pool_fini() before the pool has ended", p->queue.made);
	weir_ctx_after_stop(&p->on_end);
	weir_chan_hangup_(&p->queue);
	if (receipt) {
		const struct weir_crew *c = &p->crew;

		*receipt = (struct weir_pool_receipt){
			.submitted = p->queue.stats.items + p->queue.stats.dropped,
			.finished = c->finished,
			.failed = c->failed,
			.aborted = c->aborted,
			.dropped = c->dropped + p->queue.stats.dropped,
			.late = p->late,
		};
	}
	weir_chan_fini_(&p->queue);
	weir_crew_fini_(&p->crew);
}

/* ---- drain ---- */

static void tell_late(void *arg, const void *item)
{
	struct weir_pool *p = arg;

	p->late++;
	if (p->conf.late)
		p->conf.late(p->conf.arg, item);
}

#define DRAINED	0	/* the arm */

WEIR_CO(weir_pool_drain, self, op)
{
	int i;

	weir_chan_close_(&self->pool->queue);	/* -EPIPE: it was closed, or has ended */
	weir_ready(weir_group_wait(&self->arm[DRAINED].op, &self->pool->group));
	weir_ready(weir_sleep(&self->arm[1].op, self->ns));
	WEIR_AWAIT(i, weir_select_ordered(op, self->arm, 2));
	if (i == DRAINED)
		WEIR_RETURN(self->arm[DRAINED].op.res);
	self->rc = i < 0 ? i : -ETIMEDOUT;	/* cancelled while it waited, or too late */
	weir_crew_each_(&self->pool->crew, tell_late, self->pool);
	weir_group_cancel(&self->pool->group, self->rc);
	WEIR_AWAIT(i, weir_group_wait(op, &self->pool->group));
	WEIR_RETURN(i == 0 || i == -ECANCELED ? self->rc : i);
}
WEIR_END
