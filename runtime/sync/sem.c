/* SPDX-License-Identifier: MIT */
/*
 * sem.c - semaphores: the line, and the permits of one loop.
 *
 * Always, between calls: whoever is first in line wants more than is free, or a permit of a shared
 * semaphore that has not come yet; slow says WAITED if and only if someone waits.  A permit
 * changes hands when an op is taken out of the line, and comes back by revoke() if its task is
 * cancelled before it has run.
 */
#include "core/loop.h"
#include "sync/sem.h"

static struct weir_op *op_of(struct weir_list *link)
{
	return weir_container_of(link, struct weir_op, u.wait.link);
}

static void leave(struct weir_sem *s, struct weir_op *op)
{
	weir_list_remove_(&op->u.wait.link);
	if (!--s->waiting)
		s->slow &= ~WEIR_SEM_WAITED_;
}

void weir_sem_end_first_(struct weir_sem *s, int res)
{
	struct weir_op *op = op_of(s->waiters.next);

	leave(s, op);
	weir_op_end_(op, res);
}

/* n is not more than there are in all. */
static bool fits(const struct weir_sem *s, uint64_t n)
{
	return (int64_t)n <= s->free || !n;
}

/* Serves the line up to the first who does not fit.  Ending one op may end others of its select,
 * and so call this again: nothing is remembered from one to the next. */
static void serve(struct weir_sem *s)
{
	while (!weir_list_empty_(&s->waiters)) {
		struct weir_op *op = op_of(s->waiters.next);

		if (!fits(s, op->u.wait.n))
			return;
		s->free -= (int64_t)op->u.wait.n;
		if (s->seen)
			weir_seen_holds_(s->seen, weir_op_task(op), (int64_t)op->u.wait.n);
		leave(s, op);
		weir_op_end_(op, 0);
	}
}

/* Ends who waits for more than n.  They leave the line before any of them ends: or one that ends
 * might take another along, and let the next be served. */
static void refuse_above(struct weir_sem *s, int64_t n, int res)
{
	struct weir_list *l, *next, refused;

	weir_list_init_(&refused);
	for (l = s->waiters.next; l != &s->waiters; l = next) {
		next = l->next;
		if ((int64_t)op_of(l)->u.wait.n <= n)
			continue;
		weir_list_remove_(l);
		weir_list_append_(&refused, l);
	}
	while (!weir_list_empty_(&refused)) {
		struct weir_op *op = op_of(refused.next);

		leave(s, op);
		weir_op_end_(op, res);
	}
}

/* ---- life ---- */

int weir_sem_init_(struct weir_sem *s, struct weir_loop *loop, uint64_t permits, const char *made)
{
	if (permits > WEIR_SEM_MAX)
		return -EINVAL;
	*s = (struct weir_sem){
		.size = (int64_t)permits, .free = (int64_t)permits, .loop = loop, .made = made,
	};
	weir_list_init_(&s->waiters);
	s->seen = weir_seen_made_(loop, WEIR_KIND_SEM_, s, sizeof *s, made);
	if (s->seen)
		s->slow = WEIR_SEM_SEEN_;
	return 0;
}

void weir_sem_fini(struct weir_sem *s)
{
	WEIR_CHECK_(!s->waiting, "weir_sem_fini() of a semaphore that tasks wait for", s->made);
	if (s->shared)
		weir_sem_shared_fini_(s);
	s->slow |= WEIR_SEM_CLOSED_;
	weir_seen_gone_(s->seen);
	s->seen = NULL;
}

void weir_sem_close(struct weir_sem *s)
{
	s->slow |= WEIR_SEM_CLOSED_;
	if (s->seen)
		weir_seen_gives_(s->seen);
	refuse_above(s, -1, -EPIPE);
	if (s->shared)
		weir_sem_shared_left_(s);
}

static void set_owed(struct weir_sem *s)
{
	s->slow &= ~WEIR_SEM_OWED_;
	if (s->free < 0)
		s->slow |= WEIR_SEM_OWED_;
}

int weir_sem_resize(struct weir_sem *s, uint64_t permits)
{
	int64_t held = s->size - s->free;

	if (s->shared)
		return -ENOTSUP;
	if (permits > WEIR_SEM_MAX)
		return -EINVAL;
	if (s->seen)
		weir_seen_gives_(s->seen);
	s->size = (int64_t)permits;
	s->free = s->size - held;
	set_owed(s);
	refuse_above(s, s->size, -E2BIG);	/* never served, they would hold up the others */
	serve(s);
	return 0;
}

/* ---- taking and giving ---- */

static int take_shared(struct weir_sem *s, uint64_t n)
{
	int rc = weir_sem_shared_take_(s, n);

	if (rc == 0 && s->seen)
		weir_seen_takes_all_(s->seen);	/* whoever released it */
	return rc;
}

int weir_sem_take_(struct weir_sem *s, uint64_t n)
{
	if (s->slow & WEIR_SEM_CLOSED_) {
		if (s->seen)
			weir_seen_takes_(s->seen);
		return -EPIPE;
	}
	if (s->slow & WEIR_SEM_SHARED_)
		return take_shared(s, n);
	if (n > (uint64_t)s->size)
		return -E2BIG;
	if (s->waiting || !fits(s, n))
		return -EAGAIN;
	s->free -= (int64_t)n;
	if (s->seen)
		weir_seen_holds_(s->seen, NULL, (int64_t)n);
	return 0;
}

static void put_back(struct weir_sem *s, uint64_t n)
{
	s->free += (int64_t)n;
	if (s->slow & WEIR_SEM_OWED_)
		set_owed(s);
	serve(s);
}

/* The most common release while others wait: none is free, and the first wants just what comes. */
static inline bool hand_on(struct weir_sem *s, uint64_t n)
{
	struct weir_op *op = op_of(s->waiters.next);

	if (s->slow != WEIR_SEM_WAITED_ || s->free || weir_list_empty_(&s->waiters) ||
	    op->u.wait.n != n)
		return false;
	leave(s, op);
	weir_op_end_(op, 0);
	if (!weir_list_empty_(&s->waiters) && !op_of(s->waiters.next)->u.wait.n)
		serve(s);
	return true;
}

int weir_sem_give_(struct weir_sem *s, uint64_t n)
{
	if (hand_on(s, n))
		return 0;
	if (s->slow & WEIR_SEM_SHARED_)
		return weir_sem_shared_give_(s, n);
	if (n > (uint64_t)(s->size - s->free)) {
		s->refused++;
		if (s->seen)
			weir_seen_misused_(s->seen, "release of more permits than are held");
		return -EINVAL;
	}
	if (s->seen)
		weir_seen_holds_(s->seen, NULL, -(int64_t)n);
	put_back(s, n);
	return 0;
}

/* ---- the op ---- */

bool weir_sem_park_(struct weir_op *op)
{
	struct weir_sem *s = op->u.wait.obj;

	weir_list_append_(&s->waiters, &op->u.wait.link);
	s->waiting++;
	s->slow |= WEIR_SEM_WAITED_;
	if (s->shared)
		weir_sem_shared_want_(s);
	return false;
}

/* The first in line may have been in the way of the next. */
bool weir_sem_cancel_(struct weir_op *op)
{
	struct weir_sem *s = op->u.wait.obj;

	leave(s, op);
	if (s->shared)
		weir_sem_shared_left_(s);
	else
		serve(s);
	return true;
}

/* Of its permits some may have been released already, by someone who had no more of his own. */
void weir_sem_revoke_(struct weir_op *op, int err)
{
	struct weir_sem *s = op->u.wait.obj;
	int64_t n = (int64_t)op->u.wait.n, held = s->size - s->free;

	if (s->seen && !s->shared)
		weir_seen_holds_(s->seen, weir_op_task(op), -n);
	if (s->shared)
		weir_sem_shared_give_(s, op->u.wait.n);
	else
		put_back(s, (uint64_t)(n < held ? n : held));
	op->res = err;
}
