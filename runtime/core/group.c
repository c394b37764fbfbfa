/* SPDX-License-Identifier: MIT */
/*
 * group.c - see group.h.
 *
 * When the last task has ended and no place is held, and someone waits for that, the group ends:
 * its ctx leaves the tree, and nothing of it may be touched again, for whoever waited may free it.
 */
#include "core/loop.h"

void weir_group_init_(struct weir_group *g, struct weir_ctx *parent,
		      const struct weir_group_conf *conf, const char *made)
{
	weir_ctx_init_(&g->ctx, parent, WEIR_FOREVER, 0, made);
	g->conf = conf ? *conf : (struct weir_group_conf){ 0 };
	g->err = 0;
	g->victim = 0;
	g->failures = 0;
	g->active = 0;
	g->held = 0;
	g->limit = WEIR_NO_LIMIT;
	weir_list_init_(&g->ended);
	weir_list_init_(&g->waiters);
	weir_list_init_(&g->slots);
	g->refuse.state = WEIR_AFTER_OVER_;
	g->past = NULL;
	if (parent->loop->notes)
		weir_past_new_(g);
}

static int result(const struct weir_group *g)
{
	return g->err ? g->err : g->victim;
}

static struct weir_op *first_op(struct weir_list *list)
{
	return weir_container_of(list->next, struct weir_op, u.wait.link);
}

static bool below_limit(const struct weir_group *g)
{
	return g->limit < 0 || g->active + g->held < (unsigned)g->limit;
}

/* The last to leave takes the callback along. */
static void slot_left(struct weir_group *g)
{
	if (weir_list_empty_(&g->slots))
		weir_ctx_after_stop(&g->refuse);
}

static void give_slots(struct weir_group *g)
{
	while (!weir_list_empty_(&g->slots) && !g->ctx.err && below_limit(g)) {
		struct weir_op *op = first_op(&g->slots);

		weir_list_remove_(&op->u.wait.link);
		slot_left(g);
		g->held++;
		weir_op_done_(op, 0);
	}
}

int weir_group_limit(struct weir_group *g, int n)
{
	if (g->active || g->held)
		return -EBUSY;
	g->limit = n;
	give_slots(g);
	return 0;
}

/* Whoever waits for a place in a group that has failed will not get one. */
static void refuse_slots(struct weir_group *g)
{
	while (!weir_list_empty_(&g->slots)) {
		struct weir_op *op = first_op(&g->slots);

		weir_list_remove_(&op->u.wait.link);
		weir_op_done_(op, g->ctx.err);
	}
}

static void refuse(struct weir_after *a)
{
	refuse_slots(weir_container_of(a, struct weir_group, refuse));
}

void weir_group_fini(struct weir_group *g)
{
	WEIR_CHECK_(!g->active && !g->held, "weir_group_fini() of a group that has tasks",
		    g->ctx.made);
	while (!weir_list_empty_(&g->ended)) {
		struct weir_task *t = weir_container_of(g->ended.next, struct weir_task, in_ctx);

		weir_list_remove_(&t->in_ctx);
		weir_task_free_(t);
	}
	if (!g->ctx.err)
		weir_ctx_cancel_(&g->ctx, -ECANCELED, 0, "the end of its group");
	weir_ctx_after_stop(&g->refuse);
	refuse_slots(g);
	if (g->past)
		weir_past_forget_(g);
	weir_ctx_pass_on_(&g->ctx);
	weir_ctx_fini(&g->ctx);
}

/* An error that only says that the group's ctx is done comes from a task that obeyed; any
 * other is the group's. */
static void failed(struct weir_group *g, int res)
{
	if (g->failures < g->conf.max_errors && g->conf.errors)
		g->conf.errors[g->failures] = res;
	g->failures++;
	if (g->ctx.err && res == g->ctx.err) {
		if (!g->victim)
			g->victim = res;
		return;
	}
	if (g->err)
		return;
	g->err = res;
	if (!g->conf.keep_going)
		weir_ctx_cancel_(&g->ctx, -ECANCELED, res, "a task that failed");
}

static bool over(const struct weir_group *g)
{
	return !g->active && !g->held;
}

static void end_if_over(struct weir_group *g)
{
	struct weir_list waiters;
	int res = result(g);

	if (!over(g) || weir_list_empty_(&g->waiters))
		return;
	if (g->past)
		weir_past_known_(g);
	weir_list_init_(&waiters);
	weir_list_splice_(&waiters, &g->waiters);
	weir_group_fini(g);
	while (!weir_list_empty_(&waiters)) {
		struct weir_op *op = first_op(&waiters);

		weir_list_remove_(&op->u.wait.link);
		weir_op_done_(op, res);
	}
}

void weir_group_ended_(struct weir_group *g, int res)
{
	g->active--;
	if (g->past)
		weir_past_ended_(g);
	if (res < 0)
		failed(g, res);
	if (!weir_list_empty_(&g->slots))
		give_slots(g);
	end_if_over(g);
}

/* ---- wait ---- */

static bool wait_attempt(struct weir_op *op)
{
	struct weir_group *g = op->u.wait.obj;

	if (!over(g))
		return false;
	op->res = result(g);
	if (g->ctx.loop->notes)
		weir_past_known_(g);
	weir_group_fini(g);
	return true;
}

static bool wait_park(struct weir_op *op)
{
	struct weir_group *g = op->u.wait.obj;

	weir_list_append_(&g->waiters, &op->u.wait.link);
	return false;
}

static bool unlink_wait(struct weir_op *op)
{
	weir_list_remove_(&op->u.wait.link);
	return true;
}

const struct weir_op_def weir_group_wait_def_ = {
	.name = "group wait", .attempt = wait_attempt, .park = wait_park, .cancel = unlink_wait,
	.flags = WEIR_UNINTERRUPTED_,
};

/* ---- slots ---- */

static bool slot_attempt(struct weir_op *op)
{
	struct weir_group *g = op->u.wait.obj;

	if (g->ctx.err) {
		op->res = g->ctx.err;
		return true;
	}
	if (!weir_list_empty_(&g->slots) || !below_limit(g))
		return false;
	g->held++;
	if (g->past)
		weir_past_known_(g);
	op->res = 0;
	return true;
}

static bool slot_park(struct weir_op *op)
{
	struct weir_group *g = op->u.wait.obj;

	if (weir_list_empty_(&g->slots))
		weir_ctx_after(&g->ctx, &g->refuse, refuse);
	weir_list_append_(&g->slots, &op->u.wait.link);
	return false;
}

static bool slot_cancel(struct weir_op *op)
{
	weir_list_remove_(&op->u.wait.link);
	slot_left(op->u.wait.obj);
	return true;
}

const struct weir_op_def weir_group_slot_def_ = {
	.name = "group slot", .attempt = slot_attempt, .park = slot_park, .cancel = slot_cancel,
};

void weir_group_unhold(struct weir_group *g)
{
	g->held--;
	if (g->past)
		weir_past_ended_(g);
	give_slots(g);
	end_if_over(g);
}
