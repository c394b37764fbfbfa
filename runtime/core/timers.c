/* SPDX-License-Identifier: MIT */
/* timers.c - the wheel (see timers.h), and sleeping. */
#include "core/loop.h"
#include "core/timers.h"
#include "weir/time.h"

#define DIGIT	(WEIR_WHEEL_SLOTS_ - 1)

void weir_wheel_init_(struct weir_wheel *w, uint64_t now)
{
	unsigned level, i;

	w->base = now;
	w->count = 0;
	for (level = 0; level < WEIR_WHEEL_LEVELS_; level++) {
		w->filled[level] = 0;
		for (i = 0; i < WEIR_WHEEL_SLOTS_; i++) {
			weir_list_init_(&w->slot[level][i].timers);
			w->slot[level][i].earliest = WEIR_FOREVER;
		}
	}
}

/* What is overdue counts as due at base: it is next, in the order of starting. */
static void place(struct weir_wheel *w, struct weir_timer *t)
{
	uint64_t due = t->due > w->base ? t->due : w->base;
	uint64_t differ = due ^ w->base;
	unsigned level = differ ? (63u - (unsigned)__builtin_clzll(differ)) / WEIR_WHEEL_BITS_ : 0;
	unsigned i = due >> (level * WEIR_WHEEL_BITS_) & DIGIT;
	struct weir_wheel_slot *s = &w->slot[level][i];

	/* What an empty slot says is of timers long stopped. */
	if (due < s->earliest || weir_list_empty_(&s->timers))
		s->earliest = due;
	weir_list_append_(&s->timers, &t->link);
	w->filled[level] |= 1ull << i;
}

/* The first slot in order of time that holds a timer, of a wheel that has one.  Slots that stops
 * have emptied are only now found to be empty, so that stopping needs no search. */
static struct weir_wheel_slot *first_slot(struct weir_wheel *w, unsigned *level_out)
{
	unsigned level, i;

	for (level = 0; level < WEIR_WHEEL_LEVELS_; level++) {
		while (w->filled[level]) {
			struct weir_wheel_slot *s;

			i = (unsigned)__builtin_ctzll(w->filled[level]);
			s = &w->slot[level][i];
			if (!weir_list_empty_(&s->timers)) {
				*level_out = level;
				return s;
			}
			w->filled[level] &= ~(1ull << i);
		}
	}
	__builtin_unreachable();
}

uint64_t weir_wheel_next_(struct weir_wheel *w)
{
	unsigned level;

	return w->count ? first_slot(w, &level)->earliest : WEIR_FOREVER;
}

/* Moves base to the slot's earliest time and deals the slot out below: none comes back into it. */
static void cascade(struct weir_wheel *w, struct weir_wheel_slot *s)
{
	struct weir_list *l = s->timers.next, *next;

	weir_list_init_(&s->timers);
	w->base = s->earliest;
	for (; l != &s->timers; l = next) {
		next = l->next;
		__builtin_prefetch(next);
		place(w, weir_container_of(l, struct weir_timer, link));
	}
}

struct weir_timer *weir_wheel_expire_(struct weir_wheel *w, uint64_t now)
{
	struct weir_wheel_slot *s;
	struct weir_timer *t;
	unsigned level;

	while (w->count) {
		s = first_slot(w, &level);
		if (s->earliest > now)
			break;
		if (level) {
			cascade(w, s);
			continue;
		}
		t = weir_container_of(s->timers.next, struct weir_timer, link);
		w->base = s->earliest;
		weir_list_remove_(&t->link);
		weir_list_init_(&t->link);
		w->count--;
		return t;
	}
	return NULL;
}

void weir_timer_start_(struct weir_loop *loop, struct weir_timer *t, uint64_t due,
		       void (*fire)(struct weir_timer *t))
{
	t->due = due;
	t->fire = fire;
	if (!loop->wheel.count++)	/* after a long silence: fewer levels to fall through */
		loop->wheel.base = loop->now;
	place(&loop->wheel, t);
	weir_loop_touch_(loop);
}

void weir_timer_stop_(struct weir_loop *loop, struct weir_timer *t)
{
	WEIR_CHECK_(!weir_list_empty_(&t->link), "a timer is stopped that does not run", NULL);
	weir_list_remove_(&t->link);
	weir_list_init_(&t->link);
	loop->wheel.count--;
}

/* ---- sleep ---- */

static void sleep_fire(struct weir_timer *t)
{
	weir_op_done_(weir_container_of(t, struct weir_op, u.timer), 0);
}

static bool sleep_attempt(struct weir_op *op)
{
	if (op->u.timer.due > weir_op_loop(op)->now)
		return false;
	op->res = 0;
	return true;
}

/* An arm of a select has no task before it is tried, so only now is it known whose clock counts. */
static bool sleep_for_attempt(struct weir_op *op)
{
	op->u.timer.due = weir_time_add(weir_op_loop(op)->now, op->u.timer.due);
	return sleep_attempt(op);
}

static bool sleep_park(struct weir_op *op)
{
	weir_timer_start_(weir_op_loop(op), &op->u.timer, op->u.timer.due, sleep_fire);
	return false;
}

static bool sleep_cancel(struct weir_op *op)
{
	weir_timer_stop_(weir_op_loop(op), &op->u.timer);
	return true;
}

static const struct weir_op_def sleep_def = {
	.name = "sleep", .attempt = sleep_attempt, .park = sleep_park, .cancel = sleep_cancel,
};
static const struct weir_op_def sleep_for_def = {
	.name = "sleep", .attempt = sleep_for_attempt, .park = sleep_park, .cancel = sleep_cancel,
};

struct weir_op *weir_sleep_until(struct weir_op *op, uint64_t t)
{
	weir_op_prepare_(op, &sleep_def);
	op->u.timer.due = t;
	return op;
}

struct weir_op *weir_sleep(struct weir_op *op, uint64_t ns)
{
	weir_op_prepare_(op, &sleep_for_def);
	op->u.timer.due = ns;
	return op;
}
