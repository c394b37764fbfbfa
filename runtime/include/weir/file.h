/* SPDX-License-Identifier: MIT */
/*
 * file.h - files and pipes, awaited.
 *
 * Each function prepares one system call of the same name, which the kernel carries out while other
 * tasks run; results and errors are that call's, as >= 0 or -errno.  Descriptors are made
 * close-on-exec.  Once the task's ctx is done a call that waits is called off; one that has
 * had its effect by then says so: its result stands.  A descriptor that comes too late is closed.
 *
 * Buffers and paths are the kernel's until the await has returned, so they live in the frame or the
 * heap; one on the coroutine's stack aborts the program.  Short counts are normal: see
 * weir_read_full() and weir_write_all().
 */
#ifndef WEIR_FILE_H
#define WEIR_FILE_H

#include "weir/base.h"
#include "weir/co.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct statx;	/* <sys/stat.h>, with _GNU_SOURCE */

/* openat(2), from the current directory or from dirfd.  Result: the descriptor. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_open(struct weir_op *op, const char *path, int flags,
						 unsigned mode);
WEIR_API WEIR_MUST_USE struct weir_op *weir_openat(struct weir_op *op, int dirfd, const char *path,
						   int flags, unsigned mode);

/* pread(2) and pwrite(2); with an offset of -1 read(2) and write(2), at the file's own position, as
 * always with pipes and sockets.  Results: bytes, 0 is the end of the file; of more than
 * 0x7ffff000 bytes that many are moved.  A write to a pipe that nobody reads raises SIGPIPE,
 * unless the program ignores that; for sockets there is weir_send(). */
WEIR_API WEIR_MUST_USE struct weir_op *weir_read(struct weir_op *op, int fd, void *buf, size_t len,
						 int64_t offset);
WEIR_API WEIR_MUST_USE struct weir_op *weir_write(struct weir_op *op, int fd, const void *buf,
						  size_t len, int64_t offset);

/* Closes fd, also if the task's ctx is done.  Operations of this loop's tasks on it end first, with
 * -ECANCELED or with what they had done by then; an operation begun meanwhile is refused with
 * -EBADF.  Only then is the descriptor free.  Results: 0; -EBADF; errors of writing late, as
 * close(2), and fd is closed all the same.  What NFS, CIFS and FUSE write only then is waited
 * for by a thread of the kernel's, or holds up the loop: weir_fsync() first.  Not for the
 * descriptor of an io_uring. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_close(struct weir_op *op, int fd);

/* statx(2), flags and mask as there; path "" with AT_EMPTY_PATH: dirfd itself. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_statx(struct weir_op *op, int dirfd, const char *path,
						  int flags, unsigned mask, struct statx *st);

/* fsync(2), fdatasync(2).  Once begun they are not called off, and return when the disk has it. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_fsync(struct weir_op *op, int fd);
WEIR_API WEIR_MUST_USE struct weir_op *weir_fdatasync(struct weir_op *op, int fd);

/* unlinkat(2): flags 0, or AT_REMOVEDIR. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_unlink(struct weir_op *op, const char *path);
WEIR_API WEIR_MUST_USE struct weir_op *weir_unlinkat(struct weir_op *op, int dirfd,
						     const char *path, int flags);

/* renameat2(2).  A close of to_dir does not wait for it. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_rename(struct weir_op *op, const char *from,
						   const char *to);
WEIR_API WEIR_MUST_USE struct weir_op *weir_renameat(struct weir_op *op, int from_dir,
						     const char *from, int to_dir, const char *to,
						     unsigned flags);

WEIR_API WEIR_MUST_USE struct weir_op *weir_mkdir(struct weir_op *op, const char *path,
						  unsigned mode);
WEIR_API WEIR_MUST_USE struct weir_op *weir_mkdirat(struct weir_op *op, int dirfd,
						    const char *path, unsigned mode);

/* pipe2(2): fds[0] to read from, fds[1] to write to.  O_NONBLOCK in flags does not make reads and
 * writes here return early, and saves older kernels (Linux 6.1) a thread for each that waits. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_pipe(struct weir_op *op, int fds[2], int flags);

#ifndef __cplusplus

/*
 * Coroutines for WEIR_CALL() that go on after short counts:
 *
 *	struct session { struct weir_frame co; struct weir_read_full rd; char head[16]; int fd; };
 *	...
 *	WEIR_CALL(n, self->rd, weir_read_full, .fd = self->fd, .buf = self->head, .len = 16);
 *
 * They move bytes at the file's own position, as always with pipes and sockets, or with .at set at
 * .offset of a file.  Results: bytes, at most INT_MAX, -EINVAL for more; or an error, after which
 * `done` bytes have been moved all the same.
 */

/* Fewer bytes than len: the file ended. */
struct weir_read_full {
	struct weir_frame co;
	int fd;
	void *buf;
	size_t len;
	bool at;
	int64_t offset;
	size_t done;
};
WEIR_API WEIR_CO_DECL(weir_read_full);

/* len bytes, or an error. */
struct weir_write_all {
	struct weir_frame co;
	int fd;
	const void *buf;
	size_t len;
	bool at;
	int64_t offset;
	size_t done;
};
WEIR_API WEIR_CO_DECL(weir_write_all);

#endif

#ifdef __cplusplus
}
#endif

#endif
