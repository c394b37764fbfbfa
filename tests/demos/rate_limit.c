/* SPDX-License-Identifier: MIT */
/*
 * rate_limit.c - the demo of the limiter: what it says of itself, and that it would say otherwise.
 *
 * The clock is the machine's, so the rate that was achieved has an upper bound and no more.
 */
#include "demo_kit.h"

START_TEST(no_more_is_achieved_than_was_asked)
{
	double asked, achieved;
	long burst, requests;
	const char *row;

	demo_succeeds("$DEMO/rate_limit 500 5000");
	row = strchr(demo_out, '\n');
	ck_assert_ptr_nonnull(row);
	ck_assert_int_eq(sscanf(row, "%lf %ld %ld %lf", &asked, &burst, &requests, &achieved), 4);
	ck_assert(asked == 500);
	ck_assert_int_eq(burst, 6);
	ck_assert_int_eq(requests, 206);
	ck_assert(achieved <= 500);
	ck_assert_uint_eq(demo_count("burst: 10 at once"), 1);
	ck_assert_uint_eq(demo_count("from -11 tokens there are now -1"), 1);
	ck_assert_uint_eq(demo_count("left in the loop: 0"), 1);
}
END_TEST

START_TEST(a_rate_below_zero_is_refused)
{
	ck_assert_int_eq(demo_run("$DEMO/rate_limit -5"), 1);
	ck_assert_uint_eq(demo_count("Invalid argument"), 1);
}
END_TEST

TESTS("demos/rate_limit", no_more_is_achieved_than_was_asked, a_rate_below_zero_is_refused)
