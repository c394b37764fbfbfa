/* SPDX-License-Identifier: MIT */
/*
 * pipeline.c - lines are read, stamped and printed: three stages, joined by bounded channels.
 *
 * All stages run at the same time, and as a channel holds so many items and no more, the slowest
 * sets the pace of the others and memory stays what it is.  The hard part is the end.  When the
 * printer fails, the others are blocked on full channels, and stay so for ever unless each of their
 * sends watches out for it.  Here a stage that ends, for whatever reason, lets go of its channels,
 * and that goes up and down the line until nobody is left.
 *
 * A stamp is a number that makes the hash of number and line begin with zeros.  Some are found at
 * once and others are not, so the workers, each with a thread, finish out of order; the stage is
 * `.ordered`, and the printer makes sure.  The same pipeline runs three times:
 *   whole	to the end of the file.  The table tells who waited for whom: see the bottleneck.
 *   failed	the printer's disk is full.  See how little was read before the reader knew.
 *   enough	the printer stops after five lines, as head(1) does, and that is no failure.
 *
 * usage: pipeline [FILE]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "weir.h"

#define TEXT	111	/* bytes of a line; what is longer makes two */
#define EDGE	16	/* lines that a channel holds */
#define WORKERS	4
#define ZEROS	10	/* bits; each doubles the work */

struct line {
	int number;
	uint64_t stamp;
	char text[TEXT + 1];
};

WEIR_CHAN(lines, struct line);

/* ---- the stages ---- */

struct read_lines {
	struct weir_frame co;
	int fd;
	int64_t offset;
	struct lines *out;
	int *unread;			/* result: why the file could not be read */
	struct line line;
};

/* Of n bytes those up to the end of the line; how many these are. */
static int first_line(char *text, int n)
{
	const char *end = memchr(text, '\n', (size_t)n);

	n = end ? (int)(end - text) + 1 : n;
	text[n] = '\0';
	return n;
}

static WEIR_CO(read_lines, self, op)
{
	int n;

	for (;;) {
		WEIR_TRY(n, unread, weir_read(op, self->fd, self->line.text, TEXT, self->offset));
		if (n == 0)
			WEIR_RETURN(0);
		self->offset += first_line(self->line.text, n);
		self->line.number++;
		WEIR_TRY(n, out, weir_chan_send(op, self->out, &self->line));
	}
unread:
	*self->unread = n;
out:
	WEIR_RETURN(n);
}
WEIR_END

static bool stamped(const struct line *l)
{
	uint64_t hash = l->stamp * 0x9e3779b97f4a7c15;
	const char *c;

	for (c = l->text; *c; c++)
		hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
	return hash >> (64 - ZEROS) == 0;
}

static int find_stamp(void *line)
{
	struct line *l = line;

	while (!stamped(l))
		l->stamp++;
	return 1;
}

struct stamp {
	struct weir_frame co;
	struct line line;
};

static WEIR_CO(stamp, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_work(op, NULL, find_stamp, &self->line));	/* on a thread */
	WEIR_RETURN(rc);
}
WEIR_END

struct print {
	struct weir_frame co;
	struct lines *in;
	int fd, most, printed;
	struct line line;
	char buf[160];
	struct weir_write_all write;
};

static WEIR_CO(print, self, op)
{
	int n;

	while (self->printed < self->most) {
		WEIR_TRY(n, out, weir_chan_recv(op, self->in, &self->line));
		if (n == 0)
			break;
		if (self->line.number != ++self->printed || !stamped(&self->line))
			WEIR_RETURN(-EBADMSG);
		n = snprintf(self->buf, sizeof self->buf, "%6llu %s",
			     (unsigned long long)self->line.stamp, self->line.text);
		WEIR_CALL(n, self->write, weir_write_all, .fd = self->fd, .buf = self->buf,
			  .len = (size_t)n, .offset = -1);
		if (n < 0)
			goto out;
	}
	WEIR_RETURN(0);
out:
	WEIR_RETURN(n);
}
WEIR_END

/* ---- the pipeline ---- */

struct stamp_file {
	struct weir_frame co;
	const char *title;
	int in, out, most;
	int expected;			/* result, if a line comes to the printer */
	int *unread;
	struct weir_pipeline p;
	struct weir_stage read, stamp, print;
	struct lines lines, stamped;
};

static bool tell(const struct stamp_file *f, int rc)
{
	const struct weir_chan_stats *lines = weir_chan_stats(&f->lines);
	uint64_t read = lines->items + lines->dropped;
	uint64_t printed = weir_chan_stats(&f->stamped)->items;
	bool right = rc != -EBADMSG && read - printed <= EDGE + WORKERS + EDGE &&
		     (rc < 0 || !f->expected || !printed);

	weir_pipeline_print(&f->p, STDOUT_FILENO);
	printf("%llu lines read, %llu came to the printer, result: %s%s\n\n",
	       (unsigned long long)read, (unsigned long long)printed, strerror(-rc),
	       right ? "" : ", which is WRONG");
	return right;
}

static WEIR_CO(stamp_file, self, op)
{
	int rc;

	printf("%s\n", self->title);
	rc = weir_chan_init(&self->lines, weir_op_loop(op), EDGE);
	if (rc < 0)
		WEIR_RETURN(rc);
	rc = weir_chan_init(&self->stamped, weir_op_loop(op), EDGE);
	if (rc < 0)
		goto fini_lines;
	weir_pipeline_init(&self->p, weir_op_ctx(op));

	/* A stage that cannot be added ends the pipeline, and weir_pipeline_wait() says why. */
	self->read = (struct weir_stage){ .name = "read", .out = weir_chan_any(&self->lines) };
	weir_pipeline_go(&self->p, &self->read, read_lines, .fd = self->in, .out = &self->lines,
			 .unread = self->unread);

	self->stamp = (struct weir_stage){ .name = "stamp", .workers = WORKERS, .ordered = true };
	weir_pipeline_map(&self->p, &self->stamp, &self->lines, &self->stamped, stamp, line, line);

	self->print = (struct weir_stage){ .name = "print", .in = weir_chan_any(&self->stamped) };
	weir_pipeline_go(&self->p, &self->print, print, .in = &self->stamped, .fd = self->out,
			 .most = self->most);

	WEIR_AWAIT(rc, weir_pipeline_wait(op, &self->p));
	if (!tell(self, rc))
		rc = -EPROTO;
	else if (rc == self->expected)
		rc = 0;
	weir_pipeline_fini(&self->p);
	weir_chan_fini(&self->stamped);
fini_lines:
	weir_chan_fini(&self->lines);
	WEIR_RETURN(rc);
}
WEIR_END

int main(int argc, char **argv)
{
	const char *file = argc > 1 ? argv[1] : "/usr/include/elf.h";
	int in, null, full, left, rc, unread = 0;
	struct weir_loop *loop;
	char why[512];

	if (fcntl(STDOUT_FILENO, F_GETFD) < 0) {	/* or the file would be stdout */
		perror("pipeline: standard output");
		return 1;
	}
	in = open(file, O_RDONLY | O_CLOEXEC);
	if (in < 0 || lseek(in, 0, SEEK_CUR) < 0) {	/* it is read by offset */
		fprintf(stderr, "pipeline: %s: %s\n", file, strerror(errno));
		return 1;
	}
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	if (null < 0 || full < 0) {
		perror("pipeline: /dev/null, /dev/full");
		return 1;
	}
	rc = weir_loop_new(&loop, NULL);
	if (rc < 0) {
		fprintf(stderr, "pipeline: %s\n", weir_explain(rc, why, sizeof why));
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);	/* the printer writes to the same place */
	rc = weir_run(loop, stamp_file, .title = "whole", .in = in, .out = null, .most = INT_MAX,
		      .unread = &unread);
	if (rc == 0)
		rc = weir_run(loop, stamp_file, .title = "failed", .in = in, .out = full,
			      .most = INT_MAX, .expected = -ENOSPC, .unread = &unread);
	if (rc == 0)
		rc = weir_run(loop, stamp_file, .title = "enough", .in = in, .out = STDOUT_FILENO,
			      .most = 5, .unread = &unread);
	left = weir_loop_free(loop);
	printf("%d tasks, timers or operations are left\n", left);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "pipeline: standard output cannot be written\n");
		return 1;
	}
	if (rc < 0 && rc != -EPROTO)
		fprintf(stderr, "pipeline: %s: %s\n", rc == unread ? file : "a stage",
			strerror(-rc));
	return rc < 0 || left;
}
