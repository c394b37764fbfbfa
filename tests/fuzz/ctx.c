/* SPDX-License-Identifier: MIT */
/*
 * ctx.c - trees of contexts and groups: who is done, when, why, and who hears of it.
 *
 * The language: three bytes of fuzz_loop(), then instructions, each a byte, with arguments:
 *
 *	0 child    p		a ctx under p
 *	1 deadline p ns		...with a deadline, 10 ms before now + ns
 *	2 timeout  p ns e	...with a timeout and a cause
 *	3 detached p ns		...detached, with a timeout
 *	4 group    p x		a group under p; x odd: it keeps going
 *	5 cancel   c e
 *	6 fini     c		if nothing is left under it
 *	7 after    c		a callback for its end
 *	8 stop     a		the a-th callback
 *	9 set      c k		a value for key k
 *	10 task    g ns e	a task of group g that sleeps and returns e
 *	11 shield  g ns ns e	...that sleeps under a shield of that long
 *	12 wait    g		the driver awaits the end of group g
 *	13 watch   c		a task awaits the end of c
 *	14 enter   c ns		a task enters c, sleeps, and leaves
 *	15 yield		the driver lets others run
 *	16 sleep   ns		...until this time
 *
 * p is 0 for the loop's ctx, else the ctx made last, the one before...; c and g without the former.
 * e is an index of errors[].
 *
 * The model is a plain array in which each end is passed on by looking at all; time is dealt with
 * by looking for the earliest deadline, again and again.
 */
#include <string.h>

#include "kit/fuzz.h"

#define NODES	24
#define AFTERS	16
#define KEYS	2
#define ROOT	(-1)

static const int errors[] = { 0, -EIO, -ECANCELED, -ETIMEDOUT, -ENOENT, 1 };
#define ERRORS	(sizeof errors / sizeof *errors)

static struct node {
	int parent;
	bool is_group, detached, gone;
	int err, cause;
	uint64_t deadline, done_at;
	bool timed;
	int late;
	int key;		/* -1: none */
	unsigned busy;		/* tasks that watch it or have entered it */
	bool entered;
	bool keep_going, waited;	/* of groups, as the rest */
	int first, victim;
	unsigned active;
} nodes[NODES];
static int n_nodes;

static struct {
	int node;
	enum { ARMED, QUEUED, OVER } state;
	uint64_t turn;		/* in which it was queued */
	struct weir_after after;
} afters[AFTERS];
static unsigned n_afters;

static struct weir_loop *loop;
static struct weir_group ctxs[NODES];	/* of plain ones, only the ctx */
static const char keys[KEYS], values[NODES * KEYS];	/* their addresses count */

static struct weir_ctx *ctx(int c)
{
	return c == ROOT ? weir_loop_ctx(loop) : &ctxs[c].ctx;
}

/* ---- the model ---- */

static uint64_t turn(void)
{
	struct weir_loop_stats s;

	weir_loop_stats(loop, &s);
	return s.turns;
}

static void finish(int c, int err, int cause, uint64_t at)
{
	struct node *n = &nodes[c];
	unsigned a;
	int i;

	if (n->err)
		return;
	n->err = err;
	n->cause = cause ? cause : err;
	n->done_at = at;
	for (a = 0; a < n_afters; a++)
		if (afters[a].node == c && afters[a].state == ARMED) {
			afters[a].state = QUEUED;
			afters[a].turn = turn();
		}
	for (i = 0; i < n_nodes; i++)
		if (!nodes[i].gone && nodes[i].parent == c && !nodes[i].detached)
			finish(i, n->err, n->cause, at);
}

/* All deadlines up to now, one after the other. */
static uint64_t sync(void)
{
	uint64_t now = weir_now(loop);

	for (;;) {
		int i, next = -1;

		for (i = 0; i < n_nodes; i++)
			if (!nodes[i].gone && !nodes[i].err && nodes[i].timed &&
			    (next < 0 || nodes[i].deadline < nodes[next].deadline))
				next = i;
		if (next < 0 || nodes[next].deadline > now)
			return now;
		finish(next, -ETIMEDOUT, nodes[next].late, nodes[next].deadline);
	}
}

static int add(int parent, uint64_t deadline, int late, bool detached)
{
	struct node *n = &nodes[n_nodes], *p = parent == ROOT ? NULL : &nodes[parent];
	uint64_t limit = p && !detached ? p->deadline : WEIR_FOREVER;

	*n = (struct node){
		.parent = parent, .detached = detached, .late = late, .key = -1, .deadline = limit,
	};
	if (p && !detached) {
		n->err = p->err;
		n->cause = p->cause;
		n->done_at = p->done_at;
	}
	if (deadline < limit) {
		n->deadline = deadline;
		n->timed = true;
	}
	n_nodes++;
	sync();
	return n_nodes - 1;
}

/* Who is below one that is no more is below its parent. */
static void remove_node(int c)
{
	unsigned a;
	int i;

	nodes[c].gone = true;
	for (i = 0; i < n_nodes; i++)
		if (nodes[i].parent == c)
			nodes[i].parent = nodes[c].parent;
	for (a = 0; a < n_afters; a++)
		if (afters[a].node == c && !nodes[c].is_group)
			afters[a].state = OVER;
}

static bool has_children(int c, bool detached_only)
{
	int i;

	for (i = 0; i < n_nodes; i++)
		if (!nodes[i].gone && nodes[i].parent == c && (nodes[i].detached || !detached_only))
			return true;
	return false;
}

static void end_group(int g)
{
	finish(g, -ECANCELED, 0, weir_now(loop));
	remove_node(g);
}

static void task_ended(int g, int rc)
{
	struct node *n = &nodes[g];

	sync();
	n->active--;
	if (rc < 0 && n->err && rc == n->err) {
		n->victim = n->victim ? n->victim : rc;
	} else if (rc < 0 && !n->first) {
		n->first = rc;
		if (!n->keep_going)
			finish(g, -ECANCELED, rc, weir_now(loop));
	}
	if (n->waited && !n->active)
		end_group(g);
}

static const char *value_for(int c, int key)
{
	for (; c != ROOT; c = nodes[c].parent)
		if (nodes[c].key == key)
			return &values[c * KEYS + key];
	return NULL;
}

static void check_all(void)
{
	int i, k;

	sync();
	for (i = 0; i < n_nodes; i++) {
		if (nodes[i].gone)
			continue;
		must_eq(weir_ctx_err(ctx(i)), nodes[i].err);
		must_eq(weir_ctx_cause(ctx(i)), nodes[i].cause);
		must_eq(weir_ctx_deadline(ctx(i)), nodes[i].deadline);
		for (k = 0; k < KEYS; k++)
			must(weir_ctx_get(ctx(i), &keys[k]) == value_for(i, k));
		if (nodes[i].is_group)
			must_eq(ctxs[i].active, nodes[i].active);
	}
	for (i = 0; i < (int)n_afters; i++)
		must(afters[i].state != QUEUED || afters[i].turn == turn());
}

/* A sleep under c from `since` returned rc.  What was first, counts. */
static void check_slept(int c, uint64_t since, uint64_t ns, int rc)
{
	const struct node *n = &nodes[c];
	uint64_t due = weir_time_add(since, ns), now = sync();

	if (rc == 0) {
		must(due <= now);
		must(!n->err || n->done_at >= due);
	} else {
		must_eq(rc, n->err);
		must(n->done_at <= due || n->done_at <= since);
	}
}

/* ---- callbacks and tasks ---- */

static void called(struct weir_after *after)
{
	unsigned a;

	sync();
	for (a = 0; &afters[a].after != after; a++)
		;
	fuzz_say("callback %u", a);
	must_eq(afters[a].state, QUEUED);
	afters[a].state = OVER;
}

struct member {
	struct weir_frame co;
	struct weir_ctx shield;
	int g, end, rc;
	bool shielded;
	uint64_t ns, limit, since;
};

static WEIR_CO(member, self, op)
{
	self->since = sync();
	if (!self->shielded) {
		WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
		check_slept(self->g, self->since, self->ns, self->rc);
	} else {
		weir_shield(op, &self->shield, self->limit);
		WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
		must(self->rc == 0 ? self->ns <= self->limit && self->limit :
		     self->rc == -ETIMEDOUT && self->ns >= self->limit);
		weir_unshield(op, &self->shield);
	}
	self->rc = self->end ? self->end : self->rc;
	fuzz_say("a task of %d ends: %d", self->g, self->rc);
	task_ended(self->g, self->rc);
	WEIR_RETURN(self->rc);
}
WEIR_END

struct watcher { struct weir_frame co; int c, rc; };

static WEIR_CO(watcher, self, op)
{
	WEIR_AWAIT(self->rc, weir_ctx_wait(op, ctx(self->c)));
	sync();
	must_eq(self->rc, 0);
	must(nodes[self->c].err);
	nodes[self->c].busy--;
}
WEIR_END

struct visitor { struct weir_frame co; int c, rc; uint64_t ns, since; };

static WEIR_CO(visitor, self, op)
{
	self->since = sync();
	weir_ctx_enter(op, ctx(self->c));
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	check_slept(self->c, self->since, self->ns, self->rc);
	weir_ctx_leave(op, ctx(self->c));
	nodes[self->c].busy--;
	nodes[self->c].entered = false;
}
WEIR_END

/* ---- the driver ---- */

struct driver {
	struct weir_frame co;
	struct weir_group crowd;
	uint64_t ns;
	int g, rc;
};

/* The b-th of those that are there, counted from the latest; none: ROOT. */
static int some(bool root, bool group)
{
	unsigned b = fuzz_byte(), n = root;
	int i, pass;

	for (pass = 0; pass < 2; pass++) {
		if (pass && !n)
			return ROOT;
		b %= pass ? n : 256;
		if (pass && root && b-- == 0)
			return ROOT;
		for (i = n_nodes; i--;) {
			if (nodes[i].gone || (group && !nodes[i].is_group))
				continue;
			if (!pass)
				n++;
			else if (b-- == 0)
				return i;
		}
	}
	return ROOT;
}

static int some_error(void)
{
	return errors[fuzz_below(ERRORS)];
}

static int some_cause(void)
{
	int e = some_error();

	return e < 0 ? e : 0;
}

static void make(unsigned how)
{
	int c, cause, p = some(true, false);
	uint64_t ns, now = sync();
	struct weir_ctx *parent = ctx(p), *self;
	struct weir_group_conf conf = { 0 };

	if (n_nodes == NODES)
		return;
	self = &ctxs[n_nodes].ctx;
	switch (how) {
	case 0:
		c = add(p, WEIR_FOREVER, 0, false);
		weir_ctx_init(self, parent);
		break;
	case 1:
		ns = now + fuzz_ns() - 10 * WEIR_MS;
		c = add(p, ns, 0, false);
		weir_ctx_init_deadline(self, parent, ns);
		break;
	case 2:
		ns = fuzz_ns();
		cause = some_cause();
		c = add(p, now + ns, cause, false);
		weir_ctx_init_timeout_cause(self, parent, ns, cause);
		break;
	case 3:
		ns = now + fuzz_ns();
		c = add(p, ns, 0, true);
		weir_ctx_init_detached(self, parent, ns);
		break;
	default:
		c = add(p, WEIR_FOREVER, 0, false);
		nodes[c].is_group = true;
		nodes[c].keep_going = fuzz_byte() % 2;
		conf.keep_going = nodes[c].keep_going;
		weir_group_init(&ctxs[c], parent, &conf);
	}
	fuzz_say("ctx %d: how %u, under %d, deadline %llu", c, how, p,
		 (unsigned long long)nodes[c].deadline);
}

static void fini(int c)
{
	if (nodes[c].is_group || nodes[c].busy || has_children(c, false))
		return;
	fuzz_say("fini %d", c);
	weir_ctx_fini(ctx(c));
	remove_node(c);
}

static void add_after(int c)
{
	if (n_afters == AFTERS)
		return;
	fuzz_say("callback %u of %d", n_afters, c);
	afters[n_afters].node = c;
	afters[n_afters].state = nodes[c].err ? QUEUED : ARMED;
	afters[n_afters].turn = turn();
	weir_ctx_after(ctx(c), &afters[n_afters++].after, called);
}

static void stop(unsigned a)
{
	if (a >= n_afters)
		return;
	fuzz_say("stop %u", a);
	must_eq(weir_ctx_after_stop(&afters[a].after), afters[a].state != OVER);
	afters[a].state = OVER;
}

static void spawn(int g, bool shielded)
{
	uint64_t ns = fuzz_ns(), limit = shielded ? fuzz_ns() : 0;
	int rc, end = some_error();

	rc = weir_go(&ctxs[g], member, .g = g, .ns = ns, .shielded = shielded, .limit = limit,
		     .end = end);
	fuzz_say("a task of %d: %llu ns, shield %llu ns, then %d = %d", g, (unsigned long long)ns,
		 (unsigned long long)limit, end, rc);
	must_eq(rc, nodes[g].err);
	nodes[g].active += rc == 0;
}

static void cancel(int c, int cause)
{
	fuzz_say("cancel %d, cause %d", c, cause);
	sync();
	weir_ctx_cancel(ctx(c), cause);
	finish(c, -ECANCELED, cause, weir_now(loop));
}

static void visit(struct weir_group *crowd, int c, unsigned what)
{
	uint64_t ns = what == 14 ? fuzz_ns() : 0;

	if (what == 13) {
		must_eq(weir_go(crowd, watcher, .c = c), 0);
	} else if (nodes[c].entered) {
		return;
	} else {
		must_eq(weir_go(crowd, visitor, .c = c, .ns = ns), 0);
		nodes[c].entered = true;
	}
	fuzz_say("visit %u of %d, %llu ns", what, c, (unsigned long long)ns);
	nodes[c].busy++;
}

/* What does not wait. */
static void step(struct weir_group *crowd, unsigned what)
{
	int c;

	if (what < 5) {
		make(what);
		return;
	}
	if (what == 8) {
		stop(fuzz_below(n_afters));
		return;
	}
	c = some(false, what == 10 || what == 11);
	if (c == ROOT)
		return;
	sync();
	switch (what) {
	case 5:
		cancel(c, some_cause());
		break;
	case 6:
		fini(c);
		break;
	case 7:
		add_after(c);
		break;
	case 9:
		nodes[c].key = (int)fuzz_below(KEYS);
		weir_ctx_set(ctx(c), &keys[nodes[c].key], (void *)value_for(c, nodes[c].key));
		break;
	case 10:
	case 11:
		spawn(c, what == 11);
		break;
	default:
		visit(crowd, c, what);
	}
}

/* The driver may wait for group g. */
static bool may_wait(int g)
{
	if (g == ROOT || nodes[g].busy || has_children(g, true))
		return false;
	fuzz_say("wait for %d", g);
	return true;
}

static void waits(int g)
{
	nodes[g].waited = true;
	sync();
	if (!nodes[g].active)
		end_group(g);
}

static WEIR_CO(driver, self, op)
{
	unsigned what;

	weir_group_init(&self->crowd, weir_op_ctx(op), NULL);
	while (fuzz_left()) {
		switch (what = fuzz_below(17)) {
		case 12:
			self->g = some(false, true);
			if (!may_wait(self->g))
				break;
			waits(self->g);
			WEIR_AWAIT(self->rc, weir_group_wait(op, &ctxs[self->g]));
			must_eq(self->rc, nodes[self->g].first ? nodes[self->g].first :
				nodes[self->g].victim);
			break;
		case 15:
			WEIR_AWAIT(self->rc, weir_yield(op));
			break;
		case 16:
			self->ns = fuzz_ns();
			fuzz_say("sleep %llu ns", (unsigned long long)self->ns);
			WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
			break;
		default:
			step(&self->crowd, what);
		}
		check_all();
	}
	fuzz_dump(loop);
	for (self->g = n_nodes; self->g--;)
		if (!nodes[self->g].gone)
			cancel(self->g, 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->crowd));
	check_all();
	for (self->g = n_nodes; self->g--;) {
		if (nodes[self->g].gone)
			continue;
		if (!nodes[self->g].is_group) {
			fini(self->g);
			must(nodes[self->g].gone);
			continue;
		}
		waits(self->g);
		WEIR_AWAIT(self->rc, weir_group_wait(op, &ctxs[self->g]));
	}
	WEIR_RETURN(0);
}
WEIR_END

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_input(data, size);
	loop = fuzz_loop();
	n_nodes = 0;
	n_afters = 0;
	must_eq(weir_run(loop, driver), 0);
	fuzz_loop_free(loop);
	return 0;
}
