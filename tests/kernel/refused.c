/* SPDX-License-Identifier: MIT */
/*
 * refused.c - where no loop can be made: the error, what weir_explain() says of it, and that
 * nothing is left behind.
 *
 * Each refusal happens in a child, which cannot undo what it does to itself.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

/* From now on the kernel answers system call nr with err. */
static bool forbid(unsigned nr, unsigned err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { sizeof code / sizeof *code, code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static bool setup_eperm(void)
{
	return forbid(SYS_io_uring_setup, EPERM);
}

static bool setup_enosys(void)
{
	return forbid(SYS_io_uring_setup, ENOSYS);
}

static bool enter_eperm(void)
{
	return forbid(SYS_io_uring_enter, EPERM);
}

static bool timer_eperm(void)
{
	return forbid(SYS_timerfd_settime, EPERM);
}

/* Root is not bound by it. */
static bool no_locked_memory(void)
{
	const struct rlimit none = { 0, 0 };

	return setrlimit(RLIMIT_MEMLOCK, &none) == 0 && (geteuid() || setuid(65534) == 0);
}

static bool no_descriptors(void)
{
	const struct rlimit none = { 3, 3 };

	return setrlimit(RLIMIT_NOFILE, &none) == 0;
}

static struct weir_loop_conf conf;	/* of the loop that is not made */

/* What a child says: the result of weir_loop_new(), or if that is 0 of a short sleep; and why. */
struct said { int rc; char why[512]; };

struct nap { struct weir_frame co; };

static WEIR_CO(nap, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep(op, WEIR_MS));
	WEIR_RETURN(rc);
}
WEIR_END

static void try_loop(bool (*refuse)(void), int out)
{
	struct said s = { .rc = 1 };
	struct weir_loop *loop;

	if (refuse()) {
		s.rc = weir_loop_new(&loop, &conf);
		weir_explain(s.rc, s.why, sizeof s.why);
		if (s.rc == 0) {
			s.rc = weir_run(loop, nap);
			weir_loop_free(loop);
		}
	}
	if (write(out, &s, sizeof s) != sizeof s)
		_exit(1);
	_exit(0);
}

static struct said in_child(bool (*refuse)(void))
{
	struct said s;
	int fds[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe(fds), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		try_loop(refuse, fds[1]);
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &s, sizeof s), (ssize_t)sizeof s);
	close(fds[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return s;
}

static void ck_refused(bool (*refuse)(void), int rc, const char *word)
{
	struct said s = in_child(refuse);

	ck_assert_int_eq(s.rc, rc);
	ck_assert_msg(strstr(s.why, word), "%s", s.why);
}

START_TEST(a_filter_that_forbids_io_uring_is_named)
{
	ck_refused(setup_eperm, -EPERM, "seccomp");
	ck_refused(enter_eperm, -EPERM, "io_uring_enter");
}
END_TEST

START_TEST(a_filter_that_forbids_the_timer_is_an_error_and_no_sleep_without_end)
{
	ck_refused(timer_eperm, -EIO, "");
}
END_TEST

START_TEST(a_kernel_without_io_uring_is_named)
{
	ck_refused(setup_enosys, -ENOSYS, "CONFIG_IO_URING");
}
END_TEST

START_TEST(a_limit_of_locked_memory_is_named_where_it_binds)
{
	struct said s = in_child(no_locked_memory);

	if (s.rc == 0)
		return;		/* kernels from 5.12 to 6.8 or so ask for none */
	ck_assert_int_eq(s.rc, -ENOMEM);
	ck_assert_msg(strstr(s.why, "LimitMEMLOCK="), "%s", s.why);
}
END_TEST

START_TEST(a_limit_of_descriptors_is_named)
{
	if (test_on_valgrind())
		return;
	ck_refused(no_descriptors, -EMFILE, "LimitNOFILE=");
}
END_TEST

START_TEST(a_configuration_out_of_range_is_refused)
{
	struct weir_loop *loop;
	char why[512];

	ck_assert_int_eq(weir_loop_new(&loop, &(struct weir_loop_conf){ .ops = 65537 }), -EINVAL);
	ck_assert_int_eq(weir_loop_new(&loop, &(struct weir_loop_conf){ .entries = 32769 }),
			 -EINVAL);
	ck_assert_ptr_nonnull(strstr(weir_explain(-EINVAL, why, sizeof why), "65536 ops"));
}
END_TEST

START_TEST(every_error_has_a_sentence_even_in_little_room)
{
	static const int codes[] = { 0, -EPERM, -EACCES, -ENOSYS, -ENOMEM, -EMFILE, -ENFILE,
				     -EINVAL, -EIO };
	char why[512], little[8];
	unsigned i;

	for (i = 0; i < sizeof codes / sizeof *codes; i++) {
		weir_explain(codes[i], why, sizeof why);
		ck_assert_uint_gt(strlen(why), 5);
		ck_assert_uint_lt(strlen(why), sizeof why - 1);
		ck_assert_int_eq(why[strlen(why) - 1], '.');
		ck_assert_uint_eq(strlen(weir_explain(codes[i], little, sizeof little)), 7);
	}
}
END_TEST

/* ---- each way out of weir_loop_new() ---- */

START_TEST(without_memory_no_loop_is_made_and_nothing_left)
{
	struct weir_loop *loop;
	unsigned n;
	int rc;

	conf.virtual_clock = conf.check = true;
	for (n = 1, rc = -ENOMEM; rc == -ENOMEM; n++) {
		test_fail_alloc(n);
		rc = weir_loop_new(&loop, &conf);
		ck_assert(test_fail_alloc(0) == (rc == -ENOMEM));
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 5);
	ck_assert_int_eq(weir_loop_free(loop), 0);
}
END_TEST

/* The number that the next descriptor will have. */
static unsigned next_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	close(fd);
	return (unsigned)fd;
}

START_TEST(without_descriptors_no_loop_is_made_and_nothing_left)
{
	struct rlimit old, few;
	struct weir_loop *loop;
	unsigned n;
	int rc;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	for (n = 0, rc = -EMFILE; rc == -EMFILE; n++) {
		few.rlim_cur = next_fd() + n;
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
		rc = weir_loop_new(&loop, NULL);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_eq(n, 4);	/* with three it was made: ring, timerfd, eventfd */
	ck_assert_int_eq(weir_loop_free(loop), 0);
}
END_TEST

/* Much less than what is asked for, and enough to live on. */
static bool little_locked_memory(void)
{
	const struct rlimit little = { 256 << 10, 256 << 10 };

	conf.ops = 65536;
	conf.entries = 4096;
	return setrlimit(RLIMIT_MEMLOCK, &little) == 0 && (geteuid() || setuid(65534) == 0);
}

START_TEST(where_locked_memory_is_short_a_smaller_ring_is_made)
{
	struct said s = in_child(little_locked_memory);

	ck_assert_msg(s.rc == 0, "%s", s.why);
}
END_TEST

TESTS("refused", a_filter_that_forbids_io_uring_is_named,
      a_filter_that_forbids_the_timer_is_an_error_and_no_sleep_without_end,
      a_kernel_without_io_uring_is_named, a_limit_of_locked_memory_is_named_where_it_binds,
      a_limit_of_descriptors_is_named,
      a_configuration_out_of_range_is_refused, every_error_has_a_sentence_even_in_little_room,
      without_memory_no_loop_is_made_and_nothing_left,
      without_descriptors_no_loop_is_made_and_nothing_left,
      where_locked_memory_is_short_a_smaller_ring_is_made)
