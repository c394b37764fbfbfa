/* SPDX-License-Identifier: MIT */
/*
 * stream_tests.h - streams: order and ends, buffers lent, starved and bounded, sends in line,
 * closes.
 *
 * The test is the peer, with plain calls on the other end of a pair.  stream.c runs them with
 * multishot receives, stream_plain.c as on a kernel that has none.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <liburing.h>

#include "aborts.h"
#include "core/loop.h"
#include "io_kit.h"

#define SIZE 64u /* of a buffer */

static struct weir_buffers pool;
static struct weir_stream stream;
static int peer;

#ifdef WITHOUT_MULTISHOT
#define MULTISHOT	false
static struct weir_backend_ops refusing;

static int refuse(struct weir_backend *be, struct io_uring_buf_ring *ring, unsigned count)
{
	(void)be;
	(void)ring;
	(void)count;
	return -EINVAL;
}

static void may_refuse(void)
{
	refusing = *loop->be->ops;
	refusing.buffers = refuse;
	loop->be->ops = &refusing;
}
#else
#define MULTISHOT	true
static void may_refuse(void)
{
}
#endif

static void open_stream(struct weir_stream *s, int *other, size_t bound)
{
	int fds[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	weir_stream_init(s, &pool, fds[0], bound);
	*other = fds[1];
}

static void begin_stream(unsigned count, size_t bound)
{
	begin();
	may_refuse();
	ck_assert_int_eq(weir_buffers_init(&pool, loop, count, SIZE), 0);
	ck_assert(weir_buffers_multishot(&pool) == MULTISHOT);
	open_stream(&stream, &peer, bound);
}

struct shut {
	struct weir_frame co;
	struct weir_stream *s;
	int rc;
};

static WEIR_CO(shut, self, op)
{
	WEIR_AWAIT(self->rc, weir_stream_close(op, self->s));
	WEIR_RETURN(self->rc);
}
WEIR_END

static void close_stream(struct weir_stream *s)
{
	go(shut, .s = s);
	ck_assert_int_eq(finish(), 0);
}

static void end_pool(void)
{
	ck_assert_uint_eq(weir_buffers_used(&pool), 0);
	weir_buffers_fini(&pool);
	end();
}

static void end_stream(void)
{
	close_stream(&stream);
	close(peer);
	end_pool();
}

static void tell(int fd, const char *text)
{
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* ---- tasks ---- */

struct taker {
	struct weir_frame co;
	struct weir_stream *s;
	struct weir_lease *lease;
	int *rc;
};

static WEIR_CO(taker, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, weir_stream_recv(op, self->s, self->lease));
}
WEIR_END

static struct weir_lease lease;

/* What a receive gives now, or PENDING, whose task then still waits. */
static int take_from(struct weir_stream *s, struct weir_lease *l)
{
	static int rc;

	go(taker, .s = s, .lease = l, .rc = &rc);
	turn();
	turn();
	turn();
	turn();
	return rc;
}

static int take(void)
{
	return take_from(&stream, &lease);
}

static void ck_taken(const char *text)
{
	ck_assert_int_eq(take(), (int)strlen(text));
	ck_assert_uint_eq(lease.len, strlen(text));
	ck_assert_mem_eq(lease.data, text, strlen(text));
	weir_lease_put(&lease);
}

/* ---- what comes ---- */

START_TEST(what_comes_before_and_after_the_wait_is_received_in_order)
{
	int rc;

	begin_stream(4, 0);
	go(taker, .s = &stream, .lease = &lease, .rc = &rc);
	turn();
	ck_assert_int_eq(rc, PENDING);
	tell(peer, "one");
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 3);
	ck_assert_mem_eq(lease.data, "one", 3);
	weir_lease_put(&lease);
	tell(peer, "two");
	turn();
	turn();
	turn();
	tell(peer, "three");
	turn();
	turn();
	turn();
	ck_taken("two");
	ck_taken("three");
	end_stream();
}
END_TEST

START_TEST(what_has_come_is_received_before_the_end)
{
	begin_stream(4, 0);
	tell(peer, "last words");
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	turn();
	turn();
	ck_taken("last words");
	ck_assert_int_eq(take(), 0);
	ck_assert_int_eq(take(), 0);
	end_stream();
}
END_TEST

START_TEST(a_peer_that_goes_with_our_bytes_unread_is_an_error)
{
	int rc;

	begin_stream(4, 0);
	go(taker, .s = &stream, .lease = &lease, .rc = &rc);
	turn();
	tell(stream.fd, "never read");
	close(peer);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, -ECONNRESET);
	ck_assert_int_eq(take(), -ECONNRESET);
	close_stream(&stream);
	end_pool();
}
END_TEST

START_TEST(a_second_receiver_is_refused)
{
	int rc;

	begin_stream(4, 0);
	go(taker, .s = &stream, .lease = &lease, .rc = &rc);
	turn();
	ck_assert_int_eq(rc, PENDING);
	ck_assert_int_eq(take(), -EBUSY);
	tell(peer, "x");
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 1);
	weir_lease_put(&lease);
	end_stream();
}
END_TEST

/* ---- too few buffers ---- */

START_TEST(a_thousand_messages_pass_through_two_buffers)
{
	char sent[4];
	unsigned i;

	begin_stream(2, 0);
	for (i = 0; i < 1000; i++) {
		snprintf(sent, sizeof sent, "%03u", i);
		tell(peer, sent);
		ck_taken(sent);
	}
	end_stream();
}
END_TEST

START_TEST(a_stream_that_finds_no_buffer_goes_on_when_one_is_back)
{
	struct weir_lease held[2];
	char sent[5 * SIZE];
	unsigned i;

	begin_stream(2, 0);
	for (i = 0; i < sizeof sent; i++)
		sent[i] = (char)i;
	ck_assert_int_eq(write(peer, sent, sizeof sent), (ssize_t)sizeof sent);
	ck_assert_int_eq(take_from(&stream, &held[0]), (int)SIZE);
	ck_assert_int_eq(take_from(&stream, &held[1]), (int)SIZE);
	ck_assert_uint_eq(weir_buffers_used(&pool), 2);
	ck_assert_int_eq(take(), PENDING);
	weir_lease_put(&held[1]);
	ck_assert_int_eq(finish(), 0);
	ck_assert_mem_eq(lease.data, sent + 2 * SIZE, SIZE);
	weir_lease_put(&lease);
	ck_assert_mem_eq(held[0].data, sent, SIZE);
	weir_lease_put(&held[0]);
	for (i = 3; i < 5; i++) {
		ck_assert_int_eq(take(), (int)SIZE);
		ck_assert_mem_eq(lease.data, sent + i * SIZE, SIZE);
		weir_lease_put(&lease);
	}
	end_stream();
}
END_TEST

START_TEST(a_silent_stream_does_not_stand_in_the_way_of_another)
{
	struct weir_stream silent, loud;
	struct weir_lease held;
	int silent_peer, loud_peer;

	begin_stream(1, 0);
	tell(peer, "all there is");
	ck_assert_int_eq(take_from(&stream, &held), 12);
	open_stream(&silent, &silent_peer, 0);
	open_stream(&loud, &loud_peer, 0);
	tell(loud_peer, "heard");
	turn();
	turn();
	weir_lease_put(&held);
	ck_assert_int_eq(take_from(&loud, &lease), 5);
	weir_lease_put(&lease);
	close_stream(&silent);
	close_stream(&loud);
	close(silent_peer);
	close(loud_peer);
	end_stream();
}
END_TEST

START_TEST(a_stream_holds_no_more_than_its_bound_and_what_comes_then)
{
	struct weir_lease held[64];
	char sent[32 * SIZE];
	unsigned i, n = 0, got = 0;

	begin_stream(64, 2 * SIZE);
	memset(sent, 'x', sizeof sent);
	for (i = 0; i < 40; i++) {
		ck_assert_int_eq(write(peer, sent, SIZE), SIZE);
		turn();
	}
	ck_assert_uint_lt(weir_buffers_used(&pool), 8); /* what the kernel did not hear in time */
	while (weir_buffers_used(&pool) > n) {
		ck_assert_int_gt(take_from(&stream, &held[n]), 0);
		got += (unsigned)held[n++].len;
	}
	ck_assert_int_eq(take(), PENDING);
	while (n)
		weir_lease_put(&held[--n]);
	ck_assert_int_eq(finish(), 0);
	for (got += (unsigned)lease.len; got < 40 * SIZE; got += (unsigned)lease.len) {
		weir_lease_put(&lease);
		ck_assert_int_gt(take(), 0);
	}
	weir_lease_put(&lease);
	end_stream();
}
END_TEST

/* ---- early ends ---- */

START_TEST(a_receive_that_is_cancelled_takes_nothing)
{
	int rc;

	begin_stream(4, 0);
	go(taker, .s = &stream, .lease = &lease, .rc = &rc);
	turn();
	ck_assert_int_eq(cancel(), 0);
	ck_assert_int_eq(rc, -ECANCELED);
	tell(peer, "later");
	ck_taken("later");
	end_stream();
}
END_TEST

struct picky {
	struct weir_frame co;
	struct weir_arm arm[2];
	int rc;
};

static WEIR_CO(picky, self, op)
{
	weir_ready(weir_stream_recv(&self->arm[0].op, &stream, &lease));
	weir_ready(weir_sleep(&self->arm[1].op, WEIR_HOUR));
	WEIR_AWAIT(self->rc, weir_select(op, self->arm, 2));
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_receive_can_be_an_arm_of_a_select)
{
	begin_stream(4, 0);
	go(picky);
	turn();
	tell(peer, "won");
	ck_assert_int_eq(finish(), 0);
	ck_assert_uint_eq(lease.len, 3);
	weir_lease_put(&lease);
	go(picky);
	turn();
	ck_assert_int_eq(weir_advance(loop, WEIR_HOUR), 0);
	ck_assert_int_eq(finish(), 0);
	tell(peer, "lost");
	ck_taken("lost");
	end_stream();
}
END_TEST

START_TEST(a_close_ends_who_waits_and_drops_what_was_not_taken)
{
	int rc;

	begin_stream(4, 0);
	go(taker, .s = &stream, .lease = &lease, .rc = &rc);
	turn();
	close_stream(&stream);
	ck_assert_int_eq(rc, -ECANCELED);
	ck_assert_int_eq(read(peer, &rc, 1), 0);
	close(peer);
	open_stream(&stream, &peer, 0);
	tell(peer, "dropped");
	turn();
	turn();
	turn();
	ck_assert_uint_eq(weir_buffers_used(&pool), 1);
	close_stream(&stream);
	close(peer);
	end_pool();
}
END_TEST

START_TEST(a_close_before_the_kernel_has_heard_of_the_stream_is_one)
{
	int fd;

	begin_stream(4, 0);
	fd = stream.fd;
	end_stream();
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

START_TEST(a_second_close_is_refused)
{
	int rc;

	begin_stream(4, 0);
	turn();
	go(shut, .s = &stream);
	go(shut, .s = &stream);
	rc = finish();
	ck_assert_int_eq(rc, -EBUSY);
	close(peer);
	end_pool();
}
END_TEST

START_TEST(a_loop_that_goes_first_tells_of_streams_and_frees_their_buffers)
{
	begin_stream(4, 0);
	tell(peer, "never taken");
	turn();
	turn();
	weir_group_fini(&group);
	ck_assert_int_eq(weir_loop_free(loop), 2);
	ck_assert_ptr_nonnull(strstr(test_report(), "an open stream made at"));
	ck_assert_ptr_nonnull(strstr(test_report(), "a pool of buffers made at"));
	weir_buffers_fini(&pool);
	close(stream.fd);
	close(peer);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

/* ---- sending ---- */

struct teller {
	struct weir_frame co;
	const char *data;
	size_t len;
	int *rc;
};

static WEIR_CO(teller, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, weir_stream_send(op, &stream, self->data, self->len));
}
WEIR_END

static size_t drain(char *to, size_t len)
{
	size_t got = 0;
	ssize_t n;

	while (got < len) {
		n = recv(peer, to + got, len - got, MSG_DONTWAIT);
		if (n > 0)
			got += (size_t)n;
		else if (n < 0 && errno == EAGAIN)
			turn();
		else
			break;
	}
	return got;
}

START_TEST(sends_of_many_tasks_do_not_mix)
{
	enum { LEN = 1 << 20 };
	char *a = malloc(LEN), *b = malloc(LEN), *got = malloc(2 * LEN);
	int first, second;

	ck_assert(a && b && got);
	memset(a, 'a', LEN);
	memset(b, 'b', LEN);
	begin_stream(4, 0);
	go(teller, .data = a, .len = LEN, .rc = &first);
	go(teller, .data = b, .len = LEN, .rc = &second);
	turn();
	ck_assert_int_eq(first, PENDING);
	ck_assert_uint_eq(drain(got, 2 * LEN), 2 * LEN);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(first, LEN);
	ck_assert_int_eq(second, LEN);
	ck_assert_mem_eq(got, a, LEN);
	ck_assert_mem_eq(got + LEN, b, LEN);
	end_stream();
	free(a);
	free(b);
	free(got);
}
END_TEST

START_TEST(after_a_send_that_stopped_half_way_none_is_sent)
{
	enum { LEN = 1 << 22 };
	char *a = malloc(LEN);
	int first, second, third;

	ck_assert(a);
	memset(a, 'a', LEN);
	begin_stream(4, 0);
	go(teller, .data = a, .len = LEN, .rc = &first);
	go(teller, .data = a, .len = 3, .rc = &second);
	turn();
	ck_assert_int_eq(drain(a, 1000), 1000);
	turn();
	turn();
	ck_assert_int_eq(cancel(), 0);
	ck_assert_int_eq(first, -ECANCELED);
	ck_assert_int_eq(second, -ECANCELED);
	go(teller, .data = a, .len = 3, .rc = &third);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(third, -EPIPE);
	end_stream();
	free(a);
}
END_TEST

START_TEST(a_send_says_what_cannot_be_sent)
{
	int rc;

	begin_stream(4, 0);
	go(teller, .data = "", .len = 0, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, 0);
	go(teller, .data = "", .len = (size_t)INT32_MAX + 1, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, -EINVAL);
	close(peer);
	go(teller, .data = "x", .len = 1, .rc = &rc);
	ck_assert_int_eq(finish(), 0);
	ck_assert_int_eq(rc, -EPIPE);
	close_stream(&stream);
	end_pool();
}
END_TEST

/* ---- the pool ---- */

START_TEST(a_pool_out_of_range_is_refused)
{
	begin();
	ck_assert_int_eq(weir_buffers_init(&pool, loop, 0, SIZE), -EINVAL);
	ck_assert_int_eq(weir_buffers_init(&pool, loop, 3, SIZE), -EINVAL);
	ck_assert_int_eq(weir_buffers_init(&pool, loop, 65536, SIZE), -EINVAL);
	ck_assert_int_eq(weir_buffers_init(&pool, loop, 4, 100), -EINVAL);
	ck_assert_int_eq(weir_buffers_init(&pool, loop, 4, 8), -EINVAL);
	ck_assert_int_eq(weir_buffers_init(&pool, loop, 4, 1u << 25), -EINVAL);
	ck_assert_int_eq(weir_buffers_init(&pool, loop, 32768, SIZE), -EAGAIN);
	test_fail_alloc(1);
	ck_assert_int_eq(weir_buffers_init(&pool, loop, 4, SIZE), -ENOMEM);
	ck_assert(test_fail_alloc(0));
	end();
}
END_TEST

/* ---- misuse ---- */

static void put_twice(void)
{
	struct weir_lease copy;

	begin_stream(4, 0);
	tell(peer, "x");
	take();
	copy = lease;
	weir_lease_put(&lease);
	weir_lease_put(&copy);
}

static void put_what_was_put(void)
{
	begin_stream(4, 0);
	tell(peer, "x");
	take();
	weir_lease_put(&lease);
	weir_lease_put(&lease);
}

static void close_while_lent(void)
{
	begin_stream(4, 0);
	tell(peer, "x");
	take();
	close_stream(&stream);
}

static void fini_while_open(void)
{
	begin_stream(4, 0);
	weir_buffers_fini(&pool);
}

START_TEST(misuse_is_named)
{
	ck_aborts(put_twice, "weir_lease_put() of what is not lent any more");
	ck_aborts(put_what_was_put, "weir_lease_put() of what is not lent");
	ck_aborts(close_while_lent, "a stream is closed while a buffer of it is lent");
	ck_aborts(fini_while_open, "weir_buffers_fini() while a stream uses them");
}
END_TEST

/* ---- receives that end for nothing ---- */

static struct weir_backend_ops idle_ops;
static bool (*real_submit)(struct weir_backend *be, struct weir_op *op);
static struct weir_op_def idle_def;
static void (*real_complete)(struct weir_op *op, int res);
static int idle_result;
static unsigned idle_runs, idle_most;

static void idle_complete(struct weir_op *op, int res)
{
	(void)res;
	op->u.kernel.off = 0;
	real_complete(op, idle_result);
}

/* In place of a stream's receive the kernel has an op that ends at once, idle_most times. */
static bool idle_submit(struct weir_backend *be, struct weir_op *op)
{
	if (op != &stream.rx || idle_runs == idle_most)
		return real_submit(be, op);
	idle_runs++;
	real_complete = op->def->complete;
	idle_def = (struct weir_op_def){
		.name = "idle", .complete = idle_complete, .opcode = IORING_OP_NOP,
		.flags = WEIR_OBJECTS_,
	};
	op->def = &idle_def;
	op->u.kernel = (struct weir_kernel_args){ .fd = op->u.kernel.fd };
	return real_submit(be, op);
}

static void begin_idle(int result, unsigned most)
{
	begin();
	may_refuse();
	idle_ops = *loop->be->ops;
	real_submit = idle_ops.submit;
	idle_ops.submit = idle_submit;
	loop->be->ops = &idle_ops;
	idle_result = result;
	idle_runs = 0;
	idle_most = most;
	ck_assert_int_eq(weir_buffers_init(&pool, loop, 8, SIZE), 0);
	open_stream(&stream, &peer, 0);
}

static void turn_often(unsigned n)
{
	while (n--)
		turn();
}

/* It is asked again and again only for a while; then once a millisecond. */
static void goes_easy(int result)
{
	unsigned asked;

	begin_idle(result, UINT32_MAX);
	tell(peer, "abc");
	turn_often(200);
	asked = idle_runs;
	ck_assert_uint_lt(asked, 100);
	ck_assert_int_eq(take(), PENDING);
	turn_often(100);
	ck_assert_uint_eq(idle_runs, asked);
	ck_assert_int_eq(weir_advance(loop, WEIR_MS), 0);
	turn_often(100);
	ck_assert_uint_eq(idle_runs, asked + 1);
	idle_most = idle_runs;
	ck_assert_int_eq(weir_advance(loop, WEIR_MS), 0);
	turn_often(10);
	ck_assert_mem_eq(lease.data, "abc", 3);
	weir_lease_put(&lease);
	end_stream();
}

START_TEST(a_want_of_buffers_without_end_neither_ends_a_stream_nor_keeps_the_loop_busy)
{
	goes_easy(-ENOBUFS);
}
END_TEST

START_TEST(nor_do_receives_that_are_cancelled_by_nobody)
{
	goes_easy(-ECANCELED);
}
END_TEST

START_TEST(a_receive_that_nobody_cancelled_is_begun_again)
{
	begin_idle(-ECANCELED, 3);
	tell(peer, "abc");
	turn_often(10);
	ck_assert_uint_eq(idle_runs, 3);
	ck_assert_int_eq(take(), 3);
	weir_lease_put(&lease);
	tell(peer, "de");
	ck_assert_int_eq(take(), 2);
	weir_lease_put(&lease);
	end_stream();
}
END_TEST

START_TEST(a_stream_that_pauses_can_be_closed)
{
	begin_idle(-ENOBUFS, UINT32_MAX);
	turn_often(100);
	ck_assert(stream.paused);
	end_stream();
}
END_TEST

START_TEST(a_loop_is_freed_while_a_stream_pauses)
{
	begin_idle(-ENOBUFS, UINT32_MAX);
	turn_often(100);
	ck_assert(stream.paused);
	weir_group_fini(&group);
	ck_assert_int_eq(weir_loop_free(loop), 2);	/* stream and pool */
	close(stream.fd);
	close(peer);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

TESTS("stream", what_comes_before_and_after_the_wait_is_received_in_order,
      what_has_come_is_received_before_the_end,
      a_peer_that_goes_with_our_bytes_unread_is_an_error, a_second_receiver_is_refused,
      a_thousand_messages_pass_through_two_buffers,
      a_stream_that_finds_no_buffer_goes_on_when_one_is_back,
      a_silent_stream_does_not_stand_in_the_way_of_another,
      a_stream_holds_no_more_than_its_bound_and_what_comes_then,
      a_receive_that_is_cancelled_takes_nothing, a_receive_can_be_an_arm_of_a_select,
      a_close_ends_who_waits_and_drops_what_was_not_taken,
      a_close_before_the_kernel_has_heard_of_the_stream_is_one, a_second_close_is_refused,
      a_loop_that_goes_first_tells_of_streams_and_frees_their_buffers,
      sends_of_many_tasks_do_not_mix, after_a_send_that_stopped_half_way_none_is_sent,
      a_send_says_what_cannot_be_sent, a_pool_out_of_range_is_refused, misuse_is_named,
      a_want_of_buffers_without_end_neither_ends_a_stream_nor_keeps_the_loop_busy,
      nor_do_receives_that_are_cancelled_by_nobody,
      a_receive_that_nobody_cancelled_is_begun_again, a_stream_that_pauses_can_be_closed,
      a_loop_is_freed_while_a_stream_pauses)
