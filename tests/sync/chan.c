/* SPDX-License-Identifier: MIT */
/* chan.c - channels: order, bounds, both ends, what is counted. */
#include <poll.h>
#include <stdlib.h>

#include "aborts.h"
#include "sync/chan_kit.h"

/* ---- bounds ---- */

static void fill_and_empty(size_t cap)
{
	int got, rc_get, rc_put;
	struct ints ch;
	int i, n = (int)cap;

	make(&ch, cap);
	ck_assert_uint_eq(weir_chan_cap(&ch), cap);
	ck_get(&ch, -EAGAIN, 0);
	go_get(&ch, &got, &rc_get);
	ck_assert_int_eq(rc_get, PENDING);
	ck_put(&ch, 7, 1);
	settle();
	ck_assert_int_eq(rc_get, 1);
	ck_assert_int_eq(got, 7);
	for (i = 0; i < n; i++)
		ck_put(&ch, i, 1);
	ck_put(&ch, n, -EAGAIN);
	ck_assert_uint_eq(weir_chan_len(&ch), cap);
	go_put(&ch, n, &rc_put);
	ck_assert_int_eq(rc_put, PENDING);
	ck_assert_uint_eq(weir_chan_len(&ch), cap);
	ck_get(&ch, 1, 0);
	settle();
	ck_assert_int_eq(rc_put, 1);
	for (i = 1; i <= n; i++)
		ck_get(&ch, 1, i);
	ck_get(&ch, -EAGAIN, 0);
	unmake(&ch);
}

START_TEST(of_any_capacity_it_blocks_when_empty_and_when_full)
{
	size_t cap;

	begin();
	for (cap = 0; cap <= 200; cap++)
		fill_and_empty(cap);
	end();
}
END_TEST

START_TEST(a_capacity_beyond_the_limit_is_einval)
{
	struct ints ch;

	begin();
	ck_assert_int_eq(weir_chan_init(&ch, loop, (size_t)WEIR_CHAN_MAX + 1), -EINVAL);
	ck_assert_int_eq(weir_chan_init(&ch, loop, SIZE_MAX), -EINVAL);
	end();
}
END_TEST

START_TEST(a_ring_that_cannot_be_allocated_is_enomem)
{
	struct ints ch;
	unsigned n;
	int rc;

	unsetenv("TEST_CHECK");	/* no allocation is for a note */
	begin();
	for (n = 1, rc = -ENOMEM; rc == -ENOMEM; n++) {
		test_fail_alloc(n);
		rc = weir_chan_init(&ch, loop, 16);
		ck_assert(test_fail_alloc(0) == (rc == -ENOMEM));
	}
	ck_assert_int_eq(rc, 0);
	unmake(&ch);
	end();
}
END_TEST

struct nothing { char none[0]; };
WEIR_CHAN(signals, struct nothing);

START_TEST(items_without_size_are_counted_all_the_same)
{
	struct signals ch;
	struct nothing it;

	begin();
	ck_assert_int_eq(weir_chan_init(&ch, loop, 2), 0);
	ck_assert_int_eq(weir_chan_try_send(&ch, &it), 1);
	ck_assert_int_eq(weir_chan_try_send(&ch, &it), 1);
	ck_assert_int_eq(weir_chan_try_send(&ch, &it), -EAGAIN);
	ck_assert_int_eq(weir_chan_try_recv(&ch, &it), 1);
	ck_assert_uint_eq(weir_chan_len(&ch), 1);
	weir_chan_fini(&ch);
	end();
}
END_TEST

/* ---- order ---- */

START_TEST(senders_are_served_in_the_order_in_which_they_came)
{
	int i, rc[5];
	struct ints ch;

	begin();
	make(&ch, 2);
	for (i = 0; i < N(rc); i++)
		go_put(&ch, i, &rc[i]);
	for (i = 0; i < N(rc); i++)
		ck_get(&ch, 1, i);
	settle();
	for (i = 0; i < N(rc); i++)
		ck_assert_int_eq(rc[i], 1);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(receivers_are_served_in_the_order_in_which_they_came)
{
	int i, got[5], rc[5];
	struct ints ch;

	begin();
	make(&ch, 2);
	for (i = 0; i < N(rc); i++)
		go_get(&ch, &got[i], &rc[i]);
	for (i = 0; i < N(rc); i++)
		ck_put(&ch, i, 1);
	settle();
	for (i = 0; i < N(rc); i++) {
		ck_assert_int_eq(rc[i], 1);
		ck_assert_int_eq(got[i], i);
	}
	unmake(&ch);
	end();
}
END_TEST

/* ---- many tasks ---- */

#define VALUES	1000

struct source { struct weir_frame co; struct ints *ch; int i; };

static WEIR_CO(source, self, op)
{
	int rc;

	for (self->i = 0; self->i < VALUES; self->i++)
		WEIR_TRY(rc, out, weir_chan_send(op, self->ch, &self->i));
	rc = 0;
out:
	WEIR_RETURN(rc);
}
WEIR_END

struct drain { struct weir_frame co; struct ints *ch; int item, *seen; };

static WEIR_CO(drain, self, op)
{
	int rc;

	for (;;) {
		WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->item));
		if (rc <= 0)
			WEIR_RETURN(rc);
		self->seen[self->item]++;
	}
}
WEIR_END

struct four_to_four {
	struct weir_frame co;
	struct ints *ch;
	int *seen;
	struct weir_group from, to;
};

static WEIR_CO(four_to_four, self, op)
{
	int i, rc;

	weir_group_init(&self->from, weir_op_ctx(op), NULL);
	weir_group_init(&self->to, weir_op_ctx(op), NULL);
	for (i = 0; i < 4; i++) {
		ck_assert_int_eq(weir_go(&self->from, source, .ch = self->ch), 0);
		ck_assert_int_eq(weir_go(&self->to, drain, .ch = self->ch, .seen = self->seen), 0);
	}
	WEIR_AWAIT(rc, weir_group_wait(op, &self->from));
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(weir_chan_close(self->ch), 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->to));
	ck_assert_int_eq(rc, 0);
}
WEIR_END

START_TEST(of_4_senders_and_4_receivers_every_value_arrives_4_times)
{
	static const size_t caps[] = { 0, 1, 3, 1000 };
	int i, c, seen[VALUES];
	struct ints ch;

	begin();
	for (c = 0; c < N(caps); c++) {
		memset(seen, 0, sizeof seen);
		make(&ch, caps[c]);
		ck_assert_int_eq(weir_run(loop, four_to_four, .ch = &ch, .seen = seen), 0);
		for (i = 0; i < VALUES; i++)
			ck_assert_int_eq(seen[i], 4);
		ck_assert_uint_eq(weir_chan_stats(&ch)->items, 4 * VALUES);
		unmake(&ch);
	}
	end();
}
END_TEST

/* ---- the sender's end ---- */

START_TEST(after_close_what_is_buffered_comes_in_order_then_eof_for_ever)
{
	struct ints ch;
	int i;

	begin();
	make(&ch, 5);
	for (i = 0; i < 5; i++)
		ck_put(&ch, i, 1);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	for (i = 0; i < 5; i++)
		ck_get(&ch, 1, i);
	for (i = 0; i < 3; i++)
		ck_get(&ch, 0, 0);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(blocked_senders_of_a_channel_that_closes_keep_their_items)
{
	int i, rc[3];
	struct ints ch;

	begin();
	make(&ch, 1);
	ck_put(&ch, 9, 1);
	for (i = 0; i < 3; i++)
		go_put(&ch, i, &rc[i]);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	settle();
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(rc[i], -EPIPE);
	ck_get(&ch, 1, 9);
	ck_get(&ch, 0, 0);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(blocked_receivers_of_a_channel_that_closes_get_eof)
{
	int i, rc[2], got[2] = { 8, 8 };
	struct ints ch;

	begin();
	make(&ch, 1);
	for (i = 0; i < 2; i++)
		go_get(&ch, &got[i], &rc[i]);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	settle();
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(rc[i], 0);
		ck_assert_int_eq(got[i], 8);
	}
	unmake(&ch);
	end();
}
END_TEST

START_TEST(send_on_a_closed_channel_returns_epipe_and_is_counted)
{
	struct ints ch;
	int rc;

	begin();
	make(&ch, 1);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	go_put(&ch, 1, &rc);
	ck_assert_int_eq(rc, -EPIPE);
	ck_put(&ch, 1, -EPIPE);
	ck_assert_int_eq(weir_chan_close(&ch), -EPIPE);
	ck_assert_uint_eq(weir_chan_stats(&ch)->refused, 3);
	unmake(&ch);
	end();
}
END_TEST

/* ---- the receiver's end ---- */

static int dropped[8], n_dropped;

static void note_drop(void *arg, void *item)
{
	ck_assert_ptr_eq(arg, dropped);
	dropped[n_dropped++] = *(int *)item;
}

START_TEST(hangup_drops_what_is_buffered_and_ends_both_sides)
{
	int i, item, rc_put, rc_get;
	struct ints ch;

	begin();
	make(&ch, 3);
	weir_chan_on_drop(&ch, note_drop, dropped);
	for (i = 0; i < 3; i++)
		ck_put(&ch, i, 1);
	go_put(&ch, 3, &rc_put);
	ck_assert_int_eq(weir_chan_hangup(&ch), 0);
	settle();
	ck_assert_int_eq(rc_put, -EPIPE);
	ck_assert_int_eq(n_dropped, 3);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(dropped[i], i);
	ck_assert_uint_eq(weir_chan_stats(&ch)->dropped, 3);
	ck_put(&ch, 4, -EPIPE);
	ck_get(&ch, -EPIPE, 0);
	go_get(&ch, &item, &rc_get);
	ck_assert_int_eq(rc_get, -EPIPE);
	ck_assert_int_eq(weir_chan_close(&ch), -EPIPE);
	ck_assert_int_eq(weir_chan_hangup(&ch), -EPIPE);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(hangup_ends_a_receiver_that_waits)
{
	int item, rc;
	struct ints ch;

	begin();
	make(&ch, 0);
	go_get(&ch, &item, &rc);
	ck_assert_int_eq(weir_chan_hangup(&ch), 0);
	settle();
	ck_assert_int_eq(rc, -EPIPE);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_receiver_may_hang_up_after_the_sender_has_closed)
{
	struct ints ch;

	begin();
	make(&ch, 2);
	weir_chan_on_drop(&ch, note_drop, dropped);
	ck_put(&ch, 5, 1);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	ck_assert_int_eq(weir_chan_hangup(&ch), 0);
	ck_assert_int_eq(n_dropped, 1);
	ck_get(&ch, -EPIPE, 0);
	ck_assert_int_eq(weir_chan_hangup(&ch), -EPIPE);
	ck_assert_uint_eq(weir_chan_stats(&ch)->refused, 0);
	unmake(&ch);
	end();
}
END_TEST

static void fini_under_a_receiver(void)
{
	struct ints ch;
	int item, rc;

	begin();
	make(&ch, 1);
	go_get(&ch, &item, &rc);
	weir_chan_fini(&ch);
}

static void fini_under_a_sender(void)
{
	struct ints ch;
	int rc;

	begin();
	make(&ch, 0);
	go_put(&ch, 1, &rc);
	weir_chan_fini(&ch);
}

START_TEST(a_channel_may_not_go_while_tasks_wait_for_it)
{
	ck_aborts(fini_under_a_receiver, "weir_chan_fini() of a channel that tasks wait for at ");
	ck_aborts(fini_under_a_sender, "weir_chan_fini() of a channel that tasks wait for at ");
}
END_TEST

START_TEST(fini_drops_what_is_buffered)
{
	struct ints ch;

	begin();
	make(&ch, 2);
	weir_chan_on_drop(&ch, note_drop, dropped);
	ck_put(&ch, 1, 1);
	ck_put(&ch, 2, 1);
	ck_get(&ch, 1, 1);
	unmake(&ch);
	ck_assert_int_eq(n_dropped, 1);
	ck_assert_int_eq(dropped[0], 2);
	end();
}
END_TEST

static void push_again(void *arg, void *item)
{
	ck_assert_int_eq(weir_chan_try_send((struct ints *)arg, (int *)item), -EPIPE);
	ck_assert_int_le(weir_chan_try_recv((struct ints *)arg, (int *)item), 0);
	n_dropped++;
}

START_TEST(a_drop_hook_meets_a_channel_that_is_over)
{
	struct ints ch;

	begin();
	make(&ch, 2);
	weir_chan_on_drop(&ch, push_again, &ch);
	ck_put(&ch, 1, 1);
	weir_chan_fini(&ch);
	ck_assert_int_eq(n_dropped, 1);
	end();
}
END_TEST

/* ---- cancellation ---- */

struct get_twice { struct weir_frame co; struct ints *ch; int item, *first, *second; };

static WEIR_CO(get_twice, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->item));
	*self->first = rc;
	WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->item));
	*self->second = rc;
}
WEIR_END

START_TEST(a_cancelled_receiver_is_told_so_at_every_await)
{
	int first = PENDING, second = PENDING;
	struct ints ch;

	begin();
	make(&ch, 1);
	ck_assert_int_eq(weir_go(&group, get_twice, .ch = &ch, .first = &first,
				 .second = &second), 0);
	settle();
	weir_group_cancel(&group, 0);
	ck_waiting(&ch, 0, 0);
	ck_put(&ch, 1, 1);
	settle();
	ck_assert_int_eq(first, -ECANCELED);
	ck_assert_int_eq(second, -ECANCELED);
	ck_assert_uint_eq(weir_chan_len(&ch), 1);
	unmake(&ch);
	end();
}
END_TEST

START_TEST(a_hand_over_before_a_cancel_stands)
{
	int first = PENDING, second = PENDING;
	struct ints ch;

	begin();
	make(&ch, 0);
	ck_assert_int_eq(weir_go(&group, get_twice, .ch = &ch, .first = &first,
				 .second = &second), 0);
	settle();
	ck_put(&ch, 1, 1);
	weir_group_cancel(&group, 0);
	settle();
	ck_assert_int_eq(first, 1);
	ck_assert_int_eq(second, -ECANCELED);
	unmake(&ch);
	end();
}
END_TEST

/* ---- NULL ---- */

START_TEST(null_is_a_channel_that_is_never_ready)
{
	int item = 0, rc_put, rc_get;
	struct ints *none = NULL;

	begin();
	start_put(none, 1, &rc_put);
	start_get(none, &item, &rc_get);
	settle();
	ck_assert_int_eq(rc_put, PENDING);
	ck_assert_int_eq(rc_get, PENDING);
	ck_assert_int_eq(weir_chan_try_send(none, &item), -EAGAIN);
	ck_assert_int_eq(weir_chan_try_recv(none, &item), -EAGAIN);
	ck_assert_int_eq(weir_chan_close(none), -EPIPE);
	ck_assert_int_eq(weir_chan_hangup(none), -EPIPE);
	cancel();
	ck_assert_int_eq(rc_put, -ECANCELED);
	ck_assert_int_eq(rc_get, -ECANCELED);
	end();
}
END_TEST

/* ---- from the host ---- */

START_TEST(a_try_from_the_host_wakes_its_loop)
{
	struct pollfd p = { .events = POLLIN };
	int item, rc;
	struct ints ch;

	begin();
	make(&ch, 0);
	p.fd = weir_loop_fd(loop);
	ck_assert_int_ge(p.fd, 0);
	go_get(&ch, &item, &rc);
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	ck_put(&ch, 3, 1);
	ck_assert_int_eq(poll(&p, 1, -1), 1);
	settle();
	ck_assert_int_eq(rc, 1);
	ck_assert_int_eq(item, 3);
	unmake(&ch);
	end();
}
END_TEST

/* ---- what is counted ---- */

START_TEST(time_spent_waiting_is_counted_at_the_end_that_waited)
{
	const struct weir_chan_stats *s;
	int item, rc;
	struct ints ch;

	begin();
	make(&ch, 1);
	s = weir_chan_stats(&ch);
	go_get(&ch, &item, &rc);
	ck_assert_int_eq(weir_advance(loop, 3 * WEIR_S), 0);
	settle();
	ck_put(&ch, 1, 1);
	ck_assert_uint_eq(s->empty_ns, 3 * WEIR_S);
	ck_assert_uint_eq(s->empty_waits, 1);
	ck_put(&ch, 2, 1);
	go_put(&ch, 3, &rc);
	ck_assert_int_eq(weir_advance(loop, 5 * WEIR_S), 0);
	settle();
	ck_get(&ch, 1, 2);
	ck_assert_uint_eq(s->full_ns, 5 * WEIR_S);
	ck_assert_uint_eq(s->full_waits, 1);
	ck_get(&ch, 1, 3);
	ck_assert_uint_eq(s->items, 3);
	ck_assert_uint_eq(s->refused, 0);
	unmake(&ch);
	end();
}
END_TEST

/* ---- budget ---- */

struct never_waits { struct weir_frame co; struct ints *ch; int item; bool *stop; };

static WEIR_CO(never_waits, self, op)
{
	int rc;

	while (!*self->stop) {
		WEIR_AWAIT(rc, weir_chan_send(op, self->ch, &self->item));
		if (rc == 1)
			WEIR_AWAIT(rc, weir_chan_recv(op, self->ch, &self->item));
		if (rc < 0)
			break;
	}
}
WEIR_END

struct stopper { struct weir_frame co; bool *stop; };

static WEIR_CO(stopper, self, op)
{
	*self->stop = true;
}
WEIR_END

START_TEST(a_task_whose_awaits_never_wait_lets_others_run)
{
	bool stop = false;
	struct ints ch;

	begin();
	make(&ch, 1);
	ck_assert_int_eq(weir_go(&group, never_waits, .ch = &ch, .stop = &stop), 0);
	ck_assert_int_eq(weir_go(&group, stopper, .stop = &stop), 0);
	settle();
	ck_assert(stop);
	unmake(&ch);
	end();
}
END_TEST

TESTS("chan", of_any_capacity_it_blocks_when_empty_and_when_full,
      a_capacity_beyond_the_limit_is_einval, a_ring_that_cannot_be_allocated_is_enomem,
      items_without_size_are_counted_all_the_same,
      senders_are_served_in_the_order_in_which_they_came,
      receivers_are_served_in_the_order_in_which_they_came,
      of_4_senders_and_4_receivers_every_value_arrives_4_times,
      after_close_what_is_buffered_comes_in_order_then_eof_for_ever,
      blocked_senders_of_a_channel_that_closes_keep_their_items,
      blocked_receivers_of_a_channel_that_closes_get_eof,
      send_on_a_closed_channel_returns_epipe_and_is_counted,
      hangup_drops_what_is_buffered_and_ends_both_sides, hangup_ends_a_receiver_that_waits,
      a_receiver_may_hang_up_after_the_sender_has_closed, fini_drops_what_is_buffered,
      a_channel_may_not_go_while_tasks_wait_for_it,
      a_drop_hook_meets_a_channel_that_is_over,
      a_cancelled_receiver_is_told_so_at_every_await, a_hand_over_before_a_cancel_stands,
      null_is_a_channel_that_is_never_ready, a_try_from_the_host_wakes_its_loop,
      time_spent_waiting_is_counted_at_the_end_that_waited,
      a_task_whose_awaits_never_wait_lets_others_run)
