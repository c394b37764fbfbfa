/* SPDX-License-Identifier: MIT */
/* explore_kit.h - what the programs that are explored share: a loop, and threads. */
#ifndef EXPLORE_KIT_H
#define EXPLORE_KIT_H

#include "explore/kit/explore.h"
#include "harness.h"
#include "weir.h"

static struct weir_loop *loop;

static inline struct weir_loop *loop_new(void)
{
	const struct weir_loop_conf conf = { .ops = 16, .entries = 8, .threads = 1, .seed = 1 };
	struct weir_loop *l;

	expect(weir_loop_new(&l, &conf) == 0);
	return l;
}

static inline void loop_begin(void)
{
	loop = loop_new();
}

static inline void loop_end_leaking(int n)
{
	expect(weir_loop_free(loop) == n);
}

static inline void loop_end(void)
{
	loop_end_leaking(0);
}

static inline void thread_begin(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	expect(pthread_create(thread, NULL, fn, arg) == 0);
}

static inline void thread_end(pthread_t thread)
{
	expect(pthread_join(thread, NULL) == 0);
}

#endif
