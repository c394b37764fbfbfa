/* SPDX-License-Identifier: MIT */
/* The simulated kernel: what it promises in weir/sim.h, and that the seed decides. */
#include "harness.h"

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "weir.h"

#define SEEDS	200

static struct weir_loop *sim_loop(uint64_t seed, unsigned trouble)
{
	return test_loop_conf(&(struct weir_loop_conf){
		.sim = &(struct weir_sim_conf){ .seed = seed, .trouble = trouble } });
}

/* ---- bytes through a pair of sockets ---- */

struct writer {
	struct weir_frame co;
	struct weir_write_all wr;
	int fd;
	const char *bytes;
	size_t n;
	int rc;
};

static WEIR_CO(writer, self, op)
{
	WEIR_CALL(self->rc, self->wr, weir_write_all, .fd = self->fd, .buf = self->bytes,
		  .len = self->n);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	WEIR_RETURN(self->rc);
}
WEIR_END

struct reader {
	struct weir_frame co;
	int fd;
	char buf[100], *got;
	size_t n;
	int rc;
};

static WEIR_CO(reader, self, op)
{
	for (;;) {
		WEIR_AWAIT(self->rc, weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
		if (self->rc <= 0)
			break;
		memcpy(self->got + self->n, self->buf, (size_t)self->rc);
		self->n += (size_t)self->rc;
	}
	if (self->rc == 0)
		WEIR_AWAIT(self->rc, weir_close(op, self->fd));
	WEIR_RETURN(self->rc);
}
WEIR_END

static uint64_t transfer(uint64_t seed, unsigned trouble)
{
	static char from[3000], to[3001];
	struct weir_loop *loop = sim_loop(seed, trouble);
	uint64_t hash;
	size_t i;
	int fd[2];

	for (i = 0; i < sizeof from; i++)
		from[i] = (char)i;
	memset(to, 0, sizeof to);
	ck_assert_int_eq(weir_sim_socketpair(loop, fd), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), writer, .fd = fd[0], .bytes = from,
				 .n = sizeof from), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), reader, .fd = fd[1], .got = to), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_mem_eq(from, to, sizeof from);
	hash = weir_sim_hash(loop);
	test_loop_free(loop);
	return hash;
}

START_TEST(bytes_arrive_whole_and_in_order_whatever_the_seed)
{
	uint64_t seed, n = test_some(SEEDS);

	for (seed = 0; seed < n; seed++)
		ck_assert_uint_ne(transfer(seed, WEIR_SIM_SOUND), 0);
}
END_TEST

START_TEST(the_same_seed_is_the_same_run)
{
	uint64_t seed, n = test_some(SEEDS), last = 0;
	unsigned same = 0;

	for (seed = 0; seed < n; seed++) {
		uint64_t hash = transfer(seed, WEIR_SIM_SOUND);

		ck_assert_uint_eq(hash, transfer(seed, WEIR_SIM_SOUND));
		same += hash == last;
		last = hash;
	}
	ck_assert_uint_lt(same, n / 10);
}
END_TEST

/* ---- files ---- */

struct nothing { struct weir_frame co; int fd, rc; };

static WEIR_CO(nothing, self, op)
{
	WEIR_TRY(self->fd, out, weir_open(op, "/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	WEIR_AWAIT(self->rc, weir_write(op, self->fd, "", 0, 100));
	ck_assert_int_eq(self->rc, 0);
	WEIR_AWAIT(self->rc, weir_close(op, self->fd));
out:
	WEIR_RETURN(self->fd < 0 ? self->fd : self->rc);
}
WEIR_END

START_TEST(a_write_of_nothing_behind_the_end_makes_a_file_no_longer)
{
	struct weir_loop *loop = sim_loop(1, 0);

	ck_assert_int_eq(weir_run(loop, nothing), 0);
	ck_assert_int_eq(weir_sim_content(loop, "/file", NULL, 0), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_test_names_files_as_tasks_do)
{
	struct weir_loop *loop = sim_loop(1, 0);
	char buf[4] = "";

	ck_assert_int_eq(weir_sim_file(loop, "/d/./e/../f", "abc", 3), 0);
	ck_assert_int_eq(weir_sim_content(loop, "/d/f", buf, 3), 3);
	ck_assert_str_eq(buf, "abc");
	ck_assert_int_eq(weir_sim_content(loop, "d//e/.././f", buf, 2), 3);
	ck_assert_int_eq(weir_sim_content(loop, "/d/f", NULL, 0), 3);
	ck_assert_int_eq(weir_sim_content(loop, "/d/e", buf, 1), -EISDIR);
	ck_assert_int_eq(weir_sim_content(loop, "/", buf, 1), -EISDIR);
	ck_assert_int_eq(weir_sim_content(loop, "/d/g", buf, 1), -ENOENT);
	ck_assert_int_eq(weir_sim_content(loop, "", buf, 1), -ENOENT);
	ck_assert_int_eq(weir_sim_content(loop, "/d/f/", buf, 1), -ENOTDIR);
	ck_assert_int_eq(weir_sim_content(loop, "/d/f/g", buf, 1), -ENOTDIR);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_test_makes_no_file_below_a_file)
{
	static char path[PATH_MAX + 1];
	struct weir_loop *loop = sim_loop(1, 0);

	ck_assert_int_eq(weir_sim_file(loop, "/f", "", 0), 0);
	ck_assert_int_eq(weir_sim_file(loop, "/f/g", "", 0), -ENOTDIR);
	ck_assert_int_eq(weir_sim_file(loop, "/f/g/h", "", 0), -ENOTDIR);
	ck_assert_int_eq(weir_sim_file(loop, "/f/../g", "", 0), -ENOTDIR);
	ck_assert_int_eq(weir_sim_file(loop, "/f/", "", 0), -EEXIST);
	ck_assert_int_eq(weir_sim_file(loop, "/d/", "", 0), -EEXIST);
	ck_assert_int_eq(weir_sim_file(loop, "/", "", 0), -EEXIST);
	ck_assert_int_eq(weir_sim_file(loop, "g", "", 0), -EINVAL);
	memset(path, '/', PATH_MAX);
	ck_assert_int_eq(weir_sim_file(loop, path, "", 0), -ENAMETOOLONG);
	test_loop_free(loop);
}
END_TEST

struct mover { struct weir_frame co; int rc; };

static WEIR_CO(mover, self, op)
{
	WEIR_AWAIT(self->rc, weir_rename(op, "/etc", "/usr"));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_directory_is_renamed_with_all_that_is_below_it)
{
	struct weir_loop *loop = sim_loop(1, 0);
	char buf[4] = "";

	ck_assert_int_eq(weir_sim_file(loop, "/etc/a/b/c", "abc", 3), 0);
	ck_assert_int_eq(weir_sim_file(loop, "/etc/x", "x", 1), 0);
	ck_assert_int_eq(weir_run(loop, mover), 0);
	ck_assert_int_eq(weir_sim_content(loop, "/etc/x", buf, 1), -ENOENT);
	ck_assert_int_eq(weir_sim_content(loop, "/usr/x", buf, 1), 1);
	ck_assert_int_eq(weir_sim_content(loop, "/usr/a/b/c", buf, 3), 3);
	ck_assert_str_eq(buf, "abc");
	ck_assert_int_eq(weir_sim_file(loop, "/etc", "", 0), 0);
	ck_assert_int_eq(weir_run(loop, mover), -EISDIR);
	test_loop_free(loop);
}
END_TEST

struct remover { struct weir_frame co; int rc; };

static WEIR_CO(remover, self, op)
{
	WEIR_TRY(self->rc, out, weir_unlink(op, "/usr/y/../y/z"));
	WEIR_TRY(self->rc, out, weir_unlinkat(op, AT_FDCWD, "/usr/y", AT_REMOVEDIR));
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

/* A rename needs memory for the name, and without it changes nothing. */
START_TEST(a_name_that_finds_no_memory_leaves_the_old_one)
{
	struct weir_loop *loop = sim_loop(1, 0);
	unsigned n;
	int rc;

	ck_assert_int_eq(weir_sim_file(loop, "/etc/x", "x", 1), 0);
	ck_assert_int_eq(weir_sim_file(loop, "/usr/y/z", "x", 1), 0);
	ck_assert_int_eq(weir_run(loop, mover), -ENOTEMPTY);
	ck_assert_int_eq(weir_run(loop, remover), 0);
	for (n = 1, rc = -ENOMEM; rc == -ENOMEM; n++) {
		ck_assert_int_eq(weir_sim_content(loop, "/etc/x", NULL, 0), 1);
		test_fail_alloc(n);
		rc = weir_run(loop, mover);
		test_fail_alloc(0);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_uint_gt(n, 2);
	ck_assert_int_eq(weir_sim_content(loop, "/usr/x", NULL, 0), 1);
	test_loop_free(loop);
}
END_TEST

/* ---- sockets ---- */

struct stranger { struct weir_frame co; int fd, rc[4]; char buf[4]; };

static WEIR_CO(stranger, self, op)
{
	WEIR_TRY(self->fd, out, weir_socket(op, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	WEIR_AWAIT(self->rc[0], weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
	WEIR_AWAIT(self->rc[1], weir_shutdown(op, self->fd, SHUT_RD));
	WEIR_AWAIT(self->rc[2], weir_recv(op, self->fd, self->buf, sizeof self->buf, 0));
	WEIR_AWAIT(self->rc[3], weir_close(op, self->fd));
	ck_assert_int_eq(self->rc[0], -ENOTCONN);
	ck_assert_int_eq(self->rc[1], -ENOTCONN);
	ck_assert_int_eq(self->rc[2], 0);
	WEIR_RETURN(self->rc[3]);
out:
	WEIR_RETURN(self->fd);
}
WEIR_END

/* On Linux, too; 6.1 was the first that showed it. */
START_TEST(shutdown_of_an_unconnected_tcp_socket_fails_yet_shuts_it)
{
	struct weir_loop *real = test_loop_conf(&(struct weir_loop_conf){ .ops = 16 });
	struct weir_loop *loop = sim_loop(1, 0);

	ck_assert_int_eq(weir_run(real, stranger), 0);
	ck_assert_int_eq(weir_run(loop, stranger), 0);
	test_loop_free(real);
	test_loop_free(loop);
}
END_TEST

struct callers {
	struct weir_frame co;
	int domain, listener, caller, rc;
	union {
		struct sockaddr sa;
		struct sockaddr_storage any;
		struct sockaddr_in in;
		struct sockaddr_un un;
		char bytes[sizeof(struct sockaddr_storage)];
	} at, from;
	socklen_t at_len, len;
};

/* What accept tells of one who has bound nothing. */
static WEIR_CO(callers, self, op)
{
	memset(&self->from, 0xee, sizeof self->from);
	self->len = sizeof self->from;
	WEIR_TRY(self->listener, out, weir_socket(op, self->domain, SOCK_STREAM, 0));
	WEIR_TRY(self->rc, out, weir_bind(op, self->listener, &self->at.sa, self->at_len));
	WEIR_TRY(self->rc, out, weir_listen(op, self->listener, 1));
	WEIR_TRY(self->caller, out, weir_socket(op, self->domain, SOCK_STREAM, 0));
	WEIR_TRY(self->rc, out, weir_connect(op, self->caller, &self->at.sa, self->at_len));
	WEIR_TRY(self->rc, out, weir_accept(op, self->listener, &self->from.sa, &self->len, 0));
	if (self->domain == AF_UNIX) {
		ck_assert_uint_eq(self->len, sizeof(sa_family_t));
	} else {
		ck_assert_uint_eq(self->len, sizeof self->from.in);
		ck_assert_uint_eq(self->from.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
		ck_assert_uint_ne(self->from.in.sin_port, 0);
		ck_assert_uint_ne(self->from.in.sin_port, self->at.in.sin_port);
	}
	ck_assert_int_eq(self->from.sa.sa_family, self->domain);
	ck_assert_int_eq(self->from.bytes[self->len], (char)0xee);
	WEIR_AWAIT(self->rc, weir_close(op, self->rc));
	WEIR_AWAIT(self->rc, weir_close(op, self->caller));
	WEIR_AWAIT(self->rc, weir_close(op, self->listener));
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

static struct weir_loop *linux_loop(void)
{
	return test_loop_conf(&(struct weir_loop_conf){ .ops = 16 });
}

START_TEST(who_connects_by_tcp_has_a_port_though_he_bound_none)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_port = htons((uint16_t)(20000 + getpid() % 10000)),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct weir_loop *loop;
	int i;

	for (i = 0; i < 2; i++) {
		loop = i ? sim_loop(1, 0) : linux_loop();
		ck_assert_int_eq(weir_run(loop, callers, .domain = AF_INET, .at.in = at,
					  .at_len = sizeof at), 0);
		test_loop_free(loop);
	}
}
END_TEST

START_TEST(who_connects_without_a_name_has_none)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct weir_loop *loop;
	int i;

	snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "weir-sim-%d", getpid());
	for (i = 0; i < 2; i++) {
		loop = i ? sim_loop(1, 0) : linux_loop();
		ck_assert_int_eq(weir_run(loop, callers, .domain = AF_UNIX, .at.un = at,
					  .at_len = sizeof at), 0);
		test_loop_free(loop);
	}
}
END_TEST

struct unbound { struct weir_frame co; int fd, rc[2]; };

static WEIR_CO(unbound, self, op)
{
	WEIR_TRY(self->fd, out, weir_socket(op, AF_INET, SOCK_STREAM, 0));
	WEIR_AWAIT(self->rc[0], weir_listen(op, self->fd, 1));
	WEIR_AWAIT(self->rc[1], weir_close(op, self->fd));
	WEIR_TRY(self->fd, out, weir_socket(op, AF_UNIX, SOCK_STREAM, 0));
	WEIR_AWAIT(self->rc[1], weir_listen(op, self->fd, 1));
	ck_assert_int_eq(self->rc[1], -EINVAL);
	WEIR_AWAIT(self->rc[1], weir_close(op, self->fd));
	WEIR_RETURN(self->rc[0]);
out:
	WEIR_RETURN(self->fd);
}
WEIR_END

START_TEST(a_tcp_socket_listens_though_it_is_not_bound)
{
	struct weir_loop *real = linux_loop(), *loop = sim_loop(1, 0);

	ck_assert_int_eq(weir_run(real, unbound), 0);
	ck_assert_int_eq(weir_run(loop, unbound), 0);
	test_loop_free(real);
	test_loop_free(loop);
}
END_TEST

struct caller { struct weir_frame co; int fd, rc; const struct sockaddr_in *to; };

static WEIR_CO(caller, self, op)
{
	WEIR_AWAIT(self->rc, weir_connect(op, self->fd, (const struct sockaddr *)self->to,
					  sizeof *self->to));
	WEIR_RETURN(self->rc);
}
WEIR_END

static int connects(int type, const struct sockaddr_in *to)
{
	struct weir_loop *loop = sim_loop(1, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | type, 0), rc;

	ck_assert_int_ge(fd, 0);
	rc = weir_run(loop, caller, .fd = fd, .to = to);
	close(fd);
	test_loop_free(loop);
	return rc;
}

/* On Linux weir_connect() waits, and so does it on a descriptor of Linux's. */
START_TEST(a_connect_of_a_socket_of_linux_that_does_not_block_is_waited_for)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, len), 0);
	ck_assert_int_eq(listen(fd, 4), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	ck_assert_int_eq(connects(0, &at), 0);
	ck_assert_int_eq(connects(SOCK_NONBLOCK, &at), 0);
	close(fd);
	ck_assert_int_eq(connects(0, &at), -ECONNREFUSED);
	ck_assert_int_eq(connects(SOCK_NONBLOCK, &at), -ECONNREFUSED);
}
END_TEST

/* ---- descriptors that are closed while an operation is under way on them ---- */

struct waits { struct weir_frame co; int fd, *rc; char *buf; };

static WEIR_CO(waits, self, op)
{
	*self->rc = 1000;
	WEIR_AWAIT(*self->rc, weir_recv(op, self->fd, self->buf, 4, 0));
}
WEIR_END

struct sends { struct weir_frame co; int fd, *rc; };

static WEIR_CO(sends, self, op)
{
	WEIR_AWAIT(*self->rc, weir_send(op, self->fd, "abcd", 4, 0));
}
WEIR_END

static void turn(struct weir_loop *loop)
{
	int i;

	for (i = 0; i < 6; i++)
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
}

static int send_four(struct weir_loop *loop, int fd)
{
	int rc = 0;

	ck_assert_int_eq(weir_go(weir_loop_group(loop), sends, .fd = fd, .rc = &rc), 0);
	turn(loop);
	return rc;
}

static uint64_t open_now(struct weir_loop *loop)
{
	struct weir_sim_stats stats;

	ck_assert_int_eq(weir_sim_stats(loop, &stats), 0);
	return stats.open;
}

/* A recv that waits on fds[0]. */
static struct weir_loop *waiting(int fds[2], char *buf, int *rc)
{
	struct weir_loop *loop = sim_loop(1, 0);

	ck_assert_int_eq(weir_sim_socketpair(loop, fds), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), waits, .fd = fds[0], .rc = rc,
				 .buf = buf), 0);
	turn(loop);
	ck_assert_int_eq(*rc, 1000);
	return loop;
}

/* The number is given again, and is then another's. */
START_TEST(an_operation_keeps_to_what_its_descriptor_was_when_it_began)
{
	int fds[2], again[2], rc;
	char buf[5] = "";
	struct weir_loop *loop = waiting(fds, buf, &rc);

	ck_assert_int_eq(weir_sim_close(loop, fds[0]), 0);
	ck_assert_uint_eq(open_now(loop), 1);
	ck_assert_int_eq(weir_sim_socketpair(loop, again), 0);
	ck_assert_int_eq(again[0], fds[0]);
	ck_assert_int_eq(send_four(loop, again[1]), 4);
	ck_assert_int_eq(rc, 1000);
	ck_assert_int_eq(send_four(loop, fds[1]), 4);
	ck_assert_int_eq(rc, 4);
	ck_assert_str_eq(buf, "abcd");
	ck_assert_int_eq(send_four(loop, fds[1]), -EPIPE);
	ck_assert_int_eq(weir_sim_close(loop, fds[1]), 0);
	ck_assert_int_eq(weir_sim_close(loop, again[0]), 0);
	ck_assert_int_eq(weir_sim_close(loop, again[1]), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(an_operation_whose_descriptor_is_gone_can_be_cancelled)
{
	int fds[2], rc;
	char buf[4];
	struct weir_loop *loop = waiting(fds, buf, &rc);

	ck_assert_int_eq(weir_sim_close(loop, fds[0]), 0);
	weir_group_cancel(weir_loop_group(loop), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_int_eq(weir_sim_close(loop, fds[1]), 0);
	ck_assert_uint_eq(open_now(loop), 0);
	test_loop_free(loop);
}
END_TEST

/* By close(2), which the simulation does not hear of. */
START_TEST(a_number_that_the_program_has_closed_is_given_again)
{
	int fds[2], again[2], rc;
	char buf[4];
	struct weir_loop *loop = waiting(fds, buf, &rc);

	ck_assert_int_eq(close(fds[0]), 0);
	ck_assert_int_eq(weir_sim_socketpair(loop, again), 0);
	ck_assert_int_eq(again[0], fds[0]);
	ck_assert_uint_eq(open_now(loop), 3);
	ck_assert_int_eq(send_four(loop, fds[1]), 4);
	ck_assert_int_eq(rc, 4);
	ck_assert_int_eq(weir_sim_close(loop, fds[1]), 0);
	ck_assert_int_eq(weir_sim_close(loop, again[0]), 0);
	ck_assert_int_eq(weir_sim_close(loop, again[1]), 0);
	test_loop_free(loop);
}
END_TEST

/* ---- frames ---- */

struct child {
	struct weir_frame co;
	uint64_t *volatile *where;
	uint64_t value, more[200];	/* as many as make it too large for the slab */
};

static WEIR_CO(child, self, op)
{
	(void)op;
	self->value = 42;
	*self->where = &self->value;
}
WEIR_END

struct small { struct weir_frame co; uint64_t *volatile *where; uint64_t room[4], value; };

static WEIR_CO(small, self, op)
{
	(void)op;
	self->value = 42;
	*self->where = &self->value;
}
WEIR_END

/* What the frame of a finished task holds. */
static uint64_t looks_back(bool check, bool large)
{
	struct weir_loop *loop = test_loop_conf(&(struct weir_loop_conf){
		.check = check, .sim = &(struct weir_sim_conf){ .seed = 1 } });
	uint64_t *volatile where;
	uint64_t value;

	if (large)
		ck_assert_int_eq(weir_run(loop, child, .where = &where), 0);
	else
		ck_assert_int_eq(weir_run(loop, small, .where = &where), 0);
	value = *where;
	test_loop_free(loop);
	return value;
}

/* With a sanitizer that sees it by itself there is nothing to look at. */
START_TEST(the_frame_of_a_finished_task_holds_rubbish)
{
	unsigned i;

	for (i = 0; i < 4 && !test_sees_freed(); i++)
		ck_assert_uint_eq(looks_back(i & 1, i & 2), 0xa5a5a5a5a5a5a5a5);
}
END_TEST

TESTS("sim", bytes_arrive_whole_and_in_order_whatever_the_seed, the_same_seed_is_the_same_run,
      a_write_of_nothing_behind_the_end_makes_a_file_no_longer, a_test_names_files_as_tasks_do,
      a_test_makes_no_file_below_a_file, a_directory_is_renamed_with_all_that_is_below_it,
      a_name_that_finds_no_memory_leaves_the_old_one,
      shutdown_of_an_unconnected_tcp_socket_fails_yet_shuts_it,
      who_connects_by_tcp_has_a_port_though_he_bound_none, who_connects_without_a_name_has_none,
      a_tcp_socket_listens_though_it_is_not_bound,
      a_connect_of_a_socket_of_linux_that_does_not_block_is_waited_for,
      an_operation_keeps_to_what_its_descriptor_was_when_it_began,
      an_operation_whose_descriptor_is_gone_can_be_cancelled,
      a_number_that_the_program_has_closed_is_given_again,
      the_frame_of_a_finished_task_holds_rubbish)
