/* SPDX-License-Identifier: MIT */
/*
 * select_stress.c - many tasks at once, and chance: nothing hangs, nothing is lost, nobody is
 * preferred.
 *
 * The stress is Go's TestSelectStress: on each of four channels one task sends N values and one
 * receives N; one more sends N on each of the four in selects, and one more receives.  An arm whose
 * channel has had its N is NULL from then on.
 */
#include <math.h>

#include "harness.h"
#include "weir.h"

#define CHANS	4

WEIR_CHAN(longs, long);

static struct weir_loop *loop;
static struct longs ch[CHANS];
static long n_each;
static long sent_sum, received_sum;
static long bad;	/* results that should not be: an assertion each is a system call each */

struct send_all { struct weir_frame co; struct longs *ch; long i; };

static WEIR_CO(send_all, self, op)
{
	int rc;

	for (self->i = 0; self->i < n_each; self->i++) {
		sent_sum += self->i;
		WEIR_AWAIT(rc, weir_chan_send(op, self->ch, &self->i));
		bad += rc != 1;
	}
}
WEIR_END

struct receive_all { struct weir_frame co; struct longs *ch; long i, item; };

static WEIR_CO(receive_all, self, op)
{
	int rc;

	for (self->i = 0; self->i < n_each; self->i++) {
		WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->item));
		bad += rc != 1;
		received_sum += self->item;
	}
}
WEIR_END

struct choose {
	struct weir_frame co;
	struct weir_arm arm[CHANS];
	struct longs *ch[CHANS];	/* NULL once it has had its share */
	long n[CHANS], item[CHANS], left;
	bool sends;
};

static void prepare(struct choose *self, unsigned k)
{
	struct weir_op *op = &self->arm[k].op;

	if (self->sends)
		weir_ready(weir_chan_send(op, self->ch[k], &self->item[k]));
	else
		weir_ready(weir_chan_recv(op, self->ch[k], &self->item[k]));
}

static WEIR_CO(choose, self, op)
{
	unsigned k;
	int i;

	for (k = 0; k < CHANS; k++)
		self->ch[k] = &ch[k];
	for (self->left = CHANS * n_each; self->left; self->left--) {
		for (k = 0; k < CHANS; k++) {
			if (self->sends)
				self->item[k] = self->n[k];
			prepare(self, k);
		}
		WEIR_AWAIT(i, weir_select(op, self->arm, CHANS));
		if (i < 0 || self->arm[i].op.res != 1) {
			bad++;
			break;
		}
		*(self->sends ? &sent_sum : &received_sum) += self->item[i];
		if (++self->n[i] == n_each)
			self->ch[i] = NULL;
	}
}
WEIR_END

START_TEST(ten_tasks_on_four_channels_neither_hang_nor_lose)
{
	static const size_t caps[CHANS] = { 0, 0, 2, 3 };
	struct weir_group *g;
	int i;

	loop = test_loop();
	g = weir_loop_group(loop);
	n_each = test_some(100000);
	for (i = 0; i < CHANS; i++) {
		ck_assert_int_eq(weir_chan_init(&ch[i], loop, caps[i]), 0);
		ck_assert_int_eq(weir_go(g, send_all, .ch = &ch[i]), 0);
		ck_assert_int_eq(weir_go(g, receive_all, .ch = &ch[i]), 0);
	}
	ck_assert_int_eq(weir_go(g, choose, .sends = true), 0);
	ck_assert_int_eq(weir_go(g, choose, .sends = false), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(sent_sum, received_sum);
	for (i = 0; i < CHANS; i++) {
		ck_assert_uint_eq(weir_chan_stats(&ch[i])->items, 2 * (uint64_t)n_each);
		ck_assert_uint_eq(weir_chan_len(&ch[i]), 0);
		weir_chan_fini(&ch[i]);
	}
	test_loop_free(loop);
}
END_TEST

/* ---- fairness ---- */

#define TRIALS	10000

/* Go's bound: 4.89 standard deviations, which chance exceeds once in a million. */
static void ck_fair(long wins, unsigned arms)
{
	double p = 1.0 / arms, sigma = sqrt(TRIALS * p * (1 - p));

	ck_assert_msg(fabs((double)wins - TRIALS * p) < 4.891676 * sigma, "%ld of %d", wins,
		      TRIALS);
}

struct gambler {
	struct weir_frame co;
	struct weir_arm arm[WEIR_SELECT_MAX];
	long item;
	unsigned n;
	int i;
	long *wins;
};

static WEIR_CO(gambler, self, op)
{
	unsigned k;
	int i;

	for (self->i = 0; self->i < TRIALS; self->i++) {
		for (k = 0; k < self->n; k++)
			weir_ready(weir_chan_recv(&self->arm[k].op, &ch[0], &self->item));
		WEIR_AWAIT(i, weir_select(op, self->arm, self->n));
		if (i < 0)
			WEIR_RETURN(i);
		self->wins[i]++;
	}
}
WEIR_END

START_TEST(arms_that_are_all_ready_win_equally_often)
{
	static const unsigned counts[] = { 2, 3, 7, WEIR_SELECT_MAX };
	long wins[WEIR_SELECT_MAX];
	unsigned c, k;

	loop = test_loop();
	ck_assert_int_eq(weir_chan_init(&ch[0], loop, 0), 0);
	ck_assert_int_eq(weir_chan_close(&ch[0]), 0);
	for (c = 0; c < sizeof counts / sizeof *counts; c++) {
		memset(wins, 0, sizeof wins);
		ck_assert_int_eq(weir_run(loop, gambler, .n = counts[c], .wins = wins), 0);
		for (k = 0; k < counts[c]; k++)
			ck_fair(wins[k], counts[c]);
	}
	weir_chan_fini(&ch[0]);
	test_loop_free(loop);
}
END_TEST

static void draw(uint64_t seed, long *wins)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = seed, .virtual_clock = true });
	ck_assert_int_eq(weir_chan_init(&ch[0], loop, 0), 0);
	ck_assert_int_eq(weir_chan_close(&ch[0]), 0);
	ck_assert_int_eq(weir_run(loop, gambler, .n = 2, .wins = wins), 0);
	weir_chan_fini(&ch[0]);
	test_loop_free(loop);
}

START_TEST(the_same_seed_makes_the_same_choices)
{
	long a[2] = { 0 }, b[2] = { 0 }, c[2] = { 0 };

	draw(7, a);
	draw(7, b);
	draw(8, c);
	ck_assert_int_eq(a[0], b[0]);
	ck_assert_int_ne(a[0], c[0]);
}
END_TEST

TESTS("select_stress", ten_tasks_on_four_channels_neither_hang_nor_lose,
      arms_that_are_all_ready_win_equally_often, the_same_seed_makes_the_same_choices)
