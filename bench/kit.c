/* SPDX-License-Identifier: MIT */
/*
 * kit.c - main() of the programs in C and C++; see kit.h and bench/README.md.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit.h"

static const struct workload *now;
static bool warming;
static uint64_t started, stopped;

void check(bool it_holds, const char *what)
{
	if (it_holds)
		return;
	fprintf(stderr, "%s: not so: %s%s%s\n", program, what, errno ? "; " : "",
		errno ? strerror(errno) : "");
	exit(1);
}

void must_fail(int rc, const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program, what, strerror(-rc));
	exit(1);
}

uint64_t nanoseconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_S + (uint64_t)ts.tv_nsec;
}

uint64_t now_ns(void)
{
	return nanoseconds(CLOCK_MONOTONIC);
}

void start_clock(void)
{
	started = now_ns();
	stopped = 0;
}

void stop_clock(void)
{
	if (!stopped)
		stopped = now_ns();
}

double clock_ns(void)
{
	return (double)(stopped - started);
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

void *must_alloc(size_t n, size_t size)
{
	void *p = calloc(n, size);

	check(p, "there is memory");
	return p;
}

long resident(void)
{
	long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	check(f && fscanf(f, "%*d %ld", &pages) == 1, "the kernel tells the resident pages");
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

/* Not getrusage()'s: that one begins with what the parent had before the exec. */
long resident_peak(void)
{
	char line[256];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && !kib && fgets(line, sizeof line, f))
		sscanf(line, "VmHWM: %ld", &kib);
	check(kib > 0, "the kernel tells the peak of the resident pages");
	fclose(f);
	return kib * 1024;
}

/* The number of the ith allowed core, or -1. */
static int core(int i)
{
	cpu_set_t allowed;
	int c;

	check(!sched_getaffinity(getpid(), sizeof allowed, &allowed), "the cores are known");
	for (c = 0; c < CPU_SETSIZE; c++)
		if (CPU_ISSET(c, &allowed) && i-- == 0)
			return c;
	return -1;
}

static pthread_t start_thread(void *(*fn)(void *), void *arg, int on_core)
{
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t set;

	pthread_attr_init(&attr);
	if (on_core >= 0) {
		CPU_ZERO(&set);
		CPU_SET(on_core, &set);
		pthread_attr_setaffinity_np(&attr, sizeof set, &set);
	}
	must(-pthread_create(&thread, &attr, fn, arg), "thread");
	pthread_attr_destroy(&attr);
	return thread;
}

static void two_threads_on(void *(*a)(void *), void *(*b)(void *), void *arg, int core_a,
			   int core_b)
{
	pthread_t x = start_thread(a, arg, core_a), y = start_thread(b, arg, core_b);

	pthread_join(x, NULL);
	pthread_join(y, NULL);
}

void two_threads(void *(*a)(void *), void *(*b)(void *), void *arg)
{
	two_threads_on(a, b, arg, core(0), core(1) >= 0 ? core(1) : core(0));
}

void two_placements(void *(*a)(void *), void *(*b)(void *), void *arg, long n)
{
	if (core(1) >= 0) {
		two_threads_on(a, b, arg, core(0), core(1));
		figure("two-cores", clock_ns() / NS_US / (double)n, "us");
	}
	two_threads_on(a, b, arg, core(0), core(0));
	figure("one-core", clock_ns() / NS_US / (double)n, "us");
}

int listen_and_tell(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof sin;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	check(fd >= 0 && !setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) &&
		      !bind(fd, (struct sockaddr *)&sin, sizeof sin) && !listen(fd, 4096) &&
		      !getsockname(fd, (struct sockaddr *)&sin, &len), "a port listens");
	printf("%u\n", ntohs(sin.sin_port));
	fflush(stdout);
	return fd;
}

const char *bench_file(const char *name)
{
	static char path[4096];
	const char *dir = getenv("BENCH_FILES");

	check(dir, "$BENCH_FILES says where the files are");
	check(snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path,
	      "$BENCH_FILES is short enough");
	return path;
}

unsigned sleep_ms(long i)
{
	return 1 + (unsigned)((uint64_t)i * 7919 % 1000);
}

void sleeps_figures(uint64_t cpu, uint64_t wall, double *late_ms, long n)
{
	figure("memory", (double)resident_peak() / (1 << 20), "MiB");
	figure("cpu", (double)cpu / NS_S, "s");
	figure("wall", (double)wall / NS_S, "s");
	figure("late-p99", percentile(late_ms, (size_t)n, 0.99), "ms");
}

/* ---- main ---- */

static double scale(void)
{
	const char *s = getenv("BENCH_SCALE");
	double x = s ? strtod(s, NULL) : 1;

	if (x > 0 && x <= 1000)
		return x;
	fprintf(stderr, "%s: BENCH_SCALE=%s: not a number above 0, 1000 at most\n", program, s);
	exit(2);
}

static long at_least_1(double n)
{
	return n < 1 ? 1 : (long)n;
}

static int run(const struct workload *w)
{
	double n = (double)w->n * (w->fixed ? 1 : scale());
	long did;

	now = w;
	if (set_up)
		set_up();
	if (!w->cold) {
		warming = true;
		w->fn(at_least_1(n / 10), w->arg);
		warming = false;
	}
	start_clock();
	did = w->fn(at_least_1(n), w->arg);
	stop_clock();
	if (did != NO_FIGURE)
		figure(NULL, clock_ns() / (double)did, "ns");
	if (tear_down)
		tear_down();
	return 0;
}

static void tell_names(void)
{
	const struct server *s;
	const struct workload *w;
	size_t i;

	for (i = 0; families[i]; i++)
		for (w = families[i]; w->name; w++)
			puts(w->name);
	for (s = servers; s->name; s++)
		puts(s->name);
}

int main(int argc, char **argv)
{
	const struct server *s;
	const struct workload *w;
	size_t i;

	if (argc == 1) {
		tell_names();
		return 0;
	}
	for (s = servers; argc == 2 && s->name; s++)
		if (!strcmp(s->name, argv[1]))
			return s->serve();
	for (i = 0; argc == 2 && families[i]; i++)
		for (w = families[i]; w->name; w++)
			if (!strcmp(w->name, argv[1]))
				return run(w);
	fprintf(stderr, "usage: %s [WORKLOAD]; without one: their names\n", program);
	return 2;
}
