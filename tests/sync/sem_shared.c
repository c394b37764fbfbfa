/* SPDX-License-Identifier: MIT */
/*
 * sem_shared.c - semaphores on an eventfd: between loops, threads and processes, and no token lost.
 *
 * How many tokens there are is found out as any other process would, by reading them all.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/loop.h"
#include "harness.h"
#include "weir.h"

#define PENDING	12345

static struct weir_loop *loop;
static struct weir_sem sem;
static int fd;
static unsigned finished;	/* tasks so far */

struct ask {
	struct weir_group group;
	struct weir_sem *sem;
	uint64_t n, timeout;
	int rc;
	unsigned nth;		/* of those that have ended */
};

struct asker { struct weir_frame co; struct ask *ask; struct weir_ctx ctx; };

static WEIR_CO(asker, self, op)
{
	struct ask *a;
	int rc;

	weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), self->ask->timeout);
	weir_ctx_enter(op, &self->ctx);
	WEIR_AWAIT(rc, weir_sem_acquire(op, self->ask->sem, self->ask->n));
	weir_ctx_leave(op, &self->ctx);
	weir_ctx_fini(&self->ctx);
	a = self->ask;
	a->rc = rc;
	a->nth = ++finished;
}
WEIR_END

/* What the kernel has to say of a read or a cancel, it says within two turns. */
static void settle(void)
{
	int i;

	for (i = 0; i < 4; i++)
		ck_assert_int_ge(weir_loop_dispatch(loop), 0);
}

static void begin(uint64_t permits)
{
	loop = test_loop();
	fd = weir_sem_shared_fd(permits);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(weir_sem_init_shared(&sem, loop, fd), 0);
}

/* Takes all tokens there are. */
static unsigned tokens(void)
{
	unsigned n = 0;
	uint64_t one;

	while (read(fd, &one, sizeof one) == sizeof one)
		n += (unsigned)one;
	return n;
}

/* Nothing is left of the semaphore but its tokens. */
static void end(unsigned permits)
{
	weir_sem_fini(&sem);
	test_loop_free(loop);
	ck_assert_uint_eq(tokens(), permits);
	close(fd);
}

static void start(struct ask *a, uint64_t n, uint64_t timeout)
{
	a->sem = &sem;
	a->n = n;
	a->timeout = timeout;
	a->rc = PENDING;
	weir_group_init(&a->group, weir_loop_ctx(loop), NULL);
	ck_assert_int_eq(weir_go(&a->group, asker, .ask = a), 0);
}

static void go(struct ask *a, uint64_t n)
{
	start(a, n, WEIR_FOREVER);
	settle();
}

static void ck_waits(const struct ask *a)
{
	ck_assert_int_eq(a->rc, PENDING);
}

static void ck_ended(struct ask *a, int rc)
{
	settle();
	ck_assert_int_eq(a->rc, rc);
	weir_group_fini(&a->group);
}

static void cancel(struct ask *a)
{
	weir_group_cancel(&a->group, 0);
	ck_ended(a, -ECANCELED);
}

static void ck_try(int rc)
{
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 1), rc);
}

static void release(uint64_t n)
{
	ck_assert_int_eq(weir_sem_release(&sem, n), 0);
}

static void release_elsewhere(uint64_t n)
{
	ck_assert_int_eq(weir_sem_release_fd(fd, n), 0);
}

/* ---- tokens ---- */

START_TEST(tokens_are_taken_and_given_back)
{
	struct ask a, b;

	begin(2);
	ck_try(0);
	go(&a, 1);
	ck_ended(&a, 0);
	ck_try(-EAGAIN);
	go(&b, 1);
	ck_waits(&b);
	release(1);
	ck_ended(&b, 0);
	ck_assert_int_eq(weir_sem_available(&sem), 0);
	ck_assert_uint_eq(weir_sem_size(&sem), 0);
	release(2);
	end(2);
}
END_TEST

START_TEST(tasks_of_a_loop_are_served_in_order_by_one_read)
{
	struct ask a[5];
	unsigned i;

	begin(0);
	for (i = 0; i < 5; i++)
		go(&a[i], 1);
	ck_assert_uint_eq(weir_sem_waiting(&sem), 5);
	ck_assert_uint_eq(loop->watches, 1);
	release_elsewhere(5);
	for (i = 0; i < 5; i++) {
		settle();
		ck_ended(&a[i], 0);
		ck_assert_uint_eq(a[i].nth, i + 1);
	}
	ck_assert_uint_eq(loop->watches, 0);
	end(0);
}
END_TEST

START_TEST(while_one_waits_nobody_of_the_loop_takes_a_token)
{
	struct ask a;

	begin(0);
	go(&a, 1);
	release_elsewhere(2);
	ck_try(-EAGAIN);
	ck_ended(&a, 0);
	ck_try(0);
	end(0);
}
END_TEST

START_TEST(tokens_go_one_at_a_time)
{
	struct ask a;

	begin(3);
	go(&a, 2);
	ck_ended(&a, -ENOTSUP);
	go(&a, 0);
	ck_ended(&a, -ENOTSUP);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, 3), -ENOTSUP);
	ck_assert_int_eq(weir_sem_resize(&sem, 5), -ENOTSUP);
	release(0);
	end(3);
}
END_TEST

START_TEST(a_count_that_would_overflow_is_refused)
{
	begin(1);
	ck_assert_int_eq(weir_sem_release(&sem, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(weir_sem_release(&sem, UINT64_MAX - 1), -EINVAL);
	ck_assert_uint_eq(weir_sem_refused(&sem), 2);
	end(1);
}
END_TEST

START_TEST(an_acquire_gives_up_at_its_deadline)
{
	struct ask a;

	begin(0);
	start(&a, 1, WEIR_HOUR);
	settle();
	ck_waits(&a);
	ck_assert_int_eq(weir_advance(loop, WEIR_HOUR), 0);
	ck_ended(&a, -ETIMEDOUT);
	ck_assert_uint_eq(loop->watches, 0);
	end(0);
}
END_TEST

START_TEST(an_eventfd_that_gives_all_its_tokens_at_once_does_too)
{
	struct ask a, b;

	begin(0);
	weir_sem_fini(&sem);
	close(fd);
	fd = eventfd(3, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(weir_sem_init_shared(&sem, loop, fd), 0);
	ck_try(0);
	ck_assert_uint_eq(tokens(), 2);
	go(&a, 1);
	go(&b, 1);
	release_elsewhere(5);
	ck_ended(&a, 0);
	ck_ended(&b, 0);
	end(3);
}
END_TEST

/* ---- reads that cross a cancel ---- */

START_TEST(a_read_that_nobody_waits_for_any_more_is_cancelled)
{
	struct ask a, b;

	begin(0);
	go(&a, 1);
	go(&b, 1);
	cancel(&a);
	ck_assert_uint_eq(loop->watches, 1);
	cancel(&b);
	ck_assert_uint_eq(loop->watches, 0);
	release_elsewhere(1);
	settle();
	end(1);
}
END_TEST

START_TEST(who_comes_while_the_read_is_being_cancelled_is_served)
{
	struct ask a, b;

	begin(0);
	go(&a, 1);
	weir_group_cancel(&a.group, 0);
	start(&b, 1, WEIR_FOREVER);
	ck_ended(&a, -ECANCELED);
	ck_waits(&b);
	ck_assert_uint_eq(loop->watches, 1);
	release_elsewhere(1);
	ck_ended(&b, 0);
	end(0);
}
END_TEST

/* A kernel that hears no cancel: its reads always win. */
static struct weir_backend_ops deaf_ops;
static const struct weir_backend_ops *hearing_ops;
static struct weir_op *unheard;

static void hear_nothing(struct weir_backend *be, struct weir_op *op)
{
	(void)be;
	unheard = op;
}

static void deafen(void)
{
	hearing_ops = loop->be->ops;
	deaf_ops = *hearing_ops;
	deaf_ops.cancel = hear_nothing;
	loop->be->ops = &deaf_ops;
}

START_TEST(a_token_that_comes_in_spite_of_the_cancel_is_written_back)
{
	struct ask a;

	begin(0);
	deafen();
	go(&a, 1);
	cancel(&a);
	ck_assert_ptr_nonnull(unheard);
	ck_assert_uint_eq(loop->watches, 1);
	release_elsewhere(1);
	settle();
	ck_assert_uint_eq(loop->watches, 0);
	end(1);
}
END_TEST

START_TEST(or_goes_to_who_has_come_meanwhile)
{
	struct ask a, b;

	begin(0);
	deafen();
	go(&a, 1);
	cancel(&a);
	go(&b, 1);
	ck_assert_uint_eq(loop->watches, 1);
	release_elsewhere(1);
	ck_ended(&b, 0);
	ck_assert_uint_eq(loop->watches, 0);
	end(0);
}
END_TEST

START_TEST(or_is_written_back_by_a_semaphore_that_is_gone)
{
	struct ask a;

	begin(0);
	deafen();
	go(&a, 1);
	cancel(&a);
	weir_sem_fini(&sem);
	release_elsewhere(1);
	settle();
	ck_assert_uint_eq(loop->watches, 0);
	test_loop_free(loop);
	ck_assert_uint_eq(tokens(), 1);
	close(fd);
}
END_TEST

START_TEST(a_loop_is_freed_after_its_last_read)
{
	struct ask a;

	begin(0);
	deafen();
	go(&a, 1);
	cancel(&a);
	weir_sem_fini(&sem);
	release_elsewhere(1);
	ck_assert_uint_eq(loop->watches, 1);
	test_loop_free(loop);
	ck_assert_uint_eq(tokens(), 1);
	close(fd);
}
END_TEST

START_TEST(a_token_granted_to_a_task_that_is_cancelled_first_goes_back)
{
	struct ask a, b;

	begin(0);
	go(&a, 1);
	go(&b, 1);
	release_elsewhere(1);
	loop->be->ops->turn(loop->be, false);	/* completions, but no tasks */
	ck_assert_uint_eq(weir_sem_waiting(&sem), 1);
	weir_group_cancel(&a.group, 0);
	ck_ended(&a, -ECANCELED);
	ck_ended(&b, 0);
	end(0);
}
END_TEST

/* ---- the end ---- */

START_TEST(close_is_for_this_loop_alone)
{
	struct weir_sem other;
	struct ask a;

	begin(0);
	ck_assert_int_eq(weir_sem_init_shared(&other, loop, fd), 0);
	go(&a, 1);
	weir_sem_close(&sem);
	ck_ended(&a, -EPIPE);
	go(&a, 1);
	ck_ended(&a, -EPIPE);
	ck_try(-EPIPE);
	release(2);
	ck_assert_int_eq(weir_sem_try_acquire(&other, 1), 0);
	weir_sem_fini(&other);
	end(1);
}
END_TEST

START_TEST(a_read_that_fails_ends_who_waits)
{
	struct ask a, b;
	int p[2];

	begin(0);
	weir_sem_fini(&sem);
	ck_assert_int_eq(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
	ck_assert_int_eq(weir_sem_init_shared(&sem, loop, p[0]), 0);
	go(&a, 1);
	go(&b, 1);
	ck_waits(&b);
	ck_assert_int_eq(write(p[1], "few", 3), 3);
	ck_ended(&a, -EINVAL);
	ck_ended(&b, -EINVAL);
	go(&a, 1);
	close(p[1]);
	ck_ended(&a, -EINVAL);
	ck_try(-EINVAL);
	weir_sem_fini(&sem);
	close(p[0]);
	ck_assert_int_eq(weir_sem_init_shared(&sem, loop, fd), 0);
	end(0);
}
END_TEST

START_TEST(a_descriptor_that_is_not_one_of_ours_is_refused)
{
	struct weir_sem s;
	int other;

	begin(0);
	other = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	ck_assert_int_eq(weir_sem_init_shared(&s, loop, other), -EINVAL);
	close(other);
	ck_assert_int_eq(weir_sem_init_shared(&s, loop, other), -EBADF);
	ck_assert_int_eq(weir_sem_init_shared(&s, loop, -1), -EBADF);
	ck_assert_int_eq(weir_sem_shared_fd(WEIR_SEM_MAX + 1), -EINVAL);
	ck_assert_int_eq(weir_sem_release_fd(-1, 1), -EBADF);
	end(0);
}
END_TEST

START_TEST(without_memory_or_descriptors_it_says_so)
{
	struct rlimit limit, none;
	struct weir_sem s;

	begin(0);
	test_fail_alloc(1);
	ck_assert_int_eq(weir_sem_init_shared(&s, loop, fd), -ENOMEM);
	ck_assert(test_fail_alloc(0));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_lt(weir_sem_init_shared(&s, loop, fd), 0);
	ck_assert_int_eq(weir_sem_shared_fd(1), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	end(0);
}
END_TEST

/* ---- loops, threads, processes ---- */

static void *release_soon(void *arg)
{
	(void)arg;
	return weir_sem_release_fd(fd, 1) ? &fd : NULL;
}

START_TEST(who_waits_for_another_thread_is_no_deadlock)
{
	pthread_t thread;
	struct ask a;
	void *failed;

	begin(0);
	a.sem = &sem;
	a.n = 1;
	a.timeout = WEIR_FOREVER;
	ck_assert_int_eq(weir_go(weir_loop_group(loop), asker, .ask = &a), 0);
	settle();
	ck_assert_int_eq(pthread_create(&thread, NULL, release_soon, NULL), 0);
	ck_assert_int_eq(weir_loop_run(loop), 0);
	ck_assert_int_eq(a.rc, 0);
	ck_assert_int_eq(pthread_join(thread, &failed), 0);
	ck_assert_ptr_null(failed);
	end(0);
}
END_TEST

START_TEST(a_host_is_woken_for_every_token)
{
	struct pollfd p = { .events = POLLIN };
	struct ask a;
	int i;

	begin(0);
	p.fd = weir_loop_fd(loop);
	ck_assert_int_ge(p.fd, 0);
	for (i = 0; i < 5; i++) {
		go(&a, 1);
		ck_assert_int_eq(poll(&p, 1, 0), 0);
		release_elsewhere(1);
		while (a.rc == PENDING) {
			ck_assert_int_eq(poll(&p, 1, -1), 1);
			weir_loop_dispatch(loop);
		}
		ck_ended(&a, 0);
	}
	end(0);
}
END_TEST

#define PERMITS	3
#define USERS	8u
#define ROUNDS	2000

/* In memory that all processes share. */
struct tally {
	atomic_int holders, most;
	atomic_long acquired, released, refused;
};

static struct tally *tally;

/* What one loop knows. */
struct party {
	struct weir_loop *loop;
	struct weir_sem sem;
	uint64_t seed;
	int rounds;
	struct weir_ctx *ctxs[USERS];	/* of those who wait */
	int rc;
};

struct user {
	struct weir_frame co;
	struct party *party;
	unsigned me, turns;
	struct weir_ctx ctx;
	int rc;
};

static unsigned below(struct party *p, unsigned n)
{
	return (unsigned)(weir_random(p->loop) >> 33) % n;
}

static void hold(void)
{
	int n = atomic_fetch_add(&tally->holders, 1) + 1;
	int most = atomic_load(&tally->most);

	atomic_fetch_add(&tally->acquired, 1);
	while (n > most && !atomic_compare_exchange_weak(&tally->most, &most, n))
		;
}

static void let_go(struct party *p)
{
	atomic_fetch_sub(&tally->holders, 1);
	atomic_fetch_add(&tally->released, 1);
	if (weir_sem_release(&p->sem, 1) < 0)
		p->rc = -EINVAL;
}

/* Time is virtual: a deadline comes as soon as all tasks of the loop sleep, and so cancels reads
 * that other loops are about to serve.  Some are cancelled by others at any time. */
static uint64_t some_time(struct party *p)
{
	return below(p, 3) ? WEIR_FOREVER : 1 + below(p, 1000);
}

static void cancel_some(struct party *p)
{
	struct weir_ctx *victim = p->ctxs[below(p, USERS)];

	if (victim && !below(p, 4))
		weir_ctx_cancel(victim, 0);
}

static WEIR_CO(user, self, op)
{
	struct party *p;
	int rc;

	while (self->party->rounds-- > 0) {
		p = self->party;
		weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), some_time(p));
		weir_ctx_enter(op, &self->ctx);
		p->ctxs[self->me] = &self->ctx;
		WEIR_AWAIT(self->rc, weir_sem_acquire(op, &self->party->sem, 1));
		p = self->party;
		p->ctxs[self->me] = NULL;
		weir_ctx_leave(op, &self->ctx);
		weir_ctx_fini(&self->ctx);
		cancel_some(p);
		if (self->rc < 0) {
			atomic_fetch_add(&tally->refused, 1);
			continue;
		}
		hold();
		for (self->turns = below(p, 4); self->turns; self->turns--)
			WEIR_TRY(rc, out, weir_yield(op));
		let_go(self->party);
	}
	rc = 0;
out:
	WEIR_RETURN(rc);
}
WEIR_END

static void *take_part(void *arg)
{
	struct party *p = arg;
	struct weir_loop_conf conf = { .seed = p->seed, .virtual_clock = true };
	unsigned i;

	p->rc = weir_loop_new(&p->loop, &conf);
	if (p->rc < 0)
		return NULL;
	p->rc = weir_sem_init_shared(&p->sem, p->loop, fd);
	for (i = 0; i < USERS && p->rc == 0; i++)
		p->rc = weir_go(weir_loop_group(p->loop), user, .party = p, .me = i);
	if (p->rc == 0)
		p->rc = weir_loop_run(p->loop);
	weir_sem_fini(&p->sem);
	if (weir_loop_free(p->loop))
		p->rc = -EBUSY;
	return NULL;
}

START_TEST(between_threads_and_processes_no_token_is_lost_or_doubled)
{
	static struct party party[3];	/* two threads and a child process */
	pthread_t thread[2];
	int i, status;
	pid_t child;

	fd = weir_sem_shared_fd(PERMITS);
	ck_assert_int_ge(fd, 0);
	tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	ck_assert_ptr_ne(tally, MAP_FAILED);
	for (i = 0; i < 3; i++) {
		party[i].seed = (uint64_t)i + 1;
		party[i].rounds = ROUNDS;
	}
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		take_part(&party[2]);
		_exit(party[2].rc ? 1 : 0);
	}
	for (i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&thread[i], NULL, take_part, &party[i]), 0);
	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(pthread_join(thread[i], NULL), 0);
		ck_assert_int_eq(party[i].rc, 0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(atomic_load(&tally->holders), 0);
	ck_assert_int_ge(atomic_load(&tally->most), 1);
	ck_assert_int_le(atomic_load(&tally->most), PERMITS);
	ck_assert_int_eq(atomic_load(&tally->acquired), atomic_load(&tally->released));
	ck_assert_int_gt(atomic_load(&tally->acquired), 0);
	ck_assert_int_gt(atomic_load(&tally->refused), 0);
	ck_assert_uint_eq(tokens(), PERMITS);
	munmap(tally, sizeof *tally);
	close(fd);
}
END_TEST

TESTS("sem_shared", tokens_are_taken_and_given_back,
      tasks_of_a_loop_are_served_in_order_by_one_read,
      while_one_waits_nobody_of_the_loop_takes_a_token, tokens_go_one_at_a_time,
      a_count_that_would_overflow_is_refused, an_acquire_gives_up_at_its_deadline,
      an_eventfd_that_gives_all_its_tokens_at_once_does_too,
      a_read_that_nobody_waits_for_any_more_is_cancelled,
      who_comes_while_the_read_is_being_cancelled_is_served,
      a_token_that_comes_in_spite_of_the_cancel_is_written_back,
      or_goes_to_who_has_come_meanwhile, or_is_written_back_by_a_semaphore_that_is_gone,
      a_loop_is_freed_after_its_last_read,
      a_token_granted_to_a_task_that_is_cancelled_first_goes_back,
      close_is_for_this_loop_alone, a_read_that_fails_ends_who_waits,
      a_descriptor_that_is_not_one_of_ours_is_refused, without_memory_or_descriptors_it_says_so,
      who_waits_for_another_thread_is_no_deadlock, a_host_is_woken_for_every_token,
      between_threads_and_processes_no_token_is_lost_or_doubled)
