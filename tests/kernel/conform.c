/* SPDX-License-Identifier: MIT */
/*
 * conform.c - what Linux does the simulated kernel may do, and nothing worse than Linux could.
 *
 * Scripts, the operations of which are told apart by position: "all ECANCELED +some" is that the
 * first moved all its bytes, the second was called off, and something was left to be read.
 * CONFORM=1 in the environment prints what was seen on both sides.
 */
#define _GNU_SOURCE
#include "conform_kit.h"

static const struct script pipes[] = {
	{ "a read finds data", A_PIPE, .left = 1,
	  .may = "(all|some) (all|some); (0|some) left", .steps = {
		{ START, WRITE, 1, 3 }, { END, .on = 0 }, { START, READ, 0, 3 } } },
	{ "a read waits for data", A_PIPE, .left = 1,
	  .may = "(all|some) (all|some); (0|some) left", .steps = {
		{ START, READ, 0, 3 }, { START, WRITE, 1, 3 } } },
	{ "a read that waits is cancelled", A_PIPE, .left = 1,
	  .may = "ECANCELED (all|some); all left", .steps = {
		{ START, READ, 0, 3 }, { CANCEL, .on = 0 }, { END, .on = 0 },
		{ START, WRITE, 1, 3 } } },
	{ "a read is cancelled as data comes", A_PIPE, .left = 1,
	  .may = "(ECANCELED|all|some) (all|some); (0|some|all) left", .steps = {
		{ START, READ, 0, 3 }, { START, WRITE, 1, 3 }, { CANCEL, .on = 0 } } },
	{ "data comes as a read is cancelled", A_PIPE, .left = 1,
	  .may = "ECANCELED (all|some); all left", .steps = {
		{ START, READ, 0, 3 }, { CANCEL, .on = 0 }, { START, WRITE, 1, 3 } } },
	{ "a read at the end", A_PIPE, .left = 1,
	  .may = "0 0; 0 left", .steps = {
		{ START, CLOSE, 1 }, { START, READ, 0, 3 } } },
	{ "a read of data before the end", A_PIPE, .left = 1,
	  .may = "(all|some) 0 (all|some) (some|0); (0|some) left", .steps = {
		{ START, WRITE, 1, 3 }, { END, .on = 0 }, { START, CLOSE, 1 }, { END, .on = 1 },
		{ START, READ, 0, 3 }, { END, .on = 2 }, { START, READ, 0, 3 } } },
	{ "the end comes while a read waits", A_PIPE, .left = 1,
	  .may = "0 0; 0 left", .steps = {
		{ START, READ, 0, 3 }, { START, CLOSE, 1 } } },
	{ "the end comes as a read is cancelled", A_PIPE, .left = 1,
	  .may = "(ECANCELED|0) 0; 0 left", .steps = {
		{ START, READ, 0, 3 }, { START, CLOSE, 1 }, { CANCEL, .on = 0 } } },
	{ "what a read is on is closed", A_PIPE,
	  .may = "ECANCELED 0", .steps = {
		{ START, READ, 0, 3 }, { START, CLOSE, 0 } } },
	{ "what a read is on is closed as data comes", A_PIPE,
	  .may = "(ECANCELED|all|some) (all|some|EPIPE) 0", .steps = {
		{ START, READ, 0, 3 }, { START, WRITE, 1, 3 }, { START, CLOSE, 0 } } },
	{ "a write that nobody will read", A_PIPE,
	  .may = "0 EPIPE", .steps = {
		{ START, CLOSE, 0 }, { END, .on = 0 }, { START, WRITE, 1, 3 } } },
	{ "a write of more than a pipe holds", A_PIPE, .left = 1,
	  .may = "some some; (0|some) left", .steps = {
		{ START, WRITE, 1, 100000 }, { START, READ, 0, 100000 } } },
	{ "a write that waits is cancelled", A_PIPE, .left = 1,
	  .may = "(all|some) (ECANCELED|some); all left", .steps = {
		{ START, WRITE, 1, 65536 }, { END, .on = 0 }, { START, WRITE, 1, 65536 },
		{ CANCEL, .on = 1 } } },
	{ "a write is cancelled as there is room", A_PIPE, .left = 1,
	  .may = "(all|some) (ECANCELED|all|some) some; (0|some) left", .steps = {
		{ START, WRITE, 1, 65536 }, { END, .on = 0 }, { START, WRITE, 1, 65536 },
		{ START, READ, 0, 100000 }, { CANCEL, .on = 1 } } },
	{ "the reader goes while a write waits", A_PIPE,
	  .may = "(all|some) (some|EPIPE) 0", .steps = {
		{ START, WRITE, 1, 65536 }, { END, .on = 0 }, { START, WRITE, 1, 65536 },
		{ START, CLOSE, 0 } } },
	{ "two reads, data for one", A_PIPE, .left = 1,
	  .may = "(ECANCELED|all|some) (ECANCELED|all|some) (all|some); (0|some|all) left",
	  .steps = {
		{ START, READ, 0, 3 }, { START, READ, 0, 3 }, { START, WRITE, 1, 3 },
		{ CANCEL, .on = 0 }, { CANCEL, .on = 1 } } },
	{ "two reads, data for both", A_PIPE, .left = 1,
	  .may = "(ECANCELED|all|some) (ECANCELED|all|some) (all|some); (0|some|all) left",
	  .steps = {
		{ START, READ, 0, 3 }, { START, READ, 0, 3 }, { START, WRITE, 1, 6 },
		{ CANCEL, .on = 0 } , { CANCEL, .on = 1 } } },
	{ "reads and writes of nothing", A_PIPE, .left = 1,
	  .may = "0 0; 0 left", .steps = {
		{ START, READ, 0, 0 }, { START, WRITE, 1, 0 } } },
	{ "the wrong end", A_PIPE, .left = 1,
	  .may = "EBADF EBADF ENOTSOCK EINVAL ENOTSOCK ENOTSOCK; 0 left", .steps = {
		{ START, READ, 1, 3 }, { START, WRITE, 0, 3 }, { START, RECV, 0, 3 },
		{ START, FSYNC, 0 }, { START, SHUTDOWN, 0 }, { START, ACCEPT, 0 } } },
	{ "what a read is on is closed behind its back", A_PIPE,
	  .may = "(EBADF|all|some) (all|some) EPIPE", .steps = {
		{ START, READ, 0, 3 }, { SLEEP, .n = 2 }, { BEHIND, .on = 0 },
		{ START, WRITE, 1, 3 }, { END, .on = 0 }, { END, .on = 1 },
		{ START, WRITE, 1, 3 } } },
	{ "closed behind its back a read is cancelled", A_PIPE,
	  .may = "ECANCELED EPIPE", .steps = {
		{ START, READ, 0, 3 }, { SLEEP, .n = 2 }, { BEHIND, .on = 0 },
		{ CANCEL, .on = 0 }, { END, .on = 0 }, { START, WRITE, 1, 3 } } },
	{ "closed before it is read", A_PIPE,
	  .may = "0 0", .steps = {
		{ START, CLOSE, 0 }, { START, CLOSE, 1 } } },
};

START_TEST(pipes_are_as_on_linux)
{
	COMPARE(pipes);
}
END_TEST

static const struct script pairs[] = {
	{ "a recv finds data", A_PAIR, .left = 1,
	  .may = "(all|some) (all|some); (0|some) left", .steps = {
		{ START, SEND, 1, 3 }, { END, .on = 0 }, { START, RECV, 0, 3 } } },
	{ "a recv waits for data", A_PAIR, .left = 1,
	  .may = "(all|some) (all|some); (0|some) left", .steps = {
		{ START, RECV, 0, 3 }, { START, SEND, 1, 3 } } },
	{ "a recv of less than there is", A_PAIR, .left = 1,
	  .may = "(all|some) (all|some); (0|some) left", .steps = {
		{ START, SEND, 1, 6 }, { END, .on = 0 }, { START, RECV, 0, 3 } } },
	{ "a recv that waits is cancelled", A_PAIR, .left = 1,
	  .may = "ECANCELED (all|some); all left", .steps = {
		{ START, RECV, 0, 3 }, { CANCEL, .on = 0 }, { END, .on = 0 },
		{ START, SEND, 1, 3 } } },
	{ "a recv is cancelled as data comes", A_PAIR, .left = 1,
	  .may = "(ECANCELED|all|some) (all|some); (0|some|all) left", .steps = {
		{ START, RECV, 0, 3 }, { START, SEND, 1, 3 }, { CANCEL, .on = 0 } } },
	{ "read and write of a socket", A_PAIR, .left = 1,
	  .may = "(all|some) (all|some); (0|some) left", .steps = {
		{ START, READ, 0, 3 }, { START, WRITE, 1, 3 } } },
	{ "a peek takes nothing", A_PAIR, .left = 1,
	  .may = "(all|some) (all|some) (all|some); (0|some) left", .steps = {
		{ START, PEEK, 0, 3 }, { START, SEND, 1, 3 }, { END, .on = 0 },
		{ START, RECV, 0, 3 } } },
	{ "a peek is cancelled as data comes", A_PAIR, .left = 1,
	  .may = "(ECANCELED|all|some) (all|some); all left", .steps = {
		{ START, PEEK, 0, 3 }, { START, SEND, 1, 3 }, { CANCEL, .on = 0 } } },
	{ "a recv that does not wait", A_PAIR, .left = 1,
	  .may = "EAGAIN (all|some) (all|some); (0|some) left", .steps = {
		{ START, TRY, 0, 3 }, { END, .on = 0 }, { START, SEND, 1, 3 }, { END, .on = 1 },
		{ START, TRY, 0, 3 } } },
	{ "a send that does not wait", A_PAIR, .left = 1,
	  .may = "(all|some) (all|some|EAGAIN); all left", .steps = {
		{ START, SEND, 1, 120000, MSG_DONTWAIT }, { END, .on = 0 },
		{ START, SEND, 1, 120000, MSG_DONTWAIT } } },
	{ "a send of more than there is room for", A_PAIR, .left = 1,
	  .may = "(all|some) (ECANCELED|all|some); all left", .steps = {
		{ START, SEND, 1, 120000 }, { END, .on = 0 }, { START, SEND, 1, 120000 },
		{ CANCEL, .on = 1 } } },
	{ "a send is cancelled as there is room", A_PAIR, .left = 1,
	  .may = "(all|some) (ECANCELED|all|some) (all|some); (0|some) left", .steps = {
		{ START, SEND, 1, 120000 }, { END, .on = 0 }, { START, SEND, 1, 120000 },
		{ START, RECV, 0, 120000 }, { CANCEL, .on = 1 } } },
	{ "the peer closes while a recv waits", A_PAIR, .left = 1,
	  .may = "0 0; 0 left", .steps = {
		{ START, RECV, 0, 3 }, { START, CLOSE, 1 } } },
	{ "the peer closes as a recv is cancelled", A_PAIR, .left = 1,
	  .may = "(ECANCELED|0) 0; 0 left", .steps = {
		{ START, RECV, 0, 3 }, { START, CLOSE, 1 }, { CANCEL, .on = 0 } } },
	{ "the peer closes behind its data", A_PAIR, .left = 1,
	  .may = "(all|some) 0 (all|some) (some|0); (0|some) left", .steps = {
		{ START, SEND, 1, 3 }, { END, .on = 0 }, { START, CLOSE, 1 }, { END, .on = 1 },
		{ START, RECV, 0, 3 }, { END, .on = 2 }, { START, RECV, 0, 3 } } },
	{ "the peer closes with data unread", A_PAIR,
	  .may = "(all|some) 0 ECONNRESET 0", .steps = {
		{ START, SEND, 0, 3 }, { END, .on = 0 }, { START, CLOSE, 1 }, { END, .on = 1 },
		{ START, RECV, 0, 3 }, { END, .on = 2 }, { START, RECV, 0, 3 } } },
	{ "a send to a peer that has closed", A_PAIR,
	  .may = "0 EPIPE EPIPE", .steps = {
		{ START, CLOSE, 1 }, { END, .on = 0 }, { START, SEND, 0, 3 }, { END, .on = 1 },
		{ START, SEND, 0, 3 } } },
	{ "a send to a peer that has closed with data unread", A_PAIR,
	  .may = "(all|some) 0 EPIPE EPIPE", .steps = {
		{ START, SEND, 0, 3 }, { END, .on = 0 }, { START, CLOSE, 1 }, { END, .on = 1 },
		{ START, SEND, 0, 3 }, { END, .on = 2 }, { START, SEND, 0, 3 } } },
	{ "what a recv is on is closed", A_PAIR,
	  .may = "ECANCELED 0", .steps = {
		{ START, RECV, 0, 3 }, { START, CLOSE, 0 } } },
	{ "what a recv is on is closed as data comes", A_PAIR,
	  .may = "(ECANCELED|all|some) (all|some|EPIPE) 0", .steps = {
		{ START, RECV, 0, 3 }, { START, SEND, 1, 3 }, { START, CLOSE, 0 } } },
	{ "shutdown of sending", A_PAIR, .left = 1,
	  .may = "0 0 EPIPE; 0 left", .steps = {
		{ START, SHUTDOWN, 1, .flags = SHUT_WR }, { END, .on = 0 }, { START, RECV, 0, 3 },
		{ START, SEND, 1, 3 } } },
	{ "shutdown of receiving", A_PAIR,
	  .may = "0 0 EPIPE", .steps = {
		{ START, SHUTDOWN, 0, .flags = SHUT_RD }, { END, .on = 0 }, { START, RECV, 0, 3 },
		{ START, SEND, 1, 3 } } },
	{ "shutdown while a recv waits", A_PAIR, .left = 1,
	  .may = "0 0; 0 left", .steps = {
		{ START, RECV, 0, 3 }, { START, SHUTDOWN, 0, .flags = SHUT_RDWR } } },
	{ "shutdown as a recv is cancelled", A_PAIR, .left = 1,
	  .may = "(ECANCELED|0) 0; 0 left", .steps = {
		{ START, RECV, 0, 3 }, { START, SHUTDOWN, 0, .flags = SHUT_RDWR },
		{ CANCEL, .on = 0 } } },
	{ "shutdown of both with data unread", A_PAIR, .left = 1,
	  .may = "(all|some) 0 (all|some) (some|0); (0|some) left", .steps = {
		{ START, SEND, 1, 3 }, { END, .on = 0 },
		{ START, SHUTDOWN, 0, .flags = SHUT_RDWR }, { END, .on = 1 },
		{ START, RECV, 0, 3 }, { END, .on = 2 }, { START, RECV, 0, 3 } } },
	{ "shutdown of what it has not", A_PAIR, .left = 1,
	  .may = "EINVAL; 0 left", .steps = {
		{ START, SHUTDOWN, 0, .flags = 7 } } },
	{ "shutdown wakes a send that waits", A_PAIR, .left = 1,
	  .may = "(all|some) (all|some|EPIPE) 0; all left", .steps = {
		{ START, SEND, 1, 120000 }, { END, .on = 0 }, { START, SEND, 1, 120000 },
		{ START, SHUTDOWN, 1, .flags = SHUT_WR } } },
	{ "the peer shuts its receiving while a send waits", A_PAIR,
	  .may = "(all|some) (all|some|EPIPE) 0", .steps = {
		{ START, SEND, 1, 120000 }, { END, .on = 0 }, { START, SEND, 1, 120000 },
		{ START, SHUTDOWN, 0, .flags = SHUT_RD } } },
	{ "a recv of all waits for the rest", A_PAIR, .left = 1,
	  .may = "(all|some) (all|some) (all|some) 0; 0 left", .steps = {
		{ START, RECV, 0, 6, MSG_WAITALL }, { START, SEND, 1, 3 }, { END, .on = 1 },
		{ START, SEND, 1, 3 }, { END, .on = 2 },
		{ START, SHUTDOWN, 1, .flags = SHUT_WR } } },
	{ "the peer closes while a recv of all waits", A_PAIR, .left = 1,
	  .may = "some (all|some) 0; 0 left", .steps = {
		{ START, RECV, 0, 6, MSG_WAITALL }, { START, SEND, 1, 3 }, { END, .on = 1 },
		{ START, CLOSE, 1 } } },
	{ "a recv of all is cancelled with some there", A_PAIR, .left = 1,
	  .may = "(some|ECANCELED) (all|some); (0|all) left", .steps = {
		{ START, RECV, 0, 6, MSG_WAITALL }, { START, SEND, 1, 3 }, { END, .on = 1 },
		{ CANCEL, .on = 0 } } },
	{ "two recvs, data for one", A_PAIR, .left = 1,
	  .may = "(ECANCELED|all|some) (ECANCELED|all|some) (all|some); (0|some|all) left",
	  .steps = {
		{ START, RECV, 0, 3 }, { START, RECV, 0, 3 }, { START, SEND, 1, 3 },
		{ CANCEL, .on = 0 }, { CANCEL, .on = 1 } } },
	{ "recv and send of nothing", A_PAIR, .left = 1,
	  .may = "0 (all|some) 0; all left", .steps = {
		{ START, SEND, 1, 0 }, { START, SEND, 1, 3 }, { END, .on = 1 },
		{ START, RECV, 0, 0 } } },
	{ "what a recv is on is closed behind its back", A_PAIR,
	  .may = "(EBADF|all|some) (all|some) EPIPE", .steps = {
		{ START, RECV, 0, 3 }, { SLEEP, .n = 2 }, { BEHIND, .on = 0 },
		{ START, SEND, 1, 3 }, { END, .on = 0 }, { END, .on = 1 },
		{ START, SEND, 1, 3 } } },
	{ "what a send is on is closed behind its back", A_PAIR,
	  .may = "(all|some) (EBADF|all|some|EPIPE) 0", .steps = {
		{ START, SEND, 1, 120000 }, { END, .on = 0 }, { START, SEND, 1, 120000 },
		{ SLEEP, .n = 2 }, { BEHIND, .on = 1 }, { START, CLOSE, 0 } } },
	{ "what a socket pair cannot", A_PAIR, .left = 1,
	  .may = "EINVAL EINVAL; 0 left", .steps = {
		{ START, FSYNC, 0 }, { START, ACCEPT, 0 } } },
};

START_TEST(socket_pairs_are_as_on_linux)
{
	COMPARE(pairs);
}
END_TEST

static const struct script connections[] = {
	{ "a recv waits for data", A_TCP, .left = 1,
	  .may = "(all|some) (all|some); (0|some) left", .steps = {
		{ START, RECV, 0, 3 }, { START, SEND, 1, 3 } } },
	{ "a recv is cancelled as data comes", A_TCP, .left = 1,
	  .may = "(ECANCELED|all|some) (all|some); (0|some|all) left", .steps = {
		{ START, RECV, 0, 3 }, { START, SEND, 1, 3 }, { CANCEL, .on = 0 } } },
	{ "the peer closes while a recv waits", A_TCP, .left = 1,
	  .may = "0 0; 0 left", .steps = {
		{ START, RECV, 0, 3 }, { START, CLOSE, 1 } } },
	{ "the peer closes with data unread", A_TCP,
	  .may = "(all|some) 0 ECONNRESET 0", .steps = {
		{ START, SEND, 0, 3 }, { END, .on = 0 }, { ARRIVE, .on = 1 },
		{ START, CLOSE, 1 }, { END, .on = 1 },
		{ START, RECV, 0, 3 }, { END, .on = 2 }, { START, RECV, 0, 3 } } },
	{ "the peer closes behind its data, ours unread", A_TCP,
	  .may = "(all|some) (all|some) 0 (all|some) (some|ECONNRESET)", .steps = {
		{ START, SEND, 0, 3 }, { END, .on = 0 }, { START, SEND, 1, 3 }, { END, .on = 1 },
		{ ARRIVE, .on = 1 }, { START, CLOSE, 1 }, { END, .on = 2 },
		{ START, RECV, 0, 3 }, { END, .on = 3 },
		{ START, RECV, 0, 3 } } },
	{ "a send to a peer that has closed", A_TCP,
	  .may = "0 (all|some) (all|some|EPIPE) 0", .steps = {
		{ START, CLOSE, 1 }, { END, .on = 0 }, { ARRIVE, .on = 0 },
		{ START, SEND, 0, 3 }, { END, .on = 1 }, { START, SEND, 0, 3 }, { END, .on = 2 },
		{ START, RECV, 0, 3 } } },
	{ "a send to a peer that has closed with data unread", A_TCP,
	  .may = "(all|some) 0 ECONNRESET EPIPE", .steps = {
		{ START, SEND, 0, 3 }, { END, .on = 0 }, { ARRIVE, .on = 1 },
		{ START, CLOSE, 1 }, { END, .on = 1 }, { ARRIVE, .on = 0 },
		{ START, SEND, 0, 3 }, { END, .on = 2 }, { START, SEND, 0, 3 } } },
	{ "shutdown of sending", A_TCP, .left = 1,
	  .may = "0 0 EPIPE; 0 left", .steps = {
		{ START, SHUTDOWN, 1, .flags = SHUT_WR }, { END, .on = 0 }, { START, RECV, 0, 3 },
		{ START, SEND, 1, 3 } } },
	{ "shutdown of receiving", A_TCP,	/* and a recv does not wait for what may come */
	  .may = "0 0 (all|some)", .steps = {
		{ START, SHUTDOWN, 0, .flags = SHUT_RD }, { END, .on = 0 }, { START, RECV, 0, 3 },
		{ END, .on = 1 }, { START, SEND, 1, 3 } } },
	{ "shutdown while a recv waits", A_TCP, .left = 1,
	  .may = "0 0; 0 left", .steps = {
		{ START, RECV, 0, 3 }, { START, SHUTDOWN, 0, .flags = SHUT_RDWR } } },
	{ "both sides shut down", A_TCP, .left = 1,
	  .may = "0 0 0 0 ENOTCONN; 0 left", .steps = {
		{ START, SHUTDOWN, 0, .flags = SHUT_WR }, { END, .on = 0 }, { ARRIVE, .on = 1 },
		{ START, SHUTDOWN, 1, .flags = SHUT_WR }, { END, .on = 1 }, { ARRIVE, .on = 0 },
		{ START, RECV, 0, 3 }, { START, RECV, 1, 3 },
		{ START, SHUTDOWN, 0, .flags = SHUT_RDWR } } },
	{ "a peek takes nothing", A_TCP, .left = 1,
	  .may = "(all|some) (all|some) (all|some); (0|some) left", .steps = {
		{ START, PEEK, 0, 3 }, { START, SEND, 1, 3 }, { END, .on = 0 },
		{ START, RECV, 0, 3 } } },
	{ "what a connection cannot", A_TCP, .left = 1,
	  .may = "EINVAL EISCONN; 0 left", .steps = {
		{ START, ACCEPT, 0 }, { START, CONNECT, 0 } } },
};

START_TEST(connections_are_as_on_linux)
{
	COMPARE(connections);
}
END_TEST

static const struct script listeners[] = {
	{ "an accept finds a connection", A_LISTENER,
	  .may = "0 fd", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, ACCEPT, 0 } } },
	{ "an accept waits for a connection", A_LISTENER,
	  .may = "fd 0", .steps = {
		{ START, ACCEPT, 0 }, { START, CONNECT, 1 } } },
	{ "an accept that waits is cancelled", A_LISTENER,
	  .may = "ECANCELED 0 fd", .steps = {
		{ START, ACCEPT, 0 }, { CANCEL, .on = 0 }, { END, .on = 0 },
		{ START, CONNECT, 1 }, { START, ACCEPT, 0 } } },
	{ "an accept is cancelled as a connection comes", A_LISTENER,
	  .may = "(ECANCELED 0 (ECANCELED|fd)|fd 0 ECANCELED)", .steps = {
		{ START, ACCEPT, 0 }, { START, CONNECT, 1 }, { CANCEL, .on = 0 },
		{ END, .on = 0 }, { END, .on = 1 }, { START, ACCEPT, 0 },
		{ SLEEP, .n = 2 }, { CANCEL, .on = 2 } } },
	{ "two accepts, two connections", A_LISTENER,
	  .may = "fd fd 0 0", .steps = {
		{ START, ACCEPT, 0 }, { START, ACCEPT, 0 }, { START, CONNECT, 1 },
		{ START, CONNECT, 2 } } },
	{ "the listener is closed under an accept", A_LISTENER,
	  .may = "ECANCELED 0", .steps = {
		{ START, ACCEPT, 0 }, { START, CLOSE, 0 } } },
	{ "the listener is closed as a connection comes", A_LISTENER,
	  .may = "(ECANCELED|fd) (0|ECONNREFUSED) 0", .steps = {
		{ START, ACCEPT, 0 }, { START, CONNECT, 1 }, { START, CLOSE, 0 } } },
	{ "the listener goes with a connection queued", A_LISTENER,
	  .may = "0 0 ECONNRESET EPIPE", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, CLOSE, 0 },
		{ END, .on = 1 }, { START, RECV, 1, 3 }, { END, .on = 2 },
		{ START, SEND, 1, 3 } } },
	{ "nobody listens", A_LISTENER,
	  .may = "0 ECONNREFUSED", .steps = {
		{ START, CLOSE, 0 }, { END, .on = 0 }, { START, CONNECT, 1 } } },
	{ "data before the accept", A_LISTENER, .left = 6,
	  .may = "0 (all|some) 0 fd (all|some); (0|some) left", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, SEND, 1, 3 },
		{ END, .on = 1 }, { START, CLOSE, 1 }, { END, .on = 2 },
		{ START, ACCEPT, 0, .gives = 5 }, { END, .on = 3 },
		{ START, RECV, 5, 3 } } },
	{ "no descriptor for a connection", A_LISTENER,
	  .may = "0 EMFILE fd", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { FILES }, { START, ACCEPT, 0 },
		{ END, .on = 1 }, { FILES, .n = 1 }, { START, ACCEPT, 0 } } },
	{ "no descriptor for a connection to come", A_LISTENER,
	  .may = "EMFILE 0 fd", .steps = {
		{ FILES }, { START, ACCEPT, 0 }, { START, CONNECT, 1 }, { END, .on = 0 },
		{ FILES, .n = 1 }, { START, ACCEPT, 0 } } },
	{ "no descriptor for a connection that never comes", A_LISTENER,
	  .may = "EMFILE", .steps = {
		{ FILES }, { START, ACCEPT, 0 }, { SLEEP, .n = 2 }, { CANCEL, .on = 0 } } },
	{ "connected twice", A_LISTENER,
	  .may = "0 EISCONN", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, CONNECT, 1 } } },
	{ "what an accept is on is closed behind its back", A_LISTENER,
	  .may = "(EBADF|fd) 0 ECONNREFUSED", .steps = {
		{ START, ACCEPT, 0 }, { SLEEP, .n = 2 }, { BEHIND, .on = 0 },
		{ START, CONNECT, 1 }, { END, .on = 0 }, { END, .on = 1 },
		{ START, CONNECT, 2 } } },
	{ "a listener is shut down under an accept", A_LISTENER,
	  .may = "(ECANCELED|EINVAL) 0", .steps = {
		{ START, ACCEPT, 0 }, { START, SHUTDOWN, 0, .flags = SHUT_RDWR },
		{ CANCEL, .on = 0 } } },
};

static const struct script unix_strangers[] = {
	{ "not connected", A_LISTENER,
	  .may = "EINVAL ENOTCONN EINVAL 0 EINVAL ENOTCONN", .steps = {
		{ START, RECV, 1, 3 }, { START, SEND, 1, 3 }, { START, ACCEPT, 1 },
		{ START, SHUTDOWN, 1 }, { START, READ, 1, 3 }, { START, WRITE, 1, 3 } } },
	{ "a listener is no connection", A_LISTENER,
	  .may = "EINVAL ENOTCONN EINVAL", .steps = {
		{ START, RECV, 0, 3 }, { START, SEND, 0, 3 }, { START, CONNECT, 0 } } },
};

/* A shutdown(2) that fails has yet shut what it was asked to, and Linux does it by a thread: the
 * read behind it may come before. */
static const struct script tcp_strangers[] = {
	{ "not connected", A_TCP_LISTENER,
	  .may = "(ENOTCONN|0) EPIPE EINVAL ENOTCONN (ENOTCONN|0) EPIPE", .steps = {
		{ START, RECV, 1, 3 }, { START, SEND, 1, 3 }, { START, ACCEPT, 1 },
		{ START, SHUTDOWN, 1 }, { START, READ, 1, 3 }, { START, WRITE, 1, 3 } } },
	{ "a listener is no connection", A_TCP_LISTENER,
	  .may = "ENOTCONN EPIPE EISCONN", .steps = {
		{ START, RECV, 0, 3 }, { START, SEND, 0, 3 }, { START, CONNECT, 0 } } },
};

/* There is room for one connection. */
static const struct script backlogs[] = {
	{ "no place, and no waiting", A_SMALL_LISTENER,
	  .may = "0 EAGAIN fd 0 fd", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, CONNECT, 2 }, { END, .on = 1 },
		{ START, ACCEPT, 0 }, { END, .on = 2 }, { START, CONNECT, 2 }, { END, .on = 3 },
		{ START, ACCEPT, 0 } } },
	{ "a connect waits for a place", A_SMALL_BLOCKING_LISTENER,
	  .may = "0 0 fd", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, CONNECT, 2 },
		{ START, ACCEPT, 0 } } },
	{ "a connect that waits for a place is cancelled", A_SMALL_BLOCKING_LISTENER,
	  .may = "0 ECANCELED fd", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, CONNECT, 2 },
		{ CANCEL, .on = 1 }, { END, .on = 1 }, { START, ACCEPT, 0 } } },
	{ "a connect that has waited for a place is cancelled", A_SMALL_BLOCKING_LISTENER,
	  .may = "0 ECANCELED fd", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, CONNECT, 2 },
		{ SLEEP, .n = 5 }, { CANCEL, .on = 1 }, { END, .on = 1 },
		{ START, ACCEPT, 0 } } },
	{ "a connect is cancelled as there is a place", A_SMALL_BLOCKING_LISTENER,
	  .may = "0 (ECANCELED|0) fd", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, CONNECT, 2 },
		{ START, ACCEPT, 0 }, { CANCEL, .on = 1 } } },
	{ "what a connect is on is closed", A_SMALL_BLOCKING_LISTENER,
	  .may = "0 ECANCELED 0", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { START, CONNECT, 2 },
		{ START, CLOSE, 2 } } },
	{ "a connect by TCP that waits for a place is cancelled", A_SMALL_TCP_LISTENER,
	  .may = "0 ECANCELED", .steps = {
		{ START, CONNECT, 1 }, { END, .on = 0 }, { ARRIVE, .on = 0 },
		{ START, CONNECT, 2 }, { CANCEL, .on = 1 } } },
};

START_TEST(backlogs_are_as_on_linux)
{
	COMPARE(backlogs);
}
END_TEST

START_TEST(listeners_are_as_on_linux)
{
	COMPARE(listeners);
	COMPARE(unix_strangers);
}
END_TEST

START_TEST(listeners_for_tcp_are_as_on_linux)
{
	struct script tcp[sizeof listeners / sizeof *listeners];
	size_t i;

	memcpy(tcp, listeners, sizeof tcp);
	for (i = 0; i < sizeof tcp / sizeof *tcp; i++)
		tcp[i].scene = A_TCP_LISTENER;
	COMPARE(tcp);
	COMPARE(tcp_strangers);
}
END_TEST

static const struct script files[] = {
	{ "a file is read", A_FILE,
	  .may = "(all|some) (some|0)", .steps = {
		{ START, READ, 0, 10 }, { END, .on = 0 }, { START, READ, 0, 10 } } },
	{ "a read of a file is cancelled", A_FILE,
	  .may = "(ECANCELED|all|some)", .steps = {
		{ START, READ, 0, 10 }, { CANCEL, .on = 0 } } },
	{ "a write to a file is cancelled", A_FILE,
	  .may = "(ECANCELED|all|some)", .steps = {
		{ START, WRITE, 0, 10 }, { CANCEL, .on = 0 } } },
	{ "an fsync is cancelled", A_FILE,
	  .may = "(ECANCELED|0)", .steps = { { START, FSYNC, 0 }, { CANCEL, .on = 0 } } },
	{ "a read at a place", A_FILE,
	  .may = "some (all|some) 0", .steps = {
		{ START, READ, 0, 10, 4 }, { START, READ, 0, 3, 7 }, { START, READ, 0, 3, 100 } } },
	{ "a write behind the end", A_FILE, .steady = true,
	  .may = "all 21 all", .steps = {
		{ START, WRITE, 0, 1, 20 }, { START, STATX, .path = "f" },
		{ START, READ, 0, 1, 15 } } },
	{ "an open is cancelled", A_FILE,
	  .may = "(ECANCELED|fd)", .steps = {
		{ START, OPEN, .path = "f" }, { CANCEL, .on = 0 } } },
	{ "an open that waits is cancelled", A_FIFO,
	  .may = "(ECANCELED|fd)", .steps = {
		{ START, OPEN, .path = "fifo" }, { CANCEL, .on = 0 } } },
	{ "an open that waits is cancelled, and a look at it too", A_FIFO,
	  .may = "(ECANCELED|fd) (ECANCELED|0)", .steps = {
		{ START, OPEN, .path = "fifo" }, { START, STATX, .path = "fifo" },
		{ CANCEL, .on = 0 }, { CANCEL, .on = 1 } } },
	{ "names are changed and it is cancelled", A_FILE,
	  .may = "(ECANCELED|0) (ECANCELED|0) (ECANCELED|0|ENOENT)", .steps = {
		{ START, MKDIR, .path = "d" }, { CANCEL, .on = 0 }, { END, .on = 0 },
		{ START, RENAME, .path = "f", .to = "g" }, { CANCEL, .on = 1 }, { END, .on = 1 },
		{ START, UNLINK, .path = "g" }, { CANCEL, .on = 2 } } },
	{ "a file is closed under its read", A_FILE,
	  .may = "(ECANCELED|all|some) 0", .steps = {
		{ START, READ, 0, 10 }, { START, CLOSE, 0 } } },
	{ "a file is no socket", A_FILE,
	  .may = "ENOTSOCK ENOTSOCK ENOTSOCK ENOTSOCK ENOTSOCK", .steps = {
		{ START, RECV, 0, 3 }, { START, SEND, 0, 3 }, { START, ACCEPT, 0 },
		{ START, SHUTDOWN, 0 }, { START, CONNECT, 0 } } },
	{ "no descriptor for a file", A_FILE,
	  .may = "EMFILE", .steps = { { FILES }, { START, OPEN, .path = "f" } } },
	{ "no descriptor for a socket", A_FILE,
	  .may = "EMFILE", .steps = {
		{ FILES }, { START, SOCKET, .n = AF_UNIX, .flags = SOCK_STREAM } } },
};

START_TEST(files_are_as_on_linux)
{
	COMPARE(files);
}
END_TEST

static char long_name[NAME_MAX + 2], long_path[PATH_MAX + 1];

static const struct script paths[] = {
	{ "what is not there", BARE, .steady = true,
	  .may = "ENOENT ENOENT ENOENT ENOENT ENOENT ENOENT", .steps = {
		{ START, OPEN, .path = "f" }, { START, STATX, .path = "f" },
		{ START, UNLINK, .path = "f" }, { START, RENAME, .path = "f", .to = "g" },
		{ START, MKDIR, .path = "f/g" },
		{ START, OPEN, .path = "f/g", .flags = O_CREAT } } },
	{ "no name at all", BARE, .steady = true,
	  .may = "ENOENT ENOENT ENOENT ENOENT ENOENT", .steps = {
		{ START, OPEN, .path = "" }, { START, STATX, .path = "" },
		{ START, UNLINK, .path = "" }, { START, RENAME, .path = "", .to = "" },
		{ START, MKDIR, .path = "" } } },
	{ "a file is made", BARE, .steady = true,
	  .may = "fd EEXIST (all|some) fd (1|2|3|4|5) 0", .steps = {
		{ START, OPEN, .path = "f", .flags = O_CREAT | O_RDWR | O_EXCL, .gives = 1 },
		{ START, OPEN, .path = "f", .flags = O_CREAT | O_RDWR | O_EXCL },
		{ START, WRITE, 1, 5 }, { START, OPEN, .path = "f", .flags = O_CREAT | O_WRONLY },
		{ START, STATX, .path = "f" }, { START, UNLINK, .path = "f" } } },
	{ "a file is cut and appended to", A_FILE, .steady = true,
	  .may = "fd (all|some) (11|12|13|14|15) fd 0 0", .steps = {
		{ START, OPEN, .path = "f", .flags = O_WRONLY | O_APPEND, .gives = 1 },
		{ START, WRITE, 1, 5 }, { START, STATX, .path = "f" },
		{ START, OPEN, .path = "f", .flags = O_RDONLY | O_TRUNC },
		{ START, STATX, .path = "f" }, { START, READ, 0, 5 } } },
	{ "the wrong way", A_FILE, .steady = true,
	  .may = "fd EBADF fd EBADF ENOTDIR", .steps = {
		{ START, OPEN, .path = "f", .flags = O_WRONLY, .gives = 1 }, { START, READ, 1, 5 },
		{ START, OPEN, .path = "f", .flags = O_RDONLY, .gives = 2 }, { START, WRITE, 2, 5 },
		{ START, OPEN, .path = "f", .flags = O_DIRECTORY } } },
	{ "a file that has lost its name", A_FILE, .steady = true,
	  .may = "0 (all|some) (all|some) dir ENOENT", .steps = {
		{ START, UNLINK, .path = "f" }, { START, READ, 0, 10 },
		{ START, WRITE, 0, 5 }, { START, STATX, .path = "", .flags = AT_EMPTY_PATH },
		{ START, OPEN, .path = "f" } } },
	{ "a directory is no file", A_DIRECTORY, .steady = true,
	  .may = "fd EISDIR EBADF EISDIR EISDIR 0", .steps = {
		{ START, OPEN, .path = "d", .gives = 1 }, { START, READ, 1, 5 },
		{ START, WRITE, 1, 5 }, { START, OPEN, .path = "d", .flags = O_RDWR },
		{ START, OPEN, .path = "d", .flags = O_CREAT }, { START, FSYNC, 1 } } },
	{ "a directory goes", A_DIRECTORY, .steady = true,
	  .may = "EISDIR ENOTEMPTY ENOTDIR 0 0 ENOENT", .steps = {
		{ START, UNLINK, .path = "d" },
		{ START, UNLINK, .path = "d", .flags = AT_REMOVEDIR },
		{ START, UNLINK, .path = "f", .flags = AT_REMOVEDIR },
		{ START, UNLINK, .path = "d/x" },
		{ START, UNLINK, .path = "d", .flags = AT_REMOVEDIR },
		{ START, STATX, .path = "d/x" } } },
	{ "below a directory's descriptor", A_DIRECTORY, .steady = true,
	  .may = "fd fd 10 0 0 ENOTEMPTY", .steps = {
		{ START, OPEN, .path = "d", .flags = O_DIRECTORY, .gives = 1 },
		{ START, OPEN, 1, .path = "x" }, { START, STATX, 1, .path = "x" },
		{ START, MKDIR, 1, .path = "e" }, { START, RENAME, 1, .path = "x", .to = "e/x" },
		{ START, UNLINK, 1, .path = "e", .flags = AT_REMOVEDIR } } },
	{ "below what is no directory", A_DIRECTORY, .steady = true,
	  .may = "fd ENOTDIR ENOTDIR ENOTDIR ENOTDIR ENOTDIR", .steps = {
		{ START, OPEN, .path = "f", .gives = 1 }, { START, OPEN, 1, .path = "x" },
		{ START, OPEN, .path = "f/x" }, { START, MKDIR, .path = "f/x" },
		{ START, STATX, .path = "f/x" }, { START, RENAME, .path = "d/x", .to = "f/x" } } },
	{ "below a directory that is gone", BARE, .steady = true,
	  .may = "0 fd 0 ENOENT ENOENT", .steps = {
		{ START, MKDIR, .path = "d" }, { START, OPEN, .path = "d", .gives = 1 },
		{ START, UNLINK, .path = "d", .flags = AT_REMOVEDIR },
		{ START, OPEN, 1, .path = "x", .flags = O_CREAT },
		{ START, MKDIR, 1, .path = "x" } } },
	{ "a file takes another's name", A_DIRECTORY, .steady = true,
	  .may = "EEXIST 0 EISDIR ENOTDIR 0 ENOENT", .steps = {
		{ START, RENAME, .path = "f", .to = "d/x", .flags = RENAME_NOREPLACE },
		{ START, RENAME, .path = "f", .to = "f" },
		{ START, RENAME, .path = "f", .to = "d" },
		{ START, RENAME, .path = "d", .to = "f" },
		{ START, RENAME, .path = "f", .to = "d/x" },
		{ START, STATX, .path = "f" } } },
	{ "a directory takes another's name", A_DIRECTORY, .steady = true,
	  .may = "0 EEXIST ENOTEMPTY 0 0 ENOENT", .steps = {
		{ START, MKDIR, .path = "e" }, { START, MKDIR, .path = "d" },
		{ START, RENAME, .path = "e", .to = "d" }, { START, UNLINK, .path = "d/x" },
		{ START, RENAME, .path = "e", .to = "d" },
		{ START, STATX, .path = "e" } } },
	{ "into itself", A_DIRECTORY, .steady = true,
	  .may = "EINVAL ENOTEMPTY ENOENT", .steps = {
		{ START, RENAME, .path = "d", .to = "d/e" },
		{ START, RENAME, .path = "d/x", .to = "d" },
		{ START, RENAME, .path = "f", .to = "e/f" } } },
	{ "slashes at the end", A_DIRECTORY, .steady = true,
	  .may = "ENOTDIR fd 0 ENOTDIR ENOTDIR 0", .steps = {
		{ START, OPEN, .path = "f/" }, { START, OPEN, .path = "d/" },
		{ START, MKDIR, .path = "e/" }, { START, STATX, .path = "f/" },
		{ START, UNLINK, .path = "f/" },
		{ START, UNLINK, .path = "e/", .flags = AT_REMOVEDIR } } },
	{ "doubled slashes", A_DIRECTORY, .steady = true,
	  .may = "fd 0 dir", .steps = {
		{ START, OPEN, .path = "d//x" }, { START, MKDIR, .path = "d//e" },
		{ START, STATX, .path = "d/e" } } },
	{ "a directory takes along what is below it", A_DIRECTORY, .steady = true,
	  .may = "0 10 ENOENT 0 0 0", .steps = {
		{ START, RENAME, .path = "d", .to = "e" }, { START, STATX, .path = "e/x" },
		{ START, STATX, .path = "d/x" }, { START, MKDIR, .path = "d" },
		{ START, RENAME, .path = "e/x", .to = "d/x" },
		{ START, RENAME, .path = "e", .to = "d/e" } } },
	{ "a directory that is open takes another name", A_DIRECTORY, .steady = true,
	  .may = "fd 0 fd dir 0 10", .steps = {
		{ START, OPEN, .path = "d", .gives = 1 },
		{ START, RENAME, .path = "d", .to = "e" }, { START, OPEN, 1, .path = "x" },
		{ START, STATX, 1, .path = ".." }, { START, RENAME, 1, .path = "x", .to = "../g" },
		{ START, STATX, .path = "g" } } },
	{ "a directory takes the place of one", A_DIRECTORY, .steady = true,
	  .may = "0 0 10 0 ENOTEMPTY 0", .steps = {
		{ START, MKDIR, .path = "e" }, { START, RENAME, .path = "d", .to = "e" },
		{ START, STATX, .path = "e/x" }, { START, MKDIR, .path = "d" },
		{ START, RENAME, .path = "d", .to = "e" },
		{ START, RENAME, .path = "e", .to = "d" } } },
	{ "deeper into itself", A_DIRECTORY, .steady = true,
	  .may = "0 EINVAL ENOTEMPTY 0 0 10", .steps = {
		{ START, MKDIR, .path = "d/e" }, { START, RENAME, .path = "d", .to = "d/e/d" },
		{ START, RENAME, .path = "d/e", .to = "d" },
		{ START, RENAME, .path = "d/e", .to = "e" },
		{ START, RENAME, .path = "d", .to = "e/d" },
		{ START, STATX, .path = "e/d/x" } } },
	{ "dots", A_DIRECTORY, .steady = true,
	  .may = "dir dir 10 fd ENOTDIR ENOENT", .steps = {
		{ START, STATX, .path = "." }, { START, STATX, .path = "d/.." },
		{ START, STATX, .path = "./d/./x" }, { START, OPEN, .path = "d/../f", .gives = 1 },
		{ START, STATX, .path = "f/." }, { START, STATX, .path = "x/.." } } },
	{ "dots behind what is no directory", A_DIRECTORY, .steady = true,
	  .may = "ENOTDIR ENOTDIR ENOENT ENOTDIR dir fd", .steps = {
		{ START, OPEN, .path = "f/.." }, { START, OPEN, .path = "f/../f" },
		{ START, MKDIR, .path = "x/../e" }, { START, UNLINK, .path = "f/./f" },
		{ START, STATX, .path = "d/./" }, { START, OPEN, .path = ".//d/../d/x" } } },
	{ "names that are dots", A_DIRECTORY, .steady = true,
	  .may = "EEXIST EEXIST EISDIR EINVAL ENOTEMPTY EBUSY", .steps = {
		{ START, MKDIR, .path = "." }, { START, MKDIR, .path = "d/.." },
		{ START, UNLINK, .path = "." },
		{ START, UNLINK, .path = "d/.", .flags = AT_REMOVEDIR },
		{ START, UNLINK, .path = "d/..", .flags = AT_REMOVEDIR },
		{ START, RENAME, .path = "d/.", .to = "e" } } },
	{ "new names that are dots", A_DIRECTORY, .steady = true,
	  .may = "EBUSY EEXIST ENOENT EISDIR EISDIR EEXIST", .steps = {
		{ START, RENAME, .path = "f", .to = "d/.." },
		{ START, RENAME, .path = "f", .to = "d/.", .flags = RENAME_NOREPLACE },
		{ START, RENAME, .path = "f", .to = "x/." },
		{ START, OPEN, .path = ".", .flags = O_CREAT },
		{ START, OPEN, .path = "d/", .flags = O_CREAT | O_EXCL },
		{ START, OPEN, .path = "d/.", .flags = O_CREAT | O_EXCL } } },
	{ "three dots are a name", BARE, .steady = true,
	  .may = "0 0 dir ENOENT ENOTEMPTY 0", .steps = {
		{ START, MKDIR, .path = "..." }, { START, MKDIR, .path = ".../.e" },
		{ START, STATX, .path = ".../.e/.././.e" }, { START, STATX, .path = ".e" },
		{ START, UNLINK, .path = "...", .flags = AT_REMOVEDIR },
		{ START, UNLINK, .path = ".../.e", .flags = AT_REMOVEDIR } } },
	{ "slashes behind what is no directory", A_DIRECTORY, .steady = true,
	  .may = "EEXIST EISDIR ENOENT EISDIR ENOTDIR ENOTDIR", .steps = {
		{ START, MKDIR, .path = "f/" }, { START, OPEN, .path = "g/", .flags = O_CREAT },
		{ START, UNLINK, .path = "g/" }, { START, UNLINK, .path = "d/" },
		{ START, RENAME, .path = "f/", .to = "g" },
		{ START, RENAME, .path = "f", .to = "g/" } } },
	{ "slashes behind what is renamed", A_DIRECTORY, .steady = true,
	  .may = "0 ENOTDIR ENOTDIR EINVAL ENOTEMPTY ENOENT", .steps = {
		{ START, RENAME, .path = "d/", .to = "e//" },
		{ START, RENAME, .path = "f", .to = "e/" },
		{ START, RENAME, .path = "e", .to = "f/" },
		{ START, RENAME, .path = "e/", .to = "e/e/" },
		{ START, RENAME, .path = "e/x", .to = "e" },
		{ START, RENAME, .path = "g/", .to = "f/" } } },
	{ "what is open has lost its name", BARE, .steady = true,
	  .may = "0 fd 0 dir dir fd", .steps = {
		{ START, MKDIR, .path = "d" }, { START, OPEN, .path = "d", .gives = 1 },
		{ START, UNLINK, .path = "d", .flags = AT_REMOVEDIR },
		{ START, STATX, 1, .path = "." }, { START, STATX, 1, .path = ".." },
		{ START, OPEN, 1, .path = ".." } } },
	{ "into a directory that is gone", A_FILE, .steady = true,
	  .may = "0 fd 0 ENOENT EEXIST ENOENT", .steps = {
		{ START, MKDIR, .path = "d" }, { START, OPEN, .path = "d", .gives = 1 },
		{ START, UNLINK, .path = "d", .flags = AT_REMOVEDIR },
		{ START, RENAME, 1, .path = "../f", .to = "x" }, { START, MKDIR, 1, .path = "." },
		{ START, STATX, 1, .path = "x" } } },
	{ "names that are long", A_DIRECTORY, .steady = true,
	  .may = "ENOENT ENAMETOOLONG ENAMETOOLONG ENOTDIR ENOENT dir", .steps = {
		{ START, OPEN, .path = long_name + 1 }, { START, OPEN, .path = long_name },
		{ START, MKDIR, .path = long_path }, { START, STATX, .path = "f/x" },
		{ START, RENAME, .path = "", .to = long_path },
		{ START, STATX, .path = long_path + 1 } } },
	{ "flags that are none", A_DIRECTORY, .steady = true,
	  .may = "EINVAL EINVAL EISDIR EINVAL", .steps = {
		{ START, UNLINK, .path = "f", .flags = 1 },
		{ START, RENAME, .path = "f", .to = "g", .flags = 1 << 20 },
		{ START, OPEN, .path = "d", .flags = O_RDONLY | O_TRUNC },
		{ START, UNLINK, .path = "f", .flags = AT_REMOVEDIR | 1 } } },
	{ "no descriptor, and nothing is changed", A_FILE, .steady = true,
	  .may = "EMFILE EMFILE EMFILE ENOENT 10 fd", .steps = {
		{ FILES }, { START, OPEN, .path = "g", .flags = O_CREAT },
		{ START, OPEN, .path = "f", .flags = O_RDWR | O_TRUNC },
		{ START, OPEN, .path = "f/g" }, { FILES, .n = 1 }, { START, STATX, .path = "g" },
		{ START, STATX, .path = "f" }, { START, OPEN, .path = "f" } } },
	{ "sockets that are not", BARE, .steady = true,
	  .may = "EAFNOSUPPORT ESOCKTNOSUPPORT EINVAL", .steps = {
		{ START, SOCKET, .n = 63, .flags = SOCK_STREAM },
		{ START, SOCKET, .n = AF_UNIX, .flags = SOCK_RDM },
		{ START, SOCKET, .n = AF_UNIX, .flags = 13 } } },
	{ "descriptors that are not", BARE, .steady = true,
	  .may = "EBADF EBADF EBADF EBADF EBADF EBADF", .steps = {
		{ START, READ, 1, 1 }, { START, CLOSE, 1 }, { START, OPEN, 1, .path = "f" },
		{ START, FSYNC, 1 }, { START, RECV, 1, 1 }, { START, STATX, 1, .path = "f" } } },
};

/* Each is too long by one. */
START_TEST(paths_are_as_on_linux)
{
	memset(long_name, 'f', sizeof long_name - 1);
	memset(long_path, '/', sizeof long_path - 1);
	COMPARE(paths);
}
END_TEST

static const struct script clocks[] = {
	{ "a timer is read in time", A_TIMER, .trouble = WEIR_SIM_JUMPS,
	  .may = "(1|more)", .steps = { { START, COUNT, 0 } } },
	{ "a timer is read late", A_TIMER,
	  .may = "more", .steps = {
		{ SLEEP, .n = 6 }, { START, COUNT, 0 } } },
	{ "a read of a timer is cancelled", A_SLOW_TIMER,
	  .may = "ECANCELED", .steps = {
		{ START, COUNT, 0 }, { CANCEL, .on = 0 } } },
	{ "a timer is closed behind the back of its read", A_TIMER,
	  .may = "(EBADF|1|more)", .steps = {
		{ START, COUNT, 0 }, { BEHIND, .on = 0 } } },
	{ "a timer is read into too little", A_TIMER,
	  .may = "EINVAL", .steps = { { START, READ, 0, 4 } } },
	{ "a timer is no file", A_TIMER,
	  .may = "EINVAL EINVAL ENOTSOCK", .steps = {
		{ START, WRITE, 0, 8 }, { START, FSYNC, 0 }, { START, RECV, 0, 8 } } },
};

START_TEST(timers_are_as_on_linux)
{
	COMPARE(clocks);
}
END_TEST

/* One read takes all that was written, however often; of a semaphore, one. */
static const struct script eventfds[] = {
	{ "writes to an eventfd are one to who reads", AN_EVENTFD,
	  .may = "all all more ECANCELED", .steps = {
		{ START, WRITE, 0, 8 }, { START, WRITE, 0, 8 }, { END, .on = 0 }, { END, .on = 1 },
		{ START, COUNT, 0 }, { END, .on = 2 }, { START, COUNT, 0 }, { CANCEL, .on = 3 } } },
	{ "a read of an eventfd is cancelled as it is written to", AN_EVENTFD,
	  .may = "(ECANCELED all (more|ECANCELED)|more all ECANCELED)", .steps = {
		{ START, COUNT, 0 }, { START, WRITE, 0, 8 }, { CANCEL, .on = 0 },
		{ END, .on = 0 }, { END, .on = 1 }, { START, COUNT, 0 }, { CANCEL, .on = 2 } } },
	{ "a semaphore gives one at a time", A_SEMAPHORE,
	  .may = "1 1 ECANCELED", .steps = {
		{ START, COUNT, 0 }, { END, .on = 0 }, { START, COUNT, 0 }, { END, .on = 1 },
		{ START, COUNT, 0 }, { CANCEL, .on = 2 } } },
};

START_TEST(eventfds_are_as_on_linux)
{
	COMPARE(eventfds);
}
END_TEST

TESTS("conform", pipes_are_as_on_linux, socket_pairs_are_as_on_linux, connections_are_as_on_linux,
      backlogs_are_as_on_linux, listeners_are_as_on_linux, listeners_for_tcp_are_as_on_linux,
      files_are_as_on_linux, paths_are_as_on_linux, timers_are_as_on_linux,
      eventfds_are_as_on_linux)
