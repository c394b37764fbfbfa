/* SPDX-License-Identifier: MIT */
/* chan_slot.c - a slot of a channel, kept first and used later: reserve, commit, release. */
#include "aborts.h"
#include "sync/chan_kit.h"

struct keep { struct weir_frame co; struct ints *ch; int *rc; };

static WEIR_CO(keep, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_reserve(op, self->ch));
	*self->rc = rc;
}
WEIR_END

static void start_keep(struct ints *ch, int *rc)
{
	*rc = PENDING;
	ck_assert_int_eq(weir_go(&group, keep, .ch = ch, .rc = rc), 0);
}

static void go_keep(struct ints *ch, int *rc)
{
	start_keep(ch, rc);
	settle();
	ck_chan(&ch->chan);
}

static void ck_commit(struct ints *ch, int item, int rc)
{
	ck_assert_int_eq(weir_chan_commit(ch, &item), rc);
	ck_chan(&ch->chan);
}

START_TEST(a_reserved_slot_is_room_that_nobody_else_gets)
{
	struct ints ch;
	int rc;

	begin();
	make(&ch, 2);
	go_keep(&ch, &rc);
	ck_assert_int_eq(rc, 1);
	ck_put(&ch, 1, 1);
	ck_put(&ch, 2, -EAGAIN);
	ck_assert_uint_eq(weir_chan_len(&ch), 1);
	ck_commit(&ch, 3, 1);
	ck_get(&ch, 1, 1);
	ck_get(&ch, 1, 3);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_released_slot_goes_to_who_waits_for_room)
{
	int rc_keep, rc_put;
	struct ints ch;

	begin();
	make(&ch, 1);
	go_keep(&ch, &rc_keep);
	go_put(&ch, 5, &rc_put);
	ck_assert_int_eq(rc_put, PENDING);
	weir_chan_release(&ch);
	settle();
	ck_assert_int_eq(rc_put, 1);
	ck_get(&ch, 1, 5);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(reservations_and_senders_get_room_in_the_order_in_which_they_came)
{
	int rc_first, rc_keep, rc_last;
	struct ints ch;

	begin();
	make(&ch, 1);
	ck_put(&ch, 0, 1);
	go_put(&ch, 1, &rc_first);
	go_keep(&ch, &rc_keep);
	go_put(&ch, 2, &rc_last);
	ck_get(&ch, 1, 0);
	settle();
	ck_assert_int_eq(rc_first, 1);
	ck_assert_int_eq(rc_keep, PENDING);
	ck_get(&ch, 1, 1);
	settle();
	ck_assert_int_eq(rc_keep, 1);
	ck_assert_int_eq(rc_last, PENDING);
	ck_commit(&ch, 7, 1);
	ck_get(&ch, 1, 7);
	settle();
	ck_assert_int_eq(rc_last, 1);
	ck_get(&ch, 1, 2);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_commit_goes_straight_to_a_receiver_that_waits)
{
	int rc_keep, rc_get, rc_next, got;
	struct ints ch;

	begin();
	make(&ch, 1);
	go_keep(&ch, &rc_keep);
	go_get(&ch, &got, &rc_get);
	go_keep(&ch, &rc_next);
	ck_assert_int_eq(rc_next, PENDING);
	ck_commit(&ch, 4, 1);
	settle();
	ck_assert_int_eq(rc_get, 1);
	ck_assert_int_eq(got, 4);
	ck_assert_int_eq(rc_next, 1);
	weir_chan_release(&ch);
	ck_assert_uint_eq(weir_chan_stats(&ch)->items, 1);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(with_all_room_reserved_a_sender_still_meets_a_receiver)
{
	int rc_keep, rc_get, rc_put, got;
	struct ints ch;

	begin();
	make(&ch, 1);
	go_keep(&ch, &rc_keep);
	go_get(&ch, &got, &rc_get);
	go_put(&ch, 1, &rc_put);
	ck_assert_int_eq(rc_put, 1);
	ck_assert_int_eq(rc_get, 1);
	ck_assert_int_eq(got, 1);
	go_put(&ch, 2, &rc_put);
	ck_assert_int_eq(rc_put, PENDING);
	go_get(&ch, &got, &rc_get);
	ck_assert_int_eq(rc_put, 1);
	ck_assert_int_eq(got, 2);
	weir_chan_release(&ch);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_reservation_that_waits_is_not_in_the_way_of_items)
{
	int rc_keep, rc_wait, rc_get, rc_put, got;
	struct ints ch;

	begin();
	make(&ch, 1);
	go_keep(&ch, &rc_keep);
	go_keep(&ch, &rc_wait);
	go_get(&ch, &got, &rc_get);
	go_put(&ch, 1, &rc_put);
	ck_assert_int_eq(rc_get, 1);
	ck_assert_int_eq(rc_put, 1);
	go_put(&ch, 2, &rc_put);
	go_get(&ch, &got, &rc_get);
	ck_assert_int_eq(rc_put, 1);
	ck_assert_int_eq(got, 2);
	ck_assert_int_eq(rc_wait, PENDING);
	weir_chan_release(&ch);
	settle();
	ck_assert_int_eq(rc_wait, 1);
	weir_chan_release(&ch);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(after_close_a_slot_is_worth_nothing_and_the_item_stays_yours)
{
	int rc_keep, rc_wait, got = 0;
	struct ints ch;

	begin();
	make(&ch, 1);
	go_keep(&ch, &rc_keep);
	go_keep(&ch, &rc_wait);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	settle();
	ck_assert_int_eq(rc_keep, 1);
	ck_assert_int_eq(rc_wait, -EPIPE);
	ck_commit(&ch, 1, -EPIPE);
	ck_assert_int_eq(weir_chan_try_recv(&ch, &got), 0);
	go_keep(&ch, &rc_keep);
	ck_assert_int_eq(rc_keep, -EPIPE);
	ck_assert_uint_eq(ch.chan.reserved, 0);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_slot_may_be_released_after_hangup)
{
	struct ints ch;
	int rc;

	begin();
	make(&ch, 1);
	go_keep(&ch, &rc);
	ck_assert_int_eq(weir_chan_hangup(&ch), 0);
	weir_chan_release(&ch);
	ck_assert_uint_eq(ch.chan.reserved, 0);
	ck_put(&ch, 1, -EPIPE);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_channel_without_slots_has_none_to_reserve)
{
	struct ints ch;
	int rc;

	begin();
	make(&ch, 0);
	go_keep(&ch, &rc);
	ck_assert_int_eq(rc, -EINVAL);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	go_keep(&ch, &rc);
	ck_assert_int_eq(rc, -EPIPE);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_slot_granted_to_a_task_that_is_cancelled_first_is_given_on)
{
	int rc_keep, rc_put;
	struct weir_group other;
	struct ints ch;

	begin();
	weir_group_init(&other, weir_loop_ctx(loop), NULL);
	make(&ch, 1);
	ck_put(&ch, 1, 1);
	go_keep(&ch, &rc_keep);
	rc_put = PENDING;
	ck_assert_int_eq(weir_go(&other, put, .ch = &ch, .item = 2, .rc = &rc_put), 0);
	settle();
	ck_get(&ch, 1, 1);
	ck_assert_uint_eq(ch.chan.reserved, 1);
	weir_group_cancel(&group, 0);
	ck_assert_uint_eq(ch.chan.reserved, 0);
	settle();
	ck_assert_int_eq(rc_keep, -ECANCELED);
	ck_assert_int_eq(rc_put, 1);
	ck_get(&ch, 1, 2);
	weir_group_fini(&other);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_cancelled_reservation_leaves_the_line)
{
	int rc_keep, rc_put;
	struct weir_group other;
	struct ints ch;

	begin();
	weir_group_init(&other, weir_loop_ctx(loop), NULL);
	make(&ch, 1);
	ck_put(&ch, 1, 1);
	go_keep(&ch, &rc_keep);
	rc_put = PENDING;
	ck_assert_int_eq(weir_go(&other, put, .ch = &ch, .item = 2, .rc = &rc_put), 0);
	settle();
	cancel();
	ck_assert_int_eq(rc_keep, -ECANCELED);
	ck_waiting(&ch, 1, 0);
	ck_get(&ch, 1, 1);
	settle();
	ck_assert_int_eq(rc_put, 1);
	ck_get(&ch, 1, 2);
	weir_group_fini(&other);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_reservation_on_null_waits)
{
	int rc;

	begin();
	start_keep(NULL, &rc);
	settle();
	ck_assert_int_eq(rc, PENDING);
	end();
	ck_assert_int_eq(rc, -ECANCELED);
}
END_TEST

static void commit_for_nothing(void)
{
	const int item = 1;
	struct ints ch;

	begin();
	make(&ch, 1);
	weir_chan_commit(&ch, &item);
}

static void release_for_nothing(void)
{
	struct ints ch;

	begin();
	make(&ch, 1);
	weir_chan_release(&ch);
}

START_TEST(a_slot_that_was_not_reserved_is_nobodys_to_fill_or_give_back)
{
	ck_aborts(commit_for_nothing, "weir_chan_commit() without a reservation at ");
	ck_aborts(release_for_nothing, "weir_chan_release() without a reservation at ");
}
END_TEST

TESTS("chan_slot", a_reserved_slot_is_room_that_nobody_else_gets,
      a_released_slot_goes_to_who_waits_for_room,
      reservations_and_senders_get_room_in_the_order_in_which_they_came,
      a_commit_goes_straight_to_a_receiver_that_waits,
      with_all_room_reserved_a_sender_still_meets_a_receiver,
      a_reservation_that_waits_is_not_in_the_way_of_items,
      after_close_a_slot_is_worth_nothing_and_the_item_stays_yours,
      a_slot_may_be_released_after_hangup, a_channel_without_slots_has_none_to_reserve,
      a_slot_granted_to_a_task_that_is_cancelled_first_is_given_on,
      a_cancelled_reservation_leaves_the_line, a_reservation_on_null_waits,
      a_slot_that_was_not_reserved_is_nobodys_to_fill_or_give_back)
