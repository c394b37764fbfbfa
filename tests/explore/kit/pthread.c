/* SPDX-License-Identifier: MIT */
/*
 * pthread.c - mutexes and condition variables that the explorer sees.
 *
 * None of libc's is used: a mutex is an entry in a table from its init to its destroy, and what is
 * not in the table must not be used.
 */
#include <stddef.h>

#include "explore.h"

#define MUTEXES_MAX	16
#define WAITERS_MAX	8
#define NOBODY		(-1)

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __real_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr);
int __wrap_pthread_mutex_destroy(pthread_mutex_t *m);
int __real_pthread_mutex_destroy(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __real_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr);
int __wrap_pthread_cond_destroy(pthread_cond_t *c);
int __real_pthread_cond_destroy(pthread_cond_t *c);
int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __real_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m);
int __wrap_pthread_cond_signal(pthread_cond_t *c);
int __real_pthread_cond_signal(pthread_cond_t *c);
int __wrap_pthread_cond_broadcast(pthread_cond_t *c);
int __real_pthread_cond_broadcast(pthread_cond_t *c);

struct mutex {
	const pthread_mutex_t *m;
	int owner;
};

struct waiter {
	const pthread_cond_t *c;
	bool called;
};

static struct mutex mutexes[MUTEXES_MAX];
static struct waiter waiters[WAITERS_MAX];
static unsigned conds;

static struct mutex *find(const pthread_mutex_t *m)
{
	unsigned i;

	for (i = 0; i < MUTEXES_MAX; i++)
		if (mutexes[i].m == m)
			return &mutexes[i];
	return NULL;
}

static struct mutex *find_alive(const pthread_mutex_t *m)
{
	struct mutex *x = find(m);

	if (!x)
		explore_fail("a mutex is used that is gone");
	return x;
}

int __wrap_pthread_mutex_init(pthread_mutex_t *m, const pthread_mutexattr_t *attr)
{
	struct mutex *x = find(NULL);

	if (!explore_active())
		return __real_pthread_mutex_init(m, attr);
	if (!x)
		explore_fail("more than %d mutexes", MUTEXES_MAX);
	*x = (struct mutex){ m, NOBODY };
	return 0;
}

int __wrap_pthread_mutex_destroy(pthread_mutex_t *m)
{
	struct mutex *x;

	if (!explore_active())
		return __real_pthread_mutex_destroy(m);
	x = find_alive(m);
	if (x->owner != NOBODY)
		explore_fail("a mutex is destroyed that is locked");
	x->m = NULL;
	return 0;
}

/* Gone counts as free: whoever waits for it will see. */
static bool is_free(void *on)
{
	const struct mutex *x = find(on);

	return !x || x->owner == NOBODY;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	if (!explore_active())
		return __real_pthread_mutex_lock(m);
	find_alive(m);
	explore_wait(is_free, m, "locks a mutex");
	find_alive(m)->owner = (int)explore_self();
	explore_take_over(m);
	return 0;
}

static void unlock(pthread_mutex_t *m)
{
	struct mutex *x = find_alive(m);

	if (x->owner != (int)explore_self())
		explore_fail("a mutex is unlocked by a thread that has not locked it");
	explore_hand_over(m);
	x->owner = NOBODY;
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	if (!explore_active())
		return __real_pthread_mutex_unlock(m);
	unlock(m);
	explore_point("has unlocked a mutex");
	return 0;
}

/* ---- condition variables ---- */

int __wrap_pthread_cond_init(pthread_cond_t *c, const pthread_condattr_t *attr)
{
	if (!explore_active())
		return __real_pthread_cond_init(c, attr);
	conds++;
	return 0;
}

int __wrap_pthread_cond_destroy(pthread_cond_t *c)
{
	unsigned i;

	if (!explore_active())
		return __real_pthread_cond_destroy(c);
	for (i = 0; i < WAITERS_MAX; i++)
		if (waiters[i].c == c)
			explore_fail("a condition variable is destroyed that a thread waits for");
	conds--;
	return 0;
}

static bool was_called(void *on)
{
	return ((struct waiter *)on)->called;
}

int __wrap_pthread_cond_wait(pthread_cond_t *c, pthread_mutex_t *m)
{
	struct waiter *w = &waiters[explore_self()];

	if (!explore_active())
		return __real_pthread_cond_wait(c, m);
	*w = (struct waiter){ c, false };
	unlock(m);
	explore_wait(was_called, w, "waits for a condition variable");
	w->c = NULL;
	return __wrap_pthread_mutex_lock(m);
}

/* The nth of those that wait for c, or for any if that is NULL, and have not been called. */
static struct waiter *waiter(const pthread_cond_t *c, unsigned n)
{
	unsigned i;

	for (i = 0; i < WAITERS_MAX; i++)
		if (waiters[i].c && (!c || waiters[i].c == c) && !waiters[i].called && !n--)
			return &waiters[i];
	return NULL;
}

int __wrap_pthread_cond_signal(pthread_cond_t *c)
{
	unsigned n = 0;

	if (!explore_active())
		return __real_pthread_cond_signal(c);
	while (waiter(c, n))
		n++;
	if (n)
		waiter(c, explore_choose(n, "which thread is signalled"))->called = true;
	return 0;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *c)
{
	struct waiter *w;

	if (!explore_active())
		return __real_pthread_cond_broadcast(c);
	while ((w = waiter(c, 0)))
		w->called = true;
	return 0;
}

static bool may_be_spurious(void)
{
	return waiter(NULL, 0);
}

static void be_spurious(void)
{
	waiter(NULL, 0)->called = true;
}

const struct explore_event explore_spurious = {
	"a thread wakes up for no reason", may_be_spurious, be_spurious,
};

bool explore_no_mutexes(void)
{
	unsigned i;

	for (i = 0; i < MUTEXES_MAX; i++)
		if (mutexes[i].m)
			return false;
	return !conds;
}
