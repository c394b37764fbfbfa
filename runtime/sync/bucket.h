/* SPDX-License-Identifier: MIT */
/*
 * bucket.h - the arithmetic of a token bucket, for any clock: Go's x/time/rate, result by result.
 *
 * No loop, no waiting, no checks of rate and burst: limiter.c has those.  Every function is told
 * the time, and follows Go where that goes back: nothing is gained then, but the bucket counts from
 * the earlier time on, and so gains twice.  limiter.c never lets it go back.  A call that fails
 * changes nothing.
 *
 * Times are nanoseconds below INT64_MAX; a duration is at most that, which stands for never.
 */
#ifndef WEIR_SYNC_BUCKET_H
#define WEIR_SYNC_BUCKET_H

#include "weir/limiter.h"

#define WEIR_NEVER_NS_	((uint64_t)INT64_MAX)

/* How long it takes to gain tokens, rounded down. */
uint64_t weir_rate_ns_(double rate, double tokens);

void weir_bucket_init_(struct weir_bucket *b, double rate, int64_t burst);

double weir_bucket_tokens_at_(const struct weir_bucket *b, uint64_t t);

/* Results: 1; 0; -EINVAL. */
int weir_bucket_allow_at_(struct weir_bucket *b, uint64_t t, int64_t n);

/* Fills all of r but what is limiter.c's.  Results: 0; -E2BIG; -ETIMEDOUT would have to wait longer
 * than max_ns; -EINVAL. */
int weir_bucket_reserve_at_(struct weir_bucket *b, uint64_t t, int64_t n, uint64_t max_ns,
			    struct weir_reservation *r);

/* Takes n tokens, whether or not they are there. */
void weir_bucket_take_at_(struct weir_bucket *b, uint64_t t, int64_t n);

/* Gives back what r took, less what was promised since; at most `most`.  (When reservations were
 * cancelled out of order, Go's reckoning may come to more than r's n.)  Returns how many tokens. */
double weir_bucket_cancel_at_(struct weir_bucket *b, uint64_t t, struct weir_reservation *r,
			      double most);

/* What was gained until t is so at the old rate and burst. */
void weir_bucket_set_rate_at_(struct weir_bucket *b, uint64_t t, double rate);
void weir_bucket_set_burst_at_(struct weir_bucket *b, uint64_t t, int64_t burst);

#endif
