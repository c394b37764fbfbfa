/* SPDX-License-Identifier: MIT */
/*
 * embed.c - a loop inside a host's: the host sleeps in poll(2) on one descriptor, whatever comes
 * from other threads must make it readable.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "explore_kit.h"

static struct weir_port *port;
static unsigned left;

static void arrive(struct weir_msg *msg)
{
	(void)msg;
	left--;
}

static void *post_one(void *arg)
{
	expect(weir_post(port, arg) == 0);
	return NULL;
}

static void *post_two(void *arg)
{
	struct weir_msg *msg = arg;

	expect(weir_post(port, &msg[0]) == 0);
	expect(weir_post(port, &msg[1]) == 0);
	return NULL;
}

static void dispatch_while_left(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (left) {
		if (poll(&p, 1, -1) < 0)
			continue;
		expect(weir_loop_dispatch(loop) >= 0);
	}
}

static int begin(void)
{
	int fd;

	loop_begin();
	fd = weir_loop_fd(loop);
	expect(fd >= 0);
	expect(weir_port_new(&port, loop) == 0);
	return fd;
}

static void end(void)
{
	weir_port_close(port);
	weir_port_unref(port);
	loop_end();
}

static void one_sender(void)
{
	struct weir_msg msg[2] = { { .fn = arrive }, { .fn = arrive } };
	pthread_t sender;
	int fd = begin();

	left = 2;
	thread_begin(&sender, post_two, msg);
	dispatch_while_left(fd);
	thread_end(sender);
	end();
}

static void two_senders(void)
{
	struct weir_msg msg[2] = { { .fn = arrive }, { .fn = arrive } };
	pthread_t sender[2];
	int fd = begin();

	left = 2;
	thread_begin(&sender[0], post_one, &msg[0]);
	thread_begin(&sender[1], post_one, &msg[1]);
	dispatch_while_left(fd);
	thread_end(sender[0]);
	thread_end(sender[1]);
	end();
}

START_TEST(a_host_that_polls_hears_of_each_post)
{
	explore(one_sender, &(struct explore){ .interrupts = 2, .ring = true });
}
END_TEST

START_TEST(a_host_that_polls_hears_of_the_posts_of_two_threads)
{
	explore(two_senders, &(struct explore){ .interrupts = 2, .ring = true });
}
END_TEST

/* ---- what comes by the ring alone ---- */

struct sleeps { struct weir_frame co; struct weir_ctx *ctx; int rc; };

static WEIR_CO(sleeps, self, op)
{
	weir_ctx_enter(op, self->ctx);
	WEIR_AWAIT(self->rc, weir_sleep_until(op, WEIR_FOREVER));
	weir_ctx_leave(op, self->ctx);
	left--;
}
WEIR_END

static void *cancel(void *arg)
{
	expect(weir_ctx_cancel_fd(*(int *)arg) == 0);
	return NULL;
}

/* A cancel by a descriptor, and a post that keeps the loop busy meanwhile. */
static void cancel_and_post(void)
{
	struct weir_msg msg = { .fn = arrive };
	pthread_t sender, canceller;
	struct weir_ctx ctx;
	int fd = begin(), ctx_fd;

	left = 2;
	weir_ctx_init(&ctx, weir_loop_ctx(loop));
	ctx_fd = weir_ctx_fd(&ctx);
	expect(weir_go(weir_loop_group(loop), sleeps, .ctx = &ctx) == 0);
	thread_begin(&sender, post_one, &msg);
	thread_begin(&canceller, cancel, &ctx_fd);
	dispatch_while_left(fd);
	thread_end(sender);
	thread_end(canceller);
	weir_ctx_fini(&ctx);
	end();
}

START_TEST(a_host_that_polls_hears_of_what_the_ring_completes)
{
	explore(cancel_and_post, &(struct explore){ .interrupts = 2, .ring = true });
}
END_TEST

TESTS("explore embed", a_host_that_polls_hears_of_each_post,
      a_host_that_polls_hears_of_the_posts_of_two_threads,
      a_host_that_polls_hears_of_what_the_ring_completes)
