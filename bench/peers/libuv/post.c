/* SPDX-License-Identifier: MIT */
/*
 * post.c - between two threads by libuv: an async handle wakes a loop, and as wakes may be merged,
 * messages go through a queue under a lock. The reader takes all that are there at once.
 */
#include <stdlib.h>

#include "uv_peer.h"

/* ---- there and back ---- */

struct side {
	uv_loop_t loop;
	uv_async_t async;
	struct side *other;	/* to whom it posts */
	bool asks;
	long left;
};

static struct {
	struct side sides[2];
	uv_barrier_t barrier;
	long n;
} court;

/* The answering side sends it back, the asking side once more; each so many times. */
static void comes(uv_async_t *async)
{
	struct side *s = async->data;

	s->left--;
	if (!s->asks || s->left)
		uv_must(uv_async_send(&s->other->async), "send");
	if (s->left)
		return;
	if (s->asks)
		stop_clock();
	uv_close((uv_handle_t *)async, NULL);
}

static void *plays(struct side *s, bool is_asking)
{
	uv_must(uv_loop_init(&s->loop), "loop");
	uv_must(uv_async_init(&s->loop, &s->async, comes), "async");
	s->async.data = s;
	s->other = &court.sides[s == &court.sides[0]];
	s->asks = is_asking;
	s->left = court.n;
	uv_barrier_wait(&court.barrier);
	if (s->asks) {
		start_clock();
		uv_must(uv_async_send(&s->other->async), "send");
	}
	uv_run(&s->loop, UV_RUN_DEFAULT);
	check(!s->left, "each has seen all messages");
	uv_barrier_wait(&court.barrier);	/* until the other has sent its last */
	uv_must(uv_loop_close(&s->loop), "close");
	return NULL;
}

static void *answers(void *arg)
{
	(void)arg;
	return plays(&court.sides[0], false);
}

static void *asks(void *arg)
{
	(void)arg;
	return plays(&court.sides[1], true);
}

static long trips(long n, long arg)
{
	(void)arg;
	court.n = n;
	uv_must(uv_barrier_init(&court.barrier, 2), "barrier");
	two_placements(answers, asks, NULL, n);
	uv_barrier_destroy(&court.barrier);
	return NO_FIGURE;
}

/* ---- one way ---- */

#define ROOM	4096

struct message {
	struct message *next;
	long item;
};

static struct {
	uv_mutex_t lock;
	uv_cond_t has_room;
	struct message *first, **end, *unused;	/* under the lock */
	long on_the_way;
	struct message memory[ROOM];
	uv_loop_t loop;
	uv_async_t async;
	uv_barrier_t barrier;
	long n, taken, sum;
} flow;

static void flow_comes(uv_async_t *async)
{
	struct message *m, *last = NULL, *first;
	long n = 0;

	uv_mutex_lock(&flow.lock);
	first = flow.first;
	flow.first = NULL;
	flow.end = &flow.first;
	uv_mutex_unlock(&flow.lock);
	for (m = first; m; m = m->next) {
		flow.sum += m->item;
		last = m;
		n++;
	}
	if (!n)
		return;
	uv_mutex_lock(&flow.lock);
	last->next = flow.unused;
	flow.unused = first;
	flow.on_the_way -= n;
	uv_cond_signal(&flow.has_room);
	uv_mutex_unlock(&flow.lock);
	flow.taken += n;
	if (flow.taken == flow.n)
		uv_close((uv_handle_t *)async, NULL);
}

static void *reads(void *arg)
{
	(void)arg;
	uv_must(uv_loop_init(&flow.loop), "loop");
	uv_must(uv_async_init(&flow.loop, &flow.async, flow_comes), "async");
	uv_barrier_wait(&flow.barrier);
	uv_run(&flow.loop, UV_RUN_DEFAULT);
	uv_barrier_wait(&flow.barrier);
	uv_must(uv_loop_close(&flow.loop), "close");
	check(flow.sum == flow.n * (flow.n - 1) / 2, "the sum is right");
	return NULL;
}

/* Only the first message of a queue needs a wake: the loop takes all that are there. */
static void *writes(void *arg)
{
	struct message *m;
	bool is_first;
	long i;

	(void)arg;
	uv_barrier_wait(&flow.barrier);
	for (i = 0; i < flow.n; i++) {
		uv_mutex_lock(&flow.lock);
		while (flow.on_the_way == ROOM)
			uv_cond_wait(&flow.has_room, &flow.lock);
		flow.on_the_way++;
		m = flow.unused;
		flow.unused = m->next;
		m->item = i;
		m->next = NULL;
		is_first = !flow.first;
		*flow.end = m;
		flow.end = &m->next;
		uv_mutex_unlock(&flow.lock);
		if (is_first)
			uv_must(uv_async_send(&flow.async), "send");
	}
	uv_barrier_wait(&flow.barrier);
	return NULL;
}

static long one_way(long n, long arg)
{
	int i;

	(void)arg;
	uv_must(uv_mutex_init(&flow.lock), "mutex");
	uv_must(uv_cond_init(&flow.has_room), "condition");
	uv_must(uv_barrier_init(&flow.barrier, 2), "barrier");
	flow.n = n;
	flow.taken = flow.sum = flow.on_the_way = 0;
	flow.first = flow.unused = NULL;
	flow.end = &flow.first;
	for (i = 0; i < ROOM; i++) {
		flow.memory[i].next = flow.unused;
		flow.unused = &flow.memory[i];
	}
	start_clock();
	two_threads(writes, reads, NULL);
	stop_clock();
	figure(NULL, (double)n * 1e3 / clock_ns(), "M/s");
	uv_mutex_destroy(&flow.lock);
	uv_cond_destroy(&flow.has_room);
	uv_barrier_destroy(&flow.barrier);
	return NO_FIGURE;
}

const struct workload post_workloads[] = {
	{ "post-trip", trips, .n = 20000 },
	{ "post-flow", one_way, .n = 5000000 },
	{ .name = NULL },
};
