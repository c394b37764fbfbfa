/* SPDX-License-Identifier: MIT */
/*
 * chan_kit.h - a channel of ints, tasks that use it once each, and what must hold between turns.
 *
 * Tests are written from the host's side: start tasks, settle(), look.  What a task got stands in
 * a variable of the test's, PENDING for as long as the task waits.
 */
#ifndef CHAN_KIT_H
#define CHAN_KIT_H

#include "harness.h"
#include "weir.h"

#define PENDING	12345
#define N(a)	((int)(sizeof(a) / sizeof *(a)))

WEIR_CHAN(ints, int);

static struct weir_loop *loop;
static struct weir_group group;		/* of the tasks that a test starts and may cancel */

static inline void begin(void)
{
	loop = test_loop();
	weir_group_init(&group, weir_loop_ctx(loop), NULL);
}

/* Lets everything that can happen at this time happen. */
static inline void settle(void)
{
	struct weir_loop_stats before, after;

	do {
		weir_loop_stats(loop, &before);
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
		weir_loop_stats(loop, &after);
	} while (after.resumes > before.resumes);
}

static inline void cancel(void)
{
	weir_group_cancel(&group, 0);
	settle();
}

/* Whoever still waits is cancelled. */
static inline void end(void)
{
	cancel();
	weir_group_fini(&group);
	test_loop_free(loop);
}

/* What channels promise themselves whenever no call of theirs is under way. */
static inline void ck_chan(const struct weir_chan *ch)
{
	unsigned offers = 0;
	struct weir_list *l;

	for (l = ch->senders.next; l != &ch->senders; l = l->next)
		offers += weir_container_of(l, struct weir_op, u.wait.link)->u.wait.arg != NULL;
	ck_assert_uint_eq(ch->offers, offers);
	if (ch->open)
		ck_assert_uint_eq(ch->len + ch->room + ch->reserved, ch->cap);
	else
		ck_assert_uint_eq(ch->room, 0);
	if (ch->room || !ch->open)
		ck_assert(weir_list_empty_(&ch->senders));
	if (ch->len || !ch->open)
		ck_assert(weir_list_empty_(&ch->receivers));
}

static inline void make(struct ints *ch, size_t cap)
{
	ck_assert_int_eq(weir_chan_init(ch, loop, cap), 0);
}

static inline void unmake(struct ints *ch)
{
	ck_chan(&ch->chan);
	weir_chan_fini(ch);
}

/* ---- tasks ---- */

struct put { struct weir_frame co; struct ints *ch; int item, *rc; };

static WEIR_CO(put, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_send(op, self->ch, &self->item));
	*self->rc = rc;
}
WEIR_END

struct get { struct weir_frame co; struct ints *ch; int *item, *rc; };

static WEIR_CO(get, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, self->item));
	*self->rc = rc;
}
WEIR_END

static inline void start_put(struct ints *ch, int item, int *rc)
{
	*rc = PENDING;
	ck_assert_int_eq(weir_go(&group, put, .ch = ch, .item = item, .rc = rc), 0);
}

static inline void start_get(struct ints *ch, int *item, int *rc)
{
	*rc = PENDING;
	ck_assert_int_eq(weir_go(&group, get, .ch = ch, .item = item, .rc = rc), 0);
}

static inline void go_put(struct ints *ch, int item, int *rc)
{
	start_put(ch, item, rc);
	settle();
	ck_chan(&ch->chan);
}

static inline void go_get(struct ints *ch, int *item, int *rc)
{
	start_get(ch, item, rc);
	settle();
	ck_chan(&ch->chan);
}

/* ---- without tasks ---- */

static inline void ck_put(struct ints *ch, int item, int rc)
{
	ck_assert_int_eq(weir_chan_try_send(ch, &item), rc);
	ck_chan(&ch->chan);
}

static inline void ck_get(struct ints *ch, int rc, int item)
{
	int got = item;

	ck_assert_int_eq(weir_chan_try_recv(ch, &got), rc);
	ck_assert_int_eq(got, item);
	ck_chan(&ch->chan);
}

static inline void ck_waiting(const struct ints *ch, unsigned senders, unsigned receivers)
{
	const struct weir_list *l;
	unsigned n;

	for (n = 0, l = ch->chan.senders.next; l != &ch->chan.senders; l = l->next)
		n++;
	ck_assert_uint_eq(n, senders);
	for (n = 0, l = ch->chan.receivers.next; l != &ch->chan.receivers; l = l->next)
		n++;
	ck_assert_uint_eq(n, receivers);
}

#endif
