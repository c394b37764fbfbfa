/* SPDX-License-Identifier: MIT */
/*
 * uring_ops.c - the way of an op through the ring: submission, cancel, close, completion.
 *
 * An op in flight sits in a slot; the completion names slot and generation, never a pointer, so a
 * stale or foreign completion meets a check and not freed memory.  An op leaves its slot by its own
 * completion only: what a cancel returns is never looked at.  There are at most `ops` slots and
 * the completion queue holds two for each (an op and its cancel), so it cannot overflow; an op
 * that finds no slot, or no submission entry, is parked in order.  Nothing is allocated here.
 */
#include <poll.h>

#include "kernel/direct.h"
#include "kernel/uring.h"

#define BATCH		64	/* completions taken out of the queue before any is acted on */

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

bool weir_uring_submit_(struct weir_backend *be, struct weir_op *op)
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

void weir_uring_cancel_(struct weir_backend *be, struct weir_op *op)
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
			weir_uring_cancel_(&u->be, op_of(l));
	}
	if (!any_on(u, fd)) {
		op->res = weir_direct_close_(fd);
		return true;
	}
	while ((other = next_on(u, fd, &i)))
		weir_uring_cancel_(&u->be, other);
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
void weir_uring_reap_(struct uring *u)
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

void weir_uring_flush_(struct uring *u)
{
	retry_cancels(u);
	unpark(u);
}

/* ---- life ---- */

void weir_uring_ops_init_(struct uring *u)
{
	weir_list_init_(&u->parked);
	weir_list_init_(&u->cancels);
	weir_list_init_(&u->dropped);
	weir_list_init_(&u->closers);
}

void weir_uring_each_(struct weir_backend *be, void (*fn)(void *arg, struct weir_op *op),
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
