/* SPDX-License-Identifier: MIT */
/*
 * walk.h - the regular files under some paths, one after another, depth first and sorted.
 *
 * Nothing in here knows weir, and nothing but walk_look() blocks: walk_next() says when that is
 * to be called, which a coroutine has a thread do.  Paths are treated as `find -type f` does: a
 * symbolic link is not followed, and what is neither a file nor a directory is passed over.
 *
 * Held is one level of names for each directory between root and file (see names.h), and a path:
 * the kernel accepts none that is longer than PATH_MAX, so that is how deep it goes.
 */
#ifndef WALK_H
#define WALK_H

#include <limits.h>

#define PATH_ROOM	(PATH_MAX + NAME_MAX + 2)

struct level;

struct walk {
	char *const *root;	/* the one it is under, or at; NULL behind the last */
	struct level *level;	/* the directory it is in; NULL at a root not looked at yet */
	int seen;		/* what walk_look() saw, or -errno */
	int err;		/* with WALK_FAULT: why there is nothing under that path */
	char path[PATH_ROOM];
};

enum walk_step {
	WALK_END,
	WALK_LOOK,	/* call walk_look() first */
	WALK_FILE,	/* a file at walk->path */
	WALK_FAULT,	/* walk->path cannot be looked at: walk->err */
};

void walk_init(struct walk *w, char *const *roots);
void walk_fini(struct walk *w);

/* Goes on to what is next.  Results: a step; -ENOMEM. */
int walk_next(struct walk *w);

/* Asks the file system, for a bounded time if that is healthy.  Any thread, but one at a time. */
void walk_look(struct walk *w);

#endif
