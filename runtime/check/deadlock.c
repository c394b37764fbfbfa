/* SPDX-License-Identifier: MIT */
/*
 * deadlock.c - what is told of tasks that can never go on: all of them, or some while others run.
 */
#include <time.h>

#include "check/tell.h"
#include "check/waits.h"
#include "weir/check.h"

#define LOOK_EVERY	(100 * WEIR_MS)	/* at most so often... */
#define LOOK_COST	20		/* ...and for at most 1/20 of the time */
#define LOOK_FEW	64		/* on a virtual clock: each time, with so few tasks */
#define ENDERS_MAX	4		/* that are named for one wait */

struct telling {
	struct weir_sink sink;
	struct weir_search *search;
	struct weir_task_note *next;	/* the first stuck one that was named */
	const char *how;
	unsigned n;
};

/* ---- circles ---- */

static void keep_first(void *arg, struct weir_task_note *by, const char *how)
{
	struct telling *t = arg;

	if (t->next || !by->stuck)
		return;
	t->next = by;
	t->how = how;
}

/* The first stuck task that n waits for, NULL if none is known; *op is the wait. */
static struct weir_task_note *next_of(struct telling *t, const struct weir_task_note *n,
				      const struct weir_op **op)
{
	unsigned i;

	t->next = NULL;
	for (i = 0; i < weir_waits_(n->task) && !t->next; i++) {
		*op = weir_wait_(n->task, i);
		weir_enders_(t->search, *op, keep_first, t);
	}
	return t->next;
}

static void tell_circle(struct telling *t, const struct weir_task_note *first)
{
	const struct weir_task_note *n = first, *next;
	const struct weir_op *op = NULL;
	char name[WEIR_LINE_];

	do {
		next = next_of(t, n, &op);
		weir_object_(name, sizeof name, op);
		weir_say_(&t->sink, "  task %u waits for task %u, which %s %s", n->number,
			  next->number, t->how, name);
		n = next;
	} while (n != first);
}

/* Follows the first way from each stuck task until it meets a way: its own is a circle. */
static void tell_circles(struct telling *t)
{
	const struct weir_search *s = t->search;
	const struct weir_op *op;
	unsigned i;

	for (i = 0; i < s->tasks; i++)
		s->task[i]->way = 0;
	for (i = 0; i < s->tasks; i++) {
		struct weir_task_note *n = s->task[i];

		while (n && n->stuck && !n->way) {
			n->way = i + 1;
			n = next_of(t, n, &op);
		}
		if (n && n->stuck && n->way == i + 1)
			tell_circle(t, n);
	}
}

/* ---- a task ---- */

static void tell_ender(void *arg, struct weir_task_note *by, const char *how)
{
	struct telling *t = arg;

	if (t->n++ < ENDERS_MAX)
		weir_say_(&t->sink, "       task %u %s it", by->number, how);
}

static void tell_gone(struct telling *t, const struct weir_op *op)
{
	const struct weir_task_note *n = weir_gone_(op);
	enum weir_on on = weir_on_(op);

	if (n && n->made)
		weir_say_(&t->sink, "       who %s it has ended, spawned by %s %s:%d  %s",
			  on == WEIR_ON_SEND_ ? "received from" :
			  on == WEIR_ON_RECV_ ? "sent to" : "held", n->made->func,
			  weir_base_name_(n->made->file), n->made->line, n->made->text);
}

static void tell_holdings(struct weir_sink *s, struct weir_task_note *n)
{
	char name[WEIR_LINE_];
	struct weir_list *l;

	for (l = n->uses.next; l != &n->uses; l = l->next) {
		const struct weir_use *u = weir_container_of(l, struct weir_use, in_task);

		if (!u->holds)
			continue;
		weir_name_object_(name, sizeof name, "sem", u->seen->made);
		weir_say_(s, "     holds %llu of %s", (unsigned long long)u->holds, name);
	}
}

static void tell_more(struct weir_sink *s, struct weir_task *task)
{
	struct telling *t = weir_container_of(s, struct telling, sink);
	unsigned i;

	for (i = 0; i < weir_waits_(task); i++) {
		t->n = 0;
		if (!weir_enders_(t->search, weir_wait_(task, i), tell_ender, t))
			tell_gone(t, weir_wait_(task, i));
		else if (t->n > ENDERS_MAX)
			weir_say_(s, "       and %u more", t->n - ENDERS_MAX);
	}
	tell_holdings(s, weir_note_of_(task));
}

/* ---- all ---- */

void weir_report_deadlock_(struct weir_loop *loop)
{
	struct weir_search search;
	struct telling t = { .sink = { loop, -1, 0 }, .search = &search };
	size_t i;

	if (!loop->conf.report)
		return;
	weir_say_(&t.sink, "weir: all tasks are asleep: deadlock");
	if (!loop->notes || loop->notes->blind || weir_search_(&search, loop) < 0) {
		weir_tell_tasks_(&t.sink);
		return;
	}
	for (i = 0; i < search.tasks; i++)
		search.task[i]->stuck = true;
	tell_circles(&t);
	for (i = 0; i < search.tasks; i++)
		weir_tell_task_(&t.sink, search.task[i]->task, search.task[i]->number, tell_more);
	weir_search_free_(&search);
}

/* ---- some ---- */

/* Returns how many are stuck.  anew: also if all of them have been told of as such. */
static unsigned tell_stuck(struct weir_search *s, bool anew)
{
	struct telling t = { .sink = { s->loop, -1, 0 }, .search = s };
	unsigned n = 0;
	bool news = anew;
	size_t i;

	for (i = 0; i < s->tasks; i++) {
		const struct weir_task_note *task = s->task[i];

		n += task->stuck;
		news |= task->stuck && task->told != task->deeds + 1;
	}
	if (!n || !news)
		return n;
	weir_fault_(s->loop, "weir: partial deadlock: %u of %zu tasks can never go on", n,
		    s->tasks);
	tell_circles(&t);
	for (i = 0; i < s->tasks; i++) {
		struct weir_task_note *task = s->task[i];

		if (!task->stuck)
			continue;
		task->told = task->deeds + 1;
		weir_tell_task_(&t.sink, task->task, task->number, tell_more);
	}
	return n;
}

static int look(struct weir_loop *loop, bool anew)
{
	struct weir_search search;
	int rc;

	if (loop->notes->blind)
		return -ENOMEM;
	rc = weir_search_(&search, loop);
	if (rc == 0)
		rc = (int)tell_stuck(&search, anew);
	weir_search_free_(&search);
	return rc;
}

int weir_deadlocks(struct weir_loop *loop)
{
	weir_loop_check_thread_(loop);
	return loop->notes ? look(loop, true) : -ENOTSUP;
}

static uint64_t clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * WEIR_S + (uint64_t)ts.tv_nsec;
}

/* What a search costs grows with the tasks, so on a virtual clock, where the real one must not
 * matter, it is made once for as many steps. */
static bool is_time(struct weir_loop *loop, uint64_t now)
{
	struct weir_notes *notes = loop->notes;
	uint64_t steps = loop->stats.resumes - notes->looked;

	if (!steps)
		return false;
	if (!loop->be->ops->advance)
		return now >= notes->look_at;
	return loop->stats.tasks <= LOOK_FEW || steps >= loop->stats.tasks;
}

uint64_t weir_kit_idle_(struct weir_loop *loop, uint64_t due)
{
	struct weir_notes *notes = loop->notes;
	uint64_t now, cost;

	if (!loop->conf.report || notes->blind || notes->looked == loop->stats.resumes)
		return due;
	now = clock_now();
	if (!is_time(loop, now))
		return loop->be->ops->advance || due < notes->look_at ? due : notes->look_at;
	notes->looked = loop->stats.resumes;
	look(loop, false);
	cost = LOOK_COST * (clock_now() - now);
	notes->look_at = now + (cost > LOOK_EVERY ? cost : LOOK_EVERY);
	return due;
}
