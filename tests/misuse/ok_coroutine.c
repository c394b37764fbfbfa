/* SPDX-License-Identifier: MIT */
/* The same things done right: no compiler has anything to say. */
#include "misuse.h"

enum mood { GLAD, SAD };

static void note(struct weir_group *group);

static WEIR_CO(child, self, op)
{
	int rc;

	for (; self->n > 0; self->n--)
		WEIR_TRY(rc, out, weir_yield(op));
	rc = 0;
out:
	WEIR_RETURN(rc);
}
WEIR_END

/* A coroutine need not await, nor return. */
static WEIR_CO(other, self, op)
{
	self->n++;
}
WEIR_END

static WEIR_CO(worker, self, op)
{
	int rc, i;

	/* Locals that are set after one await and read before the next. */
	WEIR_AWAIT(rc, weir_chan_send(op, self->ints, &self->n));
	if (rc < 0)
		WEIR_RETURN(rc);
	i = self->n + rc;
	self->n = i;

	/* Awaits within the user's own switch and loops, break and continue. */
	while (self->n-- > 0) {
		switch (self->n & 3) {
		case 0:
			WEIR_AWAIT(rc, weir_yield(op));
			break;
		case 1:
			continue;
		default:
			WEIR_TRY(rc, out, weir_yield(op));
			goto out;
		}
	}

	/* All cases of an enum are there, and the lint's own are not held against it. */
	switch ((enum mood)self->big) {
	case GLAD:
		WEIR_AWAIT(rc, weir_yield(op));
		break;
	case SAD:
		break;
	}

	/* A scope of its own, left before the next await. */
	{
		int half = self->n / 2;

		self->n = half;
	}

	weir_ready(weir_chan_recv(&self->arm[0].op, self->ints, &self->n));
	weir_ready(weir_chan_send(&self->arm[1].op, self->ints, self->fixed));
	WEIR_AWAIT(i, weir_select(op, self->arm, 2));
	if (i < 0)
		rc = i;
out:
	WEIR_CALL(rc, self->child, child, .n = 1);
	WEIR_CALL(rc, self->other, other, .n = rc);
	WEIR_RETURN(rc);
}
WEIR_END

static void note(struct weir_group *group)
{
	if (weir_go(group, worker, .n = 3) < 0)
		weir_group_cancel(group, -EIO);
}

int spawn(struct weir_group *group, struct weir_task **task);

int spawn(struct weir_group *group, struct weir_task **task)
{
	note(group);
	return weir_go_join(task, group, child, .n = 2);
}
