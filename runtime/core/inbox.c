/* SPDX-License-Identifier: MIT */
/*
 * inbox.c - see inbox.h; and ports, the public handle on it.
 *
 * The bell has a lock of its own, or the loop that it wakes would run into the lock of who rings it
 * and sleep again.  It is taken under the other lock, and closing waits for it: who brings the
 * result of a job has no reference to the inbox but for that job, which is over by then.  The loop
 * looks at `first` without the lock once a turn; what it misses there it sees when it takes the
 * lock to say that it will sleep.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/inbox.h"
#include "core/loop.h"
#include "kernel/alloc.h"

static unsigned forks;		/* written only where there is one thread */

static void forked(void)
{
	forks++;
}

static void watch_forks(void)
{
	pthread_atfork(NULL, NULL, forked);	/* without memory for it: as if nobody forked */
}

unsigned weir_forks_(void)
{
	return forks;
}

/* It is held for a few stores, so who meets it spins before he sleeps.  Of this kind it cannot fail
 * on Linux, nor can its attribute. */
static void lock_init(pthread_mutex_t *lock)
{
	pthread_mutexattr_t kind;

	pthread_mutexattr_init(&kind);
	pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(lock, &kind);
	pthread_mutexattr_destroy(&kind);
}

int weir_inbox_new_(struct weir_inbox **inbox)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	void *block = weir_alloc_(sizeof(struct weir_inbox) + WEIR_CACHE_LINE_ - 1);
	struct weir_inbox *in;
	int rc;

	if (!block)
		return -ENOMEM;
	in = (void *)(((uintptr_t)block + WEIR_CACHE_LINE_ - 1) & -(uintptr_t)WEIR_CACHE_LINE_);
	in->block = block;
	in->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (in->bell < 0) {
		rc = -errno;
		weir_free_(block);
		return rc;
	}
	pthread_once(&once, watch_forks);
	in->forks = forks;
	lock_init(&in->lock);
	pthread_mutex_init(&in->ringing, NULL);	/* of the default kind: cannot fail either */
	in->first = NULL;
	in->last = &in->first;
	in->open = true;
	in->loop = WEIR_AWAKE_;
	atomic_init(&in->refs, 1);
	*inbox = in;
	return 0;
}

void weir_inbox_ref_(struct weir_inbox *in)
{
	atomic_fetch_add_explicit(&in->refs, 1, memory_order_relaxed);
}

void weir_inbox_unref_(struct weir_inbox *in)
{
	if (atomic_fetch_sub_explicit(&in->refs, 1, memory_order_acq_rel) > 1)
		return;
	close(in->bell);
	pthread_mutex_destroy(&in->ringing);
	pthread_mutex_destroy(&in->lock);
	weir_free_(in->block);
}

/* Closed is whether the way to it is.  Gives back the lock, which the caller has taken. */
static bool put_and_unlock(struct weir_inbox *in, struct weir_msg *msg, bool can_wait, bool closed)
{
	bool open = in->open && !closed, rings = false;

	if (open) {
		msg->next = NULL;
		__atomic_store_n(in->last, msg, __ATOMIC_RELAXED);	/* maybe `first` */
		in->last = &msg->next;
		rings = in->loop == WEIR_SLEEPS_ || (in->loop == WEIR_DOZES_ && !can_wait);
	}
	if (rings) {
		in->loop = WEIR_AWAKE_;
		pthread_mutex_lock(&in->ringing);
	}
	pthread_mutex_unlock(&in->lock);
	if (rings) {
		eventfd_write(in->bell, 1);	/* EAGAIN: it is readable already */
		pthread_mutex_unlock(&in->ringing);
	}
	return open;
}

bool weir_inbox_put_(struct weir_inbox *in, struct weir_msg *msg, bool can_wait)
{
	pthread_mutex_lock(&in->lock);
	return put_and_unlock(in, msg, can_wait, false);
}

static void run(struct weir_msg *msg)
{
	while (msg) {
		struct weir_msg *next = msg->next;	/* fn may free msg */

		msg->fn(msg);
		msg = next;
	}
}

bool weir_inbox_run_(struct weir_inbox *in)
{
	struct weir_msg *msg;

	if (!weir_inbox_pending_(in))
		return false;
	pthread_mutex_lock(&in->lock);
	msg = in->first;
	in->first = NULL;
	in->last = &in->first;
	pthread_mutex_unlock(&in->lock);
	run(msg);
	return true;
}

bool weir_inbox_sleep_(struct weir_inbox *in, bool doze)
{
	bool ok;

	pthread_mutex_lock(&in->lock);
	ok = !in->first;
	if (ok)
		in->loop = doze ? WEIR_DOZES_ : WEIR_SLEEPS_;
	pthread_mutex_unlock(&in->lock);
	return ok;
}

void weir_inbox_awake_(struct weir_inbox *in)
{
	pthread_mutex_lock(&in->lock);
	in->loop = WEIR_AWAKE_;
	pthread_mutex_unlock(&in->lock);
}

void weir_inbox_close_(struct weir_inbox *in)
{
	struct weir_msg *msg;

	pthread_mutex_lock(&in->lock);
	msg = in->first;
	in->first = NULL;
	in->open = false;
	pthread_mutex_unlock(&in->lock);
	pthread_mutex_lock(&in->ringing);	/* who rings the bell is done */
	pthread_mutex_unlock(&in->ringing);
	run(msg);
}

/* ---- ports ---- */

struct weir_port {
	struct weir_inbox *inbox;
	struct weir_loop *loop;	/* the loop's thread only, as the next */
	struct weir_list link;	/* in loop->ports, until it is closed or they are gone */
	const char *made;
	atomic_uint refs;
	bool closed;		/* under the inbox's lock */
};

int weir_port_new_(struct weir_port **port, struct weir_loop *loop, const char *made)
{
	struct weir_port *p = weir_alloc_(sizeof *p);

	if (!p)
		return -ENOMEM;
	p->inbox = loop->inbox;
	weir_inbox_ref_(p->inbox);
	p->loop = loop;
	p->closed = false;
	atomic_init(&p->refs, 1);
	loop->stats.ports++;
	p->made = made;
	weir_list_append_(&loop->ports, &p->link);
	*port = p;
	return 0;
}

int weir_post(struct weir_port *p, struct weir_msg *msg)
{
	if (p->inbox->forks != forks)	/* perhaps locked for ever */
		return -ECHILD;
	pthread_mutex_lock(&p->inbox->lock);
	return put_and_unlock(p->inbox, msg, false, p->closed) ? 0 : -EPIPE;
}

void weir_port_close(struct weir_port *p)
{
	bool counted;

	if (p->inbox->forks != forks)
		return;
	pthread_mutex_lock(&p->inbox->lock);
	counted = !p->closed && p->inbox->open;	/* the loop may be gone */
	p->closed = true;
	pthread_mutex_unlock(&p->inbox->lock);
	if (!counted)
		return;
	p->loop->stats.ports--;
	weir_list_remove_(&p->link);
}

void weir_ports_each_(struct weir_loop *loop, void (*fn)(void *arg, const char *made), void *arg)
{
	struct weir_list *l;

	for (l = loop->ports.next; l != &loop->ports; l = l->next)
		fn(arg, weir_container_of(l, struct weir_port, link)->made);
}

void weir_port_ref(struct weir_port *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
}

void weir_port_unref(struct weir_port *p)
{
	if (atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) > 1)
		return;
	weir_inbox_unref_(p->inbox);
	weir_free_(p);
}
