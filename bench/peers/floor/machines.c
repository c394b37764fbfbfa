/* SPDX-License-Identifier: MIT */
/*
 * machines.c - tasks by hand: a state machine is a struct with a function that goes one step, a run
 * queue is a list of them. Yield, spawn, channels, pipeline, pool, semaphore, cancel, memory.
 *
 * A channel is a ring of items, and of each side the one machine that waits or, in pool and cancel,
 * a list of them.  Nothing but what the workload needs is in it.
 */
#include <stdlib.h>

#include "floor.h"

struct machine {
	void (*step)(struct machine *m);
	struct machine *next;
};

struct queue {
	struct machine *first, **end;
};

static struct queue ready = { NULL, &ready.first };

static inline void put(struct queue *q, struct machine *m)
{
	m->next = NULL;
	*q->end = m;
	q->end = &m->next;
}

static inline struct machine *take(struct queue *q)
{
	struct machine *m = q->first;

	q->first = m->next;
	if (!q->first)
		q->end = &q->first;
	return m;
}

static void run_all(void)
{
	while (ready.first) {
		struct machine *m = take(&ready);

		m->step(m);
	}
}

/* ---- yield ---- */

struct yielder {
	struct machine m;
	long n;
};

static void yield_step(struct machine *m)
{
	struct yielder *y = (struct yielder *)m;

	if (y->n-- > 0)
		put(&ready, m);
}

static long yields(long n, long tasks)
{
	struct yielder y[3];
	long i;

	for (i = 0; i < tasks; i++) {
		y[i] = (struct yielder){ { yield_step, NULL }, n };
		put(&ready, &y[i].m);
	}
	run_all();
	return tasks * n;
}

/* ---- spawn: from a list of free machines, joined by a count ---- */

static struct queue unused = { NULL, &unused.first };
static long alive;

static void nothing_step(struct machine *m)
{
	m->next = unused.first;
	unused.first = m;
	alive--;
}

static void spawn(void)
{
	struct machine *m = unused.first;

	if (m)
		unused.first = m->next;
	else
		m = must_alloc(1, sizeof *m);
	m->step = nothing_step;
	alive++;
	put(&ready, m);
}

static long spawns(long batches, long batch)
{
	long b, i;

	for (b = 0; b < batches; b++) {
		for (i = 0; i < batch; i++)
			spawn();
		run_all();
		check(!alive, "all have ended");
	}
	return batches * batch;
}

/* ---- channels ---- */

struct chan {
	long *items;
	unsigned long head, tail, room;	/* room is a power of two, or 0 */
	struct queue receivers, senders;
	bool closed;
};

/* One that sends, or receives, or both. */
struct end {
	struct machine m;
	struct chan *in, *out;
	long item, n, sum;
	bool has;	/* an item: received, or still to be sent */
};

static void chan_init(struct chan *c, unsigned long room)
{
	*c = (struct chan){ .room = room };
	c->items = must_alloc(room + 1, sizeof *c->items);
	c->receivers.end = &c->receivers.first;
	c->senders.end = &c->senders.first;
}

static void chan_close(struct chan *c)
{
	c->closed = true;
	while (c->receivers.first)
		put(&ready, take(&c->receivers));
}

/* Whether the item is gone; or else the machine waits, and has none when it goes on. */
static inline bool chan_send(struct chan *c, struct end *from)
{
	if (c->receivers.first) {
		struct end *to = (struct end *)take(&c->receivers);

		to->item = from->item;
		to->has = true;
		put(&ready, &to->m);
		return true;
	}
	if (c->tail - c->head < c->room) {
		c->items[c->tail++ & (c->room - 1)] = from->item;
		return true;
	}
	put(&c->senders, &from->m);
	return false;
}

/* Whether there is an item; or else the machine waits, unless the channel is closed, and has one
 * when it goes on. */
static inline bool chan_recv(struct chan *c, struct end *to)
{
	struct end *from = (struct end *)c->senders.first;

	if (c->head != c->tail) {
		to->item = c->items[c->head++ & (c->room - 1)];
		if (from) {
			take(&c->senders);
			c->items[c->tail++ & (c->room - 1)] = from->item;
			put(&ready, &from->m);
		}
		return true;
	}
	if (from) {
		take(&c->senders);
		to->item = from->item;
		put(&ready, &from->m);
		return true;
	}
	if (!c->closed)
		put(&c->receivers, &to->m);
	return false;
}

static void sender_step(struct machine *m)
{
	struct end *e = (struct end *)m;

	while (e->n > 0) {
		e->item = e->n--;
		if (!chan_send(e->out, e))
			return;
	}
	chan_close(e->out);
}

static void receiver_step(struct machine *m)
{
	struct end *e = (struct end *)m;

	while (e->has || chan_recv(e->in, e)) {
		e->has = false;
		e->sum += e->item;
	}
}

static void stage_step(struct machine *m)
{
	struct end *e = (struct end *)m;

	while (e->has || chan_recv(e->in, e)) {
		e->has = false;
		if (!chan_send(e->out, e))
			return;
	}
	if (e->in->closed)
		chan_close(e->out);
}

static long channel(long n, long room)
{
	struct chan c;
	struct end sender = { .m.step = sender_step, .out = &c, .n = n };
	struct end receiver = { .m.step = receiver_step, .in = &c };

	chan_init(&c, (unsigned long)room);
	put(&ready, &receiver.m);
	put(&ready, &sender.m);
	run_all();
	check(receiver.sum == n * (n + 1) / 2, "the sum is right");
	free(c.items);
	return n;
}

static long pipeline(long n, long room)
{
	struct chan a, b;
	struct end generator = { .m.step = sender_step, .out = &a, .n = n };
	struct end stage = { .m.step = stage_step, .in = &a, .out = &b };
	struct end sink = { .m.step = receiver_step, .in = &b };

	chan_init(&a, (unsigned long)room);
	chan_init(&b, (unsigned long)room);
	put(&ready, &sink.m);
	put(&ready, &stage.m);
	put(&ready, &generator.m);
	run_all();
	check(sink.sum == n * (n + 1) / 2, "the sum is right");
	free(a.items);
	free(b.items);
	return n;
}

/* ---- pool ---- */

static long pool_sum;

__attribute__((noinline)) static void add(long item)
{
	pool_sum += item;
}

static void worker_step(struct machine *m)
{
	struct end *e = (struct end *)m;

	while (e->has || chan_recv(e->in, e)) {
		e->has = false;
		add(e->item);
	}
}

static long pool(long n, long workers)
{
	struct chan c;
	struct end producer = { .m.step = sender_step, .out = &c, .n = n };
	struct end *worker = must_alloc((size_t)workers, sizeof *worker);
	long i;

	pool_sum = 0;
	chan_init(&c, 64);
	for (i = 0; i < workers; i++) {
		worker[i] = (struct end){ .m.step = worker_step, .in = &c };
		put(&ready, &worker[i].m);
	}
	put(&ready, &producer.m);
	run_all();
	check(pool_sum == n * (n + 1) / 2, "the sum is right");
	free(worker);
	free(c.items);
	return n;
}

/* ---- semaphore ---- */

static struct {
	long free;
	struct queue waiters;
} sem;

struct holder {
	struct machine m;
	long rounds;
	enum { TAKES, HAS, YIELDED } state;
};

static inline bool sem_take(struct machine *m)
{
	if (sem.free > 0) {
		sem.free--;
		return true;
	}
	put(&sem.waiters, m);
	return false;
}

/* To the first that waits, which has it when it goes on. */
static inline void sem_give(void)
{
	if (sem.waiters.first)
		put(&ready, take(&sem.waiters));
	else
		sem.free++;
}

static void holder_step(struct machine *m)
{
	struct holder *h = (struct holder *)m;

	switch (h->state) {
	case YIELDED:
		sem_give();
		if (!--h->rounds)
			return;
		/* fall through */
	case TAKES:
		if (!sem_take(m)) {
			h->state = HAS;
			return;
		}
		/* fall through */
	case HAS:
		h->state = YIELDED;
		put(&ready, m);
	}
}

static long sem_contended(long rounds, long tasks)
{
	struct holder *h = must_alloc((size_t)tasks, sizeof *h);
	long i;

	sem.free = 10;
	sem.waiters.end = &sem.waiters.first;
	for (i = 0; i < tasks; i++) {
		h[i] = (struct holder){ { holder_step, NULL }, rounds, TAKES };
		put(&ready, &h[i].m);
	}
	run_all();
	check(sem.free == 10, "all permits are back");
	free(h);
	return rounds * tasks;
}

static void free_step(struct machine *m)
{
	struct holder *h = (struct holder *)m;

	while (h->rounds > 0 && sem_take(m)) {
		h->rounds--;
		__asm__ volatile("" : "+m"(sem.free));	/* else both would be left out */
		sem_give();
	}
}

static long sem_free(long rounds, long permits)
{
	struct holder h = { { free_step, NULL }, rounds, TAKES };

	sem.free = permits;
	sem.waiters.end = &sem.waiters.first;
	put(&ready, &h.m);
	run_all();
	check(!h.rounds && sem.free == permits, "all rounds are done");
	return rounds;
}

/* ---- many that wait: to be cancelled, to be weighed ---- */

struct waiter {
	struct machine m;
	struct waiter *before, *after;	/* of those that wait on the channel */
	long item;
	bool cancelled;
};

static struct waiter waiting;
static long ended;

static void waiter_step(struct machine *m)
{
	struct waiter *w = (struct waiter *)m;

	if (!w->cancelled) {
		w->after = &waiting;
		w->before = waiting.before;
		waiting.before->after = w;
		waiting.before = w;
		return;
	}
	ended++;
	free(w);
}

static void start_waiters(long n)
{
	waiting.before = waiting.after = &waiting;
	ended = 0;
	while (n-- > 0) {
		struct waiter *w = must_alloc(1, sizeof *w);

		w->m.step = waiter_step;
		put(&ready, &w->m);
	}
	run_all();
}

static void cancel_waiters(long n)
{
	while (waiting.after != &waiting) {
		struct waiter *w = waiting.after;

		w->after->before = w->before;
		w->before->after = w->after;
		w->cancelled = true;
		put(&ready, &w->m);
	}
	run_all();
	check(ended == n, "all have ended");
}

static long cancel(long n, long tasks)
{
	(void)n;
	start_waiters(tasks);
	start_clock();
	cancel_waiters(tasks);
	stop_clock();
	return tasks;
}

static long memory(long tasks, long arg)
{
	long before = resident();

	(void)arg;
	start_waiters(tasks);
	figure(NULL, (double)(resident() - before) / (double)tasks, "bytes");
	cancel_waiters(tasks);
	return NO_FIGURE;
}

const struct workload machines_workloads[] = {
	{ "yield", yields, .n = 1000000, .arg = 3 },
	{ "spawn-1000", spawns, .n = 1000, .arg = 1000 },
	{ "spawn-100000", spawns, .n = 10, .arg = 100000 },
	{ "chan-0", channel, .n = 2000000, .arg = 0 },
	{ "chan-1024", channel, .n = 2000000, .arg = 1024 },
	{ "pipeline-0", pipeline, .n = 1000000, .arg = 0 },
	{ "pipeline-64", pipeline, .n = 1000000, .arg = 64 },
	{ "pool-64", pool, .n = 1000000, .arg = 64 },
	{ "sem-contended", sem_contended, .n = 1000, .arg = 1000 },
	{ "sem-free", sem_free, .n = 3000000, .arg = 10 },
	{ "cancel-100000", cancel, .n = 1, .arg = 100000 },
	{ "memory", memory, .n = 1000000, .arg = 0, .cold = true },
	{ .name = NULL },
};
