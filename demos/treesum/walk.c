/* SPDX-License-Identifier: MIT */
/*
 * walk.c - see walk.h.
 *
 * While a level is entered, path begins with that directory's path and a '/', and what is behind
 * that is the file last told of.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "names.h"
#include "walk.h"

struct level {
	struct level *up;
	struct names names;
	size_t len;		/* of its path and the '/' */
};

enum { NOT_SEEN = 1 };		/* walk.seen, beside a root's S_IFMT, 0 and -errno */
enum { GO_ON = WALK_FAULT + 1 };

void walk_init(struct walk *w, char *const *roots)
{
	*w = (struct walk){ .root = roots, .seen = NOT_SEEN };
}

static void leave(struct walk *w)
{
	struct level *l = w->level;

	w->level = l->up;
	names_fini(&l->names);
	free(l);
}

void walk_fini(struct walk *w)
{
	while (w->level)
		leave(w);
}

/* path is that of a directory, with a '/'. */
static int enter(struct walk *w)
{
	struct level *l = malloc(sizeof *l);

	if (!l)
		return -ENOMEM;
	names_init(&l->names);
	l->len = strlen(w->path);
	l->up = w->level;
	w->level = l;
	return GO_ON;
}

static int fault(struct walk *w, int err)
{
	w->err = err;
	return WALK_FAULT;
}

/* Below the root a '/' would follow the symbolic link that may have taken a directory's place
 * since; at the root it is the user's own, or does no harm. */
static int read_level(struct walk *w)
{
	if (w->level->up)
		w->path[w->level->len - 1] = '\0';
	return names_read(&w->level->names, w->path);
}

static int look_at_root(const struct walk *w)
{
	struct stat st;

	return lstat(*w->root, &st) < 0 ? -errno : (int)(st.st_mode & S_IFMT);
}

void walk_look(struct walk *w)
{
	w->seen = w->level ? read_level(w) : look_at_root(w);
}

static int next_at_root(struct walk *w)
{
	const char *root = *w->root;
	int seen = w->seen;
	size_t len;

	if (seen == NOT_SEEN)
		return WALK_LOOK;
	w->root++;
	w->seen = NOT_SEEN;
	/* One that is too long has not been found. */
	len = strnlen(root, PATH_ROOM - 2);
	memcpy(w->path, root, len);
	w->path[len] = '\0';
	if (seen < 0)
		return fault(w, seen);
	if (seen == S_IFREG)
		return WALK_FILE;
	if (seen != S_IFDIR)
		return GO_ON;
	if (root[len - 1] != '/')
		memcpy(w->path + len, "/", 2);
	return enter(w);
}

static int next_in_level(struct walk *w)
{
	struct level *l = w->level;
	int seen = w->seen;
	char *name;

	w->seen = NOT_SEEN;
	w->path[l->len - (seen < 0 && l->len > 1)] = '\0';
	if (seen < 0)
		return fault(w, seen);
	name = names_take(&l->names);
	if (!name) {
		if (l->names.partial)
			return WALK_LOOK;
		leave(w);
		return GO_ON;
	}
	w->path[l->len - 1] = '/';
	strcpy(w->path + l->len, name);
	free(name);
	return w->path[strlen(w->path) - 1] == '/' ? enter(w) : WALK_FILE;
}

int walk_next(struct walk *w)
{
	int step = GO_ON;

	while (step == GO_ON && (w->level || *w->root))
		step = w->level ? next_in_level(w) : next_at_root(w);
	return step == GO_ON ? WALK_END : step;
}
