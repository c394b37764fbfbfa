/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - the demo of the pipeline: to the end, to a failure, to the first five lines.
 */
#include "demo_kit.h"

#define LINES	"300"
#define COMMAND	"f=$(mktemp) && seq " LINES " >$f && $DEMO/pipeline $f; s=$?; rm $f; exit $s"

START_TEST(it_ends_whichever_stage_ends_first)
{
	unsigned read = 0, printed = 0;
	const char *line;

	demo_succeeds(COMMAND);
	ck_assert_uint_eq(demo_count(LINES " lines read, " LINES " came to the printer"), 1);
	line = strstr(demo_out, "failed\n");
	while (line && sscanf(line, "\n%u lines read, %u came", &read, &printed) < 2)
		line = strchr(line + 1, '\n');
	ck_assert_uint_eq(printed, 1);
	ck_assert_uint_lt(read, 50);
	ck_assert_uint_eq(demo_count("result: No space left on device"), 1);
	ck_assert_uint_eq(demo_count("result: Success"), 2);
	ck_assert_uint_eq(demo_count("\n0 tasks, timers or operations are left"), 1);
}
END_TEST

START_TEST(the_lines_that_are_wanted_come_in_order)
{
	const char *line;
	unsigned stamp, number, i;

	demo_succeeds(COMMAND);
	line = strstr(demo_out, "enough\n");
	ck_assert_ptr_nonnull(line);
	for (i = 1; i <= 5; i++) {
		line = strchr(line, '\n') + 1;
		ck_assert_int_eq(sscanf(line, "%u %u", &stamp, &number), 2);
		ck_assert_uint_eq(number, i);
	}
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named_as_the_cause)
{
	ck_assert_int_eq(demo_run("$DEMO/pipeline /no/such/file 2>&1"), 1);
	ck_assert_str_eq(demo_out, "pipeline: /no/such/file: No such file or directory\n");
}
END_TEST

START_TEST(a_file_that_cannot_be_read_is_named_as_the_cause)
{
	demo_says(1, "$DEMO/pipeline /etc 2>&1", "pipeline: /etc: Is a directory\n");
	ck_assert_uint_eq(demo_count("WRONG"), 0);
	ck_assert_int_eq(demo_run("echo | $DEMO/pipeline /dev/stdin 2>&1"), 1);
	ck_assert_str_eq(demo_out, "pipeline: /dev/stdin: Illegal seek\n");
}
END_TEST

START_TEST(an_empty_file_has_no_lines)
{
	demo_succeeds("$DEMO/pipeline /dev/null");
	ck_assert_uint_eq(demo_count("\n0 lines read, 0 came to the printer, result: Success"), 3);
}
END_TEST

START_TEST(output_that_cannot_be_written_is_an_error)
{
	ck_assert_int_eq(demo_run("$DEMO/pipeline 2>&1 >/dev/full"), 1);
	ck_assert_str_eq(demo_out, "pipeline: standard output cannot be written\n");
	ck_assert_int_eq(demo_run("$DEMO/pipeline 2>&1 >&-"), 1);
	ck_assert_str_eq(demo_out, "pipeline: standard output: Bad file descriptor\n");
}
END_TEST

TESTS("demos/pipeline", it_ends_whichever_stage_ends_first, the_lines_that_are_wanted_come_in_order,
      a_file_that_is_not_there_is_named_as_the_cause,
      a_file_that_cannot_be_read_is_named_as_the_cause, an_empty_file_has_no_lines,
      output_that_cannot_be_written_is_an_error)
