/* SPDX-License-Identifier: MIT */
/*
 * files.c - many small files, 64 at a time; one large one, from front to end.
 */
#include <fcntl.h>

#include "bench.h"

#define FILES		50000
#define FILE_BYTES	4096
#define ONES		0x0101010101010101ul	/* each byte of them is 1 */
#define AT_A_TIME	64
#define LARGE		(1l << 30)
#define PIECE		(256 << 10)
#define AHEAD		2	/* as the floor: more gain nothing */

static int directory(void)
{
	const char *path = getenv("BENCH_FILES");
	int fd = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0)
		return fd;
	fprintf(stderr, "bench: BENCH_FILES=%s: %s\n", path ? path : "",
		path ? strerror(errno) : "names no directory; bench/run makes it");
	exit(1);
}

struct reader {
	struct weir_frame co;
	int dir, fd, n;
	long *next, *sum, files;
	char name[24];
	long words[FILE_BYTES / sizeof(long)];
};

static long sum_of(const long *words)
{
	unsigned long sum = 0;
	size_t i;

	for (i = 0; i < FILE_BYTES / sizeof(long); i++)
		sum += (unsigned long)words[i];
	return (long)sum;
}

static WEIR_CO(reader, self, op)
{
	int rc;

	while (*self->next < self->files) {
		snprintf(self->name, sizeof self->name, "%ld", (*self->next)++ % FILES);
		WEIR_AWAIT(self->fd, weir_openat(op, self->dir, self->name, O_RDONLY, 0));
		must(self->fd, self->name);
		WEIR_AWAIT(self->n, weir_read(op, self->fd, self->words,
						 FILE_BYTES, 0));
		check(self->n == FILE_BYTES, "a file has 4 KiB");
		*self->sum += sum_of(self->words);
		WEIR_AWAIT(rc, weir_close(op, self->fd));
		must(rc, "close");
	}
	WEIR_RETURN(0);
}
WEIR_END

static long small(long n, long at_a_time)
{
	int dir = directory();
	long next = 0, sum = 0, i;
	uint64_t began = nanoseconds(CLOCK_MONOTONIC);

	for (i = 0; i < at_a_time; i++)
		must(weir_go(weir_loop_group(loop), reader, .dir = dir, .next = &next, .sum = &sum,
			     .files = n), "spawn");
	must(weir_loop_run(loop), "files");
	figure(NULL, (double)n * 1e6 / (double)(nanoseconds(CLOCK_MONOTONIC) - began), "k/s");
	check((unsigned long)sum == (unsigned long)n * (FILE_BYTES / sizeof(long)) * ONES,
	      "all bytes were read");
	close(dir);
	return NO_FIGURE;
}

/* ---- large ---- */

struct piece {
	struct weir_frame co;
	int fd, n;
	long *next, *bytes, end, at;
	char *buf;
};

static WEIR_CO(piece, self, op)
{
	while (*self->next < self->end) {
		self->at = *self->next;
		*self->next += PIECE;
		WEIR_AWAIT(self->n, weir_read(op, self->fd, self->buf, PIECE, self->at));
		check(self->n == PIECE, "a read is whole");
		*self->bytes += self->n;
	}
	WEIR_RETURN(0);
}
WEIR_END

/* n: MiB. */
static long large(long n, long ahead)
{
	char *buf = malloc((size_t)ahead * PIECE);
	long next = 0, bytes = 0, end = n << 20, i;
	int dir = directory(), fd = openat(dir, "large", O_RDONLY | O_CLOEXEC);
	uint64_t began = nanoseconds(CLOCK_MONOTONIC);

	check(buf && fd >= 0, "there is a large file, and memory");
	for (i = 0; i < ahead; i++)
		must(weir_go(weir_loop_group(loop), piece, .fd = fd, .next = &next, .end = end,
			     .bytes = &bytes, .buf = buf + i * PIECE), "spawn");
	must(weir_loop_run(loop), "read");
	figure(NULL, (double)bytes / (double)(nanoseconds(CLOCK_MONOTONIC) - began), "GB/s");
	check(bytes == end, "all of it was read");
	free(buf);
	close(fd);
	close(dir);
	return NO_FIGURE;
}

const struct workload files_workloads[] = {
	{ "files", small, .n = FILES, .arg = AT_A_TIME },
	{ "read", large, .n = LARGE >> 20, .arg = AHEAD },
	{ .name = NULL },
};
