/* SPDX-License-Identifier: MIT */
/* linux.c - see sys.h: the system calls as this machine's kernel answers them. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdatomic.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "kernel/direct.h"
#include "kernel/sys.h"
#include "kernel/uring.h"

#if defined __has_include
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif
#endif
#ifndef RUNNING_ON_VALGRIND
#define RUNNING_ON_VALGRIND	0
#endif

#define IOWQ_BOUNDED	4u	/* kernel threads at most for ops that cannot be polled, */
#define IOWQ_UNBOUNDED	16u	/* ... the default of the second is the user's process limit */

static uint64_t linux_now(struct uring *u)
{
	struct timespec ts;

	(void)u;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * WEIR_S + (uint64_t)ts.tv_nsec;
}

static uint64_t linux_entropy(struct uring *u)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
		seed = linux_now(u);
	return seed;
}

/* ---- the ring ---- */

/* A ring may be mapped where one of another thread has been.  That the first was gone by then only
 * the kernel knows; a race detector is told here. */
static atomic_uint rings_gone;

static int linux_ring_init(struct uring *u, struct io_uring *ring, unsigned entries,
			   struct io_uring_params *p)
{
	unsigned workers[2] = { IOWQ_BOUNDED, IOWQ_UNBOUNDED };
	int rc = io_uring_queue_init_params(entries, ring, p);

	(void)u;
	atomic_load_explicit(&rings_gone, memory_order_acquire);
	if (rc < 0)
		return rc;
	io_uring_ring_dontfork(ring);	/* a child that touched it would corrupt it */
	io_uring_register_iowq_max_workers(ring, workers);	/* an older kernel keeps its own */
	return 0;
}

static void linux_ring_exit(struct uring *u, struct io_uring *ring)
{
	(void)u;
	atomic_fetch_add_explicit(&rings_gone, 1, memory_order_release);
	io_uring_queue_exit(ring);
}

static int linux_submit(struct uring *u)
{
	return io_uring_submit(&u->ring);
}

/* valgrind (3.19) does not know that io_uring_enter(2) may sleep, and lets no other thread run
 * while it does.  There the loop sleeps in poll(2), which nothing of the ring's is sure to end. */
static int submit_and_poll(struct uring *u)
{
	struct pollfd ring = { .fd = u->ring.ring_fd, .events = POLLIN };
	int rc = io_uring_submit_and_get_events(&u->ring);

	while (rc >= 0 && !io_uring_cq_ready(&u->ring) && poll(&ring, 1, 1) >= 0)
		rc = io_uring_get_events(&u->ring);
	return rc;
}

static int linux_enter(struct uring *u, bool block)
{
	if (!block)
		return io_uring_submit_and_get_events(&u->ring);
	return RUNNING_ON_VALGRIND ? submit_and_poll(u) : io_uring_submit_and_wait(&u->ring, 1);
}

static int linux_notify(struct uring *u, int fd)
{
	return io_uring_register_eventfd(&u->ring, fd);
}

/* Linux 5.19 has rings of buffers, but multishot receives came with 6.0, and so did SEND_ZC. */
static bool receives_many(struct uring *u)
{
	struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
	bool yes = probe && io_uring_opcode_supported(probe, IORING_OP_SEND_ZC);

	io_uring_free_probe(probe);
	return yes;
}

static int linux_buffers(struct uring *u, struct io_uring_buf_ring *ring, unsigned count, int group)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)ring, .ring_entries = count, .bgid = (uint16_t)group,
	};

	if (!ring)
		return io_uring_unregister_buf_ring(&u->ring, group);
	return receives_many(u) ? io_uring_register_buf_ring(&u->ring, &reg, 0) : -EINVAL;
}

/* ---- time ---- */

static int linux_timer_new(struct uring *u)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	(void)u;
	return fd < 0 ? -errno : fd;
}

static int linux_timer_set(struct uring *u, int fd, uint64_t due)
{
	struct itimerspec when = { 0 };

	(void)u;
	if (due != WEIR_FOREVER) {
		when.it_value.tv_sec = (time_t)(due / WEIR_S);
		when.it_value.tv_nsec = (long)(due % WEIR_S);
		if (!due)
			when.it_value.tv_nsec = 1;	/* all zero would disarm */
	}
	return timerfd_settime(fd, TFD_TIMER_ABSTIME, &when, NULL) < 0 ? -errno : 0;
}

/* ---- calls ---- */

static bool linux_call(struct uring *u, struct weir_op *op)
{
	(void)u;
	return weir_direct_(op);
}

static int linux_close(struct uring *u, int fd)
{
	(void)u;
	return weir_direct_close_(fd);
}

static void linux_free(struct uring *u)
{
	(void)u;
}

const struct weir_sys_ops weir_linux_ = {
	.now = linux_now,
	.entropy = linux_entropy,
	.ring_init = linux_ring_init,
	.ring_exit = linux_ring_exit,
	.submit = linux_submit,
	.enter = linux_enter,
	.notify = linux_notify,
	.buffers = linux_buffers,
	.timer_new = linux_timer_new,
	.timer_set = linux_timer_set,
	.call = linux_call,
	.close = linux_close,
	.free = linux_free,
};
