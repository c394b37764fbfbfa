/* SPDX-License-Identifier: MIT */
/*
 * time.h - sleeping.
 *
 * Time is that of the loop's clock, weir_now(): read once a turn, so a sleep is measured from the
 * start of the turn in which it begins.  All sleeps of a loop hang on its one timerfd.  Two that
 * end at the same time end in the order in which they began.
 */
#ifndef WEIR_TIME_H
#define WEIR_TIME_H

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A loop with so many timers, or more, that sleeps when one is due soon sleeps for so long: those
 * due meanwhile wake it once, not one by one.  They still end in their order.  A clock that is
 * virtual or simulated is exact. */
#define WEIR_TIMER_CROWD	1024
#define WEIR_TIMER_SLACK	(50 * WEIR_US)

/* Awaits until ns have passed; 0 ns does not wait.  Result: 0; or the ctx's error, at once. */
WEIR_API WEIR_MUST_USE struct weir_op *weir_sleep(struct weir_op *op, uint64_t ns);

/* Awaits time t of the loop's clock; WEIR_FOREVER: until the ctx is done.  Results as
 * weir_sleep(). */
WEIR_API WEIR_MUST_USE struct weir_op *weir_sleep_until(struct weir_op *op, uint64_t t);

#ifdef __cplusplus
}
#endif

#endif
