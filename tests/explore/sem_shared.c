/* SPDX-License-Identifier: MIT */
/*
 * sem_shared.c - permits that are the count of an eventfd, in every order of releases by threads,
 * acquires by tasks, and cancels: none is lost, none is made.
 */
#include <unistd.h>

#include "explore_kit.h"

static struct weir_sem sem;
static int fd;
static unsigned acquired, cancelled;	/* in how many schedules */

/* All that are there. */
static unsigned tokens(void)
{
	unsigned n = 0;
	uint64_t one;

	while (read(fd, &one, sizeof one) == sizeof one)
		n += (unsigned)one;
	return n;
}

static void *release(void *arg)
{
	(void)arg;
	expect(weir_sem_release_fd(fd, 1) == 0);
	return NULL;
}

/* ---- one loop ---- */

static struct ask {
	struct weir_group group;
	int rc;
} asks[2];

struct acquires { struct weir_frame co; struct ask *ask; };

static WEIR_CO(acquires, self, op)
{
	WEIR_AWAIT(self->ask->rc, weir_sem_acquire(op, &sem, 1));
}
WEIR_END

struct cancels { struct weir_frame co; unsigned i; int rc; };

/* Calls the first one off, at some time, and waits for both. */
static WEIR_CO(cancels, self, op)
{
	if (explore_choose(2, "it is called off later"))
		WEIR_AWAIT(self->rc, weir_sleep(op, WEIR_MS));
	weir_group_cancel(&asks[0].group, 0);
	for (self->i = 0; self->i < 2; self->i++) {
		WEIR_AWAIT(self->rc, weir_group_wait(op, &asks[self->i].group));
		weir_group_fini(&asks[self->i].group);
	}
}
WEIR_END

static void two_releases(void)
{
	pthread_t thread[2];
	unsigned i;

	loop_begin();
	fd = weir_sem_shared_fd(0);
	expect(weir_sem_init_shared(&sem, loop, fd) == 0);
	for (i = 0; i < 2; i++) {
		asks[i].rc = 1;
		weir_group_init(&asks[i].group, weir_loop_ctx(loop), NULL);
		expect(weir_go(&asks[i].group, acquires, .ask = &asks[i]) == 0);
		thread_begin(&thread[i], release, NULL);
	}
	expect(weir_run(loop, cancels) == 0);
	expect(asks[0].rc == 0 || asks[0].rc == -ECANCELED);
	expect(asks[1].rc == 0);
	weir_sem_fini(&sem);
	loop_end();
	thread_end(thread[0]);
	thread_end(thread[1]);
	expect(tokens() == (asks[0].rc < 0));
	*(asks[0].rc < 0 ? &cancelled : &acquired) += 1;
	close(fd);
}

START_TEST(a_permit_that_meets_a_cancel_is_acquired_or_still_there)
{
	if (explore(two_releases, &(struct explore){ .interrupts = 2, .clock = true }))
		ck_assert(acquired && cancelled);
}
END_TEST

static void one_release(void)
{
	pthread_t thread;

	loop_begin();
	fd = weir_sem_shared_fd(0);
	expect(weir_sem_init_shared(&sem, loop, fd) == 0);
	asks[0].rc = 1;
	weir_group_init(&asks[0].group, weir_loop_ctx(loop), NULL);
	expect(weir_go(&asks[0].group, acquires, .ask = &asks[0]) == 0);
	thread_begin(&thread, release, NULL);
	expect(weir_loop_dispatch(loop) >= 0);
	weir_group_cancel(&asks[0].group, 0);
	expect(weir_loop_dispatch(loop) >= 0);
	weir_group_fini(&asks[0].group);
	weir_sem_fini(&sem);
	loop_end();
	thread_end(thread);
	expect(tokens() == (asks[0].rc < 0));
	*(asks[0].rc < 0 ? &cancelled : &acquired) += 1;
	close(fd);
}

START_TEST(a_permit_that_meets_the_end_of_the_semaphore_is_still_there)
{
	if (explore(one_release, &(struct explore){ .interrupts = 4 }))
		ck_assert(acquired && cancelled);
}
END_TEST

/* ---- two loops ---- */

static unsigned inside;

struct enters { struct weir_frame co; struct weir_sem *sem; int rc; };

static WEIR_CO(enters, self, op)
{
	WEIR_AWAIT(self->rc, weir_sem_acquire(op, self->sem, 1));
	expect(self->rc == 0);
	expect(!inside++);
	WEIR_AWAIT(self->rc, weir_yield(op));
	expect(!--inside);
	expect(weir_sem_release(self->sem, 1) == 0);
}
WEIR_END

static void run_a_loop(void)
{
	struct weir_loop *l = loop_new();
	struct weir_sem own;

	expect(weir_sem_init_shared(&own, l, fd) == 0);
	expect(weir_run(l, enters, .sem = &own) == 0);
	weir_sem_fini(&own);
	expect(weir_loop_free(l) == 0);
}

static void *run_another(void *arg)
{
	(void)arg;
	run_a_loop();
	return NULL;
}

static void two_loops(void)
{
	pthread_t other;

	fd = weir_sem_shared_fd(1);
	thread_begin(&other, run_another, NULL);
	run_a_loop();
	thread_end(other);
	expect(tokens() == 1);
	close(fd);
}

START_TEST(one_permit_goes_from_loop_to_loop)
{
	explore(two_loops, &(struct explore){ .interrupts = 2 });
}
END_TEST

TESTS("explore sem_shared", a_permit_that_meets_a_cancel_is_acquired_or_still_there,
      a_permit_that_meets_the_end_of_the_semaphore_is_still_there,
      one_permit_goes_from_loop_to_loop)
