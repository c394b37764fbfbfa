/* SPDX-License-Identifier: MIT */
/*
 * uring_ops.c - the way of an op through the ring: submission, cancel, close, completion.
 *
 * An op in flight sits in a slot; the completion names slot and generation, never a pointer, so a
 * stale or foreign completion meets a check and not freed memory.  An op leaves its slot by its own
 * completion only: what a cancel returns is never taken for that.  There are at most `ops` slots
 * and the completion queue holds two for each (an op and its cancel; for the buffers that multishot
 * ops may take, slots stay free), so it cannot overflow; an op that finds no slot, or no submission
 * entry, is parked in order.  Nothing is allocated after weir_uring_ops_init_().
 */
#include <poll.h>
#include <sys/socket.h>

#include "kernel/alloc.h"
#include "kernel/uring.h"

#define BATCH		64	/* completions looked for at a time */
#define CANCELS		(1u << 31)	/* in a completion's slot: of the cancel, not the op */
#define MISSES		256u	/* that a cancel may miss its op, until it is given up */
#define RESERVE		64u	/* slots, but at most a quarter, that are for internal ops alone */

/* Results that only the kernel's own restart logic should ever see: a call was cut short. */
#define ERESTART_FIRST	(-512)
#define ERESTART_LAST	(-516)

static struct weir_op *op_of(struct weir_list *link)
{
	return weir_container_of(link, struct weir_op, u.kernel.link);
}

/* ---- slots ---- */

static struct bucket *bucket(struct uring *u, int fd)
{
	return &u->buckets[(unsigned)fd & u->bucket_mask];
}

static uint64_t tag(const struct uring *u, uint32_t slot)
{
	return (uint64_t)u->slots[slot].generation << 32 | slot;
}

static bool is_internal(const struct weir_op *op)
{
	return op->def->flags & WEIR_INTERNAL_;
}

/* Tasks may wait in the kernel for what only a ctx's descriptor or another thread will bring; were
 * all slots theirs, the loop would not hear of that. */
static bool has_room(const struct uring *u, const struct weir_op *op)
{
	return u->free_slot != NO_SLOT && (is_internal(op) || u->used < u->bound);
}

static bool slot_take(struct uring *u, struct weir_op *op)
{
	struct bucket *b = bucket(u, op->u.kernel.fd);
	uint32_t i = u->free_slot;
	struct slot *s;

	if (!has_room(u, op))
		return false;
	u->used += !is_internal(op);
	s = &u->slots[i];
	u->free_slot = s->next;
	s->op = op;
	s->polling = s->cancelled = false;
	s->missed = 0;
	s->next = b->first;
	s->prev = NO_SLOT;
	if (b->first != NO_SLOT)
		u->slots[b->first].prev = i;
	b->first = i;
	op->u.kernel.slot = i;
	return true;
}

static void slot_give(struct uring *u, struct weir_op *op)
{
	uint32_t i = op->u.kernel.slot;
	struct slot *s = &u->slots[i];

	if (s->prev != NO_SLOT)
		u->slots[s->prev].next = s->next;
	else
		bucket(u, op->u.kernel.fd)->first = s->next;
	if (s->next != NO_SLOT)
		u->slots[s->next].prev = s->prev;
	u->used -= !is_internal(op);
	s->op = NULL;
	s->generation++;
	s->next = u->free_slot;
	u->free_slot = i;
	op->u.kernel.slot = NO_SLOT;
}

/* The first op in flight on fd, from slot i of its bucket on. */
static uint32_t next_on(const struct uring *u, int fd, uint32_t i)
{
	while (i != NO_SLOT && u->slots[i].op->u.kernel.fd != fd)
		i = u->slots[i].next;
	return i;
}

static bool any_on(struct uring *u, int fd)
{
	return next_on(u, fd, bucket(u, fd)->first) != NO_SLOT;
}

/* No task's, so of no interest to those who ask what tasks wait for. */
static bool is_owned(const struct weir_op *op)
{
	return op->def->flags & (WEIR_INTERNAL_ | WEIR_OBJECTS_);
}

static void count(struct uring *u, const struct weir_op *op, int n)
{
	if (!is_owned(op))
		u->stats.in_flight += (uint64_t)(int64_t)n;
}

/* ---- submission ---- */

static struct io_uring_sqe *sqe_get(struct uring *u)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	if (sqe)
		return sqe;
	u->stats.enters++;
	u->sys->submit(u);	/* its failure shows as NULL again: the caller parks */
	return io_uring_get_sqe(&u->ring);
}

static void fill(const struct uring *u, struct io_uring_sqe *sqe, const struct weir_op *op)
{
	const struct weir_kernel_args *a = &op->u.kernel;

	io_uring_prep_rw(op->def->opcode, sqe, a->fd, (const void *)(uintptr_t)a->addr, a->len,
			 a->off);
	sqe->rw_flags = (int)a->flags;
	switch (op->def->opcode) {
	case IORING_OP_SOCKET:	/* on no descriptor: the domain is there */
		sqe->fd = (int)a->flags;
		sqe->rw_flags = 0;
		break;
	case IORING_OP_SEND:	/* its caller's, see backend.h */
		sqe->off = 0;
		break;
	case WEIR_KOP_CLOSE:
		sqe->opcode = IORING_OP_CLOSE;
		sqe->off = 0;
		break;
	}
	if (op->def->flags & WEIR_MULTISHOT_) {
		sqe->addr = 0;
		sqe->off = 0;
		sqe->ioprio = IORING_RECV_MULTISHOT;
		sqe->flags |= IOSQE_BUFFER_SELECT;
		sqe->buf_group = (uint16_t)a->addr;
	}
	sqe->user_data = tag(u, a->slot);
}

/* False: no slot or no entry now, and op is untouched. */
static bool launch(struct uring *u, struct weir_op *op)
{
	struct io_uring_sqe *sqe;

	if (!slot_take(u, op))
		return false;
	sqe = sqe_get(u);
	if (!sqe) {
		slot_give(u, op);
		return false;
	}
	weir_list_init_(&op->u.kernel.link);	/* on no list, yet safe to remove */
	fill(u, sqe, op);
	count(u, op, 1);
	u->stats.submitted++;
	return true;
}

static void park(struct uring *u, struct weir_op *op, struct weir_list *before)
{
	op->u.kernel.slot = NO_SLOT;
	weir_list_append_(before, &op->u.kernel.link);
	bucket(u, op->u.kernel.fd)->parked++;
	u->stats.parked++;
}

static void unpark(struct uring *u, struct weir_op *op)
{
	weir_list_remove_(&op->u.kernel.link);
	bucket(u, op->u.kernel.fd)->parked--;
	u->stats.parked--;
}

/* Parked ops go first, in their order. */
static void launch_parked(struct uring *u)
{
	while (!weir_list_empty_(&u->parked)) {
		struct weir_op *op = op_of(u->parked.next);

		unpark(u, op);
		if (!launch(u, op)) {
			park(u, op, u->parked.next);	/* back in front */
			return;
		}
	}
}

/* The close op is in the submission queue, and the kernel has not come by it.  Once it has, the
 * descriptor may be another file's, before the completion is looked at. */
static bool rides(const struct uring *u, const struct weir_op *op)
{
	return op->def->opcode == WEIR_KOP_CLOSE &&
		(int)(*u->ring.sq.khead - op->u.kernel.len) <= 0;
}

/* A descriptor whose close has begun takes no op any more, or it might never be closed. */
static bool is_closing(struct uring *u, int fd)
{
	struct weir_list *l;
	uint32_t i;

	if (!bucket(u, fd)->closing)
		return false;
	for (l = u->closers.next; l != &u->closers; l = l->next)
		if (op_of(l)->u.kernel.fd == fd)
			return true;
	for (i = next_on(u, fd, bucket(u, fd)->first); i != NO_SLOT;
	     i = next_on(u, fd, u->slots[i].next))
		if (rides(u, u->slots[i].op))
			return true;
	return false;
}

/* Where op waits for room: the backend's reads of timerfd and eventfd first, then what is internal,
 * then what is of tasks, each in order. */
static struct weir_list *place(struct uring *u, const struct weir_op *op)
{
	struct weir_list *l = u->parked.next;

	if (op == &u->timer_op || op == &u->wake_op)
		return l;
	if (!is_internal(op))
		return &u->parked;
	while (l != &u->parked && is_internal(op_of(l)))
		l = l->next;
	return l;
}

static bool close_begin(struct uring *u, struct weir_op *op);

bool weir_uring_submit_(struct weir_backend *be, struct weir_op *op)
{
	struct uring *u = uring_of(be);

	if (is_closing(u, op->u.kernel.fd)) {
		op->res = -EBADF;
		return true;
	}
	if (op->def->opcode == WEIR_KOP_CLOSE)
		return close_begin(u, op);
	if (op->def->opcode > WEIR_KOP_CLOSE && u->sys->call(u, op))
		return true;
	if ((!weir_list_empty_(&u->parked) && !is_internal(op)) || !launch(u, op))
		park(u, op, place(u, op));
	return false;
}

/* ---- cancellation and close ---- */

static bool cancel_launch(struct uring *u, const struct weir_op *op)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	if (!sqe)
		return false;
	io_uring_prep_cancel64(sqe, tag(u, op->u.kernel.slot), 0);
	sqe->user_data = sqe->addr | CANCELS;
	sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
	return true;
}

void weir_uring_cancel_(struct weir_backend *be, struct weir_op *op)
{
	struct uring *u = uring_of(be);
	uint32_t i = op->u.kernel.slot;

	if (op->def->opcode == WEIR_KOP_CLOSE || i == DROPPED)
		return;
	if (i == NO_SLOT) {	/* the kernel never had it: the next turn ends it */
		unpark(u, op);
		op->u.kernel.slot = DROPPED;
		weir_list_append_(&u->dropped, &op->u.kernel.link);
		return;
	}
	if (u->slots[i].cancelled)
		return;
	u->slots[i].cancelled = true;
	if (!cancel_launch(u, op))
		weir_list_append_(&u->cancels, &op->u.kernel.link);
}

/* Linux finds no op that it is just about to try once more, since a poll said that it could go on;
 * and it may have to wait yet.  A connect that waits for a place in a backlog of AF_UNIX does so 64
 * times before a thread waits for it: cancelled meanwhile, it would never end.  So it is looked for
 * again; but not for ever: one that is on a file is not found either, and ends by itself. */
static void cancel_missed(struct uring *u, uint32_t i)
{
	struct slot *s = &u->slots[i];

	if (++s->missed < MISSES && !cancel_launch(u, s->op))
		weir_list_append_(&u->cancels, &s->op->u.kernel.link);
}

static void launch_cancels(struct uring *u)
{
	while (!weir_list_empty_(&u->cancels)) {
		struct weir_list *link = u->cancels.next;

		if (!cancel_launch(u, op_of(link)))
			return;
		weir_list_remove_(link);
		weir_list_init_(link);
	}
}

static void cancel_parked_on(struct uring *u, int fd)
{
	struct weir_list *l, *next;

	for (l = u->parked.next; l != &u->parked && bucket(u, fd)->parked; l = next) {
		next = l->next;
		if (op_of(l)->u.kernel.fd == fd)
			weir_uring_cancel_(&u->be, op_of(l));
	}
}

/* Where the kernel is entered soon anyway, the close goes with that; if not, an enter of its own
 * would be no better than close(2).  False: it is not to go so, or there is no room. */
static bool close_ride(struct uring *u, struct weir_op *op)
{
	if (!io_uring_sq_ready(&u->ring) || !launch(u, op))
		return false;
	op->u.kernel.len = u->ring.sq.sqe_tail - 1;	/* its number, see rides() */
	bucket(u, op->u.kernel.fd)->closing++;
	return true;
}

/* Closing under an op would leave it alive, on a file that nobody can name any more: its
 * buffer would receive the peer's next bytes.  So each is cancelled and waited for first. */
static bool close_begin(struct uring *u, struct weir_op *op)
{
	int fd = op->u.kernel.fd;
	uint32_t i;

	if (fd < 0) {
		op->res = -EBADF;
		return true;
	}
	cancel_parked_on(u, fd);
	if (!any_on(u, fd)) {
		if (close_ride(u, op))
			return false;
		op->res = u->sys->close(u, fd);
		return true;
	}
	for (i = next_on(u, fd, bucket(u, fd)->first); i != NO_SLOT;
	     i = next_on(u, fd, u->slots[i].next))
		weir_uring_cancel_(&u->be, u->slots[i].op);
	count(u, op, 1);
	bucket(u, fd)->closing++;
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
		bucket(u, op->u.kernel.fd)->closing--;
		count(u, op, -1);
		op->def->complete(op, u->sys->close(u, op->u.kernel.fd));
	}
}

/* ---- completion ---- */

/* What to poll for where such an op is told to try again; 0: then that is its result. */
static unsigned poll_mask(const struct weir_op *op)
{
	switch (op->def->opcode) {
	case IORING_OP_RECV:
		return op->u.kernel.flags & MSG_DONTWAIT ? 0 : POLLIN;
	case IORING_OP_SEND:
		return op->u.kernel.flags & MSG_DONTWAIT ? 0 : POLLOUT;
	case IORING_OP_READ:
	case IORING_OP_ACCEPT:
		return POLLIN;
	case IORING_OP_WRITE:
		return POLLOUT;
	default:
		return 0;
	}
}

/* Some files answer -EAGAIN where others wait (character devices, older kernels), a signal can cut
 * a call short, and the end of a poll that stood in for an op is not that of the op: none of these
 * is news for the caller. */
static bool is_over(const struct weir_op *op, const struct slot *s, int res)
{
	if (s->polling)
		return res < 0 && res != -EINTR;
	return res != -EINTR && (res != -EAGAIN || !poll_mask(op));
}

/* op goes on, in the slot that it has. */
static void try_again(struct uring *u, struct weir_op *op, bool poll)
{
	struct io_uring_sqe *sqe = sqe_get(u);

	if (!sqe) {
		slot_give(u, op);
		count(u, op, -1);
		park(u, op, u->parked.next);	/* in front: it has waited once */
		return;
	}
	u->slots[op->u.kernel.slot].polling = poll;
	if (poll) {
		io_uring_prep_poll_add(sqe, op->u.kernel.fd, poll_mask(op));
		sqe->user_data = tag(u, op->u.kernel.slot);
	} else {
		fill(u, sqe, op);
	}
}

static void completion(struct uring *u, uint64_t user_data, int res, uint32_t flags)
{
	uint32_t i = (uint32_t)user_data & ~CANCELS;
	bool cancels = user_data & CANCELS;
	struct weir_op *op;
	struct slot *s;

	if (i >= u->n_slots || !u->slots[i].op || tag(u, i) != (user_data & ~(uint64_t)CANCELS)) {
		u->stats.unknown += !cancels || i >= u->n_slots; /* a cancel may be too late */
		return;
	}
	if (cancels) {
		if (res == -ENOENT)
			cancel_missed(u, i);
		return;
	}
	s = &u->slots[i];
	op = s->op;
	if (op->def->flags & WEIR_MULTISHOT_)
		op->u.kernel.off = flags;
	if (flags & IORING_CQE_F_MORE) {
		op->def->complete(op, res);
		return;
	}
	if (res <= ERESTART_FIRST && res >= ERESTART_LAST)
		res = -EINTR;
	if (op->def->opcode == WEIR_KOP_CLOSE) {
		bucket(u, op->u.kernel.fd)->closing--;
		res = res == -EINTR ? 0 : res;	/* closed all the same, see direct.c */
	}
	if (!is_over(op, s, res)) {
		if (!s->cancelled) {
			try_again(u, op, res == -EAGAIN);
			return;
		}
		res = -ECANCELED;
	}
	weir_list_remove_(&op->u.kernel.link);	/* from the cancels, or from nothing */
	slot_give(u, op);
	count(u, op, -1);
	u->stats.completed++;
	op->def->complete(op, res);
}

/* None of these has been in the kernel. */
static void end_dropped(struct uring *u)
{
	while (!weir_list_empty_(&u->dropped)) {
		struct weir_op *op = op_of(u->dropped.next);

		weir_list_remove_(&op->u.kernel.link);
		op->u.kernel.slot = NO_SLOT;
		op->def->complete(op, -ECANCELED);
	}
}

/* Each is taken out of the queue before it is acted on, which may submit, and so need its place.
 * Bounded by the queue's size: what comes after that is for the next turn. */
unsigned weir_uring_reap_(struct uring *u)
{
	struct io_uring_cqe *cqes[BATCH];
	unsigned n, i, total = 0;

	do {
		n = io_uring_peek_batch_cqe(&u->ring, cqes, BATCH);
		for (i = 0; i < n; i++) {
			struct io_uring_cqe cqe = *cqes[i];

			io_uring_cq_advance(&u->ring, 1);
			completion(u, cqe.user_data, cqe.res, cqe.flags);
		}
		total += n;
	} while (n == BATCH && total < 2 * u->n_slots);
	if (total && u->lone)
		u->vain = 0;
	end_dropped(u);
	close_those_free(u);
	return total;
}

void weir_uring_flush_(struct uring *u)
{
	launch_cancels(u);
	launch_parked(u);
}

bool weir_uring_stirs_(const struct uring *u)
{
	return io_uring_cq_ready(&u->ring) || !weir_list_empty_(&u->dropped) ||
		!weir_list_empty_(&u->cancels) ||
		(!weir_list_empty_(&u->parked) && has_room(u, op_of(u->parked.next)));
}

/* ---- life ---- */

int weir_uring_ops_init_(struct uring *u, unsigned n)
{
	unsigned i, n_buckets = 1;

	while (n_buckets < n)
		n_buckets *= 2;
	u->slots = weir_zalloc_(n, sizeof *u->slots);
	if (!u->slots)
		return -ENOMEM;
	u->buckets = weir_zalloc_(n_buckets, sizeof *u->buckets);
	if (!u->buckets) {
		weir_free_(u->slots);
		return -ENOMEM;
	}
	for (i = 0; i < n; i++)
		u->slots[i].next = i + 1 < n ? i + 1 : NO_SLOT;
	for (i = 0; i < n_buckets; i++)
		u->buckets[i].first = NO_SLOT;
	u->n_slots = n;
	u->bound = n - (n / 4 < RESERVE ? n / 4 : RESERVE);
	u->free_slot = 0;
	u->bucket_mask = n_buckets - 1;
	weir_list_init_(&u->parked);
	weir_list_init_(&u->cancels);
	weir_list_init_(&u->dropped);
	weir_list_init_(&u->closers);
	return 0;
}

void weir_uring_ops_fini_(struct uring *u)
{
	weir_free_(u->buckets);
	weir_free_(u->slots);
}

static void each_of(struct weir_list *list, void (*fn)(void *arg, struct weir_op *op), void *arg)
{
	struct weir_list *l;

	for (l = list->next; l != list; l = l->next)
		if (!is_owned(op_of(l)))
			fn(arg, op_of(l));
}

void weir_uring_each_(struct weir_backend *be, void (*fn)(void *arg, struct weir_op *op),
		      void *arg)
{
	struct uring *u = uring_of(be);
	unsigned i;

	for (i = 0; i < u->n_slots; i++)
		if (u->slots[i].op && !is_owned(u->slots[i].op))
			fn(arg, u->slots[i].op);
	each_of(&u->parked, fn, arg);
	each_of(&u->dropped, fn, arg);
	each_of(&u->closers, fn, arg);
}
