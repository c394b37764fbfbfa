/* SPDX-License-Identifier: MIT */
/*
 * echo.c - the demo of sockets: many connections at once, and Ctrl-C with some still open.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>

#include "demo_kit.h"

#define CLIENTS	20
#define BYTES	100000

/* Starts the server, in a shell after this command; its port, and its process. */
static int start(const char *first, pid_t *pid, FILE **out)
{
	const char *wrap = getenv("WRAP"), *build = getenv("BUILD");
	char command[1024];
	int fds[2], port;

	snprintf(command, sizeof command, "%s; exec %s %s/demos/echo 127.0.0.1:0", first,
		 wrap ? wrap : "", build ? build : "build");
	ck_assert_int_eq(pipe(fds), 0);
	*pid = fork();
	ck_assert_int_ge(*pid, 0);
	if (*pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	close(fds[1]);
	*out = fdopen(fds[0], "r");
	ck_assert_ptr_nonnull(*out);
	ck_assert_int_eq(fscanf(*out, "port %d", &port), 1);
	return port;
}

static int dial(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
	return fd;
}

/* What went out comes back, the same and in order. */
static void echo(int fd, unsigned seed)
{
	static unsigned char sent[BYTES], got[BYTES];
	size_t i, n = 0;
	ssize_t some;

	for (i = 0; i < BYTES; i++)
		sent[i] = (unsigned char)(seed = seed * 1103515245 + 12345) >> 3;
	while (n < BYTES) {
		size_t part = BYTES - n < 3000 ? BYTES - n : 3000;

		ck_assert_int_eq(send(fd, sent + n, part, MSG_NOSIGNAL), (ssize_t)part);
		for (i = 0; i < part; i += (size_t)some) {
			some = recv(fd, got + n + i, part - i, 0);
			ck_assert_int_gt(some, 0);
		}
		n += part;
	}
	ck_assert_mem_eq(sent, got, BYTES);
}

START_TEST(each_connection_gets_back_what_it_sent)
{
	int port, clients[CLIENTS], i, status;
	pid_t pid;
	FILE *out;
	char c;

	port = start(":", &pid, &out);
	for (i = 0; i < CLIENTS; i++)
		clients[i] = dial(port);
	for (i = 0; i < CLIENTS; i++)
		echo(clients[i], (unsigned)i);
	for (i = 0; i < CLIENTS / 2; i++)
		close(clients[i]);
	ck_assert_int_eq(kill(pid, SIGINT), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	for (; i < CLIENTS; i++) {	/* it closed those that were open */
		ck_assert_int_eq(recv(clients[i], &c, 1, 0), 0);
		close(clients[i]);
	}
	fclose(out);
}
END_TEST

START_TEST(it_outlives_a_want_of_descriptors)
{
	int port, clients[3 * CLIENTS], i, status;
	pid_t pid;
	FILE *out;

	port = start("ulimit -n 40", &pid, &out);
	for (i = 0; i < 3 * CLIENTS; i++)	/* some stay in the backlog */
		clients[i] = dial(port);
	for (i = 0; i < 3 * CLIENTS - 1; i++)
		close(clients[i]);
	echo(clients[i], 1);
	close(clients[i]);
	ck_assert_int_eq(kill(pid, SIGINT), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fclose(out);
}
END_TEST

START_TEST(output_that_cannot_be_written_is_an_error)
{
	demo_says(1, "$DEMO/echo 127.0.0.1:0 2>&1 >/dev/full", "echo: No space left on device");
	demo_says(1, "$DEMO/echo 127.0.0.1:0 2>&1 >&-", "standard output: Bad file descriptor");
}
END_TEST

START_TEST(an_address_that_is_none_is_refused)
{
	demo_says(1, "$DEMO/echo nowhere 2>&1", "echo: Invalid argument");
}
END_TEST

TESTS("demos/echo", each_connection_gets_back_what_it_sent,
      it_outlives_a_want_of_descriptors, output_that_cannot_be_written_is_an_error,
      an_address_that_is_none_is_refused)
