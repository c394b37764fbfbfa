/* SPDX-License-Identifier: MIT */
/*
 * chan.c - bounded channels; the paths that chan.h leaves.
 *
 * Always: senders wait only if there is no room, receivers only if nothing is buffered.  If a
 * receiver and an item's sender both wait, they are arms of one select, which may not serve itself:
 * anyone else would have met one of them.  The moment at which an op is taken out of its queue is
 * the moment at which the item changes hands: an op waits, or it has its result, never both.
 *
 * Where the receivers are a crew's workers some may wait although something is buffered: while one
 * is woken, who wakes the next; until then senders may wait too.
 *
 * What waits among the senders is of three kinds: one item, a batch, and a reservation (arg NULL),
 * which keeps its place in line for room, but no item from a receiver.
 */

#include "core/loop.h"
#include "kernel/alloc.h"
#include "weir/chan.h"

int weir_chan_init_(struct weir_chan *ch, struct weir_loop *loop, size_t size, size_t cap,
		    const char *made)
{
	size_t bytes;

	if (size > WEIR_CHAN_MAX || cap > WEIR_CHAN_MAX ||
	    __builtin_mul_overflow(size, cap, &bytes))
		return -EINVAL;
	memset(ch, 0, sizeof *ch);
	if (cap) {
		ch->ring = weir_alloc_(bytes ? bytes : 1);
		if (!ch->ring)
			return -ENOMEM;
	}
	ch->size = (unsigned)size;
	ch->cap = (unsigned)cap;
	ch->room = (unsigned)cap;
	ch->open = true;
	weir_list_init_(&ch->senders);
	weir_list_init_(&ch->receivers);
	ch->loop = loop;
	ch->made = made;
	ch->seen = weir_seen_made_(loop, WEIR_KIND_CHAN_, ch, sizeof *ch, made);
	ch->quick = !ch->seen;
	return 0;
}

static void copy_other(void *to, const void *from, size_t size)
{
	if (size == 16)
		memcpy(to, from, 16);
	else if (size == 4)
		memcpy(to, from, 4);
	else
		memcpy(to, from, size);
}

/* A call costs more than the copy for the sizes that most channels have. */
static inline void copy(void *to, const void *from, size_t size)
{
	if (size == WEIR_CHAN_WORD_)
		memcpy(to, from, WEIR_CHAN_WORD_);
	else
		copy_other(to, from, size);
}

static void *slot(const struct weir_chan *ch, unsigned i)
{
	return ch->ring + (size_t)weir_chan_slot_(ch, i) * ch->size;
}

static void *next_out(struct weir_chan *ch)
{
	void *item = slot(ch, 0);

	ch->head = weir_chan_slot_(ch, 1);
	ch->len--;
	return item;
}

/* The channel is over: whatever the hook does with it, nothing more comes in. */
static void drop_buffered(struct weir_chan *ch)
{
	while (ch->len) {
		void *item = next_out(ch);

		ch->stats.dropped++;
		if (ch->drop)
			ch->drop(ch->drop_arg, item);
	}
}

void weir_chan_fini_(struct weir_chan *ch)
{
	WEIR_CHECK_(weir_list_empty_(&ch->senders) && weir_list_empty_(&ch->receivers),
		    "weir_chan_fini() of a channel that tasks wait for", ch->made);
	ch->open = ch->quick = false;
	ch->room = 0;
	drop_buffered(ch);
	weir_seen_gone_(ch->seen);
	ch->seen = NULL;
	weir_free_(ch->ring);
	ch->ring = NULL;
}

void weir_chan_on_drop_(struct weir_chan *ch, void (*drop)(void *arg, void *item), void *arg)
{
	ch->drop = drop;
	ch->drop_arg = arg;
}

static void used(struct weir_chan *ch, struct weir_op *op, unsigned how)
{
	if (ch && ch->seen)
		weir_seen_used_(ch->seen, op ? weir_op_task(op) : NULL, how);
}

/* ---- the ring and the queues ---- */

static void push(struct weir_chan *ch, const void *item)
{
	copy(slot(ch, ch->len), item, ch->size);
	ch->len++;
	ch->room--;
}

static void pop(struct weir_chan *ch, void *item)
{
	copy(item, next_out(ch), ch->size);
	if (ch->open)
		ch->room++;
}

static struct weir_op *op_of(const struct weir_list *link)
{
	return weir_container_of(link, struct weir_op, u.wait.link);
}

static struct weir_op *first(const struct weir_list *queue)
{
	return op_of(queue->next);
}

static void enqueue(struct weir_chan *ch, struct weir_list *queue, struct weir_op *op)
{
	op->u.wait.since = ch->loop->now;
	weir_list_append_(queue, &op->u.wait.link);
}

/* Takes op out of its queue and counts its time there. */
static inline void dequeue(struct weir_op *op, bool sends)
{
	struct weir_chan *ch = op->u.wait.obj;
	uint64_t ns = ch->loop->now - op->u.wait.since;

	weir_list_remove_(&op->u.wait.link);
	if (sends) {
		ch->offers -= op->u.wait.arg != NULL;
		ch->stats.full_ns += ns;
		ch->stats.full_waits++;
	} else {
		ch->stats.empty_ns += ns;
		ch->stats.empty_waits++;
	}
}

static inline void finish(struct weir_op *op, bool sends, int res)
{
	dequeue(op, sends);
	weir_op_end_(op, res);
}

static char *items_of(const struct weir_op *op)
{
	return op->u.wait.arg;
}

/* Hands one item to the first receiver, which may have asked for more. */
static inline void give(struct weir_chan *ch, const void *item)
{
	struct weir_op *op = first(&ch->receivers);

	copy(op->u.wait.arg, item, ch->size);
	dequeue(op, false);
	op->u.wait.since = ch->stats.items++;
	if (ch->crew)
		ch->woken = op;
	weir_op_end_(op, 1);
}

/* The same with the oldest that is buffered, which whoever does it takes out on its behalf. */
static void give_oldest(struct weir_chan *ch)
{
	used(ch, NULL, WEIR_USE_RECV_);
	give(ch, next_out(ch));
	if (ch->open)
		ch->room++;
}

/* Hands items straight to the receivers that wait; returns how many. */
static size_t hand_over(struct weir_chan *ch, const char *items, size_t n)
{
	size_t given = 0;

	while (given < n && !weir_list_empty_(&ch->receivers) && !ch->crew) {
		struct weir_op *op = first(&ch->receivers);
		size_t i;

		for (i = 0; i < op->u.wait.n && given < n; i++, given++)
			copy(items_of(op) + i * ch->size, items + given * ch->size, ch->size);
		dequeue(op, false);
		op->u.wait.since = ch->stats.items;
		ch->stats.items += i;
		weir_op_end_(op, (int)i);
	}
	return given;
}

/* Room has come: those who wait use it, in order.  A receiver that waits too has no claim on what
 * they send, see above; and is gone before it could see it in the ring. */
static void admit_some(struct weir_chan *ch)
{
	do {
		struct weir_op *op = first(&ch->senders);
		size_t i = 0;

		if (op->u.wait.arg) {
			for (; i < op->u.wait.n && ch->room; i++)
				push(ch, items_of(op) + i * ch->size);
		} else {
			ch->room--;
			ch->reserved++;
			i = 1;
		}
		finish(op, true, (int)i);
	} while (ch->room && !weir_list_empty_(&ch->senders));
}

static inline void admit(struct weir_chan *ch)
{
	if (ch->room && !weir_list_empty_(&ch->senders))
		admit_some(ch);
}

static bool send_one(struct weir_chan *ch, const void *item)
{
	bool waited_for = !weir_list_empty_(&ch->receivers);

	if (waited_for && !ch->woken) {
		give(ch, item);
		return true;
	}
	if (waited_for && !ch->room && ch->len)
		give_oldest(ch);
	if (!ch->room)
		return false;
	push(ch, item);
	return true;
}

/* Sends what can be sent now, to receivers, then into the ring: if there is room, nobody waits
 * for it. */
static size_t send_now(struct weir_chan *ch, const char *items, size_t n)
{
	size_t sent = hand_over(ch, items, n);

	while (sent < n && send_one(ch, items + sent * ch->size))
		sent++;
	return sent;
}

/* The first sender that has an item: a reservation sends nothing yet. */
static struct weir_op *first_offer(const struct weir_chan *ch)
{
	const struct weir_list *l = ch->senders.next;

	while (!op_of(l)->u.wait.arg)
		l = l->next;
	return op_of(l);
}

/* Takes one item from a sender, which may have offered more. */
static void take(struct weir_chan *ch, void *item)
{
	struct weir_op *op = first_offer(ch);

	copy(item, op->u.wait.arg, ch->size);
	finish(op, true, 1);
}

/* Takes items straight from senders that wait; nothing is buffered. */
static size_t take_over(struct weir_chan *ch, char *items, size_t n)
{
	size_t taken = 0;

	while (taken < n && ch->offers) {
		struct weir_op *op = first_offer(ch);
		size_t i;

		for (i = 0; i < op->u.wait.n && taken < n; i++, taken++)
			copy(items + taken * ch->size, items_of(op) + i * ch->size, ch->size);
		finish(op, true, (int)i);
	}
	return taken;
}

static size_t recv_now(struct weir_chan *ch, char *items, size_t n)
{
	size_t got;

	for (got = 0; got < n && ch->len; got++)
		pop(ch, items + got * ch->size);
	if (got < n)
		got += take_over(ch, items + got * ch->size, n - got);
	admit(ch);
	ch->stats.items += got;
	return got;
}

void weir_chan_wake_next_(struct weir_chan *ch)
{
	ch->woken = NULL;
	if (!ch->len || weir_list_empty_(&ch->receivers))
		return;
	give_oldest(ch);
	admit(ch);
}

/* ---- the ops ---- */

/* After a hang-up that is the way to learn of it; after a close it is a mistake. */
static void refuse(struct weir_chan *ch, const char *what)
{
	ch->stats.refused++;
	if (ch->seen && !ch->hungup)
		weir_seen_misused_(ch->seen, what);
}

static bool send_attempt(struct weir_op *op)
{
	struct weir_chan *ch = op->u.wait.obj;

	if (!ch)
		return false;	/* never ready */
	if (!ch->open) {
		refuse(ch, "send on a closed channel");
		op->res = -EPIPE;
		return true;
	}
	op->res = (int)send_now(ch, op->u.wait.arg, op->u.wait.n);
	return op->res > 0;
}

static bool recv_attempt(struct weir_op *op)
{
	struct weir_chan *ch = op->u.wait.obj;

	if (!ch)
		return false;
	op->u.wait.since = ch->stats.items;
	op->res = (int)recv_now(ch, op->u.wait.arg, op->u.wait.n);
	if (op->res > 0)
		return true;
	op->res = ch->hungup ? -EPIPE : 0;
	return !ch->open;
}

bool weir_chan_buffer_(struct weir_op *op)
{
	push(op->u.wait.obj, op->u.wait.arg);
	op->res = 1;
	return true;
}

bool weir_chan_unbuffer_(struct weir_op *op)
{
	struct weir_chan *ch = op->u.wait.obj;

	pop(ch, op->u.wait.arg);
	op->u.wait.since = ch->stats.items++;
	op->res = 1;
	return true;
}

/* Of a channel that is NULL, closed, or watched by the kit. */
__attribute__((noinline))
static bool unquick(struct weir_op *op, unsigned how)
{
	const struct weir_chan *ch = op->u.wait.obj;

	used(op->u.wait.obj, op, how);
	return !ch || !ch->open;
}

/* As send_attempt() and recv_attempt(), for one item: without a loop over how many. */
bool weir_chan_send_slow_(struct weir_op *op)
{
	struct weir_chan *ch = op->u.wait.obj;

	if ((!ch || !ch->quick) && unquick(op, WEIR_USE_SEND_))
		return send_attempt(op);
	op->res = 1;
	if (ch->woken)	/* who lets a waiting sender in; a select may not wait at all */
		return (ch->room || op->flags & WEIR_OP_ARM_) && send_one(ch, op->u.wait.arg);
	if (!weir_list_empty_(&ch->receivers))
		give(ch, op->u.wait.arg);
	else if (ch->room)
		push(ch, op->u.wait.arg);
	else
		return false;
	return true;
}

bool weir_chan_recv_slow_(struct weir_op *op)
{
	struct weir_chan *ch = op->u.wait.obj;

	if ((!ch || !ch->quick) && unquick(op, WEIR_USE_RECV_))
		return recv_attempt(op);
	if (!ch->len && !ch->offers)
		return false;
	op->u.wait.since = ch->stats.items;
	if (ch->len)
		pop(ch, op->u.wait.arg);
	else
		take(ch, op->u.wait.arg);
	op->res = 1;
	admit(ch);
	ch->stats.items++;
	return true;
}

/* A batch's results are ints; and 0 items are a question that has no answer. */
static bool batch_wrong(struct weir_op *op)
{
	if (op->u.wait.n >= 1 && op->u.wait.n <= INT32_MAX)
		return false;
	op->res = -EINVAL;
	return true;
}

static bool send_n_attempt(struct weir_op *op)
{
	used(op->u.wait.obj, op, WEIR_USE_SEND_);
	return batch_wrong(op) || send_attempt(op);
}

static bool recv_n_attempt(struct weir_op *op)
{
	used(op->u.wait.obj, op, WEIR_USE_RECV_);
	return batch_wrong(op) || recv_attempt(op);
}

static bool reserve_attempt(struct weir_op *op)
{
	struct weir_chan *ch = op->u.wait.obj;

	used(ch, op, WEIR_USE_SEND_);
	if (!ch)
		return false;
	if (!ch->open || !ch->cap) {
		op->res = ch->open ? -EINVAL : -EPIPE;
		return true;
	}
	if (!ch->room)
		return false;
	ch->room--;
	ch->reserved++;
	op->res = 1;
	return true;
}

bool weir_chan_send_park_(struct weir_op *op)
{
	struct weir_chan *ch = op->u.wait.obj;

	if (!ch) {
		weir_list_init_(&op->u.wait.link);
		return false;
	}
	if (op->u.wait.arg) {
		weir_check_buffer_(op, op->u.wait.arg);
		ch->offers++;
	}
	enqueue(ch, &ch->senders, op);
	return false;
}

bool weir_chan_recv_park_(struct weir_op *op)
{
	struct weir_chan *ch = op->u.wait.obj;

	if (!ch) {
		weir_list_init_(&op->u.wait.link);
		return false;
	}
	weir_check_buffer_(op, op->u.wait.arg);
	enqueue(ch, &ch->receivers, op);
	return false;
}

/* Nobody can have waited for op to get out of the way: see the top. */
bool weir_chan_send_cancel_(struct weir_op *op)
{
	struct weir_chan *ch = op->u.wait.obj;

	if (ch)
		ch->offers -= op->u.wait.arg != NULL;
	weir_list_remove_(&op->u.wait.link);
	return true;
}

bool weir_chan_recv_cancel_(struct weir_op *op)
{
	weir_list_remove_(&op->u.wait.link);
	return true;
}

/* A slot that was granted to a task that will not hear of it. */
static void reserve_revoke(struct weir_op *op, int err)
{
	weir_chan_release_(op->u.wait.obj);
	op->res = err;
}

const struct weir_op_def weir_chan_send_n_def_ = {
	.name = "chan send", .attempt = send_n_attempt, .park = weir_chan_send_park_,
	.cancel = weir_chan_send_cancel_,
};
const struct weir_op_def weir_chan_recv_n_def_ = {
	.name = "chan recv", .attempt = recv_n_attempt, .park = weir_chan_recv_park_,
	.cancel = weir_chan_recv_cancel_,
};
const struct weir_op_def weir_chan_reserve_def_ = {
	.name = "chan reserve", .attempt = reserve_attempt, .park = weir_chan_send_park_,
	.cancel = weir_chan_send_cancel_, .revoke = reserve_revoke,
};

/* ---- without waiting ---- */

int weir_chan_try_send_(struct weir_chan *ch, const void *item)
{
	used(ch, NULL, WEIR_USE_SEND_);
	if (!ch)
		return -EAGAIN;
	if (!ch->open) {
		refuse(ch, "send on a closed channel");
		return -EPIPE;
	}
	return send_now(ch, item, 1) ? 1 : -EAGAIN;
}

int weir_chan_try_recv_(struct weir_chan *ch, void *item)
{
	used(ch, NULL, WEIR_USE_RECV_);
	if (!ch)
		return -EAGAIN;
	if (recv_now(ch, item, 1))
		return 1;
	if (ch->open)
		return -EAGAIN;
	return ch->hungup ? -EPIPE : 0;
}

int weir_chan_commit_(struct weir_chan *ch, const void *item)
{
	used(ch, NULL, WEIR_USE_SEND_);
	WEIR_CHECK_(ch->reserved, "weir_chan_commit() without a reservation", ch->made);
	ch->reserved--;
	if (!ch->open) {
		ch->stats.refused++;
		return -EPIPE;
	}
	ch->room++;
	send_one(ch, item);
	admit(ch);	/* the slot is free if a receiver took the item */
	return 1;
}

void weir_chan_release_(struct weir_chan *ch)
{
	used(ch, NULL, WEIR_USE_SEND_);
	WEIR_CHECK_(ch->reserved, "weir_chan_release() without a reservation", ch->made);
	ch->reserved--;
	if (!ch->open)
		return;
	ch->room++;
	admit(ch);
}

/* ---- the end ---- */

/* Senders keep their items; what is in the ring is the receiver's. */
static void end(struct weir_chan *ch)
{
	ch->open = ch->quick = false;
	ch->room = 0;
	while (!weir_list_empty_(&ch->senders))
		finish(first(&ch->senders), true, -EPIPE);
}

int weir_chan_close_(struct weir_chan *ch)
{
	used(ch, NULL, WEIR_USE_END_);
	if (!ch)
		return -EPIPE;
	if (!ch->open) {
		refuse(ch, "close of a closed channel");
		return -EPIPE;
	}
	end(ch);
	while (ch->len && !weir_list_empty_(&ch->receivers))
		give_oldest(ch);
	while (!weir_list_empty_(&ch->receivers))
		finish(first(&ch->receivers), false, 0);
	return 0;
}

int weir_chan_hangup_(struct weir_chan *ch)
{
	used(ch, NULL, WEIR_USE_END_);
	if (!ch || ch->hungup)
		return -EPIPE;
	end(ch);
	ch->hungup = true;
	while (!weir_list_empty_(&ch->receivers))
		finish(first(&ch->receivers), false, -EPIPE);
	drop_buffered(ch);
	return 0;
}
