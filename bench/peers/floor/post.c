/* SPDX-License-Identifier: MIT */
/*
 * post.c - between two threads by hand: an eventfd each for a round trip; and for the flow a ring
 * of pointers with one writer and one reader, each of which sleeps on its eventfd when it has
 * waited for a little while in vain.
 */
#define _GNU_SOURCE
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "floor.h"

static void wake(int fd)
{
	const uint64_t one = 1;

	check(write(fd, &one, sizeof one) == sizeof one, "an eventfd is written to");
}

static void wait_for(int fd)
{
	uint64_t count;

	check(read(fd, &count, sizeof count) == sizeof count, "an eventfd is read from");
}

static int make_bell(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	check(fd >= 0, "there is an eventfd");
	return fd;
}

/* ---- there and back ---- */

struct court {
	int bells[2];
	long n, ball;
};

static void *answers(void *arg)
{
	struct court *c = arg;
	long i;

	for (i = 0; i <= c->n; i++) {
		wait_for(c->bells[0]);
		c->ball++;
		wake(c->bells[1]);
	}
	return NULL;
}

/* The first is not counted: it waits for the other thread to begin. */
static void *asks(void *arg)
{
	struct court *c = arg;
	long i;

	for (i = 0; i <= c->n; i++) {
		if (i == 1)
			start_clock();
		c->ball++;
		wake(c->bells[0]);
		wait_for(c->bells[1]);
	}
	stop_clock();
	check(c->ball % (2 * (c->n + 1)) == 0, "each has seen all messages");
	return NULL;
}

static long trips(long n, long arg)
{
	struct court c = { .bells = { make_bell(), make_bell() }, .n = n };

	(void)arg;
	two_placements(answers, asks, &c, n);
	close(c.bells[0]);
	close(c.bells[1]);
	return NO_FIGURE;
}

/* ---- one way ---- */

#define ROOM	4096	/* a power of two */
#define TRIES	200	/* before one sleeps */

struct message {
	long item;
};

static struct {
	_Alignas(64) _Atomic(unsigned long) tail;	/* the writer's */
	unsigned long head_seen;
	_Atomic(bool) writer_sleeps;
	int writer_bell;
	_Alignas(64) _Atomic(unsigned long) head;	/* the reader's */
	unsigned long tail_seen;
	_Atomic(bool) reader_sleeps;
	int reader_bell;
	_Alignas(64) struct message *messages[ROOM];
	struct message memory[ROOM];
	long n;
} flow;

static void barrier_of_both(void)
{
	check(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0, "membarrier");
}

/* Until *counter is not seen any more; what it is then. */
static unsigned long await_change(_Atomic(unsigned long) *counter, unsigned long seen,
				  _Atomic(bool) *sleeps, int bell)
{
	unsigned long now;
	int i;

	for (i = 0; i < TRIES; i++) {
		now = atomic_load_explicit(counter, memory_order_acquire);
		if (now != seen)
			return now;
		__builtin_ia32_pause();
	}
	while ((now = atomic_load(counter)) == seen) {
		atomic_store(sleeps, true);
		barrier_of_both();
		if (atomic_load(counter) == seen)
			wait_for(bell);
		atomic_store(sleeps, false);
	}
	return now;
}

/* The counter first, then the look at who sleeps: the sleeper does it the other way round, and has
 * the barrier between the two made in this thread as well, so that a message costs none. */
static void publish(_Atomic(unsigned long) *counter, unsigned long value, _Atomic(bool) *sleeps,
		    int bell)
{
	atomic_store_explicit(counter, value, memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
	if (atomic_load_explicit(sleeps, memory_order_relaxed) && atomic_exchange(sleeps, false))
		wake(bell);
}

static void *writes(void *arg)
{
	unsigned long tail;
	struct message *m;

	(void)arg;
	for (tail = 0; tail < (unsigned long)flow.n; tail++) {
		if (tail - flow.head_seen == ROOM)
			flow.head_seen = await_change(&flow.head, flow.head_seen,
						      &flow.writer_sleeps, flow.writer_bell);
		m = &flow.memory[tail & (ROOM - 1)];
		m->item = (long)tail;
		flow.messages[tail & (ROOM - 1)] = m;
		publish(&flow.tail, tail + 1, &flow.reader_sleeps, flow.reader_bell);
	}
	return NULL;
}

/* It gives back 64 places at a time, and all before it waits. */
static void *reads(void *arg)
{
	unsigned long head = 0;
	long sum = 0;

	(void)arg;
	while (head < (unsigned long)flow.n) {
		if (head == flow.tail_seen)
			flow.tail_seen = await_change(&flow.tail, head, &flow.reader_sleeps,
						      flow.reader_bell);
		sum += flow.messages[head & (ROOM - 1)]->item;
		head++;
		if (!(head & 63) || head == flow.tail_seen)
			publish(&flow.head, head, &flow.writer_sleeps, flow.writer_bell);
	}
	check(sum == flow.n * (flow.n - 1) / 2, "the sum is right");
	return NULL;
}

static long one_way(long n, long arg)
{
	(void)arg;
	check(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0,
	      "membarrier");
	flow.n = n;
	flow.head = flow.tail = flow.head_seen = flow.tail_seen = 0;
	flow.writer_bell = make_bell();
	flow.reader_bell = make_bell();
	start_clock();
	two_threads(writes, reads, NULL);
	stop_clock();
	figure(NULL, (double)n * 1e3 / clock_ns(), "M/s");
	close(flow.writer_bell);
	close(flow.reader_bell);
	return NO_FIGURE;
}

const struct workload post_workloads[] = {
	{ "post-trip", trips, .n = 20000 },
	{ "post-flow", one_way, .n = 5000000 },
	{ .name = NULL },
};
