/* SPDX-License-Identifier: MIT */
/* interval.c - ticks on the virtual clock, in time and late; times are in ms since the start. */
#include "harness.h"
#include "weir.h"
#include "weir/interval.h"

static struct weir_loop *loop;
static struct weir_interval every;
static uint64_t start;

struct tick { unsigned n; uint64_t at; };

/* Awaits `count` ticks of a period of 50, and is late once: it is busy until `stall` after the
 * first one. */
struct ticker {
	struct weir_frame co;
	enum weir_missed missed;
	uint64_t stall;
	struct tick *tick;
	unsigned count, i;
};

static uint64_t ms(void)
{
	return (weir_now(loop) - start) / WEIR_MS;
}

static WEIR_CO(ticker, self, op)
{
	int n;

	ck_assert_int_eq(weir_interval_init(&every, loop, 50 * WEIR_MS, self->missed), 0);
	for (self->i = 0; self->i < self->count; self->i++) {
		WEIR_AWAIT(n, weir_interval_tick(op, &every));
		if (n < 0)
			break;
		self->tick[self->i] = (struct tick){ (unsigned)n, ms() };
		if (self->i == 0)
			weir_advance(loop, self->stall * WEIR_MS);
	}
}
WEIR_END

static void begin(void)
{
	loop = test_loop();
	start = weir_now(loop);
}

static void ck_ticks(enum weir_missed missed, uint64_t stall, const struct tick *want, unsigned n)
{
	struct tick got[8];
	unsigned i;
	int rc;

	begin();
	rc = weir_run(loop, ticker, .missed = missed, .stall = stall, .tick = got, .count = n);
	ck_assert_int_eq(rc, 0);
	for (i = 0; i < n; i++) {
		ck_assert_uint_eq(got[i].n, want[i].n);
		ck_assert_uint_eq(got[i].at, want[i].at);
	}
	test_loop_free(loop);
}

START_TEST(the_first_tick_is_at_once_and_the_others_keep_the_schedule)
{
	static const struct tick want[] = { { 1, 0 }, { 1, 50 }, { 1, 100 }, { 1, 150 } };

	ck_ticks(WEIR_SKIP, 0, want, 4);
	ck_ticks(WEIR_BURST, 0, want, 4);
	ck_ticks(WEIR_DELAY, 0, want, 4);
}
END_TEST

START_TEST(a_task_that_is_busy_for_less_than_a_period_is_on_time)
{
	static const struct tick want[] = { { 1, 0 }, { 1, 50 }, { 1, 100 } };

	ck_ticks(WEIR_SKIP, 30, want, 3);
}
END_TEST

START_TEST(skip_counts_missed_ticks_and_goes_on_at_the_next_multiple)
{
	static const struct tick want[] = { { 1, 0 }, { 4, 210 }, { 1, 250 }, { 1, 300 } };
	static const struct tick exact[] = { { 1, 0 }, { 4, 200 }, { 1, 250 }, { 1, 300 } };

	ck_ticks(WEIR_SKIP, 210, want, 4);
	ck_ticks(WEIR_SKIP, 200, exact, 4);
}
END_TEST

START_TEST(burst_makes_up_for_each_missed_tick)
{
	static const struct tick want[] = {
		{ 1, 0 }, { 1, 210 }, { 1, 210 }, { 1, 210 }, { 1, 210 }, { 1, 250 }, { 1, 300 },
	};

	ck_ticks(WEIR_BURST, 210, want, 7);
}
END_TEST

START_TEST(delay_begins_anew_after_a_late_tick)
{
	static const struct tick want[] = { { 1, 0 }, { 4, 210 }, { 1, 260 }, { 1, 310 } };

	ck_ticks(WEIR_DELAY, 210, want, 4);
}
END_TEST

START_TEST(a_period_of_0_is_einval)
{
	begin();
	ck_assert_int_eq(weir_interval_init(&every, loop, 0, WEIR_SKIP), -EINVAL);
	test_loop_free(loop);
}
END_TEST

static void settle(void)
{
	int i;

	for (i = 0; i < 3; i++)
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
}

/* The loop itself is late: it stands still while the task waits. */
START_TEST(a_stopped_process_learns_how_many_ticks_it_missed)
{
	struct tick got[4] = { { 0, 0 } };

	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), ticker, .tick = got, .count = 4), 0);
	settle();
	weir_advance(loop, WEIR_HOUR + 20 * WEIR_MS);
	settle();
	ck_assert_uint_eq(got[1].n, 3600 * 20ul);
	ck_assert_uint_eq(got[1].at, 3600 * 1000 + 20);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_uint_eq(got[2].n, 1);
	ck_assert_uint_eq(got[2].at, 3600 * 1000 + 50);
	test_loop_free(loop);
}
END_TEST

START_TEST(more_missed_ticks_than_an_int_can_count_are_int_max)
{
	struct tick got[2];

	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), ticker, .tick = got, .count = 2), 0);
	settle();
	weir_advance(loop, UINT64_MAX / 4);
	settle();
	ck_assert_uint_eq(got[1].n, INT32_MAX);
	test_loop_free(loop);
}
END_TEST

struct twin { struct weir_frame co; struct tick *tick; };

static WEIR_CO(twin, self, op)
{
	int n;

	WEIR_AWAIT(n, weir_interval_tick(op, &every));
	*self->tick = (struct tick){ (unsigned)n, ms() };
}
WEIR_END

START_TEST(each_tick_goes_to_one_of_those_who_share_an_interval)
{
	struct tick got[3];
	unsigned i;

	begin();
	ck_assert_int_eq(weir_interval_init(&every, loop, 50 * WEIR_MS, WEIR_SKIP), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), twin, .tick = &got[i]), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	for (i = 0; i < 3; i++) {
		ck_assert_uint_eq(got[i].n, 1);
		ck_assert_uint_eq(got[i].at, 50ul * i);
	}
	test_loop_free(loop);
}
END_TEST

START_TEST(a_cancelled_tick_is_not_lost)
{
	struct tick got[4] = { { 0, 0 } };

	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), ticker, .tick = got, .count = 4), 0);
	settle();
	weir_advance(loop, 20 * WEIR_MS);
	weir_ctx_cancel(weir_loop_ctx(loop), 0);
	settle();
	ck_assert_uint_eq(got[0].n, 1);
	ck_assert_uint_eq(got[1].n, 0);
	ck_assert_uint_eq(every.next, start + 50 * WEIR_MS);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_period_past_the_end_of_time_ticks_once)
{
	struct tick got[2] = { { 0, 0 }, { 0, 0 } };

	begin();
	ck_assert_int_eq(weir_interval_init(&every, loop, WEIR_FOREVER, WEIR_SKIP), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), twin, .tick = &got[0]), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_uint_eq(got[0].n, 1);
	ck_assert_uint_eq(every.next, WEIR_FOREVER);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), twin, .tick = &got[1]), 0);
	ck_assert_int_eq(weir_loop_run(loop), -EDEADLK);
	weir_ctx_cancel(weir_loop_ctx(loop), 0);
	settle();
	test_loop_free(loop);
}
END_TEST

TESTS("interval",
      the_first_tick_is_at_once_and_the_others_keep_the_schedule,
      a_task_that_is_busy_for_less_than_a_period_is_on_time,
      skip_counts_missed_ticks_and_goes_on_at_the_next_multiple,
      burst_makes_up_for_each_missed_tick,
      delay_begins_anew_after_a_late_tick,
      a_period_of_0_is_einval,
      a_stopped_process_learns_how_many_ticks_it_missed,
      more_missed_ticks_than_an_int_can_count_are_int_max,
      each_tick_goes_to_one_of_those_who_share_an_interval,
      a_cancelled_tick_is_not_lost,
      a_period_past_the_end_of_time_ticks_once)
