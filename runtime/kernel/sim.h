/* SPDX-License-Identifier: MIT */
/*
 * sim.h - the simulated kernel's parts: sim.c, the ring, time and trouble; sim_node.c, what a
 * descriptor stands for and what an operation does to it; sim_file.c, files and their names;
 * sim_buffers.c, rings of buffers.
 */
#ifndef WEIR_KERNEL_SIM_H
#define WEIR_KERNEL_SIM_H

#include <liburing.h>

#include "kernel/backend.h"
#include "kernel/sys.h"
#include "weir/port.h"
#include "weir/sim.h"

/* An operation that the kernel has taken.  RUNS: it had its effect, or will have it come what may;
 * OVER: only its completion is still to be posted. */
struct sim_req {
	struct weir_list link;
	struct io_uring_sqe sqe;
	struct sim_desc *desc; /* what sqe.fd stood for when it was taken; NULL: nothing of ours */
	bool foreign;	       /* but a descriptor of Linux's */
	enum { SIM_WAITS,
	       SIM_RUNS,
	       SIM_OVER } state;
	int res;
	uint64_t ripe; /* not before */
	uint64_t sum;  /* of the bytes it will read */
	uint32_t flags; /* of the completion */
	unsigned missed; /* cancels that did not find it */
	const char *name; /* what it does, in words */
	bool internal; /* of the runtime itself */
};

/* Buffers that multishot receives may take. */
struct sim_group {
	const struct io_uring_buf_ring *ring; /* NULL: none */
	unsigned count;
	uint16_t head; /* the next to be taken */
};

struct sim_desc;
struct sim_node;

struct sim {
	struct weir_sim_conf conf;
	struct weir_sim_stats stats;
	uint64_t random, hash, now;
	unsigned late, cut, again, fail, jump; /* of 256 chances */

	struct weir_list reqs; /* taken and not ended, in the order of arrival */
	struct weir_list idle;
	struct sim_req *memory, **pick;
	int notify; /* the registered eventfd, or -1 */
	struct weir_msg *steps, **last_step;

	struct sim_group groups[64];

	struct weir_list nodes;
	struct sim_node *root; /* "/" */
	struct sim_desc **desc; /* by descriptor */
	size_t n_desc;
	int base;      /* what the descriptors are duplicates of */
	uint16_t port; /* the next to be given */

	void (*report)(void *arg, const char *text);
	void *report_arg;
};

extern const struct weir_sys_ops weir_sim_;

/* Results: 0; -ENOMEM, -EMFILE, -ENFILE. */
int weir_sim_new_(struct sim **s, const struct weir_sim_conf *conf,
		  void (*report)(void *arg, const char *text), void *report_arg);
void weir_sim_free_(struct sim *s);

/* The simulation behind be; NULL: there is none. */
struct sim *weir_sim_of_(struct weir_backend *be);

/* ---- luck ---- */

uint64_t weir_sim_random_(struct sim *s);

static inline bool sim_chance(struct sim *s, unsigned of_256)
{
	return of_256 && (weir_sim_random_(s) >> 32 & 255) < of_256;
}

/* 0 to n - 1. */
static inline uint64_t sim_below(struct sim *s, uint64_t n)
{
	return weir_sim_random_(s) % n;
}

__attribute__((format(printf, 2, 3))) void weir_sim_trace_(struct sim *s, const char *format, ...);

/* ---- sim_buffers.c ---- */

/* As sys.h says; now and then a kernel that is too old. */
int weir_sim_buffers_(struct sim *s, const struct io_uring_buf_ring *ring, unsigned count,
		      int group);
/* True: a receive into a buffer of a group's, many times. */
bool weir_sim_selects_(const struct io_uring_sqe *sqe);
/* Whether such a one finds no buffer, which it says at once. */
bool weir_sim_starves_(const struct sim *s, const struct sim_req *r);
/* Its effect, once: the result, and r->flags. */
int weir_sim_receive_(struct sim *s, struct sim_req *r);

/* ---- sim_node.c ---- */

/* The open file description that r is on is r's, until it lets go, whoever closes descriptors. */
void weir_sim_hold_(struct sim *s, struct sim_req *r);
void weir_sim_let_go_(struct sim_req *r);
/* Whether r could have its effect now. */
bool weir_sim_can_(struct sim *s, const struct sim_req *r);
/* Its effect: the result.  Only if it can. */
int weir_sim_do_(struct sim *s, const struct sim_req *r);
/* True: a recv or send that is told not to wait. */
bool weir_sim_impatient_(const struct io_uring_sqe *sqe);
/* True: a recv that waits for all its bytes, or the end. */
bool weir_sim_wants_all_(const struct io_uring_sqe *sqe);
/* True: such a one, of whose bytes some are there: if it is called off, they are its result. */
bool weir_sim_has_some_(const struct sim_req *r);
/* True: a poll that tells of each time anew; of an eventfd of Linux's, as weir has no other. */
bool weir_sim_goes_on_(const struct io_uring_sqe *sqe);
/* Its effect, once: the result, and r->flags.  What is told is taken, so that it is told once. */
int weir_sim_poll_on_(struct sim *s, struct sim_req *r);
/* Whether a poll that stands in for r would end at once. */
bool weir_sim_polls_ready_(const struct sim *s, const struct sim_req *r);
/* True: r is on a file or a name, which Linux may hand to a thread. */
bool weir_sim_on_file_(const struct sim_req *r);
/* Whether one more descriptor could be had.  Results: 0; -EMFILE, -ENFILE. */
int weir_sim_no_fd_(const struct sim *s);
/* What poll(2) should say of that one. */
short weir_sim_events_(const struct sim_req *r);
/* When r's timerfd expires, if it reads or polls one; else WEIR_FOREVER. */
uint64_t weir_sim_expiry_(const struct sim_req *r);

int weir_sim_timer_new_(struct sim *s);
/* Results: 0; -EBADF. */
int weir_sim_timer_set_(struct sim *s, int fd, uint64_t due, uint64_t period);
int weir_sim_close_(struct sim *s, int fd);
/* A call that does not block; see weir_sys_ops.call. */
bool weir_sim_call_(struct sim *s, struct weir_op *op);

void weir_sim_nodes_free_(struct sim *s);

/* ---- sim_file.c ---- */

/* Results: 0; -ENOMEM. */
int weir_sim_root_(struct sim *s);
/* See weir/sim.h. */
int weir_sim_file_(struct sim *s, const char *path, const void *data, size_t len);
int weir_sim_content_(const struct sim *s, const char *path, void *buf, size_t size);

#endif
