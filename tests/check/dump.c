/* SPDX-License-Identifier: MIT */
/*
 * dump.c - what weir_dump() says of each task, to the letter but for the numbers of lines.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/loop.h"
#include "harness.h"
#include "weir.h"

#define TEXT_MAX	8192

static struct weir_loop *loop;
static char said[TEXT_MAX], due[TEXT_MAX];
static size_t due_len;
static int leaf_line, middle_line, outer_line, select_line, spawn_line;

static void begin(void)
{
	loop = test_loop();
}

/* What the dump should say, line by line. */
__attribute__((format(printf, 1, 2)))
static void expect(const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(due + due_len, sizeof due - due_len, format, args);
	va_end(args);
	due_len += (size_t)n;
	ck_assert_uint_lt(due_len, sizeof due);
}

static const char *dump(void)
{
	int fd = memfd_create("dump", MFD_CLOEXEC);
	ssize_t n;

	ck_assert_int_ge(fd, 0);
	weir_dump(loop, fd);
	n = pread(fd, said, sizeof said - 1, 0);
	ck_assert_int_ge(n, 0);
	said[n] = '\0';
	close(fd);
	return said;
}

/* All lines since the last time. */
static const char *expected(void)
{
	due[due_len] = '\0';
	due_len = 0;
	return due;
}

/* ---- coroutines ---- */

struct leaf { struct weir_frame co; int rc; };
struct middle { struct weir_frame co; struct leaf leaf; int rc; };
struct outer { struct weir_frame co; struct middle middle; int rc; };

static WEIR_CO(leaf, self, op)
{
	leaf_line = __LINE__ + 1;
	WEIR_AWAIT(self->rc, weir_sleep_until(op, WEIR_FOREVER));
	WEIR_RETURN(self->rc);
}
WEIR_END

static WEIR_CO(middle, self, op)
{
	middle_line = __LINE__ + 1;
	WEIR_CALL(self->rc, self->leaf, leaf);
	WEIR_RETURN(self->rc);
}
WEIR_END

static WEIR_CO(outer, self, op)
{
	outer_line = __LINE__ + 1;
	WEIR_CALL(self->rc, self->middle, middle);
	WEIR_RETURN(self->rc);
}
WEIR_END

static void spawn_outer(void)
{
	spawn_line = __LINE__ + 1;
	ck_assert_int_eq(weir_go(weir_loop_group(loop), outer), 0);
}

static void expect_spawned(const char *by, const char *name)
{
	expect("  by %s dump.c:%d  weir_go(%s)\n", by, spawn_line, name);
}

static void end(void)
{
	weir_group_cancel(weir_loop_group(loop), 0);
	weir_loop_run(loop);
	test_loop_free(loop);
}

/* ---- tests ---- */

START_TEST(a_loop_without_tasks_has_nothing_to_say)
{
	begin();
	ck_assert_str_eq(dump(), expected());
	end();
}
END_TEST

START_TEST(nested_frames_are_listed_from_the_innermost)
{
	begin();
	spawn_outer();
	weir_loop_dispatch(loop);
	expect("task 1 in the group of its loop waits for: sleep\n");
	expect("  #0 leaf dump.c:%d  weir_sleep_until(op, WEIR_FOREVER)\n", leaf_line);
	expect("  #1 middle dump.c:%d  leaf()\n", middle_line);
	expect("  #2 outer dump.c:%d  middle()\n", outer_line);
	expect_spawned("spawn_outer", "outer");
	ck_assert_str_eq(dump(), expected());
	end();
}
END_TEST

START_TEST(a_task_that_has_not_begun_and_one_that_is_ready_are_told_apart)
{
	begin();
	spawn_outer();
	expect("task 1 in the group of its loop is new\n");
	expect("  #0 (has not begun)\n");
	expect_spawned("spawn_outer", "outer");
	ck_assert_str_eq(dump(), expected());
	weir_loop_dispatch(loop);
	weir_group_cancel(weir_loop_group(loop), 0);
	expect("task 1 in the group of its loop is ready after: sleep\n");
	expect("  #0 leaf dump.c:%d  weir_sleep_until(op, WEIR_FOREVER)\n", leaf_line);
	expect("  #1 middle dump.c:%d  leaf()\n", middle_line);
	expect("  #2 outer dump.c:%d  middle()\n", outer_line);
	expect_spawned("spawn_outer", "outer");
	ck_assert_str_eq(dump(), expected());
	end();
}
END_TEST

WEIR_CHAN(ints, int);

static struct ints ch;

struct selects { struct weir_frame co; struct weir_arm arm[3]; int item, rc; };

static WEIR_CO(selects, self, op)
{
	weir_ready(weir_chan_recv(&self->arm[0].op, &ch, &self->item));
	weir_ready(weir_sleep(&self->arm[1].op, WEIR_HOUR));
	weir_ready(weir_ctx_wait(&self->arm[2].op, weir_op_ctx(op)));
	select_line = __LINE__ + 1;
	WEIR_AWAIT(self->rc, weir_select(op, self->arm, 3));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(the_arms_of_a_select_are_listed)
{
	struct weir_group group;
	int line;

	begin();
	ck_assert_int_eq(weir_chan_init(&ch, loop, 0), 0);
	line = __LINE__ + 1;
	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	spawn_line = __LINE__ + 1;
	ck_assert_int_eq(weir_go(&group, selects), 0);
	weir_loop_dispatch(loop);
	expect("task 1 in the group of dump.c:%d waits for: select\n", line);
	expect("     arm 0: chan recv, chan &ch made at dump.c:%d: a rendezvous, 1 receiver "
	       "waits\n", line - 2);
	expect("     arm 1: sleep\n");
	expect("     arm 2: ctx wait, the ctx made at dump.c:%d\n", line);
	expect("  #0 selects dump.c:%d  weir_select(op, self->arm, 3)\n", select_line);
	expect_spawned("the_arms_of_a_select_are_listed_fn", "selects");
	ck_assert_str_eq(dump(), expected());
	weir_group_cancel(&group, 0);
	while (group.active)
		weir_loop_dispatch(loop);
	weir_group_fini(&group);
	weir_chan_fini(&ch);
	end();
}
END_TEST

struct shielded { struct weir_frame co; struct weir_ctx ctx; int rc; };

static WEIR_CO(shielded, self, op)
{
	weir_shield(op, &self->ctx, WEIR_HOUR);
	WEIR_AWAIT(self->rc, weir_sleep_until(op, WEIR_FOREVER));
	weir_unshield(op, &self->ctx);
}
WEIR_END

START_TEST(tasks_under_a_shield_are_not_forgotten)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), shielded), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), leaf), 0);
	weir_loop_dispatch(loop);
	dump();
	ck_assert_ptr_nonnull(strstr(said, "  #0 shielded dump.c:"));
	ck_assert_ptr_nonnull(strstr(said, "  #0 leaf dump.c:"));
	end();
}
END_TEST

struct dumps { struct weir_frame co; int rc; };

static WEIR_CO(dumps, self, op)
{
	WEIR_AWAIT(self->rc, weir_yield(op));
	dump();
}
WEIR_END

START_TEST(a_task_may_ask_for_the_dump_itself)
{
	begin();
	ck_assert_int_eq(weir_run(loop, dumps), 0);
	ck_assert_ptr_nonnull(strstr(said, "task 1 in the group of its loop runs\n  #0 dumps"));
	end();
}
END_TEST

struct dumps_first { struct weir_frame co; };

static WEIR_CO(dumps_first, self, op)
{
	dump();
}
WEIR_END

struct calls_one { struct weir_frame co; struct dumps_first child; int rc; };

static WEIR_CO(calls_one, self, op)
{
	WEIR_CALL(self->rc, self->child, dumps_first);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_task_runs_in_the_first_step_of_what_it_calls)
{
	begin();
	ck_assert_int_eq(weir_run(loop, calls_one), 0);
	ck_assert_ptr_nonnull(strstr(said, "task 1 in the group of its loop runs\n  #0 (has not"));
	end();
}
END_TEST

struct talks { struct weir_frame co; int rc; };

#define X10(x)	x + x + x + x + x + x + x + x + x + x

static WEIR_CO(talks, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_HOUR + X10(X10(X10(0)))));
}
WEIR_END

START_TEST(a_line_that_is_too_long_is_cut)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), talks), 0);
	weir_loop_dispatch(loop);
	dump();
	ck_assert_ptr_nonnull(strstr(said, "\n  by "));
	end();
}
END_TEST

START_TEST(a_dump_that_nobody_can_read_does_no_harm)
{
	begin();
	spawn_outer();
	weir_dump(loop, -1);
	weir_dump(loop, 1000);
	expect("task 1 in the group of its loop is new\n  #0 (has not begun)\n");
	expect_spawned("spawn_outer", "outer");
	ck_assert_str_eq(dump(), expected());
	end();
}
END_TEST

TESTS("dump",
      a_loop_without_tasks_has_nothing_to_say,
      nested_frames_are_listed_from_the_innermost,
      a_task_that_has_not_begun_and_one_that_is_ready_are_told_apart,
      the_arms_of_a_select_are_listed,
      tasks_under_a_shield_are_not_forgotten,
      a_task_may_ask_for_the_dump_itself, a_task_runs_in_the_first_step_of_what_it_calls,
      a_line_that_is_too_long_is_cut,
      a_dump_that_nobody_can_read_does_no_harm)
