/* SPDX-License-Identifier: MIT */
/*
 * harness.h - what every test program shares.
 *
 * A test program is a list of START_TEST()s and, at its end, TESTS("chan", a, b, c), which is its
 * main().  Each test runs in a process of its own and fails if it leaves a descriptor open or
 * memory allocated; test_loop_free() adds tasks, ops and timers.  Where the kernel refuses
 * io_uring the program is skipped, and says why.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>

#include "weir/loop.h"

#define TESTS(name, ...)								\
	int main(void)									\
	{										\
		const TTest *const tests[] = { __VA_ARGS__ };				\
											\
		return test_main(name, tests, sizeof tests / sizeof *tests);		\
	}

int test_main(const char *name, const TTest *const *tests, size_t n);

/* A loop on the virtual clock, with a fixed seed; what it reports is kept.  TEST_CHECK=1 in the
 * environment sets conf.check, and fails a test whose loop then thinks of a partial deadlock. */
struct weir_loop *test_loop(void);

/* As test_loop(), but never with conf.check: no allocation is but for a note. */
struct weir_loop *test_loop_plain(void);

/* As test_loop(), by conf; its report and report_arg are set. */
struct weir_loop *test_loop_conf(const struct weir_loop_conf *conf);

/* Frees the loop and fails the test if anything was left in it. */
void test_loop_free(struct weir_loop *loop);

/* All that the loops of this test have reported. */
const char *test_report(void);

/* The nth allocation from now fails, counting from 1; 0 lets all succeed.  Says whether the one
 * asked for before has failed, so a test can try them all:
 *
 *	for (n = 1, rc = -ENOMEM; rc == -ENOMEM; n++) {
 *		test_fail_alloc(n);
 *		rc = weir_chan_init(&ch, loop, 16);
 *		ck_assert(test_fail_alloc(0) == (rc == -ENOMEM));
 *	}
 */
bool test_fail_alloc(unsigned n);

/* Blocks of memory that are allocated now. */
long test_blocks(void);

/* n; where everything is slower, under valgrind, a sanitizer or gcov, a tenth of that. */
unsigned test_some(unsigned n);

/* valgrind keeps RLIMIT_NOFILE to itself: the kernel goes on as before. */
bool test_on_valgrind(void);

/* A use of freed memory would end the test: under valgrind or a sanitizer. */
bool test_sees_freed(void);

/* Descriptors open in this process. */
unsigned test_fds(void);

#endif
