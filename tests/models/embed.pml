/* SPDX-License-Identifier: MIT */
/*
 * embed.pml - a model of a loop in a host's: weir_loop_dispatch() and what runtime/kernel/uring.c
 * does for it, with a ring whose completions are task work of its thread (no DEFER_TASKRUN).
 *
 * The host sleeps until the descriptor is readable.  No order of steps leaves a message, or a
 * completion, while it sleeps.
 *
 * Threads reach it in two ways: by the inbox, whose bell is an eventfd that the ring reads; and by
 * what the ring watches alone, a ctx's descriptor, say.  Both end as task work: the writer adds it,
 * sets the ring's flag, calls the thread, in this order.  The thread does the work when it comes
 * from a system call or is interrupted, which is at any of its steps: INTERRUPT.
 *
 * Mutants:
 *	LATE_READ	the signal is taken back after the work, not before
 *	NO_RECHECK	the host sleeps without another look at the ring
 *	NO_LOOK		... at the inbox
 *	EARLY_LOOK	the last look is before the ring may speak again
 */
#define POSTERS		2
#define EVENTS		2	/* of the ring's alone */

bool locked, sleeps;		/* the inbox's */
byte inbox;
byte bell;			/* the eventfd's count */
bool armed = true;		/* the ring's read of it waits */
bool bell_due;			/* ... or is task work */
byte event_due;			/* others that are */
bool flag, called;		/* IORING_SQ_TASKRUN; the thread is to do its task work */
byte cq;			/* completions of events */
bool cq_bell;			/* ... of the read */
bool sq;			/* the read is to be submitted again */
bool notify = true;		/* the host's descriptor is readable */
bool silent;			/* completions do not make it so */
byte ran;

#define ALL	(POSTERS + EVENTS)

inline lock() {
	atomic { !locked -> locked = true }
}

inline unlock() {
	locked = false
}

/* Who finds work there already leaves the rest to whoever has added that. */
inline finish_adding() {
	if
	:: first ->
		flag = true;
		called = true
	:: else
	fi
}

inline ring_bell() {
	atomic {
		bell++;
		first = armed && !event_due;
		if
		:: armed ->
			armed = false;
			bell_due = true
		:: else
		fi
	}
	finish_adding()
}

active [POSTERS] proctype poster() {
	bool first;

	lock();
	inbox++;
	if
	:: sleeps ->
		sleeps = false;
		ring_bell()
	:: else
	fi;
	unlock()
}

active [EVENTS] proctype writer() {
	bool first;

	atomic {
		first = !bell_due && !event_due;
		event_due++
	}
	finish_adding()
}

inline speak() {
	if
	:: !silent -> notify = true
	:: else
	fi
}

/* In the kernel, in the loop's thread.  The flag is taken back last. */
inline work() {
	called = false;
	do
	:: event_due > 0 ->
		atomic {
			event_due--;
			cq++;
			speak()
		}
	:: bell_due ->
		atomic {
			bell_due = false;
			bell = 0;
			cq_bell = true;
			speak()
		}
	:: !event_due && !bell_due -> break
	od;
	flag = false
}

#define INTERRUPT	if :: called -> work() :: true fi

inline reap() {
	atomic {
		ran = ran + cq;
		cq = 0;
		if
		:: cq_bell ->
			cq_bell = false;
			sq = true
		:: else
		fi
	}
}

/* io_uring_enter(): the read starts anew, and ends at once if the bell has been rung meanwhile. */
inline enter() {
	if
	:: sq ->
		atomic {
			sq = false;
			if
			:: bell > 0 ->
				bell = 0;
				cq_bell = true;
				speak()
			:: else -> armed = true
			fi
		}
	:: else
	fi;
	INTERRUPT
}

/* uring_turn(), which does not block. */
inline turn() {
	if
	:: sq || flag -> enter()
	:: else
	fi;
	reap();
	INTERRUPT
}

inline take_back() {
	notify = false
}

active proctype host() {
	bool more;
	byte taken;

	do
	:: ran == ALL -> break
	:: else ->
		/* poll(2) */
		do
		:: notify -> break
		:: called -> work()
		od;
		/* quiet */
#ifndef LATE_READ
		take_back();
		INTERRUPT;
#endif
		silent = true;
		INTERRUPT;
		lock();
		sleeps = false;
		unlock();
		/* the turn */
		turn();
		if
		:: inbox > 0 ->
			lock();
			taken = inbox;
			inbox = 0;
			unlock();
			ran = ran + taken;
			taken = 0
		:: else
		fi;
		turn();
		/* the last look, and listen */
		if
		:: inbox > 0 -> more = true
		:: else ->
			lock();
#ifdef NO_LOOK
			more = false;
#else
			more = inbox > 0;
#endif
			sleeps = !more;
			unlock()
		fi;
		INTERRUPT;
#ifdef EARLY_LOOK
		more = more || cq || cq_bell || flag || sq;
		INTERRUPT;
#endif
		silent = false;
		INTERRUPT;
#if !defined(NO_RECHECK) && !defined(EARLY_LOOK)
		more = more || cq || cq_bell || flag || sq;
		INTERRUPT;
#endif
#ifdef LATE_READ
		take_back();
#endif
		if
		:: more -> notify = true
		:: else
		fi
	od
}
