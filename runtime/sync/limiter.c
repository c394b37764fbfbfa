/* SPDX-License-Identifier: MIT */
/*
 * limiter.c - a bucket with a queue; see limiter.h, and bucket.h for the arithmetic.
 *
 * Who waits has its tokens taken on arrival, so that everyone who comes later, in whichever of the
 * three ways, finds them gone.  When its turn comes is reckoned for the first of the queue only:
 * it waits for what the bucket is short of, less what was taken behind it.  `owed` adds up what
 * the queue has taken, and what reservations made behind waiters have; those are noted at the
 * waiter in front of them, and leave `owed` with it.  So a waiter that is cancelled gives back
 * just its n, and all behind it move up without being touched.
 *
 * Always: the timer runs if and only if someone waits, but for the moment in which the first is
 * served; and owed is 0 if nobody waits.
 */
#include "core/loop.h"
#include "sync/bucket.h"

static uint64_t now(const struct weir_limiter *l)
{
	uint64_t t = weir_clock_(l->loop);

	return t > l->bucket.last ? t : l->bucket.last;
}

static struct weir_op *op_of(struct weir_list *link)
{
	return weir_container_of(link, struct weir_op, u.place.link);
}

static bool is_first(const struct weir_limiter *l, const struct weir_op *op)
{
	return l->waiters.next == &op->u.place.link;
}

/* ---- the queue ---- */

/* Reckoned from the time at which the bucket was last written, as Go does on arrival. */
static uint64_t turn_of_first(const struct weir_limiter *l)
{
	const struct weir_bucket *b = &l->bucket;
	double behind = l->owed - (double)op_of(l->waiters.next)->u.place.n;
	uint64_t wait = weir_rate_ns_(b->rate, -(b->tokens + behind));

	return wait < WEIR_NEVER_NS_ ? b->last + wait : WEIR_FOREVER;
}

/* Its tokens stay taken.  What is noted at it goes to the waiter in front; in front of the first
 * there is only the bucket. */
static void leave(struct weir_limiter *l, struct weir_op *op)
{
	struct weir_place *p = &op->u.place;

	if (is_first(l, op))
		l->owed -= p->behind;
	else
		op_of(p->link.prev)->u.place.behind += p->behind;
	l->owed -= (double)p->n;
	weir_list_remove_(&p->link);
	if (weir_list_empty_(&l->waiters))
		l->owed = 0;
}

static void turn_has_come(struct weir_timer *t);

static void timer_start(struct weir_limiter *l)
{
	weir_timer_start_(l->loop, &l->timer, turn_of_first(l), turn_has_come);
	l->timed = true;
}

static void timer_stop(struct weir_limiter *l)
{
	if (l->timed)
		weir_timer_stop_(l->loop, &l->timer);
	l->timed = false;
}

/* What it sets off may lead back here: another arm of a select that it ends may be in the queue. */
static void serve_first(struct weir_limiter *l)
{
	struct weir_op *op = op_of(l->waiters.next);

	leave(l, op);
	weir_op_done_(op, 0);
}

/* A process that was stopped finds a bucket that is full, and no fuller: what came in beyond that
 * is gone, though it was waited for.  A timer that is a little late is no stop, and costs none. */
static void spill(struct weir_limiter *l)
{
	double most, level;

	if (weir_list_empty_(&l->waiters) || l->bucket.rate >= WEIR_RATE_INF)
		return;
	most = (double)op_of(l->waiters.next)->u.place.n;
	most = most > (double)l->bucket.burst ? most : (double)l->bucket.burst;
	most += l->bucket.rate * WEIR_LIMITER_LATE / WEIR_S;
	level = weir_bucket_tokens_at_(&l->bucket, now(l)) + l->owed;
	if (level > most)
		l->bucket.tokens -= level - most;
}

/* Serves all whose turn has come, and starts the timer for the next. */
static void serve(struct weir_limiter *l)
{
	timer_stop(l);
	spill(l);
	while (!weir_list_empty_(&l->waiters) && turn_of_first(l) <= now(l)) {
		serve_first(l);
		timer_stop(l);
	}
	if (!weir_list_empty_(&l->waiters))
		timer_start(l);
}

/* Nobody is left to whom a late timer costs nothing; but who was served by it would have come again
 * sooner: what the bucket has no room for is kept a moment for the next who waits. */
static void keep_late(struct weir_limiter *l)
{
	const struct weir_bucket *b = &l->bucket;
	double most = b->rate * WEIR_LIMITER_LATE / WEIR_S;

	l->late_at = now(l);
	l->late = b->tokens + (double)(l->late_at - b->last) / 1e9 * b->rate - (double)b->burst;
	l->late = l->late < most ? l->late : most;
}

static void use_late(struct weir_limiter *l)
{
	struct weir_bucket *b = &l->bucket;
	uint64_t t = now(l);
	double room;

	if (t - l->late_at > WEIR_LIMITER_LATE) {
		l->late = 0;
		return;
	}
	room = (double)b->burst - weir_bucket_tokens_at_(b, t);
	room = room < l->late ? room : l->late;
	weir_bucket_take_at_(b, t, 0);
	b->tokens += room;
	l->late -= room;
}

/* For the first the timer's word counts: reckoned anew its turn may be a nanosecond off. */
static void turn_has_come(struct weir_timer *t)
{
	struct weir_limiter *l = weir_container_of(t, struct weir_limiter, timer);

	l->timed = false;
	spill(l);
	serve_first(l);
	serve(l);
	if (weir_list_empty_(&l->waiters) && l->bucket.rate < WEIR_RATE_INF)
		keep_late(l);
}

/* The first one's turn may have changed. */
static void reckon_anew(struct weir_limiter *l)
{
	if (!weir_list_empty_(&l->waiters))
		serve(l);
}

static void give_back(struct weir_limiter *l, int64_t n)
{
	if (l->bucket.rate < WEIR_RATE_INF)	/* else none were taken, or it matters no more */
		l->bucket.tokens += (double)n;
}

/* ---- waiting ---- */

/* When a wait for n that begins now would have its turn. */
static uint64_t turn_of_next(const struct weir_limiter *l, int64_t n)
{
	uint64_t t = now(l);
	double missing = (double)n - weir_bucket_tokens_at_(&l->bucket, t);

	return t + weir_rate_ns_(l->bucket.rate, missing);
}

static bool wait_attempt(struct weir_op *op)
{
	struct weir_place *p = &op->u.place;
	struct weir_limiter *l = p->limiter;

	if (l->late > 0)
		use_late(l);
	if (weir_list_empty_(&l->waiters) && weir_bucket_allow_at_(&l->bucket, now(l), p->n))
		op->res = 0;
	else if (turn_of_next(l, p->n) > weir_op_ctx(op)->deadline)
		op->res = -ETIMEDOUT;
	else
		return false;
	return true;
}

static bool wait_park(struct weir_op *op)
{
	struct weir_place *p = &op->u.place;
	struct weir_limiter *l = p->limiter;
	bool first = weir_list_empty_(&l->waiters);

	weir_bucket_take_at_(&l->bucket, now(l), p->n);
	p->behind = 0;
	p->arrival = ++l->arrivals;
	weir_list_append_(&l->waiters, &p->link);
	l->owed += (double)p->n;
	if (first)
		timer_start(l);
	return false;
}

/* A deadline does not undo what came before it or with it, though the task may not have seen it
 * yet; a cancel does.  An arm that does not win must have had no effect, whatever ended it. */
static bool stands(const struct weir_op *op, int err)
{
	return err == -ETIMEDOUT && !(op->flags & WEIR_OP_ARM_);
}

static bool wait_cancel(struct weir_op *op)
{
	struct weir_limiter *l = op->u.place.limiter;
	bool first;

	/* The ctx's timer fires before the limiter's, which was started later for the same time. */
	if (stands(op, weir_op_ctx(op)->err) && l->timed && l->timer.due <= now(l)) {
		timer_stop(l);
		turn_has_come(&l->timer);
		if (op->state == WEIR_OP_DONE_)
			return false;
	}
	first = is_first(l, op);
	leave(l, op);
	give_back(l, op->u.place.n);
	if (first)
		serve(l);
	return true;
}

static void wait_revoke(struct weir_op *op, int err)
{
	struct weir_limiter *l = op->u.place.limiter;

	if (stands(op, err))
		return;
	op->res = err;
	give_back(l, op->u.place.n);
	reckon_anew(l);
}

const struct weir_op_def weir_limiter_wait_def_ = {
	.name = "limiter wait", .attempt = wait_attempt, .park = wait_park, .cancel = wait_cancel,
	.revoke = wait_revoke,
};

static bool refused_attempt(struct weir_op *op)
{
	op->res = op->u.place.n < 0 ? -EINVAL : -E2BIG;
	return true;
}

/* Tells of the mistake even if the ctx is done, as Go does. */
static const struct weir_op_def refused_def = {
	.name = "limiter wait", .attempt = refused_attempt, .flags = WEIR_UNINTERRUPTED_,
};

struct weir_op *weir_limiter_wait(struct weir_op *op, struct weir_limiter *l, int64_t n)
{
	bool fits = n <= l->bucket.burst || l->bucket.rate == WEIR_RATE_INF;

	weir_op_prepare_(op, n >= 0 && fits ? &weir_limiter_wait_def_ : &refused_def);
	op->u.place.limiter = l;
	op->u.place.n = n;
	return op;
}

/* ---- reservations ---- */

int weir_limiter_reserve(struct weir_limiter *l, int64_t n, struct weir_reservation *r)
{
	int rc = weir_bucket_reserve_at_(&l->bucket, now(l), n, WEIR_NEVER_NS_ - 1, r);

	r->limiter = l;
	r->arrival = ++l->arrivals;
	if (rc < 0)
		return rc == -ETIMEDOUT ? -ERANGE : rc;
	if (!weir_list_empty_(&l->waiters)) {
		op_of(l->waiters.prev)->u.place.behind += (double)n;
		l->owed += (double)n;
	}
	return 0;
}

uint64_t weir_reservation_delay(const struct weir_reservation *r)
{
	uint64_t t = now(r->limiter);

	if (r->due == WEIR_FOREVER)
		return WEIR_FOREVER;
	return r->due > t ? r->due - t : 0;
}

void weir_reservation_cancel(struct weir_reservation *r)
{
	struct weir_limiter *l = r->limiter;
	double restored = weir_bucket_cancel_at_(&l->bucket, now(l), r, (double)r->n);
	struct weir_list *at = l->waiters.prev;

	while (at != &l->waiters && op_of(at)->u.place.arrival > r->arrival)
		at = at->prev;
	if (at == &l->waiters) {
		reckon_anew(l);
	} else {
		op_of(at)->u.place.behind -= restored;
		l->owed -= restored;
	}
}

/* ---- the rest ---- */

static bool rate_valid(double rate)
{
	return rate >= 0;	/* which no NaN is */
}

static bool burst_valid(int64_t burst)
{
	return burst >= 0 && burst <= WEIR_LIMITER_MAX;
}

static double at_most_inf(double rate)
{
	return rate < WEIR_RATE_INF ? rate : WEIR_RATE_INF;
}

int weir_limiter_init_(struct weir_limiter *l, struct weir_loop *loop, double rate, int64_t burst,
		       const char *made)
{
	if (!rate_valid(rate) || !burst_valid(burst))
		return -EINVAL;
	weir_bucket_init_(&l->bucket, at_most_inf(rate), burst);
	l->bucket.last = weir_clock_(loop);
	l->loop = loop;
	weir_list_init_(&l->waiters);
	l->timed = false;
	l->owed = 0;
	l->late = 0;
	l->late_at = 0;
	l->arrivals = 0;
	l->made = made;
	l->seen = weir_seen_made_(loop, WEIR_KIND_LIMITER_, l, sizeof *l, made);
	return 0;
}

void weir_limiter_fini(struct weir_limiter *l)
{
	WEIR_CHECK_(weir_list_empty_(&l->waiters), "weir_limiter_fini() while a task waits",
		    l->made);
	weir_seen_gone_(l->seen);
	l->seen = NULL;
}

int weir_limiter_allow(struct weir_limiter *l, int64_t n)
{
	return weir_bucket_allow_at_(&l->bucket, now(l), n);
}

int weir_limiter_set_rate(struct weir_limiter *l, double rate)
{
	if (!rate_valid(rate))
		return -EINVAL;
	l->late = 0;
	weir_bucket_set_rate_at_(&l->bucket, now(l), at_most_inf(rate));
	reckon_anew(l);
	return 0;
}

int weir_limiter_set_burst(struct weir_limiter *l, int64_t burst)
{
	if (!burst_valid(burst))
		return -EINVAL;
	l->late = 0;
	weir_bucket_set_burst_at_(&l->bucket, now(l), burst);
	return 0;
}

double weir_limiter_tokens(const struct weir_limiter *l)
{
	return weir_bucket_tokens_at_(&l->bucket, now(l));
}
