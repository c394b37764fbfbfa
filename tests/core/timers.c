/* SPDX-License-Identifier: MIT */
/*
 * timers.c - the wheel against a sorted list, sleeping, the timerfd.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "core/loop.h"
#include "harness.h"
#include "kit.h"

static struct weir_loop *loop;
static struct weir_ctx *root;

static void begin(void)
{
	loop = test_loop();
	root = weir_loop_ctx(loop);
}

static void begin_real(unsigned ops)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .seed = 1, .ops = ops });
	root = weir_loop_ctx(loop);
}

static struct weir_loop_stats stats(void)
{
	struct weir_loop_stats s;

	weir_loop_stats(loop, &s);
	return s;
}

/* ---- the wheel ---- */

struct timed {
	struct weir_timer timer;
	uint64_t due;
	unsigned long start;	/* the how manieth */
	bool runs;
};

#define TIMERS	100000

static struct timed timed[TIMERS];
static struct timed *expected[TIMERS];
static unsigned long starts;

static void never(struct weir_timer *t)
{
	(void)t;
	ck_abort_msg("the test takes timers out itself");
}

/* Near, far, very far, or the same as others'. */
static uint64_t some_due(uint64_t now)
{
	uint64_t r = weir_random(loop);

	switch (r & 7) {
	case 0:
		return now + 1 + (r >> 8) % 8;
	case 1:
		return now + 1 + (r >> 8) % 1000;
	case 2:
		return (now / WEIR_S + 1 + (r >> 8) % 4) * WEIR_S;
	case 3:
		return now + 1 + (r >> 8) % (1000 * WEIR_HOUR);
	case 4:
		return r & 8 ? WEIR_FOREVER : WEIR_FOREVER - 1 - (r >> 8) % 1000;
	default:
		return now + 1 + (r >> 8) % (10 * WEIR_S);
	}
}

static void start(struct timed *t)
{
	t->due = some_due(weir_now(loop));
	t->start = starts++;
	t->runs = true;
	weir_timer_start_(loop, &t->timer, t->due, never);
}

static void stop(struct timed *t)
{
	weir_timer_stop_(loop, &t->timer);
	t->runs = false;
}

static int by_time(const void *a, const void *b)
{
	const struct timed *s = *(struct timed *const *)a, *t = *(struct timed *const *)b;

	if (s->due != t->due)
		return s->due < t->due ? -1 : 1;
	return s->start < t->start ? -1 : 1;
}

/* Those that are due, in their order; *next is the time of the first that is not. */
static size_t model_expire(uint64_t now, uint64_t *next)
{
	size_t i, n = 0;

	*next = WEIR_FOREVER;
	for (i = 0; i < TIMERS; i++) {
		if (!timed[i].runs)
			continue;
		if (timed[i].due <= now)
			expected[n++] = &timed[i];
		else if (timed[i].due < *next)
			*next = timed[i].due;
	}
	qsort(expected, n, sizeof *expected, by_time);
	return n;
}

static void ck_expire(uint64_t now, bool stopped)
{
	struct weir_timer *t;
	uint64_t next, says;
	size_t n = model_expire(now, &next), i;

	for (i = 0; (t = weir_wheel_expire_(&loop->wheel, now)); i++) {
		if (i >= n || t != &expected[i]->timer)
			ck_abort_msg("timer %zu of %zu at %llu is another", i, n,
				     (unsigned long long)now);
		expected[i]->runs = false;
	}
	ck_assert_uint_eq(i, n);
	says = weir_wheel_next_(&loop->wheel);
	ck_assert_uint_le(says, next);
	ck_assert_uint_gt(says, now);
	if (!stopped)
		ck_assert_uint_eq(says, next);
}

static uint64_t some_jump(void)
{
	static const uint64_t most[] = {
		3, 100, WEIR_US, WEIR_MS, WEIR_S, 10 * WEIR_S, WEIR_HOUR, 100 * WEIR_HOUR,
	};
	uint64_t r = weir_random(loop);

	return (r >> 8) % most[r % (sizeof most / sizeof *most)];
}

START_TEST(timers_expire_in_the_order_of_due_and_start_and_at_no_other)
{
	unsigned round, i, k;

	begin();
	for (i = 0; i < TIMERS; i++)
		start(&timed[i]);
	ck_expire(weir_now(loop), false);
	for (round = 0; round < test_some(200); round++) {
		weir_advance(loop, some_jump());
		ck_expire(weir_now(loop), round > 0);
		for (k = 0; k < 2000; k++) {
			i = (unsigned)(weir_random(loop) % TIMERS);
			if (timed[i].runs)
				stop(&timed[i]);
			if (k & 1)
				start(&timed[i]);
		}
	}
	for (i = 0; i < TIMERS; i++)
		if (timed[i].runs)
			stop(&timed[i]);
	ck_assert_uint_eq(stats().timers, 0);
	ck_assert_uint_eq(weir_wheel_next_(&loop->wheel), WEIR_FOREVER);
	test_loop_free(loop);
}
END_TEST

START_TEST(the_next_time_is_exact_if_nothing_was_stopped)
{
	unsigned i, round;

	begin();
	for (round = 0; round < 50; round++) {
		for (i = 0; i < TIMERS; i += 100)
			if (!timed[i].runs)
				start(&timed[i]);
		ck_expire(weir_now(loop), false);
		weir_advance(loop, some_jump());
	}
	for (i = 0; i < TIMERS; i++)
		if (timed[i].runs)
			stop(&timed[i]);
	test_loop_free(loop);
}
END_TEST

START_TEST(what_is_overdue_is_next_in_order_of_starting)
{
	struct timed *t = timed;
	int i;

	begin();
	weir_timer_start_(loop, &t[0].timer, weir_now(loop) + 5, never);
	weir_timer_start_(loop, &t[1].timer, weir_now(loop) - 7, never);
	weir_timer_start_(loop, &t[2].timer, 0, never);
	weir_timer_start_(loop, &t[3].timer, weir_now(loop) - 7, never);
	for (i = 1; i <= 3; i++)
		ck_assert_ptr_eq(weir_wheel_expire_(&loop->wheel, weir_now(loop)), &t[i].timer);
	ck_assert_ptr_null(weir_wheel_expire_(&loop->wheel, weir_now(loop)));
	weir_timer_stop_(loop, &t[0].timer);
	test_loop_free(loop);
}
END_TEST

/* ---- sleeping ---- */

struct sleeper { struct weir_frame co; uint64_t ns, until; int rc; };

static uint64_t order[8];
static int ended;

static WEIR_CO(sleeper, self, op)
{
	if (self->until)
		WEIR_AWAIT(self->rc, weir_sleep_until(op, self->until));
	else
		WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	if (ended < 8)
		order[ended] = self->ns;
	ended++;
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(hours_pass_in_order_and_at_once_on_a_virtual_clock)
{
	uint64_t began, real = kit_now();

	begin();
	began = weir_now(loop);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), sleeper, .ns = 2 * WEIR_HOUR), 0);
	ck_assert_int_eq(weir_run(loop, sleeper, .ns = WEIR_HOUR), 0);
	ck_assert_uint_eq(weir_now(loop) - began, 2 * WEIR_HOUR);
	ck_assert_uint_eq(order[0], WEIR_HOUR);
	ck_assert_uint_eq(order[1], 2 * WEIR_HOUR);
	ck_assert_uint_lt(kit_now() - real, WEIR_S);	/* generous: machines stall */
	test_loop_free(loop);
}
END_TEST

START_TEST(sleeps_that_end_together_end_in_the_order_in_which_they_began)
{
	struct weir_group *g;
	uint64_t i;

	begin();
	g = weir_loop_group(loop);
	ck_assert_int_eq(weir_go(g, sleeper, .ns = 7, .until = weir_now(loop) + WEIR_S), 0);
	for (i = 0; i < 7; i++)
		ck_assert_int_eq(weir_go(g, sleeper, .ns = i, .until = weir_now(loop) + WEIR_S), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_uint_eq(order[0], 7);
	for (i = 0; i < 7; i++)
		ck_assert_uint_eq(order[i + 1], i);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_sleep_of_nothing_or_into_the_past_does_not_wait)
{
	begin();
	ck_assert_int_eq(weir_run(loop, sleeper, .ns = 0), 0);
	ck_assert_int_eq(weir_run(loop, sleeper, .until = 1), 0);
	ck_assert_int_eq(weir_run(loop, sleeper, .until = weir_now(loop)), 0);
	ck_assert_uint_eq(stats().resumes, 3);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_sleep_without_end_waits_for_its_ctx)
{
	begin();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), sleeper, .until = WEIR_FOREVER), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), sleeper, .ns = WEIR_FOREVER), 0);
	ck_assert_int_eq(weir_loop_run(loop), -EDEADLK);
	weir_group_cancel(weir_loop_group(loop), 0);
	ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
	ck_assert_uint_eq(stats().timers, 0);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_million_tasks_sleep)
{
	unsigned i, n = test_some(1000000);

	begin();
	for (i = 0; i < n; i++)
		if (weir_go(weir_loop_group(loop), sleeper, .ns = WEIR_S + i % 1000 * WEIR_MS))
			ck_abort_msg("out of memory");
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(ended, (int)n);
	ck_assert_uint_eq(stats().timers, 0);
	test_loop_free(loop);
}
END_TEST

struct reader { struct weir_frame co; int fd, rc; uint64_t count, *at; };

static WEIR_CO(reader, self, op)
{
	WEIR_AWAIT(self->rc, kit_read(op, self->fd, &self->count));
	if (self->at)
		*self->at = weir_now(loop);
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

static pid_t loop_thread;

static void *write_when_asleep(void *fd)
{
	kit_until_asleep(loop_thread);
	eventfd_write(*(int *)fd, 1);
	return NULL;
}

START_TEST(a_virtual_clock_stands_still_while_a_kernel_op_is_in_flight)
{
	int fd = kit_eventfd();
	uint64_t began, at = 0;
	pthread_t thread;

	begin();
	began = weir_now(loop);
	loop_thread = kit_tid();
	ck_assert_int_eq(weir_go(weir_loop_group(loop), sleeper, .ns = WEIR_HOUR), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), reader, .fd = fd, .at = &at), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, write_when_asleep, &fd), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(at, began);
	ck_assert_uint_eq(weir_now(loop), began + WEIR_HOUR);
	test_loop_free(loop);
	close(fd);
}
END_TEST

/* ---- the timerfd ---- */

START_TEST(a_sleep_on_the_real_clock_costs_one_wakeup_and_one_setting_of_the_timer)
{
	struct weir_loop_stats s;
	uint64_t began = kit_now();

	begin_real(0);
	ck_assert_int_eq(weir_run(loop, sleeper, .ns = WEIR_MS), 0);
	ck_assert_uint_ge(kit_now() - began, WEIR_MS);
	s = stats();
	ck_assert_uint_eq(s.timer_sets, 1);
	ck_assert_uint_eq(s.wakeups, 1);
	test_loop_free(loop);
}
END_TEST

START_TEST(what_is_due_sooner_than_a_sleep_is_worth_is_waited_for_awake)
{
	uint64_t began = kit_now();

	begin_real(0);
	ck_assert_int_eq(weir_run(loop, sleeper, .ns = 5 * WEIR_US), 0);
	ck_assert_uint_ge(kit_now() - began, 5 * WEIR_US);
	ck_assert_uint_eq(stats().timer_sets, 0);
	ck_assert_uint_eq(stats().wakeups, 0);
	test_loop_free(loop);
}
END_TEST

struct hears { struct weir_frame co; bool often; };

static WEIR_CO(hears, self, op)
{
	int rc;

	if (self->often)		/* as if messages came as fast as can be */
		loop->gap = 0;
	loop->heard = loop->now;
	WEIR_AWAIT(rc, weir_sleep(op, WEIR_MS));
	WEIR_RETURN(rc);
}
WEIR_END

/* Of turns there is the one in which the task begins to sleep, and the one that sleeps. */
START_TEST(a_loop_stays_up_for_messages_that_come_in_quick_succession)
{
	begin_real(0);
	loop->gap = WEIR_S;
	ck_assert_int_eq(weir_run(loop, hears), 0);
	ck_assert_uint_le(stats().turns, 3);	/* and perhaps one for nothing */
	test_loop_free(loop);
	begin_real(0);
	ck_assert_int_eq(weir_run(loop, hears, .often = true), 0);
	ck_assert(stats().turns > 2 || stats().wakeups == 0);	/* none: it was late at once */
	test_loop_free(loop);
}
END_TEST

struct listens { struct weir_frame co; struct weir_port *port; struct weir_msg msg; int rc; };

static void heard(struct weir_msg *msg)
{
	(void)msg;
}

/* As if the loop listened when the message comes. */
static WEIR_CO(listens, self, op)
{
	ck_assert_int_eq(weir_port_new(&self->port, loop), 0);
	self->msg.fn = heard;
	ck_assert_int_eq(weir_post(self->port, &self->msg), 0);
	loop->listening = true;
	WEIR_AWAIT(self->rc, weir_sleep(op, 1));	/* the next turn's */
	ck_assert(!loop->listening);
	weir_port_close(self->port);
	weir_port_unref(self->port);
}
WEIR_END

/* 8 times it listens, and sleeps 1, 3, 7... 127 times between: after 255 sleeps at the soonest it
 * is as deaf as it gets.  A sleep that began late does not count. */
START_TEST(a_loop_that_stays_up_in_vain_does_so_less_and_less_often)
{
	int sleeps;

	begin_real(0);
	for (sleeps = 0; loop->vain < 255; sleeps++)
		ck_assert_int_eq(weir_run(loop, hears, .often = true), 0);
	ck_assert_int_ge(sleeps, 255);
	ck_assert_uint_eq(loop->deaf, 255);
	ck_assert_int_eq(weir_run(loop, listens), 0);
	ck_assert_uint_eq(loop->vain, 0);
	test_loop_free(loop);
}
END_TEST

#define CTXS	1000

START_TEST(the_timer_is_set_for_the_earliest_time_only)
{
	static struct weir_ctx ctx[CTXS];
	struct weir_ctx early;
	int i;

	begin_real(0);
	ck_assert_int_ge(weir_loop_fd(loop), 0);
	for (i = 0; i < CTXS; i++)
		weir_ctx_init_timeout(&ctx[i], root, WEIR_HOUR + (uint64_t)i * WEIR_MIN);
	ck_assert_int_eq(weir_loop_dispatch(loop), 0);
	ck_assert_uint_eq(stats().timer_sets, 1);
	weir_ctx_init_timeout(&early, root, WEIR_MIN);
	weir_loop_dispatch(loop);
	ck_assert_uint_eq(stats().timer_sets, 2);
	for (i = 1; i < CTXS; i++)
		weir_ctx_fini(&ctx[i]);
	weir_loop_dispatch(loop);
	ck_assert_uint_eq(stats().timer_sets, 2);
	weir_ctx_fini(&early);
	weir_ctx_fini(&ctx[0]);
	test_loop_free(loop);
}
END_TEST

struct dozer { struct weir_frame co; uint64_t until; unsigned *ended; };

static WEIR_CO(dozer, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_sleep_until(op, self->until));
	ck_assert_uint_ge(weir_now(weir_op_loop(op)), self->until);
	++*self->ended;
	WEIR_RETURN(rc);
}
WEIR_END

/* n tasks sleep until n different times, so far apart, the first due in a moment.  How often the
 * loop woke up. */
static uint64_t doze(unsigned n, uint64_t apart)
{
	uint64_t first = weir_now(loop) + 10 * WEIR_MS;
	unsigned i, all_ended = 0;

	for (i = 0; i < n; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), dozer, .until = first + i * apart,
					 .ended = &all_ended), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_uint_eq(all_ended, n);
	return stats().wakeups;
}

/* No machine, slow or fast, can wake more often: in the time of a crowd once in a slack at most. */
START_TEST(a_crowd_of_timers_wakes_the_loop_now_and_then_and_not_one_by_one)
{
	const uint64_t more = 500, apart = 20 * WEIR_US;

	begin_real(0);
	ck_assert_uint_le(doze(WEIR_TIMER_CROWD + (unsigned)more, apart),
			  WEIR_TIMER_CROWD + more * apart / WEIR_TIMER_SLACK + 1);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_crowd_of_timers_is_exact_on_a_virtual_clock)
{
	uint64_t began;

	begin();
	began = weir_now(loop);
	doze(2 * WEIR_TIMER_CROWD, WEIR_US);
	ck_assert_uint_eq(weir_now(loop) - began,
			  10 * WEIR_MS + (2 * WEIR_TIMER_CROWD - 1) * WEIR_US);
	test_loop_free(loop);
}
END_TEST

START_TEST(an_idle_loop_makes_no_wakeups)
{
	struct weir_loop_stats before, after;
	struct weir_ctx ctx;
	int i, fd;

	begin_real(0);
	fd = weir_loop_fd(loop);
	weir_ctx_init_timeout(&ctx, root, WEIR_HOUR);
	for (i = 0; kit_readable(fd); i++)
		weir_loop_dispatch(loop);
	ck_assert_int_le(i, 3);
	before = stats();
	for (i = 0; i < 1000; i++)
		ck_assert(!kit_readable(fd));
	after = stats();
	ck_assert_mem_eq(&before, &after, sizeof before);
	weir_ctx_fini(&ctx);
	test_loop_free(loop);
}
END_TEST

struct patient { struct weir_frame co; int n, rc; };

static WEIR_CO(patient, self, op)
{
	while (self->n--)
		WEIR_TRY(self->rc, out, weir_sleep(op, 100 * WEIR_US));
out:
	weir_group_cancel(weir_loop_group(loop), 0);
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(timers_go_on_when_there_is_no_room_for_kernel_ops)
{
	int i, fd = kit_eventfd();

	begin_real(16);
	for (i = 0; i < 100; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), reader, .fd = fd), 0);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), patient, .n = 10), 0);
	ck_assert_int_eq(weir_loop_run(loop), -ECANCELED);
	test_loop_free(loop);
	close(fd);
}
END_TEST

#define READS	10000

struct limited { struct weir_frame co; struct weir_ctx ctx; int fd, rc; uint64_t count; };

static WEIR_CO(limited, self, op)
{
	weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), WEIR_MS);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(self->rc, kit_read(op, self->fd, &self->count));
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
	ended += self->rc == -ETIMEDOUT;
}
WEIR_END

START_TEST(ten_thousand_reads_time_out_together)
{
	const struct weir_loop_conf conf = { .seed = 1, .ops = 256, .entries = 64 };
	int i, fd = kit_eventfd(), n = (int)test_some(READS);

	loop = test_loop_conf(&conf);
	for (i = 0; i < n; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), limited, .fd = fd), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(ended, n);
	ck_assert_uint_eq(stats().cq_overflows, 0);
	test_loop_free(loop);
	close(fd);
}
END_TEST

TESTS("timers",
      timers_expire_in_the_order_of_due_and_start_and_at_no_other,
      the_next_time_is_exact_if_nothing_was_stopped,
      what_is_overdue_is_next_in_order_of_starting,
      hours_pass_in_order_and_at_once_on_a_virtual_clock,
      sleeps_that_end_together_end_in_the_order_in_which_they_began,
      a_sleep_of_nothing_or_into_the_past_does_not_wait,
      a_sleep_without_end_waits_for_its_ctx,
      a_million_tasks_sleep,
      a_virtual_clock_stands_still_while_a_kernel_op_is_in_flight,
      a_sleep_on_the_real_clock_costs_one_wakeup_and_one_setting_of_the_timer,
      what_is_due_sooner_than_a_sleep_is_worth_is_waited_for_awake,
      a_loop_stays_up_for_messages_that_come_in_quick_succession,
      a_loop_that_stays_up_in_vain_does_so_less_and_less_often,
      the_timer_is_set_for_the_earliest_time_only,
      a_crowd_of_timers_wakes_the_loop_now_and_then_and_not_one_by_one,
      a_crowd_of_timers_is_exact_on_a_virtual_clock,
      an_idle_loop_makes_no_wakeups,
      timers_go_on_when_there_is_no_room_for_kernel_ops,
      ten_thousand_reads_time_out_together)
