/* SPDX-License-Identifier: MIT */
/*
 * inspect.h - what must hold of the city after every step: of a task, and of the kernel between.
 *
 * - Items: what was sent into a channel was received, or was dropped, or is in it, or its receiver
 *   has not heard of it yet.
 * - Permits: those free, those held by the books, and those whose new holder has not heard yet are
 *   all that there are.
 * - Waits: an op that waits is in the one queue that can end it, and in each queue are only ops of
 *   living tasks, that wait; whoever does not wait is ready to run, once.
 * - Tasks: each is under the ctx of its group, which counts it; who has begun and not ended by the
 *   books is what there is; and who is told to end does not wait for anything else.
 * - Whatever the kernel has, has an owner.
 */
#ifndef SOAK_INSPECT_H
#define SOAK_INSPECT_H

#include "core/loop.h"
#include "kernel/sim.h"
#include "kernel/uring.h"
#include "soak/city.h"

/* ---- a set of ops, each to be found once ---- */

#define SEATS	512	/* a power of 2, and more than there are ever tasks and arms */

static struct seat {
	const struct weir_op *op;
	uint64_t inspection;	/* in which it was taken */
	bool found;
} seats[SEATS];
static uint64_t inspection;
static unsigned missing;	/* ops that are not found yet */

static struct seat *seat_of(const struct weir_op *op)
{
	uintptr_t i = (uintptr_t)op / sizeof *op;

	while (seats[i % SEATS].inspection == inspection && seats[i % SEATS].op != op)
		i++;
	return &seats[i % SEATS];
}

static void look_for(const struct weir_op *op)
{
	struct seat *s = seat_of(op);

	MUST(s->inspection != inspection);
	*s = (struct seat){ op, inspection, false };
	MUST(++missing < SEATS);
}

/* It is a living task's, or an arm of one: else nobody looked for it. */
static void found(const struct weir_op *op)
{
	struct seat *s = seat_of(op);

	MUST(s->inspection == inspection);
	MUST(!s->found);
	s->found = true;
	missing--;
}

static void found_waiting(const struct weir_op *op)
{
	found(op);
	MUST(op->state == WEIR_OP_WAITS_);
}

/* ---- what is seen of the tasks ---- */

enum { NUMBERS, JOBS_, LINES_, LINES_OUT, N_CHANS };

static struct {
	struct flow {
		uint64_t sent, got;	/* and whoever did it has not run since */
		uint64_t in_hand;	/* made, and not sent */
	} flow[N_CHANS];
	uint64_t permits;		/* taken, and not heard of yet */
	uint64_t living[N_ROLES], unbegun[N_ROLES];
	uint64_t tasks;
	uint64_t jobs, queued;		/* on the blocking pool; those that no thread has begun */
	uint64_t kernel, timers;	/* ops */
} seen;

static const struct weir_chan *chan_of(int i)
{
	const struct city *c = city_of;

	switch (i) {
	case NUMBERS:
		return &c->numbers.chan;
	case JOBS_:
		return &c->pool.pool.queue;
	case LINES_:
		return &c->lines.chan;
	default:
		return &c->lines_out.chan;
	}
}

/* Where op sends or receives; N_CHANS: it does neither. */
static int which_chan(const struct weir_op *op)
{
	int i = 0;

	if (op->def->park != weir_chan_send_park_ && op->def->park != weir_chan_recv_park_)
		return N_CHANS;
	while (i < N_CHANS && chan_of(i) != op->u.wait.obj)
		i++;
	MUST(i < N_CHANS);
	return i;
}

/* op has ended, and its task does not know. */
static void see_result(const struct weir_op *op)
{
	int i = which_chan(op);

	if (op->def->park == weir_sem_park_)
		seen.permits += op->res == 0;
	if (i == N_CHANS || op->res <= 0)
		return;
	if (op->def->park == weir_chan_recv_park_)
		seen.flow[i].got++;
	else if (i != LINES_OUT)	/* the books have it since it was made */
		seen.flow[i].sent++;
}

/* A worker of the map has a line and waits for its turn, or for room. */
static bool has_line(const struct weir_op *op)
{
	if (!strcmp(op->def->name, "turn to send"))
		return op->u.wait.obj == &city_of->map.crew;
	if (op->def->park != weir_chan_send_park_ || op->u.wait.obj != chan_of(LINES_OUT))
		return false;
	return op->state == WEIR_OP_WAITS_ || op->res < 0;
}

static bool is_select(const struct weir_op *op)
{
	return op->def == &weir_select_def_;
}

static bool is_job(const struct weir_op *op)
{
	return !strcmp(op->def->name, "work");
}

static void see_waiting(const struct weir_op *op)
{
	unsigned i;

	if (is_select(op)) {
		for (i = 0; i < op->u.choice.n; i++)
			if (op->u.choice.arms[i].op.state == WEIR_OP_WAITS_)
				look_for(&op->u.choice.arms[i].op);
	} else if (is_job(op)) {	/* whose queue nobody else may look at */
		seen.jobs++;
		seen.queued += op->u.job.fn != NULL;
	} else {
		look_for(op);
	}
}

static void see_frames(const struct weir_task *t)
{
#define BODY(name) name,
	static weir_body *const bodies[N_ROLES] = { ROLES(BODY) };
	const struct weir_frame *root = (const struct weir_frame *)(const void *)(t + 1), *f;
	int i;

	for (f = t->leaf; ; f = f->up.caller) {
		for (i = 0; i < N_ROLES; i++)
			if (f->body == bodies[i])
				(f->at ? seen.living : seen.unbegun)[i]++;
		if (f == root)
			return;
	}
}

static void see_task(const struct weir_task *t)
{
	const struct weir_op *op = &t->op;

	seen.tasks++;
	see_frames(t);
	if (op->state == WEIR_OP_WAITS_)
		see_waiting(op);
	else
		look_for(op);		/* among those that are ready */
	if (op->state == WEIR_OP_DONE_ && !is_select(op))
		see_result(op);
	else if (op->state == WEIR_OP_DONE_ && op->res >= 0)
		see_result(&op->u.choice.arms[op->res].op);
	if (op->state != WEIR_OP_IDLE_)
		seen.flow[LINES_OUT].in_hand += has_line(op);
}

/* Every ctx of the city is that of a group, but for the loop's. */
static void see_ctx(void *arg, struct weir_ctx *ctx)
{
	struct weir_loop *loop = arg;
	const struct weir_group *g = weir_container_of(ctx, struct weir_group, ctx);
	const struct weir_list *l;
	unsigned n = 0;

	MUST(!ctx->parent || !ctx->parent->err || ctx->err);
	for (l = ctx->tasks.next; l != &ctx->tasks; l = l->next, n++) {
		const struct weir_task *t = weir_container_of(l, struct weir_task, in_ctx);

		MUST(t->ctx == ctx && t->group == g);
		MUST(!ctx->err || t->op.state != WEIR_OP_WAITS_ ||
		     t->op.flags & WEIR_OP_CANCELLED_ || t->op.def->flags & WEIR_UNINTERRUPTED_);
		see_task(t);
	}
	MUST(n == (ctx == &loop->ctx ? 0 : g->active));
}

/* ---- what is found in the queues ---- */

static void search(const struct weir_list *waiters)
{
	const struct weir_list *l;

	for (l = waiters->next; l != waiters; l = l->next)
		found_waiting(weir_container_of(l, struct weir_op, u.wait.link));
}

static void search_ctx(void *arg, struct weir_ctx *ctx)
{
	const struct weir_loop *loop = arg;

	search(&ctx->waiters);
	if (ctx == &loop->ctx)
		return;
	search(&weir_container_of(ctx, struct weir_group, ctx)->waiters);
	search(&weir_container_of(ctx, struct weir_group, ctx)->slots);
}

static void search_ready(const struct weir_loop *loop)
{
	const struct weir_task *t;

	for (t = loop->ready.first; t; t = t->op.u.next_ready) {
		found(&t->op);
		MUST(t->op.state != WEIR_OP_WAITS_);
		MUST(t->op.u.next_ready || loop->ready.end == &t->op.u.next_ready);
	}
}

/* All of them are sleeps: nothing here has a deadline. */
static void search_timers(const struct weir_wheel *w)
{
	const struct weir_list *l, *slot;
	unsigned level;
	uint64_t bits;

	for (level = 0; level < WEIR_WHEEL_LEVELS_; level++) {
		for (bits = w->filled[level]; bits; bits &= bits - 1) {
			slot = &w->slot[level][__builtin_ctzll(bits)].timers;
			for (l = slot->next; l != slot; l = l->next, seen.timers++)
				found_waiting(weir_container_of(l, struct weir_op, u.timer.link));
		}
	}
	MUST(seen.timers == w->count);
}

static void found_in_kernel(void *arg, struct weir_op *op)
{
	(void)arg;
	seen.kernel++;
	found_waiting(op);
}

static void search_kernel(struct weir_loop *loop)
{
	const struct uring *u = uring_of(loop->be);
	const struct sim *sim = weir_sim_of_(loop->be);
	const struct weir_list *l;
	struct weir_loop_stats s;

	loop->be->ops->each(loop->be, found_in_kernel, NULL);
	weir_loop_stats(loop, &s);
	MUST(s.in_flight <= OPS && s.in_flight <= seen.kernel);
	MUST(!s.unknown && !s.cq_overflows);
	for (l = sim->reqs.next; l != &sim->reqs; l = l->next) {
		uint64_t tag = weir_container_of(l, struct sim_req, link)->sqe.user_data;

		MUST((uint32_t)tag < u->n_slots && u->slots[(uint32_t)tag].op);
		MUST(u->slots[(uint32_t)tag].generation == tag >> 32);
	}
}

/* What is over lies in the inbox. */
static void search_workers(const struct weir_loop *loop)
{
	struct weir_workers_stats s = { 0 };
	const struct weir_msg *msg;
	uint64_t n = 0;

	for (msg = loop->inbox->first; msg; msg = msg->next)
		n++;
	if (loop->workers)
		weir_workers_stats(loop->workers, &s);
	MUST(seen.jobs == loop->jobs);
	MUST(seen.queued == s.queued);
	MUST(seen.jobs == s.queued + s.busy + n);
}

static void search_all(struct weir_loop *loop)
{
	const struct weir_crew *map = &city_of->map.crew;
	unsigned i;

	search_ready(loop);
	for (i = 0; i < N_CHANS; i++) {
		search(&chan_of(i)->senders);
		search(&chan_of(i)->receivers);
	}
	search(&city_of->permits.waiters);
	for (i = 0; i < map->n_turns; i++)
		if (map->turns[i])
			found_waiting(map->turns[i]);
	weir_ctx_each_(loop, search_ctx, loop);
	search_timers(&loop->wheel);
	search_kernel(loop);
	search_workers(loop);
	MUST(!missing);
}

/* ---- the laws ---- */

static void inspect_chan(const struct weir_chan *ch)
{
	bool senders = !weir_list_empty_(&ch->senders);
	bool receivers = !weir_list_empty_(&ch->receivers);

	MUST(ch->len <= ch->cap);
	MUST(ch->room == (ch->open ? ch->cap - ch->len : 0));	/* nobody reserves any */
	MUST(!senders || !ch->room);
	MUST(!senders || !receivers || ch->woken);
	MUST(!receivers || !ch->len || ch->woken);
}

static void inspect_items(void)
{
	static const struct ledger *const ledgers[N_CHANS] = {
		&books.numbers, &books.jobs, &books.lines, &books.lines_out,
	};
	int i;

	for (i = 0; i < N_CHANS; i++) {
		const struct ledger *l = ledgers[i];
		const struct flow *f = &seen.flow[i];
		const struct weir_chan *ch = chan_of(i);

		inspect_chan(ch);
		MUST(l->sent + f->sent == l->got + f->got + l->dropped + ch->len + f->in_hand);
	}
}

static void inspect_permits(const struct weir_sem *s)
{
	const struct weir_list *l;
	unsigned n = 0;

	for (l = s->waiters.next; l != &s->waiters; l = l->next)
		n++;
	MUST(s->waiting == n);
	MUST(!s->waiting || !s->free);
	MUST(s->free >= 0 && (uint64_t)s->free + books.permits + seen.permits == PERMITS);
}

static void inspect_tasks(const struct weir_loop *loop)
{
	const struct weir_crew *crew = &city_of->pool.pool.crew;
	int i;

	MUST(seen.tasks == loop->stats.tasks);
	for (i = 0; i < N_ROLES; i++)
		MUST(seen.living[i] == books.living[i]);
	MUST(books.jobs_over == crew->finished + crew->failed + crew->aborted);
}

static void inspect(struct weir_loop *loop)
{
	if (!city_of)
		return;
	inspection++;
	missing = 0;
	memset(&seen, 0, sizeof seen);
	weir_ctx_each_(loop, see_ctx, loop);
	search_all(loop);
	seen.flow[JOBS_].got += seen.unbegun[AS_work];
	seen.flow[LINES_].got += seen.unbegun[AS_mapping];
	seen.flow[LINES_OUT].got += seen.unbegun[AS_printing];
	inspect_items();
	inspect_permits(&city_of->permits);
	inspect_tasks(loop);
}

/* ---- when ---- */

static weir_resume *take_step;
static bool steps;		/* a task does: what the kernel does meanwhile is a part of it */
static bool aloud;

static void after_step(struct weir_task *t)
{
	struct weir_loop *loop = t->ctx->loop;

	steps = true;
	if (take_step)
		take_step(t);
	else
		weir_task_resume_(t);
	steps = false;
	inspect(loop);
}

static void after_kernel(void *arg, const char *text)
{
	if (aloud)
		fprintf(stderr, "%s\n", text);
	if (!steps)
		inspect(arg);
}

/* From here on; and of the kernel's words no others hear any more. */
static void inspect_always(struct weir_loop *loop)
{
	struct sim *sim = weir_sim_of_(loop->be);

	city_of = NULL;
	aloud = sim->conf.trace;
	sim->conf.trace = after_kernel;
	sim->conf.trace_arg = loop;
	take_step = loop->resume;
	loop->resume = after_step;
}

#endif
