/* SPDX-License-Identifier: MIT */
/*
 * bucket.c - the arithmetic of the limiter against Go's.
 *
 * Time is d = 100 ms times a small number, as in Go's own tests.  The vectors are random sequences
 * with what Go made of them, one call a line: sequence, call, time, argument, reservation, result.
 * WEIR_RATE_VECTORS names a further file of them, see tests/vectors/generate.
 */
#define _GNU_SOURCE
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "sync/bucket.h"

#define D	(100 * WEIR_MS)
#define NEVER	WEIR_NEVER_NS_

static struct weir_bucket b;

struct call {
	uint64_t t;
	double tokens;		/* before it */
	int64_t n;
	int allowed;
};

static void ck_allow(uint64_t t, int64_t n, int allowed)
{
	ck_assert_int_eq(weir_bucket_allow_at_(&b, t * D, n), allowed);
}

static struct weir_reservation reserve(uint64_t t, int64_t n, uint64_t due)
{
	struct weir_reservation r;

	ck_assert_int_eq(weir_bucket_reserve_at_(&b, t * D, n, NEVER, &r), 0);
	ck_assert_uint_eq(r.due, due * D);
	return r;
}

/* As Go does it. */
static double cancel(uint64_t t, struct weir_reservation *r)
{
	return weir_bucket_cancel_at_(&b, t, r, (double)INFINITY);
}

static void ck_tokens(uint64_t t, double tokens)
{
	ck_assert_double_eq_tol(weir_bucket_tokens_at_(&b, t * D), tokens, 1e-9);
}

static void ck_calls(const struct call *call, size_t n)
{
	for (; n; call++, n--) {
		ck_tokens(call->t, call->tokens);
		ck_allow(call->t, call->n, call->allowed);
	}
}

/* ---- allow ---- */

START_TEST(burst_1_at_10_a_second_gives_one_a_tick)
{
	static const struct call call[] = {
		{ 0, 1, 1, 1 }, { 0, 0, 1, 0 }, { 0, 0, 1, 0 },
		{ 1, 1, 1, 1 }, { 1, 0, 1, 0 }, { 1, 0, 1, 0 },
		{ 2, 1, 2, 0 }, { 2, 1, 1, 1 }, { 2, 0, 1, 0 },
	};

	weir_bucket_init_(&b, 10, 1);
	ck_calls(call, sizeof call / sizeof *call);
}
END_TEST

START_TEST(burst_3_at_10_a_second_saves_up_to_three)
{
	static const struct call call[] = {
		{ 0, 3, 2, 1 }, { 0, 1, 2, 0 }, { 0, 1, 1, 1 }, { 0, 0, 1, 0 },
		{ 1, 1, 4, 0 }, { 2, 2, 1, 1 }, { 3, 2, 1, 1 },
		{ 4, 2, 1, 1 }, { 4, 1, 1, 1 }, { 4, 0, 1, 0 }, { 4, 0, 1, 0 },
		{ 9, 3, 3, 1 }, { 9, 0, 0, 1 },
	};

	weir_bucket_init_(&b, 10, 3);
	ck_calls(call, sizeof call / sizeof *call);
}
END_TEST

START_TEST(a_clock_that_goes_back_gains_nothing_until_it_passes_again)
{
	weir_bucket_init_(&b, 10, 3);
	ck_allow(1, 1, 1);
	ck_allow(0, 1, 1);
	ck_allow(0, 1, 1);
	ck_allow(0, 1, 0);
	ck_allow(0, 1, 0);
	ck_tokens(1, 1);
	ck_allow(1, 1, 1);
	ck_allow(1, 1, 0);
	ck_allow(1, 1, 0);
	ck_allow(2, 1, 1);
	ck_allow(2, 1, 0);
	ck_allow(2, 1, 0);
}
END_TEST

START_TEST(an_odd_rate_allows_its_first_token)
{
	weir_bucket_init_(&b, 0.7692307692307693, 1);
	ck_allow(0, 1, 1);
	ck_allow(0, 1, 0);
}
END_TEST

START_TEST(a_tiny_rate_does_not_overflow)
{
	weir_bucket_init_(&b, 1e-10, 1);
	ck_allow(0, 1, 1);
	ck_allow(1, 1, 0);
	ck_allow(1000, 1, 0);
	ck_assert_uint_eq(weir_rate_ns_(1e-10, 1), NEVER);
	ck_assert_uint_eq(weir_rate_ns_(5e-324, 1e300), NEVER);
	ck_assert_uint_eq(weir_rate_ns_(0, 1e-300), NEVER);
	ck_assert_uint_eq(weir_rate_ns_(0, 0), 0);
}
END_TEST

START_TEST(rate_0_gives_its_burst_once)
{
	weir_bucket_init_(&b, 0, 2);
	ck_allow(0, 1, 1);
	ck_allow(5, 1, 1);
	ck_allow(1000000, 1, 0);
	ck_allow(1000000, 0, 1);
}
END_TEST

START_TEST(an_infinite_rate_ignores_the_burst)
{
	weir_bucket_init_(&b, WEIR_RATE_INF, 0);
	ck_allow(0, 3, 1);
	ck_allow(0, WEIR_LIMITER_MAX, 1);
	reserve(2, 1000, 2);
}
END_TEST

START_TEST(burst_0_allows_nothing_but_0)
{
	weir_bucket_init_(&b, 10, 0);
	ck_allow(0, 1, 0);
	ck_allow(0, 0, 1);
	ck_allow(100, 1, 0);
}
END_TEST

START_TEST(n_0_is_refused_while_tokens_are_owed)
{
	weir_bucket_init_(&b, 10, 2);
	reserve(0, 2, 0);
	reserve(0, 1, 1);
	ck_allow(0, 0, 0);
	reserve(0, 0, 1);
	ck_allow(1, 0, 1);
}
END_TEST

START_TEST(a_negative_n_is_einval_and_adds_nothing)
{
	struct weir_reservation r;

	weir_bucket_init_(&b, 10, 5);
	ck_allow(0, 5, 1);
	ck_allow(0, -3, -EINVAL);
	ck_assert_int_eq(weir_bucket_reserve_at_(&b, 0, -1, NEVER, &r), -EINVAL);
	ck_assert_int_eq(r.n, 0);
	ck_tokens(0, 0);
	weir_bucket_init_(&b, WEIR_RATE_INF, 5);
	ck_allow(0, -3, -EINVAL);
}
END_TEST

START_TEST(a_burst_of_a_terabyte_counts_each_byte)
{
	weir_bucket_init_(&b, 1e9, 1ll << 40);
	ck_allow(0, (1ll << 40) - 1, 1);
	ck_allow(0, 2, 0);
	ck_allow(0, 1, 1);
	ck_allow(0, 1, 0);
	ck_assert_int_eq(weir_bucket_allow_at_(&b, 1, 1), 1);
	ck_assert_int_eq(weir_bucket_allow_at_(&b, 1, 1), 0);
}
END_TEST

/* ---- reserve and cancel ---- */

START_TEST(a_reservation_waits_for_those_before)
{
	weir_bucket_init_(&b, 10, 2);
	reserve(0, 2, 0);
	reserve(0, 2, 2);
	reserve(3, 2, 4);
}
END_TEST

START_TEST(allow_stands_behind_reservations)
{
	struct weir_reservation r;

	weir_bucket_init_(&b, 10, 2);
	ck_assert_int_eq(weir_bucket_reserve_at_(&b, 0, 3, NEVER, &r), -E2BIG);
	reserve(0, 2, 0);
	ck_tokens(1, 1);
	ck_allow(1, 2, 0);
	reserve(1, 2, 2);
	ck_tokens(1, -1);
	ck_allow(1, 1, 0);
	ck_allow(3, 1, 1);
}
END_TEST

START_TEST(a_refusal_changes_nothing)
{
	struct weir_reservation r;
	struct weir_bucket before;

	weir_bucket_init_(&b, 10, 2);
	reserve(1, 2, 1);
	before = b;
	ck_assert_int_eq(weir_bucket_reserve_at_(&b, 2 * D, 3, NEVER, &r), -E2BIG);
	ck_assert_int_eq(weir_bucket_reserve_at_(&b, 2 * D, 2, D - 1, &r), -ETIMEDOUT);
	cancel(2 * D, &r);
	ck_allow(2, 2, 0);
	ck_assert_double_eq(b.tokens, before.tokens);
	ck_assert_uint_eq(b.last, before.last);
	ck_assert_uint_eq(b.last_event, before.last_event);
	ck_assert_int_eq(weir_bucket_reserve_at_(&b, 2 * D, 2, D, &r), 0);
}
END_TEST

START_TEST(a_cancel_gives_all_back_if_nobody_came_after)
{
	struct weir_reservation r;

	weir_bucket_init_(&b, 10, 2);
	reserve(0, 2, 0);
	r = reserve(0, 2, 2);
	cancel(D, &r);
	reserve(1, 2, 2);
}
END_TEST

START_TEST(a_cancel_after_the_due_time_gives_nothing_back)
{
	struct weir_reservation r;

	weir_bucket_init_(&b, 10, 2);
	reserve(0, 2, 0);
	r = reserve(0, 2, 2);
	cancel(3 * D, &r);
	reserve(3, 2, 4);
}
END_TEST

START_TEST(a_cancel_gives_nothing_back_that_was_promised_since)
{
	struct weir_reservation r;

	weir_bucket_init_(&b, 10, 2);
	reserve(0, 2, 0);
	r = reserve(0, 1, 1);
	reserve(0, 1, 2);
	cancel(0, &r);
	reserve(0, 1, 3);
}
END_TEST

START_TEST(a_cancel_gives_the_rest_back)
{
	struct weir_reservation r;

	weir_bucket_init_(&b, 10, 2);
	reserve(0, 2, 0);
	r = reserve(0, 2, 2);
	reserve(0, 1, 3);
	cancel(2 * D, &r);
	reserve(2, 2, 4);
}
END_TEST

START_TEST(two_cancels_in_reverse_order_add_up)
{
	struct weir_reservation a, c;

	weir_bucket_init_(&b, 10, 4);
	reserve(0, 4, 0);
	a = reserve(0, 3, 3);
	reserve(0, 1, 4);
	c = reserve(0, 1, 5);
	cancel(D, &c);
	cancel(D, &a);
	reserve(1, 3, 5);
}
END_TEST

START_TEST(a_second_cancel_gives_nothing_back)
{
	struct weir_reservation r;

	weir_bucket_init_(&b, 10, 2);
	reserve(0, 2, 0);
	r = reserve(0, 2, 2);
	ck_assert_double_eq(cancel(0, &r), 2);
	ck_assert_double_eq(cancel(0, &r), 0);
	ck_tokens(0, 0);
	reserve(0, 2, 2);
}
END_TEST

START_TEST(a_cancel_out_of_order_gives_back_more_than_was_taken_only_as_go_does_it)
{
	struct weir_reservation a, c;
	int most;

	for (most = 1; most <= 2; most++) {
		weir_bucket_init_(&b, 10, 3);
		reserve(0, 3, 0);
		a = reserve(0, 3, 3);
		c = reserve(0, 1, 4);
		cancel(D, &a);
		reserve(1, 1, 3);
		ck_assert_double_eq_tol(weir_bucket_cancel_at_(&b, D, &c, most), most, 1e-9);
	}
}
END_TEST

START_TEST(a_cancel_while_the_rate_is_infinite_gives_nothing_back)
{
	struct weir_reservation r;

	weir_bucket_init_(&b, 10, 1);
	reserve(0, 1, 0);
	r = reserve(0, 1, 1);
	weir_bucket_set_rate_at_(&b, 0, WEIR_RATE_INF);
	cancel(0, &r);
	weir_bucket_set_rate_at_(&b, 0, 10);
	ck_tokens(0, -1);
}
END_TEST

/* ---- changes ---- */

START_TEST(a_new_rate_holds_from_then_on)
{
	weir_bucket_init_(&b, 5, 2);
	reserve(0, 2, 0);
	reserve(0, 2, 4);
	weir_bucket_set_rate_at_(&b, 2 * D, 10);
	reserve(2, 1, 4);
}
END_TEST

START_TEST(a_new_burst_holds_from_then_on)
{
	weir_bucket_init_(&b, 5, 2);
	reserve(0, 2, 0);
	reserve(0, 2, 4);
	weir_bucket_set_burst_at_(&b, 3 * D, 4);
	reserve(0, 4, 9);
}
END_TEST

START_TEST(a_cancel_after_a_new_rate_counts_by_the_old)
{
	struct weir_reservation r;

	weir_bucket_init_(&b, 5, 2);
	reserve(0, 2, 0);
	r = reserve(0, 2, 4);
	weir_bucket_set_rate_at_(&b, 2 * D, 10);
	cancel(2 * D, &r);
	reserve(2, 2, 3);
}
END_TEST

START_TEST(a_smaller_burst_cuts_what_was_saved)
{
	weir_bucket_init_(&b, 10, 5);
	weir_bucket_set_burst_at_(&b, D, 2);
	ck_tokens(1, 2);
	weir_bucket_set_burst_at_(&b, D, 5);
	ck_tokens(1, 2);
	ck_tokens(2, 3);
}
END_TEST

START_TEST(every_is_the_inverse_of_a_rate)
{
	ck_assert_double_eq(weir_every(D), 10);
	ck_assert_double_eq(weir_every(WEIR_S), 1);
	ck_assert_double_eq(weir_every(WEIR_HOUR), 1 / 3600.0);
	ck_assert_double_eq_tol(weir_every(1), 1e9, 1e-6);
	ck_assert_double_eq(weir_every(0), WEIR_RATE_INF);
}
END_TEST

/* ---- the vectors ---- */

#define IDS	256	/* reservations of one sequence */

/* The fields of line, split at tabs; empty ones are kept, missing ones are empty. */
static void split(char *line, const char *field[], unsigned n)
{
	line[strcspn(line, "\n")] = '\0';
	for (; n; field++, n--)
		*field = line ? strsep(&line, "\t") : "";
}

static double rate_of(const char *s)
{
	return strcmp(s, "inf") == 0 ? WEIR_RATE_INF : strtod(s, NULL);
}

/* "1,due", or "0,inf". */
static bool reserved(const struct weir_reservation *r, int rc, const char *result)
{
	uint64_t want = strtoull(result + 2, NULL, 10), due = r->due < NEVER ? r->due : NEVER;

	if (*result == '0')
		return rc == -E2BIG;
	return rc == 0 && due + 1 >= want && due <= want + 1;
}

static bool close_to(double x, const char *result)
{
	double want = strtod(result, NULL);

	return fabs(x - want) <= 1e-9 * fabs(want);
}

/* Makes one call: is the answer that of Go? */
static bool play(const char *call, const char *at, const char *arg, const char *id,
		 const char *result)
{
	static struct weir_reservation kept[IDS];
	struct weir_reservation *r = &kept[strtoul(id, NULL, 10) % IDS];
	uint64_t t = strtoull(at, NULL, 10);
	int64_t n = strtoll(arg, NULL, 10);

	if (strcmp(call, "new") == 0)
		weir_bucket_init_(&b, rate_of(arg), strtoll(id, NULL, 10));
	else if (strcmp(call, "allow") == 0)
		return weir_bucket_allow_at_(&b, t, n) == *result - '0';
	else if (strcmp(call, "reserve") == 0)
		return reserved(r, weir_bucket_reserve_at_(&b, t, n, NEVER, r), result);
	else if (strcmp(call, "cancel") == 0)
		cancel(t, r);
	else if (strcmp(call, "setlimit") == 0)
		weir_bucket_set_rate_at_(&b, t, rate_of(arg));
	else if (strcmp(call, "setburst") == 0)
		weir_bucket_set_burst_at_(&b, t, n);
	else if (strcmp(call, "tokens") == 0)
		return close_to(weir_bucket_tokens_at_(&b, t), result);
	else
		return false;
	return true;
}

static unsigned play_file(const char *path)
{
	char line[256];
	const char *f[6];
	unsigned lines = 0;
	FILE *file = fopen(path, "r");

	ck_assert_msg(file != NULL, "%s: cannot be opened", path);
	while (fgets(line, sizeof line, file)) {
		if (*line == '#')
			continue;
		split(line, f, 6);
		if (!play(f[1], f[2], f[3], f[4], f[5]))
			ck_abort_msg("%s: %s %s %s: not %s", path, f[0], f[1], f[2], f[5]);
		lines++;
	}
	fclose(file);
	return lines;
}

START_TEST(all_that_go_answered_is_answered_so)
{
	ck_assert_uint_eq(play_file("tests/vectors/rate.tsv"), 2942);
}
END_TEST

START_TEST(so_is_all_in_the_file_that_weir_rate_vectors_names)
{
	const char *path = getenv("WEIR_RATE_VECTORS");

	if (path)
		ck_assert_uint_gt(play_file(path), 0);
}
END_TEST

TESTS("bucket",
      burst_1_at_10_a_second_gives_one_a_tick,
      burst_3_at_10_a_second_saves_up_to_three,
      a_clock_that_goes_back_gains_nothing_until_it_passes_again,
      an_odd_rate_allows_its_first_token,
      a_tiny_rate_does_not_overflow,
      rate_0_gives_its_burst_once,
      an_infinite_rate_ignores_the_burst,
      burst_0_allows_nothing_but_0,
      n_0_is_refused_while_tokens_are_owed,
      a_negative_n_is_einval_and_adds_nothing,
      a_burst_of_a_terabyte_counts_each_byte,
      a_reservation_waits_for_those_before,
      allow_stands_behind_reservations,
      a_refusal_changes_nothing,
      a_cancel_gives_all_back_if_nobody_came_after,
      a_cancel_after_the_due_time_gives_nothing_back,
      a_cancel_gives_nothing_back_that_was_promised_since,
      a_cancel_gives_the_rest_back,
      two_cancels_in_reverse_order_add_up,
      a_second_cancel_gives_nothing_back,
      a_cancel_out_of_order_gives_back_more_than_was_taken_only_as_go_does_it,
      a_cancel_while_the_rate_is_infinite_gives_nothing_back,
      a_new_rate_holds_from_then_on,
      a_new_burst_holds_from_then_on,
      a_cancel_after_a_new_rate_counts_by_the_old,
      a_smaller_burst_cuts_what_was_saved,
      every_is_the_inverse_of_a_rate,
      all_that_go_answered_is_answered_so,
      so_is_all_in_the_file_that_weir_rate_vectors_names)
