/* SPDX-License-Identifier: MIT */
/* submissions.c - every entry into the ring fails in turn: for a moment, and for good. */
#define _GNU_SOURCE
#include "faults/faults.h"


/* The kernel says -EAGAIN from now on, to all. */
START_TEST(a_ring_that_gets_no_memory_any_more_does_not_hold_up_the_end_of_its_loop)
{
	struct weir_loop *loop;

	count_blocks();
	loop = test_loop();
	fault.kind = SUBMISSION;
	fault.nth = fault.choice = 1;
	fault.on = fault.for_ever = true;
	strcpy(fault.what, "the end of a loop");
	fault_begin();
	ck_assert_int_eq(weir_loop_free(loop), 0);
	fault_end();
	ck_assert_uint_gt(fault.hits, BURST);
	ck_assert_int_eq(n_blocks, 1);	/* the kernel may write to it */
	weir_list_splice_(&graves, &blocks);
}
END_TEST

FAULTS("faults/submissions", SUBMISSION,
       a_ring_that_gets_no_memory_any_more_does_not_hold_up_the_end_of_its_loop)
