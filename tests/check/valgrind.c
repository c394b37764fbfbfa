/* SPDX-License-Identifier: MIT */
/*
 * valgrind.c - memcheck knows what the kernel has filled, to the byte, because weir tells it.
 *
 * What is filled is asked of memory that malloc() has just given; under valgrind alone the answer
 * means anything, elsewhere the program is skipped.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined __has_include
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#endif
#endif

#include "harness.h"
#include "weir.h"

#ifdef VALGRIND_GET_VBITS

#define SIZE	64

static struct weir_loop *loop;
static int fds[2];
static char *buf;

static void begin(void)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ 0 });
	buf = malloc(SIZE);
	ck_assert_ptr_nonnull(buf);
}

static void end(void)
{
	free(buf);
	test_loop_free(loop);
}

/* Of size bytes at p the first n are defined, and no other. */
static void ck_defined(void *p, size_t n, size_t size)
{
	unsigned char bits[SIZE];
	size_t i;

	ck_assert_uint_le(size, SIZE);
	ck_assert_int_eq((int)VALGRIND_GET_VBITS(p, bits, size), 1);
	for (i = 0; i < size; i++)
		ck_assert_msg(bits[i] == (i < n ? 0 : 0xff), "byte %zu: %02x", i, bits[i]);
}

struct gets { struct weir_frame co; bool recv; int rc; };

static WEIR_CO(gets, self, op)
{
	if (self->recv)
		WEIR_AWAIT(self->rc, weir_recv(op, fds[0], buf, SIZE, 0));
	else
		WEIR_AWAIT(self->rc, weir_read(op, fds[0], buf, SIZE, -1));
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

START_TEST(a_read_has_filled_what_it_says_and_no_more)
{
	begin();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	ck_defined(buf, 0, SIZE);
	ck_assert_int_eq(write(fds[1], "hello", 5), 5);
	ck_assert_int_eq(weir_run(loop, gets), 0);
	ck_defined(buf, 5, SIZE);
	close(fds[1]);
	close(fds[0]);
	end();
}
END_TEST

START_TEST(the_end_of_a_pipe_has_filled_nothing)
{
	begin();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	close(fds[1]);
	ck_assert_int_eq(weir_run(loop, gets), 0);
	ck_defined(buf, 0, SIZE);
	close(fds[0]);
	end();
}
END_TEST

START_TEST(a_recv_has_filled_what_it_says_and_no_more)
{
	begin();
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	ck_assert_int_eq(send(fds[1], "hello", 5, 0), 5);
	ck_assert_int_eq(weir_run(loop, gets, .recv = true), 0);
	ck_defined(buf, 5, SIZE);
	close(fds[0]);
	close(fds[1]);
	end();
}
END_TEST

struct looks { struct weir_frame co; struct statx *st; int rc; };

static WEIR_CO(looks, self, op)
{
	WEIR_TRY(self->rc, out, weir_statx(op, AT_FDCWD, "/", 0, STATX_BASIC_STATS, self->st));
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_statx_has_filled_all_of_it)
{
	struct statx *st = malloc(sizeof *st);

	begin();
	ck_defined(&st->stx_mode, 0, sizeof st->stx_mode);
	ck_assert_int_eq(weir_run(loop, looks, .st = st), 0);
	ck_defined(&st->stx_mode, sizeof st->stx_mode, sizeof st->stx_mode);
	ck_assert(S_ISDIR(st->stx_mode));
	free(st);
	end();
}
END_TEST

struct accepts { struct weir_frame co; struct sockaddr_in *from; socklen_t *len; int rc; };

static WEIR_CO(accepts, self, op)
{
	WEIR_TRY(self->rc, out, weir_accept(op, fds[0], (struct sockaddr *)self->from,
					    self->len, 0));
	WEIR_TRY(self->rc, out, weir_close(op, self->rc));
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(an_accept_has_filled_the_address)
{
	struct sockaddr_in a = { .sin_family = AF_INET }, *from = malloc(2 * sizeof *from);
	socklen_t len = sizeof a;

	begin();
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fds[0], (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(fds[0], 1), 0);
	ck_assert_int_eq(getsockname(fds[0], (struct sockaddr *)&a, &len), 0);
	ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&a, sizeof a), 0);
	len = 2 * sizeof *from;
	ck_assert_int_eq(weir_run(loop, accepts, .from = from, .len = &len), 0);
	ck_assert_uint_eq(len, sizeof *from);
	ck_defined(from, sizeof *from, 2 * sizeof *from);
	close(fds[0]);
	close(fds[1]);
	free(from);
	end();
}
END_TEST

struct cancels { struct weir_frame co; struct weir_ctx ctx; int rc; };

static WEIR_CO(cancels, self, op)
{
	weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), WEIR_MS);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(self->rc, weir_read(op, fds[0], buf, SIZE, -1));
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
	ck_assert_int_eq(self->rc, -ETIMEDOUT);
}
WEIR_END

START_TEST(what_is_called_off_has_filled_nothing)
{
	begin();
	ck_assert_int_eq(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	ck_assert_int_eq(weir_run(loop, cancels), 0);
	ck_defined(buf, 0, SIZE);
	close(fds[0]);
	close(fds[1]);
	end();
}
END_TEST

/* ---- mistakes ---- */

struct frees { struct weir_frame co; int rc; };

/* While the kernel has it. */
static WEIR_CO(frees, self, op)
{
	WEIR_TRY(self->rc, out, weir_sleep(op, WEIR_MS));
	free(buf);
	WEIR_TRY(self->rc, out, weir_write(op, fds[1], "late", 4, -1));
out:
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

static void read_into(size_t size, bool freed)
{
	buf = malloc(size);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0 || weir_loop_new(&loop, NULL) < 0)
		return;
	if (freed)
		weir_go(weir_loop_group(loop), frees);
	else if (write(fds[1], "now", 3) < 0)
		return;
	weir_run(loop, gets);
}

/* In a child, whose errors are not those of the test: how many more there are. */
static unsigned errors_of(size_t size, bool freed)
{
	int pipe_fds[2];
	unsigned n = 0;
	pid_t pid;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		n = (unsigned)VALGRIND_COUNT_ERRORS;
		read_into(size, freed);
		n = (unsigned)VALGRIND_COUNT_ERRORS - n;
		_exit(write(pipe_fds[1], &n, sizeof n) < 0);
	}
	close(pipe_fds[1]);
	ck_assert_int_eq(read(pipe_fds[0], &n, sizeof n), sizeof n);
	close(pipe_fds[0]);
	waitpid(pid, NULL, 0);
	return n;
}

START_TEST(a_buffer_that_is_long_enough_is_no_error)
{
	ck_assert_uint_eq(errors_of(SIZE, false), 0);
}
END_TEST

START_TEST(a_buffer_that_is_shorter_than_its_length_is_an_error)
{
	ck_assert_uint_ge(errors_of(SIZE / 2, false), 1);
}
END_TEST

START_TEST(memory_that_was_freed_while_the_kernel_had_it_is_an_error)
{
	ck_assert_uint_ge(errors_of(SIZE, true), 1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_read_has_filled_what_it_says_and_no_more,
		the_end_of_a_pipe_has_filled_nothing,
		a_recv_has_filled_what_it_says_and_no_more,
		a_statx_has_filled_all_of_it,
		an_accept_has_filled_the_address,
		what_is_called_off_has_filled_nothing,
		a_buffer_that_is_long_enough_is_no_error,
		a_buffer_that_is_shorter_than_its_length_is_an_error,
		memory_that_was_freed_while_the_kernel_had_it_is_an_error,
	};

	if (!RUNNING_ON_VALGRIND) {
		puts("valgrind does not run it");
		return 77;
	}
	return test_main("valgrind", tests, sizeof tests / sizeof *tests);
}

#else

int main(void)
{
	puts("valgrind's header is not installed");
	return 77;
}

#endif
