/* SPDX-License-Identifier: MIT */
/* sound.c - everything at once, on kernels that do nothing that a program need notice. */
#include "mixed.h"

START_TEST(everything_at_once_on_a_sound_kernel)
{
	ck_assert_int_eq(weir_check_run(mixed, .loop.ops = OPS), 0);
}
END_TEST

TESTS("sound", everything_at_once_on_a_sound_kernel)
