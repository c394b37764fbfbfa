/* SPDX-License-Identifier: MIT */
/*
 * inject.h - one fault at a chosen place: the nth allocation, system call, submission or operation,
 * alone or with all that follow.
 *
 * Places are counted while a scenario runs (fault_begin() to fault_end()).  Each offers the errors
 * that the kernel may really give there, by name in a list; a fault is a place and one of them.
 * Allocations fail through weir_alloc_set(), calls and the ring by the linker's --wrap, see
 * wrapped_calls.h and wrapped_ring.h.
 */
#ifndef INJECT_H
#define INJECT_H

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

enum fault_kind { ALLOCATION, CALL, SUBMISSION, OPERATION, SHORT_COUNT };

#define ERRORS_MAX	16	/* different ones in a run */
#define BURST		40u	/* of an error that is followed by another try, so may not last */
#define SECONDS		5	/* a run that takes longer hangs */

static struct {
	enum fault_kind kind;
	unsigned nth, choice;		/* the place, and which of its errors */
	bool on;			/* all places after it, too, */
	bool for_ever;			/* ... also errors that cannot last */
	atomic_bool armed;
	atomic_uint places, hits;
	atomic_bool no_such_choice;	/* the nth place has fewer errors */
	atomic_bool harmless;		/* each hit was one that nobody needs to notice */
	atomic_bool broken;		/* the loop may have ended with -EIO */
	atomic_uint bad_closes;		/* of what was not open */
	int errors[ERRORS_MAX];
	unsigned n_errors;
	const char *at;			/* the nth place */
	char what[160];			/* all of this in words, to replay it by */
} fault;

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- which place, which error ---- */

enum {	/* of a place */
	UNNOTICED = 1,	/* nobody need notice its errors, */
	BREAKS = 2,	/* ... or the loop cannot go on: -EIO */
};

static inline bool fault_transient(int err)
{
	return err == EINTR || err == EAGAIN || err == EBUSY || err == 512;
}

static inline void fault_note(const char *at, int err, unsigned flags)
{
	unsigned i;

	if (!fault.hits++)
		fault.at = at;
	if (!fault_transient(err)) {
		fault.harmless = fault.harmless && flags & UNNOTICED;
		fault.broken = fault.broken || flags & BREAKS;
	}
	for (i = 0; i < fault.n_errors; i++)
		if (fault.errors[i] == err)
			return;
	ck_assert_uint_lt(fault.n_errors, ERRORS_MAX);
	fault.errors[fault.n_errors++] = err;
}

/* A place of that kind, whose errors end with 0.  The error that it is to give, or 0. */
static inline int fault_place(enum fault_kind kind, const char *at, const int *errors,
			      unsigned flags)
{
	unsigned n, place;
	int err = 0;

	if (!fault.armed || kind != fault.kind)
		return 0;
	pthread_mutex_lock(&fault_lock);
	place = ++fault.places;
	if (place < fault.nth || (place > fault.nth && (!fault.on || !fault.hits)))
		goto unlock;
	for (n = 0; errors[n]; n++)
		;
	if (place == fault.nth && fault.choice >= n) {
		fault.no_such_choice = true;
		goto unlock;
	}
	err = errors[fault.choice < n ? fault.choice : n - 1];
	if (fault_transient(err) && place - fault.nth >= BURST && !fault.for_ever)
		err = 0;
	if (err)
		fault_note(at, err, flags);
unlock:
	pthread_mutex_unlock(&fault_lock);
	return err;
}

#define ERRORS(...)	(const int[]){ __VA_ARGS__, 0 }

/* ---- allocations ---- */

/* Blocks are kept in a list, so that what a broken ring leaves behind is at least reachable. */
struct block {
	struct weir_list link;
	_Alignas(max_align_t) char bytes[];
};

static struct weir_list blocks = { &blocks, &blocks }, graves = { &graves, &graves };
static long n_blocks;

void *__real_malloc(size_t size);
void __real_free(void *p);
ssize_t __real_write(int fd, const void *p, size_t n);

static void *fault_alloc(void *arg, size_t size)
{
	struct block *b;

	(void)arg;
	if (fault_place(ALLOCATION, "an allocation", ERRORS(ENOMEM), 0))
		return NULL;
	b = __real_malloc(sizeof *b + size);
	ck_assert_ptr_nonnull(b);
	pthread_mutex_lock(&fault_lock);
	weir_list_append_(&blocks, &b->link);
	n_blocks++;
	pthread_mutex_unlock(&fault_lock);
	return memset(b->bytes, 0xa5, size);
}

static void fault_free(void *arg, void *p)
{
	struct block *b = weir_container_of(p, struct block, bytes);

	(void)arg;
	pthread_mutex_lock(&fault_lock);
	weir_list_remove_(&b->link);
	n_blocks--;
	pthread_mutex_unlock(&fault_lock);
	__real_free(b);
}

static inline void count_blocks(void)
{
	const struct weir_alloc counting = { fault_alloc, fault_free, NULL };

	ck_assert_int_eq(weir_alloc_set(&counting), 0);
}

/* ---- a run ---- */

static inline void fault_tell(int sig)
{
	static const char says[] = ": a run hangs or has crashed\n";

	(void)!__real_write(STDERR_FILENO, fault.what, strlen(fault.what));
	(void)!__real_write(STDERR_FILENO, says, sizeof says - 1);
	signal(sig, SIG_DFL);
	raise(sig);
}

static inline void fault_watchdog(unsigned seconds)
{
	const struct itimerval t = { .it_value = { .tv_sec = seconds } };

	setitimer(ITIMER_REAL, &t, NULL);
}

static inline void fault_begin(void)
{
	fault.places = fault.hits = 0;
	fault.no_such_choice = false;
	fault.harmless = true;
	fault.broken = false;
	fault.n_errors = 0;
	fault.bad_closes = 0;
	fault.at = "nothing";
	fault_watchdog(SECONDS * (test_some(10) == 10 ? 1 : 10));
	fault.armed = true;
}

static inline void fault_end(void)
{
	fault.armed = false;
	fault_watchdog(0);
}

static inline bool fault_gave(int rc)
{
	unsigned i;

	for (i = 0; i < fault.n_errors; i++)
		if (rc == -fault.errors[i])
			return true;
	return false;
}

/* That error alone, where it has been given, is one that the scenario asks for. */
static inline void fault_pardon(int err)
{
	if (fault.n_errors == 1 && fault.errors[0] == err)
		fault.harmless = true;
}

#endif
