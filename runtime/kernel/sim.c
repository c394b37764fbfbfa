/* SPDX-License-Identifier: MIT */
/*
 * sim.c - the simulated kernel: its ring, its time, the trouble it makes.
 *
 * It stands where io_uring_enter(2) does, behind sys.h: takes submission entries out of a ring in
 * memory, lets operations have their effect one after the other in an order that the seed decides,
 * and posts completions, soon or late.  An operation has its effect in one step, at most once.  It
 * is posted once, or not at all if the ring goes first.  Nothing happens but in a call of the
 * loop's thread, and nothing depends on addresses or real time.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/alloc.h"
#include "kernel/sim.h"
#include "kernel/uring.h"

#define START		WEIR_S	/* the time at first; not 0, which is easily mistaken for "none" */
#define ALWAYS		256
#define OFTEN		192	/* what can happen happens, of 256 looks */
#define JUMP_BITS	34	/* 2^34 ns: 17 seconds */
#define MISSES_MAX	100	/* cancels in a row that do not find what they look for */
#define ERESTARTSYS	(-512)	/* which is not for programs, but leaks out of Linux */

static struct sim *sim_of(const struct uring *u)
{
	return u->world;
}

/* ---- luck ---- */

uint64_t weir_sim_random_(struct sim *s) /* splitmix64 */
{
	uint64_t z = s->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* How much of a trouble this seed makes: seeds that differ in that find more than a mean does. */
static unsigned amount(struct sim *s, unsigned trouble)
{
	static const unsigned of_256[] = { 0, 4, 24, 96 };
	unsigned n = of_256[sim_below(s, 4)];

	return s->conf.trouble & trouble ? n : 0;
}

/* ---- what is told ---- */

static void mix(struct sim *s, uint64_t x)
{
	s->hash = (s->hash ^ x) * 0x100000001b3;
	s->hash ^= s->hash >> 29;
}

void weir_sim_trace_(struct sim *s, const char *format, ...)
{
	char line[256];
	va_list args;
	int n;

	if (!s->conf.trace)
		return;
	n = snprintf(line, sizeof line, "%12.6f ms  ", (double)(s->now - START) / 1e6);
	va_start(args, format);
	vsnprintf(line + n, sizeof line - (size_t)n, format, args);
	va_end(args);
	s->conf.trace(s->conf.trace_arg, line);
}

/* ---- the ring ---- */

struct ring_memory {
	unsigned sq_head, sq_tail, sq_mask, sq_entries, sq_flags, sq_dropped;
	unsigned cq_head, cq_tail, cq_mask, cq_entries, cq_flags, cq_overflow;
};

static unsigned power_of_2(unsigned n)
{
	unsigned p = 1;

	while (p < n)
		p *= 2;
	return p;
}

static size_t up_to_64(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

static void ring_fill(struct io_uring *ring, char *block, unsigned sq, unsigned cq)
{
	struct ring_memory *m = (struct ring_memory *)block;
	size_t array = up_to_64(sizeof *m), sqes = array + up_to_64(sq * sizeof *ring->sq.array),
	       cqes = sqes + sq * sizeof *ring->sq.sqes;

	memset(ring, 0, sizeof *ring);
	ring->ring_fd = -1;
	*m = (struct ring_memory){
		.sq_mask = sq - 1, .sq_entries = sq, .cq_mask = cq - 1, .cq_entries = cq,
	};
	ring->sq = (struct io_uring_sq){
		.khead = &m->sq_head,
		.ktail = &m->sq_tail,
		.kring_mask = &m->sq_mask,
		.kring_entries = &m->sq_entries,
		.kflags = &m->sq_flags,
		.kdropped = &m->sq_dropped,
		.array = (unsigned *)(void *)(block + array),
		.sqes = (struct io_uring_sqe *)(void *)(block + sqes),
		.ring_ptr = block,
		.ring_mask = sq - 1,
		.ring_entries = sq,
	};
	ring->cq = (struct io_uring_cq){
		.khead = &m->cq_head,
		.ktail = &m->cq_tail,
		.kring_mask = &m->cq_mask,
		.kring_entries = &m->cq_entries,
		.kflags = &m->cq_flags,
		.koverflow = &m->cq_overflow,
		.cqes = (struct io_uring_cqe *)(void *)(block + cqes),
		.ring_mask = cq - 1,
		.ring_entries = cq,
	};
}

/* As many requests as completions: the ring's user never has more under way. */
static int reqs_new(struct sim *s, unsigned n)
{
	unsigned i;

	if (s->pick)
		return 0; /* a second ring, for a host; of the same size */
	s->memory = weir_zalloc_(n, sizeof *s->memory);
	s->pick = weir_zalloc_(n, sizeof *s->pick);
	if (!s->memory || !s->pick) {
		weir_free_(s->memory);
		weir_free_(s->pick);
		s->memory = NULL;
		s->pick = NULL;
		return -ENOMEM; /* whoever asked may ask again */
	}
	for (i = 0; i < n; i++)
		weir_list_append_(&s->idle, &s->memory[i].link);
	return 0;
}

static int sim_ring_init(struct uring *u, struct io_uring *ring, unsigned entries,
			 struct io_uring_params *p)
{
	struct sim *s = sim_of(u);
	unsigned sq = power_of_2(entries), cq = power_of_2(p->cq_entries);
	char *block;

	if (p->flags & IORING_SETUP_DEFER_TASKRUN && sim_chance(s, s->again))
		return -EINVAL; /* a kernel that is too old for it */
	if (reqs_new(s, cq) < 0)
		return -ENOMEM;
	block = weir_zalloc_(1, up_to_64(sizeof(struct ring_memory)) +
				     up_to_64(sq * sizeof *ring->sq.array) +
				     sq * sizeof *ring->sq.sqes + cq * sizeof *ring->cq.cqes);
	if (!block)
		return -ENOMEM;
	ring_fill(ring, block, sq, cq);
	p->features = IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS | IORING_FEAT_CQE_SKIP;
	return 0;
}

static void sim_ring_exit(struct uring *u, struct io_uring *ring)
{
	(void)u;
	weir_free_(ring->sq.ring_ptr);
}

static void post(struct sim *s, struct io_uring *ring, uint64_t user_data, int res, uint32_t flags)
{
	unsigned tail = *ring->cq.ktail;

	if (tail - *ring->cq.khead > ring->cq.ring_mask) { /* see uring_ops.c: never */
		*ring->sq.kflags |= IORING_SQ_CQ_OVERFLOW;
		return;
	}
	ring->cq.cqes[tail & ring->cq.ring_mask] =
		(struct io_uring_cqe){ .user_data = user_data, .res = res, .flags = flags };
	*ring->cq.ktail = tail + 1;
	if (s->notify >= 0 && !(*ring->cq.kflags & IORING_CQ_EVENTFD_DISABLED))
		eventfd_write(s->notify, 1);
}

/* ---- the memory of an operation ---- */

static bool fills(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_READ || sqe->opcode == IORING_OP_RECV;
}

static bool reads(const struct io_uring_sqe *sqe)
{
	return sqe->opcode == IORING_OP_WRITE || sqe->opcode == IORING_OP_SEND;
}

static uint64_t sum(const struct io_uring_sqe *sqe)
{
	const unsigned char *p = (const unsigned char *)(uintptr_t)sqe->addr;
	size_t i, n = reads(sqe) ? sqe->len : 0;
	uint64_t h = sqe->len;

	for (i = 0; i < n; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h;
}

static void scribble(struct sim *s, const struct io_uring_sqe *sqe)
{
	if (weir_sim_selects_(sqe))
		return;
	if (fills(sqe))
		memset((void *)(uintptr_t)sqe->addr, (int)(weir_sim_random_(s) & 255), sqe->len);
	else if (sqe->opcode == IORING_OP_STATX)
		memset((void *)(uintptr_t)sqe->off, 0xa5, sizeof(struct statx));
}

static void check_untouched(struct sim *s, const struct sim_req *r)
{
	char line[128];

	if (sum(&r->sqe) == r->sum)
		return;
	s->stats.touched++;
	snprintf(line, sizeof line, "weir: sim: a buffer of %u bytes was changed while the kernel "
				    "had it, to send or write it to descriptor %d",
		 r->sqe.len, r->sqe.fd);
	if (s->report)
		s->report(s->report_arg, line);
}

/* ---- trouble ---- */

/* A call that is told to try again is tried again by the backend. */
static bool may_retry(const struct io_uring_sqe *sqe)
{
	return fills(sqe) || reads(sqe) || sqe->opcode == IORING_OP_ACCEPT;
}

/* What Linux may answer instead of doing it. */
static int error(struct sim *s, const struct io_uring_sqe *sqe)
{
	static const struct {
		uint8_t opcode;
		int16_t err[5];
	} table[] = {
		{ IORING_OP_READ, { EIO, ENOMEM } },
		{ IORING_OP_WRITE, { EIO, ENOSPC, EDQUOT, ENOMEM } },
		{ IORING_OP_RECV, { ECONNRESET, ENOMEM, ENOBUFS, ETIMEDOUT } },
		{ IORING_OP_SEND, { EPIPE, ECONNRESET, ENOMEM, ENOBUFS } },
		{ IORING_OP_ACCEPT, { EMFILE, ENFILE, ECONNABORTED, ENOMEM } },
		{ IORING_OP_CONNECT, { ECONNREFUSED, ETIMEDOUT, EADDRNOTAVAIL } },
		{ IORING_OP_OPENAT, { EMFILE, ENFILE, EACCES, ENOMEM, ENOSPC } },
		{ IORING_OP_STATX, { EACCES, ENOMEM } },
		{ IORING_OP_FSYNC, { EIO, ENOSPC } },
		{ IORING_OP_UNLINKAT, { EIO, EBUSY } },
		{ IORING_OP_RENAMEAT, { EIO, ENOSPC } },
		{ IORING_OP_MKDIRAT, { EIO, ENOSPC } },
		{ IORING_OP_SOCKET, { EMFILE, ENFILE, ENOMEM, ENOBUFS } },
	};
	size_t i, n;

	for (i = 0; i < sizeof table / sizeof *table; i++) {
		if (table[i].opcode != sqe->opcode)
			continue;
		for (n = 0; n < 5 && table[i].err[n]; n++)
			;
		return -table[i].err[sim_below(s, n)];
	}
	return 0;
}

/* Then it would be tried again at some time; who does not wait wants to know. */
static bool may_poll(const struct sim *s, const struct sim_req *r)
{
	return !weir_sim_impatient_(&r->sqe) && weir_sim_polls_ready_(s, r) &&
		(r->sqe.len || r->sqe.opcode == IORING_OP_ACCEPT);
}

/* The count of a timerfd is one thing, and so may be 8 bytes to or from a descriptor of Linux's: an
 * eventfd's. */
static bool may_cut(const struct sim_req *r)
{
	return r->sqe.len > 1 && (fills(&r->sqe) || reads(&r->sqe)) &&
		!weir_sim_wants_all_(&r->sqe) && weir_sim_expiry_(r) == WEIR_FOREVER &&
		!(r->sqe.len == sizeof(eventfd_t) && r->foreign);
}

/* Called once the effect is due. */
static int perform(struct sim *s, struct sim_req *r)
{
	struct sim_req once;
	int res;

	if (may_retry(&r->sqe) && sim_chance(s, s->again)) {
		s->stats.again++;
		return sim_below(s, 2) || !may_poll(s, r) ? -EINTR : -EAGAIN;
	}
	if (!r->internal && sim_chance(s, s->fail)) {
		res = error(s, &r->sqe);
		s->stats.failed += res < 0;
		if (res < 0)
			return res;
	}
	if (weir_sim_selects_(&r->sqe))
		return weir_sim_receive_(s, r);
	if (weir_sim_goes_on_(&r->sqe))
		return weir_sim_poll_on_(s, r);
	if (r->internal || !may_cut(r) || !sim_chance(s, s->cut))
		return weir_sim_do_(s, r);
	once = *r;
	once.sqe.len = 1 + (unsigned)sim_below(s, r->sqe.len - 1);
	s->stats.cut++;
	return weir_sim_do_(s, &once);
}

/* ---- operations ---- */

/* How many bytes; but a descriptor's number is the process's affair. */
static int what_is_told(const struct sim_req *r)
{
	return r->res < 0 || fills(&r->sqe) || reads(&r->sqe) ? r->res : r->res > 0;
}

static void tell(struct sim *s, struct uring *u, struct sim_req *r)
{
	mix(s, s->now);
	mix(s, (uint64_t)r->sqe.opcode << 32 | (uint32_t)what_is_told(r));
	mix(s, r->sum);
	weir_sim_trace_(s, "slot %-3u %s = %d", (unsigned)r->sqe.user_data, r->name, r->res);
	post(s, &u->ring, r->sqe.user_data, r->res, r->flags);
}

static void end(struct sim *s, struct uring *u, struct sim_req *r)
{
	check_untouched(s, r);
	tell(s, u, r);
	weir_sim_let_go_(r);
	s->stats.ended++;
	weir_list_remove_(&r->link);
	weir_list_append_(&s->idle, &r->link);
}

static bool ripe(struct sim *s, const struct sim_req *r)
{
	return r->state != SIM_WAITS ||
		(r->ripe <= s->now && (weir_sim_starves_(s, r) || weir_sim_can_(s, r)));
}

/* One step of one operation. */
static void step(struct sim *s, struct uring *u, struct sim_req *r)
{
	if (!ripe(s, r))
		return;
	if (r->state != SIM_OVER) {
		r->res = perform(s, r);
		if (r->flags & IORING_CQE_F_MORE) {
			tell(s, u, r);
			r->flags = 0;
			return;
		}
		r->state = SIM_OVER;
		if (sim_chance(s, ALWAYS - OFTEN))
			return; /* done; who looks does not see it yet */
	}
	end(s, u, r);
}

static const struct weir_op_def *def_of(const struct uring *u, uint64_t user_data)
{
	return u->slots[(uint32_t)user_data].op->def;
}

static void take_req(struct sim *s, struct uring *u, const struct io_uring_sqe *sqe)
{
	struct sim_req *r = weir_container_of(s->idle.next, struct sim_req, link);

	weir_list_remove_(&r->link);
	weir_list_append_(&s->reqs, &r->link);
	r->sqe = *sqe;
	weir_sim_hold_(s, r);
	r->state = SIM_WAITS;
	r->internal = def_of(u, sqe->user_data)->flags & WEIR_INTERNAL_;
	r->name = sqe->opcode == IORING_OP_POLL_ADD ? "poll" : def_of(u, sqe->user_data)->name;
	r->ripe = s->now;
	r->flags = 0;
	r->missed = 0;
	if (weir_sim_selects_(sqe))
		r->sqe.len = 1;	/* some: which, the buffer says */
	r->sum = sum(sqe);
	scribble(s, sqe);
	/* Virtual time stands still for Linux's: these would never be due. */
	if (!r->internal && !r->foreign && sim_chance(s, s->late)) {
		s->stats.late++;
		r->ripe += sim_below(s, WEIR_SIM_LATEST);
	}
	if (may_retry(sqe) && sim_chance(s, s->again) && !weir_sim_can_(s, r)) {
		s->stats.again++; /* some files answer so where others wait */
		r->state = SIM_OVER;
		r->res = -EAGAIN;
	}
	if (sqe->opcode == IORING_OP_ACCEPT && weir_sim_no_fd_(s) < 0) {
		r->state = SIM_OVER; /* Linux looks for one before it waits */
		r->res = weir_sim_no_fd_(s);
	}
	weir_sim_trace_(s, "slot %-3u %s begins: fd %d, %u bytes", (unsigned)sqe->user_data,
			r->name, sqe->fd, fills(sqe) || reads(sqe) ? sqe->len : 0);
}

/* Of an operation that a thread has begun.  The cancel finds it, or no longer, though it makes it
 * end all the same: the thread may see the mark before the other half of the search. */
static int found(struct sim *s)
{
	return sim_below(s, 4) ? -EALREADY : -ENOENT;
}

/* The cancel does not find a connect that Linux tries once more just then, see uring_ops.c. */
static bool is_missed(struct sim *s, struct sim_req *r)
{
	if (r->sqe.opcode != IORING_OP_CONNECT || r->state != SIM_WAITS ||
	    r->missed == MISSES_MAX || !sim_below(s, 4))
		return false;
	r->missed++;
	return true;
}

/* The rows of KERNEL.md's table, each where it can happen.  Result: that of the cancel. */
static int call_off(struct sim *s, struct uring *u, struct sim_req *r)
{
	if (r->state == SIM_RUNS)
		return -EALREADY;
	if (is_missed(s, r))
		return -ENOENT;
	if (r->state == SIM_WAITS && sim_below(s, 4) == 0 && ripe(s, r)) {
		r->res = perform(s, r);
		r->flags &= ~IORING_CQE_F_MORE;
		r->state = SIM_OVER;
	}
	if (r->state == SIM_WAITS && weir_sim_has_some_(r)) {
		r->res = weir_sim_do_(s, r);
		r->state = SIM_OVER;
	}
	if (r->state == SIM_OVER) {
		s->stats.raced++;
		if (sim_below(s, 2))
			end(s, u, r); /* before the completion of the cancel */
		return -ENOENT;
	}
	if (weir_sim_on_file_(r) && sim_below(s, 2)) { /* a thread of Linux's has begun it */
		s->stats.running++;
		r->state = SIM_RUNS;
		if (r->sqe.opcode == IORING_OP_OPENAT && sim_below(s, 2)) {
			r->state = SIM_OVER; /* the thread was signalled, and tells how it knows */
			r->res = sim_below(s, 2) ? -EINTR : ERESTARTSYS;
		} else if (sim_below(s, 4) == 0) {
			r->state = SIM_OVER;	/* it looks once more before it really begins */
			r->res = -ECANCELED;
		}
		return found(s);
	}
	s->stats.cancelled++;
	r->state = SIM_OVER;
	r->res = sim_below(s, 8) ? -ECANCELED : -EINTR;
	if (sim_below(s, 2))
		end(s, u, r);
	return weir_sim_on_file_(r) && sim_below(s, 4) == 0 ? -ENOENT : 0;
}

static void take_cancel(struct sim *s, struct uring *u, const struct io_uring_sqe *sqe)
{
	struct weir_list *l;
	int res = -ENOENT;

	for (l = s->reqs.next; l != &s->reqs; l = l->next) {
		struct sim_req *r = weir_container_of(l, struct sim_req, link);

		if (r->sqe.user_data != sqe->addr)
			continue;
		res = call_off(s, u, r);
		break;
	}
	mix(s, (uint64_t)(uint32_t)res);
	weir_sim_trace_(s, "slot %-3u cancel = %d", (unsigned)sqe->addr, res);
	if (res < 0 || !(sqe->flags & IOSQE_CQE_SKIP_SUCCESS))
		post(s, &u->ring, sqe->user_data, res, 0);
}

/* Of a file that has nothing to write late Linux closes the descriptor as it takes the entry. */
static void take_close(struct sim *s, struct uring *u, const struct io_uring_sqe *sqe)
{
	int res = weir_sim_close_(s, sqe->fd);

	s->stats.ended++;
	mix(s, (uint64_t)(uint32_t)res);
	weir_sim_trace_(s, "slot %-3u close of fd %d = %d", (unsigned)sqe->user_data, sqe->fd,
			res);
	post(s, &u->ring, sqe->user_data, res, 0);
}

/* Takes what has been submitted, or some of it.  Result: how many. */
static int take(struct sim *s, struct uring *u)
{
	struct io_uring_sq *sq = &u->ring.sq;
	int n = 0;

	while (sq->sqe_head != sq->sqe_tail) {
		const struct io_uring_sqe *sqe = &sq->sqes[sq->sqe_head & sq->ring_mask];

		if (sim_chance(s, s->again / 4))
			break;
		s->stats.taken += sqe->opcode != IORING_OP_ASYNC_CANCEL;
		if (sqe->opcode == IORING_OP_ASYNC_CANCEL)
			take_cancel(s, u, sqe);
		else if (sqe->opcode == IORING_OP_CLOSE)
			take_close(s, u, sqe);
		else
			take_req(s, u, sqe);
		*sq->khead = ++sq->sqe_head;
		n++;
	}
	return n;
}

/* ---- blocking jobs ---- */

static void sim_later(struct uring *u, struct weir_msg *msg)
{
	struct sim *s = sim_of(u);

	msg->next = NULL;
	*s->last_step = msg;
	s->last_step = &msg->next;
	*u->ring.sq.kflags |= IORING_SQ_TASKRUN;
}

/* Any of them: they stand for threads. */
static void run_step(struct sim *s)
{
	struct weir_msg **at = &s->steps, *msg;
	uint64_t n = 0;

	for (msg = s->steps; msg; msg = msg->next)
		n++;
	for (n = sim_below(s, n); n; n--)
		at = &(*at)->next;
	msg = *at;
	*at = msg->next;
	if (s->last_step == &msg->next)
		s->last_step = at;
	s->stats.steps++;
	mix(s, 1);
	weir_sim_trace_(s, "a step of a job");
	msg->fn(msg);
}

/* ---- entering ---- */

static unsigned collect_ripe(struct sim *s)
{
	struct weir_list *l;
	unsigned n = 0;

	for (l = s->reqs.next; l != &s->reqs; l = l->next) {
		struct sim_req *r = weir_container_of(l, struct sim_req, link);

		if (ripe(s, r))
			s->pick[n++] = r;
	}
	return n;
}

/* Some of what can happen, in any order; none of it twice.  True: there was something that could.
 * What one does may be the end of what another could do, so each looks again. */
static bool run(struct sim *s, struct uring *u)
{
	unsigned n = collect_ripe(s);
	bool any = n || s->steps;

	while (n) {
		unsigned i = (unsigned)sim_below(s, n);
		struct sim_req *r = s->pick[i];

		s->pick[i] = s->pick[--n];
		if (sim_chance(s, OFTEN))
			step(s, u, r);
	}
	if (s->steps && sim_below(s, 2))
		run_step(s);
	return any;
}

/* Virtual time goes to where something happens.  False: it must not, or nothing will. */
static bool pass_time(struct sim *s)
{
	uint64_t next = WEIR_FOREVER;
	struct weir_list *l;

	for (l = s->reqs.next; l != &s->reqs; l = l->next) {
		const struct sim_req *r = weir_container_of(l, struct sim_req, link);
		uint64_t t = r->ripe > s->now ? r->ripe : weir_sim_expiry_(r);

		if (!r->internal && r->foreign)
			return false;
		next = t < next ? t : next;
	}
	if (next == WEIR_FOREVER)
		return false;
	s->now = next > s->now ? next : s->now;
	return true;
}

/* Until Linux has something for us: another thread's wake-up at least. */
static int sleep_for_linux(struct sim *s)
{
	struct pollfd *fds;
	struct weir_list *l;
	nfds_t n = 0;
	int rc;

	for (l = s->reqs.next; l != &s->reqs; l = l->next)
		n++;
	fds = weir_zalloc_(n, sizeof *fds);
	if (!fds)
		return -EAGAIN;
	n = 0;
	for (l = s->reqs.next; l != &s->reqs; l = l->next) {
		const struct sim_req *r = weir_container_of(l, struct sim_req, link);

		if (r->foreign)
			fds[n++] = (struct pollfd){ .fd = r->sqe.fd,
						    .events = weir_sim_events_(r) };
	}
	rc = poll(fds, n, -1) < 0 ? -errno : 0;
	weir_free_(fds);
	return rc;
}

static void may_jump(struct sim *s)
{
	if (!sim_chance(s, s->jump))
		return;
	s->stats.jumps++;
	s->now += weir_sim_random_(s) & ((1ull << sim_below(s, JUMP_BITS)) - 1);
	weir_sim_trace_(s, "the clock has jumped");
}

/* As the kernel's flag: it is worth while to enter. */
static void set_flag(struct sim *s, struct uring *u)
{
	if (s->steps || collect_ripe(s))
		*u->ring.sq.kflags |= IORING_SQ_TASKRUN;
	else
		*u->ring.sq.kflags &= ~(unsigned)IORING_SQ_TASKRUN;
}

static int sim_submit(struct uring *u)
{
	struct sim *s = sim_of(u);

	return sim_chance(s, s->again) ? -EAGAIN : take(s, u);
}

static int sim_enter(struct uring *u, bool block)
{
	struct sim *s = sim_of(u);
	int rc;

	if (sim_chance(s, s->again))
		return sim_below(s, 2) ? -EBUSY : -EAGAIN;
	rc = take(s, u);
	block = block && !io_uring_sq_ready(&u->ring);	/* as Linux: all is taken, or no sleep */
	may_jump(s);
	run(s, u);
	while (block && !io_uring_cq_ready(&u->ring)) {
		if (sim_chance(s, s->again)) {
			rc = -EINTR;
			break;
		}
		if (run(s, u) || pass_time(s))
			continue;
		rc = sleep_for_linux(s);
		if (rc < 0)
			break;
	}
	set_flag(s, u);
	return rc;
}

static int sim_buffers(struct uring *u, struct io_uring_buf_ring *ring, unsigned count, int group)
{
	return weir_sim_buffers_(sim_of(u), ring, count, group);
}

static int sim_notify(struct uring *u, int fd)
{
	sim_of(u)->notify = fd;
	return 0;
}

/* ---- the rest of sys.h ---- */

static uint64_t sim_now(struct uring *u)
{
	return sim_of(u)->now;
}

static uint64_t sim_entropy(struct uring *u)
{
	return weir_sim_random_(sim_of(u));
}

static int sim_timer_new(struct uring *u)
{
	return weir_sim_timer_new_(sim_of(u));
}

static int sim_timer_set(struct uring *u, int fd, uint64_t due)
{
	return weir_sim_timer_set_(sim_of(u), fd, due, 0);
}

static bool sim_call(struct uring *u, struct weir_op *op)
{
	return weir_sim_call_(sim_of(u), op);
}

static int sim_close(struct uring *u, int fd)
{
	return weir_sim_close_(sim_of(u), fd);
}

static bool ends_by_itself(struct sim *s, const struct sim_req *r)
{
	return r->ripe > s->now || r->foreign || ripe(s, r) ||
		weir_sim_expiry_(r) != WEIR_FOREVER;
}

static bool sim_still(struct uring *u)
{
	struct sim *s = sim_of(u);
	struct weir_list *l;

	if (s->steps)
		return false;
	for (l = s->reqs.next; l != &s->reqs; l = l->next) {
		const struct sim_req *r = weir_container_of(l, struct sim_req, link);

		if (!r->internal && ends_by_itself(s, r))
			return false;
	}
	return true;
}

static void sim_advance(struct uring *u, uint64_t ns)
{
	struct sim *s = sim_of(u);

	s->now = weir_time_add(s->now, ns);
	set_flag(s, u);
}

static void sim_free(struct uring *u)
{
	struct sim *s = sim_of(u);

	while (s->steps)
		run_step(s);
	weir_sim_free_(s);
}

const struct weir_sys_ops weir_sim_ = {
	.now = sim_now,
	.entropy = sim_entropy,
	.ring_init = sim_ring_init,
	.ring_exit = sim_ring_exit,
	.submit = sim_submit,
	.enter = sim_enter,
	.notify = sim_notify,
	.buffers = sim_buffers,
	.timer_new = sim_timer_new,
	.timer_set = sim_timer_set,
	.call = sim_call,
	.close = sim_close,
	.free = sim_free,
	.still = sim_still,
	.advance = sim_advance,
	.later = sim_later,
};

/* ---- life ---- */

int weir_sim_new_(struct sim **out, const struct weir_sim_conf *conf,
		  void (*report)(void *arg, const char *text), void *report_arg)
{
	struct sim *s = weir_zalloc_(1, sizeof *s);
	int rc;

	if (!s)
		return -ENOMEM;
	s->conf = *conf;
	s->random = conf->seed;
	s->now = START;
	s->late = amount(s, WEIR_SIM_LATE);
	s->cut = amount(s, WEIR_SIM_SHORT);
	s->again = amount(s, WEIR_SIM_AGAIN);
	s->fail = amount(s, WEIR_SIM_ERRORS);
	s->jump = amount(s, WEIR_SIM_JUMPS);
	weir_list_init_(&s->reqs);
	weir_list_init_(&s->idle);
	weir_list_init_(&s->nodes);
	s->last_step = &s->steps;
	s->notify = -1;
	s->report = report;
	s->report_arg = report_arg;
	rc = weir_sim_root_(s);
	if (rc < 0)
		goto free_sim;
	s->base = open("/", O_PATH | O_CLOEXEC);
	if (s->base < 0) {
		rc = -errno;
		goto free_nodes;
	}
	*out = s;
	return 0;

free_nodes:
	weir_sim_nodes_free_(s);
free_sim:
	weir_free_(s);
	return rc;
}

struct sim *weir_sim_of_(struct weir_backend *be)
{
	return be->ops->later ? sim_of(uring_of(be)) : NULL;
}

void weir_sim_free_(struct sim *s)
{
	struct weir_list *l;

	for (l = s->reqs.next; l != &s->reqs; l = l->next)
		weir_sim_let_go_(weir_container_of(l, struct sim_req, link));
	weir_sim_nodes_free_(s);
	close(s->base);
	weir_free_(s->memory);
	weir_free_(s->pick);
	weir_free_(s);
}
