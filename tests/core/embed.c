/* SPDX-License-Identifier: MIT */
/*
 * embed.c - the loop inside a host's loop, which knows nothing but weir_loop_fd().
 *
 * A wakeup that is lost hangs its test; one that is for nothing is counted.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "harness.h"
#include "kit.h"

static struct weir_loop *loop;
static int host;			/* epoll */
static unsigned wakeups, idle;		/* dispatches after epoll_wait(); for nothing */
static uint64_t messages;		/* what has come in, by posts */

static void begin(void)
{
	struct epoll_event e = { .events = EPOLLIN };

	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1 });
	host = epoll_create1(EPOLL_CLOEXEC);
	ck_assert_int_ge(host, 0);
	ck_assert_int_eq(epoll_ctl(host, EPOLL_CTL_ADD, weir_loop_fd(loop), &e), 0);
}

static void end(void)
{
	close(host);
	test_loop_free(loop);
}

static uint64_t work_done(void)
{
	struct weir_loop_stats s;

	weir_loop_stats(loop, &s);
	return s.resumes + messages;
}

static int dispatch(void)
{
	uint64_t before = work_done();
	int rc = weir_loop_dispatch(loop);

	wakeups++;
	idle += work_done() == before;
	return rc;
}

/* One round of the host's loop; false: it would have slept for longer than ms. */
static bool host_round(int ms)
{
	struct epoll_event e;
	int n;

	do {
		n = epoll_wait(host, &e, 1, ms);
	} while (n < 0 && errno == EINTR);
	if (n == 1)
		dispatch();
	return n == 1;
}

/* The host runs until it would sleep. */
static unsigned settle(void)
{
	unsigned n;

	for (n = 0; host_round(0); n++)
		ck_assert_uint_lt(n, 100);	/* else it is a busy loop */
	return n;
}

/* ---- coroutines ---- */

struct nap { struct weir_frame co; uint64_t ns; int rc; };

static WEIR_CO(nap, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	WEIR_RETURN(self->rc);
}
WEIR_END

struct reads { struct weir_frame co; int fd, rc; uint64_t left, buf; bool counts; sem_t *ack; };

/* Reads until `left` is 0: the sum of an eventfd's counts, or a pipe's bytes. */
static WEIR_CO(reads, self, op)
{
	while (self->left) {
		WEIR_TRY(self->rc, out, kit_read(op, self->fd, &self->buf));
		self->left -= self->counts ? self->buf : (uint64_t)self->rc;
		if (self->ack)
			sem_post(self->ack);
	}
	self->rc = 0;
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

/* ---- quiet ---- */

/* While the loop is at work the kernel does not signal what it completes: the loop will see.  What
 * comes after its last look and before it listens again must not be lost. */
START_TEST(what_completes_after_the_last_look_makes_the_fd_readable)
{
	int fd = kit_eventfd();

	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), reads, .fd = fd, .left = 1,
				 .counts = true), 0);
	settle();
	loop->be->ops->quiet(loop->be);
	loop->be->ops->turn(loop->be, false);
	eventfd_write(fd, 1);
	ck_assert(!kit_readable(weir_loop_fd(loop)));
	loop->be->ops->listen(loop->be, false);
	ck_assert(kit_readable(weir_loop_fd(loop)));
	ck_assert_uint_ge(settle(), 1);
	ck_assert_uint_eq(weir_loop_group(loop)->active, 0);
	end();
	close(fd);
}
END_TEST

START_TEST(a_loop_without_work_leaves_its_host_alone)
{
	begin();
	ck_assert_uint_le(settle(), 2);
	ck_assert_int_eq(weir_loop_dispatch(loop), 0);		/* unasked: no harm */
	ck_assert_uint_eq(settle(), 0);
	ck_assert_int_eq(weir_loop_fd(loop), weir_loop_fd(loop));
	end();
}
END_TEST

START_TEST(a_host_without_descriptors_is_told_so)
{
	struct rlimit old, few;
	int first;

	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1 });
	first = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(first);
	getrlimit(RLIMIT_NOFILE, &old);
	few = (struct rlimit){ (rlim_t)first, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	ck_assert_int_eq(weir_loop_fd(loop), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	ck_assert_int_ge(weir_loop_fd(loop), 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(an_fd_asked_for_when_kernel_ops_are_under_way_is_refused)
{
	struct weir_ctx early;
	int fd = kit_eventfd();

	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1 });
	ck_assert_int_eq(weir_go(weir_loop_group(loop), reads, .fd = fd, .left = 1, .counts = true),
			 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_loop_fd(loop), -EBUSY);
	eventfd_write(fd, 1);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	weir_ctx_init(&early, weir_loop_ctx(loop));
	ck_assert_int_ge(weir_ctx_fd(&early), 0);
	ck_assert_int_eq(weir_loop_fd(loop), -EBUSY);
	weir_ctx_fini(&early);
	while (loop->watches)
		weir_loop_dispatch(loop);
	ck_assert_int_ge(weir_loop_fd(loop), 0);	/* now there are none */
	eventfd_write(fd, 1);
	ck_assert_int_eq(weir_run(loop, reads, .fd = fd, .left = 1, .counts = true), 0);
	test_loop_free(loop);
	close(fd);
}
END_TEST

/* ---- one thing, one wakeup ---- */

START_TEST(a_timer_wakes_the_host_once)
{
	begin();
	settle();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), nap, .ns = 2 * WEIR_MS), 0);
	settle();
	wakeups = 0;
	while (loop->group.active)
		ck_assert(host_round(-1));
	ck_assert_uint_le(wakeups, 1);		/* none if it was due before the host slept */
	ck_assert_uint_eq(settle(), 0);
	end();
}
END_TEST

START_TEST(a_read_wakes_the_host_once)
{
	int fd = kit_eventfd();

	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), reads, .fd = fd, .left = 1, .counts = true),
			 0);
	settle();
	wakeups = 0;
	eventfd_write(fd, 1);
	ck_assert(host_round(-1));
	ck_assert_uint_eq(loop->group.active, 0);
	ck_assert_uint_eq(settle(), 0);
	end();
	close(fd);
}
END_TEST

static void count_message(struct weir_msg *msg)
{
	(void)msg;
	messages++;
}

static struct weir_port *port;

static void *post(void *msg)
{
	weir_post(port, msg);
	return NULL;
}

START_TEST(a_post_from_another_thread_wakes_the_host_once)
{
	struct weir_msg msg = { .fn = count_message };
	pthread_t thread;

	begin();
	ck_assert_int_eq(weir_port_new(&port, loop), 0);
	settle();
	ck_assert_int_eq(pthread_create(&thread, NULL, post, &msg), 0);
	ck_assert(host_round(-1));
	pthread_join(thread, NULL);
	ck_assert_uint_eq(messages, 1);
	ck_assert_uint_eq(settle(), 0);
	weir_port_close(port);
	weir_port_unref(port);
	end();
}
END_TEST

/* ---- what the host does by itself ---- */

WEIR_CHAN(ints, int);

static struct ints ch;
static struct weir_ctx ctx;
static struct weir_after after;

struct receives { struct weir_frame co; int item, rc; };

static WEIR_CO(receives, self, op)
{
	WEIR_AWAIT(self->rc, weir_chan_recv(op, &ch, &self->item));
	WEIR_RETURN(self->rc == 1 ? 0 : self->rc);
}
WEIR_END

static void spawn(void)
{
	ck_assert_int_eq(weir_go(weir_loop_group(loop), receives), 0);
}

static void send_item(void)
{
	int item = 1;

	ck_assert_int_eq(weir_chan_try_send(&ch, &item), 1);
}

static void cancel(void)
{
	weir_group_cancel(weir_loop_group(loop), 0);
}

static void post_to_itself(void)
{
	static struct weir_msg msg = { .fn = count_message };

	ck_assert_int_eq(weir_post(port, &msg), 0);
}

static void count_after(struct weir_after *a)
{
	(void)a;
	messages++;
}

static void call_back(void)
{
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	weir_ctx_after(&ctx, &after, count_after);
	weir_ctx_cancel(&ctx, 0);
}

static void hang_up(void)
{
	weir_chan_hangup(&ch);
}

/* What the host does makes the fd readable, one dispatch carries it out, then there is quiet. */
static void ck_heard(void (*deed)(void))
{
	uint64_t before = work_done();
	int fd = weir_loop_fd(loop);

	ck_assert(!kit_readable(fd));
	deed();
	ck_assert(kit_readable(fd));
	dispatch();
	ck_assert_uint_gt(work_done(), before);
	ck_assert_uint_le(settle(), 1);
}

START_TEST(what_the_host_does_with_weir_makes_the_fd_readable)
{
	begin();
	ck_assert_int_eq(weir_chan_init(&ch, loop, 0), 0);
	ck_assert_int_eq(weir_port_new(&port, loop), 0);
	settle();
	ck_heard(spawn);
	ck_heard(send_item);
	ck_heard(spawn);
	ck_heard(cancel);
	ck_heard(post_to_itself);
	ck_heard(call_back);
	weir_ctx_fini(&ctx);
	ck_heard(spawn);
	ck_heard(hang_up);
	weir_chan_fini(&ch);
	weir_port_close(port);
	weir_port_unref(port);
	end();
}
END_TEST

START_TEST(a_deadline_that_the_host_sets_wakes_it)
{
	begin();
	settle();
	weir_ctx_init_timeout(&ctx, weir_loop_ctx(loop), WEIR_MS);
	while (!weir_ctx_err(&ctx))
		ck_assert(host_round(-1));
	ck_assert_uint_le(settle(), 1);		/* a turn may see it before the timer says so */
	weir_ctx_fini(&ctx);
	end();
}
END_TEST

START_TEST(the_hosts_own_run_of_the_loop_does_not_make_it_deaf)
{
	begin();
	ck_assert_int_eq(weir_chan_init(&ch, loop, 0), 0);
	settle();
	ck_assert_int_eq(weir_run(loop, nap, .ns = WEIR_US), 0);
	settle();
	ck_heard(spawn);
	ck_heard(send_item);
	weir_chan_fini(&ch);
	end();
}
END_TEST

START_TEST(a_virtual_clock_moved_by_the_host_is_heard)
{
	loop = test_loop();
	ck_assert_int_ge(weir_loop_fd(loop), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), nap, .ns = WEIR_HOUR), 0);
	while (kit_readable(weir_loop_fd(loop)))
		ck_assert_int_eq(weir_loop_dispatch(loop), 1);
	weir_advance(loop, WEIR_HOUR);
	ck_assert(kit_readable(weir_loop_fd(loop)));
	ck_assert_int_eq(weir_loop_dispatch(loop), 0);
	test_loop_free(loop);
}
END_TEST

struct yields { struct weir_frame co; int n, rc; };

static WEIR_CO(yields, self, op)
{
	while (self->n--)
		WEIR_AWAIT(self->rc, weir_yield(op));
}
WEIR_END

START_TEST(while_work_is_left_the_fd_stays_readable)
{
	int i;

	begin();
	for (i = 0; i < 1000; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), yields, .n = 10), 0);
	while (loop->group.active) {
		ck_assert(kit_readable(weir_loop_fd(loop)));
		ck_assert(host_round(0));
	}
	ck_assert_uint_le(settle(), 1);
	ck_assert_uint_le(idle, 2);
	end();
}
END_TEST

/* ---- a million ---- */

struct source {
	enum { POSTS, COUNTS, BYTES } kind;	/* to a port, an eventfd, a pipe */
	int fd;
	unsigned n;
	sem_t *ack;				/* if set: wait until each has come in */
};

static sem_t post_ack, read_ack;

static void take(struct weir_msg *msg)
{
	messages++;
	free(msg);
}

static void take_and_say(struct weir_msg *msg)
{
	take(msg);
	sem_post(&post_ack);
}

static void send_one(const struct source *s)
{
	struct weir_msg *msg;

	switch (s->kind) {
	case POSTS:
		msg = malloc(sizeof *msg);
		msg->fn = s->ack ? take_and_say : take;
		weir_post(port, msg);
		break;
	case COUNTS:
		eventfd_write(s->fd, 1);
		break;
	case BYTES:
		while (write(s->fd, "x", 1) < 0)	/* full */
			sched_yield();
	}
}

static void *send_all(void *arg)
{
	const struct source *s = arg;
	unsigned i;

	for (i = 0; i < s->n; i++) {
		send_one(s);
		if (s->ack)
			sem_wait(s->ack);
	}
	return NULL;
}

static void ck_million(unsigned posts, unsigned counts, unsigned bytes, bool one_by_one)
{
	struct source source[3] = {
		{ POSTS, -1, posts, one_by_one ? &post_ack : NULL },
		{ COUNTS, kit_eventfd(), counts, one_by_one ? &read_ack : NULL },
		{ BYTES, -1, bytes, NULL },
	};
	pthread_t thread[3];
	int i, pipefd[2];

	begin();
	sem_init(&post_ack, 0, 0);
	sem_init(&read_ack, 0, 0);
	ck_assert_int_eq(pipe2(pipefd, O_CLOEXEC | O_NONBLOCK), 0);
	source[2].fd = pipefd[1];
	ck_assert_int_eq(weir_port_new(&port, loop), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), reads, .fd = source[1].fd, .left = counts,
				 .counts = true, .ack = source[1].ack), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), reads, .fd = pipefd[0], .left = bytes), 0);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, send_all, &source[i]), 0);
	while (loop->group.active || messages < posts)
		if (!host_round(10000))
			ck_abort_msg("a wakeup was lost");
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(messages, posts);
	ck_assert_msg(idle <= wakeups / 100 + 3, "%u of %u wakeups for nothing", idle, wakeups);
	weir_port_close(port);
	weir_port_unref(port);
	end();
	close(source[1].fd);
	close(pipefd[0]);
	close(pipefd[1]);
	sem_destroy(&post_ack);
	sem_destroy(&read_ack);
}

START_TEST(of_a_million_messages_no_wakeup_is_lost_and_few_are_for_nothing)
{
	unsigned n = test_some(300000);

	ck_million(n, n, n, false);
}
END_TEST

START_TEST(nor_if_each_waits_for_the_one_before)
{
	unsigned n = test_some(50000);

	ck_million(n, n, 0, true);
}
END_TEST

TESTS("embed",
      a_loop_without_work_leaves_its_host_alone,
      what_completes_after_the_last_look_makes_the_fd_readable,
      a_host_without_descriptors_is_told_so,
      an_fd_asked_for_when_kernel_ops_are_under_way_is_refused,
      a_timer_wakes_the_host_once,
      a_read_wakes_the_host_once,
      a_post_from_another_thread_wakes_the_host_once,
      what_the_host_does_with_weir_makes_the_fd_readable,
      a_deadline_that_the_host_sets_wakes_it,
      the_hosts_own_run_of_the_loop_does_not_make_it_deaf,
      a_virtual_clock_moved_by_the_host_is_heard,
      while_work_is_left_the_fd_stays_readable,
      of_a_million_messages_no_wakeup_is_lost_and_few_are_for_nothing,
      nor_if_each_waits_for_the_one_before)
