/* SPDX-License-Identifier: MIT */
/*
 * tool_kit.h - which sanitizer is built in, and what it says of a mistake made in a child.
 */
#ifndef TOOL_KIT_H
#define TOOL_KIT_H

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define ASAN
#endif
#if __has_feature(thread_sanitizer)
#define TSAN
#endif
#endif
#if defined __SANITIZE_ADDRESS__
#define ASAN
#endif
#if defined __SANITIZE_THREAD__
#define TSAN
#endif

/* fn() fails in a child, by the sanitizer that says `text`. */
static inline void ck_seen(void (*fn)(void), const char *text)
{
	char said[8192];
	size_t len = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(fds[1]);
	while (len < sizeof said - 1 && (n = read(fds[0], said + len, sizeof said - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(strstr(said, text), "it said: %s", said);
	ck_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
}

#endif
