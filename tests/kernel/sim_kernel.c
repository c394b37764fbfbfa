/* SPDX-License-Identifier: MIT */
/*
 * sim_kernel.c - what the simulated kernel does to a program: troubles, buffers, errors, jobs,
 * descriptors of Linux's, time, and its limits.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

#define PENDING	12345

static struct weir_loop *loop;
static char buf[100], paper[20000];
static size_t written;
static int fds[2];

static void begin(uint64_t seed, unsigned trouble)
{
	loop = test_loop_conf(&(struct weir_loop_conf){
		.ops = 64, .check = true,
		.sim = &(struct weir_sim_conf){ .seed = seed, .trouble = trouble } });
}

static struct weir_sim_stats stats(void)
{
	struct weir_sim_stats s;

	ck_assert_int_eq(weir_sim_stats(loop, &s), 0);
	return s;
}

static void turn(int n)
{
	while (n--)
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
}

/* ---- one operation ---- */

enum what { READ, WRITE, RECV, SEND, ACCEPT, CONNECT, OPEN, STATX, FSYNC, UNLINK, RENAME, MKDIR,
	    SOCKET, KINDS };

struct one { struct weir_frame co; enum what what; int fd, *rc; char *buf; size_t n; };

static struct statx st;
static const struct sockaddr_storage nowhere = { .ss_family = AF_INET };

static struct weir_op *prepare(struct weir_op *op, struct one *self)
{
	switch (self->what) {
	case READ:
		return weir_read(op, self->fd, self->buf, self->n, -1);
	case WRITE:
		return weir_write(op, self->fd, self->buf, self->n, -1);
	case RECV:
		return weir_recv(op, self->fd, self->buf, self->n, 0);
	case SEND:
		return weir_send(op, self->fd, self->buf, self->n, 0);
	case ACCEPT:
		return weir_accept(op, self->fd, NULL, NULL, 0);
	case CONNECT:
		return weir_connect(op, self->fd, (const struct sockaddr *)&nowhere, 16);
	case OPEN:
		return weir_open(op, "/f", O_RDWR, 0);
	case STATX:
		return weir_statx(op, AT_FDCWD, "/f", 0, STATX_BASIC_STATS, &st);
	case FSYNC:
		return weir_fsync(op, self->fd);
	case UNLINK:
		return weir_unlink(op, "/f");
	case RENAME:
		return weir_rename(op, "/f", "/g");
	case MKDIR:
		return weir_mkdir(op, "/d", 0755);
	default:
		return weir_socket(op, AF_INET, SOCK_STREAM, 0);
	}
}

static WEIR_CO(one, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, prepare(op, self));
}
WEIR_END

#define go(...)	ck_assert_int_eq(weir_go(weir_loop_group(loop), __VA_ARGS__), 0)

static int run_one(enum what what, int fd, char *p, size_t n)
{
	int rc;

	go(one, .what = what, .fd = fd, .rc = &rc, .buf = p, .n = n);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	return rc;
}

static void end_pair(void)
{
	ck_assert_int_eq(weir_sim_close(loop, fds[0]), 0);
	ck_assert_int_eq(weir_sim_close(loop, fds[1]), 0);
	test_loop_free(loop);
}

/* ---- buffers ---- */

START_TEST(a_buffer_in_flight_holds_rubbish)
{
	unsigned changed = 0, seed;
	int rc;

	for (seed = 0; seed < 20; seed++) {
		begin(seed, 0);
		ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
		memset(buf, 0, sizeof buf);
		go(one, .what = RECV, .fd = fds[0], .rc = &rc, .buf = buf, .n = sizeof buf);
		turn(3);
		ck_assert_int_eq(rc, PENDING);
		changed += buf[0] && buf[0] == buf[99];
		weir_group_cancel(weir_loop_group(loop), 0);
		ck_assert_int_eq(weir_loop_run(loop), 0);
		ck_assert_int_eq(rc, -ECANCELED);
		end_pair();
	}
	ck_assert_uint_gt(changed, 15);
}
END_TEST

/* The first fills the socket, so that the second has to wait. */
START_TEST(a_buffer_that_changes_in_flight_is_reported)
{
	static char much[300000], more[10];
	int rc, got;

	begin(1, 0);
	ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
	ck_assert_int_gt(run_one(SEND, fds[0], much, sizeof much), 0);
	go(one, .what = SEND, .fd = fds[0], .rc = &rc, .buf = more, .n = sizeof more);
	turn(3);
	ck_assert_int_eq(rc, PENDING);
	more[3] = 1;
	got = run_one(READ, fds[1], much, sizeof much);
	ck_assert_int_gt(got, 0);
	ck_assert_int_eq(rc, 10);
	ck_assert_uint_eq(stats().touched, 1);
	ck_assert_ptr_nonnull(strstr(test_report(), "a buffer of 10 bytes was changed"));
	end_pair();
}
END_TEST

/* Though it was never sent. */
START_TEST(a_buffer_that_changes_before_its_send_is_cancelled_is_reported)
{
	static char much[300000], more[10];
	int rc;

	begin(1, 0);
	ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
	ck_assert_int_gt(run_one(SEND, fds[0], much, sizeof much), 0);
	go(one, .what = SEND, .fd = fds[0], .rc = &rc, .buf = more, .n = sizeof more);
	turn(3);
	more[9] = 1;
	weir_group_cancel(weir_loop_group(loop), 0);
	weir_loop_run(loop);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_uint_eq(stats().touched, 1);
	end_pair();
}
END_TEST

/* Of a short one, too, all bytes are the kernel's until it ends. */
START_TEST(a_buffer_that_does_not_change_is_not_reported)
{
	unsigned seed, cut = 0;

	for (seed = 0; seed < 50; seed++) {
		begin(seed, WEIR_SIM_SOUND);
		ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
		ck_assert_int_gt(run_one(SEND, fds[0], paper, 40), 0);
		cut += stats().cut != 0;
		ck_assert_uint_eq(stats().touched, 0);
		end_pair();
	}
	ck_assert_uint_gt(cut, 0);
}
END_TEST

/* ---- troubles ---- */

/* From that alone nothing else follows. */
START_TEST(what_is_late_is_so_by_no_more_than_it_says)
{
	uint64_t before, took, most = 0;
	unsigned seed, late = 0;

	for (seed = 0; seed < 300; seed++) {
		begin(seed, WEIR_SIM_LATE);
		ck_assert_int_eq(weir_sim_file(loop, "/f", "", 0), 0);
		before = weir_now(loop);
		ck_assert_int_eq(run_one(STATX, -1, NULL, 0), 0);
		took = weir_now(loop) - before;
		late += took != 0;
		most = took > most ? took : most;
		ck_assert_uint_eq(took != 0, stats().late);
		test_loop_free(loop);
	}
	ck_assert_uint_gt(late, 10);
	ck_assert_uint_le(most, WEIR_SIM_LATEST);
	ck_assert_uint_gt(most, WEIR_SIM_LATEST / 2);
}
END_TEST

START_TEST(what_is_taken_has_ended_but_for_what_the_loop_itself_waits_for)
{
	uint64_t before;
	int rc;

	begin(1, 0);
	ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
	ck_assert_int_eq(run_one(SEND, fds[0], paper, 10), 10);
	before = stats().taken;
	rc = (int)(stats().taken - stats().ended);
	ck_assert_int_eq(run_one(RECV, fds[1], buf, 10), 10);
	ck_assert_uint_eq(stats().taken, before + 1);
	ck_assert_uint_eq(stats().taken - stats().ended, (unsigned)rc);
	go(one, .what = RECV, .fd = fds[1], .rc = &rc, .buf = buf, .n = 1);
	turn(3);
	weir_group_cancel(weir_loop_group(loop), 0);
	weir_loop_run(loop);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_uint_eq(stats().taken, before + 2);
	ck_assert_uint_eq(stats().cancelled, 1);
	end_pair();
}
END_TEST

static int computed(void *arg)
{
	return *(int *)arg + weir_work_cancelled();
}

struct busy { struct weir_frame co; int rc, n, file; char buf[64]; struct weir_ctx ctx; };

/* A little of everything; errors are the kernel's business here. */
static WEIR_CO(busy, self, op)
{
	self->n = 41;
	for (self->file = 0; self->file < 4; self->file++) {
		weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), 10 * WEIR_MS);
		weir_ctx_enter(op, &self->ctx);
		WEIR_AWAIT(self->rc, weir_recv(op, fds[0], self->buf, 64, 0));
		WEIR_AWAIT(self->rc, weir_statx(op, AT_FDCWD, "/f", 0, 0, &st));
		weir_ctx_leave(op, &self->ctx);
		weir_ctx_fini(&self->ctx);
		WEIR_AWAIT(self->rc, weir_work(op, NULL, computed, &self->n));
		ck_assert_int_eq(self->rc, 41);
	}
	WEIR_AWAIT(self->file, weir_open(op, "/f", O_RDWR | O_CREAT, 0644));
	if (self->file < 0)
		WEIR_RETURN(0);
	WEIR_AWAIT(self->rc, weir_write(op, self->file, self->buf, 64, 0));
	WEIR_AWAIT(self->rc, weir_read(op, self->file, self->buf, 64, 0));
	WEIR_AWAIT(self->rc, weir_fsync(op, self->file));
	WEIR_AWAIT(self->rc, weir_close(op, self->file));
}
WEIR_END

/* Has something for one of them, now and then. */
struct spoiler { struct weir_frame co; int rc; };

static WEIR_CO(spoiler, self, op)
{
	WEIR_AWAIT(self->rc, weir_send(op, fds[1], paper, 10, MSG_DONTWAIT));
	WEIR_AWAIT(self->rc, weir_sleep(op, 5 * WEIR_MS));
	WEIR_AWAIT(self->rc, weir_send(op, fds[1], paper, 10, MSG_DONTWAIT));
}
WEIR_END

static void add(struct weir_sim_stats *sum)
{
	const struct weir_sim_stats s = stats();

	sum->cancelled += s.cancelled;
	sum->raced += s.raced;
	sum->running += s.running;
	sum->late += s.late;
	sum->cut += s.cut;
	sum->again += s.again;
	sum->failed += s.failed;
	sum->jumps += s.jumps;
	sum->steps += s.steps;
	ck_assert_uint_eq(s.touched, 0);
	ck_assert_uint_eq(s.open, 0);
}

START_TEST(every_trouble_happens_and_is_survived)
{
	struct weir_sim_stats sum = { 0 };
	unsigned seed, i;

	for (seed = 0; seed < test_some(300) + 100; seed++) {
		begin(seed, WEIR_SIM_ALL);
		ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
		for (i = 0; i < 3; i++)
			go(busy, .rc = 0);
		go(spoiler, .rc = 0);
		ck_assert_int_eq(weir_loop_run(loop), 0);
		ck_assert_int_eq(weir_sim_close(loop, fds[0]), 0);
		ck_assert_int_eq(weir_sim_close(loop, fds[1]), 0);
		add(&sum);
		test_loop_free(loop);
	}
	ck_assert_uint_gt(sum.cancelled, 0);
	ck_assert_uint_gt(sum.raced, 0);
	ck_assert_uint_gt(sum.running, 0);
	ck_assert_uint_gt(sum.late, 0);
	ck_assert_uint_gt(sum.cut, 0);
	ck_assert_uint_gt(sum.again, 0);
	ck_assert_uint_gt(sum.failed, 0);
	ck_assert_uint_gt(sum.jumps, 0);
	ck_assert_uint_gt(sum.steps, 0);
}
END_TEST

/* A call like what, on things that are there.  True: it failed, with one of err. */
static bool fails_as_it_may(enum what what, const int *err, unsigned seed)
{
	int rc, file, socket, fd;
	bool connected = what == RECV || what == SEND;

	begin(seed, WEIR_SIM_ERRORS);
	ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
	ck_assert_int_eq(weir_sim_file(loop, "/f", "0123456789", 10), 0);
	do
		file = run_one(OPEN, -1, NULL, 0);
	while (file < 0);
	do
		socket = run_one(SOCKET, -1, NULL, 0);
	while (socket < 0);
	while (run_one(SEND, fds[1], paper, 10) < 0)
		;
	fd = connected ? fds[0] : what == CONNECT ? socket : file;
	rc = run_one(what, fd, buf, 10);
	if (rc >= 0 && (what == OPEN || what == SOCKET))
		weir_sim_close(loop, rc);
	while (rc < 0 && *err && *err != -rc)
		err++;
	ck_assert_msg(rc >= 0 || *err, "%d: %s", what, strerror(-rc));
	weir_sim_close(loop, file);
	weir_sim_close(loop, socket);
	end_pair();
	return rc < 0;
}

/* Each of these fails now and then as it may on Linux, and never otherwise. */
START_TEST(errors_are_those_of_the_call)
{
	static const struct {
		enum what what;
		int err[6];
	} may[] = {
		{ READ, { EIO, ENOMEM } }, { WRITE, { EIO, ENOSPC, EDQUOT, ENOMEM } },
		{ RECV, { ECONNRESET, ENOMEM, ENOBUFS, ETIMEDOUT } },
		{ SEND, { EPIPE, ECONNRESET, ENOMEM, ENOBUFS } },
		{ CONNECT, { ECONNREFUSED, ETIMEDOUT, EADDRNOTAVAIL } },
		{ OPEN, { EMFILE, ENFILE, EACCES, ENOMEM, ENOSPC } }, { STATX, { EACCES, ENOMEM } },
		{ FSYNC, { EIO, ENOSPC } }, { UNLINK, { EIO, EBUSY } }, { RENAME, { EIO, ENOSPC } },
		{ MKDIR, { EIO, ENOSPC } }, { SOCKET, { EMFILE, ENFILE, ENOMEM, ENOBUFS } },
	};
	unsigned i, seed, failed;

	for (i = 0; i < sizeof may / sizeof *may; i++) {
		for (seed = failed = 0; seed < 200; seed++)
			failed += fails_as_it_may(may[i].what, may[i].err, seed);
		ck_assert_uint_gt(failed, 5);
	}
}
END_TEST

struct accepts {
	struct weir_frame co;
	int socket[2], rc, closed;
	struct sockaddr_storage addr;
};

/* Result: of the accept; 1 if it did not come to that. */
static WEIR_CO(accepts, self, op)
{
	self->socket[0] = self->socket[1] = -1;
	self->addr.ss_family = AF_UNIX;
	WEIR_TRY(self->socket[0], out, weir_socket(op, AF_UNIX, SOCK_STREAM, 0));
	WEIR_TRY(self->socket[1], out, weir_socket(op, AF_UNIX, SOCK_STREAM, 0));
	WEIR_TRY(self->rc, out, weir_bind(op, self->socket[0], (struct sockaddr *)&self->addr, 10));
	WEIR_TRY(self->rc, out, weir_listen(op, self->socket[0], 1));
	WEIR_TRY(self->rc, out, weir_connect(op, self->socket[1], (struct sockaddr *)&self->addr,
					     10));
	WEIR_AWAIT(self->rc, weir_accept(op, self->socket[0], NULL, NULL, 0));
	if (self->rc >= 0)
		WEIR_AWAIT(self->closed, weir_close(op, self->rc));
	goto close;
out:
	self->rc = 1;
close:
	if (self->socket[1] >= 0)
		WEIR_AWAIT(self->closed, weir_close(op, self->socket[1]));
	if (self->socket[0] >= 0)
		WEIR_AWAIT(self->closed, weir_close(op, self->socket[0]));
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

/* Each is in accept(2), and each is seen. */
START_TEST(an_accept_fails_as_it_may)
{
	static const int may[] = { EMFILE, ENFILE, ECONNABORTED, ENOMEM };
	unsigned seed, i, seen[4] = { 0 };
	int rc;

	for (seed = 0; seed < 500; seed++) {
		begin(seed, WEIR_SIM_ERRORS);
		rc = weir_run(loop, accepts);
		for (i = 0; rc < 0 && i < 4 && may[i] != -rc; i++)
			;
		ck_assert_msg(rc == 0 || i < 4, "%s", strerror(-rc));
		if (rc < 0)
			seen[i]++;
		test_loop_free(loop);
	}
	for (i = 0; i < 4; i++)
		ck_assert_uint_gt(seen[i], 0);
}
END_TEST

struct crowd { struct weir_frame co; int fd[3], rc; struct sockaddr_storage at; };

/* A backlog with one place, and two who want it; the second waits until he is called off. */
static WEIR_CO(crowd, self, op)
{
	for (self->rc = 0; self->rc < 3; self->rc++)
		WEIR_AWAIT(self->fd[self->rc], weir_socket(op, AF_UNIX, SOCK_STREAM, 0));
	WEIR_AWAIT(self->rc, weir_bind(op, self->fd[0], (struct sockaddr *)&self->at, 10));
	WEIR_AWAIT(self->rc, weir_listen(op, self->fd[0], 0));
	WEIR_AWAIT(self->rc, weir_connect(op, self->fd[1], (struct sockaddr *)&self->at, 10));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_connect(op, self->fd[2], (struct sockaddr *)&self->at, 10));
	ck_assert_int_eq(self->rc, -ECANCELED);
	for (self->rc = 0; self->rc < 3; self->rc++)
		WEIR_AWAIT(self->fd[self->rc], weir_close(op, self->fd[self->rc]));
}
WEIR_END

static unsigned misses;

/* There is never a place, so this cancel is not too late. */
static void count_misses(void *arg, const char *text)
{
	(void)arg;
	misses += strstr(text, " cancel = -2") != NULL;
}

/* As of Linux's, when it is about to try the connect once more. */
START_TEST(a_cancel_misses_a_connect_now_and_then)
{
	struct weir_sim_conf conf = { .trace = count_misses };
	unsigned once = 0, often = 0;

	for (conf.seed = 0; conf.seed < 100; conf.seed++) {
		loop = test_loop_conf(&(struct weir_loop_conf){ .ops = 64, .sim = &conf });
		misses = 0;
		go(crowd, .at.ss_family = AF_UNIX);
		turn(30);
		weir_group_cancel(weir_loop_group(loop), 0);
		ck_assert_int_eq(weir_loop_run(loop), 0);
		once += misses == 1;
		often += misses > 1;
		test_loop_free(loop);
	}
	ck_assert_uint_gt(once, 0);
	ck_assert_uint_gt(often, 0);
}
END_TEST

/* ---- the trace ---- */

static void write_down(void *arg, const char *text)
{
	(void)arg;
	written += (size_t)snprintf(paper + written, sizeof paper - written, "%s\n", text);
	ck_assert_uint_lt(written, sizeof paper);
}

static uint64_t traced(uint64_t seed)
{
	struct weir_sim_conf conf = { seed, WEIR_SIM_SOUND, write_down, NULL };
	uint64_t hash;

	written = 0;
	memset(paper, 0, sizeof paper);
	loop = test_loop_conf(&(struct weir_loop_conf){ .sim = &conf });
	ck_assert_int_eq(weir_sim_file(loop, "/f", "0123456789", 10), 0);
	ck_assert_int_eq(run_one(STATX, -1, NULL, 0), 0);
	ck_assert_int_eq(run_one(RENAME, -1, NULL, 0), 0);
	hash = weir_sim_hash(loop);
	test_loop_free(loop);
	return hash;
}

START_TEST(the_trace_names_what_was_done_and_is_the_same_again)
{
	static char first[sizeof paper];
	unsigned seed, other = 0;
	uint64_t hash;

	hash = traced(1);
	memcpy(first, paper, sizeof first);
	ck_assert_ptr_nonnull(strstr(paper, "statx begins: fd -100"));
	ck_assert_ptr_nonnull(strstr(paper, "statx = 0"));
	ck_assert_ptr_nonnull(strstr(paper, "rename = 0"));
	ck_assert_uint_eq(traced(1), hash);
	ck_assert_str_eq(paper, first);
	for (seed = 2; seed < 12; seed++)
		other += traced(seed) != hash;
	ck_assert_uint_gt(other, 2);
}
END_TEST

/* ---- jobs ---- */

static int log_[16], logged;

static int note(void *arg)
{
	log_[logged++ & 15] = *(int *)arg;
	return weir_work_cancelled() ? -ECANCELED : *(int *)arg;
}

struct job { struct weir_frame co; struct weir_workers *w; int n, *rc; };

static WEIR_CO(job, self, op)
{
	WEIR_AWAIT(*self->rc, weir_work(op, self->w, note, &self->n));
}
WEIR_END

struct stopper { struct weir_frame co; };

static WEIR_CO(stopper, self, op)
{
	weir_group_cancel(weir_loop_group(loop), 0);
}
WEIR_END

START_TEST(jobs_are_steps_and_may_be_cancelled_before_they_begin_or_when_they_have)
{
	unsigned seed, never = 0, told = 0, whole = 0;
	int rc;

	for (seed = 0; seed < 200; seed++) {
		begin(seed, 0);
		logged = 0;
		go(job, .n = 7, .rc = &rc);
		if (seed % 8 == 0)	/* in the turn in which it is queued */
			go(stopper);
		turn(1 + (int)(seed % 6));
		weir_group_cancel(weir_loop_group(loop), 0);
		weir_loop_run(loop);
		never += rc == -ECANCELED && !logged;
		told += rc == -ECANCELED && logged;
		whole += rc == 7;
		test_loop_free(loop);
	}
	ck_assert_uint_gt(never, 0);
	ck_assert_uint_gt(told, 0);
	ck_assert_uint_gt(whole, 0);
}
END_TEST

START_TEST(workers_may_be_shared_and_end_their_jobs_in_any_order)
{
	const struct weir_workers_conf conf = { .threads = 3 };
	unsigned seed, out_of_order = 0;
	struct weir_workers *w;
	int rc[6], i;

	for (seed = 0; seed < 100; seed++) {
		begin(seed, 0);
		logged = 0;
		ck_assert_int_eq(weir_workers_new(&w, &conf), 0);
		for (i = 0; i < 6; i++)
			go(job, .w = w, .n = i, .rc = &rc[i]);
		ck_assert_int_eq(weir_loop_run(loop), 0);
		for (i = 0; i < 6; i++) {
			ck_assert_int_eq(rc[i], i);
			out_of_order += log_[i] != i;
		}
		weir_workers_free(w);
		test_loop_free(loop);
	}
	ck_assert_uint_gt(out_of_order, 0);
}
END_TEST

/* ---- what is left ---- */

START_TEST(a_recv_that_nobody_feeds_is_a_deadlock)
{
	int rc;

	begin(3, WEIR_SIM_SOUND);
	ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
	go(one, .what = RECV, .fd = fds[0], .rc = &rc, .buf = buf, .n = 1);
	ck_assert_int_eq(weir_loop_run(loop), -EDEADLK);
	ck_assert_ptr_nonnull(strstr(test_report(), "waits for: recv"));
	ck_assert_ptr_nonnull(strstr(test_report(), "#0 one sim_kernel.c"));
	weir_group_cancel(weir_loop_group(loop), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	end_pair();
}
END_TEST

START_TEST(descriptors_that_are_left_are_reported)
{
	begin(3, 0);
	ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
	ck_assert_uint_eq(stats().open, 2);
	ck_assert_int_eq(weir_loop_free(loop), 2);
	ck_assert_ptr_nonnull(strstr(test_report(), "weir/sim.h"));
}
END_TEST

/* ---- limits ---- */

START_TEST(a_file_has_an_end)
{
	static char big[WEIR_SIM_FILE_MAX + 1];
	int fd;

	begin(1, 0);
	ck_assert_int_eq(weir_sim_file(loop, "/f", big, sizeof big), -ENOSPC);
	ck_assert_int_eq(weir_sim_file(loop, "/f", big, sizeof big - 1), 0);
	ck_assert_int_eq(weir_sim_file(loop, "/f", big, 1), -EEXIST);
	ck_assert_int_eq(weir_sim_file(loop, "f", big, 1), -EINVAL);
	ck_assert_int_eq(weir_sim_file(loop, "/d/e/f", "x", 1), 0);
	ck_assert_int_eq(weir_sim_content(loop, "/d/e/f", buf, 1), 1);
	ck_assert_int_eq(buf[0], 'x');
	ck_assert_int_eq(weir_sim_content(loop, "/d", buf, 1), -EISDIR);
	ck_assert_int_eq(weir_sim_content(loop, "/x", buf, 1), -ENOENT);
	fd = run_one(OPEN, -1, NULL, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(run_one(READ, fd, big, sizeof big), sizeof big - 1);
	ck_assert_int_eq(run_one(WRITE, fd, big, 1), -ENOSPC);
	ck_assert_int_eq(weir_sim_close(loop, fd), 0);
	ck_assert_int_eq(weir_sim_close(loop, fd), -EBADF);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_loop_of_linux_has_no_simulation)
{
	struct weir_sim_stats s;

	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1 });
	ck_assert_int_eq(weir_sim_file(loop, "/f", "", 0), -EINVAL);
	ck_assert_int_eq(weir_sim_content(loop, "/f", buf, 1), -EINVAL);
	ck_assert_int_eq(weir_sim_socketpair(loop, fds), -EINVAL);
	ck_assert_int_eq(weir_sim_timerfd(loop, 1, 1), -EINVAL);
	ck_assert_int_eq(weir_sim_close(loop, 0), -EINVAL);
	ck_assert_int_eq(weir_sim_stats(loop, &s), -EINVAL);
	ck_assert_uint_eq(weir_sim_hash(loop), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_loop_that_finds_no_memory_leaves_nothing)
{
	struct weir_sim_conf sim = { .seed = 1 };
	struct weir_loop_conf conf = { .sim = &sim };
	bool failed = true;
	unsigned n;
	int rc;

	for (n = 1; failed; n++) {
		test_fail_alloc(n);
		rc = weir_loop_new(&loop, &conf);
		failed = test_fail_alloc(0);
		ck_assert(rc == 0 || (failed && rc == -ENOMEM));
		if (rc == 0)	/* the ring was asked for again */
			test_loop_free(loop);
	}
	ck_assert_uint_gt(n, 8);
}
END_TEST

START_TEST(what_finds_no_memory_says_so)
{
	unsigned n;
	int rc;

	begin(1, 0);
	for (n = 1, rc = -ENOMEM; rc == -ENOMEM; n++) {
		test_fail_alloc(n);
		rc = weir_sim_socketpair(loop, fds);
		test_fail_alloc(0);
	}
	ck_assert_int_eq(rc, 0);
	for (n = 1, rc = -ENOMEM; rc == -ENOMEM; n++) {
		test_fail_alloc(n);
		rc = weir_sim_file(loop, "/d/f", "x", 1);
		test_fail_alloc(0);
	}
	ck_assert_int_eq(rc, 0);
	end_pair();
}
END_TEST

/* ---- time, and descriptors of Linux's ---- */

struct sleeper { struct weir_frame co; int rc; };

static WEIR_CO(sleeper, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, 3600 * WEIR_S));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(time_goes_to_where_something_happens)
{
	uint64_t before, count;
	int fd;

	begin(1, 0);
	before = weir_now(loop);
	ck_assert_int_eq(weir_run(loop, sleeper, .rc = 0), 0);
	ck_assert_uint_ge(weir_now(loop) - before, 3600 * WEIR_S);
	ck_assert_uint_lt(weir_now(loop) - before, 3601 * WEIR_S);
	before = weir_now(loop);
	fd = weir_sim_timerfd(loop, 5 * WEIR_MS, 2 * WEIR_MS);
	ck_assert_int_eq(run_one(READ, fd, buf, sizeof buf), 8);
	ck_assert_uint_eq(weir_now(loop) - before, 5 * WEIR_MS);
	ck_assert_int_eq(weir_advance(loop, 10 * WEIR_MS), 0);
	ck_assert_int_eq(run_one(READ, fd, buf, sizeof buf), 8);
	memcpy(&count, buf, sizeof count);
	ck_assert_uint_eq(count, 5);
	ck_assert_int_eq(weir_sim_close(loop, fd), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(descriptors_of_linux_work)
{
	static char bytes[8] = "1234567";
	unsigned seed;
	int p[2], ev;

	for (seed = 0; seed < 20; seed++) {
		begin(seed, WEIR_SIM_LATE | WEIR_SIM_AGAIN | WEIR_SIM_SHUFFLE);
		ck_assert_int_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
		ev = eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK);
		ck_assert_int_eq(run_one(WRITE, p[1], bytes, 8), 8);
		ck_assert_int_eq(run_one(READ, p[0], buf, sizeof buf), 8);
		ck_assert_mem_eq(buf, bytes, 8);
		ck_assert_int_eq(run_one(READ, ev, buf, 8), 8);
		ck_assert_int_eq(buf[0], 3);
		ck_assert_int_eq(run_one(FSYNC, ev, buf, 8), -EINVAL);
		close(p[0]);
		close(p[1]);
		close(ev);
		test_loop_free(loop);
	}
}
END_TEST

/* It is a number that nothing else of the process has. */
START_TEST(its_descriptors_are_of_no_use_outside_the_loop)
{
	struct weir_loop *first;
	int other;

	begin(1, 0);
	first = loop;
	ck_assert_int_eq(weir_sim_socketpair(first, fds), 0);
	ck_assert_int_lt(read(fds[0], buf, 1), 0);
	ck_assert_int_lt(write(fds[0], buf, 1), 0);
	ck_assert_int_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	other = dup(0);
	ck_assert_int_ne(other, fds[0]);
	ck_assert_int_ne(other, fds[1]);
	begin(2, 0);
	ck_assert_int_eq(run_one(RECV, fds[0], buf, 1), -EBADF);
	ck_assert_int_eq(run_one(SEND, fds[0], buf, 1), -EBADF);
	test_loop_free(loop);
	close(other);
	loop = first;
	end_pair();
}
END_TEST

struct looks { struct weir_frame co; int fd, rc[2]; struct statx st; };

static WEIR_CO(looks, self, op)
{
	WEIR_AWAIT(self->rc[0], weir_statx(op, self->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS,
					   &self->st));
	ck_assert_int_eq(self->rc[0], 0);
	ck_assert(S_ISFIFO(self->st.stx_mode));
	WEIR_AWAIT(self->rc[1], weir_statx(op, self->fd, "f", 0, STATX_BASIC_STATS, &self->st));
	ck_assert_int_eq(self->rc[1], -EBADF);
	WEIR_AWAIT(self->rc[1], weir_statx(op, 9999, "", AT_EMPTY_PATH, STATX_BASIC_STATS,
					   &self->st));
	ck_assert_int_eq(self->rc[1], -EBADF);
}
WEIR_END

START_TEST(descriptors_of_linux_are_looked_at_but_are_no_directories)
{
	int p[2];

	begin(1, 0);
	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	ck_assert_int_eq(weir_run(loop, looks, .fd = p[0]), 0);
	close(p[0]);
	close(p[1]);
	test_loop_free(loop);
}
END_TEST

/* ---- addresses ---- */

struct six { struct weir_frame co; struct sockaddr_in6 at; int fd[3], rc; char buf[4]; };

static WEIR_CO(six, self, op)
{
	WEIR_TRY(self->fd[0], out, weir_socket(op, AF_INET6, SOCK_STREAM, 0));
	WEIR_TRY(self->fd[1], out, weir_socket(op, AF_INET6, SOCK_STREAM, 0));
	WEIR_TRY(self->rc, out, weir_bind(op, self->fd[0], (struct sockaddr *)&self->at,
					  sizeof self->at));
	WEIR_TRY(self->rc, out, weir_listen(op, self->fd[0], 1));
	self->at.sin6_addr.s6_addr[15] = 2;
	WEIR_AWAIT(self->rc, weir_connect(op, self->fd[1], (struct sockaddr *)&self->at,
					  sizeof self->at));
	ck_assert_int_eq(self->rc, -ECONNREFUSED);
	self->at.sin6_addr.s6_addr[15] = 1;
	WEIR_TRY(self->rc, out, weir_connect(op, self->fd[1], (struct sockaddr *)&self->at,
					     sizeof self->at));
	WEIR_TRY(self->fd[2], out, weir_accept(op, self->fd[0], NULL, NULL, 0));
	WEIR_TRY(self->rc, out, weir_send(op, self->fd[1], "abcd", 4, 0));
	WEIR_TRY(self->rc, out, weir_recv(op, self->fd[2], self->buf, 4, 0));
	ck_assert_mem_eq(self->buf, "abcd", 4);
	WEIR_TRY(self->rc, out, weir_close(op, self->fd[0]));
	WEIR_TRY(self->rc, out, weir_close(op, self->fd[1]));
	WEIR_TRY(self->rc, out, weir_close(op, self->fd[2]));
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(sockets_of_ipv6_know_one_address_from_another)
{
	begin(1, 0);
	ck_assert_int_eq(weir_run(loop, six, .rc = -1,
				  .at = { .sin6_family = AF_INET6, .sin6_port = 77,
					  .sin6_addr.s6_addr[15] = 1 }), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_host_polls_a_simulated_loop)
{
	struct pollfd p = { .events = POLLIN };
	unsigned seed;
	int rc, sent;

	for (seed = 0; seed < 20; seed++) {
		begin(seed, WEIR_SIM_SOUND);
		p.fd = weir_loop_fd(loop);
		ck_assert_int_ge(p.fd, 0);
		ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
		go(one, .what = RECV, .fd = fds[0], .rc = &rc, .buf = buf, .n = 1);
		go(one, .what = SEND, .fd = fds[1], .rc = &sent, .buf = paper, .n = 1);
		do {
			ck_assert_int_eq(poll(&p, 1, 10000), 1);
			ck_assert_int_eq(weir_advance(loop, WEIR_MS), 0);
		} while (weir_loop_dispatch(loop) > 0);
		ck_assert_int_eq(rc, 1);
		ck_assert_int_eq(sent, 1);
		end_pair();
	}
}
END_TEST

TESTS("sim_kernel", a_buffer_in_flight_holds_rubbish, a_buffer_that_changes_in_flight_is_reported,
      a_buffer_that_changes_before_its_send_is_cancelled_is_reported,
      a_buffer_that_does_not_change_is_not_reported, what_is_late_is_so_by_no_more_than_it_says,
      what_is_taken_has_ended_but_for_what_the_loop_itself_waits_for,
      every_trouble_happens_and_is_survived, errors_are_those_of_the_call,
      an_accept_fails_as_it_may, a_cancel_misses_a_connect_now_and_then,
      the_trace_names_what_was_done_and_is_the_same_again,
      jobs_are_steps_and_may_be_cancelled_before_they_begin_or_when_they_have,
      workers_may_be_shared_and_end_their_jobs_in_any_order,
      a_recv_that_nobody_feeds_is_a_deadlock, descriptors_that_are_left_are_reported,
      a_file_has_an_end, a_loop_of_linux_has_no_simulation,
      a_loop_that_finds_no_memory_leaves_nothing, what_finds_no_memory_says_so,
      time_goes_to_where_something_happens, descriptors_of_linux_work,
      its_descriptors_are_of_no_use_outside_the_loop,
      descriptors_of_linux_are_looked_at_but_are_no_directories,
      sockets_of_ipv6_know_one_address_from_another,
      a_host_polls_a_simulated_loop)
