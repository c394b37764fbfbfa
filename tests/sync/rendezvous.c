/* SPDX-License-Identifier: MIT */
/*
 * rendezvous.c - who owns the item when a hand-over and a cancel come in the same turn.
 *
 * A schedule is a channel, a handful of actors with a part and a start each, all drawn at random:
 * senders and receivers of every kind, one that cancels another, now and then one that ends the
 * channel.  Afterwards each item was either sent, and received or dropped once, or is still its
 * sender's, and was neither.
 */
#include "harness.h"
#include "weir.h"

#define ACTORS		6u
#define ITEMS		(2 * ACTORS)	/* two an actor */
#define SCHEDULES	1000000u

WEIR_CHAN(ints, int);

enum part {
	SENDS, SENDS_TWO, COMMITS, RECEIVES, RECEIVES_TWO, SENDS_OR_RECEIVES, CANCELS, CLOSES,
	HANGS_UP, PARTS
};

static struct weir_loop *loop;

/* Of the schedule that is being played. */
static struct ints ch;
static struct weir_ctx *on_stage[ACTORS];	/* NULL: has left */
static unsigned char sent[ITEMS], kept[ITEMS], taken[ITEMS];

/* Of all. */
static unsigned long n_sent, n_kept, n_cancelled;

static unsigned below(unsigned n)
{
	return (unsigned)((weir_random(loop) >> 32) * n >> 32);
}

struct actor {
	struct weir_frame co;
	enum part part;
	unsigned me, delay;
	int item[2], got[2];
	struct weir_ctx ctx;
	struct weir_arm arm[2];
};

static void tell(const struct actor *a, int n_sent_now, int n_items)
{
	int i;

	for (i = 0; i < n_items; i++)
		(i < n_sent_now ? sent : kept)[a->item[i]]++;
}

static void take(const struct actor *a, int n)
{
	int i;

	for (i = 0; i < n; i++)
		taken[a->got[i]]++;
}

static void use_slot(const struct actor *a)
{
	if (below(4)) {
		tell(a, weir_chan_commit(&ch, &a->item[0]), 1);
	} else {
		weir_chan_release(&ch);
		tell(a, 0, 1);
	}
}

static void cancel_someone(void)
{
	struct weir_ctx *victim = on_stage[below(ACTORS)];

	if (victim)
		weir_ctx_cancel(victim, 0);
}

static WEIR_CO(actor, self, op)
{
	int rc;

	weir_ctx_init(&self->ctx, weir_op_ctx(op));
	weir_ctx_enter(op, &self->ctx);
	on_stage[self->me] = &self->ctx;
	self->item[0] = 2 * (int)self->me;
	self->item[1] = self->item[0] + 1;
	for (; self->delay; self->delay--)
		WEIR_TRY(rc, act, weir_yield(op));
act:
	switch (self->part) {
	case SENDS:
		WEIR_AWAIT(rc, weir_chan_send(op, &ch, self->item));
		tell(self, rc, 1);
		break;
	case SENDS_TWO:
		WEIR_AWAIT(rc, weir_chan_send_n(op, &ch, self->item, 2));
		tell(self, rc, 2);
		break;
	case COMMITS:
		WEIR_AWAIT(rc, weir_chan_reserve(op, &ch));
		if (rc == 1) {
			WEIR_AWAIT(rc, weir_yield(op));
			use_slot(self);
		} else {
			tell(self, 0, 1);
		}
		break;
	case RECEIVES:
		WEIR_AWAIT(rc, weir_chan_recv(op, &ch, self->got));
		take(self, rc);
		break;
	case RECEIVES_TWO:
		WEIR_AWAIT(rc, weir_chan_recv_n(op, &ch, self->got, 2));
		take(self, rc);
		break;
	case SENDS_OR_RECEIVES:
		weir_ready(weir_chan_send(&self->arm[0].op, &ch, self->item));
		weir_ready(weir_chan_recv(&self->arm[1].op, &ch, self->got));
		WEIR_AWAIT(rc, weir_select(op, self->arm, 2));
		tell(self, rc == 0 && self->arm[0].op.res == 1, 1);
		take(self, rc == 1 && self->arm[1].op.res == 1);
		break;
	case CANCELS:
		cancel_someone();
		break;
	case CLOSES:
		weir_chan_close(&ch);
		break;
	default:
		weir_chan_hangup(&ch);
		break;
	}
	n_cancelled += self->ctx.err != 0;
	on_stage[self->me] = NULL;
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
}
WEIR_END

static void note_drop(void *arg, void *item)
{
	(void)arg;
	taken[*(int *)item]++;
}

/* Ends of the channel are rare, or most schedules would be short. */
static enum part any_part(void)
{
	return (enum part)below(below(8) ? CLOSES : PARTS);
}

static unsigned items_of(enum part part)
{
	switch (part) {
	case SENDS_TWO:
		return 2;
	case SENDS:
	case COMMITS:
	case SENDS_OR_RECEIVES:
		return 1;
	default:
		return 0;
	}
}

struct director {
	struct weir_frame co;
	unsigned schedules, i;
	struct weir_group group;
	unsigned items[ACTORS];
};

static int begin(struct director *d)
{
	unsigned k;
	int rc;

	memset(sent, 0, sizeof sent);
	memset(kept, 0, sizeof kept);
	memset(taken, 0, sizeof taken);
	rc = weir_chan_init(&ch, loop, below(5) % 3);	/* mostly 0 or 1 */
	weir_chan_on_drop(&ch, note_drop, NULL);
	for (k = 0; k < ACTORS && rc == 0; k++) {
		enum part part = any_part();

		d->items[k] = items_of(part);
		rc = weir_go(&d->group, actor, .part = part, .me = k, .delay = below(4));
	}
	return rc;
}

static int end(const struct director *d)
{
	unsigned i;

	if (!weir_list_empty_(&ch.chan.senders) || !weir_list_empty_(&ch.chan.receivers) ||
	    ch.chan.offers || ch.chan.reserved)
		return -EBUSY;
	weir_chan_fini(&ch);
	for (i = 0; i < ITEMS; i++) {
		unsigned is_used = i % 2 < d->items[i / 2];

		if (sent[i] + kept[i] != (int)is_used || taken[i] != sent[i])
			return -EILSEQ;
		n_sent += sent[i];
		n_kept += kept[i];
	}
	return 0;
}

static WEIR_CO(director, self, op)
{
	int rc;

	for (; self->schedules; self->schedules--) {
		weir_group_init(&self->group, weir_op_ctx(op), NULL);
		rc = begin(self);
		if (rc < 0)
			WEIR_RETURN(rc);
		for (self->i = 0; self->i < 7; self->i++)
			WEIR_AWAIT(rc, weir_yield(op));
		weir_group_cancel(&self->group, 0);	/* who still waits, waits for ever */
		WEIR_AWAIT(rc, weir_group_wait(op, &self->group));
		rc = end(self);
		if (rc < 0)
			WEIR_RETURN(rc);
	}
}
WEIR_END

START_TEST(each_item_is_received_once_or_still_the_senders)
{
	unsigned n = test_some(SCHEDULES);

	loop = test_loop();
	ck_assert_int_eq(weir_run(loop, director, .schedules = n), 0);
	ck_assert_uint_gt(n_sent, n / 2);
	ck_assert_uint_gt(n_kept, n / 2);
	ck_assert_uint_gt(n_cancelled, n / 10);
	test_loop_free(loop);
}
END_TEST

TESTS("rendezvous", each_item_is_received_once_or_still_the_senders)
