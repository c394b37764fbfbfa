/* SPDX-License-Identifier: MIT */
/*
 * fds.c - which await opened each descriptor that weir gave out and has not closed: conf.check.
 *
 * A table by descriptor number.  It grows when one is opened; where memory is short the
 * descriptor is not noted, which hides a leak and breaks nothing.
 */
#include <string.h>

#include "core/loop.h"
#include "kernel/alloc.h"

struct note {
	const struct weir_point *where;	/* NULL: not open, not ours */
	bool at_once;			/* opened after that, by the next await */
};

struct weir_fd_notes {
	struct note *note;
	size_t n;
};

#define FIRST	64
#define MOST	(1u << 20)	/* descriptors above are not noted; Linux's own default limit */

int weir_fd_notes_init_(struct weir_loop *loop)
{
	loop->fd_notes = weir_zalloc_(1, sizeof *loop->fd_notes);
	return loop->fd_notes ? 0 : -ENOMEM;
}

void weir_fd_notes_fini_(struct weir_loop *loop)
{
	weir_free_(loop->fd_notes->note);
	weir_free_(loop->fd_notes);
	loop->fd_notes = NULL;
}

static bool grow(struct weir_fd_notes *notes, size_t fd)
{
	size_t n = notes->n ? notes->n : FIRST;
	struct note *note;

	while (n <= fd)
		n *= 2;
	note = weir_zalloc_(n, sizeof *note);
	if (!note)
		return false;
	if (notes->n)
		memcpy(note, notes->note, notes->n * sizeof *note);
	weir_free_(notes->note);
	notes->note = note;
	notes->n = n;
	return true;
}

void weir_fd_opened_(struct weir_loop *loop, int fd, const struct weir_point *where, bool at_once)
{
	struct weir_fd_notes *notes = loop->fd_notes;

	if (!notes || fd < 0 || (size_t)fd >= MOST)
		return;
	if ((size_t)fd >= notes->n && !grow(notes, (size_t)fd))
		return;
	notes->note[fd] = (struct note){ where, at_once };
}

void weir_fd_closed_(struct weir_loop *loop, int fd)
{
	struct weir_fd_notes *notes = loop->fd_notes;

	if (notes && fd >= 0 && (size_t)fd < notes->n)
		notes->note[fd].where = NULL;
}

unsigned weir_fd_notes_report_(struct weir_loop *loop)
{
	const struct weir_fd_notes *notes = loop->fd_notes;
	unsigned n = 0;
	size_t fd;

	for (fd = 0; fd < notes->n; fd++) {
		const struct note *note = &notes->note[fd];
		const struct weir_point *p = note->where;

		if (!p)
			continue;
		n++;
		weir_report_(loop, "weir: leak: descriptor %zu, opened %s %s %s:%d  %s", fd,
			     note->at_once ? "after" : "by", p->func, p->file, p->line, p->text);
	}
	return n;
}
