/* SPDX-License-Identifier: MIT */
/*
 * faults.h - every fault of one kind, in every scenario, one by one.
 *
 * A program of this room is FAULTS("name", KIND, further tests): one test for each scenario, which
 * is run with its first place failing, then with its second, until it has no further one; with each
 * of the errors that the place may give; with that place alone failing, and with all after it too.
 * After each run no memory, descriptor, task or op is left, it has not hung, and its result is an
 * error that was given, or what the other end of a connection sees of it, or, where nobody need
 * notice, 0.
 *
 * A run that fails names itself, and is made alone by
 *	FAULT="pipeline 7 0 on" CK_FORK=no build/tests/faults/allocations
 */
#ifndef FAULTS_H
#define FAULTS_H

#include "faults/scenarios.h"

#define FDS_SEEN	256
#define PLACES_MAX	100000u	/* of a scenario, which would not end */

static struct {
	unsigned faults, runs;
} total;

static void note_fds(bool *open)
{
	int fd;

	for (fd = 0; fd < FDS_SEEN; fd++)
		open[fd] = __real_fcntl(fd, F_GETFD) >= 0;
}

/* A ring that is broken for good takes with it what the kernel might still write to: the tasks and
 * what they hold, see weir_loop_free(). */
static void bury(const bool *fds)
{
	int fd;

	for (fd = 0; fd < FDS_SEEN; fd++)
		if (!fds[fd])
			__real_close(fd);
	weir_list_splice_(&graves, &blocks);
	n_blocks = 0;
}

/* What the other end of a connection sees when this one has gone for an error. */
static bool is_of_a_peer(int rc)
{
	return fault.hits && (rc == -EPIPE || rc == -ECONNRESET || rc == -ENOTCONN);
}

static bool right_result(int rc)
{
	if (rc == 0)
		return !fault.hits || fault.harmless;
	return fault_gave(rc) || is_of_a_peer(rc) || (fault.broken && rc == -EIO);
}

static void check_run(int rc, unsigned left, const bool *fds)
{
	bool now[FDS_SEEN];

	ck_assert_msg(right_result(rc), "%s: result %d, with %s failing", fault.what, rc,
		      fault.at);
	ck_assert_msg(!fault.bad_closes, "%s: closes what is not open, with %s failing", fault.what,
		      fault.at);
	if (fault.broken && fault.on && fault.kind == SUBMISSION) {
		bury(fds);
		return;
	}
	ck_assert_msg(!left || (fault.broken && rc == -EIO),
		      "%s: %u left in the loop, with %s failing",
		      fault.what, left, fault.at);
	ck_assert_msg(!n_blocks, "%s: %ld blocks not freed, with %s failing", fault.what, n_blocks,
		      fault.at);
	note_fds(now);
	ck_assert_msg(memcmp(now, fds, sizeof now) == 0,
		      "%s: a descriptor left open, with %s failing", fault.what, fault.at);
}

static void run(const char *name, int (*scenario)(void))
{
	bool fds[FDS_SEEN];
	int rc;

	snprintf(fault.what, sizeof fault.what, "FAULT=\"%s %u %u %s\"", name, fault.nth,
		 fault.choice, fault.on ? "on" : "once");
	note_fds(fds);
	loops_left = n_changed = 0;
	fault_begin();
	rc = scenario();
	fault_end();
	check_run(rc, loops_left, fds);
	total.runs++;
	total.faults += fault.hits;
}

/* Each error of the nth place; under valgrind one of them.  False: there is no such place. */
static bool try_place(const char *name, int (*scenario)(void))
{
	unsigned from = test_on_valgrind() ? fault.nth % 3 : 0;

	for (fault.choice = from;; fault.choice++) {
		run(name, scenario);
		if (!fault.hits)
			return fault.choice > from || fault.no_such_choice;
		if (test_on_valgrind())
			return true;
	}
}

#define SCENARIO_TEXT_(scenario)	#scenario,
static const char *const scenario_names[] = { SCENARIOS(SCENARIO_TEXT_) };

static bool is_scenario(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof scenario_names / sizeof *scenario_names; i++)
		if (strcmp(scenario_names[i], name) == 0)
			return true;
	return false;
}

static void read_asked(const char *asked, char which[32])
{
	char how[8];

	ck_assert_msg(sscanf(asked, "%31s %u %u %7s", which, &fault.nth, &fault.choice, how) == 4 &&
		      (strcmp(how, "on") == 0 || strcmp(how, "once") == 0),
		      "FAULT=\"%s\" is not: scenario, place, error, on or once", asked);
	ck_assert_msg(is_scenario(which), "FAULT=\"%s\": there is no scenario %s", asked, which);
	fault.on = strcmp(how, "on") == 0;
}

/* What is asked for and does not happen would look as if it had gone well. */
static bool replay(const char *name, int (*scenario)(void))
{
	const char *asked = getenv("FAULT"), *one = getenv("CK_RUN_CASE");
	char which[32];

	if (!asked)
		return false;
	read_asked(asked, which);
	if (strcmp(which, name) != 0) {
		ck_assert_msg(!one, "FAULT=\"%s\" is not for CK_RUN_CASE=%s", asked, one);
		return true;
	}
	run(name, scenario);
	ck_assert_msg(fault.hits || !fault.nth, "FAULT=\"%s\": %s has %u places, and %s", asked,
		      name, fault.places, fault.no_such_choice ? "that has fewer errors"
							       : "that is none of them");
	return true;
}

static void try_all(enum fault_kind kind, const char *name, int (*scenario)(void))
{
	bool more = true;

	count_blocks();
	signal(SIGALRM, fault_tell);
	fault.kind = kind;
	fault.nth = 0;
	run(name, scenario);	/* with no fault at all */
	if (replay(name, scenario))
		return;
	for (fault.nth = 1; more && fault.nth < PLACES_MAX; fault.nth++) {
		fault.on = false;
		more = try_place(name, scenario);
		fault.on = true;
		if (more)
			try_place(name, scenario);
	}
	printf("%-12s %5u places %6u faults %6u runs\n", name, fault.nth - 2, total.faults,
	       total.runs);
	fflush(stdout);
}

#define FAULTS(name, kind, ...)								\
	static const enum fault_kind kind_ = kind;					\
	SCENARIOS(FAULT_TEST_)								\
	TESTS(name, SCENARIOS(FAULT_NAME_) __VA_ARGS__)
#define FAULT_TEST_(scenario)								\
	START_TEST(scenario##_survives_each_fault)					\
	{										\
		try_all(kind_, #scenario, scenario);					\
	}										\
	END_TEST
#define FAULT_NAME_(scenario)	scenario##_survives_each_fault,

#endif
