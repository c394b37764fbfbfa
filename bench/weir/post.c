/* SPDX-License-Identifier: MIT */
/*
 * post.c - messages between loops, each in a thread of its own.
 *
 * A trip goes there and back.  Each side posts the same message on as it comes in, so that one is
 * under way at any time; a loop without one sleeps.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "bench.h"

struct ball {
	struct weir_msg msg;		/* first: it is cast back */
	struct weir_port *there, *here;
	long left;
};

/* ---- the other side: a thread with a loop that takes what comes until its port is closed ---- */

struct side {
	pthread_t thread;
	pthread_barrier_t ready;
	struct weir_port *port;
	int cpu;
};

static int nth_cpu(int n)
{
	cpu_set_t set;
	int cpu;

	check(sched_getaffinity(0, sizeof set, &set) == 0, "the kernel tells the CPUs");
	n %= CPU_COUNT(&set);
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set) && n-- == 0)
			break;
	return cpu;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check(sched_setaffinity(0, sizeof set, &set) == 0, "a thread stays on its CPU");
}

/* Lives as long as the port: the loop has something to run for. */
struct keeper {
	struct weir_frame co;
	struct weir_ctx *until;
};

static WEIR_CO(keeper, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_ctx_wait(op, self->until));
	(void)rc;
	WEIR_RETURN(0);
}
WEIR_END

struct goodbye {
	struct weir_msg msg;
	struct weir_port *port;
	struct weir_ctx ctx;
};

static void say_goodbye(struct weir_msg *msg)
{
	struct goodbye *g = (struct goodbye *)msg;

	weir_port_close(g->port);
	weir_ctx_cancel(&g->ctx, 0);
}

static struct goodbye goodbye;

static void *other_side(void *arg)
{
	struct side *s = arg;
	struct weir_loop *mine;

	pin(s->cpu);
	must(weir_loop_new(&mine, NULL), "loop");
	must(weir_port_new(&s->port, mine), "port");
	weir_ctx_init(&goodbye.ctx, weir_loop_ctx(mine));
	goodbye.msg.fn = say_goodbye;
	goodbye.port = s->port;
	pthread_barrier_wait(&s->ready);
	must(weir_run(mine, keeper, .until = &goodbye.ctx), "the other loop");
	weir_ctx_fini(&goodbye.ctx);
	weir_port_unref(s->port);
	check(weir_loop_free(mine) == 0, "nothing is left in the other loop");
	return NULL;
}

static void start_side(struct side *s, int cpu)
{
	s->cpu = cpu;
	pthread_barrier_init(&s->ready, NULL, 2);
	check(pthread_create(&s->thread, NULL, other_side, s) == 0, "a thread starts");
	pthread_barrier_wait(&s->ready);
}

static void end_side(struct side *s)
{
	must(weir_post(s->port, &goodbye.msg), "goodbye");
	pthread_join(s->thread, NULL);
	pthread_barrier_destroy(&s->ready);
}

/* ---- there and back ---- */

static struct weir_ctx over;

static void comes_back(struct weir_msg *msg);

static void is_there(struct weir_msg *msg)
{
	msg->fn = comes_back;
	must(weir_post(((struct ball *)msg)->here, msg), "post");
}

static void comes_back(struct weir_msg *msg)
{
	struct ball *b = (struct ball *)msg;

	msg->fn = is_there;
	if (--b->left > 0)
		must(weir_post(b->there, msg), "post");
	else
		weir_ctx_cancel(&over, 0);
}

static double trips(long n, int here, int there)
{
	struct ball ball = { .msg.fn = is_there, .left = n };
	struct side s;
	uint64_t began, ended;

	pin(here);
	start_side(&s, there);
	must(weir_port_new(&ball.here, loop), "port");
	ball.there = s.port;
	weir_ctx_init(&over, weir_loop_ctx(loop));
	began = nanoseconds(CLOCK_MONOTONIC);
	must(weir_post(ball.there, &ball.msg), "post");
	must(weir_run(loop, keeper, .until = &over), "trips");
	ended = nanoseconds(CLOCK_MONOTONIC);
	weir_ctx_fini(&over);
	weir_port_close(ball.here);
	weir_port_unref(ball.here);
	end_side(&s);
	return (double)(ended - began) / (double)n / 1e3;
}

static long post_trips(long n, long arg)
{
	cpu_set_t all;
	int one, two;

	(void)arg;
	check(sched_getaffinity(0, sizeof all, &all) == 0, "the kernel tells the CPUs");
	one = nth_cpu(0);
	two = nth_cpu(1);
	if (one != two)
		figure("two-cores", trips(n, one, two), "us");
	figure("one-core", trips(n, one, one), "us");
	check(sched_setaffinity(0, sizeof all, &all) == 0, "the thread may go where it was");
	return NO_FIGURE;
}

/* ---- one way ---- */

#define ON_THE_WAY	4096

struct drop {
	struct weir_msg msg;
	long n;
};

#define AT_A_TIME	64

static struct drop drops[ON_THE_WAY];

/* The other side's; this one reads what is told, in a cache line of its own. */
static struct {
	_Alignas(64) long taken, sum, of;
	_Alignas(64) long told;
} flown;

static void take(struct weir_msg *msg)
{
	flown.sum += ((struct drop *)msg)->n;
	flown.taken++;
	if (flown.taken % AT_A_TIME == 0 || flown.taken == flown.of)
		__atomic_store_n(&flown.told, flown.taken, __ATOMIC_RELEASE);
}

static void wait_until_taken(long n)
{
	while (__atomic_load_n(&flown.told, __ATOMIC_ACQUIRE) < n)
		sched_yield();
}

/* The memory of so many messages is free again when as many were taken as lie before them. */
static long flow(long n, long arg)
{
	struct side s;
	uint64_t began;
	cpu_set_t all;
	int there;
	long i;

	(void)arg;
	memset(&flown, 0, sizeof flown);
	flown.of = n;
	check(sched_getaffinity(0, sizeof all, &all) == 0, "the kernel tells the CPUs");
	there = nth_cpu(1);
	pin(nth_cpu(0));
	start_side(&s, there);
	began = nanoseconds(CLOCK_MONOTONIC);
	for (i = 0; i < n; i++) {
		struct drop *d = &drops[i % ON_THE_WAY];

		if (i >= ON_THE_WAY && i % AT_A_TIME == 0)
			wait_until_taken(i - ON_THE_WAY + AT_A_TIME);
		d->msg.fn = take;
		d->n = i;
		must(weir_post(s.port, &d->msg), "post");
	}
	wait_until_taken(n);
	figure(NULL, (double)n * 1e3 / (double)(nanoseconds(CLOCK_MONOTONIC) - began), "M/s");
	end_side(&s);
	check(sched_setaffinity(0, sizeof all, &all) == 0, "the thread may go where it was");
	check(flown.sum == n * (n - 1) / 2, "every message has come once");
	return NO_FIGURE;
}

const struct workload post_workloads[] = {
	{ "post-trip", post_trips, .n = 20000, .arg = 0 },
	{ "post-flow", flow, .n = 5000000, .arg = 0 },
	{ .name = NULL },
};
