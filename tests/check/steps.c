/* SPDX-License-Identifier: MIT */
/*
 * steps.c - steps that hold the loop, and dumps that a signal asks for.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

static struct weir_loop *loop;

static void begin(const struct weir_loop_conf *conf)
{
	loop = test_loop_conf(conf);
}

static void ck_said(const char *text)
{
	ck_assert_msg(strstr(test_report(), text), "no \"%s\" in:\n%s", text, test_report());
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * WEIR_S + (uint64_t)ts.tv_nsec;
}

/* ---- stalls ---- */

#define LIMIT	(2 * WEIR_MS)

struct computes { struct weir_frame co; uint64_t ns; bool at_once; int rc; };

static WEIR_CO(computes, self, op)
{
	uint64_t begun;

	if (!self->at_once)
		WEIR_AWAIT(self->rc, weir_yield(op));
	begun = now();
	while (now() - begun <= self->ns)
		;
}
WEIR_END

START_TEST(a_step_that_holds_the_loop_is_told_with_the_await_it_came_from)
{
	struct weir_loop_stats stats;

	begin(&(struct weir_loop_conf){ .virtual_clock = true, .stall = LIMIT });
	ck_assert_int_eq(weir_run(loop, computes, .ns = LIMIT), 0);
	ck_said("weir: stall: ");
	ck_said(" ms in one step of computes tests/check/steps.c:");
	ck_said(" after  weir_yield(op)\n");
	weir_loop_stats(loop, &stats);
	ck_assert_uint_ge(stats.stalls, 1);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_first_step_is_told_with_who_spawned_it)
{
	begin(&(struct weir_loop_conf){ .stall = LIMIT });
	ck_assert_int_eq(weir_run(loop, computes, .ns = LIMIT, .at_once = true), 0);
	ck_said(" ms in one step of a_first_step_is_told_with_who_spawned_it_fn ");
	ck_said(" after  weir_go(computes)\n");
	test_loop_free(loop);
}
END_TEST

START_TEST(a_first_step_of_a_task_that_nobody_wrote_down_is_told_too)
{
	struct computes frame = { .ns = LIMIT, .at_once = true };

	begin(&(struct weir_loop_conf){ .stall = LIMIT });
	ck_assert_int_eq(weir_spawn(weir_loop_group(loop), computes, &frame, sizeof frame, NULL,
				    NULL), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_said(" ms in the first step of a task\n");
	test_loop_free(loop);
}
END_TEST

START_TEST(a_step_below_the_limit_is_not_told)
{
	begin(&(struct weir_loop_conf){ .stall = WEIR_HOUR });
	ck_assert_int_eq(weir_run(loop, computes, .ns = LIMIT), 0);
	ck_assert_str_eq(test_report(), "");
	test_loop_free(loop);
}
END_TEST

/* ---- signals ---- */

static void ignores(int sig)
{
	(void)sig;
}

static void *handler(int sig)
{
	struct sigaction sa;

	ck_assert_int_eq(sigaction(sig, NULL, &sa), 0);
	return (void *)(uintptr_t)sa.sa_handler;
}

struct raises { struct weir_frame co; int rc; };

static WEIR_CO(raises, self, op)
{
	WEIR_AWAIT(self->rc, weir_yield(op));
	raise(SIGUSR1);
	WEIR_AWAIT(self->rc, weir_yield(op));
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_US));
	WEIR_RETURN(self->rc);
}
WEIR_END

/* Reads fd up to `end`. */
static void read_until(int fd, char *buf, size_t size, char end)
{
	size_t n = 0;

	while (n < size - 1 && read(fd, buf + n, 1) == 1 && buf[n] != end)
		n++;
	buf[n] = '\0';
}

START_TEST(a_signal_has_all_tasks_told)
{
	int fds[2], err = dup(STDERR_FILENO);
	char line[256] = "";

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	begin(&(struct weir_loop_conf){ .dump_signal = SIGUSR1 });
	ck_assert_int_eq(weir_run(loop, raises), 0);
	ck_said("weir: 1 tasks\ntask 1 in the group of its loop ");
	ck_said("  #0 raises steps.c:");
	ck_assert_int_gt(read(fds[0], line, sizeof line - 1), 0);
	ck_assert_ptr_nonnull(strstr(line, "weir: a step runs, of raises tests/check/steps.c:"));
	test_loop_free(loop);
	dup2(err, STDERR_FILENO);
	close(err);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

START_TEST(a_signal_has_all_tasks_told_as_json)
{
	int fds[2], err = dup(STDERR_FILENO);
	char said[1024] = "";

	ck_assert_int_eq(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	begin(&(struct weir_loop_conf){ .dump_signal = SIGUSR1, .dump_json = true });
	ck_assert_int_eq(weir_run(loop, raises), 0);
	test_loop_free(loop);
	dup2(err, STDERR_FILENO);
	close(err);
	close(fds[1]);
	read_until(fds[0], said, sizeof said, '\n');	/* that a step runs */
	read_until(fds[0], said, sizeof said, ']');
	ck_assert_msg(strstr(said, "{\"now\":") == said, "%s", said);
	ck_assert_msg(strstr(said, "\"func\":\"raises\""), "%s", said);
	close(fds[0]);
}
END_TEST

START_TEST(a_dump_that_cannot_be_written_is_told)
{
	int err = dup(STDERR_FILENO);

	begin(&(struct weir_loop_conf){ .dump_signal = SIGUSR1, .dump_json = true });
	close(STDERR_FILENO);
	ck_assert_int_eq(weir_run(loop, raises), 0);
	dup2(err, STDERR_FILENO);
	close(err);
	ck_said("weir: no dump to stderr: Bad file descriptor");
	test_loop_free(loop);
}
END_TEST

START_TEST(the_handler_is_the_programs_again_after_the_last_loop)
{
	struct weir_loop *other;

	signal(SIGUSR1, ignores);
	begin(&(struct weir_loop_conf){ .dump_signal = SIGUSR1 });
	other = test_loop_conf(&(struct weir_loop_conf){ .dump_signal = SIGUSR1 });
	ck_assert_ptr_ne(handler(SIGUSR1), (void *)(uintptr_t)ignores);
	test_loop_free(loop);
	ck_assert_ptr_ne(handler(SIGUSR1), (void *)(uintptr_t)ignores);
	test_loop_free(other);
	ck_assert_ptr_eq(handler(SIGUSR1), (void *)(uintptr_t)ignores);
}
END_TEST

START_TEST(a_signal_that_cannot_be_caught_is_einval)
{
	const int wrong[] = { SIGKILL, -1, 1000 };
	struct weir_loop_conf conf = { 0 };
	size_t i;

	for (i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		conf.dump_signal = wrong[i];
		ck_assert_int_eq(weir_loop_new(&loop, &conf), -EINVAL);
	}
}
END_TEST

struct hangs { struct weir_frame co; int rc; };

static WEIR_CO(hangs, self, op)
{
	WEIR_AWAIT(self->rc, weir_yield(op));
	if (write(STDOUT_FILENO, "!", 1) < 0)
		WEIR_RETURN(-EIO);
	for (;;)
		pause();	/* not busy: ThreadSanitizer keeps signals back from who is */
}
WEIR_END

START_TEST(of_a_step_that_never_ends_the_signal_tells_the_await)
{
	int out[2], err[2], status;
	char said[512];
	pid_t pid;

	ck_assert_int_eq(pipe(out), 0);
	ck_assert_int_eq(pipe(err), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		dup2(err[1], STDERR_FILENO);
		begin(&(struct weir_loop_conf){ .dump_signal = SIGUSR1 });
		weir_run(loop, hangs);
		_exit(1);
	}
	read_until(out[0], said, sizeof said, '!');
	kill(pid, SIGUSR1);
	read_until(err[0], said, sizeof said, '\n');
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(strstr(said, "weir: a step runs, of hangs tests/check/steps.c:"), "%s", said);
	ck_assert_msg(strstr(said, " after  weir_yield(op)"), "%s", said);
	close(out[0]);
	close(out[1]);
	close(err[0]);
	close(err[1]);
}
END_TEST

TESTS("steps",
      a_step_that_holds_the_loop_is_told_with_the_await_it_came_from,
      a_first_step_is_told_with_who_spawned_it,
      a_first_step_of_a_task_that_nobody_wrote_down_is_told_too,
      a_step_below_the_limit_is_not_told,
      a_signal_has_all_tasks_told, a_signal_has_all_tasks_told_as_json,
      a_dump_that_cannot_be_written_is_told,
      the_handler_is_the_programs_again_after_the_last_loop,
      a_signal_that_cannot_be_caught_is_einval,
      of_a_step_that_never_ends_the_signal_tells_the_await)
