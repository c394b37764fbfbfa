/* SPDX-License-Identifier: MIT */
/*
 * steps.c - the kit's eye on the loop's steps: what runs, for how long, and a dump when a signal
 * asks for one.
 *
 * Only loops that asked for something of it run their tasks through here.  A signal's handler reads
 * `running` and `from`, which point to what no free takes away: descriptors are static, and the
 * task is only compared with NULL.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "check/notes.h"
#include "check/tell.h"
#include "weir/check.h"

/* ---- steps ---- */

static uint64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * WEIR_S + (uint64_t)ts.tv_nsec;
}

static void set_running(struct weir_loop *loop, struct weir_task *t, const struct weir_point *from)
{
	__atomic_store_n(&loop->from, from, __ATOMIC_RELAXED);
	__atomic_store_n(&loop->running, t, __ATOMIC_RELAXED);
}

static void tell_stall(struct weir_loop *loop, const struct weir_point *from, uint64_t ns)
{
	double ms = (double)ns / (double)WEIR_MS;

	loop->stats.stalls++;
	if (from)
		weir_report_(loop, "weir: stall: %.1f ms in one step of %s %s:%d after  %s", ms,
			     from->func, from->file, from->line, from->text);
	else
		weir_report_(loop, "weir: stall: %.1f ms in the first step of a task", ms);
}

/* The task may be gone afterwards. */
static void resume(struct weir_task *t)
{
	struct weir_loop *loop = t->ctx->loop;
	const struct weir_point *from = weir_task_last_point_(t);
	uint64_t limit = loop->conf.stall, began = limit ? clock_now() : 0, ns;

	set_running(loop, t, from);
	if (loop->notes) {
		t->op.flags |= WEIR_OP_NOTED_;
		weir_order_begin_(t);
	}
	weir_task_resume_(t);
	if (loop->notes)
		weir_order_end_(loop);
	set_running(loop, NULL, NULL);
	if (!limit)
		return;
	ns = clock_now() - began;
	if (ns > limit)
		tell_stall(loop, from, ns);
}

/* ---- a signal asks ---- */

#define LOOPS_MAX	64	/* that a signal reaches, in this process */

static _Atomic(struct weir_loop *) listening[LOOPS_MAX];
static atomic_uint handlers;		/* that run now */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned listeners[NSIG];	/* under lock, as the next */
static struct sigaction before[NSIG];

/* n in decimal, at the end of buf[12]. */
static const char *decimal(char *buf, unsigned n)
{
	char *p = buf + 11;

	*p = '\0';
	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	return p;
}

static struct iovec text(const char *s)
{
	return (struct iovec){ (void *)(uintptr_t)s, strlen(s) };
}

/* In the handler: the step may never end, then this is all that is told. */
static void tell_step(struct weir_loop *loop)
{
	const struct weir_point *p = __atomic_load_n(&loop->from, __ATOMIC_RELAXED);
	char number[12];
	struct iovec line[] = {
		text("weir: a step runs, of "), text(p ? p->func : "a new task"), text(" "),
		text(p ? p->file : ""), text(p ? ":" : ""),
		text(p ? decimal(number, (unsigned)p->line) : ""), text(p ? " after  " : ""),
		text(p ? p->text : ""), text("\n"),
	};

	if (!__atomic_load_n(&loop->running, __ATOMIC_RELAXED))
		return;
	if (writev(STDERR_FILENO, line, sizeof line / sizeof *line) < 0)
		return;		/* nobody to tell */
}

/* Only notes that a dump is wanted, and wakes the loop. */
static void on_signal(int sig)
{
	int saved = errno;
	unsigned i;

	atomic_fetch_add(&handlers, 1);
	for (i = 0; i < LOOPS_MAX; i++) {
		struct weir_loop *loop = atomic_load(&listening[i]);

		if (!loop || loop->conf.dump_signal != sig || loop->pid != getpid())
			continue;
		__atomic_store_n(&loop->asked, true, __ATOMIC_RELAXED);
		tell_step(loop);
		loop->be->ops->wake(loop->be);
	}
	atomic_fetch_sub(&handlers, 1);
	errno = saved;
}

/* Under lock. */
static int install(int sig)
{
	struct sigaction sa;

	if (listeners[sig]++)
		return 0;
	memset(&sa, 0, sizeof sa);
	sa.sa_handler = on_signal;
	sa.sa_flags = SA_RESTART;
	sigfillset(&sa.sa_mask);
	if (sigaction(sig, &sa, &before[sig]) == 0)
		return 0;
	listeners[sig]--;
	return -errno;
}

static int listen_for(struct weir_loop *loop, int sig)
{
	unsigned i;
	int rc = -EAGAIN;

	if (sig < 0 || sig >= NSIG)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	for (i = 0; i < LOOPS_MAX && atomic_load(&listening[i]); i++)
		;
	if (i < LOOPS_MAX)
		rc = install(sig);
	if (rc == 0)
		atomic_store(&listening[i], loop);
	pthread_mutex_unlock(&lock);
	return rc;
}

/* When it returns no handler knows the loop any more.  One that runs in this very thread would wait
 * for itself, so signals wait. */
static void stop_listening(struct weir_loop *loop, int sig)
{
	sigset_t all, old;
	unsigned i;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_mutex_lock(&lock);
	for (i = 0; atomic_load(&listening[i]) != loop; i++)
		;
	atomic_store(&listening[i], NULL);
	if (!--listeners[sig])
		sigaction(sig, &before[sig], NULL);
	pthread_mutex_unlock(&lock);
	while (atomic_load(&handlers))
		;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void weir_kit_asked_(struct weir_loop *loop)
{
	struct weir_sink s = { loop, loop->conf.report ? -1 : STDERR_FILENO, 0 };
	int rc;

	__atomic_store_n(&loop->asked, false, __ATOMIC_RELAXED);
	if (loop->conf.dump_json) {
		rc = weir_dump_json(loop, STDERR_FILENO);
		if (rc < 0)
			weir_report_(loop, "weir: no dump to stderr: %s", strerror(-rc));
		return;
	}
	weir_say_(&s, "weir: %llu tasks", (unsigned long long)loop->stats.tasks);
	weir_tell_tasks_(&s);
}

/* ---- life ---- */

int weir_kit_begin_(struct weir_loop *loop)
{
	const struct weir_loop_conf *c = &loop->conf;
	int rc;

	loop->resume = c->check || c->stall || c->dump_signal ? resume : NULL;
	rc = c->check ? weir_fd_notes_init_(loop) : 0;
	if (rc < 0)
		return rc;
	rc = c->check ? weir_notes_new_(loop) : 0;
	if (rc < 0)
		goto free_fds;
	loop->pid = getpid();	/* a handler asks */
	rc = c->dump_signal ? listen_for(loop, c->dump_signal) : 0;
	if (rc < 0)
		goto free_notes;
	return 0;

free_notes:
	if (loop->notes)
		weir_notes_free_(loop);
free_fds:
	if (loop->fd_notes)
		weir_fd_notes_fini_(loop);
	return rc;
}

void weir_kit_end_(struct weir_loop *loop)
{
	if (loop->conf.dump_signal)
		stop_listening(loop, loop->conf.dump_signal);
	if (loop->notes)
		weir_notes_free_(loop);
	if (loop->fd_notes)
		weir_fd_notes_fini_(loop);
}
