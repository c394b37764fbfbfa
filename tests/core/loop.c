/* SPDX-License-Identifier: MIT */
/*
 * loop.c - making, running and freeing a loop, and all that may go wrong on the way.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "aborts.h"
#include "harness.h"
#include "kit.h"

#define E1	(-1001)

static struct weir_loop *loop;

static void begin(void)
{
	loop = test_loop();
}

/* ---- coroutines ---- */

struct returns { struct weir_frame co; uint64_t ns; int result, rc; };

static WEIR_CO(returns, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	WEIR_RETURN(self->rc < 0 ? self->rc : self->result);
}
WEIR_END

struct never_ends { struct weir_frame co; int rc; };

static WEIR_CO(never_ends, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep_until(op, WEIR_FOREVER));
	WEIR_RETURN(self->rc);
}
WEIR_END

/* ---- making ---- */

START_TEST(a_loop_without_memory_is_not_made_and_leaves_nothing)
{
	const struct weir_loop_conf conf = { .virtual_clock = true, .check = true };
	struct weir_loop *l = NULL;
	unsigned n, fds = test_fds();
	int rc = -ENOMEM;

	for (n = 1; rc == -ENOMEM; n++) {
		test_fail_alloc(n);
		rc = weir_loop_new(&l, &conf);
		ck_assert(test_fail_alloc(0) == (rc == -ENOMEM));
		if (rc < 0)
			ck_assert_uint_eq(test_fds(), fds);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 5);
	ck_assert_int_eq(weir_loop_free(l), 0);
}
END_TEST

START_TEST(a_loop_without_descriptors_is_not_made_and_leaves_nothing)
{
	struct rlimit old, few;
	struct weir_loop *l = NULL;
	unsigned n, fds = test_fds();
	int rc = -EMFILE;

	getrlimit(RLIMIT_NOFILE, &old);
	for (n = 0; rc == -EMFILE; n++) {
		int first = open("/dev/null", O_RDONLY | O_CLOEXEC);

		close(first);	/* the lowest free number */
		few = (struct rlimit){ (rlim_t)first + n, old.rlim_max };
		setrlimit(RLIMIT_NOFILE, &few);
		rc = weir_loop_new(&l, NULL);
		setrlimit(RLIMIT_NOFILE, &old);
		if (rc < 0)
			ck_assert_uint_eq(test_fds(), fds);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 1);
	ck_assert_int_eq(weir_loop_free(l), 0);
}
END_TEST

START_TEST(a_conf_out_of_range_is_refused)
{
	struct weir_loop *l;

	ck_assert_int_eq(weir_loop_new(&l, &(struct weir_loop_conf){ .ops = 65537 }), -EINVAL);
	ck_assert_int_eq(weir_loop_new(&l, &(struct weir_loop_conf){ .entries = 32769 }), -EINVAL);
}
END_TEST

START_TEST(loops_of_one_seed_draw_the_same_numbers)
{
	const struct weir_loop_conf conf[] = { { .seed = 7 }, { .seed = 7 }, { .seed = 8 }, { 0 } };
	uint64_t drawn[4][8];
	int i, k;

	for (i = 0; i < 4; i++) {
		loop = test_loop_conf(&conf[i]);
		for (k = 0; k < 8; k++)
			drawn[i][k] = weir_random(loop);
		test_loop_free(loop);
	}
	ck_assert_mem_eq(drawn[0], drawn[1], sizeof *drawn);
	ck_assert_mem_ne(drawn[0], drawn[2], sizeof *drawn);
	ck_assert_mem_ne(drawn[0], drawn[3], sizeof *drawn);
}
END_TEST

/* ---- running ---- */

START_TEST(run_returns_the_first_error_and_the_loop_is_as_new)
{
	struct weir_group *g;

	begin();
	g = weir_loop_group(loop);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(weir_go(g, returns, .ns = WEIR_S, .result = E1), 0);
	ck_assert_int_eq(weir_go(g, returns, .ns = WEIR_HOUR, .result = 7), 0);
	ck_assert_int_eq(weir_loop_run(loop), E1);
	ck_assert_ptr_eq(weir_loop_group(loop), g);
	ck_assert_int_eq(weir_run(loop, returns, .result = 7), 0);
	ck_assert_int_eq(weir_group_limit(g, 1), 0);
	ck_assert_int_eq(weir_run(loop, returns, .result = E1 - 1), E1 - 1);
	ck_assert_int_eq(weir_run(loop, returns), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(run_returns_what_the_spawn_returned_if_that_failed)
{
	begin();
	ck_assert_int_eq(weir_group_limit(weir_loop_group(loop), 0), 0);
	ck_assert_int_eq(weir_run(loop, returns), -EAGAIN);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_loop_whose_root_is_cancelled_runs_nothing_any_more)
{
	begin();
	weir_ctx_cancel(weir_loop_ctx(loop), E1);
	ck_assert_int_eq(weir_run(loop, returns), -ECANCELED);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(dispatch_runs_one_turn_and_says_how_many_tasks_are_left)
{
	enum { LEFT = 44, TASKS = 2 * WEIR_TURN_TASKS + LEFT };
	struct weir_loop_stats s;
	int i;

	begin();
	ck_assert_int_eq(weir_loop_dispatch(loop), 0);
	for (i = 0; i < TASKS; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), returns), 0);
	ck_assert_int_eq(weir_loop_dispatch(loop), TASKS - WEIR_TURN_TASKS);
	ck_assert_int_eq(weir_loop_dispatch(loop), LEFT);
	ck_assert_int_eq(weir_loop_dispatch(loop), 0);
	weir_loop_stats(loop, &s);
	ck_assert_uint_eq(s.resumes, TASKS);
	ck_assert_uint_eq(s.turns, 4);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), returns, .result = E1), 0);
	ck_assert_int_eq(weir_loop_dispatch(loop), E1);
	ck_assert_int_eq(weir_loop_dispatch(loop), 0);
	test_loop_free(loop);
}
END_TEST

struct reenters { struct weir_frame co; };

static WEIR_CO(reenters, self, op)
{
	ck_assert_int_eq(weir_loop_run(loop), -EBUSY);
	ck_assert_int_eq(weir_loop_dispatch(loop), -EBUSY);
	ck_assert_int_eq(weir_loop_free(loop), -EBUSY);
}
WEIR_END

START_TEST(a_task_can_neither_run_nor_free_its_loop)
{
	begin();
	ck_assert_int_eq(weir_run(loop, reenters), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_deadlock_is_returned_and_can_be_undone)
{
	begin();
	ck_assert_int_eq(weir_run(loop, never_ends), -EDEADLK);
	ck_assert_int_eq(weir_loop_run(loop), -EDEADLK);
	weir_group_cancel(weir_loop_group(loop), 0);
	ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
	ck_assert_int_eq(weir_run(loop, returns), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(only_a_virtual_clock_is_advanced_by_hand)
{
	uint64_t began;

	begin();
	began = weir_now(loop);
	ck_assert_int_eq(weir_advance(loop, WEIR_HOUR), 0);
	ck_assert_uint_eq(weir_now(loop), began + WEIR_HOUR);
	ck_assert_int_eq(weir_advance(loop, WEIR_FOREVER), 0);
	ck_assert_uint_eq(weir_now(loop), WEIR_FOREVER);
	test_loop_free(loop);

	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1 });
	ck_assert_int_eq(weir_advance(loop, 1), -EINVAL);
	test_loop_free(loop);
}
END_TEST

/* Closes the ring under the loop. */
static void break_the_ring(void)
{
	char path[300], target[64];
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *e;
	ssize_t len;

	while ((e = readdir(dir))) {
		snprintf(path, sizeof path, "/proc/self/fd/%s", e->d_name);
		len = readlink(path, target, sizeof target - 1);
		target[len > 0 ? len : 0] = '\0';
		if (!strcmp(target, "anon_inode:[io_uring]"))
			close(atoi(e->d_name));
	}
	closedir(dir);
}

/* For valgrind: what the kernel might still write to is kept on purpose, and by nobody else. */
static struct weir_backend *volatile kept;

static void run_on_a_broken_ring(void)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1 });
	weir_loop_dispatch(loop);
	break_the_ring();
	if (weir_run(loop, returns, .ns = WEIR_HOUR) != -EIO)
		_exit(1);
	kept = loop->be;
	if (weir_loop_free(loop) != 1)
		_exit(2);
}

START_TEST(a_ring_that_fails_is_an_error_and_no_endless_loop)
{
	kit_in_child(run_on_a_broken_ring);
}
END_TEST

/* ---- other threads, other processes ---- */

static void *run_loop(void *arg)
{
	(void)arg;
	weir_loop_run(loop);
	return NULL;
}

static void *cancel_root(void *arg)
{
	(void)arg;
	weir_ctx_cancel(weir_loop_ctx(loop), 0);
	return NULL;
}

static void on_a_thread(void *(*fn)(void *))
{
	pthread_t thread;

	begin();
	pthread_create(&thread, NULL, fn, NULL);
	pthread_join(thread, NULL);
}

static void run_on_another_thread(void)
{
	on_a_thread(run_loop);
}

static void cancel_on_another_thread(void)
{
	on_a_thread(cancel_root);
}

START_TEST(another_thread_that_uses_the_loop_is_stopped_by_name)
{
	ck_aborts(run_on_another_thread, "a loop is used by a thread that is not its own");
	ck_aborts(cancel_on_another_thread, "a loop is used by a thread that is not its own");
}
END_TEST

static struct weir_port *port;

static void use_the_parents_loop(void)
{
	if (weir_loop_run(loop) != -ECHILD)
		_exit(1);
	if (weir_loop_dispatch(loop) != -ECHILD)
		_exit(2);
	if (weir_loop_free(loop) != -ECHILD)
		_exit(3);
	if (weir_ctx_fd(weir_loop_ctx(loop)) != -ECHILD)
		_exit(4);
	if (weir_ctx_adopt(weir_loop_ctx(loop), STDERR_FILENO, 0) != -ECHILD)
		_exit(5);
	if (weir_post(port, &(struct weir_msg){ 0 }) != -ECHILD)
		_exit(6);
	weir_port_close(port);
}

struct forks { struct weir_frame co; int fd, rc; uint64_t count; };

static WEIR_CO(forks, self, op)
{
	kit_in_child(use_the_parents_loop);
	eventfd_write(self->fd, 5);
	WEIR_AWAIT(self->rc, kit_read(op, self->fd, &self->count));
	kit_in_child(use_the_parents_loop);
	ck_assert_int_eq(self->rc, 8);
	ck_assert_uint_eq(self->count, 5);
}
WEIR_END

START_TEST(a_forked_child_cannot_use_the_loop_and_does_it_no_harm)
{
	int fd = kit_eventfd();

	begin();
	ck_assert_int_eq(weir_port_new(&port, loop), 0);
	kit_in_child(use_the_parents_loop);
	ck_assert_int_eq(weir_run(loop, forks, .fd = fd), 0);
	kit_in_child(use_the_parents_loop);
	weir_port_close(port);
	weir_port_unref(port);
	test_loop_free(loop);
	close(fd);
}
END_TEST

/* ---- freeing ---- */

static void ck_reported(const char *text)
{
	ck_assert_msg(strstr(test_report(), text), "not in %s", test_report());
}

START_TEST(to_free_no_loop_is_nothing)
{
	ck_assert_int_eq(weir_loop_free(NULL), 0);
}
END_TEST

static bool cleaned;

struct cleans { struct weir_frame co; struct weir_ctx shield; uint64_t limit; int rc, late; };

static WEIR_CO(cleans, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_HOUR));
	weir_shield(op, &self->shield, self->limit);
	WEIR_AWAIT(self->late, weir_sleep(op, WEIR_MIN));
	WEIR_AWAIT(self->late, weir_sleep(op, WEIR_MIN));
	cleaned = self->late == 0;
	weir_unshield(op, &self->shield);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(free_counts_tells_and_unwinds_the_tasks_that_are_left)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), cleans, .limit = WEIR_HOUR), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), never_ends), 0);
	ck_assert_int_eq(weir_loop_dispatch(loop), 2);
	ck_assert_int_eq(weir_loop_free(loop), 2);
	ck_assert(cleaned);
	ck_reported("weir: leak: 2 tasks when their loop is freed");
}
END_TEST

START_TEST(cleanup_that_hangs_ends_with_its_shield)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), cleans, .limit = WEIR_S), 0);
	ck_assert_int_eq(weir_loop_dispatch(loop), 1);
	ck_assert_int_eq(weir_loop_free(loop), 1);
	ck_assert(!cleaned);
}
END_TEST

START_TEST(a_ctx_or_group_left_behind_is_a_leak_and_still_safe_to_end)
{
	struct weir_ctx parent, child, detached;
	struct weir_group group;

	begin();
	weir_ctx_init_timeout(&parent, weir_loop_ctx(loop), WEIR_HOUR);
	weir_ctx_init(&child, &parent);
	weir_ctx_init_detached(&detached, weir_loop_ctx(loop), WEIR_FOREVER);
	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	ck_assert_int_ge(weir_ctx_fd(&child), 0);
	ck_assert_int_eq(weir_loop_free(loop), 4);
	ck_reported("weir: leak: a ctx with a running timer made at tests/core/loop.c:");
	ck_reported("weir: leak: a ctx or group made at tests/core/loop.c:");
	ck_assert_int_eq(weir_ctx_err(&child), -ECANCELED);
	ck_assert_int_eq(weir_ctx_err(&detached), -ECANCELED);
	weir_ctx_fini(&detached);
	weir_ctx_fini(&child);
	weir_ctx_fini(&parent);
	weir_group_fini(&group);
}
END_TEST

START_TEST(who_wants_no_report_still_learns_how_much_was_left)
{
	struct weir_ctx left;

	ck_assert_int_eq(weir_loop_new(&loop, &(struct weir_loop_conf){ .check = true }), 0);
	weir_ctx_init(&left, weir_loop_ctx(loop));
	ck_assert_int_eq(weir_loop_free(loop), 1);
	weir_ctx_fini(&left);
}
END_TEST

static bool not_now(struct weir_op *op)
{
	(void)op;
	return false;
}

/* Cannot be called off. */
static const struct weir_op_def stubborn_def = {
	.name = "stubborn", .park = not_now, .cancel = not_now,
};
static const struct weir_op_def stubborn_read_def = {
	.name = "stubborn read", .park = weir_kernel_park_, .cancel = not_now,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_READ,
};

struct stubborn { struct weir_frame co; int fd, rc; uint64_t count; };

static WEIR_CO(stubborn, self, op)
{
	if (self->fd >= 0) {
		struct weir_op *read = kit_read(op, self->fd, &self->count);

		read->def = &stubborn_read_def;
	} else {
		op->def = &stubborn_def;
	}
	WEIR_AWAIT(self->rc, op);
}
WEIR_END

struct busy { struct weir_frame co; int rc; };

static WEIR_CO(busy, self, op)
{
	for (;;)
		WEIR_AWAIT(self->rc, weir_yield(op));
}
WEIR_END

/* In a child: memory is abandoned. */
static void free_in_vain(int leaks, const char *says)
{
	weir_loop_dispatch(loop);
	loop->be->ops->limit(loop->be, 10 * WEIR_MS);	/* instead of 2 s */
	if (weir_loop_free(loop) != leaks || !strstr(test_report(), says))
		_exit(1);
}

static void leave_a_task_that_does_not_end(void)
{
	begin();
	weir_go(weir_loop_group(loop), stubborn, .fd = -1);
	free_in_vain(1, "weir: leak: memory of 1 tasks that have not ended");
}

static void leave_a_task_that_does_not_listen(void)
{
	begin();
	weir_go(weir_loop_group(loop), busy);
	free_in_vain(1, "weir: leak: memory of 1 tasks that have not ended");
}

static void leave_an_op_that_does_not_end(void)
{
	begin();
	weir_go(weir_loop_group(loop), stubborn, .fd = kit_eventfd());
	free_in_vain(2, "weir: leak: memory of 1 kernel ops that have not ended");
}

static int run_on(void *running)
{
	eventfd_write(*(int *)running, 1);
	while (pause())
		;
	return 0;
}

struct works { struct weir_frame co; int running, rc; };

static WEIR_CO(works, self, op)
{
	WEIR_AWAIT(self->rc, weir_work(op, NULL, run_on, &self->running));
}
WEIR_END

static void leave_a_job_that_does_not_end(void)
{
	eventfd_t count;
	int running = eventfd(0, EFD_CLOEXEC);

	begin();
	weir_go(weir_loop_group(loop), works, .running = running);
	weir_loop_dispatch(loop);
	eventfd_read(running, &count);
	free_in_vain(1, "weir: leak: memory of 1 tasks that have not ended");
}

START_TEST(what_does_not_end_in_time_is_given_up)
{
	kit_in_child(leave_a_job_that_does_not_end);
	kit_in_child(leave_a_task_that_does_not_end);
	kit_in_child(leave_a_task_that_does_not_listen);
	kit_in_child(leave_an_op_that_does_not_end);
}
END_TEST

TESTS("loop",
      a_loop_without_memory_is_not_made_and_leaves_nothing,
      a_loop_without_descriptors_is_not_made_and_leaves_nothing,
      a_conf_out_of_range_is_refused,
      loops_of_one_seed_draw_the_same_numbers,
      run_returns_the_first_error_and_the_loop_is_as_new,
      run_returns_what_the_spawn_returned_if_that_failed,
      a_loop_whose_root_is_cancelled_runs_nothing_any_more,
      dispatch_runs_one_turn_and_says_how_many_tasks_are_left,
      a_task_can_neither_run_nor_free_its_loop,
      a_deadlock_is_returned_and_can_be_undone,
      only_a_virtual_clock_is_advanced_by_hand,
      a_ring_that_fails_is_an_error_and_no_endless_loop,
      another_thread_that_uses_the_loop_is_stopped_by_name,
      a_forked_child_cannot_use_the_loop_and_does_it_no_harm,
      to_free_no_loop_is_nothing,
      free_counts_tells_and_unwinds_the_tasks_that_are_left,
      cleanup_that_hangs_ends_with_its_shield,
      a_ctx_or_group_left_behind_is_a_leak_and_still_safe_to_end,
      who_wants_no_report_still_learns_how_much_was_left,
      what_does_not_end_in_time_is_given_up)
