/* SPDX-License-Identifier: MIT */
/*
 * ctx.c - contexts: made and cancelled one by one, and one that 100,000 tasks wait under.
 */
#include "bench.h"

static long child(long n, long arg)
{
	struct weir_ctx c;
	long i;

	(void)arg;
	for (i = 0; i < n; i++) {
		weir_ctx_init(&c, weir_loop_ctx(loop));
		weir_ctx_cancel(&c, 0);
		check(weir_ctx_err(&c) == -ECANCELED, "a ctx is cancelled");
		weir_ctx_fini(&c);
	}
	return n;
}

WEIR_CO(waiter, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->item));
	WEIR_RETURN(rc == -ECANCELED ? 0 : rc);
}
WEIR_END

struct canceller {
	struct weir_frame co;
	struct weir_group group;
	struct longs ch;
	long n;
};

static WEIR_CO(canceller, self, op)
{
	long i;
	int rc;

	must(weir_chan_init(&self->ch, weir_op_loop(op), 0), "channel");
	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	for (i = 0; i < self->n; i++)
		must(weir_go(&self->group, waiter, .ch = &self->ch), "spawn");
	WEIR_AWAIT(rc, weir_yield(op));	/* they run before this task does again: they wait */
	start_clock();
	weir_group_cancel(&self->group, 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->group));
	stop_clock();
	weir_chan_fini(&self->ch);
	WEIR_RETURN(rc);
}
WEIR_END

static long cancel(long n, long tasks)
{
	(void)n;
	must(weir_run(loop, canceller, .n = tasks), "cancel");
	return tasks;
}

const struct workload ctx_workloads[] = {
	{ "ctx-cancel", child, .n = 2000000, .arg = 0 },
	{ "cancel-100000", cancel, .n = 1, .arg = 100000 },
	{ .name = NULL },
};
