/* SPDX-License-Identifier: MIT */
/*
 * races.c - accesses that nothing orders are told of, whatever the schedule, and no others.
 *
 * What tasks do is written down as a string, a letter a step; see play().  Each program is run over
 * many seeds, which shuffle all that the API leaves open, and must find as many races with each of
 * them.  There is one write and one read in the text, so three races at most.
 */
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

#define SEEDS	40
#define TASKS	4	/* of a program */

WEIR_CHAN(ints, int);

struct play {
	struct weir_frame co;
	const char *p;
	struct weir_arm arm[2];
	char byte;
	int item, rc;
};

struct program {
	const char *task[TASKS];	/* the first spawns the others */
	int races;
	unsigned cap;			/* of the channel */
	unsigned permits;
	bool shared;			/* the semaphore, with other loops */
	int limit;			/* of the group; 0: none */
};

static struct weir_shared region;
static struct ints ch, never;
static struct weir_sem sem;
static struct weir_group group;
static struct weir_ctx ctx;
static struct weir_port *port;
static struct weir_task *joinable;
static int ends[2];

static const struct program *program;

static void send_one(struct weir_msg *msg)
{
	(void)msg;
	weir_chan_try_send(&ch, &(int){ 1 });
}

static void release_one(struct weir_after *a)
{
	(void)a;
	weir_sem_release(&sem, 1);
}

static int no_work(void *arg)
{
	(void)arg;
	return 0;
}

/* w, r: write, read the region;   G, T: give to it, take;   y, z: yield, sleep;
 * s, v, S, C: send, receive, receive by a select, close;   a, t, e: acquire, try to, release;
 * m: post a message that sends;   k: a job;   p, q: write to a pipe, read from it;
 * c, x, X: cancel the ctx, wait for it, sleep under it;
 * 1, 2, 3: spawn, once there is a place;   J, j: spawn 1 and keep it, join;   g: wait for all. */
static WEIR_CO(play, self, op)
{
	static struct weir_msg msg = { .fn = send_one };

	for (; *self->p; self->p++) {
		if (*self->p == 'w')
			weir_shared_write(&region);
		if (*self->p == 'r')
			weir_shared_read(&region);
		if (*self->p == 'G')
			weir_shared_give(&region);
		if (*self->p == 'T')
			weir_shared_take(&region);
		if (*self->p == 'y')
			WEIR_AWAIT(self->rc, weir_yield(op));
		if (*self->p == 'z')
			WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_MS));
		if (*self->p == 's')
			WEIR_AWAIT(self->rc, weir_chan_send(op, &ch, &self->item));
		if (*self->p == 'v')
			WEIR_AWAIT(self->rc, weir_chan_recv(op, &ch, &self->item));
		if (*self->p == 'S') {
			weir_ready(weir_chan_recv(&self->arm[0].op, &ch, &self->item));
			weir_ready(weir_chan_recv(&self->arm[1].op, &never, &self->item));
			WEIR_AWAIT(self->rc, weir_select(op, self->arm, 2));
		}
		if (*self->p == 'C')
			weir_chan_close(&ch);
		if (*self->p == 'a')
			WEIR_AWAIT(self->rc, weir_sem_acquire(op, &sem, 1));
		while (*self->p == 't' && weir_sem_try_acquire(&sem, 1))
			WEIR_AWAIT(self->rc, weir_yield(op));
		if (*self->p == 'e')
			weir_sem_release(&sem, 1);
		if (*self->p == 'm')
			weir_post(port, &msg);
		if (*self->p == 'k')
			WEIR_AWAIT(self->rc, weir_work(op, NULL, no_work, NULL));
		if (*self->p == 'p')
			WEIR_AWAIT(self->rc, weir_write(op, ends[1], &self->byte, 1, -1));
		if (*self->p == 'q')
			WEIR_AWAIT(self->rc, weir_read(op, ends[0], &self->byte, 1, -1));
		if (*self->p == 'c')
			weir_ctx_cancel(&ctx, 0);
		if (*self->p == 'x')
			WEIR_AWAIT(self->rc, weir_ctx_wait(op, &ctx));
		if (*self->p == 'X') {
			weir_ctx_enter(op, &ctx);
			WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_HOUR));
			weir_ctx_leave(op, &ctx);
		}
		if (*self->p >= '1' && *self->p <= '3')
			WEIR_GO(self->rc, &group, play, .p = program->task[*self->p - '0']);
		if (*self->p == 'J')
			weir_go_join(&joinable, &group, play, .p = program->task[1]);
		if (*self->p == 'j')
			WEIR_AWAIT(self->rc, weir_join(op, joinable));
		if (*self->p == 'g')
			WEIR_AWAIT(self->rc, weir_group_wait(op, &group));
	}
}
WEIR_END

struct run { struct weir_frame co; struct play play; int rc; };

/* The first task; those it has spawned end before it. */
static WEIR_CO(run, self, op)
{
	WEIR_TRY(self->rc, out, weir_pipe(op, ends, 0));
	WEIR_CALL(self->rc, self->play, play, .p = program->task[0]);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &group));
	weir_port_close(port);
	WEIR_AWAIT(self->rc, weir_close(op, ends[0]));
	WEIR_AWAIT(self->rc, weir_close(op, ends[1]));
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

static int permits(struct weir_loop *loop, int *fd)
{
	if (!program->shared)
		return weir_sem_init(&sem, loop, program->permits);
	*fd = weir_sem_shared_fd(program->permits);
	return *fd < 0 ? *fd : weir_sem_init_shared(&sem, loop, *fd);
}

static int body(struct weir_loop *loop, void *arg)
{
	struct weir_after after;
	int rc, fd = -1;

	program = arg;
	weir_shared_init(&region, loop);
	rc = weir_chan_init(&ch, loop, program->cap);
	rc = rc ? rc : weir_chan_init(&never, loop, 0);
	rc = rc ? rc : permits(loop, &fd);
	rc = rc ? rc : weir_port_new(&port, loop);
	if (rc)
		return rc;
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	weir_ctx_after(&ctx, &after, release_one);
	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	if (program->limit)
		weir_group_limit(&group, program->limit);
	rc = weir_run(loop, run);
	if (rc == 0 && weir_races(loop) != program->races)
		rc = weir_races(loop) > program->races ? -EEXIST : -ENOENT;
	weir_port_unref(port);
	weir_ctx_fini(&ctx);
	weir_sem_fini(&sem);
	weir_chan_fini(&never);
	weir_chan_fini(&ch);
	weir_shared_fini(&region);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* The body counts the races; some programs close a channel twice. */
static void unheard(void *arg, const char *text)
{
	(void)arg;
	(void)text;
}

static void ck_assert_program(struct program p)
{
	ck_assert_int_eq(weir_check_run(body, .seeds = test_some(SEEDS), .loop.check = true,
					.loop.report = unheard, .arg = &p), 0);
}

#define ck_assert_races(n, ...)	ck_assert_program((struct program){ { __VA_ARGS__ }, .races = (n) })
#define ck_assert_silent(...)		ck_assert_races(0, __VA_ARGS__)

/* ---- tasks ---- */

START_TEST(two_siblings_that_write_are_reported)
{
	ck_assert_races(1, "12", "w", "w");
	ck_assert_races(1, "12", "yw", "wz");
	ck_assert_races(1, "12", "zzw", "w");		/* time is no order */
	ck_assert_races(1, "12", "kw", "kw");
}
END_TEST

START_TEST(a_write_and_a_read_race_and_two_reads_do_not)
{
	ck_assert_races(1, "12", "w", "r");
	ck_assert_silent("12", "r", "r");
	ck_assert_silent("r12r", "r", "yr");
}
END_TEST

START_TEST(an_update_across_an_await_races_in_three_ways)
{
	/* write with write, and read with write either way are two pairs of places */
	ck_assert_races(2, "12", "ryw", "ryw");
	ck_assert_silent("1", "rywyrzw");
}
END_TEST

START_TEST(what_the_parent_did_before_comes_before_its_child)
{
	ck_assert_silent("w1", "w");
	ck_assert_silent("wyrw12", "r", "r");
}
END_TEST

START_TEST(what_the_parent_does_in_the_step_that_spawns_comes_before_its_child)
{
	ck_assert_silent("1w", "w");
	ck_assert_races(1, "1yw", "w");
}
END_TEST

START_TEST(the_end_of_a_task_comes_before_the_return_of_its_join)
{
	ck_assert_silent("Jjw", "w");
	ck_assert_silent("Jzzjw", "w");	/* it has ended long since */
	ck_assert_silent("Jjr", "yw");
	ck_assert_races(1, "Jyw", "yw");
}
END_TEST

START_TEST(a_join_orders_nothing_of_the_others)
{
	ck_assert_races(1, "J2jw", "z", "zzzw");
}
END_TEST

START_TEST(the_ends_of_all_tasks_come_before_the_return_of_the_wait_for_their_group)
{
	ck_assert_silent("1gw", "w");
	ck_assert_silent("12gw", "yw", "");
	ck_assert_silent("12zzzgw", "yw", "z");
	ck_assert_silent("1ggw", "w");
	ck_assert_races(1, "1zw", "w");
}
END_TEST

START_TEST(a_group_of_one_place_orders_its_tasks)
{
	ck_assert_program((struct program){ { "123", "ryw", "ryw", "ryw" }, .limit = 1 });
	ck_assert_program((struct program){ { "123", "ryw", "ryw", "ryw" },
					    .limit = 3, .races = 2 });
}
END_TEST

/* ---- channels ---- */

START_TEST(an_item_brings_along_what_its_sender_did)
{
	ck_assert_silent("12", "ws", "vw");
	ck_assert_silent("12", "wyszz", "zvr");
	ck_assert_silent("12", "ws", "Sw");
	ck_assert_program((struct program){ { "12", "wyszz", "zvw" }, .cap = 4 });
	ck_assert_program((struct program){ { "12", "ws", "Sr" }, .cap = 4 });
}
END_TEST

START_TEST(a_send_is_no_order_for_what_the_receiver_did_before_it_received)
{
	ck_assert_program((struct program){ { "12", "ws", "wv" }, .cap = 4, .races = 1 });
	ck_assert_program((struct program){ { "12", "syw", "vyw" }, .cap = 4, .races = 1 });
}
END_TEST

START_TEST(at_a_rendezvous_the_receiver_comes_before_the_sender_as_well)
{
	ck_assert_silent("12", "sw", "wv");
	ck_assert_program((struct program){ { "12", "sw", "wv" }, .cap = 1, .races = 1 });
	ck_assert_program((struct program){ { "12", "ssw", "wvv" }, .cap = 1 });
}
END_TEST

START_TEST(a_close_brings_along_what_was_done_before_it)
{
	ck_assert_silent("12", "wC", "vw");
	ck_assert_silent("12", "wCzz", "zvw");
	ck_assert_silent("12", "wC", "zsw");	/* refused */
}
END_TEST

START_TEST(an_item_passes_on_what_came_before_its_sender)
{
	ck_assert_silent("123", "wyC", "vyG", "zzTw");
	ck_assert_silent("J2jw", "Sz", "wyC");
}
END_TEST

/* ---- semaphores ---- */

START_TEST(accesses_under_a_semaphore_are_ordered)
{
	ck_assert_program((struct program){ { "123", "arywe", "yarywe", "tryweyarwe" },
					    .permits = 1 });
}
END_TEST

START_TEST(what_a_task_does_in_the_step_of_its_release_is_ordered_too)
{
	ck_assert_program((struct program){ { "12", "aew", "yaw" }, .permits = 1 });
	ck_assert_program((struct program){ { "12", "aeyw", "yaw" }, .permits = 1, .races = 1 });
}
END_TEST

START_TEST(accesses_outside_of_a_semaphore_race)
{
	ck_assert_program((struct program){ { "12", "aryweyw", "arywe" },
					    .permits = 1, .races = 2 });
}
END_TEST

START_TEST(a_permit_from_another_loop_comes_after_all_that_was_done_before)
{
	ck_assert_program((struct program){ { "12", "wae", "yaew" },
					    .permits = 1, .shared = true });
	ck_assert_program((struct program){ { "12", "yw", "aew" },
					    .permits = 1, .shared = true, .races = 1 });
}
END_TEST

/* ---- ctxs, callbacks, the kernel ---- */

START_TEST(a_cancel_brings_along_what_was_done_before_it)
{
	ck_assert_silent("12", "wc", "xw");
	ck_assert_silent("12", "zwczz", "Xw");
	ck_assert_silent("12", "wczz", "zzXw");	/* entered when it was done */
	ck_assert_races(1, "12", "cyw", "xyw");
}
END_TEST

START_TEST(messages_and_callbacks_bring_along_what_was_done_before_them)
{
	ck_assert_silent("12", "wm", "vw");
	ck_assert_program((struct program){ { "a12", "wc", "aw" },
					    .permits = 1 });	/* of the ctx */
}
END_TEST

START_TEST(a_pipe_is_no_order_unless_it_is_said)
{
	ck_assert_races(1, "12", "wp", "qw");
	ck_assert_silent("12", "wGp", "qTw");
	ck_assert_races(1, "12", "wp", "qTw");
}
END_TEST

/* ---- what is told ---- */

static struct weir_loop *loop;

static void begin(void)
{
	loop = test_loop_conf(&(struct weir_loop_conf){ .virtual_clock = true, .check = true });
	weir_shared_init(&region, loop);
}

static void end(void)
{
	weir_shared_fini(&region);
	test_loop_free(loop);
}

static void ck_said(const char *text)
{
	ck_assert_msg(strstr(test_report(), text), "no \"%s\" in:\n%s", text, test_report());
}

struct writes { struct weir_frame co; bool naps; int rc; };

static WEIR_CO(writes, self, op)
{
	weir_shared_write(&region);
	if (self->naps)
		WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_MS));
	weir_shared_write(&region);
}
WEIR_END

static unsigned lines(const char *text)
{
	unsigned n = 0;

	while ((text = strstr(text, "weir: race: "))) {
		text++;
		n++;
	}
	return n;
}

START_TEST(each_pair_of_places_is_reported_once)
{
	int i;

	begin();
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), writes), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(weir_races(loop), 2);	/* the first of one with either of another */
	ck_assert_uint_eq(lines(test_report()), 2);
	ck_said("weir: race: write of &region in writes races.c:");
	ck_said(" and write in writes races.c:");
	ck_said(", with nothing between them that orders them\n");
	end();
}
END_TEST

START_TEST(what_the_program_spawns_after_a_run_comes_after_that)
{
	begin();
	ck_assert_int_eq(weir_run(loop, writes, .naps = true), 0);
	ck_assert_int_eq(weir_run(loop, writes, .naps = true), 0);
	ck_assert_int_eq(weir_races(loop), 0);
	end();
}
END_TEST

START_TEST(of_more_tasks_than_there_are_clocks_for_the_last_are_remembered)
{
	unsigned i, round;

	begin();
	for (round = 0; round < 3; round++) {
		for (i = 0; i < 600; i++)
			ck_assert_int_eq(weir_go(weir_loop_group(loop), writes, .naps = round), 0);
		ck_assert_int_eq(weir_loop_run(loop), 0);
	}
	for (i = 0; i < 1100; i++)
		ck_assert_int_eq(weir_go(weir_loop_group(loop), writes, .naps = true), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_ge(weir_races(loop), 2);
	end();
}
END_TEST

START_TEST(without_conf_check_nothing_is_noted)
{
	loop = test_loop_plain();
	weir_shared_init(&region, loop);
	ck_assert_ptr_null(region.seen);
	ck_assert_int_eq(weir_go(weir_loop_group(loop), writes), 0);
	ck_assert_int_eq(weir_run(loop, writes, .naps = true), 0);
	weir_shared_give(&region);
	weir_shared_take(&region);
	ck_assert_int_eq(weir_races(loop), -ENOTSUP);
	end();
}
END_TEST

START_TEST(outside_of_tasks_an_access_has_no_effect_and_a_region_may_outlive_its_loop)
{
	begin();
	weir_shared_write(&region);
	ck_assert_int_eq(weir_run(loop, writes), 0);
	weir_shared_give(&region);
	weir_shared_take(&region);
	weir_shared_write(&region);
	ck_assert_int_eq(weir_races(loop), 0);
	ck_assert_int_eq(weir_loop_free(loop), 1);
	ck_said("weir: leak: a shared region that is not finished, made at ");
	weir_shared_write(&region);
	weir_shared_fini(&region);
	weir_shared_fini(&region);
}
END_TEST

START_TEST(without_memory_for_notes_nothing_is_told)
{
	const struct weir_loop_conf conf = { .seed = 1, .virtual_clock = true, .check = true };
	unsigned n;
	bool failed = true;

	for (n = 1; failed; n++) {
		ck_assert_int_eq(weir_loop_new(&loop, &conf), 0);
		test_fail_alloc(n);
		weir_shared_init(&region, loop);
		weir_go(weir_loop_group(loop), writes);
		weir_go(weir_loop_group(loop), writes, .naps = true);
		weir_loop_run(loop);
		failed = test_fail_alloc(0);
		if (!failed)
			ck_assert_int_eq(weir_races(loop), 2);
		end();
	}
	ck_assert_uint_gt(n, 8);
}
END_TEST

TESTS("races",
      two_siblings_that_write_are_reported,
      a_write_and_a_read_race_and_two_reads_do_not,
      an_update_across_an_await_races_in_three_ways,
      what_the_parent_did_before_comes_before_its_child,
      what_the_parent_does_in_the_step_that_spawns_comes_before_its_child,
      the_end_of_a_task_comes_before_the_return_of_its_join,
      a_join_orders_nothing_of_the_others,
      the_ends_of_all_tasks_come_before_the_return_of_the_wait_for_their_group,
      a_group_of_one_place_orders_its_tasks,
      an_item_brings_along_what_its_sender_did,
      a_send_is_no_order_for_what_the_receiver_did_before_it_received,
      at_a_rendezvous_the_receiver_comes_before_the_sender_as_well,
      a_close_brings_along_what_was_done_before_it,
      an_item_passes_on_what_came_before_its_sender,
      accesses_under_a_semaphore_are_ordered,
      what_a_task_does_in_the_step_of_its_release_is_ordered_too,
      accesses_outside_of_a_semaphore_race,
      a_permit_from_another_loop_comes_after_all_that_was_done_before,
      a_cancel_brings_along_what_was_done_before_it,
      messages_and_callbacks_bring_along_what_was_done_before_them,
      a_pipe_is_no_order_unless_it_is_said,
      each_pair_of_places_is_reported_once,
      what_the_program_spawns_after_a_run_comes_after_that,
      of_more_tasks_than_there_are_clocks_for_the_last_are_remembered,
      without_conf_check_nothing_is_noted,
      outside_of_tasks_an_access_has_no_effect_and_a_region_may_outlive_its_loop,
      without_memory_for_notes_nothing_is_told)
