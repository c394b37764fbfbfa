/* SPDX-License-Identifier: MIT */
/*
 * chan.c - channels: rendezvous, buffered, a pipeline of them, and a choice among them.
 */
#include "bench.h"

struct sender {
	struct weir_frame co;
	struct longs *ch;
	long n, i;
};

static WEIR_CO(sender, self, op)
{
	int rc;

	for (; self->i < self->n; self->i++) {
		WEIR_AWAIT(rc, weir_chan_send(op, self->ch, &self->i));
		if (rc < 0)
			WEIR_RETURN(rc);
	}
	WEIR_RETURN(weir_chan_close(self->ch));
}
WEIR_END

struct relay {
	struct weir_frame co;
	struct longs *in, *out;
	long item;
};

static WEIR_CO(relay, self, op)
{
	int rc;

	for (;;) {
		WEIR_AWAIT(rc, weir_chan_recv(op, self->in, &self->item));
		if (rc <= 0)
			break;
		WEIR_AWAIT(rc, weir_chan_send(op, self->out, &self->item));
		if (rc < 0)
			break;
	}
	WEIR_RETURN(rc < 0 ? rc : weir_chan_close(self->out));
}
WEIR_END

struct receiver {
	struct weir_frame co;
	struct longs *ch;
	long item, sum, *total;
};

static WEIR_CO(receiver, self, op)
{
	int rc;

	for (;;) {
		WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->item));
		if (rc <= 0)
			break;
		self->sum += self->item;
	}
	*self->total = self->sum;
	WEIR_RETURN(rc);
}
WEIR_END

static long sum_below(long n)
{
	return n * (n - 1) / 2;
}

static long channel(long n, long cap)
{
	struct longs ch;
	long total = 0;

	must(weir_chan_init(&ch, loop, (unsigned)cap), "channel");
	must(weir_go(weir_loop_group(loop), receiver, .ch = &ch, .total = &total), "spawn");
	must(weir_run(loop, sender, .ch = &ch, .n = n), "channel");
	weir_chan_fini(&ch);
	check(total == sum_below(n), "all items have come");
	return n;
}

/* Generator, one stage, sink, each a task of its own. */
static long pipeline(long n, long cap)
{
	struct longs a, b;
	long total = 0;

	must(weir_chan_init(&a, loop, (unsigned)cap), "channel");
	must(weir_chan_init(&b, loop, (unsigned)cap), "channel");
	must(weir_go(weir_loop_group(loop), receiver, .ch = &b, .total = &total), "spawn");
	must(weir_go(weir_loop_group(loop), relay, .in = &a, .out = &b), "spawn");
	must(weir_run(loop, sender, .ch = &a, .n = n), "pipeline");
	weir_chan_fini(&a);
	weir_chan_fini(&b);
	check(total == sum_below(n), "all items have come through");
	return n;
}

/* ---- select ---- */

/* How many items, and what they add up to. */
struct tally { long n, sum; };

static void count(struct tally *t, long item)
{
	t->n++;
	t->sum += item;
}

struct chooser {
	struct weir_frame co;
	struct longs *ch[4];
	struct weir_ctx *done;
	struct weir_arm arm[5];
	struct tally *got;
	long item, n;
};

static WEIR_CO(chooser, self, op)
{
	int i;

	for (i = 0; i < 4; i++)
		weir_ready(weir_chan_recv(&self->arm[i].op, self->ch[i], &self->item));
	weir_ready(weir_ctx_wait(&self->arm[4].op, self->done));
	while (self->got->n < self->n) {
		for (i = 0; i < 5; i++)
			weir_ready(&self->arm[i].op);
		WEIR_AWAIT(i, weir_select(op, self->arm, 5));
		if (i < 0 || self->arm[i].op.res <= 0)
			break;
		count(self->got, self->item);
	}
	weir_ctx_cancel(self->done, 0);
	WEIR_RETURN(0);
}
WEIR_END

struct feeder {
	struct weir_frame co;
	struct longs *ch;
	struct weir_ctx *done;
	struct weir_arm arm[2];
	struct tally *sent;
	long item;
};

static WEIR_CO(feeder, self, op)
{
	int i;

	weir_ready(weir_chan_send(&self->arm[0].op, self->ch, &self->item));
	weir_ready(weir_ctx_wait(&self->arm[1].op, self->done));
	for (;;) {
		weir_ready(&self->arm[0].op);
		weir_ready(&self->arm[1].op);
		WEIR_AWAIT(i, weir_select(op, self->arm, 2));
		if (i != 0)
			break;
		count(self->sent, self->item++);
	}
	WEIR_RETURN(0);
}
WEIR_END

/* Each sends 0, 1, 2...  What a select has lost, or sent twice, shows in number and sum. */
static long choose(long n, long cap)
{
	struct longs ch[4];
	struct weir_ctx done;
	struct tally sent = { 0, 0 }, got = { 0, 0 };
	long item;
	int i;

	weir_ctx_init(&done, weir_loop_ctx(loop));
	for (i = 0; i < 4; i++) {
		must(weir_chan_init(&ch[i], loop, (unsigned)cap), "channel");
		must(weir_go(weir_loop_group(loop), feeder, .ch = &ch[i], .done = &done,
			     .sent = &sent), "spawn");
	}
	must(weir_run(loop, chooser, .ch = { &ch[0], &ch[1], &ch[2], &ch[3] }, .done = &done,
		      .n = n, .got = &got), "select");
	stop_clock();
	check(got.n == n, "as many items have come as were wanted");
	for (i = 0; i < 4; i++) {
		while (weir_chan_try_recv(&ch[i], &item) == 1)
			count(&got, item);
		weir_chan_fini(&ch[i]);
	}
	weir_ctx_fini(&done);
	check(got.n == sent.n && got.sum == sent.sum,
	      "what was sent was received or is still there");
	return n;
}

const struct workload chan_workloads[] = {
	{ "chan-0", channel, .n = 2000000, .arg = 0 },
	{ "chan-1024", channel, .n = 2000000, .arg = 1024 },
	{ "select-0", choose, .n = 500000, .arg = 0 },
	{ "select-16", choose, .n = 500000, .arg = 16 },
	{ "pipeline-0", pipeline, .n = 1000000, .arg = 0 },
	{ "pipeline-64", pipeline, .n = 1000000, .arg = 64 },
	{ .name = NULL },
};
