/* SPDX-License-Identifier: MIT */
/*
 * msg.c - the subject `floor-msg`: the round trip between two threads by IORING_OP_MSG_RING, each
 * with a ring. A leg is one system call, which posts to the other ring and waits for what comes in
 * its own.
 */
#include <liburing.h>
#include <pthread.h>

#include "../../kit.h"

static struct {
	struct io_uring rings[2];
	pthread_barrier_t made;
	long n;
} court;

static void make_ring(int i)
{
	must(io_uring_queue_init(8, &court.rings[i],
				 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN),
	     "io_uring");
	io_uring_register_ring_fd(&court.rings[i]);
	pthread_barrier_wait(&court.made);
}

/* Posts the ball to the other ring, if there is one to post, and waits for one; 0 otherwise. */
static uint64_t play(int i, uint64_t ball, bool waits)
{
	struct io_uring *mine = &court.rings[i];
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	uint64_t came = 0;

	if (ball) {
		sqe = io_uring_get_sqe(mine);
		io_uring_prep_msg_ring(sqe, court.rings[!i].ring_fd, 0, ball, 0);
		sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	}
	must(io_uring_submit_and_wait(mine, waits), "io_uring_enter");
	if (!waits)
		return 0;
	must(io_uring_wait_cqe(mine, &cqe), "a message");
	must(cqe->res, "MSG_RING");
	came = cqe->user_data;
	io_uring_cqe_seen(mine, cqe);
	return came;
}

static void *answers(void *arg)
{
	uint64_t ball;
	long i;

	(void)arg;
	make_ring(0);
	ball = play(0, 0, true);
	for (i = 0; i < court.n; i++)
		ball = play(0, ball + 1, true);
	play(0, ball + 1, false);
	pthread_barrier_wait(&court.made);
	io_uring_queue_exit(&court.rings[0]);
	return NULL;
}

/* The first is not counted: it waits for the other thread to begin. */
static void *asks(void *arg)
{
	uint64_t ball = 0;
	long i;

	(void)arg;
	make_ring(1);
	for (i = 0; i <= court.n; i++) {
		if (i == 1)
			start_clock();
		ball = play(1, ball + 1, true);
	}
	stop_clock();
	check(ball == 2 * ((uint64_t)court.n + 1), "each has seen all messages");
	pthread_barrier_wait(&court.made);
	io_uring_queue_exit(&court.rings[1]);
	return NULL;
}

static long trips(long n, long arg)
{
	(void)arg;
	court.n = n;
	must(-pthread_barrier_init(&court.made, NULL, 2), "barrier");
	two_placements(answers, asks, NULL, n);
	pthread_barrier_destroy(&court.made);
	return NO_FIGURE;
}

static const struct workload msg_workloads[] = {
	{ "post-trip", trips, .n = 20000 },
	{ .name = NULL },
};

const char program[] = "floor-msg";
const struct workload *const families[] = { msg_workloads, NULL };
const struct server servers[] = { { .name = NULL } };
