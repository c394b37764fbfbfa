/* SPDX-License-Identifier: MIT */
/*
 * files.c - files by libuv, whose loop hands each call to its pool of threads. The pool has two
 * threads a core, unless UV_THREADPOOL_SIZE says otherwise.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "uv_peer.h"

#define FILES		50000
#define FILE_BYTES	4096
#define LARGE		(1l << 30)
#define PIECE		(256 << 10)

struct slot {
	uv_fs_t request;
	uv_file file;
	char path[4096];
	char bytes[FILE_BYTES];
};

static uv_loop_t loop;
static long next, end;
static uint64_t sum;

static void size_pool(void)
{
	char size[24];

	snprintf(size, sizeof size, "%u", 2 * uv_available_parallelism());
	setenv("UV_THREADPOOL_SIZE", size, 0);
}

/* What the request has come to; it can be used again. */
static long result(uv_fs_t *request)
{
	long res = request->result;

	uv_must((int)(res < 0 ? res : 0), "a file");
	uv_fs_req_cleanup(request);
	return res;
}

static void start_file(struct slot *s);

static void closed(uv_fs_t *request)
{
	result(request);
	start_file((struct slot *)request);
}

static void read_whole(uv_fs_t *request)
{
	struct slot *s = (struct slot *)request;

	check(result(request) == FILE_BYTES, "a file has 4 KiB");
	sum += sum_words(s->bytes, FILE_BYTES);
	uv_must(uv_fs_close(&loop, request, s->file, closed), "close");
}

static void opened(uv_fs_t *request)
{
	struct slot *s = (struct slot *)request;
	uv_buf_t buf = uv_buf_init(s->bytes, FILE_BYTES);

	s->file = (uv_file)result(request);
	uv_must(uv_fs_read(&loop, request, s->file, &buf, 1, 0, read_whole), "read");
}

static void start_file(struct slot *s)
{
	char name[24];

	if (next == end)
		return;
	snprintf(name, sizeof name, "%ld", next++ % FILES);
	uv_must(uv_fs_open(&loop, &s->request, bench_file(name), O_RDONLY, 0, opened), "open");
}

static long small(long n, long at_a_time)
{
	struct slot *slots = must_alloc((size_t)at_a_time, sizeof *slots);
	long i;

	size_pool();
	uv_must(uv_loop_init(&loop), "loop");
	sum = 0;
	next = 0;
	end = n;
	start_clock();
	for (i = 0; i < at_a_time; i++)
		start_file(&slots[i]);
	uv_run(&loop, UV_RUN_DEFAULT);
	stop_clock();
	figure(NULL, (double)n * 1e6 / clock_ns(), "k/s");
	check(sum == sum_of_files(n), "all bytes were read");
	uv_must(uv_loop_close(&loop), "close");
	free(slots);
	return NO_FIGURE;
}

/* ---- large ---- */

struct piece {
	uv_fs_t request;
	char bytes[PIECE];
};

static uv_file large_file;
static long got;

static void start_piece(struct piece *p);

static void piece_read(uv_fs_t *request)
{
	got += result(request);
	start_piece((struct piece *)request);
}

static void start_piece(struct piece *p)
{
	uv_buf_t buf = uv_buf_init(p->bytes, PIECE);

	if (next >= end)
		return;
	uv_must(uv_fs_read(&loop, &p->request, large_file, &buf, 1, next, piece_read), "read");
	next += PIECE;
}

/* As many in flight as there are threads. */
static long large(long mib, long arg)
{
	struct piece *pieces;
	long n, i;

	(void)arg;
	size_pool();
	n = atol(getenv("UV_THREADPOOL_SIZE"));
	check(n > 0 && n <= 1024, "UV_THREADPOOL_SIZE is a number of threads");
	pieces = must_alloc((size_t)n, sizeof *pieces);
	uv_must(uv_loop_init(&loop), "loop");
	large_file = open(bench_file("large"), O_RDONLY | O_CLOEXEC);
	check(large_file >= 0, "the large file opens");
	got = next = 0;
	end = mib << 20;
	start_clock();
	for (i = 0; i < n; i++)
		start_piece(&pieces[i]);
	uv_run(&loop, UV_RUN_DEFAULT);
	stop_clock();
	figure(NULL, (double)end / clock_ns(), "GB/s");
	check(got == end, "all of it was read");
	uv_must(uv_loop_close(&loop), "close");
	close(large_file);
	free(pieces);
	return NO_FIGURE;
}

const struct workload files_workloads[] = {
	{ "files", small, .n = FILES, .arg = 64 },
	{ "read", large, .n = LARGE >> 20, .fixed = true },
	{ .name = NULL },
};
