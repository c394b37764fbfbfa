/* SPDX-License-Identifier: MIT */
/*
 * port.c - the way into a loop from other threads.
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "kit.h"

#define SENDERS		4

static struct weir_loop *loop;
static struct weir_port *port;

static void begin(void)
{
	loop = test_loop();
	ck_assert_int_eq(weir_port_new(&port, loop), 0);
}

static void end(void)
{
	weir_port_close(port);
	weir_port_unref(port);
	test_loop_free(loop);
}

struct waits { struct weir_frame co; int rc; };

static WEIR_CO(waits, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep_until(op, WEIR_FOREVER));
	WEIR_RETURN(self->rc == -ECANCELED ? 0 : self->rc);
}
WEIR_END

/* Runs until someone cancels the loop's group. */
static void run(void)
{
	ck_assert_int_eq(weir_run(loop, waits), 0);
}

static void stop(struct weir_msg *msg)
{
	(void)msg;
	weir_group_cancel(weir_loop_group(loop), 0);
}

/* ---- many threads ---- */

struct letter {
	struct weir_msg msg;
	unsigned sender, number;
};

static unsigned next[SENDERS], each, wrong, left;
static pthread_t loop_thread;

/* Those of one thread come in the order in which it posted them, and in the loop's thread. */
static void arrive(struct weir_msg *msg)
{
	struct letter *l = weir_container_of(msg, struct letter, msg);

	wrong += l->number != next[l->sender]++ || !pthread_equal(pthread_self(), loop_thread);
	free(l);
	if (!--left)
		stop(NULL);
}

static void *send_all(void *arg)
{
	unsigned sender = *(unsigned *)arg, i;

	for (i = 0; i < each; i++) {
		struct letter *l = malloc(sizeof *l);

		*l = (struct letter){ { .fn = arrive }, sender, i };
		if (weir_post(port, &l->msg) < 0)
			abort();
	}
	weir_port_unref(port);
	return NULL;
}

START_TEST(of_a_million_posts_from_4_threads_none_is_lost_and_each_threads_keep_their_order)
{
	static unsigned number[SENDERS] = { 0, 1, 2, 3 };
	pthread_t thread[SENDERS];
	unsigned i;

	begin();
	each = test_some(250000);
	left = SENDERS * each;
	loop_thread = pthread_self();
	for (i = 0; i < SENDERS; i++) {
		weir_port_ref(port);
		ck_assert_int_eq(pthread_create(&thread[i], NULL, send_all, &number[i]), 0);
	}
	run();
	for (i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	ck_assert_uint_eq(left, 0);
	ck_assert_uint_eq(wrong, 0);
	end();
}
END_TEST

/* Posts the next only when the one before has arrived and the loop is asleep again. */
static sem_t arrived;
static pid_t loop_tid;

static void note(struct weir_msg *msg)
{
	(void)msg;
	sem_post(&arrived);
}

static void *send_one_by_one(void *arg)
{
	static struct weir_msg msg = { .fn = note }, last = { .fn = stop };
	unsigned i;

	(void)arg;
	for (i = 0; i < 1000; i++) {
		if (i % 10 == 0)
			kit_until_asleep(loop_tid);
		weir_post(port, &msg);
		sem_wait(&arrived);
	}
	weir_post(port, &last);
	return NULL;
}

START_TEST(a_post_wakes_the_loop_whether_or_not_it_is_just_falling_asleep)
{
	pthread_t thread;

	begin();
	sem_init(&arrived, 0, 0);
	loop_tid = kit_tid();
	ck_assert_int_eq(pthread_create(&thread, NULL, send_one_by_one, NULL), 0);
	run();
	pthread_join(thread, NULL);
	sem_destroy(&arrived);
	end();
}
END_TEST

/* ---- what a message may do ---- */

WEIR_CHAN(ints, int);

static struct ints ch;
static int got;

struct receives { struct weir_frame co; int item, rc; };

static WEIR_CO(receives, self, op)
{
	WEIR_AWAIT(self->rc, weir_chan_recv(op, &ch, &self->item));
	got = self->item;
	WEIR_RETURN(self->rc == 1 ? 0 : self->rc);
}
WEIR_END

static void spawn_and_send(struct weir_msg *msg)
{
	int item = 42;

	(void)msg;
	ck_assert_int_eq(weir_go(weir_loop_group(loop), receives), 0);
	ck_assert_int_eq(weir_chan_try_send(&ch, &item), 1);
}

static void *post_it(void *msg)
{
	ck_assert_int_eq(weir_post(port, msg), 0);
	return NULL;
}

START_TEST(a_message_may_spawn_send_and_cancel)
{
	struct weir_msg msg = { .fn = spawn_and_send }, last = { .fn = stop };
	pthread_t thread;

	begin();
	ck_assert_int_eq(weir_chan_init(&ch, loop, 1), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), receives), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, post_it, &msg), 0);
	while (!got)
		ck_assert_int_gt(weir_loop_dispatch(loop), 0);
	pthread_join(thread, NULL);
	ck_assert_int_eq(got, 42);
	ck_assert_int_eq(weir_post(port, &last), 0);
	ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
	weir_chan_fini(&ch);
	end();
}
END_TEST

static int turns_of_it;

static void again(struct weir_msg *msg)
{
	if (++turns_of_it < 10)
		ck_assert_int_eq(weir_post(port, msg), 0);
	else
		stop(NULL);
}

START_TEST(a_message_may_post_itself_again_from_the_loops_own_thread)
{
	struct weir_msg msg = { .fn = again };
	struct weir_loop_stats s;

	begin();
	ck_assert_int_eq(weir_post(port, &msg), 0);
	run();
	ck_assert_int_eq(turns_of_it, 10);
	weir_loop_stats(loop, &s);
	ck_assert_uint_ge(s.turns, 10);	/* one a turn: tasks have theirs between */
	end();
}
END_TEST

/* ---- open and closed ---- */

START_TEST(a_port_without_memory_is_not_made)
{
	struct weir_loop_stats s;
	struct weir_port *p;

	loop = test_loop();
	test_fail_alloc(1);
	ck_assert_int_eq(weir_port_new(&p, loop), -ENOMEM);
	ck_assert(test_fail_alloc(0));
	weir_loop_stats(loop, &s);
	ck_assert_uint_eq(s.ports, 0);
	test_loop_free(loop);
}
END_TEST

static int counted;

static void count(struct weir_msg *msg)
{
	(void)msg;
	counted++;
}

START_TEST(what_was_posted_before_the_close_is_delivered_and_nothing_after_is_taken)
{
	struct weir_msg before = { .fn = count }, after = { .fn = count };

	begin();
	ck_assert_int_eq(weir_post(port, &before), 0);
	weir_port_close(port);
	weir_port_close(port);
	ck_assert_int_eq(weir_post(port, &after), -EPIPE);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(counted, 1);
	end();
}
END_TEST

struct closes { struct weir_frame co; struct weir_msg *last; int rc; };

static WEIR_CO(closes, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_S));
	ck_assert_int_eq(weir_post(port, self->last), 0);
	weir_port_close(port);
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_HOUR));
	WEIR_RETURN(self->rc == -ECANCELED ? 0 : self->rc);
}
WEIR_END

static uint64_t stopped_at;

static void stop_and_note(struct weir_msg *msg)
{
	stopped_at = weir_now(loop);
	stop(msg);
}

START_TEST(a_message_that_is_on_its_way_is_no_deadlock_and_comes_before_the_clock_moves)
{
	struct weir_msg last = { .fn = stop_and_note };
	uint64_t began;

	begin();
	began = weir_now(loop);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), waits), 0);
	ck_assert_int_eq(weir_run(loop, closes, .last = &last), 0);
	ck_assert_uint_eq(stopped_at, began + WEIR_S);
	end();
}
END_TEST

static void *post_when_asleep(void *msg)
{
	kit_until_asleep(loop_tid);
	return post_it(msg);
}

START_TEST(a_loop_with_an_open_port_waits_and_one_without_is_deadlocked)
{
	struct weir_msg last = { .fn = stop };
	pthread_t thread;

	begin();
	loop_tid = kit_tid();
	ck_assert_int_eq(pthread_create(&thread, NULL, post_when_asleep, &last), 0);
	run();
	pthread_join(thread, NULL);
	weir_port_close(port);
	ck_assert_int_eq(weir_run(loop, waits), -EDEADLK);
	weir_group_cancel(weir_loop_group(loop), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	end();
}
END_TEST

START_TEST(a_port_outlives_its_loop_and_refuses)
{
	struct weir_msg before = { .fn = count }, after = { .fn = count };

	begin();
	ck_assert_int_eq(weir_post(port, &before), 0);
	ck_assert_int_eq(weir_loop_free(loop), 1);
	ck_assert_ptr_nonnull(strstr(test_report(),
				     "weir: leak: an open port made at tests/core/port.c:"));
	ck_assert_int_eq(counted, 1);
	ck_assert_int_eq(weir_post(port, &after), -EPIPE);
	weir_port_close(port);
	ck_assert_int_eq(weir_post(port, &after), -EPIPE);
	weir_port_unref(port);
}
END_TEST

static atomic_uint accepted;
static unsigned delivered;

static void deliver(struct weir_msg *msg)
{
	delivered++;
	free(msg);
}

static void *send_until_refused(void *arg)
{
	(void)arg;
	for (;;) {
		struct weir_msg *msg = malloc(sizeof *msg);

		msg->fn = deliver;
		if (weir_post(port, msg) < 0) {
			free(msg);
			break;
		}
		atomic_fetch_add(&accepted, 1);
	}
	weir_port_unref(port);
	return NULL;
}

START_TEST(of_posts_that_race_with_the_end_of_the_loop_each_is_refused_or_delivered)
{
	pthread_t thread[SENDERS];
	int i;

	begin();
	for (i = 0; i < SENDERS; i++) {
		weir_port_ref(port);
		ck_assert_int_eq(pthread_create(&thread[i], NULL, send_until_refused, NULL), 0);
	}
	while (atomic_load(&accepted) < 1000)
		weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_loop_free(loop), 1);
	for (i = 0; i < SENDERS; i++)
		pthread_join(thread[i], NULL);
	weir_port_unref(port);
	ck_assert_uint_eq(delivered, atomic_load(&accepted));
}
END_TEST

TESTS("port",
      of_a_million_posts_from_4_threads_none_is_lost_and_each_threads_keep_their_order,
      a_post_wakes_the_loop_whether_or_not_it_is_just_falling_asleep,
      a_message_may_spawn_send_and_cancel,
      a_message_may_post_itself_again_from_the_loops_own_thread,
      a_port_without_memory_is_not_made,
      what_was_posted_before_the_close_is_delivered_and_nothing_after_is_taken,
      a_message_that_is_on_its_way_is_no_deadlock_and_comes_before_the_clock_moves,
      a_loop_with_an_open_port_waits_and_one_without_is_deadlocked,
      a_port_outlives_its_loop_and_refuses,
      of_posts_that_race_with_the_end_of_the_loop_each_is_refused_or_delivered)
