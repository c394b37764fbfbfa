/* SPDX-License-Identifier: MIT */
/*
 * sockaddr.c - weir_sockaddr_parse(): what it takes it takes for what everybody does.
 *
 * The language: the first byte's lowest bit says whether the others are
 *
 *	0	the text, up to a NUL
 *	1	an address: the byte's next bit its family, then two bytes of port, four or sixteen
 *
 * A text that is taken must mean the same to getaddrinfo(3), and printed and read again be the
 * same.  An address that is printed must be taken, and be the same.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "kit/fuzz.h"

#define TEXT_MAX	200

static void print(const struct sockaddr_storage *a, char *text, size_t size)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
	bool six = a->ss_family == AF_INET6;
	char host[INET6_ADDRSTRLEN];

	must(inet_ntop(a->ss_family, six ? (const void *)&in6->sin6_addr :
		       (const void *)&in->sin_addr, host, sizeof host));
	snprintf(text, size, six ? "[%s]:%u" : "%s:%u", host,
		 ntohs(six ? in6->sin6_port : in->sin_port));
}

static void must_be(const char *text, const struct sockaddr_storage *a, socklen_t len)
{
	struct sockaddr_storage b;
	socklen_t b_len;

	must_eq(weir_sockaddr_parse(text, &b, &b_len), 0);
	must_eq(b_len, len);
	must(memcmp(&b, a, len) == 0);
}

static void must_agree(const char *text, const struct sockaddr_storage *a, socklen_t len)
{
	const struct addrinfo hints = {
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_family = a->ss_family,
		.ai_socktype = SOCK_STREAM,
	};
	struct addrinfo *list;
	char host[TEXT_MAX + 1];
	char *colon;

	strcpy(host, text);
	colon = strrchr(host, ':');
	must(colon);
	*colon = '\0';
	if (*host == '[') {
		must(colon[-1] == ']');
		colon[-1] = '\0';
	}
	must_eq(getaddrinfo(host + (*host == '['), colon + 1, &hints, &list), 0);
	must_eq(list->ai_addrlen, len);
	must(memcmp(list->ai_addr, a, len) == 0);
	freeaddrinfo(list);
}

static void some_text(void)
{
	struct sockaddr_storage a;
	socklen_t len;
	char text[TEXT_MAX + 1] = "", again[TEXT_MAX];
	int rc;

	fuzz_rest(text, TEXT_MAX);
	rc = weir_sockaddr_parse(text, &a, &len);
	fuzz_say("%s: %d", text, rc);
	if (rc < 0) {
		must_eq(rc, -EINVAL);
		return;
	}
	must_eq(len, a.ss_family == AF_INET ? sizeof(struct sockaddr_in) :
		sizeof(struct sockaddr_in6));
	must_agree(text, &a, len);
	print(&a, again, sizeof again);
	must_be(again, &a, len);
}

static void some_address(bool six)
{
	struct sockaddr_storage a = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
	in_port_t port = htons((in_port_t)(fuzz_byte() + (fuzz_byte() << 8)));
	char text[TEXT_MAX];

	a.ss_family = six ? AF_INET6 : AF_INET;
	if (six) {
		in6->sin6_port = port;
		fuzz_rest(&in6->sin6_addr, sizeof in6->sin6_addr);
	} else {
		in->sin_port = port;
		fuzz_rest(&in->sin_addr, sizeof in->sin_addr);
	}
	print(&a, text, sizeof text);
	fuzz_say("%s", text);
	must_be(text, &a, six ? sizeof *in6 : sizeof *in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned how;

	fuzz_input(data, size);
	how = fuzz_byte();
	if (how & 1)
		some_address(how & 2);
	else
		some_text();
	return 0;
}
