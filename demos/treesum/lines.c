/* SPDX-License-Identifier: MIT */
/* lines.c - see lines.h; the caller has asked lines_full() before each line. */
#define _GNU_SOURCE
#include <string.h>

#include "lines.h"

void lines_add(struct lines *l, const char *text)
{
	size_t n = strlen(text);

	memcpy(l->text + l->n, text, n);
	l->n += n;
}

static void put_char(struct lines *l, char c)
{
	l->text[l->n++] = c;
}

static void put_hex(struct lines *l, const unsigned char *byte, size_t n)
{
	static const char digit[] = "0123456789abcdef";

	for (; n; n--, byte++) {
		put_char(l, digit[*byte >> 4]);
		put_char(l, digit[*byte & 15]);
	}
}

static void put_escaped(struct lines *l, const char *path)
{
	for (; *path; path++) {
		switch (*path) {
		case '\\':
			lines_add(l, "\\\\");
			break;
		case '\n':
			lines_add(l, "\\n");
			break;
		case '\r':
			lines_add(l, "\\r");
			break;
		default:
			put_char(l, *path);
		}
	}
}

/* A line that begins with a backslash has an escaped name. */
void lines_add_sum(struct lines *l, const unsigned char sum[SUM_SIZE], const char *path)
{
	bool odd = strpbrk(path, "\\\n\r") != NULL;

	if (odd)
		put_char(l, '\\');
	put_hex(l, sum, SUM_SIZE);
	lines_add(l, "  ");
	if (odd)
		put_escaped(l, path);
	else
		lines_add(l, path);
	put_char(l, '\n');
}

/* What the command line names may be longer than any path. */
static void put_visible(struct lines *l, const char *path)
{
	const char *end = path + strnlen(path, PATH_ROOM);

	for (; path < end; path++) {
		unsigned char c = (unsigned char)*path;

		if (c >= ' ' && c != '\\' && c != 0x7f) {
			put_char(l, *path);
			continue;
		}
		put_char(l, '\\');
		put_char(l, (char)('0' + (c >> 6)));
		put_char(l, (char)('0' + (c >> 3 & 7)));
		put_char(l, (char)('0' + (c & 7)));
	}
}

void lines_add_error(struct lines *l, const char *path, int err)
{
	lines_add(l, "treesum: ");
	put_visible(l, path);
	lines_add(l, ": ");
	lines_add(l, strerror(-err));
	put_char(l, '\n');
}
