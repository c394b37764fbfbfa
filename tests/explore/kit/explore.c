/* SPDX-License-Identifier: MIT */
/*
 * explore.c - see explore.h: who runs next, and which schedule is tried next.
 *
 * A schedule is a list of choices, one at each step; 0 is always the thread that runs already, if
 * it can go on.  They are tried depth first: the program runs anew with the same choices but for
 * the last one that has another option left.  So it must do the same whenever the choices are the
 * same, which is checked.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "explore.h"
#include "harness.h"

#define THREADS_MAX	8u
#define STEPS_MAX	10000u	/* of a schedule, before it counts as one that never ends */
#define OPTIONS_MAX	(THREADS_MAX + 3)

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg);
int __real_pthread_join(pthread_t thread, void **res);
int __wrap_pthread_join(pthread_t thread, void **res);

/* A thread of the kernel's serves one of the program's in each schedule, and is kept. */
struct thread {
	pthread_t id;
	unsigned go;			/* a futex: it is called */
	void *(*fn)(void *arg);
	void *arg;
	enum { UNUSED, RUNS, ENDED } state;
	bool (*ready)(void *on);	/* NULL: it can go on */
	void *on;
	const char *what;		/* it is about to do */
};

static struct thread threads[THREADS_MAX];
static unsigned n_threads = 1, current;
static struct explore conf;
static bool exploring, replaying;

/* ---- the schedule ---- */

struct choice {
	unsigned char options, taken;
};

static struct choice trail[STEPS_MAX];
static unsigned step, depth;	/* in this schedule; choices that are given from the one before */
static unsigned interrupts;	/* in this schedule */
static unsigned long schedules;
static unsigned longest;

static void print_schedule(void)
{
	const char *name = exploring ? tcase_name() : NULL;
	unsigned i;

	if (!exploring)
		return;
	fprintf(stderr, "after %lu schedules; run it again: EXPLORE='", schedules);
	for (i = 0; i < step; i++)
		if (trail[i].taken)
			fprintf(stderr, "%u:%u ", i, trail[i].taken);
	fprintf(stderr, "' CK_RUN_CASE=%s %s\n", name, program_invocation_name);
}

static void print_threads(void)
{
	unsigned i;

	for (i = 0; i < n_threads; i++)
		if (threads[i].state == RUNS)
			fprintf(stderr, "  thread %u %s: %s\n", i,
				i == current ? "runs" : threads[i].ready ? "waits" : "can run",
				threads[i].what);
}

void explore_fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "explore: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	print_threads();
	print_schedule();
	exploring = false;
	exit(EXIT_FAILURE);
}

/* weir_bug_() and worse. */
static void on_crash(int sig)
{
	signal(sig, SIG_DFL);
	print_schedule();
	raise(sig);
}

__attribute__((visibility("default"))) void __asan_on_error(void);
void __asan_on_error(void)
{
	print_schedule();
}

__attribute__((visibility("default"))) void __tsan_on_report(void *report);
void __tsan_on_report(void *report)
{
	(void)report;
	fprintf(stderr, "explore: a data race\n");
	print_schedule();
	_exit(EXIT_FAILURE);
}

/* EXPLORE is a list of step:choice. */
static void read_schedule(const char *text)
{
	unsigned at, taken;
	int n;

	memset(trail, 0, sizeof trail);
	for (; sscanf(text, "%u:%u%n", &at, &taken, &n) == 2; text += n)
		if (at < STEPS_MAX)
			trail[at].taken = (unsigned char)taken;
}

/* One of n options, of which so many may be taken. */
static unsigned decide(unsigned n, unsigned allowed)
{
	struct choice *c = &trail[step];

	if (step == STEPS_MAX)
		explore_fail("it does not end within %u steps", STEPS_MAX);
	step++;
	if (replaying) {
		c->taken = c->taken < n ? c->taken : 0;
		return c->taken;
	}
	if (step > depth) {
		*c = (struct choice){ (unsigned char)allowed, 0 };
		depth = step;
	}
	if (c->options != allowed)
		explore_fail("step %u is another one this time: not all that the program does is "
			     "the explorer's choice", step - 1);
	return c->taken;
}

/* False: there is none. */
static bool next_schedule(void)
{
	while (depth && trail[depth - 1].taken + 1 >= trail[depth - 1].options)
		depth--;
	if (depth)
		trail[depth - 1].taken++;
	return depth;
}

/* ---- who runs ---- */

static const struct explore_event *const events[] = {
	&explore_clock, &explore_work, &explore_spurious,
};
#define EVENTS	(sizeof events / sizeof *events)

static bool can_go_on(unsigned i)
{
	const struct thread *t = &threads[i];

	return t->state == RUNS && (!t->ready || t->ready(t->on));
}

/* Whether an event may happen now; idle: no thread can go on. */
static bool may_happen(const struct explore_event *e, bool idle)
{
	if (e == &explore_spurious && (!conf.spurious || idle))
		return false;
	if (e == &explore_clock && !conf.clock && !idle)
		return false;
	return e->may();
}

struct options {
	unsigned char who[OPTIONS_MAX];	/* a thread, or THREADS_MAX + an event */
	unsigned n, threads;		/* threads come first */
	bool stay;			/* the first is the one that runs */
};

static void list_options(struct options *o, bool yield)
{
	unsigned i;

	o->n = 0;
	o->stay = !yield && can_go_on(current);
	if (o->stay)
		o->who[o->n++] = (unsigned char)current;
	for (i = 0; i < n_threads; i++)
		if (i != current && can_go_on(i))
			o->who[o->n++] = (unsigned char)i;
	if (!o->n && can_go_on(current))
		o->who[o->n++] = (unsigned char)current;
	o->threads = o->n;
	for (i = 0; i < EVENTS; i++)
		if (may_happen(events[i], !o->threads))
			o->who[o->n++] = (unsigned char)(THREADS_MAX + i);
}

/* How many options interrupt nobody. */
static unsigned n_free(const struct options *o)
{
	if (o->stay)
		return 1;
	return o->threads ? o->threads : o->n;
}

static void trace(unsigned who)
{
	if (!replaying)
		return;
	if (who < THREADS_MAX)
		fprintf(stderr, "%4u  thread %u: %s\n", step - 1, who, threads[who].what);
	else
		fprintf(stderr, "%4u  %s\n", step - 1, events[who - THREADS_MAX]->name);
}

static unsigned next_thread(bool yield)
{
	struct options o;
	unsigned taken, who;

	for (;;) {
		list_options(&o, yield);
		if (!o.n)
			explore_fail("no thread can go on");
		taken = decide(o.n, interrupts < conf.interrupts ? o.n : n_free(&o));
		interrupts += taken >= n_free(&o);
		who = o.who[taken];
		trace(who);
		if (who < THREADS_MAX)
			return who;
		events[who - THREADS_MAX]->happen();
	}
}

/* Not by what ThreadSanitizer knows: that one thread stops where another goes on must not count as
 * order between them. */
static void call(struct thread *t)
{
	__atomic_store_n(&t->go, 1, __ATOMIC_RELEASE);
	syscall(SYS_futex, &t->go, FUTEX_WAKE_PRIVATE, 1);
}

static void sleep_until_called(struct thread *t)
{
	while (!__atomic_exchange_n(&t->go, 0, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &t->go, FUTEX_WAIT_PRIVATE, 0, NULL);
}

static void pass_on(bool yield)
{
	unsigned me = current, next = next_thread(yield);
	bool over = threads[me].state == ENDED;	/* look now: it may be used again at once */

	if (next == me)
		return;
	current = next;
	call(&threads[next]);
	if (!over)
		sleep_until_called(&threads[me]);
}

void explore_point(const char *what)
{
	if (!exploring)
		return;
	threads[current].what = what;
	pass_on(false);
}

void explore_wait(bool (*ready)(void *on), void *on, const char *what)
{
	struct thread *t = &threads[current];

	if (!exploring) {
		if (!ready(on))
			explore_fail("waits for ever: %s", what);
		return;
	}
	t->ready = ready;
	t->on = on;
	t->what = what;
	pass_on(false);
	t->ready = NULL;
}

void explore_yield(void)
{
	threads[current].what = "goes on, after others";
	if (exploring)
		pass_on(true);
}

static bool is_true(void *on)
{
	return *(bool *)on;
}

void explore_gate(bool *flag)
{
	explore_wait(is_true, flag, "waits at a gate");
}

unsigned explore_choose(unsigned n, const char *what)
{
	unsigned taken = exploring && n > 1 ? decide(n, n) : 0;

	if (replaying && n > 1)
		fprintf(stderr, "%4u  %s: %u of %u\n", step - 1, what, taken, n);
	return taken;
}

bool explore_active(void)
{
	return exploring;
}

unsigned explore_self(void)
{
	return current;
}

bool explore_conf_ring(void)
{
	return conf.ring;
}

/* ---- what ThreadSanitizer is told ---- */

__attribute__((weak)) void __tsan_acquire(void *p);
__attribute__((weak)) void __tsan_release(void *p);

void explore_hand_over(void *p)
{
	if (__tsan_release)
		__tsan_release(p);
}

void explore_take_over(void *p)
{
	if (__tsan_acquire)
		__tsan_acquire(p);
}

/* ---- threads ---- */

static void *serve(void *arg)
{
	struct thread *t = arg;

	for (;;) {
		sleep_until_called(t);
		explore_take_over(t);
		t->fn(t->arg);
		explore_hand_over(t);
		t->state = ENDED;
		t->what = "has ended";
		pass_on(false);
	}
	return NULL;
}

static struct thread *unused(void)
{
	unsigned i;

	for (i = 1; i < n_threads; i++)
		if (threads[i].state == UNUSED)
			return &threads[i];
	if (n_threads == THREADS_MAX)
		explore_fail("more than %u threads", THREADS_MAX);
	return &threads[n_threads++];
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
			  void *arg)
{
	struct thread *t;

	if (!exploring)
		return __real_pthread_create(thread, attr, fn, arg);
	t = unused();
	t->fn = fn;
	t->arg = arg;
	t->ready = NULL;
	t->what = "begins";
	if (!t->id && __real_pthread_create(&t->id, NULL, serve, t))
		explore_fail("no thread to be had");
	explore_hand_over(t);
	t->state = RUNS;
	*thread = t->id;
	explore_point("has made a thread");
	return 0;
}

static bool has_ended(void *on)
{
	return ((struct thread *)on)->state == ENDED;
}

int __wrap_pthread_join(pthread_t thread, void **res)
{
	unsigned i;

	if (!exploring)
		return __real_pthread_join(thread, res);
	for (i = 1; i < n_threads; i++)
		if (threads[i].state != UNUSED && pthread_equal(threads[i].id, thread))
			break;
	if (i == n_threads)
		explore_fail("a thread is joined that is none, or twice");
	explore_wait(has_ended, &threads[i], "joins a thread");
	explore_take_over(&threads[i]);
	threads[i].state = UNUSED;
	if (res)
		*res = NULL;
	return 0;
}

static bool no_threads(void)
{
	unsigned i;

	for (i = 1; i < n_threads; i++)
		if (threads[i].state != UNUSED)
			return false;
	return true;
}

/* ---- exploring ---- */

static void run_once(void (*program)(void))
{
	long blocks = test_blocks();

	step = interrupts = 0;
	program();
	if (!no_threads())
		explore_fail("a thread is left");
	if (!explore_no_files())
		explore_fail("a descriptor, or an op of the kernel's, is left");
	if (!explore_no_mutexes())
		explore_fail("a mutex or condition variable is left");
	if (test_blocks() != blocks)
		explore_fail("%ld blocks of memory are left", test_blocks() - blocks);
	schedules++;
	longest = step > longest ? step : longest;
}

/* Since one thread runs at a time, one CPU will do, and is faster by an order of magnitude. */
static void begin(const struct explore *c)
{
	const char *bound = getenv("EXPLORE_BOUND"), *schedule = getenv("EXPLORE");
	void (*before)(int sig);
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((unsigned)sched_getcpu(), &one);
	sched_setaffinity(0, sizeof one, &one);
	conf = *c;
	if (test_on_valgrind() && conf.interrupts)
		conf.interrupts--;
	if (bound)
		conf.interrupts = (unsigned)atoi(bound);
	replaying = schedule;
	if (replaying)
		read_schedule(schedule);
	if (!threads[0].id) {
		threads[0].id = pthread_self();
		threads[0].state = RUNS;
	}
	signal(SIGABRT, on_crash);
	before = signal(SIGSEGV, on_crash);
	if (before != SIG_DFL)	/* a sanitizer knows more */
		signal(SIGSEGV, before);
	schedules = longest = depth = 0;
}

bool explore(void (*program)(void), const struct explore *c)
{
	begin(c);
	exploring = true;
	do
		run_once(program);
	while (!replaying && next_schedule());
	exploring = false;
	printf("%s: %lu schedules with up to %u interrupts, the longest of %u steps\n",
	       tcase_name(), schedules, conf.interrupts, longest);
	fflush(stdout);
	return !replaying;
}
