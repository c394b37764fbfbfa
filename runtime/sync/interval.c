/* SPDX-License-Identifier: MIT */
/* interval.c - see interval.h.  `next` is moved on by whoever takes the tick, not by the time. */
#include <limits.h>

#include "core/loop.h"
#include "weir/interval.h"

static int at_most_int(uint64_t n)
{
	return n < INT_MAX ? (int)n : INT_MAX;
}

/* Takes the tick that is due.  Returns how many periods it stands for, 0 if none is due. */
static int take(struct weir_interval *iv)
{
	uint64_t now = iv->loop->now, late, periods = 1;

	if (now < iv->next)
		return 0;
	late = now - iv->next;
	if (late >= iv->period && iv->missed != WEIR_BURST)
		periods += late / iv->period;
	if (iv->missed == WEIR_DELAY)
		iv->next = weir_time_add(now, iv->period);
	else
		iv->next = weir_time_add(iv->next + (periods - 1) * iv->period, iv->period);
	return at_most_int(periods);
}

static bool tick_attempt(struct weir_op *op)
{
	op->res = take(op->u.tick.interval);
	return op->res > 0;
}

static void tick_due(struct weir_timer *t)
{
	struct weir_op *op = weir_container_of(t, struct weir_op, u.tick.timer);
	struct weir_interval *iv = op->u.tick.interval;
	int n = take(iv);

	if (n)
		weir_op_done_(op, n);
	else	/* another task has taken this one */
		weir_timer_start_(iv->loop, t, iv->next, tick_due);
}

static bool tick_park(struct weir_op *op)
{
	struct weir_interval *iv = op->u.tick.interval;

	weir_timer_start_(iv->loop, &op->u.tick.timer, iv->next, tick_due);
	return false;
}

static bool tick_cancel(struct weir_op *op)
{
	weir_timer_stop_(op->u.tick.interval->loop, &op->u.tick.timer);
	return true;
}

static const struct weir_op_def tick_def = {
	.name = "interval tick", .attempt = tick_attempt, .park = tick_park, .cancel = tick_cancel,
};

int weir_interval_init(struct weir_interval *iv, struct weir_loop *loop, uint64_t period,
		       enum weir_missed missed)
{
	if (!period)
		return -EINVAL;
	iv->loop = loop;
	iv->period = period;
	iv->next = weir_clock_(loop);
	iv->missed = missed;
	return 0;
}

struct weir_op *weir_interval_tick(struct weir_op *op, struct weir_interval *iv)
{
	weir_op_prepare_(op, &tick_def);
	op->u.tick.interval = iv;
	return op;
}
