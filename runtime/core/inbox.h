/* SPDX-License-Identifier: MIT */
/*
 * inbox.h - how other threads hand things to a loop: a locked queue and a bell.
 *
 * The bell rings only if the loop said that it is about to sleep, so a busy loop costs its senders
 * no system call.  The inbox outlives the loop for as long as a sender may hold it; a closed one
 * accepts nothing.
 */
#ifndef WEIR_CORE_INBOX_H
#define WEIR_CORE_INBOX_H

#include <pthread.h>
#include <stdatomic.h>

#include "weir/port.h"

/* What each post writes has a line of the cache; what it reads has another, or would be fetched
 * anew from the other core each time.  Of posts from there twice as many pass so. */
#define WEIR_CACHE_LINE_	64

struct weir_inbox {
	_Alignas(WEIR_CACHE_LINE_) pthread_mutex_t lock;
	struct weir_msg *first, **last;		/* under lock; first also read without, as a hint */
	_Alignas(WEIR_CACHE_LINE_) bool open;		/* under lock */
	enum { WEIR_AWAKE_, WEIR_DOZES_, WEIR_SLEEPS_ } loop;	/* under lock */
	int bell;				/* an eventfd, which the loop's backend polls */
	pthread_mutex_t ringing;		/* held while it is written to */
	void *block;				/* what this lies in, as alloc.h has given it */
	atomic_uint refs;
	unsigned forks;				/* see weir_forks_() */
};

/* How often this process is a fork(2) of one that used weir.  What was made at another count is the
 * parent's: its ring, its lock, its bell. */
unsigned weir_forks_(void);

/* Results: 0; -ENOMEM, -EMFILE, -ENFILE. */
int weir_inbox_new_(struct weir_inbox **in);
void weir_inbox_ref_(struct weir_inbox *in);
void weir_inbox_unref_(struct weir_inbox *in);

/* Any thread.  can_wait: a loop that dozes need not be woken.  False: closed, msg is still the
 * caller's. */
bool weir_inbox_put_(struct weir_inbox *in, struct weir_msg *msg, bool can_wait);

/* The loop's thread.  Whether there is a message; one that is being put may be missed. */
static inline bool weir_inbox_pending_(struct weir_inbox *in)
{
	return __atomic_load_n(&in->first, __ATOMIC_RELAXED) != NULL;
}
/* The loop's thread.  Calls each message's fn; returns whether there was one. */
bool weir_inbox_run_(struct weir_inbox *in);
/* The loop will sleep; or doze: sleep, but not for long.  False: there are messages, do not. */
bool weir_inbox_sleep_(struct weir_inbox *in, bool doze);
void weir_inbox_awake_(struct weir_inbox *in);
/* No message is accepted from here on; those that are there are run. */
void weir_inbox_close_(struct weir_inbox *in);

#endif
