/* SPDX-License-Identifier: MIT */
/*
 * names.c - see names.h.
 *
 * A pass reads the whole directory and keeps the smallest of the names above `last`.  When it has
 * too many it sorts them, lets the greater half go, and then whatever is not below the greatest it
 * kept.  So n names take 2n / NAMES_MAX passes at most; and since each begins above the last,
 * no name is told twice, whatever happens to the directory meanwhile.
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

static void sort(struct names *names)
{
	if (names->n > 1)
		qsort(names->name, names->n, sizeof *names->name, compare);
}

static void halve(struct names *names)
{
	sort(names);
	let_go(names, NAMES_MAX / 2);
	names->limit = names->name[NAMES_MAX / 2 - 1];
}

static int grow(struct names *names)
{
	size_t room = names->room ? 2 * names->room : 32;
	char **name;

	if (names->n < names->room)
		return 0;
	name = realloc(names->name, room * sizeof *name);	/* at most NAMES_MAX of them */
	if (!name)
		return -ENOMEM;
	names->name = name;
	names->room = room;
	return 0;
}

static int keep(struct names *names, const char *name)
{
	int rc;

	if (names->n == NAMES_MAX)
		halve(names);
	if (strcmp(name, names->last) <= 0 || (names->limit && strcmp(name, names->limit) >= 0))
		return 0;
	rc = grow(names);
	if (rc < 0)
		return rc;
	names->name[names->n] = strdup(name);
	if (!names->name[names->n])
		return -ENOMEM;
	names->n++;
	return 0;
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
	names->n = names->next = 0;
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
	names->partial = names->limit && rc == 0;	/* what fails is not tried again */
	names->limit = NULL;
	sort(names);
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
