/* SPDX-License-Identifier: MIT */
/*
 * file.c - see file.h: which entry of the submission queue is which system call.
 *
 * What an op names in addr must not be on the coroutine's stack: weir_kernel_park_() looks, and
 * weir_kernel_park_both_() also where off is an address.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <liburing.h>
#include <unistd.h>

#include "io/kernel.h"
#include "weir/file.h"

/* ---- opening and closing ---- */

static const struct weir_op_def open_def = {
	.name = "open", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.revoke = weir_kernel_revoke_, .complete = weir_kernel_complete_,
	.opcode = IORING_OP_OPENAT, .flags = WEIR_GIVES_FD_,
};

struct weir_op *weir_openat(struct weir_op *op, int dirfd, const char *path, int flags,
			    unsigned mode)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &open_def, dirfd);

	a->addr = weir_addr_(path);
	a->len = mode;
	a->flags = (unsigned)(flags | O_CLOEXEC | O_LARGEFILE);
	return op;
}

struct weir_op *weir_open(struct weir_op *op, const char *path, int flags, unsigned mode)
{
	return weir_openat(op, AT_FDCWD, path, flags, mode);
}

static bool close_park(struct weir_op *op)
{
	weir_fd_closed_(weir_op_loop(op), op->u.kernel.fd);
	return weir_kernel_park_(op);
}

static const struct weir_op_def close_def = {
	.name = "close", .park = close_park, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = WEIR_KOP_CLOSE, .flags = WEIR_UNINTERRUPTED_,
};

struct weir_op *weir_close(struct weir_op *op, int fd)
{
	weir_kernel_args_(op, &close_def, fd);
	return op;
}

/* A pipe is made at once, before the task is seen to wait. */
static bool pipe_park(struct weir_op *op)
{
	const int *fds = (const int *)(uintptr_t)op->u.kernel.addr;
	bool over = weir_kernel_park_(op);

	if (over && op->res == 0) {
		weir_kernel_gave_(op, fds[0]);
		weir_kernel_gave_(op, fds[1]);
	}
	return over;
}

static void pipe_revoke(struct weir_op *op, int err)
{
	const int *fds = (const int *)(uintptr_t)op->u.kernel.addr;
	int i;

	for (i = 0; i < 2; i++) {
		weir_fd_closed_(weir_op_loop(op), fds[i]);
		weir_kernel_drop_(op, fds[i]);
	}
	op->res = err;
}

static const struct weir_op_def pipe_def = {
	.name = "pipe", .park = pipe_park, .cancel = weir_kernel_cancel_, .revoke = pipe_revoke,
	.complete = weir_kernel_complete_, .opcode = WEIR_KOP_PIPE,
};

struct weir_op *weir_pipe(struct weir_op *op, int fds[2], int flags)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &pipe_def, -1);

	a->addr = weir_addr_(fds);
	a->flags = (unsigned)(flags | O_CLOEXEC);
	return op;
}

/* ---- reading and writing ---- */

static const struct weir_op_def read_def = {
	.name = "read", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_READ, .flags = WEIR_FILLS_,
};

struct weir_op *weir_read(struct weir_op *op, int fd, void *buf, size_t len, int64_t offset)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &read_def, fd);

	a->addr = weir_addr_(buf);
	a->len = weir_len_(len);
	a->off = (uint64_t)offset;
	return op;
}

static const struct weir_op_def write_def = {
	.name = "write", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_WRITE,
};

struct weir_op *weir_write(struct weir_op *op, int fd, const void *buf, size_t len, int64_t offset)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &write_def, fd);

	a->addr = weir_addr_(buf);
	a->len = weir_len_(len);
	a->off = (uint64_t)offset;
	return op;
}

static const struct weir_op_def fsync_def = {
	.name = "fsync", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_FSYNC,
};

struct weir_op *weir_fsync(struct weir_op *op, int fd)
{
	weir_kernel_args_(op, &fsync_def, fd);
	return op;
}

struct weir_op *weir_fdatasync(struct weir_op *op, int fd)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &fsync_def, fd);

	a->flags = IORING_FSYNC_DATASYNC;
	return op;
}

/* ---- names ---- */

static const struct weir_op_def statx_def = {
	.name = "statx", .park = weir_kernel_park_both_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_STATX, .flags = WEIR_FILLS_,
};

struct weir_op *weir_statx(struct weir_op *op, int dirfd, const char *path, int flags,
			   unsigned mask, struct statx *st)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &statx_def, dirfd);

	a->addr = weir_addr_(path);
	a->len = mask;
	a->off = weir_addr_(st);
	a->flags = (unsigned)flags;
	return op;
}

static const struct weir_op_def unlink_def = {
	.name = "unlink", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_UNLINKAT,
};

struct weir_op *weir_unlinkat(struct weir_op *op, int dirfd, const char *path, int flags)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &unlink_def, dirfd);

	a->addr = weir_addr_(path);
	a->flags = (unsigned)flags;
	return op;
}

struct weir_op *weir_unlink(struct weir_op *op, const char *path)
{
	return weir_unlinkat(op, AT_FDCWD, path, 0);
}

static const struct weir_op_def rename_def = {
	.name = "rename", .park = weir_kernel_park_both_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_RENAMEAT,
};

struct weir_op *weir_renameat(struct weir_op *op, int from_dir, const char *from, int to_dir,
			      const char *to, unsigned flags)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &rename_def, from_dir);

	a->addr = weir_addr_(from);
	a->len = (unsigned)to_dir;
	a->off = weir_addr_(to);
	a->flags = flags;
	return op;
}

struct weir_op *weir_rename(struct weir_op *op, const char *from, const char *to)
{
	return weir_renameat(op, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static const struct weir_op_def mkdir_def = {
	.name = "mkdir", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_MKDIRAT,
};

struct weir_op *weir_mkdirat(struct weir_op *op, int dirfd, const char *path, unsigned mode)
{
	struct weir_kernel_args *a = weir_kernel_args_(op, &mkdir_def, dirfd);

	a->addr = weir_addr_(path);
	a->len = mode;
	return op;
}

struct weir_op *weir_mkdir(struct weir_op *op, const char *path, unsigned mode)
{
	return weir_mkdirat(op, AT_FDCWD, path, mode);
}
