/* SPDX-License-Identifier: MIT */
/*
 * sim_node.h - what descriptors of the simulated kernel stand for: sim_node.c has the table of
 * them, and timers; sim_file.c files and directories; sim_stream.c pipes and sockets.
 *
 * A node lives as long as a descriptor, a name, a file in it or a connection refers to it.
 */
#ifndef WEIR_KERNEL_SIM_NODE_H
#define WEIR_KERNEL_SIM_NODE_H

#include <sys/socket.h>

#include "kernel/sim.h"

/* Bytes on their way from a writer to a reader. */
struct sim_stream {
	char *data;
	size_t size; /* of data, which grows up to room */
	size_t room, at, len;
	bool no_writer, no_reader;
	bool hushed; /* the reader of a connection will hear no more; whoever writes cannot tell */
	bool reset; /* the writer closed with bytes of ours unread */
};

struct sim_socket {
	int domain;
	struct sockaddr_storage addr;
	socklen_t len; /* 0: not bound */
	socklen_t told; /* of addr, in a queue: then it is the peer's */
	bool connected, listens;
	bool shut; /* for sending, by us */
	bool refused; /* the peer is gone, and we know */
	struct sim_node *peer; /* NULL: not yet, or gone */
	struct sim_stream in;
	unsigned backlog, queued;
	struct weir_list queue; /* of a listener: connections, by in_queue */
	struct weir_list in_queue;
};

struct statx;

struct sim_node {
	struct weir_list link; /* in sim->nodes */
	enum { SIM_FILE,
	       SIM_DIR,
	       SIM_PIPE,
	       SIM_SOCKET,
	       SIM_TIMER } kind;
	unsigned refs;
	union {
		struct {
			char *name; /* in its parent; NULL: unlinked */
			struct sim_node *parent; /* NULL: the root's */
			char *data;
			size_t len, room;
			unsigned mode;
		} file;
		struct {
			uint64_t due, period;
		} timer;
		struct sim_stream pipe;
		struct sim_socket socket;
	} u;
};

/* An open file description: of a descriptor, and of each operation on it. */
struct sim_desc {
	struct sim_node *node;
	unsigned refs;
	uint64_t at;
	int flags; /* O_RDONLY, O_WRONLY, O_RDWR, O_APPEND; O_NONBLOCK */
};

/* NULL: not a descriptor of ours. */
struct sim_desc *weir_sim_desc_(const struct sim *s, int fd);
/* A descriptor for node, which is referred to once more.  Results: it; -EMFILE, -ENFILE,
 * -ENOMEM. */
int weir_sim_open_(struct sim *s, struct sim_node *node, int flags);

/* With one reference, the caller's.  NULL: no memory. */
struct sim_node *weir_sim_node_new_(struct sim *s, int kind);
void weir_sim_node_unref_(struct sim_node *node);

static inline bool sim_is_file(const struct sim_node *n)
{
	return n->kind == SIM_FILE || n->kind == SIM_DIR;
}

/* What a descriptor of Linux's is. */
int weir_sim_foreign_statx_(int fd, struct statx *st);

/* ---- sim_file.c ---- */

/* An operation on names: its result. */
int weir_sim_name_(struct sim *s, const struct io_uring_sqe *sqe);
/* One on a file that is open. */
int weir_sim_file_do_(struct sim_desc *d, const struct io_uring_sqe *sqe);
/* A file's node goes. */
void weir_sim_file_fini_(struct sim_node *n);

/* ---- sim_stream.c; by the names of the calls ---- */

/* POLLIN, POLLOUT, POLLHUP as poll(2) has them. */
unsigned weir_sim_stream_ready_(const struct sim_desc *d);
bool weir_sim_stream_can_(struct sim *s, const struct sim_desc *d, const struct io_uring_sqe *sqe);
/* True: a recv that waits for all its bytes, of which some are there. */
bool weir_sim_stream_has_some_(const struct sim_desc *d, const struct io_uring_sqe *sqe);
int weir_sim_stream_do_(struct sim *s, const struct sim_desc *d, const struct io_uring_sqe *sqe);
int weir_sim_socket_(struct sim *s, int domain, int type);
int weir_sim_bind_(struct sim *s, struct sim_node *n, const struct sockaddr *addr, socklen_t len);
int weir_sim_listen_(struct sim *s, struct sim_node *n, int backlog);
int weir_sim_pipe_(struct sim *s, int fds[2]);
int weir_sim_pair_(struct sim *s, int fds[2]);
/* The descriptor d of a pipe or socket is being closed. */
void weir_sim_stream_close_(struct sim_desc *d);
/* Its node goes. */
void weir_sim_stream_fini_(struct sim_node *n);

#endif
