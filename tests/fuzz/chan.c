/* SPDX-License-Identifier: MIT */
/*
 * chan.c - channels and selects: no item is lost, doubled, or overtaken by one of its own sender.
 *
 * The language: three bytes of fuzz_loop(), then instructions, each a byte, with arguments:
 *
 *	0 send    c n		a task sends n items, one after the other
 *	1 recv    c n		a task receives n times, or until the end
 *	2 send_n  c n		a task sends n items at once, then those not sent, and so on
 *	3 recv_n  c n		a task receives up to n items at once
 *	4 reserve c x n		a task reserves a slot, yields n times, then commits (x odd)
 *				or releases it
 *	5 select  how n {kind c}*n	a task awaits the first of n arms, as kind and c say below
 *	6 put     c		the driver sends without waiting
 *	7 get     c		the driver receives without waiting
 *	8 close   c
 *	9 hangup  c
 *	10 cancel t		the t-th task's ctx
 *	11 yield		the driver lets others run
 *	12 sleep  ns		...until this time
 *
 * c is a channel: capacities are in caps[], the last c is NULL.  Kinds of arms: 0 send, 1 recv,
 * 2 reserve, 3 yield, 4 sleep (c is the time), 5 the end of ctx c % their
 * number.  how: 0 at random, 1 in
 * order, 2 without waiting.
 *
 * The model is a table of all items and what is known of each.
 */
#include <string.h>

#include "kit/fuzz.h"

#define CHANS	5
#define TASKS	48
#define ITEMS	1024
#define BATCH	4
#define ARMS	4
#define CANARY	0xdeadu

WEIR_CHAN(numbers, uint32_t);

static const size_t caps[CHANS] = { 0, 0, 1, 2, 4 };

enum fate { OFFERED, SENT, KEPT };

static struct item {
	enum fate fate;
	unsigned sender, chan;
	bool got, dropped;
} items[ITEMS];
static unsigned n_items;

static struct {
	struct numbers ch;
	bool closed, hungup, ended;	/* ended: a receiver was told so... */
	uint64_t total;			/* ...when it had given so many items */
	uint32_t order[ITEMS];		/* by the number it gave them, 1 + the item; 0: none */
} chans[CHANS];

static struct weir_loop *loop;
static struct weir_ctx ctxs[TASKS];
static unsigned n_tasks;

static struct numbers *chan(unsigned c)
{
	return c < CHANS ? &chans[c].ch : NULL;
}

/* ---- the model ---- */

static uint32_t offer(unsigned sender, unsigned c)
{
	items[n_items] = (struct item){ .sender = sender, .chan = c };
	return n_items++;
}

/* Tasks have the rest. */
static bool driver_may_offer(void)
{
	return n_items < ITEMS - TASKS * BATCH * BATCH;
}

static bool shut(unsigned c)
{
	return c < CHANS && (chans[c].closed || chans[c].hungup);
}

static void got(unsigned c, uint32_t item, uint64_t number)
{
	must(item < n_items);
	must_eq(items[item].chan, c);
	must(items[item].fate != KEPT);
	must(!items[item].got && !items[item].dropped);
	must(number < ITEMS);
	must(!chans[c].order[number]);
	items[item].got = true;
	chans[c].order[number] = 1 + item;
}

static void dropped(void *arg, void *item)
{
	struct item *i = &items[*(uint32_t *)item];

	(void)arg;
	must(!i->got && !i->dropped);
	must(i->fate != KEPT);
	i->dropped = true;
}

/* A send, or a commit, of n items returned rc.  was_shut: when it began. */
static void sent(unsigned c, const uint32_t *item, unsigned n, int rc, bool was_shut, int err)
{
	unsigned i;

	must_le(rc, (int)n);
	must(rc != 0);
	if (rc > 0)
		must(c < CHANS && !was_shut);
	else if (rc == -EPIPE)
		must(shut(c));
	else
		must_eq(rc, err);
	for (i = 0; i < n; i++) {
		items[item[i]].fate = (int)i < rc ? SENT : KEPT;
		must((int)i < rc || (!items[item[i]].got && !items[item[i]].dropped));
	}
}

/* A receive of up to n returned rc; the first has that number. */
static void received(unsigned c, const uint32_t *item, unsigned n, int rc, uint64_t number, int err)
{
	int i;

	must_le(rc, (int)n);
	for (i = 0; i < rc; i++)
		got(c, item[i], number + (unsigned)i);
	for (i = rc < 0 ? 0 : rc; i < (int)n; i++)
		must_eq(item[i], CANARY);
	if (rc == 0) {
		must(c < CHANS && chans[c].closed);
		must(!chans[c].ended || chans[c].total == chans[c].ch.chan.stats.items);
		chans[c].ended = true;
		chans[c].total = chans[c].ch.chan.stats.items;
	} else if (rc == -EPIPE) {
		must(c < CHANS && chans[c].hungup);
	} else if (rc < 0) {
		must_eq(rc, err);
	}
}

/* Who waits has reason to, whenever no call is under way. */
static void check_chan(const struct weir_chan *ch)
{
	bool senders = !weir_list_empty_(&ch->senders);
	bool receivers = !weir_list_empty_(&ch->receivers);

	must_le(ch->len, ch->cap);
	must(!senders || ch->open);
	must(!receivers || ch->open);
	must(!senders || !ch->room);
	must(!receivers || !ch->len);
	if (ch->open)
		must_eq(ch->len + ch->room + ch->reserved, ch->cap);
}

static void check_all(void)
{
	unsigned c;

	for (c = 0; c < CHANS; c++)
		check_chan(&chans[c].ch.chan);
}

/* ---- tasks ---- */

struct one {		/* what a task or an arm does */
	unsigned kind, c, n, x;
	bool was_shut;
	uint32_t item[BATCH];
};

enum kind { SEND, RECV, SEND_N, RECV_N, RESERVE };

struct user {
	struct weir_frame co;
	struct one it;
	unsigned id;
	int rc;
};

static void forget(struct one *it)
{
	unsigned i;

	for (i = 0; i < BATCH; i++)
		it->item[i] = CANARY;
}

static struct weir_op *begin(struct weir_op *op, struct user *s)
{
	struct one *it = &s->it;
	unsigned i;

	it->was_shut = shut(it->c);
	switch (it->kind) {
	case SEND:
		it->item[0] = offer(s->id, it->c);
		return weir_chan_send(op, chan(it->c), &it->item[0]);
	case RECV:
		forget(it);
		return weir_chan_recv(op, chan(it->c), &it->item[0]);
	case SEND_N:
		for (i = 0; i < it->n; i++)
			it->item[i] = offer(s->id, it->c);
		return weir_chan_send_n(op, chan(it->c), it->item, it->n);
	case RECV_N:
		forget(it);
		return weir_chan_recv_n(op, chan(it->c), it->item, it->n);
	default:
		return weir_chan_reserve(op, chan(it->c));
	}
}

/* True: once more. */
static bool end(const struct weir_op *op, struct user *s)
{
	struct one *it = &s->it;
	int rc = s->rc, err = ctxs[s->id].err;

	switch (it->kind) {
	case SEND:
		sent(it->c, it->item, 1, rc, it->was_shut, err);
		return rc == 1 && --it->n;
	case RECV:
		received(it->c, it->item, 1, rc, op->u.wait.since, err);
		return rc == 1 && --it->n;
	case SEND_N:
		sent(it->c, it->item, it->n, rc, it->was_shut, err);
		return rc > 0 && (it->n -= (unsigned)rc);
	case RECV_N:
		received(it->c, it->item, it->n, rc, op->u.wait.since, err);
		return false;
	default:
		if (rc == -EINVAL)
			must(it->c < CHANS && !caps[it->c]);
		else
			must(rc == 1 || (rc == -EPIPE && shut(it->c)) || rc == err);
		return false;
	}
}

/* A reserved slot, whatever became of the channel meanwhile. */
static void use_slot(struct user *s)
{
	struct one *it = &s->it;

	if (it->x % 2 == 0) {
		weir_chan_release(chan(it->c));
		return;
	}
	it->was_shut = shut(it->c);
	it->item[0] = offer(s->id, it->c);
	s->rc = weir_chan_commit(chan(it->c), &it->item[0]);
	sent(it->c, it->item, 1, s->rc, it->was_shut, 0);
	must(it->was_shut || s->rc == 1);
}

static WEIR_CO(user, self, op)
{
	weir_ctx_enter(op, &ctxs[self->id]);
	do {
		WEIR_AWAIT(self->rc, begin(op, self));
	} while (end(op, self));
	if (self->it.kind == RESERVE && self->rc == 1) {
		while (self->it.n--)
			WEIR_AWAIT(self->rc, weir_yield(op));
		use_slot(self);
	}
	weir_ctx_leave(op, &ctxs[self->id]);
}
WEIR_END

struct chooser {
	struct weir_frame co;
	struct one with[ARMS];
	struct weir_arm arm[ARMS];
	unsigned id, how, n;
	int rc;
};

enum { ARM_SEND, ARM_RECV, ARM_RESERVE, ARM_YIELD, ARM_SLEEP, ARM_CTX, ARM_KINDS };

static struct weir_op *prepare(struct weir_op *op, struct chooser *s, struct one *it)
{
	it->was_shut = shut(it->c);
	forget(it);
	switch (it->kind) {
	case ARM_SEND:
		it->item[0] = offer(s->id, it->c);
		return weir_chan_send(op, chan(it->c), &it->item[0]);
	case ARM_RECV:
		return weir_chan_recv(op, chan(it->c), &it->item[0]);
	case ARM_RESERVE:
		return weir_chan_reserve(op, chan(it->c));
	case ARM_YIELD:
		return weir_yield(op);
	case ARM_SLEEP:
		return weir_sleep(op, it->c * WEIR_MS);
	default:
		return weir_ctx_wait(op, &ctxs[it->c % n_tasks]);
	}
}

/* One arm: its result, if it won; else it must have had no effect. */
static void settle(struct weir_op *op, struct one *it, bool won)
{
	int rc = op->res;

	if (!won)
		must_eq(rc, -ECANCELED);
	switch (it->kind) {
	case ARM_SEND:
		sent(it->c, it->item, 1, rc, it->was_shut, -ECANCELED);
		break;
	case ARM_RECV:
		received(it->c, it->item, 1, rc, op->u.wait.since, -ECANCELED);
		break;
	case ARM_RESERVE:
		if (won && rc == 1)
			weir_chan_release(chan(it->c));
		else if (won)
			must(rc == -EPIPE ? shut(it->c) : rc == -EINVAL && !caps[it->c]);
		break;
	default:
		if (won)
			must_eq(rc, 0);
	}
}

static WEIR_CO(chooser, self, op)
{
	unsigned i;

	weir_ctx_enter(op, &ctxs[self->id]);
	for (i = 0; i < self->n; i++)
		weir_ready(prepare(&self->arm[i].op, self, &self->with[i]));
	if (self->how == 0)
		WEIR_AWAIT(self->rc, weir_select(op, self->arm, self->n));
	else if (self->how == 1)
		WEIR_AWAIT(self->rc, weir_select_ordered(op, self->arm, self->n));
	else
		WEIR_AWAIT(self->rc, weir_select_try(op, self->arm, self->n));
	must_le(self->rc, (int)self->n - 1);
	if (self->rc < 0)
		must(self->rc == ctxs[self->id].err || (self->rc == -EAGAIN && self->how == 2));
	for (i = 0; i < self->n; i++)
		settle(&self->arm[i].op, &self->with[i], (int)i == self->rc);
	weir_ctx_leave(op, &ctxs[self->id]);
}
WEIR_END

/* ---- the driver ---- */

struct driver {
	struct weir_frame co;
	struct weir_group group;
	uint64_t ns;
	int rc;
};

static unsigned new_task(void)
{
	weir_ctx_init(&ctxs[n_tasks], weir_loop_ctx(loop));
	return n_tasks++;
}

static void start_user(struct weir_group *g, unsigned kind)
{
	struct one it = { .kind = kind, .c = fuzz_below(CHANS + 1) };

	it.x = kind == RESERVE ? fuzz_byte() : 0;
	it.n = fuzz_below(BATCH) + (kind != RESERVE);
	if (n_tasks == TASKS)
		return;
	fuzz_say("task %u: kind %u, channel %u, n %u, x %u", n_tasks, kind, it.c, it.n, it.x);
	must_eq(weir_go(g, user, .id = new_task(), .it = it), 0);
}

static void start_chooser(struct weir_group *g)
{
	struct chooser s = { .how = fuzz_below(3), .n = fuzz_below(ARMS + 1) };
	unsigned i;

	for (i = 0; i < s.n; i++) {
		s.with[i].kind = fuzz_below(ARM_KINDS);
		s.with[i].c = fuzz_below(CHANS + 1);
	}
	if (n_tasks == TASKS)
		return;
	fuzz_say("task %u: select, %u of %u arms", n_tasks, s.how, s.n);
	for (i = 0; i < s.n; i++)
		fuzz_say("\tarm: kind %u, channel %u", s.with[i].kind, s.with[i].c);
	s.id = new_task();
	must_eq(weir_go(g, chooser, .id = s.id, .how = s.how, .n = s.n,
			.with = { s.with[0], s.with[1], s.with[2], s.with[3] }), 0);
}

static void put(unsigned c)
{
	bool was_shut = shut(c);
	uint32_t item = offer(TASKS, c);
	int rc = weir_chan_try_send(chan(c), &item);

	fuzz_say("put %u = %d", c, rc);
	sent(c, &item, 1, rc, was_shut, -EAGAIN);
}

static int get(unsigned c)
{
	uint64_t number = c < CHANS ? chans[c].ch.chan.stats.items : 0;
	uint32_t item = CANARY;
	int rc = weir_chan_try_recv(chan(c), &item);

	fuzz_say("get %u = %d", c, rc);
	received(c, &item, 1, rc, number, -EAGAIN);
	return rc;
}

static void close_chan(unsigned c)
{
	int rc = weir_chan_close(chan(c));

	fuzz_say("close %u = %d", c, rc);
	must_eq(rc, c == CHANS || shut(c) ? -EPIPE : 0);
	if (c < CHANS)
		chans[c].closed |= !chans[c].hungup;
}

static void hang_up(unsigned c)
{
	int rc = weir_chan_hangup(chan(c));

	fuzz_say("hangup %u = %d", c, rc);
	must_eq(rc, c == CHANS || chans[c].hungup ? -EPIPE : 0);
	if (c < CHANS)
		chans[c].hungup = true;
}

static void cancel(unsigned t)
{
	fuzz_say("cancel %u", t);
	weir_ctx_cancel(&ctxs[t], 0);
}

static WEIR_CO(driver, self, op)
{
	unsigned i;

	weir_group_init(&self->group, weir_op_ctx(op), NULL);
	while (fuzz_left()) {
		switch (i = fuzz_below(13)) {
		case 5:
			start_chooser(&self->group);
			break;
		case 6:
			if (driver_may_offer())
				put(fuzz_below(CHANS + 1));
			break;
		case 7:
			get(fuzz_below(CHANS + 1));
			break;
		case 8:
			close_chan(fuzz_below(CHANS + 1));
			break;
		case 9:
			hang_up(fuzz_below(CHANS + 1));
			break;
		case 10:
			i = fuzz_below(n_tasks);
			if (i < n_tasks)
				cancel(i);
			break;
		case 11:
			WEIR_AWAIT(self->rc, weir_yield(op));
			break;
		case 12:
			self->ns = fuzz_ns();
			WEIR_AWAIT(self->rc, weir_sleep(op, self->ns));
			break;
		default:
			start_user(&self->group, i);
		}
		check_all();
	}
	fuzz_dump(loop);
	for (i = 0; i < n_tasks; i++)
		weir_ctx_cancel(&ctxs[i], 0);
	WEIR_AWAIT(self->rc, weir_group_wait(op, &self->group));
	WEIR_RETURN(self->rc);
}
WEIR_END

/* ---- the whole ---- */

/* What one sender sent one after the other has come so. */
static void check_order(unsigned c)
{
	uint32_t last[TASKS + 1] = { 0 };
	uint64_t n;

	for (n = 0; n < chans[c].ch.chan.stats.items; n++) {
		uint32_t item = chans[c].order[n];

		must(item);
		must(item > last[items[item - 1].sender]);
		last[items[item - 1].sender] = item;
	}
	must(!chans[c].ended || chans[c].total == chans[c].ch.chan.stats.items);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned i;

	fuzz_input(data, size);
	loop = fuzz_loop();
	memset(chans, 0, sizeof chans);
	n_items = n_tasks = 0;
	for (i = 0; i < CHANS; i++) {
		must_eq(weir_chan_init(&chans[i].ch, loop, caps[i]), 0);
		weir_chan_on_drop(&chans[i].ch, dropped, NULL);
	}
	must_eq(weir_run(loop, driver), 0);
	check_all();
	for (i = 0; i < CHANS; i++) {
		while (get(i) == 1)
			;
		check_order(i);
		must_eq(chans[i].ch.chan.reserved, 0);
		weir_chan_fini(&chans[i].ch);
	}
	for (i = 0; i < n_items; i++) {
		must(items[i].fate != OFFERED);
		must_eq(items[i].got + items[i].dropped, items[i].fate == SENT);
	}
	for (i = n_tasks; i--;)
		weir_ctx_fini(&ctxs[i]);
	fuzz_loop_free(loop);
	return 0;
}
