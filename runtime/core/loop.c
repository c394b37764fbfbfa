/* SPDX-License-Identifier: MIT */
/*
 * loop.c - the turn, and the life of a loop.
 *
 * A turn takes in what the kernel has completed, then what has become due, then what other threads
 * sent, then runs ready tasks, at most WEIR_TURN_TASKS, so that a task that is always ready keeps
 * no completion and no timer waiting.  What the tasks submitted goes to the kernel with the next
 * turn's one system call; a turn with nothing to say to the kernel makes none.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/loop.h"
#include "core/watch.h"
#include "kernel/alloc.h"
#include "kernel/sim.h"
#include "weir/time.h"

#define OPS_DEFAULT	1024u
#define OPS_LIMIT	65536u	/* the kernel's completion queue holds 131,072, 2 for each */
#define ENTRIES_DEFAULT	128u
#define ENTRIES_LIMIT	32768u
#define DOZE		(100 * WEIR_US)	/* see may_doze() */
#define SOON		(10 * WEIR_US)	/* see stays_up() */
#define LISTENS		(30 * WEIR_US)	/* see listens() */
#define DEAF_MOST	255u

/* ---- random numbers, seeded by splitmix64 ---- */

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = *x += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

uint64_t weir_random(struct weir_loop *loop)
{
	return weir_random_(loop);
}

/* ---- the turn ---- */

static void fire_timers(struct weir_loop *loop)
{
	struct weir_timer *t;

	while ((t = weir_wheel_expire_(&loop->wheel, loop->now)))
		t->fire(t);
}

/* A callback may queue the next: those run in the next turn. */
static bool run_afters(struct weir_loop *loop)
{
	struct weir_list afters;

	if (weir_list_empty_(&loop->afters))
		return false;
	weir_list_init_(&afters);
	weir_list_splice_(&afters, &loop->afters);
	while (!weir_list_empty_(&afters)) {
		struct weir_after *a = weir_container_of(afters.next, struct weir_after, queued);

		weir_ctx_after_stop(a);
		a->fn(a);
	}
	return true;
}

static void run_inbox(struct weir_loop *loop)
{
	if (!weir_inbox_run_(loop->inbox))
		return;
	loop->gap = loop->now - loop->heard;
	loop->heard = loop->now;
	if (loop->listening)
		loop->vain = 0;
	loop->listening = false;
}

/* Where messages come less than a sleep apart it is cheaper, and much faster, to wait awake for the
 * next, which need not ring.  Unless its sender needs this core: who has listened in vain does not
 * for a while, and each time for longer.  Threads with jobs of the loop's need the cores, too. */
static bool listens(struct weir_loop *loop)
{
	if (loop->gap >= LISTENS || loop->deaf || loop->jobs || loop->now - loop->heard >= LISTENS)
		return false;
	loop->listening = true;
	return true;
}

static void has_listened(struct weir_loop *loop)
{
	if (loop->listening) {
		loop->vain = loop->vain < DEAF_MOST ? 2 * loop->vain + 1 : DEAF_MOST;
		loop->deaf = loop->vain;
	} else if (loop->deaf) {
		loop->deaf--;
	}
	loop->listening = false;
}

/* Threads that bring one result after the other should not wake the loop for each, while they have
 * jobs enough: it looks by itself soon.  When nothing has come in that time it sleeps as deeply as
 * ever.  A virtual clock would not wake it. */
static bool may_doze(const struct weir_loop *loop)
{
	return loop->jobs && loop->gap < DOZE && loop->now - loop->heard < DOZE &&
		!loop->be->ops->advance;
}

static void append(struct weir_task **first, struct weir_task **last, struct weir_task *t)
{
	t->op.u.next_ready = NULL;
	if (*first)
		(*last)->op.u.next_ready = t;
	else
		*first = t;
	*last = t;
}

/* The API promises no order among tasks that are ready at the same time: a simulated kernel may
 * see to it that nobody relies on one.  Dealt into two heaps, which are put on each other; three
 * times is any order of eight. */
static void shuffle(struct weir_loop *loop)
{
	uint64_t coins = 0;
	unsigned n = 0;
	int i;

	for (i = 0; i < 3; i++) {
		struct weir_task *heap[2] = { NULL, NULL }, *last[2], *t, *next;

		for (t = loop->ready.first; t; t = next) {
			next = t->op.u.next_ready;
			if (n++ % 64 == 0)
				coins = loop->be->ops->entropy(loop->be);
			append(&heap[coins & 1], &last[coins & 1], t);
			coins >>= 1;
		}
		if (!heap[0] || !heap[1])
			continue;
		last[0]->op.u.next_ready = heap[1];
		loop->ready.first = heap[0];
		loop->ready.end = &last[1]->op.u.next_ready;
	}
}

static void run_tasks(struct weir_loop *loop)
{
	weir_resume *const resume = loop->resume;
	struct weir_task *t, *next;
	unsigned n;

	if (loop->shuffle)
		shuffle(loop);
	for (n = 0, t = loop->ready.first; n < WEIR_TURN_TASKS && t; n++) {
		next = loop->ready.first = t->op.u.next_ready;
		if (__builtin_expect(!next, 0))
			loop->ready.end = &loop->ready.first;
		if (__builtin_expect(resume != NULL, 0))
			resume(t);
		else
			weir_task_resume_(t);
		t = next ? next : loop->ready.first;
	}
	loop->stats.resumes += n;
}

static int turn(struct weir_loop *loop, bool block)
{
	int rc;

	loop->in_turn = true;
	loop->stack = __builtin_frame_address(0);
	loop->stats.turns++;
	rc = loop->be->ops->turn(loop->be, block);
	loop->now = loop->be->ops->now(loop->be);
	if (block)
		weir_inbox_awake_(loop->inbox);
	fire_timers(loop);
	run_inbox(loop);
	run_afters(loop);
	run_tasks(loop);
	if (__builtin_expect(__atomic_load_n(&loop->asked, __ATOMIC_RELAXED), 0))
		weir_kit_asked_(loop);
	loop->in_turn = false;
	return rc < 0 ? -EIO : 0;
}

static uint64_t in_flight(struct weir_loop *loop)
{
	struct weir_backend_stats s;

	loop->be->ops->stats(loop->be, &s);
	return s.in_flight + s.parked;
}

/* Nothing to run, and ops that wait for those in flight to end: if these wait in turn for what the
 * others would do, it is a deadlock that only a person can see. */
static void tell_if_full(struct weir_loop *loop)
{
	struct weir_backend_stats s;

	loop->be->ops->stats(loop->be, &s);
	if (!s.parked || loop->told_full)
		return;
	loop->told_full = true;
	weir_report_(loop, "weir: full: %llu kernel ops are in flight and %llu wait for one of "
		     "them to end; conf.ops is %u", (unsigned long long)s.in_flight,
		     (unsigned long long)s.parked, loop->conf.ops);
}

/* Posts to a port that is closed since are among it: no port is left to say that they may come. */
static bool work_left(struct weir_loop *loop)
{
	return loop->ready.first || !weir_list_empty_(&loop->afters) ||
		weir_inbox_pending_(loop->inbox) || weir_wheel_next_(&loop->wheel) <= loop->now;
}

/* When the next timer is to wake the loop.  A crowd of them would do so one by one: it waits a
 * moment for others, as Linux lets a process that polls (prctl(2), PR_SET_TIMERSLACK).  A virtual
 * or simulated clock is exact. */
static uint64_t next_timer(struct weir_loop *loop)
{
	uint64_t due = weir_wheel_next_(&loop->wheel);
	uint64_t moment = loop->now + WEIR_TIMER_SLACK;

	if (due >= moment || loop->wheel.count < WEIR_TIMER_CROWD || loop->be->ops->advance)
		return due;
	return moment;
}

/* Setting the timer, sleeping and waking up takes 17 to 31 us of the CPU: what is due sooner is
 * cheaper waited for awake. */
static bool stays_up(struct weir_loop *loop, uint64_t due)
{
	if (loop->be->ops->advance)
		return false;
	return (due != WEIR_FOREVER && due - loop->now < SOON) || listens(loop);
}

/* Runs what can run; when nothing can, waits for it, or finds that nothing ever will: -EDEADLK.
 * A virtual clock stands while a thread works. */
static int turn_or_wait(struct weir_loop *loop)
{
	uint64_t due;
	bool doze;

	if (work_left(loop) || loop->be->ops->busy(loop->be))
		return turn(loop, false);
	due = loop->jobs && loop->be->ops->advance ? WEIR_FOREVER : next_timer(loop);
	if (due == WEIR_FOREVER && !loop->jobs && !loop->watches && !loop->stats.ports &&
	    loop->be->ops->still(loop->be))
		return -EDEADLK;
	if (stays_up(loop, due))
		return turn(loop, false);
	has_listened(loop);
	if (loop->notes)
		due = weir_kit_idle_(loop, due);
	tell_if_full(loop);
	doze = may_doze(loop);
	if (!weir_inbox_sleep_(loop->inbox, doze))
		return turn(loop, false);
	if (doze && weir_time_add(loop->now, DOZE) < due)
		due = weir_time_add(loop->now, DOZE);
	loop->be->ops->arm(loop->be, due);
	return turn(loop, true);
}

/* The result of the loop's own group, which is as new afterwards.  That is no news for a host. */
static int take_result(struct weir_loop *loop)
{
	struct weir_group *g = &loop->group;
	int res = g->err ? g->err : g->victim;

	loop->in_turn = true;
	weir_group_fini(g);
	weir_group_init_(g, &loop->ctx, NULL, "its loop");
	loop->in_turn = false;
	return res;
}

void weir_loop_check_thread_(const struct weir_loop *loop)
{
	WEIR_CHECK_(pthread_equal(loop->thread, pthread_self()),
		    "a loop is used by a thread that is not its own", NULL);
}

/* Whether the caller may run the loop.  A child's copy is of no use: the ring is the parent's. */
static int may_run(const struct weir_loop *loop)
{
	if (getpid() != loop->pid)
		return -ECHILD;
	weir_loop_check_thread_(loop);
	return loop->in_turn ? -EBUSY : 0;
}

int weir_loop_run(struct weir_loop *loop)
{
	int rc = may_run(loop);

	if (rc < 0)
		return rc;
	loop->hosted = false;
	while (loop->group.active && rc == 0)
		rc = turn_or_wait(loop);
	if (rc == -EDEADLK)
		weir_report_deadlock_(loop);
	return rc ? rc : take_result(loop);
}

/* ---- inside another loop ---- */

int weir_loop_fd(struct weir_loop *loop)
{
	int fd = loop->be->ops->fd(loop->be);

	if (fd >= 0)
		loop->embedded = true;
	return fd;
}

void weir_loop_touch_slow_(struct weir_loop *loop)
{
	weir_loop_check_thread_(loop);
	if (!loop->embedded || loop->nudged)
		return;
	loop->nudged = true;
	loop->be->ops->wake(loop->be);
}

/* What completes here waits for the next turn. */
static void submit(struct weir_loop *loop)
{
	loop->in_turn = true;
	loop->be->ops->turn(loop->be, false);
	loop->in_turn = false;
}

int weir_loop_dispatch(struct weir_loop *loop)
{
	int rc = may_run(loop), left;
	uint64_t due;
	bool more;

	if (rc < 0)
		return rc;
	loop->hosted = true;
	loop->be->ops->quiet(loop->be);
	loop->nudged = false;
	weir_inbox_awake_(loop->inbox);
	rc = turn(loop, false);
	left = loop->group.active ? (int)loop->group.active : take_result(loop);
	submit(loop);
	more = work_left(loop) || !weir_inbox_sleep_(loop->inbox, false);
	due = next_timer(loop);
	if (loop->notes && !more)
		due = weir_kit_idle_(loop, due);
	loop->be->ops->arm(loop->be, due);
	loop->be->ops->listen(loop->be, more);
	return rc < 0 ? rc : left;
}

/* ---- life ---- */

static int conf_check(struct weir_loop_conf *c)
{
	c->ops = c->ops ? c->ops : OPS_DEFAULT;
	c->entries = c->entries ? c->entries : ENTRIES_DEFAULT;
	return c->ops > OPS_LIMIT || c->entries > ENTRIES_LIMIT ? -EINVAL : 0;
}

static int simulated_new(struct weir_loop *loop)
{
	const struct weir_loop_conf *c = &loop->conf;
	struct sim *sim;
	int rc = weir_sim_new_(&sim, c->sim, c->report, c->report_arg);

	if (rc < 0)
		return rc;
	rc = weir_uring_new_(&loop->be, &weir_sim_, sim, c->ops, c->entries,
			    loop->inbox->bell);
	if (rc < 0)
		weir_sim_free_(sim);
	loop->shuffle = c->sim->trouble & WEIR_SIM_SHUFFLE;
	loop->slab.rubbish = loop->slab.apart = true;
	loop->conf.sim = NULL;		/* not ours to keep */
	return rc;
}

static int backend_new(struct weir_loop *loop)
{
	const struct weir_loop_conf *c = &loop->conf;
	struct weir_backend *real;
	int rc = weir_uring_new_(&real, &weir_linux_, NULL, c->ops, c->entries,
				loop->inbox->bell);

	loop->be = real;
	if (rc < 0 || !c->virtual_clock)
		return rc;
	rc = weir_virtual_new_(&loop->be, real);
	if (rc < 0)
		real->ops->free(real);
	return rc;
}

int weir_loop_new(struct weir_loop **out, const struct weir_loop_conf *conf)
{
	struct weir_loop *loop = weir_zalloc_(1, sizeof *loop);
	uint64_t seed;
	int rc;

	if (!loop)
		return -ENOMEM;
	if (conf)
		loop->conf = *conf;
	rc = conf_check(&loop->conf);
	if (rc < 0)
		goto free_loop;
	rc = weir_inbox_new_(&loop->inbox);
	if (rc < 0)
		goto free_loop;
	rc = loop->conf.sim ? simulated_new(loop) : backend_new(loop);
	if (rc < 0)
		goto unref_inbox;
	rc = weir_kit_begin_(loop);
	if (rc < 0)
		goto free_backend;
	seed = loop->conf.seed ? loop->conf.seed : loop->be->ops->entropy(loop->be);
	loop->random[0] = splitmix(&seed);
	loop->random[1] = splitmix(&seed);
	loop->now = loop->be->ops->now(loop->be);
	loop->ready.end = &loop->ready.first;
	loop->thread = pthread_self();
	loop->pid = getpid();
	weir_list_init_(&loop->detached);
	weir_list_init_(&loop->afters);
	weir_list_init_(&loop->ports);
	weir_list_init_(&loop->streams);
	weir_list_init_(&loop->buffers);
	weir_wheel_init_(&loop->wheel, loop->now);
	weir_ctx_init_root_(&loop->ctx, loop);
	weir_group_init_(&loop->group, &loop->ctx, NULL, "its loop");
	*out = loop;
	return 0;

free_backend:
	loop->be->ops->free(loop->be);
unref_inbox:
	weir_inbox_unref_(loop->inbox);
free_loop:
	weir_free_(loop);
	return rc;
}

static void cancel_all(struct weir_loop *loop)
{
	struct weir_list *l;

	weir_ctx_cancel(&loop->ctx, 0);
	for (l = loop->detached.next; l != &loop->detached; l = l->next)
		weir_ctx_cancel(weir_container_of(l, struct weir_ctx, sibling), 0);
}

static void drop_watches(void *arg, struct weir_ctx *ctx)
{
	(void)arg;
	weir_watches_fini_(ctx);
}

/* A detached ctx may have been made since the last cancel: a cleanup's shield.  Its own deadline
 * bounds it, and the grace all of them. */
static void unwind(struct weir_loop *loop)
{
	loop->be->ops->limit(loop->be, WEIR_CLOSE_GRACE);
	while (loop->stats.tasks || in_flight(loop) || loop->jobs || loop->watches ||
	       loop->receives || !weir_list_empty_(&loop->afters))
		if (turn_or_wait(loop) < 0)
			break;
}

/* Whoever still has one of these may call weir_ctx_fini() on it. */
static void let_go(struct weir_list *ctxs)
{
	while (!weir_list_empty_(ctxs)) {
		struct weir_list *l = ctxs->next;

		weir_list_remove_(l);
		weir_list_init_(l);
		weir_container_of(l, struct weir_ctx, sibling)->parent = NULL;
	}
}

/* A job that runs on and on is not waited for: its thread stays, and the inbox, where it brings its
 * result in vain. */
static void let_go_of_threads(struct weir_loop *loop)
{
	if (!loop->jobs && loop->workers)
		loop->workers_free(loop->workers);
}

/* Not before the backend has gone, which polls the bell. */
static void let_go_of_inbox(struct weir_loop *loop)
{
	if (!loop->jobs)
		weir_inbox_unref_(loop->inbox);
}

/* True: the memory of tasks must stay, the kernel or others who know them may still write to it. */
static bool abandoned(struct weir_loop *loop)
{
	uint64_t ops = in_flight(loop) + loop->receives, tasks = loop->stats.tasks;

	if (ops)
		weir_report_(loop, "weir: leak: memory of %llu kernel ops that have not ended",
			     (unsigned long long)ops);
	if (tasks)
		weir_report_(loop, "weir: leak: memory of %llu tasks that have not ended",
			     (unsigned long long)tasks);
	return ops || tasks;
}

int weir_loop_free(struct weir_loop *loop)
{
	int rc, leaks;

	if (!loop)
		return 0;
	rc = may_run(loop);
	if (rc < 0)
		return rc;
	leaks = weir_report_leaks_(loop);
	cancel_all(loop);
	weir_ctx_each_(loop, drop_watches, NULL);
	if (loop->streams_stop)
		loop->streams_stop(loop);
	unwind(loop);
	if (!loop->group.active)
		weir_group_fini(&loop->group);
	weir_inbox_close_(loop->inbox);
	let_go_of_threads(loop);
	let_go(&loop->ctx.children);
	let_go(&loop->detached);
	if (!abandoned(loop))
		weir_slab_fini_(&loop->slab);
	weir_kit_end_(loop);
	loop->be->ops->free(loop->be);
	let_go_of_inbox(loop);
	if (loop->buffers_free)
		loop->buffers_free(loop);
	weir_free_(loop);
	return leaks;
}

/* ---- what one can ask ---- */

struct weir_group *weir_loop_group(struct weir_loop *loop)
{
	return &loop->group;
}

struct weir_ctx *weir_loop_ctx(struct weir_loop *loop)
{
	return &loop->ctx;
}

uint64_t weir_now(const struct weir_loop *loop)
{
	return loop->in_turn ? loop->now : loop->be->ops->now(loop->be);
}

int weir_advance(struct weir_loop *loop, uint64_t ns)
{
	if (!loop->be->ops->advance)
		return -EINVAL;
	loop->be->ops->advance(loop->be, ns);
	loop->now = loop->be->ops->now(loop->be);
	weir_loop_touch_(loop);
	return 0;
}

void weir_loop_stats(const struct weir_loop *loop, struct weir_loop_stats *stats)
{
	struct weir_backend_stats be;

	loop->be->ops->stats(loop->be, &be);
	*stats = loop->stats;
	stats->submitted = be.submitted;
	stats->completed = be.completed;
	stats->in_flight = be.in_flight;
	stats->parked = be.parked;
	stats->enters = be.enters;
	stats->wakeups = be.wakeups;
	stats->timer_sets = be.timer_sets;
	stats->cq_overflows = be.cq_overflows;
	stats->unknown = be.unknown;
	stats->timers = loop->wheel.count;
}

__attribute__((format(printf, 2, 0)))
static void report(struct weir_loop *loop, const char *format, va_list args)
{
	char line[512];

	if (!loop->conf.report)
		return;
	vsnprintf(line, sizeof line, format, args);
	loop->conf.report(loop->conf.report_arg, line);
}

void weir_report_(struct weir_loop *loop, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	report(loop, format, args);
	va_end(args);
}

void weir_fault_(struct weir_loop *loop, const char *format, ...)
{
	va_list args;

	loop->faults++;
	va_start(args, format);
	report(loop, format, args);
	va_end(args);
}
