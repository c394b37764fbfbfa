/* SPDX-License-Identifier: MIT */
/*
 * pipeline.h - generator, stages, sink, joined by channels.
 *
 * A stage is one coroutine, run by one or more workers, that receives from one channel and sends to
 * another; a generator only sends, a sink only receives.  The channels are the edges, and their
 * capacities the only buffers, so a slow stage holds up all above it.  Of the two kinds of stage
 *
 *   weir_pipeline_go()   runs the coroutine once a worker: it has its own loop and its own awaits
 *                        on channels; for generators, sinks, and whatever is not one item in, one
 *                        item out.
 *   weir_pipeline_map()  runs it once an item: the item is in a member of its frame, the result in
 *                        another.  With .ordered, results leave in the order in which items came.
 *
 * How it ends.  A worker that returns 0 or more is at its end of input: when the last worker of all
 * stages that send into an edge has ended, the edge is closed, and what it holds drains.  When the
 * last that receives from an edge has ended, the edge is hung up: sends fail with -EPIPE, and that
 * is no error but word to stop, in a map stage as in a coroutine that returns it.  So the sink of a
 * `head -1` stops the generator.  A worker that returns any other error cancels all the others,
 * wherever they wait, and is the result.
 *
 *	struct weir_pipeline p;
 *	struct weir_stage read, hash, print;	// in the frame, as the channels are
 *
 *	weir_pipeline_init(&self->p, weir_op_ctx(op));
 *	self->hash = (struct weir_stage){ .name = "hash", .workers = 4, .ordered = true };
 *	weir_pipeline_map(&self->p, &self->hash, &self->files, &self->sums, hash, file, sum);
 *	...
 *	WEIR_AWAIT(rc, weir_pipeline_wait(op, &self->p));
 *
 * Add all stages before the next await.  One that cannot be added ends the pipeline, with that
 * error, so it is enough to look at the result of the wait.
 */
#ifndef WEIR_PIPELINE_H
#define WEIR_PIPELINE_H

#include "weir/base.h"
#include "weir/chan.h"
#include "weir/crew.h"
#include "weir/group.h"
#include "weir/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_pipeline {
	struct weir_group group;
	struct weir_list stages;
	struct weir_loop *loop;
	uint64_t began, ended;		/* of the loop's clock; ended by the last worker */
	struct weir_seen *seen;		/* conf.check: the kit's notes */
};

#define WEIR_STAGE_MORE	3	/* edges of a stage at either end, beyond the first */

struct weir_stage {
	const char *name;		/* the caller sets these... */
	struct weir_chan *in, *out;	/* of weir_pipeline_go(); NULL: a generator, a sink */
	struct weir_chan *more_in[WEIR_STAGE_MORE];	/* where its coroutine merges... */
	struct weir_chan *more_out[WEIR_STAGE_MORE];	/* ...or routes; NULL: no more */
	unsigned workers;		/* 0 is 1 */
	bool ordered;			/* map stages only */

	struct weir_pipeline *pipeline;	/* ...and weir_pipeline_go(), _map() the rest */
	struct weir_list link;
	struct weir_crew crew;
};

/* Nothing yet, under ctx. */
#define weir_pipeline_init(p, ctx)	weir_pipeline_init_((p), (ctx), WEIR_HERE_ " " #p)

/* Adds a stage of stage->workers tasks, each the coroutine `name` with those fields.  It may use
 * the channels that the stage names and no others of the pipeline's: their ends are counted.
 * Results: 0; -ENOMEM; -EINVAL workers out of range, or .ordered; the ctx's error. */
#define weir_pipeline_go(p, stage, name, ...)						\
	weir_pipeline_go_((p), (stage), &(const struct weir_job){			\
		.body = name, .pattern = &(const struct name){ __VA_ARGS__ },		\
		.size = sizeof(struct name) })

/* Adds a stage between the channels `from` and `to` that runs the coroutine `name` for each item:
 * the item in its frame's member in_member; if it returns more than 0, out_member is sent on, or
 * goes to the channel's drop hook when that has become impossible; 0 sends nothing; less ends the
 * pipeline.  Other fields as given.  The compiler refuses members that are not of the channels'
 * types.  Results as above; -EINVAL also for an ordered stage that shares its input. */
#define weir_pipeline_map(p, stage, from, to, name, in_member, out_member, ...)		\
	weir_pipeline_map_((p), (stage), weir_chan_any(from), weir_chan_any(to),	\
			   &(const struct weir_job){					\
		.body = name, .pattern = &(const struct name){ __VA_ARGS__ },		\
		.size = sizeof(struct name),						\
		.in = offsetof(struct name, in_member),					\
		.in_size = WEIR_SAME_(((struct name *)0)->in_member, *(from)->item_),	\
		.out = offsetof(struct name, out_member),				\
		.out_size = WEIR_SAME_(((struct name *)0)->out_member, *(to)->item_) })

/* As weir_pipeline_map() for a sink: nothing is sent on. */
#define weir_pipeline_each(p, stage, from, name, in_member, ...)			\
	weir_pipeline_map_((p), (stage), weir_chan_any(from), NULL,			\
			   &(const struct weir_job){					\
		.body = name, .pattern = &(const struct name){ __VA_ARGS__ },		\
		.size = sizeof(struct name),						\
		.in = offsetof(struct name, in_member),					\
		.in_size = WEIR_SAME_(((struct name *)0)->in_member, *(from)->item_) })

#define weir_pipeline_cancel(p, cause)	weir_group_cancel(&(p)->group, (cause))

/* Awaits the end of all stages, as weir_group_wait().  Results: 0 all input has been through, or
 * the sink had enough; the first error.  After it weir_pipeline_fini(); the channels are the
 * caller's to fini. */
#define weir_pipeline_wait(op, p)	weir_group_wait((op), &(p)->group)
WEIR_API void weir_pipeline_fini(struct weir_pipeline *p);

/* The stage that held up the others: where senders waited longest for it and receivers for its
 * output, a worker on average; NULL if nobody has waited. */
WEIR_API const struct weir_stage *weir_pipeline_bottleneck(const struct weir_pipeline *p);

/* Writes a table to fd: for each stage its workers, items in and out, and the time that its input
 * edge was waited for because it was full and its output edge because it was empty; and the
 * bottleneck.  Between weir_pipeline_init() and _fini().  Results: 0; -errno of write(2). */
WEIR_API int weir_pipeline_print(const struct weir_pipeline *p, int fd);

WEIR_API void weir_pipeline_init_(struct weir_pipeline *p, struct weir_ctx *ctx, const char *made);
WEIR_API int weir_pipeline_go_(struct weir_pipeline *p, struct weir_stage *s,
			       const struct weir_job *job);
WEIR_API int weir_pipeline_map_(struct weir_pipeline *p, struct weir_stage *s,
				struct weir_chan *in, struct weir_chan *out,
				const struct weir_job *job);

#ifdef __cplusplus
}
#endif

#endif
