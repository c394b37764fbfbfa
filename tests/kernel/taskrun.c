/* SPDX-License-Identifier: MIT */
/*
 * taskrun.c - the kernel's flag that says "enter, there is work" where there is none.
 *
 * The kernel leaves it standing now and then, after a race between two CPUs; the ring's memory is
 * shared, so the tests set it themselves, which clears nothing that the kernel does by it.
 */
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "core/loop.h"
#include "harness.h"
#include "kernel/uring.h"
#include "weir.h"
#include "weir/file.h"

static struct weir_loop *loop;

static void set_flag(void)
{
	__atomic_or_fetch(uring_of(loop->be)->ring.sq.kflags, IORING_SQ_TASKRUN, __ATOMIC_RELAXED);
}

static uint64_t enters(void)
{
	struct weir_loop_stats s;

	weir_loop_stats(loop, &s);
	return s.enters;
}

struct turns {
	struct weir_frame co;
	int n;
};

static WEIR_CO(turns, self, op)
{
	int rc;

	for (rc = 0; rc == 0 && self->n; self->n--)
		WEIR_AWAIT(rc, weir_yield(op));
	WEIR_RETURN(rc);
}
WEIR_END

struct read_count {
	struct weir_frame co;
	int fd;
	eventfd_t count;
};

static WEIR_CO(read_count, self, op)
{
	int n;

	WEIR_AWAIT(n, weir_read(op, self->fd, &self->count, sizeof self->count, -1));
	ck_assert_int_eq(n, sizeof self->count);
	WEIR_RETURN((int)self->count);
}
WEIR_END

START_TEST(a_turn_ends_though_the_flag_stands_for_nothing)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .entries = 8 });
	set_flag();
	ck_assert_int_eq(weir_run(loop, turns, .n = 3), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(many_turns_pay_for_a_flag_that_stays_only_once)
{
	uint64_t before;

	loop = test_loop_conf(&(struct weir_loop_conf){ .entries = 8 });
	set_flag();
	ck_assert_int_eq(weir_run(loop, turns, .n = 100), 0);
	before = enters();
	set_flag();
	ck_assert_int_eq(weir_run(loop, turns, .n = 100 * WEIR_TURN_TASKS), 0);
	ck_assert_uint_le(enters() - before, 200 + 100);
	test_loop_free(loop);
}
END_TEST

START_TEST(an_idle_loop_is_quiet_though_the_flag_stands)
{
	struct pollfd p = { .events = POLLIN };
	int i;

	loop = test_loop_conf(&(struct weir_loop_conf){ .entries = 8 });
	p.fd = weir_loop_fd(loop);
	ck_assert_int_ge(p.fd, 0);
	set_flag();
	for (i = 0; i < 10 && poll(&p, 1, 0) > 0; i++)
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
	ck_assert_int_lt(i, 10);
	test_loop_free(loop);
}
END_TEST

START_TEST(what_the_kernel_completes_is_seen_while_the_flag_stands)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd p = { .events = POLLIN };
	int i;

	loop = test_loop_conf(&(struct weir_loop_conf){ .entries = 8 });
	p.fd = weir_loop_fd(loop);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), read_count, .fd = fd), 0);
	set_flag();
	for (i = 0; i < 10 && poll(&p, 1, 0) > 0; i++)
		ck_assert_int_eq(weir_loop_dispatch(loop), 1);
	ck_assert_int_lt(i, 10);
	eventfd_write(fd, 7);
	ck_assert_int_eq(poll(&p, 1, -1), 1);
	while (weir_loop_dispatch(loop) > 0)
		ck_assert_int_eq(poll(&p, 1, -1), 1);
	close(fd);
	test_loop_free(loop);
}
END_TEST

TESTS("taskrun", a_turn_ends_though_the_flag_stands_for_nothing,
      many_turns_pay_for_a_flag_that_stays_only_once,
      an_idle_loop_is_quiet_though_the_flag_stands,
      what_the_kernel_completes_is_seen_while_the_flag_stands)
