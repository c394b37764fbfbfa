/* SPDX-License-Identifier: MIT */
/*
 * leaks.c - what weir_loop_free() finds, counts and tells.
 */
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/loop.h"
#include "harness.h"
#include "weir.h"

static struct weir_loop *loop;

static void begin(void)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .virtual_clock = true, .check = true });
}

static void ck_assert_leaks(int n)
{
	ck_assert_int_eq(weir_loop_free(loop), n);
}

static void ck_said(const char *text)
{
	ck_assert_msg(strstr(test_report(), text), "no \"%s\" in:\n%s", text, test_report());
}

struct sleeps { struct weir_frame co; int rc; };

static WEIR_CO(sleeps, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_HOUR));
}
WEIR_END

START_TEST(a_loop_that_is_left_tidy_has_no_leaks_and_nothing_to_tell)
{
	begin();
	ck_assert_int_eq(weir_run(loop, sleeps), 0);
	ck_assert_leaks(0);
	ck_assert_str_eq(test_report(), "");
}
END_TEST

START_TEST(tasks_are_told_with_their_stacks)
{
	struct weir_group group;

	begin();
	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_go(&group, sleeps), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), sleeps), 0);
	ck_assert_int_eq(weir_loop_dispatch(loop), 1);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), sleeps), 0);
	ck_assert_leaks(4);	/* and the group */
	ck_said("weir: leak: 3 tasks when their loop is freed\ntask 1 in the group of ");
	ck_said(" waits for: sleep\n  #0 sleeps leaks.c:");
	ck_said(" in the group of its loop is new\n  #0 (has not begun)\n  by tasks_are_told");
	ck_said("weir: leak: a ctx or group made at tests/check/leaks.c:");
	weir_group_fini(&group);
}
END_TEST

START_TEST(a_ctx_is_told_with_where_it_was_made_and_whether_its_timer_runs)
{
	struct weir_ctx plain, timed, done;
	char text[128];
	int line;

	begin();
	weir_ctx_init(&plain, weir_loop_ctx(loop));
	line = __LINE__ + 1;
	weir_ctx_init_timeout(&timed, &plain, WEIR_HOUR);
	weir_ctx_init_timeout(&done, &timed, WEIR_S);
	weir_ctx_cancel(&done, 0);
	ck_assert_leaks(3);
	snprintf(text, sizeof text, "weir: leak: a ctx with a running timer made at %s:%d\n",
		 __FILE__, line);
	ck_said(text);
	snprintf(text, sizeof text, "weir: leak: a ctx or group made at %s:%d\n", __FILE__,
		 line - 2);
	ck_said(text);
	weir_ctx_fini(&done);
	weir_ctx_fini(&timed);
	weir_ctx_fini(&plain);
}
END_TEST

struct reads { struct weir_frame co; int fd, rc; uint64_t count; };

static WEIR_CO(reads, self, op)
{
	WEIR_AWAIT(self->rc, weir_read(op, self->fd, &self->count, sizeof self->count, -1));
}
WEIR_END

START_TEST(kernel_ops_are_told_also_those_that_wait_for_room)
{
	int i, fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct weir_ctx ctx[10];

	loop = test_loop_conf(&(struct weir_loop_conf){ .ops = 16 });
	for (i = 0; i < 20; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), reads, .fd = fd), 0);
	weir_loop_dispatch(loop);
	for (i = 0; i < 10; i++) {	/* whose polls wait for room and belong to no task */
		weir_ctx_init(&ctx[i], weir_loop_ctx(loop));
		ck_assert_int_eq(weir_ctx_adopt(&ctx[i], fd, 0), 0);
	}
	ck_assert_leaks(20 + 20 + 10);
	ck_said("weir: leak: a kernel op in flight, read, of reads tests/check/leaks.c:");
	for (i = 0; i < 10; i++)
		weir_ctx_fini(&ctx[i]);
	close(fd);
}
END_TEST

START_TEST(open_ports_are_told)
{
	struct weir_port *port[2];

	begin();
	ck_assert_int_eq(weir_port_new(&port[0], loop), 0);
	ck_assert_int_eq(weir_port_new(&port[1], loop), 0);
	ck_assert_leaks(2);
	ck_said("weir: leak: an open port made at tests/check/leaks.c:");
	weir_port_unref(port[0]);
	weir_port_unref(port[1]);
}
END_TEST

WEIR_CHAN(ints, int);

START_TEST(with_check_objects_that_are_not_finished_are_told_with_name_and_place)
{
	struct weir_pipeline pipeline;
	struct weir_limiter limiter;
	struct weir_sem sem;
	struct ints ch;

	begin();
	ck_assert_int_eq(weir_chan_init(&ch, loop, 4), 0);
	ck_assert_int_eq(weir_sem_init(&sem, loop, 4), 0);
	ck_assert_int_eq(weir_limiter_init(&limiter, loop, 1, 1), 0);
	weir_pipeline_init(&pipeline, weir_loop_ctx(loop));
	ck_assert_leaks(4 + 1);	/* the pipeline's group */
	ck_said("weir: leak: a chan that is not finished, made at tests/check/leaks.c:");
	ck_said(" &ch\nweir: leak: a sem that is not finished, made at tests/check/leaks.c:");
	ck_said(" &sem\nweir: leak: a limiter that is not finished, made at ");
	ck_said(" &limiter\nweir: leak: a pipeline that is not finished, made at ");
	weir_chan_fini(&ch);	/* their notes are kept for this */
	weir_sem_fini(&sem);
	weir_limiter_fini(&limiter);
	weir_pipeline_fini(&pipeline);
	weir_group_fini(&pipeline.group);
}
END_TEST

struct opens { struct weir_frame co; bool closes; int fd, rc; };

static int opened;

static WEIR_CO(opens, self, op)
{
	WEIR_AWAIT(self->fd, weir_open(op, "/dev/null", 0, 0));
	ck_assert_int_ge(self->fd, 0);
	opened = self->fd;
	if (self->closes)
		WEIR_AWAIT(self->rc, weir_close(op, self->fd));
}
WEIR_END

START_TEST(with_check_a_descriptor_is_told_with_who_opened_it)
{
	char text[128];

	begin();
	ck_assert_int_eq(weir_run(loop, opens, .closes = true), 0);
	ck_assert_int_eq(weir_run(loop, opens), 0);
	ck_assert_leaks(1);
	snprintf(text, sizeof text, "weir: leak: descriptor %d, opened by opens %s:", opened,
		 __FILE__);
	ck_said(text);
	close(opened);
}
END_TEST

START_TEST(of_many_descriptors_each_is_told_whatever_its_number)
{
	enum { MANY = 200 };
	char text[64];
	int fds[MANY], i;

	begin();
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(weir_run(loop, opens), 0);
		fds[i] = opened;
	}
	ck_assert_leaks(MANY);
	for (i = 0; i < MANY; i++) {
		snprintf(text, sizeof text, "descriptor %d, opened by opens ", fds[i]);
		ck_said(text);
		close(fds[i]);
	}
}
END_TEST

START_TEST(without_check_descriptors_are_not_counted)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1 });
	ck_assert_int_eq(weir_run(loop, opens), 0);
	ck_assert_leaks(0);
	close(opened);
}
END_TEST

TESTS("leaks",
      a_loop_that_is_left_tidy_has_no_leaks_and_nothing_to_tell,
      tasks_are_told_with_their_stacks,
      a_ctx_is_told_with_where_it_was_made_and_whether_its_timer_runs,
      kernel_ops_are_told_also_those_that_wait_for_room,
      open_ports_are_told,
      with_check_objects_that_are_not_finished_are_told_with_name_and_place,
      with_check_a_descriptor_is_told_with_who_opened_it,
      of_many_descriptors_each_is_told_whatever_its_number,
      without_check_descriptors_are_not_counted)
