/* SPDX-License-Identifier: MIT */
/* select.c - the first of several: which one wins, and that the others leave no trace. */
#include "sync/select_kit.h"

/* ---- channels ---- */

START_TEST(an_arm_that_is_ready_wins_at_once)
{
	struct ints a, b;
	struct choice c = PICK(FAIR, FROM(&a), FROM(&b));

	begin();
	make(&a, 1);
	make(&b, 1);
	ck_put(&b, 7, 1);
	go(&c);
	ck_won(&c, 1, 1);
	ck_assert_int_eq(c.pick[1].item, 7);
	ck_waiting(&a, 0, 0);
	unmake(&a);
	unmake(&b);
	end();
}
END_TEST

START_TEST(if_none_is_ready_the_first_that_becomes_so_wins)
{
	struct ints a, b;
	struct choice c = PICK(FAIR, FROM(&a), FROM(&b), TO(&b, 3));

	begin();
	make(&a, 0);
	make(&b, 0);
	go(&c);
	ck_assert_int_eq(c.rc, PENDING);
	ck_waiting(&a, 0, 1);
	ck_waiting(&b, 1, 1);
	ck_put(&a, 7, 1);
	ck_waiting(&a, 0, 0);
	ck_waiting(&b, 0, 0);
	ck_put(&b, 8, -EAGAIN);
	settle();
	ck_won(&c, 0, 1);
	ck_assert_int_eq(c.pick[0].item, 7);
	unmake(&a);
	unmake(&b);
	end();
}
END_TEST

START_TEST(an_arm_on_null_never_wins)
{
	struct ints a;
	struct choice c = PICK(FAIR, TO(NULL, 1), FROM(NULL), FROM(&a), SLOT(NULL));

	begin();
	make(&a, 0);
	go(&c);
	ck_assert_int_eq(c.rc, PENDING);
	ck_put(&a, 7, 1);
	settle();
	ck_won(&c, 2, 1);
	unmake(&a);
	end();
}
END_TEST

START_TEST(of_two_arms_on_one_channel_one_receives)
{
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), FROM(&a));

	begin();
	make(&a, 2);
	go(&c);
	ck_waiting(&a, 0, 2);
	ck_put(&a, 1, 1);
	ck_put(&a, 2, 1);
	settle();
	ck_won(&c, 0, 1);
	ck_assert_int_eq(c.pick[0].item, 1);
	ck_assert_uint_eq(weir_chan_len(&a), 1);
	unmake(&a);
	end();
}
END_TEST

START_TEST(of_two_arms_on_one_channel_one_sends)
{
	struct ints a;
	struct choice c = PICK(FAIR, TO(&a, 1), TO(&a, 2));

	begin();
	make(&a, 0);
	go(&c);
	ck_waiting(&a, 2, 0);
	ck_get(&a, 1, 1);
	ck_get(&a, -EAGAIN, 0);
	settle();
	ck_won(&c, 0, 1);
	unmake(&a);
	end();
}
END_TEST

START_TEST(of_two_who_wait_for_one_item_one_gets_it)
{
	struct ints a, b;
	struct choice c = PICK(FAIR, FROM(&a), FROM(&b));
	struct choice d = PICK(FAIR, FROM(&b), FROM(&a));

	begin();
	make(&a, 0);
	make(&b, 0);
	go(&c);
	go(&d);
	ck_put(&a, 1, 1);
	ck_put(&b, 2, 1);
	settle();
	ck_won(&c, 0, 1);
	ck_won(&d, 0, 1);
	ck_assert_int_eq(c.pick[0].item, 1);
	ck_assert_int_eq(d.pick[0].item, 2);
	unmake(&a);
	unmake(&b);
	end();
}
END_TEST

START_TEST(an_arm_on_a_channel_that_closes_wins_with_what_that_means)
{
	struct ints a, b;
	struct choice c = PICK(FAIR, FROM(&a), TO(&b, 5));
	struct choice d = PICK(FAIR, TO(&b, 6), FROM(&b));

	begin();
	make(&a, 0);
	make(&b, 0);
	go(&c);
	ck_assert_int_eq(weir_chan_close(&a), 0);
	settle();
	ck_won(&c, 0, 0);
	go(&d);
	ck_assert_int_eq(weir_chan_close(&b), 0);
	settle();
	ck_won(&d, 0, -EPIPE);
	unmake(&a);
	unmake(&b);
	end();
}
END_TEST

/* ---- a select on both ends of a channel ---- */

START_TEST(a_select_does_not_meet_itself)
{
	struct ints a;
	struct choice c = PICK(FAIR, TO(&a, 1), FROM(&a));

	begin();
	make(&a, 0);
	go(&c);
	ck_assert_int_eq(c.rc, PENDING);
	ck_waiting(&a, 1, 1);
	cancel();
	ck_cancelled(&c);
	ck_waiting(&a, 0, 0);
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_select_on_both_ends_meets_a_sender)
{
	struct ints a;
	struct choice c = PICK(FAIR, TO(&a, 1), FROM(&a));
	int rc;

	begin();
	make(&a, 0);
	go(&c);
	go_put(&a, 9, &rc);
	ck_assert_int_eq(rc, 1);
	ck_won(&c, 1, 1);
	ck_assert_int_eq(c.pick[1].item, 9);
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_select_on_both_ends_meets_a_receiver)
{
	struct ints a;
	struct choice c = PICK(FAIR, FROM(&a), TO(&a, 1));
	int got, rc;

	begin();
	make(&a, 0);
	go(&c);
	go_get(&a, &got, &rc);
	ck_assert_int_eq(rc, 1);
	ck_assert_int_eq(got, 1);
	ck_won(&c, 1, 1);
	unmake(&a);
	end();
}
END_TEST

START_TEST(two_selects_on_both_ends_meet_each_other)
{
	struct ints a;
	struct choice c = PICK(FAIR, TO(&a, 1), FROM(&a));
	struct choice d = PICK(FAIR, TO(&a, 2), FROM(&a));

	begin();
	make(&a, 0);
	go(&c);
	go(&d);
	ck_assert_int_eq(c.rc + d.rc, 1);	/* 0 sent, 1 received */
	ck_assert_int_eq(c.rc ? c.pick[1].item : d.pick[1].item, c.rc ? 2 : 1);
	unmake(&a);
	end();
}
END_TEST

START_TEST(a_released_slot_lets_a_select_on_both_ends_send_not_serve_itself)
{
	struct ints a;
	struct choice keep = PICK(FAIR, SLOT(&a));
	struct choice c = PICK(FAIR, TO(&a, 1), FROM(&a));

	begin();
	make(&a, 1);
	go(&keep);
	ck_won(&keep, 0, 1);
	go(&c);
	ck_assert_int_eq(c.rc, PENDING);
	weir_chan_release(&a);
	settle();
	ck_won(&c, 0, 1);
	ck_get(&a, 1, 1);
	unmake(&a);
	end();
}
END_TEST

/* ---- none, and too many ---- */

START_TEST(a_select_of_nothing_waits_for_its_ctx)
{
	struct choice c = PICK(FAIR, NOTHING);

	begin();
	go(&c);
	ck_assert_int_eq(c.rc, PENDING);
	cancel();
	ck_cancelled(&c);
	end();
}
END_TEST

struct stuck { struct weir_frame co; };

static WEIR_CO(stuck, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_select(op, NULL, 0));
	ck_assert_int_eq(rc, -ECANCELED);
}
WEIR_END

START_TEST(a_program_that_only_selects_nothing_is_told_so)
{
	begin();
	ck_assert_int_eq(weir_run(loop, stuck), -EDEADLK);
	ck_assert_ptr_nonnull(strstr(test_report(), "deadlock"));
	ck_assert_ptr_nonnull(strstr(test_report(), "weir_select(op, NULL, 0)"));
	weir_group_cancel(weir_loop_group(loop), 0);
	settle();
	end();
}
END_TEST

struct too_many { struct weir_frame co; int rc[3]; struct weir_arm arm[WEIR_SELECT_MAX + 1]; };

static WEIR_CO(too_many, self, op)
{
	WEIR_AWAIT(self->rc[0], weir_select(op, self->arm, WEIR_SELECT_MAX + 1));
	WEIR_AWAIT(self->rc[1], weir_select_ordered(op, self->arm, WEIR_SELECT_MAX + 1));
	WEIR_AWAIT(self->rc[2], weir_select_try(op, self->arm, WEIR_SELECT_MAX + 1));
	ck_assert_int_eq(self->rc[0], -EINVAL);
	ck_assert_int_eq(self->rc[1], -EINVAL);
	ck_assert_int_eq(self->rc[2], -EINVAL);
}
WEIR_END

START_TEST(more_arms_than_a_select_has_are_einval)
{
	begin();
	ck_assert_int_eq(weir_run(loop, too_many), 0);
	end();
}
END_TEST

START_TEST(a_select_is_no_arm)
{
	struct choice c = PICK(FAIR, NESTED);

	begin();
	go(&c);
	ck_won(&c, 0, -EINVAL);
	end();
}
END_TEST

/* ---- in order, and without waiting ---- */

START_TEST(in_order_the_first_that_is_ready_wins)
{
	struct ints none, a, b;
	int i;

	begin();
	make(&none, 0);
	make(&a, 0);
	make(&b, 0);
	ck_assert_int_eq(weir_chan_close(&a), 0);
	ck_assert_int_eq(weir_chan_close(&b), 0);
	for (i = 0; i < 20; i++) {
		struct choice c = PICK(ORDERED, FROM(&none), FROM(&a), FROM(&b));

		go(&c);
		ck_won(&c, 1, 0);
	}
	unmake(&none);
	unmake(&a);
	unmake(&b);
	end();
}
END_TEST

START_TEST(in_order_it_waits_if_none_is_ready)
{
	struct ints a, b;
	struct choice c = PICK(ORDERED, FROM(&a), FROM(&b));

	begin();
	make(&a, 0);
	make(&b, 0);
	go(&c);
	ck_assert_int_eq(c.rc, PENDING);
	ck_put(&b, 1, 1);
	settle();
	ck_won(&c, 1, 1);
	unmake(&a);
	unmake(&b);
	end();
}
END_TEST

START_TEST(a_try_takes_what_is_ready_or_returns_eagain)
{
	struct ints a, b;
	struct choice c = PICK(TRY, FROM(&a), TO(&b, 4));

	begin();
	make(&a, 0);
	make(&b, 0);
	go(&c);
	ck_assert_int_eq(c.rc, -EAGAIN);
	ck_waiting(&a, 0, 0);
	ck_waiting(&b, 0, 0);
	ck_assert_int_eq(weir_chan_close(&a), 0);
	go(&c);
	ck_won(&c, 0, 0);
	unmake(&a);
	unmake(&b);
	end();
}
END_TEST

START_TEST(a_try_of_nothing_returns_eagain)
{
	struct choice c = PICK(TRY, NOTHING);

	begin();
	go(&c);
	ck_assert_int_eq(c.rc, -EAGAIN);
	end();
}
END_TEST

struct spinner { struct weir_frame co; const bool *stop; struct weir_arm arm[1]; int item; };

static WEIR_CO(spinner, self, op)
{
	int rc;

	while (!*self->stop) {
		weir_ready(weir_chan_recv(&self->arm[0].op, (struct ints *)NULL, &self->item));
		WEIR_AWAIT(rc, weir_select_try(op, self->arm, 1));
		ck_assert_int_eq(rc, -EAGAIN);
	}
}
WEIR_END

struct stopper { struct weir_frame co; bool *stop; };

static WEIR_CO(stopper, self, op)
{
	*self->stop = true;
}
WEIR_END

START_TEST(who_tries_without_end_lets_others_run)
{
	bool stop = false;

	begin();
	ck_assert_int_eq(weir_go(&group, spinner, .stop = &stop), 0);
	ck_assert_int_eq(weir_go(&group, stopper, .stop = &stop), 0);
	settle();
	ck_assert(stop);
	end();
}
END_TEST

/* ---- arms that are prepared once ---- */

struct again {
	struct weir_frame co;
	struct ints *in, *out;
	struct weir_sem *sem;
	struct weir_ctx *done;
	struct weir_arm arm[4];
	int item, answer, i, *received, *sent, *permits;
};

static WEIR_CO(again, self, op)
{
	weir_ready(weir_chan_recv(&self->arm[0].op, self->in, &self->item));
	weir_ready(weir_chan_send(&self->arm[1].op, self->out, &self->answer));
	weir_ready(weir_sem_acquire(&self->arm[2].op, self->sem, 1));
	weir_ready(weir_ctx_wait(&self->arm[3].op, self->done));
	for (;;) {
		for (self->i = 0; self->i < 4; self->i++)
			weir_ready(&self->arm[self->i].op);
		WEIR_AWAIT(self->i, weir_select(op, self->arm, 4));
		if (self->i == 3)
			break;
		if (self->i == 0)
			*self->received += self->item;
		else
			++*(self->i == 1 ? self->sent : self->permits);
	}
	WEIR_RETURN(0);
}
WEIR_END

/* Each kind of arm both wins at once and waits, and is withdrawn; some win twice in a row. */
START_TEST(arms_that_wait_in_user_space_are_prepared_once_for_many_selects)
{
	struct ints in, out;
	struct weir_sem sem;
	struct weir_ctx done;
	int round, answer, received = 0, sent = 0, permits = 0;

	begin();
	make(&in, 1);
	make(&out, 0);
	ck_assert_int_eq(weir_sem_init(&sem, loop, 1), 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 1), 0);
	weir_ctx_init(&done, weir_loop_ctx(loop));
	ck_assert_int_eq(weir_go(&group, again, .in = &in, .out = &out, .sem = &sem,
				 .done = &done, .answer = 5, .received = &received, .sent = &sent,
				 .permits = &permits), 0);
	for (round = 1; round <= 10; round++) {
		settle();
		ck_put(&in, 1, 1);
		if (round % 2)
			settle();
		ck_assert_int_eq(weir_sem_release(&sem, 1), 0);
		settle();
		ck_assert_int_eq(weir_chan_try_recv(&out, &answer), 1);
		ck_assert_int_eq(answer, 5);
		settle();
		ck_assert_int_eq(received, round);
		ck_assert_int_eq(permits, round);
		ck_assert_int_eq(sent, round);
	}
	weir_ctx_cancel(&done, 0);
	settle();
	ck_assert_int_eq(weir_sem_release(&sem, 1), 0);
	weir_ctx_fini(&done);
	weir_sem_fini(&sem);
	unmake(&in);
	unmake(&out);
	end();
}
END_TEST

TESTS("select", an_arm_that_is_ready_wins_at_once,
      if_none_is_ready_the_first_that_becomes_so_wins, an_arm_on_null_never_wins,
      of_two_arms_on_one_channel_one_receives, of_two_arms_on_one_channel_one_sends,
      of_two_who_wait_for_one_item_one_gets_it,
      an_arm_on_a_channel_that_closes_wins_with_what_that_means, a_select_does_not_meet_itself,
      a_select_on_both_ends_meets_a_sender, a_select_on_both_ends_meets_a_receiver,
      two_selects_on_both_ends_meet_each_other,
      a_released_slot_lets_a_select_on_both_ends_send_not_serve_itself,
      a_select_of_nothing_waits_for_its_ctx, a_program_that_only_selects_nothing_is_told_so,
      more_arms_than_a_select_has_are_einval, a_select_is_no_arm,
      in_order_the_first_that_is_ready_wins, in_order_it_waits_if_none_is_ready,
      a_try_takes_what_is_ready_or_returns_eagain, a_try_of_nothing_returns_eagain,
      arms_that_wait_in_user_space_are_prepared_once_for_many_selects,
      who_tries_without_end_lets_others_run)
