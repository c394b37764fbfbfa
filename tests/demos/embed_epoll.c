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

TESTS("demos/embed_epoll", what_goes_in_comes_out_once_and_in_order,
      the_host_ticks_while_the_pipeline_works, a_reader_that_leaves_ends_it)
