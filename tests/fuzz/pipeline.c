/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - generator, two map stages, sink: each item goes on, or is dropped, or was filtered.
 *
 * The language: three bytes of fuzz_loop(), then, a byte each:
 *
 *	n		items that the generator sends
 *	e		what it returns then, an index of ends[]
 *	cap cap cap	capacities of the edges: 0 to 4
 *	w w		workers of the stages, 1 to 4; plus 4: it keeps the order
 *	limit		items that the sink takes; 0: all
 *	ns		when the pipeline is cancelled; 0 never
 *	{ ns e }*	for each item, and each stage: how long its job sleeps, what it returns then
 *
 * An item is known by its number, which is what travels.  On each edge it was either received, or
 * given to the drop hook.
 */
#include <string.h>

#include "kit/fuzz.h"

#define ITEMS	32
#define STAGES	2
#define EDGES	(STAGES + 1)

static const int ends[] = { 1, 1, 2, 1, 0, -EIO, 1, -EPIPE, 1, -ECANCELED };
#define ENDS	(sizeof ends / sizeof *ends)

WEIR_CHAN(numbers, unsigned);

static struct {
	unsigned n, limit, workers[STAGES];
	bool ordered[STAGES];
	int end;
	uint64_t cancel_ns;
	struct { uint64_t ns; int end; } item[STAGES][ITEMS];
} plan;

static struct {
	bool sent, received, dropped;
} seen[EDGES][ITEMS];
static unsigned last;		/* 1 + the item that the sink had last */
static unsigned running[STAGES];
static int first_error;

static struct weir_loop *loop;
static struct numbers edges[EDGES];

/* ---- the model ---- */

static void received(unsigned edge, unsigned id)
{
	must(id < plan.n);
	must(!seen[edge][id].received && !seen[edge][id].dropped);
	seen[edge][id].received = true;
}

static void dropped(void *arg, void *item)
{
	unsigned edge = (unsigned)(uintptr_t)arg, id = *(unsigned *)item;

	must(!seen[edge][id].received && !seen[edge][id].dropped);
	seen[edge][id].dropped = true;
}

static int ended(const struct weir_ctx *ctx, int rc)
{
	if (rc < 0 && !(ctx->err && ctx->err == rc) && !first_error)
		first_error = rc;
	return rc;
}

static bool keeps_order(unsigned stage)
{
	return plan.workers[stage] == 1 || plan.ordered[stage];
}

/* ---- stages ---- */

struct generator { struct weir_frame co; unsigned id; int rc; };

static WEIR_CO(generator, self, op)
{
	for (self->id = 0; self->id < plan.n; self->id++) {
		WEIR_AWAIT(self->rc, weir_chan_send(op, &edges[0], &self->id));
		if (self->rc < 0)
			WEIR_RETURN(self->rc);	/* to say so is no error */
		seen[0][self->id].sent = true;
	}
	if (plan.end == -EPIPE && edges[0].chan.hungup)
		WEIR_RETURN(plan.end);
	WEIR_RETURN(ended(weir_op_ctx(op), plan.end));
}
WEIR_END

struct map { struct weir_frame co; unsigned id, out, stage; int rc; };

static WEIR_CO(map, self, op)
{
	received(self->stage, self->id);
	must_le(++running[self->stage], plan.workers[self->stage]);
	WEIR_AWAIT(self->rc, weir_sleep(op, plan.item[self->stage][self->id].ns));
	running[self->stage]--;
	if (self->rc == 0)
		self->rc = plan.item[self->stage][self->id].end;
	fuzz_say("item %u leaves stage %u: %d", self->id, self->stage, self->rc);
	if (self->rc > 0)
		seen[self->stage + 1][self->id].sent = true;
	self->out = self->id;
	WEIR_RETURN(ended(weir_op_ctx(op), self->rc));
}
WEIR_END

struct sink { struct weir_frame co; unsigned id, n; int rc; };

static WEIR_CO(sink, self, op)
{
	do {
		WEIR_AWAIT(self->rc, weir_chan_recv(op, &edges[STAGES], &self->id));
		if (self->rc <= 0)
			break;
		received(STAGES, self->id);
		must(self->id + 1 > last || !keeps_order(0) || !keeps_order(1));
		last = self->id + 1;
	} while (++self->n != plan.limit);
	must(self->rc >= 0 || self->rc == weir_op_ctx(op)->err);
	WEIR_RETURN(self->rc);
}
WEIR_END

/* ---- the whole ---- */

struct canceller { struct weir_frame co; struct weir_pipeline *p; int rc; };

static WEIR_CO(canceller, self, op)
{
	WEIR_TRY(self->rc, out, weir_sleep(op, plan.cancel_ns));
	weir_pipeline_cancel(self->p, 0);
out:
	WEIR_RETURN(0);
}
WEIR_END

struct driver {
	struct weir_frame co;
	struct weir_pipeline p;
	struct weir_stage from, map[STAGES], to;
	struct weir_group group;
	int rc, stopped;
};

static void build(struct driver *s)
{
	unsigned i;

	s->from = (struct weir_stage){ .name = "generator", .out = weir_chan_any(&edges[0]) };
	must_eq(weir_pipeline_go(&s->p, &s->from, generator), 0);
	for (i = 0; i < STAGES; i++) {
		s->map[i] = (struct weir_stage){ .name = "map", .workers = plan.workers[i],
						 .ordered = plan.ordered[i] };
		must_eq(weir_pipeline_map(&s->p, &s->map[i], &edges[i], &edges[i + 1], map, id, out,
					  .stage = i), 0);
	}
	s->to = (struct weir_stage){ .name = "sink", .in = weir_chan_any(&edges[STAGES]) };
	must_eq(weir_pipeline_go(&s->p, &s->to, sink), 0);
}

/* What came out, if nothing was in the way. */
static void check_complete(void)
{
	unsigned i;

	for (i = 0; i < plan.n; i++) {
		must(seen[0][i].sent);
		must_eq(seen[STAGES][i].received,
			plan.item[0][i].end > 0 && plan.item[1][i].end > 0);
	}
}

static WEIR_CO(driver, self, op)
{
	weir_pipeline_init(&self->p, weir_op_ctx(op));
	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	build(self);
	if (plan.cancel_ns)
		must_eq(weir_go(&self->group, canceller, .p = &self->p), 0);
	WEIR_AWAIT(self->rc, weir_pipeline_wait(op, &self->p));
	fuzz_say("pipeline: %d", self->rc);
	if (first_error)
		must_eq(self->rc, first_error);
	else
		must(self->rc == 0 || (self->rc == -ECANCELED && plan.cancel_ns));
	if (self->rc == 0 && !plan.limit)
		check_complete();
	(void)weir_pipeline_bottleneck(&self->p);
	weir_pipeline_fini(&self->p);
	weir_group_cancel(&self->group, 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->group));
}
WEIR_END

static void read_plan(void)
{
	unsigned i, k;

	memset(&plan, 0, sizeof plan);
	plan.n = fuzz_below(ITEMS + 1);
	plan.end = ends[fuzz_below(ENDS)];
	for (i = 0; i < EDGES; i++) {
		must_eq(weir_chan_init(&edges[i], loop, fuzz_below(5)), 0);
		weir_chan_on_drop(&edges[i], dropped, (void *)(uintptr_t)i);
	}
	for (i = 0; i < STAGES; i++) {
		k = fuzz_below(8);
		plan.workers[i] = 1 + k % 4;
		plan.ordered[i] = k >= 4;
	}
	plan.limit = fuzz_below(ITEMS);
	plan.cancel_ns = fuzz_ns();
	fuzz_say("%u items, then %d; %u%s and %u%s workers; the sink takes %u; cancel at %llu",
		 plan.n, plan.end, plan.workers[0], plan.ordered[0] ? " ordered" : "",
		 plan.workers[1], plan.ordered[1] ? " ordered" : "", plan.limit,
		 (unsigned long long)plan.cancel_ns);
	for (i = 0; i < plan.n; i++)
		for (k = 0; k < STAGES; k++) {
			plan.item[k][i].ns = fuzz_ns();
			plan.item[k][i].end = ends[fuzz_below(ENDS)];
		}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned i, k;

	fuzz_input(data, size);
	loop = fuzz_loop();
	memset(seen, 0, sizeof seen);
	memset(running, 0, sizeof running);
	last = 0;
	first_error = 0;
	read_plan();
	must_eq(weir_run(loop, driver), 0);
	for (k = 0; k < EDGES; k++) {
		weir_chan_fini(&edges[k]);
		for (i = 0; i < plan.n; i++)
			must_eq(seen[k][i].received + seen[k][i].dropped, seen[k][i].sent);
	}
	must_eq(running[0] + running[1], 0);
	fuzz_loop_free(loop);
	return 0;
}
