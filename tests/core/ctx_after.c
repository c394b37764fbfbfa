/* SPDX-License-Identifier: MIT */
/*
 * ctx_after.c - callbacks for when a ctx is done: Go's AfterFunc.
 */
#include <string.h>

#include "core/loop.h"
#include "harness.h"
#include "weir.h"

static struct weir_loop *loop;
static struct weir_ctx *root, ctx;

static void begin(void)
{
	loop = test_loop();
	root = weir_loop_ctx(loop);
}

static struct weir_after after[4];
static int ran[4];

static void count(struct weir_after *f)
{
	ran[f - after]++;
}

START_TEST(a_callback_runs_once_after_the_cancel_has_returned)
{
	begin();
	weir_ctx_init(&ctx, root);
	weir_ctx_after(&ctx, &after[0], count);
	weir_ctx_after(&ctx, &after[1], count);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0], 0);
	weir_ctx_cancel(&ctx, 0);
	ck_assert_int_eq(ran[0], 0);
	weir_loop_dispatch(loop);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0], 1);
	ck_assert_int_eq(ran[1], 1);
	ck_assert(!weir_ctx_after_stop(&after[0]));
	weir_ctx_fini(&ctx);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_callback_that_is_stopped_does_not_run)
{
	begin();
	weir_ctx_init(&ctx, root);
	weir_ctx_after(&ctx, &after[0], count);
	weir_ctx_after(&ctx, &after[1], count);
	ck_assert(weir_ctx_after_stop(&after[0]));
	ck_assert(!weir_ctx_after_stop(&after[0]));
	weir_ctx_cancel(&ctx, 0);
	ck_assert(weir_ctx_after_stop(&after[1]));	/* due, but not begun */
	ck_assert(!weir_ctx_after_stop(&after[1]));
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0] + ran[1], 0);
	weir_ctx_fini(&ctx);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_callback_on_a_ctx_that_is_done_runs_in_the_next_turn)
{
	begin();
	weir_ctx_init(&ctx, root);
	weir_ctx_cancel(&ctx, 0);
	weir_ctx_after(&ctx, &after[0], count);
	ck_assert_int_eq(ran[0], 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0], 1);
	weir_ctx_fini(&ctx);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_ctx_that_goes_takes_its_callbacks_along_even_if_they_are_due)
{
	begin();
	weir_ctx_init(&ctx, root);
	weir_ctx_after(&ctx, &after[0], count);
	weir_ctx_fini(&ctx);
	ck_assert(!weir_ctx_after_stop(&after[0]));

	weir_ctx_init(&ctx, root);
	weir_ctx_after(&ctx, &after[0], count);
	weir_ctx_cancel(&ctx, 0);
	weir_ctx_after(&ctx, &after[1], count);
	weir_ctx_fini(&ctx);
	memset(&ctx, 0xff, sizeof ctx);
	memset(after, 0xff, sizeof after);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0] + ran[1], 0);
	test_loop_free(loop);
}
END_TEST

static void fini_and_count(struct weir_after *f)
{
	weir_ctx_fini(&ctx);
	memset(&ctx, 0xff, sizeof ctx);
	count(f);
}

START_TEST(a_callback_may_end_the_ctx_and_so_stop_the_next)
{
	begin();
	weir_ctx_init(&ctx, root);
	weir_ctx_after(&ctx, &after[0], fini_and_count);
	weir_ctx_after(&ctx, &after[1], count);
	weir_ctx_cancel(&ctx, 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(ran[0], 1);
	ck_assert_int_eq(ran[1], 0);
	test_loop_free(loop);
}
END_TEST

static void again(struct weir_after *f)
{
	count(f);
	weir_ctx_after(&ctx, f, again);
}

START_TEST(a_callback_that_asks_for_itself_again_runs_once_a_turn)
{
	int i;

	begin();
	weir_ctx_init(&ctx, root);
	weir_ctx_cancel(&ctx, 0);
	weir_ctx_after(&ctx, &after[0], again);
	for (i = 1; i <= 5; i++) {
		weir_loop_dispatch(loop);
		ck_assert_int_eq(ran[0], i);
	}
	weir_ctx_fini(&ctx);
	test_loop_free(loop);
}
END_TEST

TESTS("ctx_after",
      a_callback_runs_once_after_the_cancel_has_returned,
      a_callback_that_is_stopped_does_not_run,
      a_callback_on_a_ctx_that_is_done_runs_in_the_next_turn,
      a_ctx_that_goes_takes_its_callbacks_along_even_if_they_are_due,
      a_callback_may_end_the_ctx_and_so_stop_the_next,
      a_callback_that_asks_for_itself_again_runs_once_a_turn)
