/* SPDX-License-Identifier: MIT */
/*
 * names.h - what is in a directory, sorted, in bounded memory.
 *
 * Names come in the order of strcmp(), a directory's with a '/' at its end: so paths, depth first,
 * come as `find | LC_ALL=C sort` has them.  Only directories and regular files are told of.  At
 * most NAMES_MAX names are held, and some more while it reads: of a larger directory the first
 * ones, and once these are taken it is read again for the next.
 *
 * Nothing in here knows weir.  names_read() blocks, so a coroutine has a thread run it; it does a
 * bounded share of the work at a time, so that who waits for the thread does not wait long.
 */
#ifndef NAMES_H
#define NAMES_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#ifndef NAMES_MAX		/* a test needs fewer */
#define NAMES_MAX	131072u	/* held, after a pass */
#define NAMES_RUN	16384u	/* and during one, so many more */
#endif
#define NAMES_SHARE	4096u	/* entries that one call of names_read() looks at */

struct names {
	DIR *dir;		/* open during a pass */
	char **name;		/* those from `next` on can be taken, once the pass is over */
	size_t n, next, room, sorted;
	const char *limit;	/* during a pass: greater names have been let go; NULL none have */
	bool partial;		/* there may be names that no pass has kept yet */
	char last[NAME_MAX + 2];	/* a pass keeps names above this */
};

void names_init(struct names *names);
void names_fini(struct names *names);

/* Reads on in the directory at path, when there is nothing (more) to take but names->partial.
 * Results: 1 call again; 0 names can be taken; -errno, what was read until then can be taken. */
int names_read(struct names *names, const char *path);

/* The next name, the caller's to free; NULL: there are no more, or, if names->partial, none before
 * names_read() has made another pass. */
char *names_take(struct names *names);

#endif
