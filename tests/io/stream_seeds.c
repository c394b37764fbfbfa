/* SPDX-License-Identifier: MIT */
/*
 * stream_seeds.c - many streams on few buffers, on simulated kernels: every byte comes once and in
 * order, whatever ends early, and every buffer comes back.
 *
 * Each connection is a pair.  One end, a plain socket, sends bytes that count up, and is shut down
 * or closed at some point; the other is a stream, whose task keeps leases for a while, lets some of
 * its waits be cancelled, and echoes what it has.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/socket.h>

#include "harness.h"
#include "weir.h"

#define PAIRS 6
#define BYTES 600
#define COUNT 4u /* buffers */
#define SIZE 32u
#define SEEDS 200

static struct weir_loop *loop;
static struct weir_buffers pool;
static bool sound; /* no errors: all of it must come */
static unsigned came[PAIRS], back[PAIRS];

static unsigned below(unsigned n)
{
	return (unsigned)(weir_random(loop) % n);
}

/* libcheck tells its parent of each assertion that holds, and there would be many. */
static void ck_next(const char *data, size_t len, unsigned *at)
{
	size_t i, right = 0;

	for (i = 0; i < len; i++)
		right += data[i] == (char)(*at)++;
	if (right != len)
		ck_abort_msg("%zu of %zu bytes are others", len - right, len);
}

struct feeder {
	struct weir_frame co;
	struct weir_group *g;
	int fd, n;
	unsigned at, i;
	char buf[50];
};

static WEIR_CO(feeder, self, op)
{
	int i, len;

	while (self->at < BYTES) {
		len = 1 + (int)below(sizeof self->buf);
		if (len > (int)(BYTES - self->at))
			len = (int)(BYTES - self->at);
		for (i = 0; i < len; i++)
			self->buf[i] = (char)(self->at + (unsigned)i);
		WEIR_AWAIT(self->n, weir_send(op, self->fd, self->buf, (size_t)len, 0));
		if (self->n < 0)
			break;
		self->at += (unsigned)self->n;
		if (below(3) == 0)
			WEIR_AWAIT(self->n, weir_sleep(op, below(2) * WEIR_MS));
	}
	if (self->n >= 0)
		WEIR_AWAIT(self->n, weir_shutdown(op, self->fd, SHUT_WR));
	if (self->n < 0) /* the others would wait for ever */
		weir_group_cancel(self->g, 0);
}
WEIR_END

/* What the stream sends back. */
struct reader {
	struct weir_frame co;
	struct weir_group *g;
	int fd, n;
	unsigned i;
	char buf[50];
};

static WEIR_CO(reader, self, op)
{
	do {
		WEIR_AWAIT(self->n, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
		if (self->n > 0)
			ck_next(self->buf, (size_t)self->n, &back[self->i]);
	} while (self->n > 0);
	ck_assert(!sound || self->n == 0);
	if (self->n < 0)
		weir_group_cancel(self->g, 0);
}
WEIR_END

struct echo {
	struct weir_frame co;
	struct weir_stream s;
	struct weir_lease lease;
	struct weir_ctx ctx;
	int fd, n;
	unsigned i;
	size_t bound;
	bool hurried;
};

static WEIR_CO(echo, self, op)
{
	weir_stream_init(&self->s, &pool, self->fd, self->bound);
	for (;;) {
		self->hurried = below(4) == 0;
		if (self->hurried) {
			weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), below(2000) * WEIR_US);
			weir_ctx_enter(op, &self->ctx);
		}
		WEIR_AWAIT(self->n, weir_stream_recv(op, &self->s, &self->lease));
		if (self->hurried) {
			weir_ctx_leave(op, &self->ctx);
			weir_ctx_fini(&self->ctx);
		}
		if (self->n == -ETIMEDOUT && self->hurried)
			continue;
		if (self->n <= 0)
			break;
		ck_assert_int_le(self->n, (int)SIZE);
		ck_next(self->lease.data, self->lease.len, &came[self->i]);
		if (below(4) == 0)
			WEIR_AWAIT(self->n, weir_sleep(op, below(3) * WEIR_MS));
		WEIR_AWAIT(self->n, weir_stream_send(op, &self->s, self->lease.data,
						     self->lease.len));
		weir_lease_put(&self->lease);
		if (self->n < 0)
			break;
	}
	ck_assert(!sound || self->n == 0);
	WEIR_AWAIT(self->n, weir_stream_close(op, &self->s));
	ck_assert_int_eq(self->n, 0);
}
WEIR_END

struct canceller {
	struct weir_frame co;
	struct weir_group *g;
	int rc;
};

static WEIR_CO(canceller, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, below(200) * WEIR_MS));
	weir_group_cancel(self->g, 0);
}
WEIR_END

struct mixed {
	struct weir_frame co;
	struct weir_group g;
	int fds[PAIRS][2], rc;
	bool cancel;
};

static WEIR_CO(mixed, self, op)
{
	unsigned i;

	weir_group_init(&self->g, weir_op_ctx(op), &(struct weir_group_conf){ .keep_going = true });
	for (i = 0; i < PAIRS; i++) {
		if (weir_sim_socketpair(loop, self->fds[i]) < 0) {
			self->fds[i][0] = self->fds[i][1] = -1;
			continue;
		}
		came[i] = back[i] = 0;
		ck_assert_int_eq(weir_go(&self->g, echo, .fd = self->fds[i][0], .i = i,
					 .bound = below(3) * 2 * SIZE),
				 0);
		ck_assert_int_eq(weir_go(&self->g, feeder, .g = &self->g, .fd = self->fds[i][1],
					 .i = i), 0);
		ck_assert_int_eq(weir_go(&self->g, reader, .g = &self->g, .fd = self->fds[i][1],
					 .i = i), 0);
	}
	if (self->cancel)
		ck_assert_int_eq(weir_go(&self->g, canceller, .g = &self->g), 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->g));
	for (i = 0; i < PAIRS; i++)
		if (self->fds[i][1] >= 0)
			ck_assert_int_eq(weir_sim_close(loop, self->fds[i][1]), 0);
}
WEIR_END

/* Results: whether the kernel had multishot. */
static bool run(uint64_t seed, unsigned trouble, bool cancel)
{
	const struct weir_sim_conf sim = { .seed = seed, .trouble = trouble };
	struct weir_loop_stats stats;
	unsigned i;
	bool many;
	int rc;

	if (weir_loop_new(&loop, &(struct weir_loop_conf){ .sim = &sim, .ops = 64 }) < 0)
		return false;
	rc = weir_buffers_init(&pool, loop, COUNT, SIZE);
	ck_assert_int_eq(rc, 0);
	many = weir_buffers_multishot(&pool);
	sound = !(trouble & WEIR_SIM_ERRORS) && !cancel;
	rc = weir_run(loop, mixed, .cancel = cancel);
	ck_assert_msg(rc >= 0 || !sound, "seed %llu: %d", (unsigned long long)seed, rc);
	ck_assert_uint_eq(weir_buffers_used(&pool), 0);
	for (i = 0; sound && i < PAIRS; i++)
		ck_assert_uint_eq(came[i], BYTES);
	for (i = 0; sound && i < PAIRS; i++)
		ck_assert_uint_eq(back[i], BYTES);
	weir_loop_stats(loop, &stats);
	ck_assert_uint_eq(stats.in_flight + stats.parked + stats.tasks, 0);
	ck_assert_uint_eq(stats.cq_overflows + stats.unknown, 0);
	weir_buffers_fini(&pool);
	ck_assert_int_eq(weir_loop_free(loop), 0);
	return many;
}

static void over_seeds(unsigned trouble, bool cancel)
{
	const char *one = getenv("WEIR_SEED");
	unsigned n = test_some(SEEDS), many = 0;
	uint64_t seed;

	if (one) {
		run(strtoull(one, NULL, 0), trouble, cancel);
		return;
	}
	for (seed = 1; seed <= n; seed++)
		many += run(seed, trouble, cancel);
	ck_assert_uint_gt(many, n / 2);
}

START_TEST(every_byte_comes_back_once_and_in_order)
{
	over_seeds(0, false);
	over_seeds(WEIR_SIM_SOUND, false);
}
END_TEST

START_TEST(streams_that_fail_or_are_cancelled_leave_nothing)
{
	over_seeds(WEIR_SIM_ALL, false);
	over_seeds(WEIR_SIM_SOUND, true);
	over_seeds(WEIR_SIM_ALL, true);
}
END_TEST

TESTS("stream_seeds", every_byte_comes_back_once_and_in_order,
      streams_that_fail_or_are_cancelled_leave_nothing)
