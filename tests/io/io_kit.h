/* SPDX-License-Identifier: MIT */
/*
 * io_kit.h - tasks that read, open and close once each, and a loop that is turned by hand.
 *
 * Tests are written from the host's side.  A turn runs the tasks and then lets the kernel see what
 * they submitted: what could end has ended by then, and its task has not run since.  What a task
 * got stands in a variable of the test's, PENDING for as long as it waits.  A read of an empty
 * pipe is what waits for ever.
 */
#ifndef IO_KIT_H
#define IO_KIT_H

#include <fcntl.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

#define PENDING	12345

static struct weir_loop *loop;
static struct weir_group group;		/* of the tasks that a test starts and may cancel */
static int pipe_fds[2];

static inline void regroup(void)
{
	weir_group_init(&group, weir_loop_ctx(loop),
			&(struct weir_group_conf){ .keep_going = true });
}

static inline void begin_on(struct weir_loop *l)
{
	loop = l;
	regroup();
	ck_assert_int_eq(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
}

static inline void begin(void)
{
	begin_on(test_loop());
}

static inline void turn(void)
{
	ck_assert_int_ge(weir_loop_dispatch(loop), 0);
}

struct wait_all { struct weir_frame co; };

static inline WEIR_CO(wait_all, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_group_wait(op, &group));
	WEIR_RETURN(rc);
}
WEIR_END

/* Waits for every task of the group; returns the first error, and the group is as new. */
static inline int finish(void)
{
	int rc = weir_run(loop, wait_all);

	regroup();
	return rc;
}

static inline int cancel(void)
{
	weir_group_cancel(&group, 0);
	return finish();
}

static inline void end(void)
{
	struct weir_loop_stats s;

	weir_loop_stats(loop, &s);
	ck_assert_uint_eq(s.in_flight + s.parked, 0);
	ck_assert_uint_eq(s.cq_overflows, 0);
	ck_assert_uint_eq(s.unknown, 0);
	weir_group_fini(&group);
	test_loop_free(loop);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* ---- tasks ---- */

#define go(name, ...)	\
	ck_assert_int_eq(weir_go(&group, name, __VA_ARGS__), 0)

struct reader { struct weir_frame co; int fd, *rc; char buf[8]; };

static inline WEIR_CO(reader, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, weir_read(op, self->fd, self->buf, sizeof self->buf, -1));
	WEIR_RETURN(*self->rc);
}
WEIR_END

struct opener { struct weir_frame co; const char *path; int *rc; };

static inline WEIR_CO(opener, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, weir_open(op, self->path, O_RDONLY, 0));
	WEIR_RETURN(*self->rc);
}
WEIR_END

struct closer { struct weir_frame co; int fd, *rc; };

static inline WEIR_CO(closer, self, op)
{
	*self->rc = PENDING;
	WEIR_AWAIT(*self->rc, weir_close(op, self->fd));
	WEIR_RETURN(*self->rc);
}
WEIR_END

/* Cancels the others in the turn in which they submit. */
struct canceller { struct weir_frame co; };

static inline WEIR_CO(canceller, self, op)
{
	weir_group_cancel(&group, 0);
}
WEIR_END

#endif
