/* SPDX-License-Identifier: MIT */
/*
 * files.c - many small files, 64 at a time; one large one, from front to end.
 */
#include <fcntl.h>

#include "bench.h"

#define FILES		50000
#define FILE_BYTES	4096
#define AT_A_TIME	64
#define LARGE		(1l << 30)
#define PIECE		(256 << 10)
#define AHEAD		2	/* as the floor: more gain nothing */

static int directory(void)
{
	int fd = open(bench_file(""), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	check(fd >= 0, "$BENCH_FILES is a directory");
	return fd;
}

struct reader {
	struct weir_frame co;
	int dir, fd, n;
	long *next, files;
	uint64_t *sum;
	char name[24];
	uint64_t *words;
};

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
		*self->sum += sum_words(self->words, FILE_BYTES);
		WEIR_AWAIT(rc, weir_close(op, self->fd));
		must(rc, "close");
	}
	WEIR_RETURN(0);
}
WEIR_END

static long small(long n, long at_a_time)
{
	int dir = directory();
	long next = 0, i;
	uint64_t sum = 0;
	static uint64_t words[AT_A_TIME][FILE_BYTES / sizeof(uint64_t)];
	uint64_t began = nanoseconds(CLOCK_MONOTONIC);

	for (i = 0; i < at_a_time; i++)
		must(weir_go(weir_loop_group(loop), reader, .dir = dir, .next = &next, .sum = &sum,
			     .files = n, .words = words[i]), "spawn");
	must(weir_loop_run(loop), "files");
	figure(NULL, (double)n * 1e6 / (double)(nanoseconds(CLOCK_MONOTONIC) - began), "k/s");
	check(sum == sum_of_files(n), "all bytes were read");
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
	{ "read", large, .n = LARGE >> 20, .arg = AHEAD, .fixed = true },
	{ .name = NULL },
};
