/* SPDX-License-Identifier: MIT */
/*
 * names.c - the part of treesum that sorts a directory in bounded memory, here with so small a
 * bound that every directory is too large.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_MAX	16u
#define NAMES_RUN	5u

#include "../../demos/treesum/names.c"	/* NOLINT: with the bounds above */
#include "harness.h"

#define FILES	500

static char dir[] = "/tmp/weir-names-XXXXXX";
static char path[sizeof dir + NAME_MAX + 1];

static const char *in_dir(const char *name)
{
	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void touch(const char *name)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	close(fd);
}

static void make_dir(void)
{
	char name[16];
	int i;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "f%d", i);
		touch(name);
	}
}

static void remove_dir(void)
{
	char command[sizeof dir + 16];

	snprintf(command, sizeof command, "rm -rf %s", dir);
	ck_assert_int_eq(system(command), 0);
}

/* Reads until there is something to take, or nothing more; how often the directory was gone
 * through. */
static int pass(struct names *n)
{
	int rc;

	if (!n->partial)
		return 0;
	do {
		rc = names_read(n, dir);
		ck_assert_uint_lt(n->n, NAMES_MAX + NAMES_RUN);
	} while (rc == 1);
	ck_assert_int_eq(rc, 0);
	return 1;
}

static char *next(struct names *n, int *passes)
{
	char *name;
	int more = 1;

	while (!(name = names_take(n)) && more) {
		more = pass(n);
		*passes += more;
	}
	return name;
}

START_TEST(each_name_is_told_once_in_order)
{
	char *name, before[NAME_MAX + 2] = "";
	int n = 0, passes = 0;
	struct names names;

	make_dir();
	names_init(&names);
	while ((name = next(&names, &passes))) {
		ck_assert_int_lt(strcmp(before, name), 0);
		strcpy(before, name);
		free(name);
		n++;
	}
	names_fini(&names);
	ck_assert_int_eq(n, FILES);
	ck_assert_int_eq(passes, FILES / (int)NAMES_MAX + 1);
	remove_dir();
}
END_TEST

START_TEST(a_directory_comes_where_its_files_belong)
{
	static const char *const want[] = { "a-b", "a.b", "a/", "a0" };
	struct names names;
	char *name;
	int passes = 0;
	size_t i;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	touch("a.b");
	touch("a0");
	touch("a-b");
	ck_assert_int_eq(mkdir(in_dir("a"), 0700), 0);
	ck_assert_int_eq(symlink("a0", in_dir("link")), 0);
	ck_assert_int_eq(mkfifo(in_dir("fifo"), 0600), 0);
	names_init(&names);
	for (i = 0; (name = next(&names, &passes)); i++) {
		ck_assert_uint_lt(i, sizeof want / sizeof *want);
		ck_assert_str_eq(name, want[i]);
		free(name);
	}
	ck_assert_uint_eq(i, sizeof want / sizeof *want);
	names_fini(&names);
	remove_dir();
}
END_TEST

START_TEST(what_changes_meanwhile_is_told_once_or_not_at_all)
{
	char *name, before[NAME_MAX + 2] = "";
	struct names names;
	int n = 0, passes = 0;

	make_dir();
	names_init(&names);
	while ((name = next(&names, &passes))) {
		ck_assert_int_lt(strcmp(before, name), 0);
		strcpy(before, name);
		ck_assert_int_eq(unlink(in_dir(name)), 0);
		if (n++ == 50) {
			touch("a");	/* behind us */
			touch("z");	/* before us */
		}
		free(name);
	}
	ck_assert_str_eq(before, "z");
	ck_assert_int_eq(n, FILES + 1);
	names_fini(&names);
	remove_dir();
}
END_TEST

START_TEST(names_not_taken_are_freed)
{
	struct names names;

	make_dir();
	names_init(&names);
	ck_assert_int_eq(pass(&names), 1);
	free(names_take(&names));
	names_fini(&names);
	remove_dir();
}
END_TEST

START_TEST(a_directory_that_cannot_be_read_says_why_once)
{
	struct names names;

	names_init(&names);
	ck_assert_int_eq(names_read(&names, "/nonexistent"), -ENOENT);
	ck_assert(!names.partial);
	ck_assert_ptr_null(names_take(&names));
	names_fini(&names);
	names_init(&names);
	ck_assert_int_eq(names_read(&names, "/proc/self/exe"), -ENOTDIR);
	names_fini(&names);
}
END_TEST

START_TEST(without_memory_it_ends_with_what_it_has)
{
	struct names names;
	unsigned n;
	int rc;

	make_dir();
	for (n = 1, rc = -ENOMEM; rc == -ENOMEM; n++) {
		names_init(&names);
		test_fail_alloc(n);
		while ((rc = names_read(&names, dir)) == 1)
			continue;
		ck_assert(test_fail_alloc(0) == (rc == -ENOMEM));
		ck_assert(names.partial == (rc == 0));
		names_fini(&names);
	}
	ck_assert_int_eq(rc, 0);
	remove_dir();
}
END_TEST

TESTS("names", each_name_is_told_once_in_order, a_directory_comes_where_its_files_belong,
      what_changes_meanwhile_is_told_once_or_not_at_all, names_not_taken_are_freed,
      a_directory_that_cannot_be_read_says_why_once, without_memory_it_ends_with_what_it_has)
