/* SPDX-License-Identifier: MIT */
/*
 * bucket.c - see bucket.h.
 *
 * Tokens are a double, times are integers, and each result comes from the same operations in the
 * same order as in Go: the vectors in tests/vectors hold to the nanosecond.
 */
#include "sync/bucket.h"

/* Whole seconds and the rest apart: more digits for long times. */
static double seconds(int64_t ns)
{
	int64_t s = (int64_t)WEIR_S;

	return (double)(ns / s) + (double)(ns % s) / 1e9;
}

uint64_t weir_rate_ns_(double rate, double tokens)
{
	double ns;

	if (tokens <= 0)
		return 0;
	if (rate <= 0)
		return WEIR_NEVER_NS_;
	ns = tokens / rate * 1e9;
	return ns < 0x1p63 ? (uint64_t)ns : WEIR_NEVER_NS_;
}

static int64_t clamp_ns(uint64_t ns)
{
	return ns < WEIR_NEVER_NS_ ? (int64_t)ns : INT64_MAX;
}

void weir_bucket_init_(struct weir_bucket *b, double rate, int64_t burst)
{
	b->rate = rate;
	b->burst = burst;
	b->tokens = (double)burst;
	b->last = 0;
	b->last_event = WEIR_FOREVER;
}

double weir_bucket_tokens_at_(const struct weir_bucket *b, uint64_t t)
{
	double tokens = b->tokens, burst = (double)b->burst;

	if (t > b->last)	/* mostly not: a turn of the loop is one instant */
		tokens += seconds(clamp_ns(t - b->last)) * b->rate;
	return tokens < burst ? tokens : burst;
}

static void set(struct weir_bucket *b, uint64_t t, double tokens)
{
	b->last = t;
	b->tokens = tokens;
}

int weir_bucket_reserve_at_(struct weir_bucket *b, uint64_t t, int64_t n, uint64_t max_ns,
			    struct weir_reservation *r)
{
	uint64_t wait;
	double tokens;

	r->n = 0;
	r->due = WEIR_FOREVER;
	r->rate = 0;
	if (n < 0)
		return -EINVAL;
	if (b->rate == WEIR_RATE_INF) {
		r->n = n;
		r->due = t;
		return 0;
	}
	if (n > b->burst)
		return -E2BIG;
	tokens = weir_bucket_tokens_at_(b, t) - (double)n;
	wait = weir_rate_ns_(b->rate, -tokens);
	if (wait > max_ns)
		return -ETIMEDOUT;
	set(b, t, tokens);
	b->last_event = t + wait;
	r->n = n;
	r->due = t + wait;
	r->rate = b->rate;
	return 0;
}

int weir_bucket_allow_at_(struct weir_bucket *b, uint64_t t, int64_t n)
{
	struct weir_reservation r;
	int rc = weir_bucket_reserve_at_(b, t, n, 0, &r);

	return rc == -EINVAL ? rc : rc == 0;
}

void weir_bucket_take_at_(struct weir_bucket *b, uint64_t t, int64_t n)
{
	set(b, t, weir_bucket_tokens_at_(b, t) - (double)n);
}

/* What reservations made after r have been promised: all between its time and theirs. */
static double promised_since(const struct weir_bucket *b, const struct weir_reservation *r)
{
	if (r->rate <= 0)
		return 0;
	if (b->last_event >= r->due)
		return seconds(clamp_ns(b->last_event - r->due)) * r->rate;
	return -seconds(clamp_ns(r->due - b->last_event)) * r->rate;
}

double weir_bucket_cancel_at_(struct weir_bucket *b, uint64_t t, struct weir_reservation *r,
			      double most)
{
	double n = (double)r->n, restore, tokens, burst = (double)b->burst;

	r->n = 0;
	if (n == 0 || b->rate == WEIR_RATE_INF || r->due < t)
		return 0;
	restore = n - promised_since(b, r);
	if (restore <= 0)
		return 0;
	if (restore > most)
		restore = most;
	tokens = weir_bucket_tokens_at_(b, t) + restore;
	set(b, t, tokens < burst ? tokens : burst);
	if (r->due == b->last_event) {
		uint64_t span = weir_rate_ns_(r->rate, n);

		if (r->rate <= 0)
			b->last_event = weir_time_add(r->due, WEIR_NEVER_NS_);
		else if (r->due >= span && r->due - span >= t)
			b->last_event = r->due - span;
	}
	return restore;
}

void weir_bucket_set_rate_at_(struct weir_bucket *b, uint64_t t, double rate)
{
	set(b, t, weir_bucket_tokens_at_(b, t));
	b->rate = rate;
}

void weir_bucket_set_burst_at_(struct weir_bucket *b, uint64_t t, int64_t burst)
{
	set(b, t, weir_bucket_tokens_at_(b, t));
	b->burst = burst;
}
