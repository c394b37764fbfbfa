/* SPDX-License-Identifier: MIT */
/*
 * wrapped_calls.h - the system calls that weir makes itself, and what else of libc and liburing can
 * say no: each is a place with the errors that it may give.
 */
#ifndef WRAPPED_CALLS_H
#define WRAPPED_CALLS_H

#include <fcntl.h>
#include <liburing.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "faults/inject.h"

#define CALL_FAILS(name, flags, ...)	\
	((errno = fault_place(CALL, #name, ERRORS(__VA_ARGS__), (flags))) != 0)

/* type name(params), handed on by args, fails with those errors before it does anything. */
#define WRAP(type, name, params, args, flags, ...)					\
	type __real_##name params;							\
	type __wrap_##name params;							\
	type __wrap_##name params							\
	{										\
		return CALL_FAILS(name, flags, __VA_ARGS__) ? -1 : __real_##name args;	\
	}

/* The same where the error is the result. */
#define WRAP_RESULT(name, params, args, flags, ...)					\
	int __real_##name params;							\
	int __wrap_##name params;							\
	int __wrap_##name params							\
	{										\
		int err = fault_place(CALL, #name, ERRORS(__VA_ARGS__), (flags));	\
											\
		return err ? -err : __real_##name args;					\
	}

WRAP(int, eventfd, (unsigned n, int flags), (n, flags), 0, EMFILE, ENFILE, ENOMEM)
WRAP(int, eventfd_read, (int fd, eventfd_t *n), (fd, n), UNNOTICED, EAGAIN)
WRAP(int, timerfd_create, (int clock, int flags), (clock, flags), 0, EMFILE, ENFILE, ENOMEM)
WRAP(int, timerfd_settime, (int fd, int flags, const struct itimerspec *new,
			    struct itimerspec *old), (fd, flags, new, old),
     UNNOTICED | BREAKS, EPERM)
WRAP(int, pipe2, (int *fds, int flags), (fds, flags), 0, EMFILE, ENFILE)
WRAP(int, socket, (int domain, int type, int protocol), (domain, type, protocol), 0,
     EMFILE, ENFILE, ENOBUFS, EAFNOSUPPORT)
WRAP(int, bind, (int fd, const struct sockaddr *addr, socklen_t len), (fd, addr, len), 0,
     EADDRINUSE, EACCES, ENOMEM)
WRAP(int, listen, (int fd, int backlog), (fd, backlog), 0, EADDRINUSE)
WRAP(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
     (fd, level, name, value, len), 0, ENOMEM)
WRAP(int, getsockname, (int fd, struct sockaddr *addr, socklen_t *len), (fd, addr, len), 0,
     ENOBUFS)
WRAP(ssize_t, getrandom, (void *p, size_t n, unsigned flags), (p, n, flags), UNNOTICED,
     EAGAIN, ENOSYS)
WRAP(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), UNNOTICED, EINTR)
WRAP(ssize_t, write, (int fd, const void *p, size_t n), (fd, p, n), UNNOTICED, EINTR)

#define RING	struct io_uring *ring

WRAP_RESULT(io_uring_queue_init_params, (unsigned n, RING, struct io_uring_params *p),
	    (n, ring, p), UNNOTICED, ENOMEM, EINVAL, EMFILE, ENFILE, EPERM, ENOSYS)
WRAP_RESULT(io_uring_register_eventfd, (RING, int fd), (ring, fd), 0, ENOMEM)
WRAP_RESULT(io_uring_register_iowq_max_workers, (RING, unsigned *n), (ring, n), UNNOTICED, EINVAL)
WRAP_RESULT(io_uring_register_buf_ring, (RING, struct io_uring_buf_reg *reg, unsigned flags),
	    (ring, reg, flags), UNNOTICED, EINVAL, EPERM, ENOMEM)
WRAP_RESULT(io_uring_ring_dontfork, (RING), (ring), UNNOTICED, EINVAL)

int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	if (cmd == F_DUPFD_CLOEXEC ? CALL_FAILS(F_DUPFD, 0, EMFILE) :
	    CALL_FAILS(fcntl, 0, EBADF))
		return -1;
	return __real_fcntl(fd, cmd, arg);
}

/* Who has one thread can do without a second. */
typedef void *thread_main(void *arg);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, thread_main *fn, void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, thread_main *fn, void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, thread_main *fn, void *arg)
{
	int err = fault_place(CALL, "pthread_create", ERRORS(EAGAIN), UNNOTICED);

	return err ? err : __real_pthread_create(t, attr, fn, arg);
}

/* It is full, so it is readable. */
int __real_eventfd_write(int fd, eventfd_t n);
int __wrap_eventfd_write(int fd, eventfd_t n);
int __wrap_eventfd_write(int fd, eventfd_t n)
{
	int rc = __real_eventfd_write(fd, n);

	return CALL_FAILS(eventfd_write, UNNOTICED, EAGAIN) ? -1 : rc;
}

/* Reports an error and has closed all the same. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	int rc = __real_close(fd);

	if (rc < 0) {
		fault.bad_closes++;
		return rc;
	}
	return CALL_FAILS(close, UNNOTICED, EIO, EINTR, ENOSPC) ? -1 : rc;
}

/* Nobody waits for real memory to come back. */
int __real_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left);
int __wrap_nanosleep(const struct timespec *t, struct timespec *left)
{
	return fault.armed ? 0 : __real_nanosleep(t, left);
}

#endif
