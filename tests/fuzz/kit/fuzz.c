/* SPDX-License-Identifier: MIT */
/* fuzz.c - see fuzz.h: the bytes of one input, its loop, and the end of a program that is wrong. */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weir/sim.h"

#define OPS	64	/* kernel ops in flight: a program can have more */

bool fuzz_verbose;

static struct {
	const uint8_t *at, *end;
} input;

static char report[1 << 12];
static size_t report_len;

/* ---- the bytes ---- */

void fuzz_input(const uint8_t *data, size_t size)
{
	input.at = data;
	input.end = data + size;
	report_len = 0;
}

bool fuzz_left(void)
{
	return input.at < input.end;
}

unsigned fuzz_byte(void)
{
	return fuzz_left() ? *input.at++ : 0;
}

unsigned fuzz_below(unsigned n)
{
	unsigned b = fuzz_byte();

	return n ? b % n : 0;
}

size_t fuzz_rest(void *buf, size_t size)
{
	size_t n = (size_t)(input.end - input.at);

	n = n < size ? n : size;
	if (n)
		memcpy(buf, input.at, n);
	input.at += n;
	return n;
}

uint64_t fuzz_ns(void)
{
	static const uint64_t unit[] = { 1, WEIR_US, WEIR_MS, WEIR_S };
	unsigned b = fuzz_byte();

	return (b >> 2) * unit[b & 3];
}

/* ---- the loop ---- */

static void keep_report(void *arg, const char *text)
{
	size_t room = sizeof report - report_len;
	int n = snprintf(report + report_len, room, "%s\n", text);

	(void)arg;
	report_len += (size_t)n < room ? (size_t)n : room - 1;
}

static void trace(void *arg, const char *text)
{
	(void)arg;
	fuzz_say("%s", text);
}

struct weir_loop *fuzz_loop(void)
{
	struct weir_sim_conf sim = { .trace = fuzz_verbose ? trace : NULL };
	struct weir_loop_conf conf = {
		.ops = OPS, .sim = &sim, .check = true, .report = keep_report,
	};
	struct weir_loop *loop;
	char why[512];
	int rc;

	sim.trouble = fuzz_byte() & WEIR_SIM_ALL;
	sim.seed = 1 + fuzz_byte();
	sim.seed += (uint64_t)fuzz_byte() << 8;
	fuzz_say("a loop: trouble %u, seed %llu", sim.trouble, (unsigned long long)sim.seed);
	rc = weir_loop_new(&loop, &conf);
	if (rc < 0) {
		fprintf(stderr, "%s\n", weir_explain(rc, why, sizeof why));
		abort();
	}
	return loop;
}

void fuzz_loop_free(struct weir_loop *loop)
{
	struct weir_sim_stats stats;

	must_eq(weir_sim_stats(loop, &stats), 0);
	must_eq(stats.open, 0);
	must_eq(stats.touched, 0);
	must_eq(weir_loop_free(loop), 0);
}

/* ---- what must hold ---- */

void fuzz_say_(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void fuzz_broken_(const char *where, const char *what, long long a, long long b)
{
	fprintf(stderr, "%s%s: not so: %s", report_len ? report : "", where, what);
	if (a || b)
		fprintf(stderr, " (%lld, %lld)", a, b);
	fputc('\n', stderr);
	abort();
}
