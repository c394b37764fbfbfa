/* SPDX-License-Identifier: MIT */
/*
 * conform_buffers.c - receives that go on, each time with a buffer out of a ring: what a stream's
 * recv does on Linux it does in the simulated kernel with some seed, and with no seed anything that
 * the script does not allow.
 *
 * An outcome is what the completions were, in order: "data, ECANCELED, cancel 0; all".  Data that
 * came in one completion or several is the same; so is a receive that has ended with data, as it
 * may whenever it likes, and was begun anew.  At the end: whether all that was sent was received.
 */
#define _GNU_SOURCE
#include <regex.h>

#include "bare_ring.h"

#define LINUX_RUNS	20
#define SEEDS		400
#define BUFFERS		4u
#define SIZE		64u
#define OUTCOME		512
#define GROUP		1
#define CALLED_OFF	"((ECANCELED|EINTR), cancel 0|cancel 0, (ECANCELED|EINTR))"

enum what { STOP, SEND, PUSH, CLOSE, SHUT, START, ASK, BACK, BYTES, UNTIL_END };

static const struct script {
	const char *name, *may;
	bool no_ring;
	struct { enum what what; unsigned n; } steps[12];
} scripts[] = {
	{ "a message that is there", "data, " CALLED_OFF "; all", .steps = {
		{ SEND, 10 }, { START, 0 }, { BYTES, 10 }, { ASK, 0 }, { UNTIL_END, 0 } } },
	{ "a message that comes", "data, " CALLED_OFF "; all", .steps = {
		{ START, 0 }, { SEND, 10 }, { BYTES, 10 }, { ASK, 0 }, { UNTIL_END, 0 } } },
	{ "messages one after the other",	/* which all buffers may be too short for */
	  "data, (" CALLED_OFF "; all|(ENOBUFS, cancel ENOENT|cancel ENOENT, ENOBUFS); (all|some))",
	  .steps = {
		{ START, 0 }, { SEND, 10 }, { BYTES, 10 }, { SEND, 64 }, { BYTES, 74 }, { SEND, 1 },
		{ BYTES, 75 }, { ASK, 0 }, { UNTIL_END, 0 } } },
	{ "nothing comes", CALLED_OFF "; all", .steps = {
		{ START, 0 }, { ASK, 0 }, { UNTIL_END, 0 } } },
	{ "a cancel as a message comes",	/* or just as the receive ends with it */
	  "(" CALLED_OFF "; some|(cancel ENOENT, data|data, cancel ENOENT); all)", .steps = {
		{ START, 0 }, { SEND, 10 }, { ASK, 0 }, { UNTIL_END, 0 } } },
	{ "the end comes", "end; all", .steps = {
		{ START, 0 }, { CLOSE, 0 }, { UNTIL_END, 0 } } },
	{ "the end is there", "end; all", .steps = {
		{ CLOSE, 0 }, { START, 0 }, { UNTIL_END, 0 } } },
	{ "the end of what is sent", "data, end; all", .steps = {
		{ START, 0 }, { SEND, 10 }, { SHUT, 0 }, { UNTIL_END, 0 } } },
	{ "a message and the end are there", "data, (end|ENOBUFS); all", .steps = {
		{ SEND, 100 }, { CLOSE, 0 }, { START, 0 }, { UNTIL_END, 0 } } },
	{ "the peer has not read all", "ECONNRESET; all", .steps = {
		{ PUSH, 3 }, { CLOSE, 0 }, { START, 0 }, { UNTIL_END, 0 } } },
	{ "the peer goes and has not read all", "ECONNRESET; all", .steps = {
		{ PUSH, 3 }, { START, 0 }, { CLOSE, 0 }, { UNTIL_END, 0 } } },
	{ "more than there are buffers for", "data, ENOBUFS; some", .steps = {
		{ SEND, 300 }, { START, 0 }, { UNTIL_END, 0 } } },
	{ "more comes than there are buffers for", "data, ENOBUFS; some", .steps = {
		{ START, 0 }, { SEND, 300 }, { UNTIL_END, 0 } } },
	{ "buffers come back",
	  "data, ENOBUFS, (data, ENOBUFS, )*data, " CALLED_OFF "; all",
	  .steps = {
		{ BACK, 0 }, { SEND, 300 }, { START, 0 }, { BYTES, 300 }, { ASK, 0 },
		{ UNTIL_END, 0 } } },
	{ "a ring that is not there", "ENOBUFS; some", .no_ring = true, .steps = {
		{ SEND, 10 }, { START, 0 }, { UNTIL_END, 0 } } },
};

struct play {
	struct bench b;
	struct sim *sim;
	struct io_uring_buf_ring *ring;
	char data[BUFFERS][SIZE];
	bool taken[BUFFERS];
	bool open, going, backs, asked, told;	/* the peer; the recv; its cancel */
	unsigned sent, got;
	char out[OUTCOME];
};

/* ---- both kernels ---- */

static int send_by(struct play *p, int side, unsigned n)
{
	static const char bytes[512];
	int fd = p->b.fds[side];
	struct io_uring_sqe q;

	if (!p->sim)
		return (int)send(fd, bytes, n, MSG_NOSIGNAL);
	io_uring_prep_send(&q, fd, bytes, n, 0);
	return weir_sim_do_(p->sim, &(struct sim_req){ .sqe = q,
						       .desc = weir_sim_desc_(p->sim, fd) });
}

static void send_all(struct play *p, int side, unsigned n)
{
	while (n) {
		int rc = send_by(p, side, n);

		ck_assert_int_gt(rc, 0);
		n -= (unsigned)rc;
	}
}

static void shut(struct play *p)
{
	struct io_uring_sqe q;
	int fd = p->b.fds[1], rc;

	io_uring_prep_shutdown(&q, fd, SHUT_WR);
	rc = !p->sim ? shutdown(fd, SHUT_WR)
		: weir_sim_do_(p->sim, &(struct sim_req){ .sqe = q,
							  .desc = weir_sim_desc_(p->sim, fd) });
	ck_assert_int_eq(rc, 0);
}

static void offer(struct play *p, unsigned i)
{
	io_uring_buf_ring_add(p->ring, p->data[i], SIZE, (unsigned short)i,
			      io_uring_buf_ring_mask(BUFFERS), 0);
	io_uring_buf_ring_advance(p->ring, 1);
	p->taken[i] = false;
}

static void start(struct play *p)
{
	struct io_uring_sqe *q = io_uring_get_sqe(&p->b.u.ring);

	io_uring_prep_recv_multishot(q, p->b.fds[0], NULL, 0, 0);
	q->flags |= IOSQE_BUFFER_SELECT;
	q->buf_group = GROUP;
	q->user_data = OP;
	p->going = true;
	enter(&p->b, false);
}

/* ---- what comes back ---- */

static void note(struct play *p, const char *text)
{
	size_t at = strlen(p->out), n = strlen(text);

	if (at >= n && !strcmp(p->out + at - n, text) && !strcmp(text, "data"))
		return;
	snprintf(p->out + at, OUTCOME - at, "%s%s", at ? ", " : "", text);
}

static void received(struct play *p, const struct io_uring_cqe *cqe)
{
	unsigned i = cqe->flags >> IORING_CQE_BUFFER_SHIFT;

	ck_assert_uint_ne(cqe->flags & IORING_CQE_F_BUFFER, 0);
	ck_assert_uint_lt(i, BUFFERS);
	ck_assert(!p->taken[i]);
	ck_assert_int_le(cqe->res, (int)SIZE);
	p->taken[i] = true;
	p->got += (unsigned)cqe->res;
	note(p, "data");
	if (!p->going && !p->asked)
		start(p);
}

static void give_back(struct play *p)
{
	unsigned i;

	for (i = 0; i < BUFFERS; i++)
		if (p->taken[i])
			offer(p, i);
	start(p);
}

static void take_in(struct play *p, const struct io_uring_cqe *cqe)
{
	char text[32];

	if (cqe->user_data == CANCEL) {
		snprintf(text, sizeof text, "cancel %s", word(cqe->res));
		note(p, text);
		p->told = true;
		return;
	}
	p->going = cqe->flags & IORING_CQE_F_MORE;
	if (cqe->res > 0) {
		received(p, cqe);
		return;
	}
	ck_assert(!p->going);
	ck_assert_uint_eq(cqe->flags & IORING_CQE_F_BUFFER, 0);
	note(p, cqe->res ? word(cqe->res) : "end");
	if (cqe->res == -ENOBUFS && p->backs && !p->asked)
		give_back(p);
}

/* Until so many bytes have come, or the receive and its cancel are over. */
static void take(struct play *p, unsigned bytes)
{
	struct io_uring_cqe *cqe, seen;

	while (p->got < bytes && (p->going || (p->asked && !p->told))) {
		if (io_uring_peek_cqe(&p->b.u.ring, &cqe) < 0) {
			enter(&p->b, true);
			continue;
		}
		seen = *cqe;
		io_uring_cqe_seen(&p->b.u.ring, cqe);
		take_in(p, &seen);
	}
}

static void ask(struct play *p)
{
	struct io_uring_sqe *q = io_uring_get_sqe(&p->b.u.ring);

	io_uring_prep_cancel64(q, OP, 0);
	q->user_data = CANCEL;
	p->asked = true;
	enter(&p->b, false);
}

static void step(struct play *p, enum what what, unsigned n)
{
	switch (what) {
	case SEND:
		send_all(p, 1, n);
		p->sent += n;
		break;
	case PUSH:
		send_all(p, 0, n);
		break;
	case CLOSE:
		p->b.u.sys->close(&p->b.u, p->b.fds[1]);
		p->b.fds[1] = -1;
		break;
	case SHUT:
		shut(p);
		break;
	case START:
		start(p);
		break;
	case ASK:
		ask(p);
		break;
	case BACK:
		p->backs = true;
		break;
	case BYTES:
		take(p, n);
		break;
	case UNTIL_END:
		take(p, UINT32_MAX);
		break;
	case STOP:
		break;
	}
}

/* ---- the comparison ---- */

static struct io_uring_buf_ring *new_ring(void)
{
	void *ring;

	ck_assert_int_eq(posix_memalign(&ring, 4096, BUFFERS * sizeof(struct io_uring_buf)), 0);
	io_uring_buf_ring_init(ring);
	return ring;
}

static void play(const struct script *s, struct sim *sim, char *out)
{
	static struct play p;
	unsigned i;
	int rc;

	memset(&p, 0, sizeof p);
	p.sim = sim;
	set_up(&p.b, sim ? &weir_sim_ : &weir_linux_, sim);
	open_pair(&p.b, sim);
	p.ring = new_ring();
	do {
		rc = s->no_ring ? 0 : p.b.u.sys->buffers(&p.b.u, p.ring, BUFFERS, GROUP);
	} while (rc == -EINVAL && sim);		/* an old kernel, it says now and then */
	ck_assert_int_eq(rc, 0);
	for (i = 0; i < BUFFERS; i++)
		offer(&p, i);
	for (i = 0; s->steps[i].what; i++)
		step(&p, s->steps[i].what, s->steps[i].n);
	snprintf(out, OUTCOME, "%.*s; %s", OUTCOME - 8, p.out, p.got == p.sent ? "all" : "some");
	if (!s->no_ring)
		ck_assert_int_eq(p.b.u.sys->buffers(&p.b.u, NULL, BUFFERS, GROUP), 0);
	tear_down(&p.b);
	free(p.ring);
}

static void play_seed(const struct script *s, uint64_t seed, char *out)
{
	struct weir_sim_conf conf = { .seed = seed, .trouble = WEIR_SIM_LATE | WEIR_SIM_SHORT };
	struct sim *sim;

	ck_assert_int_eq(weir_sim_new_(&sim, &conf, NULL, NULL), 0);
	play(s, sim, out);
	weir_sim_free_(sim);
}

static void ck_may(const struct script *s, const char *where, const char *out)
{
	char pattern[256];
	regex_t may;

	snprintf(pattern, sizeof pattern, "^%s$", s->may);
	ck_assert_int_eq(regcomp(&may, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (getenv("CONFORM"))
		fprintf(stderr, "%s, %s: %s\n", s->name, where, out);
	ck_assert_msg(!regexec(&may, out, 0, NULL, 0) || getenv("CONFORM"),
		      "%s: %s: not in the script: %s", s->name, where, out);
	regfree(&may);
}

static bool receives_many(void)
{
	struct io_uring_buf_ring *ring = new_ring();
	struct bench b;
	int rc;

	set_up(&b, &weir_linux_, NULL);
	rc = b.u.sys->buffers(&b.u, ring, BUFFERS, GROUP);
	tear_down(&b);
	free(ring);
	return rc == 0;
}

START_TEST(receives_that_go_on_are_as_on_linux)
{
	static char linux_out[OUTCOME], out[OUTCOME];
	unsigned i, n, seeds = test_on_valgrind() ? SEEDS / 20 : SEEDS;
	uint64_t seed;

	if (!receives_many())
		return;
	for (i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		const struct script *s = &scripts[i];

		for (seed = 0; seed < seeds; seed++) {
			play_seed(s, seed, out);
			ck_may(s, "simulated", out);
		}
		for (n = 0; n < LINUX_RUNS; n++) {
			play(s, NULL, linux_out);
			ck_may(s, "Linux", linux_out);
			out[0] = '\0';
			for (seed = 0; seed < SEEDS && strcmp(out, linux_out); seed++)
				play_seed(s, seed, out);
			ck_assert_msg(!strcmp(out, linux_out),
				      "%s: on Linux, but not simulated: %s", s->name, linux_out);
		}
	}
}
END_TEST

TESTS("conform_buffers", receives_that_go_on_are_as_on_linux)
