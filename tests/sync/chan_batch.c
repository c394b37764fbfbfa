/* SPDX-License-Identifier: MIT */
/* chan_batch.c - several items at a time, as with read(2): as many as go, at least one. */
#include "sync/chan_kit.h"

struct put_n { struct weir_frame co; struct ints *ch; const int *items; size_t n; int *rc; };

static WEIR_CO(put_n, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_send_n(op, self->ch, self->items, self->n));
	*self->rc = rc;
}
WEIR_END

struct get_n { struct weir_frame co; struct ints *ch; int *items; size_t n; int *rc; };

static WEIR_CO(get_n, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_recv_n(op, self->ch, self->items, self->n));
	*self->rc = rc;
}
WEIR_END

static void go_put_n(struct ints *ch, const int *items, size_t n, int *rc)
{
	*rc = PENDING;
	ck_assert_int_eq(weir_go(&group, put_n, .ch = ch, .items = items, .n = n, .rc = rc), 0);
	settle();
	if (ch)
		ck_chan(&ch->chan);
}

static void go_get_n(struct ints *ch, int *items, size_t n, int *rc)
{
	*rc = PENDING;
	ck_assert_int_eq(weir_go(&group, get_n, .ch = ch, .items = items, .n = n, .rc = rc), 0);
	settle();
	if (ch)
		ck_chan(&ch->chan);
}

static const int count[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };

/* got[0..n) are first, first + 1, ... */
static void ck_run(const int *got, int n, int first)
{
	int i;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(got[i], first + i);
}

START_TEST(a_batch_sends_as_many_as_there_is_room_for)
{
	struct ints ch;
	int rc;

	begin();
	make(&ch, 4);
	go_put_n(&ch, count, 10, &rc);
	ck_assert_int_eq(rc, 4);
	go_put_n(&ch, count + 4, 6, &rc);
	ck_assert_int_eq(rc, PENDING);
	ck_get(&ch, 1, 0);
	settle();
	ck_assert_int_eq(rc, 1);
	ck_get(&ch, 1, 1);
	ck_get(&ch, 1, 2);
	ck_get(&ch, 1, 3);
	ck_get(&ch, 1, 4);
	ck_get(&ch, -EAGAIN, 0);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_batch_receives_as_many_as_there_are)
{
	int got[10], rc, i;
	struct ints ch;

	begin();
	make(&ch, 6);
	for (i = 0; i < 3; i++)
		ck_put(&ch, i, 1);
	go_get_n(&ch, got, 10, &rc);
	ck_assert_int_eq(rc, 3);
	ck_run(got, 3, 0);
	go_get_n(&ch, got, 10, &rc);
	ck_assert_int_eq(rc, PENDING);
	ck_put(&ch, 3, 1);
	settle();
	ck_assert_int_eq(rc, 1);
	ck_assert_int_eq(got[0], 3);
	ck_assert_uint_eq(weir_chan_stats(&ch)->items, 4);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_batch_goes_to_waiting_receivers_first_then_into_the_ring)
{
	int one, two[2], rc_one, rc_two, rc;
	struct ints ch;

	begin();
	make(&ch, 2);
	go_get(&ch, &one, &rc_one);
	go_get_n(&ch, two, 2, &rc_two);
	go_put_n(&ch, count, 10, &rc);
	ck_assert_int_eq(rc, 5);
	ck_assert_int_eq(rc_one, 1);
	ck_assert_int_eq(one, 0);
	ck_assert_int_eq(rc_two, 2);
	ck_run(two, 2, 1);
	ck_get(&ch, 1, 3);
	ck_get(&ch, 1, 4);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(without_a_ring_a_batch_meets_a_batch)
{
	int got[10], rc_get, rc_put;
	struct ints ch;

	begin();
	make(&ch, 0);
	go_put_n(&ch, count, 3, &rc_put);
	ck_assert_int_eq(rc_put, PENDING);
	go_get_n(&ch, got, 10, &rc_get);
	ck_assert_int_eq(rc_get, 3);
	ck_assert_int_eq(rc_put, 3);
	ck_run(got, 3, 0);
	go_get_n(&ch, got, 2, &rc_get);
	go_put_n(&ch, count, 10, &rc_put);
	ck_assert_int_eq(rc_get, 2);
	ck_assert_int_eq(rc_put, 2);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_batch_takes_the_ring_and_those_who_wait_in_order)
{
	int got[10], rc, rc_put[3], rc_put_n, i;
	struct ints ch;

	begin();
	make(&ch, 2);
	ck_put(&ch, 0, 1);
	ck_put(&ch, 1, 1);
	for (i = 0; i < 3; i++)
		go_put(&ch, 2 + i, &rc_put[i]);
	go_put_n(&ch, count + 5, 5, &rc_put_n);
	go_get_n(&ch, got, 10, &rc);
	ck_assert_int_eq(rc, 10);
	ck_run(got, 10, 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(rc_put[i], 1);
	ck_assert_int_eq(rc_put_n, 5);
	ck_get(&ch, -EAGAIN, 0);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_batch_receive_leaves_nobody_waiting_where_there_is_room)
{
	int got[4], rc, rc_put[4], i;
	struct ints ch;

	begin();
	make(&ch, 2);
	ck_put(&ch, 0, 1);
	ck_put(&ch, 1, 1);
	for (i = 0; i < 4; i++)
		go_put(&ch, 2 + i, &rc_put[i]);
	go_get_n(&ch, got, 4, &rc);
	ck_assert_int_eq(rc, 4);
	ck_run(got, 4, 0);
	ck_assert_int_eq(rc_put[2], 1);
	ck_assert_int_eq(rc_put[3], 1);
	ck_put(&ch, 6, -EAGAIN);
	ck_get(&ch, 1, 4);
	ck_get(&ch, 1, 5);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_batch_of_nothing_or_of_too_much_is_einval)
{
	struct ints ch;
	int got, rc;

	begin();
	make(&ch, 1);
	go_put_n(&ch, count, 0, &rc);
	ck_assert_int_eq(rc, -EINVAL);
	go_get_n(&ch, &got, 0, &rc);
	ck_assert_int_eq(rc, -EINVAL);
	go_put_n(&ch, count, (size_t)INT32_MAX + 1, &rc);
	ck_assert_int_eq(rc, -EINVAL);
	go_get_n(&ch, &got, SIZE_MAX, &rc);
	ck_assert_int_eq(rc, -EINVAL);
	ck_assert_uint_eq(weir_chan_len(&ch), 0);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_batch_that_waits_is_sent_in_part_or_not_at_all_when_the_channel_closes)
{
	int rc_first, rc_second, got[4], rc;
	struct ints ch;

	begin();
	make(&ch, 1);
	ck_put(&ch, 9, 1);
	go_put_n(&ch, count, 3, &rc_first);
	go_put_n(&ch, count + 3, 3, &rc_second);
	ck_get(&ch, 1, 9);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	settle();
	ck_assert_int_eq(rc_first, 1);
	ck_assert_int_eq(rc_second, -EPIPE);
	go_get_n(&ch, got, 4, &rc);
	ck_assert_int_eq(rc, 1);
	ck_assert_int_eq(got[0], 0);
	go_get_n(&ch, got, 4, &rc);
	ck_assert_int_eq(rc, 0);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_batch_that_waits_ends_without_effect_when_cancelled)
{
	int rc_put, rc_get, got[2];
	struct ints full, empty;

	begin();
	make(&full, 1);
	make(&empty, 1);
	ck_put(&full, 9, 1);
	go_put_n(&full, count, 3, &rc_put);
	go_get_n(&empty, got, 2, &rc_get);
	cancel();
	ck_assert_int_eq(rc_put, -ECANCELED);
	ck_assert_int_eq(rc_get, -ECANCELED);
	ck_get(&full, 1, 9);
	ck_get(&full, -EAGAIN, 0);
	ck_put(&empty, 1, 1);
	unmake(&full);
	unmake(&empty);
	end();
}
END_TEST

START_TEST(a_batch_on_null_waits_and_one_that_is_wrong_does_not)
{
	int rc_put, rc_wrong, got;

	begin();
	go_put_n(NULL, count, 1, &rc_put);
	go_get_n(NULL, &got, 0, &rc_wrong);
	ck_assert_int_eq(rc_put, PENDING);
	ck_assert_int_eq(rc_wrong, -EINVAL);
	end();
	ck_assert_int_eq(rc_put, -ECANCELED);
}
END_TEST

TESTS("chan_batch", a_batch_sends_as_many_as_there_is_room_for,
      a_batch_receives_as_many_as_there_are,
      a_batch_goes_to_waiting_receivers_first_then_into_the_ring,
      without_a_ring_a_batch_meets_a_batch, a_batch_takes_the_ring_and_those_who_wait_in_order,
      a_batch_receive_leaves_nobody_waiting_where_there_is_room,
      a_batch_of_nothing_or_of_too_much_is_einval,
      a_batch_that_waits_is_sent_in_part_or_not_at_all_when_the_channel_closes,
      a_batch_that_waits_ends_without_effect_when_cancelled,
      a_batch_on_null_waits_and_one_that_is_wrong_does_not)
