/* SPDX-License-Identifier: MIT */
/*
 * points.h - makes each atomic access a point of the explorer.
 *
 * The Makefile has files of the runtime that other threads meet compiled once more with this in
 * front.  A macro is not expanded again inside itself, so each name below stands for the compiler's
 * own, behind a call.  GCC's <stdatomic.h> is made of the first ones, Clang's of the others.
 */
#ifndef EXPLORE_POINTS_H
#define EXPLORE_POINTS_H

void explore_atomic(const volatile void *p, const char *function);

#define POINT_(p)	explore_atomic((p), __func__)

#define __atomic_load_n(p, order)	(POINT_(p), __atomic_load_n(p, order))
#define __atomic_load(p, to, order)	(POINT_(p), __atomic_load(p, to, order))
#define __atomic_store_n(p, v, order)	(POINT_(p), __atomic_store_n(p, v, order))
#define __atomic_store(p, v, order)	(POINT_(p), __atomic_store(p, v, order))
#define __atomic_exchange_n(p, v, order)	(POINT_(p), __atomic_exchange_n(p, v, order))
#define __atomic_exchange(p, v, to, order)	(POINT_(p), __atomic_exchange(p, v, to, order))
#define __atomic_fetch_add(p, n, order)	(POINT_(p), __atomic_fetch_add(p, n, order))
#define __atomic_fetch_sub(p, n, order)	(POINT_(p), __atomic_fetch_sub(p, n, order))

#define __c11_atomic_load(p, order)		(POINT_(p), __c11_atomic_load(p, order))
#define __c11_atomic_store(p, v, order)		(POINT_(p), __c11_atomic_store(p, v, order))
#define __c11_atomic_exchange(p, v, order)	(POINT_(p), __c11_atomic_exchange(p, v, order))
#define __c11_atomic_fetch_add(p, n, order)	(POINT_(p), __c11_atomic_fetch_add(p, n, order))
#define __c11_atomic_fetch_sub(p, n, order)	(POINT_(p), __c11_atomic_fetch_sub(p, n, order))

#endif
