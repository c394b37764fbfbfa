/* SPDX-License-Identifier: MIT */
/*
 * main.c - the subject `weir` of the bench suite; see bench/README.md.
 *
 *	build/bench/weir		names the workloads
 *	build/bench/weir WORKLOAD	runs one
 *	build/bench/weir echo|embed	serves
 */
#include <sys/resource.h>

#include "bench.h"

struct weir_loop *loop;

static const struct workload *now;
static bool warming;
static uint64_t started, stopped;

static const struct workload *const families[] = {
	tasks_workloads, chan_workloads, pool_workloads, limits_workloads, ctx_workloads,
	timer_workloads, memory_workloads, post_workloads, files_workloads, loop_workloads,
};

void must(int rc, const char *what)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "bench: %s: %s\n", what, strerror(-rc));
	exit(1);
}

void check(bool it_holds, const char *what)
{
	if (it_holds)
		return;
	fprintf(stderr, "bench: not so: %s\n", what);
	exit(1);
}

uint64_t nanoseconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * WEIR_S + (uint64_t)ts.tv_nsec;
}

void start_clock(void)
{
	started = nanoseconds(CLOCK_MONOTONIC);
	stopped = 0;
}

void stop_clock(void)
{
	if (!stopped)
		stopped = nanoseconds(CLOCK_MONOTONIC);
}

bool measured(void)
{
	return !warming;
}

void figure(const char *word, double value, const char *unit)
{
	if (!warming)
		printf("%s%s%s\t%.6g\t%s\n", now->name, word ? " " : "", word ? word : "", value,
		       unit);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double percentile(double *values, size_t n, double p)
{
	size_t i = (size_t)((double)n * p);

	check(n > 0, "something was measured");
	qsort(values, n, sizeof *values, by_value);
	return values[i < n ? i : n - 1];
}

long resident(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	check(f && fscanf(f, "%*d %ld", &pages) == 1, "the kernel tells the resident pages");
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

long resident_peak(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss * 1024;
}

static double scale(void)
{
	const char *s = getenv("BENCH_SCALE");
	double x = s ? strtod(s, NULL) : 1;

	if (x > 0 && x <= 1000)
		return x;
	fprintf(stderr, "bench: BENCH_SCALE=%s: wanted is a number above 0, 1000 at most\n", s);
	exit(2);
}

static long at_least_1(double n)
{
	return n < 1 ? 1 : (long)n;
}

static int run(const struct workload *w)
{
	double n = (double)w->n * scale();
	char why[512];
	int rc = weir_loop_new(&loop, NULL);
	long did;

	if (rc < 0) {
		fprintf(stderr, "bench: no loop: %s\n", weir_explain(rc, why, sizeof why));
		return 1;
	}
	now = w;
	if (!w->cold) {
		warming = true;
		w->fn(at_least_1(n / 10), w->arg);
		warming = false;
	}
	start_clock();
	did = w->fn(at_least_1(n), w->arg);
	stop_clock();
	if (did != NO_FIGURE)
		figure(NULL, (double)(stopped - started) / (double)did, "ns");
	check(weir_loop_free(loop) == 0, "nothing is left in the loop");
	return 0;
}

int main(int argc, char **argv)
{
	const struct workload *w;
	size_t i;

	if (argc == 2 && (!strcmp(argv[1], "echo") || !strcmp(argv[1], "embed")))
		return echo(*++argv[1] == 'm');
	for (i = 0; i < sizeof families / sizeof *families; i++)
		for (w = families[i]; w->name; w++)
			if (argc == 1)
				puts(w->name);
			else if (argc == 2 && !strcmp(w->name, argv[1]))
				return run(w);
	if (argc == 1) {
		puts("echo\nembed");
		return 0;
	}
	fprintf(stderr, "usage: weir [WORKLOAD]; without one: their names\n");
	return 2;
}
