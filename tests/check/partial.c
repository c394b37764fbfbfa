/* SPDX-License-Identifier: MIT */
/*
 * partial.c - tasks that can never go on while others do: found, named, and never imagined.
 */
#include <stdio.h>
#include <string.h>

#include "core/loop.h"
#include "harness.h"
#include "weir.h"

WEIR_CHAN(ints, int);

static struct weir_loop *loop;
static struct weir_group group;		/* of those who get stuck, ended by end() */
static struct weir_sem sem;
static struct ints ch;

static void begin(void)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .virtual_clock = true, .check = true });
	weir_group_init(&group, weir_loop_ctx(loop),
			&(struct weir_group_conf){ .keep_going = true });
}

static void begin_with(uint64_t permits, size_t cap)
{
	begin();
	ck_assert_int_eq(weir_sem_init(&sem, loop, permits), 0);
	ck_assert_int_eq(weir_chan_init(&ch, loop, cap), 0);
}

struct wait_all { struct weir_frame co; };

static WEIR_CO(wait_all, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_group_wait(op, &group));
	WEIR_RETURN(rc == -ECANCELED ? 0 : rc);
}
WEIR_END

/* Cancels the group; then nothing may be left. */
static void end(void)
{
	weir_group_cancel(&group, 0);
	ck_assert_int_eq(weir_run(loop, wait_all), 0);
	if (ch.chan.loop == loop)
		weir_chan_fini(&ch);
	if (sem.loop == loop)
		weir_sem_fini(&sem);
	test_loop_free(loop);
}

static void ck_said(const char *text)
{
	ck_assert_msg(strstr(test_report(), text), "no \"%s\" in:\n%s", text, test_report());
}

static void ck_said_nothing(void)
{
	ck_assert_str_eq(test_report(), "");
}

static unsigned said_times(const char *text)
{
	const char *p = test_report();
	unsigned n = 0;

	while ((p = strstr(p, text))) {
		n++;
		p++;
	}
	return n;
}

/* ---- who runs on meanwhile ---- */

struct naps { struct weir_frame co; unsigned times; int rc; };

static WEIR_CO(naps, self, op)
{
	for (self->rc = 0; self->times && self->rc == 0; self->times--)
		WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_S));
	WEIR_RETURN(self->rc);
}
WEIR_END

/* Lets the loop run while someone else has something to do. */
static void run_a_while(void)
{
	ck_assert_int_eq(weir_run(loop, naps, .times = 3), 0);
}

/* ---- circles ---- */

struct sends_holding { struct weir_frame co; int item, rc; };

/* Keeps a permit while it sends. */
static WEIR_CO(sends_holding, self, op)
{
	WEIR_TRY(self->rc, out, weir_sem_acquire(op, &sem, 1));
	do
		WEIR_AWAIT(self->rc, weir_chan_send(op, &ch, &self->item));
	while (self->rc == 1);
	weir_sem_release(&sem, 1);
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

struct takes_permits { struct weir_frame co; int item, rc; };

/* Needs a permit for what it receives. */
static WEIR_CO(takes_permits, self, op)
{
	for (;;) {
		WEIR_TRY(self->rc, out, weir_chan_recv(op, &ch, &self->item));
		WEIR_TRY(self->rc, out, weir_sem_acquire(op, &sem, 1));
		self->rc = weir_sem_release(&sem, 1);
	}
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_circle_of_a_semaphore_and_a_channel_is_told_with_holder_and_receiver)
{
	begin_with(1, 1);
	ck_assert_int_eq(weir_go(&group, sends_holding), 0);
	ck_assert_int_eq(weir_go(&group, takes_permits), 0);
	run_a_while();
	ck_said("weir: partial deadlock: 2 of 3 tasks can never go on\n");
	ck_said("waits for task 3, which receives from chan &ch made at partial.c:");
	ck_said("waits for task 2, which holds sem &sem made at partial.c:");
	ck_said(" waits for: chan send\n     chan &ch made at partial.c:");
	ck_said(": 1 of 1 items, 1 sender waits\n       task 3 receives from it\n"
		"     holds 1 of sem &sem made at partial.c:");
	ck_said(" waits for: sem acquire\n     1 of sem &sem made at partial.c:");
	ck_said(": 0 of 1 permits are free, 1 task waits\n       task 2 holds it\n");
	ck_said("  #0 sends_holding partial.c:");
	ck_said("  #0 takes_permits partial.c:");
	end();
}
END_TEST

START_TEST(each_set_of_stuck_tasks_is_told_once)
{
	begin_with(1, 1);
	ck_assert_int_eq(weir_go(&group, sends_holding), 0);
	ck_assert_int_eq(weir_go(&group, takes_permits), 0);
	run_a_while();
	run_a_while();
	ck_assert_uint_eq(said_times("weir: partial deadlock"), 1);
	ck_assert_int_eq(weir_deadlocks(loop), 2);	/* who asks is told again */
	ck_assert_uint_eq(said_times("weir: partial deadlock"), 2);
	end();
}
END_TEST

START_TEST(a_circle_is_no_deadlock_where_the_host_uses_the_channel_too)
{
	begin_with(1, 1);
	ck_assert_int_eq(weir_go(&group, sends_holding), 0);
	ck_assert_int_eq(weir_go(&group, takes_permits), 0);
	ck_assert_int_eq(weir_chan_try_send(&ch, &(int){ 0 }), 1);
	ck_assert_int_eq(weir_loop_dispatch(loop), 0);
	weir_loop_dispatch(loop);
	ck_assert_int_eq(weir_deadlocks(loop), 0);	/* the host, which has used it, may again */
	end();
}
END_TEST

struct locks { struct weir_frame co; struct weir_sem *first, *second; int rc; };

/* As two locks are taken. */
static WEIR_CO(locks, self, op)
{
	WEIR_TRY(self->rc, out, weir_sem_acquire(op, self->first, 1));
	WEIR_TRY(self->rc, release, weir_yield(op));
	WEIR_TRY(self->rc, release, weir_sem_acquire(op, self->second, 1));
	self->rc = weir_sem_release(self->second, 1);
release:
	weir_sem_release(self->first, 1);
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(two_locks_taken_in_two_orders_are_told)
{
	struct weir_sem other;

	begin_with(1, 0);
	ck_assert_int_eq(weir_sem_init(&other, loop, 1), 0);
	ck_assert_int_eq(weir_go(&group, locks, .first = &sem, .second = &other), 0);
	ck_assert_int_eq(weir_go(&group, locks, .first = &other, .second = &sem), 0);
	run_a_while();
	ck_said("weir: partial deadlock: 2 of 3 tasks can never go on\n");
	ck_said("  task 2 waits for task 3, which holds sem &other made at partial.c:");
	ck_said("  task 3 waits for task 2, which holds sem &sem made at partial.c:");
	weir_group_cancel(&group, 0);
	ck_assert_int_eq(weir_run(loop, naps, .times = 1), 0);
	weir_sem_fini(&other);
	end();
}
END_TEST

struct greedy { struct weir_frame co; unsigned tries; int rc; };

/* Gives its permit back each time but the last, then wants another one. */
static WEIR_CO(greedy, self, op)
{
	for (; self->tries; self->tries--) {
		WEIR_TRY(self->rc, out, weir_sem_acquire(op, &sem, 1));
		if (self->tries > 1)
			self->rc = weir_sem_release(&sem, 1);
	}
	WEIR_TRY(self->rc, release, weir_sem_acquire(op, &sem, 1));
	self->rc = weir_sem_release(&sem, 1);
release:
	self->rc = weir_sem_release(&sem, 1) ? -EIO : self->rc;
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(who_waits_for_the_permit_it_holds_is_told_if_permits_are_used_that_way)
{
	begin_with(1, 0);
	ck_assert_int_eq(weir_go(&group, greedy, .tries = 2), 0);
	run_a_while();
	ck_said("weir: partial deadlock: 1 of 2 tasks can never go on\n");
	ck_said("  task 2 waits for task 2, which holds sem &sem made at partial.c:");
	end();
}
END_TEST

/* ---- those who pass permits on ---- */

struct served { struct weir_frame co; int rc; };

/* Gives back the permit that whoever spawned it took. */
static WEIR_CO(served, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_S));
	weir_sem_release(&sem, 1);
	WEIR_RETURN(self->rc);
}
WEIR_END

struct accepts { struct weir_frame co; unsigned n; int rc; };

static WEIR_CO(accepts, self, op)
{
	for (; self->n; self->n--) {
		WEIR_TRY(self->rc, out, weir_sem_acquire(op, &sem, 1));
		WEIR_TRY(self->rc, out, weir_go(&group, served) ? NULL : weir_yield(op));
	}
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_permit_that_a_child_gives_back_is_no_deadlock)
{
	begin_with(2, 0);
	ck_assert_int_eq(weir_go(&group, accepts, .n = 9), 0);
	ck_assert_int_eq(weir_run(loop, naps, .times = 9), 0);
	ck_said_nothing();
	end();
}
END_TEST

struct releases { struct weir_frame co; int item, rc; };

static WEIR_CO(releases, self, op)
{
	do {
		WEIR_AWAIT(self->rc, weir_chan_recv(op, &ch, &self->item));
		if (self->rc == 1)
			WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_S));
		weir_sem_release(&sem, 1);
	} while (self->rc == 0);
	WEIR_RETURN(self->rc);
}
WEIR_END

struct bounds { struct weir_frame co; unsigned n; int item, rc; };

/* At most so many items are under way; who is done with one gives the permit back. */
static WEIR_CO(bounds, self, op)
{
	for (; self->n; self->n--) {
		WEIR_TRY(self->rc, out, weir_sem_acquire(op, &sem, 1));
		WEIR_TRY(self->rc, out, weir_chan_send(op, &ch, &self->item));
	}
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_permit_that_travels_with_an_item_is_no_deadlock)
{
	begin_with(2, 8);
	ck_assert_int_eq(weir_go(&group, bounds, .n = 9), 0);
	ck_assert_int_eq(weir_go(&group, releases), 0);
	ck_assert_int_eq(weir_run(loop, naps, .times = 12), 0);
	ck_said_nothing();
	end();
}
END_TEST

/* ---- nobody is left ---- */

struct writes { struct weir_frame co; struct ints *to; unsigned n; bool closes; int item, rc; };

static WEIR_CO(writes, self, op)
{
	for (; self->n; self->n--)
		WEIR_TRY(self->rc, out, weir_chan_send(op, self->to, &self->item));
	if (self->closes)
		weir_chan_close(self->to);
	self->rc = 0;
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

struct reads { struct weir_frame co; struct ints *from; int item, rc; };

static WEIR_CO(reads, self, op)
{
	do
		WEIR_AWAIT(self->rc, weir_chan_recv(op, self->from, &self->item));
	while (self->rc == 1);
	WEIR_RETURN(self->rc);
}
WEIR_END

struct copies {
	struct weir_frame co;
	struct weir_group group;
	struct ints ch;
	bool closes, naps;
	int rc;
};

/* A reader and a writer, joined by a channel in this frame. */
static WEIR_CO(copies, self, op)
{
	WEIR_TRY(self->rc, out, weir_chan_init(&self->ch, weir_op_loop(op), 1) ? NULL :
		 weir_yield(op));
	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	self->rc = weir_go(&self->group, writes, .to = &self->ch, .n = 3, .closes = self->closes);
	self->rc = weir_go(&self->group, reads, .from = &self->ch);
	if (self->naps)
		self->rc = weir_go(&self->group, naps, .times = 2);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->group));
	weir_chan_fini(&self->ch);
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(a_reader_whose_writer_went_without_a_close_is_told)
{
	begin();
	ck_assert_int_eq(weir_go(&group, copies), 0);
	run_a_while();
	ck_said("weir: partial deadlock: 2 of 3 tasks can never go on\n");
	ck_said(" waits for: chan recv\n     chan &self->ch made at partial.c:");
	ck_said("       who sent to it has ended, spawned by copies partial.c:");
	ck_said("  weir_go(writes)\n");
	ck_said(" waits for: group wait\n     the group made at partial.c:");
	end();
}
END_TEST

START_TEST(a_reader_whose_writer_closes_is_not_told)
{
	begin();
	ck_assert_int_eq(weir_go(&group, copies, .closes = true), 0);
	run_a_while();
	ck_said_nothing();
	end();
}
END_TEST

START_TEST(nothing_is_told_while_someone_spawned_there_is_alive)
{
	begin();
	ck_assert_int_eq(weir_go(&group, copies, .naps = true), 0);
	ck_assert_int_eq(weir_run(loop, naps, .times = 1), 0);
	ck_said_nothing();
	run_a_while();
	ck_said("weir: partial deadlock: 2 of 3 tasks can never go on\n");
	end();
}
END_TEST

struct listens { struct weir_frame co; struct ints inbox; int item, rc; };

static struct ints *known_inbox;	/* as a table of subscribers has it */

static WEIR_CO(listens, self, op)
{
	WEIR_TRY(self->rc, out, weir_chan_init(&self->inbox, weir_op_loop(op), 1) ? NULL :
		 weir_yield(op));
	known_inbox = &self->inbox;
	do
		WEIR_AWAIT(self->rc, weir_chan_recv(op, &self->inbox, &self->item));
	while (self->rc == 1);
	known_inbox = NULL;
	weir_chan_fini(&self->inbox);
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

struct publishes { struct weir_frame co; unsigned after; int item, rc; };

static WEIR_CO(publishes, self, op)
{
	WEIR_TRY(self->rc, out, weir_sleep(op, self->after * WEIR_S));
	WEIR_TRY(self->rc, out, weir_chan_send(op, known_inbox, &self->item));
	self->rc = 0;
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(an_inbox_that_others_find_in_a_table_is_never_told_of)
{
	begin();
	ck_assert_int_eq(weir_go(&group, listens), 0);
	ck_assert_int_eq(weir_go(&group, publishes, .after = 2), 0);
	ck_assert_int_eq(weir_run(loop, naps, .times = 9), 0);	/* publishes has come and gone */
	ck_said_nothing();
	end();
}
END_TEST

START_TEST(readers_of_a_channel_that_is_nobodys_frame_may_wait_for_ever)
{
	begin_with(1, 1);
	ck_assert_int_eq(weir_go(&group, writes, .to = &ch, .n = 3), 0);
	ck_assert_int_eq(weir_go(&group, reads, .from = &ch), 0);
	run_a_while();		/* someone yet to be spawned may write */
	ck_said_nothing();
	end();
}
END_TEST

struct patient { struct weir_frame co; struct weir_ctx ctx; int item, rc; };

static WEIR_CO(patient, self, op)
{
	weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), WEIR_HOUR);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(self->rc, weir_sem_acquire(op, &sem, 1));
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
	WEIR_RETURN(self->rc == -ETIMEDOUT ? 0 : self->rc);
}
WEIR_END

START_TEST(a_deadline_ends_a_wait)
{
	begin_with(1, 1);
	ck_assert_int_eq(weir_go(&group, sends_holding), 0);
	ck_assert_int_eq(weir_go(&group, patient), 0);
	run_a_while();
	ck_said_nothing();
	end();
}
END_TEST

/* ---- groups and joins ---- */

struct joins { struct weir_frame co; struct weir_task **whom; int rc; };

static WEIR_CO(joins, self, op)
{
	WEIR_TRY(self->rc, out, weir_yield(op));
	WEIR_AWAIT(self->rc, weir_join(op, *self->whom));
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

START_TEST(tasks_that_join_each_other_are_told)
{
	struct weir_task *a, *b;

	begin();
	ck_assert_int_eq(weir_go_join(&a, &group, joins, .whom = &b), 0);
	ck_assert_int_eq(weir_go_join(&b, &group, joins, .whom = &a), 0);
	run_a_while();
	ck_said("weir: partial deadlock: 2 of 3 tasks can never go on\n");
	ck_said("  task 2 waits for task 3, which is the task that tasks_that_join_each_other_");
	ck_said(" waits for: join\n     the task that tasks_that_join_each_other_are_told_fn ");
	end();
}
END_TEST

static struct weir_group narrow;	/* one task at a time */

struct needs_a_place { struct weir_frame co; int rc; };

static WEIR_CO(needs_a_place, self, op)
{
	WEIR_TRY(self->rc, out, weir_group_slot(op, &narrow));
	weir_group_unhold(&narrow);
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

static void begin_narrow(void)
{
	begin_with(0, 0);
	weir_group_init(&narrow, &group.ctx, NULL);
	weir_group_limit(&narrow, 1);
}

struct wait_narrow { struct weir_frame co; };

static WEIR_CO(wait_narrow, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_group_wait(op, &narrow));
	WEIR_RETURN(rc == -ECANCELED ? 0 : rc);
}
WEIR_END

static void end_narrow(void)
{
	weir_group_cancel(&group, 0);
	ck_assert_int_eq(weir_run(loop, wait_narrow), 0);
	weir_group_fini(&narrow);
	end();
}

START_TEST(who_waits_for_a_place_that_a_stuck_task_has_is_told)
{
	begin_narrow();
	ck_assert_int_eq(weir_go(&narrow, needs_a_place), 0);	/* waits for its own place */
	ck_assert_int_eq(weir_go(&group, needs_a_place), 0);
	run_a_while();
	ck_said("weir: partial deadlock: 2 of 3 tasks can never go on\n");
	ck_said("  task 3 waits for task 3, which is in the group made at partial.c:");
	ck_said(" waits for: group slot\n     the group made at partial.c:");
	ck_said(": 1 task left, limit 1\n       task 3 is in it\n");
	end_narrow();
}
END_TEST

START_TEST(a_place_that_someone_alive_has_is_worth_waiting_for)
{
	begin_narrow();
	ck_assert_int_eq(weir_go(&narrow, naps, .times = 10), 0);
	ck_assert_int_eq(weir_go(&group, needs_a_place), 0);
	run_a_while();
	ck_said_nothing();
	end_narrow();
}
END_TEST

/* ---- the call ---- */

START_TEST(without_check_the_call_says_that_it_cannot_tell)
{
	loop = test_loop_plain();
	ck_assert_int_eq(weir_deadlocks(loop), -ENOTSUP);
	test_loop_free(loop);
}
END_TEST

START_TEST(a_note_for_which_there_is_no_memory_changes_nothing_but_the_report)
{
	unsigned n, blind = 0;
	bool failed = true;
	int rc[2];

	for (n = 1; failed; n++) {
		begin_with(1, 1);
		test_fail_alloc(n);
		rc[0] = weir_go(&group, locks, .first = &sem, .second = &sem);
		rc[1] = weir_run(loop, naps, .times = 1);
		failed = test_fail_alloc(0);
		ck_assert(rc[0] == 0 || rc[0] == -ENOMEM);
		ck_assert(rc[1] == 0 || rc[1] == -ENOMEM);
		blind += weir_deadlocks(loop) == -ENOMEM;	/* rather than half the truth */
		end();
	}
	ck_assert_uint_gt(blind, 1);
}
END_TEST

START_TEST(a_thousand_who_wait_in_line_are_searched_in_no_time)
{
	unsigned i, n = test_some(20000);

	begin_with(1, 1);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 1), 0);
	for (i = 0; i < n; i++) {
		ck_assert_int_eq(weir_go(&group, patient), 0);
		ck_assert_int_eq(weir_go(&group, reads, .from = &ch), 0);
	}
	ck_assert_int_eq(weir_loop_dispatch(loop), 0);
	ck_assert_int_eq(weir_sem_release(&sem, 1), 0);
	ck_assert_int_eq(weir_deadlocks(loop), 0);
	end();
}
END_TEST

TESTS("partial",
      a_circle_of_a_semaphore_and_a_channel_is_told_with_holder_and_receiver,
      each_set_of_stuck_tasks_is_told_once,
      a_circle_is_no_deadlock_where_the_host_uses_the_channel_too,
      two_locks_taken_in_two_orders_are_told,
      who_waits_for_the_permit_it_holds_is_told_if_permits_are_used_that_way,
      a_permit_that_a_child_gives_back_is_no_deadlock,
      a_permit_that_travels_with_an_item_is_no_deadlock,
      a_reader_whose_writer_went_without_a_close_is_told,
      a_reader_whose_writer_closes_is_not_told,
      nothing_is_told_while_someone_spawned_there_is_alive,
      an_inbox_that_others_find_in_a_table_is_never_told_of,
      readers_of_a_channel_that_is_nobodys_frame_may_wait_for_ever,
      a_deadline_ends_a_wait,
      tasks_that_join_each_other_are_told,
      who_waits_for_a_place_that_a_stuck_task_has_is_told,
      a_place_that_someone_alive_has_is_worth_waiting_for,
      without_check_the_call_says_that_it_cannot_tell,
      a_note_for_which_there_is_no_memory_changes_nothing_but_the_report,
      a_thousand_who_wait_in_line_are_searched_in_no_time)
