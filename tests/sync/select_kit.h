/* SPDX-License-Identifier: MIT */
/*
 * select_kit.h - choosers: tasks that select once over the arms that a test lists.
 *
 *	struct choice c = PICK(FAIR, FROM(&ch), AFTER(WEIR_S));
 *
 * What came of each arm stands in the list afterwards.
 */
#ifndef SELECT_KIT_H
#define SELECT_KIT_H

#include <fcntl.h>

#include "sync/chan_kit.h"

#define ARMS	6

enum what { NONE, SEND, RECV, RESERVE, SLEEP, CTX, JOIN, SEM, GROUP, YIELD, SELECT, READ, OPEN };

struct pick {
	enum what what;
	void *on;
	int item;
	uint64_t ns;
	char byte;
	int res;		/* of the arm */
};

enum how { FAIR, ORDERED, TRY };

struct choice {
	struct pick pick[ARMS];
	unsigned n;
	enum how how;
	int rc, next;		/* of the select, and of an await after it */
};

#define PICK(order, ...)	{ .pick = { __VA_ARGS__ }, .how = order }
#define TO(ch, i)		{ .what = SEND, .on = (ch), .item = (i) }
#define FROM(ch)		{ .what = RECV, .on = (ch) }
#define SLOT(ch)		{ .what = RESERVE, .on = (ch) }
#define AFTER(t)		{ .what = SLEEP, .ns = (t) }
#define DONE(ctx)		{ .what = CTX, .on = (ctx) }
#define JOINED(task)		{ .what = JOIN, .on = (task) }
#define PERMITS(sem, i)		{ .what = SEM, .on = (sem), .item = (i) }
#define OVER(group)		{ .what = GROUP, .on = (group) }
#define TURN			{ .what = YIELD }
#define BYTE_OF(fd)		{ .what = READ, .item = (fd) }
#define DESCRIPTOR		{ .what = OPEN }
#define NESTED			{ .what = SELECT }
#define NOTHING			{ .what = NONE }

struct chooser {
	struct weir_frame co;
	struct choice *c;
	struct weir_arm arm[ARMS], inner;
};

static inline void prepare(struct weir_op *op, struct pick *p, struct weir_arm *inner)
{
	switch (p->what) {
	case NONE:
		break;
	case SEND:
		weir_ready(weir_chan_send(op, (struct ints *)p->on, &p->item));
		break;
	case RECV:
		weir_ready(weir_chan_recv(op, (struct ints *)p->on, &p->item));
		break;
	case RESERVE:
		weir_ready(weir_chan_reserve(op, (struct ints *)p->on));
		break;
	case SLEEP:
		weir_ready(weir_sleep(op, p->ns));
		break;
	case CTX:
		weir_ready(weir_ctx_wait(op, p->on));
		break;
	case JOIN:
		weir_ready(weir_join(op, p->on));
		break;
	case SEM:
		weir_ready(weir_sem_acquire(op, p->on, (uint64_t)p->item));
		break;
	case GROUP:
		weir_ready(weir_group_wait(op, p->on));
		break;
	case YIELD:
		weir_ready(weir_yield(op));
		break;
	case READ:
		weir_ready(weir_read(op, p->item, &p->byte, 1, -1));
		break;
	case OPEN:
		weir_ready(weir_openat(op, AT_FDCWD, "/dev/null", O_RDONLY, 0));
		break;
	case SELECT:
		weir_ready(weir_yield(&inner->op));
		weir_ready(weir_select(op, inner, 1));
		break;
	}
}

static WEIR_CO(chooser, self, op)
{
	unsigned i;
	int rc;

	for (i = 0; i < self->c->n; i++)
		prepare(&self->arm[i].op, &self->c->pick[i], &self->inner);
	switch (self->c->how) {
	case FAIR:
		WEIR_AWAIT(rc, weir_select(op, self->arm, self->c->n));
		break;
	case ORDERED:
		WEIR_AWAIT(rc, weir_select_ordered(op, self->arm, self->c->n));
		break;
	default:
		WEIR_AWAIT(rc, weir_select_try(op, self->arm, self->c->n));
		break;
	}
	self->c->rc = rc;
	for (i = 0; i < self->c->n; i++)
		self->c->pick[i].res = self->arm[i].op.res;
	WEIR_AWAIT(rc, weir_sleep(op, 0));
	self->c->next = rc;
}
WEIR_END

static inline void start(struct choice *c)
{
	for (c->n = 0; c->n < ARMS && c->pick[c->n].what; c->n++)
		;
	c->rc = c->next = PENDING;
	ck_assert_int_eq(weir_go(&group, chooser, .c = c), 0);
}

static inline void go(struct choice *c)
{
	start(c);
	settle();
}

/* Arm i won, with res, and all others did not. */
static inline void ck_won(const struct choice *c, int i, int res)
{
	unsigned k;

	ck_assert_int_eq(c->rc, i);
	ck_assert_int_eq(c->next, 0);
	for (k = 0; k < c->n; k++)
		ck_assert_int_eq(c->pick[k].res, (int)k == i ? res : -ECANCELED);
}

/* Its ctx ended it. */
static inline void ck_cancelled(const struct choice *c)
{
	unsigned k;

	ck_assert_int_eq(c->rc, -ECANCELED);
	ck_assert_int_eq(c->next, -ECANCELED);
	for (k = 0; k < c->n; k++)
		ck_assert_int_eq(c->pick[k].res, -ECANCELED);
}

#endif
