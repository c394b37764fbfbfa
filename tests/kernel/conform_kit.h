/* SPDX-License-Identifier: MIT */
/*
 * conform_kit.h - plays a script on Linux and in the simulated kernel, and compares the outcomes.
 *
 * A script is a few steps over descriptors.  Each START makes a task with one operation; its ctx is
 * its own, so that CANCEL ends it alone.  Between two steps the loop turns a few times, or not.
 * The outcome is one line: what each operation returned, and what was left to be read at the end.
 *
 * Linux is asked LINUX_RUNS times, the simulation with many seeds.  What Linux was seen to do
 * the simulation must do with some seed; what the simulation does must be in the script's list of
 * what Linux may do, by the manual pages and the table of cancels, seen or not.  And each
 * alternative in that list must come out with some seed: so what Linux does only rarely, on a busy
 * machine, is there before it is first seen.
 */
#ifndef CONFORM_KIT_H
#define CONFORM_KIT_H

#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "harness.h"
#include "weir.h"

/* What a step leaves out is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

#define LINUX_RUNS	20
#define SEEDS		40	/* of each script; */
#define SEEDS_MAX	20000	/* ... as many until they have shown all that Linux has */

#define STEPS		10
#define ACTORS		6
#define SLOTS		(6 + ACTORS)
#define GIVEN		6	/* the first slot for what an operation gave that names none */
#define BUFFER		120000
#define CONTENT		"0123456789"
#define OUTCOMES	64
#define OUTCOME		96

enum act { READ, WRITE, RECV, SEND, PEEK, TRY, COUNT, ACCEPT, CONNECT, OPEN, CLOSE, SHUTDOWN, FSYNC,
	   STATX, UNLINK, RENAME, MKDIR, SOCKET };

struct step {
	enum { NOTHING, START, CANCEL, END, ARRIVE, SLEEP, FILES, BEHIND } what;
	enum act act;
	int on;			/* a slot, of ARRIVE where something came from another; of CANCEL
				 * and END an actor: STARTs count from 0; BEHIND closes one behind
				 * the loop's back */
	int n;			/* bytes; a domain; ms to SLEEP; FILES: 0: no more than are open */
	int flags;
	int gives;		/* the slot for the descriptor that it returns */
	const char *path, *to;
};

enum scene {
	BARE, A_PIPE, A_PAIR, A_TCP, A_LISTENER, A_TCP_LISTENER, A_SMALL_LISTENER,
	A_SMALL_TCP_LISTENER, A_SMALL_BLOCKING_LISTENER, A_FILE, A_TIMER, A_SLOW_TIMER, AN_EVENTFD,
	A_SEMAPHORE, A_DIRECTORY, A_FIFO
};

struct script {
	const char *name;
	enum scene scene;
	bool steady;		/* each operation ends before the next step */
	unsigned trouble;	/* beyond WEIR_SIM_SOUND */
	int left;		/* 1 + the slot to be read at the end, when all others are closed */
	struct step steps[STEPS];
	const char *may;	/* a regular expression for the outcomes that Linux allows */
};

struct actor {
	const struct step *step;
	struct weir_task *task;
	struct weir_ctx ctx;
	int res;
	char *buf;
	struct statx st;
};

static struct stage {
	struct weir_loop *loop;
	bool simulated;
	struct actor actors[ACTORS];
	unsigned n;
	int fds[SLOTS];
	struct sockaddr_storage addr;
	socklen_t addr_len;
	size_t written, left;
	uint64_t luck;
	uint64_t set;		/* when all of the scene was there */
	struct rlimit files;
	char outcome[OUTCOME];
} stage;

static char buffers[ACTORS][BUFFER], leftovers[4096];

struct outcomes {
	char text[OUTCOMES][OUTCOME];
	unsigned n;
};

static inline unsigned dice(unsigned n)
{
	stage.luck = stage.luck * 6364136223846793005 + 1442695040888963407;
	return (unsigned)(stage.luck >> 33) % n;
}

static inline int *slot(int i)
{
	ck_assert(i >= 0 && i < SLOTS);
	return &stage.fds[i];
}

/* ---- the scene ---- */

/* Of a file that is there in both worlds; both are in its directory. */
static inline void make_file(const char *name)
{
	char path[64];
	int fd;

	if (stage.simulated) {
		snprintf(path, sizeof path, "/%s", name);
		ck_assert_int_eq(weir_sim_file(stage.loop, path, CONTENT, strlen(CONTENT)), 0);
		return;
	}
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, CONTENT, strlen(CONTENT)), (int)strlen(CONTENT));
	close(fd);
}

/* What is below a directory comes before it. */
static const char *const names[] = {
	"d/e/x", "e/d/x", "d/x", "e/x", "f", "g", "fifo", "d/e", "e/d", "d", "e", "...",
};

static inline void remove_files(void)
{
	size_t i;

	for (i = 0; i < sizeof names / sizeof *names; i++)
		if (unlink(names[i]) < 0)
			rmdir(names[i]);
}

/* A path that takes for ever to open, with no bytes: in the simulation, any that takes its time. */
static inline void make_fifo(void)
{
	if (stage.simulated)
		ck_assert_int_eq(weir_sim_file(stage.loop, "/fifo", "", 0), 0);
	else
		ck_assert_int_eq(mkfifo("fifo", 0600), 0);
}

static inline void make_pair(void)
{
	if (stage.simulated)
		ck_assert_int_eq(weir_sim_socketpair(stage.loop, stage.fds), 0);
	else
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
					    stage.fds), 0);
}

static inline int make_timer(uint64_t first)
{
	const struct itimerspec when = { { 0, WEIR_MS },
					 { (time_t)(first / WEIR_S), (long)(first % WEIR_S) } };
	int fd;

	if (stage.simulated)
		return weir_sim_timerfd(stage.loop, first, WEIR_MS);
	fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	timerfd_settime(fd, 0, &when, NULL);
	return fd;
}

static inline void make_scene(enum scene scene)
{
	switch (scene) {
	case A_PAIR:
		make_pair();
		break;
	case A_FILE:
	case A_DIRECTORY:
		make_file("f");
		if (scene == A_DIRECTORY && !stage.simulated)
			mkdir("d", 0755);
		if (scene == A_DIRECTORY)
			make_file("d/x");
		break;
	case A_TIMER:
		stage.fds[0] = make_timer(WEIR_MS);
		break;
	case A_SLOW_TIMER:	/* slower than the slowest machine */
		stage.fds[0] = make_timer(WEIR_HOUR);
		break;
	case AN_EVENTFD:	/* Linux's in both */
		stage.fds[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		break;
	case A_SEMAPHORE:	/* with two permits */
		stage.fds[0] = eventfd(2, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
		break;
	case A_FIFO:
		make_fifo();
		break;
	default:
		break;
	}
}

static inline void make_address(int domain)
{
	static unsigned addresses;
	struct sockaddr_in *in = (struct sockaddr_in *)&stage.addr;
	struct sockaddr_un *un = (struct sockaddr_un *)&stage.addr;

	memset(&stage.addr, 0, sizeof stage.addr);
	stage.addr.ss_family = (sa_family_t)domain;
	if (domain == AF_UNIX) {
		/* A new one each time: Linux's threads may hold on to a socket that is closed. */
		snprintf(un->sun_path + 1, sizeof un->sun_path - 1, "weir-conform-%d-%u", getpid(),
			 addresses++);
		stage.addr_len = sizeof *un;
	} else {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = stage.simulated ? htons(4321) : 0;
		stage.addr_len = sizeof *in;
	}
}

static inline void learn_address(int fd)
{
	if (!stage.simulated)
		getsockname(fd, (struct sockaddr *)&stage.addr, &stage.addr_len);
}

/* The descriptors that tasks must make: a pipe, a listener in slot 0, sockets to connect in 1 and
 * 2, or a connection in 0 and 1. */
struct setting { struct weir_frame co; enum scene scene; int i, rc, listener, type; bool tcp; };

static inline WEIR_CO(setting, self, op)
{
	if (self->scene == A_PIPE)
		WEIR_TRY(self->rc, out, weir_pipe(op, stage.fds, O_NONBLOCK));
	if (self->scene == A_FILE)
		WEIR_TRY(self->rc, out, weir_open(op, "f", O_RDWR, 0));
	if (self->scene == A_FILE)
		stage.fds[0] = self->rc;
	if (self->scene < A_TCP || self->scene > A_SMALL_BLOCKING_LISTENER)
		WEIR_RETURN(0);
	self->tcp = self->scene == A_TCP || self->scene == A_TCP_LISTENER ||
		self->scene == A_SMALL_TCP_LISTENER;
	self->type = SOCK_STREAM | (self->scene == A_SMALL_BLOCKING_LISTENER ? 0 : SOCK_NONBLOCK);
	make_address(self->tcp ? AF_INET : AF_UNIX);
	for (self->i = 0; self->i < 3; self->i++) {
		WEIR_TRY(self->rc, out, weir_socket(op, stage.addr.ss_family, self->type, 0));
		stage.fds[self->i] = self->rc;
	}
	WEIR_TRY(self->rc, out, weir_bind(op, stage.fds[0], (struct sockaddr *)&stage.addr,
					  stage.addr_len));
	learn_address(stage.fds[0]);
	WEIR_TRY(self->rc, out, weir_listen(op, stage.fds[0],
					    self->scene >= A_SMALL_LISTENER ? 0 : 8));
	if (self->scene != A_TCP)
		WEIR_RETURN(0);
	WEIR_TRY(self->rc, out, weir_connect(op, stage.fds[1], (struct sockaddr *)&stage.addr,
					     stage.addr_len));
	WEIR_TRY(self->rc, out, weir_accept(op, stage.fds[0], NULL, NULL, SOCK_NONBLOCK));
	self->listener = stage.fds[0];
	stage.fds[0] = self->rc;
	WEIR_TRY(self->rc, out, weir_close(op, self->listener));
	WEIR_TRY(self->rc, out, weir_close(op, stage.fds[2]));
	stage.fds[2] = -1;
out:
	WEIR_RETURN(self->rc);
}
WEIR_END

/* ---- an actor ---- */

static inline struct weir_op *act(struct weir_op *op, struct actor *a)
{
	const struct step *s = a->step;
	int fd = *slot(s->on);
	size_t n = (size_t)s->n;

	switch (s->act) {
	case READ:
		return weir_read(op, fd, a->buf, n, s->flags ? s->flags : -1);
	case COUNT:
		return weir_read(op, fd, a->buf, 8, -1);
	case WRITE:
		return weir_write(op, fd, a->buf, n, s->flags ? s->flags : -1);
	case RECV:
		return weir_recv(op, fd, a->buf, n, s->flags);
	case SEND:
		return weir_send(op, fd, a->buf, n, s->flags);
	case PEEK:
		return weir_recv(op, fd, a->buf, n, MSG_PEEK);
	case TRY:
		return weir_recv(op, fd, a->buf, n, MSG_DONTWAIT);
	case ACCEPT:
		return weir_accept(op, fd, NULL, NULL, SOCK_NONBLOCK);
	case CONNECT:
		return weir_connect(op, fd, (struct sockaddr *)&stage.addr, stage.addr_len);
	case OPEN:
		return weir_openat(op, s->on ? fd : AT_FDCWD, s->path, s->flags, 0644);
	case CLOSE:
		return weir_close(op, fd);
	case SHUTDOWN:
		return weir_shutdown(op, fd, s->flags);
	case FSYNC:
		return weir_fsync(op, fd);
	case STATX:
		return weir_statx(op, s->on ? fd : AT_FDCWD, s->path, s->flags, STATX_BASIC_STATS,
				  &a->st);
	case UNLINK:
		return weir_unlinkat(op, s->on ? fd : AT_FDCWD, s->path, s->flags);
	case RENAME:
		return weir_renameat(op, s->on ? fd : AT_FDCWD, s->path, s->on ? fd : AT_FDCWD,
				     s->to, (unsigned)s->flags);
	case MKDIR:
		return weir_mkdirat(op, s->on ? fd : AT_FDCWD, s->path, 0755);
	case SOCKET:
		return weir_socket(op, s->n, s->flags, 0);
	}
	abort();
}

static inline bool gives_fd(const struct step *s)
{
	return s->act == OPEN || s->act == ACCEPT || s->act == SOCKET;
}

static inline bool writes(const struct step *s)
{
	return s->act == WRITE || s->act == SEND;
}

static inline bool fills(const struct step *s)
{
	return s->act == READ || s->act == RECV || s->act == TRY;
}

static inline void acted(struct actor *a, int i)
{
	if (gives_fd(a->step) && a->res >= 0)
		*slot(a->step->gives ? a->step->gives : GIVEN + i) = a->res;
	if (a->step->act == CLOSE && a->res == 0)
		*slot(a->step->on) = -1;
}

struct player { struct weir_frame co; struct actor *a; };

static inline WEIR_CO(player, self, op)
{
	weir_ctx_enter(op, &self->a->ctx);
	WEIR_AWAIT(self->a->res, act(op, self->a));
	weir_ctx_leave(op, &self->a->ctx);
	acted(self->a, (int)(self->a - stage.actors));
}
WEIR_END

/* Each byte says who wrote it, and where in his buffer it stood. */
static inline void begin_actor(const struct step *s, struct weir_ctx *parent,
			       struct weir_group *group)
{
	struct actor *a = &stage.actors[stage.n];
	int i, n = writes(s) ? s->n : 0;

	ck_assert_uint_lt(stage.n, ACTORS);
	a->step = s;
	a->buf = buffers[stage.n];
	for (i = 0; i < n; i++)
		a->buf[i] = (char)(stage.n << 4 | (i & 15));
	weir_ctx_init(&a->ctx, parent);
	ck_assert_int_eq(weir_go_join(&a->task, group, player, .a = a), 0);
	stage.n++;
}

/* ---- the outcome ---- */

static inline const char *error_name(int res)
{
	return strerrorname_np(-res) ? strerrorname_np(-res) : "error";
}

static inline int put_result(char *to, size_t size, const struct actor *a)
{
	const struct step *s = a->step;
	uint64_t count;

	if (a->res < 0)
		return snprintf(to, size, "%s ", error_name(a->res));
	if (gives_fd(s))
		return snprintf(to, size, "fd ");
	if (s->act == COUNT) {
		memcpy(&count, a->buf, sizeof count);
		return snprintf(to, size, count > 1 ? "more " : "%d ", (int)count);
	}
	if (s->act == STATX)
		return snprintf(to, size, S_ISDIR(a->st.stx_mode) ? "dir " : "%d ",
				(int)a->st.stx_size);
	if (!s->n || !(writes(s) || fills(s) || s->act == PEEK))
		return snprintf(to, size, "%d ", a->res);
	if (!a->res)
		return snprintf(to, size, "0 ");
	return snprintf(to, size, a->res == s->n ? "all " : "some ");
}

static inline void put_outcome(const struct script *script)
{
	char *to = stage.outcome;
	size_t n = 0;
	unsigned i;

	for (i = 0; i < stage.n; i++)
		n += (size_t)put_result(to + n, OUTCOME - n, &stage.actors[i]);
	if (script->left)
		n += (size_t)snprintf(to + n - 1, OUTCOME - n, "; %s left ",
				      !stage.left ? "0" : stage.left == stage.written ? "all"
										      : "some") - 1;
	ck_assert_uint_lt(n, OUTCOME);
	to[n - 1] = '\0';
}

/* No byte is lost, none comes twice, and each read has a piece of what was written. */
static inline void account(const struct script *script)
{
	size_t read = 0;
	unsigned i;
	int k;

	for (i = 0; i < stage.n; i++) {
		const struct actor *a = &stage.actors[i];

		if (a->res < 0)
			continue;
		if (writes(a->step))
			stage.written += (size_t)a->res;
		if (fills(a->step))
			read += (size_t)a->res;
		for (k = 1; script->left && fills(a->step) && k < a->res; k++)
			if ((a->buf[k] ^ a->buf[k - 1]) >> 4 == 0 &&
			    (a->buf[k] & 15) != ((a->buf[k - 1] + 1) & 15))
				ck_abort_msg("%s: bytes in another order", script->name);
	}
	if (script->left)
		ck_assert_msg(stage.written == read + stage.left,
			      "%s: %zu bytes written, %zu read and %zu left", script->name,
			      stage.written, read, stage.left);
}

/* ---- the play ---- */

/* valgrind does not let a process lower what it needs itself. */
static inline void limit_files(bool lowest)
{
	struct rlimit r = stage.files;
	int fd;

	if (lowest) {
		fd = dup(0);
		close(fd);
		r.rlim_cur = (rlim_t)fd;
	}
	setrlimit(RLIMIT_NOFILE, &r);
}

/* By the clock of the scene's timers.  A loop that was kept from running has an older one, by which
 * a sleep may end before they have expired. */
static inline uint64_t stage_time(void)
{
	struct timespec t;

	if (stage.simulated)
		return weir_now(stage.loop);
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * WEIR_S + (uint64_t)t.tv_nsec;
}

static inline uint64_t nap(const struct step *s)
{
	return (uint64_t)s->n * (stage.simulated ? WEIR_S : WEIR_MS);
}

/* A yield does not let the kernel see what was submitted, and this does.  Virtual time stands still
 * while a task waits for a descriptor of Linux's, as eventfds are. */
static inline struct weir_op *enter(struct weir_op *op, enum scene scene)
{
	if (scene == AN_EVENTFD || scene == A_SEMAPHORE)
		return weir_fsync(op, stage.fds[0]);
	return weir_sleep(op, 1);
}

/* A busy Linux hands on later what was sent by TCP. */
static inline void wait_for_arrival(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (!stage.simulated)
		ck_assert_int_eq(poll(&p, 1, -1), 1);
}

static inline void close_behind(int *fd)
{
	if (stage.simulated)
		ck_assert_int_eq(weir_sim_close(stage.loop, *fd), 0);
	else
		ck_assert_int_eq(close(*fd), 0);
	*fd = -1;
}

struct steps {
	struct weir_frame co;
	const struct script *script;
	const struct step *s;
	int i, turns, rc;
	unsigned k, enters;
};

static inline WEIR_CO(steps, self, op)
{
	for (self->i = 0; self->i < STEPS; self->i++) {
		self->s = &self->script->steps[self->i];
		self->k = (unsigned)self->s->on;
		switch (self->s->what) {
		case START:
			self->k = stage.n;
			begin_actor(self->s, weir_op_ctx(op), weir_loop_group(stage.loop));
			break;
		case CANCEL:
			weir_ctx_cancel(&stage.actors[self->k].ctx, 0);
			break;
		case ARRIVE:
			wait_for_arrival(*slot(self->s->on));
			break;
		case FILES:
			limit_files(!self->s->n);
			break;
		case BEHIND:
			close_behind(slot(self->s->on));
			break;
		default:
			break;
		}
		if (self->s->what == SLEEP)
			do
				WEIR_AWAIT(self->rc, weir_sleep(op, nap(self->s)));
			while (stage_time() < stage.set + nap(self->s));
		if (self->s->what == END || (self->s->what == START && self->script->steady)) {
			WEIR_AWAIT(self->rc, weir_join(op, stage.actors[self->k].task));
			stage.actors[self->k].task = NULL;
		}
		self->enters = dice(2);
		for (self->turns = (int)dice(8); self->turns; self->turns--)
			WEIR_AWAIT(self->rc, self->enters ? enter(op, self->script->scene)
							  : weir_yield(op));
	}
	for (self->k = 0; self->k < stage.n; self->k++) {
		if (stage.actors[self->k].task)
			WEIR_AWAIT(self->rc, weir_join(op, stage.actors[self->k].task));
		weir_ctx_fini(&stage.actors[self->k].ctx);
	}
}
WEIR_END

/* Closes all descriptors, the one that is to be read at last. */
struct curtain { struct weir_frame co; int i, rc, last; };

static inline WEIR_CO(curtain, self, op)
{
	for (self->i = 0; self->i < SLOTS; self->i++)
		if (stage.fds[self->i] >= 0 && self->i != self->last)
			WEIR_AWAIT(self->rc, weir_close(op, stage.fds[self->i]));
	if (self->last < 0 || stage.fds[self->last] < 0)
		WEIR_RETURN(0);
	do {
		WEIR_AWAIT(self->rc, weir_read(op, stage.fds[self->last], leftovers,
					       sizeof leftovers, -1));
		stage.left += self->rc > 0 ? (size_t)self->rc : 0;
	} while (self->rc > 0);
	WEIR_AWAIT(self->rc, weir_close(op, stage.fds[self->last]));
}
WEIR_END

struct play {
	struct weir_frame co;
	const struct script *script;
	int rc;
	union {
		struct setting setting;
		struct steps steps;
		struct curtain curtain;
	} u;
};

static inline WEIR_CO(play, self, op)
{
	make_scene(self->script->scene);
	WEIR_CALL(self->rc, self->u.setting, setting, .scene = self->script->scene);
	if (self->rc < 0)
		WEIR_RETURN(self->rc);
	stage.set = stage_time();
	WEIR_CALL(self->rc, self->u.steps, steps, .script = self->script);
	limit_files(false);
	WEIR_CALL(self->rc, self->u.curtain, curtain, .last = self->script->left - 1);
}
WEIR_END

static inline void play_on(struct weir_loop *loop, const struct script *script, uint64_t luck)
{
	struct rlimit files = stage.files;
	int i, rc;

	stage = (struct stage){ .loop = loop, .luck = luck, .files = files };
	stage.simulated = weir_sim_stats(loop, &(struct weir_sim_stats){ 0 }) == 0;
	for (i = 0; i < SLOTS; i++)
		stage.fds[i] = -1;
	rc = weir_run(loop, play, .script = script);
	ck_assert_msg(rc == 0, "%s: %s\n%s", script->name, error_name(rc), test_report());
	account(script);
	put_outcome(script);
	if (!stage.simulated)
		remove_files();
}

/* ---- the comparison ---- */

static inline bool has(const struct outcomes *o, const char *text)
{
	unsigned i;

	for (i = 0; i < o->n; i++)
		if (!strcmp(o->text[i], text))
			return true;
	return false;
}

static inline void note(struct outcomes *o, const char *text)
{
	if (has(o, text))
		return;
	ck_assert_msg(o->n < OUTCOMES, "too many outcomes: %s", text);
	strcpy(o->text[o->n++], text);
}

static inline void simulate_one(const struct script *script, uint64_t seed, struct outcomes *seen)
{
	struct weir_sim_conf conf = { .seed = seed, .trouble = WEIR_SIM_SOUND | script->trouble };
	struct weir_loop *loop = test_loop_conf(&(struct weir_loop_conf){
		.ops = 16, .entries = 8, .sim = &conf });

	play_on(loop, script, seed);
	note(seen, stage.outcome);
	test_loop_free(loop);
}

static inline const char *missing(const struct outcomes *from, const struct outcomes *in)
{
	unsigned i;

	for (i = 0; i < from->n; i++)
		if (!has(in, from->text[i]))
			return from->text[i];
	return NULL;
}

static inline void pattern(regex_t *re, const char *text)
{
	char whole[512];

	ck_assert_uint_lt((size_t)snprintf(whole, sizeof whole, "^(%s)$", text), sizeof whole);
	ck_assert_int_eq(regcomp(re, whole, REG_EXTENDED | REG_NOSUB), 0);
}

static inline const char *unlike(const struct outcomes *o, const char *may)
{
	const char *odd = NULL;
	regex_t re;
	unsigned i;

	pattern(&re, may);
	for (i = 0; i < o->n; i++)
		if (regexec(&re, o->text[i], 0, NULL, 0) != 0)
			odd = o->text[i];
	regfree(&re);
	return odd;
}

static inline bool any_like(const struct outcomes *o, const char *may)
{
	bool like = false;
	regex_t re;
	unsigned i;

	pattern(&re, may);
	for (i = 0; i < o->n && !like; i++)
		like = regexec(&re, o->text[i], 0, NULL, 0) == 0;
	regfree(&re);
	return like;
}

/* Behind the alternative, or the group, that begins at p. */
static inline const char *behind(const char *p, bool group)
{
	int depth = 0;

	for (; *p && (depth || (*p != ')' && (group || *p != '|'))); p++)
		depth += (*p == '(') - (*p == ')');
	return p;
}

/* The first alternative in the list that no outcome takes, or NULL: the list with nothing else in
 * its place. */
static inline const char *untaken(const struct outcomes *o, const char *may)
{
	static char without[512];
	const char *open, *from, *to, *end;

	for (open = strchr(may, '('); open; open = strchr(open + 1, '(')) {
		end = behind(open + 1, true);
		for (from = open + 1; from <= end; from = to + 1) {
			to = behind(from, false);
			snprintf(without, sizeof without, "%.*s%.*s%s", (int)(open + 1 - may), may,
				 (int)(to - from), from, end);
			if (!any_like(o, without))
				return without;
		}
	}
	return NULL;
}

static inline void print(const char *where, const struct outcomes *o)
{
	unsigned i;

	printf("  %s:", where);
	for (i = 0; i < o->n; i++)
		printf("%s %s", i ? "," : "", o->text[i]);
	printf("\n");
	fflush(stdout);
}

static inline bool shows_all(const struct outcomes *sim, const struct outcomes *real,
			     const struct script *script)
{
	return !missing(real, sim) && !untaken(sim, script->may);
}

static inline void compare(const struct script *script, struct weir_loop *linux_loop)
{
	static struct outcomes real, sim;
	unsigned i, known = 0, n = test_some(SEEDS);
	bool all = false;
	const char *odd;
	uint64_t seed;

	real.n = sim.n = 0;
	for (i = 0; i < test_some(LINUX_RUNS); i++) {
		play_on(linux_loop, script, i);
		note(&real, stage.outcome);
	}
	for (seed = 0; seed < n || (seed < SEEDS_MAX && !all); seed++) {
		simulate_one(script, seed, &sim);
		if (sim.n == known)
			continue;
		known = sim.n;
		all = shows_all(&sim, &real, script);
	}
	if (getenv("CONFORM")) {
		printf("%s, %u seeds\n", script->name, (unsigned)seed);
		print("Linux", &real);
		print("simulation", &sim);
		if (untaken(&sim, script->may))
			printf("  none: %s\n", untaken(&sim, script->may));
		if (unlike(&sim, script->may))
			printf("  odd: %s\n", unlike(&sim, script->may));
		return;
	}
	odd = missing(&real, &sim);
	ck_assert_msg(!odd, "%s: on Linux, but not in the simulation: %s", script->name, odd);
	odd = unlike(&sim, script->may);
	ck_assert_msg(!odd, "%s: in the simulation, but never on Linux: %s", script->name, odd);
	odd = untaken(&sim, script->may);
	ck_assert_msg(!odd, "%s: not in the simulation: %s", script->name, odd);
}

static inline void compare_all(const struct script *scripts, size_t n)
{
	char dir[] = "/tmp/weir-conform-XXXXXX";
	struct weir_loop *loop;
	size_t i;

	if (test_on_valgrind())		/* a matter of minutes there */
		return;
	loop = test_loop_conf(&(struct weir_loop_conf){ .ops = 64 });
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &stage.files);
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(chdir(dir), 0);
	for (i = 0; i < n; i++)
		compare(&scripts[i], loop);
	ck_assert_int_eq(rmdir(dir), 0);
	test_loop_free(loop);
}

#define COMPARE(scripts)	compare_all(scripts, sizeof scripts / sizeof *scripts)

#endif
