/* SPDX-License-Identifier: MIT */
/*
 * misused.c - what conf.check says of misuse that returns an error and does no harm.
 */
#include <string.h>

#include "harness.h"
#include "weir.h"

WEIR_CHAN(ints, int);

static struct weir_loop *loop;
static struct weir_sem sem;
static struct ints ch;

static void begin(bool check)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .virtual_clock = true, .check = check });
	ck_assert_int_eq(weir_chan_init(&ch, loop, 1), 0);
	ck_assert_int_eq(weir_sem_init(&sem, loop, 1), 0);
}

static void end(void)
{
	weir_chan_fini(&ch);
	weir_sem_fini(&sem);
	test_loop_free(loop);
}

static void ck_said(const char *text)
{
	ck_assert_msg(strstr(test_report(), text), "no \"%s\" in:\n%s", text, test_report());
}

struct errs { struct weir_frame co; int item, rc; };

static WEIR_CO(errs, self, op)
{
	WEIR_AWAIT(self->rc, weir_yield(op));
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	WEIR_AWAIT(self->rc, weir_chan_send(op, &ch, &self->item));
	ck_assert_int_eq(self->rc, -EPIPE);
	ck_assert_int_eq(weir_chan_close(&ch), -EPIPE);
	ck_assert_int_eq(weir_sem_release(&sem, 2), -EINVAL);
}
WEIR_END

START_TEST(it_is_named_with_the_object_and_the_await_before)
{
	begin(true);
	ck_assert_int_eq(weir_run(loop, errs), 0);
	ck_said("weir: misuse: send on a closed channel, made at tests/check/misused.c:");
	ck_said(" &ch; by errs tests/check/misused.c:");
	ck_said(" after  weir_yield(op)\n");
	ck_said("weir: misuse: close of a closed channel, made at tests/check/misused.c:");
	ck_said("weir: misuse: release of more permits than are held, made at ");
	ck_assert_uint_eq(weir_chan_stats(&ch)->refused, 2);
	ck_assert_uint_eq(weir_sem_refused(&sem), 1);
	end();
}
END_TEST

START_TEST(of_the_program_around_the_loop_it_is_named_too)
{
	begin(true);
	ck_assert_int_eq(weir_chan_close(&ch), 0);
	ck_assert_int_eq(weir_chan_try_send(&ch, &(int){ 1 }), -EPIPE);
	ck_said("weir: misuse: send on a closed channel, made at tests/check/misused.c:");
	end();
}
END_TEST

START_TEST(a_send_after_a_hangup_is_none)
{
	begin(true);
	ck_assert_int_eq(weir_chan_hangup(&ch), 0);
	ck_assert_int_eq(weir_chan_try_send(&ch, &(int){ 1 }), -EPIPE);
	ck_assert_str_eq(test_report(), "");
	end();
}
END_TEST

START_TEST(without_check_it_is_counted_and_not_told)
{
	begin(false);
	ck_assert_int_eq(weir_run(loop, errs), 0);
	ck_assert_str_eq(test_report(), "");
	ck_assert_uint_eq(weir_chan_stats(&ch)->refused, 2);
	end();
}
END_TEST

TESTS("misused",
      it_is_named_with_the_object_and_the_await_before,
      of_the_program_around_the_loop_it_is_named_too,
      a_send_after_a_hangup_is_none,
      without_check_it_is_counted_and_not_told)
