/* SPDX-License-Identifier: MIT */
/*
 * conform_ring.c - an operation and its cancel, at the level of the ring: two completions, in an
 * order and with results that nothing above the backend ever sees.
 *
 * The outcome is what was in the completion queue, in order: "cancel 0, op ECANCELED".  What Linux
 * was seen to do the simulated kernel must do with some seed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "bare_ring.h"

#define LINUX_RUNS	100
#define SEEDS		2000
#define OUTCOMES	32
#define OUTCOME		64
#define FILE_BYTES	100000

enum what { PIPE_READ, SOCKET_RECV, ACCEPT, FILE_READ, FILE_WRITE, FSYNC, FIFO_OPEN, POLL_ON,
	    NOBODY };

static const struct race {
	const char *name;
	enum what what;
	bool ready;		/* it can end at once */
	bool thread;		/* Linux is told to use one */
	bool entered;		/* the kernel has it before it hears of the cancel */
} races[] = {
	/* Pipes and sockets never by a thread: Linux 6.18 can lose such a cancel while the thread
	 * hands the operation on to a poll, and it waits for ever.  weir asks for no thread. */
	{ "a read of an empty pipe", PIPE_READ, .entered = true },
	{ "a read of an empty pipe, in one go", .what = PIPE_READ },
	{ "a read that can end", PIPE_READ, .ready = true, .entered = true },
	{ "a read that can end, in one go", PIPE_READ, .ready = true },
	{ "a recv", SOCKET_RECV, .entered = true },
	{ "a recv that can end", SOCKET_RECV, .ready = true, .entered = true },
	{ "an accept", ACCEPT, .entered = true },
	{ "a read of a file", FILE_READ, .entered = true },
	{ "a read of a file, by a thread", FILE_READ, .thread = true, .entered = true },
	{ "a read of a file, by a thread, in one go", FILE_READ, .thread = true },
	{ "a write to a file, by a thread", FILE_WRITE, .thread = true, .entered = true },
	{ "an fsync", FSYNC, .entered = true },
	{ "an open that blocks", FIFO_OPEN, .thread = true, .entered = true },
	{ "an open that blocks, in one go", FIFO_OPEN, .thread = true },
	{ "a poll that goes on", POLL_ON, .entered = true },
	{ "a poll that goes on, in one go", .what = POLL_ON },
	{ "a poll that goes on, and has told", POLL_ON, .ready = true, .entered = true },
	{ "a poll that goes on and can tell, in one go", POLL_ON, .ready = true },
	{ "nobody", .what = NOBODY },
};

static char buffer[FILE_BYTES], text[OUTCOMES][OUTCOME];

/* ---- what the operation is on ---- */

static int open_file(struct sim *s)
{
	char path[] = "/tmp/weir-conform-XXXXXX";
	struct io_uring_sqe q;
	int fd;

	if (s) {
		ck_assert_int_eq(weir_sim_file_(s, "/f", buffer, sizeof buffer), 0);
		io_uring_prep_openat(&q, AT_FDCWD, "/f", O_RDWR, 0);
		return weir_sim_do_(s, &(struct sim_req){ .sqe = q });
	}
	fd = mkostemp(path, O_CLOEXEC);
	unlink(path);
	ck_assert_int_eq(write(fd, buffer, sizeof buffer), sizeof buffer);
	return fd;
}

static int open_listener(struct sim *s)
{
	struct sockaddr_storage a = { .ss_family = AF_UNIX };
	socklen_t len = sizeof(sa_family_t) + 12;
	struct sim_node *n;
	int fd;

	snprintf((char *)&a + sizeof(sa_family_t) + 1, 11, "%010d", getpid());
	fd = s ? weir_sim_socket_(s, AF_UNIX, SOCK_STREAM)
	       : socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_ge(fd, 0);
	if (s) {
		n = weir_sim_desc_(s, fd)->node;
		ck_assert_int_eq(weir_sim_bind_(s, n, (struct sockaddr *)&a, len), 0);
		ck_assert_int_eq(weir_sim_listen_(s, n, 8), 0);
	} else {
		ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, len), 0);
		ck_assert_int_eq(listen(fd, 8), 0);
	}
	return fd;
}

static void make_ready(struct sim *s, int fd)
{
	struct io_uring_sqe q;

	if (!s) {
		ck_assert_int_eq(write(fd, "abc", 3), 3);
		return;
	}
	io_uring_prep_write(&q, fd, "a", 1, -1);
	ck_assert_int_eq(weir_sim_do_(s, &(struct sim_req){ .sqe = q,
							    .desc = weir_sim_desc_(s, fd) }), 1);
}

static void open_files(struct bench *b, struct sim *s, const struct race *r)
{
	switch (r->what) {
	case PIPE_READ:
		if (s)
			ck_assert_int_eq(weir_sim_pipe_(s, b->fds), 0);
		else
			ck_assert_int_eq(pipe2(b->fds, O_CLOEXEC | O_NONBLOCK), 0);
		break;
	case SOCKET_RECV:
		open_pair(b, s);
		break;
	case ACCEPT:
		b->fds[0] = open_listener(s);
		break;
	case FILE_READ:
	case FILE_WRITE:
	case FSYNC:
		b->fds[0] = open_file(s);
		break;
	case FIFO_OPEN:
		if (s)
			ck_assert_int_eq(weir_sim_file_(s, "/fifo", "", 0), 0);
		break;
	case POLL_ON:		/* of Linux's on both */
		b->fds[0] = eventfd(r->ready, EFD_CLOEXEC | EFD_NONBLOCK);
		return;
	case NOBODY:
		break;
	}
	if (r->ready)
		make_ready(s, b->fds[1]);
}

/* ---- the race ---- */

static void prepare(struct io_uring_sqe *q, const struct bench *b, const struct race *r)
{
	switch (r->what) {
	case PIPE_READ:
		io_uring_prep_read(q, b->fds[0], buffer, 100, -1);
		break;
	case SOCKET_RECV:
		io_uring_prep_recv(q, b->fds[0], buffer, 100, 0);
		break;
	case ACCEPT:
		io_uring_prep_accept(q, b->fds[0], NULL, NULL, SOCK_CLOEXEC);
		break;
	case FILE_READ:
		io_uring_prep_read(q, b->fds[0], buffer, sizeof buffer, 0);
		break;
	case FILE_WRITE:
		io_uring_prep_write(q, b->fds[0], buffer, sizeof buffer, 0);
		break;
	case FSYNC:
		io_uring_prep_fsync(q, b->fds[0], 0);
		break;
	case FIFO_OPEN:
		io_uring_prep_openat(q, AT_FDCWD, "fifo", O_RDONLY | O_CLOEXEC, 0);
		break;
	case POLL_ON:
		io_uring_prep_poll_multishot(q, b->fds[0], POLLIN);
		break;
	case NOBODY:
		return;
	}
	q->user_data = OP;
	if (r->thread)
		q->flags |= IOSQE_ASYNC;
}

/* Takes in completions, in words, until n are the last of what they complete. */
static void take(struct bench *b, unsigned n, char *out)
{
	struct io_uring_cqe *cqe;
	size_t at = 0;

	while (n) {
		if (io_uring_peek_cqe(&b->u.ring, &cqe) < 0) {
			enter(b, true);
			continue;
		}
		at += (size_t)snprintf(out + at, OUTCOME - at, "%s%s %s", at ? ", " : "",
				       cqe->user_data == OP ? "op" : "cancel", word(cqe->res));
		if (cqe->user_data == OP && cqe->res >= 0 && b->fds[0] < 0)
			b->u.sys->close(&b->u, cqe->res);
		n -= !(cqe->flags & IORING_CQE_F_MORE);
		io_uring_cqe_seen(&b->u.ring, cqe);
	}
}

static void run(struct bench *b, struct sim *s, const struct race *r, char *out)
{
	struct io_uring_sqe *q;

	open_files(b, s, r);
	if (r->what != NOBODY) {
		q = io_uring_get_sqe(&b->u.ring);
		prepare(q, b, r);
	}
	if (r->entered)
		enter(b, false);
	q = io_uring_get_sqe(&b->u.ring);
	io_uring_prep_cancel64(q, OP, 0);
	q->user_data = CANCEL;
	take(b, r->what == NOBODY ? 1 : 2, out);
}

static void run_linux(const struct race *r, char *out)
{
	struct bench b;

	set_up(&b, &weir_linux_, NULL);
	run(&b, NULL, r, out);
	tear_down(&b);
}

static void run_sim(const struct race *r, uint64_t seed, char *out)
{
	struct weir_sim_conf conf = { .seed = seed, .trouble = WEIR_SIM_LATE | WEIR_SIM_NARROW };
	struct bench b;
	struct sim *s;

	ck_assert_int_eq(weir_sim_new_(&s, &conf, NULL, NULL), 0);
	set_up(&b, &weir_sim_, s);
	run(&b, s, r, out);
	tear_down(&b);
	weir_sim_free_(s);
}

static bool simulated(const struct race *r, const char *wanted)
{
	char out[OUTCOME];
	uint64_t seed;

	for (seed = 0; seed < SEEDS; seed++) {
		run_sim(r, seed, out);
		if (!strcmp(out, wanted))
			return true;
	}
	return false;
}

/* Outcomes that Linux showed, each looked for in the simulation. */
static void compare(const struct race *r)
{
	char out[OUTCOME];
	unsigned n = 0, i, k;

	for (i = 0; i < LINUX_RUNS; i++) {
		run_linux(r, out);
		for (k = 0; k < n && strcmp(text[k], out); k++)
			;
		if (k < n)
			continue;
		ck_assert_uint_lt(n, OUTCOMES);
		strcpy(text[n++], out);
		if (getenv("CONFORM"))
			fprintf(stderr, "%s: %s\n", r->name, out);
		ck_assert_msg(simulated(r, out) || getenv("CONFORM"),
			      "%s: on Linux, but not in the simulation: %s", r->name, out);
	}
}

START_TEST(a_cancel_and_what_it_cancels_end_as_on_linux)
{
	char dir[] = "/tmp/weir-conform-XXXXXX";
	size_t i;

	if (test_on_valgrind())		/* a matter of minutes there */
		return;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(mkfifo("fifo", 0600), 0);
	for (i = 0; i < sizeof races / sizeof *races; i++)
		compare(&races[i]);
	unlink("fifo");
	rmdir(dir);
}
END_TEST

/* ---- a poll that goes on ---- */

/* True: it has told, once, and goes on. */
static bool told(struct bench *b, bool wait)
{
	struct io_uring_cqe *cqe;
	bool yes;

	enter(b, wait);
	while (io_uring_peek_cqe(&b->u.ring, &cqe) < 0) {
		if (!wait)
			return false;
		enter(b, true);
	}
	yes = cqe->res == POLLIN && cqe->flags & IORING_CQE_F_MORE;
	io_uring_cqe_seen(&b->u.ring, cqe);
	return yes;
}

static void poll_on(const struct weir_sys_ops *sys, struct sim *s)
{
	struct bench b;
	int i;

	set_up(&b, sys, s);
	open_files(&b, s, &(struct race){ .what = POLL_ON });
	prepare(io_uring_get_sqe(&b.u.ring), &b, &(struct race){ .what = POLL_ON });
	for (i = 0; i < 3; i++) {
		ck_assert(!told(&b, false));
		ck_assert_int_eq(eventfd_write(b.fds[0], 1), 0);
		ck_assert(told(&b, true));
	}
	ck_assert(!told(&b, false));
	tear_down(&b);
}

/* So the bell need not be read. */
START_TEST(a_poll_that_goes_on_tells_of_each_write_though_nobody_reads)
{
	struct weir_sim_conf conf = { .seed = 0 };
	struct sim *s;

	poll_on(&weir_linux_, NULL);
	for (conf.seed = 0; conf.seed < 20; conf.seed++) {
		ck_assert_int_eq(weir_sim_new_(&s, &conf, NULL, NULL), 0);
		poll_on(&weir_sim_, s);
		weir_sim_free_(s);
	}
}
END_TEST

static const struct race *race(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof races / sizeof *races; i++)
		if (!strcmp(races[i].name, name))
			return &races[i];
	ck_abort_msg("no race is called '%s'", name);
}

/* What one kernel does rarely, or not at all. */
static const struct {
	const char *race, *outcome;
} elsewhere[] = {
	{ "an open that blocks", "cancel EALREADY, op EINTR" },		/* 6.1 */
	{ "an open that blocks", "cancel EALREADY, op ERESTARTSYS" },
	{ "a read of a file, by a thread", "cancel EALREADY, op done" },
	{ "an fsync", "cancel ENOENT, op 0" },				/* 6.1 */
	{ "an accept", "cancel 0, op ECANCELED" },
};

START_TEST(what_other_kernels_were_seen_to_do_is_simulated)
{
	size_t i;

	for (i = 0; i < sizeof elsewhere / sizeof *elsewhere && !test_on_valgrind(); i++)
		ck_assert_msg(simulated(race(elsewhere[i].race), elsewhere[i].outcome),
			      "%s: not in the simulation: %s", elsewhere[i].race,
			      elsewhere[i].outcome);
}
END_TEST

TESTS("conform_ring", a_cancel_and_what_it_cancels_end_as_on_linux,
      a_poll_that_goes_on_tells_of_each_write_though_nobody_reads,
      what_other_kernels_were_seen_to_do_is_simulated)
