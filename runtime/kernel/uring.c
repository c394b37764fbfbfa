/* SPDX-License-Identifier: MIT */
/*
 * uring.c - the io_uring backend.
 *
 * An op in flight sits in a slot; the completion names slot and generation, never a pointer, so a
 * stale or foreign completion meets a check and not freed memory.  An op leaves its slot by its own
 * completion only: what a cancel returns is never looked at.  There are at most `ops` slots and
 * the completion queue holds two for each (an op and its cancel), so it cannot overflow; an op
 * that finds no slot, or no submission entry, is parked in order.  Nothing is allocated after
 * weir_uring_new_().
 *
 * Two ops are the backend's own and always in flight: a read of the timerfd, and one of the eventfd
 * by which other threads wake the loop.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "kernel/backend.h"
#include "kernel/direct.h"

#define ENTRIES_MIN	8u
#define OPS_MIN		16u
#define BATCH		64	/* completions taken out of the queue before any is acted on */
#define NO_SLOT		UINT32_MAX
#define FD_BUCKETS	256u	/* see ops_on */
#define IOWQ_BOUNDED	4u	/* kernel threads at most for ops that cannot be polled, */
#define IOWQ_UNBOUNDED	16u	/* ... the default of the second is the user's process limit */
#define ENOMEM_TRIES	10	/* the kernel gives locked memory back late */

struct slot {
	struct weir_op *op;
	uint32_t generation;
	uint32_t next_free;
	bool polling;		/* the op met -EAGAIN: a poll stands in for it */
};

struct uring {
	struct weir_backend be;
	struct io_uring ring;
	struct slot *slots;
	unsigned n_slots;
	uint32_t free_slot;
	struct weir_list parked;	/* ops waiting for a slot or an entry */
	struct weir_list cancels;	/* ops in flight whose cancel found no entry */
	struct weir_list dropped;	/* parked ops that were cancelled */
	struct weir_list closers;	/* close ops waiting for the ops on their descriptor */
	uint32_t ops_on[FD_BUCKETS];	/* ops in flight or parked, by descriptor */

	struct weir_op timer_op, wake_op;
	uint64_t timer_count, wake_count;	/* what they read */
	int timer_fd, wake_fd, notify_fd;
	uint64_t due, armed;		/* what the timerfd should be set to, and is */
	bool closing;

	struct weir_backend_stats stats;
};

static struct uring *uring_of(struct weir_backend *be)
{
	return weir_container_of(be, struct uring, be);
}

static uint64_t uring_now(struct weir_backend *be)
{
	struct timespec ts;

	(void)be;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * WEIR_S + (uint64_t)ts.tv_nsec;
}

static uint64_t uring_entropy(struct weir_backend *be)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
		seed = uring_now(be);
	return seed;
}

/* ---- submission ---- */

static struct io_uring_sqe *sqe_get(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe)
		return sqe;
	u->stats.enters++;
	io_uring_submit(&u->ring);	/* its failure shows as NULL again: the caller parks */
	return io_uring_get_sqe(&u->ring);
}

static uint64_t tag(const struct uring *u, uint32_t slot)
{
	return (uint64_t)u->slots[slot].generation << 32 | slot;
}

static uint32_t slot_take(struct uring *u, struct weir_op *op)
{
	uint32_t i = u->free_slot;

	if (i == NO_SLOT)
		return i;
	u->free_slot = u->slots[i].next_free;
	u->slots[i].op = op;
	u->slots[i].polling = false;
	return i;
}

static void slot_give(struct uring *u, uint32_t i)
{
	u->slots[i].op->u.kernel.slot = NO_SLOT;
	u->slots[i].op = NULL;
	u->slots[i].generation++;
	u->slots[i].next_free = u->free_slot;
	u->free_slot = i;
}

static uint32_t *ops_on(struct uring *u, int fd)
{
	return &u->ops_on[(unsigned)fd % FD_BUCKETS];
}

static void fill(const struct uring *u, struct io_uring_sqe *sqe, const struct weir_op *op)
{
	const struct weir_kernel_args *a = &op->u.kernel;

	io_uring_prep_rw(op->def->opcode, sqe, a->fd, (const void *)(uintptr_t)a->addr, a->len,
			 a->off);
	sqe->rw_flags = (int)a->flags;
	sqe->user_data = tag(u, a->slot);
}

/* False: no slot or no entry now, and op is untouched. */
static bool launch(struct uring *u, struct weir_op *op)
{
	struct io_uring_sqe *sqe;
	uint32_t slot = slot_take(u, op);

	if (slot == NO_SLOT)
		return false;
	sqe = sqe_get(u);
	if (!sqe) {
		slot_give(u, slot);
		return false;
	}
	op->u.kernel.slot = slot;
	weir_list_init_(&op->u.kernel.link);	/* on no list, yet safe to remove */
	fill(u, sqe, op);
	u->stats.submitted++;
	return true;
}

static struct weir_op *op_of(struct weir_list *link)
{
	return weir_container_of(link, struct weir_op, u.kernel.link);
}

/* Parked ops go first, in their order. */
static void unpark(struct uring *u)
{
	while (!weir_list_empty_(&u->parked)) {
		struct weir_op *op = op_of(u->parked.next);

		weir_list_remove_(&op->u.kernel.link);
		if (!launch(u, op)) {
			weir_list_append_(u->parked.next, &op->u.kernel.link);	/* back in front */
			return;
		}
		u->stats.parked--;
	}
}

static bool close_begin(struct uring *u, struct weir_op *op);

static bool uring_submit(struct weir_backend *be, struct weir_op *op)
{
	struct uring *u = uring_of(be);

	if (op->def->opcode == WEIR_KOP_CLOSE)
		return close_begin(u, op);
	if (weir_direct_(op))
		return true;
	(*ops_on(u, op->u.kernel.fd))++;
	if (!(op->def->flags & WEIR_INTERNAL_))
		u->stats.in_flight++;
	if (weir_list_empty_(&u->parked) && launch(u, op))
		return false;
	op->u.kernel.slot = NO_SLOT;
	weir_list_append_(&u->parked, &op->u.kernel.link);
	u->stats.parked++;
	return false;
}

/* ---- cancellation and close ---- */

static bool cancel_launch(struct uring *u, const struct weir_op *op)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, tag(u, op->u.kernel.slot), 0);
	sqe->user_data = NO_SLOT;	/* its result says nothing that the op's own will not */
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	return true;
}

static void uring_cancel(struct weir_backend *be, struct weir_op *op)
{
	struct uring *u = uring_of(be);

	if (op->u.kernel.slot == NO_SLOT) {	/* the kernel never had it: the next turn ends it */
		weir_list_remove_(&op->u.kernel.link);
		weir_list_append_(&u->dropped, &op->u.kernel.link);
		u->stats.parked--;
	} else if (!cancel_launch(u, op)) {
		weir_list_remove_(&op->u.kernel.link);
		weir_list_append_(&u->cancels, &op->u.kernel.link);
	}
}

static void retry_cancels(struct uring *u)
{
	while (!weir_list_empty_(&u->cancels)) {
		struct weir_list *link = u->cancels.next;

		if (!cancel_launch(u, op_of(link)))
			return;
		weir_list_remove_(link);
		weir_list_init_(link);
	}
}

/* The next op on fd, in flight from slot *i on; the bucket's count says in most cases that there is
 * none. */
static struct weir_op *next_on(struct uring *u, int fd, unsigned *i)
{
	for (; *i < u->n_slots; (*i)++)
		if (u->slots[*i].op && u->slots[*i].op->u.kernel.fd == fd)
			return u->slots[(*i)++].op;
	return NULL;
}

static bool any_on(struct uring *u, int fd)
{
	unsigned i = 0;

	return *ops_on(u, fd) && next_on(u, fd, &i);
}

/* Closing under an op would leave it alive, on a file that nobody can name any more: its
 * buffer would receive the peer's next bytes.  So each is cancelled and waited for first. */
static bool close_begin(struct uring *u, struct weir_op *op)
{
	int fd = op->u.kernel.fd;
	struct weir_op *other;
	struct weir_list *l, *next;
	unsigned i = 0;

	for (l = u->parked.next; *ops_on(u, fd) && l != &u->parked; l = next) {
		next = l->next;
		if (op_of(l)->u.kernel.fd == fd)
			uring_cancel(&u->be, op_of(l));
	}
	if (!any_on(u, fd)) {
		op->res = weir_direct_close_(fd);
		return true;
	}
	while ((other = next_on(u, fd, &i)))
		uring_cancel(&u->be, other);
	u->stats.in_flight++;
	weir_list_append_(&u->closers, &op->u.kernel.link);
	return false;
}

static void close_those_free(struct uring *u)
{
	struct weir_list *l, *next;

	for (l = u->closers.next; l != &u->closers; l = next) {
		struct weir_op *op = op_of(l);

		next = l->next;
		if (any_on(u, op->u.kernel.fd))
			continue;
		weir_list_remove_(l);
		u->stats.in_flight--;
		op->def->complete(op, weir_direct_close_(op->u.kernel.fd));
	}
}

/* ---- completion ---- */

static void end(struct uring *u, struct weir_op *op, int res)
{
	weir_list_remove_(&op->u.kernel.link);
	(*ops_on(u, op->u.kernel.fd))--;
	if (!(op->def->flags & WEIR_INTERNAL_))
		u->stats.in_flight--;
	u->stats.completed++;
	op->def->complete(op, res);
}

/* Some files answer -EAGAIN where others wait (KERNEL: character devices, older kernels), and a
 * signal can cut a call short: neither is news for the caller.  True: op goes on. */
static bool try_again(struct uring *u, struct weir_op *op, struct slot *s, int res)
{
	struct io_uring_sqe *sqe;
	bool writes;

	if (op->flags & WEIR_OP_CANCELLED_)
		return false;
	if (!(res == -EINTR || (res == -EAGAIN && !s->polling) || (s->polling && res >= 0)))
		return false;
	sqe = sqe_get(u);
	if (!sqe)
		return false;
	s->polling = res == -EAGAIN;
	if (!s->polling) {
		fill(u, sqe, op);
		return true;
	}
	writes = op->def->opcode == IORING_OP_WRITE || op->def->opcode == IORING_OP_SEND ||
		op->def->opcode == IORING_OP_CONNECT;
	io_uring_prep_poll_add(sqe, op->u.kernel.fd, writes ? POLLOUT : POLLIN);
	sqe->user_data = tag(u, op->u.kernel.slot);
	return true;
}

static void completion(struct uring *u, uint64_t user_data, int res)
{
	uint32_t i = (uint32_t)user_data;
	struct weir_op *op;

	if (user_data == NO_SLOT)	/* a cancel that came too late */
		return;
	if (i >= u->n_slots || !u->slots[i].op || tag(u, i) != user_data) {
		u->stats.unknown++;
		return;
	}
	op = u->slots[i].op;
	if (try_again(u, op, &u->slots[i], res))
		return;
	slot_give(u, i);
	end(u, op, res);
}

/* Takes completions out in batches, since acting on one may submit, and so fill the queue again.
 * Bounded by the queue's size: what comes after that is for the next turn. */
static void reap(struct uring *u)
{
	struct io_uring_cqe *cqes[BATCH];
	struct { uint64_t user_data; int res; } batch[BATCH];
	unsigned n, i, total = 0;

	do {
		n = io_uring_peek_batch_cqe(&u->ring, cqes, BATCH);
		for (i = 0; i < n; i++) {
			batch[i].user_data = cqes[i]->user_data;
			batch[i].res = cqes[i]->res;
		}
		io_uring_cq_advance(&u->ring, n);
		for (i = 0; i < n; i++)
			completion(u, batch[i].user_data, batch[i].res);
		total += n;
	} while (n == BATCH && total < 2 * u->n_slots);
	while (!weir_list_empty_(&u->dropped))
		end(u, op_of(u->dropped.next), -ECANCELED);
	if (!weir_list_empty_(&u->closers))
		close_those_free(u);
}

/* ---- time and wake-ups ---- */

static void timer_complete(struct weir_op *op, int res);
static void wake_complete(struct weir_op *op, int res);

static const struct weir_op_def timer_def = {
	.name = "timerfd", .complete = timer_complete, .opcode = IORING_OP_READ,
	.flags = WEIR_INTERNAL_,
};
static const struct weir_op_def wake_def = {
	.name = "wake-up", .complete = wake_complete, .opcode = IORING_OP_READ,
	.flags = WEIR_INTERNAL_,
};

static void read_start(struct uring *u, struct weir_op *op, const struct weir_op_def *def, int fd,
		       uint64_t *count)
{
	op->def = def;
	op->u.kernel.fd = fd;
	op->u.kernel.addr = (uintptr_t)count;
	op->u.kernel.len = sizeof *count;
	op->u.kernel.off = 0;
	op->u.kernel.flags = 0;
	uring_submit(&u->be, op);
}

/* Which timers are due, and how often, the core computes from the clock, so that no tick can be
 * lost:  not by a late read, and not by setting the timer while an expiry is unread. */
static void timer_complete(struct weir_op *op, int res)
{
	struct uring *u = weir_container_of(op, struct uring, timer_op);

	(void)res;
	u->armed = WEIR_FOREVER;
	if (!u->closing)
		read_start(u, op, &timer_def, u->timer_fd, &u->timer_count);
}

static void wake_complete(struct weir_op *op, int res)
{
	struct uring *u = weir_container_of(op, struct uring, wake_op);

	(void)res;
	if (!u->closing)
		read_start(u, op, &wake_def, u->wake_fd, &u->wake_count);
}

static void uring_arm(struct weir_backend *be, uint64_t due)
{
	uring_of(be)->due = due;
}

/* Only before sleeping: while the loop runs it looks at the clock anyway. */
static void timer_set(struct uring *u)
{
	struct itimerspec when = { 0 };

	if (u->due == u->armed)
		return;
	if (u->due != WEIR_FOREVER) {
		when.it_value.tv_sec = (time_t)(u->due / WEIR_S);
		when.it_value.tv_nsec = (long)(u->due % WEIR_S);
		if (!u->due)
			when.it_value.tv_nsec = 1;	/* all zero would disarm */
	}
	timerfd_settime(u->timer_fd, TFD_TIMER_ABSTIME, &when, NULL);
	u->armed = u->due;
	u->stats.timer_sets++;
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

static bool uring_busy(struct weir_backend *be)
{
	struct uring *u = uring_of(be);

	return io_uring_cq_ready(&u->ring) || kernel_flags(u) || io_uring_sq_ready(&u->ring) ||
		!weir_list_empty_(&u->dropped) || !weir_list_empty_(&u->cancels) ||
		(!weir_list_empty_(&u->parked) && u->free_slot != NO_SLOT);
}

/* One io_uring_enter.  A positive result does not mean that a completion is there, nor does an
 * error mean that there is none. */
static int enter(struct uring *u, bool block)
{
	int rc;

	if (kernel_flags(u) & IORING_SQ_CQ_OVERFLOW)
		u->stats.cq_overflows++;
	u->stats.enters++;
	if (block) {
		u->stats.wakeups++;
		rc = io_uring_submit_and_wait(&u->ring, 1);
	} else {
		rc = io_uring_submit_and_get_events(&u->ring);
	}
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
	int rc = 0;

	retry_cancels(u);
	unpark(u);
	block = block && !io_uring_cq_ready(&u->ring) && !kernel_flags(u) &&
		weir_list_empty_(&u->dropped);
	if (block)
		timer_set(u);
	if (block || io_uring_sq_ready(&u->ring) || kernel_flags(u))
		rc = enter(u, block);
	reap(u);
	/* The kernel runs few completions a call; take them all, as one turn's. */
	while (rc == 0 && kernel_flags(u) && !io_uring_cq_ready(&u->ring)) {
		rc = enter(u, false);
		reap(u);
	}
	return rc;
}

/* ---- embedding ---- */

static int uring_fd(struct weir_backend *be)
{
	struct uring *u = uring_of(be);
	int rc;

	if (u->notify_fd >= 0)
		return u->notify_fd;
	u->notify_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);	/* readable: look once to begin */
	if (u->notify_fd < 0)
		return -errno;
	rc = io_uring_register_eventfd(&u->ring, u->notify_fd);
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

/* Speak again first, then look once more, for what came meanwhile. */
static void uring_listen(struct weir_backend *be, bool more)
{
	struct uring *u = uring_of(be);

	if (u->notify_fd < 0)
		return;
	timer_set(u);
	io_uring_cq_eventfd_toggle(&u->ring, true);
	atomic_thread_fence(memory_order_seq_cst);
	if (more || uring_busy(be))
		eventfd_write(u->notify_fd, 1);
}

/* ---- life ---- */

static void uring_stats(struct weir_backend *be, struct weir_backend_stats *stats)
{
	*stats = uring_of(be)->stats;
}

static void uring_each(struct weir_backend *be, void (*fn)(void *arg, struct weir_op *op),
		       void *arg)
{
	struct uring *u = uring_of(be);
	struct weir_list *l;
	unsigned i;

	for (i = 0; i < u->n_slots; i++)
		if (u->slots[i].op && !(u->slots[i].op->def->flags & WEIR_INTERNAL_))
			fn(arg, u->slots[i].op);
	for (l = u->parked.next; l != &u->parked; l = l->next)
		fn(arg, op_of(l));
	for (l = u->closers.next; l != &u->closers; l = l->next)
		fn(arg, op_of(l));
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void uring_free(struct weir_backend *be)
{
	struct uring *u = uring_of(be);

	u->closing = true;
	uring_cancel(be, &u->timer_op);
	uring_cancel(be, &u->wake_op);
	/* They write into *u: it must outlive them.  Both can be polled, so their cancel
	 * cannot hang. */
	while (u->timer_op.u.kernel.slot != NO_SLOT || u->wake_op.u.kernel.slot != NO_SLOT)
		if (uring_turn(be, true) < 0)
			break;
	io_uring_queue_exit(&u->ring);
	close_fd(u->notify_fd);
	close_fd(u->timer_fd);
	close_fd(u->wake_fd);
	free(u->slots);
	free(u);
}

static const struct weir_backend_ops uring_ops = {
	.now = uring_now,
	.entropy = uring_entropy,
	.submit = uring_submit,
	.cancel = uring_cancel,
	.arm = uring_arm,
	.turn = uring_turn,
	.busy = uring_busy,
	.wake = uring_wake,
	.fd = uring_fd,
	.quiet = uring_quiet,
	.listen = uring_listen,
	.stats = uring_stats,
	.each = uring_each,
	.free = uring_free,
};

/* The best flags that this kernel has: one thread, completions only when we enter, and a flag that
 * says when entering is worth while. */
static int ring_init(struct io_uring *ring, unsigned ops, unsigned entries)
{
	static const unsigned flags[] = {
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG,
		0,
	};
	struct io_uring_params p;
	unsigned i;
	int rc = -EINVAL;

	for (i = 0; rc == -EINVAL && i < sizeof flags / sizeof *flags; i++) {
		memset(&p, 0, sizeof p);
		p.flags = flags[i] | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP |
			(flags[i] ? IORING_SETUP_SUBMIT_ALL : 0);
		p.cq_entries = 2 * ops;
		rc = io_uring_queue_init_params(entries, ring, &p);
	}
	return rc;
}

/* Locked memory is counted per user and given back late: wait a little, then ask for less. */
static int ring_init_or_smaller(struct io_uring *ring, unsigned *ops, unsigned entries)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	unsigned tries;
	int rc;

	for (;;) {
		for (tries = 0; tries < ENOMEM_TRIES; tries++) {
			rc = ring_init(ring, *ops, entries);
			if (rc != -ENOMEM)
				return rc;
			nanosleep(&ms, NULL);
		}
		if (*ops / 2 < OPS_MIN || entries / 2 < ENTRIES_MIN)
			return -ENOMEM;
		*ops /= 2;
		entries /= 2;
	}
}

static int slots_init(struct uring *u, unsigned n)
{
	unsigned i;

	u->slots = calloc(n, sizeof *u->slots);
	if (!u->slots)
		return -ENOMEM;
	for (i = 0; i < n; i++)
		u->slots[i].next_free = i + 1 < n ? i + 1 : NO_SLOT;
	u->n_slots = n;
	u->free_slot = 0;
	return 0;
}

int weir_uring_new_(struct weir_backend **be, unsigned ops, unsigned entries)
{
	unsigned workers[2] = { IOWQ_BOUNDED, IOWQ_UNBOUNDED };
	struct uring *u = calloc(1, sizeof *u);
	int rc;

	if (!u)
		return -ENOMEM;
	u->be.ops = &uring_ops;
	u->notify_fd = -1;
	u->due = u->armed = WEIR_FOREVER;
	weir_list_init_(&u->parked);
	weir_list_init_(&u->cancels);
	weir_list_init_(&u->dropped);
	weir_list_init_(&u->closers);
	ops = ops < OPS_MIN ? OPS_MIN : ops;
	entries = entries < ENTRIES_MIN ? ENTRIES_MIN : entries > ops ? ops : entries;
	rc = ring_init_or_smaller(&u->ring, &ops, entries);
	if (rc < 0)
		goto free_u;
	io_uring_ring_dontfork(&u->ring);	/* a child that touched it would corrupt it */
	io_uring_register_iowq_max_workers(&u->ring, workers);	/* an older kernel keeps its own */
	rc = slots_init(u, ops);
	if (rc < 0)
		goto exit_ring;
	u->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (u->timer_fd < 0) {
		rc = -errno;
		goto free_slots;
	}
	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (u->wake_fd < 0) {
		rc = -errno;
		goto close_timer;
	}
	read_start(u, &u->timer_op, &timer_def, u->timer_fd, &u->timer_count);
	read_start(u, &u->wake_op, &wake_def, u->wake_fd, &u->wake_count);
	*be = &u->be;
	return 0;

close_timer:
	close(u->timer_fd);
free_slots:
	free(u->slots);
exit_ring:
	io_uring_queue_exit(&u->ring);
free_u:
	free(u);
	return rc;
}
