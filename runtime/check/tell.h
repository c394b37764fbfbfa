/* SPDX-License-Identifier: MIT */
/* tell.h - how the kit's reports are written, line by line; for the kit alone. */
#ifndef WEIR_CHECK_TELL_H
#define WEIR_CHECK_TELL_H

#include "core/loop.h"

#define WEIR_LINE_	512	/* bytes of a line at most; the rest of a longer one is cut */

/* Where a report goes: to a descriptor or to conf.report. */
struct weir_sink {
	struct weir_loop *loop;
	int fd;		/* -1: conf.report */
	unsigned n;	/* things counted so far */
};

__attribute__((format(printf, 2, 3)))
void weir_say_(struct weir_sink *s, const char *format, ...);

/* A task: its state, what it waits for, more(s, t) if that is given, its await stack, who spawned
 * it. */
void weir_tell_task_(struct weir_sink *s, struct weir_task *t, unsigned number,
		     void (*more)(struct weir_sink *s, struct weir_task *t));
void weir_tell_tasks_(struct weir_sink *s);

#endif
