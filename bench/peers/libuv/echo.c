/* SPDX-License-Identifier: MIT */
/*
 * echo.c - echo by libuv. All connections read into one buffer; what has been read is written at
 * once by uv_try_write(). What the socket has no room for is copied and queued, and its connection
 * reads nothing until that is written.
 */
#include <stdlib.h>
#include <string.h>

#include "uv_peer.h"

struct connection {
	uv_tcp_t tcp;
	uv_write_t write;
	char *rest;
};

static char buffer[64 << 10];

static void closed(uv_handle_t *h)
{
	struct connection *c = (struct connection *)h;

	free(c->rest);
	free(c);
}

static void gives_buffer(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	(void)h;
	(void)suggested;
	*buf = uv_buf_init(buffer, sizeof buffer);
}

static void has_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void has_written(uv_write_t *write, int status)
{
	struct connection *c = (struct connection *)write->handle;

	free(c->rest);
	c->rest = NULL;
	if (status < 0) {
		if (status != UV_ECANCELED)
			uv_close((uv_handle_t *)c, closed);
		return;
	}
	uv_must(uv_read_start((uv_stream_t *)c, gives_buffer, has_read), "read");
}

static void queue(struct connection *c, const char *from, size_t len)
{
	uv_buf_t rest;

	c->rest = malloc(len);
	check(c->rest, "there is memory");
	memcpy(c->rest, from, len);
	rest = uv_buf_init(c->rest, (unsigned)len);
	uv_read_stop((uv_stream_t *)c);
	uv_must(uv_write(&c->write, (uv_stream_t *)c, &rest, 1, has_written), "write");
}

static void has_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct connection *c = (struct connection *)stream;
	uv_buf_t whole;
	int sent;

	if (!n)
		return;
	if (n < 0) {
		uv_close((uv_handle_t *)c, closed);
		return;
	}
	whole = uv_buf_init(buf->base, (unsigned)n);
	sent = uv_try_write(stream, &whole, 1);
	if (sent == UV_EAGAIN)
		sent = 0;
	if (sent < 0)
		uv_close((uv_handle_t *)c, closed);
	else if (sent < n)
		queue(c, buf->base + sent, (size_t)(n - sent));
}

static void connects(uv_stream_t *listener, int status)
{
	struct connection *c = must_alloc(1, sizeof *c);

	uv_must(status, "connection");
	uv_must(uv_tcp_init(listener->loop, &c->tcp), "tcp");
	uv_must(uv_accept(listener, (uv_stream_t *)c), "accept");
	uv_must(uv_read_start((uv_stream_t *)c, gives_buffer, has_read), "read");
}

int serve_uv(void)
{
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t listener;

	uv_must(uv_tcp_init(loop, &listener), "tcp");
	uv_must(uv_tcp_open(&listener, listen_and_tell()), "open");
	uv_must(uv_listen((uv_stream_t *)&listener, 4096, connects), "listen");
	return uv_run(loop, UV_RUN_DEFAULT);
}
