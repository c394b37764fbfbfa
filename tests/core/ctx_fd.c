/* SPDX-License-Identifier: MIT */
/*
 * ctx_fd.c - a ctx as a descriptor: seen from, and cancelled from, other loops, threads, processes
 * and signal handlers; and descriptors that a ctx adopts.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "harness.h"
#include "kit.h"

#define CAUSE	(-1001)

static struct weir_loop *loop;
static struct weir_ctx *root, ctx;
static pid_t loop_tid;

static void begin(void)
{
	loop = test_loop();
	root = weir_loop_ctx(loop);
	weir_ctx_init(&ctx, root);
	loop_tid = kit_tid();
}

static void end(void)
{
	weir_ctx_fini(&ctx);
	test_loop_free(loop);
}

static int ctx_fd(void)
{
	int fd = weir_ctx_fd(&ctx);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void ck_done(int err, int cause)
{
	ck_assert_int_eq(weir_ctx_err(&ctx), err);
	ck_assert_int_eq(weir_ctx_cause(&ctx), cause);
}

struct sleeps { struct weir_frame co; struct weir_ctx *ctx; int rc; };

/* Sleeps for ever under ctx, and is content with its end. */
static WEIR_CO(sleeps, self, op)
{
	weir_ctx_enter(op, self->ctx);
	WEIR_AWAIT(self->rc, weir_sleep_until(op, WEIR_FOREVER));
	weir_ctx_leave(op, self->ctx);
	WEIR_RETURN(self->rc == weir_ctx_err(self->ctx) ? 0 : -EPROTO);
}
WEIR_END

/* Runs until ctx is done. */
static void run(void)
{
	ck_assert_int_eq(weir_run(loop, sleeps, .ctx = &ctx), 0);
}

/* ---- seen ---- */

START_TEST(the_fd_is_made_when_asked_for_and_stays_the_same)
{
	unsigned fds;
	int fd;

	begin();
	fds = test_fds();
	fd = ctx_fd();
	ck_assert_uint_eq(test_fds(), fds + 1);
	ck_assert_int_eq(weir_ctx_fd(&ctx), fd);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert(!kit_readable(fd));
	end();
}
END_TEST

START_TEST(the_fd_is_readable_once_the_ctx_is_done_and_stays_so)
{
	int i;

	begin();
	ck_assert(!kit_readable(ctx_fd()));
	weir_ctx_cancel(root, CAUSE);
	for (i = 0; i < 3; i++) {
		ck_assert(kit_readable(ctx_fd()));
		weir_loop_dispatch(loop);
	}
	ck_done(-ECANCELED, CAUSE);
	end();
}
END_TEST

START_TEST(an_fd_asked_for_when_the_ctx_is_done_is_readable_at_once)
{
	begin();
	weir_ctx_cancel(&ctx, 0);
	ck_assert(kit_readable(ctx_fd()));
	end();
}
END_TEST

START_TEST(a_deadline_is_seen_too)
{
	struct weir_ctx late;
	int fd;

	begin();
	weir_ctx_init_timeout(&late, root, WEIR_HOUR);
	fd = weir_ctx_fd(&late);
	ck_assert_int_ge(fd, 0);
	weir_advance(loop, WEIR_HOUR);
	weir_loop_dispatch(loop);
	ck_assert(kit_readable(fd));
	weir_ctx_fini(&late);
	end();
}
END_TEST

START_TEST(pollers_early_and_late_of_one_epoll_or_several_all_see_it)
{
	struct epoll_event e = { .events = EPOLLIN }, edge = { .events = EPOLLIN | EPOLLET };
	int ep[3], i;

	begin();
	for (i = 0; i < 3; i++) {
		ep[i] = epoll_create1(EPOLL_CLOEXEC);
		ck_assert_int_ge(ep[i], 0);
	}
	ck_assert_int_eq(epoll_ctl(ep[0], EPOLL_CTL_ADD, ctx_fd(), &e), 0);
	ck_assert_int_eq(epoll_ctl(ep[1], EPOLL_CTL_ADD, ctx_fd(), &edge), 0);
	ck_assert_int_eq(epoll_wait(ep[0], &e, 1, 0), 0);
	weir_ctx_cancel(&ctx, 0);
	ck_assert_int_eq(epoll_ctl(ep[2], EPOLL_CTL_ADD, ctx_fd(), &edge), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(epoll_wait(ep[i], &e, 1, 0), 1);
	for (i = 0; i < 3; i++)
		close(ep[i]);
	end();
}
END_TEST

static void *wait_readable(void *fd)
{
	struct pollfd p = { .fd = *(int *)fd, .events = POLLIN };

	return poll(&p, 1, -1) == 1 ? fd : NULL;
}

START_TEST(other_threads_see_it)
{
	pthread_t thread[8];
	void *result;
	int i, fd;

	begin();
	fd = ctx_fd();
	for (i = 0; i < 8; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, wait_readable, &fd), 0);
	weir_ctx_cancel(&ctx, 0);
	for (i = 0; i < 8; i++) {
		pthread_join(thread[i], &result);
		ck_assert_ptr_eq(result, &fd);
	}
	end();
}
END_TEST

static void ck_exit(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

START_TEST(other_processes_see_it)
{
	pid_t pid;
	int fd;

	begin();
	fd = ctx_fd();
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(wait_readable(&fd) ? 0 : 1);
	weir_ctx_cancel(&ctx, 0);
	ck_exit(pid);
	end();
}
END_TEST

/* ---- cancelled from outside ---- */

static void *cancel_when_asleep(void *fd)
{
	kit_until_asleep(loop_tid);
	return weir_ctx_cancel_fd(*(int *)fd) == 0 ? fd : NULL;
}

START_TEST(another_thread_cancels_it_and_all_below)
{
	struct weir_ctx child;
	pthread_t thread;
	void *result;
	int fd;

	begin();
	weir_ctx_init(&child, &ctx);
	fd = ctx_fd();
	ck_assert_int_eq(pthread_create(&thread, NULL, cancel_when_asleep, &fd), 0);
	run();	/* no deadlock: a write may come */
	pthread_join(thread, &result);
	ck_assert_ptr_eq(result, &fd);
	ck_done(-ECANCELED, -ECANCELED);
	ck_assert_int_eq(weir_ctx_err(&child), -ECANCELED);
	ck_assert_int_eq(weir_ctx_err(root), 0);
	weir_ctx_fini(&child);
	end();
}
END_TEST

START_TEST(another_process_cancels_it)
{
	pid_t pid;
	int fd;

	begin();
	fd = ctx_fd();
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(weir_ctx_cancel_fd(fd) == 0 ? 0 : 1);
	run();
	ck_exit(pid);
	ck_done(-ECANCELED, -ECANCELED);
	end();
}
END_TEST

static int fd_of_handler;

static void handler(int sig)
{
	(void)sig;
	weir_ctx_cancel_fd(fd_of_handler);
}

static void *signal_when_asleep(void *thread)
{
	kit_until_asleep(loop_tid);
	pthread_kill(*(pthread_t *)thread, SIGUSR1);
	return NULL;
}

START_TEST(a_signal_handler_cancels_it)
{
	struct sigaction act = { .sa_handler = handler };
	pthread_t self = pthread_self(), thread;

	begin();
	fd_of_handler = ctx_fd();
	sigaction(SIGUSR1, &act, NULL);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_when_asleep, &self), 0);
	run();
	pthread_join(thread, NULL);
	ck_done(-ECANCELED, -ECANCELED);

	errno = EXDEV;
	ck_assert_int_eq(weir_ctx_cancel_fd(-1), -EBADF);
	ck_assert_int_eq(errno, EXDEV);		/* what was interrupted must not notice */
	end();
}
END_TEST

START_TEST(an_fd_written_to_until_it_is_full_counts_as_written)
{
	begin();
	ck_assert_int_eq(eventfd_write(ctx_fd(), UINT64_MAX - 1), 0);
	ck_assert_int_eq(weir_ctx_cancel_fd(ctx_fd()), 0);
	run();
	ck_assert(kit_readable(ctx_fd()));
	end();
}
END_TEST

START_TEST(a_loop_that_waits_for_nothing_but_a_ctx_fd_is_not_deadlocked)
{
	begin();
	ctx_fd();
	weir_ctx_cancel_fd(ctx_fd());
	run();
	ck_assert_int_eq(weir_run(loop, sleeps, .ctx = root), -EDEADLK);
	weir_group_cancel(weir_loop_group(loop), 0);
	weir_ctx_cancel(root, 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	end();
}
END_TEST

/* ---- adopted ---- */

START_TEST(a_pipe_that_is_written_to_or_hung_up_cancels_with_the_cause)
{
	int i, p[2];

	for (i = 0; i < 2; i++) {
		begin();
		ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
		ck_assert_int_eq(weir_ctx_adopt(&ctx, p[0], CAUSE), 0);
		if (i)
			close(p[1]);
		else
			ck_assert_int_eq(write(p[1], "x", 1), 1);
		run();
		ck_done(-ECANCELED, CAUSE);
		ck_assert(kit_readable(p[0]));	/* not read */
		end();
		close(p[0]);
		if (!i)
			close(p[1]);
	}
}
END_TEST

START_TEST(a_process_that_ends_cancels)
{
	pid_t pid;
	int fd;

	if (test_on_valgrind())		/* which knows no pidfd_open(2) */
		return;
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		pause();
		_exit(0);
	}
	begin();
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(weir_ctx_adopt(&ctx, fd, CAUSE), 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_ctx_err(&ctx), 0);
	kill(pid, SIGKILL);
	run();
	ck_done(-ECANCELED, CAUSE);
	end();
	close(fd);
	waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(a_signal_that_arrives_on_a_signalfd_cancels)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	begin();
	ck_assert_int_eq(weir_ctx_adopt(&ctx, fd, CAUSE), 0);
	weir_loop_dispatch(loop);
	kill(getpid(), SIGTERM);
	run();
	ck_done(-ECANCELED, CAUSE);
	end();
	close(fd);
}
END_TEST

static void *run_a_loop_under(void *fd)
{
	struct weir_loop *l;
	struct weir_ctx c;
	int rc = weir_loop_new(&l, NULL);

	if (rc < 0)
		return NULL;
	weir_ctx_init(&c, weir_loop_ctx(l));
	rc = weir_ctx_adopt(&c, *(int *)fd, CAUSE);
	if (rc == 0)
		rc = weir_run(l, sleeps, .ctx = &c);
	if (weir_ctx_cause(&c) != CAUSE)
		rc = -EPROTO;
	weir_ctx_fini(&c);
	return weir_loop_free(l) == 0 && rc == 0 ? fd : NULL;
}

START_TEST(one_ctx_cancels_loops_of_other_threads)
{
	pthread_t thread[4];
	void *result;
	int i, fd;

	begin();
	fd = ctx_fd();
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, run_a_loop_under, &fd), 0);
	weir_ctx_cancel(&ctx, 0);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &result);
		ck_assert_ptr_eq(result, &fd);
	}
	end();
}
END_TEST

START_TEST(adopted_by_a_ctx_that_is_done_a_descriptor_is_left_alone)
{
	int fd = kit_eventfd();

	begin();
	weir_ctx_cancel(&ctx, CAUSE);
	ck_assert_int_eq(weir_ctx_adopt(&ctx, fd, CAUSE - 1), 0);
	weir_loop_dispatch(loop);
	ck_assert_uint_eq(loop->watches, 0);
	end();
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	close(fd);
}
END_TEST

START_TEST(of_several_adopted_the_first_gives_the_cause)
{
	int a = kit_eventfd(), b = kit_eventfd();

	begin();
	ck_assert_int_eq(weir_ctx_adopt(&ctx, a, CAUSE), 0);
	ck_assert_int_eq(weir_ctx_adopt(&ctx, b, CAUSE - 1), 0);
	weir_loop_dispatch(loop);
	eventfd_write(b, 1);
	run();
	ck_done(-ECANCELED, CAUSE - 1);
	eventfd_write(a, 1);
	weir_loop_dispatch(loop);
	ck_done(-ECANCELED, CAUSE - 1);
	end();
	close(a);
	close(b);
}
END_TEST

struct closer { struct weir_frame co; int fd; };

static WEIR_CO(closer, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_close(op, self->fd));
	WEIR_RETURN(rc);
}
WEIR_END

/* Nothing would ever cancel it by that descriptor any more. */
START_TEST(a_ctx_whose_adopted_descriptor_is_closed_is_cancelled)
{
	int p[2];

	begin();
	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	ck_assert_int_eq(weir_ctx_adopt(&ctx, p[0], CAUSE), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), closer, .fd = p[0]), 0);
	run();
	ck_done(-ECANCELED, -ECANCELED);
	end();
	close(p[1]);
}
END_TEST

START_TEST(what_is_no_descriptor_is_not_adopted)
{
	int fd;

	begin();
	fd = kit_eventfd();
	close(fd);
	ck_assert_int_eq(weir_ctx_adopt(&ctx, -1, 0), -EBADF);
	ck_assert_int_eq(weir_ctx_adopt(&ctx, fd, 0), -EBADF);
	end();
}
END_TEST

START_TEST(one_that_is_closed_before_the_kernel_has_it_cancels_with_the_error)
{
	int fd = kit_eventfd();

	begin();
	ck_assert_int_eq(weir_ctx_adopt(&ctx, fd, CAUSE), 0);
	close(fd);
	run();
	ck_done(-ECANCELED, -EBADF);
	end();
}
END_TEST

/* ---- ends and shortages ---- */

START_TEST(a_ctx_may_go_while_the_kernel_still_polls_for_it)
{
	struct weir_ctx other;
	int fd, own, i;

	for (i = 0; i < 4; i++) {
		begin();
		fd = kit_eventfd();
		weir_ctx_init(&other, root);
		own = weir_ctx_fd(&other);
		ck_assert_int_ge(own, 0);
		ck_assert_int_eq(weir_ctx_adopt(&other, fd, CAUSE), 0);
		if (i & 1)
			weir_loop_dispatch(loop);	/* now it polls */
		if (i & 2)
			weir_ctx_cancel(&other, 0);
		weir_ctx_fini(&other);
		memset(&other, 0xff, sizeof other);
		eventfd_write(fd, 1);
		while (loop->watches)
			weir_loop_dispatch(loop);
		ck_assert_int_lt(fcntl(own, F_GETFD), 0);
		end();
		close(fd);
	}
}
END_TEST

/* The kernel, which has not seen the poll yet, will find nothing there, and wait. */
START_TEST(a_stranger_who_reads_the_fd_empty_keeps_no_poll_alive)
{
	struct weir_ctx other;
	eventfd_t count;

	begin();
	weir_ctx_init(&other, root);
	ck_assert_int_ge(weir_ctx_fd(&other), 0);
	ck_assert_uint_eq(loop->watches, 1);
	weir_ctx_cancel(&other, 0);
	ck_assert_int_eq(eventfd_read(weir_ctx_fd(&other), &count), 0);
	weir_ctx_fini(&other);
	while (loop->watches)
		weir_loop_dispatch(loop);
	end();
}
END_TEST

START_TEST(a_loop_may_go_while_the_kernel_still_polls_for_its_ctxs)
{
	int fd = kit_eventfd();

	begin();
	ctx_fd();
	ck_assert_int_eq(weir_ctx_adopt(&ctx, fd, CAUSE), 0);
	ck_assert_int_ge(weir_ctx_fd(root), 0);
	weir_loop_dispatch(loop);
	weir_ctx_fini(&ctx);
	test_loop_free(loop);
	close(fd);
}
END_TEST

START_TEST(without_a_descriptor_or_memory_there_is_no_fd_and_all_is_as_before)
{
	struct rlimit old, few;
	unsigned n;
	int rc, fd;

	begin();
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(fd);
	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit){ (rlim_t)fd, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	ck_assert_int_eq(weir_ctx_fd(&ctx), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	for (n = 1, rc = -ENOMEM; rc == -ENOMEM; n++) {
		test_fail_alloc(n);
		rc = weir_ctx_fd(&ctx);
		ck_assert(test_fail_alloc(0) == (rc == -ENOMEM));
	}
	ck_assert_uint_gt(n, 2);
	ck_assert_int_ge(rc, 0);
	test_fail_alloc(1);
	ck_assert_int_eq(weir_ctx_adopt(&ctx, rc, CAUSE), -ENOMEM);
	ck_assert(test_fail_alloc(0));
	end();
}
END_TEST

#define MANY	300

START_TEST(more_fds_than_the_ring_has_room_for_all_work_in_turn)
{
	static struct weir_ctx many[MANY];
	int i;

	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1, .ops = 16, .check = true });
	root = weir_loop_ctx(loop);
	for (i = 0; i < MANY; i++) {
		weir_ctx_init(&many[i], root);
		ck_assert_int_ge(weir_ctx_fd(&many[i]), 0);
	}
	weir_loop_dispatch(loop);
	for (i = 0; i < MANY; i++) {
		ck_assert_int_eq(weir_ctx_cancel_fd(weir_ctx_fd(&many[i])), 0);
		while (!weir_ctx_err(&many[i]))
			weir_loop_dispatch(loop);
	}
	for (i = 0; i < MANY; i++)
		weir_ctx_fini(&many[i]);
	test_loop_free(loop);
}
END_TEST

struct stream { struct weir_frame co; int fd, rc; unsigned long n; uint64_t count; };

/* Reads without end, so that completions crowd the ring. */
static WEIR_CO(stream, self, op)
{
	for (;;) {
		eventfd_write(self->fd, 1);
		WEIR_TRY(self->rc, out, kit_read(op, self->fd, &self->count));
		if (++self->n == 1000)
			weir_ctx_cancel_fd(weir_ctx_fd(&ctx));
	}
out:
	WEIR_RETURN(0);
}
WEIR_END

START_TEST(a_cancel_by_fd_gets_through_a_crowd_of_completions)
{
	const struct weir_loop_conf conf = { .seed = 1, .ops = 16, .entries = 8 };
	struct weir_loop_stats s;
	struct weir_group group;
	int fd[20], i;

	loop = test_loop_conf(&conf);
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	ctx_fd();
	weir_group_init(&group, &ctx, NULL);
	for (i = 0; i < 20; i++) {
		fd[i] = kit_eventfd();
		ck_assert_int_eq(weir_go(&group, stream, .fd = fd[i]), 0);
	}
	while (group.active)
		weir_loop_dispatch(loop);
	ck_done(-ECANCELED, -ECANCELED);
	weir_loop_stats(loop, &s);
	ck_assert_uint_eq(s.cq_overflows, 0);
	ck_assert_uint_eq(s.in_flight + s.parked, 0);
	weir_group_fini(&group);
	end();
	for (i = 0; i < 20; i++)
		close(fd[i]);
}
END_TEST

TESTS("ctx_fd",
      the_fd_is_made_when_asked_for_and_stays_the_same,
      the_fd_is_readable_once_the_ctx_is_done_and_stays_so,
      an_fd_asked_for_when_the_ctx_is_done_is_readable_at_once,
      a_deadline_is_seen_too,
      pollers_early_and_late_of_one_epoll_or_several_all_see_it,
      other_threads_see_it,
      other_processes_see_it,
      another_thread_cancels_it_and_all_below,
      another_process_cancels_it,
      a_signal_handler_cancels_it,
      an_fd_written_to_until_it_is_full_counts_as_written,
      a_loop_that_waits_for_nothing_but_a_ctx_fd_is_not_deadlocked,
      a_pipe_that_is_written_to_or_hung_up_cancels_with_the_cause,
      a_process_that_ends_cancels,
      a_signal_that_arrives_on_a_signalfd_cancels,
      one_ctx_cancels_loops_of_other_threads,
      adopted_by_a_ctx_that_is_done_a_descriptor_is_left_alone,
      of_several_adopted_the_first_gives_the_cause,
      a_ctx_whose_adopted_descriptor_is_closed_is_cancelled,
      what_is_no_descriptor_is_not_adopted,
      one_that_is_closed_before_the_kernel_has_it_cancels_with_the_error,
      a_ctx_may_go_while_the_kernel_still_polls_for_it,
      a_stranger_who_reads_the_fd_empty_keeps_no_poll_alive,
      a_loop_may_go_while_the_kernel_still_polls_for_its_ctxs,
      without_a_descriptor_or_memory_there_is_no_fd_and_all_is_as_before,
      more_fds_than_the_ring_has_room_for_all_work_in_turn,
      a_cancel_by_fd_gets_through_a_crowd_of_completions)
