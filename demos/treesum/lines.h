/* SPDX-License-Identifier: MIT */
/*
 * lines.h - lines of text on their way out: what sha256sum would print, and what went wrong.
 *
 * A file's name may hold anything.  In a sum's line it is written as sha256sum writes it, which
 * its -c understands; in a message every control character is spelled out, so that a name can
 * neither forge a line nor talk to the terminal.
 */
#ifndef LINES_H
#define LINES_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "walk.h"

#define SUM_SIZE	32
#define LINE_ROOM	(4 * PATH_ROOM + 256)
#define LINES_ROOM	65536

struct lines {
	size_t n, gone;		/* bytes added, and of those written */
	char text[LINES_ROOM];
};

/* Another line may not fit. */
static inline bool lines_full(const struct lines *l)
{
	return l->n > LINES_ROOM - LINE_ROOM;
}

static inline const char *lines_text(const struct lines *l)
{
	return l->text + l->gone;
}

static inline size_t lines_left(const struct lines *l)
{
	return l->n - l->gone;
}

static inline void lines_written(struct lines *l, size_t n)
{
	l->gone += n;
	if (l->gone == l->n)
		l->gone = l->n = 0;
}

void lines_add(struct lines *l, const char *text);
void lines_add_sum(struct lines *l, const unsigned char sum[SUM_SIZE], const char *path);
void lines_add_error(struct lines *l, const char *path, int err);

#endif
