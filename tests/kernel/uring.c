/* SPDX-License-Identifier: MIT */
/*
 * uring.c - the io_uring backend: full queues, many cancels, signals, what others see of it.
 *
 * The rings of these tests are as small as they can be: 16 ops, of which a quarter is for the
 * runtime's own.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/loop.h"
#include "io/io_kit.h"
#include "kernel/uring.h"
#include "ring_kit.h"

#define ROOM	12

/* ---- room ---- */

struct repeated { struct weir_frame co; unsigned n; char byte; };

static WEIR_CO(repeated, self, op)
{
	int rc;

	rc = 1;
	while (rc == 1 && self->n--)
		WEIR_AWAIT(rc, weir_read(op, zero_fd, &self->byte, 1, 0));
	ck_assert_int_eq(rc, 1);
}
WEIR_END

START_TEST(thousands_of_ops_go_through_a_ring_of_sixteen)
{
	uint64_t most = 0, parked = 0, at_rest;
	unsigned i;

	begin_small();
	at_rest = stats().completed;
	for (i = 0; i < 2000; i++)
		go(repeated, .n = 3);
	while (group.active) {
		turn();
		most = stats().in_flight > most ? stats().in_flight : most;
		parked = stats().parked > parked ? stats().parked : parked;
	}
	ck_assert_int_eq(finish(), 0);
	ck_assert_uint_le(most, ROOM);
	ck_assert_uint_gt(parked, 100);
	ck_assert_uint_eq(stats().completed - at_rest, 6000);
	end_ring();
}
END_TEST

static char order[16];
static unsigned order_len;

struct noted { struct weir_frame co; char letter, byte; };

static WEIR_CO(noted, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_read(op, zero_fd, &self->byte, 1, 0));
	order[order_len++] = self->letter;
	WEIR_RETURN(rc < 0 ? rc : 0);
}
WEIR_END

static int blocked[64];

/* All slots are taken by reads that wait. */
static void fill_slots(void)
{
	unsigned i;

	for (i = 0; i < ROOM; i++)
		go(reader, .fd = pipe_fds[0], .rc = &blocked[i]);
	turn();
	ck_assert_uint_eq(stats().in_flight, ROOM);
}

START_TEST(ops_without_room_wait_in_order)
{
	const char *letter;

	begin_small();
	fill_slots();
	for (letter = "abcdef"; *letter; letter++)
		go(noted, .letter = *letter);
	turn();
	turn();
	ck_assert_uint_eq(stats().parked, 6);
	ck_assert_uint_eq(order_len, 0);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);	/* one slot is free */
	while (order_len < 6)
		turn();
	ck_assert_str_eq(order, "abcdef");
	ck_assert_int_eq(cancel(), -ECANCELED);
	end_ring();
}
END_TEST

START_TEST(an_op_that_is_cancelled_without_room_never_begins)
{
	int rc;

	begin_small();
	fill_slots();
	go(opener, .path = "/dev/null", .rc = &rc);
	turn();
	ck_assert_uint_eq(stats().parked, 1);
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	end_ring();
}
END_TEST

START_TEST(a_close_drops_what_waits_for_room)
{
	int rc, closed;

	begin_small();
	fill_slots();
	go(reader, .fd = zero_fd, .rc = &rc);
	go(reader, .fd = pipe_fds[0], .rc = &blocked[ROOM]);
	turn();
	ck_assert_uint_eq(stats().parked, 2);
	go(closer, .fd = zero_fd, .rc = &closed);
	go(canceller);	/* of the one that is dropped, too */
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_int_eq(closed, 0);
	zero_fd = -1;
	end_ring();
}
END_TEST

/* Ops are found by descriptor in as many buckets as there are slots. */
START_TEST(a_close_leaves_the_ops_on_other_descriptors_alone)
{
	int other, one, two, three, closed = PENDING;

	begin_small();
	other = fcntl(pipe_fds[0], F_DUPFD_CLOEXEC, pipe_fds[0] + 16);
	ck_assert_int_eq(other, pipe_fds[0] + 16);
	go(reader, .fd = other, .rc = &one);
	go(reader, .fd = pipe_fds[0], .rc = &two);
	turn();
	go(closer, .fd = other, .rc = &closed);
	go(reader, .fd = pipe_fds[0], .rc = &three);
	while (closed == PENDING)
		turn();
	ck_assert_int_eq(one, -ECANCELED);
	ck_assert_int_eq(closed, 0);
	ck_assert_int_eq(two, PENDING);
	ck_assert_int_eq(three, PENDING);
	ck_assert_int_eq(cancel(), -ECANCELED);
	end_ring();
}
END_TEST

struct poster { struct weir_msg msg; pthread_t thread; struct weir_port *port; };

static void posted(struct weir_msg *msg)
{
	(void)msg;
	weir_group_cancel(&group, 0);
}

static void *post(void *arg)
{
	struct poster *p = arg;

	ck_assert_int_eq(weir_post(p->port, &p->msg), 0);
	return NULL;
}

/* The poll by which they wake the loop is an op like others. */
START_TEST(other_threads_are_heard_when_all_room_is_taken)
{
	struct poster p = { .msg = { .fn = posted } };
	unsigned i;

	begin_small();
	ck_assert_int_eq(weir_port_new(&p.port, loop), 0);
	fill_slots();
	for (i = ROOM; i < 64; i++)
		go(reader, .fd = pipe_fds[0], .rc = &blocked[i]);
	turn();
	ck_assert_int_eq(pthread_create(&p.thread, NULL, post, &p), 0);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(pthread_join(p.thread, NULL), 0);
	weir_port_close(p.port);
	weir_port_unref(p.port);
	end_ring();
}
END_TEST

static void *post_to_a_sleeper(void *arg)
{
	bool asleep;

	do {
		sched_yield();
		pthread_mutex_lock(&loop->inbox->lock);
		asleep = loop->inbox->loop == WEIR_SLEEPS_;
		pthread_mutex_unlock(&loop->inbox->lock);
	} while (!asleep);
	return post(arg);
}

struct posting { struct weir_frame co; struct poster *p; };

/* The loop is still said to sleep, by the dispatch before this. */
static WEIR_CO(posting, self, op)
{
	weir_inbox_awake_(loop->inbox);
	ck_assert_int_eq(pthread_create(&self->p->thread, NULL, post_to_a_sleeper, self->p), 0);
}
WEIR_END

START_TEST(a_loop_that_sleeps_while_ops_wait_for_room_says_so)
{
	struct poster p = { .msg = { .fn = posted } };
	unsigned i;

	begin_small();
	ck_assert_int_eq(weir_port_new(&p.port, loop), 0);
	fill_slots();
	for (i = ROOM; i < 20; i++)
		go(reader, .fd = pipe_fds[0], .rc = &blocked[i]);
	go(posting, .p = &p);
	ck_assert_int_eq(finish(), -ECANCELED);
	ck_assert_int_eq(pthread_join(p.thread, NULL), 0);
	ck_assert_msg(strstr(test_report(), "12 kernel ops are in flight and 8 wait") != NULL,
		      "%s", test_report());
	weir_port_close(p.port);
	weir_port_unref(p.port);
	end_ring();
}
END_TEST

/* Its poll is an op as well, and comes after those that have taken all room. */
START_TEST(a_ctx_fd_is_heard_when_all_room_is_taken)
{
	unsigned i;
	int fd;

	begin_small();
	fill_slots();
	for (i = ROOM; i < 64; i++)
		go(reader, .fd = pipe_fds[0], .rc = &blocked[i]);
	turn();
	fd = weir_ctx_fd(&group.ctx);
	ck_assert_int_ge(fd, 0);
	turn();
	ck_assert_int_eq(weir_ctx_cancel_fd(fd), 0);
	ck_assert_int_eq(finish(), -ECANCELED);
	for (i = 0; i < 64; i++)
		ck_assert_int_eq(blocked[i], -ECANCELED);
	end_ring();
}
END_TEST

/* ---- closes that go with what is submitted anyway ---- */

START_TEST(a_close_goes_with_what_is_submitted)
{
	int one, two, rc, fd;

	begin_ring(16, 8);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	go(reader, .fd = pipe_fds[0], .rc = &one);
	go(closer, .fd = fd, .rc = &rc);
	go(reader, .fd = fd, .rc = &two);
	turn();
	ck_assert_int_eq(two, -EBADF);
	ck_assert_int_eq(rc, PENDING);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	turn();
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(cancel(), -EBADF);
	end_ring();
}
END_TEST

START_TEST(of_two_closes_of_a_descriptor_one_is_refused)
{
	int one, two, rc, fd;

	begin_ring(16, 8);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	go(reader, .fd = pipe_fds[0], .rc = &one);
	go(closer, .fd = fd, .rc = &rc);
	go(closer, .fd = fd, .rc = &two);
	turn();
	ck_assert_int_eq(two, -EBADF);
	turn();
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(cancel(), -EBADF);
	end_ring();
}
END_TEST

struct reopener { struct weir_frame co; int fd, rc, *closed; char byte; };

static WEIR_CO(reopener, self, op)
{
	ck_assert_int_eq(open("/dev/zero", O_RDONLY | O_CLOEXEC), self->fd);
	ck_assert_int_eq(*self->closed, PENDING);
	WEIR_AWAIT(self->rc, weir_read(op, self->fd, &self->byte, 1, 0));
	ck_assert_int_eq(self->rc, 1);
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	WEIR_RETURN(self->rc);
}
WEIR_END

/* The queue is full, so the kernel takes what is in it before the turn is over. */
START_TEST(a_descriptor_is_anothers_once_the_kernel_has_closed_it)
{
	int one, rc, fd, i;

	begin_small();
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	go(reader, .fd = pipe_fds[0], .rc = &one);
	go(closer, .fd = fd, .rc = &rc);
	for (i = 0; i < 8; i++)
		go(repeated, .n = 1);
	go(reopener, .fd = fd, .closed = &rc);
	while (group.active > 1)
		turn();
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(cancel(), -ECANCELED);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
	end_ring();
}
END_TEST

/* ---- many at once ---- */

struct hurried { struct weir_frame co; struct weir_ctx ctx; int rc; char byte; };

static WEIR_CO(hurried, self, op)
{
	weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), WEIR_MS);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(self->rc, weir_read(op, pipe_fds[0], &self->byte, 1, -1));
	ck_assert_int_eq(self->rc, -ETIMEDOUT);
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
}
WEIR_END

static void ck_mass_timeout(unsigned ops, unsigned in_flight)
{
	unsigned i;

	begin_ring(ops, 64);
	for (i = 0; i < 10000; i++)
		go(hurried);
	do
		turn();
	while (stats().in_flight + stats().parked < 10000);
	ck_assert_uint_eq(stats().in_flight, in_flight);
	ck_assert_int_eq(weir_advance(loop, WEIR_MS), 0);
	ck_assert_int_eq(finish(), 0);
	end_ring();
}

START_TEST(ten_thousand_reads_time_out_in_the_same_millisecond)
{
	ck_mass_timeout(16384, 10000);
}
END_TEST

START_TEST(ten_thousand_reads_time_out_in_a_ring_that_holds_a_tenth)
{
	ck_mass_timeout(1000, 936);
}
END_TEST

struct gambler { struct weir_frame co; struct weir_ctx ctx; unsigned rounds; char byte; };

static WEIR_CO(gambler, self, op)
{
	int rc;

	while (self->rounds--) {
		weir_ctx_init(&self->ctx, weir_op_ctx(op));
		weir_ctx_enter(op, &self->ctx);
		WEIR_AWAIT(rc, weir_read(op, self->rounds % 4 ? pipe_fds[0] : zero_fd,
					 &self->byte, 1, -1));
		weir_ctx_leave(op, &self->ctx);
		weir_ctx_fini(&self->ctx);
		ck_assert(rc == 1 || rc == -ECANCELED);
	}
}
WEIR_END

static void cancel_some(void *arg, struct weir_ctx *ctx)
{
	(void)arg;
	if (ctx->outer && weir_random(loop) % 4 == 0)
		weir_ctx_cancel(ctx, 0);
}

START_TEST(ops_and_cancels_at_random_all_end)
{
	unsigned i;

	begin_small();
	for (i = 0; i < 200; i++)
		go(gambler, .rounds = 50);
	while (group.active) {
		turn();
		weir_ctx_each_(loop, cancel_some, NULL);
		if (weir_random(loop) % 2 && write(pipe_fds[1], "xyz", 3) < 0)
			ck_assert_int_eq(errno, EAGAIN);
	}
	ck_assert_int_eq(finish(), 0);
	end_ring();
}
END_TEST

struct named { struct weir_frame co; int rc; char st[256]; };

/* The kernel gives this one to a thread of its own, where a cancel may or may not reach it. */
static WEIR_CO(named, self, op)
{
	WEIR_AWAIT(self->rc, weir_statx(op, AT_FDCWD, "/", 0, 0, (struct statx *)(void *)self->st));
	ck_assert(self->rc == 0 || self->rc == -ECANCELED);
}
WEIR_END

START_TEST(ops_that_a_thread_of_the_kernels_runs_end_one_way_or_the_other)
{
	unsigned i;

	begin();
	for (i = 0; i < 200; i++)
		go(named);
	go(canceller);
	ck_assert_int_eq(finish(), 0);
	for (i = 0; i < 200; i++)
		go(named);
	turn();
	ck_assert_int_eq(cancel(), 0);
	end();
}
END_TEST

/* ---- strangers ---- */

static int bell;

static struct weir_backend *backend_new(unsigned ops, unsigned entries)
{
	struct weir_backend *be;

	bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_ge(bell, 0);
	ck_assert_int_eq(weir_uring_new_(&be, &weir_linux_, NULL, ops, entries, bell), 0);
	return be;
}

static void backend_free(struct weir_backend *be)
{
	be->ops->free(be);
	close(bell);
}

static void stranger(struct uring *u, uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

	io_uring_prep_nop(sqe);
	sqe->user_data = user_data;
}

START_TEST(completions_of_no_op_are_counted_and_do_no_harm)
{
	struct weir_backend *be;
	struct uring *u;

	be = backend_new(16, 8);
	u = uring_of(be);
	stranger(u, 5);				/* a slot that is free */
	stranger(u, 12345);			/* no slot */
	stranger(u, (uint64_t)77 << 32 | u->wake_op.u.kernel.slot);	/* another generation */
	stranger(u, UINT64_MAX);
	ck_assert_int_eq(be->ops->turn(be, false), 0);
	ck_assert_uint_eq(u->stats.unknown, 4);
	backend_free(be);
}
END_TEST

static void nothing_ended(struct weir_op *op, int res)
{
	op->res = res;
}

/* A slot that is used again: what names it and the op before is not for the op there now. */
START_TEST(a_stale_completion_ends_no_op)
{
	static const struct weir_op_def nop_def = {
		.name = "nop", .complete = nothing_ended, .opcode = IORING_OP_NOP,
	};
	static const struct weir_op_def read_def = {
		.name = "read", .complete = nothing_ended, .opcode = IORING_OP_READ,
	};
	struct weir_op before = { .def = &nop_def, .res = 1 }, now = { .def = &read_def, .res = 1 };
	struct weir_backend *be;
	struct uring *u;
	uint64_t stale;
	char byte;

	begin();
	be = backend_new(16, 8);
	u = uring_of(be);
	ck_assert(!be->ops->submit(be, &before));
	stale = (uint64_t)u->slots[before.u.kernel.slot].generation << 32 | before.u.kernel.slot;
	while (before.res == 1)
		ck_assert_int_eq(be->ops->turn(be, false), 0);
	now.u.kernel.fd = pipe_fds[0];
	now.u.kernel.addr = (uintptr_t)&byte;
	now.u.kernel.len = 1;
	ck_assert(!be->ops->submit(be, &now));
	ck_assert_uint_eq(now.u.kernel.slot, (uint32_t)stale);
	stranger(u, stale);
	ck_assert_int_eq(be->ops->turn(be, false), 0);
	ck_assert_uint_eq(u->stats.unknown, 1);
	ck_assert_int_eq(now.res, 1);
	be->ops->cancel(be, &now);
	while (now.res == 1)
		ck_assert_int_eq(be->ops->turn(be, true), 0);
	ck_assert_int_eq(now.res, -ECANCELED);
	backend_free(be);
	end();
}
END_TEST

#define MISSES		300	/* more than are followed by another try, */
#define TRIES		100	/* ... and fewer: the simulation misses that often */

/* Cancels that find nothing, each as if it had been one of op. */
static void miss(struct uring *u, const struct weir_op *op)
{
	uint32_t slot = op->u.kernel.slot;
	struct io_uring_sqe *sqe;
	int i;

	for (i = 0; i < MISSES; i++) {
		sqe = io_uring_get_sqe(&u->ring);
		io_uring_prep_cancel64(sqe, UINT64_MAX, 0);
		sqe->user_data = (uint64_t)u->slots[slot].generation << 32 | slot | 1u << 31;
	}
	ck_assert_int_ge(io_uring_submit(&u->ring), MISSES);
	weir_uring_reap_(u);
}

/* It may be one that no cancel finds while it runs. */
START_TEST(a_cancel_that_misses_its_op_is_tried_again_but_not_for_ever)
{
	static const struct weir_op_def read_def = {
		.name = "read", .complete = nothing_ended, .opcode = IORING_OP_READ,
	};
	struct weir_op op = { .def = &read_def, .res = 1 };
	struct weir_backend *be;
	struct uring *u;
	char byte;

	begin();
	be = backend_new(1024, 512);
	u = uring_of(be);
	op.u.kernel.fd = pipe_fds[0];
	op.u.kernel.addr = (uintptr_t)&byte;
	op.u.kernel.len = 1;
	ck_assert(!be->ops->submit(be, &op));
	ck_assert_int_eq(be->ops->turn(be, false), 0);
	miss(u, &op);
	ck_assert_int_eq(op.res, 1);
	ck_assert_uint_gt(io_uring_sq_ready(&u->ring), TRIES);
	ck_assert_uint_lt(io_uring_sq_ready(&u->ring), MISSES);
	while (op.res == 1)	/* one of the tries finds it */
		ck_assert_int_eq(be->ops->turn(be, true), 0);
	ck_assert_int_eq(op.res, -ECANCELED);
	backend_free(be);
	end();
}
END_TEST

/* ---- signals ---- */

static atomic_uint signals;

static void on_signal(int sig)
{
	(void)sig;
	atomic_fetch_add(&signals, 1);
}

/* ThreadSanitizer keeps a signal until the thread's next call of libc; if that is asleep in the
 * ring by then, only another signal wakes it. */
static void *interrupt(void *loop_thread)
{
	unsigned i;

	for (i = 0; i < 100; i++) {
		while (atomic_load(&signals) <= i) {
			pthread_kill(*(pthread_t *)loop_thread, SIGUSR1);
			sched_yield();
		}
	}
	ck_assert_int_eq(write(pipe_fds[1], "abc", 3), 3);
	return NULL;
}

START_TEST(signals_disturb_no_op)
{
	const struct sigaction act = { .sa_handler = on_signal };
	pthread_t self = pthread_self(), other;
	int rc;

	begin();
	ck_assert_int_eq(sigaction(SIGUSR1, &act, NULL), 0);
	go(reader, .fd = pipe_fds[0], .rc = &rc);
	ck_assert_int_eq(pthread_create(&other, NULL, interrupt, &self), 0);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 3);
	ck_assert_int_eq(pthread_join(other, NULL), 0);
	ck_assert_uint_ge(signals, 100);
	end();
}
END_TEST

/* ---- what others see ---- */

/* How many descriptors a program has that this one starts. */
static unsigned fds_after_exec(void)
{
	char ls[] = "ls", dir[] = "/proc/self/fd", *argv[] = { ls, dir, NULL }, *env[] = { NULL };
	posix_spawn_file_actions_t actions;
	unsigned lines = 0;
	int status, out[2];
	char c;
	pid_t pid;

	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
	ck_assert_int_eq(posix_spawn_file_actions_adddup2(&actions, out[1], 1), 0);
	ck_assert_int_eq(posix_spawnp(&pid, ls, &actions, NULL, argv, env), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	while (read(out[0], &c, 1) == 1)
		lines += c == '\n';
	close(out[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return lines;
}

START_TEST(no_descriptor_of_a_loops_is_there_after_exec)
{
	unsigned before = fds_after_exec();
	int fd, rc;

	begin();
	ck_assert_int_ge(weir_loop_fd(loop), 0);
	ck_assert_int_ge(weir_ctx_fd(weir_loop_ctx(loop)), 0);
	go(opener, .path = "/dev/null", .rc = &fd);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_uint_eq(fds_after_exec(), before);
	go(closer, .fd = fd, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	end();
}
END_TEST

static int rings_mapped(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof line, maps))
		n += strstr(line, "[io_uring]") != NULL;
	fclose(maps);
	return n;
}

/* It could submit what the parent never asked for. */
START_TEST(a_forked_child_does_not_have_the_memory_of_the_ring)
{
	int status;
	pid_t pid;

	begin();
	ck_assert_int_gt(rings_mapped(), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(rings_mapped());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	end();
}
END_TEST

/* An open of a fifo blocks a thread of the kernel's; by itself it would take as many as the user
 * may have processes. */
START_TEST(ops_that_block_get_few_threads_of_the_kernels)
{
	unsigned most[2] = { 0, 0 };	/* ask, and change nothing */
	struct weir_backend *be;

	be = backend_new(16, 8);
	ck_assert_int_eq(io_uring_register_iowq_max_workers(&uring_of(be)->ring, most), 0);
	ck_assert_uint_eq(most[0], 4);
	ck_assert_uint_eq(most[1], 16);
	backend_free(be);
}
END_TEST

/* The polls of 20 ctxs take all room, and are no leaks; the ctxs are, and the read that waits. */
START_TEST(a_leaked_op_is_reported_though_it_waits_for_room)
{
	struct weir_ctx ctx[20];
	unsigned i;
	int rc;

	begin_small();
	for (i = 0; i < 20; i++) {
		weir_ctx_init(&ctx[i], weir_loop_ctx(loop));
		ck_assert_int_ge(weir_ctx_fd(&ctx[i]), 0);
	}
	go(reader, .fd = pipe_fds[0], .rc = &rc);
	turn();
	ck_assert_int_gt(weir_loop_free(loop), 20);
	ck_assert_ptr_nonnull(strstr(test_report(), "a kernel op in flight, read, of "));
	close(zero_fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

TESTS("uring", a_close_goes_with_what_is_submitted,
      of_two_closes_of_a_descriptor_one_is_refused,
      a_descriptor_is_anothers_once_the_kernel_has_closed_it,
      thousands_of_ops_go_through_a_ring_of_sixteen, ops_without_room_wait_in_order,
      an_op_that_is_cancelled_without_room_never_begins, a_close_drops_what_waits_for_room,
      a_close_leaves_the_ops_on_other_descriptors_alone,
      other_threads_are_heard_when_all_room_is_taken,
      a_loop_that_sleeps_while_ops_wait_for_room_says_so,
      a_ctx_fd_is_heard_when_all_room_is_taken,
      ten_thousand_reads_time_out_in_the_same_millisecond,
      ten_thousand_reads_time_out_in_a_ring_that_holds_a_tenth,
      ops_and_cancels_at_random_all_end,
      ops_that_a_thread_of_the_kernels_runs_end_one_way_or_the_other,
      completions_of_no_op_are_counted_and_do_no_harm, a_stale_completion_ends_no_op,
      a_cancel_that_misses_its_op_is_tried_again_but_not_for_ever,
      signals_disturb_no_op,
      no_descriptor_of_a_loops_is_there_after_exec,
      a_forked_child_does_not_have_the_memory_of_the_ring,
      ops_that_block_get_few_threads_of_the_kernels,
      a_leaked_op_is_reported_though_it_waits_for_room)
