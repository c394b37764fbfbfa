/* SPDX-License-Identifier: MIT */
/* dump.c - fuzz_dump(): whatever state the tasks are in, it can be told, and the JSON is JSON. */
#define _GNU_SOURCE	/* memfd_create */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "weir/check.h"

#define DEEP	8	/* the deepest that it nests */

static const char *value(const char *s, unsigned depth);

static const char *blanks(const char *s)
{
	return s + strspn(s, " \t\n");
}

static const char *expect(const char *s, char c)
{
	s = blanks(s);
	must_eq(*s, c);
	return s + 1;
}

static const char *string(const char *s)
{
	for (s = expect(s, '"'); *s != '"'; s++) {
		must((unsigned char)*s >= ' ');
		if (*s == '\\' && *++s == 'u')
			must_eq(strspn(s + 1, "0123456789abcdefABCDEF") >= 4, true);
		else if (s[-1] == '\\')
			must(*s && strchr("\"\\/bfnrt", *s));
	}
	return s + 1;
}

static const char *member(const char *s, unsigned depth)
{
	return value(expect(string(s), ':'), depth);
}

static const char *members(const char *s, char end, const char *(*each)(const char *, unsigned),
			   unsigned depth)
{
	must_le(depth, DEEP);
	s = blanks(s + 1);
	if (*s == end)
		return s + 1;
	for (s = blanks(each(s, depth)); *s == ','; s = blanks(each(s, depth)))
		s++;
	return expect(s, end);
}

static const char *value(const char *s, unsigned depth)
{
	char *end;

	s = blanks(s);
	switch (*s) {
	case '{':
		return members(s, '}', member, depth + 1);
	case '[':
		return members(s, ']', value, depth + 1);
	case '"':
		return string(s);
	default:
		(void)strtod(s, &end);
		must(end > s);
		return end;
	}
}

/* The file is kept from one dump to the next. */
void fuzz_dump(struct weir_loop *loop)
{
	static char text[1 << 17];
	static int fd = -1;
	ssize_t n;

	if (fd < 0)
		fd = memfd_create("dump", MFD_CLOEXEC);
	must(fd >= 0);
	must(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	weir_dump(loop, fd);
	must(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
	must_eq(weir_dump_json(loop, fd), 0);
	n = pread(fd, text, sizeof text - 1, 0);
	must(n > 0 && n < (ssize_t)sizeof text - 1);
	text[n] = '\0';
	must_eq(*blanks(value(text, 0)), '\0');
	must(weir_deadlocks(loop) >= 0);
}
