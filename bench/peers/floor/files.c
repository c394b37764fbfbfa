/* SPDX-License-Identifier: MIT */
/*
 * files.c - files by a bare ring. Each of 64 slots has a registered file and a buffer; a file is
 * opened, and when it is, read and closed: two requests at once, since a read keeps its file, and
 * no link, which costs more than it saves.  One large file is read in pieces into registered
 * buffers.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "floor.h"

#define FILES		50000
#define FILE_BYTES	4096
#define AT_A_TIME	64

#define LARGE		(1l << 30)
#define PIECE		(256 << 10)
#define AHEAD		2

static struct io_uring ring;
static int dir;

static struct {
	char name[24];
	_Alignas(64) char bytes[FILE_BYTES];
} slots[AT_A_TIME];

static void make_ring(unsigned entries)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
	};

	must(io_uring_queue_init_params(entries, &ring, &params), "io_uring");
	io_uring_register_ring_fd(&ring);
}

static struct io_uring_sqe *get_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	check(sqe, "the ring has room");
	return sqe;
}

enum { OPENED, READ, CLOSED, STEPS };	/* user_data: STEPS times the slot, and one of these */

/* prep_*() clears flags and user_data, so they are set behind it. */
static void open_file(unsigned slot, long i)
{
	struct io_uring_sqe *sqe = get_sqe();

	snprintf(slots[slot].name, sizeof slots[slot].name, "%ld", i % FILES);
	io_uring_prep_openat_direct(sqe, dir, slots[slot].name, O_RDONLY, 0, slot);
	sqe->user_data = STEPS * slot + OPENED;
}

static void read_file(unsigned slot)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_read(sqe, (int)slot, slots[slot].bytes, FILE_BYTES, 0);
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->user_data = STEPS * slot + READ;
	sqe = get_sqe();
	io_uring_prep_close_direct(sqe, slot);
	sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
	sqe->user_data = STEPS * slot + CLOSED;
}

static void small_loop(long n)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen;
	uint64_t sum = 0;
	long next = 0, done = 0;

	for (; next < n && next < AT_A_TIME; next++)
		open_file((unsigned)next, next);
	while (done < n) {
		must(io_uring_submit_and_wait(&ring, 1), "io_uring_enter");
		seen = 0;
		io_uring_for_each_cqe(&ring, head, cqe) {
			unsigned slot = (unsigned)cqe->user_data / STEPS;

			must(cqe->res, "open, read or close");
			seen++;
			if (cqe->user_data % STEPS == OPENED) {
				read_file(slot);
				continue;
			}
			check(cqe->res == FILE_BYTES, "a file has 4 KiB");
			done++;
			sum += sum_words(slots[slot].bytes, FILE_BYTES);
			if (next < n)
				open_file(slot, next++);
		}
		io_uring_cq_advance(&ring, seen);
	}
	check(sum == sum_of_files(n), "all bytes were read");
}

static long small(long n, long arg)
{
	(void)arg;
	dir = open(bench_file(""), O_PATH | O_DIRECTORY | O_CLOEXEC);
	check(dir >= 0, "the directory opens");
	make_ring(4 * AT_A_TIME);
	must(io_uring_register_files_sparse(&ring, AT_A_TIME), "registered files");
	start_clock();
	small_loop(n);
	stop_clock();
	figure(NULL, (double)n * 1e6 / clock_ns(), "k/s");
	io_uring_queue_exit(&ring);
	close(dir);
	return NO_FIGURE;
}

/* ---- large ---- */

static char *pieces;

static void read_piece(unsigned k, long at)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_read_fixed(sqe, 0, pieces + (size_t)k * PIECE, PIECE, (uint64_t)at, (int)k);
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->user_data = k;
}

static void large_loop(long end)
{
	struct io_uring_cqe *cqe;
	unsigned head, seen;
	long next, done = 0;

	for (next = 0; next < AHEAD * PIECE && next < end; next += PIECE)
		read_piece((unsigned)(next / PIECE), next);
	while (done < end) {
		must(io_uring_submit_and_wait(&ring, 1), "io_uring_enter");
		seen = 0;
		io_uring_for_each_cqe(&ring, head, cqe) {
			check(must(cqe->res, "read") == PIECE, "a read is whole");
			seen++;
			done += PIECE;
			if (next < end) {
				read_piece((unsigned)cqe->user_data, next);
				next += PIECE;
			}
		}
		io_uring_cq_advance(&ring, seen);
	}
}

/* Warms up with a tenth of it, as n is what is to be read in 10 MiB. */
static long large(long mib, long arg)
{
	struct iovec vec[AHEAD];
	int fd = open(bench_file("large"), O_RDONLY | O_CLOEXEC), k;

	(void)arg;
	check(fd >= 0, "the large file opens");
	make_ring(64);
	pieces = mmap(NULL, AHEAD * PIECE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	check(pieces != MAP_FAILED, "there is memory");
	for (k = 0; k < AHEAD; k++)
		vec[k] = (struct iovec){ pieces + (size_t)k * PIECE, PIECE };
	must(io_uring_register_files(&ring, &fd, 1), "registered file");
	must(io_uring_register_buffers(&ring, vec, AHEAD), "registered buffers");
	start_clock();
	large_loop(mib << 20);
	stop_clock();
	figure(NULL, (double)(mib << 20) / clock_ns(), "GB/s");
	io_uring_queue_exit(&ring);
	munmap(pieces, AHEAD * PIECE);
	close(fd);
	return NO_FIGURE;
}

const struct workload files_workloads[] = {
	{ "files", small, .n = FILES },
	{ "read", large, .n = LARGE >> 20, .fixed = true },
	{ .name = NULL },
};
