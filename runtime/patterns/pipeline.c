/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - see pipeline.h.
 *
 * Each edge counts the workers at its two ends (chan->producers, chan->consumers): of all stages
 * that share it, so that fan-in closes after the last and fan-out hangs up after the last.
 * Whatever makes a worker end, it passes worker_ended(), so no end of an edge is ever forgotten.
 */
#include <stdio.h>
#include <unistd.h>

#include "core/loop.h"
#include "weir/co.h"
#include "weir/pipeline.h"

void weir_pipeline_init_(struct weir_pipeline *p, struct weir_ctx *ctx, const char *made)
{
	weir_group_init_(&p->group, ctx, NULL, made);
	weir_list_init_(&p->stages);
	p->loop = ctx->loop;
	p->began = p->ended = weir_now(ctx->loop);
	p->seen = weir_seen_made_(ctx->loop, WEIR_KIND_PIPELINE_, p, sizeof *p, made);
}

void weir_pipeline_fini(struct weir_pipeline *p)
{
	struct weir_list *l;

	for (l = p->stages.next; l != &p->stages; l = l->next)
		weir_crew_fini_(&weir_container_of(l, struct weir_stage, link)->crew);
	weir_list_init_(&p->stages);
	weir_seen_gone_(p->seen);
	p->seen = NULL;
}

/* ---- stages ---- */

/* Whoever is the last, those who hear of the end come after all of them. */
static void leave(struct weir_chan *ch)
{
	if (ch && ch->seen)
		weir_seen_gives_(ch->seen);
}

static void producer_gone(struct weir_chan *out)
{
	leave(out);
	if (out && --out->producers == 0 && out->open)
		weir_chan_close_(out);
}

static void consumer_gone(struct weir_chan *in)
{
	leave(in);
	if (in && --in->consumers == 0 && !in->hungup)
		weir_chan_hangup_(in);
}

static bool is_hungup(const struct weir_chan *out)
{
	return out && out->hungup;
}

/* Nobody wants what the stage sends. */
static bool is_unwanted(const struct weir_stage *s)
{
	unsigned i;

	for (i = 0; i < WEIR_STAGE_MORE; i++)
		if (is_hungup(s->more_out[i]))
			return true;
	return is_hungup(s->out);
}

static int worker_ended(struct weir_crew *crew, int rc, bool refused)
{
	struct weir_stage *s = weir_container_of(crew, struct weir_stage, crew);
	unsigned i;

	if (refused && rc == -EPIPE && is_unwanted(s))
		rc = 0;		/* told to stop, no failure */
	producer_gone(s->out);
	consumer_gone(s->in);
	for (i = 0; i < WEIR_STAGE_MORE; i++) {
		producer_gone(s->more_out[i]);
		consumer_gone(s->more_in[i]);
	}
	s->pipeline->ended = s->pipeline->loop->now;
	return rc;
}

/* The whole pipeline, as if one of its workers had. */
static int fail(struct weir_pipeline *p, int rc)
{
	if (!p->group.err)
		p->group.err = rc;
	weir_pipeline_cancel(p, rc);
	return rc;
}

static void arrive(struct weir_chan *in, struct weir_chan *out, unsigned n)
{
	if (in)
		in->consumers += n;
	if (out)
		out->producers += n;
}

static int add(struct weir_pipeline *p, struct weir_stage *s, const struct weir_job *job,
	       enum weir_crew_kind kind)
{
	unsigned i;
	int rc;

	s->workers = s->workers ? s->workers : 1;
	s->pipeline = p;
	s->crew = (struct weir_crew){ .in = s->in, .out = s->out, .ended = worker_ended };
	rc = weir_crew_start_(&s->crew, &p->group, job, s->workers, kind);
	if (rc < 0)
		return fail(p, rc);
	arrive(s->in, s->out, s->workers);
	for (i = 0; i < WEIR_STAGE_MORE; i++)
		arrive(s->more_in[i], s->more_out[i], s->workers);
	weir_list_append_(&p->stages, &s->link);
	return 0;
}

int weir_pipeline_go_(struct weir_pipeline *p, struct weir_stage *s, const struct weir_job *job)
{
	if (s->ordered)		/* its items are its own business */
		return fail(p, -EINVAL);
	return add(p, s, job, WEIR_CREW_ONCE_);
}

/* Items have their order from the input, so an ordered stage must be alone there. */
static bool order_is_shared(const struct weir_pipeline *p, const struct weir_stage *s)
{
	const struct weir_list *l;

	for (l = p->stages.next; l != &p->stages; l = l->next) {
		const struct weir_stage *o = weir_container_of(l, struct weir_stage, link);

		if (o->in && o->in == s->in && (o->ordered || s->ordered))
			return true;
	}
	return false;
}

int weir_pipeline_map_(struct weir_pipeline *p, struct weir_stage *s, struct weir_chan *in,
		       struct weir_chan *out, const struct weir_job *job)
{
	s->in = in;
	s->out = out;
	if (!s->in || order_is_shared(p, s))
		return fail(p, -EINVAL);
	return add(p, s, job, s->ordered ? WEIR_CREW_IN_ORDER_ : WEIR_CREW_EACH_);
}

/* ---- who holds up whom ---- */

/* Time that a stage's neighbours spent waiting for it, a worker on average. */
struct blame {
	uint64_t full, empty;	/* on its input, because it was full; on its output, empty */
};

static uint64_t per_worker(uint64_t ns, unsigned workers)
{
	return workers ? ns / workers : ns;
}

/* Of those of an ordered stage, one at a time sends; the others wait for their turn. */
static unsigned workers_at(const struct weir_pipeline *p, const struct weir_chan *ch, bool sending)
{
	const struct weir_list *l;
	unsigned n = 0;

	for (l = p->stages.next; l != &p->stages; l = l->next) {
		const struct weir_stage *s = weir_container_of(l, struct weir_stage, link);

		if ((sending ? s->out : s->in) == ch)
			n += sending && s->ordered ? 1 : s->workers;
	}
	return n;
}

static struct blame blame_of(const struct weir_pipeline *p, const struct weir_stage *s)
{
	struct blame b = { 0, 0 };

	if (s->in)
		b.full = per_worker(s->in->stats.full_ns, workers_at(p, s->in, true));
	if (s->out)
		b.empty = per_worker(s->out->stats.empty_ns, workers_at(p, s->out, false));
	return b;
}

const struct weir_stage *weir_pipeline_bottleneck(const struct weir_pipeline *p)
{
	const struct weir_stage *worst = NULL;
	const struct weir_list *l;
	uint64_t most = 0;

	for (l = p->stages.next; l != &p->stages; l = l->next) {
		const struct weir_stage *s = weir_container_of(l, struct weir_stage, link);
		struct blame b = blame_of(p, s);
		/* The first and the last have one neighbour only. */
		uint64_t mean = s->in && s->out ? b.full / 2 + b.empty / 2 : b.full + b.empty;

		if (mean > most) {
			most = mean;
			worst = s;
		}
	}
	return worst;
}

static int put(int fd, const char *line, int len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, line, (size_t)len);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			line += n;
			len -= (int)n;
		}
	}
	return 0;
}

#define ROW	160	/* bytes of a table row; a longer name is cut */

static int print_stage(const struct weir_pipeline *p, const struct weir_stage *s, uint64_t total,
		       int fd)
{
	struct blame b = blame_of(p, s);
	char in[24] = "-", out[24] = "-", line[ROW];
	double percent = total ? 100.0 / (double)total : 0;

	if (s->in)
		snprintf(in, sizeof in, "%llu", (unsigned long long)s->in->stats.items);
	if (s->out)
		snprintf(out, sizeof out, "%llu", (unsigned long long)s->out->stats.items);
	return put(fd, line, snprintf(line, sizeof line, "%-14.14s %7u %12s %12s %9.1f%% %9.1f%%\n",
				      s->name ? s->name : "?", s->workers, in, out,
				      (double)b.full * percent, (double)b.empty * percent));
}

int weir_pipeline_print(const struct weir_pipeline *p, int fd)
{
	const struct weir_stage *worst = weir_pipeline_bottleneck(p);
	uint64_t end = p->group.active ? p->loop->now : p->ended;
	const struct weir_list *l;
	char line[ROW];
	int rc = put(fd, line, snprintf(line, sizeof line, "%-14s %7s %12s %12s %10s %10s\n",
				     "stage", "workers", "in", "out", "input full", "out empty"));

	for (l = p->stages.next; rc == 0 && l != &p->stages; l = l->next)
		rc = print_stage(p, weir_container_of(l, struct weir_stage, link), end - p->began,
				 fd);
	if (rc == 0 && worst)
		rc = put(fd, line, snprintf(line, sizeof line, "bottleneck: %.64s\n",
					    worst->name ? worst->name : "?"));
	return rc;
}
