/* SPDX-License-Identifier: MIT */
/*
 * treesum.c - the SHA-256 of every file in a tree: a pipeline on real input.
 *
 *	walk --found--> open --opened--> hash --summed--> print
 *
 * Each name is a stage: a coroutine, run by one worker or by many.  Each arrow is a channel that
 * holds so many files and no more; a slow stage holds up those before it, and memory is bounded
 * however large the tree.  A file belongs to the stage that is at work on it, or to the arrow it
 * waits in, which drops it if nobody will come for it.  What is scarce has a guard of its own:
 *
 *	descriptors	a semaphore: a file takes a permit, is opened, is closed, gives it back
 *	the disk	two limiters: files a second at open, bytes a second at hash
 *	processors	the loop's threads, which list directories and hash; the rest is one thread
 *	order		open and hash have many workers, but are .ordered: files leave as they came
 *
 * How it ends is written nowhere, it follows.  The walk is through: its arrow is closed and drains,
 * and so on down to the printer.  A stage fails, as the printer does in `treesum / | head -1`: the
 * pipeline's ctx is cancelled, and whatever the others await ends with -ECANCELED, be it a channel,
 * the semaphore, a thread or the kernel.  Ctrl-C: a signalfd that the ctx has adopted does the
 * same.  A file that cannot be read is none of these, it carries the reason along to the printer,
 * who tells it in its turn.
 *
 * Read treesum(), at the end, then the stages in their order.  What is not about weir is in
 * treesum/: the command line, the walk, the text, the shell.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weir.h"

#include "treesum/lines.h"
#include "treesum/options.h"
#include "treesum/process.h"
#include "treesum/walk.h"

#define PART		(256u << 10)	/* bytes read, and hashed, at a time */
#define PART_LEAST	4096u
#define AHEAD		256		/* files that the walk may be ahead */
#define CLEAR		"\r\033[K"	/* the progress, off the terminal */
#define TICK		(200 * WEIR_MS)	/* of the progress */
#define GRACE		(50 * WEIR_MS)	/* for the last lines, after Ctrl-C */

struct file {
	int err;			/* why there is no sum */
	int fd;				/* -1: not open, no permit is held */
	int64_t size;			/* when it was opened */
	unsigned char sum[SUM_SIZE];
	char path[];
};

WEIR_CHAN(files, struct file *);

/* What comes of it, main()'s. */
struct outcome {
	struct lines sums, faults;	/* on their way out */
	uint64_t summed, failed;	/* files printed, and complained of */
	uint64_t bytes;			/* read */
	int rc;				/* 0, or why it ended early */
	bool deaf;			/* that was standard output */
};

/* The outermost frame, where all that is shared lives. */
struct treesum {
	struct weir_frame co;
	const struct options *o;
	struct outcome *out;
	int signals;			/* a signalfd */

	struct weir_ctx ctx;		/* ends early with a signal, or with whoever reads us */
	struct weir_pipeline pipeline;
	struct weir_stage walk, open, hash, print;
	struct files found, opened, summed;
	struct weir_sem permits;
	struct weir_limiter opens, bytes;
	unsigned part;			/* bytes read at a time */
	struct spare *spares;		/* buffers of that size, not in use */
	EVP_MD *sha256;

	struct weir_group aside;	/* the progress */
	bool progress;
};

static int file_new(struct file **file, const char *path, int err)
{
	size_t size = strlen(path) + 1;
	struct file *f = malloc(sizeof *f + size);

	if (!f)
		return -ENOMEM;
	*f = (struct file){ .err = err, .fd = -1 };
	memcpy(f->path, path, size);
	*file = f;
	return 0;
}

static void file_close(struct file *f, struct treesum *app)
{
	if (f->fd < 0)
		return;
	close(f->fd);
	f->fd = -1;
	weir_sem_release(&app->permits, 1);
}

static void file_free(struct file *f, struct treesum *app)
{
	file_close(f, app);
	free(f);
}

static void file_drop(void *app, void *item)
{
	file_free(*(struct file **)item, app);
}

/* Buffers are used again, the last one first: it is still in the cache.  There are never more than
 * two for each worker that hashes. */
struct spare {
	struct spare *next;
};

static void *buffer_take(struct treesum *app)
{
	struct spare *s = app->spares;

	if (!s)
		return malloc(app->part);
	app->spares = s->next;
	return s;
}

static void buffer_give(struct treesum *app, void *buffer)
{
	struct spare *s = buffer;

	if (!s)
		return;
	s->next = app->spares;
	app->spares = s;
}

static void buffers_free(struct treesum *app)
{
	while (app->spares)
		free(buffer_take(app));
}

/* ---- walk: files in the order in which they will be printed ---- */

struct find_files {
	struct weir_frame co;
	struct treesum *app;
	struct walk *walk;
	struct file *file;
	int rc;
};

static int look(void *walk)
{
	walk_look(walk);
	return 0;
}

static WEIR_CO(find_files, self, op)
{
	int step;

	self->walk = malloc(sizeof *self->walk);
	if (!self->walk)
		WEIR_RETURN(-ENOMEM);
	walk_init(self->walk, self->app->o->paths);
	while ((step = walk_next(self->walk)) > WALK_END) {
		if (step == WALK_LOOK) {
			WEIR_TRY(self->rc, out, weir_work(op, NULL, look, self->walk));
			continue;
		}
		self->rc = file_new(&self->file, self->walk->path,
				    step == WALK_FAULT ? self->walk->err : 0);
		if (self->rc < 0)
			goto out;
		WEIR_AWAIT(self->rc, weir_chan_send(op, &self->app->found, &self->file));
		if (self->rc < 0) {
			file_free(self->file, self->app);
			goto out;
		}
	}
	self->rc = step;
out:
	walk_fini(self->walk);
	free(self->walk);
	WEIR_RETURN(self->rc);
}
WEIR_END

/* ---- open: each file with a permit ---- */

struct open_file {
	struct weir_frame co;
	struct treesum *app;
	struct file *file;		/* comes in and goes out */
};

/* fstat() of an open file asks nobody.  What became a directory or a device since the walk saw a
 * file is of no interest any more. */
static int check_opened(struct file *f)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -ENOENT;
	f->size = st.st_size;
	return 0;
}

static WEIR_CO(open_file, self, op)
{
	int rc;

	if (self->file->err)
		WEIR_RETURN(1);
	WEIR_TRY(rc, out, weir_limiter_wait(op, &self->app->opens, 1));
	WEIR_TRY(rc, out, weir_sem_acquire(op, &self->app->permits, 1));
	WEIR_AWAIT(rc, weir_open(op, self->file->path, O_RDONLY | O_NOFOLLOW | O_NOCTTY, 0));
	if (rc < 0) {
		weir_sem_release(&self->app->permits, 1);
	} else {
		self->file->fd = rc;
		rc = check_opened(self->file);
	}
	if (rc < 0)
		file_close(self->file, self->app);
	self->file->err = rc;
	rc = weir_ctx_err(weir_op_ctx(op));
out:
	if (rc < 0)
		file_free(self->file, self->app);
	WEIR_RETURN(rc < 0 ? rc : 1);
}
WEIR_END

/* ---- hash: a part is read while the one before it is hashed ---- */

struct part {
	EVP_MD_CTX *md;
	unsigned char *bytes;
	size_t n;
};

/* For a thread. */
static int hash(void *arg)
{
	const struct part *p = arg;

	return EVP_DigestUpdate(p->md, p->bytes, p->n) ? 0 : -EIO;
}

struct hash_part {
	struct weir_frame co;
	struct part *part;
};

static WEIR_CO(hash_part, self, op)
{
	int rc;

	WEIR_AWAIT(rc, weir_work(op, NULL, hash, self->part));
	WEIR_RETURN(rc);
}
WEIR_END

struct hash_file {
	struct weir_frame co;
	struct treesum *app;
	struct file *file;		/* comes in and goes out */
	struct weir_group hashing;	/* of one task at most */
	EVP_MD_CTX *md;
	struct part part[2], *next;
	int64_t at;
	int rc;
};

static int hash_begin(struct hash_file *h)
{
	h->md = EVP_MD_CTX_new();
	return h->md && EVP_DigestInit_ex2(h->md, h->app->sha256, NULL) ? 0 : -ENOMEM;
}

/* The part to read into; the other one may be in a thread's hands. */
static int part_begin(struct hash_file *h)
{
	h->next = h->next == h->part ? h->part + 1 : h->part;
	h->next->md = h->md;
	if (!h->next->bytes)
		h->next->bytes = buffer_take(h->app);
	return h->next->bytes ? 0 : -ENOMEM;
}

/* What was read ends where the file did, so it need not be asked again.  But a file of no size may
 * be one of /proc, which says nothing of what is in it and gives it in small pieces. */
static bool is_last(const struct hash_file *h)
{
	return h->next->n < h->app->part && h->at == h->file->size && h->file->size > 0;
}

static void hash_end(struct hash_file *h)
{
	if (h->rc == 0 && !EVP_DigestFinal_ex(h->md, h->file->sum, NULL))
		h->rc = -EIO;
	EVP_MD_CTX_free(h->md);
	buffer_give(h->app, h->part[0].bytes);
	buffer_give(h->app, h->part[1].bytes);
	file_close(h->file, h->app);
	h->file->err = h->rc;
}

static WEIR_CO(hash_file, self, op)
{
	int n;

	if (self->file->err)
		WEIR_RETURN(1);
	weir_group_init(&self->hashing, weir_op_ctx(op), NULL);
	weir_group_limit(&self->hashing, 1);
	n = hash_begin(self);
	while (n >= 0) {
		n = part_begin(self);
		if (n < 0)
			break;
		WEIR_AWAIT(n, weir_read(op, self->file->fd, self->next->bytes, self->app->part,
					self->at));
		if (n <= 0)
			break;
		self->next->n = (size_t)n;
		self->at += n;
		self->app->out->bytes += (uint64_t)n;
		WEIR_AWAIT(n, weir_limiter_wait(op, &self->app->bytes, n));
		if (n < 0)
			break;
		WEIR_GO(n, &self->hashing, hash_part, .part = self->next);
		if (is_last(self))
			break;
	}
	if (n < 0)
		weir_group_cancel(&self->hashing, n);
	self->rc = n;
	WEIR_AWAIT(n, weir_group_wait(op, &self->hashing));
	if (self->rc >= 0)
		self->rc = n;
	hash_end(self);
	n = weir_ctx_err(weir_op_ctx(op));
	if (n < 0)
		file_free(self->file, self->app);
	WEIR_RETURN(n < 0 ? n : 1);
}
WEIR_END

/* ---- print: in order, and what is ready in one go ---- */

struct write_lines {
	struct weir_frame co;
	int fd;
	struct lines *lines;		/* empty afterwards, unless there was an error */
};

static WEIR_CO(write_lines, self, op)
{
	int n;

	while (lines_left(self->lines)) {
		WEIR_AWAIT(n, weir_write(op, self->fd, lines_text(self->lines),
					 lines_left(self->lines), -1));
		if (n < 0)
			WEIR_RETURN(n);
		lines_written(self->lines, (size_t)n);
	}
}
WEIR_END

struct flush {
	struct weir_frame co;
	struct treesum *app;
	struct write_lines out;
};

/* Standard output is what treesum is for; whether anybody listens to its complaints is not. */
static WEIR_CO(flush, self, op)
{
	int rc;

	WEIR_CALL(rc, self->out, write_lines, .fd = STDOUT_FILENO, .lines = &self->app->out->sums);
	if (rc < 0)
		WEIR_RETURN(rc);
	WEIR_CALL(rc, self->out, write_lines, .fd = STDERR_FILENO,
		  .lines = &self->app->out->faults);
}
WEIR_END

struct print_files {
	struct weir_frame co;
	struct treesum *app;
	struct file *file;
	struct weir_ctx grace;
	struct flush flush;
};

static void put(struct treesum *app, struct file *f)
{
	if (f->err) {
		app->out->failed++;
		if (app->progress && !lines_left(&app->out->faults))
			lines_add(&app->out->faults, CLEAR);
		lines_add_error(&app->out->faults, f->path, f->err);
	} else {
		app->out->summed++;
		lines_add_sum(&app->out->sums, f->sum, f->path);
	}
	file_free(f, app);
}

static bool full(const struct treesum *app)
{
	return lines_full(&app->out->sums) || lines_full(&app->out->faults);
}

/* Flushes when it would have to wait for more: so `| head -1` sees the first line when it is there,
 * and a stream of small files costs one write for many. */
static WEIR_CO(print_files, self, op)
{
	int rc;

	for (;;) {
		WEIR_AWAIT(rc, weir_chan_recv(op, &self->app->summed, &self->file));
		if (rc <= 0)
			break;
		put(self->app, self->file);
		if (weir_chan_len(&self->app->summed) && !full(self->app))
			continue;
		WEIR_CALL(rc, self->flush, flush, .app = self->app);
		if (rc < 0)
			break;
	}
	if (!weir_ctx_err(weir_op_ctx(op))) {
		self->app->out->deaf = rc < 0;
		WEIR_RETURN(rc);
	}

	/* Cut short.  What is done is printed all the same, if it can be done soon. */
	weir_shield(op, &self->grace, GRACE);
	do {
		while (!full(self->app) && weir_chan_try_recv(&self->app->summed, &self->file) > 0)
			put(self->app, self->file);
		WEIR_CALL(rc, self->flush, flush, .app = self->app);
	} while (rc >= 0 && weir_chan_len(&self->app->summed));
	weir_unshield(op, &self->grace);
	WEIR_RETURN(weir_ctx_err(weir_op_ctx(op)));
}
WEIR_END

/* ---- progress, for a person who waits ---- */

struct show_progress {
	struct weir_frame co;
	struct treesum *app;
	struct weir_interval every;
	uint64_t before;		/* bytes, a tick ago */
	char text[96];
};

static int progress_text(struct show_progress *p, int ticks)
{
	uint64_t bytes = p->app->out->bytes;
	double rate = (double)(bytes - p->before) / (TICK / 1e9 * ticks);

	p->before = bytes;
	return snprintf(p->text, sizeof p->text, "\r%llu files, %.1f MiB, %.1f MiB/s\033[K",
			(unsigned long long)p->app->out->summed, (double)bytes / (1 << 20),
			rate / (1 << 20));
}

static WEIR_CO(show_progress, self, op)
{
	int n;

	n = weir_interval_init(&self->every, weir_op_loop(op), TICK, WEIR_SKIP);
	while (n >= 0) {
		WEIR_AWAIT(n, weir_interval_tick(op, &self->every));
		if (n < 0)
			break;
		n = progress_text(self, n);
		WEIR_AWAIT(n, weir_write(op, STDERR_FILENO, self->text, (size_t)n, -1));
	}
	WEIR_RETURN(0);
}
WEIR_END

/* ---- all of it ---- */

static unsigned at_least_1(unsigned n)
{
	return n ? n : 1;
}

static void limit(struct treesum *a)
{
	uint64_t eighth = a->o->bytes_rate / 8;

	a->part = PART;
	if (a->o->bytes_rate && eighth < PART)
		a->part = eighth < PART_LEAST ? PART_LEAST : (unsigned)eighth;
}

static double rate(uint64_t per_second)
{
	return per_second ? (double)per_second : WEIR_RATE_INF;
}

/* Stages are sized so that half of the permits are with hash when that is the slowest, and the
 * others with what waits for it: the permits are a promise, not what holds things up. */
static int set_up(struct treesum *a, struct weir_loop *loop)
{
	int rc;

	a->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	if (!a->sha256)
		return -ENOMEM;
	rc = weir_limiter_init(&a->opens, loop, rate(a->o->files_rate), 1);
	if (rc < 0)
		goto free_sha256;
	rc = weir_limiter_init(&a->bytes, loop, rate(a->o->bytes_rate), a->part);
	if (rc < 0)
		goto fini_opens;
	rc = weir_sem_init(&a->permits, loop, a->o->files);
	if (rc < 0)
		goto fini_bytes;
	rc = weir_chan_init(&a->found, loop, AHEAD);
	if (rc < 0)
		goto fini_permits;
	rc = weir_chan_init(&a->opened, loop, a->o->files / 4);
	if (rc < 0)
		goto fini_found;
	rc = weir_chan_init(&a->summed, loop, AHEAD);
	if (rc < 0)
		goto fini_opened;
	weir_chan_on_drop(&a->found, file_drop, a);
	weir_chan_on_drop(&a->opened, file_drop, a);
	weir_chan_on_drop(&a->summed, file_drop, a);
	return 0;

fini_opened:
	weir_chan_fini(&a->opened);
fini_found:
	weir_chan_fini(&a->found);
fini_permits:
	weir_sem_fini(&a->permits);
fini_bytes:
	weir_limiter_fini(&a->bytes);
fini_opens:
	weir_limiter_fini(&a->opens);
free_sha256:
	EVP_MD_free(a->sha256);
	return rc;
}

static void tear_down(struct treesum *a)
{
	buffers_free(a);
	weir_chan_fini(&a->summed);
	weir_chan_fini(&a->opened);
	weir_chan_fini(&a->found);
	weir_sem_fini(&a->permits);
	weir_limiter_fini(&a->bytes);
	weir_limiter_fini(&a->opens);
	EVP_MD_free(a->sha256);
}

static int start(struct treesum *a)
{
	unsigned files = a->o->files;
	int rc;

	a->walk = (struct weir_stage){ .name = "walk", .out = weir_chan_any(&a->found) };
	a->open = (struct weir_stage){ .name = "open", .workers = at_least_1(files / 8),
		.ordered = true };
	a->hash = (struct weir_stage){ .name = "hash", .workers = at_least_1(files / 2),
		.ordered = true };
	a->print = (struct weir_stage){ .name = "print", .in = weir_chan_any(&a->summed) };

	rc = weir_pipeline_go(&a->pipeline, &a->walk, find_files, .app = a);
	if (rc == 0)
		rc = weir_pipeline_map(&a->pipeline, &a->open, &a->found, &a->opened, open_file,
				       file, file, .app = a);
	if (rc == 0)
		rc = weir_pipeline_map(&a->pipeline, &a->hash, &a->opened, &a->summed, hash_file,
				       file, file, .app = a);
	if (rc == 0)
		rc = weir_pipeline_go(&a->pipeline, &a->print, print_files, .app = a);
	return rc;
}

static bool is_pipe(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) &&
		(fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
}

/* A pipe to write to becomes readable when its reader has gone.  The next write would find that out
 * too, but may be long in coming. */
static int adopt(struct treesum *a)
{
	int rc = weir_ctx_adopt(&a->ctx, a->signals, -EINTR);

	if (rc == 0 && is_pipe(STDOUT_FILENO))
		rc = weir_ctx_adopt(&a->ctx, STDOUT_FILENO, -EPIPE);
	return rc;
}

static void tell_stats(const struct treesum *a)
{
	double seconds = (double)(a->pipeline.ended - a->pipeline.began) / 1e9;

	weir_pipeline_print(&a->pipeline, STDERR_FILENO);
	dprintf(STDERR_FILENO, "%llu files, %.1f MiB in %.3f s\n",
		(unsigned long long)a->out->summed, (double)a->out->bytes / (1 << 20), seconds);
}

static WEIR_CO(treesum, self, op)
{
	int rc;

	limit(self);
	rc = set_up(self, weir_op_loop(op));
	if (rc < 0)
		WEIR_RETURN(rc);
	weir_ctx_init(&self->ctx, weir_op_ctx(op));
	weir_group_init(&self->aside, &self->ctx, NULL);
	weir_pipeline_init(&self->pipeline, &self->ctx);
	rc = adopt(self);
	if (rc == 0)
		rc = start(self);
	if (rc == 0 && self->progress)
		rc = weir_go(&self->aside, show_progress, .app = self);
	if (rc < 0)
		weir_pipeline_cancel(&self->pipeline, rc);

	WEIR_AWAIT(self->out->rc, weir_pipeline_wait(op, &self->pipeline));
	if (weir_ctx_err(&self->ctx))
		self->out->rc = weir_ctx_cause(&self->ctx);
	weir_group_cancel(&self->aside, 0);
	WEIR_AWAIT(rc, weir_group_wait(op, &self->aside));
	if (self->progress)
		dprintf(STDERR_FILENO, CLEAR);
	if (self->o->stats)
		tell_stats(self);
	weir_pipeline_fini(&self->pipeline);
	weir_ctx_fini(&self->ctx);
	tear_down(self);
	WEIR_RETURN(0);
}
WEIR_END

static void report(void *arg, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s\n", text);
}

static int complain(const char *what, int err)
{
	fprintf(stderr, "treesum: %s%s\n", what, strerror(-err));
	return 1;
}

/* How the program ends, by the shell's conventions. */
static int status(const struct outcome *out, int signals, int by_pipe)
{
	if (out->rc == -EINTR)
		return process_signal_status(signals);
	if (out->rc == -EPIPE && by_pipe)
		process_end_by_pipe();
	if (out->rc < 0)
		return complain(out->deaf ? "standard output: " : "", out->rc);
	if (close(STDOUT_FILENO) < 0)
		return complain("standard output: ", -errno);
	return out->failed > 0;
}

int main(int argc, char **argv)
{
	static struct outcome out;
	struct weir_loop *loop;
	struct options o;
	char why[512];
	int signals, by_pipe, rc;

	options_read(&o, argc, argv);
	rc = process_std_fds();
	if (rc < 0)
		return complain("standard output: ", rc);
	by_pipe = process_ignore_pipe();
	signals = process_signals_fd();
	if (signals < 0)
		return complain("", signals);
	rc = weir_loop_new(&loop, &(struct weir_loop_conf){ .threads = o.threads,
							   .report = report });
	if (rc < 0) {
		fprintf(stderr, "treesum: %s\n", weir_explain(rc, why, sizeof why));
		return 1;
	}
	rc = weir_run(loop, treesum, .o = &o, .out = &out, .signals = signals,
		      .progress = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO));
	weir_loop_free(loop);
	if (rc < 0)
		return complain("", rc);
	return status(&out, signals, by_pipe);
}
