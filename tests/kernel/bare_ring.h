/* SPDX-License-Identifier: MIT */
/*
 * bare_ring.h - a ring without a backend, Linux's or a simulated kernel's, for tests that look at
 * completions which nothing above the backend ever sees.
 */
#ifndef TESTS_BARE_RING_H
#define TESTS_BARE_RING_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "harness.h"
#include "kernel/sim_node.h"
#include "kernel/uring.h"

#define OP		1	/* the slots of the operation, of its cancel, of another thing */
#define CANCEL		2
#define OTHER		3

struct bench {
	struct uring u;
	int fds[2];
};

static const struct weir_op_def def = { .name = "op" };
static struct weir_op ops[OTHER + 1];

static const unsigned ring_flags[] = {
	IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0,
};

static inline void set_up(struct bench *b, const struct weir_sys_ops *sys, void *world)
{
	struct io_uring_params p;
	unsigned i;
	int rc = -EINVAL;

	memset(b, 0, sizeof *b);
	b->u.sys = sys;
	b->u.world = world;
	b->fds[0] = b->fds[1] = -1;
	for (i = 0; rc == -EINVAL && i < sizeof ring_flags / sizeof *ring_flags; i++) {
		memset(&p, 0, sizeof p);
		p.flags = ring_flags[i] | IORING_SETUP_CQSIZE;
		p.cq_entries = 16;
		rc = sys->ring_init(&b->u, &b->u.ring, 8, &p);
	}
	ck_assert_int_eq(rc, 0);
	ck_assert_int_eq(weir_uring_ops_init_(&b->u, 8), 0);
	for (i = 0; i <= OTHER; i++) {
		ops[i].def = &def;
		b->u.slots[i].op = &ops[i];
	}
}

static inline void tear_down(struct bench *b)
{
	b->u.sys->ring_exit(&b->u, &b->u.ring);
	weir_uring_ops_fini_(&b->u);
	if (b->fds[0] >= 0)
		b->u.sys->close(&b->u, b->fds[0]);
	if (b->fds[1] >= 0)
		b->u.sys->close(&b->u, b->fds[1]);
}

static inline void enter(struct bench *b, bool block)
{
	int rc;

	do {
		rc = b->u.sys->enter(&b->u, block);
	} while (io_uring_sq_ready(&b->u.ring) && (rc >= 0 || rc == -EAGAIN || rc == -EBUSY));
}

static inline const char *word(int res)
{
	if (res >= 0)
		return res ? "done" : "0";
	return res == -512 ? "ERESTARTSYS" : strerrorname_np(-res);
}

static inline void open_pair(struct bench *b, struct sim *s)
{
	if (s)
		ck_assert_int_eq(weir_sim_pair_(s, b->fds), 0);
	else
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
					    b->fds), 0);
}

#endif
