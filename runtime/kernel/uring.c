/* SPDX-License-Identifier: MIT */
/*
 * uring.c - the io_uring backend: the ring, its clock, its turn.  The system calls are those of
 * sys.h, so that a simulated kernel can answer them.
 *
 * Two ops are the backend's own: a read of the timerfd, always in flight; and a poll of the eventfd
 * by which other threads wake the loop, which goes on and on.  Nobody reads that: a poll that goes
 * on tells of each write, and begun anew of all before.  Nothing is allocated after
 * weir_uring_new_().
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "kernel/alloc.h"
#include "kernel/uring.h"

#define ENTRIES_MIN	8u
#define OPS_MIN		16u
#define OPS_SHRUNK	64u	/* no smaller than this because memory is short */
#define ENOUGH		32u	/* completions for a turn, if there are more */
#define STOP_TURNS	100u	/* without an end, until a ring is given up */
#define ENOMEM_TRIES	10	/* the kernel gives locked memory back late */

static uint64_t uring_now(struct weir_backend *be)
{
	struct uring *u = uring_of(be);

	return u->sys->now(u);
}

static uint64_t uring_entropy(struct weir_backend *be)
{
	struct uring *u = uring_of(be);

	return u->sys->entropy(u);
}

/* ---- the ring ---- */

/* What is relied on, all of it in Linux 6.1: completions are not dropped, an offset of -1 is the
 * file's own, a cancel that succeeds says nothing. */
#define FEATURES	(IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS | IORING_FEAT_CQE_SKIP)

/* The best flags that this kernel has: one thread, completions only when we enter, and a flag that
 * says when entering is worth while.  A ring that puts completions off until we enter is of no use
 * to a host, see uring_fd(). */
static int ring_init(struct uring *u, struct io_uring *ring, unsigned ops, unsigned entries,
		     bool hosted)
{
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	struct io_uring_params p;
	unsigned i;
	int rc = -EINVAL;

	for (i = hosted; rc == -EINVAL && i < sizeof flags / sizeof *flags; i++) {
		memset(&p, 0, sizeof p);
		p.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
			(flags[i] ? IORING_SETUP_SUBMIT_ALL : 0);
		p.cq_entries = 2 * ops;
		rc = u->sys->ring_init(u, ring, entries, &p);
	}
	if (rc == 0 && (p.features & FEATURES) != FEATURES) {
		u->sys->ring_exit(u, ring);
		rc = -EINVAL;
	}
	return rc;
}

/* Locked memory is counted per user and given back late: wait a little, then ask for less. */
static int ring_init_or_smaller(struct uring *u, unsigned *ops, unsigned *entries)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	unsigned tries;
	int rc;

	for (;;) {
		for (tries = 0; tries < ENOMEM_TRIES; tries++) {
			rc = ring_init(u, &u->ring, *ops, *entries, false);
			if (rc != -ENOMEM)
				return rc;
			nanosleep(&ms, NULL);
		}
		if (*ops / 2 < OPS_SHRUNK)
			return -ENOMEM;
		*ops /= 2;
		*entries = *entries / 2 < ENTRIES_MIN ? ENTRIES_MIN : *entries / 2;
	}
}

/* ---- time and wake-ups ---- */

static void timer_complete(struct weir_op *op, int res);
static void wake_complete(struct weir_op *op, int res);

static const struct weir_op_def timer_def = {
	.name = "timerfd", .complete = timer_complete, .opcode = IORING_OP_READ,
	.flags = WEIR_INTERNAL_,
};
static const struct weir_op_def wake_def = {
	.name = "wake-up", .complete = wake_complete, .opcode = IORING_OP_POLL_ADD,
	.flags = WEIR_INTERNAL_,
};

static void timer_start(struct uring *u)
{
	u->timer_op.def = &timer_def;
	u->timer_op.u.kernel = (struct weir_kernel_args){
		.fd = u->timer_fd, .addr = (uintptr_t)&u->timer_count, .len = sizeof u->timer_count,
	};
	weir_uring_submit_(&u->be, &u->timer_op);
}

/* Which timers are due, and how often, the core computes from the clock, so that no tick can be
 * lost:  not by a late read, and not by setting the timer while an expiry is unread. */
static void timer_complete(struct weir_op *op, int res)
{
	struct uring *u = weir_container_of(op, struct uring, timer_op);

	(void)res;
	u->armed = WEIR_FOREVER;
	if (!u->closing)
		timer_start(u);
}

static bool is_over(const struct weir_op *op)
{
	return op->u.kernel.slot == NO_SLOT;
}

static void wake_start(struct uring *u)
{
	if (!is_over(&u->wake_op) || u->closing)
		return;
	u->wake_op.def = &wake_def;
	u->wake_op.u.kernel = (struct weir_kernel_args){
		.fd = u->wake_fd, .len = IORING_POLL_ADD_MULTI, .flags = weir_poll_events_(POLLIN),
	};
	weir_uring_submit_(&u->be, &u->wake_op);
}

/* It ends when the kernel is short of something.  A loop's own sleep begins it anew, so that one
 * call submits it and sleeps.  A host sleeps without a call of ours: there it is submitted at once,
 * or keeps the host from it. */
static void wake_complete(struct weir_op *op, int res)
{
	struct uring *u = weir_container_of(op, struct uring, wake_op);

	(void)res;
	if (u->hosted)
		wake_start(u);
}

static void uring_arm(struct weir_backend *be, uint64_t due)
{
	uring_of(be)->due = due;
}

static void uring_limit(struct weir_backend *be, uint64_t ns)
{
	uint64_t limit = weir_time_add(uring_now(be), ns);

	if (limit < uring_of(be)->limit)
		uring_of(be)->limit = limit;
}

static bool past_limit(struct uring *u)
{
	return u->limit != WEIR_FOREVER && uring_now(&u->be) >= u->limit;
}

/* Only before sleeping: while the loop runs it looks at the clock anyway.  Results: 0; -errno, if a
 * filter forbids it, and nobody may sleep. */
static int timer_set(struct uring *u)
{
	uint64_t due = u->due < u->limit ? u->due : u->limit;
	int rc;

	if (due == u->armed)
		return 0;
	rc = u->sys->timer_set(u, u->timer_fd, due);
	if (rc < 0)
		return rc;
	u->armed = due;
	u->stats.timer_sets++;
	return 0;
}

static void uring_wake(struct weir_backend *be)
{
	/* EAGAIN: the counter is full, so it is readable already. */
	eventfd_write(uring_of(be)->wake_fd, 1);
}

/* ---- the turn ---- */

static unsigned kernel_flags(const struct uring *u)
{
	return IO_URING_READ_ONCE(*u->ring.sq.kflags) &
		(IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* IORING_SQ_TASKRUN may be left standing where there is nothing to run: another CPU adds work, we
 * run it, and only then does that CPU set the flag.  Nothing clears it but further work, which may
 * never come.  So it is believed for as many enters as run all that can be there, at 20 a call;
 * after that every turn still looks once, but none is made for its sake. */
#define RUN_AT_A_TIME	16

static bool in_vain(const struct uring *u)
{
	return u->vain > u->n_slots / RUN_AT_A_TIME;
}

static bool uring_busy(struct weir_backend *be)
{
	struct uring *u = uring_of(be);

	return weir_uring_stirs_(u) || (kernel_flags(u) && !in_vain(u)) ||
		io_uring_sq_ready(&u->ring);
}

/* One io_uring_enter.  A positive result does not mean that a completion is there, nor does an
 * error mean that there is none. */
static int enter(struct uring *u, bool block)
{
	int rc;

	if (kernel_flags(u) & IORING_SQ_CQ_OVERFLOW)
		u->stats.cq_overflows++;
	u->vain = kernel_flags(u) ? u->vain + !in_vain(u) : 0;
	u->lone = !io_uring_sq_ready(&u->ring);
	u->stats.enters++;
	u->stats.wakeups += block;
	rc = u->sys->enter(u, block);
	switch (rc) {
	case -EINTR:		/* a signal; the caller looks again and sleeps on */
	case -EBUSY:		/* completions must be taken first */
	case -EAGAIN:		/* the kernel is short of memory just now */
		return 0;
	default:
		return rc < 0 ? rc : 0;
	}
}

static int uring_turn(struct weir_backend *be, bool block)
{
	struct uring *u = uring_of(be);
	unsigned n;
	int rc = 0;

	if (block)
		wake_start(u);
	weir_uring_flush_(u);
	block = block && !weir_uring_stirs_(u) && (!kernel_flags(u) || in_vain(u)) &&
		!past_limit(u);
	if (block)
		rc = timer_set(u);
	if (rc == 0 && (block || io_uring_sq_ready(&u->ring) || kernel_flags(u)))
		rc = enter(u, block);
	n = weir_uring_reap_(u);
	/* The kernel runs few completions a call.  A turn is worth a good many, but no more than
	 * what they brought stays in the cache for until tasks look at it. */
	while (rc == 0 && n < ENOUGH && kernel_flags(u) && !io_uring_cq_ready(&u->ring) &&
	       !in_vain(u)) {
		rc = enter(u, false);
		n += weir_uring_reap_(u);
	}
	return rc == 0 && past_limit(u) ? -ETIME : rc;
}

/* ---- the backend's own ops ---- */

static void own_start(struct uring *u)
{
	u->closing = false;
	if (is_over(&u->timer_op))
		timer_start(u);
	wake_start(u);
}

/* They write into *u: it must outlive them.  Both can be polled, so their cancel cannot hang; a
 * ring that fails and fails is given up.  False: so it was. */
static bool own_stop(struct uring *u)
{
	unsigned turns = u->n_slots + STOP_TURNS;

	u->closing = true;
	u->due = u->armed = WEIR_FOREVER;	/* no timer matters now */
	weir_uring_cancel_(&u->be, &u->timer_op);
	weir_uring_cancel_(&u->be, &u->wake_op);
	while (turns-- && !(is_over(&u->timer_op) && is_over(&u->wake_op)))
		uring_turn(&u->be, true);
	return is_over(&u->timer_op) && is_over(&u->wake_op);
}

/* ---- buffers ---- */

/* The completion queue holds two for each slot: buffers take the place of slots, so that it cannot
 * overflow however many come at once. */
static unsigned slots_for(unsigned buffers)
{
	return (buffers + 1) / 2;
}

static int uring_buffers(struct weir_backend *be, struct io_uring_buf_ring *ring, unsigned count)
{
	struct uring *u = uring_of(be);
	int group = u->groups == UINT64_MAX ? -1 : __builtin_ctzll(~u->groups), rc;

	if (group < 0 || slots_for(count) >= u->bound)
		return -EAGAIN;
	rc = u->sys->buffers(u, ring, count, group);
	if (rc < 0)
		return rc;
	u->groups |= 1ull << group;
	u->bound -= slots_for(count);
	return group;
}

static void uring_buffers_gone(struct weir_backend *be, int group, unsigned count)
{
	struct uring *u = uring_of(be);

	u->sys->buffers(u, NULL, count, group);
	u->groups &= ~(1ull << group);
	u->bound += slots_for(count);
}

static void uring_hold(struct weir_backend *be, int n)
{
	uring_of(be)->stats.in_flight += (uint64_t)(int64_t)n;
}

/* ---- embedding ---- */

static bool only_own(const struct uring *u)
{
	unsigned i, n = 0;

	for (i = 0; i < u->n_slots; i++)
		n += u->slots[i].op != NULL;
	return n == 2 && !u->groups && weir_list_empty_(&u->parked) &&
		weir_list_empty_(&u->dropped);
}

/* With IORING_SETUP_DEFER_TASKRUN an op that ends because an eventfd was written to, the loop's own
 * wake-up among them, signals the registered eventfd late the first time and then never again
 * (Linux 6.18).  Without, it always does. */
static int ring_for_a_host(struct uring *u)
{
	struct io_uring ring;
	int rc;

	if (!only_own(u))
		return -EBUSY;
	rc = ring_init(u, &ring, u->n_slots, u->entries, true);
	if (rc < 0)
		return rc;
	if (!own_stop(u)) {
		u->sys->ring_exit(u, &ring);
		own_start(u);
		return -EIO;
	}
	u->sys->ring_exit(u, &u->ring);
	u->ring = ring;
	own_start(u);
	return 0;
}

static int uring_fd(struct weir_backend *be)
{
	struct uring *u = uring_of(be);
	int rc;

	if (u->notify_fd >= 0)
		return u->notify_fd;
	if (!u->hosted) {
		rc = ring_for_a_host(u);
		if (rc < 0)
			return rc;
		u->hosted = true;
	}
	u->notify_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);	/* readable: look once to begin */
	if (u->notify_fd < 0)
		return -errno;
	rc = u->sys->notify(u, u->notify_fd);
	if (rc < 0) {
		close(u->notify_fd);
		u->notify_fd = -1;
		return rc;
	}
	return u->notify_fd;
}

/* Read first, then look: the other order loses a wake-up. */
static void uring_quiet(struct weir_backend *be)
{
	struct uring *u = uring_of(be);
	eventfd_t count;

	if (u->notify_fd < 0)
		return;
	eventfd_read(u->notify_fd, &count);	/* EAGAIN: called without need, no harm */
	io_uring_cq_eventfd_toggle(&u->ring, false);
}

/* Speak again first, then look once more, for what came meanwhile.  A simulated kernel does nothing
 * while nobody enters it, so there the host is to come again at once. */
static void uring_listen(struct weir_backend *be, bool more)
{
	struct uring *u = uring_of(be);

	if (u->notify_fd < 0)
		return;
	if (timer_set(u) < 0)
		more = true;	/* the host looks at the clock for us */
	io_uring_cq_eventfd_toggle(&u->ring, true);
	atomic_thread_fence(memory_order_seq_cst);
	if (more || u->sys->still || uring_busy(be))
		eventfd_write(u->notify_fd, 1);
}

/* ---- life ---- */

static void uring_stats(struct weir_backend *be, struct weir_backend_stats *stats)
{
	*stats = uring_of(be)->stats;
}

static void uring_drop(struct weir_backend *be, int fd)
{
	struct uring *u = uring_of(be);

	u->sys->close(u, fd);
}

static bool uring_still(struct weir_backend *be)
{
	struct uring *u = uring_of(be);

	return u->sys->still ? u->sys->still(u) : !u->stats.in_flight && !u->stats.parked;
}

static void uring_advance(struct weir_backend *be, uint64_t ns)
{
	struct uring *u = uring_of(be);

	u->sys->advance(u, ns);
}

static void uring_later(struct weir_backend *be, struct weir_msg *msg)
{
	struct uring *u = uring_of(be);

	u->sys->later(u, msg);
}

static void uring_free(struct weir_backend *be)
{
	struct uring *u = uring_of(be);
	bool stopped;

	u->limit = WEIR_FOREVER;
	stopped = own_stop(u);
	u->sys->ring_exit(u, &u->ring);
	if (u->notify_fd >= 0)
		close(u->notify_fd);
	u->sys->close(u, u->timer_fd);
	weir_uring_ops_fini_(u);
	u->sys->free(u);
	if (stopped)
		weir_free_(u);
}

#define OPS								\
	.now = uring_now,						\
	.entropy = uring_entropy,					\
	.submit = weir_uring_submit_,					\
	.cancel = weir_uring_cancel_,					\
	.drop = uring_drop,						\
	.hold = uring_hold,						\
	.buffers = uring_buffers,					\
	.buffers_gone = uring_buffers_gone,				\
	.arm = uring_arm,						\
	.limit = uring_limit,						\
	.turn = uring_turn,						\
	.busy = uring_busy,						\
	.still = uring_still,						\
	.wake = uring_wake,						\
	.fd = uring_fd,							\
	.quiet = uring_quiet,						\
	.listen = uring_listen,						\
	.stats = uring_stats,						\
	.each = weir_uring_each_,					\
	.free = uring_free

static const struct weir_backend_ops uring_ops = { OPS };
static const struct weir_backend_ops simulated_ops = {
	OPS, .advance = uring_advance, .later = uring_later,
};

int weir_uring_new_(struct weir_backend **be, const struct weir_sys_ops *sys, void *world,
		    unsigned ops, unsigned entries, int bell)
{
	struct uring *u = weir_zalloc_(1, sizeof *u);
	int rc;

	if (!u)
		return -ENOMEM;
	u->be.ops = sys->advance ? &simulated_ops : &uring_ops;
	u->sys = sys;
	u->world = world;
	u->wake_fd = bell;
	u->notify_fd = -1;
	u->due = u->armed = u->limit = WEIR_FOREVER;
	u->timer_op.u.kernel.slot = u->wake_op.u.kernel.slot = NO_SLOT;
	ops = ops < OPS_MIN ? OPS_MIN : ops;
	entries = entries < ENTRIES_MIN ? ENTRIES_MIN : entries > ops ? ops : entries;
	rc = ring_init_or_smaller(u, &ops, &entries);
	if (rc < 0)
		goto free_u;
	u->entries = entries;
	rc = weir_uring_ops_init_(u, ops);
	if (rc < 0)
		goto exit_ring;
	u->timer_fd = u->sys->timer_new(u);
	if (u->timer_fd < 0) {
		rc = u->timer_fd;
		goto fini_ops;
	}
	own_start(u);
	rc = enter(u, false);	/* a filter may allow io_uring_setup(2) alone */
	if (rc < 0)
		goto close_timer;
	*be = &u->be;
	return 0;

close_timer:
	sys->close(u, u->timer_fd);
fini_ops:
	weir_uring_ops_fini_(u);
exit_ring:
	sys->ring_exit(u, &u->ring);
free_u:
	weir_free_(u);
	return rc;
}
