/* SPDX-License-Identifier: MIT */
/*
 * wake.pml - a model of runtime/core/inbox.c: threads post, a loop sleeps and is woken, and goes.
 *
 * No order of steps leaves a message in the inbox of a loop that sleeps (a state in which nothing
 * can move), runs one that was refused or loses one that was accepted, or rings the bell of a loop
 * that is gone.
 *
 * A mutant is the same with one step wrong; SPIN must find it.
 *	NO_LOOK		the loop says that it sleeps without looking whether there is a message
 *	NO_DOZE_TIMER	a doze ends by the bell alone
 *	LATE_BELL	the bell is rung without its lock
 *	NO_WAIT		the loop closes its inbox and does not wait for who rings the bell
 *	EARLY_RUN	the loop closes its inbox after it has run what was there, not before
 */
#define SENDERS		2
#define MESSAGES	3	/* of each */

mtype = { AWAKE, DOZES, SLEEPS };

bool locked, ringing;		/* the locks of inbox and bell */
byte inbox;			/* messages in it */
mtype loop = AWAKE;
bool closed, gone;
bool bell;			/* the eventfd is readable */
byte accepted, ran;
byte left = SENDERS;		/* that still run */

inline lock() {
	atomic { !locked -> locked = true }
}

inline unlock() {
	locked = false
}

inline ring() {
	assert(!gone);
	bell = true
}

/* weir_inbox_put_(): can_wait may be false or true for a doze that a timer ends soon. */
inline put() {
	lock();
	rings = false;
	if
	:: closed
	:: else ->
		inbox++;
		accepted++;
		if
		:: loop == SLEEPS -> rings = true
		:: loop == DOZES -> rings = !can_wait
		:: else
		fi;
		if
		:: rings ->
			loop = AWAKE;
#ifndef LATE_BELL
			atomic { !ringing -> ringing = true }
#endif
		:: else
		fi
	fi;
	unlock();
	if
	:: rings ->
		ring();
#ifndef LATE_BELL
		ringing = false
#endif
	:: else
	fi
}

active [SENDERS] proctype sender() {
	byte i;
	bool rings, can_wait;

	do
	:: i < MESSAGES ->
		if
		:: can_wait = true
		:: can_wait = false
		fi;
		put();
		i++
	:: else -> break
	od;
	left--
}

/* Takes all that is there, under the lock, and runs it. */
inline run_all() {
	lock();
	taken = inbox;
	inbox = 0;
	unlock();
	ran = ran + taken;
	taken = 0
}

/* turn_or_wait(), and the end of the loop at any time. */
active proctype weir() {
	byte taken;
	bool doze;

	do
	:: accepted == SENDERS * MESSAGES && ran == accepted -> break
	:: break	/* weir_loop_free() */
	:: inbox > 0 -> run_all()
	:: inbox == 0 ->
		if
		:: doze = true
		:: doze = false
		fi;
		lock();
		if
#ifndef NO_LOOK
		:: inbox > 0 -> unlock()
		:: else ->
#else
		:: true ->
#endif
			if
			:: doze -> loop = DOZES
			:: else -> loop = SLEEPS
			fi;
			unlock();
sleep:			if
			:: bell -> bell = false
#ifndef NO_DOZE_TIMER
			:: doze && !bell -> skip
#endif
			:: left == 0 && inbox == 0 -> skip	/* nobody is left to wake it */
			fi;
			lock();
			loop = AWAKE;
			unlock()
		fi
	od;
#ifdef EARLY_RUN
	run_all();
	lock();
	closed = true;
	unlock();
#else
	lock();
	closed = true;
	taken = inbox;
	inbox = 0;
	unlock();
	ran = ran + taken;
#endif
#ifndef NO_WAIT
	!ringing;
#endif
	gone = true;
	left == 0;
	assert(ran == accepted)
}
