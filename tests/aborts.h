/* SPDX-License-Identifier: MIT */
/*
 * aborts.h - tests of what ends the program: broken rules of weir's, or what a sanitizer sees.
 *
 * The deed is done in a child, which must make its own loop: a ring does not survive a fork.
 */
#ifndef ABORTS_H
#define ABORTS_H

#include <check.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn() in a child, and keeps what that says on stderr in said; returns how it ended, as
 * waitpid(2) does. */
static inline int in_a_child(void (*fn)(void), char *said, size_t size)
{
	const struct rlimit no_core = { 0, 0 };
	size_t len = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(fds[1]);
	while ((n = read(fds[0], said + len, size - 1 - len)) > 0)
		len += (size_t)n;
	said[len] = '\0';
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

/* fn() must end in abort(), with text somewhere in what it says on stderr. */
static inline void ck_aborts(void (*fn)(void), const char *text)
{
	char said[4096];
	int status = in_a_child(fn, said, sizeof said);

	ck_assert_msg(strstr(said, text), "it said: %s", said);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x", status);
}

#endif
