/* SPDX-License-Identifier: MIT */
/*
 * sem.c - semaphores, also in selects: permits add up, and go to whom they are due.
 *
 * The language: three bytes of fuzz_loop(), then instructions, each a byte, with arguments:
 *
 *	0 acquire s n ns	a task acquires n of s, sleeps for ns, and releases them
 *	1 select k {s n}*k ns	a task awaits one of k acquires, and then does so
 *	2 try     s n		the driver acquires without waiting
 *	3 release s n		the driver releases, be they held or not
 *	4 resize  s n
 *	5 close   s
 *	6 cancel  t		the t-th task's ctx
 *	7 yield			the driver lets others run
 *	8 sleep   ns		...until this time
 *
 * s is a semaphore, of permits[s] at first; ns as fuzz_ns().
 *
 * The model keeps the lines as plain arrays and serves them by SEMANTICS' rules at each step, so it
 * knows before the library's task has run what that task will be told.
 */
#include <string.h>

#include "kit/fuzz.h"

#define SEMS	3
#define TASKS	48
#define ARMS	3
#define MOST	8	/* permits asked for: 0 to this */

static const uint64_t permits[SEMS] = { 1, 3, 6 };

struct wish { unsigned s, n; };

enum state { NEW, WAITS, TOLD, OVER };	/* TOLD: decided, the task has not run since */

static struct user_model {
	enum state state;
	unsigned n;
	struct wish arm[ARMS];
	unsigned won;		/* the arm */
	int rc;			/* its result, or the ctx's error */
	bool cancelled;
} users[TASKS];
static unsigned n_tasks;

static struct line {
	long long size, free;
	bool closed;
	unsigned n;
	struct { unsigned task, arm; } at[TASKS * ARMS];
} lines[SEMS];

static struct line refused;	/* by refuse(), of this semaphore: they will hear of it */
static unsigned refused_by;

static struct weir_loop *loop;
static struct weir_sem sems[SEMS];
static struct weir_ctx ctxs[TASKS];

/* ---- the model ---- */

static void serve(unsigned s);

static bool take_out(struct line *l, unsigned task, unsigned arm)
{
	unsigned i;

	for (i = 0; i < l->n; i++) {
		if (l->at[i].task != task || l->at[i].arm != arm)
			continue;
		memmove(l->at + i, l->at + i + 1, (--l->n - i) * sizeof *l->at);
		return true;
	}
	return false;
}

/* The arms of the task leave their lines, one after the other, and make way.  Some may be about to
 * hear that they are refused. */
static void leave_all(unsigned task)
{
	struct user_model *u = &users[task];
	unsigned i;

	for (i = 0; i < u->n; i++)
		if (take_out(&lines[u->arm[i].s], task, i) ||
		    (refused_by == u->arm[i].s && take_out(&refused, task, i)))
			serve(u->arm[i].s);
}

static void tell(unsigned task, unsigned arm, int rc)
{
	struct user_model *u = &users[task];

	if (u->state != WAITS)
		return;
	u->state = TOLD;
	u->won = arm;
	u->rc = rc;
	leave_all(task);
}

static bool fits(const struct line *l, unsigned n)
{
	return n == 0 || n <= l->free;
}

/* An arm of a select that is decided stands in the way until it leaves, but gets nothing. */
static void serve(unsigned s)
{
	struct line *l = &lines[s];

	while (l->n) {
		unsigned task = l->at[0].task, arm = l->at[0].arm, n = users[task].arm[arm].n;

		if (!fits(l, n))
			return;
		take_out(l, task, arm);
		if (users[task].state != WAITS)
			continue;
		l->free -= n;
		tell(task, arm, 0);
	}
}

/* Who asks for more than n leaves the line, then hears of it. */
static void refuse(unsigned s, long long n, int rc)
{
	struct line *l = &lines[s];
	unsigned i, kept = 0;

	refused_by = s;
	for (i = 0; i < l->n; i++)
		if (users[l->at[i].task].arm[l->at[i].arm].n > n)
			refused.at[refused.n++] = l->at[i];
		else
			l->at[kept++] = l->at[i];
	l->n = kept;
	while (refused.n) {
		unsigned task = refused.at[0].task, arm = refused.at[0].arm;

		take_out(&refused, task, arm);
		tell(task, arm, rc);
	}
}

/* What it would be told at once; -EAGAIN: nothing. */
static int ask(const struct wish *w)
{
	const struct line *l = &lines[w->s];

	if (l->closed)
		return -EPIPE;
	if (w->n > l->size)
		return -E2BIG;
	return l->n || !fits(l, w->n) ? -EAGAIN : 0;
}

static int release(unsigned s, unsigned n)
{
	if (n > lines[s].size - lines[s].free)
		return -EINVAL;
	lines[s].free += n;
	serve(s);
	return 0;
}

static void cancel(unsigned task)
{
	struct user_model *u = &users[task];
	bool first = !u->cancelled;

	u->cancelled = true;
	if (!first || u->state == NEW || u->state == OVER)
		return;
	if (u->state == WAITS) {
		tell(task, 0, -ECANCELED);
	} else if (u->rc == 0) {	/* won, and not seen: it goes back */
		struct line *l = &lines[u->arm[u->won].s];
		unsigned n = u->arm[u->won].n, held = (unsigned)(l->size - l->free);

		u->rc = -ECANCELED;	/* what the driver has not released of it */
		release(u->arm[u->won].s, n < held ? n : held);
	}
}

/* Everything that can be seen from outside is as the model has it. */
static void check_all(void)
{
	unsigned s;

	for (s = 0; s < SEMS; s++) {
		must_eq(weir_sem_available(&sems[s]), lines[s].free);
		must_eq(weir_sem_size(&sems[s]), lines[s].size);
		must_eq(weir_sem_waiting(&sems[s]), lines[s].n);
	}
}

/* ---- tasks ---- */

struct user {
	struct weir_frame co;
	struct weir_arm arm[ARMS];
	unsigned id;
	uint64_t ns;
	bool ready;
	int rc;
};

/* The task asks now.  True: some arm is ready, which of them the library says. */
static bool ask_all(unsigned task)
{
	struct user_model *u = &users[task];
	bool ready = u->cancelled;
	unsigned i;

	for (i = 0; i < u->n; i++)
		ready |= ask(&u->arm[i]) != -EAGAIN;
	u->state = ready ? OVER : WAITS;
	for (i = 0; i < u->n && !ready; i++) {
		struct line *l = &lines[u->arm[i].s];

		l->at[l->n].task = task;
		l->at[l->n++].arm = i;
	}
	return ready;
}

/* An answer that came at once: arm rc of several, of which it must be one that is ready. */
static void answered(unsigned task, unsigned arm, int rc)
{
	struct user_model *u = &users[task];

	u->won = arm;
	u->rc = rc;
	if (u->cancelled) {
		must_eq(rc, -ECANCELED);
		return;
	}
	must_eq(rc, ask(&u->arm[arm]));
	must(rc != -EAGAIN);
	if (rc == 0)
		lines[u->arm[arm].s].free -= u->arm[arm].n;
}

static WEIR_CO(user, self, op)
{
	struct user_model *u;
	unsigned i;

	u = &users[self->id];
	weir_ctx_enter(op, &ctxs[self->id]);
	for (i = 0; i < u->n; i++)
		weir_ready(weir_sem_acquire(&self->arm[i].op, &sems[u->arm[i].s], u->arm[i].n));
	self->ready = ask_all(self->id);
	if (u->n == 1) {
		WEIR_AWAIT(self->rc, weir_sem_acquire(op, &sems[users[self->id].arm[0].s],
						      users[self->id].arm[0].n));
		i = 0;
	} else {
		WEIR_AWAIT(self->rc, weir_select(op, self->arm, users[self->id].n));
		i = self->rc < 0 ? 0 : (unsigned)self->rc;
		self->rc = self->rc < 0 ? self->rc : self->arm[i].op.res;
	}
	if (self->ready)
		answered(self->id, i, self->rc);
	else
		must_eq(users[self->id].state, TOLD);
	users[self->id].state = OVER;
	must_eq(self->rc, users[self->id].rc);
	if (self->rc == 0)
		must_eq(i, users[self->id].won);
	weir_ctx_leave(op, &ctxs[self->id]);
	if (self->rc < 0)
		WEIR_RETURN(0);

	WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
	i = users[self->id].won;
	fuzz_say("task %u releases", self->id);
	self->rc = weir_sem_release(&sems[users[self->id].arm[i].s], users[self->id].arm[i].n);
	must_eq(self->rc, release(users[self->id].arm[i].s, users[self->id].arm[i].n));
	check_all();
}
WEIR_END

/* ---- the driver ---- */

struct driver {
	struct weir_frame co;
	struct weir_group group;
	uint64_t ns;
	int rc;
};

static struct wish some_wish(void)
{
	struct wish w = { .s = fuzz_below(SEMS) };

	w.n = fuzz_below(MOST + 1);
	return w;
}

static void start(struct weir_group *g, unsigned n)
{
	struct user_model u = { .n = n };
	uint64_t ns;
	unsigned i;

	for (i = 0; i < n; i++)
		u.arm[i] = some_wish();
	ns = fuzz_ns();
	if (n_tasks == TASKS)
		return;
	for (i = 0; i < n; i++)
		fuzz_say("task %u: %u of semaphore %u for %llu ns", n_tasks, u.arm[i].n,
			 u.arm[i].s, (unsigned long long)ns);
	users[n_tasks] = u;
	weir_ctx_init(&ctxs[n_tasks], weir_loop_ctx(loop));
	must_eq(weir_go(g, user, .id = n_tasks, .ns = ns), 0);
	n_tasks++;
}

static void step(struct weir_group *g, unsigned what)
{
	struct wish w;
	int rc;

	if (what < 2) {
		start(g, what ? 2 + fuzz_below(ARMS - 1) : 1);
		return;
	}
	w = some_wish();
	fuzz_say("step %u: semaphore %u, n %u", what, w.s, w.n);
	switch (what) {
	case 2:
		rc = ask(&w);
		must_eq(weir_sem_try_acquire(&sems[w.s], w.n), rc);
		lines[w.s].free -= rc ? 0 : w.n;
		break;
	case 3:
		rc = release(w.s, w.n);
		must_eq(weir_sem_release(&sems[w.s], w.n), rc);
		break;
	case 4:
		lines[w.s].free += w.n - lines[w.s].size;
		lines[w.s].size = w.n;
		must_eq(weir_sem_resize(&sems[w.s], w.n), 0);
		refuse(w.s, w.n, -E2BIG);
		serve(w.s);
		break;
	default:
		lines[w.s].closed = true;
		weir_sem_close(&sems[w.s]);
		refuse(w.s, -1, -EPIPE);
	}
}

static void cancel_task(unsigned task)
{
	fuzz_say("cancel %u", task);
	weir_ctx_cancel(&ctxs[task], 0);
	cancel(task);
}

static WEIR_CO(driver, self, op)
{
	unsigned i;

	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	while (fuzz_left()) {
		switch (i = fuzz_below(9)) {
		case 6:
			i = fuzz_below(n_tasks);
			if (i < n_tasks)
				cancel_task(i);
			break;
		case 7:
			WEIR_AWAIT(self->rc, weir_yield(op));
			break;
		case 8:
			self->ns = fuzz_ns();
			WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
			break;
		default:
			step(&self->group, i);
		}
		check_all();
	}
	fuzz_dump(loop);
	for (i = 0; i < n_tasks; i++)
		cancel_task(i);
	check_all();
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->group));
	WEIR_RETURN(self->rc);
}
WEIR_END

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned i;

	fuzz_input(data, size);
	loop = fuzz_loop();
	n_tasks = 0;
	for (i = 0; i < SEMS; i++) {
		lines[i] = (struct line){
			.size = (long long)permits[i],
			.free = (long long)permits[i],
		};
		must_eq(weir_sem_init(&sems[i], loop, permits[i]), 0);
	}
	must_eq(weir_run(loop, driver), 0);
	check_all();
	for (i = 0; i < SEMS; i++) {
		must_eq(lines[i].n, 0);
		weir_sem_fini(&sems[i]);
	}
	for (i = n_tasks; i--;)
		weir_ctx_fini(&ctxs[i]);
	fuzz_loop_free(loop);
	return 0;
}
