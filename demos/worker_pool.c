/* SPDX-License-Identifier: MIT */
/*
 * worker_pool.c - jobs from a bounded queue, so many at a time, and an end that can be relied on.
 *
 * To start workers is the easy half.  The hard half is to stop them: what becomes of the jobs in
 * the queue, of those at work, of a read that may never return?  With threads and a flag, or with
 * goroutines and one forgotten <-ctx.Done(), a worker stays behind or a job is lost, and nobody can
 * say which.  A weir pool is over when all of its workers are, and leaves a receipt on which every
 * job is accounted for.
 *
 * The job is to read a file and count its lines.  Some files here are a pipe that nobody writes to:
 * who reads it waits in the kernel, for ever.  The same pool ends in four ways:
 *   drained	no more jobs come; those that run and those in the queue are finished first.
 *   failed	a file does not exist; the error ends the others, in the midst of their reads.
 *   cancelled	from above, by its ctx.  Look at the time that this takes.
 *   late	a drain with a deadline; who is not done by then is named, and cancelled.
 *
 * usage: worker_pool [FILE...]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weir.h"

struct tally {
	uint64_t files, lines;
	const char *bad;	/* the first that could not be read */
};

static bool failed;

static void must(bool holds, const char *what)
{
	if (!holds)
		printf("  WRONG: %s\n", what);
	failed |= !holds;
}

/* ---- the job ---- */

struct count {
	struct weir_frame co;
	char *path;
	struct tally *tally;
	int fd, rc;
	char buf[8192];
};

static int lines_in(const char *buf, int n)
{
	int lines = 0;

	while (n > 0)
		lines += buf[--n] == '\n';
	return lines;
}

static WEIR_CO(count, self, op)
{
	int n;

	WEIR_TRY(self->fd, out, weir_open(op, self->path, O_RDONLY, 0));
	do {
		WEIR_TRY(n, close, weir_read(op, self->fd, self->buf, sizeof self->buf, -1));
		self->tally->lines += (unsigned)lines_in(self->buf, n);
	} while (n > 0);
	self->tally->files++;
close:
	self->rc = n;
	WEIR_AWAIT(n, weir_close(op, self->fd));
	self->fd = self->rc;
out:
	if (self->fd < 0 && !self->tally->bad)
		self->tally->bad = self->path;
	WEIR_RETURN(self->fd);
}
WEIR_END

/* ---- the pool ---- */

WEIR_POOL(counters, char *);

enum ending { CLOSE, CANCEL, DRAIN };	/* what its maker does when all jobs are submitted */

struct boss {
	struct weir_frame co;
	enum ending ending;
	char **path;			/* the jobs; NULL ends them */
	struct tally *tally;
	struct weir_ctx ctx;
	struct counters pool;
	struct weir_pool_drain drain;
	uint64_t told;
};

static void tell_late(void *arg, const void *item)
{
	(void)arg;
	printf("  still at work: %s\n", *(char *const *)item);
}

static void tell_in_flight(const struct weir_loop *loop)
{
	struct weir_loop_stats stats;

	weir_loop_stats(loop, &stats);
	printf("  %llu operations in the kernel\n", (unsigned long long)stats.in_flight);
}

static void tell(const struct weir_pool_receipt *r, const struct tally *t, int rc, uint64_t ns)
{
	printf("  %llu jobs = %llu finished + %llu failed + %llu aborted + %llu never run\n",
	       (unsigned long long)r->submitted, (unsigned long long)r->finished,
	       (unsigned long long)r->failed, (unsigned long long)r->aborted,
	       (unsigned long long)r->dropped);
	printf("  %llu lines; the pool returned \"%s\", %.2f ms after it was told to end\n",
	       (unsigned long long)t->lines, strerror(-rc), (double)ns / (double)WEIR_MS);
	must(r->submitted == r->finished + r->failed + r->aborted + r->dropped, "the receipt");
	must(r->finished == t->files, "a file for each job that was finished");
}

static WEIR_CO(boss, self, op)
{
	static const struct weir_pool_conf conf = { .workers = 4, .queue = 8, .late = tell_late };
	struct weir_pool_receipt receipt;
	int rc;

	weir_ctx_init(&self->ctx, weir_op_ctx(op));
	rc = weir_pool_init(&self->pool, &self->ctx, &conf, count, path, .tally = self->tally);
	if (rc < 0)
		goto out;
	while (rc >= 0 && *self->path)
		WEIR_AWAIT(rc, weir_pool_submit(op, &self->pool, self->path++));

	if (self->ending == CANCEL)
		WEIR_AWAIT(rc, weir_sleep(op, 50 * WEIR_MS));	/* let them get into their reads */
	tell_in_flight(weir_op_loop(op));
	self->told = weir_now(weir_op_loop(op));
	if (self->ending == CLOSE)
		weir_pool_close(&self->pool);
	if (self->ending == CANCEL)
		weir_ctx_cancel(&self->ctx, 0);
	if (self->ending == DRAIN)
		WEIR_CALL(rc, self->drain, weir_pool_drain, .pool = weir_pool_any(&self->pool),
			  .ns = 100 * WEIR_MS);
	else
		WEIR_AWAIT(rc, weir_pool_wait(op, &self->pool));
	weir_pool_fini(&self->pool, &receipt);
	tell(&receipt, self->tally, rc, weir_now(weir_op_loop(op)) - self->told);
out:
	weir_ctx_fini(&self->ctx);
	WEIR_RETURN(rc);
}
WEIR_END

/* ---- the program ---- */

static void play(struct weir_loop *loop, const char *title, char **path, enum ending ending,
		 int result)
{
	struct weir_loop_stats stats;
	struct tally tally = { 0 };
	int rc;

	printf("%s\n", title);
	rc = weir_run(loop, boss, .path = path, .ending = ending, .tally = &tally);
	if (rc < 0 && rc != result && tally.bad) {
		fprintf(stderr, "worker_pool: %s: %s\n", tally.bad, strerror(-rc));
		failed = true;
	} else {
		must(rc == result, "the result");
	}
	weir_loop_stats(loop, &stats);
	must(stats.in_flight == 0, "the kernel has let go of all");
}

int main(int argc, char **argv)
{
	char never[32], exe[] = "/proc/self/exe", missing[] = "/no/such/file", why[512];
	char *fail[] = { never, never, missing, never, never, never, NULL };
	char *stuck[] = { never, never, never, never, never, never, NULL };
	char *mixed[] = { never, exe, exe, never, exe, exe, NULL };
	glob_t headers = { .gl_pathc = 0 };
	struct weir_loop *loop;
	int fds[2], rc;

	if (fcntl(STDOUT_FILENO, F_GETFD) < 0) {	/* or the loop would be stdout */
		perror("worker_pool: standard output");
		return 1;
	}
	rc = weir_loop_new(&loop, NULL);
	if (rc < 0) {
		fprintf(stderr, "worker_pool: %s\n", weir_explain(rc, why, sizeof why));
		return 1;
	}
	if (pipe2(fds, O_CLOEXEC) < 0 || glob("/usr/include/*.h", 0, NULL, &headers) != 0) {
		perror("worker_pool: a pipe, and headers to read");
		return 1;
	}
	snprintf(never, sizeof never, "/dev/fd/%d", fds[0]);

	play(loop, "drained", argc > 1 ? argv + 1 : headers.gl_pathv, CLOSE, 0);
	play(loop, "failed", fail, CLOSE, -ENOENT);
	play(loop, "cancelled", stuck, CANCEL, -ECANCELED);
	play(loop, "late", mixed, DRAIN, -ETIMEDOUT);

	globfree(&headers);
	close(fds[0]);
	close(fds[1]);
	must(weir_loop_free(loop) == 0, "nothing is left in the loop");
	if (fflush(stdout) != 0 || ferror(stdout)) {
		perror("worker_pool: standard output");
		return 1;
	}
	return failed;
}
