/* SPDX-License-Identifier: MIT */
/*
 * freed.c - a task that has ended while the kernel has a buffer in its frames: another task's op.
 *
 * A task's own ops end before it does.  What the kernel may still write to is never freed, and
 * somebody else's op cannot be called off, so both are named and the program ends.
 */
#include <stdio.h>

#include "check/notes.h"
#include "check/tell.h"
#include "core/kernel_op.h"

struct look {
	struct weir_loop *loop;
	const struct weir_point *made;	/* where it was spawned */
	const char *from, *end;
};

static void look_at(void *arg, struct weir_op *op)
{
	const struct look *s = arg;
	struct weir_buffer_ b = weir_kernel_buffer_(op);
	const struct weir_point *made = s->made, *p;
	const char *at = b.p;
	char text[WEIR_LINE_];

	if (!b.n || at >= s->end || at + b.n <= s->from)
		return;
	p = weir_task_last_point_(weir_op_task(op));
	snprintf(text, sizeof text, "a frame freed while the kernel has it: of the task spawned at "
		 "%s:%d; its memory is a buffer of %s %s:%d  %s", made ? made->file : "",
		 made ? made->line : 0, p ? p->func : "", p ? p->file : "", p ? p->line : 0,
		 p ? p->text : "");
	weir_fault_(s->loop, "weir: misuse: %s", text);
	weir_bug_(text, NULL);
}

void weir_note_freed_(struct weir_loop *loop, struct weir_task *t, size_t size)
{
	struct look s = { loop, weir_task_root_(t)->up.made, (char *)t, (char *)t + size };

	loop->be->ops->each(loop->be, look_at, &s);
}
