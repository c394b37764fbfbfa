/* SPDX-License-Identifier: MIT */
/*
 * crew.c - see crew.h.
 *
 * In order: a worker's item has a number, its place among all that the input channel ever gave.  A
 * worker that is done with item n sends when `turn` is n, and then sets it to n + 1.  With w
 * workers the numbers in their hands lie within w of turn, so those who wait need no more than w
 * places.
 */
#include <string.h>

#include "core/loop.h"
#include "kernel/alloc.h"
#include "weir/co.h"
#include "weir/crew.h"

struct crew_worker {
	struct weir_frame co;
	struct weir_crew *crew;
	struct weir_list in_crew;	/* in crew->all */
	uint64_t number;
	int rc, sent;
	bool busy;			/* with a job */
	_Alignas(16) char frame[];	/* the job's */
};

struct crew_once {
	struct weir_frame co;
	struct weir_crew *crew;
	_Alignas(16) char frame[];
};

/* ---- turns ---- */

static bool turn_attempt(struct weir_op *op)
{
	struct weir_crew *crew = op->u.wait.obj;

	op->res = 0;
	return op->u.wait.n == crew->turn;
}

static bool turn_park(struct weir_op *op)
{
	struct weir_crew *crew = op->u.wait.obj;

	crew->turns[op->u.wait.n % crew->n_turns] = op;
	return false;
}

static bool turn_cancel(struct weir_op *op)
{
	struct weir_crew *crew = op->u.wait.obj;

	crew->turns[op->u.wait.n % crew->n_turns] = NULL;
	return true;
}

static const struct weir_op_def turn_def = {
	.name = "turn to send", .attempt = turn_attempt, .park = turn_park, .cancel = turn_cancel,
};

static struct weir_op *turn_wait(struct weir_op *op, struct weir_crew *crew, uint64_t number)
{
	weir_op_prepare_(op, &turn_def);
	op->u.wait.obj = crew;
	op->u.wait.n = number;
	return op;
}

static void turn_pass(struct weir_crew *crew)
{
	struct weir_op **next = &crew->turns[++crew->turn % crew->n_turns], *op = *next;

	if (!op)
		return;
	*next = NULL;
	weir_op_done_(op, 0);
}

/* ---- workers ---- */

static void count(struct weir_crew *crew, const struct weir_ctx *ctx, int rc)
{
	if (rc >= 0)
		crew->finished++;
	else if (ctx->err && rc == ctx->err)
		crew->aborted++;
	else
		crew->failed++;
}

static void drop(struct weir_crew *crew, void *item)
{
	if (crew->in->drop)
		crew->in->drop(crew->in->drop_arg, item);
	crew->dropped++;
}

/* What a job made and nobody will receive. */
static void drop_result(struct crew_worker *w)
{
	struct weir_chan *out = w->crew->out;

	out->stats.dropped++;
	if (out->drop)
		out->drop(out->drop_arg, w->frame + w->crew->job.out);
}

static int ended(struct weir_crew *crew, int rc, bool refused)
{
	crew->workers--;
	return crew->ended ? crew->ended(crew, rc, refused) : rc;
}

static void *item_of(const struct crew_worker *w)
{
	return (char *)(uintptr_t)w->frame + w->crew->job.in;
}

static struct weir_frame *job_of(struct crew_worker *w)
{
	return (struct weir_frame *)(void *)w->frame;
}

static WEIR_CO(crew_worker, self, op)
{
	self->sent = 0;
	self->busy = false;
	weir_list_append_(&self->crew->all, &self->in_crew);
	for (;;) {
		memcpy(self->frame, self->crew->job.pattern, self->crew->job.size);
		WEIR_AWAIT(self->rc, weir_chan_recv_(op, self->crew->in, item_of(self)));
		weir_chan_begun_(self->crew->in, op);
		if (self->rc <= 0)
			break;
		if (task_->ctx->err) {		/* cancelled between receiving and running */
			drop(self->crew, item_of(self));
			continue;
		}
		self->number = op->u.wait.since;
		self->busy = true;
		WEIR_CALL_HERE_(job_of(self), self->crew->job.body, "its job");
		self->rc = op->res;
		self->busy = false;
		count(self->crew, task_->ctx, self->rc);
		if (self->rc < 0)
			break;
		if (self->crew->turns)
			WEIR_AWAIT(self->sent, turn_wait(op, self->crew, self->number));
		if (self->sent == 0 && self->rc > 0 && self->crew->out)
			WEIR_AWAIT(self->sent, weir_chan_send_(op, self->crew->out, self->frame +
							       self->crew->job.out));
		if (self->crew->turns)
			turn_pass(self->crew);
		if (self->sent < 0) {
			if (self->rc > 0 && self->crew->out)
				drop_result(self);
			self->rc = self->sent;
			break;
		}
		self->sent = 0;
	}
	weir_list_remove_(&self->in_crew);
	WEIR_RETURN(ended(self->crew, self->rc, self->sent < 0));
}
WEIR_END

static WEIR_CO(crew_once, self, op)
{
	int rc;

	memcpy(self->frame, self->crew->job.pattern, self->crew->job.size);
	WEIR_CALL_HERE_((struct weir_frame *)(void *)self->frame, self->crew->job.body,
			"its stage");
	rc = op->res;
	WEIR_RETURN(ended(self->crew, rc, true));	/* what it says of its own sends */
}
WEIR_END

/* ---- life ---- */

static bool sizes_match(const struct weir_crew *crew, const struct weir_job *job)
{
	return crew->in && job->in_size == crew->in->size &&
		(!crew->out || job->out_size == crew->out->size);
}

static int set_up(struct weir_crew *crew, const struct weir_job *job, unsigned n,
		  enum weir_crew_kind kind)
{
	void *pattern;

	if (!n || n > WEIR_WORKERS_MAX || (kind != WEIR_CREW_ONCE_ && !sizes_match(crew, job)))
		return -EINVAL;
	pattern = weir_alloc_(job->size);
	if (!pattern)
		return -ENOMEM;
	memcpy(pattern, job->pattern, job->size);
	crew->job = *job;
	crew->job.pattern = pattern;
	weir_list_init_(&crew->all);
	crew->turns = NULL;
	if (kind != WEIR_CREW_IN_ORDER_ || n == 1)
		return 0;
	crew->turns = weir_zalloc_(n, sizeof *crew->turns);
	if (!crew->turns) {
		weir_free_(pattern);
		return -ENOMEM;
	}
	crew->n_turns = n;
	crew->turn = crew->in->stats.items;
	return 0;
}

void weir_crew_fini_(struct weir_crew *crew)
{
	weir_free_((void *)(uintptr_t)crew->job.pattern);
	weir_free_(crew->turns);
	crew->job.pattern = NULL;
	crew->turns = NULL;
}

static int worker_new(struct weir_task **task, struct weir_crew *crew, struct weir_group *group,
		      weir_body *body)
{
	static const struct weir_point made = { NULL, "crew", __FILE__, "a worker", __LINE__ };
	struct crew_once *w;	/* as much of it as both kinds have in common */
	int rc = weir_task_new_(task, group, sizeof(struct crew_worker) + crew->job.size, NULL);

	if (rc < 0)
		return rc;
	w = (struct crew_once *)(void *)weir_task_root_(*task);
	w->co = (struct weir_frame){ body, NULL, { .made = &made } };
	w->crew = crew;
	return 0;
}

/* All tasks first: those not started yet can be taken back. */
int weir_crew_start_(struct weir_crew *crew, struct weir_group *group, const struct weir_job *job,
		     unsigned n, enum weir_crew_kind kind)
{
	weir_body *body = kind == WEIR_CREW_ONCE_ ? crew_once : crew_worker;
	struct weir_task *tasks = NULL, *t;
	int rc = set_up(crew, job, n, kind);

	if (rc < 0)
		return rc;
	for (crew->workers = 0; crew->workers < n; crew->workers++) {
		rc = worker_new(&t, crew, group, body);
		if (rc < 0)
			break;
		t->op.u.next_ready = tasks;
		tasks = t;
	}
	while ((t = tasks)) {
		tasks = t->op.u.next_ready;
		if (rc < 0)
			weir_task_drop_(t);
		else
			weir_task_start_(t);
	}
	if (rc < 0)
		weir_crew_fini_(crew);
	return rc;
}

void weir_crew_each_(struct weir_crew *crew, void (*fn)(void *arg, const void *item), void *arg)
{
	struct weir_list *l;

	for (l = crew->all.next; l != &crew->all; l = l->next) {
		const struct crew_worker *w = weir_container_of(l, struct crew_worker, in_crew);

		if (w->busy)
			fn(arg, item_of(w));
	}
}
