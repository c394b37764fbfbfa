/* SPDX-License-Identifier: MIT */
/*
 * demo_kit.h - runs a demo as a person would, from a shell, and keeps what it printed.
 *
 * $DEMO is the directory of the demos behind the command that `make check WRAP=...` runs programs
 * under: so a sanitizer, valgrind or setarch sees the demo and not only its test.
 */
#ifndef DEMO_KIT_H
#define DEMO_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static char demo_out[1 << 18];	/* of the last demo, what it wrote to stdout and stderr */

/* Runs a shell command, "$DEMO/pipeline FILE" say; its exit status. */
static inline int demo_run(const char *command)
{
	const char *wrap = getenv("WRAP"), *build = getenv("BUILD");
	char dir[1024];
	size_t len;
	FILE *p;
	int status;

	snprintf(dir, sizeof dir, "%s %s/demos", wrap ? wrap : "", build ? build : "build");
	setenv("DEMO", dir, 1);
	p = popen(command, "re");
	ck_assert_ptr_nonnull(p);
	len = fread(demo_out, 1, sizeof demo_out - 1, p);
	demo_out[len] = '\0';
	status = pclose(p);
	ck_assert_msg(WIFEXITED(status), "%s: signal %d\n%s", command, WTERMSIG(status), demo_out);
	return WEXITSTATUS(status);
}

/* As demo_run(), with stderr, of a command that is to succeed and find everything right. */
static inline void demo_succeeds(const char *command)
{
	char both[1024];
	int status;

	snprintf(both, sizeof both, "exec 2>&1; %s", command);
	status = demo_run(both);
	ck_assert_msg(status == 0, "%s: exit status %d\n%s", command, status, demo_out);
	ck_assert_msg(!strstr(demo_out, "WRONG"), "%s:\n%s", command, demo_out);
}

/* How often text is in what the demo printed. */
static inline unsigned demo_count(const char *text)
{
	const char *at = demo_out;
	unsigned n;

	for (n = 0; (at = strstr(at, text)); n++)
		at += strlen(text);
	return n;
}

/* Runs a shell command that is to end with this exit status, and to say text once. */
static inline void demo_says(int status, const char *command, const char *text)
{
	int was = demo_run(command);

	ck_assert_msg(was == status, "%s: exit status %d\n%s", command, was, demo_out);
	ck_assert_msg(demo_count(text) == 1, "%s: not once: %s\n%s", command, text, demo_out);
}

#endif
