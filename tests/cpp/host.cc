/* SPDX-License-Identifier: MIT */
/*
 * host.cc - a C++ program that hosts weir: it makes loops, contexts, groups, channels and ports,
 * spawns a coroutine written in C, and does with them all that needs no coroutine of its own.
 */
#include <cstdio>
#include <poll.h>
#include <thread>

#include "adder.h"

static int passed, failed;

static void check(bool ok, const char *what)
{
	(ok ? passed : failed)++;
	if (!ok)
		std::printf("not so: %s\n", what);
}

#define CHECK(cond)	check((cond), #cond)

static int spawn(weir_group *group, ints *in, int *sum, weir_task **task)
{
	static const weir_point here = { nullptr, "spawn", "host.cc", "weir_spawn(adder)", 0 };
	struct adder frame = {};	// adder alone is the function

	frame.in = in;
	frame.sum = sum;
	return weir_spawn(group, adder, &frame, sizeof frame, &here, task);
}

static void send_from_a_host()
{
	weir_loop *loop;
	ints ch;
	int sum = 0, item;

	CHECK(weir_loop_new(&loop, nullptr) == 0);
	const int fd = weir_loop_fd(loop);
	CHECK(fd >= 0);
	CHECK(weir_chan_init(&ch, loop, 2) == 0);
	CHECK(spawn(weir_loop_group(loop), &ch, &sum, nullptr) == 0);
	for (item = 1; item <= 100; item++)
		while (weir_chan_try_send(&ch, &item) == -EAGAIN) {
			pollfd p = { fd, POLLIN, 0 };

			poll(&p, 1, -1);
			weir_loop_dispatch(loop);
		}
	CHECK(weir_chan_close(&ch) == 0);
	while (weir_loop_dispatch(loop) > 0)
		;
	CHECK(sum == 5050);
	weir_chan_fini(&ch);
	CHECK(weir_loop_free(loop) == 0);
}

struct message : weir_msg {
	ints *ch;
	int item;
};

static void deliver(weir_msg *msg)
{
	const message *m = static_cast<message *>(msg);

	weir_chan_try_send(m->ch, &m->item);
	weir_chan_close(m->ch);
}

static void post_from_a_thread()
{
	weir_loop *loop;
	weir_port *port;
	ints ch;
	int sum = 0;
	message m = {};

	CHECK(weir_loop_new(&loop, nullptr) == 0);
	CHECK(weir_chan_init(&ch, loop, 1) == 0);
	CHECK(weir_port_new(&port, loop) == 0);
	CHECK(spawn(weir_loop_group(loop), &ch, &sum, nullptr) == 0);
	m.fn = deliver;
	m.ch = &ch;
	m.item = 42;
	std::thread thread([&] { weir_post(port, &m); });
	CHECK(weir_loop_run(loop) == 0);
	thread.join();
	CHECK(sum == 42);
	weir_port_close(port);
	weir_port_unref(port);
	weir_chan_fini(&ch);
	CHECK(weir_loop_free(loop) == 0);
}

static void cancel_with_a_cause()
{
	weir_loop_conf conf = {};
	weir_loop *loop;
	weir_ctx ctx;
	weir_group group;
	ints ch;
	int sum = 0;

	conf.virtual_clock = true;
	CHECK(weir_loop_new(&loop, &conf) == 0);
	weir_ctx_init_timeout(&ctx, weir_loop_ctx(loop), WEIR_HOUR);
	weir_group_init(&group, &ctx, nullptr);
	CHECK(weir_chan_init(&ch, loop, 0) == 0);
	CHECK(spawn(&group, &ch, &sum, nullptr) == 0);
	CHECK(weir_ctx_fd(&ctx) >= 0);
	weir_loop_dispatch(loop);
	weir_ctx_cancel(&ctx, -EXDEV);
	CHECK(weir_ctx_err(&group.ctx) == -ECANCELED);
	CHECK(weir_ctx_cause(&group.ctx) == -EXDEV);
	while (group.active)
		weir_loop_dispatch(loop);
	CHECK(group.victim == -ECANCELED);
	weir_group_fini(&group);
	weir_ctx_fini(&ctx);
	weir_chan_fini(&ch);
	CHECK(weir_loop_free(loop) == 0);
}

int main()
{
	send_from_a_host();
	post_from_a_thread();
	cancel_with_a_cause();
	std::printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}
