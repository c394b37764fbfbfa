/* SPDX-License-Identifier: MIT */
/*
 * port.h - the way into a loop from other threads.
 *
 * A port is a handle on a loop that any thread may post to.  Messages are memory of the sender's;
 * the loop calls msg->fn in its own thread, in the order in which they were posted, and it is then
 * that fn may use all of weir (send on a channel, spawn, cancel) and free the message.  While a
 * port is open the loop waits for messages rather than report a deadlock.
 */
#ifndef WEIR_PORT_H
#define WEIR_PORT_H

#include "weir/base.h"

#ifdef __cplusplus
extern "C" {
#endif

struct weir_loop;
struct weir_port;

struct weir_msg {
	struct weir_msg *next;
	void (*fn)(struct weir_msg *msg);
};

/* An open port of loop, with one reference, the caller's.  Loop's thread.  Results: 0; -ENOMEM. */
#define weir_port_new(port, loop)	weir_port_new_((port), (loop), WEIR_HERE_)

/* Posts msg.  Any thread; never blocks for longer than another post; a system call only if the loop
 * sleeps.  Results: 0; -EPIPE the port is closed or the loop gone, msg is still the caller's, as it
 * is with -ECHILD: in a child, after fork(2), the loop is the parent's. */
WEIR_API int weir_post(struct weir_port *port, struct weir_msg *msg);

/* No post succeeds after this; what was posted is delivered.  Loop's thread.  Closing twice is
 * allowed. */
WEIR_API void weir_port_close(struct weir_port *port);

/* A reference more, or less; the last one frees the port, which must be closed by then, or its loop
 * gone.  Any thread. */
WEIR_API void weir_port_ref(struct weir_port *port);
WEIR_API void weir_port_unref(struct weir_port *port);

WEIR_API int weir_port_new_(struct weir_port **port, struct weir_loop *loop, const char *made);

#ifdef __cplusplus
}
#endif

#endif
