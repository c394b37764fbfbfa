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
#include <unistd.h>

#include "check/tool_kit.h"
#include "core/loop.h"

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

static void *kept;	/* in sight of the sanitizer */

static int loses(struct weir_loop *loop, void *arg)
{
	(void)arg;
	free(kept);
	kept = malloc(SIZE);
	if (loop->conf.seed == 42)
		kept = NULL;
	return 0;
}

static int loses_in_any_seed(struct weir_loop *loop, void *arg)
{
	(void)arg;
	if (loop->conf.seed >= 42)
		kept = malloc(SIZE);
	return 0;
}

static void lose_some_in_one_seed(void)
{
	_exit(weir_check_run(loses, .seeds = 100));
}

static void lose_some_in_seeds(void)
{
	_exit(weir_check_run(loses_in_any_seed, .seeds = 50));
}

static void lose_it_again(void)
{
	setenv("WEIR_SEED", "loses:42", 1);
	_exit(weir_check_run(loses));
}

START_TEST(a_seed_that_loses_memory_does_so_when_it_is_run_again)
{
	ck_assert_seen(lose_it_again, "weir: check: loses: seed 42: memory has leaked\n");
}
END_TEST

START_TEST(memory_that_was_freed_while_the_kernel_had_it_is_seen_when_the_op_ends)
{
	ck_assert_seen(read_into_freed_memory, "heap-use-after-free");
}
END_TEST

START_TEST(a_buffer_that_is_shorter_than_its_length_is_seen_when_the_op_begins)
{
	ck_assert_seen(read_past_the_end, "heap-buffer-overflow");
}
END_TEST

START_TEST(memory_that_a_seed_loses_is_that_seeds)
{
	ck_assert_seen(lose_some_in_one_seed,
		       "weir: check: loses: memory has leaked in seeds 41 to 44;");
	ck_assert_seen(lose_some_in_one_seed, "weir: check: loses: seed 42: memory has leaked\n");
	ck_assert_seen(lose_some_in_one_seed, "run it again: WEIR_SEED=loses:42 ");
}
END_TEST

START_TEST(the_first_seed_that_loses_memory_is_named)
{
	ck_assert_seen(lose_some_in_seeds, "loses_in_any_seed: seed 43: memory has leaked\n");
}
END_TEST

TESTS("sanitizers",
      memory_that_a_seed_loses_is_that_seeds,
      the_first_seed_that_loses_memory_is_named,
      a_seed_that_loses_memory_does_so_when_it_is_run_again,
      memory_that_was_freed_while_the_kernel_had_it_is_seen_when_the_op_ends,
      a_buffer_that_is_shorter_than_its_length_is_seen_when_the_op_begins)

#else

int main(void)
{
	puts("AddressSanitizer is not built in");
	return 77;
}

#endif
