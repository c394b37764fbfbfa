/* SPDX-License-Identifier: MIT */
/*
 * seeds.c - weir_check_run(): which bodies fail, and what is said of them.
 *
 * What it says goes to stderr, which each test puts into a file of its own.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

static char said[1 << 14];

/* A body that is told which seed it runs cannot be had: it counts them. */
struct tally {
	unsigned runs;
	unsigned number;	/* of a descriptor */
	unsigned heard;		/* lines, by its own reporter */
	unsigned bad;		/* the run in which it misbehaves, from 1; 0: in none */
};
static struct tally *tally;

static void begin(unsigned bad)
{
	tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ck_assert_ptr_ne(tally, MAP_FAILED);
	*tally = (struct tally){ .bad = bad };
}

static bool is_bad(void)
{
	return ++tally->runs == tally->bad;
}

/* Ten seeds, the first of them twice: the run numbered 6 is that of seed 5. */
static const struct weir_check_conf ten = { .seeds = 10, .seconds = 1 };
#define SEED_5	6

static int check(const struct weir_check_conf *conf, weir_check_body *body, const char *name)
{
	FILE *file = tmpfile();
	int err = dup(STDERR_FILENO), rc;
	size_t n;

	ck_assert_ptr_nonnull(file);
	dup2(fileno(file), STDERR_FILENO);
	rc = weir_check_run_(body, name, conf);
	dup2(err, STDERR_FILENO);
	close(err);
	rewind(file);
	n = fread(said, 1, sizeof said - 1, file);
	said[n] = '\0';
	fclose(file);
	return rc;
}

static void check_says(const char *text)
{
	ck_assert_msg(strstr(said, text) != NULL, "\"%s\" is not in: %s", text, said);
}

struct napper {
	struct weir_frame co;
	uint64_t ns;
	int rc, result;
};

static WEIR_CO(napper, self, op)
{
	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	WEIR_RETURN(self->result);
}
WEIR_END

static int nap(struct weir_loop *loop, int result)
{
	return weir_run(loop, napper, .ns = WEIR_HOUR, .result = result);
}

static int naps(struct weir_loop *loop, void *arg)
{
	(void)arg;
	return nap(loop, is_bad() ? -EPROTO : 0);
}

START_TEST(every_seed_is_run_and_the_first_one_twice)
{
	begin(0);
	ck_assert_int_eq(check(&ten, naps, "naps"), 0);
	ck_assert_uint_eq(tally->runs, 11);
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(the_seed_of_an_error_is_told_and_how_to_run_it_again)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&ten, naps, "naps"), 1);
	ck_assert_uint_eq(tally->runs, SEED_5);
	check_says("weir: check: naps: seed 5: returned -71 (Protocol error)");
	check_says("weir: check: to run it again: WEIR_SEED=naps:5 ");
	check_says("tests/check/seeds");
}
END_TEST

START_TEST(a_seed_is_run_again_in_this_process_by_its_name)
{
	begin(0);
	setenv("WEIR_SEED", "naps:5", 1);
	ck_assert_int_eq(check(&ten, naps, "naps"), 0);
	ck_assert_uint_eq(tally->runs, 2);	/* twice: it may be that what is wrong */
	ck_assert_int_eq(check(&ten, naps, "another"), 0);
	ck_assert_uint_eq(tally->runs, 13);
	tally->bad = 14;
	setenv("WEIR_SEED", "7", 1);
	ck_assert_int_eq(check(&ten, naps, "another"), 1);
	ck_assert_uint_eq(tally->runs, 14);
	check_says("another: seed 7: returned");
	unsetenv("WEIR_SEED");
}
END_TEST

START_TEST(and_then_tells_what_the_kernel_did)
{
	begin(0);
	setenv("WEIR_SEED", "5", 1);
	setenv("WEIR_TRACE", "1", 1);
	ck_assert_int_eq(check(&ten, naps, "naps"), 0);
	check_says(" ms  ");
	unsetenv("WEIR_SEED");
	unsetenv("WEIR_TRACE");
}
END_TEST

START_TEST(the_environment_says_how_many_and_from_where)
{
	begin(3);
	setenv("WEIR_SEEDS", "4", 1);
	setenv("WEIR_FIRST", "1000", 1);
	ck_assert_int_eq(check(&ten, naps, "naps"), 1);
	check_says("seed 1001: returned");
	tally->bad = tally->runs = 0;
	ck_assert_int_eq(check(&(struct weir_check_conf){ 0 }, naps, "naps"), 0);
	ck_assert_uint_eq(tally->runs, 5);
	setenv("WEIR_SEEDS", "0", 1);	/* none would be no test */
	tally->runs = 0;
	ck_assert_int_eq(check(&ten, naps, "naps"), 0);
	ck_assert_uint_eq(tally->runs, 11);
	setenv("WEIR_SEEDS", "many", 1);	/* no number: as if it were not there */
	tally->runs = 0;
	ck_assert_int_eq(check(&ten, naps, "naps"), 0);
	ck_assert_uint_eq(tally->runs, 11);
	unsetenv("WEIR_SEEDS");
	unsetenv("WEIR_FIRST");
}
END_TEST

static int aborts(struct weir_loop *loop, void *arg)
{
	(void)arg;
	if (is_bad())
		raise(SIGKILL);		/* no handler can see to it that it is told */
	return nap(loop, 0);
}

START_TEST(a_seed_that_kills_its_process_is_told)
{
	begin(4);
	ck_assert_int_eq(check(&ten, aborts, "aborts"), 1);
	check_says("aborts: seed 3: killed by signal 9 (Killed)");
	check_says("WEIR_SEED=aborts:3 ");
}
END_TEST

static int leaves(struct weir_loop *loop, void *arg)
{
	(void)arg;
	if (is_bad())
		_exit(42);
	return nap(loop, 0);
}

START_TEST(a_seed_that_ends_its_process_is_told)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&ten, leaves, "leaves"), 1);
	check_says("leaves: seed 5: the process has ended, with 42");
}
END_TEST

static int hangs(struct weir_loop *loop, void *arg)
{
	volatile bool bad = is_bad();

	(void)arg;
	while (bad)
		;
	return nap(loop, 0);
}

static int leaves_well(struct weir_loop *loop, void *arg)
{
	(void)arg;
	if (is_bad())
		_exit(0);
	return nap(loop, 0);
}

START_TEST(also_one_that_ends_it_as_if_all_were_well)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&ten, leaves_well, "leaves_well"), 1);
	check_says("leaves_well: seed 5: the process has ended, with 0");
}
END_TEST

START_TEST(a_seed_that_hangs_is_ended_and_told)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&ten, hangs, "hangs"), 1);
	check_says("hangs: seed 5: nothing moved for 1 seconds");
}
END_TEST

static int leaks(struct weir_loop *loop, void *arg)
{
	int fds[2];

	(void)arg;
	if (is_bad() && weir_sim_socketpair(loop, fds) < 0)
		return -EMFILE;
	return nap(loop, 0);
}

START_TEST(what_a_seed_leaves_behind_is_told)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&ten, leaks, "leaks"), 1);
	check_says("leaks: seed 5: 2 leaked, 2 descriptors are open");
	check_says("weir: leak: descriptor ");
}
END_TEST

/* A chance that is not the seed's. */
static int gambles(struct weir_loop *loop, void *arg)
{
	(void)arg;
	return weir_run(loop, napper, .ns = ++tally->runs * WEIR_MS);
}

struct sender {
	struct weir_frame co;
	char text[64];
	int fd, rc;
};

static WEIR_CO(sender, self, op)
{
	WEIR_AWAIT(self->rc, weir_send(op, self->fd, self->text, sizeof self->text, 0));
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

/* The same operations with the same results, of other bytes. */
static int writes_otherwise(struct weir_loop *loop, void *arg)
{
	int fd[2], rc = weir_sim_socketpair(loop, fd);

	(void)arg;
	if (rc == 0)
		rc = weir_run(loop, sender, .fd = fd[0], .text = { (char)++tally->runs });
	weir_sim_close(loop, fd[0]);
	weir_sim_close(loop, fd[1]);
	return rc;
}

START_TEST(a_body_that_writes_other_bytes_is_another_run)
{
	begin(0);
	ck_assert_int_eq(check(&ten, writes_otherwise, "writes_otherwise"), 1);
	check_says("writes_otherwise: seed 1: a second run of it is another run");
}
END_TEST

START_TEST(a_body_whose_run_is_not_the_seeds_alone_is_told)
{
	begin(0);
	ck_assert_int_eq(check(&ten, gambles, "gambles"), 1);
	check_says("gambles: seed 1: a second run of it is another run");
}
END_TEST

struct receiver {
	struct weir_frame co;
	struct weir_loop *loop;
	int fd[2], rc;
	char buf[64];
};

static WEIR_CO(receiver, self, op)
{
	self->rc = weir_go(weir_loop_group(self->loop), sender, .fd = self->fd[0]);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	WEIR_AWAIT(self->rc, weir_recv(op, self->fd[1], self->buf, sizeof self->buf, 0));
	weir_sim_close(self->loop, self->fd[0]);
	weir_sim_close(self->loop, self->fd[1]);
	WEIR_RETURN(self->rc < 0 ? self->rc : 0);
}
WEIR_END

static int deadlocks(struct weir_loop *loop, void *arg)
{
	int fd[2], rc = weir_sim_socketpair(loop, fd);

	(void)arg;
	if (rc < 0)
		return rc;
	return weir_run(loop, receiver, .loop = loop, .fd = { fd[0], is_bad() ? fd[0] : fd[1] });
}

START_TEST(a_deadlock_is_told_with_its_stacks)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&(struct weir_check_conf){ .seeds = 10, .trouble = WEIR_CHECK_CALM },
			       deadlocks, "deadlocks"), 1);
	check_says("deadlocks: seed 5: returned -35 (Resource deadlock avoided)");
	check_says("weir_recv(op, self->fd[1]");
}
END_TEST

/* ---- the process in which they run ---- */

START_TEST(a_name_that_the_shell_would_take_apart_is_quoted)
{
	begin(1);
	ck_assert_int_eq(check(&ten, naps, "all['o'] & sundry"), 1);
	check_says("again: WEIR_SEED='all['\\''o'\\''] & sundry':1 ");
}
END_TEST

static int tie[2];	/* a pipe */

/* What it forks stays, with all descriptors that it has, until the test lets go of the pipe. */
static int begets(struct weir_loop *loop, void *arg)
{
	(void)arg;
	if (is_bad() && fork() == 0) {
		char c;

		close(tie[1]);
		_exit(read(tie[0], &c, 1) != 0);
	}
	return nap(loop, 0);
}

START_TEST(children_of_a_body_do_not_keep_the_run_from_its_end)
{
	begin(SEED_5);
	ck_assert_int_eq(pipe(tie), 0);
	ck_assert_int_eq(check(&ten, begets, "begets"), 0);
	ck_assert_uint_eq(tally->runs, 11);
	close(tie[1]);
	close(tie[0]);
}
END_TEST

START_TEST(a_program_that_ignores_the_end_of_children_is_told_as_much_as_there_is)
{
	begin(SEED_5);
	signal(SIGCHLD, SIG_IGN);
	ck_assert_int_eq(check(&ten, aborts, "aborts"), 1);
	check_says("aborts: seed 5: the process has ended\n");
	tally->runs = 0;
	ck_assert_int_eq(check(&ten, naps, "naps"), 1);
	check_says("naps: seed 5: returned -71 (Protocol error)");
	tally->bad = 0;
	ck_assert_int_eq(check(&ten, naps, "naps"), 0);
	signal(SIGCHLD, SIG_DFL);
}
END_TEST

static int numbers(struct weir_loop *loop, void *arg)
{
	int fd[2], rc = weir_sim_socketpair(loop, fd);

	(void)arg;
	if (rc < 0)
		return rc;
	tally->number = (unsigned)fd[1];
	weir_sim_close(loop, fd[1]);
	weir_sim_close(loop, fd[0]);
	return 0;
}

START_TEST(descriptors_have_the_same_numbers_when_a_seed_is_run_again)
{
	unsigned number;

	begin(0);
	ck_assert_int_eq(check(&ten, numbers, "numbers"), 0);
	number = tally->number;
	ck_assert_uint_gt(number, 0);
	setenv("WEIR_SEED", "numbers:10", 1);
	ck_assert_int_eq(check(&ten, numbers, "numbers"), 0);
	ck_assert_uint_eq(tally->number, number);
	unsetenv("WEIR_SEED");
}
END_TEST

/* ---- what a loop reports and no call has returned ---- */

WEIR_CHAN(ints, int);

/* All with conf.check. */
static const struct weir_check_conf checked = { .seeds = 10, .loop.check = true };

/* An object that is made, used wrongly if that run is bad, and finished. */
static int misuses(struct weir_loop *loop, void *arg)
{
	struct ints ch;
	int rc = weir_chan_init(&ch, loop, 1);

	(void)arg;
	if (rc < 0)
		return rc;
	weir_chan_close(&ch);
	if (is_bad())
		weir_chan_close(&ch);
	weir_chan_fini(&ch);
	return nap(loop, 0);
}

START_TEST(a_seed_in_which_misuse_is_reported_fails)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&checked, misuses, "misuses"), 1);
	check_says("misuses: seed 5: a fault was reported\n"
		   "weir: misuse: close of a closed channel, made at ");
	check_says("WEIR_SEED=misuses:5 ");
}
END_TEST

struct toucher {
	struct weir_frame co;
	struct weir_shared *region;
};

static WEIR_CO(toucher, self, op)
{
	(void)op;
	weir_shared_write(self->region);
}
WEIR_END

static int races(struct weir_loop *loop, void *arg)
{
	struct weir_shared region;
	int rc;

	(void)arg;
	weir_shared_init(&region, loop);
	rc = weir_go(weir_loop_group(loop), toucher, .region = &region);
	rc = rc ? rc : weir_loop_run(loop);
	if (rc == 0 && is_bad())
		rc = weir_go(weir_loop_group(loop), toucher, .region = &region);
	rc = rc ? rc : weir_go(weir_loop_group(loop), toucher, .region = &region);
	rc = rc ? rc : weir_loop_run(loop);
	weir_shared_fini(&region);
	return rc;
}

START_TEST(a_seed_in_which_a_race_is_reported_fails)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&checked, races, "races"), 1);
	check_says("races: seed 5: a fault was reported\n"
		   "weir: race: write of &region in toucher ");
	check_says("WEIR_SEED=races:5 ");
}
END_TEST

/* Holds one permit and needs another; the other way round it is a circle. */
struct greedy {
	struct weir_frame co;
	struct weir_sem *first, *second;
	int rc;
};

static WEIR_CO(greedy, self, op)
{
	WEIR_TRY(self->rc, out, weir_sem_acquire(op, self->first, 1));
	WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_MS));
	WEIR_TRY(self->rc, release, weir_sem_acquire(op, self->second, 1));
	weir_sem_release(self->second, 1);
release:
	weir_sem_release(self->first, 1);
out:
	WEIR_RETURN(self->rc == -ECANCELED ? 0 : self->rc);
}
WEIR_END

struct ends { struct weir_frame co; struct weir_group *group; int rc; };

static WEIR_CO(ends, self, op)
{
	weir_group_cancel(self->group, 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, self->group));
	WEIR_RETURN(self->rc == -ECANCELED ? 0 : self->rc);
}
WEIR_END

/* What is in a circle is cancelled in the end, so that no error comes of it. */
static int circles(struct weir_loop *loop, void *arg)
{
	struct weir_group group;
	struct weir_sem sem[2];
	bool bad = is_bad();
	int rc;

	(void)arg;
	rc = weir_sem_init(&sem[0], loop, 1);
	rc = rc ? rc : weir_sem_init(&sem[1], loop, 1);
	weir_group_init(&group, weir_loop_ctx(loop), NULL);
	rc = rc ? rc : weir_go(&group, greedy, .first = &sem[0], .second = &sem[1]);
	rc = rc ? rc : weir_go(&group, greedy, .first = &sem[bad], .second = &sem[!bad]);
	rc = rc ? rc : nap(loop, 0);
	rc = rc ? rc : weir_run(loop, ends, .group = &group);
	weir_sem_fini(&sem[1]);
	weir_sem_fini(&sem[0]);
	return rc;
}

START_TEST(a_seed_in_which_a_partial_deadlock_is_reported_fails)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&checked, circles, "circles"), 1);
	check_says("circles: seed 5: a fault was reported\n"
		   "weir: partial deadlock: 2 of 3 tasks can never go on\n");
	check_says("WEIR_SEED=circles:5 ");
}
END_TEST

static int forgets(struct weir_loop *loop, void *arg)
{
	struct ints *ch = malloc(sizeof *ch);

	(void)arg;
	if (!ch || weir_chan_init(ch, loop, 1) < 0)
		return -ENOMEM;
	if (is_bad())
		return nap(loop, 0);
	weir_chan_fini(ch);
	free(ch);
	return nap(loop, 0);
}

START_TEST(a_seed_in_which_an_object_is_not_finished_fails)
{
	begin(SEED_5);
	ck_assert_int_eq(check(&checked, forgets, "forgets"), 1);
	check_says("forgets: seed 5: 1 leaked");
	check_says("weir: leak: a chan that is not finished, made at ");
	check_says("WEIR_SEED=forgets:5 ");
}
END_TEST

static void count(void *arg, const char *text)
{
	(void)text;
	++*(unsigned *)arg;
}

START_TEST(a_body_with_its_own_reporter_may_expect_them)
{
	struct weir_check_conf conf = checked;

	begin(SEED_5);
	conf.loop.report = count;
	conf.loop.report_arg = &tally->heard;
	ck_assert_int_eq(check(&conf, misuses, "misuses"), 0);
	ck_assert_uint_eq(tally->heard, 1);
	ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(on_linux_a_body_runs_with_a_virtual_clock)
{
	begin(0);
	ck_assert_int_eq(check(&(struct weir_check_conf){ .seeds = 10, .real = true }, naps,
			       "naps"), 0);
	ck_assert_uint_eq(tally->runs, 11);
}
END_TEST

TESTS("seeds", every_seed_is_run_and_the_first_one_twice,
      the_seed_of_an_error_is_told_and_how_to_run_it_again,
      a_seed_is_run_again_in_this_process_by_its_name, and_then_tells_what_the_kernel_did,
      the_environment_says_how_many_and_from_where, a_seed_that_kills_its_process_is_told,
      a_seed_that_ends_its_process_is_told, also_one_that_ends_it_as_if_all_were_well,
      a_seed_that_hangs_is_ended_and_told,
      what_a_seed_leaves_behind_is_told, a_body_that_writes_other_bytes_is_another_run,
      a_body_whose_run_is_not_the_seeds_alone_is_told,
      a_deadlock_is_told_with_its_stacks,
      a_seed_in_which_misuse_is_reported_fails,
      a_seed_in_which_a_race_is_reported_fails,
      a_seed_in_which_a_partial_deadlock_is_reported_fails,
      a_seed_in_which_an_object_is_not_finished_fails,
      a_body_with_its_own_reporter_may_expect_them,
      a_name_that_the_shell_would_take_apart_is_quoted,
      children_of_a_body_do_not_keep_the_run_from_its_end,
      a_program_that_ignores_the_end_of_children_is_told_as_much_as_there_is,
      descriptors_have_the_same_numbers_when_a_seed_is_run_again,
      on_linux_a_body_runs_with_a_virtual_clock)
