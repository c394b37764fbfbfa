/* SPDX-License-Identifier: MIT */
/*
 * sim.h - a kernel in memory in which one seed decides everything: for tests.
 *
 * A loop made with conf.sim asks this kernel, not Linux.  It has files, pipes, stream sockets
 * (AF_INET, AF_INET6, AF_UNIX), timerfds and a virtual clock.  It completes operations in any
 * order, in part, late or with an error, as the trouble asked for has it, and calls off what is
 * cancelled in the ways in which Linux does.  Its results are some that Linux might give, by far
 * not all.  Jobs of work.h run as steps of the loop's own thread.  The same seed, for the same
 * program, is the same run: weir_sim_hash() says so.
 *
 * Descriptors that it gives are numbers of this process like any other, of no use outside the
 * loop.  weir_listen_tcp() and weir_socket_port() name no loop, and so are Linux's: a server's
 * socket is the simulated kernel's if it is made by weir_socket(), weir_bind() and weir_listen().
 * A descriptor of the real kernel's works too, though not as the directory of a path, a recv from
 * it may come short in spite of MSG_WAITALL, and it must stay open while a task waits for it.  When
 * it is ready is then Linux's doing and breaks the promise of the same run, unless it is an eventfd
 * of this thread's own, and virtual time stands still meanwhile, but for jumps.  When an eventfd is
 * read, and so how many writes that are made in several turns are heard of as one, is for the seed
 * to decide.
 *
 * A buffer that the kernel fills holds rubbish from the start of the operation to its end; one that
 * it reads must not change meanwhile, or conf.report hears of it.  Both are plain memory accesses,
 * so AddressSanitizer sees a use after free that Linux would hide.  The frame of a task that is
 * finished is filled with rubbish (bytes of 0xa5) before its memory is freed.
 */
#ifndef WEIR_SIM_H
#define WEIR_SIM_H

#include "weir/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;

enum {	/* weir_sim_conf.trouble: beyond that operations end in any order */
	WEIR_SIM_LATE = 1,	/* some take time, up to WEIR_SIM_LATEST */
	WEIR_SIM_SHORT = 2,	/* some move fewer bytes than they could */
	WEIR_SIM_AGAIN = 4,	/* calls are cut short or refused for now: what weir should hide */
	WEIR_SIM_NARROW = 8,	/* some pipes, sockets and backlogs of TCP are small */
	WEIR_SIM_SHUFFLE = 16,	/* tasks that are ready run in any order, not the first first */
	WEIR_SIM_SOUND = 31,	/* all of the above: a correct program does its work */
	WEIR_SIM_ERRORS = 32,	/* some fail: -EIO, -ENOSPC, -ECONNRESET, -EMFILE, -ENOMEM... */
	WEIR_SIM_JUMPS = 64,	/* time passes while tasks run, seconds at once */
	WEIR_SIM_ALL = 127,
};

#define WEIR_SIM_LATEST		(100 * WEIR_MS)
#define WEIR_SIM_FILE_MAX	(16u << 20)	/* bytes in a file: more is -ENOSPC */

struct weir_sim_conf {
	uint64_t seed;		/* of all that it does; and of the loop, if conf.seed is 0 */
	unsigned trouble;	/* how much of each, the seed decides: none, some, a lot */
	/* Hears of everything that it does, a line each.  May be NULL. */
	void (*trace)(void *arg, const char *text);
	void *trace_arg;
};

struct weir_sim_stats {
	uint64_t taken, ended;		/* operations, those of the runtime itself included */
	uint64_t cancelled;		/* called off before they had any effect */
	uint64_t raced;			/* cancels that came too late: -ENOENT */
	uint64_t running;		/* cancelled when they could not be held up any more */
	uint64_t late, cut, again, failed, jumps;	/* trouble made */
	uint64_t steps;			/* of jobs */
	uint64_t touched;		/* buffers changed while the kernel had them */
	uint64_t open;			/* descriptors, now */
};

/* All of these: the loop's thread; -EINVAL, or of weir_sim_hash() 0, if the loop's kernel is not
 * simulated. */

/* A file of that content: by an absolute path, whose directories are made as needed.
 * Results: 0; -EEXIST; -ENOTDIR: below a file; -ENOSPC; -ENOMEM; -EINVAL, -ENAMETOOLONG. */
WEIR_API int weir_sim_file(struct weir_loop *loop, const char *path, const void *data, size_t len);

/* What the file holds now: up to size bytes of it in buf.  Results: its size; -ENOENT, -EISDIR,
 * -ENOTDIR, -ENAMETOOLONG. */
WEIR_API int weir_sim_content(struct weir_loop *loop, const char *path, void *buf, size_t size);

/* socketpair(AF_UNIX, SOCK_STREAM).  Results: 0; -EMFILE, -ENFILE, -ENOMEM. */
WEIR_API int weir_sim_socketpair(struct weir_loop *loop, int fds[2]);

/* A timerfd that expires first after ns, then each period ns unless that is 0; weir_read() gives
 * the count.  Results: the descriptor; -EMFILE, -ENFILE, -ENOMEM. */
WEIR_API int weir_sim_timerfd(struct weir_loop *loop, uint64_t first, uint64_t period);

/* close(2), for what one of these gave.  Tasks use weir_close().  An operation that is under way on
 * it goes on, as on Linux, and what it is on is closed when that ends.  Results: 0; -EBADF. */
WEIR_API int weir_sim_close(struct weir_loop *loop, int fd);

/* Of everything that happened so far, times included. */
WEIR_API uint64_t weir_sim_hash(struct weir_loop *loop);

WEIR_API int weir_sim_stats(struct weir_loop *loop, struct weir_sim_stats *stats);

#ifdef __cplusplus
}
#endif

#endif
