/* SPDX-License-Identifier: MIT */
/* file.c - files, names and pipes: what the calls do, their errors, and what is refused. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "aborts.h"
#include "io_kit.h"

static char dir[] = "/tmp/weir-file-XXXXXX";

static void begin_in_dir(void)
{
	begin();
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
}

static void end_in_dir(void)
{
	end();
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(dir), 0);
}

/* ---- what the calls do ---- */

struct whole { struct weir_frame co; int fd, rc; char buf[16]; };

static WEIR_CO(whole, self, op)
{
	WEIR_AWAIT(self->fd, weir_open(op, "f", O_RDWR | O_CREAT | O_EXCL, 0600));
	ck_assert_int_ge(self->fd, 0);
	ck_assert_int_eq(fcntl(self->fd, F_GETFD), FD_CLOEXEC);
	WEIR_AWAIT(self->rc, weir_write(op, self->fd, "hello ", 6, -1));
	ck_assert_int_eq(self->rc, 6);
	WEIR_AWAIT(self->rc, weir_write(op, self->fd, "world", 5, -1));
	ck_assert_int_eq(self->rc, 5);
	WEIR_AWAIT(self->rc, weir_write(op, self->fd, "W", 1, 6));
	ck_assert_int_eq(self->rc, 1);
	WEIR_AWAIT(self->rc, weir_fdatasync(op, self->fd));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_fsync(op, self->fd));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_read(op, self->fd, self->buf, sizeof self->buf, 0));
	ck_assert_int_eq(self->rc, 11);
	ck_assert_mem_eq(self->buf, "hello World", 11);
	WEIR_AWAIT(self->rc, weir_read(op, self->fd, self->buf, 5, 6));
	ck_assert_int_eq(self->rc, 5);
	ck_assert_mem_eq(self->buf, "World", 5);
	WEIR_AWAIT(self->rc, weir_read(op, self->fd, self->buf, sizeof self->buf, -1));
	ck_assert_int_eq(self->rc, 0);	/* the position is at the end, where write left it */
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_unlink(op, "f"));
	ck_assert_int_eq(self->rc, 0);
}
WEIR_END

START_TEST(a_file_is_written_synced_read_closed_and_removed)
{
	begin_in_dir();
	ck_assert_int_eq(weir_run(loop, whole), 0);
	end_in_dir();
}
END_TEST

struct names { struct weir_frame co; int rc, d, fd; struct statx st; };

static WEIR_CO(names, self, op)
{
	WEIR_AWAIT(self->rc, weir_mkdir(op, "d", 0700));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->d, weir_open(op, "d", O_PATH | O_DIRECTORY, 0));
	ck_assert_int_ge(self->d, 0);
	WEIR_AWAIT(self->rc, weir_mkdirat(op, self->d, "e", 0500));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->fd, weir_openat(op, self->d, "f", O_WRONLY | O_CREAT, 0640));
	ck_assert_int_ge(self->fd, 0);
	WEIR_AWAIT(self->rc, weir_write(op, self->fd, "abc", 3, 0));
	ck_assert_int_eq(self->rc, 3);
	WEIR_AWAIT(self->rc, weir_statx(op, self->d, "f", 0, STATX_BASIC_STATS, &self->st));
	ck_assert_int_eq(self->rc, 0);
	ck_assert_uint_eq(self->st.stx_size, 3);
	ck_assert_uint_eq(self->st.stx_mode, S_IFREG | 0640);
	WEIR_AWAIT(self->rc, weir_statx(op, self->fd, "", AT_EMPTY_PATH, STATX_SIZE, &self->st));
	ck_assert_int_eq(self->rc, 0);
	ck_assert_uint_eq(self->st.stx_size, 3);
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_rename(op, "d/f", "g"));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_renameat(op, AT_FDCWD, "g", self->d, "h", RENAME_NOREPLACE));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_unlinkat(op, self->d, "h", 0));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_unlinkat(op, self->d, "e", AT_REMOVEDIR));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_close(op, self->d));
	ck_assert_int_eq(self->rc, 0);
	ck_assert_int_eq(rmdir("d"), 0);	/* nothing is left in it */
}
WEIR_END

START_TEST(names_are_made_looked_up_renamed_and_removed)
{
	umask(0);
	begin_in_dir();
	ck_assert_int_eq(weir_run(loop, names), 0);
	end_in_dir();
}
END_TEST

struct errors { struct weir_frame co; int rc, fd, fds[2]; struct statx st; char buf[8]; };

static WEIR_CO(errors, self, op)
{
	WEIR_AWAIT(self->rc, weir_open(op, "none", O_RDONLY, 0));
	ck_assert_int_eq(self->rc, -ENOENT);
	WEIR_AWAIT(self->rc, weir_openat(op, 999, "none", O_RDONLY, 0));
	ck_assert_int_eq(self->rc, -EBADF);
	WEIR_AWAIT(self->rc, weir_mkdir(op, ".", 0700));
	ck_assert_int_eq(self->rc, -EEXIST);
	WEIR_AWAIT(self->rc, weir_unlink(op, "none"));
	ck_assert_int_eq(self->rc, -ENOENT);
	WEIR_AWAIT(self->rc, weir_rename(op, "none", "more"));
	ck_assert_int_eq(self->rc, -ENOENT);
	WEIR_AWAIT(self->rc, weir_statx(op, AT_FDCWD, "none", 0, STATX_SIZE, &self->st));
	ck_assert_int_eq(self->rc, -ENOENT);
	WEIR_AWAIT(self->rc, weir_read(op, -1, self->buf, sizeof self->buf, -1));
	ck_assert_int_eq(self->rc, -EBADF);
	WEIR_AWAIT(self->rc, weir_close(op, -1));
	ck_assert_int_eq(self->rc, -EBADF);
	WEIR_AWAIT(self->rc, weir_close(op, 999));
	ck_assert_int_eq(self->rc, -EBADF);
	WEIR_AWAIT(self->fd, weir_open(op, "/dev/null", O_RDONLY, 0));
	WEIR_AWAIT(self->rc, weir_write(op, self->fd, "x", 1, -1));
	ck_assert_int_eq(self->rc, -EBADF);
	WEIR_AWAIT(self->rc, weir_read(op, self->fd, self->buf, sizeof self->buf, -2));
	ck_assert_int_eq(self->rc, -EINVAL);
	WEIR_AWAIT(self->rc, weir_fsync(op, self->fd));
	ck_assert_int_eq(self->rc, -EINVAL);
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	ck_assert_int_eq(self->rc, -EBADF);
	WEIR_AWAIT(self->rc, weir_pipe(op, self->fds, O_APPEND));
	ck_assert_int_eq(self->rc, -EINVAL);
}
WEIR_END

START_TEST(errors_are_those_of_the_call)
{
	begin_in_dir();
	ck_assert_int_eq(weir_run(loop, errors), 0);
	end_in_dir();
}
END_TEST

struct no_fds { struct weir_frame co; int rc, fds[2]; };

static WEIR_CO(no_fds, self, op)
{
	WEIR_AWAIT(self->rc, weir_open(op, "/dev/null", O_RDONLY, 0));
	ck_assert_int_eq(self->rc, -EMFILE);
	WEIR_AWAIT(self->rc, weir_pipe(op, self->fds, 0));
	ck_assert_int_eq(self->rc, -EMFILE);
}
WEIR_END

START_TEST(without_a_descriptor_left_open_and_pipe_say_so)
{
	struct rlimit old, none;

	if (test_on_valgrind())
		return;
	begin();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(weir_run(loop, no_fds), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	end();
}
END_TEST

/* ---- pipes ---- */

struct writer { struct weir_frame co; int fd, rc; const char *text; };

static WEIR_CO(writer, self, op)
{
	WEIR_AWAIT(self->rc, weir_write(op, self->fd, self->text, strlen(self->text), -1));
	ck_assert_int_eq(self->rc, (int)strlen(self->text));
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	WEIR_RETURN(self->rc);
}
WEIR_END

struct piped { struct weir_frame co; int fds[2], rc; char buf[8]; };

static WEIR_CO(piped, self, op)
{
	WEIR_AWAIT(self->rc, weir_pipe(op, self->fds, O_NONBLOCK));
	ck_assert_int_eq(self->rc, 0);
	ck_assert_int_eq(fcntl(self->fds[0], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(self->fds[1], F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(weir_go(&group, writer, .fd = self->fds[1], .text = "abc"), 0);
	WEIR_AWAIT(self->rc, weir_read(op, self->fds[0], self->buf, sizeof self->buf, -1));
	ck_assert_int_eq(self->rc, 3);
	ck_assert_mem_eq(self->buf, "abc", 3);
	WEIR_AWAIT(self->rc, weir_read(op, self->fds[0], self->buf, sizeof self->buf, -1));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_close(op, self->fds[0]));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_pipe_carries_bytes_and_ends)
{
	begin();
	ck_assert_int_eq(weir_run(loop, piped), 0);
	end();
}
END_TEST

struct cut { struct weir_frame co; int fd, n; void *bytes; };

static WEIR_CO(cut, self, op)
{
	WEIR_AWAIT(self->n, weir_write(op, self->fd, self->bytes, 3ul << 30, -1));
	ck_assert_int_eq(self->n, 0x7ffff000);
}
WEIR_END

START_TEST(a_size_above_the_kernels_limit_is_cut)
{
	void *bytes = mmap(NULL, 3ul << 30, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			   -1, 0);
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	begin();
	ck_assert_ptr_ne(bytes, MAP_FAILED);
	ck_assert_int_eq(weir_run(loop, cut, .fd = fd, .bytes = bytes), 0);
	ck_assert_int_eq(munmap(bytes, 3ul << 30), 0);
	close(fd);
	end();
}
END_TEST

/* ---- what may not be on the stack ---- */

struct on_stack { struct weir_frame co; int which; struct statx st; };

static WEIR_CO(on_stack, self, op)
{
	char here[256] = "x";
	int n = 0;

	switch (self->which) {
	case 0:
		WEIR_AWAIT(n, weir_read(op, 0, here, sizeof here, -1));
		break;
	case 1:
		WEIR_AWAIT(n, weir_write(op, 1, here, sizeof here, -1));
		break;
	case 2:
		WEIR_AWAIT(n, weir_open(op, here, O_RDONLY, 0));
		break;
	case 3:
		WEIR_AWAIT(n, weir_statx(op, AT_FDCWD, here, 0, 0, &self->st));
		break;
	case 4:
		WEIR_AWAIT(n, weir_statx(op, AT_FDCWD, "/", 0, 0, (struct statx *)(void *)here));
		break;
	case 5:
		WEIR_AWAIT(n, weir_rename(op, "none", here));
		break;
	case 6:
		WEIR_AWAIT(n, weir_mkdir(op, here, 0700));
		break;
	case 7:
		WEIR_AWAIT(n, weir_unlink(op, here));
		break;
	case 8:
		WEIR_AWAIT(n, weir_pipe(op, (int *)(void *)here, 0));
		break;
	}
	WEIR_RETURN(n);
}
WEIR_END

static int which;

static void use_stack(void)
{
	begin();
	weir_run(loop, on_stack, .which = which);
}

START_TEST(a_buffer_on_the_coroutines_stack_aborts)
{
	for (which = 0; which <= 8; which++)
		ck_aborts(use_stack, "buffer on the stack of a coroutine");
}
END_TEST

/* ---- reports ---- */

static int left_open[2];

struct leaky { struct weir_frame co; int rc, fds[2]; };

static WEIR_CO(leaky, self, op)
{
	WEIR_AWAIT(self->rc, weir_open(op, "/dev/null", O_RDONLY, 0));
	left_open[0] = self->rc;
	WEIR_AWAIT(self->rc, weir_pipe(op, self->fds, 0));
	left_open[1] = self->fds[0];
	WEIR_AWAIT(self->rc, weir_close(op, self->fds[1]));
}
WEIR_END

START_TEST(a_descriptor_left_open_is_reported_with_its_await)
{
	char text[80];

	loop = test_loop_conf(&(struct weir_loop_conf){ .check = true });
	ck_assert_int_eq(weir_run(loop, leaky), 0);
	ck_assert_int_eq(weir_loop_free(loop), 2);
	snprintf(text, sizeof text, "descriptor %d, opened by leaky ", left_open[0]);
	ck_assert_ptr_nonnull(strstr(test_report(), text));
	snprintf(text, sizeof text, "descriptor %d, opened after leaky ", left_open[1]);
	ck_assert_ptr_nonnull(strstr(test_report(), text));
	close(left_open[0]);
	close(left_open[1]);
}
END_TEST

TESTS("file", a_file_is_written_synced_read_closed_and_removed,
      names_are_made_looked_up_renamed_and_removed, errors_are_those_of_the_call,
      without_a_descriptor_left_open_and_pipe_say_so, a_pipe_carries_bytes_and_ends,
      a_size_above_the_kernels_limit_is_cut, a_buffer_on_the_coroutines_stack_aborts,
      a_descriptor_left_open_is_reported_with_its_await)
