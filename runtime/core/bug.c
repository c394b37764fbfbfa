/* SPDX-License-Identifier: MIT */
/* bug.c - see bug.h.  Writes without stdio: the heap may be what is broken. */
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/bug.h"

static struct iovec text(const char *s)
{
	return (struct iovec){ (void *)(uintptr_t)s, strlen(s) };
}

_Noreturn void weir_bug_(const char *what, const char *where)
{
	struct iovec line[] = {
		text("weir: bug: "), text(what), text(where ? " at " : ""),
		text(where ? where : ""), text("\n"),
	};

	if (writev(STDERR_FILENO, line, sizeof line / sizeof *line) < 0)
		abort();	/* nobody to tell; the same end */
	abort();
}
