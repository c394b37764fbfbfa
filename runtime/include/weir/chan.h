/* SPDX-License-Identifier: MIT */
/*
 * chan.h - channels: bounded FIFO queues between the tasks of one loop, Go's chan.
 *
 *	WEIR_CHAN(lines, struct line);		// struct lines is a channel of struct line
 *	struct lines ch;
 *	rc = weir_chan_init(&ch, loop, 16);
 *	WEIR_AWAIT(n, weir_chan_send(op, &ch, &self->line));
 *
 * Items are copied: into the ring, or at capacity 0 straight from sender to receiver.  Waiters of
 * either side are served in the order in which they came.  The compiler refuses an item of
 * another type.  A channel is the caller's memory, used by the loop's thread only.
 *
 * Nothing is lost or doubled.  An item is the sender's until the await of its send returns 1; one
 * that was not sent (-EPIPE, -ECANCELED) is still the sender's.  If a partner took part before a
 * cancel came, the await reports success, and the next await the cancel.
 *
 * Differences from Go, on purpose: send on a closed channel and closing twice return -EPIPE, they
 * do not panic; blocked senders of a channel that closes get -EPIPE and keep their item; the
 * receiver may end a channel too (weir_chan_hangup()).  As in Go, NULL is a channel that is never
 * ready.
 */
#ifndef WEIR_CHAN_H
#define WEIR_CHAN_H

#include <string.h>

#include "weir/base.h"
#include "weir/op.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;
struct weir_seen;

#define WEIR_CHAN_MAX	(1u << 30)	/* capacity, and bytes an item, at most */

/* Both ends of what passes through, see weir_chan_stats(). */
struct weir_chan_stats {
	uint64_t items;			/* received */
	uint64_t full_ns, full_waits;	/* senders' time spent waiting, and how often */
	uint64_t empty_ns, empty_waits;	/* receivers' */
	uint64_t dropped;		/* given to the drop hook, or discarded for want of one */
	uint64_t refused;		/* sends after close or hang-up, second closes */
};

struct weir_chan {
	unsigned char *ring;
	unsigned size, cap;
	unsigned head, len;
	unsigned room;			/* free and not reserved; 0 once closed */
	unsigned reserved;
	bool open;			/* neither closed nor hung up */
	bool quick;			/* the inline paths may serve it: open, and not `seen` */
	bool hungup;
	bool crew;			/* its receivers are a crew's: see weir_chan_begun_() */
	unsigned producers, consumers;	/* pipeline workers at its ends */
	unsigned offers;		/* senders that have an item, not only a reservation */
	struct weir_list senders, receivers;	/* ops; senders only without room */
	struct weir_op *woken;		/* whose, the last that was given an item, has not begun */
	struct weir_loop *loop;
	void (*drop)(void *arg, void *item);
	void *drop_arg;
	struct weir_chan_stats stats;
	const char *made;		/* "file:line name" */
	struct weir_seen *seen;		/* conf.check: the kit's notes */
};

/* Declares struct name, a channel of `type`. */
#define WEIR_CHAN(name, type)	struct name { struct weir_chan chan; type *item_; }

/* The channel without its type, for pipelines and pools. */
#define weir_chan_any(ch)	((struct weir_chan *)(void *)(ch))

/* An empty channel of capacity cap: 0 is a rendezvous, a send waits for its receiver.
 * Results: 0; -ENOMEM; -EINVAL above WEIR_CHAN_MAX. */
#define weir_chan_init(ch, loop, cap)	\
	weir_chan_init_(&(ch)->chan, (loop), sizeof *(ch)->item_, (cap), WEIR_HERE_ " " #ch)

/* Drops what is buffered and frees the ring.  No task may wait on the channel. */
#define weir_chan_fini(ch)		weir_chan_fini_(weir_chan_any(ch))

/* drop(arg, item) is called for each item that nobody will receive: when the receiver hangs up, at
 * fini, and for what a pipeline or a pool can no longer send.  It may not wait. */
#define weir_chan_on_drop(ch, fn, arg)	weir_chan_on_drop_(weir_chan_any(ch), (fn), (arg))

/* Awaits until *item is sent.  Results: 1; -EPIPE closed or hung up, the item is still yours. */
#define weir_chan_send(op, ch, item)	\
	weir_chan_send_((op), weir_chan_any(ch), WEIR_ITEM_(ch, item))

/* Awaits an item.  Results: 1 *item is set; 0 closed and drained, for ever; -EPIPE hung up. */
#define weir_chan_recv(op, ch, item)	\
	weir_chan_recv_((op), weir_chan_any(ch), WEIR_ROOM_(ch, item))

/* Awaits room for at least one of n items, n >= 1, and sends as many as fit at once, from items[0]
 * on; like write(2).  Results: how many were sent; -EPIPE none was. */
#define weir_chan_send_n(op, ch, items, n)	\
	weir_chan_send_n_((op), weir_chan_any(ch), WEIR_ITEM_(ch, items), (n))

/* Awaits at least one item and receives up to n, n >= 1; like read(2).  Results: how many;
 * 0 closed and drained; -EPIPE hung up. */
#define weir_chan_recv_n(op, ch, items, n)	\
	weir_chan_recv_n_((op), weir_chan_any(ch), WEIR_ROOM_(ch, items), (n))

/* Awaits a slot and keeps it for weir_chan_commit(), which never waits (so what is costly to make
 * is made only when there is room).  Capacity must not be 0.  Results: 1; -EPIPE; -EINVAL. */
#define weir_chan_reserve(op, ch)	weir_chan_reserve_((op), weir_chan_any(ch))

/* Uses a reserved slot, or gives it back unused.  Results: 1; -EPIPE closed or hung up since (the
 * item is still yours, the slot is gone). */
#define weir_chan_commit(ch, item)	\
	weir_chan_commit_(weir_chan_any(ch), WEIR_ITEM_(ch, item))
#define weir_chan_release(ch)		weir_chan_release_(weir_chan_any(ch))

/* Without waiting, from a task or from the loop's host.  Results as above, and -EAGAIN. */
#define weir_chan_try_send(ch, item)	\
	weir_chan_try_send_(weir_chan_any(ch), WEIR_ITEM_(ch, item))
#define weir_chan_try_recv(ch, item)	\
	weir_chan_try_recv_(weir_chan_any(ch), WEIR_ROOM_(ch, item))

/* The sender's end: receivers get what is buffered, then 0; blocked senders -EPIPE.
 * Results: 0; -EPIPE it was closed or hung up already, or is NULL. */
#define weir_chan_close(ch)		weir_chan_close_(weir_chan_any(ch))

/* The receiver's end, also of a closed channel: what is buffered is dropped, senders get -EPIPE.
 * Results: 0; -EPIPE it was hung up already, or is NULL. */
#define weir_chan_hangup(ch)		weir_chan_hangup_(weir_chan_any(ch))

/* Items buffered (blocked senders' are not), and the most there can be. */
#define weir_chan_len(ch)		(weir_chan_any(ch)->len)
#define weir_chan_cap(ch)		(weir_chan_any(ch)->cap)

/* A const struct weir_chan_stats *, to read at any time. */
#define weir_chan_stats(ch)	((const struct weir_chan_stats *)&weir_chan_any(ch)->stats)

/* ---- what the macros call ---- */

#ifdef __cplusplus
#define WEIR_ITEM_(ch, item)	(true ? (item) : (ch)->item_)
#define WEIR_ROOM_(ch, item)	WEIR_ITEM_(ch, item)
#else
/* The item's address, if it is of the channel's type (const or not); else an error. */
#define WEIR_ITEM_(ch, item)								\
	WEIR_IF_TYPES_(__typeof__(*(item)), __typeof__(*(ch)->item_), item)
/* The same for a receiver's, which may not be const. */
#define WEIR_ROOM_(ch, item)								\
	WEIR_IF_TYPES_(__typeof__(&*(item)), __typeof__((ch)->item_), item)
#define WEIR_IF_TYPES_(a, b, item)							\
	((void *)((uintptr_t)(item) + 0 * sizeof(struct {				\
		_Static_assert(__builtin_types_compatible_p(a, b),			\
			       "the channel has items of another type");		\
		char c_; })))
#endif

WEIR_API int weir_chan_init_(struct weir_chan *ch, struct weir_loop *loop, size_t size, size_t cap,
			     const char *made);
WEIR_API void weir_chan_fini_(struct weir_chan *ch);
WEIR_API void weir_chan_on_drop_(struct weir_chan *ch, void (*drop)(void *arg, void *item),
				 void *arg);
WEIR_API int weir_chan_commit_(struct weir_chan *ch, const void *item);
WEIR_API void weir_chan_release_(struct weir_chan *ch);
WEIR_API int weir_chan_try_send_(struct weir_chan *ch, const void *item);
WEIR_API int weir_chan_try_recv_(struct weir_chan *ch, void *item);
WEIR_API int weir_chan_close_(struct weir_chan *ch);
WEIR_API int weir_chan_hangup_(struct weir_chan *ch);

/* All that the inline paths leave: partners who wait, closed ends, NULL. */
WEIR_API bool weir_chan_send_slow_(struct weir_op *op);
WEIR_API bool weir_chan_recv_slow_(struct weir_op *op);
/* There is room, or an item. */
WEIR_API bool weir_chan_buffer_(struct weir_op *op);
WEIR_API bool weir_chan_unbuffer_(struct weir_op *op);
WEIR_API void weir_chan_wake_next_(struct weir_chan *ch);
WEIR_API bool weir_chan_send_park_(struct weir_op *op);
WEIR_API bool weir_chan_recv_park_(struct weir_op *op);
WEIR_API bool weir_chan_send_cancel_(struct weir_op *op);
WEIR_API bool weir_chan_recv_cancel_(struct weir_op *op);
extern WEIR_API const struct weir_op_def weir_chan_send_n_def_, weir_chan_recv_n_def_,
	weir_chan_reserve_def_;

/* The items of most channels are pointers, or as large: those are copied in sight of the compiler,
 * others behind a call. */
#define WEIR_CHAN_WORD_		8u

static inline unsigned weir_chan_slot_(const struct weir_chan *ch, unsigned i)
{
	i += ch->head;
	return i < ch->cap ? i : i - ch->cap;
}

static inline bool weir_chan_send_attempt_(struct weir_op *op)
{
	struct weir_chan *ch = (struct weir_chan *)op->u.wait.obj;

	if (!ch || !ch->room || !ch->quick ||
	    !(weir_list_empty_(&ch->receivers) || ch->woken))
		return weir_chan_send_slow_(op);
	if (ch->size != WEIR_CHAN_WORD_)
		return weir_chan_buffer_(op);
	ch->room--;	/* apart from len: together they would take a detour by vector registers */
	memcpy(ch->ring + WEIR_CHAN_WORD_ * (size_t)weir_chan_slot_(ch, ch->len), op->u.wait.arg,
	       WEIR_CHAN_WORD_);
	ch->len++;
	op->res = 1;
	return true;
}

static inline bool weir_chan_recv_attempt_(struct weir_op *op)
{
	struct weir_chan *ch = (struct weir_chan *)op->u.wait.obj;
	unsigned head;

	if (!ch || !ch->len || !ch->quick || !weir_list_empty_(&ch->senders))
		return weir_chan_recv_slow_(op);
	if (ch->size != WEIR_CHAN_WORD_)
		return weir_chan_unbuffer_(op);
	head = ch->head;
	memcpy(op->u.wait.arg, ch->ring + WEIR_CHAN_WORD_ * (size_t)head, WEIR_CHAN_WORD_);
	ch->head = head + 1 < ch->cap ? head + 1 : 0;
	ch->len--;
	ch->room++;
	op->u.wait.since = ch->stats.items++;
	op->res = 1;
	return true;
}

/* In sight of every caller, so that an await that need not wait is inline all through. */
static const struct weir_op_def weir_chan_send_def_ __attribute__((unused)) = {
	"chan send", weir_chan_send_attempt_, weir_chan_send_park_, weir_chan_send_cancel_,
	NULL, NULL, NULL, 0, 0, WEIR_GLANCE_SEND_
};
static const struct weir_op_def weir_chan_recv_def_ __attribute__((unused)) = {
	"chan recv", weir_chan_recv_attempt_, weir_chan_recv_park_, weir_chan_recv_cancel_,
	NULL, NULL, NULL, 0, 0, WEIR_GLANCE_RECV_
};

static inline struct weir_op *weir_chan_op_(struct weir_op *op, const struct weir_op_def *def,
					    struct weir_chan *ch, const void *item, size_t n)
{
	weir_op_prepare_(op, def);
	op->u.wait.obj = ch;
	op->u.wait.arg = (void *)(uintptr_t)item;
	op->u.wait.n = n;
	return op;
}

WEIR_MUST_USE static inline struct weir_op *weir_chan_send_(struct weir_op *op,
							    struct weir_chan *ch, const void *item)
{
	return weir_chan_op_(op, &weir_chan_send_def_, ch, item, 1);
}

WEIR_MUST_USE static inline struct weir_op *weir_chan_recv_(struct weir_op *op,
							    struct weir_chan *ch, void *item)
{
	return weir_chan_op_(op, &weir_chan_recv_def_, ch, item, 1);
}

WEIR_MUST_USE static inline struct weir_op *
weir_chan_send_n_(struct weir_op *op, struct weir_chan *ch, const void *items, size_t n)
{
	return weir_chan_op_(op, &weir_chan_send_n_def_, ch, items, n);
}

WEIR_MUST_USE static inline struct weir_op *
weir_chan_recv_n_(struct weir_op *op, struct weir_chan *ch, void *items, size_t n)
{
	return weir_chan_op_(op, &weir_chan_recv_n_def_, ch, items, n);
}

WEIR_MUST_USE static inline struct weir_op *weir_chan_reserve_(struct weir_op *op,
							       struct weir_chan *ch)
{
	return weir_chan_op_(op, &weir_chan_reserve_def_, ch, NULL, 1);
}

/* A crew's worker, which has just received by op, begins its job.  Of those who wait only one at a
 * time is woken for what is sent: if its job does not wait it does the next item too, and so on.
 * So before a worker begins it wakes another one, for what is still buffered. */
static inline void weir_chan_begun_(struct weir_chan *ch, const struct weir_op *op)
{
	if (ch->woken == op)
		weir_chan_wake_next_(ch);
}

#ifdef __cplusplus
}
#endif

#endif
