/* SPDX-License-Identifier: MIT */
/*
 * sanitizers.c - AddressSanitizer sees what the kernel does to memory, because weir shows it: the
 * kernel's own writes go by no instruction that it has marked.
 *
 * Only where it is built in; that it has nothing false to say, every other test shows.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define ASAN
#endif
#endif
#if defined __SANITIZE_ADDRESS__
#define ASAN
#endif

#ifdef ASAN

#define SIZE	16

static int pipe_fds[2];
static char *buf;

struct reads { struct weir_frame co; size_t n; int rc; };
struct frees { struct weir_frame co; int rc; };

static WEIR_CO(reads, self, op)
{
	WEIR_AWAIT(self->rc, weir_read(op, pipe_fds[0], buf, self->n, -1));
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

/* While the kernel has it. */
static WEIR_CO(frees, self, op)
{
	WEIR_TRY(self->rc, out, weir_sleep(op, WEIR_MS));
	free(buf);
	WEIR_TRY(self->rc, out, weir_write(op, pipe_fds[1], "late", 4, -1));
out:
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

static void read_into(size_t n, bool freed)
{
	struct weir_loop *loop;

	buf = malloc(SIZE);
	if (!buf || pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK) < 0 || weir_loop_new(&loop, NULL) < 0)
		_exit(0);
	if (write(pipe_fds[1], "now", freed ? 0 : 3) < 0)
		_exit(0);
	if (freed && weir_go(weir_loop_group(loop), frees) < 0)
		_exit(0);
	weir_run(loop, reads, .n = n);
}

static void read_into_freed_memory(void)
{
	read_into(SIZE, true);
}

static void read_past_the_end(void)
{
	read_into(4 * SIZE, false);
}

/* fn() is ended in a child by the sanitizer, which says `text`. */
static void ck_seen(void (*fn)(void), const char *text)
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

START_TEST(memory_that_was_freed_while_the_kernel_had_it_is_seen_when_the_op_ends)
{
	ck_seen(read_into_freed_memory, "heap-use-after-free");
}
END_TEST

START_TEST(a_buffer_that_is_shorter_than_its_length_is_seen_when_the_op_begins)
{
	ck_seen(read_past_the_end, "heap-buffer-overflow");
}
END_TEST

TESTS("sanitizers",
      memory_that_was_freed_while_the_kernel_had_it_is_seen_when_the_op_ends,
      a_buffer_that_is_shorter_than_its_length_is_seen_when_the_op_begins)

#else

int main(void)
{
	puts("AddressSanitizer is not built in");
	return 77;
}

#endif
