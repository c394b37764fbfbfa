/* SPDX-License-Identifier: MIT */
/*
 * load.c - the load for every echo server of the suite: starts it, lets each connection send a
 * message, wait for all of it to come back and send the next, and tells how fast that went.
 *
 *	load [-a] [-w WARM_SECONDS] [-s SECONDS] CONNECTIONS BYTES COMMAND...
 *
 * The server runs on the first allowed core (-a: on all), the load on the last.  It must be the
 * faster of the two: one ring, multishot receives into provided buffers, all that one turn has to
 * send in one system call.  What comes back is compared with what was sent, which differs by
 * connection and by message.  The server has WAIT_S seconds for each of: to print its port, to
 * answer when all connections wait, to end after SIGTERM; and it ends when this process does,
 * however it ends.
 *
 * Prints requests, p50, p99 and the server's cpu time a request, for the measured seconds.  A
 * latency is from the moment a message is ready to be sent until all of it has come back; it is
 * kept to 1 part in 64.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <limits.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WAIT_S		10
#define CONNECTIONS_MAX	20000
#define BYTES_MAX	(1 << 20)
#define ENTRIES		4096	/* of the ring, and of its provided buffers; powers of two */
#define PIECE		(16 << 10)
#define SPACED		(PIECE + 64)	/* or all would meet in the same lines of the cache */

#define NS_S		1000000000ull

struct connection {
	unsigned char *message;
	uint64_t sent_at;
	uint64_t number;	/* of the message */
	size_t come;		/* of it, bytes */
	bool waits;
};

static struct {
	pid_t pid;
	clockid_t cpu;
	const char *name;
} server;

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static unsigned char *pieces;
static int offered;		/* pieces that take part: few stay warm, so no more than it takes */

static struct connection *connections;
static unsigned n_connections, n_waiting;
static size_t bytes;

/* Of the measured window. */
static bool measuring, ending;
static uint64_t requests;
static uint64_t latencies[64 * 64];

/* ---- the server ---- */

/* Ends it, kindly if it is to be judged by how it ends; what the kernel says of it. */
static int end_server(int sig)
{
	const struct timespec moment = { .tv_nsec = 5000000 };
	int status = 0, i;

	if (server.pid <= 0)
		return 0;
	kill(server.pid, sig);
	for (i = 0; waitpid(server.pid, &status, WNOHANG) == 0; i++) {
		if (i == WAIT_S * 200)
			kill(server.pid, SIGKILL);
		nanosleep(&moment, NULL);
	}
	server.pid = 0;
	return status;
}

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	const struct timespec moment = { .tv_nsec = 5000000 };
	siginfo_t gone = { 0 };
	va_list args;
	int i;

	fprintf(stderr, "load: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	/* One that ends is heard of by its descriptors first. */
	for (i = 0; server.pid > 0 && !gone.si_pid && i < 20; i++) {
		nanosleep(&moment, NULL);
		waitid(P_PID, (id_t)server.pid, &gone, WEXITED | WNOHANG | WNOWAIT);
	}
	if (gone.si_pid)
		fprintf(stderr, " (%s has ended: %s %d)", server.name,
			gone.si_code == CLD_EXITED ? "exit status" : "signal", gone.si_status);
	fputc('\n', stderr);
	end_server(SIGKILL);
	exit(1);
}

static int must(int rc, const char *what)
{
	if (rc < 0)
		fail("%s: %s", what, strerror(-rc));
	return rc;
}

/* As must(), of a call that leaves its error in errno. */
static int must_call(int rc, const char *what)
{
	return must(rc < 0 ? -errno : rc, what);
}

static void stay_on(int core)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(core, &set);
	must_call(sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
}

static void start_server(char **command, int core, int *out)
{
	pid_t parent = getpid();
	int ends[2];

	must_call(pipe2(ends, O_CLOEXEC), "pipe");
	server.name = command[0];
	server.pid = must_call(fork(), "fork");
	if (server.pid > 0) {
		close(ends[1]);
		*out = ends[0];
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);	/* it ended before it could be told */
	if (core >= 0)
		stay_on(core);
	dup2(ends[1], STDOUT_FILENO);
	execvp(command[0], command);
	fprintf(stderr, "load: %s: %s\n", command[0], strerror(errno));
	_exit(127);
}

static uint64_t nanoseconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NS_S + (uint64_t)ts.tv_nsec;
}

/* The first line that the server prints. */
static unsigned read_port(int fd)
{
	const uint64_t until = nanoseconds(CLOCK_MONOTONIC) + WAIT_S * NS_S;
	char line[16] = "", *end;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	unsigned long port;
	size_t len = 0;
	ssize_t n;

	while (!memchr(line, '\n', len)) {
		uint64_t now = nanoseconds(CLOCK_MONOTONIC);

		if (now >= until || poll(&p, 1, (int)((until - now) / 1000000) + 1) == 0)
			fail("%s has not printed its port in %d s", server.name, WAIT_S);
		n = must_call((int)read(fd, line + len, sizeof line - 1 - len), "its port");
		if (!n)
			fail("%s has printed no port", server.name);
		len += (size_t)n;
	}
	port = strtoul(line, &end, 10);
	if (*end != '\n' || !port || port > 65535)
		fail("%s has printed no port but %.*s", server.name, (int)strcspn(line, "\n"),
		     line);
	return (unsigned)port;
}

/* ---- connections ---- */

static struct io_uring_sqe *get_sqe(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);

	if (sqe)
		return sqe;
	must(io_uring_submit(&ring), "submit");
	sqe = io_uring_get_sqe(&ring);
	if (!sqe)
		fail("the ring is full");
	return sqe;
}

static void receive(unsigned i)
{
	struct io_uring_sqe *sqe = get_sqe();

	io_uring_prep_recv_multishot(sqe, (int)i, NULL, 0, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT | IOSQE_FIXED_FILE;
	sqe->buf_group = 0;
	io_uring_sqe_set_data64(sqe, i);
}

/* What has come back the kernel needs no more: the message may be changed. A send is heard of only
 * if it fails. */
static void send_next(unsigned i, uint64_t now)
{
	struct connection *c = &connections[i];
	struct io_uring_sqe *sqe = get_sqe();
	uint64_t stamp = (c->number++ << 16) + i;

	memcpy(c->message, &stamp, bytes < sizeof stamp ? bytes : sizeof stamp);
	c->come = 0;
	c->sent_at = now;
	c->waits = true;
	n_waiting++;
	io_uring_prep_send(sqe, (int)i, c->message, bytes, MSG_WAITALL | MSG_NOSIGNAL);
	sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;
	io_uring_sqe_set_data64(sqe, (uint64_t)i | 1ull << 32);
}

/* 64 to an octave. */
static unsigned bucket(uint64_t ns)
{
	unsigned octave = ns < 64 ? 0 : 57 - (unsigned)__builtin_clzll(ns);

	return octave * 64 + (unsigned)(ns >> octave);
}

static double percentile_us(double p)
{
	uint64_t before = 0, wanted = (uint64_t)((double)requests * p);
	unsigned b, octave;

	for (b = 0; b < sizeof latencies / sizeof *latencies - 1; b++) {
		before += latencies[b];
		if (before > wanted)
			break;
	}
	octave = b < 128 ? 0 : b / 64 - 1;
	return ((double)(b - octave * 64) + 0.5) * (double)(1ull << octave) / 1e3;
}

static void came_back(unsigned i)
{
	struct connection *c = &connections[i];
	uint64_t now = nanoseconds(CLOCK_MONOTONIC);

	c->waits = false;
	n_waiting--;
	if (measuring) {
		requests++;
		latencies[bucket(now - c->sent_at)]++;
	}
	if (!ending)
		send_next(i, now);
}

static void received(unsigned i, const unsigned char *piece, size_t n)
{
	struct connection *c = &connections[i];

	if (!c->waits || n > bytes - c->come)
		fail("%s sends more than it was sent", server.name);
	if (memcmp(piece, c->message + c->come, n) != 0)
		fail("%s does not send back what it was sent", server.name);
	c->come += n;
	if (c->come == bytes)
		came_back(i);
}

static void offer(int b, int offset)
{
	io_uring_buf_ring_add(buffers, pieces + (size_t)b * SPACED, PIECE, (unsigned short)b,
			      ENTRIES - 1, offset);
}

static void offer_more(int n)
{
	int i;

	if (n > ENTRIES - offered)
		n = ENTRIES - offered;
	for (i = 0; i < n; i++)
		offer(offered++, i);
	io_uring_buf_ring_advance(buffers, n);
}

/* Of one completion. Returns how many pieces are free again; tells when one was missing. */
static int handle(const struct io_uring_cqe *cqe, int freed, bool *starved)
{
	unsigned i = (unsigned)cqe->user_data, b;

	if (cqe->user_data >> 32)
		fail("send: %s", cqe->res < 0 ? strerror(-cqe->res) : "not all of it");
	if (cqe->res < 0 && cqe->res != -ENOBUFS)
		fail("receive: %s", strerror(-cqe->res));
	if (cqe->res < 0)
		*starved = true;
	if (!cqe->res)
		fail("%s has closed a connection", server.name);
	if (cqe->res > 0) {
		b = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
		received(i, pieces + (size_t)b * SPACED, (size_t)cqe->res);
		offer((int)b, freed++);
	}
	if (!(cqe->flags & IORING_CQE_F_MORE))
		receive(i);
	return freed;
}

/* Sends what there is to send, waits for something to come, and handles it. */
static void turn(void)
{
	struct __kernel_timespec patience = { .tv_sec = WAIT_S };
	struct io_uring_cqe *cqe;
	unsigned head, n = 0;
	bool starved = false;
	int rc, freed = 0;

	do
		rc = io_uring_submit_and_wait_timeout(&ring, &cqe, 1, &patience, NULL);
	while (rc == -EINTR);
	if (rc == -ETIME)
		fail("%s has not answered for %d s", server.name, WAIT_S);
	must(rc, "io_uring_enter");
	io_uring_for_each_cqe(&ring, head, cqe) {
		freed = handle(cqe, freed, &starved);
		n++;
	}
	io_uring_buf_ring_advance(buffers, freed);
	if (starved)
		offer_more(offered);
	io_uring_cq_advance(&ring, n);
}

static void run_for(double seconds)
{
	uint64_t until = nanoseconds(CLOCK_MONOTONIC) + (uint64_t)(seconds * NS_S);

	while (nanoseconds(CLOCK_MONOTONIC) < until)
		turn();
}

static void make_ring(void)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
			 IORING_SETUP_CQSIZE,
		.cq_entries = 4 * ENTRIES,
	};
	struct io_uring_buf_reg reg = { .ring_entries = ENTRIES };

	must(io_uring_queue_init_params(ENTRIES, &ring, &params), "io_uring (Linux 6.1 or later)");
	io_uring_register_ring_fd(&ring);
	buffers = aligned_alloc(4096, ENTRIES * sizeof(struct io_uring_buf));
	pieces = aligned_alloc(4096, (size_t)ENTRIES * SPACED);
	if (!buffers || !pieces)
		fail("no memory");
	reg.ring_addr = (uintptr_t)buffers;
	must(io_uring_register_buf_ring(&ring, &reg, 0), "provided buffers");
	io_uring_buf_ring_init(buffers);
	offer_more(64);
}

static void connect_all(unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	const struct timeval patience = { .tv_sec = WAIT_S };
	int *fds = calloc(n_connections, sizeof *fds), one = 1;
	unsigned i;
	size_t k;

	connections = calloc(n_connections, sizeof *connections);
	if (!fds || !connections)
		fail("no memory");
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < n_connections; i++) {
		fds[i] = must_call(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
		must_call(setsockopt(fds[i], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience),
			  "SO_SNDTIMEO");
		must_call(setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one),
			  "TCP_NODELAY");
		must_call(connect(fds[i], (struct sockaddr *)&to, sizeof to), "connect");
		connections[i].message = malloc(bytes);
		if (!connections[i].message)
			fail("no memory");
		for (k = 0; k < bytes; k++)
			connections[i].message[k] = (unsigned char)(k * 31 + i * 7 + (k >> 8));
	}
	must(io_uring_register_files(&ring, fds, n_connections), "registered files");
	for (i = 0; i < n_connections; i++)
		close(fds[i]);
	free(fds);
}

static void measure(double warm, double seconds)
{
	uint64_t cpu, from, now;
	unsigned i;

	for (i = 0; i < n_connections; i++) {
		receive(i);
		send_next(i, nanoseconds(CLOCK_MONOTONIC));
	}
	run_for(warm);
	measuring = true;
	cpu = nanoseconds(server.cpu);
	from = nanoseconds(CLOCK_MONOTONIC);
	run_for(seconds);
	now = nanoseconds(CLOCK_MONOTONIC);
	cpu = nanoseconds(server.cpu) - cpu;
	measuring = false;
	ending = true;
	while (n_waiting)
		turn();
	if (!requests)
		fail("nothing has come back in %g s", seconds);
	printf("requests\t%.4g\tk/s\n", (double)requests / ((double)(now - from) / 1e6));
	printf("p50\t%.4g\tus\n", percentile_us(0.5));
	printf("p99\t%.4g\tus\n", percentile_us(0.99));
	printf("cpu\t%.4g\tus\n", (double)cpu / 1e3 / (double)requests);
}

/* ---- main ---- */

static double number(const char *what, const char *text, double least, double most)
{
	char *end;
	double x = strtod(text, &end);

	if (end == text || *end || !(x >= least && x <= most))
		fail("%s: %s: wanted is a number from %g to %g", what, text, least, most);
	return x;
}

/* Of the allowed cores: the first and the last. */
static void find_cores(int *first, int *last)
{
	cpu_set_t allowed;
	int i;

	must_call(sched_getaffinity(0, sizeof allowed, &allowed), "sched_getaffinity");
	*first = *last = -1;
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &allowed)) {
			if (*first < 0)
				*first = i;
			*last = i;
		}
}

int main(int argc, char **argv)
{
	double warm = 0.5, seconds = 1.5;
	struct rlimit files;
	bool all = false;
	int opt, out, first, last, status;

	while ((opt = getopt(argc, argv, "+aw:s:")) != -1) {
		if (opt == 'a')
			all = true;
		else if (opt == 'w')
			warm = number("-w", optarg, 0, 3600);
		else if (opt == 's')
			seconds = number("-s", optarg, 0.001, 3600);
		else
			goto usage;
	}
	if (argc - optind < 3)
		goto usage;
	n_connections = (unsigned)number("CONNECTIONS", argv[optind], 1, CONNECTIONS_MAX);
	bytes = (size_t)number("BYTES", argv[optind + 1], 1, BYTES_MAX);

	/* The server inherits it. */
	must_call(getrlimit(RLIMIT_NOFILE, &files), "RLIMIT_NOFILE");
	files.rlim_cur = files.rlim_max;
	must_call(setrlimit(RLIMIT_NOFILE, &files), "RLIMIT_NOFILE");
	if (n_connections + 64 > files.rlim_max)
		fail("%u connections need more open files than are allowed", n_connections);

	find_cores(&first, &last);
	start_server(argv + optind + 2, all ? -1 : first, &out);
	stay_on(last);
	make_ring();
	must(-clock_getcpuclockid(server.pid, &server.cpu), "the server's cpu time");
	connect_all(read_port(out));
	measure(warm, seconds);

	io_uring_queue_exit(&ring);
	status = end_server(SIGTERM);
	if (!(WIFEXITED(status) && !WEXITSTATUS(status)) &&
	    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM))
		fail("%s ended badly: %s %d", server.name,
		     WIFEXITED(status) ? "exit status" : "signal",
		     WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return 0;
usage:
	fprintf(stderr, "usage: load [-a] [-w WARM_SECONDS] [-s SECONDS] CONNECTIONS BYTES "
			"COMMAND...\n");
	return 2;
}
