/* SPDX-License-Identifier: MIT */
/*
 * sim_buffers.c - rings of buffers in the simulated kernel, and the receives that take from them.
 *
 * A buffer is taken in the step in which bytes are put into it, in the order of the ring; whatever
 * a receive ends with, a buffer that it has not filled stays where it was.
 */
#include "kernel/sim.h"

int weir_sim_buffers_(struct sim *s, const struct io_uring_buf_ring *ring, unsigned count,
		      int group)
{
	if (ring && sim_chance(s, s->again))
		return -EINVAL;
	s->groups[group] = (struct sim_group){ ring, count, 0 };
	return 0;
}

bool weir_sim_selects_(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_RECV && sqe->flags & IOSQE_BUFFER_SELECT;
}

static bool empty(const struct sim_group *g)
{
	return !g->ring || __atomic_load_n(&g->ring->tail, __ATOMIC_ACQUIRE) == g->head;
}

bool weir_sim_starves_(const struct sim *s, const struct sim_req *r)
{
	return weir_sim_selects_(&r->sqe) && empty(&s->groups[r->sqe.buf_group]);
}

int weir_sim_receive_(struct sim *s, struct sim_req *r)
{
	struct sim_group *g = &s->groups[r->sqe.buf_group];
	struct sim_req once = *r;
	const struct io_uring_buf *b;
	int res;

	if (empty(g))
		return -ENOBUFS;
	b = &g->ring->bufs[g->head & (g->count - 1)];
	once.sqe.addr = b->addr;
	once.sqe.len = b->len;
	if (b->len > 1 && sim_chance(s, s->cut)) {
		s->stats.cut++;
		once.sqe.len = 1 + (unsigned)sim_below(s, b->len - 1);
	}
	res = weir_sim_do_(s, &once);
	if (res > 0) {
		g->head++;
		r->flags = IORING_CQE_F_BUFFER | (uint32_t)b->bid << IORING_CQE_BUFFER_SHIFT;
		if (!sim_chance(s, s->again / 4))	/* it may give up whenever it likes */
			r->flags |= IORING_CQE_F_MORE;
	}
	return res;
}
