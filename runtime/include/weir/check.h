/* SPDX-License-Identifier: MIT */
/*
 * check.h - the kit that finds what is wrong with a program of tasks.
 *
 * What a loop tells, it tells to conf.report, a line a call.  Always: a deadlock of all tasks, and
 * what is left when a loop is freed.  A program's tests, or a daemon that can spare it, set
 *
 *	struct weir_loop_conf conf = { .check = true, .stall = 50 * WEIR_MS, .report = log_line };
 *
 * With conf.check the loop notes where objects (channels, semaphores, limiters, pools, pipelines)
 * were made and who uses them, and
 * - looks by itself, when it has nothing to do, for tasks that can never go on while others do, and
 *   reports each such set once, as weir_deadlocks() does;
 * - adds who holds and who serves what to the report of a deadlock of all;
 * - names misuse that is otherwise only counted: a send on a closed channel, a second close, a
 *   release of more permits than are held; not each time;
 * - ends the program, with both places, where a select begins with an arm that another one waits
 *   with: prepared again, it is no longer what the other has in a queue; and where a task ends
 *   while the kernel has a buffer in its frames, for another task (of other memory that is freed
 *   too early AddressSanitizer and valgrind tell, when the operation ends);
 * - tells of accesses to what is declared shared that nothing orders: see shared.h;
 * - counts as leaks also descriptors, with the await that opened each, and objects that are not
 *   finished (weir_chan_fini()...) when their loop is freed.
 *
 * What it costs with conf.check: an allocation and a note for each task, object, and pair of the
 * two, and a send or receive that takes several times as long.  Without it: nothing on the way of a
 * task that runs on, a branch where a channel's partners wait.
 *
 * Bodies of tests run over many seeds on a simulated kernel by weir_check_run() of seeds.h, which
 * is included here.
 */
#ifndef WEIR_CHECK_H
#define WEIR_CHECK_H

#include "weir/base.h"
#include "weir/loop.h"
#include "weir/seeds.h"
#include "weir/sim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Looks for tasks that can never go on unless they are cancelled, though others may, and reports
 * them with what each waits for and who would have to act:
 *
 *	weir: partial deadlock: 2 of 3 tasks can never go on
 *	  task 1 waits for task 2, which receives from chan &self->jobs made at copy.c:20
 *	  task 2 waits for task 1, which holds sem &self->files made at copy.c:21
 *	task 1 in the group of copy.c:19 waits for: chan send
 *	     chan &self->jobs made at copy.c:20: 1 of 1 items, 1 sender waits
 *	       task 2 receives from it
 *	     holds 1 of sem &self->files made at copy.c:21
 *	  #0 ...
 *
 * Of a wait it must know from the past who can end it, and all of those must be stuck as well, or
 * gone.  It is wrong only where a task will end one that has not used the object yet, and reaches
 * it neither from its frames nor from its group: over the heap, say.  So it finds the circle of a
 * semaphore and a channel, and the reader whose writers went without weir_chan_close(); it may be
 * silent where someone who runs has the object's address in his frames.  For everything in sight
 * of it, see check/waits.c.
 * Loop's thread, also from a task.  Results: how many tasks; -ENOTSUP without conf.check; -ENOMEM
 * too little memory for its notes, now or before. */
WEIR_API int weir_deadlocks(struct weir_loop *loop);

/* What weir_dump() (loop.h) writes, as one JSON object, to fd: the time and the tasks, each with
 * its state ("new", "ready", "runs", "waits", "gives up"), what it waits for, its await stack, the
 * innermost frame first, and who spawned it:
 *	{"now":3000,"tasks":[
 *	 {"task":1,"group":"src/main.c:40","state":"waits","for":"chan recv",
 *	  "on":"chan &self->jobs made at main.c:38: 0 of 4 items, 1 receiver waits","stack":[
 *	   {"func":"work","file":"src/main.c","line":71,"text":"weir_chan_recv(...)"}],
 *	  "spawned":{"func":"start","file":"src/main.c","line":52,"text":"weir_go(work)"}}]}
 * A select has "arms", each with what it waits for.  Results: 0; -errno of write(2). */
WEIR_API int weir_dump_json(const struct weir_loop *loop, int fd);

#ifdef __cplusplus
}
#endif

#endif
