/* SPDX-License-Identifier: MIT */
/* failing.c - everything at once, on kernels that fail, and whose clocks jump. */
#include "mixed.h"

START_TEST(everything_at_once_on_a_kernel_that_fails)
{
	ck_assert_int_eq(weir_check_run(mixed, .loop.ops = OPS, .trouble = WEIR_SIM_ALL), 0);
}
END_TEST

TESTS("failing", everything_at_once_on_a_kernel_that_fails)
