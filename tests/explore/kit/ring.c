/* SPDX-License-Identifier: MIT */
/*
 * ring.c - a ring in user space, as far as weir sleeps and wakes by one: reads and polls of
 * eventfds and timerfds, their cancel, and task work.
 *
 * What a write makes ready is not completed there but by the ring's own thread, as task work.  As
 * in Linux: the writer first adds the work, then sets IORING_SQ_TASKRUN, then calls the thread; one
 * that finds work there already does neither.  With IORING_SETUP_DEFER_TASKRUN the work is done
 * when the thread enters the ring to get events.  Without, once it is called, at the end of any
 * system call of that thread, or at an interrupt, which is at any time; and that is when the
 * registered eventfd is signalled, and the flag taken back last.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>

#include "explore.h"
#include "kernel.h"
#include "points.h"

#define RINGS_MAX	4
#define REQUESTS_MAX	32
#define SQ_MAX		128u
#define CQ_MAX		256u

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *p);
void __wrap_io_uring_queue_exit(struct io_uring *ring);
int __wrap_io_uring_ring_dontfork(struct io_uring *ring);
int __wrap_io_uring_register_iowq_max_workers(struct io_uring *ring, unsigned *values);
int __wrap_io_uring_register_eventfd(struct io_uring *ring, int fd);
int __wrap_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned n);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_get_events(struct io_uring *ring);
unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					unsigned n);

struct request {
	enum { FREE, ARMED, DUE } state;
	struct ring *ring;
	struct file *file;
	uint64_t user_data, order;
	void *to;
	bool read, multi, cancelled;
};

struct ring {
	bool used, defer;
	bool called;		/* the thread, to its task work */
	unsigned thread;
	uint64_t order;
	struct file *notify;
	unsigned sq_head, sq_tail, sq_flags, cq_head, cq_tail, cq_flags;
	struct io_uring_sqe sqes[SQ_MAX];
	struct io_uring_cqe cqes[CQ_MAX];
};

static struct ring rings[RINGS_MAX];
static struct request requests[REQUESTS_MAX];

/* Of all that is shared with the kernel, these change while the thread looks on. */
void explore_atomic(const volatile void *p, const char *function)
{
	const char *c = (const char *)p;

	if (c >= (const char *)rings && c < (const char *)(rings + RINGS_MAX)) {
		const struct ring *r = &rings[(size_t)(c - (const char *)rings) / sizeof *r];

		if (!explore_conf_ring() || (p != &r->sq_flags && p != &r->cq_tail))
			return;
	}
	explore_point(function);
}

/* ---- completions ---- */

static void post(struct ring *r, uint64_t user_data, int res, uint32_t flags)
{
	if (r->cq_tail - r->cq_head == CQ_MAX)
		explore_fail("the completion queue overflows");
	r->cqes[r->cq_tail % CQ_MAX] =
		(struct io_uring_cqe){ .user_data = user_data, .res = res, .flags = flags };
	r->cq_tail++;
	if (r->notify && !(r->cq_flags & IORING_CQ_EVENTFD_DISABLED))
		r->notify->count++;
}

static void end(struct request *q, int res)
{
	post(q->ring, q->user_data, res, 0);
	q->state = FREE;
	file_unref(q->file);
}

/* Someone else may have been faster.  A poll that goes on tells of what has been written since it
 * told last. */
static void try(struct request *q)
{
	if (!q->file->count) {
		q->state = ARMED;
	} else if (q->read) {
		*(uint64_t *)q->to = file_take(q->file);
		end(q, sizeof(uint64_t));
	} else if (q->multi) {
		q->state = ARMED;
		post(q->ring, q->user_data, POLLIN, IORING_CQE_F_MORE);
	} else {
		end(q, POLLIN);
	}
}

/* ---- task work ---- */

static struct request *first_due(const struct ring *r)
{
	struct request *q, *first = NULL;

	for (q = requests; q < requests + REQUESTS_MAX; q++)
		if (q->ring == r && q->state == DUE && (!first || q->order < first->order))
			first = q;
	return first;
}

static void do_work(struct ring *r)
{
	struct request *q;

	r->called = false;
	while ((q = first_due(r))) {
		if (q->cancelled)
			end(q, -ECANCELED);
		else
			try(q);
	}
}

static void take_flag_back(struct ring *r)
{
	r->sq_flags &= ~IORING_SQ_TASKRUN;
}

/* In the ring's thread, inside a system call. */
static void work(struct ring *r)
{
	if (r->defer) {
		take_flag_back(r);
		do_work(r);
	} else if (r->called) {
		do_work(r);
		explore_point("in the kernel: has done its task work");
		take_flag_back(r);
	}
}

static void make_due(struct request *q)
{
	q->state = DUE;
	q->order = q->ring->order++;
}

static void add_work(struct request *q, bool in_thread)
{
	struct ring *r = q->ring;
	bool first = !first_due(r);

	make_due(q);
	if (!first)
		return;
	if (in_thread)
		explore_point("in the kernel: has added task work");
	r->sq_flags |= IORING_SQ_TASKRUN;
	if (in_thread)
		explore_point("in the kernel: has flagged task work");
	r->called = true;
}

void ring_notify(struct file *f, bool in_thread)
{
	struct request *q;

	for (q = requests; q < requests + REQUESTS_MAX; q++)
		if (q->state == ARMED && q->file == f && f->count)
			add_work(q, in_thread);
}

static struct ring *called(bool by_me)
{
	struct ring *r;

	for (r = rings; r < rings + RINGS_MAX; r++)
		if (r->used && !r->defer && r->called && (!by_me || r->thread == explore_self()))
			return r;
	return NULL;
}

bool ring_calls(void)
{
	return called(true);
}

void ring_return(void)
{
	struct ring *r = called(true);

	if (r)
		work(r);
}

static bool may_work(void)
{
	return called(false);
}

static void interrupt(void)
{
	struct ring *r = called(false);

	do_work(r);
	take_flag_back(r);
}

const struct explore_event explore_work = {
	"an interrupt: task work is done", may_work, interrupt,
};

/* ---- submission ---- */

static void start(struct ring *r, const struct io_uring_sqe *sqe)
{
	struct request *q;

	for (q = requests; q < requests + REQUESTS_MAX && q->state != FREE; q++)
		;
	if (q == requests + REQUESTS_MAX)
		explore_fail("more than %d requests", REQUESTS_MAX);
	*q = (struct request){
		.ring = r, .file = file_of(sqe->fd), .user_data = sqe->user_data,
		.to = (void *)(uintptr_t)sqe->addr, .read = sqe->opcode == IORING_OP_READ,
		.multi = sqe->opcode == IORING_OP_POLL_ADD && sqe->len & IORING_POLL_ADD_MULTI,
	};
	q->file->refs++;
	try(q);
}

/* What is due already ends as it would have or as cancelled; what goes on is always found. */
static void cancel(struct ring *r, const struct io_uring_sqe *sqe)
{
	struct request *q;

	for (q = requests; q < requests + REQUESTS_MAX; q++)
		if (q->state != FREE && q->ring == r && q->user_data == sqe->addr)
			break;
	if (q == requests + REQUESTS_MAX) {
		post(r, sqe->user_data, -ENOENT, 0);
	} else if (q->state == DUE && !q->multi &&
		   explore_choose(2, "the request is faster than its cancel")) {
		post(r, sqe->user_data, -EALREADY, 0);
	} else {
		q->cancelled = true;
		if (q->state == ARMED)
			add_work(q, false);
	}
}

static int submit(struct io_uring *ring, struct ring *r)
{
	int n = 0;

	for (; ring->sq.sqe_head != ring->sq.sqe_tail; n++) {
		const struct io_uring_sqe *sqe = &r->sqes[ring->sq.sqe_head++ % SQ_MAX];

		switch (sqe->opcode) {
		case IORING_OP_READ:
		case IORING_OP_POLL_ADD:
			start(r, sqe);
			break;
		case IORING_OP_ASYNC_CANCEL:
			cancel(r, sqe);
			break;
		default:
			explore_fail("opcode %d is not the explorer's", sqe->opcode);
		}
	}
	r->sq_head = r->sq_tail = ring->sq.sqe_tail;
	return n;
}

bool ring_has_events(const struct ring *r)
{
	return r->cq_tail != r->cq_head || (r->defer ? first_due(r) != NULL : r->called);
}

static bool has_events(void *on)
{
	return ring_has_events(on);
}

static struct ring *ring_of(const struct io_uring *ring)
{
	return file_of(ring->ring_fd)->ring;
}

static int enter(struct io_uring *ring, bool get, bool wait)
{
	struct ring *r = ring_of(ring);
	int n;

	if (r->thread != explore_self())
		explore_fail("a ring is entered by a thread that is not its own");
	explore_point("enters the ring");
	n = submit(ring, r);
	if (get || !r->defer)
		work(r);
	while (wait && r->cq_tail == r->cq_head) {
		explore_wait(has_events, r, "sleeps in the ring");
		work(r);
	}
	return n;
}

int __wrap_io_uring_submit(struct io_uring *ring)
{
	return enter(ring, false, false);
}

int __wrap_io_uring_submit_and_wait(struct io_uring *ring, unsigned n)
{
	return enter(ring, true, n > 0);
}

int __wrap_io_uring_submit_and_get_events(struct io_uring *ring)
{
	return enter(ring, true, false);
}

int __wrap_io_uring_get_events(struct io_uring *ring)
{
	return enter(ring, true, false);
}

/* As liburing: if there is none, and a flag says so, it enters the ring once. */
unsigned __wrap_io_uring_peek_batch_cqe(struct io_uring *ring, struct io_uring_cqe **cqes,
					unsigned n)
{
	struct ring *r = ring_of(ring);
	unsigned i;

	if (r->cq_tail == r->cq_head && r->sq_flags & IORING_SQ_TASKRUN)
		enter(ring, true, false);
	for (i = 0; i < n && r->cq_head + i != r->cq_tail; i++)
		cqes[i] = &r->cqes[(r->cq_head + i) % CQ_MAX];
	return i;
}

/* ---- life ---- */

int __wrap_io_uring_queue_init_params(unsigned entries, struct io_uring *ring,
				      struct io_uring_params *p)
{
	struct file *f;
	struct ring *r;

	if (entries > SQ_MAX)
		return -EINVAL;
	for (r = rings; r < rings + RINGS_MAX && r->used; r++)
		;
	if (r == rings + RINGS_MAX)
		explore_fail("more than %d rings", RINGS_MAX);
	explore_take_over(r);
	memset(r, 0, sizeof *r);
	memset(ring, 0, sizeof *ring);
	ring->ring_fd = ring->enter_ring_fd = file_new(&f);
	f->kind = RING;
	f->ring = r;
	r->used = true;
	r->defer = p->flags & IORING_SETUP_DEFER_TASKRUN;
	r->thread = explore_self();
	ring->sq.khead = &r->sq_head;
	ring->sq.ktail = &r->sq_tail;
	ring->sq.kflags = &r->sq_flags;
	ring->sq.sqes = r->sqes;
	ring->sq.ring_mask = SQ_MAX - 1;
	ring->sq.ring_entries = SQ_MAX;
	ring->cq.khead = &r->cq_head;
	ring->cq.ktail = &r->cq_tail;
	ring->cq.kflags = &r->cq_flags;
	ring->cq.cqes = r->cqes;
	ring->cq.ring_mask = CQ_MAX - 1;
	ring->cq.ring_entries = CQ_MAX;
	p->features = IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS | IORING_FEAT_CQE_SKIP;
	return 0;
}

void ring_exit(struct ring *r)
{
	struct request *q;

	for (q = requests; q < requests + REQUESTS_MAX; q++)
		if (q->state != FREE && q->ring == r)
			explore_fail("a ring ends with a request in it");
	explore_hand_over(r);
	r->used = false;
}

void __wrap_io_uring_queue_exit(struct io_uring *ring)
{
	struct ring *r = ring_of(ring);

	if (r->notify)
		file_unref(r->notify);
	file_close(ring->ring_fd);
}

int __wrap_io_uring_ring_dontfork(struct io_uring *ring)
{
	(void)ring;
	return 0;
}

int __wrap_io_uring_register_iowq_max_workers(struct io_uring *ring, unsigned *values)
{
	(void)ring;
	(void)values;
	return 0;
}

int __wrap_io_uring_register_eventfd(struct io_uring *ring, int fd)
{
	struct ring *r = ring_of(ring);

	if (r->defer)
		return -EINVAL;		/* as weir never does: see uring.c */
	r->notify = file_of(fd);
	r->notify->refs++;
	return 0;
}
