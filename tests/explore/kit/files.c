/* SPDX-License-Identifier: MIT */
/*
 * files.c - eventfds and timerfds that the explorer sees, and the clock.
 *
 * Their descriptors are numbers that the kernel does not give, from FIRST on; as in the kernel the
 * lowest free one is given again.  Every other descriptor goes to libc.  Time stands still but for
 * those who look at the clock, until a timerfd that is armed expires.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "explore.h"
#include "kernel.h"

#define FIRST		100000
#define FILES_MAX	32
#define NS		1000000000u
/* What a look at the clock takes, in ns.  So who waits awake comes to an end: a loop that listens
 * for what other threads send does so for a few turns, then sleeps and hears the bell. */
#define LOOK		5000u

int __wrap_eventfd(unsigned count, int flags);
int __wrap_eventfd_read(int fd, eventfd_t *value);
int __wrap_eventfd_write(int fd, eventfd_t value);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *old);
ssize_t __real_read(int fd, void *buf, size_t n);
ssize_t __wrap_read(int fd, void *buf, size_t n);
ssize_t __real_write(int fd, const void *buf, size_t n);
ssize_t __wrap_write(int fd, const void *buf, size_t n);
int __real_close(int fd);
int __wrap_close(int fd);
int __real_fcntl(int fd, int cmd, ...);
int __wrap_fcntl(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);

static struct file files[FILES_MAX], *fds[FILES_MAX];
static uint64_t now = NS;

/* ---- descriptors ---- */

static int fd_new(struct file *f)
{
	int i;

	for (i = 0; i < FILES_MAX && fds[i]; i++)
		;
	if (i == FILES_MAX)
		explore_fail("more than %d descriptors", FILES_MAX);
	fds[i] = f;
	f->refs++;
	return FIRST + i;
}

int file_new(struct file **file)
{
	struct file *f;

	for (f = files; f < files + FILES_MAX && f->refs; f++)
		;
	if (f == files + FILES_MAX)
		explore_fail("more than %d files", FILES_MAX);
	*f = (struct file){ .kind = EVENT };
	*file = f;
	return fd_new(f);
}

static bool is_ours(int fd)
{
	return fd >= FIRST;
}

struct file *file_of(int fd)
{
	if (fd < FIRST || fd >= FIRST + FILES_MAX || !fds[fd - FIRST])
		explore_fail("a descriptor is used that is not open");
	return fds[fd - FIRST];
}

void file_unref(struct file *f)
{
	if (--f->refs)
		return;
	if (f->kind == RING)
		ring_exit(f->ring);
	f->kind = NO_FILE;
}

void file_close(int fd)
{
	struct file *f;

	explore_point("closes a descriptor");
	f = file_of(fd);
	fds[fd - FIRST] = NULL;
	file_unref(f);
}

int __wrap_close(int fd)
{
	if (!is_ours(fd))
		return __real_close(fd);
	file_close(fd);
	return 0;
}

static int control(int fd, int cmd, int arg)
{
	if (!is_ours(fd))
		return __real_fcntl(fd, cmd, arg);
	switch (cmd) {
	case F_DUPFD_CLOEXEC:
		return fd_new(file_of(fd));
	case F_GETFL:
		file_of(fd);
		return O_RDWR | O_NONBLOCK;
	default:
		file_of(fd);
		return 0;
	}
}

int __wrap_fcntl(int fd, int cmd, ...)
{
	va_list args;
	int arg;

	va_start(args, cmd);
	arg = va_arg(args, int);
	va_end(args);
	return control(fd, cmd, arg);
}

int __wrap_fcntl64(int fd, int cmd, ...)
{
	va_list args;
	int arg;

	va_start(args, cmd);
	arg = va_arg(args, int);
	va_end(args);
	return control(fd, cmd, arg);
}

/* ---- eventfd ---- */

int __wrap_eventfd(unsigned count, int flags)
{
	struct file *f;
	int fd = file_new(&f);

	f->semaphore = flags & EFD_SEMAPHORE;
	f->count = count;
	return fd;
}

uint64_t file_take(struct file *f)
{
	uint64_t n = f->semaphore ? 1 : f->count;

	f->count -= n;
	return n;
}

static int take(int fd, uint64_t *value)
{
	struct file *f;

	explore_point("reads a descriptor");
	f = file_of(fd);
	if (f->count)
		*value = file_take(f);
	else
		errno = EAGAIN;
	ring_return();
	return *value ? 0 : -1;
}

static int add(int fd, uint64_t n)
{
	struct file *f;

	explore_point("writes to an eventfd");
	f = file_of(fd);
	f->count += n;
	ring_notify(f, true);
	ring_return();
	return 0;
}

int __wrap_eventfd_read(int fd, eventfd_t *value)
{
	*value = 0;
	return take(fd, value);
}

int __wrap_eventfd_write(int fd, eventfd_t value)
{
	return add(fd, value);
}

ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	uint64_t value = 0;

	if (!is_ours(fd))
		return __real_read(fd, buf, n);
	if (take(fd, &value) < 0)
		return -1;
	*(uint64_t *)buf = value;
	return sizeof value;
}

ssize_t __wrap_write(int fd, const void *buf, size_t n)
{
	if (!is_ours(fd))
		return __real_write(fd, buf, n);
	add(fd, *(const uint64_t *)buf);
	return sizeof(uint64_t);
}

/* ---- time ---- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	if (!explore_active())
		return __real_clock_gettime(clock, ts);
	now += LOOK;
	*ts = (struct timespec){ .tv_sec = (time_t)(now / NS), .tv_nsec = (long)(now % NS) };
	return 0;
}

int __wrap_timerfd_create(int clock, int flags)
{
	struct file *f;
	int fd = file_new(&f);

	(void)clock;
	(void)flags;
	f->kind = TIMER;
	return fd;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
			   struct itimerspec *old)
{
	struct file *f;

	(void)flags;
	(void)old;
	explore_point("sets a timer");
	f = file_of(fd);
	f->due = (uint64_t)when->it_value.tv_sec * NS + (uint64_t)when->it_value.tv_nsec;
	f->count = 0;
	ring_return();
	return 0;
}

static struct file *next_timer(void)
{
	struct file *f, *first = NULL;

	for (f = files; f < files + FILES_MAX; f++)
		if (f->kind == TIMER && f->due && (!first || f->due < first->due))
			first = f;
	return first;
}

static bool may_expire(void)
{
	return next_timer();
}

static void expire(void)
{
	struct file *f = next_timer();

	now = f->due > now ? f->due : now;
	f->due = 0;
	f->count = 1;
	ring_notify(f, false);
}

const struct explore_event explore_clock = { "the clock: a timer expires", may_expire, expire };

/* ---- poll ---- */

static bool is_readable(void *on)
{
	const struct file *f = on;

	return f->kind == RING ? ring_has_events(f->ring) : f->count > 0;
}

static bool ends_poll(void *on)
{
	return is_readable(on) || ring_calls();
}

/* Of one descriptor, and as long as it takes.  Work that a ring of this thread has for it cuts the
 * call short. */
int __wrap_poll(struct pollfd *p, nfds_t n, int timeout)
{
	struct file *f;

	if (n != 1 || !is_ours(p->fd))
		return __real_poll(p, n, timeout);
	f = file_of(p->fd);
	explore_wait(ends_poll, f, "sleeps in poll");
	ring_return();
	p->revents = is_readable(f) ? POLLIN : 0;
	if (p->revents)
		return 1;
	errno = EINTR;
	return -1;
}

bool explore_no_files(void)
{
	struct file *f;

	now = NS;	/* for the next schedule */
	for (f = files; f < files + FILES_MAX; f++)
		if (f->refs)
			return false;
	return true;
}
