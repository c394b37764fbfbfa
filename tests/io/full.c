/* SPDX-License-Identifier: MIT */
/* full.c - reading and writing all of a buffer, in as many parts as it takes. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "io_kit.h"

struct parts { struct weir_frame co; struct weir_write_all wr; int fd; size_t size; char *bytes; };

static WEIR_CO(parts, self, op)
{
	int n;

	WEIR_CALL(n, self->wr, weir_write_all, .fd = self->fd, .buf = self->bytes,
		  .len = self->size);
	ck_assert_int_eq(n, (int)self->size);
	WEIR_AWAIT(n, weir_close(op, self->fd));
	WEIR_RETURN(n);
}
WEIR_END

struct full { struct weir_frame co; struct weir_read_full rd; int n; size_t size; char *bytes; };

static WEIR_CO(full, self, op)
{
	WEIR_CALL(self->n, self->rd, weir_read_full, .fd = pipe_fds[0], .buf = self->bytes,
		  .len = self->size - 1);
	ck_assert_int_eq(self->n, (int)self->size - 1);
	WEIR_CALL(self->n, self->rd, weir_read_full, .fd = pipe_fds[0],
		  .buf = self->bytes + self->size - 1, .len = 100);
	ck_assert_int_eq(self->n, 1);	/* the end of the file came first */
}
WEIR_END

START_TEST(much_is_written_and_read_in_as_many_parts_as_it_takes)
{
	enum { SIZE = 1 << 20 };	/* a pipe holds a sixteenth of it */
	char *out = calloc(1, SIZE), *in = calloc(1, SIZE + 99);
	unsigned i;

	begin();
	for (i = 0; i < SIZE; i++)
		out[i] = (char)(i * 2654435761u >> 24);
	go(parts, .fd = pipe_fds[1], .bytes = out, .size = SIZE);
	go(full, .bytes = in, .size = SIZE);
	ck_assert_int_eq(finish(), 0);
	ck_assert_mem_eq(in, out, SIZE);
	free(out);
	free(in);
	pipe_fds[1] = -1;
	end();
}
END_TEST

struct at {
	struct weir_frame co;
	struct weir_write_all wr;
	struct weir_read_full rd;
	struct weir_send_all snd;
	int fd, n;
	char buf[8];
};

static WEIR_CO(at, self, op)
{
	WEIR_CALL(self->n, self->wr, weir_write_all, .fd = self->fd, .buf = "abcdef", .len = 6,
		  .at = true);
	ck_assert_int_eq(self->n, 6);
	WEIR_CALL(self->n, self->wr, weir_write_all, .fd = self->fd, .buf = "XY", .len = 2,
		  .at = true, .offset = 3);
	ck_assert_int_eq(self->n, 2);
	WEIR_CALL(self->n, self->rd, weir_read_full, .fd = self->fd, .buf = self->buf, .len = 8,
		  .at = true, .offset = 1);
	ck_assert_int_eq(self->n, 5);
	ck_assert_mem_eq(self->buf, "bcXYf", 5);
	WEIR_CALL(self->n, self->rd, weir_read_full, .fd = self->fd, .buf = self->buf, .len = 8);
	ck_assert_int_eq(self->n, 6);	/* the file's own position has not moved before */
	WEIR_CALL(self->n, self->rd, weir_read_full, .fd = -1, .buf = self->buf, .len = 8);
	ck_assert_int_eq(self->n, -EBADF);
	WEIR_CALL(self->n, self->rd, weir_read_full, .fd = self->fd, .buf = self->buf,
		  .len = (size_t)INT_MAX + 1);
	ck_assert_int_eq(self->n, -EINVAL);
	WEIR_CALL(self->n, self->wr, weir_write_all, .fd = self->fd, .buf = self->buf,
		  .len = (size_t)INT_MAX + 1);
	ck_assert_int_eq(self->n, -EINVAL);
	WEIR_CALL(self->n, self->wr, weir_write_all, .fd = self->fd, .buf = self->buf);
	ck_assert_int_eq(self->n, 0);
	WEIR_CALL(self->n, self->snd, weir_send_all, .fd = self->fd, .buf = self->buf,
		  .len = (size_t)INT_MAX + 1);
	ck_assert_int_eq(self->n, -EINVAL);
	WEIR_CALL(self->n, self->snd, weir_send_all, .fd = -1, .buf = self->buf, .len = 1);
	ck_assert_int_eq(self->n, -EBADF);
}
WEIR_END

START_TEST(all_of_a_buffer_at_an_offset_of_a_file)
{
	int fd = memfd_create("at", MFD_CLOEXEC);

	begin();
	ck_assert_int_eq(weir_run(loop, at, .fd = fd), 0);
	close(fd);
	end();
}
END_TEST

struct broken { struct weir_frame co; struct weir_write_all wr; int *n; size_t *done; };

static WEIR_CO(broken, self, op)
{
	static char bytes[1 << 20];

	WEIR_CALL(*self->n, self->wr, weir_write_all, .fd = pipe_fds[1], .buf = bytes,
		  .len = sizeof bytes);
	*self->done = self->wr.done;
}
WEIR_END

START_TEST(a_write_in_parts_that_ends_early_says_how_far_it_got)
{
	int n = PENDING;
	size_t done;

	begin();
	go(broken, .n = &n, .done = &done);
	turn();
	ck_assert_int_eq(n, PENDING);
	ck_assert_int_eq(cancel(), 0);
	ck_assert_int_eq(n, -ECANCELED);
	ck_assert_uint_eq(done, (size_t)fcntl(pipe_fds[1], F_GETPIPE_SZ));
	end();
}
END_TEST

TESTS("full", much_is_written_and_read_in_as_many_parts_as_it_takes,
      all_of_a_buffer_at_an_offset_of_a_file,
      a_write_in_parts_that_ends_early_says_how_far_it_got)
