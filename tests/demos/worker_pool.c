/* SPDX-License-Identifier: MIT */
/*
 * worker_pool.c - the demo of the worker pool: four endings, and a receipt of each that adds up.
 */
#include "demo_kit.h"

START_TEST(every_ending_leaves_a_receipt_that_adds_up)
{
	unsigned jobs, finished, failed, aborted, never_run, receipts = 0;
	const char *line;

	demo_succeeds("$DEMO/worker_pool");
	for (line = demo_out; line; line = strchr(line + 1, '\n')) {
		if (sscanf(line, "%u jobs = %u finished + %u failed + %u aborted + %u never run",
			   &jobs, &finished, &failed, &aborted, &never_run) < 5)
			continue;
		receipts++;
		ck_assert_uint_eq(jobs, finished + failed + aborted + never_run);
	}
	ck_assert_uint_eq(receipts, 4);
	ck_assert_uint_eq(demo_count("No such file or directory"), 1);
	ck_assert_uint_eq(demo_count("Operation canceled"), 1);
	ck_assert_uint_eq(demo_count("Connection timed out"), 1);
	ck_assert_uint_eq(demo_count("still at work: /dev/fd/"), 2);
}
END_TEST

START_TEST(a_drain_has_counted_every_line)
{
	demo_succeeds("f=$(mktemp) && seq 1234 >$f && $DEMO/worker_pool $f $f $f;"
		      "s=$?; rm $f; exit $s");
	ck_assert_uint_eq(demo_count("3 jobs = 3 finished + 0 failed"), 1);
	ck_assert_uint_eq(demo_count(" 3702 lines"), 1);
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_not_passed_over)
{
	demo_says(1, "$DEMO/worker_pool /etc 2>&1", "worker_pool: /etc: Is a directory\n");
	ck_assert_uint_eq(demo_count("WRONG"), 0);
	demo_says(1, "$DEMO/worker_pool /dev/null /no/such 2>&1",
		  "worker_pool: /no/such: No such file or directory\n");
	ck_assert_uint_eq(demo_count("WRONG"), 0);
}
END_TEST

START_TEST(output_that_cannot_be_written_is_an_error)
{
	demo_says(1, "$DEMO/worker_pool 2>&1 >/dev/full",
		  "standard output: No space left on device");
	demo_says(1, "$DEMO/worker_pool 2>&1 >&-", "standard output: Bad file descriptor");
}
END_TEST

TESTS("demos/worker_pool", every_ending_leaves_a_receipt_that_adds_up,
      a_drain_has_counted_every_line, a_file_that_cannot_be_read_is_not_passed_over,
      output_that_cannot_be_written_is_an_error)
