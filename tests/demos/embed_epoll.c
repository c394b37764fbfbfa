/* SPDX-License-Identifier: MIT */
/*
 * embed_epoll.c - the demo of a loop inside a host's: all goes through, once, and the host ticks.
 */
#include "demo_kit.h"

START_TEST(what_goes_in_comes_out_once_and_in_order)
{
	demo_succeeds("f=$(mktemp) && seq -f 'line %g' 5000 >$f &&"
		      "cat $f | $DEMO/embed_epoll 1e7 2>/dev/null |"
		      "$DEMO/embed_epoll 1e7 2>/dev/null | cmp - $f; s=$?; rm $f; exit $s");
	demo_succeeds("echo Hello, world | $DEMO/embed_epoll");
	ck_assert_uint_eq(demo_count("Uryyb, jbeyq\n"), 1);
	ck_assert_uint_eq(demo_count("13 bytes read, 13 printed"), 1);
	ck_assert_uint_eq(demo_count("0 tasks, timers or operations are left"), 1);
}
END_TEST

START_TEST(the_host_ticks_while_the_pipeline_works)
{
	demo_succeeds("seq 5000 | $DEMO/embed_epoll 100e3");
	ck_assert_uint_ge(demo_count("tick "), 1);
	ck_assert_uint_eq(demo_count("23893 bytes read, 23893 printed"), 1);
}
END_TEST

START_TEST(a_reader_that_leaves_ends_it)
{
	demo_succeeds("seq 100000 | { $DEMO/embed_epoll 1e7; echo status $? >&2; } | head -n 1");
	ck_assert_uint_eq(demo_count("result: Broken pipe"), 1);
	ck_assert_uint_eq(demo_count("status 1"), 1);
}
END_TEST

START_TEST(a_rate_that_makes_no_sense_is_refused)
{
	static const char *const rates[] = { "-5", "0", "''", "x", "5x", "inf", "nan", "1e99",
					     "100 x" };
	char command[128];
	size_t i;

	for (i = 0; i < sizeof rates / sizeof *rates; i++) {
		snprintf(command, sizeof command, "echo | $DEMO/embed_epoll %s 2>&1", rates[i]);
		demo_says(2, command, "usage: COMMAND | embed_epoll ");
	}
}
END_TEST

START_TEST(output_that_cannot_be_written_is_an_error)
{
	demo_says(1, "echo | $DEMO/embed_epoll 2>&1 >/dev/full", "result: No space left on device");
	ck_assert_int_eq(demo_run("echo | $DEMO/embed_epoll 2>&1 >&-"), 1);
	ck_assert_str_eq(demo_out, "embed_epoll: descriptor 1: Bad file descriptor\n");
	ck_assert_int_eq(demo_run("$DEMO/embed_epoll 2>&1 <&-"), 1);
	ck_assert_str_eq(demo_out, "embed_epoll: descriptor 0: Bad file descriptor\n");
}
END_TEST

TESTS("demos/embed_epoll", what_goes_in_comes_out_once_and_in_order,
      the_host_ticks_while_the_pipeline_works, a_reader_that_leaves_ends_it,
      a_rate_that_makes_no_sense_is_refused, output_that_cannot_be_written_is_an_error)
