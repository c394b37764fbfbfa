/* SPDX-License-Identifier: MIT */
/*
 * names.c - see names.h.
 *
 * A pass reads the whole directory and keeps the smallest of the names above `last`: in front those
 * that are sorted, behind them a run of fresh ones.  When a run is long enough it is sorted and
 * merged in; then the names that are too many go, and from then on all that are not below the
 * greatest that stayed.  Sorting little by little, so that no call takes long.  Since each pass
 * begins above the last, no name is told twice, whatever happens to the directory meanwhile.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "names.h"

void names_init(struct names *names)
{
	memset(names, 0, sizeof *names);
	names->partial = true;
}

static void let_go(struct names *names, size_t from)
{
	while (names->n > from)
		free(names->name[--names->n]);
}

static void close_dir(struct names *names)
{
	if (names->dir)
		closedir(names->dir);
	names->dir = NULL;
}

void names_fini(struct names *names)
{
	close_dir(names);
	let_go(names, names->next);
	free(names->name);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* From the back, where there is room: each name moves once, and run is a copy. */
static void merge(char **name, size_t sorted, char *const *run, size_t n)
{
	while (n)
		if (sorted && strcmp(name[sorted - 1], run[n - 1]) > 0) {
			name[sorted + n - 1] = name[sorted - 1];
			sorted--;
		} else {
			name[sorted + n - 1] = run[n - 1];
			n--;
		}
}

static int settle(struct names *names)
{
	char **fresh = names->name + names->sorted, **run;
	size_t n = names->n - names->sorted;

	if (!n)
		return 0;
	qsort(fresh, n, sizeof *fresh, compare);
	if (names->sorted) {
		run = malloc(n * sizeof *run);
		if (!run)
			return -ENOMEM;
		memcpy(run, fresh, n * sizeof *run);
		merge(names->name, names->sorted, run, n);
		free(run);
	}
	if (names->n > NAMES_MAX) {
		let_go(names, NAMES_MAX);
		names->limit = names->name[NAMES_MAX - 1];
	}
	names->sorted = names->n;
	return 0;
}

static int grow(struct names *names)
{
	size_t room = names->room ? 2 * names->room : 32;
	char **name;

	if (names->n < names->room)
		return 0;
	name = realloc(names->name, room * sizeof *name);	/* bounded, see keep() */
	if (!name)
		return -ENOMEM;
	names->name = name;
	names->room = room;
	return 0;
}

static int keep(struct names *names, const char *name)
{
	int rc;

	if (strcmp(name, names->last) <= 0 || (names->limit && strcmp(name, names->limit) >= 0))
		return 0;
	rc = grow(names);
	if (rc < 0)
		return rc;
	names->name[names->n] = strdup(name);
	if (!names->name[names->n])
		return -ENOMEM;
	names->n++;
	return names->n - names->sorted < NAMES_RUN ? 0 : settle(names);
}

/* DT_DIR, DT_REG, or what need not be told apart.  Not every file system says it in d_type. */
static unsigned char kind_of(int dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type;
	if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return DT_UNKNOWN;
	return IFTODT(st.st_mode);
}

static int look_at(struct names *names, const struct dirent *entry)
{
	unsigned char kind = kind_of(dirfd(names->dir), entry);
	size_t len = strlen(entry->d_name);
	char name[sizeof names->last];

	if (len > NAME_MAX || !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
		return 0;
	memcpy(name, entry->d_name, len + 1);
	if (kind == DT_DIR)
		memcpy(name + len, "/", 2);
	return kind == DT_DIR || kind == DT_REG ? keep(names, name) : 0;
}

static int pass_begin(struct names *names, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc;

	if (fd < 0)
		return -errno;
	names->dir = fdopendir(fd);
	if (!names->dir) {
		rc = -errno;
		close(fd);
		return rc;
	}
	names->n = names->next = names->sorted = 0;
	return 0;
}

int names_read(struct names *names, const char *path)
{
	const struct dirent *entry;
	unsigned left;
	int rc = names->dir ? 0 : pass_begin(names, path);

	for (left = NAMES_SHARE; rc == 0; left--) {
		if (!left)
			return 1;
		errno = 0;
		entry = readdir(names->dir);
		if (!entry) {
			rc = -errno;
			break;
		}
		rc = look_at(names, entry);
	}
	close_dir(names);
	if (settle(names) < 0) {
		let_go(names, names->sorted);
		rc = -ENOMEM;
	}
	names->partial = names->limit && rc == 0;	/* what fails is not tried again */
	names->limit = NULL;
	return rc;
}

char *names_take(struct names *names)
{
	char *name;

	if (names->dir || names->next == names->n)
		return NULL;
	name = names->name[names->next++];
	if (names->partial && names->next == names->n)
		memcpy(names->last, name, strlen(name) + 1);
	return name;
}
