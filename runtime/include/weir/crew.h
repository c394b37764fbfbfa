/* SPDX-License-Identifier: MIT */
/*
 * crew.h - workers that run the same coroutine: what a pool and a pipeline's stage have in common.
 * Programs use pool.h and pipeline.h.
 *
 * A worker has one frame for its job, as part of its own task, so a job costs no allocation.
 * Either the coroutine runs once, and does its own receiving and sending; or it runs for each item
 * of a channel: the worker copies the pattern frame, receives into the `in` member, and runs the
 * coroutine; if that returns more than 0 and there is an output, the `out` member is sent.
 */
#ifndef WEIR_CREW_H
#define WEIR_CREW_H

#include "weir/base.h"
#include "weir/chan.h"
#include "weir/group.h"
#include "weir/task.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WEIR_WORKERS_MAX	65536u

/* How to run a job: made by the macros of pool.h and pipeline.h. */
struct weir_job {
	weir_body *body;
	const void *pattern;		/* a whole frame, its `co` unset */
	size_t size;			/* of the frame */
	size_t in, in_size;		/* where the item goes */
	size_t out, out_size;		/* where the result comes from; size 0: none */
};

enum weir_crew_kind { WEIR_CREW_ONCE_, WEIR_CREW_EACH_, WEIR_CREW_IN_ORDER_ };

struct weir_crew {
	struct weir_job job;		/* job.pattern is the crew's own copy */
	struct weir_chan *in, *out;
	unsigned workers;		/* that have not ended */
	uint64_t finished, failed, aborted, dropped;	/* jobs */

	struct weir_op **turns;		/* in order only: who waits to send item n */
	unsigned n_turns;
	uint64_t turn;			/* the number of the item that may be sent next */

	/* A worker ends with rc; refused: that is what its last send said.  Returns what counts. */
	int (*ended)(struct weir_crew *crew, int rc, bool refused);
	struct weir_list all;		/* workers that receive or have a job */
};

/* Starts n workers in group: all or none.  crew's fields are zero, but for in, out and ended.  In
 * order: results are sent in the order of the items; then nobody else may receive from in.
 * Results: 0; -ENOMEM; -EINVAL a number or sizes out of range; the group's error. */
WEIR_API int weir_crew_start_(struct weir_crew *crew, struct weir_group *group,
			      const struct weir_job *job, unsigned n, enum weir_crew_kind kind);
WEIR_API void weir_crew_fini_(struct weir_crew *crew);

/* Calls fn with the item of each job that is running. */
WEIR_API void weir_crew_each_(struct weir_crew *crew, void (*fn)(void *arg, const void *item),
			      void *arg);

#ifdef __cplusplus
}
#endif

#endif
