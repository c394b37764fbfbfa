/* SPDX-License-Identifier: MIT */
/*
 * explore.h - a small program of a few threads, run in every order that its threads can take.
 *
 * One thread runs at a time, and goes on until it reaches a point: a lock, a signal, a thread's
 * birth or end, a system call, an atomic access of the files compiled with points.h.  There any
 * other thread that can go on may go on instead.  All such schedules are run, one after the other,
 * in which a thread is interrupted (it could have gone on) at most so often; what the kernel and
 * the clock may do by themselves counts as an interruption too.  Most races need two.
 *
 * The runtime is the real one.  pthread and what of the kernel an idle loop uses (eventfds, a
 * timerfd, a ring) are the kit's, put in by the linker: see the file `wraps`.  Memory is
 * sequentially consistent here.  Built with ThreadSanitizer, a program is searched for data races
 * as well: it knows of locks and atomics, but not that threads take turns, so two accesses are a
 * race if luck alone came between them, in whichever schedule.
 *
 * A schedule fails if the program says so (expect()), if no thread can go on, if one never ends, or
 * if it leaves threads, descriptors, memory or mutexes, or uses one that is gone.  It is then
 * printed as a line that runs it again, step by step.
 */
#ifndef EXPLORE_H
#define EXPLORE_H

#include <pthread.h>
#include <stdbool.h>

struct explore {
	unsigned interrupts;	/* at most in one schedule */
	bool ring;		/* accesses to what is shared with the kernel are points, too */
	bool spurious;		/* pthread_cond_wait() may return for no reason */
	bool clock;		/* timers may expire while threads can run, too */
};

/* Runs program in all schedules, and prints how many there were; true.  False: in the one that
 * EXPLORE in the environment names.  EXPLORE_BOUND=n there sets another bound; under valgrind it is
 * one less. */
bool explore(void (*program)(void), const struct explore *conf);

/* Others run, if any can. */
void explore_yield(void);
/* Waits until *flag. */
void explore_gate(bool *flag);

#define expect(cond)	((cond) ? (void)0 : \
	explore_fail("%s:%d: not so: %s", __FILE__, __LINE__, #cond))
_Noreturn void explore_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- for the kit's own parts ---- */

/* Others may run before the caller goes on to do what. */
void explore_point(const char *what);
/* The caller goes on to do what as soon as ready(on); others may run before that. */
void explore_wait(bool (*ready)(void *on), void *on, const char *what);
/* One of 0..n-1, each of them in some schedule. */
unsigned explore_choose(unsigned n, const char *what);
/* False: before, between and after the schedules all is libc's. */
bool explore_active(void);
/* Threads are named by small numbers; the program itself is 0. */
unsigned explore_self(void);
bool explore_conf_ring(void);	/* conf.ring */

/* What one thread did before the first, another sees after the second: for ThreadSanitizer. */
void explore_hand_over(void *p);
void explore_take_over(void *p);

/* What happens by itself: pthread.c, ring.c. */
struct explore_event {
	const char *name;
	bool (*may)(void);
	void (*happen)(void);
};
extern const struct explore_event explore_spurious, explore_clock, explore_work;

/* For the end of a schedule: true if nothing is left. */
bool explore_no_mutexes(void);
bool explore_no_files(void);

#endif
