/* SPDX-License-Identifier: MIT */
/*
 * explain.c - why a loop could not be made, in words, and what helps.
 *
 * It looks at the settings that decide, now, so that it names the one that did.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "weir/loop.h"

#define SYSCTL	"/proc/sys/kernel/io_uring_disabled"

/* The sysctl's value; '0' where the kernel has no such switch. */
static char disabled(void)
{
	char c = '0';
	int fd = open(SYSCTL, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return c;
	if (read(fd, &c, 1) != 1)
		c = '0';
	close(fd);
	return c;
}

static unsigned long long limit(int which)
{
	struct rlimit r;

	return getrlimit(which, &r) < 0 ? 0 : (unsigned long long)r.rlim_cur;
}

static void explain_eperm(char *buf, size_t size)
{
	if (disabled() != '0')
		snprintf(buf, size,
			 "io_uring is switched off: the sysctl kernel.io_uring_disabled is %c. "
			 "Set it to 0, or to 1 and join the group of kernel.io_uring_group.",
			 disabled());
	else
		snprintf(buf, size,
			 "io_uring_setup(2) is forbidden to this process, most likely by a seccomp "
			 "filter (the default one of Docker and Kubernetes does so). Run with a "
			 "profile that allows io_uring_setup, io_uring_enter and "
			 "io_uring_register.");
}

const char *weir_explain(int rc, char *buf, size_t size)
{
	switch (rc) {
	case -EPERM:
	case -EACCES:
		explain_eperm(buf, size);
		break;
	case -ENOSYS:
		snprintf(buf, size,
			 "This kernel has no io_uring, or a seccomp filter says so. weir needs "
			 "Linux 6.1 or newer with CONFIG_IO_URING, and a sandbox that lets "
			 "io_uring_setup through.");
		break;
	case -ENOMEM:
		snprintf(buf, size,
			 "The kernel could not lock memory for the rings: the limit is %llu KiB "
			 "for all processes of this user. Raise it (LimitMEMLOCK= in systemd, "
			 "ulimit -l), or make the loop with smaller ops and entries.",
			 limit(RLIMIT_MEMLOCK) / 1024);
		break;
	case -EMFILE:
		snprintf(buf, size,
			 "This process has no descriptor left: the limit is %llu. A loop takes 3 "
			 "or 4. Raise it (LimitNOFILE= in systemd, ulimit -n), or close some.",
			 limit(RLIMIT_NOFILE));
		break;
	case -ENFILE:
		snprintf(buf, size,
			 "The system has no descriptor left. Raise the sysctl fs.file-max.");
		break;
	case -EINVAL:
		snprintf(buf, size,
			 "The configuration asks for more than 65536 ops or 32768 entries, or this "
			 "kernel does not know io_uring as of Linux 6.1.");
		break;
	default:
		snprintf(buf, size, "%s.", rc < 0 ? strerror(-rc) : "No error");
	}
	return buf;
}
