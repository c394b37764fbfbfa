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

	demo_succeeds("$DEMO/rate_limit 500 5000 1");
	row = strchr(demo_out, '\n');
	ck_assert_ptr_nonnull(row);
	ck_assert_int_eq(sscanf(row, "%lf %ld %ld %lf", &asked, &burst, &requests, &achieved), 4);
	ck_assert(asked == 500);
	ck_assert_int_eq(burst, 6);
	ck_assert_int_eq(requests, 207);
	ck_assert(achieved <= 500);
	ck_assert_uint_eq(demo_count("burst: 10 at once"), 1);
	ck_assert_uint_eq(demo_count("from -11 tokens there are now -1"), 1);
	ck_assert_uint_eq(demo_count("left in the loop: 0"), 1);
}
END_TEST

START_TEST(a_rate_that_makes_no_sense_is_refused)
{
	static const char *const rates[] = { "-5", "0", "0.5", "''", "x", "5x", "inf", "nan",
					     "1e99", "10000001", "100 x" };
	char command[128];
	size_t i;

	for (i = 0; i < sizeof rates / sizeof *rates; i++) {
		snprintf(command, sizeof command, "$DEMO/rate_limit %s 2>&1", rates[i]);
		demo_says(2, command, "usage: rate_limit ");
	}
}
END_TEST

START_TEST(output_that_cannot_be_written_is_an_error)
{
	demo_says(1, "$DEMO/rate_limit 500 2>&1 >/dev/full",
		  "standard output: No space left on device");
	demo_says(1, "$DEMO/rate_limit 500 2>&1 >&-", "standard output: Bad file descriptor");
}
END_TEST

TESTS("demos/rate_limit", no_more_is_achieved_than_was_asked, a_rate_that_makes_no_sense_is_refused,
      output_that_cannot_be_written_is_an_error)
