/* SPDX-License-Identifier: MIT */
/*
 * loop.h - the loop: one thread that runs tasks, one ring, one timerfd, one clock.
 *
 * A loop belongs to the thread that made it, and so does all that hangs on it; other threads
 * use a port (port.h), weir_ctx_cancel_fd(), or a shared semaphore.  A thread that runs another's
 * loop is stopped by name.  Make loops after dropping privileges and after fork(): the copy of a
 * loop that a child has can be neither run nor freed, which returns -ECHILD.
 *
 *	struct weir_loop *loop;
 *	int rc = weir_loop_new(&loop, NULL);
 *	if (rc == 0)
 *		rc = weir_run(loop, my_main, .argc = argc, .argv = argv);
 *	weir_loop_free(loop);
 *
 * Or inside another program's loop: add weir_loop_fd() to its poll set and call
 * weir_loop_dispatch() when that is readable.  What the program does with weir by itself (spawn,
 * cancel, send, set a deadline) makes it readable too.
 */
#ifndef WEIR_LOOP_H
#define WEIR_LOOP_H

#include "weir/base.h"
#include "weir/ctx.h"
#include "weir/group.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;
struct weir_sim_conf;

#define WEIR_TURN_TASKS	256	/* resumes at most before the loop looks at kernel and clock */

struct weir_loop_conf {		/* zero is the default, everywhere */
	/* Kernel ops in flight at most; 1024.  A quarter, at most 64, is for ctx fds and the like.
	 * Further ones wait until one has ended: a read that waits for its peer counts, so ask for
	 * as many as tasks will wait in the kernel at a time.  report hears of it, once. */
	unsigned ops;
	unsigned entries;	/* submission queue entries; 128 */
	unsigned threads;	/* of the loop's own blocking pool (work.h); 4 */
	uint64_t seed;		/* of weir_random() and of select's choice; from getrandom(2) */
	bool virtual_clock;	/* time stands still while anything runs, jumps when all sleep */
	/* A kernel in memory in place of Linux, for tests: see sim.h.  Its clock is virtual.  The
	 * struct is copied. */
	const struct weir_sim_conf *sim;
	bool check;		/* note what is made and who uses it, for check.h; slower */
	uint64_t stall;		/* report a step that holds the loop for longer, in ns; 0: none */
	/* This signal has weir_dump() to report, or to stderr if that is NULL, in the next turn; at
	 * once a line to stderr if a task runs, for it may never end.  Its handler is weir's until
	 * the loop is freed.  0: none. */
	int dump_signal;
	bool dump_json;		/* that signal has weir_dump_json() to stderr instead */
	/* Receives what the loop has to tell, deadlocks and leaks: a line a call, without the
	 * newline.  NULL: nothing is told. */
	void (*report)(void *arg, const char *text);
	void *report_arg;
};

struct weir_loop_stats {
	uint64_t turns, resumes, spawned;
	uint64_t submitted, completed;	/* kernel ops */
	uint64_t in_flight, parked;	/* now: in the kernel; waiting for room there */
	uint64_t enters, wakeups;	/* system calls into the ring; those that slept */
	uint64_t timer_sets;		/* timerfd_settime(2) */
	uint64_t cq_overflows;		/* completions the kernel had to set aside; should be 0 */
	uint64_t unknown;		/* completions of no op: a bug, or a stranger in the ring */
	uint64_t stalls;		/* steps longer than conf.stall */
	uint64_t tasks, timers, ports;	/* now */
};

/* A new loop of this thread.  Results: 0; -EPERM, -ENOSYS io_uring is refused; -ENOMEM, -EMFILE,
 * -ENFILE; -EINVAL a conf out of range, a signal that cannot be caught; -EAGAIN too many loops have
 * a dump_signal.  weir_explain() says it in words. */
WEIR_API int weir_loop_new(struct weir_loop **loop, const struct weir_loop_conf *conf);

/* Cancels what is left, lets it end (for at most WEIR_CLOSE_GRACE of real time), and frees the
 * loop.  What was left is a leak, reported with where it was made: tasks, ctxs and groups, kernel
 * ops, ports, with conf.check descriptors and objects.  Results: how many there were, 0 if none;
 * -EBUSY inside itself.  What does not end in time keeps its memory for ever, which is reported as
 * well.  NULL is ignored. */
#define WEIR_CLOSE_GRACE	(2 * WEIR_S)
WEIR_API int weir_loop_free(struct weir_loop *loop);

/* Runs until no task is left in the loop's own group, which is as new then.  When nothing can run
 * it sleeps; but for a timer that is due within 10 us it stays awake, and for the next message if
 * they come less than 30 us apart, which takes no more of the CPU than to sleep (and where it is in
 * vain, it does so less and less often).  Results: the first error a task of it returned, 0;
 * -EDEADLK if all tasks are asleep and nothing can wake them, each await stack reported
 * (weir_loop_free() then unwinds them); -EBUSY inside itself; -EIO if the ring fails. */
WEIR_API int weir_loop_run(struct weir_loop *loop);

/* rc of weir_go() into the loop's own group if that fails, else of weir_loop_run(). */
#define weir_run(loop, name, ...) __extension__ ({					\
	struct weir_loop *run_loop_ = (loop);						\
	int run_rc_ = weir_go(weir_loop_group(run_loop_), name, __VA_ARGS__);		\
	run_rc_ ? run_rc_ : weir_loop_run(run_loop_);					\
})

/* A descriptor that is readable whenever weir_loop_dispatch() has something to do, timers included.
 * The loop's own, made by the first call, while no kernel op is under way and no ctx watches a
 * descriptor: so, first of all.  Poll it level-triggered, never read it.  epoll_wait(2) in this
 * thread may fail with EINTR when there is no signal: wait again.
 * Results: the fd; -EBUSY called too late; -EMFILE, -ENFILE, -ENOMEM; -EIO if the ring fails. */
WEIR_API int weir_loop_fd(struct weir_loop *loop);

/* One turn: takes in completions, runs up to WEIR_TURN_TASKS tasks, submits.  Never blocks.
 * Results: the number of tasks left in the loop's own group; negative as weir_loop_run(), but for
 * -EDEADLK.  If work is left, the fd stays readable. */
WEIR_API int weir_loop_dispatch(struct weir_loop *loop);

/* The group that weir_loop_run() waits for, and the ctx at the root of the tree. */
WEIR_API struct weir_group *weir_loop_group(struct weir_loop *loop);
WEIR_API struct weir_ctx *weir_loop_ctx(struct weir_loop *loop);

/* The loop's time: CLOCK_MONOTONIC, in a turn as of its start; or virtual. */
WEIR_API uint64_t weir_now(const struct weir_loop *loop);

/* Moves a virtual clock on by ns; due timers fire in the next turn.  Results: 0; -EINVAL a real
 * clock. */
WEIR_API int weir_advance(struct weir_loop *loop, uint64_t ns);

/* Random bits from the loop's seed; not for secrets. */
WEIR_API uint64_t weir_random(struct weir_loop *loop);

WEIR_API void weir_loop_stats(const struct weir_loop *loop, struct weir_loop_stats *stats);

/* Why weir_loop_new() gave rc, and what to do, as a sentence or two in buf.
 * Looks at the system's settings now.  Any thread.  Returns buf. */
WEIR_API const char *weir_explain(int rc, char *buf, size_t size);

/* Writes every task to fd: what it waits for, its await stack, the innermost first, who spawned it:
 *	task 3 in the group of main.c:40 waits for: recv
 *	     descriptor 7
 *	  #0 read_exact copy.c:71  weir_recv(op, self->fd, self->buf, 2, 0)
 *	  #1 session copy.c:94  read_exact()
 *	  by main main.c:52  weir_go(session)
 */
WEIR_API void weir_dump(const struct weir_loop *loop, int fd);

#ifdef __cplusplus
}
#endif

#endif
