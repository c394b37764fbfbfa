/* SPDX-License-Identifier: MIT */
/* cancel.c - kernel ops that end early: by their ctx, by a select, by a close. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "io_kit.h"

/* ---- by their ctx ---- */

START_TEST(a_read_that_is_cancelled_leaves_what_comes_then)
{
	char buf[8];
	int rc;

	begin();
	go(reader, .fd = pipe_fds[0], .rc = &rc);
	turn();
	weir_group_cancel(&group, 0);
	ck_assert_int_eq(write(pipe_fds[1], "abc", 3), 3);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_int_eq(read(pipe_fds[0], buf, sizeof buf), 3);
	end();
}
END_TEST

START_TEST(a_read_that_had_ended_when_it_was_cancelled_says_what_it_read)
{
	int rc;

	begin();
	ck_assert_int_eq(write(pipe_fds[1], "abc", 3), 3);
	go(reader, .fd = pipe_fds[0], .rc = &rc);
	go(canceller);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 3);
	end();
}
END_TEST

START_TEST(a_read_that_is_cancelled_before_the_kernel_has_it_ends)
{
	int rc;

	begin();
	go(reader, .fd = pipe_fds[0], .rc = &rc);
	go(canceller);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	end();
}
END_TEST

struct hurried { struct weir_frame co; struct weir_ctx ctx; int rc; char buf[8]; };

static WEIR_CO(hurried, self, op)
{
	weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), WEIR_HOUR);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(self->rc, weir_read(op, pipe_fds[0], self->buf, sizeof self->buf, -1));
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_read_with_a_deadline_times_out)
{
	begin();
	go(hurried);
	turn();
	ck_assert_int_eq(weir_advance(loop, WEIR_HOUR), 0);
	ck_assert_int_eq(finish(), -ETIMEDOUT);
	end();
}
END_TEST

struct done_already { struct weir_frame co; int rc; };

static WEIR_CO(done_already, self, op)
{
	weir_group_cancel(&group, 0);
	WEIR_AWAIT(self->rc, weir_write(op, pipe_fds[1], "x", 1, -1));
	ck_assert_int_eq(self->rc, -ECANCELED);
	WEIR_AWAIT(self->rc, weir_close(op, pipe_fds[1]));
	ck_assert_int_eq(self->rc, 0);
}
WEIR_END

START_TEST(under_a_ctx_that_is_done_nothing_begins_but_a_close)
{
	char buf[8];

	begin();
	go(done_already);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(read(pipe_fds[0], buf, sizeof buf), 0);	/* closed, and empty */
	pipe_fds[1] = -1;
	end();
}
END_TEST

START_TEST(an_open_that_ends_after_its_cancel_closes_the_descriptor)
{
	unsigned fds;
	int rc;

	begin();
	turn();
	fds = test_fds();
	go(opener, .path = "/dev/null", .rc = &rc);
	go(canceller);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_uint_eq(test_fds(), fds);
	end();
}
END_TEST

START_TEST(an_open_whose_task_is_cancelled_before_it_runs_closes_the_descriptor)
{
	unsigned fds;
	int rc;

	begin();
	turn();
	fds = test_fds();
	go(opener, .path = "/dev/null", .rc = &rc);
	turn();
	ck_assert_int_eq(rc, PENDING);
	ck_assert_uint_eq(test_fds(), fds + 1);
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_uint_eq(test_fds(), fds);
	end();
}
END_TEST

START_TEST(an_open_that_waits_for_a_peer_ends_with_its_ctx)
{
	char dir[] = "/tmp/weir-cancel-XXXXXX";
	int rc;

	begin();
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	go(opener, .path = "fifo", .rc = &rc);
	turn();
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_int_eq(unlink("fifo"), 0);
	ck_assert_int_eq(rmdir(dir), 0);
	end();
}
END_TEST

struct connector { struct weir_frame co; int fd; const struct sockaddr_un *to; };

static WEIR_CO(connector, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_connect(op, self->fd, (const struct sockaddr *)self->to,
				    sizeof *self->to));
	WEIR_RETURN(rc);
}
WEIR_END

static int unix_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

struct hasty { struct weir_frame co; int fd, yields, rc; const struct sockaddr_un *to; };

/* A connect, and after some yields its cancel. */
static WEIR_CO(hasty, self, op)
{
	go(connector, .fd = self->fd, .to = self->to);
	while (self->yields--)
		WEIR_AWAIT(self->rc, weir_yield(op));
	weir_group_cancel(&group, 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &group));
	WEIR_RETURN(self->rc);
}
WEIR_END

/* Linux tries it again and again before a thread waits for it, and a cancel does not find it
 * meanwhile.  Turns of the test's, or a virtual clock, would give it the time to get there. */
START_TEST(a_connect_that_waits_for_a_place_in_a_backlog_ends_with_its_ctx)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int listener = unix_socket(), first = unix_socket(), fd, yields;

	snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "weir-cancel-%d", getpid());
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
	ck_assert_int_eq(listen(listener, 0), 0);
	ck_assert_int_eq(connect(first, (struct sockaddr *)&at, sizeof at), 0);
	begin_on(test_loop_conf(&(struct weir_loop_conf){ .ops = 64 }));
	for (yields = 0; yields < 150; yields += 1 + yields / 4) {
		fd = unix_socket();
		ck_assert_int_eq(weir_run(loop, hasty, .fd = fd, .yields = yields, .to = &at),
				 -ECANCELED);
		regroup();
		close(fd);
	}
	end();
	close(first);
	close(listener);
}
END_TEST

/* ---- by a select ---- */

struct chooser { struct weir_frame co; struct weir_arm arm[2]; int *won, *res; char buf[8]; };

static struct weir_ctx bell;

/* A read, or the bell. */
static WEIR_CO(chooser, self, op)
{
	*self->won = PENDING;
	weir_ready(weir_read(&self->arm[0].op, pipe_fds[0], self->buf, sizeof self->buf, -1));
	weir_ready(weir_ctx_wait(&self->arm[1].op, &bell));
	WEIR_AWAIT(*self->won, weir_select(op, self->arm, 2));
	*self->res = self->arm[0].op.res;
	WEIR_RETURN(*self->won);
}
WEIR_END

static int won, res;

static void begin_choice(void)
{
	begin();
	weir_ctx_init(&bell, weir_loop_ctx(loop));
	go(chooser, .won = &won, .res = &res);
	turn();
	ck_assert_int_eq(won, PENDING);
}

static void end_choice(void)
{
	weir_ctx_fini(&bell);
	end();
}

START_TEST(a_read_that_loses_a_select_takes_nothing)
{
	char buf[8];

	begin_choice();
	weir_ctx_cancel(&bell, 0);
	ck_assert_int_eq(write(pipe_fds[1], "abc", 3), 3);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(won, 1);
	ck_assert_int_eq(res, -ECANCELED);
	ck_assert_int_eq(read(pipe_fds[0], buf, sizeof buf), 3);
	end_choice();
}
END_TEST

START_TEST(a_read_wins_a_select)
{
	begin_choice();
	ck_assert_int_eq(write(pipe_fds[1], "abc", 3), 3);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(won, 0);
	ck_assert_int_eq(res, 3);
	end_choice();
}
END_TEST

START_TEST(a_select_over_a_read_ends_with_its_ctx)
{
	begin_choice();
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_assert_int_eq(won, -ECANCELED);
	end_choice();
}
END_TEST

struct ringer { struct weir_frame co; };

static WEIR_CO(ringer, self, op)
{
	weir_ctx_cancel(&bell, 0);
}
WEIR_END

START_TEST(a_read_that_loses_too_late_tells_what_it_read)
{
	begin();
	weir_ctx_init(&bell, weir_loop_ctx(loop));
	ck_assert_int_eq(write(pipe_fds[1], "abc", 3), 3);
	go(chooser, .won = &won, .res = &res);
	go(ringer);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(won, 1);
	ck_assert_int_eq(res, 3);
	end_choice();
}
END_TEST

struct picky { struct weir_frame co; struct weir_arm arm[2]; int fds[2], *rc; char buf[8]; };

/* The pipe is made at once; but then the read must be called off, for which the select waits. */
static WEIR_CO(picky, self, op)
{
	weir_ready(weir_read(&self->arm[0].op, pipe_fds[0], self->buf, sizeof self->buf, -1));
	weir_ready(weir_pipe(&self->arm[1].op, self->fds, 0));
	WEIR_AWAIT(*self->rc, weir_select_ordered(op, self->arm, 2));
	WEIR_RETURN(*self->rc);
}
WEIR_END

START_TEST(a_pipe_that_nobody_takes_is_closed)
{
	unsigned fds;
	int rc;

	begin();
	turn();
	fds = test_fds();
	go(picky, .rc = &rc);
	turn();
	ck_assert_uint_eq(test_fds(), fds + 2);
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_assert_uint_eq(test_fds(), fds);
	end();
}
END_TEST

struct fd_chooser { struct weir_frame co; struct weir_arm arm[2]; int rc; };

/* Both are over by the time that the first is seen to be. */
static WEIR_CO(fd_chooser, self, op)
{
	weir_ready(weir_open(&self->arm[0].op, "/dev/null", O_RDONLY, 0));
	weir_ready(weir_open(&self->arm[1].op, "/dev/null", O_RDONLY, 0));
	WEIR_AWAIT(self->rc, weir_select(op, self->arm, 2));
	ck_assert_int_ge(self->rc, 0);
	ck_assert_int_eq(self->arm[!self->rc].op.res, -ECANCELED);
	WEIR_AWAIT(self->rc, weir_close(op, self->arm[self->rc].op.res));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(of_two_opens_in_a_select_the_loser_is_closed)
{
	begin();
	go(fd_chooser);
	ck_assert_int_eq(finish(), 0);
	end();
}
END_TEST

/* ---- by a close ---- */

static void ck_fd_is_free(void)
{
	ck_assert_int_eq(fcntl(pipe_fds[0], F_GETFD), -1);
	ck_assert_int_eq(errno, EBADF);
	pipe_fds[0] = -1;
}

START_TEST(a_close_ends_every_op_on_the_descriptor)
{
	int one, two, closed;

	begin();
	go(reader, .fd = pipe_fds[0], .rc = &one);
	go(reader, .fd = pipe_fds[0], .rc = &two);
	turn();
	go(closer, .fd = pipe_fds[0], .rc = &closed);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(one, -ECANCELED);
	ck_assert_int_eq(two, -ECANCELED);
	ck_assert_int_eq(closed, 0);
	ck_fd_is_free();
	end();
}
END_TEST

START_TEST(a_close_ends_what_the_kernel_has_not_seen_yet)
{
	int one, closed;

	begin();
	go(reader, .fd = pipe_fds[0], .rc = &one);
	go(closer, .fd = pipe_fds[0], .rc = &closed);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(one, -ECANCELED);
	ck_assert_int_eq(closed, 0);
	ck_fd_is_free();
	end();
}
END_TEST

START_TEST(on_a_descriptor_being_closed_nothing_begins)
{
	int one, two, closed, twice;

	begin();
	go(reader, .fd = pipe_fds[0], .rc = &one);
	turn();
	go(closer, .fd = pipe_fds[0], .rc = &closed);
	go(closer, .fd = pipe_fds[0], .rc = &twice);
	go(reader, .fd = pipe_fds[0], .rc = &two);
	ck_assert_int_eq(finish(), -EBADF);
	ck_assert_int_eq(one, -ECANCELED);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(twice, -EBADF);
	ck_assert_int_eq(two, -EBADF);
	ck_fd_is_free();
	end();
}
END_TEST

struct adopter { struct weir_frame co; struct weir_ctx *ctx; };

static WEIR_CO(adopter, self, op)
{
	ck_assert_int_eq(weir_ctx_adopt(self->ctx, pipe_fds[0], -EXDEV), 0);
}
WEIR_END

START_TEST(a_descriptor_being_closed_cancels_the_ctx_that_adopts_it)
{
	struct weir_ctx ctx;
	int one, closed;

	begin();
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	go(reader, .fd = pipe_fds[0], .rc = &one);
	turn();
	go(closer, .fd = pipe_fds[0], .rc = &closed);
	go(adopter, .ctx = &ctx);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(weir_ctx_err(&ctx), -ECANCELED);
	ck_assert_int_eq(weir_ctx_cause(&ctx), -EBADF);
	ck_assert_int_eq(closed, 0);
	weir_ctx_fini(&ctx);
	ck_fd_is_free();
	end();
}
END_TEST

START_TEST(a_close_waits_for_an_op_that_is_being_cancelled)
{
	int one, closed = PENDING;

	begin();
	go(reader, .fd = pipe_fds[0], .rc = &one);
	turn();
	go(closer, .fd = pipe_fds[0], .rc = &closed);
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_assert_int_eq(one, -ECANCELED);
	ck_assert_int_eq(closed, 0);	/* its own ctx was done before it began, too */
	ck_fd_is_free();
	end();
}
END_TEST

START_TEST(a_close_that_waits_is_not_called_off)
{
	int one, closed;

	begin();
	go(reader, .fd = pipe_fds[0], .rc = &one);
	turn();
	go(closer, .fd = pipe_fds[0], .rc = &closed);
	go(canceller);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(closed, 0);
	ck_fd_is_free();
	end();
}
END_TEST

struct close_or { struct weir_frame co; struct weir_arm arm[2]; int won; };

static WEIR_CO(close_or, self, op)
{
	weir_ready(weir_close(&self->arm[0].op, pipe_fds[0]));
	weir_ready(weir_yield(&self->arm[1].op));
	WEIR_AWAIT(self->won, weir_select_ordered(op, self->arm, 2));
	ck_assert_int_eq(self->won, 1);
	ck_assert_int_eq(self->arm[0].op.res, 0);
}
WEIR_END

START_TEST(a_close_that_loses_a_select_closes_all_the_same)
{
	int one;

	begin();
	go(reader, .fd = pipe_fds[0], .rc = &one);
	turn();
	go(close_or);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_fd_is_free();
	end();
}
END_TEST

TESTS("cancel", a_read_that_is_cancelled_leaves_what_comes_then,
      a_read_that_had_ended_when_it_was_cancelled_says_what_it_read,
      a_read_that_is_cancelled_before_the_kernel_has_it_ends, a_read_with_a_deadline_times_out,
      a_connect_that_waits_for_a_place_in_a_backlog_ends_with_its_ctx,
      under_a_ctx_that_is_done_nothing_begins_but_a_close,
      an_open_that_ends_after_its_cancel_closes_the_descriptor,
      an_open_whose_task_is_cancelled_before_it_runs_closes_the_descriptor,
      an_open_that_waits_for_a_peer_ends_with_its_ctx, a_read_that_loses_a_select_takes_nothing,
      a_read_wins_a_select, a_select_over_a_read_ends_with_its_ctx,
      a_read_that_loses_too_late_tells_what_it_read, a_pipe_that_nobody_takes_is_closed,
      of_two_opens_in_a_select_the_loser_is_closed, a_close_ends_every_op_on_the_descriptor,
      a_close_ends_what_the_kernel_has_not_seen_yet, on_a_descriptor_being_closed_nothing_begins,
      a_descriptor_being_closed_cancels_the_ctx_that_adopts_it,
      a_close_waits_for_an_op_that_is_being_cancelled, a_close_that_waits_is_not_called_off,
      a_close_that_loses_a_select_closes_all_the_same)
