/* SPDX-License-Identifier: MIT */
/*
 * kit.h - what tests of the core need of kernel, threads and time, below the io room.
 */
#ifndef CORE_KIT_H
#define CORE_KIT_H

#include <check.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/loop.h"
#include "weir.h"

/* ---- a kernel op: reads 8 bytes from an eventfd ---- */

static const struct weir_op_def kit_read_def_ = {
	.name = "read", .park = weir_kernel_park_, .cancel = weir_kernel_cancel_,
	.complete = weir_kernel_complete_, .opcode = IORING_OP_READ, .flags = WEIR_FILLS_,
};

static inline struct weir_op *kit_read(struct weir_op *op, int fd, uint64_t *count)
{
	weir_op_prepare_(op, &kit_read_def_);
	op->u.kernel.fd = fd;
	op->u.kernel.addr = (uintptr_t)count;
	op->u.kernel.len = sizeof *count;
	op->u.kernel.off = 0;
	op->u.kernel.flags = 0;
	return op;
}

static inline int kit_eventfd(void)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* ---- time ---- */

static inline uint64_t kit_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * WEIR_S + (uint64_t)ts.tv_nsec;
}

static inline uint64_t kit_now(void)
{
	return kit_clock(CLOCK_MONOTONIC);
}

/* ---- threads ---- */

static inline pid_t kit_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

/* Returns when the thread of this process sleeps in a system call. */
static inline void kit_until_asleep(pid_t tid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
	while (state != 'S') {
		f = fopen(path, "r");
		if (!f || fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
			state = '?';
		if (f)
			fclose(f);
	}
}

/* ---- processes ---- */

/* fn() in a child, for what leaves the process in disorder; it must come to its end. */
static inline void kit_in_child(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

/* ---- descriptors ---- */

static inline bool kit_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

#endif
