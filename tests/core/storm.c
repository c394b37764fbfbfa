/* SPDX-License-Identifier: MIT */
/*
 * storm.c - tasks that do everything at random, and are cancelled at random while they do it.
 *
 * Whatever happened, in the end no item and no permit is lost or doubled, and nothing is left in
 * the loop. A seed that fails fails again: WEIR_STORM_SEED=n runs that one alone.
 */
#include <stdlib.h>

#include "harness.h"
#include "kit.h"

#define ARMS		4
#define CTXS		6
#define CHANS		4	/* of capacity 0, 2, 4, and 1: this one will be closed or hung up */
#define DOOMED		3
#define PERMITS		3
#define CAUSE		(-1001)

WEIR_CHAN(numbers, uint64_t);

static struct weir_loop *loop;
static struct numbers ch[CHANS];
static struct weir_sem sem;
static struct weir_limiter limiter;
static struct weir_ctx ctxs[CTXS];	/* live through the storm; some are cancelled in it */
static int tokens;			/* an eventfd with one for each read that may begin */
static uint64_t next_item, sent, received, sent_sum, received_sum;
static unsigned permits_out, ended;

static unsigned below(unsigned n)
{
	return (unsigned)((weir_random(loop) >> 32) % n);
}

static struct numbers *some_chan(void)
{
	return &ch[below(CHANS)];
}

static uint64_t some_ns(void)
{
	return below(4) ? below(100) * WEIR_MS : below(20) * WEIR_S;
}

static void note_sent(int rc, uint64_t item)
{
	if (rc != 1)
		return;
	sent++;
	sent_sum += item;
}

static void note_received(int rc, uint64_t item)
{
	if (rc != 1)
		return;
	received++;
	received_sum += item;
}

static void note_acquired(int rc)
{
	if (rc == 0)
		permits_out++;
	ck_assert_uint_le(permits_out, PERMITS);
}

static void note_dropped(void *arg, void *item)
{
	(void)arg;
	note_received(1, *(uint64_t *)item);
}

static void give_back(void)
{
	permits_out--;
	ck_assert_int_eq(weir_sem_release(&sem, 1), 0);
}

/* ---- a task ---- */

enum kind { SEND, RECV, SLEEP, YIELD, DONE, ACQUIRE, RESERVE, READ, LIMIT, KINDS };

struct storm {
	struct weir_frame co;
	unsigned depth, steps, n, i;
	int rc;
	uint64_t item, count;
	struct weir_ctx ctx;
	struct weir_group group;
	struct weir_task *task;
	struct {
		enum kind kind;
		struct numbers *ch;
		uint64_t item, count;
	} with[ARMS];
	struct weir_arm arm[ARMS];
};

static struct weir_op *prepare(struct weir_op *op, struct storm *s, unsigned i)
{
	s->with[i].kind = (enum kind)below(KINDS);
	s->with[i].ch = some_chan();
	s->with[i].item = ++next_item;
	switch (s->with[i].kind) {
	case SEND:
		return weir_chan_send(op, s->with[i].ch, &s->with[i].item);
	case RECV:
		return weir_chan_recv(op, s->with[i].ch, &s->with[i].item);
	case SLEEP:
		return weir_sleep(op, some_ns());
	case YIELD:
		return weir_yield(op);
	case DONE:
		return weir_ctx_wait(op, &ctxs[below(CTXS)]);
	case ACQUIRE:
		return weir_sem_acquire(op, &sem, 1);
	case RESERVE:
		s->with[i].ch = &ch[1 + below(CHANS - 1)];
		return weir_chan_reserve(op, s->with[i].ch);
	case LIMIT:
		return weir_limiter_wait(op, &limiter, 1 + below(3));
	default:
		eventfd_write(tokens, 1);
		return kit_read(op, tokens, &s->with[i].count);
	}
}

/* What was won is accounted for, or given back. */
static void settle(const struct storm *s, unsigned i, int rc)
{
	switch (s->with[i].kind) {
	case SEND:
		note_sent(rc, s->with[i].item);
		break;
	case RECV:
		note_received(rc, s->with[i].item);
		break;
	case ACQUIRE:
		note_acquired(rc);
		if (rc == 0)
			give_back();
		break;
	case RESERVE:
		if (rc == 1 && below(2))
			note_sent(weir_chan_commit(s->with[i].ch, &s->with[i].item),
				  s->with[i].item);
		else if (rc == 1)
			weir_chan_release(s->with[i].ch);
		break;
	default:
		break;
	}
}

/* Losers had no effect, but for kernel ops. */
static void ck_losers(const struct storm *s, int winner)
{
	unsigned i;

	for (i = 0; i < s->n; i++)
		if ((int)i != winner && s->with[i].kind != READ && s->arm[i].op.res >= 0)
			ck_abort_msg("arm %u, of kind %d, lost with %d", i, s->with[i].kind,
				     s->arm[i].op.res);
}

static WEIR_CO(storm, self, op)
{
	while (self->steps--) {
		switch (below(10)) {
		case 0:		/* one thing */
		case 1:
			WEIR_AWAIT(self->rc, prepare(op, self, 0));
			settle(self, 0, self->rc);
			break;
		case 2:		/* the first of several */
		case 3:
		case 4:
			self->n = 1 + below(ARMS);
			for (self->i = 0; self->i < self->n; self->i++)
				weir_ready(prepare(&self->arm[self->i].op, self, self->i));
			WEIR_AWAIT(self->rc, weir_select(op, self->arm, self->n));
			ck_losers(self, self->rc);
			if (self->rc >= 0)
				settle(self, (unsigned)self->rc, self->arm[self->rc].op.res);
			break;
		case 5:		/* something within a time */
			weir_ctx_init_timeout(&self->ctx, weir_op_ctx(op), some_ns());
			weir_ctx_enter(op, &self->ctx);
			WEIR_AWAIT(self->rc, prepare(op, self, 0));
			settle(self, 0, self->rc);
			weir_ctx_leave(op, &self->ctx);
			weir_ctx_fini(&self->ctx);
			break;
		case 6:		/* something for all that */
			weir_shield(op, &self->ctx, some_ns());
			WEIR_AWAIT(self->rc, prepare(op, self, 0));
			settle(self, 0, self->rc);
			weir_unshield(op, &self->ctx);
			break;
		case 7:		/* holding a permit */
			WEIR_AWAIT(self->rc, weir_sem_acquire(op, &sem, 1));
			note_acquired(self->rc);
			if (self->rc < 0)
				break;
			WEIR_AWAIT(self->rc, weir_sleep(op, some_ns()));
			give_back();
			break;
		case 8:		/* others */
			if (!self->depth)
				break;
			weir_group_init(&self->group,
					below(4) ? weir_op_ctx(op) : &ctxs[below(CTXS)], NULL);
			weir_group_limit(&self->group, (int)below(4) - 1);
			for (self->i = 0; self->i < 1 + self->depth; self->i++) {
				if (weir_group_limit(&self->group, self->group.limit) == 0 &&
				    self->group.limit == 0)
					break;		/* would wait for ever */
				WEIR_GO(self->rc, &self->group, storm, .depth = self->depth - 1,
					.steps = below(20));
				if (self->rc < 0)
					break;
			}
			if (below(3) == 0 && !weir_go_join(&self->task, &self->group, storm,
							   .steps = below(10))) {
				WEIR_AWAIT(self->rc, weir_join(op, self->task));
			}
			if (below(8) == 0)
				weir_group_cancel(&self->group, CAUSE);
			WEIR_AWAIT(self->rc, weir_group_wait(op, &self->group));
			break;
		default:	/* harm */
			if (below(40) == 0)
				weir_chan_close(&ch[DOOMED]);
			else if (below(60) == 0)
				weir_chan_hangup(&ch[DOOMED]);
			else if (below(20) == 0)
				weir_ctx_cancel(&ctxs[below(CTXS)], CAUSE);
			else if (below(20) == 0)
				weir_ctx_cancel(weir_op_ctx(op), CAUSE);
			else if (below(100) == 0)
				WEIR_RETURN(CAUSE);
		}
		if (weir_op_ctx(op)->err && below(4) == 0)
			break;
	}
	ended++;
	WEIR_RETURN(weir_op_ctx(op)->err);
}
WEIR_END

/* ---- the storm ---- */

static void drain(void)
{
	uint64_t item;
	int i;

	for (i = 0; i < CHANS; i++) {
		while (weir_chan_try_recv(&ch[i], &item) == 1)
			note_received(1, item);
		ck_assert_uint_eq(ch[i].chan.reserved, 0);
		weir_chan_fini(&ch[i]);
	}
}

/* A turn; the clock moves when nothing else does. */
static void go_on(uint64_t seed)
{
	struct weir_loop_stats s;
	uint64_t due;

	weir_loop_dispatch(loop);
	weir_loop_stats(loop, &s);
	if (loop->ready.first || s.in_flight || s.parked)
		return;
	due = weir_wheel_next_(&loop->wheel);
	if (due == WEIR_FOREVER && s.tasks) {
		weir_dump(loop, STDERR_FILENO);
		ck_abort_msg("seed %llu: all tasks are asleep", (unsigned long long)seed);
	}
	if (due != WEIR_FOREVER)
		weir_advance(loop, due - weir_now(loop));
}

static void run_storm(uint64_t seed)
{
	const struct weir_loop_conf conf = {
		.seed = seed, .virtual_clock = true, .check = true, .ops = 32,
	};
	struct weir_group group;
	struct weir_ctx limit;
	int i;

	loop = test_loop_conf(&conf);
	sent = received = sent_sum = received_sum = 0;
	permits_out = 0;
	tokens = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
	for (i = 0; i < CHANS; i++) {
		ck_assert_int_eq(weir_chan_init(&ch[i], loop, i == DOOMED ? 1 : (size_t)i * 2), 0);
		weir_chan_on_drop(&ch[i], note_dropped, NULL);
	}
	ck_assert_int_eq(weir_sem_init(&sem, loop, PERMITS), 0);
	ck_assert_int_eq(weir_limiter_init(&limiter, loop, 2, 3), 0);
	weir_ctx_init_timeout(&limit, weir_loop_ctx(loop), 10 * WEIR_MIN);
	for (i = 0; i < CTXS; i++)
		weir_ctx_init(&ctxs[i], &limit);
	weir_group_init(&group, &limit, &(struct weir_group_conf){ .keep_going = true });
	for (i = 0; i < 10; i++)
		ck_assert_int_eq(weir_go(&group, storm, .depth = 3, .steps = 30), 0);
	while (group.active)
		go_on(seed);
	weir_group_fini(&group);
	for (i = CTXS; i--;)
		weir_ctx_fini(&ctxs[i]);
	weir_ctx_fini(&limit);
	drain();
	ck_assert_uint_eq(sent, received);
	ck_assert_uint_eq(sent_sum, received_sum);
	ck_assert_uint_eq(permits_out, 0);
	ck_assert_int_eq(weir_sem_try_acquire(&sem, PERMITS), 0);
	ck_assert_int_eq(weir_sem_release(&sem, PERMITS), 0);
	weir_sem_fini(&sem);
	weir_limiter_fini(&limiter);
	test_loop_free(loop);
	close(tokens);
}

START_TEST(after_any_storm_the_accounts_are_even)
{
	const char *one = getenv("WEIR_STORM_SEED");
	uint64_t seed;

	if (one) {
		run_storm(strtoull(one, NULL, 0));
		return;
	}
	for (seed = 1; seed <= test_some(300); seed++) {
		mark_point();
		run_storm(seed);
	}
	ck_assert_uint_gt(ended, test_some(300) * 20);
}
END_TEST

TESTS("storm",
      after_any_storm_the_accounts_are_even)
