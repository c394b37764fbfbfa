/* SPDX-License-Identifier: MIT */
/*
 * mailbox.c - a loop's inbox, in every order: it sleeps and is posted to, its port closes, it goes.
 */
#include <stdlib.h>

#include "explore_kit.h"

#define MESSAGES	2	/* of each sender */

struct letter {
	struct weir_msg msg;
	struct sender *from;
	unsigned number;
};

static struct sender {
	struct weir_port *port;
	struct letter letters[MESSAGES];
	unsigned posted, refused, arrived;
	pthread_t thread;
} senders[2];

static struct weir_port *port;
static unsigned expected;
static unsigned ran, refused;	/* in how many schedules, one at least */
static struct weir_loop_stats then;	/* when the message before came */
static unsigned listened, slept;	/* how many messages were waited for awake, and asleep */

struct waits { struct weir_frame co; int rc; };

/* Until it is cancelled. */
static WEIR_CO(waits, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep_until(op, WEIR_FOREVER));
	WEIR_RETURN(self->rc == -ECANCELED ? 0 : self->rc);
}
WEIR_END

struct naps { struct weir_frame co; int rc; };

/* Until the clock says so, whoever posts. */
static WEIR_CO(naps, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_MS));
	WEIR_RETURN(self->rc);
}
WEIR_END

/* Turns that bring nothing are those of a loop that listens for the next message. */
static void note_how(void)
{
	struct weir_loop_stats now;

	weir_loop_stats(loop, &now);
	if (then.turns) {
		listened += now.wakeups == then.wakeups && now.turns > then.turns + 1;
		slept += now.wakeups > then.wakeups;
	}
	then = now;
}

static void arrive(struct weir_msg *msg)
{
	struct letter *l = weir_container_of(msg, struct letter, msg);

	expect(explore_self() == 0);
	expect(l->number == l->from->arrived++);
	note_how();
	if (!--expected)
		weir_group_cancel(weir_loop_group(loop), 0);
}

/* Posts its letters, and lets go of its reference to the port. */
static void *post_all(void *arg)
{
	struct sender *s = arg;
	unsigned i;
	int rc;

	for (i = 0; i < MESSAGES; i++) {
		s->letters[i] = (struct letter){ { .fn = arrive }, s, i };
		rc = weir_post(s->port, &s->letters[i].msg);
		expect(rc == 0 || rc == -EPIPE);
		expect(rc < 0 || !s->refused);
		if (rc == 0)
			s->posted++;
		else
			s->refused++;
	}
	weir_port_unref(s->port);
	return NULL;
}

static void start(unsigned n)
{
	struct sender *s;

	loop_begin();
	then = (struct weir_loop_stats){ 0 };
	expect(weir_port_new(&port, loop) == 0);
	for (s = senders; s < senders + n; s++) {
		*s = (struct sender){ .port = port };
		weir_port_ref(port);
		thread_begin(&s->thread, post_all, s);
	}
}

static void stop(unsigned n)
{
	struct sender *s;

	for (s = senders; s < senders + n; s++) {
		thread_end(s->thread);
		expect(s->arrived == s->posted);
		expect(s->posted + s->refused == MESSAGES);
		ran += s->posted > 0;
		refused += s->refused > 0;
	}
}

static void two_senders(void)
{
	expected = 2 * MESSAGES;
	start(2);
	expect(weir_run(loop, waits) == 0);
	weir_port_close(port);
	weir_port_unref(port);
	loop_end();
	stop(2);
	expect(senders[0].posted + senders[1].posted == 2 * MESSAGES);
}

START_TEST(each_message_of_two_threads_runs_once_and_wakes_the_loop)
{
	/* By one interrupt none listens. */
	if (explore(two_senders, &(struct explore){ .interrupts = 2 }) && !test_on_valgrind() &&
	    !getenv("EXPLORE_BOUND"))
		ck_assert(listened && slept);
}
END_TEST

static void close_port(void)
{
	expected = 0;
	start(1);
	weir_port_close(port);
	weir_port_unref(port);
	loop_end();
	stop(1);
}

START_TEST(a_post_that_meets_the_end_of_port_and_loop_is_run_or_refused)
{
	if (explore(close_port, &(struct explore){ .interrupts = 4 }))
		ck_assert(ran && refused);
}
END_TEST

/* The port stays open; what is posted after the loop is gone is refused. */
static void free_loop(void)
{
	expected = 0;
	start(2);
	loop_end_leaking(1);
	weir_port_close(port);
	weir_port_unref(port);
	stop(2);
}

START_TEST(a_post_that_meets_the_end_of_the_loop_is_run_or_refused)
{
	if (explore(free_loop, &(struct explore){ .interrupts = 3 }))
		ck_assert(ran && refused);
}
END_TEST

/* Who found it asleep may be about to wake it when it has woken by itself, and ends. */
static void free_loop_that_slept(void)
{
	expected = 0;
	start(1);
	expect(weir_run(loop, naps) == 0);
	loop_end_leaking(1);
	weir_port_close(port);
	weir_port_unref(port);
	stop(1);
}

START_TEST(the_bell_of_a_loop_that_is_gone_may_be_rung)
{
	if (explore(free_loop_that_slept, &(struct explore){ .interrupts = 2, .clock = true }))
		ck_assert(ran && refused);
}
END_TEST

TESTS("explore mailbox", each_message_of_two_threads_runs_once_and_wakes_the_loop,
      a_post_that_meets_the_end_of_port_and_loop_is_run_or_refused,
      a_post_that_meets_the_end_of_the_loop_is_run_or_refused,
      the_bell_of_a_loop_that_is_gone_may_be_rung)
